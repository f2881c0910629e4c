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
        .stdout_contains("of another folder")
        .any_stdout()
        .run();
    pair.takeover(1).status(4).stderr_contains("another folder of the asset (/other) is mounted at ").run();
    // What is taken back is what was found, not what should have been.
    pair.shell(1, "sleep 1000 9>at/held.open </dev/null >/dev/null 2>&1 & echo $! >holder.pid").run();
    pair.release(1).status(1).any_stdout().any_stderr().run();
    pair.shell(1, "ls loop").stdout("wrong\n").run();
    pair.shell(1, "read -r pid <holder.pid; kill $pid; while [ -e /proc/$pid/fd/9 ]; do :; done").run();
    pair.release(1).any_stdout().any_stderr().run();
    pair.way_back(1).any_stdout().any_stderr().run();
    pair.shell(1, "ls loop").stdout("right\n").run();
}
