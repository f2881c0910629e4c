//! Words for the shell on the other side.

/// Returns words as one command line that any POSIX shell takes apart into the same words.
pub(crate) fn quote(argv: &[String]) -> String {
    let quoted: Vec<String> = argv
        .iter()
        .map(|word| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,@+=".contains(c);
            if !word.is_empty() && word.chars().all(plain) {
                word.clone()
            } else {
                format!("'{}'", word.replace('\'', r"'\''"))
            }
        })
        .collect();
    quoted.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_the_shell_on_the_other_side() {
        let words = ["/bin/x", "a b", "it's", "", "$HOME;`id`", "n[1-2]", "{a,b}", "~"];
        let quoted = quote(&words.map(str::to_owned));
        assert_eq!(quoted, r"/bin/x 'a b' 'it'\''s' '' '$HOME;`id`' 'n[1-2]' '{a,b}' '~'");
    }
}
