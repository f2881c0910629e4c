//! Random inventories in which nodes are one machine, or this one, under other names: an oracle that knows which
//! machines there are judges whom a shutdown, and a start that resets, really told.
//!
//! Scripts stand in for shell and power; they note the address and the slot they were called with. The oracle knows
//! the machines that the inventory was made of and shares no code with the programs.

use bed::{Bed, Chance};
use std::collections::BTreeSet;

const NODES: usize = 5;

fn cases() -> u64 {
    if std::env::var_os("ORDERLY_SOAK").is_some() { 2_000 } else { 40 }
}

/// What the nodes truly are.
#[derive(Debug, Clone)]
struct Truth {
    /// By node: the machine it is reached at; 0 is this one.
    machine: Vec<usize>,
    /// By node: the outlet its power comes from.
    outlet: Vec<usize>,
    targets: BTreeSet<usize>,
}

impl Truth {
    fn any(chance: &mut Chance) -> Self {
        let mut truth = Self {
            machine: (1..=NODES).collect(),
            outlet: (1..=NODES).collect(),
            targets: (0..NODES).filter(|_| chance.below(2) == 0).collect(),
        };
        truth.targets.insert(chance.below(NODES));
        // Half of all inventories are sound.
        match chance.below(8) {
            0 => truth.machine[chance.below(NODES)] = 0,
            1 => truth.machine[chance.below(NODES)] = truth.machine[chance.below(NODES)],
            2 => truth.outlet[chance.below(NODES)] = truth.outlet[chance.below(NODES)],
            3 => {
                truth.machine[chance.below(NODES)] = 0;
                truth.outlet[chance.below(NODES)] = truth.outlet[chance.below(NODES)];
            }
            _ => {}
        }
        truth
    }

    fn is_shared(&self, node: usize) -> bool {
        let twice = |of: &[usize]| of.iter().filter(|one| **one == of[node]).count() > 1;
        twice(&self.machine) || twice(&self.outlet)
    }

    /// Returns the status that the run must have.
    fn status(&self) -> i32 {
        if self.targets.iter().any(|&node| self.is_shared(node)) {
            3
        } else if self.targets.iter().any(|&node| self.machine[node] == 0) {
            4
        } else {
            0
        }
    }
}

/// Returns one of the ways in which a machine may be written.
fn spelled(machine: usize, chance: &mut Chance) -> String {
    if machine == 0 {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned();
        return match chance.below(5) {
            0 => "localhost".to_owned(),
            1 => "127.0.0.1".to_owned(),
            2 => host.to_uppercase(),
            3 => "LocalHost.".to_owned(),
            _ => host,
        };
    }
    match chance.below(4) {
        0 => format!("m{machine}.invalid"),
        1 => format!("M{machine}.Invalid"),
        2 => format!("m{machine}.invalid."),
        _ => format!("root@m{machine}.invalid"),
    }
}

/// Returns the machine that is written like this.
fn meant(address: &str) -> usize {
    let plain = address.trim_start_matches("root@").trim_end_matches('.').to_lowercase();
    plain.strip_prefix('m').and_then(|rest| rest.strip_suffix(".invalid")?.parse().ok()).unwrap_or(0)
}

/// What is run on the targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Run {
    /// `cshutdown -F`, with everything up.
    Stop,
    /// `cstartup -Z`: what is up is reset, which is an off as well; some nodes are off.
    Start,
}

impl Run {
    fn line(self) -> [&'static str; 2] {
        match self {
            Self::Stop => ["cshutdown", "-F"],
            Self::Start => ["cstartup", "-Z"],
        }
    }

    /// Returns how many acts a target takes.
    fn acts(self) -> usize {
        match self {
            Self::Stop => 2,
            Self::Start => 1,
        }
    }
}

