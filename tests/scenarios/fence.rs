//! A peer that is powered off to take its storage: only by a host that could take over, only proven off
//! by what its power controller prints, and never called untouched afterwards.
//!
//! Real mounts, network devices and disks of private hosts; the power controller and `ping` are scripted.

use crate::pair::{Asset, Pair, possible};
use bed::loopfs::Disk;
use bed::{Bed, Need, real};

const OFF: &str = "Chassis Power is off\n";

/// Lets the first host die holding the asset.
fn die(pair: &Pair<'_>) {
    let line = "umount loop; umount at; svc proxy stop; svc ec stop; ip address del 192.0.2.10/32 dev lo";
    pair.shell(1, line).any_stderr().any_status().run();
    pair.forget();
}

/// Replaces a part of the configuration.
fn mend(bed: &Bed, from: &str, to: &str) {
    let text = bed.read("etc/ha.toml");
    assert!(text.contains(from), "{from}");
    bed.config("ha.toml", text.replace(from, to));
}

/// The last word of the last line alone was looked at, and it was `off`: the peer was not even fenced.
#[test]
fn a_fence_status_of_which_one_line_says_on_is_no_proof() {
    if !possible() {
        return;
    }
    for printed in [
        "supply A: on\nsupply B: off\n",
        "power is not off\n",
        "could not be turned off\n",
        "never off\n",
        "ec1: on, ec9: off\n",
    ] {
        let bed = Bed::new();
        let pair = Pair::new(&bed, &Asset::Bind);
        die(&pair);
        bed.write("power.ec1", printed);
        let ended =
            pair.takeover(2).args(["--fence", "--timeout", "1s"]).status(5).any_stdout().any_stderr().run();
        let shown = printed.trim().replace('\n', " / ");
        assert!(
            ended.stderr.contains(&format!("does not say off: it printed \"{shown}\"")),
            "{}",
            ended.stderr
        );
        assert_eq!(pair.acts(), ["ec2 svc power stop"], "{printed}");
        assert!(pair.holders().is_empty(), "{printed}");
    }
}

/// What was off already was not fenced, and so could come up again in the middle; a fence command that
/// ends with an error although the power is off stopped everything.
#[test]
fn fence_is_always_run_and_only_its_status_is_judged() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    die(&pair);
    bed.write("power.ec1", OFF);
    pair.trouble("fail 1\n");
    let ended = pair.takeover(2).arg("--fence").any_stdout().any_stderr().run();
    assert_eq!(pair.acts()[0], "ec2 svc power stop");
    let last = ended.stdout.lines().last().unwrap();
    assert!(
        last.starts_with("taken: ") && last.ends_with("; ec1 was fenced, and its power is off"),
        "{last}"
    );
}

/// A controller that switched the power on again between the fence and the take was not asked again.
#[test]
fn the_power_is_read_again_just_before_the_take() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Whole);
    die(&pair);
    mend(
        &bed,
        "cat \\\"$ORDERLY_BED/power.ec1\\\"",
        "cat \\\"$ORDERLY_BED/power.ec1\\\"; echo on >\\\"$ORDERLY_BED/power.ec1\\\"",
    );
    bed.write("power.ec1", OFF);
    let ended = pair.takeover(2).arg("--fence").status(5).any_stdout().any_stderr().run();
    assert!(ended.stderr.contains("ec1 is still off: failed: "), "{}", ended.stderr);
    // Everything that comes first was done, and the asset was not touched.
    assert_eq!(pair.acts(), ["ec2 svc power stop", "ec2 svc login start"]);
    assert!(pair.holders().is_empty());
}

/// Does what the last line of a fence that proved nothing proposes, once somebody saw that the peer is off.
fn the_way_out_leads_out(bed: &Bed, pair: &Pair) {
    die(pair);
    for address in ["192.0.2.1", "192.0.2.10"] {
        let _ = std::fs::remove_file(bed.path(format!("answers.{address}")));
    }
    pair.takeover(2).args(["--peer-down", "ec1"]).any_stdout().goes_well().run();
    assert_eq!(pair.holders(), [2]);
}

