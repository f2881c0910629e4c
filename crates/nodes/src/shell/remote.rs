//! What is run on nodes: lines, input, limits, and what keeps this very machine from carrying them out.

use crate::boot;
use crate::runtime::Runtime;
use crate::users;
use orderly_exec::job::Ended;
use orderly_plan::drivers::{Failure, FailureKind, NodeId, RemoteCommand, Teller};
use std::time::Duration;

/// What is said where the script that ends users' processes was never run.
const UNSAID: &str = "the node did not run the script that ends users' processes to its end: does the shell driver pass \
                      on what is printed?";

/// A command line for a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CommandLine {
    pub(super) line: String,
    /// What it reads.
    pub(super) input: Vec<u8>,
    /// How long it may take on a node.
    pub(super) limit: Duration,
}

/// What remote commands are made of, beside the profiles of nodes.
#[derive(Debug)]
pub(super) struct RemoteCommands {
    /// What users are told.
    pub(super) message: Vec<u8>,
    /// The boot id of this machine, and the nodes that may be stopped although it is theirs.
    own_boot: Option<String>,
    pub(super) may_be_self: Vec<NodeId>,
    /// No more than this from TERM to KILL, whatever `cluster.toml` says.
    pub(super) most_grace: Duration,
}

impl Default for RemoteCommands {
    fn default() -> Self {
        Self {
            message: Vec::new(),
            own_boot: boot::own_text(),
            may_be_self: Vec::new(),
            most_grace: Duration::MAX,
        }
    }
}

impl RemoteCommands {
    /// Returns the boot id that keeps a node from carrying out a remote command, where it is to be compared there:
    /// whatever halts or restarts a node, or ends its users, through a shell that is known.
    pub(super) fn spares_self(&self, runtime: &Runtime, node: NodeId, remote: RemoteCommand) -> Option<&str> {
        let ends = match remote {
            RemoteCommand::Halt
            | RemoteCommand::Restart
            | RemoteCommand::Maintenance
            | RemoteCommand::EndUsers => true,
            RemoteCommand::Notify | RemoteCommand::ReadBootId => false,
        };
        let knows_shell = runtime.profile(node).shell.ssh().is_some();
        let own = self.own_boot.as_deref()?;
        (ends && knows_shell && !self.may_be_self.contains(&node)).then_some(own)
    }

    /// Returns the command line of a remote command.
    pub(super) fn line(&self, runtime: &Runtime, node: NodeId, remote: RemoteCommand) -> Option<CommandLine> {
        let profile = runtime.profile(node);
        let shutdown = &profile.shutdown;
        let timeout = profile.shell_timeout();
        let plain = |line: &str| (line.to_owned(), Vec::new(), timeout);
        let (line, input, limit) = match remote {
            // One terminal that takes nothing more must not hold up a whole shutdown.
            RemoteCommand::Notify => {
                (shutdown.notify.clone(), self.message.clone(), timeout.min(shutdown.notify_timeout))
            }
            RemoteCommand::Halt => plain(&shutdown.halt),
            RemoteCommand::Restart => plain(&shutdown.restart),
            RemoteCommand::Maintenance => plain(&shutdown.maintenance),
            RemoteCommand::EndUsers => {
                // The grace is the script's own waiting and not a node that does not answer.
                let timeout = timeout.max(shutdown.grace + Duration::from_secs(60));
                (profile.users_command(self.most_grace)?, users::SCRIPT.into(), timeout)
            }
            RemoteCommand::ReadBootId => (boot::COMMAND.to_owned(), Vec::new(), timeout.min(boot::TIMEOUT)),
        };
        Some(CommandLine { line, input, limit })
    }
}

/// Returns why a remote command that ended well did not do what it is for.
pub(super) fn unsaid(remote: RemoteCommand, ended: &Ended) -> Option<Failure> {
    let is_unsaid = remote == RemoteCommand::EndUsers && !users::ran(&ended.text());
    is_unsaid.then(|| Failure::told(Teller::Shell, FailureKind::Failed, UNSAID))
}
