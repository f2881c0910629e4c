//! The proofs of the steps, one table: every command and every read of a release and of a takeover
//! fails (before and after doing its work), hangs, and kills its caller (before and after); and the
//! program is killed after every record of its journal. Each time the world is as it was, or as it was
//! to become, or the run says NOT safe with 5; the next run ends it; never do both hosts hold the asset.
//!
//! The kind `whole` is a bind mount with all steps that a hand-over can have: also those that fence, that
//! back up and restore, and the site's own commands. `zfs` and `lvm` are played by scripts.
//!
//! `make test` tries every command of four kinds of asset with some trouble, all of which take turns;
//! `make soak` tries all troubles of all kinds. What was tried is printed as one line a table.

use crate::own_crash::{by_disclaimer, crashed};
use crate::pair::{Asset, Pair, possible};
use bed::loopfs::{Disk, FILESYSTEM_NEEDS};
use bed::{Bed, Ended, Need, real};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

pub(crate) const TROUBLES: [&str; 5] = ["fail", "fail-after", "hang", "before", "after"];

fn is_soak() -> bool {
    std::env::var_os("ORDERLY_SOAK").is_some()
}

pub(crate) fn ready() -> bool {
    possible()
        && real::require(&[Need::Program("strace")])
        && (!is_soak() || real::require(&FILESYSTEM_NEEDS))
}

