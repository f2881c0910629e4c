//! A disk that remembers every write and flush it was told, so that a power cut can be replayed at
//! any of them with only what was flushed, and chance, deciding what is on it.
//!
//! The image is the one file of a FUSE file system which this process serves, mounted in a mount
//! namespace that only one thread is in; a loop device makes a disk of it. The kernel's own file
//! system on it says through FLUSH requests, which arrive here as FSYNC, what it relies on.

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};

const FILE: u64 = 2;
const LARGEST_WRITE: u64 = 1 << 17;

/// What the disk was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    Write { at: usize, bytes: Vec<u8> },
    Flush,
}

#[derive(Debug, Default)]
struct State {
    image: Vec<u8>,
    events: Vec<Event>,
}

/// A disk under observation; detached when dropped.
#[derive(Debug)]
pub(super) struct Recorder {
    state: Arc<Mutex<State>>,
    device: PathBuf,
}

/// What was on the disk when the recording began, and what it was told since.
#[derive(Debug, Clone)]
pub(super) struct Recording {
    pub(super) image: Vec<u8>,
    pub(super) events: Vec<Event>,
}

impl Recorder {
    /// Makes a blank disk of this many bytes, served at the folder `at`.
    pub(super) fn new(at: &Path, size: usize) -> Self {
        let state = Arc::new(Mutex::new(State { image: vec![0; size], events: Vec::new() }));
        let (served, at) = (Arc::clone(&state), at.to_owned());
        let attach = move || {
            unshare(CloneFlags::CLONE_NEWNS).expect("take a mount namespace");
            let none = None::<&str>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("keep mounts private");
            let fuse = File::options().read(true).write(true).open("/dev/fuse").expect("open /dev/fuse");
            let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", fuse.as_raw_fd());
            mount(Some("recorder"), &at, Some("fuse"), MsFlags::empty(), Some(options.as_str()))
                .expect("mount the recorder");
            std::thread::spawn(move || serve(fuse, &served));
            let said = losetup(&["-f", "--show"]).arg(at.join("image")).output().expect("run losetup");
            assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
            PathBuf::from(String::from_utf8_lossy(&said.stdout).trim())
        };
        let device = std::thread::spawn(attach).join().expect("attach the recorder");
        Self { state, device }
    }

    pub(super) fn device(&self) -> &Path {
        &self.device
    }

    /// Forgets what was told before now.
    pub(super) fn begin(&self) -> Vec<u8> {
        let mut state = lock(&self.state);
        state.events.clear();
        state.image.clone()
    }

    /// Returns what the disk was told since `begin`, which returned `image`.
    pub(super) fn end(&self, image: Vec<u8>) -> Recording {
        Recording { image, events: lock(&self.state).events.clone() }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        losetup(&["-d"]).arg(&self.device).status().ok();
    }
}

