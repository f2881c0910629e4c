//! What a status command said of each node.

use orderly_plan::drivers::Power;
use std::collections::HashMap;

/// Returns what is known of each name after `NODE: on` and `NODE: off` lines. Any other line says
/// nothing, a last line without its end may be half of one, and who is called both is unknown.
pub(super) fn power_lines(output: &str) -> HashMap<&str, Power> {
    let mut said = HashMap::new();
    for line in output.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let Some((name, state)) = line.trim_end().rsplit_once(": ") else { continue };
        let power = match state.trim_start() {
            "on" => Power::On,
            "off" => Power::Off,
            _ => Power::Unknown,
        };
        said.entry(name.trim_start())
            .and_modify(|before| {
                if *before != power {
                    *before = Power::Unknown;
                }
            })
            .or_insert(power);
    }
    said
}

/// Tells whether something is said of a name in the form that is understood, be it that nothing is known.
pub(super) fn is_answer(output: &str, name: &str) -> bool {
    let is_own = |line: &str| {
        line.trim().rsplit_once(": ").is_some_and(|(own, said)| own == name && said == "unknown")
    };
    power_lines(output).get(name).is_some_and(|power| *power != Power::Unknown) || output.lines().any(is_own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_that_say_on_or_off_count() {
        let said =
            power_lines("n1: on\nn2: off\r\n n3:  off\nn4: ON\nn5 on\nn6: on\nn6: off\nn7:on\n: on\nn8: of");
        let of = |name: &str| said.get(name).copied().unwrap_or(Power::Unknown);
        assert_eq!((of("n1"), of("n2"), of("n3")), (Power::On, Power::Off, Power::Off));
        for name in ["n4", "n5", "n6", "n7", "n8"] {
            assert_eq!(of(name), Power::Unknown, "{name}");
        }
    }
}
