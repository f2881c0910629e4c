//! For each rule of the model a walk that ends badly without it, and well with it: the oracle is seen to object.

use super::{Kind, Rule, run};

/// A step of a walk, by name.
mod step {
    pub(super) const GO_ON: u8 = 0;
    pub(super) const EDIT: u8 = 5;
    pub(super) const BACKUP: u8 = 7;
    pub(super) const RELEASE: u8 = 8;
    pub(super) const TAKE: u8 = 10;
    pub(super) const FAIL: u8 = 13;
    pub(super) const CRASH: u8 = 14;
    pub(super) const BOOT: u8 = 15;
    pub(super) const FENCE: u8 = 17;
    pub(super) const DISCLAIM: u8 = 18;
    pub(super) const KILL: u8 = 19;
}

/// Returns the walk that ends badly without a rule, and well with it.
fn walk_without(rule: Rule) -> Vec<(u8, usize, u8)> {
    use step::*;
    // By the newest record: begin, compare, take, restore, run.
    let takes = |h| [(TAKE, h, 0), (GO_ON, h, 0), (GO_ON, h, 0), (GO_ON, h, 0), (GO_ON, h, 0)];
    let edits = |h| [(EDIT, h, 0), (EDIT, h, 1)];
    let (with_backup, without) = (1, 0);
    match rule {
        // Both released, the records were exchanged, both are past the last comparison.
        Rule::Serial => {
            let exchanged = [(RELEASE, 0, with_backup), (RELEASE, 1, without)];
            [
                &exchanged[..],
                &[(TAKE, 0, 0), (TAKE, 1, 1), (GO_ON, 0, 0), (GO_ON, 1, 0), (GO_ON, 0, 0), (GO_ON, 1, 0)],
            ]
            .concat()
        }
        // An older record is used, after its maker took the asset back and edited more.
        Rule::Mark => [
            &edits(0)[..],
            &[(RELEASE, 0, with_backup)],
            &takes(0),
            &edits(0),
            &[(RELEASE, 0, with_backup), (TAKE, 1, 1)],
            &takes(1)[1..],
            &[(EDIT, 1, 0), (RELEASE, 1, with_backup)],
            &takes(0),
        ]
        .concat(),
        // There and back; what was edited then has no snapshot.
        Rule::ThisHolding => [
            &edits(0)[..],
            &[(RELEASE, 0, with_backup)],
            &takes(1),
            &edits(1),
            &[(RELEASE, 1, with_backup)],
            &takes(0),
            &edits(0),
            &[(RELEASE, 0, without)],
            &takes(1),
        ]
        .concat(),
        // There and back, and a crash: what the peer made last is older than what is here.
        Rule::LastHolding => [
            &edits(0)[..],
            &[(RELEASE, 0, with_backup)],
            &takes(1),
            &edits(1),
            &[(RELEASE, 1, with_backup)],
            &takes(0),
            &edits(0),
            &[(CRASH, 0, 0), (BOOT, 0, 0), (FENCE, 0, 0)],
            &takes(0)[1..],
        ]
        .concat(),
        // The way back, with a snapshot older than what is live.
        Rule::NeverOwn => [&[(BACKUP, 0, 0)][..], &edits(0), &[(RELEASE, 0, without)], &takes(0)].concat(),
        // A takeover takes back its restore, and the next one runs without.
        Rule::Owed => [
            &edits(0)[..],
            &[(RELEASE, 0, with_backup), (TAKE, 1, 0), (GO_ON, 1, 0), (GO_ON, 1, 0), (GO_ON, 1, 0)],
            &[(FAIL, 1, 0)],
            &takes(1),
            &[(EDIT, 1, 0), (RELEASE, 1, with_backup)],
            &takes(0),
        ]
        .concat(),
        // The peer disclaimed, and took the asset afterwards.
        Rule::TakenSince => [
            &[
                (CRASH, 0, 0),
                (DISCLAIM, 1, 0),
                (FENCE, 1, 0),
                (GO_ON, 1, 0),
                (GO_ON, 1, 0),
                (GO_ON, 1, 0),
                (GO_ON, 1, 0),
            ][..],
            &[(BOOT, 0, 0), (TAKE, 0, 0), (GO_ON, 0, 0), (GO_ON, 0, 0)],
        ]
        .concat(),
        // The peer is fenced, comes up again, and gets the asset back by an earlier word of this host.
        Rule::OffAgain => vec![
            (CRASH, 0, 0),
            (DISCLAIM, 1, 0),
            (FENCE, 1, 0),
            (GO_ON, 1, 0),
            (BOOT, 0, 0),
            (TAKE, 0, 0),
            (GO_ON, 0, 0),
            (GO_ON, 0, 0),
            (GO_ON, 1, 0),
        ],
        // This host has made many records, the peer few.
        Rule::After => vec![(RELEASE, 0, with_backup), (RELEASE, 0, without), (RELEASE, 0, without)],
        Rule::Disclaimer => vec![(CRASH, 0, 0), (BOOT, 0, 0)],
        // Both released; one takes by the record of the other, who takes by it as well.
        Rule::OwnRecord => vec![
            (RELEASE, 0, with_backup),
            (RELEASE, 1, without),
            (TAKE, 0, 0),
            (TAKE, 1, 0),
            (GO_ON, 0, 0),
            (GO_ON, 1, 0),
            (GO_ON, 0, 0),
            (GO_ON, 1, 0),
        ],
        // Edited after its last snapshot, handed over without another, and back.
        Rule::Base => [
            &edits(0)[..],
            &[(BACKUP, 0, 0)],
            &edits(0),
            &[(RELEASE, 0, without)],
            &takes(1),
            &[(EDIT, 1, 0), (RELEASE, 1, with_backup)],
            &takes(0),
        ]
        .concat(),
        // Never a snapshot, and back.
        Rule::Unsaved => [
            &edits(0)[..],
            &[(RELEASE, 0, without)],
            &takes(1),
            &[(EDIT, 1, 0), (RELEASE, 1, with_backup)],
            &takes(0),
        ]
        .concat(),
        // A backup amid a takeover that was killed before its restore, and then a fence.
        Rule::NoneDue => [
            &edits(0)[..],
            &[(RELEASE, 0, with_backup), (TAKE, 1, 0), (GO_ON, 1, 0), (GO_ON, 1, 0), (KILL, 1, 0)],
            &[(BACKUP, 1, 0), (FENCE, 0, 0), (GO_ON, 0, 0), (GO_ON, 0, 0), (GO_ON, 0, 0)],
        ]
        .concat(),
    }
}

