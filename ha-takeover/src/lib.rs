//! ha-takeover: read, check, plan, carry out, report.

mod args;
mod fenced;
mod order;
mod preflight;
mod proof;
mod steps;

pub use args::{Args, TakeoverPart};
use clap::CommandFactory;
use fenced::Fenced;
use orderly_exec::journal::{Journal, Stored};
use orderly_exec::lock::Lock;
use orderly_exec::reporter::Reporter;
use orderly_exec::room::HeldRoom;
use orderly_exec::{OrStatus, Status, clock, fail};
use orderly_host::action::Action;
use orderly_host::asset::State;
use orderly_host::config::Config;
use orderly_host::config_report;
use orderly_host::event::{self, EventKind};
use orderly_host::executor::RunEnding;
use orderly_host::flags::word;
use orderly_host::handover::{self, Program, RecordContents, VERSION};
use orderly_host::host::{Host, way_back};
use orderly_host::status_report::{self, Backups};
use orderly_host::steps::{fencing, programs, restoring, storage};
use orderly_host::{ledger, state};
use orderly_plan::owed::Source;
use orderly_plan::release::{StepOutcome, TAKEOVER, Takeover};
use orderly_plan::step::Record;
use orderly_plan::step::{Next, Plan, Progress, StepId, Verdict};

const PROGRAM: Program = Program::Takeover;

/// Returns the command line as data, for tests, man pages and completions.
pub fn command() -> clap::Command {
    Args::command()
}

/// Runs the program.
///
/// # Errors
/// See the exit-status table in the manual page.
pub fn run(args: Args) -> anyhow::Result<Status> {
    let format = match (args.status, args.flags.dry_run) {
        _ if args.flags.check_config => config_report::FORMAT,
        _ if args.flags.preflight => orderly_host::preflight::FORMAT,
        (true, _) => "orderly-status/1",
        (_, true) => "orderly-plan/1",
        _ => TAKEOVER,
    };
    act(&args).inspect_err(|error| handover::tell_failure(format, args.flags.manner().output, error))
}

