//! `driver = "ssh"`: a process for each node.

use super::driver::{ShellDriver, ShellEntry, before};
use crate::roster::Member;
use orderly_exec::settings::Table;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

pub(super) const ENTRY: ShellEntry = ShellEntry {
    word: "ssh",
    keys: &["program", "user", "port", "connect_timeout", "options", "aliases"],
    read: |table, base| Some(Arc::new(Ssh::read(table, before(base), ENTRY.word))),
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How ssh leads to nodes: the settings of `driver = "ssh"`, and of what starts ssh itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssh {
    pub program: String,
    pub user: Option<String>,
    pub port: Option<u16>,
    pub connect_timeout: Duration,
    /// Given to ssh before ours, and ssh takes the first value it gets of each.
    pub options: Vec<String>,
}

impl Ssh {
    /// Reads the keys that all have who reach nodes by ssh; `program` is the usual one.
    pub(super) fn read(table: &Table<'_>, base: Option<&Self>, program: &str) -> Self {
        Self {
            program: table
                .text("program")
                .unwrap_or_else(|| base.map_or(program, |base| &base.program).to_owned()),
            user: table.text("user").or_else(|| base?.user.clone()),
            port: table.port("port").or_else(|| base?.port),
            connect_timeout: table
                .limit("connect_timeout")
                .unwrap_or_else(|| base.map_or(CONNECT_TIMEOUT, |base| base.connect_timeout)),
            options: table.texts("options").or_else(|| Some(base?.options.clone())).unwrap_or_default(),
        }
    }

    /// Returns the options that keep ssh from asking, sharing and waiting for ever.
    pub(super) fn safeguards(&self) -> Vec<String> {
        let seconds = self.connect_timeout.as_secs().max(1);
        [
            "BatchMode=yes".to_owned(),
            format!("ConnectTimeout={seconds}"),
            // A shared connection outlives its command, and the halt of its node.
            "ControlMaster=no".to_owned(),
            "ControlPath=none".to_owned(),
            // A node that is halted says nothing more; without this the call lasts until its limit.
            "ServerAliveInterval=10".to_owned(),
            "ServerAliveCountMax=3".to_owned(),
        ]
        .into_iter()
        .flat_map(|option| ["-o".to_owned(), option])
        .collect()
    }
}

impl ShellDriver for Ssh {
    fn word(&self) -> &'static str {
        ENTRY.word
    }

    fn argv(&self, node: &Member, command: &str) -> anyhow::Result<Vec<OsString>> {
        let mut argv: Vec<OsString> = vec![self.program.clone().into()];
        // The administrator's options come first, because ssh takes the first value of each.
        argv.extend(self.options.iter().map(OsString::from));
        argv.extend(self.safeguards().into_iter().map(OsString::from));
        // No terminal, no forwarded agent or display.
        argv.extend(["-T", "-a", "-x"].map(OsString::from));
        if let Some(port) = self.port {
            argv.extend(["-p".into(), port.to_string().into()]);
        }
        if let Some(user) = &self.user {
            argv.extend(["-l".into(), user.into()]);
        }
        argv.extend(["--".into(), OsString::from(&node.address), command.into()]);
        Ok(argv)
    }

    fn ssh(&self) -> Option<&Ssh> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::tests::member;

    #[test]
    fn a_node_is_never_taken_for_an_option_of_ssh() {
        let ssh = Ssh {
            program: "ssh".into(),
            user: Some("root".into()),
            port: Some(2222),
            connect_timeout: Duration::from_millis(1),
            options: vec!["-F".into(), "/etc/orderly/ssh_config".into()],
        };
        let argv = ssh.argv(&member("n1", 1), "shutdown -h now").unwrap();
        let words: Vec<&str> = argv.iter().map(|word| word.to_str().unwrap()).collect();
        assert_eq!(words[..3], ["ssh", "-F", "/etc/orderly/ssh_config"]);
        assert!(words.windows(2).any(|pair| pair == ["-o", "ConnectTimeout=1"]));
        assert_eq!(words[words.len() - 3..], ["--", "10.0.0.1", "shutdown -h now"]);
    }
}
