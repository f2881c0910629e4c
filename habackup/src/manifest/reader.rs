//! Reads a manifest in passing, an entry a line; a cut, edited or unordered one is an error.

use super::writer::CHECKSUM;
use super::{Entry, FORMAT, ManifestHeader, Trailer};
use crate::path_bytes::walk_order;
use anyhow::{Context, bail, ensure};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};

/// The longest line: a path, a link target and 64 KiB of attributes, each written as hexadecimal.
const LINE_LIMIT: u64 = 1 << 22;

const HASHED_AT_ONCE: usize = 1 << 16;

/// A manifest being read.
#[derive(Debug)]
pub struct ManifestReader<R = BufReader<File>> {
    text: R,
    header: ManifestHeader,
    trailer: Option<Trailer>,
    hasher: blake3::Hasher,
    line: Vec<u8>,
    /// Lines on their way to the hash, which takes many at once far faster than one by one.
    unhashed: Vec<u8>,
    number: usize,
    last: Vec<u8>,
}

impl ManifestReader {
    /// Begins to read a manifest.
    ///
    /// # Errors
    /// When it cannot be read or is none.
    pub fn open(file: File) -> anyhow::Result<Self> {
        Self::begin(BufReader::with_capacity(1 << 17, file))
    }
}

impl<R: BufRead> ManifestReader<R> {
    /// Begins to read a manifest from any text.
    ///
    /// # Errors
    /// When it cannot be read or is none.
    pub fn begin(text: R) -> anyhow::Result<Self> {
        let mut line = Vec::new();
        let mut text = text;
        read_line(&mut text, &mut line).context("line 1")?;
        let Some(head) = line.strip_suffix(b",\"entries\":[\n") else {
            bail!("line 1: not a manifest of {FORMAT}")
        };
        let header: ManifestHeader = serde_json::from_slice(&[head, b"}"].concat()).context("line 1")?;
        ensure!(header.format == FORMAT, "line 1: format \"{}\" is not {FORMAT}", header.format);
        let mut hasher = blake3::Hasher::new();
        hasher.update(&line);
        let unhashed = Vec::with_capacity(HASHED_AT_ONCE);
        let reader =
            Self { text, header, trailer: None, hasher, line, unhashed, number: 1, last: Vec::new() };
        Ok(reader)
    }

    pub fn header(&self) -> &ManifestHeader {
        &self.header
    }

    /// Returns the next entry; `None` after the last one, when the trailer has been read and the
    /// checksum found right.
    ///
    /// # Errors
    /// Names the line.
    pub fn next_entry(&mut self) -> anyhow::Result<Option<Entry>> {
        if !self.next_line()? {
            return Ok(None);
        }
        let entry: Entry =
            serde_json::from_slice(entry_of(&self.line)).with_context(|| format!("line {}", self.number))?;
        ensure!(
            entry.path.is_plain_path(),
            "line {}: \"{}\" is not a plain absolute path",
            self.number,
            entry.path
        );
        ensure!(
            walk_order(&self.last, entry.path.as_bytes()).is_lt(),
            "line {}: \"{}\" stands out of order",
            self.number,
            entry.path
        );
        self.last.clear();
        self.last.extend_from_slice(entry.path.as_bytes());
        Ok(Some(entry))
    }

    /// Returns the JSON of the entry that was returned last.
    pub fn json(&self) -> &[u8] {
        entry_of(&self.line)
    }

    /// Reads the next entry's line; `false` after the last one, when the trailer has been read.
    fn next_line(&mut self) -> anyhow::Result<bool> {
        if self.trailer.is_some() {
            return Ok(false);
        }
        self.number += 1;
        read_line(&mut self.text, &mut self.line).with_context(|| format!("line {}", self.number))?;
        if self.line.starts_with(b"]") {
            self.read_trailer().with_context(|| format!("line {}", self.number))?;
            return Ok(false);
        }
        self.unhashed.extend_from_slice(&self.line);
        if self.unhashed.len() >= HASHED_AT_ONCE {
            self.hasher.update(&self.unhashed);
            self.unhashed.clear();
        }
        Ok(true)
    }

    /// Reads what is left and returns the header and the trailer alone. The checksum vouches for the
    /// entries between them, which are not looked at.
    ///
    /// # Errors
    /// Names the line.
    pub fn into_ends(mut self) -> anyhow::Result<(ManifestHeader, Trailer)> {
        while self.next_line()? {}
        let trailer = self.trailer.context("the manifest ends early")?;
        Ok((self.header, trailer))
    }

    fn read_trailer(&mut self) -> anyhow::Result<()> {
        let at = self
            .line
            .windows(CHECKSUM.len())
            .rposition(|window| window == CHECKSUM)
            .context("the manifest has no checksum")?;
        let (covered, sum) = self.line.split_at(at);
        self.hasher.update(&self.unhashed);
        self.hasher.update(covered);
        let wanted = self.hasher.finalize().to_hex();
        let told = sum
            .strip_prefix(CHECKSUM)
            .and_then(|rest| rest.strip_suffix(b"\"}\n"))
            .context("the checksum is cut")?;
        ensure!(
            told == wanted.as_bytes(),
            "the checksum does not match: the manifest was changed after it was written"
        );
        let body = covered.strip_prefix(b"],").context("not the end of a manifest")?;
        let whole = [b"{".as_slice(), body, b"}"].concat();
        self.trailer = Some(serde_json::from_slice(&whole)?);
        self.line.clear();
        let after =
            (&mut self.text).take(1).read_until(b'\n', &mut self.line).context("read the manifest")?;
        ensure!(after == 0, "something follows the end of the manifest");
        Ok(())
    }
}

