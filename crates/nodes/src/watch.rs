//! Where a run stands, for whoever looks: the live line of a terminal, and all of it on SIGUSR1.

use orderly_plan::doing::Doing;
use orderly_plan::duration;
use orderly_plan::nodeset;
use orderly_plan::notice::{Busy, RunStatus};
use orderly_plan::report::Naming;
use std::collections::BTreeMap;
use std::time::Duration;

/// How many of the slowest nodes the live line names.
const NAMED: usize = 8;

/// Returns the live line: phase, done of total, rate, expected end, and the slowest nodes with how long.
pub fn line<'n>(status: &RunStatus, began: Duration, now: Duration, name: &Naming<'n>) -> String {
    let mut text = summary(status, began, now);
    if let Some(slowest) = status.busy.first() {
        let alike: Vec<&Busy> = status
            .busy
            .iter()
            .filter(|busy| busy.doing == slowest.doing && busy.last == slowest.last)
            .collect();
        let set = nodeset::fold(alike.iter().take(NAMED).map(|busy| name(busy.node)));
        let more = alike.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let for_long = duration::show(now.saturating_sub(slowest.since));
        text.push_str(&format!(
            "; {set}{more} {} for {for_long}{}",
            slowest.doing.words(),
            told(&slowest.last)
        ));
    }
    text
}

/// Returns what was heard last in parentheses, where anything was.
fn told(last: &str) -> String {
    if last.is_empty() { String::new() } else { format!(" ({last})") }
}

fn summary(status: &RunStatus, began: Duration, now: Duration) -> String {
    let over = status.done + status.failed + status.held;
    let mut text = format!("{} {}/{}", status.phase, over, status.total);
    if status.failed > 0 {
        text.push_str(&format!(", {} failed", status.failed));
    }
    if status.held > 0 {
        text.push_str(&format!(", {} held", status.held));
    }
    let minutes = now.saturating_sub(began).as_secs_f64() / 60.0;
    if status.done > 0 && minutes > 0.05 {
        text.push_str(&format!(", {:.0} a minute", status.done as f64 / minutes));
    }
    if let Some(left) = status.left {
        text.push_str(&format!(", {} left by history", duration::show(left)));
    }
    text
}

/// Returns all of it: a first line, then the nodes being worked on, folded by what they are at.
pub fn whole<'n>(status: &RunStatus, began: Duration, now: Duration, name: &Naming<'n>) -> Vec<String> {
    let mut lines = vec![summary(status, began, now)];
    let mut alike: BTreeMap<(Doing, &str), Vec<&Busy>> = BTreeMap::new();
    for busy in &status.busy {
        alike.entry((busy.doing, &busy.last)).or_default().push(busy);
    }
    for ((doing, last), nodes) in alike {
        let set = nodeset::fold(nodes.iter().map(|busy| name(busy.node)));
        let longest = nodes.iter().map(|busy| now.saturating_sub(busy.since)).max().unwrap_or_default();
        let doing = doing.words();
        lines.push(format!("{set}: {doing} for up to {}{}", duration::show(longest), told(last)));
    }
    let waiting =
        status.total - (status.done + status.failed + status.held + status.busy.len()).min(status.total);
    if waiting > 0 {
        lines.push(format!("{waiting} wait for others"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use orderly_plan::drivers::NodeId;

    const NAMES: [&str; 3] = ["n01", "n02", "n03"];

    fn status() -> RunStatus {
        let busy = |node, since| Busy {
            node: NodeId(node),
            doing: Doing::Booting,
            since: Duration::from_secs(since),
            last: "power on, probe down".to_owned(),
        };
        RunStatus {
            phase: "starting",
            done: 2,
            failed: 1,
            held: 0,
            total: 7,
            busy: vec![busy(0, 10), busy(1, 20)],
            left: Some(Duration::from_secs(90)),
        }
    }

    #[test]
    fn the_live_line_names_the_slowest_with_how_long() {
        let said = line(&status(), Duration::ZERO, Duration::from_secs(60), &|node| NAMES[node.index()]);
        assert_eq!(
            said,
            "starting 3/7, 1 failed, 2 a minute, 1m30s left by history; n[01-02] booting for 50s (power on, probe down)"
        );
    }

    /// Those who said something else are not said to have said the same.
    #[test]
    fn the_live_line_puts_no_words_into_anybodys_mouth() {
        let mut status = status();
        status.busy[1].last = "power unknown".to_owned();
        status.busy[0].last = String::new();
        let said = line(&status, Duration::ZERO, Duration::from_secs(60), &|node| NAMES[node.index()]);
        assert!(said.ends_with("; n01 booting for 50s"), "{said}");
    }

    #[test]
    fn somebody_who_asks_is_told_everything() {
        let said = whole(&status(), Duration::ZERO, Duration::from_secs(60), &|node| NAMES[node.index()]);
        assert_eq!(said.len(), 3);
        assert_eq!(said[1], "n[01-02]: booting for up to 50s (power on, probe down)");
        assert_eq!(said[2], "2 wait for others");
    }
}
