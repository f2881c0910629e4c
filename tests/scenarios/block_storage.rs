//! The shipped example of DRBD, with a scripted drbdadm: what it says of each state, and what it does not do. With the real
//! one `make lab-test` runs it.

use bed::{Bed, Ended, Need, binaries, real};

const TOOLS: [&str; 11] = ["awk", "cat", "dd", "echo", "grep", "od", "rm", "sed", "sleep", "timeout", "tr"];

/// What DRBD says stands in files; what it is told to do, in `calls`.
const DRBDADM: &str = r#"cd @root@ || exit 9
case $1 in
cstate | role | dstate) cat "$1" ;;
sh-ll-dev) echo "$PWD/disk" ;;
*) echo "$*" >>calls; [ ! -e "fails-$1" ] ;;
esac"#;

fn site(program: &str, body: &str) -> Bed {
    let bed = Bed::new();
    bed.tool("sh");
    for name in TOOLS {
        if real::find(name).is_some() {
            bed.tool(name);
        }
    }
    bed.script(format!("tools/{program}"), &body.replace("@root@", &bed.root().display().to_string()));
    bed.write("calls", "");
    bed
}

fn call(bed: &Bed, example: &str, words: &[&str]) -> Ended {
    bed.external(binaries::workspace().join("examples").join(example))
        .args(words)
        .env("DRBD_ASSET_RUN", bed.root())
        .env("DRBD_ASSET_NOTICE", "1")
        .env("DRBD_PEER", "ec2")
        .any_status()
        .any_stdout()
        .any_stderr()
        .run()
}

/// A resource of which DRBD says this.
fn resource(cstate: &str, role: &str, dstate: &str) -> Bed {
    let bed = site("drbdadm", DRBDADM);
    for (file, said) in [("cstate", cstate), ("role", role), ("dstate", dstate)] {
        bed.write(file, format!("{said}\n"));
    }
    bed
}

#[test]
fn the_configurations_are_valid() {
    for site in ["drbd"] {
        let bed = Bed::new();
        let folder = binaries::workspace().join("examples").join(site);
        bed.config("ha.toml", std::fs::read_to_string(folder.join("ha.toml")).unwrap());
        for program in ["ha-release", "ha-takeover"] {
            bed.program(program).arg("--check-config").env("ORDERLY_HOST", "ec1").any_stdout().run();
        }
    }
}

