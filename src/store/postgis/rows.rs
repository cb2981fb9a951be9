//! Scans in source order and single features. Pages go by key; values are bound; rows are shown
//! as they come, so that a whole layer takes no more memory than a page.

use super::{
    column::{self, Raw, Wanted},
    link::{Link, Param, Ran, cell},
    names::Names,
    open::OpenVersion,
};
use crate::{
    error::Result,
    model::ValueRef,
    query::{Equals, Scan, Start},
    store::{Row, RowSink, ScanEnd},
};
use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;
use std::ops::ControlFlow;
use tokio_postgres::types::Type;

/// Candidates asked for at once.
pub(super) const WINDOW: usize = 4096;

/// Which rows of the features table, in the order of its key.
pub(super) enum Rows<'a> {
    /// From a key on.
    From(i64),
    /// Between two keys, both included.
    Between(i64, i64),
    /// These keys.
    These(&'a [i64]),
    /// These keys, in their order.
    InOrder(&'a [i64]),
}

/// Where a scan stands.
pub(super) struct Progress<'a> {
    sink: &'a mut RowSink,
    skip: u64,
    limit: u64,
    pub(super) end: ScanEnd,
    /// Whether the scan is over: the sink has enough, or one match beyond the limit was seen.
    pub(super) over: bool,
    /// Whether geometry is read.
    shapes: bool,
    /// The places of keys in the order that is asked for, where that is not the source's.
    pub(super) places: Option<FxHashMap<i64, u64>>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(sink: &'a mut RowSink, skip: u64, limit: u64, shapes: bool) -> Self {
        let end = ScanEnd::default();
        Self { sink, skip, limit, end, over: false, shapes, places: None }
    }

    /// What a row bears as its ordinal.
    fn ordinal(&self, fid: i64) -> u64 {
        let place = self.places.as_ref().and_then(|places| places.get(&fid));
        place.copied().unwrap_or_else(|| fid.unsigned_abs().saturating_sub(1))
    }
}

/// Shows the matching rows in source order. `shown` becomes true with the first of them: from
/// then on the scan cannot be tried again.
pub(super) async fn scan(
    link: &mut Link,
    names: &Names,
    open: &OpenVersion,
    scan: &Scan,
    shapes: bool,
    sink: &mut RowSink,
    shown: &mut bool,
) -> Ran<ScanEnd> {
    let candidates = open.candidates(link, names, &scan.filter).await?;
    let Some(equals) = bound(open, &scan.filter.equals) else { return Ok(ScanEnd::default()) };
    let (from, skip) = start(scan, candidates.as_ref(), open.version.count);
    let limit = scan.limit.unwrap_or(u64::MAX);
    let shapes = shapes && open.storage.spatial;
    let mut progress = Progress::new(sink, skip, limit, shapes);
    let Some(candidates) = candidates else {
        let first = i64::try_from(from).unwrap_or(i64::MAX).saturating_add(1);
        part(link, names, open, &Rows::From(first), &equals, &mut progress, shown).await?;
        return Ok(progress.end);
    };
    let mut rest = u32::try_from(from).ok().map(|from| candidates.range(from..));
    // Without other conditions a page is one window, and its end.
    let window = if equals.is_empty() { window(limit) } else { WINDOW };
    while !progress.over {
        let keys = rest.iter_mut().flatten().take(window).map(|o| i64::from(o) + 1);
        let keys: Vec<i64> = keys.collect();
        let (Some(first), Some(last)) = (keys.first(), keys.last()) else { break };
        let gapless = last - first + 1 == keys.len() as i64;
        let rows = if gapless { Rows::Between(*first, *last) } else { Rows::These(&keys) };
        part(link, names, open, &rows, &equals, &mut progress, shown).await?;
    }
    Ok(progress.end)
}

/// One row more than the limit says whether there is a next page.
pub(super) fn window(limit: u64) -> usize {
    usize::try_from(limit.saturating_add(1)).unwrap_or(usize::MAX).clamp(1, WINDOW * 4)
}

/// The ordinal to start at, and how many matches to jump over from there.
fn start(scan: &Scan, candidates: Option<&RoaringBitmap>, count: u64) -> (u64, u64) {
    let simple = scan.filter.equals.is_empty();
    match (scan.start, candidates) {
        (Start::Ordinal(o), _) => (o, 0),
        (Start::Offset(o), None) if simple => (o, 0),
        (Start::Offset(o), Some(c)) if simple => {
            let nth = u32::try_from(o).ok().and_then(|o| c.select(o));
            (nth.map_or(count, u64::from), 0)
        }
        (Start::Offset(o), _) => (0, o),
    }
}

