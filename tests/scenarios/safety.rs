//! What a hand-over once got wrong on a pair of hosts, each named for what broke.

use crate::pair::{Asset, Pair, possible, with_backup};
use bed::fakes::Answer;
use bed::loopfs::Disk;
use bed::{Bed, Need, real};
use std::os::unix::fs::PermissionsExt;

/// Adds lines right below `[asset]`.
fn with_asset(pair: &Pair<'_>, lines: &str) {
    let text = pair.bed.read("etc/ha.toml");
    pair.bed.config("ha.toml", text.replacen("[asset]\n", &format!("[asset]\n{lines}\n"), 1));
}

/// Whoever can put another file in its place says what is run as root; only the file itself was looked at.
#[test]
fn a_configuration_that_others_can_exchange_is_rejected() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    let before = pair.world(1);
    let folder = bed.path("etc");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    for program in ["ha-release", "ha-takeover", "habackup"] {
        let ended = pair.program(1, program).status(3).any_stderr().run();
        assert!(ended.stderr.contains("etc: others can write it"), "{}", ended.stderr);
    }
    assert_eq!(pair.world(1), before);
}

/// The superblock was not clean, so the asset passed for another host's, and the undo was stuck (5).
#[test]
fn an_ext4_that_another_namespace_holds_is_mounted_again_where_it_was() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    bed.tool("unshare");
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    let before = pair.world(1);
    let hide = "unshare -m --propagation private sleep 1000 </dev/null >/dev/null 2>&1 & pid=$!; \
                while [ \"$(cat /proc/$pid/comm)\" != sleep ]; do :; done";
    pair.shell(1, hide).run();
    pair.release(1)
        .arg("--kill")
        .status(1)
        .any_stdout()
        .stderr_contains("in the mount namespace of process")
        .run();
    assert_eq!(pair.world(1), before);
    assert!(!bed.path("at/.orderly-intent").exists());
}

/// The older snapshot of the peer was put over what this host had changed since.
#[test]
fn an_older_snapshot_of_the_peer_is_not_restored_over_newer_files() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    with_backup(&pair);
    pair.released(1);
    pair.taken(2);
    bed.write("outside.2/file", "newest\n");
    pair.released(2);
    // The way back, by the own record and by the operator's word.
    let own = pair.way_back(2).any_stdout().stderr_contains("nothing is restored").run();
    assert!(!own.stdout.contains("restore"), "{}", own.stdout);
    pair.released(2);
    std::fs::remove_file(pair.record(2)).unwrap();
    pair.takeover(2).args(["--peer-down", "ec1"]).any_stdout().stderr_contains("nothing is restored").run();
    assert_eq!(bed.read("outside.2/file"), "newest\n");
}

/// What was restored stayed, though the takeover was taken back.
#[test]
fn a_takeover_that_is_taken_back_takes_back_what_it_restored() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    with_backup(&pair);
    let before = bed.read("outside.2/file");
    pair.released(1);
    let record = pair.record(1);
    // The fourth command makes the loopback's mount, shares, or adds the address: after the restore.
    pair.trouble("fail 3");
    let ended = pair.takeover(2).arg("--record").arg(&record).status(1).any_stdout().any_stderr().run();
    assert!(ended.stderr.contains("restore: taken back"), "{}", ended.stderr);
    pair.forget();
    assert_eq!(bed.read("outside.2/file"), before);
    // The next one restores again, and keeps it.
    let record = pair.record(2);
    pair.takeover(1).arg("--record").arg(&record).any_stdout().goes_well().run();
    pair.released(1);
    let record = pair.record(1);
    pair.takeover(2).arg("--record").arg(&record).any_stdout().goes_well().run();
    assert_eq!(bed.read("outside.2/file"), "of 1\n");
}

