//! Where so many of a group are enough: when each node begins, and who is held, worked out from how the others ended.

use super::*;
use crate::threshold::Threshold;

type StatedEdge = (u32, u32, Option<Threshold>);

fn order_with(case: &Case, edges: &[StatedEdge]) -> Order {
    let edges = edges.iter().map(|&(a, b, threshold)| (GroupId(a), GroupId(b), threshold));
    Order::of(
        COUNT as usize,
        case.groups.len(),
        |group| case.groups[group.index()].iter().copied().map(NodeId),
        edges.collect::<Vec<_>>().into_iter(),
    )
}

/// When something comes about; `None` is never.
type Time = Option<Duration>;

fn all(times: impl IntoIterator<Item = Time>) -> Time {
    times.into_iter().try_fold(Duration::ZERO, |last, time| Some(last.max(time?)))
}

/// What the run did, by node: when it came up, when it counted as that for those that need so many, and when it was
/// over in any way.
struct Seen {
    up: Vec<Time>,
    counted: Vec<Time>,
    over: Vec<Time>,
}

impl Seen {
    fn new(notices: &[Notice], endings: &[NodeEnding]) -> Self {
        let over = |ending: &NodeEnding| {
            let is_over =
                |notice: &&Notice| notice.node == ending.node && matches!(notice.what, Happening::Over(_));
            ending.ended.or_else(|| notices.iter().find(is_over).map(|notice| notice.at))
        };
        // One that is up already and whose turn never came is held all the same.
        let up = |ending: &NodeEnding| {
            (ending.outcome.is_well() && ending.began.is_some()).then_some(ending.ended).flatten()
        };
        // It runs, though, and counts as soon as it is known that its turn will not come.
        let counted = |ending: &NodeEnding| {
            if ending.outcome.is_well() && ending.began.is_none() { over(ending) } else { up(ending) }
        };
        Self {
            up: endings.iter().map(up).collect(),
            counted: endings.iter().map(counted).collect(),
            over: endings.iter().map(over).collect(),
        }
    }
}

struct Oracle<'c> {
    groups: &'c [Vec<u32>],
    edges: &'c [StatedEdge],
    seen: Seen,
}

impl Oracle<'_> {
    fn members(&self, group: u32) -> BTreeSet<u32> {
        self.groups[group as usize].iter().copied().collect()
    }

    fn begin(&self, group: u32) -> Time {
        all(self.edges.iter().filter(|edge| edge.1 == group).map(|&(before, _, threshold)| match threshold {
            None => self.end(before),
            Some(threshold) => self.enough(before, threshold),
        }))
    }

    fn end(&self, group: u32) -> Time {
        let members = self.members(group);
        all([self.begin(group)].into_iter().chain(members.iter().map(|&node| self.seen.up[node as usize])))
    }

    fn enough(&self, group: u32, threshold: Threshold) -> Time {
        let members = self.members(group);
        if members.is_empty() {
            return self.begin(group);
        }
        if threshold == Threshold::Ended {
            return all(members.iter().map(|&node| self.seen.over[node as usize]));
        }
        let mut up: Vec<Duration> =
            members.iter().filter_map(|&node| self.seen.counted[node as usize]).collect();
        up.sort_unstable();
        let needed = match threshold {
            Threshold::Percent(percent) => (members.len() * usize::from(percent)).div_ceil(100),
            Threshold::Count(count) => count as usize,
            Threshold::Ended => 0,
        };
        up.get(needed - 1).copied()
    }

    fn may_begin(&self, node: u32) -> Time {
        let of_node = (0u32..).zip(self.groups).filter(|(_, members)| members.contains(&node));
        all(of_node.map(|(group, _)| self.begin(group)))
    }

    fn judge(&self, endings: &[NodeEnding]) -> Result<(), String> {
        let start = endings.iter().filter_map(|ending| ending.began).min().unwrap_or_default();
        for ending in endings {
            let wanted = self.may_begin(ending.node.0).map(|time| time.max(start));
            if ending.began != wanted {
                return Err(format!("{ending:?} should have begun at {wanted:?}"));
            }
        }
        Ok(())
    }
}

