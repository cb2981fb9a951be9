//! Pages, single features, counts and extents of a published table. A page goes on from the key
//! where the one before ended, as long as this process remembers; else it counts its way there,
//! in the order of the key: the cursor names the revision, so that both come to the same.

use super::{
    super::{
        Inner,
        column::{self, Raw},
        filtered,
        link::{Failed, Ran, cell},
    },
    figures,
    form::{Form, Key},
    judge::{Asked, judge},
    meaning,
    placed::is_placed,
    select::Conditions,
    to_guard, unattached,
};
use crate::{
    error::{Error, Result},
    model::{BBox, Selection, ValueRef},
    query::{Filter, Scan, Sort, Start},
    store::{At, Row, RowSink, ScanEnd},
};
use std::{ops::ControlFlow, sync::Arc, time::Duration};
use tokio_postgres::types::Type;

/// What counting may take (DESIGN §4).
const COUNTING: Duration = Duration::from_millis(100);

/// The conditions of a filter on a state; `None` when nothing matches.
fn conditions(
    inner: &Inner,
    at: &At,
    form: &Form,
    names: &super::super::names::Names,
    filter: &Filter,
) -> Result<Option<Conditions>> {
    let reach = inner.tables.reach(at);
    if filter.selection.is_some() && reach.is_none() {
        return Err(unattached());
    }
    let mut conditions = Conditions::default();
    let some = conditions.filter(names, form, at.version.bbox.as_ref(), reach, filter)?;
    Ok(some.then_some(conditions))
}

/// Shows the matching rows in the order of the key.
pub(in super::super) async fn scan(
    inner: &Arc<Inner>,
    at: &At,
    scan: &Scan,
    sort: Option<&Sort>,
    sink: &mut RowSink,
) -> Result<ScanEnd> {
    let form = inner.tables.form_at(at)?;
    let (mut rest, mut all) = (scan.clone(), ScanEnd::default());
    loop {
        let guarded = form.guarded();
        let mut end = ScanEnd::default();
        let read = part(inner, at, &form, (&rest, sort), sink, &mut end).await;
        all = ScanEnd { returned: all.returned + end.returned, next: end.next };
        match read {
            Ok(()) => return Ok(all),
            // Goes on from the row that failed.
            Err(e) if to_guard(inner, at, &form, guarded, &e) => {
                let (Start::Ordinal(from) | Start::Offset(from)) = rest.start;
                rest.start = Start::Ordinal(from + end.returned);
                rest.limit = rest.limit.map(|limit| limit - end.returned);
            }
            Err(e) => {
                let otherwise = |e| meaning(inner, "reading a published table", e);
                return Err(filtered::meaning(&scan.filter, e, otherwise));
            }
        }
    }
}

