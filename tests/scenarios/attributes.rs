//! Places for what the inventory says of nodes: `{bmc}`, `{mac}`, any attribute. The shipped examples that use them are
//! run whole, with real logins; curl, virsh, wakeonlan and the tools of SNMP are scripts here, which know no more of
//! the world than that the right words reach them.

use crate::power_examples::{NAMES, REACHED, SHUTDOWN, configure, example, reached, there_and_back};
use bed::sshd::{self, Cluster};
use bed::{Bed, real};

/// Runs a shipped example with a scripted program, which switches files named like `keys` on and off.
fn scripted(
    name: &str,
    (programs, script): (&[&str], &str),
    keys: [&str; 2],
    attributes: [serde_json::Value; 2],
    changes: &[(&str, &str)],
) {
    if !real::require(&sshd::NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = Cluster::new(&bed, &NAMES);
    bed.tools(&["cat", "sh"]);
    if programs.contains(&"curl") {
        bed.tools(&["jq", "tr"]);
    }
    std::fs::create_dir(bed.path("power")).unwrap();
    for program in programs {
        let power = bed.path("power").display().to_string();
        let body = format!("echo \"{program} $*\" >>{power}/calls\n{}", script.replace("@power@", &power));
        bed.script(format!("fakes/{program}"), &body);
    }
    let reached = reached(&cluster);
    let changes = [&[(REACHED, reached.as_str())], changes].concat();
    configure(&bed, &cluster, &(example(name, &changes) + SHUTDOWN), |at| attributes[at].clone());
    there_and_back(&bed, &cluster, |name| {
        let key = if name == NAMES[0] { keys[0] } else { keys[1] };
        std::fs::read_to_string(bed.path("power").join(key)).is_ok_and(|text| text == "on\n")
    });
}

#[test]
fn redfish_by_curl_in_commands_of_the_site() {
    if !real::require(&[bed::Need::Program("jq")]) {
        return;
    }
    // What it is given besides: the password file, the CA, that a failure is none.
    let script = "for url; do :; done\nfile=@power@/$(echo \"${url#https://}\" | tr / _)\n\
        case $* in *--fail*--netrc-file*--cacert*) ;; *) exit 2 ;; esac\n\
        case $* in\n\
        *' --data {\"ResetType\": \"On\"} https://10.1.0.'[12]/redfish/v1/Systems/?/Actions/ComputerSystem.Reset)\n\
        echo on >\"${file%_Actions*}\" ;;\n\
        *' --data {\"ResetType\": \"ForceOff\"} https://10.1.0.'[12]/redfish/v1/Systems/?/Actions/ComputerSystem.Reset)\n\
        echo off >\"${file%_Actions*}\" ;;\n\
        *' https://10.1.0.'[12]/redfish/v1/Systems/?)\n\
        case $(cat \"$file\" 2>/dev/null) in on) echo '{\"PowerState\": \"On\"}' ;; *) echo '{\"PowerState\": \"Off\"}' ;; esac ;;\n\
        *) exit 2 ;; esac";
    scripted(
        "curl",
        (&["curl"], script),
        ["10.1.0.1_redfish_v1_Systems_1", "10.1.0.2_redfish_v1_Systems_2"],
        [
            serde_json::json!({"bmc": "10.1.0.1", "system": "1"}),
            serde_json::json!({"bmc": "10.1.0.2", "system": 2}),
        ],
        &[],
    );
}

#[test]
fn virtual_machines_of_libvirt_by_virsh() {
    let script = "case $1$2$3 in --quiet--connectqemu+ssh://hv1/system) ;; *) exit 2 ;; esac\n\
        case $4 in start) echo on >@power@/$5 ;; destroy) echo off >@power@/$5 ;;\n\
        domstate) case $(cat @power@/$5 2>/dev/null) in on) echo running ;; *) echo 'shut off' ;; esac ;;\n\
        *) exit 2 ;; esac";
    let of = |domain: &str| serde_json::json!({"hypervisor": "qemu+ssh://hv1/system", "domain": domain});
    scripted("libvirt", (&["virsh"], script), ["vm-a", "vm-b"], [of("vm-a"), of("vm-b")], &[]);
}

#[test]
fn outlets_of_a_switched_power_distribution_unit() {
    let script = "for oid; do case $oid in .1.3.6.1.4.1.318.1.1.12.*) break ;; esac; done\n\
        case $0:$* in\n\
        *snmpset:*' pdu1 .1.3.6.1.4.1.318.1.1.12.3.3.1.1.4.'*' i 1') echo on >@power@/${oid##*.} ;;\n\
        *snmpset:*' pdu1 .1.3.6.1.4.1.318.1.1.12.3.3.1.1.4.'*' i 2') echo off >@power@/${oid##*.} ;;\n\
        *snmpget:*' pdu1 .1.3.6.1.4.1.318.1.1.12.3.5.1.1.4.'*)\n\
        case $(cat @power@/${oid##*.} 2>/dev/null) in on) echo 1 ;; *) echo 2 ;; esac ;;\n\
        *) exit 2 ;; esac";
    let of = |outlet: u32| serde_json::json!({"pdu": "pdu1", "outlet": outlet});
    scripted("pdu", (&["snmpset", "snmpget"], script), ["4", "17"], [of(4), of(17)], &[]);
}

/// Nothing tells whether such a node has power: it was woken, and was halted since.
#[test]
fn nodes_that_are_woken_over_the_network() {
    if !real::require(&sshd::NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = Cluster::new(&bed, &NAMES);
    bed.tool("true");
    let woken = bed.path("woken");
    bed.script("fakes/wakeonlan", &format!("echo \"$*\" >>{}", woken.display()));
    let reached = reached(&cluster);
    let changes = [(REACHED, reached.as_str()), ("settle = \"60s\"", "settle = \"100ms\"")];
    let mac = |at: usize| format!("52:54:00:00:00:0{}", at + 1);
    configure(&bed, &cluster, &example("wol", &changes), |at| serde_json::json!({"mac": mac(at)}));
    there_and_back(&bed, &cluster, |name| {
        let at = NAMES.iter().position(|known| *known == name).unwrap();
        let is_woken =
            std::fs::read_to_string(&woken).is_ok_and(|text| text.lines().any(|line| line == mac(at)));
        is_woken && !cluster.asked().contains(&format!("{name} shutdown -h now"))
    });
}

/// Writes a site whose power command names these places; `more` is in the inventory of each node.
fn site(bed: &Bed, words: &str, nodes: &str) {
    bed.script("fakes/mypower", &format!("echo \"$#: $*\" >>{}\n", bed.path("calls").display()));
    let head = format!("inventory = {:?}\nlog_dir = {:?}\n", bed.path("etc/inventory.json"), bed.path("log"));
    let sequence = format!("sequence = {{ start = {:?} }}\n", bed.write("cstartSeq", ""));
    let power = format!(
        "[power]\ndriver = \"command\"\non = [\"mypower\", {words}]\noff = [\"mypower\", \"off\", \"{{node}}\"]\n"
    );
    bed.config("cluster.toml", head + &sequence + &power + "[probe]\ndriver = \"none\"\n");
    bed.config("inventory.json", format!("{{\"format\": \"orderly-inventory/1\", \"nodes\": [{nodes}]}}"));
}

#[test]
fn a_place_that_no_node_has_is_rejected_with_a_suggestion_and_nothing_is_run() {
    let bed = Bed::new();
    let node = r#"{"name": "n1", "bmc": "b1", "mode": "dry"}"#;
    for (word, said) in [
        ("{bcm}", "power.on: {bcm} is no place for a node, and no node of"),
        ("{bcm}", "did you mean \"bmc\"?"),
        ("{nodee}", "did you mean \"node\"?"),
        ("{print}", "have blanks within them: { print }"),
    ] {
        site(&bed, &format!("\"{{node}}\", \"{word}\""), node);
        bed.program("cstartup").arg("n1").status(3).stderr_contains(said).any_stderr().run();
    }
    // Near to another word, and an attribute all the same.
    site(&bed, r#""{mode}", "{bmc}""#, node);
    bed.program("cstartup").arg("n1").goes_well().run();
    assert_eq!(bed.read("calls"), "2: dry b1\n");
}

#[test]
fn what_a_target_lacks_is_rejected_before_anything_runs_and_what_another_lacks_is_not() {
    let bed = Bed::new();
    let nodes = r#"{"name": "n1", "bmc": "b1"}, {"name": "n2"}, {"name": "n3", "bmc": ["b3"]},
        {"name": "n4", "bmc": "--all"}, {"name": "n5", "bmc": "", "power_with": ["io5"]}, {"name": "n6", "bmc": "b6"}"#;
    site(&bed, r#""on", "{bmc}""#, nodes);
    let all = bed.program("cstartup").arg("ALL").status(3).any_stderr().run();
    for said in [
        "io5,n[2-3]: power.on: {bmc} is asked for, and the inventory has no text or number \"bmc\" for it",
        "n4: power.on: {bmc} is \"--all\" for it, which would be taken for an option",
        "n5: power.on: {bmc} is \"\" for it, which is empty",
    ] {
        assert!(all.stderr.contains(said), "{said}\nis not in\n{}", all.stderr);
    }
    assert!(!bed.path("calls").exists());
    bed.program("cstartup").args(["n1", "n6"]).goes_well().run();
    let mut calls: Vec<String> = bed.read("calls").lines().map(str::to_owned).collect();
    calls.sort();
    assert_eq!(calls, ["2: on b1", "2: on b6"]);
}

#[test]
fn a_node_that_lacks_what_is_asked_for_is_unknown_to_those_that_wait_for_it() {
    let bed = Bed::new();
    site(&bed, r#""on", "{bmc}""#, r#"{"name": "n1", "bmc": "b1"}, {"name": "n2"}"#);
    let cluster = bed.read("etc/cluster.toml");
    let status = "status = [\"mypower\", \"status\", \"{bmc}\"]\n[probe]\ndriver = \"power\"\n";
    bed.config("cluster.toml", cluster.replace("[probe]\ndriver = \"none\"\n", status));
    bed.write("cstartSeq", "first: n2\nthen: n1\nfirst > then\n");
    let said = bed.program("cstartup").arg("n1").status(4).any_stderr().run().stderr;
    let why = "n2: the power program cannot be called: n2: {bmc} is asked for, and the inventory has no text or number";
    assert!(said.contains(why) && said.contains("n2"), "{said}");
    assert!(!bed.read("calls").contains("on "), "{said}");
}

/// A number was asked for of a unit, which has none: its power was switched with an empty word.
#[test]
fn a_unit_has_no_number_and_none_is_made_up_for_it() {
    let bed = Bed::new();
    site(&bed, r#""on", "{number}""#, r#"{"name": "n1", "number": 7, "power_with": ["io7"]}"#);
    let said = "io7: power.on: {number} is asked for, and the inventory has no number for it";
    bed.program("cstartup").arg("n1").status(3).stderr_contains(said).any_stderr().run();
    assert!(!bed.path("calls").exists());
}

#[test]
fn a_value_is_one_argument_and_no_part_of_a_script() {
    let bed = Bed::new();
    site(&bed, r#""on", "{rack}""#, r#"{"name": "n1", "rack": "row 3; rm -rf $HOME {node}"}"#);
    bed.program("cstartup").arg("n1").goes_well().run();
    assert_eq!(bed.read("calls"), "2: on row 3; rm -rf $HOME {node}\n");
    site(&bed, r#""sh", "-c", "turn on {rack}""#, r#"{"name": "n1", "rack": "r1; reboot"}"#);
    let said = "could be read as more than a value within such a text (make it an argument of its own)";
    bed.program("cstartup").arg("n1").status(3).stderr_contains(said).any_stderr().run();
}
