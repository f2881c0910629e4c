//! What is read: the inventory and sequence files, checked as a whole.

use crate::args::SeqfileArgs;
use orderly_exec::files::Found;
use orderly_exec::here::ThisMachine;
use orderly_exec::inventory::InventoryKeys;
use orderly_exec::reporter::Reporter;
use orderly_exec::status::unmarked;
use orderly_exec::{OrStatus, Status, fail, files};
use orderly_plan::diagnostic::{Diagnostic, Diagnostics, Source};
use orderly_plan::inventory::{self, Format, Inventory, Outside, SharedValue};
use orderly_plan::name::Roster;
use orderly_plan::nodeset;
use orderly_plan::sequence::{self, Process, Sequence};
use orderly_plan::suggest;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// More pairs that share something say nothing new.
const WARNED: usize = 10;

/// Where the inventory comes from.
#[derive(Debug)]
pub(crate) struct Input<'r> {
    named: Option<PathBuf>,
    format: Option<Format>,
    /// Machines of the command line that may serve nodes and are none.
    outside: Vec<String>,
    reporter: &'r Reporter,
}

impl<'r> Input<'r> {
    pub(crate) fn new(args: &SeqfileArgs, reporter: &'r Reporter) -> anyhow::Result<Self> {
        let named = args.source.path().cloned();
        Ok(Self { named, format: args.source.format(), outside: outside(&args.outside)?, reporter })
    }

    /// Returns the inventory: the one named, else that of `cluster.toml`, else the one of this machine.
    pub(crate) fn inventory(&self) -> anyhow::Result<Inventory> {
        let keys = self.keys()?;
        if let Some(named) = &self.named {
            return self.read(named, &keys);
        }
        let path = &keys.path;
        match files::read_if_there(path)? {
            Found::Text(text) => self.inventory_of(path, &text, &keys),
            Found::Missing => Err(fail(
                Status::Rejected,
                format!("{} is missing; name the inventory with -i", path.display()),
            )),
        }
    }

    /// Returns the inventory if one is named (`-i`, `ORDERLY_INVENTORY`).
    pub(crate) fn inventory_if_named(&self) -> anyhow::Result<Option<Inventory>> {
        let Some(named) = &self.named else { return Ok(None) };
        self.read(named, &self.keys()?).map(Some)
    }

    /// Returns what `cluster.toml` says of the inventory, which is for what the command line leaves open.
    fn keys(&self) -> anyhow::Result<InventoryKeys> {
        InventoryKeys::of_this_machine().or_else(|error| {
            if self.named.is_none() || self.format.is_none() {
                let why = unmarked(&error);
                let hint = "to do without it, name the inventory and its format: -i FILE --from FORMAT";
                return Err(fail(Status::Rejected, format!("{why}\n  hint: {hint}")));
            }
            // A user who may not read what root runs can do without it; servers it allows are then rejected.
            self.reporter.warn(format!("warning: not regarded: {error:#}"));
            Ok(InventoryKeys::default())
        })
    }

    fn read(&self, path: &Path, keys: &InventoryKeys) -> anyhow::Result<Inventory> {
        self.inventory_of(path, &files::read(path)?, keys)
    }

    fn inventory_of(&self, path: &Path, text: &str, keys: &InventoryKeys) -> anyhow::Result<Inventory> {
        let name = shown(path);
        let here = ThisMachine::found(keys.control_node.as_deref()).words();
        let outside = Outside::new(here.into_iter().chain(self.outside.clone()).chain(keys.outside.clone()));
        let format = self.format.unwrap_or(keys.format);
        let inventory =
            inventory::read(&Source { name: &name, text }, format, &outside).or_status(Status::Rejected)?;
        for warning in inventory.warnings() {
            self.reporter.warn(format!("warning: {warning}"));
        }
        for pair in shared(&inventory) {
            self.reporter.warn(format!("warning: {pair}"));
        }
        Ok(inventory)
    }
}

/// Returns the machines that the command line names as ones that may serve nodes and are none.
fn outside(sets: &[String]) -> anyhow::Result<Vec<String>> {
    let mut words = Vec::new();
    for set in sets {
        let names = nodeset::expand(set)
            .map_err(|fault| fail(Status::Usage, format!("--outside \"{set}\" is no node set: {fault}")))?;
        words.extend(names);
    }
    Ok(words)
}

/// Returns who shares an address, or a controller that nothing else tells apart: cstartup and cshutdown do not act
/// on such nodes.
fn shared(inventory: &Inventory) -> Vec<Diagnostic> {
    let told = |found: Vec<SharedValue<'_>>, what| {
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
pub(crate) fn default_sequence(inventory: &Inventory, args: &SeqfileArgs) -> anyhow::Result<Sequence> {
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
    known.extend(inventory.attribute_names());
    let Some(unknown) = relations.iter().find(|relation| !known.contains(relation.as_str())) else {
        return Ok(());
    };
    let near = suggest::nearest(unknown, known.iter().copied());
    let hint = near.map(|near| format!("\n  hint: did you mean \"{near}\"?")).unwrap_or_default();
    Err(fail(Status::Usage, format!("--relation {unknown}: no node has an attribute of this name{hint}")))
}

/// Parses a node or subsystem sequence, whichever the text is; one of nodes as the order of a start.
pub(crate) fn parse(source: &Source<'_>, inventory: Option<&Inventory>) -> Result<Sequence, Diagnostics> {
    parse_for(Process::Startup, source, inventory)
}

/// Parses a node or subsystem sequence, whichever the text is.
pub(crate) fn parse_for(
    process: Process,
    source: &Source<'_>,
    inventory: Option<&Inventory>,
) -> Result<Sequence, Diagnostics> {
    // A site may well have nodes that are named like paths; then members are nodes.
    let has_paths = |inventory: &Inventory| inventory.nodes().iter().any(|node| node.name.starts_with('/'));
    if sequence::lists_subsystems(source.text) && !inventory.is_some_and(has_paths) {
        return sequence::parse_subsystems(source);
    }
    match process {
        Process::Startup => sequence::parse(source, inventory),
        Process::Shutdown => sequence::parse_shutdown(source, inventory),
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
