//! What would take the asset again by itself: lines of fstab that systemd reads otherwise than util-linux, and
//! the automounter. Real files, units and triggers of a private host; nothing of them runs.

use crate::pair::{Asset, Pair, possible};
use bed::loopfs::Disk;
use bed::{Bed, Need, real};

/// A line that `mount -a` leaves out and systemd mounts was released as safe.
#[test]
fn a_line_of_fstab_that_only_systemd_would_mount_refuses() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    bed.write("fstab", "");
    pair.shell(1, "mount --bind fstab /etc/fstab").run();
    pair.forget();
    for options in ["noauto,auto", "noauto,auto=no"] {
        bed.write("fstab", format!("/dev/sdz {}/at ext4 {options} 0 2\n", bed.root().display()));
        let ended = pair.release(1).status(4).any_stderr().run();
        assert!(
            ended.stderr.contains("is mounted at boot whatever noauto says"),
            "{options}: {}",
            ended.stderr
        );
    }
    assert!(pair.acts().is_empty());
    bed.write("fstab", format!("/dev/sdz {}/at ext4 auto,noauto 0 2\n", bed.root().display()));
    pair.released(1);
}

/// The first look at the place mounted the asset again, on a host that had released it.
#[test]
fn an_automounter_at_or_above_a_place_refuses() {
    if !possible() || !real::require(&[Need::Program("mkfifo")]) {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    let root = bed.root().display().to_string();
    let etc = "/bin/mkdir etc.copy && /bin/cp -a /etc/passwd etc.copy/ && : >etc.copy/fstab && mount --bind etc.copy /etc";
    pair.shell(1, etc).run();
    pair.forget();
    let refused = |why: &str| {
        let ended = pair.release(1).status(4).any_stderr().run();
        assert!(
            ended.stderr.contains(why) && ended.stderr.contains("--skip boot"),
            "{why}: {}",
            ended.stderr
        );
        assert!(pair.acts().is_empty(), "{why}: {:?}", pair.acts());
    };
    // Only in a map, whose automounter does not run.
    bed.write("etc.copy/auto.master", "/- auto.direct\n");
    bed.write("etc.copy/auto.direct", format!("{root}/at -fstype=ext4 :/dev/sdz\n"));
    refused("/etc/auto.direct:1: the automounter mounts at");
    std::fs::create_dir(bed.path("etc.copy/auto.master.d")).unwrap();
    bed.write("etc.copy/auto.master", "+dir:/etc/auto.master.d\n");
    bed.write("etc.copy/auto.master.d/a.autofs", format!("{root} -hosts\n"));
    refused("/etc/auto.master.d/a.autofs:1: the automounter mounts at");
    // Elsewhere, and of this very disk.
    bed.write("etc.copy/auto.master.d/a.autofs", "/misc /etc/auto.misc\n");
    bed.write("etc.copy/auto.misc", format!("old -fstype=ext4 :{}\n", disk.device().display()));
    refused("/etc/auto.misc:1: the automounter mounts");
    bed.write("etc.copy/auto.misc", "old -fstype=ext4 :/dev/null\n");
    // A trigger that is there, under the loopback.
    let trigger = "umount loop && /usr/bin/mkfifo pipe && exec 7<>pipe && \
                   mount -t autofs -o fd=7,pgrp=$$,minproto=5,maxproto=5,direct autofs loop && mount --bind at/opt loop; \
                   /bin/sleep 1000 </dev/null >/dev/null 2>&1 &";
    pair.shell(1, trigger).run();
    pair.forget();
    refused("is under an automounter, which mounts at");
    pair.shell(1, "umount loop && umount loop && mount --bind at/opt loop").run();
    pair.released(1);
}
