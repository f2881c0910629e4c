//! OTHER MACHINES. `cluster.toml` and the drivers: power, shell, probe; the simulator is one of them.
//!
//! Start reading at [`config`] (what an administrator writes), then [`backend`] (real nodes or imagined ones)
//! and [`run`] (the loop of a run). [`site`] reads everything an executor needs.

pub mod absent;
mod agenda;
mod asked;
pub mod backend;
pub mod boot;
pub mod booting;
pub mod claims;
pub mod command;
pub mod config;
pub mod connect;
pub mod controllers;
mod dispatcher;
mod driver;
pub mod elsewhere;
mod entry;
pub mod flags;
pub mod guard;
mod held_back;
pub mod history;
pub mod identity;
pub mod listed;
pub mod log;
pub mod logged;
pub mod names;
pub mod own;
pub mod permanent;
pub mod picture;
pub mod places;
pub mod power;
pub mod probe;
pub mod quieted;
pub mod reach;
mod records;
pub mod remedies;
pub mod roster;
pub mod run;
mod runtime;
mod shared;
pub mod shell;
mod signal;
pub mod simulator;
pub mod site;
pub mod subsystem;
pub mod targets;
pub mod telling;
pub mod template;
pub mod unreported;
pub mod up;
pub mod users;
pub mod versions;
pub mod watch;
pub mod why;
pub mod why_not;
mod wiring;

/// The loop reaps all children of its process, so the tests that start any run one at a time.
#[cfg(test)]
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
