//! A pair of private hosts with a shared asset, two services, a loopback, a share and an address, for
//! the scenarios of a hand-over. Every command they run can be told to fail, or to kill its caller.

use bed::loopfs::{DISK_NEEDS, Disk, HOST_NEEDS, Host};
use bed::running::Ended;
use bed::{Bed, Need, Program, real};

/// What changes hands.
pub(crate) enum Asset<'a> {
    Bind,
    Ext4(&'a Disk),
    /// Any file system on a disk.
    Disk(&'a Disk),
    /// A volume group with one volume, played by scripts on this disk.
    Lvm(&'a Disk),
    Command,
    /// A pool, played by scripts; no kernel of ours knows ZFS, so nothing of it is mounted.
    Zfs,
    /// A folder, with everything that a hand-over can have steps for: commands before the take and after
    /// the release, what detaches the storage, a backup, and a restore.
    Whole,
}

/// Two hosts; `ec1` holds the asset and everything on it runs there.
pub(crate) struct Pair<'a> {
    pub(crate) bed: &'a Bed,
    one: Host<'a>,
    two: Host<'a>,
}

/// Tells whether this machine can have such hosts.
pub(crate) fn possible() -> bool {
    real::require(&DISK_NEEDS) && real::require(&HOST_NEEDS) && real::require(&[Need::Program("ip")])
}

/// What each fake tool does before its work: it counts its calls and, at the one that was told, fails,
/// or kills the program that called it, before or after doing its work.
const TROUBLE: &str = r#"
me=${0##*/}
did=0
act() { work "$@"; did=$?; }
# Only what changes something counts.
case "$me $*" in *" status"|"exportfs -s"|"ip -o"*|*" state"|*" id"|*" mark"|vgs*|pvs*|lvm*|"zpool list"*|"zpool get"*|"zpool import -d"*|*" --check "*|*" -n -q") act "$@"; exit $did;; esac
n=$(cat "$ORDERLY_BED/count" 2>/dev/null); n=$((${n:-0} + 1)); echo $n >"$ORDERLY_BED/count"
echo "$(uname -n) $me $*" >>"$ORDERLY_BED/acts"
told=$(grep -o "^[a-z-]* $n\$" "$ORDERLY_BED/trouble" 2>/dev/null)
case "$told" in
  "fail $n") echo "told to fail" >&2; exit 1;;
  "fail-after $n") act "$@"; echo "told to fail" >&2; exit 1;;
  "before $n") kill -9 $PPID; exit 1;;
  "after $n") act "$@"; kill -9 $PPID; exit 1;;
  "hang $n") sleep 1000; exit 1;;
  "int $n") kill -TERM $PPID; act "$@"; exit $did;;
esac
act "$@"; exit $did
"#;

/// Mounts a disk in a later second than the last one was mounted in: an ext4 dates its mounts by the second, and of two
/// in one second nobody can say that the asset was taken in between. Counted by the kernel, because some tests set clocks.
const MOUNT: &str = r#"now() { read -r up _ </proc/uptime; echo "${up%.*}${up#*.}"; }
work() {
  case "$*" in *--bind*) REAL_mount "$@"; return;; esac
  [ ! -e "$ORDERLY_BED/mounted" ] || while read -r last <"$ORDERLY_BED/mounted" && [ $(($(now) - last)) -lt 105 ]; do
    sleep 0.05
  done
  REAL_mount "$@"; code=$?
  now >"$ORDERLY_BED/mounted"
  return $code
}"#;

const SERVICE: &str = r#"work() {
  here="$ORDERLY_BED/$(uname -n).$1"
  case $2 in
    status) if [ -e "$here" ]; then echo online; else echo offline; fi;;
    stop) rm -f "$here";;
    start) : >"$here";;
  esac
}"#;

