//! The kernel's boot id: another one proves that a node booted, however quickly.

use orderly_plan::drivers::BootId;
use std::time::Duration;

/// Prints it, on a node that runs Linux.
pub const COMMAND: &str = "cat /proc/sys/kernel/random/boot_id";
/// How long a node may take to say it: a node that hangs is not waited for on its account.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// Where a kernel says it.
const PLACE: &str = "/proc/sys/kernel/random/boot_id";

/// Returns the boot id of this very machine.
pub fn own() -> Option<BootId> {
    own_text().and_then(|text| id(&text))
}

/// Returns it as the kernel writes it.
pub(crate) fn own_text() -> Option<String> {
    let text = std::fs::read_to_string(PLACE).ok()?;
    id(&text).map(|_| text.trim().to_owned())
}

/// Returns the id that was printed; nothing for any other text.
pub fn id(text: &str) -> Option<BootId> {
    let text = text.trim();
    let is_id = text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let digits = is_id.then(|| text.replace('-', ""))?;
    u128::from_str_radix(&digits, 16).ok().map(BootId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_told_from_other_words() {
        let one = id("6f1b9a2c-0d3e-4f5a-8b7c-9d0e1f2a3b4c\n");
        assert!(one.is_some() && one != id("6f1b9a2c-0d3e-4f5a-8b7c-9d0e1f2a3b4d"));
        for wrong in [
            "",
            "cat: /proc/sys/kernel/random/boot_id: No such file",
            "6f1b9a2c",
            "------------------------------------",
        ] {
            assert_eq!(id(wrong), None, "{wrong}");
        }
    }
}
