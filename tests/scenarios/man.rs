//! The manual pages against the programs: every flag and every status, in both directions.

use bed::binaries::{PROGRAMS, workspace};
use bed::{Need, real};
use clap::Command;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The sections of a page, in their order; those marked true must be there.
const SECTIONS: [(&str, bool); 10] = [
    ("NAME", true),
    ("SYNOPSIS", true),
    ("DESCRIPTION", true),
    ("OPTIONS", true),
    ("ENVIRONMENT", true),
    ("FILES", false),
    ("EXIT STATUS", true),
    ("EXAMPLES", true),
    ("DIAGNOSTICS", false),
    ("SEE ALSO", true),
];

/// How the pages begin to explain each status; the same word is in the report.
const STATUSES: [(&str, &str); 7] = [
    ("0", "Done"),
    ("1", "Failed: "),
    ("2", "Usage: wrong arguments; nothing was touched."),
    ("3", "Rejected: "),
    ("4", "Refused: "),
    ("5", "Stuck: "),
    ("128+n", "Ended by signal n"),
];

#[test]
fn every_program_has_a_page_that_says_what_it_does() {
    let mut wrong = Vec::new();
    for name in PROGRAMS {
        let path = workspace().join(format!("man/{name}.8"));
        match std::fs::read_to_string(&path) {
            Ok(text) => check(name, &Page(text), &mut wrong),
            Err(error) => wrong.push(format!("man/{name}.8: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_page_is_clean_mdoc() {
    let pages: Vec<PathBuf> = pages();
    if pages.is_empty() || !real::require(&[Need::Program("mandoc")]) {
        return;
    }
    let mut mandoc = std::process::Command::new(real::find("mandoc").unwrap());
    let said = mandoc.args(["-T", "lint", "-W", "warning"]).args(&pages).output().unwrap();
    assert!(said.status.success() && said.stdout.is_empty(), "{}", String::from_utf8_lossy(&said.stdout));
}

#[test]
fn every_installed_page_names_itself() {
    for path in pages() {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let (name, section) = file.rsplit_once('.').unwrap();
        let title = text.lines().find_map(|line| line.strip_prefix(".Dt ")).unwrap_or_default();
        assert_eq!(title.to_lowercase(), format!("{} {section}", name.to_lowercase()), "{file}: .Dt");
    }
}

/// Four keys of a pool stood there twice, and not with the same words.
#[test]
fn nothing_is_described_twice_in_one_section() {
    let mut twice = Vec::new();
    for path in pages() {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut seen = BTreeSet::new();
        for line in text.lines() {
            if line.starts_with(".Sh ") || line.starts_with(".Ss ") {
                seen.clear();
            } else if line.starts_with(".It Cm ") && !seen.insert(line) {
                twice.push(format!("{}: {line}", path.display()));
            }
        }
    }
    assert!(twice.is_empty(), "{}", twice.join("\n"));
}

/// Variables by which one of the programs, or of the tests, tells another something; nobody sets them by hand.
const BETWEEN_PROGRAMS: [&str; 3] = ["ORDERLY_LOCK_FD", "ORDERLY_TWICE", "CI"];

/// `SP_NAME` stood under an option, `ORDERLY_HOST` on one page of three, `TERM` nowhere.
#[test]
fn every_variable_that_is_read_stands_under_environment_and_no_other() {
    let explained: BTreeSet<String> = PROGRAMS
        .iter()
        .map(|name| Page(std::fs::read_to_string(workspace().join(format!("man/{name}.8"))).unwrap()))
        .flat_map(|page| {
            let entries = page.lines("ENVIRONMENT").filter_map(|line| line.strip_prefix(".It Ev "));
            entries.map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    let mut read = BTreeSet::new();
    let mut directories: Vec<PathBuf> = PROGRAMS.iter().map(|name| workspace().join(name)).collect();
    directories.push(workspace().join("crates"));
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = std::fs::read_to_string(path).unwrap();
                read.extend(variables(source.split("#[cfg(test)]\nmod tests {").next().unwrap()));
            }
        }
    }
    BETWEEN_PROGRAMS.iter().for_each(|name| assert!(read.remove(*name), "{name} is no longer read"));
    // jiff reads it.
    read.insert("TZ".to_owned());
    assert_eq!(explained, read);
}

/// The names in a source text that are in capitals and read as variables: those of ours, and what `env::var` is given.
fn variables(source: &str) -> impl Iterator<Item = String> {
    let is_name =
        |word: &&str| word.len() > 1 && word.chars().all(|sign| sign.is_ascii_uppercase() || sign == '_');
    let given = source.split("env::var").skip(1).filter_map(|rest| rest.split('"').nth(1)).filter(is_name);
    let ours = source.split('"').filter(is_name).filter(|word| word.starts_with("ORDERLY_"));
    given.chain(ours).map(str::to_owned).collect::<Vec<_>>().into_iter()
}

fn check(name: &str, page: &Page, wrong: &mut Vec<String>) {
    let mut say = |what: String| wrong.push(format!("man/{name}.8: {what}"));
    let sections = page.sections();
    let known: Vec<&str> = sections
        .iter()
        .map(String::as_str)
        .filter(|found| SECTIONS.iter().any(|(name, _)| name == found))
        .collect();
    let wanted: Vec<&str> =
        SECTIONS.iter().filter(|(name, must)| *must || known.contains(name)).map(|(name, _)| *name).collect();
    if known != wanted {
        say(format!("sections are {known:?}; they should be {wanted:?}"));
    }

    let command = program(name);
    let (visible, accepted) = flags(command);
    let explained: BTreeSet<String> =
        page.lines("OPTIONS").filter(|line| line.starts_with(".It ")).flat_map(flags_of).collect();
    for flag in visible.difference(&explained) {
        say(format!("{flag} of the program is not explained under OPTIONS"));
    }
    if ["seqfile", "cstartup", "cshutdown"].contains(&name) {
        for paragraph in unsourced(page) {
            say(format!("{paragraph} is said neither to be documented by IBM nor to be chosen here"));
        }
    }
    let own = |line: &&str| !line.contains("Xr ") && !line.starts_with(".Nm ") && !line.starts_with(".Ic ");
    let mentioned = page.lines("OPTIONS").filter(own).chain(page.lines("SYNOPSIS")).flat_map(flags_of);
    let mentioned =
        mentioned.flat_map(|flag| if accepted.contains(&flag) { vec![flag] } else { spread(&flag) });
    for flag in mentioned.collect::<BTreeSet<_>>().difference(&accepted) {
        say(format!("{flag} is no flag of the program"));
    }

    let statuses: BTreeSet<String> = page.lines("EXIT STATUS").filter_map(status_of).collect();
    for status in ["0", "1", "2", "3", "4", "5", "128+n"] {
        if !statuses.contains(status) {
            say(format!("EXIT STATUS does not list {status}"));
        }
    }
    let explained: Vec<&str> = page.lines("EXIT STATUS").collect();
    for (status, word) in STATUSES {
        let item = format!(".It {status}");
        let text = explained.iter().skip_while(|line| **line != item).nth(1).unwrap_or(&"");
        if !text.starts_with(word) {
            say(format!("EXIT STATUS {status} begins \"{text}\", not \"{word}\" as everywhere"));
        }
    }
}

/// Returns the flags of a drop-in whose meaning is explained without saying whose it is.
fn unsourced(page: &Page) -> Vec<String> {
    let text = page.lines("OPTIONS").collect::<Vec<_>>().join("\n");
    let items = text.split("\n.It ").skip(1);
    let own = items.filter(|item| item.starts_with("Fl "));
    let unsourced = own.filter(|item| {
        let (flags, words) = item.split_once('\n').unwrap_or((item, ""));
        let everybodys = ["-help", "-version"].iter().any(|flag| flags.contains(flag));
        let words = words.to_lowercase();
        !everybodys && !words.contains("documented") && !words.contains("chosen") && !words.contains("ibm")
    });
    unsourced.map(|item| item.lines().next().unwrap_or_default().to_owned()).collect()
}

pub(crate) fn program(name: &str) -> Command {
    let mut command = match name {
        "seqfile" => seqfile::command(),
        "cstartup" => cstartup::command(),
        "cshutdown" => cshutdown::command(),
        "habackup" => habackup::command(),
        "ha-release" => ha_release::command(),
        "ha-takeover" => ha_takeover::command(),
        other => panic!("no program {other}"),
    };
    command.build();
    command
}

/// Returns the flags a program shows, and all it takes (aliases, hidden ones).
fn flags(command: Command) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut visible = BTreeSet::new();
    let mut accepted = BTreeSet::new();
    for argument in command.get_arguments() {
        let long = argument.get_long().map(|long| format!("--{long}"));
        let short = argument.get_short().map(|short| format!("-{short}"));
        let own: Vec<String> = long.into_iter().chain(short).collect();
        if !argument.is_hide_set() {
            visible.extend(own.iter().cloned());
        }
        accepted.extend(own);
        accepted
            .extend(argument.get_all_aliases().unwrap_or_default().iter().map(|alias| format!("--{alias}")));
        accepted.extend(
            argument.get_all_short_aliases().unwrap_or_default().iter().map(|alias| format!("-{alias}")),
        );
    }
    (visible, accepted)
}

/// Returns the flags named by `Fl` in one line of mdoc.
fn flags_of(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut after_fl = 0;
    let mut last_was_fl = false;
    for word in line.trim_start_matches('.').split_whitespace() {
        let word = word.replace("\\-", "-").replace("\\&", "");
        if word == "Fl" {
            after_fl = if last_was_fl { after_fl + 1 } else { 1 };
        } else if is_macro(&word) {
            after_fl = 0;
        } else if after_fl > 0 && word.starts_with(|c: char| c == '-' || c.is_alphanumeric()) {
            // `Fl Fl json` is the other way to write `Fl -json`.
            found.push(format!("{}{word}", "-".repeat(after_fl)));
            after_fl = 1;
        }
        last_was_fl = word == "Fl";
    }
    found
}

/// Returns the flags of a bundle: `-nqv` is `-n`, `-q` and `-v`.
fn spread(flag: &str) -> Vec<String> {
    match flag.strip_prefix('-') {
        Some(letters) if !letters.starts_with('-') => {
            letters.chars().map(|letter| format!("-{letter}")).collect()
        }
        Some(_) | None => vec![flag.to_owned()],
    }
}

fn is_macro(word: &str) -> bool {
    let letters: Vec<char> = word.chars().collect();
    matches!(letters[..], [first, second] if first.is_ascii_uppercase() && second.is_ascii_lowercase())
}

/// Returns the status an `.It` line lists.
fn status_of(line: &str) -> Option<String> {
    let item = line.strip_prefix(".It ")?.replace("\\(pl", "+").replace(['\\', '&'], "");
    let words: Vec<&str> = item.split_whitespace().filter(|word| !is_macro(word)).collect();
    let joined = words.concat().to_lowercase();
    if joined.starts_with("128+n") {
        return Some("128+n".to_owned());
    }
    words.first().map(|word| word.trim_matches(|c: char| !c.is_ascii_digit()).to_owned())
}

/// The text of one page.
struct Page(String);

impl Page {
    fn sections(&self) -> Vec<String> {
        self.0
            .lines()
            .filter_map(|line| line.strip_prefix(".Sh "))
            .map(|name| name.trim().to_owned())
            .collect()
    }

    /// Returns the lines of one section.
    fn lines<'a>(&'a self, section: &'a str) -> impl Iterator<Item = &'a str> {
        let is_heading = |line: &str| line.starts_with(".Sh ");
        self.0
            .lines()
            .skip_while(move |line| line.strip_prefix(".Sh ").map(str::trim) != Some(section))
            .skip(1)
            .take_while(move |line| !is_heading(line))
    }
}

fn pages() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(workspace().join("man")) else { return Vec::new() };
    let mut pages: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    pages.retain(|path| {
        path.extension().is_some_and(|found| ["5", "7", "8"].iter().any(|section| found == *section))
    });
    pages.sort();
    pages
}

#[test]
fn flags_are_read_from_every_way_to_write_them() {
    for (line, wanted) in [
        (".It Fl n , Fl -dry-run", vec!["-n", "--dry-run"]),
        (".It Fl n Ns | Ns Fl Fl json", vec!["-n", "--json"]),
        (".Op Fl h | k | m | r", vec!["-h", "-k", "-m", "-r"]),
        (".It Fl \\-config Ar file", vec!["--config"]),
        (".It Fl W Ar seconds Ns | Ns Cm AUTO", vec!["-W"]),
    ] {
        assert_eq!(flags_of(line), wanted, "{line}");
    }
    assert_eq!(spread("-nq"), ["-n", "-q"]);
    assert_eq!(spread("--json"), ["--json"]);
    assert_eq!(status_of(".It 128 Ns + Ns Ar n").as_deref(), Some("128+n"));
    assert_eq!(status_of(".It Li 3 Pq rejected").as_deref(), Some("3"));
    assert_eq!(status_of(".It 0 done").as_deref(), Some("0"));
}
