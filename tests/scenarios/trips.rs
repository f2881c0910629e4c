//! There and back, again and again, with everything that goes wrong on the way: failing backups, failed
//! takeovers, kills, crashes, clocks that jump, records that are old or wrong, edits in between. An oracle that
//! knows the newest content of each file judges every run, and an operator who knows only what the programs
//! print leads out of every state.
//!
//! `ORDERLY_SEED=N` goes one walk again (`N-M`: several), and prints what was left behind.

mod operator;
mod oracle;
mod troubles;
mod world;

use crate::pair::possible;
use bed::loopfs::Disk;
use bed::{Bed, real};
use oracle::Objection;
use std::io::Write;
use troubles::Dice;
use world::World;

/// How many trips one pair makes.
const TRIPS: usize = 10;

/// Goes a walk of trips, and returns how many went well, and what stopped them.
fn walk(seed: u64, trips: usize) -> (usize, Vec<String>, Option<(Objection, String)>) {
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let mut world = World::new(&bed, &disk);
    let mut dice = Dice::new(seed);
    for trip in 0..trips {
        world.note(format!("trip {trip}"));
        let went = troubles::trip(&mut world, &mut dice);
        if let Err(objection) = went {
            return (trip, world.oracle.left_behind, Some((objection, world.log.join("\n"))));
        }
    }
    (trips, world.oracle.left_behind, None)
}

/// Reads a seed, or the first and the last of many.
fn asked_for(text: &str) -> Option<std::ops::Range<u64>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.parse().ok()?..last.parse::<u64>().ok()? + 1)
}

#[test]
fn there_and_back_with_every_trouble_nothing_is_lost_or_held_twice_and_there_is_a_way_on() {
    if !possible() || !real::require(&world::NEEDS) {
        return;
    }
    let asked = std::env::var("ORDERLY_SEED").ok().and_then(|seed| asked_for(&seed));
    let (seeds, trips) = match (asked, std::env::var_os("ORDERLY_SOAK")) {
        (Some(seeds), _) => (seeds, TRIPS),
        (None, Some(_)) => (1..13, TRIPS),
        (None, None) => (1..2, 6),
    };
    let (mut done, mut left_behind, mut objections) = (0, Vec::new(), Vec::new());
    for seed in seeds {
        let (went, left, objection) = walk(seed, trips);
        done += went;
        left_behind.extend(left);
        if let Some((objection, log)) = objection {
            objections.push(format!("ORDERLY_SEED={seed}, trip {went}: {objection:?}\n{log}"));
        }
    }
    let count = |kind: &str| objections.iter().filter(|text| text.contains(&format!(": {kind}("))).count();
    let line = format!(
        "trips: {done}, lost: {}, double: {}, dead ends: {}, untrue: {}; files left behind, and said: {}\n",
        count("Lost"),
        count("Double"),
        count("DeadEnd"),
        count("Untrue"),
        left_behind.len()
    );
    // Written past the test harness, which hides what a passing test prints.
    std::io::stderr().write_all(line.as_bytes()).ok();
    if std::env::var_os("ORDERLY_SEED").is_some() {
        let told: String = left_behind.iter().map(|line| format!("{line}\n")).collect();
        std::io::stderr().write_all(told.as_bytes()).ok();
    }
    assert!(objections.is_empty(), "{}", objections.join("\n\n"));
}
