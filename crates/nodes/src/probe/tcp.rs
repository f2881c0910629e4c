//! TCP probes, made in the loop itself: no process, no thread a probe, thousands a second.
//!
//! A connection is *up*. A refusal, "no route to host" and silence are *down*: nothing serves there.
//! What fails on this machine (no descriptor, no network, a name that is not found) is *unknown*,
//! and so is a connection that does not say the banner that was asked for: somebody is there.

mod dial;
mod resolver;

use dial::{Dialled, Failed, dial};
use nix::errno::Errno;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::SocketError;
use nix::unistd::read;
use orderly_exec::children::{Children, Writable};
use orderly_plan::drivers::{NodeId, Probe};
use resolver::Resolver;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Instant;

/// The most probes at once.
pub(crate) const MOST: usize = 8192;

/// What is probed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) node: NodeId,
    /// A numeric address, or a name.
    pub(crate) address: &'a str,
    pub(crate) port: u16,
    pub(crate) banner: &'a str,
    pub(crate) deadline: Instant,
}

/// What a probe met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Met {
    pub(crate) node: NodeId,
    pub(crate) reading: Probe,
    /// What was met that is neither up nor down.
    pub(crate) said: Option<String>,
}

impl Met {
    fn known(node: NodeId, reading: Probe) -> Self {
        Self { node, reading, said: None }
    }

    fn unknown(node: NodeId, said: String) -> Self {
        Self { node, reading: Probe::Unknown, said: Some(said) }
    }
}

#[derive(Debug)]
enum ProbeStage {
    Resolving,
    Connecting,
    /// Connected; the first words are waited for.
    Listening,
}

#[derive(Debug)]
struct Attempt {
    node: NodeId,
    port: u16,
    banner: String,
    stage: ProbeStage,
    socket: Option<OwnedFd>,
    address: String,
}

impl Attempt {
    /// Returns why a failed connect tells neither up nor down, or that it tells down.
    fn judge(&self, error: Errno) -> Met {
        if matches!(
            error,
            Errno::ECONNREFUSED
                | Errno::ETIMEDOUT
                | Errno::EHOSTUNREACH
                | Errno::EHOSTDOWN
                | Errno::ECONNRESET
        ) {
            return Met::known(self.node, Probe::Down);
        }
        Met::unknown(self.node, format!("connect to {} port {}: {}", self.address, self.port, error.desc()))
    }

    /// Returns what is said of a connection on which no banner came.
    fn without_banner(&self, what: &str) -> Met {
        Met::unknown(
            self.node,
            format!("port {} {what}, and is up when it says \"{}\"", self.port, self.banner),
        )
    }

    fn lost(&self) -> Met {
        let (address, port) = (&self.address, self.port);
        Met::unknown(
            self.node,
            format!("no socket for a connection to {address} port {port} could be had here"),
        )
    }

    fn judge_banner(&self, socket: &OwnedFd) -> Met {
        let mut said = [0u8; 256];
        match read(socket, &mut said) {
            Ok(count) if said[..count].starts_with(self.banner.as_bytes()) => {
                Met::known(self.node, Probe::Up)
            }
            Ok(0) => self.without_banner("closes the connection without a word"),
            Ok(count) => {
                let words = String::from_utf8_lossy(&said[..count]);
                let line = words.lines().next().unwrap_or_default().trim_end();
                self.without_banner(&format!("says \"{line}\""))
            }
            Err(error) => self.without_banner(&format!("is lost ({})", error.desc())),
        }
    }
}

/// Probes under way.
#[derive(Debug)]
pub(crate) struct Prober {
    attempts: HashMap<u64, Attempt>,
    /// From the loop's number of a watched socket to the attempt.
    watched: HashMap<u64, u64>,
    deadlines: BinaryHeap<Reverse<(Instant, u64)>>,
    next: u64,
    room: usize,
    resolver: Option<Resolver>,
    answers: Vec<Met>,
}

impl Prober {
    /// Returns one that makes at most so many probes at once: sockets are descriptors, and those are limited.
    pub(crate) fn new(room: usize) -> Self {
        Self {
            attempts: HashMap::new(),
            watched: HashMap::new(),
            deadlines: BinaryHeap::new(),
            next: 0,
            room,
            resolver: None,
            answers: Vec::new(),
        }
    }

    /// Tells whether another probe may begin.
    pub(crate) fn has_room(&self) -> bool {
        self.attempts.len() < self.room
    }

