//! What is shown of runs of every size on screens of every size (`captures.txt`), and what holds of all of it.

use super::*;
use crate::simulator::{Nature, NodeState, Simulation};
use orderly_plan::drivers::{Drivers, Power, Probe};
use orderly_plan::graph::{GroupId, Order};
use orderly_plan::notice::{HeldBack, SlotHolder};
use orderly_plan::run::Run;
use orderly_plan::startup::{StartOptions, Startup};
use orderly_plan::survey::Reading;
use proptest::prelude::*;

const NAMES: [&str; 3] = ["n01", "n02", "n03"];

fn name(node: NodeId) -> &'static str {
    NAMES[node.index()]
}

fn status() -> RunStatus {
    let busy = |node, since| Busy {
        node: NodeId(node),
        doing: Doing::Booting,
        since: Duration::from_secs(since),
        last: "power on, probe down".to_owned(),
    };
    RunStatus {
        phase: "starting".into(),
        done: 2,
        failed: 1,
        held: 0,
        total: 7,
        busy: vec![busy(0, 10), busy(1, 20)],
        left: Some(Duration::from_secs(90)),
        held_back: Vec::new(),
    }
}

fn held_back(targets: &str) -> HeldBack {
    let by = SlotHolder {
        pid: 4711,
        program: "cstartup".to_owned(),
        command: format!("cstartup {targets}"),
        user: "root".to_owned(),
        since: "2026-11-30 06:00:00 +0000".to_owned(),
        targets: targets.to_owned(),
    };
    HeldBack { what: "driver processes (limits.fanout)".to_owned(), by: vec![by] }
}

/// It was shown that nodes wait for a driver process, and not who has all of them.
#[test]
fn the_run_that_is_waited_for_is_named_first_as_far_as_there_is_room() {
    let status = RunStatus { held_back: vec![held_back("n04")], ..status() };
    let whole = "waiting for driver processes (limits.fanout): in use by process 4711 (cstartup n04, user root, since \
                 2026-11-30 06:00:00 +0000)";
    assert_eq!(at_a_minute(&status, 140, 24)[0], whole);
    assert_eq!(at_a_minute(&status, 140, 24).len(), 2);
    assert_eq!(at_a_minute(&status, 79, 24)[0], "held back by process 4711 (cstartup)");
    assert_eq!(at_a_minute(&status, 40, 5), ["held back by process 4711 (cstartup)"]);
}

fn at_a_minute(status: &RunStatus, columns: usize, lines: usize) -> Vec<String> {
    let room = ScreenSize { columns, lines };
    super::lines(status, Duration::ZERO, Duration::from_secs(60), &name, room)
}

#[test]
fn who_is_waited_for_comes_first_then_how_many_then_how_long_still() {
    let one = "n[01-02] booting for 50s (power on, probe down); up 2/7, 1 failed, 1m30s left by history, 2 a minute, 1m00s so far";
    assert_eq!(at_a_minute(&status(), 140, 24), [one]);
    let two = [
        "n[01-02] booting for 50s (power on, probe down)",
        "up 2/7, 1 failed, 1m30s left by history, 2 a minute",
    ];
    assert_eq!(at_a_minute(&status(), 60, 24), two);
    assert_eq!(
        at_a_minute(&status(), 39, 24),
        ["n[01-02] booting for 50s", "up 2/7, 1 failed, 1m30s left by history"]
    );
    assert_eq!(at_a_minute(&status(), 39, 9), ["n[01-02] booting for 50s; up 2/7"]);
    assert_eq!(
        at_a_minute(&status(), 23, 9),
        ["n01 and 1 more booting for 50s"].map(|_| "2 nodes booting for 50s")
    );
}

/// One in five minutes was told as "0 a minute".
#[test]
fn a_rate_is_told_in_what_makes_it_a_number() {
    let rates =
        [(90.4, Some("90 a minute")), (1.0, Some("1 a minute")), (0.2, Some("12 an hour")), (0.01, None)];
    for (a_minute, said) in rates {
        assert_eq!(rate(a_minute).as_deref(), said);
    }
}

