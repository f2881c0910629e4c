//! Two names that are one machine, one controller or one unit: a target that shares one with another node is rejected.

use super::own_feet::{OTHER, run, told, world};
use bed::Bed;

/// A node's power was cut because another one was stopped, with status 0.
#[test]
fn a_target_with_the_controller_or_address_of_another_node_is_rejected() {
    for (pair, what) in [
        (r#"{"name": "n1", "bmc": "b1"}, {"name": "n2", "bmc": "B1."}"#, "power controller"),
        (
            r#"{"name": "n1", "bmc": "b1", "address": "192.0.2.1"}, {"name": "n2", "bmc": "b2", "address": "192.0.2.1"}"#,
            "address",
        ),
        (r#"{"name": "n1", "bmc": "b1", "address": "N2"}, {"name": "n2", "bmc": "b2"}"#, "address"),
    ] {
        let bed = Bed::new();
        world(&bed, &format!("{pair}, {{\"name\": \"n3\", \"bmc\": \"b3\"}}"), OTHER, "");
        let text = bed.read("etc/cluster.toml");
        let (from, to) = (text.find("[power]").unwrap(), text.find("[shell]").unwrap());
        bed.config(
            "cluster.toml",
            format!("{}[power]\ndriver = \"ipmitool\"\n{}", &text[..from], &text[to..]),
        );
        for line in ["cshutdown -F n1", "cshutdown -k n2", "cstartup n1", "cstartup -k ALL"] {
            let rejected = run(&bed, line).status(3).run();
            assert!(
                rejected.stderr.contains(&format!("n1 and n2 have the same {what}")),
                "{}",
                rejected.stderr
            );
            assert!(
                rejected.stderr.matches("inventory.json:1:").count() >= 2,
                "both places: {}",
                rejected.stderr
            );
            // The file was named twice, before and after the place.
            assert!(!rejected.stderr.contains("inventory.json: n1 and n2"), "{}", rejected.stderr);
        }
        let warned = run(&bed, "seqfile -i inventory.json").any_stderr().run();
        assert!(warned.stderr.contains(&format!("n1 and n2 have the same {what}")), "{}", warned.stderr);
        assert!(!warned.stderr.contains("inventory.json: n1 and n2"), "{}", warned.stderr);
        assert_eq!(told(&bed), "");
    }
}

/// The unit of a target is switched off with it: by the controller of a node that is no target, that node's power
/// was cut.
#[test]
fn a_unit_of_a_target_with_the_controller_of_another_node_is_rejected() {
    for (nodes, pair) in [
        (r#"{"name": "n1", "bmc": "b1", "power_with": ["b2"]}, {"name": "n2", "bmc": "b2"}"#, "n2 and b2"),
        (r#"{"name": "n1", "bmc": "b1", "power_with": ["B2."]}, {"name": "n2", "bmc": "b2"}"#, "n2 and B2."),
        (
            r#"{"name": "n1", "bmc": "b1", "power_with": ["io"]}, {"name": "n2", "bmc": "b2", "power_with": ["IO"]}"#,
            "IO and io",
        ),
    ] {
        let bed = Bed::new();
        world(&bed, nodes, OTHER, "");
        let text = bed.read("etc/cluster.toml");
        let (from, to) = (text.find("[power]").unwrap(), text.find("[shell]").unwrap());
        bed.config(
            "cluster.toml",
            format!("{}[power]\ndriver = \"ipmitool\"\n{}", &text[..from], &text[to..]),
        );
        for line in ["cshutdown -F n1", "cshutdown -k n1", "cstartup n1"] {
            let rejected = run(&bed, line).status(3).run();
            let said = format!(": {pair} have the same power controller");
            let line = rejected.stderr.lines().find(|line| line.contains(&said)).unwrap_or_default();
            assert!(line.contains("inventory.json:1:"), "{}", rejected.stderr);
            assert!(rejected.stderr.contains(" is a unit of n"), "{}", rejected.stderr);
        }
        assert_eq!(told(&bed), "");
    }
}

/// Under two names one controller passed for two, and so did a command that is the same for two nodes.
#[test]
fn a_target_whose_controller_resolves_to_that_of_another_or_whose_command_is_the_same_is_rejected() {
    let ipmi = "[power]\ndriver = \"ipmitool\"\nlook_ahead = false\n";
    let nodes = r#"{"name": "n1", "bmc": "localhost"}, {"name": "n2", "bmc": "127.0.0.1"}, {"name": "n3", "bmc": "192.0.2.3"}"#;
    let same = |key: &str| {
        format!("[power]\ndriver = \"command\"\n{}", key.replace("POWER", "[\"/bin/false\", \"{node}\"]"))
    };
    for (tables, what) in [
        (ipmi.to_owned(), "power controller, 127.0.0.1"),
        (
            // The blades of one enclosure, of which two have one slot by a slip of the hand.
            same(
                "on = POWER\noff = POWER\n[override.node.n1]\npower = { off = [\"/bin/false\", \"slot3\"] }\n\
                  [override.node.n2]\npower = { off = [\"/bin/false\", \"slot3\"] }\n",
            ),
            "power command, /bin/false slot3",
        ),
        (same("on = POWER\noff = [\"/bin/false\"]\n"), "power command, /bin/false"),
    ] {
        let bed = Bed::new();
        world(&bed, nodes, OTHER, "");
        bed.script("fakes/ipmitool", "echo 'Chassis Power is on'");
        let text = bed.read("etc/cluster.toml");
        let (from, to) = (text.find("[power]").unwrap(), text.find("[shell]").unwrap());
        bed.config("cluster.toml", format!("{}{}{tables}", &text[..from], &text[to..]));
        for line in ["cshutdown -F n1", "cshutdown -k n2", "cstartup n1", "cstartup -k ALL"] {
            let rejected = run(&bed, line).status(3).run();
            let said = format!("have the same {what}");
            assert!(rejected.stderr.contains(&said), "{said}: {line}: {}", rejected.stderr);
        }
        assert_eq!(told(&bed), "");
        // With other slots they are two.
        if what.ends_with("slot3") {
            bed.config("cluster.toml", bed.read("etc/cluster.toml").replacen("slot3", "slot4", 1));
            run(&bed, "cstartup -k n1").run();
        }
        if tables.starts_with(ipmi) {
            // So are two systems that are addressed behind one controller.
            let slots = "[override.node.n1]\npower = { options = [\"-t\", \"0x82\"] }\n[override.node.n2]\n\
                         power = { options = [\"-t\", \"0x84\"] }\n";
            bed.config("cluster.toml", bed.read("etc/cluster.toml") + slots);
            let ended = run(&bed, "cshutdown -k n3").any_status().run();
            assert!(!ended.stderr.contains("have the same"), "{}", ended.stderr);
            let ended = run(&bed, "cshutdown -k n1").any_status().run();
            assert!(!ended.stderr.contains("have the same"), "{}", ended.stderr);
        }
    }
}

/// Two aliases of ssh behind a wildcard of the DNS were rejected as one machine, without a way out. The numbers are
/// addresses as the resolver reads them, so that two words resolve to one address without any DNS.
#[test]
fn names_that_resolve_to_one_address_are_rejected_unless_ssh_leads_them_elsewhere() {
    let nodes = r#"{"name": "n1", "address": "192.0.513"}, {"name": "n2", "address": "0xc0000201"}"#;
    let tcp = "[probe]\ndriver = \"tcp\"\nport = 22\n";
    let command = "[probe]\ndriver = \"command\"\nup = [\"/bin/true\", \"{node}\"]\n";
    for (aliases, probe, said) in [
        ("", command, Some("address, 192.0.2.1")),
        ("", tcp, Some("address, 192.0.2.1")),
        ("aliases = true\n", command, None),
        ("aliases = true\n", tcp, Some("address and port of the TCP probe, 192.0.2.1")),
    ] {
        let bed = Bed::new();
        world(&bed, nodes, OTHER, "");
        let ssh = bed.script("ssh", "exit 0");
        let text = bed.read("etc/cluster.toml");
        let (from, to) = (text.find("[shell]").unwrap(), text.find("[shutdown]").unwrap());
        let shell = format!("[shell]\ndriver = \"ssh\"\nprogram = {ssh:?}\n{aliases}");
        bed.config("cluster.toml", format!("{}{shell}{probe}{}", &text[..from], &text[to..]));
        let ended = run(&bed, "cstartup -k ALL").any_stdout().any_status().run();
        match said {
            Some(said) => {
                assert_eq!(ended.status, 3, "{}", ended.stderr);
                let said = format!("n1 and n2 have the same {said}");
                assert!(ended.stderr.contains(&said), "{said}: {}", ended.stderr);
                let way_out = ended.stderr.contains("set shell.aliases = true in cluster.toml");
                assert_eq!(way_out, aliases.is_empty(), "{}", ended.stderr);
            }
            None => assert!(!ended.stderr.contains("have the same"), "{}", ended.stderr),
        }
    }
}
