//! A connection to a run, for who asks something and waits for the answer.

use super::protocol::{RunRecord, RunRequest};
use crate::claims::{self, RunFacts};
use orderly_exec::visitors::{self, LineBuffer};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How long a run may take to answer: it may just be starting many processes, or reading a large file.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The longest line of a run: its report has a word on each node.
const LONGEST: usize = 256 * 1024 * 1024;

/// Why a run says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoWord {
    /// It is over, or has no socket.
    Gone,
    /// It is there, and does not answer in time.
    Silent,
    /// What it says is not understood, or it sends this process away.
    Strange(String),
}

impl NoWord {
    /// Says it to people, of this run.
    pub(super) fn of(&self, run: &RunFacts) -> String {
        let who = run.describe();
        match self {
            Self::Gone => format!("{who} is over, or cannot be asked"),
            Self::Silent => format!(
                "{who} does not answer: stopped, or busy; its nodes stay as they are meanwhile (kill -CONT {} lets a \
                 stopped one go on)",
                run.pid
            ),
            Self::Strange(words) => format!("{who}: {words}"),
        }
    }
}

/// What was answered: the records, whether all was done, and words for people.
#[derive(Debug, Default)]
pub(super) struct Answered {
    pub(super) records: Vec<RunRecord>,
    pub(super) ok: bool,
    pub(super) text: String,
}

/// A connection to a run.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    lines: LineBuffer,
}

impl Connection {
    /// Connects, and makes sure that it is this run.
    pub(super) fn to(run: &RunFacts, patience: Duration) -> Result<Self, NoWord> {
        let until = Instant::now() + patience;
        let stream =
            visitors::connect(&claims::socket_path(run.number), patience).map_err(|_| NoWord::Gone)?;
        let mut connection = Self { stream, lines: LineBuffer::new(LONGEST) };
        let first = connection.next(until)?;
        if let RunRecord::Answer { text, .. } = first {
            return Err(NoWord::Strange(text));
        }
        // Its number may be another's once it is gone.
        let is_it =
            matches!(first, RunRecord::Hello { number, pid, .. } if (number, pid) == (run.number, run.pid));
        if is_it { Ok(connection) } else { Err(NoWord::Gone) }
    }

    /// Asks something and returns what is answered.
    pub(super) fn ask(&mut self, request: &RunRequest, patience: Duration) -> Result<Answered, NoWord> {
        let until = Instant::now() + patience;
        self.send(request)?;
        let mut answered = Answered::default();
        loop {
            let record = self.next(until)?;
            if let RunRecord::Answer { ok, text } = record {
                return Ok(Answered { ok, text, ..answered });
            }
            answered.records.push(record);
        }
    }

    /// Sends a request.
    pub(super) fn send(&mut self, request: &RunRequest) -> Result<(), NoWord> {
        self.stream.set_nonblocking(false).map_err(|_| NoWord::Gone)?;
        self.stream.set_write_timeout(Some(PATIENCE)).map_err(|_| NoWord::Gone)?;
        self.stream.write_all(request.line().as_bytes()).map_err(|error| {
            let is_late = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
            if is_late { NoWord::Silent } else { NoWord::Gone }
        })
    }

    /// Returns the next record, waiting for it.
    fn next(&mut self, until: Instant) -> Result<RunRecord, NoWord> {
        loop {
            if let Some(line) = self.line()? {
                return RunRecord::read(&line).map_err(NoWord::Strange);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(NoWord::Silent);
            }
            self.stream.set_nonblocking(false).map_err(|_| NoWord::Gone)?;
            self.stream.set_read_timeout(Some(left)).map_err(|_| NoWord::Gone)?;
            self.read()?;
        }
    }

    /// Returns the next line that is there.
    pub(super) fn line(&mut self) -> Result<Option<String>, NoWord> {
        self.lines.take().map_err(|_| NoWord::Strange("it sends a line without an end".to_owned()))
    }

    /// Reads what is there without waiting for more.
    pub(super) fn read_now(&mut self) -> Result<(), NoWord> {
        self.stream.set_nonblocking(true).map_err(|_| NoWord::Gone)?;
        self.read()
    }

    fn read(&mut self) -> Result<(), NoWord> {
        let mut bytes = vec![0; 64 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(0) => Err(NoWord::Gone),
            Ok(count) => {
                self.lines.add(&bytes[..count]);
                Ok(())
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) =>
            {
                Ok(())
            }
            Err(_) => Err(NoWord::Gone),
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
