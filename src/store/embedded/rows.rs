//! Reads the GeoPackage of a version: scans in source order, boxes, single features. Every name
//! in the SQL comes from the version's own description, quoted; every value is bound.

use super::{
    asked::Asked,
    filter,
    gpkg::{BLOB_HEADER, quoted, select_columns},
    layout::Description,
    reach::ReachFile,
    sidecar::{Ids, Sidecar},
};
use crate::{
    error::{Error, Result},
    formats::wkb,
    model::{BBox, FieldKind, Selection, Value, ValueRef},
    query::{Equals, Filter, Scan, Start, cql2::Expression},
    store::{
        Reach, Row, RowSink, ScanEnd, filter_cost,
        orders::{Orders, orders},
        reach_select::Selected,
    },
};
use geo::Intersects;
use moka::sync::Cache;
use roaring::RoaringBitmap;
use rusqlite::{Connection, OpenFlags, types::ValueRef as Sql};
use std::{
    ops::{ControlFlow, Range},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// Idle connections kept per version.
const POOL: usize = 4;
/// Rows between two looks at whether anybody waits for them.
const LOOK: u64 = 256;
/// Ids read ahead in a scan.
const ID_WINDOW: u64 = 512;
/// Bytes of what filters let through kept ready per open version.
const FILTERED: u64 = 4 << 20;

pub(super) fn sql(e: rusqlite::Error) -> Error {
    Error::fault("reading a GeoPackage", e)
}

/// A version opened for reading. Its files stay locked (shared) until it is dropped.
pub(super) struct OpenVersion {
    pub(super) description: Description,
    pub(super) sidecar: Sidecar,
    /// None where rows are read to make one.
    reach: Option<ReachFile>,
    gpkg: PathBuf,
    idle: Mutex<Vec<Connection>>,
    /// What filters let through, by their normal form.
    filtered: Cache<String, Arc<RoaringBitmap>>,
    /// Orders that were asked for.
    pub(super) orders: Orders,
}

/// Where a scan stands.
pub(super) struct Progress<'a> {
    equals: &'a [Equals],
    pub(super) skip: u64,
    limit: u64,
    pub(super) end: ScanEnd,
    ids: Option<(Range<u64>, Ids)>,
    /// Whether geometry is read.
    shapes: bool,
    /// The place of the row in the order that is asked for, where that is not the source's.
    pub(super) place: Option<u64>,
    /// Whether anybody waits for the rows.
    asked: &'a Asked,
    /// Rows looked at.
    seen: u64,
}

impl<'a> Progress<'a> {
    pub(super) fn new(
        equals: &'a [Equals],
        skip: u64,
        limit: Option<u64>,
        shapes: bool,
        asked: &'a Asked,
    ) -> Self {
        let limit = limit.unwrap_or(u64::MAX);
        let end = ScanEnd::default();
        Self { equals, skip, limit, end, ids: None, shapes, place: None, asked, seen: 0 }
    }
}

impl OpenVersion {
    pub(super) fn new(
        description: Description,
        sidecar: Sidecar,
        reach: Option<ReachFile>,
        gpkg: PathBuf,
    ) -> Self {
        let size = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let filtered = Cache::builder()
            .max_capacity(FILTERED)
            .weigher(move |key: &String, b: &Arc<RoaringBitmap>| {
                size(key.len() + b.serialized_size() + 128)
            })
            .build();
        let orders = orders(description.version.count);
        Self { description, sidecar, reach, gpkg, idle: Mutex::default(), filtered, orders }
    }

