//! `on_event`: the command of a site is told what changed, once, and changes nothing by how it ends. The shipped ones mail
//! it, and post it to a webhook.

use crate::pair::{Asset, Pair, possible};
use crate::snapshot::{configure, holder, ready};
use bed::{Bed, Need, binaries, real};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;

/// Lets `told` be run for events, which keeps them.
fn tell(bed: &Bed, argv: &str) {
    let text = bed.read("etc/ha.toml");
    bed.config("ha.toml", format!("on_event = {argv}\n{text}"));
    bed.tools(&["cat"]);
    bed.script("fakes/told", "cat >>\"$ORDERLY_BED/events\"");
}

/// Returns what was told since it was last asked: event, host and status of each.
fn told(bed: &Bed) -> Vec<String> {
    let text = fs::read_to_string(bed.path("events")).unwrap_or_default();
    fs::remove_file(bed.path("events")).ok();
    let event = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["format"], "orderly-event/1");
        assert!(
            !event["asset"].as_str().unwrap().is_empty() && event["time"].as_str().unwrap().ends_with('Z')
        );
        let word = |key: &str| event[key].as_str().unwrap().to_owned();
        assert!(!word("sentence").is_empty());
        format!("{} {} {}", word("event"), word("host"), word("status"))
    };
    text.lines().map(event).collect()
}

#[test]
fn a_hand_over_is_told_and_what_changed_nothing_is_not() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    tell(&bed, "[\"told\"]");
    pair.trouble("fail 1");
    pair.release(1).status(1).any_stdout().any_stderr().run();
    pair.forget();
    assert_eq!(told(&bed), ["failed ec1 failed"]);
    pair.release(1).arg("-n").any_stdout().goes_well().run();
    pair.takeover(2).status(4).any_stdout().any_stderr().run();
    assert_eq!(told(&bed), [""; 0], "a rehearsal and a refusal change nothing");
    pair.released(1);
    assert_eq!(told(&bed), ["released ec1 done"]);
    pair.released(1);
    assert_eq!(told(&bed), [""; 0], "it was free before");
    pair.taken(2);
    assert_eq!(told(&bed), ["taken ec2 done"]);
    pair.takeover(2).any_stdout().goes_well().run();
    assert_eq!(told(&bed), [""; 0], "it was held before");
    pair.release(2).args(["--skip", "proof"]).status(5).any_stdout().any_stderr().run();
    assert_eq!(told(&bed), ["not_safe ec2 stuck"]);
}

/// The takeover that reads the record would have waited for the mail.
#[test]
fn the_record_ends_before_the_command_is_waited_for() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    tell(&bed, "[\"slow\"]");
    bed.script(
        "fakes/slow",
        "while [ ! -e \"$ORDERLY_BED/read\" ]; do sleep 0.05; done\ncat >>\"$ORDERLY_BED/events\"",
    );
    let line = "ha-release --json -q | { cat >record; echo >read; }";
    pair.shell(1, line).any_stderr().run();
    assert_eq!(told(&bed), ["released ec1 done"]);
    assert!(bed.read("record").lines().last().unwrap().contains("\"safe\":true"));
}

#[test]
fn a_command_that_fails_leaves_status_and_output_as_they_are() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    tell(&bed, "[\"refuses\", \"secret\"]");
    // It does not even read what it is given.
    bed.script("fakes/refuses", "echo no route >&2; exit 7");
    let ended = pair.release(1).args(["--json", "-q"]).any_stdout().any_stderr().run();
    assert_eq!(
        ended.stderr,
        "ha-release: on_event: refuses: exit status 7: no route; this changes nothing else\n"
    );
    assert_eq!(ended.records().pop().unwrap()["safe"], true);
    bed.config("ha.toml", bed.read("etc/ha.toml").replace("\"refuses\", \"secret\"", "\"nowhere\""));
    pair.released(1);
    let ended = pair.taken(2);
    assert!(ended.stderr.contains("on_event: nowhere: not started"), "{}", ended.stderr);
    assert_eq!(pair.holders(), [2]);
}

#[test]
fn backups_are_told_when_they_begin_to_fail_and_when_they_succeed_again() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.write("source/a", "1");
    tell(&bed, "[\"told\"]");
    let host = holder(&bed, "ec1");
    let run = |args: &[&str]| {
        host.program("habackup").args(args).any_status().any_stdout().any_stderr().run().status
    };
    assert_eq!((run(&[]), told(&bed)), (0, Vec::new()), "it always succeeded");
    bed.write("controller", "offline\n");
    assert_eq!((run(&["-n"]), told(&bed)), (4, Vec::new()), "a rehearsal");
    assert_eq!((run(&[]), told(&bed)), (4, vec!["backup_failing ec1 refused".to_owned()]));
    assert_eq!((run(&["--json"]), told(&bed)), (4, Vec::new()), "known already");
    assert_eq!((run(&["--if-held"]), told(&bed)), (4, Vec::new()));
    bed.write("controller", "online\n");
    host.shell("umount asset").run();
    assert_eq!((run(&["--if-held"]), told(&bed)), (0, Vec::new()), "the other host's");
    host.shell("mount --bind shared asset").run();
    assert_eq!((run(&["-q"]), told(&bed)), (0, vec!["backup_ok ec1 done".to_owned()]));
    assert_eq!((run(&[]), told(&bed)), (0, Vec::new()));
}

