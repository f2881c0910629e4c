//! What each kind of storage must say of itself and do.

use super::mount::MountTable;
use crate::last_release::LastRelease;
use crate::mountinfo::{Mount, Mounts};
use crate::mounts::spec::MountSpec;
use crate::platform::{Argv, Platform};
use anyhow::Context;
use orderly_exec::runner::Run;
use orderly_exec::settings::Table;
use orderly_plan::permit::Since;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Who holds the asset, seen from this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// This host.
    Held,
    /// Nobody: it was let go cleanly.
    Free,
    /// Not this host, and somebody else holds it or never let go of it cleanly; says why.
    Elsewhere(String),
    /// Nothing can be said, and why. Never taken for any of the others.
    Unknown(String),
}

/// What would notice that the peer uses the asset, beside the proof that is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detection {
    /// A host that has it is seen, and of two that take it at the same moment one is stopped.
    Watched,
    /// A host that has it is seen; of two that take it at the same moment none is. Says why.
    Unwatched(String),
    /// A host that has it and writes nothing is not seen, either: free is never proven by the asset
    /// alone. Says why.
    Blind(String),
}

/// What is given to mount(8) for one mount of the asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Volume {
    /// A device or whatever the type takes as its source.
    Device(String),
    /// A folder, bind mounted.
    Folder(String),
    /// A dataset of a pool.
    Dataset(String),
    /// Mounted by the act of taking; only verified.
    Itself,
}

/// What the `[asset]` table says, for a kind to read its own keys.
#[derive(Debug)]
pub struct KindKeys<'a> {
    pub table: &'a Table<'a>,
    pub mounts: &'a [MountTable],
    pub platform: Platform,
}

impl KindKeys<'_> {
    pub(super) fn read<T: KindTable>(&self) -> Option<T> {
        if self.platform == Platform::Solaris && !T::ON_SOLARIS {
            let (kind, word) = (self.table.named("kind"), T::WORD);
            let message = format!("{kind}: {word} is for linux; on solaris use zfs or command");
            self.table.reject("kind", message);
        }
        T::read(self)
    }

    pub(super) fn reject(&self, key: &'static str, why: impl std::fmt::Display) {
        self.table.reject(key, format!("{}: {why}", self.table.named(key)));
    }
}

/// What a kind needs of `ha.toml` beside its own table.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// The names of this host and of the other one.
    pub own: &'a str,
    pub peer: &'a str,
    pub platform: Platform,
    pub mounts: &'a [MountTable],
    /// How long one command may take.
    pub timeout: Duration,
}

/// What `ha.toml` says of one kind of storage.
pub trait KindTable: Sized {
    /// Its word in `ha.toml`.
    const WORD: &'static str;
    /// Whether it is there on Solaris, too.
    const ON_SOLARIS: bool = false;
    /// Its tables in the `ha.toml` that `--init` prints.
    const SAMPLE: &'static str;

