//! What would import the pool when this host boots.

use super::calls::Calls;
use super::datasets;
use crate::boot;
use orderly_exec::runner::Run;
use std::path::Path;

/// Where the pools are listed that `zfs-import-cache.service` imports.
const CACHE: &str = "/etc/zfs/zpool.cache";

/// Returns what would import the pool or mount a dataset of it at boot, each with its remedy.
pub(super) fn boot_mounts(pool: &str, is_held: bool, calls: &Calls, run: &mut dyn Run) -> Vec<String> {
    let mut found = boot::mounted(&|source| datasets::is_of(pool, source).into());
    if is_held {
        match calls.text(&["zpool", "get", "-H", "-o", "value", "cachefile", pool], run) {
            Ok(value) if value.trim() == "none" => {}
            Ok(value) => found.push(format!(
                "{pool} is remembered in {}, from which it is imported at boot; zpool set cachefile=none {pool}",
                if value.trim() == "-" { CACHE } else { value.trim() }
            )),
            Err(error) => found.push(format!("nobody can say whether {pool} is imported at boot: {error:#}")),
        }
    }
    found.extend(in_cache(Path::new(CACHE), pool));
    for unit in ["zfs-import-scan.service", "zfs-import-all.service"] {
        found.extend(boot::wanted(unit).map(|by| {
            format!("{unit}, wanted by {by}, imports every pool it finds at boot; systemctl disable {unit}")
        }));
    }
    found
}

/// Looks for the pool in the cache file: a packed list of names and values, each text between zeros.
fn in_cache(path: &Path, pool: &str) -> Option<String> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => {
            return Some(format!(
                "{} cannot be read ({error}), so nobody knows which pools are imported at boot",
                path.display()
            ));
        }
    };
    let wanted = [b"\0", pool.as_bytes(), b"\0"].concat();
    bytes.windows(wanted.len()).any(|window| window == wanted).then(|| {
        format!(
            "{} names {pool}, so it is imported at boot; zpool set cachefile=none {pool}, or remove the file",
            path.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_in_the_cache_file_is_found_by_its_whole_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("zpool.cache");
        assert_eq!(in_cache(&path, "tank"), None);
        // As OpenZFS 2.1.11 began and filled it in the lab.
        let name =
            |pool: &[u8]| [b"\x05\0\0\0\x01\0\0\0\t\0\0\0name\0\0\0\0", pool, b"\0\0\0 \0\0\0"].concat();
        std::fs::write(&path, [name(b"tank"), name(b"tanker")].concat()).unwrap();
        assert!(in_cache(&path, "tank").is_some() && in_cache(&path, "tanker").is_some());
        assert_eq!(in_cache(&path, "tan"), None);
        assert!(in_cache(dir.path(), "tank").unwrap().contains("cannot be read"));
    }
}
