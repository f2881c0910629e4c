//! Carries out a plan: check, act, verify; journal before and after; undo in reverse.
//!
//! Where a run stands is decided by [`Progress`]; what is true is asked of [`Perform`]. Exit
//! statuses and memory decide nothing.

use crate::action::Perform;
use crate::answer::Answer;
use orderly_exec::clock;
use orderly_exec::journal::Journal;
use orderly_exec::reporter::Reporter;
use orderly_plan::record::Line;
use orderly_plan::release::{Outcome, StepOutcome};
use orderly_plan::step::Record;
use orderly_plan::step::{Next, Plan, Progress, Step, StepId, StepName, Undo, Verdict};

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEnding<A> {
    pub verdict: Verdict,
    /// What failed first, and why.
    pub failure: Option<(StepName, String)>,
    /// The signal that told it to stop, if it did stop.
    pub signal: Option<i32>,
    /// Each step that was begun, with how it ended.
    pub steps: Vec<EndedStep<A>>,
}

/// A step that was begun, and how that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedStep<A> {
    pub id: StepId,
    pub name: StepName,
    pub action: A,
    pub outcome: StepOutcome,
}

impl<A> RunEnding<A> {
    /// Returns the end of a run that cannot begin, and of which a person must know.
    pub fn before_anything(step: &str, why: String) -> Self {
        let failure = Some((StepName(step.to_owned()), why));
        Self { verdict: Verdict::Stuck, failure, signal: None, steps: Vec::new() }
    }

    /// Tells whether the only step that was begun is one of these, and failed.
    pub fn failed_at_first(&self, is_it: impl Fn(&A) -> bool) -> bool {
        let is_bad = |outcome| matches!(outcome, StepOutcome::Failed | StepOutcome::Unknown);
        matches!(self.steps.as_slice(), [only] if is_it(&only.action) && is_bad(only.outcome))
    }

    /// Returns the steps as records have them.
    pub fn outcomes(&self) -> Vec<Outcome> {
        let outcome = |step: &EndedStep<A>| Outcome { step: step.name.to_string(), outcome: step.outcome };
        self.steps.iter().map(outcome).collect()
    }

    /// Returns the failure as a clause, which stays within its line.
    pub fn clause(&self) -> String {
        match (&self.failure, self.signal) {
            (Some((step, why)), _) => format!("{step}: {}", why.replace('\n', "; ")),
            (None, Some(signal)) => format!("interrupted by signal {signal}"),
            (None, None) => "it did not finish".to_owned(),
        }
    }
}

/// A plan being carried out.
#[derive(Debug)]
pub struct PlanRunner<'a, A> {
    plan: &'a Plan<A>,
    progress: Progress<'a, A>,
    /// `None` is a journal that took no more, or a run that needs none.
    journal: Option<Journal>,
    reporter: &'a mut Reporter,
    failure: Option<(StepName, String)>,
    signal: Option<i32>,
    steps: Vec<EndedStep<A>>,
}

impl<'a, A: Clone> PlanRunner<'a, A> {
    /// Returns a run that begins where the records of its journal end.
    pub fn new(
        plan: &'a Plan<A>,
        progress: Progress<'a, A>,
        journal: Option<Journal>,
        reporter: &'a mut Reporter,
    ) -> Self {
        Self { plan, progress, journal, reporter, failure: None, signal: None, steps: Vec::new() }
    }

    /// Takes up a journal that another run left: what it could not find out is asked again, and what
    /// it did is looked at again, because people may have been here meanwhile.
    pub fn resume(&mut self, perform: &mut dyn Perform<A>) {
        self.put(Record::Resumed, None);
        if !matches!(self.progress.next(), Next::Run(_) | Next::Finished(Verdict::Completed)) {
            return;
        }
        for (index, step) in self.plan.steps.iter().enumerate() {
            let id = StepId(index);
            if self.progress.is_done(id)
                && (matches!(perform.check(&step.action), Answer::No(_) | Answer::Unknown(_))
                    || perform.is_outdated(&step.action))
            {
                self.attempt(id, perform);
            }
            if !matches!(self.progress.next(), Next::Run(_) | Next::Finished(Verdict::Completed)) {
                return;
            }
        }
    }

