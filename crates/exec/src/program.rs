//! How this program was called: its name and the words after it, for messages that repeat them.

use std::path::Path;

/// Returns the name this program was called by, without its directory.
pub fn program_name() -> String {
    let called = std::env::args_os().next().unwrap_or_default();
    Path::new(&called)
        .file_name()
        .map_or_else(|| "orderly".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Returns the arguments as typed, without the program's name, for messages that repeat them.
pub fn arguments() -> Vec<String> {
    std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect()
}
