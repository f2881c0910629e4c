//! A shutdown on battery that is turned round, killed amid a phase, or called by somebody who may not: what was quieted
//! is put back, and the same command again goes on from there.

use bed::{Bed, Need, Program, real, wait_until};
use nix::sys::signal::Signal;

/// A node is a marker; what is run on it waits as long as the bed says so.
const NODE: &str = r#"
does=$1
shift
case $does in
on) : >"$ORDERLY_BED/on.$1" ;;
off) rm -f "$ORDERLY_BED/on.$1" ;;
status) for node; do if [ -e "$ORDERLY_BED/on.$node" ]; then echo "$node: on"; else echo "$node: off"; fi; done ;;
up) [ -e "$ORDERLY_BED/on.$1" ] ;;
run) case $2 in
	*shutdown*) echo "$1" >>"$ORDERLY_BED/halts"; rm -f "$ORDERLY_BED/on.$1" ;;
	*'sh -s'*) echo "$1" >>"$ORDERLY_BED/ended"; while [ -e "$ORDERLY_BED/keeps-users" ]; do sleep 0.1; done
		echo "orderly: done" ;;
	esac ;;
esac
"#;

/// Two nodes that are up, and a subsystem that is over once it may be, with what undoes it.
fn cluster(bed: &Bed) {
    let root = bed.root().display();
    bed.config(
        "inventory.json",
        r#"{"nodes": [{"name": "n1", "number": 11}, {"name": "n2", "number": 12}]}"#,
    );
    let text = format!(
        "inventory = \"{root}/etc/inventory.json\"\nlog_dir = \"{root}/log\"\ncontrol_address = \"127.0.0.1\"\n\
         sequence = {{ start = \"{root}/etc/cstartSeq\", shut = \"{root}/etc/cshutSeq\", subsystems = \"{root}/etc/subsysSeq\" }}\n\
         [power]\ndriver = \"command\"\non = [\"{root}/sbin/mynode\", \"on\", \"{{node}}\"]\noff = [\"{root}/sbin/mynode\", \"off\", \"{{node}}\"]\n\
         status = [\"{root}/sbin/mynode\", \"status\", \"{{nodes}}\"]\n\
         [probe]\ndriver = \"command\"\nup = [\"{root}/sbin/mynode\", \"up\", \"{{node}}\"]\ninterval = \"200ms\"\n\
         [shell]\ndriver = \"command\"\nrun = [\"{root}/sbin/mynode\", \"run\", \"{{node}}\", \"{{command}}\"]\n\
         [subsystem]\nhost = \"control\"\nup = {{ \"{root}/sbin/quiet\" = \"{root}/sbin/resume\" }}\n\
         [shutdown]\nsettle = \"100ms\"\nusual = \"5s\"\n"
    );
    bed.config("cluster.toml", text);
    bed.write("etc/cstartSeq", "");
    bed.write("etc/cshutSeq", "");
    bed.config("subsysSeq", format!("quiet: {root}/sbin/quiet\n"));
    bed.script(
        "sbin/quiet",
        &format!("echo quiet >>{root}/called\nwhile [ -e {root}/keeps-quieting ]; do sleep 0.1; done"),
    );
    bed.script("sbin/resume", &format!("echo resume \"$@\" >>{root}/called"));
    bed.script("sbin/mynode", NODE);
    bed.tools(&["rm", "sleep"]);
    bed.write("on.n1", "");
    bed.write("on.n2", "");
}

fn within<'a>(bed: &'a Bed, more: &[&str]) -> Program<'a> {
    bed.program("cshutdown").args(["-F", "--within", "3h"]).args(more).arg("ALL").any_stdout().any_stderr()
}

fn said(bed: &Bed, file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(bed.path(file)).unwrap_or_default();
    text.lines().map(ToOwned::to_owned).collect()
}

/// The nodes that are remembered to be quieted.
fn quieted(bed: &Bed) -> serde_json::Value {
    let text = std::fs::read_to_string(bed.path("state/quieted.json")).expect("what is quieted");
    let record: serde_json::Value = serde_json::from_str(&text).unwrap();
    record["subsystems"].as_array().unwrap().iter().map(|by| by["nodes"].clone()).collect()
}

/// Has a start put back what is quieted, and sees that it does.
fn is_put_back(bed: &Bed) {
    bed.program("cstartup").arg("ALL").any_stdout().any_stderr().run();
    let called = said(bed, "called");
    let last = called.last().expect("it was called");
    assert!(last.starts_with("resume -u -b 127.0.0.1 -f ") && last.ends_with(" 11 12"), "{called:?}");
    assert_eq!(called.iter().filter(|line| line.starts_with("resume")).count(), 1, "{called:?}");
    assert_eq!(quieted(bed), serde_json::json!([]));
}

