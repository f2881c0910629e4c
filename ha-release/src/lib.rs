//! ha-release: read, check, plan, carry out, report.

mod args;
mod busy;
mod disclaim;
mod foresee;
mod inuse;
mod preflight;
mod steps;

use anyhow::Context;
pub use args::{Args, ReleasePart};
use clap::CommandFactory;
use orderly_exec::job::Job;
use orderly_exec::journal::Journal;
use orderly_exec::lock::Lock;
use orderly_exec::reporter::Reporter;
use orderly_exec::room::HeldRoom;
use orderly_exec::runner::Run;
use orderly_exec::{OrStatus, Status, fail, files};
use orderly_host::action::Action;
use orderly_host::asset::{self, PathPlace, State};
use orderly_host::config::{self, Config};
use orderly_host::config_report;
use orderly_host::event::{self, EventKind};
use orderly_host::executor::RunEnding;
use orderly_host::flags::word;
use orderly_host::handover::{self, Beginning, Manner, Program, RecordContents};
use orderly_host::host::{Host, way_back};
use orderly_host::ledger::Ledger;
use orderly_host::platform::Platform;
use orderly_host::status_report::{self, Backups};
use orderly_host::steps::{programs, restoring, storage};
use orderly_host::{sample, state};
use orderly_plan::permit::Since;
use orderly_plan::release::{FORMAT, Release};
use orderly_plan::step::{Plan, Undo, Verdict};
use std::path::Path;
use std::time::Duration;

const PROGRAM: Program = Program::Release;

/// Why a release without its proof is never safe.
const UNPROVEN: &str = "the proof was left out";

/// Returns the command line as data, for tests, man pages and completions.
pub fn command() -> clap::Command {
    Args::command()
}

/// Runs the program.
///
/// # Errors
/// See the exit-status table in the manual page.
pub fn run(args: Args) -> anyhow::Result<Status> {
    let output = args.flags.manner().output;
    let format = match (args.status, args.flags.dry_run, &args.holders) {
        _ if args.flags.check_config => config_report::FORMAT,
        _ if args.flags.preflight => orderly_host::preflight::FORMAT,
        (true, ..) => "orderly-status/1",
        (_, _, Some(_)) => "orderly-holders/1",
        (_, true, _) => "orderly-plan/1",
        _ => FORMAT,
    };
    act(args).inspect_err(|error| handover::tell_failure(format, output, error))
}

