//! Visitors that behave, and such that do not.

use super::*;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};

struct Place {
    visitors: Visitors,
    path: PathBuf,
    _directory: tempfile::TempDir,
}

fn place(deep: usize) -> Place {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("d".repeat(deep.max(1))).join("1.sock");
    crate::files::private_directory(path.parent().unwrap()).unwrap();
    let visitors = Visitors::listen(&path, &json!({"record": "hello"})).unwrap();
    Place { visitors, path, _directory: directory }
}

impl Place {
    fn visit(&self) -> BufReader<UnixStream> {
        let stream = connect(&self.path, Duration::from_secs(5)).unwrap();
        stream.set_nonblocking(false).unwrap();
        let mut visit = BufReader::new(stream);
        self.visitors.serve();
        assert_eq!(next(&mut visit)["record"], "hello");
        visit
    }
}

fn next(visit: &mut BufReader<UnixStream>) -> Value {
    let mut line = String::new();
    visit.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
}

fn ask(visit: &mut BufReader<UnixStream>, text: &str) {
    visit.get_mut().write_all(text.as_bytes()).unwrap();
}

const ALL: Wanted = Wanted { records: false, details: false };

#[test]
fn what_is_asked_is_taken_one_after_the_other_and_answered() {
    for deep in [1, 150] {
        let place = place(deep);
        let mode = std::fs::metadata(&place.path).unwrap().permissions();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
        let mut visit = place.visit();
        ask(&mut visit, "one\ntwo\n");
        assert!(place.visitors.serve());
        let asked = place.visitors.take_asked();
        assert_eq!((asked.len(), asked[0].line.as_str(), asked[0].process), (1, "one", std::process::id()));
        place.visitors.answer(asked[0].visitor, &json!({"n": 1}));
        place.visitors.answered(asked[0].visitor);
        assert_eq!(next(&mut visit)["n"], 1);
        let asked = place.visitors.take_asked();
        assert_eq!(asked[0].line, "two");
        place.visitors.answer(asked[0].visitor, &json!({"n": 2}));
        place.visitors.dismiss(asked[0].visitor);
        assert_eq!(next(&mut visit)["n"], 2);
        assert_eq!(visit.read(&mut [0; 9]).unwrap(), 0);
    }
}

/// It reads nothing, and afterwards all: what was kept, how much was left out, the end.
#[test]
fn a_visitor_that_reads_nothing_costs_no_more_than_its_limit() {
    let place = place(1);
    let (mut idle, mut other) = (place.visit(), place.visit());
    for visitor in [1, 2] {
        place.visitors.follow(visitor, ALL);
    }
    let text = "x".repeat(1000);
    for number in 0..2000 {
        place.visitors.tell(Told::Line, &json!({"number": number, "text": text}));
        place.visitors.tell(Told::Standing, &json!({"standing": number}));
        place.visitors.tell(Told::Record, &json!({"never": number}));
        place.visitors.serve();
        assert_eq!(next(&mut other)["number"], number);
        assert_eq!(next(&mut other)["standing"], number);
        assert!(place.visitors.room.borrow().visitors[&1].outbox.left() <= 300_000);
    }
    let mut numbers = Vec::new();
    let skipped = loop {
        place.visitors.serve();
        let record = next(&mut idle);
        numbers.extend(record["number"].as_u64());
        if let Some(lines) = record["lines"].as_u64() {
            break lines;
        }
    };
    assert_eq!(numbers.len() as u64 + skipped, 2000);
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
    place.visitors.end(&json!({"end": true}));
    for visit in [&mut idle, &mut other] {
        assert_eq!(next(visit)["end"], true);
        assert_eq!(visit.read(&mut [0; 9]).unwrap(), 0);
    }
}

/// The end is not waited for where nobody reads.
#[test]
fn the_end_is_told_without_waiting_for_whoever_reads_nothing() {
    let place = place(1);
    let _idle = place.visit();
    place.visitors.follow(1, ALL);
    for number in 0..2000 {
        place.visitors.tell(Told::Line, &json!({"number": number, "text": "x".repeat(1000)}));
    }
    place.visitors.end(&json!({"end": true}));
    assert!(place.visitors.room.borrow().visitors.is_empty());
}

#[test]
fn an_endless_line_is_cut_off() {
    let place = place(1);
    let mut visit = place.visit();
    visit.get_mut().set_nonblocking(true).unwrap();
    let mut sent = 0;
    while sent < 10_000_000 {
        match visit.get_mut().write(&[b'x'; 60_000]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        assert!(!place.visitors.serve(), "it asks nothing");
    }
    assert!(sent < 1_000_000, "{sent} bytes were taken");
    assert!(place.visitors.room.borrow().visitors.is_empty());
    // Another is served all the same.
    place.visit();
}

/// Whoever stands about makes room for whoever comes; whoever follows does not.
#[test]
fn there_are_only_so_many_at_a_time() {
    let place = place(1);
    let mut all: Vec<_> = (0..MOST).map(|_| place.visit()).collect();
    for visitor in 2..=MOST as u64 {
        place.visitors.follow(visitor, ALL);
    }
    let mut late = place.visit();
    assert_eq!(all[0].read(&mut [0; 9]).unwrap(), 0, "it made room");
    place.visitors.follow(MOST as u64 + 1, ALL);
    let stream = connect(&place.path, Duration::from_secs(5)).unwrap();
    stream.set_nonblocking(false).unwrap();
    place.visitors.serve();
    let said = next(&mut BufReader::new(stream));
    assert_eq!((said["record"].as_str(), said["ok"].as_bool()), (Some("answer"), Some(false)));
    place.visitors.tell(Told::Line, &json!({"text": 1}));
    place.visitors.serve();
    assert_eq!(next(&mut late)["text"], 1);
    drop(all);
    place.visitors.serve();
    assert_eq!(place.visitors.room.borrow().visitors.len(), 1);
}

/// It says all that it has to say and closes its half, as a pipe into a program that connects does.
#[test]
fn a_visitor_that_will_say_no_more_is_answered_before_it_goes() {
    let place = place(1);
    let mut visit = place.visit();
    ask(&mut visit, "one\n");
    visit.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
    assert!(place.visitors.serve());
    place.visitors.serve();
    let asked = place.visitors.take_asked();
    place.visitors.answer(asked[0].visitor, &json!({"n": 1}));
    place.visitors.answered(asked[0].visitor);
    assert_eq!(next(&mut visit)["n"], 1);
    place.visitors.serve();
    assert!(place.visitors.room.borrow().visitors.is_empty());
}

#[test]
fn a_name_that_was_used_before_is_used_again_and_a_renamed_socket_is_the_same() {
    let place = place(1);
    let path = place.path.clone();
    drop(place.visitors);
    // A child that another test has just forked has it, too, until it becomes its program.
    let is_gone = || {
        std::thread::sleep(Duration::from_millis(1));
        connect(&path, Duration::ZERO).is_err()
    };
    assert!((0..10_000).any(|_| is_gone()), "somebody listens there");
    let visitors = Visitors::listen(&path, &json!({"record": "hello"})).unwrap();
    let mut place = Place { visitors, ..place };
    let mut early = place.visit();
    place.path = path.with_file_name("2.sock");
    place.visitors.rename(&place.path, &json!({"record": "hello"})).unwrap();
    place.visit();
    place.visitors.follow(1, ALL);
    place.visitors.tell(Told::Line, &json!({"text": 1}));
    place.visitors.serve();
    assert_eq!(next(&mut early)["text"], 1);
}
