//! What the steps of a hand-over do, as data: it stands in the journal with all that undoing needs.
//!
//! Every action can be carried out twice, and undone where there is nothing to undo.

mod part;

pub use part::{Address, AssetMount, Export, Loopback, Part, Service, Share, Way};

use crate::answer::Answer;
use crate::last_release::LastRelease;
use crate::platform::Argv;
use orderly_plan::owed::Wanted;
use serde::{Deserialize, Serialize};

/// One thing that a step does to this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Takes a part, or lets go of it.
    Part { way: Way, part: Part },
    /// Takes a snapshot.
    Backup,
    /// Puts back the state outside the asset from the snapshot that is due.
    Restore,
    /// Takes back the restores that were made since this one.
    Unrestore { before: Option<String> },
    /// Ends the processes that use the asset, but for those that are never signalled.
    EndUsers,
    /// Unmounts the asset and lets go of it.
    Release { mounts: Vec<AssetMount> },
    /// Takes back a release that did not come about.
    Retake { mounts: Vec<AssetMount> },
    /// Takes the asset, before its mounts are made.
    Take { end: LastRelease },
    /// Lets go of an asset that was taken.
    LetGo,
    /// Makes sure that this host holds the asset and all its mounts, and numbers its holding.
    Hold {
        mounts: Vec<AssetMount>,
        /// What the takeover is told to restore; absent where the asset was held here before.
        wanted: Option<Wanted>,
    },
    /// Makes sure that nothing on this host holds the asset.
    Prove,
    /// Compares the asset with the release record.
    Compare {
        identity: String,
        mark: Option<String>,
        /// The checksum of the record, by which one that was used up is known again.
        record: String,
    },
    /// Compares what a take alone moves of the mark with what it was when this host took the asset.
    CompareTake { identity: String, take_mark: String },
    /// Makes sure that nobody answers at an address.
    Silence { ip: String },
    /// Notes the operator's word that the peer is down, and asks whether it answers all the same.
    PeerDown { peer: String },
    /// Powers the peer off and makes sure that it is.
    Fence,
    /// Makes sure that the peer's power is still off.
    ProveOff,
    /// Notes the operator's word that a part of the takeover is to be left out.
    LeftOut { part: String },
    /// A command of the configuration.
    Run { argv: Argv },
}

/// Carries out actions; the seam at which a test puts something else.
pub trait Perform<A> {
    /// Asks the system whether the goal of an action is reached; changes nothing.
    fn check(&mut self, action: &A) -> Answer;

    /// Carries it out; succeeds also when its goal was reached before.
    ///
    /// # Errors
    /// What failed. The truth is then asked with [`Perform::check`].
    fn act(&mut self, action: &A) -> anyhow::Result<()>;

    /// Returns why the last action did not come about and the run goes on all the same, so that nothing calls
    /// it done.
    fn passed_over(&mut self) -> Option<String> {
        None
    }

    /// Tells whether something that an earlier run did counts no more, though nothing undid it.
    fn is_outdated(&mut self, _action: &A) -> bool {
        false
    }

    /// Returns the number of the signal by which this run was told to stop.
    fn interrupted(&mut self) -> Option<i32>;
}
