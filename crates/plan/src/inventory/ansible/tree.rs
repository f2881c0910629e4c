//! Which groups a host is in, and which of them is nearest.
//!
//! The order is Ansible's own: by depth, which is the longest way down from `all`, then by name; what comes
//! later wins. Every host is in `all`.

use super::AnsibleGroup;
use crate::json::JsonMember;
use std::collections::{BTreeMap, HashMap};

/// The groups of an inventory, by number in the order of their names.
pub(super) struct Tree<'v, 'a> {
    groups: Vec<(&'v str, &'v AnsibleGroup<'a>)>,
    parents: Vec<Vec<usize>>,
    depths: Vec<usize>,
    weights: Vec<usize>,
    /// How much one way up from each group states at the most; its hosts have no less.
    ways: Vec<usize>,
    of_host: HashMap<&'v str, Vec<usize>>,
    all: Option<usize>,
}

impl<'v, 'a> Tree<'v, 'a> {
    pub(super) fn of(found: &'v BTreeMap<String, AnsibleGroup<'a>>) -> Self {
        let groups: Vec<(&str, &AnsibleGroup<'_>)> =
            found.iter().map(|(name, group)| (name.as_str(), group)).collect();
        let by_name: HashMap<&str, usize> =
            groups.iter().zip(0..).map(|((name, _), at)| (*name, at)).collect();
        let mut parents = vec![Vec::new(); groups.len()];
        let mut of_host: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, (_, group)) in groups.iter().enumerate() {
            for child in group.children.iter().filter_map(|child| by_name.get(child.as_str())) {
                parents[*child].push(at);
            }
            for host in &group.hosts {
                of_host.entry(host).or_default().push(at);
            }
        }
        let all = by_name.get("all").copied();
        let weigh = |(_, group): &(&str, &AnsibleGroup<'_>)| {
            let variables = group.variables.iter().map(|member| super::weight(member.value.range().len()));
            1 + variables.sum::<usize>()
        };
        let weights: Vec<usize> = groups.iter().map(weigh).collect();
        let (depths, ways) = depths(&groups, &by_name, &parents, &weights);
        Self { groups, parents, depths, weights, ways, of_host, all }
    }

    /// Returns the groups of a host, with all above, the farthest first.
    pub(super) fn groups_of(&self, host: &str) -> Vec<usize> {
        let mut above: Vec<usize> = self.own_groups(host).to_vec();
        above.extend(self.all);
        let mut seen: std::collections::HashSet<usize> = above.iter().copied().collect();
        let mut open = above.clone();
        while let Some(group) = open.pop() {
            for &parent in self.parents[group].iter().filter(|parent| seen.insert(**parent)) {
                above.push(parent);
                open.push(parent);
            }
        }
        above.sort_unstable_by_key(|&group| (self.depths[group], group));
        above.dedup();
        above
    }

    /// Returns the groups that name a host.
    pub(super) fn own_groups(&self, host: &str) -> &[usize] {
        self.of_host.get(host).map_or(&[], Vec::as_slice)
    }

    /// Returns how much a host has of its groups at the least.
    pub(super) fn least(&self, host: &str) -> usize {
        self.own_groups(host).iter().map(|&group| self.ways[group]).max().unwrap_or(0)
    }

    /// Returns the names that say something and can be named, sorted.
    pub(super) fn names(&self, groups: &[usize]) -> Vec<String> {
        let mut groups = groups.to_vec();
        groups.sort_unstable();
        let names = groups.iter().map(|&group| self.name(group));
        let says = |name: &&str| !matches!(*name, "all" | "ungrouped") && crate::name::fault(name).is_none();
        names.filter(says).map(str::to_owned).collect()
    }

    pub(super) fn name(&self, group: usize) -> &'v str {
        self.groups[group].0
    }

    pub(super) fn depth(&self, group: usize) -> usize {
        self.depths[group]
    }

    /// Returns how much a group states of each of its hosts.
    pub(super) fn weight(&self, group: usize) -> usize {
        self.weights[group]
    }

    pub(super) fn variables(&self, group: usize) -> &'v [JsonMember<'a>] {
        &self.groups[group].1.variables
    }
}

/// Returns the longest way down to each group, and the most that is stated on one way down to it. Groups that go round in a circle, which Ansible does not write,
/// have the depth at which they were last met.
fn depths(
    groups: &[(&str, &AnsibleGroup<'_>)],
    by_name: &HashMap<&str, usize>,
    parents: &[Vec<usize>],
    weights: &[usize],
) -> (Vec<usize>, Vec<usize>) {
    let mut ways = weights.to_vec();
    let mut depths: Vec<usize> = groups.iter().map(|(name, _)| usize::from(*name != "all")).collect();
    let mut waiting: Vec<usize> = parents.iter().map(Vec::len).collect();
    let mut open: Vec<usize> = (0..groups.len()).filter(|&group| waiting[group] == 0).collect();
    while let Some(group) = open.pop() {
        for &child in groups[group].1.children.iter().filter_map(|child| by_name.get(child.as_str())) {
            depths[child] = depths[child].max(depths[group] + 1);
            ways[child] = ways[child].max(ways[group] + weights[child]);
            waiting[child] -= 1;
            if waiting[child] == 0 {
                open.push(child);
            }
        }
    }
    (depths, ways)
}
