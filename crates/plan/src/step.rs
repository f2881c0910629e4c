//! Steps of a hand-over as data, and where a run of them stands.
//!
//! Steps run one after the other. A failure undoes, in reverse, what was begun; from the point of no
//! return on there is only forward. Actions are opaque here: `host` knows what they do. A first run
//! is a recovery from an empty journal: there is no other way in than [`Progress::replay`].
//!
//! Invariant: no step starts before all earlier ones are done (`a_step_waits_for_all_before_it`).
//! Invariant: a crash after any record, then a re-run, ends like a run without the crash
//! (`a_crash_after_any_record_converges`).

use serde::{Deserialize, Serialize};
use std::fmt;

/// A step of a plan, by its place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(pub usize);

/// What a step is called in journals, JSON and messages; unique in its plan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepName(pub String);

impl fmt::Display for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What takes a step back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo<A> {
    /// The step changes nothing, or nothing that has to be taken back.
    Nothing,
    /// Run this, whether the step succeeded or not.
    Action(A),
    /// Run this when the step failed; once it is done there is only forward.
    UntilDone(A),
    /// From the moment it is begun there is only forward: what fails stays as it is, and the next run
    /// tries again.
    Never,
}

/// One step: what it does and what takes it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step<A> {
    pub name: StepName,
    pub action: A,
    pub undo: Undo<A>,
}

/// Steps in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan<A> {
    pub steps: Vec<Step<A>>,
}

impl<A> Plan<A> {
    /// Returns the step of this name.
    pub fn find(&self, name: &StepName) -> Option<StepId> {
        self.steps.iter().position(|step| step.name == *name).map(StepId)
    }
}

/// What a run does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Run(StepId),
    Undo(StepId),
    Finished(Verdict),
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All steps are done.
    Completed,
    /// What was begun is undone.
    Unwound,
    /// An undo failed, an outcome is unknown, or it failed past the point of no return.
    Stuck,
}

/// Something that happened in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// About to act: synced before the action.
    Started(StepId),
    Done(StepId),
    Failed(StepId),
    /// Whether it succeeded cannot be found out.
    Unknown(StepId),
    UndoStarted(StepId),
    Undone(StepId),
    UndoFailed(StepId),
    /// Told to stop: what was begun is taken back.
    Interrupted,
    /// A new run goes on with this journal.
    Resumed,
}

/// A record that cannot follow those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IllegalRecord {
    /// Its place among the records, from 0.
    pub index: usize,
    pub record: Record,
}

impl fmt::Display for IllegalRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {} ({:?}) cannot follow those before it", self.index + 1, self.record)
    }
}

impl std::error::Error for IllegalRecord {}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Pending,
    Started,
    Done,
    Failed,
    Unknown,
    UndoStarted,
    Undone,
    UndoFailed,
}

/// Where a run stands: a function of its plan and its journal alone.
#[derive(Debug)]
pub struct Progress<'p, A> {
    plan: &'p Plan<A>,
    at: Vec<At>,
    unwinding: bool,
}

impl<'p, A> Progress<'p, A> {
    /// Returns where a run stands after these records; no records is a first run.
    ///
    /// # Errors
    /// The first record that cannot follow those before it.
    pub fn replay(plan: &'p Plan<A>, journal: &[Record]) -> Result<Self, IllegalRecord> {
        let mut progress = Self { plan, at: vec![At::Pending; plan.steps.len()], unwinding: false };
        for (index, record) in journal.iter().enumerate() {
            progress.record(*record).map_err(|illegal| IllegalRecord { index, ..illegal })?;
        }
        Ok(progress)
    }