fn act(mut args: Args) -> anyhow::Result<Status> {
    if let Some(kind) = &args.init {
        return init(kind, &mut args.flags.speech.reporter());
    }
    if let Some(Some(path)) = args.holders.clone() {
        return holders_of(&path, &mut args);
    }
    let mut config = Config::load(args.flags.config.as_deref())?;
    if args.flags.check_config {
        config_report::tell(&config, &mut args.flags.speech.reporter());
        return Ok(Status::Done);
    }
    leave_folder(&mut args)?;
    if args.flags.preflight {
        // The peer is asked for the same file, where it is not the usual one.
        let path = args.flags.config.is_some().then_some(config.path.as_path());
        let mut host = Host::new(&config, None)?;
        return preflight::run(path, &args.left_out(), &mut host, &mut args.flags.speech.reporter());
    }
    let left_out = args.left_out();
    let mut words: Vec<String> = left_out.iter().map(word).collect();
    words.extend(args.no_unwind.then(|| "unwinding".to_owned()));
    let digest = handover::digest(&config, &words);
    if let Some(limit) = args.flags.timeout {
        config.limit_all(limit);
    }
    let manner = args.flags.manner();
    let mut reporter = Reporter::new(manner.verbosity, manner.output);
    if args.holders.is_none() && !args.status {
        state::insist_on_own(&config)?;
        state::insist_on_files()?;
    }
    let changes_nothing = args.status || args.flags.dry_run || (args.holders.is_some() && !args.kill);
    let lock = if changes_nothing { None } else { Some(Lock::take(&Config::lock_path())?) };
    let _room = hold_room(&args)?;
    let mut host = Host::new(&config, lock.as_ref())?;
    if lock.is_some() && args.holders.is_none() {
        state::claim(&config)?;
    }
    if args.status {
        let backups =
            if left_out.contains(&ReleasePart::Backup) { Backups::LeftOut } else { Backups::Foreseen };
        let status = status_report::tell(backups, &mut host, &mut reporter);
        return Ok(if args.flags.exit_code { status } else { Status::Done });
    }
    if args.disclaim {
        return disclaim::run(args.after, manner, &mut host, &mut reporter);
    }
    if args.holders.is_some() {
        return busy::of_asset(args.kill, &mut host, &mut reporter);
    }
    if let Some(path) = &args.record {
        check_record_path(path, &mut host)?;
    }
    if args.flags.dry_run {
        handover::look_at_lock(&reporter)?;
    }
    let unfinished = handover::unfinished(PROGRAM, &config, &digest, manner)?;
    // What was free before, and is called released once more, changed nothing.
    let was_free = config.on_event.is_some() && unfinished.is_none() && host.asset_state() == State::Free;
    if let Some(stored) = unfinished.as_ref() {
        insist_not_elsewhere(&mut host)?;
        if args.flags.dry_run {
            let Beginning { backs_up, failing } = handover::beginning(stored, &mut host)?;
            let outlook = foresee::backup(backs_up, &mut host, &reporter);
            let outlook = outlook.map_err(|why| fail(failing, why))?;
            handover::show_unfinished(stored, outlook.as_ref(), &mut host, &mut reporter)?;
            return Ok(foresee::end(&left_out, &host, &reporter));
        }
        let (ending, journal) = handover::finish(PROGRAM, stored, &mut host, &mut reporter)?;
        return report(&args, was_free, &mut host, &mut reporter, (ending, journal));
    }
    if let Some(why) = host.asset.is_stuck(&mut host.runner) {
        if args.flags.dry_run {
            return Err(fail(Status::Stuck, why));
        }
        let ended = (RunEnding::before_anything("asset", why), None);
        return report(&args, was_free, &mut host, &mut reporter, ended);
    }
    let holders = match (args.no_unwind, args.kill) {
        (true, _) => inuse::OnHolders::List,
        (_, true) => inuse::OnHolders::Kill,
        _ => inuse::OnHolders::Refuse,
    };
    let mut found = steps::find(&mut host, &left_out, holders);
    if args.no_unwind {
        never_unwind(&mut found.plan);
    }
    let plan = &found.plan;
    found.objections.extend(foresee::programs(plan, args.poweroff, &mut host));
    found.notes.extend(programs::missing_for_undo(&mut host, plan));
    let backs_up = args.flags.dry_run && plan.steps.iter().any(|step| step.action == Action::Backup);
    let outlook = foresee::backup(backs_up, &mut host, &reporter).unwrap_or_else(|why| {
        found.objections.push(why);
        None
    });
    for note in &found.notes {
        if args.flags.dry_run { reporter.say(note) } else { reporter.detail(note) }
    }
    if !found.objections.is_empty() {
        return Err(fail(Status::Refused, found.objections.join("\n")));
    }
    if args.flags.dry_run {
        handover::show_plan(&found.plan, outlook.as_ref(), &mut host, &mut reporter);
        if args.poweroff && !left_out.contains(&ReleasePart::Proof) {
            let off = off_command(config.platform).map(str::to_owned).to_vec();
            handover::show_step("power off", &[off], &mut reporter);
        }
        // Nothing refuses it there, and the unmount fails.
        let stays = if args.no_unwind { inuse::stays(&host.users(), &config) } else { Vec::new() };
        return Ok(foresee::end_in_use(&stays, &host, &reporter)
            .unwrap_or_else(|| foresee::end(&left_out, &host, &reporter)));
    }
    restoring::note_source(&mut host).or_status(Status::Refused)?;
    reporter.show_progress();
    let ended = handover::begin(PROGRAM, &found.plan, digest, manner, &mut host, &mut reporter)?;
    report(&args, was_free, &mut host, &mut reporter, ended)
}

/// Prints a configuration to start from; a file is whoever's who redirects it.
fn init(kind: &str, reporter: &mut Reporter) -> anyhow::Result<Status> {
    let own = config::own_name().or_status(Status::Rejected)?;
    let text = sample::text(kind, &own).with_context(|| format!("find the kind {kind}"))?;
    reporter.data(&text);
    Ok(Status::Done)
}

/// Lets nothing of a plan be taken back: a service that is started again on a host that a cluster manager is about to
/// power off would lose what it writes. A backup leaves nothing to take back, so one that fails still refuses the release.
fn never_unwind(plan: &mut Plan<Action>) {
    for step in plan.steps.iter_mut().filter(|step| step.action != Action::Backup) {
        step.undo = Undo::Never;
    }
}

/// Without room for its journal and its record a release would be found out to be none when it is over. A
/// cluster manager needs neither.
fn hold_room(args: &Args) -> anyhow::Result<Option<HeldRoom>> {
    if args.status || args.holders.is_some() {
        return Ok(None);
    }
    let held = if args.flags.dry_run { HeldRoom::look().map(|()| None) } else { HeldRoom::hold().map(Some) };
    match held {
        Err(_) if args.no_unwind => Ok(None),
        held => held.or_status(Status::Refused),
    }
}

