//! Writes the shell completions of all programs into a folder: `completions DIR`.
//!
//! An example and not a program, because only tests may know all six; `make install` runs it.

use clap_complete::{Shell, generate_to};
use std::path::PathBuf;

fn main() -> anyhow::Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or_else(|| anyhow::anyhow!("which folder?"))?);
    std::fs::create_dir_all(&folder)?;
    let commands = [
        seqfile::command(),
        cstartup::command(),
        cshutdown::command(),
        cshutdown::logger::command(),
        habackup::command(),
        habackup::command().name("harestore"),
        ha_release::command(),
        ha_takeover::command(),
    ];
    for mut command in commands {
        let name = command.get_name().to_owned();
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            generate_to(shell, &mut command, &name, &folder)?;
        }
    }
    Ok(())
}
