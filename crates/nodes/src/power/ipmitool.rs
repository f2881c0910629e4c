//! `driver = "ipmitool"`: a process for each controller.

use super::driver::{PowerDriver, PowerEntry, before};
use super::ipmi::{self, Ipmi, bmc};
use crate::roster::Member;
use crate::template::Reach;
use anyhow::Context;
use orderly_exec::job::{Ended, Job};
use orderly_plan::drivers::{Power, Task};
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

pub(super) const ENTRY: PowerEntry = PowerEntry {
    word: "ipmitool",
    keys: ipmi::KEYS,
    read: |table, base| {
        let base = before::<Ipmitool>(base).map(|before| &before.0);
        Some(Arc::new(Ipmitool(Ipmi::read(table, base, ENTRY.word, &SECRET_FLAGS))))
    },
};

/// The flags that show a password or a key.
const SECRET_FLAGS: [&str; 3] = ["-P", "-k", "-y"];

#[derive(Debug)]
struct Ipmitool(Ipmi);

impl Ipmitool {
    /// Returns the call of ipmitool for a node's controller.
    ///
    /// # Errors
    /// When the password cannot be read; ipmitool itself would ask for one, and call it wrong.
    fn call(&self, task: Task, node: &Member, timeout: Duration) -> anyhow::Result<Job> {
        let Ipmi { user, password_file, cipher, port, options, program, .. } = &self.0;
        self.0.password()?;
        let mut argv: Vec<OsString> = vec![program.clone().into()];
        argv.extend(options.iter().map(OsString::from));
        // Without -v a wrong password and a controller that is away read the same.
        argv.extend(["-v", "-I", "lanplus", "-C"].map(OsString::from));
        argv.push(cipher.to_string().into());
        if let Some(port) = port {
            argv.extend(["-p".into(), port.to_string().into()]);
        }
        if let Some(user) = user {
            argv.extend(["-U".into(), user.into()]);
        }
        if let Some(file) = password_file {
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
}

impl PowerDriver for Ipmitool {
    fn word(&self) -> &'static str {
        ENTRY.word
    }

    fn reach(&self, _task: Task) -> Option<Reach> {
        Some(Reach::Each)
    }

    fn job(&self, task: Task, nodes: &[&Member], timeout: Duration) -> anyhow::Result<Option<Job>> {
        let node = nodes.first().context("no node to ask about")?;
        self.call(task, node, timeout).map(Some)
    }

    fn powers(&self, nodes: &[&Member], ended: &Ended) -> Vec<Power> {
        vec![power(ended); nodes.len()]
    }

    fn ipmi(&self) -> Option<&Ipmi> {
        Some(&self.0)
    }

    fn expected(&self, _node: &Member) -> String {
        "\"Chassis Power is on\" or \"Chassis Power is off\"".to_owned()
    }
}

/// Returns what ipmitool's status says: this sentence and nothing like it.
fn power(ended: &Ended) -> Power {
    let text = ended.text();
    let mut said = text.lines().filter_map(|line| line.trim().strip_prefix("Chassis Power is "));
    match (said.next(), said.next(), ended.succeeded()) {
        (Some("on"), None, true) => Power::On,
        (Some("off"), None, true) => Power::Off,
        _ => Power::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::tests::member;
    use orderly_exec::job::Ending;

    #[test]
    fn the_password_is_never_on_the_command_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        std::fs::write(&file, "s3cret\n").unwrap();
        let tool =
            Ipmitool(Ipmi { user: Some("admin".into()), password_file: Some(file), ..Ipmi::new("ipmitool") });
        let node = Member { bmc: Some("10.1.0.1".into()), ..member("n1", 1) };
        let job = tool.job(Task::PowerOn, &[&node], Duration::from_secs(1)).unwrap().unwrap();
        assert!(job.shown().ends_with("-H 10.1.0.1 chassis power on"), "{}", job.shown());
        assert!(!job.shown().contains("s3cret"));
    }

    #[test]
    fn options_that_show_a_secret_are_found() {
        let among = |options: &[&str]| {
            let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
            ipmi::secret_flag(&options, &SECRET_FLAGS)
        };
        for options in [["-N", "-Psecret"], ["-v", "-P"], ["-k", "key"], ["-y", "00ff"]] {
            assert!(among(&options).is_some(), "{options:?}");
        }
        assert_eq!(among(&["-p", "624", "-E", "-N", "1"]), None);
    }

    #[test]
    fn only_the_exact_sentence_is_a_reading() {
        for (code, out, expected) in [
            (0, "Chassis Power is on\n", Power::On),
            (0, "Chassis Power is off\n", Power::Off),
            (1, "Chassis Power is off\n", Power::Unknown),
            (0, "password verification failed\n", Power::Unknown),
            (0, "Chassis Power is on\nChassis Power is off\n", Power::Unknown),
            (0, "", Power::Unknown),
        ] {
            let ended = Ended {
                ending: Ending::Exited(code),
                stdout: out.into(),
                stderr: Vec::new(),
                truncated: false,
                took: Duration::ZERO,
            };
            assert_eq!(power(&ended), expected, "{out}");
        }
    }
}
