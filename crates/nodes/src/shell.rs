//! Commands on nodes: the calls that run them, and what their end means.
//!
//! ssh runs one on one node. clush and pdsh take all that are ready (`parallel`), with a line that
//! says of itself how it ended (`wrapper`), which is heard while they run (`hearing`).

mod hearing;
mod parallel;
mod settings;
mod wrapper;

pub(crate) use hearing::{Hearing, Verdict};
pub(crate) use parallel::{Errand, job, target, unnamable};
pub use parallel::{Parallel, ParallelTool};
pub(crate) use settings::read;
pub(crate) use wrapper::{announced, begun, draw_mark, fed, unless_self, wrap};

use crate::roster::Member;
use crate::template::Template;
use orderly_exec::job::{Ended, Ending, show};
use orderly_plan::fleet::{Failure, FailureKind, Teller};
use std::ffi::OsString;
use std::time::Duration;

/// How commands are run on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShellDriver {
    /// There is no `[shell]`: no command can be run on the node.
    None,
    Simulator,
    Ssh(Ssh),
    /// One call for all nodes that are ready.
    Parallel(Box<Parallel>),
    Command(Template),
}

/// The settings of `driver = "ssh"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssh {
    pub program: String,
    pub user: Option<String>,
    pub port: Option<u16>,
    pub connect_timeout: Duration,
    /// Given to ssh before ours, and ssh takes the first value it gets of each.
    pub options: Vec<String>,
}

/// The exit status by which ssh, and programs like it, say that it was not the command that failed.
const LOST: i32 = 255;

/// How long a command may be in a message; a node set of ten thousand names helps nobody.
const SHOWN: usize = 300;

/// Returns the argument vector that runs a command line on one node; none without a shell driver, and
/// with one that takes many nodes.
pub(crate) fn argv(driver: &ShellDriver, node: &Member, command: &str) -> Option<Vec<OsString>> {
    match driver {
        ShellDriver::None | ShellDriver::Simulator | ShellDriver::Parallel(_) => None,
        ShellDriver::Command(run) => Some(run.fill(&[node], command)),
        ShellDriver::Ssh(ssh) => Some(ssh_argv(ssh, node, command)),
    }
}

fn ssh_argv(ssh: &Ssh, node: &Member, command: &str) -> Vec<OsString> {
    let mut argv: Vec<OsString> = vec![ssh.program.clone().into()];
    // The administrator's options come first, because ssh takes the first value of each.
    argv.extend(ssh.options.iter().map(OsString::from));
    argv.extend(safeguards(ssh.connect_timeout).into_iter().map(OsString::from));
    // No terminal, no forwarded agent or display.
    argv.extend(["-T", "-a", "-x"].map(OsString::from));
    if let Some(port) = ssh.port {
        argv.extend(["-p".into(), port.to_string().into()]);
    }
    if let Some(user) = &ssh.user {
        argv.extend(["-l".into(), user.into()]);
    }
    argv.extend(["--".into(), OsString::from(&node.address), command.into()]);
    argv
}

/// Returns the options that keep ssh from asking, sharing and waiting for ever.
fn safeguards(connect_timeout: Duration) -> Vec<String> {
    let seconds = connect_timeout.as_secs().max(1);
    [
        "BatchMode=yes".to_owned(),
        format!("ConnectTimeout={seconds}"),
        // A shared connection outlives its command, and the halt of its node.
        "ControlMaster=no".to_owned(),
        "ControlPath=none".to_owned(),
        // A node that is halted says nothing more; without this the call lasts until its limit.
        "ServerAliveInterval=10".to_owned(),
        "ServerAliveCountMax=3".to_owned(),
    ]
    .into_iter()
    .flat_map(|option| ["-o".to_owned(), option])
    .collect()
}

/// Returns words as one command line that any POSIX shell takes apart into the same words.
pub(crate) fn quote(argv: &[String]) -> String {
    let quoted: Vec<String> = argv
        .iter()
        .map(|word| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,@+=".contains(c);
            if !word.is_empty() && word.chars().all(plain) {
                word.clone()
            } else {
                format!("'{}'", word.replace('\'', r"'\''"))
            }
        })
        .collect();
    quoted.join(" ")
}

/// Tells whether the end means that the command was lost on the way, and not that it failed.
pub(crate) fn is_lost(ended: &Ended) -> bool {
    ended.ending == Ending::Exited(LOST)
}

/// Tells whether ssh says that nobody took its connection. Being turned away later, by whatever
/// took it, is another thing; so is a name that was not found.
pub(crate) fn met_nobody(ended: &Ended) -> bool {
    let words = String::from_utf8_lossy(&ended.stderr);
    let reasons = [
        "Connection refused",
        "Connection timed out",
        "Operation timed out",
        "No route to host",
        "Host is down",
    ];
    is_lost(ended)
        && words.lines().any(|line| {
            line.starts_with("ssh: connect to host ") && reasons.iter().any(|reason| line.contains(reason))
        })
}

/// Tells whether the other side, or our own ssh, did not accept who we are (or who it is).
pub(crate) fn is_authentication(ended: &Ended) -> bool {
    let words = String::from_utf8_lossy(&ended.stderr);
    [
        "Permission denied (",
        "Host key verification failed",
        "Too many authentication failures",
        "No supported authentication methods",
        "No more authentication methods",
    ]
    .iter()
    .any(|sign| words.contains(sign))
}

