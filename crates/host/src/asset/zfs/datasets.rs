//! The file systems of a pool: which are mounted, how they are mounted again, which mount themselves.

use super::calls::Calls;
use crate::mountinfo::Mount;
use crate::mounts::spec::MountSpec;
use anyhow::{Context, bail};
use orderly_exec::runner::Run;
use std::path::{Path, PathBuf};

/// One file system of the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Dataset {
    name: String,
    /// A path, `legacy` or `none`.
    mountpoint: String,
    /// Whether it is mounted without being asked for by name.
    is_automatic: bool,
    is_mounted: bool,
    is_locked: bool,
}

const COLUMNS: &str = "name,mountpoint,canmount,mounted,keystatus";

/// Tells whether something that is mounted is a dataset, or a snapshot of one, of this pool.
pub(super) fn is_of(pool: &str, source: &str) -> bool {
    source.strip_prefix(pool).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '@']))
}

/// Mounts every dataset that has a mountpoint of its own and is to be mounted without being asked for.
/// What is mounted `later` would hide one that is mounted below it now.
///
/// # Errors
/// Names the first that cannot be mounted, and why.
pub(super) fn mount_own(
    pool: &str,
    later: &[PathBuf],
    calls: &Calls,
    run: &mut dyn Run,
) -> anyhow::Result<()> {
    let mut all = list(pool, calls, run)?;
    if all.iter().any(|dataset| dataset.is_locked) {
        calls.expect(&["zfs", "load-key", "-r", pool].map(str::to_owned), run)?;
        all = list(pool, calls, run)?;
    }
    all.retain(|dataset| dataset.is_automatic && !dataset.is_mounted && dataset.mountpoint.starts_with('/'));
    // A place within another one is there only when that one is mounted.
    all.sort_by_key(|dataset| (Path::new(&dataset.mountpoint).components().count(), dataset.name.clone()));
    for dataset in &all {
        let above = later.iter().find(|at| {
            Path::new(&dataset.mountpoint).starts_with(at) && dataset.mountpoint != at.to_string_lossy()
        });
        if let Some(above) = above {
            bail!(
                "{} mounts itself at {}, below {}, which is mounted after it and would hide it; zfs set mountpoint=legacy {}, and add an [[asset.mount]] for it",
                dataset.name,
                dataset.mountpoint,
                above.display(),
                dataset.name
            );
        }
        insist_on_empty(dataset)?;
        calls.expect(&["zfs", "mount", &dataset.name].map(str::to_owned), run)?;
    }
    Ok(())
}

/// ZFS mounts over what is there, which would then be hidden, unless it is told not to.
fn insist_on_empty(dataset: &Dataset) -> anyhow::Result<()> {
    let mut entries = match std::fs::read_dir(&dataset.mountpoint) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("look into {}", dataset.mountpoint)),
    };
    if entries.next().is_some() {
        bail!(
            "{} is not empty, and mounting {} would hide what is in it; move that away",
            dataset.mountpoint,
            dataset.name
        );
    }
    Ok(())
}

/// Returns how the datasets that are mounted now are mounted again, in the order in which they were.
///
/// # Errors
/// When ZFS does not say how a dataset of its own is mounted.
pub(super) fn as_found(
    pool: &str,
    ours: &[&Mount],
    calls: &Calls,
    run: &mut dyn Run,
) -> anyhow::Result<Vec<MountSpec>> {
    if ours.is_empty() {
        return Ok(Vec::new());
    }
    let all = list(pool, calls, run)?;
    let strange: Vec<PathBuf> = strange(ours).into_iter().map(|mount| mount.at.clone()).collect();
    let mut specs = Vec::new();
    for mount in ours {
        let name = mount.source.to_string_lossy().into_owned();
        // A snapshot is mounted again by whoever looks into it.
        if name.contains('@') || strange.contains(&mount.at) {
            continue;
        }
        let dataset = all.iter().find(|dataset| dataset.name == name);
        let dataset = dataset.with_context(|| format!("zfs list does not show {name}"))?;
        // What zfs mount itself hands to mount(8) for a dataset with a mountpoint of its own.
        let helper = if dataset.mountpoint == "legacy" { "" } else { ",zfsutil" };
        specs.push(MountSpec {
            what: Some(name),
            at: mount.at.clone(),
            fstype: Some("zfs".to_owned()),
            options: Some(format!("{}{helper}", mount.options)),
            bind: false,
        });
    }
    Ok(specs)
}

