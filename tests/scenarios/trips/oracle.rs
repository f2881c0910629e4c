//! What must never come of a trip: a newest content that is lost, an asset that both hosts hold, a state that
//! nothing leads out of. Judges by what is seen from outside, and shares no code with the programs.

use std::collections::{BTreeMap, BTreeSet};

/// A file of which every content is a number that grows with each edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum File {
    /// Outside the asset: each host has its own, and the backup has it.
    Outside(&'static str),
    /// On the asset.
    Asset,
}

/// A content of a file.
pub(super) type Content = (File, u64);

/// What is seen of a host.
#[derive(Debug, Clone, Default)]
pub(super) struct Look {
    /// The asset is mounted here.
    pub(super) holds: bool,
    /// Everything that belongs to the asset is here and runs.
    pub(super) whole: bool,
    /// What each file has here.
    pub(super) files: BTreeMap<File, u64>,
    /// What restores replaced here, and an undo brings back.
    pub(super) saved: BTreeSet<Content>,
    /// What the whole snapshots have, each by its name; seen only where the asset is mounted.
    pub(super) snapshots: BTreeSet<(String, Content)>,
}

/// A run of one of the programs, as whoever typed it saw it.
#[derive(Debug, Clone, Default)]
pub(super) struct Ran {
    pub(super) host: usize,
    pub(super) line: String,
    pub(super) status: i32,
    /// Everything it printed.
    pub(super) said: String,
}

/// What must never be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Objection {
    Lost(String),
    Double(String),
    DeadEnd(String),
    /// A status that is not true.
    Untrue(String),
}

/// Said where what changed since the last snapshot is not handed over.
const UNSAVED: [&str; 4] = [
    "what changed since is not handed over",
    "made no whole snapshot in this holding",
    "nothing is restored",
    "--no-backup",
];

/// Said, with the place of what is replaced, where a file was changed on both hosts or nobody could compare.
const NAMED: [&str; 2] = ["changed on both hosts since", "so nothing was compared; what ec"];

/// Said where a takeover goes without what is saved.
const OWED: [&str; 3] = ["taken, restore owed", "ran without restoring", "not restored: "];

/// All that is known of a pair.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    newest: BTreeMap<File, u64>,
    /// Contents that a hand-over left behind, and said so.
    dropped: BTreeSet<Content>,
    last: [Look; 2],
    snapshots: BTreeSet<(String, Content)>,
    /// Snapshots that were there when the asset was taken last.
    earlier: BTreeSet<String>,
    /// Whoever holds it runs without what was saved for it: what he saves does not continue it, and is no backup.
    owes: bool,
    /// What the runs printed since the asset was taken last.
    said: String,
    /// Contents that were left behind, each with what said so.
    pub(super) left_behind: Vec<String>,
}

impl Oracle {
    /// Begins with what is seen.
    pub(super) fn new(looks: [Look; 2]) -> Self {
        let mut oracle = Self::default();
        for look in looks.iter().filter(|look| look.holds) {
            oracle.newest.extend(look.files.clone());
        }
        oracle.see(looks);
        oracle
    }

    /// Somebody edited a file on the host that holds the asset.
    pub(super) fn wrote(&mut self, host: usize, (file, version): Content) {
        self.newest.insert(file, version);
        self.last[host - 1].files.insert(file, version);
    }

    /// A program ran.
    pub(super) fn ran(&mut self, ran: &Ran, looks: [Look; 2]) -> Result<(), Objection> {
        self.said.push_str(&ran.said);
        self.said.push_str(&ran.line);
        if looks.iter().all(|look| look.holds) {
            return Err(Objection::Double(format!("both hold it after {}", ran.line)));
        }
        for (before, look) in self.last.iter().zip(&looks).filter(|(_, look)| look.holds) {
            self.snapshots.clone_from(&look.snapshots);
            let newest = self.newest.get(&File::Asset);
            if look.files.get(&File::Asset) != newest {
                let had = before.files.get(&File::Asset);
                return Err(Objection::Lost(format!("on the asset is {had:?} and not {newest:?}")));
            }
        }
        let host = ran.host - 1;
        let taken = ran.line.contains("ha-takeover") && ran.status == 0;
        self.against_older(&looks, taken.then_some(host), &ran.said)?;
        self.against_status(ran, &looks)?;
        if taken {
            self.against_lost(ran, &looks[host])?;
            self.owes = ran.said.contains("taken, restore owed");
            self.said.clear();
            self.earlier = looks[host].snapshots.iter().map(|(name, _)| name.clone()).collect();
        }
        self.see(looks);
        Ok(())
    }

