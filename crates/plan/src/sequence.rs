//! Sequence files: groups, and the order they are in.
//!
//! [`parse`] reads the text, [`Sequence::from_inventory`] makes what stands in for a missing file,
//! [`Sequence::order`] says what it means for nodes, [`Sequence::to_text`] writes it down again.

mod compare;
mod cycle;
mod groups;
mod json;
mod lexer;
mod parser;
mod relations;
mod reverse;
mod why;
mod word;
mod write;

pub use compare::{Drift, conflicts, drift, states_the_same};
pub use cycle::CycleParts;
pub use groups::{At, Edge, Group, GroupMember, Sequence};
pub use json::{SequenceDocument, from_json};
pub use parser::{
    lists_subsystems, parse, parse_leniently, parse_shutdown, parse_subsystems, parse_with_cycles,
};
pub use relations::{Form, Process};
pub use reverse::reversed_text;
pub use why::{Link, LinkReason, SomeOf};
pub use write::Spelling;