    /// Returns when the next probe runs out of its time.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadlines.peek().map(|Reverse((at, _))| *at)
    }

    /// Returns what was found out since the last call.
    pub(crate) fn take(&mut self) -> Vec<Met> {
        std::mem::take(&mut self.answers)
    }

    /// Begins a probe; its answer may be there at once.
    pub(crate) fn begin(&mut self, children: &mut Children, question: Question<'_>) {
        self.next += 1;
        let id = self.next;
        let attempt = Attempt {
            node: question.node,
            port: question.port,
            banner: question.banner.to_owned(),
            stage: ProbeStage::Resolving,
            socket: None,
            address: question.address.to_owned(),
        };
        self.deadlines.push(Reverse((question.deadline, id)));
        if let Ok(address) = question.address.parse::<IpAddr>() {
            self.connect(children, id, attempt, address);
            return;
        }
        if self.resolver.is_none() {
            self.resolver = Resolver::new(children).ok();
        }
        match self.resolver.as_ref().and_then(|resolver| resolver.known(question.address)) {
            Some(address) => self.connect(children, id, attempt, address),
            None => match &mut self.resolver {
                Some(resolver) => {
                    resolver.ask(id, question.address);
                    self.attempts.insert(id, attempt);
                }
                None => self.answers.push(attempt.lost()),
            },
        }
    }

    /// Takes a descriptor that is ready; tells whether it was one of ours.
    pub(crate) fn ready(&mut self, children: &mut Children, watch: u64) -> bool {
        if let Some(resolver) = self.resolver.as_mut().filter(|resolver| resolver.is_watched_as(watch)) {
            for (id, found) in resolver.take(children) {
                let Some(attempt) = self.attempts.remove(&id) else { continue };
                match found {
                    Some(address) => self.connect(children, id, attempt, address),
                    None => {
                        let said = format!("no address is found for {}", attempt.address);
                        self.answers.push(Met::unknown(attempt.node, said));
                    }
                }
            }
            return true;
        }
        let Some(id) = self.watched.remove(&watch) else { return false };
        if let Some(attempt) = self.attempts.remove(&id) {
            self.go_on(children, id, attempt);
        }
        true
    }

    /// Gives up what ran out of its time.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some(&Reverse((at, id))) = self.deadlines.peek() {
            if at > now {
                break;
            }
            self.deadlines.pop();
            if let Some(attempt) = self.attempts.remove(&id) {
                self.answers.push(match attempt.stage {
                    ProbeStage::Connecting => Met::known(attempt.node, Probe::Down),
                    ProbeStage::Listening => attempt.without_banner("takes the connection and says nothing"),
                    ProbeStage::Resolving => {
                        let said = format!("the resolver does not answer for {}", attempt.address);
                        Met::unknown(attempt.node, said)
                    }
                });
            }
        }
    }

    /// Gives up everything; all of it is unknown.
    pub(crate) fn end_all(&mut self) {
        self.watched.clear();
        self.deadlines.clear();
        self.answers.extend(self.attempts.drain().map(|(_, attempt)| Met {
            node: attempt.node,
            reading: Probe::Unknown,
            said: None,
        }));
    }

    fn connect(&mut self, children: &mut Children, id: u64, mut attempt: Attempt, address: IpAddr) {
        match dial(SocketAddr::new(address, attempt.port)) {
            Ok(Dialled::Connected(socket)) => {
                attempt.socket = Some(socket);
                self.connected(children, id, attempt);
            }
            Ok(Dialled::UnderWay(socket)) => {
                attempt.stage = ProbeStage::Connecting;
                attempt.socket = Some(socket);
                self.watch(children, id, attempt, Writable::Yes);
            }
            Err(Failed::There(error)) => self.answers.push(attempt.judge(error)),
            Err(Failed::Here) => self.answers.push(attempt.lost()),
        }
    }

    fn go_on(&mut self, children: &mut Children, id: u64, attempt: Attempt) {
        let Some(socket) = &attempt.socket else { return };
        match attempt.stage {
            ProbeStage::Listening => {
                self.answers.push(attempt.judge_banner(socket));
            }
            ProbeStage::Connecting | ProbeStage::Resolving => match getsockopt(socket, SocketError) {
                Ok(0) => self.connected(children, id, attempt),
                Ok(error) => self.answers.push(attempt.judge(Errno::from_raw(error))),
                Err(error) => self.answers.push(attempt.judge(error)),
            },
        }
    }

    fn connected(&mut self, children: &mut Children, id: u64, mut attempt: Attempt) {
        if attempt.banner.is_empty() {
            self.answers.push(Met::known(attempt.node, Probe::Up));
        } else {
            attempt.stage = ProbeStage::Listening;
            self.watch(children, id, attempt, Writable::No);
        }
    }

    fn watch(&mut self, children: &mut Children, id: u64, attempt: Attempt, writable: Writable) {
        let watched = attempt.socket.as_ref().map(|socket| children.watch(socket, writable));
        match watched {
            Some(Ok(watch)) => {
                self.watched.insert(watch, id);
                self.attempts.insert(id, attempt);
            }
            Some(Err(_)) | None => self.answers.push(attempt.lost()),
        }
    }
}

#[cfg(test)]
mod tests;
