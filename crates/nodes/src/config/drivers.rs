//! The three kinds of drivers, as `[power]`, `[shell]` and `[probe]` state them.

use crate::power::Tool;
use crate::template::{Reach, Template};
use std::path::PathBuf;
use std::time::Duration;

/// How power is switched and read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Power {
    pub driver: PowerDriver,
    /// For one call.
    pub timeout: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PowerDriver {
    None,
    Simulator,
    Command(Box<PowerCommands>),
    /// A power program whose arguments and answers are known here.
    Tool(Box<Tool>),
}

impl PowerDriver {
    /// Tells whether power can be read.
    pub fn reads(&self) -> bool {
        match self {
            Self::None => false,
            Self::Simulator | Self::Tool(_) => true,
            Self::Command(commands) => commands.status.is_some(),
        }
    }

    /// Returns how many nodes one status call stands for; none where power cannot be read. A status
    /// command without any place tells of all nodes, in lines that name them.
    pub(crate) fn status_reach(&self) -> Option<Reach> {
        match self {
            Self::None | Self::Simulator => None,
            Self::Tool(tool) => Some(tool.reach()),
            Self::Command(commands) => {
                let status = commands.status.as_ref()?;
                Some(if status.names_node() { status.reach() } else { Reach::Set })
            }
        }
    }
}

/// The commands of `driver = "command"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PowerCommands {
    pub on: Template,
    pub off: Template,
    /// Left out: off, wait for off, on.
    pub reset: Option<Template>,
    /// Left out: power cannot be read.
    pub status: Option<Template>,
}

/// How commands are run on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shell {
    pub driver: ShellDriver,
    /// For one command; `[limits] timeout` when it is not given.
    pub timeout: Option<Duration>,
    /// Where ssh goes is up to its own configuration, not to what a name resolves to.
    pub aliases: bool,
}

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

/// The settings of `driver = "clush"` and `driver = "pdsh"`, programs that run a command on many nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parallel {
    pub tool: ParallelTool,
    pub program: String,
    /// What it reaches nodes by (`-R`); none is its own default.
    pub worker: Option<String>,
    /// What takes the command to a node, in the place of a worker of its own.
    pub run: Option<Template>,
    /// clush: the file that says which gateway leads where, when it is not in its usual place.
    pub topology: Option<PathBuf>,
    /// Nodes are called by their names even where they have an address.
    pub names: bool,
    pub user: Option<String>,
    pub port: Option<u16>,
    pub connect_timeout: Duration,
    /// Given to ssh, before ours.
    pub options: Vec<String>,
}

/// A program that runs a command on many nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParallelTool {
    Clush,
    Pdsh,
}

impl ParallelTool {
    /// Returns the word of `driver`, which is also the program's usual name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Clush => "clush",
            Self::Pdsh => "pdsh",
        }
    }
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

/// How a node is seen to be up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    pub driver: ProbeDriver,
    /// Between two probes of a node that is waited for.
    pub interval: Duration,
    /// For one probe.
    pub timeout: Duration,
    /// Equal readings in a row before a new state counts.
    pub stable: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeDriver {
    /// Up as soon as the power-on succeeded.
    None,
    Simulator,
    /// Up when power reads on.
    Power,
    Tcp {
        port: u16,
        /// What the other side must say first; nothing is asked for when it is empty.
        banner: String,
    },
    /// Up when this succeeds on the node.
    Shell {
        command: String,
    },
    /// Exit status 0 is up, 1 is down, anything else unknown.
    Command(Template),
}
