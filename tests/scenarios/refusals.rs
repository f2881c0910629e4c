//! What an administrator reads at two in the morning, word for word: the command, its status, and all it said,
//! against `tests/golden/refusals`. `ORDERLY_GOLDEN=write` writes them anew.

use crate::pair::{Asset, Pair, possible, with_backup};
use bed::binaries::workspace;
use bed::loopfs::Disk;
use bed::running::Ended;
use bed::{Bed, Need, real};

/// Compares what a command said with the file of that name, in which `[..]` matches any text within a line.
pub(crate) fn golden(bed: &Bed, name: &str, command: &str, ended: &Ended) {
    let root = bed.root().display().to_string();
    let said =
        format!("$ {command}\n[{}]\n{}{}", ended.status, ended.stdout, ended.stderr).replace(&root, "[ROOT]");
    let path = workspace().join("tests/golden/refusals").join(name);
    if std::env::var_os("ORDERLY_GOLDEN").is_some() {
        std::fs::write(&path, &said).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap();
    let is_like = said.lines().count() == wanted.lines().count()
        && said.lines().zip(wanted.lines()).all(|(said, wanted)| line_is_like(said, wanted));
    assert!(is_like, "{name}:\n{said}\nshould be:\n{wanted}");
}

pub(crate) fn line_is_like(said: &str, wanted: &str) -> bool {
    let mut parts = wanted.split("[..]");
    let Some(mut rest) = said.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    for part in &parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty() || parts.last().is_some_and(|last| last.is_empty())
}

#[test]
fn a_first_use_without_a_configuration_names_the_next_command() {
    let bed = Bed::new();
    for program in ["ha-release", "ha-takeover", "habackup"] {
        let ended = bed.program(program).status(3).any_stderr().run();
        golden(&bed, &format!("first-use-{program}"), program, &ended);
    }
}

#[test]
fn a_record_that_is_out_of_date_says_who_had_it_since_and_what_to_type() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    let record = pair.record(1);
    pair.released(1);
    std::fs::copy(&record, bed.path("old.json")).unwrap();
    pair.shell(1, &format!("mount {} at && umount at", disk.device().display())).run();
    let old = bed.path("old.json");
    let ended = pair.takeover(2).arg("--record").arg(&old).status(4).any_stderr().run();
    golden(&bed, "record-out-of-date", "ha-takeover --record old.json", &ended);
}

#[test]
fn an_asset_that_is_not_free_says_both_that_it_may_be() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    let record = pair.record(1);
    pair.released(1);
    pair.taken_back(1);
    let device = disk.device().display().to_string();
    let ended = pair.takeover(2).status(4).any_stdout().any_stderr().run();
    golden(&bed, "nothing-proves-it", "ha-takeover", &ended);
    let ended = pair.takeover(2).arg("--record").arg(&record).status(4).any_stdout().any_stderr().run();
    assert!(ended.stderr.contains("ssh ec1 ha-release --json | ha-takeover --record -"), "{}", ended.stderr);
    let ended = pair.release(2).status(4).any_stdout().any_stderr().run();
    let shown = Ended { stderr: ended.stderr.replace(&device, "/dev/sdb"), ..ended };
    golden(&bed, "release-where-it-is-not", "ha-release", &shown);
}

#[test]
fn another_run_is_named_with_process_program_user_and_since_when() {
    if !possible() || !real::require(&[Need::Program("flock")]) {
        return;
    }
    let bed = Bed::new();
    bed.tool("flock");
    let pair = Pair::new(&bed, &Asset::Bind);
    let service = bed.read("fakes/svc");
    let slow = "case $* in \"proxy stop\") : >\"$ORDERLY_BED/begun\"; until [ -e \"$ORDERLY_BED/enough\" ]; do /bin/sleep 0.1; done;; esac";
    bed.script("fakes/svc", &format!("{slow}\n{service}"));
    bed.config("ha.toml", bed.read("etc/ha.toml").replace("timeout = \"3s\"", "timeout = \"10m\""));
    with_backup(&pair);
    let first = pair.release(1).any_stdout().any_stderr().spawn();
    bed::wait_until("the first run is at work", || bed.path("begun").exists());
    for program in ["ha-release", "ha-takeover", "habackup"] {
        let ended = pair.program(1, program).any_status().any_stdout().any_stderr().run();
        golden(&bed, &format!("another-run-{program}"), program, &ended);
    }
    let ended = pair.release(1).arg("--status").any_stdout().any_stderr().run();
    golden(&bed, "status-while-a-run-lives", "ha-release --status", &ended);
    bed.write("enough", "");
    first.end();
    // Whoever signs nothing is read from the kernel.
    let line = "flock state/ec1/ha.lock ha-release";
    let ended = pair.shell(1, line).status(4).any_stderr().run();
    golden(&bed, "another-run-of-flock", line, &ended);
}

