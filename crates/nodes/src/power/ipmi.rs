//! What ipmitool (one process a controller) and ipmipower (one for all) have in common: their settings, and the
//! words of IPMI by which failures are told apart.
//!
//! The password never stands on a command line: ipmitool reads its file, ipmipower gets it on
//! standard input.

use super::password;
use crate::roster::Member;
use orderly_exec::job::{Ended, Ending};
use orderly_exec::settings::Table;
use orderly_plan::drivers::FailureKind;
use std::path::PathBuf;

/// The port of RMCP, by which IPMI is spoken over a network.
const RMCP: u16 = 623;

/// The settings of `driver = "ipmitool"` and `driver = "ipmipower"`.
#[derive(Debug, Clone)]
pub struct Ipmi {
    pub(super) program: String,
    /// The inventory attribute with the address of a node's controller.
    pub(super) bmc: String,
    pub(super) user: Option<String>,
    /// Its first line is the password.
    pub(super) password_file: Option<PathBuf>,
    /// The cipher suite; asking the controller for its list costs some of them ten seconds.
    pub(super) cipher: u32,
    pub(super) port: Option<u16>,
    /// Controllers that take no pings are not waited for, each with a process of its own.
    pub(super) look_ahead: bool,
    /// Given to the program before ours.
    pub(super) options: Vec<String>,
}

/// The keys of both programs.
pub(super) const KEYS: &[&str] =
    &["program", "bmc", "user", "password_file", "cipher", "port", "look_ahead", "options"];

/// Options by which ipmitool and ipmipower address one system of several behind a controller.
const ADDRESSING: [&str; 7] = ["-t", "-T", "-b", "-B", "-l", "-m", "--target-"];

impl Ipmi {
    pub(super) fn new(program: &str) -> Self {
        Self {
            program: program.to_owned(),
            bmc: "bmc".into(),
            user: None,
            password_file: None,
            cipher: 3,
            port: None,
            look_ahead: true,
            options: Vec::new(),
        }
    }

    /// Reads the table of a program; `flags` put a secret on its command line.
    pub(super) fn read(
        table: &Table<'_>,
        base: Option<&Self>,
        program: &str,
        flags: &[&'static str],
    ) -> Self {
        let mut ipmi = base.cloned().unwrap_or_else(|| Self::new(program));
        if let Some(program) = table.text("program") {
            ipmi.program = program;
        }
        if let Some(bmc) = table.text("bmc") {
            ipmi.bmc = bmc;
        }
        if let Some(options) = table.texts("options") {
            if let Some(flag) = secret_flag(&options, flags) {
                let why = "would show a secret to every user of this machine; put it into a password_file";
                table.reject_unshown("options", format!("{}: {flag} {why}", table.named("options")));
            }
            ipmi.options = options;
        }
        password::reject_written(table);
        if let Some(cipher) = table.number("cipher") {
            match u32::try_from(cipher).ok().filter(|&cipher| cipher <= 17) {
                Some(cipher) => ipmi.cipher = cipher,
                None => table.reject("cipher", format!("{}: from 0 to 17", table.named("cipher"))),
            }
        }
        ipmi.user = table.text("user").or(ipmi.user);
        ipmi.port = table.port("port").or(ipmi.port);
        ipmi.look_ahead = table.flag("look_ahead").unwrap_or(ipmi.look_ahead);
        if let Some(file) = table.absolute_path("password_file") {
            ipmi.password_file = Some(file);
        }
        ipmi
    }

    /// Returns what addresses one system of several behind a controller: its port, and the options for that.
    pub(super) fn addressing(&self) -> String {
        let mut words = vec![self.port.unwrap_or(RMCP).to_string()];
        for (at, option) in self.options.iter().enumerate() {
            if ADDRESSING.iter().any(|known| option.starts_with(known)) {
                words.push(option.clone());
                words.extend(self.options.get(at + 1).filter(|_| option.len() == 2).cloned());
            }
        }
        words.join(" ")
    }

    /// Returns the password, where one is configured.
    pub(super) fn password(&self) -> anyhow::Result<Option<String>> {
        self.password_file.as_deref().map(password::read).transpose()
    }

    /// Returns where a node's controller takes pings, if it is to be pinged before it is asked.
    pub(super) fn ping_address<'m>(&self, node: &'m Member) -> Option<(&'m str, u16)> {
        self.look_ahead.then(|| (bmc(node), self.port.unwrap_or(RMCP)))
    }
}

