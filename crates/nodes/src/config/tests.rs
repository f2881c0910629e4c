//! Tests of reading `cluster.toml`.

use super::*;
use crate::power::PowerDriver;
use crate::probe::{ProbeBy, ProbeDriver};
use crate::shell::ParallelTool;

/// The whole of the file as the specification shows it.
const LEAST: &str = "[power]\ndriver = \"none\"\n[probe]\ndriver = \"none\"\n";

const WHOLE: &str = r#"
partition = "prod"
inventory = "/etc/orderly/inventory.json"
log_dir = "/var/adm/SPlogs/cs"
control_address = "129.40.64.70"
control_node = "mgmt1"
sequence = { start = "/etc/cstartSeq", shut = "/etc/cshutSeq", subsystems = "/etc/subsysSeq", literal = false }

[power]
driver = "command"
on     = ["mypower", "on", "{node}"]
off    = ["mypower", "off", "{node}"]
reset  = ["mypower", "reset", "{node}"]
status = ["mypower", "status", "{nodes}"]
timeout = "60s"
[shell]
driver = "command"
run = ["myrsh", "{address}", "{command}"]
[probe]
driver = "command"
up = ["myprobe", "{node}"]
interval = "2s"
timeout = "10s"
stable = 1
[shutdown]
notify = "wall"
notify_timeout = "30s"
halt = "shutdown -h now"
restart = "shutdown -r now"
maintenance = "systemctl isolate rescue.target"
end_users = "sessions"
grace = "30s"
settle = "30s"
[subsystem]
host = "random"
operands = "numbers"
timeout = "10m"
[limits]
fanout = 64
booting = 0
boot = "10m"
timeout = "900s"
retries = 2
stagger = "0ms"
per = "bmc"
max = 2
[override.group.storage]
probe = { driver = "tcp", port = 2049 }
"#;

