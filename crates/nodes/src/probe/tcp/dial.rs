//! One connect that does not wait. The standard library only knows the one that does.

#![expect(unsafe_code, reason = "the safe wrapper of connect(2) is in a part of nix that is not built in")]

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::mem::size_of;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

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
    match connect(&socket, to) {
        Ok(()) => Ok(Dialled::Connected(socket)),
        Err(Errno::EINPROGRESS) => Ok(Dialled::UnderWay(socket)),
        Err(error) => Err(Failed::There(error)),
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

fn connect(socket: &OwnedFd, to: SocketAddr) -> Result<(), Errno> {
    let result = match to {
        SocketAddr::V4(to) => {
            // SAFETY: sockaddr_in is plain numbers, for which all zeroes are valid.
            let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
            address.sin_family = libc::AF_INET as libc::sa_family_t;
            address.sin_port = to.port().to_be();
            address.sin_addr.s_addr = u32::from_ne_bytes(to.ip().octets());
            // SAFETY: the address lives through the call and has the length given.
            unsafe {
                libc::connect(socket.as_raw_fd(), (&raw const address).cast(), length::<libc::sockaddr_in>())
            }
        }
        SocketAddr::V6(to) => {
            // SAFETY: sockaddr_in6 is plain numbers, for which all zeroes are valid.
            let mut address: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
            address.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            address.sin6_port = to.port().to_be();
            address.sin6_addr.s6_addr = to.ip().octets();
            address.sin6_scope_id = to.scope_id();
            // SAFETY: the address lives through the call and has the length given.
            unsafe {
                libc::connect(socket.as_raw_fd(), (&raw const address).cast(), length::<libc::sockaddr_in6>())
            }
        }
    };
    Errno::result(result).map(drop)
}

fn length<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).unwrap_or(0)
}
