//! Why an answer is unknown: what was said in its place, once a node, and whether the failure is permanent.

use super::Wires;
use super::call::Call;
use super::unknowns::unlisted_failure;
use crate::power::{PowerDriver, UNLISTED};
use crate::probe::ProbeDriver;
use crate::roster::Member;
use crate::shell;
use crate::template::fold;
use orderly_exec::job::{Ended, shorten};
use orderly_plan::fleet::{Failure, FailureKind, NodeId, Power, Probe, Teller};
use orderly_plan::report;
use std::ffi::OsString;
use std::time::Instant;

impl Wires {
    /// Says, once a node, why a status that failed leaves its power unknown: a wrong password is
    /// neither on nor off, and nobody would look for it behind the word "unknown".
    pub(super) fn complain(&mut self, nodes: &[NodeId], call: &Call, ended: &Ended) {
        let Some(&first) = nodes.first() else { return };
        if !call.purpose.asks_power() || call.told {
            return;
        }
        let failed = shell::plain_failure(Teller::Power, &call.argv, ended);
        for (node, power) in self.powers(nodes.to_vec(), ended) {
            if power != Power::Unknown {
                self.unknowns.power.remove(&node);
                self.unknowns.understood.insert(self.wiring.profile_of[node.index()]);
                continue;
            }
            let (driver, member) = (self.power_driver(first), self.wiring.roster.member(node));
            let (kind, words) = driver.why_unknown(member, ended);
            if driver.is_answer(member, ended) {
                self.unknowns.understood.insert(self.wiring.profile_of[node.index()]);
            }
            let cause =
                if ended.succeeded() { self.not_understood(node, ended) } else { failed.cause.clone() };
            let why = Failure { cause, ..failed.clone() }.named(kind, words);
            let said = format!("power unknown: {why}");
            if self.unknowns.remember(node, why) {
                // Where each node has a call or a line of its own, its name would keep the same words apart.
                let key = if nodes.len() == 1 || ended.succeeded() {
                    without_own(&said, self.wiring.roster.member(node))
                } else {
                    said.clone()
                };
                self.unknowns.complain(key, said, node);
            }
        }
    }

    /// Says of nodes that the power program does not know them; it has nobody to ask.
    pub(in crate::fleet) fn mark_unlisted(&mut self, nodes: &[NodeId]) {
        for &node in nodes {
            if self.unknowns.remember(node, unlisted_failure()) {
                let said = format!("power unknown: {UNLISTED} (powerman -x -l lists the nodes that are)");
                self.unknowns.complain(said.clone(), said, node);
            }
        }
    }

    /// Remembers that a controller takes no pings; tells whether that is the first word of it.
    pub(super) fn remember_silence(&mut self, node: NodeId, words: &'static str) -> bool {
        let why = Failure::of_call(Teller::Power, FailureKind::Unreachable, String::new(), String::new());
        self.unknowns.remember(node, why.named(FailureKind::Unreachable, words))
    }

    /// Remembers what a probe met that tells neither up nor down, until it tells one of them.
    pub(super) fn probe_met(&mut self, node: NodeId, reading: Probe, why: Option<Failure>) {
        match (reading, why) {
            (Probe::Unknown, Some(why)) => {
                self.unknowns.probe.insert(node, why);
            }
            (Probe::Unknown, None) => {}
            (Probe::Up | Probe::Down, _) => {
                self.unknowns.probe.remove(&node);
            }
        }
    }

    pub(in crate::fleet) fn why_unknown(&self, node: NodeId) -> Option<String> {
        let power = self.unknowns.power.get(&node);
        let power = power.map(|why| why.name.map_or_else(|| why.detail(), str::to_owned));
        power.or_else(|| self.unknowns.probe.get(&node).map(Failure::detail))
    }

    /// Returns why nothing can ever be heard of a node's power: the program does not know it or is not there,
    /// credentials are refused, or no answer of a whole configuration was ever understood.
    pub(in crate::fleet) fn permanent_power_failure(&self, node: NodeId) -> Option<Failure> {
        let why = self.unknowns.power.get(&node)?;
        let is_permanent = match why.kind {
            FailureKind::Misconfigured if !self.power_driver(node).is_known() => {
                !self.unknowns.understood.contains(&self.wiring.profile_of[node.index()])
            }
            FailureKind::Misconfigured | FailureKind::NotStarted | FailureKind::Authentication => true,
            FailureKind::Failed
            | FailureKind::TimedOut
            | FailureKind::Unreachable
            | FailureKind::Refused
            | FailureKind::Busy
            | FailureKind::NoEffect
            | FailureKind::FellBack
            | FailureKind::Ended
            | FailureKind::Itself => false,
        };
        is_permanent.then(|| why.clone())
    }

    /// Returns why a node's probe is turned away for good.
    pub(in crate::fleet) fn permanent_probe_failure(&self, node: NodeId) -> Option<Failure> {
        let is_for_good = |why: &&Failure| {
            matches!(
                why.kind,
                FailureKind::Authentication | FailureKind::NotStarted | FailureKind::Misconfigured
            )
        };
        self.unknowns.probe.get(&node).filter(is_for_good).cloned()
    }

