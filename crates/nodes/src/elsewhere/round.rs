//! What is asked of a run at hand: answered between two of its steps.

use super::door::{Answer, Door, Wrong, by_whom, finish, fold};
use super::protocol::{RunRecord, RunRequest, Sent, StandingRecord, StatusRecord, longer};
use crate::held_back;
use crate::telling::Telling;
use crate::watch::InTheWay;
use orderly_exec::visitors::{VisitorRequest, Visitors, Wanted};
use orderly_plan::drivers::{Drivers, NodeId};
use orderly_plan::duration;
use orderly_plan::notice::NodeStanding;
use orderly_plan::run::Run;
use std::collections::BTreeMap;
use std::time::Duration;

/// A run begins that answers for itself: what was said before holds for it too.
pub(crate) fn attend<R: Run + ?Sized>(
    door: &Door,
    run: &mut R,
    drivers: &mut dyn Drivers,
    telling: &mut Telling<'_>,
) {
    let inside = &mut *door.0.borrow_mut();
    inside.is_attended = true;
    inside.phase.clear();
    let now = drivers.now();
    for (&node, by) in &inside.given_up {
        run.give_up(node, by, now);
    }
    let notices = run.take_notices();
    let is_new = |node: NodeId| !inside.told.contains(&node);
    let (new, _): (Vec<_>, Vec<_>) = notices.into_iter().partition(|notice| is_new(notice.node));
    inside.told.extend(new.iter().map(|notice| notice.node));
    for (node, longer, by) in &inside.longer {
        if let Some(longer) = run.prolong(*node, *longer, drivers) {
            telling.say(&prolonged((telling.name)(*node), longer, by));
        }
    }
    telling.notices(&new);
}

/// Answers what was asked of the run at hand, which began then.
pub(crate) fn serve<R: Run + ?Sized>(
    door: &Door,
    run: &mut R,
    began: Duration,
    drivers: &mut dyn Drivers,
    telling: &mut Telling<'_>,
) {
    let (Some(visitors), asked) = door.take() else { return };
    for request in asked {
        let mut round = Round { door, visitors: &visitors, run, began, drivers, telling };
        let answered = round.answer(&request);
        finish(&visitors, &request, answered);
    }
}

/// What was asked, where a run is at hand.
struct Round<'r, 't, R: Run + ?Sized> {
    door: &'r Door,
    visitors: &'r Visitors,
    run: &'r mut R,
    began: Duration,
    drivers: &'r mut dyn Drivers,
    telling: &'r mut Telling<'t>,
}

impl<R: Run + ?Sized> Round<'_, '_, R> {
    fn answer(&mut self, asked: &VisitorRequest) -> Answer {
        match RunRequest::read(&asked.line).map_err(Wrong::Words)? {
            RunRequest::Watch { records, details } => {
                self.visitors.follow(asked.visitor, Wanted { records, details });
                self.tell_status(asked.visitor, false);
                Ok(String::new())
            }
            RunRequest::Status { nodes } => {
                let nodes = nodes.map(|nodes| self.nodes(&nodes)).transpose()?;
                self.tell_status(asked.visitor, true);
                let now = self.drivers.now();
                for (node, standing) in self.run.standings(&nodes.unwrap_or_default(), now) {
                    let record = StandingRecord::of(node, &standing, now, self.telling.name);
                    self.visitors.answer(asked.visitor, &Sent::new(RunRecord::Standing(record)));
                }
                Ok(String::new())
            }
            RunRequest::GiveUp { nodes, by } => {
                let nodes = self.nodes(&nodes)?;
                self.give_up(&nodes, &by_whom(&by, asked.process))
            }
            RunRequest::MoreTime { nodes, seconds, by } => {
                let nodes = self.nodes(&nodes)?;
                self.prolong(&nodes, seconds.and_then(longer), &by_whom(&by, asked.process))
            }
        }
    }

    fn nodes(&self, set: &str) -> Result<Vec<NodeId>, Wrong> {
        self.door.0.borrow_mut().nodes(set)
    }

