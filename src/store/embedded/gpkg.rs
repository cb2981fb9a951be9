//! Writes the GeoPackage of a version (OGC 12-128r18): one feature table with its R-tree and
//! metadata, nothing else, so that any GIS opens it as it is.

use super::layout::Description;
pub(super) use crate::formats::geopackage::form::{BLOB_HEADER, quoted};
use crate::{
    error::{Error, Result},
    formats::geopackage::{
        form::{self, Columns},
        rtree::{self, Cell},
    },
    model::{Feature, GeometryKind, Schema, Value},
    store::{NewVersion, Spool, stored_wkb},
};
use geo_types::Geometry;
use rusqlite::{Connection, params, types::ToSqlOutput, types::ValueRef as Sql};
use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

fn sql(e: rusqlite::Error) -> Error {
    match e.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => Error::disk_full(),
        _ => Error::fault("GeoPackage", e),
    }
}

/// Chooses table and column names.
pub(super) fn describe(new: &NewVersion, table: &str) -> Description {
    let Columns { fid, geom, fields } = Columns::of(&new.version.schema);
    Description {
        format: super::layout::FORMAT,
        version: new.version.clone(),
        table: table.to_owned(),
        fid,
        geom,
        columns: fields,
    }
}

/// Writes the whole file. It is finished (no journal, no open transaction) when this returns.
/// `turn`: held while an index is made of more rows than are held in memory.
pub(super) fn write(
    path: &Path,
    d: &Description,
    new: &NewVersion,
    turn: &Mutex<()>,
) -> Result<()> {
    let mut db = Connection::open(path).map_err(sql)?;
    // The file is built aside and synced once at the end: no journal is needed meanwhile.
    db.execute_batch(
        "PRAGMA page_size=8192; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;
         PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=-16384;",
    )
    .map_err(sql)?;
    db.execute_batch(form::IDENTITY).map_err(sql)?;
    let tx = db.transaction().map_err(sql)?;
    tx.execute_batch(form::TABLES).map_err(sql)?;
    let columns = columns(d);
    tx.execute_batch(&columns.create(&d.table, &d.version.schema)).map_err(sql)?;
    let insert = columns.insert(&d.table);
    let held = insert_features(&tx, d, &insert, &new.features)?;
    register(&tx, d, new)?;
    if !d.geom.is_empty() {
        let turn = || turn.lock().unwrap_or_else(PoisonError::into_inner);
        let _turn = held.is_none().then(turn);
        let cells = match held {
            Some(cells) => cells,
            None => cells(&new.features)?,
        };
        let indexed = rtree::Indexed { table: &d.table, geom: &d.geom, fid: &d.fid };
        rtree::create(&tx, indexed, cells)?;
    }
    tx.commit().map_err(sql)?;
    db.execute_batch("PRAGMA optimize;").map_err(sql)?;
    db.close().map_err(|(_, e)| sql(e))
}

fn columns(d: &Description) -> Columns {
    Columns { fid: d.fid.clone(), geom: d.geom.clone(), fields: d.columns.clone() }
}

/// Inserts all rows; gives the cells of the spatial index, unless they are too many to be held
/// meanwhile.
fn insert_features(
    db: &Connection,
    d: &Description,
    statement: &str,
    features: &Spool<Feature>,
) -> Result<Option<Vec<Cell>>> {
    let kind = d.version.schema.geometry;
    let columns = d.columns.len();
    let mut insert = db.prepare(statement).map_err(sql)?;
    let mut cells = (!features.is_filed()).then(|| Vec::with_capacity(features.len()));
    let mut blob = Vec::new();
    features.each(|first, batch| {
        for (fid, feature) in (first as i64 + 1..).zip(batch) {
            insert.raw_bind_parameter(1, fid).map_err(sql)?;
            for i in 0..columns {
                let value = feature.values.get(i).unwrap_or(&Value::Null);
                insert.raw_bind_parameter(i + 2, to_sql(value)).map_err(sql)?;
            }
            if !d.geom.is_empty() {
                let place = columns + 2;
                match &feature.geometry {
                    Some(geometry) => {
                        blob.clear();
                        let b = geometry_blob(geometry, kind, &mut blob);
                        cells.iter_mut().for_each(|cells| cells.push(Cell::new(fid, b)));
                        insert.raw_bind_parameter(place, Sql::Blob(&blob).sql()).map_err(sql)?;
                    }
                    None => insert.raw_bind_parameter(place, rusqlite::types::Null).map_err(sql)?,
                }
            }
            insert.raw_execute().map_err(sql)?;
        }
        Ok(())
    })?;
    Ok(cells)
}

