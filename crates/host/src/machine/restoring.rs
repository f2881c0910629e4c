//! Putting back the state outside the asset, and taking that back.
//!
//! A restore of a later takeover must not overwrite what is newer: whoever held the asset last has
//! the newest files.

use super::Machine;
use crate::action::{Answer, Whose};
use crate::addresses::{self, Knock};
use crate::backup;
use anyhow::bail;

/// More restores than one run can make.
const RESTORES: usize = 8;

impl Machine<'_> {
    pub(super) fn restore(&mut self, whose: Whose) -> anyhow::Result<()> {
        let (Some(settings), config) = (&self.config.backup, self.config) else { return Ok(()) };
        let snapshots = backup::whole_snapshots(settings)?;
        let own = snapshots.iter().take_while(|snapshot| snapshot.host == config.own.name).count();
        let peer = &config.peer.name;
        if own > 0 {
            let newest = &snapshots[0].id;
            self.notes.push(format!(
                "{own} snapshots of this host itself are passed over (the newest is {newest}): they would overwrite newer files"
            ));
        }
        let id = match snapshots.into_iter().find(|snapshot| snapshot.host == *peer) {
            Some(snapshot) if own == 0 || whose == Whose::Peer => snapshot.id,
            Some(snapshot) => {
                self.notes.push(format!(
                    "the snapshot {} of {peer} is older than those of this host, which held the asset since; \
                     nothing is restored (habackup --restore {} does it all the same)",
                    snapshot.id, snapshot.id
                ));
                return Ok(());
            }
            None => {
                self.notes.push(format!("no whole snapshot made by {peer} is there; nothing is restored"));
                return Ok(());
            }
        };
        let arguments = ["--restore", &id];
        let restored = backup::restore(config, &arguments, settings.timeout, self.lock, &mut self.runner)?;
        let changed = restored.updated + restored.new;
        self.notes.push(match restored.left {
            0 => format!("restore: done: {id} of {peer}, {changed} files changed"),
            left => format!(
                "restore: done but {left}: {id} of {peer}, {changed} files changed; something else has the place of \
                 {left} entries (habackup --diff {id} live names them)"
            ),
        });
        Ok(())
    }

    /// Tells whether the newest restore of this host is the one from before this run.
    pub(super) fn check_unrestored(&mut self, before: Option<&str>) -> Answer {
        match backup::newest_restore() {
            Ok(newest) if newest.as_deref() == before => Answer::Yes,
            Ok(_) => Answer::No("what was restored is still there".to_owned()),
            Err(error) => Answer::Unknown(format!("{error:#}")),
        }
    }

    /// A run that was killed and begun again may have restored more than once.
    pub(super) fn unrestore(&mut self, before: Option<&str>) -> anyhow::Result<()> {
        let (Some(settings), config) = (&self.config.backup, self.config) else { return Ok(()) };
        for _ in 0..RESTORES {
            if backup::newest_restore()?.as_deref() == before {
                return Ok(());
            }
            backup::restore(config, &["--undo"], settings.timeout, self.lock, &mut self.runner)?;
        }
        bail!("there are more restores than this takeover made")
    }

    /// The operator's word stands in the journal; an answer of the peer is worth more than it.
    pub(super) fn ask_peer(&mut self, peer: &str) -> anyhow::Result<()> {
        let Some(address) = &self.config.peer.address else {
            let note =
                format!("{peer} has no address in the configuration, so nobody asked whether it answers");
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
            return Ok(());
        };
        match addresses::knock(address, self.config.platform, &mut self.runner) {
            Knock::Silent => Ok(()),
            Knock::Answered => bail!("{peer} is not down: {address} answers"),
            Knock::Unknown(why) => bail!("nobody can say whether {peer} answers: {why}"),
        }
    }
}