fn act(args: &Args) -> anyhow::Result<Status> {
    let mut config = Config::load(args.flags.config.as_deref())?;
    if args.flags.check_config {
        config_report::tell(&config, &mut args.flags.speech.reporter());
        return Ok(Status::Done);
    }
    if args.flags.preflight {
        // The peer is asked for the same file, where it is not the usual one.
        let path = args.flags.config.is_some().then_some(config.path.as_path());
        let mut host = Host::new(&config, None)?;
        return preflight::run(path, &args.left_out(), &mut host, &mut args.flags.speech.reporter());
    }
    let left_out = args.left_out();
    let words: Vec<String> = left_out.iter().map(word).collect();
    let digest = handover::digest(&config, &words);
    if let Some(limit) = args.flags.timeout {
        config.limit_all(limit);
    }
    let manner = args.flags.manner();
    let mut reporter = Reporter::new(manner.verbosity, manner.output);
    if !args.status {
        state::insist_on_own(&config)?;
        state::insist_on_files()?;
    }
    let lock = if args.status || args.flags.dry_run { None } else { Some(Lock::take(&Config::lock_path())?) };
    // Found out before anybody is fenced.
    let _room = match &lock {
        Some(_) => Some(HeldRoom::hold().or_status(Status::Refused)?),
        None if args.flags.dry_run => HeldRoom::look().or_status(Status::Refused).map(|()| None)?,
        None => None,
    };
    let mut host = Host::new(&config, lock.as_ref())?;
    if lock.is_some() {
        state::claim(&config)?;
    }
    if args.status {
        let status = status_report::tell(Backups::Foreseen, &mut host, &mut reporter);
        return Ok(if args.flags.exit_code { status } else { Status::Done });
    }
    // Waited for before the asset is looked at: in a pipeline the peer still holds it until then.
    let record = proof::given(args)?;
    if args.flags.dry_run {
        handover::look_at_lock(&reporter)?;
    }
    order::insist_on_new_plan(args.flags.new_plan, &mut host)?;
    let unfinished = handover::unfinished(PROGRAM, &config, &digest, manner)?;
    if let Some(stored) = &unfinished {
        if args.flags.dry_run && may_go_on(stored, &mut host, &reporter) {
            handover::show_unfinished(stored, None, &mut host, &mut reporter)?;
            return Ok(Status::Done);
        }
    }
    let sets_aside = unfinished.is_some();
    if let Some(stored) = unfinished.filter(|_| !args.flags.dry_run) {
        if let Some(status) = finish(&stored, &words, &mut host, &mut reporter)? {
            return Ok(status);
        }
    }
    let state = host.asset_state();
    let proof = proof::find(args, record, &mut host, &state)?;
    // Beside a record, too, the word is asked about again just before the take.
    let on_word = args.peer_down.is_some() && !matches!(proof, proof::Proof::HeldHere(_));
    let asked = steps::Terms { proof: &proof, on_word, left_out: &left_out };
    let mut objections = steps::objections(&mut host, asked, &state);
    let plan = steps::plan(&mut host, asked, &state)?;
    objections.extend(programs::missing_programs(&mut host, &plan));
    // Elsewhere the snapshots can be seen only once the asset is mounted.
    let restores = plan.steps.iter().any(|step| step.action == Action::Restore);
    if restores && matches!(proof, proof::Proof::HeldHere(_)) {
        objections.extend(restoring::against_restore(&mut host, &plan).or_status(Status::Refused)?);
    }
    if !objections.is_empty() {
        return Err(fail(Status::Refused, objections.join("\n")));
    }
    if args.flags.dry_run && proof == proof::Proof::Fence {
        let peer = &config.peer.name;
        reporter.say(match fencing::prove_off(&mut host) {
            Ok(()) => format!("the power of {peer} is proven to be off now"),
            Err(why) => format!("the power of {peer} is not proven to be off now: {why}"),
        });
    }
    if args.flags.dry_run {
        handover::show_plan(&plan, None, &mut host, &mut reporter);
        let forget = host.forget_commands();
        if !forget.is_empty() {
            handover::show_step("take away the word of the release", &forget, &mut reporter);
        }
        return Ok(Status::Done);
    }
    if on_word {
        reporter.say(format!("taken on the word of the operator that {} is down", config.peer.name));
    }
    if let proof::Proof::Record(record) = &proof {
        if record.maker.host == config.own.name
            && config.backup.is_some()
            && !left_out.contains(&TakeoverPart::Restore)
            && !plan.steps.iter().any(|step| step.action == Action::Restore)
        {
            reporter.say(format!("{} released the asset last; nothing is restored", record.maker.host));
        }
    }
    if let proof::Proof::Record(record) = &proof {
        if let Some(why) = way_back::unnoticed(&mut host) {
            reporter.say(format!("{why}; taken on the strength of the record of {}", record.maker.host));
        }
    }
    if let proof::Proof::Record(record) | proof::Proof::Disclaimed(record) = &proof {
        order::accept(record, &config)?;
    }
    if sets_aside {
        reporter.say("the unfinished run is set aside, and a new one begun");
    }
    reporter.show_progress();
    let (ending, journal) = handover::begin(PROGRAM, &plan, digest, manner, &mut host, &mut reporter)?;
    use_up(&plan, &ending, &reporter);
    let was_held = matches!(proof, proof::Proof::HeldHere(_));
    let run = Ran { plan: &plan, left_out: &words, before: EarlierRun::Nothing, was_held };
    report(&proof.word(&ending), &run, &mut host, &mut reporter, ending, journal)
}

/// Tells whether an unfinished run goes on: its proof still stands, or it was letting go anyway. Says why not.
fn may_go_on(stored: &Stored<Action>, host: &mut Host<'_>, reporter: &Reporter) -> bool {
    let plan = &stored.header.plan;
    let unwinds = Progress::replay(plan, &stored.records()).is_ok_and(|mut progress| {
        progress.record(Record::Resumed).ok();
        matches!(progress.next(), Next::Undo(_))
    });
    if !unwinds {
        if let Err(why) = steps::proof_stands(host, plan) {
            reporter.say(format!("the takeover begun {} cannot go on as it was: {why}", stored.header.at));
            return false;
        }
    }
    true
}

