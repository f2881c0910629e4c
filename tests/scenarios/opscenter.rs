//! "Shutting Down the Primary Enterprise Controller", step by step, with the shipped configurations:
//! on Solaris against scripted programs that print what the procedure prints, on RHEL against a real
//! ext4 file system and real mounts with scripted services and exports.

use bed::loopfs::{DISK_NEEDS, Disk, HOST_NEEDS, Host};
use bed::{Answer, Bed, Ended, Program, binaries::workspace, real};
use std::time::Duration;

/// What `mount -v | grep xvm` prints before anything is unmounted [the procedure, step 3].
const MOUNTED: &str = "\
OpsCenter/xvm on /var/opt/sun/xvm type zfs read/write/setuid/devices/exec/xattr/atime/dev=4010002 on Mon Feb 23 07:59:22 2009
/var/opt/sun/xvm/uce/etc.opt on /etc/opt/SUNWuce type lofs read/write/setuid/devices/dev=4010002 on Mon Feb 23 08:15:15 2009
/var/opt/sun/xvm/uce/var.opt on /var/opt/SUNWuce type lofs read/write/setuid/devices/dev=4010002 on Mon Feb 23 08:15:15 2009
/var/opt/sun/xvm/uce/opt on /opt/SUNWuce type lofs read/write/setuid/devices/dev=4010002 on Mon Feb 23 08:15:15 2009
";
/// What else is mounted; not of the procedure.
const OTHERS: &str = "\
/dev/dsk/c0t0d0s0 on / type ufs read/write/setuid/devices/intr/largefiles/logging/xattr/onerror=panic/dev=800010 on Mon Feb 23 07:58:01 2009
/devices on /devices type devfs read/write/setuid/devices/dev=4a00000 on Mon Feb 23 07:58:01 2009
-hosts on /net type autofs read/write/setuid/devices/nobrowse/ignore/dev=4c80001 on Mon Feb 23 07:58:30 2009
";
/// What `share` prints before [step 4], and what it prints after.
const SHARED: &str = "-               /var/opt/sun/xvm/osp/share/allstart   ro   \"Allstart Share\"  \n";
const STILL_SHARED: &str = "\
-               /var/js   ro,anon=0   \"Allstart Share\"  
-               /opt/SUNWjet   ro,anon=0   \"JET Framework\"  
";
/// What the procedure changes, in its order.
const PROCEDURE: [&str; 8] = [
    "proxyadm stop -w",
    "satadm stop -w",
    "umount /etc/opt/SUNWuce",
    "umount /var/opt/SUNWuce",
    "umount /opt/SUNWuce",
    "unshare /var/opt/sun/xvm/osp/share/allstart",
    "zpool export OpsCenter",
    "init 5",
];
/// What the scripted programs are called for to look and not to change.
const LOOKS: [&str; 8] = [
    "mount -v",
    "share",
    "zpool list",
    "zpool import",
    "zpool get guid OpsCenter",
    "zfs list",
    "hostid",
    "exportfs -s",
];

/// The primary and the secondary Enterprise Controller.
struct Controllers<'a> {
    bed: &'a Bed,
    hosts: [Host<'a>; 2],
}

impl<'a> Controllers<'a> {
    fn new(bed: &'a Bed, configuration: String, names: &[&str]) -> Self {
        bed.tools(&["uname", "ls", "cat", "rm", "grep", "mv", "cp", "mkdir", "ln", "sleep", "touch", "sync"]);
        let script = workspace().join("tests/fakes/opscenter.sh");
        for name in names {
            std::os::unix::fs::symlink(&script, bed.path("fakes").join(name)).unwrap();
        }
        bed.config("ha.toml", configuration);
        let hosts = [Host::new(bed, "ec1"), Host::new(bed, "ec2")];
        let controllers = Self { bed, hosts };
        for host in [1, 2] {
            // The procedure's own paths, in folders that only this host sees.
            let line = "for at in /opt /etc/opt /var/opt; do /bin/mount -t tmpfs tmpfs $at || exit 1; done; \
                        mkdir -p /var/opt/sun/xvm /etc/opt/SUNWuce /var/opt/SUNWuce /opt/SUNWuce /etc/opt/sun \
                        /opt/SUNWxvmoc/bin /opt/sun/xvmoc/bin && uname -n >/etc/opt/sun/name && \
                        for folder in /opt/SUNWxvmoc /opt/sun/xvmoc; do for name in proxyadm satadm; do \
                        ln -s \"$ORDERLY_BED/fakes/$name\" $folder/bin/$name; done; done";
            controllers.shell(host, line).run();
        }
        for folder in ["uce/etc.opt", "uce/var.opt", "uce/opt", "osp/share/allstart"] {
            std::fs::create_dir_all(bed.path("pool.data").join(folder)).unwrap();
        }
        controllers
    }

