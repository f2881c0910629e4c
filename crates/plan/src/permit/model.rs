//! Two hosts, one disk, and everything that happens to them in any order: the functions that decide a real
//! hand-over, judged by an oracle that knows the newest content of each file and every way out.
//!
//! Contents are numbers that grow with every edit. An operator's word is true: who types that the peer does
//! not have the asset has looked. Nothing is replaced by something older, also not what no snapshot has; but where
//! both hosts changed a file since the last snapshot that both continue, which is said and saved.

mod oracle;
mod restoring;
mod walks;

use super::*;
use crate::holding::{self, Label, Number};
use crate::owed::{self, Naming, Source, Wanted};
use crate::snapshot::Continued;
use crate::snapshot::Snapshot;
use proptest::prelude::*;

/// How a kind of asset shows that it was held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ext4,
    /// Its activity check lets one host have it.
    Mmp,
    /// Nothing on it tells a take from later writing.
    Xfs,
}

/// What can be taken out, so that the oracle is seen to object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Serial,
    Mark,
    ThisHolding,
    LastHolding,
    NeverOwn,
    Owed,
    TakenSince,
    OffAgain,
    After,
    Disclaimer,
    NoneDue,
    OwnRecord,
    Base,
    Unsaved,
}

const NAMES: [&str; 2] = ["ec1", "ec2"];
type Files = [u32; 2];

#[derive(Debug, Clone)]
struct Record {
    host: usize,
    serial: u64,
    mark: String,
    disclaims: Option<String>,
    naming: Naming,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing is under way; what is held runs.
    Idle,
    /// Proven, and on its way to the mount, with the lock.
    Proven,
    /// The mark was compared for the last time; what happens from now on is not seen any more.
    Compared,
    Held,
    Restored,
}

#[derive(Debug, Clone)]
struct Took {
    holding: u64,
    mark: Option<String>,
    boot: String,
}

#[derive(Debug, Clone)]
struct Host {
    on: bool,
    boot: u32,
    mounted: bool,
    /// Services ran in the last holding.
    ran: bool,
    stage: Stage,
    /// What a run that was killed had come to; the next run of the program goes on from there.
    killed: Option<Stage>,
    /// Somebody typed that the peer is off, and keeps it off.
    typed: bool,
    files: Files,
    /// What a restore overwrote.
    saved: Files,
    restored: Option<Continued>,
    restored_before: Option<Continued>,
    /// The last holding in which services ran.
    ran_in: u64,
    serial: u64,
    known: u64,
    ended: u64,
    took: Option<Took>,
    source: Option<Source>,
    last: Option<Record>,
    pending: Option<(Wanted, Option<String>, Option<String>, bool)>,
}

#[derive(Debug, Clone)]
struct World {
    kind: Kind,
    off: Option<Rule>,
    takes: u32,
    writes: u32,
    clean: bool,
    label: Option<Label>,
    /// Oldest first, with what is in each.
    snapshots: Vec<(Snapshot, Files)>,
    records: Vec<Record>,
    hosts: [Host; 2],
    edits: u32,
    /// What gave way where both hosts changed a file: it is said, and may be older from then on.
    gave_way: Files,
    /// After an own crash only a fence helps where a kind shows no takes.
    needs_fence: bool,
}

impl World {
    fn new(kind: Kind, off: Option<Rule>) -> Self {
        let host = Host {
            on: true,
            boot: 1,
            mounted: false,
            ran: false,
            stage: Stage::Idle,
            killed: None,
            typed: false,
            files: [0; 2],
            saved: [0; 2],
            restored: None,
            restored_before: None,
            ran_in: 0,
            serial: 0,
            known: 0,
            ended: 0,
            took: None,
            source: None,
            last: None,
            pending: None,
        };
        let mut world = Self {
            kind,
            off,
            takes: 1,
            writes: 0,
            clean: true,
            label: None,
            snapshots: Vec::new(),
            records: Vec::new(),
            hosts: [host.clone(), host],
            edits: 0,
            gave_way: [0; 2],
            needs_fence: false,
        };
        world.mount(0);
        world.number(0);
        world.runs(0);
        world
    }

