//! ha-takeover: proofs that hold and proofs that do not, the way back, two at once.

use crate::pair::{Asset, Pair, possible, with_backup};
use bed::Bed;
use bed::loopfs::Disk;

#[test]
fn a_released_asset_is_taken_and_given_back_through_a_pipe() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    for (from, to) in [(1, 2), (2, 1), (1, 2)] {
        assert_eq!(pair.holders(), [from]);
        let stream = pair.release(from).args(["--json", "-q"]).any_stdout().run();
        let records = stream.records();
        let last = records.last().unwrap();
        assert_eq!(
            (last["format"].as_str(), last["safe"].as_bool()),
            (Some("orderly-release/1"), Some(true))
        );
        assert_eq!(pair.holders(), [0; 0]);
        let taken = pair
            .takeover(to)
            .args(["--record", "-", "--json"])
            .stdin(&stream.stdout)
            .any_stdout()
            .any_stderr()
            .run();
        assert_eq!(taken.records().last().unwrap()["taken"].as_bool(), Some(true));
        assert_eq!(pair.holders(), [to]);
        assert!(pair.world(to).contains("(ro,fsid=7)"), "{}", pair.world(to));
    }
    // Taking what is held is done.
    pair.takeover(2).any_stdout().goes_well().run();
}

#[test]
fn the_way_back_ends_where_the_release_began() {
    if !possible() {
        return;
    }
    for asset in 0..3 {
        let bed = Bed::new();
        let disk = Disk::ext4(&bed, 16);
        let pair = Pair::new(&bed, &[Asset::Bind, Asset::Ext4(&disk), Asset::Command][asset]);
        pair.released(1);
        pair.taken_back(1);
        let once = pair.world(1);
        pair.released(1);
        pair.taken_back(1);
        assert_eq!(pair.world(1), once);
    }
}

#[test]
fn no_proof_no_takeover() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    let record = pair.record(1);
    pair.takeover(2).status(4).stderr_contains("--peer-down ec1").run();
    pair.takeover(2).args(["--record", "-"]).status(3).stderr_contains("it is empty").run();
    pair.released(1);
    let text = std::fs::read_to_string(&record).unwrap();
    pair.forget();
    for wrong in [&text[..text.len() / 2], &text.replace("ec1", "ec9"), "{}\n", "safe\n"] {
        pair.takeover(2)
            .args(["--record", "-"])
            .stdin(wrong)
            .status(3)
            .stderr_contains("no release record")
            .run();
    }
    // Another asset, another mark: the disk was held again after this record.
    pair.taken_back(1);
    pair.released(1);
    pair.forget();
    pair.takeover(2)
        .args(["--record", "-"])
        .stdin(&text)
        .status(4)
        .stderr_contains("held again after its release")
        .run();
    pair.shell(1, "umount at").any_status().any_stderr().run();
    pair.forget();
    // The peer must be named, and silent.
    pair.takeover(2).args(["--peer-down", "ec2"]).status(4).stderr_contains("the peer is ec1").run();
    bed.write("answers.192.0.2.1", "");
    pair.takeover(2).args(["--peer-down", "ec1"]).status(4).stderr_contains("is not down").run();
    pair.takeover(2).arg("--force").status(2).any_stderr().run();
    // Somebody still answers at the address that would be taken.
    bed.write("answers.192.0.2.10", "");
    pair.takeover(2)
        .arg("--record")
        .arg(&record)
        .status(4)
        .stderr_contains("somebody answers at 192.0.2.10")
        .run();
    assert!(pair.acts().is_empty(), "{:?}", pair.acts());
}

