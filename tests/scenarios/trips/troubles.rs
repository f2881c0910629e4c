//! What happens to a trip: chosen by a seed, so that a trip that went wrong goes wrong again.

use super::operator;
use super::oracle::Objection;
use super::world::World;
use bed::Ended;

/// A walk of numbers (xorshift), the same for the same seed.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Returns a number below `sides`.
    pub(super) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % sides
    }
}

/// What becomes of a release.
#[derive(Debug, Clone, Copy)]
enum Leaving {
    Well,
    /// A command fails, kills its caller or interrupts it.
    Tool,
    AssetFull,
    ServiceDown,
    NoBackup,
    Locked,
    Crash,
    CrashAmid,
}

/// What becomes of a takeover.
#[derive(Debug, Clone, Copy)]
enum Coming {
    Well,
    Tool,
    /// A service fails to start, once.
    ServiceFails,
    WrongRecord,
    BothAtOnce,
    CrashAmid,
    SkipRestore,
    DamagedSnapshot,
    WayBack,
}

const LEAVING: [Leaving; 12] = [
    Leaving::Well,
    Leaving::Well,
    Leaving::Well,
    Leaving::Tool,
    Leaving::Tool,
    Leaving::AssetFull,
    Leaving::ServiceDown,
    Leaving::ServiceDown,
    Leaving::NoBackup,
    Leaving::Locked,
    Leaving::Crash,
    Leaving::CrashAmid,
];

const COMING: [Coming; 12] = [
    Coming::Well,
    Coming::Well,
    Coming::Tool,
    Coming::Tool,
    Coming::Tool,
    Coming::ServiceFails,
    Coming::WrongRecord,
    Coming::BothAtOnce,
    Coming::CrashAmid,
    Coming::SkipRestore,
    Coming::DamagedSnapshot,
    Coming::WayBack,
];

const CLOCKS: [Option<&str>; 8] =
    [None, None, None, None, Some("+5h"), Some("-5h"), Some("+40d"), Some("-400d")];

/// Goes there once: edits, a release, a takeover, each with its trouble, and whatever leads out of it.
pub(super) fn trip(world: &mut World<'_>, dice: &mut Dice) -> Result<(), Objection> {
    let from = if world.look(1).holds { 1 } else { 2 };
    let (leaving, coming) = (LEAVING[dice.roll(LEAVING.len())], COMING[dice.roll(COMING.len())]);
    world.note(format!("-- from ec{from}: {leaving:?}, then {coming:?}"));
    world.fill(from, false);
    live(world, dice, from)?;
    leave(world, dice, from, leaving)?;
    // Whoever still has it goes on.
    if dice.roll(2) == 0 {
        live(world, dice, from)?;
    }
    let goal = if matches!(coming, Coming::WayBack) { from } else { 3 - from };
    come(world, dice, goal, coming)?;
    if dice.roll(2) == 0 {
        live(world, dice, goal)?;
    }
    world.pair.forget();
    set_clock(world, dice);
    operator::lead(world, goal)
}

fn set_clock(world: &mut World<'_>, dice: &mut Dice) {
    world.clock = CLOCKS[dice.roll(CLOCKS.len())];
}

/// What happens between hand-overs: people edit, cron saves, on both hosts.
fn live(world: &mut World<'_>, dice: &mut Dice, host: usize) -> Result<(), Objection> {
    for _ in 0..dice.roll(4) {
        world.edit(host, dice.roll(4));
        if dice.roll(3) == 0 {
            set_clock(world, dice);
            for each in [1, 2] {
                world.run(each, "habackup", &["-q", "--if-held"], None)?;
            }
        }
    }
    set_clock(world, dice);
    Ok(())
}

/// Returns a trouble of a command, for [`crate::pair::Pair::trouble`].
fn tool_trouble(dice: &mut Dice) -> String {
    let kind = ["before", "after", "fail", "fail-after", "int"][dice.roll(5)];
    format!("{kind} {}", 1 + dice.roll(9))
}

fn leave(world: &mut World<'_>, dice: &mut Dice, from: usize, leaving: Leaving) -> Result<(), Objection> {
    let mut args = vec!["--json"];
    match leaving {
        Leaving::Well => {}
        Leaving::Tool => trouble(world, &tool_trouble(dice)),
        Leaving::AssetFull => world.fill(from, true),
        Leaving::ServiceDown => {
            world.note(format!("ec{from}: proxy goes down"));
            world.pair.shell(from, "svc proxy stop").run();
            world.pair.forget();
        }
        Leaving::NoBackup => args.push("--no-backup"),
        Leaving::Locked => return locked(world, from),
        Leaving::Crash => {
            world.crash(from);
            return Ok(());
        }
        Leaving::CrashAmid => trouble(world, &format!("before {}", 1 + dice.roll(7))),
    }
    world.run(from, "ha-release", &args, None)?;
    if matches!(leaving, Leaving::AssetFull | Leaving::ServiceDown) && dice.roll(2) == 0 {
        world.run(from, "ha-release", &["--json", "--no-backup"], None)?;
    }
    if matches!(leaving, Leaving::CrashAmid) {
        world.crash(from);
    }
    world.pair.forget();
    Ok(())
}

