//! Commands through clush and pdsh: all nodes that are ready go together, one call for a crew.
//!
//! What is begun is gathered first and called out when the loop next waits, so that a call has as many
//! nodes as there are; and each node is answered for as soon as it is judged (`shell::Hearing`).

use super::ways::NAMES;
use super::{Later, Purpose, Wires};
use crate::boot;
use crate::fleet::CommandId;
use crate::shell::{self, Hearing, Parallel, ShellDriver, Verdict};
use crate::users;
use orderly_exec::children::{ChildId, Said, Seen};
use orderly_exec::job::{Ended, Ending};
use orderly_plan::fleet::{Errand, Event, Failure, FailureKind, NodeId, Probe, Task, Teller};
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// How long a call may go on when all its nodes are judged: sessions on nodes that went down hang.
const LINGER: Duration = Duration::from_secs(5);

/// How long a node that is ready waits for others, and the longest that one waits in all: what nodes
/// are waited for becomes true one by one, and starting the program costs more than this.
const COMPANY: Duration = Duration::from_millis(50);
const COMPANY_IN_ALL: Duration = Duration::from_millis(500);

/// Bytes of output that are kept of each node: what an errand prints is only looked at, what a command
/// prints is handed over, within so much for a call.
const GLIMPSE: usize = 4 * 1024;
const WHOLE: usize = 64 * 1024;
const IN_ALL: usize = 64 * 1024 * 1024;

/// What a crew is told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Work {
    Task(Task),
    Command { line: String, stdin: Vec<u8>, timeout: Duration },
}

/// One of a crew.
#[derive(Debug, Clone, Copy)]
struct Hand {
    node: NodeId,
    /// The command it runs, when that is no task.
    command: Option<CommandId>,
}

/// Nodes that go into the next call.
#[derive(Debug)]
struct Gathering {
    work: Work,
    profile: u32,
    began: Instant,
    due: Instant,
    hands: Vec<Hand>,
}

/// The nodes of a call that runs.
#[derive(Debug)]
struct Crew {
    work: Work,
    hands: Vec<Hand>,
    hearing: Hearing,
    /// What was asked, as one would type it for a node: before its name, and after it.
    shown: (String, String),
    limit: Duration,
    left: usize,
    is_watched: bool,
    /// Readings of a probe that are handed over together, or nodes would become ready one by one.
    held: Vec<(usize, Verdict)>,
    is_to_release: bool,
}

/// All that runs, or waits to run, through clush and pdsh.
#[derive(Debug, Default)]
pub(super) struct Crews {
    gathered: Vec<Gathering>,
    running: HashMap<ChildId, Crew>,
    /// When nodes of a profile may be probed again.
    next_probe: HashMap<u32, Instant>,
}

impl Crews {
    /// Returns when the next call is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.gathered.iter().map(|gathering| gathering.due).min()
    }
}

impl Wires {
    /// Returns the settings of the driver that takes many nodes, where the node has one.
    pub(super) fn parallel(&self, node: NodeId) -> Option<&Parallel> {
        match &self.wiring.profile(node).shell.driver {
            ShellDriver::Parallel(parallel) => Some(parallel),
            ShellDriver::None | ShellDriver::Simulator | ShellDriver::Ssh(_) | ShellDriver::Command(_) => {
                None
            }
        }
    }

    pub(in crate::fleet) fn takes_many(&self, node: NodeId) -> bool {
        self.parallel(node).is_some()
    }

    /// Puts a node into the next call for a task.
    pub(super) fn gather_task(&mut self, task: Task, node: NodeId) {
        self.gather(Work::Task(task), Hand { node, command: None });
    }

    /// Puts a node into the next call for a command line.
    pub(super) fn gather_command(
        &mut self,
        node: NodeId,
        id: CommandId,
        line: String,
        stdin: &[u8],
        timeout: Duration,
    ) {
        let work = Work::Command { line, stdin: stdin.to_vec(), timeout };
        self.gather(work, Hand { node, command: Some(id) });
    }

