//! The storage that changes hands: one file a kind, which holds its table of `ha.toml` and its [`Asset`].
//!
//! A kind says who holds the asset, what identifies it, and what changes whenever it was held. The
//! answers come from the kernel and from the asset itself, never from exit statuses or memory.
//! "Here" is this process's mount namespace; `holders` looks into all others of this host.

mod bind;
mod bytes;
mod command;
mod device;
mod filesystem;
pub mod kind;
mod lvm;
mod mount;
mod superblock;
mod xfslog;
mod zfs;

pub use device::write_protection;
pub use kind::{
    Asset, Detection, KindKeys, KindTable, PathPlace, State, Surroundings, Volume, mount_spec, place,
};
pub use mount::MountTable;
pub(crate) use mount::{asks_read_only, read_mounts};
pub use superblock::Superblock;

use serde::Serialize;

/// Makes the list of kinds out of their files and tables. The modules are declared above, where rustfmt finds them.
macro_rules! kinds {
    ($($kind:ident: $file:ident::$table:ident,)*) => {
        /// The kind of the asset, with what is special to it.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "snake_case", tag = "kind")]
        pub enum AssetKind {
            $($kind($file::$table),)*
        }

        impl AssetKind {
            /// The words of all kinds.
            pub(crate) const WORDS: &[&str] = &[$($file::$table::WORD),*];

            /// Reads the keys of the kind that is called so, and remembers what is wrong with them.
            pub(crate) fn read(word: &str, keys: &KindKeys<'_>) -> Option<Self> {
                match word {
                    $($file::$table::WORD => keys.read().map(Self::$kind),)*
                    _ => None,
                }
            }

            /// Returns the tables of the kind that is called so, with comments, to start from.
            pub(crate) fn sample(word: &str) -> Option<&'static str> {
                match word {
                    $($file::$table::WORD => Some($file::$table::SAMPLE),)*
                    _ => None,
                }
            }

            /// Returns its word.
            pub fn word(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => $file::$table::WORD,)*
                }
            }

            /// Returns the asset that it describes.
            pub(crate) fn open(&self, around: &Surroundings<'_>) -> Box<dyn Asset> {
                match self {
                    $(Self::$kind(table) => table.open(around),)*
                }
            }
        }
    };
}

kinds! {
    Bind: bind::BindTable,
    Filesystem: filesystem::FilesystemTable,
    Command: command::CommandTable,
    Zfs: zfs::ZfsTable,
    Lvm: lvm::LvmTable,
}
