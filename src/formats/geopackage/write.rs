//! GeoPackage with several layers (OGC 12-128r18): features with their R-tree, what each layer
//! says of itself as metadata, and QGIS's styles. Built in the scratch folder, where SQLite needs
//! a file, then handed on whole.

use super::{
    form::{self, Columns},
    rtree::{self, Cell},
};
use crate::{
    error::{Error, Result},
    formats::{
        wkb,
        write::{Head, Names, Options, Row, Target, Writer},
    },
    model::{FieldKind, GeometryKind, ValueRef},
};
use rusqlite::{
    Connection, params,
    types::{ToSqlOutput, ValueRef as Sql},
};
use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Rows between two commits: SQLite keeps little of what is not written yet.
const COMMIT: u64 = 20_000;

/// What QGIS looks for: `layer_styles`, as it creates it.
const STYLES: &str = "CREATE TABLE IF NOT EXISTS layer_styles (
  id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT, f_table_schema TEXT,
  f_table_name TEXT, f_geometry_column TEXT, styleName TEXT, styleQML TEXT, styleSLD TEXT,
  useAsDefault BOOLEAN, description TEXT, owner TEXT, ui TEXT,
  update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')));";

/// Begins a file.
pub(in crate::formats) fn open(target: Target, _: Options) -> Result<Box<dyn Writer>> {
    let path = target.scratch.join("export.gpkg");
    let db = Connection::open(&path).map_err(sql)?;
    // Nobody reads it before it is whole, and what is not whole is thrown away: no journal.
    db.execute_batch(
        "PRAGMA page_size=4096; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;
         PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=-8192; PRAGMA temp_store=MEMORY;",
    )
    .map_err(sql)?;
    db.execute_batch(form::IDENTITY).map_err(sql)?;
    db.execute_batch("BEGIN").map_err(sql)?;
    db.execute_batch(form::TABLES).map_err(sql)?;
    Ok(Box::new(Geopackage { target, path, db, names: Names::default(), layer: None }))
}

struct Geopackage {
    target: Target,
    path: PathBuf,
    db: Connection,
    names: Names,
    layer: Option<Layer>,
}

struct Layer {
    head: Head,
    table: String,
    columns: Columns,
    insert: String,
    rows: u64,
    cells: Vec<Cell>,
    extent: Option<[f64; 4]>,
    blob: Vec<u8>,
}

impl Writer for Geopackage {
    fn begin(&mut self, head: &Head) -> Result<()> {
        let table = self.names.free(&head.name);
        let columns = Columns::of(&head.schema);
        self.db.execute_batch(&columns.create(&table, &head.schema)).map_err(sql)?;
        self.layer = Some(Layer {
            insert: columns.insert(&table),
            head: head.clone(),
            table,
            columns,
            rows: 0,
            cells: Vec::new(),
            extent: None,
            blob: Vec::new(),
        });
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>) -> Result<()> {
        let Some(layer) = &mut self.layer else {
            return Err(Error::broken("a row before its layer"));
        };
        layer.row(&self.db, row)?;
        if layer.rows.is_multiple_of(COMMIT) {
            self.db.execute_batch("COMMIT; BEGIN").map_err(sql)?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let Some(mut layer) = self.layer.take() else {
            return Err(Error::broken("the end of no layer"));
        };
        layer.register(&self.db)?;
        if !layer.columns.geom.is_empty() {
            let (geom, fid) = (&layer.columns.geom, &layer.columns.fid);
            let indexed = rtree::Indexed { table: &layer.table, geom, fid };
            rtree::create(&self.db, indexed, std::mem::take(&mut layer.cells))?;
        }
        layer.say(&self.db)?;
        layer.describe(&self.db)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.db.execute_batch("COMMIT").map_err(sql)?;
        self.db.close().map_err(|(_, e)| sql(e))?;
        let mut file = File::open(&self.path).map_err(fault)?;
        io::copy(&mut file, &mut self.target.out).map_err(fault)?;
        self.target.out.flush().map_err(fault)?;
        std::fs::remove_file(&self.path).map_err(fault)
    }
}

impl Layer {
    fn row(&mut self, db: &Connection, row: &Row<'_>) -> Result<()> {
        self.rows += 1;
        let fid = self.rows as i64;
        let fields = &self.head.schema.fields;
        let mut insert = db.prepare_cached(&self.insert).map_err(sql)?;
        insert.raw_bind_parameter(1, fid).map_err(sql)?;
        for (i, field) in fields.iter().enumerate() {
            let value = row.values.get(i).copied().unwrap_or(ValueRef::Null);
            insert.raw_bind_parameter(i + 2, bound(value, field.kind)).map_err(sql)?;
        }
        if !self.columns.geom.is_empty() {
            let place = fields.len() + 2;
            match row.wkb {
                Some(wkb) => {
                    let broken = |e| Error::fault("a stored geometry cannot be read", e);
                    let bounds = wkb::bounds(wkb).map_err(broken)?;
                    self.blob.clear();
                    let srs = i32::try_from(self.head.system.code).unwrap_or(0);
                    let [x0, y0, x1, y1] = bounds.unwrap_or([f64::NAN; 4]);
                    form::blob_header(srs, [x0, x1, y0, y1], &mut self.blob);
                    self.blob.extend_from_slice(wkb);
                    if bounds.is_some() {
                        self.cells.push(Cell::new(fid, [x0, x1, y0, y1]));
                        let e = self.extent.unwrap_or([x0, y0, x1, y1]);
                        self.extent =
                            Some([e[0].min(x0), e[1].min(y0), e[2].max(x1), e[3].max(y1)]);
                    }
                    let blob = ToSqlOutput::Borrowed(Sql::Blob(&self.blob));
                    insert.raw_bind_parameter(place, blob).map_err(sql)?;
                }
                None => insert.raw_bind_parameter(place, rusqlite::types::Null).map_err(sql)?,
            }
        }
        insert.raw_execute().map_err(sql).map(drop)
    }

