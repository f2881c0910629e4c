//! Following a run on another terminal (`--watch`), which it does not notice.

use super::connection::{Connection, NoWord};
use super::find;
use super::protocol::{ReadStatus, RunRecord, RunRequest};
use crate::claims::{self, RunFacts};
use crate::watch::{self, InTheWay};
use anyhow::Context;
use nix::sys::signal::Signal;
use orderly_exec::Status;
use orderly_exec::children::{ChildEvent, Children, Writable};
use orderly_exec::cli::Speech;
use orderly_exec::reporter::Reporter;
use orderly_exec::screen::ScreenSize;
use orderly_exec::signals::Signals;
use orderly_exec::visitors::Weight;
use orderly_plan::drivers::NodeId;
use orderly_plan::duration;
use std::time::{Duration, Instant};

/// How often the live line is renewed, and it is looked whether the run is there again.
const GLANCE: Duration = Duration::from_millis(500);
const AGAIN: Duration = Duration::from_millis(50);

/// How long the run may take to let this process in, while an interrupt is not heard.
const MOMENT: Duration = Duration::from_secs(1);

/// After how long without a word it is said that there is none: a run tells where it stands twice a second.
const SILENCE: Duration = Duration::from_secs(5);

/// Answers `--watch`: ends with the status of the run.
///
/// # Errors
/// Refused (4) where no run goes on, or several do; failed (1) where the run ends without a word.
pub(super) fn follow(words: &[String], speech: &Speech, reporter: &mut Reporter) -> anyhow::Result<Status> {
    let run = find::one("--watch", words)?;
    let mut children = Children::new(Signals::listen()?)?;
    let request = RunRequest::Watch { records: speech.json, details: speech.verbose };
    reporter.say(format!("watching {}", run.describe()));
    reporter.speak_for(&run.program);
    reporter.show_lines();
    children.listen_for_enter();
    let mut follower =
        Follower { run, reporter, json: speech.json, status: None, whole: false, heard: Instant::now() };
    let ended = follower.follow(&request, &mut children);
    reporter.end_progress();
    ended
}

struct Follower<'f> {
    run: RunFacts,
    reporter: &'f mut Reporter,
    json: bool,
    /// Where it stood last.
    status: Option<ReadStatus>,
    /// All of it was asked for.
    whole: bool,
    /// When it said something last.
    heard: Instant,
}

/// What comes next.
enum Next {
    Wait,
    Ended(Status),
}