    fn gather(&mut self, work: Work, hand: Hand) {
        let profile = self.wiring.profile_of[hand.node.index()];
        let same = |gathering: &&mut Gathering| gathering.profile == profile && gathering.work == work;
        let now = Instant::now();
        let is_probe = work == Work::Task(Task::Probe);
        if let Some(gathering) = self.crews.gathered.iter_mut().find(same) {
            gathering.hands.push(hand);
            if !is_probe {
                gathering.due = (now + COMPANY).min(gathering.began + COMPANY_IN_ALL);
            }
            return;
        }
        let due = match self.crews.next_probe.get(&profile) {
            Some(next) if is_probe => now.max(*next),
            Some(_) | None if is_probe => now,
            Some(_) | None => now + COMPANY,
        };
        self.crews.gathered.push(Gathering { work, profile, began: now, due, hands: vec![hand] });
    }

    /// Calls out what is due, as far as the fan-out allows.
    pub(super) fn call_crews(&mut self) {
        let now = Instant::now();
        while self.calls.len() < self.fanout
            && let Some(at) = self.crews.gathered.iter().position(|gathering| gathering.due <= now)
        {
            let gathering = self.crews.gathered.swap_remove(at);
            if gathering.work == Work::Task(Task::Probe)
                && let Some(hand) = gathering.hands.first()
            {
                // Answers come one by one, and each node asks again an interval later: half of that is
                // waited for company, or a set would fall apart into calls for single nodes.
                let company = self.wiring.profile(hand.node).probe.interval / 2;
                self.crews.next_probe.insert(gathering.profile, now + company);
            }
            self.call_crew(gathering);
        }
    }

    fn call_crew(&mut self, gathering: Gathering) {
        let Gathering { work, profile, began, due, hands } = gathering;
        let Some(parallel) = hands.first().and_then(|hand| self.parallel(hand.node)).cloned() else { return };
        let (hands, rest) = self.part_crew(&parallel, hands);
        if !rest.is_empty() {
            self.crews.gathered.push(Gathering { work: work.clone(), profile, began, due, hands: rest });
        }
        let nodes: Vec<NodeId> = hands.iter().map(|hand| hand.node).collect();
        let Some((line, stdin, limit)) = nodes.first().and_then(|&node| self.assignment(&work, node)) else {
            return;
        };
        let keep = match work {
            Work::Task(_) => GLIMPSE,
            Work::Command { .. } => (IN_ALL / nodes.len().max(1)).clamp(GLIMPSE, WHOLE),
        };
        let prepared = shell::draw_mark().map_err(|error| format!("{error:#}")).and_then(|mark| {
            // As a part of the line it arrives whole or not at all: a start file may read standard input.
            let embedded = Some(stdin.as_slice()).filter(|stdin| !stdin.is_empty());
            let own = match (&work, nodes.first()) {
                (Work::Task(Task::Run(errand)), Some(&node)) => self.spares_self(node, *errand),
                _ => None,
            };
            let line = own.map_or_else(|| line.clone(), |own| shell::unless_self(own, &line));
            let wrapped = shell::wrap(&mark, &line, embedded);
            let errand = shell::Errand { line: &wrapped, limit, fanout: self.fanout };
            let members = self.members(&nodes);
            let job = shell::job(&parallel, &members, &errand)?;
            let targets = members.iter().map(|member| shell::target(&parallel, member));
            Ok((job, Hearing::new(&parallel.program, mark, targets, keep)))
        });
        let (job, hearing) = match prepared {
            Ok(prepared) => prepared,
            Err(detail) => {
                let failure = Failure::own(FailureKind::NotStarted, detail);
                for hand in hands {
                    self.answer_hand(&work, hand, Err(failure.clone()));
                }
                return;
            }
        };
        let shown = (format!("{} -w", parallel.program), shell::quote(&[line]));
        let left = hands.len();
        let crew = Crew {
            work,
            hands,
            hearing,
            shown,
            limit,
            left,
            is_watched: false,
            held: Vec::new(),
            is_to_release: false,
        };
        let id = self.call(job, Purpose::Crew, Vec::new());
        self.children.follow(id);
        self.crews.running.insert(id, crew);
    }

