//! From logical lines to groups and orders; every error, not the first one.

mod order;

use super::groups::{At, Group, Sequence, WrittenText};
use super::lexer::{self, Lexer, Token, TokenKind};
use super::word::{Finder, Members};
use crate::diagnostic::{Diagnostics, Source};
use crate::faults::Faults;
use crate::graph::GroupId;
use crate::inventory::Inventory;
use order::{Allowed, StatedThreshold};
use std::ops::Range;

/// Reads a node sequence file. Without an inventory names are not looked up; the sequence then counts
/// the names it uses itself ([`Sequence::own_names`]).
///
/// # Errors
/// Everything that is wrong, cycles included, each with its place.
pub fn parse(source: &Source<'_>, inventory: Option<&Inventory>) -> Result<Sequence, Diagnostics> {
    Parser::new(*source, Members::Nodes(inventory)).run().strictly(inventory)
}

/// Reads a node sequence file that may have cycles, for a picture of them ([`Sequence::cycling`]).
///
/// # Errors
/// Everything else that is wrong, each with its place.
pub fn parse_with_cycles(
    source: &Source<'_>,
    inventory: Option<&Inventory>,
) -> Result<Sequence, Diagnostics> {
    let mut parser = Parser::new(*source, Members::Nodes(inventory)).run();
    parser.wrong.extend(parser.finder.strange);
    parser.wrong.or(parser.sequence)
}

/// Reads a file that lists the order of shutdown, in which all of a group are waited for.
///
/// # Errors
/// Everything that is wrong, cycles and thresholds included, each with its place.
pub fn parse_shutdown(source: &Source<'_>, inventory: Option<&Inventory>) -> Result<Sequence, Diagnostics> {
    Parser { thresholds: Allowed::No, ..Parser::new(*source, Members::Nodes(inventory)) }
        .run()
        .strictly(inventory)
}

/// Reads a node sequence file of which some nodes may be gone: these are left out and returned.
///
/// # Errors
/// Everything else that is wrong, each with its place.
pub fn parse_leniently(
    source: &Source<'_>,
    inventory: &Inventory,
) -> Result<(Sequence, Diagnostics), Diagnostics> {
    let parser = Parser::new(*source, Members::Nodes(Some(inventory))).run();
    let gone = parser.finder.strange.or(()).err().unwrap_or_default();
    Ok((parser.wrong.or(parser.sequence)?, gone))
}

/// Reads a subsystem sequence file, whose members are the full paths of commands
/// ([`Sequence::own_names`]).
///
/// # Errors
/// Everything that is wrong, cycles included, each with its place.
pub fn parse_subsystems(source: &Source<'_>) -> Result<Sequence, Diagnostics> {
    Parser { thresholds: Allowed::No, ..Parser::new(*source, Members::Commands) }.run().strictly(None)
}

/// Tells whether a text reads as a subsystem sequence: the first member it names is a path.
pub fn lists_subsystems(text: &str) -> bool {
    let (mut lexer, mut tokens) = (Lexer::new(text), Vec::new());
    while lexer.line(&mut tokens).is_some() {
        if let [_, colon, member, ..] = tokens.as_slice() {
            if colon.kind == TokenKind::Colon {
                return text[member.range()].starts_with('/');
            }
        }
    }
    false
}

struct Parser<'s> {
    source: Source<'s>,
    thresholds: Allowed,
    stated: Vec<StatedThreshold>,
    sequence: Sequence,
    /// By group: where it is first used in an order, to report it if it is never defined.
    used: Vec<Option<(u32, u32)>>,
    finder: Finder<'s>,
    wrong: Faults<'s>,
}

impl<'s> Parser<'s> {
    fn new(source: Source<'s>, members: Members<'s>) -> Self {
        let sequence = Sequence {
            written: WrittenText { file: source.name.to_owned(), text: source.text.to_owned() },
            ..Sequence::default()
        };
        Self {
            source,
            thresholds: Allowed::Yes,
            stated: Vec::new(),
            sequence,
            used: Vec::new(),
            finder: Finder::new(source, members),
            wrong: Faults::new(source),
        }
    }

