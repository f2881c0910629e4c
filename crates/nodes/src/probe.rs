//! Probes: how a node is seen to be up. The connections of our own are in `tcp`; a probe by power or by a command
//! on the node goes through the other two drivers. Which reading counts is decided here for all (`calls`).

mod calls;
mod debounce;
mod tcp;

pub(crate) use calls::ProbeCalls;
pub(crate) use tcp::MOST;

use crate::template::{Reach, Template};
use orderly_exec::settings::Table;

/// How a node is asked whether it is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeDriver {
    /// Up as soon as the power-on succeeded.
    None,
    Simulator,
    /// Up when power reads on.
    Power,
    Tcp {
        port: u16,
        /// What the other side must say first; nothing is asked for when it is empty.
        banner: String,
    },
    /// Up when this succeeds on the node.
    Shell {
        command: String,
    },
    /// Exit status 0 is up, 1 is down, anything else unknown.
    Command(Template),
}

/// Reads the keys of a probe driver; `base` is what an override changes.
pub(crate) fn read(table: &Table<'_>, base: Option<&ProbeDriver>) -> Option<ProbeDriver> {
    let words = ["tcp", "shell", "power", "command", "simulator", "none"];
    let base_word = base.map(|base| match base {
        ProbeDriver::None => "none",
        ProbeDriver::Simulator => "simulator",
        ProbeDriver::Power => "power",
        ProbeDriver::Tcp { .. } => "tcp",
        ProbeDriver::Shell { .. } => "shell",
        ProbeDriver::Command(_) => "command",
    });
    match table.word_or("driver", &words, base_word) {
        None => {
            for key in ["up", "port", "banner", "command"] {
                table.has(key);
            }
            None
        }
        Some("none") => Some(ProbeDriver::None),
        Some("simulator") => Some(ProbeDriver::Simulator),
        Some("power") => Some(ProbeDriver::Power),
        Some("tcp") => read_tcp(table, base),
        Some("shell") => {
            let mut command = "true".to_owned();
            if let Some(ProbeDriver::Shell { command: before }) = base {
                command.clone_from(before);
            }
            Some(ProbeDriver::Shell { command: table.text("command").unwrap_or(command) })
        }
        Some(_) => {
            if !matches!(base, Some(ProbeDriver::Command(_))) {
                table.need("up");
            }
            Template::read(table, "up").and_then(|up| {
                let one = up.reach() == Reach::Each;
                if !one {
                    let message = format!(
                        "{}: one exit status cannot tell many nodes apart; write {{node}}",
                        table.named("up")
                    );
                    table.reject("up", message);
                }
                one.then_some(ProbeDriver::Command(up))
            })
        }
    }
}

fn read_tcp(table: &Table<'_>, base: Option<&ProbeDriver>) -> Option<ProbeDriver> {
    let (mut base_port, mut base_banner) = (None, String::new());
    if let Some(ProbeDriver::Tcp { port, banner }) = base {
        base_port = Some(*port);
        base_banner.clone_from(banner);
    }
    if base_port.is_none() {
        table.need("port");
    }
    let port = table.port("port").or(base_port);
    let banner = table.text("banner").unwrap_or(base_banner);
    Some(ProbeDriver::Tcp { port: port?, banner })
}
