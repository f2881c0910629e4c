//! A Slurm of the bed's own: munged, slurmctld and a slurmd a node, in namespaces of their own (mounts, processes,
//! network), with the shipped `examples/slurm` installed there. A node is a slurmd: its power switch starts and ends it.

use crate::namespace::Namespace;
use crate::{Bed, Need, Program, binaries, wait_until};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What this bed needs of the machine.
pub const NEEDS: [Need; 10] = [
    Need::Root,
    Need::MountNamespace,
    Need::Program("unshare"),
    Need::Program("nsenter"),
    Need::Program("ip"),
    Need::Program("setpriv"),
    Need::Program("sudo"),
    Need::Program("munged"),
    Need::Program("slurmctld"),
    Need::Program("slurmd"),
];

/// Nodes of Slurm, all up and idle.
#[derive(Debug)]
pub struct Slurm<'a> {
    inside: Namespace<'a>,
}

/// What a node is: a slurmd that runs, and a marker for its power.
const NODE: &str = r#"
conf=$ORDERLY_BED/slurm/etc/slurm.conf
runs() { pid=$(cat "$ORDERLY_BED/slurm/run/slurmd-$1.pid" 2>/dev/null) && kill -0 "$pid" 2>/dev/null; }
stop() { if runs "$1"; then kill -KILL "$pid"; fi; rm -f "$ORDERLY_BED/slurm/run/slurmd-$1.pid"; }
does=$1
shift
case $does in
on) echo "on $1" >>"$ORDERLY_BED/power.log"; : >"$ORDERLY_BED/slurm/on.$1"; runs "$1" || slurmd -b -N "$1" -f "$conf" ;;
off) echo "off $1" >>"$ORDERLY_BED/power.log"; rm -f "$ORDERLY_BED/slurm/on.$1"; stop "$1" ;;
status) for node; do if [ -e "$ORDERLY_BED/slurm/on.$node" ]; then echo "$node: on"; else echo "$node: off"; fi; done ;;
up) runs "$1" ;;
run) case $2 in *shutdown*) echo "halt $1" >>"$ORDERLY_BED/power.log"; stop "$1" ;; esac ;;
esac
"#;

/// Said of the nodes in Slurm's own configuration, beside the lines of the example.
fn slurm_conf(folder: &Path, nodes: &str, lines: &str) -> String {
    let at = folder.display();
    format!(
        "ClusterName=orderly\nSlurmctldHost=localhost(127.0.0.1)\nSlurmUser=slurm\nAuthType=auth/munge\n\
         AuthInfo=socket={at}/run/munge.socket\nStateSaveLocation={at}/state\nSlurmdSpoolDir={at}/spool/%n\n\
         SlurmctldPidFile={at}/run/slurmctld.pid\nSlurmdPidFile={at}/run/slurmd-%n.pid\n\
         SlurmctldLogFile={at}/log/slurmctld\nSlurmdLogFile={at}/log/slurmd-%n\nProctrackType=proctrack/pgid\n\
         TaskPlugin=task/none\nReturnToService=2\nSelectType=select/cons_tres\nMailProg=/bin/true\n\
         SchedulerParameters=sched_interval=5\n{lines}\n\
         NodeName={nodes} NodeHostname=localhost NodeAddr=127.0.0.1 Port=[16821-16823] CPUs=1 RealMemory=100\n\
         PartitionName=main Nodes={nodes} Default=YES MaxTime=INFINITE State=UP\n"
    )
}

