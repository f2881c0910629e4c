//! What holds of every input, whatever is in it: no panic, and what is accepted is written and read back the same.
//!
//! One entry a format ([`FORMATS`]). `run.sh` fuzzes them with libFuzzer, `tests/replay.rs` tries damaged seeds.

#![allow(clippy::panic, clippy::missing_panics_doc, reason = "a fault that is found ends with a panic")]

mod dictionary;
mod formats;
mod plan;
mod runs;

pub use formats::FORMATS;

/// An input format.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    pub name: &'static str,
    /// Panics where something does not hold.
    pub check: fn(&[u8]),
    /// Short inputs that are read.
    pub seeds: &'static [&'static str],
}

impl Format {
    /// Returns words for the fuzzer, as libFuzzer reads them; nothing for a format that is no JSON.
    pub fn dictionary(&self) -> Option<String> {
        dictionary::of(self)
    }

    /// Returns the format of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        FORMATS.iter().find(|format| format.name == name)
    }
}
