//! Tests of commands on many nodes at once: a stand-in for clush that runs them here, in scripts.

use super::*;

/// What clush does, as far as it is needed: each command on its own, in lines with the node's name.
const CLUSH: &str = r#"for last; do :; done
while [ $# -gt 1 ]; do [ "$1" != -w ] || set=$2; shift; done
echo "$set" >> $D/calls
. $D/before
for n in $(echo "$set" | tr , ' '); do
    (
        { NODE=$n D=$D sh -c "$last" 3>&1 >&4 2>&3 3>&- | sed -u "s/^/$n: /" >&2; } 4>&1 | sed -u "s/^/$n: /"
    ) &
done
wait
. $D/after"#;

struct Stage {
    bed: Bed,
    toml: String,
}

/// Nodes a, b, c …, reached through the stand-in; `more` are lines for the table shell and others.
fn stage(more: &str) -> Stage {
    let bed = Bed::new();
    let clush = bed.script("clush", CLUSH);
    for name in ["before", "after"] {
        fs::write(bed.path().join(name), "").unwrap();
    }
    let toml = format!("[power]\ndriver=\"none\"\n[shell]\ndriver=\"clush\"\nprogram=\"{clush}\"\n{more}\n");
    Stage { bed, toml }
}

impl Stage {
    fn drivers(&self, addresses: &[&str]) -> Box<dyn Backend> {
        let mut members = nodes(u32::try_from(addresses.len()).unwrap());
        for (node, address) in members.iter_mut().zip(addresses) {
            node.address = Some((*address).to_owned());
        }
        self.bed.drivers(&self.toml, members)
    }

    fn calls(&self) -> Vec<String> {
        self.bed.read("calls").lines().map(str::to_owned).collect()
    }
}

const HALT: &str = "[probe]\ndriver=\"none\"\n[shutdown]\nhalt=";

#[test]
fn one_call_answers_for_each_node_by_itself() {
    let stage = stage(&format!(
        "{HALT}\"case $NODE in b) echo no such thing >&2; exit 6;; c) exit 255;; esac; echo done\""
    ));
    let mut drivers = stage.drivers(&["a", "b", "c", "d"]);
    let events = carry_out(&mut *drivers, Task::Run(RemoteCommand::Halt), 0..4);
    // 255 is the command's own here: it ran.
    assert_eq!(kinds(&events), [None, Some(FailureKind::Failed), Some(FailureKind::Failed), None]);
    assert!(detail(&events[1]).ends_with("exit status 6: no such thing"), "{}", detail(&events[1]));
    assert!(detail(&events[1]).contains(" -w n2 "), "{}", detail(&events[1]));
    assert_eq!(stage.calls(), ["a,b,c,d"]);
}

#[test]
fn who_hangs_is_late_at_its_own_limit_and_the_others_are_heard_before() {
    let stage = stage(&format!("timeout=\"5s\"\n{HALT}\"[ $NODE != b ] || exec sleep 600\""));
    let mut drivers = stage.drivers(&["a", "b", "c"]);
    let mut queue: VecDeque<NodeId> = [0, 1, 2].map(NodeId).into();
    drivers.begin(Task::Run(RemoteCommand::Halt), &mut queue);
    let mut heard: Vec<Event> = Vec::new();
    while heard.len() < 3 {
        heard.extend(drivers.next(None));
    }
    let Event::Ended(last, ..) = &heard[2] else { panic!("{heard:?}") };
    assert_eq!((*last, kinds(&heard)), (NodeId(1), vec![None, None, Some(FailureKind::TimedOut)]));
    // The call itself goes on; it is ended with the run, and nobody waits ten minutes for it.
    drivers.close().unwrap();
}

#[test]
fn two_nodes_with_one_address_never_answer_for_each_other() {
    let stage = stage(&format!("{HALT}\"true\""));
    let mut drivers = stage.drivers(&["a", "a", "b"]);
    let events = carry_out(&mut *drivers, Task::Run(RemoteCommand::Halt), 0..3);
    assert_eq!(kinds(&events), [None, None, None]);
    // The two calls run at once: either may write its line first.
    let mut calls = stage.calls();
    calls.sort();
    assert_eq!(calls, ["a", "a,b"]);
}

#[test]
fn a_program_that_breaks_off_leaves_unknown_what_it_did_not_tell() {
    let stage = stage(&format!("{HALT}\"[ $NODE = a ] || while [ -e $D/calls ]; do sleep 0.1; done\""));
    let killer = "(until [ -e $D/go ]; do sleep 0.05; done; kill -9 $$) &\n";
    fs::write(stage.bed.path().join("before"), killer).unwrap();
    let mut drivers = stage.drivers(&["a", "b"]);
    drivers.begin(Task::Run(RemoteCommand::Halt), &mut [NodeId(0), NodeId(1)].into());
    let mut events = drivers.next(None);
    fs::write(stage.bed.path().join("go"), "").unwrap();
    events.extend(drivers.next(None));
    assert_eq!(kinds(&events), [None, Some(FailureKind::Unreachable)]);
}

#[test]
fn a_program_that_does_not_work_is_said_so_and_not_tried_again() {
    let stage = stage(&format!("{HALT}\"true\""));
    fs::write(stage.bed.path().join("before"), "echo 'clush: error: no such option' >&2; exit 2\n").unwrap();
    let mut drivers = stage.drivers(&["a", "b"]);
    let events = carry_out(&mut *drivers, Task::Run(RemoteCommand::Halt), 0..2);
    assert_eq!(kinds(&events), [Some(FailureKind::NotStarted), Some(FailureKind::NotStarted)]);
    assert!(detail(&events[0]).contains("no such option"), "{}", detail(&events[0]));
}

#[test]
fn one_call_probes_a_whole_set_and_is_not_torn_apart_by_its_answers() {
    let stage = stage(
        "[probe]\ndriver=\"shell\"\ncommand=\"[ $NODE != b ]\"\ninterval=\"2s\"\n[shutdown]\nnotify=\"cat\"",
    );
    let mut drivers = stage.drivers(&["a", "b", "c"]);
    let up = |node| Event::Probe(NodeId(node), Probe::Up);
    let expected = [up(0), Event::Probe(NodeId(1), Probe::Unknown), up(2)];
    assert_eq!(carry_out(&mut *drivers, Task::Probe, 0..3), expected);
    // Asked for one after the other, as answers come in, they still go together.
    for node in 0..3 {
        drivers.begin(Task::Probe, &mut [NodeId(node)].into());
    }
    let mut heard = 0;
    while heard < 3 {
        heard += drivers.next(None).len();
    }
    assert_eq!(stage.calls(), ["a,b,c", "a,b,c"]);
}

#[test]
fn a_node_that_nobody_answers_for_is_down_and_one_that_turns_us_away_is_not() {
    let stage = stage("[probe]\ndriver=\"shell\"");
    let words = "echo 'a: ssh: connect to host a port 22: Connection refused' >&2\n\
                 echo 'b: root@b: Permission denied (publickey).' >&2\n\
                 echo 'clush: a: exited with exit code 255' >&2; echo 'clush: b: exited with exit code 255' >&2\n\
                 echo 'clush: c: command timeout' >&2; exit 0\n";
    fs::write(stage.bed.path().join("before"), words).unwrap();
    let mut drivers = stage.drivers(&["a", "b", "c"]);
    let said = [Probe::Down, Probe::Unknown, Probe::Unknown];
    let expected: Vec<Event> = said.into_iter().zip(0..).map(|(p, n)| Event::Probe(NodeId(n), p)).collect();
    assert_eq!(carry_out(&mut *drivers, Task::Probe, 0..3), expected);
    let events = carry_out(&mut *drivers, Task::Run(RemoteCommand::Halt), 0..3);
    let expected = [FailureKind::Refused, FailureKind::Authentication, FailureKind::TimedOut].map(Some);
    assert_eq!(kinds(&events), expected);
}

#[test]
fn commands_that_are_alike_go_together_and_each_has_its_own_output() {
    let stage = stage("[probe]\ndriver=\"none\"");
    let mut drivers = stage.drivers(&["a", "b"]);
    let command = |node| SideCommand {
        on: RunsOn::Node(NodeId(node)),
        argv: ["sh", "-c", "echo \"I am $NODE\"; exit $1", "sh", "3"].map(str::to_owned).to_vec(),
        stdin: Vec::new(),
        timeout: Duration::from_secs(60),
    };
    let ids = [0, 1].map(|node| drivers.start(&command(node)));
    let mut ended = Vec::new();
    while ended.len() < 2 {
        drivers.next(None);
        ended.extend(drivers.take_ended());
    }
    ended.sort_by_key(|(id, _)| *id);
    for ((id, result), (wanted, name)) in ended.into_iter().zip(ids.into_iter().zip(["a", "b"])) {
        let ended = result.unwrap();
        assert_eq!((id, ended.ending), (wanted, Ending::Exited(3)));
        assert_eq!(ended.text(), format!("I am {name}\n"));
    }
    assert_eq!(stage.calls(), ["a,b"]);
}

#[test]
fn what_is_gathered_and_what_runs_is_ended_on_request() {
    let stage = stage(&format!("{HALT}\"sleep 600\""));
    let mut drivers = stage.drivers(&["a", "b"]);
    drivers.begin(Task::Run(RemoteCommand::Halt), &mut [NodeId(0)].into());
    // The first one is called out before the second one is gathered.
    while stage.calls().is_empty() {
        let until = drivers.now() + Duration::from_millis(50);
        assert_eq!(drivers.next(Some(until)), []);
    }
    drivers.begin(Task::Run(RemoteCommand::Halt), &mut [NodeId(1)].into());
    drivers.end_all();
    let mut heard = Vec::new();
    while heard.len() < 2 {
        heard.extend(drivers.next(None));
    }
    assert_eq!(kinds(&heard), [Some(FailureKind::Ended), Some(FailureKind::Ended)]);
}

#[test]
fn a_name_the_program_would_take_for_syntax_is_refused_before_anything_is_touched() {
    let stage = stage(&format!("{HALT}\"true\""));
    let cluster = Cluster::parse("cluster.toml", &stage.toml).unwrap();
    let mut members = nodes(2);
    members[0].address = Some("@all".into());
    members[1].address = Some("n[1-9]".into());
    let error = connect::backend(&cluster, &Inventory::new(members)).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Status::Rejected));
    let said = format!("{error:#}");
    assert!(said.contains("node n1: clush would take \"@all\" for its own syntax"), "{said}");
    assert!(said.contains("node n2: clush would take \"n[1-9]\""), "{said}");
}
