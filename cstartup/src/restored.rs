//! What `--restore` brings back: the nodes that shutdowns found up and that no run has brought up since.

use anyhow::Result;
use orderly_exec::{Status, fail};
use orderly_nodes::site::Site;
use orderly_nodes::up::WasUp;
use orderly_plan::nodeset;
use std::collections::BTreeSet;

/// The targets of `--restore`.
#[derive(Debug)]
pub(crate) struct RestoredNodes {
    pub(crate) words: Vec<String>,
    /// `-x`, without the nodes that are gone.
    pub(crate) exclude: Vec<String>,
    /// Recorded nodes that have left the inventory, and that `-x` leaves out.
    pub(crate) gone: Vec<String>,
}

impl RestoredNodes {
    /// Returns what the record says. A node that has left the inventory may have another name now, so it is left out
    /// only where that is asked for.
    ///
    /// # Errors
    /// Refused (4) where there is nothing to bring back, rejected (3) where a recorded node is gone.
    pub(crate) fn read(site: &Site, exclude: &[String]) -> Result<Self> {
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
