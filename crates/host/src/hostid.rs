//! The number by which a pool knows its host, as ZFS reads it.

use crate::platform::Platform;
use orderly_exec::job::Job;
use orderly_exec::runner::Run;
use std::path::Path;
use std::time::Duration;

/// Returns the hostid of this host on its platform; on Solaris `hostid` tells (hostid(1)).
pub fn ask(platform: Platform, run: &mut dyn Run) -> String {
    if platform == Platform::Linux {
        return read();
    }
    let ended = run.run(&Job::new(["hostid"], Duration::from_secs(60)));
    let said = ended.text().trim().to_owned();
    let number = u32::from_str_radix(&said, 16).ok().filter(|_| ended.succeeded()).unwrap_or(0);
    format!("{number:08x}")
}

/// The hostid of a host that has none.
pub const NONE: &str = "00000000";

/// Returns the hostid as eight hexadecimal digits; [`NONE`] when this host has none.
///
/// The module's parameter wins over `/etc/hostid`, as it does in the module (zgenhostid(8)). What
/// gethostid(3) makes up from an address is no identity: it changes with the address.
pub fn read() -> String {
    let parameter = std::fs::read_to_string("/sys/module/spl/parameters/spl_hostid").ok();
    let parameter = parameter.and_then(|text| text.trim().parse::<u32>().ok()).filter(|number| *number != 0);
    let number = parameter.or_else(|| from_file(Path::new("/etc/hostid"))).unwrap_or(0);
    format!("{number:08x}")
}

fn from_file(path: &Path) -> Option<u32> {
    let bytes = std::fs::read(path).ok()?;
    bytes.first_chunk().map(|four| u32::from_ne_bytes(*four))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_holds_four_bytes_in_the_order_of_the_machine() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hostid");
        assert_eq!(from_file(&path), None);
        std::fs::write(&path, 0x007f_0100_u32.to_ne_bytes()).unwrap();
        assert_eq!(from_file(&path), Some(0x007f_0100));
        assert_eq!(read().len(), 8);
    }
}