    /// Lends a read-only connection. The file never changes, which SQLite is told
    /// (`immutable=1`): no lock, no journal, no byte written beside it.
    pub(super) fn with_connection<T>(
        &self,
        use_it: impl FnOnce(&mut Connection) -> Result<T>,
    ) -> Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => open(&self.gpkg)?,
        };
        let result = use_it(&mut connection);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < POOL {
            idle.push(connection);
        }
        result
    }

    /// The features that a territory selects.
    pub(super) fn select(&self, selection: &Selection) -> Result<Arc<Selected>> {
        let reach = self.reach.as_ref();
        reach.ok_or_else(|| Error::broken("no reach index is open"))?.select(selection)
    }

    /// The ordinals that territory and box let through; `None`: all.
    pub(super) fn candidates(&self, filter: &Filter) -> Result<Option<RoaringBitmap>> {
        let mut found = match &filter.selection {
            Some(selection) => Some(self.select(selection)?.ordinals.clone()),
            None => None,
        };
        if let Some(bbox) = &filter.bbox
            && !self.description.geom.is_empty()
        {
            let inside = self.in_box(bbox, found.as_ref())?;
            found = Some(match found {
                Some(f) => f & inside,
                None => inside,
            });
        }
        if let Some(expression) = &filter.expression {
            let matching = self.matching(expression)?;
            found = Some(match found {
                Some(f) => f & &*matching,
                None => RoaringBitmap::clone(&matching),
            });
        }
        Ok(found)
    }

    /// The ordinals of which a CQL2 filter is true: found once for all that ask at the same time.
    fn matching(&self, expression: &Expression) -> Result<Arc<RoaringBitmap>> {
        if let Some(known) = self.filtered.get(expression.key()) {
            return Ok(known);
        }
        let _waiting = filter_cost::wait()?;
        let select = |s: &Selection| self.select(s).map(|found| found.ordinals.clone());
        let find = || {
            let d = &self.description;
            let found = self.with_connection(|db| filter::matching(db, d, expression, select))?;
            Ok(Arc::new(found))
        };
        self.filtered.try_get_with_by_ref(expression.key(), find).map_err(Error::shared)
    }

    /// The ordinals whose geometry meets the box, and those without geometry (OGC API Features
    /// `/req/core/fc-bbox-response`). Only what `among` holds is looked at closely.
    fn in_box(&self, bbox: &BBox, among: Option<&RoaringBitmap>) -> Result<RoaringBitmap> {
        let d = &self.description;
        let mut found = self.without_geometry()?;
        self.with_connection(|db| {
            let rtree = quoted(&format!("rtree_{}_{}", d.table, d.geom));
            let text = format!(
                "SELECT id, minx >= ?1 AND maxx <= ?3 AND miny >= ?2 AND maxy <= ?4 FROM {rtree}
                 WHERE minx <= ?3 AND maxx >= ?1 AND miny <= ?4 AND maxy >= ?2"
            );
            let mut boxes = db.prepare_cached(&text).map_err(sql)?;
            let text = format!(
                "SELECT {} FROM {} WHERE {} = ?",
                quoted(&d.geom),
                quoted(&d.table),
                quoted(&d.fid)
            );
            let mut geometry = db.prepare_cached(&text).map_err(sql)?;
            for part in bbox.parts() {
                let rect = geo_types::Rect::new((part.west, part.south), (part.east, part.north));
                let window = (part.west, part.south, part.east, part.north);
                let mut rows = boxes.query(window).map_err(sql)?;
                while let Some(row) = rows.next().map_err(sql)? {
                    let fid: i64 = row.get(0).map_err(sql)?;
                    let Ok(ordinal) = u32::try_from(fid - 1) else { continue };
                    if found.contains(ordinal) || among.is_some_and(|a| !a.contains(ordinal)) {
                        continue;
                    }
                    // A box wholly inside settles it; else the geometry itself is asked.
                    let settled: bool = row.get(1).map_err(sql)?;
                    if settled || meets(&mut geometry, fid, &rect)? {
                        found.insert(ordinal);
                    }
                }
            }
            Ok(found)
        })
    }

    fn without_geometry(&self) -> Result<RoaringBitmap> {
        let count = self.description.version.count;
        let with = self.sidecar.with_geometry()?;
        match with {
            None => Ok(RoaringBitmap::new()),
            Some(with) => {
                let mut all = RoaringBitmap::new();
                all.insert_range(0..u32::try_from(count).unwrap_or(u32::MAX));
                Ok(all - with)
            }
        }
    }

    /// The whole reach index, under its name.
    pub(super) fn reach(&self, id: &str) -> Result<Reach> {
        let reach = self.reach.as_ref();
        reach.ok_or_else(|| Error::broken("no reach index is open"))?.whole(id)
    }

    /// Shows the matching rows in source order; `shapes`: with their geometry.
    pub(super) fn scan(
        &self,
        scan: &Scan,
        shapes: bool,
        sink: &mut RowSink,
        asked: &Asked,
    ) -> Result<ScanEnd> {
        let candidates = self.candidates(&scan.filter)?;
        let count = self.description.version.count;
        let simple = scan.filter.equals.is_empty();
        // Offsets are jumped over where rows need not be looked at.
        let (from, skip) = match (scan.start, &candidates) {
            // No further than the end: what comes from a request may be any number.
            (Start::Ordinal(o), _) => (o.min(count), 0),
            (Start::Offset(o), None) if simple => (o.min(count), 0),
            (Start::Offset(o), Some(c)) if simple => {
                let nth = u32::try_from(o).ok().and_then(|o| c.select(o));
                (nth.map_or(count, u64::from), 0)
            }
            (Start::Offset(o), _) => (0, o),
        };
        let mut progress = Progress::new(&scan.filter.equals, skip, scan.limit, shapes, asked);
        self.with_connection(|db| {
            match candidates {
                None => {
                    // A start past the end is the end.
                    let _ = self.range(db, from.min(count)..count, &mut progress, sink)?;
                }
                Some(found) => {
                    for run in consecutive(&found, from) {
                        if self.range(db, run, &mut progress, sink)?.is_break() {
                            break;
                        }
                    }
                }
            }
            Ok(progress.end)
        })
    }

    /// One feature by its id.
    pub(super) fn feature(&self, id: &str, sink: &mut RowSink) -> Result<bool> {
        let Some(ordinal) = self.sidecar.ordinal(id)? else { return Ok(false) };
        let asked = Asked::default();
        let mut progress = Progress::new(&[], 0, Some(1), true, &asked);
        let only = ordinal..ordinal + 1;
        let _ = self.with_connection(|db| self.range(db, only, &mut progress, sink))?;
        Ok(progress.end.returned == 1)
    }

    pub(super) fn range(
        &self,
        db: &Connection,
        range: Range<u64>,
        progress: &mut Progress<'_>,
        sink: &mut RowSink,
    ) -> Result<ControlFlow<()>> {
        let d = &self.description;
        let fields = &d.version.schema.fields;
        let fid = quoted(&d.fid);
        let text = format!(
            "SELECT {} FROM {} WHERE {fid} >= ? AND {fid} <= ? ORDER BY {fid}",
            select_columns(d, &d.version.schema, progress.shapes),
            quoted(&d.table)
        );
        let mut statement = db.prepare_cached(&text).map_err(sql)?;
        let bounds = (range.start as i64 + 1, range.end as i64);
        let mut rows = statement.query(bounds).map_err(sql)?;
        while let Some(row) = rows.next().map_err(sql)? {
            progress.seen += 1;
            if progress.seen.is_multiple_of(LOOK) && progress.asked.is_over() {
                return Ok(ControlFlow::Break(()));
            }
            let fid: i64 = row.get(0).map_err(sql)?;
            let ordinal = fid as u64 - 1;
            let mut values = Vec::with_capacity(fields.len());
            for (i, field) in fields.iter().enumerate() {
                values.push(value(row.get_ref(i + 1).map_err(sql)?, field.kind)?);
            }
            if !progress.equals.iter().all(|e| equal(values.get(e.field), &e.value)) {
                continue;
            }
            if progress.skip > 0 {
                progress.skip -= 1;
                continue;
            }
            if progress.end.returned >= progress.limit {
                progress.end.next = Some(progress.place.unwrap_or(ordinal));
                return Ok(ControlFlow::Break(()));
            }
            let wkb = match d.geom.is_empty() || !progress.shapes {
                true => None,
                false => geometry(row.get_ref(fields.len() + 1).map_err(sql)?)?,
            };
            progress.end.returned += 1;
            let place = progress.place.unwrap_or(ordinal);
            let ids = self.ids(progress, ordinal)?;
            let shown = Row { ordinal: place, id: ids.get(ordinal)?, values: &values, wkb };
            if sink(&shown).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The ids around `ordinal`, read ahead.
    fn ids<'p>(&self, progress: &'p mut Progress<'_>, ordinal: u64) -> Result<&'p Ids> {
        let held = progress.ids.take_if(|(range, _)| range.contains(&ordinal));
        let window = match held {
            Some(window) => window,
            None => {
                // In another order the next row is likely far away.
                let ahead = if progress.place.is_some() { 1 } else { ID_WINDOW };
                let range = ordinal..ordinal + ahead;
                let ids = self.sidecar.ids(range.start, range.end)?;
                (range, ids)
            }
        };
        Ok(&progress.ids.insert(window).1)
    }
}

fn open(path: &Path) -> Result<Connection> {
    let text = path.to_str().ok_or_else(|| Error::broken("store path is not UTF-8"))?;
    let escaped = text.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db =
        Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags).map_err(sql)?;
    db.execute_batch("PRAGMA cache_size=-1024; PRAGMA query_only=1;").map_err(sql)?;
    filter::register(&db).map_err(sql)?;
    Ok(db)
}