#[test]
fn the_oracle_objects_when_any_rule_is_taken_out() {
    let rules = [
        Rule::Serial,
        Rule::Mark,
        Rule::ThisHolding,
        Rule::LastHolding,
        Rule::NeverOwn,
        Rule::Owed,
        Rule::TakenSince,
        Rule::OffAgain,
        Rule::After,
        Rule::Disclaimer,
        Rule::NoneDue,
        Rule::OwnRecord,
        Rule::Base,
        Rule::Unsaved,
    ];
    let mut silent = Vec::new();
    for rule in rules {
        let steps = walk_without(rule);
        // Walks with a way back by an own record.
        let is_way_back = [Rule::Mark, Rule::NeverOwn, Rule::Owed].contains(&rule);
        let kind = if is_way_back { Kind::Mmp } else { Kind::Ext4 };
        assert_eq!(run(kind, None, &steps).err(), None, "with {rule:?} in place");
        if run(kind, Some(rule), &steps).is_ok() {
            silent.push(rule);
        }
    }
    assert!(silent.is_empty(), "nothing objects without {silent:?}");
}

/// Handed over with a snapshot, taken back, failed: the record named nothing, and the peer ran on old files.
#[test]
fn a_record_that_names_none_hides_no_snapshot_of_an_earlier_holding() {
    use step::*;
    let fails = [(TAKE, 0, 0), (GO_ON, 0, 0), (GO_ON, 0, 0), (FAIL, 0, 0)];
    let peer = [(TAKE, 1, 0), (GO_ON, 1, 0), (GO_ON, 1, 0), (GO_ON, 1, 0), (GO_ON, 1, 0)];
    let steps = [&[(EDIT, 0, 0), (RELEASE, 0, 1)][..], &fails, &fails, &peer].concat();
    assert_eq!(run(Kind::Mmp, None, &steps).err(), None);
}
