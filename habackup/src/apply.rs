//! Puts entries of a snapshot onto the live system. Every file is made beside, hashed while copied,
//! synced and renamed into place, so that no reader ever sees half of one.

use crate::chosen::Chosen;
use crate::comparison::{Aspect, Change, Item};
use crate::copy::{Copier, Fault};
use crate::manifest::{Entry, Kind};
use crate::metadata::{self, Owner};
use crate::progress::Progress;
use crate::root::{Place, Root, Trouble};
use crate::store::FOLDER;
use crate::verbatim::Verbatim;
use anyhow::{Context, anyhow, bail, ensure};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{Mode, SFlag, fstat, makedev, mkdirat, mknodat};
use nix::unistd::{UnlinkatFlags, fsync, linkat, mkfifoat, symlinkat, unlinkat};
use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

/// Puts entries of one snapshot onto one root.
#[derive(Debug)]
pub struct Application<'a> {
    live: &'a mut Root,
    tree: &'a mut Root,
    copier: Copier,
    /// Where the first name of each file with several names stands.
    firsts: HashMap<u64, Verbatim>,
    /// Folders that the walk is in, whose permissions and times are set when all in them is done.
    folders: Vec<(Place, Entry)>,
    /// Attributes that could not be set.
    pub lost: Vec<String>,
}

impl<'a> Application<'a> {
    pub fn new(live: &'a mut Root, tree: &'a mut Root) -> Self {
        Self {
            live,
            tree,
            copier: Copier::default(),
            firsts: HashMap::new(),
            folders: Vec::new(),
            lost: Vec::new(),
        }
    }

    /// Applies every item, in the order of the manifest.
    ///
    /// # Errors
    /// Names the path; what was applied before it stays, and is for the caller to undo.
    pub fn apply_all(
        &mut self,
        chosen: &mut Chosen<'_>,
        items: &[Item],
        progress: &mut Progress<'_>,
    ) -> anyhow::Result<()> {
        let mut items = items.iter().peekable();
        let mut pass = chosen.pass()?;
        while items.peek().is_some() {
            let (number, entry) = pass.next_entry()?.context("the manifest is not the one compared")?;
            if let Some(item) = items.next_if(|item| item.number == number) {
                progress.file()?;
                // Left to the end of the run, each would keep a folder open until there are too many.
                self.finish_folders(|folder| !entry.path.is_within(folder))?;
                let applied = match &item.change {
                    Change::Updated(aspects) if can_be_adjusted(&entry, aspects) => {
                        self.adjust(&entry, progress)
                    }
                    Change::New | Change::Updated(_) => self.put(&entry, progress),
                };
                applied.with_context(|| format!("restore {}", entry.path))?;
            }
            if let Some(group) = entry.link_group {
                self.firsts.entry(group).or_insert(entry.path);
            }
        }
        self.finish_folders(|_| true)
    }

    /// Sets owner, permissions, times and attributes of what is there, in place: it keeps its inode.
    fn adjust(&mut self, entry: &Entry, progress: &mut Progress<'_>) -> anyhow::Result<()> {
        let place = self.place(&entry.path)?;
        if entry.kind == Kind::Directory {
            self.folders.push((place, entry.clone()));
            return Ok(());
        }
        let opened = place.open_as_place()?;
        // A file that has names elsewhere would change there too, where nobody asked for it.
        if entry.link_group.is_none() && fstat(&opened)?.st_nlink > 1 {
            return self.put(entry, progress);
        }
        self.finish(&opened, entry)?;
        if entry.kind == Kind::File {
            fsync(place.open_to_read()?)?;
        }
        Ok(())
    }

