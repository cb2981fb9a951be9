//! Dates and instants as filters write them.

use jiff::{Timestamp, civil::Date, civil::DateTime, tz::TimeZone};

/// `YYYY-MM-DD`.
pub(super) fn date(text: &str) -> Option<Date> {
    let plain = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    text.parse().ok().filter(|_| plain)
}

/// An RFC 3339 instant, down to microseconds; without an offset it is UTC.
pub(super) fn timestamp(text: &str) -> Option<Timestamp> {
    let (day, time) = text.split_once(['T', 't', ' '])?;
    date(day)?;
    let plain = |b: u8| b.is_ascii_digit() || matches!(b, b':' | b'.' | b'+' | b'-' | b'Z' | b'z');
    if !time.bytes().all(plain) {
        return None;
    }
    let instant = match time.contains(['Z', 'z', '+', '-']) {
        true => text.parse::<Timestamp>().ok()?,
        false => {
            let civil: DateTime = text.parse().ok()?;
            TimeZone::UTC.to_timestamp(civil).ok()?
        }
    };
    (instant.as_nanosecond() % 1_000 == 0).then_some(instant)
}
