//! `driver = "command"`: a command of the site tells, which runs on this machine.

use super::driver::{ProbeBy, ProbeDriver, ProbeEntry};
use crate::template::{Reach, Template};

pub(super) const ENTRY: ProbeEntry = ProbeEntry {
    word: "command",
    keys: &["up"],
    read: |table, base| {
        if base.is_none_or(|base| base.template().is_none()) {
            table.need("up");
        }
        let up = Template::read(table, "up")?;
        if up.reach() == Reach::Set {
            let message = format!(
                "{}: one exit status cannot tell many nodes apart; write {{node}}",
                table.named("up")
            );
            table.reject("up", message);
            return None;
        }
        Some(ProbeDriver { word: ENTRY.word, by: ProbeBy::CommandHere(up) })
    },
};
