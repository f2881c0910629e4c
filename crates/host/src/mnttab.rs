//! What `mount -v` prints on Solaris, as the values that [`crate::mountinfo`] has for Linux.
//!
//! Pure. A line is `SPECIAL on PLACE type FSTYPE OPTIONS on DATE`, the options divided by slashes
//! (mount(1M)). A loopback mount (`lofs`) shows the folder it was made of; it is translated into the
//! file system below it with the folder inside, as the Linux kernel shows a bind mount, so that
//! everything that asks "is this on the asset" asks the same on both.

use crate::mountinfo::{Device, Mount, Mounts};
use anyhow::Context;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Bits of the minor number in a 32-bit device number of Solaris (`L_BITSMINOR`).
const MINOR_BITS: u32 = 18;

/// Reads the whole table.
///
/// # Errors
/// Names the line: a mount that cannot be read might be the one that matters.
pub fn parse(text: &str) -> anyhow::Result<Mounts> {
    let mut mounts = Mounts::default();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let mut mount = parse_line(line, index as u64 + 1)
            .with_context(|| format!("line {} is not a mount: {line}", index + 1))?;
        mount.parent = mounts.covering(&mount.at).map_or(0, |below| below.id);
        if mount.fstype == "lofs" {
            show_what_is_below(&mut mount, &mounts);
        }
        mounts.0.push(mount);
    }
    Ok(mounts)
}

fn parse_line(line: &str, id: u64) -> Option<Mount> {
    let (head, _date) = line.trim().rsplit_once(" on ")?;
    let (what, how) = head.rsplit_once(" type ")?;
    let (special, at) = what.split_once(" on ")?;
    let (fstype, words) = how.split_once(' ').unwrap_or((how, ""));
    if special.is_empty() || fstype.is_empty() || !at.starts_with('/') {
        return None;
    }
    let words: Vec<&str> = words.split('/').collect();
    let device = words.iter().find_map(|word| word.strip_prefix("dev=")).and_then(parse_device);
    Some(Mount {
        id,
        parent: 0,
        // A number that is not shown is no number that another mount could have.
        device: device.unwrap_or(Device { major: u64::MAX, minor: id }),
        root: PathBuf::from("/"),
        at: PathBuf::from(at),
        options: options(&words),
        fstype: fstype.to_owned(),
        source: OsString::from(special),
        super_options: String::new(),
        shared: None,
        master: None,
    })
}

fn parse_device(hex: &str) -> Option<Device> {
    let number = u64::from_str_radix(hex, 16).ok()?;
    Some(Device { major: number >> MINOR_BITS, minor: number & ((1 << MINOR_BITS) - 1) })
}

/// Returns the options that differ from what a mount has by itself; those make it again.
fn options(words: &[&str]) -> String {
    let read_only = words.iter().any(|word| matches!(*word, "read only" | "ro"));
    let refused = words.iter().copied().filter(|word| word.starts_with("no") && !word.contains('='));
    std::iter::once(if read_only { "ro" } else { "rw" }).chain(refused).collect::<Vec<_>>().join(",")
}

/// By the device number: a mount made over the folder later hides what is below, and does not lie.
fn show_what_is_below(mount: &mut Mount, earlier: &Mounts) {
    let folder = PathBuf::from(&mount.source);
    let candidates = earlier.of(mount.device).filter(|other| folder.starts_with(&other.at));
    let Some(below) = candidates.max_by_key(|other| other.at.components().count()) else { return };
    let Ok(rest) = folder.strip_prefix(&below.at) else { return };
    mount.root = if rest == Path::new("") { below.root.clone() } else { below.root.join(rest) };
    mount.fstype.clone_from(&below.fstype);
    mount.source.clone_from(&below.source);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As printed in "Shutting Down the Primary Enterprise Controller".
    const PRINTED: &str = "\
OpsCenter/xvm on /var/opt/sun/xvm type zfs read/write/setuid/devices/exec/xattr/atime/dev=4010002 on Mon Feb 23 07:59:22 2009
/var/opt/sun/xvm/uce/etc.opt on /etc/opt/SUNWuce type lofs read/write/setuid/devices/dev=4010002 on Mon Feb 23 08:15:15 2009
/var/opt/sun/xvm/uce/var.opt on /var/opt/SUNWuce type lofs read/write/setuid/devices/dev=4010002 on Mon Feb 23 08:15:15 2009
/var/opt/sun/xvm/uce/opt on /opt/SUNWuce type lofs read/write/setuid/devices/dev=4010002 on Mon Feb 23 08:15:15 2009
";

    #[test]
    fn the_printed_table_shows_the_pool_and_what_is_mounted_from_it() {
        let mounts = parse(PRINTED).unwrap();
        let pool = mounts.at(Path::new("/var/opt/sun/xvm")).unwrap();
        assert_eq!((pool.fstype.as_str(), pool.source.to_str()), ("zfs", Some("OpsCenter/xvm")));
        assert_eq!(pool.options, "rw");
        assert_eq!(mounts.of(pool.device).count(), 4);
        for (at, folder) in
            [("/etc/opt/SUNWuce", "etc.opt"), ("/var/opt/SUNWuce", "var.opt"), ("/opt/SUNWuce", "opt")]
        {
            let mount = mounts.at(Path::new(at)).unwrap();
            assert_eq!((mount.fstype.as_str(), mount.source.to_str()), ("zfs", Some("OpsCenter/xvm")));
            let source = PathBuf::from("/var/opt/sun/xvm/uce").join(folder);
            assert_eq!(mounts.locate(&source), Some((mount.device, mount.root.clone())));
        }
    }

    #[test]
    fn other_lines_of_a_solaris_are_read_and_a_strange_one_is_named() {
        let text = "/devices on /devices type devfs read/write/setuid/devices/dev=4a00000 on Mon Feb 23 07:58:01 2009\n\
                    /dev/dsk/c0t0d0s0 on / type ufs read only/nosetuid/intr/largefiles/xattr/onerror=panic/dev=800010 on Mon Feb 23 07:58:01 2009\n\
                    -hosts on /net type autofs read/write/setuid/devices/nobrowse/ignore/dev=4c80001 on Mon Feb 23 07:58:30 2009\n\
                    swap on /srv/a on b type tmpfs read/write on Mon Feb 23 07:58:30 2009\n";
        let mounts = parse(text).unwrap();
        assert_eq!(mounts.0[1].options, "ro,nosetuid");
        assert_eq!(mounts.0[2].parent, 2, "it stands on the root");
        assert_eq!(mounts.0[3].at, Path::new("/srv/a on b"));
        let error = format!("{:#}", parse("a on /b type zfs rw on Mon\n\nnonsense\n").unwrap_err());
        assert!(error.contains("line 3"), "{error}");
    }

    #[test]
    fn a_loopback_of_something_else_stays_what_it_is() {
        let text = format!(
            "{PRINTED}/export/home on /home type lofs read/write/dev=800010 on Mon Feb 23 08:15:15 2009\n"
        );
        let mounts = parse(&text).unwrap();
        assert_eq!(mounts.at(Path::new("/home")).unwrap().fstype, "lofs");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_rejected_and_never_a_panic(text in "\\PC{0,200}") {
            let _read_or_not = parse(&text);
        }
    }
}
