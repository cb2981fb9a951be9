//! GeoPackages (OGC 12-128r18), read. The file is opened read-only and immutable: reading it
//! leaves no trace beside it. SQL is named here because a GeoPackage is an SQLite database.
//!
//! Rows come in batches by primary key, so that memory stays flat and no statement outlives a
//! call. Writing is in [`write`](mod@write); [`form`] and [`rtree`] are what every file that is
//! written here has, those of the embedded store included.

pub(super) mod blob;
pub mod form;
pub mod rtree;
mod tables;
pub mod write;

use super::{Next, Reader, not_kept, quoted, types, types::FieldSet};
use crate::{
    error::{Error, Result},
    model::{Field, FieldKind, Record, Refusal, RefusalReason, SourceDef, Text, Value},
    text,
};
use blob::Blob;
use geo_types::Geometry;
use rusqlite::{Connection, OpenFlags, limits::Limit, params, types::ValueRef as Sql};
use std::{collections::VecDeque, path::Path};
use tables::{Table, quote, unreadable};

/// Rows per batch.
const BATCH: i64 = 512;

/// Bytes of batch beyond which it ends early: large geometries must not add up in memory.
const BATCH_BYTES: usize = 16 << 20;

/// SQLite's steps between two looks at what reading may still take ([`limit`]).
const STEPS: i32 = 100_000;

/// Reads one table of a GeoPackage.
pub struct GeoPackageReader {
    db: Connection,
    sql: String,
    table: Table,
    fields: FieldSet,
    crs: Option<String>,
    /// The last key given, or how many rows a view gave.
    after: i64,
    ready: VecDeque<Next>,
    exhausted: bool,
    number: u64,
    expected: Option<u64>,
    bytes: u64,
    tally: Tally,
    notes: Vec<Text>,
}

impl GeoPackageReader {
    /// Opens a file. `member`: the table, when there are several.
    pub fn open(path: &Path, member: Option<&str>, source: &SourceDef) -> Result<Self> {
        let bytes = std::fs::metadata(path).map_err(|e| Error::io(path, e))?.len();
        let mut db = connect(path)?;
        limit(&mut db, bytes)?;
        let mut table = tables::choose(&db, member)?;
        let mut fields = FieldSet::default();
        let names = tables::names(&mut table);
        for (name, column) in names.into_iter().zip(&table.columns) {
            fields.declare(name, column.kind);
        }
        let crs = match table.srs_id {
            Some(id) => tables::crs(&db, id)?,
            None => None,
        };
        let mut notes = std::mem::take(&mut table.notes);
        let name = &table.name;
        notes.push(text!("table « {name} »", "table \"{name}\""));
        if table.geometry.is_some() && crs.is_none() && source.crs.is_none() {
            notes.push(text!(
                "CRS non défini dans le GeoPackage",
                "CRS undefined in the GeoPackage"
            ));
        }
        let expected = if table.view { None } else { count(&db, name)? };
        let sql = select(&table);
        let after = if table.view { 0 } else { i64::MIN };
        Ok(Self {
            db,
            sql,
            table,
            fields,
            crs,
            after,
            ready: VecDeque::new(),
            exhausted: false,
            number: 0,
            expected,
            bytes,
            tally: Tally::default(),
            notes,
        })
    }

    /// Reads the next batch.
    fn fetch(&mut self) -> Result<()> {
        let mut statement = self.db.prepare_cached(&self.sql).map_err(unreadable)?;
        let mut rows = statement.query(params![self.after, BATCH]).map_err(unreadable)?;
        let (mut taken, mut weight) = (0, 0);
        while let Some(row) = rows.next().map_err(unreadable)? {
            taken += 1;
            self.number += 1;
            self.after =
                if self.table.view { self.after + 1 } else { row.get(0).map_err(unreadable)? };
            let raw = row.get_ref(1).map_err(unreadable)?;
            weight += raw.as_blob().map_or(0, <[u8]>::len);
            let next = match self.tally.geometry(raw, self.number, &self.table) {
                Err(refusal) => Next::Refused(refusal),
                Ok(geometry) => {
                    let mut values = Vec::with_capacity(self.table.columns.len());
                    for (i, column) in self.table.columns.iter().enumerate() {
                        let value = value(row.get_ref(i + 2).map_err(unreadable)?, column.kind);
                        self.fields.observe(i, &value);
                        values.push(value);
                    }
                    Next::Record(Record { line: self.number, values, geometry })
                }
            };
            self.ready.push_back(next);
            if weight > BATCH_BYTES {
                return Ok(());
            }
        }
        self.exhausted = taken < BATCH;
        Ok(())
    }
}

/// What was met in the geometries, for the notes.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    dropped: u64,
    empty: u64,
    other_srs: u64,
}

impl Tally {
    fn geometry(
        &mut self,
        raw: Sql<'_>,
        line: u64,
        table: &Table,
    ) -> Result<Option<Geometry<f64>>, Refusal> {
        let refusal = |value, reason, text| Refusal {
            line,
            column: table.geometry.clone(),
            value,
            reason,
            text,
        };
        let bytes = match raw {
            Sql::Null => return Ok(None),
            Sql::Blob(bytes) => bytes,
            other => {
                let shown = other.as_str().ok().and_then(quoted);
                let text = text!(
                    "la géométrie n'est pas un blob GeoPackage",
                    "the geometry is not a GeoPackage blob"
                );
                return Err(refusal(shown, RefusalReason::BrokenRow, text));
            }
        };
        let (read, srs) = blob::read(bytes).map_err(|bad| refusal(None, bad.reason, bad.text))?;
        self.other_srs += u64::from(table.srs_id.is_some_and(|id| id != i64::from(srs)));
        Ok(match read {
            Blob::Empty => {
                self.empty += 1;
                None
            }
            Blob::Some { geometry, z } => {
                self.dropped += u64::from(z);
                Some(geometry)
            }
        })
    }
}

