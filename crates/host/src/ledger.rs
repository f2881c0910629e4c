//! What this host knows of the asset from one hand-over to the next: its last take and the number of its
//! holdings. In the state directory; the label on the asset (`.orderly-holder`) says the same to the peer.

use crate::asset::kind::Asset;
use crate::config::Config;
use crate::mounts;
use crate::platform::{Argv, Platform};
use anyhow::{Context, bail};
use orderly_exec::files;
use orderly_exec::job::Job;
use orderly_exec::paths;
use orderly_exec::runner::Run;
use orderly_exec::{OrStatus, Status, clock, journal};
use orderly_plan::ancestry::Here;
use orderly_plan::holding::{self, Label, Number};
use orderly_plan::owed::{Naming, Source};
use orderly_plan::snapshot::Continued;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

const FORMAT: &str = "orderly-ledger/1";

/// The label: a file on the asset that names who holds it.
const LABEL: &str = ".orderly-holder";

/// The text of `ledger.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    format: String,
    /// The highest number of a holding, of either host, that this one heard of.
    pub holding: u64,
    /// The last holding of this host that a safe record ended.
    #[serde(default)]
    pub ended: u64,
    /// The last take of this host.
    pub took: Option<Took>,
    /// The highest serial of a record that this host made or accepted.
    #[serde(default)]
    pub serial: u64,
    /// The highest serial of a record of the peer that this host accepted: its word of now has a higher one.
    #[serde(default)]
    pub heard: u64,
    /// What the last takeover of this host had to restore.
    #[serde(default)]
    pub source: Option<Source>,
    /// What the record of the release under way will name, found out while the asset was still here.
    #[serde(default)]
    pub leaving: Option<Naming>,
    #[serde(flatten)]
    pub restores: Restores,
    /// The first holding that this host remembers.
    #[serde(default)]
    pub since: u64,
    #[serde(flatten)]
    pub runs: ServiceRuns,
    /// A mount of this host whose holding has no number yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mounted: Option<Mounted>,
}

/// What was restored here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restores {
    /// The last snapshot of the peer that was restored here whole: what is live here continues it.
    #[serde(rename = "restored", default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Continued>,
    /// What was that one's before, for when it is taken back.
    #[serde(rename = "restored_before", default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Continued>,
}

/// When services ran here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRuns {
    /// The last holding in which they did.
    #[serde(rename = "ran", default)]
    pub last: u64,
    /// That of before, for when a takeover is taken back.
    #[serde(rename = "ran_before", default)]
    pub before: u64,
}

/// A mount of the asset by a takeover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mounted {
    /// Of this host, then.
    pub boot_id: String,
    /// The part of the change mark that a take alone moves, after it; where the kind has one.
    pub mark: Option<String>,
}

/// A take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Took {
    pub holding: u64,
    /// Who held the asset before, as its label said then.
    pub before: Option<Label>,
    /// Of this host, then.
    pub boot_id: String,
    /// The part of the change mark that a take alone moves, after it; where the kind has one.
    pub mark: Option<String>,
}

impl Ledger {
    /// Returns the last take of this host that no safe record ended: the boot of this host, and the mark.
    pub fn last_take(&self) -> Option<(&str, Option<&str>)> {
        let took = self.took.as_ref().filter(|took| took.holding > self.ended);
        let mounted = self.mounted.as_ref().map(|mounted| (&mounted.boot_id, &mounted.mark));
        let last = mounted.or_else(|| took.map(|took| (&took.boot_id, &took.mark)));
        last.map(|(boot_id, mark)| (boot_id.as_str(), mark.as_deref()))
    }

    /// Returns what a restore on this host needs to know of what is live here.
    pub fn here<'a>(&'a self, name: &'a str) -> Here<'a> {
        Here { name, restored: self.restores.last.as_ref(), since: self.since, ran: self.runs.last }
    }

    /// Notes that services run, or ran, in the holding under way.
    pub fn note_running(&mut self) {
        if let Some(source) = &mut self.source {
            source.ran = true;
        }
        let now = self.took.as_ref().map_or(self.runs.last, |took| took.holding);
        if self.runs.last != now {
            (self.runs.before, self.runs.last) = (self.runs.last, now);
        }
    }

