//! Lines of fstab(5): which of them mount the asset at boot, and which only when something asks for them.

use super::options::Options;
use super::{NameMatch, unit};
use crate::mountinfo;
use std::path::{Path, PathBuf};

pub(super) const PATH: &str = "/etc/fstab";

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FstabLine {
    pub(super) number: usize,
    /// What is mounted, as it is written.
    pub(super) spec: String,
    /// As a path: a slash at the end is none of the name.
    pub(super) at: PathBuf,
    options: Options,
}

impl FstabLine {
    /// Returns the values of an option that may be given several times.
    fn values<'l>(&'l self, name: &'l str) -> impl Iterator<Item = &'l str> {
        self.options.values(name)
    }

    /// Tells whether it is mounted by nobody's wish but its own: by util-linux, or by systemd.
    pub(super) fn is_at_boot(&self) -> bool {
        self.options.mount_at_boot()
    }

    /// Returns where it stands.
    pub(super) fn place(&self) -> String {
        format!("{PATH}:{}", self.number)
    }

    /// Returns the unit that systemd makes of it.
    pub(super) fn unit(&self) -> String {
        format!("{}.mount", unit::name_of(&self.at))
    }

    /// Returns the paths whose mounts it needs: where it stands in, what it shows, what it says.
    pub(super) fn needs(&self) -> Vec<PathBuf> {
        let above = self.at.parent().map(Path::to_owned);
        let shown = PathBuf::from(mountinfo::unescape(self.spec.as_bytes()));
        let said = self.values("x-systemd.requires-mounts-for").map(PathBuf::from);
        above.into_iter().chain(unit::is_file(&shown).then_some(shown)).chain(said).collect()
    }
}

/// Reads the lines that mount something.
pub(super) fn lines(text: &[u8]) -> Vec<FstabLine> {
    let mut lines = Vec::new();
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let line = String::from_utf8_lossy(line);
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [spec, at, rest @ ..] = fields.as_slice() else { continue };
        if spec.starts_with('#') {
            continue;
        }
        let options = Options::read(rest.get(1).copied().unwrap_or_default());
        let at = PathBuf::from(mountinfo::unescape(at.as_bytes()));
        lines.push(FstabLine { number: index + 1, spec: (*spec).to_owned(), at, options });
    }
    lines
}

/// Returns the lines that mount the asset at boot or on access, each with its remedy. What `noauto`
/// keeps back, other units may still ask for.
pub(super) fn boot_mounts(
    lines: &[FstabLine],
    places: &[PathBuf],
    is_ours: &dyn Fn(&str) -> NameMatch,
) -> Vec<String> {
    lines.iter().filter_map(|line| mount(line, places, is_ours)).collect()
}

