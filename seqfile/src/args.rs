//! What was typed; nothing resolved.

/// Arguments of seqfile.
#[derive(Debug, clap::Parser)]
#[command(name = "seqfile", version)]
pub struct Args {}
