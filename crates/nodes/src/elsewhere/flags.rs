//! The flags by which a run is looked at and steered from elsewhere.

use orderly_exec::duration;
use std::str::FromStr;
use std::time::Duration;

/// What begins no run, and concerns those that go on.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ElsewhereFlags {
    /// Follow the run that goes on, or the one of these targets or this process, until it ends; it is left alone
    #[arg(long, num_args = 0.., value_name = "TARGET|PROCESS",
          conflicts_with_all = ["dry_run", "rehearse", "timeline", "why", "why_not"])]
    pub watch: Option<Vec<String>>,
    /// Print the runs that go on; with targets, ask how these stand, and print what runs do with them
    #[arg(long, num_args = 0.., value_name = "TARGET",
          conflicts_with_all = ["dry_run", "rehearse", "timeline", "why", "why_not", "watch"])]
    pub status: Option<Vec<String>>,
    /// Have the run that goes on stop waiting for these nodes; what needs them is held
    #[arg(long, num_args = 1.., value_name = "NODESET",
          conflicts_with_all = ["targets", "dry_run", "rehearse", "timeline", "why", "why_not", "watch", "status"])]
    pub give_up: Vec<String>,
    /// Have the run that goes on wait for these nodes so much longer than their limit says; without a time, as long again
    #[arg(long, num_args = 1.., value_name = "NODESET[=DURATION]",
          conflicts_with_all = ["targets", "dry_run", "rehearse", "timeline", "why", "why_not", "watch", "status", "give_up"])]
    pub more_time: Vec<MoreTime>,
}

/// Nodes that are given longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoreTime {
    pub nodes: String,
    /// As long again as their limit says where it is not said.
    pub longer: Option<Duration>,
}

impl FromStr for MoreTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (nodes, longer) = match text.rsplit_once('=') {
            Some((nodes, longer)) => (nodes, Some(duration::parse_limit(longer)?)),
            None => (text, None),
        };
        if nodes.is_empty() {
            return Err("say which nodes, as in n17=10m".to_owned());
        }
        Ok(Self { nodes: nodes.to_owned(), longer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_given_a_time_or_as_long_again() {
        let read = |text: &str| text.parse::<MoreTime>();
        let longer = |nodes: &str, longer: Option<u64>| {
            Ok(MoreTime { nodes: nodes.to_owned(), longer: longer.map(Duration::from_secs) })
        };
        assert_eq!(read("n[1-3]=10m"), longer("n[1-3]", Some(600)));
        assert_eq!(read("n1"), longer("n1", None));
        for wrong in ["n1=", "n1=soon", "=5m", "n1=0", ""] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
