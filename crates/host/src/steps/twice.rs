//! Every action and every undo is carried out twice, for real: in namespaces of this test's own, on a
//! bind mount and on a loop device, with scripts for services and shares.
//! An address that was gone could not be removed again, which this found.
//!
//! The steps themselves look first and so hardly ever repeat anything; this proves that they may.

#![expect(clippy::disallowed_methods, reason = "the world is looked at beside the runner that is tested")]

use super::*;
use crate::action::Part;
use crate::config::Config;
use crate::last_release::LastRelease;
use crate::mountinfo;
use crate::parts::{self, PartKind};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const NAME: &str = "steps::twice::every_action_and_every_undo_may_be_repeated";
const ROOT: &str = "ORDERLY_TWICE";

/// Runs itself again as the first process of namespaces of its own, and there does the work.
#[test]
fn every_action_and_every_undo_may_be_repeated() {
    if let Some(root) = std::env::var_os(ROOT) {
        for kind in ["bind", "filesystem"] {
            apart(&PathBuf::from(&root).join(kind), kind);
        }
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let own = std::env::current_exe().unwrap();
    let output = Command::new("unshare")
        .args(["-m", "-u", "-n", "-p", "-f", "--mount-proc", "--propagation", "private"])
        .arg(own)
        .args(["--exact", NAME, "--nocapture"])
        .env_clear()
        .env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", dir.path().join("tools").display()))
        .env(ROOT, dir.path())
        .env("ORDERLY_STATE_DIR", dir.path().join("state"))
        .stdin(Stdio::null())
        .output();
    let possible =
        Command::new("unshare").args(["-m", "true"]).output().is_ok_and(|ended| ended.status.success());
    if !possible {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "{NAME} needs namespaces");
        std::io::stderr().write_all(format!("did not run: {NAME}: needs namespaces\n").as_bytes()).ok();
        return;
    }
    let output = output.unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// Tools that keep their state in files below their folder.
const TOOLS: [(&str, &str); 4] = [
    (
        "svc",
        r#"case $2 in status) if [ -e "$0.$1" ]; then echo online; else echo offline; fi;; stop) rm -f "$0.$1";; start) : >"$0.$1";; esac"#,
    ),
    (
        "exportfs",
        r#"touch "$0.tab"; case $1 in -s) cat "$0.tab";; -u) grep -v -F "${2#*:}  ${2%%:*}(" "$0.tab" >"$0.new"; mv "$0.new" "$0.tab";;
        -o) grep -v -F "${3#*:}  ${3%%:*}(" "$0.tab" >"$0.new"; echo "${3#*:}  ${3%%:*}($2)" >>"$0.new"; mv "$0.new" "$0.tab";; esac"#,
    ),
    ("ping", "exit 1"),
    ("arping", "exit 0"),
];

