//! What can never succeed as it is configured is found out at once, by a check (`-k`) too, with what was heard.

use bed::{Bed, Program, inventory_of};
use std::io::Write;
use std::net::TcpListener;

/// Writes a configuration with these tables, and an inventory of so many nodes; of the time that nothing is to
/// wait for, nothing is shortened.
fn cluster(bed: &Bed, tables: &str, count: usize) {
    bed.tools(&["cat", "echo", "sh", "true", "false"]);
    bed.cluster(&inventory_of((1..=count).map(|node| format!("n{node}"))), tables);
    let order = bed.write("cstartSeq", format!("all: n[1-{count}]\n"));
    std::fs::copy(order, bed.path("cshutSeq")).unwrap();
}

fn program<'a>(bed: &'a Bed, name: &str, args: &[&str]) -> Program<'a> {
    bed.program(name).args(args).any_stdout().goes_well()
}

/// Returns what the newest log of all runs says.
fn log(bed: &Bed) -> String {
    let mut logs: Vec<_> =
        std::fs::read_dir(bed.path("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
    logs.sort();
    std::fs::read_to_string(logs.pop().unwrap()).unwrap()
}

/// `n1 on` was unknown for fifteen minutes, and a check said that all was well.
#[test]
fn a_status_that_is_in_another_form_for_all_nodes_fails_at_once() {
    for said in ["$1 on", "on", "$1: ON", "Chassis Power is on"] {
        let bed = Bed::new();
        let status = bed.script(
            "mypower",
            &format!(
                "case $1 in on|off) echo \"$@\" >>'{}' ;; *) echo \"{said}\" ;; esac",
                bed.path("acted").display()
            ),
        );
        let power = |word: &str| format!("{word} = [{status:?}, \"{word}\", \"{{node}}\"]\n");
        let tables = format!(
            "[power]\ndriver = \"command\"\n{}{}status = [{status:?}, \"{{node}}\"]\n[probe]\ndriver = \"power\"\n",
            power("on"),
            power("off"),
        );
        cluster(&bed, &tables, 2);
        let check = program(&bed, "cstartup", &["-k", "ALL"]).status(1).run();
        let heard = said.replace("$1", "n1");
        for part in ["n[1-2]: cannot succeed as configured: ", &format!("it says \"{heard}\""), "\"n1: on\""]
        {
            assert!(check.stderr.contains(part), "{part} in {}", check.stderr);
        }
        let run = program(&bed, "cstartup", &["--json", "ALL"]).status(1).run();
        assert!(run.stderr.contains(&format!("it says \"{heard}\"")), "{}", run.stderr);
        let report = run.records().pop().unwrap();
        assert!(report["nodes"][0]["detail"].as_str().unwrap().contains(&heard), "{report}");
        assert!(log(&bed).contains(&heard), "{}", log(&bed));
        assert!(!bed.path("acted").exists());
    }
}

/// The programs of power drivers that say something else than those do, of all nodes: `expected` is what is then told of
/// n1, and whatever is not asked for is noted in `acted`.
const STRANGE: [(&str, &str, &str); 4] = [
    ("ipmitool", "Chassis Power is ON!", "\"Chassis Power is on\" or \"Chassis Power is off\""),
    ("ipmitool", "", "it says nothing"),
    ("powerman", "n1 is on\nn2 is on", "it says \"n1 is on\", and is understood when it says \"n1: on\""),
    ("ipmipower", "10.9.9.1 is on\n10.9.9.2 is on", "\"10.9.9.1: on\" or \"10.9.9.1: off\""),
];

/// Makes two nodes whose power program prints `said` as a status.
fn strange_program(bed: &Bed, driver: &str, said: &str) {
    let acted = bed.path("acted").display().to_string();
    let status = bed.path("said").display().to_string();
    bed.write("said", format!("{said}\n"));
    let asks =
        format!("*\" -l \"*) echo n1; echo n2 ;; *\" status \"*|*\" -q \"*|*\" --stat \"*) cat {status} ;;");
    let body = format!("case \" $* \" in {asks} *) echo \"$@\" >>{acted} ;; esac");
    let program = bed.script(format!("my{driver}"), &body);
    let own = if driver == "powerman" { "" } else { "look_ahead = false\n" };
    let tables = format!(
        "[power]\ndriver = \"{driver}\"\nprogram = {program:?}\n{own}[probe]\ndriver = \"power\"\ninterval = \"100ms\"\n"
    );
    cluster(bed, &tables, 2);
    let mut inventory = bed.read("inventory.json");
    for node in 1..=2 {
        inventory =
            inventory.replace(&format!("\"n{node}\""), &format!("\"n{node}\", \"bmc\": \"10.9.9.{node}\""));
    }
    bed.write("inventory.json", inventory);
}

/// Only a status that the site states itself was found out; a start through any other driver waited for fifteen minutes,
/// and a check exited 0.
#[test]
fn a_power_program_that_says_something_else_of_all_nodes_fails_at_once_whatever_the_driver() {
    for (driver, said, told) in STRANGE {
        let bed = Bed::new();
        strange_program(&bed, driver, said);
        let check = program(&bed, "cstartup", &["-k", "ALL"]).status(1).run();
        for part in ["cannot succeed as configured: ", told] {
            assert!(check.stderr.contains(part), "{driver}: {part} in {}", check.stderr);
        }
        let run = program(&bed, "cstartup", &["--json", "ALL"]).status(1).run();
        let report = run.records().pop().unwrap();
        let node = &report["nodes"][0];
        assert_eq!(
            (node["outcome"].as_str(), node["told_by"].as_str()),
            (Some("failed"), Some("power")),
            "{report}"
        );
        assert!(!bed.path("acted").exists(), "{driver}: {}", bed.read("acted"));
    }
}

/// As one that is understood shows, the form is right.
#[test]
fn what_a_power_program_says_otherwise_of_one_node_alone_is_asked_again() {
    for (driver, said, one) in [
        ("powerman", "n1: on\nn2 is on", "n1: on\nn2: on"),
        ("ipmipower", "10.9.9.1: on\n10.9.9.2 is on", "10.9.9.1: on\n10.9.9.2: on"),
        ("powerman", "n1: unknown\nn2: unknown", "n1: on\nn2: on"),
        ("ipmipower", "10.9.9.1: BMC busy\n10.9.9.2: BMC busy", "10.9.9.1: on\n10.9.9.2: on"),
    ] {
        let bed = Bed::new();
        strange_program(&bed, driver, said);
        let run = program(&bed, "cstartup", &["ALL"]).any_stderr().spawn();
        run.wait_for_stderr("power unknown: ");
        let next = bed.write("next", format!("{one}\n"));
        std::fs::rename(next, bed.path("said")).unwrap();
        run.end();
    }
}

/// One that is not understood among others is that node's own matter: it may be understood a little later.
#[test]
fn a_status_that_is_not_understood_of_one_node_alone_is_asked_again() {
    let bed = Bed::new();
    let script = "case $1 in n2) if [ -e again ]; then echo \"n2: on\"; else : >again; echo starting; fi ;; *) echo \"$1: on\" ;; esac";
    let status = bed.script("mypower", &format!("cd '{}' || exit 1\n{script}", bed.root().display()));
    let tables = format!(
        "[power]\ndriver = \"command\"\non = [\"false\", \"{{node}}\"]\noff = [\"false\", \"{{node}}\"]\n\
         status = [{status:?}, \"{{node}}\"]\n[probe]\ndriver = \"power\"\ninterval = \"100ms\"\n"
    );
    cluster(&bed, &tables, 2);
    let said = "n2: power unknown: [ROOT]/mypower n2: it says \"starting\"";
    program(&bed, "cstartup", &["ALL"]).stderr_contains(said).run();
    std::fs::remove_file(bed.path("again")).unwrap();
    program(&bed, "cstartup", &["-k", "ALL"]).stderr_contains(said).run();
}

/// A program that the status command itself does not find was asked again for fifteen minutes.
#[test]
fn a_status_whose_program_is_not_there_fails_at_once() {
    let bed = Bed::new();
    let tables = "[power]\ndriver = \"command\"\non = [\"true\", \"{node}\"]\noff = [\"true\", \"{node}\"]\n\
                  status = [\"sh\", \"-c\", \"no-such-program $1\", \"sh\", \"{node}\"]\n[probe]\ndriver = \"power\"\n";
    cluster(&bed, tables, 2);
    for args in [["-k", "ALL"], ["-v", "ALL"]] {
        let ended = program(&bed, "cstartup", &args).status(1).run();
        assert!(ended.stderr.contains("no-such-program"), "{}", ended.stderr);
    }
}

/// Without any `[shell]` each node failed by itself, when its turn came and its users had been told.
#[test]
fn a_shutdown_without_any_shell_is_rejected_before_anything_is_done() {
    let bed = Bed::new();
    let up = bed.script("up", "exit 0");
    let tables = format!(
        "[power]\ndriver = \"none\"\n[probe]\ndriver = \"command\"\nup = [{up:?}, \"{{node}}\"]\n[shutdown]\nsettle = \"1s\"\n"
    );
    cluster(&bed, &tables, 2);
    for args in [["-k", "ALL"], ["-Y", "ALL"]] {
        let ended = program(&bed, "cshutdown", &args).status(3).run();
        let said = "n[1-2]: no command can be run there, so nobody can tell them to go down: write [shell]";
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
    assert!(!bed.path("log").exists());
    // What is down already needs none.
    bed.script("up", "exit 1");
    program(&bed, "cshutdown", &["-Y", "ALL"]).run();
}

/// Says these words to everybody who connects.
fn speaker(words: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            // Whoever probes may be gone.
            connection.write_all(words.as_bytes()).ok();
        }
    });
    port
}

