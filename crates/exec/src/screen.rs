//! The terminal that people look at: how large it is, whether it is ours at present, and lines that are drawn anew.
//!
//! Whatever was said above the lines stays: they are written over in place, in one write, and nothing but them is ever
//! erased. The cursor stays where they end and is never hidden, so that nothing is owed to it when the program dies.
//!
//! A screen that became narrower has wrapped them: they are followed to where they begin now.

use crate::columns;
use nix::unistd::{getpgrp, tcgetpgrp};
use std::cell::{Cell, RefCell};
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;

/// How large the screen is, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScreenSize {
    pub columns: usize,
    pub lines: usize,
}

impl ScreenSize {
    /// What a terminal has that does not say how large it is, such as a serial one.
    const USUAL: Self = Self { columns: 80, lines: 24 };

    /// Returns how large the terminal on stderr is; nothing where that is none.
    pub fn of_stderr() -> Option<Self> {
        let stderr = std::io::stderr();
        if !stderr.is_terminal() {
            return None;
        }
        let size = rustix::termios::tcgetwinsize(&stderr).ok();
        let said = size.map(|size| Self { columns: size.ws_col.into(), lines: size.ws_row.into() });
        Some(said.filter(|said| said.columns > 0 && said.lines > 0).unwrap_or(Self::USUAL))
    }
}

/// Who uses a terminal at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Foreground {
    /// This process, with those of its pipeline.
    Ours,
    /// Somebody else: this process was put into the background.
    Others,
    /// It is not the terminal of this process's session.
    Unknown,
}

/// Tells who uses a terminal at present.
pub(crate) fn foreground(terminal: impl AsFd) -> Foreground {
    match tcgetpgrp(terminal) {
        Ok(group) if group == getpgrp() => Foreground::Ours,
        Ok(_) => Foreground::Others,
        Err(_) => Foreground::Unknown,
    }
}

/// Tells whether the terminal on stderr can draw a line anew.
pub(crate) fn can_draw() -> bool {
    let term = std::env::var_os("TERM");
    term.is_some_and(|term| !term.is_empty() && term != "dumb") && std::io::stderr().is_terminal()
}

/// Tells whether a terminal of this name wraps anew what stands on it when it becomes narrower. Nearly all do; xterm, PuTTY
/// and consoles cut it off, and there more would be written over than the lines that were drawn.
fn wraps_anew(term: &str) -> bool {
    let cuts =
        matches!(term, "xterm" | "putty" | "linux") || term.starts_with("vt") || term.starts_with("st-");
    !cuts
}

thread_local! {
    /// By how many lines the cursor is below where it was left: the terminal shows that Enter was pressed.
    static GONE_DOWN: Cell<usize> = const { Cell::new(0) };
}

/// Takes note that the terminal itself moved the cursor down so many lines.
pub(crate) fn gone_down(lines: usize) {
    GONE_DOWN.set(GONE_DOWN.get() + lines);
}

/// Lines at the end of what a terminal shows.
#[derive(Debug)]
pub(crate) struct LiveLines {
    /// Those that stand there now.
    drawn: RefCell<Vec<String>>,
    /// How wide the screen was then.
    columns: Cell<usize>,
    wraps_anew: bool,
}

impl Default for LiveLines {
    fn default() -> Self {
        let term = std::env::var("TERM").unwrap_or_default();
        Self { drawn: RefCell::default(), columns: Cell::default(), wraps_anew: wraps_anew(&term) }
    }
}

impl LiveLines {
    /// Tells whether any stand there.
    pub(crate) fn are_drawn(&self) -> bool {
        !self.drawn.borrow().is_empty()
    }

    /// Writes these lines over those that stand there, on a screen of this size. What is too wide for it is left out.
    pub(crate) fn draw(&self, lines: Vec<String>, size: ScreenSize, to: &mut impl Write) {
        let mut text = String::new();
        self.put(&mut text, fitting(lines, size), size);
        // A terminal that is gone sees nothing.
        to.write_all(text.as_bytes()).and_then(|()| to.flush()).ok();
    }

    fn put(&self, text: &mut String, lines: Vec<String>, size: ScreenSize) {
        let drawn = self.drawn.replace(Vec::new());
        let gone_down = GONE_DOWN.take();
        if drawn.is_empty() && lines.is_empty() {
            return;
        }
        text.push('\r');
        let rows: usize = drawn.iter().map(|line| self.rows(line, size)).sum();
        let up = if drawn.is_empty() { 0 } else { rows - 1 + gone_down };
        if up > 0 {
            text.push_str(&format!("\x1b[{up}A"));
        }
        let is_resized = self.columns.replace(size.columns) != size.columns;
        // What the terminal has wrapped it takes for one line, until its rows are erased.
        if !drawn.is_empty() && (is_resized || lines.is_empty()) {
            erase(text, up + 1);
        }
        for (at, line) in lines.iter().enumerate() {
            text.push_str(if at > 0 { "\r\n" } else { "" });
            text.push_str(line);
            text.push_str("\x1b[K");
        }
        if !lines.is_empty() {
            text.push_str("\x1b[J");
        }
        self.drawn.replace(lines);
    }

    /// Returns how many rows of the screen a line takes that stands there.
    fn rows(&self, line: &str, size: ScreenSize) -> usize {
        if self.wraps_anew { columns::width(line).div_ceil(size.columns.max(1)).max(1) } else { 1 }
    }

