//! The shipped `examples/nut`, run by real upsd, upsmon and upssched with the driver dummy-ups, as their own user and
//! through the shipped sudoers line: on battery, power back before and after the first halt, low battery, a dip.

use bed::cluster::scripted;
use bed::nut::{NEEDS, Nut};
use bed::{Bed, real, wait_until};

const ON_BATTERY: &str = "UPS ups@localhost on battery";
const ON_LINE: &str = "UPS ups@localhost on line power";
const LOW: &str = "UPS ups@localhost battery is low";

/// A node goes down once it may.
const RUNS: &str = r#"	*shutdown*) echo "$1" >>"$ORDERLY_BED/halts"
		(until [ -e "$ORDERLY_BED/may-go-down" ]; do sleep 0.1; done; rm -f "$ORDERLY_BED/on.$1") >/dev/null 2>&1 & ;;"#;

/// Two nodes that are up, and a subsystem before they are halted that is over once it may be.
fn cluster(bed: &Bed) {
    let root = bed.root().display();
    let settings = format!(
        "control_address = \"127.0.0.1\"\n{}[subsystem]\nhost = \"control\"\n\
         [shutdown]\nend_users = \"none\"\nsettle = \"500ms\"\nusual = \"5s\"\n",
        scripted("mynode")
    );
    bed.cluster(r#"{"nodes": [{"name": "n1", "number": 11}, {"name": "n2", "number": 12}]}"#, settings);
    bed.write("cstartSeq", "");
    bed.write("cshutSeq", "");
    bed.write("subsysSeq", "quiet: /usr/local/sbin/quiet\n");
    bed.script("sbin/quiet", &format!("until [ -e {root}/is-quiet ]; do sleep 0.1; done"));
    bed.markers(RUNS, &["n1", "n2"]);
}

/// What the shutdown with a deadline says of itself.
fn beacon(bed: &Bed) -> Option<serde_json::Value> {
    let text = std::fs::read_to_string(bed.path("state/cshutdown.within.json")).ok()?;
    serde_json::from_str(&text).ok()
}

fn deadline(bed: &Bed) -> Option<f64> {
    beacon(bed)?["deadline"].as_f64()
}

fn logs(bed: &Bed) -> String {
    let Ok(folder) = std::fs::read_dir(bed.path("log")) else { return String::new() };
    folder.flatten().map(|entry| std::fs::read_to_string(entry.path()).unwrap_or_default()).collect()
}

/// Returns what the user of upsmon had asked cshutdown for.
fn asked(bed: &Bed) -> Vec<String> {
    let text = std::fs::read_to_string(bed.path("asked")).unwrap_or_default();
    text.lines().filter_map(|line| line.strip_prefix("nut: ")).map(ToOwned::to_owned).collect()
}

const EIGHT: &str = "-q -G --even-self --within 8m ALL";
const TWO: &str = "-q -G --even-self --within 2m ALL";

/// Before, the battery is low while it is charged: nobody is halted for that.
#[test]
fn power_that_is_back_before_the_first_halt_turns_the_shutdown_round() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    cluster(&bed);
    let nut = Nut::new(&bed, 1);
    nut.inside.shell("visudo -cf /etc/sudoers.d/orderly-nut").any_stdout().any_stderr().run();
    nut.says("OL LB", LOW);
    nut.says("OB", ON_BATTERY);
    wait_until("a shutdown has begun", || beacon(&bed).is_some());
    nut.says("OL", ON_LINE);
    wait_until("it is interrupted", || logs(&bed).contains("interrupted: "));
    bed.write("is-quiet", "");
    wait_until("it is turned round", || beacon(&bed).is_none());
    std::fs::remove_file(bed.path("is-quiet")).unwrap();
    let asked = asked(&bed);
    assert_eq!(asked[0], EIGHT);
    assert!(asked[1..].iter().all(|call| call == "--cancel"), "{asked:?}");
    assert!(!bed.path("halts").exists() && !nut.has_halted(), "{}", logs(&bed));
    // The next outage begins anew.
    nut.says("OB", ON_BATTERY);
    wait_until("a second has begun", || beacon(&bed).is_some());
}

#[test]
fn power_that_is_back_after_the_first_halt_comes_too_late_and_the_nodes_go_down() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    cluster(&bed);
    bed.write("is-quiet", "");
    let nut = Nut::new(&bed, 1);
    nut.says("OB", ON_BATTERY);
    wait_until("both are told to halt", || {
        std::fs::read_to_string(bed.path("halts")).is_ok_and(|halts| halts.lines().count() == 2)
    });
    nut.says("OL", ON_LINE);
    wait_until("it was to be cancelled", || asked(&bed).iter().any(|call| call == "--cancel"));
    assert_eq!(beacon(&bed).expect("it goes on")["halting"], true);
    bed.write("may-go-down", "");
    wait_until("it has run to its end", || beacon(&bed).is_none());
    assert!(logs(&bed).contains("down: n[1-2]"), "{}", logs(&bed));
    assert!(!bed.path("on.n1").exists() && !bed.path("on.n2").exists(), "they are off");
    assert!(bed.path("state/was-up.json").exists(), "for cstartup --restore");
    assert!(!nut.has_halted(), "its battery was never low");
}

#[test]
fn a_low_battery_tightens_the_deadline_and_upsmon_halts_this_machine() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    cluster(&bed);
    bed.write("may-go-down", "");
    let nut = Nut::new(&bed, 1);
    nut.says("OB", ON_BATTERY);
    wait_until("a shutdown has begun", || beacon(&bed).is_some());
    let first = deadline(&bed).unwrap();
    nut.says("OB LB", LOW);
    wait_until("its deadline is tightened", || deadline(&bed).is_some_and(|now| now < first - 60.0));
    bed.write("is-quiet", "");
    wait_until("it has run to its end", || beacon(&bed).is_none());
    assert!(logs(&bed).contains("the deadline is tightened"), "{}", logs(&bed));
    assert!(logs(&bed).contains("down: n[1-2]"), "{}", logs(&bed));
    wait_until("this machine would be halted", || nut.has_halted());
    let asked = asked(&bed);
    assert_eq!(asked[0], EIGHT);
    assert!(asked.len() > 1 && asked[1..].iter().all(|call| call == TWO), "{asked:?}");
}

/// What somebody planned for tonight stays, until the battery is low.
#[test]
fn a_dip_cancels_nothing_and_a_low_battery_halts_the_nodes_at_once() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    cluster(&bed);
    bed.write("may-go-down", "");
    bed.write("is-quiet", "");
    let nut = Nut::new(&bed, 3600);
    let line = "exec cshutdown -T 60 -F ALL";
    let planned = nut.inside.shell(line).status(143).any_stdout().any_stderr().spawn();
    planned.wait_for_stderr("the shutdown begins in");
    nut.says("OB", ON_BATTERY);
    nut.says("OL", ON_LINE);
    nut.says("OB LB", LOW);
    planned.end();
    wait_until("the nodes are off", || !bed.path("on.n1").exists() && !bed.path("on.n2").exists());
    wait_until("it is over", || beacon(&bed).is_none());
    let asked = asked(&bed);
    assert!(asked.iter().all(|call| call == TWO), "{asked:?}");
    wait_until("this machine would be halted", || nut.has_halted());
}
