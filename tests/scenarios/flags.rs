//! Every flag, and every pair of flags that is forbidden, by a table: what the command line of
//! cstartup promises does not change unnoticed.

use super::order::cluster;
use bed::Bed;
use std::fmt::Write as _;

/// One line of a table.
struct Row {
    status: i32,
    arguments: Vec<String>,
    part: String,
}

fn table(name: &str) -> Vec<Row> {
    let path = bed::binaries::workspace().join("tests/golden/flags").join(name);
    let text = std::fs::read_to_string(path).unwrap();
    let row = |line: &str| {
        let columns: Vec<&str> = line.splitn(3, '|').map(str::trim).collect();
        let [status, arguments, part] = columns.as_slice() else { panic!("three columns: {line}") };
        Row {
            status: status.parse().unwrap(),
            arguments: arguments.split_whitespace().map(str::to_owned).collect(),
            part: (*part).to_owned(),
        }
    };
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(row).collect()
}

/// Runs each line in a bed of its own and tells all that went otherwise.
fn run(program: &str, rows: &[Row], bed: impl Fn() -> Bed) {
    let mut wrong = String::new();
    for row in rows {
        let bed = bed();
        let ended = bed.program(program).args(&row.arguments).any_status().any_stdout().any_stderr().run();
        let status = ended.status;
        if status != row.status || !ended.stderr.contains(&row.part) {
            let command = row.arguments.join(" ");
            writeln!(
                wrong,
                "{program} {command}: {status}, not {} with \"{}\"\n{}",
                row.status, row.part, ended.stderr
            )
            .unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Tells which flags of the help text no line of the table uses.
fn unused(program: &str, rows: &[Row]) -> Vec<String> {
    let help = Bed::new().program(program).arg("--help").any_stdout().run().stdout;
    let used = |flag: &str| {
        let is_it = |word: &String| word == flag || word.starts_with(&format!("{flag}="));
        rows.iter().any(|row| row.arguments.iter().any(is_it))
    };
    let flags = help.lines().filter(|line| line.trim_start().starts_with('-')).flat_map(|line| {
        let spelt = line.trim_start().split([',', ' ', '[']);
        spelt.take_while(|word| word.is_empty() || word.starts_with('-')).filter(|word| !word.is_empty())
    });
    flags.filter(|flag| !used(flag)).map(str::to_owned).collect()
}

#[test]
fn every_flag_of_cstartup_does_what_the_table_says() {
    let rows = table("cstartup");
    assert_eq!(unused("cstartup", &rows), Vec::<String>::new(), "flags without a line in the table");
    run("cstartup", &rows, || {
        let bed = cluster("");
        bed.write("targets", "n01 # the server\nn04\n");
        bed.write("empty", "# nobody\n");
        bed
    });
}
