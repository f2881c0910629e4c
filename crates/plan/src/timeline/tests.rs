//! What is drawn, of few nodes and of many.

use super::svg::TimelineTitle;
use super::*;
use crate::outcome::Outcome;

const TITLE: TimelineTitle<'_> = TimelineTitle { command: "cstartup ALL", about: "today" };

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn node(timeline: &mut Timeline, name: &str, from: u64) {
    timeline.hear(name, ms(from), &Happening::Went(Doing::WaitingForDriver));
    timeline.hear(name, ms(from + 1_000), &Happening::Began(Task::PowerOn));
    timeline.hear(name, ms(from + 2_000), &Happening::Went(Doing::Booting));
    timeline.hear(name, ms(from + 10_000), &Happening::Over(Outcome::Up));
}

#[test]
fn each_stage_is_a_bar_with_its_times() {
    let mut timeline = Timeline::new(TimelineKind::Start);
    node(&mut timeline, "n1", 0);
    node(&mut timeline, "n2", 10_000);
    timeline.mark_critical(["n1", "n2"].into_iter());
    timeline.hear(
        "n3",
        ms(12_000),
        &Happening::Over(Outcome::Failed("the controller says <no> & \"why\"".into())),
    );
    timeline.hear("n4", ms(12_000), &Happening::Over(Outcome::Held([crate::drivers::NodeId(2)].into())));
    timeline.held("n4", ms(0), "n3");
    assert_eq!(timeline.rows[3].end.as_ref().unwrap().at, ms(12_000));
    let svg = timeline.svg(&TITLE, &|_| None);
    for part in [
        "<rect class=\"bar queued\" x=\"0\" y=\"0\" width=\"1000\" height=\"10\"><title>n1 queued: 0s to 1.0s (1.0s)</title>",
        "<title>n2 power: 11s to 12s (1.0s)</title>",
        "<title>n2 booting: 12s to 20s (8.0s)</title>",
        "n3: failed: the controller says &lt;no&gt; &amp; &quot;why&quot;",
        "n4: not begun, held by n3",
        "critical path",
        ">up<",
    ] {
        let part = part.replace(">up<", ">10s, up<");
        assert!(svg.contains(&part), "{part}\nin\n{svg}");
    }
    assert_eq!(svg.matches("<g>").count() + svg.matches("<g class").count(), 4);
    assert_eq!(svg.matches("class=\"critical\"").count(), 2);
}

#[test]
fn powering_off_is_the_end_of_a_stop_and_part_of_a_reset() {
    for (kind, word) in [(TimelineKind::Start, "power"), (TimelineKind::Stop, "off")] {
        let mut timeline = Timeline::new(kind);
        timeline.hear("n1", ms(0), &Happening::Began(Task::PowerOff));
        timeline.close(ms(500));
        assert!(timeline.svg(&TITLE, &|_| None).contains(&format!("bar {word}")));
    }
}

/// A single failure among hundreds was a hair of a band, what was held was drawn as failed, and names stood as they came.
#[test]
fn what_failed_and_what_is_held_is_seen_among_many() {
    let mut timeline = Timeline::new(TimelineKind::Start);
    (0..500).rev().for_each(|at| node(&mut timeline, &format!("n{at}"), 0));
    timeline.hear("n9", ms(9_000), &Happening::Over(Outcome::Failed("no".into())));
    timeline.hear("n10", ms(9_000), &Happening::Over(Outcome::Failed("no".into())));
    timeline.held("n2", ms(9_000), "n[9-10]");
    let svg = timeline.svg(&TITLE, &|name| Some(name[..2].to_owned()));
    let tick = |from: u64, said: &str| {
        format!("<rect class=\"bad\" x=\"{from}\" y=\"0\" width=\"40\" height=\"111\"><title>{said}</title>")
    };
    assert!(svg.contains(&tick(8_960, "n10: failed: no")), "{svg}");
    assert!(!svg.contains(&tick(8_960, "n9: failed: no")), "it is in a row of its own height");
    for part in [">1 not as asked<", ">1 held<", "class=\"held\"", "n2: not begun, held by n[9-10]"] {
        assert!(svg.contains(part), "{part}\nin\n{svg}");
    }
    let mut few = Timeline::new(TimelineKind::Start);
    for name in ["n10", "n2", "n1"] {
        few.held(name, ms(0), "io1");
    }
    let order: Vec<&str> = few.in_order().iter().map(|row| row.name.as_str()).collect();
    assert_eq!(order, ["n1", "n2", "n10"]);
}

