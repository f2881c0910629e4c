//! Random inventories in which nodes are one machine, or this one, under other names: an oracle that knows which
//! machines there are judges whom a shutdown really told.
//!
//! Scripts stand in for shell and power; they note the address and the slot they were called with. The oracle knows
//! the machines that the inventory was made of and shares no code with the programs.

use bed::Bed;
use std::collections::BTreeSet;

const NODES: usize = 5;

fn cases() -> u64 {
    if std::env::var_os("ORDERLY_SOAK").is_some() { 2_000 } else { 40 }
}

/// Splitmix64: every case is its number, and can be tried again by it.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
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

/// Writes the inventory and its drivers, shuts the targets down, and returns the status and what was told.
fn run(truth: &Truth, chance: &mut Chance) -> (i32, String, String) {
    let bed = Bed::new();
    bed.tools(&["cat"]);
    let told = bed.path("told");
    let nodes: Vec<String> = (0..NODES)
        .map(|node| {
            format!("{{\"name\": \"n{node}\", \"address\": \"{}\"}}", spelled(truth.machine[node], chance))
        })
        .collect();
    let inventory = bed.write("inventory.json", format!("{{\"nodes\": [{}]}}", nodes.join(", ")));
    let rsh = bed.script(
        "rsh",
        &format!(
            "case $3 in halt) echo \"halt $2\" >>{told:?}; : >{:?}/$1.down ;; *boot_id*) cat /proc/sys/kernel/random/boot_id ;; esac",
            bed.path("tmp")
        ),
    );
    let probe = bed.script("probe", &format!("[ ! -e {:?}/$1.down ]", bed.path("tmp")));
    let power = bed.script(
        "power",
        &format!(
            "case $1 in status) [ -e {0:?}/$3.off ] && echo \"$3: off\" || echo \"$3: on\" ;; off) echo \"off $2\" >>{told:?}; \
             for n in $(cat {0:?}/outlet.$2); do : >{0:?}/$n.off; done ;; esac",
            bed.path("tmp")
        ),
    );
    let mut config = format!(
        "inventory = {inventory:?}\nlog_dir = {:?}\nsequence = {{ start = {:?}, shut = {:?}, subsystems = {:?} }}\n\
         [power]\ndriver = \"command\"\non = [{power:?}, \"on\", \"{{node}}\"]\noff = [{power:?}, \"off\", \"{{node}}\"]\n\
         [shell]\ndriver = \"command\"\nrun = [{rsh:?}, \"{{node}}\", \"{{address}}\", \"{{command}}\"]\n\
         [probe]\ndriver = \"command\"\nup = [{probe:?}, \"{{node}}\"]\ninterval = \"10ms\"\n\
         [shutdown]\nhalt = \"halt\"\nend_users = \"none\"\nsettle = \"10ms\"\n",
        bed.path("log"),
        bed.path("cstartSeq"),
        bed.path("cshutSeq"),
        bed.path("subsysSeq"),
    );
    for node in 0..NODES {
        let outlet = truth.outlet[node];
        let fed: Vec<String> = (0..NODES)
            .filter(|&other| truth.outlet[other] == outlet)
            .map(|other| format!("n{other}"))
            .collect();
        bed.write(format!("tmp/outlet.{outlet}"), fed.join(" "));
        config += &format!(
            "[override.node.n{node}]\npower = {{ off = [{power:?}, \"off\", \"{outlet}\"], \
             status = [{power:?}, \"status\", \"{outlet}\", \"{{node}}\"] }}\n"
        );
    }
    bed.config("cluster.toml", config);
    bed.write("cshutSeq", "");
    let targets: Vec<String> = truth.targets.iter().map(|node| format!("n{node}")).collect();
    let ended = bed
        .program("cshutdown")
        .args(["-F", &targets.join(",")])
        .any_status()
        .any_stdout()
        .any_stderr()
        .run();
    (ended.status, std::fs::read_to_string(&told).unwrap_or_default(), ended.stderr)
}

/// Says what a run did that must not be.
fn judge(truth: &Truth, status: i32, told: &str) -> Vec<String> {
    let mut objections = Vec::new();
    if status != truth.status() {
        objections.push(format!("it ended with {status}, not {}", truth.status()));
    }
    let mut seen = BTreeSet::new();
    for line in told.lines() {
        let (what, whom) = line.split_once(' ').unwrap();
        let nodes: Vec<usize> = (0..NODES)
            .filter(|&node| match what {
                "halt" => truth.machine[node] == meant(whom),
                _ => truth.outlet[node].to_string() == whom,
            })
            .collect();
        if what == "halt" && meant(whom) == 0 {
            objections.push("this machine was told to halt".to_owned());
        }
        match nodes.as_slice() {
            [node] if truth.targets.contains(node) => drop(seen.insert((what.to_owned(), *node))),
            hit => objections.push(format!("{line} hits {hit:?}")),
        }
    }
    if status == 0 && seen.len() != 2 * truth.targets.len() {
        objections.push(format!("not all targets went down and off: {seen:?}"));
    }
    if status != 0 && !told.is_empty() {
        objections.push(format!("something was told by a run that ended with {status}: {told}"));
    }
    objections
}

#[test]
fn no_machine_is_told_but_the_targets_own_however_it_is_called() {
    let mut statuses = BTreeSet::new();
    for case in 0..cases() {
        let mut chance = Chance(case);
        let truth = Truth::any(&mut chance);
        let (status, told, stderr) = run(&truth, &mut chance);
        let objections = judge(&truth, status, &told);
        assert!(objections.is_empty(), "case {case}: {objections:#?}\n{truth:?}\n{stderr}");
        statuses.insert(status);
    }
    assert_eq!(statuses.into_iter().collect::<Vec<_>>(), [0, 3, 4], "an oracle without anything to judge");
}

/// An oracle that never objects proves nothing: behind its back two of the nodes become one, or one becomes this
/// machine.
#[test]
fn the_oracle_objects_when_two_nodes_are_one_behind_its_back() {
    for case in 0..3 {
        let mut chance = Chance(case);
        let sound =
            Truth { machine: (1..=NODES).collect(), outlet: (1..=NODES).collect(), targets: [0, 1].into() };
        let (status, told, stderr) = run(&sound, &mut chance);
        assert!(judge(&sound, status, &told).is_empty(), "{stderr}");
        let mut other = sound.clone();
        match case {
            0 => other.machine[3] = other.machine[0],
            1 => other.outlet[3] = other.outlet[1],
            _ => other.machine[1] = 0,
        }
        assert!(judge(&other, status, &told).len() > 1, "{other:?}: {told}");
    }
}
