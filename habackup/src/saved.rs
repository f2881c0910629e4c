//! What a restore overwrites, saved on the local disk before anything is touched, and brought back.
//!
//! One restore is a folder of the state directory, made like a snapshot: `tree/`, `manifest.json`,
//! and `created.json`, the paths that were not there before. A finished `--undo` renames it, so that
//! no undo is done twice.

use crate::apply::Application;
use crate::comparison::{self, Change, Comparison};
use crate::created::{self, Created};
use crate::id::Id;
use crate::kernel::FOLDER;
use crate::left::Left;
use crate::manifest::{self, Entry, Kind, ManifestHeader, ManifestReader, Remark, Trailer, Writer};
use crate::path_bytes::PathBytes;
use crate::progress::ShownProgress;
use crate::root::Root;
use crate::selection::{ChosenEntries, Selection};
use crate::snapshot::{self, SnapshotPlan};
use crate::store;
use crate::verify;
use crate::walk::Scope;
use crate::workshop::{self, Notes};
use anyhow::{Context, bail, ensure};
use nix::fcntl::{AT_FDCWD, OFlag, openat, renameat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::fsync;
use orderly_exec::{clock, files, paths};
use orderly_host::exclude::Excludes;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

const FORMAT: &str = "orderly-restore/1";
const CREATED: &str = "created.json";
const UNFINISHED: &str = ".created.json";
const UNDONE: &str = ".undone";
const WORKSHOPS: &str = "workshops";
/// How many restores stay; each is as large as what it overwrote.
const KEEP: usize = 8;

/// One restore that can be undone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Saved {
    pub path: PathBuf,
}

/// The text of `created.json`: what was not there before a restore, and where it was restored.
#[derive(Debug, Serialize, Deserialize)]
struct SavedDocument {
    format: String,
    time: String,
    snapshot: String,
    /// The folder restored into; `/` unless told otherwise.
    root: PathBuf,
    created: Vec<Created>,
    /// What files were restored as, by which an edit made since is recognised.
    #[serde(default)]
    restored: Vec<SavedRestore>,
}

/// A file as it was restored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SavedRestore {
    pub(crate) path: PathBytes,
    pub(crate) size: u64,
    pub(crate) mtime_ns: i128,
}

fn folder() -> PathBuf {
    paths::state_directory().join("restores")
}

impl Saved {
    /// Saves what applying a comparison will overwrite.
    ///
    /// # Errors
    /// When anything cannot be saved; then nothing may be overwritten.
    pub fn save(
        chosen: &mut ChosenEntries<'_>,
        comparison: &mut Comparison,
        header: &ManifestHeader,
        (root, live): (&Path, &Root),
        progress: ShownProgress<'_>,
    ) -> anyhow::Result<Self> {
        files::private_directory(&folder())?;
        remove_never_begun()?;
        let path = new_folder()?;
        let saved = Self { path: path.clone() };
        let made = saved
            .overwritten(chosen, comparison, header, live, progress)
            .and_then(|()| saved.created(chosen, comparison, header, root));
        if let Err(error) = made {
            std::fs::remove_dir_all(&path).ok();
            return Err(error)
                .with_context(|| format!("save what will be overwritten in {}", path.display()));
        }
        Ok(saved)
    }

    /// Copies what will be overwritten.
    fn overwritten(
        &self,
        chosen: &mut ChosenEntries<'_>,
        comparison: &mut Comparison,
        header: &ManifestHeader,
        live: &Root,
        progress: ShownProgress<'_>,
    ) -> anyhow::Result<()> {
        let mut scope = Scope::nothing();
        each_item(chosen, &*comparison, |entry, change| {
            if *change != Change::New {
                scope.add_itself(entry.path.as_path());
            }
            Ok(())
        })?;
        let problems = copy_out(&self.path, &scope, header, live, progress)?;
        leave_unsaved(chosen, comparison, &problems)
    }

