//! One run of a program: what it is given, what is expected of it. Strict: output nobody asked for
//! is a failure, so is any status but 0.

use crate::expected::Expected;
use crate::running::{Ended, Running};
use crate::{Bed, HUNG};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What the program reads.
#[derive(Debug)]
enum Input {
    Nothing,
    Text(Vec<u8>),
    Typed,
    Terminal,
}

/// One run of a program, not yet started.
#[derive(Debug)]
#[must_use = "a run that is not started tests nothing"]
pub struct Program<'a> {
    bed: &'a Bed,
    path: PathBuf,
    through: Vec<OsString>,
    args: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    folder: PathBuf,
    input: Input,
    patience: Duration,
    pub(crate) status: Option<i32>,
    pub(crate) stdout: Expected,
    pub(crate) stderr: Expected,
}

impl<'a> Program<'a> {
    pub(crate) fn new(bed: &'a Bed, path: PathBuf) -> Self {
        Self {
            bed,
            path,
            through: Vec::new(),
            args: Vec::new(),
            environment: Vec::new(),
            folder: bed.root().to_owned(),
            input: Input::Nothing,
            patience: HUNG,
            status: Some(0),
            stdout: Expected::Nothing,
            stderr: Expected::Nothing,
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable of the otherwise fixed environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Runs in this folder instead of the root.
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = folder.into();
        self
    }

    /// Gives a text to read; without it there is nothing to read.
    pub fn stdin(mut self, text: impl AsRef<[u8]>) -> Self {
        self.input = Input::Text(text.as_ref().to_owned());
        self
    }

    /// Leaves standard input open for [`Running::type_in`].
    pub fn typed(mut self) -> Self {
        self.input = Input::Typed;
        self
    }

    /// Makes standard input and stderr a terminal of 80 columns: live progress, questions. What is
    /// typed is not echoed; stdout stays a pipe, as in `program > file`.
    pub fn on_terminal(mut self) -> Self {
        self.input = Input::Terminal;
        self
    }

    /// Allows more time (or less) before the run counts as hung.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Expects this exit status; an end by signal n counts as 128 + n, as in a shell.
    pub fn status(mut self, status: i32) -> Self {
        self.status = Some(status);
        self
    }

    /// Accepts every exit status; the scenario looks itself.
    pub fn any_status(mut self) -> Self {
        self.status = None;
        self
    }

    /// Expects exactly this on stdout, placeholders applied.
    pub fn stdout(mut self, text: impl Into<String>) -> Self {
        self.stdout = Expected::Exactly(text.into());
        self
    }

    /// Expects this somewhere on stdout; may be said several times.
    pub fn stdout_contains(mut self, text: &str) -> Self {
        self.stdout.also(text);
        self
    }

    /// Accepts everything on stdout; the scenario looks itself.
    pub fn any_stdout(mut self) -> Self {
        self.stdout = Expected::Anything;
        self
    }

    /// Expects exactly this on stderr, placeholders applied.
    pub fn stderr(mut self, text: impl Into<String>) -> Self {
        self.stderr = Expected::Exactly(text.into());
        self
    }

    /// Expects this somewhere on stderr; may be said several times.
    pub fn stderr_contains(mut self, text: &str) -> Self {
        self.stderr.also(text);
        self
    }

    /// Accepts everything on stderr; the scenario looks itself.
    pub fn any_stderr(mut self) -> Self {
        self.stderr = Expected::Anything;
        self
    }

    /// Expects that all that is said on stderr are lines of the program's own without a word of a fault. Where another
    /// status than 0 is expected, the scenario looks itself.
    pub fn goes_well(mut self) -> Self {
        let program = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.stderr = Expected::Quietly(program);
        self
    }

    /// Runs the program to its end and checks what was expected.
    pub fn run(self) -> Ended {
        self.spawn().end()
    }

    /// Starts the program and hands over its controls.
    pub fn spawn(self) -> Running {
        self.launch(None, None)
    }

    /// Starts the program through another one, given the folder, the program and its arguments.
    pub(crate) fn through(mut self, words: Vec<OsString>) -> Self {
        self.through = words;
        self
    }

    pub(crate) fn launch(mut self, stdin: Option<Stdio>, stdout: Option<Stdio>) -> Running {
        if self.status != Some(0) && matches!(self.stderr, Expected::Quietly(_)) {
            self.stderr = Expected::Anything;
        }
        let mut command = self.command();
        let fed = stdin.is_some();
        let input = std::mem::replace(&mut self.input, Input::Nothing);
        let mut terminal = None;
        command.stdout(stdout.unwrap_or_else(Stdio::piped)).stderr(Stdio::piped());
        match (stdin, &input) {
            (Some(stdin), _) => command.stdin(stdin),
            (None, Input::Nothing) => command.stdin(Stdio::null()),
            (None, Input::Text(_) | Input::Typed) => command.stdin(Stdio::piped()),
            (None, Input::Terminal) => {
                let (ours, theirs) = crate::running::open_terminal();
                terminal = Some(ours);
                command.stdin(theirs.try_clone().expect("share a terminal")).stderr(theirs)
            }
        };
        let child = crate::start(&mut command);
        let shown = shown(&command);
        // The command still holds the pipe ends it handed on; a reader would wait for them for ever.
        drop(command);
        let expected = (self.status, self.stdout, self.stderr);
        let root = self.bed.root().to_owned();
        let mut running = Running::new(child, terminal, shown, root, self.patience, expected);
        match input {
            Input::Text(text) if !fed => running.feed(text),
            Input::Text(_) | Input::Nothing | Input::Typed | Input::Terminal => {}
        }
        running
    }

    fn command(&self) -> Command {
        let at = |name: &str| self.bed.path(name);
        let path = [at("bin"), at("fakes"), at("tools")];
        let folder = (!self.through.is_empty()).then_some(self.folder.as_os_str());
        let words = self.through.iter().map(OsString::as_os_str).chain(folder);
        let mut words = words.chain([self.path.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args(&self.args).current_dir(&self.folder).env_clear();
        command.env("PATH", std::env::join_paths(path).expect("a temporary root has no colon"));
        command.env("HOME", at("home")).env("TMPDIR", at("tmp")).env("TZ", "UTC").env("LC_ALL", "C");
        command.env("ORDERLY_STATE_DIR", at("state")).env("ORDERLY_CONFIG_DIR", at("etc"));
        command.env("ORDERLY_BED", self.bed.root());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// Runs programs at once, each reading what the one before it prints, and checks each.
///
/// What a program other than the last prints is read by its neighbour and cannot be checked here.
pub fn pipeline<'a>(programs: impl IntoIterator<Item = Program<'a>>) -> Vec<Ended> {
    let mut running = Vec::new();
    let mut from_before = None;
    let mut programs = programs.into_iter().peekable();
    while let Some(program) = programs.next() {
        if programs.peek().is_some() {
            let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).expect("make a pipe");
            running.push(program.any_stdout().launch(from_before.take(), Some(writer.into())));
            from_before = Some(Stdio::from(reader));
        } else {
            running.push(program.launch(from_before.take(), None));
        }
    }
    running.into_iter().map(Running::end).collect()
}

fn shown(command: &Command) -> String {
    let name = PathBuf::from(command.get_program());
    let name = name.file_name().map_or_else(|| command.get_program().to_owned(), OsStr::to_owned);
    let words = std::iter::once(name.as_os_str()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
