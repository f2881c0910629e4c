//! What would be done (`-k`, `-n`): the targets by wave, and what comes before them.

use crate::args::ShutdownArgs;
use crate::battery::Battery;
use crate::check::Checked;
use crate::input::ShutdownInput;
use crate::limits;
use orderly_exec::clock;
use orderly_exec::reporter::Reporter;
use orderly_nodes::absent;
use orderly_nodes::history::History;
use orderly_nodes::permanent::{self, PermanentFailure};
use orderly_nodes::site::{Site, counted, fold};
use orderly_plan::drivers::NodeId;
use orderly_plan::duration;
use orderly_plan::shutdown::Goal;
use orderly_plan::survey::Condition;
use serde::Serialize;
use std::time::Duration;

/// The plan, for programs.
#[derive(Debug, Serialize)]
struct PreviewRecord<'r> {
    format: &'static str,
    record: &'static str,
    time: String,
    program: &'static str,
    targets: usize,
    waves: Vec<Vec<&'r str>>,
    subsystems: Vec<&'r str>,
    already_down: Vec<&'r str>,
    /// Units that follow their nodes.
    power_off: Vec<&'r str>,
    /// Targets that are away, and are not waited for, as a node set.
    #[serde(skip_serializing_if = "Option::is_none")]
    absent: Option<String>,
    /// Those that can never succeed as they are configured.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    permanent_failures: &'r [PermanentFailure<'r>],
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_seconds: Option<f64>,
}

/// Prints the plan on stdout.
pub(crate) fn show(
    args: &ShutdownArgs,
    input: &ShutdownInput,
    (checked, failures): (&Checked, &[PermanentFailure<'_>]),
    (history, battery, now): (&History, Option<&Battery<'_>>, Duration),
    reporter: &mut Reporter,
) {
    let site = &input.site;
    let down: Vec<NodeId> = checked
        .targets()
        .into_iter()
        .filter(|node| is_down_already(args, checked.conditions[node.index()]))
        .collect();
    let waves = waves(site, checked, &down);
    let units: Vec<NodeId> = checked
        .units
        .iter()
        .copied()
        .filter(|unit| checked.conditions[unit.index()] != Condition::Down)
        .collect();
    // Where nothing is up there is nothing to quiet.
    let listed = input.subsystems.iter().filter(|_| !checked.alive().is_empty());
    let subsystems: Vec<&str> = listed.flat_map(|(sequence, _)| sequence.own_names().iter()).collect();
    let verb = match args.wishes().goal {
        Goal::Halt => "halt",
        Goal::Restart => "restart",
        Goal::Maintenance => "bring to maintenance",
    };
    if let Some(battery) = battery {
        battery.lines(now).iter().for_each(|line| reporter.message(line));
    } else if !input.wait.is_zero() {
        let warn = if args.no_notice { "" } else { " and warn users" };
        reporter.message(&format!("wait {}{warn}", duration::show(input.wait)));
    }
    let are_called = battery.is_none_or(|battery| battery.plan.subsystems.is_some());
    if !subsystems.is_empty() && are_called {
        reporter.message(&format!("call subsystems {}", subsystems.join(", ")));
    }
    for (at, wave) in waves.iter().enumerate() {
        reporter.message(&format!("{}: {verb} {}", at + 1, fold(site, wave)));
    }
    if !units.is_empty() && battery.is_some_and(Battery::keeps_power) {
        reporter.message(&format!("left on: {}", fold(site, &units)));
    } else if !units.is_empty() {
        reporter.message(&format!("power off {}", fold(site, &units)));
    }
    if waves.is_empty() && units.is_empty() {
        reporter.message("nothing is to be stopped");
    }
    if !down.is_empty() {
        reporter.message(&format!("already down: {}", counted(site, &down)));
    }
    absent::line(site, &checked.away).into_iter().for_each(|line| reporter.message(&line));
    let expected = limits::expected(site, &checked.running(), history);
    if let Some(expected) = expected.filter(|_| battery.is_none()) {
        reporter.message(&format!("expected to take {}", duration::show(input.wait + expected)));
    }
    permanent::lines(site, failures).into_iter().for_each(|line| reporter.warn(line));
    if let Some(battery) = battery {
        battery.record(reporter);
    }
    let named = |nodes: &[NodeId]| nodes.iter().map(|&node| site.name(node)).collect();
    reporter.record(&PreviewRecord {
        format: "orderly-run/1",
        record: "plan",
        time: clock::now(),
        program: "cshutdown",
        targets: checked.targets().len(),
        waves: waves.iter().map(|wave| named(wave)).collect(),
        subsystems,
        already_down: named(&down),
        power_off: named(&units),
        absent: (!checked.away.is_empty()).then(|| fold(site, &checked.away)),
        permanent_failures: failures,
        expected_seconds: expected
            .map(|expected| ((input.wait + expected).as_secs_f64() * 1000.0).round() / 1000.0),
    });
}

/// Tells whether a target is left as it is because it is down already: for maintenance, also with its
/// power on.
fn is_down_already(args: &ShutdownArgs, condition: Condition) -> bool {
    let wishes = args.wishes();
    match condition {
        Condition::Down => true,
        Condition::On => wishes.goal == Goal::Maintenance && !wishes.power_off,
        Condition::Up | Condition::Unknown => false,
    }
}

/// Returns the targets that are acted on by wave; this machine comes last.
fn waves(site: &Site, checked: &Checked, down: &[NodeId]) -> Vec<Vec<NodeId>> {
    let mut waves = site
        .order
        .waves_of(|node| checked.nodes.binary_search(&node).is_ok() && down.binary_search(&node).is_err());
    waves.extend(Some(checked.own.clone()).filter(|own| !own.is_empty()));
    waves
}
