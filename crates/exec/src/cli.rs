//! From the command line to the exit status: the `main` of all six programs.

use crate::program::program_name;
use crate::reporter::{Output, Reporter, Verbosity, is_incomplete, write_lines};
use crate::status::Status;
use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// How a program speaks: the flags that are the same in all that say what they do.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Speech {
    /// Print JSON records on standard output, one a line
    #[arg(long)]
    pub json: bool,
    /// Say nothing but failures
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more
    #[arg(short, long)]
    pub verbose: bool,
}

impl Speech {
    /// Returns how much is said.
    pub fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Plain,
        }
    }

    /// Returns what standard output is for.
    pub fn output(&self) -> Output {
        if self.json { Output::Json } else { Output::Text }
    }

    /// Returns what tells people and programs of the run.
    pub fn reporter(&self) -> Reporter {
        Reporter::new(self.verbosity(), self.output())
    }
}

/// Parses the arguments, runs the program, prints what went wrong, returns the exit status.
pub fn main<A: clap::Parser>(run: fn(A) -> anyhow::Result<Status>) -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    let args = match A::try_parse_from(&argv) {
        Ok(args) => args,
        Err(error) => return show_usage(&error),
    };
    match run(args) {
        // What was asked for is not all there, whatever was done.
        Ok(Status::Done) if is_incomplete() => Status::Failed.into(),
        Ok(status) => status.into(),
        Err(error) => {
            let status = error.downcast_ref::<Status>().copied().unwrap_or(Status::Failed);
            write_lines(&mut std::io::stderr(), &program_name(), &format!("{error:#}"));
            status.into()
        }
    }
}

fn show_usage(error: &clap::Error) -> ExitCode {
    // Help and version are answers and go to stdout; a closed reader is not our failure.
    let text = error.render().to_string();
    if error.use_stderr() {
        write_lines(&mut std::io::stderr(), &program_name(), text.trim_end());
        Status::Usage.into()
    } else {
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                let text = format!("standard output is incomplete: {error}");
                write_lines(&mut std::io::stderr(), &program_name(), &text);
                Status::Failed.into()
            }
            Ok(()) | Err(_) => Status::Done.into(),
        }
    }
}
