//! The journal of harvests, as rows.

use super::{
    Inner, claims,
    link::{Failed, Param, cell},
};
use crate::{
    error::{Error, Result},
    model::{LayerId, RunRecord},
    store::{Claim, KEPT_RUNS},
};
use std::{collections::BTreeMap, sync::Arc};
use tokio_postgres::types::Type;

/// Adds runs, and forgets those beyond the newest that are kept.
pub(super) async fn note(inner: &Arc<Inner>, claim: &Claim, runs: &[RunRecord]) -> Result<()> {
    let names = &inner.ready().await?.names;
    let written = |run: &RunRecord| serde_json::to_string(run);
    let records: Result<Vec<String>, _> = runs.iter().map(written).collect();
    let records = records.map_err(|e| Error::fault("the journal", e))?;
    let started: Vec<i64> = runs.iter().map(|run| run.started.as_microsecond()).collect();
    let mut link = inner.write_link().await?;
    let layer = claim.layer.as_str();
    let work = async {
        link.begin(inner.role()).await?;
        claims::assure(&mut link, names, claim).await?;
        let sql = names.sql(
            "INSERT INTO {s}runs (layer, started, record)
             SELECT $1, new.started, new.record::json FROM unnest($2, $3) AS new (started, record)
             ON CONFLICT (layer, started) DO UPDATE SET record = excluded.record",
        );
        let params: [Param<'_>; 3] =
            [(&layer, Type::TEXT), (&started, Type::INT8_ARRAY), (&records, Type::TEXT_ARRAY)];
        link.run(&sql, &params).await?;
        let sql = names.sql(
            "DELETE FROM {s}runs WHERE layer = $1 AND started IN
             (SELECT started FROM {s}runs WHERE layer = $1 ORDER BY started DESC OFFSET $2)",
        );
        let kept = i64::try_from(KEPT_RUNS).unwrap_or(i64::MAX);
        link.run(&sql, &[(&layer, Type::TEXT), (&kept, Type::INT8)]).await?;
        link.commit().await
    };
    work.await.map_err(|e: Failed| e.meaning("keeping the journal"))
}

/// The newest runs of every layer, newest first, but for those that cannot be read.
pub(super) async fn read(
    inner: &Arc<Inner>,
    most: usize,
) -> Result<BTreeMap<LayerId, Vec<RunRecord>>> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = inner
        .ask(
            "reading the journal",
            "SELECT record::text, layer FROM (SELECT record, layer, started, row_number() OVER
               (PARTITION BY layer ORDER BY started DESC) AS rank FROM {s}runs) r
             WHERE rank <= $1 ORDER BY layer, started DESC",
            &[(&most, Type::INT8)],
        )
        .await?;
    let mut all: BTreeMap<LayerId, Vec<RunRecord>> = BTreeMap::new();
    for row in &rows {
        let run = match serde_json::from_str::<RunRecord>(cell(row, 0)?) {
            Ok(run) => run,
            // In nobody else's way.
            Err(e) => {
                let layer: &str = cell(row, 1)?;
                tracing::warn!(layer, "a run in the journal cannot be read: {e}");
                continue;
            }
        };
        all.entry(run.layer.clone()).or_default().push(run);
    }
    Ok(all)
}
