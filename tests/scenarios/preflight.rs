//! `--preflight` on both hosts of a pair that is well: it finds no gap, then each of those that a night would find, with its
//! remedy; and it touches nothing, seen by strace(1).

use crate::pair::{Asset, Pair, possible, with_backup};
use crate::refusals::golden;
use bed::loopfs::Disk;
use bed::running::Ended;
use bed::{Bed, Need, real};

pub(crate) fn ready() -> bool {
    possible() && real::require(&[Need::Program("strace"), Need::Program("blockdev"), Need::Program("date")])
}

/// Runs a command as on the peer, which reads its own `ha.toml`. Two hosts of one machine have one clock, so an answer
/// from a host whose clock is off is made of a true one.
const PEER: &str = r#"host=$1; shift
export ORDERLY_HOST=$host ORDERLY_CONFIG_DIR=$ORDERLY_BED/etc.$host
[ ! -e "$ORDERLY_BED/unreachable" ] || { echo "Permission denied (publickey)." >&2; exit 255; }
echo "welcome to $host"
if [ -e "$ORDERLY_BED/clock" ]; then
  "$@" | sed "s/\"time\":\"[^\"]*\"/\"time\":\"$(date -u -d "-1 hour" +%FT%TZ)\"/"
else
  exec "$@"
fi"#;

/// A power controller: what is in `power.HOST`, or a refusal.
const POWER: &str = r#"[ ! -e "$ORDERLY_BED/refused" ] || { echo "Error: Unable to establish IPMI v2 / RMCP+ session" >&2; exit 1; }
cat "$ORDERLY_BED/power.$1""#;

/// Makes a pair that is well: reachable both ways, with a fresh snapshot, and a loopback at a place of each host's own.
pub(crate) fn well<'a>(bed: &'a Bed, disk: &'a Disk) -> Pair<'a> {
    bed.tools(&["sed", "date", "strace", "blockdev", "mkdir", "chmod", "env"]);
    let pair = Pair::new(bed, &Asset::Ext4(disk));
    with_backup(&pair);
    bed.script("fakes/on", PEER);
    bed.script("fakes/bmc", POWER);
    let root = bed.root().display();
    let mut text = bed.read("etc/ha.toml");
    for host in ["ec1", "ec2"] {
        let name = format!("name = \"{host}\"\n");
        text = text.replace(&name, &format!("{name}peer_command = [\"on\", \"{host}\"]\n"));
        bed.write(format!("answers.192.0.2.{}", &host[2..]), "");
        bed.write(format!("points.{host}/deep/file"), "");
    }
    let status = r#"fence_status = ["/bin/sh", "-c", "cat \"$ORDERLY_BED/power.ec1\""]"#;
    assert!(text.contains(status));
    text = text.replace(status, "fence_status = [\"bmc\", \"ec1\"]");
    text += &format!("[[loopback]]\nsource = \"{root}/at/opt\"\nat = \"{root}/points/here\"\n");
    bed.config("ha.toml", &text);
    bed.write("power.ec1", "Chassis Power is on\n");
    bed.write("etab.ec2", "");
    for host in [1, 2] {
        peer_config(bed, host, &text);
        let line = format!("mkdir -p points points.ec{host}/here && mount --bind points.ec{host} points");
        pair.shell(host, &line).run();
    }
    pair.shell(1, "mount --bind at/opt points/here").run();
    // What the second host's kernel knows of the disk is what it reads of it.
    pair.apart(disk);
    pair.program(1, "habackup").arg("-q").goes_well().run();
    pair.forget();
    pair
}

/// Writes the `ha.toml` that a host reads when the other one asks.
pub(crate) fn peer_config(bed: &Bed, host: usize, text: &str) {
    let path = bed.write(format!("etc.ec{host}/ha.toml"), text);
    bed.shell(&format!("chmod 600 {}", path.display())).run();
}

/// Runs it as cron does: in silence where nothing is wrong.
pub(crate) fn quiet(pair: &Pair<'_>, host: usize) -> Ended {
    let run = if host == 1 { pair.release(1) } else { pair.takeover(2) };
    run.args(["--preflight", "-q"]).any_status().any_stderr().run()
}

