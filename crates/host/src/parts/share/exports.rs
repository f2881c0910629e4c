//! What is exported, and the commands that export a path and take that back.
//!
//! Linux has `exportfs`, Solaris `share` and `unshare` (share(1M)); a share may have its own commands.

use crate::action::Export;
use crate::config::ShareTable;
use crate::config::client::is_same;
use crate::platform::{Argv, Platform};
use anyhow::{Context, bail};
use orderly_exec::job::{Ending, Job, show};
use orderly_exec::runner::Run;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Returns how a path is exported now; empty when it is not.
///
/// # Errors
/// When it cannot be found out.
pub fn found(share: &ShareTable, platform: Platform, run: &mut dyn Run) -> anyhow::Result<Vec<Export>> {
    let text = run.text(&Job::new(list_command(share, platform), share.timeout))?;
    if share.commands.is_some() {
        let listed = text.lines().any(|line| Path::new(line.trim()) == share.path);
        return Ok(if listed { vec![plain(String::new(), String::new())] } else { Vec::new() });
    }
    match platform {
        Platform::Linux => parse(&text, &share.path),
        Platform::Solaris => parse_solaris(&text, &share.path),
    }
}

fn plain(client: String, options: String) -> Export {
    Export { client, options, description: None }
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
    vec!["exportfs".to_owned(), "-o".to_owned(), export.options.clone(), name(&export.client, path)]
}

/// Returns how a path is to be exported by the configuration.
pub fn wanted(share: &ShareTable, platform: Platform) -> Vec<Export> {
    if platform == Platform::Solaris {
        let (options, description) = (share.options.clone(), share.description.clone());
        return vec![Export { client: String::new(), options, description }];
    }
    let options = match &share.fsid {
        Some(fsid) => format!("{},fsid={fsid}", share.options),
        None => share.options.clone(),
    };
    share.clients.iter().map(|client| plain(client.clone(), options.clone())).collect()
}

/// Options of exports(5) that exclude each other; the first of each pair is what holds where neither is given.
/// Only where the difference matters to who reads or writes: others are printed or not as versions please.
const OPPOSITES: [(&str, &str); 4] = [
    ("ro", "rw"),
    ("root_squash", "no_root_squash"),
    ("no_all_squash", "all_squash"),
    ("secure", "insecure"),
];

/// Returns by which option an export differs from the one that is wanted: what it has, and what it should have.
pub fn difference(there: &Export, wanted: &Export) -> Option<(String, String)> {
    let has = |export: &Export, option: &str| export.options.split(',').any(|one| one == option);
    let value = |export: &Export, key: &str| {
        export.options.split(',').find_map(|one| Some(one.strip_prefix(key)?.to_owned()))
    };
    let opposite = OPPOSITES.iter().find_map(|(usual, other)| {
        let (is, should) = (has(there, other), has(wanted, other));
        let word = |yes: bool| if yes { *other } else { *usual }.to_owned();
        (is != should).then(|| (word(is), word(should)))
    });
    let valued = || {
        ["fsid=", "sec="].into_iter().find_map(|key| {
            let should = value(wanted, key)?;
            let is = value(there, key).unwrap_or_else(|| "none".to_owned());
            // 0 has a name.
            let is_same = is == should || (is == "0" && should == "root");
            (!is_same).then(|| (format!("{key}{is}"), format!("{key}{should}")))
        })
    };
    opposite.or_else(valued)
}

fn list_command(share: &ShareTable, platform: Platform) -> Argv {
    match (&share.commands, platform) {
        (Some(commands), _) => commands.list.clone(),
        (None, Platform::Linux) => vec!["exportfs".to_owned(), "-s".to_owned()],
        (None, Platform::Solaris) => vec!["share".to_owned()],
    }
}

