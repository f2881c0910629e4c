//! Two private hosts with a scripted pool: what `zpool` and `zdb` print is what the real ones printed.
//!
//! No kernel of ours knows ZFS, so nothing is mounted here; mounts of datasets are tried in the lab.

use bed::loopfs::{HOST_NEEDS, Host};
use bed::{Bed, Program, real};
use std::path::PathBuf;

/// The guid of the pool in the transcripts.
pub(crate) const GUID: &str = "14097120482456537026";

/// A pool that `ec1` holds, with a service and a share on it, seen by `ec2`.
pub(crate) struct Pool<'a> {
    pub(crate) bed: &'a Bed,
    one: Host<'a>,
    two: Host<'a>,
}

/// Tells whether this machine can have such hosts.
pub(crate) fn possible() -> bool {
    real::require(&HOST_NEEDS)
}

const SERVICE: &str = r#"here="$ORDERLY_BED/$(uname -n).$1"
case $2 in
status) if [ -e "$here" ]; then echo online; else echo offline; fi ;;
stop) rm -f "$here" ;;
start) : >"$here" ;;
esac"#;

const EXPORTFS: &str = r#"table="$ORDERLY_BED/etab.$(uname -n)"
case "$1" in
-s) cat "$table" ;;
-u) grep -v -F "${2#*:}  ${2%%:*}(" "$table" >"$table.new"; mv "$table.new" "$table" ;;
-o) echo "${3#*:}  ${3%%:*}($2)" >>"$table" ;;
esac
exit 0"#;

/// What each host has in its own `/etc`, so that nothing of this machine is read.
const ETC: &str = r#"mkdir -p etc.$1/zfs etc.$1/systemd/system/zfs-import.target.wants
for file in ld.so.cache ld.so.conf ld.so.conf.d nsswitch.conf passwd group; do
  [ ! -e /etc/$file ] || cp -r /etc/$file etc.$1/
done
printf "\\00$2\\000\\354\\000" >etc.$1/hostid
: >etc.$1/fstab
mount --bind etc.$1 /etc
# A machine that has ZFS must not answer in place of the script.
for folder in /proc/spl /sys/module/spl; do [ ! -d $folder ] || mount -t tmpfs none $folder; done"#;

/// Writes `zpool`, `zdb` and `zfs`, and the pool that they show, which `ec1` has imported.
pub(crate) fn write_tools(bed: &Bed) {
    bed.tools(&["sed", "mkdir", "cp", "mount"]);
    let fixtures = bed::binaries::workspace().join("tests/fakes");
    for name in ["zpool", "zdb"] {
        let body = std::fs::read_to_string(fixtures.join(format!("{name}.sh"))).unwrap();
        let head = format!("B=$ORDERLY_BED\nF={}\n", fixtures.join("zfs").display());
        bed.script(format!("fakes/{name}"), &(head + &body));
    }
    bed.script("fakes/zfs", "printf 'tank\\tnone\\ton\\tno\\t-\\ntank/xvm\\tlegacy\\ton\\tno\\t-\\n'");
    for disk in ["virtio-shared0-part1", "virtio-shared1-part1", "virtio-shared1-part10x", "virtio-other"] {
        bed.write(format!("disks/{disk}"), "");
    }
    bed.write("guid", format!("{GUID}\n"));
    bed.write("cachefile", "none\n");
    bed.write("label", "0 4 15466497 ec1\n");
    bed.write("imported.ec1", "ONLINE\n");
    bed.write("alive.ec1", "");
}

/// Returns the line that gives a host an `/etc` of its own, with its hostid.
pub(crate) fn etc(host: usize) -> String {
    ETC.replace("$1", &format!("ec{host}")).replace("$2", &host.to_string())
}

