//! Mounts that keep the asset busy: of the asset at places that nobody configured, of anything on top
//! of it, and in mount namespaces where an unmount on this host's side changes nothing.

use super::holder::Holder;
use super::namespaces::Tables;
use crate::mountinfo::{Mount, Mounts};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Returns those mounts; `own` is what this process sees mounted, `known` says of a mount in it
/// that whoever lets go of the asset unmounts it.
pub(super) fn find(
    own: &Mounts,
    tables: &Tables,
    on: &dyn Fn(&Mount) -> bool,
    known: &dyn Fn(&Mount) -> bool,
) -> (Vec<Holder>, Vec<String>) {
    let mut unread = Vec::new();
    let mut found: Vec<Holder> = stand_on(own, on)
        .filter(|mount| !known(mount))
        .map(|mount| Holder::Mount { at: mount.at.clone(), pid: None })
        .collect();
    // What is mounted above its place hides it from whoever would unmount it.
    let hidden = stand_on(own, on).filter(|mount| known(mount)).filter_map(|mount| own.hiding(mount));
    found.extend(hidden.map(|mount| Holder::Mount { at: mount.at.clone(), pid: None }));
    let mut kept = Vec::new();
    for (by, table) in tables.kept() {
        match table {
            Ok(mounts) => kept.push((by, mounts)),
            Err(why) => unread.push(why),
        }
    }
    let others: Vec<(u32, &Mounts)> = tables.others().collect();
    let every = others.iter().map(|(_, mounts)| *mounts).chain(kept.iter().map(|(_, mounts)| mounts));
    let ways = Ways::new(own, &every.collect::<Vec<_>>(), on);
    for (pid, mounts) in others {
        let stays = stand_on(mounts, on).filter(|mount| !ways.reach(mount, mounts));
        found.extend(stays.map(|mount| Holder::Mount { at: mount.at.clone(), pid: Some(pid) }));
    }
    for (by, mounts) in &kept {
        let stays = stand_on(mounts, on).filter(|mount| !ways.reach(mount, mounts));
        found.extend(stays.map(|mount| Holder::Kept { at: mount.at.clone(), by: by.clone() }));
    }
    (found, unread)
}

/// Returns the mounts of the asset, and what is mounted on top of them.
fn stand_on<'m>(mounts: &'m Mounts, on: &dyn Fn(&Mount) -> bool) -> impl Iterator<Item = &'m Mount> {
    let mut ids: BTreeSet<u64> = BTreeSet::new();
    for mount in mounts.0.iter().filter(|mount| on(mount)) {
        ids.insert(mount.id);
        ids.extend(mounts.above(mount.id).iter().map(|above| above.id));
    }
    mounts.0.iter().filter(move |mount| ids.contains(&mount.id))
}

/// How unmounting here goes on in other namespaces: from peer group to peer group. Services of systemd
/// with a namespace of their own hear of it in that way, and hold nothing.
struct Ways {
    /// Groups that hear of it, and the folder of their file system that is unmounted.
    heard: Vec<(BTreeSet<u64>, PathBuf)>,
}

/// Returns the mount that another one stands on, and the folder in its file system where it does.
fn foot<'m>(mount: &Mount, mounts: &'m Mounts) -> Option<(&'m Mount, PathBuf)> {
    let below = mounts.0.iter().find(|other| other.id == mount.parent)?;
    Some((below, below.root.join(mount.at.strip_prefix(&below.at).ok()?)))
}

impl Ways {
    fn new(own: &Mounts, others: &[&Mounts], on: &dyn Fn(&Mount) -> bool) -> Self {
        let heard = stand_on(own, on).filter_map(|mount| {
            let (below, folder) = foot(mount, own)?;
            let mut groups = BTreeSet::from([below.shared?]);
            // A group that hears may be heard in turn.
            loop {
                let more: Vec<u64> = others
                    .iter()
                    .flat_map(|mounts| &mounts.0)
                    .filter(|other| other.master.is_some_and(|group| groups.contains(&group)))
                    .filter_map(|other| other.shared.filter(|group| !groups.contains(group)))
                    .collect();
                if more.is_empty() {
                    return Some((groups, folder));
                }
                groups.extend(more);
            }
        });
        Self { heard: heard.collect() }
    }

    /// Tells whether a mount goes when that of the same folder is unmounted here.
    fn reach(&self, mount: &Mount, mounts: &Mounts) -> bool {
        let Some((below, folder)) = foot(mount, mounts) else { return false };
        let groups = [below.shared, below.master];
        self.heard.iter().any(|(heard, there)| {
            *there == folder && groups.iter().flatten().any(|group| heard.contains(group))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The asset is 7:0; on this host it is mounted at /srv, below a root that is shared as `root` says.
    fn reached(root: &str, theirs: &str) -> bool {
        let own =
            format!("1 0 8:1 / / rw {root} - ext4 /dev/sda rw\n2 1 7:0 / /srv rw - ext4 /dev/loop0 rw\n");
        let own = Mounts::parse(own.as_bytes()).unwrap();
        let theirs = Mounts::parse(theirs.as_bytes()).unwrap();
        let on = |mount: &Mount| mount.device.major == 7;
        let ways = Ways::new(&own, &[&theirs], &on);
        ways.reach(theirs.0.last().unwrap(), &theirs)
    }

    #[test]
    fn a_namespace_that_hears_of_the_unmount_holds_nothing() {
        let theirs = |optional: &str| {
            format!("9 0 8:1 / / rw {optional} - ext4 /dev/sda rw\n10 9 7:0 / /srv rw - ext4 /dev/loop0 rw\n")
        };
        assert!(reached("shared:1", &theirs("shared:1")));
        assert!(reached("shared:1", &theirs("master:1")));
        assert!(reached("shared:1", &theirs("shared:7 master:1")));
        assert!(!reached("shared:1", &theirs("")));
        assert!(!reached("shared:1", &theirs("shared:2")));
        assert!(!reached("", &theirs("master:1")));
        // A container that has all of this host below a folder of its own.
        let text = "8 0 0:9 / / rw - overlay overlay rw\n9 8 8:1 / /host rw master:1 - ext4 /dev/sda rw\n\
            10 9 7:0 / /host/srv rw - ext4 /dev/loop0 rw\n";
        assert!(reached("shared:1", text));
    }

    #[test]
    fn what_stands_on_the_asset_is_found_up_to_the_top() {
        let text = b"1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 7:0 / /srv rw - ext4 /dev/loop0 rw\n\
            3 2 0:9 / /srv/tmp rw - tmpfs tmpfs rw\n4 3 0:8 / /srv/tmp/deep rw - tmpfs tmpfs rw\n\
            5 1 7:0 /opt /opt rw - ext4 /dev/loop0 rw\n6 1 0:7 / /run rw - tmpfs tmpfs rw\n";
        let mounts = Mounts::parse(text).unwrap();
        let found: Vec<u64> =
            stand_on(&mounts, &|mount| mount.device.major == 7).map(|mount| mount.id).collect();
        assert_eq!(found, [2, 3, 4, 5]);
    }
}
