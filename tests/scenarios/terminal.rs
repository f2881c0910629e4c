//! What a run shows on a real terminal: nothing that moves its cursor or turns its words round, and lines as
//! they happen where the terminal cannot draw. The drivers are scripts: no real one can be told to be rude.

use bed::Bed;

/// Two nodes that are off and come up as soon as they are powered on; `power NODE` says this beforehand.
fn world(bed: &Bed, on: &str) {
    let inventory = bed.write("inventory.json", r#"{"nodes": [{"name": "n1"}, {"name": "n2"}]}"#);
    let at = bed.path("on");
    let power = bed.script(
        "power",
        &format!(
            "act=$1 node=$2\ncase $act in\nstatus) [ -e {at:?}.$node ] && echo \"$node: on\" || echo \"$node: off\" ;;\n\
             on) {on}\n>{at:?}.$node ;;\noff) rm -f {at:?}.$node ;;\nesac"
        ),
    );
    bed.tools(&["rm", "sleep"]);
    bed.config(
        "cluster.toml",
        format!(
            "inventory = {inventory:?}\nlog_dir = {:?}\nsequence = {{ start = {:?}, shut = {:?} }}\n\
             [power]\ndriver = \"command\"\non = [{power:?}, \"on\", \"{{node}}\"]\noff = [{power:?}, \"off\", \"{{node}}\"]\n\
             status = [{power:?}, \"status\", \"{{node}}\"]\n[probe]\ndriver = \"power\"\ninterval = \"20ms\"\n",
            bed.path("log"),
            bed.path("cstartSeq"),
            bed.path("cstartSeq"),
        ),
    );
    bed.write("cstartSeq", "a: n1\nb: n2\na > b\n");
}

/// Nothing was shown until the end: there was a live line, and nothing that could draw it.
#[test]
fn a_terminal_that_cannot_draw_gets_lines_as_they_happen() {
    for term in [Some("dumb"), Some(""), None] {
        let bed = Bed::new();
        let go = bed.path("go");
        world(&bed, &format!("[ $node = n1 ] || until [ -e {go:?} ]; do sleep 0.05; done"));
        let mut program = bed.program("cstartup").arg("ALL").on_terminal().any_stderr();
        if let Some(term) = term {
            program = program.env("TERM", term);
        }
        let running = program.spawn();
        running.wait_for_stderr("cstartup: n1: up");
        running.wait_for_stderr("cstartup: n2: powering on");
        bed.write("go", "");
        let ended = running.end();
        assert!(!ended.stderr.contains('\x1b'), "{term:?}: {:?}", ended.stderr);
    }
}
