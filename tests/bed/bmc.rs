//! Real BMCs on loopback: OpenIPMI's `ipmi_sim`, one a node, whose power is a file of the bed.

use crate::{Bed, Need, real, wait_until};
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};

/// What this bed needs of the machine.
pub const NEEDS: [Need; 3] =
    [Need::Program("ipmi_sim"), Need::Program("ipmitool"), Need::Program("ipmipower")];

/// The user and the password of every controller.
pub const USER: &str = "admin";
pub const PASSWORD: &str = "labpw";

/// Running controllers, for the nodes `n1`, `n2`, …
#[derive(Debug)]
pub struct Bmcs<'a> {
    bed: &'a Bed,
    running: Vec<Child>,
    port: u16,
}

impl<'a> Bmcs<'a> {
    /// Starts so many controllers; their nodes are off.
    pub fn new(bed: &'a Bed, count: usize) -> Self {
        let free = UdpSocket::bind((address(0).as_str(), 0)).expect("find a free port");
        let port = free.local_addr().expect("a socket has an address").port();
        drop(free);
        let running = (0..count).map(|at| start(bed, at, port)).collect();
        let bmcs = Self { bed, running, port };
        bed.write("password", format!("{PASSWORD}\n"));
        for at in 0..count {
            wait_until("a controller answers", || {
                let mut ask = Command::new(real::find("ipmitool").expect("ipmitool was required"));
                ask.args(["-I", "lanplus", "-C", "3", "-N", "1", "-R", "1", "-U", USER, "-H", &address(at)]);
                ask.args(["-p", &port.to_string(), "-f"])
                    .arg(bed.path("password"))
                    .args(["chassis", "power", "status"]);
                let said = ask.stdin(Stdio::null()).output().expect("run ipmitool");
                said.status.success()
            });
        }
        bmcs
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
