//! corosync and Pacemaker on the bed's private hosts, with all their directories a host's own; what a node keeps on its
//! local disk is there again when it boots. The fence device of the cluster is a script of the scenario.

use crate::binaries::workspace;
use crate::{Bed, Need};
use std::fmt::Write as _;

/// What a cluster needs of the machine.
pub const NEEDS: [Need; 5] = [
    Need::Program("corosync"),
    Need::Program("pacemakerd"),
    Need::Program("crm_mon"),
    Need::Program("crm_resource"),
    Need::Program("fence_legacy"),
];

/// The tools of the machine, behind the fakes.
const PATH: &str = "PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin; export PATH; ";

/// One node of a cluster.
#[derive(Debug, Clone, Copy)]
pub struct Node<'n> {
    pub name: &'n str,
    pub address: &'n str,
}

/// Writes what every node starts from: these nodes, more for the table `totem` of corosync.conf(5), the configuration
/// of a cluster that is new, and the body of the script that is the fence device.
pub fn configure(bed: &Bed, nodes: &[Node<'_>], totem: &str, cib: &str, fence: &str) {
    // Each brace has a line of its own, or corosync reads another file than was written.
    let mut text = format!(
        "totem {{\n version: 2\n cluster_name: orderly\n transport: udpu\n {totem}\n}}\nnodelist {{\n"
    );
    for (index, Node { name, address }) in nodes.iter().enumerate() {
        let _ =
            writeln!(text, " node {{\n ring0_addr: {address}\n name: {name}\n nodeid: {}\n }}", index + 1);
    }
    let two_nodes = if nodes.len() == 2 { " two_node: 1\n" } else { "" };
    let _ = writeln!(
        text,
        "}}\nquorum {{\n provider: corosync_votequorum\n expected_votes: {}\n{two_nodes}}}\n\
         logging {{\n to_syslog: no\n to_stderr: yes\n}}",
        nodes.len()
    );
    bed.write("corosync.conf", text);
    bed.write("cib.xml", cib);
    bed.script("fence", fence);
}

/// Returns the shell line that starts corosync and Pacemaker on a host, and waits until corosync answers.
pub fn start_line() -> String {
    format!(
        "{PATH}set -e
        disk=$ORDERLY_BED/disk.$(uname -n)
        for at in /dev/shm /run /etc/corosync /usr/lib/ocf/resource.d; do /bin/mount -t tmpfs tmpfs $at; done
        for name in pacemaker corosync; do
            /bin/mkdir -p $disk/$name
            /bin/mount --bind $disk/$name /var/lib/$name
        done
        /bin/mkdir -p /run/lock /run/crm /run/pacemaker /usr/lib/ocf/resource.d/orderly /var/lib/pacemaker/cib \
            /var/lib/pacemaker/pengine /var/lib/pacemaker/blackbox /var/lib/pacemaker/cores
        cp {agent} /usr/lib/ocf/resource.d/orderly/asset
        [ -e /var/lib/pacemaker/cib/cib.xml ] || cp cib.xml /var/lib/pacemaker/cib/cib.xml
        cp corosync.conf /etc/corosync/corosync.conf
        chown -R hacluster:haclient /var/lib/pacemaker /run/crm /run/pacemaker
        chmod 600 /var/lib/pacemaker/cib/cib.xml
        /bin/mount --bind fence /usr/sbin/fence_legacy
        /bin/ip link set lo up
        PCMK_logfile=$ORDERLY_BED/pacemaker.$(uname -n).log; PCMK_ipc_type=socket; export PCMK_logfile PCMK_ipc_type
        unset ORDERLY_STATE_DIR
        corosync -f >>corosync.$(uname -n).log 2>&1 </dev/null &
        echo $! >/run/corosync.pid
        while ! corosync-cmapctl >/dev/null 2>&1; do sleep 0.1; done
        pacemakerd >>pacemakerd.$(uname -n).log 2>&1 </dev/null &
        echo $! >/run/pacemakerd.pid",
        agent = workspace().join("ocf/asset").display()
    )
}

/// Returns the shell line that kills all of it on a host at once, and nothing else: what it started runs on.
pub fn kill_line() -> String {
    format!(
        "{PATH}read -r parent </run/pacemakerd.pid; read -r corosync </run/corosync.pid; \
         kill -KILL $parent $(cat /proc/$parent/task/*/children) $corosync"
    )
}

/// Returns a line for the tools of the cluster.
pub fn line(tool: &str) -> String {
    format!("{PATH}{tool}")
}
