//! One visitor: what it asks, and whether it is still there.

use super::lines::LineBuffer;
use super::outbox::Outbox;
use super::{FORMAT, Told, VisitorRequest, Wanted, line};
use nix::sys::epoll::EpollFlags;
use serde::Serialize;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

/// How long a request may be; names of many nodes are folded in it.
const REQUEST: usize = 256 * 1024;

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
    pub(super) outbox: Outbox,
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
            outbox: Outbox::default(),
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
            self.outbox.put(line);
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
        while !self.outbox.is_empty() {
            match self.stream.write(&self.outbox.first_bytes()) {
                Ok(count) => self.outbox.take_sent(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.is_gone |= error.kind() != ErrorKind::WouldBlock;
                    return;
                }
            }
        }
    }

    /// Returns what it is watched for: it is read only while nothing that it asked is open.
    pub(super) fn watched_for(&self) -> EpollFlags {
        let reads = !self.asks && !self.is_silent && !self.is_leaving && !self.received.is_full();
        let input = if reads { EpollFlags::EPOLLIN } else { EpollFlags::empty() };
        let output = if self.outbox.is_empty() { EpollFlags::empty() } else { EpollFlags::EPOLLOUT };
        input | output
    }

    /// Tells whether nothing more is to be done for it.
    pub(super) fn is_over(&self) -> bool {
        let is_done = self.is_leaving || self.is_silent && !self.asks && self.wanted.is_none();
        self.is_gone || (is_done && self.outbox.is_empty())
    }
}

impl AsFd for Visitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
