//! What no start may do, told by what was done to an imagined world.

use super::*;

/// Objects to the first deed on a node that came before all that leads the node was up or let go.
pub(super) fn judge(
    before: &[BTreeSet<u32>],
    world: &World,
    notices: &[Notice],
    endings: &[NodeEnding],
) -> Result<(), String> {
    for (&(at, node, task), were_up) in world.deeds.iter().zip(&world.were_up) {
        for &leader in &before[node.index()] {
            let leader = &endings[leader as usize];
            let over = leader.ended.is_some_and(|end| end <= at) && leader.outcome.is_well();
            let let_go = notices.iter().any(|notice| {
                notice.node == leader.node && notice.at <= at && matches!(notice.what, Happening::LetGo(..))
            });
            // A probe that tells the truth leaves no room for a leader believed up.
            let is_believed = over && world.able.probes && !were_up[leader.node.index()];
            if is_believed && !let_go {
                return Err(format!("{node:?} {task:?} at {at:?}, and {leader:?} is not up"));
            }
            if !over && !let_go {
                return Err(format!("{node:?} {task:?} at {at:?} before {leader:?}"));
            }
        }
    }
    Ok(())
}

/// Objects to more nodes of one class between an act on their power and their end than the limit is.
pub(super) fn keeps_the_limit(case: &Case, world: &World, endings: &[NodeEnding]) -> Result<(), String> {
    let class = |node: NodeId| case.class_of.get(node.index()).copied().unwrap_or(0);
    for &(at, node, _) in &world.deeds {
        let boots = |other: &NodeId| {
            let mut acts = world.deeds.iter().filter(|deed| deed.1 == *other);
            let first = acts.next().is_some_and(|deed| deed.0 <= at);
            let ended = endings[other.index()].ended.unwrap_or(Duration::MAX);
            // One that is acted on anew is not counted while it waits for that; a sound one is only acted on once.
            let is_sound = world.natures[other.index()] == Nature::Sound;
            is_sound && first && acts.next().is_none() && ended > at
        };
        let others: Vec<NodeId> =
            (0..COUNT).map(NodeId).filter(|other| class(*other) == class(node) && boots(other)).collect();
        if case.booting.is_some_and(|limit| others.len() > limit) {
            return Err(format!("{others:?} boot at {at:?}, and the limit is {:?}", case.booting));
        }
    }
    Ok(())
}

/// Objects to a reset of the node that is the machine of the run, which was up and said so.
pub(super) fn spares_itself(case: &Case, world: &World, readings: &[Reading]) -> Result<(), String> {
    let Some(own) = case.own.map(NodeId) else { return Ok(()) };
    if !case.able.probes || readings[own.index()].condition() != Condition::Up {
        return Ok(());
    }
    let is_off = |task: Task| matches!(task, Task::Reset | Task::PowerOff);
    match world.deeds.iter().find(|&&(_, node, task)| node == own && is_off(task)) {
        Some((at, _, task)) => Err(format!("{task:?} of the run's own machine at {at:?}")),
        None => Ok(()),
    }
}
