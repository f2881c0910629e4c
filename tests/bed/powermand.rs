//! A real powermand on loopback over its virtual controllers (vpcd), each a process with 16 plugs.

use crate::{Bed, Need, real, wait_until};
use std::fmt::Write as _;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

/// What this bed needs of the machine.
pub const NEEDS: [Need; 3] = [Need::Program("powermand"), Need::Program("powerman"), Need::Program("vpcd")];

/// Plugs of one virtual controller.
pub const PLUGS: usize = 16;

/// A running powermand; nodes are `n0`, `n1`, …, sixteen a controller.
#[derive(Debug)]
pub struct Powermand<'a> {
    bed: &'a Bed,
    daemon: Child,
    port: u16,
    /// Takes the connection of a controller that hangs, and never says a word.
    _silent: TcpListener,
}

impl<'a> Powermand<'a> {
    /// Starts a daemon with so many controllers; the one at `hung`, if any, accepts and never answers.
    pub fn new(bed: &'a Bed, controllers: usize, hung: Option<usize>) -> Self {
        let silent = TcpListener::bind("127.0.0.1:0").expect("listen in place of a controller");
        let port = {
            let free = TcpListener::bind("127.0.0.1:0").expect("find a free port");
            free.local_addr().expect("a listener has an address").port()
        };
        let vpcd = real::find("vpcd").expect("vpcd was required");
        let mut text = format!("listen \"127.0.0.1:{port}\"\ninclude \"/etc/powerman/vpc.dev\"\n");
        for at in 0..controllers {
            let how = if hung == Some(at) {
                silent.local_addr().expect("a listener has an address").to_string()
            } else {
                format!("{} |&", vpcd.display())
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
        wait_until("powermand answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { bed, daemon, port, _silent: silent }
    }

    /// Returns `HOST:PORT` of the daemon.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Lends the client, with each call noted in `powerman.log` of the bed.
    pub fn lend_client(&self) -> &Self {
        let client = real::find("powerman").expect("powerman was required");
        let log = crate::fakes::quoted(&self.bed.path("powerman.log").display().to_string());
        let body = format!("printf '%s\\n' \"$*\" >>{log}\nexec {} \"$@\"", client.display());
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
        client.args(["-h", &self.host(), "-x", "-Q", nodes]).stdin(Stdio::null());
        let said = client.output().expect("run powerman");
        String::from_utf8_lossy(&said.stdout).lines().filter(|line| line.ends_with(": on")).count()
    }
}

impl Drop for Powermand<'_> {
    fn drop(&mut self) {
        // Its controllers read the end of their terminals then, and end too.
        self.daemon.kill().ok();
        self.daemon.wait().ok();
    }
}
