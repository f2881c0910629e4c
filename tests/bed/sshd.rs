//! A cluster of real sshd on loopback addresses: a node that is powered on is an sshd that runs.
//!
//! Whatever a login asks for is answered by a stand-in (ForceCommand), never by this machine: it is
//! logged, and a halt ends that one sshd. Unknown commands succeed and do nothing.

use crate::fakes::{lines_of, quoted};
use crate::{Bed, Need, real, wait_until};
use std::fmt::Write as _;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

/// What this bed needs of the machine.
pub const NEEDS: [Need; 4] =
    [Need::Root, Need::Program("sshd"), Need::Program("ssh"), Need::Program("ssh-keygen")];

/// Nodes that can be powered on and off, logged in to and halted.
#[derive(Debug)]
pub struct Cluster<'a> {
    bed: &'a Bed,
    folder: PathBuf,
    names: Vec<String>,
    port: u16,
}

impl<'a> Cluster<'a> {
    /// Makes the nodes, all off, and the fakes `power` and `ssh` by which programs reach them.
    pub fn new(bed: &'a Bed, names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let port = free_port(names.len());
        let cluster = Self { bed, folder: bed.path("cluster"), names, port };
        cluster.make_keys();
        for (index, name) in cluster.names.iter().enumerate() {
            cluster.make_node(name, address(index));
        }
        cluster.make_client();
        bed.script(
            "fakes/power",
            &POWER.replace("@cluster@", &cluster.shown()).replace("@sshd@", &program("sshd")),
        );
        cluster
    }

    /// Returns the inventory of these nodes, as JSON.
    pub fn inventory(&self) -> String {
        let nodes: Vec<serde_json::Value> = self
            .names
            .iter()
            .enumerate()
            .map(|(index, name)| serde_json::json!({"name": name, "number": index + 1, "address": address(index)}))
            .collect();
        serde_json::json!({"format": "orderly-inventory/1", "nodes": nodes}).to_string()
    }

    /// Writes `inventory.json` and a `cluster.toml` that reaches these nodes through real ssh; the
    /// sequence files are `cstartSeq`, `cshutSeq` and `subsysSeq` in the bed's root.
    pub fn configure(&self) {
        self.configure_shell("driver = \"ssh\"\n");
    }

    /// Writes the inventory, and returns the top of a `cluster.toml` that says where everything is.
    pub fn head(&self) -> String {
        let inventory = self.bed.write("etc/inventory.json", self.inventory());
        format!(
            "inventory = {:?}\nlog_dir = {:?}\nsequence = {{ start = {:?}, shut = {:?}, subsystems = {:?} }}\n\n",
            inventory,
            self.bed.path("log"),
            self.bed.path("cstartSeq"),
            self.bed.path("cshutSeq"),
            self.bed.path("subsysSeq"),
        )
    }

    /// As [`Cluster::configure`], with these lines for the table shell.
    pub fn configure_shell(&self, shell: &str) {
        let text = format!(
            "{}[power]\ndriver = \"command\"\non = [\"power\", \"on\", \"{{node}}\"]\noff = [\"power\", \"off\", \"{{node}}\"]\n\
             reset = [\"power\", \"reset\", \"{{node}}\"]\nstatus = [\"power\", \"status\", \"{{nodes}}\"]\n\n\
             [shell]\n{shell}\n\
             [probe]\ndriver = \"tcp\"\nport = {}\ninterval = \"50ms\"\ntimeout = \"5s\"\n\n\
             [shutdown]\nsettle = \"200ms\"\ngrace = \"200ms\"\n",
            self.head(),
            self.port
        );
        self.bed.config("cluster.toml", text);
    }

    /// Lends clush or pdsh, with each call noted.
    pub fn lend(&self, tool: &str) -> &Self {
        let log = quoted(&self.folder.join(format!("{tool}.log")).display().to_string());
        let body = format!("printf '%s\\n' \"$*\" >>{log}\nexec {} \"$@\"", program(tool));
        self.bed.script(format!("fakes/{tool}"), &body);
        self
    }

    /// Returns the calls of a lent tool, one line each.
    pub fn calls(&self, tool: &str) -> Vec<String> {
        lines_of(&self.folder.join(format!("{tool}.log")))
    }

    /// No longer lets anybody log in to a node.
    pub fn lock_out(&self, name: &str) -> &Self {
        let file = self.folder.join(name).join("sshd_config");
        let config = std::fs::read_to_string(&file).expect("read a node's sshd_config");
        let config = config.replace("authorized_keys", "no_keys");
        std::fs::write(&file, config).expect("write a node's sshd_config");
        self
    }

