//! The tables that an override may change in part, each key stated once: its type, its default, and how it is read.
//!
//! A driver reads its own keys; `driver` stands here because an override may name another one.

use crate::power::{NoPower, PowerDriver};
use crate::probe::ProbeDriver;
use crate::users::EndUsers;
use orderly_exec::settings::Table;
use std::sync::Arc;
use std::time::Duration;

/// Makes of the keys of a table the settings of a node, and the patch that an override is: what it leaves out stays.
macro_rules! table {
    (
        $(#[$about:meta])*
        $settings:ident, $patch:ident {
            $($(#[$doc:meta])* $key:ident: $type:ty = $default:expr, $read:expr;)*
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone)]
        pub struct $settings {
            $($(#[$doc])* pub $key: $type,)*
        }

        impl Default for $settings {
            fn default() -> Self {
                Self { $($key: $default,)* }
            }
        }

        impl $settings {
            /// Changes what `patch` says.
            pub(super) fn apply(&mut self, patch: &$patch) {
                $(if let Some(said) = &patch.$key {
                    self.$key.clone_from(said);
                })*
            }
        }

        /// What an override says of the same.
        #[derive(Debug, Clone, Default)]
        pub struct $patch {
            $(pub $key: Option<$type>,)*
        }

        impl $patch {
            pub(super) fn read(table: &Table<'_>) -> Self {
                Self { $($key: ($read)(table, stringify!($key)),)* }
            }
        }
    };
}

table! {
    /// How power is switched and read.
    PowerSettings, PowerPatch {
        driver: Arc<dyn PowerDriver> = Arc::new(NoPower), by_entry;
        /// For one call.
        timeout: Duration = Duration::from_secs(60), Table::limit;
    }
}

table! {
    /// How a node is seen to be up.
    #[derive(PartialEq, Eq)]
    ProbeSettings, ProbePatch {
        driver: ProbeDriver = ProbeDriver::NONE, by_entry;
        /// Between two probes of a node that is waited for.
        interval: Duration = Duration::from_secs(2), Table::limit;
        /// For one probe.
        timeout: Duration = Duration::from_secs(10), Table::limit;
        /// Equal readings in a row before a new state counts.
        stable: u32 = 1, stable;
    }
}

table! {
    /// The commands of `[shutdown]`, each a command line for the node's shell.
    #[derive(PartialEq, Eq)]
    Shutdown, ShutdownPatch {
        /// Reads the message on standard input.
        notify: String = "wall".into(), command;
        /// How long it may take on a node; the shutdown goes on after that.
        notify_timeout: Duration = Duration::from_secs(30), Table::duration;
        halt: String = "shutdown -h now".into(), command;
        restart: String = "shutdown -r now".into(), command;
        maintenance: String = "systemctl isolate rescue.target".into(), command;
        end_users: EndUsers = EndUsers::Sessions, end_users;
        /// Between TERM and KILL for users' processes.
        grace: Duration = Duration::from_secs(30), Table::duration;
        /// How long a probe must read down before a node counts as down without a power reading.
        settle: Duration = Duration::from_secs(30), Table::duration;
        /// How long a node is thought to take to go down of which that is not known yet.
        usual: Duration = Duration::from_secs(120), Table::duration;
    }
}

table! {
    /// The limits that may differ from node to node.
    #[derive(PartialEq, Eq)]
    NodeLimits, LimitsPatch {
        /// How long a node that is on may take to come up before it is given up, or reset.
        boot: Duration = Duration::from_secs(600), Table::limit;
        /// Such a node is reset once, and not given up (`stuck = "reset"`, `--reset-stuck`).
        reset_stuck: bool = false, |table, _| stuck(table);
        /// For a node, and for each call of a driver.
        timeout: Duration = Duration::from_secs(900), Table::limit;
        retries: u32 = 2, retries;
    }
}

/// A driver is read with the one that an override changes (`read.rs`).
fn by_entry<D>(_: &Table<'_>, _: &'static str) -> Option<D> {
    None
}

fn stable(table: &Table<'_>, key: &'static str) -> Option<u32> {
    let stable = u32::try_from(table.number(key)?).ok().filter(|stable| (1..=100).contains(stable));
    if stable.is_none() {
        table.reject(key, format!("{}: from 1 to 100", table.named(key)));
    }
    stable
}

fn command(table: &Table<'_>, key: &'static str) -> Option<String> {
    let text = table.text(key)?;
    if text.trim().is_empty() {
        table.reject(key, format!("{}: is empty", table.named(key)));
    }
    Some(text)
}

fn end_users(table: &Table<'_>, key: &'static str) -> Option<EndUsers> {
    table.word(key, &["sessions", "nonroot", "none"]).map(|word| match word {
        "sessions" => EndUsers::Sessions,
        "nonroot" => EndUsers::Nonroot,
        _ => EndUsers::None,
    })
}

fn stuck(table: &Table<'_>) -> Option<bool> {
    match table.text("stuck")?.as_str() {
        "fail" => Some(false),
        "reset" => Some(true),
        _ => {
            table.reject("stuck", format!("{}: write \"fail\" or \"reset\"", table.named("stuck")));
            None
        }
    }
}

fn retries(table: &Table<'_>, key: &'static str) -> Option<u32> {
    table.number(key).map(|retries| u32::try_from(retries).unwrap_or(u32::MAX))
}
