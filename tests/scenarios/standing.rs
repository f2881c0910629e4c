//! `--status` in every state in which an administrator finds a host: the next command that it names is
//! the one that helps, seen by running it.

use crate::pair::{Asset, Pair, possible, with_backup};
use bed::Bed;
use bed::loopfs::Disk;

/// Returns the next sensible command of a host, from the screen and from the JSON alike.
fn next(pair: &Pair<'_>, host: usize) -> String {
    let screen = pair.release(host).arg("--status").any_stdout().run().stdout;
    let json = pair.takeover(host).args(["--status", "--json"]).any_stdout().run().json();
    let next = json["next"].as_str().unwrap().to_owned();
    assert_eq!(screen.lines().last(), Some(format!("next: {next}").as_str()));
    assert!(screen.lines().count() < 24, "one screen: {screen}");
    next
}

#[test]
fn the_next_sensible_command_is_named_in_every_state_and_helps() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    let record = |host: usize| pair.record(host);
    assert_eq!(next(&pair, 1), "ha-release --json | ssh ec2 ha-takeover --record -, to hand it over");
    assert_eq!(next(&pair, 2), "nothing, while ec1 is alive; when it is dead: ha-takeover --fence");
    pair.shell(1, "svc proxy stop").run();
    assert_eq!(next(&pair, 1), "ha-takeover, to complete what is here: proxy is down");
    pair.takeover(1).any_stdout().goes_well().run();
    // Killed amid the release, its journal is open.
    pair.trouble("before 4");
    pair.release(1).any_status().any_stdout().any_stderr().run();
    pair.forget();
    assert_eq!(
        next(&pair, 1),
        "ha-release, to finish what was begun; or, to stay on this host: ha-takeover --new-plan"
    );
    pair.released(1);
    let path = record(1).display().to_string();
    let line = "ssh ec2 ha-release --after 1 --json | ha-takeover --record -";
    assert_eq!(
        next(&pair, 1),
        format!("ha-takeover --record on ec2, with {path}; or here, to take it back: {line}")
    );
    assert_eq!(next(&pair, 2), "ha-takeover --record, with the record of ec1");
    pair.shell(1, "svc proxy start").run();
    assert_eq!(next(&pair, 1), "ha-release, to take down what is left here: proxy is up");
    pair.released(1);
    pair.takeover(2).arg("--record").arg(record(1)).any_stdout().goes_well().run();
    assert_eq!(next(&pair, 1), "nothing, while ec2 is alive; when it is dead: ha-takeover --peer-down ec2");
    pair.released(2);
    // Its own record is from before the peer held it; that one was offered as if it still counted.
    assert_eq!(next(&pair, 1), "ha-takeover --record, with the record of ec2");
    pair.release(1)
        .arg("--status")
        .stdout_contains("safe (then; the asset was held again since, so it is worthless)")
        .run();
    pair.takeover(1).arg("--record").arg(record(2)).any_stdout().goes_well().run();
    std::fs::remove_file(bed.path("tools/dd")).unwrap();
    bed.script("fakes/dd", "exit 1");
    pair.shell(1, "umount loop; umount at").run();
    assert!(next(&pair, 1).starts_with("find out who holds the asset"), "{}", next(&pair, 1));
}

/// The first word of the complaint about the journal was named as the program to run.
#[test]
fn a_damaged_journal_is_named_and_set_aside_by_what_is_named() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    pair.released(1);
    let journal = pair.state(1).join("ha-release.journal");
    let text = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, text.replacen("started", "stardet", 1)).unwrap();
    let shown = journal.display();
    let named = format!("look at {shown}; ha-release --new-plan sets it aside and checks every step anew");
    assert_eq!(next(&pair, 1), named);
    pair.release(1).status(3).any_stderr().run();
    pair.release(1).arg("--new-plan").any_stdout().goes_well().run();
    assert!(next(&pair, 1).starts_with("ha-takeover --record on ec2"), "{}", next(&pair, 1));
}

/// The link to the newest snapshot was read by the program itself, which hung with a disk that died.
#[test]
fn the_newest_snapshot_is_named_with_its_age_and_looked_for_in_a_child() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    with_backup(&pair);
    pair.program(1, "habackup").stdout("Backup complete.\n").goes_well().run();
    let said = pair.release(1).arg("--status").any_stdout().run().stdout;
    assert!(said.contains("last snapshot: 2") && said.contains(" min old\n"), "{said}");
    std::fs::remove_file(bed.path("tools/ls")).unwrap();
    bed.script("fakes/ls", "echo \"$*\" >\"$ORDERLY_BED/looked\"; exec sleep 1000");
    let said = pair.release(1).arg("--status").stdout_contains("held on ec1").run().stdout;
    assert!(!said.contains("last snapshot"), "{said}");
    assert_eq!(bed.read("looked"), format!("-ld {}/at/habackup/latest\n", bed.root().display()));
}

/// Both ended with 0 and not a word.
#[test]
fn what_was_asked_for_is_told_also_when_quiet() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    for (args, said) in [
        (&["--status", "-q"][..], "held on ec1"),
        (&["--holders", "-q"], "nobody is seen to use"),
        (&["-n", "-q"], "umount"),
    ] {
        pair.release(1).args(args).stdout_contains(said).run();
        let quiet = pair.release(1).args(args).arg("--json").any_stdout().run().stdout;
        assert!(quiet.lines().all(|line| line.starts_with('{')), "{quiet}");
    }
    pair.takeover(2).args(["--status", "-q"]).stdout_contains("ec2").run();
}

