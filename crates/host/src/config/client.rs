//! Clients of an export by value: `2001:DB8:0::/32`, `[2001:db8::]/32` and `2001:db8::/32` are one.
//!
//! Seen with exportfs of nfs-utils 2.6.2: an IPv6 client is taken in brackets only, its network within them
//! (`[2001:db8::/32]:/srv`), and is listed without; a network is unexported only as it was written.

use std::net::IpAddr;

/// Returns a client as it is compared: an address, or a network with its prefix length, in its usual form.
/// Names, wildcards and netgroups stay as they are.
pub(crate) fn plain_client(text: &str) -> String {
    let bare = text.replace(['[', ']'], "");
    let Some((ip, length)) = bare.split_once('/') else {
        return match bare.parse::<IpAddr>() {
            Ok(ip) => ip.to_string(),
            Err(_) if is_zoned(&bare) => bare,
            Err(_) => text.to_owned(),
        };
    };
    let Ok(ip) = ip.parse::<IpAddr>() else { return text.to_owned() };
    match prefix(ip, length) {
        Some(length) => format!("{}/{length}", masked(ip, length)),
        None => text.to_owned(),
    }
}

/// Tells whether a client can be given to exportfs: what has a colon must be an address of IPv6.
pub(super) fn is_client(text: &str) -> bool {
    let plain = plain_client(text);
    let is_ip = |ip: &str| ip.parse::<IpAddr>().is_ok();
    !plain.contains(':')
        || is_zoned(&plain)
        || match plain.split_once('/') {
            Some((ip, length)) => ip.parse().is_ok_and(|ip| prefix(ip, length).is_some()),
            None => is_ip(&plain),
        }
}

/// Tells whether two clients are one.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    plain_client(one) == plain_client(other)
}

/// An address that holds on one link only: `fe80::1%eth0`.
fn is_zoned(text: &str) -> bool {
    text.split_once('%')
        .is_some_and(|(ip, zone)| ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()) && !zone.is_empty())
}

/// Reads a prefix length, or the mask of an IPv4 network.
fn prefix(ip: IpAddr, text: &str) -> Option<u32> {
    let whole = if ip.is_ipv4() { 32 } else { 128 };
    if let Ok(length) = text.parse::<u32>() {
        return (length <= whole).then_some(length);
    }
    let IpAddr::V4(mask) = text.parse().ok()? else { return None };
    let bits = mask.to_bits();
    (ip.is_ipv4() && bits.leading_ones() == bits.count_ones()).then(|| bits.leading_ones())
}

fn masked(ip: IpAddr, length: u32) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => IpAddr::V4((ip.to_bits() & u32::MAX.checked_shl(32 - length).unwrap_or(0)).into()),
        IpAddr::V6(ip) => {
            IpAddr::V6((ip.to_bits() & u128::MAX.checked_shl(128 - length).unwrap_or(0)).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_known_however_it_is_written() {
        for (plain, written) in [
            (
                "2001:db8::/32",
                &["2001:DB8:0::/32", "[2001:db8::]/32", "[2001:db8::/32]", "2001:db8:0:0::9/32"][..],
            ),
            ("2001:db8::1", &["[2001:db8::1]", "2001:0DB8:0:0:0:0:0:1"]),
            ("::/0", &["[::]/0", "0::1/0"]),
            ("192.0.2.0/24", &["192.0.2.0/255.255.255.0", "192.0.2.7/24"]),
            ("fe80::1%eth0", &["[fe80::1%eth0]"]),
            ("ec9", &["ec9"]),
            ("*.example.org", &["*.example.org"]),
            ("[a-c]1", &["[a-c]1"]),
            ("@trusted", &["@trusted"]),
        ] {
            for text in written {
                assert_eq!(plain_client(text), plain, "{text}");
                assert!(is_same(text, plain), "{text}");
            }
        }
        assert!(!is_same("2001:db8::/32", "2001:db8::/48") && !is_same("2001:db8::1", "2001:db8::2"));
    }

    #[test]
    fn what_has_a_colon_and_is_no_address_is_no_client() {
        for text in ["2001:db8::1", "[2001:db8::1]", "2001:db8::/32", "fe80::1%lo", "*", "ec9", "@group"] {
            assert!(is_client(text), "{text}");
        }
        for text in ["ec9:rw", "2001:db8::/129", "2001:db8::x", "[ec9]:", "fe80::1%"] {
            assert!(!is_client(text), "{text}");
        }
    }
}
