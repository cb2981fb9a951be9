//! `datetime`: an instant or an interval, and the filter it is on a layer that has times. It is
//! read the same way on every road: items, tiles, exports, statistics.

use crate::{
    catalog::Layer,
    error::{Error, Result},
    model::FieldKind,
    query::cql2::{Comparison, Kind, Node, Op},
    text,
};
use jiff::{
    Timestamp, ToSpan,
    civil::{self, Date},
    tz::TimeZone,
};

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// What `datetime` asks for; an end that is open, or beyond what calendars hold (QGIS and GDAL
/// send the years 0000 and 9999), is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    from: Option<Moment>,
    to: Option<Moment>,
}

/// An end: a whole day, or an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Day(Date),
    Instant(Timestamp),
}

impl Span {
    /// Reads `datetime`: an RFC 3339 instant or date, or an interval of them with open ends (`..`
    /// or empty). A bare `T` after a date is accepted: GDAL sends it.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is neither, or ends before it begins.
    pub fn parse(value: &str) -> Result<Self> {
        let bad = || {
            let shown: String = value.chars().take(80).collect();
            Error::Invalid(text!(
                "Paramètre « datetime » : « {shown} » n'est ni un instant RFC 3339, ni une date, ni un intervalle « début/fin » (bornes ouvertes : « .. »).",
                "Parameter \"datetime\": \"{shown}\" is neither an RFC 3339 instant, nor a date, nor an interval \"start/end\" (open ends: \"..\")."
            ))
        };
        let open = |end: &str| end.is_empty() || end == "..";
        let Some((start, stop)) = value.split_once('/') else {
            let moment = end(value).ok_or_else(bad)?.moment;
            return Ok(Self { from: moment, to: moment });
        };
        let read = |text: &str| if open(text) { Some(None) } else { end(text).map(Some) };
        match (read(start).ok_or_else(bad)?, read(stop).ok_or_else(bad)?) {
            (None, None) => Err(bad()),
            (Some(from), Some(to)) if from.first > to.last => Err(bad()),
            (from, to) => {
                Ok(Self { from: from.and_then(|f| f.moment), to: to.and_then(|t| t.moment) })
            }
        }
    }

    /// The filter it is on a layer: features whose time meets it, and those without one
    /// (`/req/core/fc-time-response`); `None` where the layer has no times.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the layer lacks the field that its configuration names.
    pub fn on(&self, layer: &Layer) -> Result<Option<Node>> {
        let Some(time) = &layer.def.time else { return Ok(None) };
        let schema = &layer.at()?.version.schema;
        let field = |name: &str| {
            let kind = schema.index(name).and_then(|i| schema.fields.get(i)).map(|f| f.kind);
            match kind {
                Some(kind @ (FieldKind::Date | FieldKind::DateTime)) => Ok((name.to_owned(), kind)),
                _ => Err(Error::Conflict(text!(
                    "La couche déclare un champ de temps « {name} » qu'elle n'a pas, ou qui n'est pas une date.",
                    "The layer declares a field of times \"{name}\" that it has not, or that is no date."
                ))),
            }
        };
        let start = field(&time.start)?;
        let end = time.end.as_deref().map(field).transpose()?.unwrap_or_else(|| start.clone());
        let mut tests = Vec::new();
        tests.extend(self.from.map(|from| unless_null(&end, from.not_before(end.1))));
        tests.extend(self.to.map(|to| unless_null(&start, to.not_after(start.1))));
        Ok(match tests.len() {
            0 | 1 => tests.pop(),
            _ => Some(Node::new(Kind::Call(Op::And, tests))),
        })
    }
}

impl Moment {
    fn day(self) -> Date {
        match self {
            Self::Day(day) => day,
            Self::Instant(instant) => TimeZone::UTC.to_datetime(instant).date(),
        }
    }

    /// What a field of a kind compares to when its end is not before this.
    fn not_before(self, kind: FieldKind) -> (Comparison, Kind) {
        (
            Comparison::Ge,
            match (kind, self) {
                (FieldKind::Date, _) => Kind::Date(self.day()),
                (_, Self::Instant(instant)) => Kind::Timestamp(instant),
                (_, Self::Day(day)) => Kind::Timestamp(midnight(day)),
            },
        )
    }

    /// What a field of a kind compares to when its start is not after this.
    fn not_after(self, kind: FieldKind) -> (Comparison, Kind) {
        match (kind, self) {
            (FieldKind::Date, _) => (Comparison::Le, Kind::Date(self.day())),
            (_, Self::Instant(instant)) => (Comparison::Le, Kind::Timestamp(instant)),
            // The whole day.
            (_, Self::Day(day)) => {
                let next = day.checked_add(1.day()).unwrap_or(Date::MAX);
                (Comparison::Lt, Kind::Timestamp(midnight(next)))
            }
        }
    }
}

/// The instant at which a day begins, UTC.
fn midnight(day: Date) -> Timestamp {
    TimeZone::UTC.to_timestamp(day.to_datetime(civil::Time::midnight())).unwrap_or(Timestamp::MAX)
}

/// A comparison of a field that a feature without a value passes.
fn unless_null((name, _): &(String, FieldKind), (comparison, value): (Comparison, Kind)) -> Node {
    let field = || Node::new(Kind::Property(name.clone()));
    let null = Node::new(Kind::Call(Op::IsNull, vec![field()]));
    let test = Kind::Call(Op::Compare(comparison), vec![field(), Node::new(value)]);
    Node::new(Kind::Call(Op::Or, vec![null, Node::new(test)]))
}

