//! seqfile: reads an inventory or a sequence file, checks all of it, then writes one document.
//!
//! A filter: nothing is on stdout before everything is valid, and a reader that goes away ends it
//! quietly.

mod args;
mod check;
mod document;
mod dot;
mod drift;
mod input;
mod output;
mod svg;

pub use args::SeqfileArgs;
use args::SeqfileTask;
use clap::CommandFactory;
use document::DocumentShape;
use input::Input;
use orderly_exec::reporter::{Output, Reporter, Verbosity};
use orderly_exec::{OrStatus, Status, fail, files};
use orderly_plan::diagnostic::Source;
use orderly_plan::sequence::{self, Form, Process, Sequence};
use std::path::Path;

/// Returns the command line as data, for tests, man pages and completions.
pub fn command() -> clap::Command {
    SeqfileArgs::command()
}

/// Runs the program.
///
/// # Errors
/// See the exit-status table in the manual page.
pub fn run(args: SeqfileArgs) -> anyhow::Result<Status> {
    let reporter = Reporter::new(Verbosity::Plain, Output::Text);
    check_flags(&args)?;
    check_standard_input(&args)?;
    let input = Input::new(&args, &reporter)?;
    let text = match &args.task {
        SeqfileTask { check, .. } if !check.is_empty() => {
            let stated = args.shutdown.then_some(Process::Shutdown);
            return check::files(check, stated, &input, &reporter);
        }
        SeqfileTask { drift: Some(file), .. } => {
            let found = drift::find(file, &input, &args)?;
            let status = if found.is_empty() { Status::Done } else { Status::Failed };
            return output::print(&found).map(|()| status);
        }
        SeqfileTask { read: Some(file), .. } => {
            let (text, wrong) = read(file, &input, &args)?;
            write(&text, &args)?;
            return wrong.map_or(Ok(Status::Done), Err);
        }
        SeqfileTask { reverse: Some(file), .. } => reverse(file, &input, &args, &reporter)?,
        SeqfileTask { from_json: Some(file), .. } => from_json(file, &input, &args)?,
        SeqfileTask { .. } => default(&input, &args)?,
    };
    write(&text, &args)?;
    Ok(Status::Done)
}

fn write(text: &str, args: &SeqfileArgs) -> anyhow::Result<()> {
    match &args.output {
        Some(path) if path != Path::new("-") => output::replace(path, text),
        Some(_) | None => output::print(text),
    }
}

/// Refuses flags that would silently do nothing.
fn check_flags(args: &SeqfileArgs) -> anyhow::Result<()> {
    let SeqfileTask { check, read, reverse, from_json, .. } = &args.task;
    let writes_default = check.is_empty() && read.is_none() && reverse.is_none() && from_json.is_none();
    let makes_default = writes_default && args.task.drift.is_none();
    let inventory_json = args.shape.inventory_json;
    let makes_sequence = makes_default && !inventory_json;
    let idle = [
        ("--inventory-json", inventory_json && !makes_default),
        ("--compact", args.compact && !makes_sequence),
        ("--relation", !args.relations.is_empty() && (!writes_default || inventory_json)),
        ("--shutdown", args.shutdown && (inventory_json || !writes_default && check.is_empty())),
        (
            "--json, --dot, --svg and --waves",
            args.shape.any() && (!args.task.check.is_empty() || args.task.drift.is_some()),
        ),
        (
            "--fold",
            args.fold
                && (args.task.reverse.is_some() && !args.shape.any()
                    || !args.task.check.is_empty()
                    || args.task.drift.is_some()
                    || inventory_json),
        ),
    ];
    match idle.iter().find(|(_, is_idle)| *is_idle) {
        Some((flag, _)) => {
            Err(fail(Status::Usage, format!("{flag} cannot be used with what is asked for; see --help")))
        }
        None => Ok(()),
    }
}