    /// Parts those that fit into one call from the rest: what names them has an end, and of two with
    /// the same address nobody could say which one answers.
    fn part_crew(&self, parallel: &Parallel, hands: Vec<Hand>) -> (Vec<Hand>, Vec<Hand>) {
        let mut room = NAMES;
        let mut taken = HashSet::new();
        hands.into_iter().partition(|hand| {
            let target = shell::target(parallel, self.wiring.roster.member(hand.node));
            let bytes = target.len() + 1;
            let fits = (room >= bytes || taken.is_empty()) && taken.insert(target);
            if fits {
                room = room.saturating_sub(bytes);
            }
            fits
        })
    }

    /// Returns the command line, what it reads, and how long it may take on a node.
    fn assignment(&self, work: &Work, node: NodeId) -> Option<(String, Vec<u8>, Duration)> {
        match work {
            Work::Task(Task::Run(errand)) => self.errand_line(node, *errand),
            Work::Task(_) => {
                let probe = &self.wiring.profile(node).probe;
                let crate::probe::ProbeDriver::Shell { command } = &probe.driver else { return None };
                Some((command.clone(), Vec::new(), probe.timeout))
            }
            Work::Command { line, stdin, timeout } => Some((line.clone(), stdin.clone(), *timeout)),
        }
    }

    /// Takes what a call says while it runs.
    pub(super) fn crew_said(&mut self, id: ChildId, said: &Said) {
        let Some(crew) = self.crews.running.get_mut(&id) else { return };
        let verdicts = crew.hearing.hear(said);
        self.take_verdicts(id, verdicts);
    }

    /// Looks at a call whose time may be up, as a whole or for some of its nodes.
    pub(super) fn look_at_crew(&mut self, id: ChildId) {
        let Some(crew) = self.crews.running.get_mut(&id) else { return };
        crew.is_watched = false;
        if crew.left == 0 {
            self.children.end(id);
            return;
        }
        let verdicts = crew.hearing.late(crew.limit, Instant::now());
        self.take_verdicts(id, verdicts);
    }

    /// Answers for those of a call whose end nobody will hear of.
    pub(super) fn lose_crew(&mut self, id: ChildId, failure: &Failure) {
        let Some(mut crew) = self.crews.running.remove(&id) else { return };
        let held = std::mem::take(&mut crew.held);
        for (at, _) in crew.hearing.end(Ending::Unkillable, b"").into_iter().chain(held) {
            if let Some(&hand) = crew.hands.get(at) {
                self.answer_hand(&crew.work, hand, Err(failure.clone()));
            }
        }
    }

    /// Hands over what was read so far: one node that hangs holds the others for so long and no longer.
    pub(super) fn release_crew(&mut self, id: ChildId) {
        let Some(mut crew) = self.crews.running.remove(&id) else { return };
        crew.is_to_release = false;
        let held = std::mem::take(&mut crew.held);
        self.answer_crew(&crew, held, false);
        self.crews.running.insert(id, crew);
    }

    pub(super) fn crew_ended(&mut self, id: ChildId, ended: &Ended, told: bool) {
        let Some(mut crew) = self.crews.running.remove(&id) else { return };
        let mut verdicts = std::mem::take(&mut crew.held);
        verdicts.extend(crew.hearing.end(ended.ending, &ended.stderr));
        self.answer_crew(&crew, verdicts, told);
    }

    fn take_verdicts(&mut self, id: ChildId, verdicts: Vec<(usize, Verdict)>) {
        let Some(mut crew) = self.crews.running.remove(&id) else { return };
        let told = self.calls.get(&id).is_some_and(|call| call.told);
        crew.left = crew.left.saturating_sub(verdicts.len());
        let was_last = crew.left == 0 && !verdicts.is_empty();
        if crew.work == Work::Task(Task::Probe) && crew.left > 0 {
            crew.held.extend(verdicts);
            if !crew.held.is_empty() && !std::mem::replace(&mut crew.is_to_release, true) {
                let hold = crew.hands.first().map(|hand| self.wiring.profile(hand.node).probe.interval / 2);
                self.later.push(Reverse((Instant::now() + hold.unwrap_or_default(), Later::ReleaseCrew(id))));
            }
        } else {
            let mut all = std::mem::take(&mut crew.held);
            all.extend(verdicts);
            self.answer_crew(&crew, all, told);
        }
        let due = if was_last {
            Instant::now().checked_add(LINGER)
        } else {
            crew.hearing.due(crew.limit).filter(|_| !crew.is_watched && crew.left > 0)
        };
        if let Some(due) = due {
            crew.is_watched = true;
            self.later.push(Reverse((due, Later::LookAtCrew(id))));
        }
        self.crews.running.insert(id, crew);
    }

