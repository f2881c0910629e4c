//! Writes the licences of everything that the six programs contain into a file: `notices FILE`.
//!
//! Asks cargo what that is, and reads what each package says in its own folder. `make install` and the packages run it,
//! so the list cannot fall behind Cargo.lock.

use anyhow::{Context, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// What is shipped; what only tests, fuzzes or builds them is not in them.
const PROGRAMS: [&str; 6] = ["seqfile", "cstartup", "cshutdown", "habackup", "ha-release", "ha-takeover"];

/// How the names of files begin in which packages say how they are licensed.
const SAID_IN: [&str; 6] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];

const HEAD: &str = "# Third-party notices

The programs of Orderly contain the packages below, each under its own licence. They also contain Rust's standard library
(MIT OR Apache-2.0, <https://www.rust-lang.org/policies/licenses>), and those that are linked statically contain the C
library musl (MIT, <https://musl.libc.org>).

";

fn main() -> anyhow::Result<()> {
    let file = std::env::args_os().nth(1).context("which file?")?;
    let metadata = metadata()?;
    let mut list = String::from(HEAD);
    // Many packages carry the same text; it is shown once, under all their names.
    let mut texts: BTreeMap<String, (BTreeSet<String>, String)> = BTreeMap::new();
    for package in contained(&metadata)? {
        let said = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
        let name = format!("{} {}", said("name"), said("version"));
        let license = said("license");
        ensure!(!license.is_empty(), "{name} does not say how it is licensed");
        writeln!(list, "- {name}: {license} <{}>", said("repository"))?;
        let manifest = said("manifest_path");
        for text in texts_in(Path::new(&manifest).parent().context("a manifest lies in a folder")?)? {
            let key = text.split_whitespace().collect::<Vec<_>>().join(" ");
            texts.entry(key).or_insert_with(|| (BTreeSet::new(), text)).0.insert(name.clone());
        }
    }
    let mut texts: Vec<_> = texts.into_values().collect();
    texts.sort();
    for (names, text) in texts {
        let names: Vec<String> = names.into_iter().collect();
        write!(list, "\n## {}\n\n```text\n{}\n```\n", names.join(", "), text.trim_end())?;
    }
    std::fs::write(&file, list).with_context(|| format!("write {}", file.to_string_lossy()))
}

fn metadata() -> anyhow::Result<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("tests lies in the workspace")?;
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut command = Command::new(cargo);
    command.current_dir(workspace).args(["metadata", "--locked", "--format-version", "1"]);
    let output = command.args(["--filter-platform", &platform]).output().context("start cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("read what cargo metadata printed")
}

/// Returns the packages of others that the programs are built from, sorted by name.
fn contained(metadata: &Value) -> anyhow::Result<Vec<&Value>> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let by_id: BTreeMap<&str, &Value> =
        packages.iter().filter_map(|package| Some((package["id"].as_str()?, package))).collect();
    let nodes = list(&metadata["resolve"]["nodes"]);
    let needs: BTreeMap<&str, Vec<Value>> =
        nodes.iter().filter_map(|node| Some((node["id"].as_str()?, list(&node["deps"])))).collect();
    let is_program = |id: &&str| PROGRAMS.iter().any(|name| by_id[id]["name"] == *name);
    let mut waiting: Vec<String> =
        by_id.keys().filter(|id| is_program(id)).map(|id| (*id).to_owned()).collect();
    let mut found: BTreeSet<String> = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        for need in needs.get(id.as_str()).into_iter().flatten() {
            // No kind is the ordinary one; the others are for building and for testing.
            let is_ordinary = list(&need["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
            let other = need["pkg"].as_str().unwrap_or_default();
            if is_ordinary && found.insert(other.to_owned()) {
                waiting.push(other.to_owned());
            }
        }
    }
    let foreign = found.iter().filter_map(|id| by_id.get(id.as_str()).copied());
    let mut foreign: Vec<&Value> = foreign.filter(|package| !package["source"].is_null()).collect();
    foreign.sort_by_key(|package| package["name"].to_string() + &package["version"].to_string());
    ensure!(!foreign.is_empty(), "cargo metadata names nothing that the programs are built from");
    Ok(foreign)
}

/// Returns what the files of a package say about its licence.
fn texts_in(folder: &Path) -> anyhow::Result<Vec<String>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let mut files: Vec<_> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    let says = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        SAID_IN.iter().any(|begin| name.starts_with(begin))
    };
    let said = files.iter().filter(|path| says(path));
    said.map(|path| std::fs::read_to_string(path).with_context(|| format!("read {}", path.display())))
        .collect()
}
