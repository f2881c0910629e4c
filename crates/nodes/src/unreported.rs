//! Runs that end without a report, for programs: a record that says why, and which other runs are in the way.

use crate::claims::{Hindered, RunFacts, RunFactsRecord};
use orderly_exec::reporter::Reporter;
use orderly_exec::status::unmarked;
use orderly_exec::{Status, clock, program};
use serde::Serialize;

/// The last record of a run that has no report: it was refused, rejected, or interrupted before it acted.
#[derive(Debug, Serialize)]
struct EndRecord<'e> {
    format: &'static str,
    record: &'static str,
    time: String,
    program: String,
    /// The word of the exit status.
    status: &'static str,
    exit: u8,
    why: &'e str,
    /// The runs that are in the way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    by: Vec<RunFactsRecord<'e>>,
}

/// Prints why a run ended that failed, or was interrupted, and has printed no report.
pub fn record(reporter: &mut Reporter, ended: &anyhow::Result<Status>) {
    match ended {
        Err(error) => failed(reporter, error),
        Ok(status @ Status::Signal(_)) => {
            end(reporter, *status, "interrupted before anything was begun", &[]);
        }
        Ok(_) => {}
    }
}

/// Prints why a run failed that has printed no report.
pub fn failed(reporter: &mut Reporter, error: &anyhow::Error) {
    let status = error.downcast_ref::<Status>().copied().unwrap_or(Status::Failed);
    let runs = error.downcast_ref::<Hindered>().map(|hindered| hindered.runs.as_slice());
    end(reporter, status, &unmarked(error), runs.unwrap_or_default());
}

/// Prints the record that ends a run with this status.
pub fn end(reporter: &mut Reporter, status: Status, why: &str, runs: &[RunFacts]) {
    reporter.last_record(&EndRecord {
        format: "orderly-run/1",
        record: "end",
        time: clock::now(),
        program: program::program_name(),
        status: status.word(),
        exit: status.code(),
        why,
        by: runs.iter().map(RunFacts::record).collect(),
    });
}
