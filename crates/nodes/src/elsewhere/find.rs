//! Which runs go on, and which of them is meant.

use crate::claims::{self, RunFacts};
use orderly_exec::{OrStatus, Status, fail};
use orderly_plan::nodeset;

/// Returns the runs that go on, of both programs.
///
/// # Errors
/// Refused (4) where they cannot be seen: not that there is none.
pub(super) fn all() -> anyhow::Result<Vec<RunFacts>> {
    claims::check_seen().or_status(Status::Refused)?;
    Ok(claims::seen())
}

/// Returns the one run that is meant: the only one, or that of this process or these targets.
///
/// # Errors
/// Refused (4) where none goes on, or several do; usage (2) for words that are neither.
pub(super) fn one(flag: &str, words: &[String]) -> anyhow::Result<RunFacts> {
    let all = all()?;
    if all.is_empty() {
        return Err(none(flag));
    }
    let mut meant: Vec<&RunFacts> = Vec::new();
    for word in words {
        let named = named(flag, &all, word)?;
        meant.extend(
            named
                .into_iter()
                .filter(|run| !meant.iter().any(|one| one.number == run.number))
                .collect::<Vec<_>>(),
        );
    }
    if words.is_empty() {
        meant = all.iter().collect();
    }
    match meant[..] {
        [one] => Ok(one.clone()),
        [] => Err(fail(
            Status::Refused,
            format!(
                "{flag}: no run is process {words} or has such targets\n{list}",
                words = words.join(" "),
                list = list(&all)
            ),
        )),
        _ => {
            let several = format!(
                "{flag}: several runs go on; say whose targets or which process, as in {flag} PROCESS"
            );
            let list: Vec<String> = meant.iter().map(|run| run.describe()).collect();
            Err(fail(Status::Refused, format!("{several}\n{}", list.join("\n"))))
        }
    }
}

/// Says that no run goes on.
pub(super) fn none(flag: &str) -> anyhow::Error {
    fail(Status::Refused, format!("{flag}: no run of cstartup or cshutdown goes on here"))
}

/// Returns runs as they are listed to people.
pub(super) fn list(runs: &[RunFacts]) -> String {
    runs.iter().map(RunFacts::describe).collect::<Vec<_>>().join("\n")
}

/// Returns the runs that a word names: by their process, or by nodes that they act on.
fn named<'r>(flag: &str, all: &'r [RunFacts], word: &str) -> anyhow::Result<Vec<&'r RunFacts>> {
    let by_process: Vec<&RunFacts> = all.iter().filter(|run| run.pid.to_string() == word).collect();
    if !by_process.is_empty() {
        return Ok(by_process);
    }
    if word == "ALL" {
        return Ok(all.iter().collect());
    }
    let names = names(flag, word)?;
    Ok(all.iter().filter(|run| names.iter().any(|name| acts_on(run, name))).collect())
}

/// Returns the names of a node set of the command line.
pub(super) fn names(flag: &str, word: &str) -> anyhow::Result<Vec<String>> {
    nodeset::expand(word).map_err(|fault| fail(Status::Usage, format!("{flag} {word}: {fault}")))
}

/// Tells whether a run acts on a node or unit.
pub(super) fn acts_on(run: &RunFacts, name: &str) -> bool {
    run.claim.targets.contains(name) || run.claim.units.contains(name)
}