/// A port that something else serves was "probe unknown", whatever it said.
#[test]
fn what_an_open_port_says_is_in_report_log_and_record() {
    let bed = Bed::new();
    let port = speaker("220 ftp ready\r\n");
    let tables = format!(
        "[power]\ndriver = \"none\"\n[probe]\ndriver = \"tcp\"\nport = {port}\nbanner = \"SSH-\"\ninterval = \"100ms\"\n\
         [limits]\ntimeout = \"2s\"\n"
    );
    cluster(&bed, &tables, 1);
    let nodes = bed.read("inventory.json").replace("\"n1\"", "\"n1\", \"address\": \"127.0.0.1\"");
    bed.write("inventory.json", nodes);
    let said = format!("port {port} says \"220 ftp ready\", and is up when it says \"SSH-\"");
    let check = program(&bed, "cstartup", &["-k", "ALL"]).any_stderr().run();
    assert!(check.stderr.contains(&format!("n1: probe unknown: {said}")), "{}", check.stderr);
    let run = program(&bed, "cstartup", &["--json", "ALL"]).status(1).run();
    let report = run.records().pop().unwrap();
    assert!(report["nodes"][0]["detail"].as_str().unwrap().contains(&said), "{report}");
    assert!(log(&bed).contains(&said), "{}", log(&bed));
    let plain = program(&bed, "cstartup", &["ALL"]).status(1).run();
    let row = plain.stderr.lines().find(|line| line.contains("unreachable: n1")).unwrap();
    assert!(row.contains(&said), "{}", plain.stderr);
}

