//! What a configuration says, key by key, as both hosts see it alike: shown, sent to the peer, and compared.

use super::Config;
use orderly_exec::job::show;
use orderly_plan::record::fingerprint;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// The value of each key, by its whole name: `service[proxy].timeout`.
pub type Settings = BTreeMap<String, String>;

/// Where the names in memory differ from those that people write.
const SPELT: [(&str, &str); 11] = [
    ("services", "service"),
    ("loopbacks", "loopback"),
    ("shares", "share"),
    ("addresses", "address"),
    ("asset.mounts", "asset.mount"),
    ("asset.kind.", "asset."),
    (".control.commands.", "."),
    (".control.", "."),
    (".commands.", "."),
    (".keep.spread.", "."),
    (".keep.last", ".keep"),
];

/// What tells one table of a list from another.
const NAMES: [&str; 4] = ["name", "at", "path", "cidr"];

/// Commands that may hold a password: what two hosts compare is printed, mailed by cron and pasted into tickets.
const SECRET: [&str; 3] = [".fence", ".fence_status", "on_event"];

impl Config {
    /// Returns what it says, defaults included.
    pub fn settings(&self) -> Settings {
        let mut settings = Settings::new();
        let mut hosts = [&self.own, &self.peer];
        hosts.sort_by_key(|host| &host.name);
        // What was read is plain data, which JSON can hold.
        collect("host", &serde_json::to_value(hosts).unwrap_or_default(), &mut settings);
        collect("", &serde_json::to_value(self).unwrap_or_default(), &mut settings);
        settings
    }
}

/// Returns each setting that differs, as a clause that says how it is here and on the peer.
pub fn differences(here: &Settings, there: &Settings, peer: &str) -> Vec<String> {
    let mut keys: Vec<&String> = here.keys().chain(there.keys()).collect();
    keys.sort();
    keys.dedup();
    let value =
        |settings: &Settings, key: &str| settings.get(key).map_or("not set", String::as_str).to_owned();
    keys.into_iter()
        .filter(|key| here.get(*key) != there.get(*key))
        .map(|key| match is_secret(key) && here.contains_key(key) && there.contains_key(key) {
            true => format!("{key} differs"),
            false => format!("{key} is {} here and {} on {peer}", value(here, key), value(there, key)),
        })
        .collect()
}

fn is_secret(key: &str) -> bool {
    SECRET.iter().any(|secret| key.ends_with(secret))
}

fn collect(key: &str, value: &Value, settings: &mut Settings) {
    match value {
        Value::Null => {}
        Value::Object(_) if duration(value).is_some() => {
            settings.insert(spelt(key), duration(value).unwrap_or_default());
        }
        Value::Object(table) => {
            for (name, value) in table {
                let whole = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                // A kind names itself in a table of its own.
                let whole = whole.replace("asset.kind.kind", "asset.kind");
                collect(&whole, value, settings);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            let names: Vec<String> = (1..).zip(items).map(|(number, item)| name_of(item, number)).collect();
            // Their order counts.
            settings.insert(spelt(key), show(&names));
            for (name, item) in names.iter().zip(items) {
                collect(&format!("{key}[{name}]"), item, settings);
            }
        }
        Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let key = spelt(key);
            let text = text(value);
            let text = if is_secret(&key) { format!("not shown ({})", fingerprint(&text)) } else { text };
            settings.insert(key, text);
        }
    }
}

fn spelt(key: &str) -> String {
    SPELT.iter().fold(key.to_owned(), |key, (from, to)| key.replacen(from, to, 1))
}

fn name_of(item: &Value, number: usize) -> String {
    let named = NAMES.iter().find_map(|name| item.get(name)?.as_str());
    named.map_or_else(|| number.to_string(), str::to_owned)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn duration(value: &Value) -> Option<String> {
    let table = value.as_object().filter(|table| table.len() == 2)?;
    let (seconds, nanoseconds) = (table.get("secs")?.as_u64()?, table.get("nanos")?.as_u64()?);
    let whole = Duration::new(seconds, u32::try_from(nanoseconds).ok()?);
    Some(format!("{}s", whole.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const PAIR: &str = r#"
[[host]]
name = "ec1"
fence = ["ipmitool", "-P", "secret"]
fence_status = ["ipmitool", "status"]
[[host]]
name = "ec2"
[asset]
kind = "bind"
source = "/srv/shared"
[[asset.mount]]
at = "/a"
[[service]]
name = "proxy"
unit = "proxy.service"
[[service]]
name = "db"
status = ["db", "status"]
stop = ["db", "stop"]
start = ["db", "start"]
[[share]]
path = "/a/s"
list = ["l"]
add = ["a"]
remove = ["r"]
[backup]
directory = "/a/b"
include = ["/etc/x"]
"#;

    fn settings(text: &str, own: &str) -> Settings {
        Config::read(Path::new("ha.toml"), text, own).unwrap().settings()
    }

    #[test]
    fn every_key_has_the_name_that_people_write() {
        let settings = settings(PAIR, "ec1");
        for (key, value) in [
            ("platform", "linux"),
            ("host", "ec1 ec2"),
            ("asset.kind", "bind"),
            ("asset.source", "/srv/shared"),
            ("asset.timeout", "120s"),
            ("asset.mount", "/a"),
            ("asset.mount[/a].at", "/a"),
            ("service", "proxy db"),
            ("service[proxy].unit", "proxy.service"),
            ("service[db].stop", r#"["db","stop"]"#),
            ("share[/a/s].list", r#"["l"]"#),
            ("backup.keep", "48"),
            ("backup.max_age", "7200s"),
        ] {
            assert_eq!(settings.get(key).map(String::as_str), Some(value), "{key} in {settings:#?}");
        }
        assert!(!format!("{settings:?}").contains("secret"), "{settings:?}");
        let spread = settings_of(&PAIR.replace("include", "hourly = 7\ninclude"));
        assert_eq!(spread["backup.hourly"], "7");
    }

    fn settings_of(text: &str) -> Settings {
        settings(text, "ec2")
    }

    #[test]
    fn what_differs_is_named_with_both_values_and_no_secret() {
        let here = settings(PAIR, "ec1");
        assert_eq!(differences(&here, &settings_of(PAIR), "ec2"), [""; 0], "the same file on both hosts");
        for (from, to, said) in [
            ("kind = ", "timeout = \"3m\"\nkind = ", "asset.timeout is 120s here and 180s on ec2"),
            ("secret", "other", "host[ec1].fence differs"),
            (
                "[[asset.mount]]\nat = \"/a\"",
                "[[asset.mount]]\nat = \"/a\"\noptions = \"ro\"",
                "asset.mount[/a].options is not set here and ro on ec2",
            ),
        ] {
            assert_eq!(differences(&here, &settings_of(&PAIR.replace(from, to)), "ec2"), [said]);
        }
    }
}