    fn answer_crew(&mut self, crew: &Crew, verdicts: Vec<(usize, Verdict)>, told: bool) {
        for (at, verdict) in verdicts {
            let Some(&hand) = crew.hands.get(at) else { continue };
            let (before, after) = &crew.shown;
            let shown = format!("{before} {} {after}", self.wiring.roster.name(hand.node));
            if crew.work == Work::Task(Task::Probe) {
                let reading = probe_reading(&verdict);
                let why = Failure { teller: Teller::Probe, ..shell::failure_on_one(&shown, &verdict) };
                self.probe_met(hand.node, reading, Some(why).filter(|_| !told));
                self.probed_unless_told(hand.node, reading, told);
                continue;
            }
            let result = if verdict.lost || matches!(verdict.ended.ending, Ending::TimedOut) {
                let failure = shell::failure_on_one(&shown, &verdict);
                Err(if told { super::endings::interrupted(failure, &verdict.ended) } else { failure })
            } else {
                self.heard_out(&crew.work, &shown, &verdict)
            };
            self.answer_hand(&crew.work, hand, result.map(|()| verdict.ended));
        }
    }

    /// Tells whether a command that ran to its end did what it is for.
    fn heard_out(&self, work: &Work, shown: &str, verdict: &Verdict) -> Result<(), Failure> {
        match work {
            // The caller looks at the status itself.
            Work::Command { .. } => Ok(()),
            Work::Task(_) if !verdict.ended.succeeded() => Err(shell::failure_on_one(shown, verdict)),
            Work::Task(Task::Run(Errand::EndUsers)) if !users::ran(&verdict.ended.text()) => Err(
                Failure::of_call(Teller::Shell, FailureKind::Failed, String::new(), super::endings::UNSAID),
            ),
            Work::Task(_) => Ok(()),
        }
    }

    fn answer_hand(&mut self, work: &Work, hand: Hand, result: Result<Ended, Failure>) {
        match (work, hand.command) {
            (Work::Task(Task::Run(Errand::ReadBootId)), _) => {
                let id = result.ok().and_then(|ended| boot::id(&ended.text()));
                self.answers.push(Event::BootId(hand.node, id));
            }
            (Work::Task(task), _) => {
                self.answers.push(Event::answer(*task, hand.node, result.map(|_| ())));
            }
            (Work::Command { .. }, Some(id)) => self.ended.push((id, result)),
            (Work::Command { .. }, None) => {}
        }
    }

    /// Answers for all that waits to be called out, and for all that runs when nobody will hear of it.
    pub(super) fn give_up_crews(&mut self, failure: &Failure) {
        let gathered = std::mem::take(&mut self.crews.gathered);
        for gathering in gathered {
            for hand in gathering.hands {
                self.answer_hand(&gathering.work, hand, Err(failure.clone()));
            }
        }
    }

    /// Ends the calls that go on although all their nodes are judged.
    pub(in crate::fleet) fn close(&mut self) {
        let running: Vec<ChildId> = self.crews.running.keys().copied().collect();
        for id in running {
            self.children.end(id);
        }
        while !self.crews.running.is_empty() {
            match self.children.next(None) {
                Ok(Some(Seen::Ended(id, _))) => {
                    self.crews.running.remove(&id);
                }
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }
}

/// A command that fails was run by somebody, and ssh may be turned away by somebody: such a node is
/// neither up nor down. Only where nobody took the connection it is down.
fn probe_reading(verdict: &Verdict) -> Probe {
    if !verdict.lost && verdict.ended.succeeded() {
        Probe::Up
    } else if verdict.lost && shell::met_nobody(&verdict.ended) {
        Probe::Down
    } else {
        Probe::Unknown
    }
}
