//! Which group's word counts for a host, of what means something here: the nearest group that states it.
//!
//! It is worked out once for each group, from those above it, and not for each host anew.

use super::tree::Tree;
use crate::diagnostic::Diagnostic;
use crate::inventory::check::Drafts;
use crate::json::JsonMember;
use std::collections::{BTreeMap, HashMap};

const SERVER: &str = "boot_server";

/// The variables that are no attributes.
pub(super) const OURS: [&str; 4] = [SERVER, "number", "partition", "ansible_host"];

/// Of each of [`OURS`], which groups' values count.
pub(super) struct NearestValues<'v, 'a>([NearestValue<'v, 'a>; 4]);

struct NearestValue<'v, 'a> {
    /// By group: what it states itself.
    stated: HashMap<u32, &'v JsonMember<'a>>,
    /// Equal for equal values.
    classes: HashMap<u32, usize>,
    /// By group: whose value counts in it.
    found: Vec<Option<Nearest>>,
}

/// The groups whose value counts, by number.
#[derive(Debug, Clone, Copy)]
struct Nearest {
    group: u32,
    /// As near, and of another value.
    rival: Option<u32>,
}

impl<'v, 'a> NearestValues<'v, 'a> {
    pub(super) fn of(tree: &Tree<'v, 'a>) -> Self {
        Self(OURS.map(|key| NearestValue::of(tree, key)))
    }

    /// Adds what the groups of a host state and it does not; two servers of which none is nearer are doubtful.
    pub(super) fn of_host<'m>(
        &self,
        host: u32,
        tree: &Tree<'v, 'a>,
        variables: &mut BTreeMap<&'m str, &'m JsonMember<'a>>,
        drafts: &mut Drafts<'_>,
    ) where
        'v: 'm,
    {
        for (value, key) in self.0.iter().zip(OURS) {
            if variables.contains_key(key) {
                continue;
            }
            let groups = tree.nearest_groups(host);
            let Some(nearest) = value.nearest(tree, groups.iter().map(|group| value.found[*group as usize]))
            else {
                continue;
            };
            let member = value.stated[&nearest.group];
            variables.insert(key, member);
            if let Some(rival) = nearest.rival.filter(|_| key == SERVER) {
                let groups = [tree.name(rival), tree.name(nearest.group)];
                drafts.warn(member.key_range(), ("beside", &member.key), || beside(member, groups));
            }
        }
    }
}

impl<'v, 'a> NearestValue<'v, 'a> {
    fn of(tree: &Tree<'v, 'a>, key: &str) -> Self {
        let stated: HashMap<u32, &JsonMember<'_>> = tree
            .groups()
            .filter_map(|group| {
                Some((group, tree.variables(group).iter().rfind(|member| member.key == key)?))
            })
            .collect();
        let mut values: HashMap<String, usize> = HashMap::new();
        let mut class = |member: &JsonMember<'_>| {
            let next = values.len();
            let value = member.value.value().map_or_else(|_| String::new(), |value| value.to_string());
            *values.entry(value).or_insert(next)
        };
        let classes = stated.iter().map(|(group, member)| (*group, class(member))).collect();
        let found = vec![None; tree.groups().len()];
        let mut value = Self { stated, classes, found };
        for &group in tree.downwards() {
            let own = value.stated.contains_key(&group).then_some(Nearest { group, rival: None });
            let above = tree.parents(group).iter().map(|parent| value.found[*parent as usize]);
            value.found[group as usize] = value.nearest(tree, above.chain([own]));
        }
        value
    }

    fn nearest(
        &self,
        tree: &Tree<'_, '_>,
        candidates: impl Iterator<Item = Option<Nearest>>,
    ) -> Option<Nearest> {
        candidates.flatten().reduce(|a, b| {
            let rank = |group: &u32| (tree.depth(*group), *group);
            let (near, far) = if rank(&a.group) >= rank(&b.group) { (a, b) } else { (b, a) };
            let is_rival = |group: &u32| {
                tree.depth(*group) == tree.depth(near.group)
                    && self.classes[group] != self.classes[&near.group]
            };
            let rivals = [near.rival, Some(far.group), far.rival].into_iter().flatten();
            Nearest { group: near.group, rival: rivals.filter(is_rival).max() }
        })
    }
}

/// Returns the warning about a server that two groups state, neither of them nearer to the host.
fn beside(member: &JsonMember<'_>, [first, second]: [&str; 2]) -> Diagnostic {
    member
        .diagnose_key(format!("the groups \"{first}\" and \"{second}\" state different servers of one host"))
        .hint(
            "the latter is taken, as Ansible does unless ansible_group_priority says otherwise, which --export \
             leaves out; state it for the host, or use ansible-inventory --list without --export",
        )
}
