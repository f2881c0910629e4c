//! Telling people and programs: stderr lines, stdout data, live progress on a terminal.
//!
//! Nothing here can fail a run: a reader that goes away is noted and no longer spoken to.

use crate::printable::{escaped, printable};
use crate::screen::{Foreground, LiveLines, ScreenSize, can_draw, foreground};
use crate::status::Status;
use crate::visitors::{EndRecord, FORMAT, GoesOnRecord, LineRecord, Told, Visitors, Weight};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Whether standard output lacks a part of what was said on it, and not because its reader went away.
static INCOMPLETE: AtomicBool = AtomicBool::new(false);

/// Tells whether somebody who reads standard output later does not have all of it.
pub(crate) fn is_incomplete() -> bool {
    INCOMPLETE.load(Ordering::Relaxed)
}

/// How much is said on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Only failures (`-q`).
    Quiet,
    /// One line an event.
    Plain,
    /// Also what is of interest only when something is wrong (`-v`).
    Verbose,
}

/// What stdout carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// The documented one-line messages.
    Text,
    /// One JSON record a line (`--json`).
    Json,
}

/// What a terminal shows below everything said.
#[derive(Debug)]
enum Live {
    /// A line that says what is done and for how long, of itself also while this process waits.
    Bar(ProgressBar),
    /// Lines made for the size of the screen.
    Lines(LiveLines),
}

/// Speaks for a program.
#[derive(Debug)]
pub struct Reporter {
    program: String,
    verbosity: Verbosity,
    output: Output,
    live: Option<Live>,
    stdout_lost: bool,
    /// The record that is the last of a run was printed.
    has_ended: bool,
    /// Who is told the same elsewhere.
    visitors: Option<Visitors>,
}

impl Reporter {
    /// Returns the reporter of this program.
    pub fn new(verbosity: Verbosity, output: Output) -> Self {
        Self {
            program: crate::program::program_name(),
            verbosity,
            output,
            live: None,
            stdout_lost: false,
            has_ended: false,
            visitors: None,
        }
    }

    /// Speaks in the name of another program, which is looked at.
    pub fn speak_for(&mut self, program: &str) {
        program.clone_into(&mut self.program);
    }

    /// Tells visitors the same from now on, whatever the verbosity.
    pub fn let_in(&mut self, visitors: Visitors) {
        self.visitors = Some(visitors);
    }

    /// Tells visitors how this process ends, and lets them go.
    pub fn part(&mut self, outcome: &anyhow::Result<Status>) {
        let status = match outcome {
            Ok(status) => *status,
            Err(error) => {
                self.tell(Weight::Failure, &format!("{error:#}"));
                error.downcast_ref().copied().unwrap_or(Status::Failed)
            }
        };
        if let Some(visitors) = self.visitors.take() {
            let (status, exit) = (status.word(), status.code());
            visitors.end(&EndRecord { format: FORMAT, record: "end", status, exit });
        }
    }

    /// Tells visitors that this process goes on as another program, and lets them go.
    pub fn go_on_as(&mut self, program: &str) {
        if let Some(visitors) = self.visitors.take() {
            visitors.end(&GoesOnRecord { format: FORMAT, record: "goes_on", program });
        }
    }

    /// Tells visitors a line.
    fn tell(&self, weight: Weight, text: &str) {
        let Some(visitors) = &self.visitors else { return };
        let what = if weight == Weight::Detail { Told::Detail } else { Told::Line };
        visitors.tell(what, &LineRecord { format: FORMAT, record: "line", weight, text });
    }

