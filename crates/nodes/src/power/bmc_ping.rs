//! The look ahead: controllers that take no ping are found out together, in three seconds, instead of each with the
//! time-out of a process of its own.
//!
//! The pings are those of RMCP (ASF 2.0, 3.2.4.2) by UDP, which every controller that speaks IPMI over a network must
//! answer without a session. A thread of its own sends them, because names are looked up on the way. Any datagram that
//! comes back from where a ping went counts: somebody is there.
//!
//! Silence proves nothing: a filter may drop pings. So it never decides about power (such a node is unknown, as it
//! would be after the time-out), a few of the silent ones are asked in earnest all the same, and the first that answers
//! ends the look ahead for the run. Those silent are pinged again whenever they are asked about: a controller that gets
//! its power later is found then.

use crate::wiring::Wiring;
use anyhow::Context;
use orderly_exec::children::{Children, Writable};
use orderly_plan::drivers::{NodeId, Task};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How long a controller that was silent is taken to be so.
const FRESH: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BmcState {
    Unpinged,
    Pinged,
    Present,
    Silent(Instant),
}

#[derive(Debug)]
struct Bmc {
    address: String,
    port: u16,
    standing: BmcState,
    /// It was asked in earnest although it was silent.
    tried: bool,
}

/// What becomes of a question to a node's controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is asked.
    Ask,
    /// It is pinged first.
    PingFirst,
    /// It is silent: asked only as one of a few.
    Silent,
}

/// Who of the controllers is there.
#[derive(Debug, Default)]
pub(super) struct BmcPings {
    /// By node.
    of: Vec<Option<usize>>,
    controllers: Vec<Bmc>,
    pinger: Option<Pinger>,
    /// Questions that wait for a ping.
    waiting: Vec<(Task, NodeId)>,
}

impl BmcPings {
    pub(super) fn new(wiring: &Wiring) -> Self {
        let mut known: HashMap<(String, u16), usize> = HashMap::new();
        let mut controllers = Vec::new();
        let mut of = Vec::with_capacity(wiring.roster.len());
        for (index, member) in wiring.roster.members().iter().enumerate() {
            let node = NodeId(u32::try_from(index).unwrap_or(u32::MAX));
            of.push(wiring.profile(node).power.driver.ping_address(member).map(|(address, port)| {
                *known.entry((address.to_owned(), port)).or_insert_with(|| {
                    let address = address.to_owned();
                    controllers.push(Bmc { address, port, standing: BmcState::Unpinged, tried: false });
                    controllers.len() - 1
                })
            }));
        }
        if controllers.is_empty() {
            of.clear();
        }
        Self { of, controllers, pinger: None, waiting: Vec::new() }
    }

    /// Returns what becomes of a question of this kind to a node's controller. What acts on power is
    /// never kept back: it was decided by an answer.
    pub(super) fn admission(&self, task: Task, node: NodeId) -> Admission {
        if !matches!(task, Task::ReadPower | Task::Probe) {
            return Admission::Ask;
        }
        match self.controller(node).map(|at| self.controllers[at].standing) {
            None | Some(BmcState::Present) => Admission::Ask,
            Some(BmcState::Unpinged | BmcState::Pinged) => Admission::PingFirst,
            Some(BmcState::Silent(since)) if since.elapsed() > FRESH => Admission::PingFirst,
            Some(BmcState::Silent(_)) => Admission::Silent,
        }
    }

    pub(super) fn is_silent(&self, node: NodeId) -> bool {
        self.controller(node).is_some_and(|at| matches!(self.controllers[at].standing, BmcState::Silent(_)))
    }

    /// Tells whether a silent one is due to be asked in earnest, and takes note that it is.
    pub(super) fn is_tried_now(&mut self, node: NodeId) -> bool {
        let Some(at) = self.controller(node) else { return true };
        let is_silent = |one: &Bmc| matches!(one.standing, BmcState::Silent(_));
        if self.controllers.iter().filter(|one| is_silent(one)).all(|one| one.tried) {
            self.controllers.iter_mut().for_each(|one| one.tried = false);
        }
        !std::mem::replace(&mut self.controllers[at].tried, true)
    }

