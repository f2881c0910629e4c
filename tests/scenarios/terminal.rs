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

/// A driver could set the title of the terminal through the live line, and turn the words round anywhere.
#[test]
fn what_a_driver_says_moves_no_cursor_turns_no_words_and_has_an_end() {
    let bed = Bed::new();
    // The words that are kept are the last ones.
    let rude = "head -c 300000 /dev/zero | tr '\\0' x >&2\nprintf '\\033]0;evil\\007\\033[2J\\342\\200\\256turned' >&2; exit 1";
    world(&bed, rude);
    bed.tools(&["head", "tr"]);
    let config = bed.read("etc/cluster.toml");
    bed.config("cluster.toml", format!("{config}[limits]\nretries = 1\n"));
    for json in [false, true] {
        let mut program = bed.program("cstartup").arg("ALL").env("TERM", "vt100").on_terminal();
        if json {
            program = program.arg("--json");
        }
        let ended = program.status(1).any_stdout().any_stderr().run();
        let log = std::fs::read_dir(bed.path("log")).unwrap().next().unwrap().unwrap().path();
        let log = std::fs::read_to_string(log).unwrap();
        for (what, text) in [("terminal", &ended.stderr), ("output", &ended.stdout), ("log", &log)] {
            for raw in ["\x1b]0;", "\x1b[2J", "\u{7}", "\u{202e}"] {
                assert!(!text.contains(raw), "{what}: {raw:?} got through");
            }
        }
        assert!(log.contains("evil") && log.len() < 40_000, "{} bytes", log.len());
        assert!(ended.stdout.len() < 40_000, "{} bytes", ended.stdout.len());
    }
}
