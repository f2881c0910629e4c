//! Overlays that have a directory of the asset among their layers.
//!
//! The kernel keeps a layer's file system in use by a mount of its own that no table shows: unmounting the
//! asset succeeds, and the file system stays.

use super::holder::Holder;
use super::namespaces::Tables;
use crate::mountinfo::{Device, Mount, Mounts, unescape};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// Returns those overlays, each once, in whatever mount namespace.
pub(super) fn users(own: &Mounts, tables: &Tables, on: &dyn Fn(&Mount) -> bool) -> Vec<Holder> {
    let mut known: BTreeSet<Device> = BTreeSet::new();
    let mut found = Vec::new();
    let others = tables.others().map(|(pid, mounts)| (Some(pid), mounts));
    for (pid, mounts) in std::iter::once((None, own)).chain(others) {
        for mount in mounts.0.iter().filter(|mount| mount.fstype == "overlay") {
            // Its layers are named as who mounted it saw them, which may be this namespace.
            let is_on =
                |path: &PathBuf| [mounts, own].iter().any(|table| table.covering(path).is_some_and(on));
            let layer = layers(&mount.super_options).into_iter().find(|(_, path)| is_on(path));
            if let Some((part, path)) = layer.filter(|_| known.insert(mount.device)) {
                found.push(Holder::Overlay { at: mount.at.clone(), part: part.to_owned(), path, pid });
            }
        }
    }
    found
}

/// Reads the layers from the options of an overlay, as the kernel shows them: several are parted by colons,
/// and a colon in a name has a backslash before it.
fn layers(options: &str) -> Vec<(&str, PathBuf)> {
    let mut found = Vec::new();
    for option in parted(options.as_bytes(), b',') {
        let Some(at) = option.iter().position(|byte| *byte == b'=') else { continue };
        let Some(part) = ["lowerdir", "upperdir", "workdir", "datadir"].into_iter().find(|part| {
            let key = &option[..at];
            key.strip_suffix(b"+").unwrap_or(key) == part.as_bytes()
        }) else {
            continue;
        };
        let paths = parted(&option[at + 1..], b':');
        found.extend(paths.iter().filter(|path| path.starts_with(b"/")).map(|path| (part, plain(path))));
    }
    found
}

/// Parts a text at a byte that has no backslash before it.
fn parted(text: &[u8], at: u8) -> Vec<Vec<u8>> {
    let mut parts = vec![Vec::new()];
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        let Some(last) = parts.last_mut() else { break };
        match byte {
            b'\\' => {
                last.push(byte);
                last.extend(bytes.next());
            }
            byte if byte == at => parts.push(Vec::new()),
            byte => last.push(byte),
        }
    }
    parts
}

fn plain(path: &[u8]) -> PathBuf {
    let text = unescape(path);
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes().iter().copied();
    while let Some(byte) = rest.next() {
        bytes.extend(if byte == b'\\' { rest.next() } else { Some(byte) });
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_read_with_their_escapes() {
        let read = |options| -> Vec<String> {
            layers(options).iter().map(|(part, path)| format!("{part} {}", path.display())).collect()
        };
        assert_eq!(
            read("rw,lowerdir=/srv/a\\:b:/low,upperdir=/up\\040per,workdir=/w,uuid=on"),
            ["lowerdir /srv/a:b", "lowerdir /low", "upperdir /up per", "workdir /w"]
        );
        assert_eq!(
            read("ro,lowerdir+=/a,lowerdir+=/b,datadir+=/c"),
            ["lowerdir /a", "lowerdir /b", "datadir /c"]
        );
        assert_eq!(read("rw,lowerdir=l/ABC:l/DEF,upperdir=x/diff"), Vec::<String>::new());
        assert_eq!(read("rw,a=\\"), Vec::<String>::new());
    }
}