    fn register(&self, db: &Connection) -> Result<()> {
        let system = &self.head.system;
        let name = system.wkt.split('"').nth(1).unwrap_or_default();
        db.execute(
            "INSERT OR IGNORE INTO gpkg_spatial_ref_sys VALUES (?,?,'EPSG',?,?,NULL)",
            params![name, system.code, system.code, system.wkt],
        )
        .map_err(sql)?;
        let spatial = !self.columns.geom.is_empty();
        let side = |i: usize| self.extent.and_then(|e| e.get(i).copied());
        let identifier = format!("{} ({})", self.head.title, self.table);
        db.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, description,
             min_x, min_y, max_x, max_y, srs_id) VALUES (?,?,?,?,?,?,?,?,?)",
            params![
                self.table,
                if spatial { "features" } else { "attributes" },
                identifier,
                self.words(),
                side(0),
                side(1),
                side(2),
                side(3),
                spatial.then_some(system.code)
            ],
        )
        .map_err(sql)?;
        if spatial {
            let kind = self.head.schema.geometry.ogc_name();
            db.execute(
                "INSERT INTO gpkg_geometry_columns VALUES (?,?,?,?,0,0)",
                params![self.table, self.columns.geom, kind, system.code],
            )
            .map_err(sql)?;
        }
        let count = self.rows as i64;
        db.execute("INSERT INTO gpkg_ogr_contents VALUES (?,?)", params![self.table, count])
            .map_err(sql)
            .map(drop)
    }

    /// What people read of the layer in its properties.
    fn words(&self) -> String {
        let mut words = self.head.description.clone();
        for fact in &self.head.facts {
            if !words.is_empty() {
                words.push('\n');
            }
            words.push_str(&format!("{} : {}", fact.label, fact.value));
        }
        words
    }

    /// What is said of columns (extension `gpkg_schema`): QGIS shows it as alias and comment.
    fn say(&self, db: &Connection) -> Result<()> {
        let said = self.head.said.iter();
        let columns = said.filter_map(|said| {
            Some((self.columns.fields.get(self.head.schema.index(&said.name)?)?, said))
        });
        let columns: Vec<_> = columns.collect();
        if columns.is_empty() {
            return Ok(());
        }
        db.execute_batch(form::DATA_COLUMNS).map_err(sql)?;
        for (column, said) in &columns {
            // A name may stand for one column of a table only.
            let alone = columns.iter().filter(|(_, other)| other.title == said.title).count() == 1;
            db.execute(
                "INSERT INTO gpkg_data_columns (table_name, column_name, name, title, description)
                 VALUES (?,?,?,?,?)",
                params![
                    self.table,
                    column,
                    alone.then_some(&said.title),
                    said.title,
                    said.description
                ],
            )
            .map_err(sql)?;
        }
        Ok(())
    }

    /// The layer's metadata for programs, and its style.
    fn describe(&self, db: &Connection) -> Result<()> {
        db.execute(
            "INSERT INTO gpkg_metadata (md_scope, md_standard_uri, mime_type, metadata)
             VALUES ('dataset', 'https://schema.org/Dataset', 'application/json', ?)",
            [self.head.metadata().to_string()],
        )
        .map_err(sql)?;
        db.execute(
            "INSERT INTO gpkg_metadata_reference (reference_scope, table_name, md_file_id)
             VALUES ('table', ?, last_insert_rowid())",
            [&self.table],
        )
        .map_err(sql)?;
        let Some(style) = &self.head.style else { return Ok(()) };
        if self.head.schema.geometry == GeometryKind::None {
            return Ok(());
        }
        db.execute_batch(STYLES).map_err(sql)?;
        db.execute(
            "INSERT OR IGNORE INTO gpkg_contents (table_name, data_type, identifier)
             VALUES ('layer_styles', 'attributes', 'layer_styles')",
            [],
        )
        .map_err(sql)?;
        db.execute(
            "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name,
             f_geometry_column, styleName, styleQML, useAsDefault, description)
             VALUES ('', '', ?, ?, ?, ?, 1, ?)",
            params![self.table, self.columns.geom, style.name, style.qml, self.head.title],
        )
        .map_err(sql)
        .map(drop)
    }
}

fn bound(value: ValueRef<'_>, kind: FieldKind) -> ToSqlOutput<'_> {
    use rusqlite::types::Value as Owned;
    let borrowed = ToSqlOutput::Borrowed;
    match value {
        ValueRef::Null => borrowed(Sql::Null),
        ValueRef::Bool(b) => borrowed(Sql::Integer(i64::from(b))),
        ValueRef::Int(i) => borrowed(Sql::Integer(i)),
        ValueRef::Float(f) => borrowed(Sql::Real(f)),
        ValueRef::Text(text) if kind == FieldKind::DateTime => {
            // GeoPackage's DATETIME: ISO 8601, UTC, milliseconds (clause 1.1.1.1.3).
            match text.parse::<jiff::Timestamp>() {
                Ok(at) => ToSqlOutput::Owned(Owned::Text(
                    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
                )),
                Err(_) => borrowed(Sql::Text(text.as_bytes())),
            }
        }
        ValueRef::Text(text) | ValueRef::Json(text) => borrowed(Sql::Text(text.as_bytes())),
    }
}

fn fault(e: io::Error) -> Error {
    Error::io(Path::new("a GeoPackage"), e)
}

fn sql(e: rusqlite::Error) -> Error {
    match e.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => Error::disk_full(),
        _ => Error::fault("writing a GeoPackage", e),
    }
}
