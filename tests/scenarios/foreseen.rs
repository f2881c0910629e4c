//! What `-n` says beforehand against what the run then does, in worlds of which each has one thing broken: a yes
//! of `-n` is a run that does not fail, a no is a run that refuses with the same words and touches nothing.

use crate::pair::{Asset, Pair, possible};
use crate::snapshot::{configure, holder, ready};
use bed::loopfs::Host;
use bed::{Bed, Need, Program, real};

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
            host.shell(&format!("flock {lock} {line}")).status(4).stderr_contains(said).run();
        }
    }
}

/// A line of ha.toml that is wrong (`from` is replaced by `to`), or a state of the host that is.
struct Broken {
    from: &'static str,
    to: &'static str,
    line: &'static str,
    mended: &'static str,
    said: &'static str,
}

const fn setting(from: &'static str, to: &'static str, said: &'static str) -> Broken {
    Broken { from, to, line: "true", mended: "true", said }
}

const fn host(line: &'static str, mended: &'static str, said: &'static str) -> Broken {
    Broken { from: "", to: "", line, mended, said }
}

/// Returns what is wrong with what `-n` and the run say of each world, in all of which nothing may be done.
fn disagreements<'a>(
    pair: &Pair<'a>,
    host: usize,
    worlds: &[Broken],
    run: &dyn Fn() -> Program<'a>,
) -> Vec<String> {
    let text = pair.bed.read("etc/ha.toml");
    let root = pair.bed.root().display().to_string();
    let mut wrong = Vec::new();
    for Broken { from, to, line, mended, said } in worlds {
        assert!(text.contains(from), "{from}");
        pair.bed.config("ha.toml", text.replacen(from, &to.replace("ROOT", &root), 1));
        let before = pair.world(host);
        pair.shell(host, line).any_stdout().any_stderr().any_status().run();
        pair.forget();
        let shown = run().arg("-n").any_stdout().any_stderr().any_status().run();
        let ended = run().any_stdout().any_stderr().any_status().run();
        let acts: Vec<String> = pair.acts().into_iter().filter(|act| !act.contains("habackup")).collect();
        pair.shell(host, mended).any_stdout().any_stderr().any_status().run();
        let is_untouched = pair.world(host) == before && acts.is_empty();
        let has_said = shown.stderr.contains(said) && ended.stderr.contains(said);
        if (shown.status, ended.status) != (4, 4) || !is_untouched || !has_said {
            let acts = acts.join("; ");
            wrong.push(format!(
                "{line} {to}: {}\n{}{}\n{}{acts}",
                shown.status, shown.stderr, ended.status, ended.stderr
            ));
        }
    }
    pair.bed.config("ha.toml", text);
    wrong
}

const STATE: [Broken; 4] = [
    host(
        "mkdir $ORDERLY_STATE_DIR/proved.json",
        "rmdir $ORDERLY_STATE_DIR/proved.json",
        "proved.json is a directory",
    ),
    host(
        "mkdir $ORDERLY_STATE_DIR/mark-before-take $ORDERLY_STATE_DIR/used-records",
        "rmdir $ORDERLY_STATE_DIR/mark-before-take $ORDERLY_STATE_DIR/used-records",
        "mark-before-take is a directory",
    ),
    host(
        "rm -f $ORDERLY_STATE_DIR/ha.lock; ln -s nowhere $ORDERLY_STATE_DIR/ha.lock",
        "rm $ORDERLY_STATE_DIR/ha.lock",
        "open the lock",
    ),
    host(
        "/bin/mount --bind source source && /bin/mount -o remount,bind,ro source",
        "/bin/umount source",
        "note who holds the asset: make a file in ",
    ),
];

