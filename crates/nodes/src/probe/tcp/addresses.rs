//! The addresses of a name, tried one after the other, and what comes of all of them.

use nix::errno::Errno;
use std::collections::VecDeque;
use std::net::IpAddr;

/// What was met at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AtAddress {
    Up,
    Down,
    /// Why neither is known.
    Unknown(String),
    /// Why this machine has no way there.
    NoWay(String),
}

impl AtAddress {
    /// Returns what a failed connect tells; `to` is what was connected to.
    pub(super) fn of_failure(error: Errno, to: &str) -> Self {
        if matches!(
            error,
            Errno::ECONNREFUSED
                | Errno::ETIMEDOUT
                | Errno::EHOSTUNREACH
                | Errno::EHOSTDOWN
                | Errno::ECONNRESET
        ) {
            return Self::Down;
        }
        let said = format!("connect to {to}: {}", error.desc());
        if matches!(error, Errno::ENETUNREACH | Errno::EADDRNOTAVAIL | Errno::EAFNOSUPPORT) {
            Self::NoWay(said)
        } else {
            Self::Unknown(said)
        }
    }
}

/// The addresses of a name that are still to be tried, and what was met at the others.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    rest: VecDeque<IpAddr>,
    doubt: Option<String>,
    is_down: bool,
    no_way: Option<String>,
}

impl Addresses {
    pub(super) fn add(&mut self, addresses: impl IntoIterator<Item = IpAddr>) {
        self.rest.extend(addresses);
    }

    /// Returns the next address, and for how many the time has to suffice, this one counted.
    pub(super) fn next(&mut self) -> Option<(IpAddr, u32)> {
        let left = u32::try_from(self.rest.len()).unwrap_or(u32::MAX);
        self.rest.pop_front().map(|address| (address, left))
    }

    /// Keeps what was met at an address that is not up.
    pub(super) fn note(&mut self, met: AtAddress) {
        match met {
            AtAddress::Up => {}
            AtAddress::Down => self.is_down = true,
            AtAddress::Unknown(why) => self.doubt = Some(why),
            AtAddress::NoWay(why) => self.no_way = Some(why),
        }
    }

    /// Returns what is met where no address is up: down needs one that is, and none that nobody knows of. That this
    /// machine has no way to one (no IPv6, say) tells nothing where there is a way to another.
    pub(super) fn settled(self) -> Option<AtAddress> {
        match self.doubt {
            Some(doubt) => Some(AtAddress::Unknown(doubt)),
            None if self.is_down => Some(AtAddress::Down),
            None => self.no_way.map(AtAddress::NoWay),
        }
    }
}
