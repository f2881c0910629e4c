//! IPMI: ipmitool (one process a controller) and ipmipower (one for all).
//!
//! The password never stands on a command line: ipmitool reads its file, ipmipower gets it on
//! standard input.

use crate::roster::Member;
use anyhow::Context;
use orderly_exec::files;
use orderly_exec::job::{Ended, Ending, Job};
use orderly_plan::fleet::{FailureKind, Power, Task};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// The port of RMCP, by which IPMI is spoken over a network.
pub(crate) const RMCP: u16 = 623;

/// The settings of `driver = "ipmitool"` and `driver = "ipmipower"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ipmi {
    pub program: String,
    /// The inventory attribute with the address of a node's controller.
    pub bmc: String,
    pub user: Option<String>,
    /// Its first line is the password.
    pub password_file: Option<PathBuf>,
    /// The cipher suite; asking the controller for its list costs some of them ten seconds.
    pub cipher: u32,
    pub port: Option<u16>,
    /// Controllers that take no pings are not waited for, each with a process of its own.
    pub look_ahead: bool,
    /// Given to the program before ours.
    pub options: Vec<String>,
}

impl Ipmi {
    pub fn new(program: &str) -> Self {
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

    /// Returns the call of ipmitool for a node's controller.
    ///
    /// # Errors
    /// When the password cannot be read; ipmitool itself would ask for one, and call it wrong.
    pub fn ipmitool(&self, task: Task, node: &Member, timeout: Duration) -> anyhow::Result<Job> {
        self.password()?;
        let mut argv: Vec<OsString> = vec![self.program.clone().into()];
        argv.extend(self.options.iter().map(OsString::from));
        // Without -v a wrong password and a controller that is away read the same.
        argv.extend(["-v", "-I", "lanplus", "-C"].map(OsString::from));
        argv.push(self.cipher.to_string().into());
        if let Some(port) = self.port {
            argv.extend(["-p".into(), port.to_string().into()]);
        }
        if let Some(user) = &self.user {
            argv.extend(["-U".into(), user.into()]);
        }
        if let Some(file) = &self.password_file {
            argv.extend(["-f".into(), file.into()]);
        }
        argv.extend(["-H".into(), bmc(node).into()]);
        let action = match task {
            Task::PowerOn => "on",
            Task::PowerOff => "off",
            Task::Reset => "reset",
            Task::ReadPower | Task::Probe | Task::Run(_) => "status",
        };
        argv.extend(["chassis", "power", action].map(OsString::from));
        Ok(Job::new(argv, timeout))
    }

    /// Returns the password, where one is configured.
    fn password(&self) -> anyhow::Result<Option<String>> {
        let Some(file) = &self.password_file else { return Ok(None) };
        let text = files::read(file)
            .context("the password of the controllers is gone (put the file of power.password_file back)")?;
        Ok(Some(text.lines().next().unwrap_or_default().to_owned()))
    }

    /// Returns the call of ipmipower for the controllers of many nodes.
    ///
    /// # Errors
    /// When the password cannot be read.
    pub fn ipmipower(&self, task: Task, nodes: &[&Member], timeout: Duration) -> anyhow::Result<Job> {
        let mut argv: Vec<OsString> = vec![self.program.clone().into()];
        argv.extend(self.options.iter().map(OsString::from));
        argv.extend(["--driver-type=LAN_2_0".into(), format!("--cipher-suite-id={}", self.cipher).into()]);
        let hosts: Vec<String> = nodes.iter().map(|node| self.host(node)).collect();
        argv.push(format!("--hostname={}", hosts.join(",")).into());
        argv.push(
            match task {
                Task::PowerOn => "--on",
                Task::PowerOff => "--off",
                Task::Reset => "--reset",
                Task::ReadPower | Task::Probe | Task::Run(_) => "--stat",
            }
            .into(),
        );
        // It then says "ok" only of those that read as wanted, and asks for that itself, in one
        // process; what it says is looked at once more all the same.
        match task {
            Task::PowerOn => argv.push("--wait-until-on".into()),
            Task::PowerOff => argv.push("--wait-until-off".into()),
            Task::Reset | Task::ReadPower | Task::Probe | Task::Run(_) => {}
        }
        let mut settings = String::new();
        if let Some(user) = &self.user {
            let _ = writeln!(settings, "username {}", quoted(user));
        }
        if let Some(password) = self.password()? {
            let _ = writeln!(settings, "password {}", quoted(&password));
        }
        if !settings.is_empty() {
            argv.push("--config-file=/dev/stdin".into());
        }
        let mut job = Job::new(argv, timeout);
        job.stdin = settings.into_bytes();
        Ok(job)
    }

    pub(crate) fn presence<'m>(&self, node: &'m Member) -> Option<(&'m str, u16)> {
        self.look_ahead.then(|| (bmc(node), self.port.unwrap_or(RMCP)))
    }

    fn host(&self, node: &Member) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", bmc(node)),
            None => bmc(node).to_owned(),
        }
    }
}

/// Returns the flag among some options that puts a password or a key on the command line, where every
/// user of the machine can read it.
pub(crate) fn secret_flag(options: &[String], program: &str) -> Option<&'static str> {
    let flags: &[&str] = match program {
        "ipmitool" => &["-P", "-k", "-y"],
        // It takes long options at any length at which they are unmistakable.
        _ => &["-p", "--pass", "-k", "--k"],
    };
    flags.iter().copied().find(|flag| options.iter().any(|option| option.starts_with(flag)))
}

