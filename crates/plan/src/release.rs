//! The release record: what a host says when it let go of the asset, so that the peer may take it.

use crate::owed::Naming;
use crate::record::fingerprint;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The first key of a release record.
pub const FORMAT: &str = "orderly-release/1";

/// The asset as a release record states it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetThen {
    /// The asset as people know it.
    #[serde(rename = "asset")]
    pub title: String,
    /// What both hosts see alike; absent when it could not be read.
    pub identity: Option<String>,
    /// What is different after every time the asset was held; absent where the kind has none.
    pub mark: Option<String>,
}

/// Who made a release record, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maker {
    /// Fingerprint of the configuration, which both hosts must share.
    pub configuration: String,
    pub host: String,
    pub hostid: String,
    pub boot_id: String,
    pub at: String,
    pub version: String,
}

/// The proof that a host let go of the asset, or the word that it did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    pub format: String,
    /// Only `true` permits a takeover.
    pub safe: bool,
    /// Why it is not safe.
    pub reason: Option<String>,
    #[serde(flatten)]
    pub of: AssetThen,
    #[serde(flatten)]
    pub maker: Maker,
    #[serde(flatten)]
    pub naming: Naming,
    /// Orders the records of one change mark, see [`crate::permit`]; 0 in those of an earlier version.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub serial: u64,
    /// The word that its maker holds nothing, and no more than that: it serves only the other host, to get
    /// back what it held when it went down.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disclaims: bool,
    /// Of a disclaimer: the part of the mark that a take alone moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub take_mark: Option<String>,
    pub steps: Vec<Outcome>,
    /// Parts that were left out by `--skip` or `--no-backup`.
    pub skipped: Vec<String>,
    /// Fingerprint of all the above.
    pub checksum: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes what it skips by reference")]
fn is_zero(serial: &u64) -> bool {
    *serial == 0
}

/// The first key of a takeover's report.
pub const TAKEOVER: &str = "orderly-takeover/1";

/// How a takeover ended: the last line of its `--json` stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Takeover {
    pub format: String,
    /// This host holds the asset and everything on it runs.
    pub taken: bool,
    /// When it does not: whether the other host may take it.
    pub safe_for_peer: bool,
    pub reason: Option<String>,
    pub asset: String,
    pub host: String,
    /// By what it was known that the peer had let go.
    pub proof: String,
    /// The snapshot that it still has to restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owed: Option<String>,
    pub at: String,
    pub version: String,
    pub steps: Vec<Outcome>,
    /// Parts that were left out by `--skip`.
    #[serde(default)]
    pub skipped: Vec<String>,
}

/// What `--json` prints of a run that ended in an error, in place of its report: a program that reads
/// reports reads one. No release record has these keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The format of the report that is not there.
    pub format: String,
    /// `failure`.
    pub record: String,
    /// Of a release: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub safe: Option<bool>,
    /// Of a takeover: nothing by this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken: Option<bool>,
    /// The word for the exit status: `refused`, `rejected`.
    pub status: String,
    pub time: String,
    pub error: String,
}

impl Failure {
    /// Returns the record of an error in place of a report of this format.
    pub fn new(format: &str, status: &str, time: String, error: String) -> Self {
        Self {
            format: format.to_owned(),
            record: "failure".to_owned(),
            safe: (format == FORMAT).then_some(false),
            taken: (format == TAKEOVER).then_some(false),
            status: status.to_owned(),
            time,
            error,
        }
    }
}

/// How one step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    pub step: String,
    pub outcome: StepOutcome,
}

/// What became of a step that was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    Done,
    /// It failed, and stopped nothing.
    NotDone,
    Failed,
    Unknown,
    Undone,
    UndoFailed,
}

/// Why a text is no release record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// There is nothing but blanks.
    Empty,
    /// The release ended in an error, and this is why.
    Failed(String),
    /// The last line is something else, cut, or of another version.
    NoRecord(String),
    /// Its checksum does not fit.
    Edited,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty; the release left no record"),
            Self::Failed(why) => write!(f, "the release left none, because it ended in an error ({why})"),
            Self::NoRecord(why) => write!(f, "its last line is not a whole release record ({why})"),
            Self::Edited => f.write_str("its checksum does not fit; it was cut or edited"),
        }
    }
}

impl std::error::Error for Unfit {}

impl Release {
    /// Returns the record with its checksum.
    #[must_use]
    pub fn seal(mut self) -> Self {
        self.checksum = self.sum();
        self
    }

