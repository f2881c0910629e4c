//! What stands in a row of the picture: a node, or, where there are many, a group of them.

use super::{Bar, Row, Stage, Timeline};
use crate::name;
use crate::outcome::Fate;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// More rows than these cannot be taken in; nodes are folded by group then.
pub(super) const ROWS: usize = 60;

/// Into how many pieces time is cut where nodes are counted.
const PIECES: usize = 240;

/// Nodes of a group, counted: how many of them are in which stage when.
#[derive(Debug)]
pub(super) struct Folded<'t> {
    pub(super) name: String,
    pub(super) rows: Vec<&'t Row>,
}

/// How many nodes of a group are at something, piece by piece of the time.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) stages: BTreeMap<Stage, Vec<u32>>,
    pub(super) well: Vec<u32>,
    pub(super) held: Vec<u32>,
    pub(super) bad: Vec<u32>,
}

impl Timeline {
    /// Returns how long all of it took; at least a millisecond, so that something can be divided by it.
    pub(super) fn total(&self) -> Duration {
        let ended = self.rows.iter().filter_map(Row::ended).max().unwrap_or_default();
        ended.max(Duration::from_millis(1))
    }

    /// Returns the nodes in the order in which they began, those that never did last.
    pub(super) fn in_order(&self) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        rows.sort_by_cached_key(|row| {
            (row.began().is_none(), row.began(), row.ended(), name::in_natural_order(&row.name))
        });
        rows
    }

    /// Returns the nodes by group, in the order in which groups began; `group` names that of a node. Of more groups than
    /// can be shown those that ended first are one row.
    pub(super) fn folded(&self, group: &dyn Fn(&str) -> Option<String>) -> Vec<Folded<'_>> {
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut folded: Vec<Folded<'_>> = Vec::new();
        for row in self.in_order() {
            let name = match group(&row.name) {
                Some(name) => name,
                // It is no node, and a row of its own.
                None if row.is_program() => row.name.clone(),
                None => "in no group".to_owned(),
            };
            let at = *places.entry(name.clone()).or_insert_with(|| {
                folded.push(Folded { name, rows: Vec::new() });
                folded.len() - 1
            });
            folded[at].rows.push(row);
        }
        if folded.len() <= ROWS {
            return folded;
        }
        let ended = |one: &Folded<'_>| one.rows.iter().filter_map(|row| row.ended()).max();
        let mut by_end: Vec<usize> = (0..folded.len()).collect();
        by_end.sort_by_key(|&at| std::cmp::Reverse(ended(&folded[at])));
        let mut is_kept = vec![false; folded.len()];
        by_end.iter().take(ROWS - 1).for_each(|&at| is_kept[at] = true);
        let (mut kept, mut others, mut count) = (Vec::new(), Vec::new(), 0);
        for (one, keeps) in folded.into_iter().zip(is_kept) {
            if keeps {
                kept.push(one);
            } else {
                others.extend(one.rows);
                count += 1;
            }
        }
        kept.push(Folded { name: format!("{count} groups that ended earlier"), rows: others });
        kept
    }
}

impl Folded<'_> {
    /// Counts its nodes; linear in their bars and in the pieces.
    pub(super) fn counted(&self, total: Duration) -> Counted {
        let mut steps: BTreeMap<Stage, Vec<i64>> = BTreeMap::new();
        let [mut well, mut held, mut bad] = [const { [0i64; PIECES + 1] }; 3];
        let piece = |at: Duration| {
            let share = at.as_secs_f64() / total.as_secs_f64();
            ((share * PIECES as f64).floor() as usize).min(PIECES)
        };
        for row in &self.rows {
            for &Bar { stage, from, to } in &row.bars {
                let steps = steps.entry(stage).or_insert_with(|| vec![0i64; PIECES + 1]);
                let from = piece(from).min(PIECES - 1);
                steps[from] += 1;
                steps[piece(to).max(from + 1)] -= 1;
            }
            if let Some(end) = &row.end {
                let ended = match end.fate {
                    Fate::Well => &mut well,
                    Fate::Held => &mut held,
                    Fate::Bad => &mut bad,
                };
                ended[piece(end.at).min(PIECES - 1)] += 1;
            }
        }
        let stages = steps.into_iter().map(|(stage, steps)| (stage, summed(&steps))).collect();
        Counted { stages, well: summed(&well), held: summed(&held), bad: summed(&bad) }
    }
}

/// Returns how many there are in each piece, from how many more there are than in the one before.
fn summed(steps: &[i64]) -> Vec<u32> {
    let mut sum = 0i64;
    steps[..PIECES]
        .iter()
        .map(|step| {
            sum += step;
            u32::try_from(sum.max(0)).unwrap_or(u32::MAX)
        })
        .collect()
}
