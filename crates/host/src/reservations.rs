//! SCSI persistent reservations of the asset's disks: read through `sg_persist`, and never changed.
//!
//! A reservation that another host left locks the survivor out, and what is seen of it then is an
//! error of input or output. So it is asked for beforehand and said as what it is. Whose a key is, no
//! disk tells; `reservation_key` in `[[host]]` does.
//!
//! Invariant: only `--in` is ever run. Clearing a reservation takes the disk from whoever has it, and
//! is left to people.

use crate::platform::Argv;
use orderly_exec::job::{Ended, Ending, Job, show};
use orderly_exec::runner::Run;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the kernel lists block devices, with what they are made of.
const BLOCK: &str = "/sys/class/block";

/// How deep devices may be built on one another before the search is given up.
const DEEP: usize = 16;

/// What was found on the disks of the asset.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Reservations {
    /// Each a reservation that keeps this host out, with its remedy.
    pub objections: Vec<String>,
    /// Reservations of which nobody can say whether they do.
    pub notes: Vec<String>,
    /// What could not be asked.
    pub unasked: Vec<String>,
}

/// A reservation as a disk shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct HeldReservation {
    /// 0 where all registrants hold it together.
    key: u64,
    kind: String,
}

/// Looks at the SCSI disks below these devices; `own` is the key of this host, where it is known.
pub fn look(devices: &[PathBuf], own: Option<u64>, limit: Duration, run: &mut dyn Run) -> Reservations {
    let mut found = Reservations::default();
    let mut answered = BTreeSet::new();
    let mut silent = Vec::new();
    for disk in disks(Path::new(BLOCK), devices) {
        // Several paths lead to one disk, and some of them may be dead.
        if disk.id.as_ref().is_some_and(|id| answered.contains(id)) {
            continue;
        }
        match ask(&disk.path, limit, run) {
            Ok(held) => {
                answered.extend(disk.id);
                if let Some((held, keys)) = held {
                    judge(&disk.path, &held, &keys, own, &mut found);
                }
            }
            Err(why) => silent.push((disk, why)),
        }
    }
    silent.retain(|(disk, _)| disk.id.as_ref().is_none_or(|id| !answered.contains(id)));
    found.unasked.extend(silent.into_iter().map(|(_, why)| why));
    found
}

/// Says whether a reservation keeps this host out.
fn judge(disk: &Path, held: &HeldReservation, keys: &[u64], own: Option<u64>, found: &mut Reservations) {
    let shown = disk.display();
    let registered = match keys {
        [] => "no key is registered".to_owned(),
        keys => format!("registered are {}", keys.iter().map(written).collect::<Vec<_>>().join(", ")),
    };
    let whom = if held.key == 0 { String::new() } else { format!(" by the key {}", written(&held.key)) };
    let what = format!("{shown} has a SCSI reservation ({}){whom}; {registered}", held.kind);
    let for_registrants = held.kind.contains("registrants");
    let why = match own {
        Some(own) if own == held.key || (for_registrants && keys.contains(&own)) => return,
        Some(own) => format!("the key {} of this host is not among those that may write", written(&own)),
        None if for_registrants => {
            found.notes.push(format!(
                "{what}; whether this host may write to it is not known (reservation_key in its [[host]] would tell)"
            ));
            return;
        }
        None => "only the host that made it may write".to_owned(),
    };
    found.objections.push(format!(
        "{what}: {why}. It is never cleared here: release it on the host that made it, or, when you know that it is \
         stale, by hand with sg_persist --out; if the key is this host's, give reservation_key in its [[host]]"
    ));
}

fn written(key: &u64) -> String {
    format!("{key:#x}")
}

