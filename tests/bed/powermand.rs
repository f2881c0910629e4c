//! A real powermand on loopback over its virtual controllers (vpcd), each a process with 16 plugs.

use crate::{Bed, Need, real, wait_until};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// What this bed needs of the machine.
pub const NEEDS: [Need; 3] = [Need::Program("powermand"), Need::Program("powerman"), Need::Program("vpcd")];

/// Plugs of one virtual controller.
pub const PLUGS: usize = 16;

/// What a controller does that stands in for a virtual one. Its words are scripted: no vpcd can be told
/// to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It takes connections and never says a word.
    Hangs,
    /// Nobody listens where it should be.
    Refuses,
    /// It answers everything with words that mean nothing.
    Garbage,
    /// It says that all is done, and its plugs stay off.
    DoesNothing,
}

/// A running powermand; nodes are `n0`, `n1`, …, sixteen a controller.
#[derive(Debug)]
pub struct Powermand<'a> {
    bed: &'a Bed,
    daemon: Child,
    host: String,
}

impl<'a> Powermand<'a> {
    /// Starts a daemon with so many controllers.
    pub fn new(bed: &'a Bed, controllers: usize) -> Self {
        Self::but_for(bed, controllers, &[])
    }

    /// Starts a daemon with so many controllers, of which these (counted from 0) misbehave.
    pub fn but_for(bed: &'a Bed, controllers: usize, strange: &[(usize, Manner)]) -> Self {
        let address = own_address();
        let port = {
            let free = TcpListener::bind((address.as_str(), 0)).expect("find a free port");
            free.local_addr().expect("a listener has an address").port()
        };
        let host = format!("{address}:{port}");
        let vpcd = real::find("vpcd").expect("vpcd was required");
        let mut text = format!("listen \"{host}\"\ninclude \"/etc/powerman/vpc.dev\"\n");
        for at in 0..controllers {
            let how = match strange.iter().find(|(number, _)| *number == at) {
                Some((_, manner)) => manner.take_place(),
                None => format!("{} |&", vpcd.display()),
            };
            let (first, last) = (at * PLUGS, at * PLUGS + PLUGS - 1);
            let _ = writeln!(text, "device \"v{at}\" \"vpc\" \"{how}\"");
            let _ = writeln!(text, "node \"n[{first}-{last}]\" \"v{at}\" \"[0-{}]\"", PLUGS - 1);
        }
        let path = bed.write("powerman.conf", text);
        let mut command = Command::new(real::find("powermand").expect("powermand was required"));
        command.arg("-f").arg("-c").arg(path).env("ORDERLY_BED", bed.root());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let daemon = crate::start(&mut command);
        wait_until("powermand answers", || TcpStream::connect(&host).is_ok());
        Self { bed, daemon, host }
    }

    /// Returns `HOST:PORT` of the daemon.
    pub fn host(&self) -> String {
        self.host.clone()
    }

    /// Stops the daemon where it is; it takes connections, and does nothing for them.
    pub fn pause(&self) {
        let pid =
            nix::unistd::Pid::from_raw(i32::try_from(self.daemon.id()).expect("a process has a number"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).expect("stop powermand");
    }

    /// Lends the client, with each call noted in `powerman.log` of the bed.
    pub fn lend_client(&self) -> &Self {
        let client = real::find("powerman").expect("powerman was required");
        let log = crate::fakes::quoted(&self.bed.path("powerman.log").display().to_string());
        let body = format!("printf '%s\\n' \"$*\" >>{log}\nexec {} \"$@\"", client.display());
        self.bed.script("fakes/powerman", &body);
        self
    }

    /// Lends the client as version 2.4 and later have it: without `-Q`, in its very words. Scripted,
    /// because Debian has 2.3.27; all else goes to the real client.
    pub fn lend_newer_client(&self) -> &Self {
        let client = real::find("powerman").expect("powerman was required");
        let body = format!(
            "for word; do [ \"$word\" = -Q ] && {{ echo \"powerman: invalid option -- 'Q'\" >&2; exit 1; }}; done\n\
             exec {} \"$@\"",
            client.display()
        );
        self.bed.script("fakes/powerman", &body);
        self
    }

    /// Returns the calls of the client, without the daemon's address.
    pub fn calls(&self) -> Vec<String> {
        let address = format!("-h {} ", self.host());
        let log = crate::fakes::lines_of(&self.bed.path("powerman.log"));
        log.into_iter().map(|line| line.replace(&address, "")).collect()
    }

    /// Returns how many of these nodes read on.
    pub fn count_on(&self, nodes: &str) -> usize {
        let mut client = Command::new(real::find("powerman").expect("powerman was required"));
        client.args(["-h", &self.host(), "-x", "-q", nodes]).stdin(Stdio::null());
        let said = client.output().expect("run powerman");
        String::from_utf8_lossy(&said.stdout).lines().filter(|line| line.ends_with(": on")).count()
    }
}

/// Returns where no daemon listens: a port that is never given to whoever asks for any, at an address of its own.
pub fn nowhere() -> String {
    format!("{}:1", own_address())
}

/// Returns a loopback address that nobody else has: a port that is let go there is not taken by another test's daemon.
fn own_address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let (number, process) = (NEXT.fetch_add(1, Ordering::Relaxed), std::process::id());
    format!("127.{}.{}.{}", 100 + number % 100, process / 250 % 250, 1 + process % 250)
}

impl Manner {
    /// Returns the address of a controller of this kind, which lives until the daemon hangs up.
    fn take_place(self) -> String {
        let listener =
            TcpListener::bind((own_address().as_str(), 0)).expect("listen in place of a controller");
        let address = listener.local_addr().expect("a listener has an address").to_string();
        if self != Self::Refuses {
            std::thread::spawn(move || {
                // The daemon connects again for as long as it runs, and the scenario's process ends after it.
                for connection in listener.incoming().flatten() {
                    std::thread::spawn(move || self.speak(&connection));
                }
            });
        }
        address
    }

    /// Answers line by line until the daemon hangs up.
    fn speak(self, connection: &TcpStream) {
        let plugs: String = (0..PLUGS).map(|plug| format!("plug {plug}: OFF\n")).collect();
        for line in BufReader::new(connection).lines().map_while(Result::ok) {
            let answer = match self {
                Self::Hangs | Self::Refuses => continue,
                Self::Garbage => "plug all: ONOFF\nOK? \u{7}\u{fffd} on on on\n".to_owned(),
                Self::DoesNothing if line.starts_with("stat") => format!("{plugs}0 OK\n0 vpc> "),
                Self::DoesNothing => "0 OK\n0 vpc> ".to_owned(),
            };
            let mut connection = connection;
            if connection.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

impl Drop for Powermand<'_> {
    fn drop(&mut self) {
        // Its controllers read the end of their terminals then, and end too.
        self.daemon.kill().ok();
        self.daemon.wait().ok();
    }
}
