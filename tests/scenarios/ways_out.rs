//! The way-out table of ha-takeover(8) against the code: whoever is refused finds one command and its risk.

use bed::binaries::workspace;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Every function that refuses, with the rows of the table that lead out of what it says.
const REFUSALS: [(&str, &[&str]); 55] = [
    ("preflight::run", &["the host is not the one that is checked"]),
    ("preflight::not_holder", &["the host is not the one that is checked"]),
    // A status, for scripts.
    ("status_report::exit_status", &["the asset is not here"]),
    // What becomes of a run that was refused is told to nobody.
    ("event::of_handover", &[]),
    ("disclaim::run", &["nothing is disclaimed"]),
    ("order::accept", &["the state directory has no room"]),
    ("way_back::crash", &["nobody can say who holds"]),
    ("order::insist_on_new_plan", &["this host went down amid its release"]),
    ("order::insist_on_own_crash", &["the disclaimer does not permit", "neither host holds it"]),
    ("steps::owes", &["the state directory has no room"]),
    ("zfs::against_taking", &["the devices are missing", "the peer is not down"]),
    ("handover::unfinished", &["a release or a takeover was begun"]),
    ("reservations::judge", &["a SCSI reservation"]),
    ("state::insist_on_own", &["the state directory belongs to another"]),
    ("state::claim", &["the state directory has no room"]),
    ("busy::of_asset", &["that nothing here holds the asset could not be proven"]),
    ("busy::mount_of", &["something that no service owns"]),
    ("inuse::judge", &["something that no service owns"]),
    (
        "ha-release::act",
        &[
            "nobody can say who holds",
            "the record cannot be written",
            "a step needs a program",
            "the backup failed",
        ],
    ),
    ("state::insist_on_files", &["the state directory has a directory"]),
    ("ha-release::hold_room", &["the state directory has no room"]),
    ("ha-release::leave_folder", &["the record cannot be written"]),
    ("ha-release::check_record_path", &["the record cannot be written"]),
    (
        "ha-release::insist_not_elsewhere",
        &["the asset is not here", "the asset was taken since", "a release or a takeover was begun"],
    ),
    ("ha-release::report", &["the backup failed"]),
    ("show::beginning", &["the backup failed"]),
    (
        "steps::find",
        &[
            "the asset is not here",
            "nobody can say who holds",
            "neither host holds it",
            "that nothing here holds the asset",
            "without the asset the proof",
        ],
    ),
    ("steps::loopbacks_left", &["a loopback is left out of a release"]),
    ("steps::boot", &["this host would take the asset again"]),
    ("service::plan_release", &["nobody can say whether a service runs"]),
    ("service::against_taking", &["a service runs here"]),
    ("mount::against_taking", &["a mount point is not empty"]),
    ("mount::against_place", &["a mount point is not empty", "an automounter has a trigger"]),
    ("mount::against_link", &["a mount point is not empty"]),
    ("loopback::against_taking", &["the source of a loopback", "an automounter has a trigger"]),
    ("loopback::against_source", &["the source of a loopback"]),
    ("share::plan_release", &["a share cannot be taken back"]),
    ("share::against_taking", &["a share cannot be listed"]),
    ("address::plan_release", &["an address is on another device"]),
    ("address::against_taking", &["the network device is missing", "somebody answers at"]),
    ("steps::other_exports", &["an export of the asset is not configured"]),
    ("steps::asset", &["the asset cannot be released"]),
    ("steps::holders", &["something that no service owns"]),
    (
        "ha-takeover::act",
        &["the state directory has no room", "nobody can say who holds", "a step needs a program"],
    ),
    ("ha-takeover::report", &["the release record does not permit"]),
    ("proof::find", &["PEER does not answer, and its power can be", "no witness answers"]),
    ("proof::insist_on_same", &["the release record does not permit"]),
    (
        "proof::by_own_record",
        &["nothing proves that PEER", "PEER does not answer, and its power cannot", "neither host holds it"],
    ),
    (
        "proof::check_record",
        &[
            "the release record does not permit",
            "the record does not come after",
            "this host made the record",
            "HOST made the record with another configuration",
            "both hosts have the same hostid",
        ],
    ),
    ("proof::check_name", &["the peer is PEER, not NAME"]),
    ("proof::by_cluster", &["PEER did not let go and is not fenced"]),
    ("proof::check_peer_down", &["the peer is not down"]),
    (
        "steps::objections",
        &[
            "a mount point is not empty",
            "a share cannot be listed",
            "the source of a loopback",
            "the network device is missing",
            "the device is write-protected",
            "an automounter has a trigger",
            "the peer is not down",
        ],
    ),
    ("steps::check_state", &["the asset is not free", "nobody can say who holds"]),
    ("steps::plan", &["the restore fails"]),
];

