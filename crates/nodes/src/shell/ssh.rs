//! `driver = "ssh"`: a process for each node.

use crate::roster::Member;
use std::ffi::OsString;
use std::time::Duration;

/// The settings of `driver = "ssh"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssh {
    pub program: String,
    pub user: Option<String>,
    pub port: Option<u16>,
    pub connect_timeout: Duration,
    /// Given to ssh before ours, and ssh takes the first value it gets of each.
    pub options: Vec<String>,
}

/// Returns the call that runs a command line on one node.
pub(super) fn ssh_argv(ssh: &Ssh, node: &Member, command: &str) -> Vec<OsString> {
    let mut argv: Vec<OsString> = vec![ssh.program.clone().into()];
    // The administrator's options come first, because ssh takes the first value of each.
    argv.extend(ssh.options.iter().map(OsString::from));
    argv.extend(safeguards(ssh.connect_timeout).into_iter().map(OsString::from));
    // No terminal, no forwarded agent or display.
    argv.extend(["-T", "-a", "-x"].map(OsString::from));
    if let Some(port) = ssh.port {
        argv.extend(["-p".into(), port.to_string().into()]);
    }
    if let Some(user) = &ssh.user {
        argv.extend(["-l".into(), user.into()]);
    }
    argv.extend(["--".into(), OsString::from(&node.address), command.into()]);
    argv
}

/// Returns the options that keep ssh from asking, sharing and waiting for ever.
pub(super) fn safeguards(connect_timeout: Duration) -> Vec<String> {
    let seconds = connect_timeout.as_secs().max(1);
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
        let argv = ssh_argv(&ssh, &member("n1", 1), "shutdown -h now");
        let words: Vec<&str> = argv.iter().map(|word| word.to_str().unwrap()).collect();
        assert_eq!(words[..3], ["ssh", "-F", "/etc/orderly/ssh_config"]);
        assert!(words.windows(2).any(|pair| pair == ["-o", "ConnectTimeout=1"]));
        assert_eq!(words[words.len() - 3..], ["--", "10.0.0.1", "shutdown -h now"]);
    }
}