#[test]
fn a_dead_peer_is_fenced_and_proven_off_before_anything_is_taken() {
    if !possible() {
        return;
    }
    for asset in 0..3 {
        let bed = Bed::new();
        let disk = Disk::ext4(&bed, 16);
        let pair = Pair::new(&bed, &[Asset::Bind, Asset::Ext4(&disk), Asset::Command][asset]);
        bed.write("power.ec1", "Chassis Power is on\n");
        let told = pair
            .takeover(2)
            .args(["--fence", "--timeout", "1s", "--json"])
            .status(5)
            .any_stdout()
            .any_stderr()
            .run();
        assert!(
            told.stderr.contains("was not touched") && told.stderr.contains("does not say off"),
            "{}",
            told.stderr
        );
        // It said "the peer's power is off" of a power that was on.
        assert!(told.stdout.contains("\"proof\":\"none: "), "{}", told.stdout);
        assert_eq!(pair.acts(), ["ec2 svc power stop"]);
        // The peer dies holding the asset.
        pair.shell(
            1,
            "umount loop; umount at; svc proxy stop; svc ec stop; ip address del 192.0.2.10/32 dev lo",
        )
        .any_stderr()
        .any_status()
        .run();
        bed.write("power.ec1", "Chassis Power is off\n");
        pair.takeover(2).arg("--fence").any_stdout().goes_well().run();
        assert!(pair.world(2).contains("proxy online"), "{}", pair.world(2));
    }
}

#[test]
fn two_takeovers_at_once_are_one() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    pair.released(1);
    let record = pair.record(1);
    let run = || pair.takeover(2).arg("--record").arg(&record).any_status().any_stdout().any_stderr().spawn();
    let (first, second) = (run(), run());
    let mut codes = [first.end().status, second.end().status];
    codes.sort_unstable();
    // One wins; the other finds the lock held, or, when it came later, everything done.
    assert!(codes == [0, 4] || codes == [0, 0], "{codes:?}");
    assert_eq!(pair.holders(), [2]);
}

/// Each wrote its own name over the other's, and both mounted it.
#[test]
fn of_two_hosts_that_take_it_at_the_same_moment_one_has_it() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    let mut holder = 1;
    for round in 0..6 {
        pair.released(holder);
        let record = pair.record(holder);
        let run = |host| {
            pair.takeover(host).arg("--record").arg(&record).any_status().any_stdout().any_stderr().spawn()
        };
        let (one, two) = (run(1), run(2));
        let ended = [one.end(), two.end()];
        let won: Vec<usize> = [1, 2].into_iter().filter(|host| ended[host - 1].status == 0).collect();
        let said = format!("round {round}: {}\n{}", ended[0].stderr, ended[1].stderr);
        assert_eq!((won.len(), pair.holders()), (1, won.clone()), "{said}");
        let lost = &ended[2 - won[0]];
        assert!(matches!(lost.status, 1 | 4), "{said}");
        holder = won[0];
    }
}

#[test]
fn a_place_that_is_not_empty_is_not_mounted_over() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    pair.released(1);
    bed.write("at/precious", "data");
    pair.takeover(2).arg("--record").arg(pair.record(1)).status(4).stderr_contains("is not empty").run();
}

#[test]
fn what_the_peer_backed_up_is_restored_and_what_is_own_is_not() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    with_backup(&pair);
    let outside = |host: usize| bed.read(format!("outside.{host}/file"));
    let record = |host: usize| pair.record(host);
    let released = pair.release(1).arg("--json").any_stdout().any_stderr().run();
    assert!(released.records().last().unwrap()["snapshot"].is_string(), "{}", released.stdout);
    bed.write("outside.1/file", "newer\n");
    // The way back restores nothing of its own: it would put the older file back.
    pair.way_back(1).any_stdout().stderr_contains("nothing is restored").run();
    assert_eq!(outside(1), "newer\n");
    pair.released(1);
    pair.takeover(2).arg("--record").arg(record(1)).stdout_contains("restore: done").goes_well().run();
    assert_eq!(outside(2), "newer\n");
    bed.write("outside.2/file", "newest\n");
    pair.released(2);
    pair.takeover(1).arg("--record").arg(record(2)).any_stdout().goes_well().run();
    assert_eq!(outside(1), "newest\n");
}

