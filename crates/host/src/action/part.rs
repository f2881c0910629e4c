//! The parts that move with the asset, as a journal keeps them. What can be done with each is in a file of its own
//! below `parts.rs`.

use crate::mounts::MountSpec;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Which way a part goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    Take,
    LetGo,
}

/// A part, as it was found here or as it is to be: it stands in the journal with all that giving it back needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Part {
    Service(Service),
    Mount(AssetMount),
    Loopback(Loopback),
    Share(Share),
    Address(Address),
}

impl Part {
    /// Returns the name of the step that goes this way.
    pub fn step_name(&self, way: Way) -> String {
        let (take, let_go, what) = match self {
            Self::Service(service) => ("start", "stop", service.name.clone()),
            Self::Mount(AssetMount(spec)) | Self::Loopback(Loopback(spec)) => {
                ("mount", "unmount", spec.at.display().to_string())
            }
            Self::Share(share) => ("share", "unshare", share.path.display().to_string()),
            Self::Address(address) => ("add", "remove", address.cidr.clone()),
        };
        format!("{} {what}", if way == Way::Take { take } else { let_go })
    }
}

/// A service that needs the asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    pub(crate) name: String,
}

/// A mount of the asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AssetMount(pub MountSpec);

/// A bind mount of a folder of the asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loopback(pub MountSpec);

/// An exported folder on the asset, with its exports as they are to be or were found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    pub(crate) path: PathBuf,
    pub(crate) exports: Vec<Export>,
}

/// One export of a path: to whom and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// Empty where the options name the clients (Solaris), or nobody can say.
    pub client: String,
    pub options: String,
    /// Solaris keeps a word for people beside each share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// An address that moves with the asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    pub(crate) cidr: String,
}