    /// Solaris: everything runs on ec1.
    fn solaris(bed: &'a Bed) -> Self {
        let names =
            ["proxyadm", "satadm", "mount", "umount", "share", "unshare", "zpool", "zfs", "hostid", "ping"];
        let controllers = Self::new(bed, example("opscenter-solaris.toml"), &names);
        let to_log = "echo \"$(uname -n) init $*\" >>\"$root/calls\"";
        bed.fake("init").when("5", Answer::ok().run(to_log));
        bed.write("pool.holder", "ec1\n");
        for host in [1, 2] {
            bed.write(format!("mnttab.ec{host}"), OTHERS);
            bed.write(format!("sharetab.ec{host}"), STILL_SHARED);
        }
        let line = "mount -F zfs OpsCenter/xvm /var/opt/sun/xvm && \
                    mount -F lofs /var/opt/sun/xvm/uce/etc.opt /etc/opt/SUNWuce && \
                    mount -F lofs /var/opt/sun/xvm/uce/var.opt /var/opt/SUNWuce && \
                    mount -F lofs /var/opt/sun/xvm/uce/opt /opt/SUNWuce && proxyadm start -w && satadm start -w";
        controllers.shell(1, line).run();
        bed.write("sharetab.ec1", format!("{SHARED}{STILL_SHARED}"));
        assert_eq!(bed.read("mnttab.ec1"), format!("{OTHERS}{MOUNTED}"));
        controllers.forget();
        controllers
    }

    fn program(&self, host: usize, name: &str) -> Program<'a> {
        self.hosts[host - 1].program(name).env("ORDERLY_STATE_DIR", self.state(host))
    }

    fn shell(&self, host: usize, line: &str) -> Program<'a> {
        self.hosts[host - 1].shell(line).env("ORDERLY_STATE_DIR", self.state(host))
    }

    fn state(&self, host: usize) -> std::path::PathBuf {
        self.bed.path(format!("state/ec{host}"))
    }

    /// Lets everything work again and forgets what was called.
    fn forget(&self) {
        for name in ["trouble", "calls", "suspended"] {
            std::fs::remove_file(self.bed.path(name)).ok();
        }
    }

    fn calls(&self, host: usize) -> Vec<String> {
        let text = std::fs::read_to_string(self.bed.path("calls")).unwrap_or_default();
        let name = format!("ec{host} ");
        text.lines().filter_map(|line| line.strip_prefix(&name)).map(str::to_owned).collect()
    }

    /// Returns the calls that change something.
    fn acts(&self, host: usize) -> Vec<String> {
        let mut calls = self.calls(host);
        let looks = |call: &String| {
            LOOKS.contains(&call.as_str()) || call.ends_with(" status") || call.starts_with("ping ")
        };
        calls.retain(|call| !looks(call));
        calls
    }

    /// Returns all that the procedure changes.
    fn world(&self, host: usize) -> Vec<String> {
        let runs = |name: &str| self.bed.path(format!("{name}.ec{host}")).exists();
        // A table has no order that means anything.
        let sorted = |name: String| {
            let mut lines: Vec<String> = self.bed.read(name).lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let mut world = sorted(format!("mnttab.ec{host}"));
        world.extend(sorted(format!("sharetab.ec{host}")));
        world.push(format!("proxy {} satellite {}", runs("proxyadm"), runs("satadm")));
        world.push(format!("pool at {}", self.bed.read("pool.holder")));
        world
    }
}

