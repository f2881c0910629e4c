//! The address that moves with the asset, between two private hosts on a wire of their own: real
//! `ip`, `ping` and `arping`.

use bed::loopfs::{HOST_NEEDS, Host};
use bed::{Bed, Need, Program, real};

const NEEDS: [Need; 3] = [Need::Program("ip"), Need::Program("ping"), Need::Program("arping")];

/// Two hosts that see one another at 198.51.100.1 and .2; the address that moves is .10.
struct Wired<'a> {
    bed: &'a Bed,
    hosts: [Host<'a>; 2],
}

impl<'a> Wired<'a> {
    fn new(bed: &'a Bed) -> Self {
        Self::with(bed, "198.51.100.10/24")
    }

    /// With another address that moves.
    fn with(bed: &'a Bed, moves: &str) -> Self {
        bed.tools(&["ip", "ping", "arping", "mount", "umount", "mv", "rm", "sync"]);
        for folder in ["at", "source"] {
            std::fs::create_dir(bed.path(folder)).unwrap();
        }
        let root = bed.root().display();
        bed.config(
            "ha.toml",
            format!(
                "[[host]]\nname = \"ec1\"\naddress = \"198.51.100.1\"\n[[host]]\nname = \"ec2\"\naddress = \"198.51.100.2\"\n\
                 [asset]\nkind = \"bind\"\nsource = \"{root}/source\"\n[[asset.mount]]\nat = \"{root}/at\"\n\
                 [[address]]\ncidr = \"{moves}\"\ndevice = \"wire\"\n"
            ),
        );
        let wired = Self { bed, hosts: [Host::new(bed, "ec1"), Host::new(bed, "ec2")] };
        let [one, two] = &wired.hosts;
        // Made inside the two at once: nothing of it is ever seen on this machine's own network.
        bed.shell(&format!(
            "ip link add wire netns {} type veth peer name wire netns {}",
            one.first_process(),
            two.first_process()
        ))
        .run();
        for (host, number) in [(one, 1), (two, 2)] {
            host.shell(&format!("ip link set wire up && ip address add 198.51.100.{number}/24 dev wire"))
                .run();
        }
        one.shell(&format!("mount --bind source at && ip address add {moves} dev wire")).run();
        one.shell("until ping -q -c 1 -W 1 198.51.100.2; do :; done").any_stdout().any_stderr().run();
        wired
    }

    fn program(&self, host: usize, name: &str) -> Program<'a> {
        self.hosts[host - 1].program(name).env("ORDERLY_STATE_DIR", self.state(host))
    }

    fn state(&self, host: usize) -> std::path::PathBuf {
        self.bed.path(format!("state/ec{host}"))
    }
}

#[test]
fn an_old_primary_that_still_answers_stops_a_takeover_before_the_storage_is_touched() {
    if !real::require(&HOST_NEEDS) || !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let wired = Wired::new(&bed);
    let refused = |arguments: &[&str], why: &str| {
        let mark = std::fs::read_to_string(bed.path("source/.orderly-mark")).ok();
        wired.program(2, "ha-takeover").args(arguments).status(4).stderr_contains(why).run();
        assert_eq!(std::fs::read_to_string(bed.path("source/.orderly-mark")).ok(), mark, "{why}");
    };
    refused(&["--peer-down", "ec1"], "ec1 is not down: 198.51.100.1 answers");
    // Released, but the address was left where it was.
    wired.program(1, "ha-release").args(["--skip", "addresses"]).any_stdout().goes_well().run();
    let record = wired.state(1).join("release.json").display().to_string();
    refused(&["--record", &record], "somebody answers at 198.51.100.10");
    wired.hosts[0].shell("ip address del 198.51.100.10/24 dev wire").run();
    let taken = wired.program(2, "ha-takeover").args(["--record", &record]).any_stdout().any_stderr().run();
    assert!(!taken.stderr.contains("is not announced"), "{}", taken.stderr);
    // The old primary reaches the address, and it is the other host's now.
    wired.hosts[0].shell("ping -q -c 1 -W 5 198.51.100.10").any_stdout().run();
    let listed = wired.hosts[1].shell("ip -o address show dev wire").any_stdout().run().stdout;
    assert!(listed.contains("198.51.100.10/24"), "{listed}");
    // Off behind its switch, the host that holds everything answers nothing, and the word of a person counts.
    wired.hosts[1].shell("ip link set wire arp off").run();
    wired.program(1, "ha-takeover").args(["--peer-down", "ec2"]).any_stdout().goes_well().run();
}

