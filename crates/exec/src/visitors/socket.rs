//! The socket itself: made where nobody else can connect, and connected to without waiting for a process that is stopped.
//!
//! The name of a socket has at most 107 bytes; a longer one is reached through a descriptor of its directory.

use anyhow::Context;
use nix::errno::Errno;
use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, UnixAddr};
use std::fs::{File, Permissions};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The longest name that is used as it is.
const LONGEST: usize = 100;

/// How often it is tried again to connect to a process that has not let others in yet.
const GLANCE: Duration = Duration::from_millis(20);

/// Returns a name of the socket that is short enough, and what must stay open meanwhile.
fn short(path: &Path) -> anyhow::Result<(PathBuf, Option<File>)> {
    if path.as_os_str().len() <= LONGEST {
        return Ok((path.to_owned(), None));
    }
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        anyhow::bail!("{}: no name of a socket", path.display());
    };
    let opened = File::open(directory).with_context(|| format!("open {}", directory.display()))?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd())).join(name);
    Ok((short, Some(opened)))
}

fn new() -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)
}

/// Makes a listening socket in the place of whatever has this name; only its owner can connect (0600).
pub(super) fn listen(path: &Path) -> anyhow::Result<OwnedFd> {
    let attempt = || format!("make the socket {}", path.display());
    let (short, _open) = short(path).with_context(attempt)?;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(attempt);
        }
        Ok(()) | Err(_) => {}
    }
    let listener = new().with_context(attempt)?;
    let address = UnixAddr::new(&short).with_context(attempt)?;
    socket::bind(listener.as_raw_fd(), &address).with_context(attempt)?;
    // Nobody can connect before it listens.
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).with_context(attempt)?;
    socket::listen(&listener, Backlog::MAXCONN).with_context(attempt)?;
    Ok(listener)
}

/// Returns who is at the door, if anybody is.
pub(super) fn accept(listener: &impl AsFd) -> nix::Result<Option<UnixStream>> {
    use rustix::net::{SocketFlags, accept_with};
    match accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
        Ok(stream) => Ok(Some(stream.into())),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::CONNABORTED | rustix::io::Errno::INTR) => Ok(None),
        Err(error) => Err(Errno::from_raw(error.raw_os_error())),
    }
}

/// Connects to a socket, as often as need be while its process lets nobody in, and no longer than `patience`; the
/// connection waits for nothing.
///
/// # Errors
/// When nobody listens there, or it may not be connected to.
pub fn connect(path: &Path, patience: Duration) -> anyhow::Result<UnixStream> {
    let until = Instant::now() + patience;
    let attempt = || format!("connect to {}", path.display());
    let (short, _open) = short(path)?;
    let address = UnixAddr::new(&short).with_context(attempt)?;
    loop {
        let stream = new().with_context(attempt)?;
        match socket::connect(stream.as_raw_fd(), &address) {
            Ok(()) => return Ok(stream.into()),
            Err(Errno::EAGAIN) if Instant::now() < until => std::thread::sleep(GLANCE),
            Err(error) => return Err(error).with_context(attempt),
        }
    }
}
