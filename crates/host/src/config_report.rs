//! `--check-config`: what `ha.toml` says, seen from this host, once all of it is known to be right. Nothing else is
//! looked at. The peer asks for it to compare.

use crate::config::{Config, Settings};
use crate::handover::VERSION;
use orderly_exec::clock;
use orderly_exec::reporter::Reporter;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The format of the report.
pub const FORMAT: &str = "orderly-config/1";

/// The answer to `--check-config`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigReport {
    pub format: String,
    /// `done`; one that is wrong has a failure in its place.
    pub status: String,
    pub host: String,
    pub peer: String,
    pub path: PathBuf,
    pub version: String,
    /// When it was read, by the clock of that host.
    pub time: String,
    /// Alike on both hosts when their configurations are.
    pub digest: String,
    pub settings: Settings,
}

impl ConfigReport {
    /// Returns the report of this host.
    pub fn of(config: &Config) -> Self {
        Self {
            format: FORMAT.to_owned(),
            status: "done".to_owned(),
            host: config.own.name.clone(),
            peer: config.peer.name.clone(),
            path: config.path.clone(),
            version: VERSION.to_owned(),
            time: clock::now(),
            digest: config.fingerprint.clone(),
            settings: config.settings(),
        }
    }
}

/// Reports that the configuration is valid.
pub fn tell(config: &Config, reporter: &mut Reporter) {
    let report = ConfigReport::of(config);
    reporter.message(&format!(
        "{} is valid: this host is {}, its peer {}; digest {}",
        report.path.display(),
        report.host,
        report.peer,
        report.digest
    ));
    reporter.record(&report);
}
