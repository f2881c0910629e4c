//! Puts entries of a snapshot onto the live system. Everything is made in a workshop, hashed while copied,
//! synced and moved into place by one rename, so that no reader ever sees half of one.
//!
//! Invariant: what is changed in place is the very thing that was compared, and what is made is made where
//! nobody but root can reach it
//! (`restore_race::who_owns_a_directory_on_the_way_gains_nothing_and_stops_nothing`).

use crate::comparison::{Aspect, Change, Compared, ComparedItem, Comparison};
use crate::copy::{Copier, CopyFault};
use crate::kernel::{FOLDER, move_to_free_name};
use crate::left::Left;
use crate::manifest::{Entry, Kind};
use crate::metadata::{self, FileOwner, Owners};
use crate::path_bytes::PathBytes;
use crate::progress::ShownProgress;
use crate::root::{Folder, Root, RootPlace, Trouble};
use crate::selection::ChosenEntries;
use crate::workshop::{MADE, Notes, Workshops, empty};
use anyhow::{Context, anyhow, bail, ensure};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, makedev, mkdirat, mknodat};
use nix::unistd::{UnlinkatFlags, fsync, linkat, mkfifoat, symlinkat, unlinkat};
use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

/// Puts entries of one snapshot onto one root.
#[derive(Debug)]
pub struct Application<'a> {
    live: &'a mut Root,
    tree: &'a mut Root,
    copier: Copier,
    workshops: Workshops,
    owners: Owners,
    /// Where the first name of each file with several names stands, and its device and inode.
    firsts: HashMap<u64, (PathBytes, (u64, u64))>,
    /// Folders that the walk is in, whose permissions and times are set when all in them is done.
    folders: Vec<Open>,
    /// Attributes that could not be set, and names that could not be joined.
    pub lost: Vec<String>,
    /// What has its place taken by something else since it was compared.
    pub left: Vec<Left>,
}

/// A folder that is made or changed.
#[derive(Debug)]
struct Open {
    entry: Entry,
    folder: Folder,
    within: Rc<OwnedFd>,
}

/// How putting one entry ends, other than by an error of ours.
#[derive(Debug)]
enum Put {
    Done,
    /// Something else has its place.
    Left(String),
}

impl<'a> Application<'a> {
    pub fn new(live: &'a mut Root, tree: &'a mut Root, notes: Notes) -> Self {
        // What was opened when it was compared may stand elsewhere by now.
        live.forget();
        Self {
            live,
            tree,
            copier: Copier::default(),
            workshops: Workshops::new(notes),
            owners: Owners::default(),
            firsts: HashMap::new(),
            folders: Vec::new(),
            lost: Vec::new(),
            left: Vec::new(),
        }
    }

    /// Applies every item, in the order of the manifest.
    ///
    /// # Errors
    /// Names the path; what was applied before it stays, and is for the caller to undo.
    pub fn apply_all(
        &mut self,
        chosen: &mut ChosenEntries<'_>,
        comparison: &Comparison,
        progress: &mut ShownProgress<'_>,
    ) -> anyhow::Result<()> {
        let mut items = comparison.items.iter().peekable();
        let mut pass = chosen.pass()?;
        while items.peek().is_some() {
            let (number, entry) = pass.next_entry()?.context("the manifest is not the one compared")?;
            if let Some(item) = items.next_if(|item| item.number == number) {
                progress.file()?;
                // Left to the end of the run, each would keep a folder open until there are too many.
                self.finish_folders(|folder| !entry.path.is_within(folder))?;
                match self.apply(&entry, item, progress).with_context(|| format!("restore {}", entry.path))? {
                    Put::Done => {}
                    Put::Left(why) => Left::note(&mut self.left, &entry.path, || why),
                }
            } else if let Some(group) = entry.link_group {
                if !comparison.kept_numbers.contains(&number) {
                    if let Some(Some(identity)) = comparison.firsts.get(&group) {
                        self.firsts.entry(group).or_insert((entry.path, *identity));
                    }
                }
            }
        }
        self.finish_folders(|_| true)
    }

