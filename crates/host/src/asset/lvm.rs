//! A volume group on devices that both hosts see, owned through LVM's system ID (lvmsystemid(7)).
//!
//! Released, the group is exported: it belongs to nobody, and no host activates it, at boot or by
//! hand. Taken, it is imported, which writes this host's system ID to it; a host that died holding it
//! left its own there, which is replaced only when that host is proven off. What is active here is
//! asked of the kernel; identity is the group's UUID, and its change mark the number of its metadata,
//! which every import and export counts up.
//!
//! Two hosts may import at the same moment: the later one overwrites the other's name. So the name is
//! read again a moment after it was written, and only who still finds its own activates anything.

mod active;
mod report;

use super::kind::{Asset, KindKeys, KindTable, State, Surroundings, Volume};
use crate::asset::mount::MountTable;
use crate::boot;
use crate::last_release::LastRelease;
use crate::mountinfo::Mount;
use crate::platform::Argv;
use anyhow::bail;
use orderly_exec::job::Job;
use orderly_exec::runner::Run;
use orderly_plan::permit::Since;
use report::VolumeGroup;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long after a host wrote its name to the group it reads it again; a write that was under way on
/// the other host has reached the devices by then. In seconds.
const SETTLING: &str = "2";

/// What `ha.toml` says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LvmTable {
    group: String,
}

impl KindTable for LvmTable {
    const WORD: &'static str = "lvm";
    const SAMPLE: &'static str = r#"# A volume group on disks that both hosts see. On both hosts, once: system_id_source = "uname" in /etc/lvm/lvm.conf.
# On the host that has the group, once: vgchange --systemid "$(uname -n)" shared; vgchange --setautoactivation n shared
[asset]
kind = "lvm"
group = "shared"
#timeout = "2m"

[[asset.mount]]
volume = "data"
at = "/srv/shared"
#options = "noatime"
"#;

    /// What lvm(8) takes for the name of a group.
    fn read(keys: &KindKeys<'_>) -> Option<Self> {
        let group = keys.table.need_text("group")?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "+_.-".contains(c);
        if group.is_empty() || group.starts_with(['-', '.']) || !group.chars().all(is_plain) {
            keys.reject("group", format!("\"{group}\" is not the name of a volume group"));
        }
        for mount in keys.mounts.iter().filter(|mount| mount.volume.is_none()) {
            keys.reject("group", format!("the mount at {} does not say which volume", mount.at.display()));
        }
        Some(Self { group })
    }

    fn open(&self, around: &Surroundings<'_>) -> Box<dyn Asset> {
        let (own, peer) = (around.own.to_owned(), around.peer.to_owned());
        Box::new(Lvm { group: self.group.clone(), own, peer, timeout: around.timeout })
    }
}

/// The asset kind `lvm`.
#[derive(Debug)]
struct Lvm {
    group: String,
    /// The name of this host, which must be its system ID, too.
    own: String,
    peer: String,
    timeout: Duration,
}

impl Lvm {
    /// Runs a command and returns what it printed.
    fn command(&self, argv: &[String], run: &mut dyn Run) -> anyhow::Result<String> {
        Ok(run.expect(&Job::new(argv, self.timeout))?.text())
    }

    /// Reads the group from its devices, whoever it belongs to.
    fn read(&self, run: &mut dyn Run) -> anyhow::Result<VolumeGroup> {
        let found = report::groups(&self.command(&report::command(&self.group), run)?)?;
        match <[VolumeGroup; 1]>::try_from(found) {
            Ok([group]) => Ok(group),
            Err(none) if none.is_empty() => bail!(
                "no volume group {} is seen here (where /etc/lvm/devices lists devices, lvmdevices --adddev)",
                self.group
            ),
            Err(several) => {
                let uuids: Vec<&str> = several.iter().map(|group| group.uuid.as_str()).collect();
                bail!(
                    "{} volume groups are named {}: {}; give one another name (vgrename UUID NAME)",
                    several.len(),
                    self.group,
                    uuids.join(" and ")
                )
            }
        }
    }

    /// Insists that this host's system ID is its name: by it the group says whose it is.
    fn insist_on_name(&self, run: &mut dyn Run) -> anyhow::Result<()> {
        let said = self.command(&["lvm", "systemid"].map(str::to_owned), run)?;
        match report::system_id(&said) {
            Some(id) if id == self.own => Ok(()),
            Some(id) => bail!(
                "this host is {id} to LVM, and {} in the configuration; set system_id_source = \"uname\" in /etc/lvm/lvm.conf",
                self.own
            ),
            None => bail!(
                "this host has no system ID, so LVM would let both hosts activate {}; set system_id_source = \"uname\" in /etc/lvm/lvm.conf",
                self.group
            ),
        }
    }

