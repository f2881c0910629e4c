//! The keys of `driver = "redfish"`.

use crate::power::PowerDriver;
use crate::power::driver::before;
use crate::power::password;
use orderly_exec::settings::Table;
use orderly_plan::drivers::Task;
use std::path::PathBuf;
use std::sync::Arc;

/// What the table says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) program: String,
    /// The inventory attribute with the address of a node's BMC.
    pub(super) bmc: String,
    /// The inventory attribute with the id or path of a node's system behind it.
    pub(super) system: String,
    pub(super) user: String,
    /// Its first line is the password.
    pub(super) password_file: PathBuf,
    /// The certificates by which those of BMCs are verified; left out, those that this machine trusts.
    pub(super) ca_file: Option<PathBuf>,
    /// Certificates are not verified.
    pub(super) insecure: bool,
    /// ResetTypes.
    pub(super) on: String,
    pub(super) off: String,
    pub(super) reset: String,
}

pub(super) const KEYS: &[&str] =
    &["program", "bmc", "system", "user", "password_file", "ca_file", "insecure", "on", "off", "reset"];

/// The ResetTypes of the schema ComputerSystem.
const RESET_TYPES: [&str; 14] = [
    "On",
    "ForceOff",
    "GracefulShutdown",
    "GracefulRestart",
    "ForceRestart",
    "Nmi",
    "ForceOn",
    "PushPowerButton",
    "PowerCycle",
    "Suspend",
    "Pause",
    "Resume",
    "FullPowerCycle",
    "Reset",
];

impl Settings {
    /// Reads the table of a driver; `base` is what an override changes.
    pub(super) fn read(table: &Table<'_>, base: Option<&Self>) -> Option<Self> {
        password::reject_written(table);
        let user = table.text("user").or_else(|| base.map(|base| base.user.clone()));
        if user.is_none() {
            table.need("user");
        }
        if user.as_ref().is_some_and(|user| user.contains(':') || user.contains(char::is_control)) {
            table
                .reject("user", format!("{}: no user of a BMC has a \":\" in its name", table.named("user")));
        }
        let password_file =
            table.absolute_path("password_file").or_else(|| base.map(|base| base.password_file.clone()));
        if password_file.is_none() && !table.has("password_file") {
            table.need("password_file");
        }
        let (ca_file, insecure) = read_trust(table, base);
        let text = |key: &'static str, before: Option<&String>, usual: &str| {
            table.text(key).or_else(|| before.cloned()).unwrap_or_else(|| usual.to_owned())
        };
        let on = read_type(table, "on", base.map(|base| &base.on), "On");
        let off = read_type(table, "off", base.map(|base| &base.off), "ForceOff");
        let reset = read_type(table, "reset", base.map(|base| &base.reset), "ForceRestart");
        Some(Self {
            program: text("program", base.map(|base| &base.program), "curl"),
            bmc: text("bmc", base.map(|base| &base.bmc), "bmc"),
            system: text("system", base.map(|base| &base.system), "system"),
            user: user?,
            password_file: password_file?,
            ca_file,
            insecure,
            on,
            off,
            reset,
        })
    }

    /// Returns the ResetType of a task; none of one that only reads.
    pub(super) fn reset_type(&self, task: Task) -> Option<&str> {
        match task {
            Task::PowerOn => Some(&self.on),
            Task::PowerOff => Some(&self.off),
            Task::Reset => Some(&self.reset),
            Task::ReadPower | Task::Probe | Task::Run(_) => None,
        }
    }

    /// Returns the key by which the ResetType of a task is set.
    pub(super) fn key(task: Task) -> &'static str {
        match task {
            Task::PowerOn => "power.on",
            Task::PowerOff => "power.off",
            Task::Reset | Task::ReadPower | Task::Probe | Task::Run(_) => "power.reset",
        }
    }
}

/// Reads by what certificates are verified.
fn read_trust(table: &Table<'_>, base: Option<&Settings>) -> (Option<PathBuf>, bool) {
    let (ca_file, insecure) = (table.absolute_path("ca_file"), table.flag("insecure"));
    if table.has("ca_file") && insecure == Some(true) {
        let clause = "certificates are either verified by ca_file, or not at all";
        table.reject("insecure", format!("{}: {clause}", table.named("insecure")));
    }
    match (ca_file, insecure) {
        (Some(file), _) => (Some(file), false),
        (None, Some(true)) => (None, true),
        (None, Some(false)) => (base.and_then(|base| base.ca_file.clone()), false),
        (None, None) => base.map_or((None, false), |base| (base.ca_file.clone(), base.insecure)),
    }
}

/// Reads a ResetType. A maker's own goes through, a slip of the hand does not: it would be found out by a node only.
fn read_type(table: &Table<'_>, key: &'static str, before: Option<&String>, usual: &str) -> String {
    let Some(word) = table.text(key) else { return before.cloned().unwrap_or_else(|| usual.to_owned()) };
    let near = orderly_plan::suggest::nearest(&word, RESET_TYPES);
    if word.is_empty() || !word.chars().all(|c| c.is_ascii_alphanumeric()) {
        table.reject(key, format!("{}: write a ResetType, such as {usual}", table.named(key)));
    } else if let Some(near) = near.filter(|_| !RESET_TYPES.contains(&word.as_str())) {
        let named = table.named(key);
        table.reject(key, format!("{named}: \"{word}\" is no ResetType; did you mean \"{near}\"?"));
    }
    word
}

/// Returns the settings of the driver that an override changes, where it is this one.
pub(super) fn of_base(base: Option<&Arc<dyn PowerDriver>>) -> Option<&Settings> {
    before::<super::Redfish>(base).map(|before| &before.settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use orderly_exec::settings::Document;

    fn read(text: &str, base: Option<&Settings>) -> Result<Settings, String> {
        let document = Document::parse("cluster.toml", text).unwrap();
        let settings = Settings::read(&document.root(), base);
        document.finish(settings).map_err(|wrong| wrong.to_string()).map(Option::unwrap)
    }

    const LEAST: &str = "user = \"admin\"\npassword_file = \"/etc/orderly/bmc.pw\"\n";

    #[test]
    fn an_override_changes_only_what_it_states() {
        let base = read(&format!("{LEAST}ca_file = \"/etc/ca.pem\"\non = \"ForceOn\""), None).unwrap();
        assert_eq!(
            (base.off.as_str(), base.bmc.as_str(), base.program.as_str()),
            ("ForceOff", "bmc", "curl")
        );
        let other = read("user = \"root\"", Some(&base)).unwrap();
        assert_eq!(other, Settings { user: "root".into(), ..base.clone() });
        let other = read("insecure = true", Some(&base)).unwrap();
        assert_eq!(other, Settings { insecure: true, ca_file: None, ..base });
    }

    #[test]
    fn what_is_wrong_is_told_at_once_and_shows_no_password() {
        let said =
            read("user = \"a:b\"\npassword = \"s3cret\"\non = \"Onn\"\nreset = \"\"", None).unwrap_err();
        for part in
            ["no user of a BMC", "is not written here", "did you mean \"On\"?", "password_file is missing"]
        {
            assert!(said.contains(part), "{part}\nin {said}");
        }
        assert!(!said.contains("s3cret"), "{said}");
        let said = read(&format!("{LEAST}insecure = true\nca_file = \"/a\""), None).unwrap_err();
        assert!(said.contains("either verified by ca_file, or not at all"), "{said}");
    }
}
