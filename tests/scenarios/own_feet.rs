//! A run never stops or resets the machine it runs on, however that is called and wherever it is reached.
//!
//! Scripts stand in for power, shell and probe: this machine is only ever named, and never told anything.

use bed::sshd::{Cluster, NEEDS};
use bed::{Bed, Need, Program, real};

pub(super) const OTHER: &str = "11111111-1111-1111-1111-111111111111";

fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned()
}

fn own_boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim().to_owned()
}

/// Nodes that are up and say this boot id; what they are told goes into `told`.
pub(super) fn world(bed: &Bed, nodes: &str, boot: &str, more: &str) {
    let told = bed.path("told");
    let rsh = bed.script(
        "rsh",
        &format!("case $2 in *boot_id*) echo '{boot}' ;; *) echo \"$1 $2\" >>{told:?} ;; esac"),
    );
    let power =
        bed.script("power", &format!("[ $1 = status ] && echo \"$2: on\" || echo \"power $*\" >>{told:?}"));
    // Those marked are down.
    let probe = bed.script("probe", &format!("[ ! -e {:?}/$1.down ]", bed.path("tmp")));
    bed.cluster(
        &format!("{{\"nodes\": [{nodes}]}}"),
        format!(
            "{more}\n[power]\ndriver = \"command\"\non = [{power:?}, \"on\", \"{{node}}\"]\noff = [{power:?}, \"off\", \"{{node}}\"]\n\
             reset = [{power:?}, \"reset\", \"{{node}}\"]\nstatus = [{power:?}, \"status\", \"{{node}}\"]\n\
             [shell]\ndriver = \"command\"\nrun = [{rsh:?}, \"{{node}}\", \"{{command}}\"]\n\
             [probe]\ndriver = \"command\"\nup = [{probe:?}, \"{{node}}\"]\ninterval = \"20ms\"\n\
             [shutdown]\nend_users = \"none\"\nsettle = \"20ms\"\n"
        ),
    );
    bed.write("cshutSeq", "");
    bed.write("cstartSeq", "");
}

pub(super) fn run<'a>(bed: &'a Bed, line: &str) -> Program<'a> {
    let mut words = line.split_whitespace();
    bed.program(words.next().unwrap()).args(words).any_stdout().goes_well()
}

pub(super) fn told(bed: &Bed) -> String {
    std::fs::read_to_string(bed.path("told")).unwrap_or_default()
}

