//! What was typed; nothing resolved.
//!
//! Where the public text is silent about a flag, its meaning is chosen here and said to be chosen in
//! the manual page: this file is the one table of them.

use clap::{Args as ClapArgs, Parser};
use orderly_exec::inventory::InventoryFlags;
use std::path::PathBuf;

/// Writes, checks and draws node sequence files.
#[derive(Debug, Parser)]
#[command(name = "seqfile", version, max_term_width = 100)]
pub struct SeqfileArgs {
    #[command(flatten)]
    pub task: SeqfileTask,
    /// Relate nodes by their boot-install servers; the default, accepted for old scripts
    #[arg(short = 'b')]
    pub boot_install: bool,
    #[command(flatten)]
    pub source: InventoryFlags,
    /// Relate nodes by this attribute as well, which names servers
    #[arg(long = "relation", value_name = "ATTR")]
    pub relations: Vec<String>,
    /// Accept these machines as servers although they are no nodes of the inventory
    #[arg(long, value_name = "NODESET")]
    pub outside: Vec<String>,
    /// Write the order of shutdown; with --check, take the files for that
    #[arg(long)]
    pub shutdown: bool,
    /// Write two groups a level, all servers before all clients
    #[arg(long)]
    pub compact: bool,
    /// Write members in bracket ranges
    #[arg(long)]
    pub fold: bool,
    #[command(flatten)]
    pub shape: ShapeFlags,
    /// Replace this file as a whole instead of writing to standard output (`-`)
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["check", "drift"])]
    pub output: Option<PathBuf>,
}

/// What to do instead of writing the default sequence.
#[derive(Debug, ClapArgs)]
#[group(multiple = false)]
pub struct SeqfileTask {
    /// Check sequence files; without -i names are not looked up
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub check: Vec<PathBuf>,
    /// Write a sequence file as it stands: as a graph, a table or JSON, or its text anew
    #[arg(long, value_name = "FILE")]
    pub read: Option<PathBuf>,
    /// Write a sequence file with its orders turned round
    #[arg(long, value_name = "FILE")]
    pub reverse: Option<PathBuf>,
    /// Write the sequence file of a JSON document
    #[arg(long, value_name = "FILE")]
    pub from_json: Option<PathBuf>,
    /// Tell how a sequence file has fallen behind the inventory
    #[arg(long, value_name = "FILE")]
    pub drift: Option<PathBuf>,
}

/// The shape of what is written; sequence text by default.
#[derive(Debug, ClapArgs)]
#[group(multiple = false)]
pub struct ShapeFlags {
    /// Write JSON with groups, edges and waves
    #[arg(long)]
    pub json: bool,
    /// Write a graph for Graphviz
    #[arg(long)]
    pub dot: bool,
    /// Draw that graph, by Graphviz, as SVG
    #[arg(long)]
    pub svg: bool,
    /// Write a table of what would run when
    #[arg(long)]
    pub waves: bool,
    /// Write the inventory itself as JSON, with all that was read
    #[arg(long)]
    pub inventory_json: bool,
}
