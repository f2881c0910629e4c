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
