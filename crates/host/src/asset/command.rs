//! An asset of any kind, through the site's own commands.

use super::kind::{Asset, KindKeys, KindTable, State, Surroundings, Volume};
use crate::asset::mount::MountTable;
use crate::last_release::LastRelease;
use crate::mountinfo::{self, Mount};
use crate::platform::Argv;
use anyhow::{Context, bail};
use orderly_exec::job::{Job, show};
use orderly_exec::runner::Run;
use serde::Serialize;
use std::time::Duration;

/// What an asset without a command to release it means.
const NEVER: &str =
    "the asset cannot be released (asset.release is not configured); only a powered-off host lets go of it";

/// What `ha.toml` says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommandTable {
    identity: Argv,
    /// Prints `held`, `free` or `elsewhere`.
    state: Argv,
    mark: Option<Argv>,
    take: Argv,
    /// In place of `take` after an unclean end.
    take_dead: Option<Argv>,
    release: Option<Argv>,
}

impl KindTable for CommandTable {
    const WORD: &'static str = "command";
    const ON_SOLARIS: bool = true;
    const SAMPLE: &'static str = r#"# Storage that the site's own commands take and let go of; ha.toml(5) says what each one must print.
[asset]
kind = "command"
identity = ["/usr/local/sbin/myasset", "id"]         # an id that both hosts see alike
state = ["/usr/local/sbin/myasset", "state"]         # held, free or elsewhere
mark = ["/usr/local/sbin/myasset", "mark"]           # what changes whenever the asset was held
take = ["/usr/local/sbin/myasset", "take"]
release = ["/usr/local/sbin/myasset", "release"]
# Instead of take, once the peer is proven off.
#take_dead = ["/usr/local/sbin/myasset", "take", "--peer-is-off"]
#timeout = "2m"

[[asset.mount]]
at = "/srv/shared"
# The device, where take does not mount it.
#volume = "/dev/mapper/myasset"
"#;

    fn read(keys: &KindKeys<'_>) -> Option<Self> {
        for key in ["identity", "state", "take"] {
            keys.table.need(key);
        }
        let argv = |key| keys.table.argv(key);
        let (mark, take_dead, release) = (argv("mark"), argv("take_dead"), argv("release"));
        let (identity, state, take) = (argv("identity"), argv("state"), argv("take"));
        Some(Self { identity: identity?, state: state?, mark, take: take?, take_dead, release })
    }

    fn open(&self, around: &Surroundings<'_>) -> Box<dyn Asset> {
        let (mounts, timeout) = (around.mounts.to_vec(), around.timeout);
        Box::new(CommandAsset { table: self.clone(), mounts, timeout })
    }
}

/// The asset kind `command`.
#[derive(Debug)]
struct CommandAsset {
    table: CommandTable,
    mounts: Vec<MountTable>,
    timeout: Duration,
}

impl CommandAsset {
    fn run(&self, argv: &Argv, run: &mut dyn Run) -> anyhow::Result<String> {
        Ok(run.expect(&Job::new(argv, self.timeout))?.text().trim().to_owned())
    }

    /// Tells whether all that taking it mounts is mounted: a run may have been killed amid the command.
    fn is_whole(&self) -> anyhow::Result<bool> {
        let mut by_take = self.mounts.iter().filter(|mount| mount.volume.is_none()).peekable();
        if by_take.peek().is_none() {
            return Ok(true);
        }
        let mounts = mountinfo::own()?;
        Ok(by_take.all(|mount| mounts.at(&mount.at).is_some()))
    }

    fn word(&self, argv: &Argv, run: &mut dyn Run) -> anyhow::Result<String> {
        let said = self.run(argv, run)?;
        if said.is_empty() || said.contains('\n') {
            bail!("{} must print one line", show(argv));
        }
        Ok(said)
    }
}

impl Asset for CommandAsset {
    fn title(&self) -> String {
        self.mounts.first().map_or_else(|| "the asset".to_owned(), |mount| mount.at.display().to_string())
    }

    /// Its title names a place, and without one says nothing.
    fn known_as(&self) -> String {
        if self.mounts.is_empty() { show(&self.table.identity) } else { self.title() }
    }

    fn state(&self, run: &mut dyn Run) -> State {
        match self.run(&self.table.state, run) {
            Ok(said) => match said.as_str() {
                "held" => State::Held,
                "free" => State::Free,
                "elsewhere" => State::Elsewhere(format!("{} says so", show(&self.table.state))),
                other => State::Unknown(format!(
                    "{} says \"{other}\", not held, free or elsewhere",
                    show(&self.table.state)
                )),
            },
            Err(error) => State::Unknown(format!("{error:#}")),
        }
    }

    fn identity(&self, run: &mut dyn Run) -> anyhow::Result<String> {
        self.word(&self.table.identity, run).context("ask for the identity of the asset")
    }

    fn change_mark(&self, run: &mut dyn Run) -> anyhow::Result<Option<String>> {
        self.table
            .mark
            .as_ref()
            .map(|argv| self.word(argv, run))
            .transpose()
            .context("ask for the change mark of the asset")
    }

    fn take_mark(&self, run: &mut dyn Run) -> anyhow::Result<Option<String>> {
        self.change_mark(run)
    }

    fn is_on(&self, mount: &Mount) -> bool {
        self.mounts.iter().any(|ours| mount.at.starts_with(&ours.at))
    }

    fn has_mounts(&self) -> bool {
        !self.mounts.is_empty()
    }

    fn volume(&self, mount: &MountTable) -> Volume {
        mount.volume.clone().map_or(Volume::Itself, Volume::Device)
    }

    fn take(&self, end: LastRelease, run: &mut dyn Run) -> anyhow::Result<()> {
        // Asked once more: between the look beforehand and this lies everything that came first.
        let argv = match (self.state(run), end) {
            // Whoever wrote the command need not expect to be called a second time.
            (State::Held, _) if self.is_whole()? => return Ok(()),
            (State::Held | State::Free, LastRelease::Clean) => &self.table.take,
            (State::Elsewhere(why) | State::Unknown(why), LastRelease::Clean) => bail!("{why}"),
            // The site's command is asked: this host had it, and the peer has not.
            (_, LastRelease::OwnCrash) => &self.table.take,
            (_, LastRelease::PoweredOff) => self.table.take_dead.as_ref().unwrap_or(&self.table.take),
        };
        self.run(argv, run).map(drop)
    }

    fn take_commands(&self, end: LastRelease) -> Vec<Argv> {
        match end {
            LastRelease::Clean | LastRelease::OwnCrash => vec![self.table.take.clone()],
            LastRelease::PoweredOff => {
                vec![self.table.take_dead.as_ref().unwrap_or(&self.table.take).clone()]
            }
        }
    }

    fn release_commands(&self) -> Vec<Argv> {
        self.table.release.iter().cloned().collect()
    }

    fn against_releasing(&self) -> Option<String> {
        self.table.release.is_none().then(|| NEVER.to_owned())
    }

    fn let_go(&self, run: &mut dyn Run) -> anyhow::Result<()> {
        match &self.table.release {
            Some(argv) => self.run(argv, run).map(drop),
            None => bail!("{NEVER}"),
        }
    }
}