fn parse(text: &str) -> Cluster {
    Cluster::parse("cluster.toml", text).unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn refused(text: &str) -> String {
    Cluster::parse("cluster.toml", text).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn the_file_of_the_specification_states_the_defaults() {
    let whole = parse(WHOLE);
    let least = parse(LEAST);
    assert_eq!(whole.sequence, least.sequence);
    assert_eq!(whole.subsystem, least.subsystem);
    assert_eq!(whole.log_dir, least.log_dir);
    assert_eq!(whole.profile.shutdown, least.profile.shutdown);
    assert_eq!(whole.profile.limits, least.profile.limits);
    assert_eq!(whole.profile.power.timeout, least.profile.power.timeout);
    let probe = ProbeSettings { driver: ProbeDriver::NONE, ..whole.profile.probe.clone() };
    assert_eq!(probe, least.profile.probe);
    let limits = Limits { per: None, max: usize::MAX, ..whole.limits.clone() };
    assert_eq!(limits, least.limits);
    let storage = &whole.group_overrides["storage"];
    assert_eq!(
        storage.probe.driver,
        Some(ProbeDriver { word: "tcp", by: ProbeBy::Connection { port: 2049, banner: String::new() } })
    );
    assert!(storage.power.driver.is_none() && storage.power.timeout.is_none());
    assert!(!whole.is_simulated() && whole.profile.reads_power());
    assert_eq!(whole.control_address(&[]).unwrap(), "129.40.64.70");
}

#[test]
fn each_limit_of_a_node_is_a_key_of_the_table_as_well() {
    for limit in ["boot = \"7s\"", "stuck = \"reset\"", "timeout = \"7s\"", "retries = 7"] {
        let set = parse(&format!("{LEAST}[limits]\n{limit}\n")).profile.limits;
        let mut by_override = parse(&format!("{LEAST}[override.node.n1.limits]\n{limit}\n"));
        let mut profile = by_override.profile.clone();
        profile.apply(&by_override.node_overrides.remove("n1").unwrap());
        assert_eq!(set, profile.limits, "{limit}");
        assert_ne!(set, by_override.profile.limits, "{limit}");
    }
}

#[test]
fn all_errors_come_at_once_with_their_place() {
    let said = refused(
        "partion = \"p\"\ninventory = \"here.json\"\n[power]\ndriver = \"comand\"\non = \"rm -rf /\"\n\
         [shell]\ndriver = \"command\"\nrun = [\"sh\", \"-c\", \"{command}\"]\n\
         [probe]\ndriver = \"tcp\"\nport = 0\nstable = 0\ntimeout = 0\n\
         [limits]\nfanout = 0\nmax = 3\nboots = 1\n[shutdown]\nhalt = \" \"\nend_users = \"all\"\n\
         [override.node.n1]\nprobe = { driver = \"command\" }\nsequence = 1\n[override.rack.r1]\n",
    );
    for part in [
        "cluster.toml:1:1: unknown key partion",
        "did you mean \"partition\"?",
        "inventory: must be an absolute path",
        "power.driver: \"comand\" is not one of simulator, powerman, ipmitool, ipmipower, redfish, command, none",
        "did you mean \"command\"?",
        "shell.run: does not say which node",
        "probe.port: from 1 to 65535",
        "probe.stable: from 1 to 100",
        "probe.timeout: must be longer than 0",
        "limits.fanout: at least 1",
        "limits.per and limits.max go together",
        "unknown key limits.boots",
        "shutdown.halt: is empty",
        "shutdown.end_users: \"all\" is not one of sessions, nonroot, none",
        "override.node.n1.probe.up is missing",
        "unknown key override.node.n1.sequence",
        "unknown key override.rack",
    ] {
        assert!(said.contains(part), "{part}\nin\n{said}");
    }
    assert!(!said.contains("unknown key power.on"), "{said}");
}

#[test]
fn a_password_among_the_options_is_rejected() {
    for (driver, option) in [("ipmitool", "-Ps3cret"), ("ipmipower", "--password=s3cret")] {
        let power = format!("[power]\ndriver = \"{driver}\"\noptions = [\"-v\", \"{option}\"]\n");
        let said = refused(&(power + "[probe]\ndriver = \"power\"\n"));
        assert!(said.contains("would show a secret") && said.contains("password_file"), "{said}");
        let first = said.lines().next().unwrap_or_default();
        assert!(!first.contains("s3cret"), "{first}");
    }
}

/// The line with the mistake was shown, and the password on it.
#[test]
fn a_password_in_the_file_is_refused_and_not_shown() {
    let head = "[probe]\ndriver=\"power\"\n[power]\ndriver=\"ipmitool\"\n";
    for (lines, part) in [
        ("password = \"labpw\"", "power.password: is not written here"),
        ("Password = \"labpw\"", "unknown key power.Password"),
        ("password = labpw", "cluster.toml:5:12: string values must be quoted"),
        ("options = [\"-P\", \"labpw\"]", "cluster.toml:5:11: power.options: -P would show a secret"),
        ("options = [\"-Plabpw\"]", "-P would show a secret"),
    ] {
        let said = refused(&format!("{head}{lines}\n"));
        assert!(said.contains(part) && !said.contains("labpw"), "{part}\nin\n{said}");
    }
}

#[test]
fn how_power_is_switched_and_nodes_are_probed_is_never_guessed() {
    let said = refused("");
    assert!(said.contains("power is missing") && said.contains("probe is missing"), "{said}");
    let said = refused("[power]\n[probe]\n");
    assert!(said.contains("power.driver is missing") && said.contains("probe.driver is missing"), "{said}");
    let said = refused("[power]\ndriver=\"command\"\non=[\"x\"]\n[probe]\ndriver=\"power\"\n");
    assert!(said.contains("power.off is missing"), "{said}");
}

fn shell(lines: &str) -> String {
    format!("[power]\ndriver=\"none\"\n[shell]\n{lines}\n[probe]\ndriver=\"none\"\n")
}

#[test]
fn clush_and_pdsh_are_told_how_to_reach_nodes_as_ssh_is() {
    let cluster = parse(&shell("driver=\"pdsh\"\nuser=\"root\"\nport=2222\noptions=[\"-F\",\"/x\"]"));
    let pdsh = cluster.profile.shell.parallel().unwrap();
    assert_eq!((pdsh.tool, pdsh.worker.as_deref()), (ParallelTool::Pdsh, Some("ssh")));
    assert_eq!(
        (pdsh.ssh.user.as_deref(), pdsh.ssh.port, pdsh.ssh.options.len()),
        (Some("root"), Some(2222), 2)
    );
    let text = shell(
        "driver=\"clush\"\ntopology=\"/etc/t.conf\"\nnames=true\nrun=[\"rsh\",\"{node}\",\"{command}\"]",
    ) + "[override.node.n1]\nshell={ user=\"admin\" }\n[override.node.n2]\nshell={ driver=\"pdsh\" }\n";
    let cluster = parse(&text);
    let of = |node: &str| {
        cluster.node_overrides[node].shell.driver.as_ref().and_then(|driver| driver.parallel()).unwrap()
    };
    let (one, two) = (of("n1"), of("n2"));
    assert!(
        one.names && one.run.is_some() && one.topology.is_some() && one.ssh.user.as_deref() == Some("admin")
    );
    assert!(two.tool == ParallelTool::Pdsh && !two.names && two.run.is_none());
}

#[test]
fn what_would_run_on_this_machine_or_fall_apart_is_refused() {
    for (lines, clause) in [
        ("driver=\"clush\"\nworker=\"exec\"", "shell.worker: \"exec\" runs commands on this machine"),
        ("driver=\"pdsh\"\nrun=[\"rsh\",\"{command}\"]", "shell.run: does not say which node"),
        (
            "driver=\"pdsh\"\nrun=[\"rsh\",\"{number}\",\"{command}\"]",
            "shell.run: {number} cannot stand here",
        ),
        ("driver=\"clush\"\nrun=[\"rsh\",\"{nodes}\",\"{command}\"]", "one node at a time"),
        ("driver=\"clush\"\nworker=\"-x\"", "shell.worker: is no name of a worker"),
        (
            "driver=\"pdsh\"\noptions=[\"-o ProxyJump=a\"]",
            "shell.options: pdsh takes the options of ssh apart",
        ),
        ("driver=\"pdsh\"\ntopology=\"/etc/t.conf\"", "unknown key shell.topology"),
        ("driver=\"ssh\"\nnames=true", "unknown key shell.names"),
    ] {
        let said = refused(&shell(lines));
        assert!(said.contains(clause), "{clause}\nin\n{said}");
    }
}

#[test]
fn half_a_simulation_is_refused() {
    for text in [
        "[power]\ndriver=\"simulator\"\n[shell]\ndriver=\"ssh\"\n[probe]\ndriver=\"simulator\"\n",
        "[power]\ndriver=\"simulator\"\n[probe]\ndriver=\"tcp\"\nport=22\n",
        "[power]\ndriver=\"simulator\"\n[probe]\ndriver=\"simulator\"\n\
         [override.node.n1.power]\ndriver=\"command\"\non=[\"a\"]\noff=[\"a\"]\n",
    ] {
        assert!(refused(text).contains("simulated and real drivers"), "{text}");
    }
    let whole = "[power]\ndriver=\"simulator\"\n[shell]\ndriver=\"simulator\"\n[probe]\ndriver=\"power\"\n";
    assert!(parse(whole).is_simulated());
}

#[test]
fn an_override_changes_only_what_it_says() {
    let cluster = parse(&format!(
        "{WHOLE}[override.node.n1]\npower = {{ timeout = \"5m\" }}\nlimits = {{ timeout = \"1h\" }}\n\
         [override.node.n2.power]\non = [\"other\", \"{{node}}\"]\n\
         [override.node.n3.shell]\ndriver = \"ssh\"\nport = 2222\n"
    ));
    let with = |node: &str| {
        let mut profile = cluster.profile.clone();
        profile.apply(&cluster.node_overrides[node]);
        profile
    };
    let one = with("n1");
    assert_eq!(one.power_timeout(), Duration::from_secs(300));
    assert_eq!(format!("{:?}", one.power.driver), format!("{:?}", cluster.profile.power.driver));
    assert_eq!(one.limits.boot, cluster.profile.limits.boot);
    // What an override of the commands leaves as it is: a test of `power::command`.
    let base_on = |driver: &dyn PowerDriver| format!("{:?}", driver.templates()[0]);
    assert_ne!(base_on(&*with("n2").power.driver), base_on(&*cluster.profile.power.driver));
    assert_eq!(with("n3").shell.ssh().unwrap().port, Some(2222));
}

#[test]
fn flags_win_over_the_file_and_over_overrides() {
    let mut cluster = parse(&format!("{WHOLE}[override.node.n1]\nlimits = {{ timeout = \"1h\" }}\n"));
    cluster.apply(&Flags {
        fanout: Some(7),
        booting: Some(3),
        timeout: Some(Duration::from_secs(5)),
        ..Flags::default()
    });
    assert_eq!((cluster.limits.fanout, cluster.limits.booting), (7, Some(3)));
    assert_eq!(cluster.profile.power_timeout(), Duration::from_secs(5));
    assert_eq!(cluster.node_overrides["n1"].limits.timeout, None);
    assert_eq!(cluster.partition.as_deref(), Some("prod"));
}

#[test]
fn without_the_file_nothing_is_done_and_others_must_not_write_it() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cluster.toml");
    let error = Cluster::read(Some(&path)).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Status::Rejected));
    assert!(format!("{error:#}").contains("without it nothing is done"), "{error:#}");
    std::fs::write(&path, WHOLE).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    assert!(format!("{:#}", Cluster::read(Some(&path)).unwrap_err()).contains("chmod go-w"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(Cluster::read(Some(&path)).is_ok());
}

#[test]
fn the_shipped_examples_are_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    for (name, simulated) in [
        ("simulator", true),
        ("command", false),
        ("ssh", false),
        ("clush", false),
        ("pdsh", false),
        ("powerman", false),
        ("ipmitool", false),
        ("ipmipower", false),
    ] {
        let path = folder.join(format!("cluster-{name}.toml"));
        let text = files::read(&path).unwrap();
        assert_eq!(parse(&text).is_simulated(), simulated, "{name}");
    }
}
