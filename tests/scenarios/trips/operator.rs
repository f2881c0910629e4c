//! An operator who knows nothing but what the programs print: `--status`, and what a refusal tells to type.
//! Neither `--fence` nor `--peer-down` is ever typed: both hosts live.

use super::oracle::Objection;
use super::world::World;
use bed::Ended;
use std::collections::BTreeMap;

/// How many lines are typed before it counts as a dead end.
const PATIENCE: usize = 24;

/// How often one line is typed: a run that was interrupted is first taken back, and then begun anew.
const AGAIN: usize = 3;

/// One program of a line, and where it runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Call {
    pub(super) host: usize,
    pub(super) name: String,
    pub(super) args: Vec<String>,
}

/// What somebody types: programs of which each reads what the one before it prints.
pub(super) type Line = Vec<Call>;

/// Options that a program was told to be given on a host, for its next run.
type Told = BTreeMap<(usize, String), Vec<String>>;

/// Leads the asset to a host, or at least to one of them.
pub(super) fn lead(world: &mut World<'_>, goal: usize) -> Result<(), Objection> {
    let mut typed: BTreeMap<Line, usize> = BTreeMap::new();
    let mut shown = Vec::new();
    let mut last: Vec<Line> = Vec::new();
    let mut told = Told::new();
    for _ in 0..PATIENCE {
        let look = world.look(goal);
        if look.holds && look.whole {
            return Ok(());
        }
        let mut lines = std::mem::take(&mut last);
        for host in [goal, 3 - goal] {
            lines.extend(lines_in(&next(world, host)?, host));
        }
        let rank = |line: &&Line| {
            let times = typed.get(*line).copied().unwrap_or_default();
            (times, line.last().is_some_and(|call| call.host != goal && call.name == "ha-takeover"))
        };
        let best = lines.iter().filter(|line| typed.get(*line).is_none_or(|times| *times < AGAIN));
        let Some(line) = best.min_by_key(rank).cloned() else { break };
        *typed.entry(line.clone()).or_default() += 1;
        shown.push(format!("{line:?}"));
        last = type_in(world, &line, &mut told)?;
    }
    world.oracle.stuck(&shown)
}

/// Returns what `--status` proposes.
fn next(world: &mut World<'_>, host: usize) -> Result<String, Objection> {
    let ended = world.prepare(host, "ha-release", &["--status", "--json"], None).run();
    let line = ended.stdout.lines().last().unwrap_or_default();
    let status: serde_json::Value = serde_json::from_str(line)
        .map_err(|error| Objection::Untrue(format!("--status on ec{host}: {error}: {}", ended.stderr)))?;
    let next = status["next"].as_str().unwrap_or_default().to_owned();
    world.note(format!("ec{host} next: {next}"));
    Ok(next)
}

/// Types a line with what was told before, and returns what the complaints of its programs tell to type, the last
/// one's first.
fn type_in(world: &mut World<'_>, line: &Line, told: &mut Told) -> Result<Vec<Line>, Objection> {
    let mut passed: Option<String> = None;
    let mut lines = Vec::new();
    for call in line {
        let (mut args, stdin) = arguments(world, call, passed.take());
        let carried = told.entry((call.host, call.name.clone())).or_default();
        args.splice(0..0, carried.drain(..));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let ended = world.run(call.host, &call.name, &args, stdin.as_deref())?;
        if ended.status != 0 {
            lines.splice(0..0, lines_in(&ended.stderr, call.host));
            carried.extend(options_in(&ended, &call.name));
            // The line itself, with them.
            lines.extend((!carried.is_empty()).then(|| line.clone()));
            stop_what_runs(world, call.host, &ended);
        }
        passed = Some(ended.stdout);
    }
    Ok(lines)
}

