//! What a BMC says of its systems: which there are, how one stands, and how it lets itself be reset.

use super::address::{SYSTEMS, is_path};
use super::answer::Refusal;
use orderly_plan::drivers::{FailureKind, Power};
use serde_json::Value;

/// The systems listed in an error; a chassis has no more.
const LISTED: usize = 32;

/// How a state is called that a BMC leaves empty.
const NOTHING: &str = "nothing";

/// What a system lets itself be reset by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum ResetTypes {
    /// It was not asked yet, or does not say.
    #[default]
    Unsaid,
    /// It says so elsewhere (ActionInfo).
    Elsewhere(String),
    These(Vec<String>),
}

/// How a system stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct System {
    pub(super) power: Power,
    /// What it says when that is neither on nor off.
    pub(super) state: String,
    /// The number that its maker gave the machine.
    pub(super) uuid: Option<String>,
    /// Where a reset is sent.
    pub(super) target: String,
    pub(super) types: ResetTypes,
}

/// Returns the path of the only system of a BMC.
///
/// # Errors
/// When there is none, or more than one.
pub(super) fn only_member(collection: &Value, attribute: &str) -> Result<String, Refusal> {
    let members = collection.get("Members").and_then(Value::as_array);
    let paths: Vec<&str> = members.into_iter().flatten().filter_map(|member| id(member)).collect();
    let wrong = |words: String| Err(Refusal::new(FailureKind::Misconfigured, words));
    match paths[..] {
        [path] if is_path(path) => Ok(path.trim_end_matches('/').to_owned()),
        [_] => wrong("the BMC names its system by no path".to_owned()),
        [] if members.is_none() => {
            Err(Refusal::strange(format!("what answers at {SYSTEMS} does not speak Redfish")))
        }
        [] => wrong("the BMC has no system".to_owned()),
        _ => {
            let ids = paths
                .iter()
                .take(LISTED)
                .map(|path| path.trim_end_matches('/').rsplit('/').next().unwrap_or(path));
            let ids: Vec<&str> = ids.collect();
            let more = if paths.len() > LISTED { ", …" } else { "" };
            wrong(format!(
                "the BMC has {} systems ({}{more}); write the one that is meant as \"{attribute}\" into the inventory",
                paths.len(),
                ids.join(", ")
            ))
        }
    }
}

fn id(of: &Value) -> Option<&str> {
    of.get("@odata.id")?.as_str()
}

/// Returns how a system stands.
///
/// # Errors
/// When it is none.
pub(super) fn read(path: &str, json: &Value) -> Result<System, Refusal> {
    let Some(state) = json.get("PowerState") else {
        let words =
            if json.is_object() { "the system says nothing of its power" } else { "the answer is no JSON" };
        return Err(Refusal::strange(format!("{words}: {path}")));
    };
    let state = match state {
        Value::String(state) => state.clone(),
        Value::Null => NOTHING.to_owned(),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => other.to_string(),
    };
    let power = match state.as_str() {
        "On" => Power::On,
        "Off" => Power::Off,
        _ => Power::Unknown,
    };
    let action = json.get("Actions").and_then(|actions| actions.get("#ComputerSystem.Reset"));
    let of_action = |key: &str| action.and_then(|action| action.get(key));
    let target = of_action("target").and_then(Value::as_str).filter(|target| is_path(target));
    let info = of_action("@Redfish.ActionInfo").and_then(Value::as_str).filter(|info| is_path(info));
    let types = match (of_action("ResetType@Redfish.AllowableValues").and_then(texts), info) {
        (Some(types), _) => ResetTypes::These(types),
        (None, Some(info)) => ResetTypes::Elsewhere(info.to_owned()),
        (None, None) => ResetTypes::Unsaid,
    };
    let target = target.map_or_else(|| format!("{path}/Actions/ComputerSystem.Reset"), str::to_owned);
    let uuid = json.get("UUID").and_then(Value::as_str).map(str::to_owned);
    Ok(System { power, state, uuid, target, types })
}

