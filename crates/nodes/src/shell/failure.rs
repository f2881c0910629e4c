//! What the end of a command on a node means: it failed, was lost on the way, or met nobody.

use super::output_parser::NodeVerdict;
use super::wrapper::{self, LOST};
use crate::roster::Member;
use crate::runtime::words;
use orderly_exec::job::{Ended, Ending, show};
use orderly_plan::drivers::{Failure, FailureKind, Teller};
use std::ffi::OsString;

/// How long a command may be in a message; a node set of ten thousand names helps nobody.
const SHOWN: usize = 300;

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
pub(crate) fn failure(argv: &[OsString], ended: &Ended, node: &Member) -> Failure {
    let mut failure = plain_failure(Teller::Shell, argv, ended, Some(node));
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
pub(crate) fn failure_on_one(shown: &str, verdict: &NodeVerdict, node: &Member) -> Failure {
    let kind = match verdict.ended.ending {
        Ending::TimedOut | Ending::Unkillable => FailureKind::TimedOut,
        Ending::NotStarted => FailureKind::NotStarted,
        _ if !verdict.lost && wrapper::is_self(&verdict.ended) => FailureKind::Itself,
        Ending::Exited(_) | Ending::Killed(_) if !verdict.lost => FailureKind::Failed,
        // The shell's words for a program that is not there, said on this side.
        Ending::Exited(126 | 127) => FailureKind::NotStarted,
        Ending::Exited(_) | Ending::Killed(_) => why_lost(&verdict.ended),
    };
    let call = node.words(shorten(shown));
    Failure { call, ..Failure::told(Teller::Shell, kind, node.words(verdict.ended.clause())) }
}

/// Returns why a command of ours did not succeed, which was for this one node, or for several or none.
pub(crate) fn plain_failure(
    teller: Teller,
    argv: &[OsString],
    ended: &Ended,
    node: Option<&Member>,
) -> Failure {
    let kind = match ended.ending {
        Ending::Exited(_) | Ending::Killed(_) => FailureKind::Failed,
        Ending::TimedOut | Ending::Unkillable => FailureKind::TimedOut,
        Ending::NotStarted => FailureKind::NotStarted,
    };
    let call = words(shorten(&show(argv)), node);
    Failure { call, ..Failure::told(teller, kind, words(ended.clause(), node)) }
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
    use std::time::Duration;

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
            let failure = failure(&["ssh".into(), "n1".into()], &ended(code, words), &member("n1", 1));
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
