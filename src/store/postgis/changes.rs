//! Differences as rows. They stay when the versions they were made from go.

use super::{
    Inner, claims,
    link::{Failed, Param, cell},
};
use crate::{
    error::Result,
    model::{Changes, ChangesHead, LayerId, VersionId, changes::published},
    store::{
        Claim,
        changes::{self, KEPT},
    },
};
use jiff::Timestamp;
use std::sync::Arc;
use tokio_postgres::types::Type;

/// Writes one, and removes those beyond the newest that are kept.
pub(super) async fn load(inner: &Arc<Inner>, claim: &Claim, all: Changes) -> Result<()> {
    let names = &inner.ready().await?.names;
    let mut link = inner.write_link().await?;
    let (head, body) = (changes::head(&all)?, changes::body(&all)?);
    let (layer, at) = (claim.layer.as_str(), all.head.at.as_millisecond());
    let work = async {
        link.begin(inner.role()).await?;
        claims::assure(&mut link, names, claim).await?;
        let sql = names.sql(
            "INSERT INTO {s}changes (layer, at, head, list) VALUES ($1, $2, $3::text::json, $4)
             ON CONFLICT DO NOTHING",
        );
        let params: [Param<'_>; 4] =
            [(&layer, Type::TEXT), (&at, Type::INT8), (&head, Type::TEXT), (&body, Type::BYTEA)];
        link.run(&sql, &params).await?;
        let sql = names.sql(
            "DELETE FROM {s}changes WHERE layer = $1 AND at IN
             (SELECT at FROM {s}changes WHERE layer = $1 ORDER BY at DESC OFFSET $2)",
        );
        let kept = i64::try_from(KEPT).unwrap_or(i64::MAX);
        link.run(&sql, &[(&layer, Type::TEXT), (&kept, Type::INT8)]).await?;
        link.commit().await
    };
    work.await.map_err(|e: Failed| e.meaning("keeping a difference"))
}

/// The heads of those that came to be published, newest first.
pub(super) async fn history(inner: &Arc<Inner>, layer: &LayerId) -> Result<Vec<ChangesHead>> {
    let layer = layer.as_str();
    let rows = inner
        .ask(
            "reading differences",
            "SELECT c.head::text, v.id FROM {s}changes c JOIN {s}layers l ON l.layer = c.layer
             JOIN {s}versions v ON v.serial = l.version WHERE c.layer = $1",
            &[(&layer, Type::TEXT)],
        )
        .await?;
    let Some(first) = rows.first() else { return Ok(Vec::new()) };
    let current: String = cell(first, 1)?;
    let current: VersionId =
        current.parse().map_err(|e| crate::error::Error::fault("a version's name", e))?;
    let mut heads = Vec::with_capacity(rows.len());
    for row in &rows {
        heads.push(changes::read_head(cell(row, 0)?)?);
    }
    Ok(published(heads, &current))
}

/// One, whole.
pub(super) async fn read(
    inner: &Arc<Inner>,
    layer: &LayerId,
    at: Timestamp,
) -> Result<Option<Changes>> {
    let (layer, at) = (layer.as_str(), at.as_millisecond());
    let rows = inner
        .ask(
            "reading a difference",
            "SELECT head::text, list FROM {s}changes WHERE layer = $1 AND at = $2",
            &[(&layer, Type::TEXT), (&at, Type::INT8)],
        )
        .await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let head = changes::read_head(cell(row, 0)?)?;
    changes::read(head, cell(row, 1)?).map(Some)
}
