//! Reads `cluster.toml`, all errors at once.

use super::{
    Cluster, Limits, LimitsPatch, Patch, PowerPatch, ProbePatch, Profile, SequencePaths, ShellPatch,
    ShutdownPatch, Subsystem, SubsystemHost, SubsystemOperands,
};
use crate::entry;
use crate::power::{self, PowerDriver};
use crate::probe::{self, ProbeBy, ProbeDriver};
use crate::shell::{self, ShellDriver};
use crate::simulator::SimulatorSettings;
use orderly_exec::inventory::InventoryKeys;
use orderly_exec::settings::{Table, TomlDocument};
use orderly_plan::diagnostic::Diagnostics;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

impl Cluster {
    /// Returns what the text of a `cluster.toml` says; `name` is the file's name for messages.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(name: &str, text: &str) -> Result<Self, Diagnostics> {
        let document = TomlDocument::parse(name, text)?;
        let root = document.root();
        let cluster = read_root(name, &root);
        root.end();
        document.finish(cluster)
    }
}

fn read_root(name: &str, root: &Table<'_>) -> Cluster {
    let inventory = InventoryKeys::read(root);
    let limits = root.table("limits");
    let profile = read_profile(root, limits.as_ref());
    let (group_overrides, node_overrides) = read_overrides(root, &profile);
    let cluster = Cluster {
        file: name.to_owned(),
        partition: root.text("partition"),
        inventory: inventory.path,
        inventory_format: inventory.format,
        log_dir: root.absolute_path("log_dir").unwrap_or_else(|| "/var/adm/SPlogs/cs".into()),
        control_address: root.text("control_address"),
        control_node: inventory.control_node,
        outside: inventory.outside,
        absent: root.text("absent"),
        absent_file: root.absolute_path("absent_file"),
        sequence: read_sequence(root),
        subsystem: read_subsystem(root),
        limits: read_limits(limits),
        profile,
        group_overrides,
        node_overrides,
        simulator: root.table("simulator").map_or_else(SimulatorSettings::default, |table| {
            let settings = SimulatorSettings::read(&table);
            table.end();
            settings
        }),
    };
    let real = cluster.profile.is_real()
        || cluster.group_overrides.values().chain(cluster.node_overrides.values()).any(Patch::is_real);
    if real && cluster.is_simulated() {
        // Half a simulation would halt real nodes under the word "simulated".
        root.reject(
            "power",
            "simulated and real drivers in one file; write \"simulator\" (or \"none\") for all of power, \
             shell and probe, or for none of them",
        );
    }
    cluster
}

fn read_profile(root: &Table<'_>, limits: Option<&Table<'_>>) -> Profile {
    let mut profile = Profile::default();
    // How power is switched and a node is seen to be up is never guessed.
    root.need("power");
    root.need("probe");
    let mut patch = read_patch(root, None);
    patch.limits = limits.map(LimitsPatch::read).unwrap_or_default();
    profile.apply(&patch);
    if profile.probe.driver.by == ProbeBy::Power && !profile.reads_power() && root.has("power") {
        root.reject(
            "probe",
            "probe.driver: \"power\" needs a power driver that can be read; write power.status",
        );
    }
    if profile.probe.driver.needs_shell() && !profile.shell.runs_commands() {
        root.reject(
            "probe",
            "probe.driver: \"shell\" needs a [shell] table with a driver that runs commands",
        );
    }
    profile
}

fn read_overrides(root: &Table<'_>, base: &Profile) -> (BTreeMap<String, Patch>, BTreeMap<String, Patch>) {
    let Some(overrides) = root.table("override") else { return Default::default() };
    let read = |key: &'static str| {
        let mut patches = BTreeMap::new();
        let Some(table) = overrides.table(key) else { return patches };
        for name in table.keys() {
            let Some(below) = table.named_table(name) else { continue };
            let mut patch = read_patch(&below, Some(base));
            if let Some(limits) = below.table("limits") {
                patch.limits = LimitsPatch::read(&limits);
                limits.end();
            }
            below.end();
            patches.insert(name.to_owned(), patch);
        }
        patches
    };
    let both = (read("group"), read("node"));
    overrides.end();
    both
}

/// Reads the tables that may stand at the top and in an override; `base` is what an override changes.
fn read_patch(table: &Table<'_>, base: Option<&Profile>) -> Patch {
    let mut patch = Patch::default();
    if let Some(power) = table.table("power") {
        patch.power = read_power(&power, base.map(|base| &base.power.driver));
        power.end();
    }
    if let Some(shell) = table.table("shell") {
        patch.shell = read_shell(&shell, base.and_then(|base| base.shell.driver.as_ref()));
        shell.end();
    }
    if let Some(probe) = table.table("probe") {
        patch.probe = read_probe(&probe, base.map(|base| &base.probe.driver));
        probe.end();
    }
    if let Some(shutdown) = table.table("shutdown") {
        patch.shutdown = ShutdownPatch::read(&shutdown);
        shutdown.end();
    }
    patch
}

