//! Telling users, and the wait until the time of `-T`.

use crate::each::Script;
use crate::warning::{self, Warning};
use orderly_nodes::fleet::Drivers;
use orderly_nodes::run::{Telling, drive, fold};
use orderly_plan::duration;
use orderly_plan::fleet::{Errand, Event, Fleet, NodeId};
use orderly_plan::shutdown::Round;
use std::time::Duration;

/// How long a node may take to close or open its logins.
const LOGINS: Duration = Duration::from_secs(30);
/// Where logins are held off; the older place where there is no `/run`.
const NOLOGIN: &str = "f=/run/nologin; [ -d /run ] || f=/etc/nologin; umask 022; ";
/// Tells whether the file is of this program's making: what another wrote there stays.
const OURS: &str = "grep -qs '^This node .* asked by' \"$f\"";

/// Who is told what, and how long before.
#[derive(Debug)]
pub(crate) struct Notice<'a> {
    /// The targets that are not known to be down.
    pub nodes: &'a [NodeId],
    /// `goes down`, `restarts`, `goes to maintenance`.
    pub verb: &'static str,
    pub asked_by: &'a str,
    pub message: Option<&'a str>,
    pub wait: Duration,
    /// Users are told nothing (`-F`).
    pub silent: bool,
    /// Nothing real waits, so nothing is said of how to cancel it.
    pub imagined: bool,
    /// Imagined time may run so many times faster.
    pub speed: u32,
}

/// How the wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    ToItsEnd,
    Cancelled(i32),
}

/// The nodes on which logins are held off by this run.
#[derive(Debug, Default)]
pub(crate) struct Logins {
    closed: Vec<NodeId>,
    fanout: usize,
}

impl Notice<'_> {
    /// Tells users, as often as the wait asks for, and waits.
    pub(crate) fn give(
        &self,
        drivers: &mut Drivers,
        logins: &mut Logins,
        telling: &mut Telling<'_>,
    ) -> Waited {
        let began = drivers.now();
        for warning in warning::schedule(self.wait) {
            if let Some(signal) = self.pause(drivers, began, warning, telling) {
                return Waited::Cancelled(signal);
            }
            if !self.wait.is_zero() {
                telling.say(&remaining(warning, self.imagined));
            }
            let text = warning.text(self.verb, self.asked_by, self.message);
            if let Some(signal) = self.tell(drivers, &text, telling) {
                return Waited::Cancelled(signal);
            }
            if warning.closes_logins()
                && !self.wait.is_zero()
                && let Some(signal) = logins.close(self.nodes, &text, drivers, telling)
            {
                return Waited::Cancelled(signal);
            }
        }
        Waited::ToItsEnd
    }

    /// Tells users that nothing comes of it.
    pub(crate) fn take_back(&self, drivers: &mut Drivers, logins: &mut Logins, telling: &mut Telling<'_>) {
        logins.open(self.nodes, drivers, telling);
        // A further signal ends this as well; the shutdown is cancelled either way.
        self.tell(drivers, &warning::cancelled(self.asked_by), telling);
        telling.say("cancelled: nothing was stopped");
    }

    fn tell(&self, drivers: &mut Drivers, text: &str, telling: &mut Telling<'_>) -> Option<i32> {
        if self.silent || self.nodes.is_empty() {
            return None;
        }
        drivers.set_message(text);
        let mut round = Round::new(Errand::Notify, self.nodes);
        drive(&mut round, drivers, telling)
    }

    /// Waits until a warning is due; returns the signal that came meanwhile.
    fn pause(
        &self,
        drivers: &mut Drivers,
        began: Duration,
        warning: Warning,
        telling: &mut Telling<'_>,
    ) -> Option<i32> {
        let due = began.saturating_add(warning.after / self.speed);
        while drivers.now() < due {
            for event in drivers.next(Some(due)) {
                match event {
                    Event::Signal(signal) => return Some(signal),
                    Event::Attention => {
                        let passed = drivers.now().saturating_sub(began).saturating_mul(self.speed);
                        let left = self.wait.saturating_sub(passed);
                        telling
                            .reporter
                            .warn(format!("waiting: the shutdown begins in {}", duration::show(left)));
                    }
                    Event::Power(..) | Event::Probe(..) | Event::BootId(..) | Event::Ended(..) => {}
                }
            }
        }
        None
    }
}

