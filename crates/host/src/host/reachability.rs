//! Whether anybody answers at an address: by ICMP, by its neighbours' table, by TCP.
//!
//! A firewall that drops pings hides nobody: on the same network the kernel must learn where the
//! address is before it can send anything (ARP, neighbour discovery), and a living host tells it. Further
//! away, two ports are tried that such hosts have or refuse.
//! Invariant: silence is said only of an address that was asked and did not answer
//! (`only_what_says_that_nobody_answered_is_silence`).

use crate::platform::Platform;
use orderly_exec::job::{Ending, Job};
use orderly_exec::runner::Run;
use std::io::ErrorKind;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Whether anybody answers at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reachability {
    Answered,
    Silent,
    Unknown(String),
}

/// Ports that are tried where the address is on another network: ssh and NFS.
const PORTS: [u16; 2] = [22, 2049];
/// How long a question may take.
const ASKING: Duration = Duration::from_secs(15);
const CONNECTING: Duration = Duration::from_secs(1);

/// Asks whether anybody answers at an address. What cannot be asked is unknown, never silent.
pub fn ask(ip: &str, platform: Platform, run: &mut dyn Run) -> Reachability {
    let pinged = ping(ip, platform, run);
    if pinged != Reachability::Silent || platform != Platform::Linux {
        return pinged;
    }
    let answers = match way(ip, run) {
        Some(NextHop::Neighbour(device)) => is_neighbour(ip, &device, run),
        Some(NextHop::Far) | None => PORTS.iter().any(|port| is_reached(ip, *port)),
    };
    if answers { Reachability::Answered } else { Reachability::Silent }
}

fn ping(ip: &str, platform: Platform, run: &mut dyn Run) -> Reachability {
    let ask = match platform {
        Platform::Linux => &["ping", "-n", "-q", "-c", "3", "-i", "0.3", "-W", "1", ip][..],
        Platform::Solaris => &["ping", ip, "3"][..],
    };
    let ended = run.run(&Job::new(ask, ASKING));
    let unknown = |remedy: &str| Reachability::Unknown(format!("ping {ip}: {}{remedy}", ended.clause()));
    match ended.ending {
        Ending::Exited(0) => Reachability::Answered,
        // ping(8): 1 when no reply came at all, anything else is an error of its own.
        Ending::Exited(1) if platform == Platform::Linux => Reachability::Silent,
        // ping(1M) exits 1 also for a host it does not know.
        Ending::Exited(1) if ended.text().contains("no answer from") => Reachability::Silent,
        Ending::NotStarted if platform == Platform::Linux => {
            unknown("; install ping (on Debian and its like: apt-get install iputils-ping)")
        }
        Ending::Exited(_)
        | Ending::Killed(_)
        | Ending::TimedOut
        | Ending::Unkillable
        | Ending::NotStarted => unknown(""),
    }
}

/// How packets go to an address.
#[derive(Debug, PartialEq, Eq)]
enum NextHop {
    /// Straight, through this device.
    Neighbour(String),
    /// Through a router.
    Far,
}

fn way(ip: &str, run: &mut dyn Run) -> Option<NextHop> {
    let ended = run.run(&Job::new(["ip", "-o", "route", "get", ip], ASKING));
    if ended.succeeded() { read_way(&ended.text()) } else { None }
}

/// Reads what `ip route get` prints: the way, with `via ROUTER` where it leads through one.
fn read_way(text: &str) -> Option<NextHop> {
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.contains(&"via") {
        return Some(NextHop::Far);
    }
    let device = words.windows(2).find(|pair| pair[0] == "dev")?[1];
    (device != "lo").then(|| NextHop::Neighbour(device.to_owned()))
}

/// Makes the kernel forget where the address is and ask again: who tells it is alive.
fn is_neighbour(ip: &str, device: &str, run: &mut dyn Run) -> bool {
    let mut ask = |argv: &[&str]| run.run(&Job::new(argv, ASKING));
    ask(&["ip", "-o", "neighbour", "flush", "to", ip, "dev", device]);
    ask(&["ping", "-n", "-q", "-c", "2", "-i", "0.3", "-W", "1", ip]);
    is_known(&ask(&["ip", "-o", "neighbour", "show", "to", ip, "dev", device]).text())
}

