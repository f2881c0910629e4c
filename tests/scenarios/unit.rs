//! Services that are units of a real systemd, in a container: stopped is only what has no process left
//! in its control group.

use bed::Bed;
use bed::real;
use bed::systemd::{Booted, SYSTEMD_NEEDS};

/// Two processes, of which only the first is told to stop; the other has a file of the asset open.
fn keeps(bed: &Bed) -> String {
    let held = bed.path("at/held").display().to_string();
    format!("[Service]\nKillMode=process\nExecStart=/bin/sh -c 'sleep 100000 <{held} & exec sleep 100001'\n")
}

/// Two processes, and systemd ends both.
const WHOLE: &str = "[Service]\nExecStart=/bin/sh -c 'sleep 100000 & exec sleep 100001'\n";
fn with_unit(bed: &Bed, unit: &str) {
    let root = bed.root().display();
    for folder in ["source", "at"] {
        std::fs::create_dir_all(bed.path(folder)).unwrap();
    }
    bed.config(
        "ha.toml",
        format!(
            "[[host]]\nname = \"ec1\"\n[[host]]\nname = \"ec2\"\n[asset]\nkind = \"bind\"\nsource = \"{root}/source\"\n\
             [[asset.mount]]\nat = \"{root}/at\"\n[[service]]\nname = \"controller\"\nunit = \"{unit}\"\ntimeout = \"10s\"\n"
        ),
    );
}

#[test]
fn a_unit_is_stopped_when_no_process_of_its_control_group_is_left() {
    if !real::require(&SYSTEMD_NEEDS) {
        return;
    }
    let bed = Bed::new();
    bed.tools(&["mount", "umount", "mv", "rm", "grep", "kill", "ln", "sync"]);
    let units = [("keeps.service", keeps(&bed)), ("whole.service", WHOLE.to_owned())];
    let ec1 = Booted::new(&bed, "ec1", &units);
    let is_active = |unit: &str| {
        let asked = ec1.shell(&format!("systemctl is-active {unit}")).any_status().any_stdout().run();
        asked.stdout.trim() == "active"
    };
    let is_mounted = || ec1.shell("grep -q /at /proc/self/mountinfo").any_status().run().status == 0;
    with_unit(&bed, "whole.service");
    ec1.shell("mount --bind source at && systemctl start whole.service").run();
    ec1.program("ha-release").any_stdout().goes_well().run();
    assert!(!is_active("whole.service") && !is_mounted());
    // Its second process goes on: what it has open would be pulled from under it.
    with_unit(&bed, "keeps.service");
    bed.write("source/held", "");
    ec1.shell("mount --bind source at && systemctl start keeps.service").run();
    let said = "keeps.service is stopped, but processes of it remain: ";
    let ended = ec1.program("ha-release").status(5).stderr_contains(said).run();
    assert!(
        ended.stderr.contains("(sleep); end them") && ended.stderr.contains("NOT safe"),
        "{}",
        ended.stderr
    );
    assert!(!is_active("keeps.service") && is_mounted());
    ec1.program("ha-release").arg("--status").any_stdout().stdout_contains(said).run();
    let (_, pid) = ended.stderr.split_once(said).unwrap();
    let (pid, _) = pid.split_once(' ').unwrap();
    let listed = ec1.program("ha-release").arg("--holders").any_stdout().run().stdout;
    let row: Vec<&str> = listed.lines().last().unwrap().split_whitespace().collect();
    // The container knows no names of users.
    assert_eq!(row[..4], [pid, "0", "sleep", "keeps.service"], "{listed}");
    ec1.shell(&format!("kill -KILL {pid}")).run();
    ec1.program("ha-release").any_stdout().stderr_contains("finishing the run").run();
    assert!(!is_mounted());
    // A unit that starts at boot would run without the asset then.
    ec1.shell("/bin/mkdir -p /run/systemd/system/up.target.wants && ln -s x /run/systemd/system/up.target.wants/keeps.service").run();
    ec1.program("ha-release")
        .any_stdout()
        .stderr_contains("keeps.service is wanted by up.target.wants")
        .run();
    // The way back starts the unit.
    ec1.program("ha-takeover").any_stdout().goes_well().run();
    assert!(is_active("keeps.service") && is_mounted());
}

/// A release and the hourly backup were refused: "controller.service is reloading".
#[test]
fn a_unit_that_reloads_is_up_and_is_released() {
    if !real::require(&SYSTEMD_NEEDS) {
        return;
    }
    let bed = Bed::new();
    bed.tools(&["mount", "umount", "mv", "rm", "grep", "true"]);
    // It reloads for as long as it runs.
    let reloads = "[Service]\nExecStart=/bin/sh -c 'exec sleep 100000'\nExecReload=/bin/sh -c 'exec sleep 100001'\nTimeoutStartSec=infinity\n";
    let ec1 = Booted::new(&bed, "ec1", &[("reloads.service", reloads.to_owned())]);
    with_unit(&bed, "reloads.service");
    bed.write("source/f", "1");
    let root = bed.root().display().to_string();
    let backup = format!("[backup]\ndirectory = \"{root}/at/habackup\"\ninclude = [\"{root}/etc\"]\n");
    bed.config("ha.toml", bed.read("etc/ha.toml") + &backup);
    ec1.shell(
        "mount --bind source at && systemctl start reloads.service && systemctl reload --no-block reloads.service && \
         until systemctl is-active reloads.service | grep -q reloading; do :; done",
    )
    .run();
    ec1.program("habackup").stdout("Backup complete.\n").run();
    ec1.program("ha-release").any_stdout().stderr_contains("left to do by hand").run();
    // Its reload was cut short, so systemd calls it failed.
    let state = ec1.shell("systemctl is-active reloads.service").any_status().any_stdout().run().stdout;
    assert!(["inactive\n", "failed\n"].contains(&state.as_str()), "{state}");
}

/// `-n` said yes, and the release failed at `systemctl stop` (and the takeover at `systemctl start`, with the asset taken).
#[test]
fn a_unit_that_refuses_to_be_stopped_or_started_is_found_beforehand() {
    if !real::require(&SYSTEMD_NEEDS) {
        return;
    }
    let bed = Bed::new();
    bed.tools(&["mount", "umount", "mv", "rm", "grep", "sync"]);
    let firm = format!("RefuseManualStop=yes\n{WHOLE}");
    let shy = format!("RefuseManualStart=yes\n{WHOLE}");
    let ec1 = Booted::new(&bed, "ec1", &[("firm.service", firm), ("shy.service", shy)]);
    with_unit(&bed, "firm.service");
    ec1.shell("mount --bind source at && systemctl start firm.service").run();
    let said = "stop controller: firm.service cannot be stopped by hand";
    for args in [&["-n"][..], &[]] {
        ec1.program("ha-release").args(args).status(4).stderr_contains(said).run();
    }
    // What does not run need not be stopped.
    with_unit(&bed, "shy.service");
    ec1.program("ha-release").any_stdout().goes_well().run();
    let said = "start controller: shy.service cannot be started by hand";
    for args in [&["-n"][..], &[]] {
        ec1.program("ha-takeover").args(args).status(4).stderr_contains(said).run();
    }
}
