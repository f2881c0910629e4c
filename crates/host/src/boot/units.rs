//! The units of systemd, as the next boot finds them: which of them start, and what makes them.
//!
//! A unit starts that a folder `TARGET.wants`, `.requires` or `.upholds` names, or that one that starts
//! makes start (`Requires=`, `RequiresMountsFor=` and the like). Whether the target itself is reached is
//! not asked: who enabled a unit wants it started. A masked unit does not start.

use super::fstab::{self, FstabLine};
use super::unit::{self, Unit};
use super::{NameMatch, unread};
use std::collections::{HashMap, HashSet, VecDeque};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// How long what a folder says lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lasting {
    /// Until somebody changes it.
    Kept,
    /// Not over a boot; so something masked only here is not masked then.
    Passing,
    /// Written anew at each boot, from other files.
    Generated,
}

/// Where units are, the first that has one wins (systemd.unit(5)).
const FOLDERS: [(&str, Lasting); 10] = [
    ("/etc/systemd/system.control", Lasting::Kept),
    ("/run/systemd/generator.early", Lasting::Generated),
    ("/etc/systemd/system", Lasting::Kept),
    ("/etc/systemd/system.attached", Lasting::Kept),
    ("/run/systemd/system", Lasting::Passing),
    ("/run/systemd/generator", Lasting::Generated),
    ("/usr/local/lib/systemd/system", Lasting::Kept),
    ("/usr/lib/systemd/system", Lasting::Kept),
    ("/lib/systemd/system", Lasting::Kept),
    ("/run/systemd/generator.late", Lasting::Generated),
];

/// What generated units are made of that is looked at here itself (fstab), or that mounts only what is
/// imported already (zfs-mount-generator(8)).
const SOURCES: [&str; 2] = [fstab::PATH, "/etc/zfs/zfs-list.cache"];

/// Returns the folders of units of this host.
pub(super) fn folders() -> Vec<(PathBuf, Lasting)> {
    FOLDERS.iter().map(|(path, lasting)| (PathBuf::from(path), *lasting)).collect()
}

/// All units, by name.
#[derive(Debug, Default)]
pub(super) struct Units {
    /// `None` is masked.
    files: HashMap<String, Option<PathBuf>>,
    /// By what they are for: `app.service` of `app.service.d`.
    drop_ins: HashMap<String, Vec<PathBuf>>,
    /// What folders want: the unit, and the link. `None` is a link that undoes one further on.
    wanted: HashMap<(String, String), Option<PathBuf>>,
    lines: HashMap<String, FstabLine>,
    /// What could not be read, said.
    unread: Vec<String>,
}

/// Why a unit starts.
#[derive(Debug, Clone)]
enum Cause {
    /// By this link in such a folder.
    Wanted(PathBuf),
    /// By a unit, and what it says.
    Started { by: String, why: String },
    /// By being there: a line of fstab, the target of the boot.
    Itself,
}

impl Units {
    /// Reads the names in these folders, the most important one first.
    pub(super) fn load(folders: &[(PathBuf, Lasting)]) -> Self {
        let mut units = Self::default();
        for (folder, lasting) in folders {
            for path in units.list(folder) {
                units.add(&path, *lasting);
            }
        }
        units
    }

    /// Adds the units that systemd makes of the lines of fstab.
    pub(super) fn also(&mut self, lines: &[FstabLine]) {
        self.lines = lines.iter().map(|line| (line.unit(), line.clone())).collect();
    }

