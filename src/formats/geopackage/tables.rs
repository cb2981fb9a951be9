//! What a GeoPackage says of its tables: which hold features, their columns and their CRS.

use crate::{
    error::{Error, Result},
    formats::{refused, types},
    model::{FieldKind, Text},
    text,
};
use rusqlite::{Connection, OptionalExtension, params};

/// One table to read.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) name: String,
    /// Its geometry column; `None`: a table of attributes.
    pub(super) geometry: Option<String>,
    pub(super) srs_id: Option<i64>,
    /// The integer primary key to page by.
    pub(super) key: Option<String>,
    /// Whether it is a view, which may have no row ids.
    pub(super) view: bool,
    /// Columns kept as fields.
    pub(super) columns: Vec<Column>,
    pub(super) notes: Vec<Text>,
}

/// One column kept as a field.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: FieldKind,
}

pub(super) use super::form::quoted as quote;

/// A failure of SQLite on a file that is not ours: the file is at fault.
pub(super) fn unreadable(e: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode as Code;
    match e.sqlite_error_code() {
        Some(Code::OutOfMemory | Code::SystemIoFailure | Code::CannotOpen) => {
            Error::fault("reading a GeoPackage", e)
        }
        Some(Code::OperationInterrupted) => refused(text!(
            "lire ce GeoPackage demande trop de calcul : une de ses vues n'en finit pas ; livrez une table",
            "reading this GeoPackage takes too much work: one of its views does not end; deliver a table"
        )),
        Some(Code::TooBig) => refused(text!(
            "une valeur de ce GeoPackage est plus grande que le fichier : sa vue la fabrique ; livrez une table",
            "a value of this GeoPackage is larger than the file: its view makes it; deliver a table"
        )),
        _ => refused(text!(
            "GeoPackage illisible : fichier tronqué ou corrompu",
            "unreadable GeoPackage: truncated or corrupt file"
        )),
    }
}

/// The table to read: the one named, else the only one with features.
pub(super) fn choose(db: &Connection, member: Option<&str>) -> Result<Table> {
    let known: bool = db
        .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'gpkg_contents'", [], |row| {
            row.get::<_, i64>(0).map(|n| n > 0)
        })
        .map_err(unreadable)?;
    if !known {
        return Err(refused(text!(
            "cette base SQLite n'est pas un GeoPackage (pas de table gpkg_contents)",
            "this SQLite database is not a GeoPackage (no table gpkg_contents)"
        )));
    }
    let tables = contents(db).map_err(unreadable)?;
    let list = || {
        let names: Vec<_> = tables.iter().take(50).map(|t| t.0.as_str()).collect();
        names.join(", ")
    };
    let name = match member {
        Some(wanted) => {
            let exact = tables.iter().find(|t| t.0 == wanted);
            let close = || tables.iter().find(|t| t.0.to_lowercase() == wanted.to_lowercase());
            let found = exact.or_else(close).ok_or_else(|| {
                let list = list();
                refused(text!(
                    "le GeoPackage n'a pas de table « {wanted} » ; tables : {list}",
                    "the GeoPackage has no table \"{wanted}\"; tables: {list}"
                ))
            })?;
            found.0.clone()
        }
        None => {
            let features: Vec<_> = tables.iter().filter(|t| t.1 == "features").collect();
            let candidates = if features.is_empty() { tables.iter().collect() } else { features };
            match candidates.as_slice() {
                [one] => one.0.clone(),
                [] => {
                    return Err(refused(text!(
                        "le GeoPackage ne contient aucune table d'entités",
                        "the GeoPackage holds no feature table"
                    )));
                }
                _ => {
                    let list = list();
                    return Err(refused(text!(
                        "le GeoPackage contient plusieurs tables : choisir avec « member » parmi {list}",
                        "the GeoPackage holds several tables: choose one with \"member\" among {list}"
                    )));
                }
            }
        }
    };
    describe(db, name)
}