/// Shows the rows of a scan; `end` counts them, also when it fails.
async fn part(
    inner: &Arc<Inner>,
    at: &At,
    form: &Form,
    (scan, sort): (&Scan, Option<&Sort>),
    sink: &mut RowSink,
    end: &mut ScanEnd,
) -> Ran<()> {
    let names = &inner.ready().await?.names;
    let Some(mut conditions) = conditions(inner, at, form, names, &scan.filter)? else {
        return Ok(());
    };
    let mut link = inner.primary.link().await?;
    if let Some(limit) = scan.limit {
        let asked = Asked { filter: &scan.filter, sort, limit };
        judge(inner, &mut link, &at.layer, form, &asked, &conditions).await?;
    }
    let (Start::Ordinal(position) | Start::Offset(position)) = scan.start;
    let place = |position: u64| (at.key(), scan.filter.key(), position);
    let mut skip = position;
    if sort.is_none()
        && let Some(before) = inner.tables.ends.get(&place(position))
        && let Some(parts) = form.key_parts(&before)
    {
        conditions.push(form.key_compared(">", conditions.next()));
        parts.into_iter().for_each(|p| conditions.bind(p, Type::TEXT));
        skip = 0;
    }
    let mut sql = format!(
        "SELECT {} FROM {}{} ORDER BY {}",
        form.list(names),
        form.source(),
        conditions.text(),
        form.order_by(sort)
    );
    let limit = scan.limit.unwrap_or(u64::MAX);
    if let Ok(most) = i64::try_from(limit.saturating_add(1)) {
        sql.push_str(&format!(" LIMIT ${}", conditions.next()));
        conditions.bind(most, Type::INT8);
    }
    if skip > 0 {
        sql.push_str(&format!(" OFFSET ${}", conditions.next()));
        conditions.bind(i64::try_from(skip).unwrap_or(i64::MAX), Type::INT8);
    }
    let mut shower = Shower { form, at, texts: Vec::new(), last: String::new() };
    let shown = link
        .each(&sql, &conditions.params(), |row| {
            if end.returned >= limit {
                end.next = Some(position + end.returned);
                return Ok(ControlFlow::Continue(())); // it is the last one: the statement says so
            }
            let flow = shower.show(row, position + end.returned, sink)?;
            end.returned += 1;
            Ok(flow)
        })
        .await;
    let goes_on = end.next.or(shown.is_err().then_some(position + end.returned));
    let by_key = sort.is_none() && end.returned > 0;
    if let (Some(next), Key::Columns(_), true) = (goes_on, &form.key, by_key) {
        inner.tables.ends.insert(place(next), shower.last.into());
    }
    shown
}

/// The conditions for one id; `None` when no row has such an id.
fn one(form: &Form, id: &str) -> Option<Conditions> {
    let mut conditions = Conditions::default();
    match &form.key {
        Key::Columns(_) => {
            let parts = form.key_parts(id)?;
            conditions.push(form.key_compared("=", 1));
            parts.into_iter().for_each(|p| conditions.bind(p, Type::TEXT));
        }
        Key::Row { .. } => {
            if id.contains('\0') {
                return None;
            }
            conditions.push(format!("{} = $1", form.id()));
            conditions.bind(id.to_owned(), Type::TEXT);
        }
    }
    Some(conditions)
}

/// Whether the id is no value of the key's type: then no row has it.
fn unlike(e: &Failed) -> bool {
    matches!(e, Failed::Database(e) if e.code().is_some_and(|c| c.code().starts_with("22")))
}