/// What came of the cases of one table.
#[derive(Debug, Default)]
pub(crate) struct Count(BTreeMap<&'static str, usize>);

impl Count {
    pub(crate) fn add(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    /// Written past the test harness, which hides what a passing test prints.
    pub(crate) fn tell(&self, table: &str) {
        let cases: usize = self.0.values().sum();
        let parts: Vec<String> = self.0.iter().map(|(what, count)| format!("{count} {what}")).collect();
        let line = format!("step proofs: {table}: {cases} cases: {}; both held: 0\n", parts.join(", "));
        std::io::stderr().write_all(line.as_bytes()).ok();
    }
}

/// Runs `table` on a fresh pair of one kind. Reads of the device count like commands.
fn of_kind(kind: &str, name: &str, mut table: impl FnMut(&Pair<'_>, &str, &mut Count)) {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    let disk = match kind {
        "xfs" => Disk::xfs(&bed),
        "btrfs" => Disk::btrfs(&bed),
        _ => Disk::ext4(&bed, 16),
    };
    let asset = match kind {
        "bind" => Asset::Bind,
        "command" => Asset::Command,
        "zfs" => Asset::Zfs,
        "whole" => Asset::Whole,
        "lvm" => Asset::Lvm(&disk),
        _ => Asset::Disk(&disk),
    };
    let pair = Pair::new(&bed, &asset);
    bed.tool("strace");
    // Reading an xfs takes dozens of reads, all alike.
    if kind == "ext4" {
        pair.count_also("dd");
    }
    pair.count_also("mv");
    let mut count = Count::default();
    table(&pair, kind, &mut count);
    count.tell(&format!("{name} of {kind}"));
}

/// Runs a table on the kinds that only the soak has time for.
fn of_other_kinds(table: fn(&str)) {
    if is_soak() {
        ["bind", "xfs", "btrfs", "lvm"].into_iter().for_each(table);
    }
}

/// Tells whether a case is tried now; all are in the soak.
pub(crate) fn is_turn(kind: &str, at: usize, trouble: usize) -> bool {
    let turns = if kind == "ext4" { 3 } else { 5 };
    is_soak() || (at + trouble) % turns == 0
}

pub(crate) fn never_both(pair: &Pair<'_>, case: &str) {
    let holders = pair.holders();
    assert!(holders.len() < 2, "{case}: both hold it");
}

/// Lets host 1 have everything again, however the case ended, and returns its world.
fn give_back(pair: &Pair<'_>, case: &str) -> String {
    if pair.holders() != [1] {
        let ended = pair.way_back(1).any_status().any_stdout().any_stderr().run();
        assert_eq!(ended.status, 0, "{case}: the way back: {}", ended.stderr);
    }
    assert_eq!(pair.holders(), [1], "{case}");
    pair.world(1)
}

/// Looks at how a release ended, and ends it.
fn judge_release(pair: &Pair<'_>, before: &str, ended: &Ended, case: &str) -> &'static str {
    never_both(pair, case);
    let said = &ended.stderr;
    match ended.status {
        0 => {
            assert!(pair.holders().is_empty(), "{case}: {said}");
            "released all the same"
        }
        1 => {
            assert!(said.contains("NOT safe"), "{case}: {said}");
            assert_eq!(pair.world(1), before, "{case}: {said}");
            let take = pair.takeover(2).arg("--record").arg(pair.record(1));
            take.status(4).any_stderr().run();
            "taken back"
        }
        4 => {
            assert_eq!(pair.world(1), before, "{case}: {said}");
            "refused, nothing touched"
        }
        5 => {
            assert!(said.contains("NOT safe") && said.contains(": "), "{case}: {said}");
            let again = pair.release(1).any_status().any_stdout().any_stderr().run();
            assert!(matches!(again.status, 0 | 1), "{case}: again: {}", again.stderr);
            if again.status == 1 {
                assert_eq!(pair.world(1), before, "{case}: again: {}", again.stderr);
            }
            "NOT safe, ended by the next run"
        }
        _ => {
            assert!(!pair.holders().contains(&2), "{case}");
            let again = pair.release(1).any_status().any_stdout().any_stderr().run();
            assert_eq!(again.status, 0, "{case}: again: {}", again.stderr);
            assert!(pair.holders().is_empty(), "{case}");
            "killed, finished by the next run"
        }
    }
}

/// Looks at how a takeover by host 2 ended, and ends it; the asset is free afterwards.
fn judge_takeover(pair: &Pair<'_>, before: &str, ended: &Ended, case: &str) -> &'static str {
    never_both(pair, case);
    let said = &ended.stderr;
    let by_newest = |host: usize, said: &str| {
        let maker = if said.contains("record of letting go") { 2 } else { 1 };
        let take = if maker == host {
            pair.way_back(host)
        } else {
            pair.takeover(host).arg("--record").arg(pair.record(maker))
        };
        take.any_status().any_stdout().any_stderr().run()
    };
    let (what, mut last) = match ended.status {
        0 => ("taken all the same", None),
        1 | 4 => {
            assert!(ended.status == 4 || said.contains("safe for the other host"), "{case}: {said}");
            assert_eq!(pair.world(2), before, "{case}: {said}");
            // Safe is a promise: the other host can have it.
            let other = by_newest(1, said);
            assert_eq!(other.status, 0, "{case}: the other host: {}", other.stderr);
            pair.released(1);
            return if ended.status == 4 { "refused, nothing touched" } else { "let go again" };
        }
        5 => {
            assert!(said.contains("NOT safe"), "{case}: {said}");
            ("NOT safe, ended by the next run", Some(by_newest(2, said)))
        }
        _ => ("killed, finished by the next run", Some(by_newest(2, ""))),
    };
    for _ in 0..3 {
        never_both(pair, case);
        match &last {
            Some(run) if run.status != 0 => last = Some(by_newest(2, &run.stderr)),
            _ => break,
        }
    }
    assert!(last.as_ref().is_none_or(|run| run.status == 0), "{case}: again: {}", last.unwrap().stderr);
    assert_eq!(pair.holders(), [2], "{case}");
    pair.released(2);
    let back = pair.takeover(1).arg("--record").arg(pair.record(2));
    back.any_stdout().goes_well().run();
    pair.released(1);
    what
}

fn release_commands(kind: &str) {
    of_kind(kind, "release, commands", |pair, kind, count| {
        pair.forget();
        pair.released(1);
        let acts = pair.acts();
        let mut before = give_back(pair, "a clean run");
        for (index, act) in acts.iter().enumerate() {
            for (turn, trouble) in TROUBLES.iter().enumerate().filter(|(turn, _)| is_turn(kind, index, *turn))
            {
                let case = format!("{kind}: {trouble} {} ({act})", index + 1);
                pair.trouble(&format!("{trouble} {}", index + 1));
                let run = pair.release(1).any_status().any_stdout().any_stderr();
                let run = if TROUBLES[turn] == "hang" { run.args(["--timeout", "1s"]) } else { run };
                let ended = run.run();
                pair.forget();
                count.add(judge_release(pair, &before, &ended, &case));
                before = give_back(pair, &case);
            }
        }
    });
}

#[test]
fn every_command_of_a_release_of_ext4_fails_hangs_and_dies() {
    release_commands("ext4");
}

#[test]
fn every_command_of_a_release_of_command_fails_hangs_and_dies() {
    release_commands("command");
}

#[test]
fn every_command_of_a_release_of_zfs_fails_hangs_and_dies() {
    release_commands("zfs");
}

#[test]
fn every_command_of_a_release_of_whole_fails_hangs_and_dies() {
    release_commands("whole");
}

#[test]
fn every_command_of_a_release_of_other_kinds_fails_hangs_and_dies() {
    of_other_kinds(release_commands);
}

fn takeover_commands(kind: &str) {
    of_kind(kind, "takeover, commands", |pair, kind, count| {
        pair.released(1);
        pair.forget();
        let take = || pair.takeover(2).arg("--record").arg(pair.record(1));
        take().any_stdout().goes_well().run();
        let acts = pair.acts();
        pair.released(2);
        let back = pair.takeover(1).arg("--record").arg(pair.record(2));
        back.any_stdout().goes_well().run();
        pair.released(1);
        for (index, act) in acts.iter().enumerate() {
            for (turn, trouble) in TROUBLES.iter().enumerate().filter(|(turn, _)| is_turn(kind, index, *turn))
            {
                let case = format!("{kind}: {trouble} {} ({act})", index + 1);
                let before = pair.world(2);
                pair.trouble(&format!("{trouble} {}", index + 1));
                let run = take().any_status().any_stdout().any_stderr();
                let run = if TROUBLES[turn] == "hang" { run.args(["--timeout", "1s"]) } else { run };
                let ended = run.run();
                pair.forget();
                count.add(judge_takeover(pair, &before, &ended, &case));
            }
        }
    });
}

#[test]
fn every_command_of_a_takeover_of_ext4_fails_hangs_and_dies() {
    takeover_commands("ext4");
}

#[test]
fn every_command_of_a_takeover_of_command_fails_hangs_and_dies() {
    takeover_commands("command");
}

#[test]
fn every_command_of_a_takeover_of_zfs_fails_hangs_and_dies() {
    takeover_commands("zfs");
}

#[test]
fn every_command_of_a_takeover_of_whole_fails_hangs_and_dies() {
    takeover_commands("whole");
}

#[test]
fn every_command_of_a_takeover_of_other_kinds_fails_hangs_and_dies() {
    of_other_kinds(takeover_commands);
}

/// The first host, which has everything, loses its power.
fn die(pair: &Pair<'_>) {
    let stop = "umount loop; umount at; svc proxy stop; svc ec stop; ip address del 192.0.2.10/32 dev lo";
    pair.shell(1, stop).run();
    pair.bed.write("power.ec1", "Chassis Power is off\n");
    pair.forget();
}

/// Looks at how a takeover from a dead host ended; the first host has everything again afterwards.
fn judge_rescue(pair: &Pair<'_>, before: &str, mut ended: Ended, proof: &[&str], case: &str) -> &'static str {
    let what = match ended.status {
        0 => "taken all the same",
        1 | 4 => {
            assert_eq!(pair.world(2), before, "{case}: {}", ended.stderr);
            if ended.status == 4 { "refused, nothing touched" } else { "let go again" }
        }
        5 => "NOT safe, ended by the next run",
        _ => "killed, finished by the next run",
    };
    assert!(ended.status != 5 || ended.stderr.contains("NOT safe"), "{case}: {}", ended.stderr);
    for _ in 0..3 {
        if ended.status == 0 {
            break;
        }
        ended = pair.takeover(2).args(proof).any_status().any_stdout().any_stderr().run();
    }
    assert_eq!((ended.status, pair.holders()), (0, vec![2]), "{case}: again: {}", ended.stderr);
    pair.released(2);
    pair.taken(1);
    what
}

fn rescue_commands(proof: &[&str]) {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Whole);
    let mut count = Count::default();
    die(&pair);
    pair.takeover(2).args(proof).any_stdout().goes_well().run();
    let acts = pair.acts();
    pair.released(2);
    pair.taken(1);
    for (index, act) in acts.iter().enumerate() {
        let turns = TROUBLES.iter().enumerate().filter(|(turn, _)| is_turn("whole", index, *turn));
        for (_, trouble) in turns {
            let case = format!("{proof:?}: {trouble} {} ({act})", index + 1);
            die(&pair);
            let before = pair.world(2);
            pair.trouble(&format!("{trouble} {}", index + 1));
            let run = pair.takeover(2).args(proof).any_status().any_stdout().any_stderr();
            let run = if *trouble == "hang" { run.args(["--timeout", "1s"]) } else { run };
            let ended = run.run();
            pair.forget();
            count.add(judge_rescue(&pair, &before, ended, proof, &case));
        }
    }
    count.tell(&format!("takeover {}, commands of whole", proof[0]));
}

#[test]
fn every_command_of_a_takeover_by_fence_fails_hangs_and_dies() {
    rescue_commands(&["--fence"]);
}

#[test]
fn every_command_of_a_takeover_on_the_operators_word_fails_hangs_and_dies() {
    rescue_commands(&["--peer-down", "ec1"]);
}

/// Returns the words of all actions in the plan of a journal, and of those that take them back.
fn actions(pair: &Pair<'_>, host: usize, program: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(pair.state(host).join(format!("{program}.journal"))).unwrap();
    let words = ["\"act\":\"", "\"part\":{\"kind\":\""].into_iter().flat_map(|key| text.split(key).skip(1));
    words.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

/// A step that no table has in it is proven by none.
#[test]
fn the_tables_have_every_kind_of_step() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Whole);
    let mut found = BTreeSet::new();
    pair.release(1).arg("--kill").any_stdout().goes_well().run();
    found.extend(actions(&pair, 1, "ha-release"));
    pair.taken(2);
    found.extend(actions(&pair, 2, "ha-takeover"));
    for proof in [&["--fence", "--skip", "witness"][..], &["--peer-down", "ec1"]] {
        pair.released(2);
        pair.taken(1);
        die(&pair);
        pair.takeover(2).args(proof).any_stdout().goes_well().run();
        found.extend(actions(&pair, 2, "ha-takeover"));
    }
    let (mut all, parts) = (variants("action.rs", "Action"), variants("action/part.rs", "Part"));
    assert!(all.len() > 17 && parts.len() > 4, "{all:?} {parts:?}");
    all.extend(parts);
    // The kind `whole` shows no take, so a host gets nothing of it back by the peer's word.
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = crashed(&bed, &disk);
    by_disclaimer(&pair).any_stdout().goes_well().run();
    found.extend(actions(&pair, 1, "ha-takeover"));
    assert_eq!(found, all);
}

/// Returns the variants of an enum in a file of `orderly-host`, as journals have them.
fn variants(file: &str, name: &str) -> BTreeSet<String> {
    let path = bed::binaries::workspace().join("crates/host/src").join(file);
    let source = std::fs::read_to_string(path).unwrap();
    let (_, list) = source.split_once(&format!("pub enum {name} {{\n")).unwrap();
    let (list, _) = list.split_once("\n}\n").unwrap();
    let names = list.lines().filter_map(|line| {
        let name = line.strip_prefix("    ")?.split([',', '{', '(', ' ']).next()?;
        name.starts_with(|first: char| first.is_ascii_uppercase()).then_some(name)
    });
    names.map(snake).collect()
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

/// Kills the program as it syncs its journal for this time: the record is written, nothing after it.
fn killed_after(pair: &Pair<'_>, host: usize, record: usize, line: &str) -> Ended {
    let strace = format!(
        "strace -qq -o trace -e trace=fdatasync -e inject=fdatasync:signal=KILL:when={record} {line} </dev/null"
    );
    pair.shell(host, &strace).any_status().any_stdout().any_stderr().run()
}

fn records(pair: &Pair<'_>, host: usize, program: &str) -> usize {
    let text = std::fs::read_to_string(pair.state(host).join(format!("{program}.journal"))).unwrap();
    // The first line, which names the plan, is synced in another way.
    text.lines().count() - 1
}

fn release_records(kind: &str) {
    of_kind(kind, "release, records", |pair, kind, count| {
        pair.released(1);
        let all = records(pair, 1, "ha-release");
        let mut before = give_back(pair, "a clean run");
        for at in (1..=all).filter(|at| is_turn(kind, *at, 0)) {
            let case = format!("{kind}: killed after record {at} of {all}");
            let ended = killed_after(pair, 1, at, "ha-release");
            assert!(ended.status > 128, "{case}: {} {}", ended.status, ended.stderr);
            count.add(judge_release(pair, &before, &ended, &case));
            before = give_back(pair, &case);
        }
    });
}

#[test]
fn killed_after_every_record_of_its_journal_a_release_of_ext4_is_finished() {
    release_records("ext4");
}

#[test]
fn killed_after_every_record_of_its_journal_a_release_of_command_is_finished() {
    release_records("command");
}

#[test]
fn killed_after_every_record_of_its_journal_a_release_of_zfs_is_finished() {
    release_records("zfs");
}

#[test]
fn killed_after_every_record_of_its_journal_a_release_of_whole_is_finished() {
    release_records("whole");
}

#[test]
fn killed_after_every_record_of_its_journal_a_release_of_other_kinds_is_finished() {
    of_other_kinds(release_records);
}

fn takeover_records(kind: &str) {
    of_kind(kind, "takeover, records", |pair, kind, count| {
        pair.released(1);
        pair.taken(2);
        let all = records(pair, 2, "ha-takeover");
        pair.released(2);
        pair.taken(1);
        pair.released(1);
        for at in (1..=all).filter(|at| is_turn(kind, *at, 0)) {
            let case = format!("{kind}: killed after record {at} of {all}");
            let before = pair.world(2);
            let line = format!("ha-takeover --record {}", pair.record(1).display());
            let ended = killed_after(pair, 2, at, &line);
            assert!(ended.status > 128, "{case}: {} {}", ended.status, ended.stderr);
            count.add(judge_takeover(pair, &before, &ended, &case));
        }
    });
}

#[test]
fn killed_after_every_record_of_its_journal_a_takeover_of_ext4_is_finished() {
    takeover_records("ext4");
}

#[test]
fn killed_after_every_record_of_its_journal_a_takeover_of_command_is_finished() {
    takeover_records("command");
}

#[test]
fn killed_after_every_record_of_its_journal_a_takeover_of_zfs_is_finished() {
    takeover_records("zfs");
}

#[test]
fn killed_after_every_record_of_its_journal_a_takeover_of_whole_is_finished() {
    takeover_records("whole");
}

#[test]
fn killed_after_every_record_of_its_journal_a_takeover_of_other_kinds_is_finished() {
    of_other_kinds(takeover_records);
}
