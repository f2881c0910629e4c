//! `--holders [PATH]` and `--kill`: who keeps the asset, or any file system, busy.
//!
//! Nothing on the file system is looked at: a path is compared with the kernel's table of mounts.

use anyhow::Context;
use orderly_exec::columns::{padded, widest};
use orderly_exec::reporter::Reporter;
use orderly_exec::{OrStatus, Status, fail};
use orderly_host::holders::{self, Holder, Holders};
use orderly_host::host::Host;
use orderly_host::kill;
use orderly_host::mountinfo::{self, Mount};
use orderly_host::platform::Platform;
use serde::Serialize;
use std::path::{Component, Path};

/// The answer to `--holders`.
#[derive(Debug, Serialize)]
struct HolderList<'a> {
    format: &'static str,
    of: &'a str,
    holders: &'a [Holder],
    /// What could not be looked at: somebody there may be a holder, too.
    unread: &'a [String],
    /// Why processes were not ended, with `--kill`.
    left: &'a [String],
}

/// Lists who keeps the asset busy, ends them if told to, and says who is left.
pub(crate) fn of_asset(kill: bool, host: &mut Host<'_>, reporter: &mut Reporter) -> anyhow::Result<Status> {
    if host.config.platform == Platform::Solaris {
        let why = host.users().unread.join("; ");
        return Err(fail(Status::Refused, why));
    }
    // Asked before its mounts are looked for: only then its device is known for certain.
    host.asset_state();
    let title = host.asset.title();
    let before = host.users();
    if !kill {
        return Ok(tell(&title, &before, &[], reporter));
    }
    announce(&title, &before, reporter);
    let asset = host.asset.as_ref();
    let left = kill::end_users(&|mount| asset.is_on(mount));
    Ok(tell_left(&title, &host.users(), &left, reporter))
}

/// The same of the file system that a path is on.
pub(crate) fn of_path(path: &Path, kill: bool, reporter: &mut Reporter) -> anyhow::Result<Status> {
    let mount = mount_of(path)?;
    let title = mount.at.display().to_string();
    let on = |other: &Mount| other.device == mount.device;
    let look = || holders::users_of(&on, &|other| other.id == mount.id);
    let before = look();
    if !kill {
        return Ok(tell(&title, &before, &[], reporter));
    }
    announce(&title, &before, reporter);
    let left = kill::end_users(&on);
    Ok(tell_left(&title, &look(), &left, reporter))
}

/// Returns the mount that a path lies on, by its name alone.
fn mount_of(path: &Path) -> anyhow::Result<Mount> {
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(fail(Status::Usage, format!("{}: give the path without ..", path.display())));
    }
    let mounts = mountinfo::own().or_status(Status::Refused)?;
    let mount = mounts
        .covering(path)
        .with_context(|| format!("find the mount of {}", path.display()))
        .or_status(Status::Refused)?;
    // A bind mount of the root file system is the root file system.
    let is_root = mounts.at(Path::new("/")).is_none_or(|root| root.device == mount.device);
    if mount.at == Path::new("/") || is_root {
        return Err(fail(
            Status::Refused,
            format!(
                "{} is on the root file system, which everybody uses; links in a path are not followed",
                path.display()
            ),
        ));
    }
    Ok(mount.clone())
}

/// Says who is about to be ended.
fn announce(of: &str, before: &Holders, reporter: &mut Reporter) {
    show(of, before, reporter);
    if !before.holders.is_empty() {
        reporter.message("ending them: TERM, KILL after 5 s, and a second to see who comes back");
    }
}

/// Says who is left after the signals, which is a failure when it is anybody.
fn tell_left(of: &str, found: &Holders, left: &[String], reporter: &mut Reporter) -> Status {
    left.iter().for_each(|line| reporter.warn(line));
    reporter.message("after the signals:");
    tell(of, found, left, reporter);
    let still = !(found.holders.is_empty() && found.unread.is_empty());
    if still { Status::Failed } else { Status::Done }
}

fn tell(of: &str, found: &Holders, left: &[String], reporter: &mut Reporter) -> Status {
    show(of, found, reporter);
    if let Some(unread) = found.unread_clause() {
        reporter.warn(format!("cannot be read: {unread}"));
    }
    reporter.record(&HolderList {
        format: "orderly-holders/1",
        of,
        holders: &found.holders,
        unread: &found.unread,
        left,
    });
    Status::Done
}

fn show(of: &str, found: &Holders, reporter: &mut Reporter) {
    if found.holders.is_empty() {
        reporter.answer(&format!("nobody is seen to use {of}"));
        return;
    }
    let rows: Vec<[String; 5]> = found.holders.iter().map(row).collect();
    let head = ["PID", "USER", "COMMAND", "UNIT", "USES"].map(str::to_owned);
    let widths =
        [0, 1, 2, 3].map(|column| widest(rows.iter().chain([&head]).map(|row| row[column].as_str())));
    for [pid, user, command, unit, uses] in [&head].into_iter().chain(&rows) {
        let [a, b, c, d] = widths;
        let (user, command, unit) = (padded(user, b), padded(command, c), padded(unit, d));
        reporter.answer(&format!("{pid:>a$}  {user}  {command}  {unit}  {uses}"));
    }
}

fn row(holder: &Holder) -> [String; 5] {
    let nobody = || "-".to_owned();
    match holder {
        Holder::Process { pid, user, command, unit, uses } => [
            pid.to_string(),
            user.clone(),
            orderly_exec::printable(command),
            unit.clone().unwrap_or_else(nobody),
            orderly_exec::printable(uses),
        ],
        Holder::Mount { .. }
        | Holder::Kept { .. }
        | Holder::Loop { .. }
        | Holder::Built { .. }
        | Holder::Swap { .. }
        | Holder::Overlay { .. }
        | Holder::Export { .. }
        | Holder::Client { .. } => {
            [nobody(), nobody(), nobody(), nobody(), orderly_exec::printable(&holder.to_string())]
        }
    }
}
