//! What ssh, clush and pdsh must do alike, through real logins: each tool has its own file of tests.
//!
//! The nodes are real sshd with a stand-in for what is asked of them; nothing runs on this machine.

use bed::sshd::{Cluster, NEEDS};
use bed::{Bed, Need, real, wait_until};
use nix::sys::signal::Signal;

/// Lends the tool with each call noted; ssh is lent by the cluster itself.
fn lend(cluster: &Cluster<'_>, tool: &str) {
    if tool != "ssh" {
        cluster.lend(tool);
    }
}

/// Tells whether the tool, and the nodes, can be had here.
fn can_run(tool: &'static str) -> bool {
    let mut needs = NEEDS.to_vec();
    needs.extend([Need::Program(tool), Need::Program("python3")]);
    real::require(&needs)
}

fn driver(tool: &str, more: &str) -> String {
    format!("driver = \"{tool}\"\nuser = \"root\"\n{more}\n[limits]\nretries = 0\n")
}

/// Returns the calls that carry a command.
fn carrying(cluster: &Cluster<'_>, tool: &str, command: &str) -> usize {
    cluster.calls(tool).iter().filter(|call| call.contains(command)).count()
}

/// The shipped example, on six nodes: one call for each ready set, whatever is asked of it.
pub(crate) fn one_call_for_each_ready_set(tool: &'static str) {
    if !can_run(tool) {
        return;
    }
    let bed = Bed::new();
    let names = ["n1", "n2", "n3", "n4", "n5", "n6"];
    let cluster = Cluster::new(&bed, &names);
    cluster.lend(tool);
    names.iter().for_each(|name| {
        cluster.power_on(name);
    });
    let example = bed::binaries::workspace().join(format!("examples/cluster-{tool}.toml"));
    let example = std::fs::read_to_string(example).unwrap();
    // Only where the nodes are is changed, and how long is waited.
    let example = example.replace("port = 22\n", &format!("port = {}\n", cluster.port()));
    let example = example.replace("interval = \"5s\"", "interval = \"1s\"");
    let example = example.replace("restart = ", "settle = \"100ms\"\nrestart = ");
    bed.config("cluster.toml", cluster.head() + &example);
    bed.write("cshutSeq", "clients: n[2-6]\nservers: n1\nclients > servers\n");

    let message = "it's 100% %h \"over\" `now`; $HOME\nbye";
    let ended = bed.program("cshutdown").args(["-T", "0", "-M", message, "ALL"]).goes_well().run();
    let log = cluster.asked();
    for name in names {
        assert!(!cluster.is_up(name), "{}", ended.stderr);
        assert!(cluster.heard(name).contains(message), "{name}: {}", cluster.heard(name));
        assert!(
            cluster.script(name).contains("kill -TERM"),
            "{name} did not get the script: {}",
            ended.stderr
        );
        assert_eq!(log.iter().filter(|line| **line == format!("{name} shutdown -h now")).count(), 1);
    }
    // Nodes are ready as the answers to what is asked before come in, and on a busy machine these come one by one: then a
    // call is for those that are ready.
    let halts = carrying(&cluster, tool, "shutdown -h now");
    assert!((2..=names.len()).contains(&halts), "{:?}", cluster.calls(tool));
    if example.contains("driver = \"shell\"") {
        assert!(cluster.calls(tool)[0].contains("127.0.1.[1-6]"), "{:?}", cluster.calls(tool));
    }
    assert_eq!(carrying(&cluster, tool, " wall"), 1, "{:?}", cluster.calls(tool));
    assert_eq!(carrying(&cluster, tool, "sh -s sessions"), 1, "{:?}", cluster.calls(tool));
    let at = |line: &str| log.iter().position(|one| one == line).unwrap();
    assert!(at("n2 shutdown -h now") < at("n1 shutdown -h now"));
}

/// One node hangs in the same call as one whose follower must not wait; then the run is interrupted.
pub(crate) fn a_node_that_hangs_holds_nobody_and_is_ended_with_the_call(tool: &'static str) {
    if !can_run(tool) {
        return;
    }
    let bed = Bed::new();
    let cluster = Cluster::new(&bed, &["n1", "n2", "n3"]);
    cluster.lend(tool).power_on("n1").power_on("n2").power_on("n3");
    cluster.configure_shell(&driver(tool, ""));
    cluster.on_halt("n2", "hang");
    bed.write("cshutSeq", "a: n1\nb: n2\nc: n3\na > c\n");
    let mut running =
        bed.program("cshutdown").args(["-F", "ALL"]).any_status().any_stdout().any_stderr().spawn();
    wait_until("the follower of n1 is down", || !cluster.is_up("n3"));
    assert!(cluster.asked().contains(&"n2 shutdown -h now".to_owned()) && running.is_running());
    assert_eq!(
        cluster
            .calls(tool)
            .iter()
            .filter(|call| call.contains("n[1-2]") || call.contains("127.0.1.[1-2]"))
            .filter(|call| call.contains("shutdown"))
            .count(),
        1
    );
    running.signal(Signal::SIGTERM).wait_for_stderr("interrupted");
    running.signal(Signal::SIGTERM);
    let ended = running.end();
    assert!(ended.status >= 128 || ended.status == 5, "{}: {}", ended.status, ended.stderr);
    assert!(cluster.is_up("n2") && cluster.is_on("n2"));
    wait_until("no client is left", || clients(&bed).is_empty());
}

