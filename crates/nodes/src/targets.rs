//! From the words of a command line to the nodes it acts on, and from violations to what people can
//! do about them. The decisions are `plan::select`'s; here are files, statuses and sentences.

mod describe;

use crate::identity;
use crate::places;
use crate::site::{Site, fold};
pub(crate) use describe::default_order;
pub use describe::{TargetCommand, describe, sentences};
use orderly_exec::{Status, fail, files};
use orderly_plan::drivers::NodeId;
use orderly_plan::select::{self, AskedTargets, Field, TargetKind, TargetWord};
use std::path::Path;

/// The target part of a command line, as typed.
#[derive(Debug, Clone, Default)]
pub struct Typed {
    pub words: Vec<String>,
    /// `-N`.
    pub numbers: bool,
    /// `-g`.
    pub groups: bool,
    /// `-R`: the one word is a file of targets.
    pub file: bool,
    /// `-x`.
    pub exclude: Vec<String>,
    /// `-G`.
    pub across_partitions: bool,
    /// The current partition by `SP_NAME`, or by a flag.
    pub partition: Option<String>,
}

/// What a command acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Targets {
    /// Sorted, never empty, no units.
    pub nodes: Vec<NodeId>,
    /// The current partition; `None` is all of them.
    pub partition: Option<String>,
}

impl Typed {
    /// Returns the targets.
    ///
    /// # Errors
    /// Usage (2) for wrong words of the command line and when they leave nothing, rejected (3) for a
    /// file's, refused (4) when they lie outside the current partition or depend on what does.
    pub fn resolve(&self, site: &Site) -> anyhow::Result<Targets> {
        let partition = if self.across_partitions { None } else { self.current_partition(site)? };
        let field = field(site, partition.as_deref());
        let asked = AskedTargets {
            kind: kind(self.numbers, self.groups),
            words: self.words()?,
            exclude: self.exclude.iter().map(TargetWord::typed).collect(),
        };
        let nodes = select::targets(field, &asked).map_err(|wrong| {
            let typed = wrong.0.iter().all(|diagnostic| diagnostic.place.is_none());
            fail(if typed { Status::Usage } else { Status::Rejected }, wrong)
        })?;
        if nodes.is_empty() {
            let named = self.words.join(" ");
            return Err(match (self.exclude.is_empty(), self.file) {
                (false, _) => fail(Status::Usage, format!("-x leaves nothing of \"{named}\"")),
                (true, true) => {
                    fail(Status::Rejected, format!("{named} names no node; empty never means ALL"))
                }
                (true, false) => {
                    fail(Status::Usage, format!("\"{named}\" names no node; empty never means ALL"))
                }
            });
        }
        let targets = Targets { nodes, partition };
        targets.check_partition(site)?;
        places::check(site, &targets.nodes)?;
        identity::check(site, &targets.nodes, &identity::unresolved())?;
        Ok(targets)
    }

    fn words(&self) -> anyhow::Result<Vec<TargetWord>> {
        if !self.file {
            return Ok(self.words.iter().map(TargetWord::typed).collect());
        }
        let [file] = self.words.as_slice() else {
            return Err(fail(Status::Usage, "with -R give one file of targets (- is standard input)"));
        };
        let text = files::read(Path::new(file))?;
        Ok(select::words(file, &text))
    }

