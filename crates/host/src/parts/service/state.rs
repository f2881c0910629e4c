//! How a service is: asked by its own command, or of systemd.
//!
//! Three answers, never two: a status that cannot be understood is unknown, and unknown is not down.

use crate::action::Way;
use crate::config::{Control, ServiceTable};
use orderly_exec::job::{Ended, Ending, Job};
use orderly_exec::runner::Run;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

/// What is known of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceState {
    Up,
    Down,
    /// Why nothing can be said.
    Unknown(String),
}

/// How long a question may take; acts have the service's own limit.
const ASKING: Duration = Duration::from_secs(60);

/// Asks for the state of a service.
pub fn state(service: &ServiceTable, run: &mut dyn Run) -> ServiceState {
    match &service.control {
        Control::Commands { status, .. } => judge(&run.run(&Job::new(status, ASKING.min(service.timeout)))),
        Control::Unit(unit) => unit_state(unit, run),
    }
}

/// Returns why systemd stops or starts a unit for nobody who asks, as a clause with its remedy. A systemd that does not
/// tell is believed to do it.
pub(super) fn refusal(unit: &str, way: Way, run: &mut dyn Run) -> Option<String> {
    let (property, word, setting) = match way {
        Way::Take => ("CanStart", "started", "RefuseManualStart="),
        Way::LetGo => ("CanStop", "stopped", "RefuseManualStop="),
    };
    let asked = format!("--property={property}");
    let ended = run.run(&Job::new(["systemctl", "show", &asked, "--", unit], ASKING));
    let is_refused = ended.text().lines().any(|line| line == format!("{property}=no"));
    is_refused
        .then(|| format!("{unit} cannot be {word} by hand (systemctl edit {unit}, and take {setting} out)"))
}

/// Reads what a `status` command said: its last line that is not blank, or else its exit status.
fn judge(ended: &Ended) -> ServiceState {
    let text = ended.text();
    let unknown = |why: String| ServiceState::Unknown(why);
    if !matches!(ended.ending, Ending::Exited(_)) {
        return unknown(format!("status: {}", ended.clause()));
    }
    match text.lines().map(str::trim).rfind(|line| !line.is_empty()) {
        Some("online" | "active" | "running") => ServiceState::Up,
        Some("offline" | "inactive" | "stopped") => ServiceState::Down,
        Some(line) => unknown(format!("status says \"{line}\"")),
        None => match ended.ending {
            Ending::Exited(0) => ServiceState::Up,
            Ending::Exited(3) => ServiceState::Down,
            Ending::Exited(_)
            | Ending::Killed(_)
            | Ending::TimedOut
            | Ending::Unkillable
            | Ending::NotStarted => unknown(format!("status: {}", ended.clause())),
        },
    }
}

/// How long systemd is asked again while it says nothing that lasts: an hourly backup that meets a unit amid
/// its reload, or loses one answer, would be refused for an hour.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long is waited between two such questions.
const LOOKING: Duration = Duration::from_millis(250);

/// What one answer of systemd says of a unit.
#[derive(Debug, PartialEq, Eq)]
enum UnitAnswer {
    Lasting(ServiceState),
    /// Something that passes, or no answer; said if it does not pass.
    Passing(String),
}

/// Asks systemd until it says something that lasts.
fn unit_state(unit: &str, run: &mut dyn Run) -> ServiceState {
    let until = Instant::now() + PATIENCE;
    loop {
        match ask_systemd(unit, run) {
            UnitAnswer::Lasting(state) => return state,
            UnitAnswer::Passing(why) if Instant::now() + LOOKING >= until => {
                return ServiceState::Unknown(why);
            }
            UnitAnswer::Passing(_) => std::thread::sleep(LOOKING),
        }
    }
}

fn ask_systemd(unit: &str, run: &mut dyn Run) -> UnitAnswer {
    let properties = "--property=LoadState,ActiveState,SubState,ControlGroup";
    let ended = run.run(&Job::new(["systemctl", "show", properties, "--", unit], ASKING));
    if matches!(ended.ending, Ending::NotStarted | Ending::Unkillable) {
        return UnitAnswer::Lasting(ServiceState::Unknown(format!("systemctl show: {}", ended.clause())));
    }
    if !ended.succeeded() {
        return UnitAnswer::Passing(format!("systemctl show: {}", ended.clause()));
    }
    let text = ended.text();
    let property =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or("");
    let state = match (property("LoadState"), property("ActiveState")) {
        // It runs while it reads its configuration anew.
        ("loaded", "active" | "reloading" | "refreshing") => ServiceState::Up,
        ("loaded", "inactive" | "failed") => stopped(unit, property("ControlGroup")),
        ("loaded", other @ ("activating" | "deactivating" | "maintenance")) => {
            return UnitAnswer::Passing(format!(
                "{unit} is {other} ({}), and stays so",
                property("SubState")
            ));
        }
        ("loaded", other) => ServiceState::Unknown(format!("{unit} is {other}")),
        ("", _) => return UnitAnswer::Passing(format!("systemctl show says nothing of {unit}")),
        (load, _) => ServiceState::Unknown(format!("{unit} is {load}")),
    };
    UnitAnswer::Lasting(state)
}

