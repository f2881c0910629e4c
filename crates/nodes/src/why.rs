//! Why one node waits for another (`--why A B`), for people and programs.

use crate::site::{Site, fold};
use crate::targets;
use orderly_exec::reporter::Reporter;
use orderly_exec::{Status, fail};
use orderly_plan::drivers::NodeId;
use orderly_plan::select::{Direction, TargetKind};
use orderly_plan::sequence::{Link, LinkReason};
use serde::Serialize;

/// Answers `--why A B` from what was read; no node is asked.
///
/// Returns done (0) with a shortest chain of statements, or failed (1) where nothing makes A wait for B.
///
/// # Errors
/// Usage (2) when a word is not the name of one node.
pub fn answer(
    site: &Site,
    direction: Direction,
    (words, kind): (&[String], TargetKind),
    reporter: &mut Reporter,
) -> anyhow::Result<Status> {
    let [waits, leads] = words else { return Err(fail(Status::Usage, "--why takes two nodes")) };
    let waits = targets::one_named(site, "--why", (waits, kind))?;
    let leads = targets::one_named(site, "--why", (leads, kind))?;
    if waits == leads {
        return Err(fail(Status::Usage, "--why takes two nodes; no node waits for itself"));
    }
    let chain = site.sequence.explain(&site.order, waits, leads);
    reporter.record(&record(site, waits, leads, chain.as_deref()));
    for line in lines(site, direction, (waits, leads), chain.as_deref()) {
        reporter.answer(&line);
    }
    Ok(if chain.is_some() { Status::Done } else { Status::Failed })
}

fn lines(
    site: &Site,
    direction: Direction,
    (waits, leads): (NodeId, NodeId),
    chain: Option<&[Link]>,
) -> Vec<String> {
    let (a, b) = (site.name(waits), site.name(leads));
    let Some(chain) = chain else {
        let mut lines = vec![format!("nothing makes {a} wait for {b}")];
        if site.sequence.explain(&site.order, leads, waits).is_some() {
            lines.push(format!("it is the other way round: {b} waits for {a} (--why {b} {a})"));
        }
        return lines;
    };
    let some = chain.iter().rev().find_map(|link| link.some.as_ref());
    let mut lines = vec![match some {
        Some(some) if site.order.stands_without(waits, leads) => {
            let (set, among) = (fold(site, &some.members), site.name(some.among));
            let then = if some.among == leads { String::new() } else { format!("; {among} waits for {b}") };
            format!("{a} waits for {} of {set}, {among} among them{then}:", some.needed)
        }
        Some(_) | None => format!("{a} waits for {b}:"),
    }];
    if site.sequence.file().is_empty() {
        lines.push(format!("  {}", targets::default_order(direction)));
    }
    let stated = site.sequence.explanation(chain, &site.roster);
    lines.extend(stated.lines().map(|line| format!("  {line}")));
    lines
}

/// The answer for programs.
#[derive(Debug, Serialize)]
struct WhyRecord<'r> {
    format: &'static str,
    record: &'static str,
    waits: &'r str,
    leads: &'r str,
    /// Nothing makes it wait where this is null.
    chain: Option<Vec<LinkRecord>>,
}

/// One statement of the chain.
#[derive(Debug, Serialize)]
struct LinkRecord {
    kind: &'static str,
    says: String,
    /// How many of `of` are waited for, where not all of the group before are.
    #[serde(skip_serializing_if = "Option::is_none")]
    needed: Option<usize>,
    /// As a node set.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
}

fn record<'r>(site: &'r Site, waits: NodeId, leads: NodeId, chain: Option<&[Link]>) -> WhyRecord<'r> {
    let link = |link: &Link| LinkRecord {
        kind: match link.reason {
            LinkReason::Member { .. } => "member",
            LinkReason::Before { .. } => "order",
            LinkReason::Inventory { .. } => "inventory",
        },
        says: site.sequence.statement(link.reason, &site.roster),
        needed: link.some.as_ref().map(|some| some.needed),
        of: link.some.as_ref().map(|some| fold(site, &some.members)),
        file: link.place.as_ref().map(|place| place.file.clone()),
        line: link.place.as_ref().map(|place| place.line),
        column: link.place.as_ref().map(|place| place.column),
    };
    WhyRecord {
        format: "orderly-run/1",
        record: "why",
        waits: site.name(waits),
        leads: site.name(leads),
        chain: chain.map(|chain| chain.iter().map(link).collect()),
    }
}
