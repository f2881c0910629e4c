//! How many descriptors this process may have: sockets and the pipes of children are some.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the soft limit to `wanted` where it is lower, as far as the hard limit allows, and returns what it is. No
/// higher: children inherit it, and some close all descriptors that they might have, one by one.
pub fn at_least(wanted: usize) -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return USUAL };
    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX).min(hard);
    let is_raised = wanted > soft && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok();
    usize::try_from(if is_raised { wanted } else { soft }).unwrap_or(usize::MAX)
}

/// What a login session gives, since long ago.
const USUAL: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_raised_as_far_as_it_may_be_and_never_lowered() {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(at_least(1), usize::try_from(soft).unwrap());
        assert_eq!(at_least(usize::MAX), usize::try_from(hard).unwrap());
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    }
}
