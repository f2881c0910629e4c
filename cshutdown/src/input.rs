//! Everything that is read before anything is touched.

use crate::args::{EndTime, ShutdownArgs};
use crate::restart;
use orderly_exec::files::{self, Found};
use orderly_exec::status::unmarked;
use orderly_exec::{OrStatus, Status, clock, fail, trust};
use orderly_nodes::config::{Cluster, SubsystemHost};
use orderly_nodes::guard;
use orderly_nodes::site::{Site, SiteRequest};
use orderly_nodes::targets::Targets;
use orderly_plan::diagnostic::{Diagnostic, Diagnostics, Source};
use orderly_plan::drivers::NodeId;
use orderly_plan::graph::Order;
use orderly_plan::name::Names;
use orderly_plan::select::Direction;
use orderly_plan::sequence::{self, Sequence};
use orderly_plan::shutdown::{Goal, Wishes};
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

/// What was read and found right.
#[derive(Debug)]
pub(crate) struct ShutdownInput {
    pub site: Site,
    pub targets: Targets,
    /// The subsystems and their order; nothing when none are listed.
    pub subsystems: Option<(Sequence, Order)>,
    /// The words of `-C`.
    pub startup_options: Vec<OsString>,
    /// Targets that are not stopped, as another run acts on them and does not end; sorted.
    pub left_out: Vec<NodeId>,
    /// How long users are given.
    pub wait: Duration,
    /// Since when that is counted.
    since: Instant,
}

impl ShutdownInput {
    /// Reads configuration, inventory, sequence files and targets.
    ///
    /// # Errors
    /// Usage (2) for what was typed, rejected (3) for what was read, with everything that is wrong.
    pub(crate) fn read(args: &ShutdownArgs) -> anyhow::Result<Self> {
        check_standard_input(args)?;
        let startup_options = match &args.startup_options {
            Some(text) => {
                restart::split(text).map_err(|clause| fail(Status::Usage, format!("-C: {clause}")))?
            }
            None => Vec::new(),
        };
        let (wait, since) = (wait(args.at)?, Instant::now());
        let (site, subsystems) = match (site(args), subsystems(args.flags.config.as_deref())) {
            (Ok(site), Ok(subsystems)) => (site, subsystems),
            (Err(site), Err(UnreadInput::Subsystems(other))) => {
                let status = site.downcast_ref::<Status>().copied().unwrap_or(Status::Rejected);
                return Err(fail(status, format!("{site:#}\n{other:#}")));
            }
            (Err(error), _) | (_, Err(UnreadInput::Cluster(error) | UnreadInput::Subsystems(error))) => {
                return Err(error);
            }
        };
        let targets = args.flags.typed(args.targets.clone()).resolve(&site)?;
        let mut site = site;
        if args.flags.even_self {
            relays_last(&mut site, &targets.nodes);
        }
        Ok(Self { site, targets, subsystems, startup_options, left_out: Vec::new(), wait, since })
    }

    /// Takes over the targets of another run; some of them may be this machine.
    pub(crate) fn adopt(&mut self, nodes: Vec<NodeId>, even_self: bool) {
        self.targets.nodes.extend(nodes);
        self.targets.nodes.sort_unstable();
        self.targets.nodes.dedup();
        if even_self {
            relays_last(&mut self.site, &self.targets.nodes);
        }
    }

    /// Returns how much time has passed since the command was typed.
    pub(crate) fn passed(&self) -> Duration {
        self.since.elapsed()
    }

    /// Returns how long users are given from now on: minutes whole, up to a time of day what is left.
    pub(crate) fn wait_from_now(&self, at: Option<EndTime>, speed: u32) -> Duration {
        left(self.wait, at, self.since.elapsed().saturating_mul(speed))
    }
}

/// Reads configuration, inventory and sequence files.
pub(crate) fn site(args: &ShutdownArgs) -> anyhow::Result<Site> {
    Site::read(&SiteRequest {
        direction: Direction::Shutdown,
        config: args.flags.config.clone(),
        sequence: args.flags.sequence.clone(),
        flags: args.flags.overrides(),
    })
}

/// Puts nodes through which others are reached after those, where the sequence does not say otherwise.
fn relays_last(site: &mut Site, targets: &[NodeId]) {
    let mut order = site.order.clone();
    for relay in guard::relays(&site.inventory, &site.order, targets) {
        relay.needed_by.iter().for_each(|&node| order.put_before(node, relay.node));
    }
    if order.sorted().is_some() {
        site.order = order;
    }
}

/// Why the subsystems could not be read: where they are listed, or the list.
enum UnreadInput {
    Cluster(anyhow::Error),
    Subsystems(anyhow::Error),
}

