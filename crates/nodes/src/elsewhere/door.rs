//! The door of a run: who is there, what was said there, and what is answered while no run is at hand: while the program
//! waits for its time, or calls a subsystem. What is answered otherwise is in `round.rs`.
//!
//! Nodes that are given up stay so in all that is still done.

use super::protocol::{RunRecord, RunRequest, Sent, StatusRecord, longer};
use crate::claims::RunFacts;
use orderly_exec::printable;
use orderly_exec::visitors::{Told, VisitorRequest, Visitors, Wanted};
use orderly_plan::drivers::NodeId;
use orderly_plan::nodeset;
use orderly_plan::report::Naming;
use serde::Serialize;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How much of who asks is kept.
const SHOWN: usize = 100;

/// How many names one request may stand for.
const NAMES: u64 = 1_000_000;

/// The door of a run; clones are the same. Without `open` nobody comes.
#[derive(Debug, Clone, Default)]
pub struct Door(pub(super) Rc<RefCell<Inside>>);

#[derive(Debug, Default)]
pub(super) struct Inside {
    visitors: Option<Visitors>,
    /// Where the claim of the run is written.
    claim: PathBuf,
    /// By number.
    names: Vec<String>,
    numbers: Option<HashMap<String, NodeId>>,
    /// The run itself answers, and not only its door.
    pub(super) is_attended: bool,
    /// What it is at while nobody attends, and since when.
    pub(super) phase: String,
    since: Option<Instant>,
    /// Who is given up, and who said so.
    pub(super) given_up: BTreeMap<NodeId, String>,
    /// Those that people know to be given up.
    pub(super) told: BTreeSet<NodeId>,
    pub(super) longer: Vec<(NodeId, Option<Duration>, String)>,
}

impl Door {
    /// Returns the door of a run over nodes of these names, by number, which is not open yet.
    pub fn of(names: impl Iterator<Item = String>) -> Self {
        Self(Rc::new(RefCell::new(Inside { names: names.collect(), ..Inside::default() })))
    }

    /// Has these visitors come to the run with this claim, which is in this file as it is by now.
    pub(crate) fn open(&self, visitors: Visitors, claim: &Path) {
        let inside = &mut *self.0.borrow_mut();
        (inside.visitors, inside.claim) = (Some(visitors), claim.to_owned());
    }

    /// Has it under the name of a claim that was made anew; this is its greeting.
    pub(crate) fn move_to(&self, socket: &Path, claim: &Path, greeting: &impl Serialize) {
        let inside = &mut *self.0.borrow_mut();
        if let Some(visitors) = &inside.visitors {
            if visitors.rename(socket, greeting).is_ok() {
                claim.clone_into(&mut inside.claim);
            }
        }
    }

    /// Says what the run is at where it is not at nodes; nothing from the next on.
    pub fn at(&self, phase: &str) {
        let inside = &mut *self.0.borrow_mut();
        if inside.visitors.is_some() && inside.phase != phase {
            phase.clone_into(&mut inside.phase);
            inside.since = Some(Instant::now());
            inside.tell_standing();
        }
    }

    /// Tells whether somebody is told where the run stands, again and again.
    pub(crate) fn is_watched(&self) -> bool {
        self.0.borrow().visitors.as_ref().is_some_and(|visitors| visitors.want(Told::Standing))
    }

    /// Tells all who watch where the run stands.
    pub(crate) fn show(&self, record: &StatusRecord) {
        if let Some(visitors) = &self.0.borrow().visitors {
            visitors.tell(Told::Standing, &Sent::new(RunRecord::Status(record.clone())));
        }
    }

    /// Tells whether the run at hand answers what is asked ([`Event::Asked`](orderly_plan::drivers::Event)).
    pub(crate) fn is_attended(&self) -> bool {
        self.0.borrow().is_attended
    }

    /// Tells whether something was asked that is not answered yet.
    pub(crate) fn has_more(&self) -> bool {
        self.0.borrow().visitors.as_ref().is_some_and(Visitors::have_asked)
    }

    /// Answers what was asked while no run is at hand.
    pub(crate) fn answer(&self) {
        loop {
            let (visitors, asked) = self.take();
            let Some(visitors) = visitors.filter(|_| !asked.is_empty()) else { return };
            for request in asked {
                let answered = self.answer_alone(&visitors, &request);
                finish(&visitors, &request, answered);
            }
        }
    }

