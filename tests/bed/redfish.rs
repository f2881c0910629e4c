//! Real Redfish services on loopback addresses: sushy-tools' emulator, with TLS by a CA of the bed, one BMC a node.

use crate::binaries::{peers, workspace};
use crate::fakes::lines_of;
use crate::{Bed, Need, real, wait_until};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What this bed needs of the machine.
pub const NEEDS: [Need; 3] =
    [Need::Program("curl"), Need::Program("openssl"), Need::Peer("sushy", "sushy-emulator")];

/// The user and the password of every BMC.
pub const USER: &str = "admin";
/// A quote would end it in curl's configuration, a `#` begin a comment.
pub const PASSWORD: &str = "la\"b\\#p w";

/// Running BMCs, for the nodes `n1`, `n2`, …
#[derive(Debug)]
pub struct Redfish<'a> {
    bed: &'a Bed,
    folder: PathBuf,
    child: Child,
    port: String,
}

impl<'a> Redfish<'a> {
    /// Starts so many BMCs, each with one system; their nodes are off.
    pub fn new(bed: &'a Bed, count: usize) -> Self {
        let systems = (1..=count).map(|number| (host(number), vec![system(number)])).collect();
        Self::start(bed, count, &systems)
    }

    /// Starts BMCs of which each has all systems.
    pub fn with_several_systems(bed: &'a Bed, count: usize) -> Self {
        Self::start(bed, count, &std::collections::BTreeMap::new())
    }

    fn start(bed: &'a Bed, count: usize, systems: &std::collections::BTreeMap<String, Vec<String>>) -> Self {
        let folder = bed.path("redfish");
        std::fs::create_dir_all(&folder).expect("make the folder of the BMCs");
        make_certificates(&folder, count);
        let settings = serde_json::json!({
            "folder": folder, "systems": systems, "count": count, "user": USER, "password": PASSWORD,
            "certificate": folder.join("bmc.pem"), "key": folder.join("bmc.key"),
        });
        let settings = bed.write("redfish/settings.json", settings.to_string());
        let log = std::fs::File::create(folder.join("log")).expect("make a log");
        let mut command = Command::new(peers().join("sushy/bin/python"));
        command.arg(workspace().join("tests/fakes/redfish/emulator.py")).arg(settings);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("share a log")).stderr(log);
        let child = crate::start(&mut command);
        let port = folder.join("port");
        wait_until("the BMCs answer", || port.exists());
        let port = std::fs::read_to_string(port).expect("read the port of the BMCs");
        Self { bed, folder, child, port }
    }

    /// Returns the address of the BMC of a node, with its port.
    pub fn bmc(&self, number: usize) -> String {
        format!("{}:{}", host(number), self.port)
    }

    /// Returns the inventory of the first so many.
    pub fn inventory(&self, count: usize) -> String {
        let node = |number| serde_json::json!({"name": format!("n{number}"), "bmc": self.bmc(number)});
        let nodes: Vec<_> = (1..=count).map(node).collect();
        serde_json::json!({"format": "orderly-inventory/1", "nodes": nodes}).to_string()
    }

    /// Returns the certificate by which those of the BMCs are verified.
    pub fn ca(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Says what the BMC of a node does from now on (see `Front` in tests/fakes/redfish/emulator.py).
    pub fn tell(&self, number: usize, manner: &str) -> &Self {
        self.bed.write(format!("redfish/{}", host(number)), manner);
        self
    }

    /// Returns what the BMC of a node was asked: method, path and what was sent.
    pub fn asked(&self, number: usize) -> Vec<String> {
        let begin = format!("{} ", host(number));
        let all = lines_of(&self.folder.join("requests"));
        all.iter()
            .filter_map(|line| line.strip_prefix(&begin).map(|rest| rest.trim_end().to_owned()))
            .collect()
    }

    /// Returns what the BMC of a node was told to do: the ResetTypes.
    pub fn resets(&self, number: usize) -> Vec<String> {
        let told = |line: &String| {
            let (_, sent) = line.split_once("/Actions/ComputerSystem.Reset ")?;
            Some(serde_json::from_str::<serde_json::Value>(sent).ok()?["ResetType"].as_str()?.to_owned())
        };
        self.asked(number).iter().filter_map(told).collect()
    }

    /// Tells whether a node has power, as its BMC says to anybody who asks.
    pub fn is_on(&self, number: usize) -> bool {
        let url = format!("https://{}/redfish/v1/Systems/{}", self.bmc(number), system(number));
        // Scenarios look for the password in all command lines, and this is one.
        let password = PASSWORD.replace('\\', "\\\\").replace('"', "\\\"");
        let asking = self.bed.write("redfish/asking", format!("user = \"{USER}:{password}\"\n"));
        let mut command = Command::new(real::find("curl").expect("find curl"));
        command.args(["-s", "-k", "-m", "10", "-K"]).arg(asking).arg(url);
        let child = crate::start(command.stdin(Stdio::null()).stdout(Stdio::piped()));
        let said = child.wait_with_output().expect("wait for curl").stdout;
        String::from_utf8_lossy(&said).contains(r#""PowerState": "On""#)
    }
}

impl Drop for Redfish<'_> {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Returns the id of the system of a node.
pub fn system(number: usize) -> String {
    format!("{number:08}-0000-4000-8000-000000000000")
}

fn host(number: usize) -> String {
    format!("127.0.{}.{}", 80 + number / 200, 1 + number % 200)
}

/// Makes a CA, and a certificate by it for all these BMCs.
fn make_certificates(folder: &Path, count: usize) {
    let names: Vec<String> = (1..=count).map(|number| format!("IP:{}", host(number))).collect();
    std::fs::write(folder.join("names"), format!("subjectAltName={}\n", names.join(",")))
        .expect("write the names of the BMCs");
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    openssl(
        folder,
        &[
            &["req", "-x509"],
            &key[..],
            &["-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=lab"],
        ],
    );
    openssl(folder, &[&["req"], &key[..], &["-keyout", "bmc.key", "-out", "bmc.csr", "-subj", "/CN=bmc"]]);
    let sign = ["x509", "-req", "-in", "bmc.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
    openssl(folder, &[&sign, &["-days", "2", "-extfile", "names", "-out", "bmc.pem"]]);
}

fn openssl(folder: &Path, arguments: &[&[&str]]) {
    let mut command = Command::new(real::find("openssl").expect("find openssl"));
    command.current_dir(folder).args(arguments.concat()).stdin(Stdio::null()).stderr(Stdio::null());
    let status = crate::start(&mut command).wait().expect("wait for openssl");
    assert!(status.success(), "openssl {:?}", arguments.concat());
}
