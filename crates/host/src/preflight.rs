//! `--preflight`: everything that can be checked of a hand-over while both hosts are well. Changes nothing.
//!
//! What a takeover or a release would be refused for is looked at by those programs as for `-n`; here is what both check of
//! the pair, and how all of it is reported. A gap is named with its remedy; what cannot be checked is never called well.

mod here;
mod peer;

use crate::host::Host;
use orderly_exec::reporter::Reporter;
use orderly_exec::{Status, clock};
use serde::Serialize;
use std::path::Path;

/// The format of the report.
pub const FORMAT: &str = "orderly-preflight/1";

/// What this host is while both are well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Holder,
    Standby,
}

/// How one thing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Well,
    Gap,
    Unchecked,
}

/// One thing that was checked.
#[derive(Debug, Serialize)]
struct Check {
    check: &'static str,
    outcome: Outcome,
    /// What was found; of a gap with its remedy.
    found: String,
}

/// The answer to `--preflight`.
#[derive(Debug, Serialize)]
struct PreflightReport<'a> {
    format: &'static str,
    record: &'static str,
    status: &'static str,
    time: String,
    host: &'a str,
    peer: &'a str,
    asset: String,
    role: Role,
    gaps: usize,
    /// What a hand-over would leave out, too.
    skipped: &'a [String],
    checks: &'a [Check],
    /// What is worth knowing and is no gap.
    notes: &'a [String],
}

/// What was checked so far.
#[derive(Debug)]
pub struct Preflight {
    role: Role,
    skipped: Vec<String>,
    checks: Vec<Check>,
}

impl Preflight {
    /// Checks what both hosts of a pair have in common; `config` is the `--config` that was given, which the peer is asked
    /// for as well, and `skipped` the words of the parts that the hand-over leaves out.
    pub fn begin(role: Role, config: Option<&Path>, skipped: Vec<String>, host: &mut Host<'_>) -> Self {
        let mut preflight = Self { role, skipped, checks: Vec::new() };
        here::check(host, &mut preflight);
        let answers = peer::check(config, host, &mut preflight);
        here::check_network(role, answers, host, &mut preflight);
        preflight
    }

    /// Notes what was found of one thing: gaps, or else that it is well, as a sentence.
    pub fn note(
        &mut self,
        check: &'static str,
        gaps: impl IntoIterator<Item = String>,
        well: impl Into<String>,
    ) {
        let before = self.checks.len();
        self.checks.extend(gaps.into_iter().map(|found| Check { check, outcome: Outcome::Gap, found }));
        if self.checks.len() == before {
            self.checks.push(Check { check, outcome: Outcome::Well, found: well.into() });
        }
    }

    /// Notes that something could not be checked, and why.
    pub fn unchecked(&mut self, check: &'static str, why: impl Into<String>) {
        self.checks.push(Check { check, outcome: Outcome::Unchecked, found: why.into() });
    }

    /// Reports what was found; returns the exit status.
    pub fn tell(self, host: &mut Host<'_>, reporter: &mut Reporter) -> Status {
        let count = |outcome| self.checks.iter().filter(|check| check.outcome == outcome).count();
        let (gaps, unchecked) = (count(Outcome::Gap), count(Outcome::Unchecked));
        for Check { check, outcome, found } in &self.checks {
            match outcome {
                Outcome::Well => reporter.message(&format!("{check}: {found}")),
                Outcome::Unchecked => reporter.message(&format!("{check}: not checked: {found}")),
                Outcome::Gap => reporter.warn(format!("gap: {check}: {found}")),
            }
        }
        let notes = std::mem::take(&mut host.notes);
        notes.iter().for_each(|note| reporter.say(note));
        let (own, title) = (&host.config.own.name, host.asset.title());
        let status = if gaps == 0 { Status::Done } else { Status::Failed };
        match gaps {
            0 => {
                let verb = if self.role == Role::Holder { "hand over" } else { "take over" };
                let without = match self.skipped.as_slice() {
                    [] => String::new(),
                    skipped => format!(" without {}", skipped.join(", ")),
                };
                let rest = if unchecked == 0 { String::new() } else { format!("; {unchecked} not checked") };
                reporter
                    .close_with(&format!("no gap found: {own} is ready to {verb} {title}{without}{rest}"));
            }
            1 => reporter.warn("1 gap found; close it before a hand-over is needed"),
            _ => reporter.warn(format!("{gaps} gaps found; close them before a hand-over is needed")),
        }
        reporter.record(&PreflightReport {
            format: FORMAT,
            record: "report",
            status: status.word(),
            time: clock::now(),
            host: own,
            peer: &host.config.peer.name,
            asset: title,
            role: self.role,
            gaps,
            skipped: &self.skipped,
            checks: &self.checks,
            notes: &notes,
        });
        status
    }
}