/// Free is what both hosts know to be free, and whose newest data are here.
#[test]
fn a_drbd_resource_is_free_only_where_it_is_up_to_date() {
    let cases = [
        ("Connected", "Primary/Secondary", "UpToDate/UpToDate", "held"),
        ("WFConnection", "Primary/Unknown", "UpToDate/Outdated", "held"),
        ("Connected", "Secondary/Primary", "UpToDate/UpToDate", "elsewhere"),
        ("Connected", "Secondary/Secondary", "UpToDate/UpToDate", "free"),
        ("SyncSource", "Secondary/Secondary", "UpToDate/Inconsistent", "free"),
        ("WFConnection", "Secondary/Unknown", "UpToDate/DUnknown", "elsewhere"),
        (
            "SyncTarget",
            "Secondary/Secondary",
            "Inconsistent/UpToDate",
            "r0 is Inconsistent here, not UpToDate",
        ),
        ("WFConnection", "Secondary/Unknown", "Outdated/DUnknown", "r0 is Outdated here, not UpToDate"),
        ("WFConnection", "Secondary/Unknown", "Consistent/DUnknown", "r0 is Consistent here, not UpToDate"),
        ("Connected", "Secondary/Secondary", "Diskless/UpToDate", "r0 is Diskless here, not UpToDate"),
        ("StandAlone", "Secondary/Unknown", "UpToDate/DUnknown", "r0 is StandAlone"),
        ("Connected", "Primary/Primary", "UpToDate/UpToDate", "r0 is primary on both hosts"),
        ("Unconfigured", "Unconfigured", "Unconfigured", "r0 is Unconfigured here"),
    ];
    for (cstate, role, dstate, says) in cases {
        let bed = resource(cstate, role, dstate);
        let said = call(&bed, "drbd/drbd-asset", &["r0", "state"]).stdout;
        let is_word = ["held", "free", "elsewhere"].contains(&says);
        assert!(
            if is_word { said.trim() == says } else { said.starts_with(says) },
            "{cstate} {role} {dstate}: {said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
        // What is not free is taken by nobody's record.
        let taken = call(&bed, "drbd/drbd-asset", &["r0", "take"]);
        assert_eq!(
            bed.read("calls"),
            if says == "free" { "primary r0\n" } else { "" },
            "{cstate} {role} {dstate}"
        );
        assert_eq!(
            taken.status == 0,
            ["free", "held"].contains(&says) || role.starts_with("Primary"),
            "{}",
            taken.stderr
        );
    }
}

#[test]
fn a_split_brain_is_named_and_nothing_is_taken_until_the_hosts_are_connected() {
    let bed = resource("StandAlone", "Secondary/Unknown", "UpToDate/DUnknown");
    call(&bed, "drbd/drbd-asset", &["r0", "split-brain"]);
    for cstate in ["StandAlone", "WFConnection"] {
        bed.write("cstate", cstate);
        assert!(
            call(&bed, "drbd/drbd-asset", &["r0", "state"])
                .stdout
                .starts_with("split brain: both hosts wrote")
        );
        for take in ["take", "take-dead"] {
            let ended = call(&bed, "drbd/drbd-asset", &["r0", take]);
            assert!(ended.status == 1 && ended.stderr.contains("split brain"), "{}", ended.stderr);
        }
    }
    assert_eq!(bed.read("calls"), "");
    bed.write("cstate", "Connected");
    bed.write("role", "Secondary/Secondary");
    assert_eq!(call(&bed, "drbd/drbd-asset", &["r0", "state"]).stdout, "free\n");
    bed.write("cstate", "WFConnection");
    bed.write("role", "Secondary/Unknown");
    assert_eq!(call(&bed, "drbd/drbd-asset", &["r0", "state"]).stdout, "elsewhere\n");
}

/// The other host is proven off; what is here must still be the newest, and it must be gone for DRBD, too.
#[test]
fn of_a_dead_host_only_data_that_are_up_to_date_are_taken() {
    let cases = [
        ("WFConnection", "Secondary/Unknown", "UpToDate/DUnknown", ""),
        ("WFConnection", "Secondary/Unknown", "Outdated/DUnknown", "r0 is Outdated here"),
        ("WFConnection", "Secondary/Unknown", "Consistent/DUnknown", "r0 is Consistent here"),
        (
            "Connected",
            "Secondary/Primary",
            "UpToDate/UpToDate",
            "the other host is connected (Primary): it is not off",
        ),
        ("Connected", "Secondary/Secondary", "UpToDate/UpToDate", "the other host is connected (Secondary)"),
    ];
    for (cstate, role, dstate, refusal) in cases {
        let bed = resource(cstate, role, dstate);
        let ended = call(&bed, "drbd/drbd-asset", &["r0", "take-dead"]);
        assert_eq!(
            bed.read("calls"),
            if refusal.is_empty() { "primary r0\n" } else { "" },
            "{cstate} {dstate}"
        );
        assert!(ended.stderr.contains(refusal), "{}", ended.stderr);
        assert_eq!(ended.status == 0, refusal.is_empty(), "{}", ended.stderr);
    }
}

#[test]
fn what_the_other_host_could_not_take_is_not_released() {
    let cases = [
        ("Connected", "UpToDate/UpToDate", true),
        ("WFConnection", "UpToDate/Outdated", false),
        ("SyncSource", "UpToDate/Inconsistent", false),
    ];
    for (cstate, dstate, is_released) in cases {
        let bed = resource(cstate, "Primary/Secondary", dstate);
        let ended = call(&bed, "drbd/drbd-asset", &["r0", "release"]);
        assert_eq!(bed.read("calls"), if is_released { "secondary r0\n" } else { "" }, "{}", ended.stderr);
        assert_eq!(ended.status == 0, is_released, "{}", ended.stderr);
        // A takeover that failed lets go of what it took of a dead host.
        bed.write("calls", "");
        let takeover = bed.script("tools/ha-takeover", "\"$@\"\nexit $?");
        let example = binaries::workspace().join("examples/drbd/drbd-asset");
        bed.external(takeover).arg(example).args(["r0", "release"]).run();
        assert_eq!(bed.read("calls"), "secondary r0\n");
    }
}

/// Whether the primary writes on is told by an exit status: 4 and 7 say that nobody takes the old data, 6 that they are here.
#[test]
fn a_primary_writes_on_only_when_the_other_host_is_outdated_or_off() {
    let bed = resource("WFConnection", "Primary/Unknown", "UpToDate/DUnknown");
    let fence = |conf: &str| {
        bed.config("drbd-fence.conf", conf);
        call(&bed, "drbd/drbd-asset", &["r0", "fence-peer"]).status
    };
    assert_eq!(fence(""), 1);
    for said in ["3", "4", "6"] {
        assert_eq!(fence(&format!("reach='echo {said} #'")), 1, "a line is no answer");
        bed.script("tools/reach", &format!("echo {said}"));
        assert_eq!(fence("reach=reach").to_string(), said);
    }
    bed.script("tools/reach", "exit 255");
    bed.script("tools/power", "echo \"$2: $1\"");
    assert_eq!(fence("reach=reach"), 1);
    assert_eq!(fence("reach=reach\npower_off=false\npower_status=\"power off $peer\""), 7);
    assert_eq!(fence("power_off=power\npower_status='power off ec7'"), 1, "another host is off");
    assert_eq!(fence("power_off=power\npower_status='echo Chassis Power is off'"), 7);
    // DRBD runs it without standard error.
    bed.config("drbd-fence.conf", "power_off=\"power is off\"\npower_status=\"cat $DRBD_ASSET_RUN/power\"");
    bed.script("tools/power", &format!("echo \"$2\" >{}/power", bed.root().display()));
    let without = bed.script("tools/without", "exec \"$@\" 2>&-");
    let example = binaries::workspace().join("examples/drbd/drbd-asset");
    let bare = bed.external(without).arg(example).args(["r0", "fence-peer"]).env("DRBD_PEER", "ec2");
    bare.env("DRBD_ASSET_RUN", bed.root()).env("DRBD_ASSET_NOTICE", "1").status(7).run();
    // A note of a run that was killed says nothing.
    bed.write("drbd-asset.r0.peer-is-off", "1\n");
    assert_eq!(fence(""), 1);

    // The other end of it.
    for (cstate, role, dstate, says) in [
        ("WFConnection", "Secondary/Unknown", "UpToDate/DUnknown", "4\n"),
        ("WFConnection", "Primary/Unknown", "UpToDate/DUnknown", "6\n"),
        ("WFConnection", "Secondary/Unknown", "Inconsistent/DUnknown", "3\n"),
    ] {
        let bed = resource(cstate, role, dstate);
        assert_eq!(call(&bed, "drbd/drbd-asset", &["r0", "outdate"]).stdout, says);
        assert_eq!(bed.read("calls"), if says == "4\n" { "outdate r0\n" } else { "" });
        bed.write("fails-outdate", "");
        assert_eq!(call(&bed, "drbd/drbd-asset", &["r0", "outdate"]).stdout.is_empty(), says == "4\n");
    }
}

/// Read from the disk below, as nobody but the primary may open DRBD's own device.
#[test]
fn identity_and_mark_are_those_of_the_ext4() {
    if !real::require(&[Need::Program("mke2fs"), Need::Program("debugfs")]) {
        return;
    }
    let bed = resource("Connected", "Secondary/Secondary", "UpToDate/UpToDate");
    let of = |word| call(&bed, "drbd/drbd-asset", &["r0", word]);
    bed.write("disk", vec![0; 1 << 20]);
    assert!(of("id").status == 1 && of("id").stdout.is_empty(), "no ext4");
    bed.external(real::find("mke2fs").unwrap())
        .args(["-q", "-F", "-t", "ext4", "-U", "6e408c46-09dc-45a7-9f8e-d5a09bf47de0"])
        .arg(bed.path("disk"))
        .any_stderr()
        .run();
    assert_eq!(of("id").stdout, "6e408c4609dc45a79f8ed5a09bf47de0\n");
    let marks: Vec<String> = [("mnt_count", "0"), ("mnt_count", "258"), ("mtime", "20260102030405")]
        .iter()
        .map(|(field, value)| {
            bed.external(real::find("debugfs").unwrap())
                .args(["-w", "-R", &format!("set_super_value {field} {value}")])
                .arg(bed.path("disk"))
                .any_stderr()
                .run();
            of("mark").stdout
        })
        .collect();
    assert_eq!(marks[0], "0000:00000000\n");
    assert_eq!(marks[1], "0201:00000000\n");
    assert!(marks[2].starts_with("0201:") && marks[2] != marks[1], "{marks:?}");
}
