//! The end of a run in which not all went well: what to type next, and each of those commands leads on.

use super::order::{cluster, cstartup, mark, power};
use super::shutdown_plan;
use bed::Bed;
use bed::binaries::workspace;
use serde_json::Value;

fn proposed(stderr: &str, what: &str) -> Vec<String> {
    let line =
        stderr.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{what} in\n{stderr}"));
    let program = |program: &str| line.split(&format!(": {program} ")).nth(1);
    let command = program("cstartup").or_else(|| program("cshutdown")).expect("a command");
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

/// Stops n1 and the nodes that need it, of which n2 hangs, with these flags; returns what is said at the end.
fn hanging(flags: &[&str]) -> (Bed, String) {
    let bed = Bed::new();
    shutdown_plan::cluster(&bed, "hang = \"n2\"");
    let flags = [flags, &["--timeout", "1s", "ALL"]].concat();
    let ended = bed.program("cshutdown").args(flags).status(1).any_stdout().any_stderr().run();
    (bed, ended.stderr)
}

/// What was proposed after a run for maintenance halted the nodes.
#[test]
fn another_try_of_a_shutdown_does_what_the_first_was_asked_to_do() {
    let (_, said) = hanging(&["-m", "-F", "-E", "-W", "300", "-K", "5", "--wait=90", "-Y", "-s"]);
    let again = proposed(&said, "to try again: ").join(" ");
    assert_eq!(again, "-E -m -F -Y -s -W 300s -K 5 --timeout 1s --wait=90s n[1-2]");
    let (_, said) = hanging(&["-m", "-P", "-F", "--no-record"]);
    assert!(!said.contains("--force-off"), "for maintenance nobody's power is cut: {said}");
    let anyway = proposed(&said, "to stop n1 in spite of n2, which may still need it: ").join(" ");
    assert_eq!(anyway, "-X -m -P -F --no-record --timeout 1s n1");
    let (_, said) = hanging(&["-F", "--no-record"]);
    let cut = proposed(&said, "to cut the power of n2 although it may still write: ").join(" ");
    assert_eq!(cut, "--force-off -F --no-record --timeout 1s n2");
}

/// What is down already is started only where it is named: each further try of a restart left it off.
#[test]
fn another_try_of_a_restart_starts_what_is_down_by_now_as_well() {
    let (_, said) = hanging(&["-F", "-G", "-r", "-C", "-W 300"]);
    let again = proposed(&said, "to try again: ").join(" ");
    assert_eq!(again, "-r -F -C '-W 300' --timeout 1s -G n[1-4]");
}

/// Nodes that were to be reset, and were held, were called up already by what was proposed.
#[test]
fn another_try_of_a_start_does_what_the_first_was_asked_to_do() {
    let bed = cluster("[limits]\nretries = 0\n");
    mark(&bed, "broken", "n01");
    let flags = ["-Z", "-S", "--reset-stuck", "--even-absent", "--stagger", "5ms", "-W", "AUTO", "ALL"];
    let ended = cstartup(&bed, &flags, 1);
    let again = proposed(&ended.stderr, "to try again: ").join(" ");
    assert_eq!(again, "-S -Z --reset-stuck --even-absent --stagger 5ms -W AUTO n[01-03]");
}

/// Another start was all that was proposed, which would have waited for the node again.
#[test]
fn a_node_that_is_on_and_not_up_is_reset_by_what_is_proposed() {
    let bed = cluster("[limits]\nboot = \"1s\"\n");
    mark(&bed, "dead", "n01");
    mark(&bed, "broken", "n04");
    let ended = cstartup(&bed, &["--timeout", "3s", "ALL"], 1);
    let again = proposed(&ended.stderr, "to try again: ").join(" ");
    assert_eq!(again, "--timeout 3s n04");
    let reset = proposed(&ended.stderr, "to reset n01, which is on and not up: ");
    assert_eq!(reset.join(" "), "--reset-stuck --timeout 3s n[01-03]");
    let words: Vec<&str> = reset.iter().map(String::as_str).filter(|word| !word.ends_with("3s")).collect();
    let words: Vec<&str> = words.into_iter().filter(|word| *word != "--timeout").collect();
    cstartup(&bed, &words, 0);
}

/// Only the nodes were told of: how it ended, and where to read on, was nowhere.
#[test]
fn a_shutdown_ends_with_its_log_and_a_verdict() {
    let (_, said) = hanging(&["-F", "--no-record"]);
    let lines: Vec<&str> = said.lines().map(|line| line.trim_start_matches("cshutdown: ")).collect();
    assert!(lines.iter().any(|line| line.starts_with("log: ")), "{said}");
    let verdict = lines.iter().find(|line| line.starts_with("failed after "));
    assert!(verdict.is_some_and(|line| line.contains("; critical path: ")), "{said}");
}

/// The last record of what was printed.
fn report(stdout: &str) -> Value {
    let report: Value = serde_json::from_str(stdout.lines().last().expect("a record")).expect("JSON");
    assert_eq!(report["record"], "report", "{report}");
    report
}

/// All that people read at the end was in no record: a program had to read their lines.
#[test]
fn programs_are_told_what_people_read_at_the_end() {
    let bed = cluster("[limits]\nretries = 0\n");
    mark(&bed, "broken", "n01");
    let start = cstartup(&bed, &["--json", "ALL"], 1);
    let stop = Bed::new();
    shutdown_plan::cluster(&stop, "hang = \"n2\"");
    let run = stop.program("cshutdown").args(["--json", "-F", "--timeout", "1s", "ALL"]);
    let stop = run.status(1).any_stdout().any_stderr().run();
    for (ended, reasons) in
        [(&start, vec!["retry", "go_without"]), (&stop, vec!["retry", "go_without", "force_off"])]
    {
        let report = report(&ended.stdout);
        let next = report["next"].as_array().expect("commands");
        assert_eq!(next.iter().map(|one| one["reason"].as_str().unwrap()).collect::<Vec<_>>(), reasons);
        for one in next {
            let line = format!("{}: {}", one["says"].as_str().unwrap(), one["command"].as_str().unwrap());
            assert!(ended.stderr.contains(&line), "{line}\nin\n{}", ended.stderr);
        }
        let path = report["critical_path"].as_array().expect("nodes");
        let named = format!("; critical path: {} (", path[0]["node"].as_str().unwrap());
        assert!(ended.stderr.contains(&named), "{named}\nin\n{}", ended.stderr);
        let log = format!("log: {}", report["log"].as_str().unwrap());
        assert!(ended.stderr.contains(&log), "{log}\nin\n{}", ended.stderr);
        assert!(report["phases"].as_array().expect("phases").iter().any(|one| one["phase"] == "nodes"));
    }
}

/// A node that took six seconds longer than it ever did, which people read as well.
#[test]
fn a_node_that_is_slower_than_usual_is_told_with_what_is_usual() {
    let bed = Bed::new();
    shutdown_plan::cluster(&bed, "");
    let text = bed.read("etc/cluster.toml").replace("\"up\"\nboot = \"50ms\"", "\"off\"\nboot = \"6s\"");
    bed.config("cluster.toml", text);
    let history = r#"{"format": "orderly-history/1", "seconds": {"n1": [0.2, 0.2]}}"#;
    bed.write("state/start-history.simulated.json", history);
    let ended = bed.program("cstartup").args(["--json", "n1"]).any_stdout().any_stderr().run();
    let slower = &report(&ended.stdout)["slower"];
    assert_eq!((&slower[0]["node"], &slower[0]["usual_seconds"]), (&"n1".into(), &0.2.into()), "{slower}");
    assert!(slower[0]["took_seconds"].as_f64().unwrap() >= 6.0, "{slower}");
    assert!(ended.stderr.contains("cstartup: slower than usual: n1 ("), "{}", ended.stderr);
}

/// The whole record, of runs that take the same time wherever they are imagined. `ORDERLY_GOLDEN=write` writes them anew.
#[test]
fn the_report_of_a_rehearsal_is_as_it_was() {
    let bed = Bed::new();
    shutdown_plan::cluster(&bed, "");
    for program in ["cstartup", "cshutdown"] {
        let flags = ["--rehearse", "--json", "--fail", "n2", "ALL"];
        let run = bed.program(program).args(flags).status(1).any_stdout().any_stderr();
        let mut report = report(&run.run().stdout);
        report["time"] = "[..]".into();
        let said = format!("{report:#}\n");
        let path = workspace().join("tests/golden/report").join(program);
        if std::env::var_os("ORDERLY_GOLDEN").is_some() {
            std::fs::write(&path, &said).unwrap();
        }
        let wanted = std::fs::read_to_string(&path).unwrap();
        assert_eq!(said, wanted, "{program}");
    }
}