/// Returns what shows a dataset, or a part of one, at a second place.
pub(super) fn strange<'m>(ours: &[&'m Mount]) -> Vec<&'m Mount> {
    let is_second = |index: usize| ours[..index].iter().any(|first| first.device == ours[index].device);
    (0..ours.len())
        .filter(|index| ours[*index].root != Path::new("/") || is_second(*index))
        .map(|index| ours[index])
        .collect()
}

fn list(pool: &str, calls: &Calls, run: &mut dyn Run) -> anyhow::Result<Vec<Dataset>> {
    let text = calls.text(&["zfs", "list", "-H", "-r", "-t", "filesystem", "-o", COLUMNS, pool], run)?;
    text.lines().map(|line| read(line).with_context(|| format!("zfs list printed \"{line}\""))).collect()
}

fn read(line: &str) -> Option<Dataset> {
    let mut fields = line.split('\t');
    let dataset = Dataset {
        name: fields.next()?.to_owned(),
        mountpoint: fields.next()?.to_owned(),
        is_automatic: fields.next()? == "on",
        is_mounted: fields.next()? == "yes",
        is_locked: fields.next()? == "unavailable",
    };
    fields.next().is_none().then_some(dataset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mountinfo::Mounts;

    /// As the kernel showed it with OpenZFS 2.1.11 in the lab, with a bind mount and a snapshot.
    const TABLE: &[u8] = b"136 24 0:35 / /srv/data rw shared:57 - zfs tank/data rw,xattr,noacl\n\
        141 136 0:36 / /srv/data/a rw shared:77 - zfs tank/data/a rw,xattr,noacl\n\
        146 24 0:37 / /srv/xvm rw,relatime shared:80 - zfs tank/xvm rw,xattr,noacl\n\
        151 24 0:37 / /srv/x2 rw,relatime shared:80 - zfs tank/xvm rw,xattr,noacl\n\
        152 24 0:35 /sub /srv/x3 rw,relatime shared:80 - zfs tank/data rw,xattr,noacl\n\
        153 24 0:39 / /srv/tanker rw - zfs tanker rw,xattr,noacl\n";

    #[test]
    fn what_is_mounted_a_second_time_is_told_from_the_dataset() {
        let mounts = Mounts::parse(TABLE).unwrap();
        let ours: Vec<&Mount> =
            mounts.0.iter().filter(|mount| is_of("tank", &mount.source.to_string_lossy())).collect();
        assert_eq!(ours.len(), 5, "tanker is another pool");
        let places: Vec<String> = strange(&ours).iter().map(|mount| mount.at.display().to_string()).collect();
        assert_eq!(places, ["/srv/x2", "/srv/x3"]);
        assert!(is_of("tank", "tank@yesterday") && is_of("tank", "tank") && !is_of("tank", "tan"));
    }

    #[test]
    fn a_line_of_zfs_list_is_read_or_rejected() {
        let dataset = read("tank/data\t/srv/data\ton\tyes\t-").unwrap();
        assert!(dataset.is_automatic && dataset.is_mounted && !dataset.is_locked);
        assert!(read("tank/data\tlegacy\tnoauto\tno\tunavailable").unwrap().is_locked);
        assert!(read("tank/data\t/srv/data\ton\tyes").is_none());
        assert!(read("a\tb\tc\td\te\tf").is_none());
    }
}
