//! Node sets: names with bracket ranges.

/// Returns the names a node set stands for.
///
/// # Errors
/// A clause that says what is wrong.
pub fn expand(text: &str) -> Result<Vec<String>, String> {
    let Some((head, rest)) = text.split_once('[') else { return Ok(vec![text.to_owned()]) };
    let (inside, tail) = rest.split_once(']').ok_or("a bracket is not closed")?;
    let mut names = Vec::new();
    for part in inside.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let width = from.len();
        let parse = |text: &str| text.parse::<u32>().map_err(|_| format!("\"{text}\" is no number"));
        for number in parse(from)?..=parse(to)? {
            names.push(format!("{head}{number:0width$}{tail}"));
        }
    }
    Ok(names)
}

/// Returns the names folded.
pub fn fold<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(",")
}
