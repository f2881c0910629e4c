//! A takeover after an own crash, by the word of the peer: every command of it fails, hangs, and kills its caller.

use crate::holding::crash;
use crate::pair::{Asset, Pair};
use crate::proofs::{Count, TROUBLES, is_turn, never_both, ready};
use bed::Bed;
use bed::loopfs::Disk;

/// ec1 goes down with a disk that it took.
pub(crate) fn crashed<'a>(bed: &'a Bed, disk: &Disk) -> Pair<'a> {
    bed.tool("sync");
    let pair = Pair::new(bed, &Asset::Ext4(disk));
    pair.released(1);
    pair.taken_back(1);
    crash(&pair, disk, 1);
    pair
}

/// Returns a takeover of the host that went down, by the word of the peer of now.
pub(crate) fn by_disclaimer<'a>(pair: &Pair<'a>) -> bed::Program<'a> {
    let word =
        pair.release(2).args(["--disclaim", "--after", "99", "--json"]).any_stdout().any_stderr().run();
    pair.takeover(1).args(["--new-plan", "--record", "-"]).stdin(&word.stdout)
}

/// No table had the comparison of a disclaimer in it.
#[test]
fn every_command_of_a_takeover_after_an_own_crash_fails_hangs_and_dies() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = crashed(&bed, &disk);
    pair.count_also("mv");
    by_disclaimer(&pair).any_stdout().goes_well().run();
    let acts = pair.acts();
    let mut count = Count::default();
    for (index, act) in acts.iter().enumerate() {
        for (_, trouble) in TROUBLES.iter().enumerate().filter(|(turn, _)| is_turn("own crash", index, *turn))
        {
            let case = format!("own crash: {trouble} {} ({act})", index + 1);
            crash(&pair, &disk, 1);
            let before = pair.world(1);
            let run = by_disclaimer(&pair);
            pair.trouble(&format!("{trouble} {}", index + 1));
            let run = if *trouble == "hang" { run.args(["--timeout", "1s"]) } else { run };
            let ended = run.any_status().any_stdout().any_stderr().run();
            pair.forget();
            never_both(&pair, &case);
            count.add(match ended.status {
                0 => "taken all the same",
                1 | 4 => {
                    assert_eq!(pair.world(1), before, "{case}: {}", ended.stderr);
                    "let go again"
                }
                5 => "NOT safe, ended by the next run",
                _ => "killed, finished by the next run",
            });
            let mut said = ended.stderr;
            if pair.holders().is_empty() {
                said = by_disclaimer(&pair).any_status().any_stdout().any_stderr().run().stderr;
            }
            if pair.holders().is_empty() {
                // It took it and let go of it: its own record is the newest.
                said += &pair.way_back(1).any_status().any_stdout().any_stderr().run().stderr;
            }
            assert_eq!(pair.holders(), [1], "{case}: again: {said}");
            // What is here may lack something: killed amid its end.
            pair.takeover(1).arg("--new-plan").any_stdout().goes_well().run();
        }
    }
    count.tell("takeover after an own crash, commands of ext4");
}
