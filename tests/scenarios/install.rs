//! `make install` and `make demo`, as a packager and a newcomer would start them.

use bed::binaries::{self, workspace};
use bed::{Bed, Program};
use std::path::Path;

/// What the scripts of the yard use of a Debian machine.
const TOOLS: [&str; 22] = [
    "basename", "cat", "chmod", "cp", "date", "dirname", "head", "id", "install", "ln", "mkdir", "mktemp",
    "mount", "rm", "sed", "sh", "tail", "umount", "unshare", "wc", "mv", "sync",
];

fn script<'a>(bed: &'a Bed, name: &str) -> Program<'a> {
    bed.tools(&TOOLS);
    bed.external(workspace().join("packaging").join(name)).env("BIN_DIR", bed.path("bin"))
}

#[test]
fn what_is_installed_is_what_an_administrator_looks_for() {
    let bed = Bed::new();
    let target = bed.path("target");
    let prefix = |below: &str| format!("/opt/orderly/{below}");
    script(&bed, "install.sh")
        .env("DESTDIR", &target)
        .env("PREFIX", "/opt/orderly")
        .env("SBINDIR", prefix("sbin"))
        .env("MANDIR", prefix("share/man"))
        .env("DOCDIR", prefix("share/doc/orderly"))
        .env("SYSCONFDIR", "/etc")
        .env("UNITDIR", "/lib/systemd/system")
        .env("PROGRAMS", binaries::PROGRAMS.join(" "))
        .any_stdout()
        .run();
    let installed = |below: &str| target.join("opt/orderly").join(below);
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
    let agent = target.join("usr/lib/ocf/resource.d/orderly/asset");
    bed.external("/bin/sh").arg("-n").arg(agent).run();
    let job = std::fs::read_to_string(target.join("etc/cron.d/habackup")).unwrap();
    assert!(job.contains("/opt/orderly/sbin/habackup -q --if-held"), "{job}");
}

#[test]
fn a_program_that_was_not_built_stops_the_installation_before_anything_is_written() {
    let bed = Bed::new();
    let mut install =
        script(&bed, "install.sh").env("BIN_DIR", bed.path("empty")).env("DESTDIR", bed.path("target"));
    for name in ["SBINDIR", "MANDIR", "DOCDIR", "SYSCONFDIR", "UNITDIR", "PREFIX"] {
        install = install.env(name, "/x");
    }
    install
        .env("PROGRAMS", "seqfile")
        .status(1)
        .stderr("install: [ROOT]/empty/seqfile is missing: run make first\n")
        .run();
    assert!(!bed.path("target").exists());
}

#[test]
fn the_demo_gets_to_its_end() {
    let bed = Bed::new();
    script(&bed, "demo.sh").any_stderr().stdout_contains("That was the main job").run();
    assert_eq!(std::fs::read_dir(bed.path("tmp")).unwrap().count(), 0, "the demo cleans up");
}
