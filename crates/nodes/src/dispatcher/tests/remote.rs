//! Tests of commands on nodes: a stand-in for ssh, a real sshd on loopback, users in a PID namespace.

use super::*;
use crate::users;
use orderly_exec::job::Job;
use orderly_exec::runner::{Run, Runner};
use orderly_plan::drivers::Teller;

const NO_POWER: &str = "[power]\ndriver=\"none\"\n";

/// Runs a command to its end and returns what came of it.
fn run(drivers: &mut dyn Backend, on: RunsOn, argv: &[&str], stdin: &str) -> Result<Ended, Failure> {
    let command = SideCommand {
        on,
        argv: argv.iter().map(|&word| word.to_owned()).collect(),
        stdin: stdin.as_bytes().to_vec(),
        timeout: Duration::from_secs(30),
    };
    let id = drivers.start(&command);
    loop {
        if let Some((ended, result)) = drivers.take_ended().pop() {
            assert_eq!(ended, id);
            return result;
        }
        drivers.next(None);
    }
}

#[test]
fn ssh_is_asked_without_terminal_or_questions_and_what_it_says_is_told_apart() {
    let bed = Bed::new();
    let ssh = bed.script(
        "ssh",
        "printf '%s\\n' \"$@\" > $D/argv; for last; do :; done\n\
         case $last in *wall*) PATH=$D:$PATH; exec sh -c \"$last\" < /dev/null;; *-h*) echo closed by remote host >&2; exit 255;; esac\n\
         echo 'root@n1: Permission denied (publickey).' >&2; exit 255",
    );
    let toml = format!(
        "{NO_POWER}[shell]\ndriver=\"ssh\"\nprogram=\"{ssh}\"\nuser=\"root\"\noptions=[\"-F\",\"none\"]\n\
         [probe]\ndriver=\"shell\"\n"
    );
    let mut drivers = bed.drivers(&toml, nodes(1));
    bed.script("wall", "cat > $D/read");
    drivers.set_message("going down in 5 minutes");
    assert_eq!(kinds(&carry_out(&mut *drivers, Task::Run(RemoteCommand::Notify), 0..1)), [None]);
    let argv = bed.read("argv");
    assert!(argv.starts_with("-F\nnone\n-o\nBatchMode=yes\n-o\nConnectTimeout=10\n"), "{argv}");
    assert!(argv.contains("-l\nroot\n--\nn1\necho orderly-") && argv.contains("; exec sh -c "), "{argv}");
    assert_eq!(bed.read("read"), "going down in 5 minutes\n");
    let halt = carry_out(&mut *drivers, Task::Run(RemoteCommand::Halt), 0..1);
    assert_eq!(kinds(&halt), [Some(FailureKind::Unreachable)]);
    assert!(detail(&halt[0]).contains("'shutdown -h now': exit status 255"), "{}", detail(&halt[0]));
    let restart = carry_out(&mut *drivers, Task::Run(RemoteCommand::Restart), 0..1);
    assert_eq!(kinds(&restart), [Some(FailureKind::Authentication)]);
    // Somebody was there and would not let us in: that is not down.
    assert_eq!(carry_out(&mut *drivers, Task::Probe, 0..1), [Event::Probe(NodeId(0), Probe::Unknown)]);
}

/// A message of sudo on the node was told as a wrong password of its power controller, and a hanging ssh as
/// a controller that does not answer.
#[test]
fn what_ssh_says_is_not_told_as_the_power_controllers() {
    let bed = Bed::new();
    // The command began, as its mark says.
    let mark = "for last; do :; done; mark=${last#echo }; echo \"${mark%%;*}\"";
    let ssh =
        bed.script("ssh", &format!("{mark}; echo 'sudo: Invalid password, session timeout' >&2; exit 1"));
    for power in ["ipmitool", "powerman"] {
        let toml = format!(
            "[power]\ndriver=\"{power}\"\n[shell]\ndriver=\"ssh\"\nprogram=\"{ssh}\"\n[probe]\ndriver=\"none\"\n"
        );
        let mut inventory = nodes(1);
        inventory[0].attributes.insert("bmc".into(), "b1".into());
        let mut drivers = bed.drivers(&toml, inventory);
        let events = carry_out(&mut *drivers, Task::Run(RemoteCommand::Halt), 0..1);
        assert_eq!(kinds(&events), [Some(FailureKind::Failed)], "{power}: {}", detail(&events[0]));
        assert!(matches!(&events[0], Event::Ended(_, _, Err(failure)) if failure.teller == Teller::Shell));
        assert!(detail(&events[0]).starts_with(&ssh), "{power}: {}", detail(&events[0]));
    }
}

