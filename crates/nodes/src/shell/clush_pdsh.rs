//! `driver = "clush"` and `driver = "pdsh"`: their settings; the keys for ssh are ssh's own (`ssh`).

use super::command::read_run;
use super::driver::{ShellDriver, ShellEntry, before};
use super::parallel::{Parallel, ParallelTool};
use super::ssh::Ssh;
use orderly_exec::settings::Table;
use std::sync::Arc;

pub(super) const CLUSH: ShellEntry = ShellEntry {
    word: "clush",
    keys: &["worker", "run", "names", "topology"],
    read: |table, base| Some(Arc::new(Parallel::read(table, before(base), ParallelTool::Clush))),
};

pub(super) const PDSH: ShellEntry = ShellEntry {
    word: "pdsh",
    keys: &["worker", "run", "names"],
    read: |table, base| Some(Arc::new(Parallel::read(table, before(base), ParallelTool::Pdsh))),
};

impl Parallel {
    fn read(table: &Table<'_>, base: Option<&Self>, tool: ParallelTool) -> Self {
        let base = base.filter(|base| base.tool == tool);
        let ssh = Ssh::read(table, base.map(|base| &base.ssh), tool.word());
        if tool == ParallelTool::Pdsh && ssh.options.iter().any(|option| option.contains(char::is_whitespace))
        {
            let message = format!(
                "{}: pdsh takes the options of ssh apart at blanks; write them in a file and name it with -F",
                table.named("options")
            );
            table.reject("options", message);
        }
        let worker = table.text("worker").inspect(|worker| check_worker(table, worker));
        let run = read_run(table).filter(|run| {
            let place = run.optional_place();
            if let Some(place) = place {
                let message =
                    format!("{}: {{{place}}} cannot stand here; write {{node}}", table.named("run"));
                table.reject("run", message);
            }
            place.is_none()
        });
        let topology = if tool == ParallelTool::Clush { table.absolute_path("topology") } else { None };
        // Debian's pdsh takes rsh where nothing else is said.
        let usual = (tool == ParallelTool::Pdsh).then(|| "ssh".to_owned());
        Self {
            tool,
            ssh,
            worker: worker.or_else(|| base.map_or(usual, |base| base.worker.clone())),
            run: if table.has("run") { run } else { base.and_then(|base| base.run.clone()) },
            topology: topology.or_else(|| base?.topology.clone()),
            names: table.flag("names").unwrap_or_else(|| base.is_some_and(|base| base.names)),
        }
    }
}

impl ShellDriver for Parallel {
    fn word(&self) -> &'static str {
        self.tool.word()
    }

    fn parallel(&self) -> Option<&Parallel> {
        Some(self)
    }

    fn ssh(&self) -> Option<&Ssh> {
        Some(&self.ssh)
    }

    fn goes_by_name(&self) -> bool {
        self.run.is_none()
            && self.ssh.options.is_empty()
            && self.worker.as_deref().is_none_or(|worker| worker == "ssh")
    }
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
