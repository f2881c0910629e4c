//! What a run says of itself to others, and what its log tells of it afterwards.

use cshutdown::beacon::BeaconFacts;
use orderly_nodes::claims::RunFacts;
use orderly_nodes::logged::LoggedRun;
use orderly_plan::timeline::TimelineTitle;

pub(crate) fn claim(text: &str) {
    let Some(facts) = RunFacts::parse(text) else { return };
    let _ = (facts.describe(), facts.targets());
    // A run that touches nobody would act beside itself.
    let acts = !facts.claim.targets.is_empty() || !facts.claim.units.is_empty();
    assert!(!acts || facts.claim.touch(&facts.claim).is_some(), "it does not touch itself");
    let written = serde_json::to_string(&facts).expect("facts are written");
    assert_eq!(RunFacts::parse(&written), Some(facts), "{written}");
}

pub(crate) fn within(text: &str) {
    let Some(facts) = BeaconFacts::parse(text) else { return };
    let strangers = facts.strangers(&["n1", "nobody"]);
    assert!(strangers.len() <= 2);
    let written = serde_json::to_string(&facts).expect("facts are written");
    assert_eq!(BeaconFacts::parse(&written), Some(facts), "{written}");
}

pub(crate) fn log(text: &str) {
    let Some(run) = LoggedRun::parse(text) else { return };
    let title = TimelineTitle { command: &run.command, about: &run.about };
    let picture = run.timeline.svg(&title, &|name| Some(name.chars().take(2).collect()));
    assert!(picture.starts_with("<svg") || picture.starts_with("<?xml"), "{picture}");
    assert!(picture.trim_end().ends_with("</svg>"), "{picture}");
    let forbidden = |sign: char| sign.is_control() && !matches!(sign, '\n' | '\t' | '\r');
    assert!(!picture.contains(forbidden), "XML has no such sign: {picture:?}");
    assert_eq!(picture.matches("<script").count(), 0, "a log brings in a script");
    assert_eq!(picture.matches("<style").count(), 1, "a log brings in a style");
}
