//! What a source's answer says of itself: its file's name, its dates, when to come back.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use reqwest::header::{HeaderMap, HeaderName};

/// A header as text: UTF-8 or, as old servers write it, Windows-1252.
pub(super) fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let bytes = headers.get(name)?.as_bytes();
    Some(match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => WINDOWS_1252.decode(bytes).0.into_owned(),
    })
}

/// An HTTP date (RFC 9110 §5.6.7); `None` when it is none.
pub(super) fn date(words: &str) -> Option<Timestamp> {
    // A wrong weekday does not make the instant wrong.
    rfc2822::DateTimeParser::new().relaxed_weekday(true).parse_timestamp(words.trim()).ok()
}

/// An instant as an HTTP date.
pub(super) fn http_date(at: Timestamp) -> Option<String> {
    rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok()
}

/// When to try again, from `Retry-After` in seconds or as a date (RFC 9110 §10.2.3).
pub(super) fn retry_at(words: &str, now: Timestamp) -> Option<Timestamp> {
    match words.trim().parse::<u32>() {
        Ok(seconds) => now.checked_add(SignedDuration::from_secs(i64::from(seconds))).ok(),
        Err(_) => date(words),
    }
}

/// The file's name: `Content-Disposition` (RFC 6266) first, else the end of the address.
pub(super) fn file_name(disposition: Option<&str>, paths: &[&str]) -> String {
    disposition
        .and_then(disposition_name)
        .or_else(|| {
            paths.iter().find_map(|path| {
                clean(&percent_decode(path.rsplit('/').next().unwrap_or_default(), UTF_8))
            })
        })
        .unwrap_or_else(|| "source".into())
}

/// `filename*` (RFC 8187) before `filename`.
fn disposition_name(header: &str) -> Option<String> {
    let mut plain = None;
    for (name, value) in parameters(header) {
        match name.to_ascii_lowercase().as_str() {
            "filename*" => {
                let mut parts = value.splitn(3, '\'');
                let charset = parts.next().and_then(|c| Encoding::for_label(c.as_bytes()));
                let decoded = parts.nth(1).map(|v| percent_decode(v, charset.unwrap_or(UTF_8)));
                if let Some(name) = decoded.as_deref().and_then(clean) {
                    return Some(name);
                }
            }
            "filename" => plain = clean(&value),
            _ => {}
        }
    }
    plain
}

/// The `name=value` parts of a header, quotes and escapes undone.
fn parameters(header: &str) -> Vec<(String, String)> {
    let mut parts = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for c in header.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => {
                escaped = true;
                continue;
            }
            '"' => {
                quoted = !quoted;
                continue;
            }
            ';' if !quoted => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
        .iter()
        .filter_map(|p| p.split_once('='))
        .map(|(n, v)| (n.trim().to_owned(), v.trim().to_owned()))
        .collect()
}

fn percent_decode(text: &str, encoding: &'static Encoding) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|h| std::str::from_utf8(h).ok());
        let byte = hex.filter(|_| first == b'%').and_then(|h| u8::from_str_radix(h, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    encoding.decode(&bytes).0.into_owned()
}

/// A file name that can name nothing but a file: no folder, no control character, not too long.
fn clean(name: &str) -> Option<String> {
    let end = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let end: String = end.chars().filter(|c| !c.is_control()).collect();
    let end = end.trim();
    // The end of a long name is kept: it holds the extension.
    let short: String = end.chars().skip(end.chars().count().saturating_sub(150)).collect();
    (!short.is_empty() && short != "." && short != "..").then_some(short)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_comes_from_the_disposition_or_the_address() {
        let d = |header| file_name(Some(header), &["/x/y.bin"]);
        assert_eq!(d("attachment; filename=\"communes 2025.csv\""), "communes 2025.csv");
        assert_eq!(d("attachment; filename=a.csv; size=3"), "a.csv");
        assert_eq!(d("attachment; filename=\"a\\\"b;c.csv\""), "a\"b;c.csv");
        assert_eq!(d("attachment; filename=e.csv; filename*=UTF-8''%C3%A9t%C3%A9.csv"), "été.csv");
        assert_eq!(d("attachment; filename*=iso-8859-1'fr'%E9.csv"), "é.csv");
        assert_eq!(d("attachment; filename=\"../../etc/passwd\""), "passwd");
        assert_eq!(d("attachment; filename=\"C:\\\\temp\\\\x.zip\""), "x.zip");
        assert_eq!(d("attachment; filename=\"..\""), "y.bin");
        assert_eq!(d("inline"), "y.bin");
        assert_eq!(file_name(None, &["/r/", "/a/comm%C3%BBnes%20x.geojson"]), "commûnes x.geojson");
        assert_eq!(file_name(None, &["/a/%2e%2e"]), "source");
        assert_eq!(file_name(None, &["/a/x%2"]), "x%2");
    }

    #[test]
    fn dates_go_both_ways() {
        let at: Timestamp = "2015-10-21T07:28:00Z".parse().unwrap();
        assert_eq!(date("Wed, 21 Oct 2015 07:28:00 GMT"), Some(at));
        assert_eq!(http_date(at).as_deref(), Some("Wed, 21 Oct 2015 07:28:00 GMT"));
        assert_eq!(date("yesterday"), None);
        assert_eq!(retry_at("120", at).unwrap().to_string(), "2015-10-21T07:30:00Z");
        assert_eq!(retry_at("Wed, 21 Oct 2015 07:28:00 GMT", at), Some(at));
        assert_eq!(retry_at("-5", at), None);
    }

    proptest! {
        #[test]
        fn hostile_headers_never_panic(header in any::<String>(), path in any::<String>()) {
            let name = file_name(Some(&header), &[&path]);
            prop_assert!(!name.is_empty() && !name.contains(['/', '\\', '\0', '\n']));
            let _ = (date(&header), retry_at(&header, Timestamp::UNIX_EPOCH));
        }
    }
}