/// One feature by its id.
pub(in super::super) async fn feature(
    inner: &Arc<Inner>,
    at: &At,
    id: &str,
    sink: &mut RowSink,
) -> Result<bool> {
    let form = inner.tables.form_at(at)?;
    let names = &inner.ready().await?.names;
    let Some(conditions) = one(&form, id) else { return Ok(false) };
    let rows = loop {
        let guarded = form.guarded();
        let (list, source) = (form.list(names), form.source());
        let sql = format!("SELECT {list} FROM {source}{}", conditions.text());
        let mut link = inner.primary.link().await?;
        match link.hot(&sql, &conditions.params()).await {
            Err(e) if to_guard(inner, at, &form, guarded, &e) => {}
            Err(e) if unlike(&e) => return Ok(false),
            other => break other.map_err(|e| meaning(inner, "reading a feature of a table", e))?,
        }
    };
    // The same key may be written in several ways (007): only one of them is the id.
    for row in &rows {
        if cell::<&str>(row, 0)? == id {
            let mut shower = Shower { form: &form, at, texts: Vec::new(), last: String::new() };
            let _ = shower.show(row, 0, sink)?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Rows asked for by id at once.
const IDS: usize = 2_000;

/// Shows those of the rows with these ids that there are, without rank.
pub(in super::super) async fn rows_of(
    inner: &Arc<Inner>,
    at: &At,
    ids: &[String],
    sink: &mut RowSink,
) -> Result<()> {
    let form = inner.tables.form_at(at)?;
    let names = &inner.ready().await?.names;
    let mut shower = Shower { form: &form, at, texts: Vec::new(), last: String::new() };
    for some in ids.chunks(IDS) {
        let mut conditions = Conditions::default();
        conditions.ids(&form, some);
        let rows = loop {
            let guarded = form.guarded();
            let (list, source) = (form.list(names), form.source());
            let sql = format!("SELECT {list} FROM {source}{}", conditions.text());
            let mut link = inner.primary.link().await?;
            match link.rows(&sql, &conditions.params()).await {
                Err(e) if to_guard(inner, at, &form, guarded, &e) => {}
                other => break other.map_err(|e| meaning(inner, "reading rows of a table", e))?,
            }
        };
        for row in &rows {
            if shower.show(row, 0, sink)?.is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The distinct codes of a field.
pub(in super::super) async fn distinct(
    inner: &Arc<Inner>,
    at: &At,
    field: usize,
) -> Result<Vec<String>> {
    let form = inner.tables.form_at(at)?;
    let Some(property) = form.fields.get(field) else { return Ok(Vec::new()) };
    if !matches!(property.column, column::Column::Text | column::Column::Int) {
        return Ok(Vec::new());
    }
    let mut conditions = Conditions::default();
    form.with_key().into_iter().for_each(|sql| conditions.push(sql));
    let sql = format!(
        "SELECT DISTINCT btrim(({})::text) FROM {} AS t{}",
        property.shown,
        form.relation,
        conditions.text()
    );
    let mut link = inner.primary.link().await?;
    let mut codes = Vec::new();
    let read = link.each(&sql, &[], |row| {
        codes.extend(cell::<Option<String>>(row, 0)?.filter(|code| !code.is_empty()));
        Ok(ControlFlow::Continue(()))
    });
    read.await.map_err(|e| meaning(inner, "reading the codes of a table", e))?;
    Ok(codes)
}

/// Whether a territory selects a feature.
pub(in super::super) async fn selects(
    inner: &Arc<Inner>,
    at: &At,
    id: &str,
    selection: &Selection,
) -> Result<bool> {
    let form = inner.tables.form_at(at)?;
    let names = &inner.ready().await?.names;
    let Some(mut conditions) = one(&form, id) else { return Ok(false) };
    let reach = inner.tables.reach(at).ok_or_else(unattached)?;
    conditions.selection(names, &form, reach, selection);
    let sql = format!("SELECT 1 FROM {}{}", form.source(), conditions.text());
    let mut link = inner.primary.link().await?;
    match link.hot(&sql, &conditions.params()).await {
        Err(e) if unlike(&e) => Ok(false),
        Err(e) => Err(meaning(inner, "reading a feature of a table", e)),
        Ok(rows) => Ok(!rows.is_empty()),
    }
}

/// The number of matches, when it can be counted soon enough.
pub(in super::super) async fn count(
    inner: &Arc<Inner>,
    at: &At,
    filter: &Filter,
) -> Result<Option<u64>> {
    if filter.is_empty() && at.version.live.as_ref().is_some_and(|l| l.exact) {
        return Ok(Some(at.version.count));
    }
    let key = (at.key(), filter.key());
    if let Some(known) = inner.tables.counts.get(&key) {
        return Ok(Some(known));
    }
    let form = inner.tables.form_at(at)?;
    let names = &inner.ready().await?.names;
    let rows = loop {
        let guarded = form.guarded();
        let Some(conditions) = conditions(inner, at, &form, names, filter)? else {
            return Ok(Some(0));
        };
        let sql = format!("SELECT count(*) FROM {}{}", form.source(), conditions.text());
        let mut link = inner.primary.link().await?;
        let params = conditions.params();
        // Given up, the statement is cancelled with its connection's loan.
        let Ok(rows) = tokio::time::timeout(COUNTING, link.hot(&sql, &params)).await else {
            return Ok(None);
        };
        match rows {
            Err(e) if to_guard(inner, at, &form, guarded, &e) => {}
            other => {
                let otherwise = |e| meaning(inner, "counting rows of a table", e);
                break other.map_err(|e| filtered::meaning(filter, e, otherwise))?;
            }
        }
    };
    let row = rows.first().ok_or_else(|| Error::broken("a count gave no row"))?;
    let count = cell::<i64>(row, 0)?.unsigned_abs();
    inner.tables.counts.insert(key, count);
    Ok(Some(count))
}

/// The extent of what a territory selects.
pub(in super::super) async fn extent(
    inner: &Arc<Inner>,
    at: &At,
    selection: &Selection,
) -> Result<Option<BBox>> {
    let form = inner.tables.form_at(at)?;
    let names = &inner.ready().await?.names;
    let Some(geometry) = &form.geometry else { return Ok(None) };
    let reach = inner.tables.reach(at).ok_or_else(unattached)?;
    let mut conditions = Conditions::default();
    conditions.selection(names, &form, reach, selection);
    let rows = loop {
        let guarded = form.guarded();
        let (shape, sides) = figures::extent(names, geometry);
        let sql = format!(
            "SELECT {sides} FROM (SELECT {shape} AS e FROM {}{}) AS x",
            form.source(),
            conditions.text()
        );
        let mut link = inner.primary.link().await?;
        match link.hot(&sql, &conditions.params()).await {
            Err(e) if to_guard(inner, at, &form, guarded, &e) => {}
            other => {
                break other.map_err(|e| meaning(inner, "the extent of rows of a table", e))?;
            }
        }
    };
    let Some(row) = rows.first() else { return Ok(None) };
    let side = |i| cell::<Option<f64>>(row, i);
    Ok(match (side(0)?, side(1)?, side(2)?, side(3)?) {
        (Some(west), Some(south), Some(east), Some(north)) => {
            Some(BBox { west, south, east, north })
        }
        _ => None,
    })
}

/// Turns the server's rows into the store's.
pub(super) struct Shower<'a> {
    form: &'a Form,
    at: &'a At,
    texts: Vec<Option<String>>,
    /// The id shown last.
    last: String,
}

impl Shower<'_> {
    fn show(
        &mut self,
        row: &tokio_postgres::Row,
        ordinal: u64,
        sink: &mut RowSink,
    ) -> Result<ControlFlow<()>> {
        let id: &str = cell(row, 0)?;
        let raws = raws(self.form, row)?;
        let columns: Vec<_> = self.form.fields.iter().map(|p| p.column).collect();
        column::texts(&columns, &raws, &mut self.texts)?;
        let values = values(self.form, &raws, &self.texts)?;
        let wkb: Option<&[u8]> = match self.at.version.schema.geometry {
            crate::model::GeometryKind::None => None,
            _ => cell(row, 1 + values.len())?,
        };
        let wkb = wkb.filter(|wkb| is_placed(wkb));
        self.last.clear();
        self.last.push_str(id);
        Ok(sink(&Row { ordinal, id, values: &values, wkb }))
    }
}

/// The properties' cells of a row.
pub(super) fn raws<'r>(form: &Form, row: &'r tokio_postgres::Row) -> Result<Vec<Option<Raw<'r>>>> {
    (0..form.fields.len()).map(|i| cell(row, 1 + i)).collect()
}

/// Their values. What no number is (NaN, infinity) is none.
pub(super) fn values<'v>(
    form: &Form,
    raws: &[Option<Raw<'v>>],
    texts: &'v [Option<String>],
) -> Result<Vec<ValueRef<'v>>> {
    let mut values = Vec::with_capacity(raws.len());
    for ((property, raw), text) in form.fields.iter().zip(raws).zip(texts) {
        let value = column::value(property.column, property.kind, *raw, text.as_deref())?;
        values.push(match value {
            ValueRef::Float(f) if !f.is_finite() => ValueRef::Null,
            other => other,
        });
    }
    Ok(values)
}
