//! The automounter: its triggers that are there now, and those that its maps make when it starts
//! (auto.master(5), autofs(5)). Whoever looks at a trigger has something mounted.
//!
//! Maps in files are read. One from elsewhere (NIS, LDAP) is not: its triggers are seen while they are there, and
//! one of direct mounts is reported as unknown.

use super::{NameMatch, unread};
use crate::mountinfo::trigger_over;
use crate::mountinfo::{self, Mounts};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The map that names all others.
const MASTER: &str = "/etc/auto.master";

/// Where another one may be named in its place (autofs.conf(5)).
const SETTINGS: &str = "/etc/autofs.conf";

/// Where a map that is named without a folder lies.
const FOLDER: &str = "/etc";

/// More than one map includes another.
const DEPTH: usize = 8;

/// Returns what an automounter mounts at or above these places, and where it mounts the asset itself; each with
/// its remedy.
pub(super) fn boot_mounts(places: &[PathBuf], is_ours: &dyn Fn(&str) -> NameMatch) -> Vec<String> {
    let mut found: Vec<String> = match mountinfo::own() {
        Ok(mounts) => live(places, &mounts),
        Err(error) => vec![format!("nobody can say whether an automounter is at work: {error:#}")],
    };
    let mut search = MapSearch { places, is_ours, found: Vec::new() };
    search.master(&master_map(fs::read_to_string(SETTINGS).unwrap_or_default().as_str()), DEPTH);
    found.append(&mut search.found);
    found
}

/// Returns the map of maps that the settings name, or the usual one.
fn master_map(settings: &str) -> PathBuf {
    let mut values = settings.lines().filter_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "master_map_name").then(|| value.trim().trim_matches('"'))
    });
    let named = values.next_back().filter(|value| !value.is_empty());
    named.map_or_else(|| PathBuf::from(MASTER), |value| Path::new(FOLDER).join(value))
}

fn live(places: &[PathBuf], mounts: &Mounts) -> Vec<String> {
    places.iter().filter_map(|place| trigger_over(place, mounts)).collect()
}

struct MapSearch<'s> {
    places: &'s [PathBuf],
    is_ours: &'s dyn Fn(&str) -> NameMatch,
    found: Vec<String>,
}

impl MapSearch<'_> {
    /// Reads a map of maps: `MOUNTPOINT [TYPE:]MAP [OPTIONS]`, `+MAP`, `+dir:FOLDER`.
    fn master(&mut self, path: &Path, depth: usize) {
        for (number, words) in self.lines(path) {
            let place = format!("{}:{number}", path.display());
            match words.as_slice() {
                [include, ..] if include.starts_with('+') => self.include(&include[1..], depth),
                [_, map, ..] if map == "-null" => {}
                [at, map, ..] if at == "/-" => self.map(map, Path::new("/-"), &place, depth),
                [at, map, ..] => {
                    let at = Path::new(at);
                    self.trigger(at, &place);
                    self.map(map, at, &place, depth);
                }
                _ => {}
            }
        }
    }

    fn include(&mut self, what: &str, depth: usize) {
        let Some(depth) = depth.checked_sub(1) else { return };
        if let Some(folder) = what.strip_prefix("dir:") {
            let entries = match fs::read_dir(folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == ErrorKind::NotFound => return,
                Err(error) => return self.found.push(unread(Path::new(folder), &error)),
            };
            let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            files.retain(|file| file.extension().is_some_and(|kind| kind == "autofs"));
            files.sort();
            for file in files {
                self.master(&file, depth);
            }
        } else if let Some(file) = file_of(what).filter(|file| file != Path::new(MASTER)) {
            self.master(&file, depth);
        }
    }

    /// Reads a map of mounts: of direct ones each key is a trigger, of others each is a name below the mountpoint.
    fn map(&mut self, map: &str, at: &Path, place: &str, depth: usize) {
        let is_direct = at == Path::new("/-");
        let readable = file_of(map).filter(|file| !is_program(map, file));
        let Some(file) = readable else {
            // The places of an indirect map are all below its mountpoint, which was looked at.
            if is_direct && !map.starts_with('-') && !self.places.is_empty() {
                self.found.push(format!(
                    "{place}: nobody can say where the automounter mounts: the map {map} is not a file that can be read; \
                     look at it"
                ));
            }
            return;
        };
        for (number, words) in self.lines(&file) {
            let line = format!("{}:{number}", file.display());
            match words.as_slice() {
                [include] if include.starts_with('+') => {
                    if let Some(depth) = depth.checked_sub(1) {
                        self.map(&include[1..], at, &line, depth);
                    }
                }
                [key, rest @ ..] => {
                    if is_direct {
                        self.trigger(Path::new(key), &line);
                    }
                    for location in rest.iter().filter_map(|word| word.strip_prefix(':')) {
                        self.location(&location.replace('&', key), key, at, &line);
                    }
                }
                [] => {}
            }
        }
    }

    fn trigger(&mut self, at: &Path, line: &str) {
        if let Some(place) = self.places.iter().find(|place| place.starts_with(at)) {
            self.found.push(format!(
                "{line}: the automounter mounts at {} as soon as somebody looks at {}; take that line out, and reload it",
                at.display(),
                place.display()
            ));
        }
    }

    /// Judges a device of this host that a map names.
    fn location(&mut self, device: &str, key: &str, at: &Path, line: &str) {
        let at = at.join(key.trim_start_matches('/'));
        match (self.is_ours)(device) {
            NameMatch::No => {}
            NameMatch::Yes => self.found.push(format!(
                "{line}: the automounter mounts {device} at {} as soon as somebody looks there; take that line out, and reload it",
                at.display()
            )),
            NameMatch::Unknown(why) => {
                self.found.push(format!("{line}: nobody can say whether {device} is the asset ({why}); take that line out"));
            }
        }
    }

    /// Returns the lines of a map that say something, with their numbers and words. One that ends with a
    /// backslash goes on in the next.
    fn lines(&mut self, path: &Path) -> Vec<(usize, Vec<String>)> {
        let text = match fs::read(path) {
            Ok(text) => String::from_utf8_lossy(&text).into_owned(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                self.found.push(unread(path, &error));
                return Vec::new();
            }
        };
        read_lines(&text)
    }
}

