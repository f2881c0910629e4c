//! One command on many nodes at once, in no order: users are told, users' processes are ended.

use crate::doing::Doing;
use crate::drivers::{Event, Failure, FailureKind, NodeId, RemoteCommand, Task};
use crate::graph::Order;
use crate::notice::Happening;
use crate::outcome::Outcome;
use crate::run::{Moment, NodeCourse, NodeRun};

/// A remote command, once on each node.
pub type Round<'o> = NodeRun<'o, Told>;

impl<'o> Round<'o> {
    /// Returns a round over `nodes`; `order` must state none among them.
    pub fn new(order: &'o Order, remote: RemoteCommand, nodes: &[NodeId]) -> Self {
        Self::of_courses(order, nodes.iter().map(|&node| (node, Told { remote })), |_| false, Vec::new())
    }
}

/// One node that is told something.
#[derive(Debug)]
pub struct Told {
    remote: RemoteCommand,
}

impl Told {
    fn over(&self, result: Result<(), Failure>, now: &mut Moment<'_, Never>) {
        let outcome = match result {
            // The node stands as it stood; only a failure is worth telling.
            Ok(()) => Outcome::Up,
            Err(failure) => {
                now.notice(Happening::Missed(Task::Run(self.remote), failure.clone()));
                failure.into()
            }
        };
        now.finish_silently(outcome);
    }
}

/// No appointment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Never {}

impl NodeCourse for Told {
    type Timer = Never;
    const TIMERS: &'static [Never] = &[];
    const FIRST: &'static [Task] = &[];
    const SETTLES: bool = false;

    fn phase(&self) -> &'static str {
        self.doing().words()
    }

    fn turn(&mut self, now: &mut Moment<'_, Never>) {
        if now.abilities().runs_commands {
            now.queue(Task::Run(self.remote));
        } else {
            let detail = "no command can be run on it: it has no shell driver";
            self.over(Err(Failure::own(FailureKind::NotStarted, detail)), now);
        }
    }

    /// Nothing of its own way has begun: all are told at once.
    fn begun(&mut self, _task: Task, now: &mut Moment<'_, Never>) {
        now.notice(Happening::Went(self.doing()));
    }

    fn hear(&mut self, event: &Event, now: &mut Moment<'_, Never>) {
        if let Event::Ended(_, task, result) = event {
            if *task == Task::Run(self.remote) {
                self.over(result.clone(), now);
            }
        }
    }

    fn due(&mut self, timer: Never, _now: &mut Moment<'_, Never>) {
        match timer {}
    }

    fn unfinished(&self) -> Option<Outcome> {
        None
    }

    fn doing(&self) -> Doing {
        match self.remote {
            RemoteCommand::Notify => Doing::TellingUsers,
            RemoteCommand::EndUsers => Doing::EndingUsers,
            RemoteCommand::Halt
            | RemoteCommand::Restart
            | RemoteCommand::Maintenance
            | RemoteCommand::ReadBootId => Doing::BeingTold,
        }
    }

    fn last_heard(&self) -> String {
        String::new()
    }
}
