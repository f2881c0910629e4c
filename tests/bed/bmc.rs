//! Real BMCs on loopback: OpenIPMI's `ipmi_sim`, one a node, whose power is a file of the bed.

use crate::{Bed, Need, real, wait_until};
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// What this bed needs of the machine.
pub const NEEDS: [Need; 3] =
    [Need::Program("ipmi_sim"), Need::Program("ipmitool"), Need::Program("ipmipower")];

/// Counts the ports that were tried, so that scenarios at one time do not share one.
static NEXT_PORT: AtomicU32 = AtomicU32::new(0);

/// The user and the password of every controller.
pub const USER: &str = "admin";
/// A `#` would begin a comment in what ipmipower reads.
pub const PASSWORD: &str = "lab#pw";

/// Running controllers, for the nodes `n1`, `n2`, …
#[derive(Debug)]
pub struct Bmcs<'a> {
    bed: &'a Bed,
    running: Vec<Child>,
    port: u16,
}

/// The presence ping of RMCP (ASF), and the beginning of its answer.
const PING: [u8; 12] = [6, 0, 255, 6, 0, 0, 0x11, 0xbe, 0x80, 1, 0, 0];
const PONG: [u8; 9] = [6, 0, 255, 6, 0, 0, 0x11, 0xbe, 0x40];

impl<'a> Bmcs<'a> {
    /// Starts so many controllers; their nodes are off.
    pub fn new(bed: &'a Bed, count: usize) -> Self {
        Self::but_for(bed, count, &[])
    }

