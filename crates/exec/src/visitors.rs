//! Processes that look at this one, and steer it, from elsewhere: a Unix socket, spoken in lines, served by the one loop.
//!
//! Nobody is waited for. What a visitor does not read is kept for it up to a limit and left out beyond; what it sends is
//! read up to a limit, one request at a time. Only root and the user of this process are let in.
//!
//! Invariant: no visitor holds up this process, whatever it sends or does not read
//! (`a_visitor_that_reads_nothing_costs_no_more_than_its_limit`, `an_endless_line_is_cut_off`).

mod lines;
mod outbox;
mod socket;
mod visitor;

pub use lines::{LineBuffer, LineTooLong};
pub use socket::connect;

use crate::printable::escaped;
use anyhow::Context;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::unistd::Uid;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};
use visitor::Visitor;

/// The format of each line, either way.
pub const FORMAT: &str = "orderly-run/1";

/// How many there may be at a time; descriptors are left for as many.
pub const MOST: usize = 64;

/// How long whoever has not read all of it by the end is waited for, while it reads; and at the longest.
const LAST_MOMENT: Duration = Duration::from_millis(500);
const LAST_MOMENTS: Duration = Duration::from_secs(2);

/// The listening socket in the events of the epoll; visitors are numbered from 1.
const LISTENER: u64 = 0;

/// A line for people.
#[derive(Debug, Serialize)]
pub(crate) struct LineRecord<'r> {
    pub(crate) format: &'static str,
    pub(crate) record: &'static str,
    pub(crate) weight: Weight,
    pub(crate) text: &'r str,
}

/// How much a line for people matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// Of interest when looking closely.
    Detail,
    /// What happened; where it can be read from a live line it is not said as well.
    Event,
    Plain,
    Failure,
    /// On standard output.
    Answer,
}

/// How the process ended.
#[derive(Debug, Serialize)]
pub(crate) struct EndRecord {
    pub(crate) format: &'static str,
    pub(crate) record: &'static str,
    pub(crate) status: &'static str,
    pub(crate) exit: u8,
}

/// It goes on as another program.
#[derive(Debug, Serialize)]
pub(crate) struct GoesOnRecord<'r> {
    pub(crate) format: &'static str,
    pub(crate) record: &'static str,
    pub(crate) program: &'r str,
}

/// What was asked, and by which process.
#[derive(Debug)]
pub struct VisitorRequest {
    pub visitor: u64,
    pub process: u32,
    pub line: String,
}

/// What a visitor wants to be told of from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Records for programs, too.
    pub records: bool,
    /// Also what is of interest only to whoever looks closely.
    pub details: bool,
}

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// A line for people.
    Line,
    /// One that is of interest only to whoever looks closely.
    Detail,
    /// A record for programs.
    Record,
    /// Where things stand: the next one says it anew.
    Standing,
}

/// The visitors of this process; clones are the same.
#[derive(Debug, Clone)]
pub struct Visitors {
    epoll: Rc<Epoll>,
    room: Rc<RefCell<Room>>,
}

#[derive(Debug)]
struct Room {
    listener: OwnedFd,
    path: PathBuf,
    /// What each is told first.
    greeting: Rc<str>,
    visitors: BTreeMap<u64, Visitor>,
    next: u64,
    asked: VecDeque<VisitorRequest>,
    /// Given up for a moment where there is no other descriptor left: a visitor that cannot be let in would be heard of
    /// for ever.
    spare: Option<File>,
}

