//! The did-you-mean of every error message.

/// Words of so many letters are compared with no other.
const LONGEST: usize = 200;

/// Returns the candidate nearest to `word`, if one is near enough to be a slip of the hand.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let candidates: Vec<&str> = candidates.into_iter().filter(|candidate| *candidate != word).collect();
    // Case matters in names, and is what is got wrong most easily.
    if let Some(same) = candidates.iter().find(|candidate| candidate.eq_ignore_ascii_case(word)) {
        return Some(same);
    }
    // A third of the letters may differ: with more, the suggestion is an unrelated word. Comparing two words costs the
    // product of their lengths, and of a very long one nobody sees the slip.
    let limit = match word.chars().count() {
        0..=1 => return None,
        LONGEST.. => return None,
        2..=5 => 1,
        letters => letters / 3,
    };
    candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= limit + 3)
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn only_near_words_are_suggested() {
        assert_eq!(nearest("stroage", ["storage", "clients"]), Some("storage"));
        assert_eq!(nearest("batch", ["storage", "clients"]), None);
        assert_eq!(nearest("c", ["a", "b"]), None);
        assert_eq!(nearest("IO", ["storage", "io"]), Some("io"));
        assert_eq!(nearest("io", ["io"]), None, "the word itself is no correction");
    }
}
