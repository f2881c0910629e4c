//! Extended attributes of an open file, folder, link or device.
//!
//! Addressed by descriptor, or as `/proc/self/fd/N` where it was opened only as a place (`O_PATH`),
//! as links and devices must be: both reach exactly the open inode.

use crate::manifest::Xattr;
use crate::path_bytes::PathBytes;
use nix::errno::Errno;
use nix::libc;
use rustix::fs::XattrFlags;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd};

/// Returns how the kernel is told of this very inode by path.
pub(crate) fn proc_path(fd: impl AsFd) -> CString {
    CString::new(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())).unwrap_or_default()
}

/// Tells whether a descriptor was opened only as a place (`O_PATH`).
pub(crate) fn is_place(fd: impl AsFd) -> bool {
    let flags = nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_GETFL).unwrap_or(libc::O_PATH);
    flags & libc::O_PATH != 0
}

/// Returns all attributes, sorted by name; none where the file system has no such thing.
///
/// # Errors
/// What the kernel said.
pub(crate) fn read_all(fd: impl AsFd) -> Result<Vec<Xattr>, Errno> {
    let names = match list(&fd) {
        Ok(names) => names,
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    let path = if names.is_empty() { CString::default() } else { proc_path(&fd) };
    for name in names.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        let Ok(c_name) = CString::new(name) else { continue };
        match get(&path, &c_name) {
            Ok(value) => found.push(Xattr { name: PathBytes::new(name), value }),
            // Removed since it was listed, or one of those that only the kernel may read.
            Err(Errno::ENODATA | Errno::EOPNOTSUPP) => {}
            Err(error) => return Err(error),
        }
    }
    found.sort();
    Ok(found)
}

/// Makes the attributes those of `wanted`; returns the names of what could not be set.
pub(crate) fn write_all(fd: impl AsFd, wanted: &[Xattr]) -> Vec<PathBytes> {
    let extras = read_all(&fd).unwrap_or_default();
    if extras.is_empty() && wanted.is_empty() {
        return Vec::new();
    }
    let path = proc_path(&fd);
    for extra in extras {
        // A new file inherits an ACL from its folder that the original did not have. Security labels
        // are the system's own business.
        let ours = !extra.name.as_bytes().starts_with(b"security.")
            || extra.name.as_bytes() == b"security.capability";
        if ours && !wanted.iter().any(|xattr| xattr.name == extra.name) {
            if let Ok(name) = CString::new(extra.name.as_bytes()) {
                rustix::fs::removexattr(path.as_c_str(), name.as_c_str()).ok();
            }
        }
    }
    wanted.iter().filter(|xattr| set(&path, xattr).is_err()).map(|xattr| xattr.name.clone()).collect()
}

fn set(path: &CStr, xattr: &Xattr) -> rustix::io::Result<()> {
    rustix::fs::setxattr(path, xattr.name.as_bytes(), &xattr.value, XattrFlags::empty())
}

fn list(fd: impl AsFd) -> Result<Vec<u8>, Errno> {
    let direct = grow(|buffer| rustix::fs::flistxattr(&fd, buffer));
    if direct != Err(Errno::EBADF) {
        return direct;
    }
    let path = proc_path(&fd);
    grow(|buffer| rustix::fs::listxattr(path.as_c_str(), buffer))
}

fn get(path: &CStr, name: &CStr) -> Result<Vec<u8>, Errno> {
    grow(|buffer| rustix::fs::getxattr(path, name, buffer))
}

fn grow(mut call: impl FnMut(&mut [u8]) -> rustix::io::Result<usize>) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; 256];
    loop {
        match call(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            // 64 KiB is the kernel's own limit for both.
            Err(rustix::io::Errno::RANGE) if buffer.len() < 1 << 16 => buffer.resize(buffer.len() * 16, 0),
            Err(error) => return Err(Errno::from_raw(error.raw_os_error())),
        }
    }
}