#[test]
fn a_pair_that_is_well_has_no_gap_and_nothing_is_touched() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = well(&bed, &disk);
    let before = [pair.world(1), pair.world(2)];
    for host in [1, 2] {
        let ended = quiet(&pair, host);
        assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "host {host}");
    }
    for (host, name) in [(1, "ha-release"), (2, "ha-takeover")] {
        let ended = pair.program(host, name).arg("--preflight").any_stdout().any_stderr().run();
        golden(&bed, &format!("preflight-{name}"), &format!("{name} --preflight"), &ended);
    }
    let said = pair.takeover(2).arg("--preflight").any_stdout().any_stderr().run().stdout;
    for line in [
        "configuration: alike on ec1, digest ",
        "clock: alike on ec1, within 3 s\n",
        "power: fence_status reports that ec1 is on\n",
        "snapshot: not checked: the snapshots are on the asset, which ec1 holds",
        "no gap found: ec2 is ready to take over ",
    ] {
        assert!(said.contains(line), "{line} in {said}");
    }
    let json = pair.release(1).args(["--preflight", "--json"]).any_stdout().any_stderr().run().json();
    assert_eq!(
        (json["format"].as_str(), json["role"].as_str()),
        (Some("orderly-preflight/1"), Some("holder"))
    );
    assert_eq!((json["gaps"].as_u64(), json["status"].as_str()), (Some(0), Some("done")));
    let checks = json["checks"].as_array().unwrap();
    for check in ["backup", "snapshot", "verification", "release", "programs", "runs", "state directory"] {
        assert!(
            checks.iter().any(|found| found["check"] == check && found["outcome"] == "well"),
            "{check}: {json}"
        );
    }
    // Each is for its own role.
    pair.takeover(1)
        .arg("--preflight")
        .status(4)
        .stderr_contains("ha-release --preflight checks the holder")
        .run();
    pair.release(2)
        .arg("--preflight")
        .status(4)
        .stderr_contains("ha-takeover --preflight checks the standby")
        .run();
    for (host, program) in [(1, "ha-release"), (2, "ha-takeover")] {
        let line =
            format!("strace -f -y -o trace -e trace=%file,%desc,mount,umount2 {program} --preflight -q");
        pair.shell(host, &line).run();
        let state = pair.state(host).display().to_string();
        let touched = touched(&bed.read("trace"), &state);
        assert!(touched.is_empty(), "{program}: {}", touched.join("\n"));
    }
    assert_eq!([pair.world(1), pair.world(2)], before);
    assert_eq!(pair.acts(), [""; 0]);
}

/// Returns the system calls that change a mount, or a file outside of the state directory.
fn touched(trace: &str, state: &str) -> Vec<String> {
    let changes = |line: &str| {
        let call = line.split_whitespace().nth(1).and_then(|word| word.split('(').next()).unwrap_or_default();
        let opens = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|flag| line.contains(flag));
        match call {
            "openat" | "open" => opens && !line.contains("O_CLOEXEC|O_PATH"),
            "mount" | "umount2" | "move_mount" | "fsmount" | "open_tree" | "mount_setattr" | "pivot_root" => {
                true
            }
            _ => [
                "unlink",
                "rename",
                "mkdir",
                "rmdir",
                "link",
                "symlink",
                "mknod",
                "creat",
                "chmod",
                "fchmod",
                "chown",
                "fchown",
                "truncate",
                "ftruncate",
                "fallocate",
                "setxattr",
                "utime",
            ]
            .iter()
            .any(|name| {
                call == *name
                    || call == format!("{name}at")
                    || call == format!("{name}at2")
                    || call == format!("l{name}")
            }),
        }
    };
    // The table of exports is that of the scripted exportfs.
    let allowed = [state, "\"/dev/null\"", "\"/dev/tty\"", "/etab.ec"];
    let is_allowed = |line: &str| allowed.iter().any(|place| line.contains(place));
    let failed = |line: &str| line.contains(") = -1 ");
    let lines = trace.lines().filter(|line| changes(line) && !is_allowed(line) && !failed(line));
    lines.map(str::to_owned).collect()
}