    fn apply(
        &mut self,
        entry: &Entry,
        item: &ComparedItem,
        progress: &mut ShownProgress<'_>,
    ) -> anyhow::Result<Put> {
        if self.left.last().is_some_and(|left| entry.path.is_within(left.path.as_bytes())) {
            return Ok(Put::Left(String::new()));
        }
        let folder = match self.folder(entry, item)? {
            Ok(folder) => folder,
            Err(why) => return Ok(Put::Left(why)),
        };
        let place = place(&folder, &entry.path)?;
        if entry.kind == Kind::Directory {
            return self.put_folder(entry, item, &folder, place);
        }
        if let Change::Updated(aspects) = &item.change {
            if can_be_adjusted(entry, aspects) {
                if let Some(opened) = self.open_compared(&place, item) {
                    self.finish(&opened, entry)?;
                    if entry.kind == Kind::File {
                        // By the open place: the name may lead elsewhere by now.
                        let read = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
                        let file = nix::fcntl::open(
                            crate::xattr::proc_path(&opened).as_c_str(),
                            read,
                            Mode::empty(),
                        )?;
                        fsync(file)?;
                    }
                    if let Some(group) = entry.link_group {
                        self.firsts.insert(group, (entry.path.clone(), identity(&opened)?));
                    }
                    return Ok(Put::Done);
                }
            }
        }
        self.put(entry, &folder, &place, progress)
    }

    /// Returns the folder that an entry belongs in, if it is the one that was compared or made; else why the
    /// entry is left.
    fn folder(&mut self, entry: &Entry, item: &ComparedItem) -> anyhow::Result<Result<Folder, String>> {
        let parent = entry.path.as_path().parent();
        if let Some(open) = self.folders.iter().rev().find(|open| Some(open.entry.path.as_path()) == parent) {
            return Ok(Ok(open.folder.clone()));
        }
        Ok(match self.live.folder_of(&entry.path) {
            Ok(folder) if item.within == Some(folder.identity) => Ok(folder),
            Ok(_) => Err("the directory that it lies in was exchanged while it was restored".to_owned()),
            // An error of the disk is no doing of whoever may write there.
            Err(Trouble::Other(error)) if item.is_safe => return Err(error.into()),
            Err(trouble) => Err(trouble.to_string()),
        })
    }

    /// Opens what was compared, if it still stands there as it was, and has no name elsewhere: it would change
    /// there too, where nobody asked for it.
    fn open_compared(&mut self, place: &RootPlace, item: &ComparedItem) -> Option<OwnedFd> {
        let opened = place.open_as_place().ok()?;
        let found = fstat(&opened).ok()?;
        let has_one_name = found.st_nlink == 1;
        (item.compared.as_ref() == Some(&self.compared(&found)) && has_one_name).then_some(opened)
    }

    fn compared(&mut self, found: &FileStat) -> Compared {
        Compared::of(&metadata::entry(PathBytes::default(), found, &mut self.owners))
    }

    fn put_folder(
        &mut self,
        entry: &Entry,
        item: &ComparedItem,
        within: &Folder,
        place: RootPlace,
    ) -> anyhow::Result<Put> {
        let opened = if let Some(compared) = &item.compared {
            let opened = match openat(&*place.folder, place.name.as_c_str(), FOLDER, Mode::empty()) {
                Ok(opened) => opened,
                Err(error) => return taken(error, within),
            };
            let found = fstat(&opened)?;
            if !compared.is_same_folder(&self.compared(&found)) {
                return Ok(Put::Left("was exchanged while it was restored".to_owned()));
            }
            opened
        } else {
            match self.make_folder(within, &place)? {
                Ok(opened) => opened,
                Err(error) => return taken(error, within),
            }
        };
        let folder = Folder::of(Rc::new(opened), entry.path.as_bytes(), Some(within))?;
        self.folders.push(Open { entry: entry.clone(), folder, within: place.folder });
        Ok(Put::Done)
    }

    /// Makes a folder and puts it in place, open all the while; the inner error is that of its place.
    fn make_folder(&mut self, within: &Folder, place: &RootPlace) -> anyhow::Result<Result<OwnedFd, Errno>> {
        self.make_and_move(within, place, Taken::Kept, &mut |_, workshop| {
            mkdirat(workshop, MADE, Mode::S_IRWXU)?;
            Ok(openat(workshop, MADE, FOLDER, Mode::empty())?)
        })
    }