#[test]
fn what_was_quieted_before_it_was_turned_round_is_put_back_by_the_next_start() {
    let bed = Bed::new();
    cluster(&bed);
    bed.write("keeps-quieting", "");
    let running = within(&bed, &[]).status(143).spawn();
    wait_until("the subsystem is called", || !said(&bed, "called").is_empty());
    let mut cancel = bed.program("cshutdown").arg("--cancel").spawn();
    running.wait_for_stderr("interrupted");
    assert!(cancel.is_running(), "it waits until the run has given up");
    std::fs::remove_file(bed.path("keeps-quieting")).unwrap();
    cancel.end();
    let ended = running.end();
    assert!(said(&bed, "halts").is_empty(), "{}", ended.stderr);
    assert_eq!(quieted(&bed), serde_json::json!([["n1", "n2"]]));
    is_put_back(&bed);
}

#[test]
fn one_that_was_killed_while_users_processes_are_ended_is_done_by_the_same_command_again() {
    let bed = Bed::new();
    cluster(&bed);
    bed.write("keeps-users", "");
    let running = within(&bed, &[]).any_status().spawn();
    wait_until("users' processes are ended", || said(&bed, "ended").len() == 2);
    running.signal(Signal::SIGKILL);
    running.end();
    let left: serde_json::Value = serde_json::from_str(&bed.read("state/cshutdown.within.json")).unwrap();
    assert_eq!(left["halting"], false);
    std::fs::remove_file(bed.path("keeps-users")).unwrap();
    // Nothing runs: there is nothing to turn round.
    bed.program("cshutdown").arg("--cancel").any_stderr().status(4).run();
    let ended = within(&bed, &[]).run();
    assert!(ended.stderr.contains("down: n[1-2]"), "{}", ended.stderr);
    assert_eq!(said(&bed, "ended").len(), 4, "they are ended again");
    assert_eq!(said(&bed, "halts").len(), 2);
    assert!(!bed.path("state/cshutdown.within.json").exists());
    is_put_back(&bed);
}

#[test]
fn one_that_was_killed_while_subsystems_are_called_is_done_by_the_same_command_again() {
    let bed = Bed::new();
    cluster(&bed);
    bed.write("keeps-quieting", "");
    let running = within(&bed, &[]).any_status().spawn();
    wait_until("the subsystem is called", || !said(&bed, "called").is_empty());
    running.signal(Signal::SIGKILL);
    running.end();
    assert_eq!(quieted(&bed), serde_json::json!([["n1", "n2"]]), "it is remembered before it is called");
    std::fs::remove_file(bed.path("keeps-quieting")).unwrap();
    let ended = within(&bed, &[]).run();
    assert!(ended.stderr.contains("down: n[1-2]"), "{}", ended.stderr);
    assert_eq!(said(&bed, "called"), ["quiet", "quiet"], "it may have been cut off before it was over");
    assert_eq!(quieted(&bed), serde_json::json!([["n1", "n2"]]), "once");
    is_put_back(&bed);
}

/// The hook of somebody who may not tell the run anything is refused, and the run goes on as it was.
#[test]
fn a_hook_of_another_user_is_refused_and_disturbs_nothing() {
    if !real::require(&[Need::Root, Need::Program("setpriv")]) {
        return;
    }
    let bed = Bed::new();
    cluster(&bed);
    bed.tools(&["setpriv"]);
    bed.write("keeps-quieting", "");
    let mut running = within(&bed, &[]).spawn();
    wait_until("the subsystem is called", || !said(&bed, "called").is_empty());
    let before = bed.read("state/cshutdown.within.json");
    let open = |path: std::path::PathBuf| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    open(bed.path(""));
    for what in ["--within 1m ALL", "--cancel"] {
        let line = format!(
            "exec setpriv --reuid 65534 --clear-groups -- {}/bin/cshutdown {what}",
            bed.root().display()
        );
        let ended = bed.shell(&line).any_stdout().any_stderr().any_status().run();
        assert_ne!(ended.status, 0, "{}", ended.stderr);
        assert!(ended.stderr.contains("ermission denied"), "{}", ended.stderr);
    }
    assert!(running.is_running());
    assert_eq!(bed.read("state/cshutdown.within.json"), before, "its deadline is as it was");
    std::fs::remove_file(bed.path("keeps-quieting")).unwrap();
    let ended = running.end();
    assert!(ended.stderr.contains("down: n[1-2]"), "{}", ended.stderr);
}