/// Writes the inventory and its drivers, acts on the targets, and returns the status and what was told.
fn run(what: Run, truth: &Truth, chance: &mut Chance) -> (i32, String, String) {
    let bed = Bed::new();
    bed.tools(&["cat", "rm"]);
    let told = bed.path("told");
    let nodes: Vec<String> = (0..NODES)
        .map(|node| {
            format!("{{\"name\": \"n{node}\", \"address\": \"{}\"}}", spelled(truth.machine[node], chance))
        })
        .collect();
    let inventory = bed.write("inventory.json", format!("{{\"nodes\": [{}]}}", nodes.join(", ")));
    let mut config = format!(
        "inventory = {inventory:?}\nlog_dir = {:?}\nsequence = {{ start = {:?}, shut = {:?}, subsystems = {:?} }}\n{}",
        bed.path("log"),
        bed.path("cstartSeq"),
        bed.path("cshutSeq"),
        bed.path("subsysSeq"),
        drivers(&bed),
    );
    let power = bed.path("power");
    for node in 0..NODES {
        let outlet = truth.outlet[node];
        let fed: Vec<String> = (0..NODES)
            .filter(|&other| truth.outlet[other] == outlet)
            .map(|other| format!("n{other}"))
            .collect();
        bed.write(format!("tmp/outlet.{outlet}"), fed.join(" "));
        if truth.machine[node] != 0 {
            bed.write(format!("tmp/n{node}.boot"), format!("00000000-0000-4000-8000-00000000000{node}\n"));
            if what == Run::Start && chance.below(3) == 0 {
                bed.write(format!("tmp/n{node}.down"), "");
                bed.write(format!("tmp/n{node}.off"), "");
            }
        }
        config += &format!(
            "[override.node.n{node}.power]\nstatus = [{power:?}, \"status\", \"{outlet}\", \"{{node}}\"]\n"
        );
        for act in ["on", "off", "reset"] {
            config += &format!("{act} = [{power:?}, \"{act}\", \"{outlet}\"]\n");
        }
    }
    bed.config("cluster.toml", config);
    bed.write("cshutSeq", "");
    bed.write("cstartSeq", "");
    let targets: Vec<String> = truth.targets.iter().map(|node| format!("n{node}")).collect();
    let [program, flag] = what.line();
    let ended =
        bed.program(program).args([flag, &targets.join(",")]).any_status().any_stdout().any_stderr().run();
    (ended.status, std::fs::read_to_string(&told).unwrap_or_default(), ended.stderr)
}

/// Writes what stands in for shell, power and probe: marks in `tmp` say which node is down, and which is off.
fn drivers(bed: &Bed) -> String {
    let (told, marks) = (bed.path("told"), bed.path("tmp"));
    let rsh = bed.script(
        "rsh",
        &format!(
            "case $3 in halt) echo \"halt $2\" >>{told:?}; : >{marks:?}/$1.down ;; \
             *boot_id*) [ ! -e {marks:?}/$1.down ] && {{ cat {marks:?}/$1.boot || cat /proc/sys/kernel/random/boot_id; }} 2>/dev/null ;; esac"
        ),
    );
    let probe = bed.script("probe", &format!("[ ! -e {marks:?}/$1.down ]"));
    let power = bed.script(
        "power",
        &format!(
            "each() {{ for n in $(cat {marks:?}/outlet.$1); do $2; done; }}\n\
             off() {{ : >{marks:?}/$n.off; : >{marks:?}/$n.down; }}\n\
             boot() {{ rm -f {marks:?}/$n.off {marks:?}/$n.down; echo 11111111-0000-4000-8000-000000000001 >{marks:?}/$n.boot; }}\n\
             case $1 in status) [ -e {marks:?}/$3.off ] && echo \"$3: off\" || echo \"$3: on\" ;; \
             off) echo \"off $2\" >>{told:?}; each $2 off ;; \
             on|reset) echo \"$1 $2\" >>{told:?}; each $2 boot ;; esac"
        ),
    );
    format!(
        "[power]\ndriver = \"command\"\non = [{power:?}, \"on\", \"{{node}}\"]\noff = [{power:?}, \"off\", \"{{node}}\"]\n\
         [shell]\ndriver = \"command\"\nrun = [{rsh:?}, \"{{node}}\", \"{{address}}\", \"{{command}}\"]\n\
         [probe]\ndriver = \"command\"\nup = [{probe:?}, \"{{node}}\"]\ninterval = \"10ms\"\n\
         [shutdown]\nhalt = \"halt\"\nend_users = \"none\"\nsettle = \"10ms\"\n"
    )
}