    fn answer_alone(&self, visitors: &Visitors, asked: &VisitorRequest) -> Answer {
        let inside = &mut *self.0.borrow_mut();
        match RunRequest::read(&asked.line).map_err(Wrong::Words)? {
            RunRequest::Watch { records, details } => {
                visitors.follow(asked.visitor, Wanted { records, details });
                visitors.answer(asked.visitor, &Sent::new(RunRecord::Status(inside.standing())));
                Ok(String::new())
            }
            RunRequest::Status { nodes } => {
                nodes.map(|nodes| inside.nodes(&nodes)).transpose()?;
                visitors.answer(asked.visitor, &Sent::new(RunRecord::Status(inside.standing())));
                Ok(String::new())
            }
            RunRequest::GiveUp { nodes, by } => {
                let nodes = inside.nodes(&nodes)?;
                let by = by_whom(&by, asked.process);
                let name = |node: NodeId| inside.names[node.index()].as_str();
                let said = format!("{}: given up from here on", fold(&nodes, &name));
                inside.given_up.extend(nodes.into_iter().map(|node| (node, by.clone())));
                Ok(said)
            }
            RunRequest::MoreTime { nodes, seconds, by } => {
                let nodes = inside.nodes(&nodes)?;
                let by = by_whom(&by, asked.process);
                let name = |node: NodeId| inside.names[node.index()].as_str();
                let said = format!("{}: given longer once it is begun", fold(&nodes, &name));
                let longer = seconds.and_then(longer);
                inside.longer.extend(nodes.into_iter().map(|node| (node, longer, by.clone())));
                Ok(said)
            }
        }
    }

    pub(super) fn take(&self) -> (Option<Visitors>, Vec<VisitorRequest>) {
        let visitors = self.0.borrow().visitors.clone();
        let asked = visitors.as_ref().map(Visitors::take_asked).unwrap_or_default();
        (visitors, asked)
    }

    /// The run is over: what is asked from now on is answered without it.
    pub(crate) fn leave(&self) {
        let inside = &mut *self.0.borrow_mut();
        inside.is_attended = false;
        inside.since = Some(Instant::now());
        inside.tell_standing();
    }
}

impl Inside {
    /// Returns where the run stands while it is at no nodes.
    fn standing(&self) -> StatusRecord {
        let seconds = self.since.map(|since| since.elapsed().as_secs_f64()).unwrap_or_default();
        StatusRecord { phase: self.phase.clone(), seconds, ..StatusRecord::default() }
    }

    fn tell_standing(&self) {
        if let Some(visitors) = &self.visitors {
            visitors.tell(Told::Standing, &Sent::new(RunRecord::Status(self.standing())));
        }
    }

    /// Returns the nodes that a request names, which are all the run's.
    pub(super) fn nodes(&mut self, set: &str) -> Result<Vec<NodeId>, Wrong> {
        if nodeset::cost(set) > NAMES {
            return Err(Wrong::Nodes("too many names".to_owned()));
        }
        let shown = |fault| Wrong::Nodes(format!("{}: {fault}", printable(set)));
        let names = nodeset::expand(set).map_err(shown)?;
        if names.is_empty() {
            return Err(Wrong::Nodes(format!("\"{}\" names no node", printable(set))));
        }
        let numbers = self.numbers.get_or_insert_with(|| {
            let numbers = (0..).map(NodeId);
            self.names.iter().cloned().zip(numbers).collect()
        });
        // As they are by now: it may have let some go.
        let claim = RunFacts::written_at(&self.claim).map(|facts| facts.claim).unwrap_or_default();
        let is_ours = |name: &String| claim.targets.contains(name) || claim.units.contains(name);
        let (ours, strange): (Vec<String>, Vec<String>) = names.into_iter().partition(is_ours);
        if !strange.is_empty() {
            let strange = nodeset::fold(strange.iter().map(String::as_str));
            return Err(Wrong::Nodes(format!("no targets of this run: {}", printable(&strange))));
        }
        Ok(ours.iter().filter_map(|name| numbers.get(name).copied()).collect())
    }
}

/// What was done, in words; nothing where records say all.
pub(super) type Answer = Result<String, Wrong>;

/// Why something is not done.
pub(super) enum Wrong {
    /// It is not understood: whoever says such things is sent away.
    Words(String),
    Nodes(String),
    /// Of some at least.
    NotWaitedFor(String),
}

/// Ends the answer to a request.
pub(super) fn finish(visitors: &Visitors, asked: &VisitorRequest, answered: Answer) {
    let (ok, text, leaves) = match answered {
        Ok(text) => (true, text, false),
        Err(Wrong::Words(text)) => (false, text, true),
        Err(Wrong::Nodes(text) | Wrong::NotWaitedFor(text)) => (false, text, false),
    };
    visitors.answer(asked.visitor, &Sent::new(RunRecord::Answer { ok, text }));
    if leaves {
        visitors.dismiss(asked.visitor);
    } else {
        visitors.answered(asked.visitor);
    }
}

pub(super) fn by_whom(by: &str, process: u32) -> String {
    let by: String = printable(by).chars().take(SHOWN).collect();
    format!("{by} (process {process})")
}

pub(super) fn fold<'n>(nodes: &[NodeId], name: &Naming<'n>) -> String {
    nodeset::fold(nodes.iter().map(|&node| name(node)))
}