/// `-n` of a release showed the step backup and not what `habackup` would refuse, nor that a program is not there: the
/// run stopped services and then failed, or was refused at night.
#[test]
fn a_dry_run_of_a_release_says_what_the_run_says() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    bed.tools(&["ln", "mkdir", "rmdir"]);
    let pair = Pair::new(&bed, &Asset::Whole);
    let no_backup = "no whole snapshot was made in this holding, so none is younger than max_age (--no-backup goes on without)";
    const WORLDS: [Broken; 9] = [
        host("echo x >at/.orderly-holder", "rm at/.orderly-holder", "orderly-holder; remove it"),
        host(
            "mkdir at/other && ln -s other at/habackup",
            "rm at/habackup; rmdir at/other",
            "open the backup directory",
        ),
        host("echo x >at/habackup", "rm at/habackup", "backup: "),
        setting("/outside\"]", "/nowhere\"]", "nothing that backup.include names is there"),
        setting(
            "stop = [\"svc\", \"proxy\", \"stop\"]",
            "stop = [\"gone\", \"x\"]",
            "stop proxy: there is no program gone here",
        ),
        setting(
            "status = [\"svc\", \"ec\", \"status\"]",
            "status = [\"gone\"]",
            "service ec: nobody can say whether it runs",
        ),
        setting(
            "[\"svc\", \"logout\", \"stop\"]",
            "[\"ROOT/gone\"]",
            "after release 1: there is no program ",
        ),
        setting(
            "[\"svc\", \"cable\", \"stop\"]",
            "[\"ROOT/at/cable\"]",
            "/at/cable lies on the asset, which is not here then",
        ),
        host("mv fakes/exportfs away", "mv away fakes/exportfs", "exportfs"),
    ];
    let mut wrong = disagreements(&pair, 1, &WORLDS, &|| pair.release(1));
    wrong.extend(disagreements(&pair, 1, &STATE, &|| pair.release(1)));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    pair.shell(1, "mkdir at/habackup && /bin/chown 54321 at/habackup").run();
    pair.release(1).arg("-n").status(4).stderr_contains(no_backup).run();
    pair.release(1).args(["-n", "--no-backup"]).any_stdout().goes_well().run();
    pair.shell(1, "rmdir at/habackup").run();

    // Where it would succeed that is said, and where a young snapshot makes up for it.
    pair.release(1).arg("-n").any_stdout().stderr_contains("backup: would succeed").run();
    pair.program(1, "habackup").any_stdout().goes_well().run();
    pair.shell(1, "mv at/habackup/latest was && mkdir at/habackup/latest").run();
    let shown = pair.release(1).args(["-n", "--json"]).any_stdout().any_stderr().run();
    assert!(shown.stderr.contains("backup: would fail (habackup: exit status 4: "), "{}", shown.stderr);
    assert!(shown.stderr.contains("; the release would go on, because the snapshot 2"), "{}", shown.stderr);
    let step = shown.records().into_iter().find(|record| record["step"] == "backup").unwrap();
    assert_eq!(step["outlook"], "passed_over", "{step}");
    assert!(
        step["reason"].as_str().unwrap().contains("what changed since would not be handed over"),
        "{step}"
    );
    pair.release(1).any_stdout().stderr_contains("what changed since is not handed over").run();
}

/// The same of a takeover, before it takes anything and where it completes what is here.
#[test]
fn a_dry_run_of_a_takeover_says_what_the_run_says() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    bed.tools(&["ln", "mkdir", "rmdir"]);
    let pair = Pair::new(&bed, &Asset::Whole);
    const HERE: [Broken; 2] = [
        host(
            "/bin/umount loop && mv at/opt at/away",
            "mv at/away at/opt && /bin/mount --bind at/opt loop",
            "/at/opt cannot be mounted at ",
        ),
        host(
            "exportfs -u ec9:$ORDERLY_BED/at/share && mv at/share at/away",
            "mv at/away at/share && exportfs -o rw,fsid=9,sync ec9:$ORDERLY_BED/at/share",
            "/at/share: it is not there; make it",
        ),
    ];
    let mut wrong = disagreements(&pair, 1, &HERE, &|| pair.takeover(1));
    pair.released(1);
    let record = pair.record(1);
    const WORLDS: [Broken; 7] = [
        setting(
            "[\"svc\", \"login\", \"start\"]",
            "[\"gone\"]",
            "before take 1: there is no program gone here",
        ),
        setting("[\"svc\", \"login\", \"start\"]", "[\"ROOT/loop/login\"]", "/loop/login lies on the asset"),
        setting(
            "start = [\"svc\", \"ec\", \"start\"]",
            "start = [\"gone\"]",
            "start ec: there is no program gone here",
        ),
        host("echo >at/x", "rm at/x", "/at is not empty"),
        host("rmdir loop", "mkdir loop", "/loop is not there; make it"),
        host("mv fakes/exportfs away", "mv away fakes/exportfs", "exportfs"),
        host("mv fakes/ping away", "mv away fakes/ping", "ping"),
    ];
    let takeover = || pair.takeover(2).arg("--record").arg(&record);
    // The record is of one configuration, and would be no proof of another.
    wrong.extend(disagreements(&pair, 2, &WORLDS, &|| pair.takeover(2).args(["--peer-down", "ec1"])));
    wrong.extend(disagreements(&pair, 2, &STATE, &takeover));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    takeover().arg("-n").any_stdout().goes_well().run();
    takeover().any_stdout().goes_well().run();
}

