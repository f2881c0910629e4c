//! The packages: built twice, compared with each other, looked at by lintian; the Debian one is installed on a real
//! systemd, where the hourly job runs without a hand, and from where it goes without a trace.

use super::install::with_completions;
use bed::binaries::{self, workspace};
use bed::systemd::{Booted, SYSTEMD_NEEDS};
use bed::{Bed, Need, Program, real};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What building takes.
const NEEDS: [Need; 2] = [Need::Program("dpkg-buildpackage"), Need::Program("dh")];

/// The tools of a whole Debian machine, which building and installing take; there is none among them that a script of
/// ours would end the machine by.
const MACHINE: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// One call of packaging/deb.sh for the programs of this folder, into a folder of this name.
fn build<'a>(bed: &'a Bed, programs: &str, to: &str) -> Program<'a> {
    package_of(bed, "deb.sh", programs).env("DEB_DIR", bed.path(to))
}

/// One call of packaging/rpm.sh, likewise.
fn build_rpm<'a>(bed: &'a Bed, programs: &str, to: &str) -> Program<'a> {
    package_of(bed, "rpm.sh", programs).env("RPM_DIR", bed.path(to))
}

fn package_of<'a>(bed: &'a Bed, script: &str, programs: &str) -> Program<'a> {
    bed.shell("umask $UMASK; exec \"$0\"")
        .arg(workspace().join("packaging").join(script))
        .env("UMASK", "022")
        .env("PATH", MACHINE)
        .env("BIN_DIR", bed.path(programs))
        .env("PROGRAMS", binaries::PROGRAMS.join(" "))
        .env("VERSION", "0.1.0")
        .env("SOURCE_DATE_EPOCH", "1790000000")
        // Testing is no time to press well.
        .env("DPKG_DEB_COMPRESSOR_LEVEL", "0")
        .any_stdout()
}

/// Returns the package in a folder.
fn package(bed: &Bed, folder: &str) -> PathBuf {
    let found: Vec<PathBuf> =
        std::fs::read_dir(bed.path(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [package] = found.as_slice() else { panic!("{found:?}") };
    package.clone()
}

/// Small programs stand in where what they are is no matter.
fn with_small_programs(bed: &Bed) {
    with_completions(bed);
    std::fs::rename(bed.path("bin/completions"), bed.write("small/x", "").with_file_name("completions"))
        .unwrap();
    bed.write("small/THIRD-PARTY.md", "notices");
    for name in binaries::PROGRAMS.iter().chain(&["csLogger"]) {
        std::fs::copy(real::find("true").unwrap(), bed.path("small").join(name)).unwrap();
    }
}

/// Another user, at another place, with other settings.
fn elsewhere<'a>(bed: &Bed, program: Program<'a>) -> Program<'a> {
    let temporary = bed.write("elsewhere/x", "").with_file_name("");
    let program = program.env("UMASK", "077").env("TMPDIR", temporary).env("HOME", "/nonexistent");
    program.env("TZ", "Pacific/Kiritimati").env("LC_ALL", "C.UTF-8")
}

fn assert_same(bed: &Bed, one: &str, two: &str) {
    let (one, two) = (package(bed, one), package(bed, two));
    assert!(std::fs::read(&one).unwrap() == std::fs::read(&two).unwrap(), "diffoscope {one:?} {two:?}");
}

#[test]
fn the_same_source_makes_the_same_debian_package() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    with_small_programs(&bed);
    build(&bed, "small", "one").run();
    elsewhere(&bed, build(&bed, "small", "two")).run();
    assert_same(&bed, "one", "two");
}

#[test]
fn the_rpm_package_has_the_files_of_the_debian_one_each_at_its_place() {
    let rpm = ["rpmbuild", "rpm", "strip"].map(Need::Program);
    if !real::require(&NEEDS) || !real::require(&rpm) {
        return;
    }
    let bed = Bed::new();
    with_small_programs(&bed);
    build(&bed, "small", "deb").run();
    build_rpm(&bed, "small", "rpm").run();
    elsewhere(&bed, build_rpm(&bed, "small", "again")).run();
    assert_same(&bed, "rpm", "again");
    let listed = |line: &str, package: &Path| {
        let said = bed.shell(line).arg(package).env("PATH", MACHINE).any_stdout().run().stdout;
        // Each distribution says in folders of its own how it is licensed and what changed.
        let said =
            said.lines().filter(|file| !file.contains("/doc/orderly/") && !file.contains("/licenses/"));
        said.map(str::to_owned).collect::<BTreeSet<String>>()
    };
    let debian = listed(
        "dpkg-deb --fsys-tarfile \"$0\" | tar -t | grep -v '/$' | sed 's|^[.]||'",
        &package(&bed, "deb"),
    );
    let debian: BTreeSet<String> = debian
        .iter()
        .map(|file| file.replace("/vendor-completions/", "/site-functions/"))
        .map(|file| if file.starts_with("/lib/") { format!("/usr{file}") } else { file })
        .collect();
    let rocky = listed(
        "rpm -qp --qf '[%{FILEMODES:perms} %{FILENAMES}\n]' \"$0\" | sed -n 's|^[^d][^ ]* ||p'",
        &package(&bed, "rpm"),
    );
    assert!(rocky.contains("/usr/sbin/habackup"), "{rocky:?}");
    let only = |these: &BTreeSet<String>, those: &BTreeSet<String>| {
        these.difference(those).cloned().collect::<Vec<_>>()
    };
    assert_eq!((only(&debian, &rocky), only(&rocky, &debian)), (vec![], vec![]));
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
    // What whoever tests here has configured is no matter.
    shell("rm -rf /etc/orderly /var/lib/orderly");
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
