//! TCP probes, made in the loop itself: no process, no thread a probe, thousands a second.
//!
//! A connection is *up*. A refusal, "no route to host" and silence are *down*: nothing serves there.
//! Of a name with several addresses each is tried, as ssh(1) does: one that is up is enough, and down is what all are.
//! What fails on this machine (no descriptor, no network, a name that is not found) is *unknown*,
//! and so is a connection that does not say the banner that was asked for: somebody is there.

mod addresses;
mod attempt;
mod dial;
mod resolver;

use super::driver::{ProbeBy, ProbeDriver, ProbeEntry};
use addresses::AtAddress;
use attempt::{Attempt, ProbeStage};
use dial::{Dialled, Failed, dial};
use nix::errno::Errno;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::SocketError;
use orderly_exec::children::{Children, Writable};
use orderly_plan::drivers::{NodeId, Probe};
use resolver::NameResolver;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::IpAddr;
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
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) node: NodeId,
    /// A numeric address, or a name.
    pub(crate) address: String,
    pub(crate) port: u16,
    pub(crate) banner: String,
    pub(crate) deadline: Instant,
}

impl Question {
    fn shown(&self) -> String {
        format!("{} port {}", self.address, self.port)
    }
}

/// What a probe met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Met {
    pub(crate) node: NodeId,
    pub(crate) reading: Probe,
    /// What was met that is neither up nor down.
    pub(crate) said: Option<String>,
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
    resolver: Option<NameResolver>,
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
    pub(crate) fn begin(&mut self, children: &mut Children, question: Question) {
        self.next += 1;
        let id = self.next;
        let numeric = question.address.parse::<IpAddr>().ok().map(|address| vec![address]);
        if numeric.is_none() && self.resolver.is_none() {
            self.resolver = NameResolver::new(children).ok();
        }
        let known = || self.resolver.as_ref()?.known(&question.address).map(<[IpAddr]>::to_vec);
        match (numeric.or_else(known), &mut self.resolver) {
            (None, Some(resolver)) => {
                resolver.ask(id, &question.address);
                self.deadlines.push(Reverse((question.deadline, id)));
                self.attempts.insert(id, Attempt::new(question));
            }
            (addresses, _) => {
                let mut attempt = Attempt::new(question);
                attempt.addresses.add(addresses.unwrap_or_default());
                self.try_next(children, id, attempt);
            }
        }
    }

    /// Takes a descriptor that is ready; tells whether it was one of ours.
    pub(crate) fn ready(&mut self, children: &mut Children, watch: u64) -> bool {
        if let Some(resolver) = self.resolver.as_mut().filter(|resolver| resolver.is_watched_as(watch)) {
            for (id, found) in resolver.take(children) {
                let Some(mut attempt) = self.attempts.remove(&id) else { continue };
                if found.is_empty() {
                    let why = format!("no address is found for {}", attempt.question.address);
                    attempt.addresses.note(AtAddress::Unknown(why));
                }
                attempt.addresses.add(found);
                self.try_next(children, id, attempt);
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
            let met = attempt.timed_out();
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
        let given_up = |(_, attempt): (_, Attempt)| Met {
            node: attempt.question.node,
            reading: Probe::Unknown,
            said: None,
        };
        self.answers.extend(self.attempts.drain().map(given_up));
    }

    /// Tries the next address, and those after it that fail at once; answers when there is none.
    fn try_next(&mut self, children: &mut Children, id: u64, mut attempt: Attempt) {
        while let Some(address) = attempt.next_address() {
            match dial(address) {
                Ok(Dialled::Connected(socket)) => {
                    attempt.socket = Some(socket);
                    return self.connected(children, id, attempt);
                }
                Ok(Dialled::UnderWay(socket)) => {
                    attempt.socket = Some(socket);
                    return self.watch(children, id, attempt, Writable::Yes);
                }
                Err(Failed::There(error)) => attempt.note_failure(error),
                Err(Failed::Here) => attempt.addresses.note(AtAddress::Unknown(attempt.lost())),
            }
        }
        let lost = attempt.lost();
        let met = attempt.addresses.settled().unwrap_or(AtAddress::Unknown(lost));
        self.answer(attempt.question.node, met);
    }

    fn answer(&mut self, node: NodeId, met: AtAddress) {
        let (reading, said) = match met {
            AtAddress::Up => (Probe::Up, None),
            AtAddress::Down => (Probe::Down, None),
            AtAddress::Unknown(why) | AtAddress::NoWay(why) => (Probe::Unknown, Some(why)),
        };
        self.answers.push(Met { node, reading, said });
    }

    /// Answers with what was met, or tries the next address.
    fn meet(&mut self, children: &mut Children, id: u64, mut attempt: Attempt, met: AtAddress) {
        if met == AtAddress::Up {
            return self.answer(attempt.question.node, met);
        }
        attempt.addresses.note(met);
        self.try_next(children, id, attempt);
    }

    fn go_on(&mut self, children: &mut Children, id: u64, mut attempt: Attempt) {
        let Some(socket) = &attempt.socket else { return };
        if matches!(attempt.stage, ProbeStage::Listening) {
            let met = attempt.judge_banner(socket);
            return self.meet(children, id, attempt, met);
        }
        let error = match getsockopt(socket, SocketError) {
            Ok(0) => return self.connected(children, id, attempt),
            Ok(error) => Errno::from_raw(error),
            Err(error) => error,
        };
        attempt.note_failure(error);
        self.try_next(children, id, attempt);
    }

    fn connected(&mut self, children: &mut Children, id: u64, mut attempt: Attempt) {
        if attempt.question.banner.is_empty() {
            self.answer(attempt.question.node, AtAddress::Up);
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
            Some(Err(_)) | None => self.answer(attempt.question.node, AtAddress::Unknown(attempt.lost())),
        }
    }
}

#[cfg(test)]
mod tests;
