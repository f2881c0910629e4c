//! What became of a transfer: the line that curl printed of it, and what the BMC answered.
//!
//! The kind of a failure follows from numbers alone, curl's exit code and the status of HTTP; words are for people.

use super::request::MARK;
use orderly_exec::clock;
use orderly_plan::drivers::FailureKind;
use serde_json::Value;
use std::time::Duration;

/// What curl printed of a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transfer {
    /// Its number in this run.
    pub(super) number: u64,
    exit_code: u32,
    http_code: u32,
    said: String,
}

/// Why a BMC was not heard, or said no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) kind: FailureKind,
    /// What people read.
    pub(super) words: String,
    /// How long it wants to be left alone.
    pub(super) wait: Option<Duration>,
    /// It was asked for something that is not there.
    pub(super) is_missing: bool,
    /// It answered, in a form that nobody understands.
    pub(super) is_strange: bool,
}

impl Refusal {
    pub(super) fn new(kind: FailureKind, words: impl Into<String>) -> Self {
        Self { kind, words: words.into(), wait: None, is_missing: false, is_strange: false }
    }

    /// Returns that of an answer in a form that nobody understands.
    pub(super) fn strange(words: impl Into<String>) -> Self {
        Self { is_strange: true, ..Self::new(FailureKind::Failed, words) }
    }
}

/// Returns the transfers of which curl has said how they ended, in whole lines.
pub(super) fn transfers(text: &str) -> Vec<Transfer> {
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole.filter_map(|line| transfer(line.trim_end())).collect()
}

fn transfer(line: &str) -> Option<Transfer> {
    let mut words = line.splitn(6, ' ');
    if words.next()? != MARK {
        return None;
    }
    let number = words.next()?.parse().ok()?;
    words.next()?.parse::<u32>().ok()?;
    let exit_code = words.next()?.parse().ok()?;
    let http_code = words.next()?.parse().ok()?;
    Some(Transfer { number, exit_code, http_code, said: words.next().unwrap_or_default().to_owned() })
}

/// Returns what a BMC answered.
///
/// # Errors
/// Why there is no answer.
pub(super) fn judge(transfer: &Transfer, body: &str, headers: &str) -> Result<Value, Refusal> {
    if transfer.exit_code != 0 {
        return Err(not_heard(transfer));
    }
    let json: Value = serde_json::from_str(body).unwrap_or_default();
    if (200..300).contains(&transfer.http_code) {
        return Ok(json);
    }
    let code = transfer.http_code;
    let said = message(&json).map(|said| format!(": {said}")).unwrap_or_default();
    let said = format!("HTTP {code}{said}");
    let of = |kind, words: &str| Refusal::new(kind, format!("{words}: {said}"));
    Err(match code {
        401 => of(FailureKind::Authentication, "the BMC does not accept the user or password"),
        403 => of(FailureKind::Authentication, "the user may not do that on the BMC"),
        404 => Refusal { is_missing: true, ..of(FailureKind::Misconfigured, "the BMC has no such system") },
        429 | 503 => {
            let wait = retry_after(headers);
            let asks = wait.map(|wait| format!(" and asks to wait {} s", wait.as_secs())).unwrap_or_default();
            Refusal { wait, ..of(FailureKind::Busy, &format!("the BMC is busy{asks}")) }
        }
        300..=399 => {
            of(FailureKind::Misconfigured, "the BMC leads elsewhere, and the password does not follow")
        }
        _ => of(FailureKind::Failed, "the BMC refused"),
    })
}

/// Returns why a BMC was not heard, by curl's exit code (EXIT CODES in curl(1)).
fn not_heard(transfer: &Transfer) -> Refusal {
    let said = &transfer.said;
    let (kind, words) = match transfer.exit_code {
        6 => (FailureKind::Unreachable, "the name of the BMC is not found"),
        // A refusal and no way there are one to curl.
        7 => (FailureKind::Unreachable, "no connection with the BMC"),
        28 => (FailureKind::TimedOut, "the BMC does not answer"),
        35 => (FailureKind::Failed, "no TLS connection with the BMC"),
        51 | 60 | 90 | 91 => (FailureKind::Misconfigured, "the certificate of the BMC does not verify"),
        77 => (FailureKind::Misconfigured, "the certificates of power.ca_file cannot be read"),
        52 | 55 | 56 | 18 => (FailureKind::Failed, "the connection to the BMC was lost"),
        63 => (FailureKind::Failed, "the answer of the BMC is too large"),
        _ => (FailureKind::Failed, "curl failed"),
    };
    Refusal::new(kind, format!("{words}: {said} (curl {})", transfer.exit_code))
}

/// Returns what a BMC says in words of an error.
fn message(json: &Value) -> Option<String> {
    let error = json.get("error")?;
    let of_info = |info: &Value| info.get("Message").and_then(Value::as_str).map(str::to_owned);
    let infos = error.get("@Message.ExtendedInfo").and_then(Value::as_array);
    let messages: Vec<String> = infos.into_iter().flatten().filter_map(of_info).collect();
    if messages.is_empty() {
        return error.get("message").and_then(Value::as_str).map(str::to_owned);
    }
    Some(messages.join(" / "))
}

