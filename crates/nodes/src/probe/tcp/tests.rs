//! Tests of TCP probes against real sockets on loopback.

use super::*;
use orderly_exec::children::ChildEvent;
use orderly_exec::signals::Signals;
use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;

/// Returns a resolver that knows names with two addresses.
fn resolver(children: &mut Children) -> NameResolver {
    let mut resolver = NameResolver::new(children).unwrap();
    resolver.remember("two", &["127.0.0.2", "127.0.0.1"]);
    resolver.remember("turned", &["127.0.0.1", "127.0.0.2"]);
    resolver.remember("no-way", &["240.0.0.1", "127.0.0.1"]);
    resolver
}

fn question(node: u32, (address, port, banner): (&str, u16, &str), deadline: Instant) -> Question {
    let (address, banner) = (address.to_owned(), banner.to_owned());
    Question { node: NodeId(node), address, port, banner, deadline }
}

/// Probes each address and returns the answers in order.
fn probe(questions: &[(&str, u16, &str)], timeout: Duration) -> Vec<Probe> {
    let _alone = crate::ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut children = Children::new(Signals::listen().unwrap()).unwrap();
    let mut prober = Prober::new(512);
    prober.resolver = Some(resolver(&mut children));
    let deadline = Instant::now() + timeout;
    let mut answers = Vec::new();
    let mut waiting = questions.iter().zip(0..).peekable();
    while answers.len() < questions.len() {
        while prober.has_room() {
            let Some((&asked, node)) = waiting.next() else { break };
            prober.begin(&mut children, question(node, asked, deadline));
        }
        answers.extend(prober.take());
        if answers.len() == questions.len() {
            break;
        }
        match children.next(prober.deadline()).unwrap() {
            Some(ChildEvent::Ready(watch)) => assert!(prober.ready(&mut children, watch)),
            Some(other) => panic!("{other:?}"),
            None => prober.expire(&mut children, Instant::now()),
        }
        answers.extend(prober.take());
    }
    answers.sort_by_key(|met| met.node);
    answers.into_iter().map(|met| met.reading).collect()
}

/// Returns a listening socket and a port at which nobody listens.
fn ports() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    (listener, closed)
}

#[test]
fn open_is_up_and_refused_is_down_and_what_is_not_found_is_unknown() {
    let (listener, closed) = ports();
    let open = listener.local_addr().unwrap().port();
    let answers = probe(
        &[
            ("127.0.0.1", open, ""),
            ("127.0.0.1", closed, ""),
            ("localhost", open, ""),
            ("localhost", closed, ""),
            ("no-such-host.invalid", open, ""),
            ("240.0.0.1.9", open, ""),
        ],
        Duration::from_secs(8),
    );
    assert_eq!(answers, [Probe::Up, Probe::Down, Probe::Up, Probe::Down, Probe::Unknown, Probe::Unknown]);
}

#[test]
fn a_banner_must_be_said_and_somebody_who_says_another_is_not_down() {
    let (listener, closed) = ports();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let mut kept = Vec::new();
        for words in ["SSH-2.0-x\r\n", "220 mail\r\n", ""] {
            let (mut peer, _) = listener.accept().unwrap();
            peer.write_all(words.as_bytes()).unwrap();
            kept.push(peer);
        }
        let (peer, _) = listener.accept().unwrap();
        drop(peer);
        // Kept open until the prober has given up on the silent one.
        std::thread::sleep(Duration::from_millis(700));
        drop(kept);
    });
    let question = ("127.0.0.1", port, "SSH-");
    let mut answers = probe(&[question, question, question, question], Duration::from_millis(400));
    answers.extend(probe(&[("127.0.0.1", closed, "SSH-")], Duration::from_secs(5)));
    server.join().unwrap();
    assert_eq!(answers, [Probe::Up, Probe::Unknown, Probe::Unknown, Probe::Unknown, Probe::Down]);
}

#[test]
fn more_probes_than_descriptors_are_no_trouble() {
    let (listener, closed) = ports();
    let open = listener.local_addr().unwrap().port();
    std::thread::spawn(move || while let Ok((_peer, _)) = listener.accept() {});
    let questions: Vec<(&str, u16, &str)> =
        (0..3000).map(|index| ("127.0.0.1", if index % 3 == 0 { open } else { closed }, "")).collect();
    let answers = probe(&questions, Duration::from_secs(30));
    let wanted: Vec<Probe> =
        (0..3000).map(|index| if index % 3 == 0 { Probe::Up } else { Probe::Down }).collect();
    assert_eq!(answers, wanted);
}

#[test]
fn silence_is_down_and_what_is_given_up_is_unknown() {
    // A listener whose queue is full answers nobody.
    let (listener, _) = ports();
    let address = listener.local_addr().unwrap();
    let _full: Vec<_> = (0..200)
        .map_while(|_| std::net::TcpStream::connect_timeout(&address, Duration::from_millis(50)).ok())
        .collect();
    assert_eq!(probe(&[("127.0.0.1", address.port(), "")], Duration::from_millis(300)), [Probe::Down]);

    let _alone = crate::ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut children = Children::new(Signals::listen().unwrap()).unwrap();
    let mut prober = Prober::new(512);
    let deadline = Instant::now() + Duration::from_secs(30);
    prober.begin(&mut children, question(7, ("127.0.0.1", address.port(), ""), deadline));
    prober.end_all();
    let told = prober.take();
    assert_eq!((told[0].node, told[0].reading), (NodeId(7), Probe::Unknown));
}

/// A host with `::1` beside `127.0.0.1` for a name called an open port down: only the first address was tried.
#[test]
fn of_a_name_with_two_addresses_one_that_is_up_is_enough_and_down_is_what_both_are() {
    let (listener, closed) = ports();
    let open = listener.local_addr().unwrap().port();
    let questions = [
        ("two", open, ""),
        ("turned", open, ""),
        ("two", closed, ""),
        ("turned", closed, ""),
        ("no-way", open, ""),
    ];
    let answers = probe(&questions, Duration::from_secs(8));
    assert_eq!(answers, [Probe::Up, Probe::Up, Probe::Down, Probe::Down, Probe::Up]);
}

/// Silence at one address takes its part of the time, and leaves the other its own.
#[test]
fn an_address_that_is_silent_leaves_time_for_the_next() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let silent = TcpListener::bind(("127.0.0.2", port)).unwrap();
    nix::sys::socket::listen(&silent, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
    // Nobody accepts: once the queue is full, the kernel answers no more.
    let full: Vec<_> = (0..4).map(|_| dial(silent.local_addr().unwrap())).collect();
    let answers = probe(&[("two", port, ""), ("127.0.0.2", port, "")], Duration::from_millis(900));
    assert_eq!(answers, [Probe::Up, Probe::Down]);
    drop(full);
}
