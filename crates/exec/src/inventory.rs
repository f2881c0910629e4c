//! Where the inventory is and how it is written: the flags, the variables of the environment and the keys of
//! `cluster.toml` that `seqfile`, `cstartup` and `cshutdown` understand alike.
//!
//! Each of the two is taken from the flag, else the environment, else `cluster.toml`, else the default. What an
//! inventory says is for `orderly-plan` to read.

use crate::files::{self, Found};
use crate::paths;
use crate::settings::{Table, TomlDocument};
use crate::status::OrStatus;
use crate::status::Status;
use clap::builder::{OsStringValueParser, PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use orderly_plan::inventory::Format;
use orderly_plan::nodeset;
use std::ffi::OsStr;
use std::path::PathBuf;

const FORMAT_VARIABLE: &str = "ORDERLY_INVENTORY_FORMAT";

/// What the command line and the environment say of the inventory.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct InventoryFlags {
    /// Use this inventory; `-` is standard input
    #[arg(short, long, value_name = "FILE", env = "ORDERLY_INVENTORY", hide_env_values = true,
          value_parser = OsStringValueParser::new().map(PathBuf::from))]
    inventory: Option<PathBuf>,
    /// How the inventory is written [default: json]
    #[arg(long, value_name = "FORMAT", env = FORMAT_VARIABLE, hide_env_values = true, value_parser = FormatParser)]
    from: Option<FormatFlag>,
}

impl InventoryFlags {
    /// Returns the inventory that was named; an empty variable of the environment names none.
    pub fn path(&self) -> Option<&PathBuf> {
        self.inventory.as_ref().filter(|path| !path.as_os_str().is_empty())
    }

    /// Returns the format that was named; an empty variable of the environment names none.
    pub fn format(&self) -> Option<Format> {
        self.from.and_then(|named| named.0)
    }
}

/// A format as it was named; nothing where the word is empty.
#[derive(Debug, Clone, Copy)]
struct FormatFlag(Option<Format>);

/// Reads the word of a format; what is wrong with it is blamed on the variable where it comes from there.
#[derive(Debug, Clone, Copy)]
struct FormatParser;

impl TypedValueParser for FormatParser {
    type Value = FormatFlag;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<FormatFlag, clap::Error> {
        self.parse_ref_(command, argument, value, ValueSource::CommandLine)
    }

    fn parse_ref_(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
        source: ValueSource,
    ) -> Result<FormatFlag, clap::Error> {
        if value.is_empty() {
            return Ok(FormatFlag(None));
        }
        let known = PossibleValuesParser::new(Format::ALL.map(Format::word));
        match known.parse_ref(command, argument, value) {
            Ok(word) => Ok(FormatFlag(Format::of_word(&word))),
            Err(mut error) => {
                if source == ValueSource::EnvVariable {
                    let variable = ContextValue::String(FORMAT_VARIABLE.to_owned());
                    error.insert(ContextKind::InvalidArg, variable);
                }
                Err(error)
            }
        }
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(Format::ALL.into_iter().map(|format| PossibleValue::new(format.word()))))
    }
}

/// What `cluster.toml` says of the inventory, with the defaults filled in.
#[derive(Debug, Clone)]
pub struct InventoryKeys {
    pub path: PathBuf,
    pub format: Format,
    /// Machines that may serve nodes and are none of the inventory.
    pub outside: Vec<String>,
    /// This machine's name in the inventory, when it is itself a node.
    pub control_node: Option<String>,
}

impl Default for InventoryKeys {
    fn default() -> Self {
        Self {
            path: paths::config_path(None, "inventory.json"),
            format: Format::default(),
            outside: Vec::new(),
            control_node: None,
        }
    }
}

impl InventoryKeys {
    /// Reads the keys from the top of a `cluster.toml`; what is wrong with them is remembered there.
    pub fn read(root: &Table<'_>) -> Self {
        let default = Self::default();
        let format = root.word("inventory_format", &Format::ALL.map(Format::word));
        Self {
            path: root.absolute_path("inventory").unwrap_or(default.path),
            format: format.and_then(Format::of_word).unwrap_or(default.format),
            outside: read_outside(root),
            control_node: root.text("control_node"),
        }
    }

    /// Reads the keys of the `cluster.toml` of this machine and passes over all others; the defaults where there is
    /// no such file.
    ///
    /// # Errors
    /// Rejected (3) when it is unreadable, is not TOML, or one of these keys is wrong.
    pub fn of_this_machine() -> anyhow::Result<Self> {
        let path = paths::config_path(None, "cluster.toml");
        let Found::Text(text) = files::read_if_there(&path)? else { return Ok(Self::default()) };
        let name = path.display().to_string();
        let document = TomlDocument::parse(&name, &text).or_status(Status::Rejected)?;
        let keys = Self::read(&document.root());
        document.finish(keys).or_status(Status::Rejected)
    }
}

fn read_outside(root: &Table<'_>) -> Vec<String> {
    match root.text("outside").map(|set| nodeset::expand(&set)) {
        None => Vec::new(),
        Some(Ok(names)) => names,
        Some(Err(fault)) => {
            root.reject("outside", format!("outside: {fault}"));
            Vec::new()
        }
    }
}
