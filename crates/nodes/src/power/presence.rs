//! Who is there at all, before a process is spent on it: RMCP presence pings (ASF 2.0, 3.2.4.2) by
//! UDP, which every controller that speaks IPMI over a network must answer without a session.
//!
//! A thread of its own, because names are looked up on the way. Any datagram that comes back from
//! where a ping went counts: somebody is there. Silence is only ever a reason to ask others first.

use anyhow::Context;
use orderly_exec::children::{Children, Writable};
use std::collections::HashMap;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

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
pub(crate) enum Presence {
    Present,
    Silent,
    /// It could not be asked, for reasons of this machine.
    Unjudged,
}

/// A controller, by the caller's number of it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) controller: usize,
    /// A numeric address, or a name.
    pub(crate) address: String,
    pub(crate) port: u16,
}

/// The thread that pings.
#[derive(Debug)]
pub(crate) struct Pinger {
    asked: Sender<Asked>,
    found: Receiver<(usize, Presence)>,
    bell: PipeReader,
    watch: u64,
}

impl Pinger {
    /// Starts the thread.
    ///
    /// # Errors
    /// When this machine gives no socket, pipe or thread.
    pub(crate) fn new(children: &mut Children) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("open a socket for pings")?;
        socket.set_read_timeout(Some(LISTEN)).context("limit the wait for a ping")?;
        let (bell, ringer) = std::io::pipe().context("make the pipe of the pings")?;
        let (asked, queue) = channel();
        let (answers, found) = channel();
        std::thread::Builder::new()
            .name("pings".into())
            .spawn(move || Rounds { socket, answers, ringer, under_way: HashMap::new() }.go_on(&queue))
            .context("start the thread that pings")?;
        let watch = children.watch(&bell, Writable::No)?;
        Ok(Self { asked, found, bell, watch })
    }

    pub(crate) fn ask(&self, asked: Asked) {
        self.asked.send(asked).ok();
    }

    /// Returns what was found out, when this is what the loop saw to be ready.
    pub(crate) fn take(&mut self, children: &mut Children, watch: u64) -> Option<Vec<(usize, Presence)>> {
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
    ringer: PipeWriter,
    under_way: HashMap<SocketAddr, Ping>,
}

impl Rounds {
    fn go_on(mut self, queue: &Receiver<Asked>) {
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
    fn take_up(&mut self, asked: Vec<Asked>) -> Vec<(usize, Presence)> {
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

impl Asked {
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
