//! The Redfish driver against real services: sushy-tools' emulator over TLS, asked by the real curl. What that
//! emulator cannot do (be busy, hang, stand between on and off) is done by a small proxy of the tests in front of it.

use bed::redfish::{NEEDS, PASSWORD, Redfish, system};
use bed::{Bed, real, wait_until};
use nix::sys::signal::Signal;
use std::net::TcpListener;

/// Writes the power table of the shipped example for these BMCs, with nodes that are up when powered; `more` follows
/// the table power.
pub(super) fn configure(bed: &Bed, bmcs: &Redfish<'_>, count: usize, more: &str) {
    let file = bed.config("bmc-password", format!("{PASSWORD}\n"));
    let example = bed::binaries::workspace().join("examples/cluster-redfish.toml");
    let example = std::fs::read_to_string(example).unwrap();
    let power = example[..example.find("[shell]").unwrap()]
        .replace("/etc/orderly/bmc-password", &file.display().to_string())
        .replace("/etc/orderly/bmc-ca.pem", &bmcs.ca().display().to_string())
        .replace("timeout = \"60s\"", "timeout = \"12s\"");
    let settings = [("ca_file", "insecure"), ("on =", "on ="), ("timeout", "timeout")];
    let is_changed = |line: &&str| {
        let keys = settings.iter().find(|(key, _)| line.starts_with(key)).map(|(_, other)| *other);
        keys.is_some_and(|other| more.lines().any(|line| line.starts_with(other)))
    };
    let power: String =
        power.lines().filter(|line| !is_changed(line)).map(|line| format!("{line}\n")).collect();
    let head = format!(
        "inventory = {:?}\nlog_dir = {:?}\nsequence = {{ start = {:?}, shut = {:?} }}\n",
        bed.path("etc/inventory.json"),
        bed.path("log"),
        bed.path("cstartSeq"),
        bed.path("cstartSeq"),
    );
    let rest = "[probe]\ndriver = \"power\"\ninterval = \"200ms\"\n[limits]\nretries = 0\ntimeout = \"20s\"\nper = \"bmc\"\n\
                max = 2\n";
    bed.config("cluster.toml", format!("{head}{power}{more}{rest}"));
    bed.write("etc/inventory.json", bmcs.inventory(count));
    bed.write("cstartSeq", format!("all: n[1-{count}]\n"));
    // Each call is noted, as anybody sees it.
    let log = bed.path("curls").display().to_string();
    let curl = real::find("curl").unwrap();
    bed.tools(&["cat", "grep"]);
    let noted = "asks=$(grep -c '^url = ' <\"$input\") tells=$(grep -c '^data = ' <\"$input\")";
    let body = format!(
        "input={}.$$\ncat >\"$input\"\necho \"$* {noted}\" >>{log}\nexec {} \"$@\" <\"$input\"",
        bed.path("input").display(),
        curl.display()
    );
    bed.script("fakes/curl", &body);
}

/// Runs cstartup and returns its status and what it said.
pub(super) fn start(bed: &Bed, arguments: &[&str]) -> (i32, String) {
    let ended = bed.program("cstartup").args(arguments).any_status().any_stdout().any_stderr().run();
    (ended.status, format!("{}{}", ended.stdout, ended.stderr))
}

/// Starts one node after something was said to its BMC, and returns what came of it.
fn start_one(manner: &str, more: &str) -> (i32, String, Vec<String>) {
    let bed = Bed::new();
    let bmcs = Redfish::new(&bed, 1);
    configure(&bed, &bmcs, 1, more);
    bmcs.tell(1, manner);
    let (status, said) = start(&bed, &["ALL"]);
    (status, said, bmcs.resets(1))
}

