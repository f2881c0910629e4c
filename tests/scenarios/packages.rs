//! The Debian package: built twice, looked at by lintian, and installed on a real systemd, where the hourly job runs
//! without a hand, and from where it goes without a trace.

use super::install::with_completions;
use bed::binaries::{self, workspace};
use bed::systemd::{Booted, SYSTEMD_NEEDS};
use bed::{Bed, Need, Program, real};
use std::path::PathBuf;

/// What building takes.
const NEEDS: [Need; 2] = [Need::Program("dpkg-buildpackage"), Need::Program("dh")];

/// The tools of a whole Debian machine, which building and installing take; there is none among them that a script of
/// ours would end the machine by.
const MACHINE: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// One call of packaging/deb.sh for the programs of this folder, into a folder of this name.
fn build<'a>(bed: &'a Bed, programs: &str, to: &str) -> Program<'a> {
    bed.shell("umask $UMASK; exec \"$0\"")
        .arg(workspace().join("packaging/deb.sh"))
        .env("UMASK", "022")
        .env("PATH", MACHINE)
        .env("BIN_DIR", bed.path(programs))
        .env("PROGRAMS", binaries::PROGRAMS.join(" "))
        .env("VERSION", "0.1.0")
        .env("SOURCE_DATE_EPOCH", "1790000000")
        // Testing is no time to press well.
        .env("DPKG_DEB_COMPRESSOR_LEVEL", "0")
        .env("DEB_DIR", bed.path(to))
        .any_stdout()
}

/// Returns the package in a folder.
fn package(bed: &Bed, folder: &str) -> PathBuf {
    let found: Vec<PathBuf> =
        std::fs::read_dir(bed.path(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [package] = found.as_slice() else { panic!("{found:?}") };
    package.clone()
}

#[test]
fn the_same_source_makes_the_same_package() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    // Small programs stand in: what they are is no matter here.
    for name in binaries::PROGRAMS.iter().chain(&["csLogger"]) {
        std::fs::create_dir_all(bed.path("small")).unwrap();
        std::fs::copy(real::find("true").unwrap(), bed.path("small").join(name)).unwrap();
    }
    build(&bed, "small", "one").run();
    let elsewhere = bed.path("else where");
    std::fs::create_dir(&elsewhere).unwrap();
    build(&bed, "small", "two")
        .env("UMASK", "077")
        .env("TMPDIR", &elsewhere)
        .env("HOME", "/nonexistent")
        .env("TZ", "Pacific/Kiritimati")
        .env("LC_ALL", "C.UTF-8")
        .run();
    let (one, two) = (package(&bed, "one"), package(&bed, "two"));
    assert!(std::fs::read(&one).unwrap() == std::fs::read(&two).unwrap(), "diffoscope {one:?} {two:?}");
}

#[test]
fn lintian_accepts_the_package() {
    if !real::require(&NEEDS) || !real::require(&[Need::Program("lintian")]) {
        return;
    }
    let bed = Bed::new();
    with_completions(&bed);
    build(&bed, "bin", "out").run();
    let lintian = bed.external(real::find("lintian").unwrap()).env("PATH", MACHINE);
    // It warns, as root, of being root.
    lintian.args(["--allow-root", "--fail-on", "error,warning"]).arg(package(&bed, "out")).run();
}

/// After `dpkg -i` nobody ever took the hourly backup; after a purge a live timer and a dangling link stayed.
#[test]
fn the_hourly_job_runs_once_the_package_is_installed_and_is_gone_with_it() {
    let needs =
        [NEEDS.as_slice(), &SYSTEMD_NEEDS, &[Need::Program("unshare"), Need::Program("dpkg")]].concat();
    if !real::require(&needs) {
        return;
    }
    let bed = Bed::new();
    build(&bed, "bin", "out").run();
    let package = package(&bed, "out").display().to_string();
    let ec1 = Booted::whole(&bed, "ec1");
    let shell = |line: &str| ec1.shell(line).env("PATH", MACHINE).any_stderr().any_stdout().run().stdout;
    // Nothing asks the administrator, and manual pages need not be indexed here.
    shell(&format!("dpkg --no-triggers -i {package}"));
    let timer = shell("systemctl show -P ActiveState,UnitFileState,TimersCalendar habackup.timer");
    let words: Vec<&str> = timer.split_whitespace().collect();
    assert!(
        timer.contains("OnCalendar=*-*-* *:00:00") && words.contains(&"active") && words.contains(&"enabled"),
        "{timer}"
    );
    // Unconfigured it stays silent and harmless, and is no failed unit.
    let start = "systemctl start habackup.service; systemctl show -P Result,ActiveState habackup.service";
    assert_eq!(shell(start), "success\ninactive\n");
    assert_eq!(shell("ls -d /etc/orderly /var/lib/orderly 2>/dev/null || :"), "");
    shell(CONFIGURE);
    assert_eq!(shell(start), "success\ninactive\n");
    let copied = "/srv/asset/habackup/latest/tree/srv/source";
    let copies = shell(&format!("cd {copied} && stat -c '%n %A %U' *"));
    assert_eq!(
        copies,
        "a -rw-r--r-- root\ndevice crw-r--r-- root\nset -rwsr-xr-x daemon\n",
        "{}",
        shell("systemctl status habackup.service || :")
    );
    // Its mounts are those of everybody: with its own it would keep the asset busy.
    assert_eq!(shell("cat /run/mounts"), shell("readlink /proc/1/ns/mnt"));
    shell("dpkg -r orderly");
    assert_eq!(shell("systemctl list-timers --no-legend habackup.timer"), "");
    shell("dpkg -P orderly");
    assert_eq!(
        shell("find /etc /usr /var -name '*habackup*' -o -name '*orderly*' -prune | sort"),
        "/etc/orderly\n/var/lib/orderly\n",
        "nothing but configuration and state"
    );
}

/// An asset of one folder, and sources that a hardened service might not be able to copy, or to ask.
const CONFIGURE: &str = r#"set -e
mkdir -p /etc/orderly /srv/source /srv/shared /srv/asset
cd /srv/source
echo 1 >a
mknod device c 1 3
cp /bin/true set
chown daemon set
chmod 4755 set
cat >/etc/orderly/ha.toml <<END
[[host]]
name = "ec1"
[[host]]
name = "ec2"
[asset]
kind = "bind"
source = "/srv/shared"
[[asset.mount]]
at = "/srv/asset"
[[service]]
name = "controller"
status = ["sh", "-c", "readlink /proc/self/ns/mnt >/run/mounts && setpriv --reuid daemon --clear-groups echo online"]
stop = ["true"]
start = ["true"]
[backup]
directory = "/srv/asset/habackup"
include = ["/srv/source"]
END
mount --bind /srv/shared /srv/asset
"#;
