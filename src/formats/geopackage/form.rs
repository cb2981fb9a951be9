//! The form of the GeoPackages that are written here (OGC 12-128r18): names, types, blobs.

use crate::{
    formats::write::Names,
    model::{FieldKind, GeometryKind, Schema},
};

/// The tables that every file has, with the metadata extension.
pub const TABLES: &str = include_str!("tables.sql");
/// The table of the schema extension, for files that say something of their columns.
pub const DATA_COLUMNS: &str = "CREATE TABLE IF NOT EXISTS gpkg_data_columns (
  table_name TEXT NOT NULL, column_name TEXT NOT NULL, name TEXT, title TEXT, description TEXT,
  mime_type TEXT, constraint_name TEXT, CONSTRAINT pk_gdc PRIMARY KEY (table_name, column_name),
  CONSTRAINT gdc_tn UNIQUE (table_name, name));
INSERT INTO gpkg_extensions SELECT 'gpkg_data_columns', NULL, 'gpkg_schema',
  'http://www.geopackage.org/spec121/#extension_schema', 'read-write'
  WHERE NOT EXISTS (SELECT 1 FROM gpkg_extensions WHERE extension_name = 'gpkg_schema');";
/// `PRAGMA application_id` and `user_version`: GeoPackage 1.3.
pub const IDENTITY: &str = "PRAGMA application_id=0x47504B47; PRAGMA user_version=10300;";

/// SQL's way to name anything: quoted, quotes doubled.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The columns of a feature table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// The row number's.
    pub fid: String,
    /// The geometry's; empty without one.
    pub geom: String,
    /// The fields', in order.
    pub fields: Vec<String>,
}

impl Columns {
    /// The fields' own names, unless SQLite would take two for one.
    pub fn of(schema: &Schema) -> Self {
        let mut names = Names::default();
        let fields = schema.fields.iter().map(|f| names.free(&f.name)).collect();
        let fid = names.free("fid");
        let none = schema.geometry == GeometryKind::None;
        Self { fields, fid, geom: if none { String::new() } else { names.free("geom") } }
    }

    /// The statement that creates a table of them.
    pub fn create(&self, table: &str, schema: &Schema) -> String {
        let mut ddl = format!(
            "CREATE TABLE {} ({} INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL",
            quoted(table),
            quoted(&self.fid)
        );
        for (column, field) in self.fields.iter().zip(&schema.fields) {
            ddl.push_str(&format!(", {} {}", quoted(column), sql_type(field.kind)));
        }
        if !self.geom.is_empty() {
            // Last, so that reading attributes never walks through a geometry's overflow pages.
            ddl.push_str(&format!(", {} {}", quoted(&self.geom), schema.geometry.ogc_name()));
        }
        ddl.push(')');
        ddl
    }

    /// The statement that inserts a row: row number, fields, then geometry.
    pub fn insert(&self, table: &str) -> String {
        let geom = (!self.geom.is_empty()).then_some(&self.geom);
        let names: Vec<String> =
            std::iter::once(&self.fid).chain(&self.fields).chain(geom).map(|c| quoted(c)).collect();
        let marks = vec!["?"; names.len()].join(",");
        format!("INSERT INTO {} ({}) VALUES ({marks})", quoted(table), names.join(","))
    }
}

fn sql_type(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Bool => "BOOLEAN",
        FieldKind::Int => "INTEGER",
        FieldKind::Float => "REAL",
        FieldKind::Text | FieldKind::Json => "TEXT",
        FieldKind::Date => "DATE",
        FieldKind::DateTime => "DATETIME",
    }
}

/// Length of the header that [`blob_header`] writes.
pub const BLOB_HEADER: usize = 8 + 32;

/// Begins a geometry blob (clause 2.1.3): header with envelope, behind which comes the WKB.
/// `bounds`: min x, max x, min y, max y.
pub fn blob_header(srs: i32, bounds: [f64; 4], out: &mut Vec<u8>) {
    out.extend_from_slice(b"GP\x00\x03");
    out.extend_from_slice(&srs.to_le_bytes());
    for v in bounds {
        out.extend_from_slice(&v.to_le_bytes());
    }
}
