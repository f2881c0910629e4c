//! Inventories in every format: no text is a panic, and the sequence of what is accepted is readable.

#![no_main]

use libfuzzer_sys::fuzz_target;
use orderly_plan::diagnostic::Source;
use orderly_plan::inventory::{Format, Outside, read};
use orderly_plan::sequence::{Form, Process, Sequence, Spelling, parse};

fuzz_target!(|text: &str| {
    let source = Source { name: "i", text };
    for format in [Format::Json, Format::Genders, Format::Ansible, Format::Warewulf, Format::Xcat] {
        let Ok(inventory) = read(&source, format, &Outside::default()).map_err(|wrong| wrong.to_string()) else { continue };
        for form in [Form::Each, Form::Compact] {
            let sequence = Sequence::from_inventory(&inventory, &["boot_server"], Process::Startup, form)
                .expect("an inventory has no cycles of servers");
            let waves = sequence.order(&inventory).expect("no cycles").waves();
            for spelling in [Spelling::Names, Spelling::Folded] {
                let written = sequence.to_text(&inventory, spelling);
                let again = parse(&Source { name: "s", text: &written }, Some(&inventory));
                let again = again.unwrap_or_else(|wrong| panic!("{wrong}\n{written}"));
                assert_eq!(again.order(&inventory).expect("no cycles").waves(), waves, "{written}");
            }
        }
    }
});
