//! What a text is that is not in the format it is read as: a forgotten `--from`, a file of another kind.
//!
//! A guess only adds to an error; it never makes one format be read as another.

use super::format::Format;
use crate::diagnostic::{Diagnostic, Diagnostics, Source};
use core::net::IpAddr;

/// What a text looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looks {
    Like(Format),
    Yaml,
    Ini,
    Hosts,
    Slurm,
    Sequence,
}

/// Returns the errors of a text that was read as `format`; where it looks like something else, this and the remedy come
/// first, and of the others one is enough.
pub(super) fn explain(source: &Source<'_>, format: Format, mut wrong: Diagnostics) -> Diagnostics {
    let Some(looks) = guess(source.text).filter(|looks| *looks != Looks::Like(format)) else { return wrong };
    let (what, remedy) = match looks {
        Looks::Like(format) => {
            let word = format.word();
            (format.title(), format!("use --from {word} (or inventory_format = \"{word}\" in cluster.toml)"))
        }
        Looks::Yaml => (
            "YAML",
            "convert it; of an Ansible inventory, ansible-inventory -i FILE --list prints what --from ansible reads".into(),
        ),
        Looks::Ini => (
            "an Ansible inventory in INI form",
            "ansible-inventory -i FILE --list prints what --from ansible reads".into(),
        ),
        Looks::Hosts => ("a hosts file", "an inventory has a line or an entry a node, see orderly-inventory(5)".into()),
        Looks::Slurm => (
            "a configuration of Slurm",
            "write its nodes as a genders file (n[1-16] compute) or as JSON, see orderly-inventory(5)".into(),
        ),
        Looks::Sequence => (
            "orderly-sequence/1",
            "seqfile --from-json FILE makes a sequence file of it; an inventory is another file".into(),
        ),
    };
    let message = format!("this is read as {} and looks like {what}", format.title());
    wrong.0.truncate(1);
    wrong.0.insert(0, Diagnostic::about(source.name, message).hint(remedy));
    wrong
}

/// Tells only what has a clear mark.
fn guess(text: &str) -> Option<Looks> {
    if text.trim_start().starts_with('{') {
        return guess_json(text);
    }
    // A list of JSON, which no format is, begins as a section of INI does.
    if let Some(item) = text.trim_start().strip_prefix('[') {
        if item.trim_start().starts_with(['{', '[', ']', '"']) {
            return None;
        }
    }
    let is_said = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with(['#', ';']);
    let mut lines = text.lines().filter(is_said);
    let (first, second) = (lines.next()?, lines.next().unwrap_or_default());
    if first.split_whitespace().next().is_some_and(|word| word.parse::<IpAddr>().is_ok()) {
        return Some(Looks::Hosts);
    }
    if text.lines().filter(is_said).any(is_of_slurm) {
        return Some(Looks::Slurm);
    }
    let is_indented = second.starts_with([' ', '\t']);
    if first.trim_end() == "---" || first.trim_start().starts_with("- ") {
        return Some(Looks::Yaml);
    }
    if let Some(head) = first.trim_end().strip_suffix(':') {
        if !head.contains(char::is_whitespace) {
            let is_attribute = second.contains('=') && !second.contains(": ");
            return match (is_indented, is_attribute) {
                (true, true) => Some(Looks::Like(Format::Xcat)),
                (true, false) => Some(Looks::Yaml),
                (false, _) => None,
            };
        }
    }
    if first.starts_with('[') && first.trim_end().ends_with(']') {
        return Some(Looks::Ini);
    }
    // A name and attributes, parted by blanks: hosts of INI have `key=value` with blanks between.
    let words: Vec<&str> = first.split_whitespace().collect();
    let is_word = |word: &str| !word.contains([':', '{', '}', '"']);
    match words.as_slice() {
        [node, attributes] if is_word(node) && is_word(attributes) => Some(Looks::Like(Format::Genders)),
        _ => None,
    }
}

/// Tells whether a line is one that only Slurm's files have.
fn is_of_slurm(line: &str) -> bool {
    let key = line.split_once('=').map_or("", |(key, _)| key.trim());
    ["NodeName", "ClusterName", "PartitionName", "SlurmctldHost"]
        .iter()
        .any(|own| own.eq_ignore_ascii_case(key))
}