/// Each was found by the takeover of that night.
#[test]
fn each_gap_is_named_with_its_remedy_and_is_closed_by_it() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = well(&bed, &disk);
    let text = bed.read("etc/ha.toml");
    let device = disk.device().display().to_string();
    let longer = text.replacen("timeout = \"20s\"", "timeout = \"21s\"", 1);
    let remove = |name: &str| std::fs::remove_file(bed.path(name)).unwrap();
    let here = bed.path("points/here").display().to_string();
    // What is wrong; the line for it; how it is mended.
    type Turn<'a> = Box<dyn Fn() + 'a>;
    let gaps: Vec<(Turn<'_>, Vec<String>, Turn<'_>)> = vec![
        (
            Box::new(|| peer_config(&bed, 1, &longer)),
            vec!["gap: configuration: asset.timeout is 20s here and 21s on ec1; make ha.toml alike on both hosts".into()],
            Box::new(|| peer_config(&bed, 1, &text)),
        ),
        (
            Box::new(|| std::fs::remove_dir(bed.path("points.ec2/here")).unwrap()),
            vec![format!("gap: takeover: {here} is not there; make it (mkdir -p)")],
            Box::new(|| std::fs::create_dir(bed.path("points.ec2/here")).unwrap()),
        ),
        (
            Box::new(|| drop(bed.write("refused", ""))),
            vec!["gap: power: the power of ec1 cannot be queried: bmc ec1: it printed nothing, exit status 1: Error: Unable to \
                  establish IPMI v2 / RMCP+ session; correct the address, the user or the password in fence and fence_status \
                  of ec1"
                .into()],
            Box::new(|| remove("refused")),
        ),
        (
            Box::new(|| drop(pair.shell(2, &format!("blockdev --setro {device}")).run())),
            vec![format!("gap: takeover: {device}, which lies on loop"), "is write-protected; mend that (blockdev --setrw".into()],
            Box::new(|| drop(pair.shell(2, &format!("blockdev --setrw {device}")).run())),
        ),
        (
            Box::new(|| drop(bed.write("clock", ""))),
            vec!["gap: clock: the clock of ec1 is 1h00m behind this host's; set both by NTP (chronyc tracking)".into()],
            Box::new(|| remove("clock")),
        ),
        (
            Box::new(|| drop(bed.write("unreachable", ""))),
            vec!["gap: configuration: ec1 cannot be asked for its configuration: on ec1 ha-takeover --check-config --json: exit \
                  status 255: Permission denied (publickey).; make it work for root without a password, or correct peer_command"
                .into()],
            Box::new(|| remove("unreachable")),
        ),
        (
            Box::new(|| drop(bed.write("power.ec1", "Chassis Power is off\n"))),
            vec!["gap: power: fence_status reports that ec1 is off; if it runs, fence would power off another machine".into()],
            Box::new(|| drop(bed.write("power.ec1", "Chassis Power is on\n"))),
        ),
        (
            Box::new(|| remove("answers.192.0.2.1")),
            vec!["gap: address: ec1 is alive, but does not answer at 192.0.2.1, so --peer-down would pass it for dead".into()],
            Box::new(|| drop(bed.write("answers.192.0.2.1", ""))),
        ),
    ];
    for (break_it, lines, mend) in &gaps {
        break_it();
        let ended = quiet(&pair, 2);
        mend();
        assert_eq!(ended.status, 1, "{lines:?}: {}", ended.stderr);
        for line in lines {
            assert!(ended.stderr.contains(line), "{line}\nin\n{}", ended.stderr);
        }
        let said: Vec<&str> = ended.stderr.lines().filter(|line| line.contains("gap: ")).collect();
        assert_eq!(said.len(), 1, "{}", ended.stderr);
        assert_eq!((quiet(&pair, 2).status, pair.acts()), (0, Vec::new()));
    }
    let json = {
        bed.write("clock", "");
        peer_config(&bed, 1, &longer);
        golden(&bed, "preflight-gaps", "ha-takeover --preflight -q", &quiet(&pair, 2));
        let run = pair.takeover(2).args(["--preflight", "--json", "-q"]).status(1);
        run.any_stdout().stderr_contains("2 gaps found").run().json()
    };
    assert_eq!((json["gaps"].as_u64(), json["status"].as_str()), (Some(2), Some("failed")));
}

