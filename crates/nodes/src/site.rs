//! Everything an executor reads before it acts: `cluster.toml`, the inventory and the sequence file,
//! with what is wrong in any of them reported together.
//!
//! Missing, empty and unreadable are three things: a missing sequence file means the default order,
//! an empty one means no order, an unreadable one is rejected.

use crate::absent::list;
use crate::config::{Cluster, Flags, Profile};
use crate::names::Addresses;
use crate::places::asked;
use crate::roster::{MemberKind, MemberRoster};
use orderly_exec::files::{self, Found};
use orderly_exec::here::ThisMachine;
use orderly_exec::status::unmarked;
use orderly_exec::{OrStatus, Status, fail, trust};
use orderly_plan::diagnostic::{Diagnostic, Diagnostics, Source};
use orderly_plan::drivers::NodeId;
use orderly_plan::graph::Order;
use orderly_plan::inventory::{self, Inventory, Outside};
use orderly_plan::name;
use orderly_plan::nodeset;
use orderly_plan::select::Direction;
use orderly_plan::sequence::{self, Form, Process, Sequence};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The relation that the default order is made of.
const RELATIONS: &[&str] = &["boot_server"];

/// Which files are to be read.
#[derive(Debug, Clone)]
pub struct SiteRequest {
    pub direction: Direction,
    /// `--config`.
    pub config: Option<PathBuf>,
    /// Instead of the sequence file of the command at hand (`--sequence`).
    pub sequence: Option<PathBuf>,
    /// What else the command line says.
    pub flags: Flags,
}

/// Everything that was read, found right.
#[derive(Debug)]
pub struct Site {
    pub cluster: Cluster,
    pub inventory: Inventory,
    /// The nodes of the inventory, then units.
    pub roster: MemberRoster,
    /// In the order of the command at hand.
    pub sequence: Sequence,
    /// The order of nodes and units for the command at hand.
    pub order: Order,
    /// Nodes that are known to be away, sorted.
    pub absent: Vec<NodeId>,
    /// What people should know of what was read, each for a line of stderr.
    pub remarks: Vec<String>,
    /// What names lead to; nothing until the resolver is asked (`identity::resolved`).
    pub addresses: Addresses,
}

impl Site {
    /// Reads it all.
    ///
    /// # Errors
    /// Rejected (3) with everything that is wrong; refused (4) where the shutdown sequence is a copy
    /// of the start sequence.
    pub fn read(wanted: &SiteRequest) -> anyhow::Result<Self> {
        let mut cluster = Cluster::read(wanted.config.as_deref())?;
        cluster.apply(&wanted.flags);
        let inventory_text = files::read(&cluster.inventory).map_err(|error| {
            let why = unmarked(&error);
            fail(
                Status::Rejected,
                format!("the inventory (inventory in cluster.toml, or -i) is needed: {why}"),
            )
        });
        let inventory_text =
            inventory_text.and_then(|text| from_the_owner(&cluster.inventory).map(|()| text));
        let texts = Texts::read(&cluster, wanted);
        let (inventory_text, texts) = both(inventory_text, texts)?;
        let named = shown(&cluster.inventory);
        let source = Source { name: &named, text: &inventory_text };
        let here = ThisMachine::found(cluster.control_node.as_deref());
        let outside = Outside::new(here.words().into_iter().chain(cluster.outside.iter().cloned()));
        let inventory = match inventory::read(&source, cluster.inventory_format, &outside) {
            Ok(inventory) => inventory,
            Err(mut wrong) => {
                // What the sequence file says wrong by itself is told in the same breath.
                wrong.0.extend(texts.parse(None).err().unwrap_or_default().0);
                return Err(wrong).or_status(Status::Rejected);
            }
        };
        let parsed = texts.parse(Some(&inventory)).or_status(Status::Rejected)?;
        let mut remarks = cluster.remarks();
        remarks.extend(inventory.warnings().iter().map(ToString::to_string));
        let sequence = texts.sequence(&cluster, wanted.direction, parsed, &inventory, &mut remarks)?;
        let roster = MemberRoster::of(&inventory, &asked::attributes(&cluster));
        let order = sequence.order(&roster).or_status(Status::Rejected)?;
        let order = with_units(order, wanted.direction, &inventory, &roster)?;
        let absent = list::listed(&cluster, &inventory)?;
        let addresses = Addresses::new();
        Ok(Self { cluster, inventory, roster, sequence, order, absent, remarks, addresses })
    }

