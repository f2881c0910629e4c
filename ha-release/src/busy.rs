//! `--holders [PATH]` and `--kill`: who keeps the asset, or any file system, busy.
//!
//! Nothing on the file system is looked at: a path is compared with the kernel's table of mounts.

use crate::args::Args;
use anyhow::Context;
use orderly_exec::reporter::Reporter;
use orderly_exec::{OrStatus, Status, fail};
use orderly_host::config::Platform;
use orderly_host::holders::{self, Holder, Holders};
use orderly_host::kill;
use orderly_host::machine::Machine;
use orderly_host::mountinfo::{self, Device, Mount};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The answer to `--holders`.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    format: &'static str,
    of: &'a str,
    holders: &'a [Holder],
    /// What could not be looked at: somebody there may be a holder, too.
    unread: &'a [String],
    /// Why processes were not ended, with `--kill`.
    left: &'a [String],
}

/// Lists the holders, ends them if told to, and says who is left.
pub(crate) fn run(
    args: &Args,
    path: Option<&PathBuf>,
    machine: &mut Machine<'_>,
    reporter: &mut Reporter,
) -> anyhow::Result<Status> {
    if machine.config.platform == Platform::Solaris {
        let why = machine.users().unread.join("; ");
        return Err(fail(Status::Refused, why));
    }
    match path {
        Some(path) => {
            let device = device_of(path)?;
            tell(args, &path.display().to_string(), &|mount| mount.device == device, reporter)
        }
        None => {
            let asset = machine.asset.as_ref();
            tell(args, &asset.title(), &|mount| asset.is_on(mount), reporter)
        }
    }
}

/// Returns the device of the mount that a path lies on, by its name alone.
fn device_of(path: &Path) -> anyhow::Result<Device> {
    if !path.is_absolute() {
        return Err(fail(Status::Usage, format!("{}: give the whole path, from /", path.display())));
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
            format!("{} is on the root file system, which everybody uses", path.display()),
        ));
    }
    Ok(mount.device)
}

fn tell(
    args: &Args,
    of: &str,
    on: &dyn Fn(&Mount) -> bool,
    reporter: &mut Reporter,
) -> anyhow::Result<Status> {
    let before = holders::users_of(on);
    let (left, found) = if args.kill {
        show(of, &before, reporter);
        (kill::end_users(on), holders::users_of(on))
    } else {
        (Vec::new(), before)
    };
    if args.kill {
        left.iter().for_each(|line| reporter.warn(line));
        reporter.message("after the signals:");
    }
    show(of, &found, reporter);
    if let Some(unread) = found.unread_clause() {
        reporter.warn(format!("cannot be read: {unread}"));
    }
    reporter.record(&Answer {
        format: "orderly-holders/1",
        of,
        holders: &found.holders,
        unread: &found.unread,
        left: &left,
    });
    let still = args.kill && !(found.holders.is_empty() && found.unread.is_empty());
    Ok(if still { Status::Failed } else { Status::Done })
}

fn show(of: &str, found: &Holders, reporter: &mut Reporter) {
    if found.holders.is_empty() {
        reporter.message(&format!("nobody is seen to use {of}"));
        return;
    }
    let rows: Vec<[String; 5]> = found.holders.iter().map(row).collect();
    let head = ["PID", "USER", "COMMAND", "UNIT", "USES"].map(str::to_owned);
    let width = |column: usize| {
        rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let widths = [0, 1, 2, 3].map(width);
    for [pid, user, command, unit, uses] in [&head].into_iter().chain(&rows) {
        let [a, b, c, d] = widths;
        reporter.message(&format!("{pid:>a$}  {user:<b$}  {command:<c$}  {unit:<d$}  {uses}"));
    }
}

fn row(holder: &Holder) -> [String; 5] {
    let nobody = || "-".to_owned();
    match holder {
        Holder::Process { pid, user, command, unit, uses } => [
            pid.to_string(),
            user.clone(),
            orderly_exec::reporter::printable(command),
            unit.clone().unwrap_or_else(nobody),
            orderly_exec::reporter::printable(uses),
        ],
        Holder::Mount { .. }
        | Holder::Kept { .. }
        | Holder::Loop { .. }
        | Holder::Built { .. }
        | Holder::Swap { .. }
        | Holder::Export { .. }
        | Holder::Client { .. } => {
            [nobody(), nobody(), nobody(), nobody(), orderly_exec::reporter::printable(&holder.to_string())]
        }
    }
}
