//! The columns of a table: their types, and how each is read as the nearest of the kinds that
//! features have.

use super::super::{
    column::Column,
    link::{Link, Ran, cell},
};
use super::{
    discover::refused,
    form::{Property, column},
};
use crate::{
    model::{Field, FieldKind, TableSource, Text},
    text,
};
use tokio_postgres::types::Type;

/// A column of the catalogue.
pub(super) struct Found {
    pub(super) name: String,
    /// Base type, under all domains.
    pub(super) kind: String,
    /// Its type, as SQL writes it.
    pub(super) written: String,
    pub(super) modifier: i32,
    /// `b` base, `e` enumeration, `c` composite, `r` range…
    pub(super) class: String,
    pub(super) array: bool,
    pub(super) readable: bool,
    pub(super) not_null: bool,
    /// The column's comment.
    pub(super) comment: Option<String>,
}

pub(super) async fn columns(link: &mut Link, oid: u32) -> Ran<Vec<Found>> {
    let sql =
        "SELECT a.attname::text, b.typname::text, pg_catalog.format_type(a.atttypid, a.atttypmod),
                 base.modifier, b.typtype::text,
                 b.typcategory::text = 'A',
                 pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT'), a.attnotnull,
                 pg_catalog.col_description(a.attrelid, a.attnum)
               FROM pg_catalog.pg_attribute a
               CROSS JOIN LATERAL (
                 WITH RECURSIVE down (type, modifier, depth) AS (
                   SELECT a.atttypid, a.atttypmod, 0
                   UNION ALL
                   SELECT t.typbasetype, t.typtypmod, d.depth + 1
                   FROM down d JOIN pg_catalog.pg_type t ON t.oid = d.type WHERE t.typtype = 'd')
                 SELECT type, modifier FROM down ORDER BY depth DESC LIMIT 1) base
               JOIN pg_catalog.pg_type b ON b.oid = base.type
               WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";
    let mut all = Vec::new();
    for row in &link.rows(sql, &[(&oid, Type::OID)]).await? {
        all.push(Found {
            name: cell(row, 0)?,
            kind: cell(row, 1)?,
            written: cell(row, 2)?,
            modifier: cell(row, 3)?,
            class: cell(row, 4)?,
            array: cell(row, 5)?,
            readable: cell(row, 6)?,
            not_null: cell(row, 7)?,
            comment: cell(row, 8)?,
        });
    }
    Ok(all)
}

pub(super) fn spatial(found: &Found) -> bool {
    matches!(found.kind.as_str(), "geometry" | "geography")
}

/// The table's columns, for a message.
pub(super) fn listed(found: &[Found]) -> String {
    found.iter().map(|f| f.name.as_str()).collect::<Vec<_>>().join(", ")
}

pub(super) fn properties(
    source: &TableSource,
    found: &[Found],
    notices: &mut Vec<Text>,
) -> Ran<(Vec<Field>, Vec<Property>)> {
    let one = |name: &String| {
        found.iter().find(|f| f.name == *name && !spatial(f)).ok_or_else(|| {
            let list = listed(found);
            refused(text!(
                "La colonne « {name} » n'est pas dans la table. Colonnes : {list}.",
                "The column \"{name}\" is not in the table. Columns: {list}."
            ))
        })
    };
    let wanted: Vec<&Found> = match &source.properties {
        Some(list) => list.iter().map(one).collect::<Ran<_>>()?,
        None => found.iter().filter(|f| !spatial(f)).collect(),
    };
    let (mut fields, mut properties) = (Vec::new(), Vec::new());
    for found in wanted {
        let name = found.name.clone();
        if !found.readable || found.kind == "raster" {
            notices.push(text!(
                "La colonne « {name} » n'est pas montrée : raster, ou droit de lecture absent.",
                "Column \"{name}\" is not shown: a raster, or no right to read it."
            ));
            continue;
        }
        let property = property(found);
        fields.push(Field { name, kind: property.kind });
        properties.push(property);
    }
    Ok((fields, properties))
}

/// How a column is read: as the nearest of the kinds that features have.
fn property(found: &Found) -> Property {
    let c = column(&found.name);
    let (column, kind, shown) = match found.kind.as_str() {
        _ if found.array || found.class == "c" => {
            (Column::Text, FieldKind::Json, format!("to_json({c})::text"))
        }
        "bool" => (Column::Bool, FieldKind::Bool, c.clone()),
        "int2" | "int4" | "int8" => (Column::Int, FieldKind::Int, format!("{c}::int8")),
        "oid" => (Column::Int, FieldKind::Int, format!("{c}::int8")),
        "numeric" if whole(found.modifier) => (Column::Int, FieldKind::Int, format!("{c}::int8")),
        // Through their text: 0.1 stays 0.1. What no double holds is none, or too small to tell.
        "numeric" if !(4..=MODIFIER).contains(&found.modifier) => {
            let shown = format!(
                "CASE WHEN abs({c}) < 1e-300 THEN 0 WHEN abs({c}) < 1e300 THEN {c}::text::float8 END"
            );
            (Column::Float, FieldKind::Float, shown)
        }
        "float4" | "numeric" => (Column::Float, FieldKind::Float, format!("{c}::text::float8")),
        "float8" => (Column::Float, FieldKind::Float, c.clone()),
        "date" => {
            let shown =
                format!("CASE WHEN {c} BETWEEN '4712-01-01 BC' AND '9999-12-31' THEN {c} END");
            (Column::Date, FieldKind::Date, shown)
        }
        // Without a zone it is taken for UTC.
        "timestamp" => {
            (Column::Time, FieldKind::DateTime, instant(&format!("({c} AT TIME ZONE 'UTC')")))
        }
        "timestamptz" => (Column::Time, FieldKind::DateTime, instant(&c)),
        "json" | "jsonb" => (Column::Text, FieldKind::Json, format!("{c}::text")),
        "hstore" => (Column::Text, FieldKind::Json, format!("to_json({c})::text")),
        "bytea" => (Column::Text, FieldKind::Text, format!("encode({c}, 'base64')")),
        _ => (Column::Text, FieldKind::Text, format!("{c}::text")),
    };
    // Compared as itself where that is what is shown: an index may serve.
    let plain = matches!(found.kind.as_str(), "text" | "varchar" | "int2" | "int4" | "date")
        && !found.array;
    let compared = if plain { c } else { shown.clone() };
    let index = match found.array || found.class == "c" {
        true => None,
        false => super::judge::index(&found.kind, &found.name, &compared),
    };
    Property { column, kind, shown, compared, index }
}

/// An instant within what calendars hold, in milliseconds.
fn instant(c: &str) -> String {
    format!(
        "CASE WHEN {c} BETWEEN '4712-01-01 BC' AND '9999-12-30' THEN date_trunc('milliseconds', {c}) END"
    )
}

/// Modifier of numerics of 300 digits: with fewer, a double holds them.
const MODIFIER: i32 = (300 << 16) | 0xffff;

/// Whether a numeric's modifier says that it holds whole numbers of 18 digits at most.
fn whole(modifier: i32) -> bool {
    modifier >= 4 && ((modifier - 4) & 0xffff) == 0 && ((modifier - 4) >> 16) <= 18
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_told_by_their_modifier() {
        // numeric(10,0), numeric(10,2), numeric, numeric(30,0)
        let modifier = |precision: i32, scale: i32| (precision << 16 | scale) + 4;
        assert!(whole(modifier(10, 0)));
        assert!(!whole(modifier(10, 2)) && !whole(-1) && !whole(modifier(30, 0)));
    }
}
