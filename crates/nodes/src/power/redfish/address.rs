//! Where a BMC is: `host`, `host:port`, an IPv6 address, or a URL; and which system behind it is meant.

/// The port of HTTPS.
const PORT: &str = "443";

/// Where Redfish has its systems.
pub(super) const SYSTEMS: &str = "/redfish/v1/Systems";

/// Where a BMC is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address<'a> {
    /// The name or address, without brackets.
    pub(super) host: &'a str,
    port: Option<&'a str>,
    /// What stands before `/redfish`, where a proxy serves several.
    prefix: &'a str,
}

impl<'a> Address<'a> {
    /// Reads what the inventory says.
    ///
    /// # Errors
    /// A clause that says what is wrong and what to write instead.
    pub(super) fn parse(written: &'a str) -> Result<Self, String> {
        let what = "write the host of a BMC, host:port, or a URL that begins with https://";
        if written.contains("://") && !written.starts_with("https://") {
            return Err("a BMC is asked over HTTPS alone; write https://".to_owned());
        }
        let is_plain = |c: char| c.is_ascii_graphic() && !"\"\\@?#{}<>`'|^".contains(c);
        if !written.chars().all(is_plain) {
            return Err(format!("\"{written}\" cannot be the address of a BMC; {what}"));
        }
        let rest = written.strip_prefix("https://").unwrap_or(written);
        let (authority, prefix) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (host, port) = split_port(authority).unwrap_or(("", None));
        let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
        if host.is_empty()
            || host.starts_with('-')
            || host.contains(['[', ']', ','])
            || !port.is_none_or(is_port)
        {
            return Err(format!("\"{written}\" cannot be the address of a BMC; {what}"));
        }
        Ok(Self { host, port, prefix: prefix.trim_end_matches('/') })
    }

    /// Returns the URL of a path on it.
    pub(super) fn url(&self, path: &str) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host.replace('%', "%25"))
        } else {
            self.host.to_owned()
        };
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("https://{host}{port}{}{path}", self.prefix)
    }

    /// Returns what tells one service of several on a host.
    pub(super) fn service(&self) -> String {
        format!("{}{}", self.port.unwrap_or(PORT), self.prefix)
    }
}

/// Parts the port from a host; an IPv6 address with one is in brackets.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return if rest.is_empty() {
            Some((host, None))
        } else {
            Some((host, Some(rest.strip_prefix(':')?)))
        };
    }
    match authority.split_once(':') {
        Some((_, rest)) if rest.contains(':') => Some((authority, None)),
        Some((host, port)) => Some((host, Some(port))),
        None => Some((authority, None)),
    }
}

/// Returns the path of a system that is named by its id or by its path.
///
/// # Errors
/// A clause that says what is wrong.
pub(super) fn system_path(named: &str) -> Result<String, String> {
    let path = if named.starts_with('/') { named.to_owned() } else { format!("{SYSTEMS}/{named}") };
    let is_id = named.starts_with('/') || !named.contains('/');
    if named.is_empty() || !is_id || !is_path(&path) {
        return Err(format!("\"{named}\" cannot be a system; write its id as in {SYSTEMS}/ID, or its path"));
    }
    Ok(path.trim_end_matches('/').to_owned())
}

/// Tells whether a text is a path and no more than that: it becomes part of a URL to which the password is sent.
pub(super) fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.chars().all(|c| c.is_ascii_graphic() && !"\"\\?#{}<>`'|^".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bmc_is_named_by_host_port_or_url() {
        for (written, url, host) in [
            ("10.1.0.1", "https://10.1.0.1/r", "10.1.0.1"),
            ("bmc1:8443", "https://bmc1:8443/r", "bmc1"),
            ("https://bmc1/", "https://bmc1/r", "bmc1"),
            ("https://proxy:444/bmc/7", "https://proxy:444/bmc/7/r", "proxy"),
            ("fd00::7", "https://[fd00::7]/r", "fd00::7"),
            ("fe80::7%eth0", "https://[fe80::7%25eth0]/r", "fe80::7%eth0"),
            ("[fd00::7]:8443", "https://[fd00::7]:8443/r", "fd00::7"),
        ] {
            let address = Address::parse(written).unwrap();
            assert_eq!((address.url("/r").as_str(), address.host), (url, host), "{written}");
        }
    }

    #[test]
    fn what_could_lead_a_password_elsewhere_is_no_address() {
        for written in [
            "",
            "http://bmc1",
            "ftp://bmc1",
            "bmc1@evil",
            "https://",
            "bmc 1",
            "bmc1\nurl=x",
            "-K",
            "a,b",
            "bmc1:x",
            "bmc1:0",
            "[::1",
            "bmc1?x",
            "bmc1\"",
            "https://[::1]x",
        ] {
            assert!(Address::parse(written).is_err(), "{written}");
        }
        for named in ["", "a/b", "a b", "1?x", "1\"", "/x\\y", "é"] {
            assert!(system_path(named).is_err(), "{named}");
        }
        assert_eq!(system_path("437XR").unwrap(), "/redfish/v1/Systems/437XR");
        assert_eq!(system_path("/redfish/v1/Systems/1/").unwrap(), "/redfish/v1/Systems/1");
        assert!(!is_path("@evil/x"));
    }
}
