//! One probe under way: the connection to one address after the other, and what is said on it.

use super::Question;
use super::addresses::{Addresses, AtAddress};
use nix::errno::Errno;
use nix::unistd::read;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Instant;

/// What is waited for.
#[derive(Debug)]
pub(super) enum ProbeStage {
    Resolving,
    Connecting,
    /// Connected; the first words are waited for.
    Listening,
}

/// A probe under way.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) question: Question,
    pub(super) stage: ProbeStage,
    pub(super) socket: Option<OwnedFd>,
    /// The loop's number of the socket.
    pub(super) watch: Option<u64>,
    pub(super) addresses: Addresses,
    /// When the address that is tried now is given up.
    pub(super) until: Instant,
}

impl Attempt {
    pub(super) fn new(question: Question) -> Self {
        let until = question.deadline;
        let (stage, addresses) = (ProbeStage::Resolving, Addresses::default());
        Self { question, stage, socket: None, watch: None, addresses, until }
    }

    /// Turns to the next address and returns it; each gets its part of the time.
    pub(super) fn next_address(&mut self) -> Option<SocketAddr> {
        let (address, left) = self.addresses.next()?;
        let (now, deadline) = (Instant::now(), self.question.deadline);
        self.until = if left == 1 { deadline } else { now + deadline.saturating_duration_since(now) / left };
        (self.stage, self.socket) = (ProbeStage::Connecting, None);
        Some(SocketAddr::new(address, self.question.port))
    }

    /// Keeps what a failed connect tells of the address.
    pub(super) fn note_failure(&mut self, error: Errno) {
        self.addresses.note(AtAddress::of_failure(error, &self.question.shown()));
    }

    /// Returns what it means that the time is up.
    pub(super) fn timed_out(&self) -> AtAddress {
        match self.stage {
            ProbeStage::Connecting => AtAddress::Down,
            ProbeStage::Listening => self.without_banner("takes the connection and says nothing"),
            ProbeStage::Resolving => {
                AtAddress::Unknown(format!("the resolver does not answer for {}", self.question.address))
            }
        }
    }

    pub(super) fn lost(&self) -> String {
        format!("no socket for a connection to {} could be had here", self.question.shown())
    }

    /// Returns what the first words say.
    pub(super) fn judge_banner(&self, socket: &OwnedFd) -> AtAddress {
        let mut said = [0u8; 256];
        match read(socket, &mut said) {
            Ok(count) if said[..count].starts_with(self.question.banner.as_bytes()) => AtAddress::Up,
            Ok(0) => self.without_banner("closes the connection without a word"),
            Ok(count) => {
                let words = String::from_utf8_lossy(&said[..count]);
                let line = words.lines().next().unwrap_or_default().trim_end();
                self.without_banner(&format!("says \"{line}\""))
            }
            Err(error) => self.without_banner(&format!("is lost ({})", error.desc())),
        }
    }

    /// Returns what is said of a connection on which no banner came.
    fn without_banner(&self, what: &str) -> AtAddress {
        let Question { port, banner, .. } = &self.question;
        AtAddress::Unknown(format!("port {port} {what}, and is up when it says \"{banner}\""))
    }
}
