//! What was typed; nothing resolved.

/// Arguments of cstartup.
#[derive(Debug, clap::Parser)]
#[command(name = "cstartup", version)]
pub struct Args {}
