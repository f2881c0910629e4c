//! OTHER MACHINES. `cluster.toml` and the drivers: power, shell, probe; the simulator is one of them.
//!
//! Start reading at [`config`] (what an administrator writes), then [`fleet`] (how it is carried out).

pub mod log;
pub mod run;
pub mod watch;