impl Follower<'_> {
    fn follow(&mut self, request: &RunRequest, children: &mut Children) -> anyhow::Result<Status> {
        loop {
            let connected = Connection::to(&self.run, MOMENT);
            let next = match connected {
                Ok(mut connection) => match connection.send(request) {
                    Ok(()) => self.listen(&mut connection, children)?,
                    Err(why) => Err(why),
                },
                Err(why) => Err(why),
            };
            match next {
                Ok(status) => return Ok(status),
                Err(NoWord::Strange(words)) => {
                    self.reporter.warn(NoWord::Strange(words).of(&self.run));
                    return Ok(Status::Failed);
                }
                Err(NoWord::Gone | NoWord::Silent) if claims::lives(&self.run) => {
                    // It goes on as another program, or is stopped; ours is not to end before it does.
                    if let Some(status) = self.wait(children)? {
                        return Ok(status);
                    }
                }
                Err(NoWord::Gone | NoWord::Silent) => return Ok(self.lost()),
            }
        }
    }

    /// Waits a moment before it is tried again; returns the status where a signal came.
    fn wait(&mut self, children: &mut Children) -> anyhow::Result<Option<Status>> {
        self.draw();
        let until = Instant::now() + AGAIN;
        while let Some(event) = children.next(Some(until))? {
            if let ChildEvent::Signal(signal) = event {
                if signal != Signal::SIGUSR1 {
                    return Ok(Some(self.left(signal)));
                }
            }
        }
        Ok(None)
    }

    /// Listens until the run ends, or is not heard any more.
    fn listen(
        &mut self,
        connection: &mut Connection,
        children: &mut Children,
    ) -> anyhow::Result<Result<Status, NoWord>> {
        self.heard = Instant::now();
        let mut watch = children.watch(&*connection, Writable::No).context("watch the run")?;
        let mut glance = Instant::now();
        loop {
            match self.hear(connection) {
                Ok(Next::Ended(status)) => return Ok(Ok(status)),
                Ok(Next::Wait) => {}
                Err(why) => return Ok(Err(why)),
            }
            let now = Instant::now();
            if now >= glance {
                glance = now + GLANCE;
                self.draw();
            }
            match children.next(Some(glance))? {
                Some(ChildEvent::Ready(ready)) if ready == watch => {
                    if let Err(why) = connection.read_now() {
                        // What it said before it went may be there still.
                        return Ok(match self.hear(connection) {
                            Ok(Next::Ended(status)) => Ok(status),
                            Ok(Next::Wait) | Err(_) => Err(why),
                        });
                    }
                    watch = children.watch(&*connection, Writable::No).context("watch the run")?;
                }
                Some(ChildEvent::Signal(Signal::SIGUSR1) | ChildEvent::Enter) => {
                    self.whole = true;
                    if let Err(why) = connection.send(&RunRequest::Status { nodes: None }) {
                        return Ok(Err(why));
                    }
                }
                Some(ChildEvent::Signal(signal)) => return Ok(Ok(self.left(signal))),
                Some(
                    ChildEvent::Ready(_) | ChildEvent::Ended(..) | ChildEvent::Said(..) | ChildEvent::Asked,
                )
                | None => {}
            }
        }
    }

    /// Tells what the run said until now.
    fn hear(&mut self, connection: &mut Connection) -> Result<Next, NoWord> {
        while let Some(line) = connection.line()? {
            self.heard = Instant::now();
            let record = RunRecord::read(&line).map_err(NoWord::Strange)?;
            let is_for_programs = !matches!(
                record,
                RunRecord::Hello { .. } | RunRecord::Answer { .. } | RunRecord::Line { .. }
            );
            if self.json && is_for_programs {
                self.reporter.data(&format!("{line}\n"));
            }
            match record {
                RunRecord::Line { weight, text } => self.tell(weight, &text),
                RunRecord::Status(record) => {
                    self.status = Some(ReadStatus::of(&record));
                    if record.total == 0 {
                        self.draw();
                    }
                }
                RunRecord::Answer { text, .. } => {
                    if std::mem::take(&mut self.whole) {
                        self.show_whole();
                    } else if !text.is_empty() {
                        self.reporter.warn(text);
                    }
                }
                RunRecord::Skipped { lines } => {
                    let nobody = "this terminal did not read in time";
                    self.reporter
                        .say(format!("{lines} lines were left out, because {nobody}; the log has them"));
                }
                RunRecord::GoesOn { program } => {
                    self.reporter.say(format!("it goes on as {program}"));
                    self.reporter.speak_for(&program);
                    self.status = None;
                }
                RunRecord::End { exit, .. } => {
                    self.reporter.clear();
                    return Ok(Next::Ended(Status::of_code(exit)));
                }
                RunRecord::Hello { .. } | RunRecord::Standing(_) | RunRecord::Other => {}
            }
        }
        Ok(Next::Wait)
    }

    fn tell(&mut self, weight: Weight, text: &str) {
        match weight {
            Weight::Detail => self.reporter.detail(text),
            Weight::Event => self.reporter.event(text),
            Weight::Plain => self.reporter.say(text),
            Weight::Failure => self.reporter.warn(text),
            Weight::Answer => self.reporter.close_with(text),
        }
    }

    fn draw(&self) {
        let Some(size) = self.reporter.screen() else { return };
        let room = ScreenSize { columns: size.columns - 1, ..size };
        let silent = self.heard.elapsed();
        // Where it is at no nodes it says so once.
        let speaks = self.status.as_ref().is_none_or(|read| read.status.total > 0);
        let Some(read) = self.status.as_ref().filter(|_| !speaks || silent < SILENCE) else {
            let line = format!("no word from process {} for {}", self.run.pid, duration::show(silent));
            let lines = if silent < SILENCE { Vec::new() } else { vec![line] };
            return self.reporter.draw(lines, size);
        };
        let lines = if read.status.total == 0 {
            // It is at no nodes; what it says is said above.
            let line = format!("{} for {}", read.status.phase, duration::show(read.now + silent));
            if read.status.phase.is_empty() { Vec::new() } else { vec![line] }
        } else {
            let name = |node: NodeId| read.name(node);
            watch::lines(&read.status, Duration::ZERO, read.now + silent, &name, room)
        };
        self.reporter.draw(lines, size);
    }

    fn show_whole(&self) {
        let Some(read) = &self.status else { return };
        let name = |node: NodeId| read.name(node);
        let in_the_way = InTheWay { held: read.held.clone(), waiting: read.waiting.clone() };
        let times = (Duration::ZERO, read.now);
        for line in watch::whole(&read.status, &in_the_way, times, &name, self.reporter.columns()) {
            self.reporter.warn(line);
        }
    }

    /// Leaves the run, which goes on.
    fn left(&self, signal: Signal) -> Status {
        self.reporter.clear();
        self.reporter.warn(format!("no longer watched: process {} goes on", self.run.pid));
        Status::Signal(signal as i32)
    }

    /// Says that the run ended without a word.
    fn lost(&self) -> Status {
        self.reporter.clear();
        let RunFacts { pid, program, .. } = &self.run;
        let stood = self.status.as_ref().filter(|read| read.status.total > 0).map(|read| {
            let status = &read.status;
            let over = status.done + status.failed + status.held;
            format!("; last it was {} {over}/{}", status.phase, status.total)
        });
        self.reporter.warn(format!(
            "process {pid} ended without a word: it was killed, or said more than was read here{}; its log tells what it \
             did, and {program} --status {} how the nodes stand",
            stood.unwrap_or_default(),
            self.run.targets(),
        ));
        Status::Failed
    }
}
