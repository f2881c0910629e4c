//! Where a run stands, for whoever looks: the live lines of a terminal, and all of it on SIGUSR1 and Enter.
//!
//! The text is made for the width there is: names are left out, with how many, before anything is cut. Who is waited for
//! comes first, then how many are how, then how long it takes still.
//!
//! Invariant: no line is wider than its room (`no_line_is_wider_than_its_room`).

use orderly_exec::columns::width;
use orderly_exec::printable;
use orderly_exec::screen::ScreenSize;
use orderly_plan::doing::Doing;
use orderly_plan::drivers::NodeId;
use orderly_plan::duration;
use orderly_plan::nodeset;
use orderly_plan::notice::{Busy, Hindered, RunStatus};
use orderly_plan::report::Naming;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

/// How many of many nodes are named, the more the better.
const NAMED: [usize; 12] = [256, 128, 64, 32, 16, 8, 6, 5, 4, 3, 2, 1];

/// Where what was heard last stands behind the names, not fewer are named.
const NAMED_BESIDE: usize = 4;

/// How many lines a screen has on which two of them are not too many.
const TALL: usize = 10;

/// How many lines all of it takes at most, also where lines wrap.
const WHOLE: usize = 20;

/// How many of those lines tell of nodes being worked on, of held ones, and of those that wait.
const OF_BUSY: usize = 9;
const OF_HELD: usize = 5;
const OF_WAITING: usize = 4;

/// Nodes that are at the same, the first of them the longest.
struct AtWork<'s> {
    doing: Doing,
    last: &'s str,
    since: Duration,
    nodes: Vec<NodeId>,
}

impl<'s> AtWork<'s> {
    /// Returns those being worked on, whoever is waited for longest first.
    fn all(status: &'s RunStatus) -> Vec<Self> {
        let mut places: HashMap<(Doing, &str), usize> = HashMap::new();
        let mut all: Vec<Self> = Vec::new();
        for Busy { node, doing, since, last } in &status.busy {
            match places.entry((*doing, last.as_str())) {
                Entry::Occupied(place) => all[*place.get()].nodes.push(*node),
                Entry::Vacant(place) => {
                    place.insert(all.len());
                    all.push(Self { doing: *doing, last, since: *since, nodes: vec![*node] });
                }
            }
        }
        all
    }

    fn for_long(&self, now: Duration) -> String {
        duration::show(now.saturating_sub(self.since))
    }

    /// Returns who it is, at what and for how long, in so many columns; nothing where these are too few for a name.
    fn named<'n>(&self, now: Duration, name: &Naming<'n>, columns: usize) -> Option<String> {
        let bare = format!(" {} for {}", self.doing.words(), self.for_long(now));
        let told = if self.last.is_empty() { String::new() } else { format!(" ({})", plain(self.last)) };
        let with_told = format!("{bare}{told}");
        let beside = |tail: &str, least| {
            let names = Names { nodes: &self.nodes, name };
            Some(names.within(columns.checked_sub(width(tail))?, least)? + tail)
        };
        beside(&with_told, NAMED_BESIDE).or_else(|| beside(&bare, 1))
    }

    /// Returns the same where there is no room for it.
    fn counted(&self, now: Duration, columns: usize) -> Option<String> {
        let nodes = if self.nodes.len() == 1 { "node" } else { "nodes" };
        let (count, for_long) = (self.nodes.len(), self.for_long(now));
        let forms = [
            format!("{count} {nodes} {} for {for_long}", self.doing.words()),
            format!("{count} for {for_long}"),
        ];
        forms.into_iter().find(|form| width(form) <= columns)
    }
}

/// Nodes that are to be named.
struct Names<'a, 'n> {
    nodes: &'a [NodeId],
    name: &'a Naming<'n>,
}

impl Names<'_, '_> {
    /// Names them all.
    fn all(&self) -> String {
        self.first(self.nodes.len())
    }