/// Returns the arguments and what is read; `--record` alone is that of the other host.
fn arguments(world: &World<'_>, call: &Call, passed: Option<String>) -> (Vec<String>, Option<String>) {
    let mut args = call.args.clone();
    let Some(at) = args.iter().position(|arg| arg == "--record") else { return (args, passed) };
    let told = args.get(at + 1).cloned();
    if told.as_deref() == Some("-") {
        return (args, Some(passed.unwrap_or_default()));
    }
    args.truncate(at + 1);
    args.push("-".to_owned());
    let path = world.pair.state(3 - call.host).join("release.json");
    (args, Some(std::fs::read_to_string(path).unwrap_or_default()))
}

/// "service NAME runs here" is stopped, as it is told to.
fn stop_what_runs(world: &mut World<'_>, host: usize, ended: &Ended) {
    for name in ["proxy", "ec"] {
        let runs = format!("service {name} runs here");
        if ended.stderr.lines().any(|line| line.contains(&runs)) && !world.look(host).holds {
            world.note(format!("ec{host} stops {name}"));
            world.pair.shell(host, &format!("svc {name} stop")).run();
            world.pair.forget();
        }
    }
}

/// Returns the options that a complaint names alone.
fn options_in(ended: &Ended, name: &str) -> Vec<String> {
    let options: &[&str] =
        if name == "ha-release" { &["--no-backup", "--new-plan"] } else { &["--skip restore", "--new-plan"] };
    let named = options.iter().filter(|words| ended.stderr.contains(**words));
    named.flat_map(|words| words.split(' ')).map(str::to_owned).collect()
}

/// Returns the lines that a text tells to type on a host.
pub(super) fn lines_in(text: &str, host: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut at = 0;
    while at < words.len() {
        let Some((line, end)) = line_at(&words, at, host) else {
            at += 1;
            continue;
        };
        let is_forbidden =
            line.iter().any(|call| call.args.iter().any(|arg| arg == "--fence" || arg == "--peer-down"));
        if !is_forbidden && !lines.contains(&line) {
            lines.push(line);
        }
        at = end;
    }
    lines
}

/// Reads the line that begins at a word, if one does, and returns where it ends.
fn line_at(words: &[&str], mut at: usize, host: usize) -> Option<(Line, usize)> {
    let mut line = Vec::new();
    loop {
        let (call, end, goes_on) = call_at(words, at, host)?;
        line.push(call);
        at = end;
        if !goes_on || words.get(at) != Some(&"|") {
            return Some((line, at));
        }
        at += 1;
    }
}

/// Reads a program with its options, and tells whether the sentence goes on with it.
fn call_at(words: &[&str], mut at: usize, own: usize) -> Option<(Call, usize, bool)> {
    let mut host = own;
    if *words.get(at)? == "ssh" {
        host = host_of(words.get(at + 1)?)?;
        at += 2;
    }
    let (name, mut goes_on) = cut(words.get(at)?);
    if name != "ha-release" && name != "ha-takeover" {
        return None;
    }
    at += 1;
    let mut args: Vec<String> = Vec::new();
    while goes_on && at < words.len() {
        let (word, more) = cut(words[at]);
        let takes_value =
            args.last().is_some_and(|last| ["--record", "--after", "--skip"].contains(&last.as_str()));
        if takes_value && word == "on" {
            // "ha-takeover --record on ec2, with FILE".
            host = host_of(cut(words.get(at + 1)?).0)?;
            at += 2;
            break;
        }
        if !(takes_value || word.starts_with("--")) {
            break;
        }
        args.push(word.to_owned());
        (goes_on, at) = (more, at + 1);
    }
    Some((Call { host, name: name.to_owned(), args }, at, goes_on))
}

/// Cuts what ends a clause off a word, and tells whether the clause goes on.
fn cut(word: &str) -> (&str, bool) {
    let bare = word.trim_start_matches('(').trim_end_matches([',', ';', ':', ')', '.']);
    (bare, word.trim_start_matches('(') == bare)
}

fn host_of(word: &str) -> Option<usize> {
    match cut(word).0 {
        "ec1" => Some(1),
        "ec2" => Some(2),
        _ => None,
    }
}
