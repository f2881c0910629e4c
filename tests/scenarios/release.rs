//! ha-release on real mounts: the order, the proof, the refusals.

use crate::pair::{Asset, Pair, possible, with_backup};
use bed::Bed;
use bed::loopfs::Disk;

#[test]
fn a_release_goes_in_the_order_of_the_procedure_and_leaves_nothing() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    let ended = pair.released(1);
    let device = disk.device().display().to_string();
    let root = bed.root().display().to_string();
    assert_eq!(
        ended.stdout.replace(&root, "").replace(&device, "DEVICE"),
        "stop proxy: done\nstop ec: done\nremove 192.0.2.10/32: done\nunmount /loop: done\nunshare /at/share: done\n\
         release DEVICE: done\nproof: done\nreleased: DEVICE is safe to take over\n"
    );
    assert_eq!(
        pair.acts(),
        [
            "ec1 svc proxy stop",
            "ec1 svc ec stop",
            "ec1 ip address del 192.0.2.10/32 dev lo",
            "ec1 umount /loop",
            "ec1 exportfs -u ec9:/at/share",
            "ec1 exportfs -f",
            "ec1 umount /at"
        ]
    );
    assert_eq!(pair.world(1), "proxy offline\nec offline\n/home  other(ro)\n", "other exports stay");
    // Where it is free already, a release is done.
    pair.released(1);
}

#[test]
fn a_busy_asset_is_given_back_as_it_was_and_its_holder_is_named() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    let before = pair.world(1);
    pair.shell(1, "sleep 1000 9>at/held.open </dev/null >/dev/null 2>&1 & echo $! >holder.pid").run();
    let ended =
        pair.release(1).status(1).any_stdout().stderr_contains("held.open").stderr_contains("NOT safe").run();
    assert!(ended.stderr.contains("(sleep, user root)"), "{}", ended.stderr);
    assert_eq!(pair.world(1), before);
    pair.takeover(2).args(["--record"]).arg(pair.record(1)).status(4).stderr_contains("NOT safe").run();
    pair.shell(1, "read -r pid <holder.pid; kill $pid; while [ -e /proc/$pid/fd/9 ]; do :; done").run();
    pair.released(1);
}

#[test]
fn a_dry_run_and_a_status_change_nothing() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    let before = pair.world(1);
    pair.release(1).arg("-n").stdout_contains("umount").goes_well().run();
    pair.release(1).arg("--status").stdout_contains("held on ec1").run();
    pair.release(1).arg("--status").stdout_contains("next: ha-release --json | ssh ec2").run();
    let status = pair.release(1).args(["--status", "--json"]).any_stdout().run().json();
    assert_eq!(
        (status["format"].as_str(), status["state"].as_str()),
        (Some("orderly-status/1"), Some("held"))
    );
    assert_eq!((pair.world(1), pair.acts().is_empty(), pair.state(1).exists()), (before, true, false));
}

#[test]
fn where_the_asset_is_elsewhere_a_release_is_refused() {
    if !possible() {
        return;
    }
    for command in [false, true] {
        let bed = Bed::new();
        let pair = if command { Pair::new(&bed, &Asset::Command) } else { Pair::new(&bed, &Asset::Bind) };
        pair.released(1);
        pair.taken(2);
        pair.release(1).status(4).stderr_contains("the asset is not here").run();
        pair.released(2);
    }
}

#[test]
fn what_would_take_the_asset_again_at_boot_refuses() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    bed.write("fstab", format!("/dev/sdz {}/at ext4 defaults 0 2\n", bed.root().display()));
    pair.shell(1, "mount --bind fstab /etc/fstab").run();
    pair.forget();
    let ended = pair.release(1).status(4).any_stderr().run();
    assert!(ended.stderr.contains("/etc/fstab:1") && ended.stderr.contains("noauto"), "{}", ended.stderr);
    assert!(pair.acts().is_empty());
    pair.release(1).args(["--skip", "boot"]).any_stdout().goes_well().run();
}

/// Only the very words of the configuration were looked for, so another name of the device passed.
#[test]
fn a_device_that_is_mounted_elsewhere_at_boot_under_another_name_refuses() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    let name = disk.device().file_name().unwrap().to_str().unwrap();
    bed.write("fstab", format!("/dev/../dev/{name} /mnt/old ext4 defaults 0 2\n"));
    pair.shell(1, "mount --bind fstab /etc/fstab").run();
    pair.forget();
    pair.release(1).status(4).stderr_contains("/etc/fstab:1: /mnt/old is mounted at boot").run();
    bed.write("fstab", format!("/dev/../dev/{name} /mnt/old ext4 noauto 0 2\n/dev/null /mnt/b ext4\n"));
    pair.released(1);
}

