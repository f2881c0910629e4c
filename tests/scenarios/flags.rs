//! Every flag, and every pair of flags that is forbidden, by a table: what the command lines of
//! the programs promise does not change unnoticed.

use super::order::cluster;
use super::shutdown_plan;
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
        let logs = bed.path("log").display().to_string();
        let arguments = row.arguments.iter().map(|word| word.replace('@', &logs));
        let ended = bed.program(program).args(arguments).any_status().any_stdout().any_stderr().run();
        let status = ended.status;
        if status != row.status || !(ended.stderr.contains(&row.part) || ended.stdout.contains(&row.part)) {
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

/// Tells which pairs that exclude each other no line of the table tries: those named, which are of the
/// synopsis, and those that the program declares.
fn untried(synopsis: &[(&str, &str)], command: &clap::Command, rows: &[Row]) -> Vec<String> {
    let spelt = |argument: &clap::Arg| -> Vec<String> {
        let long = argument.get_long().map(|long| format!("--{long}"));
        let short = argument.get_short().map(|short| format!("-{short}"));
        long.into_iter().chain(short).collect()
    };
    let mut pairs: Vec<[Vec<String>; 2]> =
        synopsis.iter().map(|&(a, b)| [vec![a.to_owned()], vec![b.to_owned()]]).collect();
    for argument in command.get_arguments().filter(|argument| !argument.is_positional()) {
        let against = command.get_arg_conflicts_with(argument);
        let against = against.into_iter().filter(|other| !other.is_positional());
        pairs.extend(against.map(|other| [spelt(argument), spelt(other)]));
    }
    let is_tried = |pair: &[Vec<String>; 2]| {
        rows.iter().any(|row| {
            row.status == 2 && pair.iter().all(|flags| row.arguments.iter().any(|word| flags.contains(word)))
        })
    };
    pairs.iter().filter(|pair| !is_tried(pair)).map(|[a, b]| format!("{a:?} with {b:?}")).collect()
}

#[test]
fn every_flag_of_cstartup_does_what_the_table_says() {
    let rows = table("cstartup");
    assert_eq!(unused("cstartup", &rows), Vec::<String>::new(), "flags without a line in the table");
    let forbidden = [("-E", "-X"), ("-z", "-Z"), ("-N", "-g")];
    let untried = untried(&forbidden, &super::man::program("cstartup"), &rows);
    assert_eq!(untried, Vec::<String>::new(), "pairs without a line in the table");
    run("cstartup", &rows, || {
        let bed = cluster("");
        bed.write("targets", "n01 # the server\nn04\n");
        bed.write("empty", "# nobody\n");
        bed.write("hosts", "n01 partition=prod\nn[02-03] boot_server=n01,partition=prod\n");
        bed
    });
}

#[test]
fn every_flag_of_cshutdown_does_what_the_table_says() {
    let rows = table("cshutdown");
    assert_eq!(unused("cshutdown", &rows), Vec::<String>::new(), "flags without a line in the table");
    let forbidden = [
        ("-N", "-g"),
        ("-X", "-E"),
        ("-h", "-k"),
        ("-h", "-m"),
        ("-h", "-r"),
        ("-k", "-m"),
        ("-k", "-r"),
        ("-m", "-r"),
        ("-C", "-h"),
        ("-C", "-k"),
        ("-C", "-m"),
    ];
    let untried = untried(&forbidden, &super::man::program("cshutdown"), &rows);
    assert_eq!(untried, Vec::<String>::new(), "pairs without a line in the table");
    run("cshutdown", &rows, || {
        let bed = Bed::new();
        shutdown_plan::cluster(&bed, "");
        bed.write("targets", "n2 # the client\n");
        bed.write("numbers", "2\n");
        bed.write("hosts", "n1 partition=a\nn2 partition=a,boot_server=n1\nn[3-4] partition=b\n");
        bed.write("copy", bed.read("cstartSeq"));
        bed
    });
}

#[test]
fn every_flag_of_seqfile_does_what_the_table_says() {
    let rows = table("seqfile");
    assert_eq!(unused("seqfile", &rows), Vec::<String>::new(), "flags without a line in the table");
    let tasks = ["--check", "--read", "--reverse", "--from-json", "--drift"];
    let shapes = ["--json", "--dot", "--waves", "--inventory-json"];
    let pairs = |of: &[&'static str]| -> Vec<(&str, &str)> {
        of.iter().enumerate().flat_map(|(at, &a)| of[at + 1..].iter().map(move |&b| (a, b))).collect()
    };
    let forbidden = [pairs(&tasks), pairs(&shapes)].concat();
    let untried = untried(&forbidden, &super::man::program("seqfile"), &rows);
    assert_eq!(untried, Vec::<String>::new(), "pairs without a line in the table");
    run("seqfile", &rows, || {
        let bed = Bed::new();
        bed.config("inventory.json", super::seqfile::INVENTORY);
        let text = super::seqfile::DEFAULT;
        bed.write("s", text);
        bed.write("s.json", bed.program("seqfile").args(["--json"]).any_stdout().run().stdout);
        bed.write(
            "old",
            text.replace("clients_n02: n04\n", "clients_n02: n02\n").replace("_n02 > ", "_n01 > "),
        );
        bed.write("turned", format!("{text}late: n03\nclients_n02 > late\n"));
        bed.write("bad", "a > b\n");
        bed.write("latin", b"a: n01\nb: n\xc3\xa9 \xe9\n");
        bed.write("hosts", "h1 io\nh[2-3] boot_server=h1\n");
        bed
    });
}

#[test]
fn every_flag_of_cs_logger_does_what_the_table_says() {
    let rows = table("csLogger");
    assert_eq!(unused("csLogger", &rows), Vec::<String>::new(), "flags without a line in the table");
    run("csLogger", &rows, || {
        let bed = Bed::new();
        bed.write("log/cshut.1", "begun\n");
        bed
    });
}