/// Finishes an unfinished run if its proof still stands, or if it was letting go anyway. `None` when
/// a new proof is needed.
fn finish(
    stored: &Stored<Action>,
    words: &[String],
    host: &mut Host<'_>,
    reporter: &mut Reporter,
) -> anyhow::Result<Option<Status>> {
    let plan = &stored.header.plan;
    if !may_go_on(stored, host, reporter) {
        return Ok(None);
    }
    let took = plan.steps.iter().position(|step| takes(&step.action)).map(|at| Record::Started(StepId(at)));
    let before = match took {
        Some(took) if stored.records().contains(&took) => EarlierRun::Took,
        Some(_) | None => EarlierRun::Nothing,
    };
    let (ending, journal) = handover::finish(PROGRAM, stored, host, reporter)?;
    use_up(plan, &ending, reporter);
    let run = Ran { plan, left_out: words, before, was_held: false };
    report("the proof of the run that was finished", &run, host, reporter, ending, journal).map(Some)
}

fn takes(action: &Action) -> bool {
    matches!(action, Action::Take { .. })
}

/// What a run had done before it was killed and is finished now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EarlierRun {
    /// It began to take the asset: whatever became of that, the peer's record fits no more.
    Took,
    Nothing,
}

/// What was carried out.
struct Ran<'a> {
    plan: &'a Plan<Action>,
    left_out: &'a [String],
    before: EarlierRun,
    /// The asset was here before.
    was_held: bool,
}

/// A release record permits one takeover.
fn use_up(plan: &Plan<Action>, ending: &RunEnding<Action>, reporter: &Reporter) {
    if ending.verdict == Verdict::Completed {
        if let Err(error) = handover::use_up(plan) {
            reporter.warn(format!("{error:#}; the release record could be used again, so put it away"));
        }
    }
}