#[test]
fn nodes_go_on_are_reset_and_go_off_with_one_curl_for_each_ready_set() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let bmcs = Redfish::new(&bed, 16);
    configure(&bed, &bmcs, 16, "");
    bed.write("cstartSeq", "first: n[1-8]\nthen: n[9-16]\nfirst > then\n");
    let (status, said) = start(&bed, &["ALL"]);
    assert_eq!(status, 0, "{said}");
    assert!((1..=16).all(|number| bmcs.is_on(number)), "{said}");
    for number in 1..=16 {
        assert_eq!(bmcs.resets(number), ["On"], "n{number}: {said}");
    }
    // All are asked in one call, and each set is told in one; nothing but this is seen of it.
    let curls = bed.read("curls");
    let (versions, calls): (Vec<&str>, Vec<&str>) =
        curls.lines().partition(|line| line.contains("--version"));
    assert_eq!(versions, ["--disable --version asks=0 tells=0"]);
    assert!(calls.iter().all(|call| call.starts_with("--disable --parallel --config - asks=")), "{curls}");
    assert!(calls[0].ends_with("asks=16 tells=0"), "{curls}");
    let tells = calls.iter().filter(|call| !call.ends_with("tells=0"));
    assert_eq!(
        tells.copied().collect::<Vec<_>>(),
        ["--disable --parallel --config - asks=8 tells=8"; 2],
        "{curls}"
    );

    let mut run =
        bed.program("cstartup").args(["-Z", "-X", "n3"]).any_status().any_stdout().any_stderr().spawn();
    wait_until("the reset was sent", || bmcs.resets(3) == ["On", "ForceRestart"] || !run.is_running());
    // It stays down for as long as it takes to be seen so.
    bmcs.tell(3, "state On Off");
    let before = bmcs.asked(3).len();
    wait_until("it was seen to be down", || bmcs.asked(3).len() > before + 2 || !run.is_running());
    bmcs.tell(3, "");
    let ended = run.end();
    assert_eq!(
        (ended.status, bmcs.resets(3)),
        (0, vec!["On".into(), "ForceRestart".into()]),
        "{}",
        ended.stderr
    );
    let said = bed
        .program("cshutdown")
        .args(["-F", "-X", "--force-off", "ALL"])
        .any_status()
        .any_stdout()
        .any_stderr();
    let said = said.run().stderr;
    assert!((1..=16).all(|number| !bmcs.is_on(number)), "{said}");
    assert_eq!(bmcs.resets(3).last().unwrap(), "ForceOff", "{said}");
}

#[test]
fn a_wrong_password_is_reported_as_that_at_once_and_not_tried_again() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let bmcs = Redfish::new(&bed, 3);
    configure(&bed, &bmcs, 3, "");
    bed.config("bmc-password", "wrong-one\n");
    let (status, said) = start(&bed, &["ALL"]);
    assert_eq!(status, 1, "{said}");
    assert!(
        said.contains("n[1-3]") && said.contains("the BMC does not accept the user or password: HTTP 401"),
        "{said}"
    );
    assert!(!said.contains("wrong-one"), "{said}");
    assert!((1..=3).all(|number| bmcs.asked(number).len() < 4 && bmcs.resets(number).is_empty()), "{said}");
    // A check names it too.
    let (status, said) = start(&bed, &["-k", "ALL"]);
    assert!(status == 1 && said.contains("does not accept the user or password"), "{status} {said}");
}

#[test]
fn the_password_of_bmcs_is_in_no_command_line_record_or_log() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let bmcs = Redfish::new(&bed, 3);
    configure(&bed, &bmcs, 3, "");
    // Where curl's answers are kept for a moment.
    let temporary = bed.path("temporary");
    std::fs::create_dir(&temporary).unwrap();
    let run = bed.program("cstartup").args(["ALL", "--json", "-v"]).env("TMPDIR", &temporary);
    let mut run = run.any_stdout().any_stderr().spawn();
    let (mut sampled, mut modes) = (0, Vec::new());
    while run.is_running() {
        for line in command_lines() {
            assert!(!line.contains(PASSWORD), "{line}");
            sampled += usize::from(line.contains("--parallel --config -"));
        }
        modes.extend(std::fs::read_dir(&temporary).unwrap().flatten().filter_map(|entry| {
            Some(std::os::unix::fs::PermissionsExt::mode(&entry.metadata().ok()?.permissions()) & 0o777)
        }));
    }
    let ended = run.end();
    assert!(
        sampled > 0 && !modes.is_empty() && modes.iter().all(|mode| *mode == 0o700),
        "{sampled} {modes:?}"
    );
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert!(!format!("{}{}", ended.stdout, ended.stderr).contains(PASSWORD));
    for folder in ["log", "state"] {
        for entry in std::fs::read_dir(bed.path(folder)).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read(&path).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&text).contains(PASSWORD), "{}", path.display());
        }
    }
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0, "answers were left behind");
}

