//! Reads TOML that people write: every value with its place, every error at once, unknown keys
//! refused with a did-you-mean.
//!
//! A key that is misspelt and silently ignored powers off the wrong thing, so a [`Table`] remembers
//! which keys were asked for and reports all others when it is closed.

use crate::duration;
use orderly_plan::diagnostic::{Diagnostic, Diagnostics, Excerpt, Source, SourceLines};
use std::cell::RefCell;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A parsed file and what was found wrong with it so far.
#[derive(Debug)]
pub struct TomlDocument<'a> {
    source: SourceLines<'a>,
    root: Spanned<DeTable<'a>>,
    wrong: RefCell<Diagnostics>,
}

impl<'a> TomlDocument<'a> {
    /// Parses a text; `name` is the file's name for messages.
    ///
    /// # Errors
    /// All places at which it is not TOML.
    pub fn parse(name: &'a str, text: &'a str) -> Result<Self, Diagnostics> {
        let source = SourceLines::new(Source { name, text });
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut wrong = Diagnostics::default();
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            wrong.push(redacted(source.diagnose(span, error.message().to_lowercase())));
        }
        wrong.or(Self { source, root, wrong: RefCell::default() })
    }

    /// Returns the top table.
    pub fn root(&self) -> Table<'_> {
        Table {
            source: &self.source,
            wrong: &self.wrong,
            path: String::new(),
            span: 0..0,
            entries: self.root.get_ref(),
            asked: RefCell::default(),
        }
    }

    /// Returns `value` when nothing was wrong.
    ///
    /// # Errors
    /// Everything that was wrong, in order of place.
    pub fn finish<T>(self, value: T) -> Result<T, Diagnostics> {
        let wrong = self.wrong.into_inner().0.into_iter().map(redacted).collect();
        Diagnostics(wrong).or(value)
    }
}

