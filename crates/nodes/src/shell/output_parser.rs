//! What clush and pdsh say while they run, sorted by node: each node is judged as soon as its own mark
//! is there, and never by how the program ends.
//!
//! Both print `node: text`, a line at a time, of what the node printed; and of a node they could not
//! serve `clush: nodes: clause` or `pdsh@here: node: clause`. Whatever a node prints stands behind its
//! own name.
//!
//! Invariant: no node speaks for another, and no output of a command for its end
//! (`no_node_speaks_for_another_and_no_command_for_its_end`).

use super::wrapper::{self, ArrivalMark, LOST};
use orderly_exec::children::ChildOutput;
use orderly_exec::job::{Ended, Ending};
use orderly_plan::nodeset;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The most that is kept of a line; pdsh cuts them at twice as much.
const LINE: usize = 64 * 1024;

/// How much of a node's stderr is kept, and of what the program says of itself.
const WORDS: usize = 2 * 1024;

/// How the command ended on a node, in the words of a process of its own.
#[derive(Debug)]
pub(crate) struct NodeVerdict {
    pub(crate) ended: Ended,
    /// It is not known how the command ended: it was never begun, or the node was lost on the way.
    pub(crate) lost: bool,
}

/// What is heard of the nodes of one call.
#[derive(Debug)]
pub(crate) struct OutputParser {
    mark: String,
    /// The program's name, which begins the lines it says itself.
    program: String,
    places: HashMap<String, usize>,
    nodes: Vec<Heard>,
    stdout: Lines,
    stderr: Lines,
    /// What the program said of no node at all.
    words: Vec<u8>,
    keep: usize,
    began: Instant,
}

#[derive(Debug, Default)]
struct Heard {
    begun: Option<Instant>,
    status: Option<i32>,
    /// Its stderr is all there.
    has_spoken: bool,
    told: Option<ToldEnd>,
    out: Vec<u8>,
    truncated: bool,
    err: Vec<u8>,
    judged: bool,
}

/// What the program tells of a node it is done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ToldEnd {
    Exit(i32),
    Late,
}