/// Damages the snapshot that the record of the first host names, so that no takeover can restore it.
fn damaged(pair: &Pair<'_>, disk: &Disk) {
    let line = format!(
        "mount -o noatime {0} at && for f in at/habackup/2*Z/tree{1}/outside/file; do echo evil >$f; done && umount at",
        disk.device().display(),
        pair.bed.root().display()
    );
    pair.shell(1, &line).run();
    pair.forget();
}

/// The line that it proposed failed at the same restore, as often as it was typed.
#[test]
fn after_a_restore_that_failed_the_next_command_leaves_it_out_and_helps() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    with_backup(&pair);
    pair.released(1);
    damaged(&pair, &disk);
    let word = pair.release(1).args(["--json", "-q"]).any_stdout().any_stderr().run().stdout;
    let take = |word: &str, args: &[&str]| {
        let take = pair.takeover(2).args(["--record", "-"]).args(args).stdin(word);
        take.any_status().any_stdout().any_stderr().run()
    };
    assert_eq!(take(&word, &[]).status, 1);
    pair.release(2)
        .arg("--status")
        .stdout_contains("taken back, because its restore failed: habackup ")
        .run();
    let proposed = next(&pair, 2);
    let (_, line) = proposed.split_once("or here, to take it back: ssh ec1 ha-release ").expect(&proposed);
    let (release, takeover) = line.split_once(" | ha-takeover --record -").expect(line);
    let again = || pair.release(1).args(release.split(' ')).any_stdout().any_stderr().run().stdout;
    // Damaged it stays, so only the whole line helps.
    let taken = take(&again(), &takeover.split_whitespace().collect::<Vec<_>>());
    assert_eq!((taken.status, pair.holders()), (0, vec![2]), "{proposed}: {}", taken.stderr);
    assert!(!next(&pair, 2).contains("--skip"), "{}", next(&pair, 2));
    // Once the peer made a new snapshot there is nothing to leave out.
    pair.released(2);
    pair.taken(1);
    pair.program(1, "habackup").any_stdout().goes_well().run();
    pair.released(1);
    assert!(!next(&pair, 2).contains("--skip"), "{}", next(&pair, 2));
}

/// It proposed a release that was then refused, because no backup could be taken.
#[test]
fn what_would_come_of_the_backup_is_told_before_a_release_is_proposed() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    bed.tools(&["mkdir"]);
    let pair = Pair::new(&bed, &Asset::Whole);
    let status = |args: &[&str]| pair.release(1).arg("--status").args(args).any_stdout().run();
    let told = |args: &[&str]| status(&[args, &["--json"]].concat()).records().pop().unwrap();
    let hand_over = "next: ha-release --json | ssh ec2 ha-takeover --record -, to hand it over\n";
    let said = status(&[]).stdout;
    assert!(said.contains("backup: would succeed\n") && said.ends_with(hand_over), "{said}");
    assert_eq!(told(&[])["backup"]["outlook"], "succeeds");
    assert!(pair.takeover(1).arg("--status").any_stdout().run().stdout.contains("backup: would succeed\n"));

    pair.shell(1, "mkdir at/habackup && /bin/chown 54321 at/habackup").run();
    let said = status(&[]).stdout;
    let why = format!("{}/at/habackup: belongs to user 54321", bed.root().display());
    assert!(said.contains("\nbackup: would fail: habackup: ") && said.contains(&why), "{said}");
    let next = "next: mend what the backup fails for, then hand it over; to hand it over without a new snapshot: \
                ha-release --no-backup --json | ssh ec2 ha-takeover --record -\n";
    assert!(said.ends_with(next), "{said}");
    assert_eq!(told(&[])["backup"]["outlook"], "fails");
    // A cluster manager asks every few seconds, and takes none.
    assert_eq!(told(&["--no-backup"])["backup"], serde_json::Value::Null);
    // Both lines work.
    pair.release(1).status(4).any_stderr().run();
    pair.release(1).arg("--no-backup").any_stdout().goes_well().run();
    // Where nothing is held none would be taken.
    assert_eq!(told(&[])["backup"], serde_json::Value::Null);
}

/// A script had to read the JSON: the status was 0 whatever was told.
#[test]
fn the_exit_status_says_whether_the_asset_is_here_and_whole() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    let status = |host: usize| {
        let run = pair.release(host).args(["--status", "--exit-code", "-q"]);
        let released = run.any_status().any_stdout().any_stderr().run().status;
        let run = pair.takeover(host).args(["--status", "--exit-code", "--json"]);
        let taken = run.any_status().any_stdout().any_stderr().run();
        pair.takeover(host).arg("--status").any_stdout().run();
        assert_eq!(released, taken.status, "{}", taken.stdout);
        released
    };
    assert_eq!([status(1), status(2)], [0, 4]);
    pair.shell(1, "svc proxy stop").run();
    assert_eq!(status(1), 1, "held, and a service is down");
    pair.shell(1, "svc proxy start").run();
    bed.script("fakes/exportfs", "echo broken >&2; exit 7");
    assert_eq!(status(1), 5, "held, and whether a share is here is unknown");
    pair.release(1).arg("--exit-code").status(2).any_stderr().run();
    std::fs::remove_file(bed.path("tools/dd")).unwrap();
    bed.script("fakes/dd", "exit 1");
    assert_eq!(status(2), 5, "who holds the asset is unknown");
}