/// Those of which a row is told by what calls them.
const PARTS: [(&str, &[&str]); 2] = [
    ("steps::check_reservations", &["a SCSI reservation"]),
    ("steps::check_peer_can_be_asked", &["PEER does not answer, and its power cannot"]),
];

/// Returns the rows: what is refused, its command and its risk.
fn rows() -> Vec<(String, String, String)> {
    let page = std::fs::read_to_string(workspace().join("man/ha-takeover.8")).unwrap();
    let (_, table) = page.split_once("\n.Ss Ways out\n").unwrap();
    let (table, _) = table.split_once("\n.El\n").unwrap();
    let line = |lines: &mut std::str::Lines<'_>, begin: &str| {
        lines.find_map(|line| line.strip_prefix(begin)).unwrap_or_default().trim().to_owned()
    };
    table
        .split("\n.It ")
        .skip(1)
        .map(|row| {
            let mut lines = row.lines();
            let title = lines.next().unwrap_or_default().to_owned();
            (title, line(&mut lines, ".Ic "), line(&mut lines, "Risk: "))
        })
        .collect()
}

#[test]
fn no_row_of_the_way_out_table_is_empty() {
    let rows = rows();
    assert!(rows.len() > 30, "{}", rows.len());
    for (title, command, risk) in &rows {
        assert!(!title.is_empty() && !risk.is_empty(), "{title}: {risk}");
        assert!(command.contains(' '), "{title}: {command}");
    }
    let titles: BTreeSet<&str> = rows.iter().map(|(title, ..)| title.as_str()).collect();
    assert_eq!(titles.len(), rows.len(), "twice the same");
}

/// Returns the functions in which something is refused, by file and name.
fn refusing() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (folder, name) in
        [("ha-takeover/src", "ha-takeover"), ("ha-release/src", "ha-release"), ("crates/host/src", "")]
    {
        for path in sources(&workspace().join(folder)) {
            let file = match path.file_stem().unwrap().to_str().unwrap() {
                "lib" => name,
                stem => stem,
            };
            let text = std::fs::read_to_string(&path).unwrap();
            let (text, _) = text.split_once("#[cfg(test)]").unwrap_or((&text, ""));
            let mut function = "";
            for line in text.lines() {
                if let Some((_, rest)) = line.split_once("fn ") {
                    function =
                        rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
                }
                let is_of_part = path.components().any(|folder| folder.as_os_str() == "parts");
                // What every part is asked for is no refusal yet.
                let objects = is_of_part && line.contains("fn against") && !line.ends_with(';');
                if objects
                    || ["Status::Refused", "objections.push(", "objections.extend(", "refuse("]
                        .iter()
                        .any(|word| line.contains(word))
                {
                    found.insert(format!("{file}::{function}"));
                }
            }
        }
    }
    found
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// A refusal that nobody thought of a way out for leaves an administrator with a dead end.
#[test]
fn each_function_that_refuses_has_its_ways_out_in_the_table() {
    let known: BTreeMap<&str, &[&str]> = REFUSALS.into_iter().chain(PARTS).collect();
    let refusing = refusing();
    let unknown: Vec<&String> = refusing.iter().filter(|name| !known.contains_key(name.as_str())).collect();
    assert!(unknown.is_empty(), "give each a row in man/ha-takeover.8 and a line here: {unknown:?}");
    let gone: Vec<&&str> = known.keys().filter(|name| !refusing.contains(**name)).collect();
    assert!(gone.is_empty(), "refuses no more: {gone:?}");
    let rows = rows();
    for (name, ways) in &known {
        for way in *ways {
            let there = rows.iter().filter(|(title, ..)| title.starts_with(way)).count();
            assert_eq!(there, 1, "{name}: \"{way}\" in man/ha-takeover.8");
        }
    }
    // And no row that nothing leads to.
    for (title, ..) in &rows {
        let is_led_to = known.values().any(|ways| ways.iter().any(|way| title.starts_with(way)));
        assert!(is_led_to || title.starts_with("another run holds the lock"), "{title}");
    }
}
