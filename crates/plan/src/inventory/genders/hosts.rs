//! The nodes of a line of genders, as libgenders reads them: names with at most one bracket, no node sets.
//!
//! `n!1` is a name (which no inventory can have), a range is padded as its first number is, and commas too many are
//! passed over. What libgenders refuses is refused: dots, more than 64 characters, ranges of more than 16,384 numbers.

use crate::inventory::check::NODES as MOST;
use crate::nodeset::SetFault;
use std::fmt::Write;
use std::ops::Range;

const LONGEST: usize = 64;
const NUMBERS: u64 = 16_384;

/// The names that a line begins with, not yet made.
#[derive(Debug, Default)]
pub(super) struct Hosts<'t>(Vec<Run<'t>>);

/// Names that differ by a number.
#[derive(Debug)]
struct Run<'t> {
    before: &'t str,
    /// Without any, it is one name.
    numbers: Option<Numbers>,
    after: &'t str,
}

#[derive(Debug)]
struct Numbers {
    low: u64,
    high: u64,
    width: usize,
}

impl Run<'_> {
    fn count(&self) -> usize {
        let more = self.numbers.as_ref().map_or(0, |numbers| numbers.high - numbers.low);
        usize::try_from(more).unwrap_or(usize::MAX).saturating_add(1)
    }

    /// Returns how long the last of its names is; none is longer.
    fn longest(&self) -> usize {
        let digits = |numbers: &Numbers| numbers.width.max(numbers.high.to_string().len());
        self.before.len() + self.numbers.as_ref().map_or(0, digits) + self.after.len()
    }
}

impl<'t> Hosts<'t> {
    /// Reads them.
    ///
    /// # Errors
    /// What libgenders does not take, and too many.
    pub(super) fn parse(text: &'t str) -> Result<Self, SetFault> {
        let mut hosts = Self::default();
        for (start, piece) in super::split(text) {
            if piece.is_empty() {
                continue;
            }
            let place = start..start + piece.len();
            let before = hosts.0.len();
            hosts.parse_name(piece, start)?;
            let made = &hosts.0[before..];
            if made.iter().any(|run| run.before.contains('.') || run.after.contains('.')) {
                return Err(fault(place, "a name with a dot; genders takes short host names alone"));
            }
            if piece.contains('=') {
                let message = "a node name with \"=\"; a line of genders begins with the names of nodes";
                return Err(fault(place, message));
            }
            if made.iter().any(|run| run.longest() > LONGEST) {
                return Err(fault(
                    place,
                    format!("a name of more than {LONGEST} characters, which genders does not take"),
                ));
            }
        }
        Ok(hosts)
    }

    fn parse_name(&mut self, piece: &'t str, start: usize) -> Result<(), SetFault> {
        let brackets = piece.split_once('[').and_then(|(before, rest)| {
            let (inside, after) = rest.split_once(']')?;
            Some((before, inside, after))
        });
        let Some((before, inside, after)) = brackets else {
            self.0.push(Run { before: piece, numbers: None, after: "" });
            return Ok(());
        };
        let mut at = start + before.len() + 1;
        if after.contains('[') {
            let place = start..start + piece.len();
            return Err(fault(place, "more than one bracket in a name, which genders does not expand"));
        }
        let mut count = self.count();
        for range in inside.split(',') {
            let place = at..at + range.len();
            at += range.len() + 1;
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (Some(low), Some(high)) = (number(first), number(last)) else {
                return Err(fault(place, format!("\"{range}\" is not a range of numbers")));
            };
            if low > high {
                return Err(fault(place, format!("the range {range} is upside down")));
            }
            if high - low >= NUMBERS {
                return Err(fault(
                    place,
                    format!("a range of more than {NUMBERS} numbers, which genders does not take"),
                ));
            }
            let run = Run { before, numbers: Some(Numbers { low, high, width: first.len() }), after };
            count += run.count();
            if count > MOST {
                return Err(fault(
                    place,
                    format!("more than {MOST} nodes: write an inventory for each cluster"),
                ));
            }
            self.0.push(run);
        }
        Ok(())
    }

    /// Returns how many names there are, those written twice twice.
    pub(super) fn count(&self) -> usize {
        self.0.iter().map(Run::count).sum()
    }

    /// Returns how long the longest of them is.
    pub(super) fn longest(&self) -> usize {
        self.0.iter().map(Run::longest).max().unwrap_or(0)
    }

    /// Hands out the names in the order written, those written twice twice.
    pub(super) fn each(&self, take: &mut dyn FnMut(&str)) {
        let mut name = String::new();
        for Run { before, numbers, after } in &self.0 {
            match numbers {
                None => take(before),
                Some(Numbers { low, high, width }) => {
                    for number in *low..=*high {
                        name.clear();
                        // Writing to a String cannot fail.
                        write!(name, "{before}{number:0width$}{after}").ok();
                        take(&name);
                    }
                }
            }
        }
    }
}

fn number(digits: &str) -> Option<u64> {
    // 18 digits: no sum of two overflows.
    let plain = (1..=18).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

fn fault(range: Range<usize>, message: impl Into<String>) -> SetFault {
    SetFault { range, message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(hosts: &Hosts<'_>) -> Vec<String> {
        let mut names = Vec::new();
        hosts.each(&mut |name| names.push(name.to_owned()));
        names
    }

    /// What `nodeattr` of genders 1.22 prints of each.
    #[test]
    fn names_are_expanded_as_libgenders_does() {
        let check = |text: &str, expected: &str| {
            let said = match Hosts::parse(text) {
                Ok(hosts) => names(&hosts).join(" "),
                Err(fault) => format!("{}-{}: {}", fault.range.start, fault.range.end, fault.message),
            };
            assert_eq!(said, expected, "{text}");
        };
        check("n[1-3],m", "n1 n2 n3 m");
        check("n[01-03,7]x", "n01 n02 n03 n7x".replace("n01 n02 n03", "n01x n02x n03x").as_str());
        check("n[9-010]", "n9 n10");
        check("n[098-101]", "n098 n099 n100 n101");
        check("0[9-10]", "09 010");
        check("n!1,m&2,@x,n-2", "n!1 m&2 @x n-2");
        check(",n1,,n2,", "n1 n2");
        check("n[1-2", "n[1-2");
        check("n[1-3/2]", "2-7: \"1-3/2\" is not a range of numbers");
        check("n[1,,2]", "4-4: \"\" is not a range of numbers");
        check("n[2-1]", "2-5: the range 2-1 is upside down");
        check("n[1-16385]", "2-9: a range of more than 16384 numbers, which genders does not take");
        check("a,n1.x", "2-6: a name with a dot; genders takes short host names alone");
        check(
            "n1,NodeName=n[1-2]",
            "3-18: a node name with \"=\"; a line of genders begins with the names of nodes",
        );
        check("n[1-2]x[1-2]", "0-12: more than one bracket in a name, which genders does not expand");
        let counted = |text: &str| {
            Hosts::parse(text).map(|hosts| (hosts.count(), hosts.longest(), names(&hosts).len()))
        };
        assert_eq!(counted("n[1-16384]"), Ok((16_384, 6, 16_384)));
        assert_eq!(counted("n[001-9]x,m"), Ok((10, 5, 10)));
        let long = |size: usize| Hosts::parse(&"a".repeat(size)).is_ok();
        assert!(long(64) && !long(65));
    }
}