    fn put(
        &mut self,
        entry: &Entry,
        within: &Folder,
        place: &RootPlace,
        progress: &mut ShownProgress<'_>,
    ) -> anyhow::Result<Put> {
        let moved = self.make_and_move(within, place, Taken::Replaced, &mut |this, workshop| {
            this.make(entry, workshop, progress)
        })?;
        match moved {
            Ok(identity) => {
                fsync(&*place.folder)?;
                if let Some(group) = entry.link_group {
                    self.firsts.insert(group, (entry.path.clone(), identity));
                }
                Ok(Put::Done)
            }
            Err(error) => taken(error, within),
        }
    }

    /// Has something made in a workshop and moves it into place; the inner error is that of the move.
    fn make_and_move<T>(
        &mut self,
        within: &Folder,
        place: &RootPlace,
        taken: Taken,
        make: &mut dyn FnMut(&mut Self, &OwnedFd) -> anyhow::Result<T>,
    ) -> anyhow::Result<Result<T, Errno>> {
        let workshop = self.workshops.enter(within)?;
        let mut made = in_workshop(&workshop, || make(self, &workshop))?;
        let mut moved = move_made(&workshop, place, taken);
        if moved == Err(Errno::EXDEV) {
            empty(&workshop);
            let workshop = self.workshops.enter_beside(within)?;
            made = in_workshop(&workshop, || make(self, &workshop))?;
            moved = move_made(&workshop, place, taken);
            if moved.is_err() {
                empty(&workshop);
            }
        } else if moved.is_err() {
            empty(&workshop);
        }
        Ok(moved.map(|()| made))
    }

    /// Makes anything but a folder in a workshop; returns its device and inode.
    fn make(
        &mut self,
        entry: &Entry,
        workshop: &OwnedFd,
        progress: &mut ShownProgress<'_>,
    ) -> anyhow::Result<(u64, u64)> {
        let private = Mode::S_IRUSR | Mode::S_IWUSR;
        match entry.kind {
            Kind::File => return self.make_file(entry, workshop, progress),
            Kind::Symlink => {
                let target =
                    entry.target.as_ref().context("the manifest does not say where the link leads")?;
                symlinkat(target.as_os_str(), workshop, MADE)?;
            }
            Kind::Fifo => mkfifoat(workshop, MADE, private)?,
            Kind::CharDevice | Kind::BlockDevice => {
                let (major, minor) =
                    entry.device_number.context("the manifest does not say which device it is")?;
                let kind = if entry.kind == Kind::BlockDevice { SFlag::S_IFBLK } else { SFlag::S_IFCHR };
                mknodat(workshop, MADE, kind, private, makedev(major, minor))?;
            }
            Kind::Directory | Kind::Socket => bail!("a {} cannot be made", entry.kind.word()),
        }
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let made = openat(workshop, MADE, flags, Mode::empty())?;
        self.finish(&made, entry)?;
        identity(&made)
    }

