//! `driver = "redfish"`: nodes without a shell, which their BMC asks to halt, as the power button does.
//!
//! No command can be run on them. What is sent, and to whom, is the power driver's of the same name.

use super::driver::{ShellDriver, ShellEntry, before};
use crate::power::redfish::{self, Stated};
use crate::power::{PowerDriver, ProgramVersion};
use std::sync::Arc;

pub(super) const ENTRY: ShellEntry = ShellEntry {
    word: "redfish",
    keys: Stated::KEYS,
    read: |table, base| {
        let stated = Stated::read(table);
        let base = before::<ShellRedfish>(base).map(|base| base.0.clone()).unwrap_or_default();
        Some(Arc::new(ShellRedfish(stated.or(&base))))
    },
};

#[derive(Debug)]
struct ShellRedfish(Stated);

impl ShellDriver for ShellRedfish {
    fn word(&self) -> &'static str {
        ENTRY.word
    }

    fn runs_commands(&self) -> bool {
        false
    }

    fn halting(&self, power: &dyn PowerDriver) -> Option<Result<Arc<dyn PowerDriver>, String>> {
        Some(redfish::halting(&self.0, power))
    }

    fn attributes(&self) -> Vec<&str> {
        self.0.attributes().to_vec()
    }

    fn remark(&self) -> Option<String> {
        self.0.is_insecure().then(|| redfish::of_insecure("shell.insecure"))
    }

    fn version(&self) -> Option<ProgramVersion> {
        Some(redfish::version_of(self.0.program()))
    }
}
