//! Enter, pressed at the terminal that standard input is.
//!
//! The terminal is opened anew, so that not waiting for it is not waiting for it here alone: the shell that started this
//! process shares what it gave it. It is read only while this process is in its foreground: in the background what is
//! typed belongs to others, and reading it would stop this process.

use crate::screen::{self, Foreground, foreground};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::termios::{LocalFlags, tcgetattr};
use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

/// What was found on the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Typed {
    /// Enter was pressed.
    Line,
    /// What is there is not for this process, or there is nothing.
    Nothing,
}

/// The terminal that standard input is.
#[derive(Debug)]
pub(crate) struct Keyboard {
    terminal: File,
}

impl Keyboard {
    /// Returns it, where it is the terminal of this process's session.
    pub(crate) fn open() -> Option<Self> {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() || foreground(&stdin) == Foreground::Unknown {
            return None;
        }
        let flags = nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY;
        let terminal = OpenOptions::new().read(true).custom_flags(flags).open("/proc/self/fd/0").ok()?;
        Some(Self { terminal })
    }

    /// Reads what was typed, to the last line of it.
    pub(crate) fn read(&mut self) -> Typed {
        let mut typed = Typed::Nothing;
        // Put into the background just now: an error then, and no stop of this process and its pipeline.
        let stopping = SigSet::from(Signal::SIGTTIN);
        if foreground(&self.terminal) != Foreground::Ours || stopping.thread_block().is_err() {
            return typed;
        }
        let mut line = [0; 4096];
        while let Ok(count @ 1..) = self.terminal.read(&mut line) {
            typed = Typed::Line;
            if self.echoes() {
                screen::gone_down(line[..count].iter().filter(|&&byte| byte == b'\n').count());
            }
        }
        stopping.thread_unblock().ok();
        typed
    }
}

impl Keyboard {
    /// Tells whether the terminal shows itself that Enter was pressed.
    fn echoes(&self) -> bool {
        let shows = LocalFlags::ECHO | LocalFlags::ECHONL;
        tcgetattr(&self.terminal).is_ok_and(|modes| modes.local_flags.intersects(shows))
    }
}

impl AsFd for Keyboard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.terminal.as_fd()
    }
}
