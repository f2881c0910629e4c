//! Whether a record permits a takeover here: of two that the hosts exchanged at most one does, and a host
//! gets its own asset back after a crash with its peer's word.
//!
//! Records of one asset at one change mark are in one order, by serial and then by the names of the hosts,
//! which both configurations know alike. A peer's record permits only if it comes after this host's own last one.
//!
//! Invariant: never do two records that were exchanged at one mark permit both hosts
//! (`of_two_records_that_were_exchanged_at_most_one_permits`).

#[cfg(test)]
mod model;

use std::fmt;

/// A record as far as it matters here: its serial, its maker, and the change mark of the asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim<'a> {
    pub serial: u64,
    pub host: &'a str,
    pub mark: Option<&'a str>,
}

impl Claim<'_> {
    /// Tells whether it comes after another one of the same mark. At another mark there is nothing to
    /// compare: the asset was held in between.
    pub fn comes_after(&self, other: &Claim<'_>) -> bool {
        self.mark != other.mark || (self.serial, self.host) > (other.serial, other.host)
    }
}

/// The highest serial that may be asked for: no later one ever comes to its end.
pub const LARGEST: u64 = 1 << 53;

/// Tells whether a host that is asked for no more than [`LARGEST`] comes to such a serial.
pub fn is_plausible(serial: u64) -> bool {
    serial <= 2 * LARGEST
}

/// Returns the serial of a new record: one above everything its maker made, accepted or was told of.
pub fn serial(known: u64, after: Option<u64>) -> u64 {
    known.max(after.unwrap_or(0)).saturating_add(1)
}

/// What became of an asset since its change mark was read, as far as the mark tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// Nobody took it.
    Nothing,
    /// Somebody took it.
    Taken,
    /// The mark does not tell, and why.
    Unknown(String),
}

/// What is known, on this host, of its own last take and of the asset now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crash<'a> {
    /// The last take of this host was not ended by a release, and left the part of the change mark that a take
    /// alone moves.
    pub taken: bool,
    /// What became of the asset since, by that part as it is now.
    pub now: Since,
    /// The same, by that part as the record has it.
    pub recorded: Since,
    /// This host's boot id at its take, and now.
    pub boot_then: &'a str,
    pub boot_now: &'a str,
}

/// Why a disclaimer does not serve this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Useless {
    /// This host did not take the asset last, or released it since.
    NotTaken,
    /// This host did not go down since it took it.
    NotDown,
    /// Somebody took it since.
    TakenSince,
    /// Whether somebody took it since cannot be determined.
    Unknown(String),
}

impl fmt::Display for Useless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTaken => f.write_str("this host noted no take that it went down with"),
            Self::NotDown => f.write_str("this host did not go down since it took the asset"),
            Self::TakenSince => f.write_str("the asset was taken again since this host noted its take"),
            Self::Unknown(why) => write!(
                f,
                "cannot determine whether the asset was taken again since this host noted its take: {why}"
            ),
        }
    }
}

/// Tells whether the peer's word that it holds nothing gives the asset back to this host.
///
/// # Errors
/// Says which condition does not hold.
pub fn serves(crash: &Crash<'_>) -> Result<(), Useless> {
    if !crash.taken {
        return Err(Useless::NotTaken);
    }
    if crash.boot_then.is_empty() || crash.boot_now.is_empty() || crash.boot_then == crash.boot_now {
        return Err(Useless::NotDown);
    }
    match (&crash.now, &crash.recorded) {
        (Since::Nothing, Since::Nothing) => Ok(()),
        (Since::Taken, _) | (_, Since::Taken) => Err(Useless::TakenSince),
        (Since::Unknown(why), _) | (_, Since::Unknown(why)) => Err(Useless::Unknown(why.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn of_two_records_that_were_exchanged_at_most_one_permits(one in 0u64..4, two in 0u64..4) {
            let a = Claim { serial: one, host: "ec1", mark: Some("m") };
            let b = Claim { serial: two, host: "ec2", mark: Some("m") };
            prop_assert!(a.comes_after(&b) != b.comes_after(&a));
            prop_assert!(serial(one.max(two), Some(two)) > one.max(two));
        }
    }

    #[test]
    fn at_another_mark_nothing_is_compared_and_without_marks_everything_is() {
        let claim = |serial, host, mark| Claim { serial, host, mark };
        assert!(claim(1, "ec1", Some("n")).comes_after(&claim(9, "ec2", Some("m"))));
        assert!(!claim(1, "ec1", None).comes_after(&claim(9, "ec2", None)));
    }

    #[test]
    fn a_disclaimer_serves_the_host_that_went_down_with_it_and_nobody_else() {
        let crash = || Crash {
            taken: true,
            now: Since::Nothing,
            recorded: Since::Nothing,
            boot_then: "b1",
            boot_now: "b2",
        };
        assert_eq!(serves(&crash()), Ok(()));
        assert_eq!(serves(&Crash { taken: false, ..crash() }), Err(Useless::NotTaken));
        assert_eq!(serves(&Crash { boot_now: "b1", ..crash() }), Err(Useless::NotDown));
        assert_eq!(serves(&Crash { boot_then: "", ..crash() }), Err(Useless::NotDown), "unknown is not down");
        assert_eq!(serves(&Crash { now: Since::Taken, ..crash() }), Err(Useless::TakenSince));
        assert_eq!(
            serves(&Crash { recorded: Since::Taken, ..crash() }),
            Err(Useless::TakenSince),
            "an old one"
        );
        let unknown = || Since::Unknown("why".into());
        let told = Err(Useless::Unknown("why".into()));
        assert_eq!(serves(&Crash { now: unknown(), ..crash() }), told, "unknown is not nothing");
        assert_eq!(serves(&Crash { recorded: unknown(), ..crash() }), told);
    }
}