    fn put(&mut self, entry: &Entry, progress: &mut Progress<'_>) -> anyhow::Result<()> {
        let place = self.place(&entry.path)?;
        if entry.kind == Kind::Directory {
            match mkdirat(&*place.folder, place.name.as_c_str(), Mode::S_IRWXU) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(error) => return Err(error.into()),
            }
            self.folders.push((place, entry.clone()));
            return Ok(());
        }
        let beside = beside()?;
        remove_if_there(&place, &beside)?;
        let made = self.make(entry, &place, &beside, progress).and_then(|()| {
            renameat(&*place.folder, beside.as_c_str(), &*place.folder, place.name.as_c_str())?;
            // Two names of one file: renaming one onto the other does nothing and leaves both.
            remove_if_there(&place, &beside)?;
            Ok(fsync(&*place.folder)?)
        });
        if made.is_err() {
            remove_if_there(&place, &beside).ok();
        }
        made
    }

    fn make(
        &mut self,
        entry: &Entry,
        place: &Place,
        beside: &CString,
        progress: &mut Progress<'_>,
    ) -> anyhow::Result<()> {
        let folder = &*place.folder;
        let private = Mode::S_IRUSR | Mode::S_IWUSR;
        match entry.kind {
            Kind::File => return self.make_file(entry, place, beside, progress),
            Kind::Symlink => {
                let target =
                    entry.target.as_ref().context("the manifest does not say where the link leads")?;
                symlinkat(target.as_os_str(), folder, beside.as_c_str())?;
            }
            Kind::Fifo => mkfifoat(folder, beside.as_c_str(), private)?,
            Kind::CharDevice | Kind::BlockDevice => {
                let (major, minor) =
                    entry.device_number.context("the manifest does not say which device it is")?;
                let kind = if entry.kind == Kind::BlockDevice { SFlag::S_IFBLK } else { SFlag::S_IFCHR };
                mknodat(folder, beside.as_c_str(), kind, private, makedev(major, minor))?;
            }
            Kind::Directory | Kind::Socket => bail!("a {} cannot be made", entry.kind.word()),
        }
        let made = Place { folder: place.folder.clone(), name: beside.clone() }.open_as_place()?;
        self.finish(&made, entry)
    }

    fn make_file(
        &mut self,
        entry: &Entry,
        place: &Place,
        beside: &CString,
        progress: &mut Progress<'_>,
    ) -> anyhow::Result<()> {
        if let Some(first) = entry.link_group.and_then(|group| self.firsts.get(&group)).cloned() {
            let first = self.place(&first)?;
            linkat(
                &*first.folder,
                first.name.as_c_str(),
                &*place.folder,
                beside.as_c_str(),
                AtFlags::empty(),
            )?;
            return Ok(());
        }
        let source = self
            .tree
            .place(&entry.path)
            .map_err(|trouble| anyhow!("{trouble}"))
            .and_then(|place| Ok(place.open_to_read()?))
            .context("open the copy")?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let target = openat(&*place.folder, beside.as_c_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
        let digest = match self.copier.copy(&source, &target, entry.size, &mut |count| progress.bytes(count))
        {
            Ok(digest) => digest,
            Err(Fault::Stopped(error)) => return Err(error),
            Err(Fault::Source(error)) => return Err(error).context("read the copy"),
            Err(Fault::Target(error)) => return Err(error.into()),
        };
        // It was verified a moment ago; what is not that any more is not put in place.
        ensure!(Some(digest) == entry.blake3, "the copy is not what its manifest says");
        self.finish(&target, entry)?;
        fsync(&target)?;
        Ok(())
    }

    fn finish(&mut self, made: impl AsFd, entry: &Entry) -> anyhow::Result<()> {
        let lost = match metadata::apply(made, entry, Owner::by_number(entry)) {
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
        while let Some((place, entry)) = self.folders.pop_if(|(_, entry)| is_done(entry.path.as_bytes())) {
            let what = || format!("restore {}", entry.path);
            let opened: OwnedFd =
                openat(&*place.folder, place.name.as_c_str(), FOLDER, Mode::empty()).with_context(what)?;
            self.finish(&opened, &entry).with_context(what)?;
            fsync(&opened).and_then(|()| fsync(&*place.folder)).with_context(what)?;
        }
        Ok(())
    }

    fn place(&mut self, path: &Verbatim) -> anyhow::Result<Place> {
        self.live.place(path).map_err(|trouble| anyhow!("{trouble}"))
    }
}

/// Removes what a restore created, innermost first; folders that are not empty stay. Returns what stayed.
///
/// # Errors
/// Names the path.
pub fn remove_created(live: &mut Root, created: &[Verbatim]) -> anyhow::Result<Vec<Verbatim>> {
    let mut stayed = Vec::new();
    for path in created.iter().rev() {
        let what = || format!("remove {path}");
        let place = match live.place(path) {
            Ok(place) => place,
            Err(Trouble::Missing) => continue,
            Err(trouble) => return Err(anyhow!("{trouble}")).with_context(what),
        };
        let removed = match unlinkat(&*place.folder, place.name.as_c_str(), UnlinkatFlags::NoRemoveDir) {
            Err(Errno::EISDIR) => unlinkat(&*place.folder, place.name.as_c_str(), UnlinkatFlags::RemoveDir),
            result => result,
        };
        match removed {
            Ok(()) => fsync(&*place.folder).with_context(what)?,
            Err(Errno::ENOENT) => {}
            Err(Errno::ENOTEMPTY | Errno::EEXIST) => stayed.push(path.clone()),
            Err(error) => return Err(error).with_context(what),
        }
        live.forget();
    }
    Ok(stayed)
}

/// Removes what a restore that was killed had made beside a path and not put in place.
///
/// # Errors
/// What the kernel said.
pub fn remove_unfinished(live: &mut Root, path: &Verbatim) -> anyhow::Result<()> {
    let Ok(place) = live.place(path) else { return Ok(()) };
    match remove_if_there(&place, &beside()?) {
        // A folder: somebody else's.
        Ok(()) | Err(Errno::EISDIR) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("remove what was made beside {path}")),
    }
}

/// Tells whether what is there only needs other metadata. A file that was somebody else's, or that
/// lends the rights of its owner, is made anew all the same: who has it open could have written to it
/// since it was compared.
fn can_be_adjusted(entry: &Entry, aspects: &[Aspect]) -> bool {
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

fn beside() -> anyhow::Result<CString> {
    // One name, not one a process: the run after a killed one finds it and removes it.
    Ok(CString::new(".orderly-restore")?)
}

fn remove_if_there(place: &Place, name: &CString) -> Result<(), Errno> {
    match unlinkat(&*place.folder, name.as_c_str(), UnlinkatFlags::NoRemoveDir) {
        Err(Errno::ENOENT) => Ok(()),
        result => result,
    }
}
