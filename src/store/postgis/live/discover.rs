//! Finds out the form of a table from the database's own catalogue: columns and their types,
//! geometry and SRID, key, comments — and what serving it costs, from the planner.

use super::super::{
    column::{Column, Raw},
    link::{Link, Param, Ran, cell},
    names::{Names, quoted},
};
use super::form::{Form, Geometry, Guard, Held, Key, KeyColumn, Property, column};
use crate::{
    error::{Error, Result},
    model::{Field, FieldKind, GeometryKind, LayerDef, Schema, TableSource, Text},
    text,
};
use sha2::{Digest, Sha256};
use tokio_postgres::types::Type;

/// From this many rows on, reading all of them for an answer hurts, and counting is left out.
pub(super) const LARGE: u64 = 100_000;

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
    };
    costs(link, names, source, &mut form).await?;
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
    let plain = matches!(found.kind.as_str(), "text" | "varchar" | "int2" | "int4" | "date");
    let compared = if plain { c } else { shown.clone() };
    Property { column, kind, shown, compared }
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
        key.push(KeyColumn { column: column(name), kind, held, sure: one.not_null });
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

/// Asks the planner how many rows there are and whether it has a way to some of them; says so to
/// people, or refuses.
async fn costs(link: &mut Link, names: &Names, source: &TableSource, form: &mut Form) -> Ran<()> {
    let plan = explain(link, &format!("SELECT 1 FROM {} AS t", form.relation), false).await?;
    form.estimate = plan_rows(&plan);
    form.small = form.estimate < LARGE;
    let mut ways = Vec::new();
    if let Some(geometry) = &form.geometry {
        let sides = ["0.0", "0.0", "1.0", "1.0"].map(|v| format!("{v}::float8"));
        let meets = geometry.meets_sides(names, sides);
        let sql = format!("SELECT 1 FROM {} AS t WHERE {meets}", form.relation);
        let found = explain(link, &sql, true).await.is_ok_and(|p| by_index(&p));
        if !found {
            ways.push(text!(
                "sans index spatial, chaque tuile et chaque emprise lit toute la table",
                "without a spatial index every tile and every box reads the whole table"
            ));
        }
    }
    let sorted = match &form.key {
        Key::Row { .. } => {
            ways.push(text!(
                "sans clé, les identifiants sont l'empreinte des lignes : ils changent avec elles, et chaque page lit toute la table",
                "without a key ids are a hash of the rows: they change with them, and every page reads the whole table"
            ));
            false
        }
        Key::Columns(_) => {
            let order = form.order();
            let sql = format!("SELECT 1 FROM {} AS t ORDER BY {order} LIMIT 1", form.relation);
            explain(link, &sql, true).await.is_ok_and(|p| p.contains("\"Sort\""))
        }
    };
    if sorted {
        ways.push(text!(
            "la clé n'a pas d'index : chaque page trie toute la table",
            "the key has no index: every page sorts the whole table"
        ));
    }
    if ways.is_empty() {
        return Ok(());
    }
    let join = |of: fn(&Text) -> &str| ways.iter().map(of).collect::<Vec<_>>().join(" ; ");
    let (fr, en) = (join(|t| &t.fr), join(|t| &t.en));
    let rows = form.estimate;
    if !form.small && !source.allow_slow {
        return Err(refused(text!(
            "Table d'environ {rows} lignes, trop pour être servie ainsi : {fr}. Ajoutez l'index ou la clé, ou allow_slow = true.",
            "A table of about {rows} rows, too many to serve like this: {en}. Add the index or the key, or allow_slow = true."
        )));
    }
    form.notices.push(text!("Coût : {fr}.", "Cost: {en}."));
    Ok(())
}

