//! The formats that inventories are read in.

/// How an inventory is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `orderly-inventory/1`.
    #[default]
    Json,
    /// A genders file.
    Genders,
    /// What `ansible-inventory --list` prints.
    Ansible,
    /// What `wwctl node list --json` prints.
    Warewulf,
    /// What `lsdef -z` prints.
    Xcat,
}

impl Format {
    pub const ALL: [Self; 5] = [Self::Json, Self::Genders, Self::Ansible, Self::Warewulf, Self::Xcat];

    /// Returns the word of `--from` and of `inventory_format`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Genders => "genders",
            Self::Ansible => "ansible",
            Self::Warewulf => "warewulf",
            Self::Xcat => "xcat",
        }
    }

    /// Returns what a text in it is.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Json => "orderly-inventory/1",
            Self::Genders => "a genders file",
            Self::Ansible => "the JSON of ansible-inventory --list",
            Self::Warewulf => "the JSON of wwctl node list --json",
            Self::Xcat => "the stanzas of lsdef -z",
        }
    }

    /// Returns the format of a word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.word() == word)
    }
}
