//! Journal records: their JSON, and the step each is about. Which may follow which is in
//! [`crate::step::Progress::record`].

use crate::step::{Plan, Record, StepName, Verdict};
use serde::{Deserialize, Serialize};

/// The first key of every journal line.
pub const FORMAT: &str = "orderly-journal/1";

/// The word of a record in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    Started,
    Done,
    Failed,
    Unknown,
    UndoStarted,
    Undone,
    UndoFailed,
    Interrupted,
    Resumed,
    /// The run is over; the journal takes no more records.
    Closed,
}

/// One line of a journal after the first, and of `--json` output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub format: String,
    pub at: String,
    pub event: Event,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepName>,
    /// Why, or what was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

impl Line {
    /// Returns the line of a record.
    pub fn of<A>(record: Record, plan: &Plan<A>, at: String, detail: Option<String>) -> Self {
        let (event, id) = match record {
            Record::Started(id) => (Event::Started, Some(id)),
            Record::Done(id) => (Event::Done, Some(id)),
            Record::Failed(id) => (Event::Failed, Some(id)),
            Record::Unknown(id) => (Event::Unknown, Some(id)),
            Record::UndoStarted(id) => (Event::UndoStarted, Some(id)),
            Record::Undone(id) => (Event::Undone, Some(id)),
            Record::UndoFailed(id) => (Event::UndoFailed, Some(id)),
            Record::Interrupted => (Event::Interrupted, None),
            Record::Resumed => (Event::Resumed, None),
        };
        let step = id.and_then(|id| plan.steps.get(id.0)).map(|step| step.name.clone());
        Self { format: FORMAT.to_owned(), at, event, step, detail, verdict: None }
    }

    /// Returns the last line of a journal.
    pub fn closed(verdict: Verdict, at: String) -> Self {
        Self {
            format: FORMAT.to_owned(),
            at,
            event: Event::Closed,
            step: None,
            detail: None,
            verdict: Some(verdict),
        }
    }

    /// Returns the record this line states; `Ok(None)` when it closes the journal.
    ///
    /// # Errors
    /// A clause, when it names a step that the plan does not have.
    pub fn record<A>(&self, plan: &Plan<A>) -> Result<Option<Record>, String> {
        let step = || match &self.step {
            Some(name) => plan.find(name).ok_or_else(|| format!("no step of the plan is named \"{name}\"")),
            None => Err("the record names no step".to_owned()),
        };
        Ok(Some(match self.event {
            Event::Started => Record::Started(step()?),
            Event::Done => Record::Done(step()?),
            Event::Failed => Record::Failed(step()?),
            Event::Unknown => Record::Unknown(step()?),
            Event::UndoStarted => Record::UndoStarted(step()?),
            Event::Undone => Record::Undone(step()?),
            Event::UndoFailed => Record::UndoFailed(step()?),
            Event::Interrupted => Record::Interrupted,
            Event::Resumed => Record::Resumed,
            Event::Closed => return Ok(None),
        }))
    }
}

/// Returns a short fingerprint of a text (128-bit FNV-1a). It shows that something was cut, edited or
/// exchanged by mistake; it is no protection against somebody who recomputes it.
pub fn fingerprint(text: &str) -> String {
    let basis: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    let prime: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let hash = text.bytes().fold(basis, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(prime));
    format!("{hash:032x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{Step, StepId, Undo};

    #[test]
    fn every_record_survives_its_json() {
        let plan =
            Plan { steps: vec![Step { name: StepName("stop a".into()), action: (), undo: Undo::Nothing }] };
        let id = StepId(0);
        for record in [
            Record::Started(id),
            Record::Done(id),
            Record::Failed(id),
            Record::Unknown(id),
            Record::UndoStarted(id),
            Record::Undone(id),
            Record::UndoFailed(id),
            Record::Interrupted,
            Record::Resumed,
        ] {
            let line = Line::of(record, &plan, "2026-01-01T00:00:00Z".into(), None);
            let json = serde_json::to_string(&line).unwrap();
            assert!(json.starts_with("{\"format\":\"orderly-journal/1\""), "{json}");
            let back: Line = serde_json::from_str(&json).unwrap();
            assert_eq!(back.record(&plan), Ok(Some(record)));
        }
        let closed = Line::closed(Verdict::Unwound, String::new());
        assert_eq!(closed.record(&plan), Ok(None));
    }

    #[test]
    fn the_fingerprint_is_the_published_function() {
        // Test vector of the FNV authors: the empty text and "foobar".
        assert_eq!(fingerprint(""), "6c62272e07bb014262b821756295c58d");
        assert_eq!(fingerprint("foobar"), "343e1662793c64bf6f0d3597ba446f18");
    }
}