/// Stopped is not gone: with KillMode=process its children stay and hold the asset.
fn stopped(unit: &str, group: &str) -> ServiceState {
    match left_in(&GROUPS.map(Path::new), group) {
        Some(left) if left.is_empty() => ServiceState::Down,
        Some(left) => ServiceState::Unknown(format!(
            "{unit} is stopped, but processes of it remain: {}; end them",
            named(&left)
        )),
        None => ServiceState::Unknown(format!(
            "{unit} is stopped, but whether processes of it remain cannot be read"
        )),
    }
}

/// Where systemd keeps its control groups: version 2, version 1, and both at once.
const GROUPS: [&str; 3] = ["/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"];

/// Returns the processes that are left in a control group and in those below it; one that is gone has
/// none. `None` where nobody can say: a group that cannot be seen is not empty.
fn left_in(roots: &[&Path], group: &str) -> Option<BTreeSet<u32>> {
    let mut left = BTreeSet::new();
    if group.is_empty() {
        return Some(left);
    }
    let mut is_known = false;
    for root in roots.iter().filter(|root| root.join(PROCESSES).exists()) {
        collect(&root.join(group.trim_start_matches('/')), &mut left).ok()?;
        is_known = true;
    }
    is_known.then_some(left)
}

/// The file of a control group that lists its own processes, without those of the groups below.
const PROCESSES: &str = "cgroup.procs";

fn collect(group: &Path, left: &mut BTreeSet<u32>) -> std::io::Result<()> {
    let gone = |error: &std::io::Error| {
        error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(nix::libc::ENODEV)
    };
    match std::fs::read_to_string(group.join(PROCESSES)) {
        Ok(text) => left.extend(text.lines().filter_map(|line| line.trim().parse::<u32>().ok())),
        // A group of threads (cgroups(7)): the one above lists its processes.
        Err(error) if error.raw_os_error() == Some(nix::libc::EOPNOTSUPP) => {}
        Err(error) if gone(&error) => return Ok(()),
        Err(error) => return Err(error),
    }
    let entries = match std::fs::read_dir(group) {
        Ok(entries) => entries,
        Err(error) if gone(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), left)?;
        }
    }
    Ok(())
}

/// How many processes are named before the rest is counted.
const NAMED: usize = 5;