impl OutputParser {
    /// Listens to a call for nodes that the program calls `targets`; of each one's stdout `keep` bytes
    /// are kept.
    pub(crate) fn new<'t>(
        program: &str,
        mark: String,
        targets: impl Iterator<Item = &'t str>,
        keep: usize,
    ) -> Self {
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut nodes = Vec::new();
        let mut short: HashMap<&str, Option<usize>> = HashMap::new();
        for (at, target) in targets.enumerate() {
            places.insert(target.to_owned(), at);
            nodes.push(Heard::default());
            // pdsh leaves the domain away.
            if let Some((host, _)) = target.split_once('.') {
                short.entry(host).and_modify(|place| *place = None).or_insert(Some(at));
            }
        }
        for (host, place) in short {
            if let Some(place) = place {
                places.entry(host.to_owned()).or_insert(place);
            }
        }
        let program = program.rsplit('/').next().unwrap_or(program).to_owned();
        Self {
            mark,
            program,
            places,
            nodes,
            stdout: Lines::default(),
            stderr: Lines::default(),
            words: Vec::new(),
            keep,
            began: Instant::now(),
        }
    }

    /// Takes what was said; returns the nodes of which all is known now, each with its verdict.
    pub(crate) fn hear(&mut self, said: &ChildOutput) -> Vec<(usize, NodeVerdict)> {
        let mut touched = Vec::new();
        // stdout first: a node's mark was printed before the program told of its end.
        for line in self.stdout.take(&said.stdout) {
            touched.extend(self.hear_stdout(&line));
        }
        for line in self.stderr.take(&said.stderr) {
            touched.extend(self.hear_stderr(&line));
        }
        let mut verdicts = Vec::new();
        for at in touched {
            if let Some(verdict) = self.judge(at) {
                verdicts.push((at, verdict));
            }
        }
        verdicts
    }

    /// Returns the nodes whose command began more than `limit` ago and is not heard to have ended.
    pub(crate) fn late(&mut self, limit: Duration, now: Instant) -> Vec<(usize, NodeVerdict)> {
        let is_late = |heard: &Heard| {
            !heard.judged && heard.begun.is_some_and(|begun| now.saturating_duration_since(begun) >= limit)
        };
        let late: Vec<usize> = (0..self.nodes.len()).filter(|&at| is_late(&self.nodes[at])).collect();
        late.into_iter().map(|at| (at, self.close(at, Ending::TimedOut, true))).collect()
    }

    /// Returns when the first node's time is up.
    pub(crate) fn due(&self, limit: Duration) -> Option<Instant> {
        let begun = self.nodes.iter().filter(|heard| !heard.judged).filter_map(|heard| heard.begun);
        begun.min()?.checked_add(limit)
    }

    /// Returns the verdict on every node that is left when the program is over, with its last words.
    pub(crate) fn end(&mut self, ending: Ending, words: &[u8]) -> Vec<(usize, NodeVerdict)> {
        push_last(&mut self.words, words);
        // A program that reached nobody at all does not work.
        let useless = !matches!(ending, Ending::Exited(0) | Ending::TimedOut | Ending::Unkillable)
            && self.nodes.iter().all(|heard| heard.begun.is_none() && heard.told.is_none());
        let left: Vec<usize> = (0..self.nodes.len()).filter(|&at| !self.nodes[at].judged).collect();
        left.into_iter().map(|at| (at, self.close_left(at, ending, useless))).collect()
    }

    fn close_left(&mut self, at: usize, ending: Ending, useless: bool) -> NodeVerdict {
        let heard = &mut self.nodes[at];
        // Only its last words are missing.
        if let Some(status) = heard.status {
            return self.close(at, Ending::Exited(status), false);
        }
        if heard.err.is_empty() {
            heard.err =
                if self.words.is_empty() { b"nothing was heard of it".to_vec() } else { self.words.clone() };
        }
        let ending = match ending {
            Ending::Exited(_) | Ending::Killed(_) if useless => Ending::NotStarted,
            // It broke off, or knows nothing; of the command that says nothing.
            Ending::Exited(_) | Ending::Killed(_) => Ending::Exited(LOST),
            Ending::TimedOut | Ending::Unkillable | Ending::NotStarted => ending,
        };
        self.close(at, ending, true)
    }

    fn judge(&mut self, at: usize) -> Option<NodeVerdict> {
        let heard = &self.nodes[at];
        if heard.judged {
            return None;
        }
        match (heard.status, heard.told) {
            (Some(status), told) if status == 0 || heard.has_spoken || told.is_some() => {
                Some(self.close(at, Ending::Exited(status), false))
            }
            (Some(_), _) | (None, None) => None,
            (None, Some(ToldEnd::Late)) => Some(self.close(at, Ending::TimedOut, true)),
            (None, Some(ToldEnd::Exit(code))) => {
                let begun = heard.begun.is_some();
                if begun {
                    push_last(&mut self.nodes[at].err, b"the connection was lost while the command ran\n");
                }
                // What ends otherwise than ssh does when it is lost never reached the node either.
                let code = if begun { LOST } else { code };
                Some(self.close(at, Ending::Exited(code), true))
            }
        }
    }

    fn close(&mut self, at: usize, ending: Ending, lost: bool) -> NodeVerdict {
        let heard = &mut self.nodes[at];
        heard.judged = true;
        let ended = Ended {
            ending,
            stdout: std::mem::take(&mut heard.out),
            stderr: std::mem::take(&mut heard.err),
            truncated: heard.truncated,
            took: heard.begun.unwrap_or(self.began).elapsed(),
        };
        NodeVerdict { ended, lost }
    }

    fn hear_stdout(&mut self, line: &[u8]) -> Option<usize> {
        let (at, text) = self.part(line)?;
        let mark = std::str::from_utf8(text).ok().and_then(|text| wrapper::read(&self.mark, text));
        let heard = &mut self.nodes[at];
        match mark {
            Some(ArrivalMark::Begin) => {
                heard.begun.get_or_insert_with(Instant::now);
                // What a login prints before is not the command's.
                heard.out.clear();
                heard.truncated = false;
                None
            }
            Some(ArrivalMark::End(status)) => {
                // The line end that keeps the mark apart.
                if heard.out.ends_with(b"\n\n") || heard.out == b"\n" {
                    heard.out.pop();
                }
                heard.status = Some(status);
                Some(at)
            }
            None if heard.judged || heard.status.is_some() => None,
            None => {
                if heard.out.len() + text.len() < self.keep {
                    heard.out.extend_from_slice(text);
                    heard.out.push(b'\n');
                } else {
                    heard.truncated = true;
                }
                None
            }
        }
    }

    fn hear_stderr(&mut self, line: &[u8]) -> Vec<usize> {
        if let Some((at, text)) = self.part(line) {
            let mark = std::str::from_utf8(text).ok().and_then(|text| wrapper::read(&self.mark, text));
            let heard = &mut self.nodes[at];
            match mark {
                Some(ArrivalMark::End(_)) => {
                    heard.has_spoken = true;
                    return vec![at];
                }
                Some(ArrivalMark::Begin) => {}
                None if heard.judged || heard.has_spoken => {}
                None => {
                    push_last(&mut heard.err, text);
                    heard.err.push(b'\n');
                }
            }
            return Vec::new();
        }
        push_last(&mut self.words, line);
        self.words.push(b'\n');
        self.told(&String::from_utf8_lossy(line)).unwrap_or_default()
    }

    /// Reads what the program says of nodes.
    fn told(&mut self, line: &str) -> Option<Vec<usize>> {
        let (speaker, rest) = line.split_once(": ")?;
        let speaks = speaker == self.program
            || ["clush", "pdsh"].contains(&speaker)
            || speaker.split_once('@').is_some_and(|(name, _)| name == self.program || name == "pdsh");
        if !speaks {
            return None;
        }
        let (set, clause) = rest.split_once(": ")?;
        let told = if let Some((_, code)) = clause.rsplit_once("exited with exit code ") {
            ToldEnd::Exit(code.trim().parse().ok()?)
        } else if clause.contains("timeout") {
            ToldEnd::Late
        } else if clause.contains("killed by signal") {
            ToldEnd::Exit(LOST)
        } else {
            return None;
        };
        let names = nodeset::expand(set).unwrap_or_else(|_| vec![set.to_owned()]);
        let places: Vec<usize> = names.iter().filter_map(|name| self.places.get(name).copied()).collect();
        for &at in &places {
            self.nodes[at].told.get_or_insert(told);
        }
        Some(places)
    }

    fn part<'l>(&self, line: &'l [u8]) -> Option<(usize, &'l [u8])> {
        let colon = line.windows(2).position(|pair| pair == b": ")?;
        let name = std::str::from_utf8(&line[..colon]).ok()?;
        Some((*self.places.get(name)?, &line[colon + 2..]))
    }
}

