//! What an NFS server does to a hand-over: exports that stay in the kernel, locks, ids of file systems.
//!
//! The kernel's folder `/proc/fs/nfsd` is scripted (a folder of the private host): most kernels that
//! build this have no NFS server. Mounts are real.

use crate::pair::{Asset, Pair, possible};
use bed::Bed;
use bed::loopfs::Disk;

/// Gives the first host a folder of the kernel's NFS server, which exports the share.
fn with_server(pair: &Pair<'_>) {
    let line = "/bin/mount -t tmpfs tmpfs /proc/fs && /bin/mkdir /proc/fs/nfsd && : >/proc/fs/nfsd/unlock_filesystem && \
                printf '# Version 1.1\\n%s\\t*(ro)\\n' \"$ORDERLY_BED/at/share\" >/proc/fs/nfsd/exports";
    pair.shell(1, line).run();
}

/// Makes the flush with this number the one that the kernel heeds; none with 0.
fn forgets_at(pair: &Pair<'_>, flush: usize) {
    let exportfs = pair.bed.read("fakes/exportfs.told");
    let heed = format!(
        "[ \"$1\" != -f ] || {{ echo flush >>\"$ORDERLY_BED/flushes\"; \
         [ \"$(grep -c . \"$ORDERLY_BED/flushes\")\" != {flush} ] || : >/proc/fs/nfsd/exports; }}"
    );
    pair.bed.script("fakes/exportfs", &exportfs.replace("#!/bin/sh\n", &format!("{heed}\n")));
}

#[test]
fn an_export_that_stays_in_the_kernel_is_flushed_until_it_is_gone() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    bed.write("fakes/exportfs.told", bed.read("fakes/exportfs"));
    with_server(&pair);
    let before = pair.world(1);
    // It never goes: the release ends within the limit of the share, and everything is as before.
    forgets_at(&pair, 0);
    let run = pair.release(1).args(["--timeout", "2s"]).status(1).any_stdout();
    run.stderr_contains("the kernel's NFS server still exports").run();
    assert_eq!(pair.world(1), before);
    assert!(!pair.acts().contains(&"ec1 umount /at".to_owned()), "{:?}", pair.acts());
    pair.forget();
    // It goes at the third flush; locks are dropped before, of this path alone.
    std::fs::remove_file(bed.path("flushes")).unwrap();
    forgets_at(&pair, 3);
    pair.released(1);
    let acts = pair.acts();
    assert_eq!(acts.iter().filter(|act| *act == "ec1 exportfs -f").count(), 3, "{acts:?}");
    assert_eq!(acts.last().map(String::as_str), Some("ec1 umount /at"));
    let unlocked = pair.shell(1, "cat /proc/fs/nfsd/unlock_filesystem").any_stdout().run().stdout;
    assert_eq!(unlocked, format!("{}/at/share\n", bed.root().display()));
    assert!(pair.world(1).contains("/home  other(ro)"), "other exports stay");
}

/// Lets a client of the server have a file of the asset open, which keeps it busy: umount(8) says so.
fn with_client(pair: &Pair<'_>, disk: &Disk, lease: &str) {
    let minor = disk.device().display().to_string().trim_start_matches("/dev/loop").parse::<u32>().unwrap();
    let client = "/proc/fs/nfsd/clients/3";
    let line = format!(
        "echo {lease} >/proc/fs/nfsd/nfsv4leasetime && /bin/mkdir -p {client} && \
         echo 'address: \"192.0.2.9:702\"' >{client}/info && \
         echo '- 0x1: {{ type: open, access: r-, deny: --, superblock: \"07:{minor:02x}:12\", filename: \"/held\" }}' >{client}/states"
    );
    pair.shell(1, &line).run();
    let busy = format!(
        "case \"$*\" in */at) [ ! -e {client}/states ] || {{ echo \"umount: $*: target is busy.\" >&2; exit 32; }};; esac"
    );
    let umount = pair.bed.read("fakes/umount");
    pair.bed.script("fakes/umount", &umount.replace("#!/bin/sh\n", &format!("{busy}\n")));
}

