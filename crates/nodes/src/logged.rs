//! A run as its log tells it, for a picture of it.

use crate::telling::PHASE_OVER;
use orderly_exec::files;
use orderly_exec::{Status, clock, fail};
use orderly_plan::doing::Doing;
use orderly_plan::drivers::Task;
use orderly_plan::outcome::{Fate, Outcome};
use orderly_plan::timeline::{Stage, Timeline, TimelineEnd, TimelineKind};
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

/// How many characters a time takes at the beginning of a line, with the blank behind it.
const TIME: usize = 20;

/// A run that is over, or as far as it is logged.
#[derive(Debug)]
pub struct LoggedRun {
    pub timeline: Timeline,
    /// The command, as it was typed.
    pub command: String,
    /// When it began, and who asked.
    pub about: String,
}

impl LoggedRun {
    /// Reads the log of a run; times are whole seconds there.
    ///
    /// # Errors
    /// Rejected (3) when it cannot be read, or is no log of one run of `cstartup` or `cshutdown`.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = files::read(path)?;
        Self::parse(&text).ok_or_else(|| {
            let path = path.display();
            fail(
                Status::Rejected,
                format!("{path} is no log of one run of cstartup or cshutdown (log_dir in cluster.toml)"),
            )
        })
    }

    /// Returns the run that the text of a log tells of; nothing where it is none of one run of `cstartup` or `cshutdown`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().filter_map(timed);
        let (began, first) = lines.next()?;
        let (who, command, kind) = begins(first)?;
        let mut timeline = Timeline::to_the_second(kind);
        let (mut last, mut closing) = (Duration::ZERO, "");
        let stages = stages(kind);
        for (second, said) in lines {
            if begins(said).is_some() {
                return None;
            }
            closing = said;
            // A clock that was set back meanwhile moves nothing back.
            last = last.max(Duration::from_secs(u64::try_from(second - began).unwrap_or(0)));
            if let Some((name, clause)) = said.split_once(": ") {
                hear(&mut timeline, &stages, last, (name, clause));
            }
        }
        timeline.close(last);
        timeline.mark_critical(critical(closing));
        let when = text.get(..TIME - 1)?;
        let ended = if is_closing(closing) { format!("; {closing}") } else { "; not over".to_owned() };
        Some(Self {
            timeline,
            command: command.to_owned(),
            about: format!("{when} by {who}, from its log{ended}"),
        })
    }
}

/// Returns who asked for what, where this is how the log of a run begins: `alice as root on mgmt1: cstartup ALL`.
fn begins(said: &str) -> Option<(&str, &str, TimelineKind)> {
    let (who, command) = said.split_once(": ")?;
    let kind = match command.split(' ').next()?.rsplit('/').next()? {
        "cstartup" => TimelineKind::Start,
        "cshutdown" => TimelineKind::Stop,
        _ => return None,
    };
    who.contains(" on ").then_some((who, command, kind))
}

/// Tells whether a line is the last of a run that went to its end.
fn is_closing(said: &str) -> bool {
    ["done", "failed", "interrupted", "ended"].iter().any(|word| said.starts_with(word))
}

/// Returns the nodes that the last line of a run names as its critical path: `…; critical path: io1 (11s), then n2 (20s)`.
fn critical(closing: &str) -> impl Iterator<Item = &str> {
    let path = closing.split_once("critical path: ").map_or("", |(_, path)| path);
    path.split(", then ").filter_map(|step| step.split(' ').next())
}

/// Returns the time of a line, and what it says.
fn timed(line: &str) -> Option<(i64, &str)> {
    let (time, said) = (line.get(..TIME - 1)?, line.get(TIME..)?);
    Some((clock::read_local(time)?, said))
}

/// Returns the stage that each clause of a log begins.
fn stages(kind: TimelineKind) -> HashMap<&'static str, Option<Stage>> {
    let tasks = Task::ALL.iter().map(|task| (task.words(), Some(kind.of_task(*task))));
    let doings = Doing::ALL.iter().filter(|doing| !doing.is_act());
    tasks.chain(doings.map(|doing| (doing.words(), kind.of_doing(*doing)))).collect()
}

