//! An asset of any kind, through the site's own commands.

use super::kind::{Asset, End, State, Volume};
use crate::config::{Argv, MountTable};
use crate::mountinfo::{self, Mount};
use anyhow::{Context, bail};
use orderly_exec::job::{Job, show};
use orderly_exec::runner::Run;
use std::path::PathBuf;
use std::time::Duration;

/// What an asset without a command to release it means.
const NEVER: &str =
    "the asset cannot be released (asset.release is not configured); only a powered-off host lets go of it";

/// The asset kind `command`.
#[derive(Debug)]
pub struct Command {
    pub identity: Argv,
    /// Prints `held`, `free` or `elsewhere`.
    pub state: Argv,
    pub mark: Option<Argv>,
    pub take: Argv,
    /// In place of `take` after an unclean end.
    pub take_dead: Option<Argv>,
    pub release: Option<Argv>,
    /// Where it is mounted.
    pub mounts: Vec<PathBuf>,
    /// Those that taking it mounts.
    pub mounted_by_take: Vec<PathBuf>,
    pub timeout: Duration,
}

impl Command {
    fn run(&self, argv: &Argv, run: &mut dyn Run) -> anyhow::Result<String> {
        Ok(run.expect(&Job::new(argv, self.timeout))?.text().trim().to_owned())
    }

    /// Tells whether all that taking it mounts is mounted: a run may have been killed amid the command.
    fn is_whole(&self) -> anyhow::Result<bool> {
        if self.mounted_by_take.is_empty() {
            return Ok(true);
        }
        let mounts = mountinfo::own()?;
        Ok(self.mounted_by_take.iter().all(|at| mounts.at(at).is_some()))
    }

    fn word(&self, argv: &Argv, run: &mut dyn Run) -> anyhow::Result<String> {
        let said = self.run(argv, run)?;
        if said.is_empty() || said.contains('\n') {
            bail!("{} must print one line", show(argv));
        }
        Ok(said)
    }
}

impl Asset for Command {
    fn title(&self) -> String {
        self.mounts.first().map_or_else(|| "the asset".to_owned(), |at| at.display().to_string())
    }

    fn state(&self, run: &mut dyn Run) -> State {
        match self.run(&self.state, run) {
            Ok(said) => match said.as_str() {
                "held" => State::Held,
                "free" => State::Free,
                "elsewhere" => State::Elsewhere(format!("{} says so", show(&self.state))),
                other => State::Unknown(format!(
                    "{} says \"{other}\", not held, free or elsewhere",
                    show(&self.state)
                )),
            },
            Err(error) => State::Unknown(format!("{error:#}")),
        }
    }

    fn identity(&self, run: &mut dyn Run) -> anyhow::Result<String> {
        self.word(&self.identity, run).context("ask for the identity of the asset")
    }

    fn mark(&self, run: &mut dyn Run) -> anyhow::Result<Option<String>> {
        self.mark
            .as_ref()
            .map(|argv| self.word(argv, run))
            .transpose()
            .context("ask for the change mark of the asset")
    }

    fn take_mark(&self, run: &mut dyn Run) -> anyhow::Result<Option<String>> {
        self.mark(run)
    }

    fn is_on(&self, mount: &Mount) -> bool {
        self.mounts.iter().any(|at| mount.at.starts_with(at))
    }

    fn has_mounts(&self) -> bool {
        !self.mounts.is_empty()
    }

    fn volume(&self, mount: &MountTable) -> Volume {
        mount.volume.clone().map_or(Volume::Itself, Volume::Device)
    }

    fn take(&self, end: End, run: &mut dyn Run) -> anyhow::Result<()> {
        // Asked once more: between the look beforehand and this lies everything that came first.
        let argv = match (self.state(run), end) {
            // Whoever wrote the command need not expect to be called a second time.
            (State::Held, _) if self.is_whole()? => return Ok(()),
            (State::Held | State::Free, End::Clean) => &self.take,
            (State::Elsewhere(why) | State::Unknown(why), End::Clean) => bail!("{why}"),
            // The site's command is asked: this host had it, and the peer has not.
            (_, End::OwnCrash) => &self.take,
            (_, End::PoweredOff) => self.take_dead.as_ref().unwrap_or(&self.take),
        };
        self.run(argv, run).map(drop)
    }

    fn take_commands(&self, end: End) -> Vec<Argv> {
        match end {
            End::Clean | End::OwnCrash => vec![self.take.clone()],
            End::PoweredOff => vec![self.take_dead.as_ref().unwrap_or(&self.take).clone()],
        }
    }

    fn release_commands(&self) -> Vec<Argv> {
        self.release.iter().cloned().collect()
    }

    fn against_releasing(&self) -> Option<String> {
        self.release.is_none().then(|| NEVER.to_owned())
    }

    fn let_go(&self, run: &mut dyn Run) -> anyhow::Result<()> {
        match &self.release {
            Some(argv) => self.run(argv, run).map(drop),
            None => bail!("{NEVER}"),
        }
    }
}