    /// Says where the run stands; the whole of it includes who is in whose way.
    fn tell_status(&self, visitor: u64, whole: bool) {
        let (now, name) = (self.drivers.now(), self.telling.name);
        let status = held_back::status(self.run, self.drivers, now);
        let record = StatusRecord::of(&status, self.began, now, name);
        let record = if whole {
            record.with(&self.run.held(), &self.run.waiting(InTheWay::MOST), name)
        } else {
            record
        };
        self.visitors.answer(visitor, &Sent::new(RunRecord::Status(record)));
    }

    fn give_up(&mut self, nodes: &[NodeId], by: &str) -> Answer {
        let now = self.drivers.now();
        let (mut given_up, mut left) = (Vec::new(), Vec::new());
        for &node in nodes {
            if self.run.give_up(node, by, now) { given_up.push(node) } else { left.push(node) }
        }
        let over = self.over(&left);
        let is_over = |node: &NodeId| over.iter().any(|(_, nodes)| nodes.contains(node));
        let later: Vec<NodeId> = left.iter().copied().filter(|node| !is_over(node)).collect();
        {
            let inside = &mut *self.door.0.borrow_mut();
            inside.told.extend(&given_up);
            inside.given_up.extend(given_up.iter().chain(&later).map(|&node| (node, by.to_owned())));
        }
        let said = |nodes: &[NodeId], what: &str| format!("{}: {what}", fold(nodes, self.telling.name));
        let mut lines = Vec::new();
        if !given_up.is_empty() {
            lines.push(said(&given_up, "given up"));
        }
        if !later.is_empty() {
            let line = said(&later, &format!("given up by {by}, and not begun"));
            self.telling.warn(&line);
            lines.push(said(&later, "given up from here on"));
        }
        lines.extend(over.iter().map(|(how, nodes)| said(nodes, how)));
        if over.is_empty() { Ok(lines.join("\n")) } else { Err(Wrong::NotWaitedFor(lines.join("\n"))) }
    }

    fn prolong(&mut self, nodes: &[NodeId], longer: Option<Duration>, by: &str) -> Answer {
        let (mut prolonged, mut left): (BTreeMap<Duration, Vec<NodeId>>, Vec<NodeId>) = Default::default();
        for &node in nodes {
            match self.run.prolong(node, longer, self.drivers) {
                Some(longer) => prolonged.entry(longer).or_default().push(node),
                None => left.push(node),
            }
        }
        let over = self.over(&left);
        let is_over = |node: &NodeId| over.iter().any(|(_, nodes)| nodes.contains(node));
        let later: Vec<NodeId> = left.iter().copied().filter(|node| !is_over(node)).collect();
        let mut lines = Vec::new();
        for (longer, nodes) in &prolonged {
            let nodes = fold(nodes, self.telling.name);
            self.telling.say(&self::prolonged(&nodes, *longer, by));
            lines.push(format!("{nodes}: given {} more", duration::show(*longer)));
        }
        if !later.is_empty() {
            lines.push(format!("{}: given longer once it is begun", fold(&later, self.telling.name)));
        }
        let again = later.iter().map(|&node| (node, longer, by.to_owned()));
        self.door.0.borrow_mut().longer.extend(again);
        lines.extend(over.iter().map(|(how, nodes)| format!("{}: {how}", fold(nodes, self.telling.name))));
        if over.is_empty() { Ok(lines.join("\n")) } else { Err(Wrong::NotWaitedFor(lines.join("\n"))) }
    }

    /// Returns those of these nodes that are not waited for any more, by how they ended.
    fn over(&self, nodes: &[NodeId]) -> Vec<(String, Vec<NodeId>)> {
        let mut over: BTreeMap<String, Vec<NodeId>> = BTreeMap::new();
        if !self.run.settles() {
            return Vec::new();
        }
        let now = self.drivers.now();
        for (node, standing) in self.run.standings(nodes, now) {
            let how = match &standing {
                NodeStanding::Over(_) => {
                    let record = StandingRecord::of(node, &standing, now, self.telling.name);
                    format!("not waited for any more ({})", record.clause())
                }
                NodeStanding::Waiting(_) => "up already, and not begun for that".to_owned(),
                NodeStanding::AtWork(..) => continue,
            };
            over.entry(how).or_default().push(node);
        }
        over.into_iter().collect()
    }
}

fn prolonged(nodes: &str, longer: Duration, by: &str) -> String {
    format!("{nodes}: given {} more by {by}", duration::show(longer))
}