/// Returns the JSON in the line of an entry.
fn entry_of(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b",").unwrap_or(line)
}

fn read_line(text: &mut impl BufRead, line: &mut Vec<u8>) -> anyhow::Result<()> {
    line.clear();
    let count = text.take(LINE_LIMIT).read_until(b'\n', line).context("read the manifest")?;
    ensure!(count > 0, "the manifest ends early");
    ensure!(line.ends_with(b"\n"), "the line is cut or too long");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{AssetTitle, Kind, Sources, Totals, Writer};
    use super::*;
    use crate::path_bytes::PathBytes;
    use proptest::prelude::*;
    use std::io::{Seek, SeekFrom};

    fn sample(paths: &[Vec<u8>]) -> Vec<u8> {
        let header = ManifestHeader {
            format: FORMAT.into(),
            id: "2026-01-02T03-04-05Z".into(),
            started: "2026-01-02T03:04:05.000Z".into(),
            host: "ec1".into(),
            hostid: "007f0100".into(),
            machine: "x86_64".into(),
            asset: AssetTitle { kind: "bind".into(), name: "/srv".into(), identity: "1".into() },
            holding: Some(3),
            owes: Some("2026-01-01T00-00-00Z".into()),
            continues: None,
            version: "0.1.0".into(),
            sources: Sources::default(),
        };
        let mut file = tempfile::tempfile().unwrap();
        let mut writer = Writer::begin(file.try_clone().unwrap(), &header).unwrap();
        for path in paths {
            let entry = Entry {
                path: PathBytes::new(path.clone()),
                kind: Kind::File,
                size: 3,
                mode: 0o4755,
                uid: 1,
                gid: 2,
                user: Some("daemon".into()),
                group: None,
                mtime_ns: i128::from(i64::MAX) * 2,
                ctime_ns: -1,
                device: 5,
                inode: u64::MAX,
                blake3: Some(blake3::hash(b"abc").into()),
                target: None,
                device_number: None,
                xattrs: vec![super::super::Xattr { name: "user.a".into(), value: vec![0, 255] }],
                link_group: Some(1),
                changed: true,
                parent: false,
                manifest_only: true,
            };
            writer.add(&entry).unwrap();
        }
        let trailer = Trailer {
            totals: Totals { files: 1, ..Totals::default() },
            complete: true,
            ..Trailer::default()
        };
        writer.finish(&trailer).unwrap();
        let mut text = Vec::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_end(&mut text).unwrap();
        text
    }

    fn read(text: &[u8]) -> anyhow::Result<(Vec<Entry>, Trailer)> {
        let mut reader = ManifestReader::begin(text)?;
        let mut entries = Vec::new();
        while let Some(entry) = reader.next_entry()? {
            entries.push(entry);
        }
        Ok((entries, reader.into_ends()?.1))
    }

    #[test]
    fn a_manifest_is_one_json_document_and_reads_back() {
        for paths in [vec![], vec![b"/a".to_vec(), b"/a/b\xff".to_vec(), b"/a-".to_vec()]] {
            let text = sample(&paths);
            let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
            assert_eq!(json["entries"].as_array().unwrap().len(), paths.len());
            assert!(text.starts_with(br#"{"format":"orderly-snapshot/1","#));
            let (entries, trailer) = read(&text).unwrap();
            let found: Vec<_> = entries.iter().map(|entry| entry.path.as_bytes().to_vec()).collect();
            assert_eq!(found, paths);
            assert!(trailer.complete);
        }
    }

    #[test]
    fn a_manifest_cut_anywhere_is_never_taken_for_whole() {
        let text = sample(&[b"/a".to_vec(), b"/b".to_vec()]);
        assert!(read(&text).is_ok());
        for end in 0..text.len() {
            assert!(read(&text[..end]).is_err(), "cut at {end}");
        }
        assert!(read(&[text.as_slice(), b"x"].concat()).is_err());
    }

    #[test]
    fn a_path_that_climbs_out_or_stands_out_of_order_is_rejected() {
        for paths in [vec![b"/a/../b".to_vec()], vec![b"a".to_vec()], vec![b"/b".to_vec(), b"/a".to_vec()]] {
            assert!(read(&sample(&paths)).is_err(), "{paths:?}");
        }
    }

    proptest! {
        #[test]
        fn a_flipped_byte_is_always_noticed(at in 0usize..1000, flip in 1u8..=255) {
            let mut text = sample(&[b"/a".to_vec()]);
            let at = at % text.len();
            text[at] ^= flip;
            prop_assert!(read(&text).is_err());
        }

        #[test]
        fn no_text_makes_the_reader_panic(text: Vec<u8>) {
            read(&text).ok();
        }
    }
}
