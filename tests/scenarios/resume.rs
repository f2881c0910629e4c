//! Killed anywhere, the next run finishes; and never do both hosts hold the asset.

use crate::pair::{Asset, Pair, kinds, possible};
use bed::Bed;
use bed::loopfs::Disk;

#[test]
fn killed_at_any_command_a_release_and_a_takeover_are_finished_by_the_next_run() {
    if !possible() {
        return;
    }
    for asset in 0..3 {
        let bed = Bed::new();
        let disk = Disk::ext4(&bed, 16);
        let pair = Pair::new(&bed, &[Asset::Bind, Asset::Ext4(&disk), Asset::Command][asset]);
        let (mut from, mut to) = (1, 2);
        for at in (1..=9).filter(|at| worth(asset, *at)) {
            for kind in kinds(["before", "after"], asset + at) {
                let case = format!("asset {asset}, {kind} {at}");
                pair.trouble(&format!("{kind} {at}"));
                pair.release(from).any_status().any_stdout().any_stderr().run();
                pair.forget();
                assert!(!pair.holders().contains(&to), "{case}");
                let ended = pair.release(from).any_status().any_stdout().any_stderr().run();
                assert_eq!(ended.status, 0, "{case}: {}", ended.stderr);
                assert!(pair.holders().is_empty(), "{case}");
                let record = pair.state(from).join("release.json");
                pair.trouble(&format!("{kind} {at}"));
                pair.takeover(to).arg("--record").arg(&record).any_status().any_stdout().any_stderr().run();
                pair.forget();
                assert!(!pair.holders().contains(&from), "{case}");
                let ended = pair
                    .takeover(to)
                    .arg("--record")
                    .arg(&record)
                    .any_status()
                    .any_stdout()
                    .any_stderr()
                    .run();
                assert_eq!(ended.status, 0, "{case}: {}", ended.stderr);
                let world = pair.world(to);
                for part in ["proxy online", "ec online", "mount loop", "(ro,fsid=7)", "192.0.2.10"] {
                    assert!(world.contains(part), "{case}: {part} in\n{world}");
                }
                assert!(!pair.holders().contains(&from), "{case}");
                std::mem::swap(&mut from, &mut to);
            }
        }
    }
}

/// Every command for ext4, every third one for the other kinds; `make soak` tries all of all.
fn worth(asset: usize, at: usize) -> bool {
    asset == 1 || at % 3 == asset || std::env::var_os("ORDERLY_SOAK").is_some()
}

#[test]
fn any_beginning_of_a_journal_is_finished() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    pair.release(1).any_stdout().any_stderr().run();
    let journal = pair.state(1).join("ha-release.journal");
    let text = std::fs::read_to_string(&journal).unwrap();
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
    for end in ends {
        // Also with half a line behind it.
        for torn in ["", "{\"format\":\"orderly-jour"] {
            std::fs::write(&journal, format!("{}{torn}", &text[..end])).unwrap();
            pair.release(1).any_stdout().any_stderr().run();
        }
    }
    std::fs::write(&journal, text.replacen("started", "stardet", 1)).unwrap();
    pair.release(1).status(3).stderr_contains(": byte ").run();
    pair.release(1).arg("--new-plan").any_stdout().any_stderr().run();
}

#[test]
fn an_unfinished_run_with_another_plan_is_refused_until_a_new_plan() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    pair.trouble("before 3");
    pair.release(1).any_status().any_stdout().any_stderr().run();
    pair.forget();
    pair.release(1).args(["--skip", "boot"]).status(4).stderr_contains("has another plan").run();
    pair.takeover(1).status(4).stderr_contains("run ha-release to finish it").run();
    pair.release(1).arg("--status").stdout_contains("is not finished").run();
    pair.release(1).args(["--skip", "boot", "--new-plan"]).any_stdout().any_stderr().run();
}
