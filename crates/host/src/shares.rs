//! Exported folders: listed, taken back and exported again. Only the listed paths; never all.

use crate::config::{Argv, Share};
use anyhow::{Context, bail};
use orderly_exec::job::{Ending, Job, show};
use orderly_exec::runner::Run;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One export of a path: to whom and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    pub client: String,
    pub options: String,
}

/// Returns how a path is exported now; empty when it is not.
///
/// # Errors
/// When it cannot be found out.
pub fn found(share: &Share, run: &mut dyn Run) -> anyhow::Result<Vec<Export>> {
    let list = list_command(share);
    let ended = run.run(&Job::new(&list, share.timeout));
    if !ended.succeeded() || ended.truncated {
        bail!("{}: {}", show(&list), ended.clause());
    }
    let text = ended.text();
    if share.commands.is_some() {
        let listed = text.lines().any(|line| Path::new(line.trim()) == share.path);
        return Ok(if listed {
            vec![Export { client: String::new(), options: String::new() }]
        } else {
            Vec::new()
        });
    }
    parse(&text, &share.path)
}

/// Returns everything that is exported, by the platform's own command.
///
/// # Errors
/// When it cannot be found out. Nothing is exported where there is no such command.
pub fn all(limit: Duration, run: &mut dyn Run) -> anyhow::Result<Vec<(PathBuf, Export)>> {
    let list = ["exportfs", "-s"];
    let ended = run.run(&Job::new(list, limit));
    if ended.ending == Ending::NotStarted {
        return Ok(Vec::new());
    }
    if !ended.succeeded() || ended.truncated {
        bail!("{}: {}", show(&list), ended.clause());
    }
    parse_all(&ended.text())
}

/// Returns the command that exports a path again as it was found.
pub fn export_command(path: &Path, export: &Export) -> Argv {
    let pair = format!("{}:{}", export.client, path.display());
    vec!["exportfs".to_owned(), "-o".to_owned(), export.options.clone(), pair]
}

/// Returns how a path is to be exported by the configuration.
pub fn wanted(share: &Share) -> Vec<Export> {
    let options = match &share.fsid {
        Some(fsid) => format!("{},fsid={fsid}", share.options),
        None => share.options.clone(),
    };
    share.clients.iter().map(|client| Export { client: client.clone(), options: options.clone() }).collect()
}

fn list_command(share: &Share) -> Argv {
    match &share.commands {
        Some(commands) => commands.list.clone(),
        None => vec!["exportfs".to_owned(), "-s".to_owned()],
    }
}

/// Returns the commands that export a path.
pub fn add_commands(share: &Share, exports: &[Export]) -> Vec<Argv> {
    match &share.commands {
        Some(commands) => vec![commands.add.clone()],
        None => exports
            .iter()
            .map(|export| vec!["exportfs".into(), "-o".into(), export.options.clone(), pair(share, export)])
            .collect(),
    }
}

/// Returns the commands that take an export back, and make the kernel forget it.
pub fn remove_commands(share: &Share, exports: &[Export]) -> Vec<Argv> {
    match &share.commands {
        Some(commands) => vec![commands.remove.clone()],
        None => {
            let mut commands: Vec<Argv> = exports
                .iter()
                .map(|export| vec!["exportfs".into(), "-u".into(), pair(share, export)])
                .collect();
            commands.push(vec!["exportfs".into(), "-f".into()]);
            commands
        }
    }
}

fn pair(share: &Share, export: &Export) -> String {
    format!("{}:{}", export.client, share.path.display())
}

/// Lets go of the locks that NFS clients hold on a path (`exportfs` of resource-agents does the same):
/// they would keep it busy after the export is gone.
///
/// # Errors
/// When the kernel refuses.
pub fn drop_locks(path: &Path) -> anyhow::Result<()> {
    let unlock = Path::new("/proc/fs/nfsd/unlock_filesystem");
    if !unlock.exists() {
        return Ok(());
    }
    let mut line = crate::mountinfo::escape(path);
    line.push(b'\n');
    std::fs::write(unlock, line).with_context(|| format!("drop the NFS locks on {}", path.display()))
}

/// Reads how one path is exported from what `exportfs -s` prints.
fn parse(text: &str, path: &Path) -> anyhow::Result<Vec<Export>> {
    let all = parse_all(text)?;
    Ok(all.into_iter().filter(|(listed, _)| listed == path).map(|(_, export)| export).collect())
}

/// Reads what `exportfs -s` prints: `PATH  CLIENT(OPTIONS)` a line, in the escapes of exports(5).
fn parse_all(text: &str) -> anyhow::Result<Vec<(PathBuf, Export)>> {
    let mut exports = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let split = line.split_once(char::is_whitespace).and_then(|(path, rest)| {
            let (client, options) = rest.trim().strip_suffix(')')?.split_once('(')?;
            Some((path, client, options))
        });
        let Some((path, client, options)) = split else {
            bail!("exportfs -s printed \"{line}\", which is not an export");
        };
        let path = PathBuf::from(crate::mountinfo::unescape(path.as_bytes()));
        exports.push((path, Export { client: client.to_owned(), options: options.to_owned() }));
    }
    Ok(exports)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str = "/srv/xvm/osp/share/allstart  *(sync,wdelay,hide,no_subtree_check,fsid=7,sec=sys,ro,secure)\n\
                          /var/js  192.0.2.0/24(ro,anonuid=0)\n\
                          /srv/xvm/osp/share/allstart  ec9(rw,sync)\n";

    #[test]
    fn only_the_path_itself_is_found_with_each_client_and_its_options() {
        let exports = parse(LISTED, Path::new("/srv/xvm/osp/share/allstart")).unwrap();
        assert_eq!(exports.iter().map(|e| e.client.as_str()).collect::<Vec<_>>(), ["*", "ec9"]);
        assert_eq!(exports[1].options, "rw,sync");
        assert!(parse(LISTED, Path::new("/srv/xvm")).unwrap().is_empty());
        assert!(parse("nonsense\n", Path::new("/a")).is_err());
    }

    #[test]
    fn what_was_exported_is_exported_again_as_it_was() {
        let share = Share {
            path: "/var/js".into(),
            clients: vec!["*".into()],
            options: "ro".into(),
            fsid: Some("7".into()),
            description: None,
            commands: None,
            timeout: Duration::from_secs(1),
        };
        let found = parse(LISTED, &share.path).unwrap();
        assert_eq!(
            add_commands(&share, &found),
            [["exportfs", "-o", "ro,anonuid=0", "192.0.2.0/24:/var/js"]]
        );
        assert_eq!(wanted(&share), [Export { client: "*".into(), options: "ro,fsid=7".into() }]);
    }
}
