//! The resource agent `ocf/asset`: its exit codes, `ocf-tester`, and a real Pacemaker of one node.
//!
//! What changes hands is real (bind mounts in private hosts, the real programs); services, exports
//! and the fence device of the cluster are scripted.

use crate::pair::{Asset, Pair, possible};
use bed::binaries::workspace;
use bed::pacemaker::{self, Node};
use bed::{Bed, Ended, Need, Program, real, wait_until};
use std::time::Duration;

/// What the agent needs of the machine, by itself.
const AGENT: [Need; 1] = [Need::Program("ocf-tester")];
/// What the cluster's own tester of agents needs.
const TESTER: [Need; 2] = [Need::Program("ocf-tester"), Need::Program("xmllint")];
/// The tools of the machine, behind the fakes.
const PATH: &str = "PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin; export PATH; ";

/// Returns one call of the agent on a host.
fn agent<'a>(pair: &Pair<'a>, host: usize, action: &str) -> Program<'a> {
    let line = format!("{PATH}exec {} {action}", workspace().join("ocf/asset").display());
    pair.shell(host, &line)
        .env("OCF_ROOT", "/usr/lib/ocf")
        .env("OCF_RESOURCE_INSTANCE", "asset")
        .env("HA_LOGFILE", "/dev/null")
        .env("OCF_RESKEY_config", pair.bed.path("etc/ha.toml"))
        .env("OCF_RESKEY_programs", pair.bed.path("bin"))
        .env("OCF_RESKEY_state", pair.state(host))
}

fn code(program: Program<'_>) -> Ended {
    program.any_status().any_stdout().any_stderr().run()
}

/// Makes the cluster's answer to whether it fences.
fn fences(bed: &Bed, answer: &str) {
    bed.script("fakes/crm_attribute", answer);
}

