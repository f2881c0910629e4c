//! TCP probes, made in the loop itself: no process, no thread a probe, thousands a second.
//!
//! A connection is *up*. A refusal, "no route to host" and silence are *down*: nothing serves there.
//! Of a name with several addresses each is tried, as ssh(1) does: one that is up is enough, and down is what all are.
//! What fails on this machine (no descriptor, no network, a name that is not found) is *unknown*,
//! and so is a connection that does not say the banner that was asked for: somebody is there.

mod dial;
mod resolver;

use super::{ProbeBy, ProbeDriver, ProbeEntry};
use dial::{Dialled, Failed, dial};
use nix::errno::Errno;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::SocketError;
use nix::unistd::read;
use orderly_exec::children::{Children, Writable};
use orderly_plan::drivers::{NodeId, Probe};
use resolver::Resolver;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Instant;

pub(super) const ENTRY: ProbeEntry = ProbeEntry {
    word: "tcp",
    keys: &["port", "banner"],
    read: |table, base| {
        let before = match base.map(|base| &base.by) {
            Some(ProbeBy::Connection { port, banner }) => Some((*port, banner)),
            _ => None,
        };
        if before.is_none() {
            table.need("port");
        }
        let port = table.port("port").or(before.map(|(port, _)| port));
        let banner = table.text("banner").or(before.map(|(_, banner)| banner.clone()));
        let by = ProbeBy::Connection { port: port?, banner: banner.unwrap_or_default() };
        Some(ProbeDriver { word: ENTRY.word, by })
    },
};

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
    /// Addresses that are still to be tried.
    rest: VecDeque<IpAddr>,
    /// What was met at addresses that were tried, where that is not down.
    doubt: Option<Met>,
    /// Whether an address that was tried is down.
    is_down: bool,
    /// Why this machine has no way to an address.
    no_way: Option<Met>,
    /// The loop's number of the socket.
    watch: Option<u64>,
    /// When the address that is tried now is given up.
    until: Instant,
    deadline: Instant,
}

impl Attempt {
    /// Returns the next address to be tried; each gets its part of the time.
    fn next_address(&mut self) -> Option<IpAddr> {
        let left = u32::try_from(self.rest.len()).unwrap_or(u32::MAX);
        let address = self.rest.pop_front()?;
        let now = Instant::now();
        self.until =
            if left == 1 { self.deadline } else { now + self.deadline.saturating_duration_since(now) / left };
        (self.stage, self.socket) = (ProbeStage::Connecting, None);
        Some(address)
    }

    /// Returns what is met where no address is up: down needs one that is, and none that nobody knows of. That this
    /// machine has no way to one (no IPv6, say) tells nothing where there is a way to another.
    fn settled(self) -> Met {
        match self.doubt {
            Some(doubt) => doubt,
            None if self.is_down => Met::known(self.node, Probe::Down),
            None => self.no_way.clone().unwrap_or_else(|| self.lost()),
        }
    }

