//! Sequence texts: no text is a panic, and what is accepted is written, read and mirrored to itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use orderly_plan::diagnostic::Source;
use orderly_plan::inventory::Inventory;
use orderly_plan::sequence::{self, Spelling, from_json, parse, parse_subsystems, reversed_text};

fuzz_target!(|text: &str| {
    let source = Source { name: "s", text };
    let _ = parse(&source, Some(&Inventory::default())).map_err(|wrong| wrong.to_string());
    let _ = parse_subsystems(&source).map_err(|wrong| wrong.to_string());
    let _ = from_json(&source).map_err(|wrong| wrong.to_string());
    let _ = sequence::lists_subsystems(text);
    let Ok(read) = parse(&source, None).map_err(|wrong| wrong.to_string()) else { return };
    let own = read.own_names();
    let waves = read.order(own).expect("accepted is without cycles").waves();
    for spelling in [Spelling::Names, Spelling::Folded] {
        let written = read.to_text(own, spelling);
        let again = parse(&Source { name: "s", text: &written }, None).expect("written is readable");
        let counts = |waves: &[Vec<_>]| waves.iter().map(Vec::len).collect::<Vec<_>>();
        let order = again.order(again.own_names()).expect("written is without cycles");
        assert_eq!(counts(&order.waves()), counts(&waves), "{written}");
    }
    let turned = reversed_text(text);
    let mirrored = parse(&Source { name: "s", text: &turned }, None).expect("mirrored is readable").mirrored();
    assert_eq!(mirrored.order(own).expect("mirrored is without cycles").waves(), waves, "{turned}");
});
