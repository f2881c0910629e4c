//! The asset kind zfs against scripted programs that print what OpenZFS 2.1.11 printed in the lab:
//! every state of a pool, every refusal. `make lab-test` does the hand-over with the real one.

pub(crate) mod pool;

use bed::Bed;
use pool::{GUID, Pool, possible};

const IMPORT: &str = "zpool import -N -o cachefile=none -d /disks 14097120482456537026";
const FORCED: &str = "zpool import -f -N -o cachefile=none -d /disks 14097120482456537026";

/// Runs a scenario with a bed and a pool of its own, where this machine can.
fn with(scenario: impl Fn(&Bed, &Pool<'_>)) {
    if possible() {
        let bed = Bed::new();
        scenario(&bed, &Pool::new(&bed));
    }
}

#[test]
fn a_pool_is_exported_by_name_and_imported_by_guid_and_comes_back() {
    with(|bed, pool| {
        let released = pool.release(1).args(["--json", "-q"]).any_stdout().run();
        let record = released.records().pop().unwrap();
        assert_eq!(record["identity"].as_str(), Some(format!("zfs:{GUID}").as_str()));
        assert_eq!((record["mark"].as_str(), record["hostid"].as_str()), (Some("txg=8"), Some("00ec0001")));
        assert_eq!(pool.holders(), [0; 0]);
        pool.takeover(2).args(["--record", "-"]).stdin(&released.stdout).any_stdout().goes_well().run();
        assert_eq!(pool.acts(), ["ec1 zpool export tank".to_owned(), format!("ec2 {IMPORT}")]);
        assert_eq!(pool.holders(), [2]);
        assert!(bed.read("etab.ec2").contains("/tank/share  *(ro,fsid=7)"));
        pool.release(1)
            .status(4)
            .stderr_contains("tank is imported on ec2 (hostid 00ec0002), which is alive")
            .run();
        pool.release(2).any_stdout().goes_well().run();
        pool.takeover(2).any_stdout().goes_well().run();
        assert_eq!(pool.acts(), ["ec2 zpool export tank".to_owned(), format!("ec2 {IMPORT}")]);
        // The first record is of an export after which the pool was held again.
        pool.release(2).any_stdout().goes_well().run();
        pool.takeover(1)
            .args(["--record", "-"])
            .stdin(&released.stdout)
            .status(4)
            .stderr_contains("held again after its release")
            .run();
    });
}

/// Seen in the lab: the peer began first, saw the pool in use, and refused the record that came later.
#[test]
fn a_takeover_in_a_pipeline_looks_at_the_pool_when_the_record_has_come() {
    with(|_, pool| {
        let state = pool.record(1).parent().unwrap().display().to_string();
        let release = pool.shell(1, "sleep 2; exec ha-release --json -q").env("ORDERLY_STATE_DIR", state);
        bed::pipeline([release, pool.takeover(2).args(["--record", "-"]).any_stdout().any_stderr()]);
        assert_eq!(pool.holders(), [2]);
    });
}

#[test]
fn a_dry_run_shows_the_commands_and_changes_nothing() {
    with(|_, pool| {
        pool.release(1).arg("-n").stdout_contains("zpool export tank").goes_well().run();
        pool.cut(1);
        pool.takeover(2)
            .args(["-n", "--peer-down", "ec1"])
            .stdout_contains("zpool import -f -N -o cachefile=none -d ")
            .run();
        assert_eq!(pool.acts(), [""; 0]);
    });
}

/// Scenario 2 of the failures: forced only in this case, and only in place of the host that is named.
#[test]
fn a_pool_of_a_dead_host_is_taken_only_with_proof() {
    with(|_, pool| {
        pool.cut(1);
        pool.takeover(2).status(4).stderr_contains("nothing proves that ec1 let go").run();
        pool.release(2).arg("--status").stdout_contains("which did not export it and is quiet now").run();
        pool.takeover(2).args(["--peer-down", "ec2"]).status(4).any_stderr().run();
        assert_eq!(pool.acts(), [""; 0]);
        pool.takeover(2).args(["--peer-down", "ec1"]).any_stdout().goes_well().run();
        assert_eq!(pool.acts(), [format!("ec2 {FORCED}")]);
        assert_eq!(pool.holders(), [2]);
        // Repaired, the old holder finds it elsewhere, also on the word that the other one is down.
        pool.release(1).status(4).stderr_contains("ec2 (hostid 00ec0002)").run();
        pool.takeover(1).args(["--peer-down", "ec2"]).status(4).stderr_contains("ec2 is not down").run();
    });
}

#[test]
fn a_host_that_writes_is_alive_whatever_the_operator_says() {
    with(|_, pool| {
        pool.takeover(2)
            .args(["--peer-down", "ec1"])
            .status(4)
            .stderr_contains("ec1 is not down: tank is imported on ec1 (hostid 00ec0001), which is alive")
            .run();
        assert_eq!((pool.acts(), pool.holders()), (Vec::new(), vec![1]));
        // Its power is another proof; what was seen before it was cut counts no more.
        pool.takeover(2).arg("--fence").any_stdout().goes_well().run();
        assert_eq!((pool.acts(), pool.holders()), (vec![format!("ec2 {FORCED}")], vec![2]));
    });
}

#[test]
fn a_label_that_names_a_third_host_is_not_taken_by_force() {
    with(|bed, pool| {
        pool.cut(1);
        bed.write("label", "0 40 305419896 ec9\n");
        for proof in [vec!["--peer-down", "ec1"], vec!["--fence"]] {
            pool.takeover(2)
                .args(proof)
                .status(4)
                .stderr_contains(
                    "names ec9 (hostid 12345678) as its last holder, which is neither ec2 nor ec1",
                )
                .run();
        }
        assert_eq!(pool.acts(), [""; 0]);
        assert!(!bed.path("power").exists(), "nobody is fenced for it");
        bed.write("label", "0 40 15466497 ec1.example.org\n");
        pool.takeover(2).args(["--peer-down", "ec1"]).any_stdout().goes_well().run();
        assert_eq!(pool.holders(), [2]);
    });
}

/// Scenario 1: where no activity check exists, it is said, and the peer's name must be typed.
#[test]
fn without_multihost_nobody_can_see_whether_the_peer_is_alive() {
    with(|bed, pool| {
        bed.write("multihost.off", "");
        pool.release(2).arg("--status").stdout_contains("(multihost is off)").run();
        pool.takeover(2).status(4).any_stderr().run();
        assert_eq!(pool.acts(), [""; 0]);
        pool.cut(1);
        pool.takeover(2)
            .args(["--peer-down", "ec1"])
            .any_stdout()
            .stderr_contains("the word of the operator")
            .run();
        assert_eq!(pool.holders(), [2]);
        // Nor would anything notice both taking it once it is free: the own record is not enough, typed or not.
        pool.release(2).any_stdout().goes_well().run();
        let line = "ssh ec1 ha-release --after 1 --json | ha-takeover --record -";
        for options in [&[][..], &["--record".to_owned(), pool.record(2).display().to_string()]] {
            let by_own = pool.takeover(2).args(options).status(4);
            by_own.stderr_contains("multihost is off on tank").stderr_contains(line).run();
        }
        let by_word = pool.takeover(2).args(["--peer-down", "ec1", "--record"]).arg(pool.record(2));
        by_word.any_stdout().goes_well().run();
    });
}

/// Scenario 4.
#[test]
fn hosts_with_the_same_hostid_or_none_hand_nothing_over() {
    with(|bed, pool| {
        pool.release(1).any_stdout().goes_well().run();
        let record = std::fs::read_to_string(pool.record(1)).unwrap();
        let hostid = |bytes: &str| pool.shell(2, &format!("printf '{bytes}' >/etc/hostid")).run();
        let takeover = || pool.takeover(2).args(["--record", "-"]).stdin(&record).status(4);
        hostid("");
        bed.write("listing", "");
        takeover().stderr_contains("this host has no hostid").run();
        hostid("\\001\\000\\354\\000");
        takeover().stderr_contains("ec1 and this host have the same hostid 00ec0001").run();
        // Also where only the label can tell.
        bed.write("label", "0 40 15466497 ec1\n");
        pool.takeover(2).args(["--peer-down", "ec1"]).status(4).stderr_contains("have the same hostid").run();
        assert_eq!(pool.acts(), ["ec1 zpool export tank"]);
        hostid("\\002\\000\\354\\000");
        pool.shell(1, "printf '' >/etc/hostid").run();
        bed.write("label", "0 40 0 ec1\n");
        bed.write("imported.ec1", "ONLINE\n");
        pool.release(1).any_stdout().goes_well().run();
        let record = std::fs::read_to_string(pool.record(1)).unwrap();
        pool.takeover(2)
            .args(["--record", "-"])
            .stdin(&record)
            .status(4)
            .stderr_contains("ec1 has no hostid")
            .run();
    });
}

/// Scenario 3: its own cause, with the version, and no word of switching multihost off.
#[test]
fn an_exported_pool_that_zfs_lists_as_in_use_is_left_to_people() {
    with(|_, pool| {
        pool.release(1).any_stdout().goes_well().run();
        pool.acts();
        for transcript in ["import-active.txt", "import-quiet.txt"] {
            pool.listing(transcript);
            pool.takeover(2)
                .arg("--record")
                .arg(pool.record(1))
                .status(4)
                .stderr_contains("says that ec1 (hostid 00ec0001) exported it, and yet ZFS (")
                .run();
        }
        assert_eq!((pool.acts(), pool.holders()), (Vec::new(), Vec::new()));
    });
}

/// Scenario 7.
#[test]
fn missing_devices_and_a_second_pool_of_that_name_are_not_passed_over() {
    with(|bed, pool| {
        pool.release(1).any_stdout().goes_well().run();
        let record = pool.record(1);
        pool.acts();
        let takeover = || pool.takeover(2).arg("--record").arg(&record);
        pool.listing("import-two.txt");
        takeover().status(4).stderr_contains("two pools are named tank").stderr_contains("asset.guid").run();
        pool.listing("import-no-hostid.txt");
        takeover().status(4).stderr_contains("tank is UNAVAIL").run();
        pool.listing("import-degraded.txt");
        takeover().status(4).stderr_contains("virtio-shared1-part1 UNAVAIL invalid label").run();
        bed.write(
            "listing",
            "   pool: other\n     id: 7\n  state: ONLINE\n config:\n\n\tother  ONLINE\n\t  d  ONLINE\n",
        );
        takeover().status(4).stderr_contains("carries a pool named tank").run();
        bed.write("listing", "something new\n");
        takeover()
            .status(4)
            .stderr_contains("carries a pool named tank")
            .stderr_contains("blockdev --rereadpt")
            .run();
        assert_eq!(pool.acts(), [""; 0]);
        // Said in the configuration of this host alone, it is the same configuration.
        pool.configure("pool = \"tank\"", "pool = \"tank\"\ndegraded = true");
        pool.listing("import-degraded.txt");
        takeover().any_stdout().goes_well().run();
        assert_eq!(pool.holders(), [2]);
    });
}

#[test]
fn a_label_that_cannot_be_read_is_unknown_and_unknown_is_not_free() {
    with(|bed, pool| {
        pool.release(1).any_stdout().goes_well().run();
        let takeover = || pool.takeover(2).arg("--record").arg(pool.record(1)).status(4);
        for (trouble, said) in
            [("zdb fails", "Input/output error"), ("no label", "no device of tank shows its label")]
        {
            bed.write("trouble", trouble);
            takeover().stderr_contains(said).run();
            pool.release(2).status(4).stderr_contains(said).run();
        }
        bed.write("trouble", "");
        bed.write("label", "2 40 15466497 ec1\n");
        takeover().stderr_contains("state 2").any_stderr().run();
        assert_eq!(pool.holders(), [0; 0]);
    });
}

#[test]
fn the_pool_that_is_meant_is_told_by_its_guid_also_where_one_is_imported() {
    with(|bed, pool| {
        pool.release(1).any_stdout().goes_well().run();
        let record = std::fs::read_to_string(pool.record(1)).unwrap();
        // Another pool named tank is imported on the other host.
        bed.write("guid", "7\n");
        bed.write("imported.ec2", "ONLINE\n");
        pool.takeover(2)
            .args(["--record", "-"])
            .stdin(&record)
            .status(4)
            .stderr_contains("this host holds zfs:7")
            .run();
        pool.configure("pool = \"tank\"", &format!("pool = \"tank\"\nguid = \"{GUID}\""));
        pool.release(2).status(4).stderr_contains("another pool named tank is imported here (guid 7").run();
        pool.acts();
        assert_eq!(pool.holders(), [2]);
    });
}

/// Scenario 16, as it is found.
#[test]
fn a_suspended_pool_means_that_the_host_must_be_powered_off() {
    with(|bed, pool| {
        bed.write("imported.ec1", "SUSPENDED\n");
        let ended =
            pool.release(1).arg("--json").status(5).any_stdout().stderr_contains("must be powered off").run();
        let record = ended.records().pop().unwrap();
        assert_eq!(
            (record["format"].as_str(), record["safe"].as_bool()),
            (Some("orderly-release/1"), Some(false))
        );
        assert_eq!(pool.acts(), [""; 0]);
        pool.takeover(1).args(["--peer-down", "ec2"]).status(4).stderr_contains("must be powered off").run();
        pool.release(1).arg("--status").stdout_contains("must be powered off").any_stdout().run();
    });
}

/// Scenario 16, as it comes.
#[test]
fn an_export_that_does_not_end_is_not_safe_for_anybody() {
    with(|bed, pool| {
        bed.write("trouble", "export hangs");
        pool.release(1)
            .args(["--timeout", "2s"])
            .status(5)
            .any_stdout()
            .stderr_contains("timed out")
            .stderr_contains("must be powered off before a takeover")
            .run();
        pool.takeover(2).arg("--record").arg(pool.record(1)).status(4).stderr_contains("NOT safe").run();
    });
}

/// Scenario 17.
#[test]
fn an_export_that_says_done_and_is_not_is_held() {
    with(|bed, pool| {
        bed.write("trouble", "export lies");
        pool.release(1).status(1).any_stdout().stderr_contains("this host still holds it").run();
        assert!(bed.path("ec1.app").exists(), "what ran runs again");
        assert_eq!(pool.holders(), [1]);
    });
}

#[test]
fn a_busy_pool_is_given_back_with_every_export_that_was_there() {
    with(|bed, pool| {
        bed.write("trouble", "export busy");
        pool.release(1)
            .status(1)
            .any_stdout()
            .stderr_contains("pool or dataset is busy")
            .stderr_contains("other:[ROOT]/home was exported no more, and is exported again")
            .run();
        let mut table: Vec<String> = bed.read("etab.ec1").lines().map(str::to_owned).collect();
        table.sort();
        let root = bed.root().display();
        assert_eq!(
            table,
            [format!("{root}/home  other(ro,fsid=1)"), format!("{root}/tank/share  ec9(rw,fsid=9)")]
        );
        assert!(bed.path("ec1.app").exists());
    });
}

/// Seen in the lab: the export of a pool makes `exportfs` forget what stands in no file.
#[test]
fn exports_of_other_paths_survive_the_export_of_the_pool() {
    with(|bed, pool| {
        pool.release(1)
            .any_stdout()
            .stderr_contains("/home was exported no more, and is exported again")
            .run();
        assert_eq!(bed.read("etab.ec1"), format!("{}/home  other(ro,fsid=1)\n", bed.root().display()));
    });
}

/// Scenario 5.
#[test]
fn what_would_import_the_pool_at_boot_refuses_the_release() {
    with(|bed, pool| {
        let refused = |said: &str| pool.release(1).status(4).stderr_contains(said).run();
        bed.write("cachefile", "-\n");
        refused(
            "tank is remembered in /etc/zfs/zpool.cache, from which it is imported at boot; zpool set cachefile=none",
        );
        bed.write("cachefile", "none\n");
        bed.write("etc.ec1/zfs/zpool.cache", b"name\0\0\0\0tank\0\0\0");
        refused("/etc/zfs/zpool.cache names tank");
        bed.write("etc.ec1/zfs/zpool.cache", "");
        bed.write("etc.ec1/systemd/system/zfs-import.target.wants/zfs-import-scan.service", "");
        refused(
            "zfs-import-scan.service, wanted by zfs-import.target.wants, imports every pool it finds at boot",
        );
        std::fs::remove_file(
            bed.path("etc.ec1/systemd/system/zfs-import.target.wants/zfs-import-scan.service"),
        )
        .unwrap();
        bed.write("etc.ec1/fstab", "tanker/a /a zfs defaults 0 0\ntank/xvm /srv/xvm zfs defaults 0 0\n");
        let ended = refused("/etc/fstab:2: /srv/xvm is mounted at boot");
        assert!(!ended.stderr.contains("fstab:1"), "{}", ended.stderr);
        assert_eq!(pool.acts(), [""; 0]);
        pool.release(1).args(["--skip", "boot"]).any_stdout().goes_well().run();
    });
}

#[test]
fn a_host_that_lost_its_power_holds_its_pool_still_and_needs_no_force() {
    with(|bed, pool| {
        pool.cut(1);
        pool.takeover(1).any_stdout().goes_well().run();
        assert_eq!((pool.acts(), pool.holders()), (vec![format!("ec1 {IMPORT}")], vec![1]));
        // Or it lets go: what was never exported is not free.
        pool.cut(1);
        pool.takeover(2).status(4).any_stderr().run();
        pool.release(1).any_stdout().goes_well().run();
        assert_eq!(pool.acts(), [format!("ec1 {IMPORT}"), "ec1 zpool export tank".to_owned()]);
        assert!(bed.read("label").starts_with("1 "));
        pool.takeover(2).arg("--record").arg(pool.record(1)).any_stdout().goes_well().run();
        assert_eq!(pool.holders(), [2]);
    });
}

#[test]
fn an_import_that_says_done_and_is_not_lets_go_again() {
    with(|bed, pool| {
        pool.release(1).any_stdout().goes_well().run();
        bed.write("trouble", "import lies");
        pool.takeover(2)
            .arg("--record")
            .arg(pool.record(1))
            .status(1)
            .any_stdout()
            .stderr_contains("the pool is not imported")
            .stderr_contains("safe for the other host")
            .run();
        assert_eq!(pool.holders(), [0; 0]);
    });
}

#[test]
fn a_dry_run_on_a_suspended_pool_writes_no_record() {
    with(|bed, pool| {
        bed.write("imported.ec1", "SUSPENDED\n");
        pool.release(1).arg("-n").status(5).any_stdout().stderr_contains("must be powered off").run();
        assert!(!pool.record(1).exists(), "-n wrote {}", pool.record(1).display());
    });
}