/// Only units named for the configured place were looked for, so one that mounts the very device
/// elsewhere passed, and so did a line of fstab that a service asks for.
#[test]
fn a_unit_that_mounts_the_device_elsewhere_at_boot_refuses() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    bed.tool("ln");
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    let name = disk.device().file_name().unwrap().to_str().unwrap();
    let units = "/run/systemd/system";
    let make = |line: &str| pair.shell(1, line).run();
    make(&format!("mount -t tmpfs tmpfs /run && /bin/mkdir -p {units}/multi-user.target.wants"));
    make(&format!(
        "printf '[Mount]\\nWhat=/dev/../dev/{name}\\nWhere=/data\\n' >{units}/data.mount && \
         ln -s ../data.mount {units}/multi-user.target.wants/data.mount"
    ));
    pair.forget();
    pair.release(1)
        .status(4)
        .stderr_contains("data.mount is wanted by multi-user.target.wants; systemctl")
        .run();
    make(&format!("rm {units}/data.mount && ln -s /dev/null {units}/data.mount"));
    pair.release(1).arg("-n").any_stdout().goes_well().run();
    bed.write("fstab", format!("/dev/{name} {}/at ext4 noauto 0 2\n", bed.root().display()));
    make(&format!(
        "mount --bind fstab /etc/fstab && rm {units}/*/data.mount && \
         printf '[Unit]\\nRequiresMountsFor={}/at/db\\n' >{units}/app.service && ln -s x {units}/multi-user.target.wants/app.service",
        bed.root().display()
    ));
    pair.release(1)
        .status(4)
        .stderr_contains("whatever noauto says")
        .stderr_contains("disable app.service")
        .run();
    make(&format!("rm {units}/multi-user.target.wants/app.service"));
    pair.released(1);
}

/// All services were stopped, and started again, before it was said.
#[test]
fn an_asset_that_cannot_be_released_refuses_before_anything_is_stopped() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Command);
    let text = bed.read("etc/ha.toml");
    bed.config("ha.toml", text.replace("release = [\"myasset\", \"release\"]\n", ""));
    pair.release(1).status(4).stderr_contains("only a powered-off host lets go of it").run();
    assert!(pair.acts().is_empty(), "{:?}", pair.acts());
    // What can be taken down without it still can.
    pair.release(1).args(["--skip", "asset,proof"]).status(5).any_stdout().stderr_contains("NOT safe").run();
    let world = pair.world(1);
    assert!(world.contains("mount at ") && world.contains("proxy offline"), "{world}");
}

#[test]
fn a_release_without_its_proof_is_never_safe() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    pair.release(1).args(["--skip", "proof"]).status(5).any_stdout().stderr_contains("NOT safe").run();
    pair.takeover(2).arg("--record").arg(pair.record(1)).status(4).any_stderr().run();
}

#[test]
fn a_mount_that_survives_in_another_namespace_is_named_and_not_released() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    bed.tool("unshare");
    let pair = Pair::new(&bed, &Asset::Bind);
    let before = pair.world(1);
    pair.shell(
        1,
        "unshare -m --propagation private sleep 1000 </dev/null >/dev/null 2>&1 & pid=$!; \
                   while [ \"$(cat /proc/$pid/comm)\" != sleep ]; do :; done",
    )
    .run();
    let hidden = "in the mount namespace of process";
    pair.release(1).status(4).stderr_contains(hidden).run();
    // Known and gone on with, it is met once more by the release itself.
    pair.release(1).arg("--kill").status(1).any_stdout().stderr_contains(hidden).run();
    assert_eq!(pair.world(1), before);
}

#[test]
fn a_backup_that_fails_refuses_unless_the_newest_snapshot_is_young() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    with_backup(&pair);
    // habackup runs only while the services run.
    pair.shell(1, "svc proxy stop").run();
    pair.forget();
    let before = pair.world(1);
    pair.release(1).status(4).stderr_contains("--no-backup").run();
    assert_eq!((pair.world(1), pair.acts().is_empty()), (before, true));
    pair.shell(1, "svc proxy start").run();
    pair.program(1, "habackup").stdout("Backup complete.\n").goes_well().run();
    pair.shell(1, "svc proxy stop").run();
    pair.release(1).any_stdout().stderr_contains("young enough").run();
    assert!(pair.world(1).contains("proxy offline"));
}

/// A bind mount made by hand on the peer, and no word of Orderly on it yet: it looked free.
#[test]
fn what_the_peer_holds_and_never_released_is_not_free_here() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    for asset in [Asset::Bind, Asset::Ext4(&disk)] {
        let bed = Bed::new();
        let pair = Pair::new(&bed, &asset);
        pair.release(2).status(4).stderr_contains("the asset is not here").run();
        pair.takeover(2).status(4).stderr_contains("nothing proves").run();
        assert!(!pair.record(2).exists());
    }
}

/// It was found out when the asset was released, and nobody had the proof then.
#[test]
fn a_record_that_cannot_be_written_refuses_before_anything_changes() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    let before = pair.world(1);
    for (path, why) in [
        ("nowhere/record.json", "No such file or directory"),
        ("home", "it is a directory"),
        ("at/record.json", "lies on the asset"),
        ("loop/record.json", "lies on the asset"),
    ] {
        pair.release(1).args(["--record", path]).status(4).stderr_contains(why).run();
        assert_eq!((pair.world(1), pair.acts().is_empty()), (before.clone(), true), "{path}");
    }
    pair.release(1).args(["--record", "record.json"]).any_stdout().goes_well().run();
    pair.takeover(2).args(["--record", "record.json"]).any_stdout().goes_well().run();
}

/// `--record /dev/null` put a file in the place of the device, and a link lost where it led.
#[test]
fn a_record_replaces_a_regular_file_and_nothing_else() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    let before = pair.world(1);
    bed.write("real", "old");
    std::os::unix::fs::symlink(bed.path("real"), bed.path("link")).unwrap();
    pair.shell(1, "/usr/bin/mkfifo pipe").run();
    for (name, status, why) in
        [("link", 4, "it is a link"), ("pipe", 4, "no regular file"), ("-", 2, "--json")]
    {
        pair.release(1).args(["--record", name]).status(status).any_stdout().stderr_contains(why).run();
    }
    assert_eq!((pair.world(1), bed.read("real").as_str()), (before, "old"));
}
