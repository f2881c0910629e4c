//! The bed every scenario lies in: a temporary root, a hermetic environment, the programs as built.
//!
//! Start reading at [`Bed`] (the root) and [`Program`] (one run, strict by default). A scenario sees
//! no tool of this machine unless it asks for it by name, and none that could halt it at all.

#![allow(
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "the bed is test code: a scenario that cannot go on ends with a panic"
)]

pub mod binaries;
pub mod bmc;
pub mod chance;
pub mod cluster;
pub mod expected;
pub mod fakes;
pub mod libvirt;
pub mod loopfs;
pub mod namespace;
pub mod nut;
pub mod pacemaker;
pub mod powermand;
pub mod program;
pub mod real;
pub mod redfish;
pub mod running;
pub mod slurm;
pub mod sshd;
pub mod systemd;
pub mod tmux;

pub use chance::Chance;
pub use cluster::inventory_of;
pub use fakes::{Answer, Fake};
pub use program::{Program, pipeline};
pub use real::Need;
pub use running::{Ended, Running};
pub use tmux::{TMUX_NEEDS, Tmux};

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

/// How long anything may take before it counts as hung; not a measure of speed.
pub const HUNG: Duration = Duration::from_secs(120);

/// Read while a program starts, written while a script is written (or a terminal opened): a child
/// forked in between would inherit the script open for writing, and whoever runs it just then is
/// told "text file busy".
static SCRIPTS: RwLock<()> = RwLock::new(());

/// Where beds lie: where the machine has its temporary files, if other users can get there, who run daemons of the bed.
fn above() -> PathBuf {
    let named = std::env::temp_dir();
    let is_open =
        |folder: &Path| std::fs::metadata(folder).is_ok_and(|meta| meta.permissions().mode() & 1 != 0);
    let is_reached = named.canonicalize().is_ok_and(|path| path.ancestors().all(is_open));
    if is_reached { named } else { PathBuf::from("/tmp") }
}

/// One scenario's own small world; everything in it is gone when it is dropped.
#[derive(Debug)]
pub struct Bed {
    folder: tempfile::TempDir,
    root: PathBuf,
}

impl Bed {
    /// Makes an empty world: `home`, `tmp`, `etc` (configuration), `state`, `fakes`, `tools`, `bin`.
    #[expect(clippy::new_without_default, reason = "a world is made on purpose, not by default")]
    pub fn new() -> Self {
        // Daemons of the bed run as users of their own and read what it writes, whatever the umask of whoever tests.
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
        let folder =
            tempfile::Builder::new().prefix("orderly-").tempdir_in(above()).expect("make a temporary root");
        let root = folder.path().canonicalize().expect("resolve the temporary root");
        for name in ["home", "tmp", "etc", "state", "fakes", "tools", "bin"] {
            std::fs::create_dir(root.join(name)).expect("make a folder of the temporary root");
        }
        let bed = Self { folder, root };
        binaries::link_into(&bed.path("bin"));
        fakes::shadow_what_ends_a_machine(&bed);
        bed
    }

