//! Real storage and real hosts, in private: file systems on loop devices, hosts made of namespaces.
//!
//! A [`Host`] has its own mounts (nothing it mounts is seen outside, and the other way round), its
//! own processes, name, network and boot id: two of them are a pair that shares a disk.

use crate::{Bed, Need, Program, real, wait_until};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What a file system on a loop device needs of the machine.
pub const DISK_NEEDS: [Need; 4] =
    [Need::Root, Need::Loop, Need::Program("losetup"), Need::Program("mkfs.ext4")];

/// What the other file systems on a loop device need of the machine.
pub const FILESYSTEM_NEEDS: [Need; 2] = [Need::Program("mkfs.xfs"), Need::Program("mkfs.btrfs")];

/// What a private host needs of the machine.
pub const HOST_NEEDS: [Need; 3] = [Need::Root, Need::MountNamespace, Need::Program("nsenter")];

/// A disk both hosts see: an image on a loop device, let go when dropped.
#[derive(Debug)]
pub struct Disk {
    device: PathBuf,
    image: PathBuf,
    /// The same disk as another host's kernel sees it.
    others: std::cell::RefCell<Vec<PathBuf>>,
}

impl Disk {
    /// Makes an image with an ext4 file system of this many MiB and attaches it.
    pub fn ext4(bed: &Bed, mebibytes: u64) -> Self {
        Self::ext4_with(bed, mebibytes, &[])
    }

    /// Makes an ext4 as [`Disk::ext4`] does, with these options of mkfs.ext4(8).
    pub fn ext4_with(bed: &Bed, mebibytes: u64, options: &[&str]) -> Self {
        let disk = Self::blank(bed, "ext4", mebibytes);
        let words = ["-q", "-F"].iter().chain(options).map(AsRef::as_ref);
        run("mkfs.ext4", &words.chain([disk.device.as_os_str()]).collect::<Vec<_>>());
        disk
    }

    /// Makes an image with an xfs and attaches it; mkfs.xfs(8) makes none smaller than 300 MiB.
    pub fn xfs(bed: &Bed) -> Self {
        let disk = Self::blank(bed, "xfs", 300);
        run("mkfs.xfs", &["-q".as_ref(), disk.device.as_os_str()]);
        disk
    }

    /// Makes an image with a btrfs and attaches it; mkfs.btrfs(8) makes none much smaller.
    pub fn btrfs(bed: &Bed) -> Self {
        let disk = Self::blank(bed, "btrfs", 128);
        run("mkfs.btrfs", &["-q".as_ref(), disk.device.as_os_str()]);
        disk
    }

    /// Returns what reached the disk, as a power cut would leave it: what a file system that is
    /// mounted still keeps in memory is not there.
    pub fn content(&self) -> Vec<u8> {
        std::fs::read(&self.image).expect("read an image")
    }

    /// Puts a content on the disk again; nobody may have it mounted.
    pub fn put(&self, content: &[u8]) {
        std::fs::write(&self.device, content).expect("write a device");
        run("blockdev", &["--flushbufs".as_ref(), self.device.as_os_str()]);
    }

    /// Makes an empty image of this many MiB, named for what it will carry, and attaches it.
    pub fn blank(bed: &Bed, name: &str, mebibytes: u64) -> Self {
        let image = bed.path(format!("{name}.image"));
        let file = std::fs::File::create_new(&image).expect("make an image");
        file.set_len(mebibytes << 20).expect("size an image");
        let said = run("losetup", &["-f".as_ref(), "--show".as_ref(), image.as_os_str()]);
        // The kernel keeps what blockdev(8) set of a loop device for whoever has it next.
        run("blockdev", &["--setrw".as_ref(), said.trim().as_ref()]);
        Self { device: PathBuf::from(said.trim()), image, others: std::cell::RefCell::default() }
    }

    /// Attaches the disk once more, as a device that shares nothing with the first but what is on it.
    pub fn again(&self) -> PathBuf {
        let said = run("losetup", &["-f".as_ref(), "--show".as_ref(), self.image.as_os_str()]);
        let device = PathBuf::from(said.trim());
        self.others.borrow_mut().push(device.clone());
        device
    }

    /// Protects it from being written to, until it is dropped or [`Disk::unprotect`]ed.
    pub fn protect(&self) {
        run("blockdev", &["--setro".as_ref(), self.device.as_os_str()]);
    }

    /// Lets it be written to again.
    pub fn unprotect(&self) {
        run("blockdev", &["--setrw".as_ref(), self.device.as_os_str()]);
    }

    /// Returns the block device.
    pub fn device(&self) -> &Path {
        &self.device
    }

    /// Returns the file system's UUID, as `UUID=` in the configuration takes it.
    pub fn uuid(&self) -> String {
        let args = ["-p", "-s", "UUID", "-o", "value"].map(AsRef::as_ref);
        run("blkid", &[&args[..], &[self.device.as_os_str()]].concat()).trim().to_owned()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        for device in self.others.borrow().iter().chain([&self.device]) {
            // The kernel keeps the protection for whoever gets the loop device next.
            if let Some(blockdev) = real::find("blockdev") {
                Command::new(blockdev).arg("--setrw").arg(device).stderr(Stdio::null()).status().ok();
            }
            let mut losetup = Command::new(real::find("losetup").unwrap_or_else(|| "losetup".into()));
            let status = losetup.arg("-d").arg(device).stdin(Stdio::null()).stderr(Stdio::null()).status();
            let detached = status.is_ok_and(|status| status.success());
            assert!(detached || std::thread::panicking(), "detach {}", device.display());
        }
    }
}

