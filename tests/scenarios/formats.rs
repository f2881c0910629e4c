//! Every program reads every format of inventory, named by a flag, the environment or `cluster.toml`.

use bed::binaries::workspace;
use bed::{Bed, Ended, pipeline};

/// One cluster in every format: io1 serves n1 and n2, which are in the group `compute`.
const FORMATS: [(&str, &str); 5] = [
    (
        "json",
        r#"{"format": "orderly-inventory/1", "nodes": [{"name": "io1"},
            {"name": "n1", "boot_server": "io1", "groups": ["compute"]},
            {"name": "n2", "boot_server": "io1", "groups": ["compute"]}]}"#,
    ),
    ("genders", "io1 io\nn[1-2] compute,boot_server=io1\n"),
    (
        "ansible",
        r#"{"_meta": {"hostvars": {"n1": {"boot_server": "io1"}, "n2": {"boot_server": "io1"}}},
            "all": {"children": ["io", "compute"]}, "io": {"hosts": ["io1"]}, "compute": {"hosts": ["n1", "n2"]}}"#,
    ),
    (
        "warewulf",
        r#"{"io1": {"profiles": ["io"]}, "n1": {"profiles": ["compute"], "tags": {"boot_server": "io1"}},
            "n2": {"profiles": ["compute"], "tags": {"boot_server": "io1"}}}"#,
    ),
    (
        "xcat",
        "io1:\n  objtype=node\n  groups=io\nn1:\n  objtype=node\n  groups=compute\n  servicenode=io1\n\
         n2:\n  objtype=node\n  groups=compute\n  servicenode=io1\n",
    ),
];

const DEFAULT: &str = "server_io1: io1\nclients_io1: n1 n2\nserver_io1 > clients_io1\n";

/// Returns a bed with imagined nodes; `keys` stand at the top of `cluster.toml`.
fn site(keys: &str) -> Bed {
    let bed = Bed::new();
    let root = bed.root().display().to_string();
    bed.config(
        "cluster.toml",
        format!(
            "{}\nlog_dir = \"{root}/log\"\n\
             sequence = {{ start = \"{root}/start\", shut = \"{root}/shut\", subsystems = \"{root}/sub\" }}\n\
             power.driver = \"simulator\"\nshell.driver = \"simulator\"\nprobe.driver = \"simulator\"\n\
             shutdown.settle = \"1s\"\nsimulator.speed = 1000\n",
            keys.replace('@', &root)
        ),
    );
    for (format, text) in FORMATS {
        bed.config(format, text);
    }
    bed
}

fn run(bed: &Bed, program: &str, arguments: &[&str], status: i32) -> Ended {
    bed.program(program).args(arguments).status(status).any_stdout().goes_well().run()
}

/// Tells that io1 was read as the server of n1.
fn knows_the_server(said: &Ended) -> bool {
    said.stderr.contains("io1 is down and not a target, and n1 needs it up")
}

/// cstartup and cshutdown read nothing but JSON.
#[test]
fn every_program_reads_every_format() {
    for (format, text) in FORMATS {
        let bed = site("");
        let from = ["--from", format, "-i", &format!("etc/{format}")];
        bed.program("seqfile").args(from).stdout(DEFAULT).run();
        let alone = run(&bed, "cstartup", &[&from[..], &["n1"]].concat(), 4);
        assert!(knows_the_server(&alone), "{format}: {}", alone.stderr);
        let up = run(&bed, "cstartup", &[&from[..], &["ALL"]].concat(), 0);
        assert!(up.stderr.contains("up: io1,n[1-2] (3 nodes"), "{format}: {}", up.stderr);
        let server = run(&bed, "cshutdown", &[&from[..], &["io1"]].concat(), 4);
        assert!(server.stderr.contains("n[1-2]"), "{format}: {}", server.stderr);
        run(&bed, "cshutdown", &[&from[..], &["-F", "-g", "compute"]].concat(), 0);
        // Standard input is an inventory like any other.
        for program in ["cstartup", "cshutdown"] {
            let read = bed.program(program).args(["-i", "-", "--from", format, "-k", "ALL"]).stdin(text);
            read.any_stdout().goes_well().run();
        }
    }
}