    /// Takes note of what happened.
    ///
    /// # Errors
    /// When it cannot happen now.
    pub fn record(&mut self, record: Record) -> Result<(), IllegalRecord> {
        let legal = match record {
            // A step that was done is begun again when people undid it between two runs.
            Record::Started(id) => self.next() == Next::Run(id) || self.may_repeat(id),
            Record::Done(id) | Record::Failed(id) | Record::Unknown(id) => self.is(id, At::Started),
            Record::UndoStarted(id) => self.next() == Next::Undo(id),
            Record::Undone(id) | Record::UndoFailed(id) => self.is(id, At::UndoStarted),
            Record::Interrupted => !self.unwinding && !self.is_past_return(),
            Record::Resumed => true,
        };
        if !legal {
            return Err(IllegalRecord { index: 0, record });
        }
        match record {
            Record::Started(id) => self.set(id, At::Started),
            Record::Done(id) => self.set(id, At::Done),
            Record::Failed(id) => {
                self.set(id, At::Failed);
                self.unwinding = !self.is_past_return();
            }
            Record::Unknown(id) => self.set(id, At::Unknown),
            Record::UndoStarted(id) => self.set(id, At::UndoStarted),
            Record::Undone(id) => self.set(id, At::Undone),
            Record::UndoFailed(id) => self.set(id, At::UndoFailed),
            Record::Interrupted => self.unwinding = true,
            Record::Resumed => self.resume(),
        }
        Ok(())
    }

    /// Returns what to do next.
    pub fn next(&self) -> Next {
        let stuck = |at: &At| matches!(at, At::Unknown | At::UndoFailed);
        if self.at.iter().any(stuck) || (!self.unwinding && self.at.contains(&At::Failed)) {
            return Next::Finished(Verdict::Stuck);
        }
        if self.unwinding {
            return self.last_begun().map_or(Next::Finished(Verdict::Unwound), Next::Undo);
        }
        match self.at.iter().position(|at| *at != At::Done) {
            Some(index) => Next::Run(StepId(index)),
            None => Next::Finished(Verdict::Completed),
        }
    }

    /// Tells whether the point of no return is passed.
    pub fn is_past_return(&self) -> bool {
        self.plan.steps.iter().zip(&self.at).any(|(step, at)| match step.undo {
            Undo::UntilDone(_) => *at == At::Done,
            Undo::Never => *at != At::Pending,
            Undo::Nothing | Undo::Action(_) => false,
        })
    }

    /// Tells whether anything was begun.
    pub fn has_begun(&self) -> bool {
        self.at.iter().any(|at| *at != At::Pending)
    }

    /// Tells whether a step is done.
    pub fn is_done(&self, id: StepId) -> bool {
        self.is(id, At::Done)
    }

    /// Returns what a run that goes on from here still does if all of it succeeds: steps to run, in order, or
    /// steps to take back.
    pub fn left(&self) -> Vec<Next> {
        let indices = 0..self.at.len();
        match self.next() {
            Next::Finished(_) => Vec::new(),
            Next::Run(_) => {
                let left = indices.filter(|index| self.at[*index] != At::Done);
                left.map(|index| Next::Run(StepId(index))).collect()
            }
            Next::Undo(_) => {
                let left = indices.rev().filter(|index| self.is_to_undo(*index));
                left.map(|index| Next::Undo(StepId(index))).collect()
            }
        }
    }

    /// A new run asks again what the last one could not find out.
    fn resume(&mut self) {
        for at in &mut self.at {
            match *at {
                At::Unknown => *at = At::Started,
                At::UndoFailed => *at = At::UndoStarted,
                At::Failed if !self.unwinding => *at = At::Pending,
                At::Failed | At::Pending | At::Started | At::Done | At::UndoStarted | At::Undone => {}
            }
        }
    }

    fn last_begun(&self) -> Option<StepId> {
        (0..self.at.len()).rev().find(|index| self.is_to_undo(*index)).map(StepId)
    }

    /// A failed step is undone like a finished one: it may have acted in part.
    fn is_to_undo(&self, index: usize) -> bool {
        let has_begun = matches!(self.at[index], At::Started | At::Done | At::Failed | At::UndoStarted);
        has_begun && !matches!(self.plan.steps[index].undo, Undo::Nothing | Undo::Never)
    }

    fn may_repeat(&self, id: StepId) -> bool {
        let forward = matches!(self.next(), Next::Run(_) | Next::Finished(Verdict::Completed));
        forward && self.is(id, At::Done)
    }

    fn is(&self, id: StepId, at: At) -> bool {
        self.at.get(id.0) == Some(&at)
    }