    fn ask(&self, run: &mut dyn Run) -> anyhow::Result<State> {
        let active = active::volumes(&self.group)?;
        let group = match self.read(run) {
            Ok(group) => group,
            // The devices may be gone or dead; what is active is held all the same.
            Err(_) if !active.is_empty() => return Ok(State::Held),
            Err(error) => return Err(error),
        };
        self.insist_on_name(run)?;
        let shown = &self.group;
        let other = active.iter().find(|volume| volume.group != group.plain_uuid());
        Ok(match (active.is_empty(), group.owner()) {
            _ if other.is_some() => {
                State::Unknown(format!("another volume group named {shown} is active here"))
            }
            (false, owner) if owner != Some(&self.own) => State::Unknown(format!(
                "{shown} is active here, but {}",
                owner.map_or("belongs to nobody".to_owned(), |owner| format!("belongs to {owner}"))
            )),
            (_, _) if group.is_exported => State::Free,
            (_, Some(owner)) if owner == self.own => State::Held,
            (_, Some(owner)) => State::Elsewhere(format!("{shown} belongs to {owner}")),
            (_, None) => State::Unknown(format!(
                "{shown} belongs to nobody and is not exported, so any host may have it active; vgchange --systemid NAME {shown} on the host that has it"
            )),
        })
    }

    /// Returns the command that writes this host's name to a group that has the peer's.
    fn rewrite_command(&self) -> Argv {
        let other = format!("local/extra_system_ids=[\"{}\"]", self.peer);
        // Asked whether the other host really does not use it, it is answered: that is proven.
        ["vgchange", "--yes", "--config", &other, "--systemid", &self.own, &self.group]
            .map(str::to_owned)
            .to_vec()
    }

    fn import_command(&self) -> Argv {
        ["vgimport", &self.group].map(str::to_owned).to_vec()
    }

    fn activate_command(&self) -> Argv {
        ["vgchange", "--activate", "y", &self.group].map(str::to_owned).to_vec()
    }

    fn deactivate_command(&self) -> Argv {
        ["vgchange", "--activate", "n", &self.group].map(str::to_owned).to_vec()
    }

    fn export_command(&self) -> Argv {
        ["vgexport", &self.group].map(str::to_owned).to_vec()
    }

    /// Makes sure that the name on the group is still this host's.
    fn settle(&self, run: &mut dyn Run) -> anyhow::Result<()> {
        self.command(&["sleep", SETTLING].map(str::to_owned), run)?;
        let group = self.read(run)?;
        match group.owner() {
            Some(owner) if owner == self.own => Ok(()),
            Some(owner) => bail!("{owner} took {} at the same moment", self.group),
            None => bail!("{} belongs to nobody, although it was just taken", self.group),
        }
    }

    /// Insists that the name on the group is the peer's: of any other host nothing is proven.
    fn insist_on_peer(&self, group: &VolumeGroup) -> anyhow::Result<()> {
        match group.owner() {
            Some(owner) if owner == self.peer => Ok(()),
            owner => bail!("{} belongs to {}, not to {}", self.group, owner.unwrap_or("nobody"), self.peer),
        }
    }

    /// Insists that all devices of the group are here: LVM changes nothing about one that lacks some.
    fn insist_on_devices(&self, group: &VolumeGroup, run: &mut dyn Run) -> anyhow::Result<()> {
        if group.missing == 0 {
            return Ok(());
        }
        let said =
            self.command(&report::missing_command(&self.group), run).and_then(|text| report::missing(&text));
        let named = said.unwrap_or_default();
        let named = if named.is_empty() { String::new() } else { format!(": {}", named.join(", ")) };
        bail!("{} of the devices of {} are missing{named}; bring them back first", group.missing, self.group)
    }
}

impl Asset for Lvm {
    fn title(&self) -> String {
        self.group.clone()
    }

    fn state(&self, run: &mut dyn Run) -> State {
        self.ask(run).unwrap_or_else(|error| State::Unknown(format!("{error:#}")))
    }

    fn identity(&self, run: &mut dyn Run) -> anyhow::Result<String> {
        Ok(format!("lvm:{}", self.read(run)?.uuid))
    }

