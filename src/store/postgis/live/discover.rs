//! Finds out the form of a table from the database's own catalogue: columns and their types,
//! geometry and SRID, key, comments.

use super::super::{
    column::Column,
    link::{Link, Ran, cell},
    names::{Names, quoted},
};
use super::form::{Form, Geometry, Guard, Held, Key, KeyColumn, Property, column};
use crate::{
    error::Error,
    model::{Field, FieldKind, GeometryKind, LayerDef, Schema, TableSource, Text},
    text,
};
use sha2::{Digest, Sha256};
use tokio_postgres::types::Type;

/// A column of the catalogue.
struct Found {
    name: String,
    /// Base type.
    kind: String,
    /// Its type, as SQL writes it.
    written: String,
    modifier: i32,
    /// `b` base, `e` enumeration, `c` composite, `r` range…
    class: String,
    array: bool,
    readable: bool,
    not_null: bool,
    /// The column's comment.
    comment: Option<String>,
}

/// The table, found.
pub(super) async fn discover(
    link: &mut Link,
    names: &Names,
    def: &LayerDef,
    source: &TableSource,
    seen: String,
) -> Ran<Form> {
    let (schema, table) = (&source.schema, &source.table);
    let sql = "SELECT c.oid, c.relkind::text, pg_catalog.obj_description(c.oid, 'pg_class')
               FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind::text = ANY ('{r,p,v,m,f}')";
    let row = link.row(sql, &[(schema, Type::TEXT), (table, Type::TEXT)]).await?;
    let Some(row) = row else {
        return Err(refused(text!(
            "La table {schema}.{table} n'existe pas dans la base.",
            "There is no table {schema}.{table} in the database."
        )));
    };
    let oid: u32 = cell(&row, 0)?;
    let comment: Option<String> = cell(&row, 2)?;
    let found = columns(link, oid).await?;
    let mut notices = Vec::new();
    let geometry = geometry(link, names, source, oid, &found, &mut notices).await?;
    let (fields, properties) = properties(source, &found, &mut notices)?;
    let relation = format!("{}.{}", quoted(schema), quoted(table));
    let (key, key_field) = key(link, source, oid, &found).await?;
    let (title, description) = comment_parts(comment.as_deref());
    let (geometry, kind) = match geometry {
        Some((geometry, kind)) => (Some(geometry), kind),
        None => (None, GeometryKind::None),
    };
    let commented = |f: &Found| Some((f.name.clone(), f.comment.clone()?));
    let mut form = Form {
        comments: found.iter().filter_map(commented).collect(),
        relation,
        oid,
        relations: relations(link, oid).await?,
        key_field: key_field.filter(|k| fields.iter().any(|f| f.name == *k)),
        schema: Schema { fields, geometry: kind },
        fields: properties,
        geometry,
        key,
        hash: String::new(),
        seen,
        title,
        description,
        notices,
        small: false,
        estimate: 0,
        cost: 0.0,
        counted: false,
        own_rows: matches!(cell::<&str>(&row, 1)?, "r" | "p" | "m"),
        found: std::time::Instant::now(),
    };
    super::costs::costs(link, names, source, &mut form).await?;
    form.hash = hash(def, &form);
    Ok(form)
}

pub(super) fn refused(text: Text) -> super::super::link::Failed {
    Error::Refused(text).into()
}

/// What names the form: everything that shapes an answer.
fn hash(def: &LayerDef, form: &Form) -> String {
    let all = format!(
        "2{:?}{:?}{:?}{:?}{:?}{:?}{:?}{:?}",
        def.source,
        def.tiles,
        def.territory,
        form.schema,
        form.fields,
        form.geometry,
        form.key,
        form.comments
    );
    let digest = Sha256::digest(all);
    digest.iter().take(4).map(|b| format!("{b:02x}")).collect()
}

/// The first line of a comment is a title; what follows describes.
fn comment_parts(comment: Option<&str>) -> (Option<String>, Option<String>) {
    let mut lines = comment.unwrap_or_default().trim().splitn(2, '\n');
    let mut next = || lines.next().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned);
    (next(), next())
}

