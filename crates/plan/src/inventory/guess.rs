//! What a text is that is not in the format it is read as: a forgotten `--from`, a file of another kind.
//!
//! A guess only adds to an error; it never makes one format be read as another.

use super::format::Format;
use super::reader::{is_object_with, said};
use crate::diagnostic::{Diagnostic, Diagnostics, Source};
use core::net::IpAddr;

/// A kind of file that sites have and that no reader reads.
struct Foreign {
    title: &'static str,
    remedy: &'static str,
    is_like: fn(&str) -> bool,
}

/// Those that would be taken for one of the formats, by what only they have.
const MISTAKEN: [Foreign; 3] = [
    Foreign {
        title: "orderly-sequence/1",
        remedy: "seqfile --from-json FILE makes a sequence file of it; an inventory is another file",
        is_like: |text| is_object_with(text, &["orderly-sequence/1"]),
    },
    Foreign {
        title: "a hosts file",
        remedy: "an inventory has a line or an entry a node, see orderly-inventory(5)",
        is_like: |text| {
            let first = said(text).next().and_then(|line| line.split_whitespace().next());
            first.is_some_and(|word| word.parse::<IpAddr>().is_ok())
        },
    },
    Foreign {
        title: "a configuration of Slurm",
        remedy: "write its nodes as a genders file (n[1-16] compute) or as JSON, see orderly-inventory(5)",
        is_like: |text| said(text).any(is_of_slurm),
    },
];

/// Those that only what is none of the formats is taken for.
const OTHERS: [Foreign; 2] = [
    Foreign {
        title: "YAML",
        remedy: "convert it; of an Ansible inventory, ansible-inventory -i FILE --list prints what --from ansible reads",
        is_like: is_yaml,
    },
    Foreign {
        title: "an Ansible inventory in INI form",
        remedy: "ansible-inventory -i FILE --list prints what --from ansible reads",
        is_like: is_ini,
    },
];

/// Returns the errors of a text that was read as `format`; where it looks like something else, this and the remedy come
/// first, and of the others one is enough.
pub(super) fn explain(source: &Source<'_>, format: Format, mut wrong: Diagnostics) -> Diagnostics {
    let Some((what, remedy)) = looks_like(source.text, format) else { return wrong };
    let message = format!("this is read as {} and looks like {what}", format.reader().title);
    wrong.0.truncate(1);
    wrong.0.insert(0, Diagnostic::about(source.name, message).hint(remedy));
    wrong
}

/// Returns what else a text looks like, and the remedy; tells only what has a clear mark.
fn looks_like(text: &str, format: Format) -> Option<(&'static str, String)> {
    let among = |kinds: &'static [Foreign]| {
        kinds.iter().find(|kind| (kind.is_like)(text)).map(|kind| (kind.title, kind.remedy.to_owned()))
    };
    if let Some(mistaken) = among(&MISTAKEN) {
        return Some(mistaken);
    }
    let Some(like) = Format::ALL.into_iter().find(|format| (format.reader().is_like)(text)) else {
        return among(&OTHERS);
    };
    let word = like.word();
    let remedy = format!("use --from {word} (or inventory_format = \"{word}\" in cluster.toml)");
    (like != format).then_some((like.reader().title, remedy))
}

/// Tells whether a line is one that only Slurm's files have.
fn is_of_slurm(line: &str) -> bool {
    let key = line.split_once('=').map_or("", |(key, _)| key.trim());
    ["NodeName", "ClusterName", "PartitionName", "SlurmctldHost"]
        .iter()
        .any(|own| own.eq_ignore_ascii_case(key))
}

fn is_yaml(text: &str) -> bool {
    let mut lines = said(text);
    let (first, second) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let is_head = |head: &str| !head.contains(|c: char| c.is_whitespace() || ['{', '[', '"'].contains(&c));
    first.trim_end() == "---"
        || first.trim_start().starts_with("- ")
        || first.trim_end().strip_suffix(':').is_some_and(is_head) && second.starts_with([' ', '\t'])
}

/// A list of JSON, which no format is, begins as a section of INI does.
fn is_ini(text: &str) -> bool {
    let is_item = |item: &str| item.trim_start().starts_with(['{', '[', ']', '"']);
    let is_section = |line: &str| line.starts_with('[') && line.trim_end().ends_with(']');
    !text.trim_start().strip_prefix('[').is_some_and(is_item) && said(text).next().is_some_and(is_section)
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
        let formats = Format::ALL;
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
