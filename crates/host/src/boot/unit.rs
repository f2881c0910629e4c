//! One systemd unit as its file and its drop-ins have it: what it mounts, and what it makes start.

use std::path::{Component, Path, PathBuf};

/// What names units that are started with the unit (systemd.unit(5), systemd.service(5)).
const STARTS: [&str; 5] = ["Wants", "Requires", "BindsTo", "Upholds", "Sockets"];

/// What names paths; every mount that one may lie on is started with the unit (systemd.unit(5)).
const PATHS: [&str; 2] = ["RequiresMountsFor", "WantsMountsFor"];

/// The same, one path each (systemd.exec(5)).
const PATH: [&str; 3] = ["WorkingDirectory", "RootDirectory", "RootImage"];

/// The same, of names below a folder of the system.
const FOLDERS: [(&str, &str); 5] = [
    ("StateDirectory", "/var/lib"),
    ("CacheDirectory", "/var/cache"),
    ("LogsDirectory", "/var/log"),
    ("ConfigurationDirectory", "/etc"),
    ("RuntimeDirectory", "/run"),
];

/// What a unit says. Keys of different sections are never named alike where it matters.
#[derive(Debug, Default)]
pub(super) struct Unit {
    settings: Vec<(String, String)>,
}

impl Unit {
    /// Adds what a file says; a later one has the last word.
    pub(super) fn add(&mut self, text: &[u8]) {
        let text = String::from_utf8_lossy(text).replace("\\\n", " ");
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';', '['])) {
            if let Some((key, value)) = line.split_once('=') {
                self.settings.push((key.trim_end().to_owned(), value.trim_start().to_owned()));
            }
        }
    }

    /// Returns what it says last.
    pub(super) fn last(&self, key: &str) -> Option<&str> {
        self.all(key).pop()
    }

    fn all(&self, key: &str) -> Vec<&str> {
        self.settings.iter().filter(|(name, _)| name == key).map(|(_, value)| value.as_str()).collect()
    }

    /// Returns what a mount unit mounts.
    pub(super) fn what(&self, name: &str) -> Option<String> {
        self.last("What").map(|what| expand(what.trim_matches('"'), name))
    }

    /// Returns the units that start with the unit of this name, each with what says so.
    pub(super) fn starts(&self, name: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for key in STARTS {
            for word in self.all(key).into_iter().flat_map(words) {
                let unit = expand(&word, name);
                let why = format!("{key}={unit}");
                found.push((unit, why));
            }
        }
        for (path, why) in self.needs(name) {
            found.extend(mounts_for(&path).map(|unit| (unit, why.clone())));
        }
        found.extend(self.triggered(name).map(|unit| (unit, "what it waits for".to_owned())));
        found
    }

    /// Returns the paths whose mounts it needs, each with what says so.
    fn needs(&self, name: &str) -> Vec<(PathBuf, String)> {
        let mut found = Vec::new();
        let several = PATHS
            .into_iter()
            .flat_map(|key| self.all(key).into_iter().flat_map(words).map(move |word| (key, word)));
        let single = PATH
            .into_iter()
            .flat_map(|key| self.all(key).into_iter().map(move |path| (key, path.to_owned())));
        for (key, path) in several.chain(single) {
            // A hyphen allows it to be missing; the mounts are started all the same.
            let path = expand(path.trim_start_matches('-'), name);
            found.push((PathBuf::from(&path), format!("{key}={path}")));
        }
        for (key, above) in FOLDERS {
            for word in self.all(key).into_iter().flat_map(words) {
                let below = expand(word.split(':').next().unwrap_or_default(), name);
                found.push((Path::new(above).join(&below), format!("{key}={below}")));
            }
        }
        // What a mount lies in, and the file or folder that it shows (systemd.mount(5)).
        if let Some(above) = self.last("Where").and_then(|at| Path::new(at).parent().map(Path::to_owned)) {
            let why = format!("it lies in {}", above.display());
            found.push((above, why));
        }
        if let Some(what) = self.what(name).filter(|what| is_file(Path::new(what))) {
            let why = format!("What={what}");
            found.push((PathBuf::from(what), why));
        }
        found
    }

    /// Returns what a timer, a path or a socket starts sooner or later.
    fn triggered(&self, name: &str) -> Option<String> {
        let (stem, kind) = name.rsplit_once('.')?;
        let key = match kind {
            "timer" | "path" => "Unit",
            "socket" => "Service",
            _ => return None,
        };
        Some(self.last(key).map_or_else(|| format!("{stem}.service"), |unit| expand(unit, name)))
    }
}

/// Tells whether a source of a mount is a file or a folder, which may lie on another mount.
pub(super) fn is_file(source: &Path) -> bool {
    source.is_absolute() && !["/dev", "/proc", "/sys"].iter().any(|folder| source.starts_with(folder))
}

/// Returns the units of all mounts that a path may lie on.
pub(super) fn mounts_for(path: &Path) -> impl Iterator<Item = String> {
    path.ancestors().filter(|above| above.is_absolute()).map(|above| format!("{}.mount", name_of(above)))
}

