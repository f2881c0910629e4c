//! The terminal that people look at: how large it is, whether it is ours at present, and lines that are drawn anew.
//!
//! Whatever was said above the lines stays: they are written over in place, in one write, and nothing but them is ever
//! erased. The cursor stays where they end and is never hidden, so that nothing is owed to it when the program dies.

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

thread_local! {
    /// By how many lines the cursor is below where it was left: the terminal shows that Enter was pressed.
    static GONE_DOWN: Cell<usize> = const { Cell::new(0) };
}

/// Takes note that the terminal itself moved the cursor down so many lines.
pub(crate) fn gone_down(lines: usize) {
    GONE_DOWN.set(GONE_DOWN.get() + lines);
}

/// Lines at the end of what a terminal shows.
#[derive(Debug, Default)]
pub(crate) struct LiveLines {
    /// Those that stand there now.
    drawn: RefCell<Vec<String>>,
}

impl LiveLines {
    /// Tells whether any stand there.
    pub(crate) fn are_drawn(&self) -> bool {
        !self.drawn.borrow().is_empty()
    }

    /// Writes these lines over those that stand there. None may be as wide as the screen.
    pub(crate) fn draw(&self, lines: Vec<String>, to: &mut impl Write) {
        let mut text = String::new();
        self.put(&mut text, lines);
        // A terminal that is gone sees nothing.
        to.write_all(text.as_bytes()).and_then(|()| to.flush()).ok();
    }

    fn put(&self, text: &mut String, lines: Vec<String>) {
        let drawn = self.drawn.replace(Vec::new()).len();
        let gone_down = GONE_DOWN.take();
        if drawn == 0 && lines.is_empty() {
            return;
        }
        text.push('\r');
        let up = if drawn == 0 { 0 } else { drawn - 1 + gone_down };
        if up > 0 {
            text.push_str(&format!("\x1b[{up}A"));
        }
        for (at, line) in lines.iter().enumerate() {
            text.push_str(if at > 0 { "\r\n" } else { "" });
            text.push_str(line);
            text.push_str("\x1b[K");
        }
        text.push_str("\x1b[J");
        self.drawn.replace(lines);
    }

    /// Has something written above the lines that stand there.
    pub(crate) fn above<T>(&self, to: &mut impl Write, write: impl FnOnce() -> T) -> T {
        let lines = self.drawn.borrow().clone();
        self.draw(Vec::new(), to);
        let written = write();
        self.draw(lines, to);
        written
    }

    /// Leaves what stands there, and begins below the next time: others wrote to the terminal meanwhile.
    pub(crate) fn forget(&self) {
        self.drawn.replace(Vec::new());
    }
}

/// Returns those of these lines that a screen of this size has room for: none is cut.
pub(crate) fn fitting(lines: Vec<String>, size: ScreenSize) -> Vec<String> {
    let fits = |line: &String| columns::width(line) < size.columns;
    lines.into_iter().filter(fits).take(size.lines.saturating_sub(1).max(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(live: &LiveLines, lines: &[&str]) -> String {
        let mut out = Vec::new();
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        live.draw(lines, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_are_written_over_in_place_and_nothing_above_them_is_erased() {
        let live = LiveLines::default();
        assert_eq!(drawn(&live, &[]), "");
        assert_eq!(drawn(&live, &["one", "two"]), "\rone\x1b[K\r\ntwo\x1b[K\x1b[J");
        assert_eq!(drawn(&live, &["three"]), "\r\x1b[1Athree\x1b[K\x1b[J");
        assert!(live.are_drawn());
        assert_eq!(drawn(&live, &[]), "\r\x1b[J");
        assert!(!live.are_drawn());
    }

    /// The line stayed where it was, and said for ever what was so when Enter was pressed.
    #[test]
    fn lines_below_which_enter_was_shown_are_written_over_all_the_same() {
        let live = LiveLines::default();
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
        let (live, out) = (LiveLines::default(), RefCell::new(Vec::new()));
        drawn(&live, &["one", "two"]);
        live.above(&mut Shared(&out), || out.borrow_mut().extend_from_slice(b"said\n"));
        let shown = String::from_utf8(out.take()).unwrap();
        assert_eq!(shown, "\r\x1b[1A\x1b[Jsaid\n\rone\x1b[K\r\ntwo\x1b[K\x1b[J");
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
        let live = LiveLines::default();
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
