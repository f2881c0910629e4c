//! What would be done (`-k`, `-n`): the targets by wave, and what comes before them.

use crate::args::Args;
use crate::check::Checked;
use crate::input::Input;
use crate::patience;
use orderly_exec::clock;
use orderly_exec::reporter::Reporter;
use orderly_nodes::history::History;
use orderly_nodes::site::Site;
use orderly_nodes::targets::fold;
use orderly_plan::duration;
use orderly_plan::fleet::NodeId;
use orderly_plan::shutdown::Goal;
use orderly_plan::survey::Condition;
use serde::Serialize;

/// The plan, for programs.
#[derive(Debug, Serialize)]
struct Record<'r> {
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
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_seconds: Option<f64>,
}

/// Prints the plan on stdout.
pub(crate) fn show(
    args: &Args,
    input: &Input,
    checked: &Checked,
    history: &History,
    reporter: &mut Reporter,
) {
    let site = &input.site;
    let waves = waves(site, checked);
    let down: Vec<NodeId> = checked
        .targets()
        .into_iter()
        .filter(|node| checked.conditions[node.index()] == Condition::Down)
        .collect();
    let subsystems: Vec<&str> =
        input.subsystems.iter().flat_map(|(sequence, _)| sequence.own_names().iter()).collect();
    let verb = match args.wishes().goal {
        Goal::Halt => "halt",
        Goal::Restart => "restart",
        Goal::Maintenance => "bring to maintenance",
    };
    if !input.wait.is_zero() {
        let warn = if args.no_notice { "" } else { " and warn users" };
        reporter.message(&format!("wait {}{warn}", duration::show(input.wait)));
    }
    if !subsystems.is_empty() {
        reporter.message(&format!("call subsystems {}", subsystems.join(", ")));
    }
    for (at, wave) in waves.iter().enumerate() {
        reporter.message(&format!("{}: {verb} {}", at + 1, fold(site, wave)));
    }
    if !checked.units.is_empty() {
        reporter.message(&format!("power off {}", fold(site, &checked.units)));
    }
    if !down.is_empty() {
        reporter.message(&format!("already down: {}", fold(site, &down)));
    }
    let expected = patience::expected(site, &checked.running(), history);
    if let Some(expected) = expected {
        reporter.message(&format!("expected to take {}", duration::show(input.wait + expected)));
    }
    let named = |nodes: &[NodeId]| nodes.iter().map(|&node| site.name(node)).collect();
    reporter.record(&Record {
        format: "orderly-run/1",
        record: "plan",
        time: clock::now(),
        program: "cshutdown",
        targets: checked.targets().len(),
        waves: waves.iter().map(|wave| named(wave)).collect(),
        subsystems,
        already_down: named(&down),
        power_off: named(&checked.units),
        expected_seconds: expected.map(|expected| (input.wait + expected).as_secs_f64()),
    });
}

/// Returns the targets by wave; waves without a target are left out, this machine comes last.
fn waves(site: &Site, checked: &Checked) -> Vec<Vec<NodeId>> {
    let is_target = |node: &NodeId| checked.nodes.binary_search(node).is_ok();
    let of_targets = |wave: Vec<NodeId>| wave.into_iter().filter(is_target).collect::<Vec<_>>();
    let mut waves: Vec<Vec<NodeId>> = site.order.waves().into_iter().map(of_targets).collect();
    waves.push(checked.own.clone());
    waves.retain(|wave| !wave.is_empty());
    waves
}
