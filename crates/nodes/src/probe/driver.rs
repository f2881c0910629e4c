//! What a probe driver is: by what a node is seen to be up.

use crate::entry::DriverEntry;
use crate::template::Template;

/// How a node is asked whether it is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeDriver {
    /// The word of `driver`.
    pub word: &'static str,
    pub by: ProbeBy,
}

/// By what a node is seen to be up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeBy {
    /// It is as soon as the power-on succeeded.
    Nothing,
    Simulator,
    /// Its power reads on.
    Power,
    /// A connection is taken.
    Connection {
        port: u16,
        /// What the other side must say first; nothing is asked for when it is empty.
        banner: String,
    },
    /// This succeeds on it.
    CommandThere(String),
    /// Exit status 0 is up, 1 is down, anything else unknown.
    CommandHere(Template),
}

impl ProbeDriver {
    /// No probe.
    pub const NONE: Self = Self { word: "none", by: ProbeBy::Nothing };

    /// Returns the port that is connected to.
    pub fn port(&self) -> Option<u16> {
        if let ProbeBy::Connection { port, .. } = self.by { Some(port) } else { None }
    }

    /// Returns the command of the site.
    pub(crate) fn template(&self) -> Option<&Template> {
        if let ProbeBy::CommandHere(up) = &self.by { Some(up) } else { None }
    }

    /// Tells whether it asks through the shell driver.
    pub(crate) fn needs_shell(&self) -> bool {
        matches!(self.by, ProbeBy::CommandThere(_))
    }
}

pub(crate) type ProbeEntry = DriverEntry<ProbeDriver>;
