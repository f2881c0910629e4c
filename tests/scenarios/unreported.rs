//! With `--json` a run that ends without a report says in a last record why, and who is in the way: whoever reads standard
//! output alone was told nothing.

use super::shutdown_plan::cluster;
use bed::{Bed, Ended, Running};
use nix::sys::signal::Signal;
use serde_json::Value;

fn spawn(bed: &Bed, line: &str) -> Running {
    let mut words = line.split_whitespace();
    let program = bed.program(words.next().unwrap()).arg("--json").args(words);
    program.any_stdout().any_stderr().any_status().spawn()
}

/// Returns the last record of a run that has no report.
fn end_of(ended: &Ended, line: &str) -> Value {
    let records = ended.records();
    let ends =
        records.iter().filter(|record| record["record"] == "end" || record["record"] == "report").count();
    assert_eq!(ends, 1, "{line}: {}", ended.stdout);
    let end = records.last().unwrap().clone();
    assert_eq!((&end["record"], &end["format"]), (&"end".into(), &"orderly-run/1".into()), "{line}");
    assert_eq!(end["exit"], ended.status, "{line}: {end}");
    assert!(end["why"].as_str().is_some_and(|why| !why.is_empty()), "{line}: {end}");
    let program = line.split(' ').next().unwrap();
    assert_eq!(end["program"], program);
    end
}

#[test]
fn every_refusal_is_a_record_with_its_reason() {
    for (line, status, word, why) in [
        ("cstartup -E --confirm 9 ALL", 4, "refused", "--confirm 9"),
        ("cstartup --restore", 4, "refused", "no cshutdown has recorded"),
        ("cstartup n3", 4, "refused", "partition"),
        ("cstartup n9", 2, "usage", "n9"),
        ("cstartup -i missing ALL", 3, "rejected", "missing"),
        ("cstartup -k --config missing.toml ALL", 3, "rejected", "missing.toml"),
        ("cshutdown n1", 4, "refused", "n2 is up and not a target"),
        ("cshutdown -k n1", 4, "refused", "n2 is up and not a target"),
        ("cshutdown --rehearse n1", 4, "refused", "n2 is up and not a target"),
        ("cshutdown --confirm 9 ALL", 4, "refused", "--confirm says 9"),
        ("cshutdown -r -C --nonsense n2", 2, "usage", "--nonsense"),
        ("cshutdown --within 5m -i missing ALL", 3, "rejected", "missing"),
    ] {
        let bed = Bed::new();
        cluster(&bed, "");
        let ended = spawn(&bed, line).end();
        assert_eq!(ended.status, status, "{line}: {}", ended.stderr);
        let end = end_of(&ended, line);
        assert_eq!(end["status"], word, "{line}: {end}");
        assert!(end["why"].as_str().unwrap().contains(why), "{line}: {end}");
        assert_eq!(end.get("by"), None, "{line}: {end}");
    }
}

#[test]
fn whoever_is_in_the_way_is_in_the_record() {
    let bed = Bed::new();
    cluster(&bed, "hang = \"n1\"");
    let acting = spawn(&bed, "cshutdown -X -F n1");
    acting.wait_for_stderr("n1: halting");
    let pending = spawn(&bed, "cshutdown --partition b -F -T 60 n4");
    pending.wait_for_stderr("the shutdown begins in");
    for (line, by) in [
        ("cstartup n1", &acting),
        ("cstartup -k n1", &acting),
        ("cstartup --wait=100ms n1", &acting),
        ("cshutdown -X -F n1", &acting),
        ("cshutdown -k -X n1", &acting),
        ("cshutdown --partition b -F -T 5 n4", &pending),
    ] {
        let ended = spawn(&bed, line).end();
        assert_eq!(ended.status, 4, "{line}: {}", ended.stderr);
        let end = end_of(&ended, line);
        assert_eq!(end["status"], "refused", "{line}: {end}");
        let runs = end["by"].as_array().unwrap();
        assert_eq!(runs.len(), 1, "{line}: {end}");
        assert_eq!((&runs[0]["pid"], &runs[0]["program"]), (&by.pid().into(), &"cshutdown".into()));
        for key in ["command", "user", "since", "targets"] {
            assert!(runs[0][key].as_str().is_some_and(|text| !text.is_empty()), "{line}: {end}");
        }
    }
    let waiting = spawn(&bed, "cstartup --wait n1");
    waiting.wait_for_stderr("waiting for the end of").signal(Signal::SIGINT);
    let end = end_of(&waiting.end(), "cstartup --wait n1");
    assert_eq!(end["status"], "interrupted", "{end}");
    pending.signal(Signal::SIGINT);
    let last = pending.end().records().pop().unwrap();
    assert_eq!(last["record"], "report", "what was begun has its report: {last}");
    acting.signal(Signal::SIGKILL);
    acting.end();
}

/// The number of its process was `process` in the one and `pid` in the others.
#[test]
fn a_run_is_told_of_in_the_same_keys_wherever_it_is_named() {
    let bed = Bed::new();
    cluster(&bed, "hang = \"n2\"");
    let acting = spawn(&bed, "cshutdown -F n2");
    acting.wait_for_stderr("n2: halting");
    let refused = end_of(&spawn(&bed, "cstartup n2").end(), "cstartup n2")["by"][0].clone();
    assert_eq!(refused["pid"], acting.pid(), "{refused}");
    let held = spawn(&bed, "cshutdown --why-not n1").end().records().pop().unwrap()["runs"][0].clone();
    assert_eq!(held, refused);
    let mut seen = spawn(&bed, "cshutdown --status").end().records().remove(0);
    for own in ["format", "record", "status"] {
        assert!(seen.as_object_mut().unwrap().remove(own).is_some(), "{own}: {seen}");
    }
    assert_eq!(seen, refused);
    acting.signal(Signal::SIGKILL);
    acting.end();
}
