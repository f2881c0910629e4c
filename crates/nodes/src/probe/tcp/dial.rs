//! One connect that does not wait. The standard library only knows the one that does.

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// A socket on its way.
#[derive(Debug)]
pub(super) enum Dialled {
    Connected(OwnedFd),
    /// It is writable when it is decided.
    UnderWay(OwnedFd),
}

/// Begins to connect.
///
/// # Errors
/// Why it cannot be begun, or was refused at once.
pub(super) fn dial(to: SocketAddr) -> Result<Dialled, Failed> {
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(family, SockType::Stream, flags, None).map_err(|_| Failed::Here)?;
    match rustix::net::connect(&socket, &to) {
        Ok(()) => Ok(Dialled::Connected(socket)),
        Err(rustix::io::Errno::INPROGRESS) => Ok(Dialled::UnderWay(socket)),
        Err(error) => Err(Failed::There(Errno::from_raw(error.raw_os_error()))),
    }
}

/// Where a connect failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    /// On this machine, before anything was sent.
    Here,
    /// As the kernel says of the way there.
    There(Errno),
}
