//! What is read: the inventory and sequence files, checked as a whole.

use crate::args::Args;
use orderly_exec::files::Found;
use orderly_exec::here::Here;
use orderly_exec::reporter::Reporter;
use orderly_exec::{OrStatus, Status, fail, files, paths};
use orderly_plan::diagnostic::{Diagnostic, Diagnostics, Source};
use orderly_plan::inventory::{self, Format, Inventory, Outside, Shared};
use orderly_plan::name::Roster;
use orderly_plan::nodeset;
use orderly_plan::sequence::{self, Sequence};
use orderly_plan::suggest;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// More pairs that share something say nothing new.
const WARNED: usize = 10;

const INVENTORY: &str = "inventory.json";

/// Where the inventory comes from.
#[derive(Debug)]
pub(crate) struct Input<'r> {
    named: Option<PathBuf>,
    format: Format,
    outside: Outside,
    reporter: &'r Reporter,
}

impl<'r> Input<'r> {
    pub(crate) fn new(args: &Args, reporter: &'r Reporter) -> anyhow::Result<Self> {
        let named = args.inventory.clone().filter(|path| !path.as_os_str().is_empty());
        Ok(Self { named, format: args.format.into(), outside: outside(&args.outside)?, reporter })
    }

    /// Returns the inventory: the one named, else the one of this machine.
    pub(crate) fn inventory(&self) -> anyhow::Result<Inventory> {
        if let Some(named) = &self.named {
            return self.read(named);
        }
        let path = paths::config_path(None, INVENTORY);
        match files::read_if_there(&path)? {
            Found::Text(text) => self.inventory_of(&path, &text),
            Found::Missing => Err(fail(
                Status::Rejected,
                format!("{} is missing; name the inventory with -i", path.display()),
            )),
        }
    }

    /// Returns the inventory if one is named (`-i`, `ORDERLY_INVENTORY`).
    pub(crate) fn inventory_if_named(&self) -> anyhow::Result<Option<Inventory>> {
        self.named.as_deref().map(|path| self.read(path)).transpose()
    }

    fn read(&self, path: &Path) -> anyhow::Result<Inventory> {
        self.inventory_of(path, &files::read(path)?)
    }

    fn inventory_of(&self, path: &Path, text: &str) -> anyhow::Result<Inventory> {
        let name = shown(path);
        let inventory = inventory::read(&Source { name: &name, text }, self.format, &self.outside)
            .or_status(Status::Rejected)?;
        for doubt in inventory.doubts() {
            self.reporter.warn(format!("warning: {doubt}"));
        }
        for pair in shared(&inventory) {
            self.reporter.warn(format!("warning: {pair}"));
        }
        Ok(inventory)
    }
}

/// Returns the machines that may serve nodes and are none: this one, and those that the command line names.
fn outside(sets: &[String]) -> anyhow::Result<Outside> {
    let mut words: Vec<String> = Here::found(None).words().into_iter().collect();
    for set in sets {
        let names = nodeset::expand(set)
            .map_err(|fault| fail(Status::Usage, format!("--outside \"{set}\" is no node set: {fault}")))?;
        words.extend(names);
    }
    Ok(Outside::new(words))
}

/// Returns who shares an address, or a controller that nothing else tells apart: cstartup and cshutdown do not act
/// on such nodes.
fn shared(inventory: &Inventory) -> Vec<Diagnostic> {
    let told = |found: Vec<Shared<'_>>, what| {
        let told = found.iter().take(WARNED).map(|shared| {
            let hint = format!("give each {what} once; where both are one machine, leave one of them out");
            shared.diagnose(inventory, what).hint(hint)
        });
        told.collect::<Vec<_>>()
    };
    let addresses = told(inventory::addresses(inventory), "address");
    let controllers = told(inventory::controllers(inventory), "power controller");
    [addresses, controllers].concat()
}

/// Returns the default sequence of an inventory, as the flags want it.
pub(crate) fn default_sequence(inventory: &Inventory, args: &Args) -> anyhow::Result<Sequence> {
    check_relations(inventory, &args.relations)?;
    let mut relations = vec!["boot_server"];
    relations.extend(args.relations.iter().map(String::as_str));
    Sequence::from_inventory(inventory, &relations, args.process(), args.form()).or_status(Status::Rejected)
}

/// Refuses a relation that no node has: it would silently order nothing.
fn check_relations(inventory: &Inventory, relations: &[String]) -> anyhow::Result<()> {
    if relations.is_empty() {
        return Ok(());
    }
    let mut known: BTreeSet<&str> = BTreeSet::from(["boot_server"]);
    known.extend(inventory.nodes().iter().flat_map(|node| node.attributes.keys().map(String::as_str)));
    let Some(unknown) = relations.iter().find(|relation| !known.contains(relation.as_str())) else {
        return Ok(());
    };
    let near = suggest::nearest(unknown, known.iter().copied());
    let hint = near.map(|near| format!("\n  hint: did you mean \"{near}\"?")).unwrap_or_default();
    Err(fail(Status::Usage, format!("--relation {unknown}: no node has an attribute of this name{hint}")))
}

/// Parses a node or subsystem sequence, whichever the text is.
pub(crate) fn parse(source: &Source<'_>, inventory: Option<&Inventory>) -> Result<Sequence, Diagnostics> {
    // A site may well have nodes that are named like paths; then members are nodes.
    let has_paths = |inventory: &Inventory| inventory.nodes().iter().any(|node| node.name.starts_with('/'));
    if sequence::lists_subsystems(source.text) && !inventory.is_some_and(has_paths) {
        sequence::parse_subsystems(source)
    } else {
        sequence::parse(source, inventory)
    }
}

/// Returns what the nodes of a sequence are looked up in.
pub(crate) fn roster<'s>(sequence: &'s Sequence, inventory: Option<&'s Inventory>) -> &'s dyn Roster {
    match inventory {
        // A subsystem sequence has commands, whatever the inventory.
        Some(inventory) if sequence.own_names().is_empty() => inventory,
        _ => sequence.own_names(),
    }
}

/// Returns a file name for messages.
pub(crate) fn shown(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}
