//! OTHER MACHINES. `cluster.toml` and the drivers: power, shell, probe; the simulator is one of them.
//!
//! Start reading at [`config`] (what an administrator writes), then [`fleet`] (how it is carried out).

pub mod config;
pub mod fleet;
pub mod roster;
mod shell;
pub mod simulator;
mod steady;
mod tcp;
pub mod template;
mod users;

/// The loop reaps all children of its process, so the tests that start any run one at a time.
#[cfg(test)]
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