fn trouble(world: &mut World<'_>, told: &str) {
    world.note(format!("trouble: {told}"));
    world.pair.trouble(told);
}

/// Releases while another run has the lock.
fn locked(world: &mut World<'_>, from: usize) -> Result<(), Objection> {
    let line = "flock \"$ORDERLY_STATE_DIR/ha.lock\" /bin/sh -c 'echo locked; read -r line'";
    std::fs::create_dir_all(world.pair.state(from)).unwrap();
    world.note(format!("ec{from}: another run has the lock"));
    let mut holder = world.pair.shell(from, line).typed().any_status().any_stdout().any_stderr().spawn();
    holder.wait_for_stdout("locked");
    let refused = world.run(from, "ha-release", &["--json"], None);
    holder.type_in("\n").close_stdin();
    holder.end();
    world.pair.forget();
    refused.map(|_| ())
}

/// Returns the last record of a host that is at hand.
fn newest_record(world: &World<'_>, of: usize) -> String {
    std::fs::read_to_string(world.pair.state(of).join("release.json")).unwrap_or_default()
}

fn come(world: &mut World<'_>, dice: &mut Dice, goal: usize, coming: Coming) -> Result<(), Objection> {
    let record = newest_record(world, 3 - goal);
    match coming {
        Coming::Well => {}
        Coming::Tool => trouble(world, &tool_trouble(dice)),
        Coming::ServiceFails => trouble(world, &format!("fail {}", 6 + dice.roll(2))),
        Coming::WrongRecord => return wrong_records(world, dice, goal),
        Coming::BothAtOnce => return both_at_once(world, goal),
        Coming::CrashAmid => trouble(world, &format!("before {}", 1 + dice.roll(8))),
        Coming::SkipRestore => {
            take(world, goal, &["--skip", "restore"], &record)?;
            return Ok(());
        }
        Coming::DamagedSnapshot => damage(world, goal),
        Coming::WayBack => return Ok(()),
    }
    let ended = take(world, goal, &[], &record)?;
    if matches!(coming, Coming::CrashAmid) && ended.status == 137 {
        world.crash(goal);
    }
    Ok(())
}

fn take(world: &mut World<'_>, host: usize, args: &[&str], record: &str) -> Result<Ended, Objection> {
    world.run(host, "ha-takeover", &[args, &["--record", "-"]].concat(), Some(record))
}

/// Gives a host records that are old, its own, edited, cut or empty.
fn wrong_records(world: &mut World<'_>, dice: &mut Dice, goal: usize) -> Result<(), Objection> {
    let newest = newest_record(world, 3 - goal);
    let mut given = vec![newest_record(world, goal), newest.replacen("\"serial\":", "\"serial\":9", 1)];
    given.push(newest[..newest.len() / 2].to_owned());
    if !world.records.is_empty() {
        given.push(world.records[dice.roll(world.records.len())].clone());
    }
    for record in given {
        take(world, goal, &[], &record)?;
        if dice.roll(3) == 0 {
            take(world, 3 - goal, &[], &record)?;
        }
    }
    Ok(())
}

/// Both hosts take at once, each by the other one's record.
fn both_at_once(world: &mut World<'_>, goal: usize) -> Result<(), Objection> {
    world.note("both at once:");
    // The host that never had it makes a record, too.
    world.run(goal, "ha-release", &["--json"], None)?;
    let records = [1, 2].map(|host| newest_record(world, 3 - host));
    let begun: Vec<_> = [1, 2]
        .iter()
        .zip(&records)
        .map(|(&host, record)| world.prepare(host, "ha-takeover", &["--record", "-"], Some(record)).spawn())
        .collect();
    let ended: Vec<Ended> = begun.into_iter().map(bed::Running::end).collect();
    for (host, ended) in [1, 2].into_iter().zip(&ended) {
        world.note(format!("ec{host} at once: {} {}{}", ended.status, ended.stdout, ended.stderr));
    }
    let taker = ended.iter().position(|ended| ended.status == 0).unwrap_or(0);
    world.judge(taker + 1, "ha-takeover", &["--record", "-"], &ended[taker])
}

/// Damages the newest snapshot, which moves the mark: the record is worth nothing then.
fn damage(world: &mut World<'_>, host: usize) {
    if world.looks().iter().any(|look| look.holds) {
        return;
    }
    world.note("the newest snapshot is damaged");
    let device = world.device();
    let root = world.pair.bed.root().display().to_string();
    let line = format!(
        "mount -o noatime {device} at && for d in at/habackup/2*Z; do :; done && \
         {{ [ ! -e $d/tree{root}/outside/file ] || echo evil >$d/tree{root}/outside/file; }}; umount at"
    );
    world.pair.shell(host, &line).any_status().any_stderr().run();
    world.pair.forget();
}