/// A host in namespaces of its own. Its processes and mounts end with it.
#[derive(Debug)]
pub struct Host<'a> {
    bed: &'a Bed,
    holder: Child,
    /// The host's process 1, as seen from outside.
    first: String,
}

impl<'a> Host<'a> {
    /// Makes a host of this name (`uname -n`).
    pub fn new(bed: &'a Bed, name: &str) -> Self {
        let boot_id = bed.path(format!("boot_id.{name}"));
        // Another boot id, since the same one is proof of the same machine.
        let id = std::fs::read_to_string("/proc/sys/kernel/random/uuid").expect("make a boot id");
        std::fs::write(&boot_id, id).expect("write a boot id");
        let ready = bed.path(format!("boot_id.{name}.ready"));
        // That of an earlier boot.
        std::fs::remove_file(&ready).ok();
        // What this machine's one kernel has mounted is not what each of two hosts' kernels would have.
        let begin = "echo \"$1\" >/proc/sys/kernel/hostname && mount -t tmpfs tmpfs /sys/fs && \
                     mount --bind \"$2\" /proc/sys/kernel/random/boot_id && \
                     echo ready >\"$2.ready\" && exec sleep 1000000";
        let mut unshare = Command::new(real::find("unshare").expect("unshare is there"));
        unshare.args([
            "-m",
            "-p",
            "-u",
            "-n",
            "-f",
            "--kill-child",
            "--mount-proc",
            "--propagation",
            "private",
        ]);
        unshare.args(["/bin/sh", "-c", begin, "sh", name]).arg(&boot_id).env("ORDERLY_BED", bed.root());
        let complaints = bed.path(format!("host.{name}"));
        unshare.stderr(std::fs::File::create(&complaints).expect("make a file for complaints"));
        let mut holder = crate::start(unshare.stdin(Stdio::null()));
        wait_until(&format!("the host {name} is ready"), || {
            let has_ended = holder.try_wait().expect("look at a host").is_some();
            assert!(!has_ended, "make the host {name}: {}", bed.read(&complaints));
            ready.exists()
        });
        let children = format!("/proc/{0}/task/{0}/children", holder.id());
        let first =
            std::fs::read_to_string(children).expect("find the host's first process").trim().to_owned();
        Self { bed, holder, first }
    }

    /// Returns the host's process 1 as this machine sees it, for what is made inside its namespaces.
    pub fn first_process(&self) -> &str {
        &self.first
    }

    /// Cuts its power: every process ends at once, and what they alone had mounted is gone when this returns.
    pub fn power_off(&mut self) {
        // Nobody else has the number of the first process as long as unshare(1) has not ended.
        if self.holder.try_wait().is_ok_and(|ended| ended.is_none()) {
            if let Ok(first) = self.first.parse() {
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(first), nix::sys::signal::Signal::SIGKILL)
                    .ok();
            }
        }
        self.holder.wait().ok();
    }

    /// Tells whether something is mounted at a place, as this host sees it.
    pub fn has_mounted(&self, at: &Path) -> bool {
        let table = std::fs::read_to_string(format!("/proc/{}/mountinfo", self.first)).unwrap_or_default();
        table.lines().any(|line| line.split(' ').nth(4).is_some_and(|place| Path::new(place) == at))
    }

    /// Returns one run of one of the programs on this host.
    pub fn program(&self, name: &str) -> Program<'a> {
        self.enter(self.bed.program(name))
    }

    /// Returns one run of a shell line on this host.
    pub fn shell(&self, line: &str) -> Program<'a> {
        self.enter(self.bed.shell(line))
    }

    fn enter(&self, program: Program<'a>) -> Program<'a> {
        let nsenter = real::find("nsenter").expect("nsenter is there");
        // Gone to by path once inside: a folder opened outside would stay on the mount outside.
        let go = ["/bin/sh", "-c", "cd \"$0\" && exec \"$@\""];
        let words =
            ["-m", "-p", "-u", "-n", "-t", &self.first, "--"].into_iter().chain(go).map(OsString::from);
        program.through(std::iter::once(nsenter.into_os_string()).chain(words).collect())
    }
}

impl Drop for Host<'_> {
    fn drop(&mut self) {
        // The kernel ends every process of a process namespace with its first one, and unmounts
        // what only they saw; a disk can be detached after that alone.
        self.power_off();
    }
}

/// Runs a tool of this machine to its end and returns what it printed.
fn run(name: &str, args: &[&std::ffi::OsStr]) -> String {
    let path = real::find(name).unwrap_or_else(|| panic!("no program {name} on this machine"));
    let said = Command::new(path).args(args).stdin(Stdio::null()).output().expect("start a tool");
    assert!(said.status.success(), "{name} {args:?}: {}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8_lossy(&said.stdout).into_owned()
}