#[test]
fn a_node_named_or_reached_like_this_machine_is_not_halted() {
    let capitals = host().to_uppercase();
    for node in [
        r#"{"name": "localhost"}"#.to_owned(),
        r#"{"name": "n1", "address": "localhost"}"#.to_owned(),
        r#"{"name": "n1", "address": "127.0.0.1"}"#.to_owned(),
        r#"{"name": "n1", "address": "127.1"}"#.to_owned(),
        r#"{"name": "n1", "address": "::1"}"#.to_owned(),
        r#"{"name": "n1", "address": "0.0.0.0"}"#.to_owned(),
        r#"{"name": "n1", "address": "root@localhost"}"#.to_owned(),
        format!(r#"{{"name": "n1", "address": "{capitals}"}}"#),
        format!(r#"{{"name": "{capitals}", "address": "192.0.2.1"}}"#),
        format!(r#"{{"name": "{capitals}.example.org", "address": "192.0.2.1"}}"#),
    ] {
        let bed = Bed::new();
        world(&bed, &node, &own_boot(), "");
        for flags in ["-F", "-k", "-F -r", "-F -m"] {
            let refused = run(&bed, &format!("cshutdown {flags} ALL")).status(4).run();
            assert!(refused.stderr.contains("is this very machine"), "{node}: {}", refused.stderr);
        }
        for flags in ["-Z", "-k -Z"] {
            let refused = run(&bed, &format!("cstartup {flags} ALL")).status(4).run();
            assert!(refused.stderr.contains("is this very machine"), "{node}: {}", refused.stderr);
        }
        assert_eq!(told(&bed), "", "{node}");
    }
}

#[test]
fn an_address_is_overruled_by_another_boot_alone() {
    // One of ours behind another device may be this machine as well.
    for (address, boot, status) in [
        ("127.0.0.1", OTHER, 0),
        ("127.0.0.1", "", 4),
        ("127.0.0.1", "cat: no such file", 4),
        ("::1%eth9", OTHER, 0),
        ("::1%eth9", "", 4),
    ] {
        let bed = Bed::new();
        world(&bed, &format!(r#"{{"name": "n1", "address": "{address}"}}"#), boot, "");
        run(&bed, "cshutdown -k ALL").status(status).run();
        run(&bed, "cstartup -k -Z ALL").status(status).run();
    }
    // A name is not overruled.
    let bed = Bed::new();
    world(&bed, r#"{"name": "localhost"}"#, OTHER, "");
    run(&bed, "cshutdown -k ALL").status(4).run();
}

/// One login that was lost, under load, and the node was "this very machine". The shell is scripted: real
/// logins are not lost when one wants them to be.
#[test]
fn a_question_for_the_boot_that_was_lost_is_asked_again_and_what_stays_unread_is_said() {
    let bed = Bed::new();
    world(&bed, r#"{"name": "n1", "address": "127.0.0.1"}"#, OTHER, "");
    let rsh = bed.read("rsh").replace("#!/bin/sh\n", "");
    let asked = bed.path("asked");
    let lost = "echo 'Connection timed out during banner exchange' >&2; exit 255";
    bed.script(
        "rsh",
        &format!("echo >>{asked:?}; [ $(grep -c '' {asked:?}) -gt 1 ] || {{ {lost}; }}\n{rsh}"),
    );
    bed.tool("grep");
    run(&bed, "cshutdown -k ALL").run();
    assert_eq!(bed.read("asked").lines().count(), 2);

    bed.script("rsh", lost);
    let config = bed.read("etc/cluster.toml");
    bed.config("cluster.toml", format!("{config}[limits]\nretries = 0\n"));
    for line in ["cshutdown -k ALL", "cstartup -k -Z ALL"] {
        let refused = run(&bed, line).status(4).run();
        assert!(refused.stderr.contains("n1 may be this very machine: it is reached at an address of it"));
        assert!(refused.stderr.contains("timed out during banner exchange)"), "{}", refused.stderr);
    }
}

#[test]
fn an_alias_of_the_hosts_file_is_this_machine() {
    if !real::require(&[Need::Root, Need::MountNamespace, Need::Program("unshare"), Need::Program("mount")]) {
        return;
    }
    let bed = Bed::new();
    world(&bed, r#"{"name": "Head"}, {"name": "n2", "address": "192.0.2.2"}"#, OTHER, "");
    bed.write("hosts", format!("127.0.0.1 localhost\n192.0.2.7 {} head # us\n", host()));
    bed.tools(&["unshare", "mount"]);
    let refused = bed
        .shell("exec unshare -m --propagation private /bin/sh -c 'mount --bind hosts /etc/hosts && exec bin/cshutdown -k ALL'")
        .status(4)
        .any_stderr()
        .run();
    assert!(refused.stderr.contains("Head is this very machine"), "{}", refused.stderr);
    run(&bed, "cshutdown -k ALL").run();
}

/// n1 is this machine and serves n2, which runs although n1 is found down: `-z` would reset both.
#[test]
fn no_way_out_is_proposed_that_resets_this_machine() {
    let bed = Bed::new();
    world(&bed, r#"{"name": "n1"}, {"name": "n2"}"#, OTHER, "control_node = \"n2\"");
    bed.write("cstartSeq", "a: n1\nb: n2\na > b\n");
    bed.write("tmp/n1.down", "");
    let refused = run(&bed, "cstartup n1 n2").status(4).run();
    assert!(refused.stderr.contains("cstartup -S n1 n2"), "{}", refused.stderr);
    assert!(!refused.stderr.contains(" -z "), "{}", refused.stderr);
    let refused = run(&bed, "cstartup -z n1 n2").status(4).run();
    assert!(refused.stderr.contains("n2 is this very machine"), "{}", refused.stderr);
    // And a shutdown does not propose to stop this machine too.
    bed.write("cshutSeq", "b: n2\na: n1\nb > a\n");
    let refused = run(&bed, "cshutdown n1").status(4).run();
    assert!(refused.stderr.contains("cshutdown -X n1"), "{}", refused.stderr);
    assert!(!refused.stderr.contains(" -E "), "{}", refused.stderr);
    assert_eq!(told(&bed), "");
}

#[test]
fn this_machine_is_reset_last_with_even_self() {
    let bed = Bed::new();
    world(&bed, r#"{"name": "n1"}, {"name": "n2"}, {"name": "n3"}"#, OTHER, "control_node = \"n1\"");
    let plan = run(&bed, "cstartup -k -Z --even-self ALL").run();
    assert_eq!(plan.stdout.lines().next().unwrap(), "wave 1: reset: n[2-3] (2 nodes)", "{}", plan.stdout);
    assert!(plan.stdout.contains("wave 2: reset: n1"), "{}", plan.stdout);
    bed.write("cstartSeq", "a: n1\nb: n2\na > b\n");
    let refused = run(&bed, "cstartup -k -Z --even-self ALL").status(4).run();
    assert!(refused.stderr.contains("others can be started only after it"), "{}", refused.stderr);
    // n3 alone is enough for n2.
    bed.write("cstartSeq", "a: n1 n3\nb: n2\na(1) > b\n");
    let plan = run(&bed, "cstartup -k -Z --even-self ALL").run();
    let waves: Vec<&str> = plan.stdout.lines().take(3).collect();
    assert_eq!(
        waves,
        ["wave 1: reset: n3 (1 node)", "wave 2: reset: n2 (1 node)", "wave 3: reset: n1 (1 node)"]
    );
    bed.write("cstartSeq", "a: n1 n3\nb: n2\na(2) > b\n");
    run(&bed, "cstartup -k -Z --even-self ALL").status(4).any_stderr().run();
}

/// Marks nodes as on but not up until they are reset; a start waits for them for an instant.
fn hang(bed: &Bed, nodes: &[&str], limits: &str) {
    let tmp = bed.path("tmp");
    bed.script(
        "power",
        &format!(
            "[ $1 = status ] && {{ echo \"$2: on\"; exit; }}\necho \"power $*\" >>{:?}; : >{tmp:?}/$2.reset",
            bed.path("told")
        ),
    );
    bed.script("probe", &format!("[ ! -e {tmp:?}/$1.down ] || [ -e {tmp:?}/$1.reset ]"));
    for node in nodes {
        bed.write(format!("tmp/{node}.down"), "");
        std::fs::remove_file(bed.path(format!("tmp/{node}.reset"))).ok();
    }
    std::fs::remove_file(bed.path("told")).ok();
    let text = bed.read("etc/cluster.toml");
    let end = text.find("[limits]").unwrap_or(text.len());
    bed.config("cluster.toml", format!("{}[limits]\nboot = \"100ms\"\n{limits}", &text[..end]));
}

/// Only a reset of what runs was looked at: one that hung was reset under those that it leads to.
#[test]
fn a_gateway_that_hangs_is_not_reset_under_those_it_leads_to_whatever_asks_for_it() {
    for attribute in ["gateway", "power_server"] {
        let bed = Bed::new();
        world(&bed, &format!(r#"{{"name": "a1"}}, {{"name": "x", "{attribute}": "a1"}}"#), OTHER, "");
        for (flag, limits) in [("--reset-stuck", ""), ("", "stuck = \"reset\"\n")] {
            hang(&bed, &["a1", "x"], limits);
            let plan = run(&bed, &format!("cstartup -k {flag} ALL")).run();
            assert!(plan.stdout.contains("on, waited for: a1 "), "{}", plan.stdout);
            assert!(plan.stdout.contains("on, waited for, then reset: x "), "{}", plan.stdout);
            let ended = run(&bed, &format!("cstartup {flag} ALL")).status(1).run();
            assert_eq!(told(&bed), "power reset x\n", "{attribute}: {}", ended.stderr);
            assert!(
                ended.stderr.contains("a1: failed: on, not up after 100ms: look at its console and at its probe; others are reached or powered through it"),
                "{}",
                ended.stderr
            );
            assert!(!ended.stderr.contains("or --reset-stuck"), "{}", ended.stderr);
            // It alone is reset, and before all that it leads to.
            run(&bed, &format!("cstartup {flag} a1")).run();
            assert_eq!(told(&bed), "power reset x\npower reset a1\n");
            hang(&bed, &["a1", "x"], limits);
            run(&bed, &format!("cstartup {flag} --even-self ALL")).run();
            assert_eq!(told(&bed).lines().count(), 2, "{}", told(&bed));
            hang(&bed, &["a1", "x"], limits);
            bed.write("cstartSeq", "a: a1\nb: x\na > b\n");
            run(&bed, &format!("cstartup {flag} ALL")).run();
            assert!(told(&bed).starts_with("power reset a1\n"), "{}", told(&bed));
            bed.write("cstartSeq", "");
        }
    }
}

/// It is what the start runs on; a flag by which it would be reset was named all the same.
#[test]
fn this_machine_is_not_reset_when_it_hangs_and_no_reset_of_it_is_proposed() {
    let bed = Bed::new();
    world(&bed, r#"{"name": "localhost"}, {"name": "n2"}"#, OTHER, "");
    for (flag, limits) in [("--reset-stuck", ""), ("", "stuck = \"reset\"\n"), ("", "")] {
        hang(&bed, &["localhost"], limits);
        let ended = run(&bed, &format!("cstartup {flag} ALL")).status(1).run();
        assert_eq!(told(&bed), "", "{}", ended.stderr);
        let said = "localhost: failed: on, not up after 100ms: look at its console and at its probe; it is this very machine";
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
        assert!(!ended.stderr.contains("or --reset-stuck"), "{}", ended.stderr);
    }
    bed.write("cstartSeq", "a: localhost\nb: n2\na > b\n");
    bed.write("tmp/n2.down", "");
    let why = run(&bed, "cstartup --why-not n2").status(1).run();
    assert!(why.stdout.contains("localhost, on but not up"), "{}{}", why.stdout, why.stderr);
    assert!(!why.stdout.contains("--reset-stuck"), "{}", why.stdout);
}

#[test]
fn a_gateway_is_not_reset_under_those_it_leads_to() {
    let bed = Bed::new();
    world(&bed, r#"{"name": "n1", "gateway": "n2"}, {"name": "n2"}"#, OTHER, "");
    let refused = run(&bed, "cstartup -Z ALL").status(4).run();
    assert!(refused.stderr.contains("n2 is the gateway of n1"), "{}", refused.stderr);
    run(&bed, "cstartup -k -Z --even-self ALL").run();
    bed.write("cstartSeq", "a: n2\nb: n1\na > b\n");
    run(&bed, "cstartup -k -Z ALL").run();
    assert_eq!(told(&bed), "");
}

#[test]
fn another_number_of_targets_than_confirmed_is_refused() {
    let bed = Bed::new();
    world(&bed, r#"{"name": "n1"}, {"name": "n2"}"#, OTHER, "");
    for (program, what) in [("cshutdown", "-F"), ("cstartup", "-Z")] {
        run(&bed, &format!("{program} {what} --confirm 3 ALL")).status(4).run();
        run(&bed, &format!("{program} -k --confirm 2 ALL")).run();
    }
    assert_eq!(told(&bed), "");
}

/// What is asked of nodes, what is sent to them for it, and whether their power can be switched.
const ENDS: [(&str, &str, bool); 3] = [
    ("-F --force-off", "shutdown -h now", true),
    ("-F -r", "shutdown -r now", false),
    ("-F -m", "systemctl isolate rescue.target", true),
];

/// Nothing in the inventory says that n1 leads here: the node finds out, in the command that halts it, restarts it or
/// takes it to maintenance.
fn compared_on_the_node(tool: &'static str) {
    let mut needs = NEEDS.to_vec();
    needs.push(Need::Program(tool));
    if !real::require(&needs) {
        return;
    }
    for (flags, sent, is_switched) in ENDS {
        let bed = Bed::new();
        let cluster = Cluster::new(&bed, &["n1", "n2"]);
        if tool != "ssh" {
            cluster.lend(tool);
        }
        cluster.power_on("n1").power_on("n2");
        let names = if tool == "ssh" { "" } else { "names = true\n" };
        cluster.configure_shell(&format!("driver = \"{tool}\"\n{names}[limits]\nretries = 0\n"));
        let config = bed.read("etc/cluster.toml");
        let part = |from: &str, to: &str| &config[config.find(from).unwrap()..config.find(to).unwrap()];
        let head = &config[..config.find("[power]").unwrap()];
        let power = if is_switched { part("[power]", "[shell]") } else { "[power]\ndriver = \"none\"\n" };
        let (shell, shutdown) = (part("[shell]", "[probe]"), &config[config.find("[shutdown]").unwrap()..]);
        let probe = "[probe]\ndriver = \"shell\"\ninterval = \"200ms\"\n";
        bed.config("cluster.toml", format!("{head}{power}{shell}{probe}{shutdown}"));
        // Without addresses: the client's configuration alone says where they are.
        bed.write("etc/inventory.json", r#"{"nodes": [{"name": "n1"}, {"name": "n2"}]}"#);
        bed.write("cshutSeq", "");
        bed.write("cluster/n1/boot_id", own_boot());
        // Whoever asks n1 beforehand, as before a restart, hears of another boot: only the command itself can tell.
        cluster.answer("*boot_id*", &format!("[ \"$node\" = n1 ] && echo {OTHER} || cat \"$here/boot_id\""));
        let ended = run(&bed, &format!("cshutdown {flags} --json ALL")).status(1).run();
        let said = "this node is the machine that the run is on";
        assert!(ended.stderr.contains(said), "{flags}: {}", ended.stderr);
        assert!(!ended.stderr.contains("boot_id"), "shown as it was written: {}", ended.stderr);
        let asked = cluster.asked();
        assert!(asked.contains(&format!("n2 {sent}")), "{flags}: {asked:?}");
        for never in [&format!("n1 {sent}"), "n1 power off", "n1 exec sh -s sessions 0"] {
            assert!(!asked.iter().any(|line| line.starts_with(never)), "{never}: {asked:?}");
        }
        assert!(cluster.is_up("n1") && cluster.is_on("n1"), "{asked:?}");
        assert!(ended.stdout.contains("\"this_machine\""), "{flags}: {}", ended.stdout);
    }
}

#[test]
fn what_halts_a_node_compares_boot_ids_there_with_ssh() {
    compared_on_the_node("ssh");
}

#[test]
fn what_halts_a_node_compares_boot_ids_there_with_clush() {
    compared_on_the_node("clush");
}

#[test]
fn what_halts_a_node_compares_boot_ids_there_with_pdsh() {
    compared_on_the_node("pdsh");
}

/// A unit was switched off whatever it is: this machine by its own name, and the gateway of others.
#[test]
fn a_unit_that_is_this_machine_or_leads_to_others_is_not_switched_off() {
    let (mine, capitals) = (host(), host().to_uppercase());
    for (unit, more) in [
        (mine.as_str(), ""),
        (capitals.as_str(), ""),
        ("localhost", ""),
        ("mgmt1", "control_node = \"mgmt1\""),
    ] {
        let bed = Bed::new();
        world(&bed, &format!(r#"{{"name": "n1", "power_with": ["{unit}"]}}, {{"name": "n2"}}"#), OTHER, more);
        for flags in ["-F", "-k", "-F -r", "-F -m -P", "-F --even-self"] {
            let refused = run(&bed, &format!("cshutdown {flags} ALL")).status(4).run();
            let said = format!("{unit}, which is switched off with n1, is this very machine");
            assert!(refused.stderr.contains(&said), "{flags}: {}", refused.stderr);
            assert!(refused.stderr.contains("(-x n1)"), "{}", refused.stderr);
        }
        assert_eq!(told(&bed), "", "{unit}");
        run(&bed, "cshutdown -k -x n1 ALL").run();
    }
    let bed = Bed::new();
    let nodes = r#"{"name": "n1", "power_with": ["sw"]}, {"name": "n2", "gateway": "sw"}"#;
    world(&bed, nodes, OTHER, "");
    let refused = run(&bed, "cshutdown -F ALL").status(4).run();
    let said = "sw, which is switched off with n1, is the gateway of n2, which may still be up then";
    assert!(refused.stderr.contains(said), "{}", refused.stderr);
    assert_eq!(told(&bed), "");
    world(&bed, &nodes.replace("\"gateway\"", "\"power_with\": [\"sw\"], \"gateway\""), OTHER, "");
    run(&bed, "cshutdown -k ALL").run();
}

/// `cshutdown n1` took the network from a node that nobody wanted to stop.
#[test]
fn a_unit_through_which_a_node_is_reached_that_is_no_target_stays_on() {
    let world = |nodes: &str| {
        let bed = Bed::new();
        world(&bed, nodes, OTHER, "");
        let (told, off) = (bed.path("told"), bed.path("tmp/off"));
        bed.script(
            "power",
            &format!(
                "[ $1 = status ] || {{ echo \"power $*\" >>{told:?}; : >{off:?}.$2; exit; }}\n\
                 [ -e {off:?}.$2 ] && echo \"$2: off\" || echo \"$2: on\""
            ),
        );
        bed.write("tmp/n1.down", "");
        bed
    };
    for attribute in ["gateway", "power_server", "console_server"] {
        let bed = world(&format!(
            r#"{{"name": "n1", "power_with": ["sw"]}}, {{"name": "n2", "{attribute}": ["x", "sw"]}}"#
        ));
        let what = attribute.replace('_', " ");
        let said = format!("sw stays on: it is the {what} of n2, which is not known to be down");
        for flags in ["-k", "-k --even-self", "-F"] {
            let kept = run(&bed, &format!("cshutdown {flags} n1")).run();
            assert!(kept.stderr.contains(&said), "{flags}: {}", kept.stderr);
            assert!(!kept.stdout.contains("sw"), "{}", kept.stdout);
        }
        assert!(told(&bed).contains("power off n1") && !told(&bed).contains("off sw"), "{}", told(&bed));
    }
    // Nobody needs it once those nodes are down.
    let bed = world(r#"{"name": "n1", "power_with": ["sw"]}, {"name": "n2", "gateway": "sw"}"#);
    bed.write("tmp/n2.down", "");
    bed.write("tmp/off.n2", "");
    let both = run(&bed, "cshutdown -F n1").run();
    assert!(told(&bed).contains("power off sw"), "{}\n{}", both.stderr, told(&bed));
}

/// This machine under a name of its own, which only another attribute gives away.
#[test]
fn this_machine_is_known_by_what_an_inventory_says_of_it_elsewhere() {
    let mac = std::fs::read_dir("/sys/class/net").unwrap().find_map(|device| {
        let text = std::fs::read_to_string(device.unwrap().path().join("address")).ok()?;
        Some(text.trim().to_owned()).filter(|text| text.chars().any(|c| !matches!(c, '0' | ':')))
    });
    let mut said = vec![
        format!("\"hostname\": \"{}\"", host()),
        "\"ip\": \"127.0.0.1\"".to_owned(),
        "\"nicips\": \"ib0!192.0.2.9,eth0!127.0.0.1\"".to_owned(),
        "\"aliases\": [\"other\", \"LOCALHOST\"]".to_owned(),
    ];
    said.extend(mac.map(|mac| format!("\"mac\": \"{}\"", mac.to_uppercase())));
    for attribute in said {
        let bed = Bed::new();
        let node =
            format!("{{\"name\": \"n1\", \"address\": \"192.0.2.1\", {attribute}}}, {{\"name\": \"n2\"}}");
        world(&bed, &node, &own_boot(), "");
        for line in ["cshutdown -F ALL", "cshutdown -k n1", "cstartup -Z ALL"] {
            let refused = run(&bed, line).status(4).run();
            assert!(refused.stderr.contains("n1 is this very machine"), "{attribute}: {}", refused.stderr);
        }
        assert_eq!(told(&bed), "");
        // Another boot says that it is another one.
        let bed = Bed::new();
        world(&bed, &node, OTHER, "");
        run(&bed, "cshutdown -k n1").run();
    }
}

#[test]
fn a_name_that_is_a_node_set_is_no_node() {
    for node in [
        r#"{"name": "n[1-16]"}"#,
        r#"{"name": "3-7"}"#,
        r#"{"name": "n1", "address": "10.0.0.[1-4]"}"#,
        r#"{"name": "n1", "power_with": ["io[1-2]"]}"#,
    ] {
        let bed = Bed::new();
        world(&bed, node, OTHER, "");
        for line in ["cshutdown -k ALL", "cstartup -k ALL", "seqfile -i inventory.json"] {
            let rejected = run(&bed, line).status(3).run();
            assert!(rejected.stderr.contains("stands for several nodes"), "{}", rejected.stderr);
            assert!(
                rejected.stderr.contains("hint: an inventory has an entry for each node"),
                "{}",
                rejected.stderr
            );
        }
    }
    let bed = Bed::new();
    world(&bed, r#"{"name": "rack1-16", "address": "[fe80::1]"}"#, OTHER, "");
    run(&bed, "cshutdown -k ALL").run();
}

/// A server that is no node could not be said to be known; xCAT's, which were left out, need a way to say so.
#[test]
fn a_server_outside_the_inventory_is_rejected_unless_the_configuration_names_it() {
    for (more, status) in [
        ("", 3),
        ("outside = \"nas[2-3]\"", 3),
        ("outside = \"nas[1-2]\"", 0),
        ("control_node = \"nas1.example.org\"", 0),
        ("outside = \"nas[1\"", 3),
    ] {
        let bed = Bed::new();
        world(&bed, r#"{"name": "n1", "boot_server": "nas1"}"#, OTHER, more);
        let said = run(&bed, "cstartup -k n1").status(status).run().stderr;
        let clause = match more {
            "outside = \"nas[1\"" => "cluster.toml:6:11: outside: a bracket that is not closed",
            _ => "no node named \"nas1\"",
        };
        assert_eq!(said.contains(clause), status == 3, "{more}: {said}");
    }
}

/// It was run as root whoever could write it.
#[test]
fn a_subsystem_called_on_this_machine_that_others_can_write_or_that_is_missing_is_rejected() {
    let bed = Bed::new();
    world(&bed, r#"{"name": "n1"}"#, OTHER, "");
    let config = bed.read("etc/cluster.toml");
    bed.config("cluster.toml", format!("{config}[subsystem]\nhost = \"control\"\n"));
    let ours = bed.script("ours", "exit 0").display().to_string();
    let theirs = bed.script("theirs", "exit 0");
    std::fs::set_permissions(&theirs, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let listed = bed.write("subsysSeq", format!("a: {ours} {} /no/such/program\n", theirs.display()));
    let by_me = |mode| {
        std::fs::set_permissions(&listed, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    by_me(0o600);
    let rejected = run(&bed, "cshutdown -k ALL").status(3).run();
    assert!(rejected.stderr.contains("theirs"), "{}", rejected.stderr);
    assert!(rejected.stderr.contains("/no/such/program"), "all at once: {}", rejected.stderr);
    assert!(!rejected.stderr.contains(&format!("subsysSeq: {ours}")), "{}", rejected.stderr);
    assert_eq!(told(&bed), "");
    bed.write("subsysSeq", format!("a: {ours}\n"));
    by_me(0o600);
    run(&bed, "cshutdown -k ALL").run();
}