/// Keeps the last bytes.
fn push_last(kept: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = &bytes[bytes.len().saturating_sub(WORDS)..];
    let over = (kept.len() + bytes.len()).saturating_sub(WORDS);
    kept.drain(..over.min(kept.len()));
    kept.extend_from_slice(bytes);
}

/// Puts bytes together to lines; of a line without end only its beginning is kept.
#[derive(Debug, Default)]
struct Lines {
    open: Vec<u8>,
}

impl Lines {
    fn take(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (text, ends) = match part.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (part, false),
            };
            let room = LINE.saturating_sub(self.open.len()).min(text.len());
            self.open.extend_from_slice(&text[..room]);
            if ends {
                if self.open.last() == Some(&b'\r') {
                    self.open.pop();
                }
                lines.push(std::mem::take(&mut self.open));
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: &str = "orderly-m";

    fn hearing(targets: &[&str]) -> OutputParser {
        OutputParser::new("/usr/bin/clush", MARK.to_owned(), targets.iter().copied(), 100)
    }

    fn out(text: &str) -> ChildOutput {
        ChildOutput { stdout: text.as_bytes().to_vec(), stderr: Vec::new() }
    }

    fn err(text: &str) -> ChildOutput {
        ChildOutput { stdout: Vec::new(), stderr: text.as_bytes().to_vec() }
    }

    /// A verdict in short: place, ending, whether lost, stdout, last words.
    fn short(verdicts: Vec<(usize, NodeVerdict)>) -> Vec<(usize, String, bool, String, String)> {
        verdicts
            .into_iter()
            .map(|(at, verdict)| {
                let ended = verdict.ended;
                (at, ended.ending.to_string(), verdict.lost, ended.text(), ended.last_words())
            })
            .collect()
    }

    fn one(
        at: usize,
        ending: &str,
        lost: bool,
        out: &str,
        words: &str,
    ) -> (usize, String, bool, String, String) {
        (at, ending.into(), lost, out.into(), words.into())
    }

    #[test]
    fn a_node_is_judged_by_its_own_mark_while_the_others_still_run() {
        let mut hearing = hearing(&["n1", "n2"]);
        let said = hearing.hear(&out(
            "n1: \nn1: motd\nn1: orderly-m begin\nn2: orderly-m begin\nn1: a\nn1: \nn1: orderly-m 0\n",
        ));
        assert_eq!(short(said), [one(0, "exit status 0", false, "a\n", "a")]);
        // In pieces, and with the last words of stderr after the mark of stdout.
        assert!(hearing.hear(&out("n2: orderly")).is_empty() && hearing.hear(&out("-m 3\n")).is_empty());
        let said = hearing.hear(&err("n2: no such thing\nn2: \nn2: orderly-m 3\n"));
        assert_eq!(short(said), [one(1, "exit status 3", false, "", "no such thing")]);
        assert!(hearing.end(Ending::Exited(0), b"").is_empty());
    }

    #[test]
    fn no_node_speaks_for_another_and_no_command_for_its_end() {
        let mut hearing = hearing(&["n1", "n2"]);
        for text in [
            "n1: orderly-m begin\nn1: n2: orderly-m 0\nn1: orderly-x 0\nn1: orderly-m\nn1: orderly-m 0 \n",
            "n1: x orderly-m 0\nn3: orderly-m 0\norderly-m 0\nn2 : orderly-m 0\nn1:orderly-m 0\n: orderly-m 0\n",
        ] {
            assert!(hearing.hear(&out(text)).is_empty(), "{text}");
        }
        let said =
            hearing.hear(&err("n1: clush: n2: exited with exit code 1\nn1: pdsh@x: n2: command timeout\n"));
        assert!(said.is_empty());
        // Nothing was heard of n2; n1 was lost on the way.
        let said = short(hearing.end(Ending::Exited(0), b""));
        assert!(said.iter().all(|(_, ending, lost, ..)| ending == "exit status 255" && *lost), "{said:?}");
    }

    #[test]
    fn what_the_programs_tell_of_a_node_they_could_not_serve_is_understood() {
        for line in
            ["clush: n1: exited with exit code 255\n", "pdsh@here: n1: ssh exited with exit code 255\n"]
        {
            let mut hearing = hearing(&["n1", "n2"]);
            hearing.hear(&err("n1: ssh: connect to host n1 port 22: Connection refused\r\n"));
            let words = "ssh: connect to host n1 port 22: Connection refused";
            assert_eq!(short(hearing.hear(&err(line))), [one(0, "exit status 255", true, "", words)]);
        }
        let mut hearing = hearing(&["n1", "n2", "n3"]);
        hearing.hear(&out("n1: orderly-m begin\n"));
        let said = hearing.hear(&err("pdsh@here: n1: ssh killed by signal 15\n"));
        let words = "the connection was lost while the command ran";
        assert_eq!(short(said), [one(0, "exit status 255", true, "", words)]);
        let said =
            hearing.hear(&err("pdsh@here: n2: command timeout\nclush: n3: exited with exit code 127\n"));
        assert_eq!(short(said), [one(1, "timed out", true, "", ""), one(2, "exit status 127", true, "", "")]);
    }

    #[test]
    fn a_program_that_fails_as_a_whole_is_quoted_for_every_node() {
        let mut hearing = hearing(&["n1"]);
        hearing.hear(&err("clush: error: no such option: --colour\n"));
        let words = "clush: error: no such option: --colour";
        assert_eq!(short(hearing.end(Ending::Exited(2), b"")), [one(0, "not started", true, "", words)]);
    }

    #[test]
    fn garbage_is_kept_within_bounds_and_hides_nothing() {
        let mut hearing = hearing(&["n1", "n2"]);
        hearing.hear(&out("n1: orderly-m begin\n"));
        for _ in 0..100 {
            hearing.hear(&ChildOutput {
                stdout: [b"n1: ", vec![b'A'; 50_000].as_slice()].concat(),
                stderr: vec![0xff; 5_000],
            });
        }
        assert!(hearing.stdout.open.len() <= LINE && hearing.words.len() <= WORDS);
        let said = hearing.hear(&out("\nn2: \nn2: orderly-m 0\nn1: \0\x07\r\nn1: orderly-m 0\n"));
        assert_eq!(said.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1, 0]);
        assert!(said[1].1.ended.truncated);
    }

    #[test]
    fn a_domain_that_is_left_away_is_found_where_it_is_the_only_one() {
        let mut hearing = hearing(&["a.x", "b.x", "b.y", "10.0.0.1"]);
        let said =
            hearing.hear(&out("a: orderly-m 0\nb: orderly-m 0\nb.y: orderly-m 0\n10.0.0.1: orderly-m 0\n"));
        assert_eq!(said.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 2, 3]);
    }

    #[test]
    fn who_takes_too_long_after_the_beginning_is_late_and_nobody_else() {
        let mut hearing = hearing(&["n1", "n2"]);
        hearing.hear(&out("n1: orderly-m begin\n"));
        let limit = Duration::from_secs(5);
        assert!(hearing.late(limit, Instant::now()).is_empty());
        let due = hearing.due(limit).unwrap();
        assert_eq!(short(hearing.late(limit, due)), [one(0, "timed out", true, "", "")]);
        assert_eq!(hearing.due(limit), None);
        assert!(hearing.hear(&out("n1: orderly-m 0\n")).is_empty(), "it was judged");
    }
}
