//! What the programs ask of the nodes of a run, real or imagined. Which they are is chosen in `connect`.

use crate::command::{CommandId, SideCommand};
use crate::config::Cluster;
use crate::elsewhere::Door;
use crate::runtime::CommandEnd;
use orderly_exec::visitors::Visitors;
use orderly_plan::deadline::SlotUse;
use orderly_plan::drivers::{Drivers, Failure, NodeId, Task};
use std::fmt::Debug;
use std::time::Duration;

/// What the programs ask of the nodes of a run beside the run itself. What is left out here asks nothing of
/// imagined nodes.
pub trait Backend: Drivers + Debug {
    /// Returns what a run asks of the nodes.
    fn drivers(&mut self) -> &mut dyn Drivers;

    /// Checks that the programs by which the nodes are reached are there, and that nobody else can change
    /// them: nothing could be asked or done without them. A shutdown runs commands on nodes, a start none.
    ///
    /// # Errors
    /// Rejected (3), with all that is wrong.
    fn check_programs(&self, _cluster: &Cluster, _runs_commands: bool) -> anyhow::Result<()> {
        Ok(())
    }

    /// Tells whether the nodes are imagined; such a run says *simulated* first and last.
    fn is_simulated(&self) -> bool {
        false
    }

    /// Takes over what other runs made of imagined nodes meanwhile.
    ///
    /// # Errors
    /// When the simulated world cannot be read.
    fn reload(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    /// Shares fan-out, limits of controllers and of booting nodes, and stagger with all runs of this machine, before anything
    /// is begun.
    ///
    /// # Errors
    /// When the state directory cannot be used.
    fn share_limits(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    /// Serves whoever comes to the door of this run while it waits for anything.
    ///
    /// # Errors
    /// When they cannot be watched.
    fn let_in(&mut self, _visitors: &Visitors, _door: &Door) -> anyhow::Result<()> {
        Ok(())
    }

    /// Lets these nodes be stopped although they are this very machine (`--even-self`).
    fn allow_self(&mut self, _nodes: &[NodeId]) {}

    /// Sets what users are told by `RemoteCommand::Notify`.
    fn set_message(&mut self, _message: &str) {}

    /// Lets users' processes have no more than this from TERM to KILL, whatever `cluster.toml` says.
    fn limit_grace(&mut self, _most: Duration) {}

    /// Returns why nothing can come of asking a node about its power, or of probing it, as it is configured.
    fn permanent_failure(&self, _node: NodeId) -> Option<Failure> {
        None
    }

    /// Returns why a node's controller would refuse a task, where it has said by now what it allows.
    fn unallowed(&self, _node: NodeId, _task: Task) -> Option<Failure> {
        None
    }

    /// Takes note that the power program does not know these nodes; people are told.
    fn mark_unlisted(&mut self, _nodes: &[NodeId]) {}

    /// Returns how many driver processes run at a time: as many as were asked for, or as there can be.
    fn at_once(&self, asked: usize) -> usize {
        asked
    }

    /// Returns the number that its maker gave a node's machine (UUID), where its controller has said so by now.
    fn machine(&self, _node: NodeId) -> Option<String> {
        None
    }

    /// Tells whether commands on this node go together with those on others, in one process: then
    /// nothing is gained by beginning only so many at a time.
    fn takes_many(&self, _node: NodeId) -> bool {
        false
    }

    /// Returns what a call of a task on this node takes of the slots for calls that run at once.
    fn slot(&self, _node: NodeId, task: Task) -> SlotUse {
        if task == Task::Probe { SlotUse::None } else { SlotUse::Own }
    }

    /// Begins a command; [`Backend::take_ended`] tells of its end after a later `next`, which may
    /// then return no event. In a simulation nothing runs and all succeeds.
    fn start(&mut self, command: &SideCommand) -> CommandId;

    /// Returns the commands that ended since the last call. One that ran is `Ok`, whatever its exit
    /// status; a failure means that it did not run, or that its end is not known.
    fn take_ended(&mut self) -> Vec<CommandEnd>;

    /// Ends the run: what is to be remembered is written.
    ///
    /// # Errors
    /// When the simulated world cannot be written.
    fn close(&mut self) -> anyhow::Result<()>;
}
