//! Snapshots that lie elsewhere than on the asset: a copy, which may have been cut.
//!
//! Invariant: what is not known to be copied to its end is never taken for the newest snapshot
//! (`a_copy_is_whole_only_where_latest_leads_to_the_newest`).

use super::{LATEST, Store};
use nix::fcntl::readlinkat;
use orderly_exec::{Status, fail};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

impl Store {
    /// Opens a copy for reading.
    ///
    /// # Errors
    /// Refused (4): also where others can write to it, since root would restore what they put there, and where it has
    /// no snapshots.
    pub fn open_elsewhere(path: &Path) -> anyhow::Result<Self> {
        let store = Self { is_copy: true, ..Self::open(path)? };
        let found = store.insist_on_owner()?;
        if found.mode() & 0o022 != 0 {
            let message = format!("{0}: others can write to it; chmod go-w {0}", path.display());
            return Err(fail(Status::Refused, message));
        }
        if store.snapshots()?.is_empty() {
            return Err(fail(Status::Refused, format!("{} has no snapshots", path.display())));
        }
        Ok(store)
    }

    /// Returns why the copy was not finished, as far as its directory tells. Whether a snapshot is whole in it is found
    /// out when that is read and hashed.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn cut(&self) -> anyhow::Result<Option<String>> {
        let Some(newest) = self.newest_whole()?.filter(|_| self.is_copy) else { return Ok(None) };
        let path = self.path.display();
        Ok(match readlinkat(&self.folder, LATEST) {
            Ok(target) if target == newest.to_string().as_str() => None,
            Ok(target) => {
                let target = target.to_string_lossy();
                Some(format!(
                    "{path} was not copied to its end: latest leads to {target}, and the newest is {newest}"
                ))
            }
            Err(_) => Some(format!(
                "{path} was not copied to its end: it has no latest, and the newest is {newest}"
            )),
        })
    }

    /// Insists that the newest snapshot of a copy is known to be the one that was the newest.
    ///
    /// # Errors
    /// Refused (4), with the remedy.
    pub fn insist_on_end(&self) -> anyhow::Result<()> {
        match self.cut()? {
            None => Ok(()),
            Some(why) => Err(fail(
                Status::Refused,
                format!(
                    "{why}; copy it again, or verify a snapshot and name it: habackup --store DIR --verify ID"
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_copy_is_whole_only_where_latest_leads_to_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Store::open_elsewhere(dir.path());
        assert!(open().unwrap_err().to_string().contains("refused"));
        for second in [5, 6] {
            fs::create_dir(dir.path().join(format!("2026-01-02T03-04-0{second}Z"))).unwrap();
        }
        fs::create_dir(dir.path().join("2026-01-02T03-04-07Z.incomplete")).unwrap();
        assert!(open().unwrap().cut().unwrap().unwrap().contains("it has no latest"));
        let latest = |target: &str| {
            fs::remove_file(dir.path().join(LATEST)).ok();
            symlink(target, dir.path().join(LATEST)).unwrap();
        };
        for target in ["2026-01-02T03-04-05Z", "2026-01-02T03-04-07Z.incomplete", "2026-01-02T03-04-08Z", "."]
        {
            latest(target);
            assert!(open().unwrap().insist_on_end().is_err(), "{target}");
        }
        latest("2026-01-02T03-04-06Z");
        assert_eq!(open().unwrap().cut().unwrap(), None);
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o770)).unwrap();
        assert_eq!(open().unwrap_err().downcast_ref(), Some(&Status::Refused));
    }
}