/// Returns a word as FreeIPMI's configuration files have it: bare, it would end at a `#` or a blank.
fn quoted(word: &str) -> String {
    let mut text = String::from("\"");
    for c in word.chars() {
        if matches!(c, '"' | '\\' | '#') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    text
}

/// Returns the address of a node's controller; a unit is a controller itself.
fn bmc(node: &Member) -> &str {
    node.bmc.as_deref().unwrap_or(&node.address)
}

/// Returns what ipmitool's status says: this sentence and nothing like it.
pub(super) fn ipmitool_power(ended: &Ended) -> Power {
    let text = ended.text();
    let mut said = text.lines().filter_map(|line| line.trim().strip_prefix("Chassis Power is "));
    match (said.next(), said.next(), ended.succeeded()) {
        (Some("on"), None, true) => Power::On,
        (Some("off"), None, true) => Power::Off,
        _ => Power::Unknown,
    }
}

/// Returns what ipmipower said of a node's controller: its last word after the address.
pub(super) fn ipmipower_said<'t>(text: &'t str, node: &Member) -> Option<&'t str> {
    text.split_inclusive('\n').filter(|line| line.ends_with('\n')).find_map(|line| {
        let (host, said) = line.trim_end().split_once(": ")?;
        (host == bmc(node)).then_some(said.trim())
    })
}

pub(super) fn ipmipower_power(text: &str, node: &Member) -> Power {
    match ipmipower_said(text, node) {
        Some("on") => Power::On,
        Some("off") => Power::Off,
        Some(_) | None => Power::Unknown,
    }
}

const PASSWORD: [&str; 9] = [
    "RAKP 2 HMAC is invalid",
    "unauthorized name",
    "unauthorized role",
    "Invalid password",
    "password invalid",
    "username invalid",
    "insufficient privilege",
    "k_g invalid",
    "cipher suite id unavailable",
];

/// What is said of a controller from which nothing comes.
pub(crate) const SILENT: &str = "the controller does not answer";

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
    use crate::template::tests::member;

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
    fn the_password_is_never_on_the_command_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        std::fs::write(&file, "s3cret\n").unwrap();
        let ipmi = Ipmi { user: Some("admin".into()), password_file: Some(file), ..Ipmi::new("ipmipower") };
        let node = Member { bmc: Some("10.1.0.1".into()), ..member("n1", 1) };
        let job = ipmi.ipmipower(Task::PowerOn, &[&node], Duration::from_secs(1)).unwrap();
        assert_eq!(job.stdin, b"username \"admin\"\npassword \"s3cret\"\n");
        assert!(job.shown().contains("--hostname=10.1.0.1 --on --wait-until-on"), "{}", job.shown());
        let tool = ipmi.ipmitool(Task::PowerOn, &node, Duration::from_secs(1)).unwrap();
        assert!(tool.shown().ends_with("-H 10.1.0.1 chassis power on"), "{}", tool.shown());
        assert!(!job.shown().contains("s3cret") && !tool.shown().contains("s3cret"));
    }

    #[test]
    fn options_that_show_a_secret_are_found() {
        let among = |program: &str, options: &[&str]| {
            let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
            secret_flag(&options, program)
        };
        for options in [["-N", "-Psecret"], ["-v", "-P"], ["-k", "key"], ["-y", "00ff"]] {
            assert!(among("ipmitool", &options).is_some(), "{options:?}");
        }
        for options in [["-p", "secret"], ["--password=secret", "-v"], ["--pass", "secret"], ["--k-g", "key"]]
        {
            assert!(among("ipmipower", &options).is_some(), "{options:?}");
        }
        assert_eq!(among("ipmitool", &["-p", "624", "-E", "-N", "1"]), None);
        assert_eq!(among("ipmipower", &["-W", "opensesspriv", "--session-timeout=2000"]), None);
    }

    /// A password with a `#` was cut there, and called wrong.
    #[test]
    fn a_password_of_any_characters_reaches_ipmipower_whole() {
        assert_eq!(quoted(r#"a b#c"d\e'="#), r#""a b\#c\"d\\e'=""#);
    }

    #[test]
    fn only_the_exact_sentence_is_a_reading() {
        for (code, out, power) in [
            (0, "Chassis Power is on\n", Power::On),
            (0, "Chassis Power is off\n", Power::Off),
            (1, "Chassis Power is off\n", Power::Unknown),
            (0, "password verification failed\n", Power::Unknown),
            (0, "Chassis Power is on\nChassis Power is off\n", Power::Unknown),
            (0, "", Power::Unknown),
        ] {
            assert_eq!(ipmitool_power(&ended(code, out, "")), power, "{out}");
        }
        let node = Member { bmc: Some("10.1.0.1".into()), ..member("n1", 1) };
        let text = "10.1.0.11: on\n10.1.0.1: off\n10.1.0.2: o";
        assert_eq!(ipmipower_power(text, &node), Power::Off);
        assert_eq!(ipmipower_power("10.1.0.1: password verification timeout\n", &node), Power::Unknown);
        assert_eq!(ipmipower_power("10.1.0.1: on", &node), Power::Unknown);
    }

    #[test]
    fn a_wrong_password_is_told_from_a_controller_that_is_away() {
        let kind = |words: &str| classify(&ended(1, "", words)).map(|(kind, _)| kind);
        let away = "Error: Unable to establish IPMI v2 / RMCP+ session\n";
        assert_eq!(kind(&format!("> RAKP 2 HMAC is invalid\n{away}")), Some(FailureKind::Authentication));
        assert_eq!(kind(away), Some(FailureKind::Unreachable));
        assert_eq!(kind("10.1.0.1: password invalid"), Some(FailureKind::Authentication));
        assert_eq!(kind("Invalid command"), None);
        // Said under load, too: a node was given up for good because of it, and is tried again.
        let busy = kind("10.1.0.1: password verification timeout");
        assert!(busy.is_some_and(|kind| orderly_plan::machine::back_off(kind, 1).is_some()), "{busy:?}");
    }
}
