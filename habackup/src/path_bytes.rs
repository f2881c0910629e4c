//! Names exactly as the kernel has them: paths, link targets, names of extended attributes.
//!
//! In JSON a name is a string when it is UTF-8, and otherwise an object `{"hex": "2f65…", "shown":
//! "/e�"}`, of which only `hex` is read back: no file is lost because of the bytes of its name.

use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A name as bytes.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct PathBytes(Box<[u8]>);

impl PathBytes {
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(&self.0)
    }

    pub fn as_path(&self) -> &Path {
        Path::new(self.as_os_str())
    }

    /// Returns this absolute path without its leading `/`, as it stands below `tree/`.
    pub fn relative(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.0.strip_prefix(b"/").unwrap_or(&self.0)))
    }

    /// Tells whether this path is `above` or lies below it.
    pub fn is_within(&self, above: &[u8]) -> bool {
        above == b"/" || self.0.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }

    /// Tells whether this is an absolute path without empty, `.` or `..` parts and without NUL: the
    /// only kind that is ever restored.
    pub fn is_plain_path(&self) -> bool {
        let Some(rest) = self.0.strip_prefix(b"/") else { return false };
        !self.0.contains(&0)
            && rest.split(|&byte| byte == b'/').all(|part| !matches!(part, b"" | b"." | b".."))
    }
}

/// Compares two paths in the order of a walk: a folder, what is in it, then what follows it.
pub fn walk_order(a: &[u8], b: &[u8]) -> Ordering {
    let rank = |byte: &u8| if *byte == b'/' { 0 } else { *byte };
    // Neighbours begin alike, and what is alike is passed over eight bytes at a time.
    let alike = a.chunks_exact(8).zip(b.chunks_exact(8)).take_while(|(a, b)| a == b).count() * 8;
    a[alike..].iter().map(rank).cmp(b[alike..].iter().map(rank))
}

impl Ord for PathBytes {
    fn cmp(&self, other: &Self) -> Ordering {
        walk_order(&self.0, &other.0)
    }
}

impl PartialOrd for PathBytes {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<&Path> for PathBytes {
    fn from(path: &Path) -> Self {
        Self(path.as_os_str().as_bytes().into())
    }
}

impl From<&str> for PathBytes {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().into())
    }
}

impl fmt::Display for PathBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for PathBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_os_str())
    }
}

impl Serialize for PathBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Ok(text) = std::str::from_utf8(&self.0) {
            return serializer.serialize_str(text);
        }
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("hex", &encode_hex(&self.0))?;
        map.serialize_entry("shown", &self.to_string())?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for PathBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameVisitor)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = PathBytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name, or {\"hex\": its bytes}")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<PathBytes, E> {
        Ok(PathBytes::from(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PathBytes, A::Error> {
        let mut bytes = None;
        while let Some((key, value)) = map.next_entry::<String, String>()? {
            if key == "hex" {
                bytes = Some(decode_hex(&value).ok_or_else(|| A::Error::custom("hex: not hexadecimal"))?);
            }
        }
        bytes.map(PathBytes::new).ok_or_else(|| A::Error::missing_field("hex"))
    }
}

/// Returns bytes as lower-case hexadecimal.
pub fn encode_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Returns the bytes that hexadecimal text stands for, if it is such.
pub fn decode_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() % 2 != 0 {
        return None;
    }
    text.as_bytes().chunks_exact(2).map(byte_of).collect()
}

/// Reads exactly as many bytes as `bytes` has room for, if the text is their hexadecimal.
pub fn decode_hex_into(text: &str, bytes: &mut [u8]) -> Option<()> {
    if text.len() != bytes.len() * 2 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = byte_of(pair)?;
    }
    Some(())
}

fn byte_of(pair: &[u8]) -> Option<u8> {
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    };
    Some(nibble(pair[0])? << 4 | nibble(pair[1])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_name_survives_json(bytes: Vec<u8>) {
            let name = PathBytes::new(bytes);
            let json = serde_json::to_string(&name).unwrap();
            prop_assert_eq!(serde_json::from_str::<PathBytes>(&json).unwrap(), name);
        }

        #[test]
        fn walk_order_is_the_order_of_the_components(a in "[a-c./-]{0,9}", b in "[a-c./-]{0,9}") {
            let (a, b) = (format!("/{a}"), format!("/{b}"));
            let by_parts = a.split('/').collect::<Vec<_>>().cmp(&b.split('/').collect::<Vec<_>>());
            prop_assert_eq!(walk_order(a.as_bytes(), b.as_bytes()), by_parts);
        }
    }

    #[test]
    fn only_plain_absolute_paths_are_plain() {
        for (path, plain) in [
            ("/a/b", true),
            ("/a", true),
            ("a", false),
            ("/", false),
            ("/a/../b", false),
            ("/a//b", false),
            ("/a/.", false),
            ("", false),
        ] {
            assert_eq!(PathBytes::from(path).is_plain_path(), plain, "{path}");
        }
        assert!(!PathBytes::new(*b"/a\0b").is_plain_path());
        assert!(PathBytes::from("/a/b").is_within(b"/a") && !PathBytes::from("/ab").is_within(b"/a"));
    }
}
