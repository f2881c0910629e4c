//! Whose commands are run, and what a command is.

use serde::Serialize;

/// An argument vector.
pub type Argv = Vec<String>;

/// Whose commands are run, and whose output is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Platform {
    #[default]
    Linux,
    Solaris,
}