    /// Notes that what services wrote in the holding under way was taken back, and is not live here.
    pub fn note_unrun(&mut self) {
        if let Some(source) = &mut self.source {
            source.ran = false;
        }
        if self.took.as_ref().is_some_and(|took| took.holding == self.runs.last) {
            self.runs.last = self.runs.before;
        }
    }

    /// Reads what this host knows; without the file, nothing.
    ///
    /// # Errors
    /// Rejected (3) when the file is damaged.
    pub fn read() -> anyhow::Result<Self> {
        let path = path();
        let files::Found::Text(text) = files::read_if_there(&path)? else { return Ok(Self::default()) };
        let ledger: Self = serde_json::from_str(&text)
            .with_context(|| format!("read {}; look at it, and remove it", path.display()))
            .or_status(Status::Rejected)?;
        if ledger.format != FORMAT {
            let why = format!("{}: format {} is not {FORMAT}", path.display(), ledger.format);
            return Err(orderly_exec::fail(Status::Rejected, why));
        }
        Ok(ledger)
    }

    /// Writes it to the state directory.
    ///
    /// # Errors
    /// When the local disk does not take it.
    pub fn write(&self) -> anyhow::Result<()> {
        let ledger = Self { format: FORMAT.to_owned(), ..self.clone() };
        files::replace(&path(), format!("{}\n", serde_json::to_string(&ledger)?).as_bytes())
    }
}

fn path() -> PathBuf {
    paths::state_directory().join("ledger.json")
}

/// Reads the ledger, lets it be changed and writes it.
///
/// # Errors
/// When it cannot be read or written.
pub fn change(act: impl FnOnce(&mut Ledger)) -> anyhow::Result<()> {
    let mut ledger = Ledger::read()?;
    let before = ledger.clone();
    act(&mut ledger);
    if ledger == before { Ok(()) } else { ledger.write() }
}

/// Notes that a whole snapshot was restored on this host, by a takeover or by hand.
///
/// # Errors
/// When the ledger cannot be read or written.
pub fn note_restore(restored: Continued, own: &str) -> anyhow::Result<()> {
    change(|ledger| {
        note_paid(ledger, &restored.snapshot, true);
        let is_noted = ledger.restores.last.as_ref().is_some_and(|last| last.snapshot == restored.snapshot);
        if restored.host != own && !is_noted {
            ledger.restores.before = ledger.restores.last.replace(restored);
        }
    })
}

/// Notes that the restore of a whole snapshot was taken back.
///
/// # Errors
/// When the ledger cannot be read or written.
pub fn note_undo(id: &str) -> anyhow::Result<()> {
    change(|ledger| {
        note_paid(ledger, id, false);
        if ledger.restores.last.as_ref().is_some_and(|last| last.snapshot == id) {
            ledger.restores.last = ledger.restores.before.take();
        }
    })
}

fn note_paid(ledger: &mut Ledger, id: &str, is_live: bool) {
    if let Some(source) = ledger.source.as_mut().filter(|source| source.id == id) {
        source.paid = is_live;
    }
}

/// Returns the holding under way, by what this host knows: the last one that it began and that no record of
/// its own ended.
///
/// # Errors
/// When the ledger cannot be read.
pub fn open_holding() -> anyhow::Result<Option<u64>> {
    let ledger = Ledger::read()?;
    Ok(ledger.took.map(|took| took.holding).filter(|holding| *holding > ledger.ended))
}

/// Returns the restore that this host owes.
///
/// # Errors
/// When the ledger cannot be read.
pub fn owed(config: &Config) -> anyhow::Result<Option<Source>> {
    Ok(Ledger::read()?.source.filter(|source| source.is_owed(&config.own.name)))
}

/// Reads a label. A missing one is none; an unreadable one is an error.
fn read_label(folder: &Path) -> anyhow::Result<Option<Label>> {
    let path = folder.join(LABEL);
    let files::Found::Text(text) = files::read_if_there(&path)? else { return Ok(None) };
    serde_json::from_str(&text).with_context(|| format!("read {}; remove it", path.display())).map(Some)
}

