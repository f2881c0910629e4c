//! Whether this host would take the asset again when it boots, which two hosts must not both do.
//!
//! Asked of the files that say what is mounted, and not of a running systemd: what counts is the next
//! boot. Lines are read in `boot/fstab.rs`, units and what starts them in `boot/units.rs`, maps of the automounter in
//! `boot/autofs.rs`.

mod autofs;
mod fstab;
mod options;
mod unit;
mod units;

pub(crate) use unit::unescape;

use crate::platform::Platform;
use std::path::{Path, PathBuf};
use units::Units;

const VFSTAB: &str = "/etc/vfstab";

/// Whether a name in a table of mounts is that of the asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameMatch {
    Yes,
    No,
    /// It may be, and why nobody can say.
    Unknown(String),
}

impl From<bool> for NameMatch {
    fn from(is_it: bool) -> Self {
        if is_it { Self::Yes } else { Self::No }
    }
}

/// Returns what would mount the asset, or something at one of its places, at boot; each with its remedy.
pub fn boot_mounts(platform: Platform, places: &[PathBuf], device: Option<&str>) -> Vec<String> {
    match platform {
        Platform::Linux => on_linux(places, &|source| (device == Some(source)).into()),
        Platform::Solaris => read(VFSTAB, |text| in_vfstab(text, places, device)),
    }
}

/// Returns what mounts at boot, anywhere, a source for which `is_ours` does not say no; each with its remedy.
pub fn mounted(is_ours: &dyn Fn(&str) -> NameMatch) -> Vec<String> {
    on_linux(&[], is_ours)
}

/// Returns the target that starts a unit at boot. Without a kind it is a service, as systemctl(1) has it.
pub fn wanted(unit: &str) -> Option<String> {
    let unit = if unit.contains('.') { unit.to_owned() } else { format!("{unit}.service") };
    Units::load(&units::folders()).wanted_by(&unit)
}

fn on_linux(places: &[PathBuf], is_ours: &dyn Fn(&str) -> NameMatch) -> Vec<String> {
    let mut units = Units::load(&units::folders());
    let mut found = read(fstab::PATH, |text| {
        let lines = fstab::lines(text);
        let found = fstab::boot_mounts(&lines, places, is_ours);
        units.also(&lines);
        found
    });
    found.extend(units.boot_mounts(places, is_ours));
    found.extend(autofs::boot_mounts(places, is_ours));
    found
}

fn read(path: &str, look: impl FnOnce(&[u8]) -> Vec<String>) -> Vec<String> {
    match std::fs::read(path) {
        Ok(text) => look(&text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        // Unreadable is not empty.
        Err(error) => vec![unread(Path::new(path), &error)],
    }
}

fn unread(path: &Path, error: &std::io::Error) -> String {
    format!("{} cannot be read ({error}), so nobody knows what is mounted at boot", path.display())
}

/// Reads vfstab(4): what is mounted, what is checked, where, type, pass, at boot, options.
fn in_vfstab(text: &[u8], places: &[PathBuf], device: Option<&str>) -> Vec<String> {
    let mut found = Vec::new();
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let line = String::from_utf8_lossy(line);
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [special, _, at, _, _, "yes", ..] = fields.as_slice() else { continue };
        let ours = places.iter().any(|place| place.to_string_lossy() == *at);
        if !special.starts_with('#') && (ours || device == Some(*special)) {
            found.push(format!("{VFSTAB}:{}: {at} is mounted at boot; write no instead of yes", index + 1));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vfstab_line_with_yes_is_found() {
        let vfstab = b"#device to\nfd - /dev/fd fd - no -\nOpsCenter/xvm - /var/opt/sun/xvm zfs - yes -\n\
                       /var/opt/sun/xvm/uce/opt - /opt/SUNWuce lofs - no ro\n";
        let found = in_vfstab(vfstab, &["/var/opt/sun/xvm".into(), "/opt/SUNWuce".into()], None);
        assert_eq!(found, ["/etc/vfstab:3: /var/opt/sun/xvm is mounted at boot; write no instead of yes"]);
    }
}
