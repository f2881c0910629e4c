//! What people and programs are told of the plan.

use super::Battery;
use orderly_exec::clock;
use orderly_exec::reporter::Reporter;
use orderly_nodes::site::fold;

use orderly_plan::deadline::Fit;
use orderly_plan::drivers::NodeId;
use orderly_plan::duration;
use serde::Serialize;
use std::time::Duration;

/// How wide a line of several parts may be: the name of the program stands before it.
const WIDTH: usize = 68;

/// The plan, for programs.
#[derive(Debug, Serialize)]
struct DeadlineRecord<'r> {
    format: &'static str,
    record: &'static str,
    time: String,
    within_seconds: f64,
    fit: &'static str,
    limits_lifted: bool,
    #[serde(flatten)]
    before: BeforeNodes,
    #[serde(flatten)]
    nodes: NodeSeconds,
    late: Vec<&'r str>,
    assumed: Vec<&'r str>,
}

/// What comes before the nodes.
#[derive(Debug, Serialize)]
struct BeforeNodes {
    wait_seconds: f64,
    tell_seconds: Option<f64>,
    grace_seconds: Option<f64>,
    subsystem_seconds: Option<f64>,
}

/// When the nodes begin, and how long they take.
#[derive(Debug, Serialize)]
struct NodeSeconds {
    halts_by_seconds: f64,
    halt_seconds: f64,
    power_off_seconds: f64,
}

impl Battery<'_> {
    /// Returns what people are told of the plan when it is so late.
    pub(crate) fn lines(&self, now: Duration) -> Vec<String> {
        let within = format!("within {}", show(self.clock.deadline.saturating_sub(now)));
        let mut lines = self.fit_lines(&within);
        if self.plan.lifts_limits && self.plan.fit != Fit::Late {
            lines.push("the halts fit only without -K and the limits of [limits]: no limit holds".to_owned());
        }
        let mut late = self.plan.late.clone();
        late.extend(self.own.iter().filter(|_| self.is_late()));
        if !late.is_empty() {
            lines.push(format!("not down in time, as is foreseen: {}", fold(self.site, &late)));
        }
        if self.clock.halting.is_some() {
            return lines;
        }
        lines.extend(wrapped(&self.parts()));
        lines.push(match self.plan.halts_by {
            now if now < Duration::from_millis(500) => "the first halt is sent at once".to_owned(),
            by => format!("the first halt is sent in {} at the latest", show(by)),
        });
        if !self.assumed.nodes.is_empty() {
            let nodes = fold(self.site, &self.assumed.nodes);
            lines.push(format!("not known how long it takes, so shutdown.usual is assumed: {nodes}"));
        }
        if !self.assumed.subsystems.is_empty() && self.plan.subsystems.is_some() {
            let names = self.assumed.subsystems.join(", ");
            lines.push(format!("not known how long it takes, so subsystem.usual is assumed: {names}"));
        }
        lines
    }

    /// Says how much of it fits, and what is lost.
    fn fit_lines(&self, within: &str) -> Vec<String> {
        let plan = &self.plan;
        let lost = if self.clock.halting.is_some() { Vec::new() } else { self.lost() };
        let off = "the power-off is left out: nodes are halted and stay on";
        let mut lines = match plan.fit {
            Fit::Whole => vec![format!("{within}: everything fits")],
            Fit::Shortened if lost.is_empty() => vec![format!("{within}: everything fits")],
            Fit::Shortened => vec![format!("{within}: it fits with less for users")],
            Fit::NoPowerOff => vec![
                format!("{within}: the power-off, which would add {}, does not fit", show(plan.nodes.offs)),
                off.to_owned(),
            ],
            Fit::CutSubsystems => {
                let mut lines = vec![format!("{within}: the subsystems do not fit")];
                lines.extend(self.has_offs().then(|| off.to_owned()));
                let time = show(plan.subsystems.unwrap_or_default());
                lines.push(format!("subsystems that are not over in {time} are ended, for the halts"));
                lines
            }
            Fit::Late => {
                vec![format!("{within}: the halts do not fit and begin at once, in order, without limits")]
            }
        };
        lines.extend(lost);
        if plan.fit == Fit::Late && plan.subsystems != self.asked.subsystems {
            lines.push("no subsystem is called".to_owned());
        }
        lines
    }

    /// Says what users lose.
    fn lost(&self) -> Vec<String> {
        let (users, asked) = (&self.plan.users, &self.asked);
        let mut lost = Vec::new();
        // A difference that nobody can see is none.
        let is_less = |given: Duration, asked: Duration| show(given) != show(asked);
        if is_less(users.wait, asked.wait) {
            lost.push(match users.wait.is_zero() {
                true => format!("users do not wait, instead of {}", show(asked.wait)),
                false => format!("users wait {} instead of {}", show(users.wait), show(asked.wait)),
            });
        }
        match (users.tell, asked.tell) {
            (None, Some(_)) => lost.push("users are not told".to_owned()),
            (Some(given), Some(most)) if is_less(given, most) => {
                lost.push(format!("telling users is given up after {}", show(given)));
            }
            _ => {}
        }
        match (users.grace, asked.grace) {
            (None, Some(_)) => lost.push("users' processes are not ended before the halts".to_owned()),
            // Whole seconds are what the nodes count.
            (Some(given), Some(whole)) if given < Duration::from_secs(1) && given < whole => {
                let whole = show(whole);
                lost.push(format!("their processes get KILL right after TERM, not {whole} later"));
            }
            (Some(given), Some(whole)) if is_less(given, whole) => lost.push(format!(
                "their processes have {} instead of {} from TERM to KILL",
                show(given),
                show(whole)
            )),
            _ => {}
        }
        lost
    }

    fn parts(&self) -> Vec<String> {
        let plan = &self.plan;
        let mut parts = vec![format!("halts {}", show(plan.nodes.halts))];
        if plan.fits() && !plan.nodes.offs.is_zero() {
            parts.push(format!("power-off {}", show(plan.nodes.offs)));
        }
        parts.extend(plan.subsystems.map(|time| format!("subsystems {}", show(time))));
        parts.extend(
            plan.users
                .grace
                .filter(|time| *time >= Duration::from_secs(1))
                .map(|time| format!("grace {}", show(time))),
        );
        parts.extend(plan.users.tell.map(|time| format!("telling users up to {}", show(time))));
        if !plan.users.wait.is_zero() {
            parts.push(format!("their wait {}", show(plan.users.wait)));
        }
        parts
    }

    /// Prints the plan for programs.
    pub(crate) fn record(&self, reporter: &mut Reporter) {
        let plan = &self.plan;
        let names = |nodes: &[NodeId]| nodes.iter().map(|&node| self.site.name(node)).collect();
        let late = [plan.late.as_slice(), if self.is_late() { &self.own } else { &[] }].concat();
        reporter.record(&DeadlineRecord {
            format: "orderly-run/1",
            record: "deadline",
            time: clock::now(),
            within_seconds: seconds(self.clock.deadline.saturating_sub(self.clock.planned)),
            fit: match plan.fit {
                Fit::Whole => "whole",
                Fit::Shortened => "shortened",
                Fit::NoPowerOff => "no_power_off",
                Fit::CutSubsystems => "cut_subsystems",
                Fit::Late => "late",
            },
            limits_lifted: plan.lifts_limits,
            before: BeforeNodes {
                wait_seconds: seconds(plan.users.wait),
                tell_seconds: plan.users.tell.map(seconds),
                grace_seconds: plan.users.grace.map(seconds),
                subsystem_seconds: plan.subsystems.map(seconds),
            },
            nodes: NodeSeconds {
                halts_by_seconds: seconds(plan.halts_by),
                halt_seconds: seconds(plan.nodes.halts),
                power_off_seconds: if plan.fits() { seconds(plan.nodes.offs) } else { 0.0 },
            },
            late: names(&late),
            assumed: names(&self.assumed.nodes),
        });
    }
}

