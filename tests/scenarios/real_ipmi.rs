//! The IPMI drivers against real controllers (`ipmi_sim`): ipmitool and ipmipower, as shipped.

use bed::bmc::{Bmcs, NEEDS};
use bed::{Bed, real};
use std::os::unix::fs::PermissionsExt;

/// Writes the shipped example of a driver for these controllers, with nodes that are up when powered.
fn configure(bed: &Bed, bmcs: &Bmcs<'_>, driver: &str, password: &str, count: usize) {
    let file = bed.write("etc/bmc-password", format!("{password}\n"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let example = bed::binaries::workspace().join(format!("examples/cluster-{driver}.toml"));
    let example = std::fs::read_to_string(example).unwrap();
    let power = example[..example.find("[shell]").unwrap()]
        .replace("/etc/orderly/bmc-password", &file.display().to_string());
    // The simulated controllers know one privilege handshake of ipmipower's only.
    let options = match driver {
        "ipmipower" => "options = [\"-W\", \"opensesspriv\", \"--session-timeout=2000\"]",
        _ => "options = [\"-N\", \"1\", \"-R\", \"2\"]",
    };
    bed.config(
        "cluster.toml",
        format!(
            "inventory = {:?}\nlog_dir = {:?}\nsequence = {{ start = {:?}, shut = {:?} }}\n{power}port = {}\n{options}\n\
             [probe]\ndriver = \"power\"\ninterval = \"200ms\"\n[limits]\nretries = 0\ntimeout = \"12s\"\nper = \"bmc\"\nmax = 2\n",
            bed.path("etc/inventory.json"),
            bed.path("log"),
            bed.path("cstartSeq"),
            bed.path("cstartSeq"),
            bmcs.port(),
        ),
    );
    bed.write("etc/inventory.json", bmcs.inventory(count));
    bed.write("cstartSeq", format!("all: n[1-{count}]\n"));
    bed.tools(&["ipmitool", "ipmipower"]);
}

/// Runs cstartup and returns its status and what it said.
fn start(bed: &Bed) -> (i32, String) {
    let ended = bed.program("cstartup").arg("ALL").any_status().any_stdout().any_stderr().run();
    (ended.status, format!("{}{}", ended.stdout, ended.stderr))
}

#[test]
fn nodes_go_on_through_either_program() {
    if !real::require(&NEEDS) {
        return;
    }
    for driver in ["ipmitool", "ipmipower"] {
        let bed = Bed::new();
        let bmcs = Bmcs::new(&bed, 3);
        configure(&bed, &bmcs, driver, "labpw", 3);
        let (status, said) = start(&bed);
        assert_eq!(status, 0, "{driver}: {said}");
        assert!((1..=3).all(|number| bmcs.is_on(number)), "{driver}: {said}");
    }
}

#[test]
fn a_controller_that_is_away_holds_nobody_else_and_is_not_off() {
    if !real::require(&NEEDS) {
        return;
    }
    for driver in ["ipmitool", "ipmipower"] {
        let bed = Bed::new();
        let bmcs = Bmcs::new(&bed, 2);
        configure(&bed, &bmcs, driver, "labpw", 3);
        let (status, said) = start(&bed);
        assert_ne!(status, 0, "{driver}: {said}");
        assert!(bmcs.is_on(1) && bmcs.is_on(2), "{driver}: {said}");
        assert!(said.contains("n3: power unknown: the controller does not answer"), "{driver}: {said}");
    }
}

#[test]
fn a_wrong_password_is_reported_as_that_and_shown_nowhere() {
    if !real::require(&NEEDS) {
        return;
    }
    for driver in ["ipmitool", "ipmipower"] {
        let bed = Bed::new();
        let bmcs = Bmcs::new(&bed, 1);
        configure(&bed, &bmcs, driver, "not-the-pass", 1);
        let (status, said) = start(&bed);
        assert_ne!(status, 0, "{driver}: {said}");
        assert!(!bmcs.is_on(1), "{driver}: {said}");
        assert!(said.contains("the controller does not accept the user or password"), "{driver}: {said}");
        assert!(!said.contains("not-the-pass"), "{driver}: {said}");
        let log =
            bed.shell("cat log/* log/*/* state/* 2>/dev/null; true").any_stdout().any_stderr().run().stdout;
        assert!(!log.contains("not-the-pass"), "{driver}: {log}");
    }
}
