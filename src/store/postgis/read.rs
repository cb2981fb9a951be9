//! How versions are read: where to, and how often.

use super::{
    fault, gone,
    inner::Inner,
    link::{Failed, Ran},
    live, rows, sorted,
};
use crate::{
    error::{Error, Result},
    query::{Filter, Scan, Sort},
    store::{At, RowSink, ScanEnd, filter_cost},
};
use std::sync::Arc;

/// Runs a read of a version: on the replica if there is one, else, or when the replica fails or
/// is behind, on the primary; once more when a connection turned out to be dead.
macro_rules! read {
    ($inner:expr, $at:expr, $what:literal, |$link:ident, $names:ident, $open:ident| $work:expr) => {{
        let inner: &Arc<Inner> = $inner;
        let at: &At = $at;
        let open = inner.open(at).await?;
        let $open = &*open;
        let $names = &inner.ready().await?.names;
        let mut last = fault::unreachable();
        let mut answer = None;
        'tries: for connections in inner.readers() {
            for attempt in 0..2 {
                let mut link = match connections.link().await {
                    Ok(link) => link,
                    Err(e) => {
                        last = e;
                        continue 'tries;
                    }
                };
                let $link = &mut link;
                let done: Ran<_> = $work.await;
                match done {
                    Ok(found) => {
                        answer = Some(found);
                        break 'tries;
                    }
                    Err(e) if e.is_lost() && attempt == 0 => {}
                    // The replica threw the read out to follow the primary.
                    Err(e) if e.is_overtaken() => {
                        last = e.meaning($what);
                        continue 'tries;
                    }
                    Err(e) if e.is_gone() => {
                        last = gone(at);
                        continue 'tries;
                    }
                    Err(e) => {
                        let lost = e.is_lost();
                        last = e.meaning($what);
                        if lost {
                            continue 'tries;
                        }
                        break 'tries;
                    }
                }
            }
        }
        answer.ok_or(last)
    }};
}
pub(super) use read;

/// On a thread where the sink may take its time; given up when the caller is.
pub(super) async fn scan_aside(
    inner: &Arc<Inner>,
    at: &At,
    asked: (Scan, Option<Arc<Sort>>),
    shapes: bool,
    sink: RowSink,
) -> Result<ScanEnd> {
    let (inner, at) = (inner.clone(), at.clone());
    let runtime = tokio::runtime::Handle::current();
    let (_here, gone) = tokio::sync::oneshot::channel::<()>();
    let work = move || {
        runtime.block_on(async {
            tokio::select! {
                end = scan_any(&inner, &at, asked, shapes, sink) => end,
                _ = gone => Ok(ScanEnd::default()),
            }
        })
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::fault("a store task stopped", e))?
}

async fn scan_any(
    inner: &Arc<Inner>,
    at: &At,
    (scan, sort): (Scan, Option<Arc<Sort>>),
    shapes: bool,
    mut sink: RowSink,
) -> Result<ScanEnd> {
    match at.version.live {
        Some(_) => live::scan(inner, at, &scan, sort.as_deref(), &mut sink).await,
        None => scan_rows(inner, at, (scan, sort), shapes, sink).await,
    }
}

async fn scan_rows(
    inner: &Arc<Inner>,
    at: &At,
    (scan, sort): (Scan, Option<Arc<Sort>>),
    shapes: bool,
    mut sink: RowSink,
) -> Result<ScanEnd> {
    let mut shown = false;
    ready_filter(inner, at, &scan.filter).await?;
    ready_order(inner, at, sort.as_deref()).await?;
    read!(inner, at, "reading features", |link, names, open| async {
        let end = match &sort {
            None => rows::scan(link, names, open, &scan, shapes, &mut sink, &mut shown).await,
            Some(sort) => {
                let asked = (&scan, &**sort);
                sorted::scan(link, names, open, asked, shapes, &mut sink, &mut shown).await
            }
        };
        match end {
            // Rows were shown: a second try would show them again.
            Err(e) if shown => Err(Failed::Known(e.meaning("reading features"))),
            other => other,
        }
    })
}

/// Sees to it that what a filter lets through is known: found by one of those that ask at the same
/// time, while the others wait without a connection.
pub(super) async fn ready_filter(inner: &Arc<Inner>, at: &At, filter: &Filter) -> Result<()> {
    let Some(expression) = &filter.expression else { return Ok(()) };
    let open = inner.open(at).await?;
    if open.filtered.contains_key(expression.key()) {
        return Ok(());
    }
    let _waiting = filter_cost::wait()?;
    let turn = tokio::time::timeout(filter_cost::TIME, open.turn.lock()).await;
    let _turn = turn.map_err(|_| Error::Busy { retry_after: filter_cost::TIME })?;
    read!(inner, at, "judging a filter", |link, names, open| open
        .matching(link, names, expression))?;
    Ok(())
}

/// The same of an order.
async fn ready_order(inner: &Arc<Inner>, at: &At, sort: Option<&Sort>) -> Result<()> {
    let Some(sort) = sort else { return Ok(()) };
    let open = inner.open(at).await?;
    if open.orders.contains_key(&sort.key()) {
        return Ok(());
    }
    let _waiting = filter_cost::wait()?;
    let turn = tokio::time::timeout(filter_cost::SORTING, open.sorting.lock()).await;
    let _turn = turn.map_err(|_| Error::Busy { retry_after: filter_cost::SORTING })?;
    read!(inner, at, "sorting features", |link, names, open| sorted::order(
        link, names, open, sort
    ))?;
    Ok(())
}
