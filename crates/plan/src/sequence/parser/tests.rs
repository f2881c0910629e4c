//! Tests of the parser: what is read, and every error with its place.

use super::*;
use crate::inventory::{Format, Outside, read};
use crate::name::Roster;
use crate::sequence::{SequenceDocument, Spelling, from_json};
use proptest::prelude::*;

fn inventory() -> Inventory {
    let nodes: Vec<String> = (1..=80)
        .map(|n| {
            let group = if n > 70 { ",\"groups\":[\"storage\"]" } else { "" };
            format!("{{\"name\":\"n{n:02}\",\"number\":{n}{group}}}")
        })
        .collect();
    let text = format!("{{\"nodes\":[{},{{\"name\":\"65\"}}]}}", nodes.join(","));
    read(&Source { name: "i.json", text: &text }, Format::Json, &Outside::default())
        .map_err(|d| d.to_string())
        .unwrap()
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
        exact: 65\n\
        batch: n70 \\\n   n66\n\
        servers > clients > batch\n\
        servers, io > batch\n";
    let inventory = inventory();
    let sequence = parse(&Source { name: "seq", text }, Some(&inventory)).map_err(|d| d.to_string()).unwrap();
    let check = |group, expected| assert_eq!(members(&sequence, &inventory, group), expected);
    check("servers", "n[01-03]");
    check("clients", "n[04-65]");
    check("io", "n[71-80]");
    check("exact", "65");
    check("batch", "n[66,70]");
    assert_eq!(sequence.edges().len(), 4);
    let order = sequence.order(&inventory).unwrap();
    assert_eq!(order.waves().len(), 3);
}

