//! The bed itself: a test that cannot fail proves nothing, so each of its promises is broken once here.

use bed::{Answer, Bed, pipeline};
use nix::sys::signal::Signal;
use std::panic::{AssertUnwindSafe, catch_unwind};

fn fails(run: impl FnOnce()) -> String {
    let error = catch_unwind(AssertUnwindSafe(run)).expect_err("the bed should have complained");
    error
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| error.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap()
}

#[test]
fn the_programs_are_found() {
    let bed = Bed::new();
    for name in bed::binaries::PROGRAMS {
        bed.program(name).arg("--version").stdout(format!("{name} {}\n", env!("CARGO_PKG_VERSION"))).run();
    }
}

#[test]
fn output_nobody_asked_for_fails() {
    let bed = Bed::new();
    assert!(fails(|| drop(bed.shell("echo hello").run())).contains("stdout should be empty"));
    assert!(fails(|| drop(bed.shell("echo hello >&2").run())).contains("stderr should be empty"));
    assert!(fails(|| drop(bed.shell("exit 3").run())).contains("status 3 instead of 0"));
    bed.shell("echo $PWD $$; exit 3").stdout("[ROOT] [PID]\n").status(3).run();
}

#[test]
fn nothing_of_this_machine_is_found_unless_lent() {
    let bed = Bed::new();
    bed.shell("sed --version").status(127).stderr_contains("not found").run();
    bed.tool("sed").shell("echo a | sed s/a/b/").stdout("b\n").run();
    bed.shell("echo $HOME $TMPDIR $TZ $LC_ALL $ORDERLY_STATE_DIR $ORDERLY_CONFIG_DIR ${USER-none}")
        .stdout("[ROOT]/home [ROOT]/tmp UTC C [ROOT]/state [ROOT]/etc none\n")
        .run();
}

#[test]
fn what_ends_a_machine_is_shadowed_and_reported() {
    let told = fails(|| {
        let bed = Bed::new();
        bed.shell("shutdown -h now").status(97).run();
    });
    assert!(told.contains("shutdown -h now"), "{told}");
    assert!(
        fails(|| assert!(Bed::new().tool("reboot").path("tools/reboot").exists())).contains("never lent")
    );
}

#[test]
fn fakes_answer_and_log() {
    let bed = Bed::new();
    let mut zpool = bed.fake("zpool");
    zpool
        .when("list*", Answer::ok().out("tank it's\n"))
        .when("export tank", Answer::ok().err("busy\n").exit(1));
    bed.shell("zpool list -H; zpool export tank").stdout("tank it's\n").stderr("busy\n").status(1).run();
    zpool.when("export *", Answer::ok().die("KILL"));
    bed.shell("exec zpool export tank").status(137).run();
    assert_eq!(bed.calls(), ["zpool list -H", "zpool export tank", "zpool export tank"]);
}

#[test]
fn programs_are_joined_by_pipes() {
    let bed = Bed::new();
    bed.tool("cat");
    let cat = || bed.shell("exec cat");
    pipeline([cat().stdin("through\n"), cat(), cat().stdout("through\n")]);
}

#[test]
fn a_running_program_is_watched_typed_to_and_signalled() {
    let bed = Bed::new();
    bed.tool("sleep");
    let mut running = bed
        .shell("trap 'echo caught; exit 143' TERM; read line; echo got $line; while :; do sleep 0.01; done")
        .typed()
        .stdout("got word\ncaught\n")
        .status(143)
        .spawn();
    running.type_in("word\n").wait_for_stdout("got word");
    assert!(running.is_running());
    running.signal(Signal::SIGTERM);
    running.end();
}

#[test]
fn nothing_started_in_a_bed_outlives_it() {
    let bed = Bed::new();
    bed.shell("/bin/sleep 1000 >/dev/null 2>&1 </dev/null & echo $!").any_stdout().run();
    let pids = bed.left_over();
    assert_eq!(pids.len(), 1);
    drop(bed);
    bed::wait_until("the left-over process is gone", || {
        std::fs::read(format!("/proc/{}/environ", pids[0])).unwrap_or_default().is_empty()
    });
}

#[test]
fn a_terminal_is_a_terminal() {
    let bed = Bed::new();
    let ask = "test -t 0 && test -t 2 && echo 'sure?' >&2 && read answer && echo \"said $answer\"";
    let mut running = bed.shell(ask).on_terminal().stdout("said yes\n").stderr("sure?\n").spawn();
    running.wait_for_stderr("sure?");
    running.type_in("yes\n");
    running.end();
    bed.shell(ask).typed().status(1).run();
}

/// This test in a process of its own, where a program is missing that nobody has.
#[test]
fn what_is_missing_fails_in_ci_and_is_said_elsewhere() {
    if std::env::var_os("ORDERLY_MISSING").is_some() {
        assert!(!bed::real::require(&[bed::Need::Program("no-such-program-anywhere")]));
        return;
    }
    let bed = Bed::new();
    let again = |ci: &str| {
        let name = "the_bed::what_is_missing_fails_in_ci_and_is_said_elsewhere";
        let run = bed.external(std::env::current_exe().unwrap()).args(["--exact", name, "--nocapture"]);
        run.env("ORDERLY_MISSING", "1").env("CI", ci).any_status().any_stdout().any_stderr().run()
    };
    let (elsewhere, in_ci) = (again(""), again("true"));
    assert_eq!(elsewhere.status, 0, "{}", elsewhere.stderr);
    assert!(elsewhere.stderr.contains("did not run: the_bed::what_is_missing"), "{}", elsewhere.stderr);
    assert!(elsewhere.stderr.contains("needs the program no-such-program-anywhere"), "{}", elsewhere.stderr);
    assert_ne!(in_ci.status, 0, "{}", in_ci.stdout);
}