    /// Keeps what a failed connect tells of the address.
    fn note(&mut self, error: Errno) {
        let met = self.judge(error);
        match (met.reading, error) {
            (Probe::Down, _) => self.is_down = true,
            (_, Errno::ENETUNREACH | Errno::EADDRNOTAVAIL | Errno::EAFNOSUPPORT) => self.no_way = Some(met),
            _ => self.doubt = Some(met),
        }
    }

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
        let mut attempt = Attempt {
            node: question.node,
            port: question.port,
            banner: question.banner.to_owned(),
            stage: ProbeStage::Resolving,
            socket: None,
            address: question.address.to_owned(),
            rest: VecDeque::new(),
            doubt: None,
            is_down: false,
            no_way: None,
            watch: None,
            until: question.deadline,
            deadline: question.deadline,
        };
        if let Ok(address) = question.address.parse::<IpAddr>() {
            attempt.rest.push_back(address);
            self.try_next(children, id, attempt);
            return;
        }
        if self.resolver.is_none() {
            self.resolver = Resolver::new(children).ok();
        }
        match self.resolver.as_ref().and_then(|resolver| resolver.known(question.address)) {
            Some(addresses) => {
                attempt.rest.extend(addresses);
                self.try_next(children, id, attempt);
            }
            None => match &mut self.resolver {
                Some(resolver) => {
                    resolver.ask(id, question.address);
                    self.deadlines.push(Reverse((question.deadline, id)));
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
                let Some(mut attempt) = self.attempts.remove(&id) else { continue };
                if found.is_empty() {
                    let said = format!("no address is found for {}", attempt.address);
                    self.answers.push(Met::unknown(attempt.node, said));
                } else {
                    attempt.rest.extend(found);
                    self.try_next(children, id, attempt);
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
    pub(crate) fn expire(&mut self, children: &mut Children, now: Instant) {
        while let Some(&Reverse((at, id))) = self.deadlines.peek() {
            if at > now {
                break;
            }
            self.deadlines.pop();
            // One that went on to another address has another time.
            let Some(attempt) = self.attempts.get(&id).filter(|attempt| attempt.until <= at) else {
                continue;
            };
            let met = match attempt.stage {
                ProbeStage::Connecting => Met::known(attempt.node, Probe::Down),
                ProbeStage::Listening => attempt.without_banner("takes the connection and says nothing"),
                ProbeStage::Resolving => Met::unknown(
                    attempt.node,
                    format!("the resolver does not answer for {}", attempt.address),
                ),
            };
            if let Some(mut attempt) = self.attempts.remove(&id) {
                // An event of this socket that is on its way must not be taken for one of the next.
                attempt.watch.take().map(|watch| self.watched.remove(&watch));
                self.meet(children, id, attempt, met);
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

    /// Tries the next address, and those after it that fail at once; answers when there is none.
    fn try_next(&mut self, children: &mut Children, id: u64, mut attempt: Attempt) {
        while let Some(address) = attempt.next_address() {
            match dial(SocketAddr::new(address, attempt.port)) {
                Ok(Dialled::Connected(socket)) => {
                    attempt.socket = Some(socket);
                    return self.connected(children, id, attempt);
                }
                Ok(Dialled::UnderWay(socket)) => {
                    attempt.socket = Some(socket);
                    return self.watch(children, id, attempt, Writable::Yes);
                }
                Err(Failed::There(error)) => attempt.note(error),
                Err(Failed::Here) => attempt.doubt = Some(attempt.lost()),
            }
        }
        self.answers.push(attempt.settled());
    }

    /// Answers with what was met, or tries the next address.
    fn meet(&mut self, children: &mut Children, id: u64, mut attempt: Attempt, met: Met) {
        match met.reading {
            Probe::Up => return self.answers.push(met),
            Probe::Down => attempt.is_down = true,
            _ => attempt.doubt = Some(met),
        }
        self.try_next(children, id, attempt);
    }

    fn go_on(&mut self, children: &mut Children, id: u64, attempt: Attempt) {
        let Some(socket) = &attempt.socket else { return };
        let met = match attempt.stage {
            ProbeStage::Listening => attempt.judge_banner(socket),
            ProbeStage::Connecting | ProbeStage::Resolving => match getsockopt(socket, SocketError) {
                Ok(0) => return self.connected(children, id, attempt),
                Ok(error) => return self.failed(children, id, attempt, Errno::from_raw(error)),
                Err(error) => return self.failed(children, id, attempt, error),
            },
        };
        self.meet(children, id, attempt, met);
    }

    fn failed(&mut self, children: &mut Children, id: u64, mut attempt: Attempt, error: Errno) {
        attempt.note(error);
        self.try_next(children, id, attempt);
    }

    fn connected(&mut self, children: &mut Children, id: u64, mut attempt: Attempt) {
        if attempt.banner.is_empty() {
            self.answers.push(Met::known(attempt.node, Probe::Up));
        } else {
            attempt.stage = ProbeStage::Listening;
            self.watch(children, id, attempt, Writable::No);
        }
    }

    fn watch(&mut self, children: &mut Children, id: u64, mut attempt: Attempt, writable: Writable) {
        let watched = attempt.socket.as_ref().map(|socket| children.watch(socket, writable));
        match watched {
            Some(Ok(watch)) => {
                self.watched.insert(watch, id);
                attempt.watch = Some(watch);
                self.deadlines.push(Reverse((attempt.until, id)));
                self.attempts.insert(id, attempt);
            }
            Some(Err(_)) | None => self.answers.push(attempt.lost()),
        }
    }
}

#[cfg(test)]
mod tests;