    /// Names as many of them as so many columns hold, `least` of them at least, and tells how many more there are.
    fn within(&self, columns: usize, least: usize) -> Option<String> {
        let count = self.nodes.len();
        let fits = |text: &String| width(text) <= columns;
        let whole = Some(self.all()).filter(fits);
        whole.or_else(|| {
            let some = NAMED.into_iter().filter(|&some| some < count && some >= least.min(count));
            some.map(|some| format!("{} and {} more", self.first(some), count - some)).find(fits)
        })
    }

    fn first(&self, some: usize) -> String {
        plain(&nodeset::fold(self.nodes[..some].iter().map(|&node| (self.name)(node))))
    }
}

/// Returns a text as it stands on a screen.
fn plain(text: &str) -> String {
    printable(text).replace('\t', " ")
}

/// Returns how nodes are that a run is done with, by what it is at.
fn done_word(phase: &str) -> &str {
    match phase {
        "starting" => "up",
        "stopping" => "stopped",
        other => other,
    }
}

/// Returns how many are how, then how long it takes still, in parts of which the first are worth more.
fn summary(status: &RunStatus, began: Duration, now: Duration) -> Vec<String> {
    let mut parts = vec![format!("{} {}/{}", done_word(&status.phase), status.done, status.total)];
    for (count, how) in [(status.failed, "failed"), (status.held, "held")] {
        if count > 0 {
            parts.push(format!("{count} {how}"));
        }
    }
    if let Some(left) = status.left {
        parts.push(format!("{} left by history", duration::show(left)));
    }
    let took = now.saturating_sub(began);
    let minutes = took.as_secs_f64() / 60.0;
    if status.done > 0 && minutes > 0.05 {
        parts.extend(rate(status.done as f64 / minutes));
    }
    if took >= Duration::from_secs(1) {
        parts.push(format!("{} so far", duration::show(took)));
    }
    parts
}

/// Returns how many are done in a minute, or in an hour where that is less than one; nothing where it is less than that.
fn rate(a_minute: f64) -> Option<String> {
    let (rate, of) = if a_minute < 1.0 { (a_minute * 60.0, "an hour") } else { (a_minute, "a minute") };
    (rate >= 1.0).then(|| format!("{rate:.0} {of}"))
}

/// Returns as many of these parts as so many columns hold.
fn joined(parts: &[String], columns: usize) -> String {
    let mut text = String::new();
    for part in parts {
        let between = if text.is_empty() { "" } else { ", " };
        if width(&text) + width(between) + width(part) > columns {
            break;
        }
        text.push_str(between);
        text.push_str(part);
    }
    text
}

/// Returns for whom a run waits, in so many columns; nothing where these are too few, or it waits for nobody.
fn held_back(status: &RunStatus, columns: usize) -> Option<String> {
    let held = status.held_back.first()?;
    [held.words(), held.short()].iter().map(|words| plain(words)).find(|words| width(words) <= columns)
}

/// Returns the live lines: for which other run this one waits, where it does; then who is waited for longest, the others being
/// worked on as far as there is room, how many are how, and when the end is expected.
pub fn lines<'n>(
    status: &RunStatus,
    began: Duration,
    now: Duration,
    name: &Naming<'n>,
    room: ScreenSize,
) -> Vec<String> {
    let held = held_back(status, room.columns);
    match held {
        Some(held) if room.lines < TALL => vec![held],
        held => held.into_iter().chain(usual_lines(status, began, now, name, room)).collect(),
    }
}

/// Returns the live lines: who is waited for longest, then the others being worked on as far as there is room; then how
/// many are how, and when the end is expected.
fn usual_lines<'n>(
    status: &RunStatus,
    began: Duration,
    now: Duration,
    name: &Naming<'n>,
    room: ScreenSize,
) -> Vec<String> {
    let columns = room.columns;
    let parts = summary(status, began, now);
    let at_work = AtWork::all(status);
    let counts = joined(&parts, columns);
    let Some((slowest, others)) = at_work.split_first() else { return shown([counts]) };
    let in_columns = |columns| slowest.named(now, name, columns);
    let Some(mut names) = in_columns(columns).or_else(|| slowest.counted(now, columns)) else {
        return shown([counts]);
    };
    let is_tall = room.lines >= TALL;
    let beside = columns.saturating_sub(width(&parts.join(", ")) + 2);
    if is_tall && width(&names) > beside {
        for other in others {
            let left = columns.saturating_sub(width(&names) + 2);
            let Some(text) = other.named(now, name, left) else { break };
            names = format!("{names}; {text}");
        }
        return shown([names, counts]);
    }
    if !is_tall {
        let beside = columns.saturating_sub(width(&parts[0]) + 2);
        names = in_columns(beside).unwrap_or(names);
    }
    let counts = joined(&parts, columns.saturating_sub(width(&names) + 2));
    shown([if counts.is_empty() { names } else { format!("{names}; {counts}") }])
}

