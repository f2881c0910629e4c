//! Fake programs: each call is logged, answered as told, and an unexpected one fails the scenario.
//!
//! A fake is a small shell script made from its answers, so that it also works where only `/bin/sh`
//! is (inside a mount namespace, behind sshd). Order is proved by reading the shared log.

use crate::Bed;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// What could end or disturb the machine the tests run on. Shadowed in every bed, never lent.
pub const ENDS_A_MACHINE: [&str; 11] = [
    "halt",
    "reboot",
    "poweroff",
    "shutdown",
    "init",
    "telinit",
    "systemctl",
    "loginctl",
    "wall",
    "kexec",
    "pkill",
];

/// What a fake does when it is called.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    out: String,
    err: String,
    then: String,
}

impl Answer {
    /// Returns the answer that says nothing and exits 0.
    pub fn ok() -> Self {
        Self::default()
    }

    /// Prints a text on stdout.
    #[must_use]
    pub fn out(mut self, text: &str) -> Self {
        self.out = text.to_owned();
        self
    }

    /// Prints a text on stderr.
    #[must_use]
    pub fn err(mut self, text: &str) -> Self {
        self.err = text.to_owned();
        self
    }

    /// Runs shell lines before it ends, for fakes that have a state; `$root` is the bed's root.
    #[must_use]
    pub fn run(mut self, lines: &str) -> Self {
        let _ = writeln!(self.then, "{lines}");
        self
    }

    /// Exits with this status.
    #[must_use]
    pub fn exit(self, status: u8) -> Self {
        self.run(&format!("exit {status}"))
    }

    /// Never ends by itself.
    #[must_use]
    pub fn hang(self) -> Self {
        self.run("exec /bin/sleep 100000")
    }

    /// Dies of a signal, given by name without SIG.
    #[must_use]
    pub fn die(self, signal: &str) -> Self {
        self.run(&format!("kill -{signal} $$\nexec /bin/sleep 100000"))
    }
}

/// One fake program.
#[derive(Debug)]
pub struct Fake {
    path: PathBuf,
    root: PathBuf,
    name: String,
    answers: Vec<(String, Answer)>,
}

impl Fake {
    pub(crate) fn new(bed: &Bed, name: &str) -> Self {
        let fake = Self {
            path: bed.path("fakes").join(name),
            root: bed.root().to_owned(),
            name: name.to_owned(),
            answers: Vec::new(),
        };
        fake.write();
        fake
    }

    /// Answers calls whose arguments, joined by single blanks, match a shell pattern; the last
    /// answer given wins.
    pub fn when(&mut self, pattern: &str, answer: Answer) -> &mut Self {
        self.answers.insert(0, (pattern.to_owned(), answer));
        self.write();
        self
    }

    /// Answers every call not answered otherwise.
    pub fn always(&mut self, answer: Answer) -> &mut Self {
        self.answers.push(("*".to_owned(), answer));
        self.write();
        self
    }

    fn write(&self) {
        let mut text = format!("#!/bin/sh\nroot={}\n", quoted(&self.root.display().to_string()));
        let _ = writeln!(text, "printf '%s\\n' {}\"${{*:+ $*}}\" >>\"$root/calls.log\"", quoted(&self.name));
        let _ = writeln!(text, "case \"$*\" in");
        for (pattern, answer) in &self.answers {
            let _ = writeln!(text, "{})", unbroken(pattern));
            for (words, stream) in [(&answer.out, ""), (&answer.err, " >&2")] {
                if !words.is_empty() {
                    let _ = writeln!(text, "printf '%s' {}{stream}", quoted(words));
                }
            }
            let _ = writeln!(text, "{}exit 0 ;;", answer.then);
        }
        let refusal = format!("printf '%s\\n' {}\" $*\" >>\"$root/forbidden.log\"", quoted(&self.name));
        let _ = writeln!(text, "*) {refusal}; exit 97 ;;\nesac");
        crate::write_script(&self.path, &text);
    }
}

pub(crate) fn shadow_what_ends_a_machine(bed: &Bed) {
    for name in ENDS_A_MACHINE {
        Fake::new(bed, name);
    }
}

/// Returns the lines of a log that may not have been begun yet.
pub(crate) fn lines_of(log: &Path) -> Vec<String> {
    std::fs::read_to_string(log).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Quotes a text for the shell.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Keeps blanks in a pattern while its stars stay stars.
fn unbroken(pattern: &str) -> String {
    pattern
        .split('*')
        .map(|part| if part.is_empty() { String::new() } else { quoted(part) })
        .collect::<Vec<_>>()
        .join("*")
}
