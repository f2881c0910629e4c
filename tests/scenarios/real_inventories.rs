//! Inventories of other programs: what seqfile reads of them is what those programs themselves say.

use bed::{Bed, Need, real};

/// Returns the members of an inventory group, as seqfile finds them, sorted.
fn members(bed: &Bed, format: &str, file: &str, group: &str) -> Vec<String> {
    let document = format!(
        r#"{{"format": "orderly-sequence/1", "groups": [{{"name": "g", "members": ["@{group}"]}}]}}"#
    );
    let read = ["--from-json", "-", "-i", file, "--from", format];
    let text = bed.program("seqfile").args(read).stdin(document).any_stdout().run().stdout;
    sorted(text.replace("\\\n", "").trim_start_matches("g:").split_whitespace())
}

fn sorted<'t>(words: impl IntoIterator<Item = &'t str>) -> Vec<String> {
    let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    words.sort();
    words
}

const GENDERS: &str = "# a site\nmgmt   mgmt,all,number=1\nio[1-2]\tio,boot_server=mgmt,all,note=100%%n\n\
    n[01-16]   compute,all,boot_server=io1,rack=r1,alt=%n-ib # clients\n  n[09-16] gpu,fast\nn01,login1   login\n";

#[test]
fn genders_names_the_same_nodes() {
    if !real::require(&[Need::Program("nodeattr")]) {
        return;
    }
    let bed = Bed::new();
    bed.write("genders", GENDERS);
    let nodeattr = |args: &[&str]| {
        let asked = bed.external(real::find("nodeattr").unwrap()).args(["-f", "genders"]).args(args);
        asked.any_stdout().any_stderr().run().stdout
    };
    nodeattr(&["-k"]);
    for group in
        ["all", "io", "compute", "gpu", "fast", "login", "rack", "rack=r1", "alt", "alt=n03-ib", "note=100%n"]
    {
        let theirs = nodeattr(&["-n", group]);
        assert!(!theirs.is_empty(), "{group}");
        assert_eq!(members(&bed, "genders", "genders", group), sorted(theirs.lines()), "{group}");
    }
    let sequence = bed.program("seqfile").args(["-i", "genders", "--from", "genders", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&sequence.any_stdout().run().stdout).unwrap();
    for group in json["groups"].as_array().unwrap() {
        let Some(server) = group["name"].as_str().unwrap().strip_prefix("clients_") else { continue };
        let ours: Vec<&str> =
            group["members"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        let theirs = nodeattr(&["-n", &format!("boot_server={server}")]);
        assert_eq!(sorted(ours), sorted(theirs.lines()), "{server}");
    }
}

#[test]
fn a_genders_file_is_rejected_where_genders_rejects_it() {
    if !real::require(&[Need::Program("nodeattr")]) {
        return;
    }
    let bed = Bed::new();
    let long = format!("{} a\n", "n".repeat(65));
    for text in [
        "n1 a,b\n",
        "n1 a\nn1 b=1:2\n",
        "n1\nn2\n",
        "n1 a=x#y\n",
        "n[1-3],m[4,5] a=[1-2],b\n",
        "n1 a,a\n",
        "n1 a\nn1 a\n",
        "n1 a\nn1 a=1\n",
        "n[1-4] a\nn[3-9] a\n",
        "n1 a=\n",
        "n1 =b\n",
        "n1 a,\n",
        "n1 a b\n",
        "n1 a, b\n",
        // Rejected where genders reads them.
        "n1 a:b,x(y=1,c>d,e\\\n",
        "n1 number=A7,partition=x:y\n",
        "n1 number=0\n",
        ",n1,,n2, a\n",
        "n[1-03],m[9-010] a\n",
        "0[7-10],n1[9-10] a\n",
        // Accepted where genders refuses them.
        "n1.example.org a\n",
        "n[1-2].ib a\n",
        "n1,n1 a\n",
        "n[1,1] a\n",
        "n[1-6/2] a\n",
        "n[-1-2] a\n",
        "n[1-16384] a\n",
        "n[1-16385] a\n",
        &long[1..],
        &long,
    ] {
        bed.write("genders", text);
        let theirs = bed.external(real::find("nodeattr").unwrap()).args(["-f", "genders", "-k"]);
        let theirs = theirs.any_stdout().any_stderr().any_status().run().status;
        let ours = bed.program("seqfile").args(["-i", "genders", "--from", "genders"]);
        let ours = ours.any_stdout().any_stderr().any_status().run();
        assert_eq!(ours.status == 0, theirs == 0, "{text}{}", ours.stderr);
    }
}

const HOSTS: &str = "mgmt number=1\n[io]\nio[1:2] boot_server=mgmt\n[compute]\nn[01:04] boot_server=io1\n\
    n05 boot_server='[\"io1\",\"io2\"]' ansible_host=10.0.0.5 diskless=true\n[gpu]\nn03\n\
    [clients:children]\ncompute\ngpu\n[compute:vars]\nrack=7\nunset=\n";

#[test]
fn ansible_inventory_names_the_same_nodes() {
    if !real::require(&[Need::Program("ansible-inventory"), Need::Program("python3")]) {
        return;
    }
    let bed = Bed::new();
    bed.write("hosts.ini", HOSTS);
    bed.tools(&["python3"]);
    let ansible = |args: &[&str]| {
        let asked = bed.external(real::find("ansible-inventory").unwrap()).env("LC_ALL", "C.UTF-8");
        asked.args(["-i", "hosts.ini"]).args(args).any_stdout().any_stderr().run().stdout
    };
    bed.write("list.json", ansible(&["--list"]));
    for group in ["io", "compute", "gpu", "clients"] {
        let graph = ansible(&["--graph", group]);
        let mut theirs =
            sorted(graph.lines().filter_map(|line| line.split_once("|--")).map(|(deep, name)| {
                // The graph is indented by "|  " a level.
                assert!(deep.chars().all(|c| matches!(c, ' ' | '|')), "{graph}");
                name.rsplit("|--").next().unwrap()
            }));
        theirs.retain(|name| !name.starts_with('@'));
        theirs.dedup();
        assert_eq!(members(&bed, "ansible", "list.json", group), theirs, "{graph}");
    }
    bed.program("seqfile")
        .args(["-i", "list.json", "--from", "ansible", "--fold"])
        .stdout(
            "server_mgmt: mgmt\nclients_mgmt: io[1-2]\nserver_io1: io1\nclients_io1: n[01-05]\nserver_io2: io2\n\
             clients_io2: n05\nserver_mgmt > clients_mgmt\nserver_io1 > clients_io1\nserver_io2 > clients_io2\n",
        )
        .run();
    bed.program("seqfile")
        .args(["-i", "list.json", "--from", "ansible", "--relation", "rack"])
        .status(3)
        .stderr_contains("rack")
        .run();
}

/// With `--export` variables of groups stand with their groups; all servers stated so were left out, in silence.
#[test]
fn ansible_inventory_exported_or_not_states_the_same_order() {
    if !real::require(&[Need::Program("ansible-inventory"), Need::Program("python3")]) {
        return;
    }
    let bed = Bed::new();
    bed.write(
        "hosts.ini",
        "mgmt number=1\n[io]\nio[1:3]\n[io:vars]\nboot_server=mgmt\n[compute]\nn[01:04]\nn05 boot_server=io3\n\
         [gpu]\nn03\n[clients:children]\ncompute\ngpu\n[clients:vars]\nboot_server=io1\nrack=7\n[gpu:vars]\n\
         boot_server=io2\n[compute:vars]\nrack=8\n[all:vars]\nzone=a\n",
    );
    bed.tools(&["python3"]);
    let order = |flags: &[&str]| {
        let asked = bed.external(real::find("ansible-inventory").unwrap()).env("LC_ALL", "C.UTF-8");
        let list =
            asked.args(["-i", "hosts.ini", "--list"]).args(flags).any_stdout().any_stderr().run().stdout;
        let read = bed.program("seqfile").args(["-i", "-", "--from", "ansible", "--fold"]).stdin(list);
        read.any_stdout().run().stdout
    };
    let merged = order(&[]);
    assert!(merged.contains("clients_io2: n03\n") && merged.contains("clients_io3: n05\n"), "{merged}");
    assert_eq!(order(&["--export"]), merged);
}

/// `n!1` was `n`, and `0[7-10]` rejected: what nodes a line names is for genders to say.
#[test]
fn genders_names_the_same_nodes_in_every_line() {
    if !real::require(&[Need::Program("nodeattr")]) {
        return;
    }
    let bed = Bed::new();
    for line in [
        "n[1-3],m",
        "n[01-03,7]x",
        "n[9-010]",
        "n[098-101]",
        "0[9-10]",
        "n1[9-10]",
        "n-2",
        ",n1,,n2,",
        "n[00-3]",
        "[1-2]n",
    ] {
        bed.write("genders", format!("{line} a\n"));
        let asked = bed.external(real::find("nodeattr").unwrap()).args(["-f", "genders", "-n", "a"]);
        let theirs = asked.any_stdout().any_stderr().run().stdout;
        assert_eq!(members(&bed, "genders", "genders", "a"), sorted(theirs.lines()), "{line}");
    }
    // Genders takes these for names; on a command line and for pdsh they are other nodes, so we take none.
    for name in ["n!1", "m&2", "x^y", "@x"] {
        bed.write("genders", format!("{name} a\n"));
        let asked = bed.external(real::find("nodeattr").unwrap()).args(["-f", "genders", "-n", "a"]);
        assert_eq!(asked.any_stderr().any_stdout().run().stdout.trim_end(), name);
        let rejected = bed.program("seqfile").args(["-i", "genders", "--from", "genders"]).status(3);
        rejected.stderr_contains(&format!("genders:1:1: the name \"{name}\" is a node set")).run();
    }
}