fn apart(root: &Path, kind: &str) {
    let tools = root.parent().unwrap().join("tools");
    for folder in [
        &tools,
        &root.parent().unwrap().join("state"),
        &root.join("source"),
        &root.join("at"),
        &root.join("loop"),
    ] {
        std::fs::create_dir_all(folder).unwrap();
    }
    for (name, text) in TOOLS {
        std::fs::write(tools.join(name), format!("#!/bin/sh\n{text}\n")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(tools.join(name), mode).unwrap();
    }
    let disk = (kind == "filesystem").then(|| attach(root));
    let asset = match &disk {
        Some(device) => format!("kind = \"filesystem\"\ndevice = \"{device}\""),
        None => format!("kind = \"bind\"\nsource = \"{}/source\"", root.display()),
    };
    let config = Config::read(Path::new("ha.toml"), &configuration(root, &asset), "ec1").unwrap();
    let mut host = Host::new(&config, None).unwrap();
    table(&mut host, root);
    if let Some(device) = disk {
        tool(&["losetup", "-d", &device]);
    }
}

fn attach(root: &Path) -> String {
    let image = root.join("image").display().to_string();
    std::fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
    tool(&["mkfs.ext4", "-q", "-F", &image]);
    tool(&["losetup", "-f", "--show", &image]).trim().to_owned()
}

fn tool(argv: &[&str]) -> String {
    let ended = Command::new(argv[0]).args(&argv[1..]).output().unwrap();
    assert!(ended.status.success(), "{argv:?}: {}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8_lossy(&ended.stdout).into_owned()
}

fn configuration(root: &Path, asset: &str) -> String {
    let root = root.display();
    format!(
        "[[host]]\nname = \"ec1\"\n[[host]]\nname = \"ec2\"\naddress = \"192.0.2.2\"\nfence = [\"svc\", \"power\", \"stop\"]\n\
         fence_status = [\"sh\", \"-c\", \"echo off\"]\n[asset]\n{asset}\ntimeout = \"20s\"\n[[asset.mount]]\nat = \"{root}/at\"\n\
         [[service]]\nname = \"a\"\nstatus = [\"svc\", \"a\", \"status\"]\nstop = [\"svc\", \"a\", \"stop\"]\n\
         start = [\"svc\", \"a\", \"start\"]\n[[loopback]]\nsource = \"{root}/at/opt\"\nat = \"{root}/loop\"\n\
         [[share]]\npath = \"{root}/at/share\"\nclients = [\"*\"]\n[[address]]\ncidr = \"192.0.2.10/32\"\ndevice = \"lo\"\n"
    )
}

/// Everything that an action may change here, in a fixed order.
fn world(host: &mut Host<'_>, root: &Path) -> String {
    let mounts = mountinfo::own().unwrap();
    let mut lines: Vec<String> = mounts
        .0
        .iter()
        .filter(|mount| mount.at.starts_with(root))
        .map(|mount| format!("{}", mount.at.display()))
        .collect();
    lines.push(tool(&["svc", "a", "status"]));
    lines.push(tool(&["exportfs", "-s"]));
    lines.push(tool(&["ip", "-o", "address", "show", "dev", "lo"]));
    lines.push(format!("{:?}", host.asset_state()));
    lines.join("\n")
}

/// Carries an action out twice; the second time changes nothing more.
fn twice(host: &mut Host<'_>, root: &Path, action: &Action) {
    host.act(action).unwrap_or_else(|error| panic!("{action:?}: {error:#}"));
    let once = world(host, root);
    host.act(action).unwrap_or_else(|error| panic!("again: {action:?}: {error:#}"));
    assert_eq!(world(host, root), once, "{action:?}");
    let answer = host.check(action);
    assert!(matches!(answer, Answer::Yes | Answer::Untold), "{action:?}: {answer:?}");
}

/// An action twice, its undo twice: back to what was; and its undo where there is nothing to undo.
fn there_and_back(host: &mut Host<'_>, root: &Path, action: &Action, undo: &Action) {
    let before = world(host, root);
    twice(host, root, undo);
    assert_eq!(world(host, root), before, "nothing to undo: {undo:?}");
    twice(host, root, action);
    twice(host, root, undo);
    assert_eq!(world(host, root), before, "{action:?} and {undo:?}");
    twice(host, root, action);
}

/// A takeover from nothing, then a release back to nothing; each step stays done for the next one.
fn table(host: &mut Host<'_>, root: &Path) {
    let parts = PartKind::ALL.map(|kind| parts::configured(kind, host).remove(0));
    let [service, mount, loopback, share, address] = parts;
    let Part::Mount(asset_mount) = &mount else { panic!("{mount:?}") };
    let (at, mounts) = (asset_mount.0.at.clone(), vec![asset_mount.clone()]);
    let take = |part: &Part| Action::Part { way: Way::Take, part: part.clone() };
    let let_go = |part: &Part| Action::Part { way: Way::LetGo, part: part.clone() };
    // A bind asset that was never released belongs to nobody for certain.
    host.act(&Action::LetGo).unwrap();
    for action in [
        Action::Silence { ip: "192.0.2.10".to_owned() },
        Action::PeerDown { peer: "ec2".to_owned() },
        Action::Fence,
        Action::EndUsers,
        Action::Run { argv: vec!["true".to_owned()] },
        Action::Prove,
    ] {
        twice(host, root, &action);
    }
    let identity = host.asset.identity(&mut host.runner).unwrap();
    let mark = host.asset.change_mark(&mut host.runner).unwrap();
    twice(host, root, &Action::Compare { identity, mark, record: String::new() });
    there_and_back(host, root, &Action::Take { end: LastRelease::Clean }, &Action::LetGo);
    there_and_back(host, root, &take(&mount), &let_go(&mount));
    twice(host, root, &Action::Hold { mounts: mounts.clone(), wanted: None });
    for folder in ["opt", "share"] {
        std::fs::create_dir_all(at.join(folder)).unwrap();
    }
    for part in [&loopback, &share, &address, &service] {
        there_and_back(host, root, &take(part), &let_go(part));
    }
    // The way down, whose undoing is the way up.
    for part in [&service, &address, &share] {
        there_and_back(host, root, &let_go(part), &take(part));
    }
    twice(host, root, &let_go(&loopback));
    there_and_back(host, root, &Action::Release { mounts: mounts.clone() }, &Action::Retake { mounts });
    twice(host, root, &Action::Prove);
    // Backups and restores are repeated in the scenarios of habackup.
}
