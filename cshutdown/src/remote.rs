//! A log line for another machine: `csLogger`, run there through the shell driver.

use orderly_exec::{Status, fail};
use orderly_nodes::command::{RunsOn, SideCommand};
use orderly_nodes::config::Cluster;
use orderly_nodes::connect;
use orderly_plan::drivers::{Event, NodeId};
use orderly_plan::inventory::{Inventory, Node};
use std::net::IpAddr;
use std::path::Path;

/// Appends a line to a log on the control workstation at `address`.
///
/// # Errors
/// Rejected (3) when the configuration is; else failed (1), with what the other side said.
pub(crate) fn log(config: Option<&Path>, address: IpAddr, file: &Path, text: &str) -> anyhow::Result<Status> {
    let mut cluster = Cluster::read(config)?;
    // The control workstation need not be a node, and no override is about it.
    cluster.group_overrides.clear();
    cluster.node_overrides.clear();
    let mut drivers = connect::backend(&cluster, &Inventory::new(vec![workstation(address)]))?;
    let address = address.to_string();
    let file = file.to_string_lossy();
    let argv = ["csLogger", "--here", "-b", &address, "-f", &file, "--", text];
    let id = drivers.start(&SideCommand {
        on: RunsOn::Node(NodeId(0)),
        argv: argv.map(str::to_owned).to_vec(),
        stdin: Vec::new(),
        timeout: cluster.profile.shell_timeout(),
    });
    let mut signal = None;
    loop {
        for event in drivers.next(None) {
            if let Event::Signal(number) = event {
                signal = Some(number);
                drivers.end_all();
            }
        }
        let Some((_, result)) = drivers.take_ended().into_iter().find(|(ended, _)| *ended == id) else {
            continue;
        };
        let clause = match result {
            Ok(ended) if ended.succeeded() => return Ok(Status::Done),
            Ok(ended) => ended.clause(),
            Err(failure) => failure.detail(),
        };
        let status = signal.map_or(Status::Failed, Status::Signal);
        return Err(fail(status, format!("write to {file} on {address}: {clause}")));
    }
}

fn workstation(address: IpAddr) -> Node {
    Node { name: address.to_string(), address: Some(address.to_string()), ..Node::default() }
}
