//! `csLogger`: writes a line into the log of a shutdown or startup, for subsystems that report there.
//!
//! It runs as root on text that comes from elsewhere, so it is strict about where it writes: an
//! existing regular file named like a log, by its whole path, through no link.

use clap::CommandFactory;
use orderly_exec::{Status, clock, fail, files};
use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};

/// Appends a line to the log of a run.
#[derive(Debug, clap::Parser)]
#[command(name = "csLogger", version)]
pub struct LoggerArgs {
    /// The address of the control workstation, where the log is (doc).
    #[arg(short = 'b', value_name = "IP")]
    control: IpAddr,

    /// The log file, as the subsystem got it with -f (doc).
    #[arg(short = 'f', value_name = "FILE")]
    file: PathBuf,

    /// Write here whatever -b says: this was sent here (chosen).
    #[arg(long)]
    here: bool,

    /// Read this configuration to reach the control workstation (chosen).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// What is written; words are joined by blanks.
    #[arg(required = true, value_name = "TEXT", trailing_var_arg = true, allow_hyphen_values = true)]
    text: Vec<String>,
}

/// Returns the command line as data, for tests, man pages and completions.
pub fn command() -> clap::Command {
    LoggerArgs::command()
}

/// Runs the program.
///
/// # Errors
/// See the exit-status table in the manual page.
pub fn run(args: LoggerArgs) -> anyhow::Result<Status> {
    check_name(&args.file)?;
    let text = escaped(&args.text.join(" "));
    if args.here || is_local(args.control) {
        files::append_line(&args.file, &format!("{} {text}", clock::local()))?;
        return Ok(Status::Done);
    }
    crate::remote::log(args.config.as_deref(), args.control, &args.file, &text)
}

fn check_name(file: &Path) -> anyhow::Result<()> {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !file.is_absolute() || !(name.starts_with("cshut.") || name.starts_with("cstart.")) {
        let why = "not the whole path of a log (a file named cshut.* or cstart.*)";
        return Err(fail(Status::Refused, format!("write to {}: {why}", file.display())));
    }
    Ok(())
}

/// Tells whether an address is this machine's: only then can a socket be bound to it.
fn is_local(address: IpAddr) -> bool {
    !address.is_unspecified() && !address.is_multicast() && UdpSocket::bind((address, 0)).is_ok()
}

/// Returns the text with every control character made visible, line ends and tabs too: one call
/// writes one line.
fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn log(file: &Path, text: &str) -> anyhow::Result<Status> {
        run(LoggerArgs {
            control: IpAddr::from([127, 0, 0, 1]),
            file: file.to_owned(),
            here: false,
            config: None,
            text: text.split(' ').map(str::to_owned).collect(),
        })
    }

    #[test]
    fn a_line_is_appended_with_its_control_characters_shown() {
        let dir = tempfile::tempdir().unwrap();
        let file = fs::canonicalize(dir.path()).unwrap().join("cshut.1121214907.4711");
        fs::write(&file, "first\n").unwrap();
        assert_eq!(log(&file, "quiet\nnow\x1b[2J done").unwrap(), Status::Done);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("first\n") && text.ends_with(" quiet\\nnow\\u{1b}[2J done\n"), "{text}");
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn nothing_but_an_existing_log_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let dir = fs::canonicalize(dir.path()).unwrap();
        let real = dir.join("cshut.real");
        fs::write(dir.join("passwd"), "").unwrap();
        fs::write(&real, "").unwrap();
        symlink(&real, dir.join("cshut.link")).unwrap();
        symlink(&dir, dir.join("folder")).unwrap();
        fs::create_dir(dir.join("cshut.folder")).unwrap();
        for name in
            ["passwd", "cshut.missing", "cshut.link", "folder/cshut.real", "cshut.folder", "x/../cshut.real"]
        {
            let error = log(&dir.join(name), "text").unwrap_err();
            assert_eq!(error.downcast_ref(), Some(&Status::Refused), "{name}: {error:#}");
        }
        fs::hard_link(&real, dir.join("other")).unwrap();
        assert!(log(&real, "text").is_err(), "a second name may be a file that matters");
        assert!(log(Path::new("cshut.real"), "text").is_err(), "not by its whole path");
        assert!(!dir.join("cshut.missing").exists());
        assert_eq!(fs::read_to_string(&real).unwrap(), "");
    }
}