/// In a file a comma cut an expression in two: `n[01-03],n05!n01` kept n01, and on a command line it did not.
#[test]
fn an_expression_means_the_same_in_a_file_and_on_a_command_line() {
    let inventory = inventory();
    for word in ["n[01-03],n05!n01", "n[01-04]&n[02-05],n01", "n01,n02^n[02-03]", "@storage!n71,n01"] {
        let text = format!("a: n80 {word} n79,\nb: n01\n");
        let sequence = parse(&Source { name: "s", text: &text }, Some(&inventory)).unwrap();
        let group = |name: &str| {
            inventory.group(name).map(|ids| ids.iter().map(|id| inventory.name(*id).to_owned()).collect())
        };
        let mut typed = crate::nodeset::expand_with(word, &group).unwrap();
        typed.extend(["n79".to_owned(), "n80".to_owned()]);
        let typed = crate::nodeset::fold(typed.iter().map(String::as_str));
        assert_eq!(members(&sequence, &inventory, "a"), typed, "{word}");
        assert!(parse(&Source { name: "s", text: &text }, None).is_ok(), "{word}");
    }
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
        "seq:7:1: a parenthesis stands behind the name of a group and its number",
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
fn a_threshold_that_cannot_hold_is_an_error_with_its_place() {
    let said = wrong(
        "a: n01 n02\nb: n03\na(3) > b\na(0) > b\na(101%) > b\na(x) > b\na() > b\na(1 > b\na(1)(1) > b\n\
         a > b(1)\na)1( > b\na(1, 2) > b\na(1) b > b\nc: n04(1)\nd(1) > b\na(01) > b\n",
    );
    for part in [
        "seq:3:2: a has 2 members, so 3 are never up",
        "seq:4:2: a threshold of 0 makes nothing wait",
        "seq:5:2: more than 100%",
        "seq:6:2: a threshold is a number of nodes, a percentage or \"ended\"",
        "seq:7:2: no number in parentheses",
        "seq:8:2: no number in parentheses",
        "seq:9:5: a parenthesis stands behind the name",
        "seq:10:6: nothing waits for this group, so no number of it is enough",
        "seq:11:2: no number in parentheses",
        "seq:12:2: one number stands between parentheses",
        "seq:13:6: a comma or \">\" is missing before this group",
        "seq:14:7: names cannot contain parentheses",
        "seq:15:1: no group named \"d\"",
    ] {
        assert!(said.contains(part), "{part}\nin\n{said}");
    }
    assert!(!said.contains("seq:16"), "{said}");
}

#[test]
fn how_many_are_enough_is_said_in_a_start_order_only() {
    let text = "a: n01 n02\nb: n03\na(1), b(ended) > b\n";
    let source = Source { name: "cshutSeq", text };
    let said = parse_shutdown(&source, Some(&inventory())).unwrap_err().to_string();
    for place in ["3:2", "3:8"] {
        let part = format!("cshutSeq:{place}: how many are enough is said in a start order only");
        assert!(said.contains(&part), "{said}");
    }
    assert!(said.contains("all of a group are waited for"), "{said}");
    let commands = Source { name: "subsysSeq", text: "a: /one /two\nb: /three\na(1) > b\n" };
    assert!(parse_subsystems(&commands).unwrap_err().to_string().contains("subsysSeq:3:2: how many"));
}

#[test]
fn more_different_thresholds_than_can_be_meant_are_refused() {
    let mut text = "a: n[1-40]\nb: m\n".to_owned();
    (1..=40).for_each(|count| text.push_str(&format!("a({count}) > b\n")));
    let said = parse(&Source { name: "seq", text: &text }, None).unwrap_err().to_string();
    assert!(said.contains("seq:19:2: more than 16 different numbers of one group"), "{said}");
    assert_eq!(said.matches("seq:").count(), 1, "{said}");
}

/// The line with the parenthesis was left out whole: its group was then said not to be there, and
/// what else was wrong in it came to light only when the parenthesis was gone.
#[test]
fn a_line_with_a_forbidden_character_still_defines_its_group() {
    let said = wrong("a: n01\nb: n02 7000 m(x)(y, a\\b n99\na > b\n");
    assert!(!said.contains("no group named"), "{said}");
    assert!(said.contains("seq:2:8: no node has the number 7000"), "{said}");
    assert!(said.contains("no node named \"n99\""), "{said}");
    let places = ["2:14", "2:16", "2:17", "2:22"];
    assert!(places.iter().all(|place| said.contains(&format!("seq:{place}: "))), "{said}");
    assert_eq!(said.matches("seq:").count(), 6, "{said}");
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
    assert!(check("a: n[1-3]\nb: n2\na > b\n").unwrap_err().to_string().contains("n2 comes before itself"));
    assert!(check("a: 7-9\nb: 8\na > b\n").is_err());
}

/// `001`, a name that is not in the inventory, was taken for node number 1: another node.
#[test]
fn digits_with_zeros_in_front_are_a_name_and_no_node_number() {
    let text = r#"{"nodes": [{"name": "a", "number": 1}, {"name": "002", "number": 3}, {"name": "b", "number": 2}]}"#;
    let inventory = read(&Source { name: "i", text }, Format::Json, &Outside::default()).unwrap();
    let check = |text: &str| {
        let sequence = parse(&Source { name: "s", text }, Some(&inventory));
        sequence.map(|sequence| members(&sequence, &inventory, "g")).map_err(|wrong| wrong.to_string())
    };
    assert_eq!(check("g: 1 002\n").as_deref(), Ok("002 a"));
    assert_eq!(check("g: 1-2\n").as_deref(), Ok("a b"));
    for (word, said) in [
        ("001", "s:1:4: no node named \"001\""),
        ("[001-002]", "s:1:4: no node named 001"),
        ("01-02", "s:1:4: node numbers have no zeros in front; write 1-2"),
        ("+1,b", "s:1:4: no node named \"+1\""),
    ] {
        let wrong = check(&format!("g: {word}\n")).unwrap_err();
        assert!(wrong.contains(said), "{word}: {wrong}");
    }
    for server in ["001", "+1"] {
        let text = format!(
            r#"{{"nodes": [{{"name": "a", "number": 1}}, {{"name": "b", "boot_server": "{server}"}}]}}"#
        );
        let wrong = read(&Source { name: "i", text: &text }, Format::Json, &Outside::default()).unwrap_err();
        assert!(wrong.to_string().contains(&format!("no node named \"{server}\"")), "{wrong}");
    }
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

/// Found by the fuzz target `sequence`: only a plain name was looked at, and a set was taken with what it hides.
#[test]
fn a_control_character_in_a_set_is_an_error_without_an_inventory_too() {
    for word in ["n[1]\u{1}x", "@a\u{1}", "n[1-2]\u{200b}", "1-3,\u{202e}n1!n2"] {
        let text = format!("g: {word}\n");
        let said = parse(&Source { name: "seq", text: &text }, None).map(|_| ()).unwrap_err().to_string();
        assert!(said.contains("a name cannot contain \"\\u{"), "{said}");
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
        parse(&Source { name: "s", text: &text }, None).unwrap_err().to_string().contains("states more than")
    );
}

/// Sixty lines of four million names each took more than a minute, of which all but five were forgotten again; where
/// `!` took all away there was no limit.
#[test]
fn names_of_one_file_are_counted_before_any_are_taken_away() {
    for line in ["g: n[1-3999]\n", "g: n[1-2000]!n[1-2000]\n", "g: 1-3999\n"] {
        let text = line.repeat(60);
        let source = Source { name: "s", text: &text };
        for said in [parse(&source, None), parse(&source, Some(&inventory()))] {
            let said = said.unwrap_err().to_string();
            let fault = "the members of one file stand for more than 20000 names";
            assert_eq!(said.matches(fault).count(), 1, "{said}");
        }
    }
    // Two and a half kilobytes that were 4 GiB of names: found by the fuzzer.
    let text = format!("g: {}\n", format!("n[2-3]{}", "o".repeat(300)).repeat(10));
    let said = parse(&Source { name: "s", text: &text }, None).unwrap_err().to_string();
    assert!(said.contains("stand for more than 20000 names"), "{said}");
    let text = "g: @storage!@storage\n".repeat(2_100);
    let said = parse(&Source { name: "s", text: &text }, Some(&inventory())).unwrap_err().to_string();
    assert_eq!(
        said.lines().next(),
        Some("s:910:4: the members of one file stand for more than 20000 names"),
        "{said}"
    );
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
        text in "([a-c]: ?[a-c]{0,2}|[a-c] > [a-c]|[a-c]\\([12]%?\\) > [a-c]|[a:>,#\\\\ \\[\\]1@!\n()é-]{0,12}|\n){0,12}|\\PC{0,30}"
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
            let document = SequenceDocument::new(&sequence, &sequence.order(own).unwrap(), own, Spelling::Names);
            let json = serde_json::to_string(&document).unwrap();
            prop_assert_eq!(from_json(&Source { name: "j", text: &json }).unwrap(), sequence.to_text(own, Spelling::Names));
            // How many are enough holds forwards only.
            let expected = sequence.clone().mirrored().mirrored().order(own).unwrap().waves();
            prop_assert_eq!(back.order(back.own_names()).unwrap().waves(), expected.clone());
            let mirrored = parse(&Source { name: "s", text: &turned }, None).unwrap().mirrored();
            prop_assert_eq!(mirrored.order(own).unwrap().waves(), expected);
        }
        let _ = parse(&source, Some(&Inventory::default()));
        let _ = parse_subsystems(&source);
    }
}