    /// Reads its keys, and remembers what is wrong with them.
    fn read(keys: &KindKeys<'_>) -> Option<Self>;

    /// Returns the asset that it describes.
    fn open(&self, around: &Surroundings<'_>) -> Box<dyn Asset>;
}

/// One kind of storage.
pub trait Asset: std::fmt::Debug {
    /// Returns the name people know it by.
    fn title(&self) -> String;

    /// Asks who holds it.
    fn state(&self, run: &mut dyn Run) -> State;

    /// Returns what both hosts see alike and no other asset has.
    ///
    /// # Errors
    /// When it cannot be read.
    fn identity(&self, run: &mut dyn Run) -> anyhow::Result<String>;

    /// Returns what is different after every time it was held; `None` where the kind has no such thing.
    ///
    /// # Errors
    /// When it cannot be read.
    fn change_mark(&self, run: &mut dyn Run) -> anyhow::Result<Option<String>>;

    /// Tells whether taking it, with its label written, moves the change mark.
    fn take_moves_mark(&self) -> bool {
        false
    }

    /// Tells whether a mount is read-only because the asset itself has it so, without any option.
    fn is_read_only_itself(&self, _mount: &Mount, _run: &mut dyn Run) -> bool {
        false
    }

    /// Returns the part of the mark that a take alone moves, and nothing that is written later; `None` where
    /// the kind has no such part.
    ///
    /// # Errors
    /// When it cannot be read.
    fn take_mark(&self, _run: &mut dyn Run) -> anyhow::Result<Option<String>> {
        Ok(None)
    }

    /// Returns the second of its last mount, in seconds since 1970, where that is all that tells two mounts apart.
    fn last_mount(&self, _run: &mut dyn Run) -> Option<i64> {
        None
    }

    /// Tells what became of it since its mark, or the part that a take moves, was `then`. Where only a take moves
    /// it, another one means a take.
    fn since(&self, then: &str, now: &str) -> Since {
        if then == now { Since::Nothing } else { Since::Taken }
    }

    /// Tells what would notice that the peer uses it at the same time.
    fn detection(&self, _run: &mut dyn Run) -> Detection {
        Detection::Watched
    }

    /// Returns the block devices that it lies on, as far as this host sees them.
    fn devices(&self, _run: &mut dyn Run) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Tells whether a mount, of any namespace of this host, keeps the asset in use.
    fn is_on(&self, mount: &Mount) -> bool;

    /// Tells whether a mount shows this part of the asset, as [`Asset::volume`] names it.
    fn is_made_of(&self, mount: &Mount, _what: &str) -> bool {
        self.is_on(mount)
    }

    /// Returns what tells it from the assets of other configurations.
    fn known_as(&self) -> String {
        self.title()
    }

    /// Returns the device as it is configured, by which a line of fstab may name it.
    fn fstab_name(&self) -> Option<&str> {
        None
    }

    /// Tells whether it knows hosts by their hostids alone.
    fn tells_hosts_by_hostid(&self) -> bool {
        false
    }

    /// Tells whether mounting it is all that takes it.
    fn is_taken_by_mounting(&self) -> bool {
        false
    }

    /// Returns the directory that is mounted, where this host sees it also while it is not.
    fn folder(&self) -> Option<&Path> {
        None
    }

    /// Tells whether the asset can be mounted at all; one that cannot is in no mount table.
    fn has_mounts(&self) -> bool {
        true
    }

    /// Returns what would take the asset at boot, beside mounts at the configured places; each with
    /// its remedy.
    fn boot_mounts(&self, _run: &mut dyn Run) -> Vec<String> {
        Vec::new()
    }

    /// Returns what speaks against taking it from a host that ended like this, before anything is
    /// touched; each with its remedy. Who holds it is told by the state.
    fn against_taking(&self, _end: LastRelease, _run: &mut dyn Run) -> Vec<String> {
        Vec::new()
    }

    /// Says why it could not be let go of, whatever is done before.
    fn against_releasing(&self) -> Option<String> {
        None
    }

    /// Returns what is mounted for one `[[asset.mount]]`.
    fn volume(&self, mount: &MountTable) -> Volume;

    /// Says why nothing but powering this host off ends its hold.
    fn is_stuck(&self, _run: &mut dyn Run) -> Option<String> {
        None
    }

    /// Says that this host has it in use where no table of mounts shows it, and who may be to blame.
    fn hidden(&self, _run: &mut dyn Run) -> Option<String> {
        None
    }

    /// Says what a mount that fails as busy may mean, beside what mount(8) says.
    fn busy_elsewhere(&self, _run: &mut dyn Run) -> Option<String> {
        None
    }

    /// Says by what it is seen that another host is alive and uses it, whatever anybody says.
    fn is_alive_elsewhere(&self, _run: &mut dyn Run) -> Option<String> {
        None
    }

    /// Returns how all that is mounted of it now is mounted again, in that order, for kinds with
    /// mounts beside the configured ones.
    fn found_mounts(&self, _mounts: &Mounts, _run: &mut dyn Run) -> Option<anyhow::Result<Vec<MountSpec>>> {
        None
    }

    /// Tells whether a mount of it beside the configured ones comes and goes with it.
    fn mounts_itself(&self, _mount: &Mount) -> bool {
        false
    }

    /// Tells whether taking it and letting go of it make the system forget exports of other paths.
    fn disturbs_shares(&self) -> bool {
        false
    }

    /// Mounts what mounts itself once the asset is taken.
    ///
    /// # Errors
    /// Says what failed; the asset is held then, and incomplete.
    fn mount_own(&self, _run: &mut dyn Run) -> anyhow::Result<()> {
        Ok(())
    }

    /// Takes the asset, before its mounts are made. Taking what is taken succeeds.
    ///
    /// # Errors
    /// Says what failed; the caller asks for the state.
    fn take(&self, end: LastRelease, run: &mut dyn Run) -> anyhow::Result<()>;

    /// Returns the commands that [`Asset::take`] runs, for whoever wants to see them beforehand.
    fn take_commands(&self, _end: LastRelease) -> Vec<Argv> {
        Vec::new()
    }

    /// Returns the commands that [`Asset::let_go`] runs.
    fn release_commands(&self) -> Vec<Argv> {
        Vec::new()
    }

    /// Tells whether letting go also unmounts what is mounted explicitly.
    fn unmounts_when_let_go(&self) -> bool {
        false
    }

    /// Notes on the asset that this host holds it, for kinds that are told by a note; before it is
    /// unmounted, so that a release cut short is not taken for another host's.
    ///
    /// # Errors
    /// Says what failed.
    fn claim(&self) -> anyhow::Result<()> {
        Ok(())
    }

    /// Lets go of the asset, after its mounts are gone. Letting go of what is free succeeds.
    ///
    /// # Errors
    /// Says what failed; the caller asks for the state.
    fn let_go(&self, run: &mut dyn Run) -> anyhow::Result<()>;
}

/// Returns a mount of the asset as configured.
pub fn mount_spec(asset: &dyn Asset, table: &MountTable) -> MountSpec {
    let mut fstype = table.fstype.clone();
    let (what, bind) = match asset.volume(table) {
        Volume::Device(device) => (Some(device), false),
        Volume::Folder(folder) => (Some(folder), true),
        Volume::Dataset(dataset) => {
            fstype.get_or_insert("zfs".to_owned());
            (Some(dataset), false)
        }
        Volume::Itself => (None, false),
    };
    MountSpec { what, at: table.at.clone(), fstype, options: table.options.clone(), bind }
}

/// Where a path lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathPlace {
    OnAsset,
    /// Provably somewhere else; names the mount it is on.
    Off(String),
    Unknown(String),
}

/// Tells whether a path is provably on the asset. What does not exist yet is judged by the nearest
/// folder above it that does. Only for a host that holds the asset: it looks at the path.
pub fn place(asset: &dyn Asset, path: &Path, mounts: anyhow::Result<Mounts>) -> PathPlace {
    match mounts.and_then(|mounts| find(asset, path, &mounts)) {
        Ok(place) => place,
        Err(error) => PathPlace::Unknown(format!("{error:#}")),
    }
}

fn find(asset: &dyn Asset, path: &Path, mounts: &Mounts) -> anyhow::Result<PathPlace> {
    let there = path
        .ancestors()
        .find(|above| above.symlink_metadata().is_ok())
        .context("no directory above it exists")?;
    let resolved = std::fs::canonicalize(there).with_context(|| format!("resolve {}", there.display()))?;
    let mount =
        mounts.covering(&resolved).with_context(|| format!("find the mount of {}", resolved.display()))?;
    if asset.is_on(mount) {
        return Ok(PathPlace::OnAsset);
    }
    Ok(PathPlace::Off(format!("{} is on {} ({})", path.display(), mount.at.display(), mount.fstype)))
}