/// Returns the name systemd gives to the units of a path (systemd-escape(1) `--path`), without their kind.
pub(super) fn name_of(path: &Path) -> String {
    let parts: Vec<String> = path
        .components()
        .filter_map(|part| match part {
            Component::Normal(part) => Some(part.to_string_lossy().into_owned()),
            Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
        })
        .collect();
    if parts.is_empty() {
        return "-".to_owned();
    }
    let mut name = String::new();
    for (index, byte) in parts.join("/").bytes().enumerate() {
        match byte {
            b'/' => name.push('-'),
            b'.' if index == 0 => name.push_str("\\x2e"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b':' | b'_' | b'.' => name.push(char::from(byte)),
            _ => name.push_str(&format!("\\x{byte:02x}")),
        }
    }
    name
}

/// Returns the template of an instance: `db@.service` of `db@one.service`.
pub(super) fn template_of(name: &str) -> Option<String> {
    let (stem, rest) = name.split_once('@')?;
    let (instance, kind) = rest.rsplit_once('.')?;
    (!instance.is_empty()).then(|| format!("{stem}@.{kind}"))
}

/// Puts in what a `%` stands for, as far as a path or a unit may depend on it.
fn expand(text: &str, name: &str) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let (prefix, instance) = stem.split_once('@').unwrap_or((stem, ""));
    let mut expanded = String::new();
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        if next != '%' {
            expanded.push(next);
            continue;
        }
        match rest.next() {
            Some('i') => expanded.push_str(instance),
            Some('I') => expanded.push_str(&unescape(&instance.replace('-', "/"))),
            Some('f') => expanded.push_str(&format!("/{}", unescape(&instance.replace('-', "/")))),
            Some('p') => expanded.push_str(prefix),
            Some('N') => expanded.push_str(stem),
            Some('n') => expanded.push_str(name),
            Some('S') => expanded.push_str("/var/lib"),
            Some('C') => expanded.push_str("/var/cache"),
            Some('L') => expanded.push_str("/var/log"),
            Some('E') => expanded.push_str("/etc"),
            Some('t') => expanded.push_str("/run"),
            Some('h') => expanded.push_str("/root"),
            Some('%') => expanded.push('%'),
            other => expanded.extend(std::iter::once('%').chain(other)),
        }
    }
    expanded
}

/// Splits a value at blanks that are in no quotes.
fn words(value: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    for next in value.chars() {
        match quote {
            Some(open) if next == open => quote = None,
            None if next == '"' || next == '\'' => quote = Some(next),
            None if next.is_whitespace() => words.push(std::mem::take(&mut word)),
            Some(_) | None => word.push(next),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words.into_iter().map(|word| if word.starts_with('/') { unescape(&word) } else { word }).collect()
}

/// Returns the text behind `\x20`.
pub(crate) fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let byte = tail.strip_prefix(b"x").filter(|_| first == b'\\').and_then(|digits| {
            let digits = std::str::from_utf8(digits.get(..2)?).ok()?;
            u8::from_str_radix(digits, 16).ok()
        });
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &tail[3..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(name: &str, text: &str) -> Vec<String> {
        let mut unit = Unit::default();
        unit.add(text.as_bytes());
        unit.starts(name).into_iter().map(|(unit, _)| unit).collect()
    }

    #[test]
    fn the_mounts_of_a_path_are_all_above_it() {
        let names: Vec<String> = mounts_for(Path::new("/srv/x-vm/.a b")).collect();
        assert_eq!(names, ["srv-x\\x2dvm-.a\\x20b.mount", "srv-x\\x2dvm.mount", "srv.mount", "-.mount"]);
        assert_eq!(name_of(Path::new("/.hidden/")), "\\x2ehidden");
    }

    #[test]
    fn what_a_unit_makes_start_is_read_in_every_way_of_writing_it() {
        let has = |name: &str, text: &str| {
            assert!(started(name, text).contains(&"srv-x\\x20vm.mount".to_owned()), "{text}");
        };
        has("a.service", "[Unit]\nRequiresMountsFor = \"/srv/x vm/db\" /b\n");
        has("a.service", "[Unit]\nWantsMountsFor=/a \\\n  /srv/x\\x20vm\n");
        has("a.service", "[Unit]\n# Requires=b\nRequires=b.service srv-x\\x20vm.mount\n");
        has("a.service", "[Service]\nWorkingDirectory=-/srv/x vm\n");
        has("a@x\\x20vm.service", "[Unit]\nRequiresMountsFor=/srv/%I/db\n");
        has("etc-a.mount", "[Mount]\nWhat=/srv/x vm/a\nWhere=/etc/a\n");
        has("srv-x\\x20vm-db.mount", "[Mount]\nWhat=/dev/sdb\nWhere=/srv/x vm/db\n");
        assert!(
            started("a.service", "[Service]\nStateDirectory=pg:x\n").contains(&"var-lib-pg.mount".to_owned())
        );
        assert!(started("a.timer", "[Timer]\nOnCalendar=hourly\n").contains(&"a.service".to_owned()));
        assert!(started("a.service", "[Unit]\nAfter=srv.mount\n[Install]\nAlso=c.mount\n").is_empty());
    }
}