impl Recording {
    /// Returns the image after a power cut before event `cut`: all that was flushed by then, and of
    /// what was written since the last flush each 4 KiB that `is_kept` says.
    pub(super) fn after_cut(&self, cut: usize, mut is_kept: impl FnMut() -> bool) -> Vec<u8> {
        let told = &self.events[..cut];
        let flushed = told.iter().rposition(|event| *event == Event::Flush).unwrap_or(0);
        let mut image = self.image.clone();
        for (number, event) in told.iter().enumerate() {
            let Event::Write { at, bytes } = event else { continue };
            for (block, piece) in bytes.chunks(4096).enumerate() {
                if number < flushed || is_kept() {
                    let at = at + block * 4096;
                    image[at..at + piece.len()].copy_from_slice(piece);
                }
            }
        }
        image
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("the server has not panicked")
}

fn losetup(args: &[&str]) -> Command {
    let mut command = Command::new(bed::real::find("losetup").expect("losetup is there"));
    command.args(args).stdin(Stdio::null());
    command
}

/// Answers the kernel until the file system is gone.
fn serve(mut fuse: File, state: &Mutex<State>) {
    let mut buffer = vec![0; 1 << 20];
    while let Ok(length) = fuse.read(&mut buffer) {
        let request = &buffer[..length];
        let (opcode, unique, node) = (u32_at(request, 4), u64_at(request, 8), u64_at(request, 16));
        let Some(answer) = answer(opcode, node, &request[40..], state) else { continue };
        let (error, body) = match answer {
            Ok(body) => (0, body),
            Err(error) => (-(error as i32), Vec::new()),
        };
        let mut reply = Vec::with_capacity(16 + body.len());
        reply.extend(u32::try_from(16 + body.len()).unwrap_or(0).to_ne_bytes());
        reply.extend(error.to_ne_bytes());
        reply.extend(unique.to_ne_bytes());
        reply.extend(body);
        // A request that was interrupted wants no answer any more.
        fuse.write_all(&reply).ok();
    }
}

/// Returns the answer to one request, as `linux/fuse.h` lays it out; `None` where none is wanted.
fn answer(
    opcode: u32,
    node: u64,
    body: &[u8],
    state: &Mutex<State>,
) -> Option<Result<Vec<u8>, nix::errno::Errno>> {
    let mut state = lock(state);
    let size = state.image.len();
    let mut out = Vec::new();
    match opcode {
        // FORGET, INTERRUPT, BATCH_FORGET.
        2 | 36 | 42 => return None,
        // LOOKUP.
        1 => {
            put(&mut out, &[(FILE, 8), (0, 8), (3600, 8), (3600, 8), (0, 8)]);
            out.extend(attributes(FILE, size));
        }
        // GETATTR, SETATTR.
        3 | 4 => {
            put(&mut out, &[(3600, 8), (0, 8)]);
            out.extend(attributes(node, size));
        }
        // OPEN.
        14 => put(&mut out, &[(1, 8), (0, 8)]),
        // READ.
        15 => {
            let (at, count) = (u64_at(body, 8) as usize, u32_at(body, 16) as usize);
            out.extend(&state.image[at.min(size)..(at + count).min(size)]);
        }
        // WRITE.
        16 => {
            let (at, bytes) = (u64_at(body, 8) as usize, body[40..].to_vec());
            put(&mut out, &[(bytes.len() as u64, 8)]);
            state.image[at..at + bytes.len()].copy_from_slice(&bytes);
            state.events.push(Event::Write { at, bytes });
        }
        // STATFS.
        17 => out.extend([0; 80]),
        // FSYNC.
        20 => state.events.push(Event::Flush),
        // RELEASE, FLUSH, DESTROY.
        18 | 25 | 38 => {}
        // INIT: version 7.31, no flags but large writes.
        26 => {
            put(&mut out, &[(7, 4), (31, 4), (1 << 17, 4), (1 << 5, 4), (0, 4)]);
            put(&mut out, &[(LARGEST_WRITE, 4), (1, 4), (0, 8)]);
            out.extend([0; 28]);
        }
        _ => return Some(Err(nix::errno::Errno::ENOSYS)),
    }
    Some(Ok(out))
}

/// Appends numbers, each in so many bytes.
fn put(out: &mut Vec<u8>, numbers: &[(u64, usize)]) {
    for (number, width) in numbers {
        out.extend(&number.to_le_bytes()[..*width]);
    }
}

fn attributes(node: u64, size: usize) -> Vec<u8> {
    let (size, mode) = if node == FILE { (size as u64, 0o100_600_u32) } else { (0, 0o40_755) };
    let mut out = Vec::new();
    for number in [node, size, size / 512, 0, 0, 0] {
        out.extend(number.to_le_bytes());
    }
    for number in [0, 0, 0, mode, 1, 0, 0, 0, 4096, 0] {
        out.extend(number.to_ne_bytes());
    }
    out
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |four| u32::from_ne_bytes(*four))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |eight| u64::from_ne_bytes(*eight))
}
