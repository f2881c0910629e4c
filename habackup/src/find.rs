//! `--find`: in which snapshots a path is, and where it changed.
//!
//! All manifests are read side by side, each in passing: they stand in one order, so what is known of one path is
//! printed before the next one is looked at, and memory grows with the snapshots alone.

use crate::args::Args;
use crate::comparison::{Aspect, aspects};
use crate::id::SnapshotName;
use crate::list;
use crate::manifest::{Entry, Kind, ManifestReader, Remark};
use crate::path_bytes::PathBytes;
use crate::progress::show_bytes;
use crate::report::{shown, words};
use crate::store::Store;
use orderly_exec::reporter::Reporter;
use orderly_exec::runner::Runner;
use orderly_exec::{Status, clock, fail};
use orderly_host::exclude::Excludes;
use serde::Serialize;

/// How many entries go by between two looks at the signals.
const STRIDE: u32 = 4096;

/// Finds what a pattern matches.
///
/// # Errors
/// See the exit-status table in the manual page.
pub fn run(args: &Args, runner: &mut Runner, reporter: &mut Reporter) -> anyhow::Result<Status> {
    let Some(text) = &args.find else { return Err(fail(Status::Usage, "--find takes a pattern")) };
    let pattern =
        Excludes::one(text).map_err(|why| fail(Status::Usage, format!("the pattern \"{text}\" {why}")))?;
    list::no_operands(args, "--find")?;
    let Some(store) = list::open_to_read(args, runner, reporter)? else { return Ok(Status::Done) };
    let names = store.snapshots()?;
    let mut search = Search { pattern, steps: 0, unreadable: Vec::new() };
    let mut cursors: Vec<Cursor> = names
        .iter()
        .filter_map(|&name| search.begin(&store, name, runner).transpose())
        .collect::<Result<_, _>>()?;
    let mut found = 0_u64;
    while let Some(path) = next_path(&cursors) {
        let mut history = History::default();
        for cursor in &mut cursors {
            let entry = cursor.next.take_if(|entry| entry.path == path);
            history.note(cursor.name, &cursor.host, entry.as_ref());
            if entry.is_some() {
                search.go_on(cursor, runner)?;
            }
        }
        found += 1;
        tell(&path, history, reporter);
    }
    for Remark { path, reason } in &search.unreadable {
        reporter.warn(format!("{path} cannot be read, and what it has may be missing here: {reason}"));
    }
    if found == 0 {
        reporter.warn(format!("no path in {} snapshots matches \"{text}\"", names.len()));
    }
    let status = if found > 0 && search.unreadable.is_empty() { Status::Done } else { Status::Failed };
    reporter.record(&FindReport {
        format: FORMAT,
        record: "report",
        status: status.word(),
        time: clock::now(),
        found,
        snapshots: names.len(),
        unreadable: search.unreadable,
    });
    Ok(status)
}

/// What is looked for, and what could not be looked at.
#[derive(Debug)]
struct Search {
    pattern: Excludes,
    steps: u32,
    unreadable: Vec<Remark>,
}

/// One manifest, at the next entry that matches.
#[derive(Debug)]
struct Cursor {
    name: SnapshotName,
    host: String,
    reader: ManifestReader,
    next: Option<Entry>,
}

impl Search {
    /// Opens a manifest at its first match; `None` where it cannot be read.
    fn begin(
        &mut self,
        store: &Store,
        name: SnapshotName,
        runner: &mut Runner,
    ) -> anyhow::Result<Option<Cursor>> {
        match store.manifest(name) {
            Ok(reader) => {
                let host = reader.header().host.clone();
                let mut cursor = Cursor { name, host, reader, next: None };
                self.go_on(&mut cursor, runner)?;
                Ok(Some(cursor))
            }
            Err(error) => {
                self.note(name, &error);
                Ok(None)
            }
        }
    }

    /// Goes on to the next match. A manifest is known to be damaged only where it ends, so what was found before is
    /// told all the same.
    fn go_on(&mut self, cursor: &mut Cursor, runner: &mut Runner) -> anyhow::Result<()> {
        cursor.next = loop {
            self.steps += 1;
            if self.steps % STRIDE == 0 {
                if let Some(signal) = runner.interrupted() {
                    return Err(fail(Status::Signal(signal as i32), "interrupted before the end"));
                }
            }
            match cursor.reader.next_entry() {
                Ok(Some(entry)) if entry.parent || !self.matches(&entry) => {}
                Ok(next) => break next,
                Err(error) => {
                    self.note(cursor.name, &error);
                    break None;
                }
            }
        };
        Ok(())
    }

    fn matches(&self, entry: &Entry) -> bool {
        self.pattern.leave_out(entry.path.as_bytes(), || entry.kind == Kind::Directory)
    }

    fn note(&mut self, name: SnapshotName, error: &anyhow::Error) {
        self.unreadable.push(Remark { path: name.to_string().as_str().into(), reason: format!("{error:#}") });
    }
}

/// Returns the first path that any manifest has next.
fn next_path(cursors: &[Cursor]) -> Option<PathBytes> {
    cursors.iter().filter_map(|cursor| cursor.next.as_ref()).map(|entry| &entry.path).min().cloned()
}