/// Runs of consecutive ordinals from `from` on.
fn consecutive(found: &RoaringBitmap, from: u64) -> impl Iterator<Item = Range<u64>> + '_ {
    let from = u32::try_from(from).ok();
    let mut ordinals = from.map(|f| found.range(f..)).into_iter().flatten().peekable();
    std::iter::from_fn(move || {
        let start = u64::from(ordinals.next()?);
        let mut end = start + 1;
        while ordinals.next_if(|o| u64::from(*o) == end).is_some() {
            end += 1;
        }
        Some(start..end)
    })
}

fn meets(
    geometry: &mut rusqlite::CachedStatement<'_>,
    fid: i64,
    rect: &geo_types::Rect<f64>,
) -> Result<bool> {
    let mut rows = geometry.query([fid]).map_err(sql)?;
    let Some(row) = rows.next().map_err(sql)? else { return Ok(false) };
    let Some(bytes) = self::geometry(row.get_ref(0).map_err(sql)?)? else { return Ok(false) };
    let parsed = wkb::read(bytes).map_err(|e| Error::fault("stored geometry", e))?;
    Ok(parsed.intersects(rect))
}

/// The WKB inside a GeoPackage blob that this store wrote.
fn geometry(value: Sql<'_>) -> Result<Option<&[u8]>> {
    match value {
        Sql::Null => Ok(None),
        Sql::Blob(blob) if blob.len() > BLOB_HEADER => Ok(Some(&blob[BLOB_HEADER..])),
        _ => Err(Error::broken("stored geometry is not a GeoPackage blob")),
    }
}