/// Returns the reservation of a disk and the keys that are registered; `None` where there is none.
fn ask(
    disk: &Path,
    limit: Duration,
    run: &mut dyn Run,
) -> Result<Option<(HeldReservation, Vec<u64>)>, String> {
    let command = |what: &str| -> Argv {
        ["sg_persist", "--no-inquiry", "--in", what, &disk.to_string_lossy()].map(str::to_owned).to_vec()
    };
    let reading = command("--read-reservation");
    let ended = run.run(&Job::new(&reading, limit));
    match ended.ending {
        Ending::Exited(0) if !ended.truncated => {}
        // sg3_utils(8): the disk knows no such command, so it has no reservations.
        Ending::Exited(5 | 9) => return Ok(None),
        // sg3_utils(8): a reservation of the old kind, which hides even this.
        Ending::Exited(24) => {
            let kind = "RESERVATION CONFLICT".to_owned();
            return Ok(Some((HeldReservation { key: 0, kind }, Vec::new())));
        }
        Ending::NotStarted => {
            return Err(format!(
                "SCSI reservations of {} are not looked at: sg_persist is not installed (on Debian and its like: \
                 apt-get install sg3-utils)",
                disk.display()
            ));
        }
        Ending::Exited(_) | Ending::Killed(_) | Ending::TimedOut | Ending::Unkillable => {
            return Err(unasked(&reading, &ended));
        }
    }
    let text = ended.text();
    let Some(held) = reservation(&text).ok_or_else(|| unreadable(&reading, &text))? else { return Ok(None) };
    let reading = command("--read-keys");
    let ended = run.run(&Job::new(&reading, limit));
    if !ended.succeeded() || ended.truncated {
        return Err(unasked(&reading, &ended));
    }
    let text = ended.text();
    let keys = keys(&text).ok_or_else(|| unreadable(&reading, &text))?;
    Ok(Some((held, keys)))
}

fn unasked(command: &Argv, ended: &Ended) -> String {
    format!("SCSI reservations cannot be read: {}: {}", show(command), ended.clause())
}

fn unreadable(command: &Argv, text: &str) -> String {
    format!("SCSI reservations cannot be read: {} printed \"{}\"", show(command), text.trim())
}

/// Reads what `sg_persist --read-reservation` prints; `None` where it is something else.
fn reservation(text: &str) -> Option<Option<HeldReservation>> {
    if text.contains("there is NO reservation held") {
        return Some(None);
    }
    let key = text.lines().find_map(|line| line.trim().strip_prefix("Key=0x"))?;
    let kind = text.lines().find_map(|line| line.split_once("type: "))?.1.trim().to_owned();
    Some(Some(HeldReservation { key: u64::from_str_radix(key.trim(), 16).ok()?, kind }))
}

/// Reads what `sg_persist --read-keys` prints; `None` where it is something else. A host that is
/// registered through two paths has its key there twice.
fn keys(text: &str) -> Option<Vec<u64>> {
    if text.contains("there are NO registered reservation keys") {
        return Some(Vec::new());
    }
    let (_, listed) = text.split_once("follow")?;
    let lines = listed.lines().skip(1).map(str::trim).filter(|line| !line.is_empty());
    let keys: Option<BTreeSet<u64>> =
        lines.map(|line| u64::from_str_radix(line.strip_prefix("0x")?, 16).ok()).collect();
    keys.map(|keys| keys.into_iter().collect())
}

/// A SCSI disk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Disk {
    path: PathBuf,
    /// What all paths to the same disk have alike.
    id: Option<String>,
}

/// Returns the SCSI disks that devices lie on: below partitions, volumes, multipaths.
fn disks(block: &Path, devices: &[PathBuf]) -> BTreeSet<Disk> {
    let mut found = BTreeSet::new();
    let mut names: BTreeSet<String> = devices
        .iter()
        .filter_map(|path| {
            let path = fs::canonicalize(path).ok()?;
            Some(path.file_name()?.to_string_lossy().into_owned())
        })
        .collect();
    for _ in 0..DEEP {
        let mut below = BTreeSet::new();
        for name in &names {
            let folder = block.join(name);
            let slaves = fs::read_dir(folder.join("slaves")).into_iter().flatten().flatten();
            below.extend(slaves.map(|entry| entry.file_name().to_string_lossy().into_owned()));
            below.extend(whole(&folder));
            if folder.join("device/scsi_level").exists() {
                let id = fs::read_to_string(folder.join("device/wwid")).ok();
                let id = id.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty());
                found.insert(Disk { path: Path::new("/dev").join(name), id });
            }
        }
        if below.is_empty() {
            break;
        }
        names = below;
    }
    found
}