/// Returns the arguments of every process there is, as `ps` reads them.
fn command_lines() -> Vec<String> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let lines = processes.filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).collect()
}

#[test]
fn of_several_systems_the_one_that_is_meant_has_to_be_named() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let bmcs = Redfish::with_several_systems(&bed, 3);
    configure(&bed, &bmcs, 1, "");
    let (status, said) = start(&bed, &["ALL"]);
    let listed = format!("the BMC has 3 systems ({}, {}, {})", system(1), system(2), system(3));
    assert!(
        status == 1 && said.contains(&listed) && said.contains("as \"system\" into the inventory"),
        "{said}"
    );
    // By id and by path; two systems of one BMC are two nodes, and one system is one.
    let node =
        |name: &str, system: &str| serde_json::json!({"name": name, "bmc": bmcs.bmc(1), "system": system});
    let write = |nodes: &[serde_json::Value]| {
        let inventory = serde_json::json!({"format": "orderly-inventory/1", "nodes": nodes});
        bed.write("etc/inventory.json", inventory.to_string());
    };
    let path = format!("/redfish/v1/Systems/{}", system(3));
    write(&[node("n1", &system(2)), node("n2", &path)]);
    bed.write("cstartSeq", "");
    let (status, said) = start(&bed, &["ALL"]);
    assert!(status == 0 && !bmcs.is_on(1), "{said}");
    let sent =
        bmcs.asked(1).into_iter().filter(|line| line.starts_with("POST")).collect::<Vec<_>>().join("\n");
    assert!(sent.contains(&system(2)) && sent.contains(&system(3)) && !sent.contains(&system(1)), "{sent}");
    write(&[node("n1", &system(3)), node("n2", &path)]);
    let (status, said) = start(&bed, &["ALL"]);
    assert!(status == 3 && said.contains("n1 and n2 have the same power controller"), "{said}");
    write(&[node("n1", "none-such")]);
    let (status, said) = start(&bed, &["ALL"]);
    let missing = "the BMC has no such system: HTTP 404";
    assert!(
        status == 1 && said.contains(missing) && said.contains("(/redfish/v1/Systems/none-such)"),
        "{said}"
    );
    write(&[node("n1", "a b")]);
    let (status, said) = start(&bed, &["ALL"]);
    assert!(status == 3 && said.contains("\"a b\" cannot be a system"), "{said}");
}

#[test]
fn a_certificate_that_does_not_verify_is_said_as_that_and_insecure_at_every_run() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let bmcs = Redfish::new(&bed, 1);
    configure(&bed, &bmcs, 1, "");
    // A certificate of somebody else's: the name is right, the signature is not.
    let other = Bed::new();
    let others = Redfish::new(&other, 1);
    std::fs::copy(others.ca(), bmcs.ca()).unwrap();
    let (status, said) = start(&bed, &["ALL"]);
    assert!(
        status == 1 && said.contains("the certificate of the BMC does not verify: SSL certificate problem"),
        "{said}"
    );
    assert!(bmcs.asked(1).is_empty(), "the password went to whoever was there: {said}");
    configure(&bed, &bmcs, 1, "insecure = true\n");
    let (status, said) = start(&bed, &["ALL"]);
    assert!(
        status == 0 && said.contains("power.insecure is set: certificates of BMCs are not verified"),
        "{said}"
    );
    let (_, said) = start(&bed, &["-k", "ALL"]);
    assert!(said.contains("power.insecure is set"), "{said}");
    // What others could exchange says whom the password is given to.
    configure(&bed, &bmcs, 1, "");
    std::fs::set_permissions(bmcs.ca(), std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let (status, said) = start(&bed, &["ALL"]);
    assert!(status == 3 && said.contains("power.ca_file") && said.contains("others can write it"), "{said}");
    std::fs::remove_file(bmcs.ca()).unwrap();
    let (status, said) = start(&bed, &["ALL"]);
    assert!(status == 3 && said.contains("power.ca_file"), "{said}");
}

