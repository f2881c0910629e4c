//! What a power driver is: what it can do, its calls, and what their ends mean.

use super::ipmi::{self, Ipmi};
use crate::driver::own_type::OwnType;
use crate::entry::DriverEntry;
use crate::roster::Member;
use crate::template::{Reach, Template};
use orderly_exec::job::{Ended, Job};
use orderly_plan::drivers::{FailureKind, Power, Task};
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A power driver, as `[power]` names it.
pub(crate) type PowerEntry = DriverEntry<Arc<dyn PowerDriver>>;

/// What is known of a node while its call runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// Nothing was heard of it yet.
    Waiting,
    /// It answered, and another question follows, in a call of the same kind.
    GoesOn,
    Done,
}

/// Which version of its program a driver needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProgramVersion {
    /// Prints its version, as the second word.
    pub ask: Vec<String>,
    /// The first that will do.
    pub least: (u32, u32),
    /// The package it comes in.
    pub package: &'static str,
}

/// How the nodes that a daemon knows are found out.
#[derive(Debug)]
pub struct NodeListing {
    /// Lists them, one a line.
    pub call: Vec<String>,
    /// The same as people type it.
    pub shown: &'static str,
    /// What is said of a node that is not among them.
    pub missing: &'static str,
}

/// A way to switch and read the power of nodes, with its settings.
pub trait PowerDriver: OwnType + Debug {
    /// Returns the word of `driver`.
    fn word(&self) -> &'static str;

    /// Returns how many nodes one call of a task stands for; none where the driver cannot do it. Whatever
    /// does not switch asks for the status.
    fn reach(&self, _task: Task) -> Option<Reach> {
        None
    }

    /// Returns the call for a task; none where the driver makes none.
    ///
    /// # Errors
    /// When what it takes cannot be read (a password).
    fn job(&self, _task: Task, _nodes: &[&Member], _timeout: Duration) -> anyhow::Result<Option<Job>> {
        Ok(None)
    }

    /// Returns what a status says of each node. What is printed in whole lines for several nodes is
    /// believed even when the call failed: a dead controller must not hide those that answered.
    fn powers(&self, nodes: &[&Member], _ended: &Ended) -> Vec<Power> {
        vec![Power::Unknown; nodes.len()]
    }

    /// Tells whether each node of a call is judged by itself, by `judge`, as soon as it is heard of.
    fn judges_each(&self) -> bool {
        false
    }

    /// Takes what has been heard of a call, and returns what is known of each node by it; when the call `is_over`,
    /// nothing more will be heard.
    fn judge(&self, _task: Task, nodes: &[&Member], _ended: &Ended, _is_over: bool) -> Vec<Judged> {
        vec![Judged::Done; nodes.len()]
    }

    /// Returns until when a node's controller wants to be left alone.
    fn leave_alone_until(&self, _node: &Member) -> Option<Instant> {
        None
    }

    /// Tells whether a node's power is between on and off, as it should be: nobody needs to hear of that.
    fn is_on_the_way(&self, _node: &Member) -> bool {
        false
    }

    /// Returns what a node's controller said in its own words of the power, where each is judged.
    fn state(&self, _node: &Member) -> Option<String> {
        None
    }

    /// Returns the number that its maker gave a node's machine (UUID), where its controller has said so.
    fn machine(&self, _node: &Member) -> Option<String> {
        None
    }

    /// Returns why a node's controller would refuse a task, where it has said by now what it allows.
    fn unallowed(&self, _node: &Member, _task: Task) -> Option<String> {
        None
    }

    /// Tells whether the nodes are imagined.
    fn is_simulated(&self) -> bool {
        false
    }

    /// Tells whether power can be switched.
    fn switches(&self) -> bool {
        true
    }

    /// Tells whether power can be read.
    fn reads(&self) -> bool {
        self.reach(Task::ReadPower).is_some()
    }

    /// Tells whether it has a reset of its own that can be trusted.
    fn resets(&self) -> bool {
        self.reach(Task::Reset).is_some()
    }

    /// Tells whether its answers are known here, so that a call that says "done" is looked after until the status
    /// says so too; what the site states is believed.
    fn is_known(&self) -> bool {
        true
    }

    /// Returns the settings of IPMI, where it speaks that with a controller of each node; what follows of them
    /// need not be said again.
    fn ipmi(&self) -> Option<&Ipmi> {
        None
    }

    /// Returns the program that it calls, where it is always the same.
    fn program(&self) -> Option<&str> {
        self.ipmi().map(|ipmi| ipmi.program.as_str())
    }