/// Returns the disk of a partition.
fn whole(folder: &Path) -> Option<String> {
    if !folder.join("partition").exists() {
        return None;
    }
    let folder = fs::canonicalize(folder).ok()?;
    Some(folder.parent()?.file_name()?.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const NONE: &str = "  PR generation=0x2, there is NO reservation held\n";
    const RESERVED: &str = "  PR generation=0x2, Reservation follows:\n    Key=0xabc001\n    \
                            scope: LU_SCOPE,  type: Write Exclusive, registrants only\n";
    const KEYS: &str =
        "  PR generation=0x2, 2 registered reservation keys follow:\n    0xabc001\n    0xabc001\n";

    #[test]
    fn what_sg_persist_prints_is_read_and_anything_else_is_not_none() {
        let kind = "Write Exclusive, registrants only".to_owned();
        assert_eq!(reservation(NONE), Some(None));
        assert_eq!(reservation(RESERVED), Some(Some(HeldReservation { key: 0xabc001, kind })));
        assert_eq!(reservation("sg_persist: something new\n"), None);
        assert_eq!(keys(KEYS), Some(vec![0xabc001]));
        assert_eq!(
            keys("  PR generation=0x2, 1 registered reservation key follows:\n    0x1\n"),
            Some(vec![1])
        );
        assert_eq!(keys("  PR generation=0x0, there are NO registered reservation keys\n"), Some(Vec::new()));
        assert_eq!(keys("0x1\n"), None);
    }

    #[test]
    fn a_reservation_keeps_out_whoever_has_no_part_in_it() {
        let judged = |kind: &str, own| {
            let mut found = Reservations::default();
            let held = HeldReservation { key: 0xabc001, kind: kind.to_owned() };
            judge(Path::new("/dev/sdb"), &held, &[0xabc001, 0xabc003], own, &mut found);
            (found.objections.len(), found.notes.len())
        };
        let (alone, registrants) = ("Exclusive Access", "Write Exclusive, registrants only");
        assert_eq!(judged(alone, Some(0xabc001)), (0, 0));
        assert_eq!(judged(alone, Some(0xabc003)), (1, 0), "registered is not enough");
        assert_eq!(judged(alone, None), (1, 0));
        assert_eq!(judged(registrants, Some(0xabc003)), (0, 0));
        assert_eq!(judged(registrants, Some(0xabc002)), (1, 0));
        assert_eq!(judged(registrants, None), (0, 1), "nobody can say");
    }

    #[test]
    fn disks_are_found_below_partitions_and_multipaths() {
        let dir = tempfile::tempdir().unwrap();
        let (block, devices) = (dir.path().join("block"), dir.path().join("devices"));
        for folder in ["sdb/device", "sdb/sdb1", "sdc/device", "vda", "dm-0/slaves"] {
            fs::create_dir_all(devices.join(folder)).unwrap();
        }
        fs::create_dir_all(&block).unwrap();
        for name in ["sdb", "sdc", "vda", "dm-0", "sdb/sdb1"] {
            symlink(devices.join(name), block.join(name.rsplit('/').next().unwrap())).unwrap();
        }
        for disk in ["sdb", "sdc"] {
            fs::write(devices.join(disk).join("device/scsi_level"), "6\n").unwrap();
            fs::write(devices.join(disk).join("device/wwid"), "naa.6001405\n").unwrap();
        }
        fs::write(devices.join("sdb/sdb1/partition"), "1\n").unwrap();
        for path in ["sdb1", "sdc"] {
            fs::write(devices.join("dm-0/slaves").join(path), "").unwrap();
        }
        let node = dir.path().join("dm-0");
        fs::write(&node, "").unwrap();
        let found: Vec<PathBuf> = disks(&block, &[node]).into_iter().map(|disk| disk.path).collect();
        assert_eq!(found, [PathBuf::from("/dev/sdb"), PathBuf::from("/dev/sdc")]);
        let other = dir.path().join("vda");
        fs::write(&other, "").unwrap();
        assert!(disks(&block, &[other]).is_empty(), "not every disk is a SCSI disk");
    }
}
