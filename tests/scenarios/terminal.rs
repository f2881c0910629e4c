//! What a run shows on a real terminal: nothing that moves its cursor or turns its words round, lines as they happen where
//! the terminal cannot draw, and a live line that leaves nothing behind, whatever becomes of the terminal meanwhile.
//! The rude drivers are scripts: no real one can be told to be rude.

use super::elsewhere;
use bed::{Bed, TMUX_NEEDS, Tmux, real, wait_until};

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

/// A start of twelve nodes that hangs at n01.
const LIVE: &str = "n01 booting for ";

fn hanging() -> Option<Bed> {
    real::require(&TMUX_NEEDS).then(|| elsewhere::cluster(12, "hang = \"n01\""))
}

/// Returns the lines that no program has said, wherever they stand.
fn unsaid(terminal: &Tmux<'_>) -> Vec<String> {
    terminal.lines().into_iter().filter(|line| !line.starts_with("cstartup: ")).collect()
}

/// Waits until the live line is all that stands there but what was said, which stands above it.
fn wait_for_live_alone(terminal: &Tmux<'_>, when: &str) {
    let mut shown = Vec::new();
    let is_alone = || {
        shown = terminal.lines();
        let said = shown.iter().take_while(|line| line.starts_with("cstartup: ")).count();
        let live = &shown[said..];
        live.len() <= 2 && live.first().is_some_and(|line| line.starts_with(LIVE))
    };
    wait_until(&format!("nothing but the live line is left {when}"), is_alone);
}

/// A part of the wider line stayed above the new one for ever.
#[test]
fn a_terminal_that_is_resized_keeps_no_part_of_an_older_live_line() {
    let Some(bed) = hanging() else { return };
    let terminal = Tmux::run(&bed, 100, 24, "exec cstartup ALL");
    let told = "cstartup: simulated: cluster.toml names the simulator, nothing real is touched";
    terminal.wait_for_text(LIVE);
    for (columns, rows) in [(60, 24), (40, 20), (120, 30), (45, 12), (41, 8), (80, 24)] {
        terminal.resize(columns, rows);
        wait_for_live_alone(&terminal, &format!("at {columns} columns"));
        let shown = terminal.lines();
        // What was said is broken by the terminal, which knows that it is one line: it can be copied as one.
        assert!(shown.iter().any(|line| line == told), "{shown:#?}");
        assert!(terminal.rows().iter().all(|row| row.chars().count() <= columns));
    }
}

/// What the terminal itself shows of Enter moved the live line down, and the older one stayed.
#[test]
fn enter_prints_the_whole_and_what_was_typed_is_gone() {
    let Some(bed) = hanging() else { return };
    let terminal = Tmux::run(&bed, 80, 24, "exec cstartup ALL");
    terminal.wait_for_text(LIVE);
    for times in 1..=3 {
        terminal.press(&["x", "y", "Enter"]);
        // The last line of the answer.
        let told = |line: &&String| *line == "cstartup: n[02-03]: waiting for n01";
        wait_until("it is answered", || terminal.lines().iter().filter(told).count() == times);
        wait_for_live_alone(&terminal, "after Enter");
    }
}

/// One that writes or reads there is stopped by the terminal, or takes what is typed for another.
#[test]
fn in_the_background_nothing_is_drawn_or_read_and_nothing_stops_it() {
    let Some(bed) = hanging() else { return };
    let line = "set -m; cstartup ALL & echo $! >job; read typed; echo \"read: $typed\"; fg %1";
    let terminal = Tmux::run(&bed, 80, 24, line);
    terminal.wait_for_text("cstartup: n00: up");
    terminal.press(&["m", "i", "n", "e", "Enter"]);
    // In the foreground it draws.
    let shown = terminal.wait_for_text("read: mine");
    assert!(
        !shown.iter().take_while(|row| !row.contains("read: mine")).any(|row| row.contains(LIVE)),
        "{shown:#?}"
    );
    terminal.wait_for_text(LIVE);
    let job = bed.read("job");
    let state = std::fs::read_to_string(format!("/proc/{}/stat", job.trim())).unwrap();
    assert!(!state.rsplit(") ").next().unwrap().starts_with('T'), "{state}");
}

#[test]
fn an_interrupt_leaves_the_cursor_where_the_next_prompt_belongs() {
    for (signal, status) in [(None, 130), (Some(nix::sys::signal::Signal::SIGTERM), 143)] {
        let Some(bed) = hanging() else { return };
        let line = "trap : INT; sh -c 'echo $$ >job; exec cstartup ALL'; echo \"ended $?\"; read stay";
        bed.tool("sh");
        let terminal = Tmux::run(&bed, 60, 20, line);
        terminal.wait_for_text(LIVE);
        match signal {
            None => terminal.press(&["C-c"]),
            Some(signal) => {
                let job = nix::unistd::Pid::from_raw(bed.read("job").trim().parse().unwrap());
                nix::sys::signal::kill(job, signal).unwrap();
            }
        }
        terminal.wait_for_text(&format!("ended {status}"));
        let (shown, cursor) = (terminal.lines(), terminal.cursor());
        assert_eq!(unsaid(&terminal), [format!("ended {status}")], "{shown:#?}");
        assert!(cursor.is_shown && cursor.column == 0, "{cursor:?} {shown:#?}");
    }
}

/// Nothing is told by a colour, so there is none to be turned off.
#[test]
fn without_colours_the_live_line_is_the_same_and_a_terminal_that_cannot_draw_has_none() {
    for environment in ["", "NO_COLOR=1 "] {
        let Some(bed) = hanging() else { return };
        let terminal = Tmux::run(&bed, 80, 24, &format!("{environment}exec cstartup ALL"));
        terminal.wait_for_text(LIVE);
        assert!(!terminal.is_painted(), "{environment}");
    }
    let Some(bed) = hanging() else { return };
    let terminal = Tmux::run(&bed, 80, 24, "TERM=dumb exec cstartup ALL");
    terminal.wait_for_text("cstartup: n00: up");
    terminal.press(&["Enter"]);
    terminal.wait_for_text("cstartup: n[02-03]: waiting for n01");
    // Of what is typed the terminal shows that it was Enter, and nobody takes it away.
    assert!(unsaid(&terminal).iter().all(String::is_empty), "{:?}", terminal.lines());
}
