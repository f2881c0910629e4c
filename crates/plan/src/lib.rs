//! Decides. Pure values in, pure values out: no file, process, clock or environment.
//!
//! Start reading at [`sequence`] (what people write), [`graph`] (what it means) and
//! [`progress`] (where a run stands and what may start next).

mod faults;

pub mod ancestry;
pub mod claim;
pub mod deadline;
pub mod diagnostic;
pub mod doing;
pub mod drivers;
pub mod duration;
pub mod failure;
pub mod fence;
pub mod graph;
pub mod holding;
pub mod inventory;
pub mod json;
pub mod name;
pub mod nodeset;
pub mod notice;
pub mod outcome;
pub mod owed;
pub mod permit;
pub mod progress;
pub mod record;
pub mod release;
pub mod report;
pub mod run;
pub mod select;
pub mod sequence;
pub mod shutdown;
pub mod snapshot;
pub mod startup;
pub mod step;
pub mod suggest;
pub mod survey;
pub mod threshold;
pub mod throttle;
pub mod timeline;
pub mod timers;
pub mod words;
