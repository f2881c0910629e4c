//! A ZFS pool that is exported on one host and imported on the other.
//!
//! Whether it is imported here is asked of the kernel (`kernel`), who held it last of its own
//! labels (`label`), whether that host is alive and whether all devices are there of what
//! `zpool import` lists (`listing`). It is imported by its guid, without mounting, and never from a
//! cache file; with `-f` only in place of a host that is proven off and that the label names. The
//! wording that is recognised was printed by OpenZFS 2.1.11 (`make lab-test`).
//!
//! Invariant: a pool that is not free by its label is never imported with the peer as its last
//! holder unless the peer is proven off (`zfs::a_pool_of_a_dead_host_is_taken_only_with_proof`).

mod boot;
mod calls;
mod datasets;
mod kernel;
mod label;
mod listing;
mod seek;
mod table;
mod zpool;

pub(super) use table::ZfsTable;

use super::kind::{Asset, Detection, State, Surroundings, Volume};
use crate::asset::mount::MountTable;
use crate::hostid;
use crate::last_release::LastRelease;
use crate::mountinfo::{Mount, Mounts, own};
use crate::mounts::spec::MountSpec;
use crate::platform::Argv;
use anyhow::{Context, bail};
use calls::Calls;
use kernel::Imported;
use label::{PoolLabel, Use};
use listing::{LastUse, ListedPool};
use orderly_exec::clock;
use orderly_exec::job::show;
use orderly_exec::runner::Run;
use std::cell::RefCell;
use std::path::{Path, PathBuf};

/// What a suspended pool means for people.
const SUSPENDED: &str = "is suspended: its devices do not answer, or another host wrote to it; no command on it \
                         returns any more, so this host must be powered off before a takeover";

/// Where the loaded module says which one it is.
const VERSION: &str = "/sys/module/zfs/version";

/// The asset kind `zfs`.
#[derive(Debug)]
struct Zfs {
    table: ZfsTable,
    own: String,
    peer: String,
    /// Where datasets are mounted once the pool is taken, each in a step of its own.
    later: Vec<PathBuf>,
    kstat: PathBuf,
    calls: Calls,
    /// How the pool was listed last; asking again may take the length of an activity check.
    listed: RefCell<Option<ListedPool>>,
}

impl Zfs {
    /// Returns the pool as the two hosts hand it over.
    fn new(table: ZfsTable, around: &Surroundings<'_>) -> Self {
        let later = around.mounts.iter().filter(|mount| mount.volume.is_some());
        Self {
            own: around.own.to_owned(),
            peer: around.peer.to_owned(),
            later: later.map(|mount| mount.at.clone()).collect(),
            kstat: PathBuf::from(kernel::KSTAT),
            calls: Calls::new(around.timeout),
            listed: RefCell::new(None),
            table,
        }
    }

    fn here(&self, run: &mut dyn Run) -> Imported {
        kernel::look(&self.kstat, &self.table.pool, &self.calls, run)
    }

    /// Returns the pool that is imported here.
    fn held_guid(&self, run: &mut dyn Run) -> anyhow::Result<u64> {
        let text = self.calls.text(&["zpool", "get", "-Hp", "-o", "value", "guid", &self.table.pool], run)?;
        text.trim()
            .parse()
            .with_context(|| format!("zpool get guid {} printed \"{}\"", self.table.pool, text.trim()))
    }

    /// Tells by its label who holds a pool that is not imported here.
    fn by_label(&self, run: &mut dyn Run) -> anyhow::Result<State> {
        let label = self.label(run)?;
        let pool = &self.table.pool;
        Ok(match label.use_of {
            Use::Exported => State::Free,
            Use::Other(state) => {
                State::Unknown(format!("the label of {pool} is in state {state}, not in use"))
            }
            Use::Active => match self.is_own(&label) {
                // This host went down with it and nobody took it since: it needs no force, and no proof.
                Ok(true) => State::Held,
                Ok(false) => State::Elsewhere(self.elsewhere(&label, run)?),
                Err(why) => State::Unknown(why),
            },
        })
    }

    /// Tells whether this host wrote a label.
    fn is_own(&self, label: &PoolLabel) -> Result<bool, String> {
        let own = own_hostid();
        match label.hostid {
            Some(hostid) if Some(hostid) == own && label.hostname == kernel_name() => Ok(true),
            Some(hostid) if Some(hostid) == own => Err(format!(
                "{} and this host have the same hostid {hostid:08x}, so ZFS cannot tell them apart; give this one another (zgenhostid -f) and reboot",
                label.hostname
            )),
            _ => Ok(false),
        }
    }

