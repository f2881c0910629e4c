//! `on_event`: a command of the site is told what changed, with a JSON document on its standard input.
//!
//! Invariant: however that command ends, the run that tells it ends as it would have without
//! (`a_command_that_fails_or_hangs_changes_nothing`).

use crate::config::Config;
use orderly_exec::job::{Ending, Job};
use orderly_exec::reporter::Reporter;
use orderly_exec::runner::Run;
use orderly_exec::{Status, clock};
use serde::Serialize;
use std::time::Duration;

/// The format of the document.
pub const FORMAT: &str = "orderly-event/1";

/// How long the command may take: the run, and its lock, last as long.
const LIMIT: Duration = Duration::from_secs(30);

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    Released,
    Taken,
    /// A release or a takeover was taken back.
    Failed,
    /// Nobody may take the asset before a person has looked.
    NotSafe,
    BackupFailing,
    BackupOk,
}

impl EventKind {
    /// Returns what a hand-over changed that ended like this, and in `success` if it went well; nothing where it was
    /// refused.
    pub fn of_handover(status: Status, success: Self) -> Option<Self> {
        match status {
            Status::Done => Some(success),
            Status::Failed | Status::Signal(_) => Some(Self::Failed),
            Status::Stuck => Some(Self::NotSafe),
            Status::Usage | Status::Rejected | Status::Refused => None,
        }
    }
}

/// The document.
#[derive(Debug, Serialize)]
struct Event<'a> {
    format: &'static str,
    event: EventKind,
    host: &'a str,
    asset: &'a str,
    time: String,
    /// The word of the exit status.
    status: &'static str,
    /// The same for people.
    sentence: &'a str,
}

/// Tells the site's command, where there is one. What comes of it is at most reported.
pub fn send(
    kind: EventKind,
    status: Status,
    sentence: &str,
    config: &Config,
    run: &mut dyn Run,
    reporter: &Reporter,
) {
    let Some(argv) = &config.on_event else { return };
    let asset = config.open_asset().title();
    let event = Event {
        format: FORMAT,
        event: kind,
        host: &config.own.name,
        asset: &asset,
        time: clock::now(),
        status: status.word(),
        sentence,
    };
    // Texts and words alone, which JSON can hold.
    let document = serde_json::to_string(&event).unwrap_or_default();
    let mut job = Job::new(argv, LIMIT);
    job.stdin = format!("{document}\n").into_bytes();
    let ended = run.run(&job);
    if ended.ending != Ending::Exited(0) {
        // Its arguments are not shown: one may be a secret.
        let program = argv.first().map(String::as_str).unwrap_or_default();
        reporter.warn(format!("on_event: {program}: {}; this changes nothing else", ended.clause()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orderly_exec::job::Ended;
    use orderly_exec::reporter::{Output, Verbosity};
    use std::path::Path;

    /// A command that ends like this; it keeps what it was given.
    struct Ends(Ending, Vec<Job>);

    impl Run for Ends {
        fn run(&mut self, job: &Job) -> Ended {
            self.1.push(job.clone());
            let (stdout, stderr) = (Vec::new(), b"no route".to_vec());
            Ended { ending: self.0, stdout, stderr, truncated: false, took: Duration::ZERO }
        }
    }

    fn config(on_event: &str) -> Config {
        let text = format!(
            "{on_event}\n[[host]]\nname = \"ec1\"\n[[host]]\nname = \"ec2\"\n[asset]\nkind = \"command\"\n\
             identity = [\"id\"]\nstate = [\"state\"]\ntake = [\"take\"]\n"
        );
        Config::read(Path::new("ha.toml"), &text, "ec1").unwrap()
    }

    #[test]
    fn a_command_that_fails_or_hangs_changes_nothing() {
        let reporter = Reporter::new(Verbosity::Quiet, Output::Text);
        let config = config("on_event = [\"tell\", \"root\"]");
        for ending in [Ending::Exited(0), Ending::Exited(7), Ending::TimedOut, Ending::NotStarted] {
            let mut run = Ends(ending, Vec::new());
            send(EventKind::Taken, Status::Done, "taken: \"x\"\n", &config, &mut run, &reporter);
            let [job] = run.1.as_slice() else { panic!("it is run once: {:?}", run.1) };
            assert_eq!((job.argv.len(), job.timeout), (2, LIMIT));
            let document: serde_json::Value = serde_json::from_slice(&job.stdin).unwrap();
            for (key, value) in [
                ("format", FORMAT),
                ("event", "taken"),
                ("host", "ec1"),
                ("status", "done"),
                ("sentence", "taken: \"x\"\n"),
            ] {
                assert_eq!(document[key], value, "{document}");
            }
            // Whoever reads it line by line has it whole.
            assert_eq!(job.stdin.iter().filter(|byte| **byte == b'\n').count(), 1);
        }
    }

    #[test]
    fn without_a_command_none_is_run_and_a_refusal_is_no_event() {
        let mut run = Ends(Ending::Exited(0), Vec::new());
        let reporter = Reporter::new(Verbosity::Quiet, Output::Text);
        send(EventKind::Failed, Status::Failed, "", &config(""), &mut run, &reporter);
        assert!(run.1.is_empty());
        for (status, kind) in [
            (Status::Done, Some(EventKind::Released)),
            (Status::Failed, Some(EventKind::Failed)),
            (Status::Signal(15), Some(EventKind::Failed)),
            (Status::Stuck, Some(EventKind::NotSafe)),
            (Status::Refused, None),
            (Status::Rejected, None),
            (Status::Usage, None),
        ] {
            assert_eq!(EventKind::of_handover(status, EventKind::Released), kind);
        }
    }
}
