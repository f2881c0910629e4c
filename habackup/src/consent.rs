//! Asks a person before anything is overwritten.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use orderly_exec::reporter::Reporter;
use orderly_exec::runner::Runner;
use orderly_exec::{Status, fail};
use std::io::{BufRead, IsTerminal};
use std::os::fd::AsFd;

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    Yes,
    No,
}

/// Returns the answer: at once when `yes` was said already, else from the terminal.
///
/// # Errors
/// Refused (4) when there is nobody to ask; marked with the signal when one came meanwhile.
pub fn ask(question: &str, yes: bool, runner: &mut Runner, reporter: &Reporter) -> anyhow::Result<Consent> {
    if yes {
        return Ok(Consent::Yes);
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(fail(Status::Refused, format!("{question} nobody can be asked; say --yes")));
    }
    reporter.warn(format!("{question} [y/N]"));
    loop {
        let mut ready = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        // The answer and a signal are waited for alike.
        let count = poll(&mut ready, PollTimeout::from(100_u8)).unwrap_or(0);
        if let Some(signal) = runner.interrupted() {
            return Err(fail(Status::Signal(signal as i32), format!("{question} interrupted by {signal}")));
        }
        if count > 0 {
            let mut line = String::new();
            stdin.lock().read_line(&mut line)?;
            let yes = matches!(line.trim().to_lowercase().as_str(), "y" | "yes");
            return Ok(if yes { Consent::Yes } else { Consent::No });
        }
    }
}
