//! One GeoJSON feature (RFC 7946 §3.2).

use super::{
    geometry::{self, Read},
    scan::{Fail, Scan, Scanner},
};
use crate::{
    formats::{not_kept, types::FieldSet},
    model::{RefusalReason, Text, Value},
    text,
};
use geo_types::Geometry;
use std::collections::BTreeSet;

/// How many names of foreign members are remembered for the notes.
const MAX_FOREIGN: usize = 20;

/// What was met on the way, for the notes.
#[derive(Debug, Default)]
pub(super) struct Met {
    /// Features with positions of more than two numbers.
    pub(super) with_z: u64,
    /// Empty geometries read as none.
    pub(super) empty: u64,
    /// Features with a property twice.
    pub(super) repeated: u64,
    /// Features whose `id` member differs from their `id` property.
    pub(super) other_id: u64,
    /// Members that GeoJSON does not know, at the level of the feature.
    pub(super) foreign: BTreeSet<String>,
}

impl Met {
    /// What there is to say of it.
    pub(super) fn notes(&self) -> Vec<Text> {
        let mut notes = Vec::new();
        let Self { with_z, empty, repeated, other_id, foreign } = self;
        notes.extend(not_kept(*with_z, *empty));
        if *repeated > 0 {
            notes.push(text!(
                "propriété répétée, la dernière valeur est gardée : {repeated} entités",
                "repeated property, the last value is kept: {repeated} features"
            ));
        }
        if *other_id > 0 {
            notes.push(text!(
                "le membre « id » diffère de la propriété « id », qui est gardée : {other_id} entités",
                "the member \"id\" differs from the property \"id\", which is kept: {other_id} features"
            ));
        }
        if !foreign.is_empty() {
            let names = foreign.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            notes.push(text!(
                "membres hors de « properties » non gardés : {names}",
                "members outside \"properties\" not kept: {names}"
            ));
        }
        notes
    }
}

/// A feature's content.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) values: Vec<Value>,
    pub(super) geometry: Option<Geometry<f64>>,
}

/// Reads the feature that starts here.
pub(super) fn feature(scan: &mut Scanner<'_>, fields: &mut FieldSet, met: &mut Met) -> Scan<Row> {
    if scan.peek() != Some(b'{') {
        return Err(not_a_feature(scan));
    }
    let mut row = Row { values: Vec::with_capacity(fields.len()), geometry: None };
    let mut id = Value::Null;
    let mut read = Read::Null;
    let mut repeated = false;
    scan.saw_z = false;
    scan.object(|scan, key| {
        match key.as_ref() {
            "type" => {
                if scan.string_value(&feature_text())? != "Feature" {
                    return Err(not_a_feature(scan));
                }
            }
            "geometry" => read = geometry::geometry(scan, 0)?,
            "properties" => repeated |= properties(scan, fields, &mut row.values)?,
            "id" => id = scan.value()?,
            "bbox" => {
                scan.skip()?;
            }
            _ => {
                scan.skip()?;
                if met.foreign.len() < MAX_FOREIGN {
                    met.foreign.insert(key.into_owned());
                }
            }
        }
        Ok(())
    })?;
    met.repeated += u64::from(repeated);
    met.with_z += u64::from(scan.saw_z);
    keep_id(id, fields, &mut row.values, met);
    match read {
        Read::Some(g) => row.geometry = Some(g),
        Read::Empty => met.empty += 1,
        Read::Null => {}
    }
    for (at, value) in row.values.iter().enumerate() {
        fields.observe(at, value);
    }
    Ok(row)
}

/// The `id` member becomes the field `id`, unless a property of that name says something.
fn keep_id(id: Value, fields: &mut FieldSet, values: &mut Vec<Value>, met: &mut Met) {
    if id.is_null() {
        return;
    }
    let at = fields.slot("id", usize::MAX);
    let place = place(values, at);
    if place.is_null() {
        *place = id;
    } else if *place != id {
        met.other_id += 1;
    }
}

/// The place of a field in a row, which grows as needed.
fn place(values: &mut Vec<Value>, at: usize) -> &mut Value {
    if at >= values.len() {
        values.resize(at + 1, Value::Null);
    }
    &mut values[at]
}

/// Reads properties into the row; whether one came twice (the last one counts).
fn properties(
    scan: &mut Scanner<'_>,
    fields: &mut FieldSet,
    values: &mut Vec<Value>,
) -> Scan<bool> {
    match scan.peek() {
        Some(b'{') => {}
        Some(b'n') => return scan.value().map(|_| false),
        _ => {
            return Err(scan.odd(
                RefusalReason::BrokenRow,
                text!("« properties » n'est pas un objet", "\"properties\" is not an object"),
            ));
        }
    }
    let mut hint = 0;
    let mut repeated = false;
    scan.object(|scan, key| {
        let at = fields.slot(&key, hint);
        hint = at + 1;
        let value = scan.value()?;
        let place = place(values, at);
        repeated |= !place.is_null();
        *place = value;
        Ok(())
    })?;
    Ok(repeated)
}

fn feature_text() -> crate::model::Text {
    text!("ce n'est pas une entité (Feature) GeoJSON", "not a GeoJSON Feature")
}

fn not_a_feature(scan: &Scanner<'_>) -> Fail {
    scan.odd(RefusalReason::BrokenRow, feature_text())
}
