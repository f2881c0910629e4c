//! Who uses the asset before anything is stopped. What certainly no service owns would still be there once the
//! services are stopped, for nothing; it refuses. The rest is listed.

use orderly_host::config::{Config, Control};
use orderly_host::holders::{self, Holder, Holders};
use orderly_host::kill;

/// How many holders are named before the rest is counted.
const NAMED: usize = 8;

/// What is done about holders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnHolders {
    /// What no service owns refuses.
    Refuse,
    /// Processes are ended; the operator knows of the rest (`--kill`).
    Kill,
    /// A cluster manager must stop it, and powers this host off if that fails (`--no-unwind`).
    List,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Judgement {
    pub(crate) objections: Vec<String>,
    pub(crate) notes: Vec<String>,
}

/// Judges each holder.
pub(crate) fn judge(users: &Holders, config: &Config, manner: OnHolders) -> Judgement {
    let mut found = Judgement::default();
    for holder in &users.holders {
        match objections(holder, config, manner) {
            Some(line) => found.objections.push(line),
            None => found.notes.push(format!("in use now: {holder}")),
        }
    }
    if !users.holders.is_empty() {
        let what = "what is in use now must be gone once the services are stopped, or the release fails";
        found.notes.push(what.to_owned());
    }
    found.notes.extend(users.unread_clause());
    if let Some(more @ 1..) = found.objections.len().checked_sub(NAMED) {
        found.objections.truncate(NAMED);
        found.objections.push(format!("in use now: {more} more (ha-release --holders lists them)"));
    }
    if !found.objections.is_empty() {
        found.objections.push(
            "stopping the services does not end that; end it as named, or use --kill, which ends the processes and \
             goes on with the rest"
                .to_owned(),
        );
    }
    found
}

/// Returns who uses the asset now and would do so still once the services are stopped, as far as that is certain.
pub(crate) fn stays(users: &Holders, config: &Config) -> Vec<String> {
    users.holders.iter().filter_map(|holder| objections(holder, config, OnHolders::Refuse)).collect()
}

fn objections(holder: &Holder, config: &Config, manner: OnHolders) -> Option<String> {
    if manner == OnHolders::List {
        return None;
    }
    let refuses = match holder {
        // Only what it was started with: where its output goes, or where its input comes from.
        Holder::Process { pid, .. } if *pid == std::process::id() => {
            return Some(format!("this very {holder}; redirect it elsewhere"));
        }
        Holder::Process { pid, unit, command, .. } => {
            let login = holders::login_of(*pid).filter(|_| !is_configured(unit.as_deref(), config))?;
            let Some(why) = kill::spared(*pid, command) else {
                let line = format!("in use now: {holder} {login}; end it, or leave that directory");
                return (manner == OnHolders::Refuse).then_some(line);
            };
            return Some(format!(
                "in use now: {holder} {login}; leave that directory, because --kill spares it: {why}"
            ));
        }
        Holder::Mount { pid: Some(pid), .. } | Holder::Overlay { pid: Some(pid), .. } => {
            holders::unit_of(*pid).is_none_or(|unit| unit.starts_with("session-"))
        }
        Holder::Mount { .. }
        | Holder::Kept { .. }
        | Holder::Loop { .. }
        | Holder::Built { .. }
        | Holder::Swap { .. }
        | Holder::Overlay { .. } => true,
        // What is configured is taken back, and clients are waited for.
        Holder::Export { .. } | Holder::Client { .. } => false,
    };
    (refuses && manner == OnHolders::Refuse).then(|| format!("in use now: {holder}"))
}

fn is_configured(unit: Option<&str>, config: &Config) -> bool {
    unit.is_some_and(|unit| {
        let is_it = |control: &Control| matches!(control, Control::Unit(name) if name == unit);
        config.services.iter().any(|service| is_it(&service.control))
    })
}
