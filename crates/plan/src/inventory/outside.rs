//! Machines that serve nodes and are none: this machine, a file server, the management node.
//!
//! Invariant: a server that somebody stated is a node, one of these, or an error; it is never left out in
//! silence (`a_server_that_is_no_node_is_rejected_unless_it_is_outside`).

use core::net::IpAddr;
use std::collections::HashSet;

/// The names and addresses of machines outside an inventory.
#[derive(Debug, Clone, Default)]
pub struct Outside {
    /// In lower case.
    whole: HashSet<String>,
    /// The same up to the first dot, of those that are names.
    short: HashSet<String>,
}

impl Outside {
    /// Returns the machines with these names and addresses; a short name and a fully qualified one are of
    /// one machine.
    pub fn new(words: impl IntoIterator<Item = String>) -> Self {
        let whole: HashSet<String> = words.into_iter().map(|word| plain(&word)).collect();
        let short = whole.iter().filter_map(|word| short(word)).map(str::to_owned).collect();
        Self { whole, short }
    }

    /// Tells whether a word is one of these machines.
    pub fn has(&self, word: &str) -> bool {
        let word = plain(word);
        self.whole.contains(&word)
            || match short(&word) {
                Some(short) if short == word => self.short.contains(short),
                Some(short) => self.whole.contains(short),
                None => false,
            }
    }
}

/// Returns a name or address as it is compared.
pub(super) fn plain(word: &str) -> String {
    match word.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().to_string(),
        Err(_) => word.trim_end_matches('.').to_lowercase(),
    }
}

/// Returns a name up to its first dot; nothing for an address.
pub(super) fn short(word: &str) -> Option<&str> {
    if word.parse::<IpAddr>().is_ok() {
        return None;
    }
    word.split('.').next().filter(|short| !short.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_qualified_names_are_of_one_machine_and_addresses_have_no_short_form() {
        let outside = Outside::new(["nas1", "mgmt.example.org", "10.0.0.1", "FE80::1"].map(str::to_owned));
        for word in ["nas1", "NAS1.example.org", "nas1.", "mgmt", "Mgmt.example.org", "10.0.0.1", "fe80:0::1"]
        {
            assert!(outside.has(word), "{word}");
        }
        for word in ["nas10", "mgmt.other.org", "10", "10.0.0.2", ""] {
            assert!(!outside.has(word), "{word}");
        }
    }
}
