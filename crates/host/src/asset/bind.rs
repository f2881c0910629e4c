//! A folder that is bind mounted on the host that holds it; for demonstrations and tests.
//!
//! Both hosts must see the folder, so it lies on storage of which the two share one kernel or one
//! file server. Its identity is the file system's id with the folder's inode. Who holds it and how
//! often it was let go stands in a file beside the data, `.orderly-mark`. Letting go counts up the
//! change mark; while it is held, the holder's name there keeps the other host away.

use super::kind::{Asset, KindKeys, KindTable, State, Surroundings, Volume};
use crate::asset::mount::MountTable;
use crate::last_release::LastRelease;
use crate::mountinfo::{Device, Mount, own};
use anyhow::{Context, bail};
use orderly_exec::files::{self, Found};
use orderly_exec::runner::Run;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const FORMAT: &str = "orderly-bind/1";
const MARK: &str = ".orderly-mark";

/// What `ha.toml` says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BindTable {
    source: PathBuf,
}

impl KindTable for BindTable {
    const WORD: &'static str = "bind";
    const SAMPLE: &'static str = r#"# A directory that both hosts see, for demonstrations and tests.
[asset]
kind = "bind"
source = "/srv/source"

[[asset.mount]]
at = "/srv/shared"
"#;

    fn read(keys: &KindKeys<'_>) -> Option<Self> {
        keys.table.need("source");
        let source = keys.table.absolute_path("source")?;
        if keys.mounts.len() != 1 {
            keys.reject("source", "kind bind needs exactly one [[asset.mount]]");
        }
        for MountTable { at, .. } in keys.mounts {
            if at.starts_with(&source) || source.starts_with(at) {
                keys.reject("source", format!("and the mount at {} cover one another", at.display()));
            }
        }
        Some(Self { source })
    }

    fn open(&self, around: &Surroundings<'_>) -> Box<dyn Asset> {
        Box::new(Bind::new(&self.source, around.own, around.peer))
    }
}

/// The asset kind `bind`.
#[derive(Debug)]
struct Bind {
    source: PathBuf,
    own: String,
    peer: String,
    /// Where the folder lies, found when the program began, before anything is mounted over it.
    place: Option<(Device, PathBuf)>,
}

/// The text of `.orderly-mark`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BindMark {
    format: String,
    holder: Option<String>,
    change: u64,
}

impl Bind {
    /// Returns the folder as the hosts `own` and `peer` hand it over.
    fn new(source: &Path, own: &str, peer: &str) -> Self {
        let place = locate(source).ok();
        Self { source: source.to_owned(), own: own.to_owned(), peer: peer.to_owned(), place }
    }

    fn read(&self) -> anyhow::Result<BindMark> {
        let path = self.source.join(MARK);
        let Found::Text(text) = files::read_if_there(&path)? else { return Ok(BindMark::default()) };
        let mark: BindMark =
            serde_json::from_str(&text).with_context(|| format!("read {}", path.display()))?;
        if mark.format != FORMAT {
            bail!("{}: format {} is not {FORMAT}", path.display(), mark.format);
        }
        Ok(mark)
    }

    /// Keeps other programs away from the mark while it is read and written: of two hosts that take the
    /// folder at the same moment, the second finds the name of the first.
    fn alone<T>(&self, act: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let attempt = || format!("lock {}", self.source.display());
        let folder = File::open(&self.source).with_context(attempt)?;
        flock(&folder, FlockOperation::LockExclusive).with_context(attempt)?;
        act()
    }

    fn write(&self, holder: Option<&str>) -> anyhow::Result<()> {
        let before = self.read()?;
        if !before.format.is_empty() && before.holder.as_deref() == holder {
            return Ok(());
        }
        let mark = BindMark {
            format: FORMAT.to_owned(),
            holder: holder.map(str::to_owned),
            change: before.change + 1,
        };
        files::replace_with_mode(
            &self.source.join(MARK),
            format!("{}\n", serde_json::to_string(&mark)?).as_bytes(),
            0o600,
        )
    }

    fn ask(&self) -> anyhow::Result<State> {
        std::fs::metadata(&self.source).with_context(|| format!("find {}", self.source.display()))?;
        let mark = self.read()?;
        let holder = mark.holder;
        let foreign = holder.as_deref() == Some(self.peer.as_str());
        // Taken and not yet mounted is held too: the peer must not take it in between.
        let held =
            holder.as_deref() == Some(self.own.as_str()) || own()?.0.iter().any(|mount| self.is_on(mount));
        Ok(match (held, foreign) {
            (true, false) => State::Held,
            // Mounted by hand on the peer, it would look the same.
            (false, false) if mark.format.is_empty() => State::Elsewhere(format!(
                "{} was never released, so {} may hold it",
                self.source.display(),
                self.peer
            )),
            (false, false) => State::Free,
            (false, true) => State::Elsewhere(format!("{} holds {}", self.peer, self.source.display())),
            (true, true) => State::Unknown(format!(
                "{} is mounted here, but its {MARK} says that {} holds it",
                self.source.display(),
                self.peer
            )),
        })
    }
}