    fn change_mark(&self, run: &mut dyn Run) -> anyhow::Result<Option<String>> {
        Ok(Some(format!("seqno={}", self.read(run)?.seqno)))
    }

    fn take_mark(&self, run: &mut dyn Run) -> anyhow::Result<Option<String>> {
        self.change_mark(run)
    }

    fn since(&self, then: &str, now: &str) -> Since {
        if then == now {
            return Since::Nothing;
        }
        Since::Unknown(format!(
            "the metadata of {} was changed, as a take does, but also lvextend, lvcreate and vgchange",
            self.group
        ))
    }

    fn devices(&self, run: &mut dyn Run) -> Vec<PathBuf> {
        let said = self.command(&report::devices_command(&self.group), run);
        said.and_then(|text| report::devices(&text)).unwrap_or_default()
    }

    fn take_moves_mark(&self) -> bool {
        true
    }

    fn is_on(&self, mount: &Mount) -> bool {
        let Ok(active) = active::volumes(&self.group) else { return false };
        active.iter().any(|volume| {
            // btrfs shows an anonymous device number, so there the source is compared.
            volume.number == mount.device || Path::new(&mount.source) == active::path(&volume.name)
        })
    }

    fn volume(&self, mount: &MountTable) -> Volume {
        match &mount.volume {
            Some(volume) => Volume::Device(active::device(&self.group, volume)),
            None => Volume::Itself,
        }
    }

    fn is_made_of(&self, mount: &Mount, what: &str) -> bool {
        let Ok(active) = active::volumes(&self.group) else { return false };
        active.iter().any(|volume| {
            active::path(&volume.name) == Path::new(what)
                && (volume.number == mount.device || Path::new(&mount.source) == Path::new(what))
        })
    }

    fn boot_mounts(&self, run: &mut dyn Run) -> Vec<String> {
        let mut found = boot::mounted(&|source| active::is_named(&self.group, source).into());
        let said = self.command(&report::autoactivation_command(&self.group), run);
        match said.and_then(|text| report::is_autoactivated(&text)) {
            Ok(true) => found
                .push(format!("{0} is activated at boot; vgchange --setautoactivation n {0}", self.group)),
            Ok(false) => {}
            Err(error) => {
                found.push(format!("nobody can say whether {} is activated at boot: {error:#}", self.group));
            }
        }
        found
    }

    fn against_taking(&self, end: LastRelease, run: &mut dyn Run) -> Vec<String> {
        let checked = self.read(run).and_then(|group| {
            if end == LastRelease::PoweredOff {
                self.insist_on_peer(&group)?;
            }
            self.insist_on_devices(&group, run)
        });
        checked.err().map(|error| format!("{error:#}")).into_iter().collect()
    }

    fn take_commands(&self, end: LastRelease) -> Vec<Argv> {
        let first = match end {
            LastRelease::Clean | LastRelease::OwnCrash => self.import_command(),
            LastRelease::PoweredOff => self.rewrite_command(),
        };
        vec![first, self.activate_command()]
    }

    fn release_commands(&self) -> Vec<Argv> {
        vec![self.deactivate_command(), self.export_command()]
    }

    fn take(&self, end: LastRelease, run: &mut dyn Run) -> anyhow::Result<()> {
        match (self.state(run), end) {
            (State::Held, _) => {}
            (State::Free, _) => {
                self.insist_on_devices(&self.read(run)?, run)?;
                self.command(&self.import_command(), run)?;
                self.settle(run)?;
            }
            (State::Elsewhere(_), LastRelease::PoweredOff) => {
                let group = self.read(run)?;
                self.insist_on_devices(&group, run)?;
                self.insist_on_peer(&group)?;
                self.command(&self.rewrite_command(), run)?;
                self.settle(run)?;
            }
            (State::Elsewhere(why) | State::Unknown(why), _) => bail!("{why}"),
        }
        self.command(&self.activate_command(), run).map(drop)
    }

    fn let_go(&self, run: &mut dyn Run) -> anyhow::Result<()> {
        if !active::volumes(&self.group)?.is_empty() {
            self.command(&self.deactivate_command(), run)?;
        }
        match self.state(run) {
            State::Held => self.command(&self.export_command(), run).map(drop),
            // What another host has, or nobody, is not ours to let go of.
            State::Free | State::Elsewhere(_) => Ok(()),
            State::Unknown(why) => bail!("{why}"),
        }
    }
}
