//! How a program ends: the one exit-status table of all six.

use std::fmt;
use std::process::ExitCode;

/// What the exit status promises to the calling script. 2, 3 and 4 mean that nothing was changed,
/// 1 that the state is known, 5 that automation must stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// What was asked is now true, also if it already was.
    Done,
    /// Something did not succeed; the state is known and reported.
    Failed,
    /// The arguments are wrong; nothing was touched.
    Usage,
    /// An input is unreadable or wrong; nothing was touched.
    Rejected,
    /// A precondition does not hold; nothing was touched.
    Refused,
    /// An undo failed or an outcome is unknown: a person must look.
    Stuck,
    /// Ended by this signal, after running actions were waited for.
    Signal(i32),
}

impl Status {
    /// Returns the number the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Rejected => 3,
            Self::Refused => 4,
            Self::Stuck => 5,
            Self::Signal(number) => 128 + u8::try_from(number).unwrap_or(0),
        }
    }

    /// Returns the status that the shell sees as this number; other numbers tell of something that did not succeed.
    pub fn of_code(code: u8) -> Self {
        match code {
            0 => Self::Done,
            2 => Self::Usage,
            3 => Self::Rejected,
            4 => Self::Refused,
            5 => Self::Stuck,
            129.. => Self::Signal(i32::from(code) - 128),
            1 | 6..=128 => Self::Failed,
        }
    }

    /// Returns the word used for it in JSON and in messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Rejected => "rejected",
            Self::Refused => "refused",
            Self::Stuck => "stuck",
            Self::Signal(_) => "interrupted",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status.code())
    }
}

/// Attaches the status to an error where it is known; `main` reads it once.
pub trait OrStatus<T> {
    /// Marks the error with `status`.
    ///
    /// # Errors
    /// The same error, marked.
    fn or_status(self, status: Status) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrStatus<T> for Result<T, E> {
    fn or_status(self, status: Status) -> anyhow::Result<T> {
        self.map_err(|error| mark(error.into(), status))
    }
}

/// Returns `error` marked with `status`.
pub fn mark(error: anyhow::Error, status: Status) -> anyhow::Error {
    error.context(status)
}

/// Returns what an error says without the word of its status, which is said once.
pub fn unmarked(error: &anyhow::Error) -> String {
    let marks = usize::from(error.downcast_ref::<Status>().is_some());
    error.chain().skip(marks).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Returns an error with `status` and this message.
pub fn fail(status: Status, message: impl fmt::Display) -> anyhow::Error {
    mark(anyhow::anyhow!("{message}"), status)
}
