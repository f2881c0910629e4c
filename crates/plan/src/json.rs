//! JSON that people write: every value with its place, so that all errors are told at once.
//!
//! serde_json checks the whole text first; then each level is read as raw slices of that text, whose
//! offsets are the places.

use crate::diagnostic::{Diagnostic, Diagnostics, Source};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// One value of a JSON text.
#[derive(Debug, Clone, Copy)]
pub struct Json<'a> {
    source: Source<'a>,
    raw: &'a RawValue,
}

/// A key of an object and its value.
#[derive(Debug)]
pub struct JsonMember<'a> {
    pub key: Cow<'a, str>,
    pub value: Json<'a>,
    source: Source<'a>,
}

impl<'a> Json<'a> {
    /// Parses a whole text.
    ///
    /// # Errors
    /// Where it is not JSON.
    pub fn parse(source: Source<'a>) -> Result<Self, Diagnostics> {
        match serde_json::from_str(source.text) {
            Ok(raw) => Ok(Self { source, raw }),
            Err(error) => Err(Diagnostics::from(broken(source, &error))),
        }
    }

    /// Returns where the value stands in the text.
    pub fn range(&self) -> Range<usize> {
        range_of(self.source, self.raw.get())
    }

    /// Returns a diagnostic that underlines the value.
    pub fn diagnose(&self, message: impl Into<String>) -> Diagnostic {
        let range = self.range();
        // Of a long value the first line is enough to find it.
        let shown = self.raw.get().find('\n').unwrap_or(self.raw.get().len());
        self.source.diagnose(range.start..range.start + shown, message)
    }

    /// Returns the members of an object in the order written, keys that stand twice twice; nothing
    /// when it is no object.
    pub fn members(&self) -> Option<Vec<JsonMember<'a>>> {
        let members: JsonMembers<'a> = serde_json::from_str(self.raw.get()).ok()?;
        let source = self.source;
        Some(
            members
                .0
                .into_iter()
                .map(|(key, raw)| JsonMember { key: key.0, value: Json { source, raw }, source })
                .collect(),
        )
    }

    /// Returns the items of a list; nothing when it is no list.
    pub fn items(&self) -> Option<Vec<Self>> {
        let items: Vec<&'a RawValue> = serde_json::from_str(self.raw.get()).ok()?;
        Some(items.into_iter().map(|raw| Self { source: self.source, raw }).collect())
    }

    /// Returns a text; nothing when it is none.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        serde_json::from_str::<Borrowed<'a>>(self.raw.get()).ok().map(|text| text.0)
    }

    /// Returns a whole number from 0 to 2^32-1; nothing when it is none.
    pub fn number(&self) -> Option<u32> {
        serde_json::from_str(self.raw.get()).ok()
    }

    /// Returns a whole number as it is written, however large.
    pub fn digits(&self) -> Option<&str> {
        let raw = self.raw.get();
        raw.bytes().all(|byte| byte.is_ascii_digit()).then_some(raw)
    }

    pub fn is_null(&self) -> bool {
        self.raw.get() == "null"
    }

    /// Returns the value as a whole.
    ///
    /// # Errors
    /// When it is nested too deeply or holds text that is no Unicode.
    pub fn value(&self) -> Result<serde_json::Value, Diagnostics> {
        serde_json::from_str(self.raw.get()).map_err(|error| self.diagnose(clause(&error)).into())
    }
}

impl<'a> JsonMember<'a> {
    /// Returns where the key stands in the text, quotes included.
    pub fn key_range(&self) -> Range<usize> {
        match &self.key {
            Cow::Borrowed(key) => {
                let range = range_of(self.source, key);
                range.start.saturating_sub(1)..range.end + 1
            }
            // A key with escapes is not a slice of the text; its value stands next to it.
            Cow::Owned(_) => self.value.range().start..self.value.range().start + 1,
        }
    }

    /// Returns a member of another name, or another value of the same text.
    #[must_use]
    pub fn with<'k>(&self, key: &'k str, value: Json<'k>) -> JsonMember<'k>
    where
        'a: 'k,
    {
        JsonMember { key: Cow::Borrowed(key), value, source: self.source }
    }

    /// Returns a diagnostic that underlines the key.
    pub fn diagnose_key(&self, message: impl Into<String>) -> Diagnostic {
        self.source.diagnose(self.key_range(), message)
    }
}

/// Returns where a slice of the text of `source` begins and ends.
fn range_of(source: Source<'_>, slice: &str) -> Range<usize> {
    let start = (slice.as_ptr() as usize).saturating_sub(source.text.as_ptr() as usize);
    start..start + slice.len()
}

fn broken(source: Source<'_>, error: &serde_json::Error) -> Diagnostic {
    let line_start: usize =
        source.text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let at = line_start + error.column().saturating_sub(1);
    source.diagnose(at..at + 1, format!("not JSON: {}", clause(error)))
}

/// Returns what serde_json says without its own place, which counts from the start of a slice.
fn clause(error: &serde_json::Error) -> String {
    let said = error.to_string();
    said.rfind(" at line ").map_or(said.as_str(), |at| &said[..at]).to_owned()
}

struct Borrowed<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Borrowed<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Borrowed<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Borrowed(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Borrowed(Cow::Owned(text.to_owned())))
    }
}

struct JsonMembers<'a>(Vec<(Borrowed<'a>, &'a RawValue)>);

impl<'de> Deserialize<'de> for JsonMembers<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = JsonMembers<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(JsonMembers(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_know_their_place() {
        let source = Source { name: "i.json", text: "{\n  \"größe\": [1, {\"a\\n\": null}]\n}" };
        let members = Json::parse(source).unwrap().members().unwrap();
        let items = members[0].value.items().unwrap();
        assert_eq!(members[0].diagnose_key("x").to_string().lines().next(), Some("i.json:2:3: x"));
        assert_eq!(items[1].diagnose("x").to_string().lines().next(), Some("i.json:2:16: x"));
        assert_eq!(items[0].number(), Some(1));
        assert_eq!(items[1].members().unwrap()[0].key, "a\n");
        assert!(items[1].members().unwrap()[0].value.is_null());
    }

    #[test]
    fn what_is_no_json_is_said_with_its_place() {
        let source = Source { name: "i.json", text: "{\"a\": 1,\n \"b\" 2}" };
        let said = Json::parse(source).unwrap_err().to_string();
        assert!(said.starts_with("i.json:2:6: not JSON: expected `:`"), "{said}");
        assert!(Json::parse(Source { name: "-", text: "" }).is_err());
        assert!(Json::parse(Source { name: "-", text: &"[".repeat(100_000) }).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_json_or_an_error(text in "[\\[\\]{}\":,a1\\\\ud \n-]{0,40}|\\PC{0,20}") {
            if let Ok(json) = Json::parse(Source { name: "-", text: &text }) {
                let _ = (json.members().map(|m| m.len()), json.items(), json.text(), json.value());
                let _ = json.diagnose("x");
            }
        }
    }
}
