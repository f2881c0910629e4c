//! `driver = "command"`: the site states the commands.
//!
//! They are believed: an exit status of 0 switched the power. A status prints `NODE: on` or `NODE: off`.

use super::driver::{PowerDriver, PowerEntry, before};
use super::lines::{is_answer, power_lines};
use crate::roster::Member;
use crate::template::{Reach, Template};
use orderly_exec::job::{Ended, Ending, Job};
use orderly_exec::settings::Table;
use orderly_plan::drivers::{FailureKind, Power, Task};
use std::sync::Arc;
use std::time::Duration;

pub(super) const ENTRY: PowerEntry = PowerEntry {
    word: "command",
    keys: &["on", "off", "reset", "status"],
    read: |table, base| read(table, before(base)),
};

#[derive(Debug, Clone)]
struct PowerCommands {
    on: Template,
    off: Template,
    /// Left out: off, wait for off, on.
    reset: Option<Template>,
    /// Left out: power cannot be read.
    status: Option<Template>,
}

fn read(table: &Table<'_>, base: Option<&PowerCommands>) -> Option<Arc<dyn PowerDriver>> {
    if base.is_none() {
        table.need("on");
        table.need("off");
    }
    let on = Template::read(table, "on");
    let off = Template::read(table, "off");
    let reset = Template::read(table, "reset");
    let status = Template::read(table, "status");
    Some(Arc::new(PowerCommands {
        on: on.or_else(|| base.map(|base| base.on.clone()))?,
        off: off.or_else(|| base.map(|base| base.off.clone()))?,
        reset: reset.or_else(|| base.and_then(|base| base.reset.clone())),
        status: status.or_else(|| base.and_then(|base| base.status.clone())),
    }))
}

impl PowerCommands {
    fn template(&self, task: Task) -> Option<&Template> {
        match task {
            Task::PowerOn => Some(&self.on),
            Task::PowerOff => Some(&self.off),
            Task::Reset => self.reset.as_ref(),
            Task::ReadPower | Task::Probe | Task::Run(_) => self.status.as_ref(),
        }
    }
}

impl PowerDriver for PowerCommands {
    fn word(&self) -> &'static str {
        ENTRY.word
    }

    /// A status command without any place tells of all nodes, in lines that name them.
    fn reach(&self, task: Task) -> Option<Reach> {
        let template = self.template(task)?;
        let tells_of_all = task == Task::ReadPower && !template.names_node();
        Some(if tells_of_all { Reach::Set } else { template.reach() })
    }

    fn job(&self, task: Task, nodes: &[&Member], timeout: Duration) -> anyhow::Result<Option<Job>> {
        let Some(template) = self.template(task) else { return Ok(None) };
        Ok(Some(Job::new(template.fill(nodes, "")?, timeout)))
    }

    fn powers(&self, nodes: &[&Member], ended: &Ended) -> Vec<Power> {
        if !ended.succeeded() && nodes.len() == 1 {
            return vec![Power::Unknown];
        }
        let mut text = ended.text();
        if ended.succeeded() && !ended.truncated {
            text.push('\n');
        }
        let said = power_lines(&text);
        nodes.iter().map(|node| said.get(node.name.as_str()).copied().unwrap_or(Power::Unknown)).collect()
    }

    fn is_known(&self) -> bool {
        false
    }

    fn templates(&self) -> Vec<(&'static str, &Template)> {
        let reset = self.reset.iter().map(|reset| ("power.reset", reset));
        let status = self.status.iter().map(|status| ("power.status", status));
        [("power.on", &self.on), ("power.off", &self.off)].into_iter().chain(reset).chain(status).collect()
    }

    fn why_unknown(&self, _node: &Member, ended: &Ended) -> (FailureKind, &'static str) {
        let kind = match ended.ending {
            Ending::Exited(126 | 127) | Ending::NotStarted => FailureKind::NotStarted,
            Ending::Exited(_) | Ending::Killed(_) | Ending::TimedOut | Ending::Unkillable => {
                FailureKind::Failed
            }
        };
        (kind, "")
    }

    fn is_answer(&self, node: &Member, ended: &Ended) -> bool {
        ended.succeeded() && is_answer(&ended.text(), &node.name)
    }

    /// Silence is an answer that a status may give of a node (see cluster.toml).
    fn is_strange(&self, node: &Member, ended: &Ended) -> bool {
        ended.succeeded() && !self.is_answer(node, ended) && !ended.text().trim().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orderly_exec::settings::TomlDocument;

    fn read_text(text: &str, base: Option<&PowerCommands>) -> Arc<dyn PowerDriver> {
        let document = TomlDocument::parse("cluster.toml", text).unwrap();
        read(&document.root(), base).unwrap()
    }

    #[test]
    fn an_override_changes_only_the_command_that_it_states() {
        let whole = "on = [\"a\"]\noff = [\"b\"]\nstatus = [\"c\", \"{nodes}\"]\n";
        let base = read_text(whole, None);
        let base = before::<PowerCommands>(Some(&base)).unwrap();
        let other = read_text("on = [\"other\", \"{node}\"]\n", Some(base));
        let other = before::<PowerCommands>(Some(&other)).unwrap();
        assert!(other.on != base.on && other.off == base.off && other.status == base.status);
    }
}