fn hear(
    timeline: &mut Timeline,
    stages: &HashMap<&'static str, Option<Stage>>,
    at: Duration,
    (name, clause): (&str, &str),
) {
    // `subsystem /path on n1: called`, or `subsystem /path failed on n1: exit status 1`
    if let Some(called) = name.strip_prefix("subsystem ") {
        let program = called.split(' ').next().unwrap_or(called);
        match clause {
            "called" => timeline.enter(program, at, Some(Stage::Subsystem)),
            "done" => timeline.over(program, TimelineEnd { at, fate: Fate::Well, said: "done".to_owned() }),
            _ => timeline.over(program, TimelineEnd { at, fate: Fate::Bad, said: clause.to_owned() }),
        }
        return;
    }
    if name == PHASE_OVER {
        timeline.close(at);
    }
    if name.contains(' ') {
        return;
    }
    if let Some(stage) = stages.get(clause) {
        timeline.enter(name, at, *stage);
    } else if let Some(fate) = Outcome::read(clause) {
        timeline.over(name, TimelineEnd { at, fate, said: clause.to_owned() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orderly_plan::timeline::TimelineTitle;

    #[test]
    fn a_log_tells_what_each_node_was_at_when() {
        let log = "2026-11-30 06:00:00 alice as root on mgmt1: cstartup ALL\n\
                   2026-11-30 06:00:01 n1: powering on\n2026-11-30 06:00:03 n1: booting\n\
                   2026-11-30 06:00:03 n2: already up\n2026-11-30 06:01:03 n1: up\n\
                   2026-11-30 06:01:04 n3: failed: power on: no\n2026-11-30 06:01:04 n4: not begun, held by n3\n\
                   2026-11-30 06:01:05 up: n1 (1m02s)\n2026-11-30 06:01:05 failed (1)\n";
        let logged = LoggedRun::parse(log).unwrap();
        assert_eq!(logged.command, "cstartup ALL");
        let title = TimelineTitle { command: &logged.command, about: &logged.about };
        let svg = logged.timeline.svg(&title, &|_| None);
        for part in [
            "n1 power: 1.0s to 3.0s (2.0s)",
            "n1 booting: 3.0s to 1m03s (1m00s)",
            "n2: already up",
            "n3: failed: power on: no",
            "n4: not begun, held by n3",
            "2026-11-30 06:00:00 by alice as root on mgmt1, from its log; failed (1)",
        ] {
            assert!(svg.contains(part), "{part}\nin\n{svg}");
        }
        assert!(!svg.contains(">up: "), "the report at the end is about no node: {svg}");
    }

    /// The time that users were given was blank, and so was the end of their processes.
    #[test]
    fn the_phases_before_the_nodes_go_down_are_drawn() {
        let log = "2026-11-30 06:00:00 alice as root on mgmt1: cshutdown -T 5 ALL\n\
                   2026-11-30 06:00:01 n1: telling users\n\
                   2026-11-30 06:00:01 n2: telling users\n\
                   2026-11-30 06:05:00 n1: telling users\n\
                   2026-11-30 06:05:01 phase over: notice (5m00s)\n\
                   2026-11-30 06:05:01 n1: ending users' processes\n\
                   2026-11-30 06:05:02 phase over: users' processes (1.0s)\n\
                   2026-11-30 06:05:02 subsystem /site/drain on n1: called\n\
                   2026-11-30 06:06:02 subsystem /site/drain on n1: done\n\
                   2026-11-30 06:06:03 n1: halting\n2026-11-30 06:06:09 n1: down\n";
        let logged = LoggedRun::parse(log).unwrap();
        let title = TimelineTitle { command: &logged.command, about: &logged.about };
        let svg = logged.timeline.svg(&title, &|_| None);
        for part in [
            "n1 notice: 1.0s to 5m01s (5m00s)",
            "n2 notice: 1.0s to 5m01s (5m00s)",
            "n1 users: 5m01s to 5m02s (1.0s)",
            "n1 halting: 6m03s to 6m09s (6.0s)",
            ">6.0s, down<",
        ] {
            assert!(svg.contains(part), "{part}\nin\n{svg}");
        }
    }

    /// The picture had neither the end nor the critical path, and two logs in one file were one run.
    #[test]
    fn how_a_logged_run_ended_and_what_took_its_time_is_drawn() {
        let log = "2026-11-30 06:00:00 root on mgmt1: cstartup ALL\n2026-11-30 06:00:01 n1: powering on\n\
                   2026-11-30 06:00:08 n1: up\n\
                   2026-11-30 06:00:08 done after 8.0s; critical path: n1 (4.0s), then n2 (4.0s)\n";
        let logged = LoggedRun::parse(log).unwrap();
        assert!(
            logged.about.ends_with("from its log; done after 8.0s; critical path: n1 (4.0s), then n2 (4.0s)")
        );
        let title = TimelineTitle { command: &logged.command, about: &logged.about };
        assert!(logged.timeline.svg(&title, &|_| None).contains("\u{25c6} n1"));
        assert!(LoggedRun::parse(&log.repeat(2)).is_none());
        let cut = LoggedRun::parse(
            "2026-11-30 06:00:00 root on mgmt1: cstartup ALL\n2026-11-30 06:00:01 n1: booting\n",
        );
        assert!(cut.unwrap().timeline.svg(&title, &|_| None).contains(">not over<"));
    }

    #[test]
    fn what_is_no_log_is_none() {
        for text in ["", "hello\n", "2026-11-30 06:00:00 n1: up\n", "2026-13-30 06:00:00 a on b: cstartup\n"]
        {
            assert!(LoggedRun::parse(text).is_none(), "{text}");
        }
    }
}
