//! The end of a run in which not all went well: what to type next, and each of those commands leads on.

use super::order::{cluster, cstartup, mark, power};

fn proposed(stderr: &str, what: &str) -> Vec<String> {
    let line =
        stderr.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{what} in\n{stderr}"));
    let command = line.split(": cstartup ").nth(1).expect("a command of cstartup");
    command.split(' ').map(str::to_owned).collect()
}

#[test]
fn what_failed_and_what_it_holds_is_started_by_what_is_proposed() {
    let bed = cluster("[limits]\nretries = 0\n");
    mark(&bed, "broken", "n01");
    let ended = cstartup(&bed, &["ALL"], 1);
    let without = proposed(&ended.stderr, "to start n[02-03] without n01: ");
    assert_eq!(without, ["-X", "n[02-03]"]);
    let again = proposed(&ended.stderr, "to try again: ");
    assert_eq!(again, ["n[01-03]"]);
    assert!(ended.stderr.contains("log: "), "{}", ended.stderr);
    let words: Vec<&str> = without.iter().map(String::as_str).collect();
    cstartup(&bed, &words, 0);
    std::fs::remove_file(bed.path("broken/n01")).unwrap();
    // They run although what leads them does not: that is a violation now, with its own ways out.
    cstartup(&bed, &["-S", &again[0]], 0);
    assert!(power(&bed).contains(&"up n01".to_owned()));
}

/// A run in which all went well says none of it.
#[test]
fn nothing_is_proposed_where_all_is_well() {
    let bed = cluster("");
    let ended = cstartup(&bed, &["ALL"], 0);
    assert!(!ended.stderr.contains("to try again"), "{}", ended.stderr);
}
