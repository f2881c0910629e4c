//! What `-n` says beforehand against what the run then does, in worlds of which each has one thing broken: a yes
//! of `-n` is a run that does not fail, a no is a run that refuses with the same words and touches nothing.

use crate::snapshot::{configure, holder, ready};
use bed::loopfs::Host;
use bed::{Bed, Need, real};

/// A world: what is broken, how that is mended, how the run ends, and what both say.
type World = (&'static str, &'static str, i32, &'static str);

/// Returns everything below a folder as a host sees it, with what anybody could have changed.
fn tree(host: &Host<'_>, folder: &str) -> String {
    let line = format!("find {folder} -printf '%p %y %m %U %s %T@ %C@ %i\\n' | sort");
    host.shell(&line).any_stdout().run().stdout
}

/// `habackup -n` said yes, without a look at the directory that it would write to, at its room, at the label,
/// and whatever was missing.
#[test]
fn a_dry_run_of_a_backup_says_what_the_run_says() {
    if !ready() || !real::require(&[Need::Program("chattr")]) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "keep = 1\n");
    bed.tools(&["find", "sort", "ln", "rm", "mv", "chown", "chattr", "mkdir", "flock", "sh", "dd"]);
    bed.write("source/a", "1");
    let host = holder(&bed, "ec1");
    const WORLDS: [World; 17] = [
        (
            "mkdir asset/other; ln -s other asset/habackup",
            "rm asset/habackup; rm -r asset/other",
            4,
            "open the backup directory",
        ),
        ("echo >asset/habackup", "rm asset/habackup", 4, "Not a directory"),
        ("mount -o remount,bind,ro asset", "mount -o remount,bind,rw asset", 4, "make the backup directory"),
        ("echo x >asset/.orderly-holder", "rm asset/.orderly-holder", 4, "orderly-holder; remove it"),
        ("echo x >state/ledger.json", "rm state/ledger.json", 3, "ledger.json; look at it"),
        ("rm state/ha.lock; ln -s nowhere state/ha.lock", "rm state/ha.lock", 4, "open the lock"),
        ("mv source away", "mv away source", 3, "nothing that backup.include names is there: "),
        (
            "mount -t tmpfs -o size=200k tmpfs shared && mount --bind shared asset && dd if=/dev/urandom of=source/big bs=1024 count=900 status=none",
            "umount asset; umount shared; rm source/big",
            1,
            "the snapshot is not begun: No space left on device: it needs ",
        ),
        // From here on there is a directory with a snapshot of one file.
        ("habackup -q", "true", 0, ""),
        ("mkdir asset/habackup/2031-01-02T03-04-05Z", "rm -r asset/habackup/2031*; habackup -q", 0, ""),
        ("chown 54321 asset/habackup", "chown 0 asset/habackup", 4, "belongs to user 54321; chown root it"),
        (
            "mount -o remount,bind,ro asset",
            "mount -o remount,bind,rw asset",
            4,
            "lies on a file system that is mounted read-only",
        ),
        (
            "chattr +i asset/habackup",
            "chattr -i asset/habackup",
            4,
            "is immutable or append-only here; chattr -ia it",
        ),
        (
            "mv asset/habackup/latest was; mkdir asset/habackup/latest",
            "rm -r asset/habackup/latest; mv was asset/habackup/latest",
            4,
            "/latest is a directory",
        ),
        (
            "mkdir asset/habackup/.staging-1; chattr +i asset/habackup/.staging-1",
            "chattr -i asset/habackup/.staging-1; rm -r asset/habackup/.staging-1",
            4,
            ".staging-1 is immutable",
        ),
        ("chattr +i asset/habackup/2*", "chattr -i asset/habackup/2*; habackup -q", 1, " is immutable"),
        (
            "echo offline >controller; mkdir asset/exported; echo x >asset/.orderly-holder",
            "echo online >controller; rm -r asset/exported asset/.orderly-holder",
            4,
            "controller is down",
        ),
    ];
    let mut wrong = Vec::new();
    for (broken, mended, status, said) in WORLDS {
        host.shell(broken).run();
        let before = (tree(&host, "asset"), tree(&host, "state"));
        let shown = host.program("habackup").arg("-n").any_stdout().any_stderr().any_status().run();
        let between = (tree(&host, "asset"), tree(&host, "state"));
        let ended = host.program("habackup").any_stdout().any_stderr().any_status().run();
        let is_refused = status < 2 || shown.stderr == ended.stderr && tree(&host, "asset") == before.0;
        let has_said = shown.stderr.contains(said) && ended.stderr.contains(said);
        if before != between || (shown.status, ended.status) != (status, status) || !is_refused || !has_said {
            wrong.push(format!(
                "{broken}: {}\n{}{}\n{}",
                shown.status, shown.stderr, ended.status, ended.stderr
            ));
        }
        host.shell(mended).run();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (lock, said) in [("asset/habackup", "another run works in "), ("state/ha.lock", "another run holds ")]
    {
        for line in ["habackup -n", "habackup"] {
            host.shell(&format!("flock {lock} {line}")).status(4).any_stdout().stderr_contains(said).run();
        }
    }
}
