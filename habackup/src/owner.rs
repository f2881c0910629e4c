//! Who restored files belong to: by name where this host knows the name, else by number. The same
//! user may have another number on the other host.

use crate::manifest::Entry;
use nix::unistd::{Group, User};
use std::collections::{BTreeSet, HashMap};

/// Looks up each name once and remembers what there is to tell.
#[derive(Debug, Default)]
pub struct OwnerMap {
    users: HashMap<(u32, Option<Box<str>>), u32>,
    groups: HashMap<(u32, Option<Box<str>>), u32>,
    remarks: BTreeSet<String>,
}

impl OwnerMap {
    /// Returns the numbers that the owner and group of an entry have on this host.
    pub fn translate(&mut self, entry: &Entry) -> (u32, u32) {
        let remarks = &mut self.remarks;
        let user = self.users.entry((entry.uid, entry.user.clone())).or_insert_with(|| {
            let here = |name: &str| User::from_name(name).ok().flatten().map(|user| user.uid.as_raw());
            resolve("user", entry.uid, entry.user.as_deref(), here, remarks)
        });
        let group = self.groups.entry((entry.gid, entry.group.clone())).or_insert_with(|| {
            let here = |name: &str| Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw());
            resolve("group", entry.gid, entry.group.as_deref(), here, remarks)
        });
        (*user, *group)
    }

    /// Returns what is worth telling, one line each.
    pub fn remarks(&self) -> impl Iterator<Item = &str> {
        self.remarks.iter().map(String::as_str)
    }
}

fn resolve(
    what: &str,
    number: u32,
    name: Option<&str>,
    here: impl Fn(&str) -> Option<u32>,
    remarks: &mut BTreeSet<String>,
) -> u32 {
    let Some(name) = name else { return number };
    match here(name) {
        Some(own) if own == number => number,
        Some(own) => {
            remarks.insert(format!(
                "{what} {name} has number {own} here and {number} in the snapshot: restored by name"
            ));
            own
        }
        None => {
            remarks.insert(format!("{what} {name} is not known here: restored by number, {number}"));
            number
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_wins_and_what_was_chosen_is_told() {
        let mut remarks = BTreeSet::new();
        let here = |name: &str| (name == "oracle").then_some(54);
        assert_eq!(resolve("user", 7, Some("oracle"), here, &mut remarks), 54);
        assert_eq!(resolve("user", 7, Some("nobody-here"), here, &mut remarks), 7);
        assert_eq!(resolve("user", 7, None, here, &mut remarks), 7);
        assert_eq!(resolve("user", 54, Some("oracle"), here, &mut remarks), 54);
        assert_eq!(remarks.len(), 2);
    }
}