/// Such a node was unknown for a quarter of an hour, without a word of what was heard.
#[test]
fn a_status_that_is_not_understood_is_told_with_what_was_heard() {
    for (said, heard) in [
        ("n1 on", "it says \"n1 on\""),
        ("n1: ON", "it says \"n1: ON\""),
        ("", "it says nothing"),
        ("n1: on\nn1: on\nn1: off", "it says both \"n1: on\" and \"n1: off\""),
    ] {
        let bed = Bed::new();
        let status = bed.script("status", &format!("echo '{said}'"));
        let toml = format!(
            "[power]\ndriver=\"command\"\non=[\"{status}\"]\noff=[\"{status}\"]\nstatus=[\"{status}\",\"{{node}}\"]\n\
             [probe]\ndriver=\"none\"\n"
        );
        let mut drivers = bed.drivers(&toml, nodes(1));
        assert_eq!(
            carry_out(&mut *drivers, Task::ReadPower, 0..1),
            [Event::Power(NodeId(0), Power::Unknown)]
        );
        let warnings = drivers.take_last_warnings().join("\n");
        assert!(warnings.contains(heard), "{warnings}");
        assert!(warnings.contains("is understood when it says \"n1: on\" or \"n1: off\""), "{warnings}");
    }
}

/// In one call for many each had a line of its own, and one of which nothing was said was blamed for another's words.
#[test]
fn what_is_not_understood_of_many_nodes_is_one_line_for_all_of_whom_the_same_was_said() {
    for (said, lines) in [
        ("n1 on\nn2 on\nn3 on", vec!["n[1-3]: power unknown: STATUS n1 n2 n3: it says \"n1 on\", and"]),
        ("no such table", vec!["n[1-3]: power unknown: STATUS n1 n2 n3: it says \"no such table\", and"]),
        ("", vec!["n[1-3]: power unknown: STATUS n1 n2 n3: it says nothing, and"]),
        ("n1: on", vec!["n[2-3]: power unknown: STATUS n1 n2 n3: it says nothing of this node, and"]),
        (
            "n1 on\nn2 on\nN3: on",
            vec![
                "n[1-2]: power unknown: STATUS n1 n2 n3: it says \"n1 on\"",
                "n3: power unknown: STATUS n1 n2 n3: it says \"N3: on\"",
            ],
        ),
    ] {
        let bed = Bed::new();
        let status = bed.script("status", &format!("echo '{said}'"));
        let toml = format!(
            "[power]\ndriver=\"command\"\non=[\"{status}\"]\noff=[\"{status}\"]\nstatus=[\"{status}\",\"{{nodes}}\"]\n\
             [probe]\ndriver=\"none\"\n"
        );
        let mut drivers = bed.drivers(&toml, nodes(3));
        carry_out(&mut *drivers, Task::ReadPower, 0..3);
        let warnings = drivers.take_last_warnings();
        assert_eq!(warnings.len(), lines.len(), "{said}\n{warnings:#?}");
        for line in lines {
            let line = line.replace("STATUS", &status);
            assert_eq!(
                warnings.iter().filter(|said| said.starts_with(&line)).count(),
                1,
                "{line}\n{warnings:#?}"
            );
        }
    }
}

/// Powermand's own word for a silent controller was told as one that is not understood.
#[test]
fn a_status_that_says_unknown_is_not_told_as_one_that_is_not_understood() {
    let bed = Bed::new();
    let status = bed.script("status", "echo 'n1: unknown'");
    let toml = format!(
        "[power]\ndriver=\"command\"\non=[\"{status}\"]\noff=[\"{status}\"]\nstatus=[\"{status}\",\"{{node}}\"]\n\
         [probe]\ndriver=\"none\"\n"
    );
    let mut drivers = bed.drivers(&toml, nodes(1));
    assert_eq!(carry_out(&mut *drivers, Task::ReadPower, 0..1), [Event::Power(NodeId(0), Power::Unknown)]);
    let warnings = drivers.take_last_warnings().join("\n");
    assert!(warnings.ends_with("it says \"n1: unknown\""), "{warnings}");
}

