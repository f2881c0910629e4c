//! The input formats: how each is checked, and short inputs that are read.

use crate::{Format, plan, runs};
use habackup::fate::Fate;
use habackup::manifest::ManifestReader;
use orderly_exec::duration;
use orderly_host::action::Action;
use orderly_host::asset::Superblock;
use orderly_host::config::{Config, differences};
use orderly_host::config_report::ConfigReport;
use orderly_host::ledger::Ledger;
use orderly_host::mountinfo::Mounts;
use orderly_nodes::config::Cluster;
use orderly_nodes::history::History;
use orderly_nodes::quieted::Quieted;
use orderly_nodes::up::WasUp;
use orderly_plan::inventory::Format as Written;
use orderly_plan::release::Release;
use std::path::Path;

/// Every format that people or programs write and the programs read.
pub const FORMATS: &[Format] = &[
    Format {
        name: "sequence",
        check: |input| text(input, plan::sequence),
        seeds: &[
            include_str!("../../examples/cstartSeq"),
            include_str!("../../examples/cshutSeq"),
            "a: n[1-3],x # c\nb: @io 65-80 n1!n2,n3\na, b > c \\\n > d\nc: 001\nd: n[1-9/2]x\n",
            "a: n1\nb: n1 n2\na > b > a\n",
            "c: 0[1-3]00000000000000,x 99999999999\n",
            "a: 3555555555555555555555[5]-1\n",
        ],
    },
    Format {
        name: "subsystems",
        check: |input| text(input, plan::subsystems),
        seeds: &[include_str!("../../examples/subsysSeq"), "a: /usr/bin/x /y\nb: /z\na > b\n"],
    },
    Format {
        name: "sequence-json",
        check: |input| text(input, plan::sequence_json),
        seeds: &[
            r#"{"format": "orderly-sequence/1", "groups": [{"name": "a", "members": ["n[1-3]", "1-2"]}, {"name": "b", "members": ["@io"]}], "edges": [{"before": "a", "after": "b"}], "waves": []}"#,
        ],
    },
    Format {
        name: "nodeset",
        check: |input| text(input, plan::node_set),
        seeds: &["n[01-16,20],x[1-3]y[0-1]!n[2-3]&@io^n1", "n[1-10/3] n1-n3", "a1b2c3,a1b3c4,a2b2c3"],
    },
    Format {
        name: "targets",
        check: |input| text(input, plan::targets),
        seeds: &["n1 n2 # all\n@io,n2!n1\n1-2\n", "ALL\nn1-n2 io\n"],
    },
    Format {
        name: "json",
        check: |input| text(input, |text| plan::inventory(text, Written::Json)),
        seeds: &[
            include_str!("../../examples/inventory.json"),
            r#"{"format": "orderly-inventory/1", "nodes": [{"name": "n1", "number": 1, "address": "10.0.0.1", "partition": "p", "boot_server": 0, "groups": ["io"], "rack": 7}, {"name": "n2", "boot_server": ["n1", 1], "power_with": ["io7"], "a": {"b": [null]}}]}"#,
        ],
    },
    Format {
        name: "genders",
        check: |input| text(input, |text| plan::inventory(text, Written::Genders)),
        seeds: &[
            "mgmt admin,number=1\nn[1-3],n5 compute,boot_server=mgmt,rack=7,a=%n-%% # c\nn3 login,address=%n-ib\n",
        ],
    },
    Format {
        name: "ansible",
        check: |input| text(input, |text| plan::inventory(text, Written::Ansible)),
        seeds: &[
            r#"{"_meta": {"hostvars": {"n1": {"ansible_host": "10.0.0.1", "number": 1}, "n2": {"boot_server": {"__ansible_unsafe": "n1"}}}}, "all": {"children": ["a", "b"], "vars": {"x": [1]}}, "a": {"hosts": ["n1"], "children": ["b"]}, "b": ["n2"]}"#,
        ],
    },
    Format {
        name: "warewulf",
        check: |input| text(input, |text| plan::inventory(text, Written::Warewulf)),
        seeds: &[
            r#"{"n1": {"profiles": ["default"], "network devices": {"default": {"ipaddr": "10.0.0.1"}}}, "n2": {"Profiles": "a,b", "Tags": {"boot_server": "Source: explicit\nValue: n1\n"}, "PrimaryNetDev": "ib", "NetDevs": {"ib": {"Ipaddr": "1"}}}}"#,
        ],
    },
    Format {
        name: "xcat",
        check: |input| text(input, |text| plan::inventory(text, Written::Xcat)),
        seeds: &[
            "sn1:\n    objtype=node\n    groups=service,all\n    ip=10.0.0.2\n    nicips.ib0=10.1.0.2|10.1.0.3\n    nichostnamesuffixes.ib0=-ib\n\
             \x20   otherinterfaces=-hf0:10.4.0.1\nn2.x:\n    nicips=eth1!10.2.0.3,ib0!10.1.0.3\n    servicenode=sn1-ib,sn1\n    hostnames=a b\n",
        ],
    },
    Format {
        name: "cluster.toml",
        check: |input| {
            text(input, |text| {
                let _ = Cluster::parse("cluster.toml", text).map_err(|wrong| wrong.to_string());
            });
        },
        seeds: &[
            include_str!("../../examples/cluster-command.toml"),
            include_str!("../../examples/cluster-powerman.toml"),
            include_str!("../../examples/cluster-ipmitool.toml"),
            include_str!("../../examples/cluster-clush.toml"),
            include_str!("../../examples/cluster-simulator.toml"),
        ],
    },
    Format {
        name: "ha.toml",
        check: |input| {
            text(input, |text| {
                let _ = Config::read(Path::new("ha.toml"), text, "ec1").map_err(|wrong| wrong.to_string());
            });
        },
        seeds: &[
            include_str!("../../examples/ha-zfs.toml"),
            include_str!("../../examples/ha-lvm.toml"),
            include_str!("../../examples/ha-filesystem.toml"),
            include_str!("../../examples/ha-bind.toml"),
            include_str!("../../examples/opscenter-solaris.toml"),
        ],
    },
    Format {
        name: "release-record",
        check: |input| {
            text(input, |text| {
                let _ = Release::read(text).map_err(|unfit| unfit.to_string());
            });
        },
        seeds: &[include_str!("../seeds/release.json")],
    },
    Format { name: "journal", check: journal, seeds: &[include_str!("../seeds/takeover.journal")] },
    Format {
        name: "manifest",
        check: |input| {
            let Ok(mut reader) = ManifestReader::begin(input) else { return };
            while let Ok(Some(_)) = reader.next_entry() {}
        },
        seeds: &[include_str!("../seeds/manifest.json")],
    },
    Format {
        name: "state",
        check: |input| {
            text(input, |text| {
                let _ =
                    serde_json::from_str::<Ledger>(text).map(|ledger| serde_json::to_string(&ledger).is_ok());
                let _ =
                    serde_json::from_str::<WasUp>(text).map(|record| serde_json::to_string(&record).is_ok());
                let _ = serde_json::from_str::<History>(text)
                    .map(|history| serde_json::to_string(&history).is_ok());
                let _ = serde_json::from_str::<Quieted>(text)
                    .map(|quieted| serde_json::to_string(&quieted).is_ok());
                let _ = serde_json::from_str::<Fate>(text).map(|fate| serde_json::to_string(&fate).is_ok());
                if let Ok(report) = serde_json::from_str::<ConfigReport>(text) {
                    let same = differences(&report.settings, &report.settings, &report.host);
                    assert!(same.is_empty(), "a configuration differs from itself: {same:?}");
                }
            });
        },
        seeds: &[
            include_str!("../seeds/ledger.json"),
            r#"{"format": "orderly-up/1", "time": "2026-11-29", "since": 7, "complete": true, "nodes": ["n1"]}"#,
            r#"{"format": "orderly-history/1", "seconds": {"n1": [1.5, 2]}}"#,
            r#"{"format": "orderly-quieted/1", "subsystems": [{"down": "/a", "up": "/b", "nodes": ["n1"]}]}"#,
            r#"{"format": "orderly-config/1", "status": "done", "host": "ec1", "peer": "ec2", "path": "/etc/orderly/ha.toml", "version": "0.1.0", "time": "2026-11-29T01:00:00.000Z", "digest": "7", "settings": {"asset.timeout": "120s"}}"#,
        ],
    },
    Format {
        name: "claim",
        check: |input| text(input, runs::claim),
        seeds: &[
            r#"{"format": "orderly-claim/1", "number": 7, "pid": 42, "program": "cshutdown", "command": "cshutdown n1", "user": "root", "since": "2026-11-29T01:00:00Z", "stage": "waiting", "cancelled": false, "claim": {"targets": ["n1", "n2"], "units": ["p1"], "marks": ["address 10.0.0.1"], "bound": ["n3"], "unbounded": false}}"#,
        ],
    },
    Format {
        name: "run",
        check: runs::spoken,
        seeds: &[
            "{\"format\": \"orderly-run/1\", \"request\": \"watch\", \"records\": true}\n{\"format\": \"orderly-run/1\", \"request\": \"status\", \"nodes\": \"n[1-3]\"}\n",
            "{\"format\": \"orderly-run/1\", \"request\": \"give_up\", \"nodes\": \"n1\", \"by\": \"alice\"}\n{\"format\": \"orderly-run/1\", \"request\": \"more_time\", \"nodes\": \"n1\", \"seconds\": 600.5, \"by\": \"bob\"}\n",
            "{\"format\": \"orderly-run/1\", \"record\": \"status\", \"phase\": \"starting\", \"done\": 1, \"failed\": 0, \"held\": 0, \"total\": 2, \"seconds\": 1.5, \"busy\": [{\"nodes\": \"n1\", \"doing\": \"booting\", \"seconds\": 1, \"last\": \"\"}]}\n{\"format\": \"orderly-run/1\", \"record\": \"line\", \"weight\": \"event\", \"text\": \"n1: up\"}\n{\"format\": \"orderly-run/1\", \"record\": \"end\", \"status\": \"done\", \"exit\": 0}\n",
        ],
    },
    Format {
        name: "within",
        check: |input| text(input, runs::within),
        seeds: &[
            r#"{"format": "orderly-within/1", "pid": 42, "deadline": 1795996800.5, "targets": "n[1-3],x", "halting": false}"#,
        ],
    },
    Format {
        name: "log",
        check: |input| text(input, runs::log),
        seeds: &[
            "2026-11-30 06:00:00 alice as root on mgmt1: cstartup ALL\n2026-11-30 06:00:01 n1: powering on\n\
             2026-11-30 06:00:03 n1: booting\n2026-11-30 06:00:03 n2: already up\n2026-11-30 06:01:03 n1: up\n\
             2026-11-30 06:01:04 n3: failed: power on: no\n2026-11-30 06:01:04 n4: not begun, held by n3\n",
            "2026-11-30 06:00:00 root on mgmt1: /usr/sbin/cshutdown -g ALL\n2026-11-30 06:00:01 n1: halting\n\
             2026-11-30 06:00:01 subsystem /etc/drain on n1: called\n2026-11-30 06:00:02 subsystem /etc/drain on n1: done\n\
             2026-11-30 05:00:03 n1: down\n",
        ],
    },
    Format { name: "superblock", check: superblock, seeds: &["XFSB\0\0\x10\0", "_BHRfS_M", "\x38\0S\0\x01"] },
    Format {
        name: "mountinfo",
        check: |input| {
            let _ = Mounts::parse(input).map_err(|wrong| wrong.to_string());
            text(input, |text| {
                let _ = orderly_host::mnttab::parse(text).map_err(|wrong| wrong.to_string());
            });
        },
        seeds: &[
            "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n22 1 0:5 / /a\\040b rw - proc proc rw\n",
            "rpool/ROOT\t/\tzfs\tdev=4a50002\t1700000000\n",
        ],
    },
    Format {
        name: "duration",
        check: |input| {
            text(input, |text| {
                let _ = (duration::parse(text), duration::parse_limit(text));
            });
        },
        seeds: &["10m", "90", "1h30m", "200ms", "0"],
    },
];

/// Checks what is text; what is none is never read.
fn text(input: &[u8], check: impl FnOnce(&str)) {
    if let Ok(text) = std::str::from_utf8(input) {
        check(text);
    }
}

/// A journal cut at any byte is a beginning of itself, or rejected with the offset.
fn journal(input: &[u8]) {
    match orderly_exec::journal::parse::<Action>(input) {
        Ok(stored) => {
            let _ = stored.records();
            let half = &input[..input.len() / 2];
            if let Ok(beginning) = orderly_exec::journal::parse::<Action>(half) {
                assert!(stored.lines.starts_with(&beginning.lines), "a beginning says something else");
            }
        }
        Err((offset, _)) => assert!(offset <= input.len(), "{offset} of {}", input.len()),
    }
}

/// What a disk begins with, at each place where some file system has its superblock: nobody vouches for a disk.
fn superblock(input: &[u8]) {
    for at in [0, 1024, 1024 + 0x38, 64 * 1024, 64 * 1024 + 0x40] {
        let mut head = vec![0; at.max(128 * 1024)];
        head.splice(at..at, input.iter().copied());
        let found = Superblock::parse(&head);
        let _ = found.map(|found| found.last_mount());
    }
    let _ = Superblock::parse(input);
}