/// The conditions with their columns; `None` when one of them holds for nothing.
pub(super) fn bound(open: &OpenVersion, equals: &[Equals]) -> Option<Vec<(usize, Wanted)>> {
    let one = |e: &Equals| {
        let column = open.storage.columns.get(e.field)?;
        Some((e.field, column::wanted(*column, &e.value)?))
    };
    equals.iter().map(one).collect()
}

/// The text of a scan's statement: it depends on the number of columns and conditions, on nothing
/// they hold.
fn statement(
    names: &Names,
    open: &OpenVersion,
    rows: &Rows<'_>,
    equals: &[(usize, Wanted)],
    limited: bool,
    shapes: bool,
) -> String {
    let list = names.row_list(&open.storage.columns, shapes);
    let mut sql = format!("SELECT {list} FROM {}", names.features(open.serial));
    sql.push_str(match rows {
        Rows::InOrder(_) => " JOIN unnest($1) WITH ORDINALITY AS o (k, n) ON fid = o.k WHERE ",
        _ => " WHERE ",
    });
    let mut next = match rows {
        Rows::From(_) => {
            sql.push_str("fid >= $1");
            2
        }
        Rows::Between(..) => {
            sql.push_str("fid BETWEEN $1 AND $2");
            3
        }
        Rows::These(_) => {
            sql.push_str("fid = ANY($1)");
            2
        }
        Rows::InOrder(_) => {
            sql.push_str("true");
            2
        }
    };
    for (field, _) in equals {
        sql.push_str(&format!(" AND c{field} = ${next}"));
        next += 1;
    }
    sql.push_str(if matches!(rows, Rows::InOrder(_)) { " ORDER BY n" } else { " ORDER BY fid" });
    if limited {
        sql.push_str(&format!(" LIMIT ${next}"));
    }
    sql
}

pub(super) async fn part(
    link: &mut Link,
    names: &Names,
    open: &OpenVersion,
    rows: &Rows<'_>,
    equals: &[(usize, Wanted)],
    progress: &mut Progress<'_>,
    shown: &mut bool,
) -> Ran<()> {
    let wanted = progress.limit.saturating_sub(progress.end.returned);
    let wanted = wanted.saturating_add(progress.skip).saturating_add(1);
    let most = i64::try_from(wanted).ok();
    let sql = statement(names, open, rows, equals, most.is_some(), progress.shapes);
    let mut params: Vec<Param<'_>> = match rows {
        Rows::From(first) => vec![(first, Type::INT8)],
        Rows::Between(first, last) => vec![(first, Type::INT8), (last, Type::INT8)],
        Rows::These(keys) | Rows::InOrder(keys) => vec![(keys, Type::INT8_ARRAY)],
    };
    params.extend(equals.iter().map(|(_, w)| (&*w.value as _, w.kind.clone())));
    params.extend(most.iter().map(|m| (m as _, Type::INT8)));
    let mut shower = Shower::new(open, progress.shapes);
    link.each(&sql, &params, |row| {
        if progress.skip > 0 {
            progress.skip -= 1;
            return Ok(ControlFlow::Continue(()));
        }
        if progress.end.returned >= progress.limit {
            progress.end.next = Some(progress.ordinal(cell(row, 0)?));
            progress.over = true;
            return Ok(ControlFlow::Continue(())); // it is the last one: the statement says so
        }
        progress.end.returned += 1;
        *shown = true;
        let ordinal = progress.ordinal(cell(row, 0)?);
        let flow = shower.show(row, ordinal, progress.sink)?;
        progress.over |= flow.is_break();
        Ok(flow)
    })
    .await
}

/// One feature by its id.
pub(super) async fn feature(
    link: &mut Link,
    names: &Names,
    open: &OpenVersion,
    id: &str,
    sink: &mut RowSink,
) -> Ran<bool> {
    let Some(wanted) = column::wanted(open.storage.id, &crate::model::Value::Text(id.to_owned()))
    else {
        return Ok(false);
    };
    let list = names.row_list(&open.storage.columns, open.storage.spatial);
    let sql = format!("SELECT {list} FROM {} WHERE id = $1", names.features(open.serial));
    let rows = link.hot(&sql, &[(&*wanted.value, wanted.kind.clone())]).await?;
    let Some(row) = rows.first() else { return Ok(false) };
    let ordinal = cell::<i64>(row, 0)?.unsigned_abs().saturating_sub(1);
    let _ = Shower::new(open, open.storage.spatial).show(row, ordinal, sink)?;
    Ok(true)
}

/// Turns the server's rows into the store's.
struct Shower<'a> {
    open: &'a OpenVersion,
    texts: Vec<Option<String>>,
    shapes: bool,
}