/// A firewall that drops pings made a living primary pass for one that is off; its address was taken, and
/// both hosts had it.
#[test]
fn an_old_primary_that_drops_pings_is_alive_all_the_same() {
    if !real::require(&HOST_NEEDS) || !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let wired = Wired::new(&bed);
    wired.hosts[0].shell("echo 1 >/proc/sys/net/ipv4/icmp_echo_ignore_all").run();
    let refused = |arguments: &[&str], why: &str| {
        wired.program(2, "ha-takeover").args(arguments).status(4).stderr_contains(why).run();
    };
    refused(&["--peer-down", "ec1"], "ec1 is not down: 198.51.100.1 answers");
    wired.program(1, "ha-release").args(["--skip", "addresses"]).any_stdout().goes_well().run();
    let record = wired.state(1).join("release.json").display().to_string();
    refused(&["--record", &record], "somebody answers at 198.51.100.10");
    // Off, it is told by nothing: not by what its neighbour remembers of it either.
    wired.hosts[0].shell("ip link set wire arp off").run();
    wired.program(2, "ha-takeover").args(["--peer-down", "ec1"]).any_stdout().goes_well().run();
}

/// Written otherwise than `ip` prints it, it was left on a host that called its release safe.
#[test]
fn an_ipv6_address_leaves_one_host_and_is_usable_on_the_other() {
    if !real::require(&HOST_NEEDS) || !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let wired = Wired::with(&bed, "FD00:0::0010/64");
    let listed =
        |host: usize| wired.hosts[host - 1].shell("ip -o address show dev wire").any_stdout().run().stdout;
    wired.program(1, "ha-release").any_stdout().goes_well().run();
    assert!(!listed(1).contains("fd00::10"), "{}", listed(1));
    let record = wired.state(1).join("release.json").display().to_string();
    // Kept by the old primary, which drops pings, it was refused by the kernel here and called taken.
    wired.hosts[0]
        .shell("echo 1 >/proc/sys/net/ipv6/icmp/echo_ignore_all && ip address add fd00::10/64 dev wire")
        .run();
    wired.hosts[0]
        .shell("while ip -o address show dev wire | /bin/grep tentative; do :; done")
        .any_stdout()
        .run();
    wired.hosts[1].shell("ip address add fd00::11/64 dev wire").run();
    wired.hosts[1]
        .shell("while ip -o address show dev wire | /bin/grep tentative; do :; done")
        .any_stdout()
        .run();
    let take = |record: &str| wired.program(2, "ha-takeover").args(["--record", record]);
    take(&record).status(4).stderr_contains("somebody answers at fd00::10").run();
    // Where this host has it and may not use it, it sees itself, and the kernel's word is heard afterwards.
    wired.hosts[1].shell("ip address add fd00::10/64 dev wire").run();
    wired.hosts[1]
        .shell("until ip -o address show dev wire | /bin/grep dadfailed; do :; done")
        .any_stdout()
        .run();
    take(&record).status(1).any_stdout().stderr_contains("another host has it").run();
    assert!(!listed(2).contains("fd00::10/64"), "{}", listed(2));
    wired.hosts[0].shell("ip address del fd00::10/64 dev wire").run();
    let record = wired.state(2).join("release.json").display().to_string();
    take(&record).any_stdout().goes_well().run();
    let there = listed(2);
    assert!(there.contains("fd00::10/64") && !there.contains("dadfailed"), "{there}");
}

/// `ip` removes an address only by the prefix length that it has.
#[test]
fn an_address_is_removed_as_it_is_there_and_put_back_so() {
    if !real::require(&HOST_NEEDS) || !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let wired = Wired::new(&bed);
    let listed = || wired.hosts[0].shell("ip -o address show dev wire").any_stdout().run().stdout;
    let give = "ip address del 198.51.100.10/24 dev wire && ip address add 198.51.100.10/32 dev wire";
    wired.hosts[0].shell(give).run();
    // Somebody sits in the asset: the release fails after the address is gone, and gives it back.
    wired.hosts[0].shell("/bin/sleep 1000 9>at/held </dev/null >/dev/null 2>&1 & echo $! >held.pid").run();
    wired.program(1, "ha-release").status(1).any_stdout().any_stderr().run();
    assert!(listed().contains("198.51.100.10/32"), "{}", listed());
    wired.hosts[0].shell("read -r pid <held.pid; kill $pid").run();
    wired.program(1, "ha-release").any_stdout().goes_well().run();
    assert!(!listed().contains("198.51.100.10"), "{}", listed());
}

