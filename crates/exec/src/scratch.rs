//! A directory for what programs write in passing: only its owner can enter it, and it goes with its value.
//!
//! The crate `tempfile`, which tests use, does the same with three more crates in all programs (fastrand, getrandom,
//! once_cell); mkdtemp(3) draws the name and makes it 0700 in one call.

use anyhow::Context;
use std::fs;
use std::path::{Path, PathBuf};

/// A private directory (0700) that is removed with all that is in it.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one below the directory for temporary files.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new() -> anyhow::Result<Self> {
        let above = std::env::temp_dir();
        let made = nix::unistd::mkdtemp(&above.join("orderly-scratch-XXXXXX"));
        let path = made.with_context(|| format!("make a private directory in {}", above.display()))?;
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left is of no use to anybody, and only its owner can read it.
        fs::remove_dir_all(&self.0).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn nobody_else_can_enter_it_and_nothing_stays() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        fs::write(path.join("a"), "a").unwrap();
        drop(scratch);
        assert!(!path.exists());
    }
}
