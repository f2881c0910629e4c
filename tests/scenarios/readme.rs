//! Every example people are shown: those with a prompt are run, the others are read for flags that exist.
//!
//! A `console` block of README.md is run line by line in the demo's simulated cluster. A line ends in
//! `# exits N` where its status is not 0; the lines below it are what it prints (`...` any lines, `[..]` any
//! text). A `sh` block, and an example of a manual page, is for a real cluster and is not run.

use bed::binaries::{PROGRAMS, workspace};
use bed::expected::{is_like, masked};
use bed::redfish::{self, Redfish};
use bed::{Bed, HUNG, Need, Program, TMUX_NEEDS, real};
use std::collections::BTreeSet;
use std::process::Command;

#[test]
fn the_examples_of_the_readme_run() {
    let readme = std::fs::read_to_string(workspace().join("README.md")).unwrap();
    let bed = simulated_cluster();
    let mut wrong = Vec::new();
    for (line, wanted) in blocks(&readme, "console").iter().flat_map(|block| prompts(block)) {
        let status = line.rsplit_once("# exits ").map_or(0, |(_, status)| status.trim().parse().unwrap());
        let ended = shell(&bed, &format!("{line}\n")).any_status().any_stdout().run();
        let said = masked(&ended.stdout, bed.root(), ended.pid);
        if ended.status != status || !is_like(&said, &wanted) {
            wrong.push(format!(
                "$ {line}\n[exit {}]\n{said}--- should be [exit {status}]\n{wanted}",
                ended.status
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The pictures are what the programs draw, and what a terminal shows of them: they never go stale.
#[test]
fn the_pictures_of_the_readme_are_drawn_anew() {
    let readme = std::fs::read_to_string(workspace().join("README.md")).unwrap();
    let bed = Bed::new();
    bed.tools(&["sed", "mktemp", "mkdir", "mv", "chmod", "rm", "dirname", "cat", "grep", "sleep", "awk"]);
    let has_terminal = real::require(&TMUX_NEEDS);
    if has_terminal {
        bed.tool("tmux");
    }
    let script = workspace().join("packaging/pictures.sh");
    bed.write("doc/.keep", "");
    let run = bed.shell(&format!("BIN_DIR=$PWD/bin {} doc", script.display())).patience(HUNG * 4);
    if has_terminal {
        run.run()
    } else {
        run.stderr_contains("that takes tmux").run()
    };
    for (name, is_made) in [("cstartup.svg", true), ("terminal.svg", has_terminal)] {
        assert!(readme.contains(&format!("](doc/{name})")), "{name}");
        let shipped = std::fs::read_to_string(workspace().join("doc").join(name)).unwrap();
        if is_made {
            let drawn = bed.read(format!("doc/{name}"));
            assert_eq!(timeless(&drawn), timeless(&shipped), "make {name} anew: packaging/pictures.sh");
        }
    }
}

/// Returns what a terminal showed without how long it took, and how fast it went: that is never twice the same.
fn timeless(picture: &str) -> String {
    if !picture.contains(">$ cstartup ALL<") {
        return picture.to_owned();
    }
    let is_time = |word: &str| {
        word.starts_with(|sign: char| sign.is_ascii_digit())
            && word.ends_with('s')
            && word.chars().all(|sign| sign.is_ascii_digit() || ".hms".contains(sign))
    };
    let words: Vec<&str> = picture.split(' ').collect();
    let shown = words.iter().enumerate().map(|(at, &word)| match words.get(at + 1..at + 3) {
        _ if is_time(word) => "[time]",
        Some(["a", "minute," | "minute"]) => "[rate]",
        _ => word,
    });
    shown.collect::<Vec<_>>().join(" ")
}

/// A `console genders` or `console ansible` block is a whole site: its lines are one script, run from nothing.
#[test]
fn a_site_that_has_an_inventory_gets_from_nothing_to_a_plan_in_under_ten_lines() {
    let readme = std::fs::read_to_string(workspace().join("README.md")).unwrap();
    for kind in ["genders", "ansible"] {
        let found = blocks(&readme, &format!("console {kind}"));
        let [block] = found.as_slice() else { panic!("{} transcripts of {kind}", found.len()) };
        let lines = prompts(block);
        assert!(lines.len() < 10, "{kind}: {} lines", lines.len());
        let bed = Bed::new();
        bed.tool("mkdir");
        if kind == "ansible" {
            if !real::require(&[Need::Program("ansible-inventory"), Need::Program("python3")]) {
                continue;
            }
            bed.tools(&["ansible-inventory", "python3"]);
        }
        let script: String = lines.iter().map(|(line, _)| format!("{line}\n")).collect();
        let wanted: String = lines.into_iter().map(|(_, printed)| printed).collect();
        let ended = bed.shell(&format!("exec 2>&1\nset -e\n{script}")).env("LC_ALL", "C.UTF-8");
        let ended = ended.any_status().any_stdout().run();
        let said = masked(&ended.stdout, bed.root(), ended.pid);
        assert!(ended.status == 0 && is_like(&said, &wanted), "{kind}: [{}]\n{said}", ended.status);
    }
}

/// The `console redfish` block likewise, with real BMCs where it has addresses, and what it has at home.
#[test]
fn a_site_with_bmcs_gets_from_nothing_to_a_plan_in_under_ten_lines() {
    if !real::require(&redfish::NEEDS) {
        return;
    }
    let readme = std::fs::read_to_string(workspace().join("README.md")).unwrap();
    let found = blocks(&readme, "console redfish");
    let [block] = found.as_slice() else { panic!("{} transcripts", found.len()) };
    let lines = prompts(block);
    assert!(lines.len() < 10, "{} lines", lines.len());
    let bed = Bed::new();
    let bmcs = Redfish::new(&bed, 3);
    bed.tools(&["mkdir", "cp", "curl"]);
    let password = bed.write("home/bmc.pw", format!("{}\n", redfish::PASSWORD));
    std::fs::set_permissions(&password, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::copy(bmcs.ca(), bed.path("home/bmc-ca.pem")).unwrap();
    let mut script: String = lines.iter().map(|(line, _)| format!("{line}\n")).collect();
    for number in 1..=3 {
        let written = format!("bmc=10.1.0.{number}'");
        assert!(script.contains(&written), "{script}");
        script = script.replace(&written, &format!("bmc={}'", bmcs.bmc(number)));
    }
    let wanted: String = lines.into_iter().map(|(_, printed)| printed).collect();
    let run = bed.shell(&format!("exec 2>&1\nset -e\n{script}")).env("LC_ALL", "C.UTF-8");
    let ended = run.env("HOME", bed.path("home")).any_status().any_stdout().run();
    let said = masked(&ended.stdout, bed.root(), ended.pid);
    assert!(ended.status == 0 && is_like(&said, &wanted), "[{}]\n{said}", ended.status);
}

/// The table of what was elsewhere: files and commands of its right column are there.
#[test]
fn what_the_table_of_the_migration_names_is_there() {
    let readme = std::fs::read_to_string(workspace().join("README.md")).unwrap();
    let table =
        readme.split("## Coming from PSSP or Ops Center").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
    assert_eq!(rows.len(), 5, "a row without a test: {rows:?}");
    // Row by row: other formats for all three, default paths, flags, the restorer, the hand-over.
    for format in ["genders", "ansible", "warewulf", "xcat"] {
        assert!(rows[0].contains(format), "{}", rows[0]);
        for program in ["seqfile", "cstartup", "cshutdown"] {
            let bed = Bed::new();
            let said = bed.program(program).args(["--from", format, "--help"]).any_stdout().run().stdout;
            assert!(said.contains(format) && rows[0].contains(program), "{program} {format}");
        }
    }
    let bed = Bed::new();
    bed.config("cluster.toml", "power.driver = \"simulator\"\nprobe.driver = \"simulator\"\n");
    bed.config("inventory.json", r#"{"format": "orderly-inventory/1", "nodes": [{"name": "n1"}]}"#);
    for (program, file) in [("cstartup", "/etc/cstartSeq"), ("cshutdown", "/etc/cshutSeq")] {
        assert!(rows[1].contains(file), "{}", rows[1]);
        if !std::path::Path::new(file).exists() {
            let read = bed.program(program).args(["-k", "ALL"]).any_stdout();
            read.stderr_contains(&format!("{file} is missing")).run();
        }
    }
    for (row, program, flag) in [(3, "harestore", ""), (4, "ha-release", "--poweroff")] {
        assert!(rows[row].contains(program) && rows[row].contains(flag), "{}", rows[row]);
        bed.program(program).arg("--help").any_stdout().stdout_contains(flag).run();
    }
}

#[test]
fn the_examples_for_real_clusters_use_flags_that_exist() {
    let readme = std::fs::read_to_string(workspace().join("README.md")).unwrap();
    let mut examples = Vec::new();
    for language in ["sh", "console"] {
        examples.extend(blocks(&readme, language).into_iter().map(|block| ("README.md".to_owned(), block)));
    }
    for name in PROGRAMS {
        let page = std::fs::read_to_string(workspace().join(format!("man/{name}.8"))).unwrap_or_default();
        let lines = page.lines().filter_map(|line| line.strip_prefix(".Dl "));
        examples
            .extend(lines.map(|line| (format!("man/{name}.8"), line.replace("\\&", "").replace("\\-", "-"))));
    }
    let mut wrong = Vec::new();
    for (place, text) in examples {
        for flag in unknown_flags(&text) {
            wrong.push(format!("{place}: {flag}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_examples_for_real_clusters_are_shell() {
    let readme = std::fs::read_to_string(workspace().join("README.md")).unwrap();
    for block in blocks(&readme, "sh") {
        let checked = Command::new("/bin/sh").args(["-n", "-c", &block]).output().unwrap();
        assert!(checked.status.success(), "{block}\n{}", String::from_utf8_lossy(&checked.stderr));
    }
}

/// Returns a bed with the cluster of the demo, as its own script writes it.
fn simulated_cluster() -> Bed {
    let bed = Bed::new();
    bed.tools(&["cat", "chmod", "cut", "grep", "head", "ln", "sort", "tail", "wc"]);
    let script = workspace().join("packaging/demo/cluster.sh");
    shell(&bed, ". \"$script\"").env("script", script).run();
    bed
}

fn shell<'a>(bed: &'a Bed, line: &str) -> Program<'a> {
    // Both streams as one, as on a terminal.
    bed.shell(&format!("exec 2>&1\n{line}")).env("work", bed.root())
}

/// Returns the text of the fenced blocks of one language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}");
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == opening {
            found.push(
                lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect(),
            );
        }
    }
    found
}

/// Returns the lines of a block that are typed, each with what it prints.
fn prompts(block: &str) -> Vec<(String, String)> {
    let mut prompts: Vec<(String, String)> = Vec::new();
    for line in block.lines() {
        if let Some(typed) = line.strip_prefix("$ ") {
            prompts.push((typed.to_owned(), String::new()));
        } else if let Some((_, printed)) = prompts.last_mut() {
            printed.push_str(line);
            printed.push('\n');
        }
    }
    prompts
}

/// Returns the flags in shell lines that the programs they are given to do not have.
fn unknown_flags(text: &str) -> Vec<String> {
    let mut unknown = Vec::new();
    let joined = text.replace("\\\n", " ");
    for part in joined.split(['|', ';', '&', '\n', '(', ')', '`']) {
        let words = part.split_whitespace().take_while(|word| !word.starts_with(['#', '<', '>']));
        let mut words = words.skip_while(|word| !PROGRAMS.contains(word));
        let Some(program) = words.next() else { continue };
        let (shorts, longs) = flags(program);
        for word in words.take_while(|word| *word != "--") {
            let is_known = match (word.strip_prefix("--"), word.strip_prefix('-')) {
                (Some(long), _) => longs.contains(long.split('=').next().unwrap_or(long)),
                // A value may follow without a blank, so only the first letter counts.
                (None, Some(short)) => short.chars().next().is_none_or(|letter| shorts.contains(&letter)),
                (None, None) => true,
            };
            if !is_known {
                unknown.push(format!("{program} has no {word}"));
            }
        }
    }
    unknown
}

fn flags(program: &str) -> (BTreeSet<char>, BTreeSet<String>) {
    let command = crate::man::program(program);
    let arguments = || command.get_arguments();
    let shorts = arguments().filter_map(clap::Arg::get_short).collect();
    let longs = arguments().filter_map(clap::Arg::get_long).map(str::to_owned).collect();
    (shorts, longs)
}

#[test]
fn examples_are_taken_apart() {
    let text = "a\n```console\n$ one # exits 4\nsaid\n$ two\n```\n```sh\nthree\n```\n";
    assert_eq!(
        prompts(&blocks(text, "console")[0]),
        [("one # exits 4".to_owned(), "said\n".to_owned()), ("two".to_owned(), String::new())]
    );
    assert_eq!(blocks(text, "sh"), ["three\n"]);
    let line = "seqfile --no-such-flag | jq -r . | ssh ec2 habackup -~ # seqfile --neither";
    assert_eq!(unknown_flags(line), ["seqfile has no --no-such-flag", "habackup has no -~"]);
}
