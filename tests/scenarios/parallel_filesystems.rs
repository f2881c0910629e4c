//! The shipped examples of subsystems for GPFS and Lustre, as they are, with scripted commands (`fakes/gpfs.sh`,
//! `fakes/lustre.sh`): what is unmounted, what stops a shutdown, and what is mounted again.

use bed::{Bed, Ended, binaries};

const TOOLS: [&str; 12] =
    ["awk", "cat", "grep", "mkdir", "mktemp", "mv", "paste", "rm", "sed", "sleep", "sort", "tr"];
const GPFS: [&str; 7] =
    ["mmlscluster", "mmgetstate", "mmlsmount", "mmumount", "mmshutdown", "mmstartup", "mmmount"];

fn bed(names: &[&str], stand_in: &str) -> Bed {
    let bed = Bed::new();
    bed.tools(&TOOLS).tool("sh");
    for name in names {
        bed.script(format!("tools/{name}"), stand_in);
    }
    bed
}

fn gpfs() -> Bed {
    let bed = bed(&GPFS, include_str!("../fakes/gpfs.sh"));
    for node in ["n1", "n2", "n3"] {
        bed.write(format!("nodes/{node}/state"), "active\n");
        bed.write(format!("nodes/{node}/fs1"), "");
    }
    bed.write("nodes/n1/fs2", "");
    bed
}

fn lustre() -> Bed {
    let bed = bed(&["clush", "mount", "umount"], include_str!("../fakes/lustre.sh"));
    bed.write("mounts/n1", "/dev/sda / ext4 rw 0 0\n10.0.0.1@tcp:/scratch /scratch lustre rw,flock 0 0\n");
    bed.write("mounts/n2", "10.0.0.1@tcp:/scratch /scratch lustre rw,flock 0 0\n");
    bed.write("mounts/oss1", "/dev/sdb /ost0 lustre ro 0 0\n");
    bed
}

/// Runs an example and wants this exit status and these words in what it says.
fn call(bed: &Bed, example: &str, words: &str, status: i32, says: &str) {
    let ended: Ended = bed
        .external(binaries::workspace().join("examples").join(example))
        .args(words.replace(" --", " -b 10.0.0.1 -f log").split(' '))
        .env("ORDERLY_STATE_DIR", bed.path("state"))
        .env("GPFS_UNMOUNT_WAIT", "0")
        .any_status()
        .any_stdout()
        .any_stderr()
        .run();
    assert!(
        ended.status == status && ended.stderr.contains(says),
        "{words}: {} {}",
        ended.status,
        ended.stderr
    );
}

fn remove(bed: &Bed, file: &str) {
    std::fs::remove_file(bed.path(file)).unwrap();
}

#[test]
fn gpfs_is_unmounted_and_stopped_and_what_was_mounted_is_mounted_again() {
    let bed = gpfs();
    let run = |words: &str, status, says: &str| call(&bed, "gpfs/gpfs-unmount", words, status, says);
    run("-h -- login1", 0, "");
    run("-h -- n1 n2 login1", 0, "");
    assert_eq!(bed.read("nodes/n1/state"), "down\n");
    let calls = bed.read("calls");
    assert!(calls.contains("mmumount all -N n1,n2\n") && calls.contains("mmshutdown -N n1,n2\n"), "{calls}");
    assert!(bed.path("nodes/n3/fs1").exists(), "n3 is no target");
    run("-h -- n1 n2", 0, "");
    bed.write("slow/n2", "");
    run("-u -- n1 n2", 1, "not active after 0 seconds: n2");
    assert!(bed.path("nodes/n1/fs1").exists() && bed.path("nodes/n1/fs2").exists());
    remove(&bed, "slow/n2");
    run("-u -- n1 n2 n3", 0, "");
    assert!(bed.path("nodes/n2/fs1").exists() && !bed.path("nodes/n2/fs2").exists(), "fs2 was not on n2");
    let before = bed.read("calls");
    run("-u -- n1 n2 n3", 0, "");
    assert_eq!(bed.read("calls"), before, "nothing is left to undo");
    run("-x -- n1", 2, "usage");
}

#[test]
fn gpfs_that_is_in_use_or_in_no_known_state_is_named_and_runs_on() {
    let bed = gpfs();
    let run = |words: &str, status, says: &str| call(&bed, "gpfs/gpfs-unmount", words, status, says);
    bed.write("nodes/n2/state", "unknown\n");
    run("-h -- n1 n2", 1, "n2 is unknown: nothing was done");
    bed.write("nodes/n2/state", "active\n");
    bed.write("changed", "");
    run("-h -- n1 n2", 1, "what mmlsmount -Y says is not understood");
    remove(&bed, "changed");
    assert!(!bed.read("calls").contains("mmumount"));
    bed.write("busy/n2", "");
    run("-h -- n1 n2", 1, "in use: fs1 on n2: GPFS is stopped nowhere");
    assert!(!bed.read("calls").contains("mmshutdown"), "it would end it all the same");
    run("-u -- n1 n2", 0, "");
    assert!(bed.path("nodes/n1/fs1").exists() && bed.path("nodes/n1/fs2").exists());
    assert!(!bed.read("calls").contains("mmstartup"), "it runs");
}

#[test]
fn lustre_is_unmounted_on_clients_and_what_was_mounted_is_mounted_again() {
    let bed = lustre();
    let run = |words: &str, status, says: &str| call(&bed, "lustre/lustre-unmount", words, status, says);
    let clients = bed.read("mounts/n1");
    run("-h -- n1 oss1", 0, "");
    assert_eq!(bed.read("mounts/n1"), "/dev/sda / ext4 rw 0 0\n");
    assert_eq!(bed.read("mounts/oss1"), "/dev/sdb /ost0 lustre ro 0 0\n", "servers unmount their own");
    assert!(bed.read("mounts/n2").contains("/scratch"), "n2 is no target");
    bed.write("broken/n1", "");
    run("-u -- n1 n2 oss1", 1, "not mounted again: /scratch on n1");
    remove(&bed, "broken/n1");
    run("-u -- n1 n2 oss1", 0, "");
    assert_eq!(bed.read("mounts/n1"), clients);
    let before = bed.read("calls");
    run("-u -- n1 n2 oss1", 0, "");
    assert_eq!(bed.read("calls"), before, "nothing is left to undo");
    run("-x -- n1", 2, "usage");
}

#[test]
fn lustre_that_is_in_use_or_on_a_silent_node_is_named() {
    let bed = lustre();
    let run = |words: &str, status, says: &str| call(&bed, "lustre/lustre-unmount", words, status, says);
    run("-h -- n1 n9", 1, "not known whether Lustre is mounted on n9: nothing was done");
    assert!(bed.read("mounts/n1").contains("/scratch"));
    bed.write("busy/n2", "");
    run("-h -- n1 n2", 1, "in use: /scratch on n2");
    run("-u -- n1 n2", 0, "");
    assert!(
        bed.read("mounts/n1").contains("/scratch")
            && bed.read("mounts/n2").matches("/scratch lustre").count() == 1
    );
    bed.write("mounts/n3", "10.0.0.1@tcp:/scratch /a$(reboot) lustre rw 0 0\n");
    run("-h -- n3", 1, "a mount point with signs");
}
