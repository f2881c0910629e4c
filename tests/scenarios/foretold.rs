//! A rehearsal foretells: after a run that took so long, imagining it again takes as long.

use bed::Bed;
use serde_json::Value;
use std::collections::BTreeMap;

/// Runs a rehearsal; returns how long it took, and makes what each node took its history.
fn rehearsed(bed: &Bed, program: &str, history: &str) -> f64 {
    let run = bed.program(program).arg("--config").arg(bed.path("etc/cluster.toml"));
    let run = run.arg("--sequence").arg(bed.path("etc/seq")).args(["--rehearse", "--json", "ALL"]);
    let ended = run.any_stdout().any_stderr().run();
    let report: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    let took = |node: &Value| {
        (node["node"].as_str().unwrap().to_owned(), vec![node["took_seconds"].as_f64().unwrap()])
    };
    let seconds: BTreeMap<String, Vec<f64>> = report["nodes"].as_array().unwrap().iter().map(took).collect();
    let text = serde_json::json!({"format": "orderly-history/1", "seconds": seconds}).to_string();
    bed.write(format!("state/{history}-history.simulated.json"), text);
    report["seconds"].as_f64().unwrap()
}

/// Each level of servers was imagined slower than it had been, by the wait for the next probe: 12% a rehearsal.
#[test]
fn a_rehearsal_after_a_run_takes_as_long_as_the_run() {
    for (program, history, order) in
        [("cstartup", "start", "io > boot > rack"), ("cshutdown", "halt", "rack > boot > io")]
    {
        for boot in ["3s", "47s", "3m"] {
            let bed = Bed::new();
            let nodes = (1..=40).map(|at| format!(r#"{{"name": "n{at:02}"}}"#)).collect::<Vec<_>>().join(",");
            bed.write(
                "etc/inventory.json",
                format!(r#"{{"format": "orderly-inventory/1", "nodes": [{nodes}]}}"#),
            );
            bed.write("etc/seq", format!("io: n[01-04]\nboot: n[05-10]\nrack: n[11-40]\n{order}\n"));
            let drivers =
                "power.driver = \"simulator\"\nprobe.driver = \"simulator\"\nshell.driver = \"simulator\"\n";
            let times = format!("[simulator]\nboot = \"{boot}\"\nhalt = \"{boot}\"\njitter = \"20s\"\n");
            bed.write("etc/cluster.toml", format!("{drivers}{times}"));
            let first = rehearsed(&bed, program, history);
            let second = rehearsed(&bed, program, history);
            assert!((first - second).abs() <= 0.02 * first, "{program}, {boot}: {first} s, then {second} s");
        }
    }
}