fn shown<const N: usize>(lines: [String; N]) -> Vec<String> {
    lines.into_iter().filter(|line| !line.is_empty()).collect()
}

/// Who is in whose way, as far as it is told.
#[derive(Debug, Default)]
pub struct InTheWay {
    pub held: Vec<Hindered>,
    pub waiting: Vec<Hindered>,
}

impl InTheWay {
    /// How many groups of those that wait are told of.
    pub const MOST: usize = OF_WAITING;
}

/// Returns all of it: how many are how, then the nodes being worked on, folded by what they are at, then who is held by
/// whom, and who waits for whom. On a screen of so many columns it takes 20 lines of it at most, and names so many nodes.
pub fn whole<'n>(
    status: &RunStatus,
    in_the_way: &InTheWay,
    (began, now): (Duration, Duration),
    name: &Naming<'n>,
    columns: Option<usize>,
) -> Vec<String> {
    let at_work = AtWork::all(status);
    let InTheWay { held, waiting } = in_the_way;
    let waits = status.total.saturating_sub(status.done + status.failed + status.held + status.busy.len());
    let counted = [at_work.len().min(OF_BUSY), held.len().min(OF_HELD), waiting.len().min(OF_WAITING)];
    let each = WHOLE.saturating_sub(2 + status.held_back.len()) / counted.iter().sum::<usize>().max(1);
    // A line is written whole where nobody says how wide it may be.
    let columns = columns.map_or(usize::MAX, |columns| columns.saturating_mul(each.max(1)));
    let names = |nodes: &[NodeId], columns| {
        let names = Names { nodes, name };
        names.within(columns, 1).unwrap_or_else(|| format!("{} nodes", nodes.len()))
    };

    let mut lines = vec![summary(status, began, now).join(", ")];
    lines.extend(status.held_back.iter().map(|held| plain(&held.words())));
    let left = at_work.len().saturating_sub(OF_BUSY);
    let told = at_work.iter().take(if left > 0 { OF_BUSY - 1 } else { OF_BUSY });
    for one in told.clone() {
        let mut tail = format!(": {} for up to {}", one.doing.words(), one.for_long(now));
        let told = format!(" ({})", plain(one.last));
        if !one.last.is_empty() && width(&tail) + width(&told) <= columns / 4 * 3 {
            tail.push_str(&told);
        }
        let names = names(&one.nodes, columns.saturating_sub(width(&tail)));
        lines.push(format!("{names}{tail}"));
    }
    if left > 0 {
        let told: usize = told.map(|one| one.nodes.len()).sum();
        let more = status.busy.len() - told;
        lines.push(format!("{more} more {} worked on", if more == 1 { "is" } else { "are" }));
    }
    let mut told = |them: &[Hindered], most: usize, all: usize, how: &str, rest: [&str; 2]| {
        let count = if them.len() > most { most - 1 } else { most };
        let mut left = all;
        for Hindered { nodes, by } in them.iter().take(count) {
            let by = names(by, columns / 3);
            let tail = format!(": {how} {by}");
            let names = names(nodes, columns.saturating_sub(width(&tail)));
            lines.push(format!("{names}{tail}"));
            left = left.saturating_sub(nodes.len());
        }
        if left > 0 {
            let more = if left < all { " more" } else { "" };
            lines.push(format!("{left}{more} {}", rest[usize::from(left != 1)]));
        }
    };
    told(held, OF_HELD, status.held, "held by", ["is held", "are held"]);
    told(waiting, OF_WAITING, waits, "waiting for", ["waits for others", "wait for others"]);
    lines
}

#[cfg(test)]
mod tests;
