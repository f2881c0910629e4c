//! Who keeps the asset busy and is not easily seen, each for real, with its remedy.

use crate::pair::{Asset, Pair, possible};
use bed::loopfs::{Disk, FILESYSTEM_NEEDS};
use bed::{Bed, Need, real};

/// Defines `keep COMMAND…`, which leaves a mount namespace in which the command ran and nobody is.
/// Linux 6.18 numbers namespaces by processor and binds only those with a higher number than one's
/// own, so that a newer one may be refused; on the processor that made one's own it never is.
const KEEP: &str = "/bin/mkdir keep && mount --bind keep keep && mount --make-private keep && touch keep/ns
keep() {
  cpu=$(nproc)
  while [ $cpu -gt 0 ]; do
    cpu=$((cpu - 1))
    taskset -c $cpu unshare --mount=keep/ns --propagation private \"$@\" 2>complaint && return 0
  done
  cat complaint >&2
  return 1
}
";

/// Failure scenario 9, the hard form: no process is in the namespace any more, and a bind mount of its
/// file keeps it (as snapd and some container tools do). No table of mounts shows what is in it.
#[test]
fn a_namespace_without_processes_that_holds_the_asset_is_found_and_named() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    bed.tools(&["unshare", "true", "nproc", "taskset"]);
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    let before = pair.world(1);
    // Kept where the mount of its file is not propagated into itself, which the kernel forbids.
    pair.shell(1, &format!("{KEEP}keep true")).run();
    pair.forget();
    let ended = pair.release(1).status(4).any_stderr().run();
    let kept = bed.path("keep/ns").display().to_string();
    let said = format!("in a mount namespace without processes; umount {kept}");
    assert!(ended.stderr.contains(&said), "{}", ended.stderr);
    pair.shell(1, "umount keep/ns && umount keep").run();
    assert_eq!(pair.world(1), before);
    pair.released(1);
}

/// Starts a process that is a holder by its second thread alone, and waits until it is so far.
fn start_threads(pair: &Pair<'_>, through: &str, what: &str) {
    // The test executable lies in `deps`, beside `examples`; cargo builds both for a test run.
    let own = std::env::current_exe().unwrap();
    let program = own.parent().unwrap().parent().unwrap().join("examples/threads");
    assert!(program.exists(), "{} is built by cargo test", program.display());
    let is_so_far = match what {
        "headless" => "grep -q '^State:.Z' /proc/$pid/status",
        _ => "[ -e ready ]",
    };
    let line = format!(
        "{through} {} {what} at/held.open </dev/null >complaint 2>&1 & pid=$!; \
         until [ -e ready ] && {is_so_far}; do [ -e /proc/$pid ] || {{ cat complaint >&2; exit 1; }}; done",
        program.display()
    );
    pair.shell(1, &line).run();
}

/// Only the first thread of a process was looked at, so an xfs that this one still had mounted was
/// called released.
#[test]
fn a_thread_in_a_mount_namespace_of_its_own_that_holds_the_asset_is_found() {
    if !possible() || !real::require(&FILESYSTEM_NEEDS) {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::xfs(&bed);
    let pair = Pair::new(&bed, &Asset::Disk(&disk));
    let before = pair.world(1);
    start_threads(&pair, "", "apart");
    pair.release(1).status(4).stderr_contains("in the mount namespace of process").run();
    assert_eq!(pair.world(1), before);
}

/// A process whose first thread has ended passed for one that is gone, whatever the others had open.
#[test]
fn a_process_whose_first_thread_has_ended_is_a_holder_like_any_other() {
    if !possible() || !real::require(&FILESYSTEM_NEEDS) {
        return;
    }
    let bed = Bed::new();
    bed.tool("unshare");
    let disk = Disk::xfs(&bed);
    let pair = Pair::new(&bed, &Asset::Disk(&disk));
    let before = pair.world(1);
    start_threads(&pair, "unshare -m --propagation private", "headless");
    pair.release(1).status(4).stderr_contains("in the mount namespace of process").run();
    assert_eq!(pair.world(1), before);
    pair.release(1).arg("--holders").stdout_contains("held.open").run();
    let ended = pair.release(1).args(["--holders", "--kill"]).any_stdout().run().stdout;
    assert!(ended.contains("after the signals:\nnobody is seen"), "{ended}");
    pair.released(1);
}

/// Only the release itself found them, after it had stopped the services; who asked beforehand was told
/// that nobody used the asset.
#[test]
fn mounts_that_keep_the_asset_are_told_to_who_asks_beforehand() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    bed.tool("unshare");
    let pair = Pair::new(&bed, &Asset::Bind);
    let hidden = "in the mount namespace of process";
    pair.shell(
        1,
        "unshare -m --propagation private sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >hidden.pid; \
         while [ \"$(cat /proc/$(cat hidden.pid)/comm)\" != sleep ]; do :; done",
    )
    .run();
    // By systemd services come to such a namespace: it hears of what is unmounted here, and holds nothing.
    pair.shell(
        1,
        "mount --make-rshared / && unshare -m --propagation slave sleep 1000 </dev/null >/dev/null 2>&1 & \
         echo $! >hears.pid; while [ \"$(cat /proc/$(cat hears.pid)/comm)\" != sleep ]; do :; done",
    )
    .run();
    pair.shell(1, "/bin/mkdir second at/nested && mount --bind at second && mount -t tmpfs t at/nested")
        .run();
    let dry = pair.release(1).arg("-n").status(4).any_stderr().run().stderr;
    let status = pair.release(1).arg("--status").any_stdout().run().stdout;
    let listed = pair.release(1).arg("--holders").any_stdout().run().stdout;
    let hears = format!("process {}", bed.read("hears.pid").trim());
    for said in [&dry, &status, &listed] {
        assert!(said.contains(hidden) && !said.contains(&hears), "{said}");
        for place in ["second", "at/nested"] {
            assert!(said.contains(&format!("mounted at {}; umount it", bed.path(place).display())), "{said}");
        }
    }
    pair.shell(1, "umount at/nested && umount second && read -r pid <hidden.pid && kill $pid").run();
    pair.released(1);
}

