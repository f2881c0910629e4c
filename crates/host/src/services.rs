//! Services: asked, stopped and started, by their own commands or through systemd.
//!
//! Three answers, never two: a status that cannot be understood is unknown, and unknown is not down.

use crate::config::{Argv, Control, Service};
use orderly_exec::job::{Ended, Ending, Job};
use orderly_exec::runner::Run;
use std::path::Path;
use std::time::Duration;

/// What is known of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Up,
    Down,
    /// Why nothing can be said.
    Unknown(String),
}

/// How long a question may take; acts have the service's own limit.
const ASKING: Duration = Duration::from_secs(60);

/// Asks for the state of a service.
pub fn state(service: &Service, run: &mut dyn Run) -> State {
    match &service.control {
        Control::Commands { status, .. } => judge(&run.run(&Job::new(status, ASKING.min(service.timeout)))),
        Control::Unit(unit) => unit_state(unit, run),
    }
}

/// Returns the command that stops a service.
pub fn stop_command(service: &Service) -> Argv {
    match &service.control {
        Control::Commands { stop, .. } => stop.clone(),
        Control::Unit(unit) => ["systemctl", "stop", "--", unit].map(str::to_owned).to_vec(),
    }
}

/// Returns the command that starts a service.
pub fn start_command(service: &Service) -> Argv {
    match &service.control {
        Control::Commands { start, .. } => start.clone(),
        Control::Unit(unit) => ["systemctl", "start", "--", unit].map(str::to_owned).to_vec(),
    }
}

/// Reads what a `status` command said: its last line that is not blank, or else its exit status.
fn judge(ended: &Ended) -> State {
    let text = ended.text();
    let unknown = |why: String| State::Unknown(why);
    if !matches!(ended.ending, Ending::Exited(_)) {
        return unknown(format!("status: {}", ended.clause()));
    }
    match text.lines().map(str::trim).rfind(|line| !line.is_empty()) {
        Some("online" | "active" | "running") => State::Up,
        Some("offline" | "inactive" | "stopped") => State::Down,
        Some(line) => unknown(format!("status says \"{line}\"")),
        None => match ended.ending {
            Ending::Exited(0) => State::Up,
            Ending::Exited(3) => State::Down,
            Ending::Exited(_)
            | Ending::Killed(_)
            | Ending::TimedOut
            | Ending::Unkillable
            | Ending::NotStarted => unknown(format!("status: {}", ended.clause())),
        },
    }
}

fn unit_state(unit: &str, run: &mut dyn Run) -> State {
    let argv = ["systemctl", "show", "--property=LoadState,ActiveState,ControlGroup", "--", unit];
    let ended = run.run(&Job::new(argv, ASKING));
    if !ended.succeeded() {
        return State::Unknown(format!("systemctl show: {}", ended.clause()));
    }
    let text = ended.text();
    let property =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or("");
    match (property("LoadState"), property("ActiveState")) {
        ("loaded", "active") => State::Up,
        // Stopped is not gone: with KillMode=process its children stay and hold the asset.
        ("loaded", "inactive" | "failed") => match group_is_empty(property("ControlGroup")) {
            Some(true) => State::Down,
            Some(false) => State::Unknown(format!("{unit} is stopped, but processes of it remain")),
            None => State::Unknown(format!(
                "{unit} is stopped, but whether processes of it remain cannot be read"
            )),
        },
        ("loaded", other) => State::Unknown(format!("{unit} is {other}")),
        (load, _) => State::Unknown(format!("{unit} is {load}")),
    }
}

/// Tells whether no process is left in a control group of systemd; one that is gone has none.
fn group_is_empty(group: &str) -> Option<bool> {
    if group.is_empty() {
        return Some(true);
    }
    let mut readable = false;
    for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"] {
        let folder = Path::new(root).join(group.trim_start_matches('/'));
        match std::fs::read_to_string(folder.join("cgroup.events")) {
            Ok(events) if events.lines().any(|line| line == "populated 1") => return Some(false),
            Ok(_) => readable = true,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                match std::fs::read_to_string(folder.join("cgroup.procs")) {
                    Ok(processes) if !processes.trim().is_empty() => return Some(false),
                    Ok(_) => readable = true,
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => readable = true,
                    Err(_) => {}
                }
            }
            Err(_) => {}
        }
    }
    readable.then_some(true)
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

    fn service(control: Control) -> Service {
        Service { name: "s".into(), control, timeout: Duration::from_secs(1) }
    }

    #[test]
    fn a_status_has_three_answers() {
        let argv = vec!["x".to_owned()];
        let service = service(Control::Commands { status: argv.clone(), stop: argv.clone(), start: argv });
        let said = |ending, text| state(&service, &mut Says(ending, text));
        for word in ["online", "active\n", "checking\nrunning\n\n"] {
            assert_eq!(said(Ending::Exited(0), word), State::Up, "{word}");
        }
        assert_eq!(said(Ending::Exited(1), "offline\n"), State::Down);
        assert_eq!(said(Ending::Exited(0), ""), State::Up);
        assert_eq!(said(Ending::Exited(3), " \n"), State::Down);
        for (ending, text) in [
            (Ending::Exited(1), ""),
            (Ending::Exited(0), "verification failed"),
            (Ending::TimedOut, "offline"),
            (Ending::Killed(9), ""),
            (Ending::NotStarted, ""),
        ] {
            assert!(matches!(said(ending, text), State::Unknown(_)), "{ending} {text}");
        }
    }

    #[test]
    fn a_unit_that_is_not_there_is_unknown_and_not_down() {
        let service = service(Control::Unit("a.service".into()));
        let said = |text| state(&service, &mut Says(Ending::Exited(0), text));
        assert_eq!(said("LoadState=loaded\nActiveState=active\nControlGroup=/system.slice/a\n"), State::Up);
        assert_eq!(said("LoadState=loaded\nActiveState=inactive\nControlGroup=\n"), State::Down);
        for text in [
            "LoadState=not-found\nActiveState=inactive\n",
            "LoadState=loaded\nActiveState=deactivating\n",
            "",
        ] {
            assert!(matches!(said(text), State::Unknown(_)), "{text}");
        }
    }
}