    /// Shows a live line of progress below everything said, on a terminal that can and unless quiet.
    pub fn show_progress(&mut self) {
        if self.shows_live() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(250));
            self.live = Some(Live::Bar(bar));
        }
    }

    /// Shows live lines below everything said, where [`Reporter::show_progress`] would show one.
    pub fn show_lines(&mut self) {
        if self.shows_live() {
            self.live = Some(Live::Lines(LiveLines::default()));
        }
    }

    fn shows_live(&self) -> bool {
        self.verbosity > Verbosity::Quiet && can_draw()
    }

    /// Tells whether live progress is shown, so that its text is made only when somebody sees it.
    pub fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// Replaces the text of the live line.
    pub fn progress(&self, text: impl Into<String>) {
        if let Some(Live::Bar(bar)) = &self.live {
            bar.set_message(printable(&text.into()));
        }
    }

    /// Returns the size of the screen on which live lines are shown at present: somebody who put this process into the
    /// background looks at something else there.
    pub fn screen(&self) -> Option<ScreenSize> {
        self.lines().and_then(|_| ScreenSize::of_stderr())
    }

    /// Returns the live lines while this process may draw.
    fn lines(&self) -> Option<&LiveLines> {
        let Some(Live::Lines(lines)) = &self.live else { return None };
        if foreground(std::io::stderr()) == Foreground::Others {
            lines.forget();
            return None;
        }
        Some(lines)
    }

    /// Returns how wide a text may be that is said on stderr, where that is a terminal.
    pub fn columns(&self) -> Option<usize> {
        let size = ScreenSize::of_stderr()?;
        Some(size.columns.saturating_sub(self.program.len() + 2))
    }

    /// Replaces the live lines, which were made for a screen of this size. What is too wide for it is left out.
    pub fn draw(&self, lines: Vec<String>, size: ScreenSize) {
        if let Some(live) = self.lines() {
            let lines = lines.iter().map(|line| printable(line).replace('\t', " ")).collect();
            live.draw(lines, size, &mut std::io::stderr());
        }
    }

    /// Takes the live lines away until they are drawn again: what they said is no longer so.
    pub fn clear(&self) {
        if let (Some(live), Some(size)) = (self.lines(), ScreenSize::of_stderr()) {
            live.draw(Vec::new(), size, &mut std::io::stderr());
        }
    }

    /// Tells whether live lines stand on the screen, and what happens can be read there.
    pub fn is_drawn(&self) -> bool {
        self.lines().is_some_and(LiveLines::are_drawn)
    }

    /// Takes the live line away.
    pub fn end_progress(&mut self) {
        self.clear();
        if let Some(Live::Bar(bar)) = self.live.take() {
            bar.finish_and_clear();
        }
    }

    /// Writes above what is shown live.
    fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        match (&self.live, self.lines().zip(ScreenSize::of_stderr())) {
            (Some(Live::Bar(bar)), _) => bar.suspend(write),
            (_, Some((live, size))) => live.above(size, &mut std::io::stderr(), write),
            (_, None) => write(),
        }
    }

    /// Says what happened, unless quiet.
    pub fn say(&self, line: impl AsRef<str>) {
        self.tell(Weight::Plain, line.as_ref());
        if self.verbosity > Verbosity::Quiet {
            self.write(line.as_ref());
        }
    }

    /// Says what happened, unless quiet; where live lines stand below, those show it already.
    pub fn event(&self, line: impl AsRef<str>) {
        self.tell(Weight::Event, line.as_ref());
        let least = if self.is_drawn() { Verbosity::Verbose } else { Verbosity::Plain };
        if self.verbosity >= least {
            self.write(line.as_ref());
        }
    }

    /// Says what is of interest only to somebody who looks closely (`-v`).
    pub fn detail(&self, line: impl AsRef<str>) {
        self.tell(Weight::Detail, line.as_ref());
        if self.verbosity == Verbosity::Verbose {
            self.write(line.as_ref());
        }
    }

    /// Says what failed or needs attention, also when quiet.
    pub fn warn(&self, line: impl AsRef<str>) {
        self.tell(Weight::Failure, line.as_ref());
        self.write(line.as_ref());
    }

    /// Says to whoever sits here what he asked for just now; it is nothing to visitors.
    pub fn show(&self, line: impl AsRef<str>) {
        self.write(line.as_ref());
    }

    fn write(&self, line: &str) {
        self.above(|| write_lines(&mut std::io::stderr(), &self.program, line));
    }

    /// Prints a documented one-line message on stdout, unless quiet or speaking JSON. It stays one line,
    /// whatever names of files are in it.
    pub fn message(&mut self, line: &str) {
        self.tell(Weight::Answer, line);
        if self.output == Output::Text && self.verbosity > Verbosity::Quiet {
            self.put(&format!("{}\n", printable(line)));
        }
    }

    /// Prints the sentence that closes a run: on stdout, or for people on stderr where stdout speaks JSON.
    pub fn close_with(&mut self, sentence: &str) {
        match self.output {
            Output::Text => self.message(sentence),
            Output::Json => {
                self.tell(Weight::Answer, sentence);
                if self.verbosity > Verbosity::Quiet {
                    self.write(sentence);
                }
            }
        }
    }

    /// Prints a line of the very answer that was asked for on stdout, whatever the verbosity, unless speaking JSON.
    pub fn answer(&mut self, line: &str) {
        if self.output == Output::Text {
            self.put(&format!("{}\n", printable(line)));
        }
    }

    /// Prints a record on stdout when speaking JSON.
    pub fn record(&mut self, record: &impl Serialize) {
        if let Some(visitors) = &self.visitors {
            visitors.tell(Told::Record, record);
        }
        if self.output == Output::Json {
            match serde_json::to_string(record) {
                Ok(line) => self.put(&format!("{}\n", escaped(&line))),
                Err(error) => self.warn(format!("a record cannot be written as JSON: {error}")),
            }
        }
    }

    /// Prints the last record of a run as [`Reporter::record`] does: the first that is said to be it.
    pub fn last_record(&mut self, record: &impl Serialize) {
        if !std::mem::replace(&mut self.has_ended, true) {
            self.record(record);
        }
    }

    /// Prints data on stdout, whatever the verbosity.
    pub fn data(&mut self, text: &str) {
        self.put(text);
    }

    /// Ends standard output: a reader sees its end now, and not only when this process ends.
    pub fn close_stdout(&mut self) {
        self.stdout_lost = true;
        // Replaced, not closed: the next file opened would become standard output.
        if let Ok(null) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
            nix::unistd::dup2_stdout(null).ok();
        }
    }

    fn put(&mut self, text: &str) {
        if self.stdout_lost {
            return;
        }
        let write = || {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
        };
        let written = self.above(write);
        if let Err(error) = written {
            self.stdout_lost = true;
            // A reader that went away wanted no more; anybody else believes to have it all.
            if error.kind() != std::io::ErrorKind::BrokenPipe {
                INCOMPLETE.store(true, Ordering::Relaxed);
                self.warn(format!("standard output is incomplete: {error}"));
            }
        }
    }
}

/// Writes a text, each line begun with the program's name, control characters shown as such.
///
/// No line is broken here, however narrow the terminal: it wraps what is too wide itself, joins it again when it becomes
/// wider, and a command that is copied from it stays one line.
pub(crate) fn write_lines(to: &mut impl Write, program: &str, text: &str) {
    let mut whole = String::new();
    for line in text.lines() {
        whole.push_str(program);
        whole.push_str(": ");
        whole.push_str(&printable(line));
        whole.push('\n');
    }
    // One write a text, so that lines of two programs do not mix. Nobody to tell when it fails.
    to.write_all(whole.as_bytes()).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_begins_with_the_program_and_no_control_character_gets_through() {
        let mut out = Vec::new();
        write_lines(&mut out, "cstartup", "one\ntwo\x1b[2J\n");
        assert_eq!(String::from_utf8(out).unwrap(), "cstartup: one\ncstartup: two\\u{1b}[2J\n");
    }
}