/// "not started" was all that was said, at night, of a package that is not installed.
#[test]
fn a_ping_that_is_not_installed_is_named_with_its_package() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    std::fs::remove_file(bed.path("fakes/ping")).unwrap();
    pair.takeover(2)
        .args(["--peer-down", "ec1"])
        .status(4)
        .stderr_contains("nobody can say whether ec1 answers")
        .stderr_contains("apt-get install iputils-ping")
        .run();
    assert!(pair.acts().is_empty());
}

/// A place within the asset is there only once the asset is mounted, and its absence refused every
/// takeover; made by hand on the bare mountpoint, as was advised, it made that "not empty".
#[test]
fn a_mount_within_the_asset_is_made_after_the_one_that_it_lies_in() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    let text = bed.read("etc/ha.toml");
    let root = bed.root().display().to_string();
    let within = format!("[[asset.mount]]\nat = \"{root}/at/within\"\n[[service]]\nname = \"proxy\"");
    let text = text.replace("[[service]]\nname = \"proxy\"", &within);
    // A loopback within it, too.
    let text = text.replace(&format!("at = \"{root}/loop\""), &format!("at = \"{root}/at/loop\""));
    bed.config("ha.toml", text);
    let line = format!(
        "umount loop && /bin/mkdir at/within at/loop && mount -o noatime {} at/within && mount --bind at/opt at/loop",
        disk.device().display()
    );
    pair.shell(1, &line).run();
    pair.forget();
    let before = pair.world(1);
    for (from, to) in [(1, 2), (2, 1)] {
        pair.released(from);
        assert!(pair.holders().is_empty());
        let record = pair.record(from);
        pair.takeover(to).arg("-n").arg("--record").arg(&record).any_stdout().goes_well().run();
        pair.takeover(to).arg("--record").arg(&record).any_stdout().goes_well().run();
    }
    let mounts = |world: &str| world.lines().filter(|line| line.starts_with("mount ")).count();
    assert_eq!((mounts(&pair.world(1)), pair.holders()), (mounts(&before), vec![1]));
    // What lies there already would be hidden, and that is found out before anything is mounted over it.
    pair.released(1);
    pair.shell(2, &format!("mount {} at && touch at/within/precious && umount at", disk.device().display()))
        .run();
    let taken = pair.takeover(2).args(["--peer-down", "ec1"]).status(1).any_stdout();
    taken.stderr_contains("at/within is not empty").run();
    assert!(pair.holders().is_empty());
}

/// What was exported for writing passed for the share that the configuration exports for reading.
#[test]
fn a_share_that_is_exported_with_other_options_is_exported_as_configured() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    let share = bed.path("at/share").display().to_string();
    pair.shell(1, &format!("exportfs -o rw,no_root_squash,fsid=7 '*:{share}'")).run();
    pair.release(1).arg("--status").stdout_contains("exported with other options").run();
    pair.takeover(1).any_stdout().goes_well().run();
    let listed = pair.shell(1, "exportfs -s").any_stdout().run().stdout;
    assert!(listed.contains(&format!("{share}  *(ro,fsid=7)")), "{listed}");
    pair.release(1).arg("--status").any_stdout().run();
}

/// A takeover that failed took an address away that it had not brought.
#[test]
fn an_address_that_was_here_before_stays_when_a_takeover_is_taken_back() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    pair.released(1);
    let record = pair.record(1);
    pair.shell(2, "ip address add 192.0.2.10/32 dev lo").run();
    let before = pair.world(2);
    let text = bed.read("etc/ha.toml");
    bed.config(
        "ha.toml",
        text.replace("start = [\"svc\", \"proxy\", \"start\"]", "start = [\"svc\", \"nothing\", \"start\"]"),
    );
    pair.release(1).args(["--new-plan", "--no-backup"]).any_status().any_stdout().any_stderr().run();
    pair.takeover(2).arg("--record").arg(&record).status(1).any_stdout().any_stderr().run();
    assert_eq!(pair.world(2), before);
}
