//! The end of a run: who is told what came of it, what is remembered, and the exit status.

use crate::resume;
use orderly_exec::reporter::Reporter;
use orderly_exec::{Status, clock};
use orderly_nodes::absent;
use orderly_nodes::history::History;
use orderly_nodes::log::RunLog;
use orderly_nodes::site::{Site, fold};
use orderly_plan::drivers::NodeId;
use orderly_plan::graph::Gate;
use orderly_plan::outcome::{NodeEnding, Outcome};
use orderly_plan::progress::Shortage;
use orderly_plan::report::{QuietedReport, ShortageReport, Summary};
use orderly_plan::sequence::Edge;
use orderly_plan::{duration, nodeset, report};
use std::time::Duration;

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Closing<'s> {
    pub(crate) site: &'s Site,
    pub(crate) endings: Vec<NodeEnding>,
    pub(crate) shortages: Vec<Shortage>,
    /// Something that a subsystem quieted could not be undone.
    pub(crate) is_not_undone: bool,
    /// What is quieted still, for whatever reason.
    pub(crate) quieted: Vec<QuietedReport>,
    /// Targets that are away, and were not waited for.
    pub(crate) away: Vec<NodeId>,
    pub(crate) signal: Option<i32>,
    pub(crate) simulated: bool,
    /// How long it took at what, who was slow, and what to type next.
    pub(crate) summary: Summary<'s>,
    /// Until it was known how all nodes stand.
    pub(crate) asking: Duration,
    /// In all.
    pub(crate) took: Duration,
}

impl Closing<'_> {
    /// Returns the exit status. A call that was ended half-way leaves its node in a state nobody
    /// knows, and that outweighs the signal that ended it.
    fn status(&self) -> Status {
        if self.endings.iter().any(|ending| matches!(ending.outcome, Outcome::Unknown(_))) {
            return Status::Stuck;
        }
        match self.signal {
            Some(signal) => Status::Signal(signal),
            // Where all targets are away nothing of what was asked is true.
            None if self.endings.is_empty() => Status::Failed,
            None if !self.is_not_undone && self.endings.iter().all(|ending| ending.outcome.is_well()) => {
                Status::Done
            }
            None => Status::Failed,
        }
    }

    /// Remembers how long the nodes took that were started from the beginning; one that was booting
    /// already took less.
    pub(crate) fn remember(&self, history: &mut History, began_here: impl Fn(NodeId) -> bool) {
        for ending in &self.endings {
            if ending.outcome == Outcome::Up && began_here(ending.node) && !self.site.is_unit(ending.node) {
                if let (Some(began), Some(ended)) = (ending.began, ending.ended) {
                    history.add(self.site.name(ending.node), ended.saturating_sub(began));
                }
            }
        }
    }

    /// Returns the names of the nodes that are up.
    pub(crate) fn up(&self) -> impl Iterator<Item = &str> {
        let is_up = |ending: &&NodeEnding| ending.outcome.is_well() && !self.site.is_unit(ending.node);
        self.endings.iter().filter(is_up).map(|ending| self.site.name(ending.node))
    }

    /// Tells people, the log and programs, and returns the exit status.
    pub(crate) fn tell(&self, reporter: &mut Reporter, log: Option<RunLog>) -> Status {
        let status = self.status();
        let name = |node| self.site.name(node);
        let mut lines = Vec::new();
        for row in report::rows(&self.endings, &name) {
            if row.well {
                reporter.say(&row.text);
            } else {
                reporter.warn(&row.text);
            }
            lines.push(row.text);
        }
        for shortage in &self.shortages {
            let line = self.shortage(shortage);
            reporter.warn(&line);
            lines.push(line);
        }
        if self.endings.is_empty() {
            let line = absent::nobody(self.site, &self.away);
            reporter.warn(&line);
            lines.push(line);
        } else if let Some(line) = absent::line(self.site, &self.away) {
            reporter.say(&line);
            lines.push(line);
        }
        if let Some(line) = resume::line(&self.quieted) {
            reporter.say(&line);
            lines.push(line);
        }
        for line in self.summary.lines() {
            reporter.say(&line);
            lines.push(line);
        }
        if let Some(log) = &log {
            reporter.say(format!("log: {}", log.path().display()));
        }
        let last = self.last_line(status);
        reporter.say(&last);
        let path = log.as_ref().map(|log| log.path().display().to_string());
        if let Some(mut log) = log {
            lines.iter().for_each(|line| log.line(line));
            let lost = log.end(&last);
            if lost > 0 {
                reporter.warn(format!("{lost} lines of the log could not be written"));
            }
        }
        reporter.last_record(&report::RunReport {
            format: "orderly-run/1",
            record: "report",
            time: clock::now(),
            program: "cstartup",
            simulated: self.simulated,
            end: report::ReportedEnd::new((status.word(), status.code()), self.took, &self.summary),
            counts: report::counts(&self.endings),
            nodes: report::nodes(&self.endings, &name),
            absent: (!self.away.is_empty()).then(|| fold(self.site, &self.away)),
            quieted: self.quieted.clone(),
            shortages: self.shortages.iter().map(|one| self.shortage_report(one)).collect(),
            log: path,
        });
        status
    }

    /// Returns the groups that wait for so many of a group.
    fn waiting_for(&self, shortage: &Shortage) -> Vec<&str> {
        let Gate { group, threshold } = shortage.gate;
        let sequence = &self.site.sequence;
        let waits = |edge: &&Edge| (edge.before, edge.threshold) == (group, Some(threshold));
        sequence.edges().iter().filter(waits).map(|edge| sequence.group_name(edge.after)).collect()
    }

    /// Returns a line for people: `mds: 1 of 3 up, and clients waits for 2`.
    fn shortage(&self, shortage: &Shortage) -> String {
        let Shortage { gate, up, needed, members, .. } = shortage;
        let group = self.site.sequence.group_name(gate.group);
        let waiting = self.waiting_for(shortage);
        let wait = if waiting.len() == 1 { "waits" } else { "wait" };
        format!("{group}: {up} of {members} up, and {} {wait} for {needed}", nodeset::fold(waiting))
    }

    fn shortage_report(&self, shortage: &Shortage) -> ShortageReport<'_> {
        ShortageReport {
            group: self.site.sequence.group_name(shortage.gate.group),
            up: shortage.up,
            needed: shortage.needed,
            members: shortage.members,
            waiting: self.waiting_for(shortage),
        }
    }

    /// Returns the closing line, which says why it took as long as it did.
    pub(crate) fn last_line(&self, status: Status) -> String {
        let name = |node| self.site.name(node);
        let mut line = format!("{status} after {}", duration::show(self.took));
        // What takes no time is not worth a word.
        if self.asking >= Duration::from_secs(1) {
            line.push_str(&format!("; asking how the nodes stand took {}", duration::show(self.asking)));
        }
        let path = report::critical_path(&self.site.order, &self.endings);
        if !path.is_empty() {
            line.push_str(&format!("; critical path: {}", report::show_path(&path, &name)));
        }
        line
    }
}