fn value(value: Sql<'_>, kind: FieldKind) -> Result<ValueRef<'_>> {
    let utf8 = |bytes| std::str::from_utf8(bytes).map_err(|e| Error::fault("stored text", e));
    Ok(match (value, kind) {
        (Sql::Null, _) => ValueRef::Null,
        (Sql::Integer(i), FieldKind::Bool) => ValueRef::Bool(i != 0),
        (Sql::Integer(i), FieldKind::Float) => ValueRef::Float(i as f64),
        (Sql::Integer(i), _) => ValueRef::Int(i),
        (Sql::Real(f), _) => ValueRef::Float(f),
        (Sql::Text(t), FieldKind::Json) => ValueRef::Json(utf8(t)?),
        (Sql::Text(t), _) => ValueRef::Text(utf8(t)?),
        (Sql::Blob(_), _) => return Err(Error::broken("stored value is a blob")),
    })
}

fn equal(stored: Option<&ValueRef<'_>>, wanted: &Value) -> bool {
    match (stored, wanted) {
        (Some(ValueRef::Bool(a)), Value::Bool(b)) => a == b,
        (Some(ValueRef::Int(a)), Value::Int(b)) => a == b,
        (Some(ValueRef::Float(a)), Value::Float(b)) => a == b,
        (Some(ValueRef::Text(a) | ValueRef::Json(a)), Value::Text(b) | Value::Json(b)) => a == b,
        (Some(ValueRef::Text(a)), Value::Date(b)) => *a == b.to_string(),
        (Some(ValueRef::Text(a)), Value::DateTime(b)) => {
            a.parse::<jiff::Timestamp>().is_ok_and(|a| a == *b)
        }
        _ => false,
    }
}
