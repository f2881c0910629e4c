//! Which paths are left out: the patterns of `exclude`.
//!
//! A pattern without `/` is matched against the last part of a path (`*.pid`), one with `/` against
//! the whole path. `*` and `?` do not match `/`, `**` matches anything, `[a-z]` and `[!a-z]` one
//! character of a set, `\` takes the next character literally. A folder that is left out is left
//! out with all below it.

/// The patterns of a configuration.
#[derive(Debug, Clone, Default)]
pub struct Excludes(Vec<ExcludePattern>);

#[derive(Debug, Clone)]
struct ExcludePattern {
    text: Vec<u8>,
    whole_path: bool,
}

impl Excludes {
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Self {
        let pattern = |text: &S| {
            let text = text.as_ref().as_bytes().strip_suffix(b"/").unwrap_or(text.as_ref().as_bytes());
            ExcludePattern { text: text.to_vec(), whole_path: text.contains(&b'/') }
        };
        Self(patterns.iter().map(pattern).collect())
    }

    /// Tells whether a path is left out by itself.
    pub fn matches(&self, path: &[u8]) -> bool {
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
        self.0.iter().any(|pattern| glob(&pattern.text, if pattern.whole_path { path } else { name }))
    }
}

/// Tells whether the whole of `text` matches `pattern`.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    // The last star seen and where it stopped matching: on a mismatch it takes one character more.
    // A single star cannot take a slash; then the last double star has to.
    let (mut p, mut t) = (0, 0);
    let mut single: Option<(usize, usize)> = None;
    let mut double: Option<(usize, usize)> = None;
    loop {
        if pattern[p..].starts_with(b"**") {
            p += 2;
            (single, double) = (None, Some((p, t)));
            continue;
        }
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            single = Some((p, t));
            continue;
        }
        match (pattern.get(p), text.get(t)) {
            (None, None) => return true,
            (Some(_), Some(&byte)) => {
                if let Some(length) = matches_one(&pattern[p..], byte) {
                    p += length;
                    t += 1;
                    continue;
                }
            }
            (None, Some(_)) | (Some(_), None) => {}
        }
        if let Some((after, from)) = single
            && text.get(from).is_some_and(|&byte| byte != b'/')
        {
            (p, t) = (after, from + 1);
            single = Some((p, t));
        } else if let Some((after, from)) = double
            && from < text.len()
        {
            (p, t) = (after, from + 1);
            (single, double) = (None, Some((p, t)));
        } else {
            return false;
        }
    }
}

/// Returns how long the pattern's first element is, if it matches this character.
fn matches_one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => (byte != b'/').then_some(1),
        [b'\\', literal, ..] => (*literal == byte).then_some(2),
        [b'[', rest @ ..] => match set(rest, byte) {
            Some((true, length)) => (byte != b'/').then_some(length + 1),
            Some((false, _)) => None,
            None => (byte == b'[').then_some(1),
        },
        [literal, ..] => (*literal == byte).then_some(1),
        [] => None,
    }
}

/// Reads a set that began with `[`: whether it has the character, and its length with the `]`.
fn set(rest: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(rest.first(), Some(b'!' | b'^'));
    let mut at = usize::from(negated);
    let first = at;
    let mut has = false;
    loop {
        let low = *rest.get(at)?;
        if low == b']' && at > first {
            return Some((has != negated, at + 1));
        }
        match (rest.get(at + 1), rest.get(at + 2)) {
            (Some(b'-'), Some(&high)) if high != b']' => {
                has |= (low..=high).contains(&byte);
                at += 3;
            }
            _ => {
                has |= low == byte;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_match_as_people_expect() {
        let check = |pattern: &str, path: &str| Excludes::new(&[pattern]).matches(path.as_bytes());
        for (pattern, path) in [
            ("*.pid", "/etc/opt/a.pid"),
            (".*", "/etc/.git"),
            ("/etc/*/a", "/etc/b/a"),
            ("/etc/**/a", "/etc/b/c/a"),
            ("**/cache", "/var/x/cache"),
            ("[a-c]?.x", "/q/b1.x"),
            ("[!a]*", "/q/b"),
            ("a[", "/q/a["),
            ("lost+found/", "/srv/lost+found"),
            (r"a\*", "/q/a*"),
            ("*a*b*", "/q/xxaxxbxxaxxbx"),
        ] {
            assert!(check(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("*.pid", "/etc/a.pid/b"),
            ("/etc/*/a", "/etc/b/c/a"),
            ("/etc/*", "/etc/b/c"),
            ("[!a]*", "/q/ab"),
            (r"a\*", "/q/ab"),
            ("", "/q/a"),
            ("a", "/q/A"),
        ] {
            assert!(!check(pattern, path), "{pattern} {path}");
        }
    }

    proptest! {
        #[test]
        fn no_pattern_panics_and_a_literal_matches_itself(pattern: Vec<u8>, text in "[a-z/.]{1,20}") {
            glob(&pattern, text.as_bytes());
            prop_assert!(glob(text.as_bytes(), text.as_bytes()));
            prop_assert!(glob(b"**", text.as_bytes()));
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = "*a".repeat(50) + "b";
        assert!(!glob(pattern.as_bytes(), "a".repeat(2000).as_bytes()));
    }
}