    /// Runs to the end. The journal stays open when the run is stuck, so that the next one asks again.
    pub fn run(mut self, perform: &mut dyn Perform<A>) -> (RunEnding<A>, Option<Journal>) {
        let verdict = loop {
            if self.signal.is_none() {
                self.listen(perform);
            }
            match self.progress.next() {
                Next::Run(id) => self.attempt(id, perform),
                Next::Undo(id) => self.undo(id, perform),
                Next::Finished(verdict) => break verdict,
            }
        };
        let ending = RunEnding { verdict, failure: self.failure, signal: self.signal, steps: self.steps };
        (ending, self.journal)
    }

    /// Before the point of no return an interrupt takes back what was begun; after it, it is too late.
    fn listen(&mut self, perform: &mut dyn Perform<A>) {
        let Some(signal) = perform.interrupted() else { return };
        let running = matches!(self.progress.next(), Next::Run(_));
        if running && !self.progress.is_past_return() {
            self.signal = Some(signal);
            self.reporter.warn(format!("interrupted by signal {signal}; taking back what was begun"));
            self.put(Record::Interrupted, None);
        }
    }

    fn attempt(&mut self, id: StepId, perform: &mut dyn Perform<A>) {
        let action = &self.plan.steps[id.0].action;
        let name = &self.plan.steps[id.0].name;
        self.reporter.progress(name.to_string());
        if !self.put(Record::Started(id), None) {
            return;
        }
        if perform.check(action) == Answer::Yes {
            self.put(Record::Done(id), Some("already so".to_owned()));
            self.tell(id, "already done");
            return;
        }
        let acted = perform.act(action).map_err(|error| format!("{error:#}"));
        match (perform.check(action), acted) {
            // What an action says of itself counts only where there is nothing else to ask.
            (Answer::Yes, acted) => {
                self.put(Record::Done(id), acted.err());
                self.tell(id, "done");
            }
            (Answer::Untold, Ok(())) => match perform.passed_over() {
                None => {
                    self.put(Record::Done(id), None);
                    self.tell(id, "done");
                }
                Some(why) => self.pass_over(id, why),
            },
            (Answer::Untold, Err(why)) => self.fail(id, Record::Failed(id), why),
            (Answer::No(_), Err(why)) => self.fail(id, Record::Failed(id), why),
            (Answer::No(why), Ok(())) => self.fail(id, Record::Failed(id), why),
            (Answer::Unknown(why), Ok(())) => self.fail(id, Record::Unknown(id), format!("unknown: {why}")),
            (Answer::Unknown(why), Err(error)) => {
                self.fail(id, Record::Unknown(id), format!("{error}; unknown: {why}"));
            }
        }
    }

    fn undo(&mut self, id: StepId, perform: &mut dyn Perform<A>) {
        let (Undo::Action(action) | Undo::UntilDone(action)) = &self.plan.steps[id.0].undo else { return };
        self.put(Record::UndoStarted(id), None);
        let before = perform.check(action);
        let acted = if before == Answer::Yes {
            Ok(())
        } else {
            perform.act(action).map_err(|error| format!("{error:#}"))
        };
        let why = match (perform.check(action), acted) {
            (Answer::Yes, _) | (Answer::Untold, Ok(())) => {
                self.put(Record::Undone(id), None);
                self.reporter.say(format!("{}: taken back", self.plan.steps[id.0].name));
                self.note(id, StepOutcome::Undone);
                return;
            }
            (_, Err(why)) | (Answer::No(why) | Answer::Unknown(why), Ok(())) => why,
        };
        let name = &self.plan.steps[id.0].name;
        self.reporter.warn(format!("{name}: cannot be taken back: {why}"));
        self.note(id, StepOutcome::UndoFailed);
        self.failure = Some((name.clone(), format!("cannot be taken back: {why}")));
        self.put(Record::UndoFailed(id), Some(why));
    }

    fn fail(&mut self, id: StepId, record: Record, why: String) {
        let name = &self.plan.steps[id.0].name;
        self.reporter.warn(format!("{name}: failed: {why}"));
        let is_unknown = matches!(record, Record::Unknown(_));
        self.note(id, if is_unknown { StepOutcome::Unknown } else { StepOutcome::Failed });
        self.failure.get_or_insert((name.clone(), why.clone()));
        self.put(record, Some(why));
    }

