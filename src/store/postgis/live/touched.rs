//! Which rows of a published table were touched since they were attached. Edits that were announced
//! say so by id. For all others a print of each row is kept beside its attachments, of exactly
//! what these are made from: the rows whose print is another now are the ones.

use super::{
    super::{
        Inner, claims, column,
        column::Raw,
        copy,
        link::{Failed, Link, Param, Ran, cell},
        load::first,
        names::Names,
    },
    attach::held_key,
    form::{Form, Held, Key, KeyColumn, written},
    meaning, select,
};
use crate::{
    error::{Error, Result},
    model::LayerDef,
    store::{At, Claim, Touched},
};
use futures_util::TryStreamExt;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    sync::Arc,
};
use tokio::sync::mpsc;
use tokio_postgres::types::Type;

/// Rows touched beyond half of a table, or beyond this where it is small: then all are attached.
const FEW: u64 = 1_000;
/// Beyond this too, however large it is: what is touched is held in memory.
const MANY: u64 = 200_000;
/// Rows looked at by id at once.
const IDS: usize = 2_000;
/// Prints that travel together.
const BATCH: usize = 1_024;

type Print = [u8; 16];

/// The expression of what a row's attachments are made from, shortened.
fn expression(form: &Form, def: &LayerDef, names: &Names) -> String {
    let mut parts: Vec<String> = Vec::new();
    for column in &def.territory.columns {
        let field = form.schema.index(&column.column).and_then(|i| form.fields.get(i));
        parts.extend(field.map(|f| format!("coalesce(({})::text, '')", f.shown)));
    }
    if let (Some(geometry), true) = (&form.geometry, def.territory.by_location) {
        let (g, c) = (&names.gis, &geometry.column);
        parts.push(format!("coalesce(md5({g}ST_AsEWKB({c})), '')"));
    }
    parts.push("''".to_owned());
    format!("md5({})::uuid", parts.join(" || chr(31) || "))
}

/// All rows' ids, as attachments hold them, and their prints: what stands after `SELECT`.
fn all(form: &Form, def: &LayerDef, names: &Names) -> String {
    let (key, held) = form.held();
    let with_key = form.with_key().map(|k| format!(" WHERE {k}")).unwrap_or_default();
    let (print, source) = (expression(form, def, names), form.source());
    format!("({key})::{} AS key, {print} AS print FROM {source}{with_key}", held.sql_type())
}

fn read_print(row: &tokio_postgres::Row, index: usize) -> Result<Option<Print>> {
    let raw: Option<Raw<'_>> = cell(row, index)?;
    let print = raw.map(|raw| Print::try_from(raw.0)).transpose();
    print.map_err(|_| Error::broken("a print that is none"))
}

/// Appends a print to a COPY.
pub(super) fn print(id: &str, print: &Print, held: Held, out: &mut copy::Batches) -> Result<()> {
    out.bytes.extend_from_slice(&2i16.to_be_bytes());
    held_key(id, held, &mut out.bytes)?;
    column::field(print, &mut out.bytes)?;
    out.send_when_full()
}

