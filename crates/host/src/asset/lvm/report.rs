//! What lvm2's reporting commands print, and the commands that ask for it.
//!
//! Reports are asked for as JSON (lvmreport(7)), in which every value is a text.

use crate::platform::Argv;
use anyhow::{Context, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;

/// The columns of a group, in the order of the fields below.
const COLUMNS: &str = "vg_name,vg_uuid,vg_seqno,vg_systemid,vg_exported,vg_missing_pv_count";

/// A volume group as its devices describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VolumeGroup {
    pub(super) uuid: String,
    /// Counted up whenever the metadata is written.
    pub(super) seqno: u64,
    system_id: String,
    pub(super) is_exported: bool,
    /// How many of its devices are not seen here.
    pub(super) missing: u64,
}

impl VolumeGroup {
    /// Returns the system ID of the host it belongs to.
    pub(super) fn owner(&self) -> Option<&str> {
        Some(self.system_id.as_str()).filter(|id| !id.is_empty())
    }

    /// Returns the UUID as device-mapper has it: without hyphens.
    pub(super) fn plain_uuid(&self) -> String {
        self.uuid.replace('-', "")
    }
}

/// Returns the command of a report. Since 2.03.26 what LVM complains of in JSON is part of the report unless told
/// otherwise, and no error could be read.
fn report(program: &str, columns: &str, select: &str) -> Argv {
    let format = ["--reportformat", "json", "--config", "log/report_command_log=0", "--foreign"];
    let words = [&[program][..], &format, &["-o", columns, "--select", select]].concat();
    words.into_iter().map(str::to_owned).collect()
}

/// Returns the command that describes the groups of a name, also those of other hosts.
pub(super) fn command(group: &str) -> Argv {
    report("vgs", COLUMNS, &format!("vg_name=\"{group}\""))
}

/// Returns the command that lists the missing devices of a group.
pub(super) fn missing_command(group: &str) -> Argv {
    report("pvs", "pv_name,pv_uuid", &format!("vg_name=\"{group}\" && pv_missing=missing"))
}

/// Returns the command that lists the devices of a group.
pub(super) fn devices_command(group: &str) -> Argv {
    report("pvs", "pv_name,pv_uuid", &format!("vg_name=\"{group}\" && pv_missing!=missing"))
}

/// Returns the command that tells whether a group is activated at boot.
pub(super) fn autoactivation_command(group: &str) -> Argv {
    report("vgs", "vg_autoactivation", &format!("vg_name=\"{group}\""))
}

#[derive(Debug, Deserialize)]
struct LvmReport<T> {
    report: Vec<T>,
}

#[derive(Debug, Deserialize)]
struct VolumeGroups<T> {
    vg: Vec<T>,
}

#[derive(Debug, Deserialize)]
struct Devices {
    pv: Vec<DeviceRow>,
}

#[derive(Debug, Deserialize)]
struct GroupRow {
    vg_uuid: String,
    vg_seqno: String,
    vg_systemid: String,
    vg_exported: String,
    vg_missing_pv_count: String,
}

#[derive(Debug, Deserialize)]
struct DeviceRow {
    pv_name: String,
    pv_uuid: String,
}

#[derive(Debug, Deserialize)]
struct ActivationRow {
    vg_autoactivation: String,
}

/// Reads the answer to [`command`].
///
/// # Errors
/// When it is no such report, or a number in it is none.
pub(super) fn groups(text: &str) -> anyhow::Result<Vec<VolumeGroup>> {
    let tables: Vec<VolumeGroups<GroupRow>> = read(text)?;
    tables.into_iter().flat_map(|table| table.vg).map(group).collect()
}

fn group(row: GroupRow) -> anyhow::Result<VolumeGroup> {
    let number = |what: &str, text: &str| text.parse().with_context(|| format!("vgs: {what} is \"{text}\""));
    let is_exported = match row.vg_exported.as_str() {
        "exported" => true,
        "" => false,
        // A word nobody knows is not taken for "not exported".
        other => bail!("vgs: vg_exported is \"{other}\""),
    };
    Ok(VolumeGroup {
        seqno: number("vg_seqno", &row.vg_seqno)?,
        missing: number("vg_missing_pv_count", &row.vg_missing_pv_count)?,
        uuid: row.vg_uuid,
        system_id: row.vg_systemid,
        is_exported,
    })
}

/// Reads the answer to [`missing_command`]: name and UUID of each device.
///
/// # Errors
/// When it is no such report.
pub(super) fn missing(text: &str) -> anyhow::Result<Vec<String>> {
    let tables: Vec<Devices> = read(text)?;
    let rows = tables.into_iter().flat_map(|table| table.pv);
    Ok(rows.map(|row| format!("{} ({})", row.pv_name, row.pv_uuid)).collect())
}

