//! A program that runs: its output as it comes, signals, its end.

use crate::expected::{Expected, masked};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::termios::{LocalFlags, OutputFlags, SetArg, tcgetattr, tcsetattr};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What came on one stream so far.
#[derive(Debug, Clone, Default)]
struct Heard(Arc<(Mutex<Sofar>, Condvar)>);

#[derive(Debug, Default)]
struct Sofar {
    bytes: Vec<u8>,
    ended: bool,
}

/// A program that was started. Dropped before its end, it is killed.
#[derive(Debug)]
pub struct Running {
    child: Child,
    shown: String,
    root: PathBuf,
    deadline: Instant,
    stdin: Option<File>,
    stdout: Heard,
    stderr: Heard,
    expected: (Option<i32>, Expected, Expected),
    reaped: bool,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The exit status; 128 + n after an end by signal n.
    pub status: i32,
    /// Everything on stdout, as it was.
    pub stdout: String,
    /// Everything on stderr, as it was.
    pub stderr: String,
    /// The program's process id.
    pub pid: u32,
}

impl Running {
    pub(crate) fn new(
        mut child: Child,
        terminal: Option<File>,
        shown: String,
        root: PathBuf,
        patience: Duration,
        expected: (Option<i32>, Expected, Expected),
    ) -> Self {
        let stdout = child.stdout.take().map_or_else(Heard::silent, Heard::listen);
        let (stderr, stdin) = match terminal {
            Some(terminal) => {
                (Heard::listen(terminal.try_clone().expect("share a terminal")), Some(terminal))
            }
            None => (
                child.stderr.take().map_or_else(Heard::silent, Heard::listen),
                child.stdin.take().map(|stdin| File::from(OwnedFd::from(stdin))),
            ),
        };
        let deadline = Instant::now() + patience;
        Self { child, shown, root, deadline, stdin, stdout, stderr, expected, reaped: false }
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until a text has appeared on stdout.
    pub fn wait_for_stdout(&self, text: &str) -> &Self {
        self.wait_for(&self.stdout, "stdout", text)
    }

    /// Waits until a text has appeared on stderr.
    pub fn wait_for_stderr(&self, text: &str) -> &Self {
        self.wait_for(&self.stderr, "stderr", text)
    }

    /// Returns what has come on stdout so far.
    pub fn stdout_so_far(&self) -> String {
        self.stdout.text()
    }

    /// Returns what has come on stderr so far.
    pub fn stderr_so_far(&self) -> String {
        self.stderr.text()
    }

    /// Sends a signal to the program alone.
    pub fn signal(&self, signal: Signal) -> &Self {
        kill(self.as_pid(), signal)
            .unwrap_or_else(|error| panic!("send {signal} to {}: {error}", self.shown));
        self
    }

    /// Types a text; the run must have been made with `typed()` or `on_terminal()`.
    pub fn type_in(&mut self, text: &str) -> &mut Self {
        let stdin = self.stdin.as_mut().expect("standard input was left open with typed() or on_terminal()");
        stdin.write_all(text.as_bytes()).unwrap_or_else(|error| panic!("type into {}: {error}", self.shown));
        self
    }

    /// Closes standard input.
    pub fn close_stdin(&mut self) -> &mut Self {
        self.stdin = None;
        self
    }

    /// Tells whether the program has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.try_end().is_none()
    }

