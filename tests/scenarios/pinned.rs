//! What a person says of single snapshots: `--pin`, `--unpin`, `--forget`. What must stay is refused with the remedy,
//! and a kill at any system call leaves the snapshots sound.

use crate::snapshot::{configure, holder, ids, ready};
use crate::syscalls::{calls, is_soak};
use bed::loopfs::Host;
use bed::{Bed, Need, real};
use std::fs;

/// What an administrator wanted to keep was pruned: there was no way to say so.
#[test]
fn what_is_pinned_outlives_the_retention_until_it_is_unpinned() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "keep = 1");
    let host = holder(&bed, "ec1");
    host.program("habackup").arg("-q").run();
    let first = ids(&bed).remove(0);
    host.program("habackup").args(["--pin", &first, "-n"]).stdout("would pin [SNAPSHOT]\n").run();
    assert!(!bed.path("shared/habackup/pins").exists());
    host.program("habackup")
        .args(["--pin", "latest"])
        .any_stdout()
        .stdout_contains("pinned [SNAPSHOT]; it stays until you unpin it")
        .run();
    host.program("habackup").args(["--pin", &first]).stdout("[SNAPSHOT] is pinned already\n").run();
    for _ in 0..2 {
        host.program("habackup").arg("-q").run();
    }
    let left = ids(&bed);
    assert_eq!((left.len(), &left[0]), (2, &first), "{left:?}");
    let listed = host.program("habackup").arg("--list").any_stdout().run().stdout;
    let pinned: Vec<bool> = listed.lines().map(|line| line.ends_with("  pinned")).collect();
    assert_eq!(pinned, [true, false], "{listed}");
    let json = host.program("habackup").args(["--list", "--json"]).any_stdout().run().stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["snapshots"][0]["pinned"], true);

    let said = host.program("habackup").args(["--unpin", &first, "--json"]).any_stdout().run().stdout;
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&said["format"], &said["pinned"], &said["changed"]),
        (&"orderly-pin/1".into(), &false.into(), &true.into())
    );
    host.program("habackup").args(["--unpin", &first]).stdout("[SNAPSHOT] is not pinned\n").run();
    host.program("habackup").arg("-q").run();
    assert_eq!(ids(&bed).len(), 1);
    // Who may go cannot be known where the pins cannot be read.
    fs::remove_dir_all(bed.path("shared/habackup/pins")).unwrap();
    bed.write("shared/habackup/pins", "");
    host.program("habackup").arg("-q").status(1).stderr_contains("read which snapshots are pinned").run();
    assert_eq!(ids(&bed).len(), 2);
    host.program("habackup")
        .args(["--pin", "2001-01-01T00-00-00Z"])
        .status(4)
        .stderr_contains("there is no snapshot")
        .run();
    host.program("habackup")
        .args(["--pin", "yesterday"])
        .status(2)
        .stderr_contains("is no snapshot's ID")
        .run();
    host.program("habackup")
        .args(["--pin", &first, "--if-held"])
        .status(2)
        .stderr_contains("take one snapshot")
        .run();
}

#[test]
fn what_must_stay_is_not_forgotten_and_says_why() {
    if !ready() || !real::require(&[Need::Program("hostid")]) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "keep = 9");
    bed.tools(&["hostid"]);
    let (one, two) = (holder(&bed, "ec1"), holder(&bed, "ec2"));
    for host in [&one, &one, &one, &two] {
        host.program("habackup").arg("-q").run();
    }
    let all = ids(&bed);
    let refused = |id: &str, words: &str| {
        let forget = one.program("habackup").args(["--forget", id]).status(4);
        forget.stderr_contains("[SNAPSHOT] must stay: ").stderr_contains(words).run();
        assert_eq!(ids(&bed).len(), 4, "{id}");
    };
    refused(&all[2], "it is the newest whole snapshot of ec1, and a takeover may restore it");
    refused(&all[3], "it is the newest whole snapshot of ec2");
    one.program("habackup").args(["-q", "--pin", &all[0]]).run();
    refused(&all[0], "it is pinned; unpin it first (habackup --unpin)");
    let forget = |more: &[&str]| one.program("habackup").args(["--forget", &all[1]]).args(more);
    forget(&["-n"]).stdout("would forget [SNAPSHOT]\n").run();
    assert_eq!(ids(&bed).len(), 4);
    let said = forget(&["--json"]).any_stdout().run().stdout;
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["format"], &said["forgotten"]), (&"orderly-forget/1".into(), &true.into()));
    assert_eq!(ids(&bed), [&all[0], &all[2], &all[3]].map(String::clone));
    forget(&[]).status(4).stderr_contains("there is no snapshot").run();
    one.program("habackup")
        .args(["--forget", &all[0], "-y"])
        .status(2)
        .stderr_contains("cannot be used with")
        .run();
}