/// Runs it for show and in earnest; both end so and say so.
fn same<'a>(run: &dyn Fn() -> Program<'a>, status: i32, said: &str) {
    for args in [&["-n"][..], &[]] {
        run().args(args).status(status).stderr_contains(said).run();
    }
}

/// `-n` of a run that was not finished showed what is left of it, whatever became of the asset meanwhile.
#[test]
fn a_dry_run_of_an_unfinished_run_says_what_the_run_says() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    bed.tools(&["mkdir"]);
    let pair = Pair::new(&bed, &Asset::Whole);
    let release = || pair.release(1);
    let killed = |run: Program<'_>| {
        assert_eq!(run.any_status().any_stdout().any_stderr().run().status, 128 + 9);
        pair.forget();
    };
    // Killed at its backup, which would now fail.
    pair.trouble("before 1");
    killed(release());
    pair.shell(1, "mkdir at/habackup && /bin/chown 54321 at/habackup").run();
    same(&release, 4, "belongs to user 54321");
    pair.shell(1, "/bin/chown 0 at/habackup").run();
    // Killed once it had let go, and taken by the other host.
    pair.trouble("before 9");
    killed(release());
    pair.takeover(2).args(["--peer-down", "ec1"]).any_stdout().goes_well().run();
    same(&release, 4, "the asset is not here: ");
    // Given back by a record, by which a takeover was begun that another one overtook.
    pair.released(2);
    let record = pair.record(2);
    let by_record = || pair.takeover(1).args(["--new-plan", "--record"]).arg(&record);
    pair.trouble("before 1");
    killed(by_record());
    pair.taken_back(2);
    let takeover = || pair.takeover(1).arg("--record").arg(&record);
    same(&takeover, 4, "the asset was held again");
}

/// Where the asset is mounted here already, the restore that is due can be tried: `-n` said yes, and the run mounted,
/// failed at a snapshot that is damaged, and ended with 5.
#[test]
fn a_dry_run_where_the_asset_is_here_tries_the_restore_that_is_due() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Whole);
    pair.released(1);
    let record = pair.record(1);
    // Killed at its restore.
    pair.trouble("before 3");
    let killed = pair.takeover(2).arg("--record").arg(&record).any_status().any_stdout().any_stderr().run();
    assert_eq!(killed.status, 128 + 9, "{}", killed.stderr);
    pair.forget();
    let takeover = || pair.takeover(2).args(["--new-plan", "--record"]).arg(&record);
    takeover().arg("-n").any_stdout().goes_well().run();
    pair.shell(
        2,
        "for f in at/habackup/2*/tree/$ORDERLY_BED/outside/file; do mv $f was && echo damaged >$f; done",
    )
    .run();
    let before = pair.world(2);
    same(&takeover, 4, "; --skip restore leaves it owed");
    assert_eq!(pair.world(2), before);
    pair.shell(2, "for f in at/habackup/2*/tree/$ORDERLY_BED/outside/file; do mv was $f; done").run();
    takeover().any_stdout().stderr_contains("restore: done").run();
}