/// The cells of the spatial index.
fn cells(features: &Spool<Feature>) -> Result<Vec<Cell>> {
    let mut cells = Vec::with_capacity(features.len());
    features.each(|first, batch| {
        let placed = (first as i64 + 1..).zip(batch);
        let placed = placed.filter_map(|(fid, f)| Some((fid, f.geometry.as_ref()?)));
        cells.extend(placed.map(|(fid, geometry)| Cell::new(fid, bounds(geometry))));
        Ok(())
    })?;
    Ok(cells)
}

/// Lets a borrowed SQL value be bound.
trait Bindable<'a> {
    fn sql(self) -> ToSqlOutput<'a>;
}
impl<'a> Bindable<'a> for Sql<'a> {
    fn sql(self) -> ToSqlOutput<'a> {
        ToSqlOutput::Borrowed(self)
    }
}

fn to_sql(value: &Value) -> ToSqlOutput<'_> {
    use rusqlite::types::Value as Owned;
    match value {
        Value::Null => Sql::Null.sql(),
        Value::Bool(b) => Sql::Integer(i64::from(*b)).sql(),
        Value::Int(i) => Sql::Integer(*i).sql(),
        Value::Float(f) => Sql::Real(*f).sql(),
        Value::Text(s) | Value::Json(s) => Sql::Text(s.as_bytes()).sql(),
        Value::Date(d) => ToSqlOutput::Owned(Owned::Text(d.to_string())),
        // GeoPackage's DATETIME: ISO 8601, UTC, milliseconds (clause 1.1.1.1.3).
        Value::DateTime(t) => {
            ToSqlOutput::Owned(Owned::Text(t.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()))
        }
    }
}

/// The GeoPackage binary of a geometry (clause 2.1.3): header with envelope, then WKB.
fn geometry_blob(geometry: &Geometry<f64>, kind: GeometryKind, out: &mut Vec<u8>) -> [f64; 4] {
    let b = bounds(geometry);
    form::blob_header(4326, b, out);
    stored_wkb::write(geometry, kind, out);
    b
}

/// `[min x, max x, min y, max y]`, in the GeoPackage envelope's order.
fn bounds(geometry: &Geometry<f64>) -> [f64; 4] {
    use geo::CoordsIter;
    let mut b = [f64::INFINITY, f64::NEG_INFINITY, f64::INFINITY, f64::NEG_INFINITY];
    for c in geometry.coords_iter() {
        b = [b[0].min(c.x), b[1].max(c.x), b[2].min(c.y), b[3].max(c.y)];
    }
    b
}

fn register(db: &Connection, d: &Description, new: &NewVersion) -> Result<()> {
    let v = &d.version;
    let spatial = !d.geom.is_empty();
    let b = v.bbox.map(|b| b.to_array());
    let side = |i: usize| b.map(|b| b[i]);
    let changed = v.source.fetched_at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    db.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, description, last_change,
         min_x, min_y, max_x, max_y, srs_id) VALUES (?,?,?,?,?,?,?,?,?,?)",
        params![
            d.table,
            if spatial { "features" } else { "attributes" },
            new.title,
            new.provenance,
            changed,
            side(0),
            side(1),
            side(2),
            side(3),
            spatial.then_some(4326)
        ],
    )
    .map_err(sql)?;
    if spatial {
        db.execute(
            "INSERT INTO gpkg_geometry_columns VALUES (?,?,?,4326,0,0)",
            params![d.table, d.geom, v.schema.geometry.ogc_name()],
        )
        .map_err(sql)?;
    }
    db.execute("INSERT INTO gpkg_ogr_contents VALUES (?,?)", params![d.table, v.count as i64])
        .map_err(sql)?;
    let metadata = serde_json::json!({
        "layer": d.table, "version": v.id, "origin": v.source.origin, "sha256": v.source.sha256,
        "fetched_at": v.source.fetched_at, "provenance": new.provenance,
    });
    db.execute(
        "INSERT INTO gpkg_metadata VALUES (1, 'dataset', 'https://schema.org/Dataset',
         'application/json', ?)",
        [metadata.to_string()],
    )
    .map_err(sql)?;
    db.execute(
        "INSERT INTO gpkg_metadata_reference VALUES ('table', ?, NULL, NULL, ?, 1, NULL)",
        params![d.table, changed],
    )
    .map_err(sql)?;
    Ok(())
}

/// The columns that readers ask for: the key, the schema's fields, and geometry if wanted.
pub(super) fn select_columns(d: &Description, schema: &Schema, shapes: bool) -> String {
    let mut list = vec![quoted(&d.fid)];
    list.extend(d.columns.iter().take(schema.fields.len()).map(|c| quoted(c)));
    if shapes && !d.geom.is_empty() {
        list.push(quoted(&d.geom));
    }
    list.join(",")
}
