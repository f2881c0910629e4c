//! What came of it: the report, and the exit status.

use orderly_exec::reporter::Reporter;
use orderly_exec::{Status, clock};
use orderly_nodes::absent;
use orderly_nodes::site::{Site, fold};
use orderly_plan::drivers::NodeId;
use orderly_plan::duration;
use orderly_plan::outcome::{NodeEnding, Outcome};
use orderly_plan::report::{self, CriticalNode, PhaseTime, RunReport, Summary};
use std::path::Path;
use std::time::Duration;

/// What came of the phases, apart from the nodes.
#[derive(Debug, Default)]
pub(crate) struct PhaseResults {
    /// The first signal that came.
    pub signal: Option<i32>,
    /// Something else than a node failed: a subsystem that was gone on without.
    pub partly: bool,
    /// A subsystem was ended half-way: a person must look.
    pub torn: bool,
    /// How long each phase took.
    pub took: Vec<PhaseTime>,
    /// Nodes that were halted and kept their power, sorted.
    pub halted: Vec<NodeId>,
    /// What was up is recorded.
    pub is_recorded: bool,
}

/// How the whole run went.
#[derive(Debug)]
pub(crate) struct ShutdownResult<'r> {
    pub endings: &'r [NodeEnding],
    /// Targets that are away, and were not waited for.
    pub away: &'r [NodeId],
    pub phases: PhaseResults,
    /// How long it took at what, who was slow, and what to type next.
    pub summary: Summary<'r>,
    pub took: Duration,
}

/// Returns the nodes because of which it took as long as it did; none where all were down before.
pub(crate) fn critical_path<'s>(site: &'s Site, endings: &[NodeEnding]) -> Vec<CriticalNode<'s>> {
    let name = |node| site.name(node);
    let is_deed = |ending: &&NodeEnding| ending.outcome != Outcome::AlreadyDown;
    let is_worth = report::critical_path(&site.order, endings).iter().any(is_deed);
    if is_worth { report::critical_nodes(&site.order, endings, &name) } else { Vec::new() }
}

impl ShutdownResult<'_> {
    /// Returns the exit status. Unknown wins over a signal, and a signal over failures.
    pub(crate) fn status(&self) -> Status {
        if self.phases.torn || self.endings.iter().any(|ending| matches!(ending.outcome, Outcome::Unknown(_)))
        {
            return Status::Stuck;
        }
        if let Some(signal) = self.phases.signal {
            return Status::Signal(signal);
        }
        let well = self.endings.iter().all(|ending| ending.outcome.is_well());
        if well && !self.phases.partly { Status::Done } else { Status::Failed }
    }

    /// Returns the lines for people, and whether each is about something that went wrong.
    pub(crate) fn lines(&self, site: &Site) -> Vec<(bool, String)> {
        let name = |node| site.name(node);
        let mut lines: Vec<(bool, String)> =
            report::rows(self.endings, &name).into_iter().map(|row| (row.well, row.text)).collect();
        lines.extend(absent::line(site, self.away).map(|line| (true, line)));
        let shown = |one: &PhaseTime| format!("{} {}", one.phase.words(), duration::show(one.took));
        let phases: Vec<String> = self.summary.phases.iter().map(shown).collect();
        if !phases.is_empty() {
            lines.push((true, format!("took {}: {}", duration::show(self.took), phases.join(", "))));
        }
        lines.extend(self.summary.lines().into_iter().map(|line| (true, line)));
        lines
    }

    /// Returns the closing line, which says why it took as long as it did.
    pub(crate) fn verdict(&self, site: &Site) -> String {
        let mut line = format!("{} after {}", self.status(), duration::show(self.took));
        let path = report::critical_path(&site.order, self.endings);
        if !self.summary.critical_path.is_empty() {
            line.push_str(&format!("; critical path: {}", report::show_path(&path, &|node| site.name(node))));
        }
        line
    }

    /// Prints the last record.
    pub(crate) fn record(&self, site: &Site, simulated: bool, log: Option<&Path>, reporter: &mut Reporter) {
        let status = self.status();
        reporter.last_record(&RunReport {
            format: "orderly-run/1",
            record: "report",
            time: clock::now(),
            program: "cshutdown",
            simulated,
            end: report::ReportedEnd::new((status.word(), status.code()), self.took, &self.summary),
            counts: report::counts(self.endings),
            nodes: report::nodes(self.endings, &|node| site.name(node)),
            absent: (!self.away.is_empty()).then(|| fold(site, self.away)),
            quieted: Vec::new(),
            shortages: Vec::new(),
            log: log.map(|log| log.display().to_string()),
        });
    }
}