impl Visitors {
    /// Listens at `path`, which is removed first, in a directory that only its owner can enter. Each visitor is told
    /// `greeting` first.
    ///
    /// # Errors
    /// When there can be no socket there.
    pub fn listen(path: &Path, greeting: &impl Serialize) -> anyhow::Result<Self> {
        let listener = socket::listen(path)?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context("make an event loop for visitors")?;
        epoll
            .add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))
            .context("watch the socket of visitors")?;
        let room = Room {
            listener,
            path: path.to_owned(),
            greeting: line(greeting)?,
            visitors: BTreeMap::new(),
            next: LISTENER,
            asked: VecDeque::new(),
            spare: spare(),
        };
        Ok(Self { epoll: Rc::new(epoll), room: Rc::new(RefCell::new(room)) })
    }

    /// Gives the socket another name, in the same directory; who comes from now on is told another greeting.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn rename(&self, path: &Path, greeting: &impl Serialize) -> anyhow::Result<()> {
        let mut room = self.room.borrow_mut();
        std::fs::rename(&room.path, path).with_context(|| format!("rename {}", room.path.display()))?;
        path.clone_into(&mut room.path);
        room.greeting = line(greeting)?;
        Ok(())
    }

    /// Takes what has come from visitors, and gives them what they have room for by now; tells whether something was
    /// asked. Never waits.
    pub(crate) fn serve(&self) -> bool {
        let mut events = [EpollEvent::empty(); 2 * MOST];
        let count = self.epoll.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
        let room = &mut *self.room.borrow_mut();
        for event in &events[..count] {
            match event.data() {
                LISTENER => room.let_in(&self.epoll),
                id => room.serve(id, event.events()),
            }
        }
        room.tidy(&self.epoll);
        !room.asked.is_empty()
    }

    /// Takes what was asked, in its order. Each visitor is read again once it was answered.
    pub fn take_asked(&self) -> Vec<VisitorRequest> {
        self.room.borrow_mut().asked.drain(..).collect()
    }

    /// Tells whether something was asked that was not taken.
    pub fn have_asked(&self) -> bool {
        !self.room.borrow().asked.is_empty()
    }

    /// Answers a visitor with a record.
    pub fn answer(&self, visitor: u64, record: &impl Serialize) {
        let room = &mut *self.room.borrow_mut();
        if let (Some(visitor), Ok(line)) = (room.visitors.get_mut(&visitor), line(record)) {
            visitor.outbox.put(line);
        }
    }

    /// Has a visitor read again, which has its answer.
    pub fn answered(&self, visitor: u64) {
        let room = &mut *self.room.borrow_mut();
        if let Some(one) = room.visitors.get_mut(&visitor) {
            one.asks = false;
            room.asked.extend(one.take_line(visitor));
        }
        room.tidy(&self.epoll);
    }

    /// Lets a visitor go once it has what it was told until now.
    pub fn dismiss(&self, visitor: u64) {
        let room = &mut *self.room.borrow_mut();
        if let Some(visitor) = room.visitors.get_mut(&visitor) {
            visitor.is_leaving = true;
        }
        room.tidy(&self.epoll);
    }

    /// Tells a visitor from now on what happens.
    pub fn follow(&self, visitor: u64, wanted: Wanted) {
        if let Some(visitor) = self.room.borrow_mut().visitors.get_mut(&visitor) {
            visitor.wanted = Some(wanted);
        }
    }

    /// Tells whether anybody wants to be told such things.
    pub fn want(&self, what: Told) -> bool {
        self.room.borrow().visitors.values().any(|visitor| visitor.wants(what))
    }

    /// Tells all who want it, the next time that this process waits for anything.
    pub fn tell(&self, what: Told, record: &impl Serialize) {
        if !self.want(what) {
            return;
        }
        let Ok(line) = line(record) else { return };
        let room = &mut *self.room.borrow_mut();
        room.visitors.values_mut().filter(|visitor| visitor.wants(what)).for_each(|visitor| {
            visitor.outbox.offer(what, &line);
        });
        room.watch(&self.epoll);
    }

    /// Tells all who follow a last record, and lets all go. Whoever still reads is waited for, for a moment.
    pub fn end(&self, record: &impl Serialize) {
        let room = &mut *self.room.borrow_mut();
        if let Ok(line) = line(record) {
            room.visitors.values_mut().filter(|visitor| visitor.wanted.is_some()).for_each(|visitor| {
                visitor.outbox.put(line.clone());
            });
        }
        let began = Instant::now();
        let mut progress = began;
        loop {
            let before: usize = room.left();
            room.visitors.values_mut().for_each(Visitor::send);
            room.visitors.retain(|_, visitor| !visitor.is_gone && visitor.outbox.left() > 0);
            let left: usize = room.left();
            let now = Instant::now();
            if left < before {
                progress = now;
            }
            if left == 0 || now > progress + LAST_MOMENT || now > began + LAST_MOMENTS {
                room.visitors.clear();
                return;
            }
            std::thread::sleep(LAST_MOMENT / 100);
        }
    }
}

