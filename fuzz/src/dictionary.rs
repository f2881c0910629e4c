//! Words for the fuzzer: it would hardly ever hit upon a whole key of a JSON document by itself.
//!
//! They are taken from the seeds of a format, with the keys that its reader knows and no seed has.

use crate::Format;
use std::collections::BTreeSet;
use std::fmt::Write;

/// What JSON gives a meaning, and values at the edge of what is read.
const SYNTAX: &[&str] = &[
    "{}",
    "[]",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"\"",
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1e309",
    "4294967295",
    "4294967296",
    "18446744073709551616",
    "\\u0000",
    "\\ud800",
    "\\\"",
];

/// Keys and values that no seed has, by format.
const FURTHER: &[(&str, &[&str])] = &[
    (
        "json",
        &[
            "power_with",
            "bmc",
            "system",
            "gateway",
            "ALL",
            "@io",
            "n[1-3]",
            "n1!n2",
            "root@[fe80::1%eth0]:22",
        ],
    ),
    (
        "ansible",
        &["hosts", "children", "vars", "_meta", "hostvars", "ungrouped", "partition", "groups", "power_with"],
    ),
    (
        "warewulf",
        &["nodes", "nodeprofiles", "tags", "netdevs", "primary network", "Source: explicit\\nValue: n1\\n"],
    ),
    ("sequence-json", &["nodes", "waves", "n[01-03]", "n1!n2", "001", "a, b"]),
    (
        "state",
        &[
            "orderly-backup-fate/1",
            "failing",
            "orderly-ledger/1",
            "orderly-up/1",
            "orderly-history/1",
            "snapshot",
            "made_by",
            "none",
        ],
    ),
];

/// The longest word that is worth its place.
const LONGEST: usize = 64;

/// Returns the dictionary of a format as libFuzzer reads it, a word a line; nothing for one that is no JSON.
pub(crate) fn of(format: &Format) -> Option<String> {
    let is_json = format.seeds.iter().all(|seed| seed.trim_start().starts_with('{'));
    if !is_json {
        return None;
    }
    let mut words: BTreeSet<String> = SYNTAX.iter().map(|&word| word.to_owned()).collect();
    words.extend(format.seeds.iter().flat_map(|seed| texts(seed)));
    let further = FURTHER.iter().filter(|(name, _)| *name == format.name).flat_map(|(_, words)| *words);
    words.extend(further.map(|word| format!("\"{word}\"")));
    words.retain(|word| word.len() <= LONGEST);
    let mut text = String::new();
    for word in words {
        // Writing to a String cannot fail.
        writeln!(text, "\"{}\"", escaped(&word)).ok();
    }
    Some(text)
}

/// Returns the texts of a JSON document, in their quotes and as they are written.
fn texts(json: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut begun: Option<usize> = None;
    let mut is_escaped = false;
    for (at, byte) in json.bytes().enumerate() {
        match (byte, begun) {
            _ if is_escaped => is_escaped = false,
            (b'\\', Some(_)) => is_escaped = true,
            (b'"', Some(start)) => {
                found.push(json[start..=at].to_owned());
                begun = None;
            }
            (b'"', None) => begun = Some(at),
            _ => {}
        }
    }
    found
}

fn escaped(word: &str) -> String {
    let byte = |byte: u8| match byte {
        b'"' | b'\\' => format!("\\{}", char::from(byte)),
        0x20..=0x7e => char::from(byte).to_string(),
        _ => format!("\\x{byte:02X}"),
    };
    word.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FORMATS;

    fn named(name: &str) -> &'static Format {
        Format::named(name).unwrap_or_else(|| panic!("no format {name}"))
    }

    #[test]
    fn every_json_format_has_the_keys_of_its_seeds_and_those_that_no_seed_has() {
        for name in
            ["json", "ansible", "warewulf", "sequence-json", "release-record", "journal", "manifest", "state"]
        {
            let words = of(named(name)).unwrap_or_else(|| panic!("{name} has no dictionary"));
            for key in named(name).seeds.iter().flat_map(|seed| texts(seed)).filter(|key| key.len() < LONGEST)
            {
                assert!(words.contains(&format!("\"{}\"\n", escaped(&key))), "{name}: {key}");
            }
        }
        for (name, words) in FURTHER {
            let dictionary = of(named(name)).unwrap_or_default();
            words.iter().for_each(|word| assert!(dictionary.contains(&escaped(word)), "{name}: {word}"));
        }
        assert!(of(named("ansible")).is_some_and(|words| words.contains("\"\\\"__ansible_unsafe\\\"\"\n")));
        assert!(of(named("genders")).is_none() && of(named("cluster.toml")).is_none());
    }

    /// libFuzzer ends at the first line that it does not read.
    #[test]
    fn every_line_is_one_that_libfuzzer_reads() {
        for words in FORMATS.iter().filter_map(of) {
            for line in words.lines() {
                let inner =
                    line.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default();
                assert!(!inner.is_empty() && inner.is_ascii(), "{line}");
                let plain = inner.replace("\\\\", "").replace("\\\"", "");
                assert!(
                    !plain.contains('"') && plain.matches('\\').count() == plain.matches("\\x").count(),
                    "{line}"
                );
            }
        }
    }
}
