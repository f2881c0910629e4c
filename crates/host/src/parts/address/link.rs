//! Whether a network device could carry an address: there, up, with carrier.

use super::listing::{ASKING, listed_ips};
use crate::platform::Platform;
use orderly_exec::job::Job;
use orderly_exec::runner::Run;
use std::net::IpAddr;

/// Returns why an address on this device would serve nobody, with its remedy. Solaris is not asked.
pub(super) fn unfit_device(device: &str, platform: Platform, run: &mut dyn Run) -> Option<String> {
    if platform == Platform::Solaris {
        return None;
    }
    let ask = ["ip", "-o", "link", "show", "dev", device];
    let ended = run.run(&Job::new(ask, ASKING));
    if ended.succeeded() {
        return judge(device, &ended.text());
    }
    Some(format!(
        "nobody can say whether the network device {device} works: {}: {}",
        ask.join(" "),
        ended.clause()
    ))
}

/// Reads the flags between the angle brackets (ip-link(8)). A loopback device has no cable.
fn judge(device: &str, listed: &str) -> Option<String> {
    let flags = listed.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(flags, _)| flags);
    let Some(flags) = flags else {
        return Some(format!(
            "nobody can say whether the network device {device} works: ip printed \"{}\"",
            listed.trim()
        ));
    };
    let has = |flag: &str| flags.split(',').any(|one| one == flag);
    if has("LOOPBACK") {
        return None;
    }
    if !has("UP") {
        return Some(format!("the network device {device} is down; ip link set {device} up"));
    }
    if has("NO-CARRIER") || !has("LOWER_UP") {
        return Some(format!("the network device {device} has no carrier; look at its cable and its switch"));
    }
    None
}

/// Tells whether this host itself has an address; one that cannot be asked has not.
pub fn is_own(ip: &str, platform: Platform, run: &mut dyn Run) -> bool {
    let Ok(wanted) = ip.parse::<IpAddr>() else { return false };
    listed_ips(platform, run).is_ok_and(|own| own.contains(&wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_down_or_has_no_carrier_serves_nobody() {
        let shown =
            |flags: &str| format!("5: eth0@if4: <{flags}> mtu 1500 qdisc noqueue state UP mode DEFAULT\n");
        for flags in [
            "BROADCAST,MULTICAST,UP,LOWER_UP",
            "BROADCAST,NOARP,UP,LOWER_UP",
            "LOOPBACK",
            "LOOPBACK,UP,LOWER_UP",
        ] {
            assert_eq!(judge("eth0", &shown(flags)), None, "{flags}");
        }
        for (flags, why) in [
            ("BROADCAST,MULTICAST", "is down; ip link set eth0 up"),
            ("NO-CARRIER,BROADCAST,MULTICAST,UP", "no carrier"),
            ("BROADCAST,MULTICAST,UP,DORMANT", "no carrier"),
        ] {
            assert!(judge("eth0", &shown(flags)).unwrap().contains(why), "{flags}");
        }
        assert!(judge("eth0", "nonsense\n").unwrap().contains("nobody can say"));
    }
}
