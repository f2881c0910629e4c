//! `make install` and `make demo`, as a packager and a newcomer would start them.

use bed::binaries::{self, workspace};
use bed::{Bed, Need, Program, real};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What the scripts of the yard use of a Debian machine.
const TOOLS: [&str; 23] = [
    "basename", "cat", "chmod", "cp", "date", "dirname", "head", "id", "install", "ln", "mkdir", "mktemp",
    "mount", "rm", "sed", "sh", "tail", "umount", "unshare", "wc", "mv", "rmdir", "sync",
];

fn script<'a>(bed: &'a Bed, name: &str) -> Program<'a> {
    bed.tools(&TOOLS);
    bed.external(workspace().join("packaging").join(name)).env("BIN_DIR", bed.path("bin"))
}

/// What `make install PREFIX=/opt/orderly` tells the script.
fn installer<'a>(bed: &'a Bed, task: &[&str]) -> Program<'a> {
    script(bed, "install.sh")
        .args(task)
        .env("DESTDIR", bed.path("target"))
        .env("SBINDIR", "/opt/orderly/sbin")
        .env("MANDIR", "/opt/orderly/share/man")
        .env("DOCDIR", "/opt/orderly/share/doc/orderly")
        .env("SYSCONFDIR", "/opt/orderly/etc")
        .env("UNITDIR", "/opt/orderly/lib/systemd/system")
        .env("OCFDIR", "/opt/orderly/lib/ocf/resource.d")
        .env("BASHCOMPDIR", "/opt/orderly/share/bash-completion/completions")
        .env("ZSHCOMPDIR", "/opt/orderly/share/zsh/site-functions")
        .env("FISHCOMPDIR", "/opt/orderly/share/fish/vendor_completions.d")
        .env("PROGRAMS", binaries::PROGRAMS.join(" "))
}

/// Puts the programs and their completions where `BIN_DIR` has them.
pub(crate) fn with_completions(bed: &Bed) {
    bed.external(example("completions")).arg(bed.path("bin/completions")).run();
}

/// Returns a program of `tests/examples`: the test executable lies in `deps`, beside `examples`.
fn example(name: &str) -> PathBuf {
    let built = std::env::current_exe().unwrap();
    built.parent().unwrap().parent().unwrap().join("examples").join(name)
}

#[test]
fn the_licences_of_what_the_programs_contain_are_listed_and_nothing_else() {
    // Who tests installed programs may have none.
    if !real::require(&[Need::Program("cargo"), Need::Program("rustc")]) {
        return;
    }
    let bed = Bed::new();
    bed.tools(&["cargo", "rustc"]);
    // cargo finds its packages where the user who tests has them.
    let mut notices = bed.external(example("notices")).arg(bed.path("notices"));
    for name in ["HOME", "CARGO_HOME", "RUSTUP_HOME"] {
        if let Some(value) = std::env::var_os(name) {
            notices = notices.env(name, value);
        }
    }
    notices.run();
    let said = bed.read("notices");
    for (name, license) in [("clap", "MIT OR Apache-2.0"), ("indicatif", "MIT"), ("blake3", "CC0-1.0 OR")] {
        let has = |line: &str| line.starts_with(&format!("- {name} ")) && line.contains(license);
        assert!(said.lines().any(has), "{name}: {said}");
    }
    // What only tests, and what is ours.
    for name in ["proptest", "tempfile", "clap_complete", "orderly-plan", "seqfile"] {
        assert!(!said.contains(&format!("- {name} ")), "{name}");
    }
    assert!(said.contains("Permission is hereby granted"), "the texts are there");
}

/// Returns all files and links below a folder.
fn files_below(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_below(&entry.path()));
        } else {
            found.insert(entry.path());
        }
    }
    found
}