#[test]
fn a_bmc_that_is_busy_is_left_alone_for_as_long_as_it_asks() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let bmcs = Redfish::new(&bed, 2);
    configure(&bed, &bmcs, 2, "");
    bmcs.tell(1, "busy 1 3");
    let (status, said) = start(&bed, &["ALL"]);
    assert!(status == 0 && bmcs.is_on(1) && bmcs.is_on(2), "{said}");
    assert!(said.contains("n1: power unknown: the BMC is busy and asks to wait 3 s: HTTP 503"), "{said}");
    // Within three seconds, and a question every fifth of one, there would be a dozen with that answer.
    bmcs.tell(2, "busy 100 60");
    let limited = bed.read("etc/cluster.toml").replace("timeout = \"20s\"", "timeout = \"3s\"");
    bed.config("cluster.toml", limited);
    let before = bmcs.asked(2).len();
    let (status, said) = start(&bed, &["ALL"]);
    assert!(status == 1 && said.contains("the BMC is busy and asks to wait 60 s"), "{said}");
    assert_eq!(bmcs.asked(2).len(), before + 1, "{said}");
}

#[test]
fn a_bmc_that_hangs_holds_nobody_else_and_is_neither_on_nor_off() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let bmcs = Redfish::new(&bed, 12);
    configure(&bed, &bmcs, 12, "timeout = \"10m\"\n");
    let file = bed.read("etc/cluster.toml").replace("timeout = \"20s\"", "timeout = \"10m\"");
    bed.config("cluster.toml", &file);
    bmcs.tell(7, "hang");
    let mut run =
        bed.program("cstartup").args(["ALL", "--json"]).any_status().any_stdout().any_stderr().spawn();
    let up = r#""outcome":"up""#;
    wait_until("all others are up", || {
        assert!(run.is_running(), "{}", run.stderr_so_far());
        run.stdout_so_far().lines().filter(|line| line.contains(up)).count() == 11
    });
    run.signal(Signal::SIGINT).wait_for_stderr("interrupted");
    run.signal(Signal::SIGINT);
    run.end();
    assert!(bmcs.resets(7).is_empty());
    // Its own limit is the end of it.
    let limit = format!("{file}[override.node.n7]\nlimits = {{ timeout = \"3s\" }}\n");
    bed.config("cluster.toml", limit);
    let (status, said) = start(&bed, &["ALL"]);
    assert!(status == 1 && said.contains("n7") && said.contains("the BMC does not answer"), "{said}");
    assert!(bmcs.resets(7).is_empty(), "{said}");
}

#[test]
fn a_power_between_on_and_off_is_on_its_way_and_is_asked_again() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let bmcs = Redfish::new(&bed, 1);
    configure(&bed, &bmcs, 1, "");
    // Whoever takes that for off switches it on again, and whoever takes it for on is done too early.
    bmcs.tell(1, "state Off PoweringOn");
    let mut run = bed.program("cstartup").arg("ALL").any_status().any_stdout().any_stderr().spawn();
    wait_until("the power was asked again and again", || bmcs.asked(1).len() > 8 || !run.is_running());
    assert!(run.is_running() && bmcs.resets(1).is_empty(), "{}", run.stderr_so_far());
    bmcs.tell(1, "");
    let ended = run.end();
    assert!(ended.status == 0 && bmcs.is_on(1), "{}", ended.stderr);
    assert!(!ended.stderr.contains("power unknown"), "{}", ended.stderr);
    assert_eq!(bmcs.resets(1), ["On"]);
}

#[test]
fn a_task_that_was_accepted_is_followed_by_the_power() {
    if !real::require(&NEEDS) {
        return;
    }
    let (status, said, resets) = start_one("task", "");
    assert!(status == 0, "{said}");
    assert_eq!(resets, ["On"], "{said}");
}

