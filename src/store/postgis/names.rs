//! The text of every statement. Names that enter it are the program's own — schemas checked by
//! the configuration, tables and columns numbered — never a name or a value of the data: those
//! are bound, or quoted by the database itself (`show_layer`).

use super::column::Column;

/// Schemas, quoted and with their dot.
#[derive(Debug, Clone)]
pub(super) struct Names {
    /// Schema of the internal tables, plain.
    pub(super) store: String,
    /// Schema of the views, plain.
    pub(super) views: String,
    /// `"schema".` of PostGIS.
    pub(super) gis: String,
}

/// A name as SQL writes it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The columns of a features table before those of the schema.
pub(super) const HEAD: &str = "fid, id, west, south, east, north";

impl Names {
    pub(super) fn new(schema: &str) -> Self {
        Self {
            store: format!("{schema}_store"),
            views: schema.to_owned(),
            gis: quoted("public") + ".",
        }
    }

    /// A statement with `{s}` for the store's schema and `{g}` for that of PostGIS.
    pub(super) fn sql(&self, text: &str) -> String {
        text.replace("{s}", &(quoted(&self.store) + ".")).replace("{g}", &self.gis)
    }

    /// The table of a version's features.
    pub(super) fn features(&self, version: i64) -> String {
        format!("{}.f{version}", quoted(&self.store))
    }

    /// The table of a version's tile geometry.
    pub(super) fn tiles(&self, version: i64) -> String {
        format!("{}.t{version}", quoted(&self.store))
    }

    /// The list that a scan reads: fid, id, the fields, the geometry as ISO WKB.
    pub(super) fn row_list(&self, columns: &[Column], spatial: bool) -> String {
        let mut list = "fid, id".to_owned();
        for i in 0..columns.len() {
            list.push_str(&format!(", c{i}"));
        }
        if spatial {
            list.push_str(&format!(", {}ST_AsBinary(geom, 'NDR')", self.gis));
        }
        list
    }

    /// `CREATE TABLE` of a version's features.
    pub(super) fn create_features(
        &self,
        version: i64,
        id: Column,
        columns: &[Column],
        geometry: Option<&str>,
    ) -> String {
        let mut ddl = format!(
            "CREATE TABLE {} (fid bigint NOT NULL, id {} NOT NULL, west float8, south float8, east float8, north float8",
            self.features(version),
            id.sql_type()
        );
        for (i, column) in columns.iter().enumerate() {
            ddl.push_str(&format!(", c{i} {}", column.sql_type()));
        }
        if let Some(kind) = geometry {
            ddl.push_str(&format!(", geom {}geometry({kind}, 4326)", self.gis));
        }
        ddl.push(')');
        if geometry.is_some() {
            // Doubles do not compress; as they are, they are read without unpacking.
            ddl.push_str(&format!(
                "; ALTER TABLE {} ALTER COLUMN geom SET STORAGE EXTERNAL",
                self.features(version)
            ));
        }
        ddl
    }
}
