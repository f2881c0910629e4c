//! Every flag of `cshutdown`, and every pair that is forbidden, by a table: what its command line
//! promises does not change unnoticed.

use super::shutdown_plan::cluster;
use bed::Bed;
use std::fmt::Write as _;

/// One line of the table.
struct Row {
    status: i32,
    arguments: Vec<String>,
    part: String,
}

fn table() -> Vec<Row> {
    let path = bed::binaries::workspace().join("tests/golden/flags/cshutdown");
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

#[test]
fn every_flag_does_what_the_table_says() {
    let mut wrong = String::new();
    for row in table() {
        let bed = Bed::new();
        cluster(&bed, "");
        bed.write("targets", "n2 # the client\n");
        bed.write("numbers", "2\n");
        bed.write("copy", bed.read("cstartSeq"));
        let line = row.arguments.join(" ");
        let program = bed.program("cshutdown").args(&row.arguments);
        let ended = program.any_status().any_stdout().any_stderr().run();
        let said = format!("{}{}", ended.stdout, ended.stderr);
        if ended.status != row.status || !said.contains(&row.part) {
            let (found, status, part) = (ended.status, row.status, row.part);
            writeln!(wrong, "cshutdown {line}: {found}, not {status} with {part:?}\n{said}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_flag_is_in_the_table() {
    let rows = table();
    let help = Bed::new().program("cshutdown").arg("--help").any_stdout().run().stdout;
    let used = |flag: &str| rows.iter().any(|row| row.arguments.iter().any(|word| word == flag));
    let mut unused = Vec::new();
    for line in help.lines().filter(|line| line.trim_start().starts_with('-')) {
        let spelt = line.trim_start().split([',', ' ', '[']);
        let flags = spelt.take_while(|word| word.is_empty() || word.starts_with('-'));
        unused.extend(flags.filter(|word| !word.is_empty() && !used(word)).map(str::to_owned));
    }
    assert_eq!(unused, Vec::<String>::new(), "flags without a line in the table");
}