/// Services were stopped for nothing although none could have made the mount go.
#[test]
fn a_mount_that_no_service_can_end_refuses_the_release() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    pair.shell(1, "svc proxy stop && svc ec stop && /bin/mkdir second && mount --bind at second").run();
    let before = pair.world(1);
    for dry in [&["-n"][..], &[]] {
        let said = pair.release(1).args(dry).status(4).any_stderr().run().stderr;
        assert!(said.contains("umount it"), "{said}");
    }
    assert_eq!(pair.world(1), before);
}

/// A process that lives in a jail shows only the mounts below it. Where it was the first of its mount
/// namespace to be looked at, the asset above the jail passed for released.
#[test]
fn a_mount_above_the_jail_of_the_only_process_of_a_namespace_is_found() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    bed.tools(&["unshare", "chroot"]);
    let pair = Pair::new(&bed, &Asset::Bind);
    let before = pair.world(1);
    pair.shell(
        1,
        "/bin/mkdir jail && unshare -m --propagation private \
         /bin/sh -c 'mount --bind / jail && exec chroot jail sleep 1000' </dev/null >complaint 2>&1 & pid=$!; \
         while [ \"$(cat /proc/$pid/comm)\" != sleep ]; do [ -e /proc/$pid ] || { cat complaint >&2; exit 1; }; done",
    )
    .run();
    pair.release(1).status(4).stderr_contains("in the mount namespace of process").run();
    assert_eq!(pair.world(1), before);
}

/// A namespace of that sort that has nothing of the asset is in nobody's way.
#[test]
fn a_namespace_without_processes_that_does_not_hold_the_asset_is_in_nobodys_way() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    bed.tools(&["unshare", "nproc", "taskset"]);
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    let root = bed.root().display().to_string();
    pair.shell(1, &format!("{KEEP}keep /bin/sh -c 'umount {root}/loop && umount {root}/at'")).run();
    pair.forget();
    pair.released(1);
    pair.shell(1, "umount keep/ns && umount keep").run();
}

/// Failure scenario 10: a file of the asset on a loop device, with a file system on it that is mounted.
#[test]
fn a_loop_device_on_the_asset_and_what_is_mounted_of_it_are_named() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    bed.tools(&["losetup", "mkfs.ext4"]);
    let disk = Disk::ext4(&bed, 64);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    let make = "/bin/truncate -s 8M at/image && losetup -f --show at/image >device && read -r device <device && \
                mkfs.ext4 -q -F $device && /bin/mkdir nested && mount $device nested";
    pair.shell(1, make).run();
    pair.forget();
    let listed = pair.release(1).arg("--holders").any_stdout().run().stdout;
    let device = bed.read("device").trim().to_owned();
    let ended = pair.release(1).status(4).any_stderr().run();
    let undo = "umount nested; read -r device <device; losetup -d $device";
    pair.shell(1, undo).any_stderr().run();
    for said in [&listed, &ended.stderr] {
        assert!(said.contains(&format!("losetup -d {device}")), "{said}");
        assert!(
            said.contains(&format!("something is mounted at {}", bed.path("nested").display())),
            "{said}"
        );
    }
    pair.released(1);
}

/// A virtual machine or a copy that has the device itself open is on no mount.
#[test]
fn a_process_that_has_the_device_itself_open_is_named() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    let device = disk.device().display().to_string();
    pair.shell(1, &format!("sleep 1000 9<{device} </dev/null >/dev/null 2>&1 & echo $! >holder.pid")).run();
    let listed = pair.release(1).arg("--holders").any_stdout().run().stdout;
    assert!(listed.contains("sleep") && listed.contains(&device), "{listed}");
    // It is known by its device alone, so it is left to a person.
    pair.release(1).args(["--holders", "--kill"]).status(1).any_stdout().any_stderr().run();
    pair.shell(1, "read -r pid <holder.pid; [ -e /proc/$pid/fd/9 ] && kill $pid").run();
}

