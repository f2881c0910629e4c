//! What makes a machine itself, and is therefore never restored onto another one unless named.

use orderly_host::exclude::Excludes;

/// Two hosts with one hostid cannot tell who holds a pool; two with one machine-id get one DHCP
/// lease; host keys and names belong to the machine, and so do the names of its network cards.
const IDENTITY: &[&str] = &[
    "/etc/hostid",
    "/etc/hostname",
    "/etc/nodename",
    "/etc/machine-id",
    "/var/lib/dbus/machine-id",
    "/etc/ssh/ssh_host_*",
    "/etc/udev/rules.d/*-persistent-net.rules",
    "/etc/systemd/network/*.link",
];

/// Returns the paths of a machine's identity as patterns.
pub fn patterns() -> Excludes {
    Excludes::new(IDENTITY)
}

#[cfg(test)]
mod tests {
    use super::patterns;

    #[test]
    fn host_keys_are_identity_and_their_configuration_is_not() {
        let has = |path: &str| patterns().leave_out(path.as_bytes(), || false);
        assert!(has("/etc/ssh/ssh_host_ed25519_key.pub"));
        assert!(has("/etc/machine-id"));
        assert!(!has("/etc/ssh/sshd_config"));
        assert!(!has("/srv/etc/machine-id"));
    }
}
