//! The drivers of a run, by what they are for.

/// The drivers of a run, by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DriverKind {
    Power,
    Shell,
    Probe,
}

impl DriverKind {
    pub(crate) const ALL: [Self; 3] = [Self::Power, Self::Shell, Self::Probe];
}