fn read_power(table: &Table<'_>, base: Option<&Arc<dyn PowerDriver>>) -> PowerPatch {
    let base = base.map(|base| (base.word(), base));
    PowerPatch { driver: entry::read(table, power::DRIVERS, base), ..PowerPatch::read(table) }
}

fn read_shell(table: &Table<'_>, base: Option<&Arc<dyn ShellDriver>>) -> ShellPatch {
    let driver = entry::read(table, shell::DRIVERS, base.map(|base| (base.word(), base)));
    let by_ssh = driver.as_ref().or(base).is_some_and(|driver| driver.ssh().is_some());
    let aliases = if by_ssh { table.flag("aliases") } else { None };
    ShellPatch { driver, timeout: table.limit("timeout"), aliases }
}

fn read_probe(table: &Table<'_>, base: Option<&ProbeDriver>) -> ProbePatch {
    let driver = entry::read(table, probe::DRIVERS, base.map(|base| (base.word, base)));
    ProbePatch { driver, ..ProbePatch::read(table) }
}

fn read_sequence(root: &Table<'_>) -> SequencePaths {
    let mut paths = SequencePaths {
        start: PathBuf::from("/etc/cstartSeq"),
        shut: PathBuf::from("/etc/cshutSeq"),
        subsystems: PathBuf::from("/etc/subsysSeq"),
        literal: false,
    };
    let Some(table) = root.table("sequence") else { return paths };
    for (key, place) in
        [("start", &mut paths.start), ("shut", &mut paths.shut), ("subsystems", &mut paths.subsystems)]
    {
        if let Some(path) = table.absolute_path(key) {
            *place = path;
        }
    }
    paths.literal = table.flag("literal").unwrap_or(false);
    table.end();
    paths
}

fn read_subsystem(root: &Table<'_>) -> Subsystem {
    let mut subsystem = Subsystem {
        host: SubsystemHost::Random,
        operands: SubsystemOperands::Numbers,
        timeout: Duration::from_secs(600),
        usual: Duration::from_secs(60),
        up: BTreeMap::new(),
    };
    let Some(table) = root.table("subsystem") else { return subsystem };
    match table.text("host").as_deref() {
        None | Some("random") => {}
        Some("control") => subsystem.host = SubsystemHost::Control,
        Some(node) => subsystem.host = SubsystemHost::Node(node.to_owned()),
    }
    if table.word("operands", &["numbers", "names"]) == Some("names") {
        subsystem.operands = SubsystemOperands::Names;
    }
    if let Some(timeout) = table.limit("timeout") {
        subsystem.timeout = timeout;
    }
    subsystem.usual = table.duration("usual").unwrap_or(subsystem.usual);
    if let Some(pairs) = table.table("up") {
        for (down, up) in pairs.texts_by_name() {
            if [&down, &up].iter().any(|program| !is_a_full_path(program)) {
                let message = "write the full path of a subsystem and that of the program that undoes it";
                pairs.reject(&down, format!("{}: {message}", pairs.named(&down)));
            }
            subsystem.up.insert(down, up);
        }
    }
    table.end();
    subsystem
}

/// Tells whether a text is the full path of a program, as the members of subsysSeq are.
fn is_a_full_path(text: &str) -> bool {
    text.starts_with('/') && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

fn read_limits(table: Option<Table<'_>>) -> Limits {
    let mut limits = Limits {
        fanout: 64,
        booting: None,
        booting_per: None,
        stagger: Duration::ZERO,
        per: None,
        max: usize::MAX,
    };
    let Some(table) = table else { return limits };
    let count =
        |key: &'static str| table.number(key).map(|number| usize::try_from(number).unwrap_or(usize::MAX));
    for (key, place) in [("fanout", &mut limits.fanout), ("max", &mut limits.max)] {
        match count(key) {
            Some(0) => table.reject(key, format!("{}: at least 1", table.named(key))),
            Some(number) => *place = number,
            None => {}
        }
    }
    limits.booting = count("booting").filter(|&booting| booting > 0);
    limits.booting_per = table.text("booting_per");
    if limits.booting_per.is_some() && limits.booting.is_none() {
        table.reject(
            "booting_per",
            "limits.booting_per needs limits.booting: how many nodes with an equal value may boot at once",
        );
    }
    limits.stagger = table.duration("stagger").unwrap_or_default();
    limits.per = table.text("per");
    if limits.per.is_some() != table.has("max") {
        let key = if table.has("max") { "max" } else { "per" };
        table.reject(
            key,
            "limits.per and limits.max go together: an attribute, and calls at once for equal values",
        );
    }
    table.end();
    limits
}
