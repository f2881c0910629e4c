//! The IPMI drivers against real controllers (`ipmi_sim`): ipmitool and ipmipower, as shipped.

use bed::bmc::{Bmcs, Manner, NEEDS, PASSWORD, StandIn};
use bed::{Bed, real};
use nix::sys::signal::Signal;
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
        configure(&bed, &bmcs, driver, PASSWORD, 3);
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
        configure(&bed, &bmcs, driver, PASSWORD, 3);
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
        // Found out at once, and by a check too.
        assert!(said.contains("failed: n1: the controller does not accept the user or password: "), "{said}");
        let check = bed.program("cstartup").args(["-k", "ALL"]).status(1).any_stdout().any_stderr().run();
        let refused = "n1: cannot succeed as configured: the controller does not accept the user or password";
        assert!(check.stderr.contains(refused), "{driver}: {}", check.stderr);
        let kept = kept(&bed);
        assert!(kept.contains("does not accept") && !kept.contains("not-the-pass"), "{driver}: {kept}");
    }
}

/// Starts without an end: tells when these nodes are up, then interrupts.
fn come_up(bed: &Bed, numbers: &[usize], bmcs: &Bmcs<'_>) -> String {
    let mut run = bed.program("cstartup").arg("ALL").any_status().any_stdout().any_stderr().spawn();
    bed::wait_until("the nodes are up", || {
        assert!(run.is_running(), "{}", run.stderr_so_far());
        numbers.iter().all(|&number| bmcs.is_on(number))
    });
    run.signal(Signal::SIGINT).wait_for_stderr("interrupted");
    run.signal(Signal::SIGINT);
    run.end().stderr
}

#[test]
fn dead_controllers_cost_one_time_out_in_all() {
    if !real::require(&NEEDS) {
        return;
    }
    for driver in ["ipmitool", "ipmipower"] {
        let bed = Bed::new();
        let dead: Vec<usize> = (1..=30).collect();
        let bmcs = Bmcs::but_for(&bed, 32, &dead);
        configure(&bed, &bmcs, driver, PASSWORD, 32);
        // One process after the other, and one for each of the dead would take a minute.
        let config = bed
            .read("etc/cluster.toml")
            .replace("[\"-N\", \"1\", \"-R\", \"2\"]", "[\"-N\", \"60\", \"-R\", \"1\"]")
            .replace("--session-timeout=2000", "--session-timeout=60000")
            .replace("timeout = \"12s\"", "timeout = \"10m\"\nfanout = 3");
        bed.config("cluster.toml", config);
        let said = come_up(&bed, &[31, 32], &bmcs);
        // One or the other, as the pings or the patience with them end first.
        let told = [": power unknown: the controller does not answer", ": no answer yet; asked again"];
        assert!(told.iter().any(|words| said.contains(&format!("-30]{words}"))), "{driver}: {said}");
    }
}

#[test]
fn a_controller_that_drops_pings_is_started_all_the_same() {
    if !real::require(&NEEDS) {
        return;
    }
    for driver in ["ipmitool", "ipmipower"] {
        let bed = Bed::new();
        let bmcs = Bmcs::but_for(&bed, 3, &[2]);
        let _filter = StandIn::new(&bmcs, 2, Manner::DropsPings { number: 3 });
        configure(&bed, &bmcs, driver, PASSWORD, 2);
        let (status, said) = start(&bed);
        assert_eq!(status, 0, "{driver}: {said}");
        // What it passes on goes to the third controller.
        assert!(bmcs.is_on(1) && bmcs.is_on(3), "{driver}: {said}");
        assert!(
            said.contains("n2: the controller takes no pings and answers all the same"),
            "{driver}: {said}"
        );
    }
}

#[test]
fn a_controller_that_talks_nonsense_is_neither_on_nor_off() {
    if !real::require(&NEEDS) {
        return;
    }
    for driver in ["ipmitool", "ipmipower"] {
        let bed = Bed::new();
        let bmcs = Bmcs::but_for(&bed, 2, &[2]);
        let _nonsense = StandIn::new(&bmcs, 2, Manner::Garbage);
        configure(&bed, &bmcs, driver, PASSWORD, 2);
        let (status, said) = start(&bed);
        assert_eq!(status, 1, "{driver}: {said}");
        assert!(bmcs.is_on(1), "{driver}: {said}");
        assert!(said.contains("n2: power unknown: "), "{driver}: {said}");
        assert!(!said.contains("n2: powering on") && !said.contains("n2: up"), "{driver}: {said}");
    }
}

