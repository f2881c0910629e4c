//! Power cuts: a run of habackup is recorded on a disk that notes every write and flush, and replayed
//! up to any of them with only what was flushed and a part of the rest. Whatever that part is, every
//! published snapshot must be sound, `latest` whole, and the next run succeed without debris.

mod disk;

use super::snapshot::{configure, snapshots};
use bed::loopfs::{DISK_NEEDS, Disk, HOST_NEEDS, Host};
use bed::{Bed, Need, real};
use disk::{Event, Recorder, Recording};
use std::fs;

const SIZE: usize = 24 << 20;

fn ready() -> bool {
    real::require(&HOST_NEEDS)
        && real::require(&DISK_NEEDS)
        && real::require(&[Need::Program("strace"), Need::Program("mkfs.ext4"), Need::Device("/dev/fuse")])
}

/// Records a run on a disk that already has a snapshot; `run` is the shell line.
fn record(run: &str) -> Recording {
    let bed = Bed::new();
    configure(&bed, "keep = 1\nrequire_services = false");
    bed.tools(&["mkfs.ext4", "strace", "rm", "sync"]);
    fs::create_dir_all(bed.path("recorder")).unwrap();
    let recorder = Recorder::new(&bed.path("recorder"), SIZE);
    let device = recorder.device().display().to_string();
    // No commits but those asked for and one a second; no data written early on a rename.
    bed.shell(&format!("mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 {device}")).run();
    let host = Host::new(&bed, "ec1");
    host.shell(&format!("mount -o commit=1,noauto_da_alloc {device} shared && mount --bind shared asset"))
        .run();
    sources(&bed, "first");
    host.program("habackup").arg("-q").run();
    host.shell("sleep 2; sync -f shared").run();
    sources(&bed, "second");
    let image = recorder.begin();
    host.shell(run).any_stderr().run();
    let recording = recorder.end(image);
    host.shell("umount asset shared").run();
    drop(host);
    recording
}

fn sources(bed: &Bed, text: &str) {
    for number in 0..12 {
        bed.write(format!("source/deep/{number}"), format!("{text} {number}\n").repeat(number * 400));
    }
}

/// Returns what is wrong with the snapshots on a disk after a power cut; nothing, after the next run.
fn wrong_after(image: &[u8]) -> Vec<String> {
    let bed = Bed::new();
    configure(&bed, "keep = 1\nrequire_services = false");
    bed.tools(&["ls"]);
    sources(&bed, "third");
    let disk = Disk::blank(&bed, "cut", (SIZE >> 20) as u64);
    fs::write(disk.device(), image).unwrap();
    let host = Host::new(&bed, "ec1");
    let mut wrong = Vec::new();
    host.shell(&format!("mount {} shared && mount --bind shared asset", disk.device().display())).run();
    let ids = host.shell("ls shared/habackup").any_stdout().run().stdout;
    let verify =
        |id: &str| host.program("habackup").args(["-q", "--verify", id]).any_status().any_stderr().run();
    if host
        .shell("ls shared/habackup/latest/manifest.json")
        .any_stdout()
        .any_stderr()
        .any_status()
        .run()
        .status
        != 0
    {
        wrong.push("latest leads nowhere".to_owned());
    }
    for id in ids.lines().filter(|id| id.starts_with("20")) {
        let ended = verify(id);
        if ended.status != 0 {
            wrong.push(format!("{id}: {}", ended.stderr));
        }
    }
    host.program("habackup").arg("-q").goes_well().run();
    let left = host.shell("ls -A shared/habackup").any_stdout().run().stdout;
    if left.lines().count() != 2 || verify("latest").status != 0 {
        wrong.push(format!("after the next run: {left}"));
    }
    host.shell("umount asset shared").run();
    drop(host);
    assert!(snapshots(&bed).is_empty(), "nothing was written beside the disk");
    wrong
}

/// Numbers that look random and are the same in each run.
fn chance(seed: usize) -> impl FnMut() -> bool {
    let mut state = (seed as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state & 1 == 0
    }
}

/// Cuts the power at `count` places, with nothing, a part or all of what was not flushed in turn; with
/// a `count` of 0 at all places, each in all three ways. Returns how many cuts were made and what was
/// damaged.
fn cut(recording: &Recording, count: usize) -> (usize, Vec<String>) {
    let all = recording.events.len() + 1;
    let step = all.checked_div(count).map_or(1, |step| step.max(1));
    let places: Vec<usize> = (0..all).rev().step_by(step).collect();
    let ways = |number: usize| if count == 0 { 0..3 } else { number % 3..number % 3 + 1 };
    let places: Vec<(usize, usize)> = places
        .into_iter()
        .enumerate()
        .flat_map(|(number, place)| ways(number).map(move |way| (place, way)))
        .collect();
    let damaged = std::sync::Mutex::new(Vec::new());
    let next = std::sync::atomic::AtomicUsize::new(0);
    let cuts = places.len();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some(&(place, way)) = places.get(number) else { break };
                    let image = match way {
                        0 => recording.after_cut(place, || false),
                        1 => recording.after_cut(place, chance(place)),
                        _ => recording.after_cut(place, || true),
                    };
                    let found = wrong_after(&image);
                    let found = found.into_iter().map(|what| format!("cut at {place} of {all}: {what}"));
                    damaged.lock().unwrap().extend(found);
                }
            });
        }
    });
    (cuts, damaged.into_inner().unwrap())
}

/// `ORDERLY_SOAK=1`: at every write and flush there is.
#[test]
fn a_power_cut_at_any_write_damages_nothing() {
    if !ready() {
        return;
    }
    let recording = record("habackup -q");
    let flushes = recording.events.iter().filter(|event| **event == Event::Flush).count();
    assert!(flushes >= 2, "{flushes} flushes among {} events", recording.events.len());
    let count = if std::env::var_os("ORDERLY_SOAK").is_some() { 0 } else { 16 };
    let (cuts, damaged) = cut(&recording, count);
    let line =
        format!("power cuts: {cuts} at {} places, {} damaged\n", recording.events.len() + 1, damaged.len());
    std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
    assert!(damaged.is_empty(), "{line}{}", damaged.join("\n"));
}

/// The simulator itself: where the calls that sync are made to do nothing, it finds the damage.
#[test]
fn a_run_whose_syncs_do_nothing_is_caught() {
    if !ready() {
        return;
    }
    let lie =
        "strace -f -o /dev/null -e trace=syncfs,fsync -e inject=syncfs,fsync:retval=0 habackup -q; sleep 3";
    let recording = record(lie);
    let (_, damaged) = cut(&recording, 6);
    assert!(!damaged.is_empty(), "{} events and no damage", recording.events.len());
}

#[test]
fn a_cut_keeps_what_was_flushed_and_of_the_rest_what_chance_says() {
    let write = |at, byte| Event::Write { at, bytes: vec![byte; 4096] };
    let events = vec![write(0, 1), Event::Flush, write(4096, 2), write(0, 3)];
    let recording = Recording { image: vec![0; 8192], events };
    let bytes = |cut, kept: bool| {
        let image = recording.after_cut(cut, || kept);
        (image[0], image[4096])
    };
    assert_eq!(bytes(1, false), (0, 0));
    assert_eq!(bytes(2, false), (1, 0));
    assert_eq!(bytes(4, false), (1, 0));
    assert_eq!(bytes(3, true), (1, 2));
    assert_eq!(bytes(4, true), (3, 2));
}
