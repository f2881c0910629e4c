//! A real systemd: process 1 of a container made of this machine's own `/usr`, with units of a
//! scenario's own and none of the machine's.
//!
//! `systemctl` is lent here alone: it refuses to run where it does not meet the container's name.

use crate::fakes::quoted;
use crate::{Bed, Need, Program, binaries, real, wait_until};
use std::ffi::OsString;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What such a container needs of the machine.
pub const SYSTEMD_NEEDS: [Need; 5] = [
    Need::Root,
    Need::MountNamespace,
    Need::Program("systemd-nspawn"),
    Need::Program("systemctl"),
    Need::Program("nsenter"),
];

/// A container with systemd. Everything in it ends when it is dropped.
#[derive(Debug)]
pub struct Booted<'a> {
    bed: &'a Bed,
    container: Child,
    /// Its process 1, as seen from outside.
    first: String,
}

impl<'a> Booted<'a> {
    /// Boots a container of this name (`uname -n`) with these units: name and text of each.
    pub fn new(bed: &'a Bed, name: &str, units: &[(&str, String)]) -> Self {
        let lone = "[Unit]\nDefaultDependencies=no\n";
        for (unit, text) in units.iter().chain(&[("up.target", String::new())]) {
            bed.write(format!("units/{unit}"), format!("{lone}{text}"));
        }
        let root = bed.root().display();
        let mut command = nspawn(bed, name);
        command.args(["-D", "/", "--volatile=yes"]);
        command.arg(format!("--bind-ro={}", binaries::folder().display()));
        command.arg(format!("--setenv=SYSTEMD_UNIT_PATH={root}/units"));
        Self::boot(bed, name, command, "up.target")
    }

    /// Boots a container that has a copy of everything on this machine's root file system, as packages are installed
    /// in. What is written there goes no further. None of the machine's services is started.
    pub fn whole(bed: &'a Bed, name: &str) -> Self {
        std::fs::create_dir(bed.path("machine")).expect("make a folder for a container");
        let mut inner = nspawn(bed, name);
        inner.arg("-D").arg(bed.path("machine/root"));
        // An overlay cannot keep what is written below what it lies over, so that is kept in memory.
        let script = "set -e; cd \"$0\"; mount -t tmpfs tmpfs machine; mkdir machine/made machine/work machine/root\n\
                      mount -t overlay overlay -o lowerdir=/,upperdir=machine/made,workdir=machine/work machine/root\n\
                      rm -f machine/root/usr/sbin/policy-rc.d machine/root/etc/hostname; exec \"$@\"";
        let mut command = Command::new(real::find("unshare").expect("unshare is there"));
        command.args(["-m", "--propagation", "private", "sh", "-c", script]).arg(bed.root());
        command.arg(inner.get_program()).args(inner.get_args());
        Self::boot(bed, name, command, "sysinit.target")
    }

    /// Starts the container with this target, and waits until that is reached.
    fn boot(bed: &'a Bed, name: &str, mut command: Command, target: &str) -> Self {
        command.arg(format!("systemd.unit={target}")).arg("systemd.show_status=no");
        let console = std::fs::File::create(bed.path("console")).expect("make a file for the console");
        command.stdout(console.try_clone().expect("share the console")).stderr(console);
        let mut container = crate::start(command.stdin(Stdio::null()).env("ORDERLY_BED", bed.root()));
        let children = format!("/proc/{0}/task/{0}/children", container.id());
        let mut first = String::new();
        let systemctl = real::find("systemctl").expect("systemctl is there");
        bed.script(
            "fakes/systemctl",
            &format!(
                "read -r name </proc/sys/kernel/hostname\n[ \"$name\" = {} ] || exit 97\nexec {} \"$@\"",
                quoted(name),
                systemctl.display()
            ),
        );
        wait_until("systemd is up", || {
            let has_ended = container.try_wait().expect("look at a container").is_some();
            assert!(!has_ended, "boot a container: {}", bed.read("console"));
            let found = std::fs::read_to_string(&children).unwrap_or_default();
            found.trim().clone_into(&mut first);
            let asked = (!first.is_empty())
                .then(|| enter(bed.shell(&format!("systemctl is-active {target}")), &first))
                .map(|asked| asked.any_status().any_stdout().any_stderr().run());
            asked.is_some_and(|asked| asked.stdout == "active\n")
        });
        Self { bed, container, first }
    }

    /// Returns the container's process 1, as seen from outside.
    pub fn first_process(&self) -> &str {
        &self.first
    }

    /// Waits until the container has powered off by itself.
    pub fn wait_for_end(&mut self) {
        wait_until("the container has ended", || self.container.try_wait().is_ok_and(|end| end.is_some()));
    }

    /// Returns one run of one of the programs in the container.
    pub fn program(&self, name: &str) -> Program<'a> {
        enter(self.bed.program(name), &self.first)
    }

    /// Returns one run of a shell line in the container.
    pub fn shell(&self, line: &str) -> Program<'a> {
        enter(self.bed.shell(line), &self.first)
    }
}

/// Returns the start of a container, without its root and its target.
fn nspawn(bed: &Bed, name: &str) -> Command {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut command = Command::new(real::find("systemd-nspawn").expect("systemd-nspawn is there"));
    command.args(["-q", "--boot", "--private-network", "--register=no", "--keep-unit"]);
    command.args(["--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=pipe"]);
    command.arg(format!("--hostname={name}"));
    command.arg(format!("--machine=orderly-{}-{count}", std::process::id()));
    command.arg(format!("--bind={}", bed.root().display()));
    command
}

fn enter<'a>(program: Program<'a>, first: &str) -> Program<'a> {
    let nsenter = real::find("nsenter").expect("nsenter is there");
    let go = ["/bin/sh", "-c", "cd \"$0\" && exec \"$@\""];
    let words = ["-a", "-t", first, "--"].into_iter().chain(go).map(OsString::from);
    program.through(std::iter::once(nsenter.into_os_string()).chain(words).collect())
}

impl Drop for Booted<'_> {
    fn drop(&mut self) {
        // With its first process the kernel ends every process of the container.
        if let Ok(first) = self.first.parse() {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(first), nix::sys::signal::Signal::SIGKILL).ok();
        }
        self.container.wait().ok();
    }
}
