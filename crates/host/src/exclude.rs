//! Which paths are left out: the patterns of `exclude`, which are those of gitignore(5).
//!
//! A pattern without `/` is a name at any depth (`*.pid`); one that begins with `/` is the whole path, one that begins
//! with `**/` the end of one. `*` and `?` do not match `/`; `**` between slashes matches any number of directories. A
//! `/` at the end means directories alone. `!` takes back what an earlier pattern left out. A directory that is left
//! out is left out with all below it.
//!
//! Names are matched by `globset`, not by `ignore`: that one passes over lines that it cannot read, takes `a/b` for
//! `/a/b`, and has braces mean alternatives as `globset` has. Here braces are text, as in git, and what can match
//! nothing is an error. Names are bytes: `?` is one byte.

use globset::{Candidate, Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

/// The patterns of a configuration.
#[derive(Debug, Clone, Default)]
pub struct Excludes {
    set: GlobSet,
    /// What each pattern of the set says of what it matches.
    meanings: Vec<Meaning>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Meaning {
    takes_back: bool,
    folders_only: bool,
}

/// One pattern, read.
#[derive(Debug)]
struct Pattern<'a> {
    meaning: Meaning,
    /// Without what the meaning has.
    text: &'a str,
    glob: Glob,
}

impl Excludes {
    /// Reads patterns; one that can match nothing matches nothing (see [`faults`]).
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Self {
        Self::of(patterns.iter().filter_map(|text| Pattern::read(text.as_ref()).ok())).unwrap_or_default()
    }

    /// Reads one pattern, by which something is looked for.
    ///
    /// # Errors
    /// Why it can match nothing.
    pub fn one(text: &str) -> Result<Self, String> {
        let pattern = Pattern::read(text)?;
        if pattern.meaning.takes_back {
            return Err(
                r"begins with !, and there is nothing to take back; write \! for a name that begins so"
                    .into(),
            );
        }
        Self::of([pattern])
    }

    fn of<'a>(patterns: impl IntoIterator<Item = Pattern<'a>>) -> Result<Self, String> {
        let (mut set, mut meanings) = (GlobSetBuilder::new(), Vec::new());
        for pattern in patterns {
            set.add(pattern.glob);
            meanings.push(pattern.meaning);
        }
        Ok(Self { set: set.build().map_err(|error| error.kind().to_string())?, meanings })
    }

    /// Tells whether a path is left out by itself; the last pattern that matches decides.
    pub fn leave_out(&self, path: &[u8], is_folder: impl FnOnce() -> bool) -> bool {
        let candidate = Candidate::from_bytes(path);
        if !self.set.is_match_candidate(&candidate) {
            return false;
        }
        let mut matching = self.set.matches_candidate(&candidate);
        matching.sort_unstable_by_key(|&number| std::cmp::Reverse(number));
        let meanings = || matching.iter().map(|&number| self.meanings[number]);
        // Where the last word is of anything, nobody need look what it is.
        let is_folder = meanings().next().is_some_and(|last| last.folders_only) && is_folder();
        meanings()
            .find(|meaning| is_folder || !meaning.folders_only)
            .is_some_and(|meaning| !meaning.takes_back)
    }
}

impl<'a> Pattern<'a> {
    /// Reads a pattern, or says why it can match nothing.
    fn read(text: &'a str) -> Result<Self, String> {
        if text.starts_with('#') {
            return Err(
                r"is a comment in gitignore(5) and can match nothing; write \# for a name that begins so"
                    .into(),
            );
        }
        let (takes_back, rest) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        let (folders_only, rest) = rest.strip_suffix('/').map_or((false, rest), |rest| (true, rest));
        let nothing = |why: &str| format!("can match nothing: {why}");
        if rest.is_empty() {
            return Err(nothing("there is no name in it"));
        }
        if rest.contains('\0') {
            return Err(nothing("no name has a NUL in it"));
        }
        let whole_path = rest.starts_with('/');
        if rest.contains('/') && !whole_path && !rest.starts_with("**/") {
            return Err(nothing(&format!(
                "a name has no / in it, and a path begins with one; write /{rest} or **/{rest}"
            )));
        }
        let parts = rest.strip_prefix('/').unwrap_or(rest).split('/');
        if let Some(part) = parts.clone().find(|part| matches!(*part, "" | "." | "..")) {
            return Err(nothing(&format!("no path has a part \"{part}\"")));
        }
        if rest.contains("[[:") {
            return Err(nothing("classes with a name are not known; write the characters, such as [a-z]"));
        }
        let glob =
            if rest.contains('/') { literal_braces(rest) } else { format!("**/{}", literal_braces(rest)) };
        let glob = GlobBuilder::new(&glob).literal_separator(true).backslash_escape(true).build();
        let glob =
            glob.map_err(|error| nothing(&format!("{}; \\ before it makes it a character", error.kind())))?;
        Ok(Self { meaning: Meaning { takes_back, folders_only }, text: rest, glob })
    }

