//! The asset kind `lvm` against scripts that print what lvm2 2.03.16 printed in the lab (two guests with
//! shared disks; `tests/lab/lvm.sh` runs the same there for real). This machine may have no
//! device-mapper: the group's one volume is a loop device, and each host has a `/sys/block` of its own
//! in which the scripts say what is active.

use crate::pair::{Asset, Pair, possible};
use bed::loopfs::Disk;
use bed::{Bed, Need, real};

/// What the scripts share: the group's label on the disk, and how it is printed.
const GROUP: &str = r#"
value() { cat "$ORDERLY_BED/vg.$1" 2>/dev/null; }
keep() { echo "$2" >"$ORDERLY_BED/vg.$1"; }
self=$(uname -n)
uuid=ZZe68b-qY4v-t7or-g3Wc-dMHz-oV6X-EbUlBs
changed() { keep seqno $(($(value seqno) + 1)); }
foreign() {
  case "$(value systemid)" in ""|"$self") return 1;; esac
  echo "  Cannot access VG shared with system ID $(value systemid) with local system ID $self." >&2
}
is_exported() { [ "$(value exported)" = exported ]; }
is_active() { [ -e /sys/block/dm-0 ]; }
"#;

const VGS: &str = r#"work() {
  row='{"vg_name":"shared", "vg_uuid":"'$uuid'", "vg_seqno":"'$(value seqno)'", "vg_systemid":"'$(value systemid)'", "vg_exported":"'$(value exported)'", "vg_missing_pv_count":"'$(value missing)'"}'
  case "$*" in *vg_autoactivation*) row='{"vg_autoactivation":"'$(value autoactivation)'"}';; esac
  [ ! -e "$ORDERLY_BED/vg.twice" ] || row="$row,
                  {\"vg_name\":\"shared\", \"vg_uuid\":\"kQ2SLb-0000-t7or-g3Wc-dMHz-oV6X-000000\", \"vg_seqno\":\"9\", \"vg_systemid\":\"\", \"vg_exported\":\"\", \"vg_missing_pv_count\":\"0\"}"
  [ ! -e "$ORDERLY_BED/vg.unseen" ] || row=
  printf '  {\n      "report": [\n          {\n              "vg": [\n                  %s\n              ]\n          }\n      ]\n  }\n' "$row"
}"#;

const PVS: &str = r#"work() {
  printf '  {\n      "report": [\n          {\n              "pv": [\n                  %s\n              ]\n          }\n      ]\n  }\n' \
    '{"pv_name":"[unknown]", "pv_uuid":"gVJjxF-mSsd-F2rV-eKZd-yqeu-qgba-ceRrCF"}'
}"#;

const LVM: &str =
    r#"work() { echo "  system ID: $(cat "$ORDERLY_BED/systemid.$self" 2>/dev/null || echo "$self")"; }"#;

const VGCHANGE: &str = r#"work() {
  case "$*" in
    "--activate y shared") foreign && return 5
      is_exported && { echo "  Volume group shared is exported" >&2; return 5; }
      is_active || { /bin/mkdir -p /sys/block/dm-0/dm; echo shared-data >/sys/block/dm-0/dm/name
        echo LVM-ZZe68bqY4vt7org3WcdMHzoV6XEbUlBsMsmwcTapMCArTm7v4neNfaA7GAUWufSy >/sys/block/dm-0/dm/uuid
        echo "7:$(value loop)" >/sys/block/dm-0/dev; /bin/ln -s "../loop$(value loop)" /dev/mapper/shared-data; }
      echo '  1 logical volume(s) in volume group "shared" now active';;
    "--activate n shared") foreign && return 5
      if grep -q " 7:$(value loop) " /proc/self/mountinfo; then
        echo "  Logical volume shared/data contains a filesystem in use." >&2
        echo "  Can't deactivate volume group \"shared\" with 1 open logical volume(s)" >&2; return 5
      fi
      rm -rf /sys/block/dm-0; rm -f /dev/mapper/shared-data
      echo '  0 logical volume(s) in volume group "shared" now active';;
    "--yes --config local/extra_system_ids=[\"$(value systemid)\"] --systemid $self shared")
      keep systemid "$self"; changed; echo '  Volume group "shared" successfully changed';;
    *--systemid*) foreign; return 5;;
    *) echo "vgchange $*: not played" >&2; return 3;;
  esac
}"#;

const VGIMPORT: &str = r#"work() {
  foreign && return 5
  is_exported || { echo '  Volume group "shared" is not exported' >&2; return 5; }
  keep exported ""; changed
  # Of two that import at the same moment the later one's name stays.
  keep systemid "$(cat "$ORDERLY_BED/vg.winner" 2>/dev/null || echo "$self")"
  echo '  Volume group "shared" successfully imported'
}"#;