/// A client that is gone without a word loses its open files when its lease ends.
#[test]
fn a_client_that_is_gone_is_waited_for_until_its_lease_ends() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    bed.write("fakes/exportfs.told", bed.read("fakes/exportfs"));
    with_server(&pair);
    with_client(&pair, &disk, "90");
    // The flush makes the server forget the export, and the lease ends a while after it.
    forgets_at(&pair, 1);
    let ends =
        "[ \"$1\" != -f ] || { sleep 1; rm -rf /proc/fs/nfsd/clients/3; } </dev/null >/dev/null 2>&1 &";
    let exportfs = bed.read("fakes/exportfs");
    bed.script("fakes/exportfs", &exportfs.replace("#!/bin/sh\n", &format!("{ends}\n")));
    let released = pair.released(1);
    assert!(!released.stderr.contains("busy"), "{}", released.stderr);
    assert!(pair.holders().is_empty());
}

#[test]
fn a_client_that_stays_past_its_lease_is_named_and_nothing_is_released() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    bed.write("fakes/exportfs.told", bed.read("fakes/exportfs"));
    with_server(&pair);
    with_client(&pair, &disk, "0");
    forgets_at(&pair, 1);
    let before = pair.world(1);
    let kept =
        pair.release(1).status(1).any_stdout().stderr_contains("NFS client 192.0.2.9:702 has /held open");
    kept.stderr_contains("echo expire >/proc/fs/nfsd/clients/3/ctl").run();
    assert_eq!(pair.world(1), before);
}

/// A tmpfs, an overlay or a bind mount of them has no id that the other host gives alike.
#[test]
fn a_share_without_an_id_that_both_hosts_give_alike_is_refused() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Command);
    let text = bed.read("etc/ha.toml");
    bed.config("ha.toml", text.replace("fsid = \"7\"\n", ""));
    pair.released(1);
    pair.shell(2, "/bin/mount -t tmpfs tmpfs source && /bin/mkdir source/share source/opt").run();
    pair.forget();
    let taken = pair.takeover(2).arg("--record").arg(pair.record(1)).status(1);
    taken
        .any_stdout()
        .stderr_contains("on tmpfs, which has no id of its own")
        .stderr_contains("give the share an fsid")
        .run();
    let acts = pair.acts();
    assert!(!acts.iter().any(|act| act.contains("exportfs -o") || act.contains("address add")), "{acts:?}");
    assert!(pair.holders().is_empty(), "let go again");
}

/// It was found out when the asset was taken already, also where the configuration tells it.
#[test]
fn a_share_without_an_id_is_refused_before_the_take_where_the_configuration_tells_its_file_system() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    let text = bed.read("etc/ha.toml");
    bed.config("ha.toml", text.replace("fsid = \"7\"\n", ""));
    pair.released(1);
    // Nobody else's reasons are hidden, and it is one of them.
    pair.shell(2, "/bin/mount -t tmpfs tmpfs source && /bin/mkdir source/share source/opt").run();
    pair.forget();
    let shown = pair.takeover(2).args(["-n", "--peer-down", "ec1"]).status(4).any_stdout().any_stderr().run();
    assert!(shown.stderr.contains("/share is on tmpfs, which has no id of its own"), "{}", shown.stderr);

    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Command);
    let text = bed.read("etc/ha.toml").replace("fsid = \"7\"\n", "");
    let at = format!("at = \"{}/at\"\n", bed.root().display());
    assert!(text.contains(&at));
    bed.config("ha.toml", text.replacen(&at, &format!("{at}fstype = \"tmpfs\"\n"), 1));
    pair.released(1);
    pair.forget();
    let refused = pair.takeover(2).arg("--record").arg(pair.record(1)).status(4);
    refused.any_stdout().stderr_contains("/share is on tmpfs, which has no id of its own").run();
    assert!(pair.acts().is_empty(), "{:?}", pair.acts());
}