    /// Returns the name of a node or unit.
    pub fn name(&self, node: NodeId) -> &str {
        self.roster.name(node)
    }

    /// Tells whether this is a unit, which has power and no operating system.
    pub fn is_unit(&self, node: NodeId) -> bool {
        self.roster.member(node).kind == MemberKind::Unit
    }

    /// Returns what holds for a node or unit, after the overrides of its groups and its own.
    pub fn profile(&self, node: NodeId) -> Cow<'_, Profile> {
        let member = self.roster.member(node);
        let of_groups = member.groups.iter().filter_map(|group| self.cluster.group_overrides.get(group));
        let own = self.cluster.node_overrides.get(&member.name);
        let mut profile = Cow::Borrowed(&self.cluster.profile);
        for patch in of_groups.chain(own) {
            profile.to_mut().apply(patch);
        }
        profile
    }

    /// Returns the units that are powered with any of these nodes, sorted.
    pub fn units_of(&self, nodes: &[NodeId]) -> Vec<NodeId> {
        let units: BTreeSet<NodeId> = nodes
            .iter()
            .filter(|node| !self.is_unit(**node))
            .flat_map(|&node| &self.inventory.node(node).power_with)
            .filter_map(|name| self.roster.unit(name))
            .collect();
        units.into_iter().collect()
    }

    /// Returns the nodes that a unit is powered with, sorted.
    pub fn nodes_with(&self, unit: NodeId) -> Vec<NodeId> {
        let name = self.name(unit);
        let with = |node: &NodeId| self.inventory.node(*node).power_with.iter().any(|other| other == name);
        self.inventory.ids().filter(with).collect()
    }
}

/// Returns both, or what is wrong with either.
fn both<A, B>(first: anyhow::Result<A>, second: anyhow::Result<B>) -> anyhow::Result<(A, B)> {
    match (first, second) {
        (Ok(first), Ok(second)) => Ok((first, second)),
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error),
        (Err(first), Err(second)) => {
            Err(fail(Status::Rejected, format!("{}\n{}", unmarked(&first), unmarked(&second))))
        }
    }
}