const VGEXPORT: &str = r#"work() {
  foreign && return 5
  is_exported && { echo "  Volume group shared is exported" >&2; return 5; }
  is_active && { echo '  Volume group "shared" has active logical volumes' >&2; return 5; }
  keep exported exported; keep systemid ""; changed
  echo '  Volume group "shared" successfully exported'
}"#;

/// Writes the scripts; `trouble` makes them fail as told.
pub(crate) fn write_tools(bed: &Bed, trouble: &str) {
    let tools = [
        ("vgs", VGS),
        ("pvs", PVS),
        ("lvm", LVM),
        ("vgchange", VGCHANGE),
        ("vgimport", VGIMPORT),
        ("vgexport", VGEXPORT),
    ];
    for (name, work) in tools {
        bed.script(format!("fakes/{name}"), &format!("{GROUP}\n{work}\n{trouble}"));
    }
    // The settling of an import is waited for in earnest nowhere but in the lab.
    bed.script("fakes/sleep", "case $1 in 2) ;; *) exec /bin/sleep \"$@\";; esac");
    for (name, text) in
        [("seqno", "3"), ("systemid", ""), ("exported", "exported"), ("missing", "0"), ("autoactivation", "")]
    {
        bed.write(format!("vg.{name}"), format!("{text}\n"));
    }
}

/// Returns the line that gives a host devices (a script that redirects made a file of `/dev/null` before) and a list of active volumes of its own.
pub(crate) fn prepare(disk: &Disk) -> String {
    let name = disk.device().file_name().unwrap().to_str().unwrap();
    let minor = name.trim_start_matches("loop");
    format!(
        "mount -t tmpfs tmpfs /dev && mount -t tmpfs tmpfs /sys/block && /bin/mkdir /dev/mapper && \
         rm -f /dev/null && /bin/mknod /dev/null c 1 3 && /bin/mknod /dev/{name} b 7 {minor} && echo {minor} >vg.loop"
    )
}

fn label(bed: &Bed) -> String {
    let read = |name: &str| bed.read(format!("vg.{name}")).trim().to_owned();
    format!("{} {} {}", read("systemid"), read("exported"), read("seqno"))
}

#[test]
fn a_group_goes_there_and_back_and_every_letting_go_has_a_mark_of_its_own() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Lvm(&disk));
    let mut old: Option<String> = None;
    for (turn, (from, to)) in [(1, 2), (2, 1), (1, 2)].into_iter().enumerate() {
        pair.shell(from, &format!("echo {turn} >at/turn")).run();
        let held = label(&bed);
        assert!(held.starts_with(&format!("ec{from}  ")), "{held}");
        pair.release(from).stdout_contains("released: shared is safe to take over").goes_well().run();
        assert!(label(&bed).starts_with(" exported "), "{}", label(&bed));
        let record = std::fs::read_to_string(pair.record(from)).unwrap();
        assert!(record.contains("lvm:ZZe68b-qY4v-t7or-g3Wc-dMHz-oV6X-EbUlBs"), "{record}");
        if let Some(old) = old.replace(record.clone()) {
            let take = pair.takeover(to).args(["--record", "-"]).stdin(old);
            take.status(4).stderr_contains("held again after its release").run();
        }
        pair.takeover(to).args(["--record", "-"]).stdin(&record).any_stdout().goes_well().run();
        assert_eq!(pair.holders(), [to]);
        pair.shell(to, "cat at/turn").stdout(format!("{turn}\n")).run();
        assert!(label(&bed).starts_with(&format!("ec{to}  ")), "{}", label(&bed));
    }
    // What the peer holds is elsewhere, whatever record is shown.
    pair.forget();
    pair.release(1).status(4).stderr_contains("shared belongs to ec2").run();
    pair.way_back(1).status(4).any_stderr().run();
    assert!(pair.acts().is_empty(), "{:?}", pair.acts());
}

