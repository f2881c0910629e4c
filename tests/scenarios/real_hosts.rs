//! The private hosts and disks themselves: two hosts are not one, and this machine sees neither.

use bed::loopfs::{DISK_NEEDS, Disk, HOST_NEEDS, Host};
use bed::{Bed, real};

#[test]
fn what_a_host_mounts_is_its_own() {
    if !real::require(&HOST_NEEDS) {
        return;
    }
    let bed = Bed::new();
    bed.tools(&["mount", "uname", "cat", "ls"]);
    std::fs::create_dir_all(bed.path("disk/inside")).unwrap();
    std::fs::create_dir_all(bed.path("at")).unwrap();
    let (one, two) = (Host::new(&bed, "ec1"), Host::new(&bed, "ec2"));
    one.shell("uname -n; mount --bind disk at; ls at").stdout("ec1\ninside\n").run();
    two.shell("uname -n; ls at").stdout("ec2\n").run();
    bed.shell("ls at").run();
    let boot_id = |host: &Host| host.shell("cat /proc/sys/kernel/random/boot_id").any_stdout().run().stdout;
    assert_ne!(boot_id(&one), boot_id(&two));
    one.program("habackup").arg("--version").any_stdout().run();
}

#[test]
fn a_disk_is_seen_by_both_hosts_and_let_go_at_the_end() {
    if !real::require(&DISK_NEEDS) || !real::require(&HOST_NEEDS) {
        return;
    }
    let bed = Bed::new();
    bed.tools(&["mount", "umount", "cat"]);
    let disk = Disk::ext4(&bed, 8);
    assert_eq!(disk.uuid().len(), 36);
    std::fs::create_dir_all(bed.path("at")).unwrap();
    let device = disk.device().display().to_string();
    {
        let (one, two) = (Host::new(&bed, "ec1"), Host::new(&bed, "ec2"));
        one.shell(&format!("mount {device} at && echo kept >at/file && umount at")).run();
        two.shell(&format!("mount {device} at && cat at/file")).stdout("kept\n").run();
    }
    drop(disk);
    assert!(
        !std::path::Path::new(&format!("/sys/block/{}/loop", device.trim_start_matches("/dev/"))).exists()
    );
}
