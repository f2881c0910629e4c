//! Commands beside a run, begun together and waited for.

use crate::backend::Backend;
use crate::command::SideCommand;
use orderly_exec::job::Ended;
use orderly_plan::drivers::{Event, Failure};
use std::collections::HashMap;

/// Runs commands at once and returns how each ended, in their order.
///
/// # Errors
/// The number of the signal that came meanwhile; what ran was ended.
pub(crate) fn all(
    commands: &[SideCommand],
    drivers: &mut dyn Backend,
) -> Result<Vec<Result<Ended, Failure>>, i32> {
    let mut waiting: HashMap<_, usize> =
        commands.iter().enumerate().map(|(at, command)| (drivers.start(command), at)).collect();
    let (mut answers, mut signal) = (Vec::new(), None);
    while !waiting.is_empty() {
        for event in drivers.next(None) {
            if let Event::Signal(number) = event {
                signal = Some(number);
                drivers.end_all();
            }
        }
        for (command, result) in drivers.take_ended() {
            answers.extend(waiting.remove(&command).map(|at| (at, result)));
        }
    }
    answers.sort_by_key(|(at, _)| *at);
    signal.map_or_else(|| Ok(answers.into_iter().map(|(_, result)| result).collect()), Err)
}