    fn run(mut self) -> Self {
        let mut tokens = Vec::new();
        let mut lexer = Lexer::new(self.source.text);
        while lexer.line(&mut tokens).is_some() {
            self.foresee(&tokens);
        }
        let mut lexer = Lexer::new(self.source.text);
        while lexer.line(&mut tokens).is_some() {
            self.line(&tokens);
        }
        self.report_undefined();
        self.limit_thresholds();
        self.sequence.own = std::mem::take(&mut self.finder.own);
        self.drop_repeated_members();
        self
    }

    fn strictly(mut self, inventory: Option<&Inventory>) -> Result<Sequence, Diagnostics> {
        self.check_thresholds();
        self.wrong.extend(self.finder.strange);
        let order = match inventory {
            Some(inventory) => self.sequence.order(inventory),
            None => self.sequence.order(self.sequence.own_names()),
        };
        let cycles = order.err();
        match (self.wrong.or(self.sequence), cycles) {
            (Ok(_), Some(cycles)) => Err(cycles),
            // Cycles come last, in an order of their own: the shortest first.
            (Err(mut wrong), Some(mut cycles)) => {
                wrong.0.append(&mut cycles.0);
                Err(wrong)
            }
            (result, None) => result,
        }
    }

    /// Counts what the members of a line stand for before a name is made of any: a short file can mean millions.
    fn foresee(&mut self, tokens: &[Token]) {
        let [name, colon, members @ ..] = tokens else { return };
        if (name.kind, colon.kind) != (TokenKind::Word, TokenKind::Colon) {
            return;
        }
        let (mut expressions, mut over) = (lexer::Expressions::default(), 0);
        for token in members.iter().filter(|token| token.kind == TokenKind::Word) {
            let start = token.range().start;
            if start >= over {
                over = expressions.end(self.source.text, start);
                self.finder.foresee(start..over, &mut self.wrong);
            }
        }
    }

    fn line(&mut self, tokens: &[Token]) {
        let Some((first, rest)) = tokens.split_first() else { return };
        let sign = tokens
            .iter()
            .find(|token| matches!(token.kind, TokenKind::Colon | TokenKind::Before))
            .map(|token| token.kind);
        if self.has_forbidden(tokens, sign == Some(TokenKind::Before)) {
            // The group is there and has its other members: nobody is to be told that it has not.
            if let [name, colon, members @ ..] = tokens {
                if (name.kind, colon.kind) == (TokenKind::Word, TokenKind::Colon) {
                    self.definition(*name, &clear_of_forbidden(members));
                }
            }
            return;
        }
        match sign {
            Some(TokenKind::Colon) => match rest.split_first() {
                Some((colon, members)) if first.kind == TokenKind::Word && colon.kind == TokenKind::Colon => {
                    self.definition(*first, members);
                }
                _ => self.bad_head(tokens),
            },
            Some(_) => self.order(tokens),
            None => {
                let end = tokens.last().map_or(0, |token| token.range().end);
                self.wrong.with_hint(
                    first.range().start..end,
                    "neither a group nor an order",
                    "write \"group: members\" or \"group > group\"",
                );
            }
        }
    }

    fn has_forbidden(&mut self, tokens: &[Token], is_order: bool) -> bool {
        let mut found = false;
        for token in tokens {
            if is_order && token.kind == TokenKind::Parenthesis {
                continue;
            }
            let Some(message) = forbidden(token.kind) else { continue };
            found = true;
            if token.kind == TokenKind::Parenthesis {
                self.wrong.with_hint(token.range(), message, order::REMEDY);
            } else {
                self.wrong.at(token.range(), message);
            }
        }
        found
    }

    /// Reports what stands before the colon when it is not one name.
    fn bad_head(&mut self, tokens: &[Token]) {
        let colon = tokens.iter().position(|token| token.kind == TokenKind::Colon).unwrap_or(0);
        if colon == 0 {
            self.wrong.at(tokens[0].range(), "the name of the group is missing before \":\"");
        } else {
            let head = tokens[0].range().start..tokens[colon - 1].range().end;
            self.wrong.with_hint(
                head,
                "a group has one name",
                "names cannot contain blanks or commas; write one group a line",
            );
        }
    }

