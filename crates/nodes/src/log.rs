//! The log of one run, `cstart.MMDDhhmmss.pid` or `cshut.MMDDhhmmss.pid`: for people, one line an
//! event, who asked in the first. Its beginning, its failures and its end also go to syslog.

use anyhow::Context;
use nix::libc;
use nix::unistd::gethostname;
pub use orderly_exec::lock::who;
use orderly_exec::printable;
use orderly_exec::program::program_name;
use orderly_exec::{OrStatus, Status, clock};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

/// Where the system's log is spoken to.
const SYSLOG: &str = "/dev/log";

/// How urgent a line is for syslog, as facility `user` with this severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Severity {
    Error = 11,
    Info = 14,
}

/// The log of a run. A line that cannot be written is counted and fails nothing: what is done to the
/// nodes matters more than the account of it.
#[derive(Debug)]
pub struct RunLog {
    file: File,
    path: PathBuf,
    syslog: Option<UnixDatagram>,
    lost: usize,
}

impl RunLog {
    /// Makes the log in `folder`, which is made where it is missing; `stem` is `cstart` or `cshut`.
    ///
    /// # Errors
    /// Refused (4): a run that cannot be accounted for does not begin.
    pub fn begin(folder: &Path, stem: &str, arguments: &[String]) -> anyhow::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(folder)
            .with_context(|| {
                format!("make the log directory {} (log_dir in cluster.toml names another)", folder.display())
            })
            .or_status(Status::Refused)?;
        let path = folder.join(format!("{stem}.{}.{}", clock::log_stamp(), std::process::id()));
        // Made new and never through a link: the folder may be writable by others.
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o640)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&path)
            .with_context(|| {
                format!("make the log {} (log_dir in cluster.toml names another directory)", path.display())
            })
            .or_status(Status::Refused)?;
        let mut log = Self { file, path, syslog: connect(), lost: 0 };
        let command = orderly_exec::job::show(&[&[program_name()], arguments].concat());
        log.line(&format!("{} on {}: {command}", who(), host()));
        log.tell_syslog(Severity::Info, &format!("{}: {command}", who()));
        Ok(log)
    }

    /// Returns where the log is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes what happened.
    pub fn line(&mut self, text: &str) {
        let mut whole = String::new();
        for line in text.lines() {
            whole.push_str(&format!("{} {}\n", clock::local(), printable(line)));
        }
        if self.file.write_all(whole.as_bytes()).is_err() {
            self.lost += 1;
        }
    }

    /// Writes what went wrong, also to syslog.
    pub fn failure(&mut self, text: &str) {
        self.line(text);
        self.tell_syslog(Severity::Error, text);
    }

    /// Writes the end of the run, also to syslog, and returns how many lines were lost.
    pub fn end(mut self, text: &str) -> usize {
        self.line(text);
        self.tell_syslog(Severity::Info, text);
        if self.file.sync_all().is_err() {
            self.lost += 1;
        }
        self.lost
    }

    fn tell_syslog(&mut self, severity: Severity, text: &str) {
        let Some(socket) = &self.syslog else { return };
        for line in text.lines() {
            let message = format!(
                "<{}>{}[{}]: {}",
                severity as u8,
                program_name(),
                std::process::id(),
                printable(line)
            );
            // Syslog is an addition to the log: a full or absent daemon loses only that.
            socket.send(message.as_bytes()).ok();
        }
    }
}

fn connect() -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    socket.connect(SYSLOG).ok()?;
    // A daemon that does not read must not hold the run.
    socket.set_nonblocking(true).ok()?;
    Some(socket)
}

fn host() -> String {
    gethostname().map_or_else(|_| "an unnamed host".to_owned(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_first_line_says_who_asked_and_control_characters_are_shown() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = RunLog::begin(&dir.path().join("SPlogs/cs"), "cstart", &["ALL".into()]).unwrap();
        log.line("n01: up\x1b[2J\nn02: up");
        let path = log.path().to_owned();
        assert_eq!(log.end("done"), 0);
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[0].contains(" on ") && lines[0].ends_with(" ALL"), "{}", lines[0]);
        assert!(lines[1].ends_with("n01: up\\u{1b}[2J"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let parts: Vec<&str> = name.split('.').collect();
        assert_eq!((parts[0], parts[1].len(), parts[2]), ("cstart", 10, &*std::process::id().to_string()));
    }

    #[test]
    fn a_log_that_cannot_be_made_refuses_the_run() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let error = RunLog::begin(&dir.path().join("file/cs"), "cstart", &[]).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Status::Refused));
        assert!(format!("{error:#}").contains("log_dir"));
    }
}
