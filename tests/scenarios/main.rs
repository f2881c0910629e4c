//! Scenarios that run the real programs. One test executable; the first test fails on a forgotten file.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scenario that cannot go on ends with a panic")]

mod absent;
mod address;
mod afterwards;
mod around;
mod at_once;
mod attributes;
mod backup_faults;
mod battery;
mod beside;
mod boot;
mod completions;
mod config_check;
mod cron;
mod descriptors;
mod drawing;
mod elsewhere;
mod endings;
mod enough;
mod example_folders;
mod examples;
mod fence;
mod filesystem;
mod finding;
mod flags;
mod foreseen;
mod foretold;
mod formats;
mod growth;
mod guards;
mod halt_fails;
mod hints;
mod holders;
mod holding;
mod hostile;
mod install;
mod interrupt;
mod inuse;
mod killed_takeover;
mod large;
mod left_out;
mod locks;
mod logins;
mod loopback;
mod lvm;
mod man;
mod man_rendered;
mod marks;
mod measured;
mod met;
mod nfs;
mod nut;
mod ocf;
mod offsite;
mod older;
mod one_machine;
mod opscenter;
mod order;
mod outage;
mod own_crash;
mod own_feet;
mod own_word;
mod packages;
mod pair;
mod parallel_filesystems;
mod pinned;
mod power_examples;
mod powercut;
mod promised;
mod proofs;
mod random_identities;
mod random_orders;
mod random_thresholds;
mod readme;
mod real_clush;
mod real_hosts;
mod real_inventories;
mod real_ipmi;
mod real_nodesets;
mod real_pdsh;
mod real_powerman;
mod real_redfish;
mod real_shells;
mod real_sshd;
mod records;
mod redfish_systems;
mod refusals;
mod rehearsal;
mod release;
mod reservations;
mod restart_proof;
mod restore;
mod restore_race;
mod resume;
mod retention;
mod rooms;
mod safety;
mod seqfile;
mod shutdown;
mod shutdown_plan;
mod slurm;
mod snapshot;
mod standing;
mod store_limits;
mod straggler;
mod subsystem;
mod subsystem_examples;
mod subsystem_faults;
mod syscalls;
mod syslog;
mod takeover;
mod terminal;
mod the_bed;
mod tidy;
mod timeline;
mod trips;
mod troubles;
mod unit;
mod unreported;
mod unsaved;
mod unwind;
mod violation;
mod waiting;
mod ways_out;
mod whole_node;
mod why;
mod writable;
mod zfs;

/// A scenario file that is not listed above would silently never run.
#[test]
fn every_scenario_file_is_listed() {
    let folder = bed::binaries::workspace().join("tests/scenarios");
    let listed = std::fs::read_to_string(folder.join("main.rs")).unwrap();
    let mut forgotten = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let is_scenario = path.extension().is_some_and(|extension| extension == "rs") || path.is_dir();
        if is_scenario && name != "main" && !listed.lines().any(|line| line.trim() == format!("mod {name};"))
        {
            forgotten.push(name);
        }
    }
    assert!(forgotten.is_empty(), "not listed in tests/scenarios/main.rs: {forgotten:?}");
}