/// Returns the addresses of the first network on the wire, with their labels, in a fixed order.
fn others(wired: &Wired<'_>, host: usize) -> Vec<String> {
    let listed = wired.hosts[host - 1].shell("ip -o -4 address show dev wire").any_stdout().run().stdout;
    let mut found: Vec<String> = listed
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split(['\\', ' ']).filter(|word| !word.is_empty()).collect();
            let label = words.iter().find(|word| word.starts_with("wire:")).unwrap_or(&"");
            format!("{} {label}", words[3])
        })
        .collect();
    found.sort();
    found
}

/// With our address the kernel removed all that had been added to its network later; an unwinding put back
/// our address alone, and called it taken back.
#[test]
fn the_other_addresses_of_a_device_stay_when_ours_is_removed() {
    if !real::require(&HOST_NEEDS) || !real::require(&NEEDS) {
        return;
    }
    // The kernel keeps them by itself, is told to, or cannot be told.
    for (promote, prepare) in [
        (1, "true"),
        (0, "true"),
        (0, "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys"),
    ] {
        let bed = Bed::new();
        let wired = Wired::new(&bed);
        let line = format!(
            "ip address flush dev wire; ip address add 198.51.100.10/24 dev wire; ip address add 198.51.100.1/24 dev wire; \
             ip address add 198.51.100.20/24 brd + label wire:1 dev wire; ip address add 203.0.113.7/24 dev wire; \
             for conf in all wire; do echo {promote} >/proc/sys/net/ipv4/conf/$conf/promote_secondaries; done; {prepare}"
        );
        wired.hosts[0].shell(&line).run();
        let before = others(&wired, 1);
        assert_eq!(before.len(), 4, "{before:?}");
        wired.hosts[0]
            .shell("/bin/sleep 1000 9>at/held </dev/null >/dev/null 2>&1 & echo $! >held.pid")
            .run();
        let kept = wired.program(1, "ha-release").status(1).any_stdout().any_stderr().run();
        assert_eq!(others(&wired, 1), before, "unwound: {}", kept.stderr);
        wired.hosts[0].shell("read -r pid <held.pid; kill $pid").run();
        wired.program(1, "ha-release").any_stdout().goes_well().run();
        let left: Vec<String> =
            before.iter().filter(|one| !one.starts_with("198.51.100.10/")).cloned().collect();
        assert_eq!(others(&wired, 1), left, "promote_secondaries {promote}, {prepare}");
        let switch =
            wired.hosts[0].shell("read -r was </proc/sys/net/ipv4/conf/wire/promote_secondaries; echo $was");
        switch.stdout(format!("{promote}\n")).run();
    }
}

/// The same on the other side: what was added beside our address stays when a takeover is taken back.
#[test]
fn what_was_added_beside_our_address_stays_when_a_takeover_is_taken_back() {
    if !real::require(&HOST_NEEDS) || !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let wired = Wired::new(&bed);
    bed.script(
        "fakes/agent",
        "case $1 in status) echo offline;; start) ip address add 198.51.100.30/24 dev wire; exit 1;; esac",
    );
    let text = bed.read("etc/ha.toml");
    let service = "[[service]]\nname = \"agent\"\nstatus = [\"agent\", \"status\"]\nstop = [\"agent\", \"stop\"]\n\
                   start = [\"agent\", \"start\"]\ntimeout = \"1s\"\n";
    bed.config("ha.toml", format!("{text}{service}"));
    wired.program(1, "ha-release").any_stdout().goes_well().run();
    let record = wired.state(1).join("release.json").display().to_string();
    // Our address is the first of its network here.
    let line = "ip address flush dev wire; ip address add 198.51.100.2/32 dev wire; ip route add 198.51.100.0/24 dev wire; \
                for conf in all wire; do echo 0 >/proc/sys/net/ipv4/conf/$conf/promote_secondaries; done";
    wired.hosts[1].shell(line).run();
    let ended =
        wired.program(2, "ha-takeover").args(["--record", &record]).status(1).any_stdout().any_stderr().run();
    assert_eq!(others(&wired, 2), ["198.51.100.2/32 ", "198.51.100.30/24 "], "{}", ended.stderr);
}
