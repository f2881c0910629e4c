//! OTHER MACHINES. `cluster.toml` and the drivers: power, shell, probe; the simulator is one of them.