    fn holds(&self, rule: Rule) -> bool {
        // What these two keep from happening the comparison with a base makes harmless: they are seen without it.
        let bare = rule == Rule::Base && matches!(self.off, Some(Rule::ThisHolding | Rule::LastHolding));
        self.off != Some(rule) && !bare
    }

    fn mark(&self) -> String {
        format!("{} {}", self.takes, self.writes)
    }

    fn take_mark(&self) -> Option<String> {
        (self.kind != Kind::Xfs).then(|| self.takes.to_string())
    }

    /// The moment that must never come twice.
    fn mount(&mut self, h: usize) {
        self.hosts[h].mounted = true;
        self.takes += 1;
        self.clean = false;
    }

    fn unmount(&mut self, h: usize) {
        self.hosts[h].mounted = false;
        self.writes += 1;
        self.clean = true;
        self.needs_fence = false;
    }

    fn number(&mut self, h: usize) {
        let (take_mark, host) = (self.take_mark(), &mut self.hosts[h]);
        let number = holding::number(self.label.as_ref(), NAMES[h], host.ended, host.known);
        host.known = host.known.max(number.get());
        if let Number::Begins(holding) = number {
            self.label = Some(Label { host: NAMES[h].into(), holding });
            host.ran = false;
        }
        host.took = Some(Took { holding: number.get(), mark: take_mark, boot: host.boot.to_string() });
    }

    fn runs(&mut self, h: usize) {
        let host = &mut self.hosts[h];
        host.ran = true;
        host.ran_in = host.took.as_ref().map_or(0, |took| took.holding);
    }

    /// The newest whole snapshot that a host made in its holding.
    fn newest(&self, h: usize) -> Option<&(Snapshot, Files)> {
        let holding = self.hosts[h].took.as_ref().map(|took| took.holding);
        let is_of_it = |one: &&(Snapshot, Files)| {
            one.0.host == NAMES[h] && (one.0.holding == holding || !self.holds(Rule::ThisHolding))
        };
        self.snapshots.iter().rev().find(is_of_it)
    }

    fn make(&mut self, h: usize, naming: Naming, after: Option<u64>, disclaims: Option<String>) -> Record {
        let after = after.filter(|_| self.holds(Rule::After));
        let mark = self.mark();
        let host = &mut self.hosts[h];
        host.serial = serial(host.serial, after);
        let record = Record { host: h, serial: host.serial, mark, disclaims, naming };
        if record.disclaims.is_none() {
            host.ended = host.ended.max(record.naming.holding.unwrap_or(0));
            host.last = Some(record.clone());
        }
        self.records.push(record.clone());
        record
    }

