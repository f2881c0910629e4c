//! What this machine says when it is asked whether something is as it is to be.

/// Whether the goal of an action is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Yes,
    /// Not, and what stands in the way.
    No(String),
    /// Nobody can say, and why. Never taken for yes.
    Unknown(String),
    /// There is nothing to ask: the action itself tells.
    Untold,
}