const EXPORTFS: &str = r#"work() {
  table="$ORDERLY_BED/etab.$(uname -n)"; touch "$table"
  case "$1" in
    -s) cat "$table";;
    -u) grep -v -F "${2#*:}  ${2%%:*}(" "$table" >"$table.new"; mv "$table.new" "$table";;
    -o) grep -v -F "${3#*:}  ${3%%:*}(" "$table" >"$table.new"; echo "${3#*:}  ${3%%:*}($2)" >>"$table.new"; mv "$table.new" "$table";;
  esac
  return 0
}"#;

const MYASSET: &str = r#"mounted() { grep -q " $ORDERLY_BED/at " /proc/self/mountinfo; }
work() {
  case $1 in
    id) echo my-asset-1;;
    mark) cat "$ORDERLY_BED/asset.mark";;
    state) read -r holder <"$ORDERLY_BED/asset.holder" || holder=nobody
      case "$holder" in "$(uname -n)") echo held;; nobody) echo free;; *) echo elsewhere;; esac;;
    take) read -r holder <"$ORDERLY_BED/asset.holder" || holder=nobody
      case "$holder" in "$(uname -n)"|nobody) ;; *) [ "$2" = dead ] || { echo "$holder holds it" >&2; return 1; };; esac
      [ "$holder" = "$(uname -n)" ] || echo "$(uname -n)" >"$ORDERLY_BED/asset.holder"
      mounted || REAL_mount --bind "$ORDERLY_BED/source" "$ORDERLY_BED/at";;
    release) if mounted; then REAL_umount "$ORDERLY_BED/at" || return 1; fi
      read -r m <"$ORDERLY_BED/asset.mark"; read -r holder <"$ORDERLY_BED/asset.holder" || holder=nobody
      [ "$holder" = nobody ] || echo $((m + 1)) >"$ORDERLY_BED/asset.mark"; echo nobody >"$ORDERLY_BED/asset.holder";;
  esac
}"#;

impl<'a> Pair<'a> {
    /// Makes the pair; `ec1` has everything.
    pub(crate) fn new(bed: &'a Bed, asset: &Asset<'_>) -> Self {
        bed.tools(&[
            "uname", "ls", "cat", "dd", "rm", "sync", "touch", "grep", "mv", "hostid", "sleep", "sort",
        ]);
        for (name, work) in [
            ("mount", MOUNT.replace("REAL_mount", &path_of("mount"))),
            ("umount", real_tool("umount")),
            ("ip", real_tool("ip")),
            ("svc", SERVICE.to_owned()),
            ("exportfs", EXPORTFS.to_owned()),
            (
                "myasset",
                MYASSET.replace("REAL_mount", &path_of("mount")).replace("REAL_umount", &path_of("umount")),
            ),
            ("arping", "work() { :; }".to_owned()),
        ] {
            bed.script(format!("fakes/{name}"), &format!("{work}\n{TROUBLE}"));
        }
        bed.script("fakes/ping", "for last; do :; done; [ -e \"$ORDERLY_BED/answers.$last\" ]");
        for folder in ["at", "loop", "source"] {
            std::fs::create_dir_all(bed.path(folder)).unwrap();
        }
        bed.write("asset.holder", "ec1\n");
        bed.write("asset.mark", "1\n");
        bed.config("ha.toml", config(bed, asset));
        if let Asset::Lvm(_) = asset {
            crate::lvm::write_tools(bed, TROUBLE);
        }
        let pair = Self { bed, one: Host::new(bed, "ec1"), two: Host::new(bed, "ec2") };
        if let Asset::Zfs = asset {
            pair.import_pool();
            return pair;
        }
        let what = match asset {
            Asset::Bind | Asset::Whole => "mount --bind source at".to_owned(),
            Asset::Ext4(disk) | Asset::Disk(disk) => {
                format!("mount -o noatime {} at", disk.device().display())
            }
            Asset::Lvm(disk) => {
                for host in [1, 2] {
                    pair.shell(host, &crate::lvm::prepare(disk)).run();
                }
                "vgimport shared >quiet && vgchange --activate y shared >quiet && mount -o noatime /dev/mapper/shared-data at".to_owned()
            }
            Asset::Command | Asset::Zfs => "myasset take".to_owned(),
        };
        let path = bed.path("at");
        let line = format!(
            "{what} && [ -d at/opt ] || /bin/mkdir at/opt; /bin/mkdir -p at/share && mount --bind at/opt loop && \
             svc proxy start && svc ec start && exportfs -o rw,fsid=9,sync ec9:{0}/share && exportfs -o ro other:/home && \
             ip address add 192.0.2.10/32 dev lo",
            path.display()
        );
        pair.one.shell(&line).run();
        if let Asset::Whole = asset {
            with_backup(&pair);
            pair.count_habackup();
        }
        pair.forget();
        pair
    }

