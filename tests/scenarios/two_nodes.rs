//! A real cluster of two nodes (corosync, Pacemaker) with the resource agent: the asset moves, a node is put on standby, one
//! loses its cluster manager while it writes, one loses its power.
//!
//! The nodes are private hosts at one switch. The asset is a shared folder behind the commands of a site, because two hosts
//! of one kernel would share what it knows of a file system. An oracle reads when each hold began and ended, and what the
//! services wrote. The fence device is a script that asks a power controller, which is this test: it ends the processes of
//! that one host.

mod bench;
mod oracle;

use bed::Bed;
use bench::{Bench, ready};

/// The whole way there and back, in peace and in trouble.
#[test]
fn a_real_pacemaker_of_two_nodes_moves_the_asset_and_no_hold_meets_another() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    let mut bench = Bench::new(&bed);
    for host in [1, 2] {
        bench.start(host);
    }
    bench.wait_for_nodes("online", "online");
    bench.create_asset();
    bench.wait_for_holder(1);

    bench.cluster(2, "crm_resource --resource asset --move --node ec2");
    bench.wait_for_holder(2);
    bench.cluster(2, "crm_resource --resource asset --clear");

    bench.cluster(1, "crm_attribute --node ec2 --name standby --update on");
    bench.wait_for_holder(1);
    bench.wait_for_nodes("online", "standby");
    bench.cluster(1, "crm_attribute --node ec2 --name standby --delete");
    bench.wait_for_nodes("online", "online");
    assert!(bench.fenced().is_empty(), "{:?}", bench.fenced());

    // The services go on writing on a node that no cluster manager watches any more, until it is fenced.
    let before = bench.written();
    bench.kill_cluster(1);
    bench.wait_until("the node writes without a cluster manager", |bench| bench.written() > before + 5);
    bench.wait_for_holder(2);
    assert_eq!(bench.fenced(), ["ec1"]);
    bench.boot(1);
    bench.wait_for_nodes("online", "online");
    bench.wait_for_holder(2);

    bench.cut_power(2);
    bench.wait_for_holder(1);
    assert_eq!(bench.fenced(), ["ec1", "ec2"]);
    bench.boot(2);
    bench.wait_for_nodes("online", "online");
    bench.wait_for_holder(1);

    assert_eq!(bench.objections(), [""; 0]);
    assert_eq!(bench.holds(), ["ec1", "ec2", "ec1", "ec2", "ec1"]);
}

/// A controller that calls a node off that runs is seen through as long as that node answers; where it is cut off, too,
/// nothing is left to see it by, and the oracle objects.
#[test]
fn a_fence_device_that_lies_is_seen_through_where_the_node_answers_and_the_oracle_objects_where_not() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    let mut bench = Bench::new(&bed);
    for host in [1, 2] {
        bench.start(host);
    }
    bench.wait_for_nodes("online", "online");
    bench.create_asset();
    bench.wait_for_holder(1);
    bench.let_the_controller_lie();
    bench.kill_cluster(1);
    bench.wait_for_words(2, "ec1 did not let go of the asset and is not fenced: 192.0.2.1 answers");
    assert_eq!((bench.objections(), bench.holds()), (Vec::new(), vec!["ec1".to_owned()]));

    bench.unplug(1);
    bench.cluster(2, "crm_resource --resource asset --cleanup");
    bench.wait_until("both hold the asset", |bench| bench.pair_holds() == [1, 2]);
    bench.wait_until("both write", |bench| !bench.objections_to_what_is_written().is_empty());
    let objections = bench.objections();
    assert!(objections.iter().any(|said| said == "ec2 begins while ec1 holds"), "{objections:?}");
}