impl AsFd for Visitors {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

impl Room {
    /// Lets in whoever is at the door.
    fn let_in(&mut self, epoll: &Epoll) {
        match socket::accept(&self.listener) {
            Ok(Some(stream)) => self.welcome(stream, epoll),
            Ok(None) => {}
            Err(_) => {
                // Without a descriptor it is turned away, and not heard of again and again.
                self.spare = None;
                socket::accept(&self.listener).ok();
                self.spare = spare();
            }
        }
    }

    fn welcome(&mut self, stream: UnixStream, epoll: &Epoll) {
        let Ok(peer) = rustix::net::sockopt::socket_peercred(&stream) else { return };
        let own = Uid::effective().as_raw();
        let mut visitor = Visitor::new(stream, peer.pid.as_raw_nonzero().get().unsigned_abs());
        if ![0, own].contains(&peer.uid.as_raw()) {
            visitor.turn_away("this run tells nothing to other users than root and its own");
            return;
        }
        if self.visitors.len() >= MOST {
            // Whoever only stands about makes room.
            let idle = self.visitors.iter().find(|(_, other)| other.wanted.is_none() && !other.asks);
            let Some(idle) = idle.map(|(&id, _)| id) else {
                visitor.turn_away("too many look at this run already");
                return;
            };
            self.visitors.remove(&idle);
        }
        self.next += 1;
        if epoll.add(&visitor, EpollEvent::new(EpollFlags::EPOLLIN, self.next)).is_ok() {
            visitor.outbox.put(self.greeting.clone());
            self.visitors.insert(self.next, visitor);
        }
    }

    /// Takes what a visitor sends, and gives it what it has room for.
    fn serve(&mut self, id: u64, events: EpollFlags) {
        let Some(visitor) = self.visitors.get_mut(&id) else { return };
        if events.intersects(EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) {
            visitor.is_gone = true;
            return;
        }
        if events.contains(EpollFlags::EPOLLIN) {
            visitor.receive();
            self.asked.extend(visitor.take_line(id));
        }
    }

    /// Sends what can be sent, and forgets who left.
    fn tidy(&mut self, epoll: &Epoll) {
        self.visitors.values_mut().for_each(Visitor::send);
        self.watch(epoll);
        self.visitors.retain(|_, visitor| !visitor.is_over());
    }

    /// Returns how many bytes nobody has been sent yet.
    fn left(&self) -> usize {
        self.visitors.values().map(|visitor| visitor.outbox.left()).sum()
    }

    /// Says who is watched for what.
    fn watch(&mut self, epoll: &Epoll) {
        for (&id, visitor) in &mut self.visitors {
            let wanted = visitor.watched_for();
            if visitor.watched != wanted && epoll.modify(&*visitor, &mut EpollEvent::new(wanted, id)).is_ok()
            {
                visitor.watched = wanted;
            }
        }
    }
}

fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Returns a record as the line that it is sent as.
fn line(record: &impl Serialize) -> anyhow::Result<Rc<str>> {
    let mut text = escaped(&serde_json::to_string(record)?);
    text.push('\n');
    Ok(text.into())
}

#[cfg(test)]
mod tests;