    /// Returns the temporary root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns a path below the root.
    pub fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.root.join(below)
    }

    /// Writes a file below the root, with the folders it needs, and returns its path.
    pub fn write(&self, below: impl AsRef<Path>, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(below);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).expect("make the folders of a file");
        }
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
        path
    }

    /// Writes a file only its owner may change, as the programs demand of their configuration.
    pub fn config(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.write(Path::new("etc").join(name), text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
            .expect("close a configuration file");
        path
    }

    /// Writes an executable script below the root; `body` follows the `#!/bin/sh` line.
    pub fn script(&self, below: impl AsRef<Path>, body: &str) -> PathBuf {
        let path = self.write(below, format!("#!/bin/sh\n{body}\n"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
            .expect("make a script executable");
        path
    }

    /// Returns a file's text.
    pub fn read(&self, below: impl AsRef<Path>) -> String {
        let path = self.path(below);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
    }

    /// Lets the programs find a real tool of this machine, by this name alone.
    pub fn tool(&self, name: &str) -> &Self {
        assert!(!fakes::ENDS_A_MACHINE.contains(&name), "{name} could end this machine and is never lent");
        let real = real::find(name).unwrap_or_else(|| panic!("no program {name} on this machine"));
        let link = self.path("tools").join(name);
        if !link.exists() {
            std::os::unix::fs::symlink(&real, &link).expect("lend a tool");
        }
        self
    }

    /// Lets the programs find several real tools.
    pub fn tools(&self, names: &[&str]) -> &Self {
        for name in names {
            self.tool(name);
        }
        self
    }

    /// Returns a fake program of this name, which refuses every call until it is told answers.
    pub fn fake(&self, name: &str) -> Fake {
        Fake::new(self, name)
    }

    /// Returns what the fakes were called with, one line a call, in the order of the calls.
    pub fn calls(&self) -> Vec<String> {
        fakes::lines_of(&self.path("calls.log"))
    }

    /// Returns one run of one of the programs, not yet started.
    pub fn program(&self, name: &str) -> Program<'_> {
        Program::new(self, self.path("bin").join(name))
    }

    /// Returns one run of a program outside the project, by full path, in the same environment.
    pub fn external(&self, path: impl AsRef<Path>) -> Program<'_> {
        Program::new(self, path.as_ref().to_owned())
    }

    /// Returns one run of a shell line, in the same environment: pipelines as people type them.
    pub fn shell(&self, line: &str) -> Program<'_> {
        self.external("/bin/sh").args(["-c", line])
    }

    /// Returns the processes that were started in this world and are still there.
    pub fn left_over(&self) -> Vec<i32> {
        let mark = format!("ORDERLY_BED={}", self.root.display());
        let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
        })
        .collect()
    }

    /// Keeps the world after the scenario, for looking into a failure by hand.
    pub fn keep(&mut self) {
        self.folder.disable_cleanup(true);
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        for pid in self.left_over() {
            // A process that ended meanwhile is what is wanted.
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).ok();
        }
        let forbidden = fakes::lines_of(&self.path("forbidden.log"));
        if !forbidden.is_empty() && !std::thread::panicking() {
            panic!("the scenario called what it must not:\n{}", forbidden.join("\n"));
        }
    }
}

/// Writes an executable file as a whole: another process may be starting the one that was there.
pub(crate) fn write_script(path: &Path, text: &str) {
    let _alone = SCRIPTS.write().unwrap_or_else(PoisonError::into_inner);
    let beside = path.with_extension("new");
    std::fs::write(&beside, text).expect("write a script");
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o755))
        .expect("make a script executable");
    std::fs::rename(&beside, path).expect("put a script in its place");
}

/// Starts a program while no script is being written, in a session and group of its own: the terminal of
/// whoever runs the tests is none of its.
#[allow(unsafe_code, reason = "std has no other way to begin a session")]
pub(crate) fn start(command: &mut std::process::Command) -> std::process::Child {
    // SAFETY: setsid(2) is all that is called between fork and exec, and it may be.
    unsafe {
        std::os::unix::process::CommandExt::pre_exec(command, || nix::unistd::setsid().map(|_| ()).or(Ok(())))
    };
    let _many = SCRIPTS.read().unwrap_or_else(PoisonError::into_inner);
    let mut tries = 0;
    loop {
        match command.spawn() {
            // Whoever was forked elsewhere while the script was written has it open until it executes something else.
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy && tries < 500 => {
                tries += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
            started => return started.unwrap_or_else(|error| panic!("start {command:?}: {error}")),
        }
    }
}

/// Waits until something is true; a scenario never sleeps "to let it start".
pub fn wait_until(what: &str, is_true: impl FnMut() -> bool) {
    wait_longer(HUNG, what, is_true);
}

/// As [`wait_until`], with this much patience.
pub fn wait_longer(patience: Duration, what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !is_true() {
        assert!(Instant::now() < deadline, "timed out after {patience:?}, waiting until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
