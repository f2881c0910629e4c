//! A libvirtd of the bed's own, which serves the test driver of libvirt on a private socket: domains that start and stop
//! and are nothing beside that. It runs as nobody, so that it finds nothing of this machine to manage.

use crate::{Bed, Need, real, wait_until};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What this bed needs of the machine.
pub const NEEDS: [Need; 4] =
    [Need::Root, Need::Program("libvirtd"), Need::Program("virsh"), Need::Program("setpriv")];

/// Domains behind a libvirtd.
#[derive(Debug)]
pub struct Libvirt {
    daemon: Child,
    /// Keeps a connection open: with the last one the test driver forgets everything.
    keeper: Child,
    uri: String,
}

impl Libvirt {
    /// Starts the daemon and defines these domains, which are shut off.
    pub fn new(bed: &Bed, domains: &[&str]) -> Self {
        let folder = bed.path("libvirt");
        let home = folder.join("home");
        for folder in [&folder, &home, &folder.join("run"), &folder.join("socket")] {
            std::fs::create_dir_all(folder).expect("make a folder of libvirtd");
            nix::unistd::chown(folder, Some(NOBODY.into()), Some(NOBODY.into()))
                .expect("give a folder to nobody");
        }
        // Nobody has to get there.
        std::fs::set_permissions(bed.root(), std::fs::Permissions::from_mode(0o711)).expect("open the bed");
        let socket = folder.join("socket");
        let config = format!(
            "unix_sock_dir = {socket:?}\nauth_unix_ro = \"none\"\nauth_unix_rw = \"none\"\nlog_outputs = \"3:stderr\"\n"
        );
        let config = bed.write("libvirt/libvirtd.conf", config);
        let log = std::fs::File::create(folder.join("log")).expect("make a log");
        let nobody = NOBODY.to_string();
        let mut command = Command::new(real::find("setpriv").expect("find setpriv"));
        command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"]);
        command.arg(real::find("libvirtd").expect("find libvirtd")).arg("-f").arg(config);
        command
            .arg("-p")
            .arg(folder.join("run/pid"))
            .env("HOME", &home)
            .env("XDG_RUNTIME_DIR", folder.join("run"));
        command.env("XDG_CONFIG_HOME", home.join("config")).env("XDG_CACHE_HOME", home.join("cache"));
        let daemon = crate::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log));
        let socket = socket.join("libvirt-sock");
        let uri = format!("test+unix:///default?socket={}", socket.display());
        wait_until("libvirtd answers", || socket.exists() && virsh(&uri, &["list"]).is_some());
        let keeper = keep_open(&uri, &folder, domains);
        let libvirt = Self { daemon, keeper, uri };
        for domain in domains {
            wait_until("a domain is defined", || libvirt.state(domain).is_some());
        }
        libvirt
    }

    /// Returns how virsh reaches it.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Tells whether a domain runs.
    pub fn is_on(&self, domain: &str) -> bool {
        self.state(domain).is_some_and(|state| state == "running")
    }

    fn state(&self, domain: &str) -> Option<String> {
        virsh(&self.uri, &["domstate", domain])
    }
}

impl Drop for Libvirt {
    fn drop(&mut self) {
        for child in [&mut self.keeper, &mut self.daemon] {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// The user and the group that own nothing.
const NOBODY: u32 = 65534;

/// Defines the domains over a connection that stays open.
fn keep_open(uri: &str, folder: &Path, domains: &[&str]) -> Child {
    let mut command = Command::new(real::find("virsh").expect("find virsh"));
    command.arg("--connect").arg(uri).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut keeper = crate::start(&mut command);
    let told = keeper.stdin.as_mut().expect("virsh listens");
    for (at, domain) in domains.iter().enumerate() {
        let file = folder.join(format!("{at}.xml"));
        let xml = format!(
            "<domain type='test'><name>{domain}</name><memory>1024</memory><os><type>hvm</type></os></domain>"
        );
        std::fs::write(&file, xml).expect("write a domain");
        writeln!(told, "define {}", file.display()).expect("tell virsh");
    }
    keeper
}

/// Returns what virsh prints, where it succeeds.
fn virsh(uri: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(real::find("virsh").expect("find virsh"));
    command.args(["--quiet", "--connect", uri]).args(arguments).env("LC_ALL", "C");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let ended = crate::start(&mut command).wait_with_output().expect("wait for virsh");
    ended.status.success().then(|| String::from_utf8_lossy(&ended.stdout).trim().to_owned())
}
