//! `driver = "ipmipower"`: one process for all controllers.

use super::driver::{PowerDriver, PowerEntry, before};
use super::ipmi::{self, Ipmi, bmc, classify, classify_words};
use crate::roster::Member;
use crate::template::Reach;
use orderly_exec::job::{Ended, Job, shorten};
use orderly_plan::drivers::{FailureKind, Power, Task};
use std::ffi::OsString;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

pub(super) const ENTRY: PowerEntry = PowerEntry {
    word: "ipmipower",
    keys: ipmi::KEYS,
    read: |table, base| {
        let base = before::<Ipmipower>(base).map(|before| &before.0);
        Some(Arc::new(Ipmipower(Ipmi::read(table, base, ENTRY.word, &SECRET_FLAGS))))
    },
};

/// The flags that show a password or a key; it takes long options at any length at which they are unmistakable.
const SECRET_FLAGS: [&str; 4] = ["-p", "--pass", "-k", "--k"];

#[derive(Debug)]
struct Ipmipower(Ipmi);

impl Ipmipower {
    /// Returns the call of ipmipower for the controllers of many nodes.
    ///
    /// # Errors
    /// When the password cannot be read.
    fn call(&self, task: Task, nodes: &[&Member], timeout: Duration) -> anyhow::Result<Job> {
        let mut argv: Vec<OsString> = vec![self.0.program.clone().into()];
        argv.extend(self.0.options.iter().map(OsString::from));
        argv.extend(["--driver-type=LAN_2_0".into(), format!("--cipher-suite-id={}", self.0.cipher).into()]);
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
        if let Some(user) = &self.0.user {
            let _ = writeln!(settings, "username {}", quoted(user));
        }
        if let Some(password) = self.0.password()? {
            let _ = writeln!(settings, "password {}", quoted(&password));
        }
        if !settings.is_empty() {
            argv.push("--config-file=/dev/stdin".into());
        }
        let mut job = Job::new(argv, timeout);
        job.stdin = settings.into_bytes();
        Ok(job)
    }

    fn host(&self, node: &Member) -> String {
        match self.0.port {
            Some(port) => format!("{}:{port}", bmc(node)),
            None => bmc(node).to_owned(),
        }
    }
}

impl PowerDriver for Ipmipower {
    fn word(&self) -> &'static str {
        ENTRY.word
    }

    fn reach(&self, _task: Task) -> Option<Reach> {
        Some(Reach::Set)
    }

    fn job(&self, task: Task, nodes: &[&Member], timeout: Duration) -> anyhow::Result<Option<Job>> {
        self.call(task, nodes, timeout).map(Some)
    }

    fn powers(&self, nodes: &[&Member], ended: &Ended) -> Vec<Power> {
        let text = ended.text();
        nodes.iter().map(|node| power(&text, node)).collect()
    }

    fn ipmi(&self) -> Option<&Ipmi> {
        Some(&self.0)
    }

    fn classify_one(&self, node: &Member, ended: &Ended) -> Option<(FailureKind, String)> {
        let text = ended.text();
        let said = said(&text, node)?;
        let (kind, words) = classify_words(said, false)?;
        Some((kind, format!("{words}: {}", shorten(said.to_owned()))))
    }

    fn why_unknown(&self, node: &Member, ended: &Ended) -> (FailureKind, &'static str) {
        let own = said(&ended.text(), node).and_then(|said| classify_words(said, false));
        own.or_else(|| classify(ended)).unwrap_or((FailureKind::Failed, ""))
    }

    /// What it says of a controller that it did not hear, or that refused, is its form, too.
    fn is_answer(&self, node: &Member, ended: &Ended) -> bool {
        let text = ended.text();
        said(&text, node).is_some_and(|said| {
            matches!(said, "on" | "off" | "unknown") || classify_words(said, false).is_some()
        })
    }

    /// It may be told to leave out those that take no pings (`--eliminate`).
    fn is_strange(&self, node: &Member, ended: &Ended) -> bool {
        ended.succeeded() && !self.is_answer(node, ended) && !ended.text().trim().is_empty()
    }

    fn expected(&self, node: &Member) -> String {
        let bmc = node.bmc.as_deref().unwrap_or(&node.name);
        format!("\"{bmc}: on\" or \"{bmc}: off\"")
    }
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

/// Returns what ipmipower said of a node's controller: its last word after the address.
fn said<'t>(text: &'t str, node: &Member) -> Option<&'t str> {
    text.split_inclusive('\n').filter(|line| line.ends_with('\n')).find_map(|line| {
        let (host, said) = line.trim_end().split_once(": ")?;
        (host == bmc(node)).then_some(said.trim())
    })
}

fn power(text: &str, node: &Member) -> Power {
    match said(text, node) {
        Some("on") => Power::On,
        Some("off") => Power::Off,
        Some(_) | None => Power::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::tests::member;

    #[test]
    fn the_password_is_never_on_the_command_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        std::fs::write(&file, "s3cret\n").unwrap();
        let tool = Ipmipower(Ipmi {
            user: Some("admin".into()),
            password_file: Some(file),
            ..Ipmi::new("ipmipower")
        });
        let node = Member { bmc: Some("10.1.0.1".into()), ..member("n1", 1) };
        let job = tool.job(Task::PowerOn, &[&node], Duration::from_secs(1)).unwrap().unwrap();
        assert_eq!(job.stdin, b"username \"admin\"\npassword \"s3cret\"\n");
        assert!(job.shown().contains("--hostname=10.1.0.1 --on --wait-until-on"), "{}", job.shown());
        assert!(!job.shown().contains("s3cret"));
    }

    #[test]
    fn options_that_show_a_secret_are_found() {
        let among = |options: &[&str]| {
            let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
            ipmi::secret_flag(&options, &SECRET_FLAGS)
        };
        for options in [["-p", "secret"], ["--password=secret", "-v"], ["--pass", "secret"], ["--k-g", "key"]]
        {
            assert!(among(&options).is_some(), "{options:?}");
        }
        assert_eq!(among(&["-W", "opensesspriv", "--session-timeout=2000"]), None);
    }

    /// A password with a `#` was cut there, and called wrong.
    #[test]
    fn a_password_of_any_characters_reaches_ipmipower_whole() {
        assert_eq!(quoted(r#"a b#c"d\e'="#), r#""a b\#c\"d\\e'=""#);
    }

    #[test]
    fn only_a_whole_line_of_its_own_is_a_reading() {
        let node = Member { bmc: Some("10.1.0.1".into()), ..member("n1", 1) };
        let text = "10.1.0.11: on\n10.1.0.1: off\n10.1.0.2: o";
        assert_eq!(power(text, &node), Power::Off);
        assert_eq!(power("10.1.0.1: password verification timeout\n", &node), Power::Unknown);
        assert_eq!(power("10.1.0.1: on", &node), Power::Unknown);
    }
}
