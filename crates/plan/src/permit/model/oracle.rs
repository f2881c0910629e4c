//! The oracle: what must never be, and every way out that the programs print.

use super::{Kind, NAMES, Record, Stage, World};

impl World {
    /// Says what must never be: two mounts, or two living hosts of which none gets the asset.
    pub(super) fn judge(&self) -> Result<(), String> {
        if self.hosts.iter().all(|host| host.mounted) {
            return Err("both have it mounted".to_owned());
        }
        let live = self.hosts.iter().all(|host| host.on && host.stage == Stage::Idle);
        let has_it = self.hosts.iter().any(|host| host.mounted);
        if live && !has_it && self.clean && self.kind != Kind::Xfs {
            for (h, name) in NAMES.iter().enumerate() {
                if !self.gets_a_word(h) {
                    return Err(format!("what the refusal on {name} tells to type does not help"));
                }
            }
        }
        if !live || has_it || self.needs_fence || [0, 1].iter().any(|h| self.has_way(*h)) {
            return Ok(());
        }
        Err("both live, and neither gets it without a fence".to_owned())
    }

    /// Tells whether the line that a refusal prints, the peer's record after this host's own, permits.
    fn gets_a_word(&self, h: usize) -> bool {
        let mut tried = self.clone();
        tried.release(1 - h, self.hosts[h].last.as_ref().map(|last| last.serial));
        let fresh = tried.records.get(self.records.len()).cloned();
        fresh.is_some_and(|record| tried.permits(h, &record))
    }

    /// Tells whether a host gets the asset by what its refusal tells to type.
    fn has_way(&self, h: usize) -> bool {
        let mut tried = self.clone();
        tried.release(1 - h, self.hosts[h].last.as_ref().map(|last| last.serial));
        let before = tried.records.len();
        tried.disclaim(1 - h);
        tried.release(h, None);
        let fresh = before.saturating_sub(1);
        let available: Vec<Record> = tried.records[fresh..].to_vec();
        // An own record stands until the peer makes one; it was made last here.
        let is_own_enough = self.clean && self.kind == Kind::Mmp;
        available.iter().filter(|record| record.host != h || is_own_enough).any(|record| {
            let mut alone = self.clone();
            alone.hosts[h].last =
                if record.host == h { Some(record.clone()) } else { self.hosts[h].last.clone() };
            alone.permits(h, record)
        })
    }
}