fn connect(path: &Path) -> Result<Connection> {
    let absolute = std::path::absolute(path).map_err(|e| Error::io(path, e))?;
    stranger(&absolute).map_err(unreadable)
}

/// Opens a database as a stranger's file: immutable, no code of its schema trusted. The path is
/// absolute.
pub(super) fn stranger(path: &Path) -> rusqlite::Result<Connection> {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                uri.push(char::from(*byte));
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri.push_str("?mode=ro&immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(uri, flags)?;
    db.execute_batch(
        "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA query_only = ON;",
    )?;
    Ok(db)
}

/// Bounds what reading takes. Rows of a table cost what they weigh, but a view is a stranger's
/// program: it may run for ever, or make of nothing a value of a gigabyte. The steps are many times
/// what honest files take, a few minutes at most.
fn limit(db: &mut Connection, bytes: u64) -> Result<()> {
    let longest = i32::try_from(bytes.saturating_add(1 << 20)).unwrap_or(i32::MAX);
    db.set_limit(Limit::SQLITE_LIMIT_LENGTH, longest).map_err(unreadable)?;
    let steps = bytes.saturating_mul(2_000).saturating_add(50_000_000).min(20_000_000_000);
    let mut left = steps / u64::from(STEPS.unsigned_abs());
    let spent = move || {
        left = left.saturating_sub(1);
        left == 0
    };
    db.progress_handler(STEPS, Some(spent)).map_err(unreadable)
}

fn count(db: &Connection, table: &str) -> Result<Option<u64>> {
    let sql = format!("SELECT count(*) FROM {}", quote(table));
    let n: i64 = db.query_row(&sql, [], |row| row.get(0)).map_err(unreadable)?;
    Ok(u64::try_from(n).ok())
}

/// The query of one batch: key, geometry, columns.
fn select(table: &Table) -> String {
    let key = match &table.key {
        Some(key) => quote(key),
        None if table.view => "0".to_owned(),
        None => "rowid".to_owned(),
    };
    let geometry = table.geometry.as_deref().map_or("NULL".to_owned(), quote);
    let mut sql = format!("SELECT {key}, {geometry}");
    for column in &table.columns {
        sql.push_str(", ");
        sql.push_str(&quote(&column.name));
    }
    sql.push_str(" FROM ");
    sql.push_str(&quote(&table.name));
    if table.view {
        sql.push_str(" LIMIT ?2 OFFSET ?1");
    } else {
        sql.push_str(&format!(" WHERE {key} > ?1 ORDER BY {key} LIMIT ?2"));
    }
    sql
}

/// A value by its column's kind. SQLite lets any value stand in any column: what does not fit
/// keeps its own kind, and the field widens.
fn value(raw: Sql<'_>, kind: FieldKind) -> Value {
    match (raw, kind) {
        (Sql::Null, _) => Value::Null,
        (Sql::Integer(i @ (0 | 1)), FieldKind::Bool) => Value::Bool(i == 1),
        (Sql::Integer(i), FieldKind::Float) => super::cast(Value::Int(i), FieldKind::Float),
        (Sql::Integer(i), _) => Value::Int(i),
        (Sql::Real(f), _) if f.is_finite() => Value::Float(f),
        (Sql::Real(_), _) => Value::Null,
        (Sql::Text(bytes) | Sql::Blob(bytes), kind) => {
            let text = types::nfc(String::from_utf8_lossy(bytes).into_owned());
            let typed = match kind {
                FieldKind::Date => text.parse().ok().map(Value::Date),
                FieldKind::DateTime => instant(&text).map(Value::DateTime),
                FieldKind::Json => types::json(&text),
                _ => None,
            };
            typed.unwrap_or(Value::Text(text))
        }
    }
}

/// An instant; where a file leaves out its `Z`, UTC as the standard has it (GeoPackage 1.3,
/// clause 1.1.1.1.3).
fn instant(text: &str) -> Option<jiff::Timestamp> {
    let civil = || text.contains(['T', ' ']).then(|| text.parse::<jiff::civil::DateTime>().ok());
    let utc = |civil| jiff::tz::TimeZone::UTC.to_timestamp(civil).ok();
    text.parse().ok().or_else(|| civil().flatten().and_then(utc))
}

impl Reader for GeoPackageReader {
    fn next(&mut self) -> Result<Next> {
        while self.ready.is_empty() && !self.exhausted {
            self.fetch()?;
        }
        Ok(self.ready.pop_front().unwrap_or(Next::End))
    }

    fn fields(&self) -> &[Field] {
        self.fields.fields()
    }

    fn crs(&self) -> Option<&str> {
        self.crs.as_deref()
    }

    fn notes(&self) -> Vec<Text> {
        let mut notes = self.notes.clone();
        let Tally { dropped, empty, other_srs: other } = self.tally;
        notes.extend(not_kept(dropped, empty));
        if other > 0 {
            notes.push(text!(
                "géométries qui nomment un autre CRS que leur table, lues dans celui de la table : {other}",
                "geometries naming another CRS than their table, read in the table's: {other}"
            ));
        }
        notes
    }

    fn expected(&self) -> Option<u64> {
        self.expected
    }

    /// Rows are what SQLite counts; bytes are in proportion.
    fn position(&self) -> u64 {
        match self.expected {
            Some(n) if n > 0 => self.bytes.min(self.bytes / n * self.number),
            _ => 0,
        }
    }
}
