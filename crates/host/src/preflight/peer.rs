//! What both hosts must have alike: the configuration, the version, the time. The peer is asked for it through its
//! `peer_command`; where there is none, what it must print is said.

use super::Preflight;
use crate::config::differences;
use crate::config_report::{ConfigReport, FORMAT};
use crate::host::Host;
use crate::platform::Argv;
use anyhow::{Context, bail};
use orderly_exec::clock;
use orderly_exec::job::{Job, show};
use orderly_exec::runner::Run;
use std::path::Path;

/// By how many milliseconds two clocks may differ: by more, a mount on one host may seem older than an earlier one on
/// the other.
const APART: i64 = 3000;

/// What is run on the peer.
const ASKED: [&str; 3] = ["ha-takeover", "--check-config", "--json"];

/// The report of the peer, with the times here in milliseconds between which it was made.
#[derive(Debug)]
struct Heard {
    report: ConfigReport,
    between: (i64, i64),
}

/// Compares the peer with this host; tells whether it ran a command.
pub(super) fn check(config: Option<&Path>, host: &mut Host<'_>, preflight: &mut Preflight) -> bool {
    let own = ConfigReport::of(host.config);
    let peer = &host.config.peer;
    let Some(command) = &peer.peer_command else {
        let why = format!(
            "no peer_command is configured for {0}; compare by hand: on {0}, {1} must print version {2}, digest {3} and \
             the same time",
            peer.name,
            show(&ASKED),
            own.version,
            own.digest
        );
        preflight.unchecked("configuration", why);
        return false;
    };
    let asked = command_line(command, config);
    let heard = match asked.and_then(|argv| ask(&argv, host)) {
        Ok(heard) => heard,
        Err(why) => {
            let gap = format!("{} cannot be asked for its configuration: {why:#}", host.config.peer.name);
            preflight.note("configuration", [gap], "");
            return false;
        }
    };
    compare(&own, &heard, &host.config.peer.name, preflight);
    true
}

fn command_line(command: &Argv, config: Option<&Path>) -> anyhow::Result<Argv> {
    let mut argv = command.clone();
    argv.extend(ASKED.map(str::to_owned));
    if let Some(path) = config {
        let path = std::path::absolute(path)?.to_string_lossy().into_owned();
        // ssh(1) makes one line of its arguments, which a shell of the peer reads.
        if show(&[&path]) != path {
            bail!("a shell of the peer would read {} otherwise; rename that file", show(&[&path]));
        }
        argv.extend(["--config".to_owned(), path]);
    }
    Ok(argv)
}

fn ask(argv: &Argv, host: &mut Host<'_>) -> anyhow::Result<Heard> {
    let now = || clock::millisecond(&clock::now()).context("read the clock");
    let before = now()?;
    let ended = host.runner.run(&Job::new(argv, host.config.asset.timeout));
    let after = now()?;
    if !ended.succeeded() {
        bail!(
            "{}: {}; make it work for root without a password, or correct peer_command",
            show(argv),
            ended.clause()
        );
    }
    // Before it a login may print what it likes.
    let text = ended.text();
    let report = text.lines().next_back().and_then(|line| serde_json::from_str::<ConfigReport>(line).ok());
    let report = report.filter(|report| report.format == FORMAT);
    let report = report.with_context(|| format!("{}: it printed no {FORMAT}", show(argv)))?;
    Ok(Heard { report, between: (before, after) })
}

fn compare(own: &ConfigReport, heard: &Heard, peer: &str, preflight: &mut Preflight) {
    let Heard { report, between } = heard;
    if report.host != peer {
        let gap = format!("the peer_command of {peer} leads to {}; correct it", report.host);
        preflight.note("configuration", [gap], "");
        return;
    }
    let mut differ = Vec::new();
    if report.digest != own.digest {
        differ = differences(&own.settings, &report.settings, peer);
        if differ.is_empty() {
            differ.push(format!("the digest is {} here and {} on {peer}", own.digest, report.digest));
        }
    }
    let gaps = differ.into_iter().map(|what| format!("{what}; make ha.toml alike on both hosts"));
    preflight.note("configuration", gaps, format!("alike on {peer}, digest {}", own.digest));
    let gap = (report.version != own.version).then(|| {
        format!(
            "it is {} here and {} on {peer}; install one version on both hosts",
            own.version, report.version
        )
    });
    preflight.note("version", gap, format!("{} on both hosts", own.version));
    let gap = match clock::millisecond(&report.time) {
        None => Some(format!("{peer} printed the time \"{}\", which is none", report.time)),
        Some(time) => off(time, *between).map(|how| {
            format!("the clock of {peer} is {how} this host's; set both by NTP (chronyc tracking)")
        }),
    };
    preflight.note("clock", gap, format!("alike on {peer}, within {} s", APART / 1000));
}

/// Returns by how much a clock is off that showed `time` at some moment between two others.
fn off(time: i64, (before, after): (i64, i64)) -> Option<String> {
    let by = |milliseconds: i64, word: &str| {
        let time = std::time::Duration::from_millis(milliseconds.unsigned_abs() / 1000 * 1000);
        format!("{} {word}", orderly_plan::duration::show(time))
    };
    if time > after + APART {
        Some(by(time - after, "ahead of"))
    } else if time < before - APART {
        Some(by(before - time, "behind"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The time that a login takes is nobody's clock being wrong.
    #[test]
    fn a_clock_is_off_only_where_no_moment_between_explains_it() {
        let between = (1_000_000, 1_030_000);
        for (time, wanted) in [
            (1_000_000, None),
            (1_030_000, None),
            (997_000, None),
            (1_033_000, None),
            (1_030_000 + 3_600_000, Some("1h00m ahead of")),
            (1_000_000 - 3_600_000, Some("1h00m behind")),
        ] {
            assert_eq!(off(time, between).as_deref(), wanted, "{time}");
        }
    }

    #[test]
    fn a_path_that_a_shell_would_read_otherwise_is_not_passed_on() {
        let ssh = vec!["ssh".to_owned(), "ec2".to_owned()];
        let line = command_line(&ssh, Some(Path::new("/etc/b/ha.toml"))).unwrap();
        assert_eq!(show(&line), "ssh ec2 ha-takeover --check-config --json --config /etc/b/ha.toml");
        assert!(command_line(&ssh, Some(Path::new("/etc/b c/ha.toml"))).is_err());
    }
}
