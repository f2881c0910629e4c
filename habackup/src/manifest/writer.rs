//! Writes a manifest in passing, an entry a line.

use super::{Entry, ManifestHeader, Trailer};
use anyhow::Context;
use std::fs::File;
use std::io::{BufWriter, Write};

/// The field that ends a manifest; what stands before it is what it is the hash of.
pub(super) const CHECKSUM: &[u8] = b",\"checksum\":\"";

/// A manifest being written.
#[derive(Debug)]
pub struct Writer {
    file: BufWriter<File>,
    hasher: blake3::Hasher,
    line: Vec<u8>,
    /// Lines on their way to the hash, which takes many at once far faster than one by one.
    unhashed: Vec<u8>,
    entries: u64,
}

const HASHED_AT_ONCE: usize = 1 << 16;

impl Writer {
    /// Begins a manifest in an empty file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(file: File, header: &ManifestHeader) -> anyhow::Result<Self> {
        let mut writer = Self {
            file: BufWriter::with_capacity(1 << 17, file),
            hasher: blake3::Hasher::new(),
            line: Vec::new(),
            unhashed: Vec::with_capacity(HASHED_AT_ONCE),
            entries: 0,
        };
        writer.line = serde_json::to_vec(header)?;
        writer.line.pop();
        writer.line.extend_from_slice(b",\"entries\":[");
        writer.put()?;
        Ok(writer)
    }

    /// Adds an entry, which must follow the one before in walk order.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, entry: &Entry) -> anyhow::Result<()> {
        self.line.extend_from_slice(if self.entries == 0 { b"\n" } else { b",\n" });
        serde_json::to_writer(&mut self.line, entry)?;
        self.entries += 1;
        self.put()
    }

    /// Adds an entry that is JSON already: one that stood in a manifest, or was made by `serde_json`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add_json(&mut self, entry: &[u8]) -> anyhow::Result<()> {
        self.line.extend_from_slice(if self.entries == 0 { b"\n" } else { b",\n" });
        self.line.extend_from_slice(entry);
        self.entries += 1;
        self.put()
    }

    /// Ends the manifest and returns its file, written but not synced.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self, trailer: &Trailer) -> anyhow::Result<File> {
        let rest = serde_json::to_vec(trailer)?;
        self.line.extend_from_slice(b"\n],");
        self.line.extend_from_slice(&rest[1..rest.len() - 1]);
        self.put()?;
        self.hasher.update(&self.unhashed);
        self.line.extend_from_slice(CHECKSUM);
        self.line.extend_from_slice(self.hasher.finalize().to_hex().as_bytes());
        self.line.extend_from_slice(b"\"}\n");
        self.put()?;
        self.file.into_inner().map_err(std::io::IntoInnerError::into_error).context("write the manifest")
    }

    fn put(&mut self) -> anyhow::Result<()> {
        self.unhashed.extend_from_slice(&self.line);
        if self.unhashed.len() >= HASHED_AT_ONCE {
            self.hasher.update(&self.unhashed);
            self.unhashed.clear();
        }
        self.file.write_all(&self.line).context("write the manifest")?;
        self.line.clear();
        Ok(())
    }
}
