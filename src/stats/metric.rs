//! What can be measured of a group of features, as requests spell it, and the figures of answers.

use crate::{
    error::{Error, Result},
    model::{FieldKind, Schema},
    text,
};
use serde::{Serialize, Serializer};
use std::cmp::Ordering;

/// Most measures in one request.
pub const MAX_METRICS: usize = 20;

/// How features are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Their number.
    Count,
    /// The sum of a number.
    Sum,
    /// Its mean over the features that have one.
    Avg,
    /// The smallest number or date.
    Min,
    /// The largest.
    Max,
    /// How many different values, of any type.
    Distinct,
}

impl Kind {
    /// All that take a property.
    const OF_PROPERTY: [Kind; 5] = [Kind::Sum, Kind::Avg, Kind::Min, Kind::Max, Kind::Distinct];

    /// As written before the property.
    fn id(self) -> &'static str {
        match self {
            Kind::Count => "count",
            Kind::Sum => "sum",
            Kind::Avg => "avg",
            Kind::Min => "min",
            Kind::Max => "max",
            Kind::Distinct => "distinct",
        }
    }

    /// Whether it can be taken of a field.
    fn fits(self, kind: FieldKind) -> bool {
        let number = matches!(kind, FieldKind::Int | FieldKind::Float);
        match self {
            Kind::Count | Kind::Distinct => true,
            Kind::Sum | Kind::Avg => number,
            Kind::Min | Kind::Max => {
                number || matches!(kind, FieldKind::Date | FieldKind::DateTime)
            }
        }
    }
}

/// One measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// How.
    pub kind: Kind,
    /// Of which field of the schema; `None` for the count.
    pub field: Option<usize>,
    /// As asked for, `sum:population`: the name of its column in answers.
    pub name: String,
}

/// Reads `count,sum:prop,…`. A comma within a property's name belongs to it.
///
/// # Errors
/// [`Error::Invalid`] listing what is allowed.
pub fn parse(text: &str, schema: &Schema) -> Result<Vec<Metric>> {
    let starts = |part: &str| {
        part == Kind::Count.id()
            || Kind::OF_PROPERTY
                .iter()
                .any(|k| part.strip_prefix(k.id()).is_some_and(|rest| rest.starts_with(':')))
    };
    let mut parts: Vec<String> = Vec::new();
    for part in text.split(',') {
        match parts.last_mut() {
            Some(last) if !starts(part.trim()) && last.contains(':') => {
                last.push(',');
                last.push_str(part);
            }
            _ => parts.push(part.trim().to_owned()),
        }
    }
    if parts.len() > MAX_METRICS {
        return Err(Error::Invalid(text!(
            "Paramètre « metric » : {MAX_METRICS} mesures au plus.",
            "Parameter \"metric\": {MAX_METRICS} measures at most."
        )));
    }
    let mut metrics: Vec<Metric> = Vec::with_capacity(parts.len());
    for part in parts {
        let metric = one(&part, schema)?;
        if !metrics.contains(&metric) {
            metrics.push(metric);
        }
    }
    Ok(metrics)
}

