//! An external command as data, and how it ended. Argument vectors only, never a shell string.

use nix::sys::signal::Signal;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::fd::RawFd;
use std::time::Duration;

/// An external command with its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The program and its arguments; never empty.
    pub argv: Vec<OsString>,
    /// Written to its standard input, which is then closed; nothing is `/dev/null`.
    pub stdin: Vec<u8>,
    /// Variables set for it beside the inherited ones.
    pub env: Vec<(OsString, OsString)>,
    /// When it is told to end (TERM to its process group).
    pub timeout: Duration,
    /// What it is told to end with: TERM, unless it ends what it started on another signal only.
    pub tell: Signal,
    /// How long after that its process group gets KILL.
    pub grace: Duration,
    /// How many bytes of each output stream are kept: the first so many of stdout, the last of stderr.
    pub keep: usize,
    /// A descriptor it inherits (a passed lock), which must not be close-on-exec.
    pub inherits: Option<RawFd>,
}

impl Job {
    /// Returns a command with a limit, no input, and 64 KiB kept of each stream.
    pub fn new<S: AsRef<OsStr>>(argv: impl IntoIterator<Item = S>, timeout: Duration) -> Self {
        Self {
            argv: argv.into_iter().map(|word| word.as_ref().to_owned()).collect(),
            stdin: Vec::new(),
            env: Vec::new(),
            timeout,
            tell: Signal::SIGTERM,
            grace: Duration::from_secs(5),
            keep: 64 * 1024,
            inherits: None,
        }
    }

    /// Returns the command as one would type it.
    pub fn shown(&self) -> String {
        show(&self.argv)
    }
}

/// Returns an argument vector as one would type it in a shell.
pub fn show<S: AsRef<OsStr>>(argv: &[S]) -> String {
    let mut line = String::new();
    for word in argv {
        if !line.is_empty() {
            line.push(' ');
        }
        let word = word.as_ref().to_string_lossy();
        let plain = |c: char| c.is_alphanumeric() || "-_./:=,@%+[]{}".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            line.push_str(&word);
        } else {
            line.push('\'');
            line.push_str(&word.replace('\'', r"'\''"));
            line.push('\'');
        }
    }
    line
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With this exit status.
    Exited(i32),
    /// By this signal, not sent by us.
    Killed(i32),
    /// By us, because its time was up (or because everything was ended).
    TimedOut,
    /// It survived KILL: it hangs in the kernel and was left behind.
    Unkillable,
    /// It never ran.
    NotStarted,
}

/// A command that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub ending: Ending,
    /// The first bytes of its standard output, as many as the job keeps.
    pub stdout: Vec<u8>,
    /// The last bytes of its standard error; the reason when it never ran.
    pub stderr: Vec<u8>,
    /// Its standard output was longer than was kept.
    pub truncated: bool,
    /// How long it ran.
    pub took: Duration,
}

impl Ended {
    /// Tells whether it exited with 0.
    pub fn succeeded(&self) -> bool {
        self.ending == Ending::Exited(0)
    }

    /// Returns its standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Returns its last words: the last lines that are not blank, of stderr or else of stdout, as one line,
    /// and no more of it than [`WORDS`].
    pub fn last_words(&self) -> String {
        let last = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            lines[lines.len().saturating_sub(3)..].join(" / ")
        };
        let said = last(&self.stderr);
        shorten(if said.is_empty() { last(&self.stdout) } else { said })
    }

    /// Returns how it ended with its last words, as a clause: `exit status 1: no such pool`.
    pub fn clause(&self) -> String {
        self.clause_of(&self.ending.to_string())
    }

    /// Returns the same where the end is to be called otherwise: `interrupted: no such pool`.
    pub fn clause_of(&self, ending: &str) -> String {
        let words = self.last_words();
        if words.is_empty() { ending.to_owned() } else { format!("{ending}: {words}") }
    }
}

/// How many bytes of what a program said go into a message: an endless line would be in every log line.
pub const WORDS: usize = 4096;

/// Returns a text no longer than [`WORDS`]: its beginning and its end, where it is longer.
pub fn shorten(text: String) -> String {
    const GAP: &str = " … ";
    if text.len() <= WORDS {
        return text;
    }
    let half = (WORDS - GAP.len()) / 2;
    let whole = |at: &usize| text.is_char_boundary(*at);
    let head = (0..=half).rev().find(whole).unwrap_or_default();
    let tail = (text.len() - half..=text.len()).find(whole).unwrap_or(text.len());
    format!("{}{GAP}{}", &text[..head], &text[tail..])
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit status {code}"),
            Self::Killed(signal) => write!(f, "killed by signal {signal}"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Unkillable => f.write_str("hangs and cannot be killed"),
            Self::NotStarted => f.write_str("not started"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two hundred nodes with one endless line each made a log of 236 MB.
    #[test]
    fn an_endless_line_is_no_last_word_of_more_than_four_kib() {
        let ended = Ended {
            ending: Ending::Exited(1),
            stdout: Vec::new(),
            stderr: format!("a{}z", "é".repeat(32 * 1024)).into_bytes(),
            truncated: false,
            took: Duration::ZERO,
        };
        let said = ended.last_words();
        assert!((WORDS - 8..=WORDS).contains(&said.len()), "{}", said.len());
        assert!(said.starts_with('a') && said.ends_with('z') && said.contains(" … "));
    }
}
