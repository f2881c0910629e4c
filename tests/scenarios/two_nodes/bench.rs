//! Two nodes at a switch, their power controller, and what is asked of them.

use super::oracle;
use crate::pair::{Asset, Pair, possible};
use bed::loopfs::Host;
use bed::pacemaker::{self, Node};
use bed::{Bed, Need, real};
use std::io::Write;
use std::time::Duration;

/// How long a cluster may take for one thing; it waits by itself for many seconds. Not a measure of speed.
const PATIENCE: Duration = Duration::from_secs(900);

const NEEDS: [Need; 4] =
    [Need::Program("ip"), Need::Program("ping"), Need::Program("arping"), Need::Program("setsid")];

const NODES: [Node<'static>; 2] =
    [Node { name: "ec1", address: "192.0.2.1" }, Node { name: "ec2", address: "192.0.2.2" }];

/// A node that is held up for less than this is not taken for dead, however busy the machine is.
const TOTEM: &str = "token: 10000";

/// Asks the power controller, and waits until it has done so: `power/HOST.wanted` is the question, `power/HOST` the answer.
const FENCE: &str = r#"PATH=$PATH:/usr/bin:/bin; power=POWER; action=; node=
case "$*" in
*metadata*) action=metadata ;;
*) while IFS='=' read -r key value; do case $key in action) action=$value ;; nodename) node=$value ;; esac; done ;;
esac
case $action in
metadata) cat <<'END'
<?xml version="1.0"?>
<resource-agent name="fence_legacy" shortdesc="the power controller of the bed">
<parameters>
<parameter name="action"><content type="string" default="off"/></parameter>
<parameter name="nodename"><content type="string"/></parameter>
</parameters>
<actions><action name="off"/><action name="status"/><action name="monitor"/><action name="metadata"/></actions>
</resource-agent>
END
;;
off)
	[ -e "$power/$node" ] || exit 1
	: >"$power/$node.wanted"
	until [ "$(cat "$power/$node")" = off ]; do sleep 0.1; done
	;;
status) [ "$(cat "$power/$node")" = on ] || exit 2 ;;
monitor) [ -d "$power" ] ;;
*) exit 1 ;;
esac"#;

/// Whoever is elected need not wait long for the other one; the fence device has all the time that it needs.
const CIB: &str = r#"<cib validate-with="pacemaker-3.0" epoch="1" num_updates="0" admin_epoch="0">
<configuration><crm_config><cluster_property_set id="options">
<nvpair id="deadtime" name="dc-deadtime" value="2s"/>
<nvpair id="fencing" name="stonith-enabled" value="true"/>
<nvpair id="fencing-action" name="stonith-action" value="off"/>
<nvpair id="fencing-timeout" name="stonith-timeout" value="900s"/>
</cluster_property_set></crm_config><nodes/><resources>
<primitive id="fence" class="stonith" type="fence_legacy"><instance_attributes id="fence-parameters">
<nvpair id="fence-list" name="pcmk_host_list" value="ec1 ec2"/>
<nvpair id="fence-check" name="pcmk_host_check" value="static-list"/>
</instance_attributes></primitive>
</resources><constraints/></configuration><status/></cib>"#;

/// Notes a hold before it begins and once it has ended.
const LOGGED_ASSET: &str = r#"
[ "$1" != take ] || echo "$(uname -n) begins" >>"$ORDERLY_BED/holds"
/bin/sh "$ORDERLY_BED/myasset.unlogged" "$@" || exit
[ "$1" != release ] || echo "$(uname -n) ends" >>"$ORDERLY_BED/holds""#;

/// A service is a process, which writes to the asset as long as it runs. What is known of it is gone with its host.
const SERVICE: &str = r#"run="$ORDERLY_BED/run.$(uname -n)/$1"
# One that ended and that nobody waits for has no command line any more.
runs() { [ -e "$run" ] && grep -q writer "/proc/$(cat "$run")/cmdline" 2>/dev/null; }
case $2 in
status) if runs; then echo online; else echo offline; fi ;;
start)
	setsid writer "$1" >/dev/null 2>&1 </dev/null &
	echo $! >"$run"
	;;