    fn definition(&mut self, name: Token, members: &[Token]) {
        let Some(id) = self.group(name.range()) else { return };
        let group = &mut self.sequence.groups[id.index()];
        if group.at == At::NOWHERE {
            group.at = At::offset(name.range().start);
        }
        let (mut at, mut expressions) = (0, lexer::Expressions::default());
        while let Some(token) = members.get(at) {
            at += 1;
            match token.kind {
                TokenKind::Word => {
                    let group = &mut self.sequence.groups[id.index()];
                    let start = token.range().start;
                    let end = expressions.end(self.source.text, start);
                    at += members[at..].iter().take_while(|token| token.range().start < end).count();
                    self.finder.find(start..end, &mut group.members, &mut self.wrong);
                }
                TokenKind::Comma => {}
                TokenKind::Before => {
                    self.wrong.with_hint(
                        token.range(),
                        "an order within the members of a group",
                        "write the order on a line of its own",
                    );
                    return;
                }
                TokenKind::Colon | TokenKind::Parenthesis | TokenKind::Backslash => {
                    self.wrong.at(token.range(), "a name cannot contain \":\"");
                    return;
                }
            }
        }
    }

    /// Returns the group with this name, which may be new.
    fn group(&mut self, range: Range<usize>) -> Option<GroupId> {
        let name = &self.source.text[range.clone()];
        // Words are cut at the documented characters already; only odd ones are left to look for.
        let is_odd = |byte: u8| !byte.is_ascii_graphic() || byte == b',';
        if name.bytes().any(is_odd) {
            if let Some(fault) = crate::name::fault(name) {
                self.wrong.at(range, fault);
                return None;
            }
        }
        let id = GroupId(self.sequence.names.intern(name)?);
        if id.index() == self.sequence.groups.len() {
            self.sequence.groups.push(Group::default());
            self.used.push(None);
        }
        Some(id)
    }

    fn report_undefined(&mut self) {
        for id in self.sequence.group_ids() {
            if self.sequence.group(id).at != At::NOWHERE {
                continue;
            }
            let Some((start, end)) = self.used[id.index()] else { continue };
            let (range, name) = (start as usize..end as usize, self.sequence.group_name(id));
            if self.finder.is_node(name) {
                self.wrong.with_hint(
                    range,
                    format!("no group named \"{name}\"; it is a node"),
                    format!("define a group of it: \"{name}: {name}\""),
                );
                continue;
            }
            let defined = self.sequence.group_ids().filter(|id| self.sequence.group(*id).at != At::NOWHERE);
            let names = defined.map(|id| self.sequence.group_name(id));
            self.wrong.unknown(range, format!("no group named \"{name}\""), name, names, String::new);
        }
    }

    fn drop_repeated_members(&mut self) {
        let most =
            self.sequence.groups.iter().flat_map(|group| &group.members).map(|member| member.node.index());
        let mut last_in = vec![u32::MAX; most.max().map_or(0, |most| most + 1)];
        for (group, id) in self.sequence.groups.iter_mut().zip(0u32..) {
            group.members.retain(|member| std::mem::replace(&mut last_in[member.node.index()], id) != id);
            group.members.shrink_to_fit();
        }
    }
}

/// Returns why a token does not stand among names.
fn forbidden(kind: TokenKind) -> Option<&'static str> {
    match kind {
        TokenKind::Parenthesis => Some("names cannot contain parentheses"),
        TokenKind::Backslash => Some("a backslash joins lines and stands at the end of one"),
        TokenKind::Word | TokenKind::Colon | TokenKind::Comma | TokenKind::Before => None,
    }
}

/// Returns the tokens that are not forbidden, without those that touch one: these are parts of what was
/// meant.
fn clear_of_forbidden(tokens: &[Token]) -> Vec<Token> {
    let parts = |pair: &[Token]| {
        let one_is = pair.iter().any(|token| forbidden(token.kind).is_some());
        one_is && pair[0].range().end == pair[1].range().start
    };
    let is_clear = |at: usize| {
        forbidden(tokens[at].kind).is_none()
            && !(at > 0 && parts(&tokens[at - 1..=at]))
            && !tokens.get(at..at + 2).is_some_and(parts)
    };
    (0..tokens.len()).filter(|at| is_clear(*at)).map(|at| tokens[at]).collect()
}

#[cfg(test)]
mod tests;