    /// Gives each host an `/etc` of its own, and the first one the pool.
    fn import_pool(&self) {
        crate::zfs::pool::write_tools(self.bed);
        for host in [1, 2] {
            self.shell(host, &crate::zfs::pool::etc(host)).run();
        }
        let text = self.bed.read("fakes/zpool").replace(">>\"$B/acts\"", ">/dev/null");
        self.bed.script("zpool.played", &text);
        let work = "work() { /bin/sh \"$ORDERLY_BED/zpool.played\" \"$@\"; }";
        self.bed.script("fakes/zpool", &format!("{work}\n{TROUBLE}"));
        let line = format!(
            "svc proxy start && svc ec start && exportfs -o rw,fsid=9,sync ec9:{}/share && exportfs -o ro other:/home && \
             ip address add 192.0.2.10/32 dev lo",
            self.bed.path("at").display()
        );
        self.one.shell(&line).run();
        self.forget();
    }

    /// Lets `habackup` count, and be in trouble, like the other commands. The programs run the one that
    /// lies beside them, so they get a folder of their own.
    fn count_habackup(&self) {
        let built = bed::binaries::folder();
        for name in ["ha-release", "ha-takeover"] {
            let own = self.bed.path("bin").join(name);
            std::fs::remove_file(&own).unwrap();
            if std::fs::hard_link(built.join(name), &own).is_err() {
                std::fs::copy(built.join(name), &own).unwrap();
            }
        }
        std::fs::remove_file(self.bed.path("bin/habackup")).unwrap();
        let work = format!("work() {{ {} \"$@\"; }}", built.join("habackup").display());
        self.bed.script("bin/habackup", &format!("{work}\n{TROUBLE}"));
    }

    /// Gives the second host a device of its own for the disk, as a kernel of its own would have: what the
    /// first one keeps in memory it does not see.
    pub(crate) fn apart(&self, disk: &Disk) {
        let line = format!("/bin/mount --bind {} {}", disk.again().display(), disk.device().display());
        self.shell(2, &line).run();
        self.forget();
    }

    /// Cuts a host's power.
    pub(crate) fn power_off(&mut self, host: usize) {
        if host == 1 { self.one.power_off() } else { self.two.power_off() }
    }

    /// Boots a host whose power is off; nothing of what was mounted or ran there is.
    pub(crate) fn boot(&mut self, host: usize) {
        let booted = Host::new(self.bed, if host == 1 { "ec1" } else { "ec2" });
        *(if host == 1 { &mut self.one } else { &mut self.two }) = booted;
        std::fs::remove_file(self.bed.path(format!("etab.ec{host}"))).ok();
    }

    /// Tells whether the asset is mounted on a host, without asking anything of it.
    pub(crate) fn has_mounted(&self, host: usize) -> bool {
        self.host(host).has_mounted(&self.bed.path("at"))
    }

    /// Returns a host's process 1 as this machine sees it.
    pub(crate) fn first_process(&self, host: usize) -> &str {
        self.host(host).first_process()
    }

