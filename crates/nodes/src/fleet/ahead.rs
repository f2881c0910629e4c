//! The look ahead: controllers that take no ping are found out together, in three seconds, instead
//! of each with the time-out of a process of its own.
//!
//! Silence proves nothing: a filter may drop pings. So it never decides about power (such a node is
//! unknown, as it would be after the time-out), a few of the silent ones are asked in earnest all the
//! same, and the first that answers ends the look ahead for the run. Those silent are pinged again
//! whenever they are asked about: a controller that gets its power later is found then.

use super::wiring::Wiring;
use crate::power::presence::{Asked, Pinger, Presence};
use orderly_exec::children::Children;
use orderly_plan::fleet::{NodeId, Task};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long a controller that was silent is taken to be so.
const FRESH: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Unasked,
    Asked,
    Present,
    Silent(Instant),
}

#[derive(Debug)]
struct Controller {
    address: String,
    port: u16,
    standing: Standing,
    /// It was asked in earnest although it was silent.
    tried: bool,
}

/// What becomes of a question to a node's controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ahead {
    /// It is asked.
    Go,
    /// It is looked at first.
    Look,
    /// It is silent: asked only as one of a few.
    Silent,
}

/// Who of the controllers is there.
#[derive(Debug, Default)]
pub(super) struct LookAhead {
    /// By node.
    of: Vec<Option<usize>>,
    controllers: Vec<Controller>,
    pinger: Option<Pinger>,
    /// Questions that wait for a ping.
    waiting: Vec<(Task, NodeId)>,
}

impl LookAhead {
    pub(super) fn new(wiring: &Wiring) -> Self {
        let mut known: HashMap<(String, u16), usize> = HashMap::new();
        let mut controllers = Vec::new();
        let mut of = Vec::with_capacity(wiring.roster.len());
        for (index, member) in wiring.roster.members().iter().enumerate() {
            let node = NodeId(u32::try_from(index).unwrap_or(u32::MAX));
            of.push(wiring.profile(node).power.driver.presence(member).map(|(address, port)| {
                *known.entry((address.to_owned(), port)).or_insert_with(|| {
                    let address = address.to_owned();
                    controllers.push(Controller { address, port, standing: Standing::Unasked, tried: false });
                    controllers.len() - 1
                })
            }));
        }
        if controllers.is_empty() {
            of.clear();
        }
        Self { of, controllers, pinger: None, waiting: Vec::new() }
    }

    /// Returns what becomes of a question of this kind to a node's controller. What acts on power is
    /// never kept back: it was decided by an answer.
    pub(super) fn verdict(&self, task: Task, node: NodeId) -> Ahead {
        if !matches!(task, Task::ReadPower | Task::Probe) {
            return Ahead::Go;
        }
        match self.controller(node).map(|at| self.controllers[at].standing) {
            None | Some(Standing::Present) => Ahead::Go,
            Some(Standing::Unasked | Standing::Asked) => Ahead::Look,
            Some(Standing::Silent(since)) if since.elapsed() > FRESH => Ahead::Look,
            Some(Standing::Silent(_)) => Ahead::Silent,
        }
    }

    pub(super) fn is_silent(&self, node: NodeId) -> bool {
        self.controller(node).is_some_and(|at| matches!(self.controllers[at].standing, Standing::Silent(_)))
    }

    /// Tells whether a silent one is due to be asked in earnest, and takes note that it is.
    pub(super) fn is_tried_now(&mut self, node: NodeId) -> bool {
        let Some(at) = self.controller(node) else { return true };
        let is_silent = |one: &Controller| matches!(one.standing, Standing::Silent(_));
        if self.controllers.iter().filter(|one| is_silent(one)).all(|one| one.tried) {
            self.controllers.iter_mut().for_each(|one| one.tried = false);
        }
        !std::mem::replace(&mut self.controllers[at].tried, true)
    }

    /// Keeps a question until its controller has been looked at.
    pub(super) fn look(&mut self, children: &mut Children, task: Task, node: NodeId) {
        self.waiting.push((task, node));
        let Some(at) = self.controller(node) else { return };
        if self.pinger.is_none() {
            self.pinger = Pinger::new(children).ok();
        }
        let one = &mut self.controllers[at];
        match &self.pinger {
            Some(_) if one.standing == Standing::Asked => {}
            Some(pinger) => {
                one.standing = Standing::Asked;
                pinger.ask(Asked { controller: at, address: one.address.clone(), port: one.port });
            }
            None => one.standing = Standing::Present,
        }
    }

    /// Takes what the pings found; tells whether this was theirs.
    pub(super) fn ready(&mut self, children: &mut Children, watch: u64) -> bool {
        let Some(found) = self.pinger.as_mut().and_then(|pinger| pinger.take(children, watch)) else {
            return false;
        };
        for (at, presence) in found {
            self.controllers[at].standing = match presence {
                Presence::Silent => Standing::Silent(Instant::now()),
                Presence::Present | Presence::Unjudged => Standing::Present,
            };
        }
        true
    }

    /// Returns the questions whose controllers have been looked at.
    pub(super) fn take_decided(&mut self) -> Vec<(Task, NodeId)> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let (waiting, decided) = std::mem::take(&mut self.waiting).into_iter().partition(|(_, node)| {
            self.controller(*node).is_some_and(|at| self.controllers[at].standing == Standing::Asked)
        });
        self.waiting = waiting;
        decided
    }

    /// Keeps questions for which there is no room yet.
    pub(super) fn keep(&mut self, task: Task, nodes: impl IntoIterator<Item = NodeId>) {
        self.waiting.extend(nodes.into_iter().map(|node| (task, node)));
    }

    /// Returns all questions that wait.
    pub(super) fn end(&mut self) -> Vec<(Task, NodeId)> {
        std::mem::take(&mut self.waiting)
    }

    /// Ends the look ahead for this run: a silent controller answered in earnest.
    pub(super) fn refute(&mut self) {
        self.of.clear();
    }

    fn controller(&self, node: NodeId) -> Option<usize> {
        self.of.get(node.index()).copied().flatten()
    }
}