#[test]
fn a_shell_command_gets_the_command_as_one_argument() {
    let bed = Bed::new();
    let rsh = bed.script("rsh", "echo \"$#|$1|$2\" >> $D/log; exec sh -c \"$2\"");
    let toml = format!(
        "{NO_POWER}[shell]\ndriver=\"command\"\nrun=[\"{rsh}\",\"{{address}}\",\"{{command}}\"]\n\
         [probe]\ndriver=\"shell\"\ncommand=\"exit 3\"\n[shutdown]\nhalt=\"echo halting; exit 5\"\n"
    );
    let mut drivers = bed.drivers(&toml, nodes(1));
    let events = carry_out(&mut *drivers, Task::Run(RemoteCommand::Halt), 0..1);
    assert!(detail(&events[0]).ends_with("exit status 5: halting"), "{}", detail(&events[0]));
    assert_eq!(bed.read("log"), "2|n1|echo halting; exit 5\n");
    // It ran, so the node is not down; it failed, so the node is not up.
    assert_eq!(carry_out(&mut *drivers, Task::Probe, 0..1), [Event::Probe(NodeId(0), Probe::Unknown)]);
    let words = ["printf", "%s|", "a b", "it's", "$HOME", "[x]*", ""];
    let ended = run(&mut *drivers, RunsOn::Node(NodeId(0)), &words, "").unwrap();
    assert_eq!(ended.text(), "a b|it's|$HOME|[x]*||");
    let ended = run(&mut *drivers, RunsOn::Control, &["sh", "-c", "cat; exit 4"], "input").unwrap();
    assert_eq!((ended.text().as_str(), ended.ending), ("input", Ending::Exited(4)));
    assert!(run(&mut *drivers, RunsOn::Control, &["/no/such/program"], "").is_err());
}

#[test]
fn a_shell_that_drops_the_script_has_not_ended_users() {
    let bed = Bed::new();
    let rsh = bed.script("rsh", "exec sh -c \"$2\" < /dev/null > /dev/null");
    let toml = format!(
        "{NO_POWER}[shell]\ndriver=\"command\"\nrun=[\"{rsh}\",\"{{node}}\",\"{{command}}\"]\n[probe]\ndriver=\"none\"\n"
    );
    let mut drivers = bed.drivers(&toml, nodes(1));
    let events = carry_out(&mut *drivers, Task::Run(RemoteCommand::EndUsers), 0..1);
    assert!(detail(&events[0]).contains("does the shell driver pass on"), "{}", detail(&events[0]));
}

/// Tells whether this machine lets us make namespaces; says so where it does not.
fn can_unshare(runner: &mut Runner) -> bool {
    let able =
        runner.run(&Job::new(["unshare", "-p", "-f", "--mount-proc", "true"], Duration::from_secs(20)));
    if !able.succeeded() {
        say(&format!("no PID namespaces here, the script that ends users was not run: {}", able.clause()));
    }
    able.succeeded()
}

/// Says that a test did not run; in CI that is a failure, so that nobody takes it for a pass.
fn say(line: &str) {
    assert!(std::env::var_os("CI").is_none_or(|value| value.is_empty()), "{line}");
    std::io::Write::write_all(&mut std::io::stderr(), format!("did not run: {line}\n").as_bytes()).ok();
}

