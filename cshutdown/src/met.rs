//! Other runs that a run with a deadline meets: each is told to begin nothing more, and waited for.

use orderly_exec::{Status, fail, signals};
use orderly_nodes::backend::Backend;
use orderly_nodes::claims::{self, HeldClaim, Patience};
use orderly_nodes::run::Telling;
use orderly_plan::claim::Claim;
use orderly_plan::drivers::Event;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often it is looked whether they are over.
const GLANCE: Duration = Duration::from_millis(100);

/// Returns the claim of this run once nobody who touches it is left. A run that has not ended when a quarter of the
/// time until `deadline` is over has what it runs ended too.
///
/// # Errors
/// Ended by a signal; when the state directory cannot be used.
pub(crate) fn enter(
    claim: &Claim,
    deadline: Duration,
    drivers: &mut dyn Backend,
    telling: &mut Telling<'_>,
) -> anyhow::Result<HeldClaim> {
    let patience = drivers.now() + deadline.saturating_sub(drivers.now()) / 4;
    let mut told: BTreeMap<u32, u8> = BTreeMap::new();
    loop {
        let in_the_way: Vec<_> =
            claims::seen().into_iter().filter(|run| claim.touch(&run.claim).is_some()).collect();
        if in_the_way.is_empty() {
            match claims::enter(claim.clone(), Patience::None, drivers, telling) {
                Err(error)
                    if error.downcast_ref() == Some(&Status::Refused) && !claims::seen().is_empty() => {}
                entered => return entered,
            }
        }
        for run in in_the_way {
            let times = told.entry(run.pid).or_default();
            let wanted = if drivers.now() >= patience { 2 } else { 1 };
            if *times < wanted {
                *times += 1;
                let what = if *times == 1 { "begin nothing more" } else { "end what it runs, too" };
                telling.warn(&format!("{} is told to {what}, and waited for", run.describe()));
                // One that ended meanwhile need not be told.
                signals::terminate(run.pid).ok();
            }
        }
        let until = drivers.now() + GLANCE;
        for event in drivers.next(Some(until)) {
            if let Event::Signal(signal) = event {
                return Err(fail(Status::Signal(signal), "interrupted before anything was stopped"));
            }
        }
    }
}
