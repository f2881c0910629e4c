//! Where programs are, looked up once: the search path is the same for the ten thousandth process.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Programs of the search path and where they were found.
#[derive(Debug, Default)]
pub(super) struct Programs {
    found: HashMap<OsString, Option<OsString>>,
}

impl Programs {
    /// Returns the path of a program that is named without one; none where it is to be left as it
    /// is, because it names a path or is not found (which the start then says).
    pub(super) fn find(&mut self, name: &OsStr) -> Option<&OsString> {
        if !self.found.contains_key(name) {
            self.found.insert(name.to_owned(), search(name));
        }
        self.found.get(name).and_then(Option::as_ref)
    }
}

fn search(name: &OsStr) -> Option<OsString> {
    if name.is_empty() || Path::new(name).components().count() != 1 || name.as_encoded_bytes().contains(&b'/')
    {
        return None;
    }
    let path = std::env::var_os("PATH")?;
    // An empty or relative folder depends on where the process stands; the start decides there.
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    folders.iter().take_while(|folder| folder.is_absolute()).map(|folder| folder.join(name)).find_map(
        |program| {
            let found = std::fs::metadata(&program).ok()?;
            (found.is_file() && found.permissions().mode() & 0o111 != 0).then(|| program.into_os_string())
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bare_names_are_looked_up() {
        let mut programs = Programs::default();
        assert!(programs.find(OsStr::new("sh")).is_some_and(|path| Path::new(path).is_absolute()));
        for name in ["/bin/sh", "./sh", "", "no-such-program-anywhere", "bin/sh"] {
            assert_eq!(programs.find(OsStr::new(name)), None, "{name}");
        }
    }
}