fn lend_example(bed: &Bed, name: &str) {
    fs::copy(binaries::workspace().join("examples/events").join(name), bed.path("tools").join(name)).unwrap();
}

#[test]
fn the_shipped_mail_has_the_sentence_and_the_document() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    bed.tools(&["sed"]);
    let pair = Pair::new(&bed, &Asset::Bind);
    lend_example(&bed, "mail-event");
    tell(&bed, "[\"mail-event\", \"root@example.org\"]");
    bed.script("fakes/sendmail", "echo \"$*\" >\"$ORDERLY_BED/called\"; cat >\"$ORDERLY_BED/mail\"");
    let ended = pair.released(1);
    assert!(!ended.stderr.contains("on_event"), "{}", ended.stderr);
    assert_eq!(bed.read("called"), "-t\n");
    let mail = bed.read("mail");
    let (head, body) = mail.split_once("\n\n").unwrap();
    let source = bed.path("source").display().to_string();
    assert!(head.starts_with(&format!("To: root@example.org\nSubject: ec1: {source}: released\n")), "{mail}");
    assert!(body.starts_with(&format!("released: {source} is safe to take over\n\n{{\"format\":")), "{mail}");
}

/// The server is the test's own, and sees one request whole.
#[test]
fn the_shipped_webhook_posts_the_document_and_its_secret_is_on_no_command_line() {
    if !possible() || !real::require(&[Need::Program("curl")]) {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    lend_example(&bed, "post-event");
    let config = bed.path("webhook.curl").display().to_string();
    tell(&bed, &format!("[\"post-event\", {config:?}]"));
    let curl = real::find("curl").unwrap().display().to_string();
    bed.script("fakes/curl", &format!("echo \"$*\" >>\"$ORDERLY_BED/curls\"; exec {curl} \"$@\""));
    // Each host has a network of its own: the server listens in that of the first one.
    let shipped = fs::read_to_string(binaries::workspace().join("examples/events/webhook.curl")).unwrap();
    pair.shell(1, "ip link set lo up").run();
    for (answer, complains) in [("200 OK", false), ("500 No", true)] {
        let server = in_network_of(pair.first_process(1), || TcpListener::bind("127.0.0.1:0").unwrap());
        let port = server.local_addr().unwrap().port();
        let url = "https://alerts.example.org/orderly";
        assert!(shipped.contains(url) && shipped.contains("REPLACE-THIS"));
        let filled = shipped.replace(url, &format!("http://127.0.0.1:{port}/orderly"));
        bed.write("webhook.curl", filled.replace("REPLACE-THIS", "geheim"));
        let serve = std::thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let mut request = Vec::new();
            let mut piece = [0; 4096];
            while !is_whole(&request) {
                let read = stream.read(&mut piece).unwrap();
                assert_ne!(read, 0, "it hung up: {}", String::from_utf8_lossy(&request));
                request.extend(&piece[..read]);
            }
            write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
            String::from_utf8(request).unwrap()
        });
        let ended = if complains {
            pair.way_back(1).any_stdout().any_stderr().run()
        } else {
            pair.release(1).any_stdout().any_stderr().run()
        };
        let request = serve.join().unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("POST /orderly ") && head.contains("Authorization: Bearer geheim"),
            "{head}"
        );
        assert!(head.to_lowercase().contains("content-type: application/json"), "{head}");
        let event: Value = serde_json::from_str(body).unwrap();
        assert_eq!(event["event"], if complains { "taken" } else { "released" });
        assert_eq!(
            ended.stderr.contains("on_event: post-event: exit status 22"),
            complains,
            "{}",
            ended.stderr
        );
    }
    assert!(!bed.read("curls").contains("geheim"), "{}", bed.read("curls"));
}

/// Tells whether a request of HTTP is there with its body.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length =
        head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    length.is_some_and(|length: usize| body.len() >= length)
}

/// Makes something in the network of a host; the thread that makes it ends there.
fn in_network_of<T: Send>(process: &str, make: impl FnOnce() -> T + Send) -> T {
    let network = fs::File::open(format!("/proc/{process}/ns/net")).unwrap();
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                nix::sched::setns(network, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
                make()
            })
            .join()
            .unwrap()
    })
}
