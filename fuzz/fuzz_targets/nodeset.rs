//! Node sets: no text is a panic, and folded names are expanded to themselves.

#![no_main]

use libfuzzer_sys::fuzz_target;
use orderly_plan::nodeset;
use std::collections::BTreeSet;

fuzz_target!(|text: &str| {
    let _ = nodeset::expand_with(text, &|group| (group.len() < 4).then(|| vec!["n1".to_owned(), group.to_owned()]));
    let Ok(names) = nodeset::expand(text) else { return };
    // What a set makes is no name of a node where a sign is left in it, as in `n/[1-2]`.
    if names.is_empty() || names.len() > 10_000 || names.iter().any(|name| nodeset::is_set(name)) {
        return;
    }
    let folded = nodeset::fold(names.iter().map(String::as_str));
    let back = nodeset::expand(&folded).unwrap_or_else(|fault| panic!("{folded}: {fault}"));
    assert_eq!(BTreeSet::from_iter(back), BTreeSet::from_iter(names), "{folded}");
});
