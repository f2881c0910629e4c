//! Judges what two nodes did: when each hold began and ended, and what their services wrote meanwhile.

/// Returns what is wrong with a log of holds, of lines `HOST begins`, `HOST ends` and `HOST off`.
///
/// A hold is noted before it begins and after it ends, so that two that meet are never passed over.
pub(super) fn judge_holds(log: &str) -> Vec<String> {
    let mut holder: Option<&str> = None;
    let mut objections = Vec::new();
    for line in log.lines() {
        let Some((host, what)) = line.split_once(' ') else {
            objections.push(format!("no line of a log: {line}"));
            continue;
        };
        match (what, holder) {
            ("begins", Some(other)) if other != host => {
                objections.push(format!("{host} begins while {other} holds"));
            }
            ("begins", _) => holder = Some(host),
            ("ends", Some(other)) if other != host => {
                objections.push(format!("{host} ends while {other} holds"));
            }
            ("off", Some(other)) if other != host => {}
            ("ends" | "off", _) => holder = None,
            _ => objections.push(format!("no line of a log: {line}")),
        }
    }
    objections
}

/// Returns who held, in order.
pub(super) fn holds(log: &str) -> Vec<String> {
    let begun = log.lines().filter_map(|line| line.strip_suffix(" begins"));
    let mut holds: Vec<String> = begun.map(str::to_owned).collect();
    holds.dedup();
    holds
}

/// Returns what is wrong with what a service wrote, of lines `HOST NUMBER`: each host goes on after the last number that it
/// finds, so two that write at once, and what is lost, break the row. Hosts follow one another as they held.
pub(super) fn judge_written(text: &str, holds: &[String]) -> Vec<String> {
    let mut objections = Vec::new();
    let mut last = 0_u64;
    let mut holds = holds.iter();
    let mut writer = "";
    for line in text.lines() {
        let parsed =
            line.split_once(' ').and_then(|(host, number)| Some((host, number.parse::<u64>().ok()?)));
        let Some((host, number)) = parsed else {
            objections.push(format!("no whole line: {line}"));
            continue;
        };
        if number != last + 1 {
            objections.push(format!("{host} wrote {number} after {last}"));
        }
        last = number;
        if host != writer && !holds.any(|held| held == host) {
            objections.push(format!("{host} wrote {number} when it did not hold"));
        }
        writer = host;
    }
    objections
}

#[test]
fn holds_that_meet_are_objected_to_and_nothing_else() {
    for (log, wanted) in [
        ("ec1 begins\nec1 ends\nec2 begins\nec2 ends\n", ""),
        ("ec1 begins\nec1 begins\nec1 ends\nec1 ends\nec2 begins\n", ""),
        ("ec1 begins\nec1 off\nec2 begins\nec1 off\n", ""),
        ("ec1 begins\nec2 begins\n", "ec2 begins while ec1 holds"),
        ("ec1 begins\nec2 off\nec2 begins\n", "ec2 begins while ec1 holds"),
        ("ec1 begins\nec2 ends\n", "ec2 ends while ec1 holds"),
        ("ec1 beg", "no line of a log: ec1 beg"),
    ] {
        assert_eq!(judge_holds(log).join("; "), wanted, "{log}");
    }
}

#[test]
fn what_is_lost_or_written_twice_or_by_the_wrong_one_is_objected_to() {
    let holds = ["ec1", "ec2", "ec1"].map(str::to_owned);
    for (text, wanted) in [
        ("ec1 1\nec1 2\nec2 3\nec1 4\n", ""),
        ("ec2 1\nec1 2\n", ""),
        ("ec1 1\nec1 3\n", "ec1 wrote 3 after 1"),
        ("ec1 1\nec2 2\nec1 2\n", "ec1 wrote 2 after 2"),
        ("ec1 1\nec2 2\nec1 3\nec2 4\n", "ec2 wrote 4 when it did not hold"),
        ("ec1 1\nec", "no whole line: ec"),
    ] {
        assert_eq!(judge_written(text, &holds).join("; "), wanted, "{text}");
    }
}
