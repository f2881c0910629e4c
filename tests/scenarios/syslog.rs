//! What of a run reaches the system's log: a socket stands in for its daemon, in a private `/dev`.

use super::shutdown_plan::cluster;
use bed::Bed;
use bed::real::{Need, require};
use std::os::unix::net::UnixDatagram;

/// Runs a program where `/dev/log` is the socket `daemon` of the bed, and `/dev` is nobody else's.
const BESIDE_A_DAEMON: &str = "unshare -m --propagation private /bin/sh -c 'mkdir dev && : >dev/null && \
    ln -s \"$PWD/daemon\" dev/log && mount --bind /dev/null dev/null && mount --rbind dev /dev && exec \"$@\"' sh ";

/// Returns what a daemon hears of a run of `line`.
fn heard(bed: &Bed, line: &str, status: i32) -> Vec<String> {
    let daemon = UnixDatagram::bind(bed.path("daemon")).expect("listen as the system's log");
    daemon.set_nonblocking(true).expect("not wait for what was not said");
    bed.tools(&["unshare", "mount", "mkdir", "ln"]);
    bed.shell(&format!("{BESIDE_A_DAEMON}{line}")).any_stderr().any_stdout().status(status).run();
    let mut buffer = [0; 4096];
    std::iter::from_fn(|| {
        let length = daemon.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    })
    .collect()
}

#[test]
fn the_beginning_the_failures_and_the_end_of_a_run_reach_the_systems_log() {
    if !require(&[Need::Root, Need::MountNamespace]) {
        return;
    }
    let bed = Bed::new();
    cluster(&bed, "fail = \"n2\"");
    let heard = heard(&bed, "cshutdown ALL", 1);
    let told: Vec<(&str, &str)> = heard.iter().filter_map(|line| line.split_once(']')).collect();
    let texts: Vec<&str> = told.iter().map(|(_, text)| *text).collect();
    assert!(texts[0].ends_with(": cshutdown ALL"), "{heard:?}");
    assert!(texts.contains(&": n2: failed: simulated failure"), "{heard:?}");
    assert!(texts.last().is_some_and(|text| text.starts_with(": failed after ")), "{heard:?}");
    // The facility is user; what went wrong is an error, the rest informs.
    for (who, text) in told {
        let severity = if text.starts_with(": n2: ") { "<11>" } else { "<14>" };
        assert!(who.starts_with(&format!("{severity}cshutdown[")), "{who} for {text}");
    }
}