    fn list(&mut self, folder: &Path) -> Vec<PathBuf> {
        match fs::read_dir(folder) {
            Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                self.unread.push(unread(folder, &error));
                Vec::new()
            }
        }
    }

    fn add(&mut self, path: &Path, lasting: Lasting) {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return };
        match name.rsplit_once('.') {
            Some((_, "wants" | "requires" | "upholds")) => {
                for link in self.list(path) {
                    self.add_link(name, link, lasting);
                }
            }
            Some((unit, "d")) => {
                let mut files = self.list(path);
                files.retain(|file| file.extension().is_some_and(|kind| kind == "conf"));
                self.drop_ins.entry(unit.to_owned()).or_default().extend(files);
            }
            _ if lasting == Lasting::Generated && is_made_elsewhere(path) => {}
            _ if lasting != Lasting::Kept && is_nothing(path) => {}
            _ => {
                let file = (!is_nothing(path)).then(|| path.to_owned());
                self.files.entry(name.to_owned()).or_insert(file);
            }
        }
    }

    fn add_link(&mut self, folder: &str, link: PathBuf, lasting: Lasting) {
        let Some(unit) = link.file_name().and_then(|name| name.to_str()) else { return };
        if lasting == Lasting::Generated && is_made_elsewhere(&link) {
            return;
        }
        let key = (folder.to_owned(), unit.to_owned());
        let file = (!leads_nowhere(&link)).then_some(link);
        self.wanted.entry(key).or_insert(file);
    }

    /// Returns the folder that wants a unit which is not masked.
    pub(super) fn wanted_by(&self, unit: &str) -> Option<String> {
        let by = self.wanted.iter().filter(|((_, name), link)| name == unit && link.is_some());
        by.map(|((folder, _), _)| folder.clone()).min().filter(|_| !self.is_masked(unit))
    }

    /// Returns the mounts of the asset that start at boot, each with its remedy.
    pub(super) fn boot_mounts(
        mut self,
        places: &[PathBuf],
        is_ours: &dyn Fn(&str) -> NameMatch,
    ) -> Vec<String> {
        let ours: HashSet<String> = places.iter().map(|place| unit::name_of(place)).collect();
        let above = places.iter().flat_map(|place| place.ancestors().skip(1));
        let above: HashSet<String> =
            above.filter(|path| path.parent().is_some()).map(unit::name_of).collect();
        let starting = self.starting();
        let mut found = Vec::new();
        for name in starting.keys() {
            let Some((stem, kind @ ("mount" | "automount"))) = name.rsplit_once('.') else { continue };
            let mount = format!("{stem}.mount");
            let line = self.lines.get(&mount);
            // To need a mount is to mount nothing where no unit says how.
            let is_needed = matches!(starting.get(name), Some(Cause::Started { .. }));
            if is_needed && line.is_none() && self.file(name).is_none() {
                continue;
            }
            // Said of the line itself.
            if line.is_some_and(FstabLine::is_at_boot) {
                continue;
            }
            let what = match line {
                Some(line) => Some(line.spec.clone()),
                None => self.read(&mount).what(&mount),
            };
            let named = match &what {
                _ if ours.contains(stem) => NameMatch::Yes,
                // A trigger above a place mounts before the place can be reached.
                _ if kind == "automount" && above.contains(stem) => NameMatch::Yes,
                Some(what) => is_ours(what),
                None => NameMatch::No,
            };
            match named {
                NameMatch::Yes => found.push(self.explain(name, &starting)),
                NameMatch::No => {}
                NameMatch::Unknown(why) => found.push(format!(
                    "nobody can say whether {} is the asset ({why}), and {}",
                    what.unwrap_or_default(),
                    self.explain(name, &starting)
                )),
            }
        }
        found.append(&mut self.unread);
        found.sort();
        found
    }

    fn is_masked(&self, name: &str) -> bool {
        matches!(self.file(name), Some(None))
    }

    /// Returns the file of a unit, or of the template it is made of.
    fn file(&self, name: &str) -> Option<&Option<PathBuf>> {
        self.files.get(name).or_else(|| self.files.get(&unit::template_of(name)?))
    }

    /// Returns every unit that starts at boot, with its cause.
    fn starting(&mut self) -> HashMap<String, Cause> {
        let mut found: HashMap<String, Cause> = HashMap::new();
        let mut next = VecDeque::new();
        for (name, cause) in self.roots() {
            self.start(name, cause, &mut found, &mut next);
        }
        while let Some(name) = next.pop_front() {
            for (unit, why) in self.started_by(&name) {
                let cause = Cause::Started { by: name.clone(), why };
                self.start(unit, cause, &mut found, &mut next);
            }
        }
        found
    }

    fn start(
        &self,
        name: String,
        cause: Cause,
        found: &mut HashMap<String, Cause>,
        next: &mut VecDeque<String>,
    ) {
        if !found.contains_key(&name) && !self.is_masked(&name) {
            next.push_back(name.clone());
            found.insert(name, cause);
        }
    }

    /// Returns what starts by nobody's doing, in an order that is the same each time.
    fn roots(&self) -> Vec<(String, Cause)> {
        let mut wanted: Vec<_> = self.wanted.iter().collect();
        wanted.sort();
        let wanted = wanted
            .into_iter()
            .filter_map(|((_, unit), link)| Some((unit.clone(), Cause::Wanted(link.clone()?))));
        let lines = self.lines.values().filter(|line| line.is_at_boot()).map(FstabLine::unit);
        let itself = lines.chain(["default.target".to_owned()]).map(|name| (name, Cause::Itself));
        wanted.chain(itself).collect()
    }

    fn started_by(&mut self, name: &str) -> Vec<(String, String)> {
        let mut found = self.read(name).starts(name);
        if let Some(line) = self.lines.get(name) {
            for path in line.needs() {
                found.extend(unit::mounts_for(&path).map(|unit| (unit, path.display().to_string())));
            }
        }
        // Another name of a unit has the links and drop-ins of both.
        let real = self.file(name).cloned().flatten().and_then(|file| fs::read_link(file).ok());
        let real = real.and_then(|target| target.file_name()?.to_str().map(str::to_owned));
        if let Some(real) = real.filter(|real| real != name && !real.contains("@.")) {
            found.push((real, "its other name".to_owned()));
        }
        found.retain(|(unit, _)| unit != name);
        found
    }

    /// Reads a unit with its drop-ins; one that is not there says nothing.
    fn read(&mut self, name: &str) -> Unit {
        let mut unit = Unit::default();
        let template = unit::template_of(name);
        let mut files: Vec<PathBuf> = self.file(name).cloned().flatten().into_iter().collect();
        let kind = name.rsplit_once('.').map(|(_, kind)| kind.to_owned());
        for owner in kind.into_iter().chain(template).chain([name.to_owned()]) {
            let mut more = self.drop_ins.get(&owner).cloned().unwrap_or_default();
            more.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
            files.extend(more);
        }
        for file in files {
            match fs::read(&file) {
                Ok(text) => unit.add(&text),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => self.unread.push(unread(&file, &error)),
            }
        }
        unit
    }

    /// Says why a mount starts, and how to keep it from starting.
    fn explain(&self, name: &str, starting: &HashMap<String, Cause>) -> String {
        let mut said = match self.lines.get(name) {
            Some(line) => {
                format!(
                    "{}: {} is mounted at boot whatever noauto says: {name}",
                    line.place(),
                    line.at.display()
                )
            }
            None => name.to_owned(),
        };
        let mut current = name.to_owned();
        loop {
            match starting.get(&current) {
                Some(Cause::Started { by, why }) => {
                    said.push_str(&format!(" is started by {by} ({why}), which"));
                    current.clone_from(by);
                }
                Some(Cause::Wanted(link)) => {
                    let by = link.parent().and_then(Path::file_name).unwrap_or_default();
                    let remedy = remedy(link);
                    return format!("{said} is wanted by {}; {remedy} {current}", by.to_string_lossy());
                }
                Some(Cause::Itself) | None => {
                    return match self.lines.get(&current) {
                        Some(line) => format!("{said} is mounted at boot; add noauto to {}", line.place()),
                        None => format!("{said} starts at boot; systemctl mask {name}"),
                    };
                }
            }
        }
    }
}

