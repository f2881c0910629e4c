//! The processes of this host as `/proc` lists them.

use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;

/// A process that ended meanwhile, or is dead and waits to be reaped, holds nothing.
pub(super) fn gone_is_none<T>(result: std::io::Result<T>, path: &str) -> Result<Option<T>, String> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if matches!(error.raw_os_error(), Some(nix::libc::ESRCH | nix::libc::EINVAL)) => Ok(None),
        Err(error) => Err(format!("{path}: {error}")),
    }
}

/// A `/proc` that cannot be listed shows nobody, and proves nothing.
pub(super) fn processes(unread: &mut Vec<String>) -> Vec<u32> {
    let entries = match fs::read_dir("/proc") {
        Ok(entries) => entries.flatten(),
        Err(error) => {
            unread.push(format!("/proc: {error}"));
            return Vec::new();
        }
    };
    let mut pids: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids
}

/// Returns the threads of a process, the first one first. A thread can be in a mount namespace of its
/// own, and the first one can end before the others: then it shows nothing any more, and they do.
pub(crate) fn threads(pid: u32) -> Vec<u32> {
    let folder = format!("/proc/{pid}/task");
    // One link for each thread, and two of the folder itself.
    if fs::metadata(&folder).is_ok_and(|found| found.nlink() <= 3) {
        return vec![pid];
    }
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let others = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    std::iter::once(pid).chain(others.filter(|thread| *thread != pid)).collect()
}

/// Returns the mount an open file is on, also where its path is hidden or deleted.
pub(super) fn mount_id(pid: u32, descriptor: &str) -> Option<u64> {
    // The number stands in the third line; what follows may be long.
    let mut text = [0; 1024];
    let mut file = fs::File::open(format!("/proc/{pid}/fdinfo/{descriptor}")).ok()?;
    let length = file.read(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text[..length]);
    text.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok())
}
