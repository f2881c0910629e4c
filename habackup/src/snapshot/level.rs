//! A directory of the walk.

use std::os::fd::OwnedFd;

/// One folder of the walk, on both sides.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) path: Vec<u8>,
    pub(super) depth: usize,
    pub(super) source: OwnedFd,
    pub(super) target: OwnedFd,
    pub(super) previous: Option<OwnedFd>,
}
