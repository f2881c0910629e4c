//! What the kernel's NFS server keeps open: exports, and files that its clients have open.
//!
//! A client with an open file keeps a file system busy also after its export is gone
//! (`/proc/fs/nfsd/clients/*/states`, Linux 5.3 and later).

use super::holder::Holder;
use crate::mountinfo::{Device, Mount, Mounts};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const NFSD: &str = "/proc/fs/nfsd";

/// Returns the exports and open files on mounts for which `on` says yes.
pub(super) fn users(own: &Mounts, on: &dyn Fn(&Mount) -> bool, unread: &mut Vec<String>) -> Vec<Holder> {
    let root = Path::new(NFSD);
    let mut found: Vec<Holder> = exports(root)
        .into_iter()
        .filter(|path| own.covering(path).is_some_and(on))
        .map(|path| Holder::Export { path })
        .collect();
    found.extend(
        clients(root, unread)
            .into_iter()
            .filter(|(device, _)| own.of(*device).any(on))
            .map(|(_, holder)| holder),
    );
    found
}

/// Tells whether the kernel's NFS server exports a path now.
pub(super) fn is_exported(path: &Path) -> bool {
    exports(Path::new(NFSD)).iter().any(|exported| exported == path)
}

fn exports(root: &Path) -> Vec<PathBuf> {
    let text = fs::read(root.join("exports")).unwrap_or_default();
    let lines = text.split(|&byte| byte == b'\n').filter(|line| line.starts_with(b"/"));
    lines
        .filter_map(|line| line.split(|byte| byte.is_ascii_whitespace()).next())
        .map(|path| PathBuf::from(crate::mountinfo::unescape(path)))
        .collect()
}

/// Returns each open file of each client, once, with the device it is on.
fn clients(root: &Path, unread: &mut Vec<String>) -> Vec<(Device, Holder)> {
    let folder = root.join("clients");
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries.flatten(),
        // No server runs here, or it is an old one that shows nothing.
        Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            unread.push(format!("{}: {error}", folder.display()));
            return Vec::new();
        }
    };
    let mut found = BTreeMap::new();
    for entry in entries {
        let client = entry.path();
        let info = fs::read_to_string(client.join("info")).unwrap_or_default();
        let address = field(&info, "address").unwrap_or_else(|| "of unknown address".to_owned());
        match fs::read_to_string(client.join("states")) {
            Ok(states) => {
                for (device, file) in states.lines().filter_map(open_file) {
                    let control = client.join("ctl");
                    found.insert(
                        (device, address.clone(), file.clone()),
                        Holder::Client { client: address.clone(), file, control },
                    );
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => unread.push(format!("{}: {error}", client.join("states").display())),
        }
    }
    found.into_iter().map(|((device, ..), holder)| (device, holder)).collect()
}

/// Reads one line of `states`: the device in hexadecimal and the name of the file.
fn open_file(line: &str) -> Option<(Device, String)> {
    let superblock = field(line, "superblock")?;
    let mut numbers = superblock.split(':').map(|number| u64::from_str_radix(number, 16));
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else { return None };
    let file = field(line, "filename").unwrap_or_else(|| "a file".to_owned());
    Some((Device { major, minor }, file))
}

/// Returns what stands in quotes behind a name.
fn field(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("{name}: \""))?;
    Some(rest.split_once('"')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_open_files_of_a_client_are_told_by_their_device() {
        let dir = tempfile::tempdir().unwrap();
        let client = dir.path().join("clients/3");
        fs::create_dir_all(&client).unwrap();
        fs::write(client.join("info"), INFO).unwrap();
        fs::write(client.join("states"), STATES).unwrap();
        let mut unread = Vec::new();
        let found = clients(dir.path(), &mut unread);
        let device = Device { major: 254, minor: 17 };
        assert_eq!((found.len(), found[0].0), (1, device), "{found:?}");
        assert!(found[0].1.to_string().starts_with("NFS client 192.168.77.2:"), "{}", found[0].1);
        assert!(found[0].1.to_string().contains(" has /held open"), "{}", found[0].1);
        assert!(unread.is_empty());
    }

    #[test]
    fn a_server_that_is_not_there_has_no_clients() {
        let dir = tempfile::tempdir().unwrap();
        let mut unread = Vec::new();
        assert!(clients(dir.path(), &mut unread).is_empty() && unread.is_empty());
        assert!(exports(dir.path()).is_empty());
    }

    #[test]
    fn an_exported_path_with_a_blank_is_unescaped() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("exports"), "# Version 1.1\n/srv/a\\040b\t*(ro)\n").unwrap();
        assert_eq!(exports(dir.path()), [PathBuf::from("/srv/a b")]);
    }

    /// As printed by Linux 6.1 in the lab: a client with one file open, and a delegation of it.
    const INFO: &str = "clientid: 0xf31a056d6b02650f\naddress: \"192.168.77.2:702\"\nstatus: confirmed\n\
        seconds from last renew: 3\nname: \"Linux NFSv4.2 ec2\"\nminor version: 2\n";

    const STATES: &str = r#"- 0x000000010f65026b6d051af301000000: { type: open, access: r-, deny: --, superblock: "fe:11:12", filename: "/held", owner: "open id:\x00\x00\x00%\x00\x00\x00\x00\x00\x00\x00\x1d\x0d\xc5\xa0\x95" }
- 0x000000010f65026b6d051af302000000: { type: deleg, access: r, superblock: "fe:11:12", filename: "/held" }
"#;
}