#[test]
fn a_power_on_that_is_accepted_and_changes_nothing_is_without_effect() {
    if !real::require(&NEEDS) {
        return;
    }
    let (status, said, resets) = start_one("unwilling", "timeout = \"3s\"\n");
    assert!(status == 1 && said.contains("was accepted and had no effect"), "{said}");
    assert_eq!(resets, ["On"], "{said}");
}

#[test]
fn a_reset_type_that_a_system_does_not_allow_is_named_and_not_sent() {
    if !real::require(&NEEDS) {
        return;
    }
    for manner in ["allows ForceOn ForceOff", "info ForceOn ForceOff"] {
        let (status, said, resets) = start_one(manner, "");
        let named = "the system allows ForceOn, ForceOff, and not On; write one of them as power.on";
        assert!(status == 1 && said.contains(named), "{manner}: {said}");
        assert!(resets.is_empty(), "{manner}: {said}");
        let (status, said, resets) = start_one(manner, "on = \"ForceOn\"\n");
        assert_eq!((status, resets), (0, vec!["ForceOn".to_owned()]), "{manner}: {said}");
    }
}

#[test]
fn what_is_no_answer_of_redfish_is_neither_on_nor_off() {
    if !real::require(&NEEDS) {
        return;
    }
    for (manner, named) in [
        ("garbage", "what answers at /redfish/v1/Systems does not speak Redfish"),
        ("moved", "the BMC leads elsewhere, and the password does not follow: HTTP 302"),
        ("state Off Paused", "the BMC says Paused"),
    ] {
        let bed = Bed::new();
        let bmcs = Redfish::new(&bed, 1);
        configure(&bed, &bmcs, 1, "");
        let limited = bed.read("etc/cluster.toml").replace("timeout = \"20s\"", "timeout = \"3s\"");
        bed.config("cluster.toml", limited);
        bmcs.tell(1, manner);
        let (status, said) = start(&bed, &["ALL"]);
        assert!(status == 1 && said.contains(named), "{manner}: {said}");
        assert!(bmcs.resets(1).is_empty(), "{manner}: {said}");
    }
}

#[test]
fn a_bmc_that_is_away_is_told_from_one_whose_name_is_not_found() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let bmcs = Redfish::new(&bed, 1);
    configure(&bed, &bmcs, 1, "");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let limited = bed.read("etc/cluster.toml").replace("timeout = \"20s\"", "timeout = \"3s\"");
    bed.config("cluster.toml", limited);
    let node = |name: &str, bmc: &str| serde_json::json!({"name": name, "bmc": bmc});
    let nodes =
        [node("n1", &bmcs.bmc(1)), node("n2", &closed.to_string()), node("n3", "no-such-bmc.invalid")];
    let inventory = serde_json::json!({"format": "orderly-inventory/1", "nodes": nodes});
    bed.write("etc/inventory.json", inventory.to_string());
    bed.write("cstartSeq", "");
    let (status, said) = start(&bed, &["ALL"]);
    assert!(status == 1 && bmcs.is_on(1), "{said}");
    for named in [
        "n2: power unknown: no connection with the BMC",
        "n3: power unknown: the name of the BMC is not found",
    ] {
        assert!(said.contains(named), "{named}\nis not in\n{said}");
    }
}

#[test]
fn a_curl_that_is_missing_or_too_old_is_named_with_its_package_before_anything_is_asked() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let bmcs = Redfish::new(&bed, 1);
    configure(&bed, &bmcs, 1, "");
    for program in ["cstartup", "cshutdown"] {
        bed.script("fakes/curl", "echo 'curl 7.75.0 (x86_64-pc-linux-gnu) libcurl/7.75.0'");
        let old = bed.program(program).arg("ALL").status(3).any_stderr().run().stderr;
        assert!(old.contains("curl: version 7.75.0 is too old"), "{old}");
        assert!(old.contains("install 7.76 or later (package curl)"), "{old}");
        std::fs::remove_file(bed.path("fakes/curl")).unwrap();
        let gone = bed.program(program).arg("ALL").status(3).any_stderr().run().stderr;
        assert!(gone.contains("curl: there is no such program in PATH; install it (package curl)"), "{gone}");
    }
    assert!(bmcs.asked(1).is_empty());
}

