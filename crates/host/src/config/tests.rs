//! What the configuration reader must say, and what it must not let through.

use super::*;
use crate::action::Way;
use crate::config::Keep;
use crate::platform::Argv;

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
    // Which host is listed first means nothing: records of both are ordered by the hosts' names (`permit`).
    let (before, hosts) = WHOLE.split_once("[[host]]").unwrap();
    let (first, rest) = hosts.split_once("[[host]]").unwrap();
    let (second, rest) = rest.split_once("\n[").unwrap();
    let swapped = format!("{before}[[host]]{second}\n[[host]]{first}\n[{rest}");
    let swapped = Config::read(Path::new("ha.toml"), &swapped, "ec1").unwrap();
    assert_eq!((swapped.own.name.as_str(), &swapped.fingerprint), ("ec1", &one.fingerprint));
}

/// The wait for an NFS client that is gone ended after a minute, and its lease after one and a half.
#[test]
fn a_share_has_more_time_than_the_lease_of_a_client() {
    let config = Config::read(Path::new("ha.toml"), WHOLE, "ec1").unwrap();
    assert!(config.shares[0].timeout > Duration::from_secs(92));
}

/// Zero was taken for "at once", and every command was over before it began.
#[test]
fn a_limit_of_nothing_is_no_limit() {
    assert!(
        said(&WHOLE.replace("timeout = \"10m\"", "timeout = 0")).contains("timeout: must be longer than 0")
    );
}

#[test]
fn a_reservation_key_is_written_as_it_is_printed_and_belongs_to_one_host() {
    let with = |one: &str, two: &str| {
        let first =
            WHOLE.replace("name = \"ec1\"\n", &format!("name = \"ec1\"\nreservation_key = \"{one}\"\n"));
        first.replace("name = \"ec2\"\n", &format!("name = \"ec2\"\nreservation_key = \"{two}\"\n"))
    };
    let config = Config::read(Path::new("ha.toml"), &with("0xabc001", "0xABC002"), "ec1").unwrap();
    assert_eq!((config.own.reservation_key, config.peer.reservation_key), (Some(0xabc001), Some(0xabc002)));
    for wrong in ["abc001", "0x0", "0x", "0x11111111111111111"] {
        assert!(said(&with(wrong, "0xabc002")).contains("must be a key as sg_persist prints it"), "{wrong}");
    }
    assert!(said(&with("0xabc001", "0xabc001")).contains("both hosts have the same one"));
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

/// A share for nobody was "already done" and never exported, an fsid of nothing was exported as `fsid=`, and
/// of an address that stood there twice the second could never be removed.
#[test]
fn what_is_there_and_says_nothing_is_said_all_at_once() {
    let text = WHOLE
        .replace("name = \"ec1\"", "name = \" \"")
        .replace("name = \"proxy\"", "name = \"\"")
        .replace("unit = \"opscenter.service\"", "unit = \"ops center\"")
        .replace("clients = [\"*\"]", "clients = []")
        .replace("fsid = \"7\"", "fsid = \"\"")
        .replace(
            "device = \"eth0\"\n",
            "device = \"\"\n[[address]]\ncidr = \"192.0.2.11/24\"\ndevice = \"eth0\"\n",
        )
        .replace("[backup]", "[[address]]\ncidr = \"192.0.2.11/32\"\ndevice = \"lo\"\n[backup]");
    let said = said(&text);
    for part in [
        "ha.toml:4:8: host[1].name: is empty; write what uname -n prints there",
        "service[1].name: is empty; write a name for people",
        "service[2].unit: \"ops center\" has blanks in it; write the name of a systemd unit",
        "share[1].clients: names nobody; name the clients, or leave it out for all",
        "share[1].fsid: is empty; write a number or a UUID, or leave it out",
        "address[1].device: is empty; write the network device that has the address",
        "address[3].cidr: a second table for this address; remove one",
    ] {
        assert!(said.contains(part), "{part}\nin\n{said}");
    }
    assert_eq!(said.matches("ha.toml:").count(), 7, "{said}");
}

#[test]
fn snapshots_under_an_exported_path_are_refused() {
    assert!(
        said(&WHOLE.replace("/srv/xvm/habackup", "/srv/xvm/osp/share/allstart/b"))
            .contains("lies under the exported")
    );
}

#[test]
fn a_group_has_a_name_lvm_takes_and_each_mount_says_which_volume() {
    let lvm =
        |group: &str| WHOLE.replace("kind = \"filesystem\"", &format!("kind = \"lvm\"\ngroup = \"{group}\""));
    let lvm =
        |group: &str| lvm(group).replace("device = \"UUID=0b9a6a1e-5d4a-4f53-9d3c-0f5f6f7a8b9c\"\n", "");
    assert!(said(&lvm("shared")).contains("the mount at /srv/xvm does not say which volume"));
    let whole = lvm("shared").replace("at = \"/srv/xvm\"\n", "volume = \"data\"\nat = \"/srv/xvm\"\n");
    let config = Config::read(Path::new("ha.toml"), &whole, "ec1").unwrap();
    assert_eq!((config.asset.kind.word(), config.open_asset().title().as_str()), ("lvm", "shared"));
    assert!(said(&lvm("-a b")).contains("is not the name of a volume group"));
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
        ("ha-xfs.toml", "ec1"),
        ("ha-btrfs.toml", "ec2"),
        ("ha-lvm.toml", "ec1"),
        ("ha-bind.toml", "one"),
        ("ha-command.toml", "ec2"),
        ("opscenter-solaris.toml", "ec1"),
        ("opscenter-rhel.toml", "ec2"),
        ("ha-zfs.toml", "ec1"),
    ] {
        let path = folder.join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        Config::read(&path, &text, own).unwrap_or_else(|wrong| panic!("{wrong}"));
    }
}