/// Those who said something else are not said to have said the same.
#[test]
fn the_live_line_puts_no_words_into_anybodys_mouth() {
    let mut status = status();
    status.busy[1].last = "power unknown".to_owned();
    status.busy[0].last = String::new();
    let lines = at_a_minute(&status, 79, 24);
    assert_eq!(lines[0], "n01 booting for 50s; n02 booting for 40s (power unknown)");
}

#[test]
fn somebody_who_asks_is_told_who_holds_whom_and_who_waits_for_whom() {
    let ids = |numbers: &[u32]| numbers.iter().copied().map(NodeId).collect();
    let in_the_way = InTheWay {
        held: vec![Hindered { nodes: ids(&[2]), by: ids(&[0]) }],
        waiting: vec![Hindered { nodes: ids(&[1, 2]), by: ids(&[0]) }],
    };
    let status = RunStatus { held: 1, total: 8, ..status() };
    let said = whole(&status, &in_the_way, (Duration::ZERO, Duration::from_secs(60)), &name, None);
    let wanted = [
        "up 2/8, 1 failed, 1 held, 1m30s left by history, 2 a minute, 1m00s so far",
        "n[01-02]: booting for up to 50s (power on, probe down)",
        "n03: held by n01",
        "n[02-03]: waiting for n01",
    ];
    assert_eq!(said, wanted);
    let said = whole(&status, &InTheWay::default(), (Duration::ZERO, Duration::ZERO), &name, None);
    assert_eq!(said[2..], ["1 is held", "2 wait for others"]);
}

/// A run of so many imagined nodes: storage, boot servers that wait for it, and nodes that wait for theirs. One boot
/// server and a few nodes never come up, and one node does not do as it is told.
struct World {
    names: Vec<String>,
    groups: Vec<Vec<NodeId>>,
    edges: Vec<(GroupId, GroupId)>,
    natures: Vec<(Nature, NodeState)>,
}

impl World {
    fn of(count: usize) -> Self {
        let servers = (count / 100).max(2);
        let mut names: Vec<String> = (1..=2).map(|io| format!("io{io}")).collect();
        names.extend((1..=servers).map(|boot| format!("boot{boot:03}")));
        let first = names.len();
        names.extend((1..=count - first).map(|node| format!("n{node:05}")));
        let mut groups: Vec<Vec<NodeId>> = vec![Vec::new(); 1 + 2 * servers];
        let mut edges = Vec::new();
        for (at, node) in (0..).map(NodeId).enumerate().take(count) {
            let group = match at {
                0..=1 => 0,
                _ if at < first => at - 1,
                _ => 1 + servers + (at - first) * servers / (count - first),
            };
            groups[group].push(node);
        }
        let id = |group: usize| GroupId(u32::try_from(group).unwrap());
        for server in 0..servers {
            edges.push((id(0), id(1 + server)));
            edges.push((id(1 + server), id(1 + servers + server)));
        }
        let natures = (0..count).map(|at| {
            let seconds = 20 + (at * 7919 % 97) as u64;
            let mut nature = Nature::sound(Duration::from_secs(seconds), Duration::from_secs(10));
            nature.latency = Duration::from_millis(500);
            if at == first - 1 || at % 250 == 7 {
                nature.boot = None;
            }
            if at == first + 1 {
                nature.fail();
            }
            (nature, NodeState::Off)
        });
        let natures = natures.collect();
        Self { names, groups, edges, natures }
    }