    fn elsewhere(&self, label: &PoolLabel, run: &mut dyn Run) -> anyhow::Result<String> {
        let (pool, holder) = (&self.table.pool, label.holder());
        let last = label.last.and_then(clock::at).map(|time| format!(" at {time}")).unwrap_or_default();
        Ok(match self.listed(run)?.seen {
            LastUse::Active => format!("{pool} is imported on {holder}, which is alive: it writes to it now"),
            LastUse::Quiet | LastUse::Unused if label.is_guarded => {
                format!("{pool} was last used by {holder}{last}, which did not export it and is quiet now")
            }
            LastUse::Quiet | LastUse::Unused => format!(
                "{pool} was last used by {holder}{last}, which did not export it; whether it is alive, the pool does not tell (multihost is off)"
            ),
        })
    }

    /// Returns what is wrong with the pool itself, as it is listed now.
    fn against_health(&self, listed: &ListedPool) -> Option<String> {
        match listed.health.as_str() {
            "ONLINE" => None,
            "DEGRADED" if self.table.degraded => None,
            // Then nothing is said of its devices.
            "UNAVAIL" if listed.seen == LastUse::Active => None,
            "DEGRADED" => Some(format!(
                "{} is DEGRADED: devices are missing or faulty ({}); mend that, or say degraded = true in [asset]",
                self.table.pool,
                listed.faults.join(", ")
            )),
            health => Some(format!("{} is {health}: {}", self.table.pool, listed.status)),
        }
    }

    /// Some versions left an exported pool that looks like one in use. That is said with the version
    /// and left to people: switching multihost off would take the protection from both hosts.
    fn insist_on_agreement(&self, listed: &ListedPool, label: &PoolLabel) -> anyhow::Result<()> {
        if label.use_of == Use::Exported && listed.seen != LastUse::Unused {
            let version =
                std::fs::read_to_string(VERSION).unwrap_or_else(|_| "of unknown version".to_owned());
            bail!(
                "the label of {} says that {} exported it, and yet ZFS ({}) lists it as in use: {}",
                self.table.pool,
                label.holder(),
                version.trim(),
                listed.status
            );
        }
        Ok(())
    }

    /// The label is asked again, at the last moment, whom it names.
    fn insist_on_peer(&self, label: &PoolLabel) -> anyhow::Result<()> {
        if label.use_of == Use::Active && !is_named(&label.hostname, &self.peer) {
            bail!(
                "the label of {} names {} as its last holder, which is neither {} nor {}; nothing that is known of {} proves that it let go",
                self.table.pool,
                label.holder(),
                self.own,
                self.peer,
                self.peer
            );
        }
        Ok(())
    }

    fn import(&self, end: LastRelease, run: &mut dyn Run) -> anyhow::Result<()> {
        // Whoever was alive then may have been fenced since. Listing a quiet pool again would only
        // repeat the activity check that importing it makes.
        let mut listed = self.listed(run)?;
        let mut label = self.label(run)?;
        if listed.seen == LastUse::Active || label.use_of == Use::Exported {
            listed = self.list(run)?;
            label = self.label(run)?;
        }
        self.insist_on_agreement(&listed, &label)?;
        if let Some(why) = self.against_health(&listed) {
            bail!("{why}");
        }
        let mut needed = LastRelease::Clean;
        match (self.by_label(run)?, end) {
            (State::Held | State::Free, _) => {}
            (State::Elsewhere(why), LastRelease::PoweredOff) => {
                self.insist_on_peer(&label)?;
                if listed.seen == LastUse::Active {
                    bail!("{why}");
                }
                needed = LastRelease::PoweredOff;
            }
            (State::Elsewhere(why) | State::Unknown(why), _) => bail!("{why}"),
        }
        let command = self.import_command(needed, &listed.guid.to_string());
        self.listed.take();
        self.calls.expect(&command, run)?;
        match self.here(run) {
            Imported::Yes => Ok(()),
            Imported::Suspended => bail!("{} {SUSPENDED}", self.table.pool),
            Imported::No => bail!("{} says done, and the pool is not imported", show(&command)),
            Imported::Unknown(why) => bail!("{why}"),
        }
    }

    /// `-f` only in place of a host that is gone; never mounted by the import, never remembered.
    fn import_command(&self, end: LastRelease, which: &str) -> Argv {
        let mut command = vec!["zpool", "import"];
        if end == LastRelease::PoweredOff {
            command.push("-f");
        }
        command.extend(["-N", "-o", "cachefile=none"]);
        let mut command: Argv = command.into_iter().map(str::to_owned).collect();
        command.extend(self.search());
        command.push(which.to_owned());
        command
    }

    fn export_command(&self) -> Argv {
        ["zpool", "export", &self.table.pool].map(str::to_owned).to_vec()
    }

