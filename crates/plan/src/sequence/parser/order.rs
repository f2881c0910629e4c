//! Lines that say what comes before what: `a, b(2) > c > d`.

use super::super::groups::{At, Edge};
use super::super::lexer::{Token, TokenKind};
use super::Parser;
use crate::graph::GroupId;
use crate::threshold::Threshold;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

/// The most orders one file states: two long lists around a `>` mean their product.
const EDGES: usize = if cfg!(test) { 5_000 } else { 5_000_000 };

/// The most different thresholds of one group: each is counted on its own.
const THRESHOLDS: usize = 16;

/// How a threshold is written.
pub(super) const REMEDY: &str = "write how many are enough behind the group: \"mds(1) > clients\"";

/// Whether a number of members may be enough: in a start order only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowed {
    Yes,
    No,
}

/// A group on one side of a `>`.
#[derive(Debug, Clone, Copy)]
struct Operand {
    group: GroupId,
    threshold: Option<Threshold>,
    at: At,
}

/// A threshold and where it stands, to be compared with the size of its group.
#[derive(Debug)]
pub(super) struct StatedThreshold {
    group: GroupId,
    threshold: Threshold,
    range: Range<usize>,
}

impl Parser<'_> {
    /// Reads `a, b(2) > c > d`.
    pub(super) fn order(&mut self, tokens: &[Token]) {
        let mut before: Option<Vec<Operand>> = None;
        let sides = tokens.split(|token| token.kind == TokenKind::Before);
        let mut sign = 0;
        for side in sides {
            // The sign next to this side, for errors about what is missing there.
            sign += side.len();
            let near = tokens.get(sign).or(tokens.last()).map_or(0..0, |token| token.range());
            let leads = sign < tokens.len();
            sign += 1;
            let Some(after) = self.side(side, near, leads) else { return };
            for &Operand { group: before, threshold, at } in before.iter().flatten() {
                for &Operand { group: after, .. } in &after {
                    if self.sequence.edges.len() >= EDGES {
                        let whole = tokens[0].range().start..near_end(tokens);
                        self.wrong.with_hint(
                            whole,
                            format!("states more than {EDGES} orders"),
                            "put a group without members between the two lists",
                        );
                        return;
                    }
                    self.sequence.edges.push(Edge { before, after, threshold, at });
                }
            }
            before = Some(after);
        }
    }

    /// Reads the groups on one side of a `>`, separated by commas. Others wait for them where the side `leads`.
    fn side(&mut self, tokens: &[Token], near: Range<usize>, leads: bool) -> Option<Vec<Operand>> {
        let mut operands: Vec<Operand> = Vec::new();
        let mut expects_name = true;
        let mut rest = tokens;
        while let Some((token, after)) = rest.split_first() {
            rest = after;
            let clause = match (token.kind, expects_name) {
                (TokenKind::Word, true) => {
                    let range = token.range();
                    let group = self.group(range.clone())?;
                    self.used[group.index()].get_or_insert(token.span());
                    let at = At::offset(range.start);
                    let threshold;
                    (threshold, rest) = self.threshold(group, rest, leads)?;
                    operands.push(Operand { group, threshold, at });
                    expects_name = false;
                    continue;
                }
                (TokenKind::Comma, false) => {
                    expects_name = true;
                    continue;
                }
                (TokenKind::Word, false) => "a comma or \">\" is missing before this group",
                (TokenKind::Comma, true) => "the name of a group is missing before \",\"",
                (TokenKind::Parenthesis, _) => {
                    let message = "a parenthesis stands behind the name of a group and its number";
                    self.wrong.with_hint(token.range(), message, REMEDY);
                    return None;
                }
                (TokenKind::Colon | TokenKind::Before | TokenKind::Backslash, _) => {
                    "an order and members on one line"
                }
            };
            self.wrong.at(token.range(), clause);
            return None;
        }
        if expects_name {
            self.wrong.at(near, "the name of a group is missing here");
            return None;
        }
        Some(operands)
    }

    /// Reads `(2)` behind a group, if it stands there, and returns what comes after it.
    fn threshold<'t>(
        &mut self,
        group: GroupId,
        tokens: &'t [Token],
        leads: bool,
    ) -> Option<(Option<Threshold>, &'t [Token])> {
        let [open, more @ ..] = tokens else { return Some((None, tokens)) };
        if open.kind != TokenKind::Parenthesis {
            return Some((None, tokens));
        }
        let text = |token: &Token| &self.source.text[token.range()];
        let is_sign = |token: &Token, sign| token.kind == TokenKind::Parenthesis && text(token) == sign;
        let ([word, close, rest @ ..], true) = (more, is_sign(open, "(")) else {
            self.wrong.with_hint(open.range(), "no number in parentheses", REMEDY);
            return None;
        };
        let range = open.range().start..close.range().end;
        if word.kind != TokenKind::Word || !is_sign(close, ")") {
            self.wrong.with_hint(range, "one number stands between parentheses", REMEDY);
            return None;
        }
        let fault = match Threshold::parse(text(word)) {
            Err(fault) => fault,
            Ok(_) if !leads => "nothing waits for this group, so no number of it is enough",
            Ok(_) if self.thresholds == Allowed::No => "how many are enough is said in a start order only",
            Ok(threshold) => {
                self.stated.push(StatedThreshold { group, threshold, range });
                return Some((Some(threshold), rest));
            }
        };
        let hint = if self.thresholds == Allowed::No {
            "at shutdown all of a group are waited for: leave the parentheses out"
        } else {
            REMEDY
        };
        self.wrong.with_hint(range, fault, hint);
        Some((None, rest))
    }

    /// Reports more different thresholds of one group than can be meant, and leaves these out: each costs a look at
    /// all members.
    pub(super) fn limit_thresholds(&mut self) {
        let mut different: HashMap<GroupId, BTreeSet<Threshold>> = HashMap::new();
        for StatedThreshold { group, threshold, range } in &self.stated {
            let known = different.entry(*group).or_default();
            if known.insert(*threshold) && known.len() == THRESHOLDS + 1 {
                let message = format!("more than {THRESHOLDS} different numbers of one group");
                self.wrong.with_hint(range.clone(), message, "let several groups wait for the same number");
            }
        }
        different.retain(|_, known| known.len() > THRESHOLDS);
        for edge in self.sequence.edges.iter_mut().filter(|edge| different.contains_key(&edge.before)) {
            edge.threshold = None;
        }
    }

    /// Reports numbers that a group can never reach.
    pub(super) fn check_thresholds(&mut self) {
        for StatedThreshold { group, threshold, range } in std::mem::take(&mut self.stated) {
            let size = self.sequence.group(group).members.len();
            // A group that is not defined is reported as that.
            let is_defined = self.sequence.group(group).at != At::NOWHERE;
            if let Threshold::Count(count) = threshold {
                if count as usize > size && is_defined {
                    let name = self.sequence.group_name(group);
                    let has = if size == 1 { "1 member".to_owned() } else { format!("{size} members") };
                    self.wrong.with_hint(
                        range,
                        format!("{name} has {has}, so {count} are never up"),
                        "a percentage, as (90%), goes with the size of the group",
                    );
                }
            }
        }
    }
}

fn near_end(tokens: &[Token]) -> usize {
    tokens.last().map_or(0, |token| token.range().end)
}