    fn set(&mut self, id: StepId, at: At) {
        if let Some(place) = self.at.get_mut(id.0) {
            *place = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Steps that put their own number into a world and take it out again; the last but one is the
    /// point of no return when `returns` says so.
    fn plan(length: usize, point: Option<usize>) -> Plan<usize> {
        let step = |index: usize| Step {
            name: StepName(format!("s{index}")),
            action: index,
            undo: if point == Some(index) { Undo::UntilDone(index) } else { Undo::Action(index) },
        };
        Plan { steps: (0..length).map(step).collect() }
    }

    /// Runs to the end; step `fails` fails (having acted), and the run dies after `records` records.
    fn run(
        plan: &Plan<usize>,
        journal: &mut Vec<Record>,
        world: &mut BTreeSet<usize>,
        fails: Option<usize>,
        records: usize,
    ) -> Option<Verdict> {
        let mut progress = Progress::replay(plan, journal).unwrap();
        if !journal.is_empty() {
            journal.push(Record::Resumed);
            progress.record(Record::Resumed).unwrap();
        }
        let mut written = 0;
        let mut put = |record, progress: &mut Progress<'_, usize>, journal: &mut Vec<Record>| {
            if written == records {
                return false;
            }
            written += 1;
            progress.record(record).unwrap();
            journal.push(record);
            true
        };
        loop {
            let (id, acts, first, second) = match progress.next() {
                Next::Finished(verdict) => return Some(verdict),
                Next::Run(id) if fails == Some(id.0) => (id, true, Record::Started(id), Record::Failed(id)),
                Next::Run(id) => (id, true, Record::Started(id), Record::Done(id)),
                Next::Undo(id) => (id, false, Record::UndoStarted(id), Record::Undone(id)),
            };
            if !put(first, &mut progress, journal) {
                return None;
            }
            if acts {
                world.insert(id.0)
            } else {
                world.remove(&id.0)
            };
            if !put(second, &mut progress, journal) {
                return None;
            }
        }
    }

    #[test]
    fn failing_at_any_step_unwinds_to_an_empty_world() {
        for fails in 0..5 {
            let (mut journal, mut world) = (Vec::new(), BTreeSet::new());
            assert_eq!(
                run(&plan(5, None), &mut journal, &mut world, Some(fails), 99),
                Some(Verdict::Unwound)
            );
            assert!(world.is_empty(), "{fails}: {world:?}");
        }
    }

    #[test]
    fn a_crash_after_any_record_converges() {
        for point in [None, Some(2)] {
            for fails in [None, Some(0), Some(2), Some(4)] {
                let plan = plan(5, point);
                let (mut world, mut journal) = (BTreeSet::new(), Vec::new());
                let verdict = run(&plan, &mut journal, &mut world, fails, 99);
                for crash in 0..journal.len() {
                    let (mut again, mut journal) = (BTreeSet::new(), Vec::new());
                    assert_eq!(run(&plan, &mut journal, &mut again, fails, crash), None);
                    assert_eq!(
                        run(&plan, &mut journal, &mut again, fails, 99),
                        verdict,
                        "{point:?} {fails:?} {crash}"
                    );
                    assert_eq!(again, world);
                }
            }
        }
    }

    #[test]
    fn what_is_left_is_what_the_rest_of_the_run_does() {
        for fails in [None, Some(0), Some(3)] {
            let plan = plan(4, None);
            let (mut journal, mut world) = (Vec::new(), BTreeSet::new());
            run(&plan, &mut journal, &mut world, fails, 99);
            for cut in 0..=journal.len() {
                let mut progress = Progress::replay(&plan, &journal[..cut]).unwrap();
                let told = progress.left();
                let mut done = Vec::new();
                loop {
                    let (id, first, second) = match progress.next() {
                        Next::Finished(_) => break,
                        Next::Run(id) => (id, Record::Started(id), Record::Done(id)),
                        Next::Undo(id) => (id, Record::UndoStarted(id), Record::Undone(id)),
                    };
                    done.push(progress.next());
                    progress.record(first).unwrap();
                    progress.record(second).unwrap();
                    assert!(told.contains(done.last().unwrap()), "{id:?} after {cut} records");
                }
                assert_eq!(told, done, "after {cut} records, step {fails:?} failing");
            }
        }
    }

    #[test]
    fn where_nothing_is_ever_taken_back_a_failure_is_stuck_and_a_new_run_goes_forward() {
        for fails in 0..4 {
            let mut plan = plan(4, None);
            for step in &mut plan.steps {
                step.undo = Undo::Never;
            }
            let (mut journal, mut world) = (Vec::new(), BTreeSet::new());
            assert_eq!(run(&plan, &mut journal, &mut world, Some(fails), 99), Some(Verdict::Stuck));
            assert_eq!(world.len(), fails + 1, "it acted and nothing was taken back");
            assert_eq!(run(&plan, &mut journal, &mut world, None, 99), Some(Verdict::Completed));
        }
    }

    #[test]
    fn past_the_point_of_no_return_a_failure_is_stuck_and_a_new_run_goes_forward() {
        let plan = plan(4, Some(2));
        let (mut journal, mut world) = (Vec::new(), BTreeSet::new());
        assert_eq!(run(&plan, &mut journal, &mut world, Some(3), 99), Some(Verdict::Stuck));
        assert_eq!(run(&plan, &mut journal, &mut world, None, 99), Some(Verdict::Completed));
        let mut progress = Progress::replay(&plan, &journal).unwrap();
        assert!(progress.record(Record::Interrupted).is_err());
    }

    #[test]
    fn the_step_at_the_point_itself_is_undone_when_it_fails() {
        let (mut journal, mut world) = (Vec::new(), BTreeSet::new());
        assert_eq!(run(&plan(4, Some(2)), &mut journal, &mut world, Some(2), 99), Some(Verdict::Unwound));
        assert!(world.is_empty());
    }

    #[test]
    fn unknown_is_stuck_until_a_new_run_asks_again() {
        let plan = plan(2, None);
        let zero = StepId(0);
        let mut progress = Progress::replay(&plan, &[Record::Started(zero), Record::Unknown(zero)]).unwrap();
        assert_eq!(progress.next(), Next::Finished(Verdict::Stuck));
        progress.record(Record::Resumed).unwrap();
        assert_eq!(progress.next(), Next::Run(zero));
    }

    #[test]
    fn a_step_waits_for_all_before_it() {
        let plan = plan(3, None);
        let every = |id| {
            [
                Record::Started(id),
                Record::Done(id),
                Record::Failed(id),
                Record::Unknown(id),
                Record::UndoStarted(id),
                Record::Undone(id),
                Record::UndoFailed(id),
            ]
        };
        // Which record may follow which, for the first step; all others are illegal at once.
        for id in [1, 2, 3].map(StepId) {
            for record in every(id) {
                assert!(Progress::replay(&plan, &[record]).is_err(), "{record:?}");
            }
        }
        let zero = StepId(0);
        let legal = |before: &[Record]| {
            every(zero)
                .into_iter()
                .filter(|record| Progress::replay(&plan, &[before, &[*record]].concat()).is_ok())
                .collect::<Vec<_>>()
        };
        assert_eq!(legal(&[]), [Record::Started(zero)]);
        // Started twice: the second run of a step in doubt.
        assert_eq!(
            legal(&[Record::Started(zero)]),
            [Record::Started(zero), Record::Done(zero), Record::Failed(zero), Record::Unknown(zero)]
        );
        assert_eq!(
            legal(&[Record::Started(zero), Record::Done(zero)]),
            [Record::Started(zero)],
            "done again"
        );
        assert_eq!(legal(&[Record::Started(zero), Record::Failed(zero)]), [Record::UndoStarted(zero)]);
        assert_eq!(
            legal(&[Record::Started(zero), Record::Failed(zero), Record::UndoStarted(zero)]),
            [Record::UndoStarted(zero), Record::Undone(zero), Record::UndoFailed(zero)]
        );
    }

    #[test]
    fn an_interrupt_unwinds_what_was_begun() {
        let plan = plan(3, None);
        let (zero, one) = (StepId(0), StepId(1));
        let progress = Progress::replay(
            &plan,
            &[
                Record::Started(zero),
                Record::Done(zero),
                Record::Started(one),
                Record::Done(one),
                Record::Interrupted,
            ],
        );
        assert_eq!(progress.unwrap().next(), Next::Undo(one));
    }
}
