//! Sequences, inventories and node sets: what is accepted means the same when it is written and read again.

use orderly_plan::diagnostic::Source;
use orderly_plan::inventory::{self, Format, Inventory, Outside};
use orderly_plan::nodeset;
use orderly_plan::select::{self, AskedTargets, Field, TargetKind};
use orderly_plan::sequence::{
    self, Form, Process, Sequence, Spelling, from_json, parse, parse_subsystems, reversed_text,
};
use std::collections::BTreeSet;

/// More names say nothing new and take their time: with ten thousand, `sequence` came to 250 inputs a second.
const MANY: usize = 1_000;

pub(crate) fn sequence(text: &str) {
    let source = Source { name: "s", text };
    let _ = parse(&source, Some(&Inventory::default())).map_err(|wrong| wrong.to_string());
    let Ok(read) = parse(&source, None).map_err(|wrong| wrong.to_string()) else { return };
    let own = read.own_names();
    if own.len() > MANY {
        return;
    }
    let waves = read.order(own).expect("accepted is without cycles").waves();
    for spelling in [Spelling::Names, Spelling::Folded] {
        let written = read.to_text(own, spelling);
        let again = parse(&Source { name: "s", text: &written }, None).expect("written is readable");
        let counts = |waves: &[Vec<_>]| waves.iter().map(Vec::len).collect::<Vec<_>>();
        let order = again.order(again.own_names()).expect("written is without cycles");
        assert_eq!(counts(&order.waves()), counts(&waves), "{written}");
    }
    // How many are enough holds forwards only.
    let whole = read.clone().mirrored().mirrored().order(own).expect("no cycle without thresholds").waves();
    let turned = reversed_text(text);
    let mirrored =
        parse(&Source { name: "s", text: &turned }, None).expect("mirrored is readable").mirrored();
    assert_eq!(mirrored.order(own).expect("mirrored is without cycles").waves(), whole, "{turned}");
}

pub(crate) fn subsystems(text: &str) {
    let _ = sequence::lists_subsystems(text);
    let Ok(read) = parse_subsystems(&Source { name: "s", text }).map_err(|wrong| wrong.to_string()) else {
        return;
    };
    let written = read.to_text(read.own_names(), Spelling::Names);
    parse_subsystems(&Source { name: "s", text: &written }).expect("written is readable");
}

pub(crate) fn sequence_json(text: &str) {
    if let Ok(written) = from_json(&Source { name: "s", text }).map_err(|wrong| wrong.to_string()) {
        let _ = parse(&Source { name: "s", text: &written }, None).map_err(|wrong| wrong.to_string());
    }
}

pub(crate) fn node_set(text: &str) {
    let _ = nodeset::expand_with(text, &|group| {
        (group.len() < 4).then(|| vec!["n1".to_owned(), group.to_owned()])
    });
    let _ = nodeset::dashed(text);
    let Ok(names) = nodeset::expand(text) else { return };
    // What a set makes is no name of a node where a sign is left in it, as in `n/[1-2]`.
    if names.is_empty() || names.len() > MANY || names.iter().any(|name| nodeset::is_set(name)) {
        return;
    }
    let folded = nodeset::fold(names.iter().map(String::as_str));
    let back = nodeset::expand(&folded).unwrap_or_else(|fault| panic!("{folded}: {fault}"));
    assert_eq!(BTreeSet::from_iter(back), BTreeSet::from_iter(names), "{folded}");
}

pub(crate) fn targets(text: &str) {
    let json = r#"{"format": "orderly-inventory/1", "nodes": [{"name": "n1", "number": 1, "groups": ["io"]}, {"name": "n2"}]}"#;
    let known = inventory::read(&Source { name: "i", text: json }, Format::Json, &Outside::default())
        .expect("it is an inventory");
    let field = Field { inventory: &known, nodes: known.len(), partition: None };
    for kind in [TargetKind::Names, TargetKind::Numbers, TargetKind::Groups] {
        let words = select::words("w", text);
        let _ = select::targets(field, &AskedTargets { kind, exclude: words.clone(), words })
            .map_err(|wrong| wrong.to_string());
    }
}

pub(crate) fn inventory(text: &str, format: Format) {
    let source = Source { name: "i", text };
    let Ok(inventory) =
        inventory::read(&source, format, &Outside::default()).map_err(|wrong| wrong.to_string())
    else {
        return;
    };
    let _: Vec<String> = inventory.warnings().iter().map(ToString::to_string).collect();
    if inventory.len() > MANY {
        return;
    }
    let written = inventory.to_json();
    let again = inventory::read(&Source { name: "i", text: &written }, Format::Json, &Outside::default())
        .unwrap_or_else(|wrong| panic!("{wrong}\n{written}"));
    assert_eq!(again.nodes(), inventory.nodes(), "{written}");
    for form in [Form::Each, Form::Compact] {
        let sequence = Sequence::from_inventory(&inventory, &["boot_server"], Process::Startup, form)
            .expect("an inventory has no cycles of servers")
            .listing_all(&inventory);
        let waves = sequence.order(&inventory).expect("no cycles").waves();
        for spelling in [Spelling::Names, Spelling::Folded] {
            let written = sequence.to_text(&inventory, spelling);
            let again = parse(&Source { name: "s", text: &written }, Some(&inventory));
            let again = again.unwrap_or_else(|wrong| panic!("{wrong}\n{written}"));
            assert_eq!(again.order(&inventory).expect("no cycles").waves(), waves, "{written}");
            let drift = sequence::drift(&again, &sequence, &inventory);
            assert!(drift.unlisted.is_empty() && drift.contradictions.is_empty(), "{drift:?}");
        }
    }
}