/// Failure scenario 2: the label names the host that died; only with proof its name is replaced.
#[test]
fn the_name_of_a_dead_host_is_replaced_only_with_proof() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Lvm(&disk));
    let died = "umount loop; umount at; rm -rf /sys/block/dm-0; rm -f /dev/mapper/shared-data; svc proxy stop; \
                svc ec stop; ip address del 192.0.2.10/32 dev lo";
    pair.shell(1, died).run();
    pair.forget();
    let held = label(&bed);
    pair.takeover(2).status(4).stderr_contains("--peer-down ec1").run();
    bed.write("answers.192.0.2.1", "");
    pair.takeover(2).args(["--peer-down", "ec1"]).status(4).stderr_contains("is not down").run();
    std::fs::remove_file(bed.path("answers.192.0.2.1")).unwrap();
    let plan = pair.takeover(2).args(["--peer-down", "ec1", "-n"]).any_stdout().any_stderr().run().stdout;
    assert!(plan.contains("--systemid ec2"), "{plan}");
    assert_eq!((label(&bed), pair.acts().is_empty()), (held, true), "nothing was touched");
    pair.takeover(2).args(["--peer-down", "ec1"]).any_stdout().goes_well().run();
    assert!(label(&bed).starts_with("ec2  "), "{}", label(&bed));
    // The repaired host finds it to be the other's, and cannot activate it.
    pair.release(1).status(4).stderr_contains("belongs to ec2").run();
    pair.shell(1, "vgchange --activate y shared").status(5).stderr_contains("Cannot access VG shared").run();
}

#[test]
fn a_name_that_is_neither_host_is_nobodys_to_replace() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Lvm(&disk));
    pair.released(1);
    bed.write("vg.exported", "\n");
    bed.write("vg.systemid", "ec9\n");
    pair.forget();
    let said = "shared belongs to ec9, not to ec1";
    pair.takeover(2).args(["--peer-down", "ec1"]).status(4).stderr_contains(said).run();
    bed.write("vg.systemid", "\n");
    pair.takeover(2).args(["--peer-down", "ec1"]).status(4).stderr_contains("belongs to nobody").run();
    assert!(pair.acts().is_empty(), "{:?}", pair.acts());
}

/// Failure scenario 1: both imported, and the other's name stayed.
#[test]
fn who_loses_the_race_for_the_label_activates_nothing() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Lvm(&disk));
    pair.released(1);
    pair.forget();
    bed.write("vg.winner", "ec1\n");
    let record = pair.record(1);
    let ended = pair.takeover(2).arg("--record").arg(record).status(1).any_stdout().any_stderr().run();
    assert!(ended.stderr.contains("ec1 took shared at the same moment"), "{}", ended.stderr);
    assert_eq!(pair.acts(), ["ec2 vgimport shared"]);
}

/// Failure scenario 7: missing devices and a second group of the name are named.
#[test]
fn missing_devices_and_a_second_group_of_the_name_are_named() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Lvm(&disk));
    pair.released(1);
    pair.forget();
    let record = pair.record(1);
    let take = || pair.takeover(2).arg("--record").arg(&record).status(4);
    bed.write("vg.missing", "1\n");
    take().stderr_contains("gVJjxF-mSsd-F2rV-eKZd-yqeu-qgba-ceRrCF").run();
    bed.write("vg.missing", "0\n");
    bed.write("vg.twice", "");
    take().stderr_contains("kQ2SLb-0000-t7or-g3Wc-dMHz-oV6X-000000").stderr_contains("vgrename").run();
    std::fs::remove_file(bed.path("vg.twice")).unwrap();
    bed.write("vg.unseen", "");
    take().stderr_contains("no volume group shared is seen here").run();
    assert!(pair.acts().is_empty(), "{:?}", pair.acts());
}

#[test]
fn without_a_system_id_of_its_own_name_a_host_neither_takes_nor_releases() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Lvm(&disk));
    bed.write("systemid.ec1", "\n");
    pair.release(1).status(4).stderr_contains("system_id_source = \"uname\"").run();
    bed.write("systemid.ec1", "machine-1\n");
    pair.release(1).status(4).stderr_contains("this host is machine-1 to LVM").run();
    assert!(pair.acts().is_empty(), "{:?}", pair.acts());
}

/// Failure scenario 5: a group that is activated at boot comes back with the repaired host.
#[test]
fn a_group_that_is_activated_at_boot_is_not_released() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Lvm(&disk));
    bed.write("vg.autoactivation", "enabled\n");
    pair.release(1).status(4).stderr_contains("vgchange --setautoactivation n shared").run();
    pair.release(1).args(["--skip", "boot"]).any_stdout().goes_well().run();
}

/// Devices that answer no more: what the kernel has active is held here, whatever vgs says or not.
#[test]
fn what_is_active_is_held_also_when_vgs_hangs() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Lvm(&disk));
    bed.script("fakes/vgs", "exec /bin/sleep 1000");
    let limit = ["--timeout", "1s"];
    pair.takeover(2).args(limit).args(["--peer-down", "ec1"]).status(4).stderr_contains("timed out").run();
    let ended = pair.release(1).args(limit).args(["--status", "--json"]).any_stdout().run().json();
    assert_eq!(ended["state"].as_str(), Some("held"));
    pair.release(1).args(limit).status(4).stderr_contains("timed out").run();
    assert_eq!(pair.holders(), [1]);
}

