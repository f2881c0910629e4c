//! Reads `[shell]`: how commands are run on a node.

use super::driver::ShellDriver;
use super::parallel::{Parallel, ParallelTool};
use super::ssh::Ssh;
use crate::template::{Reach, Template};
use orderly_exec::settings::Table;
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads the keys of a shell driver; `base` is what an override changes.
pub(crate) fn read(table: &Table<'_>, base: Option<&ShellDriver>) -> Option<ShellDriver> {
    let base_word = match base {
        None | Some(ShellDriver::None) => None,
        Some(ShellDriver::Simulator) => Some("simulator"),
        Some(ShellDriver::Ssh(_)) => Some("ssh"),
        Some(ShellDriver::Parallel(parallel)) => Some(parallel.tool.word()),
        Some(ShellDriver::Command(_)) => Some("command"),
    };
    let words = ["ssh", "clush", "pdsh", "command", "simulator"];
    match table.word_or("driver", &words, base_word) {
        None => {
            for key in [
                "run",
                "program",
                "worker",
                "topology",
                "names",
                "user",
                "port",
                "connect_timeout",
                "options",
                "aliases",
            ] {
                table.has(key);
            }
            None
        }
        Some("simulator") => Some(ShellDriver::Simulator),
        Some("ssh") => Some(ShellDriver::Ssh(read_ssh(table, base))),
        Some("clush") => Some(read_parallel(table, base, ParallelTool::Clush)),
        Some("pdsh") => Some(read_parallel(table, base, ParallelTool::Pdsh)),
        Some(_) => {
            if !matches!(base, Some(ShellDriver::Command(_))) {
                table.need("run");
            }
            read_run(table).map(ShellDriver::Command)
        }
    }
}

fn read_run(table: &Table<'_>) -> Option<Template> {
    let run = Template::read(table, "run")?;
    let wrong = if !run.takes_command() {
        "has no {command}"
    } else if run.reach() == Reach::Set {
        "runs on one node at a time; write {node} or {address}"
    } else if !run.names_node() {
        // Without it, the halt command would halt this machine.
        "does not say which node; write {node}, {number}, {address} or an attribute"
    } else {
        return Some(run);
    };
    table.reject("run", format!("{}: {wrong}", table.named("run")));
    None
}

fn read_ssh(table: &Table<'_>, base: Option<&ShellDriver>) -> Ssh {
    let mut ssh = match base {
        Some(ShellDriver::Ssh(ssh)) => ssh.clone(),
        Some(
            ShellDriver::None | ShellDriver::Simulator | ShellDriver::Parallel(_) | ShellDriver::Command(_),
        )
        | None => Ssh {
            program: "ssh".into(),
            user: None,
            port: None,
            connect_timeout: CONNECT_TIMEOUT,
            options: Vec::new(),
        },
    };
    if let Some(program) = table.text("program") {
        ssh.program = program;
    }
    ssh.user = table.text("user").or(ssh.user);
    ssh.port = table.port("port").or(ssh.port);
    if let Some(connect_timeout) = table.limit("connect_timeout") {
        ssh.connect_timeout = connect_timeout;
    }
    if let Some(options) = table.texts("options") {
        ssh.options = options;
    }
    ssh
}

fn read_parallel(table: &Table<'_>, base: Option<&ShellDriver>, tool: ParallelTool) -> ShellDriver {
    let mut parallel = match base {
        Some(ShellDriver::Parallel(before)) if before.tool == tool => (**before).clone(),
        Some(_) | None => Parallel {
            tool,
            program: tool.word().into(),
            // Debian's pdsh takes rsh where nothing else is said.
            worker: (tool == ParallelTool::Pdsh).then(|| "ssh".into()),
            run: None,
            topology: None,
            names: false,
            user: None,
            port: None,
            connect_timeout: CONNECT_TIMEOUT,
            options: Vec::new(),
        },
    };
    if let Some(program) = table.text("program") {
        parallel.program = program;
    }
    if table.has("run") {
        parallel.run = read_run(table).filter(|run| {
            let place = run.optional_place();
            if let Some(place) = place {
                let message =
                    format!("{}: {{{place}}} cannot stand here; write {{node}}", table.named("run"));
                table.reject("run", message);
            }
            place.is_none()
        });
    }
    if let Some(worker) = table.text("worker") {
        check_worker(table, &worker);
        parallel.worker = Some(worker);
    }
    if tool == ParallelTool::Clush && table.has("topology") {
        parallel.topology = table.absolute_path("topology");
    }
    if let Some(names) = table.flag("names") {
        parallel.names = names;
    }
    parallel.user = table.text("user").or(parallel.user);
    parallel.port = table.port("port").or(parallel.port);
    if let Some(connect_timeout) = table.limit("connect_timeout") {
        parallel.connect_timeout = connect_timeout;
    }
    if let Some(options) = table.texts("options") {
        if tool == ParallelTool::Pdsh && options.iter().any(|option| option.contains(char::is_whitespace)) {
            let message = format!(
                "{}: pdsh takes the options of ssh apart at blanks; write them in a file and name it with -F",
                table.named("options")
            );
            table.reject("options", message);
        }
        parallel.options = options;
    }
    ShellDriver::Parallel(Box::new(parallel))
}

fn check_worker(table: &Table<'_>, worker: &str) {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let wrong = if worker == "exec" {
        // By itself it would run the halt command here.
        "\"exec\" runs commands on this machine; write run = [\"PROGRAM\", \"{node}\", \"{command}\"] instead"
    } else if table.has("run") {
        "cannot stand beside run, which says how nodes are reached"
    } else if worker.is_empty() || !worker.chars().all(plain) {
        "is no name of a worker"
    } else {
        return;
    };
    table.reject("worker", format!("{}: {wrong}", table.named("worker")));
}
