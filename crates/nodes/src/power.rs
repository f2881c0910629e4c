//! Power programs whose arguments and answers are known: what is asked, and what an answer means.
//!
//! None of them is believed when it says "done": its status tells, node by node.

mod ipmi;
pub(crate) mod presence;

pub use ipmi::Ipmi;
pub(crate) use ipmi::{RMCP, SILENT, secret_flag};

use crate::fleet::power_lines;
use crate::roster::Member;
use crate::template::{Reach, fold};
use anyhow::Context;
use orderly_exec::job::{Ended, Ending, Job, shorten};
use orderly_plan::fleet::{FailureKind, Power, Task};
use orderly_plan::nodeset;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

/// A power program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tool {
    Powerman(Powerman),
    Ipmitool(Ipmi),
    Ipmipower(Ipmi),
}

/// The settings of `driver = "powerman"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Powerman {
    pub program: String,
    /// `HOST` or `HOST:PORT` of the daemon; powerman's own default when it is not given.
    pub host: Option<String>,
}

impl Default for Powerman {
    fn default() -> Self {
        Self { program: "powerman".into(), host: None }
    }
}

/// powerman's exit status when the daemon does not know some of the nodes: it has done nothing at all.
const NO_SUCH_NODES: i32 = 209;
/// What is said of a node that powermand does not have.
pub(crate) const STRANGER: &str = "not in powerman.conf";
/// Another client's command for these nodes is still under way.
const IN_PROGRESS: i32 = 206;

impl Tool {
    /// Returns the word of `driver`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Powerman(_) => "powerman",
            Self::Ipmitool(_) => "ipmitool",
            Self::Ipmipower(_) => "ipmipower",
        }
    }

    /// Returns the settings of powerman, where it is that.
    pub fn as_powerman(&self) -> Option<Powerman> {
        match self {
            Self::Powerman(powerman) => Some(powerman.clone()),
            Self::Ipmitool(_) | Self::Ipmipower(_) => None,
        }
    }

    /// Returns the settings of the IPMI program of this word, where it is that.
    pub fn as_ipmi(&self, word: &str) -> Option<Ipmi> {
        match self {
            Self::Ipmitool(ipmi) | Self::Ipmipower(ipmi) if self.word() == word => Some(ipmi.clone()),
            Self::Powerman(_) | Self::Ipmitool(_) | Self::Ipmipower(_) => None,
        }
    }

    /// Returns the inventory attribute with the address of a node's controller, where one is needed.
    pub fn attribute(&self) -> Option<&str> {
        match self {
            Self::Powerman(_) => None,
            Self::Ipmitool(ipmi) | Self::Ipmipower(ipmi) => Some(&ipmi.bmc),
        }
    }

    /// Returns where a node's controller takes pings, if it is to be looked at before it is asked.
    pub(crate) fn presence<'m>(&self, node: &'m Member) -> Option<(&'m str, u16)> {
        match self {
            Self::Powerman(_) => None,
            Self::Ipmitool(ipmi) | Self::Ipmipower(ipmi) => ipmi.presence(node),
        }
    }

    /// Returns the file with the password, which nobody else may read.
    pub fn password_file(&self) -> Option<&Path> {
        match self {
            Self::Powerman(_) => None,
            Self::Ipmitool(ipmi) | Self::Ipmipower(ipmi) => ipmi.password_file.as_deref(),
        }
    }

    /// Tells whether a reset of its own can be trusted. powerman's cycle is a fixed pause between
    /// off and on, whatever the node does; off, wait for off, on is better.
    pub fn resets(&self) -> bool {
        !matches!(self, Self::Powerman(_))
    }

    /// Returns how many nodes one process stands for.
    pub fn reach(&self) -> Reach {
        if matches!(self, Self::Ipmitool(_)) { Reach::Each } else { Reach::Set }
    }

    /// Returns the call for a task; anything that does not switch asks for the status.
    ///
    /// # Errors
    /// When the password cannot be read.
    pub fn job(&self, task: Task, nodes: &[&Member], timeout: Duration) -> anyhow::Result<Job> {
        match self {
            Self::Powerman(powerman) => Ok(Job::new(powerman.argv(task, nodes), timeout)),
            Self::Ipmipower(ipmi) => ipmi.ipmipower(task, nodes, timeout),
            Self::Ipmitool(ipmi) => {
                let node = nodes.first().context("no node to ask about")?;
                ipmi.ipmitool(task, node, timeout)
            }
        }
    }

    /// Returns what a status says of each node. What is printed in whole lines for several nodes is
    /// believed even when the call failed: a dead controller must not hide those that answered.
    pub fn powers(&self, nodes: &[&Member], ended: &Ended) -> Vec<Power> {
        let text = ended.text();
        match self {
            Self::Ipmitool(_) => vec![ipmi::ipmitool_power(ended); nodes.len()],
            Self::Ipmipower(_) => nodes.iter().map(|node| ipmi::ipmipower_power(&text, node)).collect(),
            Self::Powerman(_) => {
                let said = power_lines(&text);
                let of = |node: &&Member| said.get(node.name.as_str()).copied().unwrap_or(Power::Unknown);
                nodes.iter().map(of).collect()
            }
        }
    }

    /// Returns the names that made it refuse the whole call, so that the rest can be tried without.
    pub fn refused_names(&self, ended: &Ended) -> Vec<String> {
        if !matches!(self, Self::Powerman(_)) || ended.ending != Ending::Exited(NO_SUCH_NODES) {
            return Vec::new();
        }
        let said = format!("{}\n{}", ended.text(), String::from_utf8_lossy(&ended.stderr));
        let listed = said.lines().find_map(|line| line.trim().strip_prefix("No such nodes: "));
        listed.and_then(|listed| nodeset::expand(listed.trim()).ok()).unwrap_or_default()
    }

    /// Returns what kind of failure an end is, and its name where a person should read it first.
    pub fn classify(&self, ended: &Ended) -> Option<(FailureKind, &'static str)> {
        if !matches!(self, Self::Powerman(_)) {
            return ipmi::classify(ended);
        }
        let said = String::from_utf8_lossy(&ended.stderr);
        match ended.ending {
            Ending::Exited(IN_PROGRESS) => Some((FailureKind::Busy, "busy")),
            Ending::Exited(NO_SUCH_NODES) => Some((FailureKind::Misconfigured, STRANGER)),
            Ending::Exited(1) if said.contains("could not connect") || said.contains("could not find") => {
                Some((FailureKind::Unreachable, "powermand does not answer"))
            }
            Ending::TimedOut => {
                Some((FailureKind::TimedOut, "powermand, or the controller behind it, does not answer"))
            }
            Ending::Exited(_) | Ending::Killed(_) | Ending::Unkillable | Ending::NotStarted => None,
        }
    }

    /// Returns what a call said of one node, where it speaks of each: one controller that refuses is
    /// not what is wrong with the others.
    pub fn classify_one(&self, node: &Member, ended: &Ended) -> Option<(FailureKind, String)> {
        if !matches!(self, Self::Ipmipower(_)) {
            return None;
        }
        let text = ended.text();
        let said = ipmi::ipmipower_said(&text, node)?;
        let (kind, words) = ipmi::classify_words(said, false)?;
        Some((kind, format!("{words}: {}", shorten(said.to_owned()))))
    }

    /// As [`Tool::classify_one`], in the words that are the same for all nodes.
    pub(crate) fn words_of(&self, node: &Member, ended: &Ended) -> Option<(FailureKind, &'static str)> {
        if !matches!(self, Self::Ipmipower(_)) {
            return None;
        }
        ipmi::classify_words(ipmi::ipmipower_said(&ended.text(), node)?, false)
    }
}