/// Stages of less than a second vanished from the picture of a log.
#[test]
fn what_began_and_ended_within_a_second_of_a_log_is_drawn() {
    for (keeps, mut timeline) in
        [(false, Timeline::new(TimelineKind::Stop)), (true, Timeline::to_the_second(TimelineKind::Stop))]
    {
        timeline.hear("n1", ms(1_000), &Happening::Began(Task::Run(RemoteCommand::Halt)));
        timeline.hear("n1", ms(1_000), &Happening::Over(Outcome::Down));
        assert_eq!(timeline.svg(&TITLE, &|_| None).contains("bar halting"), keeps);
    }
}

/// 10,000 nodes are as many rows as they have groups, and never more than can be taken in.
#[test]
fn many_nodes_are_folded_by_group() {
    for groups in [7usize, 500] {
        let mut timeline = Timeline::new(TimelineKind::Start);
        for at in 0..10_000usize {
            node(&mut timeline, &format!("n{at}"), (at % groups) as u64 * 100);
        }
        timeline.hear("n9999", ms(99_000), &Happening::Over(Outcome::Failed("no".into())));
        let group = |name: &str| {
            let number: usize = name[1..].parse().unwrap();
            Some(format!("g{}", number % groups))
        };
        let svg = timeline.svg(&TITLE, &group);
        assert_eq!(svg.matches("<g>").count(), groups.min(rows::ROWS));
        assert!(svg.len() < 600_000, "{} bytes", svg.len());
        assert!(svg.contains("n9999: failed: no"), "the one that failed is named");
        assert!(svg.contains("at most"));
        assert_eq!(svg.contains("groups that ended earlier"), groups > rows::ROWS);
    }
}

/// Every node is counted once at every time from its beginning on, whatever the pieces.
#[test]
fn counted_nodes_add_up() {
    let mut timeline = Timeline::new(TimelineKind::Start);
    for at in 0..100 {
        node(&mut timeline, &format!("n{at}"), 0);
    }
    let folded = timeline.folded(&|_| Some("all".to_owned()));
    let counted = folded[0].counted(timeline.total());
    for piece in 0..counted.well.len() {
        let sum: u32 = counted.stages.values().map(|counts| counts[piece]).sum();
        assert_eq!(
            sum + counted.well[piece],
            if piece == counted.well.len() - 1 { 200 } else { 100 },
            "{piece}"
        );
    }
}

#[test]
fn a_run_in_which_nothing_happened_is_a_picture_as_well() {
    let svg = Timeline::new(TimelineKind::Stop).svg(&TITLE, &|_| None);
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
}

#[test]
fn how_long_nodes_were_in_each_stage_is_counted() {
    let mut timeline = Timeline::new(TimelineKind::Start);
    node(&mut timeline, "n1", 0);
    node(&mut timeline, "n2", 0);
    timeline.hear("n3", ms(0), &Happening::Began(Task::PowerOn));
    timeline.hear("n3", ms(40_000), &Happening::Over(Outcome::Up));
    let time = |stage, nodes, middle, most| StageTime { stage, nodes, middle: ms(middle), most: ms(most) };
    let times =
        [time("queued", 2, 1_000, 1_000), time("power", 3, 1_000, 40_000), time("booting", 2, 8_000, 8_000)];
    assert_eq!(timeline.stages(), times);
}
