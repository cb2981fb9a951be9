//! What an archive tells of the values in it: `tilestats`, as Mapbox's tools and tippecanoe write
//! them (github.com/mapbox/mapbox-geostats), for those who make styles.

use crate::model::{GeometryKind, Schema, ValueRef};
use rustc_hash::FxHashSet;
use serde_json::{Value, json};

/// Distinct values that are counted.
const COUNTED: usize = 1000;
/// Distinct values that are listed.
const LISTED: usize = 100;
/// Texts longer than this are counted, not listed.
const LONG: usize = 256;

/// The figures of a layer.
pub(super) struct Tally {
    fields: Vec<Field>,
    /// Features with geometry.
    pub(super) features: u64,
}

#[derive(Default)]
struct Field {
    name: String,
    distinct: FxHashSet<String>,
    listed: Vec<Value>,
    range: Option<(f64, f64)>,
    kinds: Kinds,
}

#[derive(Default)]
struct Kinds {
    text: bool,
    number: bool,
    boolean: bool,
}

impl Tally {
    pub(super) fn new(schema: &Schema) -> Self {
        let field = |name: &String| Field { name: name.clone(), ..Field::default() };
        Self { fields: schema.fields.iter().map(|f| field(&f.name)).collect(), features: 0 }
    }

    /// Counts a feature.
    pub(super) fn add(&mut self, values: &[ValueRef<'_>]) {
        self.features += 1;
        for (field, value) in self.fields.iter_mut().zip(values) {
            field.add(*value);
        }
    }

    /// The figures as JSON.
    pub(super) fn json(&self, layer: &str, geometry: GeometryKind) -> Value {
        let geometry = match geometry.dimension() {
            Some(0) => "Point",
            Some(1) => "LineString",
            Some(_) => "Polygon",
            None => "GeometryCollection",
        };
        let attributes: Vec<Value> = self.fields.iter().map(Field::json).collect();
        json!({
            "layer": layer,
            "count": self.features,
            "geometry": geometry,
            "attributeCount": attributes.len(),
            "attributes": attributes,
        })
    }
}

impl Field {
    fn add(&mut self, value: ValueRef<'_>) {
        let (shown, text) = match value {
            ValueRef::Null => return,
            ValueRef::Bool(b) => {
                self.kinds.boolean = true;
                (json!(b), b.to_string())
            }
            // As tiles carry them: beyond what doubles hold exactly, text.
            ValueRef::Int(i) if i.unsigned_abs() <= 1 << 53 => {
                self.number(i as f64);
                (json!(i), i.to_string())
            }
            ValueRef::Int(i) => {
                self.kinds.text = true;
                (json!(i.to_string()), i.to_string())
            }
            ValueRef::Float(f) if f.is_finite() => {
                self.number(f);
                (json!(f), f.to_string())
            }
            ValueRef::Float(_) => return,
            ValueRef::Text(s) | ValueRef::Json(s) => {
                self.kinds.text = true;
                if self.distinct.len() >= COUNTED || self.distinct.contains(s) {
                    return;
                }
                (json!(s), s.to_owned())
            }
        };
        if self.distinct.len() >= COUNTED || !self.distinct.insert(text) {
            return;
        }
        let long = shown.as_str().is_some_and(|s| s.len() > LONG);
        if self.listed.len() < LISTED && !long {
            self.listed.push(shown);
        }
    }

    fn number(&mut self, n: f64) {
        self.kinds.number = true;
        let (least, most) = self.range.get_or_insert((n, n));
        (*least, *most) = (least.min(n), most.max(n));
    }

    fn json(&self) -> Value {
        let kind = match &self.kinds {
            Kinds { text: true, number: false, boolean: false } => "string",
            Kinds { text: false, number: true, boolean: false } => "number",
            Kinds { text: false, number: false, boolean: true } => "boolean",
            Kinds { text: false, number: false, boolean: false } => "null",
            _ => "mixed",
        };
        let mut json = json!({
            "attribute": self.name,
            "count": self.distinct.len(),
            "type": kind,
            "values": self.listed,
        });
        if let (Some((least, most)), Some(members)) = (self.range, json.as_object_mut()) {
            members.insert("min".to_owned(), whole(least));
            members.insert("max".to_owned(), whole(most));
        }
        json
    }
}

/// A number without a needless `.0`.
#[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
fn whole(n: f64) -> Value {
    if n.fract() == 0.0 && n.abs() < 9e15 { json!(n as i64) } else { json!(n) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Field as Column, FieldKind};

    #[test]
    fn values_are_counted_listed_and_bounded() {
        let column = |name: &str| Column { name: name.to_owned(), kind: FieldKind::Int };
        let fields = vec![column("n"), column("nom"), column("vide")];
        let mut tally = Tally::new(&Schema { fields, geometry: GeometryKind::Point });
        for i in 0..3000i64 {
            let name = if i == 7 { "x".repeat(300) } else { format!("c{}", i % 5) };
            tally.add(&[ValueRef::Int(i - 10), ValueRef::Text(&name), ValueRef::Null]);
        }
        let json = tally.json("a", GeometryKind::Point);
        assert_eq!((&json["count"], &json["geometry"]), (&json!(3000), &json!("Point")));
        let n = &json["attributes"][0];
        assert_eq!(
            (&n["count"], &n["type"], &n["min"], &n["max"]),
            (&json!(1000), &json!("number"), &json!(-10), &json!(2989))
        );
        assert_eq!(n["values"].as_array().map(Vec::len), Some(100));
        let names = &json["attributes"][1];
        assert_eq!((&names["count"], &names["type"]), (&json!(6), &json!("string")));
        assert_eq!(names["values"], json!(["c0", "c1", "c2", "c3", "c4"]));
        assert_eq!(json["attributes"][2]["type"], "null");
    }
}
