//! Holdings are numbered and records carry a serial: which snapshot is the right one, whatever failed before
//! and whatever the clocks say.

use crate::pair::{Asset, Pair, possible, with_backup};
use bed::Bed;
use bed::loopfs::Disk;
use std::path::PathBuf;

/// Returns where a host keeps its last record.
fn record(pair: &Pair<'_>, host: usize) -> PathBuf {
    pair.state(host).join("release.json")
}

/// Returns the manifests' first lines, oldest first: the host that made each, and in which holding.
fn made(pair: &Pair<'_>, host: usize) -> Vec<(String, u64)> {
    let line = "for m in at/habackup/2*Z/manifest.json; do read -r first <$m; echo \"$first]}\"; done";
    let said = pair.shell(host, line).any_stdout().run().stdout;
    let header = |line: &str| {
        let header: serde_json::Value = serde_json::from_str(line).unwrap();
        (header["host"].as_str().unwrap().to_owned(), header["holding"].as_u64().unwrap())
    };
    said.lines().map(header).collect()
}

#[test]
fn each_take_has_the_next_number_and_snapshots_carry_it() {
    if !possible() {
        return;
    }
    for asset in 0..3 {
        let bed = Bed::new();
        let disk = Disk::ext4(&bed, 16);
        let pair = Pair::new(&bed, &[Asset::Ext4(&disk), Asset::Bind, Asset::Command][asset]);
        with_backup(&pair);
        // Mounted by hand: the first snapshot begins the first holding, and the next goes on with it.
        for _ in 0..2 {
            pair.program(1, "habackup").stdout("Backup complete.\n").any_stderr().run();
        }
        for (from, to) in [(1, 2), (2, 2), (2, 1)] {
            pair.release(from).any_stdout().any_stderr().run();
            pair.takeover(to).arg("--record").arg(record(&pair, from)).any_stdout().any_stderr().run();
        }
        let label = pair.shell(1, "cat at/.orderly-holder").any_stdout().run().json();
        assert_eq!((label["host"].as_str(), label["holding"].as_u64()), (Some("ec1"), Some(4)));
        let by = |host: &str, holding| (host.to_owned(), holding);
        assert_eq!(made(&pair, 1), [by("ec1", 1), by("ec1", 1), by("ec1", 1), by("ec2", 2), by("ec2", 3)]);
        // Taking what is held is no new take.
        pair.takeover(1).any_stdout().any_stderr().run();
        let again = pair.shell(1, "cat at/.orderly-holder").any_stdout().run().json();
        assert_eq!(again["holding"].as_u64(), Some(4));
    }
}
