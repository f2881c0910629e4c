//! Why power is unknown: what was said in its place, told once a node, and whether the failure is permanent.

use super::ipmi::SILENT;
use super::of_node::power_driver;
use crate::roster::Member;
use crate::runtime::Runtime;
use orderly_exec::job::{Ended, shorten};
use orderly_plan::drivers::{Failure, FailureKind, NodeId, Power, Teller};
use orderly_plan::words::{Words, mentions};
use std::collections::{HashMap, HashSet};

/// What is known of statuses that tell neither on nor off.
#[derive(Debug, Default)]
pub(crate) struct Unknowns {
    /// By node: why its power is unknown.
    why: HashMap<NodeId, Why>,
    /// Profiles in which an answer was understood: their form is right.
    understood: HashSet<u32>,
    /// Nodes of which it was said why.
    told: HashSet<NodeId>,
}

/// Why the power of a node is unknown.
#[derive(Debug)]
struct Why {
    failure: Failure,
    /// The status went well, in a form that is not understood.
    is_strange: bool,
}

impl Unknowns {
    /// Says, once a node, why a status that failed leaves its power unknown: a wrong password is
    /// neither on nor off, and nobody would look for it behind the word "unknown".
    pub(super) fn take_status(
        &mut self,
        runtime: &mut Runtime,
        powers: &[(NodeId, Power)],
        failed: &Failure,
        ended: &Ended,
    ) {
        // It is looked for once a call, and only where it is needed.
        let mut stray_line = None;
        for &(node, power) in powers {
            let profile = runtime.wiring.profile_number(node);
            if power != Power::Unknown {
                self.why.remove(&node);
                self.understood.insert(profile);
                continue;
            }
            let (driver, member) = (power_driver(runtime, node), runtime.member(node));
            if driver.is_on_the_way(member) {
                self.understood.insert(profile);
                continue;
            }
            let is_strange = driver.is_strange(member, ended);
            let (kind, words) = match driver.why_unknown(member, ended) {
                (FailureKind::Failed, words) if is_strange => (FailureKind::Misconfigured, words),
                (kind, words) => (kind, words),
            };
            if driver.is_answer(member, ended) {
                self.understood.insert(profile);
            }
            let mut why = failed.clone().named(kind, words);
            if driver.judges_each() {
                let own = driver.classify_one(member, ended).map(|(_, words)| words);
                let own = own.or_else(|| driver.state(member)).unwrap_or_default();
                why = Failure::told(Teller::Power, kind, member.words(own));
            } else if ended.succeeded() {
                let names = powers.iter().map(|(node, _)| runtime.member(*node).name.as_str());
                let stray = stray_line.get_or_insert_with(|| stray(&ended.text(), names));
                let heard = not_understood(member, &driver.expected(member), stray.as_deref(), ended);
                why.cause = member.words(heard);
            }
            let said = Words::from("power unknown: ").then(why.words());
            if self.remember(node, Why { failure: why, is_strange }) {
                runtime.complaints.complain(said, node);
            }
        }
    }

    /// Says, once a node, that its controller takes no pings.
    pub(super) fn take_silence(&mut self, runtime: &mut Runtime, node: NodeId) {
        let why = Failure::told(Teller::Power, FailureKind::Unreachable, "");
        let failure = why.named(FailureKind::Unreachable, SILENT);
        if self.remember(node, Why { failure, is_strange: false }) {
            let said =
                format!("power unknown: {SILENT} pings (RMCP); is it powered, and is its address right?");
            runtime.complaints.complain(said.into(), node);
        }
    }

    /// Remembers why the power of a node is unknown; tells whether that is the first word of it. A wrong
    /// password stays the reason: controllers turn busy or silent after a few of them. So do words after
    /// which only a status without any came.
    fn remember(&mut self, node: NodeId, why: Why) -> bool {
        let stays = self.why.get(&node).is_some_and(|Why { failure: before, .. }| {
            before.kind == FailureKind::Authentication
                || (why.failure.name.is_none() && before.name.is_some())
        });
        if !stays {
            self.why.insert(node, why);
        }
        self.told.insert(node)
    }

    /// Says of nodes that the power program does not know them; it has nobody to ask. Returns their failures.
    pub(crate) fn mark_unlisted(
        &mut self,
        runtime: &mut Runtime,
        nodes: &[NodeId],
    ) -> Vec<(NodeId, Failure)> {
        let mut failures = Vec::new();
        for &node in nodes {
            let Some(listing) = power_driver(runtime, node).listing() else { continue };
            let (kind, missing) = (FailureKind::Misconfigured, listing.missing);
            let failure = Failure::told(Teller::Power, kind, missing);
            if self.remember(node, Why { failure: failure.clone(), is_strange: false }) {
                let said = format!("power unknown: {missing} ({} lists the nodes that are)", listing.shown);
                runtime.complaints.complain(said.into(), node);
            }
            failures.push((node, failure));
        }
        failures
    }

    pub(crate) fn why_unknown(&self, node: NodeId) -> Option<String> {
        let why = &self.why.get(&node)?.failure;
        Some(why.name.map_or_else(|| why.detail(), str::to_owned))
    }

    /// Returns why nothing can ever be heard of a node's power: the program does not know it or is not there,
    /// credentials are refused, or no answer of a whole configuration was ever understood.
    pub(crate) fn permanent_failure(&self, runtime: &Runtime, node: NodeId) -> Option<Failure> {
        let Why { failure, is_strange } = self.why.get(&node)?;
        let was_understood = self.understood.contains(&runtime.wiring.profile_number(node));
        (failure.kind.is_permanent() && !(*is_strange && was_understood)).then(|| failure.clone())
    }
}

/// Returns the first line that names none of these nodes: what is said of another says nothing of this one.
fn stray<'n>(text: &str, names: impl Iterator<Item = &'n str> + Clone) -> Option<String> {
    let is_stray = |line: &&str| !line.is_empty() && !names.clone().any(|name| mentions(line, name));
    text.lines().map(str::trim).find(is_stray).map(str::to_owned)
}

/// Says what a status that succeeded printed of a node, and what it should have; `stray` is a line that names no node
/// of the call.
fn not_understood(node: &Member, expected: &str, stray: Option<&str>, ended: &Ended) -> String {
    let name = &node.name;
    let text = ended.text();
    let mut own = text.lines().filter(|line| mentions(line, name)).map(str::trim);
    let first = own.next();
    let other = own.find(|line| Some(*line) != first);
    let heard = first.or(stray);
    let quote = |line: &str| format!("\"{}\"", shorten(line.to_owned()));
    // The status itself says that it cannot tell, in a form that is understood.
    let is_unknown =
        |line: &str| line.strip_prefix(name.as_str()).is_some_and(|rest| rest.trim_end() == ": unknown");
    let heard = match (heard, other) {
        (Some(line), None) if is_unknown(line) => return format!("it says {}", quote(line)),
        (Some(line), Some(other)) => format!("it says both {} and {}", quote(line), quote(other)),
        (Some(line), None) => format!("it says {}", quote(line)),
        (None, _) if text.trim().is_empty() => "it says nothing".to_owned(),
        (None, _) => "it says nothing of this node".to_owned(),
    };
    format!("{heard}, and is understood when it says {expected}")
}