/// Reads the list of subsystems; missing and empty both mean that none is called.
fn subsystems(config: Option<&Path>) -> Result<Option<(Sequence, Order)>, UnreadInput> {
    let cluster = Cluster::read(config).map_err(UnreadInput::Cluster)?;
    let path = &cluster.sequence.subsystems;
    let name = path.display().to_string();
    let parse = || {
        let Found::Text(text) = files::read_if_there(path)? else { return Ok(None) };
        // Its members are run as root.
        trust::check_only_owner_changes(path)?;
        let sequence =
            sequence::parse_subsystems(&Source { name: &name, text: &text }).or_status(Status::Rejected)?;
        if sequence.own_names().is_empty() {
            return Ok(None);
        }
        let order = sequence.order(sequence.own_names()).or_status(Status::Rejected)?;
        check_pairs(&cluster, &name, sequence.own_names())?;
        if cluster.subsystem.host == SubsystemHost::Control && !cluster.is_simulated() {
            check_programs(&name, sequence.own_names().iter())?;
            // What cannot be undone is not begun.
            let up = sequence.own_names().iter().filter_map(|down| cluster.subsystem.up.get(down));
            check_programs(&format!("{}: subsystem.up", cluster.file), up.map(String::as_str))?;
        }
        Ok(Some((sequence, order)))
    };
    parse().map_err(UnreadInput::Subsystems)
}

/// Rejects programs that would undo what no subsystem does.
fn check_pairs(cluster: &Cluster, file: &str, names: &Names) -> anyhow::Result<()> {
    let mut wrong = Diagnostics::default();
    for down in cluster.subsystem.up.keys().filter(|down| names.find(down).is_none()) {
        let clause = format!("subsystem.up: {down} is no subsystem of {file}");
        wrong.push(Diagnostic::about(&cluster.file, clause).suggest(down, names.iter()));
    }
    wrong.or(()).or_status(Status::Rejected)
}

/// Checks that the subsystems called on this machine are there, and that nobody else can change them.
fn check_programs<'n>(file: &str, programs: impl Iterator<Item = &'n str>) -> anyhow::Result<()> {
    let wrong = |program: &str| {
        let error = trust::check_program(program.as_ref()).err()?;
        Some(format!("{file}: {}", unmarked(&error)))
    };
    let wrong: Vec<String> = programs.filter_map(wrong).collect();
    if wrong.is_empty() { Ok(()) } else { Err(fail(Status::Rejected, wrong.join("\n"))) }
}

fn check_standard_input(args: &ShutdownArgs) -> anyhow::Result<()> {
    let targets = args.flags.read_targets && args.targets.iter().any(|target| target == "-");
    let inventory = args.flags.source.path().is_some_and(|path| path == Path::new("-"));
    if targets && inventory {
        return Err(fail(Status::Usage, "-R - and -i - cannot both read standard input"));
    }
    if inventory && args.restart {
        let why = "-i - with -r: cstartup cannot read standard input again; name a file";
        return Err(fail(Status::Usage, why));
    }
    Ok(())
}

fn wait(at: Option<EndTime>) -> anyhow::Result<Duration> {
    match at {
        None => Ok(Duration::ZERO),
        Some(EndTime::Minutes(minutes)) => Ok(Duration::from_secs(60 * u64::from(minutes))),
        Some(EndTime::Clock { hour, minute }) => clock::until(hour, minute).or_status(Status::Usage),
    }
}

/// Asking how the nodes stand takes its time, and 18:00 is 18:00 all the same.
fn left(wait: Duration, at: Option<EndTime>, passed: Duration) -> Duration {
    match at {
        Some(EndTime::Clock { .. }) => wait.saturating_sub(passed),
        Some(EndTime::Minutes(_)) | None => wait,
    }
}

impl ShutdownArgs {
    /// Returns what the nodes are to become.
    pub(crate) fn wishes(&self) -> Wishes {
        let goal = match (self.maintenance, self.restart) {
            (true, _) => Goal::Maintenance,
            (_, true) => Goal::Restart,
            _ => Goal::Halt,
        };
        Wishes {
            goal,
            power_off: self.power_off || goal != Goal::Maintenance,
            force_off: self.force_off,
            stop_at_failure: self.stop_at_failure,
        }
    }

    /// Tells whether nothing is to be done but to look.
    pub(crate) fn only_verifies(&self) -> bool {
        self.verify || self.dry_run
    }

    /// Tells whether the run acts, on nodes real or simulated, and does not only look or imagine.
    pub(crate) fn acts(&self) -> bool {
        !self.only_verifies() && !self.flags.rehearse
    }

    /// Tells whether a subsystem that fails stops nothing.
    pub(crate) fn goes_on(&self) -> bool {
        self.go_on || self.within.is_some()
    }

    /// Returns which flag says so.
    pub(crate) fn go_on_flag(&self) -> &'static str {
        if self.go_on { "-Y" } else { "--within" }
    }

    /// Returns the flag that subsystems get.
    pub(crate) fn subsystem_flag(&self) -> &'static str {
        match self.wishes().goal {
            Goal::Halt => "-h",
            Goal::Restart => "-r",
            Goal::Maintenance => "-m",
        }
    }

    /// Returns what users read that the node does.
    pub(crate) fn verb(&self) -> &'static str {
        match self.wishes().goal {
            Goal::Halt => "goes down",
            Goal::Restart => "restarts",
            Goal::Maintenance => "goes to maintenance",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_comes_no_later_for_what_was_asked_before() {
        let (hour, minute) = (Duration::from_secs(3600), Duration::from_secs(60));
        let at_six = Some(EndTime::Clock { hour: 18, minute: 0 });
        assert_eq!(left(hour, at_six, minute), hour - minute);
        assert_eq!(left(minute, at_six, hour), Duration::ZERO, "it has come, and is not tomorrow's");
        assert_eq!(left(hour, Some(EndTime::Minutes(60)), minute), hour, "users are given all of it");
    }
}