stop)
	! runs || kill "$(cat "$run")"
	while runs; do sleep 0.05; done
	rm -f "$run"
	;;
esac"#;

/// Goes on after the last number that is there.
const WRITER: &str = r#"file=$ORDERLY_BED/at/$1; number=0
: >>"$file"
while read -r host last; do number=$last; done <"$file"
while number=$((number + 1)) && echo "$(uname -n) $number" >>"$file"; do sleep 0.1; done"#;

/// The services, which write to a file of their name.
const SERVICES: [&str; 2] = ["proxy", "ec"];

/// Two nodes, of which none holds the asset at first.
pub(super) struct Bench<'a> {
    pair: Pair<'a>,
    switch: Host<'a>,
    /// It says that a node is off, and does nothing.
    lies: bool,
}

/// Tells whether this machine can have such a cluster.
pub(super) fn ready() -> bool {
    possible() && real::require(&pacemaker::NEEDS) && real::require(&NEEDS)
}

impl<'a> Bench<'a> {
    pub(super) fn new(bed: &'a Bed) -> Self {
        let pair = Pair::new(bed, &Asset::Command);
        pair.released(1);
        bed.tools(&["setsid"]);
        bed.write("myasset.unlogged", bed.read("fakes/myasset"));
        bed.script("fakes/myasset", LOGGED_ASSET);
        bed.script("fakes/svc", SERVICE);
        bed.script("fakes/writer", WRITER);
        for name in ["ping", "arping"] {
            std::fs::remove_file(bed.path("fakes").join(name)).unwrap();
            bed.tool(name);
        }
        bed.config("ha.toml", bed.read("etc/ha.toml").replace("device = \"lo\"", "device = \"net\""));
        let fence = FENCE.replace("POWER", &bed.path("power").display().to_string());
        pacemaker::configure(bed, &NODES, TOTEM, CIB, &fence);
        let switch = Host::new(bed, "switch");
        let line = "ip link add bridge type bridge && ip link set bridge up && ip address add 192.0.2.254/24 dev bridge";
        switch.shell(line).run();
        let bench = Self { pair, switch, lies: false };
        for host in [1, 2] {
            bench.plug_in(host);
        }
        bench
    }

