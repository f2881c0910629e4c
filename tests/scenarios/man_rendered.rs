//! The manual pages as a terminal of 80 columns shows them: what can be typed stands there whole, in one line.

use bed::binaries::workspace;
use bed::{Need, real};
use std::path::Path;

/// The widest line that such a terminal shows.
const COLUMNS: usize = 80;

/// Macros that mdoc calls within a line; what stands on such a line is no text to be copied.
const CALLED: [&str; 8] = ["Ar", "Cm", "Fl", "No", "Ns", "Pa", "Li", "Op"];

/// `jq .` came out as `jq.`, because mdoc takes a lone full stop for the end of a sentence.
#[test]
fn what_can_be_typed_is_shown_whole_within_eighty_columns() {
    if !real::require(&[Need::Program("mandoc")]) {
        return;
    }
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(workspace().join("man")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let shown = rendered(&path);
        for line in shown.lines().filter(|line| line.chars().count() > COLUMNS) {
            wrong.push(format!("{name}: wider than {COLUMNS} columns: {line}"));
        }
        for text in copied(&std::fs::read_to_string(&path).unwrap()) {
            if !shown.lines().any(|line| line.trim() == text) {
                wrong.push(format!("{name}: is not shown as a line of its own: {text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns a page as it is shown, without the overstrikes that make it bold.
fn rendered(page: &Path) -> String {
    let mut mandoc = std::process::Command::new(real::find("mandoc").unwrap());
    let said = mandoc.args(["-T", "utf8", "-O", "width=78"]).arg(page).output().unwrap();
    assert!(said.status.success(), "{}", page.display());
    let mut shown = String::new();
    for letter in String::from_utf8(said.stdout).unwrap().chars() {
        if letter == '\u{8}' {
            shown.pop();
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// Returns the lines of a page that people copy: displayed commands, literal text, and the ways out.
fn copied(page: &str) -> Vec<String> {
    let (mut lines, mut is_literal, mut is_way_out) = (Vec::new(), false, false);
    let mut next = page.lines().skip(1);
    for line in page.lines() {
        let stands_alone = next.next() == Some(".br");
        match line.split(' ').next().unwrap_or_default() {
            ".Bd" => is_literal = line.contains("-literal"),
            ".Ed" => is_literal = false,
            ".Ss" | ".Sh" => is_way_out = line == ".Ss Ways out",
            _ => {}
        }
        let text = match (line.strip_prefix(".Dl "), line.strip_prefix(".Ic ")) {
            (Some(text), _) => Some(text),
            (None, Some(text)) if is_way_out && stands_alone => Some(text),
            _ => Some(line).filter(|line| is_literal && !line.starts_with('.') && !line.trim().is_empty()),
        };
        lines.extend(text.filter(|text| !text.split(' ').any(|word| CALLED.contains(&word))).map(plain));
    }
    lines
}

/// Returns what a line of mdoc means.
fn plain(text: &str) -> String {
    let text = text.trim();
    let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let mut plain = quoted.to_owned();
    for (written, meant) in [("\\(dq", "\""), ("\\(aq", "'"), ("\\e", "\\"), ("\\&", ""), ("\\-", "-")] {
        plain = plain.replace(written, meant);
    }
    plain.trim().to_owned()
}
