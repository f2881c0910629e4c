//! `-n` prints every command that a run would run, for every kind of asset: what changes something is
//! compared, command by command, with what was printed before.

use crate::pair::{Asset, Pair, possible};
use bed::loopfs::{Disk, FILESYSTEM_NEEDS};
use bed::{Bed, Program, real};

/// Runs a program for show, then in earnest, and returns the commands that were not shown.
fn not_shown<'a>(pair: &Pair<'a>, run: &dyn Fn() -> Program<'a>) -> Vec<String> {
    pair.forget();
    let shown = run().arg("-n").any_stdout().any_stderr().run().stdout;
    let shown = shown.replace(&pair.bed.root().display().to_string(), "").replace('\'', "");
    assert!(pair.acts().is_empty(), "{:?}", pair.acts());
    run().any_stdout().goes_well().run();
    let acts = pair.acts();
    assert!(acts.len() > 3, "{acts:?}");
    // Which snapshot is restored is known only when the asset is there.
    let is_id = |word: &str| word.len() == 20 && word.ends_with('Z') && word.starts_with("20");
    let plain = |act: &String| {
        let words: Vec<&str> =
            act.split(' ').skip(1).map(|word| if is_id(word) { "ID" } else { word }).collect();
        // With a base where the hosts have one in common, which is known only then, too.
        words
            .join(" ")
            .replace("--restore ID", "--restore ID --base ID")
            .replace("ID --base ID --base", "ID --base")
    };
    // What the scripts of the scenario do to their own files.
    let is_ours =
        |act: &String| !["rm ", "mv "].iter().any(|tool| act.starts_with(tool)) || act.contains("/at");
    acts.iter().map(plain).filter(|act| is_ours(act) && !shown.contains(act.as_str())).collect()
}

#[test]
fn every_command_of_a_run_was_shown_beforehand() {
    if !possible() || !real::require(&FILESYSTEM_NEEDS) {
        return;
    }
    for kind in ["bind", "ext4", "xfs", "btrfs", "lvm", "zfs", "command", "whole"] {
        let bed = Bed::new();
        let disk = match kind {
            "xfs" => Disk::xfs(&bed),
            "btrfs" => Disk::btrfs(&bed),
            _ => Disk::ext4(&bed, 16),
        };
        let asset = match kind {
            "bind" => Asset::Bind,
            "lvm" => Asset::Lvm(&disk),
            "zfs" => Asset::Zfs,
            "command" => Asset::Command,
            "whole" => Asset::Whole,
            _ => Asset::Disk(&disk),
        };
        let pair = Pair::new(&bed, &asset);
        for tool in ["mv", "sync", "rm"] {
            pair.count_also(tool);
        }
        let missing = not_shown(&pair, &|| pair.release(1));
        // The pool's export makes exports of others vanish, or not; they are made again where it did.
        let mended = if kind == "zfs" { vec!["exportfs -o ro other:/home"] } else { Vec::new() };
        assert_eq!(missing, mended, "{kind}: release");
        let record = pair.record(1);
        let missing = not_shown(&pair, &|| pair.takeover(2).arg("--record").arg(&record));
        assert_eq!(missing, [""; 0], "{kind}: takeover");
    }
}
