//! What a `fence_status` prints, read: does it prove that the power is off? Does it say that it is on?
//!
//! Invariant: a line that is not known word for word proves nothing
//! (`only_lines_that_say_off_and_nothing_else_are_proof`).

/// Tells whether what `fence_status` printed proves the power off: each line that is not blank is `off`,
/// `LABEL: off`, `LABEL = off` or ipmitool's `Chassis Power is off`, in any case, and there is one. A
/// label has no word *on* or *off*, and no separator within.
pub fn proves_off(printed: &str) -> bool {
    let mut lines = printed.lines().map(str::trim).filter(|line| !line.is_empty()).peekable();
    lines.peek().is_some() && lines.all(says_off)
}

/// Tells whether what `fence_status` printed says that the power is on: each line that is not blank says on or off, in
/// one of those forms, and one of them says on.
pub fn shows_on(printed: &str) -> bool {
    let mut lines = printed.lines().map(str::trim).filter(|line| !line.is_empty());
    let says_on = |line: &str| says(line, "on");
    lines.clone().any(says_on) && lines.all(|line| says_on(line) || says_off(line))
}

fn says_off(line: &str) -> bool {
    says(line, "off")
}

fn says(line: &str, word: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is = |word: &str, wanted: &str| word.eq_ignore_ascii_case(wanted);
    let [label @ .., last] = words.as_slice() else { return false };
    if !is(last, word) {
        return false;
    }
    match label {
        [] => true,
        [one, two, three] if is(one, "chassis") && is(two, "power") && is(three, "is") => true,
        [label @ .., "=" | ":"] => is_label(label),
        [.., end] => end.ends_with(':') && is_label(label),
    }
}

/// A label with one of the words in it, or with a second separator, may be a state of its own: `ec1: on, ec9: off`,
/// `ec1: unreachable, ec9: off`.
fn is_label(words: &[&str]) -> bool {
    let label = words.join(" ");
    let label = label.strip_suffix(':').unwrap_or(&label);
    let separates = |word: &str| word == "=" || word.ends_with(':') || word.contains([',', ';']);
    let mut parts = label.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()).peekable();
    parts.peek().is_some()
        && !label.split_whitespace().any(separates)
        && parts.all(|part| !part.eq_ignore_ascii_case("on") && !part.eq_ignore_ascii_case("off"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_is_on_where_every_line_is_understood_and_one_says_on() {
        for printed in
            ["on", "Chassis Power is on\n", "Status: ON", "supply A: on\nsupply B: off", "ec1 = on"]
        {
            assert!(shows_on(printed) && !proves_off(printed), "{printed:?}");
        }
        for printed in [
            "",
            "off",
            "on\nunknown",
            "Error: no session\non",
            "not on",
            "power-off: on",
            "ec1: unreachable, ec9: on",
        ] {
            assert!(!shows_on(printed), "{printed:?}");
        }
    }

    /// Only the last word was looked at, so each of the second group passed for off.
    #[test]
    fn only_lines_that_say_off_and_nothing_else_are_proof() {
        for printed in [
            "off",
            "OFF\n",
            "\n  Off \r\n\n",
            "Chassis Power is off\n",
            "chassis power is OFF",
            "Status: OFF\n",
            "ec1: off\nec1-b:  off\n",
            "Power Supply 1 : off\n",
            "power = off\n",
            "outlet ec1 (rack 7): Off",
            "192.0.2.7:623: off",
            "2001:db8::7 = off",
            "supply A: off\nsupply B: off",
        ] {
            assert!(proves_off(printed), "{printed:?}");
        }
        for printed in [
            "",
            "\n \n",
            "on",
            "Chassis Power is on",
            "supply A: on\nsupply B: off",
            "supply B: off\nsupply A: on",
            "power is not off",
            "could not be turned off",
            "never off",
            "ec1: on, ec9: off",
            "ec1 = on: off",
            "ec1: unreachable, ec9: off",
            "ec1: unreachable; ec9: off",
            "ec1: no answer: off",
            "state = unknown, last = off",
            "state = last known: off",
            "power on: off",
            "power-on: off",
            "off: off",
            ": off",
            "= off",
            "--: off",
            "off: on",
            "ec1:off",
            "ec1=off",
            "off.",
            "\"off\"",
            "Chassis Power is not off",
            "The Chassis Power is off",
            "is off",
            "off off",
            "warning: unreachable\noff",
            "off\nunknown",
            "cut off",
            "official",
            "ec1: off (last known)",
            "\u{1b}[32moff\u{1b}[0m",
        ] {
            assert!(!proves_off(printed), "{printed:?}");
        }
    }
}
