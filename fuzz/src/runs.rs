//! What a run says of itself to others, and what its log tells of it afterwards.

use cshutdown::beacon::BeaconFacts;
use orderly_exec::visitors::LineBuffer;
use orderly_nodes::claims::RunFacts;
use orderly_nodes::elsewhere::protocol::{RunRecord, RunRequest};
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

/// What comes through the socket of a run, either way, in whatever pieces.
pub(crate) fn spoken(input: &[u8]) {
    const LIMIT: usize = 1000;
    let lines = |size: usize| {
        let (mut lines, mut taken) = (LineBuffer::new(LIMIT), Vec::new());
        for piece in input.chunks(size) {
            lines.add(piece);
            loop {
                match lines.take() {
                    Ok(Some(line)) => taken.push(line),
                    Ok(None) => break,
                    Err(_) => return taken,
                }
            }
        }
        taken
    };
    let whole = lines(input.len().max(1));
    assert_eq!(whole, lines(7), "pieces are read otherwise");
    for line in whole {
        match RunRequest::read(&line) {
            Ok(request) => assert_eq!(RunRequest::read(request.line().trim_end()), Ok(request)),
            Err(said) => assert!(
                said.len() < 2000 && !said.contains(|sign: char| sign.is_control() && sign != '\t'),
                "{said:?}"
            ),
        }
        if let Ok(record) = RunRecord::read(&line) {
            let written = serde_json::to_string(&record).expect("a record is written");
            assert!(!written.contains('\n'), "{written}");
        }
    }
}