/// What a package or a generator enabled comes back unless it is masked.
fn remedy(link: &Path) -> &'static str {
    let by_people = ["/usr/lib", "/lib", "/run/systemd/generator"].iter().all(|root| !link.starts_with(root));
    if by_people { "systemctl disable" } else { "systemctl mask" }
}

/// Tells whether a unit file is empty or a link to `/dev/null`, which masks the unit.
fn is_nothing(file: &Path) -> bool {
    leads_nowhere(file) || fs::metadata(file).is_ok_and(|found| found.is_file() && found.len() == 0)
}

fn leads_nowhere(link: &Path) -> bool {
    fs::read_link(link).is_ok_and(|target| target == Path::new("/dev/null"))
}

/// Tells whether a generated unit is made of what is looked at elsewhere.
fn is_made_elsewhere(file: &Path) -> bool {
    let mut unit = Unit::default();
    unit.add(&fs::read(file).unwrap_or_default());
    unit.last("SourcePath")
        .is_some_and(|path| SOURCES.iter().any(|source| Path::new(path).starts_with(source)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// Folders of units with these files; what ends with `>` is a link to what follows.
    struct Bed {
        dir: tempfile::TempDir,
    }

    impl Bed {
        fn new(files: &[(&str, &str)]) -> Self {
            let bed = Self { dir: tempfile::tempdir().unwrap() };
            for (name, text) in files {
                bed.put(name, text);
            }
            bed
        }

        fn put(&self, name: &str, text: &str) {
            let path = self.dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match text.strip_prefix("-> ") {
                Some(target) => symlink(target, path).unwrap(),
                None => fs::write(path, text).unwrap(),
            }
        }

        fn folders(&self) -> Vec<(PathBuf, Lasting)> {
            [
                ("etc", Lasting::Kept),
                ("run", Lasting::Passing),
                ("gen", Lasting::Generated),
                ("usr", Lasting::Kept),
            ]
            .map(|(name, lasting)| (self.dir.path().join(name), lasting))
            .to_vec()
        }

        /// Returns what mounts `/srv/xvm`, or the device `ours`, with these lines of fstab.
        fn boot_mounts(&self, fstab: &str) -> Vec<String> {
            let mut units = Units::load(&self.folders());
            units.also(&fstab::lines(fstab.as_bytes()));
            units.boot_mounts(&["/srv/xvm".into()], &|source| (source == "/dev/ours").into())
        }
    }

    const DATA: &str = "[Mount]\nWhat=/dev/ours\nWhere=/data\n";
    const APP: &str = "[Unit]\nRequiresMountsFor=/srv/xvm/db\n[Service]\nExecStart=/bin/true\n";

    /// Only the place was looked for, so a unit of another name mounted the very device.
    #[test]
    fn a_mount_unit_that_starts_is_found_by_place_and_by_device() {
        let bed = Bed::new(&[("etc/data.mount", DATA)]);
        assert!(bed.boot_mounts("").is_empty(), "nothing starts it");
        bed.put("etc/multi-user.target.wants/data.mount", "-> ../data.mount");
        bed.put("usr/local-fs.target.requires/srv-xvm.automount", "-> /nowhere");
        assert_eq!(
            bed.boot_mounts(""),
            [
                "data.mount is wanted by multi-user.target.wants; systemctl disable data.mount",
                "srv-xvm.automount is wanted by local-fs.target.requires; systemctl disable srv-xvm.automount"
            ]
        );
        bed.put("etc/data.mount.d/other.conf", "[Mount]\nWhat=/dev/another\n");
        assert_eq!(bed.boot_mounts("").len(), 1, "a drop-in has the last word");
    }

    #[test]
    fn a_mount_that_something_that_starts_needs_is_found_with_or_without_a_unit_of_its_own() {
        let bed = Bed::new(&[("usr/app.service", APP), ("usr/my.target", "[Unit]\nWants=app.service\n")]);
        let noauto = "/dev/ours /srv/xvm ext4 noauto 0 2\n";
        assert!(bed.boot_mounts(noauto).is_empty(), "nothing starts it");
        bed.put("etc/multi-user.target.wants/my.target", "-> x");
        assert_eq!(
            bed.boot_mounts(noauto),
            [
                "/etc/fstab:1: /srv/xvm is mounted at boot whatever noauto says: srv-xvm.mount is started by app.service \
              (RequiresMountsFor=/srv/xvm/db), which is started by my.target (Wants=app.service), which is wanted by \
              multi-user.target.wants; systemctl disable my.target"
            ]
        );
        assert!(bed.boot_mounts("").is_empty(), "nothing says how it is mounted");
        bed.put("etc/app.service", "-> /dev/null");
        assert!(bed.boot_mounts(noauto).is_empty(), "masked");
    }

    #[test]
    fn a_drop_in_a_template_another_name_and_a_line_that_lies_on_the_asset_are_reasons_too() {
        for files in [
            &[
                ("etc/x.wants/db@xvm.service", "-> y"),
                ("usr/db@.service", "[Unit]\nRequiresMountsFor=/srv/%i\n"),
            ][..],
            &[
                ("etc/x.wants/db.service", "-> y"),
                ("etc/db.service.d/a.conf", "[Unit]\nBindsTo=srv-xvm.mount\n"),
            ],
            &[
                ("etc/x.upholds/db.service", "-> y"),
                ("etc/db.service", "-> ../usr/pg.service"),
                ("usr/pg.service.d/a.conf", APP),
                ("usr/pg.service", "[Unit]\n"),
            ],
            &[("usr/default.target", "[Unit]\nRequires=srv-xvm.mount\n")],
            &[("gen/x.wants/a.mount", "-> ../a.mount"), ("gen/a.mount", DATA)],
        ] {
            let files = [files, &[("usr/srv-xvm.mount", "[Mount]\nWhat=/dev/ours\n")]].concat();
            assert_eq!(Bed::new(&files).boot_mounts("").len(), 1, "{files:?}");
        }
        let bind = "/dev/ours /srv/xvm ext4 noauto\n/srv/xvm/opt /etc/opt none bind\n";
        let found = Bed::new(&[]).boot_mounts(bind);
        assert!(
            found.len() == 1
                && found[0].ends_with(
                    "etc-opt.mount (/srv/xvm/opt), which is mounted at boot; add noauto to /etc/fstab:2"
                ),
            "{found:?}"
        );
    }

    #[test]
    fn what_is_masked_or_left_from_this_boot_is_none_and_a_mask_of_this_boot_is_no_mask() {
        let wants = ("etc/x.wants/data.mount", "-> y");
        assert!(
            Bed::new(&[wants, ("etc/data.mount", "-> /dev/null"), ("usr/data.mount", DATA)])
                .boot_mounts("")
                .is_empty()
        );
        assert!(
            Bed::new(&[wants, ("etc/data.mount", ""), ("usr/data.mount", DATA)]).boot_mounts("").is_empty()
        );
        assert_eq!(
            Bed::new(&[wants, ("run/data.mount", "-> /dev/null"), ("usr/data.mount", DATA)])
                .boot_mounts("")
                .len(),
            1
        );
        let undone = [
            ("etc/x.wants/data.mount", "-> /dev/null"),
            ("usr/x.wants/data.mount", "-> y"),
            ("usr/data.mount", DATA),
        ];
        assert!(Bed::new(&undone).boot_mounts("").is_empty());
        // Made of a line of fstab that is mended by now.
        let old = format!("[Unit]\nSourcePath=/etc/fstab\n{DATA}");
        assert!(
            Bed::new(&[("gen/x.wants/data.mount", "-> ../data.mount"), ("gen/data.mount", &old)])
                .boot_mounts("")
                .is_empty()
        );
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let bed = Bed::new(&[("etc/x.wants/data.mount", "-> y")]);
        // A folder reads for nobody, not even for root.
        fs::create_dir_all(bed.dir.path().join("etc/data.mount")).unwrap();
        let found = bed.boot_mounts("");
        assert!(!found.is_empty() && found[0].contains("cannot be read"), "{found:?}");
    }

    #[test]
    fn a_masked_unit_is_wanted_by_nobody() {
        let bed = Bed::new(&[("etc/x.wants/a.service", "-> y")]);
        assert_eq!(Units::load(&bed.folders()).wanted_by("a.service").as_deref(), Some("x.wants"));
        bed.put("etc/a.service", "-> /dev/null");
        assert_eq!(Units::load(&bed.folders()).wanted_by("a.service"), None);
    }
}