#[test]
fn nodes_without_a_shell_are_halted_by_their_bmc_and_told_nothing_else() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let bmcs = Redfish::new(&bed, 3);
    configure(&bed, &bmcs, 3, "[shell]\ndriver = \"redfish\"\n[shutdown]\nsettle = \"1s\"\n");
    bed.write("cstartSeq", "first: n1\nthen: n[2-3]\nfirst > then\n");
    bed.write("cshutSeq", "first: n[2-3]\nthen: n1\nfirst > then\n");
    let shut = bed.path("cshutSeq").display().to_string();
    let (status, said) = start(&bed, &["ALL"]);
    assert_eq!(status, 0, "{said}");
    let stop = |arguments: &[&str]| {
        let run = bed.program("cshutdown").args(["--sequence", shut.as_str()]).args(arguments);
        run.any_status().any_stdout().any_stderr().run()
    };
    let alone =
        "n[1-3]: halted by the controller alone: users are not told, and their processes are not ended";
    let said = stop(&["-k", "ALL"]);
    assert!(said.status == 0 && said.stderr.matches(alone).count() == 1, "{}", said.stderr);
    // Nothing but a halt can be asked for.
    let said = stop(&["-m", "ALL"]);
    assert!(said.status == 3 && said.stderr.contains("no command can be run there"), "{}", said.stderr);
    assert!((1..=3).all(|number| bmcs.resets(number) == ["On"]));
    let said = stop(&["ALL"]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert_eq!(said.stderr.matches(alone).count(), 1, "{}", said.stderr);
    for number in 1..=3 {
        assert!(!bmcs.is_on(number), "{}", said.stderr);
        assert_eq!(bmcs.resets(number), ["On", "GracefulShutdown"], "{}", said.stderr);
    }
    let asked = bed.read("redfish/requests");
    let halted = |number| asked.rfind(&format!("Systems/{}/Actions", system(number))).unwrap();
    assert!(halted(1) > halted(2) && halted(1) > halted(3), "{asked}");
}

#[test]
fn a_halt_that_a_system_does_not_allow_is_named_and_the_node_stays_on() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let bmcs = Redfish::new(&bed, 1);
    configure(&bed, &bmcs, 1, "[shell]\ndriver = \"redfish\"\n[shutdown]\nsettle = \"1s\"\n");
    assert_eq!(start(&bed, &["ALL"]).0, 0);
    bmcs.tell(1, "allows On ForceOff");
    let said = bed.program("cshutdown").arg("ALL").status(1).any_stdout().any_stderr().run().stderr;
    let named = "the system allows On, ForceOff, and not GracefulShutdown; write one of them as soft_off";
    assert!(said.contains(named) && bmcs.is_on(1), "{said}");
    assert_eq!(bmcs.resets(1), ["On"], "{said}");
}

/// What the table power does not have, because it is of something else, the table shell has to say.
#[test]
fn a_shell_of_bmcs_beside_another_power_driver_says_who_asks_them() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let bmcs = Redfish::new(&bed, 1);
    configure(&bed, &bmcs, 1, "");
    let file = bed.read("etc/cluster.toml");
    let head = &file[..file.find("[power]").unwrap()];
    let rest = "[power]\ndriver = \"none\"\n[probe]\ndriver = \"none\"\n[shell]\ndriver = \"redfish\"\n";
    bed.config("cluster.toml", format!("{head}{rest}"));
    let said = bed.program("cshutdown").arg("ALL").status(3).any_stderr().run().stderr;
    assert!(said.contains("shell.user is missing (and power.driver is not \"redfish\""), "{said}");
    let own = format!(
        "user = \"admin\"\npassword_file = {:?}\nca_file = {:?}\nsoft_off = \"ForceOff\"\n",
        bed.path("etc/bmc-password"),
        bmcs.ca()
    );
    bed.config("cluster.toml", format!("{head}{rest}{own}"));
    bed.program("cshutdown").args(["-k", "ALL"]).any_status().any_stdout().any_stderr().run();
    let said = bed.program("cshutdown").arg("ALL").any_status().any_stdout().any_stderr().run().stderr;
    assert_eq!(bmcs.resets(1), ["ForceOff"], "{said}");
}