    /// Each finished step names itself on stdout, as the originals do.
    fn tell(&mut self, id: StepId, word: &str) {
        let name = self.plan.steps[id.0].name.to_string();
        self.reporter.message(&format!("{name}: {word}"));
        self.note(id, StepOutcome::Done);
    }

    /// A step that failed and stops nothing is no failure of the run, and not done either.
    fn pass_over(&mut self, id: StepId, why: String) {
        let name = self.plan.steps[id.0].name.to_string();
        self.reporter.message(&format!("{name}: not done"));
        self.reporter.warn(format!("{name}: not done: {why}"));
        self.note(id, StepOutcome::NotDone);
        self.put(Record::Done(id), Some(format!("not done: {why}")));
    }

    fn note(&mut self, id: StepId, outcome: StepOutcome) {
        let Step { name, action, .. } = &self.plan.steps[id.0];
        self.steps.push(EndedStep { id, name: name.clone(), action: action.clone(), outcome });
    }

    /// Notes a record: in the journal, synced, then in memory, then for whoever reads along. Tells
    /// whether an action may follow it.
    fn put(&mut self, record: Record, detail: Option<String>) -> bool {
        let line = Line::of(record, self.plan, clock::now(), detail);
        if let Some(journal) = &mut self.journal {
            if let Err(error) = journal.append(&line) {
                // Nothing more is begun without a memory; what was begun is still taken back, or, past
                // the point of no return, finished.
                self.journal = None;
                self.reporter.warn(format!("{error:#}; going on without a journal"));
                if matches!(record, Record::Started(_)) && self.progress.record(Record::Interrupted).is_ok() {
                    self.failure.get_or_insert((StepName("journal".to_owned()), format!("{error:#}")));
                    return false;
                }
            }
        }
        self.reporter.record(&line);
        if let Err(illegal) = self.progress.record(record) {
            self.reporter.warn(format!("a bug: {illegal}"));
            return false;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orderly_exec::journal;
    use orderly_exec::reporter::{Output, Verbosity};
    use std::collections::BTreeSet;
    use std::path::Path;

    /// `(7, true)` puts 7 into the world, `(7, false)` takes it out.
    type Act = (usize, bool);

    /// A world of numbers that fails, lies, hangs between, or dies as told.
    #[derive(Default)]
    struct World {
        holds: BTreeSet<usize>,
        fails: Option<Act>,
        unknown: Option<usize>,
        interrupted_after: Option<usize>,
        acts: usize,
    }

    impl Perform<Act> for World {
        fn check(&mut self, (number, wanted): &Act) -> Answer {
            if self.unknown == Some(*number) {
                return Answer::Unknown("fog".into());
            }
            if self.holds.contains(number) == *wanted { Answer::Yes } else { Answer::No("not so".into()) }
        }

        fn act(&mut self, action: &Act) -> anyhow::Result<()> {
            self.acts += 1;
            if self.fails == Some(*action) {
                anyhow::bail!("refused");
            }
            if action.1 {
                self.holds.insert(action.0)
            } else {
                self.holds.remove(&action.0)
            };
            Ok(())
        }

        fn interrupted(&mut self) -> Option<i32> {
            self.interrupted_after.filter(|after| self.acts >= *after).map(|_| 15)
        }
    }

    fn plan(point: usize) -> Plan<Act> {
        let step = |index: usize| Step {
            name: StepName(format!("s{index}")),
            action: (index, true),
            undo: if index == point { Undo::UntilDone((index, false)) } else { Undo::Action((index, false)) },
        };
        Plan { steps: (0..5).map(step).collect() }
    }

    fn run(plan: &Plan<Act>, world: &mut World, path: &Path) -> RunEnding<Act> {
        let mut reporter = Reporter::new(Verbosity::Quiet, Output::Text);
        let (records, journal) = match journal::read::<Act>(path).unwrap() {
            Some(stored) => (stored.records(), Journal::go_on(path, &stored).unwrap()),
            None => (
                Vec::new(),
                Journal::begin(path, &journal::header("t", "0", "h", "d".into(), plan.clone())).unwrap(),
            ),
        };
        let progress = Progress::replay(plan, &records).unwrap();
        let mut runner = PlanRunner::new(plan, progress, Some(journal), &mut reporter);
        if !records.is_empty() {
            runner.resume(world);
        }
        runner.run(world).0
    }

    #[test]
    fn every_step_that_fails_unwinds_to_what_was_found_or_is_stuck_past_the_point() {
        for step in 0..5 {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("journal");
            let mut world = World { fails: Some((step, true)), ..World::default() };
            let ending = run(&plan(3), &mut world, &path);
            let past = step > 3;
            assert_eq!(ending.verdict, if past { Verdict::Stuck } else { Verdict::Unwound }, "{step}");
            assert_eq!(world.holds.is_empty(), !past);
            assert_eq!(ending.failure.unwrap().0.0, format!("s{step}"));
            if past {
                // Mended, the next run goes forward.
                world.fails = None;
                assert_eq!(run(&plan(3), &mut world, &path).verdict, Verdict::Completed);
                assert_eq!(world.holds.len(), 5);
            }
        }
    }

    #[test]
    fn an_undo_that_fails_is_stuck_and_the_next_run_takes_it_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut world = World { fails: Some((2, true)), ..World::default() };
        world.unknown = None;
        let plan = plan(4);
        let mut first = World { fails: Some((2, true)), ..World::default() };
        assert_eq!(run(&plan, &mut first, &dir.path().join("other")).verdict, Verdict::Unwound);
        world.fails = Some((1, false));
        world.interrupted_after = Some(2);
        assert_eq!(run(&plan, &mut world, &path).verdict, Verdict::Stuck);
        world.fails = None;
        world.interrupted_after = None;
        let ending = run(&plan, &mut world, &path);
        assert_eq!((ending.verdict, world.holds.len()), (Verdict::Unwound, 0));
    }

    #[test]
    fn unknown_is_stuck_and_nothing_follows_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut world = World { unknown: Some(1), ..World::default() };
        assert_eq!(run(&plan(3), &mut world, &path).verdict, Verdict::Stuck);
        assert_eq!(world.holds, BTreeSet::from([0, 1]));
        world.unknown = None;
        assert_eq!(run(&plan(3), &mut world, &path).verdict, Verdict::Completed);
    }