fn one(part: &str, schema: &Schema) -> Result<Metric> {
    if part == Kind::Count.id() {
        return Ok(Metric { kind: Kind::Count, field: None, name: part.to_owned() });
    }
    let split = part.split_once(':');
    let kind = split.and_then(|(k, _)| Kind::OF_PROPERTY.into_iter().find(|kind| kind.id() == k));
    let (Some(kind), Some((_, name))) = (kind, split) else {
        let shown: String = part.chars().take(80).collect();
        let list = Kind::OF_PROPERTY.map(|k| format!("{}:propriété", k.id())).join(", ");
        let english = list.replace("propriété", "property");
        return Err(Error::Invalid(text!(
            "Paramètre « metric » : « {shown} ». Mesures possibles : count, {list}.",
            "Parameter \"metric\": \"{shown}\". Possible measures: count, {english}."
        )));
    };
    let usable = || {
        let fields = schema.fields.iter().filter(|f| kind.fits(f.kind));
        let names: Vec<&str> = fields.map(|f| f.name.as_str()).collect();
        if names.is_empty() { "—".to_owned() } else { names.join(", ") }
    };
    let id = kind.id();
    match schema.index(name).and_then(|i| Some((i, schema.fields.get(i)?))) {
        Some((field, f)) if kind.fits(f.kind) => {
            Ok(Metric { kind, field: Some(field), name: part.to_owned() })
        }
        Some(_) => {
            let list = usable();
            Err(Error::Invalid(text!(
                "Paramètre « metric » : « {id} » ne se calcule pas sur la propriété « {name} ». Propriétés possibles : {list}.",
                "Parameter \"metric\": \"{id}\" cannot be taken of property \"{name}\". Possible properties: {list}."
            )))
        }
        None => {
            let shown: String = name.chars().take(80).collect();
            let list = usable();
            Err(Error::Invalid(text!(
                "Paramètre « metric » : propriété inconnue « {shown} ». Propriétés possibles pour « {id} » : {list}.",
                "Parameter \"metric\": unknown property \"{shown}\". Possible properties for \"{id}\": {list}."
            )))
        }
    }
}

/// A figure of an answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Figure {
    /// Nothing to measure: no feature, or none with a value.
    #[default]
    Null,
    /// A whole number, exact.
    Int(i64),
    /// A number.
    Float(f64),
    /// A date or an instant.
    Text(String),
}

impl Figure {
    /// As a number, for classes and sorting.
    pub fn number(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "for order and classes")]
            Figure::Int(i) => Some(*i as f64),
            Figure::Float(f) => Some(*f),
            Figure::Null | Figure::Text(_) => None,
        }
    }

    /// The order in which tables sort: nothing first, numbers, then dates.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Figure::Int(a), Figure::Int(b)) => a.cmp(b),
            (Figure::Text(a), Figure::Text(b)) => a.cmp(b),
            _ => {
                let rank = |f: &Figure| match f {
                    Figure::Null => 0,
                    Figure::Int(_) | Figure::Float(_) => 1,
                    Figure::Text(_) => 2,
                };
                let number = |f: &Figure| f.number().unwrap_or_default();
                rank(self).cmp(&rank(other)).then(number(self).total_cmp(&number(other)))
            }
        }
    }
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Figure::Null => serializer.serialize_none(),
            Figure::Int(i) => serializer.serialize_i64(*i),
            Figure::Float(f) => serializer.serialize_f64(*f),
            Figure::Text(t) => serializer.serialize_str(t),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Field, GeometryKind};

    fn schema() -> Schema {
        let field = |name: &str, kind| Field { name: name.to_owned(), kind };
        Schema {
            fields: vec![
                field("nom", FieldKind::Text),
                field("pop", FieldKind::Int),
                field("pop, 2020", FieldKind::Float),
                field("le", FieldKind::Date),
            ],
            geometry: GeometryKind::None,
        }
    }

    fn names(text: &str) -> Vec<String> {
        parse(text, &schema()).unwrap().into_iter().map(|m| m.name).collect()
    }

    #[test]
    fn measures_are_read() {
        assert_eq!(names("count"), ["count"]);
        assert_eq!(names("count,sum:pop,sum:pop,max:le"), ["count", "sum:pop", "max:le"]);
        assert_eq!(names("avg:pop, 2020,distinct:nom"), ["avg:pop, 2020", "distinct:nom"]);
    }

    #[test]
    fn wrong_measures_say_what_is_allowed() {
        for (bad, words) in [
            ("median:pop", "sum:propriété"),
            ("sum:population", "pop, pop, 2020"),
            ("sum:nom", "pop"),
            ("min:nom", "le"),
            ("", "count"),
            ("sum:", "pop"),
        ] {
            match parse(bad, &schema()) {
                Err(Error::Invalid(text)) => assert!(text.fr.contains(words), "{bad}: {}", text.fr),
                other => panic!("{bad}: {other:?}"),
            }
        }
        let many = vec!["count"; 21].join(",");
        assert!(parse(&many, &schema()).is_err());
    }
}
