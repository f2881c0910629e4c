//! What changes hands with the asset, a file each: services, mounts, loopbacks, shares, addresses. A part says how it is
//! on this host, and how it is taken and let go of; plans, `-n`, `--status` and the refusals go through the one list
//! that [`configured`] returns.

pub mod address;
pub mod loopback;
pub mod mount;
pub mod service;
pub mod share;
mod transfer;

pub use transfer::{PartPresence, PlanDraft, Situation, Transfer};

use crate::action::{Address, AssetMount, Loopback, Part, Service, Share, Way};
use crate::asset;
use crate::host::Host;
use std::cmp::Reverse;

/// The kinds of parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartKind {
    Service,
    Mount,
    Loopback,
    Share,
    Address,
}

impl PartKind {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 5] = [Self::Service, Self::Mount, Self::Loopback, Self::Share, Self::Address];
}

impl std::ops::Deref for Part {
    type Target = dyn Transfer;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Service(part) => part,
            Self::Mount(part) => part,
            Self::Loopback(part) => part,
            Self::Share(part) => part,
            Self::Address(part) => part,
        }
    }
}

/// Returns the parts of a kind, as they are configured.
pub fn configured(kind: PartKind, host: &Host<'_>) -> Vec<Part> {
    let config = host.config;
    let mount = |table| AssetMount(asset::mount_spec(host.asset.as_ref(), table));
    match kind {
        PartKind::Service => config.services.iter().map(|table| Part::Service(Service::of(table))).collect(),
        PartKind::Mount => config.asset.mounts.iter().map(|table| Part::Mount(mount(table))).collect(),
        PartKind::Loopback => {
            config.loopbacks.iter().map(|table| Part::Loopback(Loopback::of(table))).collect()
        }
        PartKind::Share => {
            config.shares.iter().map(|table| Part::Share(Share::of(table, config.platform))).collect()
        }
        PartKind::Address => config.addresses.iter().map(|table| Part::Address(Address::of(table))).collect(),
    }
}

/// Returns the parts of a kind in the order in which they go this way: what needs another one goes before it, and comes
/// back after it.
pub fn in_order(kind: PartKind, way: Way, host: &Host<'_>) -> Vec<Part> {
    let mut parts = configured(kind, host);
    parts.sort_by_key(|part| match part {
        Part::Loopback(loopback) => Reverse(loopback.0.at.components().count()),
        Part::Service(_) | Part::Mount(_) | Part::Share(_) | Part::Address(_) => Reverse(0),
    });
    if way == Way::Take && matches!(kind, PartKind::Service | PartKind::Loopback) {
        parts.reverse();
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Action;
    use crate::config::Config;
    use orderly_plan::step::Plan;
    use std::path::Path;

    const PAIR: &str = r#"
[[host]]
name = "ec1"
[[host]]
name = "ec2"
[asset]
kind = "command"
identity = ["id"]
state = ["state"]
take = ["take"]
[[asset.mount]]
at = "/a"
[[service]]
name = "first"
unit = "first.service"
[[service]]
name = "second"
unit = "second.service"
[[loopback]]
source = "/a/b"
at = "/b"
[[loopback]]
source = "/a/c"
at = "/b/c"
[[share]]
path = "/a/s"
[[share]]
path = "/a/t"
"#;

    #[test]
    fn what_needs_another_part_goes_before_it_and_comes_back_after_it() {
        let config = Config::read(Path::new("ha.toml"), PAIR, "ec1").unwrap();
        let host = Host::new(&config, None).unwrap();
        let names = |kind, way| -> Vec<String> {
            in_order(kind, way, &host).iter().map(|part| part.step_name(way)).collect()
        };
        assert_eq!(names(PartKind::Service, Way::LetGo), ["stop first", "stop second"]);
        assert_eq!(names(PartKind::Service, Way::Take), ["start second", "start first"]);
        assert_eq!(names(PartKind::Loopback, Way::LetGo), ["unmount /b/c", "unmount /b"]);
        assert_eq!(names(PartKind::Loopback, Way::Take), ["mount /b", "mount /b/c"]);
        for way in [Way::LetGo, Way::Take] {
            let shares: Vec<(&str, String)> =
                in_order(PartKind::Share, way, &host).iter().map(|part| part.title()).collect();
            assert_eq!(shares, [("share", "/a/s".to_owned()), ("share", "/a/t".to_owned())]);
        }
    }

    #[test]
    fn every_kind_of_part_is_listed_and_survives_the_journal() {
        let text = format!("{PAIR}[[address]]\ncidr = \"192.0.2.10/24\"\ndevice = \"eth0\"\n");
        let config = Config::read(Path::new("ha.toml"), &text, "ec1").unwrap();
        let host = Host::new(&config, None).unwrap();
        for kind in PartKind::ALL {
            let mut draft = PlanDraft::default();
            configured(kind, &host).into_iter().for_each(|part| draft.part(Way::LetGo, part));
            assert!(!draft.plan.steps.is_empty(), "{kind:?}");
            let json = serde_json::to_string(&draft.plan).unwrap();
            assert!(json.contains(r#"{"act":"part","way":"let_go","part":{"kind":"#), "{json}");
            assert_eq!(serde_json::from_str::<Plan<Action>>(&json).unwrap(), draft.plan);
        }
    }
}
