//! From logical lines to groups and orders; every error, not the first one.

use super::lexer::{Kind, Lexer, Token};
use super::word::{Finder, Members};
use super::{At, Edge, Group, Sequence};
use crate::diagnostic::{Diagnostics, Source};
use crate::faults::Faults;
use crate::graph::GroupId;
use crate::inventory::Inventory;
use std::ops::Range;

/// The most orders one file states: two long lists around a `>` mean their product.
const EDGES: usize = if cfg!(test) { 5_000 } else { 5_000_000 };

/// Reads a node sequence file. Without an inventory names are not looked up; the sequence then counts
/// the names it uses itself ([`Sequence::own_names`]).
///
/// # Errors
/// Everything that is wrong, cycles included, each with its place.
pub fn parse(source: &Source<'_>, inventory: Option<&Inventory>) -> Result<Sequence, Diagnostics> {
    Parser::new(*source, Members::Nodes(inventory)).run().strictly(inventory)
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
    Parser::new(*source, Members::Commands).run().strictly(None)
}

/// Tells whether a text reads as a subsystem sequence: the first member it names is a path.
pub fn lists_subsystems(text: &str) -> bool {
    let (mut lexer, mut tokens) = (Lexer::new(text), Vec::new());
    while lexer.line(&mut tokens).is_some() {
        if let [_, colon, member, ..] = tokens.as_slice()
            && colon.kind == Kind::Colon
        {
            return text[member.range()].starts_with('/');
        }
    }
    false
}

struct Parser<'s> {
    source: Source<'s>,
    sequence: Sequence,
    /// By group: where it is first used in an order, to report it if it is never defined.
    used: Vec<Option<(u32, u32)>>,
    finder: Finder<'s>,
    wrong: Faults<'s>,
}

impl<'s> Parser<'s> {
    fn new(source: Source<'s>, members: Members<'s>) -> Self {
        let sequence =
            Sequence { file: source.name.to_owned(), text: source.text.to_owned(), ..Sequence::default() };
        Self {
            source,
            sequence,
            used: Vec::new(),
            finder: Finder::new(source, members),
            wrong: Faults::new(source),
        }
    }

    fn run(mut self) -> Self {
        let mut lexer = Lexer::new(self.source.text);
        let mut tokens = Vec::new();
        while lexer.line(&mut tokens).is_some() {
            self.line(&tokens);
        }
        self.report_undefined();
        self.sequence.own = std::mem::take(&mut self.finder.own);
        self.drop_repeated_members();
        self
    }

