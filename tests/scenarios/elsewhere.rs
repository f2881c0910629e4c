//! A run that is looked at and steered from elsewhere: two real processes, on simulated nodes.

use bed::{Bed, Need, Running, inventory_of, real, wait_until};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

/// Makes a simulated cluster of nodes that are all off (or up): n00 and n01 lead n02 and n03, and these all others.
pub(crate) fn cluster(count: usize, simulator: &str) -> Bed {
    let bed = Bed::new();
    let settings = format!(
        "sequence.literal = true\n\
         [power]\ndriver = \"simulator\"\n[shell]\ndriver = \"simulator\"\n\
         [probe]\ndriver = \"simulator\"\ninterval = \"20ms\"\n[shutdown]\nsettle = \"50ms\"\n\
         [simulator]\nlatency = \"1ms\"\nboot = \"50ms\"\n{simulator}\n"
    );
    bed.cluster(&inventory_of((0..count).map(|node| format!("n{node:02}"))), settings);
    let rest: Vec<String> = (4..count).map(|node| format!("n{node:02}")).collect();
    let rest = if count > 5 { format!("rest: {}\nsecond > rest\n", rest.join(" ")) } else { String::new() };
    bed.write("cstartSeq", format!("first: n00 n01\nsecond: n02 n03\nfirst > second\n{rest}"));
    bed.write("cshutSeq", "first: n00 n01\nsecond: n02 n03\nsecond > first\n");
    bed
}

fn spawn(bed: &Bed, program: &str, args: &[&str]) -> Running {
    bed.program(program).args(args).any_stdout().any_stderr().any_status().spawn()
}

/// Begins a start of all that hangs at n01, and waits until it does.
fn hanging(bed: &Bed) -> Running {
    let run = spawn(bed, "cstartup", &["ALL"]);
    run.wait_for_stderr("cstartup: n00: up");
    run
}

fn records(bed: &Bed, args: &[&str], status: i32) -> Vec<Value> {
    bed.program("cstartup").args(args).arg("--json").any_stdout().any_stderr().status(status).run().records()
}

fn state(bed: &Bed, node: &str) -> Value {
    records(bed, &["--status", node], 0).into_iter().find(|record| record["record"] == "state").unwrap()
}

fn socket(bed: &Bed) -> std::path::PathBuf {
    bed.path("state/runs/1.sock")
}

/// A visitor that is no program of ours.
struct Visitor(BufReader<UnixStream>);

impl Visitor {
    fn new(bed: &Bed) -> Self {
        let stream = UnixStream::connect(socket(bed)).unwrap();
        stream.set_read_timeout(Some(bed::HUNG)).unwrap();
        let mut visitor = Self(BufReader::new(stream));
        assert_eq!(visitor.next().unwrap()["record"], "hello");
        visitor
    }

    fn say(&mut self, text: impl AsRef<[u8]>) -> bool {
        self.0.get_mut().write_all(text.as_ref()).is_ok()
    }

    fn ask(&mut self, mut request: Value) {
        request["format"] = "orderly-run/1".into();
        assert!(self.say(format!("{request}\n")));
    }

    /// Returns the next record; nothing where the run has closed.
    fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn until(&mut self, record: &str) -> Value {
        loop {
            let next = self.next().unwrap_or_else(|| panic!("closed before {record}"));
            if next["record"] == record {
                return next;
            }
        }
    }
}