/// One part that failed took down all that had run before, and let go of an asset in production.
#[test]
fn a_takeover_where_everything_runs_takes_nothing_down_when_a_part_fails() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    pair.shell(1, "svc proxy stop").run();
    pair.forget();
    let before = pair.world(1);
    // The first command exports to the configured client, the second starts the service.
    pair.trouble("fail 2");
    let ended = pair.takeover(1).arg("--json").status(5).any_stdout().any_stderr().run();
    assert!(ended.stderr.contains("ec1 holds") && ended.stderr.contains("NOT safe"), "{}", ended.stderr);
    let report = ended.records().pop().unwrap();
    assert_eq!(report["safe_for_peer"].as_bool(), Some(false));
    pair.forget();
    let after = pair.world(1);
    assert!(before.lines().all(|line| after.contains(line)), "{before}\n{after}");
    assert_eq!(pair.holders(), [1]);
}

/// An asset that was detached after its release could not be seen any more, and passed for unknown.
#[test]
fn an_asset_that_is_detached_after_its_release_is_safe_also_after_a_kill() {
    if !possible() {
        return;
    }
    for killed in [false, true] {
        let bed = Bed::new();
        let pair = Pair::new(&bed, &Asset::Command);
        let root = bed.root().display().to_string();
        with_asset(&pair, "detach = [\"svc\", \"cable\", \"stop\"]");
        // Without its cable the asset answers nothing.
        let seen = format!("[ -e {root}/unplugged ] && exit 1");
        bed.script("fakes/myasset.seen", &bed.read("fakes/myasset"));
        bed.script("fakes/myasset", &format!("{seen}\nexec \"$ORDERLY_BED/fakes/myasset.seen\" \"$@\""));
        let service = bed.read("fakes/svc");
        bed.script(
            "fakes/svc",
            &service.replace(
                "rm -f \"$here\"",
                "rm -f \"$here\"; [ $1 != cable ] || : >\"$ORDERLY_BED/unplugged\"",
            ),
        );
        if killed {
            pair.trouble("after 8");
            pair.release(1).any_status().any_stdout().any_stderr().run();
            assert!(bed.path("unplugged").exists());
            pair.forget();
        }
        let ended = pair.released(1);
        assert!(ended.stdout.contains("is safe to take over"), "{}", ended.stderr);
        std::fs::remove_file(bed.path("unplugged")).unwrap();
        pair.taken(2);
    }
}

/// Two names of one machine, or a copied configuration: its own record proved nothing.
#[test]
fn a_record_of_this_very_machine_is_no_proof_of_a_peer() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    pair.released(1);
    pair.takeover(1)
        .env("ORDERLY_HOST", "ec2")
        .arg("--record")
        .arg(pair.record(1))
        .status(4)
        .stderr_contains("boot id of this very machine")
        .run();
    pair.taken(2);
}

/// An error message that happened to end with the word was taken for the power being off.
#[test]
fn a_fence_status_that_fails_proves_nothing_whatever_its_last_word_is() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    let text = bed.read("etc/ha.toml");
    bed.config(
        "ha.toml",
        text.replace("cat \\\"$ORDERLY_BED/power.ec1\\\"", "echo cannot tell whether it is off; exit 1"),
    );
    pair.takeover(2)
        .args(["--fence", "--timeout", "1s"])
        .status(5)
        .any_stdout()
        .stderr_contains("does not say off")
        .run();
    assert_eq!(pair.holders(), [1]);
}

/// It was asked only beforehand, and not at all where the asset was held already.
#[test]
fn an_address_at_which_somebody_answers_is_not_added() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    pair.shell(1, "ip address del 192.0.2.10/32 dev lo").run();
    bed.write("answers.192.0.2.10", "");
    pair.takeover(1).status(4).stderr_contains("somebody answers at 192.0.2.10").run();
    std::fs::remove_file(bed.path("answers.192.0.2.10")).unwrap();
    pair.released(1);
    // It begins to answer while the takeover is under way.
    let text = bed.read("etc/ha.toml");
    let service = bed.read("fakes/exportfs");
    bed.script("fakes/exportfs", &service.replace("-o) ", "-o) : >\"$ORDERLY_BED/answers.192.0.2.10\"; "));
    bed.config("ha.toml", text);
    pair.takeover(2)
        .arg("--record")
        .arg(pair.record(1))
        .status(1)
        .any_stdout()
        .stderr_contains("somebody answers at 192.0.2.10")
        .run();
    assert_eq!(pair.holders(), [0; 0]);
}

