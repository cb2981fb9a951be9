//! Finished files and ranges of them (RFC 9110 §14): a download that broke off goes on where it
//! stopped, as long as the file is the same.

use super::{Answer, exports::attachment, problem::Failure, visit::Visit};
use crate::{error::Error, exports::Ready, text};
use axum::{
    body::Body,
    http::{HeaderValue, Method, StatusCode, header},
};
use std::ops::Range;

/// A finished file, or the range of it that was asked for.
pub async fn file(visit: &Visit, method: &Method, ready: &Ready) -> Answer {
    let etag = format!("\"{}\"", ready.id);
    // A range of another file than the one begun is of no use: then all of this one.
    let same = visit.header(header::IF_RANGE).is_none_or(|tag| tag == etag);
    let asked = visit.header(header::RANGE).filter(|_| same && *method == Method::GET);
    let range = match asked.and_then(|asked| parse(asked, ready.bytes)) {
        None => None,
        Some(Some(range)) => Some(range),
        Some(None) => return Err(Failure::Range(ready.bytes)),
    };
    let body = if *method == Method::HEAD {
        Body::empty()
    } else {
        let reader = visit.site.app.exports.read(&ready.id, range.clone()).await?;
        let reader = reader.ok_or_else(|| {
            Error::Unavailable(text!(
                "Le fichier vient d'être retiré : demandez l'export de nouveau.",
                "The file has just been removed: ask for the export again."
            ))
        })?;
        Body::from_stream(reader.pieces)
    };
    let mut response = attachment(body, &ready.media, &ready.name);
    let length = range.as_ref().map_or(ready.bytes, |r| r.end - r.start);
    if let Some(Range { start, end }) = range {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let words = format!("bytes {start}-{}/{}", end - 1, ready.bytes);
        if let Ok(value) = HeaderValue::from_str(&words) {
            response.headers_mut().insert(header::CONTENT_RANGE, value);
        }
    }
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    Ok(response)
}

/// Reads `Range: bytes=…` with one range. The outer option tells whether it is one that is
/// answered (others are as if not given), the inner one whether the file has such bytes.
fn parse(header: &str, size: u64) -> Option<Option<Range<u64>>> {
    let spec = header.strip_prefix("bytes=")?;
    let (first, last) = spec.trim().split_once('-')?;
    let number = |text: &str| -> Option<u64> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let range = match (first, last) {
        ("", suffix) => size.saturating_sub(number(suffix)?)..size,
        (first, "") => number(first)?..size,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(size)
        }
    };
    Some(Some(range).filter(|r| r.start < r.end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_read_and_anything_else_is_all() {
        assert_eq!(parse("bytes=0-9", 100), Some(Some(0..10)));
        assert_eq!(parse("bytes=90-", 100), Some(Some(90..100)));
        assert_eq!(parse("bytes=-10", 100), Some(Some(90..100)));
        assert_eq!(parse("bytes=-1000", 100), Some(Some(0..100)));
        assert_eq!(parse("bytes=50-1000", 100), Some(Some(50..100)));
        assert_eq!(parse("bytes=99999999999999999999-", 100), Some(None));
        assert_eq!(parse("bytes=100-", 100), Some(None));
        assert_eq!(parse("bytes=-0", 100), Some(None));
        for all in ["bytes=9-0", "bytes=0-1,5-6", "lines=0-1", "bytes=a-b", "bytes=+1-2", "bytes=-"]
        {
            assert_eq!(parse(all, 100), None, "{all}");
        }
    }
}
