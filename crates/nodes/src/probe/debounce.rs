//! When a reading counts: after `stable` equal ones in a row.
//!
//! A new state is believed only then, so that a service that comes up, falls over and comes up again
//! does not let others start. The state that is known already is believed at once.

use orderly_plan::drivers::Probe;

/// What a node's probe said so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Debouncer {
    known: Option<Probe>,
    last: Option<Probe>,
    equal: u32,
    asked: u32,
}

/// What is to be done with a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Debounced {
    Answer(Probe),
    AskAgain,
}

impl Debouncer {
    /// Takes a reading; after too many that differ, the answer is unknown.
    pub(crate) fn take(&mut self, reading: Probe, stable: u32) -> Debounced {
        if stable <= 1 {
            return Debounced::Answer(reading);
        }
        self.equal = if self.last == Some(reading) { self.equal + 1 } else { 1 };
        self.last = Some(reading);
        self.asked += 1;
        let counts = reading == Probe::Unknown || self.known == Some(reading) || self.equal >= stable;
        if !counts && self.asked < stable.saturating_mul(4) {
            return Debounced::AskAgain;
        }
        self.asked = 0;
        if !counts {
            return Debounced::Answer(Probe::Unknown);
        }
        if reading != Probe::Unknown {
            self.known = Some(reading);
        }
        Debounced::Answer(reading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_state_counts_after_enough_equal_readings_and_flapping_is_unknown() {
        let mut steady = Debouncer::default();
        let mut take = |reading| steady.take(reading, 3);
        assert_eq!(take(Probe::Up), Debounced::AskAgain);
        assert_eq!(take(Probe::Up), Debounced::AskAgain);
        assert_eq!(take(Probe::Up), Debounced::Answer(Probe::Up));
        assert_eq!(take(Probe::Up), Debounced::Answer(Probe::Up));
        assert_eq!(take(Probe::Down), Debounced::AskAgain);
        assert_eq!(take(Probe::Up), Debounced::Answer(Probe::Up));
        assert_eq!(take(Probe::Unknown), Debounced::Answer(Probe::Unknown));
        assert_eq!(steady.take(Probe::Down, 1), Debounced::Answer(Probe::Down));
        let mut flapping = Debouncer::default();
        let mut said = Vec::new();
        for turn in 0..12 {
            said.push(flapping.take(if turn % 2 == 0 { Probe::Up } else { Probe::Down }, 3));
        }
        assert_eq!(said[11], Debounced::Answer(Probe::Unknown));
        assert!(said[..11].iter().all(|verdict| *verdict == Debounced::AskAgain));
    }
}
