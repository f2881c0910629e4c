//! The shipped `cluster-*.toml` of the power programs, each whole: nodes are started and stopped by it,
//! through the real program, real logins and real banners. Changed is only where things are, and how
//! long is waited.

use bed::bmc::{self, Bmcs, PASSWORD};
use bed::libvirt::{self, Libvirt};
use bed::powermand::{self, Powermand};
use bed::redfish::{self, Redfish};
use bed::sshd::{self, Cluster};
use bed::{Bed, Ended, real, wait_until};

pub(crate) const NAMES: [&str; 2] = ["n1", "n2"];

/// Returns an example with these words put in place of others, each of which must be there.
pub(crate) fn example(driver: &str, changes: &[(&str, &str)]) -> String {
    let path = bed::binaries::workspace().join(format!("examples/cluster-{driver}.toml"));
    let mut text = std::fs::read_to_string(path).unwrap();
    for (old, new) in changes {
        assert!(text.contains(old), "{old}\nis not in\n{text}");
        text = text.replace(old, new);
    }
    text
}

/// Writes the configuration, the inventory with what else is said of each node, and the orders.
pub(crate) fn configure(
    bed: &Bed,
    cluster: &Cluster<'_>,
    text: &str,
    more: impl Fn(usize) -> serde_json::Value,
) {
    let head = cluster.head();
    bed.config("cluster.toml", head + text);
    let mut inventory: serde_json::Value = serde_json::from_str(&cluster.inventory()).unwrap();
    for (at, node) in inventory["nodes"].as_array_mut().unwrap().iter_mut().enumerate() {
        node.as_object_mut().unwrap().extend(more(at).as_object().unwrap().clone());
    }
    bed.write("etc/inventory.json", inventory.to_string());
    bed.write("cstartSeq", "servers: n1\nclients: n2\nservers > clients\n");
    bed.write("cshutSeq", "clients: n2\nservers: n1\nclients > servers\n");
}

fn run(bed: &Bed, program: &str, arguments: &[&str]) -> Ended {
    bed.program(program).args(arguments).any_stdout().any_stderr().run()
}

/// Starts the nodes, which boot as soon as they have power, and stops them again.
pub(crate) fn there_and_back(bed: &Bed, cluster: &Cluster<'_>, is_on: impl Fn(&str) -> bool) {
    let mut start = bed.program("cstartup").arg("ALL").any_stdout().any_stderr().spawn();
    for name in NAMES {
        wait_until("a node has power", || {
            assert!(start.is_running(), "{}", start.stderr_so_far());
            is_on(name)
        });
        cluster.power_on(name);
    }
    let said = start.end();
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert!(said.stderr.contains("up: n[1-2]"), "{}", said.stderr);
    let said = run(bed, "cshutdown", &["-F", "ALL"]).stderr;
    assert!(said.contains("down: n[1-2]"), "{said}");
    for name in NAMES {
        assert!(!is_on(name) && !cluster.is_up(name), "{name}: {said}");
        assert!(cluster.asked().contains(&format!("{name} shutdown -h now")), "{said}");
    }
}

/// How the nodes are reached, and waits that are shorter than a site's.
pub(crate) fn reached(cluster: &Cluster<'_>) -> String {
    format!("port = {}\nbanner = \"SSH-\"\ninterval = \"100ms\"", cluster.port())
}

pub(crate) const REACHED: &str = "port = 22\nbanner = \"SSH-\"\ninterval = \"2s\"";
pub(crate) const SHUTDOWN: &str = "\n[shutdown]\nsettle = \"100ms\"\ngrace = \"100ms\"\n";

#[test]
fn powerman() {
    if !real::require(&powermand::NEEDS) || !real::require(&sshd::NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = Cluster::new(&bed, &NAMES);
    let daemon = Powermand::new(&bed, 1);
    daemon.lend_client();
    let host = format!("host = {:?}", daemon.host());
    let changes = [("#host = \"mgmt1:10101\"", host.as_str()), (REACHED, &reached(&cluster))];
    configure(&bed, &cluster, &(example("powerman", &changes) + SHUTDOWN), |_| serde_json::json!({}));
    there_and_back(&bed, &cluster, |name| daemon.count_on(name) == 1);
}

fn ipmi(driver: &str, options: &str) {
    if !real::require(&bmc::NEEDS) || !real::require(&sshd::NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = Cluster::new(&bed, &NAMES);
    let bmcs = Bmcs::new(&bed, 2);
    bed.tools(&["ipmitool", "ipmipower"]);
    let file = bed.config("bmc-password", format!("{PASSWORD}\n"));
    let port = format!("cipher = 3\nport = {}\noptions = {options}\n", bmcs.port());
    let changes = [
        ("/etc/orderly/bmc-password", file.to_str().unwrap()),
        ("cipher = 3\n", &port),
        (REACHED, &reached(&cluster)),
    ];
    let addresses: serde_json::Value = serde_json::from_str(&bmcs.inventory(2)).unwrap();
    configure(
        &bed,
        &cluster,
        &(example(driver, &changes) + SHUTDOWN),
        |at| serde_json::json!({"bmc": addresses["nodes"][at]["bmc"]}),
    );
    there_and_back(&bed, &cluster, |name| bmcs.is_on(name[1..].parse().unwrap()));
}

#[test]
fn redfish() {
    if !real::require(&redfish::NEEDS) || !real::require(&sshd::NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = Cluster::new(&bed, &NAMES);
    let bmcs = Redfish::new(&bed, 2);
    bed.tool("curl");
    let file = bed.config("bmc-password", format!("{}\n", redfish::PASSWORD));
    let ca = bmcs.ca();
    let changes = [
        ("/etc/orderly/bmc-password", file.to_str().unwrap()),
        ("/etc/orderly/bmc-ca.pem", ca.to_str().unwrap()),
        (REACHED, &reached(&cluster)),
    ];
    configure(
        &bed,
        &cluster,
        &(example("redfish", &changes) + SHUTDOWN),
        |at| serde_json::json!({"bmc": bmcs.bmc(at + 1)}),
    );
    there_and_back(&bed, &cluster, |name| bmcs.is_on(name[1..].parse().unwrap()));
}

/// Real libvirt with real virsh; the domains are those of its test driver.
#[test]
fn libvirt() {
    if !real::require(&libvirt::NEEDS) || !real::require(&sshd::NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = Cluster::new(&bed, &NAMES);
    let domains = ["vm-a", "vm b"];
    let daemon = Libvirt::new(&bed, &domains);
    bed.tools(&["virsh", "sh"]);
    configure(
        &bed,
        &cluster,
        &(example("libvirt", &[(REACHED, &reached(&cluster))]) + SHUTDOWN),
        |at| serde_json::json!({"hypervisor": daemon.uri(), "domain": domains[at]}),
    );
    let at = |name: &str| NAMES.iter().position(|known| *known == name).unwrap();
    there_and_back(&bed, &cluster, |name| daemon.is_on(domains[at(name)]));
    // A daemon that is gone is neither on nor off.
    drop(daemon);
    let said =
        bed.program("cstartup").args(["-k", "ALL"]).any_status().any_stdout().any_stderr().run().stderr;
    assert!(said.contains("power unknown") && said.contains("failed to connect to the hypervisor"), "{said}");
}

#[test]
fn ipmitool() {
    ipmi("ipmitool", "[]");
}

#[test]
fn ipmipower() {
    // The simulated controllers know one privilege handshake of ipmipower's only.
    ipmi("ipmipower", "[\"-W\", \"opensesspriv\"]");
}
