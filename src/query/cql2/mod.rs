//! CQL2 (OGC 21-065r2): filters in text and JSON, read into one tree, checked against a layer's
//! schema, and put in a normal form that every store lowers from. Parsing is our own: a look at
//! length and nesting comes first, and no input takes more stack than a few hundred calls.
//!
//! Beyond the standard: GDAL's `ILIKE` and `!=`, backslashes doubled as QGIS does, dates as plain
//! texts where a date is compared, and `TERRITORY('dep:59')`.

mod arithmetic;
mod ast;
mod check;
mod error;
mod expr;
mod fold;
mod functions;
mod json;
mod moment;
mod pattern;
mod scan;
mod text;
mod token;
mod wkt;
mod write;

#[cfg(test)]
mod tests;

pub use arithmetic::{Overflow, calculate, overflow};
pub use ast::{Arithmetic, ArrayRelation, Comparison, Kind, Node, Op, Temporal};
pub use check::{Context, MOST_PAIRS, check};
pub use expr::{Class, Expr, Expression, List, Scalar, Shape, Territory};
pub use fold::Fold;
pub use functions::{Function, functions};
pub use pattern::Pattern;
pub use scan::{MAX_BRACKETS, MAX_BYTES, MAX_NESTING};

use crate::{
    error::{Error, Result},
    text,
};

/// How a filter is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Dialect {
    /// `cql2-text`, and `cql-text` as GDAL calls it.
    #[default]
    Text,
    /// `cql2-json`.
    Json,
}

impl Dialect {
    /// Every value of `filter-lang`.
    pub const NAMES: [&str; 3] = ["cql2-text", "cql2-json", "cql-text"];

    /// Reads `filter-lang`.
    ///
    /// # Errors
    /// [`Error::Invalid`] listing the values.
    pub fn parse(value: &str) -> Result<Self> {
        match value {
            "cql2-text" | "cql-text" => Ok(Self::Text),
            "cql2-json" => Ok(Self::Json),
            other => {
                let shown: String = other.chars().take(40).collect();
                let known = Self::NAMES.join(", ");
                Err(Error::Invalid(text!(
                    "Paramètre « filter-lang » : « {shown} ». Valeurs possibles : {known}.",
                    "Parameter \"filter-lang\": \"{shown}\". Possible values: {known}."
                )))
            }
        }
    }
}

/// Reads a filter.
///
/// # Errors
/// [`Error::Invalid`] saying what is wrong and where.
pub fn parse(dialect: Dialect, filter: &str) -> Result<Node> {
    if filter.trim().is_empty() {
        return Err(error::whole(text!("le filtre est vide.", "the filter is empty.")));
    }
    match dialect {
        Dialect::Text => {
            scan::text(filter)?;
            text::parse(filter)
        }
        Dialect::Json => {
            scan::json(filter)?;
            json::parse(filter)
        }
    }
}

/// A tree as CQL2 text.
pub fn to_text(node: &Node) -> String {
    write::to_text(node)
}

/// A tree as CQL2 JSON.
pub fn to_json(node: &Node) -> serde_json::Value {
    json::write(node)
}

/// Checks how many arguments an operator has.
fn arity(place: Option<usize>, op: Op, given: usize) -> Result<()> {
    let (least, most) = op.arguments();
    if (least..=most).contains(&given) {
        return Ok(());
    }
    let name = if op.is_function() { op.name().to_ascii_uppercase() } else { op.name().into() };
    let wanted = if least == most { least.to_string() } else { format!("{least}+") };
    let text = text!(
        "« {name} » a {given} argument(s), il en faut {wanted}.",
        "\"{name}\" has {given} argument(s), {wanted} needed."
    );
    Err(match place {
        Some(place) => error::at(place, text),
        None => error::whole(text),
    })
}

/// A date or timestamp literal.
fn moment_literal(place: Option<usize>, written: &str, date: bool) -> Result<Kind> {
    if let Some(kind) = text::moment_kind(written, date) {
        return Ok(kind);
    }
    let shown = error::shown(written);
    let text = match date {
        true => text!(
            "« {shown} » n'est pas une date AAAA-MM-JJ.",
            "\"{shown}\" is not a date YYYY-MM-DD."
        ),
        false => text!(
            "« {shown} » n'est pas un instant RFC 3339, à la microseconde au plus (2025-01-31T12:00:00Z).",
            "\"{shown}\" is not an RFC 3339 instant, down to microseconds (2025-01-31T12:00:00Z)."
        ),
    };
    Err(match place {
        Some(place) => error::at(place, text),
        None => error::whole(text),
    })
}

/// An end of an interval as text: a date, an instant, or open.
fn interval_end(place: Option<usize>, written: &str) -> Result<Node> {
    let kind = match written {
        ".." | "" => Kind::Open,
        _ => moment_literal(place, written, written.len() == 10)?,
    };
    Ok(Node { at: place, kind })
}

/// The sides of a box from its four or six numbers.
fn sides(place: Option<usize>, numbers: &[f64]) -> Result<Kind> {
    match *numbers {
        [a, b, c, d] | [a, b, _, c, d, _] => Ok(Kind::Box([a, b, c, d])),
        _ => {
            let n = numbers.len();
            let text = text!(
                "BBOX a {n} nombre(s), il en faut 4 (ou 6 avec les hauteurs).",
                "BBOX has {n} number(s), 4 are needed (or 6 with heights)."
            );
            Err(match place {
                Some(place) => error::at(place, text),
                None => error::whole(text),
            })
        }
    }
}
