//! Restores of the model, and what a host that begins to run must have.

use super::{Continued, NAMES, Rule, Snapshot, World};
use crate::ancestry::{self, Changed, Common, Here};

impl World {
    pub(super) fn restore(&mut self, h: usize, id: &str) -> Result<(), String> {
        let Some((snapshot, files)) = self.snapshots.iter().find(|one| one.0.id == id).cloned() else {
            return Ok(());
        };
        let base = match self.common(h, &snapshot) {
            Common::Snapshot(base) => self.snapshots.iter().find(|one| one.0.id == base).map(|one| one.1),
            Common::Nothing | Common::Gone(_) => None,
            Common::Unsaved(_) if self.holds(Rule::Unsaved) => return Ok(()),
            Common::Unsaved(_) => None,
        };
        let (name, is_own) = (NAMES[h], snapshot.host == NAMES[h]);
        let host = &mut self.hosts[h];
        for (file, content) in files.iter().enumerate() {
            let live = host.files[file];
            let who = base
                .map_or(Changed::There, |base| ancestry::changed(live != base[file], *content != base[file]));
            if who == Changed::Here {
                continue;
            }
            if who == Changed::Both {
                self.gave_way[file] = self.gave_way[file].max(live);
            }
            if live > *content && (who == Changed::There || is_own) {
                return Err(format!(
                    "{name}: file {file}: {live} was replaced by the older {content} of {id}"
                ));
            }
            host.files[file] = *content;
        }
        if let Some(source) = &mut host.source {
            source.paid = true;
        }
        let continued = Continued { holding: snapshot.holding, snapshot: snapshot.id, host: snapshot.host };
        if !is_own {
            host.restored_before = host.restored.replace(continued);
        }
        Ok(())
    }

    fn common(&self, h: usize, restored: &Snapshot) -> Common<'_> {
        let host = &self.hosts[h];
        let here = Here { name: NAMES[h], restored: host.restored.as_ref(), since: 1, ran: host.ran_in };
        let all: Vec<Snapshot> = self.snapshots.iter().map(|one| one.0.clone()).collect();
        let restored = self.snapshots.iter().map(|one| &one.0).find(|one| one.id == restored.id);
        match restored.filter(|_| self.holds(Rule::Base)) {
            Some(restored) => ancestry::common(here, restored, &all),
            None => Common::Nothing,
        }
    }

    /// Insists that a host that begins to run has the newest that any snapshot has, or says what it owes.
    pub(super) fn insist_on_newest(&self, h: usize) -> Result<(), String> {
        let host = &self.hosts[h];
        if host.source.as_ref().is_some_and(|source| source.is_owed(NAMES[h])) {
            return Ok(());
        }
        for (snapshot, files) in self.snapshots.iter().filter(|one| !one.0.owes) {
            for (file, &saved) in files.iter().enumerate() {
                let live = host.files[file];
                if live < saved && saved > self.gave_way[file] {
                    return Err(format!(
                        "{} runs with {live} of file {file}, and {} has {saved}",
                        NAMES[h], snapshot.id
                    ));
                }
            }
        }
        Ok(())
    }
}
