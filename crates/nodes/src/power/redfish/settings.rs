//! The keys of `driver = "redfish"`.

use crate::power::password;
use orderly_exec::settings::Table;
use orderly_plan::drivers::{RemoteCommand, Task};
use std::path::PathBuf;

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
    /// By which a node without a shell is halted.
    pub(super) soft_off: String,
}

pub(super) const KEYS: &[&str] = &[
    "program",
    "bmc",
    "system",
    "user",
    "password_file",
    "ca_file",
    "insecure",
    "on",
    "off",
    "reset",
    "soft_off",
];

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

/// What a table says of BMCs, be it power or shell; what it leaves out is said elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stated {
    program: Option<String>,
    bmc: Option<String>,
    system: Option<String>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    insecure: Option<bool>,
    soft_off: Option<String>,
}

impl Stated {
    /// The keys of the table shell.
    pub(crate) const KEYS: &'static [&'static str] =
        &["program", "bmc", "system", "user", "password_file", "ca_file", "insecure", "soft_off"];

    pub(crate) fn read(table: &Table<'_>) -> Self {
        password::reject_written(table);
        let user = table.text("user");
        if user.as_ref().is_some_and(|user| user.contains(':') || user.contains(char::is_control)) {
            table
                .reject("user", format!("{}: no user of a BMC has a \":\" in its name", table.named("user")));
        }
        let (ca_file, insecure) = (table.absolute_path("ca_file"), table.flag("insecure"));
        if table.has("ca_file") && insecure == Some(true) {
            let clause = "certificates are either verified by ca_file, or not at all";
            table.reject("insecure", format!("{}: {clause}", table.named("insecure")));
        }
        Self {
            program: table.text("program"),
            bmc: table.text("bmc"),
            system: table.text("system"),
            user,
            password_file: table.absolute_path("password_file"),
            ca_file,
            insecure,
            soft_off: read_type(table, "soft_off", SOFT_OFF),
        }
    }

    /// Returns the same with what is left out as another table has it.
    pub(crate) fn or(self, other: &Self) -> Self {
        let says_trust = self.ca_file.is_some() || self.insecure == Some(true);
        Self {
            program: self.program.or_else(|| other.program.clone()),
            bmc: self.bmc.or_else(|| other.bmc.clone()),
            system: self.system.or_else(|| other.system.clone()),
            user: self.user.or_else(|| other.user.clone()),
            password_file: self.password_file.or_else(|| other.password_file.clone()),
            // One of both rules out the other.
            ca_file: self.ca_file.or_else(|| other.ca_file.clone().filter(|_| !says_trust)),
            insecure: self.insecure.or_else(|| other.insecure.filter(|_| !says_trust)),
            soft_off: self.soft_off.or_else(|| other.soft_off.clone()),
        }
    }

    /// Returns the inventory attributes that are read.
    pub(crate) fn attributes(&self) -> [&str; 2] {
        [self.bmc.as_deref().unwrap_or(BMC), self.system.as_deref().unwrap_or(SYSTEM)]
    }

    pub(crate) fn is_insecure(&self) -> bool {
        self.insecure == Some(true)
    }

    pub(crate) fn program(&self) -> &str {
        self.program.as_deref().unwrap_or(PROGRAM)
    }

    /// Returns the whole settings.
    ///
    /// # Errors
    /// The key that is missing.
    fn whole(self, types: [Option<String>; 3]) -> Result<Settings, &'static str> {
        let [on, off, reset] = types;
        let [bmc, system] = self.attributes().map(str::to_owned);
        Ok(Settings {
            program: self.program().to_owned(),
            bmc,
            system,
            user: self.user.ok_or("user")?,
            password_file: self.password_file.ok_or("password_file")?,
            ca_file: self.ca_file,
            insecure: self.insecure.unwrap_or(false),
            on: on.unwrap_or_else(|| "On".to_owned()),
            off: off.unwrap_or_else(|| "ForceOff".to_owned()),
            reset: reset.unwrap_or_else(|| "ForceRestart".to_owned()),
            soft_off: self.soft_off.unwrap_or_else(|| SOFT_OFF.to_owned()),
        })
    }
}