/// Returns the ssh, clush and pdsh processes of this bed.
fn clients(bed: &Bed) -> Vec<i32> {
    let is_client = |pid: &i32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        ["ssh", "clush", "pdsh"].contains(&name.trim())
    };
    bed.left_over().into_iter().filter(is_client).collect()
}

/// A node that prints megabytes, marks of its own making, other nodes' names and bytes of all kinds
/// is judged by its own status, and hides nobody else's.
pub(crate) fn garbage_speaks_for_nobody(tool: &'static str) {
    if !can_run(tool) {
        return;
    }
    let bed = Bed::new();
    let cluster = Cluster::new(&bed, &["n1", "n2", "n3"]);
    lend(&cluster, tool);
    cluster.power_on("n1").power_on("n2").power_on("n3");
    cluster.configure_shell(&driver(tool, "timeout = \"20s\""));
    cluster.on_halt("n3", "hang");
    let fakes = "n1: orderly-00000000000000000000000000000000 0\\norderly-00 0\\nn3: orderly-11 0\\n";
    cluster.answer(
        "shutdown*",
        &format!(
            "[ $node = n2 ] || {{ . \"$cluster/halting\"; }}; head -c 2000000 /dev/zero | tr '\\0' A; printf '\\n{fakes}'; \
             printf '{tool}: n3: exited with exit code 0\\npdsh@x: n1: command timeout\\n' >&2; \
             head -c 300000 /dev/urandom; head -c 3000 /dev/urandom >&2; echo >&2; echo 'not allowed here' >&2; printf half; exit 7"
        ),
    );
    bed.write("cluster/halting", "case $node in n3) exec sleep 100000 ;; esac\ngone\nexit 0\n");
    bed.write("cshutSeq", "");
    let ended = bed
        .program("cshutdown")
        .args(["-F", "--timeout", "20s", "ALL"])
        .any_status()
        .any_stdout()
        .any_stderr()
        .run();
    let said = &ended.stderr;
    assert!(ended.status != 0 && !cluster.is_up("n1") && !cluster.is_on("n1"), "{said}");
    assert!(cluster.is_up("n2") && cluster.is_on("n2") && cluster.is_on("n3"), "{said}");
    // A flood makes pdsh itself lose bytes, at times the last words and the mark: then n2 is only not down.
    let heard = said.contains("exit status 7") && said.contains("not allowed here");
    assert!(said.contains("n2: ") && (heard || tool == "pdsh"), "{said}");
}

