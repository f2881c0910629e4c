//! Holdings are numbered: each take of the asset writes the next number to its label, so that "since it
//! was taken" and "who held it last" are comparisons of numbers, never of clocks.
//!
//! Invariant: a number is given once. A take that is repeated after a crash may skip one
//! (`a_number_is_never_given_twice`).

use serde::{Deserialize, Serialize};

/// What the label on the asset says: who holds it, or held it last, and in which holding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    pub host: String,
    /// 0 where an earlier version wrote the label.
    #[serde(default)]
    pub holding: u64,
}

/// The number under which a host holds the asset that it has just taken, or was found with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// The holding that the label names was not ended by a release: a crash does not end one.
    GoesOn(u64),
    /// A new one.
    Begins(u64),
}

impl Number {
    /// Returns the number itself.
    pub fn get(self) -> u64 {
        match self {
            Self::GoesOn(number) | Self::Begins(number) => number,
        }
    }
}

/// Numbers the holding of a host that holds the asset now. `ended` is the last holding that a safe record
/// of this host ended, `known` the highest number that this host heard of.
pub fn number(label: Option<&Label>, own: &str, ended: u64, known: u64) -> Number {
    match label {
        Some(label) if label.host == own && label.holding > ended => Number::GoesOn(label.holding),
        label => {
            let last = label.map_or(0, |label| label.holding);
            Number::Begins(last.max(known).max(ended).saturating_add(1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn label(host: &str, holding: u64) -> Label {
        Label { host: host.into(), holding }
    }

    #[test]
    fn a_holding_goes_on_until_a_record_ends_it() {
        assert_eq!(number(None, "ec1", 0, 0), Number::Begins(1));
        assert_eq!(number(Some(&label("ec1", 1)), "ec1", 0, 1), Number::GoesOn(1), "also after a crash");
        assert_eq!(number(Some(&label("ec1", 1)), "ec1", 1, 1), Number::Begins(2), "the way back");
        assert_eq!(number(Some(&label("ec1", 1)), "ec2", 0, 0), Number::Begins(2));
        assert_eq!(number(Some(&label("ec1", 0)), "ec1", 0, 0), Number::Begins(1), "of an earlier version");
        assert_eq!(number(None, "ec2", 3, 7), Number::Begins(8), "a label that is gone takes no number back");
    }

    proptest! {
        #[test]
        fn a_number_is_never_given_twice(host in 0u64..3, holding in 0u64..9, ended in 0u64..9, known in 0u64..9) {
            let found = (host > 0).then(|| label(&format!("ec{host}"), holding));
            if let Number::Begins(number) = number(found.as_ref(), "ec1", ended, known) {
                let last = found.map_or(0, |label| label.holding);
                prop_assert!(number > last && number > ended && number > known, "{number}");
            }
        }
    }
}
