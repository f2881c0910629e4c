//! The folders of `examples/`, whole sites: each is run by a test, each of its programs is clean for shellcheck, and its
//! README.md names every file beside it.

use bed::real::{self, Need};
use bed::{Bed, binaries};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Which file of tests runs the programs of a folder.
const RUN_BY: [(&str, &str); 9] = [
    ("ceph", "subsystem_examples"),
    ("drbd", "block_storage"),
    ("events", "events"),
    ("gpfs", "parallel_filesystems"),
    ("kubernetes", "subsystem_examples"),
    ("lustre", "parallel_filesystems"),
    ("nut", "nut"),
    ("offsite", "offsite"),
    ("slurm", "slurm"),
];

fn folders() -> BTreeMap<String, Vec<PathBuf>> {
    let entries = |at: PathBuf| std::fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path());
    entries(binaries::workspace().join("examples"))
        .filter(|path| path.is_dir())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), entries(path).collect()))
        .collect()
}

fn is_program(path: &Path) -> bool {
    path.metadata().unwrap().permissions().mode() & 0o111 != 0
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

#[test]
fn no_folder_is_forgotten() {
    let folders = folders();
    let names: Vec<&str> = folders.keys().map(String::as_str).collect();
    assert_eq!(names, RUN_BY.map(|(folder, _)| folder), "a folder of examples without a test that runs it");
    for (folder, tests) in RUN_BY {
        let at = binaries::workspace().join("tests");
        let text = ["scenarios", "bed"]
            .map(|below| {
                std::fs::read_to_string(at.join(below).join(format!("{tests}.rs"))).unwrap_or_default()
            })
            .concat();
        for program in folders[folder].iter().filter(|path| is_program(path)) {
            assert!(text.contains(name(program)), "{tests} does not run {}", program.display());
        }
    }
}

#[test]
fn each_readme_names_every_file_beside_it() {
    for (folder, files) in folders() {
        let readme = files.iter().find(|path| name(path) == "README.md");
        let readme =
            std::fs::read_to_string(readme.unwrap_or_else(|| panic!("{folder} has no README.md"))).unwrap();
        for file in files.iter().map(|path| name(path)).filter(|file| *file != "README.md") {
            assert!(readme.contains(&format!("`{file}`")), "README.md of {folder} does not name {file}");
        }
    }
}

#[test]
fn each_program_is_clean_for_shellcheck() {
    if !real::require(&[Need::Program("shellcheck")]) {
        return;
    }
    let bed = Bed::new();
    for program in folders().into_values().flatten().filter(|path| is_program(path)) {
        bed.external(real::find("shellcheck").unwrap()).args(["-s", "sh"]).arg(program).run();
    }
}
