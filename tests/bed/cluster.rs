//! A cluster: its inventory, and a `cluster.toml` that finds all it names in the bed.

use crate::Bed;
use std::fmt::Display;

/// Returns an inventory of nodes of which nothing is said but their names.
pub fn inventory_of(names: impl IntoIterator<Item = impl Display>) -> String {
    let nodes: Vec<String> = names.into_iter().map(|name| format!(r#"{{"name": "{name}"}}"#)).collect();
    format!(r#"{{"format": "orderly-inventory/1", "nodes": [{}]}}"#, nodes.join(","))
}

/// Returns the tables of `cluster.toml` by which `program` is a node's power, probe and shell.
pub fn scripted(program: impl Display) -> String {
    format!(
        "[power]\ndriver = \"command\"\non = [\"{program}\", \"on\", \"{{node}}\"]\noff = [\"{program}\", \"off\", \"{{node}}\"]\n\
         status = [\"{program}\", \"status\", \"{{nodes}}\"]\n\
         [probe]\ndriver = \"command\"\nup = [\"{program}\", \"up\", \"{{node}}\"]\ninterval = \"200ms\"\n\
         [shell]\ndriver = \"command\"\nrun = [\"{program}\", \"run\", \"{{node}}\", \"{{command}}\"]\n"
    )
}

impl Bed {
    /// Writes this inventory, and a `cluster.toml` with these settings: first keys, then tables. It names `cstartSeq`,
    /// `cshutSeq` and `subsysSeq` in the root, which are a test's to write, and the folder `log`.
    pub fn cluster(&self, inventory: &str, settings: impl Display) {
        let named = format!(
            "inventory = {:?}\nlog_dir = {:?}\nsequence.start = {:?}\nsequence.shut = {:?}\nsequence.subsystems = {:?}\n",
            self.write("inventory.json", inventory),
            self.path("log"),
            self.path("cstartSeq"),
            self.path("cshutSeq"),
            self.path("subsysSeq"),
        );
        self.config("cluster.toml", format!("{named}{settings}"));
    }

    /// Makes `sbin/mynode`, for which a node is a marker `on.NODE`, and `runs` are the cases of what is run on the node
    /// `$1`. These nodes are up.
    pub fn markers(&self, runs: &str, nodes: &[&str]) {
        self.script(
            "sbin/mynode",
            &format!(
                r#"does=$1
shift
case $does in
on) : >"$ORDERLY_BED/on.$1" ;;
off) rm -f "$ORDERLY_BED/on.$1" ;;
status) for node; do if [ -e "$ORDERLY_BED/on.$node" ]; then echo "$node: on"; else echo "$node: off"; fi; done ;;
up) [ -e "$ORDERLY_BED/on.$1" ] ;;
run) case $2 in
{runs}
	esac ;;
esac"#
            ),
        );
        nodes.iter().for_each(|node| drop(self.write(format!("on.{node}"), "")));
    }
}