#[test]
fn the_format_is_that_of_the_flag_else_of_the_environment_else_of_cluster_toml() {
    let bed = site("inventory = \"@/etc/genders\"\ninventory_format = \"genders\"");
    bed.program("seqfile").stdout(DEFAULT).run();
    assert!(knows_the_server(&run(&bed, "cstartup", &["n1"], 4)));
    run(&bed, "cshutdown", &["-k", "ALL"], 0);
    let by_environment = |program: &str, flags: &[&str], status: i32| {
        let named = bed.program(program).args(flags).status(status).env("ORDERLY_INVENTORY_FORMAT", "xcat");
        named.env("ORDERLY_INVENTORY", "etc/xcat").any_stdout().goes_well().run()
    };
    assert_eq!(by_environment("seqfile", &[], 0).stdout, DEFAULT);
    assert!(knows_the_server(&by_environment("cstartup", &["n1"], 4)));
    by_environment("cshutdown", &["-k", "ALL"], 0);
    let flags = ["--from", "ansible", "-i", "etc/ansible"];
    assert_eq!(by_environment("seqfile", &flags, 0).stdout, DEFAULT);
    assert!(knows_the_server(&by_environment("cstartup", &[&flags[..], &["n1"]].concat(), 4)));
    by_environment("cshutdown", &[&flags[..], &["-k", "ALL"]].concat(), 0);
    // An empty variable says nothing.
    for (program, arguments) in
        [("seqfile", &[][..]), ("cstartup", &["-k", "ALL"]), ("cshutdown", &["-k", "ALL"])]
    {
        let empty = bed.program(program).args(arguments).env("ORDERLY_INVENTORY_FORMAT", "");
        empty.any_stdout().goes_well().run();
    }
}

#[test]
fn a_format_that_is_none_is_blamed_on_who_named_it_and_nothing_is_touched() {
    let bed = site("");
    for program in ["seqfile", "cstartup", "cshutdown"] {
        let targets: &[&str] = if program == "seqfile" { &[] } else { &["ALL"] };
        let named = bed.program(program).args(targets).env("ORDERLY_INVENTORY_FORMAT", "gender").status(2);
        let said = named.any_stderr().run().stderr;
        assert!(said.contains("'gender' for 'ORDERLY_INVENTORY_FORMAT'"), "{program}: {said}");
        assert!(
            said.contains("json, genders, ansible, warewulf, xcat") && said.contains("'genders'"),
            "{said}"
        );
    }
    let bed = site("inventory_format = \"gender\"");
    for program in ["seqfile", "cstartup", "cshutdown"] {
        let targets: &[&str] = if program == "seqfile" { &[] } else { &["ALL"] };
        let said = run(&bed, program, targets, 3).stderr;
        assert!(
            said.contains("cluster.toml:1:20: inventory_format: \"gender\" is not one of json, genders")
                && said.contains("did you mean \"genders\"?"),
            "{program}: {said}"
        );
    }
    assert!(!bed.path("log").exists(), "nothing was run");
}

/// Executors said that it is not JSON.
#[test]
fn an_inventory_that_is_read_in_a_wrong_format_is_answered_with_the_right_one() {
    let bed = site("");
    for (format, _) in FORMATS {
        let wrong = if format == "json" { "genders" } else { "json" };
        for program in ["seqfile", "cstartup", "cshutdown"] {
            let file = format!("etc/{format}");
            let named = ["-i", &file, "--from", wrong];
            let targets: &[&str] = if program == "seqfile" { &[] } else { &["ALL"] };
            let said = run(&bed, program, &[&named[..], targets].concat(), 3).stderr;
            let remedy = format!("use --from {format} (or inventory_format = \"{format}\" in cluster.toml)");
            assert!(said.contains(&remedy) && said.contains(&format!("{file}: this is read as")), "{said}");
        }
    }
}

/// Of a restart the nodes went down, and cstartup rejected the inventory.
#[test]
fn a_restart_starts_from_the_inventory_that_the_shutdown_read() {
    let bed = site("");
    let named = ["--from", "genders", "-i", "etc/genders"];
    run(&bed, "cstartup", &[&named[..], &["ALL"]].concat(), 0);
    let again = run(&bed, "cshutdown", &[&named[..], &["-F", "-r", "ALL"]].concat(), 0);
    assert!(again.stderr.contains("up: io1,n[1-2] (3 nodes"), "{}", again.stderr);
    // What -C names wins, as with -i.
    let other = [&named[..], &["-F", "-r", "-C", "--from=xcat -i etc/xcat", "ALL"]].concat();
    let again = run(&bed, "cshutdown", &other, 0);
    assert!(again.stderr.contains("up: io1,n[1-2] (3 nodes"), "{}", again.stderr);
}

