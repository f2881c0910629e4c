//! What a scenario needs of the machine. Missing it fails in CI and is said plainly elsewhere.

use crate::binaries::peers;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One thing a scenario needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// To run as root.
    Root,
    /// Loop devices.
    Loop,
    /// Private mount namespaces.
    MountNamespace,
    /// Overlays of file systems, in a mount namespace.
    Overlay,
    /// Private user namespaces, for those who are not root.
    UserNamespace,
    /// A program of this name.
    Program(&'static str),
    /// A program that is installed beside the tests, of a package that Debian has not: its environment, and its name
    /// (packaging/test-needs.sh).
    Peer(&'static str, &'static str),
    /// A device at this path.
    Device(&'static str),
}

/// Tells whether the machine has what a scenario needs; the scenario returns when it has not.
///
/// Panics where `CI` is set: there a scenario that does not run is a failure.
pub fn require(needs: &[Need]) -> bool {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let missing: Vec<String> = needs.iter().filter(|need| !is_there(**need)).map(describe).collect();
    if missing.is_empty() {
        return true;
    }
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a scenario");
    let missing = missing.join(", ");
    assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "{name} needs {missing}");
    let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
    // Written past the test harness, which hides what a passing test prints.
    let line = format!("did not run: {name}: needs {missing} ({count} so far)\n");
    std::io::stderr().write_all(line.as_bytes()).ok();
    false
}

/// Returns the full path of a program of this machine; the system folders count for everybody.
pub fn find(name: &str) -> Option<PathBuf> {
    let mine = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    let folders = std::env::split_paths(&mine).chain(system.iter().map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn is_there(need: Need) -> bool {
    static MOUNT: OnceLock<bool> = OnceLock::new();
    static OVERLAY: OnceLock<bool> = OnceLock::new();
    static USER: OnceLock<bool> = OnceLock::new();
    static LOOP: OnceLock<bool> = OnceLock::new();
    match need {
        Need::Root => nix::unistd::geteuid().is_root(),
        Need::MountNamespace => {
            *MOUNT.get_or_init(|| works("unshare", &["-m", "--propagation", "private", "true"]))
        }
        Need::Overlay => *OVERLAY.get_or_init(|| {
            let lay = "mount -t tmpfs tmpfs /mnt && cd /mnt && mkdir l u w m && \
                       mount -t overlay overlay -o lowerdir=l,upperdir=u,workdir=w m";
            works("unshare", &["-m", "--propagation", "private", "sh", "-c", lay])
        }),
        Need::UserNamespace => *USER.get_or_init(|| works("unshare", &["-Urm", "true"])),
        Need::Loop => *LOOP.get_or_init(|| works("losetup", &["-f"])),
        Need::Program(name) => find(name).is_some(),
        Need::Peer(environment, name) => is_executable(&peers().join(environment).join("bin").join(name)),
        Need::Device(path) => Path::new(path).exists(),
    }
}

fn works(name: &str, args: &[&str]) -> bool {
    let Some(path) = find(name) else { return false };
    let mut command = Command::new(path);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn describe(need: &Need) -> String {
    match need {
        Need::Root => "root".to_owned(),
        Need::Loop => "loop devices".to_owned(),
        Need::MountNamespace => "private mount namespaces".to_owned(),
        Need::Overlay => "overlayfs".to_owned(),
        Need::UserNamespace => "private user namespaces".to_owned(),
        Need::Program(name) => format!("the program {name}"),
        Need::Peer(_, name) => format!("the program {name} (packaging/test-needs.sh installs it)"),
        Need::Device(path) => format!("the device {path}"),
    }
}
