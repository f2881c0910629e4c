//! What a host may take back by its own record, and by its peer's word after it went down.

use crate::holding::crash;
use crate::pair::{Asset, Pair, possible, with_backup};
use bed::loopfs::Disk;
use bed::{Bed, Ended};

fn done(program: bed::Program<'_>) -> Ended {
    program.any_stdout().any_stderr().run()
}

/// Returns what `--status` proposes.
fn next(pair: &Pair<'_>, host: usize) -> String {
    let status = done(pair.release(host).args(["--status", "--json"]));
    status.records().last().unwrap()["next"].as_str().unwrap().to_owned()
}

/// Both had released it; one took it by the record of the other, who took it by the same record, its own, at
/// the same moment: both mounted the ext4.
#[test]
fn one_record_never_permits_both_hosts() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    pair.apart(&disk);
    done(pair.release(1));
    done(pair.release(2));
    pair.forget();
    let line = "ssh ec1 ha-release --after 1 --json | ha-takeover --record -";
    assert!(next(&pair, 2).ends_with(line), "{}", next(&pair, 2));
    let own = pair.takeover(2).arg("--record").arg(pair.record(2)).status(4);
    own.stderr_contains("ec1 may hold the same record").stderr_contains(line).run();
    pair.takeover(2).status(4).stderr_contains(line).run();
    done(pair.takeover(1).args(["-n", "--record"]).arg(pair.record(2)));
    // What it tells to type makes the record useless that both had.
    let word = done(pair.release(1).args(["--after", "1", "--json"]));
    pair.takeover(1).arg("--record").arg(pair.record(2)).status(4).any_stderr().run();
    done(pair.takeover(2).args(["--record", "-"]).stdin(&word.stdout));
    assert_eq!(pair.holders(), [2]);
}

/// A takeover by the own record and a typed word was killed, and the next run went on without the word.
#[test]
fn a_killed_takeover_by_an_own_record_needs_its_word_again() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    done(pair.release(1));
    pair.trouble("before 1");
    pair.way_back(1).any_status().any_stdout().any_stderr().run();
    pair.forget();
    pair.takeover(1).status(4).stderr_contains("must be proven again").run();
    assert!(pair.holders().is_empty());
    done(pair.way_back(1));
    assert_eq!(pair.holders(), [1]);
}

/// The word beside a record left no step, asked no witness, and nobody asked for the peer again before the take.
#[test]
fn the_word_beside_an_own_record_is_a_step_and_asks_the_witness() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    let text = bed.read("etc/ha.toml");
    bed.config("ha.toml", format!("witness = [\"192.0.2.254\"]\n{text}"));
    done(pair.release(1));
    let record = pair.record(1);
    let by_word = |options: &[&str]| {
        pair.takeover(1).arg("--record").arg(&record).args(["--peer-down", "ec2"]).args(options)
    };
    by_word(&[]).status(4).stderr_contains("no witness answers").run();
    bed.write("answers.192.0.2.254", "");
    assert!(done(by_word(&["-n"])).stdout.contains("ec2 is down, says the operator"));
    let taken = done(by_word(&[]));
    assert!(taken.stdout.contains("ec2 is down, says the operator: done"), "{}", taken.stdout);
    assert_eq!(pair.holders(), [1]);
}

/// With multiple mount protection the way back needs nobody.
#[test]
fn where_two_takes_exclude_each_other_the_own_record_is_enough() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4_with(&bed, 16, &["-O", "mmp", "-E", "mmp_update_interval=1"]);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    done(pair.release(1));
    assert!(next(&pair, 1).ends_with("or here, to take it back: ha-takeover"), "{}", next(&pair, 1));
    done(pair.takeover(1));
    assert_eq!(pair.holders(), [1]);
}

/// Each refusal named a command that was refused as well; only two options together helped, and no line said so.
#[test]
fn a_crash_amid_a_release_has_one_line_that_leads_out() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    bed.tool("sync");
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    done(pair.release(1));
    done(pair.way_back(1));
    pair.trouble("before 3");
    pair.release(1).any_status().any_stdout().any_stderr().run();
    crash(&pair, &disk, 1);
    let line = "ssh ec2 ha-release --disclaim --json | ha-takeover --new-plan --record -";
    let word = done(pair.release(2).args(["--disclaim", "--json"])).stdout;
    let by_it = |options: &[&str]| pair.takeover(1).args(options).args(["--record", "-"]).stdin(&word);
    by_it(&[]).status(4).stderr_contains(line).run();
    pair.release(1).status(4).stderr_contains(line).run();
    pair.release(1).arg("--new-plan").status(4).stderr_contains(line).run();
    pair.takeover(1).arg("--new-plan").status(4).stderr_contains(line).run();
    assert!(next(&pair, 1).starts_with(line), "{}", next(&pair, 1));
    done(by_it(&["--new-plan"]));
    assert_eq!(pair.holders(), [1]);
}