    /// Returns the commands that the site states, each with its key.
    fn templates(&self) -> Vec<(&'static str, &Template)> {
        Vec::new()
    }

    /// Returns the inventory attribute with the address of a node's controller, where one is needed.
    fn attribute(&self) -> Option<&str> {
        self.ipmi().map(|ipmi| ipmi.bmc.as_str())
    }

    /// Returns the inventory attributes that it reads beside that one, each if it is there.
    fn attributes(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Returns why a node's controller cannot be reached at what the inventory says.
    fn unfit(&self, _node: &Member, address: &str) -> Option<String> {
        let is_fit =
            !address.is_empty() && !address.contains([',', ' ', '[', '\n']) && !address.starts_with('-');
        (!is_fit).then(|| format!("\"{address}\" cannot be the address of a controller"))
    }

    /// Returns the name or address of the machine in the address of a controller.
    fn host<'a>(&self, address: &'a str) -> &'a str {
        address
    }

    /// Returns what tells a node's system from others at the same host.
    fn apart(&self, _node: &Member, _address: &str) -> String {
        self.ipmi().map_or_else(String::new, Ipmi::addressing)
    }

    /// Returns what tells a controller of several systems from others at the same host, where a node says which system
    /// is its own.
    fn service(&self, _address: &str) -> Option<String> {
        None
    }

    /// Tells whether a node says which of the systems of its controller it is; else the only one is meant, whoever names
    /// that too.
    fn names_system(&self, _node: &Member) -> bool {
        true
    }

    /// Returns a file of which nobody else may change what it says, with its key.
    fn trusted_file(&self) -> Option<(&'static str, &Path)> {
        None
    }

    /// Returns what people are to be told at every run.
    fn remark(&self) -> Option<String> {
        None
    }

    /// Returns which version of its program it needs.
    fn version(&self) -> Option<ProgramVersion> {
        None
    }

    /// Returns where a node's controller takes pings, if it is to be looked at before it is asked.
    fn ping_address<'m>(&self, node: &'m Member) -> Option<(&'m str, u16)> {
        self.ipmi()?.ping_address(node)
    }

    /// Returns the file with the password, which nobody else may read.
    fn password_file(&self) -> Option<&Path> {
        self.ipmi()?.password_file.as_deref()
    }

    /// Returns how the nodes that its daemon knows are found out, where there is one that lists them.
    fn listing(&self) -> Option<NodeListing> {
        None
    }

    /// Returns the names that made it refuse the whole call, so that the rest can be tried without.
    fn refused_names(&self, _ended: &Ended) -> Vec<String> {
        Vec::new()
    }

    /// Returns what kind of failure an end is, and its name where a person should read it first.
    fn classify(&self, ended: &Ended) -> Option<(FailureKind, &'static str)> {
        self.ipmi().and_then(|_| ipmi::classify(ended))
    }

    /// Returns what a call said of one node, where it speaks of each: one controller that refuses is
    /// not what is wrong with the others.
    fn classify_one(&self, _node: &Member, _ended: &Ended) -> Option<(FailureKind, String)> {
        None
    }

    /// Returns what kind of answer it is that tells neither on nor off, and its name where a person should read
    /// it first.
    fn why_unknown(&self, _node: &Member, ended: &Ended) -> (FailureKind, &'static str) {
        self.classify(ended).unwrap_or((FailureKind::Failed, ""))
    }

    /// Tells whether something is said of a node in the form that is understood, be it that nothing is known.
    fn is_answer(&self, node: &Member, ended: &Ended) -> bool {
        self.powers(&[node], ended).first().is_some_and(|power| *power != Power::Unknown)
    }

    /// Tells whether a status that went well says nothing of a node in the form that is understood. Where that is so of
    /// all nodes of a configuration, it is no matter of theirs: the program is another one than it is taken for.
    fn is_strange(&self, node: &Member, ended: &Ended) -> bool {
        ended.succeeded() && !self.is_answer(node, ended)
    }

    /// Returns what a status must print of a node to be understood.
    fn expected(&self, node: &Member) -> String {
        format!("\"{0}: on\" or \"{0}: off\"", node.name)
    }
}

/// Returns the settings that an override changes, where they are of the same driver.
pub(super) fn before<D: PowerDriver>(base: Option<&Arc<dyn PowerDriver>>) -> Option<&D> {
    base.and_then(|base| (**base).own_type().downcast_ref())
}