/// The word stood nowhere but on a terminal.
#[test]
fn the_word_of_the_operator_stands_in_the_journal() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    pair.released(1);
    pair.takeover(2)
        .args(["--peer-down", "ec1"])
        .stdout_contains("ec1 is down, says the operator: done")
        .goes_well()
        .run();
    let journal = bed.read(pair.state(2).join("ha-takeover.journal"));
    assert!(journal.contains("ec1 is down, says the operator"), "{journal}");
}

/// Without a change mark, the record of an earlier release was as good as one of today.
#[test]
fn a_record_without_a_mark_is_used_once() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Command);
    let text = bed.read("etc/ha.toml");
    bed.config("ha.toml", text.replace("mark = [\"myasset\", \"mark\"]\n", ""));
    pair.released(1);
    let old = std::fs::read_to_string(pair.record(1)).unwrap();
    let take = |host: usize, record: &str| pair.takeover(host).args(["--record", "-"]).stdin(record);
    take(2, &old).any_stdout().goes_well().run();
    pair.released(2);
    take(2, &old).status(4).stderr_contains("took the asset by it before").run();
    let new = std::fs::read_to_string(pair.record(2)).unwrap();
    take(1, &new).any_stdout().goes_well().run();
    // Also where another takeover lies between, which was all that was remembered.
    pair.released(1);
    let newer = std::fs::read_to_string(pair.record(1)).unwrap();
    take(2, &newer).any_stdout().goes_well().run();
    pair.released(2);
    for used in [&old, &newer] {
        take(2, used).status(4).stderr_contains("took the asset by it before").run();
        // The operator's word makes it no better, and the peer was asked for another one though it is down.
        let word = take(2, used).args(["--peer-down", "ec1"]).status(4).any_stdout();
        word.stderr_contains("by your word alone: ha-takeover --peer-down ec1").run();
    }
    assert!(pair.holders().is_empty());
    pair.takeover(2).args(["--peer-down", "ec1"]).any_stdout().goes_well().run();
    assert_eq!(pair.holders(), [2]);
}

/// With its fence commands left out of what both hosts compare, one host could power off another machine.
#[test]
fn a_configuration_with_another_fence_is_another_configuration() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    pair.released(1);
    let record = pair.record(1);
    let text = bed.read("etc/ha.toml");
    bed.config(
        "ha.toml",
        text.replace("fence = [\"svc\", \"power\", \"stop\"]", "fence = [\"svc\", \"power\", \"off\"]"),
    );
    let said = pair.takeover(2).arg("--record").arg(&record).status(4).any_stderr().run().stderr;
    assert!(said.contains("another configuration"), "{said}");
}

/// Mounted through a link the mount was not found again, and the takeover was stuck.
#[test]
fn a_place_behind_a_link_is_refused_before_anything_is_taken() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    pair.released(1);
    std::fs::rename(bed.path("at"), bed.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", bed.path("at")).unwrap();
    pair.forget();
    let record = pair.record(1);
    pair.takeover(2).arg("--record").arg(&record).status(4).stderr_contains("leads to").run();
    assert!(pair.acts().is_empty());
}

/// Whoever may write to the asset chose the mode of what root wrote there.
#[test]
fn the_intent_has_a_mode_of_its_own_and_goes_when_the_asset_is_held_again() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    pair.shell(1, "touch source/.orderly-intent; /bin/chmod 4777 source/.orderly-intent").run();
    pair.released(1);
    let found = std::fs::metadata(bed.path("source/.orderly-intent")).unwrap();
    assert_eq!(found.permissions().mode() & 0o7777, 0o600);
    pair.takeover(1).any_stdout().goes_well().run();
    assert!(!bed.path("source/.orderly-intent").exists());
}

