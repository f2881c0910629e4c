//! The hourly job: the shipped cron file, run by a real cron, and the shipped systemd units, run by a
//! real systemd.

use super::snapshot::{configure, holder, snapshots};
use bed::loopfs::HOST_NEEDS;
use bed::systemd::{Booted, SYSTEMD_NEEDS};
use bed::{Bed, Need, real, wait_until};
use std::fs;

/// The shipped line runs as shipped: only its minute is made every minute, so as not to wait an hour.
#[test]
fn the_shipped_cron_file_takes_a_snapshot_in_silence() {
    if !real::require(&HOST_NEEDS) || !real::require(&[Need::Program("cron")]) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tools(&["cron", "mkdir", "cp", "chmod", "chown"]);
    bed.write("source/a", "1");
    let shipped = fs::read_to_string(bed::binaries::workspace().join("packaging/habackup.cron")).unwrap();
    let hourly = "\n7 * * * * root if [ ! -d /run/systemd/system ] && [ -x /usr/sbin/habackup ] && [ -e /etc/orderly/ha.toml ]; \
                  then /usr/sbin/habackup -q --if-held; fi\n";
    assert!(shipped.contains(hourly), "{shipped}");
    let here = format!("{}/etc/ha.toml", bed.root().display());
    let job = shipped.replace("\n7 * * * * root", "\n* * * * * root").replace("/etc/orderly/ha.toml", &here);
    bed.write("jobs/habackup", job);
    bed.write("crontab", "");
    let host = holder(&bed, "ec1");
    let program = host.shell("command -v habackup").any_stdout().run().stdout;
    let (root, program) = (bed.root().display(), program.trim());
    fs::create_dir_all(bed.path("sbin")).unwrap();
    bed.script(
        "sbin/habackup",
        &format!(
            "ORDERLY_HOST=ec1 ORDERLY_CONFIG_DIR={root}/etc ORDERLY_STATE_DIR={root}/state PATH={root}/tools:$PATH {program} \"$@\" \
             >{root}/said 2>&1; status=$?; cat {root}/said; echo $status >{root}/ended"
        ),
    );
    // The host's own /run, jobs and programs; this machine's jobs must not run a second time.
    let line = "set -e; mkdir -p run spool/crontabs; cp \"$(command -v cron)\" the-cron; chown -R 0:0 jobs; chmod 644 jobs/habackup; \
                mount --bind run /run; mount --bind spool /var/spool/cron; mount --bind jobs /etc/cron.d; \
                mount --bind crontab /etc/crontab; mount --bind sbin /usr/sbin; exec ./the-cron -f";
    let cron = host.shell(line).any_status().any_stderr().any_stdout().spawn();
    wait_until("cron has run the job", || bed.path("ended").exists());
    wait_until("the job has ended", || !bed.read("ended").is_empty());
    drop(cron);
    assert_eq!((bed.read("ended"), bed.read("said")), ("0\n".to_owned(), String::new()), "success is silent");
    assert_eq!(snapshots(&bed).len(), 1);
}

