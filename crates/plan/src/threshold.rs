//! How many of a group are enough for those that wait for it: `mds(1) > clients`.

use std::fmt;

/// How many members of a group are enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Threshold {
    /// So many are up.
    Count(u32),
    /// So many of a hundred are up, rounded up.
    Percent(u8),
    /// All have ended, well or not.
    Ended,
}

impl Threshold {
    /// Reads what stands between the parentheses.
    ///
    /// # Errors
    /// What is wrong about it, for people.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text == "ended" {
            return Ok(Self::Ended);
        }
        let (number, is_percent) = text.strip_suffix('%').map_or((text, false), |number| (number, true));
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        match number.parse::<u32>() {
            _ if !is_number => Err("a threshold is a number of nodes, a percentage or \"ended\""),
            Ok(0) => Err("a threshold of 0 makes nothing wait"),
            Ok(percent) if is_percent => match u8::try_from(percent) {
                Ok(percent) if percent <= 100 => Ok(Self::Percent(percent)),
                Ok(_) | Err(_) => Err("more than 100%"),
            },
            Ok(count) => Ok(Self::Count(count)),
            Err(_) => Err("the number is too large"),
        }
    }

    /// Returns how many of so many members must be up, or, for [`Threshold::Ended`], over.
    pub fn needed(self, members: usize) -> usize {
        match self {
            Self::Count(count) => count as usize,
            Self::Percent(percent) => (members * usize::from(percent)).div_ceil(100),
            Self::Ended => members,
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Ended => f.write_str("ended"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_read_as_it_is_written() {
        for text in ["1", "40000", "1%", "100%", "ended"] {
            assert_eq!(Threshold::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "0", "0%", "101%", "256%", "-1", "+1", "1.5", "%", "Ended", "all", "99999999999"] {
            assert!(Threshold::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_percentage_is_rounded_up() {
        assert_eq!(Threshold::Percent(90).needed(10), 9);
        assert_eq!(Threshold::Percent(90).needed(11), 10);
        assert_eq!(Threshold::Percent(1).needed(3), 1);
        assert_eq!(Threshold::Percent(100).needed(3), 3);
        assert_eq!(Threshold::Percent(50).needed(0), 0);
        assert_eq!(Threshold::Ended.needed(4), 4);
    }
}