    /// Refuses to act on another pool that happens to have the same name.
    fn insist_on_guid(&self, run: &mut dyn Run) -> anyhow::Result<()> {
        let Some(guid) = self.table.guid else { return Ok(()) };
        let held = self.held_guid(run)?;
        if held != guid {
            bail!(
                "another pool named {} is imported here (guid {held}, not {guid}); export that one",
                self.table.pool
            );
        }
        Ok(())
    }
}

impl Asset for Zfs {
    fn title(&self) -> String {
        self.table.pool.clone()
    }

    fn state(&self, run: &mut dyn Run) -> State {
        match self.here(run) {
            Imported::Yes => match self.insist_on_guid(run) {
                Ok(()) => State::Held,
                Err(error) => State::Unknown(format!("{error:#}")),
            },
            Imported::Suspended => State::Unknown(format!("{} {SUSPENDED}", self.table.pool)),
            Imported::Unknown(why) => State::Unknown(why),
            Imported::No => self.by_label(run).unwrap_or_else(|error| State::Unknown(format!("{error:#}"))),
        }
    }

    fn identity(&self, run: &mut dyn Run) -> anyhow::Result<String> {
        let guid = match self.here(run) {
            Imported::Yes => self.held_guid(run)?,
            Imported::No => self.listed(run)?.guid,
            Imported::Suspended => bail!("{} {SUSPENDED}", self.table.pool),
            Imported::Unknown(why) => bail!("{why}"),
        };
        Ok(format!("zfs:{guid}"))
    }

    fn tells_hosts_by_hostid(&self) -> bool {
        true
    }

    /// The transaction group of the export; a pool in use has none that stays.
    fn change_mark(&self, run: &mut dyn Run) -> anyhow::Result<Option<String>> {
        match self.here(run) {
            Imported::No => Ok(Some(format!("txg={}", self.label(run)?.txg))),
            Imported::Yes | Imported::Suspended => Ok(None),
            Imported::Unknown(why) => bail!("{why}"),
        }
    }

    /// Who held it last.
    fn take_mark(&self, run: &mut dyn Run) -> anyhow::Result<Option<String>> {
        match self.here(run) {
            Imported::No => Ok(Some(format!("last={}", self.label(run)?.holder()))),
            Imported::Yes | Imported::Suspended => Ok(None),
            Imported::Unknown(why) => bail!("{why}"),
        }
    }

    fn detection(&self, run: &mut dyn Run) -> Detection {
        if self.here(run) != Imported::No {
            return Detection::Watched;
        }
        match self.label(run) {
            Ok(label) if label.is_guarded => Detection::Watched,
            Ok(_) => Detection::Unwatched(format!("multihost is off on {}", self.table.pool)),
            Err(error) => Detection::Unwatched(format!(
                "nobody can say whether multihost is on on {}: {error:#}",
                self.table.pool
            )),
        }
    }

    fn devices(&self, run: &mut dyn Run) -> Vec<PathBuf> {
        if self.here(run) != Imported::No {
            return Vec::new();
        }
        let leaves = self.listed(run).map(|listed| listed.leaves).unwrap_or_default();
        leaves.iter().flat_map(|leaf| self.candidates(leaf)).collect()
    }

    fn is_on(&self, mount: &Mount) -> bool {
        mount.fstype == "zfs" && datasets::is_of(&self.table.pool, &mount.source.to_string_lossy())
    }

    fn is_read_only_itself(&self, mount: &Mount, run: &mut dyn Run) -> bool {
        let dataset = mount.source.to_string_lossy();
        let ask = ["zfs", "get", "-H", "-o", "value", "readonly", &dataset];
        self.calls.text(&ask, run).is_ok_and(|text| text.trim() == "on")
    }

    fn is_made_of(&self, mount: &Mount, what: &str) -> bool {
        self.is_on(mount) && mount.source.to_string_lossy() == what
    }

    fn volume(&self, mount: &MountTable) -> Volume {
        mount.volume.clone().map_or(Volume::Itself, Volume::Dataset)
    }

    fn is_stuck(&self, run: &mut dyn Run) -> Option<String> {
        (self.here(run) == Imported::Suspended).then(|| format!("{} {SUSPENDED}", self.table.pool))
    }

    fn boot_mounts(&self, run: &mut dyn Run) -> Vec<String> {
        boot::boot_mounts(&self.table.pool, self.here(run) == Imported::Yes, &self.calls, run)
    }

    fn against_taking(&self, end: LastRelease, run: &mut dyn Run) -> Vec<String> {
        if self.here(run) != Imported::No {
            return Vec::new();
        }
        if own_hostid().is_none() {
            return vec![
                "this host has no hostid, by which a pool knows who holds it; zgenhostid, and reboot"
                    .to_owned(),
            ];
        }
        let mut objections = Vec::new();
        match self.listed(run) {
            Ok(listed) => objections.extend(self.against_health(&listed)),
            // Said by the state.
            Err(_) => return objections,
        }
        let agreed = self.label(run).and_then(|label| {
            if end == LastRelease::PoweredOff && self.is_own(&label) == Ok(false) {
                self.insist_on_peer(&label)?;
            }
            self.insist_on_agreement(&self.listed(run)?, &label)
        });
        objections.extend(agreed.err().map(|error| format!("{error:#}")));
        objections
    }