fn read_lines(text: &str) -> Vec<(usize, Vec<String>)> {
    let mut lines = Vec::new();
    let mut begun: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let (number, mut whole) = begun.take().unwrap_or((index + 1, String::new()));
        if let Some(part) = line.strip_suffix('\\') {
            whole.push_str(part);
            begun = Some((number, whole));
            continue;
        }
        whole.push_str(line);
        lines.push((number, whole));
    }
    lines.extend(begun);
    let words = |line: &str| {
        let said = line.split_whitespace().take_while(|word| !word.starts_with('#'));
        said.map(|word| word.replace(['"', '\\'], "")).collect::<Vec<String>>()
    };
    let lines = lines.into_iter().map(|(number, line)| (number, words(&line)));
    lines.filter(|(_, words)| !words.is_empty()).collect()
}

/// Returns the file of a map, where it is one: `/etc/auto.a`, `auto.a`, `file:auto.a`, `file,sun:/etc/auto.a`.
fn file_of(map: &str) -> Option<PathBuf> {
    let name = match map.split_once(':') {
        Some((kind, name))
            if ["file", "program", "exec"].contains(&kind.split(',').next().unwrap_or(kind)) =>
        {
            name
        }
        Some(_) => return None,
        None => map,
    };
    if name.is_empty() || name.starts_with('-') {
        return None;
    }
    let file = Path::new(FOLDER).join(name);
    // A name that no file here has is looked up elsewhere.
    file.exists().then_some(file)
}

fn is_program(map: &str, file: &Path) -> bool {
    ["program", "exec"].iter().any(|kind| map.starts_with(kind))
        || file.metadata().is_ok_and(|found| found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only what fstab and systemd say was looked at, so the first look at the place mounted the asset again.
    #[test]
    fn what_a_map_mounts_at_or_above_a_place_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("more")).unwrap();
        let put = |name: &str, text: &str| {
            fs::write(path(name), text.replace("DIR", &dir.path().display().to_string())).unwrap();
        };
        let found = |master: &str| {
            put("master", master);
            let places = [PathBuf::from("/srv/xvm")];
            let is_ours = |source: &str| (source == "/dev/ours").into();
            let mut search = MapSearch { places: &places, is_ours: &is_ours, found: Vec::new() };
            search.master(&path("master"), DEPTH);
            search.found
        };
        put("direct", "# a comment\n/srv/other host:/a\n/srv/xvm \\\n  -fstype=ext4 :/dev/sdz\n");
        put("indirect", "old -fstype=ext4,rw :/dev/ours # the old place\nnew host:/b\n& :/dev/none\n");
        put("more/a.autofs", "/srv DIR/indirect\n");
        put("more/b.off", "/srv DIR/indirect\n");
        let one = |master: &str, why: &str| {
            let found = found(master);
            assert!(found.len() == 1 && found[0].contains(why), "{master}: {found:?}");
        };
        one("/- DIR/direct\n", "direct:3: the automounter mounts at /srv/xvm");
        one("/- file:DIR/direct --timeout 60\n", "direct:3");
        one("/srv -hosts\n", "master:1: the automounter mounts at /srv as soon as");
        one("/srv/xvm ldap:ou=x\n", "master:1");
        one("/misc DIR/indirect\n", "indirect:1: the automounter mounts /dev/ours at /misc/old");
        one("/- yp:auto_direct\n", "nobody can say where the automounter mounts");
        assert_eq!(found("+dir:DIR/more\n").len(), 2, "the place, and the device");
        for master in [
            "",
            "#/srv x\n",
            "/srv -null\n",
            "/srvx -hosts\n",
            "/srv/xvm/below -hosts\n",
            "/net -hosts\n+auto.master\n",
        ] {
            assert!(found(master).is_empty(), "{master}: {:?}", found(master));
        }
    }

    #[test]
    fn the_map_of_maps_may_be_another_one() {
        for (settings, path) in [
            ("", MASTER),
            ("#master_map_name = x\ntimeout = 300\n", MASTER),
            ("master_map_name = auto.site\n", "/etc/auto.site"),
            ("master_map_name=\"/srv/maps\"\n", "/srv/maps"),
        ] {
            assert_eq!(master_map(settings), Path::new(path), "{settings}");
        }
    }

    #[test]
    fn a_trigger_that_is_there_is_found_at_and_above_a_place() {
        let table = b"30 22 0:39 / /srv rw - autofs /etc/auto.srv rw,fd=7,pgrp=1,timeout=300,minproto=5,maxproto=5,indirect\n\
                      31 30 7:0 / /srv/xvm rw - ext4 /dev/loop0 rw\n40 22 0:40 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw\n";
        let mounts = Mounts::parse(table).unwrap();
        let found = live(&["/srv/xvm".into(), "/opt/x".into()], &mounts);
        assert!(found.len() == 1 && found[0].contains("which mounts at /srv (/etc/auto.srv)"), "{found:?}");
    }
}