/// Says what a run did that must not be.
fn judge(what: Run, truth: &Truth, status: i32, told: &str) -> Vec<String> {
    let mut objections = Vec::new();
    if status != truth.status() {
        objections.push(format!("it ended with {status}, not {}", truth.status()));
    }
    let mut seen = BTreeSet::new();
    for line in told.lines() {
        let (act, whom) = line.split_once(' ').unwrap();
        // Whose power is switched is switched with all that is the same machine.
        let hit: BTreeSet<usize> = match act {
            "halt" => [meant(whom)].into(),
            _ => {
                let fed = (0..NODES).filter(|&node| truth.outlet[node].to_string() == whom);
                fed.map(|node| truth.machine[node]).collect()
            }
        };
        if hit.contains(&0) {
            objections.push(format!("{line}: this machine was told"));
        }
        let nodes: Vec<usize> = (0..NODES).filter(|&node| hit.contains(&truth.machine[node])).collect();
        match nodes.as_slice() {
            [node] if truth.targets.contains(node) => drop(seen.insert((act.to_owned(), *node))),
            hit => objections.push(format!("{line} hits {hit:?}")),
        }
    }
    if status == 0 && seen.len() != what.acts() * truth.targets.len() {
        objections.push(format!("not all targets were acted on: {seen:?}"));
    }
    if status != 0 && !told.is_empty() {
        objections.push(format!("something was told by a run that ended with {status}: {told}"));
    }
    objections
}

fn all_cases(what: Run) {
    let mut statuses = BTreeSet::new();
    for case in 0..cases() {
        let mut chance = Chance(case);
        let truth = Truth::any(&mut chance);
        let (status, told, stderr) = run(what, &truth, &mut chance);
        let objections = judge(what, &truth, status, &told);
        assert!(objections.is_empty(), "case {case}: {objections:#?}\n{truth:?}\n{stderr}");
        statuses.insert(status);
    }
    assert_eq!(statuses.into_iter().collect::<Vec<_>>(), [0, 3, 4], "an oracle without anything to judge");
}

#[test]
fn no_machine_is_told_to_halt_but_the_targets_own_however_it_is_called() {
    all_cases(Run::Stop);
}

#[test]
fn no_machine_is_reset_but_the_targets_own_however_it_is_called() {
    all_cases(Run::Start);
}

/// An oracle that never objects proves nothing: behind its back two of the nodes become one, or one becomes this
/// machine.
#[test]
fn the_oracle_objects_when_two_nodes_are_one_behind_its_back() {
    for (case, what) in (0..3).flat_map(|case| [(case, Run::Stop), (case, Run::Start)]) {
        let mut chance = Chance(case);
        let sound =
            Truth { machine: (1..=NODES).collect(), outlet: (1..=NODES).collect(), targets: [0, 1].into() };
        let (status, told, stderr) = run(what, &sound, &mut chance);
        let objections = judge(what, &sound, status, &told);
        assert!(objections.is_empty(), "{objections:#?}\n{told}\n{stderr}");
        let mut other = sound.clone();
        match case {
            0 => other.machine[3] = other.machine[0],
            1 => other.outlet[3] = other.outlet[1],
            _ => other.machine[1] = 0,
        }
        assert!(judge(what, &other, status, &told).len() > 1, "{other:?}: {told}");
    }
}