    fn make_file(
        &mut self,
        entry: &Entry,
        workshop: &OwnedFd,
        progress: &mut ShownProgress<'_>,
    ) -> anyhow::Result<(u64, u64)> {
        if let Some((first, expected)) = entry.link_group.and_then(|group| self.firsts.get(&group)).cloned() {
            if self.join(&first, expected, workshop)? {
                return Ok(expected);
            }
            self.lost.push(format!("{}: is no longer one file with {first}", entry.path));
        }
        let source = self
            .tree
            .place(&entry.path)
            .map_err(|trouble| anyhow!("{trouble}"))
            .and_then(|place| Ok(place.open_to_read()?))
            .context("open the copy")?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let target = openat(workshop, MADE, flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
        let digest = match self.copier.copy(&source, &target, entry.size, &mut |count| progress.bytes(count))
        {
            Ok(digest) => digest,
            Err(CopyFault::Stopped(error)) => return Err(error),
            Err(CopyFault::Source(error)) => return Err(error).context("read the copy"),
            Err(CopyFault::Target(error)) => return Err(error.into()),
        };
        // It was verified a moment ago; what is not that any more is not put in place.
        ensure!(Some(digest) == entry.blake3, "the copy is not what its manifest says");
        self.finish(&target, entry)?;
        fsync(&target)?;
        identity(&target)
    }

    /// Makes a further name of a file that was restored or is as it was; tells whether that is possible. Looked at
    /// in the workshop, where nobody can exchange it any more.
    fn join(&mut self, first: &PathBytes, expected: (u64, u64), workshop: &OwnedFd) -> anyhow::Result<bool> {
        let Ok(first) = self.live.place(first) else { return Ok(false) };
        match linkat(&*first.folder, first.name.as_c_str(), workshop, MADE, AtFlags::empty()) {
            Ok(()) => {}
            // Gone, on another file system, or full of names.
            Err(Errno::ENOENT | Errno::EXDEV | Errno::EMLINK | Errno::EPERM) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let found = fstatat(workshop, MADE, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        if (found.st_dev, found.st_ino) == expected {
            return Ok(true);
        }
        empty(workshop);
        Ok(false)
    }

    fn finish(&mut self, made: impl AsFd, entry: &Entry) -> anyhow::Result<()> {
        let lost = match metadata::apply(made, entry, FileOwner::by_number(entry)) {
            Err(Errno::EINVAL) if metadata::is_unmapped(entry) => bail!(metadata::unmapped(entry)),
            result => result?,
        };
        for name in lost {
            self.lost.push(format!("{}: the attribute {name} cannot be set here", entry.path));
        }
        Ok(())
    }

    fn finish_folders(&mut self, is_done: impl Fn(&[u8]) -> bool) -> anyhow::Result<()> {
        // Innermost first: a folder may end up closed to us.
        while self.folders.last().is_some_and(|open| is_done(open.entry.path.as_bytes())) {
            let Some(open) = self.folders.pop() else { break };
            let what = || format!("restore {}", open.entry.path);
            self.finish(&*open.folder.fd, &open.entry).with_context(what)?;
            fsync(&*open.folder.fd).and_then(|()| fsync(&*open.within)).with_context(what)?;
        }
        Ok(())
    }
}

/// What it means that something cannot be put in its place.
fn taken(error: Errno, within: &Folder) -> anyhow::Result<Put> {
    let why = if error == Errno::ENOENT {
        "its directory was removed while it was restored"
    } else if error == Errno::EBUSY && !within.is_safe {
        "something is mounted there"
    } else if matches!(
        error,
        Errno::EISDIR | Errno::ENOTEMPTY | Errno::ENOTDIR | Errno::ELOOP | Errno::EEXIST
    ) {
        "something else was put there while it was restored"
    } else {
        return Err(error.into());
    };
    Ok(Put::Left(why.to_owned()))
}

fn place(folder: &Folder, path: &PathBytes) -> anyhow::Result<RootPlace> {
    let name = path.as_bytes().rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    Ok(RootPlace { folder: Rc::clone(&folder.fd), name: CString::new(name)? })
}

fn identity(made: impl AsFd) -> anyhow::Result<(u64, u64)> {
    let found = fstat(made)?;
    Ok((found.st_dev, found.st_ino))
}

/// Runs what makes something in a workshop; what it leaves when it fails goes.
fn in_workshop<T>(workshop: &OwnedFd, make: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    make().inspect_err(|_| empty(workshop))
}

/// What becomes of whoever stands at a place already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Replaced,
    Kept,
}

fn move_made(workshop: &OwnedFd, place: &RootPlace, taken: Taken) -> Result<(), Errno> {
    let name = place.name.as_c_str();
    if taken == Taken::Kept {
        match move_to_free_name(workshop, MADE, &*place.folder, name) {
            // A file system without the flag; an empty folder that somebody made is then replaced.
            Err(Errno::EINVAL | Errno::ENOSYS) => {}
            result => return result,
        }
    }
    renameat(workshop, MADE, &*place.folder, name)?;
    // Two names of one file: renaming one onto the other does nothing and leaves both.
    match unlinkat(workshop, MADE, UnlinkatFlags::NoRemoveDir) {
        Err(Errno::ENOENT) => Ok(()),
        result => result,
    }
}

/// Tells whether what is there only needs other metadata. A file that was somebody else's, or that
/// lends the rights of its owner, is made anew all the same: who has it open could have written to it
/// since it was compared.
pub(crate) fn can_be_adjusted(entry: &Entry, aspects: &[Aspect]) -> bool {
    if entry.kind == Kind::Directory {
        return true;
    }
    let lends = entry.mode & 0o6000 != 0
        || entry.xattrs.iter().any(|xattr| xattr.name.as_bytes() == b"security.capability");
    aspects.iter().all(|aspect| match aspect {
        Aspect::Mode | Aspect::Time | Aspect::Attributes => entry.kind != Kind::File || !lends,
        Aspect::Owner => entry.kind != Kind::File,
        Aspect::Type | Aspect::Contents | Aspect::Target | Aspect::Links => false,
    })
}
