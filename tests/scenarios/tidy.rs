//! The house in order: the arrows between crates, words that must not stay, files that grew too long.

use bed::binaries::workspace;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Who may import whom, exactly as drawn in ARCHITECTURE.md.
const ARROWS: [(&str, &[&str]); 12] = [
    ("orderly-plan", &[]),
    ("orderly-exec", &["orderly-plan"]),
    ("orderly-nodes", &["orderly-exec", "orderly-plan"]),
    ("orderly-host", &["orderly-exec", "orderly-plan"]),
    ("seqfile", &["orderly-exec", "orderly-plan"]),
    ("cstartup", &["orderly-exec", "orderly-nodes", "orderly-plan"]),
    ("cshutdown", &["orderly-exec", "orderly-nodes", "orderly-plan"]),
    ("habackup", &["orderly-exec", "orderly-host", "orderly-plan"]),
    ("ha-release", &["orderly-exec", "orderly-host", "orderly-plan"]),
    ("ha-takeover", &["orderly-exec", "orderly-host", "orderly-plan"]),
    (
        "orderly-fuzz",
        &["cshutdown", "habackup", "orderly-exec", "orderly-host", "orderly-nodes", "orderly-plan"],
    ),
    ("orderly-tests", &[]),
];

/// What the project was given to stand on; anything else needs its reason in ARCHITECTURE.md.
const GIVEN: [&str; 11] = [
    "clap",
    "serde",
    "serde_json",
    "petgraph",
    "nix",
    "anyhow",
    "toml",
    "indicatif",
    "jiff",
    "blake3",
    "clap_complete",
];

/// Longer than this and a file owns more than one thing.
const LONGEST: usize = 600;

