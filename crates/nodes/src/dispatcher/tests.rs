//! Tests of the drivers against real processes: scripts in a temporary folder, never a power tool.

use super::*;
use crate::backend::Backend;
use crate::command::{RunsOn, SideCommand};
use crate::connect;
use orderly_exec::job::{Ended, Ending};
use orderly_exec::status::Status;
use orderly_plan::diagnostic::Source;
use orderly_plan::drivers::{FailureKind, Power, Probe, RemoteCommand};
use orderly_plan::inventory::{self, Format, Node, Outside};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{MutexGuard, PoisonError};
use tempfile::TempDir;

mod batch;
mod remote;

/// A folder of scripts, and the right to start processes.
struct Bed {
    _alone: MutexGuard<'static, ()>,
    dir: TempDir,
}

impl Bed {
    fn new() -> Self {
        let alone = crate::ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Self { _alone: alone, dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a script that finds this folder in `$D`; returns its path.
    fn script(&self, name: &str, body: &str) -> String {
        let path = self.path().join(name);
        fs::write(&path, format!("#!/bin/sh\nD='{}'\n{body}\n", self.path().display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap_or_default()
    }

    fn drivers(&self, toml: &str, nodes: Vec<Node>) -> Box<dyn Backend> {
        let cluster = Cluster::parse("cluster.toml", toml).unwrap_or_else(|wrong| panic!("{wrong}"));
        let all: Vec<NodeId> = (0..nodes.len()).map(|at| NodeId(u32::try_from(at).unwrap())).collect();
        let mut drivers = connect::backend(&cluster, &Inventory::new(nodes)).unwrap();
        // All of them are in the boot of this machine.
        drivers.allow_self(&all);
        drivers
    }
}

fn nodes(count: u32) -> Vec<Node> {
    (1..=count)
        .map(|number| Node { name: format!("n{number}"), number: Some(number), ..Node::default() })
        .collect()
}

/// Does a task on nodes and returns all events, one for each node.
fn carry_out(drivers: &mut dyn Backend, task: Task, nodes: impl IntoIterator<Item = u32>) -> Vec<Event> {
    let mut queue: VecDeque<NodeId> = nodes.into_iter().map(NodeId).collect();
    let count = queue.len();
    let mut events = Vec::new();
    while events.len() < count {
        let offered = queue.len();
        let begun = drivers.begin(task, &mut queue);
        assert!(begun.len() + queue.len() == offered && begun.iter().all(|node| !queue.contains(node)));
        let until = drivers.now() + Duration::from_secs(60);
        let heard = drivers.next(Some(until));
        assert!(!heard.is_empty(), "nothing was heard for a minute");
        events.extend(heard);
    }
    assert!(queue.is_empty());
    events.sort_by_key(|event| match event {
        Event::Power(node, _) | Event::Probe(node, _) | Event::BootId(node, _) | Event::Ended(node, ..) => {
            node.0
        }
        Event::Signal(_) | Event::Attention | Event::Asked => u32::MAX,
    });
    events
}

fn kinds(events: &[Event]) -> Vec<Option<FailureKind>> {
    let kind = |event: &Event| {
        let Event::Ended(_, _, result) = event else { panic!("{event:?}") };
        result.as_ref().err().map(|failure| failure.kind)
    };
    events.iter().map(kind).collect()
}

fn detail(event: &Event) -> String {
    let Event::Ended(_, _, Err(failure)) = event else { panic!("{event:?}") };
    failure.detail()
}

#[test]
fn one_process_a_node_and_a_failure_says_what_was_run() {
    let bed = Bed::new();
    let power =
        bed.script("power", "echo \"$@\" >> $D/log; [ $2 = n2 ] || exit 0; echo no such plug >&2; exit 4");
    let toml = format!(
        "[power]\ndriver=\"command\"\non=[\"{power}\",\"on\",\"{{node}}\"]\noff=[\"/no/such/tool\",\"{{node}}\"]\n\
         [probe]\ndriver=\"none\"\n"
    );
    let mut drivers = bed.drivers(&toml, nodes(3));
    let events = carry_out(&mut *drivers, Task::PowerOn, 0..3);
    assert_eq!(kinds(&events), [None, Some(FailureKind::Failed), None]);
    assert_eq!(detail(&events[1]), format!("{power} on n2: exit status 4: no such plug"));
    assert_eq!(bed.read("log").lines().count(), 3);
    let events = carry_out(&mut *drivers, Task::PowerOff, 0..1);
    assert_eq!(kinds(&events), [Some(FailureKind::NotStarted)]);
    assert!(detail(&events[0]).contains("/no/such/tool"), "{}", detail(&events[0]));
    let events = carry_out(&mut *drivers, Task::Reset, 0..1);
    assert_eq!(kinds(&events), [Some(FailureKind::NotStarted)]);
    assert!(!drivers.abilities(NodeId(0)).resets && !drivers.abilities(NodeId(0)).reads_power);
    assert_eq!(carry_out(&mut *drivers, Task::ReadPower, 0..1), [Event::Power(NodeId(0), Power::Unknown)]);
}

/// A reading was told beside the answer; runs count what is outstanding by the answers, and one ended early.
#[test]
fn a_power_call_whose_effect_is_waited_for_is_answered_once_a_node() {
    let bed = Bed::new();
    let powerman = bed.script(
        "powerman",
        "case \"$*\" in *-q*) printf 'n1: on\\nn2: on\\n' ;; *) echo 'Command completed successfully' ;; esac",
    );
    let toml = format!("[power]\ndriver=\"powerman\"\nprogram=\"{powerman}\"\n[probe]\ndriver=\"power\"\n");
    let mut drivers = bed.drivers(&toml, nodes(2));
    assert!(drivers.abilities(NodeId(0)).confirms_power);
    assert_eq!(kinds(&carry_out(&mut *drivers, Task::PowerOn, 0..2)), [None, None]);
    let until = drivers.now() + Duration::from_millis(50);
    assert_eq!(drivers.next(Some(until)), []);
}

#[test]
fn one_process_for_the_whole_ready_set() {
    let bed = Bed::new();
    let power = bed.script(
        "power",
        "echo \"$@\" >> $D/log; [ $1 = status ] || exit 0; shift; for n; do echo \"$n: on\"; done; echo junk",
    );
    let toml = format!(
        "[power]\ndriver=\"command\"\non=[\"{power}\",\"on\",\"{{nodeset}}\"]\noff=[\"{power}\",\"off\",\"{{nodes}}\"]\n\
         status=[\"{power}\",\"status\",\"{{nodes}}\"]\n[probe]\ndriver=\"power\"\n"
    );
    let mut drivers = bed.drivers(&toml, nodes(300));
    assert!(kinds(&carry_out(&mut *drivers, Task::PowerOn, 0..300)).iter().all(Option::is_none));
    assert_eq!(bed.read("log"), "on n[1-300]\n");
    let events = carry_out(&mut *drivers, Task::ReadPower, 0..300);
    assert!(events.iter().all(|event| matches!(event, Event::Power(_, Power::On))));
    let events = carry_out(&mut *drivers, Task::Probe, 0..2);
    assert_eq!(events, [0, 1].map(|node| Event::Probe(NodeId(node), Probe::Up)));
    assert_eq!(bed.read("log").lines().count(), 3);
}

#[test]
fn a_status_that_fails_is_unknown_and_a_dead_controller_hides_nobody_else() {
    let bed = Bed::new();
    let status = bed.script("status", "shift 0; echo 'n1: off'; echo 'n2: on'; printf 'n3: o'; exit 1");
    let slow = bed.script("slow", "echo 'n1: on'; sleep 60");
    let toml = |command: &str, place: &str| {
        format!(
            "[power]\ndriver=\"command\"\non=[\"true\"]\noff=[\"true\"]\nstatus=[\"{command}\",\"{place}\"]\n\
             timeout=\"300ms\"\n[probe]\ndriver=\"none\"\n"
        )
    };
    let read = |toml: String, count| {
        let mut drivers = bed.drivers(&toml, nodes(count));
        carry_out(&mut *drivers, Task::ReadPower, 0..count)
            .into_iter()
            .map(|event| {
                let Event::Power(_, power) = event else { panic!("{event:?}") };
                power
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(read(toml(&status, "{nodes}"), 3), [Power::Off, Power::On, Power::Unknown]);
    assert_eq!(read(toml(&status, "{node}"), 1), [Power::Unknown]);
    assert_eq!(read(toml(&slow, "{nodes}"), 2), [Power::On, Power::Unknown]);
    assert_eq!(read(toml(&slow, "{node}"), 1), [Power::Unknown]);
}

#[test]
fn one_hung_controller_in_a_call_for_many_holds_nobody_else() {
    let bed = Bed::new();
    let power = bed.script("power", "for n; do [ $n = n2 ] || touch $D/$n; done; sleep 600");
    let status = bed.script("status", "for n; do [ -e $D/$n ] && echo \"$n: on\" || echo \"$n: off\"; done");
    let toml = format!(
        "[power]\ndriver=\"command\"\non=[\"{power}\",\"{{nodes}}\"]\noff=[\"true\"]\n\
         status=[\"{status}\",\"{{nodes}}\"]\ntimeout=\"2s\"\n\
         [probe]\ndriver=\"none\"\ninterval=\"100ms\"\n"
    );
    let mut drivers = bed.drivers(&toml, nodes(3));
    let mut queue: VecDeque<NodeId> = [0, 1, 2].map(NodeId).into();
    drivers.begin(Task::PowerOn, &mut queue);
    let mut first = drivers.next(None);
    first.sort_by_key(|event| format!("{event:?}"));
    assert_eq!(first, [0, 2].map(|node| Event::Ended(NodeId(node), Task::PowerOn, Ok(()))));
    let last = drivers.next(None);
    assert_eq!(kinds(&last), [Some(FailureKind::TimedOut)]);
    assert!(matches!(last[0], Event::Ended(NodeId(1), ..)));
}

#[test]
fn no_more_processes_than_the_fan_out_and_no_more_calls_than_a_controller_bears() {
    let bed = Bed::new();
    // Each call leaves a mark while it runs and notes how many there are, of all and of its controller.
    let power = bed.script(
        "power",
        "b=$((${1#n} % 2)); touch $D/run.$b.$1; set -- $1 $D/run.*; echo all $(($# - 1)) >> $D/log\n\
         set -- $1 $D/run.$b.*; echo one $(($# - 1)) >> $D/log; sleep 0.05; rm $D/run.$b.$1",
    );
    let mut members = nodes(24);
    for (index, node) in members.iter_mut().enumerate() {
        node.attributes.insert("bmc".into(), serde_json::Value::from((index + 1) % 2));
    }
    let toml = format!(
        "[power]\ndriver=\"command\"\non=[\"{power}\",\"{{node}}\"]\noff=[\"true\"]\n[probe]\ndriver=\"none\"\n\
         [limits]\nfanout=5\nper=\"bmc\"\nmax=2\n"
    );
    let mut drivers = bed.drivers(&toml, members);
    carry_out(&mut *drivers, Task::PowerOn, 0..24);
    let most = |word: &str| {
        let log = bed.read("log");
        log.lines().filter_map(|line| line.strip_prefix(word)?.trim().parse::<u32>().ok()).max()
    };
    assert!(most("all") <= Some(5), "{:?}", most("all"));
    assert_eq!(most("one"), Some(2));
}

#[test]
fn what_runs_is_ended_on_request_and_is_not_called_late() {
    let bed = Bed::new();
    let toml = "[power]\ndriver=\"command\"\non=[\"sleep\",\"600\"]\noff=[\"true\"]\nstatus=[\"sleep\",\"600\"]\n\
                [probe]\ndriver=\"command\"\nup=[\"sleep\",\"600\"]\n";
    let mut drivers = bed.drivers(toml, nodes(2));
    drivers.begin(Task::PowerOn, &mut [NodeId(0)].into());
    drivers.begin(Task::ReadPower, &mut [NodeId(1)].into());
    drivers.begin(Task::Probe, &mut [NodeId(1)].into());
    drivers.end_all();
    let mut events = Vec::new();
    while events.len() < 3 {
        events.extend(drivers.next(None));
    }
    assert!(events.contains(&Event::Power(NodeId(1), Power::Unknown)), "{events:?}");
    assert!(events.contains(&Event::Probe(NodeId(1), Probe::Unknown)), "{events:?}");
    let ended = events.iter().find(|event| matches!(event, Event::Ended(..))).cloned();
    assert_eq!(kinds(&[ended.unwrap()]), [Some(FailureKind::Ended)]);
}

#[test]
fn a_probe_command_says_up_down_or_nothing_and_new_states_must_be_stable() {
    let bed = Bed::new();
    let up = bed
        .script("up", "case $1 in n1) exit 0;; n2) exit 1;; n3) exit 2;; n4) kill -9 $$;; *) sleep 9;; esac");
    let toml = format!(
        "[power]\ndriver=\"none\"\n[probe]\ndriver=\"command\"\nup=[\"{up}\",\"{{node}}\"]\ntimeout=\"300ms\"\n"
    );
    let mut drivers = bed.drivers(&toml, nodes(5));
    let wanted = [Probe::Up, Probe::Down, Probe::Unknown, Probe::Unknown, Probe::Unknown];
    let events = carry_out(&mut *drivers, Task::Probe, 0..5);
    let said: Vec<Event> =
        wanted.into_iter().zip(0..).map(|(probe, node)| Event::Probe(NodeId(node), probe)).collect();
    assert_eq!(events, said);

    let flap = bed.script("flap", "echo x >> $D/asked; [ $(wc -l < $D/asked) -ne 2 ]");
    let toml = format!(
        "[power]\ndriver=\"none\"\n[probe]\ndriver=\"command\"\nup=[\"{flap}\"]\ninterval=\"10ms\"\nstable=3\n"
    );
    let mut drivers = bed.drivers(&toml, nodes(1));
    assert_eq!(carry_out(&mut *drivers, Task::Probe, 0..1), [Event::Probe(NodeId(0), Probe::Up)]);
    assert_eq!(bed.read("asked").lines().count(), 5, "up, down, then three times up");
}

#[test]
fn signals_are_events() {
    let bed = Bed::new();
    let mut drivers = bed.drivers("[power]\ndriver=\"none\"\n[probe]\ndriver=\"none\"\n", nodes(1));
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGUSR1).unwrap();
    assert_eq!(drivers.next(None), [Event::Attention]);
    // Not HUP, which under nohup stays ignored.
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(drivers.next(None), [Event::Signal(15)]);
    assert_eq!(drivers.next(Some(drivers.now())), []);
}

#[test]
fn everything_that_cannot_be_used_is_told_before_anything_is_touched() {
    let _bed = Bed::new();
    let toml = "[power]\ndriver=\"command\"\non=[\"p\",\"{number}\"]\noff=[\"p\",\"{node}\"]\n[probe]\ndriver=\"none\"\n\
                [override.node.n9]\npower={timeout=\"5s\"}\n[override.group.stroage]\nprobe={driver=\"power\"}\n\
                [override.node.n1]\nprobe={driver=\"power\"}\n";
    let cluster = Cluster::parse("cluster.toml", toml).unwrap();
    let mut members = nodes(2);
    members[0].groups.push("storage".into());
    members[0].number = None;
    let error = connect::backend(&cluster, &Inventory::new(members)).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Status::Rejected));
    let said = format!("{error:#}");
    for part in [
        "override.node.n9: the inventory has no node \"n9\"",
        "override.group.stroage: the inventory has no node group \"stroage\"",
        "did you mean \"storage\"?",
        "node n1: its probe is \"power\", and its power cannot be read",
    ] {
        assert!(said.contains(part), "{part}\nin\n{said}");
    }
}

/// What was said of each had its name in it, and the report a line for each of five hundred nodes.
#[test]
fn what_fails_alike_on_two_nodes_is_equal_whatever_they_are_called() {
    let bed = Bed::new();
    let hangs = bed.script("hangs", "echo \"$1: wait\" >&2; : >$D/$1; exec sleep 600");
    let toml = format!(
        "[power]\ndriver=\"command\"\non=[\"p\",\"{{mac}}\"]\noff=[\"{hangs}\",\"{{node}}\"]\n[probe]\ndriver=\"none\"\n"
    );
    let mut drivers = bed.drivers(&toml, nodes(2));
    let failures = |events: &[Event]| -> Vec<Failure> {
        let failure = |event: &Event| {
            let Event::Ended(_, _, Err(failure)) = event else { panic!("{event:?}") };
            failure.clone()
        };
        events.iter().map(failure).collect()
    };
    let lacking = failures(&carry_out(&mut *drivers, Task::PowerOn, 0..2));
    assert_eq!(lacking[0], lacking[1]);
    assert!(lacking[1].detail().starts_with("n2: "), "{}", lacking[1].detail());
    let mut queue = VecDeque::from([NodeId(0), NodeId(1)]);
    assert_eq!(drivers.begin(Task::PowerOff, &mut queue).len(), 2);
    while !(bed.path().join("n1").exists() && bed.path().join("n2").exists()) {
        std::thread::yield_now();
    }
    drivers.end_all();
    let mut ended = Vec::new();
    while ended.len() < 2 {
        ended.extend(drivers.next(None));
    }
    let cut = failures(&ended);
    assert_eq!(cut[0], cut[1]);
    assert!(cut[0].detail().contains("wait"), "{}", cut[0].detail());
}

/// Each was told without its place.
#[test]
fn an_address_that_cannot_be_one_is_told_with_the_place_of_its_node() {
    let _bed = Bed::new();
    let cluster = Cluster::parse("cluster.toml", "[power]\ndriver=\"ipmitool\"\n[probe]\ndriver=\"power\"\n");
    for (fields, said) in [
        (r#""name": "n1", "bmc": "b1,b2""#, "\"b1,b2\" cannot be the address of a controller"),
        (r#""name": "n1", "bmc": "b1 b2""#, "\"b1 b2\" cannot be the address of a controller"),
        (r#""name": "n1", "bmc": "-oX""#, "\"-oX\" cannot be the address of a controller"),
        (r#""name": "n1", "bmc": """#, "\"\" cannot be the address of a controller"),
        (r#""name": "-n1", "bmc": "b1""#, "-n1: \"-n1\" would be taken for an option"),
        (
            r#""name": "n1", "bmc": "b1", "address": "-oProxyCommand=evil""#,
            "n1: \"-oProxyCommand=evil\" would be",
        ),
        (r#""name": "n1", "bmc": "b1", "power_with": ["-u"]"#, "-u: \"-u\" would be taken for an option"),
    ] {
        let text = format!("{{\"nodes\": [{{\"name\": \"n0\", \"bmc\": \"b0\"}},\n{{{fields}}}]}}");
        let source = Source { name: "i.json", text: &text };
        let inventory = inventory::read(&source, Format::Json, &Outside::default()).unwrap();
        let rejected = format!("{:#}", connect::backend(cluster.as_ref().unwrap(), &inventory).unwrap_err());
        assert!(rejected.contains(&format!("i.json:2:10: {said}")), "{fields}\n{rejected}");
        assert!(rejected.contains("\n  hint: write "), "{rejected}");
    }
}

/// A misspelt attribute gave a line for each of five hundred nodes.
#[test]
fn nodes_without_a_controller_are_told_in_one_line() {
    let _bed = Bed::new();
    let toml = "[power]\ndriver=\"ipmitool\"\nbmc=\"bcm\"\n[probe]\ndriver=\"power\"\n";
    let cluster = Cluster::parse("cluster.toml", toml).unwrap();
    let said = format!("{:#}", connect::backend(&cluster, &Inventory::new(nodes(500))).unwrap_err());
    assert!(said.contains("n[1-500]: the inventory has no text \"bcm\" for them"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn overrides_of_groups_and_then_of_the_node_win() {
    let bed = Bed::new();
    let toml = "[power]\ndriver=\"command\"\non=[\"false\"]\noff=[\"false\"]\n[probe]\ndriver=\"none\"\n\
                [override.group.a]\npower={on=[\"true\"]}\n\
                [override.node.n2.power]\non=[\"sh\",\"-c\",\"exit 7\"]\n";
    let mut members = nodes(3);
    members[0].groups.push("a".into());
    members[1].groups.push("a".into());
    let mut drivers = bed.drivers(toml, members);
    let events = carry_out(&mut *drivers, Task::PowerOn, 0..3);
    assert_eq!(kinds(&events), [None, Some(FailureKind::Failed), Some(FailureKind::Failed)]);
    assert!(detail(&events[1]).contains("exit status 7"));
}

#[test]
fn a_unit_has_power_and_nothing_else() {
    let bed = Bed::new();
    let power = bed.script("power", "echo \"$@\" >> $D/log");
    let toml = format!(
        "[power]\ndriver=\"command\"\non=[\"{power}\",\"{{node}}\"]\noff=[\"true\"]\n\
         [shell]\ndriver=\"ssh\"\n[probe]\ndriver=\"tcp\"\nport=22\n"
    );
    let mut members = nodes(1);
    members[0].power_with.push("io7".into());
    let mut drivers = bed.drivers(&toml, members);
    let unit = drivers.abilities(NodeId(1));
    assert!(unit.switches_power && !unit.probes && !unit.runs_commands);
    carry_out(&mut *drivers, Task::PowerOn, 1..2);
    assert_eq!(bed.read("log"), "io7\n");
    let halted = carry_out(&mut *drivers, Task::Run(RemoteCommand::Halt), 1..2);
    assert_eq!(kinds(&halted), [Some(FailureKind::NotStarted)]);
}
