//! What the configuration reader must say, and what it must not let through.

use super::*;

const WHOLE: &str = r#"
platform = "linux"
[[host]]
name = "ec1"
address = "192.0.2.1"
fence = ["ipmitool", "power", "off"]
fence_status = ["ipmitool", "power", "status"]
[[host]]
name = "ec2"
address = "192.0.2.2"
[asset]
kind = "filesystem"
device = "UUID=0b9a6a1e-5d4a-4f53-9d3c-0f5f6f7a8b9c"
before_take = [["iscsiadm", "-m", "node", "--login"]]
[[asset.mount]]
at = "/srv/xvm"
options = "noatime"
[[service]]
name = "proxy"
status = ["proxyadm", "status"]
stop = ["proxyadm", "stop", "-w"]
start = ["proxyadm", "start", "-w"]
timeout = "10m"
[[service]]
name = "ec"
unit = "opscenter.service"
[[loopback]]
source = "/srv/xvm/uce/etc.opt"
at = "/etc/opt/SUNWuce"
[[share]]
path = "/srv/xvm/osp/share/allstart"
clients = ["*"]
options = "ro"
fsid = "7"
[[address]]
cidr = "192.0.2.10/24"
device = "eth0"
[backup]
directory = "/srv/xvm/habackup"
include = ["/etc/opt/sun"]
hourly = 48
daily = 14
"#;

fn said(text: &str) -> String {
    Config::read(Path::new("ha.toml"), text, "ec1").unwrap_err().to_string()
}

#[test]
fn a_whole_configuration_is_read_and_each_host_knows_its_peer() {
    let one = Config::read(Path::new("ha.toml"), WHOLE, "ec1").unwrap();
    let two = Config::read(Path::new("ha.toml"), WHOLE, "ec2").unwrap();
    assert_eq!((one.own.name.as_str(), one.peer.name.as_str()), ("ec1", "ec2"));
    assert_eq!((two.own.name.as_str(), two.peer.name.as_str()), ("ec2", "ec1"));
    assert_eq!(one.services.len(), 2);
    assert_eq!(one.services[1].control, Control::Unit("opscenter.service".into()));
    assert_eq!(one.backup.as_ref().unwrap().keep, Keep::Spread { hourly: 48, daily: 14, weekly: 0 });
    assert_eq!(one.addresses[0].ip(), "192.0.2.10");
    // It means the same on both hosts, or the two could not compare it.
    assert_eq!(two.fingerprint, one.fingerprint);
    let other = Config::read(Path::new("ha.toml"), &WHOLE.replace("noatime", "relatime"), "ec1").unwrap();
    assert_ne!(other.fingerprint, one.fingerprint);
}

#[test]
fn a_host_that_is_not_listed_is_told_who_is() {
    let said = Config::read(Path::new("ha.toml"), WHOLE, "ec3").unwrap_err().to_string();
    assert!(said.contains("this host is \"ec3\"") && said.contains("ec1 and ec2"), "{said}");
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let text = WHOLE
        .replace("name = \"ec2\"", "name = \"ec1\"")
        .replace("at = \"/etc/opt/SUNWuce\"", "att = \"/etc/opt/SUNWuce\"")
        .replace("/srv/xvm/osp/share/allstart", "/home/share")
        .replace("192.0.2.10/24", "192.0.2.10/33")
        .replace("unit = \"opscenter.service\"", "");
    let said = said(&text);
    for part in [
        "both hosts are named \"ec1\"",
        "loopback[1].at is missing",
        "unknown key loopback[1].att",
        "/home/share is not on the asset",
        "is not an address with its prefix length",
        "needs unit, or status, stop and start",
    ] {
        assert!(said.contains(part), "{part}\nin\n{said}");
    }
}

#[test]
fn snapshots_under_an_exported_path_are_refused() {
    assert!(
        said(&WHOLE.replace("/srv/xvm/habackup", "/srv/xvm/osp/share/allstart/b"))
            .contains("lies under the exported")
    );
}

#[test]
fn kinds_of_a_later_version_are_named_as_such() {
    let said = said(&WHOLE.replace("kind = \"filesystem\"", "kind = \"lvm\"\ngroup = \"OpsCenter\""));
    assert!(said.contains("asset.kind: lvm is not supported by this version"), "{said}");
    assert!(!said.contains("unknown key"), "{said}");
}

#[test]
fn what_is_wrong_with_a_pool_is_said_all_at_once() {
    let zfs = |more: &str| WHOLE.replace("kind = \"filesystem\"", &format!("kind = \"zfs\"\n{more}"));
    let device = WHOLE.lines().find(|line| line.starts_with("device = ")).unwrap();
    let said = |more: &str| said(&zfs(more).replacen(device, "", 1));
    assert!(said("").contains("asset.pool is missing"));
    let wrong = said("pool = \"-x\"\nguid = \"0x7\"\ndevices = [\"disks\"]");
    for part in [
        "\"-x\" is not the name of a pool",
        "asset.guid: must be the number",
        "\"disks\" must be an absolute",
    ] {
        assert!(wrong.contains(part), "{wrong}");
    }
}

#[test]
fn what_one_host_must_make_do_with_is_no_other_configuration() {
    let text = |more: &str| {
        format!(
            "[[host]]\nname = \"a\"\n[[host]]\nname = \"b\"\n[asset]\nkind = \"zfs\"\npool = \"tank\"\n{more}"
        )
    };
    let read = |more: &str| Config::read(Path::new("ha.toml"), &text(more), "a").unwrap().fingerprint;
    assert_eq!(read(""), read("degraded = true"));
    assert_ne!(read(""), read("guid = \"7\""));
}

#[test]
fn a_missing_asset_or_host_is_said() {
    let said = said("platform = \"linux\"\n");
    assert!(said.contains("asset is missing") && said.contains("exactly two [[host]]"), "{said}");
}

#[test]
fn the_shipped_examples_are_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    for (name, own) in [
        ("ha-filesystem.toml", "ec1"),
        ("ha-bind.toml", "one"),
        ("ha-command.toml", "ec2"),
        ("ha-zfs.toml", "ec1"),
    ] {
        let path = folder.join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        Config::read(&path, &text, own).unwrap_or_else(|wrong| panic!("{wrong}"));
    }
}