/// What the number of the holding under way follows from.
struct Evidence {
    place: PathBuf,
    label: Option<Label>,
    ledger: Ledger,
    number: Number,
}

/// A host that holds the asset, as far as its label needs it.
pub struct Numbering<'a> {
    pub config: &'a Config,
    pub asset: &'a dyn Asset,
    pub run: &'a mut dyn Run,
    pub by: LabelWriter,
}

/// Who writes the label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelWriter {
    /// A child under a deadline: a disk that died hangs whoever writes to it.
    Child,
    /// This very program, which writes to the asset in any case.
    Itself,
}

impl std::fmt::Debug for Numbering<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Numbering").field("asset", &self.asset).finish_non_exhaustive()
    }
}

impl Numbering<'_> {
    /// Returns the number of the holding under way, which it begins where the asset was mounted by hand and
    /// has none yet; `None` where there is no place for a label. With the lock alone.
    ///
    /// # Errors
    /// When the label can be neither read nor written.
    pub fn number(&mut self) -> anyhow::Result<Option<u64>> {
        let Some(Evidence { place, label, mut ledger, number }) = self.find()? else { return Ok(None) };
        if ledger.took.as_ref().is_none_or(|took| took.holding != number.get()) {
            // Before the label: a crash between the two skips a number, and gives none twice.
            ledger.holding = ledger.holding.max(number.get());
            if ledger.took.is_none() {
                // Of a holding that goes on it does not know how it began.
                ledger.since = number.get() + u64::from(matches!(number, Number::GoesOn(_)));
            }
            let before = label.filter(|_| matches!(number, Number::Begins(_)));
            ledger.took =
                Some(Took { holding: number.get(), before, boot_id: journal::boot_id(), mark: None });
            ledger.write()?;
        }
        if let Number::Begins(number) = number {
            self.write(&place, number)?;
            self.note_take()?;
        } else if self.is_another_take()? {
            self.note_take()?;
        }
        Ok(Some(number.get()))
    }

    /// Insists that [`Numbering::number`] could succeed; changes nothing.
    ///
    /// # Errors
    /// As it.
    pub fn look(&mut self) -> anyhow::Result<()> {
        match self.find()? {
            Some(Evidence { place, number: Number::Begins(_), .. }) => {
                files::check_writable(&paths::state_directory())?;
                files::check_writable(&place)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Reads all that the number follows from; `None` where there is no place for a label.
    fn find(&mut self) -> anyhow::Result<Option<Evidence>> {
        let Some(place) = self.place()? else { return Ok(None) };
        let (label, ledger) = (read_label(&place)?, Ledger::read()?);
        let number = self.judge(label.as_ref(), &ledger);
        Ok(Some(Evidence { place, label, ledger, number }))
    }

    /// Tells whether the asset was mounted again in this holding, by hand after a boot or by a takeover that was
    /// killed. A mark that cannot be read tells nothing.
    fn is_another_take(&mut self) -> anyhow::Result<bool> {
        let ledger = Ledger::read()?;
        let Some(took) = ledger.took else { return Ok(false) };
        let now = self.asset.take_mark(self.run).unwrap_or_else(|_| took.mark.clone());
        Ok(ledger.mounted.is_some() || took.boot_id != journal::boot_id() || took.mark != now)
    }

    /// Notes a mount before its holding has a number: a host that goes down in between had the asset.
    ///
    /// # Errors
    /// When the mark cannot be read or the ledger not be written.
    pub(crate) fn note_mount(&mut self) -> anyhow::Result<()> {
        let mark = self.asset.take_mark(self.run)?;
        change(|ledger| ledger.mounted = Some(Mounted { boot_id: journal::boot_id(), mark }))
    }

    /// Notes what a take alone moved of the change mark, once the asset is mounted.
    ///
    /// # Errors
    /// When the mark cannot be read or the ledger not be written.
    pub fn note_take(&mut self) -> anyhow::Result<()> {
        let mark = self.asset.take_mark(self.run)?;
        change(|ledger| {
            if let Some(took) = &mut ledger.took {
                (took.mark, took.boot_id) = (mark, journal::boot_id());
            }
            ledger.mounted = None;
        })
    }

    /// Returns the label as it is.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn label(&mut self) -> anyhow::Result<Option<Label>> {
        self.place()?.map_or(Ok(None), |place| read_label(&place))
    }

    /// Tells whether the label names a holding of this host that goes on; `None` where none can be seen.
    ///
    /// # Errors
    /// When the label cannot be read.
    pub fn goes_on(&mut self) -> anyhow::Result<Option<bool>> {
        Ok(self.find()?.map(|found| matches!(found.number, Number::GoesOn(_))))
    }

    /// Tells whether the holding under way has its number.
    pub(crate) fn is_numbered(&mut self) -> anyhow::Result<bool> {
        Ok(self.goes_on()?.unwrap_or(true))
    }

    /// Writes the label anew, for a kind that shows only writing.
    pub(crate) fn touch(&mut self) -> anyhow::Result<()> {
        let Some(place) = self.place()? else { return Ok(()) };
        match read_label(&place)? {
            Some(label) if label.host == self.config.own.name => self.write(&place, label.holding),
            Some(_) | None => Ok(()),
        }
    }

    fn judge(&self, label: Option<&Label>, ledger: &Ledger) -> Number {
        holding::number(label, &self.config.own.name, ledger.ended, ledger.holding)
    }

    /// Returns where the label lies: on the first mount of the asset that can be written to; where all mount
    /// themselves, in the backup directory.
    fn place(&mut self) -> anyhow::Result<Option<PathBuf>> {
        let (config, table) = (self.config, mounts::table(self.config.platform, self.run)?);
        let is_writable = |at: &PathBuf| {
            let read_only = |options: &str| options.split(',').any(|option| option == "ro");
            table.at(at).is_some_and(|mount| self.asset.is_on(mount) && !read_only(&mount.options))
        };
        if let Some(at) = config.asset.mounts.iter().map(|mount| &mount.at).find(|at| is_writable(at)) {
            return Ok(Some(at.clone()));
        }
        let directory = config.backup.as_ref().map(|backup| backup.directory.clone());
        Ok(directory.filter(|directory| config.asset.mounts.is_empty() && directory.is_dir()))
    }

    /// Moves a new label over the old one, and lets it reach the disk.
    fn write(&mut self, place: &Path, number: u64) -> anyhow::Result<()> {
        let own = &self.config.own.name;
        let word = LabelText { format: "orderly-holder/1", host: own, holding: number, at: clock::now() };
        let text = format!("{}\n", serde_json::to_string(&word)?);
        if self.by == LabelWriter::Itself {
            return files::replace_with_mode(&place.join(LABEL), text.as_bytes(), 0o600);
        }
        // Closed to all others: it is moved with its mode.
        files::replace_with_mode(&paths::state_directory().join(LABEL), text.as_bytes(), 0o600)?;
        for argv in commands(place, self.config.platform) {
            self.run.expect(&Job::new(&argv, self.config.asset.timeout))?;
        }
        match read_label(place)? {
            Some(label) if label.host == *own && label.holding == number => Ok(()),
            Some(_) | None => {
                bail!("{} does not name this holding, which is {number}", place.join(LABEL).display())
            }
        }
    }
}

/// The text of a label.
#[derive(Serialize)]
struct LabelText<'a> {
    format: &'static str,
    host: &'a str,
    holding: u64,
    at: String,
}

/// Returns the commands that put the label there. In children, because a disk that died would hang whoever
/// writes to it; by mv(1), which replaces what is there instead of writing into it.
pub(crate) fn commands(place: &Path, platform: Platform) -> Vec<Argv> {
    let (file, place) = (paths::state_directory().join(LABEL), place.to_string_lossy().into_owned());
    let moved = ["mv", "-f", &file.to_string_lossy(), &place].map(str::to_owned).to_vec();
    let sync = match platform {
        Platform::Linux => vec!["sync".to_owned(), "-f".to_owned(), place],
        Platform::Solaris => vec!["sync".to_owned()],
    };
    vec![moved, sync]
}
