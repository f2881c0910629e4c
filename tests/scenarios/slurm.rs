//! The shipped `examples/slurm`, run by real slurmctld and slurmd: nodes are stopped and started as jobs need them, by
//! Slurm's own user through the shipped sudoers line; a shutdown waits for jobs; a start gives back what was drained by us.

use bed::cluster::scripted;
use bed::slurm::{NEEDS, Slurm, example};
use bed::{Bed, Ended, real, wait_until};

/// Slurm must not stop what serves others; and it waits as long as it says before it starts a node again.
const CHANGES: [(&str, &str); 2] = [("mds[1-2]", "n3"), ("SuspendTimeout=1200", "SuspendTimeout=5")];

/// A cluster whose nodes are Slurm's; nas1 is none of them.
fn cluster(bed: &Bed) {
    let nodes = r#"{"nodes": [{"name": "n1", "number": 11}, {"name": "n2", "number": 12}, {"name": "n3", "number": 13}]}"#;
    let settings = format!(
        "control_address = \"127.0.0.1\"\n{}[shutdown]\nend_users = \"none\"\nsettle = \"500ms\"\n{}",
        scripted("mynode"),
        example("cluster.toml")
    );
    bed.cluster(nodes, settings);
    bed.write("subsysSeq", example("subsysSeq"));
    bed.write("cstartSeq", "");
    bed.write("cshutSeq", "");
}

fn logs(bed: &Bed) -> String {
    let Ok(folder) = std::fs::read_dir(bed.path("log")) else { return String::new() };
    let texts = folder.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default());
    texts.collect::<Vec<_>>().join("")
}

fn run(slurm: &Slurm<'_>, line: &str) -> Ended {
    slurm.shell(line).any_stdout().any_stderr().run()
}

#[test]
fn a_job_for_nodes_that_are_off_runs_once_they_were_started() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    cluster(&bed);
    let slurm = Slurm::new(&bed, &CHANGES);
    run(&slurm, "visudo -cf /etc/sudoers.d/orderly-slurm");
    run(&slurm, "scontrol update NodeName=n[1-2] State=POWER_DOWN_FORCE");
    wait_until("both are off", || {
        bed.read("power.log").lines().filter(|line| line.starts_with("off ")).count() == 2
    });
    slurm.wait_for("n1", "idle+powered_down");
    slurm.wait_for("n2", "idle+powered_down");
    // They were halted first, and nobody drained what Slurm itself stops.
    let log = bed.read("power.log");
    assert!(log.contains("halt n1\n") && log.contains("halt n2\n"), "{log}");
    let job = bed.script("job", "echo \"ran on $SLURMD_NODENAME\"");
    let out = bed.path("slurm/log/out");
    let line = format!("sbatch --wait --nodelist n1 --output {} {}", out.display(), job.display());
    run(&slurm, &line);
    assert_eq!(std::fs::read_to_string(out).unwrap(), "ran on n1\n");
    let log = bed.read("power.log");
    assert!(log.ends_with("on n1\n"), "n2 stays off: {log}");
    // It was Slurm's user who asked, through sudo.
    let first = logs(&bed);
    let asked: Vec<&str> =
        first.lines().filter(|line| line.contains(": /") || line.contains(" on ")).collect();
    assert!(asked.iter().any(|line| line.contains("slurm") && line.contains("cstartup")), "{first}");
    assert!(!bed.path("state/was-up.json").exists(), "nothing for cstartup --restore");
}

#[test]
fn a_shutdown_waits_for_jobs_and_a_restart_gives_back_what_it_drained_and_nothing_else() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    cluster(&bed);
    let slurm = Slurm::new(&bed, &CHANGES);
    let job = bed.script("job", "until [ -e go ]; do sleep 0.2; done");
    let out = bed.path("slurm/log/out");
    let root = bed.root().display();
    run(&slurm, &format!("sbatch --nodelist n1 --chdir {root} --output {} {}", out.display(), job.display()));
    slurm.wait_for("n1", "allocated");
    run(&slurm, "scontrol update NodeName=n2 State=DRAIN Reason='bad disk'");
    let restart = slurm.shell("exec cshutdown -r -F ALL").any_stdout().any_stderr().spawn();
    wait_until("it waits for the job", || logs(&bed).contains("slurm-drain: waiting for jobs 1"));
    assert_eq!(slurm.state("n1"), "allocated+drain orderly-shutdown");
    assert_eq!(slurm.state("n2"), "idle+drain bad disk");
    let power = || std::fs::read_to_string(bed.path("power.log")).unwrap();
    assert!(!power().contains("halt "), "{}", power());
    bed.write("go", "");
    let ended = restart.end();
    for node in ["n1", "n2", "n3"] {
        for act in ["halt", "off", "on"] {
            assert!(power().contains(&format!("{act} {node}\n")), "{}\n{}", power(), ended.stderr);
        }
    }
    assert!(ended.stderr.contains("/usr/local/sbin/slurm-drain on this machine"), "{}", ended.stderr);
    slurm.wait_for("n1", "idle");
    slurm.wait_for("n3", "idle");
    assert!(slurm.state("n2").ends_with("+drain bad disk"), "{}", slurm.state("n2"));
}

/// What Slurm does not answer is not known to be over: no node is halted.
#[test]
fn where_slurm_does_not_answer_no_node_is_halted() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    cluster(&bed);
    let slurm = Slurm::new(&bed, &CHANGES);
    // Nobody listens at this port.
    let conf = bed.read("slurm/etc/slurm.conf");
    bed.write("slurm/etc/other.conf", format!("SlurmctldPort=9\nMessageTimeout=2\n{conf}"));
    let line = "SLURM_CONF=$ORDERLY_BED/slurm/etc/other.conf\nsed -i s,etc/slurm.conf,etc/other.conf, sbin/cshutdown\n\
                exec cshutdown -F ALL";
    let ended = slurm.shell(line).status(1).any_stdout().any_stderr().run();
    assert!(ended.stderr.contains("slurm-drain failed"), "{}", ended.stderr);
    assert!(!bed.read("power.log").contains("halt "), "{}", bed.read("power.log"));
}
