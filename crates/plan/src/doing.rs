//! What a node is at in the course of a run: what people are told, and in which stage of a timeline it stands.

/// What a node is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doing {
    /// Its turn has not come.
    WaitingForOthers,
    /// It is asked how it stands.
    Asked,
    /// Its turn has come and it is not known how it stands.
    NotKnown,
    /// It is asked which boot it is in, before it is told to leave it.
    AskedBoot,
    WaitingForDriver,
    PoweringOn,
    PoweringOff,
    Resetting,
    /// A power-on was reported failed; its power is read, which decides.
    JudgingPower,
    WaitingToTryAgain,
    Booting,
    TellingUsers,
    EndingUsers,
    BeingTold,
    WaitingForTurn,
    GoingDown,
    WaitingForOff,
    /// It was restarted, and is not up again.
    ComingUp,
}

impl Doing {
    /// Everything there is.
    pub const ALL: [Self; 18] = [
        Self::WaitingForOthers,
        Self::Asked,
        Self::NotKnown,
        Self::AskedBoot,
        Self::WaitingForDriver,
        Self::PoweringOn,
        Self::PoweringOff,
        Self::Resetting,
        Self::JudgingPower,
        Self::WaitingToTryAgain,
        Self::Booting,
        Self::TellingUsers,
        Self::EndingUsers,
        Self::BeingTold,
        Self::WaitingForTurn,
        Self::GoingDown,
        Self::WaitingForOff,
        Self::ComingUp,
    ];

    /// Returns it in words, each of them different.
    pub fn words(self) -> &'static str {
        match self {
            Self::WaitingForOthers => "waiting for others",
            Self::Asked => "asked how it stands",
            Self::NotKnown => "not known how it stands",
            Self::AskedBoot => "asked which boot it is in",
            Self::WaitingForDriver => "waiting for a free driver",
            Self::PoweringOn => "powering on",
            Self::PoweringOff => "powering off",
            Self::Resetting => "resetting",
            Self::JudgingPower => "power-on failed, reading its power",
            Self::WaitingToTryAgain => "waiting before it is tried again",
            Self::Booting => "booting",
            Self::TellingUsers => "telling its users",
            Self::EndingUsers => "ending its users' processes",
            Self::BeingTold => "being told to go down",
            Self::WaitingForTurn => "waiting for its turn",
            Self::GoingDown => "going down",
            Self::WaitingForOff => "waiting for power to read off",
            Self::ComingUp => "coming up again",
        }
    }

    /// Returns what these words say; nothing for others.
    pub fn read(words: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|doing| doing.words() == words)
    }

    /// Tells whether something is being done to the node, which is told of as a task that began.
    pub fn is_act(self) -> bool {
        matches!(
            self,
            Self::PoweringOn
                | Self::PoweringOff
                | Self::Resetting
                | Self::TellingUsers
                | Self::EndingUsers
                | Self::BeingTold
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_are_told_in_the_same_words() {
        let words: BTreeSet<&str> = Doing::ALL.iter().map(|doing| doing.words()).collect();
        assert_eq!(words.len(), Doing::ALL.len());
        let all: BTreeSet<Doing> = Doing::ALL.into();
        assert_eq!(all.len(), Doing::ALL.len());
    }
}
