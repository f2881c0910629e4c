//! Asking the person at the terminal, where there is one.

use std::io::{BufRead, IsTerminal, Write};
use std::process::Command;

/// What may be answered; a shell is opened and the question asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Continue,
    Quit,
}

/// Asks whether to go on after `what` happened; nothing when nobody is there.
pub(crate) fn ask(what: &str) -> Option<Answer> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return None;
    }
    loop {
        let mut out = std::io::stderr();
        // A terminal that is gone is nobody.
        write!(out, "{what}: continue, quit or open a shell? [c/q/s] ").and_then(|()| out.flush()).ok()?;
        let mut line = String::new();
        if std::io::stdin().lock().read_line(&mut line).ok()? == 0 {
            return Some(Answer::Quit);
        }
        match line.trim() {
            "c" | "continue" => return Some(Answer::Continue),
            "q" | "quit" => return Some(Answer::Quit),
            "s" | "shell" => open_shell(),
            _ => {}
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