    /// Starts so many controllers, but for those of these nodes (by number).
    pub fn but_for(bed: &'a Bed, count: usize, missing: &[usize]) -> Self {
        // Not in the range from which the kernel gives ports to whoever asks for any, and none that
        // another scenario of this process is about to use.
        let begin = 7 * std::process::id();
        let port = std::iter::repeat_with(|| NEXT_PORT.fetch_add(1, Ordering::Relaxed))
            .map(|turn| u16::try_from(2000 + (begin + turn) % 30_000).unwrap_or(2000))
            .find(|&port| UdpSocket::bind((address(0).as_str(), port)).is_ok())
            .expect("find a free port");
        let there: Vec<usize> = (0..count).filter(|at| !missing.contains(&(at + 1))).collect();
        let running = there.iter().map(|&at| start(bed, at, port)).collect();
        for at in there {
            wait_until("a controller answers", || answers_ping(&address(at), port));
        }
        Self { bed, running, port }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the inventory; nodes past the controllers that run have one that nobody answers for.
    pub fn inventory(&self, count: usize) -> String {
        let nodes: Vec<_> = (0..count)
            .map(|at| serde_json::json!({"name": format!("n{}", at + 1), "bmc": address(at)}))
            .collect();
        serde_json::json!({"format": "orderly-inventory/1", "nodes": nodes}).to_string()
    }

    /// From now on the controller of a node says yes to every order, and its power stays as it is.
    pub fn ignore_orders(&self, number: usize) {
        let power = self.bed.path(format!("bmc{number}/power")).display().to_string();
        let script = format!(
            "case \"$2 $3\" in\n'get power') echo power:$(cat {power}) ;;\n'get boot') echo boot:default ;;\nesac"
        );
        self.bed.script(format!("bmc{number}/chassis"), &script);
    }

    /// Tells whether a node has power.
    pub fn is_on(&self, number: usize) -> bool {
        std::fs::read_to_string(self.bed.path(format!("bmc{number}/power")))
            .is_ok_and(|text| text.trim() == "1")
    }
}

impl Drop for Bmcs<'_> {
    fn drop(&mut self) {
        for child in &mut self.running {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

fn answers_ping(address: &str, port: u16) -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("open a socket");
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("limit a wait");
    let mut said = [0; 64];
    socket.connect((address, port)).is_ok()
        && socket.send(&PING).is_ok()
        && socket.recv(&mut said).is_ok_and(|length| said[..length].starts_with(&PONG))
}

/// What a scripted controller does with all that is no presence ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It answers pings and nothing else, like firmware that hangs.
    Hangs,
    /// It answers nothing at all, and takes every packet.
    Silent,
    /// It answers everything with bytes that mean nothing.
    Garbage,
    /// It drops pings, like a controller behind a filter, and passes all else on to this real one.
    DropsPings { number: usize },
}

/// A stand-in for a controller, on the port of the real ones. Its words are scripted: no simulator
/// can be told to hang or to talk nonsense.
#[derive(Debug)]
pub struct StandIn {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl StandIn {
    /// Takes the place of the controller of a node.
    pub fn new(bmcs: &Bmcs<'_>, number: usize, manner: Manner) -> Self {
        let socket = UdpSocket::bind((address(number - 1).as_str(), bmcs.port)).expect("take its place");
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("limit a wait");
        let stop = Arc::new(AtomicBool::new(false));
        let (told, port) = (stop.clone(), bmcs.port);
        let thread = std::thread::spawn(move || {
            let mut said = [0; 1024];
            while !told.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut said) else { continue };
                let words = &said[..length];
                if let Some(answer) = manner.answer(words, port) {
                    socket.send_to(&answer, from).ok();
                }
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Manner {
    fn answer(self, words: &[u8], port: u16) -> Option<Vec<u8>> {
        let pings = words.len() > 8 && words[..8] == PING[..8];
        match self {
            Self::Silent => None,
            Self::DropsPings { .. } if pings => None,
            Self::Hangs if !pings => None,
            Self::Hangs | Self::Garbage if pings => {
                let mut pong = PONG.to_vec();
                pong.extend([words[9], 0, 16, 0, 0, 0x11, 0xbe, 0, 0, 0, 0, 0x81, 0, 0, 0, 0, 0, 0, 0]);
                Some(pong)
            }
            Self::Hangs | Self::Garbage => Some(b"Chassis Power is on\non\n".repeat(3)),
            Self::DropsPings { number } => {
                let relay = UdpSocket::bind("127.0.0.1:0").expect("open a socket");
                relay.set_read_timeout(Some(Duration::from_secs(2))).expect("limit a wait");
                relay.send_to(words, (address(number - 1).as_str(), port)).ok();
                let mut said = vec![0; 1024];
                let length = relay.recv(&mut said).ok()?;
                said.truncate(length);
                Some(said)
            }
        }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn address(at: usize) -> String {
    format!("127.0.97.{}", at + 1)
}

fn start(bed: &Bed, at: usize, port: u16) -> Child {
    let folder = format!("bmc{}", at + 1);
    let power = bed.write(format!("{folder}/power"), "0\n").display().to_string();
    // Called as: ADDRESS get|set ITEM [VALUE].
    let script = format!(
        "case \"$2 $3\" in\n'get power') echo power:$(cat {power}) ;;\n'get boot') echo boot:default ;;\n\
         'set power') echo $4 >{power} ;;\nesac"
    );
    let chassis = bed.script(format!("{folder}/chassis"), &script);
    let auth = "none md2 md5 straight";
    let config = bed.write(
        format!("{folder}/lan.conf"),
        format!(
            "name \"n{}\"\nset_working_mc 0x20\n  startlan 1\n    addr {} {port}\n    priv_limit admin\n    \
             allowed_auths_callback {auth}\n    allowed_auths_user {auth}\n    allowed_auths_operator {auth}\n    \
             allowed_auths_admin {auth}\n    guid a123456789abcdefa1234567890{:05}\n  endlan\n  \
             chassis_control \"{} 0x20\"\n  user 2 true \"{USER}\" \"{PASSWORD}\" admin 10 {auth}\n",
            at + 1,
            address(at),
            at,
            chassis.display()
        ),
    );
    let emulation = bed.write(
        format!("{folder}/sim.emu"),
        "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\n\
         sel_enable 0x20 1000 0x0a\nmc_enable 0x20\n",
    );
    let state = bed.path(format!("{folder}/state"));
    std::fs::create_dir_all(&state).expect("make a controller's folder");
    let mut command = Command::new(real::find("ipmi_sim").expect("ipmi_sim was required"));
    command.arg("-c").arg(config).arg("-f").arg(emulation).arg("-s").arg(state).arg("-n");
    command.env("ORDERLY_BED", bed.root());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    crate::start(&mut command)
}
