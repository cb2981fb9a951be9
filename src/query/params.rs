//! The syntax of query values: boxes, limits, typed properties. Names of parameters and unknown
//! ones are `http`'s business.

use super::MAX_LIMIT;
use crate::{
    error::{Error, Result},
    model::{BBox, FieldKind, Value},
    text,
};

/// Reads `bbox`: 4 numbers (w,s,e,n) or 6 (heights ignored), CRS84 degrees. `west > east` crosses
/// the antimeridian (OGC API Features, `/req/core/fc-bbox-definition`).
pub fn parse_bbox(value: &str) -> Result<BBox> {
    let bad = |fr: &str, en: &str| bad_bbox(value, fr, en);
    let [west, south, east, north] = bbox_numbers(value)?;
    if south > north {
        return Err(bad("le sud est au-dessus du nord", "south is above north"));
    }
    if south < -90.0 || north > 90.0 {
        return Err(bad("latitude hors de [-90, 90]", "latitude outside [-90, 90]"));
    }
    if west.abs() > 180.0 || east.abs() > 180.0 {
        return Err(bad("longitude hors de [-180, 180]", "longitude outside [-180, 180]"));
    }
    Ok(BBox { west, south, east, north })
}

/// The four numbers of a `bbox` of four or six, whatever they measure; heights are left out.
///
/// # Errors
/// [`Error::Invalid`] when they are not numbers, or not as many.
pub fn bbox_numbers(value: &str) -> Result<[f64; 4]> {
    let bad = |fr: &str, en: &str| bad_bbox(value, fr, en);
    let mut numbers = Vec::with_capacity(6);
    for part in value.split(',') {
        let number: f64 = part
            .trim()
            .parse()
            .map_err(|_| bad("une valeur n'est pas un nombre", "a value is not a number"))?;
        if !number.is_finite() {
            return Err(bad(
                "une valeur n'est pas un nombre fini",
                "a value is not a finite number",
            ));
        }
        numbers.push(number);
        if numbers.len() > 6 {
            break;
        }
    }
    match numbers[..] {
        [w, s, e, n] | [w, s, _, e, n, _] => Ok([w, s, e, n]),
        _ => Err(bad("il faut 4 ou 6 nombres", "4 or 6 numbers are needed")),
    }
}

fn bad_bbox(value: &str, fr: &str, en: &str) -> Error {
    let shown: String = value.chars().take(120).collect();
    Error::Invalid(text!(
        "Paramètre « bbox » : {fr} (reçu « {shown} »). Attendu : ouest,sud,est,nord en degrés, ou dans le système de « bbox-crs ».",
        "Parameter \"bbox\": {en} (got \"{shown}\"). Expected: west,south,east,north in degrees, or in the system of \"bbox-crs\"."
    ))
}

/// Reads `limit`: a positive integer; more than the maximum is clamped, never an error
/// (`/per/core/fc-limit-response-1`).
pub fn parse_limit(value: &str) -> Result<u64> {
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    match value.parse::<u64>() {
        Ok(n) if digits && n > 0 => Ok(n.min(MAX_LIMIT)),
        Err(_) if digits => Ok(MAX_LIMIT),
        _ => {
            let shown: String = value.chars().take(60).collect();
            Err(Error::Invalid(text!(
                "Paramètre « limit » : « {shown} » n'est pas un entier de 1 à {MAX_LIMIT}.",
                "Parameter \"limit\": \"{shown}\" is not an integer from 1 to {MAX_LIMIT}."
            )))
        }
    }
}

/// Reads a property's value as its field's kind; `name` is for the message.
pub fn typed_value(name: &str, kind: FieldKind, value: &str) -> Result<Value> {
    let wrong = |fr: &str, en: &str| {
        let shown: String = value.chars().take(80).collect();
        Error::Invalid(text!(
            "Propriété « {name} » : « {shown} » n'est pas {fr}.",
            "Property \"{name}\": \"{shown}\" is not {en}."
        ))
    };
    Ok(match kind {
        FieldKind::Text | FieldKind::Json => Value::Text(value.to_owned()),
        FieldKind::Bool => match value {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => return Err(wrong("« true » ni « false »", "\"true\" or \"false\"")),
        },
        FieldKind::Int => Value::Int(value.parse().map_err(|_| wrong("un entier", "an integer"))?),
        FieldKind::Float => {
            let number: f64 = value.parse().map_err(|_| wrong("un nombre", "a number"))?;
            if !number.is_finite() {
                return Err(wrong("un nombre fini", "a finite number"));
            }
            Value::Float(number)
        }
        FieldKind::Date => Value::Date(
            value.parse().map_err(|_| wrong("une date AAAA-MM-JJ", "a date YYYY-MM-DD"))?,
        ),
        FieldKind::DateTime => Value::DateTime(
            value.parse().map_err(|_| wrong("un instant RFC 3339", "an RFC 3339 instant"))?,
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_read_and_refused() {
        assert_eq!(parse_bbox("2,47,3,48").unwrap().to_array(), [2.0, 47.0, 3.0, 48.0]);
        assert_eq!(parse_bbox("2,47,0,3,48,9").unwrap().to_array(), [2.0, 47.0, 3.0, 48.0]);
        assert!(parse_bbox("177,65,-177,70").unwrap().crosses_antimeridian());
        for bad in [
            "",
            "1,2,3",
            "1,2,3,4,5",
            "a,2,3,4",
            "NaN,2,3,4",
            "1,48,2,47",
            "inf,1,2,3",
            "1,-91,2,3",
            "1,2,3,4,5,6,7",
            "0,0,200,1",
        ] {
            assert!(parse_bbox(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn limits_are_clamped_or_refused() {
        assert_eq!(parse_limit("10").unwrap(), 10);
        assert_eq!(parse_limit("999999999999999999999999").unwrap(), MAX_LIMIT);
        for bad in ["", "0", "-1", "unlimited", "1.5", "+3"] {
            assert!(parse_limit(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_take_their_fields_kind() {
        assert_eq!(typed_value("n", FieldKind::Int, "12").unwrap(), Value::Int(12));
        assert!(typed_value("n", FieldKind::Int, "12.5").is_err());
        assert!(typed_value("n", FieldKind::Float, "nan").is_err());
        assert!(typed_value("d", FieldKind::Date, "2025-02-30").is_err());
        assert!(typed_value("t", FieldKind::DateTime, "2025-02-03T10:00:00Z").is_ok());
    }
}
