//! One cell against its column of a Table Schema (types and constraints of version 1, clauses
//! "Types and Formats" and "Constraints").

use super::rule::Rule;
use crate::{
    model::{SchemaField, SchemaKind, Text, Value},
    text,
};
use jiff::{civil, fmt::strtime};
use regex::Regex;

/// Most bytes that a pattern may take when it is compiled.
const PATTERN: usize = 1 << 20;

/// A column that the schema speaks of.
pub(super) struct Column {
    pub(super) name: String,
    /// Where its values are in a row.
    pub(super) at: usize,
    pub(super) unique: bool,
    pub(super) digits: Option<Digits>,
    field: SchemaField,
    pattern: Option<Regex>,
    allowed: Option<Vec<String>>,
}

/// Numbers whose last digit checks the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Digits {
    Siren,
    Siret,
}

impl Column {
    pub(super) fn new(field: &SchemaField, at: usize, notes: &mut Vec<Text>) -> Self {
        let name = crate::formats::types::nfc(field.name.clone());
        let pattern = field.constraints.pattern.as_ref().and_then(|pattern| {
            // Whole values match; patterns with ^ and $ of their own still do.
            let whole = format!("^(?:{})$", unescaped(pattern));
            let built = regex::RegexBuilder::new(&whole).size_limit(PATTERN).build();
            if built.is_err() {
                notes.push(text!(
                    "Schéma : « {name} » : motif non vérifié, cette forme n'est pas connue : {pattern}",
                    "Schema: \"{name}\": pattern not checked, its form is not known: {pattern}"
                ));
            }
            built.ok()
        });
        let words = |value: &serde_json::Value| match value {
            serde_json::Value::String(words) => words.clone(),
            other => other.to_string(),
        };
        let allowed =
            field.constraints.allowed.as_ref().map(|list| list.iter().map(words).collect());
        let unique = field.constraints.unique;
        Self { name, at, unique, digits: None, field: field.clone(), pattern, allowed }
    }

    /// The first rule that a value breaks.
    pub(super) fn fault(&self, value: &Value) -> Option<Rule> {
        let constraints = &self.field.constraints;
        if value.is_null() {
            return constraints.required.then_some(Rule::Missing);
        }
        let words = written(value);
        let Some(size) = self.size(value, &words) else {
            return Some(Rule::Type(self.field.kind, self.field.format.clone()));
        };
        let (least, most) =
            (constraints.min_length.unwrap_or(0), constraints.max_length.unwrap_or(u64::MAX));
        let length = match size {
            Size::Elements(n) => n,
            _ => words.chars().count() as u64,
        };
        if length < least || length > most {
            return Some(Rule::Length(least, most));
        }
        if let Some(bound) = self.bound(constraints.minimum.as_ref(), &size, |of, bound| of < bound)
        {
            return Some(Rule::Least(bound));
        }
        if let Some(bound) = self.bound(constraints.maximum.as_ref(), &size, |of, bound| of > bound)
        {
            return Some(Rule::Greatest(bound));
        }
        if let (Some(pattern), Some(said)) = (&self.pattern, &constraints.pattern)
            && !pattern.is_match(&words)
        {
            return Some(Rule::Pattern(said.clone()));
        }
        if let Some(allowed) = &self.allowed
            && !allowed.iter().any(|one| *one == words || self.same(one, &size))
        {
            return Some(Rule::Allowed(allowed.join(" | ")));
        }
        let digits = self.digits.filter(|digits| !digits.hold(&words));
        digits.map(Rule::Digits)
    }

    /// Whether an allowed value is this one written differently, as `1.0` for `1`.
    fn same(&self, one: &str, size: &Size) -> bool {
        match size {
            Size::Number(n) => one.parse().is_ok_and(|m: f64| m == *n),
            Size::Truth(t) => self.truth(one) == Some(*t),
            _ => false,
        }
    }

    /// The bound of a constraint that a value breaks, in words.
    fn bound(
        &self,
        bound: Option<&serde_json::Value>,
        size: &Size,
        beyond: fn(f64, f64) -> bool,
    ) -> Option<String> {
        let words = match bound? {
            serde_json::Value::String(words) => words.clone(),
            other => other.to_string(),
        };
        let outside = match (size, self.size(&Value::Text(words.clone()), &words)?) {
            (Size::Number(n), Size::Number(m)) => beyond(*n, m),
            (Size::Moment(a), Size::Moment(b)) => beyond(*a, b),
            _ => false,
        };
        outside.then_some(words)
    }

