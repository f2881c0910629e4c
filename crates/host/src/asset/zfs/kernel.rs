//! What this host's kernel says of a pool: the only proof that it is, or is not, imported here.

use super::calls::Calls;
use orderly_exec::runner::Run;
use std::io::ErrorKind;
use std::path::Path;

/// Where OpenZFS on Linux shows each imported pool; reading it never waits for the pool.
pub(super) const KSTAT: &str = "/proc/spl/kstat/zfs";

/// Whether a pool is imported on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Imported {
    No,
    Yes,
    /// Imported, and no command on it returns any more.
    Suspended,
    Unknown(String),
}

/// Asks the kernel. Without that folder (no module is loaded, or another system) `zpool list` is asked.
pub(super) fn look(kstat: &Path, pool: &str, calls: &Calls, run: &mut dyn Run) -> Imported {
    if !kstat.is_dir() {
        return ask(pool, calls, run);
    }
    let folder = kstat.join(pool);
    match std::fs::read_to_string(folder.join("state")) {
        Ok(text) => of_word(&text),
        // Before OpenZFS 0.8 there is the folder and no state in it.
        Err(error) if error.kind() == ErrorKind::NotFound && folder.exists() => ask(pool, calls, run),
        Err(error) if error.kind() == ErrorKind::NotFound => Imported::No,
        Err(error) => Imported::Unknown(format!("read {}: {error}", folder.join("state").display())),
    }
}

fn ask(pool: &str, calls: &Calls, run: &mut dyn Run) -> Imported {
    let listed = match calls.text(&["zpool", "list", "-H", "-o", "name,health"], run) {
        Ok(text) => text,
        Err(error) => return Imported::Unknown(format!("{error:#}")),
    };
    let health = listed.lines().find_map(|line| match line.split_once('\t') {
        Some((name, health)) if name == pool => Some(health),
        _ => None,
    });
    health.map_or(Imported::No, of_word)
}

fn of_word(text: &str) -> Imported {
    if text.trim() == "SUSPENDED" { Imported::Suspended } else { Imported::Yes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Answers nothing: who asks it has not read the kernel's own table.
    struct Deaf;

    impl Run for Deaf {
        fn run(&mut self, job: &orderly_exec::job::Job) -> orderly_exec::job::Ended {
            panic!("{} was run", job.shown());
        }
    }

    #[test]
    fn the_table_of_the_kernel_counts_and_nothing_else_is_asked() {
        let dir = tempfile::tempdir().unwrap();
        let calls = Calls::new(Duration::from_secs(1));
        let look = |pool: &str| look(dir.path(), pool, &calls, &mut Deaf);
        for (pool, word) in [("tank", "ONLINE\n"), ("sick", "DEGRADED\n"), ("dead", "SUSPENDED\n")] {
            std::fs::create_dir(dir.path().join(pool)).unwrap();
            std::fs::write(dir.path().join(pool).join("state"), word).unwrap();
        }
        assert_eq!(
            [look("tank"), look("sick"), look("dead")],
            [Imported::Yes, Imported::Yes, Imported::Suspended]
        );
        assert_eq!(look("tan"), Imported::No);
        std::fs::write(dir.path().join("file"), "").unwrap();
        assert!(matches!(look("file"), Imported::Unknown(_)), "unreadable is not absent");
    }
}