    /// Writes down what was not there and what files are restored as, in passing.
    fn created(
        &self,
        chosen: &mut ChosenEntries<'_>,
        comparison: &Comparison,
        header: &ManifestHeader,
        root: &Path,
    ) -> anyhow::Result<()> {
        let folder = openat(AT_FDCWD, &self.path, FOLDER, Mode::empty())?;
        let mut file = std::io::BufWriter::new(new_file(&folder, UNFINISHED)?);
        let head = SavedDocument {
            format: FORMAT.to_owned(),
            time: clock::now(),
            snapshot: header.id.clone(),
            root: root.to_owned(),
            created: Vec::new(),
            restored: Vec::new(),
        };
        let head = serde_json::to_string(&head)?;
        let head = head.strip_suffix("[],\"restored\":[]}").context("write what is created")?;
        write!(file, "{head}[")?;
        let mut comma = "";
        each_item(chosen, comparison, |entry, change| {
            if *change == Change::New {
                file.write_all(comma.as_bytes())?;
                serde_json::to_writer(&mut file, &Created::of(entry))?;
                comma = ",";
            }
            Ok(())
        })?;
        write!(file, "],\"restored\":[")?;
        comma = "";
        each_item(chosen, comparison, |entry, _| {
            if entry.kind == Kind::File {
                let (path, size, mtime_ns) = (entry.path.clone(), entry.size, entry.mtime_ns);
                file.write_all(comma.as_bytes())?;
                serde_json::to_writer(&mut file, &SavedRestore { path, size, mtime_ns })?;
                comma = ",";
            }
            Ok(())
        })?;
        write!(file, "]}}")?;
        file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        // Last: a folder without it is one whose restore never began.
        renameat(&folder, UNFINISHED, &folder, CREATED)?;
        fsync(&folder)?;
        Ok(())
    }

    /// Returns where the workshops of this restore are written down.
    pub fn notes(&self, root: &Path) -> Notes {
        Notes { path: self.path.join(WORKSHOPS), root: root.to_owned() }
    }

    /// Returns the newest restore that was not undone.
    ///
    /// # Errors
    /// When the state directory cannot be read.
    pub fn newest() -> anyhow::Result<Option<Self>> {
        Ok(all()?.into_iter().rfind(|saved| saved.path.join(CREATED).exists()))
    }

    /// Returns what undoing would do, in the words of a comparison: the entries to put back and the
    /// paths to remove.
    ///
    /// # Errors
    /// When what was saved cannot be read.
    pub fn read(&self) -> anyhow::Result<UndoRun> {
        let what = || format!("read what was saved in {}", self.path.display());
        let created: SavedDocument =
            serde_json::from_str(&files::read(&self.path.join(CREATED))?).with_context(what)?;
        ensure!(
            created.format == FORMAT,
            "{}: format {} is not {FORMAT}",
            self.path.display(),
            created.format
        );
        ensure!(
            created.created.iter().all(|created| created.path().is_plain_path()),
            "{}: not a plain path",
            self.path.display()
        );
        let folder = openat(AT_FDCWD, &self.path, FOLDER, Mode::empty()).with_context(what)?;
        // Read once to its end before anything is put back from it: the checksum stands there.
        let (header, _) =
            store::open_manifest(&folder).and_then(ManifestReader::into_ends).with_context(what)?;
        let tree = openat(&folder, manifest::TREE, FOLDER, Mode::empty()).with_context(what)?;
        Ok(UndoRun {
            header,
            path: self.path.clone(),
            overwritten: ChosenEntries::new(move || store::open_manifest(&folder), Selection::Saved),
            tree: Root::new(tree)?,
            notes: self.notes(&created.root),
            root: created.root,
            created: created.created,
            restored: created.restored,
            snapshot: created.snapshot,
        })
    }

    /// Marks it as undone, or never begun; returns where it lies from now on.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn close(self) -> anyhow::Result<PathBuf> {
        let mut undone = self.path.clone().into_os_string();
        undone.push(UNDONE);
        std::fs::rename(&self.path, &undone).with_context(|| format!("rename {}", self.path.display()))?;
        File::open(folder())
            .and_then(|folder| folder.sync_all())
            .context("write the state directory to the disk")?;
        Ok(undone.into())
    }
}

