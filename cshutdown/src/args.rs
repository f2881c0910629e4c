//! What was typed; nothing resolved.

/// Arguments of cshutdown.
#[derive(Debug, clap::Parser)]
#[command(name = "cshutdown", version)]
pub struct Args {}