/// Only `--peer-down` and `--fence` were proposed, and the peer was alive.
#[test]
fn after_an_own_crash_the_peers_word_is_proposed() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    bed.tool("sync");
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    done(pair.release(1));
    done(pair.way_back(1));
    crash(&pair, &disk, 1);
    let line = "ssh ec2 ha-release --disclaim --json | ha-takeover --record -";
    assert!(next(&pair, 1).starts_with(line), "{}", next(&pair, 1));
    pair.release(1).status(4).stderr_contains(line).run();
    // The peer held nothing.
    assert_eq!(next(&pair, 2), "nothing, while ec1 is alive; when it is dead: ha-takeover --fence");
}

/// The mark of this kind does not move at a take, and a saved word of the peer served again and again.
#[test]
fn a_disclaimer_serves_once() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Command);
    done(pair.release(1));
    done(pair.takeover(1));
    let die = |boot: &str| {
        let down = "exportfs -u '*:'$ORDERLY_BED/at/share; umount loop; umount at; svc proxy stop; svc ec stop; \
                    ip address del 192.0.2.10/32 dev lo";
        pair.shell(1, down).any_status().any_stdout().any_stderr().run();
        bed.write("asset.holder", "nobody\n");
        bed.write("boot_id.ec1", boot);
        pair.forget();
    };
    die("second\n");
    let word = done(pair.release(2).args(["--disclaim", "--json"])).stdout;
    done(pair.takeover(1).args(["--record", "-"]).stdin(&word));
    die("third\n");
    let line = "ssh ec2 ha-release --disclaim --after 1 --json | ha-takeover --record -";
    pair.takeover(1).args(["--record", "-"]).stdin(&word).status(4).stderr_contains(line).run();
    assert!(pair.acts().is_empty(), "{:?}", pair.acts());
    let word = done(pair.release(2).args(["--disclaim", "--after", "1", "--json"])).stdout;
    done(pair.takeover(1).args(["--record", "-"]).stdin(&word));
    assert_eq!(pair.holders(), [1]);
}

/// "Copy ha.toml" was the advice when both had the same one, and the record an older one.
#[test]
fn a_record_of_another_configuration_is_made_anew() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    with_backup(&pair);
    done(pair.release(1));
    bed.config("ha.toml", bed.read("etc/ha.toml").replace("max_age = \"1h\"", "max_age = \"2h\""));
    let by_it = pair.takeover(2).arg("--record").arg(pair.record(1)).status(4);
    let line = "release anew: ssh ec1 ha-release --json | ha-takeover --record -";
    by_it.stderr_contains("another configuration").stderr_contains(line).run();
    let word = done(pair.release(1).arg("--json")).stdout;
    done(pair.takeover(2).args(["--record", "-"]).stdin(&word));
}

/// At the largest number of all the serials stood still, and two records counted as one.
#[test]
fn a_serial_never_comes_to_its_end() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    for after in ["18446744073709551615", "9007199254740993"] {
        pair.release(1).args(["--after", after]).status(2).stderr_contains("--after").run();
    }
    assert_eq!(pair.holders(), [1]);
    let released = done(pair.release(1).args(["--after", "9007199254740992", "--json"]));
    assert_eq!(released.records().last().unwrap()["serial"].as_u64(), Some(9_007_199_254_740_993));
}

/// It was looked for before a fence alone: a takeover by a record took everything down again for it.
#[test]
fn a_missing_program_refuses_a_takeover_by_a_record() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    bed.config(
        "ha.toml",
        bed.read("etc/ha.toml").replace("start = [\"svc\", \"proxy\"", "start = [\"nosuch\", \"proxy\""),
    );
    done(pair.release(1));
    pair.forget();
    for options in [&["-n"][..], &[]] {
        let by_it = pair.takeover(2).args(options).arg("--record").arg(pair.record(1)).status(4);
        by_it.stderr_contains("there is no program nosuch here").run();
    }
    pair.takeover(2).args(["--peer-down", "ec1"]).status(4).stderr_contains("no program nosuch").run();
    assert!(pair.acts().is_empty(), "{:?}", pair.acts());
}
