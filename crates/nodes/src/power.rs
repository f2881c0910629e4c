//! Power programs whose arguments and answers are known: what is asked, and what an answer means.
//!
//! None of them is believed when it says "done": its status tells, node by node.

use crate::roster::Member;
use crate::template::{Reach, fold};
use orderly_exec::job::{Ended, Ending};
use orderly_plan::fleet::{FailureKind, Power, Task};
use orderly_plan::nodeset;
use std::ffi::OsString;

/// A power program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tool {
    Powerman(Powerman),
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
/// Another client's command for these nodes is still under way.
const IN_PROGRESS: i32 = 206;

impl Tool {
    /// Returns the word of `driver`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Powerman(_) => "powerman",
        }
    }

    /// Returns the settings an override of powerman starts from.
    pub fn as_powerman(&self) -> Powerman {
        match self {
            Self::Powerman(powerman) => powerman.clone(),
        }
    }

    /// Tells whether a reset of its own can be trusted. powerman's cycle is a fixed pause between
    /// off and on, whatever the node does; off, wait for off, on is better.
    pub fn resets(&self) -> bool {
        match self {
            Self::Powerman(_) => false,
        }
    }

    /// Returns how many nodes one process stands for.
    pub fn reach(&self) -> Reach {
        match self {
            Self::Powerman(_) => Reach::Set,
        }
    }

    /// Returns the argument vector of a task; anything that does not switch asks for the status.
    pub fn argv(&self, task: Task, nodes: &[&Member]) -> Vec<OsString> {
        let Self::Powerman(powerman) = self;
        let mut argv: Vec<OsString> = vec![powerman.program.clone().into()];
        if let Some(host) = &powerman.host {
            argv.extend(["-h".into(), host.into()]);
        }
        match task {
            Task::PowerOn => argv.push("-1".into()),
            Task::PowerOff => argv.push("-0".into()),
            // One line a node, which is what `fleet::reading` understands.
            _ => argv.extend(["-x".into(), "-Q".into()]),
        }
        argv.push(fold(nodes).into());
        argv
    }

    /// Returns the names that made it refuse the whole call, so that the rest can be tried without.
    pub fn refused_names(&self, ended: &Ended) -> Vec<String> {
        let Self::Powerman(_) = self;
        if ended.ending != Ending::Exited(NO_SUCH_NODES) {
            return Vec::new();
        }
        let said = format!("{}\n{}", ended.text(), String::from_utf8_lossy(&ended.stderr));
        let listed = said.lines().find_map(|line| line.trim().strip_prefix("No such nodes: "));
        listed.and_then(|listed| nodeset::expand(listed.trim()).ok()).unwrap_or_default()
    }

    /// Returns what kind of failure an end is, and its name where a person should read it first.
    pub fn classify(&self, ended: &Ended) -> Option<(FailureKind, &'static str)> {
        let Self::Powerman(_) = self;
        let said = String::from_utf8_lossy(&ended.stderr);
        match ended.ending {
            Ending::Exited(IN_PROGRESS) => Some((FailureKind::Failed, "busy")),
            Ending::Exited(NO_SUCH_NODES) => Some((FailureKind::Failed, "not in powerman.conf")),
            Ending::Exited(1) if said.contains("could not connect") || said.contains("could not find") => {
                Some((FailureKind::Unreachable, "powermand does not answer"))
            }
            _ => None,
        }
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
            let argv = tool.argv(task, &[&one, &two]);
            argv.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(words(Task::PowerOn), "powerman -h pm:1 -1 n[1-2]");
        assert_eq!(words(Task::PowerOff), "powerman -h pm:1 -0 n[1-2]");
        assert_eq!(words(Task::ReadPower), "powerman -h pm:1 -x -Q n[1-2]");
        assert_eq!(tool.refused_names(&ended(209, "No such nodes: n[7-8]\n", "")), ["n7", "n8"]);
        assert!(tool.refused_names(&ended(210, "No such nodes: n7\n", "")).is_empty());
        let kind = |ended: &Ended| tool.classify(ended).map(|(kind, _)| kind);
        let gone = "powerman: could not connect to address 127.0.0.1:10101";
        assert_eq!(kind(&ended(1, "", gone)), Some(FailureKind::Unreachable));
        assert_eq!(kind(&ended(206, "", "")), Some(FailureKind::Failed));
        assert_eq!(kind(&ended(210, "Command completed with errors\n", "")), None);
    }
}
