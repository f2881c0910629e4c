//! `--init`: the file that it prints is valid as it stands, and hands an asset of its kind over once the placeholders are
//! replaced.

use crate::pair::{Asset, Pair, possible};
use bed::loopfs::{Disk, FILESYSTEM_NEEDS};
use bed::{Bed, real};

/// Returns what `--init` prints on the first host.
fn printed(bed: &Bed, kind: &str) -> String {
    bed.program("ha-release").args(["--init", kind]).env("ORDERLY_HOST", "ec1").any_stdout().run().stdout
}

const KINDS: [&str; 5] = ["bind", "filesystem", "command", "zfs", "lvm"];

#[test]
fn what_is_printed_is_valid_and_no_file_is_written() {
    let bed = Bed::new();
    for kind in KINDS {
        let text = printed(&bed, kind);
        assert!(text.contains("name = \"ec1\"") && text.contains("name = \"PEER\""), "{text}");
        assert_eq!(std::fs::read_dir(bed.path("etc")).unwrap().count(), 0);
        let path = bed.config("ha.toml", &text);
        for program in ["ha-release", "ha-takeover", "habackup"] {
            bed.program(program).args(["--check-config", "-q"]).env("ORDERLY_HOST", "ec1").run();
        }
        std::fs::remove_file(path).unwrap();
    }
    let wrong = bed.program("ha-release").args(["--init", "floppy"]).status(2);
    wrong.stderr_contains("[possible values: bind, filesystem, command, zfs, lvm]").run();
    bed.program("ha-release").args(["--init", "zfs", "--status"]).status(2).any_stderr().run();
}

#[test]
fn what_is_printed_hands_an_asset_of_its_kind_over_and_back() {
    if !possible() || !real::require(&FILESYSTEM_NEEDS) {
        return;
    }
    for kind in KINDS {
        let bed = Bed::new();
        let disk = ["filesystem", "lvm"].contains(&kind).then(|| Disk::ext4(&bed, 16));
        let pair = match (kind, &disk) {
            ("filesystem", Some(disk)) => Pair::new(&bed, &Asset::Ext4(disk)),
            ("lvm", Some(disk)) => Pair::new(&bed, &Asset::Lvm(disk)),
            ("command", _) => Pair::new(&bed, &Asset::Command),
            ("zfs", _) => Pair::new(&bed, &Asset::Zfs),
            _ => Pair::new(&bed, &Asset::Bind),
        };
        // The pair comes with parts, of which the printed file has none.
        let line =
            "umount loop; svc proxy stop; svc ec stop; ip address del 192.0.2.10/32 dev lo; echo >etab.ec1";
        pair.shell(1, line).any_stderr().any_status().run();
        pair.forget();
        let root = bed.root().display().to_string();
        let device = disk.as_ref().map(|disk| disk.device().display().to_string()).unwrap_or_default();
        let text = printed(&bed, kind);
        let mut filled = text.clone();
        for (placeholder, value) in [
            ("PEER", "ec2"),
            ("/srv/source", &format!("{root}/source")),
            ("/srv/shared", &format!("{root}/at")),
            ("UUID=00000000-0000-0000-0000-000000000000", &device),
            ("/usr/local/sbin/myasset", "myasset"),
            ("pool = \"shared\"", "pool = \"tank\""),
            ("#devices = [\"/dev/disk/by-id\"]", &format!("devices = [\"{root}/disks\"]")),
        ] {
            filled = filled.replace(placeholder, value);
        }
        bed.config("ha.toml", filled);
        pair.released(1);
        pair.taken(2);
        assert_eq!(pair.holders(), [2], "{kind}");
        pair.released(2);
        pair.taken(1);
        assert_eq!(pair.holders(), [1], "{kind}");
    }
}