    /// Returns the port every node's sshd listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the configuration file for the ssh client (`ssh -F`).
    pub fn client_config(&self) -> PathBuf {
        self.folder.join("ssh_config")
    }

    /// Powers a node on and waits until it answers.
    pub fn power_on(&self, name: &str) -> &Self {
        self.power("on", name);
        wait_until(&format!("{name} is up"), || self.is_up(name));
        self
    }

    /// Cuts a node's power and waits until it no longer answers.
    pub fn power_off(&self, name: &str) -> &Self {
        self.power("off", name);
        wait_until(&format!("{name} is down"), || !self.is_up(name));
        self
    }

    /// Tells whether a node's sshd answers with its banner.
    pub fn is_up(&self, name: &str) -> bool {
        let index =
            self.names.iter().position(|known| known == name).unwrap_or_else(|| panic!("no node {name}"));
        let to = SocketAddr::new(IpAddr::V4(address(index)), self.port);
        let Ok(mut stream) = TcpStream::connect_timeout(&to, Duration::from_secs(5)) else { return false };
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok();
        let mut banner = [0; 4];
        stream.read_exact(&mut banner).is_ok() && &banner == b"SSH-"
    }

    /// Tells whether a node has power.
    pub fn is_on(&self, name: &str) -> bool {
        lines_of(&self.folder.join(name).join("power")) == ["on"]
    }

    /// Says what a halt does on a node: `clean`, `drop` (the connection is lost), `refuse` or `hang`.
    pub fn on_halt(&self, name: &str, what: &str) -> &Self {
        self.tell(name, "halt", what)
    }

    /// Has the login shell of a node read a start file with these lines.
    pub fn start_file(&self, name: &str, lines: &str) -> &Self {
        self.tell(name, "rc", lines)
    }

    /// Says whether a node's power reads `on` or `off` once it has halted.
    pub fn after_halt(&self, name: &str, power: &str) -> &Self {
        self.tell(name, "after_halt", power)
    }

    /// Answers commands that match a shell pattern with shell lines, on every node.
    pub fn answer(&self, pattern: &str, lines: &str) -> &Self {
        let path = self.folder.join("answers");
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        let text = format!("case $command in {pattern}) {lines}; exit 0 ;; esac\n{before}");
        std::fs::write(path, text).expect("write the answers of the nodes");
        self
    }

    /// Returns what was asked of the nodes, one line each: node, then `power …` or the command.
    pub fn asked(&self) -> Vec<String> {
        let without_time =
            |line: String| line.split_once(' ').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        lines_of(&self.folder.join("log")).into_iter().map(without_time).collect()
    }