/// What ssh said was told as the power controller's, and no record said whose words a failure's were.
#[test]
fn a_record_says_whose_words_a_failure_is_told_in() {
    let bed = Bed::new();
    let power =
        bed.script("mypower", "case $1 in status) echo \"$2: off\" ;; *) echo no >&2; exit 1 ;; esac");
    // What would be called a wrong password, if a controller had said it.
    let rsh =
        bed.script("rsh", "case $2 in *boot_id*) echo 1 ;; *) echo 'Invalid password' >&2; exit 1 ;; esac");
    let up = bed.script("up", "exit 1");
    let tables = format!(
        "[power]\ndriver = \"command\"\non = [{power:?}, \"on\", \"{{node}}\"]\noff = [{power:?}, \"off\", \"{{node}}\"]\n\
         status = [{power:?}, \"status\", \"{{node}}\"]\n[shell]\ndriver = \"command\"\nrun = [{rsh:?}, \"{{node}}\", \"{{command}}\"]\n\
         [probe]\ndriver = \"command\"\nup = [{up:?}, \"{{node}}\"]\ninterval = \"50ms\"\n[shutdown]\nsettle = \"100ms\"\n\
         [limits]\nretries = 0\n"
    );
    cluster(&bed, &tables, 1);
    let failed = |name: &str| {
        let run = program(&bed, name, &["--json", "ALL"]).status(1).run();
        let node = run.records().pop().unwrap()["nodes"][0].clone();
        (node["told_by"].as_str().map(str::to_owned), node["detail"].as_str().unwrap().to_owned())
    };
    let (told_by, detail) = failed("cstartup");
    assert_eq!(told_by.as_deref(), Some("power"), "{detail}");
    bed.script("up", "exit 0");
    let (told_by, detail) = failed("cshutdown");
    assert_eq!(told_by.as_deref(), Some("shell"), "{detail}");
    assert!(detail.contains("Invalid password") && !detail.contains("controller"), "{detail}");
}

/// With a power driver that has words for a controller that is silent, an ssh that hung was told in them.
#[test]
fn an_ssh_that_hangs_is_no_silent_controller_whatever_the_power_driver() {
    for (driver, said) in [
        ("ipmitool", "Chassis Power is on"),
        ("powerman", "n1: on\nn2: on"),
        ("ipmipower", "10.9.9.1: on\n10.9.9.2: on"),
    ] {
        let bed = Bed::new();
        strange_program(&bed, driver, said);
        bed.tool("sleep");
        let ssh = bed.script("ssh", "exec sleep 100000");
        let up = bed.script("up", "exit 0");
        let config = bed.read("etc/cluster.toml");
        let (power, _) = config.split_at(config.find("[probe]").unwrap());
        bed.config(
            "cluster.toml",
            format!(
                "{power}[shell]\ndriver = \"ssh\"\nprogram = {ssh:?}\ntimeout = \"1s\"\n\
                 [probe]\ndriver = \"command\"\nup = [{up:?}, \"{{node}}\"]\ninterval = \"50ms\"\n\
                 [shutdown]\nend_users = \"none\"\nsettle = \"100ms\"\n[limits]\nretries = 0\ntimeout = \"3s\"\n"
            ),
        );
        let run = program(&bed, "cshutdown", &["-F", "--json", "ALL"]).status(1).run();
        for node in run.records().pop().unwrap()["nodes"].as_array().unwrap() {
            let detail = node["detail"].as_str().unwrap();
            assert_ne!(node["told_by"], "power", "{driver}: {detail}");
            assert!(detail.contains("ssh"), "{driver}: {detail}");
            assert!(!detail.contains("controller") && !detail.contains("powermand"), "{driver}: {detail}");
        }
        assert!(!bed.path("acted").exists(), "{driver}: {}", bed.read("acted"));
    }
}