/// Keeps the prints of all rows aside, for the attachments that are made next. They are read
/// before the rows are: a row that changes in between differs from its print, and is found.
pub(in super::super) async fn mark(inner: &Arc<Inner>, claim: &Claim, at: &At) -> Result<()> {
    let names = &inner.ready().await?.names;
    let form = inner.tables.form_at(at)?;
    let def = inner.tables.defs.get(&at.layer).ok_or_else(|| super::super::gone(at))?;
    let (_, held) = form.held();
    let revision = at.version.live.as_ref().map_or(0, |l| l.revision.cast_signed());
    // Read as whoever reads the table, written as whoever loads.
    let (mut reading, mut link) = (inner.primary.link().await?, inner.write_link().await?);
    let work = async {
        // Nobody sees any of it before the end: only then is the claim looked at, and held for a
        // moment. A whole table is read here, and who renews or takes a claim does not wait for it.
        link.begin(inner.role()).await?;
        let sql = names.sql(
            "INSERT INTO {s}live_reaches (layer, id, revision, prints)
             VALUES ($1, '', $2, true) RETURNING serial",
        );
        let layer = claim.layer.as_str();
        let params: [Param<'_>; 2] = [(&layer, Type::TEXT), (&revision, Type::INT8)];
        let serial: i64 = first(&mut link, &sql, &params).await?;
        let (table, kind) = (select::prints(names, serial), held.sql_type());
        link.batch(&format!("CREATE TABLE {table} (key {kind} NOT NULL, print uuid NOT NULL)"))
            .await?;
        let sql = format!("SELECT key::text, print FROM (SELECT {}) p", all(&form, def, names));
        let (out, mut prints) = mpsc::channel::<Vec<(String, Print)>>(4);
        let read = read(&mut reading, &sql, out);
        let copy = format!("COPY {table} FROM STDIN (FORMAT binary)");
        let written = copy::copy(&mut link, &copy, move |out| {
            while let Some(some) = prints.blocking_recv() {
                for (id, held_print) in &some {
                    print(id, held_print, held, out)?;
                }
            }
            Ok(())
        });
        let (read, written) = tokio::join!(read, written);
        written?;
        read?;
        link.batch(&format!("CREATE INDEX ON {table} (key); ANALYZE {table}")).await?;
        claims::assure(&mut link, names, claim).await?;
        link.commit().await
    };
    work.await.map_err(|e: Failed| meaning(inner, "noting what rows hold", e))
}

/// Reads prints in batches.
async fn read(link: &mut Link, sql: &str, out: mpsc::Sender<Vec<(String, Print)>>) -> Ran<()> {
    // A job's statement: the time it takes is its own.
    link.begin(None).await?;
    let mut rows = std::pin::pin!(link.stream(sql).await?);
    let mut batch = Vec::with_capacity(BATCH);
    while let Some(row) = rows.try_next().await.map_err(Failed::Database)? {
        if let Some(print) = read_print(&row, 1)? {
            batch.push((cell(&row, 0)?, print));
        }
        if batch.len() == BATCH && out.send(std::mem::take(&mut batch)).await.is_err() {
            return Err(Error::broken("prints that nobody writes").into());
        }
    }
    let _ = out.send(batch).await;
    link.set_running(false);
    link.rollback().await
}

/// How many rows of a table may be attached again one by one.
fn most(count: u64) -> u64 {
    (count / 2).clamp(FEW, MANY)
}

/// The rows that were touched since the attachments in force; `None`: not known, or too many.
pub(in super::super) async fn touched(inner: &Arc<Inner>, at: &At) -> Result<Option<Touched>> {
    let names = &inner.ready().await?.names;
    let form = inner.tables.form_at(at)?;
    let (Some(def), Some(serial)) = (inner.tables.defs.get(&at.layer), inner.tables.reach(at))
    else {
        return Ok(None);
    };
    let mut link = inner.primary.link().await?;
    let most = most(at.version.count);
    let work = async {
        link.begin(None).await?;
        let sql = names.sql("SELECT vintage, prints FROM {s}live_reaches WHERE serial = $1");
        let Some(row) = link.row(&sql, &[(&serial, Type::INT8)]).await? else { return Ok(None) };
        if !cell::<bool>(&row, 1)? {
            return Ok(None);
        }
        let vintage = cell::<Option<i32>>(&row, 0)?.and_then(|v| u16::try_from(v).ok());
        let found = match announced(&mut link, names, at, most).await? {
            Some(ids) => named(&mut link, names, &form, def, ids).await?,
            None => compared(&mut link, names, &form, def, serial, most).await?,
        };
        link.rollback().await?;
        let Some((ids, prints)) = found else { return Ok(None) };
        Ok(Some(Touched { ids, prints, vintage }))
    };
    let found: Ran<Option<Touched>> = work.await;
    match found {
        // Ids that are none of this key: it was another one.
        Err(e) if e.is_of_data() => Ok(None),
        other => other.map_err(|e| meaning(inner, "looking for touched rows", e)),
    }
}

/// The ids that edits announced since the attachments in force; `None` when some edit said none.
async fn announced(
    link: &mut Link,
    names: &Names,
    at: &At,
    most: u64,
) -> Ran<Option<BTreeSet<String>>> {
    let Some(live) = &at.version.live else { return Ok(None) };
    let (from, to) = (live.attached.cast_signed(), live.revision.cast_signed());
    let sql = names.sql(
        "SELECT keys FROM {s}live_touched WHERE layer = $1 AND revision > $2 AND revision <= $3",
    );
    let layer = at.layer.as_str();
    let params: [Param<'_>; 3] = [(&layer, Type::TEXT), (&from, Type::INT8), (&to, Type::INT8)];
    let rows = link.rows(&sql, &params).await?;
    // A program that knows nothing of this moved a revision.
    if rows.len() as u64 != live.revision.saturating_sub(live.attached) {
        return Ok(None);
    }
    let mut ids = BTreeSet::new();
    for row in &rows {
        match cell::<Option<Vec<String>>>(row, 0)? {
            Some(keys) => ids.extend(keys),
            None => return Ok(None),
        }
    }
    Ok((ids.len() as u64 <= most).then_some(ids))
}

type Found = Option<(Vec<String>, Vec<Option<Print>>)>;

/// The prints of named rows as they are now. Their ids are written anew from the values they name:
/// a row is known by one text, whoever wrote it before, also when it is gone.
async fn named(
    link: &mut Link,
    names: &Names,
    form: &Form,
    def: &LayerDef,
    ids: BTreeSet<String>,
) -> Ran<Found> {
    let Key::Columns(columns) = &form.key else { return Ok(None) };
    let ids: Vec<String> = ids.into_iter().collect();
    let each = |text: &dyn Fn(usize, &KeyColumn) -> String| {
        columns.iter().enumerate().map(|(i, c)| text(i, c)).collect::<Vec<_>>()
    };
    let asked = each(&|i, _| format!("a.k{i}"));
    let sql = format!(
        "SELECT {}, s.print FROM unnest({}) AS a ({})
         LEFT JOIN (SELECT {}, {} AS print FROM {}) s ON {}",
        written(asked.iter().map(String::as_str)),
        each(&|i, c| format!("${}::{}[]", i + 1, c.kind)).join(", "),
        each(&|i, _| format!("k{i}")).join(", "),
        each(&|i, c| format!("{} AS k{i}", c.column)).join(", "),
        expression(form, def, names),
        form.source(),
        each(&|i, _| format!("s.k{i} = a.k{i}")).join(" AND "),
    );
    let mut prints: BTreeMap<String, Option<Print>> = BTreeMap::new();
    for some in ids.chunks(IDS) {
        let mut parts: Vec<Vec<&str>> = vec![Vec::with_capacity(some.len()); columns.len()];
        let split: Vec<Vec<String>> = some.iter().filter_map(|id| form.key_parts(id)).collect();
        for id in &split {
            parts.iter_mut().zip(id).for_each(|(part, value)| part.push(value));
        }
        let params: Vec<Param<'_>> =
            parts.iter().map(|part| (part as _, Type::TEXT_ARRAY)).collect();
        for row in &link.rows(&sql, &params).await? {
            prints.insert(cell(row, 0)?, read_print(row, 1)?);
        }
    }
    Ok(Some(prints.into_iter().unzip()))
}

/// The rows whose print is not the one kept, those that came and those that left.
async fn compared(
    link: &mut Link,
    names: &Names,
    form: &Form,
    def: &LayerDef,
    serial: i64,
    most: u64,
) -> Ran<Found> {
    // One more than is of use says that there are too many.
    let sql = format!(
        "SELECT coalesce(s.key, k.key)::text, s.print FROM (SELECT {}) s
         FULL JOIN {} k ON k.key = s.key WHERE s.print IS DISTINCT FROM k.print LIMIT {}",
        all(form, def, names),
        select::prints(names, serial),
        most + 1
    );
    let (mut ids, mut prints) = (Vec::new(), Vec::new());
    link.each(&sql, &[], |row| {
        ids.push(cell(row, 0)?);
        prints.push(read_print(row, 1)?);
        Ok(ControlFlow::Continue(()))
    })
    .await?;
    Ok((ids.len() as u64 <= most).then_some((ids, prints)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_of_touched_rows_is_bounded() {
        assert_eq!([10, 5_000, 60_000_000].map(most), [FEW, 2_500, MANY]);
    }
}