fn guess_json(text: &str) -> Option<Looks> {
    let has = |keys: &[&str]| keys.iter().any(|key| text.contains(&format!("\"{key}\"")));
    if has(&["orderly-sequence/1"]) {
        return Some(Looks::Sequence);
    }
    let is_list = |rest: &str| {
        rest.trim_start().strip_prefix(':').is_some_and(|rest| rest.trim_start().starts_with('['))
    };
    let lists_nodes = text.split_once("\"nodes\"").is_some_and(|(_, rest)| is_list(rest));
    let format = if has(&["orderly-inventory/1"]) || lists_nodes && !has(&["_meta", "hosts"]) {
        Format::Json
    } else if has(&["_meta", "hostvars", "hosts", "children"]) {
        Format::Ansible
    } else if has(&["network devices", "netdevs", "NetDevs", "profiles", "Profiles"]) {
        Format::Warewulf
    } else {
        return None;
    };
    Some(Looks::Like(format))
}

#[cfg(test)]
mod tests {
    use crate::diagnostic::Source;
    use crate::inventory::{Format, Outside, read};

    /// Each was "not JSON" or many errors, without a word of what is wrong.
    #[test]
    fn a_text_in_another_format_is_told_as_that_with_the_remedy() {
        let json = r#"{"format": "orderly-inventory/1", "nodes": [{"name": "n1"}]}"#;
        let ansible = r#"{"_meta": {"hostvars": {"n1": {}}}, "all": {"children": ["ungrouped"]}}"#;
        let warewulf = r#"{"n1": {"profiles": ["default"], "network devices": {}}}"#;
        let texts = [
            (json, "use --from json"),
            ("# site\nn[1-3]  compute,rack=7\nn4 login\n", "use --from genders"),
            (ansible, "use --from ansible"),
            (warewulf, "use --from warewulf"),
            (
                "# <xCAT data object stanza file>\n\nn1:\n    objtype=node\n    groups=all\n",
                "use --from xcat",
            ),
            ("---\nall:\n  hosts:\n    n1:\n", "ansible-inventory -i FILE --list"),
            ("all:\n  hosts:\n    n1: {}\n", "ansible-inventory -i FILE --list"),
            ("[compute]\nn1\nn2 ansible_host=10.0.0.2\n", "ansible-inventory -i FILE --list"),
            // Each was read as genders, with nodes that nobody has, or rejected line by line.
            ("127.0.0.1 localhost\n10.0.0.1 n1 # first\n", "see orderly-inventory(5)"),
            ("::1 ip6-localhost\n", "see orderly-inventory(5)"),
            ("# slurm\nClusterName=c\nNodeName=n[1-3] CPUs=2\n", "see orderly-inventory(5)"),
            ("nodename=n[1-3] CPUs=2 State=UNKNOWN\n", "see orderly-inventory(5)"),
            (r#"{"nodes": [{"name": "n1"}]}"#, "use --from json"),
            (r#"{"format": "orderly-sequence/1", "groups": []}"#, "seqfile --from-json FILE"),
        ];
        let formats = [Format::Json, Format::Genders, Format::Ansible, Format::Warewulf, Format::Xcat];
        for (text, remedy) in texts {
            for format in formats {
                let source = Source { name: "i", text };
                let Err(wrong) = read(&source, format, &Outside::default()) else {
                    assert!(remedy.ends_with(format.word()), "{text} is read as {format:?}");
                    continue;
                };
                let said = wrong.to_string();
                assert!(
                    said.starts_with("i: this is read as ") && said.contains(remedy),
                    "{format:?}\n{said}"
                );
                assert!(wrong.0.len() <= 2, "{said}");
            }
        }
        let said = read(&Source { name: "i", text: "n1" }, Format::Json, &Outside::default()).unwrap_err();
        assert!(!said.to_string().contains("looks like"), "{said}");
        // Each was "an Ansible inventory in INI form".
        for text in ["[]", r#"[{"name": "n1"}]"#, r#"["n1"]"#, "[\n  {\"Id\": \"n1\"}\n]"] {
            for format in formats {
                let said =
                    read(&Source { name: "i", text }, format, &Outside::default()).unwrap_err().to_string();
                assert!(!said.contains("looks like"), "{format:?}: {text}\n{said}");
            }
        }
    }
}