/// Returns the flag among some options that puts a password or a key on the command line, where every
/// user of the machine can read it.
pub(super) fn secret_flag(options: &[String], flags: &[&'static str]) -> Option<&'static str> {
    flags.iter().copied().find(|flag| options.iter().any(|option| option.starts_with(flag)))
}

/// Returns the address of a node's controller; a unit is a controller itself.
pub(super) fn bmc(node: &Member) -> &str {
    node.bmc.as_deref().unwrap_or(&node.address)
}

const PASSWORD: [&str; 12] = [
    "RAKP 2 HMAC is invalid",
    "unauthorized name",
    "unauthorized role",
    "Invalid password",
    "password invalid",
    "password length invalid",
    "privilege level cannot be obtained for this user",
    "authentication type unavailable",
    "username invalid",
    "insufficient privilege",
    "k_g invalid",
    "cipher suite id unavailable",
];

/// What is said of a controller from which nothing comes.
pub(super) const SILENT: &str = "the controller does not answer";

/// Returns what kind of failure the words of either program mean.
pub(super) fn classify(ended: &Ended) -> Option<(FailureKind, &'static str)> {
    let words = format!("{}\n{}", String::from_utf8_lossy(&ended.stderr), ended.text());
    classify_words(&words, ended.ending == Ending::TimedOut)
}

/// As [`classify`], from words alone.
pub(super) fn classify_words(words: &str, timed_out: bool) -> Option<(FailureKind, &'static str)> {
    let has = |signs: &[&str]| signs.iter().any(|sign| words.contains(sign));
    if has(&PASSWORD) {
        Some((FailureKind::Authentication, "the controller does not accept the user or password"))
    } else if has(&["password verification timeout"]) {
        // Said of a wrong password, and of a controller that has too much to do.
        Some((
            FailureKind::TimedOut,
            "the controller does not verify the password (a wrong one, or it is busy)",
        ))
    } else if has(&["BMC busy", "Node busy", "node busy", "Insufficient resources", "out of resources"]) {
        Some((FailureKind::Busy, "the controller is busy"))
    } else if has(&[
        "Could not open socket",
        "Address lookup for",
        "Name or service not known",
        "invalid hostname",
    ]) {
        Some((FailureKind::Unreachable, "no way to the controller"))
    } else if timed_out
        || has(&["Unable to establish IPMI", "connection timeout", "session timeout", "Get Auth"])
    {
        Some((FailureKind::Unreachable, SILENT))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn ended(code: i32, out: &str, err: &str) -> Ended {
        Ended {
            ending: Ending::Exited(code),
            stdout: out.into(),
            stderr: err.into(),
            truncated: false,
            took: Duration::ZERO,
        }
    }

    #[test]
    fn a_wrong_password_is_told_from_a_controller_that_is_away() {
        let kind = |words: &str| classify(&ended(1, "", words)).map(|(kind, _)| kind);
        let away = "Error: Unable to establish IPMI v2 / RMCP+ session\n";
        assert_eq!(kind(&format!("> RAKP 2 HMAC is invalid\n{away}")), Some(FailureKind::Authentication));
        assert_eq!(kind(away), Some(FailureKind::Unreachable));
        // All that ipmipower 1.6 and 1.7 say of it; nothing of that is told otherwise at another try.
        for said in [
            "username invalid",
            "password invalid",
            "password length invalid",
            "k_g invalid",
            "privilege level cannot be obtained for this user",
            "authentication type unavailable for attempted privilege level",
            "cipher suite id unavailable",
        ] {
            assert_eq!(kind(&format!("10.1.0.1: {said}")), Some(FailureKind::Authentication), "{said}");
        }
        assert_eq!(kind("Invalid command"), None);
        // Said under load, too: a node was given up for good because of it, and is tried again.
        let busy = kind("10.1.0.1: password verification timeout");
        assert!(busy.is_some_and(|kind| kind.back_off(1).is_some()), "{busy:?}");
    }
}