#[test]
fn the_way_back_from_a_killed_release_is_named_and_leads_back() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    let before = pair.world(1);
    pair.trouble("before 3");
    pair.release(1).any_status().any_stdout().any_stderr().run();
    pair.forget();
    let ended = pair.takeover(1).status(4).any_stdout().any_stderr().run();
    golden(&bed, "takeover-after-a-killed-release", "ha-takeover", &ended);
    let ended = pair.release(1).arg("--status").any_stdout().any_stderr().run();
    golden(&bed, "status-after-a-killed-release", "ha-release --status", &ended);
    pair.takeover(1).arg("--new-plan").any_stdout().goes_well().run();
    // The share is exported as configured, which is not as it was found.
    let lines = |world: &str| {
        world.lines().filter(|line| !line.contains("/share")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(&pair.world(1)), lines(&before));
}

/// What a power controller prints of two machines is no proof for one, and is shown as it was printed.
#[test]
fn a_fence_status_with_a_second_state_is_shown_and_is_no_proof() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    let down = "umount loop; umount at; svc proxy stop; svc ec stop; ip address del 192.0.2.10/32 dev lo";
    pair.shell(1, down).any_stderr().any_status().run();
    bed.write("power.ec1", "ec1: unreachable, ec9: off\n");
    let ended = pair.takeover(2).args(["-n", "--fence"]).any_stdout().any_stderr().run();
    golden(&bed, "fence-two-states-dry-run", "ha-takeover -n --fence", &ended);
    let fence = pair.takeover(2).args(["--fence", "--timeout", "1s"]).status(5);
    let ended = fence.any_stderr().run();
    golden(&bed, "fence-two-states", "ha-takeover --fence", &ended);
}

/// The operator's word beside a record is a step of its own, before anything is taken.
#[test]
fn the_word_beside_a_record_is_shown_as_a_step() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    pair.released(1);
    let by_word = || pair.takeover(2).arg("--record").arg(pair.record(1)).args(["--peer-down", "ec1"]);
    let command = "ha-takeover --record release.json --peer-down ec1";
    let ended = by_word().arg("-n").any_stdout().any_stderr().run();
    golden(&bed, "word-beside-a-record-dry-run", &format!("{command} -n"), &ended);
    // Whoever answers is not down, whatever the record says.
    bed.write("answers.192.0.2.1", "");
    let ended = by_word().status(4).any_stderr().run();
    golden(&bed, "word-beside-a-record-that-is-not-true", command, &ended);
    std::fs::remove_file(bed.path("answers.192.0.2.1")).unwrap();
    let ended = by_word().any_stdout().any_stderr().run();
    golden(&bed, "word-beside-a-record", command, &ended);
}

#[test]
fn a_snapshot_that_must_stay_says_why_and_what_ends_that() {
    if !crate::snapshot::ready() {
        return;
    }
    let bed = Bed::new();
    crate::snapshot::configure(&bed, "");
    let host = crate::snapshot::holder(&bed, "ec1");
    host.program("habackup").arg("-q").run();
    for words in [["-q", "--pin", "latest"], ["-q", "--unpin", "latest"]] {
        let ended = host.program("habackup").args(["--forget", "latest"]).status(4).any_stderr().run();
        let name = if words[1] == "--pin" { "forget-the-newest" } else { "forget-a-pinned-one" };
        golden(&bed, name, "habackup --forget latest", &ended);
        host.program("habackup").args(words).run();
    }
    let copy = bed.path("shared/habackup").display().to_string();
    std::fs::remove_file(bed.path("shared/habackup/latest")).unwrap();
    let restore =
        host.program("habackup").args(["--store", &copy, "--restore", "--yes"]).status(4).any_stderr();
    golden(&bed, "restore-of-a-copy-that-was-cut", "habackup --store COPY --restore --yes", &restore.run());
}
