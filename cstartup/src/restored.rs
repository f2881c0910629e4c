//! What `--restore` brings back: the nodes that shutdowns found up and that no run has brought up since.

use crate::args::StartupArgs;
use anyhow::Result;
use orderly_exec::reporter::Reporter;
use orderly_exec::{Status, fail};
use orderly_nodes::site::Site;
use orderly_nodes::targets::{Targets, Typed};
use orderly_nodes::up::WasUp;
use orderly_plan::{duration, nodeset};
use std::collections::BTreeSet;

/// What is to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WantedNodes {
    pub(crate) targets: Targets,
    /// Recorded nodes that have left the inventory, and that `-x` leaves out.
    pub(crate) gone: Vec<String>,
}

impl WantedNodes {
    /// Returns the nodes as they are typed, or as the record says by now.
    ///
    /// # Errors
    /// As [`Typed::resolve`], and as [`RestoredNodes::read`].
    pub(crate) fn read(args: &StartupArgs, site: &Site) -> Result<Self> {
        if !args.restore {
            let targets = args.flags.typed(args.targets.clone()).resolve(site)?;
            return Ok(Self { targets, gone: Vec::new() });
        }
        let RestoredNodes { words, exclude, gone } = RestoredNodes::read(site, &args.flags.exclude)?;
        let typed = Typed { exclude, ..args.flags.typed(words) };
        Ok(Self { targets: typed.resolve(site)?, gone })
    }

    /// Says what is brought back, and which record says so.
    ///
    /// # Errors
    /// When the record cannot be read any more.
    pub(crate) fn say(&self, site: &Site, reporter: &Reporter) -> Result<()> {
        let Some(record) = WasUp::read(site.cluster.is_simulated())? else { return Ok(()) };
        let ago = duration::show(record.age());
        let nodes = nodeset::fold(record.nodes.iter().map(String::as_str));
        let what = "bringing back what was up before the shutdown of";
        reporter.say(format!("{what} {} ({ago} ago): {nodes}", record.time));
        if !self.gone.is_empty() {
            let gone = nodeset::fold(self.gone.iter().map(String::as_str));
            let left_out = "no longer in the inventory, so left out, and taken out of the record";
            reporter.say(format!("{gone}: {left_out}"));
        }
        Ok(())
    }
}

/// Tells whether nothing is left to bring back.
///
/// # Errors
/// When the record cannot be read.
pub(crate) fn is_nothing_left(site: &Site) -> Result<bool> {
    Ok(WasUp::read(site.cluster.is_simulated())?.is_none_or(|record| record.nodes.is_empty()))
}

/// The targets of `--restore`.
#[derive(Debug)]
struct RestoredNodes {
    words: Vec<String>,
    /// `-x`, without the nodes that are gone.
    exclude: Vec<String>,
    /// Recorded nodes that have left the inventory, and that `-x` leaves out.
    gone: Vec<String>,
}

impl RestoredNodes {
    /// Returns what the record says. A node that has left the inventory may have another name now, so it is left out
    /// only where that is asked for.
    ///
    /// # Errors
    /// Refused (4) where there is nothing to bring back, rejected (3) where a recorded node is gone.
    fn read(site: &Site, exclude: &[String]) -> Result<Self> {
        let Some(record) = WasUp::read(site.cluster.is_simulated())? else {
            let why = "no cshutdown has recorded here what was up; name the targets";
            return Err(fail(Status::Refused, why));
        };
        if record.nodes.is_empty() {
            let why = format!(
                "all that was up before the shutdown of {} was brought up since, so nothing is left to bring back",
                record.time
            );
            return Err(fail(Status::Refused, why));
        }
        let gone: BTreeSet<String> =
            record.nodes.iter().filter(|name| site.inventory.by_name(name).is_none()).cloned().collect();
        let mut left_out = BTreeSet::new();
        let mut rest = Vec::new();
        for word in exclude {
            // What is no plain node set cannot name a node that is gone.
            let Ok(names) = nodeset::expand(word) else {
                rest.push(word.clone());
                continue;
            };
            let (own, others): (Vec<String>, Vec<String>) =
                names.into_iter().partition(|name| gone.contains(name));
            match own.is_empty() {
                true => rest.push(word.clone()),
                false => rest.extend(others),
            }
            left_out.extend(own);
        }
        let missing: Vec<&str> = gone.difference(&left_out).map(String::as_str).collect();
        if !missing.is_empty() {
            let names = nodeset::fold(missing.iter().copied());
            let why = format!(
                "{names}: up before the last shutdown, and no longer in the inventory; to bring back the others and \
                 forget {names}: cstartup --restore -x {names}"
            );
            return Err(fail(Status::Rejected, why));
        }
        Ok(Self {
            words: record.nodes.into_iter().filter(|name| !left_out.contains(name)).collect(),
            exclude: rest,
            gone: left_out.into_iter().collect(),
        })
    }
}