    /// Tells whether it can match anything below a source: a source itself is never left out.
    fn reaches_below(&self, source: &Path) -> bool {
        let Some(path) = self.text.strip_prefix('/') else { return true };
        let mut parts = path.split('/');
        for wanted in source.components().filter(|part| matches!(part, Component::Normal(_))) {
            let Some(part) = parts.next() else { return false };
            if part == "**" {
                return true;
            }
            let Ok(glob) = GlobBuilder::new(&literal_braces(part)).backslash_escape(true).build() else {
                return true;
            };
            if !glob
                .compile_matcher()
                .is_match_candidate(&Candidate::from_bytes(wanted.as_os_str().as_bytes()))
            {
                return false;
            }
        }
        parts.next().is_some()
    }
}

/// Returns what is wrong with patterns that leave out what lies below `sources`: the number of each, from 0, with the
/// reason.
pub fn faults<S: AsRef<str>>(patterns: &[S], sources: &[&Path]) -> Vec<(usize, String)> {
    let mut faults = Vec::new();
    let mut leaves_out_any = false;
    for (number, text) in patterns.iter().enumerate() {
        match Pattern::read(text.as_ref()) {
            Err(why) => faults.push((number, why)),
            Ok(pattern)
                if !sources.is_empty() && !sources.iter().any(|source| pattern.reaches_below(source)) =>
            {
                faults.push((number, "can match nothing: no source has anything there".to_owned()));
            }
            Ok(pattern) if pattern.meaning.takes_back && !leaves_out_any => {
                let why = "takes nothing back: no pattern before it leaves anything out";
                faults.push((number, why.to_owned()));
            }
            Ok(pattern) => leaves_out_any |= !pattern.meaning.takes_back,
        }
    }
    if faults.is_empty() {
        if let Err(why) = Excludes::of(patterns.iter().filter_map(|text| Pattern::read(text.as_ref()).ok())) {
            faults.push((patterns.len().saturating_sub(1), why));
        }
    }
    faults
}