impl<'a> Slurm<'a> {
    /// Starts it, and waits until n1, n2 and n3 are idle. `changes` are made in the lines of the example's slurm.conf.
    pub fn new(bed: &'a Bed, changes: &[(&str, &str)]) -> Self {
        let folder = bed.path("slurm");
        let mut lines = example("slurm.conf");
        for (old, new) in changes {
            assert!(lines.contains(old), "{old}\nis not in\n{lines}");
            lines = lines.replace(old, new);
        }
        bed.write("slurm/etc/slurm.conf", slurm_conf(&folder, "n[1-3]", &lines));
        let key: Vec<u8> = (0..1024).map(|_| rand()).collect();
        bed.write("slurm/etc/munge.key", key);
        install(bed);
        // SlurmUser and munge have to get there.
        std::fs::set_permissions(bed.root(), std::fs::Permissions::from_mode(0o711)).expect("open the bed");
        // A host that has nothing but its loopback resolves no address for Slurm.
        let script = "set -e; cd \"$ORDERLY_BED/slurm\"; ip link set lo up\n\
             ip link add here type veth peer name there; ip address add 192.0.2.1/24 dev here\n\
             ip link set here up; ip link set there up\n\
             mkdir -p state spool/n1 spool/n2 spool/n3 log run run.munge\n\
             chown slurm state log; chown munge run.munge etc/munge.key; chmod 0400 etc/munge.key; chmod 1777 run\n\
             mount --bind ../sbin /usr/local/sbin; mount --bind ../sudoers.d /etc/sudoers.d\n\
             setpriv --reuid munge --regid munge --clear-groups munged --key-file=\"$PWD/etc/munge.key\" \
             --socket=\"$PWD/run/munge.socket\" --log-file=\"$PWD/run.munge/log\" --pid-file=\"$PWD/run.munge/pid\" \
             --seed-file=\"$PWD/run.munge/seed\"\n\
             for node in n1 n2 n3; do mynode on $node; done\nexec slurmctld -D -f etc/slurm.conf";
        let mut slurm = Self { inside: Namespace::new(bed, "slurm", script, environment(bed)) };
        wait_until("slurmctld runs", || {
            slurm.inside.check();
            bed.path("slurm/run/slurmctld.pid").exists()
        });
        for node in ["n1", "n2", "n3"] {
            slurm.wait_for(node, "idle");
        }
        slurm
    }

    /// Returns one run of a shell line in there, as root.
    pub fn shell(&self, line: &str) -> Program<'a> {
        self.inside.shell(line)
    }

    /// Returns the words of a node's state, joined by `+`, and behind a blank its reason.
    pub fn state(&self, node: &str) -> String {
        let line = format!(
            "sinfo --noheader --Node --nodes {node} --Format 'StateComplete:80 ,Reason:80' | head -n 1"
        );
        let said = self.shell(&line).any_status().any_stdout().any_stderr().run().stdout;
        said.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Waits until a node has this state, alone.
    pub fn wait_for(&self, node: &str, state: &str) {
        let mut last = String::new();
        let is_so = || {
            last = self.state(node);
            last.split(' ').next() == Some(state)
        };
        wait_until(&format!("{node} is {state}"), is_so);
    }
}

/// Puts the shipped programs where they say that they are, and the orderly ones beside them.
fn install(bed: &Bed) {
    let environment: String =
        environment(bed).iter().map(|(name, value)| format!("export {name}='{value}'\n")).collect();
    for program in ["cstartup", "cshutdown", "csLogger"] {
        let bin = bed.path("bin").join(program);
        bed.script(format!("sbin/{program}"), &format!("{environment}exec {} \"$@\"", bin.display()));
    }
    bed.script("sbin/mynode", NODE);
    for name in ["slurm-resume", "slurm-suspend", "slurm-drain"] {
        let path = bed.write(format!("sbin/{name}"), example(name));
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("make a program");
    }
    let path = bed.write("sudoers.d/orderly-slurm", example("sudoers"));
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o440)).expect("close a file");
}

/// Returns a shipped file. The programs are not in /usr/sbin of the machine that runs the tests: that is all that is
/// changed.
pub fn example(name: &str) -> String {
    let path = binaries::workspace().join("examples/slurm").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.replace("/usr/sbin/c", "/usr/local/sbin/c")
}

fn environment(bed: &Bed) -> Vec<(&'static str, String)> {
    let at = |name: &str| bed.path(name).display().to_string();
    vec![
        ("PATH", format!("{}:{}:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", at("sbin"), at("fakes"))),
        ("ORDERLY_BED", bed.root().display().to_string()),
        ("ORDERLY_STATE_DIR", at("state")),
        ("ORDERLY_CONFIG_DIR", at("etc")),
        ("SLURM_CONF", at("slurm/etc/slurm.conf")),
        ("SLURM_DRAIN_PAUSE", "1".to_owned()),
        ("LC_ALL", "C".to_owned()),
        ("TZ", "UTC".to_owned()),
    ]
}

/// A byte of a key that need not be secret.
fn rand() -> u8 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0).to_ne_bytes()[0]
}