/// `--holders PATH` is told on any host, also where nothing is configured.
fn holders_of(path: &Path, args: &mut Args) -> anyhow::Result<Status> {
    let path = std::path::absolute(path).or_status(Status::Usage)?;
    leave_folder(args)?;
    let Manner { verbosity, output, .. } = args.flags.manner();
    let _lock = if args.kill { Some(Lock::take(&Config::lock_path())?) } else { None };
    busy::of_path(&path, args.kill, &mut Reporter::new(verbosity, output))
}

/// Goes where no asset is: whoever starts this in a folder of the asset would have it, and every command
/// it runs, keep the asset busy.
fn leave_folder(args: &mut Args) -> anyhow::Result<()> {
    if let Some(path) = &mut args.record {
        if path == Path::new("-") {
            return Err(fail(Status::Usage, "--record -: --json prints the record on standard output, last"));
        }
        *path = std::path::absolute(&*path).or_status(Status::Refused)?;
        // By its real folder: a way there through the asset is none once the asset is gone.
        if let (Some(folder), Some(name)) = (path.parent(), path.file_name()) {
            if let Ok(folder) = std::fs::canonicalize(folder) {
                *path = folder.join(name);
            }
        }
    }
    std::env::set_current_dir("/").context("go to the directory /").or_status(Status::Refused)
}

/// A record that cannot be written would be found out only when the asset is gone.
fn check_record_path(path: &Path, host: &mut Host<'_>) -> anyhow::Result<()> {
    files::check_replaceable(path).or_status(Status::Refused)?;
    let mounts = host.mounts();
    match asset::place(host.asset.as_ref(), path, mounts) {
        PathPlace::OnAsset => {
            let why =
                format!("{} lies on the asset, which is about to go; write it elsewhere", path.display());
            Err(fail(Status::Refused, why))
        }
        PathPlace::Off(_) | PathPlace::Unknown(_) => Ok(()),
    }
}

/// Says how it is known that somebody took the asset since this host did, or may have: by the part of the change
/// mark that a take alone moves, where the kind has one.
fn was_taken_since(host: &mut Host<'_>) -> Option<String> {
    let took = Ledger::read().ok().and_then(|ledger| ledger.took).and_then(|took| took.mark)?;
    let now = host.asset.take_mark(&mut host.runner).ok().flatten()?;
    let peer = &host.config.peer.name;
    match host.asset.since(&took, &now) {
        Since::Nothing => None,
        Since::Taken => Some(format!(
            "the asset was taken since this release was begun, and let go again, so what this release saved is older than \
             what {peer} left"
        )),
        Since::Unknown(why) => Some(format!(
            "cannot determine whether the asset was taken since this release was begun, so what this release saved may \
             be older than what {peer} left: {why}"
        )),
    }
}

/// An unfinished release is not taken up once the peer has the asset: it would say that the asset is
/// safe to take while the peer writes to it.
fn insist_not_elsewhere(host: &mut Host<'_>) -> anyhow::Result<()> {
    let here = !host.asset_mounts().holders.is_empty();
    let state = host.asset_state();
    if state == State::Free {
        if let Some(why) = was_taken_since(host) {
            let why = format!("{why}; --new-plan sets the unfinished release aside");
            return Err(fail(Status::Refused, why));
        }
    }
    match state {
        State::Elsewhere(why) if !here && way_back::may_have_it_back(host) => Err(fail(
            Status::Refused,
            format!(
                "the asset is not here: {why}; this host held it when it went down, and gets it back by the word of {}: {}",
                host.config.peer.name,
                way_back::after_own_crash(host)
            ),
        )),
        State::Elsewhere(why) if !here => Err(fail(
            Status::Refused,
            format!("the asset is not here: {why}; --new-plan sets the unfinished release aside"),
        )),
        State::Held | State::Free | State::Elsewhere(_) | State::Unknown(_) => Ok(()),
    }
}

