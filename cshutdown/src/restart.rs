//! Starting again what was stopped (`-r`): `cstartup` takes this process's place.

use anyhow::Context;
use orderly_exec::job::{Ended, Ending, Job, show};
use orderly_exec::lock::PASSED_LOCK;
use orderly_exec::runner::{Run, Runner};
use orderly_exec::{OrStatus, Status, fail};
use orderly_nodes::claims::HeldClaim;
use orderly_plan::nodeset;
use std::ffi::OsString;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::time::Duration;

/// Longest folded node set given as one argument; the kernel takes 128 KiB.
const ONE_ARGUMENT: usize = 100_000;
/// The flags of `cstartup` of one letter that take a value.
const WITH_VALUE: [char; 4] = ['x', 'W', 'K', 'i'];
/// How long the check of the options may take.
const CHECK: Duration = Duration::from_secs(300);

/// The call of `cstartup`, without what it does (`-k` or nothing).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Restart {
    program: OsString,
    options: Vec<OsString>,
    targets: Vec<OsString>,
}

impl Restart {
    /// Returns the call with these options before these targets.
    pub(crate) fn new<'n>(options: Vec<OsString>, names: impl Iterator<Item = &'n str> + Clone) -> Self {
        let folded = nodeset::fold(names.clone());
        let targets = if folded.len() <= ONE_ARGUMENT {
            vec![OsString::from(folded)]
        } else {
            names.map(OsString::from).collect()
        };
        Self { program: program().into(), options, targets }
    }

    /// Returns the call as one would type it.
    pub(crate) fn shown(&self) -> String {
        let argv: Vec<&OsString> =
            std::iter::once(&self.program).chain(&self.options).chain(&self.targets).collect();
        show(&argv)
    }

    /// Has `cstartup` check its options now, when nothing is touched yet, and whether it could start
    /// the targets once they are down. Violations among running nodes (`-S`) are gone by then.
    ///
    /// # Errors
    /// Usage (2), rejected (3) or refused (4), as `cstartup` says; refused when it cannot be run.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let mut runner = Runner::new()?;
        // Options alone are too little for cstartup. If it is content, there are targets among them, which
        // would be started although they were never stopped.
        if !self.options.is_empty()
            && !matches!(self.try_it(&["-k"], &[], &mut runner)?.ending, Ending::Exited(2))
        {
            let targets = "those of cshutdown are started, and no others can be named";
            return Err(fail(Status::Usage, format!("check -C: these are not options alone; {targets}")));
        }
        let mut verify = vec!["-k"];
        // Whoever is in the way is waited for, or refuses it, before the nodes are stopped.
        verify.extend((!self.has("wait", None)).then_some("--wait"));
        verify.extend((!self.has("ignore-running", Some('S'))).then_some("-S"));
        let ended = self.try_it(&verify, &self.targets, &mut runner)?;
        let status = match ended.ending {
            Ending::Exited(0) => return Ok(()),
            Ending::Exited(2) => Status::Usage,
            Ending::Exited(3) => Status::Rejected,
            // Whatever else it is, nobody can say that the nodes would come up again.
            Ending::Exited(_)
            | Ending::NotStarted
            | Ending::Killed(_)
            | Ending::TimedOut
            | Ending::Unkillable => Status::Refused,
        };
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        Err(fail(status, format!("check {}: {}\n{}", self.shown(), ended.ending, said.trim_end())))
    }

    /// Tells whether the options have this flag already; `cstartup` takes none twice.
    fn has(&self, long: &str, short: Option<char>) -> bool {
        let is_it = |option: &OsString| {
            let option = option.to_string_lossy();
            if let Some(word) = option.strip_prefix("--") {
                return word.split('=').next() == Some(long);
            }
            // What follows a letter with a value is that.
            let letters = option.strip_prefix('-').unwrap_or_default().chars();
            let mut flags = letters.take_while(|letter| !WITH_VALUE.contains(letter));
            short.is_some_and(|short| flags.any(|flag| flag == short))
        };
        self.options.iter().any(is_it)
    }

    /// Runs it with further options and these targets; it is to verify only.
    fn try_it(&self, verify: &[&str], targets: &[OsString], runner: &mut Runner) -> anyhow::Result<Ended> {
        let verify: Vec<OsString> = verify.iter().map(OsString::from).collect();
        let argv = std::iter::once(&self.program).chain(&self.options).chain(&verify).chain(targets);
        let ended = runner.run(&Job::new(argv, CHECK));
        match runner.interrupted() {
            Some(signal) => {
                Err(fail(Status::Signal(signal as i32), "interrupted before anything was touched"))
            }
            None => Ok(ended),
        }
    }

    /// Becomes `cstartup`, with the claim on the nodes; returns only when that fails.
    ///
    /// # Errors
    /// Failed (1): the nodes are down and were not started.
    pub(crate) fn become_it(&self, claim: Option<&HeldClaim>) -> anyhow::Result<Status> {
        let mut command = std::process::Command::new(&self.program);
        let passed = claim.map(HeldClaim::pass_on).transpose()?;
        if let Some(passed) = &passed {
            command.env(PASSED_LOCK, passed.as_raw_fd().to_string());
        }
        let error = command.args(&self.options).args(&self.targets).exec();
        Err(error)
            .with_context(|| format!("run {}; the nodes are down", self.shown()))
            .or_status(Status::Failed)
    }
}