    /// What a value is by the column's type; `None` when it is not of it.
    fn size(&self, value: &Value, words: &str) -> Option<Size> {
        let format = self.field.format.as_deref().filter(|f| *f != "default");
        match self.field.kind {
            SchemaKind::Any => Some(Size::Other),
            SchemaKind::String => text_is(format, words).then_some(Size::Other),
            SchemaKind::Number => self.number(value).map(Size::Number),
            SchemaKind::Integer => {
                self.number(value).filter(|n| n.fract() == 0.0 && whole(value)).map(Size::Number)
            }
            SchemaKind::Boolean => match value {
                Value::Bool(truth) => Some(Size::Truth(*truth)),
                _ => self.truth(words).map(Size::Truth),
            },
            SchemaKind::Year => words.parse::<i16>().ok().map(|y| Size::Number(y.into())),
            SchemaKind::Date => moment(value, words, format.unwrap_or("%Y-%m-%d")),
            SchemaKind::Datetime => instant(value, words, format),
            SchemaKind::Time => time(words, format.unwrap_or("%H:%M:%S")),
            SchemaKind::Yearmonth => moment(&Value::Null, &format!("{words}-01"), "%Y-%m-%d"),
            SchemaKind::Duration => jiff::fmt::temporal::SpanParser::new()
                .parse_span(words)
                .is_ok()
                .then_some(Size::Other),
            SchemaKind::Array => json(words)?.as_array().map(|a| Size::Elements(a.len() as u64)),
            SchemaKind::Object | SchemaKind::Geojson => {
                json(words)?.is_object().then_some(Size::Other)
            }
            SchemaKind::Geopoint => geopoint(format, words),
        }
    }

    fn number(&self, value: &Value) -> Option<f64> {
        match value {
            Value::Int(n) => Some(*n as f64),
            Value::Float(n) => Some(*n),
            Value::Text(words) => {
                let mut words = words.trim().to_owned();
                if self.field.bare_number == Some(false) {
                    let around = |c: char| !c.is_ascii_digit() && !"+-.,".contains(c);
                    words = words.trim_matches(around).to_owned();
                }
                if let Some(group) = self.field.group_char.as_deref().filter(|g| !g.is_empty()) {
                    words = words.replace(group, "");
                }
                if let Some(decimal) =
                    self.field.decimal_char.as_deref().filter(|d| !d.is_empty() && *d != ".")
                {
                    if words.contains('.') {
                        return None;
                    }
                    words = words.replace(decimal, ".");
                }
                // "inf" and "nan" are no numbers here, though the standard lets them be written.
                words.parse::<f64>().ok().filter(|n| n.is_finite())
            }
            _ => None,
        }
    }

    fn truth(&self, words: &str) -> Option<bool> {
        let among = |given: &Option<Vec<String>>, usual: [&str; 4]| match given {
            Some(list) => list.iter().any(|w| w == words),
            None => usual.contains(&words),
        };
        if among(&self.field.true_values, ["true", "True", "TRUE", "1"]) {
            return Some(true);
        }
        among(&self.field.false_values, ["false", "False", "FALSE", "0"]).then_some(false)
    }
}

/// A pattern without the escapes of letters beyond ASCII that Python lets be written (`\é`).
fn unescaped(pattern: &str) -> String {
    let (mut plain, mut letters) =
        (String::with_capacity(pattern.len()), pattern.chars().peekable());
    while let Some(letter) = letters.next() {
        match letters.peek() {
            Some(next) if letter == '\\' && !next.is_ascii() => {}
            Some(_) if letter == '\\' => {
                plain.push(letter);
                plain.extend(letters.next());
            }
            _ => plain.push(letter),
        }
    }
    plain
}

/// What of a value its constraints compare.
enum Size {
    Number(f64),
    Truth(bool),
    /// Seconds or days, of one kind in a column.
    Moment(f64),
    Elements(u64),
    Other,
}

/// A value as a cell of a table has it.
pub(super) fn written(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(n) => n.to_string(),
        Value::Float(n) => n.to_string(),
        Value::Text(words) | Value::Json(words) => words.clone(),
        Value::Date(date) => date.to_string(),
        Value::DateTime(instant) => instant.to_string(),
    }
}

/// A text as `12.0` is no whole number; a column of numbers may have made one of `12`.
fn whole(value: &Value) -> bool {
    !matches!(value, Value::Text(words) if words.contains(['.', 'e', 'E']))
}