/// Says how it ended: taken, let go again and safe for the other host, or NOT safe.
fn report(
    proof: &str,
    run: &Ran<'_>,
    host: &mut Host<'_>,
    reporter: &mut Reporter,
    ending: RunEnding<Action>,
    journal: Option<Journal>,
) -> anyhow::Result<Status> {
    let Ran { plan, left_out, before, was_held } = *run;
    reporter.end_progress();
    for note in std::mem::take(&mut host.notes) {
        reporter.say(note);
    }
    let (title, own) = (host.asset.title(), host.config.own.name.clone());
    let taken = ending.verdict == Verdict::Completed;
    let owed = if taken { note_taken(host) } else { None };
    if taken {
        storage::drop_intent(host);
    }
    let mut stuck = ending.verdict == Verdict::Stuck;
    // What was held before this run is held after it, and must not be called safe.
    let holds = ending.verdict == Verdict::Unwound && host.asset_state() == State::Held;
    // A host that took nothing has nothing to say about letting go.
    let began = before == EarlierRun::Took
        || ending.steps.iter().any(|step| step.outcome == StepOutcome::Undone && takes(&step.action));
    if ending.verdict == Verdict::Unwound && began && host.asset_state() == State::Free {
        stuck |= !keep_release(plan, host, reporter, &ending);
    }
    // Nothing was taken yet when the asset turned out not to be the one of the record.
    let is_proof = |action: &Action| matches!(action, Action::Compare { .. } | Action::CompareTake { .. });
    let refused = ending.verdict == Verdict::Unwound && ending.failed_at_first(is_proof);
    let is_of_asset = |action: &Action| matches!(action, Action::Run { .. }) || takes(action);
    let came_to_asset = ending.steps.iter().any(|step| is_of_asset(&step.action));
    stuck |= holds;
    let fenced = fenced::of(plan, &ending, &host.config.peer);
    stuck |= fenced == Some(Fenced::Unproven);
    let sentence = match (taken, stuck) {
        _ if holds => format!(
            "NOT safe for the other host: {own} holds {title}, as before; what was asked for is incomplete: {}",
            ending.clause()
        ),
        (true, _) => match &owed {
            None => format!("taken: {own} holds {title}"),
            Some(Source { id, host, .. }) => format!(
                "taken, restore owed: {own} holds {title} without {id} of {host} (habackup --restore {id} restores it)"
            ),
        },
        (false, true) if !came_to_asset && fenced == Some(Fenced::Unproven) => {
            format!("NOT safe for the other host: {title} was not touched here: {}", ending.clause())
        }
        (false, true) => {
            format!("NOT safe for the other host: {title}: a person must look: {}", ending.clause())
        }
        (false, false) if !came_to_asset => {
            format!("not taken: {title} was not touched: {}", ending.clause())
        }
        (false, false) => {
            format!("not taken: {title} is let go again, safe for the other host: {}", ending.clause())
        }
    };
    let sentence = match &fenced {
        Some(fenced) => format!("{sentence}; {}", fenced.clause(&host.config.peer.name)),
        None => sentence,
    };
    if taken {
        reporter.close_with(&sentence);
    } else {
        reporter.warn(&sentence);
    }
    let status = match (taken, stuck, ending.signal) {
        (true, ..) => Status::Done,
        (_, true, _) => Status::Stuck,
        (_, _, Some(signal)) if ending.failure.is_none() => Status::Signal(signal),
        _ if refused => Status::Refused,
        _ => Status::Failed,
    };
    handover::close(journal, ending.verdict, reporter);
    reporter.record(&Takeover {
        format: TAKEOVER.to_owned(),
        taken,
        safe_for_peer: !taken && !stuck,
        reason: (!taken).then(|| ending.clause()),
        asset: title,
        host: own,
        proof: proof.to_owned(),
        owed: owed.map(|source| source.id),
        at: clock::now(),
        version: VERSION.to_owned(),
        steps: ending.outcomes(),
        skipped: left_out.to_vec(),
    });
    let kind = EventKind::of_handover(status, EventKind::Taken);
    // What was completed here changed no hands.
    if let Some(kind) = kind.filter(|kind| !(was_held && *kind == EventKind::Taken)) {
        event::send(kind, status, &sentence, host.config, &mut host.runner, reporter);
    }
    Ok(status)
}

/// From now on what runs here is newer than what was restored. Returns the restore that is owed all the same.
fn note_taken(host: &mut Host<'_>) -> Option<Source> {
    let noted = ledger::change(|ledger| {
        ledger.leaving = None;
        ledger.note_running();
    });
    let noted = noted.and_then(|()| host.numbering().note_take());
    if let Err(error) = noted {
        host.notes
            .push(format!("{error:#}; after a crash this host needs --peer-down to get the asset back"));
    }
    ledger::owed(host.config).ok().flatten().filter(|_| host.config.backup.is_some())
}

/// The asset was held here for a while, so the peer's own record no longer fits: this host leaves one. It
/// names what this takeover had to restore, because nothing came of it.
fn keep_release(
    plan: &Plan<Action>,
    host: &mut Host<'_>,
    reporter: &mut Reporter,
    ending: &RunEnding<Action>,
) -> bool {
    let naming = order::naming_of_let_go(plan, host.config);
    let said = RecordContents { steps: ending.outcomes(), naming, ..RecordContents::default() };
    let release = handover::record(host, said);
    match handover::keep_record(&release) {
        Ok(()) => {
            reporter.say(format!("the record of letting go is in {}", handover::record_path().display()));
            if let (Some(id), Some(host)) = (&release.naming.snapshot, &release.naming.made_by) {
                if *host != release.maker.host {
                    reporter.say(format!("restore owed: {id} of {host}; the next takeover here restores it"));
                }
            }
            reporter.record(&release);
            release.safe
        }
        Err(error) => {
            reporter.warn(format!("{error:#}"));
            false
        }
    }
}