impl<'a> Pool<'a> {
    /// Makes the pair.
    pub(crate) fn new(bed: &'a Bed) -> Self {
        bed.tools(&["uname", "cat", "rm", "grep", "mv", "sleep"]);
        write_tools(bed);
        bed.script("fakes/svc", SERVICE);
        bed.script("fakes/exportfs", EXPORTFS);
        bed.script("fakes/ping", "for last; do :; done; [ -e \"$ORDERLY_BED/answers.$last\" ]");
        bed.write("ec1.app", "");
        let root = bed.root().display().to_string();
        bed.write("etab.ec1", format!("{root}/tank/share  ec9(rw,fsid=9)\n{root}/home  other(ro,fsid=1)\n"));
        bed.write("etab.ec2", "");
        bed.write("home/file", "");
        bed.config("ha.toml", config(bed));
        let pool = Self { bed, one: Host::new(bed, "ec1"), two: Host::new(bed, "ec2") };
        for host in [1, 2] {
            pool.shell(host, &etc(host)).run();
        }
        pool
    }

    pub(crate) fn release(&self, host: usize) -> Program<'a> {
        self.program(host, "ha-release")
    }

    pub(crate) fn takeover(&self, host: usize) -> Program<'a> {
        self.program(host, "ha-takeover")
    }

    fn program(&self, host: usize, name: &str) -> Program<'a> {
        self.host(host).program(name).env("ORDERLY_STATE_DIR", self.state(host))
    }

    pub(crate) fn shell(&self, host: usize, line: &str) -> Program<'a> {
        self.host(host).shell(line)
    }

    fn host(&self, host: usize) -> &Host<'a> {
        if host == 1 { &self.one } else { &self.two }
    }

    fn state(&self, host: usize) -> PathBuf {
        self.bed.path(format!("state/ec{host}"))
    }

    /// Returns where a host keeps its last release record.
    pub(crate) fn record(&self, host: usize) -> PathBuf {
        self.state(host).join("release.json")
    }

    /// Lets a host lose its power: its kernel forgets the pool, and its label stays.
    pub(crate) fn cut(&self, host: usize) {
        for file in [format!("imported.ec{host}"), format!("alive.ec{host}"), format!("ec{host}.app")] {
            std::fs::remove_file(self.bed.path(file)).ok();
        }
        self.bed.write(format!("etab.ec{host}"), "");
    }

    /// Returns the commands that changed something, since it was last asked.
    pub(crate) fn acts(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.bed.path("acts")).unwrap_or_default();
        std::fs::remove_file(self.bed.path("acts")).ok();
        text.lines().map(str::to_owned).collect()
    }

    /// Returns the hosts that have the pool imported.
    pub(crate) fn holders(&self) -> Vec<usize> {
        [1, 2].into_iter().filter(|host| self.bed.path(format!("imported.ec{host}")).exists()).collect()
    }

    /// Changes the configuration of both hosts.
    pub(crate) fn configure(&self, old: &str, new: &str) {
        let text = self.bed.read("etc/ha.toml");
        assert!(text.contains(old), "{old}");
        self.bed.config("ha.toml", text.replace(old, new));
    }

    /// Shows what the transcript of this name shows when pools are listed.
    pub(crate) fn listing(&self, transcript: &str) {
        let text = bed::binaries::workspace().join("tests/fakes/zfs").join(transcript);
        self.bed.write("listing", std::fs::read(text).unwrap());
    }
}

fn config(bed: &Bed) -> String {
    let root = bed.root().display();
    format!(
        r#"[[host]]
name = "ec1"
address = "192.0.2.1"
fence = ["/bin/sh", "-c", "rm -f \"$ORDERLY_BED\"/*.ec1; : >\"$ORDERLY_BED/etab.ec1\"; echo off >\"$ORDERLY_BED/power\""]
fence_status = ["/bin/sh", "-c", "cat \"$ORDERLY_BED/power\" || echo on"]
[[host]]
name = "ec2"
address = "192.0.2.2"
[asset]
kind = "zfs"
pool = "tank"
devices = ["{root}/disks"]
timeout = "20s"
[[service]]
name = "app"
status = ["svc", "app", "status"]
stop = ["svc", "app", "stop"]
start = ["svc", "app", "start"]
timeout = "3s"
[[share]]
path = "{root}/tank/share"
options = "ro"
fsid = "7"
"#
    )
}