fn example(name: &str) -> String {
    std::fs::read_to_string(workspace().join("examples").join(name)).unwrap()
}

/// Returns where a call stands that must be there.
fn first(calls: &[String], call: &str) -> usize {
    calls.iter().position(|found| found == call).unwrap_or_else(|| panic!("no {call} in {calls:?}"))
}

fn last(calls: &[String], call: &str) -> usize {
    calls.iter().rposition(|found| found == call).unwrap_or_else(|| panic!("no {call} in {calls:?}"))
}

#[test]
fn the_primary_is_shut_down_as_the_procedure_says() {
    if !real::require(&HOST_NEEDS) {
        return;
    }
    let bed = Bed::new();
    let pair = Controllers::solaris(&bed);
    let said = pair.program(1, "ha-release").arg("--poweroff").any_stdout().any_stderr().run();
    assert_eq!(
        said.stdout,
        "backup: done\nstop proxy controller: done\nstop enterprise controller: done\n\
         unmount /etc/opt/SUNWuce: done\nunmount /var/opt/SUNWuce: done\nunmount /opt/SUNWuce: done\n\
         unshare /var/opt/sun/xvm/osp/share/allstart: done\nrelease OpsCenter: done\nproof: done\n\
         released: OpsCenter is safe to take over\n",
        "{}",
        said.stderr
    );
    assert_eq!(pair.acts(1), PROCEDURE);
    // The backup is taken while the services run, and stands on the pool.
    let snapshots = std::fs::read_dir(bed.path("pool.data/habackup")).unwrap().flatten();
    assert!(snapshots.map(|entry| entry.file_name()).any(|name| name == "latest"));
    // Each list is looked at before its step and after it.
    let calls = pair.calls(1);
    for (look, before, after) in [
        ("proxyadm status", PROCEDURE[0], PROCEDURE[0]),
        ("satadm status", PROCEDURE[1], PROCEDURE[1]),
        ("mount -v", PROCEDURE[2], PROCEDURE[4]),
        ("share", PROCEDURE[5], PROCEDURE[5]),
        ("zpool list", PROCEDURE[6], PROCEDURE[6]),
        ("zfs list", PROCEDURE[7], PROCEDURE[6]),
    ] {
        assert!(first(&calls, look) < first(&calls, before), "{look} before {before}: {calls:?}");
        assert!(last(&calls, look) > first(&calls, after), "{look} after {after}: {calls:?}");
    }
    // Between the steps and after them the lists are those that the procedure prints.
    let pool = MOUNTED.lines().next().unwrap();
    assert_eq!(bed.read("mnttab.at-unshare"), format!("{OTHERS}{pool}\n"));
    assert_eq!(bed.read("mnttab.ec1"), OTHERS, "the file system unmounts with the pool");
    assert_eq!(bed.read("sharetab.ec1"), STILL_SHARED, "other shares stay");
    pair.shell(1, "zpool list; zfs list").stdout("no pools available\nno datasets available\n").run();
    // What the procedure leaves to people.
    for words in ["detach the storage", "init 5", "disconnect it from its networks"] {
        assert!(said.stderr.contains(words), "{words}: {}", said.stderr);
    }
}