    /// Waits for the end and checks what was expected.
    pub fn end(mut self) -> Ended {
        self.stdin = None;
        let status = loop {
            if let Some(status) = self.try_end() {
                break status;
            }
            if Instant::now() >= self.deadline {
                self.fail("did not end");
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        for (heard, name) in [(&self.stdout, "stdout"), (&self.stderr, "stderr")] {
            // A descendant that keeps the stream open outlived the program: that is a finding too.
            heard.wait(self.deadline, |sofar| sofar.ended).unwrap_or_else(|()| {
                self.fail(&format!("ended, but something it started still holds its {name} open"));
            });
        }
        let status = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
        let ended =
            Ended { status, stdout: self.stdout.text(), stderr: self.stderr.text(), pid: self.child.id() };
        self.check(&ended);
        ended
    }

    fn check(&self, ended: &Ended) {
        let (status, stdout, stderr) = &self.expected;
        if let Some(wanted) = status {
            if *wanted != ended.status {
                self.fail(&format!("ended with status {} instead of {wanted}", ended.status));
            }
        }
        for (name, text, expected) in [("stdout", &ended.stdout, stdout), ("stderr", &ended.stderr, stderr)] {
            if let Some(difference) = expected.differs_from(&masked(text, &self.root, ended.pid)) {
                self.fail(&format!("{name} {difference}"));
            }
        }
    }

    fn wait_for(&self, heard: &Heard, name: &str, text: &str) -> &Self {
        let appeared = |sofar: &Sofar| String::from_utf8_lossy(&sofar.bytes).contains(text);
        let waited = heard.wait(self.deadline, |sofar| sofar.ended || appeared(sofar));
        if waited.is_err() || !heard.text().contains(text) {
            self.fail(&format!("never said on {name}: {text}"));
        }
        self
    }

    fn fail(&self, what: &str) -> ! {
        let show = |heard: &Heard| masked(&heard.text(), &self.root, self.child.id());
        panic!(
            "`{}` {what}\n--- stdout\n{}--- stderr\n{}--- {}",
            self.shown,
            show(&self.stdout),
            show(&self.stderr),
            self.root.display()
        );
    }

    fn try_end(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().expect("wait for a program");
        self.reaped = status.is_some();
        status
    }

    fn as_pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id fits its own type"))
    }

    pub(crate) fn feed(&mut self, text: Vec<u8>) {
        if let Some(mut stdin) = self.stdin.take() {
            // A program that does not read all of it closes the pipe; that is its right.
            std::thread::spawn(move || stdin.write_all(&text).ok());
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.reaped {
            killpg(self.as_pid(), Signal::SIGKILL).ok();
            self.child.wait().ok();
        }
    }
}

/// Returns both ends of a new terminal, ours and the program's. It neither echoes nor rewrites
/// what passes.
pub(crate) fn open_terminal() -> (File, File) {
    let size = nix::pty::Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    // No program may start meanwhile: it would inherit an end, and the terminal would never hang up.
    let _alone = crate::SCRIPTS.write().unwrap_or_else(PoisonError::into_inner);
    let pair = nix::pty::openpty(&size, None).expect("open a terminal");
    for end in [&pair.master, &pair.slave] {
        fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).expect("keep a terminal's end to ourselves");
    }
    let mut modes = tcgetattr(&pair.slave).expect("ask for a terminal's modes");
    modes.local_flags.remove(LocalFlags::ECHO);
    modes.output_flags.remove(OutputFlags::OPOST);
    tcsetattr(&pair.slave, SetArg::TCSANOW, &modes).expect("set a terminal's modes");
    (pair.master.into(), pair.slave.into())
}

impl Ended {
    /// Returns stdout as one JSON document.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("stdout is no JSON: {error}\n{}", self.stdout))
    }

    /// Returns stdout as JSON records, one a line.
    pub fn records(&self) -> Vec<serde_json::Value> {
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON: {error}\n{line}"))
        };
        self.stdout.lines().map(parse).collect()
    }
}

impl Heard {
    fn silent() -> Self {
        let heard = Self::default();
        heard.change(|sofar| sofar.ended = true);
        heard
    }

    fn listen(mut stream: impl Read + Send + 'static) -> Self {
        let heard = Self::default();
        let told = heard.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                told.change(|sofar| sofar.bytes.extend_from_slice(&buffer[..length]));
            }
            told.change(|sofar| sofar.ended = true);
        });
        heard
    }

    fn change(&self, change: impl FnOnce(&mut Sofar)) {
        change(&mut self.0.0.lock().expect("a listener does not panic"));
        self.0.1.notify_all();
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.0.lock().expect("a listener does not panic").bytes).into_owned()
    }

    fn wait(&self, deadline: Instant, is_true: impl Fn(&Sofar) -> bool) -> Result<(), ()> {
        let sofar = self.0.0.lock().expect("a listener does not panic");
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self
            .0
            .1
            .wait_timeout_while(sofar, left, |sofar| !is_true(sofar))
            .expect("a listener does not panic");
        if waited.1.timed_out() { Err(()) } else { Ok(()) }
    }
}