#[test]
fn users_processes_are_ended_and_nobody_elses() {
    let bed = Bed::new();
    let mut runner = Runner::new().unwrap();
    if !can_unshare(&mut runner) {
        return;
    }
    fs::write(bed.path().join("users.sh"), users::SCRIPT).unwrap();
    // In a namespace of its own the script sees these processes and no others. The stubborn one
    // ignores TERM; the ancestor is a user's shell that runs the script, as over ssh with sudo.
    let stage = bed.script(
        "stage",
        "as() { setpriv --reuid=$1 --clear-groups \"$@\"; }\n\
         run() { u=$1; shift; setpriv --reuid=$u --clear-groups \"$@\" > /dev/null 2>&1 & }\n\
         run 1000 sleep 601; run 2000 sh -c 'trap \"\" TERM; while :; do sleep 602; done'\n\
         run 999 sleep 603; run 0 sleep 604; run 65534 sleep 605; run 4000000 sleep 606; run 61200 sleep 607\n\
         sleep 0.5\n\
         setpriv --reuid=1000 --clear-groups sh -c 'setpriv --reuid=1000 sh -s '$1' 1 < '$D'/users.sh; true' \
           > $D/unprivileged 2>&1\n\
         sh -s $1 1 < $D/users.sh; echo status $?\n\
         for p in /proc/[0-9]*; do read -r line < $p/cmdline; done 2> /dev/null\n\
         cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -o 'sleep 60[0-9]' | sort",
    );
    let job = Job::new(["unshare", "-p", "-f", "--mount-proc", &stage, "nonroot"], Duration::from_secs(60));
    let ended = runner.run(&job);
    let said = ended.text();
    assert!(said.contains("users' processes ended"), "{said}{}", ended.clause());
    assert!(said.contains("status 0"), "{said}{}", ended.clause());
    let left: Vec<&str> = said.lines().filter(|line| line.starts_with("sleep")).collect();
    assert_eq!(left, ["sleep 603", "sleep 604", "sleep 605", "sleep 607"], "{said}");
}

#[test]
fn the_script_is_posix_and_finds_nobody_among_roots_own() {
    let bed = Bed::new();
    let mut runner = Runner::new().unwrap();
    let mut check = Job::new(["sh", "-n"], Duration::from_secs(20));
    check.stdin = users::SCRIPT.into();
    assert!(runner.run(&check).succeeded());
    if !can_unshare(&mut runner) {
        return;
    }
    fs::write(bed.path().join("users.sh"), users::SCRIPT).unwrap();
    let stage = bed.script("stage", "sleep 0 & exec sh -s sessions 0 < $D/users.sh");
    let ended =
        runner.run(&Job::new(["unshare", "-p", "-f", "--mount-proc", &stage], Duration::from_secs(60)));
    assert_eq!(ended.text(), "orderly: no users' processes\n", "{}", ended.clause());
}

#[test]
fn sessions_end_and_batch_jobs_go_on() {
    let bed = Bed::new();
    let mut runner = Runner::new().unwrap();
    let has_script = runner.run(&Job::new(["script", "--version"], Duration::from_secs(20))).succeeded();
    if !has_script || !can_unshare(&mut runner) {
        say("no script(1) here, or no namespaces: login sessions were not told from batch jobs");
        return;
    }
    fs::write(bed.path().join("users.sh"), users::SCRIPT).unwrap();
    // One has a terminal, as a login has; the other was started by a daemon.
    let stage = bed.script(
        "stage",
        "script -qec 'setpriv --reuid=1000 --clear-groups sleep 601' /dev/null > /dev/null 2>&1 &\n\
         setpriv --reuid=1000 --clear-groups setsid sleep 602 > /dev/null 2>&1 < /dev/null &\n\
         for try in 1 2 3 4 5 6 7 8 9; do pgrep -x sleep -c -u 1000 | grep -q 2 && break; sleep 0.2; done\n\
         sh -s sessions 5 < $D/users.sh\n\
         cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -ao 'sleep 60[0-9]' | sort -u",
    );
    let ended =
        runner.run(&Job::new(["unshare", "-p", "-f", "--mount-proc", &stage], Duration::from_secs(60)));
    assert_eq!(ended.text(), "orderly: 1 users' processes ended\nsleep 602\n", "{}", ended.clause());
}