    /// Reads a record that stands alone or at the end of a `--json` stream.
    ///
    /// # Errors
    /// When there is none, or it is not whole.
    pub fn read(text: &str) -> Result<Self, Unfit> {
        let last = text.lines().rev().find(|line| !line.trim().is_empty()).ok_or(Unfit::Empty)?;
        let release: Self = serde_json::from_str(last).map_err(|error| {
            let failure: Option<Failure> = serde_json::from_str(last).ok();
            failure.map_or_else(|| Unfit::NoRecord(error.to_string()), |failure| Unfit::Failed(failure.error))
        })?;
        if release.format != FORMAT {
            return Err(Unfit::NoRecord(format!("format {}", release.format)));
        }
        if release.checksum != release.sum() {
            return Err(Unfit::Edited);
        }
        Ok(release)
    }

    /// Returns the record as one line.
    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    fn sum(&self) -> String {
        let bare = Self { checksum: String::new(), ..self.clone() };
        fingerprint(&bare.line())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn release() -> Release {
        Release {
            format: FORMAT.into(),
            safe: true,
            reason: None,
            of: AssetThen {
                title: "/srv/xvm".into(),
                identity: Some("ext4:1".into()),
                mark: Some("mounts=1".into()),
            },
            maker: Maker {
                configuration: "c".into(),
                host: "ec1".into(),
                hostid: "007f0101".into(),
                boot_id: "b".into(),
                at: "2026-01-01T00:00:00.000Z".into(),
                version: "0.1.0".into(),
            },
            naming: Naming { holding: Some(1), ..Naming::default() },
            serial: 1,
            disclaims: false,
            take_mark: None,
            steps: vec![Outcome { step: "stop a".into(), outcome: StepOutcome::Done }],
            skipped: Vec::new(),
            checksum: String::new(),
        }
        .seal()
    }

    #[test]
    fn a_record_is_read_alone_and_at_the_end_of_a_stream() {
        let line = release().line();
        assert!(line.starts_with("{\"format\":\"orderly-release/1\""));
        assert_eq!(Release::read(&line), Ok(release()));
        assert_eq!(
            Release::read(&format!("{{\"format\":\"orderly-journal/1\"}}\n{line}\n\n")),
            Ok(release())
        );
        assert_eq!(Release::read(" \n"), Err(Unfit::Empty));
        assert!(matches!(Release::read(&format!("{line}\n{{}}\n")), Err(Unfit::NoRecord(_))));
    }

    #[test]
    fn a_record_of_an_earlier_version_reads_back_as_it_was() {
        let naming = Naming { snapshot: Some("s".into()), ..Naming::default() };
        let old = Release { serial: 0, naming, ..release() }.seal();
        assert!(!old.line().contains("serial") && !old.line().contains("disclaims"), "{}", old.line());
        assert_eq!(Release::read(&old.line()), Ok(old));
    }

    #[test]
    fn a_record_has_no_keys_but_its_own() {
        let more = release().line().replace("\"serial\":1", "\"serial\":1,\"colour\":\"red\"");
        assert!(matches!(Release::read(&more), Err(Unfit::NoRecord(why)) if why.contains("colour")));
    }

    #[test]
    fn the_word_of_a_failure_is_no_record_and_says_why() {
        let failure = Failure::new(FORMAT, "refused", "t".to_owned(), "refused: it is elsewhere".to_owned());
        let line = serde_json::to_string(&failure).unwrap();
        assert!(
            line.starts_with("{\"format\":\"orderly-release/1\",\"record\":\"failure\",\"safe\":false"),
            "{line}"
        );
        assert_eq!(Release::read(&line), Err(Unfit::Failed("refused: it is elsewhere".to_owned())));
    }

    #[test]
    fn an_unsafe_record_cannot_be_made_safe_with_an_editor() {
        let not_safe = Release { safe: false, ..release() }.seal().line();
        assert_eq!(Release::read(&not_safe.replace("\"safe\":false", "\"safe\":true")), Err(Unfit::Edited));
    }

    proptest! {
        #[test]
        fn a_record_cut_or_changed_anywhere_is_never_taken_for_whole(at in 0usize..400, byte in b' '..b'~') {
            let line = release().line();
            let at = at % line.len();
            prop_assert!(Release::read(&line[..at]).is_err());
            let mut changed = line.clone().into_bytes();
            changed[at] = byte;
            if let (Ok(changed), true) = (String::from_utf8(changed.clone()), changed != line.as_bytes()) {
                prop_assert!(Release::read(&changed).is_err());
            }
        }
    }
}