    /// Nothing that was printed is left to type.
    pub(super) fn stuck(&self, tried: &[String]) -> Result<(), Objection> {
        if self.last.iter().any(|look| look.holds && look.whole) {
            return Ok(());
        }
        Err(Objection::DeadEnd(format!("neither holds it whole after\n  {}", tried.join("\n  "))))
    }

    /// Tells whether one of these snapshots has a content.
    fn is_in(&self, which: impl Fn(&str) -> bool, content: Content) -> bool {
        self.snapshots.iter().any(|(name, has)| *has == content && which(name))
    }

    fn see(&mut self, looks: [Look; 2]) {
        if let Some(look) = looks.iter().find(|look| look.holds) {
            self.snapshots.clone_from(&look.snapshots);
        }
        self.last = looks;
    }

    /// What is replaced by something older is kept where somebody finds it; a takeover that succeeds replaces only
    /// what was left behind.
    fn against_older(&self, looks: &[Look; 2], taken: Option<usize>, said: &str) -> Result<(), Objection> {
        for (at, (before, look)) in self.last.iter().zip(looks).enumerate() {
            for (&file, &had) in before.files.iter().filter(|(file, _)| **file != File::Asset) {
                let has = look.files.get(&file).copied().unwrap_or_default();
                if has >= had {
                    continue;
                }
                let what = format!("{file:?} on ec{} was {had} and is {has}", at + 1);
                let content = (file, had);
                // Both hosts changed it since they had it in common, and it was left behind by a hand-over that said so.
                let is_named = NAMED.iter().any(|word| said.contains(word));
                let may = self.dropped.contains(&content) && look.saved.contains(&content) && is_named;
                if taken == Some(at) && !may {
                    return Err(Objection::Lost(format!("{what}: older over newer")));
                }
                let elsewhere = looks[1 - at].files.get(&file) == Some(&had);
                if !elsewhere && !look.saved.contains(&content) && !self.is_in(|_: &str| true, content) {
                    return Err(Objection::Lost(format!("{what}, and {had} is nowhere")));
                }
            }
        }
        Ok(())
    }

    fn against_status(&self, ran: &Ran, looks: &[Look; 2]) -> Result<(), Objection> {
        let (look, before) = (&looks[ran.host - 1], &self.last[ran.host - 1]);
        let takes = ran.line.contains("ha-takeover");
        let untrue = match ran.status {
            0 if takes => !look.holds || (!look.whole && !ran.line.contains("--skip ")),
            0 if ran.line.contains("ha-release") => look.holds && !ran.line.contains("--disclaim"),
            2..=4 => look.holds != before.holds,
            1 if takes => look.holds,
            _ => false,
        };
        if untrue {
            let (holds, whole) = (look.holds, look.whole);
            return Err(Objection::Untrue(format!(
                "{} on ec{} ended with {}, and holds: {holds}, whole: {whole}",
                ran.line, ran.host, ran.status
            )));
        }
        Ok(())
    }