    /// Keeps a question until its controller has been looked at.
    pub(super) fn look(&mut self, children: &mut Children, task: Task, node: NodeId) {
        self.waiting.push((task, node));
        let Some(at) = self.controller(node) else { return };
        if self.pinger.is_none() {
            self.pinger = Pinger::new(children).ok();
        }
        let one = &mut self.controllers[at];
        match &self.pinger {
            Some(_) if one.standing == BmcState::Pinged => {}
            Some(pinger) => {
                one.standing = BmcState::Pinged;
                pinger.ask(PingRequest { controller: at, address: one.address.clone(), port: one.port });
            }
            None => one.standing = BmcState::Present,
        }
    }

    /// Takes what the pings found; tells whether this was theirs.
    pub(super) fn ready(&mut self, children: &mut Children, watch: u64) -> bool {
        let Some(found) = self.pinger.as_mut().and_then(|pinger| pinger.take(children, watch)) else {
            return false;
        };
        for (at, presence) in found {
            self.controllers[at].standing = match presence {
                Presence::Silent => BmcState::Silent(Instant::now()),
                Presence::Present | Presence::Unjudged => BmcState::Present,
            };
        }
        true
    }

    /// Returns the questions whose controllers have been looked at.
    pub(super) fn take_decided(&mut self) -> Vec<(Task, NodeId)> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let (waiting, decided) = std::mem::take(&mut self.waiting).into_iter().partition(|(_, node)| {
            self.controller(*node).is_some_and(|at| self.controllers[at].standing == BmcState::Pinged)
        });
        self.waiting = waiting;
        decided
    }

    /// Returns all questions that wait.
    pub(super) fn end(&mut self) -> Vec<(Task, NodeId)> {
        std::mem::take(&mut self.waiting)
    }

    /// Ends the look ahead for this run: a silent controller answered in earnest.
    pub(super) fn refute(&mut self) {
        self.of.clear();
    }

    fn controller(&self, node: NodeId) -> Option<usize> {
        self.of.get(node.index()).copied().flatten()
    }
}

/// The message class ASF, the enterprise number of ASF, type "presence ping", tag 1, no data.
const PING: [u8; 12] = [6, 0, 255, 6, 0, 0, 0x11, 0xbe, 0x80, 1, 0, 0];

/// A ping may be lost: so many are sent, this far apart.
const PINGS: u32 = 3;
const APART: Duration = Duration::from_secs(1);

/// How long names are looked up for one batch; what is not found by then is not judged.
const LOOK_UP: Duration = Duration::from_secs(2);

/// How long the thread listens before it looks after its pings.
const LISTEN: Duration = Duration::from_millis(25);

/// Whether a controller answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Present,
    Silent,
    /// It could not be asked, for reasons of this machine.
    Unjudged,
}

/// A controller, by the caller's number of it.
#[derive(Debug, Clone)]
struct PingRequest {
    controller: usize,
    /// A numeric address, or a name.
    address: String,
    port: u16,
}

/// The thread that pings.
#[derive(Debug)]
struct Pinger {
    asked: Sender<PingRequest>,
    found: Receiver<(usize, Presence)>,
    bell: UnixStream,
    watch: u64,
}