/// Returns the `cstartup` that belongs to this program: the one beside it, else the one in PATH.
fn program() -> PathBuf {
    std::env::current_exe()
        .ok()
        .and_then(|own| Some(own.parent()?.join("cstartup")))
        .filter(|beside| beside.is_file())
        .unwrap_or_else(|| PathBuf::from("cstartup"))
}

/// Returns the words of `-C`: split at blanks, with quotes and backslashes as in a shell.
///
/// # Errors
/// A clause when a quote is not closed.
pub(crate) fn split(text: &str) -> Result<Vec<OsString>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => match chars.next() {
                Some(next) => word.get_or_insert_default().push(next),
                None => return Err(format!("nothing follows the backslash at the end of {text}")),
            },
            (None, c) if c.is_whitespace() => words.extend(word.take().map(OsString::from)),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if let Some(open) = quote {
        return Err(format!("the quote {open} is not closed in {text}"));
    }
    words.extend(word.map(OsString::from));
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_split_as_a_shell_would() {
        let words = |text| split(text).map(|words| words.join(&OsString::from("|")).into_string().unwrap());
        assert_eq!(words("-Z  -W 300"), Ok("-Z|-W|300".into()));
        assert_eq!(words(r#"--x 'a b' "c \" d" e\ f ''"#), Ok("--x|a b|c \" d|e f|".into()));
        assert_eq!(words(""), Ok(String::new()));
        assert!(words("'open").is_err() && words("end\\").is_err());
    }

    #[test]
    fn a_flag_is_found_however_it_is_spelt_and_never_in_a_value() {
        for (options, waits, ignores) in [
            ("", false, false),
            ("-z", false, false),
            ("--wait", true, false),
            ("-GS --wait=10m", true, true),
            ("--ignore-running", false, true),
            ("-i/etc/cstartSeq -xSwitch -W5", false, false),
            ("--waiting --config=--wait", false, false),
        ] {
            let restart = Restart::new(split(options).unwrap(), ["n1"].into_iter());
            let found = (restart.has("wait", None), restart.has("ignore-running", Some('S')));
            assert_eq!(found, (waits, ignores), "{options}");
        }
    }

    #[test]
    fn targets_are_folded_unless_they_would_not_fit() {
        let restart = Restart::new(vec!["-G".into()], ["n1", "n2"].into_iter());
        assert_eq!(restart.targets, ["n[1-2]"]);
        assert!(restart.shown().ends_with("cstartup -G n[1-2]"), "{}", restart.shown());
        let names: Vec<String> = (0..20_000).map(|n| format!("{:x}y{n}z", n * 7919)).collect();
        let restart = Restart::new(Vec::new(), names.iter().map(String::as_str));
        assert!(restart.targets.iter().all(|target| target.len() < 128 * 1024));
    }
}
