//! Where the built programs are. They belong to other packages, so cargo names no path for them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The six programs.
pub const PROGRAMS: [&str; 6] = ["seqfile", "cstartup", "cshutdown", "habackup", "ha-release", "ha-takeover"];

/// Programs that come along with the six, and second names.
const ALONG: [&str; 2] = ["csLogger", "harestore"];

/// Returns the folder of the built programs; builds them on the first call.
///
/// `ORDERLY_BIN_DIR` names another folder instead: packagers test what they installed, and a runner
/// that starts a process a test does not start cargo each time.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| std::env::var_os("ORDERLY_BIN_DIR").map_or_else(build, PathBuf::from))
}

/// Returns the workspace's folder.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests lies in the workspace")
}

/// Returns where packaging/test-needs.sh installs what Debian has no package of.
pub fn peers() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace().join("target"), PathBuf::from)
        .join("peers")
}

/// Links the programs into a folder of their own: an installed one may hold `halt` as well.
pub(crate) fn link_into(bin: &Path) {
    for name in PROGRAMS.iter().chain(&ALONG) {
        let built = folder().join(name);
        let source = match *name {
            "harestore" if !built.exists() => folder().join("habackup"),
            _ => built,
        };
        if source.exists() {
            std::os::unix::fs::symlink(source, bin.join(name)).expect("link a program");
        }
    }
}

/// Builds into the folder this very test was built into, with the same profile: nothing is compiled
/// twice, and a test of the release profile tests release programs.
fn build() -> PathBuf {
    let test = std::env::current_exe().expect("find this test's own program");
    let folder = test.ancestors().nth(2).expect("a test lies in TARGET/PROFILE/deps").to_owned();
    let profile =
        match folder.file_name().and_then(|name| name.to_str()).expect("a profile's folder has a name") {
            "debug" => "dev",
            other => other,
        };
    let above = folder.parent().expect("a profile's folder lies in the target folder");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace()).args([
        "build",
        "--quiet",
        "--locked",
        "--workspace",
        "--bins",
        "--examples",
        "--profile",
        profile,
    ]);
    // TARGET/TRIPLE/PROFILE when a target was named; these lie in TARGET alone. The tag is left out where the folder was
    // there before cargo was: `make test` puts the peers there first.
    if ["CACHEDIR.TAG", ".rustc_info.json"].iter().any(|mark| above.join(mark).exists()) {
        cargo.arg("--target-dir").arg(above);
    } else if let (Some(target), Some(triple)) = (above.parent(), above.file_name()) {
        cargo.arg("--target-dir").arg(target).arg("--target").arg(triple);
    }
    let status = cargo.status().expect("start cargo to build the programs");
    assert!(status.success(), "building the programs failed: {cargo:?}");
    folder
}
