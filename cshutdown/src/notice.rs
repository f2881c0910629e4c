//! Telling users, and the wait until the time of `-T`.

use crate::battery::{Battery, UntilItsEnd};
use crate::check;
use crate::on_each_node::{NodeAnswer, Script};
use crate::warning::{self, Warning};
use orderly_exec::job::{Ended, Ending};
use orderly_nodes::backend::Backend;
use orderly_nodes::run::drive_steered;
use orderly_nodes::telling::{Telling, fold};
use orderly_plan::drivers::{Event, NodeId, RemoteCommand};
use orderly_plan::duration;
use orderly_plan::graph::Order;
use orderly_plan::shutdown::Round;
use std::time::Duration;

/// How long a node may take to close or open its logins.
const LOGINS: Duration = Duration::from_secs(30);
/// How often it is tried again to allow them, and after how long: a file that stays locks users out.
const AGAIN: u32 = 3;
const PAUSE: Duration = Duration::from_secs(2);
/// The exit status that says that the file is not of this program's making.
const FOREIGN: i32 = 3;
/// Where logins are held off; the older place where there is no `/run`.
const NOLOGIN: &str = "f=/run/nologin; [ -d /run ] || f=/etc/nologin; umask 022; ";
/// Tells whether the file is of this program's making: what another wrote there stays.
const OURS: &str = "grep -qs '^This node .* asked by' \"$f\"";

/// Who is told what, and how long before.
#[derive(Debug)]
pub(crate) struct ShutdownNotice<'a> {
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

