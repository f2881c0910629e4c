//! What the systems behind BMCs allow, and how many of them are asked at once; against real services, as in `real_redfish`.

use super::real_redfish::{configure, start};
use bed::redfish::{NEEDS, Redfish, system};
use bed::{Bed, real};

/// One call of curl asked for all of them at once, whatever the limit was.
#[test]
fn of_several_systems_behind_one_bmc_no_more_are_asked_at_once_than_a_controller_bears() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let bmcs = Redfish::with_several_systems(&bed, 5);
    configure(&bed, &bmcs, 1, "");
    let node = |number: usize| serde_json::json!({"name": format!("n{number}"), "bmc": bmcs.bmc(1), "system": system(number)});
    let nodes: Vec<_> = (1..=5).map(node).collect();
    let inventory = serde_json::json!({"format": "orderly-inventory/1", "nodes": nodes});
    bed.write("etc/inventory.json", inventory.to_string());
    bed.write("cstartSeq", "");
    let (status, said) = start(&bed, &["ALL"]);
    assert_eq!(status, 0, "{said}");
    let calls = bed.read("curls");
    let asks =
        |line: &str| line.split("asks=").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<u32>().ok());
    let most = calls.lines().filter_map(asks).max();
    assert_eq!(most, Some(2), "max = 2, and two are asked in one call: {calls}");
}

/// It was found out by the start itself, at night.
#[test]
fn a_check_names_a_reset_type_that_a_system_does_not_allow() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let bmcs = Redfish::new(&bed, 2);
    configure(&bed, &bmcs, 2, "");
    bmcs.tell(1, "allows ForceOn ForceOff");
    let named = "n1: cannot succeed as configured: the system allows ForceOn, ForceOff, and not On; write one of them as power.on";
    let (status, said) = start(&bed, &["-k", "ALL"]);
    assert!(status == 1 && said.contains(named) && !said.contains("n2: cannot"), "{said}");
    let (status, said) = start(&bed, &["-k", "n2"]);
    assert_eq!(status, 0, "{said}");
}
