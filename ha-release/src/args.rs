//! What was typed; nothing resolved.

/// Arguments of ha-release.
#[derive(Debug, clap::Parser)]
#[command(name = "ha-release", version)]
pub struct Args {}
