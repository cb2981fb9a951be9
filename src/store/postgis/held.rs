//! Versions that were loaded and wait for a person: a mark on their row, one of a layer at most.

use super::{
    Inner, claims,
    inner::description,
    link::{Failed, Param, cell},
    prune,
};
use crate::{
    error::{Error, Result},
    model::{Held, Hold, LayerId, VersionId},
    store::Claim,
};
use std::sync::Arc;
use tokio_postgres::types::Type;

/// Marks a version as one that waits, in the place of the one that waited before.
pub(super) async fn hold(
    inner: &Arc<Inner>,
    claim: &Claim,
    version: &VersionId,
    hold: &Hold,
) -> Result<()> {
    let why = serde_json::to_string(hold).map_err(|e| Error::fault("why a version waits", e))?;
    mark(inner, claim, Some((version, &why))).await
}

/// Removes what waits.
pub(super) async fn release(inner: &Arc<Inner>, claim: &Claim) -> Result<()> {
    mark(inner, claim, None).await
}

async fn mark(inner: &Arc<Inner>, claim: &Claim, one: Option<(&VersionId, &str)>) -> Result<()> {
    let names = &inner.ready().await?.names;
    let mut link = inner.write_link().await?;
    let layer = claim.layer.as_str();
    let work = async {
        link.begin(inner.role()).await?;
        claims::assure(&mut link, names, claim).await?;
        let sql =
            names.sql("UPDATE {s}versions SET held = NULL WHERE layer = $1 AND held IS NOT NULL");
        let freed = link.run(&sql, &[(&layer, Type::TEXT)]).await?;
        if let Some((version, why)) = one {
            let sql = names
                .sql("UPDATE {s}versions SET held = $3::text::json WHERE layer = $1 AND id = $2");
            let id = version.as_str();
            let params: [Param<'_>; 3] =
                [(&layer, Type::TEXT), (&id, Type::TEXT), (&why, Type::TEXT)];
            if link.run(&sql, &params).await? == 0 {
                return Err(Failed::Known(super::no_version(version)));
            }
        }
        link.commit().await?;
        Ok(freed)
    };
    let freed = work.await.map_err(|e| e.meaning("holding a version"))?;
    drop(link);
    if freed > 0 { prune::sweep(inner, claim).await } else { Ok(()) }
}

/// What waits of a layer.
pub(super) async fn held(inner: &Arc<Inner>, layer: &LayerId) -> Result<Option<Held>> {
    let name = layer.as_str();
    let rows = inner
        .ask(
            "looking for what is held",
            "SELECT description::text, held::text FROM {s}versions
             WHERE layer = $1 AND held IS NOT NULL AND NOT published",
            &[(&name, Type::TEXT)],
        )
        .await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let hold =
        serde_json::from_str(cell(row, 1)?).map_err(|e| Error::fault("why a version waits", e))?;
    Ok(Some(Held { version: description(cell(row, 0)?)?, hold }))
}