    /// Returns what people should know of nodes whose status failed, in one line for all of whom the
    /// same is to be said.
    fn take_complaints(&mut self) -> Vec<String> {
        self.unknowns.due = None;
        let complaints = std::mem::take(&mut self.unknowns.complaints);
        complaints
            .into_iter()
            .map(|(key, (said, nodes))| complaint(&key, &said, &self.members(&nodes)))
            .collect()
    }

    /// Says what a status that succeeded printed of a node, and what it should have.
    fn not_understood(&self, node: NodeId, ended: &Ended) -> String {
        let name = self.wiring.roster.name(node);
        let expected = self.power_driver(node).expected(self.wiring.roster.member(node));
        let text = ended.text();
        let mut own = text.lines().filter(|line| report::without_name(line, name) != *line).map(str::trim);
        let first = own.next();
        let other = own.find(|line| Some(*line) != first);
        let heard = first.or_else(|| text.lines().map(str::trim).find(|line| !line.is_empty()));
        let quote = |line: &str| format!("\"{}\"", shorten(line.to_owned()));
        // The status itself says that it cannot tell, in a form that is understood.
        let is_unknown =
            |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.trim_end() == ": unknown");
        let heard = match (heard, other) {
            (Some(line), None) if is_unknown(line) => return format!("it says {}", quote(line)),
            (Some(line), Some(other)) => format!("it says both {} and {}", quote(line), quote(other)),
            (Some(line), None) => format!("it says {}", quote(line)),
            (None, _) => "it says nothing".to_owned(),
        };
        format!("{heard}, and is understood when it says {expected}")
    }

    pub(in crate::fleet) fn take_warnings(&mut self) -> Vec<String> {
        let silence = self.silence();
        self.warnings.extend(silence);
        if self.unknowns.due.is_some_and(|due| due <= Instant::now()) {
            let complaints = self.take_complaints();
            self.warnings.extend(complaints);
        }
        std::mem::take(&mut self.warnings)
    }

    /// Returns what is still to be said, and what probes met that are unknown in the end: on its way up a node
    /// may say anything for a while.
    pub(in crate::fleet) fn take_last_warnings(&mut self) -> Vec<String> {
        let mut met: Vec<(NodeId, String)> =
            self.unknowns.probe.iter().map(|(node, why)| (*node, why.detail())).collect();
        met.sort_unstable_by_key(|(node, _)| *node);
        for (node, said) in met {
            if self.unknowns.told[1].insert(node) {
                let said = format!("probe unknown: {said}");
                let key = without_own(&said, self.wiring.roster.member(node));
                self.unknowns.complain(key, said, node);
            }
        }
        self.unknowns.due = self.unknowns.due.map(|_| Instant::now());
        self.take_warnings()
    }

    pub(super) fn power_driver(&self, node: NodeId) -> &dyn PowerDriver {
        &*self.wiring.profile(node).power.driver
    }

    /// Returns why a probe by a process told neither up nor down.
    pub(super) fn why_probe_is_unknown(&self, node: NodeId, argv: &[OsString], ended: &Ended) -> Failure {
        match &self.wiring.profile(node).probe.driver {
            ProbeDriver::Shell { .. } => Failure { teller: Teller::Probe, ..shell::failure(argv, ended) },
            ProbeDriver::None
            | ProbeDriver::Simulator
            | ProbeDriver::Power
            | ProbeDriver::Tcp { .. }
            | ProbeDriver::Command(_) => shell::plain_failure(Teller::Probe, argv, ended),
        }
    }
}

/// Returns what people read of nodes that told nothing, in the words that were said of the first.
fn complaint(key: &str, said: &str, nodes: &[&Member]) -> String {
    let said = report::of_all(key, nodes.iter().map(|_| said));
    format!("{}: {said}", fold(nodes))
}

/// Returns what was run for one node without its name, and without the address of its controller.
fn without_own(detail: &str, node: &Member) -> String {
    let detail = match &node.bmc {
        Some(bmc) => report::without_name(detail, bmc),
        None => detail.to_owned(),
    };
    report::without_name(&report::without_name(&detail, &node.address), &node.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::tests::member;

    /// Each controller has its own address, and thirty with a wrong password were thirty lines.
    #[test]
    fn the_address_of_its_controller_keeps_no_complaint_apart() {
        let node = |name: &str, number, bmc: &str| Member { bmc: Some(bmc.into()), ..member(name, number) };
        let (one, two) = (node("n1", 1, "10.1.0.1"), node("n2", 2, "10.1.0.2"));
        let whole = "power unknown: ipmitool -H 10.1.0.1 status: no";
        let said = without_own(whole, &one);
        assert_eq!(said, without_own("power unknown: ipmitool -H 10.1.0.2 status: no", &two));
        assert_eq!(complaint(&said, whole, &[&one]), "n1: power unknown: ipmitool -H 10.1.0.1 status: no");
    }

    /// Sixteen nodes of one controller that hung were sixteen lines, alike but for a name.
    #[test]
    fn the_same_complaint_of_many_nodes_is_one_line() {
        let (one, two) = (member("n1", 1), member("n2", 2));
        let said = "power unknown: powerman -x -q n1: exit status 211";
        let key = without_own(said, &one);
        assert_eq!(complaint(&key, said, &[&one]), format!("n1: {said}"));
        assert_eq!(complaint(&key, said, &[&one, &two]), format!("n[1-2]: {said} (the others alike)"));
    }
}
