//! The shipped `cluster-*.toml` do what they say. Those of powerman, IPMI, clush and pdsh are run where
//! their programs are (`real_*`), those with places for attributes in `attributes`; here are the others: real ssh, commands of a site, imagined nodes.

use bed::sshd::{Cluster, NEEDS};
use bed::{Bed, binaries, real};
use std::net::TcpListener;

fn example(name: &str) -> String {
    std::fs::read_to_string(binaries::workspace().join(format!("examples/cluster-{name}.toml"))).unwrap()
}

/// Every example but those of the real programs has its test below.
#[test]
fn no_example_is_forgotten() {
    let folder = std::fs::read_dir(binaries::workspace().join("examples")).unwrap();
    let mut names: Vec<String> = folder
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            Some(name.strip_prefix("cluster-")?.strip_suffix(".toml")?.to_owned())
        })
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "clush",
            "command",
            "curl",
            "ipmipower",
            "ipmitool",
            "libvirt",
            "pdsh",
            "pdu",
            "powerman",
            "redfish",
            "simulator",
            "ssh",
            "wol"
        ],
        "an example without a test that runs it"
    );
}

#[test]
fn nodes_without_power_drivers_are_halted_by_ssh() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = Cluster::new(&bed, &["n1", "n2"]);
    cluster.power_on("n1").power_on("n2");
    let example = example("ssh");
    for part in ["port = 22\n", "interval = \"2s\"", "settle = \"30s\"", "grace = \"30s\""] {
        assert!(example.contains(part), "{part}");
    }
    // Only where the nodes are is changed, and how long is waited.
    let example = example
        .replace("port = 22\n", &format!("port = {}\n", cluster.port()))
        .replace("interval = \"2s\"", "interval = \"100ms\"")
        .replace("settle = \"30s\"", "settle = \"200ms\"")
        .replace("grace = \"30s\"", "grace = \"200ms\"");
    bed.config("cluster.toml", cluster.head() + &example);
    bed.write("cshutSeq", "first: n2\nlast: n1\nfirst > last\n");
    let ended = bed.program("cshutdown").arg("ALL").any_stderr().run();
    assert!(!cluster.is_up("n1") && !cluster.is_up("n2"), "{}", ended.stderr);
    let halts: Vec<String> =
        cluster.asked().into_iter().filter(|line| line.contains("shutdown -h")).collect();
    assert_eq!(halts, ["n2 shutdown -h now", "n1 shutdown -h now"]);
}

/// A site's own commands, as scripts: a node is a file that says `on`.
const SITE: [(&str, &str); 3] = [
    (
        "mypower",
        "cd @nodes@ || exit 1\nwhat=$1\nshift\necho \"$what $*\" >>calls\nfor node; do\n\
         case $what in on|off) echo \"$what\" >\"$node\" ;; reset) ;;\n\
         status) echo \"$node: $(cat \"$node\" 2>/dev/null || echo off)\" ;; esac\ndone",
    ),
    ("myrsh", "case $2 in 'shutdown -h now') echo off >@nodes@/\"$1\" ;; esac"),
    ("myprobe", "grep -qx on @nodes@/\"$1\""),
];

#[test]
fn nodes_of_a_site_with_commands_of_its_own_go_up_and_down() {
    let bed = Bed::new();
    bed.tools(&["cat", "grep"]);
    for (name, body) in SITE {
        bed.script(
            format!("fakes/{name}"),
            &body.replace("@nodes@", &bed.path("nodes").display().to_string()),
        );
    }
    std::fs::create_dir(bed.path("nodes")).unwrap();
    // The storage node is up when it serves NFS, as the example wants it: so its port must answer.
    let nfs = TcpListener::bind("127.0.0.1:0").unwrap();
    let nodes: Vec<_> = ["s1", "n1", "n2"]
        .iter()
        .map(|name| serde_json::json!({"name": name, "address": name, "bmc": format!("b-{name}"), "partition": "prod"}))
        .collect();
    let mut inventory = serde_json::json!({"format": "orderly-inventory/1", "nodes": nodes});
    inventory["nodes"][0]["groups"] = serde_json::json!(["storage"]);
    inventory["nodes"][0]["address"] = serde_json::json!("127.0.0.1");
    bed.config("inventory.json", inventory.to_string());
    bed.write("cstartSeq", "storage: s1\nclients: n[1-2]\nstorage > clients\n");
    let example = example("command");
    let (head, rest) = example.split_once("\n[power]").unwrap();
    assert!(head.contains("/etc/cstartSeq") && rest.contains("port = 2049"), "{example}");
    let rest = rest
        .replace("port = 2049", &format!("port = {}", nfs.local_addr().unwrap().port()))
        .replace("interval = \"2s\"", "interval = \"50ms\"");
    let at = |name: &str| bed.path(name).display().to_string();
    let head = format!("{head}\n[shutdown]\nsettle = \"100ms\"\n")
        .replace("/etc/orderly/inventory.json", &at("etc/inventory.json"))
        .replace("/var/adm/SPlogs/cs", &at("log"))
        .replace("/etc/cstartSeq", &at("cstartSeq"))
        .replace("/etc/cshutSeq", &at("cshutSeq"))
        .replace("/etc/subsysSeq", &at("subsysSeq"));
    bed.config("cluster.toml", format!("{head}\n[power]{rest}"));

    // The port answers whatever the power of its node is, so the storage node counts as up already.
    bed.program("cstartup").args(["-X", "n[1-2]"]).any_stderr().run();
    let calls = bed.read("nodes/calls");
    assert!(calls.lines().any(|line| line == "on n1 n2"), "one process for all that are ready: {calls}");
    assert_eq!((bed.read("nodes/n1"), bed.read("nodes/n2")), ("on\n".into(), "on\n".into()));
    bed.program("cshutdown").args(["-F", "-X", "n[1-2]"]).any_stderr().run();
    assert_eq!((bed.read("nodes/n1"), bed.read("nodes/n2")), ("off\n".into(), "off\n".into()));
}

#[test]
fn imagined_nodes_go_up_and_down_and_are_said_to_be_imagined() {
    let bed = Bed::new();
    bed.config(
        "inventory.json",
        r#"{"format": "orderly-inventory/1", "nodes": [{"name": "n1"}, {"name": "n2", "boot_server": "n1"}]}"#,
    );
    let head = format!(
        "inventory = {:?}\nlog_dir = {:?}\nsequence = {{ start = {:?}, shut = {:?} }}\n",
        bed.path("etc/inventory.json"),
        bed.path("log"),
        bed.path("cstartSeq"),
        bed.path("cshutSeq")
    );
    let example = example("simulator");
    assert!(example.contains("#speed = 10"));
    bed.config("cluster.toml", head + &example.replace("#speed = 10", "speed = 100"));
    let up = bed.program("cstartup").arg("ALL").any_stderr().run().stderr;
    assert!(up.contains("up: n[1-2]") && up.matches("simulated").count() >= 2, "{up}");
    let down = bed.program("cshutdown").arg("ALL").any_stderr().run().stderr;
    assert!(down.contains("down: n[1-2]") && down.matches("simulated").count() >= 2, "{down}");
}