    /// Has something written above the lines that stand there.
    pub(crate) fn above<T>(&self, size: ScreenSize, to: &mut impl Write, write: impl FnOnce() -> T) -> T {
        let lines = self.drawn.borrow().clone();
        self.draw(Vec::new(), size, to);
        let written = write();
        self.draw(lines, size, to);
        written
    }

    /// Leaves what stands there, and begins below the next time: others wrote to the terminal meanwhile.
    pub(crate) fn forget(&self) {
        self.drawn.replace(Vec::new());
    }
}

/// Erases this row and those below it, each by itself: where all of the screen is erased at once, some terminals keep what
/// stood there among what was scrolled out of sight.
fn erase(text: &mut String, rows: usize) {
    text.push_str("\x1b[2K");
    for _ in 1..rows {
        text.push_str("\x1b[B\x1b[2K");
    }
    if rows > 1 {
        text.push_str(&format!("\x1b[{}A", rows - 1));
    }
}

/// Returns those of these lines that a screen of this size has room for: none is cut.
fn fitting(lines: Vec<String>, size: ScreenSize) -> Vec<String> {
    let fits = |line: &String| columns::width(line) < size.columns;
    lines.into_iter().filter(fits).take(size.lines.saturating_sub(1).max(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: ScreenSize = ScreenSize { columns: 80, lines: 24 };

    fn live() -> LiveLines {
        LiveLines { drawn: RefCell::default(), columns: Cell::new(SIZE.columns), wraps_anew: true }
    }

    fn drawn(live: &LiveLines, lines: &[&str]) -> String {
        drawn_at(live, SIZE, lines)
    }

    fn drawn_at(live: &LiveLines, size: ScreenSize, lines: &[&str]) -> String {
        let mut out = Vec::new();
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        live.draw(lines, size, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// A part of the wider lines stayed above the new ones for ever.
    #[test]
    fn lines_that_a_narrower_screen_wrapped_are_written_over_as_a_whole() {
        let narrow = ScreenSize { columns: 5, lines: 24 };
        let live = live();
        drawn(&live, &["twelve-chars", "fives", "sixsix", ""]);
        // Rows: 3, 1, 2 and 1.
        assert_eq!(
            drawn_at(&live, narrow, &["new"]),
            format!("\r\x1b[6A\x1b[2K{}\x1b[6Anew\x1b[K\x1b[J", "\x1b[B\x1b[2K".repeat(6))
        );
        assert_eq!(drawn_at(&live, narrow, &["new"]), "\rnew\x1b[K\x1b[J");
        // What a wider screen has shown in one row it shows in one.
        assert_eq!(drawn(&live, &["wide again"]), "\r\x1b[2Kwide again\x1b[K\x1b[J");
        assert!(wraps_anew("xterm-256color") && wraps_anew("tmux-256color") && !wraps_anew("xterm"));
        let cuts = LiveLines { wraps_anew: false, ..live };
        drawn(&cuts, &[]);
        drawn(&cuts, &["twelve-chars"]);
        assert_eq!(drawn_at(&cuts, narrow, &["new"]), "\r\x1b[2Knew\x1b[K\x1b[J");
    }

    #[test]
    fn lines_are_written_over_in_place_and_nothing_above_them_is_erased() {
        let live = live();
        assert_eq!(drawn(&live, &[]), "");
        assert_eq!(drawn(&live, &["one", "two"]), "\rone\x1b[K\r\ntwo\x1b[K\x1b[J");
        assert_eq!(drawn(&live, &["three"]), "\r\x1b[1Athree\x1b[K\x1b[J");
        assert!(live.are_drawn());
        assert_eq!(drawn(&live, &[]), "\r\x1b[2K");
        assert!(!live.are_drawn());
    }

    /// The line stayed where it was, and said for ever what was so when Enter was pressed.
    #[test]
    fn lines_below_which_enter_was_shown_are_written_over_all_the_same() {
        let live = live();
        drawn(&live, &["one", "two"]);
        gone_down(1);
        assert_eq!(drawn(&live, &["three"]), "\r\x1b[2Athree\x1b[K\x1b[J");
        assert_eq!(drawn(&live, &["four"]), "\rfour\x1b[K\x1b[J");
        // What was typed while nothing stood there moves nothing.
        drawn(&live, &[]);
        gone_down(3);
        assert_eq!(drawn(&live, &["five"]), "\rfive\x1b[K\x1b[J");
    }

    #[test]
    fn what_is_said_stands_above_the_lines() {
        let (live, out) = (live(), RefCell::new(Vec::new()));
        drawn(&live, &["one", "two"]);
        live.above(SIZE, &mut Shared(&out), || out.borrow_mut().extend_from_slice(b"said\n"));
        let shown = String::from_utf8(out.take()).unwrap();
        assert_eq!(shown, "\r\x1b[1A\x1b[2K\x1b[B\x1b[2K\x1b[1Asaid\n\rone\x1b[K\r\ntwo\x1b[K\x1b[J");
    }

    struct Shared<'o>(&'o RefCell<Vec<u8>>);

    impl Write for Shared<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn after_others_wrote_nothing_of_theirs_is_written_over() {
        let live = live();
        drawn(&live, &["one", "two"]);
        live.forget();
        assert_eq!(drawn(&live, &["one"]), "\rone\x1b[K\x1b[J");
    }

    #[test]
    fn a_line_that_would_wrap_is_left_out() {
        let lines = ["節点".to_owned(), "abc".to_owned(), "d".to_owned(), "e".to_owned()];
        let size = ScreenSize { columns: 4, lines: 3 };
        assert_eq!(fitting(lines.to_vec(), size), ["abc", "d"]);
    }
}