/// A key that is not accepted, a node that is not there, a command that fails: each is called by its name.
pub(crate) fn each_failure_is_called_by_its_name(tool: &'static str) {
    if !can_run(tool) {
        return;
    }
    let bed = Bed::new();
    let cluster = Cluster::new(&bed, &["n1", "n2", "n3"]);
    lend(&cluster, tool);
    cluster.lock_out("n1").power_on("n1").power_on("n2").power_on("n3");
    cluster.configure_shell(&driver(tool, ""));
    cluster.answer("no-such-command", "echo 'sh: no-such-command: not found' >&2; exit 127");
    let text = bed.read("etc/cluster.toml");
    let more = "halt = \"no-such-command\"\nend_users = \"none\"\n[override.node.n3]\nshell = { port = 1 }\n";
    // Addresses of this machine would be taken for it where no boot id can be read.
    bed.write("etc/inventory.json", r#"{"nodes": [{"name": "n1"}, {"name": "n2"}, {"name": "n3"}]}"#);
    let folder = bed.path("cluster");
    let probe = bed
        .script("alive", &format!("kill -0 $(/bin/cat {folder:?}/$1/pid 2>/dev/null) 2>/dev/null || exit 1"));
    let tcp = text[text.find("driver = \"tcp\"").unwrap()..text.find("interval").unwrap()].to_owned();
    let text = text.replace(&tcp, &format!("driver = \"command\"\nup = [{probe:?}, \"{{node}}\"]\n"));
    bed.config("cluster.toml", text + more);
    // Its ssh goes where nobody listens, although the node is up.
    bed.write("cshutSeq", "");
    let ended = bed
        .program("cshutdown")
        .args(["-F", "--timeout", "20s", "ALL"])
        .any_status()
        .any_stdout()
        .any_stderr()
        .run();
    let said = &ended.stderr;
    for part in [
        "Permission denied (publickey)",
        "exit status 127: sh: no-such-command: not found",
        "onnection refused",
    ] {
        assert!(said.contains(part), "{part}\nin\n{said}");
    }
    assert!(["n1", "n2", "n3"].iter().all(|name| cluster.is_up(name) && cluster.is_on(name)), "{said}");
    assert!(ended.status != 0);

    // Without the program nothing is done, and that is said.
    std::fs::remove_file(bed.path("fakes").join(tool)).unwrap();
    let ended = bed.program("cshutdown").args(["-F", "-k", "n2"]).status(3).any_stdout().any_stderr().run();
    let missing = format!("shell.driver: {tool}: there is no such program");
    assert!(ended.stderr.contains(&missing), "{}", ended.stderr);
    assert!(cluster.is_up("n2"));
}

/// Restarted, proven by the boot ids, which are read of all in one call before.
pub(crate) fn a_restart_is_proven_by_boot_ids_read_in_one_call(tool: &'static str) {
    if !can_run(tool) {
        return;
    }
    let bed = Bed::new();
    let names = ["n1", "n2", "n3", "n4"];
    let cluster = Cluster::new(&bed, &names);
    cluster.lend(tool);
    names.iter().for_each(|name| {
        cluster.power_on(name);
    });
    cluster.configure_shell(&driver(tool, "names = true"));
    let text = bed.read("etc/cluster.toml");
    let power = text.find("[power]").unwrap()..text.find("[shell]").unwrap();
    let text = text.replace(&text[power], "[power]\ndriver = \"none\"\n");
    bed.config("cluster.toml", text);
    bed.write("cshutSeq", "");
    bed.write("cstartSeq", "");
    let ended = bed
        .program("cshutdown")
        .args(["-F", "-r", "--timeout", "90s", "ALL"])
        .any_stdout()
        .any_stderr()
        .run();
    assert!(ended.stderr.contains("restarted: n[1-4]"), "{}", ended.stderr);
    // Before: all in one. After: as nodes come back.
    let calls = cluster.calls(tool);
    let first = calls.iter().find(|call| call.contains("boot_id")).unwrap();
    assert!(first.contains("n[1-4]") && carrying(&cluster, tool, "boot_id") >= 2, "{calls:?}");
    assert!(carrying(&cluster, tool, "shutdown -r now") >= 1, "{calls:?}");
}

/// A program of the site takes the commands to the nodes, started by the tool once for each.
pub(crate) fn a_program_of_the_site_takes_the_commands(tool: &'static str) {
    if !can_run(tool) {
        return;
    }
    let bed = Bed::new();
    let cluster = Cluster::new(&bed, &["n1", "n2"]);
    cluster.lend(tool).power_on("n1").power_on("n2");
    bed.script("fakes/myrsh", "echo \"$1 $2\" >>myrsh.log\n[ \"$1\" = 50%h ] && exec ssh \"$2\" \"$3\"");
    cluster.configure_shell(&format!(
        "driver = \"{tool}\"\nrun = [\"myrsh\", \"50%h\", \"{{address}}\", \"{{command}}\"]\n"
    ));
    bed.write("cshutSeq", "");
    let message = "100% of %h and \"$HOME\"";
    bed.program("cshutdown").args(["-T", "0", "-M", message, "ALL"]).goes_well().run();
    for name in ["n1", "n2"] {
        assert!(!cluster.is_on(name) && cluster.heard(name).contains(message), "{}", cluster.heard(name));
    }
    assert!(bed.read("myrsh.log").lines().all(|line| line.starts_with("50%h 127.0.1.")));
}

/// ClusterShell's gateways: n1 passes on to the others what only it is told, by names alone.
pub(crate) fn a_gateway_passes_commands_on(tool: &'static str) {
    if !can_run(tool) {
        return;
    }
    let bed = Bed::new();
    let names = ["n1", "n2", "n3"];
    let cluster = Cluster::new(&bed, &names);
    cluster.lend(tool);
    names.iter().for_each(|name| {
        cluster.power_on(name);
    });
    // The gateway is ClusterShell's own program; what it reaches from there are the same nodes.
    let gateway = format!(
        "echo \"$command\" >>\"$cluster/gateway.log\"; PATH={}:$PATH exec $command",
        bed::fakes::quoted(&bed.path("fakes").display().to_string())
    );
    cluster.answer("*ClusterShell.Gateway*", &gateway);
    let host = nix::unistd::gethostname().unwrap();
    let routes = format!("[routes]\n{}: n1\nn1: n[2-3]\n", host.to_string_lossy());
    let topology = bed.write("topology.conf", routes);
    cluster.configure_shell(&driver(tool, &format!("names = true\ntopology = {topology:?}")));
    bed.write("cshutSeq", "clients: n[2-3]\nservers: n1\nclients > servers\n");
    let message = "through a gateway: 100% \"$HOME\"";
    let ended = bed.program("cshutdown").args(["-T", "0", "-M", message, "ALL"]).goes_well().run();
    assert!(bed.read("cluster/gateway.log").contains("ClusterShell.Gateway"), "{}", ended.stderr);
    for name in names {
        assert!(!cluster.is_up(name) && !cluster.is_on(name), "{}", ended.stderr);
        assert!(cluster.heard(name).contains(message), "{name}: {}", cluster.heard(name));
    }
}