impl<'a> Shower<'a> {
    fn new(open: &'a OpenVersion, shapes: bool) -> Self {
        Self { open, texts: Vec::new(), shapes }
    }

    fn show(
        &mut self,
        row: &tokio_postgres::Row,
        ordinal: u64,
        sink: &mut RowSink,
    ) -> Result<ControlFlow<()>> {
        let columns = &self.open.storage.columns;
        let id = std::str::from_utf8(cell::<Raw<'_>>(row, 1)?.0)
            .map_err(|e| crate::error::Error::fault("a stored id", e))?;
        let mut raws: Vec<Option<Raw<'_>>> = Vec::with_capacity(columns.len());
        for i in 0..columns.len() {
            raws.push(cell(row, 2 + i)?);
        }
        column::texts(columns, &raws, &mut self.texts)?;
        let mut values: Vec<ValueRef<'_>> = Vec::with_capacity(columns.len());
        for (i, field) in self.open.version.schema.fields.iter().enumerate() {
            let (Some(column), Some(raw)) = (columns.get(i), raws.get(i)) else { break };
            let text = self.texts.get(i).and_then(|t| t.as_deref());
            values.push(column::value(*column, field.kind, *raw, text)?);
        }
        let wkb: Option<&[u8]> = if self.shapes { cell(row, 2 + columns.len())? } else { None };
        Ok(sink(&Row { ordinal, id, values: &values, wkb }))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        model::{
            Field, FieldKind, GeometryKind, Harvested, Report, Schema, Value, Version, VersionId,
        },
        store::postgis::column::{Column, FORMAT, Storage},
    };
    use proptest::prelude::*;
    use std::sync::Arc;

    /// A version whose fields bear the given names.
    pub(in super::super) fn version(names: &[String]) -> Version {
        let now = jiff::Timestamp::UNIX_EPOCH;
        let source = Harvested {
            path: "".into(),
            name: names.concat(),
            origin: names.concat(),
            status: None,
            bytes: 0,
            sha256: String::new(),
            etag: names.first().cloned(),
            modified: None,
            fetched_at: now,
            checked_at: now,
            dataset: None,
            withdrawn: None,
        };
        let field = |n: &String| Field { name: n.clone(), kind: FieldKind::Text };
        Version {
            id: VersionId::new(now, "0"),
            source,
            options_hash: String::new(),
            schema: Schema {
                fields: names.iter().map(field).collect(),
                geometry: GeometryKind::Point,
            },
            count: 1,
            bbox: None,
            key: names.first().cloned(),
            max_zoom: 12,
            min_zoom: 0,
            report: Report::default(),
            temporal: None,
            thinning: None,
            drawing: None,
            classes: None,
            live: None,
        }
    }

    /// The same, open.
    fn open(names: &[String]) -> OpenVersion {
        let storage = Storage {
            format: FORMAT,
            id: Column::Text,
            columns: vec![Column::Text; names.len()],
            spatial: true,
            without_geometry: 0,
            bands: vec![12],
        };
        OpenVersion::new(7, 8, 0, Arc::new(version(names)), storage)
    }

    /// Every text that reading such a version, or making its table, sends to the server.
    fn texts(names: &[String], values: &[String]) -> Vec<String> {
        let sql = Names::new("socle");
        let version = open(names);
        let equals: Vec<Equals> = values
            .iter()
            .enumerate()
            .map(|(field, v)| Equals { field, value: Value::Text(v.clone()) })
            .collect();
        let equals = bound(&version, &equals).unwrap_or_default();
        let rows = [Rows::From(1), Rows::Between(1, 2), Rows::These(&[1, 5])];
        let mut all: Vec<String> =
            rows.iter().map(|rows| statement(&sql, &version, rows, &equals, true, true)).collect();
        let columns = &version.storage.columns;
        all.push(sql.create_features(7, Column::Text, columns, Some("POINT")));
        all
    }

    proptest! {
        #[test]
        fn the_text_of_statements_is_independent_of_names_and_values(
            pairs in prop::collection::vec((any::<String>(), "[^\0]*"), 0..6)
        ) {
            let (names, values): (Vec<String>, Vec<String>) = pairs.into_iter().unzip();
            let plain = vec!["a".to_owned(); names.len()];
            prop_assert_eq!(texts(&names, &values), texts(&plain, &plain));
        }
    }

    #[test]
    fn windows_hold_a_page_and_its_end() {
        assert_eq!(window(1_000), 1_001);
        assert_eq!(window(0), 1);
        assert_eq!(window(u64::MAX), WINDOW * 4);
    }
}