    fn strictly(mut self, inventory: Option<&Inventory>) -> Result<Sequence, Diagnostics> {
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

    fn line(&mut self, tokens: &[Token]) {
        let Some((first, rest)) = tokens.split_first() else { return };
        if self.has_forbidden(tokens) {
            return;
        }
        match tokens
            .iter()
            .find(|token| matches!(token.kind, Kind::Colon | Kind::Before))
            .map(|token| token.kind)
        {
            Some(Kind::Colon) => match rest.split_first() {
                Some((colon, members)) if first.kind == Kind::Word && colon.kind == Kind::Colon => {
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

    fn has_forbidden(&mut self, tokens: &[Token]) -> bool {
        let mut found = false;
        for token in tokens {
            let message = match token.kind {
                Kind::Parenthesis => "parentheses are reserved and have no meaning yet",
                Kind::Backslash => "a backslash joins lines and stands at the end of one",
                Kind::Word | Kind::Colon | Kind::Comma | Kind::Before => continue,
            };
            found = true;
            self.wrong.at(token.range(), message);
        }
        found
    }

    /// Reports what stands before the colon when it is not one name.
    fn bad_head(&mut self, tokens: &[Token]) {
        let colon = tokens.iter().position(|token| token.kind == Kind::Colon).unwrap_or(0);
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
        for token in members {
            match token.kind {
                Kind::Word => {
                    let group = &mut self.sequence.groups[id.index()];
                    self.finder.find(token.range(), &mut group.members, &mut self.wrong);
                }
                Kind::Comma => {}
                Kind::Before => {
                    self.wrong.with_hint(
                        token.range(),
                        "an order within the members of a group",
                        "write the order on a line of its own",
                    );
                    return;
                }
                Kind::Colon | Kind::Parenthesis | Kind::Backslash => {
                    self.wrong.at(token.range(), "a name cannot contain \":\"");
                    return;
                }
            }
        }
    }

    /// Reads `a, b > c > d`.
    fn order(&mut self, tokens: &[Token]) {
        let mut before: Option<Vec<(GroupId, At)>> = None;
        let sides = tokens.split(|token| token.kind == Kind::Before);
        let mut sign = 0;
        for side in sides {
            // The sign next to this side, for errors about what is missing there.
            sign += side.len();
            let near = tokens.get(sign).or(tokens.last()).map_or(0..0, |token| token.range());
            sign += 1;
            let Some(after) = self.side(side, near) else { return };
            for &(before, at) in before.iter().flatten() {
                for &(after, _) in &after {
                    if self.sequence.edges.len() >= EDGES {
                        let whole = tokens[0].range().start..near_end(tokens);
                        self.wrong.with_hint(
                            whole,
                            format!("states more than {EDGES} orders"),
                            "put a group without members between the two lists",
                        );
                        return;
                    }
                    self.sequence.edges.push(Edge { before, after, at });
                }
            }
            before = Some(after);
        }
    }

    /// Reads the groups on one side of a `>`, separated by commas.
    fn side(&mut self, tokens: &[Token], near: Range<usize>) -> Option<Vec<(GroupId, At)>> {
        let mut groups = Vec::new();
        let mut expects_name = true;
        for token in tokens {
            let clause = match (token.kind, expects_name) {
                (Kind::Word, true) => {
                    let range = token.range();
                    let id = self.group(range.clone())?;
                    self.used[id.index()].get_or_insert(token.span());
                    groups.push((id, At::offset(range.start)));
                    expects_name = false;
                    continue;
                }
                (Kind::Comma, false) => {
                    expects_name = true;
                    continue;
                }
                (Kind::Word, false) => "a comma or \">\" is missing before this group",
                (Kind::Comma, true) => "the name of a group is missing before \",\"",
                (Kind::Colon | Kind::Before | Kind::Parenthesis | Kind::Backslash, _) => {
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
        Some(groups)
    }

    /// Returns the group with this name, which may be new.
    fn group(&mut self, range: Range<usize>) -> Option<GroupId> {
        let name = &self.source.text[range.clone()];
        // Words are cut at the documented characters already; only odd ones are left to look for.
        let is_odd = |byte: u8| !byte.is_ascii_graphic() || byte == b',';
        if name.bytes().any(is_odd)
            && let Some(fault) = crate::name::fault(name)
        {
            self.wrong.at(range, fault);
            return None;
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
            self.wrong.unknown(range, format!("no group named \"{name}\""), name, names);
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

fn near_end(tokens: &[Token]) -> usize {
    tokens.last().map_or(0, |token| token.range().end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{Format, read};
    use crate::name::Roster;
    use crate::sequence::Spelling;
    use proptest::prelude::*;

    fn inventory() -> Inventory {
        let nodes: Vec<String> = (1..=80)
            .map(|n| {
                let group = if n > 70 { ",\"groups\":[\"storage\"]" } else { "" };
                format!("{{\"name\":\"n{n:02}\",\"number\":{n}{group}}}")
            })
            .collect();
        let text = format!("{{\"nodes\":[{},{{\"name\":\"65-80\"}}]}}", nodes.join(","));
        read(&Source { name: "i.json", text: &text }, Format::Json).map_err(|d| d.to_string()).unwrap()
    }

    fn members(sequence: &Sequence, roster: &dyn Roster, group: &str) -> String {
        let id = sequence.group_by_name(group).unwrap();
        sequence.words(id, roster, Spelling::Folded).join(" ")
    }

    fn wrong(text: &str) -> String {
        parse(&Source { name: "seq", text }, Some(&inventory())).unwrap_err().to_string()
    }

    #[test]
    fn the_documented_example_is_read() {
        let text = "# comment (also after text)\n\
            servers: n01 n02,n03          # members\n\
            clients: n[04-62] 63-64\n\
            clients: n65\n\
            io: @storage\n\
            exact: 65-80\n\
            batch: n70 \\\n   n66\n\
            servers > clients > batch\n\
            servers, io > batch\n";
        let inventory = inventory();
        let sequence =
            parse(&Source { name: "seq", text }, Some(&inventory)).map_err(|d| d.to_string()).unwrap();
        let check = |group, expected| assert_eq!(members(&sequence, &inventory, group), expected);
        check("servers", "n[01-03]");
        check("clients", "n[04-65]");
        check("io", "n[71-80]");
        check("exact", "65-80");
        check("batch", "n[66,70]");
        assert_eq!(sequence.edges().len(), 4);
        let order = sequence.order(&inventory).unwrap();
        assert_eq!(order.waves().len(), 3);
    }

    #[test]
    fn all_errors_come_at_once_with_place_and_remedy() {
        let said = wrong(
            "a: n01 n0l n[99-98]\nb: n[78-82] 200 @stroage\na > c\na b > a\n> a\na >\n(a) > b\nd e: n01\n\
             : n02\njust words\na: n01 > b\na > b: n02\nf: n02\nn02 > a\na > , b\n",
        );
        for part in [
            "seq:1:8: no node named \"n0l\"",
            "did you mean \"n01\"?",
            "seq:1:14: the range 99-98 is upside down",
            "seq:2:4: no nodes named n[81-82]",
            "seq:2:13: no node has the number 200",
            "seq:2:17: no node group named \"stroage\"",
            "did you mean \"storage\"?",
            "seq:3:5: no group named \"c\"",
            "seq:4:3: a comma or \">\" is missing before this group",
            "seq:5:1: the name of a group is missing here",
            "seq:6:3: the name of a group is missing here",
            "seq:7:1: parentheses are reserved",
            "seq:7:3: parentheses are reserved",
            "seq:8:1: a group has one name",
            "seq:9:1: the name of the group is missing before \":\"",
            "seq:10:1: neither a group nor an order",
            "seq:11:8: an order within the members of a group",
            "seq:12:6: an order and members on one line",
            "seq:14:1: no group named \"n02\"; it is a node",
            "seq:15:5: the name of a group is missing before \",\"",
        ] {
            assert!(said.contains(part), "{part}\nin\n{said}");
        }
    }

    #[test]
    fn cycles_are_shown_whole_and_the_shortest_first() {
        let said = wrong("a: n01\nb: n02\nc: n03\nx: n04\ny: n05\na > b\nb > c > a\nx > y\ny > x\n");
        let lines: Vec<&str> = said.lines().filter(|line| line.contains("cycle:")).collect();
        assert_eq!(lines, ["seq:8:1: cycle: x > y > x", "seq:6:1: cycle: a > b > c > a"]);
        assert!(said.contains("seq:7:5: c > a"), "{said}");
    }

    #[test]
    fn a_node_before_itself_through_its_groups_is_a_cycle() {
        let said = wrong("servers: n01\nclients: n02 n01\nservers > clients\n");
        assert!(
            said.starts_with(
                "seq:3:1: cycle: n01 comes before itself: it is in servers and in clients, and servers > clients"
            ),
            "{said}"
        );
        assert!(said.contains("seq:2:14: n01 is in clients"), "{said}");
    }

    #[test]
    fn without_an_inventory_names_are_counted_and_sets_still_overlap() {
        let check = |text: &str| parse(&Source { name: "seq", text }, None);
        let sequence = check("a: n[1-3] 7-9 @io\nb: x\na > b\n").unwrap();
        assert_eq!(members(&sequence, sequence.own_names(), "a"), "[7-9] n[1-3] @io");
        assert!(
            check("a: n[1-3]\nb: n2\na > b\n").unwrap_err().to_string().contains("n2 comes before itself")
        );
        assert!(check("a: 7-9\nb: 8\na > b\n").is_err());
    }

    /// Found by fuzzing: written plainly, the node `5-06` was read back as the nodes 5 and 6.
    #[test]
    fn a_name_that_looks_like_numbers_is_read_back_without_an_inventory() {
        let sequence = parse(&Source { name: "s", text: "a: 5[-06] 7-8 [09]-x\n" }, None).unwrap();
        for spelling in [Spelling::Names, Spelling::Folded] {
            let written = sequence.to_text(sequence.own_names(), spelling);
            let again = parse(&Source { name: "s", text: &written }, None).unwrap();
            let mut names: Vec<&str> = again.own_names().iter().collect();
            names.sort_unstable();
            assert_eq!(names, ["09-x", "5-06", "7", "8"], "{written}");
        }
    }

    #[test]
    fn subsystems_are_full_paths() {
        let text = "a: /usr/bin/one, /opt/two\nb: three\na > b\n";
        assert!(lists_subsystems(text) && !lists_subsystems("a: n1\n"));
        let said = parse_subsystems(&Source { name: "subsysSeq", text }).unwrap_err().to_string();
        assert_eq!(said.lines().next(), Some("subsysSeq:2:4: \"three\" is not the full path of a command"));
        let sequence = parse_subsystems(&Source { name: "subsysSeq", text: "a: /one /two" }).unwrap();
        assert_eq!(sequence.own_names().iter().collect::<Vec<_>>(), ["/one", "/two"]);
    }

    #[test]
    fn two_long_lists_around_an_order_are_an_error_and_not_the_end_of_memory() {
        let list: Vec<String> = (0..100).map(|n| format!("g{n}")).collect();
        let defined: String = list.iter().map(|name| format!("{name}:\n")).collect();
        let text = format!("{defined}{} > {}\n", list.join(","), list.join(","));
        assert!(
            parse(&Source { name: "s", text: &text }, None)
                .unwrap_err()
                .to_string()
                .contains("states more than")
        );
        let many = "g: n[1-3999]\n".repeat(6);
        let said = parse(&Source { name: "s", text: &many }, None).unwrap_err().to_string();
        assert!(said.contains("more than 20000 memberships"), "{said}");
    }

    #[test]
    fn nodes_that_are_gone_can_be_forgiven() {
        let source = Source { name: "s", text: "a: n01 gone\nb: n[79-82]\na > b\n" };
        let (sequence, gone) = parse_leniently(&source, &inventory()).unwrap();
        assert_eq!(gone.0.len(), 2);
        assert_eq!(members(&sequence, &inventory(), "b"), "n[79-80]");
        assert!(parse_leniently(&Source { name: "s", text: "a > b" }, &inventory()).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_a_sequence_or_an_error(
            text in "([a-c]: ?[a-c]{0,2}|[a-c] > [a-c]|[a:>,#\\\\ \\[\\]1@!\n()é-]{0,12}|\n){0,12}|\\PC{0,30}"
        ) {
            let source = Source { name: "s", text: &text };
            if let Ok(sequence) = parse(&source, None) {
                // What was accepted is written, read and mirrored back to itself.
                let own = sequence.own_names();
                let written = sequence.to_text(own, Spelling::Names);
                let again = parse(&Source { name: "s", text: &written }, None).map_err(|d| d.to_string()).unwrap();
                prop_assert_eq!(again.to_text(again.own_names(), Spelling::Names), written);
                let turned = super::super::reversed_text(&text);
                let twice = super::super::reversed_text(&turned);
                let back = parse(&Source { name: "s", text: &twice }, None).map_err(|d| d.to_string()).unwrap();
                prop_assert_eq!(back.edges().len(), sequence.edges().len());
                let expected = sequence.order(own).unwrap().waves();
                prop_assert_eq!(back.order(back.own_names()).unwrap().waves(), expected.clone());
                let mirrored = parse(&Source { name: "s", text: &turned }, None).unwrap().mirrored();
                prop_assert_eq!(mirrored.order(own).unwrap().waves(), expected);
            }
            let _ = parse(&source, Some(&Inventory::default()));
            let _ = parse_subsystems(&source);
        }
    }
}