impl Powerman {
    /// Returns the call that lists the nodes its daemon knows, one a line.
    pub(crate) fn list(&self) -> Vec<String> {
        let host = self.host.iter().flat_map(|host| ["-h".to_owned(), host.clone()]);
        let words = ["-x".to_owned(), "-l".to_owned()];
        std::iter::once(self.program.clone()).chain(host).chain(words).collect()
    }

    fn argv(&self, task: Task, nodes: &[&Member]) -> Vec<OsString> {
        let mut argv: Vec<OsString> = vec![self.program.clone().into()];
        if let Some(host) = &self.host {
            argv.extend(["-h".into(), host.into()]);
        }
        match task {
            Task::PowerOn => argv.push("-1".into()),
            Task::PowerOff => argv.push("-0".into()),
            // One line a node, which is what `fleet::reading` understands. Since 2.4 there is no `-Q`;
            // `-q` with names means the same in 2.3 and later.
            Task::Reset | Task::ReadPower | Task::Probe | Task::Run(_) => {
                argv.extend(["-x".into(), "-q".into()]);
            }
        }
        argv.push(fold(nodes).into());
        argv
    }
}

/// Returns what a task that was accepted, and changed nothing, is called.
pub(crate) fn without_effect(task: Task) -> String {
    let wanted = if task == Task::PowerOff { "off" } else { "on" };
    format!("power {wanted} was accepted and had no effect: the power does not read {wanted}")
}

/// Returns what power must read for a task to have done its work; a reset leaves no trace.
pub(crate) fn wanted(task: Task) -> Option<Power> {
    match task {
        Task::PowerOn => Some(Power::On),
        Task::PowerOff => Some(Power::Off),
        Task::Reset | Task::ReadPower | Task::Probe | Task::Run(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::tests::member;
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
    fn powerman_is_asked_once_for_all_and_its_refusals_are_told_apart() {
        let tool = Tool::Powerman(Powerman { host: Some("pm:1".into()), ..Powerman::default() });
        let (one, two) = (member("n1", 1), member("n2", 2));
        let words = |task| {
            let argv = tool.job(task, &[&one, &two], Duration::MAX).unwrap().argv;
            argv.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(words(Task::PowerOn), "powerman -h pm:1 -1 n[1-2]");
        assert_eq!(words(Task::PowerOff), "powerman -h pm:1 -0 n[1-2]");
        assert_eq!(words(Task::ReadPower), "powerman -h pm:1 -x -q n[1-2]");
        assert_eq!(tool.refused_names(&ended(209, "No such nodes: n[7-8]\n", "")), ["n7", "n8"]);
        assert!(tool.refused_names(&ended(210, "No such nodes: n7\n", "")).is_empty());
        let kind = |ended: &Ended| tool.classify(ended).map(|(kind, _)| kind);
        let gone = "powerman: could not connect to address 127.0.0.1:10101";
        assert_eq!(kind(&ended(1, "", gone)), Some(FailureKind::Unreachable));
        assert_eq!(kind(&ended(206, "", "")), Some(FailureKind::Busy));
        assert_eq!(kind(&ended(210, "Command completed with errors\n", "")), None);
    }
}
