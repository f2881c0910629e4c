//! Tests of reading `cluster.toml`.
