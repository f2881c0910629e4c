//! Which groups a host is in, and which of them is nearest.
//!
//! The order is Ansible's own: by depth, which is the longest way down from `all`, then by name; what comes
//! later wins. Every host is in `all`.

use super::AnsibleGroup;
use crate::inventory::check::weight;
use crate::inventory::listing::Listing;
use crate::json::JsonMember;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// The groups of an inventory, by number in the order of their names.
pub(super) struct Tree<'v, 'a> {
    groups: Vec<(&'v str, &'v AnsibleGroup<'a>)>,
    parents: Listing,
    of_host: Listing,
    all: Option<u32>,
    depths: Vec<usize>,
    /// Parents before their children.
    downwards: Vec<u32>,
    weights: Vec<usize>,
    /// How much one way up from each group states at the most, and how much all of them; its hosts have something between
    /// the two.
    bounds: Vec<[usize; 2]>,
    /// Whether it is `all`, or below it.
    is_in_all: Vec<bool>,
    /// Whether a host is in it.
    is_used: Vec<bool>,
}

/// Groups each of which is a child of the next one, up to the first again.
pub(super) struct GroupCircle {
    pub(super) names: Vec<String>,
    /// Where the first is defined.
    pub(super) at: Range<usize>,
}

impl<'v, 'a> Tree<'v, 'a> {
    /// Looks the children of groups up, and the groups of so many hosts.
    ///
    /// # Errors
    /// When groups are children of themselves, which Ansible rejects as well.
    pub(super) fn of(
        found: &'v BTreeMap<String, AnsibleGroup<'a>>,
        hosts: usize,
    ) -> Result<Self, GroupCircle> {
        let groups: Vec<(&str, &AnsibleGroup<'_>)> =
            found.iter().map(|(name, group)| (name.as_str(), group)).collect();
        let by_name: HashMap<&str, u32> = groups.iter().zip(0..).map(|((name, _), at)| (*name, at)).collect();
        let children = |(group, at): (&(&str, &AnsibleGroup<'_>), u32)| -> Vec<(u32, u32)> {
            let children = group.1.children.iter().filter_map(|child| by_name.get(child.as_ref()));
            children.map(|child| (at, *child)).collect()
        };
        let links: Vec<(u32, u32)> = groups.iter().zip(0..).flat_map(children).collect();
        let parents = links.iter().map(|(parent, child)| (*child, *parent));
        let parents = Listing::of(groups.len(), &mut || Box::new(parents.clone()));
        let children = Listing::of(groups.len(), &mut || Box::new(links.iter().copied()));
        let of_host =
            |(group, at): (&'v AnsibleGroup<'a>, u32)| group.hosts.iter().map(move |host| (*host, at));
        let each = groups.iter().map(|(_, group)| *group).zip(0..);
        let of_host = Listing::of(hosts, &mut || Box::new(each.clone().flat_map(of_host)));
        let downwards = downwards(&parents, &children);
        if downwards.len() < groups.len() {
            return Err(circle(&groups, &parents, &downwards));
        }
        let weigh = |(_, group): &(&str, &AnsibleGroup<'_>)| {
            let variables = group.variables.iter().map(|member| weight(member.value.range().len()));
            1 + variables.sum::<usize>()
        };
        let count = groups.len();
        let mut tree = Self {
            depths: groups.iter().map(|(name, _)| usize::from(*name != "all")).collect(),
            weights: groups.iter().map(weigh).collect(),
            all: by_name.get("all").copied(),
            bounds: vec![[0; 2]; count],
            is_in_all: vec![false; count],
            is_used: vec![false; count],
            groups,
            parents,
            of_host,
            downwards,
        };
        tree.go_down();
        tree.find_used();
        Ok(tree)
    }

    /// Works out what a group has of its parents.
    fn go_down(&mut self) {
        for &group in &self.downwards {
            let (at, parents) = (group as usize, self.parents.of_one(group));
            let depths = parents.iter().map(|parent| self.depths[*parent as usize] + 1);
            self.depths[at] = depths.fold(self.depths[at], usize::max);
            let least = parents.iter().map(|parent| self.bounds[*parent as usize][0]).max().unwrap_or(0);
            let most = parents.iter().map(|parent| self.bounds[*parent as usize][1]);
            let most = most.fold(0, usize::saturating_add);
            self.bounds[at] = [least, most].map(|above| above.saturating_add(self.weights[at]));
            self.is_in_all[at] =
                self.all == Some(group) || parents.iter().any(|parent| self.is_in_all[*parent as usize]);
        }
    }

    fn find_used(&mut self) {
        for ((_, group), is_used) in self.groups.iter().zip(&mut self.is_used) {
            *is_used = !group.hosts.is_empty();
        }
        if let Some(all) = self.all {
            self.is_used[all as usize] = true;
        }
        for &group in self.downwards.iter().rev() {
            if self.is_used[group as usize] {
                let parents = self.parents.of_one(group);
                parents.iter().for_each(|parent| self.is_used[*parent as usize] = true);
            }
        }
    }

    pub(super) fn groups(&self) -> Range<u32> {
        0..u32::try_from(self.groups.len()).unwrap_or(u32::MAX)
    }

    /// Returns all groups, parents before their children.
    pub(super) fn downwards(&self) -> &[u32] {
        &self.downwards
    }

    pub(super) fn parents(&self, group: u32) -> &[u32] {
        self.parents.of_one(group)
    }

    /// Returns the groups that a host is in; all others are above these.
    pub(super) fn nearest_groups(&self, host: u32) -> Vec<u32> {
        let mut groups = self.of_host.of_one(host).to_vec();
        groups.dedup();
        if !groups.iter().any(|group| self.is_in_all[*group as usize]) {
            groups.extend(self.all);
        }
        groups
    }

    /// Returns how much a host has of its groups at the least, and at the most.
    pub(super) fn bounds(&self, host: u32) -> [usize; 2] {
        let bounds =
            self.of_host.of_one(host).iter().chain(&self.all).map(|group| self.bounds[*group as usize]);
        bounds.fold([0, 0], |sum, of| [sum[0].max(of[0]), sum[1].saturating_add(of[1])])
    }

    pub(super) fn counter(&self) -> WeightCounter<'_, 'v, 'a> {
        WeightCounter { tree: self, seen: vec![0; self.groups.len()], round: 0 }
    }

    pub(super) fn name(&self, group: u32) -> &'v str {
        self.groups[group as usize].0
    }

