//! `--check`: every error of every file at once.

use crate::input::{self, Input};
use orderly_exec::reporter::Reporter;
use orderly_exec::{Status, fail, files};
use orderly_plan::diagnostic::Source;
use orderly_plan::inventory::Inventory;
use orderly_plan::sequence::{self, Form, Process, Sequence};
use std::path::{Path, PathBuf};

/// Checks files and reports what is wrong with any of them. `stated` is what all of them are for; where nothing is
/// stated their names say it.
pub(crate) fn files(
    paths: &[PathBuf],
    stated: Option<Process>,
    input: &Input<'_>,
    reporter: &Reporter,
) -> anyhow::Result<Status> {
    let inventory = input.inventory_if_named()?;
    let mut wrong: Vec<String> = Vec::new();
    for path in paths {
        match file(path, stated.or_else(|| process_of(path)), inventory.as_ref()) {
            Ok(warnings) => warnings.iter().for_each(|warning| reporter.warn(format!("warning: {warning}"))),
            Err(error) => wrong.push(error),
        }
    }
    if wrong.is_empty() {
        return Ok(Status::Done);
    }
    let (last, others) = (wrong.pop().unwrap_or_default(), wrong);
    others.iter().for_each(|error| reporter.warn(error));
    Err(fail(Status::Rejected, last))
}

/// Returns what is doubtful about a file.
///
/// # Errors
/// What is wrong with it, or why it cannot be read, in words.
fn file(path: &Path, process: Option<Process>, inventory: Option<&Inventory>) -> Result<Vec<String>, String> {
    let text = files::read(path).map_err(|error| reason(&error))?;
    let name = input::shown(path);
    let source = Source { name: &name, text: &text };
    let as_what = process.unwrap_or(Process::Startup);
    let sequence = input::parse_for(as_what, &source, inventory).map_err(|wrong| wrong.to_string())?;
    Ok(inventory.map(|inventory| contradictions(process, &sequence, inventory)).unwrap_or_default())
}

/// Returns an error without the status it carries, which is said once for all files.
fn reason(error: &anyhow::Error) -> String {
    let parts = error.chain().map(ToString::to_string);
    parts.skip(1).collect::<Vec<_>>().join(": ")
}

/// Returns the lines that contradict the inventory.
fn contradictions(process: Option<Process>, sequence: &Sequence, inventory: &Inventory) -> Vec<String> {
    if !sequence.own_names().is_empty() {
        return Vec::new();
    }
    let against = |process: Process| {
        let default =
            Sequence::from_inventory(inventory, &["boot_server"], process, Form::Each).unwrap_or_default();
        sequence::conflicts(&default, sequence, inventory)
    };
    let found = match process {
        Some(process) => against(process),
        // A file does not say what it is for; the way that agrees with more of it is taken.
        None => {
            let (startup, shutdown) = (against(Process::Startup), against(Process::Shutdown));
            if shutdown.len() < startup.len() { shutdown } else { startup }
        }
    };
    found.iter().map(ToString::to_string).collect()
}

/// Returns what the files of this name are for.
fn process_of(path: &Path) -> Option<Process> {
    match path.file_name()?.to_str()? {
        "cstartSeq" => Some(Process::Startup),
        // As a link it is mirrored by cshutdown and states the order of start-up.
        "cshutSeq" if path.is_symlink() => None,
        "cshutSeq" if files::is_same_file(path, &path.with_file_name("cstartSeq")) => Some(Process::Startup),
        "cshutSeq" => Some(Process::Shutdown),
        _ => None,
    }
}