#[test]
fn only_a_safe_release_powers_off_and_its_reader_has_the_whole_record_before() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    bed.fake("systemctl").when("poweroff", Answer::ok());
    pair.trouble("fail 1");
    pair.release(1).arg("--poweroff").status(1).any_stdout().any_stderr().run();
    pair.forget();
    let calls = || std::fs::read_to_string(bed.path("calls.log")).unwrap_or_default();
    assert!(!calls().contains("systemctl"), "{}", calls());
    // What reads the record ends before the machine is told to: else it might be cut.
    bed.fake("systemctl").when("poweroff", Answer::ok().run("until [ -e \"$root/read\" ]; do :; done"));
    let release = bed::binaries::folder().join("ha-release");
    let line = format!("{} --json -q --poweroff | {{ cat >stream; : >read; }}", release.display());
    pair.shell(1, &line).run();
    assert!(bed.read("stream").trim_end().ends_with('}'));
    assert!(calls().contains("systemctl poweroff"), "{}", calls());
    pair.takeover(2).args(["--record", "stream"]).any_stdout().goes_well().run();
}

#[test]
fn who_keeps_the_asset_busy_is_listed_and_ended_when_told_to() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    pair.shell(1, "sleep 1000 9>at/held.open </dev/null >/dev/null 2>&1 & echo $! >holder.pid").run();
    // Works beside the asset and not in it: never touched.
    pair.shell(1, "sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >bystander.pid").run();
    let listed = pair.release(1).arg("--holders").any_stdout().run().stdout;
    assert!(listed.contains("USES") && listed.contains("held.open"), "{listed}");
    let at = bed.path("at/opt");
    let record = pair.release(1).arg("--holders").arg(&at).arg("--json").any_stdout().run().json();
    assert_eq!(record["format"].as_str(), Some("orderly-holders/1"));
    assert_eq!(record["holders"][0]["command"].as_str(), Some("sleep"));
    // Of any file system, also where nothing is configured, and from within it.
    let unconfigured = ["--config", "/nowhere/ha.toml"];
    let told =
        pair.release(1).args(unconfigured).args(["--holders", "at/opt/.."]).status(2).any_stderr().run();
    assert!(told.stderr.contains("without .."), "{}", told.stderr);
    let told = pair.release(1).args(unconfigured).args(["--holders", "at/opt"]).any_stdout().run().stdout;
    assert!(told.contains("held.open"), "{told}");
    pair.release(1).args(["--holders", "/"]).status(4).stderr_contains("everybody uses").run();
    pair.release(1).args(["--status", "--kill"]).status(2).any_stderr().run();
    let ended = pair.release(1).args(["--holders", "--kill"]).any_stdout().run().stdout;
    assert!(ended.contains("after the signals:\nnobody is seen"), "{ended}");
    pair.shell(1, "read -r pid <bystander.pid; [ -e /proc/$pid/cwd ] && kill $pid").run();
    pair.released(1);
}

/// Started in a folder of the asset, by a line that ends in exec, it kept the asset busy itself.
#[test]
fn a_release_that_is_started_in_the_asset_is_not_in_its_own_way() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    let line = "cd at/opt && exec ha-release --json --record ../../record.json";
    pair.shell(1, line).any_stdout().any_stderr().run();
    assert!(pair.holders().is_empty());
    pair.takeover(2).args(["--record", "record.json"]).any_stdout().goes_well().run();
}

#[test]
fn a_state_folder_that_is_named_from_where_one_stands_stays_there() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    with_backup(&pair);
    let released = pair.release(1).env("ORDERLY_STATE_DIR", "state/ec1").any_stdout().any_stderr().run();
    assert!(released.stdout.contains("backup: done"), "{}", released.stdout);
    let record = pair.record(1);
    pair.takeover(2)
        .arg("--record")
        .arg(record)
        .env("ORDERLY_STATE_DIR", "state/ec2")
        .any_stdout()
        .goes_well()
        .run();
    assert!(pair.state(2).join("ha-takeover.journal").exists());
}