fn case_with_thresholds() -> impl Strategy<Value = (Case, Vec<StatedEdge>)> {
    let threshold = prop_oneof![
        2 => Just(None),
        3 => (1u32..4).prop_map(|count| Some(Threshold::Count(count))),
        2 => (1u8..=100).prop_map(|percent| Some(Threshold::Percent(percent))),
        1 => Just(Some(Threshold::Ended)),
    ];
    (case(), prop::collection::vec(threshold, 9)).prop_map(|(case, thresholds)| {
        let edges = case.edges.iter().zip(thresholds).map(|(&(a, b), threshold)| {
            let size = case.groups[a as usize].iter().collect::<BTreeSet<_>>().len();
            let is_possible = !matches!(threshold, Some(Threshold::Count(count)) if count as usize > size);
            (a, b, threshold.filter(|_| is_possible))
        });
        let edges = edges.collect();
        let natures = case.natures.iter().map(|nature| match nature {
            // Their condition is unknown at first, which is another story.
            Nature::Silent => Nature::Dead,
            other => *other,
        });
        let case = Case {
            natures: natures.collect(),
            able: Abilities { probes: true, reads_power: true, ..case.able },
            own: None,
            ..case.unlimited()
        };
        (case, edges)
    })
}

fn judged(case: &Case, edges: &[StatedEdge], order: &Order) -> Result<(), String> {
    let (_, _, notices, endings) = run(case, order);
    let seen = Seen::new(&notices, &endings);
    Oracle { groups: &case.groups, edges, seen }.judge(&endings)
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn each_node_begins_as_soon_as_enough_are_up_and_never_before((case, edges) in case_with_thresholds()) {
        let order = order_with(&case, &edges);
        prop_assume!(order.sorted().is_some());
        prop_assert_eq!(judged(&case, &edges, &order), Ok(()));
    }
}

/// n0, n1 and n2 before n3; n1 is dead.
fn one_of_three_is_dead() -> Case {
    let mut natures = vec![Nature::Sound; COUNT as usize];
    natures[1] = Nature::Dead;
    let able = Abilities { runs_commands: true, ..single::ALL };
    Case {
        groups: vec![vec![0, 1, 2], vec![3]],
        edges: vec![(0, 1)],
        natures,
        boots: (0..u64::from(COUNT)).map(|node| 5 + 5 * node).collect(),
        ..Case::plain(Nature::Sound, able)
    }
}

#[test]
fn a_dead_member_holds_nobody_where_two_are_enough() {
    let case = one_of_three_is_dead();
    let outcome = |threshold| {
        let edges = [(0, 1, threshold)];
        let (_, _, _, endings) = run(&case, &order_with(&case, &edges));
        (endings[3].began.map(|began| began > endings[2].ended.unwrap()), endings[3].outcome.clone())
    };
    let held = Outcome::Held([NodeId(1)].into());
    assert_eq!(outcome(None), (None, held.clone()));
    assert_eq!(outcome(Some(Threshold::Count(3))), (None, held.clone()));
    assert_eq!(outcome(Some(Threshold::Percent(67))), (None, held));
    let began_at_once = (Some(false), Outcome::Up);
    assert_eq!(outcome(Some(Threshold::Count(1))), began_at_once);
    assert_eq!(outcome(Some(Threshold::Count(2))), began_at_once);
    assert_eq!(outcome(Some(Threshold::Ended)), (Some(true), Outcome::Up), "the dead one takes its time");
}

