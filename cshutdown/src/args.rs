//! What was typed; nothing resolved.
//!
//! Where the meaning of a flag comes from, IBM's text or our choice, stands in the manual page.

use clap::ArgGroup;
use orderly_exec::duration;
use orderly_nodes::flags::RunFlags;
use std::str::FromStr;
use std::time::Duration;

/// Stops nodes in order: tells users, quiets subsystems, halts, powers off or restarts.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "cshutdown", version, max_term_width = 100, disable_help_flag = true)]
#[command(group(ArgGroup::new("what").args(["halt", "verify", "maintenance", "restart"])))]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct ShutdownArgs {
    #[command(flatten)]
    pub flags: RunFlags,
    /// Halt; the default
    #[arg(short = 'h', long)]
    pub halt: bool,
    /// Restart: when all are down, run cstartup on the same targets
    #[arg(short = 'r', long)]
    pub restart: bool,
    /// Options for cstartup, as one argument; only with -r
    #[arg(short = 'C', long, value_name = "CSTARTUP_OPTIONS", requires = "restart",
          conflicts_with_all = ["halt", "verify", "maintenance"], allow_hyphen_values = true)]
    pub startup_options: Option<String>,
    /// Bring to maintenance mode; power stays on unless -P is given
    #[arg(short = 'm', long)]
    pub maintenance: bool,
    /// Power off what is down; the default, except with -m
    #[arg(short = 'P', long)]
    pub power_off: bool,
    /// Power off also what cannot be reached or does not halt: unwritten data are lost
    #[arg(long, conflicts_with = "maintenance")]
    pub force_off: bool,
    /// Verify only: check and print what would be done
    #[arg(short = 'k', long, conflicts_with_all = ["rehearse", "timeline", "watch", "status", "give_up", "more_time"])]
    pub verify: bool,
    /// Check and print what would be done, like -k, for what -h, -m or -r says
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Wait this many minutes, or until this time of day, and warn users meanwhile
    #[arg(short = 'T', long, value_name = "MINUTES|HH:MM")]
    pub at: Option<EndTime>,
    /// What users are told; only with -T
    #[arg(short = 'M', long, value_name = "MESSAGE", requires = "at", allow_hyphen_values = true)]
    pub message: Option<String>,
    /// Do not notify users; -T is waited for all the same
    #[arg(short = 'F', long)]
    pub no_notice: bool,
    /// Cancel the shutdown that waits for its -T on this machine, or one with --within before its first halt, or those of these targets or processes
    #[arg(long, exclusive = true, num_args = 0.., value_name = "TARGET|PROCESS")]
    pub cancel: Option<Vec<String>>,
    /// Be over within this time, as on battery: plan the phases backwards from it
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_limit,
          conflicts_with_all = ["restart", "maintenance", "stop_at_failure"])]
    pub within: Option<Duration>,
    /// Go on when a subsystem fails
    #[arg(short = 'Y', long)]
    pub go_on: bool,
    /// Stop at the first node that fails
    #[arg(short = 's', long)]
    pub stop_at_failure: bool,
    /// Do not add what is up to the record for cstartup --restore
    #[arg(long)]
    pub no_record: bool,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    pub help: Option<bool>,
    /// ALL, node names, node sets; numbers with -N, groups with -g, a file with -R
    #[arg(value_name = "TARGET", required_unless_present_any = ["cancel", "why", "why_not", "from_log", "watch",
          "status", "give_up", "more_time"])]
    pub targets: Vec<String>,
}

impl ShutdownArgs {
    /// Returns what another try of the run must be given, of the flags that only `cshutdown` has. The time of `-T` is
    /// over, and that of `--within` is left to who types it.
    pub(crate) fn asked(&self) -> Vec<String> {
        let flags = [
            ("-r", self.restart),
            ("-m", self.maintenance),
            ("-P", self.power_off),
            ("--force-off", self.force_off),
            ("-F", self.no_notice),
            ("-Y", self.go_on || self.within.is_some()),
            ("-s", self.stop_at_failure),
            ("--no-record", self.no_record),
        ];
        let mut words: Vec<String> =
            flags.iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| (*flag).to_owned()).collect();
        words.extend(self.startup_options.iter().flat_map(|options| ["-C".to_owned(), options.clone()]));
        words
    }
}

/// The longest wait in minutes, a week: more is taken for a slip of the hand.
const LONGEST: u32 = 7 * 24 * 60;

/// What `-T` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndTime {
    Minutes(u32),
    Clock { hour: i8, minute: i8 },
}

