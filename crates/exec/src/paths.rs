//! Where configuration and state are, and where programs are looked for.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Returns where journals, history and records live: `ORDERLY_STATE_DIR`, else `/var/lib/orderly`.
pub fn state_directory() -> PathBuf {
    // Found once: a program that goes to another folder keeps its state where it was.
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let find = || {
        let named = std::env::var_os("ORDERLY_STATE_DIR").filter(|dir| !dir.is_empty());
        let named = named.map_or_else(|| "/var/lib/orderly".into(), PathBuf::from);
        std::path::absolute(&named).unwrap_or(named)
    };
    FOLDER.get_or_init(find).clone()
}

/// Returns where the configuration `name` is: `--config FILE`, else in `ORDERLY_CONFIG_DIR`, else
/// in `/etc/orderly`.
pub fn config_path(flag: Option<&Path>, name: &str) -> PathBuf {
    if let Some(path) = flag {
        return path.to_owned();
    }
    std::env::var_os("ORDERLY_CONFIG_DIR")
        .filter(|dir| !dir.is_empty())
        .map_or_else(|| "/etc/orderly".into(), PathBuf::from)
        .join(name)
}

/// Returns the folders in which a program is looked for that is named without one (`PATH`).
pub fn search_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).filter(|folder| folder.is_absolute()).collect()
}
