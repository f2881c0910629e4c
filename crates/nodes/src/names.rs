//! Names to addresses, all asked for at once and none waited for longer than all together.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What names resolve to.
pub type Addresses = HashMap<String, Vec<IpAddr>>;

/// How long all names together are asked for.
pub(crate) const TOGETHER: Duration = Duration::from_secs(2);
/// Names asked for at once.
const THREADS: usize = 16;

/// Asks the system's resolver for names, all together; those it has no answer for in time are missing.
pub(crate) fn resolve(names: BTreeSet<String>, limit: Duration) -> Addresses {
    let until = Instant::now() + limit;
    let count = names.len();
    let names = Arc::new(Mutex::new(names));
    let (answers, heard) = channel();
    for _ in 0..THREADS.min(count) {
        let (names, answers) = (Arc::clone(&names), answers.clone());
        // One that cannot be started is one less; the names are left to the others.
        let started = std::thread::Builder::new().name("names".into()).spawn(move || {
            loop {
                let Some(name) = names.lock().unwrap_or_else(PoisonError::into_inner).pop_first() else {
                    return;
                };
                let found =
                    (name.as_str(), 0).to_socket_addrs().map(|found| found.map(|at| at.ip()).collect());
                if answers.send((name, found.unwrap_or_default())).is_err() {
                    return;
                }
            }
        });
        if started.is_err() {
            break;
        }
    }
    drop(answers);
    let mut found = HashMap::new();
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        match heard.recv_timeout(left) {
            Ok((name, addresses)) => found.insert(name, addresses),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        };
    }
    names.lock().unwrap_or_else(PoisonError::into_inner).clear();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_resolved_together_and_not_waited_for_for_ever() {
        let names: BTreeSet<String> = ["localhost".to_owned()].into();
        let found = resolve(names, Duration::from_secs(60));
        assert!(found["localhost"].iter().any(IpAddr::is_loopback));
        assert!(resolve(BTreeSet::from(["localhost".to_owned()]), Duration::ZERO).len() <= 1);
    }
}