#[test]
fn nodes_go_off_and_are_reset_through_either_program() {
    if !real::require(&NEEDS) {
        return;
    }
    for driver in ["ipmitool", "ipmipower"] {
        let bed = Bed::new();
        let bmcs = Bmcs::new(&bed, 2);
        configure(&bed, &bmcs, driver, PASSWORD, 2);
        let more = "[shell]\ndriver = \"command\"\nrun = [\"false\", \"{node}\", \"{command}\"]\n";
        bed.tool("false").config("cluster.toml", bed.read("etc/cluster.toml") + more);
        bed.program("cstartup").arg("ALL").goes_well().run();
        bed.program("cstartup").args(["-Z", "ALL"]).any_status().any_stdout().any_stderr().run();
        assert!(bmcs.is_on(1) && bmcs.is_on(2), "{driver}: on after a reset");
        let off = bed.program("cshutdown").args(["-F", "--force-off", "ALL"]);
        let ended = off.any_status().any_stdout().any_stderr().run();
        assert!(!bmcs.is_on(1) && !bmcs.is_on(2), "{driver}: {}", ended.stderr);
    }
}

#[test]
fn a_controller_that_says_yes_and_does_nothing_is_named() {
    if !real::require(&NEEDS) {
        return;
    }
    for driver in ["ipmitool", "ipmipower"] {
        let bed = Bed::new();
        let bmcs = Bmcs::new(&bed, 2);
        bmcs.ignore_orders(2);
        configure(&bed, &bmcs, driver, PASSWORD, 2);
        let config = bed.read("etc/cluster.toml");
        assert!(config.contains("timeout = \"60s\""), "{config}");
        let config = config.replace("timeout = \"12s\"", "timeout = \"2m\"");
        bed.config("cluster.toml", config.replace("timeout = \"60s\"", "timeout = \"4s\""));
        let (status, said) = start(&bed);
        assert_eq!(status, 1, "{driver}: {said}");
        assert!(bmcs.is_on(1) && !bmcs.is_on(2), "{driver}: {said}");
        assert!(said.contains("cstartup: up: n1 "), "{driver}: {said}");
        assert!(
            said.contains("n2") && said.contains("power on was accepted and had no effect"),
            "{driver}: {said}"
        );
    }
}

#[test]
fn a_password_file_that_vanishes_is_named_with_a_remedy_and_is_no_wrong_password() {
    if !real::require(&NEEDS) {
        return;
    }
    for driver in ["ipmitool", "ipmipower"] {
        let bed = Bed::new();
        let bmcs = Bmcs::new(&bed, 1);
        configure(&bed, &bmcs, driver, PASSWORD, 1);
        // Gone once the drivers have been checked: whoever is called first takes it away.
        let real = real::find(driver).unwrap();
        let file = bed.path("etc/bmc-password").display().to_string();
        bed.script(
            format!("fakes/{driver}"),
            &format!("{} \"$@\"; status=$?; rm -f {file}; exit $status", real.display()),
        );
        bed.tool("rm");
        std::fs::remove_file(bed.path(format!("tools/{driver}"))).unwrap();
        let (status, said) = start(&bed);
        assert_eq!(status, 1, "{driver}: {said}");
        assert!(said.contains(&file) && said.contains("power.password_file"), "{driver}: {said}");
        assert!(!said.contains("does not accept"), "{driver}: {said}");
    }
}

#[test]
fn the_password_is_in_no_command_line_record_or_log() {
    if !real::require(&NEEDS) {
        return;
    }
    for driver in ["ipmitool", "ipmipower"] {
        let bed = Bed::new();
        let bmcs = Bmcs::new(&bed, 3);
        configure(&bed, &bmcs, driver, PASSWORD, 3);
        let mut run = bed.program("cstartup").args(["ALL", "--json", "-v"]).any_stdout().any_stderr().spawn();
        let mut sampled = 0;
        while run.is_running() {
            for line in command_lines() {
                assert!(!line.contains(PASSWORD), "{driver}: {line}");
                sampled += usize::from(line.contains("chassis") || line.contains("--hostname"));
            }
        }
        let ended = run.end();
        assert!(sampled > 0, "{driver}: no call was seen");
        assert!(!format!("{}{}", ended.stdout, ended.stderr).contains(PASSWORD), "{driver}");
        let kept = kept(&bed);
        assert!(kept.contains("powering on") && !kept.contains(PASSWORD), "{driver}: {kept}");
    }
}

/// Returns all that a run leaves behind: logs, history, locks.
fn kept(bed: &Bed) -> String {
    let mut folders = vec![bed.path("log"), bed.path("state")];
    let mut text = String::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                text.push_str(&String::from_utf8_lossy(&std::fs::read(path).unwrap()));
            }
        }
    }
    text
}

/// Returns the arguments of every process there is, as `ps` reads them.
fn command_lines() -> Vec<String> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let lines = processes.filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).collect()
}
