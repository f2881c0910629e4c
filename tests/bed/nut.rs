//! A UPS of the bed's own: Debian's dummy-ups, upsd, upsmon and upssched with the shipped `examples/nut`, in a namespace
//! where the bed's files lie where they belong. What would halt this machine writes a file.

use crate::namespace::Namespace;
use crate::{Bed, Need, binaries, wait_until};
use std::os::unix::fs::PermissionsExt;

/// What this bed needs of the machine.
pub const NEEDS: [Need; 9] = [
    Need::Root,
    Need::MountNamespace,
    Need::Program("unshare"),
    Need::Program("nsenter"),
    Need::Program("ip"),
    Need::Program("sudo"),
    Need::Program("upsd"),
    Need::Program("upsmon"),
    Need::Program("upssched"),
];

/// In there, everything of NUT's is in /etc/nut and /run/nut, and nobody else's /run is seen. Those of `/lib/nut` run where
/// NUT is not configured on the machine, too; a driver in the foreground is a child of the script.
const SCRIPT: &str = "set -e; cd \"$ORDERLY_BED\"; ip link set lo up\n\
    mount -t tmpfs -o mode=0755 none /run; mkdir -m 0770 /run/nut; chgrp nut /run/nut\n\
    chgrp -R nut nut\n\
    mount --bind nut /etc/nut; mount --bind sbin /usr/local/sbin; mount --bind sudoers.d /etc/sudoers.d\n\
    /lib/nut/dummy-ups -D -a ups &\n\
    until [ -e /run/nut/dummy-ups-ups ]; do sleep 0.1; done\n\
    /lib/nut/upsd -D &\n\
    until upsc ups@localhost ups.status; do sleep 0.1; done\n\
    exec /lib/nut/upsmon -D";

/// A UPS on line, and those who watch it.
#[derive(Debug)]
pub struct Nut<'a> {
    bed: &'a Bed,
    pub inside: Namespace<'a>,
}

impl<'a> Nut<'a> {
    /// Starts it, and waits until upsmon watches it. A dip is what takes no longer than `dip` seconds.
    pub fn new(bed: &'a Bed, dip: u32) -> Self {
        install(bed, dip);
        let mut nut = Self { bed, inside: Namespace::new(bed, "nut", SCRIPT, environment(bed)) };
        wait_until("upsmon watches", || {
            nut.inside.check();
            nut.inside.said().contains("Logged into UPS")
        });
        nut
    }

    /// Lets the UPS say so, and waits until upsmon has said this once more.
    pub fn says(&self, status: &str, notice: &str) {
        let count = || self.inside.said().matches(notice).count();
        let before = count();
        says(self.bed, status);
        wait_until(notice, || count() > before);
    }

    /// Tells whether upsmon would have halted this machine.
    pub fn has_halted(&self) -> bool {
        self.bed.path("halted").exists()
    }
}

fn says(bed: &Bed, status: &str) {
    let file = bed.write("nut/ups.new", format!("ups.status: {status}\nbattery.charge: 50\n"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("open a file");
    std::fs::rename(file, bed.path("nut/ups.dev")).expect("replace a file");
}

/// Puts the shipped files where they say that they are, and the orderly programs beside them.
fn install(bed: &Bed, dip: u32) {
    let recorder = bed.script("nut/halt", &format!("echo halt >{}/halted", bed.root().display()));
    let killpower = bed.path("killpower");
    let (recorder, killpower) = (recorder.display().to_string(), killpower.display().to_string());
    let soon = [("/sbin/shutdown -h +0", recorder.as_str()), ("/etc/killpower", &killpower)];
    let soon = soon.into_iter().chain([
        ("POLLFREQ 5", "POLLFREQ 1"),
        ("POLLFREQALERT 5", "POLLFREQALERT 1"),
        ("FINALDELAY 130", "FINALDELAY 1"),
    ]);
    let upsmon = changed("upsmon.conf", soon);
    assert!(!upsmon.contains("shutdown -h"), "it would halt this machine: {upsmon}");
    bed.write("nut/upsmon.conf", upsmon);
    bed.write(
        "nut/upssched.conf",
        changed("upssched.conf", [("onbatt 15", format!("onbatt {dip}").as_str())]),
    );
    bed.write(
        "nut/ups.conf",
        "[ups]\ndriver = dummy-ups\nport = ups.dev\nmode = dummy-loop\npollinterval = 1\n",
    );
    bed.write("nut/upsd.conf", "LISTEN 127.0.0.1 3493\n");
    bed.write("nut/upsd.users", "[upsmon]\npassword = secret\nupsmon primary\n");
    says(bed, "OL");
    let environment: String =
        environment(bed).iter().map(|(name, value)| format!("export {name}='{value}'\n")).collect();
    let program = bed.path("bin/cshutdown");
    let lines = format!(
        "{environment}echo \"$SUDO_USER: $*\" >>\"$ORDERLY_BED/asked\"\nexec {} \"$@\"",
        program.display()
    );
    bed.script("sbin/cshutdown", &lines);
    let hook = bed.write("sbin/upssched-cshutdown", changed("upssched-cshutdown", []));
    std::fs::set_permissions(hook, std::fs::Permissions::from_mode(0o755)).expect("make a program");
    let sudoers = bed.write("sudoers.d/orderly-nut", changed("sudoers", []));
    std::fs::set_permissions(sudoers, std::fs::Permissions::from_mode(0o440)).expect("close a file");
    // The user of upsmon has to get there.
    std::fs::set_permissions(bed.root(), std::fs::Permissions::from_mode(0o711)).expect("open the bed");
}

/// Returns a shipped file with other words, each of which has to stand in it; and the programs are not in /usr/sbin of the
/// machine that runs the tests.
fn changed<'w>(name: &str, changes: impl IntoIterator<Item = (&'w str, &'w str)>) -> String {
    let path = binaries::workspace().join("examples/nut").join(name);
    let mut text =
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for (old, new) in changes {
        assert!(text.contains(old), "{old}\nis not in\n{text}");
        text = text.replace(old, new);
    }
    text.replace("/usr/sbin/c", "/usr/local/sbin/c")
}

fn environment(bed: &Bed) -> Vec<(&'static str, String)> {
    let at = |name: &str| bed.path(name).display().to_string();
    vec![
        ("PATH", format!("{}:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", at("fakes"))),
        ("ORDERLY_BED", bed.root().display().to_string()),
        ("ORDERLY_STATE_DIR", at("state")),
        ("ORDERLY_CONFIG_DIR", at("etc")),
        ("LC_ALL", "C".to_owned()),
        ("TZ", "UTC".to_owned()),
    ]
}
