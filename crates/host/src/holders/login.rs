//! Whether a process is of somebody who logged in: then certainly no service owns it.
//!
//! The control group does not tell. A service that was started by hand stays in the group of that login, and
//! one that changes its user by su(1) is put into the group of a login of its own.

use std::fs;

/// Says by what a process is known to be of somebody who logged in: its terminal, or the sshd(8) that it
/// came from. What became a daemon has neither.
pub(super) fn of(pid: u32) -> Option<String> {
    let (mut parent, terminal) = parent_and_terminal(&stat(pid)?)?;
    if let Some(terminal) = name(terminal) {
        return Some(format!("on the terminal {terminal}"));
    }
    // Bounded: numbers are given anew while this goes up.
    for _ in 0..64 {
        if parent <= 1 {
            return None;
        }
        let text = stat(parent)?;
        if text.split_once('(').is_some_and(|(_, rest)| rest.starts_with("sshd")) {
            return Some("in a session of sshd".to_owned());
        }
        parent = parent_and_terminal(&text)?.0;
    }
    None
}

fn stat(pid: u32) -> Option<String> {
    fs::read(format!("/proc/{pid}/stat")).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads `/proc/PID/stat` (proc_pid_stat(5)): the name before the fields may have anything in it.
fn parent_and_terminal(text: &str) -> Option<(u32, u32)> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let terminal: i64 = fields.get(4)?.parse().ok()?;
    Some((fields.get(1)?.parse().ok()?, u32::try_from(terminal & 0xffff_ffff).ok()?))
}

/// Returns the name of a terminal, by its device number as it stands there.
fn name(terminal: u32) -> Option<String> {
    let (major, minor) = ((terminal >> 8) & 0xfff, (terminal & 0xff) | ((terminal >> 12) & 0xfff00));
    match major {
        0 => None,
        4 if minor < 64 => Some(format!("tty{minor}")),
        4 => Some(format!("ttyS{}", minor - 64)),
        136..=143 => Some(format!("pts/{}", (major - 136) * 256 + minor)),
        _ => Some(format!("{major}:{minor}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terminal_is_read_behind_any_name() {
        let text = "4711 (a) b (c) S 70 4711 4711 34819 4711 4194560 1";
        assert_eq!(parent_and_terminal(text), Some((70, 34819)));
        assert_eq!(name(34819).as_deref(), Some("pts/3"));
        assert_eq!(name(1025).as_deref(), Some("tty1"));
        assert_eq!(name(1088).as_deref(), Some("ttyS0"));
        assert_eq!(name(0), None);
        assert_eq!(parent_and_terminal("nonsense"), None);
    }
}
