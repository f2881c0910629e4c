//! `driver = "powerman"`: one call of its client for all nodes, which powermand knows by name.

use super::driver::{NodeListing, PowerDriver, PowerEntry, before};
use super::lines::{is_answer, power_lines};
use crate::roster::Member;
use crate::template::{Reach, fold};
use orderly_exec::job::{Ended, Ending, Job};
use orderly_exec::settings::Table;
use orderly_plan::drivers::{FailureKind, Power, Task};
use orderly_plan::nodeset;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

pub(super) const ENTRY: PowerEntry = PowerEntry {
    word: "powerman",
    keys: &["program", "host"],
    read: |table, base| Some(Arc::new(Powerman::read(table, before(base)))),
};

/// Its exit status when the daemon does not know some of the nodes: it has done nothing at all.
const NO_SUCH_NODES: i32 = 209;
/// Another client's command for these nodes is still under way.
const IN_PROGRESS: i32 = 206;
/// What is said of a node that powermand does not have.
const UNLISTED: &str = "not in powerman.conf";

#[derive(Debug, Clone)]
struct Powerman {
    program: String,
    /// `HOST` or `HOST:PORT` of the daemon; powerman's own default when it is not given.
    host: Option<String>,
}

impl Default for Powerman {
    fn default() -> Self {
        Self { program: "powerman".into(), host: None }
    }
}

impl Powerman {
    fn read(table: &Table<'_>, base: Option<&Self>) -> Self {
        let Self { program, host } = base.cloned().unwrap_or_default();
        Self { program: table.text("program").unwrap_or(program), host: table.text("host").or(host) }
    }

    fn argv(&self, task: Task, nodes: &[&Member]) -> Vec<OsString> {
        let mut argv: Vec<OsString> = vec![self.program.clone().into()];
        if let Some(host) = &self.host {
            argv.extend(["-h".into(), host.into()]);
        }
        match task {
            Task::PowerOn => argv.push("-1".into()),
            Task::PowerOff => argv.push("-0".into()),
            // One line a node, which is what `power_lines` understands. Since 2.4 there is no `-Q`;
            // `-q` with names means the same in 2.3 and later.
            Task::Reset | Task::ReadPower | Task::Probe | Task::Run(_) => {
                argv.extend(["-x".into(), "-q".into()]);
            }
        }
        argv.push(fold(nodes).into());
        argv
    }
}

impl PowerDriver for Powerman {
    fn word(&self) -> &'static str {
        ENTRY.word
    }

    /// Its cycle is a fixed pause between off and on, whatever the node does; off, wait for off, on is better.
    fn reach(&self, task: Task) -> Option<Reach> {
        (task != Task::Reset).then_some(Reach::Set)
    }

    fn job(&self, task: Task, nodes: &[&Member], timeout: Duration) -> anyhow::Result<Option<Job>> {
        Ok(Some(Job::new(self.argv(task, nodes), timeout)))
    }

    fn powers(&self, nodes: &[&Member], ended: &Ended) -> Vec<Power> {
        let text = ended.text();
        let said = power_lines(&text);
        nodes.iter().map(|node| said.get(node.name.as_str()).copied().unwrap_or(Power::Unknown)).collect()
    }

    /// powermand says "unknown" of what its device did not tell.
    fn is_answer(&self, node: &Member, ended: &Ended) -> bool {
        is_answer(&ended.text(), &node.name)
    }

    fn program(&self) -> Option<&str> {
        Some(&self.program)
    }

    fn listing(&self) -> Option<NodeListing> {
        let host = self.host.iter().flat_map(|host| ["-h".to_owned(), host.clone()]);
        let words = ["-x".to_owned(), "-l".to_owned()];
        let call = std::iter::once(self.program.clone()).chain(host).chain(words).collect();
        Some(NodeListing { call, shown: "powerman -x -l", missing: UNLISTED })
    }

    fn refused_names(&self, ended: &Ended) -> Vec<String> {
        if ended.ending != Ending::Exited(NO_SUCH_NODES) {
            return Vec::new();
        }
        let said = format!("{}\n{}", ended.text(), String::from_utf8_lossy(&ended.stderr));
        let listed = said.lines().find_map(|line| line.trim().strip_prefix("No such nodes: "));
        listed.and_then(|listed| nodeset::expand(listed.trim()).ok()).unwrap_or_default()
    }

    fn classify(&self, ended: &Ended) -> Option<(FailureKind, &'static str)> {
        let said = String::from_utf8_lossy(&ended.stderr);
        match ended.ending {
            Ending::Exited(IN_PROGRESS) => Some((FailureKind::Busy, "busy")),
            Ending::Exited(NO_SUCH_NODES) => Some((FailureKind::Misconfigured, UNLISTED)),
            Ending::Exited(1) if said.contains("could not connect") || said.contains("could not find") => {
                Some((FailureKind::Unreachable, "powermand does not answer"))
            }
            Ending::TimedOut => {
                Some((FailureKind::TimedOut, "powermand, or the controller behind it, does not answer"))
            }
            Ending::Exited(_) | Ending::Killed(_) | Ending::Unkillable | Ending::NotStarted => None,
        }
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
    fn powerman_is_asked_once_for_all_and_its_refusals_are_told_apart() {
        let tool = Powerman { host: Some("pm:1".into()), ..Powerman::default() };
        let (one, two) = (member("n1", 1), member("n2", 2));
        let words = |task| {
            let argv = tool.job(task, &[&one, &two], Duration::MAX).unwrap().unwrap().argv;
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