/// Returns how long a BMC wants to be left alone: for so many seconds, or until a date. That is by its own clock where
/// it says what it shows: those of BMCs are often wrong.
fn retry_after(headers: &str) -> Option<Duration> {
    let header = |wanted: &str| {
        let of_line = |line: &'_ str| -> Option<String> {
            let (name, value) = line.split_once(':')?;
            name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned())
        };
        headers.lines().find_map(of_line)
    };
    let value = header("Retry-After")?;
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = clock::of_http(&value)?;
    let now = header("Date").and_then(|date| clock::of_http(&date)).unwrap_or_else(clock::second);
    u64::try_from(until.saturating_sub(now)).ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(exit: u32, http: u32, said: &str, body: &str, headers: &str) -> Refusal {
        let line = format!("\n{MARK} 7 0 {exit} {http:03} {said}\n");
        let [transfer] = transfers(&line).try_into().unwrap();
        assert_eq!(transfer.number, 7);
        judge(&transfer, body, headers).unwrap_err()
    }

    #[test]
    fn failures_are_told_apart_by_numbers() {
        let body = r#"{"error": {"code": "x", "message": "general", "@Message.ExtendedInfo": [{"Message": "wrong key"}]}}"#;
        for (exit, http, said, kind, words) in [
            (
                0,
                401,
                "",
                FailureKind::Authentication,
                "does not accept the user or password: HTTP 401: wrong key",
            ),
            (0, 403, "", FailureKind::Authentication, "may not do that"),
            (0, 404, "", FailureKind::Misconfigured, "no such system"),
            (0, 429, "", FailureKind::Busy, "is busy"),
            (0, 503, "", FailureKind::Busy, "is busy"),
            (0, 301, "", FailureKind::Misconfigured, "leads elsewhere"),
            (0, 500, "", FailureKind::Failed, "refused"),
            (6, 0, "Could not resolve host: b1", FailureKind::Unreachable, "not found"),
            (7, 0, "Failed to connect: No route to host", FailureKind::Unreachable, "no connection"),
            (28, 0, "Operation timed out", FailureKind::TimedOut, "does not answer"),
            (
                60,
                0,
                "SSL certificate problem",
                FailureKind::Misconfigured,
                "certificate of the BMC does not verify",
            ),
            (56, 0, "reset", FailureKind::Failed, "was lost"),
        ] {
            let refusal = refusal(exit, http, said, body, "");
            assert_eq!(refusal.kind, kind, "{exit} {http}");
            assert!(refusal.words.contains(words) && refusal.words.contains(said), "{}", refusal.words);
        }
    }

    #[test]
    fn how_long_a_busy_one_wants_to_be_left_alone_is_in_its_headers() {
        let wait = |headers: &str| refusal(0, 503, "", "", headers).wait;
        assert_eq!(wait("HTTP/1.1 503 Busy\r\nretry-after: 30\r\n\r\n"), Some(Duration::from_secs(30)));
        for headers in ["", "Retry-After: soon\r\n", "X-Retry-After: 5\r\n", "Retry-After: -1\r\n"] {
            assert_eq!(wait(headers), None, "{headers}");
        }
    }

    #[test]
    fn a_date_until_which_it_wants_to_be_left_alone_is_by_its_own_clock() {
        let wait = |headers: &str| refusal(0, 503, "", "", headers).wait;
        let until = "Retry-After: Wed, 21 Oct 2015 07:28:30 GMT\r\n";
        let at =
            |time: &str| format!("HTTP/1.1 503 Busy\r\nDate: Wed, 21 Oct 2015 {time} GMT\r\n{until}\r\n");
        assert_eq!(wait(&at("07:28:00")), Some(Duration::from_secs(30)));
        assert_eq!(wait(&at("07:28:31")), None, "that is over");
        assert_eq!(wait(until), None, "by the clock here it is over as well");
        let later = wait("Retry-After: Thu, 21 Oct 2100 07:28:30 GMT\r\n").unwrap();
        assert!(later > Duration::from_secs(3600), "by the clock here it is far ahead");
        assert_eq!(wait("Date: soon\r\nRetry-After: Wed, 21 Oct 2015\r\n"), None);
    }

    #[test]
    fn half_a_line_and_anybody_elses_words_are_no_transfer() {
        for text in
            ["transfer 1 0 0 200", "transfer 1 0 0 x \n", "other 1 0 0 200 \n", "transfer a 0 0 200 \n", "\n"]
        {
            assert_eq!(transfers(text), [], "{text}");
        }
        assert_eq!(transfers("x\ntransfer 1 0 0 200 \ntransfer 2 1 28 000 Operation timed out\n").len(), 2);
    }
}