/// Puts as many parts in a line as there is room for.
fn wrapped(parts: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if line.len() + 2 + part.len() <= WIDTH => {
                line.push_str(", ");
                line.push_str(part);
            }
            Some(_) | None => lines.push(part.clone()),
        }
    }
    lines
}

/// Returns a duration as people read it: whole seconds, where it is at least one.
pub(super) fn show(time: Duration) -> String {
    let whole = Duration::from_secs((time + Duration::from_millis(500)).as_secs());
    match whole.as_secs() {
        _ if time < Duration::from_millis(950) => duration::show(time),
        seconds @ 0..10 => format!("{seconds}s"),
        _ => duration::show(whole),
    }
}

fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "2.0s instead of 2.0s", "they wait 0ms", and lines of 170 columns.
    #[test]
    fn durations_are_whole_seconds_and_lines_are_no_wider_than_a_terminal() {
        let shown = |ms| show(Duration::from_millis(ms));
        assert_eq!(
            [160, 980, 1_970, 2_000, 9_700, 59_600].map(shown),
            ["160ms", "1s", "2s", "2s", "10s", "1m00s"]
        );
        let parts: Vec<String> = (0..9).map(|at| format!("telling users up to {at}m00s")).collect();
        let lines = wrapped(&parts);
        assert!(lines.len() > 2 && lines.iter().all(|line| line.len() <= WIDTH), "{lines:?}");
        assert_eq!(lines.join(", "), parts.join(", "));
    }
}
