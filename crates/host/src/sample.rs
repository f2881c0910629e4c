//! `--init KIND`: a commented `ha.toml` to start from. What stands in it passes `--check-config` as it is; what is commented
//! out without a blank behind `#` is TOML, and passes it as well.
//!
//! What the asset needs is in the file of its kind (`KindTable::SAMPLE`).

use crate::asset::AssetKind;

/// The name that stands for the peer until somebody writes it there.
pub const PEER: &str = "PEER";

const HEAD: &str = r#"# ha.toml(5): what this pair of hosts hands over. The file is the same on both hosts: fill it in, copy it to the other
# one (owner root, mode 600), and check it on each: ha-release --check-config, then ha-takeover --preflight on the standby.
# PEER stands for the other host. What is commented out is optional; every address and path is a placeholder.

# Of these machines, routers for example, one must answer before the peer is powered off.
#witness = ["192.0.2.254"]

# Runs with a JSON document on standard input when the asset was released or taken, or backups begin to fail.
#on_event = ["/usr/local/sbin/tell-operators"]

[[host]]
name = "SELF"                        # as uname -n prints it there
#address = "192.0.2.1"                # where it answers while it is alive
# How the other host powers it off, and queries its power; it proves that the host is off.
#fence = ["ipmitool", "-H", "SELF-bmc", "-U", "ha", "-f", "/etc/orderly/bmc.pw", "power", "off"]
#fence_status = ["ipmitool", "-H", "SELF-bmc", "-U", "ha", "-f", "/etc/orderly/bmc.pw", "power", "status"]
# How the other host runs a command on it, for --preflight.
#peer_command = ["ssh", "root@SELF"]

[[host]]
name = "PEER"
#address = "192.0.2.2"
#fence = ["ipmitool", "-H", "PEER-bmc", "-U", "ha", "-f", "/etc/orderly/bmc.pw", "power", "off"]
#fence_status = ["ipmitool", "-H", "PEER-bmc", "-U", "ha", "-f", "/etc/orderly/bmc.pw", "power", "status"]
#peer_command = ["ssh", "root@PEER"]

"#;

const TAIL: &str = r#"
# What runs only where the asset is, in the order in which it is stopped. A unit of systemd, or three commands.
#[[service]]
#name = "database"
#unit = "database.service"
#timeout = "10m"

# A directory of the asset that is bind mounted elsewhere.
#[[loopback]]
#source = "/srv/shared/etc"
#at = "/etc/opt/shared"

# A directory of the asset that is exported over NFS.
#[[share]]
#path = "/srv/shared/export"
#clients = ["192.0.2.0/24"]
#options = "rw"

# An address that is where the asset is.
#[[address]]
#cidr = "192.0.2.10/24"
#device = "eth0"

# What habackup(8) copies to the asset every hour, and a takeover restores on the other host.
#[backup]
#directory = "/srv/shared/habackup"
#include = ["/etc/opt/site"]
#keep = 48
#max_age = "2h"
"#;

/// Returns the file for a kind, by its word, on the host of this name; `None` where there is no such kind.
pub fn text(kind: &str, own: &str) -> Option<String> {
    let asset = AssetKind::sample(kind)?;
    // The name goes into texts of TOML, in which these two would end or begin something.
    let own = own.replace('\\', "\\\\").replace('"', "\\\"");
    Some(format!("{HEAD}{asset}{TAIL}").replace("SELF", &own))
}

/// Returns the words of all kinds.
pub fn kinds() -> &'static [&'static str] {
    AssetKind::WORDS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::path::Path;

    #[test]
    fn every_kind_has_a_file_that_is_valid_also_with_all_that_is_optional() {
        for kind in kinds() {
            let plain = text(kind, "ec1").unwrap();
            let all: String = plain
                .lines()
                .map(|line| match line.strip_prefix('#') {
                    Some(rest) if !rest.starts_with(' ') && !rest.is_empty() => format!("{rest}\n"),
                    _ => format!("{line}\n"),
                })
                .collect();
            assert_ne!(plain, all);
            for text in [plain, all] {
                let config = Config::read(Path::new("ha.toml"), &text, "ec1");
                let config = config.unwrap_or_else(|wrong| panic!("{kind}: {wrong}"));
                assert_eq!((config.own.name.as_str(), config.peer.name.as_str()), ("ec1", PEER));
                assert_eq!(config.asset.kind.word(), *kind);
                assert!(text.lines().all(|line| line.chars().count() <= 128), "{kind}");
            }
        }
        assert!(text("floppy", "ec1").is_none());
    }
}
