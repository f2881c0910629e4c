//! Every refusal of a record, whose record it is, and the line that it proposes: typed as it stands, it leads to the
//! asset.

use crate::pair::{Asset, Pair, possible, with_backup};
use bed::Bed;
use bed::loopfs::{Disk, FILESYSTEM_NEEDS};
use bed::real;
use std::path::PathBuf;

fn done(program: bed::Program<'_>) -> bed::Ended {
    program.any_stdout().any_stderr().run()
}

/// Makes another record of one: what was changed in it, with the checksum that fits.
fn edited(pair: &Pair<'_>, host: usize, change: impl Fn(&str) -> String) -> PathBuf {
    let text = std::fs::read_to_string(pair.record(host)).unwrap();
    let text = change(text.trim());
    let (bare, _) = text.split_once("\"checksum\":\"").unwrap();
    let bare = format!("{bare}\"checksum\":\"");
    let prime: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let sum =
        format!("{bare}\"}}").bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash: u128, byte| {
            (hash ^ u128::from(byte)).wrapping_mul(prime)
        });
    pair.bed.write("edited.json", format!("{bare}{sum:032x}\"}}\n"));
    pair.bed.path("edited.json")
}

/// Types a line on a host as it stands: commands one after the other, pipes, `ssh` to the other host.
fn typed(pair: &Pair<'_>, host: usize, line: &str) {
    for commands in line.split("; ").flat_map(|part| part.split(" && ")) {
        let mut input = String::new();
        for command in commands.split(" | ") {
            let (at, command) = match command.strip_prefix("ssh ec") {
                Some(rest) => (rest[..1].parse().unwrap(), &rest[2..]),
                None => (host, command),
            };
            let (command, from) = command.split_once(" <").unwrap_or((command, ""));
            if !from.is_empty() {
                input = std::fs::read_to_string(from).unwrap();
            }
            let mut words = command.split(' ');
            let program = pair.program(at, words.next().unwrap());
            input = done(program.args(words).stdin(&input)).stdout;
        }
    }
}

/// Finds the line in what a refusal says.
fn proposed(said: &str) -> &str {
    let starts = ["ssh ec", "ha-release && ", "that release: ha-release"];
    let start = starts.iter().filter_map(|word| said.find(word)).min().expect(said);
    let line = said[start..].trim_start_matches("that release: ").lines().next().unwrap();
    line.split("; or, if").next().unwrap()
}

/// Lets ec1 take by a record that is refused, then types what the refusal proposes: the asset is had by ec1.
fn leads_on(pair: &Pair<'_>, path: &std::path::Path, words: &str, case: &str) {
    let run = pair.takeover(1).arg("--record").arg(path).any_status().any_stdout().any_stderr().run();
    assert_eq!(run.status, 4, "{case}: {}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains(words), "{case}: {}", run.stderr);
    let line = proposed(&run.stderr);
    typed(pair, 1, line);
    if pair.holders().is_empty() {
        // A release that is finished proposes nothing itself; its status does.
        let next =
            done(pair.release(1).args(["--status", "--json"])).records().last().unwrap()["next"].clone();
        let (_, line) = next.as_str().unwrap().split_once("to take it back: ").expect("a way back");
        typed(pair, 1, line);
    }
    assert_eq!(pair.holders(), [1], "{case}: {line}");
}

/// Lets the maker be the one that released it last.
fn released(pair: &Pair<'_>, maker: usize) {
    done(pair.release(1));
    if maker == 2 {
        done(pair.takeover(2).arg("--record").arg(pair.record(1)));
        done(pair.release(2));
    }
}

fn with_other_configuration(pair: &Pair<'_>) {
    let text = pair.bed.read("etc/ha.toml").replace("max_age = \"1h\"", "max_age = \"2h\"");
    pair.bed.config("ha.toml", text);
}

/// "ssh PEER ha-release" was proposed for a record of the host's own, which the peer's came before.
#[test]
fn a_record_of_another_configuration_is_made_anew_by_whoever_made_it() {
    if !possible() || !real::require(&FILESYSTEM_NEEDS) {
        return;
    }
    for (kind, maker) in [("bind", 1), ("bind", 2), ("ext4", 1), ("btrfs", 1)] {
        let bed = Bed::new();
        let disk = if kind == "btrfs" { Disk::btrfs(&bed) } else { Disk::ext4(&bed, 16) };
        let asset = if kind == "bind" { Asset::Bind } else { Asset::Disk(&disk) };
        let pair = Pair::new(&bed, &asset);
        with_backup(&pair);
        released(&pair, maker);
        if maker == 1 {
            done(pair.release(1).args(["--after", "7"]));
        }
        with_other_configuration(&pair);
        let case = format!("{kind}, by ec{maker}");
        leads_on(&pair, &pair.record(maker), "another configuration", &case);
    }
}

/// Each had no line, or one that is refused where the record is the host's own.
#[test]
fn each_own_record_that_does_not_count_is_made_anew() {
    each_is_made_anew(1);
}

#[test]
fn each_record_of_the_peer_that_does_not_count_is_made_anew() {
    each_is_made_anew(2);
}

/// Gives ec1 every kind of a record of this maker that does not count.
fn each_is_made_anew(maker: usize) {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    with_backup(&pair);
    for (words, from, to) in [
        ("it says NOT safe", "\"safe\":true", "\"safe\":false"),
        ("which is neither", "\"host\":\"ec", "\"host\":\"nobody"),
        ("of ha-release made it", "\"version\":\"", "\"version\":\"9."),
        ("comes to the serial", "\"serial\":", "\"serial\":9000000000000000"),
        ("does not say of which asset", "\"identity\":\"", "null"),
        ("of another asset", "\"identity\":\"", "\"identity\":\"x"),
        ("an earlier version of ha-release made it", "\"made_by\":\"", ""),
    ] {
        released(&pair, maker);
        let change = |text: &str| match from {
            "\"made_by\":\"" => text.replace("\"made_by\":\"ec1\",", "").replace("\"made_by\":\"ec2\",", ""),
            "\"identity\":\"" if to.contains("null") => {
                let (before, rest) = text.split_once(from).unwrap();
                format!("{before}\"identity\":null{}", &rest[rest.find('"').unwrap() + 1..])
            }
            _ => text.replacen(from, to, 1),
        };
        let path = edited(&pair, maker, change);
        leads_on(&pair, &path, words, &format!("{words}, by ec{maker}"));
    }
}

/// Of a kind without a mark the line was only `--peer-down`, of a peer that answers, or none.
#[test]
fn without_a_mark_the_peers_word_is_proposed() {
    if !possible() {
        return;
    }
    let unmarked = |bed: &Bed| {
        let text = bed.read("etc/ha.toml");
        bed.config("ha.toml", text.replace("mark = [\"myasset\", \"mark\"]\n", ""));
    };
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Command);
    unmarked(&bed);
    released(&pair, 1);
    leads_on(&pair, &pair.record(1), "no change mark", "its own");
    // ec1 has it by a record of ec2; after its next release that one is used up.
    let used = bed.path("used.json");
    done(pair.release(1));
    done(pair.takeover(2).arg("--record").arg(pair.record(1)));
    done(pair.release(2));
    std::fs::copy(pair.record(2), &used).unwrap();
    done(pair.takeover(1).arg("--record").arg(&used));
    done(pair.release(1));
    leads_on(&pair, &used, "took the asset by it before", "the peer's");
}