/// One table being read. A missing or wrong value reads as `None`; wrong ones are remembered.
#[derive(Debug)]
pub struct Table<'d> {
    source: &'d SourceLines<'d>,
    wrong: &'d RefCell<Diagnostics>,
    path: String,
    span: Range<usize>,
    entries: &'d DeTable<'d>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'d> Table<'d> {
    /// Returns the keys, for tables whose keys are names (`[override.node.NAME]`).
    pub fn keys(&self) -> Vec<&'d str> {
        self.entries.keys().map(|key| key.get_ref().as_ref()).collect()
    }

    /// Tells whether the key is there, right or wrong.
    pub fn has(&self, key: &'static str) -> bool {
        self.find(key).is_some()
    }

    /// Returns a text.
    pub fn text(&self, key: &'static str) -> Option<String> {
        let value = self.find(key)?;
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong_kind(key, value, "a text in quotes");
        }
        text.map(str::to_owned)
    }

    /// Returns a text that must be there.
    pub fn need_text(&self, key: &'static str) -> Option<String> {
        self.need(key);
        self.text(key)
    }

    /// Returns a text with more in it than blanks; `wanted` says what belongs there.
    pub fn filled_text(&self, key: &'static str, wanted: &str) -> Option<String> {
        let text = self.text(key)?;
        if text.trim().is_empty() {
            self.reject(key, format!("{}: is empty; write {wanted}", self.named(key)));
            return None;
        }
        Some(text)
    }

    /// Returns one word, which has no blanks in it; `wanted` says what belongs there.
    pub fn single_word(&self, key: &'static str, wanted: &str) -> Option<String> {
        let text = self.filled_text(key, wanted)?;
        if text.contains(char::is_whitespace) {
            self.reject(key, format!("{}: \"{text}\" has blanks in it; write {wanted}", self.named(key)));
            return None;
        }
        Some(text)
    }

    /// Returns a path.
    pub fn path(&self, key: &'static str) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }

    /// Returns an absolute path without `..`, which programs run as root must insist on.
    pub fn absolute_path(&self, key: &'static str) -> Option<PathBuf> {
        let path = self.path(key)?;
        let plain =
            path.is_absolute() && !path.components().any(|part| part == std::path::Component::ParentDir);
        if !plain {
            self.reject(key, format!("{}: must be an absolute path without \"..\"", self.named(key)));
        }
        plain.then_some(path)
    }

    /// Returns yes or no.
    pub fn flag(&self, key: &'static str) -> Option<bool> {
        let value = self.find(key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong_kind(key, value, "true or false");
        }
        flag
    }

    /// Returns a whole number not below 0.
    pub fn number(&self, key: &'static str) -> Option<u64> {
        let value = self.find(key)?;
        let number = value
            .get_ref()
            .as_integer()
            .and_then(|integer| u64::from_str_radix(integer.as_str(), integer.radix()).ok());
        if number.is_none() {
            self.wrong_kind(key, value, "a whole number, 0 or more");
        }
        number
    }

    /// Returns a duration: `"90s"`, `"10m"`, `"50ms"`, or a bare number of seconds.
    pub fn duration(&self, key: &'static str) -> Option<Duration> {
        let value = self.find(key)?;
        if value.get_ref().as_integer().is_some() {
            return self.number(key).map(Duration::from_secs);
        }
        let text = self.text(key)?;
        match duration::parse(&text) {
            Ok(duration) => Some(duration),
            Err(clause) => {
                self.reject(key, format!("{}: {clause}", self.named(key)));
                None
            }
        }
    }

    /// Returns how long something may take, which is longer than 0.
    pub fn limit(&self, key: &'static str) -> Option<Duration> {
        let limit = self.duration(key)?;
        if limit.is_zero() {
            self.reject(key, format!("{}: must be longer than 0", self.named(key)));
            return None;
        }
        Some(limit)
    }

    /// Returns the number of a port, from 1 to 65535.
    pub fn port(&self, key: &'static str) -> Option<u16> {
        let number = self.number(key)?;
        let port = u16::try_from(number).ok().filter(|&port| port > 0);
        if port.is_none() {
            self.reject(key, format!("{}: from 1 to 65535", self.named(key)));
        }
        port
    }

    /// Returns a list of texts.
    pub fn texts(&self, key: &'static str) -> Option<Vec<String>> {
        self.find(key).and_then(|value| self.text_list(key, value))
    }

    /// Returns an argument vector: a list of texts with at least a program.
    pub fn argv(&self, key: &'static str) -> Option<Vec<String>> {
        let value = self.find(key)?;
        if value.get_ref().as_str().is_some() {
            let diagnostic = self
                .source
                .diagnose(value.span(), format!("{}: a command is a list of arguments", self.named(key)));
            self.wrong
                .borrow_mut()
                .push(diagnostic.hint(r#"write ["program", "argument"], or ["sh", "-c", "…"] for a shell"#));
            return None;
        }
        let argv = self.text_list(key, value)?;
        if argv.first().is_none_or(String::is_empty) {
            self.reject(key, format!("{}: names no program", self.named(key)));
            return None;
        }
        Some(argv)
    }

    /// Returns a list of argument vectors.
    pub fn argvs(&self, key: &'static str) -> Option<Vec<Vec<String>>> {
        let value = self.find(key)?;
        let Some(list) = value.get_ref().as_array() else {
            self.wrong_kind(key, value, "a list of commands, each a list of arguments");
            return None;
        };
        let argvs: Vec<Vec<String>> =
            list.iter().map(|item| self.text_list(key, item)).collect::<Option<_>>()?;
        for (number, argv) in argvs.iter().enumerate() {
            if argv.first().is_none_or(String::is_empty) {
                self.reject_item(key, number, format!("{}: names no program", self.named(key)));
            }
        }
        Some(argvs)
    }

    /// Returns one of these words.
    pub fn word(&self, key: &'static str, words: &[&'static str]) -> Option<&'static str> {
        let text = self.text(key)?;
        let found = words.iter().copied().find(|word| *word == text);
        if found.is_none() {
            let span = self.find(key).map_or(0..0, Spanned::span);
            let message = format!("{}: \"{text}\" is not one of {}", self.named(key), words.join(", "));
            self.wrong
                .borrow_mut()
                .push(self.source.diagnose(span, message).suggest(&text, words.iter().copied()));
        }
        found
    }

    /// Returns one of some words; where the key is left out, `base`, without which it is needed.
    pub fn word_or(
        &self,
        key: &'static str,
        words: &[&'static str],
        base: Option<&'static str>,
    ) -> Option<&'static str> {
        if self.has(key) {
            return self.word(key, words);
        }
        if base.is_none() {
            self.need(key);
        }
        base
    }

    /// Returns a table below this one.
    pub fn table(&self, key: &'static str) -> Option<Self> {
        let value = self.find(key)?;
        let Some(entries) = value.get_ref().as_table() else {
            self.wrong_kind(key, value, "a table");
            return None;
        };
        Some(self.below(key, value.span(), entries))
    }

    /// Returns the table of a name that people chose (see [`Table::keys`]).
    pub fn named_table(&self, name: &str) -> Option<Self> {
        let value = self.entries.get(name)?;
        let Some(entries) = value.get_ref().as_table() else {
            self.wrong_kind(name, value, "a table");
            return None;
        };
        Some(self.below(name, value.span(), entries))
    }

    /// Returns the texts of a table whose keys are names that people chose, in order of these.
    pub fn texts_by_name(&self) -> Vec<(String, String)> {
        let mut texts = Vec::new();
        for (key, value) in self.entries {
            match value.get_ref().as_str() {
                Some(text) => texts.push((key.get_ref().to_string(), text.to_owned())),
                None => self.wrong_kind(key.get_ref(), value, "a text in quotes"),
            }
        }
        texts
    }

    /// Returns the tables of a list of tables (`[[service]]`), empty when there is none.
    pub fn tables(&self, key: &'static str) -> Vec<Self> {
        let Some(value) = self.find(key) else { return Vec::new() };
        let Some(list) = value.get_ref().as_array() else {
            self.wrong_kind(key, value, &format!("a list of tables; write [[{}]]", self.named(key)));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (index, item) in list.iter().enumerate() {
            match item.get_ref().as_table() {
                Some(entries) => {
                    tables.push(self.below(&format!("{key}[{}]", index + 1), item.span(), entries));
                }
                None => self.wrong_kind(key, item, "a table"),
            }
        }
        tables
    }

    /// Remembers that the key must be there when it is not.
    pub fn need(&self, key: &'static str) {
        if self.find(key).is_none() {
            let message = format!("{} is missing", self.named(key));
            let diagnostic = if self.path.is_empty() {
                Diagnostic::about(self.source.name(), message)
            } else {
                self.source.diagnose(self.span.start..self.span.start + 1, message)
            };
            self.wrong.borrow_mut().push(diagnostic);
        }
    }

    /// Remembers that the value of a key is wrong; `message` should name it, see [`Table::named`].
    pub fn reject(&self, key: &str, message: impl Into<String>) {
        let span = self.entries.get(key).map_or(self.span.clone(), Spanned::span);
        self.wrong.borrow_mut().push(self.source.diagnose(span, message));
    }

    /// As [`Table::reject`], of one item of a list, counted from 0.
    pub fn reject_item(&self, key: &'static str, number: usize, message: impl Into<String>) {
        let item = self.find(key).and_then(|value| value.get_ref().as_array()?.get(number));
        match item {
            Some(item) => self.wrong.borrow_mut().push(self.source.diagnose(item.span(), message)),
            None => self.reject(key, message),
        }
    }

    /// As [`Table::reject`], where the line itself must not be shown: it holds a secret.
    pub fn reject_unshown(&self, key: &str, message: impl Into<String>) {
        self.reject(key, message);
        if let Some(last) = self.wrong.borrow_mut().0.last_mut() {
            last.excerpt = None;
        }
    }

    /// Returns the whole name of a key: `override.node.n01.timeout`.
    pub fn named(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Reports the keys that nobody asked for. To be called when the table has been read.
    pub fn end(self) {
        let asked = self.asked.borrow();
        for (key, _) in self.entries {
            let name: &str = key.get_ref();
            if !asked.contains(&name) {
                let message = format!("unknown key {}", self.named(name));
                let diagnostic =
                    self.source.diagnose(key.span(), message).suggest(name, asked.iter().copied());
                self.wrong.borrow_mut().push(diagnostic);
            }
        }
    }

    fn find(&self, key: &'static str) -> Option<&'d Spanned<DeValue<'d>>> {
        if !self.asked.borrow().contains(&key) {
            self.asked.borrow_mut().push(key);
        }
        self.entries.get(key)
    }

    fn text_list(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Vec<String>> {
        let list = value.get_ref().as_array().and_then(|list| {
            list.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        });
        if list.is_none() {
            self.wrong_kind(key, value, "a list of texts in quotes");
        }
        list
    }

    fn wrong_kind(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        let message = format!("{} must be {wanted}", self.named(key));
        self.wrong.borrow_mut().push(self.source.diagnose(value.span(), message));
    }

    fn below(&self, key: &str, span: Range<usize>, entries: &'d DeTable<'d>) -> Self {
        Self {
            source: self.source,
            wrong: self.wrong,
            path: self.named(key),
            span,
            entries,
            asked: RefCell::default(),
        }
    }
}

/// Returns a diagnostic without its line where that may hold a password: what is wrong is printed,
/// mailed by cron and pasted into tickets.
fn redacted(mut diagnostic: Diagnostic) -> Diagnostic {
    let tells = |excerpt: &Excerpt| excerpt.line.to_lowercase().contains("password");
    if diagnostic.excerpt.as_ref().is_some_and(tells) {
        diagnostic.excerpt = None;
    }
    diagnostic
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_errors_come_at_once_with_place_and_did_you_mean() {
        let text = "timeot = \"9s\"\ncommand = \"rm -rf /\"\n[limits]\nfanout = -1\nboot = \"soon\"\n";
        let document = TomlDocument::parse("cluster.toml", text).unwrap();
        let root = document.root();
        root.duration("timeout");
        root.argv("command");
        if let Some(limits) = root.table("limits") {
            limits.number("fanout");
            limits.duration("boot");
            limits.end();
        }
        root.end();
        let said = document.finish(()).unwrap_err().to_string();
        for part in [
            "cluster.toml:1:1: unknown key timeot",
            "did you mean \"timeout\"?",
            "cluster.toml:2:11: command: a command is a list",
            "cluster.toml:4:10: limits.fanout must be a whole number",
            "cluster.toml:5:8: limits.boot: \"soon\" is not a duration",
        ] {
            assert!(said.contains(part), "{part}\nin\n{said}");
        }
    }
}