/// Returns why a command did not reach its node.
fn why_lost(ended: &Ended) -> FailureKind {
    let words = String::from_utf8_lossy(&ended.stderr);
    if is_authentication(ended) {
        FailureKind::Authentication
    } else if words.contains("Connection refused") {
        FailureKind::Refused
    } else {
        FailureKind::Unreachable
    }
}

/// Returns why a command on a node did not succeed.
pub(crate) fn failure(argv: &[OsString], ended: &Ended) -> Failure {
    let mut failure = plain_failure(Teller::Shell, argv, ended);
    if is_lost(ended) {
        failure.kind = why_lost(ended);
    } else if wrapper::is_self(ended) {
        failure.kind = FailureKind::Itself;
    } else if matches!(ended.ending, Ending::Exited(126 | 127)) {
        // A shell's words for a program that is not there: nothing ran, and nothing will at a second try.
        failure.kind = FailureKind::NotStarted;
    }
    failure
}

/// Returns why a command for many nodes did not succeed on one of them; `shown` is how it would be
/// typed for that one.
pub(crate) fn failure_on_one(shown: &str, verdict: &Verdict) -> Failure {
    let kind = match verdict.ended.ending {
        Ending::TimedOut | Ending::Unkillable => FailureKind::TimedOut,
        Ending::NotStarted => FailureKind::NotStarted,
        _ if !verdict.lost && wrapper::is_self(&verdict.ended) => FailureKind::Itself,
        Ending::Exited(_) | Ending::Killed(_) if !verdict.lost => FailureKind::Failed,
        // The shell's words for a program that is not there, said on this side.
        Ending::Exited(126 | 127) => FailureKind::NotStarted,
        Ending::Exited(_) | Ending::Killed(_) => why_lost(&verdict.ended),
    };
    Failure::of_call(Teller::Shell, kind, shorten(shown), verdict.ended.clause())
}

/// Returns why a command of ours did not succeed.
pub(crate) fn plain_failure(teller: Teller, argv: &[OsString], ended: &Ended) -> Failure {
    let kind = match ended.ending {
        Ending::Exited(_) | Ending::Killed(_) => FailureKind::Failed,
        Ending::TimedOut | Ending::Unkillable => FailureKind::TimedOut,
        Ending::NotStarted => FailureKind::NotStarted,
    };
    Failure::of_call(teller, kind, shorten(&show(argv)), ended.clause())
}

fn shorten(line: &str) -> String {
    match line.char_indices().nth(SHOWN) {
        None => line.to_owned(),
        Some((at, _)) => format!("{}…", &line[..at]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::tests::member;

    #[test]
    fn a_node_is_never_taken_for_an_option_of_ssh() {
        let ssh = Ssh {
            program: "ssh".into(),
            user: Some("root".into()),
            port: Some(2222),
            connect_timeout: Duration::from_millis(1),
            options: vec!["-F".into(), "/etc/orderly/ssh_config".into()],
        };
        let argv = argv(&ShellDriver::Ssh(ssh), &member("n1", 1), "shutdown -h now").unwrap();
        let words: Vec<&str> = argv.iter().map(|word| word.to_str().unwrap()).collect();
        assert_eq!(words[..3], ["ssh", "-F", "/etc/orderly/ssh_config"]);
        assert!(words.windows(2).any(|pair| pair == ["-o", "ConnectTimeout=1"]));
        assert_eq!(words[words.len() - 3..], ["--", "10.0.0.1", "shutdown -h now"]);
    }

    #[test]
    fn words_are_quoted_for_the_shell_on_the_other_side() {
        let words = ["/bin/x", "a b", "it's", "", "$HOME;`id`", "n[1-2]", "{a,b}", "~"];
        let quoted = quote(&words.map(str::to_owned));
        assert_eq!(quoted, r"/bin/x 'a b' 'it'\''s' '' '$HOME;`id`' 'n[1-2]' '{a,b}' '~'");
    }

    #[test]
    fn what_ssh_says_is_told_apart() {
        let ended = |code, words: &str| Ended {
            ending: Ending::Exited(code),
            stdout: Vec::new(),
            stderr: words.as_bytes().to_vec(),
            truncated: false,
            took: Duration::ZERO,
        };
        for (code, words, kind) in [
            (255, "ssh: connect to host n1 port 22: Connection refused", FailureKind::Refused),
            (255, "ssh: connect to host n1 port 22: No route to host", FailureKind::Unreachable),
            (255, "root@n1: Permission denied (publickey).", FailureKind::Authentication),
            (255, "Host key verification failed.", FailureKind::Authentication),
            (1, "Permission denied (publickey).", FailureKind::Failed),
        ] {
            let failure = failure(&["ssh".into(), "n1".into()], &ended(code, words));
            assert_eq!(failure.kind, kind, "{words}");
            assert!(failure.detail().starts_with("ssh n1: exit status"), "{}", failure.detail());
        }
        for (words, nobody) in [
            ("ssh: connect to host n1 port 22: Connection refused\r\n", true),
            ("ssh: connect to host n1 port 22: No route to host", true),
            ("ssh: connect to host n1 port 22: Network is unreachable", false),
            ("ssh: Could not resolve hostname n1: Name or service not known", false),
            // sshd drops connections when too many log in; the node is up for all that.
            ("kex_exchange_identification: Connection closed by remote host", false),
            ("root@n1: Permission denied (publickey).", false),
        ] {
            assert_eq!(met_nobody(&ended(255, words)), nobody, "{words}");
        }
    }
}