/// The paths are those of "Shutting Down the Primary Enterprise Controller".
#[test]
fn both_examples_hold_the_procedure_of_ops_center() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    for (name, commands) in
        [("opscenter-solaris.toml", "/opt/SUNWxvmoc/bin"), ("opscenter-rhel.toml", "/opt/sun/xvmoc/bin")]
    {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let config = Config::read(Path::new(name), &text, "ec1").unwrap();
        let stops: Vec<Argv> = config.services.iter().map(|table| table.command(Way::LetGo)).collect();
        assert_eq!(
            stops,
            ["proxyadm", "satadm"].map(|adm| [&format!("{commands}/{adm}"), "stop", "-w"].map(str::to_owned))
        );
        let loopbacks: Vec<(&str, &str)> = config
            .loopbacks
            .iter()
            .map(|loopback| (loopback.source.to_str().unwrap(), loopback.at.to_str().unwrap()))
            .collect();
        assert_eq!(
            loopbacks,
            [
                ("/var/opt/sun/xvm/uce/etc.opt", "/etc/opt/SUNWuce"),
                ("/var/opt/sun/xvm/uce/var.opt", "/var/opt/SUNWuce"),
                ("/var/opt/sun/xvm/uce/opt", "/opt/SUNWuce"),
            ]
        );
        assert_eq!(config.shares[0].path, Path::new("/var/opt/sun/xvm/osp/share/allstart"));
        assert_eq!(config.shares[0].description.as_deref(), Some("Allstart Share"));
        assert_eq!(config.asset.mounts[0].at, Path::new("/var/opt/sun/xvm"));
    }
}

#[test]
fn on_solaris_what_only_linux_has_is_rejected() {
    let said = said(&WHOLE.replace("platform = \"linux\"", "platform = \"solaris\""));
    for part in [
        "asset.kind: filesystem is for linux",
        "service[2].unit: systemd is not on solaris",
        "share[1].clients: is for linux",
        "share[1].fsid: is for linux",
    ] {
        assert!(said.contains(part), "{part}\nin\n{said}");
    }
    let zfs = "platform = \"solaris\"\n[[host]]\nname = \"ec1\"\n[[host]]\nname = \"ec2\"\n[asset]\n\
               kind = \"zfs\"\npool = \"OpsCenter\"\n[[asset.mount]]\nat = \"/var/opt/sun/xvm\"\n";
    let said = self::said(zfs);
    assert!(said.contains("needs volume (a dataset with mountpoint=legacy)"), "{said}");
}
