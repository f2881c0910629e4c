//! What was typed; nothing resolved.

/// Arguments of ha-takeover.
#[derive(Debug, clap::Parser)]
#[command(name = "ha-takeover", version)]
pub struct Args {}