#[test]
fn clients_find_mount_export_and_address_in_that_order() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    pair.released(1);
    pair.forget();
    let record = pair.record(1);
    pair.takeover(2).arg("--record").arg(record).any_stdout().goes_well().run();
    let acts = pair.acts();
    let at = |part: &str| {
        acts.iter().position(|act| act.contains(part)).unwrap_or_else(|| panic!("{part}: {acts:?}"))
    };
    assert!(at("mount --bind /source /at") < at("exportfs -o ro,fsid=7"), "{acts:?}");
    assert!(at("exportfs -o ro,fsid=7") < at("ip address add 192.0.2.10"), "{acts:?}");
}

/// As exportfs of nfs-utils 2.6.2 does it: a client of IPv6 is taken in brackets only, its network within them,
/// and listed without; what is unexported must be written as it is listed.
const IPV6_EXPORTFS: &str = r#"table="$ORDERLY_BED/etab.$(uname -n)"; touch "$table"
[ "$1" != -s ] || exec cat "$table"
[ "$1" != -f ] || exit 0
for last; do :; done
case "$last" in
  "["*"]:"*) client=${last#"["}; client=${client%%"]:"*}; path=${last#*"]:"};;
  *) client=${last%%:*}; path=${last#*:};;
esac
case "$path" in /*) ;; *) echo "exportfs: Invalid export syntax: $client" >&2; exit 1;; esac
line="$path  $client("
grep -q -F "$line" "$table" || [ "$1" != -u ] || { echo "exportfs: Could not find '$client:$path' to unexport." >&2; exit 1; }
grep -v -F "$line" "$table" >"$table.new"
[ "$1" != -o ] || echo "$line$2)" >>"$table.new"
mv "$table.new" "$table""#;

/// They could be neither released (`exportfs -u 2001:db8::/32:/srv` is no client) nor taken.
#[test]
fn clients_of_ipv6_are_released_and_taken_however_they_are_written() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    bed.script("fakes/exportfs", IPV6_EXPORTFS);
    let share = bed.path("at/share").display().to_string();
    let text = bed.read("etc/ha.toml");
    let clients = r#"clients = ["[2001:db8::]/32", "2001:0DB8:0::0001", "192.0.2.0/255.255.255.0"]"#;
    bed.config("ha.toml", text.replace("clients = [\"*\"]", clients));
    // Exported by hand, in other words.
    bed.write(
        "etab.ec1",
        format!(
            "{share}  2001:DB8:0::/32(ro,fsid=7)\n{share}  2001:db8::1(rw,fsid=7)\n{share}  192.0.2.0/24(ro,fsid=7)\n"
        ),
    );
    let before = bed.read("etab.ec1");
    // A completing run exports anew what differs, by the name that it has there.
    pair.takeover(1).any_stdout().goes_well().run();
    let now = bed.read("etab.ec1");
    assert!(
        now.lines().count() == 3 && now.contains("2001:db8::1(ro,") && now.contains("2001:DB8:0::/32(ro,"),
        "{before}{now}"
    );
    pair.released(1);
    assert_eq!(bed.read("etab.ec1"), "");
    let record = pair.record(1);
    // Taken back once, and then taken.
    bed.script(
        "fakes/svc",
        &bed.read("fakes/svc").replace("start) :", "start) [ ! -e \"$ORDERLY_BED/broken\" ] || return 1; :"),
    );
    bed.write("broken", "");
    let failed = pair.takeover(2).arg("--record").arg(&record).status(1).any_stdout().any_stderr().run();
    assert!(failed.stderr.contains("taken back"), "{}", failed.stderr);
    assert_eq!(bed.read("etab.ec2"), "");
    std::fs::remove_file(bed.path("broken")).unwrap();
    pair.taken_back(2);
    let taken = bed.read("etab.ec2");
    for client in ["2001:db8::/32", "2001:db8::1", "192.0.2.0/24"] {
        assert!(taken.contains(&format!("{share}  {client}(ro,fsid=7)")), "{taken}");
    }
}
