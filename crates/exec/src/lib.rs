//! Runs. Processes, signals, deadlines, files, locks and the terminal.
//!
//! Start reading at [`children`], the one loop. Nothing here knows what a node or a hand-over is.

mod byte_locks;
pub mod children;
pub mod cli;
pub mod clock;
pub mod columns;
pub mod descriptors;
pub mod duration;
pub mod files;
pub mod here;
pub mod inventory;
pub mod job;
pub mod journal;
mod keyboard;
pub mod lock;
pub mod paths;
mod printable;
pub mod program;
pub mod reporter;
pub mod room;
pub mod runner;
pub mod scratch;
pub mod screen;
pub mod settings;
pub mod signals;
pub mod slots;
pub mod status;
pub mod trust;
pub mod visitors;

pub use cli::main;
pub use printable::printable;
pub use status::{OrStatus, Status, fail};