/// Returns the commands that export a path.
pub fn add_commands(share: &ShareTable, platform: Platform, exports: &[Export]) -> Vec<Argv> {
    let linux =
        |export: &Export| vec!["exportfs".into(), "-o".into(), export.options.clone(), pair(share, export)];
    match (&share.commands, platform) {
        (Some(commands), _) => vec![commands.add.clone()],
        (None, Platform::Linux) => exports.iter().map(linux).collect(),
        (None, Platform::Solaris) => exports.iter().map(|export| share_command(share, export)).collect(),
    }
}

fn share_command(share: &ShareTable, export: &Export) -> Argv {
    let mut command = ["share", "-F", "nfs"].map(str::to_owned).to_vec();
    let described = export.description.as_deref().filter(|words| !words.is_empty());
    for (flag, value) in [("-o", Some(export.options.as_str())), ("-d", described)] {
        command.extend(value.into_iter().flat_map(|value| [flag.to_owned(), value.to_owned()]));
    }
    command.push(share.path.to_string_lossy().into_owned());
    command
}

/// Returns the commands that take an export back, and make the kernel forget it.
pub fn remove_commands(share: &ShareTable, platform: Platform, exports: &[Export]) -> Vec<Argv> {
    let linux = |export: &Export| vec!["exportfs".into(), "-u".into(), pair(share, export)];
    match (&share.commands, platform) {
        (Some(commands), _) => vec![commands.remove.clone()],
        (None, Platform::Linux) => exports.iter().map(linux).chain([flush_command()]).collect(),
        (None, Platform::Solaris) => {
            vec![vec!["unshare".to_owned(), share.path.to_string_lossy().into_owned()]]
        }
    }
}

/// Returns the command that makes the kernel look at the table of exports again.
pub fn flush_command() -> Argv {
    vec!["exportfs".to_owned(), "-f".to_owned()]
}

/// Tells whether a share says by which id clients know its file system (exports(5)).
pub fn has_fsid(share: &ShareTable) -> bool {
    let says = |option: &str| option.starts_with("fsid=") || option.starts_with("uuid=");
    share.fsid.is_some() || share.options.split(',').any(says)
}

/// Tells whether a file system carries an id that is the same on every host that mounts it.
pub fn has_id_of_its_own(fstype: &str) -> bool {
    ["ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "jfs", "f2fs", "nilfs2", "gfs2", "ocfs2"]
        .contains(&fstype)
}

/// Returns what exportfs takes for one client of a path.
fn name(client: &str, path: &Path) -> String {
    let path = path.display();
    if client.contains(':') { format!("[{client}]:{path}") } else { format!("{client}:{path}") }
}

fn pair(share: &ShareTable, export: &Export) -> String {
    name(&export.client, &share.path)
}

/// Returns exports with their clients written as they are listed: exportfs knows a network by that alone.
pub fn as_listed(exports: &[Export], listed: &[Export]) -> Vec<Export> {
    let mut exports = exports.to_vec();
    for export in &mut exports {
        if let Some(there) = listed.iter().find(|there| is_same(&there.client, &export.client)) {
            export.client.clone_from(&there.client);
        }
    }
    exports
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
        exports.push((path, plain(client.to_owned(), options.to_owned())));
    }
    Ok(exports)
}