#[test]
fn the_secondary_takes_over_in_the_other_direction_and_gives_back() {
    if !real::require(&HOST_NEEDS) {
        return;
    }
    let bed = Bed::new();
    let pair = Controllers::solaris(&bed);
    let stream = pair.program(1, "ha-release").arg("--json").any_stdout().any_stderr().run().stdout;
    let taken =
        pair.program(2, "ha-takeover").args(["--record", "-"]).stdin(&stream).any_stdout().any_stderr();
    let said = taken.run();
    assert!(said.stdout.contains("restore: done"), "{}", said.stderr);
    assert_eq!(
        pair.acts(2),
        [
            "zpool import -N -o cachefile=none 8732654879135792468",
            "mount -F zfs OpsCenter/xvm /var/opt/sun/xvm",
            "mount -F lofs /var/opt/sun/xvm/uce/opt /opt/SUNWuce",
            "mount -F lofs /var/opt/sun/xvm/uce/var.opt /var/opt/SUNWuce",
            "mount -F lofs /var/opt/sun/xvm/uce/etc.opt /etc/opt/SUNWuce",
            "share -F nfs -o ro -d Allstart Share /var/opt/sun/xvm/osp/share/allstart",
            "satadm start -w",
            "proxyadm start -w",
        ]
    );
    assert_eq!(bed.read("sharetab.ec2"), format!("{STILL_SHARED}{SHARED}"));
    pair.shell(2, "cat /etc/opt/sun/name").stdout("ec1\n").run();
    // The pool shows no change mark, so the record permits one takeover.
    pair.program(2, "ha-release").any_stdout().goes_well().run();
    pair.program(2, "ha-takeover").args(["--record", "-"]).stdin(&stream).status(4).any_stderr().run();
    pair.forget();
    let record = pair.state(2).join("release.json");
    pair.program(1, "ha-takeover").arg("--record").arg(&record).any_stdout().goes_well().run();
    assert!(pair.world(1).contains(&"pool at ec1\n".to_owned()));
}

#[test]
fn whatever_fails_on_solaris_the_world_is_as_before() {
    if !real::require(&HOST_NEEDS) {
        return;
    }
    let bed = Bed::new();
    let pair = Controllers::solaris(&bed);
    let before = pair.world(1);
    for (trouble, step) in [
        ("satadm stop fail", "stop enterprise controller"),
        ("umount /opt/SUNWuce fail", "unmount /opt/SUNWuce"),
        ("zpool export fail", "release OpsCenter"),
    ] {
        bed.write("trouble", trouble);
        let run = pair.program(1, "ha-release").args(["--timeout", "3s"]).status(1);
        let said = run.any_stdout().any_stderr().run();
        assert!(said.stderr.contains(&format!("{step}: failed")), "{trouble}: {}", said.stderr);
        assert_eq!(pair.world(1), before, "{trouble}: {}", said.stderr);
        pair.forget();
    }
}

/// Only what is true counts, not what the command says of itself.
#[test]
fn an_export_that_says_done_with_the_pool_still_there_is_not_a_release() {
    if !real::require(&HOST_NEEDS) {
        return;
    }
    let bed = Bed::new();
    let pair = Controllers::solaris(&bed);
    let before = pair.world(1);
    bed.write("trouble", "zpool export lie");
    let said = pair.program(1, "ha-release").arg("--poweroff").status(1).any_stdout().any_stderr().run();
    assert!(said.stderr.contains("NOT safe to take over: OpsCenter"), "{}", said.stderr);
    assert!(!pair.acts(1).contains(&"init 5".to_owned()), "the shutdown must not hide it");
    assert_eq!(pair.world(1), before);
}

/// How long each command may take, the shortest of them within which this machine, as busy as it is, does all that does
/// not hang: what hangs costs as much time.
const LIMITS: [&str; 3] = ["1s", "10s", "100s"];

