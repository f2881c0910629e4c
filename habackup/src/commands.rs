//! `before` and `after` of `[backup]`: what a site runs around a snapshot, such as the dump of a database.
//!
//! Invariant: no argument of theirs and nothing that they print in which a secret is found stands in a message, a log or
//! a record: what looks like one is masked (`secrets_are_masked_wherever_they_stand`).

use crate::id::SnapshotName;
use orderly_exec::job::{Job, show};
use orderly_exec::runner::{Run, Runner};
use orderly_exec::{Status, fail};
use orderly_host::config::BackupTable;
use orderly_host::platform::Argv;

/// What stands in place of a secret.
const MASK: &str = "***";

/// What a name has in it whose value is a secret.
const SECRET_NAMES: [&str; 6] = ["pass", "pwd", "secret", "token", "credential", "apikey"];

/// Runs the commands of `before`, each after the one before succeeded.
///
/// # Errors
/// Names the command that failed (1); marked with the signal when one came meanwhile.
pub fn before(backup: &BackupTable, runner: &mut Runner) -> anyhow::Result<()> {
    for argv in &backup.before {
        run("before", argv, backup, Vec::new(), runner)
            .map_err(|why| fail(Status::Failed, format!("no snapshot was taken: {why}")))?;
        if let Some(signal) = runner.interrupted() {
            return Err(fail(Status::Signal(signal as i32), "interrupted before the snapshot was taken"));
        }
    }
    Ok(())
}

/// Runs the commands of `after`, all of them, whatever became of the snapshot; returns what failed.
pub fn after(backup: &BackupTable, taken: Option<SnapshotName>, runner: &mut dyn Run) -> Vec<String> {
    let status = match taken {
        Some(name) if name.whole => "complete",
        Some(_) => "incomplete",
        None => "failed",
    };
    let id = taken.map(|name| name.to_string()).unwrap_or_default();
    let told = vec![("ORDERLY_BACKUP_STATUS", status.to_owned()), ("ORDERLY_SNAPSHOT", id)];
    let runs = backup.after.iter().map(|argv| run("after", argv, backup, told.clone(), runner));
    runs.filter_map(Result::err).collect()
}

fn run(
    key: &str,
    argv: &Argv,
    backup: &BackupTable,
    told: Vec<(&str, String)>,
    runner: &mut dyn Run,
) -> Result<(), String> {
    let mut job = Job::new(argv, backup.command_timeout);
    let directory = ("ORDERLY_BACKUP_DIRECTORY", backup.directory.display().to_string());
    job.env.extend(told.into_iter().chain([directory]).map(|(name, value)| (name.into(), value.into())));
    let ended = runner.run(&job);
    if ended.succeeded() {
        return Ok(());
    }
    let program = argv.first().map(String::as_str).unwrap_or_default();
    Err(format!("backup.{key}: {program}: {}", Masked::of(argv).hide(&ended.clause())))
}

/// Returns a command as one would type it, without its secrets.
pub fn shown(argv: &Argv) -> String {
    show(&Masked::of(argv).words)
}

/// A command with its secrets apart.
struct Masked {
    words: Vec<String>,
    secrets: Vec<String>,
}

impl Masked {
    fn of(argv: &Argv) -> Self {
        let mut masked = Self { words: Vec::new(), secrets: Vec::new() };
        let is_mysql = argv.first().is_some_and(|program| {
            let name = program.rsplit('/').next().unwrap_or_default();
            name.starts_with("mysql") || name.starts_with("mariadb")
        });
        let mut is_value = false;
        for word in argv {
            // A line for a shell is one word with several in it.
            let parts: Vec<String> = word
                .split(' ')
                .map(|part| {
                    let (shown, names_next) = masked.part(part, is_value, is_mysql);
                    is_value = names_next || is_value && part.is_empty();
                    shown
                })
                .collect();
            masked.words.push(parts.join(" "));
        }
        masked
    }

    /// Returns a part with its secret masked, and whether it names the next one a secret.
    fn part(&mut self, part: &str, is_value: bool, is_mysql: bool) -> (String, bool) {
        let names_secret = |name: &str| {
            let name = name.to_lowercase().replace(['-', '_'], "");
            SECRET_NAMES.iter().any(|secret| name.contains(secret))
        };
        if is_value && !part.is_empty() && !part.starts_with('-') {
            return (self.hidden(part), false);
        }
        if let Some((name, value)) = part.split_once('=').filter(|(name, _)| names_secret(name)) {
            return (format!("{name}={}", self.hidden(value)), false);
        }
        if let Some(value) = part.strip_prefix("-p").filter(|value| is_mysql && !value.is_empty()) {
            return (format!("-p{}", self.hidden(value)), false);
        }
        let user_of_url = part.split_once("://").and_then(|(scheme, rest)| {
            let (user, place) = rest.split_once('@')?;
            let (user, password) = user.split_once(':')?;
            Some((scheme, user, password, place))
        });
        if let Some((scheme, user, password, place)) = user_of_url {
            return (format!("{scheme}://{user}:{}@{place}", self.hidden(password)), false);
        }
        (part.to_owned(), part.starts_with('-') && names_secret(part))
    }

    fn hidden(&mut self, secret: &str) -> String {
        let bare = secret.trim_matches(['"', '\'']);
        if !bare.is_empty() {
            self.secrets.push(bare.to_owned());
        }
        MASK.to_owned()
    }

    /// Returns a text without the secrets.
    fn hide(&self, text: &str) -> String {
        let mut secrets: Vec<&String> = self.secrets.iter().collect();
        // The longer first: it may have the shorter one in it.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.into_iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), MASK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        for (argv, wanted) in [
            (&["pg_dump", "-U", "app"][..], "pg_dump -U app"),
            (&["env", "PGPASSWORD=geheim", "pg_dump"], "env 'PGPASSWORD=***' pg_dump"),
            (&["dump", "--password", "geheim", "--all"], "dump --password '***' --all"),
            (&["dump", "--password=geheim"], "dump '--password=***'"),
            (&["dump", "--api-key", "geheim"], "dump --api-key '***'"),
            (&["/usr/bin/mysqldump", "-pgeheim", "-u", "root"], "/usr/bin/mysqldump '-p***' -u root"),
            (&["dump", "postgres://app:geheim@db/x"], "dump 'postgres://app:***@db/x'"),
            (
                &["sh", "-c", "TOKEN='geheim' dump --secret  geheim >x"],
                "sh -c 'TOKEN=*** dump --secret  *** >x'",
            ),
            (&["dump", "-p", "5432"], "dump -p 5432"),
        ] {
            let argv: Argv = argv.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(shown(&argv), wanted);
            assert!(
                !Masked::of(&argv).hide("login as app:geheim failed").contains("geheim")
                    || !wanted.contains(MASK)
            );
        }
    }
}
