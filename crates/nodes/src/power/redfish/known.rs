//! What is known of a node's system, and which question is next: where it is, how it stands, what it lets itself be
//! reset by, and only then the reset.

use super::address::SYSTEMS;
use super::answer::Refusal;
use super::system::{self, ResetTypes};
use orderly_plan::drivers::{FailureKind, Power};
use serde_json::Value;
use std::time::{Duration, Instant};

/// The questions to a BMC, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    FindSystem,
    ReadSystem,
    ReadResetTypes,
    Reset,
}

/// What is known of a node's system.
#[derive(Debug)]
pub(super) struct Known {
    /// Where it is.
    path: Option<String>,
    /// The BMC said so, and not the inventory.
    is_found: bool,
    /// Where a reset is sent.
    target: Option<String>,
    types: ResetTypes,
    /// As it read last.
    pub(super) power: Power,
    /// What it said when that is neither on nor off.
    pub(super) state: String,
    /// The number that its maker gave the machine.
    pub(super) uuid: Option<String>,
    /// Why the last question had no answer.
    pub(super) refusal: Option<Refusal>,
    /// It wants to be left alone until then.
    pub(super) busy_until: Option<Instant>,
}

/// What was wanted of a system: nothing but how it stands, or a reset of this type, which this key of `cluster.toml`
/// sets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'w> {
    pub(super) reset_type: Option<&'w str>,
    pub(super) key: &'static str,
}

impl Known {
    /// Returns what is known of a system that the inventory names.
    pub(super) fn named(path: Option<String>) -> Self {
        Self {
            path,
            is_found: false,
            target: None,
            types: ResetTypes::Unsaid,
            power: Power::Unknown,
            state: String::new(),
            uuid: None,
            refusal: None,
            busy_until: None,
        }
    }

    /// Returns the next question, and the path it goes to.
    pub(super) fn next(&self, wanted: &Wanted<'_>) -> (Step, String) {
        let Some(path) = &self.path else { return (Step::FindSystem, SYSTEMS.to_owned()) };
        let Some(reset_type) = wanted.reset_type else { return (Step::ReadSystem, path.clone()) };
        match (&self.target, &self.types) {
            (None, _) => (Step::ReadSystem, path.clone()),
            (Some(_), ResetTypes::Elsewhere(info)) => (Step::ReadResetTypes, info.clone()),
            // Another firmware may have learnt it since.
            (Some(_), ResetTypes::These(types)) if !types.iter().any(|known| known == reset_type) => {
                (Step::ReadSystem, path.clone())
            }
            (Some(target), ResetTypes::These(_) | ResetTypes::Unsaid) => (Step::Reset, target.clone()),
        }
    }

    /// Takes an answer; tells whether another question follows.
    pub(super) fn take(
        &mut self,
        step: Step,
        answer: Result<Value, Refusal>,
        wanted: &Wanted<'_>,
        attribute: &str,
    ) -> bool {
        self.refusal = None;
        self.busy_until = None;
        let taken = match (step, answer) {
            // Whoever does not say what is allowed finds out when it is asked.
            (Step::ReadResetTypes, answer) => {
                self.types = answer.map_or(ResetTypes::Unsaid, |json| system::types_of_info(&json));
                Ok(())
            }
            (_, Err(refusal)) => Err(refusal),
            (Step::FindSystem, Ok(json)) => system::only_member(&json, attribute).map(|path| {
                self.path = Some(path);
                self.is_found = true;
            }),
            (Step::ReadSystem, Ok(json)) => self.take_system(&json),
            (Step::Reset, Ok(_)) => Ok(()),
        };
        if let Err(refusal) = taken {
            self.refuse(step, refusal);
            return false;
        }
        if step == Step::Reset || step >= Step::ReadSystem && wanted.reset_type.is_none() {
            return false;
        }
        let follows = self.next(wanted).0 > step;
        if !follows {
            self.refusal = self.unallowed(wanted);
        }
        follows
    }

    fn take_system(&mut self, json: &Value) -> Result<(), Refusal> {
        let path = self.path.as_deref().unwrap_or_default();
        let system = system::read(path, json)?;
        (self.power, self.state) = (system.power, system.state);
        self.uuid = system.uuid.or(self.uuid.take());
        // What was read elsewhere is not read again each time.
        if self.target.is_none() || !matches!(system.types, ResetTypes::Elsewhere(_)) {
            self.types = system.types;
        }
        self.target = Some(system.target);
        Ok(())
    }

    fn refuse(&mut self, step: Step, mut refusal: Refusal) {
        self.power = Power::Unknown;
        if refusal.is_missing {
            let path = self.path.as_deref().filter(|_| step > Step::FindSystem).unwrap_or(SYSTEMS).to_owned();
            refusal.words = format!("{} ({path})", refusal.words);
            // The BMC counts its systems anew after an update of its firmware.
            if std::mem::take(&mut self.is_found) {
                self.path = None;
                self.target = None;
            }
        }
        self.busy_until = refusal.wait.map(|wait| Instant::now() + wait.min(LONGEST));
        self.refusal = Some(refusal);
    }