/// Releases with this trouble after so many steps of the procedure, and looks at what was said.
fn release_in_trouble(trouble: &str, steps: usize, flags: &[&str], look: impl Fn(&Controllers<'_>, &Ended)) {
    for limit in LIMITS {
        let bed = Bed::new();
        let pair = Controllers::solaris(&bed);
        bed.write("trouble", trouble);
        let run = pair.program(1, "ha-release").args(["--timeout", limit]).args(flags);
        let said = run.patience(Duration::from_secs(1200)).any_status().any_stdout().any_stderr().run();
        let acts = pair.acts(1);
        // A step before the trouble took too long here.
        if acts != PROCEDURE[..steps] && Some(&limit) != LIMITS.last() {
            continue;
        }
        assert_eq!(acts, PROCEDURE[..steps], "no further step: {}", said.stderr);
        assert_eq!(said.status, 5, "{}", said.stderr);
        look(&pair, &said);
        return;
    }
}

/// "Stopped" is what its status says, in so many words; anything else is unknown and ends the release.
#[test]
fn a_service_that_does_not_say_that_it_stopped_stops_the_release() {
    if !real::require(&HOST_NEEDS) {
        return;
    }
    release_in_trouble("satadm status vague", 2, &[], |_, said| {
        assert!(said.stderr.contains("status says \"maintenance\""), "{}", said.stderr);
    });
}

/// A pool whose devices are gone: `zpool export` never returns, and neither does anything else.
#[test]
fn an_export_that_hangs_on_a_suspended_pool_calls_for_the_power_switch() {
    if !real::require(&HOST_NEEDS) {
        return;
    }
    release_in_trouble("zpool export hang\nzpool list hang\n", 7, &["--poweroff"], |pair, said| {
        for part in ["NOT safe", "this host must be powered off before a takeover"] {
            assert!(said.stderr.contains(part), "{part}: {}", said.stderr);
        }
        let record = pair.state(1).join("release.json");
        pair.program(2, "ha-takeover").arg("--record").arg(&record).status(4).any_stderr().run();
    });
}

#[test]
fn a_pool_that_its_host_died_with_is_forced_only_on_proof() {
    if !real::require(&HOST_NEEDS) {
        return;
    }
    let bed = Bed::new();
    let pair = Controllers::solaris(&bed);
    let refused = |arguments: &[&str], why: &str| {
        pair.program(2, "ha-takeover").args(arguments).status(4).stderr_contains(why).run();
    };
    refused(&[], "nothing proves that ec1 let go");
    bed.write("answers.192.0.2.1", "");
    refused(&["--peer-down", "ec1"], "ec1 is not down: 192.0.2.1 answers");
    assert!(pair.acts(2).is_empty());
    std::fs::remove_file(bed.path("answers.192.0.2.1")).unwrap();
    pair.program(2, "ha-takeover").args(["--peer-down", "ec1"]).any_stdout().goes_well().run();
    assert_eq!(pair.acts(2)[0], "zpool import -N -o cachefile=none -f 8732654879135792468");
    // The old primary, back again, sees that it is elsewhere and touches nothing.
    bed.write("mnttab.ec1", OTHERS);
    pair.forget();
    pair.program(1, "ha-release").status(4).stderr_contains("last used by another host").any_stderr().run();
    assert!(pair.acts(1).is_empty());
}

#[test]
fn a_rehearsal_prints_the_whole_procedure_and_changes_nothing() {
    if !real::require(&HOST_NEEDS) {
        return;
    }
    let bed = Bed::new();
    let pair = Controllers::solaris(&bed);
    let before = pair.world(1);
    let plan =
        pair.program(1, "ha-release").args(["-n", "--poweroff"]).any_stdout().any_stderr().run().stdout;
    let mut rest = plan.as_str();
    for command in PROCEDURE {
        let at = rest.find(command).unwrap_or_else(|| panic!("no {command} in order in\n{plan}"));
        rest = &rest[at..];
    }
    assert_eq!((pair.world(1), pair.acts(1).is_empty()), (before, true));
    pair.program(1, "ha-release")
        .arg("--status")
        .stdout(
            "OpsCenter: held on ec1, with everything that belongs to it\n\
             \u{20} service   proxy controller                     up\n\
             \u{20} service   enterprise controller                up\n\
             \u{20} mount     /var/opt/sun/xvm                     mounted\n\
             \u{20} loopback  /etc/opt/SUNWuce                     mounted\n\
             \u{20} loopback  /var/opt/SUNWuce                     mounted\n\
             \u{20} loopback  /opt/SUNWuce                         mounted\n\
             \u{20} share     /var/opt/sun/xvm/osp/share/allstart  exported\n\
             backup: would succeed\n\
             next: ha-release --json | ssh ec2 ha-takeover --record -, to hand it over\n",
        )
        .run();
    pair.shell(1, "satadm stop -w").any_stdout().run();
    let status = pair.program(1, "ha-release").args(["--status", "--json"]).any_stdout().run().json();
    assert_eq!((status["state"].as_str(), status["here"].as_str()), (Some("held"), Some("part")));
    assert!(status["next"].as_str().unwrap().starts_with("ha-takeover, to complete what is here"));
    let status = pair.program(2, "ha-release").args(["--status", "--json"]).any_stdout().run().json();
    assert_eq!((status["state"].as_str(), status["here"].as_str()), (Some("elsewhere"), Some("nothing")));
}

#[test]
fn on_rhel_the_same_procedure_goes_by_its_own_commands() {
    if !real::require(&HOST_NEEDS) || !real::require(&DISK_NEEDS) {
        return;
    }
    let bed = Bed::new();
    bed.tools(&["dd", "sync"]);
    let disk = Disk::ext4(&bed, 32);
    let text = example("opscenter-rhel.toml").replace("6e408c46-09dc-45a7-9f8e-d5a09bf47de0", &disk.uuid());
    assert!(text.contains(&disk.uuid()));
    let pair = Controllers::new(&bed, text, &["proxyadm", "satadm", "exportfs", "ping"]);
    for name in ["mount", "umount"] {
        let real = real::find(name).unwrap();
        let log = format!("echo \"$(uname -n) {name} $*\" >>\"$ORDERLY_BED/calls\"");
        bed.script(format!("fakes/{name}"), &format!("{log}\nexec {} \"$@\"", real.display()));
    }
    let to_log = "echo \"$(uname -n) systemctl $*\" >>\"$root/calls\"";
    bed.fake("systemctl").when("poweroff", Answer::ok().run(to_log));
    bed.write("sharetab.ec1", "/var/js  *(ro,anonuid=0)\n");
    bed.write("sharetab.ec2", "");
    let line = format!(
        "mount -t ext4 {} /var/opt/sun/xvm && cp -r pool.data/uce pool.data/osp /var/opt/sun/xvm/ && \
         mount --bind /var/opt/sun/xvm/uce/etc.opt /etc/opt/SUNWuce && \
         mount --bind /var/opt/sun/xvm/uce/var.opt /var/opt/SUNWuce && \
         mount --bind /var/opt/sun/xvm/uce/opt /opt/SUNWuce && proxyadm start -w && satadm start -w && \
         exportfs -o ro,fsid=7 '*:/var/opt/sun/xvm/osp/share/allstart'",
        disk.device().display()
    );
    pair.shell(1, &line).run();
    pair.forget();
    let stream = pair.program(1, "ha-release").args(["--json", "--poweroff"]).any_stdout().any_stderr().run();
    assert_eq!(
        pair.acts(1),
        [
            "proxyadm stop -w",
            "satadm stop -w",
            "umount /etc/opt/SUNWuce",
            "umount /var/opt/SUNWuce",
            "umount /opt/SUNWuce",
            "exportfs -u *:/var/opt/sun/xvm/osp/share/allstart",
            "exportfs -f",
            "umount /var/opt/sun/xvm",
            "systemctl poweroff",
        ],
        "{}",
        stream.stderr
    );
    assert_eq!(bed.read("sharetab.ec1"), "/var/js  *(ro,anonuid=0)\n", "other exports stay");
    let taken = pair.program(2, "ha-takeover").args(["--record", "-"]).stdin(&stream.stdout);
    taken.any_stdout().goes_well().run();
    let device = disk.device().display().to_string();
    assert_eq!(
        pair.acts(2),
        [
            &format!("mount -t ext4 {device} /var/opt/sun/xvm"),
            "mount --bind /var/opt/sun/xvm/uce/opt /opt/SUNWuce",
            "mount --bind /var/opt/sun/xvm/uce/var.opt /var/opt/SUNWuce",
            "mount --bind /var/opt/sun/xvm/uce/etc.opt /etc/opt/SUNWuce",
            "exportfs -o ro,fsid=7 *:/var/opt/sun/xvm/osp/share/allstart",
            "satadm start -w",
            "proxyadm start -w",
        ]
    );
    pair.shell(2, "cat /etc/opt/sun/name").stdout("ec1\n").run();
    pair.program(2, "ha-release").any_stdout().goes_well().run();
}
