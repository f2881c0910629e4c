//! The formats that inventories are read in: the list of the readers.

use super::reader::Reader;
use super::{ansible, genders, json, warewulf, xcat};

macro_rules! formats {
    ($($(#[$about:meta])* $name:ident = $reader:path,)+) => {
        /// How an inventory is written down.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub enum Format {
            $($(#[$about])* $name,)+
        }

        impl Format {
            pub const ALL: [Self; [$(Self::$name),+].len()] = [$(Self::$name),+];

            pub(super) const fn reader(self) -> &'static Reader {
                match self {
                    $(Self::$name => &$reader,)+
                }
            }
        }
    };
}

formats! {
    /// `orderly-inventory/1`.
    #[default]
    Json = json::READER,
    /// A genders file.
    Genders = genders::READER,
    /// What `ansible-inventory --list` prints.
    Ansible = ansible::READER,
    /// What `wwctl node list --json` prints.
    Warewulf = warewulf::READER,
    /// What `lsdef -z` prints.
    Xcat = xcat::READER,
}

impl Format {
    /// Returns the word of `--from` and of `inventory_format`.
    pub const fn word(self) -> &'static str {
        self.reader().word
    }

    /// Returns the format of a word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.word() == word)
    }
}
