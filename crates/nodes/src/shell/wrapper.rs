//! The command line that says of itself when it begins and how it ended.
//!
//! clush and pdsh pass on what nodes print, line by line with the node's name before it, and say no
//! more of a command that succeeded than of one that was never begun. So a mark is printed before
//! the command, and one with its exit status after it; both carry a number drawn for the call, which
//! what the command itself prints cannot know.

use super::quoting::quote;
use anyhow::Context;
use orderly_exec::job::{Ended, Ending};
use std::fmt::Write;
use std::io::Read;

/// The exit status by which ssh, and programs like it, say that it was not the command that failed.
pub(super) const LOST: i32 = 255;

/// `$1` is the mark, `$2` the command. A line of its own even after output without an end; on stderr
/// as well, because the last words of a command that failed must be in before it is judged.
const PLAIN: &str = r#"printf "\n%s begin\n" "$1"; sh -c "$2"; s=$?; printf "\n%s %d\n" "$1" $s; printf "\n%s %d\n" "$1" $s >&2; exit $s"#;

/// The same, with `$3` for the command to read.
const FED: &str = r#"printf "\n%s begin\n" "$1"; printf %b "$3" | sh -c "$2"; s=$?; printf "\n%s %d\n" "$1" $s; printf "\n%s %d\n" "$1" $s >&2; exit $s"#;

/// `$1` is a boot id, `$2` the command, which is not run where the kernel says the same.
const UNLESS_SELF: &str = r#"read -r b 2>/dev/null </proc/sys/kernel/random/boot_id; if [ "$b" = "$1" ]; then echo "@words@" >&2; exit @status@; fi; exec sh -c "$2""#;

/// What a node says, and how it ends, when it is this very machine.
const SELF_WORDS: &str = "this node is the machine that the run is on: same boot id";
const SELF_STATUS: i32 = 79;

/// Returns the line that runs `command` on any node but the one that is in this boot; where none can be read
/// it runs.
pub(crate) fn unless_self(own: &str, command: &str) -> String {
    let script = UNLESS_SELF.replace("@words@", SELF_WORDS).replace("@status@", &SELF_STATUS.to_string());
    quote(&["exec", "sh", "-c", &script, "orderly", own, command].map(str::to_owned))
}

/// Tells whether a node did not run what [`unless_self`] kept from it.
pub(super) fn is_self(ended: &Ended) -> bool {
    ended.ending == Ending::Exited(SELF_STATUS) && String::from_utf8_lossy(&ended.stderr).contains(SELF_WORDS)
}

/// Returns a mark nobody can guess.
///
/// # Errors
/// When the kernel gives no random numbers.
pub(crate) fn draw_mark() -> anyhow::Result<String> {
    let mut bytes = [0u8; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .context("read /dev/urandom")?;
    let mut mark = String::from("orderly-");
    for byte in bytes {
        let _ = write!(mark, "{byte:02x}");
    }
    Ok(mark)
}

/// Returns the line that runs `command` in a shell between its marks, with `input` to read where it
/// cannot be passed in.
pub(crate) fn wrap(mark: &str, command: &str, input: Option<&[u8]>) -> String {
    let script = if input.is_some() { FED } else { PLAIN };
    let mut words: Vec<String> = ["sh", "-c", script, "orderly", mark, command].map(str::to_owned).to_vec();
    words.extend(input.map(escape));
    format!("exec {}", quote(&words))
}

/// Returns the line that runs `command` and gives it `input` to read. The input is a part of the line, so
/// that it arrives whole or not at all: a start file of the login shell may read standard input.
pub(crate) fn fed(command: &str, input: &[u8]) -> String {
    const SCRIPT: &str = r#"printf %b "$2" | sh -c "$1""#;
    let words = ["sh", "-c", SCRIPT, "orderly", command].map(str::to_owned).to_vec();
    format!("exec {}", quote(&[words, vec![escape(input)]].concat()))
}

/// Returns the line that says the mark before it runs the command. Where the login shell's start files end the login
/// first, as some do for logins without a terminal, the command never ran, whatever the exit status.
pub(crate) fn announced(mark: &str, line: &str) -> String {
    format!("echo {mark}; {line}")
}

/// Takes the mark out of what was printed; a command that was never begun is lost, and did not succeed or fail.
pub(crate) fn begun(mark: &str, mut ended: Ended) -> Ended {
    let said = format!("{mark}\n");
    let at = ended.stdout.windows(said.len()).position(|window| window == said.as_bytes());
    if let Some(at) = at {
        // What start files print is no output of the command.
        ended.stdout.drain(..at + said.len());
        return ended;
    }
    if let Ending::Exited(status) = ended.ending {
        if status != LOST {
            ended.ending = Ending::Exited(LOST);
            let words = format!(
                "the login ended with status {status} before the command began; look at the start files of the login shell\n"
            );
            ended.stderr.extend_from_slice(words.as_bytes());
        }
    }
    ended
}

/// What a line that was printed says, without the node's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ArrivalMark {
    Begin,
    End(i32),
}