/// A node without a system took the only one, which another node named: switching one off switched off the other.
#[test]
fn a_node_that_names_no_system_may_be_the_one_that_another_names() {
    let bed = Bed::new();
    let password = bed.config("bmc-password", format!("{PASSWORD}\n")).display().to_string();
    bed.script("fakes/curl", "echo curl 8.14.1");
    bed.config(
        "cluster.toml",
        format!(
            "inventory = {:?}\nsequence = {{ start = {:?}, shut = {:?} }}\n\
             [power]\ndriver = \"redfish\"\nuser = \"admin\"\npassword_file = {password:?}\ninsecure = true\n\
             [probe]\ndriver = \"power\"\n",
            bed.path("etc/inventory.json"),
            bed.path("cstartSeq"),
            bed.path("cstartSeq"),
        ),
    );
    let check = |one: &str, other: &str| {
        let nodes = format!(r#"{{"nodes": [{{"name": "n1", {one}}}, {{"name": "n2", {other}}}]}}"#);
        bed.write("etc/inventory.json", nodes);
        start(&bed, &["-k", "n1"])
    };
    for (one, other) in [
        (r#""bmc": "127.0.0.1""#, r#""bmc": "127.0.0.1", "system": "1""#),
        (r#""bmc": "https://127.0.0.1/", "system": "2""#, r#""bmc": "127.0.0.1:443""#),
        (r#""bmc": "127.0.0.1""#, r#""bmc": "[::ffff:127.0.0.1]""#),
        (r#""bmc": "127.0.0.1", "system": "1""#, r#""bmc": "127.0.0.1", "system": "/redfish/v1/Systems/1/""#),
    ] {
        let (status, said) = check(one, other);
        assert_eq!(status, 3, "{one} {other}: {said}");
        assert!(said.contains("n1 and n2 have the same power controller"), "{said}");
    }
    for (one, other) in [
        (r#""bmc": "127.0.0.1", "system": "1""#, r#""bmc": "127.0.0.1", "system": "2""#),
        (r#""bmc": "127.0.0.1:8443""#, r#""bmc": "127.0.0.1", "system": "2""#),
    ] {
        let (_, said) = check(one, other);
        assert!(!said.contains("the same power controller"), "{said}");
    }
}

/// No machine of the tests has a number of its maker's for sure; the hardware address of an interface stands for it.
#[test]
fn the_machine_that_runs_this_is_known_by_the_number_that_its_bmc_says() {
    if !real::require(&NEEDS) {
        return;
    }
    let interfaces = std::fs::read_dir("/sys/class/net").unwrap().flatten();
    let mut own = interfaces.filter_map(|one| std::fs::read_to_string(one.path().join("address")).ok());
    let Some(own) = own.find(|address| address.trim().len() == 17 && !address.starts_with("00:00:00:00"))
    else {
        real::require(&[bed::Need::Device("/sys/class/net/eth0")]);
        return;
    };
    let bed = Bed::new();
    let bmcs = Redfish::new(&bed, 2);
    configure(&bed, &bmcs, 2, "[shell]\ndriver = \"redfish\"\n[shutdown]\nsettle = \"1s\"\n");
    assert_eq!(start(&bed, &["ALL"]).0, 0);
    bmcs.tell(2, &format!("uuid {}", own.trim().to_uppercase()));
    let said = bed.program("cshutdown").arg("ALL").status(4).any_stdout().any_stderr().run().stderr;
    assert!(said.contains("n2") && said.contains("--even-self"), "{said}");
    assert!((1..=2).all(|number| bmcs.resets(number) == ["On"]), "{said}");
}