    pub(super) fn depth(&self, group: u32) -> usize {
        self.depths[group as usize]
    }

    pub(super) fn is_used(&self, group: u32) -> bool {
        self.is_used[group as usize]
    }

    pub(super) fn variables(&self, group: u32) -> &'v [JsonMember<'a>] {
        &self.groups[group as usize].1.variables
    }
}

/// Counts how much groups and all above them state, each once.
pub(super) struct WeightCounter<'t, 'v, 'a> {
    tree: &'t Tree<'v, 'a>,
    /// By group: in which round it was seen last.
    seen: Vec<u32>,
    round: u32,
}

impl WeightCounter<'_, '_, '_> {
    pub(super) fn count(&mut self, groups: &[u32]) -> usize {
        self.round += 1;
        let (mut open, mut sum) = (groups.to_vec(), 0usize);
        while let Some(group) = open.pop() {
            if std::mem::replace(&mut self.seen[group as usize], self.round) != self.round {
                sum = sum.saturating_add(self.tree.weights[group as usize]);
                open.extend(self.tree.parents(group));
            }
        }
        sum
    }
}

/// Returns the groups, parents before their children; without those in a circle and those below one.
fn downwards(parents: &Listing, children: &Listing) -> Vec<u32> {
    let groups = 0..u32::try_from(parents.len()).unwrap_or(u32::MAX);
    let mut waiting: Vec<usize> = groups.clone().map(|group| parents.of_one(group).len()).collect();
    let mut order: Vec<u32> = groups.filter(|group| waiting[*group as usize] == 0).collect();
    let mut next = 0;
    while let Some(&group) = order.get(next) {
        next += 1;
        for &child in children.of_one(group) {
            waiting[child as usize] -= 1;
            if waiting[child as usize] == 0 {
                order.push(child);
            }
        }
    }
    order
}