fn text_is(format: Option<&str>, words: &str) -> bool {
    match format {
        Some("email") => words.split_once('@').is_some_and(|(who, host)| {
            let plain = |part: &str| {
                !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c == '@')
            };
            plain(who) && plain(host) && host.split('.').all(|part| !part.is_empty())
        }),
        Some("uri") => words.split_once(':').is_some_and(|(scheme, rest)| {
            let letters = scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
            let head = scheme.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
            let place = rest
                .strip_prefix("//")
                .is_none_or(|rest| !rest.starts_with('/') && !rest.is_empty());
            head && letters && !rest.is_empty() && place && !words.contains(char::is_whitespace)
        }),
        Some("uuid") => {
            let digits: Vec<&str> = words.split('-').collect();
            let lengths: Vec<usize> = digits.iter().map(|d| d.len()).collect();
            lengths == [8, 4, 4, 4, 12]
                && digits.iter().all(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))
        }
        _ => true,
    }
}

/// A date by `strptime`'s format. A reader that knew it for one has judged it already.
fn moment(value: &Value, words: &str, format: &str) -> Option<Size> {
    let date = match value {
        Value::Date(date) => *date,
        _ if format == "any" => words.parse().ok()?,
        _ => {
            let read = strtime::parse(format, words).ok()?;
            // `%Y` is four digits.
            let year = read.year().filter(|year| (1000..=9999).contains(year))?;
            let (month, day) = (read.month().unwrap_or(1), read.day().unwrap_or(1));
            civil::Date::new(year, month, day).ok()?
        }
    };
    let days = date.since(civil::date(1970, 1, 1)).ok()?.get_days();
    Some(Size::Moment(days.into()))
}

/// A moment of a day: RFC 3339 with a zone or without, or by `strptime`'s format.
fn instant(value: &Value, words: &str, format: Option<&str>) -> Option<Size> {
    if let Value::DateTime(instant) = value {
        return Some(Size::Moment(instant.as_second() as f64));
    }
    let local = match format.filter(|f| *f != "any") {
        None => match words.parse::<jiff::Timestamp>() {
            Ok(instant) => return Some(Size::Moment(instant.as_second() as f64)),
            Err(_) => {
                words.contains(['T', ' ']).then(|| words.parse::<civil::DateTime>().ok())??
            }
        },
        Some(format) => strtime::parse(format, words).ok()?.to_datetime().ok()?,
    };
    let utc = jiff::tz::TimeZone::UTC.to_timestamp(local).ok()?;
    Some(Size::Moment(utc.as_second() as f64))
}

fn time(words: &str, format: &str) -> Option<Size> {
    let time = match format {
        "any" => words.parse().ok()?,
        format => strtime::parse(format, words).ok()?.to_time().ok()?,
    };
    let seconds =
        i32::from(time.hour()) * 3600 + i32::from(time.minute()) * 60 + i32::from(time.second());
    Some(Size::Moment(seconds.into()))
}

fn json(words: &str) -> Option<serde_json::Value> {
    serde_json::from_str(words).ok()
}

/// Longitude and latitude: `lon, lat`, `[lon, lat]` or `{"lon": …, "lat": …}`.
fn geopoint(format: Option<&str>, words: &str) -> Option<Size> {
    let [lon, lat] = match format {
        Some("array") => match json(words)?.as_array()?.as_slice() {
            [lon, lat] => [lon.as_f64()?, lat.as_f64()?],
            _ => return None,
        },
        Some("object") => {
            let point = json(words)?;
            [point.get("lon")?.as_f64()?, point.get("lat")?.as_f64()?]
        }
        _ => {
            let (lon, lat) = words.split_once(',')?;
            [lon.trim().parse().ok()?, lat.trim().parse().ok()?]
        }
    };
    (f64::abs(lon) <= 180.0 && f64::abs(lat) <= 90.0).then_some(Size::Other)
}

impl Digits {
    pub(super) fn of(check: &str) -> Option<Self> {
        match check {
            "french-siren-value" => Some(Self::Siren),
            "french-siret-value" => Some(Self::Siret),
            _ => None,
        }
    }

    /// Luhn's sum. Offices of La Poste have numbers whose plain sum counts instead (SIREN 356000000).
    fn hold(self, words: &str) -> bool {
        let digits: Vec<u32> = words.chars().filter_map(|c| c.to_digit(10)).collect();
        let length = if self == Self::Siren { 9 } else { 14 };
        if digits.len() != length || words.len() != length {
            return false;
        }
        let doubled = digits.iter().rev().enumerate().map(|(i, d)| match i % 2 {
            0 => *d,
            _ => d * 2 / 10 + d * 2 % 10,
        });
        doubled.sum::<u32>().is_multiple_of(10)
            || self == Self::Siret
                && words.starts_with("356000000")
                && digits.iter().sum::<u32>().is_multiple_of(5)
    }
}