#[test]
fn crates_import_only_what_the_map_allows() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let mut wrong = Vec::new();
    for (package, imports) in imports() {
        let Some(allowed) = allowed.get(package.as_str()) else {
            wrong.push(format!("{package} is not on the map"));
            continue;
        };
        let inside: BTreeSet<&str> = imports
            .iter()
            .map(String::as_str)
            .filter(|name| ARROWS.iter().any(|(inside, _)| inside == name))
            .collect();
        let wanted: BTreeSet<&str> = allowed.iter().copied().collect();
        if inside != wanted {
            wrong.push(format!("{package} imports {inside:?}; the map says {wanted:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn petgraph_is_in_plan_alone_and_plan_touches_nothing() {
    for (package, imports) in imports() {
        assert_eq!(imports.contains("petgraph"), package == "orderly-plan", "petgraph in {package}");
        if package == "orderly-plan" {
            for outside in ["nix", "clap", "anyhow", "toml", "indicatif", "jiff"] {
                assert!(!imports.contains(outside), "plan decides, it does not act: it imports {outside}");
            }
        }
    }
}

#[test]
fn every_dependency_is_given_or_has_its_reason() {
    let reasons = std::fs::read_to_string(workspace().join("ARCHITECTURE.md")).unwrap();
    let mut wrong = Vec::new();
    for (package, imports) in imports().into_iter().filter(|(package, _)| package != "orderly-tests") {
        for name in imports {
            let known = ARROWS.iter().any(|(inside, _)| *inside == name) || GIVEN.contains(&name.as_str());
            if !known && !reasons.contains(&format!("`{name}`")) {
                wrong.push(format!("{package} uses {name}, for which ARCHITECTURE.md gives no reason"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_word_stays_that_was_meant_to_go() {
    let everywhere = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
    let in_rust = [
        concat!("dbg", "!("),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("print", "ln!("),
        concat!("print", "!("),
        concat!("#[", "ignore"),
        concat!("process::", "exit("),
    ];
    let machine = [concat!("/wo", "rk"), concat!("../sha", "red")];
    let mut wrong = Vec::new();
    for file in texts() {
        let text = std::fs::read_to_string(&file).unwrap();
        let is_product = file.extension().is_some_and(|extension| extension == "rs")
            && !file.ends_with("build.rs")
            && !["bench", "benches", "fuzz"].iter().any(|folder| file.starts_with(workspace().join(folder)));
        for (number, line) in text.lines().enumerate() {
            let words = everywhere.iter().chain(&machine).filter(|word| stands_alone(line, word));
            let calls = in_rust.iter().filter(|word| is_product && line.contains(**word));
            for word in words.chain(calls) {
                wrong.push(format!("{}:{}: {word}", shown(&file), number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_source_file_says_what_it_owns_and_is_short() {
    let vague =
        ["util", "utils", "helper", "helpers", "common", "misc", "manager", "handler", "data", "info"];
    let mut wrong = Vec::new();
    for file in sources() {
        let text = std::fs::read_to_string(&file).unwrap();
        if !text.starts_with("//!") {
            wrong.push(format!("{}: does not open with //!", shown(&file)));
        }
        let lines = text.lines().count();
        if lines > LONGEST {
            wrong.push(format!("{}: {lines} lines; {LONGEST} is the most", shown(&file)));
        }
        if file.file_stem().is_some_and(|stem| vague.iter().any(|name| stem == *name)) {
            wrong.push(format!("{}: a name that says nothing", shown(&file)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn plan_knows_no_file_process_clock_or_environment() {
    let outside =
        ["std::fs", "std::env", "std::process", "std::net", "std::thread", "Instant::now", "SystemTime"];
    let mut wrong = Vec::new();
    for file in sources().into_iter().filter(|file| file.starts_with(workspace().join("crates/plan/src"))) {
        let text = std::fs::read_to_string(&file).unwrap();
        let product = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in product.lines().enumerate() {
            for word in outside.iter().filter(|word| line.contains(**word)) {
                wrong.push(format!("{}:{}: {word}", shown(&file), number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_script_is_read_by_a_plain_shell() {
    let scripts: Vec<PathBuf> = texts().into_iter().filter(|file| begins_as_script(file)).collect();
    assert!(!scripts.is_empty());
    for script in scripts {
        let checked = Command::new("/bin/sh").arg("-n").arg(&script).output().unwrap();
        assert!(checked.status.success(), "{}: {}", shown(&script), String::from_utf8_lossy(&checked.stderr));
    }
}

#[test]
fn the_lock_file_names_the_public_registry_alone() {
    let lock = std::fs::read_to_string(workspace().join("Cargo.lock")).unwrap();
    for line in lock.lines().filter(|line| line.starts_with("source = ")) {
        assert_eq!(line, "source = \"registry+https://github.com/rust-lang/crates.io-index\"");
    }
}

/// Returns what each package imports; for the tests themselves nothing, as they may import all.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["metadata", "--no-deps", "--format-version", "1", "--locked", "--offline"]);
    let answer = cargo.current_dir(workspace()).output().unwrap();
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap();
            // `kind` is null for what is compiled in, "dev" or "build" otherwise.
            let compiled = dependencies.iter().filter(|dependency| dependency["kind"].is_null());
            let names = compiled.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect();
            (package["name"].as_str().unwrap().to_owned(), names)
        })
        .collect()
}

/// Returns all text files of the project, in order.
fn texts() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![workspace().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let is_made = ["target", ".git", "results", "corpus", "Cargo.lock"].contains(&name.as_str());
            if is_made || path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read(&path).is_ok_and(|bytes| std::str::from_utf8(&bytes).is_ok()) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<PathBuf> {
    texts().into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")).collect()
}

fn begins_as_script(file: &Path) -> bool {
    std::fs::read_to_string(file).is_ok_and(|text| text.starts_with("#!/bin/sh"))
}

fn shown(file: &Path) -> String {
    file.strip_prefix(workspace()).unwrap_or(file).display().to_string()
}

/// Tells whether a word stands in a line with neither letter nor digit at its sides.
fn stands_alone(line: &str, word: &str) -> bool {
    let is_part = |side: Option<char>| side.is_some_and(|side| side.is_alphanumeric() || side == '_');
    line.match_indices(word).any(|(at, _)| {
        !is_part(line[..at].chars().next_back()) && !is_part(line[at + word.len()..].chars().next())
    })
}