    fn bed(&self) -> &'a Bed {
        self.pair.bed
    }

    /// Plugs a host that was booted into the switch; its state directory is at one place on both.
    fn plug_in(&self, host: usize) {
        for folder in [format!("run.ec{host}"), "local".to_owned()] {
            std::fs::create_dir_all(self.bed().path(folder)).unwrap();
        }
        self.pair
            .shell(host, &format!("/bin/mkdir -p state/ec{host} && mount --bind state/ec{host} local"))
            .run();
        self.bed().write(format!("power/ec{host}"), "on\n");
        let first = self.pair.first_process(host);
        let switch = self.switch.first_process();
        self.bed()
            .shell(&format!("ip link add net netns {first} type veth peer name port{host} netns {switch}"))
            .run();
        self.switch.shell(&format!("ip link set port{host} master bridge up")).run();
        let address = NODES[host - 1].address;
        self.pair.shell(host, &format!("ip link set net up && ip address add {address}/24 dev net")).run();
    }

    /// Pulls the plug of a host.
    pub(super) fn unplug(&self, host: usize) {
        self.switch.shell(&format!("ip link set port{host} down")).run();
    }

    /// Starts the cluster on a host.
    pub(super) fn start(&self, host: usize) {
        self.pair.shell(host, &pacemaker::start_line()).any_stdout().any_stderr().run();
    }

    /// Kills the cluster manager of a host, and nothing that it started.
    pub(super) fn kill_cluster(&self, host: usize) {
        self.pair.shell(host, &pacemaker::kill_line()).any_stderr().run();
    }

    /// Runs a tool of the cluster on a host.
    pub(super) fn cluster(&self, host: usize, tool: &str) -> String {
        let run = self.pair.shell(host, &pacemaker::line(tool));
        run.any_stdout().any_stderr().run().stdout
    }

    /// Adds the asset to the cluster, on the first node where that is to be had; it stays where it is.
    pub(super) fn create_asset(&self) {
        let bed = self.bed();
        let parameters = [
            ("config", bed.path("etc/ha.toml")),
            ("programs", bed.path("bin")),
            ("state", bed.path("local")),
        ];
        let parameters = parameters.map(|(name, value)| {
            format!("<nvpair id=\"asset-{name}\" name=\"{name}\" value=\"{}\"/>", value.display())
        });
        let operations = [("monitor", "2s", "300s"), ("start", "0", "900s"), ("stop", "0", "900s")];
        let operations = operations.map(|(name, interval, timeout)| {
            format!("<op id=\"asset-{name}\" name=\"{name}\" interval=\"{interval}\" timeout=\"{timeout}\"/>")
        });
        bed.write(
            "asset.xml",
            format!(
                "<primitive id=\"asset\" class=\"ocf\" provider=\"orderly\" type=\"asset\">\
                 <meta_attributes id=\"asset-meta\">\
                 <nvpair id=\"asset-stays\" name=\"resource-stickiness\" value=\"100\"/>\
                 <nvpair id=\"asset-role\" name=\"target-role\" value=\"Stopped\"/></meta_attributes>\
                 <instance_attributes id=\"asset-parameters\">{}</instance_attributes>\
                 <operations>{}</operations></primitive>",
                parameters.concat(),
                operations.concat()
            ),
        );
        bed.write("first.xml", "<rsc_location id=\"first\" rsc=\"asset\" node=\"ec1\" score=\"50\"/>");
        self.cluster(1, "cibadmin --create -o resources --xml-file asset.xml");
        self.cluster(1, "cibadmin --create -o constraints --xml-file first.xml");
        self.cluster(
            1,
            "crm_resource --resource asset --meta --set-parameter target-role --parameter-value Started",
        );
    }

    /// Boots a host whose power is off, and starts the cluster on it.
    pub(super) fn boot(&mut self, host: usize) {
        self.pair.boot(host);
        std::fs::remove_dir_all(self.bed().path(format!("run.ec{host}"))).unwrap();
        self.plug_in(host);
        self.start(host);
    }

    /// Lets the power controller do nothing and say that it did.
    pub(super) fn let_the_controller_lie(&mut self) {
        self.lies = true;
    }

    /// Cuts the power of a host, by nobody's command.
    pub(super) fn cut_power(&mut self, host: usize) {
        self.pair.power_off(host);
        // Noted once it is so, and before anybody is told.
        self.note("holds", &format!("ec{host} off"));
        self.bed().write(format!("power/ec{host}"), "off\n");
    }

    /// Adds a line to a log, which the hosts write to as well.
    fn note(&self, log: &str, line: &str) {
        let mut options = std::fs::OpenOptions::new();
        let mut log = options.append(true).create(true).open(self.bed().path(log)).unwrap();
        writeln!(log, "{line}").unwrap();
    }

    /// Does what the power controller was asked for since.
    fn serve(&mut self) {
        for host in [1, 2] {
            let wanted = self.bed().path(format!("power/ec{host}.wanted"));
            if !wanted.exists() {
                continue;
            }
            std::fs::remove_file(wanted).unwrap();
            self.note("fenced", &format!("ec{host}"));
            if self.lies {
                self.bed().write(format!("power/ec{host}"), "off\n");
            } else {
                self.cut_power(host);
            }
        }
    }

    /// Waits, and serves the fence device meanwhile.
    pub(super) fn wait_until(&mut self, what: &str, is_true: impl Fn(&Self) -> bool) {
        bed::wait_longer(PATIENCE, what, || {
            self.serve();
            std::thread::sleep(Duration::from_millis(200));
            is_true(self)
        });
    }

    /// Waits until a host holds the asset, alone, as the cluster and the host itself say; its services write, and a client
    /// reaches the address.
    pub(super) fn wait_for_holder(&mut self, host: usize) {
        let name = NODES[host - 1].name;
        let locate = pacemaker::line("crm_resource --resource asset --locate 2>&1");
        self.wait_until(&format!("{name} holds the asset"), |bench| {
            let said = bench.pair.shell(host, &locate).any_status().any_stdout().run().stdout;
            said.contains(&format!("is running on: {name}")) && bench.pair_holds() == [host]
        });
        let before = self.written();
        self.wait_until(&format!("the services write on {name}"), |bench| {
            bench.written() > before && SERVICES.iter().all(|service| bench.writer(service) == name)
        });
        let client = pacemaker::line("ping -q -c 1 -W 5 192.0.2.10");
        self.wait_until("a client reaches the address", |bench| {
            bench.switch.shell(&client).any_status().any_stdout().any_stderr().run().status == 0
        });
    }

    /// Waits until the cluster says so of its nodes.
    pub(super) fn wait_for_nodes(&mut self, one: &str, two: &str) {
        self.wait_for_words(1, &format!("Node ec1: {one}"));
        self.wait_for_words(1, &format!("Node ec2: {two}"));
    }

    /// Waits until what a host says of the cluster has a text.
    pub(super) fn wait_for_words(&mut self, host: usize, text: &str) {
        let line = pacemaker::line("crm_mon -1 -n 2>&1");
        self.wait_until(&format!("the cluster says {text}"), |bench| {
            let ended = bench.pair.shell(host, &line).any_status().any_stdout().any_stderr().run();
            ended.stdout.contains(text)
        });
    }

    /// Returns the hosts on which the asset is mounted.
    pub(super) fn pair_holds(&self) -> Vec<usize> {
        [1, 2].into_iter().filter(|host| self.pair.has_mounted(*host)).collect()
    }

    /// Returns whom the fence device was asked to switch off, in order.
    pub(super) fn fenced(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.bed().path("fenced")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    /// Returns who held, in order.
    pub(super) fn holds(&self) -> Vec<String> {
        oracle::holds(&self.bed().read("holds"))
    }

    fn text_of(&self, service: &str) -> String {
        std::fs::read_to_string(self.bed().path("source").join(service)).unwrap_or_default()
    }

    /// Returns how much was written.
    pub(super) fn written(&self) -> usize {
        SERVICES.iter().map(|service| self.text_of(service).lines().count()).sum()
    }

    /// Returns who wrote the last line of a service.
    fn writer(&self, service: &str) -> String {
        let text = self.text_of(service);
        let last = text.lines().next_back().and_then(|line| line.split_once(' '));
        last.map(|(host, _)| host.to_owned()).unwrap_or_default()
    }

    /// Returns what is wrong with what was written.
    pub(super) fn objections_to_what_is_written(&self) -> Vec<String> {
        let holds = self.holds();
        let mut objections = Vec::new();
        for service in SERVICES {
            let text = self.text_of(service);
            // What is being written just now may not be whole.
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            objections.extend(oracle::judge_written(whole, &holds));
            // Written beside the asset, where nobody will look for it.
            if self.bed().path("at").join(service).exists() {
                objections.push(format!("{service} wrote below the mount point"));
            }
        }
        objections
    }

    /// Returns everything that the oracle objects to.
    pub(super) fn objections(&self) -> Vec<String> {
        let mut objections = oracle::judge_holds(&self.bed().read("holds"));
        objections.extend(self.objections_to_what_is_written());
        objections
    }
}
