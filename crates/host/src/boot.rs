//! Whether this host would take the asset again when it boots, which two hosts must not both do.

use crate::config::{Config, Platform};
use crate::mountinfo;
use std::path::{Path, PathBuf};

const FSTAB: &str = "/etc/fstab";
const VFSTAB: &str = "/etc/vfstab";
/// Where units are, and what wants them: the administrator's, those of now, and those of packages.
const UNITS: [&str; 3] = ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system"];

/// Returns what would mount the asset, or a loopback on it, at boot; each with its remedy.
pub fn takers(config: &Config, device: Option<&str>) -> Vec<String> {
    let places = places(config);
    match config.platform {
        Platform::Linux => {
            let mut found = read(FSTAB, |text| in_fstab(text, &places, &|source| device == Some(source)));
            found.extend(UNITS.iter().flat_map(|root| in_units(Path::new(root), &places)));
            found
        }
        Platform::Solaris => read(VFSTAB, |text| in_vfstab(text, &places, device)),
    }
}

/// Returns what mounts at boot, anywhere, a source for which `is_ours` says yes; each with its remedy.
pub fn mounted(is_ours: &dyn Fn(&str) -> bool) -> Vec<String> {
    read(FSTAB, |text| in_fstab(text, &[], is_ours))
}

/// Returns the target that starts a unit at boot. Without a kind it is a service, as systemctl(1) has it.
pub fn wanted(unit: &str) -> Option<String> {
    let unit = &if unit.contains('.') { unit.to_owned() } else { format!("{unit}.service") };
    UNITS.iter().flat_map(|root| wanting(Path::new(root), unit)).next()
}

fn read(path: &str, look: impl FnOnce(&[u8]) -> Vec<String>) -> Vec<String> {
    match std::fs::read(path) {
        Ok(text) => look(&text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        // Unreadable is not empty.
        Err(error) => {
            vec![format!("{path} cannot be read ({error}), so nobody knows what is mounted at boot")]
        }
    }
}

fn places(config: &Config) -> Vec<PathBuf> {
    let mounts = config.asset.mounts.iter().map(|mount| mount.at.clone());
    mounts.chain(config.loopbacks.iter().map(|loopback| loopback.at.clone())).collect()
}

fn in_fstab(text: &[u8], places: &[PathBuf], is_ours: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let line = String::from_utf8_lossy(line);
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [spec, at, rest @ ..] = fields.as_slice() else { continue };
        let has =
            |wanted: &[&str]| rest.get(1).is_some_and(|all| all.split(',').any(|one| wanted.contains(&one)));
        // Whatever noauto says (systemd.mount(5)).
        let on_access = has(&["x-systemd.automount", "comment=systemd.automount"]);
        if spec.starts_with('#') || (has(&["noauto"]) && !on_access) {
            continue;
        }
        // As paths: a slash at the end is none of the name.
        let place = PathBuf::from(mountinfo::unescape(at.as_bytes()));
        let ours = places.contains(&place);
        if !ours && !is_ours(spec) {
            continue;
        }
        found.push(match on_access {
            true => format!(
                "{FSTAB}:{}: {at} is mounted as soon as somebody looks there; take x-systemd.automount out of its options",
                index + 1
            ),
            false => format!("{FSTAB}:{}: {at} is mounted at boot; add noauto to its options", index + 1),
        });
    }
    found
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

/// Looks for mount units, and those that mount on access, that something wants:
/// `TARGET.wants/srv-xvm.mount`.
fn in_units(root: &Path, places: &[PathBuf]) -> Vec<String> {
    let kinds = |place: &PathBuf| ["mount", "automount"].map(|kind| format!("{}.{kind}", unit_name(place)));
    let names: Vec<String> = places.iter().flat_map(kinds).collect();
    let mut found: Vec<String> = names
        .iter()
        .flat_map(|name| wanting(root, name).into_iter().map(move |by| (name, by)))
        .map(|(name, by)| format!("{name} is wanted by {by}; systemctl disable {name}"))
        .collect();
    found.sort();
    found
}

/// Returns the folders that link to a unit: `TARGET.wants`, `TARGET.requires`.
fn wanting(root: &Path, unit: &str) -> Vec<String> {
    let folders = std::fs::read_dir(root).into_iter().flatten().flatten();
    let wants = |path: &Path| path.extension().is_some_and(|e| e == "wants" || e == "requires");
    let mut found: Vec<String> = folders
        .filter(|entry| wants(&entry.path()) && entry.path().join(unit).symlink_metadata().is_ok())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    found
}

/// Returns the name systemd gives to the units of a path (systemd-escape(1) `--path`), without their kind.
fn unit_name(path: &Path) -> String {
    let text = path.to_string_lossy();
    let mut name = String::new();
    for (index, byte) in text.trim_matches('/').bytes().enumerate() {
        match byte {
            b'/' => name.push('-'),
            b'.' if index == 0 => name.push_str("\\x2e"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b':' | b'_' | b'.' => name.push(char::from(byte)),
            _ => name.push_str(&format!("\\x{byte:02x}")),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_fstab_line_without_noauto_is_found_by_place_and_by_device() {
        let fstab = b"# /srv/xvm\nUUID=1 /srv/xvm ext4 defaults 0 2\n/srv/xvm/a /etc/a none bind,noauto 0 0\nUUID=9 /b ext4\n";
        let places = [PathBuf::from("/srv/xvm"), PathBuf::from("/etc/a")];
        let found = in_fstab(fstab, &places, &|source| source == "UUID=9");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].starts_with("/etc/fstab:2: ") && found[1].starts_with("/etc/fstab:4: "),
            "{found:?}"
        );
    }

    /// With noauto it passed for harmless, and the first look at the place mounted it.
    #[test]
    fn an_fstab_line_that_mounts_on_access_is_found_whatever_noauto_says() {
        let fstab = b"UUID=1 /srv/xvm ext4 noauto,x-systemd.automount 0 2\nUUID=2 /b ext4 noauto,x-systemd.automount\n";
        let found = in_fstab(fstab, &["/srv/xvm".into()], &|_| false);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(in_fstab(b"UUID=1 /srv/x\\040y/ ext4\n", &["/srv/x y".into()], &|_| false).len(), 1);
        assert!(found[0].contains("take x-systemd.automount out"), "{found:?}");
    }

    #[test]
    fn a_vfstab_line_with_yes_is_found() {
        let vfstab = b"#device to\nfd - /dev/fd fd - no -\nOpsCenter/xvm - /var/opt/sun/xvm zfs - yes -\n\
                       /var/opt/sun/xvm/uce/opt - /opt/SUNWuce lofs - no ro\n";
        let found = in_vfstab(vfstab, &["/var/opt/sun/xvm".into(), "/opt/SUNWuce".into()], None);
        assert_eq!(found, ["/etc/vfstab:3: /var/opt/sun/xvm is mounted at boot; write no instead of yes"]);
    }

    #[test]
    fn a_wanted_mount_unit_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let wants = dir.path().join("multi-user.target.wants");
        std::fs::create_dir(&wants).unwrap();
        std::os::unix::fs::symlink("/etc/x", wants.join("srv-x\\x2dvm.mount")).unwrap();
        assert_eq!(in_units(dir.path(), &["/srv/x-vm".into()]).len(), 1);
        std::os::unix::fs::symlink("/etc/x", wants.join("srv-db.automount")).unwrap();
        assert_eq!(in_units(dir.path(), &["/srv/db".into()]).len(), 1);
        assert!(in_units(dir.path(), &["/srv/xvm".into()]).is_empty());
    }
}