/// A plan as JSON text; `forced`: with every way preferred to reading all and to sorting.
async fn explain(link: &mut Link, sql: &str, forced: bool) -> Ran<String> {
    link.begin(None).await?;
    if forced {
        link.batch("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off").await?;
    }
    let rows = link.rows(&format!("EXPLAIN (FORMAT JSON) {sql}"), &[]).await;
    link.rollback().await?;
    Ok(match rows?.first() {
        Some(row) => String::from_utf8_lossy(cell::<Raw<'_>>(row, 0)?.0).into_owned(),
        None => String::new(),
    })
}

/// Whether some part of a plan finds boxes by an index.
fn by_index(plan: &str) -> bool {
    fn walk(node: &serde_json::Value) -> bool {
        match node {
            serde_json::Value::Array(all) => all.iter().any(walk),
            serde_json::Value::Object(members) => members.iter().any(|(name, value)| {
                let condition =
                    name == "Index Cond" && value.as_str().is_some_and(|c| c.contains("&&"));
                condition || walk(value)
            }),
            _ => false,
        }
    }
    serde_json::from_str(plan).is_ok_and(|plan: serde_json::Value| walk(&plan))
}

fn plan_rows(plan: &str) -> u64 {
    let plan: serde_json::Value = serde_json::from_str(plan).unwrap_or_default();
    let rows = plan.pointer("/0/Plan/Plan Rows").and_then(serde_json::Value::as_f64);
    rows.unwrap_or_default().max(0.0) as u64
}

/// The structural part of a look at a table: what it is called by, its columns, its comment. And
/// the other part: how often its rows, and those it is made of, changed, as far as they do not
/// announce it themselves.
pub(super) async fn look(link: &mut Link, source: &TableSource) -> Ran<Option<(String, u32)>> {
    let sql = "SELECT c.oid, md5(c.oid::text || c.relkind::text
                 || coalesce(pg_catalog.obj_description(c.oid, 'pg_class'), '')
                 || (SELECT string_agg(a.attname || ' ' || a.atttypid || ' ' || a.atttypmod || ' ' || a.attnotnull
                       || ' ' || coalesce(pg_catalog.col_description(a.attrelid, a.attnum), ''), ',' ORDER BY a.attnum)
                     FROM pg_catalog.pg_attribute a
                     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
                 || coalesce((SELECT string_agg(i.indexrelid::text || i.indisunique || i.indisvalid, ',' ORDER BY i.indexrelid)
                     FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid), ''))
               FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind::text = ANY ('{r,p,v,m,f}')";
    let params: [Param<'_>; 2] = [(&source.schema, Type::TEXT), (&source.table, Type::TEXT)];
    let Some(row) = link.row(sql, &params).await? else { return Ok(None) };
    Ok(Some((cell(&row, 1)?, cell(&row, 0)?)))
}

/// How often the rows changed, as a text that differs when they did.
pub(super) async fn counters(link: &mut Link, names: &Names, relations: &[u32]) -> Ran<String> {
    let sql = "SELECT coalesce(string_agg(c.oid || ':' || c.relfilenode || ':' || CASE
                 WHEN (SELECT bit_or(t.tgtype::int) FROM pg_catalog.pg_trigger t
                       JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
                       JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
                       WHERE t.tgrelid = c.oid AND t.tgenabled <> 'D' AND n.nspname = $2
                         AND p.proname = 'announce_edit') & 28 = 28 THEN 'announced'
                 WHEN c.relkind = 'f' THEN floor(extract(epoch FROM clock_timestamp()) / 60)::text
                 ELSE coalesce(pg_catalog.pg_stat_get_tuples_inserted(c.oid)
                   + pg_catalog.pg_stat_get_tuples_updated(c.oid)
                   + pg_catalog.pg_stat_get_tuples_deleted(c.oid), 0)::text END,
                 ',' ORDER BY c.oid), '')
               FROM pg_catalog.pg_class c
               WHERE c.oid = ANY ($1) AND c.relkind::text = ANY ('{r,p,m,f}')";
    let relations: Vec<u32> = relations.to_vec();
    let params: [Param<'_>; 2] = [(&relations, Type::OID_ARRAY), (&names.store, Type::TEXT)];
    super::super::load::first(link, sql, &params).await
}

/// The figures of a table: how many rows, where, of what kind.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, Default)]
pub(super) struct Figures {
    pub(super) count: u64,
    pub(super) exact: bool,
    pub(super) bbox: Option<[f64; 4]>,
    pub(super) kind: GeometryKind,
    /// Whether rows had to be brought to degrees one by one.
    #[serde(default)]
    pub(super) guarded: bool,
    /// Rows with a geometry that has no place on the map.
    #[serde(default)]
    pub(super) unplaced: u64,
}

/// Reads the figures of a table; what takes too long is the planner's estimate. Where the rows
/// together have no extent in degrees, some row of them has no place: then each is brought there
/// on its own.
pub(super) async fn figures(link: &mut Link, names: &Names, form: &Form) -> Ran<Figures> {
    let guarded = form.guarded();
    match read_figures(link, names, form).await {
        Err(e) if e.is_of_geometry() && !guarded && form.geometry.is_some() => {}
        Ok(figures) if !guarded && beyond(figures.bbox) => {}
        other => return other,
    }
    form.guard();
    read_figures(link, names, form).await
}

/// Whether an extent is none that degrees can say.
fn beyond(bbox: Option<[f64; 4]>) -> bool {
    const SLACK: f64 = 1e-6;
    bbox.is_some_and(|[w, s, e, n]| {
        let within =
            w >= -180.0 - SLACK && e <= 180.0 + SLACK && s >= -90.0 - SLACK && n <= 90.0 + SLACK;
        !within
    })
}

async fn read_figures(link: &mut Link, names: &Names, form: &Form) -> Ran<Figures> {
    let g = &names.gis;
    let kind = form.schema.geometry;
    let guarded = form.guarded();
    let mut figures = Figures { count: form.estimate, kind, guarded, ..Figures::default() };
    let mut list = ["count(*)", "NULL::text[]", "0::int8"].map(str::to_owned);
    if let (Some(geometry), true) = (&form.geometry, kind == GeometryKind::Geometry) {
        let c = &geometry.column;
        list[1] =
            format!("array_agg(DISTINCT {g}GeometryType({c})) FILTER (WHERE {c} IS NOT NULL)");
    }
    if let (Some(geometry), true) = (&form.geometry, guarded) {
        let (c, placed) = (&geometry.column, geometry.in_crs84(names, &geometry.column));
        list[2] = format!("count(*) FILTER (WHERE NOT {g}ST_IsEmpty({c}) AND {placed} IS NULL)");
    }
    let (extent, columns) = match &form.geometry {
        Some(geometry) => extent(names, geometry),
        None => {
            ("NULL".to_owned(), "NULL::float8, NULL::float8, NULL::float8, NULL::float8".into())
        }
    };
    let with_key = form.with_key().map(|k| format!(" WHERE {k}")).unwrap_or_default();
    let checks = match (&form.key, form.small) {
        (Key::Columns(columns), true) if columns.len() == 1 => {
            let c = columns.first().map(|c| c.column.as_str()).unwrap_or("NULL");
            format!("count({c}) AS keys, count(DISTINCT {c}::text) AS distinct_keys")
        }
        _ => "0::int8 AS keys, 0::int8 AS distinct_keys".to_owned(),
    };
    let sql = format!(
        "SELECT n, k, keys, distinct_keys, {columns}, unplaced FROM (SELECT {} AS n, {} AS k, {} AS unplaced, {checks}, {extent} AS e FROM {} AS t{with_key}) AS f",
        list[0], list[1], list[2], form.relation
    );
    let row = match link.row(&sql, &[]).await {
        Ok(row) => row,
        // Too much to look at in time: the estimate stays, the world is the extent.
        Err(super::super::link::Failed::Late) => {
            figures.bbox = form.geometry.as_ref().map(|_| [-180.0, -90.0, 180.0, 90.0]);
            return Ok(figures);
        }
        Err(e) => return Err(e),
    };
    let row = row.ok_or_else(|| Error::broken("a count gave no row"))?;
    figures.count = cell::<i64>(&row, 0)?.unsigned_abs();
    figures.exact = true;
    if let Some(kinds) = cell::<Option<Vec<String>>>(&row, 1)? {
        let kinds = kinds.iter().map(|k| kind_of(k));
        figures.kind = kinds.reduce(GeometryKind::widen).unwrap_or(kind);
    }
    let (keys, distinct) = (cell::<i64>(&row, 2)?, cell::<i64>(&row, 3)?);
    if keys > distinct {
        let twice = keys - distinct;
        return Err(refused(text!(
            "La clé se répète : {twice} lignes de trop. Choisissez une autre colonne (« key »).",
            "The key repeats: {twice} rows too many. Choose another column (\"key\")."
        )));
    }
    let sides: Vec<Option<f64>> = (4..8).map(|i| cell(&row, i)).collect::<Result<_>>()?;
    if let [Some(w), Some(s), Some(e), Some(n)] = sides[..] {
        figures.bbox = Some([w, s, e, n]);
        if !beyond(figures.bbox) {
            figures.bbox = Some([w.max(-180.0), s.max(-90.0), e.min(180.0), n.min(90.0)]);
        }
    }
    figures.unplaced = cell::<i64>(&row, 8)?.unsigned_abs();
    Ok(figures)
}

/// The extent of the rows of a query, as a shape to aggregate and its sides in degrees.
pub(super) fn extent(names: &Names, geometry: &Geometry) -> (String, String) {
    let (g, column, srid) = (&names.gis, &geometry.column, geometry.srid);
    if geometry.guard.is_up() {
        let placed = geometry.in_crs84(names, column);
        let list = ["XMin", "YMin", "XMax", "YMax"].map(|f| format!("{g}ST_{f}(e)"));
        return (format!("{g}ST_Extent({placed})::{g}geometry"), list.join(", "));
    }
    let shape =
        format!("{g}ST_SetSRID({g}ST_Extent({g}ST_Force2D({column}))::{g}geometry, {srid})");
    let sides = format!(
        "{g}ST_Transform({g}ST_Segmentize(e, greatest({g}ST_XMax(e) - {g}ST_XMin(e), {g}ST_YMax(e) - {g}ST_YMin(e)) / 16 + 1e-9), 4326)"
    );
    let list = ["XMin", "YMin", "XMax", "YMax"].map(|f| format!("{g}ST_{f}({sides})"));
    (shape, list.join(", "))
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
