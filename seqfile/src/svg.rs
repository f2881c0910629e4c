//! A graph as a picture, drawn by Graphviz where that is installed.

use orderly_exec::job::{Ending, Job};
use orderly_exec::runner::{Run, Runner};
use orderly_exec::{Status, fail};
use std::time::Duration;

/// A graph of thousands of groups takes it minutes.
const PATIENCE: Duration = Duration::from_secs(3600);
/// A picture takes about a kilobyte a group.
const LARGEST: usize = 1 << 30;

/// Returns the picture of a graph of [`crate::dot`].
///
/// # Errors
/// Failed (1) when there is no Graphviz, or it fails; ended by the signal that came meanwhile.
pub(crate) fn drawn(graph: &str) -> anyhow::Result<String> {
    let mut runner = Runner::new()?;
    let job = Job { stdin: graph.into(), keep: LARGEST, ..Job::new(["dot", "-Tsvg"], PATIENCE) };
    let ended = runner.run(&job);
    if let Some(signal) = runner.interrupted() {
        return Err(fail(Status::Signal(signal as i32), "interrupted while dot drew the graph"));
    }
    if ended.ending == Ending::NotStarted {
        let why = "--svg needs the program dot (Debian: graphviz); --dot writes the graph itself";
        return Err(fail(Status::Failed, format!("{why}: {}", ended.last_words())));
    }
    if !ended.succeeded() || ended.truncated {
        return Err(fail(Status::Failed, format!("draw the graph: {}: {}", job.shown(), ended.clause())));
    }
    Ok(ended.text())
}