/// Returns the mark a line is; none when it is any other output.
pub(crate) fn read(mark: &str, line: &str) -> Option<ArrivalMark> {
    let rest = line.strip_prefix(mark)?.strip_prefix(' ')?;
    if rest == "begin" {
        return Some(ArrivalMark::Begin);
    }
    let status: u8 = rest.parse().ok()?;
    Some(ArrivalMark::End(i32::from(status)))
}

/// Returns bytes as `printf %b` reads them; only what no shell and no terminal takes for anything else
/// stays as it is.
fn escape(input: &[u8]) -> String {
    let mut text = String::with_capacity(input.len() + input.len() / 4);
    for &byte in input {
        if byte == b' ' || (byte.is_ascii_graphic() && !b"\\'\"!%`$".contains(&byte)) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "\\0{byte:03o}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use orderly_exec::job::Job;
    use orderly_exec::runner::{Run, Runner};
    use std::time::Duration;

    fn run(shell: &str, line: &str) -> Ended {
        let _alone = crate::ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Runner::new().unwrap().run(&Job::new([shell, "-c", line], Duration::from_secs(60)))
    }

    #[test]
    fn a_command_runs_between_its_marks_and_keeps_its_status() {
        let mark = draw_mark().unwrap();
        assert!(mark.len() == 40 && mark != draw_mark().unwrap());
        for (command, out, status) in [
            ("exit 5", "", 5),
            ("echo a # b", "a\n", 0),
            ("printf 'no end'; exit 255", "no end", 255),
            ("no-such-command-here 2>/dev/null", "", 127),
            (r#"echo "$1|$0" '%s' '\n' "it's" `echo x`"#, "|sh %s \\n it's x\n", 0),
        ] {
            // dash takes escapes apart in echo; what matters is that it gets the line as it is.
            let ended = run("bash", &wrap(&mark, command, None).replace("sh -c", "bash -c"));
            let expected = format!("\n{mark} begin\n{}\n{mark} {status}\n", out.replace("|sh", "|bash"));
            assert_eq!(String::from_utf8_lossy(&ended.stdout), expected, "{command}");
            assert_eq!(String::from_utf8_lossy(&ended.stderr), format!("\n{mark} {status}\n"), "{command}");
            assert_eq!(ended.ending, Ending::Exited(status), "{command}");
        }
    }

    #[test]
    fn a_command_is_not_run_in_this_boot_and_runs_in_any_other() {
        let own = crate::boot::own_text().unwrap();
        let ended = run("bash", &unless_self(&own, "echo ran"));
        assert!(is_self(&ended) && ended.stdout.is_empty(), "{ended:?}");
        let other = run("sh", &unless_self("11111111-1111-1111-1111-111111111111", "cat; exit 79"));
        assert!(!is_self(&other) && other.ending == Ending::Exited(79), "{other:?}");
        // A node without such a file says nothing and goes on.
        let line = unless_self(&own, "echo 'it'; exit 5").replace("/proc/sys", "/nowhere");
        let ended = run("sh", &line);
        assert_eq!((ended.text().as_str(), &ended.ending), ("it\n", &Ending::Exited(5)));
        assert!(ended.stderr.is_empty(), "{ended:?}");
        let all = format!("{}{}", wrap("m", &unless_self(&own, "echo ran"), None), "");
        let ended = run("sh", &all);
        assert!(is_self(&ended) && !ended.text().contains("ran"), "{ended:?}");
    }

    /// A start file that ends logins without a terminal made every command succeed that was never run.
    #[test]
    fn a_command_that_was_never_begun_is_lost_and_neither_succeeded_nor_failed() {
        let line = announced("m", "echo out; exit 3");
        let ended = begun("m", run("sh", &format!("echo hello; {line}")));
        assert_eq!((ended.text().as_str(), ended.ending), ("out\n", Ending::Exited(3)));
        for status in [0, 1] {
            let ended = begun("m", run("sh", &format!("echo hello; exit {status}; {line}")));
            assert_eq!(ended.ending, Ending::Exited(255));
            assert!(ended.clause().contains("before the command began"), "{}", ended.clause());
        }
    }

    #[test]
    fn input_arrives_byte_for_byte_however_odd() {
        let all: Vec<u8> = (1..=255).chain(*b"%d %% \\c \\0101 'x' \"$HOME\" `id` !! \n").collect();
        for shell in ["sh", "bash"] {
            let ended = run(shell, &wrap("m", "cat", Some(&all)));
            let expected = [b"\nm begin\n", all.as_slice(), b"\nm 0\n"].concat();
            assert_eq!(ended.stdout, expected, "{shell}");
        }
        assert!(!wrap("m", "cat", Some(b"two\nlines")).contains('\n'));
    }

    #[test]
    fn only_a_whole_mark_is_one() {
        assert_eq!(read("m", "m begin"), Some(ArrivalMark::Begin));
        assert_eq!(read("m", "m 255"), Some(ArrivalMark::End(255)));
        for line in ["m", "m ", "m x", "mm 0", " m 0", "m 0 ", "m 256", "m -1", "n m 0", "M 0"] {
            assert_eq!(read("m", line), None, "{line}");
        }
    }
}