/// A snapshot whose manifest is damaged stood for its host: it could not be removed, and no release could be had.
#[test]
fn a_damaged_newest_one_can_be_forgotten_and_latest_leads_to_the_one_before() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "keep = 9");
    let host = holder(&bed, "ec1");
    for _ in 0..2 {
        host.program("habackup").arg("-q").run();
    }
    let all = ids(&bed);
    let manifest = format!("shared/habackup/{}/manifest.json", all[1]);
    let text = bed.read(&manifest);
    bed.write(&manifest, &text[..text.len() - 1]);
    // The older one is the newest that a takeover could restore.
    host.program("habackup")
        .args(["--forget", &all[0]])
        .status(4)
        .stderr_contains("newest whole snapshot of ec1")
        .run();
    host.program("habackup").args(["--forget", &all[1]]).stdout("forgot [SNAPSHOT]\n").run();
    let latest = fs::read_link(bed.path("shared/habackup/latest")).unwrap();
    assert_eq!(latest.to_string_lossy(), all[0]);
    host.program("habackup").arg("--verify").any_stdout().run();
}

/// Looks at what a killed run left: every snapshot sound, `latest` whole.
fn look_after(bed: &Bed, host: &Host<'_>, what: &str) {
    let latest = fs::read_link(bed.path("shared/habackup/latest")).unwrap();
    assert!(bed.path("shared/habackup").join(latest).join("manifest.json").exists(), "{what}");
    for id in ids(bed) {
        host.program("habackup").args(["-q", "--verify", &id]).run();
    }
}

#[test]
fn a_kill_amid_a_pin_or_a_forgetting_leaves_it_done_or_not_done() {
    if !ready() || !real::require(&[Need::Program("strace")]) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "keep = 9");
    bed.tools(&["strace", "ls", "cp", "rm"]);
    for number in 0..4 {
        bed.write(format!("source/deep/{number}"), number.to_string());
    }
    let host = holder(&bed, "ec1");
    for _ in 0..2 {
        host.program("habackup").arg("-q").run();
    }
    host.shell("cp -a shared/habackup saved").run();
    let all = ids(&bed);
    let mut kills = 0;
    for word in ["--pin", "--forget", "--unpin"] {
        let run = format!("habackup -q {word} {}", all[0]);
        let before = || {
            host.shell("rm -rf shared/habackup/* shared/habackup/.p* && cp -a saved/. shared/habackup").run();
            if word == "--unpin" {
                host.program("habackup").args(["-q", "--pin", &all[0]]).run();
            }
        };
        before();
        host.shell(&format!("strace -f -o trace {run}")).run();
        let calls = calls(&bed.read("trace"));
        let step = if is_soak() { 1 } else { (calls.len() / 12).max(1) };
        // The last calls are those that matter, so the stride ends with them.
        for (name, which) in calls.iter().rev().step_by(step) {
            before();
            let line = format!(
                "strace -f -o /dev/null -e trace={name} -e inject={name}:signal=KILL:when={which} {run}"
            );
            kills += usize::from(host.shell(&line).any_status().any_stderr().run().status == 128 + 9);
            let what = format!("{word} {name} {which}");
            look_after(&bed, &host, &what);
            // Done, or to be done again.
            let again = host.shell(&run).any_status().any_stderr().run();
            assert!(
                again.status == 0 || word == "--forget" && again.stderr.contains("there is no snapshot"),
                "{what}: {}",
                again.stderr
            );
            let pinned =
                host.program("habackup").arg("--list").any_stdout().run().stdout.contains("  pinned");
            assert_eq!(pinned, word == "--pin", "{what}");
            assert_eq!(ids(&bed).len(), if word == "--forget" { 1 } else { 2 }, "{what}");
            if word == "--forget" {
                host.program("habackup").arg("-q").goes_well().run();
                let names = host.shell("ls -A shared/habackup").any_stdout().run().stdout;
                assert!(names.lines().all(|name| !name.starts_with('.')), "{what}: {names}");
            }
        }
    }
    assert!(kills >= 20, "{kills} kills");
}
