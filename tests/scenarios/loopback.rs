//! Loopbacks: of the right folder, on the asset, and nothing else left where they belong.

use crate::pair::{Asset, Pair, possible};
use bed::Bed;
use bed::loopfs::Disk;

/// Any folder of the asset passed for the one that is configured: "already done", "with everything".
#[test]
fn a_loopback_of_another_folder_of_the_asset_is_told_and_never_passes_for_the_right_one() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    let wrong = "umount loop && /bin/mkdir at/other && touch at/other/wrong at/opt/right && mount --bind at/other loop";
    pair.shell(1, wrong).run();
    pair.release(1)
        .arg("--status")
        .stdout_contains("not everything that belongs to it is here")
        .stdout_contains("of another directory")
        .stdout_contains(
            "next: umount [ROOT]/loop, which shows another directory of the asset, then ha-takeover",
        )
        .run();
    pair.takeover(1)
        .status(4)
        .stderr_contains("another directory of the asset (/other) is mounted at ")
        .run();
    // What is taken back is what was found, not what should have been.
    pair.shell(1, "sleep 1000 9>at/held.open </dev/null >/dev/null 2>&1 & echo $! >holder.pid").run();
    pair.release(1).status(1).any_stdout().any_stderr().run();
    pair.shell(1, "ls loop").stdout("wrong\n").run();
    pair.shell(1, "read -r pid <holder.pid; kill $pid; while [ -e /proc/$pid/fd/9 ]; do :; done").run();
    pair.released(1);
    pair.taken_back(1);
    pair.shell(1, "ls loop").stdout("right\n").run();
}

/// Whoever owns a folder of the asset had any folder of the host mounted where a loopback belongs, and it
/// stayed there, "taken back".
#[test]
fn a_loopback_that_leads_off_the_asset_is_not_mounted_and_nothing_stays_of_it() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    bed.tool("ln");
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    pair.released(1);
    let before = pair.world(1);
    let plain = format!("mount {} at && mv at/opt at/real", disk.device().display());
    pair.shell(1, &format!("{plain} && ln -s ../home at/opt && umount at")).run();
    let take = || pair.takeover(1).args(["--peer-down", "ec2"]);
    take().status(1).any_stdout().stderr_contains("leads to ").stderr_contains("let go again").run();
    assert_eq!(pair.world(1), before);
    // A link that is put there between the look and the mount.
    let plain =
        format!("mount {} at && rm at/opt && mv at/real at/opt && umount at", disk.device().display());
    pair.shell(1, &plain).run();
    let honest = bed.read("fakes/mount");
    bed.script(
        "fakes/mount",
        &format!("case $1 in --bind) set -- --bind \"$ORDERLY_BED/home\" \"$3\";; esac\n{honest}"),
    );
    take().status(1).any_stdout().stderr_contains("is mounted there").stderr_contains("let go again").run();
    assert_eq!(pair.world(1), before);
    bed.script("fakes/mount", &honest);
    take().any_stdout().goes_well().run();
}