    /// Returns a run of `ha-release` on a host.
    pub(crate) fn release(&self, host: usize) -> Program<'a> {
        self.program(host, "ha-release")
    }

    /// Releases the asset on a host, without a failure on the way.
    pub(crate) fn released(&self, host: usize) -> Ended {
        let ended = self.release(host).stdout_contains("is safe to take over").any_stderr().run();
        assert!(!ended.stderr.contains("failed"), "{}", ended.stderr);
        ended
    }

    /// Takes the asset on a host by the last record of the other one, without a failure on the way.
    pub(crate) fn taken(&self, host: usize) -> Ended {
        let run = self.takeover(host).arg("--record").arg(self.record(3 - host));
        let ended = run.stdout_contains("taken: ").any_stderr().run();
        assert!(!ended.stderr.contains("failed"), "{}", ended.stderr);
        ended
    }

    /// Takes the asset back on the host that released it last, without a failure on the way.
    pub(crate) fn taken_back(&self, host: usize) -> Ended {
        let ended = self.way_back(host).stdout_contains("taken: ").any_stderr().run();
        assert!(!ended.stderr.contains("failed"), "{}", ended.stderr);
        ended
    }

    /// Returns a run of `ha-takeover` on a host.
    pub(crate) fn takeover(&self, host: usize) -> Program<'a> {
        self.program(host, "ha-takeover")
    }

    /// Returns a run of `ha-takeover` on the host that released last, by its own record and the word that the
    /// other one is off, which not every kind needs.
    pub(crate) fn way_back(&self, host: usize) -> Program<'a> {
        let peer = if host == 1 { "ec2" } else { "ec1" };
        self.takeover(host).args(["--peer-down", peer, "--record"]).arg(self.state(host).join("release.json"))
    }

    /// Returns a run of a shell line on a host.
    pub(crate) fn shell(&self, host: usize, line: &str) -> Program<'a> {
        self.host(host).shell(line).env("ORDERLY_STATE_DIR", self.state(host))
    }

    /// Returns a run of one of the programs on a host.
    pub(crate) fn program(&self, host: usize, name: &str) -> Program<'a> {
        self.host(host).program(name).env("ORDERLY_STATE_DIR", self.state(host))
    }

    fn host(&self, host: usize) -> &Host<'a> {
        if host == 1 { &self.one } else { &self.two }
    }

    /// Returns a host's state folder.
    pub(crate) fn state(&self, host: usize) -> std::path::PathBuf {
        self.bed.path(format!("state/ec{host}"))
    }

    /// Returns where a host keeps its last release record.
    pub(crate) fn record(&self, host: usize) -> std::path::PathBuf {
        self.state(host).join("release.json")
    }

    /// Lets a tool of this machine count, and be in trouble, like those that change something.
    pub(crate) fn count_also(&self, name: &str) {
        self.bed.script(format!("fakes/{name}"), &format!("{}\n{TROUBLE}", real_tool(name)));
    }

    /// Tells the tools what to do at which of the calls that follow.
    pub(crate) fn trouble(&self, told: &str) {
        self.forget();
        self.bed.write("trouble", told);
    }

    /// Lets everything work again, and counts calls from 1.
    pub(crate) fn forget(&self) {
        for name in ["trouble", "count", "acts"] {
            std::fs::remove_file(self.bed.path(name)).ok();
        }
    }

    /// Returns the changing commands that were run since.
    pub(crate) fn acts(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.bed.path("acts")).unwrap_or_default();
        let root = self.bed.root().display().to_string();
        text.lines().map(|line| line.replace(&root, "")).collect()
    }

    /// Returns all that a release changes on a host, in a fixed order.
    pub(crate) fn world(&self, host: usize) -> String {
        let look = "while read -r id up dev root at opts rest; do case $at in *orderly-*) echo \"mount ${at##*/} $opts\";; esac; \
                    done </proc/self/mountinfo | sort; for s in proxy ec; do echo \"$s $(svc $s status)\"; done; \
                    exportfs -s | sort; [ ! -e imported.$(uname -n) ] || echo \"mount at (a pool)\"; \
                    [ ! -e outside/file ] || cat outside/file; ip -o address show dev lo | grep -o 192.0.2.10 || true";
        self.shell(host, look).any_stdout().run().stdout.replace(&self.bed.root().display().to_string(), "")
    }

    /// Returns the hosts on which the asset is mounted (or held, where nothing is mounted).
    pub(crate) fn holders(&self) -> Vec<usize> {
        let holds = |host: &usize| {
            let world = self.world(*host);
            world.lines().any(|line| line.starts_with("mount at "))
        };
        [1, 2].into_iter().filter(holds).collect()
    }
}