impl Pinger {
    /// Starts the thread.
    ///
    /// # Errors
    /// When this machine gives no socket or thread.
    fn new(children: &mut Children) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("open a socket for pings")?;
        socket.set_read_timeout(Some(LISTEN)).context("limit the wait for a ping")?;
        let (bell, ringer) = UnixStream::pair().context("make the bell of the pings")?;
        let (asked, queue) = channel();
        let (answers, found) = channel();
        std::thread::Builder::new()
            .name("pings".into())
            .spawn(move || Rounds { socket, answers, ringer, under_way: HashMap::new() }.go_on(&queue))
            .context("start the thread that pings")?;
        let watch = children.watch(&bell, Writable::No)?;
        Ok(Self { asked, found, bell, watch })
    }

    fn ask(&self, asked: PingRequest) {
        self.asked.send(asked).ok();
    }

    /// Returns what was found out, when this is what the loop saw to be ready.
    fn take(&mut self, children: &mut Children, watch: u64) -> Option<Vec<(usize, Presence)>> {
        if watch != self.watch {
            return None;
        }
        let mut bytes = [0u8; 512];
        // Short reads are as good as whole ones: what counts is in the channel.
        let _ = self.bell.read(&mut bytes);
        if let Ok(watch) = children.watch(&self.bell, Writable::No) {
            self.watch = watch;
        }
        Some(self.found.try_iter().collect())
    }
}

/// A ping on its way.
#[derive(Debug)]
struct Ping {
    controllers: Vec<usize>,
    sent: u32,
    next: Instant,
}

#[derive(Debug)]
struct Rounds {
    socket: UdpSocket,
    answers: Sender<(usize, Presence)>,
    ringer: UnixStream,
    under_way: HashMap<SocketAddr, Ping>,
}

impl Rounds {
    fn go_on(mut self, queue: &Receiver<PingRequest>) {
        loop {
            let wait = if self.under_way.is_empty() { Duration::from_secs(3600) } else { Duration::ZERO };
            let first = match queue.recv_timeout(wait) {
                Ok(asked) => Some(asked),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut answers = self.take_up(first.into_iter().chain(queue.try_iter()).collect());
            self.send_due(&mut answers);
            self.listen(&mut answers);
            let rings = !answers.is_empty();
            let told = answers.into_iter().all(|answer| self.answers.send(answer).is_ok());
            if !told || (rings && self.ringer.write_all(b".").is_err()) {
                return;
            }
        }
    }

    /// Begins with those that were asked about; returns those that cannot be.
    fn take_up(&mut self, asked: Vec<PingRequest>) -> Vec<(usize, Presence)> {
        let mut unjudged = Vec::new();
        let until = Instant::now() + LOOK_UP;
        for one in asked {
            match one.found(until) {
                Some(address) => {
                    let ping = self.under_way.entry(address).or_insert_with(|| Ping {
                        controllers: Vec::new(),
                        sent: 0,
                        next: Instant::now(),
                    });
                    ping.controllers.push(one.controller);
                }
                None => unjudged.push((one.controller, Presence::Unjudged)),
            }
        }
        unjudged
    }

    fn send_due(&mut self, answers: &mut Vec<(usize, Presence)>) {
        let (socket, now) = (&self.socket, Instant::now());
        self.under_way.retain(|address, ping| {
            if ping.next > now {
                return true;
            }
            if ping.sent == PINGS {
                answers.extend(ping.controllers.iter().map(|&controller| (controller, Presence::Silent)));
                return false;
            }
            // What cannot be sent now (a full queue, no route yet) is sent with the next round.
            socket.send_to(&PING, address).ok();
            ping.sent += 1;
            ping.next = now + APART;
            true
        });
    }

    fn listen(&mut self, answers: &mut Vec<(usize, Presence)>) {
        let mut said = [0u8; 256];
        // Until nothing came for a moment, or there is nobody left to hear of.
        while !self.under_way.is_empty() {
            let Ok((_, from)) = self.socket.recv_from(&mut said) else { return };
            if let Some(ping) = self.under_way.remove(&from) {
                answers
                    .extend(ping.controllers.into_iter().map(|controller| (controller, Presence::Present)));
            }
        }
    }
}

impl PingRequest {
    /// Returns where it is; IPv6 is not asked, and not judged.
    fn found(&self, until: Instant) -> Option<SocketAddr> {
        if let Ok(address) = self.address.parse::<Ipv4Addr>() {
            return Some(SocketAddr::from((address, self.port)));
        }
        if Instant::now() >= until {
            return None;
        }
        (self.address.as_str(), self.port).to_socket_addrs().ok()?.find(SocketAddr::is_ipv4)
    }
}