impl ShutdownNotice<'_> {
    /// Tells users, as often as the wait asks for, and waits.
    pub(crate) fn give(
        &self,
        drivers: &mut dyn Backend,
        logins: &mut Logins,
        battery: &mut Option<Battery<'_>>,
        telling: &mut Telling<'_>,
    ) -> Waited {
        let began = drivers.now();
        for warning in warning::schedule(self.wait) {
            if let Some(signal) = self.pause(drivers, began, warning, battery, telling) {
                return Waited::Cancelled(signal);
            }
            let now = drivers.now();
            let is_over = |battery: &mut Battery<'_>| now >= battery.latest(now, telling).wait;
            // There is less time than was thought.
            if !warning.left.is_zero() && battery.as_mut().is_some_and(is_over) {
                continue;
            }
            if !self.wait.is_zero() {
                telling.say(&remaining(warning, self.imagined));
            }
            let text = warning.text(self.verb, self.asked_by, self.message);
            if let Some(signal) = self.tell(drivers, &text, battery, telling) {
                return Waited::Cancelled(signal);
            }
            // On battery there is no time for it.
            if battery.is_none() && warning.closes_logins() && !self.wait.is_zero() {
                if let Some(signal) = logins.close(self.nodes, &text, drivers, telling) {
                    return Waited::Cancelled(signal);
                }
            }
        }
        Waited::ToItsEnd
    }

    /// Tells users that nothing comes of it.
    pub(crate) fn take_back(
        &self,
        drivers: &mut dyn Backend,
        logins: &mut Logins,
        telling: &mut Telling<'_>,
    ) {
        let left = logins.open(self.nodes, drivers, telling);
        // A further signal ends this as well; the shutdown is cancelled either way.
        self.tell(drivers, &warning::cancelled(self.asked_by), &mut None, telling);
        if left.is_empty() {
            telling.say("cancelled: nothing was stopped");
        } else {
            let nodes = fold(&left, telling.name);
            telling
                .warn(&format!("cancelled: nothing was stopped, but logins are still held off on {nodes}"));
        }
    }

    /// Tells users; on battery as long as there is time for it.
    fn tell(
        &self,
        drivers: &mut dyn Backend,
        text: &str,
        battery: &mut Option<Battery<'_>>,
        telling: &mut Telling<'_>,
    ) -> Option<i32> {
        if self.silent || self.nodes.is_empty() {
            return None;
        }
        let can_be_told = |node: &NodeId| !check::is_only_halted(*node, drivers);
        let nodes: Vec<NodeId> = self.nodes.iter().copied().filter(can_be_told).collect();
        if nodes.is_empty() {
            return None;
        }
        drivers.set_message(text);
        let order = Order::unordered(&nodes);
        let mut round = Round::new(&order, RemoteCommand::Notify, &nodes);
        let mut until = UntilItsEnd::of(battery.as_mut(), |latest| latest.notice);
        drive_steered(&mut round, drivers.drivers(), telling, &mut |round, drivers, telling| {
            until.steer(round, drivers, telling)
        })
    }

    /// Waits until a warning is due; returns the signal that came meanwhile.
    fn pause(
        &self,
        drivers: &mut dyn Backend,
        began: Duration,
        warning: Warning,
        battery: &mut Option<Battery<'_>>,
        telling: &mut Telling<'_>,
    ) -> Option<i32> {
        let due = began.saturating_add(warning.after / self.speed);
        telling.door.at("waiting for its time");
        loop {
            let now = drivers.now();
            let latest = battery.as_mut().map(|battery| battery.latest(now, telling).wait);
            let due = latest.map_or(due, |latest| latest.min(due));
            if now >= due {
                return None;
            }
            let look = battery.as_ref().map_or(due, Battery::next_look);
            for event in drivers.next(Some(due.min(look))) {
                match event {
                    Event::Signal(signal) => return Some(signal),
                    Event::Attention => {
                        let passed = drivers.now().saturating_sub(began).saturating_mul(self.speed);
                        let left = self.wait.saturating_sub(passed);
                        telling
                            .reporter
                            .show(format!("waiting: the shutdown begins in {}", duration::show(left)));
                    }
                    Event::Power(..)
                    | Event::Probe(..)
                    | Event::BootId(..)
                    | Event::Ended(..)
                    | Event::Asked => {}
                }
            }
        }
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

    /// Runs a script on each node that can run one; returns its exit status, where that is known, and the
    /// signal that came meanwhile.
    fn ask(
        &self,
        nodes: &[NodeId],
        lines: &str,
        drivers: &mut dyn Backend,
    ) -> (Vec<(NodeId, Option<i32>)>, Option<i32>) {
        let script = Script { lines, timeout: LOGINS, fanout: self.fanout };
        let (answers, signal) = script.run(nodes, drivers);
        let status = |ended: Ended| match ended.ending {
            Ending::Exited(status) => Some(status),
            Ending::Killed(_) | Ending::TimedOut | Ending::Unkillable | Ending::NotStarted => None,
        };
        let known = |(node, result): NodeAnswer| (node, result.ok().and_then(status));
        (answers.into_iter().map(known).collect(), signal)
    }

    /// Holds off logins on nodes where nobody else does; returns the signal that came meanwhile.
    fn close(
        &mut self,
        nodes: &[NodeId],
        text: &str,
        drivers: &mut dyn Backend,
        telling: &mut Telling<'_>,
    ) -> Option<i32> {
        if !self.closed.is_empty() {
            return None;
        }
        // What an earlier run left there that was killed is taken over, and so opened again. The file appears
        // whole: half of one, on a file system that is full, would not be known as ours.
        let script = format!(
            "{NOLOGIN}{OURS} && rm -f \"$f\"; {} > \"$f.new\" && ln \"$f.new\" \"$f\"; s=$?; rm -f \"$f.new\"; exit $s",
            printing(text)
        );
        let (answers, signal) = self.ask(nodes, &script, drivers);
        // Where the end is not known it may be closed, and is to be opened again.
        let closed = answers.into_iter().filter(|(_, status)| status.is_none_or(|status| status == 0));
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

    /// Allows logins again on those of `nodes` where this run held them off, and names those where it cannot.
    pub(crate) fn open(
        &mut self,
        nodes: &[NodeId],
        drivers: &mut dyn Backend,
        telling: &mut Telling<'_>,
    ) -> Vec<NodeId> {
        let (mut left, rest): (Vec<NodeId>, _) = self.closed.drain(..).partition(|node| nodes.contains(node));
        self.closed = rest;
        let script = format!("{NOLOGIN}[ -e \"$f\" ] || exit 0; {OURS} || exit {FOREIGN}; rm -f \"$f\"");
        let mut foreign = Vec::new();
        for attempt in 0..=AGAIN {
            let (answers, signal) = self.ask(&left, &script, drivers);
            for (node, status) in answers {
                if matches!(status, Some(0 | FOREIGN)) {
                    left.retain(|other| *other != node);
                }
                foreign.extend((status == Some(FOREIGN)).then_some(node));
            }
            // A signal here ends what runs; what is cancelled or failed already stays so.
            if left.is_empty() || signal.is_some() || (attempt < AGAIN && pause(PAUSE, drivers)) {
                break;
            }
        }
        if !foreign.is_empty() {
            let nodes = fold(&foreign, telling.name);
            telling.warn(&format!("another than this run holds off logins on {nodes}: its file was left"));
        }
        if !left.is_empty() {
            let nodes = fold(&left, telling.name);
            telling.warn(&format!("logins are still held off on {nodes}: remove /run/nologin there"));
        }
        left
    }
}

/// Waits; tells whether a signal came meanwhile.
fn pause(time: Duration, drivers: &mut dyn Backend) -> bool {
    let until = drivers.now() + time;
    while drivers.now() < until {
        if drivers.next(Some(until)).iter().any(|event| matches!(event, Event::Signal(_))) {
            return true;
        }
    }
    false
}
