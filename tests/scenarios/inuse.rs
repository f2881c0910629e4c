//! What uses the asset and no service owns is found before any service is stopped; each for real.

use crate::pair::{Asset, Pair, possible};
use bed::loopfs::Disk;
use bed::{Bed, Need, real};

/// How something comes to use the asset, what is said of it, and how it goes again.
const USES: [(&str, &str, &str, &str); 9] = [
    (
        "an overlay on top of a directory of the asset",
        "/bin/mkdir -p up work merged && mount -t overlay o -o lowerdir=$PWD/at/opt,upperdir=$PWD/up,workdir=$PWD/work merged",
        "/at/opt as its lowerdir; umount ",
        "umount merged",
    ),
    (
        "an overlay that writes to the asset",
        "/bin/mkdir -p at/up at/work low merged && mount -t overlay o -o lowerdir=$PWD/low,upperdir=$PWD/at/up,workdir=$PWD/at/work merged",
        "/at/up as its upperdir; umount ",
        "umount merged",
    ),
    ("a foreign mount over the mount point", "mount -t tmpfs t at", "something is mounted at ", "umount at"),
    (
        "a forgotten bind mount",
        "/bin/mkdir -p second && mount --bind at/opt second",
        "/second; umount it",
        "umount second",
    ),
    (
        "a loop device",
        "/bin/truncate -s 1M at/image && losetup -f --show at/image >device",
        "losetup -d /dev/loop",
        "read -r device <device; losetup -d $device",
    ),
    (
        "a mount namespace of nobody's service",
        "unshare -m --propagation private sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >pid; \
         until grep -q sleep /proc/$!/comm; do :; done",
        "in the mount namespace of process ",
        "read -r pid <pid; kill $pid; while [ -e /proc/$pid/cwd ]; do :; done",
    ),
    (
        "an overlay in a mount namespace of its own",
        "/bin/mkdir -p apart; unshare -m --propagation private /bin/sh -c \
         'umount loop; mount -t overlay o -o lowerdir=at/opt:etc apart; exec sleep 1000' </dev/null >/dev/null 2>&1 & \
         echo $! >pid; until grep -q sleep /proc/$!/comm; do :; done",
        "in the mount namespace of process ",
        "read -r pid <pid; kill $pid; while [ -e /proc/$pid/cwd ]; do :; done",
    ),
    (
        "a shell on a terminal",
        "script -qec 'cd at; echo $$ >../pid; exec sleep 1000' quiet </dev/null >/dev/null 2>&1 & \
         until [ -s pid ] && read -r pid <pid && grep -q sleep /proc/$pid/comm; do :; done",
        "on the terminal pts/",
        "read -r pid <pid; kill $pid; while [ -e /proc/$pid/cwd ]; do :; done; rm -f pid",
    ),
    (
        "a command in a session of sshd",
        "/bin/cp /bin/sh sshd; ./sshd -c '(cd at; exec sleep 1000) & echo $! >pid; wait' </dev/null >/dev/null 2>&1 & \
         until [ -s pid ] && read -r pid <pid && grep -q sleep /proc/$pid/comm; do :; done",
        "in a session of sshd",
        "read -r pid <pid; kill $pid; while [ -e /proc/$pid/cwd ]; do :; done; rm -f pid",
    ),
];

fn ready() -> bool {
    possible() && real::require(&[Need::Program("script"), Need::Program("unshare")])
}

/// `-n` said yes; the run stopped all services and failed at the unmount, or, with an overlay, after it.
#[test]
fn what_no_service_owns_refuses_before_any_service_is_stopped() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    bed.tools(&["unshare", "losetup", "script"]);
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    let before = pair.world(1);
    for (what, make, said, end) in USES {
        pair.shell(1, &format!("rm -f pid; {make}")).any_stdout().any_stderr().run();
        pair.forget();
        for dry in [&["-n"][..], &[]] {
            let ended = pair.release(1).args(dry).any_status().any_stdout().any_stderr().run();
            assert!(
                ended.status == 4 && ended.stderr.contains(said),
                "{what}: {} {}",
                ended.status,
                ended.stderr
            );
            assert!(ended.stderr.contains("use --kill"), "{what}: {}", ended.stderr);
        }
        assert!(pair.acts().is_empty(), "{what}: {:?}", pair.acts());
        pair.shell(1, end).any_stderr().run();
        assert_eq!(pair.world(1), before, "{what}");
    }
    pair.released(1);
}

/// The way out of such a refusal; a cluster manager, which must stop it, never meets it.
#[test]
fn who_logged_in_is_ended_when_told_to_and_stops_no_cluster_manager() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    bed.tools(&["script"]);
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    let (_, shell, ..) = USES[7];
    pair.shell(1, shell).run();
    let shown = pair.release(1).args(["-n", "--kill"]).any_stdout().any_stderr().run();
    assert!(shown.stdout.contains("end who uses it\n"), "{}", shown.stdout);
    // Nothing refuses it, and the unmount fails.
    let foreseen = pair.release(1).args(["--no-unwind", "-n"]).status(5).any_stdout().any_stderr().run();
    assert!(foreseen.stderr.contains("would end NOT safe to take over"), "{}", foreseen.stderr);
    let ended = pair.release(1).arg("--no-unwind").status(5).any_stdout().any_stderr().run();
    assert!(ended.stderr.contains("in use: process"), "{}", ended.stderr);
    let killed = pair.release(1).args(["--kill", "--new-plan"]).any_stdout().any_stderr().run();
    assert!(killed.stdout.contains("end who uses it: done"), "{}", killed.stdout);
}

/// A service that is given by commands may be whoever has no terminal: it is listed, and refuses nothing.
#[test]
fn a_process_whose_owner_nobody_knows_is_listed_only() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    pair.shell(1, "sleep 1000 9>at/held.open </dev/null >/dev/null 2>&1 & echo $! >pid").run();
    pair.release(1).arg("-n").any_stdout().stderr_contains("in use now: process").run();
    pair.shell(1, "read -r pid <pid; kill $pid; while [ -e /proc/$pid/cwd ]; do :; done").run();
    pair.released(1);
}
