//! `--preflight` where the peer is asked through a real ssh: a login to an sshd on the other host, which reads the
//! configuration of its own, and whose clock may be off.

use crate::pair::Pair;
use crate::preflight::{peer_config, quiet, ready, well};
use bed::loopfs::Disk;
use bed::{Bed, Need, Running, real, sshd};

/// What a login to the holder runs: what was asked for, by a clock that is off where the file `clock` says so.
const LOGIN: &str = r#"[ ! -e "$ORDERLY_BED/clock" ] || exec FAKETIME -f -90m /bin/sh -c "$SSH_ORIGINAL_COMMAND"
exec /bin/sh -c "$SSH_ORIGINAL_COMMAND""#;

fn program(name: &str) -> String {
    real::find(name).unwrap_or_else(|| panic!("no program {name} on this machine")).display().to_string()
}

/// Joins both hosts by a wire, and starts an sshd on the holder; a client of the bed's own has the one key.
fn let_in(pair: &Pair<'_>) -> Running {
    let bed = pair.bed;
    let (one, two) = (pair.first_process(1), pair.first_process(2));
    bed.shell(&format!("ip link add wire netns {one} type veth peer name wire netns {two}")).run();
    for host in [1, 2] {
        pair.shell(host, &format!("ip link set wire up && ip address add 198.51.100.{host}/24 dev wire"))
            .run();
    }
    for key in ["host_key", "user_key"] {
        let keygen = bed.external(program("ssh-keygen"));
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", key, "-f"]).arg(bed.path(key)).run();
    }
    bed.write("authorized_keys", bed.read("user_key.pub"));
    bed.write("known_hosts", format!("holder {}", bed.read("host_key.pub")));
    let login = bed.script("login", &LOGIN.replace("FAKETIME", &program("faketime")));
    let at = |name: &str| bed.path(name).display().to_string();
    bed.write(
        "sshd_config",
        format!(
            "ListenAddress 198.51.100.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nForceCommand {}\n\
             SetEnv PATH={}:{} ORDERLY_BED={}\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nUseDNS no\nPrintMotd no\n",
            at("host_key"),
            at("authorized_keys"),
            login.display(),
            at("bin"),
            at("tools"),
            bed.root().display()
        ),
    );
    bed.write(
        "ssh_config",
        format!(
            "Host ec1\n HostName 198.51.100.1\n User root\n IdentityFile {}\n IdentitiesOnly yes\n HostKeyAlias holder\n \
             UserKnownHostsFile {}\n GlobalKnownHostsFile /dev/null\n StrictHostKeyChecking yes\n",
            at("user_key"),
            at("known_hosts")
        ),
    );
    bed.script("fakes/ssh", &format!("exec {} -F {} \"$@\"", program("ssh"), at("ssh_config")));
    // It separates its privileges in a directory of its own.
    let line = format!("/bin/mkdir -p /run/sshd && exec {} -D -e -f {}", program("sshd"), at("sshd_config"));
    let sshd = pair.shell(1, &line).any_status().any_stderr().spawn();
    sshd.wait_for_stderr("Server listening");
    sshd
}

/// Each of the clocks, the login and the configuration is the other host's own.
#[test]
fn the_peer_is_asked_through_a_real_login_for_its_own_configuration_and_clock() {
    if !ready() || !real::require(&sshd::NEEDS) || !real::require(&[Need::Program("faketime")]) {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = well(&bed, &disk);
    let _sshd = let_in(&pair);
    // What it is elsewhere is told by the words of the command.
    let elsewhere = format!(
        "\"ssh\", \"-o\", \"BatchMode=yes\", \"ec1\", \"env\", \"ORDERLY_CONFIG_DIR={}\"",
        bed.path("etc.ec1").display()
    );
    let text = bed.read("etc/ha.toml").replace("\"on\", \"ec1\"", &elsewhere);
    bed.config("ha.toml", &text);
    peer_config(&bed, 1, &text);
    let ended = quiet(&pair, 2);
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
    let said = pair.takeover(2).arg("--preflight").any_stdout().any_stderr().run().stdout;
    assert!(said.contains("clock: alike on ec1") && said.contains("configuration: alike on ec1"), "{said}");

    peer_config(&bed, 1, &text.replacen("timeout = \"20s\"", "timeout = \"21s\"", 1));
    let ended = quiet(&pair, 2);
    assert!(ended.stderr.contains("asset.timeout is 20s here and 21s on ec1"), "{}", ended.stderr);
    peer_config(&bed, 1, &text);

    bed.write("clock", "");
    let ended = quiet(&pair, 2);
    assert_eq!(ended.stderr.matches("gap: ").count(), 1, "{}", ended.stderr);
    // The time that the login took is not counted, so the minutes may be fewer.
    let (start, end) = ("gap: clock: the clock of ec1 is 1h", "m behind this host's; set both by NTP");
    assert!(
        ended.status == 1 && ended.stderr.contains(start) && ended.stderr.contains(end),
        "{}",
        ended.stderr
    );
    std::fs::remove_file(bed.path("clock")).unwrap();

    bed.write("authorized_keys", "");
    let ended = quiet(&pair, 2);
    let refused =
        "Permission denied (publickey).; make it work for root without a password, or correct peer_command";
    assert!(ended.status == 1 && ended.stderr.contains(refused), "{}", ended.stderr);
    bed.write("authorized_keys", bed.read("user_key.pub"));
    assert_eq!(quiet(&pair, 2).status, 0);
}