/// Its own output into a file of the asset kept the asset busy, and nobody was seen to use it.
#[test]
fn a_release_that_writes_to_the_asset_is_refused_before_anything_changes() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    let before = pair.world(1);
    let refused =
        pair.shell(1, "ha-release >at/log").status(4).stderr_contains("/at/log; redirect it elsewhere");
    refused.run();
    assert_eq!(pair.world(1), before);
    pair.forget();
    pair.shell(1, "ha-release --json >log").any_stderr().run();
}

/// The journal went with the asset that it was to remember, and the lock in it kept the asset busy.
#[test]
fn a_state_folder_on_the_asset_is_rejected() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    std::os::unix::fs::symlink("at/opt", bed.path("elsewhere")).unwrap();
    for folder in ["at/state", "loop", "elsewhere"] {
        for program in ["ha-release", "ha-takeover", "habackup"] {
            let run = pair.program(1, program).env("ORDERLY_STATE_DIR", bed.path(folder));
            run.status(3).stderr_contains("ORDERLY_STATE_DIR must name one on a local disk").run();
        }
    }
    assert!(pair.acts().is_empty());
}

/// A rehearsal said yes, and the run found out with everything down that it could prove nothing (5).
#[test]
fn a_release_that_could_not_prove_itself_is_refused_before_anything_changes() {
    if !possible() || !real::require(&[Need::Program("setpriv")]) {
        return;
    }
    let bed = Bed::new();
    bed.tool("setpriv");
    let pair = Pair::new(&bed, &Asset::Bind);
    let before = pair.world(1);
    // Root, and yet it may not look into other processes, as in many a container.
    for rehearsal in ["", " -n"] {
        let line =
            format!("exec setpriv --bounding-set -sys_ptrace --inh-caps -sys_ptrace ha-release{rehearsal}");
        let refused = pair.shell(1, &line).status(4).stderr_contains("could not be proven").run();
        assert!(refused.stderr.contains("/ns/mnt: Permission denied"), "{}", refused.stderr);
        assert!(refused.stderr.lines().count() < 4, "{}", refused.stderr);
    }
    assert_eq!((pair.world(1), pair.acts().is_empty()), (before, true));
}

/// Nothing was on standard output, so that a program that reads reports had to guess.
#[test]
fn a_refusal_and_a_wrong_configuration_are_told_in_json() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    let json = |program: bed::Program<'_>, status: i32| {
        program.arg("--json").status(status).any_stdout().any_stderr().run().json()
    };
    let refused = json(pair.release(2), 4);
    assert_eq!(refused["format"], "orderly-release/1");
    assert_eq!((&refused["record"], &refused["safe"]), (&"failure".into(), &false.into()));
    assert!(refused["error"].as_str().unwrap().contains("the asset is not here"), "{refused}");
    let refused = json(pair.takeover(2), 4);
    assert_eq!((&refused["format"], &refused["taken"]), (&"orderly-takeover/1".into(), &false.into()));
    // What the release left is no record, and the takeover says why there is none.
    let stream = pair.release(2).arg("--json").status(4).any_stdout().any_stderr().run().stdout;
    let taken = pair.takeover(1).args(["--record", "-"]).stdin(&stream).status(3);
    taken.stderr_contains("ended in an error (refused: the asset is not here").run();
    bed.config("ha.toml", bed.read("etc/ha.toml").replace("platform", "platfrom").replace("kind", "kimd"));
    for (program, format) in [(pair.release(1), "release"), (pair.takeover(1), "takeover")] {
        let rejected = json(program, 3);
        assert_eq!(rejected["format"], format!("orderly-{format}/1").as_str());
        assert_eq!(rejected["status"], "rejected");
    }
}