async fn columns(link: &mut Link, oid: u32) -> Ran<Vec<Found>> {
    let sql =
        "SELECT a.attname::text, b.typname::text, pg_catalog.format_type(a.atttypid, a.atttypmod),
                 CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END, b.typtype::text,
                 b.typcategory::text = 'A',
                 pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT'), a.attnotnull,
                 pg_catalog.col_description(a.attrelid, a.attnum)
               FROM pg_catalog.pg_attribute a
               JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
               JOIN pg_catalog.pg_type b
                 ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
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

fn spatial(found: &Found) -> bool {
    matches!(found.kind.as_str(), "geometry" | "geography")
}

/// The table's columns, for a message.
fn listed(found: &[Found]) -> String {
    found.iter().map(|f| f.name.as_str()).collect::<Vec<_>>().join(", ")
}

async fn geometry(
    link: &mut Link,
    names: &Names,
    source: &TableSource,
    oid: u32,
    found: &[Found],
    notices: &mut Vec<Text>,
) -> Ran<Option<(Geometry, GeometryKind)>> {
    let mut candidates = found.iter().filter(|f| spatial(f) && f.readable);
    let chosen = match &source.geometry {
        Some(name) => {
            let chosen = candidates.find(|f| f.name == *name);
            chosen.ok_or_else(|| {
                let list = listed(found);
                refused(text!(
                    "« {name} » n'est pas une colonne de géométrie lisible. Colonnes : {list}.",
                    "\"{name}\" is no readable geometry column. Columns: {list}."
                ))
            })?
        }
        None => match candidates.next() {
            Some(first) => first,
            None => return Ok(None),
        },
    };
    let chosen_name = &chosen.name;
    for other in found.iter().filter(|f| spatial(f) && f.name != chosen.name) {
        let name = &other.name;
        notices.push(text!(
            "La table a une autre géométrie, « {name} », qui n'est pas montrée.",
            "The table has another geometry, \"{name}\", which is not shown."
        ));
    }
    let sql = names.sql("SELECT {g}postgis_typmod_type($1), {g}postgis_typmod_srid($1)");
    let row = link.row(&sql, &[(&chosen.modifier, Type::INT4)]).await?;
    let row = row.ok_or_else(|| Error::broken("PostGIS says nothing of a column"))?;
    let (kind, mut native) = (kind_of(cell(&row, 0)?), cell::<i32>(&row, 1)?);
    let mut expression = column(&chosen.name);
    if chosen.kind == "geography" {
        expression = format!("({expression})::{}geometry", names.gis);
        native = if native == 0 { 4326 } else { native };
    } else if native == 0 {
        native = sampled_srid(link, names, oid, &chosen.name).await?;
    }
    let srid = source.srid.and_then(|s| i32::try_from(s).ok()).unwrap_or(native);
    if srid == 0 {
        return Err(refused(text!(
            "La géométrie « {chosen_name} » n'a pas de SRID : indiquez « srid ».",
            "The geometry \"{chosen_name}\" has no SRID: give \"srid\"."
        )));
    }
    let curved = kind == GeometryKind::Geometry;
    Ok(Some((Geometry { column: expression, native, srid, curved, guard: Guard::default() }, kind)))
}

/// The SRID of a column whose type names none: that of any of its values.
async fn sampled_srid(link: &mut Link, names: &Names, oid: u32, name: &str) -> Ran<i32> {
    let sql = "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname)
               FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               WHERE c.oid = $1";
    let relation: String = super::super::load::first(link, sql, &[(&oid, Type::OID)]).await?;
    let name = quoted(name);
    let sql = format!(
        "SELECT coalesce((SELECT {}ST_SRID({name}::{}geometry) FROM {relation} WHERE {name} IS NOT NULL LIMIT 1), 0)",
        names.gis, names.gis
    );
    super::super::load::first(link, &sql, &[]).await
}

/// PostGIS's name of a type, without Z and M.
pub(super) fn kind_of(name: &str) -> GeometryKind {
    match name.to_ascii_uppercase().trim_end_matches(['Z', 'M']) {
        "POINT" => GeometryKind::Point,
        "MULTIPOINT" => GeometryKind::MultiPoint,
        "LINESTRING" => GeometryKind::LineString,
        "MULTILINESTRING" => GeometryKind::MultiLineString,
        "POLYGON" => GeometryKind::Polygon,
        "MULTIPOLYGON" => GeometryKind::MultiPolygon,
        _ => GeometryKind::Geometry,
    }
}

fn properties(
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
        // Through their text: 0.1 stays 0.1.
        "float4" | "numeric" => (Column::Float, FieldKind::Float, format!("{c}::text::float8")),
        "float8" => (Column::Float, FieldKind::Float, c.clone()),
        "date" => {
            let shown =
                format!("CASE WHEN {c} BETWEEN '4712-01-01 BC' AND '9999-12-30' THEN {c} END");
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

/// Whether a numeric's modifier says that it holds whole numbers of 18 digits at most.
fn whole(modifier: i32) -> bool {
    modifier >= 4 && ((modifier - 4) & 0xffff) == 0 && ((modifier - 4) >> 16) <= 18
}

/// What tells rows apart, and the field that does, when one alone does.
async fn key(
    link: &mut Link,
    source: &TableSource,
    oid: u32,
    found: &[Found],
) -> Ran<(Key, Option<String>)> {
    let sql = "SELECT array_agg(a.attname::text ORDER BY k.place)
               FROM pg_catalog.pg_index i
               CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place)
               JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
               WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
                 AND i.indexprs IS NULL AND k.place <= i.indnkeyatts
               GROUP BY i.indexrelid, i.indisprimary
               HAVING bool_and(a.attnotnull) ORDER BY i.indisprimary DESC, count(*), i.indexrelid";
    let mut indexes: Vec<Vec<String>> = Vec::new();
    for row in &link.rows(sql, &[(&oid, Type::OID)]).await? {
        indexes.push(cell(row, 0)?);
    }
    let columns = match &source.key {
        Some(key) => vec![key.clone()],
        None => indexes.into_iter().next().unwrap_or_default(),
    };
    if columns.is_empty() {
        let free = |wanted: &str| {
            let mut name = wanted.to_owned();
            while found.iter().any(|f| f.name == name) {
                name.push('_');
            }
            name
        };
        return Ok((Key::Row { hash: free("socle hash"), number: free("socle number") }, None));
    }
    let mut key = Vec::with_capacity(columns.len());
    for name in &columns {
        let Some(one) = found.iter().find(|f| f.name == *name && f.readable) else {
            let list = listed(found);
            return Err(refused(text!(
                "La clé « {name} » n'est pas une colonne lisible de la table. Colonnes : {list}.",
                "The key \"{name}\" is no readable column of the table. Columns: {list}."
            )));
        };
        let held = match one.kind.as_str() {
            "int2" | "int4" | "int8" => Held::Int,
            "text" | "varchar" => Held::Text,
            _ => Held::Other,
        };
        let kind = one.written.clone();
        let (name, column) = (name.clone(), column(name));
        key.push(KeyColumn { name, column, kind, held, sure: one.not_null });
    }
    let single = (columns.len() == 1).then(|| columns.into_iter().next()).flatten();
    Ok((Key::Columns(key), single))
}

/// A relation and what it is made of: the tables under a view, the partitions of a table.
async fn relations(link: &mut Link, oid: u32) -> Ran<Vec<u32>> {
    let sql = "WITH RECURSIVE made (oid) AS (
                 SELECT $1::oid
                 UNION
                 SELECT x.oid FROM made, LATERAL (
                   SELECT d.refobjid AS oid FROM pg_catalog.pg_rewrite w
                   JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass
                     AND d.objid = w.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass
                   WHERE w.ev_class = made.oid
                   UNION ALL
                   SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = made.oid) x)
               SELECT array_agg(oid ORDER BY oid) FROM made";
    super::super::load::first(link, sql, &[(&oid, Type::OID)]).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_types_are_read() {
        assert_eq!(
            comment_parts(Some("Écoles\nPubliques.\nEt privées.")).0.as_deref(),
            Some("Écoles")
        );
        assert_eq!(comment_parts(Some(" ")), (None, None));
        assert_eq!(kind_of("MultiPolygonZM"), GeometryKind::MultiPolygon);
        assert_eq!(kind_of("CURVEPOLYGON"), GeometryKind::Geometry);
        // numeric(10,0), numeric(10,2), numeric, numeric(30,0)
        let modifier = |precision: i32, scale: i32| (precision << 16 | scale) + 4;
        assert!(whole(modifier(10, 0)));
        assert!(!whole(modifier(10, 2)) && !whole(-1) && !whole(modifier(30, 0)));
    }
}