#[test]
fn whatever_fails_with_a_group_the_world_is_as_before_or_a_person_is_called() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Lvm(&disk));
    let before = pair.world(1);
    for told in ["fail 7", "fail 8", "fail 9"] {
        pair.trouble(told);
        let ended = pair.release(1).status(1).any_stdout().any_stderr().run();
        assert!(ended.stderr.contains("still held and running here"), "{told}: {}", ended.stderr);
        pair.forget();
        assert_eq!(pair.world(1), before, "{told}");
        assert!(label(&bed).starts_with("ec1  "), "{told}: {}", label(&bed));
    }
    pair.released(1);
    let after = pair.world(2);
    for told in ["fail 1", "fail-after 1", "fail 2", "fail-after 2", "fail 3", "fail 4"] {
        pair.trouble(told);
        let newest = [2, 1].map(|host| pair.record(host)).into_iter().find(|path| path.exists());
        let take = pair.takeover(2).arg("--record").arg(newest.unwrap());
        let ended = take.any_status().any_stdout().any_stderr().run();
        pair.forget();
        if ended.status == 0 {
            pair.released(2);
            continue;
        }
        assert_eq!(ended.status, 1, "{told}: {}", ended.stderr);
        assert!(ended.stderr.contains("safe for the other host"), "{told}: {}", ended.stderr);
        assert_eq!(pair.world(2), after, "{told}");
        assert!(label(&bed).starts_with(" exported "), "{told}: {}", label(&bed));
    }
}

/// What was held and mounted nowhere was not looked at: it was mounted read-only, or over what was at its place, and
/// then taken down.
#[test]
fn a_held_group_that_is_not_mounted_yet_is_looked_at_like_one_that_is_free() {
    if !possible() || !real::require(&[Need::Program("blockdev")]) {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Lvm(&disk));
    let said = bed.read("fakes/pvs").replace("[unknown]", &disk.device().display().to_string());
    bed.script("fakes/pvs", &said);
    pair.shell(1, "umount loop; umount at; svc proxy stop; svc ec stop; ip address del 192.0.2.10/32 dev lo")
        .run();
    pair.shell(1, "exportfs -u ec9:$ORDERLY_BED/at/share").run();
    pair.forget();
    disk.protect();
    for args in [&["-n"][..], &[]] {
        pair.takeover(1).args(args).status(4).stderr_contains("is write-protected").run();
    }
    disk.unprotect();
    bed.write("at/forgotten", "");
    for args in [&["-n"][..], &[]] {
        pair.takeover(1).args(args).status(4).stderr_contains("/at is not empty").run();
    }
    assert!(pair.acts().is_empty(), "{:?}", pair.acts());
    std::fs::remove_file(bed.path("at/forgotten")).unwrap();
    pair.takeover(1).any_stdout().goes_well().run();
    assert_eq!(pair.holders(), [1]);
}

/// A host that loses its power between the import and the mount owns the group, and has noted no take of it; the
/// commands are scripts here.
#[test]
fn a_host_that_loses_power_between_import_and_mount_has_the_group_back() {
    if !possible() {
        return;
    }
    // Killed before and after the import, and after the activation.
    for told in ["after 1", "before 2", "after 2"] {
        let bed = Bed::new();
        let disk = Disk::ext4(&bed, 16);
        let pair = Pair::new(&bed, &Asset::Lvm(&disk));
        pair.shell(1, "echo newest >at/file").run();
        pair.released(1);
        let record = pair.record(1);
        pair.trouble(told);
        let killed =
            pair.takeover(2).arg("--record").arg(&record).any_status().any_stdout().any_stderr().run();
        assert_eq!(killed.status, 128 + 9, "{told}: {}", killed.stderr);
        pair.forget();
        pair.shell(2, "rm -rf /sys/block/dm-0; rm -f /dev/mapper/shared-data").run();
        bed.write("boot_id.ec2", "second\n");
        assert!(label(&bed).starts_with("ec2  "), "{told}: {}", label(&bed));
        // The other host cannot have it meanwhile, by whatever record.
        pair.way_back(1).status(4).any_stdout().any_stderr().run();
        let back = pair.takeover(2).arg("--record").arg(&record).any_status().any_stdout().any_stderr().run();
        assert_eq!((back.status, pair.holders()), (0, vec![2]), "{told}: {}{}", back.stdout, back.stderr);
        pair.shell(2, "cat at/file").stdout("newest\n").run();
    }
}