impl Asset for Bind {
    fn title(&self) -> String {
        self.source.display().to_string()
    }

    fn state(&self, _run: &mut dyn Run) -> State {
        self.ask().unwrap_or_else(|error| State::Unknown(format!("{error:#}")))
    }

    fn identity(&self, _run: &mut dyn Run) -> anyhow::Result<String> {
        let attempt = || format!("find {}", self.source.display());
        let inode = std::fs::metadata(&self.source).with_context(attempt)?.ino();
        let filesystem = nix::sys::statvfs::statvfs(&self.source).with_context(attempt)?.filesystem_id();
        Ok(format!("bind:{filesystem:x}:{inode}"))
    }

    fn change_mark(&self, _run: &mut dyn Run) -> anyhow::Result<Option<String>> {
        let mark = self.read()?;
        Ok(Some(format!("change={}", mark.change)))
    }

    fn take_moves_mark(&self) -> bool {
        true
    }

    fn is_on(&self, mount: &Mount) -> bool {
        let Some((device, root)) = &self.place else { return false };
        // What the source itself lies on shows it too, but is not ours to unmount.
        mount.device == *device && mount.root.starts_with(root) && !self.source.starts_with(&mount.at)
    }

    fn folder(&self) -> Option<&Path> {
        Some(&self.source)
    }

    /// Who holds it is written there.
    fn against_releasing(&self) -> Option<String> {
        let noted = files::check_writable(&self.source).context("note who holds the asset");
        noted.err().map(|error| format!("{error:#}"))
    }

    fn against_taking(&self, _end: LastRelease, _run: &mut dyn Run) -> Vec<String> {
        self.against_releasing().into_iter().collect()
    }

    fn volume(&self, _mount: &MountTable) -> Volume {
        Volume::Folder(self.source.to_string_lossy().into_owned())
    }

    fn take(&self, end: LastRelease, run: &mut dyn Run) -> anyhow::Result<()> {
        self.alone(|| match (self.state(run), end) {
            (State::Held | State::Free, _) | (State::Elsewhere(_), LastRelease::PoweredOff) => {
                self.write(Some(&self.own))
            }
            (State::Elsewhere(why) | State::Unknown(why), _) => bail!("{why}"),
        })
    }

    fn claim(&self) -> anyhow::Result<()> {
        self.alone(|| match self.ask()? {
            State::Held => self.write(Some(&self.own)),
            State::Free | State::Elsewhere(_) | State::Unknown(_) => Ok(()),
        })
    }

    fn let_go(&self, _run: &mut dyn Run) -> anyhow::Result<()> {
        self.alone(|| {
            if self.read()?.holder.as_deref() == Some(self.peer.as_str()) {
                // What the peer holds is not ours to let go of.
                return Ok(());
            }
            self.write(None)
        })
    }
}

fn locate(source: &Path) -> anyhow::Result<(Device, PathBuf)> {
    let resolved = std::fs::canonicalize(source).with_context(|| format!("find {}", source.display()))?;
    own()?.locate(&resolved).with_context(|| format!("find the mount of {}", source.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_counts_every_letting_go_and_names_the_holder() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source");
        std::fs::create_dir(&source).unwrap();
        let (one, two) = (Bind::new(&source, "ec1", "ec2"), Bind::new(&source, "ec2", "ec1"));
        let run = &mut Nothing;
        assert_eq!(one.identity(run).unwrap(), two.identity(run).unwrap());
        one.let_go(run).unwrap();
        let released = one.change_mark(run).unwrap();
        one.let_go(run).unwrap();
        assert_eq!(one.change_mark(run).unwrap(), released, "letting go twice is letting go once");
        two.take(LastRelease::Clean, run).unwrap();
        assert!(matches!(one.state(run), State::Elsewhere(_)));
        assert!(one.take(LastRelease::Clean, run).is_err(), "never both");
        one.let_go(run).unwrap();
        assert!(matches!(one.state(run), State::Elsewhere(_)), "not ours to let go of");
        two.let_go(run).unwrap();
        assert_eq!(one.state(run), State::Free);
        assert_ne!(one.change_mark(run).unwrap(), released);
    }

    /// Nothing is run here.
    struct Nothing;

    impl Run for Nothing {
        fn run(&mut self, job: &orderly_exec::job::Job) -> orderly_exec::job::Ended {
            panic!("ran {}", job.shown())
        }
    }
}
