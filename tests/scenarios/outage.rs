//! A shutdown on battery that is turned round, killed amid a phase, or called by somebody who may not: what was quieted
//! is put back, and the same command again goes on from there.

use bed::cluster::scripted;
use bed::loopfs::{HOST_NEEDS, Host};
use bed::{Bed, Need, Program, real, wait_until};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::Signal;

/// What is run on a node waits as long as the bed says so.
const RUNS: &str = r#"	*shutdown*) echo "$1" >>"$ORDERLY_BED/halts"; rm -f "$ORDERLY_BED/on.$1" ;;
	*'sh -s'*) echo "$1" >>"$ORDERLY_BED/ended"; while [ -e "$ORDERLY_BED/keeps-users" ]; do sleep 0.1; done
		echo "orderly: done" ;;"#;

/// Two nodes that are up, and a subsystem that is over once it may be, with what undoes it.
fn cluster(bed: &Bed) {
    let root = bed.root().display();
    let settings = format!(
        "control_address = \"127.0.0.1\"\n{}\
         [subsystem]\nhost = \"control\"\nup = {{ \"{root}/sbin/quiet\" = \"{root}/sbin/resume\" }}\n\
         [shutdown]\nsettle = \"100ms\"\nusual = \"5s\"\n",
        scripted(bed.path("sbin/mynode").display())
    );
    bed.cluster(r#"{"nodes": [{"name": "n1", "number": 11}, {"name": "n2", "number": 12}]}"#, settings);
    bed.write("cstartSeq", "");
    bed.write("cshutSeq", "");
    bed.write("subsysSeq", format!("quiet: {root}/sbin/quiet\n"));
    bed.script(
        "sbin/quiet",
        &format!("echo quiet >>{root}/called\nwhile [ -e {root}/keeps-quieting ]; do sleep 0.1; done"),
    );
    bed.script("sbin/resume", &format!("echo resume \"$@\" >>{root}/called"));
    bed.markers(RUNS, &["n1", "n2"]);
    bed.tools(&["rm", "sleep"]);
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
    bed.program("cstartup").arg("ALL").any_stdout().goes_well().run();
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

/// Whoever was named, the one with a deadline was turned round.
#[test]
fn who_is_named_is_cancelled_and_not_the_one_with_a_deadline() {
    let bed = Bed::new();
    cluster(&bed);
    bed.write("keeps-quieting", "");
    let running = bed.program("cshutdown").args(["-F", "--within", "3h", "n1"]).any_stdout().any_stderr();
    let mut running = running.spawn();
    wait_until("the subsystem is called", || !said(&bed, "called").is_empty());
    let waiting =
        bed.program("cshutdown").args(["-F", "-T", "30", "n2"]).status(130).any_stdout().any_stderr().spawn();
    waiting.wait_for_stderr("the shutdown begins in");
    for nobody in ["n3", "4194303"] {
        let ended = bed.program("cshutdown").args(["--cancel", nobody]).status(4).any_stderr().run();
        assert!(ended.stderr.contains("(with a deadline, targets n1)"), "{}", ended.stderr);
    }
    bed.program("cshutdown").args(["--cancel", "n2"]).run();
    waiting.end();
    assert!(running.is_running(), "{}", running.stderr_so_far());
    std::fs::remove_file(bed.path("keeps-quieting")).unwrap();
    let ended = running.end();
    assert!(ended.stderr.contains("down: n1"), "{}", ended.stderr);
}

/// The lock of those who tell a run something was made where no run ever was, in a directory of another user.
#[test]
fn who_only_looks_or_finds_nothing_to_cancel_makes_nothing_in_the_state_directory() {
    let bed = Bed::new();
    cluster(&bed);
    for (program, words) in [
        ("cshutdown", "--cancel"),
        ("cshutdown", "--cancel ALL"),
        ("cshutdown", "--cancel n1"),
        ("cshutdown", "-k --within 3h ALL"),
        ("cshutdown", "--rehearse --within 3h ALL"),
        ("cshutdown", "--status"),
        ("cshutdown", "--status n1"),
        ("cshutdown", "--watch"),
        ("cshutdown", "--why-not n1"),
        ("cstartup", "--give-up n1"),
        ("cstartup", "-k ALL"),
        ("cstartup", "-k --restore"),
    ] {
        let run = bed.program(program).args(words.split_whitespace()).any_status();
        let ended = run.any_stdout().any_stderr().run();
        assert!([0, 4].contains(&ended.status), "{program} {words}: {}", ended.stderr);
        let made = std::fs::read_dir(bed.path("state")).into_iter().flatten().flatten();
        let made: Vec<_> = made.map(|entry| entry.file_name()).collect();
        assert!(made.is_empty(), "{program} {words}: {made:?}");
    }
}

/// The second ended the subsystem half-way, and the run as stuck.
#[test]
fn several_that_turn_it_round_at_once_are_one() {
    let bed = Bed::new();
    cluster(&bed);
    bed.write("keeps-quieting", "");
    let running = within(&bed, &[]).status(143).spawn();
    wait_until("the subsystem is called", || !said(&bed, "called").is_empty());
    let first = bed.program("cshutdown").arg("--cancel").spawn();
    running.wait_for_stderr("interrupted");
    let second = bed.program("cshutdown").arg("--cancel").spawn();
    wait_until("the second has come to its turn", || {
        let turn = std::fs::read_to_string(bed.path("state/cshutdown.within.turn.lock")).unwrap_or_default();
        turn.contains(&format!("process {} ", second.pid()))
    });
    wait_until("it has had its turn", || {
        let turn = std::fs::File::open(bed.path("state/cshutdown.within.turn.lock")).unwrap();
        Flock::lock(turn, FlockArg::LockSharedNonblock).is_ok()
    });
    std::fs::remove_file(bed.path("keeps-quieting")).unwrap();
    for cancel in [first, second] {
        cancel.end();
    }
    running.end();
    assert_eq!(said(&bed, "called"), ["quiet"]);
}

/// While the next one begins it was taken for that one: its number was sent a signal, whoever has it now.
#[test]
fn what_a_killed_one_has_left_is_nobodys_while_the_next_begins() {
    let bed = Bed::new();
    cluster(&bed);
    // The scenario is the next one, which has its lock and has not said anything yet.
    std::fs::create_dir_all(bed.path("state")).unwrap();
    let lock = std::fs::File::create(bed.path("state/cshutdown.within.lock")).unwrap();
    let lock = Flock::lock(lock, FlockArg::LockExclusive).unwrap();
    let mut innocent = bed.external(real::find("sleep").unwrap()).arg("600").status(128 + 9).spawn();
    let left = serde_json::json!({
        "format": "orderly-within/1", "pid": innocent.pid(), "deadline": 1.0e9, "targets": "n[1-2]", "halting": false,
    });
    bed.config("../state/cshutdown.within.json", left.to_string());
    let cancel = bed.program("cshutdown").arg("--cancel").status(4).any_stderr().spawn();
    let within = within(&bed, &[]).status(4).spawn();
    for run in [cancel, within] {
        let ended = run.end();
        assert!(ended.stderr.contains("says nothing of the shutdown of process"), "{}", ended.stderr);
    }
    assert!(innocent.is_running());
    innocent.signal(Signal::SIGKILL);
    innocent.end();
    // It is nobody's, and keeps nobody from anything.
    drop(lock);
    bed.program("cshutdown").arg("--cancel").status(4).any_stderr().run();
    let ended = self::within(&bed, &[]).run();
    assert!(ended.stderr.contains("down: n[1-2]"), "{}", ended.stderr);
}

/// The one that came second was refused, when it had told the run that both wanted to take over to end.
#[test]
fn of_two_that_take_the_place_of_one_the_sooner_deadline_holds() {
    let bed = Bed::new();
    cluster(&bed);
    bed.write("keeps-quieting", "");
    let run = |within: &str, targets: &str| {
        let run = bed.program("cshutdown").args(["-F", "--within", within, targets]);
        run.any_stdout().any_stderr()
    };
    let smaller = run("3h", "n1").status(143).spawn();
    wait_until("the subsystem is called", || !said(&bed, "called").is_empty());
    let later = run("2h", "ALL").spawn();
    smaller.wait_for_stderr("interrupted");
    let sooner = run("1h", "ALL").spawn();
    sooner.wait_for_stderr("is told to begin nothing more");
    std::fs::remove_file(bed.path("keeps-quieting")).unwrap();
    let said_all = [smaller, later, sooner].map(|run| run.end().stderr).join("\n");
    assert!(said_all.contains("down: n[1-2]"), "{said_all}");
    assert_eq!(said(&bed, "halts").len(), 2, "{said_all}");
}

/// What it had not stopped yet was taken for what it was not to stop, and went on running.
#[test]
fn the_targets_of_one_that_is_killed_while_another_waits_for_it_are_stopped_with_the_others() {
    let bed = Bed::new();
    cluster(&bed);
    bed.write("keeps-quieting", "");
    let run = |within: &str, targets: &str| {
        bed.program("cshutdown").args(["-F", "--within", within, targets]).any_stdout().any_stderr()
    };
    let sooner = run("1h", "n1").any_status().spawn();
    wait_until("the subsystem is called", || !said(&bed, "called").is_empty());
    let later = run("3h", "n2").spawn();
    later.wait_for_stderr("not its targets, and to be stopped too: n2");
    let pid = sooner.pid();
    sooner.signal(Signal::SIGKILL);
    sooner.end();
    let killed = format!("process {pid} was killed; its targets are stopped here, with the others");
    later.wait_for_stderr(&killed);
    std::fs::remove_file(bed.path("keeps-quieting")).unwrap();
    let ended = later.end();
    let mut halts = said(&bed, "halts");
    halts.sort_unstable();
    assert_eq!(halts, ["n1", "n2"], "{}", ended.stderr);
    assert!(ended.stderr.contains("down: n[1-2]"), "{}", ended.stderr);
}

/// A program that called it read no record at all, and could not tell it from one that died.
#[test]
fn a_call_that_only_tightens_a_running_one_ends_with_a_record_that_says_so() {
    let bed = Bed::new();
    cluster(&bed);
    bed.write("keeps-quieting", "");
    let running = within(&bed, &[]).spawn();
    wait_until("the subsystem is called", || !said(&bed, "called").is_empty());
    for (within, why) in
        [("1h", " is tightened"), ("9h", " has to be over sooner already: nothing is changed")]
    {
        let call = bed.program("cshutdown").args(["-F", "--json", "--within", within, "n1"]);
        let records = call.any_stdout().any_stderr().run().records();
        let [end] = records.as_slice() else { panic!("{records:?}") };
        assert_eq!(
            (&end["record"], &end["status"], &end["exit"]),
            (&"end".into(), &"done".into(), &0.into())
        );
        let said = end["why"].as_str().unwrap();
        assert!(said.contains(&format!("process {}", running.pid())) && said.ends_with(why), "{end}");
    }
    std::fs::remove_file(bed.path("keeps-quieting")).unwrap();
    running.end();
}

/// It was halted when its controller had not answered for a minute, too late, although it answered itself.
#[test]
fn a_node_that_answers_is_halted_whatever_its_controller_does_not_say() {
    let bed = Bed::new();
    cluster(&bed);
    let text = bed.read("etc/cluster.toml").replace("[power]\n", "[power]\ntimeout = \"30m\"\n");
    bed.config("cluster.toml", text);
    // Asked first how all stand it answers; from then on it hangs.
    let hangs = "status) if [ -e \"$ORDERLY_BED/hangs\" ]; then case \" $* \" in *\" n1 \"*)\n\
                 if [ -e \"$ORDERLY_BED/asked\" ]; then while [ -e \"$ORDERLY_BED/hangs\" ]; do sleep 0.1; done; fi\n\
                 : >\"$ORDERLY_BED/asked\" ;; esac; fi\n";
    bed.write("sbin/mynode", bed.read("sbin/mynode").replace("status) ", hangs));
    bed.write("hangs", "");
    let running = within(&bed, &[]).spawn();
    wait_until("both are told to halt", || said(&bed, "halts").len() == 2);
    std::fs::remove_file(bed.path("hangs")).unwrap();
    let ended = running.end();
    assert!(ended.stderr.contains("down: n[1-2]"), "{}", ended.stderr);
}

/// Nothing was halted, as the state directory was full.
#[test]
fn a_disk_that_is_full_keeps_no_node_from_being_halted() {
    if !real::require(&HOST_NEEDS) {
        return;
    }
    let bed = Bed::new();
    cluster(&bed);
    bed.tools(&["mount", "dd"]);
    let host = Host::new(&bed, "control");
    host.shell("mount -t tmpfs -o size=4k tmpfs state && dd if=/dev/zero of=state/full bs=4k count=1")
        .any_stderr()
        .run();
    // Where there is time it is refused, and nothing is touched.
    let refused = host.program("cshutdown").args(["-F", "ALL"]).status(4).any_stdout().any_stderr().run();
    assert!(refused.stderr.contains("No space left on device"), "{}", refused.stderr);
    assert!(said(&bed, "halts").is_empty());
    let within = host.program("cshutdown").args(["-F", "--within", "3h", "ALL"]);
    let ended = within.any_status().any_stdout().any_stderr().run();
    assert_eq!(said(&bed, "halts").len(), 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("nobody can tighten its deadline or cancel it"), "{}", ended.stderr);
    assert!(ended.stderr.contains("no other run knows of it"), "{}", ended.stderr);
}

/// The second was refused as it could not say that its deadline is sooner: what the first did not have went on running.
#[test]
fn on_a_full_disk_one_takes_the_place_of_another_and_stops_what_both_have() {
    if !real::require(&HOST_NEEDS) {
        return;
    }
    // With more targets than the first, and with none of them.
    for (first, second, halts) in [("n1", "ALL", 2), ("n1", "n2", 2), ("ALL", "n1", 2)] {
        let bed = Bed::new();
        cluster(&bed);
        bed.tools(&["mount", "dd"]);
        bed.write("keeps-quieting", "");
        let host = Host::new(&bed, "control");
        host.shell("mount -t tmpfs -o size=64k tmpfs state").run();
        let run = |within: &str, targets: &str| {
            let run = host.program("cshutdown").args(["-F", "--within", within, targets]);
            run.any_status().any_stdout().any_stderr().spawn()
        };
        let smaller = run("3h", first);
        wait_until("the subsystem is called", || !said(&bed, "called").is_empty());
        // What the first removes at its end stays on the disk as long as somebody has it open.
        let pins = "exec 3<state/cshutdown.within.json 4<state/runs/1.json 5<state/runs/1.lock; : >pinned
            while [ -e pinned ]; do sleep 0.1; done";
        let pins = host.shell(pins).spawn();
        wait_until("what the first has written is open", || bed.path("pinned").exists());
        host.shell("dd if=/dev/zero of=state/full bs=4k").any_status().any_stderr().run();
        let larger = run("1h", second);
        smaller.wait_for_stderr("interrupted");
        std::fs::remove_file(bed.path("keeps-quieting")).unwrap();
        let (smaller, larger) = (smaller.end(), larger.end());
        std::fs::remove_file(bed.path("pinned")).unwrap();
        pins.end();
        assert_eq!(smaller.status, 143, "{}", smaller.stderr);
        for part in ["cannot be tightened: ", "No space left on device", "nobody can tighten its deadline"] {
            assert!(larger.stderr.contains(part), "{part}\n{}", larger.stderr);
        }
        assert_eq!(said(&bed, "halts").len(), halts, "{first}, {second}: {}", larger.stderr);
        assert!(larger.stderr.contains("down: n[1-2]"), "{}", larger.stderr);
    }
}

/// It was given no file to write to, failed, and was gone on without.
#[test]
fn on_a_full_disk_subsystems_are_called_and_who_undoes_them_is_said_to_be_nobody() {
    if !real::require(&HOST_NEEDS) {
        return;
    }
    let bed = Bed::new();
    cluster(&bed);
    bed.tools(&["mount", "dd"]);
    let root = bed.root().display();
    bed.script("sbin/quiet", &format!("echo \"$@\" >>{root}/called && echo \"quieted\" >>\"$5\""));
    let host = Host::new(&bed, "control");
    std::fs::create_dir_all(bed.path("log")).unwrap();
    let fill = "mount -t tmpfs -o size=4k tmpfs state && dd if=/dev/zero of=state/full bs=4k count=1";
    host.shell(&format!("{fill} && mount -t tmpfs -o ro tmpfs log")).any_stderr().run();
    let ended = host.program("cshutdown").args(["-F", "--within", "3h", "ALL"]);
    let ended = ended.any_status().any_stdout().any_stderr().run();
    assert_eq!(said(&bed, "halts").len(), 2, "{}", ended.stderr);
    let called = said(&bed, "called");
    assert!(called.len() == 1 && called[0].contains(" -f /dev/null "), "{called:?}");
    assert!(ended.stderr.contains("is called, and no start will undo it: "), "{}", ended.stderr);
    assert!(!ended.stderr.contains("failed"), "{}", ended.stderr);
}

/// It was found out by the next start that it cannot be undone.
#[test]
fn what_cannot_be_undone_is_not_quieted() {
    let bed = Bed::new();
    cluster(&bed);
    std::fs::remove_file(bed.path("sbin/resume")).unwrap();
    for flags in [&["-k"][..], &["-F"]] {
        let ended = bed.program("cshutdown").args(flags).arg("ALL").status(3).any_stderr().run();
        assert!(ended.stderr.contains("subsystem.up: "), "{}", ended.stderr);
    }
    assert!(said(&bed, "called").is_empty() && said(&bed, "halts").is_empty());
}

/// Whoever could write it had a start of root run any program.
#[test]
fn what_is_quieted_is_not_read_from_what_others_can_change() {
    let bed = Bed::new();
    cluster(&bed);
    within(&bed, &[]).run();
    let file = bed.path("state/quieted.json");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let ended = bed.program("cstartup").arg("ALL").any_status().any_stdout().any_stderr().run();
    assert!(ended.stderr.contains("quieted.json"), "{}", ended.stderr);
    assert_eq!(said(&bed, "called"), ["quiet"]);
}
