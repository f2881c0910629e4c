//! What curl is asked: its configuration, a section for each transfer. It goes to curl's standard input, because the
//! password is in it.

use super::settings::Settings;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// How many transfers curl carries out at a time; each takes three descriptors, and there are 1024.
const AT_ONCE: usize = 250;

/// The largest answer that is taken: a system says some ten thousand bytes of itself.
const LARGEST: u32 = 4 << 20;

/// For the connection; a BMC that is there takes it within a second.
const CONNECTING: Duration = Duration::from_secs(10);

/// One transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    /// Its number in this run.
    pub(super) number: u64,
    pub(super) url: String,
    /// The ResetType that is sent; none is a question.
    pub(super) reset_type: Option<String>,
}

/// Returns the configuration of one call.
pub(super) fn configuration(
    requests: &[Request],
    settings: &Settings,
    password: &str,
    folder: &Path,
    timeout: Duration,
) -> String {
    let mut text = String::new();
    let at_once = requests.len().clamp(1, AT_ONCE);
    let _ = write!(text, "parallel-immediate\nparallel-max = {at_once}\nno-progress-meter\n");
    // Curl itself gives one up that hangs, before it is ended with all others.
    let limit = timeout.saturating_sub(Duration::from_secs(2)).max(timeout / 2);
    for (at, request) in requests.iter().enumerate() {
        if at > 0 {
            text.push_str("next\n");
        }
        section(&mut text, request, settings, password, folder, limit);
    }
    text
}

fn section(
    text: &mut String,
    request: &Request,
    settings: &Settings,
    password: &str,
    folder: &Path,
    limit: Duration,
) {
    let number = request.number;
    let file = |suffix: &str| quoted(&folder.join(format!("{number}{suffix}")).display().to_string());
    let mut set = |key: &str, value: &str| {
        let _ = writeln!(text, "{key} = {value}");
    };
    set("url", &quoted(&request.url));
    set("user", &quoted(&format!("{}:{password}", settings.user)));
    set("output", &file(BODY));
    set("dump-header", &file(HEADERS));
    // Its standard output would be kept back until the last transfer has ended.
    let told =
        format!(r"%{{stderr}}\n{MARK} {number} %{{urlnum}} %{{exitcode}} %{{http_code}} %{{errormsg}}\n");
    set("write-out", &format!("\"{told}\""));
    set("proto", "\"=https\"");
    // A proxy of the environment would be given the password.
    set("noproxy", "\"*\"");
    set("connect-timeout", &CONNECTING.min(limit).as_secs_f64().to_string());
    set("max-time", &limit.as_secs_f64().to_string());
    set("max-filesize", &LARGEST.to_string());
    set("header", "\"Accept: application/json\"");
    set("header", "\"OData-Version: 4.0\"");
    if let Some(file) = &settings.ca_file {
        set("cacert", &quoted(&file.display().to_string()));
    }
    if let Some(reset_type) = &request.reset_type {
        set("header", "\"Content-Type: application/json\"");
        set("data", &quoted(&format!("{{\"ResetType\": \"{reset_type}\"}}")));
    }
    text.push_str("globoff\nhttp1.1\n");
    if settings.insecure {
        text.push_str("insecure\n");
    }
}

/// Begins each line that curl prints of a transfer.
pub(super) const MARK: &str = "transfer";
/// What the names of the files of a transfer end in.
pub(super) const BODY: &str = ".body";
pub(super) const HEADERS: &str = ".head";

/// Returns a text as curl's configuration files have it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\t' => quoted.push_str("\\t"),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A password with a quote ended there, and what followed it were options of curl.
    #[test]
    fn a_password_of_any_characters_is_one_value() {
        assert_eq!(quoted("a \"b\\c#d\te"), r#""a \"b\\c#d\te""#);
    }
}