/// Returns a pattern in which braces are characters, as they are in git.
fn literal_braces(pattern: &str) -> String {
    let mut literal = String::with_capacity(pattern.len());
    let mut escaped = false;
    let mut set_since: Option<usize> = None;
    for (at, character) in pattern.char_indices() {
        let is_brace = matches!(character, '{' | '}');
        if is_brace && !escaped && set_since.is_none() {
            literal.push('\\');
        }
        literal.push(character);
        match character {
            '[' if !escaped && set_since.is_none() => set_since = Some(at),
            // The first character of a set may be `]`, also after `!`.
            ']' if set_since.is_some_and(|since| !matches!(&pattern[since + 1..at], "" | "!" | "^")) => {
                set_since = None;
            }
            _ => {}
        }
        escaped = character == '\\' && !escaped && set_since.is_none();
    }
    literal
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leave_out(patterns: &[&str], path: &str) -> bool {
        Excludes::new(patterns).leave_out(path.as_bytes(), || false)
    }

    #[test]
    fn patterns_match_as_those_of_gitignore() {
        for (pattern, path) in [
            ("*.pid", "/etc/opt/a.pid"),
            (".*", "/etc/.git"),
            ("/etc/*/a", "/etc/b/a"),
            ("/etc/**/a", "/etc/b/c/a"),
            ("/etc/**/a", "/etc/a"),
            ("/etc/**", "/etc/b/c"),
            ("**/cache", "/var/x/cache"),
            ("**/a/b", "/x/y/a/b"),
            ("[a-c]?.x", "/q/b1.x"),
            ("[!a]*", "/q/b"),
            ("[]a]", "/q/]"),
            (r"a\*", "/q/a*"),
            (r"\!a", "/q/!a"),
            (r"\#a", "/q/#a"),
            ("*a*b*", "/q/xxaxxbxxaxxbx"),
            ("{a,b}", "/q/{a,b}"),
            (r"\{a", "/q/{a"),
            ("[{]a}", "/q/{a}"),
            ("a**b", "/q/axxb"),
            ("a ", "/q/a "),
        ] {
            assert!(leave_out(&[pattern], path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("*.pid", "/etc/a.pid/b"),
            ("/etc/*/a", "/etc/b/c/a"),
            ("/etc/*", "/etc/b/c"),
            ("/etc/**", "/etc"),
            ("/etc/a", "/srv/etc/a"),
            ("[!a]*", "/q/ab"),
            (r"a\*", "/q/ab"),
            ("a", "/q/A"),
            ("{a,b}", "/q/a"),
            ("a**b", "/q/a/b"),
            ("**/a/b", "/x/a/c/b"),
            ("a ", "/q/a"),
            ("lost+found/", "/srv/lost+found"),
        ] {
            assert!(!leave_out(&[pattern], path), "{pattern} {path}");
        }
        assert!(Excludes::new(&["lost+found/"]).leave_out(b"/srv/lost+found", || true));
        assert!(Excludes::new(&["*.pid"]).leave_out(b"/run/\xff.pid", || false), "names are bytes");
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let patterns = ["*.log", "!important.log", "/srv/important.log"];
        assert!(leave_out(&patterns, "/srv/a.log"));
        assert!(!leave_out(&patterns, "/etc/important.log"));
        assert!(leave_out(&patterns, "/srv/important.log"));
        let folders = Excludes::new(&["cache", "!cache/"]);
        assert!(folders.leave_out(b"/a/cache", || false), "a file is not what is taken back");
        assert!(!folders.leave_out(b"/a/cache", || true));
    }

    #[test]
    fn what_can_match_nothing_is_a_fault() {
        let sources = [Path::new("/etc/opt/sun"), Path::new("/etc/hosts.allow")];
        for (patterns, fault) in [
            (&[""][..], Some((0, "no name in it"))),
            (&["/"], Some((0, "no name in it"))),
            (&["*", "!"], Some((1, "no name in it"))),
            (&["#note"], Some((0, "comment"))),
            (&["a/b"], Some((0, "write /a/b or **/a/b"))),
            (&["/etc//opt/sun/a"], Some((0, "no path has a part \"\""))),
            (&["/etc/opt/sun/./a"], Some((0, "no path has a part \".\""))),
            (&["/etc/opt/sun/../a"], Some((0, "no path has a part \"..\""))),
            (&["a["], Some((0, "makes it a character"))),
            (&["[b-a]"], Some((0, "makes it a character"))),
            (&["a\\"], Some((0, "makes it a character"))),
            (&["[[:alpha:]]"], Some((0, "classes with a name"))),
            (&["/ect/opt/sun/a"], Some((0, "no source has anything there"))),
            (&["/etc/opt/sun"], Some((0, "no source has anything there"))),
            (&["/etc/*"], Some((0, "no source has anything there"))),
            (&["/etc/hosts.allow"], Some((0, "no source has anything there"))),
            (&["!a"], Some((0, "takes nothing back"))),
            (&["*.pid", "/etc/opt/sun/*/cache/", "!x.pid", "/etc/**/a", "**/a/b", "/e*/opt/s?n/a"], None),
        ] {
            let found = faults(patterns, &sources);
            match fault {
                None => assert_eq!(found, [], "{patterns:?}"),
                Some((number, words)) => {
                    assert_eq!(found.len(), 1, "{patterns:?}: {found:?}");
                    assert!(found[0].0 == number && found[0].1.contains(words), "{patterns:?}: {found:?}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn no_pattern_panics_and_an_escaped_name_matches_itself(
            pattern: String, path: Vec<u8>, name in "[a-z.*?{}\\[\\]!#]{1,12}",
        ) {
            Excludes::new(&[&pattern]).leave_out(&path, || true);
            faults(&[&pattern], &["/etc".as_ref()]);
            prop_assume!(!matches!(name.as_str(), "." | ".."));
            let escaped: String = name.chars().flat_map(|character| ['\\', character]).collect();
            prop_assert_eq!(faults(&[&escaped], &["/etc".as_ref()]), []);
            prop_assert!(leave_out(&[&escaped], &format!("/etc/{name}")), "{}", escaped);
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = "*a".repeat(50) + "b";
        assert!(!leave_out(&[&pattern], &format!("/{}", "a".repeat(2000))));
    }
}