/// Starts an sshd on loopback which runs, for whatever is asked, a script of ours.
fn sshd(bed: &Bed, runner: &mut Runner) -> Option<(Job, u16)> {
    let program = "/usr/sbin/sshd";
    if !Path::new(program).exists() || !nix::unistd::geteuid().is_root() {
        say("no sshd here, or not root: the ssh driver was not run against a real one");
        return None;
    }
    let dir = bed.path().display();
    for key in ["host", "user"] {
        let path = format!("{dir}/{key}");
        let job =
            Job::new(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", &path], Duration::from_secs(20));
        assert!(runner.run(&job).succeeded());
    }
    fs::copy(bed.path().join("user.pub"), bed.path().join("authorized")).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let forced = bed
        .script("forced", "echo \"$SSH_ORIGINAL_COMMAND\" >> $D/log; exec sh -c \"$SSH_ORIGINAL_COMMAND\"");
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {dir}/host\nPidFile none\nAuthorizedKeysFile {dir}/authorized\n\
         StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
         PermitRootLogin yes\nForceCommand {forced}\n"
    );
    fs::write(bed.path().join("sshd_config"), config).unwrap();
    fs::create_dir_all("/run/sshd").ok();
    let config = format!("{dir}/sshd_config");
    Some((Job::new([program, "-D", "-e", "-f", &config], Duration::from_secs(50)), port))
}

#[test]
fn a_real_sshd_runs_what_it_is_told_and_its_words_are_understood() {
    let bed = Bed::new();
    let mut runner = Runner::new().unwrap();
    let Some((server, port)) = sshd(&bed, &mut runner) else { return };
    drop(runner);
    let dir = bed.path().display();
    let options = |key: &str| {
        format!(
            "[\"-F\",\"none\",\"-i\",\"{dir}/{key}\",\"-o\",\"IdentitiesOnly=yes\",\"-o\",\"StrictHostKeyChecking=no\",\
             \"-o\",\"UserKnownHostsFile={dir}/known\"]"
        )
    };
    let toml = format!(
        "{NO_POWER}[shell]\ndriver=\"ssh\"\nuser=\"root\"\nport={port}\noptions={}\n[probe]\ndriver=\"shell\"\n\
         interval=\"50ms\"\n[shutdown]\nhalt=\"echo halting; exit 6\"\nrestart=\"kill -9 $PPID; sleep 5\"\n\
         [override.node.n2]\nshell={{options={}}}\n[override.node.n3]\nshell={{port=1}}\n",
        options("user"),
        options("host")
    );
    let mut members = nodes(3);
    for node in &mut members {
        node.address = Some("127.0.0.1".into());
    }
    let mut drivers = bed.drivers(&toml, members);
    let argv = server.argv.iter().map(|word| word.to_str().unwrap().to_owned()).collect();
    drivers.start(&SideCommand { on: RunsOn::Control, argv, stdin: Vec::new(), timeout: server.timeout });
    let mut up = Event::Probe(NodeId(0), Probe::Unknown);
    for _ in 0..100 {
        up = carry_out(&mut *drivers, Task::Probe, 0..1).remove(0);
        if up == Event::Probe(NodeId(0), Probe::Up) {
            break;
        }
        let until = drivers.now() + Duration::from_millis(50);
        drivers.next(Some(until));
    }
    assert_eq!(up, Event::Probe(NodeId(0), Probe::Up), "{:?}", drivers.take_ended());
    assert!(bed.read("log").lines().all(|line| line == "true"));
    let halted = carry_out(&mut *drivers, Task::Run(RemoteCommand::Halt), 0..1);
    assert_eq!(kinds(&halted), [Some(FailureKind::Failed)]);
    assert!(detail(&halted[0]).contains("exit status 6: "), "{}", detail(&halted[0]));
    let lost = carry_out(&mut *drivers, Task::Run(RemoteCommand::Halt), 1..3);
    assert_eq!(kinds(&lost), [Some(FailureKind::Authentication), Some(FailureKind::Refused)]);
    assert_eq!(
        carry_out(&mut *drivers, Task::Probe, 1..3),
        [Event::Probe(NodeId(1), Probe::Unknown), Event::Probe(NodeId(2), Probe::Down),]
    );
    let words = ["printf", "%s|", "a b", "it's"];
    let ended = run(&mut *drivers, RunsOn::Node(NodeId(0)), &words, "").unwrap();
    assert_eq!(ended.text(), "a b|it's|");
    drivers.end_all();
    while drivers.take_ended().is_empty() {
        drivers.next(None);
    }
}
