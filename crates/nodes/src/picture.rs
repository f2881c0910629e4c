//! The picture of a run that `--timeline` asks for.

use crate::flags::RunFlags;
use crate::logged::LoggedRun;
use crate::site::Site;
use orderly_exec::reporter::Reporter;
use orderly_exec::{Status, clock, fail, files, job, program};
use orderly_plan::drivers::NodeId;
use orderly_plan::graph::GroupId;
use orderly_plan::outcome::NodeEnding;
use orderly_plan::report;
use orderly_plan::timeline::{Timeline, TimelineTitle};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Who looks at a picture reads the log as well.
const MODE: u32 = 0o640;

/// A picture that is being made while a run goes on.
#[derive(Debug)]
pub struct Picture {
    path: PathBuf,
    began: String,
}

impl Picture {
    /// Returns the picture that is asked for.
    ///
    /// # Errors
    /// Rejected (3) when it could not be written: that is found out before anything is done.
    pub fn asked(flags: &RunFlags) -> anyhow::Result<Option<Self>> {
        let Some(path) = &flags.timeline else { return Ok(None) };
        check(path)?;
        let began = format!("{} by {}", clock::local(), orderly_exec::lock::who());
        Ok(Some(Self { path: path.clone(), began }))
    }

    /// Draws it, once the run is over, and says where it is.
    pub fn draw(
        self,
        mut timeline: Timeline,
        (site, endings): (&Site, &[NodeEnding]),
        closing: &str,
        reporter: &Reporter,
    ) {
        let name = |node: NodeId| site.name(node);
        let path = report::critical_path(&site.order, endings);
        if path.len() > 1 {
            timeline.mark_critical(path.iter().map(|ending| name(ending.node)));
        }
        for ending in endings {
            let (Some(by), at) = (ending.outcome.held_by(), ending.ended.unwrap_or_default()) else {
                continue;
            };
            let by = crate::site::fold(site, by);
            timeline.held(name(ending.node), at, &by);
        }
        let command = job::show(&[&[program::program_name()], &*program::arguments()].concat());
        let about = format!("{}; {closing}", self.began);
        write(&self.path, &timeline, (&command, &about), &groups(Some(site)), reporter);
    }
}

/// Draws the run that a log tells of (`--from-log`).
///
/// # Errors
/// Rejected (3) when the log cannot be read or the picture not be written.
pub fn of_log(path: &Path, log: &Path, site: Option<&Site>, reporter: &Reporter) -> anyhow::Result<Status> {
    check(path)?;
    let logged = LoggedRun::read(log)?;
    let title = (logged.command.as_str(), logged.about.as_str());
    let is_written = write(path, &logged.timeline, title, &groups(site), reporter);
    Ok(if is_written { Status::Done } else { Status::Failed })
}

fn check(path: &Path) -> anyhow::Result<()> {
    if path == Path::new("-") {
        let why = "--timeline: a picture is not written to standard output; name a file, as in run.svg";
        return Err(fail(Status::Rejected, why));
    }
    files::check_replaceable(path).map_err(|error| fail(Status::Rejected, format!("--timeline: {error:#}")))
}

fn write(
    path: &Path,
    timeline: &Timeline,
    (command, about): (&str, &str),
    groups: &HashMap<String, String>,
    reporter: &Reporter,
) -> bool {
    let svg = timeline.svg(&TimelineTitle { command, about }, &|name| groups.get(name).cloned());
    match files::replace_with_mode(path, svg.as_bytes(), MODE) {
        Ok(()) => reporter.say(format!("the timeline is in {}", path.display())),
        Err(error) => {
            reporter.warn(format!("the timeline is not written: {error:#}"));
            return false;
        }
    }
    true
}

/// Returns by node the first group of the sequence that it is in.
fn groups(site: Option<&Site>) -> HashMap<String, String> {
    let mut groups = HashMap::new();
    let Some(site) = site else { return groups };
    let all = site.sequence.group_ids();
    for group in all.collect::<Vec<GroupId>>() {
        for member in &site.sequence.group(group).members {
            let name = || site.sequence.group_name(group).to_owned();
            groups.entry(site.name(member.node).to_owned()).or_insert_with(name);
        }
    }
    groups
}
