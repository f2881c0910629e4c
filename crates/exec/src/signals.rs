//! Signals as bytes in a pipe.
//!
//! Handlers and not a blocked mask: a mask is inherited by every child, and a node command that
//! ignores TERM for its whole life cannot be ended. A handler is reset by exec.

#![expect(
    unsafe_code,
    reason = "sigaction can only be called unsafely; the handlers do nothing but write one byte"
)]

use anyhow::Context;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::unistd::{Pid, pipe2, read};
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

/// The writing end of the one pipe of this process; -1 before it is made.
static PIPE: AtomicI32 = AtomicI32::new(-1);

extern "C" fn note(number: libc::c_int) {
    // Signal numbers end at 64.
    let byte = number as u8;
    let pipe = PIPE.load(Ordering::Relaxed);
    // SAFETY: write and __errno_location are async-signal-safe; the pipe is never closed. errno is
    // kept because the interrupted code may be about to read its own. A full pipe loses nothing:
    // its bytes wake the reader already.
    unsafe {
        let errno = libc::__errno_location();
        let kept = *errno;
        libc::write(pipe, (&raw const byte).cast(), 1);
        *errno = kept;
    }
}

/// The signals this process listens to.
#[derive(Debug)]
pub struct Signals {
    pipe: OwnedFd,
}

impl Signals {
    /// Listens to INT, TERM, HUP, USR1 and CHLD. A HUP that was ignored (nohup) stays ignored.
    /// To be called once a process.
    ///
    /// # Errors
    /// When the pipe or a handler cannot be made.
    pub fn listen() -> anyhow::Result<Self> {
        let (reading, writing) =
            pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).context("make the signal pipe")?;
        PIPE.store(writing.into_raw_fd(), Ordering::Relaxed);
        let action = SigAction::new(SigHandler::Handler(note), SaFlags::SA_RESTART, SigSet::empty());
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGCHLD] {
            // SAFETY: `note` is async-signal-safe, see there.
            let before =
                unsafe { sigaction(signal, &action) }.with_context(|| format!("listen to {signal}"))?;
            if signal == Signal::SIGHUP && matches!(before.handler(), SigHandler::SigIgn) {
                // SAFETY: this puts back what was there.
                unsafe { sigaction(signal, &before) }.context("go on ignoring SIGHUP")?;
            }
        }
        Ok(Self { pipe: reading })
    }

    /// Returns the signals that came since the last call, in order; never waits.
    pub fn take(&self) -> Vec<Signal> {
        let mut bytes = [0u8; 256];
        let mut came = Vec::new();
        while let Ok(count) = read(&self.pipe, &mut bytes) {
            came.extend(bytes[..count].iter().filter_map(|&byte| Signal::try_from(i32::from(byte)).ok()));
            if count < bytes.len() {
                break;
            }
        }
        came
    }
}

/// Sends INT to another process, as Ctrl-C in its terminal would.
///
/// # Errors
/// When there is no such process, or it belongs to somebody else.
pub fn interrupt(process: u32) -> anyhow::Result<()> {
    send(process, Signal::SIGINT)
}

/// Sends TERM to another process, as an init would.
///
/// # Errors
/// As [`interrupt`].
pub fn terminate(process: u32) -> anyhow::Result<()> {
    send(process, Signal::SIGTERM)
}

fn send(process: u32, signal: Signal) -> anyhow::Result<()> {
    let pid = i32::try_from(process).ok().filter(|&pid| pid > 1).context("no process has this number")?;
    kill(Pid::from_raw(pid), signal).with_context(|| format!("send {signal} to process {pid}"))
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}
