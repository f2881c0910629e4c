//! The hourly job: the shipped cron file, run by a real cron, and the shipped units, by a real systemd.

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
    let hourly = "\n7 * * * * root test -d /run/systemd/system || /usr/sbin/habackup -q --if-held\n";
    assert!(shipped.contains(hourly), "{shipped}");
    bed.write("jobs/habackup", shipped.replace("\n7 * * * * root", "\n* * * * * root"));
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

/// The shipped units run as shipped, in a real systemd: only the hour is made every second, and what they
/// name lies in the bed.
#[test]
fn the_shipped_timer_takes_a_snapshot_in_silence() {
    if !real::require(&SYSTEMD_NEEDS) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.write("source/a", "1");
    let root = bed.root().display().to_string();
    let shipped = |name: &str, changes: &[(&str, &str)]| {
        let text = fs::read_to_string(bed::binaries::workspace().join("packaging").join(name)).unwrap();
        changes.iter().fold(text, |text, (from, to)| {
            assert!(text.contains(from), "{from} in {text}");
            text.replace(from, to)
        })
    };
    let job = bed.script(
        "job",
        &format!(
            "ORDERLY_HOST=ec1 ORDERLY_CONFIG_DIR={root}/etc ORDERLY_STATE_DIR={root}/state PATH={root}/tools \
             {root}/bin/habackup \"$@\" >{root}/said 2>&1; status=$?; echo \"$*\" $status >>{root}/ended; exit $status"
        ),
    );
    let service = shipped(
        "habackup.service",
        &[
            ("/usr/sbin/habackup", &job.display().to_string()),
            ("/etc/orderly/ha.toml", &format!("{root}/etc/ha.toml")),
        ],
    );
    let timer = shipped(
        "habackup.timer",
        &[
            ("OnCalendar=hourly", "OnCalendar=*:*:*\nAccuracySec=100ms"),
            ("RandomizedDelaySec=5min", "RandomizedDelaySec=0"),
        ],
    );
    let ec1 = Booted::new(&bed, "ec1", &[("habackup.service", service), ("habackup.timer", timer)]);
    ec1.shell("mount --bind shared asset && systemctl start habackup.timer").run();
    wait_until("the timer has run the job", || bed.path("ended").exists());
    ec1.shell("systemctl stop habackup.timer && systemctl stop habackup.service").run();
    let ended = bed.read("ended");
    assert!(ended.lines().all(|line| line == "-q --if-held 0"), "{ended}");
    assert_eq!(bed.read("said"), "", "success is silent");
    assert!(!snapshots(&bed).is_empty());
    let result = ec1.shell("systemctl show -p Result habackup.service").any_stdout().run().stdout;
    assert_eq!(result, "Result=success\n");
}

#[test]
fn the_shipped_units_are_what_systemd_understands() {
    if !real::require(&[Need::Program("systemd-analyze")]) {
        return;
    }
    let bed = Bed::new();
    let packaging = bed::binaries::workspace().join("packaging");
    for unit in ["habackup.service", "habackup.timer"] {
        let text = fs::read_to_string(packaging.join(unit)).unwrap();
        // The program is not installed on the machine that tests.
        bed.write(format!("units/{unit}"), text.replace("/usr/sbin/habackup", "/bin/true"));
    }
    bed.tool("systemd-analyze");
    let said = bed.shell("systemd-analyze verify --man=no units/habackup.timer units/habackup.service 2>&1; systemd-analyze calendar hourly");
    let said = said.any_stdout().any_stderr().any_status().run().stdout;
    assert!(!said.contains("habackup"), "{said}");
}