/// A run that had powered the peer off ended with 1 or 4 and spoke of an asset that was not touched.
#[test]
fn after_a_fence_no_run_ends_as_if_nothing_was_touched() {
    if !possible() {
        return;
    }
    let proven = "; ec1 was fenced, and its power is off";
    let unproven = "; ec1 was fenced, and its power is NOT proven to be off: look at it yourself, and once you know that it is off: ha-takeover --peer-down ec1";
    for (power, answers, status, end) in [
        ("Chassis Power is on\n", None, 5, unproven),
        // Another outlet was switched off.
        (OFF, Some("answers.192.0.2.1"), 5, unproven),
        (OFF, Some("answers.192.0.2.10"), 1, proven),
    ] {
        let bed = Bed::new();
        let pair = Pair::new(&bed, &Asset::Bind);
        bed.write("power.ec1", power);
        if let Some(file) = answers {
            bed.write(file, "");
        }
        let run = pair.takeover(2).args(["--fence", "--timeout", "1s"]);
        let ended = run.status(status).any_stdout().any_stderr().run();
        let last = ended.stderr.lines().last().unwrap();
        assert!(last.ends_with(end), "{last}");
        assert_eq!(pair.acts(), ["ec2 svc power stop"]);
        assert_eq!(pair.holders(), [1]);
        if end == unproven {
            the_way_out_leads_out(&bed, &pair);
        }
    }
    // What fails later is let go of again, and it is still said who is off.
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    die(&pair);
    bed.write("power.ec1", OFF);
    bed.script("fakes/arping", ":");
    mend(&bed, "start = [\"svc\", \"ec\", \"start\"]", "start = [\"svc\", \"ec\", \"halt\"]");
    let ended =
        pair.takeover(2).args(["--fence", "--timeout", "2s"]).status(1).any_stdout().any_stderr().run();
    let last = ended.stderr.lines().last().unwrap();
    assert!(last.contains("is let go again, safe for the other host") && last.ends_with(proven), "{last}");
}

/// Each of these was found out only once a healthy primary was off.
#[test]
fn a_host_that_could_not_take_over_fences_nobody() {
    if !possible() || !real::require(&[Need::Program("blockdev"), Need::Program("mkfifo")]) {
        return;
    }
    let no_route = "for last; do :; done; case $last in *.10) echo 'connect: Network is unreachable' >&2; exit 2;; esac; exit 1";
    let trigger = "/usr/bin/mkfifo pipe; exec 7<>pipe; mount -t autofs -o fd=7,pgrp=$$,minproto=5,maxproto=5,direct autofs at; \
                   /bin/sleep 1000 </dev/null >/dev/null 2>&1 &";
    for (prepare, from, to, why) in [
        ("", "device = \"lo\"", "device = \"wire\"", "Device \"wire\" does not exist"),
        (
            "ip link add wire type veth peer name end",
            "device = \"lo\"",
            "device = \"wire\"",
            "wire is down; ip link set wire up",
        ),
        (
            "ip link add wire type veth peer name end && ip link set wire up",
            "device = \"lo\"",
            "device = \"wire\"",
            "the network device wire has no carrier",
        ),
        (no_route, "", "", "nobody can say whether somebody answers at 192.0.2.10"),
        ("/bin/mount -t tmpfs other at", "", "", "other is mounted at"),
        (trigger, "", "", "is under an automounter"),
        ("", "[asset]", "witness = [\"192.0.2.254\"]\n[asset]", "no witness answers"),
        ("", "fence = [\"svc\",", "fence = [\"powercut\",", "there is no program powercut here"),
    ] {
        let bed = Bed::new();
        let pair = Pair::new(&bed, &Asset::Bind);
        bed.write("power.ec1", OFF);
        if prepare == no_route {
            bed.script("fakes/ping", no_route);
        } else {
            pair.shell(2, prepare).any_stderr().run();
        }
        if !from.is_empty() {
            // At the top, before any table.
            let text = bed.read("etc/ha.toml");
            let text = match to.strip_suffix("\n[asset]") {
                Some(line) => format!("{line}\n{text}"),
                None => text.replace(from, to),
            };
            bed.config("ha.toml", text);
        }
        pair.forget();
        for arguments in [&["-n", "--fence"][..], &["--fence"]] {
            let ended = pair.takeover(2).args(arguments).status(4).any_stderr().run();
            assert!(ended.stderr.contains(why), "{why}: {}", ended.stderr);
        }
        assert!(pair.acts().is_empty(), "{why}: {:?}", pair.acts());
        assert!(pair.holders().contains(&1), "{why}");
    }
}

/// "taken" was said, and nobody could reach the address.
#[test]
fn what_could_not_be_reached_here_is_not_taken_by_a_record_either() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    mend(&bed, "device = \"lo\"", "device = \"wire\"");
    let wire = "ip link add wire type veth peer name end && ip link set end up && ip link set wire up";
    for host in [1, 2] {
        pair.shell(host, wire).run();
    }
    pair.shell(1, "ip address del 192.0.2.10/32 dev lo && ip address add 192.0.2.10/32 dev wire").run();
    pair.released(1);
    pair.shell(2, "ip link set end down").run();
    pair.forget();
    for arguments in [&["-n"][..], &[]] {
        let takeover = pair.takeover(2).args(arguments).arg("--record").arg(pair.record(1));
        takeover.status(4).any_stdout().stderr_contains("the network device wire has no carrier").run();
    }
    assert!(pair.acts().is_empty(), "{:?}", pair.acts());
    assert!(pair.holders().is_empty());
    pair.shell(2, "ip link set end up").run();
    pair.taken(2);
}

