//! A graph as a picture, drawn by Graphviz where that is installed.

use orderly_exec::job::{Ending, Job};
use orderly_exec::runner::{Run, Runner};
use orderly_exec::{Status, fail};
use std::time::Duration;

/// A graph of thousands of groups takes it minutes.
const PATIENCE: Duration = Duration::from_secs(3600);
/// A picture takes about a kilobyte a group.
const LARGEST: usize = 1 << 30;

const FONT_OF_NODES: &str = "-Nfontname=Helvetica,Arial,sans-serif";
const FONT_OF_ARROWS: &str = "-Efontname=Helvetica,Arial,sans-serif";

/// Colours for light and for dark backgrounds; what Graphviz writes beside each shape gives way to them.
const STYLE: &str = "<style>\
:root{background:#fff}text{fill:#1f2328}.node polygon,.edge path{stroke:#1f2328}.edge polygon{stroke:#1f2328;fill:#1f2328}\
.cycle path{stroke:#cf222e;stroke-width:2}.cycle polygon{stroke:#cf222e;fill:#cf222e}\
@media(prefers-color-scheme:dark){\
:root{background:#0d1117}text{fill:#f0f6fc}.node polygon,.edge path{stroke:#9198a1}\
.edge polygon{stroke:#9198a1;fill:#9198a1}.cycle path{stroke:#ff7b72}.cycle polygon{stroke:#ff7b72;fill:#ff7b72}}\
</style>";

/// Returns the picture with our colours, and without the document type, which names another document.
fn dressed(picture: &str) -> String {
    let Some(begins) = picture.find("<svg") else { return picture.to_owned() };
    let Some(opened) = picture[begins..].find('>') else { return picture.to_owned() };
    let (head, body) = picture[begins..].split_at(opened + 1);
    format!("{head}\n{STYLE}{body}")
}

/// Returns the picture of a graph of [`crate::dot`].
///
/// # Errors
/// Failed (1) when there is no Graphviz, or it fails; ended by the signal that came meanwhile.
pub(crate) fn drawn(graph: &str) -> anyhow::Result<String> {
    let mut runner = Runner::new()?;
    let job = Job {
        stdin: graph.into(),
        keep: LARGEST,
        ..Job::new(["dot", "-Tsvg", "-Gbgcolor=transparent", FONT_OF_NODES, FONT_OF_ARROWS], PATIENCE)
    };
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
    Ok(dressed(&ended.text()))
}