/// An entry that was made by hand says nothing.
fn is_known(table: &str) -> bool {
    table
        .lines()
        .any(|line| line.contains(" lladdr ") && !line.contains("PERMANENT") && !line.contains("NOARP"))
}

/// Whoever refuses a connection is there, too.
fn is_reached(ip: &str, port: u16) -> bool {
    (ip, port).to_socket_addrs().into_iter().flatten().any(|to| {
        let refused = |error: std::io::Error| error.kind() == ErrorKind::ConnectionRefused;
        TcpStream::connect_timeout(&to, CONNECTING).map_or_else(refused, |_| true)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers with an ending and a text.
    struct Says(Ending, &'static str);

    impl Run for Says {
        fn run(&mut self, _: &Job) -> orderly_exec::job::Ended {
            let (stdout, stderr) = (self.1.into(), Vec::new());
            orderly_exec::job::Ended {
                ending: self.0,
                stdout,
                stderr,
                truncated: false,
                took: Duration::ZERO,
            }
        }
    }

    #[test]
    fn only_what_says_that_nobody_answered_is_silence() {
        let ask = |platform, ending, text| ping("192.0.2.1", platform, &mut Says(ending, text));
        assert_eq!(ask(Platform::Linux, Ending::Exited(1), ""), Reachability::Silent);
        assert_eq!(
            ask(Platform::Solaris, Ending::Exited(1), "no answer from 192.0.2.1\n"),
            Reachability::Silent
        );
        assert_eq!(ask(Platform::Solaris, Ending::Exited(0), "192.0.2.1 is alive\n"), Reachability::Answered);
        for (platform, ending) in [
            (Platform::Linux, Ending::Exited(2)),
            (Platform::Linux, Ending::TimedOut),
            (Platform::Solaris, Ending::Exited(1)),
            (Platform::Solaris, Ending::NotStarted),
        ] {
            assert!(matches!(ask(platform, ending, ""), Reachability::Unknown(_)), "{ending:?}");
        }
        let Reachability::Unknown(why) = ask(Platform::Linux, Ending::NotStarted, "") else { panic!() };
        assert!(why.contains("apt-get install iputils-ping"), "{why}");
    }

    #[test]
    fn the_way_to_an_address_is_read_as_ip_prints_it() {
        let near = "10.9.9.2 dev wire src 10.9.9.1 uid 0 \\    cache \n";
        assert_eq!(read_way(near), Some(NextHop::Neighbour("wire".to_owned())));
        let near = "fd00::2 from :: dev wire proto kernel src fd00::1 metric 256 pref medium\n";
        assert_eq!(read_way(near), Some(NextHop::Neighbour("wire".to_owned())));
        assert_eq!(
            read_way("8.8.8.8 via 10.0.0.1 dev eth0 src 10.0.0.5 uid 0 \\    cache \n"),
            Some(NextHop::Far)
        );
        assert_eq!(read_way("local 10.0.0.5 dev lo src 10.0.0.5 uid 0 \\    cache <local> \n"), None);
    }

    #[test]
    fn only_an_entry_that_the_neighbour_gave_is_an_answer() {
        assert!(is_known("10.9.9.2 lladdr 52:54:00:12:34:56 REACHABLE\n"));
        for table in [
            "",
            "10.9.9.2  FAILED\n",
            "10.9.9.2  INCOMPLETE\n",
            "10.9.9.2 lladdr 52:54:00:12:34:56 PERMANENT\n",
        ] {
            assert!(!is_known(table), "{table}");
        }
    }

    #[test]
    fn who_refuses_a_connection_is_there() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(is_reached("127.0.0.1", port));
        drop(listener);
        assert!(is_reached("127.0.0.1", port));
    }
}