/// With each flag, where the backup would fail: with --no-unwind `-n` said 4 and the run ended with 5, though it had
/// changed nothing.
#[test]
fn with_each_flag_a_backup_that_fails_refuses_the_release_and_its_dry_run() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    bed.tools(&["mkdir"]);
    let pair = Pair::new(&bed, &Asset::Whole);
    pair.shell(1, "mkdir at/habackup && /bin/chown 54321 at/habackup").run();
    let before = pair.world(1);
    let mut wrong = Vec::new();
    for flags in [
        "",
        "--no-unwind",
        "--new-plan",
        "--new-plan --no-unwind",
        "--json",
        "--json -q --no-unwind",
        "-q",
        "-v",
        "--kill",
        "--poweroff",
        "--after 7",
        "--record copy",
        "--timeout 5s",
        "--skip boot",
        "--skip services",
        "--skip addresses",
        "--skip shares",
        "--skip services,addresses,shares,proof --no-unwind",
        "--skip proof",
        "--skip loopbacks,asset,proof",
    ] {
        let run = || pair.release(1).args(flags.split_whitespace()).any_status().any_stdout().any_stderr();
        pair.forget();
        let (shown, ended) = (run().arg("-n").run(), run().run());
        let acts: Vec<String> = pair.acts().into_iter().filter(|act| !act.contains("habackup")).collect();
        let say = |text: &str| text.contains("belongs to user 54321; chown root it; and no whole snapshot");
        let is_told =
            say(&shown.stderr) && say(&ended.stderr) && ended.stderr.contains("NOT safe to take over: ");
        let records = flags.contains("--json").then(|| (shown.records().pop(), ended.records().pop()));
        let is_recorded = records.is_none_or(|(shown, ended)| {
            shown.is_some_and(|one| one["record"] == "failure")
                && ended.is_some_and(|one| one["safe"] == false)
        });
        if (shown.status, ended.status) != (4, 4) || !is_told || !is_recorded || !acts.is_empty() {
            wrong.push(format!(
                "{flags}: {} {}\n{}{}{acts:?}",
                shown.status, ended.status, shown.stderr, ended.stderr
            ));
        }
        assert_eq!(pair.world(1), before, "{flags}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // What was begun in earnest, and needs its backup anew, ends with 5, or with 1 where it is taken back.
    for (manner, status) in [(&["--no-unwind"][..], 5), (&[], 1)] {
        pair.shell(1, "/bin/chown 0 at/habackup").run();
        pair.trouble("before 3");
        pair.release(1).args(manner).status(128 + 9).any_stdout().any_stderr().run();
        pair.forget();
        pair.shell(1, "svc proxy start; mv at/habackup/latest was; /bin/rm -r at/habackup/2*; /bin/chown 54321 at/habackup")
            .any_stderr()
            .any_status()
            .run();
        let release = || pair.release(1).args(manner);
        same(&release, status, "belongs to user 54321");
        pair.shell(1, "/bin/chown 0 at/habackup").run();
        pair.release(1).args(manner).args(["--new-plan"]).any_stdout().goes_well().run();
        pair.taken_back(1);
    }
}

/// With each flag, where nothing is broken: without the loopbacks or the asset `-n` said yes, and the run stopped the
/// services and failed; without the proof it said yes to what is never safe.
#[test]
fn with_each_flag_a_dry_run_ends_as_the_run_does() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Whole);
    // The share is exported as it is configured from here on.
    pair.released(1);
    pair.taken_back(1);
    let before = pair.world(1);
    let safe = "released: ";
    let unproven = "NOT safe to take over: [ROOT]/source: the proof was left out";
    let unproven = unproven.replace("[ROOT]", &bed.root().display().to_string());
    let busy = "/loop, or do without --skip loopbacks";
    let held = "--skip asset leaves the asset held here";
    let mut wrong = Vec::new();
    for (flags, status, said) in [
        ("", 0, safe),
        ("--no-unwind", 0, safe),
        ("--new-plan", 0, safe),
        ("--json", 0, safe),
        ("--kill", 0, safe),
        ("--no-backup", 0, safe),
        ("--skip boot,backup,services,addresses,shares", 0, safe),
        ("--skip loopbacks", 4, busy),
        ("--skip loopbacks --no-unwind", 4, busy),
        ("--skip asset", 4, held),
        ("--skip asset --no-unwind", 4, held),
        ("--skip loopbacks,asset", 4, held),
        ("--skip proof", 5, &unproven),
        ("--skip proof --no-unwind --no-backup", 5, &unproven),
        ("--skip asset,proof", 5, &unproven),
        ("--skip loopbacks,asset,proof", 5, &unproven),
    ] {
        let run = || pair.release(1).args(flags.split_whitespace()).any_status().any_stdout().any_stderr();
        let shown = run().arg("-n").run();
        let between = pair.world(1);
        let ended = run().run();
        let told = [&shown, &ended].map(|one| format!("{}{}", one.stdout, one.stderr).contains(said));
        let is_told = told[1] && (told[0] || status == 0);
        let is_kept = status != 4 || pair.world(1) == before;
        if (shown.status, ended.status) != (status, status) || !is_told || !is_kept || between != before {
            wrong.push(format!(
                "{flags}: {} {}\n{}{}",
                shown.status, ended.status, shown.stderr, ended.stderr
            ));
        }
        if pair.holders().is_empty() {
            // Those that were left out.
            pair.shell(1, "svc proxy stop; svc ec stop").run();
        }
        pair.takeover(1).args(["--new-plan", "--peer-down", "ec2"]).any_stdout().goes_well().run();
        assert_eq!(pair.world(1), before, "{flags}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
