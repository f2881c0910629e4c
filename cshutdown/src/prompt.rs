//! Asking the person at the terminal, where there is one.

use std::io::{BufRead, IsTerminal, Write};
use std::process::Command;
use std::sync::mpsc::{TryRecvError, channel};

/// What may be answered; a shell is opened and the question asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PromptAnswer {
    Continue,
    Quit,
    /// A signal came instead.
    Signal(i32),
}

/// What Ctrl-C sends.
const INT: i32 = 2;

/// Asks whether to go on after `what` happened; nothing when nobody is there. `signal` waits a moment
/// and returns the signal that came, if one did: a person who presses Ctrl-C has answered.
pub(crate) fn prompt(what: &str, signal: &mut dyn FnMut() -> Option<i32>) -> Option<PromptAnswer> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return None;
    }
    loop {
        let mut out = std::io::stderr();
        // A terminal that is gone is nobody.
        write!(out, "{what}: continue, quit or open a shell? [c/q/s] ").and_then(|()| out.flush()).ok()?;
        let line = match typed(signal) {
            Ok(line) => line,
            Err(signal) => {
                writeln!(out).ok();
                return Some(PromptAnswer::Signal(signal));
            }
        };
        match line.as_deref().map(str::trim) {
            None => return Some(PromptAnswer::Quit),
            Some("c" | "continue") => return Some(PromptAnswer::Continue),
            Some("q" | "quit") => return Some(PromptAnswer::Quit),
            Some("s" | "shell") => {
                open_shell();
                // An interrupt was meant for what ran in the shell; anything else is for this run.
                if let Some(signal) = signal().filter(|signal| *signal != INT) {
                    return Some(PromptAnswer::Signal(signal));
                }
            }
            Some(_) => {}
        }
    }
}

/// Returns the next line typed, nothing at the end of input, or the signal that came first.
fn typed(signal: &mut dyn FnMut() -> Option<i32>) -> Result<Option<String>, i32> {
    let (sender, receiver) = channel();
    // Reading cannot be given up, so it is done beside; after a signal it dies with the process.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        sender.send(read.ok().filter(|bytes| *bytes > 0).map(|_| line)).ok();
    });
    loop {
        match receiver.try_recv() {
            Ok(line) => return Ok(line),
            Err(TryRecvError::Disconnected) => return Ok(None),
            Err(TryRecvError::Empty) => {}
        }
        if let Some(signal) = signal() {
            return Err(signal);
        }
    }
}

/// Opens a shell on the terminal and waits for its end. Not a child of the loop, whose children have
/// neither a terminal nor unlimited time.
fn open_shell() {
    let shell =
        std::env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".into());
    if let Err(error) = Command::new(&shell).spawn().and_then(|mut shell| shell.wait()) {
        let shell = shell.to_string_lossy();
        // Nobody to tell when the terminal is gone; the question comes again all the same.
        writeln!(std::io::stderr(), "open {shell}: {error}").ok();
    }
}