    /// Who takes the asset has the newest of everything, or learns that he has not.
    fn against_lost(&mut self, ran: &Ran, look: &Look) -> Result<(), Objection> {
        for (file, newest) in self.newest.clone() {
            let has = look.files.get(&file).copied().unwrap_or_default();
            if has >= newest {
                // Newer than what came along: left behind here once, and still here.
                self.newest.insert(file, has);
                continue;
            }
            // What was saved before this holding is no backup of it.
            let is_saved =
                !self.owes && self.is_in(|name: &str| !self.earlier.contains(name), (file, newest));
            let said = |words: &[&'static str]| words.iter().copied().find(|word| self.said.contains(word));
            let Some(word) = said(&OWED).or_else(|| said(&UNSAVED).filter(|_| !is_saved)) else {
                return Err(Objection::Lost(format!(
                    "ec{} took it with {has} of {file:?}, the newest is {newest} (in a snapshot: {is_saved}), and nothing says so",
                    ran.host
                )));
            };
            self.left_behind.push(format!("ec{} has {has} of {file:?}, not {newest}: {word}", ran.host));
            self.dropped.insert((file, newest));
            self.newest.insert(file, has);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTSIDE: File = File::Outside("file");

    /// Returns the looks at two hosts: who holds it, and what each has of the file.
    fn looks(holder: Option<usize>, contents: [u64; 2]) -> [Look; 2] {
        [1, 2].map(|host| {
            let holds = holder == Some(host);
            let mut look = Look { holds, whole: holds, ..Look::default() };
            look.files.insert(OUTSIDE, contents[host - 1]);
            look.files.extend(holds.then_some((File::Asset, 1)));
            look
        })
    }

    fn run(host: usize, line: &str, status: i32, said: &str) -> Ran {
        Ran { host, line: line.to_owned(), status, said: said.to_owned() }
    }

    /// ec1 holds content 2 of the file and released it; ec2 has content 1.
    fn released(said: &str) -> Oracle {
        let mut oracle = Oracle::new(looks(Some(1), [1, 1]));
        oracle.wrote(1, (OUTSIDE, 2));
        oracle.ran(&run(1, "ha-release", 0, said), looks(None, [2, 1])).unwrap();
        oracle
    }

    fn takes(oracle: &mut Oracle, said: &str, looks: [Look; 2]) -> Result<(), Objection> {
        oracle.ran(&run(2, "ha-takeover", 0, said), looks)
    }

    #[test]
    fn the_oracle_objects_to_a_content_that_did_not_come_along() {
        let mut oracle = released("");
        takes(&mut oracle, "restore: done", looks(Some(2), [2, 2])).unwrap();
        let lost = takes(&mut released(""), "restore: done", looks(Some(2), [2, 1]));
        assert!(matches!(lost, Err(Objection::Lost(_))), "{lost:?}");
        // Whoever was told knows it, but not of what was saved.
        takes(&mut released("--no-backup"), "", looks(Some(2), [2, 1])).unwrap();
        let mut saved = looks(Some(2), [2, 1]);
        saved[1].snapshots.insert(("s".to_owned(), (OUTSIDE, 2)));
        let lost = takes(&mut released("--no-backup"), "", saved.clone());
        assert!(matches!(lost, Err(Objection::Lost(_))), "{lost:?}");
        takes(&mut released(""), "taken, restore owed", saved).unwrap();
    }

    #[test]
    fn the_oracle_objects_to_older_over_newer_and_to_what_is_nowhere() {
        let lost = released("").ran(&run(1, "ha-takeover", 0, ""), looks(Some(1), [1, 1]));
        assert!(matches!(lost, Err(Objection::Lost(_))), "{lost:?}");
        // A run that failed put something older there, and what was newer is nowhere.
        let undone = |seen: [Look; 2]| {
            let mut oracle = Oracle::new(looks(Some(2), [4, 4]));
            oracle.wrote(2, (OUTSIDE, 5));
            oracle.ran(&run(2, "ha-takeover", 1, ""), seen)
        };
        assert!(matches!(undone(looks(None, [4, 3])), Err(Objection::Lost(_))));
        let mut kept = looks(None, [4, 3]);
        kept[1].saved.insert((OUTSIDE, 5));
        undone(kept).unwrap();
    }

    #[test]
    fn the_oracle_objects_to_an_asset_that_is_changed_held_twice_or_not_as_was_told() {
        let mut both = looks(Some(1), [2, 2]);
        both[1] = looks(Some(2), [2, 2])[1].clone();
        let double = takes(&mut released(""), "", both);
        assert!(matches!(double, Err(Objection::Double(_))), "{double:?}");
        let mut other = looks(Some(2), [2, 2]);
        other[1].files.insert(File::Asset, 0);
        let lost = takes(&mut released(""), "", other);
        assert!(matches!(lost, Err(Objection::Lost(_))), "{lost:?}");
        for (line, status, holder) in [
            ("ha-takeover", 0, None),
            ("ha-takeover", 1, Some(2)),
            ("ha-takeover", 4, Some(2)),
            ("ha-release", 0, Some(2)),
        ] {
            let untrue = released("").ran(&run(2, line, status, ""), looks(holder, [2, 2]));
            assert!(matches!(untrue, Err(Objection::Untrue(_))), "{line} {status}: {untrue:?}");
        }
    }

    #[test]
    fn the_oracle_objects_to_a_dead_end() {
        let oracle = released("");
        assert!(matches!(oracle.stuck(&["ha-takeover".to_owned()]), Err(Objection::DeadEnd(_))));
        Oracle::new(looks(Some(1), [1, 1])).stuck(&[]).unwrap();
    }
}
