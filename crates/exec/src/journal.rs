//! The memory of a hand-over: JSON lines on the local disk, each synced before the run goes on.
//!
//! The first line names the program, the host and the plan with everything needed to undo it, so
//! that a run killed at any point can be finished by the next one. A torn last line is cut off: its
//! action was never begun, or its step is in doubt and asked again. Anything else that cannot be
//! read is rejected with its byte offset; a journal is never repaired by guessing.
//!
//! Invariant: a journal cut at any byte is read as a beginning of itself or rejected
//! (`a_journal_cut_at_any_byte_is_read_as_a_beginning_or_rejected`).

use crate::status::{OrStatus, Status, fail};
use crate::{clock, files, room};
use anyhow::Context;
use orderly_plan::record::{FORMAT, Line};
use orderly_plan::step::Record;
use orderly_plan::step::{Plan, Progress};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The first line of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header<A> {
    pub format: String,
    pub program: String,
    pub version: String,
    pub host: String,
    pub boot_id: String,
    pub at: String,
    /// Fingerprint of what was asked for: the configuration and what is left out.
    pub digest: String,
    pub plan: Plan<A>,
}

/// A journal as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored<A> {
    pub header: Header<A>,
    pub lines: Vec<Line>,
    /// How many bytes are whole; what is behind them is torn.
    whole: u64,
}

impl<A> Stored<A> {
    /// Tells whether its run is over.
    pub fn is_closed(&self) -> bool {
        self.lines.last().is_some_and(|line| line.verdict.is_some())
    }

    /// Returns the records, without the closing line.
    pub fn records(&self) -> Vec<Record> {
        self.lines.iter().filter_map(|line| line.record(&self.header.plan).ok().flatten()).collect()
    }
}

/// Reads a journal; `None` when there is none.
///
/// # Errors
/// Rejected (3), with the byte offset of what cannot be read or cannot follow what is before it.
pub fn read<A: Serialize + DeserializeOwned>(path: &Path) -> anyhow::Result<Option<Stored<A>>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(error)
                .with_context(|| format!("read {}", path.display()))
                .or_status(Status::Rejected);
        }
    };
    parse(&bytes).map(Some).map_err(|(offset, why)| {
        fail(
            Status::Rejected,
            format!("{}: byte {offset}: {why}; look at it, then use --new-plan", path.display()),
        )
    })
}

/// Reads the bytes of a journal.
///
/// # Errors
/// The byte offset of what cannot be read, and why.
pub fn parse<A: DeserializeOwned>(bytes: &[u8]) -> Result<Stored<A>, (usize, String)> {
    let mut whole = 0;
    let mut stored: Option<Stored<A>> = None;
    let mut records = Vec::new();
    for piece in bytes.split_inclusive(|&byte| byte == b'\n').filter(|piece| piece.ends_with(b"\n")) {
        let wrong = |why: String| (whole, why);
        match &mut stored {
            None => {
                let header: Header<A> =
                    serde_json::from_slice(piece).map_err(|error| wrong(error.to_string()))?;
                check_format(&header.format).map_err(wrong)?;
                stored = Some(Stored { header, lines: Vec::new(), whole: 0 });
            }
            Some(stored) => {
                let line: Line = serde_json::from_slice(piece).map_err(|error| wrong(error.to_string()))?;
                check_format(&line.format).map_err(wrong)?;
                if stored.is_closed() {
                    return Err(wrong("a record after the end".to_owned()));
                }
                records.extend(line.record(&stored.header.plan).map_err(wrong)?);
                Progress::replay(&stored.header.plan, &records)
                    .map_err(|illegal| wrong(illegal.to_string()))?;
                stored.lines.push(line);
            }
        }
        whole += piece.len();
    }
    let mut stored = stored.ok_or_else(|| (0, "the first line is not whole".to_owned()))?;
    stored.whole = whole as u64;
    Ok(stored)
}

fn check_format(format: &str) -> Result<(), String> {
    if format == FORMAT { Ok(()) } else { Err(format!("format {format} is not {FORMAT}")) }
}

/// A journal that is being written.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
}

impl Journal {
    /// Begins a journal; an earlier one is kept beside it.
    ///
    /// # Errors
    /// Refused (4) when it cannot be written: without a journal nothing is begun.
    pub fn begin<A: Serialize>(path: &Path, header: &Header<A>) -> anyhow::Result<Self> {
        let begin = || -> anyhow::Result<Self> {
            if let Some(folder) = path.parent() {
                files::private_directory(folder)?;
            }
            set_aside(path)?;
            files::replace_with_mode(
                path,
                format!("{}\n", serde_json::to_string(header)?).as_bytes(),
                0o600,
            )?;
            Self::append_to(path)
        };
        begin().or_status(Status::Refused)
    }

    /// Goes on with a journal that was read, its torn end cut off.
    ///
    /// # Errors
    /// Refused (4) when it cannot be written.
    pub fn go_on<A>(path: &Path, stored: &Stored<A>) -> anyhow::Result<Self> {
        let go_on = || -> anyhow::Result<Self> {
            let journal = Self::append_to(path)?;
            journal
                .file
                .set_len(stored.whole)
                .with_context(|| format!("cut the torn end off {}", path.display()))?;
            journal.file.sync_all().with_context(|| format!("sync {}", path.display()))?;
            Ok(journal)
        };
        go_on().or_status(Status::Refused)
    }

