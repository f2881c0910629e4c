//! `--drift`: how a sequence file has fallen behind its inventory.

use crate::args::SeqfileArgs;
use crate::input::{self, Input};
use orderly_exec::{OrStatus, Status, files};
use orderly_plan::diagnostic::Source;
use orderly_plan::{nodeset, sequence};
use std::fmt::Write;
use std::path::Path;

/// Returns the findings, a paragraph each; empty when the file is up to date.
pub(crate) fn find(path: &Path, input: &Input<'_>, args: &SeqfileArgs) -> anyhow::Result<String> {
    let inventory = input.inventory()?;
    let text = files::read(path)?;
    let name = input::shown(path);
    let source = Source { name: &name, text: &text };
    let (stated, gone) = sequence::parse_leniently(&source, &inventory).or_status(Status::Rejected)?;
    stated.order(&inventory).or_status(Status::Rejected)?;
    let default = input::default_sequence(&inventory, args)?;
    let drift = sequence::drift(&stated, &default, &inventory);
    // Every line of it would contradict the inventory, and none is wrong. One line alone may well be.
    let is_other_way = drift.contradictions.len() > 1
        && sequence::states_the_same(&default, &stated.clone().mirrored(), &inventory);
    let contradictions = if is_other_way { &[][..] } else { &drift.contradictions };

    let mut found = String::new();
    if is_other_way {
        let (way, remedy) = if args.shutdown {
            ("start-up", "leave out --shutdown")
        } else {
            ("shutdown", "use --drift with --shutdown")
        };
        writeln!(found, "{name}: this is the order of {way}\n  hint: {remedy}").ok();
    }
    for diagnostic in gone.0.iter().chain(contradictions) {
        // Writing to a String cannot fail.
        writeln!(found, "{diagnostic}").ok();
    }
    if !drift.unlisted.is_empty() {
        let names = drift.unlisted.iter().map(|id| inventory.name(*id));
        writeln!(found, "{name}: in no group: {}", nodeset::fold(names)).ok();
    }
    Ok(found)
}
