//! Short texts that state much of many nodes: rejected where they are too much, before memory is.

use super::{Format, Outside, read};
use crate::diagnostic::Source;

fn said(format: Format, text: &str) -> String {
    let read = read(&Source { name: "i", text }, format, &Outside::default());
    read.map(|inventory| inventory.len()).map_err(|wrong| wrong.to_string()).unwrap_err()
}

/// `n[1-3999999] a,b=%n` took 4.9 GB.
#[test]
fn genders_lines_of_too_many_nodes_or_attributes_are_errors() {
    let check = |text: &str, expected: &str| {
        let said = said(Format::Genders, text);
        assert_eq!(said.lines().next(), Some(expected), "{said}");
        assert_eq!(said.matches("more than").count(), 1, "{said}");
    };
    check("n[1-16000] a\nm[1-9999] a\n", "i:2:1: more than 20000 nodes: write an inventory for each cluster");
    check("n[1-16000],m[1-16000] a\n", "i:1:14: more than 20000 nodes: write an inventory for each cluster");
    let facts = "more than 100000 groups, servers and attributes of nodes in all: write an inventory for each cluster";
    check("n[1-16000] a,b=%n,c,d\nn[1-16000] e,f\nn[1-16000] g\n", &format!("i:2:1: {facts}"));
    check(&format!("n[1-16000] a={}\n", "%n".repeat(100)), &format!("i:1:1: {facts}"));
    check(&"n[1-16000]\n".repeat(9), &format!("i:7:1: {facts}"));
    check("n[1-4000] boot_server=n[1-4000]!n[1-4000]\n", &format!("i:1:11: {facts}"));
}

/// `n[1-1000] a=%n%n…` took 14,000 bytes for each of its own.
#[test]
fn a_genders_value_that_becomes_too_long_is_an_error_with_the_remedy() {
    let said = |count: usize| {
        let text = format!("m b\nn[1-10] c,a={}\n", "%n".repeat(count));
        read(&Source { name: "i", text: &text }, Format::Genders, &Outside::default())
            .map(|inventory| inventory.len())
            .map_err(|wrong| wrong.to_string())
    };
    assert_eq!(said(204), Ok(11));
    let said = said(205).unwrap_err();
    assert!(said.starts_with("i:2:11: the value of \"a\" becomes longer than 1024 bytes"), "{said}");
    assert!(said.contains("use fewer of them") && !said.contains("more than"), "{said}");
}

/// A chain of 4,000 groups with a host in each took 504 MB, and 8,000 four times that.
#[test]
fn what_ansible_groups_state_of_all_their_hosts_is_counted() {
    let chain = |size: usize, variables: &str| {
        let group = |at: usize| {
            format!(
                r#""g{at}": {{"hosts": ["n{at}"], "children": ["g{}"], "vars": {{{variables}}}}}"#,
                at + 1
            )
        };
        format!("{{{}}}", (0..size).map(group).collect::<Vec<_>>().join(",\n"))
    };
    let facts = "more than 100000 groups, servers and attributes of nodes in all: write an inventory for each cluster";
    let source = chain(400, "");
    assert!(read(&Source { name: "i", text: &source }, Format::Ansible, &Outside::default()).is_ok());
    for text in [
        chain(500, ""),
        chain(300, r#""a": 1, "b": 2"#),
        chain(100, &format!(r#""a": "{}""#, "x".repeat(2000))),
    ] {
        let said = said(Format::Ansible, &text);
        assert!(said.lines().next().unwrap().ends_with(facts), "{said}");
    }
}