    #[test]
    fn an_interrupt_unwinds_before_the_point_and_finishes_after_it() {
        for after in 1..=5 {
            let dir = tempfile::tempdir().unwrap();
            let mut world = World { interrupted_after: Some(after), ..World::default() };
            let ending = run(&plan(3), &mut world, &dir.path().join("journal"));
            let late = after > 3;
            assert_eq!(ending.verdict, if late { Verdict::Completed } else { Verdict::Unwound }, "{after}");
            assert_eq!(ending.signal.is_none(), late);
        }
    }

    #[test]
    fn killed_after_any_record_the_next_run_finishes() {
        let dir = tempfile::tempdir().unwrap();
        let whole = dir.path().join("whole");
        run(&plan(3), &mut World::default(), &whole);
        let text = std::fs::read_to_string(&whole).unwrap();
        let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
        for end in ends {
            let path = dir.path().join(format!("cut{end}"));
            std::fs::write(&path, &text[..end]).unwrap();
            let done = text[..end].matches("\"done\"").count();
            // Whether the action in doubt was carried out or not.
            for acted in [done, (done + 1).min(5)] {
                let mut world = World { holds: (0..acted).collect(), ..World::default() };
                let copy = dir.path().join(format!("cut{end}.{acted}"));
                std::fs::copy(&path, &copy).unwrap();
                assert_eq!(run(&plan(3), &mut world, &copy).verdict, Verdict::Completed);
                assert_eq!(world.holds.len(), 5);
            }
        }
    }

    #[test]
    fn what_people_undid_between_two_runs_is_done_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut world = World { unknown: Some(2), ..World::default() };
        assert_eq!(run(&plan(3), &mut world, &path).verdict, Verdict::Stuck);
        world.unknown = None;
        world.holds.remove(&0);
        assert_eq!(run(&plan(3), &mut world, &path).verdict, Verdict::Completed);
        assert_eq!(world.holds.len(), 5);
    }
}