/// Names and data types of the tables with features or attributes.
fn contents(db: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let mut statement = db.prepare(
        "SELECT table_name, data_type FROM gpkg_contents \
         WHERE data_type IN ('features', 'attributes') ORDER BY rowid LIMIT 10000",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// A column as SQLite describes it.
struct Raw {
    name: String,
    declared: String,
    key: bool,
}

fn describe(db: &Connection, name: String) -> Result<Table> {
    let geometry: Option<(String, i64)> = match db
        .query_row(
            "SELECT column_name, srs_id FROM gpkg_geometry_columns WHERE table_name = ?1",
            params![name],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()
    {
        Ok(found) => found,
        // A GeoPackage of attributes alone may lack the table.
        Err(rusqlite::Error::SqliteFailure(e, _)) if e.code == rusqlite::ErrorCode::Unknown => None,
        Err(e) => return Err(unreadable(e)),
    };
    let raw = raw_columns(db, &name).map_err(unreadable)?;
    if raw.is_empty() {
        return Err(refused(text!(
            "la table « {name} » annoncée par le GeoPackage n'existe pas",
            "the table \"{name}\" announced by the GeoPackage does not exist"
        )));
    }
    let view = db
        .query_row(
            "SELECT type = 'view' FROM sqlite_schema WHERE name = ?1 AND type IN ('table', 'view')",
            params![name],
            |row| row.get(0),
        )
        .optional()
        .map_err(unreadable)?
        .unwrap_or(false);
    let json = json_columns(db, &name);
    let mut table = Table {
        key: raw.iter().find(|c| c.key).map(|c| c.name.clone()),
        geometry: geometry.as_ref().map(|g| g.0.clone()),
        srs_id: geometry.map(|g| g.1),
        name,
        view,
        columns: Vec::new(),
        notes: Vec::new(),
    };
    for column in raw {
        keep(&mut table, column, &json);
    }
    Ok(table)
}

/// Keeps a column as a field, or says why not.
fn keep(table: &mut Table, column: Raw, json: &[String]) {
    let Raw { name, declared, key } = column;
    if table.geometry.as_ref().is_some_and(|g| g.eq_ignore_ascii_case(&name)) {
        return;
    }
    // GDAL's row numbers: they change from one delivery to the next and would make every
    // feature look new.
    if key && matches!(name.to_ascii_lowercase().as_str(), "fid" | "ogc_fid") {
        table.notes.push(text!(
            "clé technique « {name} » non gardée comme attribut",
            "technical key \"{name}\" not kept as an attribute"
        ));
        return;
    }
    match kind(&declared) {
        None => table.notes.push(text!(
            "colonne binaire « {name} » non gardée",
            "binary column \"{name}\" not kept"
        )),
        Some(_) if json.contains(&name) => {
            table.columns.push(Column { name, kind: FieldKind::Json });
        }
        Some(kind) => table.columns.push(Column { name, kind }),
    }
}

fn raw_columns(db: &Connection, table: &str) -> rusqlite::Result<Vec<Raw>> {
    let mut statement =
        db.prepare("SELECT name, type, pk, (SELECT max(pk) FROM pragma_table_info(?1)) FROM pragma_table_info(?1)")?;
    let rows = statement.query_map(params![table], |row| {
        let declared: String = row.get(1)?;
        let single = row.get::<_, i64>(2)? == 1 && row.get::<_, i64>(3)? == 1;
        let key = single && declared.eq_ignore_ascii_case("INTEGER");
        Ok(Raw { name: row.get(0)?, declared, key })
    })?;
    rows.collect()
}

/// Columns that the schema extension says hold JSON.
fn json_columns(db: &Connection, table: &str) -> Vec<String> {
    let query = || -> rusqlite::Result<Vec<String>> {
        let mut statement = db.prepare(
            "SELECT column_name FROM gpkg_data_columns \
             WHERE table_name = ?1 AND mime_type = 'application/json'",
        )?;
        let rows = statement.query_map(params![table], |row| row.get(0))?;
        rows.collect()
    };
    // The extension is optional: most files do not have its table.
    query().unwrap_or_default()
}

/// The kind of a declared type (OGC 12-128r18, table 1); `None`: binary.
fn kind(declared: &str) -> Option<FieldKind> {
    let upper = declared.to_ascii_uppercase();
    let base = upper.split('(').next().unwrap_or_default().trim();
    Some(match base {
        "BOOLEAN" | "BOOL" => FieldKind::Bool,
        "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "INTEGER" | "BIGINT" => FieldKind::Int,
        "FLOAT" | "DOUBLE" | "REAL" | "DOUBLE PRECISION" | "NUMERIC" | "DECIMAL" => {
            FieldKind::Float
        }
        "DATE" => FieldKind::Date,
        "DATETIME" | "TIMESTAMP" => FieldKind::DateTime,
        "JSON" => FieldKind::Json,
        "BLOB" => return None,
        _ => FieldKind::Text,
    })
}

/// The CRS of an SRS id: `EPSG:n`, else its WKT; `None` for the undefined ones.
pub(super) fn crs(db: &Connection, srs_id: i64) -> Result<Option<String>> {
    if srs_id <= 0 {
        return Ok(None);
    }
    let row: Option<(String, i64, Option<String>)> = db
        .query_row(
            "SELECT organization, organization_coordsys_id, definition \
             FROM gpkg_spatial_ref_sys WHERE srs_id = ?1",
            params![srs_id],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()
        .map_err(unreadable)?;
    Ok(row.and_then(|(organization, code, definition)| {
        if organization.eq_ignore_ascii_case("EPSG") && code > 0 {
            return Some(format!("EPSG:{code}"));
        }
        definition.filter(|d| !d.trim().is_empty() && !d.eq_ignore_ascii_case("undefined"))
    }))
}

/// Field names fit for fields, aligned with the table's columns.
pub(super) fn names(table: &mut Table) -> Vec<String> {
    let (names, notes) = types::column_names(table.columns.iter().map(|c| c.name.as_str()));
    table.notes.extend(notes);
    names
}
