//! The options of a line of fstab(5), as util-linux reads them and as systemd does, which differ: what either
//! of them would mount is mounted.

use crate::mountinfo;

/// The options of one line, in each way in which they are taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    /// Of libmount: escapes of the table undone, no comma within quotes separates.
    quoted: Vec<String>,
    /// Of systemd: a comma behind a backslash does not separate.
    escaped: Vec<String>,
    /// Of everything older: each comma separates.
    plain: Vec<String>,
}

impl Options {
    pub(super) fn read(field: &str) -> Self {
        let undone = mountinfo::unescape(field.as_bytes()).to_string_lossy().into_owned();
        let mut is_quoted = false;
        let quoted = split(&undone, |character, _| {
            is_quoted ^= character == '"';
            character == ',' && !is_quoted
        });
        let escaped = split(field, |character, before| character == ',' && before != Some('\\'));
        Self { quoted, escaped, plain: field.split(',').map(str::to_owned).collect() }
    }

    /// Tells whether the line is mounted at boot: libmount leaves out one with `noauto` anywhere, systemd one of
    /// whose `auto` and `noauto` the last is `noauto`; both whatever value is given to it.
    pub(super) fn mount_at_boot(&self) -> bool {
        let by_libmount = !self.quoted.iter().any(|option| is(option, "noauto"));
        let by_systemd = |options: &[String]| {
            let last = options.iter().rfind(|option| is(option, "auto") || is(option, "noauto"));
            !last.is_some_and(|option| is(option, "noauto"))
        };
        by_libmount || by_systemd(&self.escaped) || by_systemd(&self.plain)
    }

    /// Tells whether an option is given, with a value or without, in any way of reading them.
    pub(super) fn has(&self, name: &str) -> bool {
        [&self.quoted, &self.escaped, &self.plain].into_iter().flatten().any(|option| is(option, name))
    }

    /// Returns the values of an option that may be given several times.
    pub(super) fn values<'l>(&'l self, name: &'l str) -> impl Iterator<Item = &'l str> {
        self.plain.iter().filter_map(move |option| option.strip_prefix(name)?.strip_prefix('='))
    }
}

fn is(option: &str, name: &str) -> bool {
    option.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
}

fn split(text: &str, mut separates: impl FnMut(char, Option<char>) -> bool) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut before = None;
    for character in text.chars() {
        if separates(character, before) {
            parts.push(String::new());
        } else if let Some(last) = parts.last_mut() {
            last.push(character);
        }
        before = Some(character);
    }
    parts
}