    fn current_partition(&self, site: &Site) -> anyhow::Result<Option<String>> {
        let known = select::partitions(&site.inventory);
        let typed = self.partition.as_ref().filter(|name| !name.is_empty());
        let named = typed.or(site.cluster.partition.as_ref());
        match named {
            Some(name) if known.contains(name.as_str()) => Ok(Some(name.clone())),
            // Without partitions in the inventory there is only the whole of it.
            Some(_) | None if known.is_empty() => Ok(None),
            Some(name) => {
                let known: Vec<&str> = known.into_iter().collect();
                // A flag wins over the environment, and is only told from it by what it says.
                let by_environment = std::env::var("SP_NAME").is_ok_and(|set| set == *name);
                let from = match typed {
                    Some(_) if by_environment => "SP_NAME",
                    Some(_) => "--partition",
                    None => &site.cluster.file,
                };
                Err(fail(
                    Status::Rejected,
                    format!(
                        "{from}: the inventory has no partition \"{name}\" (it has {})",
                        known.join(", ")
                    ),
                ))
            }
            None if known.len() == 1 => Ok(known.first().map(|&name| name.to_owned())),
            None => Err(fail(
                Status::Refused,
                format!(
                    "the current partition is not known: set SP_NAME, or partition in {}, or cross \
                     partitions with -G",
                    site.cluster.file
                ),
            )),
        }
    }
}

impl Targets {
    /// Adds nodes to them; of these only those in the current partition, where they are enough.
    pub fn extend_within(&mut self, site: &Site, nodes: Vec<NodeId>, are_enough: impl Fn(&[NodeId]) -> bool) {
        let field = field(site, self.partition.as_deref());
        let with = |nodes: &mut dyn Iterator<Item = NodeId>| {
            let mut all: Vec<NodeId> = self.nodes.iter().copied().chain(nodes).collect();
            all.sort_unstable();
            all
        };
        let inside = with(&mut nodes.iter().copied().filter(|node| field.is_inside(*node)));
        self.nodes = if are_enough(&inside) { inside } else { with(&mut nodes.into_iter()) };
    }

    /// Refuses targets outside the current partition, or that depend on nodes outside.
    ///
    /// # Errors
    /// Refused (4), naming them.
    pub fn check_partition(&self, site: &Site) -> anyhow::Result<()> {
        let outside = select::outside(field(site, self.partition.as_deref()), &site.order, &self.nodes);
        if outside.is_empty() {
            return Ok(());
        }
        let partition = self.partition.as_deref().unwrap_or_default();
        let mut lines = vec![format!("nothing is done outside partition {partition} without -G")];
        if !outside.targets.is_empty() {
            lines.push(format!("outside it: {}", fold(site, &outside.targets)));
        }
        if !outside.leading.is_empty() {
            lines.push(format!("targets wait for nodes outside it: {}", fold(site, &outside.leading)));
        }
        Err(fail(Status::Refused, lines.join("\n")))
    }
}

fn field<'s>(site: &'s Site, partition: Option<&'s str>) -> Field<'s> {
    Field { inventory: &site.inventory, nodes: site.inventory.len(), partition }
}

/// Returns what words are by `-N` and `-g`.
pub(crate) fn kind(numbers: bool, groups: bool) -> TargetKind {
    match (numbers, groups) {
        (true, _) => TargetKind::Numbers,
        (_, true) => TargetKind::Groups,
        _ => TargetKind::Names,
    }
}

/// Returns the one node or unit that a word of this kind names.
///
/// # Errors
/// Usage (2), for a flag, when it names none or several.
pub(crate) fn one_named(site: &Site, flag: &str, (word, kind): (&str, TargetKind)) -> anyhow::Result<NodeId> {
    if kind == TargetKind::Names {
        if let Some(unit) = site.roster.unit(word) {
            return Ok(unit);
        }
    }
    let words = vec![TargetWord::typed(word)];
    let asked = AskedTargets { kind, words, exclude: Vec::new() };
    let named = select::targets(field(site, None), &asked)
        .map_err(|wrong| fail(Status::Usage, format!("{flag}: {wrong}")))?;
    match named.as_slice() {
        [node] => Ok(*node),
        nodes => {
            Err(fail(Status::Usage, format!("{flag}: \"{word}\" names {} nodes; name one", nodes.len())))
        }
    }
}

/// Reads the number of `--confirm`.
///
/// # Errors
/// What to write.
pub fn read_count(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "write how many targets there are, as in --confirm 16".to_owned())
}
