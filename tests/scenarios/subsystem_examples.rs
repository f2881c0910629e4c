//! The shipped examples of subsystems for Ceph and Kubernetes, as they are, with scripted `ceph` and `kubectl`.

use bed::{Bed, Ended, binaries};

/// Ceph, as far as its flags go: `flags` and `key` are files, `up` says how many of three OSDs are up.
const CEPH: &str = r#"
cd "$ORDERLY_BED"
echo "$*" >>calls
case "$1 $2" in
"config-key ls") if [ -e key ]; then echo '["orderly/flags"]'; else echo '[]'; fi ;;
"config-key get") cat key ;;
"config-key set") printf %s "$4" >key ;;
"config-key rm") rm key ;;
"osd dump") echo "epoch 7"; echo "flags $(cat flags)" ;;
"osd set") [ ! -e broken ] || exit 1; echo "$(cat flags),$3" >flags ;;
"osd unset") tr , '\n' <flags | grep -v "^$3\$" | paste -s -d , - >new; mv new flags ;;
"osd stat") echo "3 osds: $(cat up) up (since 2h), 3 in (since 2d); epoch: e7" ;;
*) exit 9 ;;
esac
"#;

/// Kubernetes of three nodes: `cordoned/NODE`, `ours/NODE`.
const KUBECTL: &str = r#"
cd "$ORDERLY_BED"
[ ! -e away ] || { echo "connection refused" >&2; exit 1; }
case $1 in
get) for node in n1 n2 n3; do
    cordoned='<none>' ours='<none>'
    [ ! -e cordoned/$node ] || cordoned=true
    [ ! -e ours/$node ] || ours=true
    echo "$node $cordoned $ours"
done ;;
annotate) case "$*" in *-) rm "ours/$3" ;; *) : >"ours/$4" ;; esac ;;
cordon) : >"cordoned/$2" ;;
uncordon) rm "cordoned/$2" ;;
drain) echo "$*" >>calls ;;
*) exit 9 ;;
esac
"#;

fn bed(tool: &str, text: &str) -> Bed {
    let bed = Bed::new();
    bed.tools(&["cat", "rm", "mv", "tr", "grep", "paste", "sed", "awk", "sleep"]);
    bed.script(format!("tools/{tool}"), text);
    bed
}

fn call(bed: &Bed, example: &str, words: &str) -> Ended {
    let program = binaries::workspace().join("examples").join(example);
    let words = words.replace(" --", " -b 10.0.0.1 -f log");
    bed.external(program)
        .args(words.split(' '))
        .env("CEPH_FLAGS_WAIT", "0")
        .any_status()
        .any_stdout()
        .any_stderr()
        .run()
}

#[test]
fn flags_of_ceph_that_the_shutdown_set_are_unset_once_all_osds_are_up() {
    let bed = bed("ceph", CEPH);
    bed.write("flags", "sortbitwise,noout\n");
    bed.write("up", "3");
    let stop = || call(&bed, "ceph/ceph-flags", "-h -- 1 2 3");
    bed.write("broken", "");
    assert_ne!(stop().status, 0, "a flag that cannot be set stops the shutdown");
    std::fs::remove_file(bed.path("broken")).unwrap();
    for _ in 0..2 {
        let ended = stop();
        assert_eq!(ended.status, 0, "{}", ended.stderr);
    }
    assert_eq!(bed.read("flags"), "sortbitwise,noout,norebalance,nobackfill,norecover\n");
    bed.write("up", "2");
    let ended = call(&bed, "ceph/ceph-flags", "-u -- 1 2");
    assert!(ended.status == 1 && ended.stderr.contains("2 of 3 OSDs are up"), "{}", ended.stderr);
    bed.write("up", "3");
    let ended = call(&bed, "ceph/ceph-flags", "-u -- 3");
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert_eq!(bed.read("flags"), "sortbitwise,noout\n", "what somebody else set stays");
    assert_eq!(call(&bed, "ceph/ceph-flags", "-u -- 3").status, 0, "nothing is left to unset");
    assert_eq!(call(&bed, "ceph/ceph-flags", "-x -- 3").status, 2);
}

#[test]
fn nodes_of_kubernetes_that_the_shutdown_cordoned_are_uncordoned_and_no_others() {
    let bed = bed("kubectl", KUBECTL);
    bed.write("cordoned/n2", "");
    bed.write("ours/.keep", "");
    let run = |words: &str, status| {
        let ended = call(&bed, "kubernetes/kube-drain", words);
        assert_eq!(ended.status, status, "{words}: {}", ended.stderr);
    };
    bed.write("away", "");
    run("-h -- n1", 1);
    std::fs::remove_file(bed.path("away")).unwrap();
    run("-h -- n1 n2 login1", 0);
    let calls = bed.read("calls");
    assert!(calls.starts_with("drain ") && calls.ends_with(" n1 n2\n"), "{calls}");
    assert!(bed.path("cordoned/n1").exists() && !bed.path("cordoned/n3").exists());
    run("-u -- n1 n2 login1", 0);
    assert!(
        !bed.path("cordoned/n1").exists() && bed.path("cordoned/n2").exists(),
        "n2 was cordoned by others"
    );
    assert!(!bed.path("ours/n1").exists());
    run("-h -- login1", 0);
    run("-x -- n1", 2);
}
