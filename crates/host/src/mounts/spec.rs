//! Making and unmaking mounts: commands as data.

use crate::mountinfo::{Mount, Mounts};
use crate::platform::{Argv, Platform};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A mount to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountSpec {
    /// A device, a folder, or whatever the type takes; `None` is mounted by taking the asset.
    pub what: Option<String>,
    pub at: PathBuf,
    pub fstype: Option<String>,
    pub options: Option<String>,
    pub bind: bool,
}

impl MountSpec {
    /// Returns the same mount with the options with which it was found.
    #[must_use]
    pub fn as_found(mut self, mount: &Mount) -> Self {
        self.options = Some(if self.bind { mount.options.clone() } else { mount.options_to_remount() });
        if !self.bind {
            self.fstype = Some(mount.fstype.clone());
        }
        self
    }

    /// Returns the commands that make it.
    pub fn commands(&self, platform: Platform) -> Vec<Argv> {
        let Some(what) = &self.what else { return Vec::new() };
        let at = self.at.to_string_lossy().into_owned();
        let options = self.options.as_deref().filter(|options| !options.is_empty());
        match platform {
            Platform::Linux if self.bind => {
                let mut commands = vec![["mount", "--bind", what, &at].map(str::to_owned).to_vec()];
                // A bind mount takes its options only in a second step (mount(8)).
                commands.extend(options.map(|options| {
                    ["mount", "-o", &format!("remount,bind,{options}"), &at].map(str::to_owned).to_vec()
                }));
                commands
            }
            Platform::Linux => vec![command("-t", self.fstype.as_deref(), options, what, &at)],
            Platform::Solaris => {
                let fstype = if self.bind { Some("lofs") } else { self.fstype.as_deref() };
                // What a mount has by itself is not asked for.
                let options = options.filter(|options| *options != "rw");
                vec![command("-F", fstype, options, what, &at)]
            }
        }
    }
}

fn command(flag: &str, fstype: Option<&str>, options: Option<&str>, what: &str, at: &str) -> Argv {
    let mut command = vec!["mount".to_owned()];
    for (flag, value) in [(flag, fstype), ("-o", options)] {
        command.extend(value.into_iter().flat_map(|value| [flag.to_owned(), value.to_owned()]));
    }
    command.extend([what.to_owned(), at.to_owned()]);
    command
}

/// Returns the command that unmounts. Never lazily: one could not learn whether it finished.
pub fn unmount_command(at: &Path) -> Argv {
    vec!["umount".to_owned(), at.to_string_lossy().into_owned()]
}

/// Tells whether a bind mount shows this very folder.
pub fn shows(mount: &Mount, source: &Path, mounts: &Mounts) -> bool {
    let is_at = |path: &Path| mounts.locate(path) == Some((mount.device, mount.root.clone()));
    // Links are followed only where it may be so: to look at a path may wait for a disk.
    is_at(source)
        || (mounts.locate(source).is_some_and(|(device, _)| device == mount.device)
            && std::fs::canonicalize(source).is_ok_and(|real| is_at(&real)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_made_again_with_the_options_it_had() {
        let table = b"30 22 7:0 / /srv/xvm rw,noatime shared:2 - ext4 /dev/loop0 rw,errors=continue\n";
        let mounts = Mounts::parse(table).unwrap();
        let spec = MountSpec {
            what: Some("/dev/loop0".into()),
            at: "/srv/xvm".into(),
            fstype: None,
            options: None,
            bind: false,
        };
        assert_eq!(
            spec.as_found(&mounts.0[0]).commands(Platform::Linux),
            [["mount", "-t", "ext4", "-o", "rw,noatime,errors=continue", "/dev/loop0", "/srv/xvm"]]
        );
    }

    /// Any folder of the asset passed for the one that is configured.
    #[test]
    fn a_bind_mount_shows_one_folder() {
        let table =
            b"30 22 7:0 / /srv/xvm rw - ext4 /dev/loop0 rw\n31 22 7:0 /opt /etc/a ro - ext4 /dev/loop0 rw\n";
        let mounts = Mounts::parse(table).unwrap();
        let found = &mounts.0[1];
        assert!(shows(found, Path::new("/srv/xvm/opt"), &mounts));
        assert!(!shows(found, Path::new("/srv/xvm/etc.opt"), &mounts));
    }

    #[test]
    fn a_bind_mount_takes_its_options_in_a_second_step() {
        let spec = MountSpec {
            what: Some("/a".into()),
            at: "/b".into(),
            fstype: None,
            options: Some("ro".into()),
            bind: true,
        };
        assert_eq!(
            spec.commands(Platform::Linux),
            [vec!["mount", "--bind", "/a", "/b"], vec!["mount", "-o", "remount,bind,ro", "/b"]]
        );
    }

    #[test]
    fn on_solaris_a_loopback_is_a_lofs_and_a_volume_has_its_type() {
        let loopback = MountSpec {
            what: Some("/var/opt/sun/xvm/uce/opt".into()),
            at: "/opt/SUNWuce".into(),
            fstype: None,
            options: Some("rw".into()),
            bind: true,
        };
        assert_eq!(
            loopback.commands(Platform::Solaris),
            [["mount", "-F", "lofs", "/var/opt/sun/xvm/uce/opt", "/opt/SUNWuce"]]
        );
        let volume = MountSpec {
            what: Some("OpsCenter/xvm".into()),
            fstype: Some("zfs".into()),
            options: Some("ro,nosetuid".into()),
            bind: false,
            ..loopback
        };
        assert_eq!(
            volume.commands(Platform::Solaris),
            [["mount", "-F", "zfs", "-o", "ro,nosetuid", "OpsCenter/xvm", "/opt/SUNWuce"]]
        );
    }
}