/// The shipped timer starts the shipped service: only its hour is made every two seconds, and what the
/// program is told of its surroundings is the bed's.
#[test]
fn the_shipped_timer_takes_a_snapshot_in_silence() {
    if !real::require(&SYSTEMD_NEEDS) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.write("source/a", "1");
    let packaging = bed::binaries::workspace().join("packaging");
    let shipped = |unit| fs::read_to_string(packaging.join(unit)).unwrap();
    let root = bed.root().display();
    let exact = |text: String, shipped: &str, here: &str| {
        assert!(text.contains(shipped), "{text}");
        text.replace(shipped, here)
    };
    let job = bed.path("job").display().to_string();
    let service =
        exact(shipped("habackup.service"), "/usr/sbin/habackup -q --if-held", &format!("{job} -q --if-held"));
    let service = exact(service, "/etc/orderly/ha.toml", &format!("{root}/etc/ha.toml"));
    let timer = exact(shipped("habackup.timer"), "OnCalendar=hourly", "OnCalendar=*:*:0/2");
    let timer = exact(timer, "RandomizedDelaySec=5min", "AccuracySec=1ms");
    let ec1 = Booted::new(&bed, "ec1", &[("habackup.service", service), ("habackup.timer", timer)]);
    let program = ec1.shell("command -v habackup").any_stdout().run().stdout;
    bed.script(
        "job",
        &format!(
            "exec >>{root}/said 2>&1\nORDERLY_HOST=ec1 ORDERLY_CONFIG_DIR={root}/etc ORDERLY_STATE_DIR={root}/state \
             PATH={root}/tools:$PATH exec {} \"$@\"",
            program.trim()
        ),
    );
    let result = || {
        let asked = "systemctl show -P Result,ActiveState habackup.service";
        ec1.shell(asked).any_stdout().run().stdout
    };
    // On the host that does not hold the asset the job succeeds and does nothing.
    ec1.shell("systemctl start habackup.service").run();
    assert_eq!(
        (result().as_str(), snapshots(&bed).len()),
        ("success\ninactive\n", 0),
        "{}",
        bed.read("said")
    );
    ec1.shell("mount --bind shared asset && systemctl start habackup.timer").run();
    wait_until("the timer has had a snapshot taken", || !snapshots(&bed).is_empty());
    ec1.shell("systemctl stop habackup.timer").run();
    wait_until("the job has ended", || result() == "success\ninactive\n");
    assert_eq!(bed.read("said"), "", "success is silent");
    ec1.program("habackup").arg("--verify").any_stdout().run();
}

#[test]
fn the_shipped_units_are_what_systemd_understands() {
    if !real::require(&[Need::Program("systemd-analyze")]) {
        return;
    }
    let bed = Bed::new();
    let packaging = bed::binaries::workspace().join("packaging");
    let units =
        ["habackup.service", "habackup.timer", "orderly-preflight.service", "orderly-preflight.timer"];
    for unit in units {
        let text = fs::read_to_string(packaging.join(unit)).unwrap();
        // The program is not installed on the machine that tests.
        bed.write(format!("units/{unit}"), text.replace("/usr/sbin/habackup", "/bin/true"));
    }
    bed.tool("systemd-analyze");
    let paths = units.map(|unit| format!("units/{unit}")).join(" ");
    let said = bed.shell(&format!("systemd-analyze verify --man=no {paths} 2>&1"));
    let said = said.any_stdout().any_stderr().any_status().run().stdout;
    assert!(!said.contains("habackup") && !said.contains("preflight"), "{said}");
}

/// Both lines choose the program by what `--status` ends with. Scripted: what the programs are asked is what counts.
#[test]
fn the_shipped_preflight_asks_each_host_for_its_own_role() {
    let bed = Bed::new();
    let packaging = bed::binaries::workspace().join("packaging");
    let text = |name: &str| fs::read_to_string(packaging.join(name)).unwrap();
    let cron = text("orderly-preflight.cron");
    let cron = cron.lines().find_map(|line| line.strip_prefix("#23 6 * * * root ")).unwrap();
    let unit = text("orderly-preflight.service");
    let unit = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/bin/sh -c '")).unwrap();
    let unit = unit.strip_suffix('\'').unwrap().replace("$$", "$");
    let here = bed.path("here").display().to_string();
    let config = bed.write("ha.toml", "").display().to_string();
    bed.script("here/ha-release", "echo release $* >>\"$ORDERLY_BED/asked\"\nread -r status <\"$ORDERLY_BED/held\"\ncase $1 in --status) exit $status;; esac");
    bed.script("here/ha-takeover", "echo takeover $* >>\"$ORDERLY_BED/asked\"");
    for line in [cron, &unit] {
        let line = line.replace("/usr/sbin", &here).replace("/etc/orderly/ha.toml", &config);
        let line = line.replace("/run/systemd/system", "/nowhere");
        for (held, asked) in [(0, "release"), (1, "release"), (4, "takeover"), (5, "takeover")] {
            bed.write("held", format!("{held}\n"));
            fs::remove_file(bed.path("asked")).ok();
            bed.shell(&line).run();
            let status = "release --status --exit-code --no-backup -q\n";
            assert_eq!(bed.read("asked"), format!("{status}{asked} --preflight -q\n"), "{line}");
        }
    }
}