    /// Takes note that nothing was heard.
    pub(super) fn miss(&mut self, refusal: Refusal) {
        self.power = Power::Unknown;
        self.refusal = Some(refusal);
    }

    /// Returns why a reset is not even asked for.
    pub(super) fn unallowed(&self, wanted: &Wanted<'_>) -> Option<Refusal> {
        let (ResetTypes::These(types), Some(reset_type)) = (&self.types, wanted.reset_type) else {
            return None;
        };
        if types.iter().any(|known| known == reset_type) {
            return None;
        }
        let (key, types) = (wanted.key, types.join(", "));
        let words = format!("the system allows {types}, and not {reset_type}; write one of them as {key}");
        Some(Refusal::new(FailureKind::Misconfigured, words))
    }
}

/// The longest that a BMC is left alone because it asks for it.
const LONGEST: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const READ: Wanted<'static> = Wanted { reset_type: None, key: "" };
    const ON: Wanted<'static> = Wanted { reset_type: Some("On"), key: "power.on" };

    fn system(action: &Value) -> Result<Value, Refusal> {
        Ok(json!({"PowerState": "Off", "Actions": {"#ComputerSystem.Reset": action}}))
    }

    fn collection() -> Result<Value, Refusal> {
        Ok(json!({"Members": [{"@odata.id": "/redfish/v1/Systems/1"}]}))
    }

    #[test]
    fn a_power_on_is_sent_after_all_that_has_to_be_known_and_then_at_once() {
        let mut known = Known::named(None);
        assert_eq!(known.next(&ON).0, Step::FindSystem);
        assert!(known.take(Step::FindSystem, collection(), &ON, "system"));
        assert_eq!(known.next(&ON), (Step::ReadSystem, "/redfish/v1/Systems/1".into()));
        assert!(known.take(
            Step::ReadSystem,
            system(&json!({"target": "/t", "@Redfish.ActionInfo": "/i"})),
            &ON,
            ""
        ));
        assert_eq!(known.next(&ON), (Step::ReadResetTypes, "/i".into()));
        let info = json!({"Parameters": [{"Name": "ResetType", "AllowableValues": ["On"]}]});
        assert!(known.take(Step::ReadResetTypes, Ok(info), &ON, ""));
        assert_eq!(known.next(&ON), (Step::Reset, "/t".into()));
        assert!(!known.take(Step::Reset, Ok(json!(null)), &ON, "") && known.refusal.is_none());
        // A question in between leaves what was found out elsewhere as it is.
        known.take(
            Step::ReadSystem,
            system(&json!({"target": "/t", "@Redfish.ActionInfo": "/i"})),
            &READ,
            "",
        );
        assert_eq!((known.next(&ON).0, known.power), (Step::Reset, Power::Off));
    }

    #[test]
    fn what_is_not_allowed_is_not_sent_and_asked_about_again_later() {
        let mut known = Known::named(Some("/s".into()));
        let never = system(&json!({"ResetType@Redfish.AllowableValues": ["ForceOn", "ForceOff"]}));
        assert!(!known.take(Step::ReadSystem, never, &ON, ""));
        let refusal = known.refusal.take().unwrap();
        assert_eq!(refusal.kind, FailureKind::Misconfigured);
        assert!(
            refusal.words.contains("allows ForceOn, ForceOff, and not On; write one of them as power.on")
        );
        assert_eq!(known.next(&ON).0, Step::ReadSystem);
        assert!(known.take(Step::ReadSystem, system(&json!({})), &ON, ""), "a new firmware says nothing");
    }

    #[test]
    fn a_system_that_was_found_and_is_gone_is_looked_for_again_and_a_named_one_is_not() {
        let gone = || {
            Err(Refusal { is_missing: true, ..Refusal::new(FailureKind::Misconfigured, "no such system") })
        };
        let mut known = Known::named(None);
        known.take(Step::FindSystem, collection(), &READ, "");
        assert!(!known.take(Step::ReadSystem, gone(), &READ, ""));
        assert!(known.refusal.as_ref().unwrap().words.contains("(/redfish/v1/Systems/1)"));
        assert_eq!(known.next(&READ).0, Step::FindSystem);
        let mut known = Known::named(Some("/s".into()));
        known.take(Step::ReadSystem, gone(), &READ, "");
        assert_eq!(known.next(&READ), (Step::ReadSystem, "/s".into()));
    }

    #[test]
    fn a_refusal_leaves_no_power_behind() {
        let mut known = Known::named(Some("/s".into()));
        known.take(Step::ReadSystem, system(&json!({})), &READ, "");
        assert_eq!(known.power, Power::Off);
        known.take(Step::ReadSystem, Err(Refusal::new(FailureKind::TimedOut, "")), &READ, "");
        assert_eq!(known.power, Power::Unknown);
    }
}
