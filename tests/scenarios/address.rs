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
        bed.tools(&["ip", "ping", "arping", "mount", "umount"]);
        for folder in ["at", "source"] {
            std::fs::create_dir(bed.path(folder)).unwrap();
        }
        let root = bed.root().display();
        bed.config(
            "ha.toml",
            format!(
                "[[host]]\nname = \"ec1\"\naddress = \"198.51.100.1\"\n[[host]]\nname = \"ec2\"\naddress = \"198.51.100.2\"\n\
                 [asset]\nkind = \"bind\"\nsource = \"{root}/source\"\n[[asset.mount]]\nat = \"{root}/at\"\n\
                 [[address]]\ncidr = \"198.51.100.10/24\"\ndevice = \"wire\"\n"
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
        one.shell("mount --bind source at && ip address add 198.51.100.10/24 dev wire").run();
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
    wired.program(1, "ha-release").args(["--skip", "addresses"]).any_stdout().any_stderr().run();
    let record = wired.state(1).join("release.json").display().to_string();
    refused(&["--record", &record], "somebody answers at 198.51.100.10");
    wired.hosts[0].shell("ip address del 198.51.100.10/24 dev wire").run();
    let taken = wired.program(2, "ha-takeover").args(["--record", &record]).any_stdout().any_stderr().run();
    assert!(!taken.stderr.contains("is not announced"), "{}", taken.stderr);
    // The old primary reaches the address, and it is the other host's now.
    wired.hosts[0].shell("ping -q -c 1 -W 5 198.51.100.10").any_stdout().run();
    let listed = wired.hosts[1].shell("ip -o address show dev wire").any_stdout().run().stdout;
    assert!(listed.contains("198.51.100.10/24"), "{listed}");
    // Its cable pulled, the host that holds everything answers nothing, and the word of a person counts.
    wired.hosts[1].shell("ip link set wire down").run();
    wired.program(1, "ha-takeover").args(["--peer-down", "ec2"]).any_stdout().any_stderr().run();
}
