//! What somebody reads in the first hour who forgets, misspells or lacks something, word for word: the files of
//! `tests/golden/errors`. Each has what is there (`# cluster`, `# pair`, `# backup`, `# PATH: text`), the line that is typed,
//! the status in brackets, and all that is said, in which `[..]` stands for anything within a line.
//! `ORDERLY_GOLDEN=write` writes those anew of which something else is said.

use crate::refusals::line_is_like;
use bed::binaries::workspace;
use bed::{Bed, Need, real};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

const PROGRAMS: [&str; 6] = ["seqfile", "cstartup", "cshutdown", "habackup", "ha-release", "ha-takeover"];

/// Four imagined nodes, all off, in no order.
const CLUSTER: [(&str, &str); 5] = [
    (
        "inventory.json",
        r#"{"nodes": [{"name": "n1"}, {"name": "n2", "groups": ["compute"]}, {"name": "n3"}, {"name": "n4"}]}"#,
    ),
    ("cstartSeq", ""),
    ("cshutSeq", ""),
    ("subsysSeq", ""),
    (
        "cluster.toml",
        "inventory = \"[ROOT]/etc/inventory.json\"\nlog_dir = \"[ROOT]/log\"\n\
         sequence = { start = \"[ROOT]/etc/cstartSeq\", shut = \"[ROOT]/etc/cshutSeq\", subsystems = \"[ROOT]/etc/subsysSeq\" }\n\
         [power]\ndriver = \"simulator\"\n[shell]\ndriver = \"simulator\"\n[probe]\ndriver = \"simulator\"\n\
         [simulator]\nlatency = \"0s\"\nboot = \"1ms\"\n",
    ),
];

/// A folder that this host would mount, and does not.
const PAIR: &str = "[[host]]\nname = \"[HOST]\"\n[[host]]\nname = \"ec2\"\n[asset]\nkind = \"bind\"\n\
                    source = \"[ROOT]/shared\"\n[[asset.mount]]\nat = \"[ROOT]/at\"\n";
const BACKUP: &str = "[backup]\ndirectory = \"[ROOT]/at/habackup\"\ninclude = [\"[ROOT]/source\"]\n";

/// Writes what is there, and returns the line that is typed.
fn prepare(bed: &Bed, case: &str, host: &str) -> String {
    let whole =
        |text: &str| text.replace("[ROOT]", &bed.root().display().to_string()).replace("[HOST]", host);
    for line in case.lines() {
        if let Some(line) = line.strip_prefix("$ ") {
            return line.to_owned();
        }
        let line = line.strip_prefix("# ").expect("what is there begins with #");
        match (line, line.split_once(": ")) {
            ("cluster", _) => CLUSTER.iter().for_each(|(name, text)| drop(bed.config(name, whole(text)))),
            ("pair" | "backup", _) => {
                for folder in ["shared", "at", "source"] {
                    std::fs::create_dir_all(bed.path(folder)).unwrap();
                }
                let backup = if line == "backup" { BACKUP } else { "" };
                bed.config("ha.toml", whole(&format!("{PAIR}{backup}")));
            }
            (_, Some((path, text))) => {
                let text = whole(text).replace("\\n", "\n");
                match path.strip_prefix("etc/") {
                    Some(name) => drop(bed.config(name, text)),
                    None => drop(bed.write(path, text)),
                }
            }
            (_, None) => drop(bed.write(line.trim_end_matches(':'), "")),
        }
    }
    panic!("no line is typed: {case}");
}

/// Runs a case; returns its file as it should be.
fn said(path: &Path, host: &str) -> String {
    let case = std::fs::read_to_string(path).unwrap();
    let bed = Bed::new();
    let typed = prepare(&bed, &case, host);
    bed.tools(&["chmod"]);
    let ended = bed.shell(&typed).any_status().any_stdout().any_stderr().run();
    let head = case.split_inclusive('\n').take_while(|line| line.starts_with("# ")).collect::<String>();
    let said = format!("[{}]\n{}{}", ended.status, ended.stdout, ended.stderr);
    let said = said
        .replace(&bed.root().display().to_string(), "[ROOT]")
        .replace(&format!("\"{host}\""), "\"[HOST]\"");
    format!("{head}$ {typed}\n{said}")
}

#[test]
fn every_error_of_the_first_hour_is_said_as_it_is_written() {
    if !real::require(&[Need::Root]) {
        return;
    }
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    let folder = workspace().join("tests/golden/errors");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let (mut wrong, mut counts) = (String::new(), BTreeMap::new());
    for path in &paths {
        let wanted = std::fs::read_to_string(path).unwrap();
        let said = said(path, &host);
        let is_like = said.lines().count() == wanted.lines().count()
            && said.lines().zip(wanted.lines()).all(|(said, wanted)| line_is_like(said, wanted));
        if !is_like && std::env::var_os("ORDERLY_GOLDEN").is_some() {
            std::fs::write(path, &said).unwrap();
        } else if !is_like {
            writeln!(wrong, "{}:\n{said}\nshould be:\n{wanted}", path.display()).unwrap();
        }
        let name = path.file_name().unwrap().to_string_lossy();
        let program = PROGRAMS.iter().find(|program| name.starts_with(&format!("{program}-")));
        *counts.entry(program.expect("a case is named for its program")).or_insert(0) += 1;
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(paths.len() >= 80 && counts.len() == 6 && counts.values().all(|&count| count >= 7), "{counts:?}");
}