/// It was mounted read-only, or not at all, once the peer was off.
#[test]
fn a_disk_that_is_write_protected_here_fences_nobody() {
    if !possible() || !real::require(&[Need::Program("blockdev")]) {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Disk(&disk));
    die(&pair);
    bed.write("power.ec1", OFF);
    disk.protect();
    for arguments in [&["-n", "--fence"][..], &["--fence"], &["--peer-down", "ec1"]] {
        pair.takeover(2).args(arguments).status(4).stderr_contains("is write-protected").run();
    }
    assert!(pair.acts().is_empty(), "{:?}", pair.acts());
    // What comes first may lift it, so it is decided only then; and nothing was taken.
    mend(&bed, "[asset]\n", "[asset]\nbefore_take = [[\"svc\", \"login\", \"start\"]]\n");
    let ended = pair.takeover(2).arg("--fence").status(1).any_stdout().any_stderr().run();
    assert!(ended.stderr.contains("is write-protected"), "{}", ended.stderr);
    assert!(pair.holders().is_empty());
    disk.unprotect();
    pair.takeover(2).arg("--fence").any_stdout().goes_well().run();
    assert_eq!(pair.holders(), [2]);
}

/// The one that is cut off from everybody shot the one that served.
#[test]
fn a_host_that_no_witness_answers_takes_nobody_for_dead_unless_told_to() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    die(&pair);
    bed.write("power.ec1", OFF);
    let text = bed.read("etc/ha.toml");
    bed.config("ha.toml", format!("witness = [\"192.0.2.253\", \"192.0.2.254\"]\n{text}"));
    for proof in [&["--fence"][..], &["--peer-down", "ec1"]] {
        let ended = pair.takeover(2).args(proof).status(4).any_stderr().run();
        assert!(ended.stderr.contains("192.0.2.254 does not answer"), "{}", ended.stderr);
    }
    assert!(pair.acts().is_empty());
    bed.write("answers.192.0.2.254", "");
    let shown = pair.takeover(2).args(["-n", "--fence"]).any_stdout().any_stderr().run();
    assert!(shown.stderr.contains("the power of ec1 is proven to be off now"), "{}", shown.stderr);
    assert!(pair.acts().is_empty(), "{:?}", pair.acts());
    std::fs::remove_file(bed.path("answers.192.0.2.254")).unwrap();
    let told = ["--peer-down", "ec1", "--skip", "witness", "--json"];
    let ended = pair.takeover(2).args(told).any_stdout().any_stderr().run();
    let report = ended.stdout.lines().last().unwrap();
    assert!(report.contains("\"skipped\":[\"witness\"]"), "{report}");
    assert!(pair.bed.read("state/ec2/ha-takeover.journal").contains("without witness, says the operator"));
    assert_eq!(pair.holders(), [2]);
}

/// A part that cannot be had kept a host from taking anything.
#[test]
fn what_is_skipped_is_left_out_and_stands_in_journal_and_record() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Whole);
    pair.released(1);
    let record = pair.record(1);
    // The service is up already, the address answers, the shares cannot be listed.
    pair.shell(2, "svc proxy start").run();
    bed.write("answers.192.0.2.10", "");
    pair.forget();
    pair.takeover(2).arg("--record").arg(&record).status(4).any_stderr().run();
    let skip = ["services", "addresses", "shares", "loopbacks", "restore"]
        .into_iter()
        .flat_map(|part| ["--skip", part]);
    let ended = pair
        .takeover(2)
        .arg("--record")
        .arg(&record)
        .args(skip)
        .arg("--json")
        .any_stdout()
        .any_stderr()
        .run();
    let report = ended.stdout.lines().last().unwrap();
    assert!(
        report.contains("\"skipped\":[\"restore\",\"loopbacks\",\"shares\",\"addresses\",\"services\"]"),
        "{report}"
    );
    let journal = bed.read("state/ec2/ha-takeover.journal");
    for part in ["restore", "loopbacks", "shares", "addresses", "services"] {
        assert!(journal.contains(&format!("without {part}, says the operator")), "{part}");
    }
    assert_eq!(pair.holders(), [2]);
    let world = pair.world(2);
    assert!(!world.contains("mount loop") && world.contains("ec offline"), "{world}");
    let ended = pair.takeover(2).args(["--skip", "proof"]).status(2).any_stderr().run();
    assert!(ended.stderr.contains("invalid value 'proof'"), "{}", ended.stderr);
}