fn named(left: &BTreeSet<u32>) -> String {
    let name = |pid: &u32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        format!("{pid} ({})", name.trim())
    };
    let mut named: Vec<String> = left.iter().take(NAMED).map(name).collect();
    if left.len() > NAMED {
        named.push(format!("and {} more", left.len() - NAMED));
    }
    named.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers every command with the same.
    struct Says(Ending, &'static str);

    impl Run for Says {
        fn run(&mut self, _: &Job) -> Ended {
            Ended {
                ending: self.0,
                stdout: self.1.into(),
                stderr: Vec::new(),
                truncated: false,
                took: Duration::ZERO,
            }
        }
    }

    fn service(control: Control) -> ServiceTable {
        ServiceTable { name: "s".into(), control, timeout: Duration::from_secs(1) }
    }

    #[test]
    fn a_status_has_three_answers() {
        let argv = vec!["x".to_owned()];
        let service = service(Control::Commands { status: argv.clone(), stop: argv.clone(), start: argv });
        let said = |ending, text| state(&service, &mut Says(ending, text));
        for word in ["online", "active\n", "checking\nrunning\n\n"] {
            assert_eq!(said(Ending::Exited(0), word), ServiceState::Up, "{word}");
        }
        assert_eq!(said(Ending::Exited(1), "offline\n"), ServiceState::Down);
        assert_eq!(said(Ending::Exited(0), ""), ServiceState::Up);
        assert_eq!(said(Ending::Exited(3), " \n"), ServiceState::Down);
        for (ending, text) in [
            (Ending::Exited(1), ""),
            (Ending::Exited(0), "verification failed"),
            (Ending::TimedOut, "offline"),
            (Ending::Killed(9), ""),
            (Ending::NotStarted, ""),
        ] {
            assert!(matches!(said(ending, text), ServiceState::Unknown(_)), "{ending} {text}");
        }
    }

    #[test]
    fn a_unit_that_is_not_there_is_unknown_and_not_down() {
        let service = service(Control::Unit("a.service".into()));
        let said = |text| state(&service, &mut Says(Ending::Exited(0), text));
        assert_eq!(
            said("LoadState=loaded\nActiveState=active\nControlGroup=/system.slice/a\n"),
            ServiceState::Up
        );
        assert_eq!(said("LoadState=loaded\nActiveState=inactive\nControlGroup=\n"), ServiceState::Down);
        for text in
            ["LoadState=not-found\nActiveState=inactive\n", "LoadState=masked\nActiveState=inactive\n"]
        {
            assert!(matches!(said(text), ServiceState::Unknown(_)), "{text}");
        }
    }

    /// Gives one answer after the other; the last one for ever.
    struct Answers(Vec<(Ending, &'static str)>);

    impl Run for Answers {
        fn run(&mut self, job: &Job) -> Ended {
            let (ending, text) = if self.0.len() > 1 { self.0.remove(0) } else { self.0[0] };
            Says(ending, text).run(job)
        }
    }

    /// An hourly backup and a release were refused because a unit was read amid its reload, or because one
    /// answer of systemd was lost.
    #[test]
    fn a_unit_that_reloads_is_up_and_what_passes_is_asked_again() {
        let service = service(Control::Unit("a.service".into()));
        let ok = Ending::Exited(0);
        let up = (ok, "LoadState=loaded\nActiveState=active\nSubState=running\nControlGroup=/a\n");
        for state in
            ["LoadState=loaded\nActiveState=reloading\n", "LoadState=loaded\nActiveState=refreshing\n"]
        {
            assert_eq!(
                ask_systemd("a.service", &mut Says(ok, state)),
                UnitAnswer::Lasting(ServiceState::Up),
                "{state}"
            );
        }
        let down = (ok, "LoadState=loaded\nActiveState=inactive\nSubState=dead\nControlGroup=\n");
        for passing in [
            (ok, "LoadState=loaded\nActiveState=activating\nSubState=start-post\n"),
            (ok, "LoadState=loaded\nActiveState=maintenance\nSubState=cleaning\n"),
            (ok, ""),
            (Ending::Exited(1), ""),
            (Ending::Killed(9), ""),
        ] {
            assert_eq!(state(&service, &mut Answers(vec![passing, up])), ServiceState::Up, "{passing:?}");
            assert_eq!(
                state(&service, &mut Answers(vec![passing, passing, down])),
                ServiceState::Down,
                "{passing:?}"
            );
        }
    }

    /// Whatever passes and does not is unknown, never up and never down.
    #[test]
    fn a_unit_that_stays_between_is_unknown() {
        let service = service(Control::Unit("a.service".into()));
        let text = "LoadState=loaded\nActiveState=activating\nSubState=auto-restart\n";
        let said = state(&service, &mut Says(Ending::Exited(0), text));
        assert_eq!(
            said,
            ServiceState::Unknown("a.service is activating (auto-restart), and stays so".to_owned())
        );
    }

    /// In version 1 a process one group further down was not seen, and its unit passed for stopped.
    #[test]
    fn a_control_group_is_empty_when_no_group_below_it_has_a_process_either() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("systemd");
        let (unit, below) = (root.join("system.slice/a.service"), root.join("system.slice/a.service/x/y"));
        std::fs::create_dir_all(&below).unwrap();
        std::fs::write(root.join(PROCESSES), "1\n").unwrap();
        for group in [unit.as_path(), &unit.join("x"), &below] {
            std::fs::write(group.join(PROCESSES), "").unwrap();
        }
        let left = |group: &str| left_in(&[&dir.path().join("unified"), &root], group);
        assert_eq!(left("/system.slice/a.service"), Some(BTreeSet::new()));
        std::fs::write(below.join(PROCESSES), "70\n71\n").unwrap();
        assert_eq!(left("/system.slice/a.service"), Some(BTreeSet::from([70, 71])));
        assert_eq!(left("/system.slice/gone.service"), Some(BTreeSet::new()));
        assert_eq!(left(""), Some(BTreeSet::new()));
        assert_eq!(
            left_in(&[&dir.path().join("unified")], "/system.slice/a.service"),
            None,
            "not to be seen"
        );
    }
}
