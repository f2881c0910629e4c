//! SCSI reservations that another host left: read, named, never cleared.
//!
//! Scripted: a loop device is no SCSI disk, so the private host has a list of block devices in which
//! it is one, and `sg_persist` prints what that of sg3-utils 1.46 prints. The disk, its ext4 and its
//! mounts are real.

use crate::pair::{Asset, Pair, possible};
use bed::Bed;
use bed::loopfs::Disk;

const FREE: &str = "  PR generation=0x4, there is NO reservation held";
const ALONE: &str = "  PR generation=0x4, Reservation follows:\n    Key=0xabc001\n    scope: LU_SCOPE,  type: Exclusive Access";
const SHARED: &str = "  PR generation=0x4, Reservation follows:\n    Key=0xabc001\n    scope: LU_SCOPE,  type: Write Exclusive, registrants only";
const KEYS: &str = "  PR generation=0x4, 1 registered reservation key follows:\n    0xabc001";

/// Makes the disk a SCSI disk in the eyes of the second host.
fn with_scsi_disk(pair: &Pair<'_>, disk: &Disk) {
    let name = disk.device().file_name().unwrap().to_str().unwrap();
    let line = format!(
        "/bin/mount -t tmpfs tmpfs /sys/class/block && /bin/mkdir -p /sys/class/block/{name}/device && \
         echo 6 >/sys/class/block/{name}/device/scsi_level"
    );
    pair.shell(2, &line).run();
    pair.forget();
}

/// Lets the disk answer what is asked of its reservations; each question is logged.
fn reserved(bed: &Bed, reservation: &str, keys: &str) {
    bed.script(
        "fakes/sg_persist",
        &format!(
            "echo \"$*\" >>\"$ORDERLY_BED/asked\"\ncase \"$*\" in\n\
             \"--no-inquiry --in --read-reservation /dev/\"*) echo '{reservation}';;\n\
             \"--no-inquiry --in --read-keys /dev/\"*) echo '{keys}';;\n\
             *) exit 97;;\nesac"
        ),
    );
}

#[test]
fn a_reservation_of_another_host_is_named_refused_and_never_cleared() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    with_scsi_disk(&pair, &disk);
    pair.released(1);
    let record = pair.record(1);
    let take = || pair.takeover(2).arg("--record").arg(&record);
    pair.forget();
    // Whoever made it may write, and nobody else.
    reserved(&bed, ALONE, KEYS);
    let what =
        format!("{} has a SCSI reservation (Exclusive Access) by the key 0xabc001", disk.device().display());
    let refused = take().status(4).stderr_contains(&what).stderr_contains("never cleared here");
    refused.stderr_contains("sg_persist --out").run();
    take().arg("-n").status(4).stderr_contains(&what).run();
    // This host's key is known, and not registered.
    reserved(&bed, SHARED, KEYS);
    let text = bed.read("etc/ha.toml");
    bed.config("ha.toml", text.replace("name = \"ec2\"", "name = \"ec2\"\nreservation_key = \"0xabc002\""));
    // A record is of the configuration that both hosts have now.
    pair.released(1);
    pair.forget();
    take().status(4).stderr_contains("the key 0xabc002 of this host is not among those").run();
    assert_eq!(pair.acts(), [""; 0], "nothing was touched");
    assert!(pair.holders().is_empty());
    // Registered, it may write; and nothing but questions was ever put to the disk.
    reserved(
        &bed,
        SHARED,
        &format!("{KEYS}\n    0xabc002")
            .replace("1 registered reservation key follows", "2 registered reservation keys follow"),
    );
    take().any_stdout().goes_well().run();
    assert_eq!(pair.holders(), [2]);
    let asked = bed.read("asked");
    assert!(asked.lines().all(|line| line.starts_with("--no-inquiry --in --read-")), "{asked}");
}

#[test]
fn a_disk_of_which_nobody_knows_whether_it_is_reserved_for_this_host_is_said_so() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    with_scsi_disk(&pair, &disk);
    let hand_over = |said: &str| {
        pair.released(1);
        let take = pair.takeover(2).arg("--record").arg(pair.record(1));
        let taken = take.any_stdout().any_stderr().run();
        assert_eq!(taken.stderr.contains("SCSI reservation"), !said.is_empty(), "{}", taken.stderr);
        assert!(taken.stderr.contains(said), "{said}: {}", taken.stderr);
        pair.released(2);
        let back = pair.takeover(1).arg("--record").arg(pair.record(2));
        back.any_stdout().goes_well().run();
    };
    hand_over("apt-get install sg3-utils");
    reserved(&bed, FREE, KEYS);
    hand_over("");
    reserved(&bed, SHARED, KEYS);
    hand_over("reservation_key in its [[host]] would tell");
    bed.script("fakes/sg_persist", "echo 'PR in (Read reservation): command not supported' >&2; exit 9");
    hand_over("");
    bed.script("fakes/sg_persist", "echo something new");
    hand_over("printed \"something new\"");
}

/// What comes before the take may make this host's reservation, and did not.
#[test]
fn a_reservation_that_stays_until_the_take_lets_go_again() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    let text = bed.read("etc/ha.toml");
    bed.config(
        "ha.toml",
        text.replace("[asset]\n", "[asset]\nbefore_take = [[\"svc\", \"login\", \"start\"]]\n"),
    );
    with_scsi_disk(&pair, &disk);
    pair.released(1);
    reserved(&bed, ALONE, KEYS);
    let take = pair.takeover(2).arg("--record").arg(pair.record(1));
    take.status(1)
        .any_stdout()
        .stderr_contains("has a SCSI reservation")
        .stderr_contains("let go again")
        .run();
    assert!(pair.holders().is_empty());
}

/// A disk that may not even be read was passed over as one that carries something else.
#[test]
fn a_disk_that_a_reservation_keeps_from_being_read_is_named() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let uuid = disk.uuid();
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    let text = bed.read("etc/ha.toml");
    let device = disk.device().display().to_string();
    pair.released(1);
    std::fs::remove_file(bed.path("tools/dd")).unwrap();
    // As dd says what the kernel makes of a reservation conflict (EBADE).
    bed.script("fakes/dd", "echo \"dd: error reading 'disk': Invalid exchange\" >&2; exit 1");
    pair.forget();
    for named in [device.clone(), format!("UUID={uuid}")] {
        bed.config("ha.toml", text.replace(&device, &named));
        let take = pair.takeover(2).args(["--peer-down", "ec1"]).status(4);
        take.stderr_contains("another host has a SCSI reservation of it").run();
    }
    assert!(pair.acts().is_empty());
}