/// Reads what `share` prints: `RESOURCE PATH OPTIONS "DESCRIPTION"` a line, with `-` for a share
/// without a resource name (share(1M)).
fn parse_solaris(text: &str, path: &Path) -> anyhow::Result<Vec<Export>> {
    let mut exports = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let rest = line.split_once(char::is_whitespace).map(|(_resource, rest)| rest.trim_start());
        let Some(rest) = rest.filter(|rest| rest.starts_with('/')) else {
            bail!("share printed \"{line}\", which is not a share");
        };
        // Compared as a beginning, because a path may have blanks in it and is not quoted.
        let Some(rest) = rest.strip_prefix(&*path.to_string_lossy()) else { continue };
        if !rest.is_empty() && !rest.starts_with(char::is_whitespace) {
            continue;
        }
        let rest = rest.trim_start();
        let (options, words) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let words = words.trim();
        let words = words.strip_prefix('"').and_then(|words| words.strip_suffix('"')).unwrap_or(words);
        let description = (!words.is_empty()).then(|| words.to_owned());
        exports.push(Export { client: String::new(), options: options.to_owned(), description });
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
    fn a_network_of_ipv6_is_given_to_exportfs_in_brackets() {
        assert_eq!(name("2001:db8::/32", Path::new("/srv")), "[2001:db8::/32]:/srv");
        assert_eq!(name("192.0.2.0/24", Path::new("/srv")), "192.0.2.0/24:/srv");
    }

    #[test]
    fn an_export_differs_by_what_matters_to_its_clients() {
        let export = |options: &str| plain("*".to_owned(), options.to_owned());
        let shown = "sync,wdelay,hide,no_subtree_check,sec=sys,ro,secure,root_squash,no_all_squash";
        for wanted in ["", "ro", "ro,sync", "async,subtree_check", "sec=sys"] {
            assert_eq!(difference(&export(shown), &export(wanted)), None, "{wanted}");
        }
        let differs = |is: &str, should: &str| Some((is.to_owned(), should.to_owned()));
        assert_eq!(difference(&export("rw,fsid=7"), &export("ro")), differs("rw", "ro"));
        assert_eq!(difference(&export(shown), &export("rw")), differs("ro", "rw"));
        let open = "ro,no_root_squash";
        assert_eq!(difference(&export(open), &export("ro")), differs("no_root_squash", "root_squash"));
        assert_eq!(difference(&export("ro,fsid=7"), &export("ro,fsid=8")), differs("fsid=7", "fsid=8"));
        assert_eq!(difference(&export("ro,fsid=0"), &export("ro,fsid=root")), None);
        assert_eq!(difference(&export(shown), &export("sec=krb5")), differs("sec=sys", "sec=krb5"));
    }

    #[test]
    fn what_was_exported_is_exported_again_as_it_was() {
        let share = ShareTable {
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
            add_commands(&share, Platform::Linux, &found),
            [["exportfs", "-o", "ro,anonuid=0", "192.0.2.0/24:/var/js"]]
        );
        assert_eq!(wanted(&share, Platform::Linux), [plain("*".into(), "ro,fsid=7".into())]);
    }

    /// As printed in "Shutting Down the Primary Enterprise Controller".
    const PRINTED: &str = "-               /var/opt/sun/xvm/osp/share/allstart   ro   \"Allstart Share\"  \n\
                           -               /var/js   ro,anon=0   \"Allstart Share\"  \n\
                           -               /opt/SUNWjet   ro,anon=0   \"JET Framework\"  \n";

    #[test]
    fn on_solaris_a_share_is_found_and_made_again_with_its_options_and_words() {
        let share = ShareTable {
            path: "/var/opt/sun/xvm/osp/share/allstart".into(),
            clients: vec!["*".into()],
            options: "ro".into(),
            fsid: None,
            description: Some("Allstart Share".into()),
            commands: None,
            timeout: Duration::from_secs(1),
        };
        let found = parse_solaris(PRINTED, &share.path).unwrap();
        assert_eq!(found, wanted(&share, Platform::Solaris));
        assert_eq!(
            add_commands(&share, Platform::Solaris, &found),
            [[
                "share",
                "-F",
                "nfs",
                "-o",
                "ro",
                "-d",
                "Allstart Share",
                "/var/opt/sun/xvm/osp/share/allstart"
            ]]
        );
        assert_eq!(
            remove_commands(&share, Platform::Solaris, &found),
            [["unshare", "/var/opt/sun/xvm/osp/share/allstart"]]
        );
        assert_eq!(parse_solaris(PRINTED, Path::new("/var/j")).unwrap(), []);
        assert_eq!(parse_solaris(PRINTED, Path::new("/var/js")).unwrap()[0].options, "ro,anon=0");
        assert_eq!(parse_solaris("-  /a b  rw  \"\"\n", Path::new("/a b")).unwrap()[0].description, None);
        assert!(parse_solaris("nonsense\n", Path::new("/a")).is_err());
    }
}