fn mount(line: &FstabLine, places: &[PathBuf], is_ours: &dyn Fn(&str) -> NameMatch) -> Option<String> {
    // Whatever noauto says (systemd.mount(5)).
    let on_access = line.options.has("x-systemd.automount") || line.options.has("comment=systemd.automount");
    let by = ["x-systemd.wanted-by", "x-systemd.required-by"]
        .into_iter()
        .find_map(|option| Some((option, line.values(option).next()?)));
    if !line.is_at_boot() && !on_access && by.is_none() {
        return None;
    }
    let (place, at) = (line.place(), line.at.display());
    // A trigger above a place mounts before the place can be reached.
    let is_over = |place: &PathBuf| *place == line.at || (on_access && place.starts_with(&line.at));
    let named = if places.iter().any(is_over) { NameMatch::Yes } else { is_ours(&line.spec) };
    if named == NameMatch::No {
        return None;
    }
    if let NameMatch::Unknown(why) = named {
        return Some(format!(
            "{place}: nobody can say whether {} is the asset: {why}; write its UUID, or add noauto to the options of {at}",
            line.spec
        ));
    }
    Some(match by {
        _ if on_access => format!(
            "{place}: {at} is mounted as soon as somebody looks there; take x-systemd.automount out of its options"
        ),
        Some((option, unit)) => {
            format!("{place}: {at} is mounted with {unit}; take {option} out of its options")
        }
        None if line.options.has("noauto") => format!(
            "{place}: {at} is mounted at boot whatever noauto says (of auto and noauto systemd heeds the last); leave \
             noauto alone in its options"
        ),
        None => format!("{place}: {at} is mounted at boot; add noauto to its options"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &[u8], places: &[&str], ours: &str) -> Vec<String> {
        let places: Vec<PathBuf> = places.iter().map(PathBuf::from).collect();
        boot_mounts(&lines(text), &places, &|source| (source == ours).into())
    }

    #[test]
    fn a_line_without_noauto_is_found_by_place_and_by_device() {
        let fstab = b"# /srv/xvm\nUUID=1 /srv/xvm ext4 defaults 0 2\n/srv/xvm/a /etc/a none bind,noauto 0 0\nUUID=9 /b ext4\n";
        let found = found(fstab, &["/srv/xvm", "/etc/a"], "UUID=9");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].starts_with("/etc/fstab:2: ") && found[1].starts_with("/etc/fstab:4: "),
            "{found:?}"
        );
    }

    #[test]
    fn a_line_of_which_nobody_knows_whether_it_is_the_asset_is_said() {
        let fstab = lines(b"PARTUUID=1 /b ext4 defaults\nPARTUUID=1 /c ext4 noauto\n");
        let found = boot_mounts(&fstab, &[], &|_| NameMatch::Unknown("there is no folder".to_owned()));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("/etc/fstab:1: nobody can say whether PARTUUID=1 is the asset"));
    }

    /// With noauto it passed for harmless, and the first look at the place mounted it.
    #[test]
    fn a_line_that_mounts_on_access_is_found_whatever_noauto_says() {
        let fstab = b"UUID=1 /srv/xvm ext4 noauto,x-systemd.automount 0 2\nUUID=2 /b ext4 noauto,x-systemd.automount\n";
        let on_access = found(fstab, &["/srv/xvm"], "");
        assert_eq!(on_access.len(), 1, "{on_access:?}");
        assert!(on_access[0].contains("take x-systemd.automount out"), "{on_access:?}");
        assert_eq!(found(b"UUID=1 /srv/x\\040y/ ext4\n", &["/srv/x y"], "").len(), 1);
    }

    /// util-linux does not mount such a line, and systemd does; it was released as safe.
    #[test]
    fn a_line_that_either_would_mount_is_found() {
        for options in ["noauto,auto", "noauto,auto=no", "noauto,rw,auto", "x=\"a,noauto\",rw", "a\\,noauto"]
        {
            let line = format!("UUID=1 /srv/xvm ext4 {options} 0 2\n");
            assert_eq!(found(line.as_bytes(), &["/srv/xvm"], "").len(), 1, "{options}");
        }
        for options in
            ["noauto", "auto,noauto", "auto=no,noauto", "noauto,noauto", "noauto=no", "rw,noauto,nofail"]
        {
            let line = format!("UUID=1 /srv/xvm ext4 {options} 0 2\n");
            assert!(found(line.as_bytes(), &["/srv/xvm"], "").is_empty(), "{options}");
        }
        let text = found(b"UUID=1 /srv/xvm ext4 noauto,auto\n", &["/srv/xvm"], "").remove(0);
        assert!(text.contains("leave noauto alone"), "{text}");
    }

    #[test]
    fn a_trigger_above_a_place_is_found() {
        let above =
            b"UUID=7 /srv ext4 noauto,x-systemd.automount=yes\nUUID=8 /sr ext4 noauto,x-systemd.automount\n";
        assert_eq!(found(above, &["/srv/xvm"], "").len(), 1);
    }

    #[test]
    fn a_line_that_a_unit_is_told_to_mount_is_found_whatever_noauto_says() {
        let fstab = b"UUID=1 /srv/xvm ext4 noauto,x-systemd.wanted-by=app.service 0 2\n";
        let found = found(fstab, &["/srv/xvm"], "");
        assert_eq!(
            found,
            [
                "/etc/fstab:1: /srv/xvm is mounted with app.service; take x-systemd.wanted-by out of its options"
            ]
        );
    }
}