/// What undoing a restore takes.
#[derive(Debug)]
pub struct UndoRun {
    pub(crate) header: ManifestHeader,
    /// The directory of the restore.
    pub(crate) path: PathBuf,
    pub(crate) overwritten: ChosenEntries<'static>,
    pub created: Vec<Created>,
    pub(crate) restored: Vec<SavedRestore>,
    pub root: PathBuf,
    pub snapshot: String,
    tree: Root,
    notes: Notes,
}

impl UndoRun {
    /// Tells `with` of every path that is put back.
    ///
    /// # Errors
    /// When what was saved cannot be read.
    pub fn each_put_back(&mut self, mut with: impl FnMut(&PathBytes)) -> anyhow::Result<()> {
        let mut pass = self.overwritten.pass()?;
        while let Some((_, entry)) = pass.next_entry()? {
            with(&entry.path);
        }
        Ok(())
    }

    /// Returns what is wrong with what was saved.
    ///
    /// # Errors
    /// When it cannot be read, or somebody asked us to stop.
    pub fn damage(&mut self, progress: &mut ShownProgress<'_>) -> anyhow::Result<Vec<Remark>> {
        let mut pass = self.overwritten.pass()?;
        verify::differences(|| Ok(pass.next_entry()?.map(|(_, entry)| entry)), &mut self.tree, progress)
    }

    /// Brings back what was there; returns what could not be, because something else was put there since.
    ///
    /// # Errors
    /// Names the path; it can be tried again.
    pub fn carry_out(&mut self, live: &mut Root, progress: &mut ShownProgress<'_>) -> anyhow::Result<Undone> {
        workshop::clear(&self.notes.path)?;
        live.forget();
        // What the restore never came to is left alone: it may be what made it fail.
        let compared =
            comparison::with_live(&mut self.overwritten, live, &Excludes::default(), None, progress)?;
        if let Some(Remark { path, reason }) = compared.conflicts.first() {
            bail!("put back {path}: {reason}");
        }
        let mut application = Application::new(live, &mut self.tree, self.notes.clone());
        application.apply_all(&mut self.overwritten, &compared, progress)?;
        let mut left = compared.left;
        left.append(&mut application.left);
        drop(application);
        let stayed = created::remove(live, &self.created)?;
        Ok(Undone { stayed, left })
    }
}

/// What an undo could not bring back.
#[derive(Debug, Default)]
pub struct Undone {
    /// What was made and stays: folders with something in them, and what others put in its place.
    pub stayed: Vec<PathBytes>,
    /// What could not be put back, because something else has its place.
    pub left: Vec<Left>,
}

/// Copies what is live into a directory, with a manifest; returns what could not be copied.
pub(crate) fn copy_out(
    path: &Path,
    scope: &Scope,
    header: &ManifestHeader,
    live: &Root,
    progress: ShownProgress<'_>,
) -> anyhow::Result<Vec<Remark>> {
    let folder = openat(AT_FDCWD, path, FOLDER, Mode::empty())?;
    mkdirat(&folder, manifest::TREE, Mode::S_IRWXU)?;
    let tree = openat(&folder, manifest::TREE, FOLDER, Mode::empty())?;
    let writer = Writer::begin(new_file(&folder, manifest::FILE)?, header)?;
    let source = openat(&**live.folder(), c".", FOLDER, Mode::empty())?;
    let plan = SnapshotPlan {
        source,
        scope,
        excludes: Excludes::default(),
        store: (0, 0),
        previous: None,
        expected: 0,
    };
    let (writer, found) = snapshot::walk(plan, &tree, writer, progress)?;
    let trailer = Trailer {
        finished: clock::now(),
        totals: found.totals,
        skipped: found.skipped,
        complete: true,
        ..Trailer::default()
    };
    writer.finish(&trailer)?;
    nix::unistd::syncfs(&folder)?;
    Ok(found.problems)
}