/// Says how it ended, once for people and once for programs; the record is kept before it is shown.
fn report(
    args: &Args,
    was_free: bool,
    host: &mut Host<'_>,
    reporter: &mut Reporter,
    (ending, journal): (RunEnding<Action>, Option<Journal>),
) -> anyhow::Result<Status> {
    reporter.end_progress();
    if ending.verdict == Verdict::Unwound {
        storage::drop_intent(host);
    }
    for note in std::mem::take(&mut host.notes) {
        reporter.say(note);
    }
    let skipped: Vec<String> = args.left_out().iter().map(word).collect();
    let unproven = args.left_out().contains(&ReleasePart::Proof);
    let why = match ending.verdict {
        Verdict::Completed if unproven => Some(UNPROVEN.to_owned()),
        Verdict::Completed => None,
        Verdict::Unwound => Some(format!("{}: {}", as_before(host), ending.clause())),
        Verdict::Stuck => Some(format!("a person must look: {}", ending.clause())),
    };
    let naming = handover::naming(host);
    let said =
        RecordContents { steps: ending.outcomes(), skipped, naming, after: args.after, unsafe_because: why };
    let mut release = handover::record(host, said);
    if let Err(error) = keep(args, &release) {
        // A record that did not reach the disk is none: the next run makes it again.
        reporter.warn(format!("{error:#}"));
        release = Release { safe: false, reason: Some(format!("{error:#}")), ..release }.seal();
        tell(&release, host, reporter);
        tell_site(Status::Stuck, &release, was_free, host, reporter);
        return Ok(Status::Stuck);
    }
    let status = match (ending.verdict, ending.signal) {
        (Verdict::Completed, _) if release.safe => Status::Done,
        (Verdict::Completed | Verdict::Stuck, _) => Status::Stuck,
        (Verdict::Unwound, Some(signal)) if ending.failure.is_none() => Status::Signal(signal),
        // The backup comes first and changes nothing here, so a release that fails there was refused.
        (Verdict::Unwound, _) if ending.failed_at_first(|action| *action == Action::Backup) => {
            Status::Refused
        }
        (Verdict::Unwound, _) => Status::Failed,
    };
    handover::close(journal, ending.verdict, reporter);
    tell(&release, host, reporter);
    tell_site(status, &release, was_free, host, reporter);
    if args.poweroff && status == Status::Done {
        // Whoever reads the record learns that it is whole before this host goes down.
        reporter.close_stdout();
        return power_off(host, reporter);
    }
    Ok(status)
}

/// Returns what an unwound release left, which is what it found: not always all that belongs to the asset.
fn as_before(host: &mut Host<'_>) -> String {
    if host.asset_state() != State::Held {
        return "as it was found".to_owned();
    }
    let absent = status_report::absent(host);
    if absent.is_empty() {
        return "still held and running here".to_owned();
    }
    format!("held here, as it was found ({})", absent.join("; "))
}

fn keep(args: &Args, release: &Release) -> anyhow::Result<()> {
    handover::keep_record(release)?;
    match &args.record {
        Some(path) => files::replace(path, format!("{}\n", release.line()).as_bytes()),
        None => Ok(()),
    }
}

fn tell(release: &Release, host: &Host<'_>, reporter: &mut Reporter) {
    let sentence = sentence(release);
    if release.reason.is_some() {
        reporter.warn(sentence);
    } else {
        reporter.close_with(&sentence);
        for line in left_by_hand(host) {
            reporter.say(line);
        }
    }
    reporter.record(release);
}

/// Returns what a release record says, in a sentence.
fn sentence(release: &Release) -> String {
    let title = &release.of.title;
    match &release.reason {
        None => format!("released: {title} is safe to take over"),
        Some(why) => format!("NOT safe to take over: {title}: {why}"),
    }
}

/// Runs `on_event` where something changed. Whoever reads the record has it by then, and its end.
fn tell_site(
    status: Status,
    release: &Release,
    was_free: bool,
    host: &mut Host<'_>,
    reporter: &mut Reporter,
) {
    let kind = EventKind::of_handover(status, EventKind::Released);
    let Some(kind) = kind.filter(|kind| !(was_free && *kind == EventKind::Released)) else { return };
    if host.config.on_event.is_some() {
        reporter.close_stdout();
        event::send(kind, status, &sentence(release), host.config, &mut host.runner, reporter);
    }
}

/// What the procedure leaves to people once the asset is released.
fn left_by_hand(host: &Host<'_>) -> Vec<String> {
    let config = host.config;
    let mut lines = vec![
        format!("the record is in {}", handover::record_path().display()),
        "left to do by hand:".to_owned(),
    ];
    if config.asset.detach.is_none() {
        lines.push("- detach the storage from this host, if your storage needs that".to_owned());
    }
    let off = off_command(config.platform).join(" ");
    lines.push(format!("- shut this host down ({off}; --poweroff does it at the end of a safe release)"));
    lines.push(format!(
        "- disconnect it from its networks, or give it other addresses, before it boots again: {} will use its addresses",
        config.peer.name
    ));
    lines
}

/// Returns the command that shuts this host down and powers it off.
fn off_command(platform: Platform) -> [&'static str; 2] {
    match platform {
        Platform::Linux => ["systemctl", "poweroff"],
        Platform::Solaris => ["init", "5"],
    }
}

/// The last act of a safe release: everything said is flushed before, because nobody will hear more.
fn power_off(host: &mut Host<'_>, reporter: &Reporter) -> anyhow::Result<Status> {
    reporter.say("shutting down the operating system");
    let command = off_command(host.config.platform);
    let ended = host.runner.run(&Job::new(command, Duration::from_secs(60)));
    if ended.succeeded() {
        return Ok(Status::Done);
    }
    reporter.warn(format!(
        "the asset is released, but {}: {}; shut this host down by hand",
        command.join(" "),
        ended.clause()
    ));
    Ok(Status::Failed)
}
