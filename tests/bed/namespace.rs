//! Daemons in namespaces of their own (mounts, processes, network), for programs that want their usual paths, ports and
//! users. Nothing that they mount, listen at or end is this machine's.

use crate::{Bed, Program, real, wait_until};
use std::ffi::OsString;
use std::process::{Child, Command, Stdio};

/// A script of root's that runs in there, and whatever it starts.
#[derive(Debug)]
pub struct Namespace<'a> {
    bed: &'a Bed,
    environment: Vec<(&'static str, String)>,
    /// Where it says something.
    log: String,
    script: Child,
    /// The first process in there, as seen from outside.
    first: String,
}

impl<'a> Namespace<'a> {
    /// Runs a script in there.
    pub fn new(bed: &'a Bed, name: &str, script: &str, environment: Vec<(&'static str, String)>) -> Self {
        let mut command = Command::new(real::find("unshare").expect("unshare is there"));
        command.args(["-m", "-p", "-n", "-f", "--kill-child", "--mount-proc", "--propagation", "private"]);
        command.args(["/bin/sh", "-c", script]).env_clear().envs(environment.iter().cloned());
        let log = format!("{name}.said");
        let said = std::fs::File::create(bed.path(&log)).expect("make a log");
        command.stdin(Stdio::null()).stdout(said.try_clone().expect("share a log")).stderr(said);
        let script = crate::start(&mut command);
        let children = format!("/proc/{0}/task/{0}/children", script.id());
        let mut namespace = Self { bed, environment, log, script, first: String::new() };
        wait_until(&format!("{name} has begun"), || {
            namespace.check();
            let first = std::fs::read_to_string(&children).unwrap_or_default();
            first.trim().clone_into(&mut namespace.first);
            !namespace.first.is_empty()
        });
        namespace
    }

    /// Ends the scenario where the script has ended.
    pub fn check(&mut self) {
        let has_ended = self.script.try_wait().expect("look at a script").is_some();
        assert!(!has_ended, "it has ended: {}", self.said());
    }

    /// Returns what was said in there.
    pub fn said(&self) -> String {
        self.bed.read(&self.log)
    }

    /// Returns one run of a shell line in there, as root.
    pub fn shell(&self, line: &str) -> Program<'a> {
        let nsenter = real::find("nsenter").expect("nsenter is there");
        // The folder is given to what is run through.
        let go = ["/bin/sh", "-c", "cd \"$0\" && exec \"$@\""];
        let words = ["-m", "-p", "-n", "-t", &self.first, "--"].into_iter().chain(go).map(OsString::from);
        let mut program = self.bed.shell(line);
        for (name, value) in &self.environment {
            program = program.env(name, value);
        }
        program.through(std::iter::once(nsenter.into_os_string()).chain(words).collect())
    }
}

impl Drop for Namespace<'_> {
    fn drop(&mut self) {
        // With its first process the kernel ends every process of the namespace.
        if let Ok(first) = self.first.parse() {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(first), nix::sys::signal::Signal::SIGKILL).ok();
        }
        self.script.kill().ok();
        self.script.wait().ok();
    }
}