    fn is_alive_elsewhere(&self, run: &mut dyn Run) -> Option<String> {
        let is_active = self.here(run) == Imported::No && self.listed(run).ok()?.seen == LastUse::Active;
        is_active.then(|| self.label(run).ok().and_then(|label| self.elsewhere(&label, run).ok()))?
    }

    fn take(&self, end: LastRelease, run: &mut dyn Run) -> anyhow::Result<()> {
        match self.here(run) {
            Imported::Yes => self.insist_on_guid(run),
            Imported::No => self.import(end, run),
            Imported::Suspended => bail!("{} {SUSPENDED}", self.table.pool),
            Imported::Unknown(why) => bail!("{why}"),
        }
    }

    fn take_commands(&self, end: LastRelease) -> Vec<Argv> {
        // It is known by its guid once it was seen.
        let seen = self.listed.borrow().as_ref().map(|listed| listed.guid);
        vec![self.import_command(
            end,
            &seen.or(self.table.guid).map_or(self.table.pool.clone(), |guid| guid.to_string()),
        )]
    }

    fn release_commands(&self) -> Vec<Argv> {
        vec![self.export_command()]
    }

    fn mount_own(&self, run: &mut dyn Run) -> anyhow::Result<()> {
        datasets::mount_own(&self.table.pool, &self.later, &self.calls, run)
    }

    fn found_mounts(&self, mounts: &Mounts, run: &mut dyn Run) -> Option<anyhow::Result<Vec<MountSpec>>> {
        let ours: Vec<&Mount> = mounts.0.iter().filter(|mount| self.is_on(mount)).collect();
        Some(datasets::as_found(&self.table.pool, &ours, &self.calls, run))
    }

    /// Each of its datasets is mounted where the pool says; a second place shows only a part of it, most often.
    fn mounts_itself(&self, mount: &Mount) -> bool {
        self.is_on(mount) && mount.root == Path::new("/")
    }

    /// An export runs `exportfs -ra`, and what is in no file is then exported no more.
    fn disturbs_shares(&self) -> bool {
        true
    }

    fn let_go(&self, run: &mut dyn Run) -> anyhow::Result<()> {
        match self.here(run) {
            Imported::Yes => {}
            Imported::Suspended => bail!("{} {SUSPENDED}", self.table.pool),
            Imported::Unknown(why) => bail!("{why}"),
            Imported::No if self.by_label(run)? == State::Held => self.import(LastRelease::Clean, run)?,
            Imported::No => return Ok(()),
        }
        self.insist_on_guid(run)?;
        self.unmount_all(run)?;
        self.listed.take();
        self.calls.expect(&self.export_command(), run)
    }
}

impl Zfs {
    /// Unmounts every dataset, before the export does: that unmounts bind mounts of others too,
    /// silently, and when it fails it leaves half of them unmounted.
    fn unmount_all(&self, run: &mut dyn Run) -> anyhow::Result<()> {
        let table = own()?;
        let ours: Vec<&Mount> = table.0.iter().filter(|mount| self.is_on(mount)).collect();
        let strange = datasets::strange(&ours);
        if !strange.is_empty() {
            bail!(
                "something of {} is also mounted at {}; umount it",
                self.table.pool,
                strange.iter().map(|mount| mount.at.display().to_string()).collect::<Vec<_>>().join(", ")
            );
        }
        for mount in ours.iter().rev() {
            self.calls.expect(&crate::mounts::spec::unmount_command(&mount.at), run)?;
        }
        let left = crate::holders::mounts(&|mount| self.is_on(mount));
        if !left.holders.is_empty() {
            let named: Vec<String> = left.holders.iter().map(ToString::to_string).collect();
            bail!("{}", named.join("; "));
        }
        Ok(())
    }
}

/// Returns this host's hostid; `None` for zero, which is no hostid to ZFS.
fn own_hostid() -> Option<u32> {
    u32::from_str_radix(&hostid::read(), 16).ok().filter(|hostid| *hostid != 0)
}

/// Returns the name that this host's kernel writes into labels, whatever the configuration calls it.
fn kernel_name() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Tells whether a label's name means a host of the configuration; one of them may have a domain.
fn is_named(name: &str, host: &str) -> bool {
    let short = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    name == host || (name.contains('.') != host.contains('.') && short(name) == short(host))
}