/// Returns a circle among the groups that have no place in the order: each has a parent that has none either.
fn circle(groups: &[(&str, &AnsibleGroup<'_>)], parents: &Listing, ordered: &[u32]) -> GroupCircle {
    let mut is_ordered = vec![false; groups.len()];
    ordered.iter().for_each(|group| is_ordered[*group as usize] = true);
    let first = (0..).zip(&is_ordered).find(|(_, is_ordered)| !**is_ordered).map_or(0, |(group, _)| group);
    let (mut way, mut at) = (vec![first], HashMap::from([(first, 0)]));
    loop {
        let last = way.last().copied().unwrap_or(first);
        let parent = parents.of_one(last).iter().copied().find(|group| !is_ordered[*group as usize]);
        let parent = parent.unwrap_or(last);
        if let Some(&start) = at.get(&parent) {
            let circle = way[start..].iter().chain([&parent]);
            let names = circle.map(|group| format!("\"{}\"", groups[*group as usize].0)).collect();
            return GroupCircle { names, at: groups[parent as usize].1.at.clone() };
        }
        at.insert(parent, way.len());
        way.push(parent);
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnostic::Source;
    use crate::inventory::{Format, Inventory, Outside, read};
    use serde_json::json;

    fn try_read(text: &str) -> Result<Inventory, String> {
        read(&Source { name: "a", text }, Format::Ansible, &Outside::default())
            .map_err(|wrong| wrong.to_string())
    }

    fn members(inventory: &Inventory, group: &str) -> Vec<String> {
        let members = inventory.group(group).unwrap_or_default();
        members.iter().map(|id| inventory.name(*id).to_owned()).collect()
    }

    /// Ansible rejects them as well; they had the depth at which they were last met, whatever that was.
    #[test]
    fn groups_that_go_round_in_a_circle_are_rejected_with_the_whole_circle() {
        let text = r#"{"a": {"hosts": ["n1"], "children": ["b"]}, "b": {"children": ["c"]},
            "c": {"children": ["b", "d"]}, "d": ["n2"]}"#;
        let said = try_read(text).unwrap_err();
        let circle = r#"the groups go round in a circle: "b" is a child of "c" is a child of "b""#;
        assert!(said.starts_with("a:1:45: ") && said.contains(circle), "{said}");
        let said = try_read(r#"{"a": {"hosts": ["n1"], "children": ["a"]}}"#).unwrap_err();
        assert!(said.contains(r#""a" is a child of "a""#), "{said}");
    }

    #[test]
    fn a_host_has_what_all_groups_above_state_and_the_nearest_counts() {
        let text = r#"{"_meta": {"hostvars": {"n3": {"bmc": null, "rack": 3}}},
            "all": {"children": ["top"], "vars": {"bmc": "b0", "site": "x", "room": null}},
            "top": {"children": ["left", "right"], "vars": {"bmc": "b1", "room": "r"}},
            "left": {"hosts": ["n1"], "children": ["low"], "vars": {"bmc": "b2"}},
            "right": {"hosts": ["n2", "n3"], "children": ["low"], "vars": {"room": null}},
            "low": ["n4"], "none": {"children": ["low"], "vars": {"bmc": "b3"}}}"#;
        let inventory = try_read(text).unwrap();
        let of = |name: &str| inventory.node(inventory.by_name(name).unwrap());
        let attributes = |name: &str| of(name).attributes.iter().map(|(key, value)| format!("{key}={value}"));
        let attributes = |name: &str| attributes(name).collect::<Vec<_>>().join(" ");
        assert_eq!(attributes("n1"), r#"bmc="b2" room="r" site="x""#);
        assert_eq!(attributes("n2"), r#"bmc="b1" site="x""#);
        assert_eq!(attributes("n3"), r#"rack=3 site="x""#);
        assert_eq!(attributes("n4"), r#"bmc="b2" site="x""#);
        for name in ["n1", "n2", "n3", "n4"] {
            let each = ["bmc", "room", "site", "rack"].map(|key| of(name).attributes.get(key).is_some());
            let said = attributes(name);
            assert_eq!(each, ["bmc=", "room=", "site=", "rack="].map(|key| said.contains(key)), "{name}");
        }
        assert!(of("n4").groups.iter().eq(["left", "low", "none", "right", "top"]));
        assert_eq!(members(&inventory, "top"), ["n3", "n1", "n2", "n4"]);
        assert_eq!(members(&inventory, "left"), ["n1", "n4"]);
        assert_eq!(members(&inventory, "none"), ["n4"]);
        assert_eq!(
            inventory.attribute_names().into_iter().collect::<Vec<_>>(),
            ["bmc", "rack", "room", "site"]
        );
        assert_eq!(of("n1").attributes["bmc"], json!("b2"));
    }

    /// Of three, the first is one that states another server than the one that is taken.
    #[test]
    fn a_doubtful_server_is_found_among_all_groups_of_one_depth() {
        let text = r#"{"a": {"children": ["x"], "vars": {"boot_server": "s1"}},
            "b": {"children": ["x"], "vars": {"boot_server": "s2"}},
            "c": {"hosts": ["n2"], "children": ["x"], "vars": {"boot_server": "s2"}},
            "x": ["n1"], "z": ["s1", "s2"]}"#;
        let inventory = try_read(text).unwrap();
        let said: Vec<String> = inventory.warnings().iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains(r#"the groups "a" and "c" state different servers"#), "{said:?}");
    }
}
