//! The nodes of a cluster: their names, numbers, addresses, partitions and servers.
//!
//! [`read`] takes what sites already have; each foreign format has its reader in `inventory/`, listed in
//! `inventory/format.rs`, and all of them hand their findings to one place that checks them (`inventory/check.rs`).

mod ansible;
mod check;
mod facts;
mod format;
mod genders;
mod guess;
mod json;
mod listing;
mod nodes;
mod outside;
mod parts;
mod reader;
mod relation;
mod shared;
mod spelling;
mod warewulf;
mod writer;
mod xcat;

pub use facts::{Attributes, Groups};
pub use format::Format;
pub use nodes::{Inventory, Node};
pub use outside::Outside;
pub use relation::{CONTROL, RELAYS, node_number};
pub use shared::{SharedValue, addresses, controllers};

use crate::diagnostic::{Diagnostics, Source};
use check::Drafts;

/// Reads a whole inventory, whose servers are all nodes of it or `outside`.
///
/// # Errors
/// Everything that is wrong with it, each with its place.
pub fn read(source: &Source<'_>, format: Format, outside: &Outside) -> Result<Inventory, Diagnostics> {
    let source = *source;
    let drafts = Drafts::new(source, outside);
    (format.reader().read)(source, drafts).map_err(|wrong| guess::explain(&source, format, wrong))
}

#[cfg(test)]
mod limits;