#[test]
fn whoever_watches_sees_what_happens_and_ends_with_the_status_of_the_run() {
    let bed = cluster(12, "hang = \"n01\"");
    let run = hanging(&bed);
    let mode = |path: &str| std::fs::metadata(bed.path(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("state/runs"), mode("state/runs/1.sock")), (0o700, 0o600));
    let watch = spawn(&bed, "cstartup", &["--watch"]);
    let by_process = spawn(&bed, "cshutdown", &["--watch", &run.pid().to_string(), "--json"]);
    let by_target = spawn(&bed, "cstartup", &["--watch", "n07", "-v"]);
    for watcher in [&watch, &by_process, &by_target] {
        watcher.wait_for_stderr(&format!("watching process {} (cstartup ALL, user ", run.pid()));
    }
    by_process.wait_for_stdout("\"record\":\"status\"");
    bed.program("cstartup").args(["--give-up", "n01"]).stdout("n01: given up\n").run();
    let (run, watch, by_process, by_target) = (run.end(), watch.end(), by_process.end(), by_target.end());
    assert_eq!((run.status, watch.status, by_process.status, by_target.status), (1, 1, 1, 1));
    // The same words, in the name of the program that says them.
    for part in ["cstartup: n01: skipped: given up by ", "cstartup: held by n01: n[02-11] (10 nodes)"] {
        assert!(run.stderr.contains(part) && watch.stderr.contains(part), "{part}\n{}", watch.stderr);
        assert!(by_process.stderr.contains(part), "{part}\n{}", by_process.stderr);
    }
    assert_eq!(watch.stdout, run.stdout);
    let records = by_process.records();
    let over = |record: &&Value| record["record"] == "node" && record["node"] == "n01";
    assert_eq!(records.iter().find(over).unwrap()["outcome"], "skipped");
    let last: Vec<&str> = records.iter().rev().take(2).map(|one| one["record"].as_str().unwrap()).collect();
    assert_eq!(last, ["end", "report"]);
    assert!(
        bed.path("state/runs").read_dir().unwrap().flatten().all(|entry| entry.file_name() == "desk.lock")
    );
}

/// Tells whether this process ignores a signal, as all do that nohup(1) has begun; its programs then do so as well.
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(ignored.trim(), 16).unwrap() >> (signal as u32 - 1) & 1 == 1
}

#[test]
fn an_interrupt_of_whoever_watches_leaves_the_run_alone() {
    let bed = cluster(4, "hang = \"n01\"");
    let mut run = hanging(&bed);
    for (signal, status) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        if is_ignored(signal) {
            continue;
        }
        let watch = spawn(&bed, "cstartup", &["--watch"]);
        watch.wait_for_stderr("watching process");
        watch.signal(signal);
        let ended = watch.end();
        assert_eq!(ended.status, status);
        assert!(ended.stderr.contains(&format!("process {} goes on", run.pid())), "{}", ended.stderr);
    }
    // Killed, it says nothing.
    let watch = spawn(&bed, "cstartup", &["--watch"]);
    watch.wait_for_stderr("watching process");
    watch.signal(Signal::SIGKILL);
    watch.end();
    assert!(run.is_running());
    bed.program("cshutdown").args(["--give-up", "n01"]).any_stdout().run();
    assert_eq!(run.end().status, 1);
}

