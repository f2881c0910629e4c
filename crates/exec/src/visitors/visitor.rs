//! One visitor: what it has sent, and what it has not read yet.

use super::lines::LineBuffer;
use super::{FORMAT, Told, VisitorRequest, Wanted, line};
use nix::sys::epoll::EpollFlags;
use serde::Serialize;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

/// How long a request may be; names of many nodes are folded in it.
const REQUEST: usize = 256 * 1024;

/// How many bytes of what happens are kept for a visitor that does not read; one line may be longer.
const KEPT: usize = 256 * 1024;

/// How many may be kept where the next line says it anew.
const KEPT_OF_STANDINGS: usize = 16 * 1024;

/// How many bytes are sent at once.
const AT_ONCE: usize = 32 * 1024;

/// What is left out for a visitor that reads too slowly.
#[derive(Debug, Serialize)]
struct SkippedRecord {
    format: &'static str,
    record: &'static str,
    lines: usize,
}

/// Why a visitor is sent away.
#[derive(Debug, Serialize)]
struct TurnedAwayRecord<'r> {
    format: &'static str,
    record: &'static str,
    ok: bool,
    text: &'r str,
}

/// One visitor.
#[derive(Debug)]
pub(super) struct Visitor {
    stream: UnixStream,
    process: u32,
    received: LineBuffer,
    /// It has sent all that it will.
    is_silent: bool,
    /// What it has not been sent yet; of the first so many bytes were.
    queue: VecDeque<Rc<str>>,
    sent: usize,
    queued: usize,
    /// Lines that were left out.
    skipped: usize,
    pub(super) wanted: Option<Wanted>,
    /// What it asked last is not answered yet.
    pub(super) asks: bool,
    pub(super) is_leaving: bool,
    pub(super) is_gone: bool,
    pub(super) watched: EpollFlags,
}

impl Visitor {
    pub(super) fn new(stream: UnixStream, process: u32) -> Self {
        Self {
            stream,
            process,
            received: LineBuffer::new(REQUEST),
            is_silent: false,
            queue: VecDeque::new(),
            sent: 0,
            queued: 0,
            skipped: 0,
            wanted: None,
            asks: false,
            is_leaving: false,
            is_gone: false,
            watched: EpollFlags::EPOLLIN,
        }
    }

    /// Sends it away with a word.
    pub(super) fn turn_away(&mut self, text: &str) {
        let record = TurnedAwayRecord { format: FORMAT, record: "answer", ok: false, text };
        if let Ok(line) = line(&record) {
            self.put(line);
        }
        self.send();
        self.is_leaving = true;
    }

    pub(super) fn wants(&self, what: Told) -> bool {
        self.wanted.is_some_and(|wanted| match what {
            Told::Line | Told::Standing => true,
            Told::Detail => wanted.details,
            Told::Record => wanted.records,
        })
    }

    /// Keeps a line for it, whatever it has not read yet.
    pub(super) fn put(&mut self, line: Rc<str>) {
        self.queued += line.len();
        self.queue.push_back(line);
    }

    /// Keeps a line for it, unless too much is kept already.
    pub(super) fn offer(&mut self, what: Told, line: &Rc<str>) {
        let is_fresh = what == Told::Standing;
        let kept = if is_fresh { KEPT_OF_STANDINGS } else { KEPT };
        if self.queued == 0 || self.queued + line.len() <= kept {
            self.put(line.clone());
        } else if !is_fresh {
            self.skipped += 1;
        }
    }

    /// Returns how many bytes it has not been sent yet.
    pub(super) fn left(&self) -> usize {
        self.queued
    }

    /// Reads what it sent, as far as there is room.
    pub(super) fn receive(&mut self) {
        let mut bytes = [0; 16 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(0) => self.is_silent = true,
            Ok(count) => self.received.add(&bytes[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.is_gone = true,
        }
    }

    /// Returns its next request, once the one before is answered.
    pub(super) fn take_line(&mut self, visitor: u64) -> Option<VisitorRequest> {
        if self.asks || self.is_leaving {
            return None;
        }
        match self.received.take() {
            Ok(line) => {
                self.asks = line.is_some();
                line.map(|line| VisitorRequest { visitor, process: self.process, line })
            }
            Err(_) => {
                self.turn_away("the request is too long");
                None
            }
        }
    }

    /// Sends what it has room for.
    pub(super) fn send(&mut self) {
        while !self.queue.is_empty() {
            match self.stream.write(&self.first_bytes()) {
                Ok(count) => self.take_sent(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.is_gone |= error.kind() != ErrorKind::WouldBlock;
                    return;
                }
            }
            if self.queue.is_empty() && self.skipped > 0 {
                let lines = std::mem::take(&mut self.skipped);
                let record = SkippedRecord { format: FORMAT, record: "skipped", lines };
                if let Ok(line) = line(&record) {
                    self.put(line);
                }
            }
        }
    }

    /// Returns what is to be sent next: many lines at once, because the kernel keeps few of them where each is alone.
    fn first_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in &self.queue {
            bytes.extend_from_slice(line.as_bytes());
            if bytes.len() >= self.sent + AT_ONCE {
                break;
            }
        }
        bytes.drain(..self.sent);
        bytes
    }

    /// Forgets so many bytes.
    fn take_sent(&mut self, count: usize) {
        self.queued -= count;
        self.sent += count;
        while let Some(first) = self.queue.front().map(|line| line.len()).filter(|first| *first <= self.sent)
        {
            self.sent -= first;
            self.queue.pop_front();
        }
    }

    /// Returns what it is watched for: it is read only while nothing that it asked is open.
    pub(super) fn watched_for(&self) -> EpollFlags {
        let reads = !self.asks && !self.is_silent && !self.is_leaving && !self.received.is_full();
        let input = if reads { EpollFlags::EPOLLIN } else { EpollFlags::empty() };
        let output = if self.queue.is_empty() { EpollFlags::empty() } else { EpollFlags::EPOLLOUT };
        input | output
    }

    /// Tells whether nothing more is to be done for it.
    pub(super) fn is_over(&self) -> bool {
        let is_done = self.is_leaving || self.is_silent && !self.asks && self.wanted.is_none();
        self.is_gone || (is_done && self.queue.is_empty())
    }
}

impl AsFd for Visitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