    /// Returns the script a node was given to end users' processes.
    pub fn script(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name).join("script")).unwrap_or_default()
    }

    /// Returns what a node was given on standard input, by commands that read it.
    pub fn heard(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name).join("stdin")).unwrap_or_default()
    }

    fn tell(&self, name: &str, file: &str, what: &str) -> &Self {
        std::fs::write(self.folder.join(name).join(file), format!("{what}\n"))
            .expect("tell a node what to do");
        self
    }

    fn power(&self, what: &str, name: &str) {
        let mut command = Command::new(self.bed.path("fakes/power"));
        command.args([what, name]).stdin(Stdio::null());
        let status = crate::start(&mut command).wait().expect("wait for the power command");
        assert!(status.success(), "power {what} {name}");
    }

    fn shown(&self) -> String {
        quoted(&self.folder.display().to_string())
    }

    fn make_keys(&self) {
        std::fs::create_dir_all(&self.folder).expect("make the cluster's folder");
        // sshd separates its privileges there; a machine that never started one lacks it.
        std::fs::create_dir_all("/run/sshd").expect("make /run/sshd");
        for key in ["host_key", "user_key"] {
            let mut keygen = Command::new(program("ssh-keygen"));
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", key, "-f"]).arg(self.folder.join(key));
            let status = crate::start(keygen.stdin(Stdio::null())).wait().expect("wait for ssh-keygen");
            assert!(status.success(), "make {key}");
        }
        std::fs::copy(self.folder.join("user_key.pub"), self.folder.join("authorized_keys"))
            .expect("allow the key");
        std::fs::write(self.folder.join("answers"), "").expect("write the answers of the nodes");
    }

    fn make_node(&self, name: &str, address: Ipv4Addr) {
        let folder = self.folder.join(name);
        std::fs::create_dir_all(&folder).expect("make a node's folder");
        std::fs::write(folder.join("power"), "off\n").expect("switch a node off");
        let script = STAND_IN.replace("@cluster@", &self.shown()).replace("@node@", &quoted(name));
        let stand_in = self.bed.script(folder.join("command"), &script);
        let again =
            format!("SSH_ORIGINAL_COMMAND=$2\nexport SSH_ORIGINAL_COMMAND\nexec {}", stand_in.display());
        self.bed.script(folder.join("bin/sh"), &again);
        let at = |file: &str| self.folder.join(file).display().to_string();
        let mut config = format!(
            "ListenAddress {address}\nPort {}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile {}\nForceCommand {}\n",
            self.port,
            at("host_key"),
            at("authorized_keys"),
            folder.join("pid").display(),
            stand_in.display(),
        );
        // The last two: hundreds of logins at once from one address are what is tested.
        config += "StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
                   PermitRootLogin prohibit-password\nUseDNS no\nPrintMotd no\nLogLevel ERROR\nMaxStartups 4096\n";
        if knows_penalties() {
            config += "PerSourcePenalties no\n";
        }
        std::fs::write(folder.join("sshd_config"), config).expect("write a node's sshd_config");
    }

    /// The client is reached through a fake of the name `ssh`, as it asks the password file, not
    /// HOME, where its configuration is.
    fn make_client(&self) {
        let user =
            nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten().expect("a user has a name");
        let key = std::fs::read_to_string(self.folder.join("host_key.pub")).expect("read the host key");
        std::fs::write(self.folder.join("known_hosts"), format!("node {key}"))
            .expect("write the known hosts");
        let at = |file: &str| self.folder.join(file).display().to_string();
        let mut config = String::new();
        for (index, name) in self.names.iter().enumerate() {
            let address = address(index);
            let _ = writeln!(config, "Host {name} {address}\n HostName {address}");
        }
        let _ = write!(
            config,
            "Host *\n Port {}\n User {}\n IdentityFile {}\n IdentitiesOnly yes\n HostKeyAlias node\n CheckHostIP no\n \
             UserKnownHostsFile {}\n GlobalKnownHostsFile /dev/null\n StrictHostKeyChecking yes\n BatchMode yes\n \
             LogLevel ERROR\n",
            self.port,
            user.name,
            at("user_key"),
            at("known_hosts"),
        );
        std::fs::write(self.client_config(), config).expect("write ssh_config");
        let exec = format!("exec {} -F {} \"$@\"", program("ssh"), quoted(&at("ssh_config")));
        self.bed.script("fakes/ssh", &exec);
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        for name in &self.names {
            let pid = std::fs::read_to_string(self.folder.join(name).join("pid")).unwrap_or_default();
            if let Ok(pid) = pid.trim().parse() {
                // One that was halted is gone already.
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
                    .ok();
            }
        }
    }
}

/// Powers nodes: on starts an sshd with a new boot id, off kills it.
const POWER: &str = r#"cluster=@cluster@
PATH=/usr/bin:/bin
log() { printf '%s %s\n' "$(date +%s.%N)" "$*" >>"$cluster/log"; }
stop() {
	[ -s "$cluster/$1/pid" ] || return 0
	kill -KILL "$(cat "$cluster/$1/pid")" 2>/dev/null
	mv -f "$cluster/$1/pid" "$cluster/$1/killed"
}
boot() {
	[ -s "$cluster/$1/pid" ] && kill -0 "$(cat "$cluster/$1/pid")" 2>/dev/null && return 0
	# Until the one that was killed is gone its port is taken, and the next sshd would end at once.
	killed=$(cat "$cluster/$1/killed" 2>/dev/null)
	tries=0
	while [ -n "$killed" ] && [ -e "/proc/$killed/exe" ] && [ "$tries" -lt 500 ]; do
		tries=$((tries + 1))
		sleep 0.02
	done
	cat /proc/sys/kernel/random/uuid >"$cluster/$1/boot_id"
	@sshd@ -f "$cluster/$1/sshd_config" </dev/null >>"$cluster/$1/sshd.log" 2>&1
}
what=$1
shift
status=0
for node; do
	if [ ! -d "$cluster/$node" ]; then
		echo "power: no node $node" >&2
		status=1
		continue
	fi
	case $what in
	on) log "$node power on"; echo on >"$cluster/$node/power"; boot "$node" ;;
	off) log "$node power off"; stop "$node"; echo off >"$cluster/$node/power" ;;
	reset) log "$node power reset"; stop "$node"; echo on >"$cluster/$node/power"; boot "$node" ;;
	boot) stop "$node"; boot "$node" ;;
	status) echo "$node: $(cat "$cluster/$node/power")" ;;
	*) echo "power: $what?" >&2; exit 2 ;;
	esac