/// An end as it is written.
struct End {
    /// `None` where calendars stop.
    moment: Option<Moment>,
    /// Where it begins, in microseconds on a proleptic scale.
    first: i64,
    /// Where it is over: a day lasts.
    last: i64,
}

fn end(text: &str) -> Option<End> {
    let text = text.to_ascii_uppercase();
    let (date, time) = text.split_once('T').unwrap_or((&text, ""));
    if date.len() != 10 {
        return None;
    }
    let day: Date = date.parse().ok()?;
    let days = i64::from(day.since((jiff::Unit::Day, civil::date(2000, 1, 1))).ok()?.get_days());
    let edge = day.year() <= 0 || day.year() >= 9999;
    let first = days * DAY;
    if time.is_empty() {
        let moment = (!edge).then_some(Moment::Day(day));
        return Some(End { moment, first, last: first + DAY - 1 });
    }
    let (clock, offset) = match time.strip_suffix('Z') {
        Some(clock) => (clock, 0),
        None => match time.rfind(['+', '-']) {
            Some(at) => {
                let (clock, zone) = time.split_at(at);
                (clock, offset(zone)?)
            }
            None => (time, 0),
        },
    };
    let clock: civil::Time = clock.parse().ok()?;
    let since = clock.duration_since(civil::Time::midnight());
    let first = first + i64::try_from(since.as_micros()).ok()? - offset * 1_000_000;
    if edge {
        return Some(End { moment: None, first, last: first });
    }
    let at = TimeZone::UTC.to_timestamp(day.to_datetime(clock)).ok()?;
    // Filters compare microseconds, which is what the stores keep.
    let at = Timestamp::from_microsecond(at.as_microsecond()).ok()?;
    let at = at.checked_sub(jiff::SignedDuration::from_secs(offset)).ok()?;
    Some(End { moment: Some(Moment::Instant(at)), first, last: first })
}

/// The seconds of an offset: a sign, two digits of hours, two of minutes (RFC 3339, 5.6).
fn offset(zone: &str) -> Option<i64> {
    let [sign, h, hh, b':', m, mm] = zone.as_bytes() else { return None };
    let two = |tens: &u8, ones: &u8, most: u8| {
        let digit = |d: &u8| d.is_ascii_digit().then(|| d - b'0');
        Some(digit(tens)? * 10 + digit(ones)?).filter(|n| *n <= most).map(i64::from)
    };
    let seconds = two(h, hh, 23)? * 3600 + two(m, mm, 59)? * 60;
    Some(if *sign == b'-' { -seconds } else { seconds })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn instants_and_intervals_are_read_or_refused() {
        for good in [
            "2022-04-16",
            "2022-04-16T10:13:19Z",
            "2022-04-16t10:13:19.5+02:00",
            "2022-04-16T10:13:19Z/2022-04-17T10:13:19Z",
            "2022-04-16/..",
            "../2022-04-16",
            "2022-04-16/",
            "2020-01-05T/..",
            "0000-01-01T00:00:00Z/2022-01-01T00:00:00Z",
            "2022-01-01T00:00:00Z/9999-12-31T00:00:00Z",
            // A day ends where the next one begins.
            "2024-03-01T12:00:00Z/2024-03-01",
            "2024-03-01T23:59:59.999999Z/2024-03-01",
            "2024-03-01/2024-03-01T00:00:00Z",
            "2024-03-02T00:30:00+01:00/2024-03-01",
            "2022-04-16T10:13:19-12:00",
            "2022-04-16T10:13:19+23:59",
        ] {
            assert!(Span::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "..",
            "../..",
            "/",
            "hier",
            "2022-13-01",
            "2022-04-16T25:00:00Z",
            "2022/2021",
            "2022-02-02/2022-02-01",
            "2024-03-02T00:00:00Z/2024-03-01",
            "2024-03-02/2024-03-01T23:59:59Z",
            "2024-03-01T12:00:00.5Z/2024-03-01T12:00:00.4Z",
            "2022-01-01T00:00:00+255:99",
            "2022-01-01T00:00:00+24:00",
            "2022-01-01T00:00:00+01:60",
            "2022-01-01T00:00:00+1:00",
            "2022-01-01T00:00:00-+1:00",
            "2022-01-01/2022-01-02/2022-01-03",
            "2022-01-01T00:00:00+aa:00",
            "2022-01-01T00:00:00+99999999999999999:00",
        ] {
            assert!(Span::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_ends_of_calendars_are_open() {
        let all = Span::parse("0000-01-01T00:00:00Z/9999-12-31T23:59:59Z").unwrap();
        assert_eq!(all, Span { from: None, to: None });
        let zoned = Span::parse("2022-04-16T01:00:00+02:00").unwrap();
        let utc = Span::parse("2022-04-15T23:00:00Z").unwrap();
        assert_eq!(zoned, utc);
        assert_eq!(zoned.from.unwrap().day(), civil::date(2022, 4, 15));
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in ".*") {
            let _ = Span::parse(&text);
        }

        #[test]
        fn no_near_miss_breaks_the_reader(text in "[0-9]{4}-[0-9]{2}-[0-9]{2}T?[0-9:.+Z/-]{0,40}") {
            let _ = Span::parse(&text);
        }
    }
}