/// n0 leads n1 and is broken; n1 and n2 are a group of which n3 waits for so many. n1 runs already.
#[test]
fn a_member_that_runs_already_and_is_held_counts_for_those_that_need_so_many() {
    let outcome = |threshold, natures: &[(usize, Nature)]| {
        let mut case = one_of_three_is_dead();
        case.groups = vec![vec![0], vec![1], vec![1, 2], vec![3]];
        (case.natures[0], case.natures[1]) = (Nature::Broken, Nature::Running);
        natures.iter().for_each(|&(node, nature)| case.natures[node] = nature);
        let (_, _, _, endings) = run(&case, &order_with(&case, &[(0, 1, None), (2, 3, threshold)]));
        endings[3].outcome.clone()
    };
    let held = |by: u32| Outcome::Held([NodeId(by)].into());
    assert_eq!(outcome(None, &[]), held(0), "n1 is waited for itself");
    assert_eq!(outcome(Some(Threshold::Count(2)), &[]), Outcome::Up);
    assert_eq!(outcome(Some(Threshold::Count(1)), &[(2, Nature::Dead)]), Outcome::Up);
    assert_eq!(outcome(Some(Threshold::Count(2)), &[(2, Nature::Dead)]), held(2), "n1 alone is up");
    assert_eq!(outcome(Some(Threshold::Count(2)), &[(1, Nature::Sound)]), held(0), "n1 is down and held");
}

/// The oracle is worth what it objects to.
#[test]
fn the_oracle_objects_to_a_run_without_thresholds_and_to_one_with_a_smaller_number() {
    let case = one_of_three_is_dead();
    let edges = |threshold| [(0, 1, threshold)];
    let two = edges(Some(Threshold::Count(2)));
    assert_eq!(judged(&case, &two, &order_with(&case, &two)), Ok(()));
    for other in [None, Some(Threshold::Count(1)), Some(Threshold::Ended)] {
        let said = judged(&case, &two, &order_with(&case, &edges(other)));
        assert!(said.is_err(), "{other:?}");
    }
}

/// n0, n1 and n2 lead n3; n0 and n1 are broken, and fail in turn.
fn two_of_three_are_broken() -> Case {
    let mut case = one_of_three_is_dead();
    (case.natures[0], case.natures[1]) = (Nature::Broken, Nature::Broken);
    case
}

/// Only the last that failed was named, as if the first one were well.
#[test]
fn all_that_failed_by_then_are_named_when_a_node_is_held() {
    let case = two_of_three_are_broken();
    for threshold in [None, Some(Threshold::Count(2)), Some(Threshold::Percent(60))] {
        let (_, _, notices, _) = run(&case, &order_with(&case, &[(0, 1, threshold)]));
        let over = notices.into_iter().find_map(|notice| match notice.what {
            Happening::Over(outcome) if notice.node == NodeId(3) => Some(outcome),
            _ => None,
        });
        assert_eq!(over, Some(Outcome::Held([NodeId(0), NodeId(1)].into())), "{threshold:?}");
    }
}

/// Who asked amid a run was only told how many are held.
#[test]
fn who_is_held_by_whom_is_known_amid_the_run() {
    let mut case = two_of_three_are_broken();
    case.groups[1].push(4);
    // Another one goes on: the run is not over.
    case.boots[5] = 500;
    let order = order_with(&case, &[(0, 1, None)]);
    let mut world = World::new(&case.natures, &case.boots, case.able, case.fanout);
    let targets: Vec<NodeId> = (0..6).map(NodeId).collect();
    let off = Reading { power: Some(Power::Off), probe: Some(Probe::Down) };
    let mut startup = Startup::new(&order, &targets, &[off; COUNT as usize], StartOptions::default());
    while startup.status(world.now).held < 2 || startup.status(world.now).failed < 2 {
        startup.advance(&mut world);
        assert!(!startup.is_over());
        for event in world.next(startup.wake()) {
            startup.hear(&world, &event);
        }
    }
    let by = [NodeId(0), NodeId(1)].to_vec();
    assert_eq!(startup.held(), [crate::notice::Hindered { nodes: [NodeId(3), NodeId(4)].to_vec(), by }]);
}