done
exit $status"#;

/// Answers a login in the node's stead; nothing it is asked reaches this machine.
const STAND_IN: &str = r#"cluster=@cluster@
node=@node@
PATH=/usr/bin:/bin
here=$cluster/$node
# So that what hangs here ends with the bed.
ORDERLY_BED=${cluster%/*}
export ORDERLY_BED
# A start file of the login shell, where a scenario wrote one.
[ -n "${ORDERLY_SESSION-}" ] || [ ! -r "$here/rc" ] || . "$here/rc"
command=$SSH_ORIGINAL_COMMAND
case $command in
"echo orderly-"*)
	# The mark that says that the command begins.
	mark=${command#echo }
	echo "${mark%%;*}"
	command=${command#*; }
	;;
esac
case $command in
"exec sh -c "*)
	# A line with marks, from clush or pdsh. Only its own frame runs here: there is no program in its
	# PATH but a sh that asks this script again, for the command inside.
	ORDERLY_SESSION=$PPID
	PATH=$here/bin
	export ORDERLY_SESSION PATH
	# The node is in a boot of its own, whatever the kernel says.
	command=$(printf '%s\n' "$command" | /bin/sed "s|/proc/sys/kernel/random/boot_id|$here/boot_id|g")
	eval "set -- ${command#exec sh -c }"
	exec /bin/sh -c "$@"
	;;
esac
printf '%s %s %s\n' "$(date +%s.%N)" "$node" "$command" >>"$cluster/log"
gone() {
	[ -s "$here/pid" ] || return 0
	kill -KILL "$(cat "$here/pid")" 2>/dev/null
	mv -f "$here/pid" "$here/killed"
}
. "$cluster/answers"
case $command in
shutdown\ *-r* | /*/shutdown\ *-r* | reboot*)
	gone
	("${cluster%/*}/fakes/power" boot "$node" </dev/null >/dev/null 2>&1 &)
	;;
shutdown\ * | /*/shutdown\ * | halt* | poweroff*)
	case $(cat "$here/halt" 2>/dev/null) in
	refuse) echo "halt: permission denied" >&2; exit 1 ;;
	hang) exec sleep 100000 ;;
	drop) [ "$(cat "$here/after_halt" 2>/dev/null)" != off ] || echo off >"$here/power"; gone; kill -KILL "${ORDERLY_SESSION:-$PPID}" ;;
	esac
	[ "$(cat "$here/after_halt" 2>/dev/null)" != off ] || echo off >"$here/power"
	gone
	;;
systemctl\ isolate* | telinit*) gone ;;
*boot_id*) cat "$here/boot_id" ;;
wall*) cat >>"$here/stdin" ;;
"exec sh -s "*)
	# The script that ends users' processes, kept instead of run.
	cat >"$here/script"
	echo "orderly: no users' processes"
	;;
esac
exit 0"#;

fn program(name: &str) -> String {
    let path = real::find(name).unwrap_or_else(|| panic!("no program {name} on this machine"));
    path.display().to_string()
}

/// Returns the address of the node of this index: 127.0.1.1, 127.0.1.2, …
fn address(index: usize) -> Ipv4Addr {
    let byte = |number: usize| u8::try_from(number).expect("a cluster of some thousand nodes at most");
    Ipv4Addr::new(127, 0, byte(1 + index / 250), byte(1 + index % 250))
}

/// Returns a port free on every address, below those the kernel gives to outgoing connections: a
/// node that is off must find its port free when it is powered on again.
fn free_port(nodes: usize) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 100).expect("less than a hundred") * 100;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % 2_800;
        if (0..nodes).all(|index| TcpListener::bind((address(index), port)).is_ok()) {
            return port;
        }
    }
}

/// Tells whether this sshd punishes a source that connects often (OpenSSH 9.8), and can be told not to.
fn knows_penalties() -> bool {
    static KNOWN: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *KNOWN.get_or_init(|| {
        let mut sshd = Command::new(program("sshd"));
        sshd.args(["-G", "-f", "/dev/null", "-o", "PerSourcePenalties=no"]);
        sshd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        sshd.status().is_ok_and(|status| status.success())
    })
}