#[test]
fn the_agent_ends_with_the_codes_of_its_standard() {
    if !possible() || !real::require(&AGENT) {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    fences(&bed, "echo true");
    let status = |host, action| code(agent(&pair, host, action)).status;
    assert_eq!(status(1, "monitor"), 0);
    assert_eq!(status(2, "monitor"), 7);
    assert_eq!(status(1, "validate-all"), 0);
    assert_eq!(status(1, "meta-data"), 0);
    assert_eq!(status(1, "promote"), 3);
    assert_eq!(code(agent(&pair, 1, "monitor").env("OCF_RESKEY_config", "etc/ha.toml")).status, 6);
    assert_eq!(code(agent(&pair, 1, "monitor").env("OCF_RESKEY_config", bed.path("none.toml"))).status, 2);
    assert_eq!(code(agent(&pair, 1, "monitor").env("OCF_RESKEY_programs", bed.path("home"))).status, 5);
    if real::require(&[Need::Program("setpriv")]) {
        // Read by root, because a clone below /root is closed to others.
        let agent = workspace().join("ocf/asset");
        let line = format!("{PATH}exec setpriv --reuid 65534 /bin/sh -s monitor <{}", agent.display());
        let as_nobody = pair.shell(1, &line).env("OCF_ROOT", "/usr/lib/ocf").env("HA_LOGFILE", "/dev/null");
        assert_eq!(code(as_nobody.env("OCF_RESOURCE_INSTANCE", "asset")).status, 4);
    }
    // Starting what runs and stopping what does not changes nothing.
    pair.forget();
    assert_eq!((status(1, "start"), status(2, "stop")), (0, 0));
    assert!(pair.acts().is_empty(), "{:?}", pair.acts());
    // A part that is missing is a failure, never "stopped".
    pair.shell(1, "svc proxy stop").run();
    let said = code(agent(&pair, 1, "monitor"));
    assert_eq!(said.status, 1);
    assert!(said.stderr.contains("proxy is down"), "{}", said.stderr);
    // So is a state that nobody can tell.
    pair.shell(1, "svc proxy start").run();
    bed.write("source/.orderly-mark", "{");
    assert_eq!(status(1, "monitor"), 1);
}

#[test]
fn a_cluster_that_does_not_fence_starts_nothing() {
    if !possible() || !real::require(&AGENT) {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    pair.released(1);
    pair.forget();
    for (answer, wanted) in [("echo false", 6), ("echo 0", 6), ("exit 102", 1)] {
        fences(&bed, answer);
        let said = code(agent(&pair, 2, "start"));
        assert_eq!(said.status, wanted, "{answer}: {}", said.stderr);
        assert!(pair.acts().is_empty() && pair.holders().is_empty(), "{answer}");
    }
    fences(&bed, "echo true");
    // The peer let go in order and answers, as the members of a cluster do.
    bed.write("answers.192.0.2.1", "");
    let said = code(agent(&pair, 2, "start"));
    assert_eq!((said.status, pair.holders()), (0, vec![2]), "{}", said.stderr);
    // A peer that did not let go must be off, whatever the cluster says; and nothing here fences it.
    pair.forget();
    bed.write("answers.192.0.2.2", "");
    let said = code(agent(&pair, 1, "start"));
    assert_eq!(said.status, 1, "{}", said.stderr);
    assert!(said.stderr.contains("is not fenced: 192.0.2.2 answers"), "{}", said.stderr);
    std::fs::remove_file(bed.path("answers.192.0.2.2")).unwrap();
    pair.shell(2, "umount loop; umount at; svc proxy stop; svc ec stop; ip address del 192.0.2.10/32 dev lo")
        .run();
    pair.forget();
    let said = code(agent(&pair, 1, "start"));
    assert_eq!((said.status, pair.holders()), (0, vec![1]), "{}", said.stderr);
    assert!(!pair.acts().iter().any(|act| act.contains("power")), "{:?}", pair.acts());
}

#[test]
fn a_stop_that_fails_takes_nothing_back_and_is_finished_by_the_next() {
    if !possible() || !real::require(&AGENT) {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    fences(&bed, "echo true");
    // The loopback cannot be unmounted.
    pair.trouble("fail 4");
    let said = code(agent(&pair, 1, "stop"));
    assert_eq!(said.status, 1, "{}", said.stderr);
    let acts = pair.acts();
    assert!(!acts.iter().any(|act| act.ends_with(" start") || act.contains(" add ")), "{acts:?}");
    pair.forget();
    assert!(pair.world(1).contains("proxy offline"));
    pair.takeover(2).arg("--record").arg(pair.record(1)).status(4).any_stderr().run();
    pair.forget();
    let said = code(agent(&pair, 1, "stop"));
    assert_eq!((said.status, pair.holders()), (0, Vec::new()), "{}", said.stderr);
    assert_eq!(code(agent(&pair, 1, "monitor")).status, 7);
}

/// A stop that is refused lets the cluster power the host off; what a person would be asked to end is ended by
/// nobody there, and only a failed unmount counts.
#[test]
fn what_refuses_a_person_refuses_no_stop() {
    if !possible() || !real::require(&AGENT) {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    fences(&bed, "echo true");
    let path = bed.path("at/opt").display().to_string();
    pair.shell(
        1,
        &format!(
            "exportfs -o ro 'ec7:{path}' && /bin/mkdir -p up work merged && \
         mount -t overlay o -o lowerdir=$PWD/at/opt,upperdir=$PWD/up,workdir=$PWD/work merged && \
         /bin/mkdir -p state/ec1 && mount -t tmpfs -o size=512k t state/ec1 && /bin/chmod 700 state/ec1"
        ),
    )
    .run();
    pair.release(1).status(4).any_stdout().stderr_contains("has no room").run();
    let said = code(agent(&pair, 1, "stop"));
    assert_eq!((said.status, pair.holders()), (0, Vec::new()), "{}", said.stderr);
}

/// With several lines the last one is not the reason.
#[test]
fn the_cluster_is_shown_the_reason_and_not_the_last_hint() {
    if !possible() || !real::require(&AGENT) {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    fences(&bed, "echo true");
    pair.released(1);
    // Several things speak against the start.
    pair.shell(2, "svc proxy start && svc ec start && touch at/in-the-way").run();
    let said = code(agent(&pair, 2, "start"));
    assert!(said.status != 0 && said.stderr.contains("refused: "), "{}", said.stderr);
    let reason = said.stderr.lines().find(|line| line.contains("ocf-exit-reason:")).unwrap();
    assert!(reason.contains("refused: "), "{reason}");
}

/// A second resource with the state folder of the first could not be asked and not be stopped, so that the
/// cluster would have powered off the host on which the first one runs.
#[test]
fn a_second_resource_with_the_state_folder_of_the_first_is_not_started_and_fences_nobody() {
    if !possible() || !real::require(&AGENT) {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    fences(&bed, "echo true");
    let status = |action: &str| code(agent(&pair, 1, action)).status;
    assert_eq!((status("stop"), status("start")), (0, 0));
    std::fs::create_dir(bed.path("other")).unwrap();
    std::fs::create_dir(bed.path("place")).unwrap();
    let root = bed.root().display().to_string();
    let text = bed.read("etc/ha.toml");
    let (hosts, _) = text.split_once("[asset]").unwrap();
    let asset = format!(
        "[asset]\nkind = \"bind\"\nsource = \"{root}/other\"\n[[asset.mount]]\nat = \"{root}/place\"\n"
    );
    bed.config("other.toml", format!("{hosts}{asset}"));
    let second =
        |action: &str| code(agent(&pair, 1, action).env("OCF_RESKEY_config", bed.path("etc/other.toml")));
    assert_eq!(second("monitor").status, 7);
    let started = second("start");
    assert!(started.status == 1 && started.stderr.contains("state directory"), "{}", started.stderr);
    assert_eq!((second("stop").status, second("monitor").status), (0, 7));
    assert_eq!(status("monitor"), 0);
}

#[test]
fn the_agent_is_clean_for_shellcheck() {
    if !real::require(&[Need::Program("shellcheck")]) {
        return;
    }
    let bed = Bed::new();
    let agent = workspace().join("ocf/asset");
    bed.external(real::find("shellcheck").unwrap()).args(["-s", "sh"]).arg(agent).run();
}

/// A fence device that says yes; a cluster without one starts nothing.
const FENCE: &str = r#"case "$*" in *metadata*) action=metadata;; *) action=$(sed -n 's/^action=//p');; esac
case $action in
metadata) cat <<'END'
<?xml version="1.0"?>
<resource-agent name="fence_legacy" shortdesc="scripted">
<parameters><parameter name="action"><content type="string" default="off"/></parameter></parameters>
<actions><action name="on"/><action name="off"/><action name="status"/><action name="monitor"/><action name="metadata"/></actions>
</resource-agent>
END
;;
esac
exit 0"#;

/// Elected at once: there is nobody to wait for.
const CIB: &str = r#"<cib validate-with="pacemaker-3.0" epoch="1" num_updates="0" admin_epoch="0">
<configuration><crm_config><cluster_property_set id="options">
<nvpair id="deadtime" name="dc-deadtime" value="1s"/>
<nvpair id="fencing" name="stonith-enabled" value="true"/>
</cluster_property_set></crm_config><nodes/><resources>
<primitive id="fence" class="stonith" type="fence_legacy"/>
</resources><constraints/></configuration><status/></cib>"#;

/// Starts corosync and Pacemaker on the first host, all their folders its own.
fn start_cluster(pair: &Pair<'_>) {
    let nodes = [Node { name: "ec1", address: "127.0.0.1" }];
    pacemaker::configure(pair.bed, &nodes, "token: 1000", CIB, FENCE);
    pair.shell(1, &pacemaker::start_line()).any_stdout().any_stderr().run();
}

/// Waits until what the cluster says of itself holds a text.
fn wait_for(pair: &Pair<'_>, text: &str) {
    let said = std::cell::RefCell::new(String::new());
    let ask = || {
        let line = format!("{PATH}crm_mon -1 -n 2>&1");
        *said.borrow_mut() = pair.shell(1, &line).any_status().any_stdout().any_stderr().run().stdout;
        std::thread::sleep(Duration::from_millis(200));
        said.borrow().contains(text)
    };
    wait_until(&format!("the cluster says {text}"), ask);
}

/// Starts, watches, recovers, stops and moves away the asset by a real cluster.
#[test]
fn a_real_pacemaker_runs_the_asset() {
    if !possible() || !real::require(&pacemaker::NEEDS) || !real::require(&TESTER) {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    start_cluster(&pair);
    wait_for(&pair, "Node ec1: online");
    let cluster = |line: &str| pair.shell(1, &format!("{PATH}{line}")).any_stdout().any_stderr().run();
    let parameters =
        [("config", bed.path("etc/ha.toml")), ("programs", bed.path("bin")), ("state", pair.state(1))];
    // The standard's own tester, with the cluster's real answer about fencing.
    let options: Vec<String> =
        parameters.iter().map(|(name, value)| format!("-o {name}={}", value.display())).collect();
    let tested =
        cluster(&format!("ocf-tester -n asset {} /usr/lib/ocf/resource.d/orderly/asset", options.join(" ")));
    assert!(tested.stdout.contains("passed all tests"), "{}", tested.stdout);
    assert!(pair.holders().is_empty());
    let pairs = parameters.iter().map(|(name, value)| {
        format!("<nvpair id=\"asset-{name}\" name=\"{name}\" value=\"{}\"/>", value.display())
    });
    bed.write(
        "asset.xml",
        format!(
            "<primitive id=\"asset\" class=\"ocf\" provider=\"orderly\" type=\"asset\">\
             <instance_attributes id=\"asset-parameters\">{}</instance_attributes><operations>\
             <op id=\"asset-monitor\" name=\"monitor\" interval=\"1s\" timeout=\"60s\"/>\
             <op id=\"asset-start\" name=\"start\" interval=\"0\" timeout=\"120s\"/>\
             <op id=\"asset-stop\" name=\"stop\" interval=\"0\" timeout=\"120s\"/></operations></primitive>",
            pairs.collect::<String>()
        ),
    );
    cluster("cibadmin --create -o resources --xml-file asset.xml");
    wait_for(&pair, "asset\t(ocf:orderly:asset):\t Started");
    assert_eq!(pair.holders(), [1]);
    // What ends behind its back is noticed, and begun again.
    pair.shell(1, "svc proxy stop").run();
    wait_until("the service runs again", || pair.world(1).contains("proxy online"));
    // Standby moves it away; there is nowhere to go, so it stops.
    cluster("crm_attribute --node ec1 --name standby --update on");
    wait_until("nobody holds the asset", || pair.holders().is_empty());
    wait_for(&pair, "Node ec1: standby");
    let record = std::fs::read_to_string(pair.record(1)).unwrap();
    assert!(record.contains("\"safe\":true"), "{record}");
    cluster("crm_attribute --node ec1 --name standby --delete");
    wait_until("the asset is held again", || pair.holders() == [1]);
    wait_for(&pair, "asset\t(ocf:orderly:asset):\t Started");
    // A cluster that fences no more is told why it may not start it.
    let role = "crm_resource --resource asset --meta --set-parameter target-role --parameter-value";
    cluster(&format!("{role} Stopped"));
    wait_until("nobody holds the asset", || pair.holders().is_empty());
    cluster("crm_attribute --type crm_config --name stonith-enabled --update false");
    cluster(&format!("{role} Started"));
    wait_for(&pair, "the cluster does not fence (stonith-enabled=false)");
    assert!(pair.holders().is_empty());
}