/// Who lets go at the first signal is not struck by the second, and who only has a file mapped is never
/// struck at all.
#[test]
fn each_holder_is_looked_at_again_before_each_signal() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    pair.shell(
        1,
        "/bin/sh -c 'trap \"exec 9>&-\" TERM; : >ready; while :; do /bin/sleep 0.1 9>&-; done' \
         9>at/held </dev/null >/dev/null 2>&1 & echo $! >lets-go.pid; until [ -e ready ]; do :; done",
    )
    .run();
    pair.shell(
        1,
        "set -- /lib/*/libm.so.6 && /bin/cp \"$1\" at/lib.so && (LD_PRELOAD=$PWD/at/lib.so exec /bin/sleep 1000) \
         </dev/null >/dev/null 2>&1 & echo $! >mapped.pid; until grep -q at/lib.so /proc/$!/maps; do :; done",
    )
    .run();
    let ended = pair.release(1).args(["--holders", "--kill"]).status(1).any_stdout().any_stderr().run();
    assert!(ended.stderr.contains("(mapped): left alone"), "{}", ended.stderr);
    let (_, after) = ended.stdout.split_once("after the signals:").unwrap();
    assert!(after.contains("lib.so (mapped)") && !after.contains("held"), "{after}");
    for pid in ["lets-go.pid", "mapped.pid"] {
        // A dead one that nobody has reaped could be signalled, too.
        pair.shell(
            1,
            &format!("read -r pid <{pid} && grep -q '^State:.[SRD]' /proc/$pid/status && kill -9 $pid"),
        )
        .run();
    }
    pair.released(1);
}

/// Swap in a file of the asset; the file is swapped on for real, in a machine that allows it.
#[test]
fn swap_on_the_asset_is_named() {
    if !possible() || !real::require(&[Need::Program("mkswap"), Need::Program("swapon")]) {
        return;
    }
    let bed = Bed::new();
    bed.tools(&["mkswap", "swapon", "swapoff"]);
    let disk = Disk::ext4(&bed, 64);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    let swap = "/bin/dd if=/dev/zero of=at/swap bs=1M count=8 status=none && /bin/chmod 600 at/swap && \
                mkswap at/swap >quiet && swapon at/swap";
    let on = pair.shell(1, swap).any_status().any_stderr().run();
    if on.status != 0 {
        real::require(&[Need::Program("swapon that is allowed to")]);
        return;
    }
    // Whatever it says, the swap goes again.
    let listed = pair.release(1).arg("--holders").any_status().any_stderr().any_stdout().run().stdout;
    pair.shell(1, "swapoff at/swap").run();
    assert!(listed.contains("swapoff"), "{listed}");
}

/// What a dead file server is asked never returns: names are compared, and nothing below them is asked.
#[test]
fn nothing_on_the_asset_is_looked_at_while_its_holders_are_looked_for() {
    if !possible() || !real::require(&[Need::Program("strace")]) {
        return;
    }
    let bed = Bed::new();
    bed.tool("strace");
    let pair = Pair::new(&bed, &Asset::Command);
    pair.shell(1, "sleep 1000 9>at/held.open </dev/null >/dev/null 2>&1 &").run();
    let line = "strace -f -o trace -e trace=%file,%desc ha-release --holders";
    let listed = pair.shell(1, line).any_stdout().any_stderr().run().stdout;
    assert!(listed.contains("held.open"), "{listed}");
    let at = format!("\"{}/at", bed.root().display());
    // The path is the first thing a call is given, or the second behind a folder; later it is an answer.
    let asks = |line: &&str| {
        let Some((call, given)) = line.split_once('(') else { return false };
        let given = given.strip_prefix("AT_FDCWD, ").unwrap_or(given);
        given.starts_with(&at) && !call.contains("exited")
    };
    let asked: Vec<String> = bed.read("trace").lines().filter(asks).map(str::to_owned).collect();
    assert!(asked.is_empty(), "{asked:?}");
}

/// Who is started again is not won against: it is named, and nothing is released. Looked for at once after
/// the signals, it had not yet come back, and nobody was said to be left.
#[test]
fn holders_that_come_back_are_named_and_the_release_fails_clearly() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    let before = pair.world(1);
    let hold = "/bin/sh -c 'exec 9>at/held.open; : >came.$i; exec sleep 1000'";
    let again = format!("export i; while [ ! -e enough ]; do {hold}; sleep 0.2; done");
    let all = "until [ -e came.1 ] && [ -e came.2 ] && [ -e came.3 ]; do sleep 0.1; done";
    pair.shell(1, &format!("for i in 1 2 3; do {{ {again}; }} </dev/null >/dev/null 2>&1 & done; {all}"))
        .any_stderr()
        .run();
    let left = pair.release(1).args(["--holders", "--kill"]).status(1).any_stdout().any_stderr().run();
    let (_, after) = left.stdout.split_once("after the signals:").unwrap();
    assert!(after.contains("sleep") && after.contains("held.open"), "{}", left.stdout);
    pair.release(1).status(1).any_stdout().stderr_contains("in use: process").run();
    assert_eq!(pair.world(1), before);
    bed.write("enough", "");
    pair.release(1).args(["--holders", "--kill"]).any_stdout().goes_well().run();
    pair.released(1);
}
