//! What was typed; nothing resolved.

/// Arguments of habackup.
#[derive(Debug, clap::Parser)]
#[command(name = "habackup", version)]
pub struct Args {}
