//! The shapes a sequence is written in: sequence text, JSON, a graph for Graphviz or drawn by it, a table of waves.

use crate::args::{self, SeqfileArgs};
use crate::{dot, svg};
use anyhow::Context;
use orderly_exec::{OrStatus, Status};
use orderly_plan::graph::Order;
use orderly_plan::name::Roster;
use orderly_plan::nodeset;
use orderly_plan::sequence::{Sequence, SequenceDocument, Spelling};
use std::fmt::Write;

/// What is written, and how members are spelled in it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DocumentShape {
    Text(Spelling),
    Json(Spelling),
    Dot,
    Svg,
    Waves,
}

impl args::ShapeFlags {
    /// Tells whether another shape than text is asked for.
    pub(crate) fn any(&self) -> bool {
        self.json || self.dot || self.svg || self.waves
    }
}

impl DocumentShape {
    pub(crate) fn of(args: &SeqfileArgs) -> Self {
        let spelling = if args.fold { Spelling::Folded } else { Spelling::Names };
        match &args.shape {
            args::ShapeFlags { json: true, .. } => Self::Json(spelling),
            args::ShapeFlags { dot: true, .. } => Self::Dot,
            args::ShapeFlags { svg: true, .. } => Self::Svg,
            args::ShapeFlags { waves: true, .. } => Self::Waves,
            args::ShapeFlags { .. } => Self::Text(spelling),
        }
    }

    /// Returns the whole document of a sequence that was found free of cycles; the order is worked out
    /// anew only for the shapes that show it.
    pub(crate) fn write(self, sequence: &Sequence, roster: &dyn Roster) -> anyhow::Result<String> {
        let order = || sequence.order(roster).or_status(Status::Rejected);
        Ok(match self {
            Self::Text(spelling) => sequence.to_text(roster, spelling),
            Self::Json(spelling) => {
                let document = SequenceDocument::new(sequence, &order()?, roster, spelling);
                let mut text = serde_json::to_string_pretty(&document).context("write JSON")?;
                text.push('\n');
                text
            }
            Self::Dot => dot::graph(sequence, roster),
            Self::Svg => svg::drawn(&dot::graph(sequence, roster))?,
            Self::Waves => waves(&order()?, roster),
        })
    }
}

fn waves(order: &Order, roster: &dyn Roster) -> String {
    let mut text = format!("{:>4}  {:>7}  {}\n", "wave", "count", "nodes");
    for (number, wave) in order.waves().iter().enumerate() {
        let names = nodeset::fold(wave.iter().map(|node| roster.name(*node)));
        // Writing to a String cannot fail.
        writeln!(text, "{:>4}  {:>7}  {names}", number + 1, wave.len()).ok();
    }
    text
}