    /// Tells whether a record permits `h` to begin a takeover, and what it then has to restore.
    fn permits(&self, h: usize, record: &Record) -> bool {
        let host = &self.hosts[h];
        if let Some(recorded) = &record.disclaims {
            let took = host.took.as_ref().filter(|took| took.holding > host.ended);
            let (now, boot) = (self.take_mark(), host.boot.to_string());
            let since = !self.holds(Rule::TakenSince);
            let taken = took.and_then(|took| took.mark.as_deref());
            let judge = |mark: Option<&str>| match since || mark == taken {
                true => Since::Nothing,
                false => Since::Taken,
            };
            let crash = Crash {
                taken: taken.is_some(),
                now: judge(now.as_deref()),
                recorded: judge(Some(recorded)),
                boot_then: took.map_or("", |took| took.boot.as_str()),
                boot_now: &boot,
            };
            return record.host != h && serves(&crash).is_ok();
        }
        let same = record.mark == self.mark() || !self.holds(Rule::Mark);
        if record.host == h {
            return same && self.clean && host.last.as_ref().is_some_and(|last| last.serial == record.serial);
        }
        fn claim(record: &Record) -> Claim<'_> {
            Claim { serial: record.serial, host: NAMES[record.host], mark: Some(&record.mark) }
        }
        let after = host.last.as_ref().is_none_or(|last| claim(record).comes_after(&claim(last)));
        same && self.clean && (after || !self.holds(Rule::Serial))
    }

    fn begin(&mut self, h: usize, record: &Record) {
        let wanted = match &record.naming {
            Naming { snapshot: Some(id), made_by: Some(host), .. } => {
                Wanted::Named { id: id.clone(), host: host.clone() }
            }
            _ => Wanted::LastHolding,
        };
        let host = &mut self.hosts[h];
        host.serial = host.serial.max(record.serial);
        let mark = record.disclaims.is_none().then(|| record.mark.clone());
        host.pending = Some((wanted, mark, record.disclaims.clone(), false));
        host.stage = Stage::Proven;
    }

    fn go_on(&mut self, h: usize) -> Result<(), String> {
        match self.hosts[h].stage {
            Stage::Idle => {
                // What it proved must be proven anew; what it holds, it holds.
                self.hosts[h].stage = self.hosts[h].killed.take().unwrap_or(Stage::Idle);
                Ok(())
            }
            Stage::Proven => {
                self.compare(h);
                Ok(())
            }
            Stage::Compared => self.take(h),
            Stage::Held => {
                let due = self.hosts[h].source.clone().filter(|source| {
                    source.is_due(NAMES[h]) || (!self.holds(Rule::NeverOwn) && !source.paid)
                });
                self.hosts[h].saved = self.hosts[h].files;
                if let Some(source) = due {
                    self.restore(h, &source.id)?;
                }
                self.hosts[h].stage = Stage::Restored;
                Ok(())
            }
            Stage::Restored => {
                self.insist_on_newest(h)?;
                self.runs(h);
                let host = &mut self.hosts[h];
                (host.stage, host.pending) = (Stage::Idle, None);
                if let Some(source) = &mut host.source {
                    source.ran = true;
                }
                Ok(())
            }
        }
    }

    /// The proof is compared once more, just before the mount.
    fn compare(&mut self, h: usize) {
        let Some((_, mark, disclaimed, _)) = self.hosts[h].pending.clone() else { return };
        let stands = match (&mark, &disclaimed) {
            (Some(mark), _) => *mark == self.mark() || !self.holds(Rule::Mark),
            (None, Some(_)) => self.take_mark() == disclaimed || !self.holds(Rule::TakenSince),
            (None, None) => true,
        };
        self.hosts[h].stage = if stands { Stage::Compared } else { Stage::Idle };
    }

    fn take(&mut self, h: usize) -> Result<(), String> {
        let Some((wanted, _, _, fenced)) = self.hosts[h].pending.clone() else { return Ok(()) };
        // The power is read again at the last moment.
        let is_on_again = fenced && self.hosts[1 - h].on && self.holds(Rule::OffAgain);
        let is_had = self.hosts[1 - h].mounted;
        if is_on_again || (is_had && self.kind == Kind::Mmp) {
            (self.hosts[h].stage, self.hosts[h].pending) = (Stage::Idle, None);
            return Ok(());
        }
        if is_had {
            return Err(format!("{} mounted it while {} had it", NAMES[h], NAMES[1 - h]));
        }
        self.mount(h);
        self.needs_fence = false;
        let mut snapshots: Vec<Snapshot> = self.snapshots.iter().rev().map(|one| one.0.clone()).collect();
        let mut label = self.label.clone();
        let mut held = self.hosts[h].took.as_ref().map_or(0, |took| took.holding);
        if !self.holds(Rule::LastHolding) {
            // As it once was: the newest that the peer made.
            snapshots.retain(|one| one.host != NAMES[h]);
            (label, held) = (None, 0);
        }
        let before = self.hosts[h].source.clone();
        self.hosts[h].source =
            owed::source(&wanted, label.as_ref(), &snapshots, (NAMES[h], held), before.as_ref());
        self.number(h);
        self.hosts[h].stage = Stage::Held;
        Ok(())
    }

    /// A takeover fails, or is interrupted, and is taken back.
    fn fail(&mut self, h: usize) {
        match self.hosts[h].stage {
            Stage::Idle => {}
            Stage::Proven | Stage::Compared => {
                (self.hosts[h].stage, self.hosts[h].pending) = (Stage::Idle, None);
            }
            Stage::Held | Stage::Restored => {
                let keeps = self.holds(Rule::Owed);
                let host = &mut self.hosts[h];
                if host.stage == Stage::Restored {
                    host.files = host.saved;
                    if let Some(source) = host.source.as_mut().filter(|source| !source.ran && source.paid) {
                        source.paid = false;
                        if host.restored.as_ref().is_some_and(|last| last.snapshot == source.id) {
                            host.restored = host.restored_before.take();
                        }
                    }
                }
                if !keeps {
                    host.source = None;
                }
                (host.stage, host.pending) = (Stage::Idle, None);
                self.unmount(h);
                self.name_and_record(h, None);
            }
        }
    }

    fn name_and_record(&mut self, h: usize, after: Option<u64>) {
        let newest = self.newest(h).cloned();
        let host = &self.hosts[h];
        let holding = host.took.as_ref().map_or(host.known, |took| took.holding);
        let id = newest.as_ref().map(|one| one.0.id.clone());
        let naming = owed::naming(holding, NAMES[h], Ok(id), host.source.as_ref());
        self.make(h, naming, after, None);
    }

    fn release(&mut self, h: usize, after: Option<u64>) {
        let host = &self.hosts[h];
        if !host.on || host.stage != Stage::Idle {
            return;
        }
        self.hosts[h].killed = None;
        let host = &self.hosts[h];
        if host.mounted {
            self.unmount(h);
            return self.name_and_record(h, after);
        }
        // Where nothing shows that it is held, only who let go of it last says that it is free.
        let is_last = host.last.as_ref().is_some_and(|last| last.mark == self.mark());
        if !self.clean || (self.kind == Kind::Xfs && !is_last) {
            return;
        }
        let naming =
            host.last.as_ref().filter(|_| is_last).map(|last| last.naming.clone()).unwrap_or_default();
        self.make(h, naming, after, None);
    }

    fn disclaim(&mut self, h: usize) {
        let host = &self.hosts[h];
        if !host.on || host.mounted || host.stage != Stage::Idle || !self.holds(Rule::Disclaimer) {
            return;
        }
        if let Some(mark) = self.take_mark() {
            self.make(h, Naming::default(), None, Some(mark));
        }
    }

    fn backup(&mut self, h: usize) {
        let host = &self.hosts[h];
        let is_due = host.source.as_ref().is_some_and(|source| source.is_due(NAMES[h]));
        let runs = host.stage == Stage::Idle;
        if !host.on || !host.mounted || !runs || (is_due && self.holds(Rule::NoneDue)) {
            return;
        }
        let holding = host.took.as_ref().map(|took| took.holding);
        let id = format!("s{}", self.snapshots.len());
        let owes =
            self.holds(Rule::NoneDue) && host.source.as_ref().is_some_and(|source| source.is_owed(NAMES[h]));
        let continues = host.restored.clone();
        self.snapshots.push((Snapshot { id, host: NAMES[h].into(), holding, owes, continues }, host.files));
    }

    fn crash(&mut self, h: usize) {
        let host = &mut self.hosts[h];
        if host.mounted {
            self.needs_fence = self.kind == Kind::Xfs;
        }
        (host.on, host.mounted, host.stage, host.pending) = (false, false, Stage::Idle, None);
        host.killed = None;
    }

    /// The program is killed, not the host: what it holds stays held, and nothing runs.
    fn kill(&mut self, h: usize) {
        let host = &mut self.hosts[h];
        match host.stage {
            Stage::Idle => {}
            Stage::Proven | Stage::Compared => (host.stage, host.pending) = (Stage::Idle, None),
            Stage::Held | Stage::Restored => {
                (host.killed, host.stage) = (Some(host.stage), Stage::Idle);
            }
        }
    }

    fn fence(&mut self, h: usize) {
        if !self.hosts[h].on || self.hosts[h].mounted || self.hosts[h].stage != Stage::Idle {
            return;
        }
        self.crash(1 - h);
        let host = &mut self.hosts[h];
        (host.stage, host.typed) = (Stage::Proven, false);
        host.pending = Some((Wanted::LastHolding, None, None, true));
    }

    /// One thing happens.
    fn step(&mut self, what: u8, h: usize, which: u8) -> Result<(), String> {
        match what {
            0..=4 => self.go_on(h)?,
            5 | 6 => {
                let host = &mut self.hosts[h];
                if host.on && host.mounted && host.stage == Stage::Idle && host.killed.is_none() {
                    self.edits += 1;
                    host.files[usize::from(which % 2)] = self.edits;
                }
            }
            7 => self.backup(h),
            8 => {
                if which % 4 != 0 {
                    self.backup(h);
                }
                self.release(h, None);
            }
            9 => self.release(h, self.hosts[1 - h].last.as_ref().map(|last| last.serial)),
            10..=12 => {
                // Any record that was ever made may be at hand, most often one of the newest.
                let count = self.records.len();
                let back = usize::from(which) % 4 + if which > 200 { usize::from(which) % 16 } else { 0 };
                let Some(record) = count.checked_sub(back + 1).map(|at| self.records[at].clone()) else {
                    return Ok(());
                };
                let (host, peer) = (&self.hosts[h], &self.hosts[1 - h]);
                // By an own record alone only where two takes exclude each other.
                let needs_word = record.host == h && self.kind != Kind::Mmp && self.holds(Rule::OwnRecord);
                if host.on
                    && !host.mounted
                    && host.stage == Stage::Idle
                    && (!needs_word || !peer.on)
                    && self.permits(h, &record)
                {
                    self.hosts[h].typed = needs_word;
                    self.begin(h, &record);
                }
            }
            13 => self.fail(h),
            14 => self.crash(h),
            15 | 16 => {
                let peer = &self.hosts[1 - h];
                let is_kept_off = peer.typed && peer.stage != Stage::Idle;
                if !self.hosts[h].on && !is_kept_off {
                    (self.hosts[h].on, self.hosts[h].boot) = (true, self.hosts[h].boot + 1);
                }
            }
            17 => self.fence(h),
            18 => self.disclaim(h),
            _ => self.kill(h),
        }
        self.judge()
    }
}

const KINDS: [Kind; 3] = [Kind::Ext4, Kind::Mmp, Kind::Xfs];

fn run(kind: Kind, off: Option<Rule>, steps: &[(u8, usize, u8)]) -> Result<u32, String> {
    let mut world = World::new(kind, off);
    for (at, (what, host, which)) in steps.iter().enumerate() {
        world.step(*what, *host, *which).map_err(|why| format!("{kind:?}, step {at}: {why}"))?;
    }
    Ok(world.takes)
}

proptest! {
    #[test]
    fn nothing_newer_is_ever_replaced_and_there_is_always_a_way_out(
        kind in 0usize..3, steps in proptest::collection::vec((0u8..20, 0usize..2, any::<u8>()), 1..120)
    ) {
        prop_assert_eq!(run(KINDS[kind], None, &steps).err(), None);
    }
}