/// Leaves out of a restore what could not be saved, where others than root may have made it so: whoever may
/// write there could otherwise stop every restore.
fn leave_unsaved(
    chosen: &mut ChosenEntries<'_>,
    comparison: &mut Comparison,
    problems: &[Remark],
) -> anyhow::Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    let mut unsaved: BTreeMap<&PathBytes, &Remark> =
        problems.iter().map(|problem| (&problem.path, problem)).collect();
    let mut gone = BTreeSet::new();
    let mut items = comparison.items.iter().peekable();
    let mut pass = chosen.pass()?;
    while items.peek().is_some() {
        let (number, entry) = pass.next_entry()?.context("the manifest is not the one compared")?;
        let Some(item) = items.next_if(|item| item.number == number) else { continue };
        if let Some(problem) = unsaved.remove(&entry.path) {
            if item.is_safe {
                bail!("{}: {}", problem.path, problem.reason);
            }
            let why = || format!("cannot be saved before it is restored: {}", problem.reason);
            Left::note(&mut comparison.left, &entry.path, why);
            gone.insert(number);
        }
    }
    if let Some(problem) = unsaved.into_values().next() {
        bail!("{}: {}", problem.path, problem.reason);
    }
    comparison.items.retain(|item| !gone.contains(&item.number));
    Ok(())
}

/// Calls `with` for every entry that would be changed.
fn each_item(
    chosen: &mut ChosenEntries<'_>,
    comparison: &Comparison,
    mut with: impl FnMut(&Entry, &Change) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut items = comparison.items.iter().peekable();
    let mut pass = chosen.pass()?;
    while items.peek().is_some() {
        let (number, entry) = pass.next_entry()?.context("the manifest is not the one compared")?;
        if let Some(item) = items.next_if(|item| item.number == number) {
            with(&entry, &item.change)?;
        }
    }
    Ok(())
}

/// Removes all but the newest restores.
///
/// # Errors
/// When one cannot be removed.
pub fn prune() -> anyhow::Result<()> {
    let all = all_with_undone()?;
    for path in all.iter().take(all.len().saturating_sub(KEEP)) {
        std::fs::remove_dir_all(path).with_context(|| format!("remove {}", path.display()))?;
    }
    Ok(())
}

fn all() -> anyhow::Result<Vec<Saved>> {
    let paths = all_with_undone()?.into_iter();
    Ok(paths.filter(|path| !path.to_string_lossy().ends_with(UNDONE)).map(|path| Saved { path }).collect())
}

fn all_with_undone() -> anyhow::Result<Vec<PathBuf>> {
    let list = match std::fs::read_dir(folder()) {
        Ok(list) => list,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("read {}", folder().display())),
    };
    let mut paths = Vec::new();
    for entry in list {
        paths.push(entry.with_context(|| format!("read {}", folder().display()))?.path());
    }
    paths.sort();
    Ok(paths)
}

/// Removes the workshops that killed runs left.
///
/// # Errors
/// When the state directory cannot be read.
pub fn clear_workshops() -> anyhow::Result<()> {
    all_with_undone()?.iter().try_for_each(|path| workshop::clear(&path.join(WORKSHOPS)))
}

/// Removes what was saved for restores that were killed before they began: they would take the room,
/// and the place among the newest, of one that can be undone. Only called by who holds the lock.
fn remove_never_begun() -> anyhow::Result<()> {
    for path in all_with_undone()?.iter().filter(|path| !path.join(CREATED).exists()) {
        std::fs::remove_dir_all(path).with_context(|| format!("remove {}", path.display()))?;
    }
    Ok(())
}

/// Makes the folder of a new restore, whose name sorts after all others.
fn new_folder() -> anyhow::Result<PathBuf> {
    let newest = all_with_undone()?.last().and_then(|path| Id::parse(path.file_name()?.to_str()?.get(..20)?));
    let mut id = newest.map_or_else(Id::now, |newest| newest.next().max(Id::now()));
    loop {
        let path = folder().join(id.to_string());
        match std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => id = id.next(),
            Err(error) => return Err(error).with_context(|| format!("make {}", path.display())),
        }
    }
}

fn new_file(folder: &OwnedFd, name: &str) -> anyhow::Result<File> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(openat(folder, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?.into())
}