/// What was saved and cannot be restored any more was found out by the takeover.
#[test]
fn the_holder_finds_a_snapshot_that_is_old_or_damaged_and_a_backup_that_would_fail() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = well(&bed, &disk);
    let root = bed.root().display().to_string();
    let damage = format!("for f in at/habackup/2*Z/tree{root}/outside/file; do echo evil >$f; done");
    pair.shell(1, &damage).run();
    let ended = quiet(&pair, 1);
    let (id, rest) = ended.stderr.split_once("gap: verification: ").unwrap().1.split_once(' ').unwrap();
    assert!(
        id.ends_with('Z') && rest.starts_with("could not be restored: exit status 1"),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stderr.matches("gap: ").count(), 1, "{}", ended.stderr);
    let text = bed.read("etc/ha.toml").replace("max_age = \"1h\"", "max_age = \"0s\"");
    bed.config("ha.toml", &text);
    peer_config(&bed, 2, &text);
    let ended = quiet(&pair, 1);
    assert!(
        ended.stderr.contains("is older than max_age; look at the hourly job, and run habackup"),
        "{}",
        ended.stderr
    );
    pair.shell(1, "svc ec stop").run();
    let ended = quiet(&pair, 1);
    assert!(ended.stderr.contains("gap: backup: it would fail: "), "{}", ended.stderr);
}

/// Without a way to the peer, what both must print is said, and nothing is called alike.
#[test]
fn without_peer_command_there_is_a_line_to_compare_by_hand() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    for host in [1, 2] {
        bed.write(format!("answers.192.0.2.{host}"), "");
    }
    let said = pair.release(1).arg("--preflight").any_stdout().any_stderr().run().stdout;
    let digest = pair.release(1).args(["--check-config", "--json"]).any_stdout().run().json();
    let line = format!(
        "configuration: not checked: no peer_command is configured for ec2; compare by hand: on ec2, ha-takeover \
         --check-config --json must print version {}, digest {} and the same time\n",
        digest["version"].as_str().unwrap(),
        digest["digest"].as_str().unwrap()
    );
    assert!(said.contains(&line), "{said}");
    assert!(
        said.contains("power: not checked: no fence is configured for ec2") && said.contains("not checked\n"),
        "{said}"
    );
}

/// What a hand-over leaves out is no gap of it, and what it cannot do without is one.
#[test]
fn what_is_left_out_is_not_checked_and_is_named() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = well(&bed, &disk);
    // The standby lacks a mount point.
    std::fs::remove_dir(bed.path("points.ec2/here")).unwrap();
    let takeover = || pair.takeover(2).args(["--preflight", "--skip"]).any_status().any_stdout().any_stderr();
    let ended = takeover().arg("shares").run();
    assert!(ended.status == 1 && ended.stderr.contains("here is not there; make it"), "{}", ended.stderr);
    let ended = takeover().args(["loopbacks", "--skip", "restore"]).run();
    let sentence = " without restore, loopbacks\n";
    assert!(ended.status == 0 && ended.stdout.ends_with(sentence), "{}{}", ended.stdout, ended.stderr);
    assert!(!ended.stdout.contains("snapshot"), "{}", ended.stdout);
    let json = takeover().args(["loopbacks,restore", "--json"]).run().json();
    assert_eq!((&json["skipped"], &json["gaps"]), (&serde_json::json!(["restore", "loopbacks"]), &0.into()));
    // On the holder nothing could be backed up, and the snapshot is old.
    let text = bed.read("etc/ha.toml").replace("max_age = \"1h\"", "max_age = \"0s\"");
    bed.config("ha.toml", &text);
    peer_config(&bed, 2, &text);
    pair.shell(1, "svc ec stop").run();
    pair.forget();
    assert_eq!(quiet(&pair, 1).stderr.matches("gap: ").count(), 2);
    let release = |words: &[&str]| {
        pair.release(1).arg("--preflight").args(words).any_status().any_stdout().any_stderr().run()
    };
    for words in [["--skip", "backup"].as_slice(), &["--no-backup"]] {
        let ended = release(words);
        assert!(
            ended.status == 0 && ended.stdout.contains(" without backup; 1 not checked\n"),
            "{}{}",
            ended.stdout,
            ended.stderr
        );
        let kept = ["would be restored, however old it is", "verification: every file of "];
        assert!(kept.iter().all(|line| ended.stdout.contains(line)), "{}", ended.stdout);
    }
    let ended = release(&["--no-backup", "--skip", "proof"]);
    let gap =
        "gap: proof: the proof was left out, so no takeover would be permitted; do without --skip proof";
    assert!(ended.status == 1 && ended.stderr.contains(gap), "{}", ended.stderr);
    assert_eq!(pair.acts(), [""; 0]);
}