/// Tells whether a state is one that Redfish knows; a BMC that has just begun may say nothing.
pub(super) fn is_state(state: &str) -> bool {
    matches!(state, "On" | "Off" | "PoweringOn" | "PoweringOff" | "Paused" | NOTHING)
}

/// Tells whether a state is one between on and off.
pub(super) fn is_on_the_way(state: &str) -> bool {
    matches!(state, "PoweringOn" | "PoweringOff")
}

/// Returns the ResetTypes that an ActionInfo lists.
pub(super) fn types_of_info(json: &Value) -> ResetTypes {
    let parameters = json.get("Parameters").and_then(Value::as_array);
    let is_it = |parameter: &&Value| parameter.get("Name").and_then(Value::as_str) == Some("ResetType");
    let parameter = parameters.into_iter().flatten().find(is_it);
    let types = parameter.and_then(|parameter| parameter.get("AllowableValues")).and_then(texts);
    types.map_or(ResetTypes::Unsaid, ResetTypes::These)
}

fn texts(list: &Value) -> Option<Vec<String>> {
    let list: Vec<String> = list.as_array()?.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    // An empty list is one that was never filled in.
    (!list.is_empty()).then_some(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_on_and_off_are_answers() {
        let power = |state: Value| read("/s", &json!({"PowerState": state})).unwrap().power;
        assert_eq!((power(json!("On")), power(json!("Off"))), (Power::On, Power::Off));
        for state in
            [json!("PoweringOn"), json!("PoweringOff"), json!("Paused"), json!("on"), json!(null), json!(1)]
        {
            assert_eq!(power(state.clone()), Power::Unknown, "{state}");
        }
        assert!(read("/s", &json!({})).is_err() && read("/s", &json!(null)).is_err());
    }

    #[test]
    fn the_only_system_is_taken_and_several_are_listed() {
        let of = |paths: &[&str]| {
            let members: Vec<Value> = paths.iter().map(|path| json!({"@odata.id": path})).collect();
            only_member(&json!({"Members": members}), "system").map_err(|refusal| refusal.words)
        };
        assert_eq!(of(&["/redfish/v1/Systems/1/"]).unwrap(), "/redfish/v1/Systems/1");
        assert!(of(&["https://evil/x"]).unwrap_err().contains("no path"));
        assert!(of(&[]).unwrap_err().contains("has no system"));
        let several = of(&["/redfish/v1/Systems/1", "/redfish/v1/Systems/2"]).unwrap_err();
        assert!(several.contains("2 systems (1, 2)") && several.contains("\"system\""), "{several}");
        assert!(only_member(&json!("x"), "system").unwrap_err().words.contains("does not speak Redfish"));
    }

    #[test]
    fn what_a_reset_may_be_is_read_from_the_action_or_from_its_info() {
        let action = |action: Value| {
            let system = json!({"PowerState": "On", "Actions": {"#ComputerSystem.Reset": action}});
            read("/s", &system).unwrap()
        };
        let these = |types: &[&str]| ResetTypes::These(types.iter().map(|&text| text.to_owned()).collect());
        let own = action(json!({"target": "/t", "ResetType@Redfish.AllowableValues": ["On", "ForceOff"]}));
        assert_eq!((own.target.as_str(), own.types), ("/t", these(&["On", "ForceOff"])));
        let info = action(json!({"target": "https://evil/t", "@Redfish.ActionInfo": "/i"}));
        assert_eq!(info.target, "/s/Actions/ComputerSystem.Reset");
        assert_eq!(info.types, ResetTypes::Elsewhere("/i".into()));
        assert_eq!(action(json!({})).types, ResetTypes::Unsaid);
        let info = json!({"Parameters": [{"Name": "X"}, {"Name": "ResetType", "AllowableValues": ["On"]}]});
        assert_eq!(types_of_info(&info), these(&["On"]));
        assert_eq!(types_of_info(&json!({"Parameters": 1})), ResetTypes::Unsaid);
    }
}
