//! A shutdown with a deadline that takes the place of the one it meets, because it has targets that the other does not
//! have: from then on the targets of both are its own, in one order and one plan.
//!
//! Whatever would refuse it is found before the other is told anything but the sooner deadline.

use crate::args::ShutdownArgs;
use crate::beacon::{Beacon, Lit, MetBeacon};
use crate::check::{self, Checked};
use crate::deadline;
use crate::full_disk::{UNTOLD, spared};
use crate::input::ShutdownInput;
use orderly_exec::{Status, fail};
use orderly_nodes::backend::Backend;
use orderly_nodes::site::fold;
use orderly_nodes::telling::Telling;
use orderly_plan::drivers::{Event, NodeId};
use std::time::Duration;

/// How often it is looked whether the other is over.
const GLANCE: Duration = Duration::from_millis(50);

/// Takes the place of `met`, unless another does so first. One that has to be over sooner is waited for first, for a quarter
/// of the time. Returns nothing where no disk takes it that this run has a deadline: it goes on all the same.
///
/// # Errors
/// When this run would be refused, or is interrupted: the other goes on.
pub(crate) fn succeed(
    met: &MetBeacon,
    args: &mut ShutdownArgs,
    input: &mut ShutdownInput,
    drivers: &mut dyn Backend,
    telling: &mut Telling<'_>,
) -> anyhow::Result<Option<Lit>> {
    let before = (args.clone(), input.targets.nodes.clone());
    telling.warn(&met.words);
    adopt(met, args, input, telling)?;
    Checked::new(args, input, drivers, telling)?;
    let Some(mut deadline) = deadline::of(args, input, drivers) else {
        return Err(fail(Status::Failed, "a deadline has to be given"));
    };
    let left = deadline.saturating_sub(drivers.now());
    let patience = drivers.now() + left / 4;
    if met.has_strangers() {
        telling.warn(&format!("not its targets, and to be stopped too: {}", met.strangers()));
    }
    if !met.is_later() && is_over(met, patience, drivers)? {
        if met.was_killed() {
            let process = met.process();
            telling.warn(&format!(
                "process {process} was killed; its targets are stopped here, with the others"
            ));
        } else {
            // What it did not stop was not to be stopped.
            (*args, input.targets.nodes) = before;
        }
    } else {
        met.end()?;
        let process = met.process();
        telling.warn(&format!("process {process} is told to begin nothing more, and waited for"));
        telling.warn("its targets are stopped here, with the others");
        if let Some(sooner) = met.left().filter(|sooner| *sooner < deadline.saturating_sub(drivers.now())) {
            deadline = drivers.now() + sooner;
            args.within = Some((sooner + input.passed()) * input.site.cluster.speed());
            telling.warn("all of them have to be over when that one had to be");
        }
        let again = drivers.now() + deadline.saturating_sub(drivers.now()) / 4;
        if !is_over(met, again, drivers)? {
            met.end_all()?;
            telling.warn(&format!("process {process} is told to end what it runs, too"));
            is_over(met, deadline, drivers)?;
        }
    }
    let left = deadline.saturating_sub(drivers.now());
    let targets: Vec<&str> = input.targets.nodes.iter().map(|&node| input.site.name(node)).collect();
    let lit = Beacon::light(left, &targets, args.flags.even_self);
    spared(lit, true, UNTOLD, telling.reporter)
}

/// Takes over the targets of the other, as far as they are known here.
fn adopt(
    met: &MetBeacon,
    args: &mut ShutdownArgs,
    input: &mut ShutdownInput,
    telling: &mut Telling<'_>,
) -> anyhow::Result<()> {
    // What was counted beforehand were the targets of this command.
    check::confirm(args, input.targets.nodes.len())?;
    args.flags.confirm = None;
    args.flags.even_self |= met.even_self();
    let (known, unknown): (Vec<String>, Vec<String>) =
        met.targets().into_iter().partition(|name| input.site.inventory.by_name(name).is_some());
    let nodes: Vec<NodeId> = known.iter().filter_map(|name| input.site.inventory.by_name(name)).collect();
    if !unknown.is_empty() {
        let names = unknown.join(", ");
        telling.warn(&format!("targets of that shutdown that the inventory here does not have: {names}"));
    }
    input.adopt(nodes, args.flags.even_self);
    let all = fold(&input.site, &input.targets.nodes);
    telling.say(&format!("the targets of both: {all}"));
    Ok(())
}

/// Waits until the other is over, no longer than that; tells whether it is.
fn is_over(met: &MetBeacon, until: Duration, drivers: &mut dyn Backend) -> anyhow::Result<bool> {
    while met.lives() {
        let now = drivers.now();
        if now >= until {
            return Ok(false);
        }
        for event in drivers.next(Some(until.min(now + GLANCE))) {
            if let Event::Signal(signal) = event {
                return Err(fail(Status::Signal(signal), "interrupted before anything was stopped"));
            }
        }
    }
    Ok(true)
}