    /// Returns what is shown at these times on screens of these sizes, and what somebody who asks is told.
    fn shown(self, sizes: &[ScreenSize], times: &[u64]) -> String {
        let count = self.names.len();
        let order = Order::new(count, &self.groups, &self.edges);
        let targets: Vec<NodeId> = (0..).map(NodeId).take(count).collect();
        let readings = vec![Reading { power: Some(Power::Off), probe: Some(Probe::Down) }; count];
        let takes = vec![60_000; count];
        let options = StartOptions { takes, is_foretold: true, ..StartOptions::default() };
        let mut run = Startup::new(&order, &targets, &readings, options);
        let mut world = Simulation::imagine(self.natures);
        world.set_fanout(64);
        let name = |node: NodeId| self.names[node.index()].as_str();
        let mut shown = String::new();
        for &time in times {
            let time = Duration::from_secs(time);
            while world.now() < time {
                run.advance(&mut world);
                run.take_notices();
                let wake = run.wake().map_or(time, |wake| wake.min(time));
                for event in world.next(Some(wake)) {
                    run.hear(&world, &event);
                }
            }
            run.advance(&mut world);
            let status = run.status(time);
            for size in sizes {
                let room = ScreenSize { columns: size.columns - 1, ..*size };
                shown.push_str(&format!(
                    "--- {count} nodes, {}x{}, after {time:?}\n",
                    size.columns, size.lines
                ));
                for line in lines(&status, Duration::ZERO, time, &name, room) {
                    shown.push_str(&format!("{line}\n"));
                }
            }
            shown.push_str(&format!("--- {count} nodes, asked after {time:?}\n"));
            let in_the_way = InTheWay { held: run.held(), waiting: run.waiting(InTheWay::MOST) };
            let lines = whole(&status, &in_the_way, (Duration::ZERO, time), &name, Some(80));
            let rows: usize = lines.iter().map(|line| width(line).div_ceil(80)).sum();
            assert!(lines.len() <= WHOLE && rows <= WHOLE, "{rows} rows: {lines:#?}");
            lines.iter().for_each(|line| shown.push_str(&format!("{line}\n")));
        }
        shown
    }
}

/// What it looks like, to be read by people whenever it changes (`UPDATE_EXPECT=1`).
#[test]
fn what_is_shown_on_screens_of_every_size_of_runs_of_every_size() {
    let sizes = [(40, 20), (80, 24), (200, 50)].map(|(columns, lines)| ScreenSize { columns, lines });
    let shown: String = [10, 600, 10_000]
        .into_iter()
        .map(|count| World::of(count).shown(&sizes, &[1, 30, 150, 660]))
        .collect();
    expect_test::expect_file!["captures.txt"].assert_eq(&shown);
}

fn any_busy() -> impl Strategy<Value = Vec<(u8, u32)>> {
    proptest::collection::vec((0u8..4, 0u32..5000), 0..80)
}

fn status_of(busy: &[(u8, u32)], counts: (usize, usize, usize)) -> RunStatus {
    let doing = [Doing::Booting, Doing::JudgingPower, Doing::PoweringOn, Doing::Booting];
    let last = [
        "power on, probe down",
        "",
        "節点 says\tno\u{202e}",
        "a driver had a great deal to say about this one",
    ];
    let mut busy: Vec<Busy> = (0..)
        .zip(busy)
        .map(|(node, &(kind, since))| Busy {
            node: NodeId(node),
            doing: doing[usize::from(kind)],
            since: Duration::from_secs(since.into()),
            last: last[usize::from(kind)].to_owned(),
        })
        .collect();
    busy.sort_by_key(|one| (one.since, one.node));
    let (done, failed, held) = counts;
    let left = (done % 2 == 0).then_some(Duration::from_secs(4000));
    RunStatus {
        phase: "starting".into(),
        done,
        failed,
        held,
        total: done + failed + held + busy.len() + 7,
        busy,
        left,
        held_back: if done % 3 == 0 { vec![held_back("n[001-512]")] } else { Vec::new() },
    }
}