const PROGRAM: &str = "curl";
const BMC: &str = "bmc";
const SYSTEM: &str = "system";
const SOFT_OFF: &str = "GracefulShutdown";

impl Settings {
    /// Reads the table power; `base` is what an override changes.
    pub(super) fn read(table: &Table<'_>, base: Option<&Self>) -> Option<Self> {
        let types = [("on", "On"), ("off", "ForceOff"), ("reset", "ForceRestart")]
            .map(|(key, usual)| read_type(table, key, usual));
        let before = base.map(|base| [&base.on, &base.off, &base.reset].map(|word| Some(word.clone())));
        let [on, off, reset] = before.unwrap_or_default();
        let types = {
            let [own_on, own_off, own_reset] = types;
            [own_on.or(on), own_off.or(off), own_reset.or(reset)]
        };
        let stated = Stated::read(table).or(&base.map(Self::stated).unwrap_or_default());
        for (key, is_missing) in
            [("user", stated.user.is_none()), ("password_file", stated.password_file.is_none())]
        {
            if is_missing {
                table.need(key);
            }
        }
        stated.whole(types).ok()
    }

    /// Returns the settings by which nodes are halted: those that the table shell states, else those of the table power
    /// where that is of BMCs as well.
    ///
    /// # Errors
    /// The key that is missing.
    pub(super) fn of_shell(stated: &Stated, power: Option<&Self>) -> Result<Self, &'static str> {
        let of_power = power.map(Self::stated).unwrap_or_default();
        stated.clone().or(&of_power).whole([None, None, None])
    }

    fn stated(&self) -> Stated {
        Stated {
            program: Some(self.program.clone()),
            bmc: Some(self.bmc.clone()),
            system: Some(self.system.clone()),
            user: Some(self.user.clone()),
            password_file: Some(self.password_file.clone()),
            ca_file: self.ca_file.clone(),
            insecure: Some(self.insecure),
            soft_off: Some(self.soft_off.clone()),
        }
    }

    /// Returns the ResetType of a task; none of one that only reads.
    pub(super) fn reset_type(&self, task: Task) -> Option<&str> {
        match task {
            Task::PowerOn => Some(&self.on),
            Task::PowerOff => Some(&self.off),
            Task::Reset => Some(&self.reset),
            Task::Run(RemoteCommand::Halt) => Some(&self.soft_off),
            Task::ReadPower | Task::Probe | Task::Run(_) => None,
        }
    }

    /// Returns the key by which the ResetType of a task is set.
    pub(super) fn key(task: Task) -> &'static str {
        match task {
            Task::PowerOn => "power.on",
            Task::PowerOff => "power.off",
            Task::Reset | Task::ReadPower | Task::Probe => "power.reset",
            Task::Run(_) => "soft_off",
        }
    }
}

/// Reads a ResetType. A maker's own goes through, a slip of the hand does not: it would be found out by a node only.
fn read_type(table: &Table<'_>, key: &'static str, usual: &str) -> Option<String> {
    let word = table.text(key)?;
    let near = orderly_plan::suggest::nearest(&word, RESET_TYPES);
    if word.is_empty() || !word.chars().all(|c| c.is_ascii_alphanumeric()) {
        table.reject(key, format!("{}: write a ResetType, such as {usual}", table.named(key)));
    } else if let Some(near) = near.filter(|_| !RESET_TYPES.contains(&word.as_str())) {
        let named = table.named(key);
        table.reject(key, format!("{named}: \"{word}\" is no ResetType; did you mean \"{near}\"?"));
    }
    Some(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use orderly_exec::settings::TomlDocument;

    fn read(text: &str, base: Option<&Settings>) -> Result<Settings, String> {
        let document = TomlDocument::parse("cluster.toml", text).unwrap();
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