const FORMAT: &str = "orderly-find/1";

/// One path, as `--find --json` prints it.
#[derive(Debug, Serialize)]
struct FoundPath<'a> {
    format: &'static str,
    record: &'static str,
    path: &'a PathBytes,
    states: Vec<PathState>,
}

/// The last line that `--find --json` prints.
#[derive(Debug, Serialize)]
struct FindReport {
    format: &'static str,
    record: &'static str,
    status: &'static str,
    time: String,
    /// How many paths match.
    found: u64,
    snapshots: usize,
    unreadable: Vec<Remark>,
}

/// What became of a path from one snapshot to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum PathChange {
    /// The oldest snapshot has it.
    There,
    New,
    Updated,
    /// A whole snapshot has it no more.
    Gone,
}

impl PathChange {
    fn word(self) -> &'static str {
        match self {
            Self::There => "there",
            Self::New => "new",
            Self::Updated => "updated",
            Self::Gone => "gone",
        }
    }
}

/// Snapshots in a row in which a path is the same.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct PathState {
    change: PathChange,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differs: Vec<Aspect>,
    /// Of `gone` only the first without it.
    snapshots: Vec<String>,
    /// Who made them.
    hosts: Vec<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
}

/// What is known of one path, oldest snapshot first.
#[derive(Debug, Default)]
struct History {
    states: Vec<PathState>,
    last: Option<Entry>,
    is_later: bool,
}

impl History {
    /// Notes what a snapshot has of it.
    fn note(&mut self, name: SnapshotName, host: &str, entry: Option<&Entry>) {
        let (change, differs) = match (&self.last, entry) {
            (None, None) => {
                self.is_later |= name.whole;
                return;
            }
            // What an incomplete snapshot lacks may only not have been readable.
            (Some(_), None) if !name.whole => return,
            (Some(_), None) => (PathChange::Gone, Vec::new()),
            (None, Some(_)) if self.is_later => (PathChange::New, Vec::new()),
            (None, Some(_)) => (PathChange::There, Vec::new()),
            (Some(before), Some(entry)) => (PathChange::Updated, aspects(before, entry)),
        };
        self.is_later = true;
        let is_same = change == PathChange::Updated && differs.is_empty();
        self.last = entry.cloned();
        match self.states.last_mut().filter(|_| is_same) {
            Some(state) => {
                state.snapshots.push(name.to_string());
                if !state.hosts.iter().any(|known| known == host) {
                    state.hosts.push(host.to_owned());
                }
            }
            None => self.states.push(PathState {
                change,
                differs,
                snapshots: vec![name.to_string()],
                hosts: vec![host.to_owned()],
                kind: entry.map(|entry| entry.kind),
                size: entry.filter(|entry| entry.kind == Kind::File).map(|entry| entry.size),
            }),
        }
    }
}

fn tell(path: &PathBytes, history: History, reporter: &mut Reporter) {
    reporter.answer(&shown(path));
    for state in &history.states {
        reporter.answer(&format!("  {}", state.line()));
    }
    reporter.record(&FoundPath { format: FORMAT, record: "path", path, states: history.states });
}

impl PathState {
    fn line(&self) -> String {
        let first = self.snapshots.first().map(String::as_str).unwrap_or_default();
        let span = match self.snapshots.as_slice() {
            [.., last] if last != first => format!("{first} to {last}  {} snapshots", self.snapshots.len()),
            _ => first.to_owned(),
        };
        let change = if self.differs.is_empty() {
            self.change.word().to_owned()
        } else {
            format!("{} ({})", self.change.word(), words(&self.differs))
        };
        let size = self.size.map_or_else(String::new, |size| format!(", {}", show_bytes(size)));
        let kind = self.kind.map_or_else(String::new, |kind| format!("  {}{size}", kind.word()));
        format!("{span}  {}  {change}{kind}", self.hosts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;

    fn entry(size: u64) -> Entry {
        let text = format!(
            r#"{{"path":"/a","type":"file","size":{size},"mode":"0644","uid":0,"gid":0,"mtime_ns":1,"ctime_ns":{size},
                "device":1,"inode":{size}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    /// Snapshots at seconds from 0 on; `-` lacks it, `?` lacks it and is incomplete, a digit is its size.
    fn history(text: &str) -> String {
        let mut history = History::default();
        for (second, character) in (0..).zip(text.chars()) {
            let name = SnapshotName { id: Id::at_second(second), whole: character != '?' };
            let found = character.to_digit(10).map(|size| entry(u64::from(size)));
            history.note(name, if second < 3 { "ec1" } else { "ec2" }, found.as_ref());
        }
        let states = history.states.iter();
        let states = states.map(|state| format!("{} {}", state.change.word(), state.snapshots.len()));
        states.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn what_is_alike_in_a_row_is_one_state() {
        for (text, wanted) in [
            ("111", "there 3"),
            ("-11", "new 2"),
            ("?11", "there 2"),
            ("1?1", "there 2"),
            ("1-1", "there 1, gone 1, new 1"),
            ("1--", "there 1, gone 1"),
            ("1122-3", "there 2, updated 2, gone 1, new 1"),
            ("---", ""),
        ] {
            assert_eq!(history(text), wanted, "{text}");
        }
    }
}
