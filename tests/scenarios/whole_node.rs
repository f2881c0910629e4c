//! A whole node: a container with a systemd and an sshd of its own, which is halted for real.
//!
//! Only the wire is made up: ssh is run within the network of the node, and a node that is gone has no route.
//! It knows the node by a host key of the bed's, so that it can log in nowhere else.

use bed::fakes::quoted;
use bed::systemd::{Booted, SYSTEMD_NEEDS};
use bed::{Bed, real, sshd, wait_until};
use std::net::TcpListener;

/// What ends a node whose systemd has units of the bed's alone.
const POWEROFF: &str =
    "Requires=systemd-poweroff.service\nAfter=systemd-poweroff.service\nAllowIsolate=yes\n";
const ENDS: &str = "SuccessAction=poweroff-force\n[Service]\nType=oneshot\nExecStart=/bin/true\n";

/// Boots the node `n1` with its sshd on this port, and lends an ssh that leads there and nowhere else.
fn node<'a>(bed: &'a Bed, port: u16) -> Booted<'a> {
    let root = bed.root().display();
    bed.tools(&["ssh-keygen", "cp", "mkdir"]);
    bed.shell(
        "for key in host user; do ssh-keygen -q -t ed25519 -N '' -f $key; done; cp user.pub authorized",
    )
    .run();
    bed.write("passwd", "root:x:0:0::/root:/bin/sh\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n");
    bed.write(
        "sshd_config",
        format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {root}/host\nAuthorizedKeysFile {root}/authorized\n\
             PermitRootLogin prohibit-password\nStrictModes no\nUsePAM no\nPidFile none\n"
        ),
    );
    let sshd = real::find("sshd").expect("sshd was required");
    let service = format!(
        "[Service]\nExecStartPre=/bin/sh -c 'cp {root}/passwd /etc/passwd; mkdir -p /run/sshd /root'\n\
         ExecStart={} -D -e -f {root}/sshd_config\n",
        sshd.display()
    );
    let units = [
        ("sshd.service", service),
        ("poweroff.target", POWEROFF.to_owned()),
        ("systemd-poweroff.service", ENDS.to_owned()),
    ];
    let node = Booted::new(bed, "n1", &units);
    node.shell("systemctl start sshd.service").run();
    let key = bed.read("host.pub");
    bed.write("known_hosts", format!("n1 {key}"));
    bed.write(
        "ssh_config",
        format!(
            "Host *\n HostName 127.0.0.1\n Port {port}\n User root\n HostKeyAlias n1\n CheckHostIP no\n\
             \x20IdentityFile {root}/user\n IdentitiesOnly yes\n UserKnownHostsFile {root}/known_hosts\n\
             \x20GlobalKnownHostsFile /dev/null\n StrictHostKeyChecking yes\n BatchMode yes\n"
        ),
    );
    let (nsenter, ssh) = (real::find("nsenter").unwrap(), real::find("ssh").unwrap());
    bed.script(
        "fakes/ssh",
        &format!(
            "[ -e /proc/{0}/ns/net ] || {{ echo 'ssh: connect to host n1 port {port}: No route to host' >&2; exit 255; }}\n\
             exec {1} -n -t {0} -- {2} -F {3} \"$@\"",
            node.first_process(),
            nsenter.display(),
            ssh.display(),
            quoted(&bed.path("ssh_config").display().to_string())
        ),
    );
    node
}

#[test]
fn a_whole_node_is_halted_for_real_and_seen_to_be_down() {
    if !real::require(&SYSTEMD_NEEDS) || !real::require(&sshd::NEEDS) {
        return;
    }
    let bed = Bed::new();
    // Free here and so taken by nobody who could answer in the node's place.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut node = node(&bed, port);
    let inventory = bed.write(
        "inventory.json",
        r#"{"format": "orderly-inventory/1", "nodes": [{"name": "n1", "address": "127.0.0.1"}]}"#,
    );
    bed.config(
        "cluster.toml",
        format!(
            "inventory = {inventory:?}\nlog_dir = {:?}\nsequence = {{ start = {:?}, shut = {:?} }}\n\
             [power]\ndriver = \"none\"\n[shell]\ndriver = \"ssh\"\n[probe]\ndriver = \"shell\"\ninterval = \"200ms\"\n\
             [shutdown]\nsettle = \"200ms\"\ngrace = \"200ms\"\n",
            bed.path("log"),
            bed.path("cstartSeq"),
            bed.path("cshutSeq"),
        ),
    );
    let ask =
        || bed.shell("ssh n1 cat /proc/sys/kernel/hostname").any_status().any_stdout().any_stderr().run();
    wait_until("its sshd answers", || ask().stdout == "n1\n");
    let ended = bed.program("cshutdown").args(["-T", "0", "ALL"]).goes_well().run();
    assert!(ended.stderr.contains("down: n1"), "{}", ended.stderr);
    node.wait_for_end();
}