fn real_tool(name: &str) -> String {
    format!("work() {{ {} \"$@\"; }}", path_of(name))
}

fn path_of(name: &str) -> String {
    let path = real::find(name).unwrap_or_else(|| panic!("no program {name} on this machine"));
    path.display().to_string()
}

fn config(bed: &Bed, asset: &Asset<'_>) -> String {
    let root = bed.root().display();
    let mount = format!("[[asset.mount]]\nat = \"{root}/at\"\n");
    let loopback = if matches!(asset, Asset::Zfs) {
        String::new()
    } else {
        format!("[[loopback]]\nsource = \"{root}/at/opt\"\nat = \"{root}/loop\"\n")
    };
    let asset = match asset {
        Asset::Zfs => format!("kind = \"zfs\"\npool = \"tank\"\ndevices = [\"{root}/disks\"]\n"),
        Asset::Whole => format!(
            "kind = \"bind\"\nbefore_take = [[\"svc\", \"login\", \"start\"]]\nafter_release = [[\"svc\", \"logout\", \"stop\"]]\n\
             detach = [\"svc\", \"cable\", \"stop\"]\nsource = \"{root}/source\"\n{mount}"
        ),
        Asset::Bind => format!("kind = \"bind\"\nsource = \"{root}/source\"\n{mount}"),
        Asset::Ext4(disk) | Asset::Disk(disk) => format!(
            "kind = \"filesystem\"\ndevice = \"{}\"\n{mount}options = \"noatime\"\n",
            disk.device().display()
        ),
        Asset::Lvm(_) => {
            format!("kind = \"lvm\"\ngroup = \"shared\"\n{mount}volume = \"data\"\noptions = \"noatime\"\n")
        }
        Asset::Command => format!(
            "kind = \"command\"\nidentity = [\"myasset\", \"id\"]\nstate = [\"myasset\", \"state\"]\n\
                           mark = [\"myasset\", \"mark\"]\ntake = [\"myasset\", \"take\"]\n\
                           take_dead = [\"myasset\", \"take\", \"dead\"]\nrelease = [\"myasset\", \"release\"]\n{mount}"
        ),
    };
    format!(
        r#"[[host]]
name = "ec1"
address = "192.0.2.1"
fence = ["svc", "power", "stop"]
fence_status = ["/bin/sh", "-c", "cat \"$ORDERLY_BED/power.ec1\""]
[[host]]
name = "ec2"
address = "192.0.2.2"
[asset]
timeout = "20s"
{asset}
[[service]]
name = "proxy"
status = ["svc", "proxy", "status"]
stop = ["svc", "proxy", "stop"]
start = ["svc", "proxy", "start"]
timeout = "3s"
[[service]]
name = "ec"
status = ["svc", "ec", "status"]
stop = ["svc", "ec", "stop"]
start = ["svc", "ec", "start"]
timeout = "3s"
{loopback}[[share]]
path = "{root}/at/share"
clients = ["*"]
options = "ro"
fsid = "7"
[[address]]
cidr = "192.0.2.10/32"
device = "lo"
"#
    )
}

/// Adds a backup of `outside`, of which each host has its own, to the configuration.
pub(crate) fn with_backup(pair: &Pair<'_>) {
    let root = pair.bed.root().display();
    let backup = format!(
        "[backup]\ndirectory = \"{root}/at/habackup\"\ninclude = [\"{root}/outside\"]\nmax_age = \"1h\"\n"
    );
    let text = pair.bed.read("etc/ha.toml");
    pair.bed.config("ha.toml", text + &backup);
    std::fs::create_dir_all(pair.bed.path("outside")).unwrap();
    for host in [1, 2] {
        pair.bed.write(format!("outside.{host}/file"), format!("of {host}\n"));
        pair.shell(host, &format!("mount --bind outside.{host} outside")).run();
    }
    pair.forget();
}