/// Checks that nobody else can change what says what is run; standard input is of whoever runs this.
fn from_the_owner(path: &Path) -> anyhow::Result<()> {
    if path == Path::new("-") { Ok(()) } else { trust::check_only_owner_changes(path) }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// The sequence file of the command at hand, and for a shutdown its counterpart.
#[derive(Debug)]
struct Texts {
    own: (String, Found),
    start: Option<(String, Found)>,
    /// Both names lead to one file.
    is_one_file: bool,
    direction: Direction,
}

/// How the text of a sequence file is read.
type Grammar = fn(&Source<'_>, Option<&Inventory>) -> Result<Sequence, Diagnostics>;

/// What the texts say; nothing for a missing file.
#[derive(Debug)]
struct Parsed {
    own: Option<Sequence>,
    start: Option<Sequence>,
}

impl Texts {
    fn read(cluster: &Cluster, wanted: &SiteRequest) -> anyhow::Result<Self> {
        let paths = &cluster.sequence;
        let usual = match wanted.direction {
            Direction::Startup => &paths.start,
            Direction::Shutdown => &paths.shut,
        };
        let path = wanted.sequence.as_ref().unwrap_or(usual);
        // A file named on the command line is meant; only the usual one may be missing.
        let own = if wanted.sequence.is_some() {
            files::read(path).map(Found::Text)
        } else {
            files::read_if_there(path)
        };
        if wanted.direction == Direction::Startup {
            from_the_owner(path)?;
            let own = (shown(path), own?);
            return Ok(Self { own, start: None, is_one_file: false, direction: wanted.direction });
        }
        let is_one_file = files::is_same_file(path, &paths.start);
        // A missing cshutSeq is compared with nothing.
        let start = match &own {
            Ok(Found::Text(_)) if !is_one_file => files::read_if_there(&paths.start).map(Some),
            _ => Ok(None),
        };
        let (own, start) = both(own, start)?;
        both(from_the_owner(path), from_the_owner(&paths.start))?;
        let start = start.map(|found| (shown(&paths.start), found));
        Ok(Self { own: (shown(path), own), start, is_one_file, direction: wanted.direction })
    }

    fn parse(&self, inventory: Option<&Inventory>) -> Result<Parsed, Diagnostics> {
        let mut wrong = Diagnostics::default();
        let mut parse = |named: &(String, Found), grammar: Grammar| match &named.1 {
            Found::Missing => None,
            Found::Text(text) => match grammar(&Source { name: &named.0, text }, inventory) {
                Ok(sequence) => Some(sequence),
                Err(errors) => {
                    wrong.0.extend(errors.0);
                    None
                }
            },
        };
        let is_shutdown = self.direction == Direction::Shutdown && !self.is_one_file;
        let own = parse(&self.own, if is_shutdown { sequence::parse_shutdown } else { sequence::parse });
        let start = self.start.as_ref().and_then(|start| parse(start, sequence::parse));
        wrong.or(Parsed { own, start })
    }

    fn sequence(
        &self,
        cluster: &Cluster,
        direction: Direction,
        parsed: Parsed,
        inventory: &Inventory,
        remarks: &mut Vec<String>,
    ) -> anyhow::Result<Sequence> {
        let name = &self.own.0;
        let process = match direction {
            Direction::Startup => Process::Startup,
            Direction::Shutdown => Process::Shutdown,
        };
        let default = |process| {
            Sequence::from_inventory(inventory, RELATIONS, process, Form::Each).or_status(Status::Rejected)
        };
        let Some(own) = parsed.own else {
            let filter = match direction {
                Direction::Startup => "seqfile",
                Direction::Shutdown => "seqfile --shutdown",
            };
            remarks.push(format!("{name} is missing: the default order is used, as {filter} prints it"));
            return default(process);
        };
        if own.is_empty() {
            remarks.push(format!("{name} states no order: all nodes go at once"));
            return Ok(own);
        }
        let by_server = default(Process::Startup)?;
        if direction == Direction::Startup {
            warn_of(&sequence::conflicts(&by_server, &own, inventory), remarks);
            return Ok(own);
        }
        if self.is_one_file {
            let start = shown(&cluster.sequence.start);
            remarks.push(format!("{name} and {start} are one file: its order is processed mirrored"));
            warn_of(&sequence::conflicts(&by_server, &own, inventory), remarks);
            return Ok(own.mirrored());
        }
        let mirrored = own.clone().mirrored();
        if let Some(start) = &parsed.start {
            if !cluster.sequence.literal && sequence::states_the_same(start, &own, inventory) {
                return Err(copied(name, start.file()));
            }
            warn_of(&sequence::conflicts(start, &mirrored, inventory), remarks);
        }
        warn_of(&sequence::conflicts(&by_server, &mirrored, inventory), remarks);
        Ok(own)
    }
}

fn copied(shut: &str, start: &str) -> anyhow::Error {
    fail(
        Status::Refused,
        format!(
            "{shut} states the same order as {start}, so servers would go down before their clients\n\
             hint: if it is meant to be mirrored, make it a link: ln -sf {start} {shut}\n\
             hint: if it is meant as it stands, set sequence.literal = true in cluster.toml"
        ),
    )
}

fn warn_of(conflicts: &[Diagnostic], remarks: &mut Vec<String>) {
    remarks.extend(conflicts.iter().map(|conflict| format!("warning: {conflict}")));
}

/// Returns the order for the direction that is not at hand, from its usual file.
///
/// # Errors
/// When that file cannot be used.
pub fn other_order(site: &Site, at_hand: Direction) -> anyhow::Result<Order> {
    let paths = &site.cluster.sequence;
    let is_one_file = files::is_same_file(&paths.start, &paths.shut);
    let (path, direction, process) = match at_hand {
        Direction::Startup => (&paths.shut, Direction::Shutdown, Process::Shutdown),
        Direction::Shutdown => (&paths.start, Direction::Startup, Process::Startup),
    };
    let is_shutdown = direction == Direction::Shutdown;
    let sequence = match files::read_if_there(path)? {
        Found::Missing => Sequence::from_inventory(&site.inventory, RELATIONS, process, Form::Each)
            .or_status(Status::Rejected)?,
        Found::Text(text) => {
            from_the_owner(path)?;
            let name = shown(path);
            let grammar: Grammar =
                if is_shutdown && !is_one_file { sequence::parse_shutdown } else { sequence::parse };
            let parsed = grammar(&Source { name: &name, text: &text }, Some(&site.inventory));
            let parsed = parsed.or_status(Status::Rejected)?;
            if is_shutdown && is_one_file { parsed.mirrored() } else { parsed }
        }
    };
    let order = sequence.order(&site.roster).or_status(Status::Rejected)?;
    with_units(order, direction, &site.inventory, &site.roster)
}

/// Puts units before their nodes at start-up and after them at shutdown.
fn with_units(
    mut order: Order,
    direction: Direction,
    inventory: &Inventory,
    roster: &MemberRoster,
) -> anyhow::Result<Order> {
    let mut put = |first, then| match direction {
        Direction::Startup => order.put_before(first, then),
        Direction::Shutdown => order.put_before(then, first),
    };
    for node in inventory.ids() {
        // They are listed in their order: a blade after its enclosure, which no controller takes in one call.
        let named = inventory.node(node).power_with.iter();
        let units: Vec<NodeId> =
            named.filter_map(|name| roster.unit(name).or_else(|| inventory.by_name(name))).collect();
        units.windows(2).for_each(|pair| put(pair[0], pair[1]));
        units.iter().for_each(|&unit| put(unit, node));
    }
    if order.sorted().is_none() {
        return Err(fail(
            Status::Rejected,
            format!(
                "{}: power_with contradicts the sequence, or itself: something would have to be on before itself \
                 (units are powered on in the order in which power_with lists them, the same for all nodes)",
                inventory.file()
            ),
        ));
    }
    Ok(order)
}

impl name::Roster for MemberRoster {
    fn count(&self) -> usize {
        self.len()
    }

    fn name(&self, id: NodeId) -> &str {
        Self::name(self, id)
    }

    fn find(&self, name: &str) -> Option<NodeId> {
        let at = self.members().iter().position(|member| member.name == name)?;
        u32::try_from(at).ok().map(NodeId)
    }
}

/// Returns nodes as people read them: folded.
pub fn fold(site: &Site, nodes: &[NodeId]) -> String {
    nodeset::fold(nodes.iter().map(|&node| site.name(node)))
}

/// Returns nodes folded, and how many there are: `n[01-03] (3 nodes)`.
pub fn counted(site: &Site, nodes: &[NodeId]) -> String {
    let word = if nodes.len() == 1 { "node" } else { "nodes" };
    format!("{} ({} {word})", fold(site, nodes), nodes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// n1 serves n2, which is powered with a shelf.
    fn world(literal: bool) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().display();
        let config = format!(
            "inventory = \"{root}/inventory.json\"\nlog_dir = \"{root}/log\"\n\
             sequence = {{ start = \"{root}/start\", shut = \"{root}/shut\", subsystems = \"{root}/sub\", \
             literal = {literal} }}\n[power]\ndriver = \"simulator\"\n[shell]\ndriver = \"simulator\"\n\
             [probe]\ndriver = \"simulator\"\n[override.node.n2]\nlimits = {{ boot = \"7s\" }}\n"
        );
        let inventory = r#"{"format": "orderly-inventory/1", "nodes": [
            {"name": "n1"}, {"name": "n2", "boot_server": "n1", "power_with": ["shelf"]}, {"name": "n3"}]}"#;
        for (name, text) in [("cluster.toml", config.as_str()), ("inventory.json", inventory)] {
            fs::write(dir.path().join(name), text).unwrap();
            fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(0o600)).unwrap();
        }
        fs::write(dir.path().join("start"), "a: n1\nb: n2\na > b\n").unwrap();
        dir
    }

    fn read(dir: &tempfile::TempDir, direction: Direction) -> anyhow::Result<Site> {
        Site::read(&SiteRequest {
            direction,
            config: Some(dir.path().join("cluster.toml")),
            sequence: None,
            flags: Flags::default(),
        })
    }

    /// Returns the nodes in the order in which they run, by wave.
    fn waves(site: &Site) -> Vec<Vec<&str>> {
        let named = |wave: Vec<NodeId>| wave.into_iter().map(|node| site.name(node)).collect();
        site.order.waves().into_iter().map(named).collect()
    }

    #[test]
    fn units_come_before_their_nodes_at_start_and_after_them_at_shutdown() {
        let dir = world(false);
        let site = read(&dir, Direction::Startup).unwrap();
        assert_eq!(waves(&site), [vec!["n1", "n3", "shelf"], vec!["n2"]]);
        let site = read(&dir, Direction::Shutdown).unwrap();
        assert_eq!(waves(&site), [vec!["n2", "n3"], vec!["n1", "shelf"]]);
        assert!(
            site.remarks[0].contains("as seqfile --shutdown prints it"),
            "start never stands in for shut"
        );
        let shelf = site.roster.unit("shelf").unwrap();
        assert_eq!((site.units_of(&[NodeId(1)]), site.nodes_with(shelf)), (vec![shelf], vec![NodeId(1)]));
        assert_eq!(site.profile(NodeId(1)).limits.boot.as_secs(), 7);
    }

    /// An enclosure and the blade in it went on in one call, which its controller refuses.
    #[test]
    fn units_of_a_node_go_one_after_the_other_as_they_are_listed() {
        let dir = world(false);
        let path = dir.path().join("inventory.json");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace(r#"["shelf"]"#, r#"["enclosure", "blade"]"#)).unwrap();
        let site = read(&dir, Direction::Startup).unwrap();
        assert_eq!(waves(&site), [vec!["n1", "n3", "enclosure"], vec!["blade"], vec!["n2"]]);
        let site = read(&dir, Direction::Shutdown).unwrap();
        assert_eq!(waves(&site), [vec!["n2", "n3"], vec!["n1", "blade"], vec!["enclosure"]]);
    }

    /// What others may write was run as root.
    #[test]
    fn an_inventory_or_a_sequence_file_that_others_may_write_is_rejected() {
        for name in ["inventory.json", "start", "cluster.toml"] {
            let dir = world(false);
            fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(0o666)).unwrap();
            for direction in [Direction::Startup, Direction::Shutdown] {
                fs::write(dir.path().join("shut"), "").unwrap();
                let error = read(&dir, direction).unwrap_err();
                assert_eq!(error.downcast_ref(), Some(&Status::Rejected));
                let said = format!("{error:#}");
                assert!(said.contains(name) && said.contains("others can write it"), "{said}");
            }
        }
    }

    #[test]
    fn one_file_under_both_names_is_processed_mirrored() {
        for link in
            [(|from, to| symlink(from, to)) as fn(PathBuf, PathBuf) -> std::io::Result<()>, |from, to| {
                fs::hard_link(from, to)
            }]
        {
            let dir = world(false);
            link(dir.path().join("start"), dir.path().join("shut")).unwrap();
            let site = read(&dir, Direction::Shutdown).unwrap();
            assert_eq!(waves(&site)[0], ["n2", "n3"]);
            assert!(site.remarks.iter().any(|remark| remark.contains("processed mirrored")));
        }
    }

    #[test]
    fn a_copy_that_should_have_been_a_link_is_refused_unless_meant() {
        let dir = world(false);
        fs::copy(dir.path().join("start"), dir.path().join("shut")).unwrap();
        let error = read(&dir, Direction::Shutdown).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Status::Refused));
        assert!(format!("{error:#}").contains("ln -sf"), "{error:#}");

        let dir = world(true);
        fs::copy(dir.path().join("start"), dir.path().join("shut")).unwrap();
        let site = read(&dir, Direction::Shutdown).unwrap();
        assert_eq!(waves(&site)[0], ["n1", "n3"], "literal is as it stands");
        assert!(site.remarks.iter().any(|remark| remark.starts_with("warning: ")), "{:?}", site.remarks);
    }

    #[test]
    fn a_dangling_link_is_not_a_missing_file() {
        let dir = world(false);
        symlink("nowhere", dir.path().join("shut")).unwrap();
        let error = read(&dir, Direction::Shutdown).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Status::Rejected));
    }

    #[test]
    fn an_empty_file_states_no_order() {
        let dir = world(false);
        fs::write(dir.path().join("start"), "# later\n").unwrap();
        let site = read(&dir, Direction::Startup).unwrap();
        assert_eq!(waves(&site)[0], ["n1", "n3", "shelf"], "units come first even so");
        assert!(site.remarks[0].contains("states no order"));
    }

    #[test]
    fn power_that_contradicts_the_sequence_is_rejected() {
        let dir = world(false);
        let text = fs::read_to_string(dir.path().join("inventory.json")).unwrap();
        fs::write(
            dir.path().join("inventory.json"),
            text.replace(r#"{"name": "n1"}"#, r#"{"name": "n1", "power_with": ["n2"]}"#),
        )
        .unwrap();
        let error = read(&dir, Direction::Startup).unwrap_err();
        assert!(format!("{error:#}").contains("power_with contradicts"), "{error:#}");
    }
}