/// seqfile printed the order of another file than the one that cstartup goes by.
#[test]
fn seqfile_reads_the_inventory_that_cluster_toml_names() {
    let bed = site(
        "inventory = \"@/etc/genders\"\ninventory_format = \"genders\"\noutside = \"nas[1-2]\"\ncontrol_node = \"mgmt\"",
    );
    bed.config("genders", "io1 boot_server=nas1\nn[1-2] compute,boot_server=io1\nio1 nfs=mgmt\n");
    bed.program("seqfile").stdout(DEFAULT).run();
    bed.program("seqfile").args(["--outside", "nas3"]).stdout(DEFAULT).run();
    bed.write("s", DEFAULT);
    bed.program("seqfile").args(["--drift", "s", "--relation", "nfs"]).run();
    // The rest of the file is for those who act on it.
    bed.config("cluster.toml", "inventory = \"relative\"\nunknown = 1\n");
    let said = bed.program("seqfile").status(3).any_stderr().run().stderr;
    assert!(said.contains("cluster.toml:1:13: inventory: must be an absolute path"), "{said}");
    assert!(!said.contains("unknown"), "{said}");
    bed.config("cluster.toml", "inventory = \n");
    bed.program("seqfile").status(3).stderr_contains("cluster.toml:1:13").run();
    // Who names both needs none of it, and hears of it.
    let named = bed.program("seqfile").args(["-i", "etc/xcat", "--from", "xcat"]).stdout(DEFAULT);
    named.stderr_contains("cluster.toml:1:13").run();
}

/// Each case is an inventory and, beside it, all that was read of it. `ORDERLY_GOLDEN=write` writes these anew.
#[test]
fn what_was_read_is_written_as_our_own_format() {
    let bed = Bed::new();
    for (format, _) in FORMATS {
        let case = workspace().join("tests/golden/inventory").join(format);
        let text = std::fs::read_to_string(&case).unwrap();
        let written = |text: &str, format: &str| {
            let read =
                bed.program("seqfile").args(["-i", "-", "--from", format, "--inventory-json"]).stdin(text);
            read.any_stdout().any_stderr().run().stdout
        };
        let said = written(&text, format);
        let wanted = case.with_extension("expected");
        if std::env::var_os("ORDERLY_GOLDEN").is_some() {
            std::fs::write(&wanted, &said).unwrap();
        }
        assert_eq!(said, std::fs::read_to_string(&wanted).unwrap(), "{format}");
        assert_eq!(written(&said, "json"), said, "{format}: what was written reads back as it was");
    }
}

#[test]
fn an_inventory_through_a_pipe_is_the_inventory() {
    for (format, _) in FORMATS {
        let bed = site("");
        let from = ["--from", format, "-i", &format!("etc/{format}")];
        for (program, target, status) in [
            ("cstartup", "n1", 4),
            ("cstartup", "ALL", 0),
            ("cshutdown", "io1", 0),
            ("cshutdown", "@compute", 0),
        ] {
            let straight = bed.program(program).args(from).args(["-k", target]).status(status);
            let straight = straight.any_stdout().goes_well().run();
            let written = bed.program("seqfile").args(from).arg("--inventory-json").any_stdout();
            let piped = bed.program(program).args(["-i", "-", "-k", target]).status(status);
            let piped = pipeline([written, piped.any_stdout().goes_well()]).pop().unwrap();
            assert_eq!(piped.stdout, straight.stdout, "{format}: {program} {target}");
            // Refusals repeat the command line.
            let said =
                |ended: &Ended| ended.stderr.replace(&format!("--from {format} -i etc/{format}"), "-i -");
            assert_eq!(said(&piped), said(&straight), "{format}: {program} {target}");
        }
    }
}

/// A flag that does nothing to an inventory would be taken for done.
#[test]
fn an_inventory_is_replaced_as_a_whole_and_takes_no_flags_of_sequences() {
    let bed = site("");
    let from = ["--from", "genders", "-i", "etc/genders", "--inventory-json"];
    bed.program("seqfile").args(from).args(["-o", "inventory.json"]).run();
    bed.program("seqfile").args(["-i", "inventory.json"]).stdout(DEFAULT).run();
    bed.write("inventory.json", "as it was");
    bed.write("etc/broken", "n1 boot_server=n2\n");
    let broken = ["--from", "genders", "-i", "etc/broken", "--inventory-json", "-o", "inventory.json"];
    run(&bed, "seqfile", &broken, 3);
    assert_eq!(bed.read("inventory.json"), "as it was");
    for flag in ["--shutdown", "--compact", "--fold", "--relation=rack"] {
        let said = run(&bed, "seqfile", &[&from[..], &[flag]].concat(), 2).stderr;
        assert!(said.contains("cannot be used with what is asked for"), "{said}");
    }
}