/// Returns the command that prints a text. It is a part of the script: what a start file on the node takes
/// from standard input would be missing in the file, which then were not known as ours and stayed.
fn printing(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!(" '{}'", line.replace('\'', r"'\''"))).collect();
    format!(r"printf '%s\n'{}", lines.concat())
}

fn remaining(warning: Warning, imagined: bool) -> String {
    if warning.left.is_zero() {
        return "the time has come".to_owned();
    }
    if imagined {
        return format!("the shutdown begins in {}", duration::show(warning.left));
    }
    format!(
        "the shutdown begins in {}; cshutdown --cancel or an interrupt cancels it",
        duration::show(warning.left)
    )
}

impl Logins {
    /// Returns no node yet; so many nodes are asked at a time.
    pub(crate) fn new(fanout: usize) -> Self {
        Self { closed: Vec::new(), fanout }
    }

    /// Runs a script on each node that can run one; returns whether it succeeded, where that is
    /// known, and the signal that came meanwhile.
    fn ask(
        &self,
        nodes: &[NodeId],
        lines: &str,
        drivers: &mut Drivers,
    ) -> (Vec<(NodeId, Option<bool>)>, Option<i32>) {
        let script = Script { lines, timeout: LOGINS, fanout: self.fanout };
        let (answers, signal) = script.run(nodes, drivers);
        let known = |(node, result): crate::each::Answer| (node, result.ok().map(|ended| ended.succeeded()));
        (answers.into_iter().map(known).collect(), signal)
    }

    /// Holds off logins on nodes where nobody else does; returns the signal that came meanwhile.
    fn close(
        &mut self,
        nodes: &[NodeId],
        text: &str,
        drivers: &mut Drivers,
        telling: &mut Telling<'_>,
    ) -> Option<i32> {
        if !self.closed.is_empty() {
            return None;
        }
        // What an earlier run left there that was killed is taken over, and so opened again.
        let script = format!("{NOLOGIN}{OURS} && rm -f \"$f\"; set -C; {} > \"$f\"", printing(text));
        let (answers, signal) = self.ask(nodes, &script, drivers);
        // Where the end is not known it may be closed, and is to be opened again.
        let closed = answers.into_iter().filter(|(_, answer)| *answer != Some(false));
        self.closed = closed.map(|(node, _)| node).collect();
        let open: Vec<NodeId> = nodes.iter().copied().filter(|node| !self.closed.contains(node)).collect();
        if !open.is_empty() && signal.is_none() {
            telling.say(&format!(
                "logins were held off already, or cannot be, on {}",
                fold(&open, telling.name)
            ));
        }
        signal
    }

    /// Allows logins again on those of `nodes` where this run held them off.
    pub(crate) fn open(&mut self, nodes: &[NodeId], drivers: &mut Drivers, telling: &mut Telling<'_>) {
        let (to_open, rest) = self.closed.drain(..).partition(|node| nodes.contains(node));
        self.closed = rest;
        let to_open: Vec<NodeId> = to_open;
        // A signal here ends what runs; what is cancelled or failed already stays so.
        let (answers, _) = self.ask(&to_open, &format!("{NOLOGIN}{OURS} || exit 0; rm -f \"$f\""), drivers);
        let closed: Vec<NodeId> =
            answers.into_iter().filter(|(_, answer)| *answer != Some(true)).map(|(node, _)| node).collect();
        if !closed.is_empty() {
            telling.warn(&format!(
                "logins are still held off on {}: remove /run/nologin there",
                fold(&closed, telling.name)
            ));
        }
    }
}