#[test]
fn what_is_installed_is_what_an_administrator_looks_for() {
    let bed = Bed::new();
    with_completions(&bed);
    installer(&bed, &[]).any_stdout().run();
    let installed = |below: &str| bed.path("target/opt/orderly").join(below);
    for name in binaries::PROGRAMS {
        bed.external(installed("sbin").join(name)).arg("--version").any_stdout().run();
    }
    assert_eq!(std::fs::read_link(installed("sbin/harestore")).unwrap(), Path::new("habackup"));
    for (folder, section) in [("share/man/man5", "5"), ("share/man/man7", "7"), ("share/man/man8", "8")] {
        let pages = std::fs::read_dir(installed(folder)).map_or(0, Iterator::count);
        let written = std::fs::read_dir(workspace().join("man")).unwrap().flatten();
        let written =
            written.filter(|page| page.path().extension().is_some_and(|found| found == section)).count();
        // harestore has a page of its own name, which is habackup's.
        assert_eq!(pages, written + usize::from(section == "8"), "pages of section {section}");
    }
    bed.external("/bin/sh").arg("-n").arg(installed("lib/ocf/resource.d/orderly/asset")).run();
    // What is written for /usr/sbin finds the programs where they are.
    for (file, wanted) in [
        ("etc/cron.d/habackup", "/opt/orderly/sbin/habackup -q --if-held"),
        ("lib/systemd/system/habackup.service", "ExecStart=/opt/orderly/sbin/habackup -q --if-held"),
        ("lib/ocf/resource.d/orderly/asset", ":/opt/orderly/sbin command -v"),
    ] {
        let text = std::fs::read_to_string(installed(file)).unwrap();
        assert!(text.contains(wanted), "{file}: {text}");
    }
    for program in binaries::PROGRAMS.iter().chain(&["csLogger", "harestore"]) {
        for file in [
            format!("share/bash-completion/completions/{program}"),
            format!("share/zsh/site-functions/_{program}"),
            format!("share/fish/vendor_completions.d/{program}.fish"),
        ] {
            assert!(installed(&file).exists(), "{file}");
        }
    }
    // Nothing is written beside the prefix.
    let beside: Vec<PathBuf> = files_below(&bed.path("target"))
        .into_iter()
        .filter(|file| !file.starts_with(bed.path("target/opt/orderly")))
        .collect();
    assert_eq!(beside, Vec::<PathBuf>::new());
}

#[test]
fn what_is_uninstalled_is_what_was_installed_and_nothing_else() {
    let bed = Bed::new();
    with_completions(&bed);
    // Files of others in the folders that are shared, and one of the administrator's in a folder of ours.
    for below in ["sbin/other", "share/man/man8/other.8", "etc/cron.d/other", "share/doc/orderly/notes"] {
        bed.write(format!("target/opt/orderly/{below}"), "mine");
    }
    let before = files_below(&bed.path("target"));
    installer(&bed, &[]).any_stdout().run();
    assert!(files_below(&bed.path("target")).len() > before.len() + 50, "it was installed");
    // What was built is gone by then, as after `make clean`.
    let task = || installer(&bed, &["uninstall"]).env("BIN_DIR", bed.path("gone"));
    task().any_stdout().run();
    assert_eq!(files_below(&bed.path("target")), before);
    for ours in ["share/doc/orderly/examples", "lib/ocf/resource.d/orderly"] {
        assert!(!bed.path("target/opt/orderly").join(ours).exists(), "{ours}");
    }
    // Where nothing is installed, nothing is to be removed.
    task().run();
    assert_eq!(files_below(&bed.path("target")), before);
}

#[test]
fn a_program_that_was_not_built_stops_the_installation_before_anything_is_written() {
    let bed = Bed::new();
    installer(&bed, &[])
        .env("BIN_DIR", bed.path("empty"))
        .status(1)
        .stderr("install: [ROOT]/empty/seqfile is missing: run make first\n")
        .run();
    assert!(!bed.path("target").exists());
}

/// It ended with the first package of which a test failed, and nobody saw what did not run.
#[test]
fn the_tests_go_on_after_a_failure_and_end_with_one_line() {
    let bed = Bed::new();
    bed.tools(&["getconf", "tee", "grep", "awk"]);
    bed.script(
        "fakes/cargo",
        "echo \"$@\"; echo 'test a::b ... FAILED'; echo 'did not run: c: needs root (1 so far)' >&2\n\
         echo 'test result: FAILED. 7 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s'\n\
         echo 'test result: ok. 20 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s'; exit 101",
    );
    let ended = script(&bed, "test.sh").status(101).any_stdout().run();
    assert!(ended.stdout.starts_with("test --locked --workspace --no-fail-fast\n"), "{}", ended.stdout);
    let last = "\n\ntest a::b ... FAILED\ndid not run: c: needs root (1 so far)\ntests: 26 passed, 1 failed, 1 did not run\n";
    assert!(ended.stdout.ends_with(last), "{}", ended.stdout);
    // A run in which all is well, but for what did not compile.
    bed.script("fakes/cargo", "echo 'error: could not compile' >&2; exit 101");
    let ended = script(&bed, "test.sh").status(101).any_stdout().run();
    assert!(ended.stdout.ends_with("\ntests: 0 passed, 0 failed, 0 did not run\n"), "{}", ended.stdout);
}

#[test]
fn the_demo_gets_to_its_end() {
    let bed = Bed::new();
    script(&bed, "demo.sh").goes_well().stdout_contains("That was the main job").run();
    assert_eq!(std::fs::read_dir(bed.path("tmp")).unwrap().count(), 0, "the demo cleans up");
}