impl FromStr for EndTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is neither a number of minutes nor a time of day like 18:30");
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let Some((hour, minute)) = text.split_once(':') else {
            return if digits(text) { minutes(text) } else { Err(format!("{}{}", wrong(), hint(text))) };
        };
        match (hour.parse(), minute.parse()) {
            (Ok(hour @ 0..=23), Ok(minute @ 0..=59))
                if digits(hour_text(text)) && digits(&text[text.len() - 2..]) =>
            {
                Ok(Self::Clock { hour, minute })
            }
            _ => Err(wrong()),
        }
    }
}

fn minutes(text: &str) -> Result<EndTime, String> {
    match text.parse() {
        Ok(minutes) if minutes <= LONGEST => Ok(EndTime::Minutes(minutes)),
        Ok(_) | Err(_) => Err(format!("{text} minutes are more than a week ({LONGEST}), the longest wait")),
    }
}

/// Returns what was probably meant, by the habits of shutdown(8) and of people.
fn hint(text: &str) -> String {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim_start_matches('+');
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    match text {
        "now" => "; without -T it begins at once".to_owned(),
        _ if is_number && (text.starts_with('+') || text.ends_with('m') || text.ends_with("min")) => {
            format!("; minutes are written without a sign or unit: -T {number}")
        }
        _ => String::new(),
    }
}

fn hour_text(text: &str) -> &str {
    text.split(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    /// It was called neither a number nor a time.
    #[test]
    fn a_wait_that_is_too_long_or_written_otherwise_is_told_with_the_way_out() {
        for (text, said) in [
            ("525600", "525600 minutes are more than a week (10080), the longest wait"),
            ("99999999999999", "are more than a week (10080)"),
            ("+5", "minutes are written without a sign or unit: -T 5"),
            ("10min", "-T 10"),
            ("now", "without -T it begins at once"),
            ("5h", "\"5h\" is neither a number of minutes nor a time of day like 18:30"),
            ("+", "is neither a number"),
        ] {
            let error = text.parse::<EndTime>().unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
        assert_eq!("10080".parse(), Ok(EndTime::Minutes(10_080)));
    }

    fn parse(line: &str) -> Result<ShutdownArgs, String> {
        ShutdownArgs::try_parse_from(std::iter::once("cshutdown").chain(line.split_whitespace()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_documented_exclusions_hold() {
        for wrong in [
            "-N -g 1",
            "-X -E ALL",
            "-h -m ALL",
            "-h -r ALL",
            "-h -k ALL",
            "-k -m ALL",
            "-k -r ALL",
            "-m -r ALL",
            "-C -Z ALL",
            "-h -C -Z ALL",
            "-M bye ALL",
            "",
            "--cancel -F",
            "-F --cancel",
            "-q -v ALL",
            "-m --force-off ALL",
            "--rehearse -k ALL",
            "--rehearse -n ALL",
            "--fail n1 ALL",
            "-K 0 ALL",
            "-W soon ALL",
            "--confirm many ALL",
            "--within 0 ALL",
            "--within soon ALL",
            "--within 8m -r ALL",
            "--within 8m -m ALL",
            "--within 8m -s ALL",
            "--within 8m",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        for right in [
            "-h ALL",
            "-GPN -R -Y -F -s 3",
            "-r -C -Z ALL",
            "-T 5 -M bye ALL",
            "-m -P n1 n2",
            "--cancel",
            "--cancel 4242 n[1-8]",
            "--wait --confirm 1 n1",
            "--wait=5m n1",
            "-W 300 -W AUTO ALL",
            "-k -n ALL",
            "-r -n ALL",
            "--within 8m -T 5 -F -P -k ALL",
            "--within 480 -h --rehearse --json ALL",
            "-r --rehearse --fail n1 --fail n2 ALL",
        ] {
            assert!(parse(right).is_ok(), "{right}: {:?}", parse(right));
        }
    }

    #[test]
    fn h_is_halt_and_help_is_help() {
        assert!(parse("-h n1").is_ok_and(|args| args.halt));
        assert!(parse("--help").is_err_and(|text| text.contains("Usage")));
    }

    #[test]
    fn a_time_is_minutes_or_a_time_of_day() {
        assert_eq!("0".parse(), Ok(EndTime::Minutes(0)));
        assert_eq!("18:05".parse(), Ok(EndTime::Clock { hour: 18, minute: 5 }));
        for wrong in ["", "24:00", "1:60", "1:5", "+5", "5m", "12:", ":30", "99999", "-1", "1:+5", "é:30"] {
            assert!(wrong.parse::<EndTime>().is_err(), "{wrong}");
        }
    }
}