/// It is closed as a window is: all that is on it gets a hang-up.
#[test]
fn a_terminal_that_is_closed_while_somebody_watches_there_ends_nothing_but_the_watching() {
    if !real::require(&[Need::Program("setsid")]) || is_ignored(Signal::SIGHUP) {
        return;
    }
    let bed = cluster(4, "hang = \"n01\"");
    let mut run = hanging(&bed);
    let size = nix::pty::Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    let pair = nix::pty::openpty(&size, None).unwrap();
    // Whoever watches would keep the terminal open that it is to lose.
    fcntl(&pair.master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
    let theirs = || std::process::Stdio::from(pair.slave.try_clone().unwrap());
    let mut watch = std::process::Command::new(real::find("setsid").unwrap())
        .args(["--ctty", "--wait"])
        .arg(bed.path("bin/cstartup"))
        .arg("--watch")
        .env_clear()
        .env("ORDERLY_STATE_DIR", bed.path("state"))
        .env("TERM", "vt100")
        .stdin(theirs())
        .stdout(theirs())
        .stderr(theirs())
        .spawn()
        .unwrap();
    drop(pair.slave);
    let mut terminal = File::from(pair.master);
    let mut seen = String::new();
    let mut pressed = false;
    // The live line, and all of it when Enter is pressed.
    while !(pressed && seen.contains("waiting for n[00-01]") || seen.contains("n[02-03]: waiting for n01")) {
        let mut bytes = [0; 4096];
        let count = terminal.read(&mut bytes).unwrap();
        seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
        if !pressed && seen.contains("n01 booting for") {
            pressed = true;
            terminal.write_all(b"\n").unwrap();
        }
    }
    drop(terminal);
    let ended = watch.wait().unwrap();
    assert!(!ended.success(), "{ended:?}");
    assert!(run.is_running());
    bed.program("cstartup").args(["--give-up", "n01"]).any_stdout().run();
    assert_eq!(run.end().status, 1);
}

/// Stopped, they read nothing while a thousand nodes go by; the run ends all the same, which is all that is told.
#[test]
fn a_watcher_that_is_stopped_holds_up_no_run() {
    let bed = cluster(1000, "hang = \"n01\"");
    bed.write("cstartSeq", "gate: n01\nrest: n00 n[02-99] n[100-999]\ngate(ended) > rest\n");
    let run = spawn(&bed, "cstartup", &["ALL"]);
    run.wait_for_stderr("n01: powering on");
    let watchers: Vec<Running> =
        (0..3).map(|_| spawn(&bed, "cstartup", &["--watch", "-v", "--json"])).collect();
    for watcher in &watchers {
        watcher.wait_for_stdout("\"record\":\"status\"");
        watcher.signal(Signal::SIGSTOP);
    }
    bed.program("cstartup").args(["--give-up", "n01"]).any_stdout().run();
    let ended = run.end();
    assert!(ended.stderr.contains("(999 nodes"), "{}", ended.stderr);
    for watcher in watchers {
        watcher.signal(Signal::SIGCONT);
        let ended = watcher.end();
        assert_eq!(ended.status, 1, "{}", ended.stderr);
    }
}

#[test]
fn a_run_that_is_killed_holds_nobody_and_its_socket_is_never_taken_for_another() {
    let bed = cluster(4, "hang = \"n01\"");
    let run = hanging(&bed);
    let watch = spawn(&bed, "cstartup", &["--watch"]);
    let json = spawn(&bed, "cstartup", &["--watch", "--json"]);
    json.wait_for_stdout("\"record\":\"status\"");
    watch.wait_for_stderr("watching process");
    let pid = run.pid();
    run.signal(Signal::SIGKILL);
    run.end();
    for watcher in [watch, json] {
        let ended = watcher.end();
        let word = format!("process {pid} ended without a word: it was killed");
        assert!(ended.stderr.contains(&word), "{}", ended.stderr);
        assert_eq!(ended.status, 1);
    }
    assert!(socket(&bed).exists(), "a killed run removes nothing");
    for args in [&["--watch"][..], &["--give-up", "n01"], &["--more-time", "n01=5m"]] {
        let refused = bed.program("cstartup").args(args).status(4).any_stderr().run();
        assert!(
            refused.stderr.contains("no run of cstartup or cshutdown goes on here"),
            "{}",
            refused.stderr
        );
    }
    bed.program("cshutdown").arg("--status").stdout("no run of cstartup or cshutdown goes on here\n").run();
    // The next has a socket of its own, and removes what is left.
    let next = hanging(&bed);
    let told = bed.program("cstartup").arg("--status").any_stdout().run().stdout;
    assert!(told.starts_with(&format!("process {} (", next.pid())), "{told}");
    next.signal(Signal::SIGTERM);
    next.end();
    let left = bed.path("state/runs").read_dir().unwrap().flatten();
    assert!(left.into_iter().all(|entry| entry.file_name() == "desk.lock"));
}

/// It followed a run that it was never told of, because that had the number of the one that was killed.
#[test]
fn whoever_watches_a_run_that_is_killed_follows_no_other_that_gets_its_number() {
    let bed = cluster(4, "hang = \"n01\"");
    let run = hanging(&bed);
    let watch = spawn(&bed, "cstartup", &["--watch"]);
    watch.wait_for_stderr("watching process");
    // Nothing is heard of the run meanwhile.
    watch.signal(Signal::SIGSTOP);
    run.signal(Signal::SIGKILL);
    let killed = run.pid();
    run.end();
    // One removes what is left, so that the next is the first again.
    bed.program("cstartup").args(["n00"]).any_stdout().any_stderr().run();
    let other = spawn(&bed, "cstartup", &["-X", "n01"]);
    wait_until("another has its number", || socket(&bed).exists());
    watch.signal(Signal::SIGCONT);
    let ended = watch.end();
    let word = format!("process {killed} ended without a word: it was killed");
    assert!(ended.stderr.contains(&word), "{}", ended.stderr);
    other.signal(Signal::SIGTERM);
    other.end();
}

#[test]
fn a_run_that_is_stopped_is_said_not_to_answer() {
    let bed = cluster(4, "hang = \"n01\"");
    let run = hanging(&bed);
    run.signal(Signal::SIGSTOP);
    let asked = bed.program("cstartup").arg("--status").status(1).any_stdout().any_stderr().run();
    let word = format!("process {} (cstartup ALL, ", run.pid());
    assert!(asked.stdout.contains(&word) && asked.stderr.contains("does not answer"), "{}", asked.stderr);
    let steered = bed.program("cstartup").args(["--give-up", "n01"]).status(1).any_stderr().run();
    assert!(steered.stderr.contains("does not answer"), "{}", steered.stderr);
    // Whoever watches can leave.
    let watch = spawn(&bed, "cstartup", &["--watch"]);
    watch.wait_for_stderr("watching process").signal(Signal::SIGINT);
    assert_eq!(watch.end().status, 130);
    // Once it goes on nothing is done of what was said to have no answer.
    run.signal(Signal::SIGCONT);
    assert_eq!(state(&bed, "n01")["run"]["doing"], "booting");
    bed.program("cstartup").args(["--give-up", "n01"]).any_stdout().run();
    assert_eq!(run.end().status, 1);
}

#[test]
fn another_user_is_told_nothing() {
    let needs = [Need::Root, Need::Program("setpriv"), Need::Program("perl")];
    if !real::require(&needs) {
        return;
    }
    let bed = cluster(4, "hang = \"n01\"");
    let run = hanging(&bed);
    let open = |path: &str, mode: u32| {
        std::fs::set_permissions(bed.path(path), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    // As if somebody had opened all of it by hand.
    for path in ["", "state", "state/runs"] {
        open(path, 0o755);
    }
    open("state/runs/1.sock", 0o666);
    let script = "$SIG{PIPE} = 'IGNORE'; socket(my $s, PF_UNIX, SOCK_STREAM, 0) or die; \
                  connect($s, sockaddr_un($ARGV[0])) or die qq(connect: $!); syswrite($s, $ARGV[1]); \
                  while (sysread($s, my $b, 4096)) { print $b }";
    let request = json!({"format": "orderly-run/1", "request": "give_up", "nodes": "n01", "by": "root"});
    let mut other = std::process::Command::new(real::find("setpriv").unwrap());
    other.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(real::find("perl").unwrap());
    let other = other.args(["-MSocket", "-e", script]).arg(socket(&bed)).arg(format!("{request}\n"));
    let said = other.output().unwrap();
    let (text, wrong) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(text.contains("tells nothing to other users") && !text.contains("hello"), "{text}{wrong}");
    assert_eq!(state(&bed, "n01")["run"]["doing"], "booting");
    run.signal(Signal::SIGTERM);
    run.end();
}

#[test]
fn garbage_and_endless_lines_are_cut_off_and_the_run_goes_on() {
    let bed = cluster(4, "hang = \"n01\"");
    let run = hanging(&bed);
    let words: [&[u8]; 7] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\n",
        b"\0\xff\xfe\n",
        b"{\"format\": \"orderly-run/1\", \"request\": \"reboot\"}\n",
        b"{\"format\": \"orderly-run/2\", \"request\": \"watch\"}\n",
        b"{\"format\": \"orderly-run/1\", \"request\": \"more_time\", \"nodes\": \"n01\", \"by\": \"x\", \"seconds\": 1e400}\n",
        b"{\"format\": \"orderly-run/1\", \"request\": \"give_up\", \"nodes\": 7, \"by\": \"x\"}\n",
    ];
    for words in words {
        let mut visitor = Visitor::new(&bed);
        visitor.say(words);
        assert_eq!(visitor.until("answer")["ok"], false, "{}", String::from_utf8_lossy(words));
        assert_eq!(visitor.next(), None, "it is sent away");
    }
    // Without an end, as fast as it can; it is cut off, or has to wait.
    let mut endless = Visitor::new(&bed);
    while endless.say([b'x'; 65536]) {}
    // What is a request, of nodes that are none, is answered and may be followed by others.
    let mut visitor = Visitor::new(&bed);
    for nodes in ["n[0-99999999999]", "n77", "", "n["] {
        visitor.ask(json!({"request": "give_up", "nodes": nodes, "by": "x"}));
        assert_eq!(visitor.until("answer")["ok"], false, "{nodes}");
    }
    visitor.ask(json!({"request": "status", "nodes": "n[01-03]"}));
    assert_eq!(visitor.until("status")["phase"], "starting");
    assert_eq!(visitor.until("standing")["doing"], "booting");
    assert_eq!(visitor.until("standing")["waits_for"], "n01");
    assert_eq!(visitor.until("answer")["ok"], true);
    // Who asked is told without what moves a cursor.
    visitor.ask(json!({"request": "give_up", "nodes": "n01", "by": "evil\u{1b}[2J\nroot"}));
    assert_eq!(visitor.until("answer")["ok"], true);
    let ended = run.end();
    assert!(
        !ended.stderr.contains('\u{1b}') && ended.stderr.contains("given up by evil"),
        "{}",
        ended.stderr
    );
}

#[test]
fn fifty_watch_one_run() {
    let bed = cluster(200, "hang = \"n01\"");
    let run = hanging(&bed);
    let mut visitors: Vec<Visitor> = (0..45).map(|_| Visitor::new(&bed)).collect();
    for visitor in &mut visitors {
        visitor.ask(json!({"request": "watch", "records": true, "details": true}));
        assert_eq!(visitor.until("answer")["ok"], true);
    }
    let programs: Vec<Running> = (0..5).map(|_| spawn(&bed, "cstartup", &["--watch"])).collect();
    programs.iter().for_each(|program| {
        program.wait_for_stderr("watching process");
    });
    bed.program("cstartup").args(["--give-up", "n01"]).any_stdout().run();
    for mut visitor in visitors {
        assert_eq!(visitor.until("end")["exit"], 1);
        assert_eq!(visitor.next(), None);
    }
    for program in programs {
        assert_eq!(program.end().status, 1);
    }
    assert_eq!(run.end().status, 1);
}

#[test]
fn a_hung_node_is_given_up_and_the_run_ends_with_the_truth() {
    let bed = cluster(6, "hang = \"n01\"");
    let run = hanging(&bed);
    // Nothing is given up where one of the names is wrong.
    let refused = bed.program("cstartup").args(["--give-up", "n01,n77"]).status(4).any_stderr().run();
    assert!(refused.stderr.contains("no run acts on n77"), "{}", refused.stderr);
    assert_eq!(state(&bed, "n01")["run"]["doing"], "booting");
    bed.program("cstartup").args(["--give-up", "n01"]).stdout("n01: given up\n").run();
    let ended = run.end();
    assert_eq!(ended.status, 1);
    let who = orderly_user();
    let given_up = format!("n01: skipped: given up by {who} (process ");
    assert!(ended.stderr.contains(&given_up), "{}", ended.stderr);
    assert!(ended.stderr.contains("cstartup: held by n01: n[02-05] (4 nodes)"), "{}", ended.stderr);
    let log = bed.path("log").read_dir().unwrap().next().unwrap().unwrap().path();
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains(&given_up) && log.contains("; booting for "), "{log}");
    // A shutdown: it is not powered off, and what must follow it stays up.
    let bed = cluster(6, "initial = \"up\"\nhang = \"n02\"\nhalt = \"50ms\"");
    let run = spawn(&bed, "cshutdown", &["-F", "ALL"]);
    let waits = |node: &str| state(&bed, node)["run"]["waits_for"] == "n02";
    wait_until("all others are down", || waits("n00") && waits("n01"));
    bed.program("cshutdown").args(["--give-up", "n02"]).stdout("n02: given up\n").run();
    let ended = run.end();
    assert_eq!(ended.status, 1);
    assert!(ended.stderr.contains("cshutdown: held by n02: n[00-01] (2 nodes"), "{}", ended.stderr);
    assert_eq!(
        (state(&bed, "n00")["probe"].as_str(), state(&bed, "n02")["power"].as_str()),
        (Some("up"), Some("on"))
    );
}

fn orderly_user() -> String {
    nix::unistd::User::from_uid(nix::unistd::Uid::effective()).unwrap().unwrap().name
}

#[test]
fn more_time_puts_the_limit_of_a_node_off_and_says_who_asked() {
    let bed = cluster(4, "hang = \"n01\"");
    let run = hanging(&bed);
    let left = || state(&bed, "n01")["run"]["limit_seconds"].as_f64().unwrap();
    assert!(left() < 900.0);
    bed.program("cstartup").args(["--more-time", "n01"]).stdout("n01: given 15m00s more\n").run();
    bed.program("cstartup").args(["--more-time", "n01=1h"]).stdout("n01: given 1h00m more\n").run();
    assert!(left() > 3600.0);
    let said = bed.program("cstartup").args(["--more-time", "n00=5m", "n02=5m"]).status(1).any_stdout().run();
    assert_eq!(said.stdout, "n00: not waited for any more (over, up)\nn02: given 5m00s more\n");
    bed.program("cstartup").args(["--give-up", "n01"]).any_stdout().run();
    let ended = run.end();
    assert!(ended.stderr.contains("cstartup: n01: given 1h00m more by "), "{}", ended.stderr);
}

#[test]
fn what_is_given_up_before_its_turn_is_not_begun_in_any_phase() {
    let bed = cluster(4, "initial = \"up\"\nspeed = 60\nhalt = \"3s\"");
    let run = spawn(&bed, "cshutdown", &["-T", "5", "ALL"]);
    run.wait_for_stderr("the shutdown begins in 5m00s");
    let told = bed.program("cshutdown").arg("--status").any_stdout().run().stdout;
    assert!(told.contains("\n  waiting for its time\n"), "{told}");
    bed.program("cshutdown").args(["--give-up", "n00"]).stdout("n00: given up from here on\n").run();
    let ended = run.end();
    assert_eq!(ended.status, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("cshutdown: skipped: n00: given up by "), "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("n00: skipped: given up").count(), 1, "{}", ended.stderr);
    assert!(!ended.stderr.contains("n00: halting"), "{}", ended.stderr);
    assert_eq!(state(&bed, "n00")["probe"], "up");
}

#[test]
fn a_restart_is_watched_to_the_end_of_its_start() {
    let bed = cluster(4, "initial = \"up\"\nhalt = \"2s\"");
    let run = spawn(&bed, "cshutdown", &["-F", "-r", "ALL"]);
    run.wait_for_stderr("halting");
    let watch = spawn(&bed, "cshutdown", &["--watch"]);
    let (run, watch) = (run.end(), watch.end());
    assert_eq!((run.status, watch.status), (0, 0), "{}", watch.stderr);
    for part in ["cshutdown: it goes on as cstartup", "cstartup: up: n[00-03] (4 nodes"] {
        assert!(watch.stderr.contains(part), "{part}\n{}", watch.stderr);
    }
}

#[test]
fn the_status_tells_of_runs_and_of_nodes_in_them() {
    let bed = cluster(6, "hang = \"n01\"");
    assert_eq!(state(&bed, "n01")["run"], Value::Null);
    let run = hanging(&bed);
    let told = bed.program("cshutdown").arg("--status").any_stdout().run().stdout;
    for part in [
        &format!("process {} (cstartup ALL, user {}, since ", run.pid(), orderly_user()),
        ", targets n[00-05])\n  up 1/6",
        "\n  n01: booting for up to ",
        "\n  n[02-03]: waiting for n01\n",
        "\n  n[04-05]: waiting for n[02-03]\n",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    let of_run = records(&bed, &["--status"], 0).remove(0);
    assert_eq!((of_run["record"].as_str(), of_run["status"]["total"].as_u64()), (Some("run"), Some(6)));
    // The imagined world is written now and then, and read by whoever asks.
    wait_until("it is known that n00 is up", || state(&bed, "n00")["probe"] == "up");
    let told = bed.program("cstartup").args(["--status", "ALL"]).any_stdout().any_stderr().run().stdout;
    let lines: Vec<&str> = told.lines().collect();
    let pid = run.pid();
    assert_eq!(lines[0], format!("n00: power on, probe up; cstartup of process {pid}: over, up"));
    let booting = format!("n01: power on, probe down; cstartup of process {pid}: booting for ");
    assert!(lines[1].starts_with(&booting) && lines[1].contains(", given up in 1"), "{told}");
    let waiting =
        format!("n[02-03] (2 nodes): power off, probe down; cstartup of process {pid}: waiting for n01");
    assert_eq!(lines[2], waiting);
    let n04 = state(&bed, "n04");
    assert_eq!((n04["power"].as_str(), n04["run"]["waits_for"].as_str()), (Some("off"), Some("n[02-03]")));
    // What holds a node is told out of the run that has it in hand.
    let why =
        bed.program("cstartup").args(["--why-not", "n04"]).status(1).any_stdout().any_stderr().run().stdout;
    for part in ["): n04 is waiting for n[02-03]\n", "\n  n[02-03]: waiting for n01\n  n01: booting for "] {
        assert!(why.contains(part), "{part}\n{why}");
    }
    assert!(!why.contains("first of all"), "{why}");
    run.signal(Signal::SIGTERM);
    run.end();
}

/// Not that there is none.
#[test]
fn runs_that_may_not_be_seen_are_not_said_to_be_none() {
    let bed = Bed::new();
    bed.write("state/runs", "in the place of the directory");
    let refused = bed.program("cstartup").arg("--status").status(4).any_stderr().run();
    assert!(refused.stderr.contains("see which runs go on"), "{}", refused.stderr);
}

#[test]
fn of_several_runs_one_is_named() {
    let bed = cluster(6, "hang = \"n[00-05]\"");
    bed.write("cstartSeq", "");
    let (one, two) = (spawn(&bed, "cstartup", &["n00"]), spawn(&bed, "cstartup", &["n01"]));
    // One that has only just begun does not answer yet.
    let both = || {
        let status = bed.program("cstartup").args(["--status", "--json"]).any_status();
        let told = status.any_stdout().any_stderr().run().records();
        told.iter().filter(|run| run["record"] == "run").count() == 2
    };
    wait_until("both go on", both);
    let several = bed.program("cstartup").arg("--watch").status(4).any_stderr().run().stderr;
    assert!(
        several.contains("several runs go on") && several.matches("targets n0").count() == 2,
        "{several}"
    );
    let none = bed.program("cstartup").args(["--watch", "n05"]).status(4).any_stderr().run().stderr;
    assert!(none.contains("no run is process n05 or has such targets"), "{none}");
    let told = bed.program("cstartup").args(["--give-up", "n[00-01]"]).any_stdout().run().stdout;
    assert_eq!(told.matches("given up").count(), 2, "{told}");
    for run in [one, two] {
        assert_eq!(run.end().status, 1);
    }
}