proptest! {
    #[test]
    fn no_line_is_wider_than_its_room(
        busy in any_busy(),
        counts in (0usize..10_000, 0usize..3, 0usize..3),
        columns in 1usize..220,
        lines in 1usize..60,
        stem in prop::sample::select(vec!["n", "節点", "a-node-of-a-long-name-and-more-"]),
        step in 1usize..4,
    ) {
        let names: Vec<String> = (0..busy.len()).map(|at| format!("{stem}{:03}", at * step)).collect();
        let name = |node: NodeId| names[node.index()].as_str();
        let status = status_of(&busy, counts);
        let now = Duration::from_secs(7000);
        let mut shown = super::lines(&status, Duration::ZERO, now, &name, ScreenSize { columns, lines });
        prop_assert!(shown.iter().all(|line| width(line) <= columns), "{shown:#?}");
        prop_assert!(shown.iter().all(|line| line.chars().all(|c| !c.is_control())));
        let is_held_back = |line: &String| line.contains(" process 4711 (cstartup");
        prop_assert_eq!(shown.first().is_some_and(is_held_back), !status.held_back.is_empty() && columns >= 36);
        if shown.first().is_some_and(is_held_back) {
            shown.remove(0);
            if lines < TALL {
                prop_assert!(shown.is_empty());
                return Ok(());
            }
        }
        let most = if lines < TALL { 1 } else { 2 };
        prop_assert!(shown.len() <= most);
        if columns < 39 {
            return Ok(());
        }
        let slowest = status.busy.first().map(|first| {
            let alike = |busy: &&Busy| (busy.doing, &busy.last) == (first.doing, &first.last);
            (first, status.busy.iter().filter(alike).count())
        });
        let Some((first, count)) = slowest else {
            prop_assert!(shown[0].starts_with("up "));
            return Ok(());
        };
        // Names first, and whole: those that are named, and those that are counted, are all of them.
        let (before, after) = shown[0].split_once(&format!(" {} for ", first.doing.words())).ok_or(()).or_else(|()| {
            shown[0].split_once(" for ").ok_or_else(|| TestCaseError::fail(shown[0].clone()))
        })?;
        prop_assert!(after.starts_with(&duration::show(now - first.since)));
        if let Some(all) = before.strip_suffix(" nodes").or_else(|| before.strip_suffix(" node")).or_else(|| before.parse::<usize>().is_ok().then_some(before)) {
            prop_assert_eq!(all.parse::<usize>().unwrap(), count);
        } else {
            let (set, more) = before.split_once(" and ").unwrap_or((before, "0 more"));
            let named = nodeset::expand(set).unwrap();
            prop_assert!(named.iter().all(|named| names.contains(named)));
            prop_assert!(named.contains(&names[first.node.index()]));
            prop_assert_eq!(named.len() + more.strip_suffix(" more").unwrap().parse::<usize>().unwrap(), count);
        }
        // And then how many are how, in whole words.
        let parts = summary(&status, Duration::ZERO, now);
        if let [_, counts] = &shown[..] {
            let said: Vec<&str> = counts.split(", ").collect();
            prop_assert_eq!(&parts[..said.len()], said);
        }
    }

    #[test]
    fn all_of_it_takes_twenty_lines_at_most(
        busy in any_busy(),
        held in proptest::collection::vec(1usize..9, 0..9),
        waiting in proptest::collection::vec(1usize..9, 0..5),
        columns in 70usize..220,
    ) {
        let names: Vec<String> = (0..100).map(|at| format!("n{:05}", at * 317 % 1000)).collect();
        let name = |node: NodeId| names[node.index()].as_str();
        let groups = |sizes: &[usize]| {
            let some = |size: usize| (0..).map(NodeId).take(size).collect();
            sizes.iter().map(|&size| Hindered { nodes: some(size), by: some(size * 10) }).collect::<Vec<_>>()
        };
        let status = status_of(&busy, (3, 1, held.iter().sum()));
        let in_the_way = InTheWay { held: groups(&held), waiting: groups(&waiting) };
        let times = (Duration::ZERO, Duration::from_secs(7000));
        let lines = whole(&status, &in_the_way, times, &name, Some(columns));
        let rows: usize = lines.iter().map(|line| width(line).div_ceil(columns)).sum();
        prop_assert!(rows <= WHOLE, "{rows} rows: {lines:#?}");
        prop_assert!(whole(&status, &in_the_way, times, &name, None).len() <= WHOLE);
    }
}