/// Reads the answer to [`devices_command`].
///
/// # Errors
/// When it is no such report.
pub(super) fn devices(text: &str) -> anyhow::Result<Vec<PathBuf>> {
    let tables: Vec<Devices> = read(text)?;
    Ok(tables.into_iter().flat_map(|table| table.pv).map(|row| row.pv_name.into()).collect())
}

/// Reads the answer to [`autoactivation_command`].
///
/// # Errors
/// When it is no such report.
pub(super) fn is_autoactivated(text: &str) -> anyhow::Result<bool> {
    let tables: Vec<VolumeGroups<ActivationRow>> = read(text)?;
    Ok(tables.iter().flat_map(|table| &table.vg).any(|row| !row.vg_autoactivation.is_empty()))
}

fn read<T: DeserializeOwned>(text: &str) -> anyhow::Result<Vec<T>> {
    let report: LvmReport<T> = serde_json::from_str(text).context("lvm printed no report")?;
    Ok(report.report)
}

/// Reads what `lvm systemid` prints; `None` when the host has no system ID.
pub(super) fn system_id(text: &str) -> Option<&str> {
    let id = text.lines().find_map(|line| line.trim().strip_prefix("system ID:"))?.trim();
    Some(id).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As printed by lvm2 2.03.16 in the lab (two guests with shared disks): held by ec1, exported.
    fn printed(row: &str) -> String {
        let lines = ["  {", "      \"report\": [", "          {", "              \"vg\": ["];
        let end = ["              ]", "          }", "      ]", "  }", ""];
        [&lines[..], &[&format!("                  {row}")], &end[..]].concat().join("\n")
    }

    const HELD: &str = r#"{"vg_name":"shared", "vg_uuid":"ZZe68b-qY4v-t7or-g3Wc-dMHz-oV6X-EbUlBs", "vg_seqno":"3", "vg_systemid":"ec1", "vg_exported":"", "vg_missing_pv_count":"0"}"#;
    const EXPORTED: &str = r#"{"vg_name":"shared", "vg_uuid":"ZZe68b-qY4v-t7or-g3Wc-dMHz-oV6X-EbUlBs", "vg_seqno":"4", "vg_systemid":"", "vg_exported":"exported", "vg_missing_pv_count":"0"}"#;

    #[test]
    fn a_group_says_whose_it_is_and_whether_it_was_let_go() {
        let held = groups(&printed(HELD)).unwrap();
        assert_eq!((held[0].owner(), held[0].is_exported, held[0].seqno), (Some("ec1"), false, 3));
        assert_eq!(held[0].plain_uuid(), "ZZe68bqY4vt7org3WcdMHzoV6XEbUlBs");
        let exported = groups(&printed(EXPORTED)).unwrap();
        assert_eq!((exported[0].owner(), exported[0].is_exported), (None, true));
        assert!(groups(&printed("")).unwrap().is_empty(), "no group of the name");
    }

    /// From 2.03.26 on a failure was told in the braces in which its report ended.
    #[test]
    fn what_lvm_complains_of_is_kept_out_of_its_reports() {
        for argv in [command("g"), missing_command("g"), devices_command("g"), autoactivation_command("g")] {
            let config = argv.iter().position(|word| word == "--config").unwrap();
            assert_eq!(argv[config + 1], "log/report_command_log=0", "{argv:?}");
        }
        // It is read all the same where there is a log.
        let logged = printed(HELD).replacen("      ]\n  }", "      ],\n      \"log\": []\n  }", 1);
        assert_eq!(groups(&logged).unwrap().len(), 1, "{logged}");
    }

    #[test]
    fn what_is_no_report_or_a_strange_word_is_an_error_and_never_free() {
        let strange = HELD.replace("\"vg_exported\":\"\"", "\"vg_exported\":\"0\"");
        assert!(groups(&printed(&strange)).unwrap_err().to_string().contains("vg_exported is \"0\""));
        assert!(groups("  VG #PV\n").is_err() && groups("").is_err());
        assert!(groups(&printed(&HELD.replace("\"3\"", "\"many\""))).is_err());
    }

    #[test]
    fn a_host_without_a_system_id_is_told_from_one_that_has_one() {
        assert_eq!(system_id("  system ID: ec1\n"), Some("ec1"));
        assert_eq!(system_id("  system ID: \n"), None);
        assert!(is_autoactivated(&printed(r#"{"vg_autoactivation":"enabled"}"#)).unwrap());
        assert!(!is_autoactivated(&printed(r#"{"vg_autoactivation":""}"#)).unwrap());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_rejected_and_never_a_panic(text in ".{0,200}") {
            let _read_or_not = (groups(&text), missing(&text), is_autoactivated(&text));
        }
    }
}
