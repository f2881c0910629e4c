//! A real terminal that can be looked at: tmux, which wraps lines anew when it is resized, as most do.

use crate::{Bed, Need, real, wait_until};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a scenario with such a terminal needs.
pub const TMUX_NEEDS: [Need; 1] = [Need::Program("tmux")];

/// Nothing is shown but what runs there.
const CONFIGURATION: &str = "\
set -g status off
set -g default-terminal screen-256color
set -g default-shell /bin/sh
set -g escape-time 0
";

/// A terminal on which a shell line runs, until it is dropped.
#[derive(Debug)]
pub struct Tmux<'b> {
    bed: &'b Bed,
    program: PathBuf,
    /// Each has a server of its own: one that was told to end may still be there.
    socket: String,
}

/// Where the cursor is, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub column: usize,
    pub row: usize,
    pub is_shown: bool,
}

impl<'b> Tmux<'b> {
    /// Runs a shell line on a terminal of this size, in the environment of the bed.
    pub fn run(bed: &'b Bed, columns: usize, lines: usize, line: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let program = real::find("tmux").expect("tmux, which the scenario asked for");
        bed.write("tmux.conf", CONFIGURATION);
        let socket = format!("tmux.{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let terminal = Self { bed, program, socket };
        let (columns, lines) = (columns.to_string(), lines.to_string());
        terminal.tmux(&["-f", "tmux.conf", "new-session", "-d", "-x", &columns, "-y", &lines, line]);
        terminal
    }

    fn tmux(&self, words: &[&str]) -> String {
        let run = self.bed.external(&self.program).args(["-u", "-S", &self.socket]).args(words);
        run.any_stdout().run().stdout
    }

    fn ask(&self, what: &str) -> String {
        self.tmux(&["display-message", "-p", what]).trim_end().to_owned()
    }

    /// Returns the rows that are shown, without the empty ones at the end.
    pub fn rows(&self) -> Vec<String> {
        self.tmux(&["capture-pane", "-p"]).trim_end().lines().map(str::to_owned).collect()
    }

    /// Returns the lines that are shown and those above that were scrolled out of sight, each whole although it was
    /// wrapped.
    pub fn lines(&self) -> Vec<String> {
        let all = self.tmux(&["capture-pane", "-p", "-J", "-S", "-"]);
        all.trim_end().lines().map(|line| line.trim_end().to_owned()).collect()
    }

    /// Waits until what is shown is as it should be, and returns it.
    pub fn wait_for(&self, what: &str, is_so: impl Fn(&[String]) -> bool) -> Vec<String> {
        let mut rows = Vec::new();
        wait_until(what, || {
            rows = self.rows();
            is_so(&rows)
        });
        rows
    }

    /// Waits until a text is shown in a row.
    pub fn wait_for_text(&self, text: &str) -> Vec<String> {
        self.wait_for(text, |rows| rows.iter().any(|row| row.contains(text)))
    }

    /// Presses keys, by the names that tmux has for them.
    pub fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Makes it as large as this.
    pub fn resize(&self, columns: usize, lines: usize) {
        let (columns, lines) = (columns.to_string(), lines.to_string());
        self.tmux(&["resize-window", "-x", &columns, "-y", &lines]);
    }

    /// Tells whether anything that is shown has a colour, or is bold or the like.
    pub fn is_painted(&self) -> bool {
        self.tmux(&["capture-pane", "-p", "-e"]).contains('\x1b')
    }

    /// Returns where the cursor is.
    pub fn cursor(&self) -> Cursor {
        let said = self.ask("#{cursor_x} #{cursor_y} #{cursor_flag}");
        let numbers: Vec<usize> = said.split(' ').map(|word| word.parse().expect("a number")).collect();
        Cursor { column: numbers[0], row: numbers[1], is_shown: numbers[2] == 1 }
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        let run = self.bed.external(&self.program).args(["-S", &self.socket, "kill-server"]);
        // It ends by itself with the last terminal.
        run.any_status().any_stdout().any_stderr().run();
    }
}