    /// Appends a line and syncs it.
    ///
    /// # Errors
    /// When the disk takes it no more.
    pub fn append(&mut self, line: &Line) -> anyhow::Result<()> {
        let attempt = || format!("write {}", self.path.display());
        let mut text = serde_json::to_string(line).with_context(attempt)?;
        text.push('\n');
        // One write, so that a crash tears at most this line.
        let end = self.file.metadata().with_context(attempt)?.len();
        let file = &mut self.file;
        let written = room::with_room(|| {
            // What a full disk took of it is written anew.
            file.set_len(end)?;
            file.write_all(text.as_bytes())?;
            file.sync_data()
        });
        written.with_context(attempt)
    }

    fn append_to(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .custom_flags(nix::libc::O_NOFOLLOW)
            .open(path)
            .with_context(|| format!("open {}", path.display()))?;
        Ok(Self { file, path: path.to_owned() })
    }
}

/// Moves a journal out of the way, for people to look at.
///
/// # Errors
/// Names the file.
pub fn set_aside(path: &Path) -> anyhow::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".last");
    match std::fs::rename(path, &aside) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("move {} aside", path.display()))
        }
        _ => Ok(()),
    }
}

/// Returns the first line of a journal of this run.
pub fn header<A>(program: &str, version: &str, host: &str, digest: String, plan: Plan<A>) -> Header<A> {
    Header {
        format: FORMAT.to_owned(),
        program: program.to_owned(),
        version: version.to_owned(),
        host: host.to_owned(),
        boot_id: boot_id(),
        at: clock::now(),
        digest,
        plan,
    }
}

/// Returns the kernel's id of this boot, empty when it does not tell.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use orderly_plan::step::{Step, StepId, StepName, Undo, Verdict};
    use std::os::unix::fs::MetadataExt;

    fn sample(path: &Path) -> Stored<u8> {
        let steps = ["stop a", "unmount b"]
            .map(|name| Step { name: StepName(name.into()), action: 1u8, undo: Undo::Action(2) })
            .to_vec();
        let header = header("ha-release", "0.1.0", "ec1", "d".into(), Plan { steps });
        let mut journal = Journal::begin(path, &header).unwrap();
        for record in [
            Record::Started(StepId(0)),
            Record::Done(StepId(0)),
            Record::Started(StepId(1)),
            Record::Failed(StepId(1)),
            Record::UndoStarted(StepId(1)),
            Record::Undone(StepId(1)),
            Record::UndoStarted(StepId(0)),
            Record::Undone(StepId(0)),
        ] {
            journal.append(&Line::of(record, &header.plan, "t".into(), Some("why \u{e4}".into()))).unwrap();
        }
        journal.append(&Line::closed(Verdict::Unwound, "t".into())).unwrap();
        read(path).unwrap().unwrap()
    }

    #[test]
    fn a_journal_cut_at_any_byte_is_read_as_a_beginning_or_rejected() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/journal");
        let whole = sample(&path);
        let bytes = std::fs::read(&path).unwrap();
        let first = bytes.iter().position(|&byte| byte == b'\n').unwrap();
        for cut in 0..bytes.len() {
            match parse::<u8>(&bytes[..cut]) {
                Ok(stored) => {
                    assert!(cut > first);
                    assert_eq!(stored.header, whole.header);
                    assert_eq!(stored.lines, whole.lines[..stored.lines.len()]);
                }
                Err((offset, _)) => assert!(cut <= first && offset == 0),
            }
        }
    }

    #[test]
    fn a_torn_end_is_cut_before_anything_is_appended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        sample(&path);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 7]).unwrap();
        let stored = read::<u8>(&path).unwrap().unwrap();
        assert!(!stored.is_closed());
        let mut journal = Journal::go_on(&path, &stored).unwrap();
        journal.append(&Line::closed(Verdict::Unwound, "t".into())).unwrap();
        assert!(read::<u8>(&path).unwrap().unwrap().is_closed());
    }

    #[test]
    fn a_changed_line_is_rejected_with_its_offset() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        sample(&path);
        let text = std::fs::read_to_string(&path).unwrap();
        for (from, to) in
            [("\"done\"", "\"dome\""), ("\"undone\"", "\"done\""), ("stop a\",\"detail", "stop b\",\"detail")]
        {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            std::fs::write(&path, &changed).unwrap();
            let error = read::<u8>(&path).unwrap_err();
            assert_eq!(error.downcast_ref(), Some(&Status::Rejected));
            assert!(format!("{error:#}").contains(": byte "), "{error:#}");
        }
        // A whole record behind the end.
        let last = text.lines().nth(1).unwrap();
        std::fs::write(&path, format!("{text}{last}\n")).unwrap();
        assert!(read::<u8>(&path).is_err());
    }

    #[test]
    fn only_the_owner_sees_a_journal_and_the_one_before_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/journal");
        sample(&path);
        sample(&path);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        assert!(dir.path().join("state/journal.last").exists());
        assert_eq!(read::<u8>(&dir.path().join("none")).unwrap(), None);
    }
}