/// Refuses to read standard input twice: the second time it would be empty, and an empty sequence is
/// a valid one.
fn check_standard_input(args: &SeqfileArgs) -> anyhow::Result<()> {
    let SeqfileTask { check, read, reverse, from_json, drift } = &args.task;
    let inputs =
        args.source.path().into_iter().chain(check).chain(read).chain(reverse).chain(from_json).chain(drift);
    if inputs.filter(|path| path.as_path() == Path::new("-")).count() > 1 {
        return Err(fail(Status::Usage, "standard input (\"-\") can be read only once"));
    }
    Ok(())
}

fn default(input: &Input<'_>, args: &SeqfileArgs) -> anyhow::Result<String> {
    let inventory = input.inventory()?;
    if args.shape.inventory_json {
        return Ok(inventory.to_json());
    }
    let sequence = input::default_sequence(&inventory, args)?.listing_all(&inventory);
    DocumentShape::of(args).write(&sequence, &inventory)
}

/// Writes a sequence file as it stands, in another shape or anew. Where cycles are all that is wrong with it, a graph of it
/// shows them, beside the failure.
fn read(
    file: &Path,
    input: &Input<'_>,
    args: &SeqfileArgs,
) -> anyhow::Result<(String, Option<anyhow::Error>)> {
    let text = files::read(file)?;
    let name = input::shown(file);
    let inventory = input.inventory_if_named()?;
    let source = Source { name: &name, text: &text };
    let wrong = match input::parse(&source, inventory.as_ref()) {
        Ok(sequence) => return Ok((draw(sequence, inventory.as_ref(), args)?, None)),
        Err(wrong) => wrong,
    };
    let drawn = matches!(DocumentShape::of(args), DocumentShape::Dot | DocumentShape::Svg);
    match sequence::parse_with_cycles(&source, inventory.as_ref()) {
        Ok(sequence) if drawn => {
            let text = draw(sequence, inventory.as_ref(), args)?;
            Ok((text, Some(fail(Status::Rejected, wrong.to_string()))))
        }
        Ok(_) | Err(_) => Err(wrong).or_status(Status::Rejected),
    }
}

fn reverse(
    file: &Path,
    input: &Input<'_>,
    args: &SeqfileArgs,
    reporter: &Reporter,
) -> anyhow::Result<String> {
    let text = files::read(file)?;
    let name = input::shown(file);
    let source = Source { name: &name, text: &text };
    let inventory = input.inventory_if_named()?;
    let sequence = input::parse(&source, inventory.as_ref()).or_status(Status::Rejected)?;
    if sequence.has_thresholds() {
        reporter.say(format!(
            "{name}: how many of a group are enough is left out: mirrored, all of it are waited for"
        ));
    }
    if !args.shape.any() {
        return Ok(sequence::reversed_text(&text));
    }
    draw(sequence.mirrored(), inventory.as_ref(), args)
}

fn from_json(file: &Path, input: &Input<'_>, args: &SeqfileArgs) -> anyhow::Result<String> {
    let text = files::read(file)?;
    let name = input::shown(file);
    let inventory = input.inventory_if_named()?;
    let written = sequence::from_json(&Source { name: &name, text: &text }).or_status(Status::Rejected)?;
    // From here on places are those of the text that the document stands for, and are named so.
    let name = format!("{name} (as text)");
    let source = Source { name: &name, text: &written };
    let sequence = input::parse(&source, inventory.as_ref()).or_status(Status::Rejected)?;
    draw(sequence, inventory.as_ref(), args)
}

fn draw(
    sequence: Sequence,
    inventory: Option<&orderly_plan::inventory::Inventory>,
    args: &SeqfileArgs,
) -> anyhow::Result<String> {
    let roster = input::roster(&sequence, inventory);
    DocumentShape::of(args).write(&sequence, roster)
}

impl SeqfileArgs {
    fn process(&self) -> Process {
        if self.shutdown { Process::Shutdown } else { Process::Startup }
    }

    fn form(&self) -> Form {
        if self.compact { Form::Compact } else { Form::Each }
    }
}
