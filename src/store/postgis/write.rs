//! Makes versions current, and notes checks.

use super::{
    Inner, claims,
    link::{Failed, Param, Ran, cell},
    load::first,
    names::Names,
    views,
};
use crate::{
    error::{Error, Result},
    model::{Harvested, VersionId},
    store::Claim,
};
use std::sync::Arc;
use tokio_postgres::types::Type;

/// Makes a loaded version and reach index current.
pub(super) async fn publish(
    inner: &Arc<Inner>,
    claim: &Claim,
    version: &VersionId,
    reach: &str,
) -> Result<()> {
    let ready = inner.ready().await?;
    let mut link = inner.write_link().await?;
    let work = async {
        link.begin(inner.role()).await?;
        // What is published is on disk, and all before it, whatever the server's own setting.
        link.batch("SET LOCAL synchronous_commit = on").await?;
        claims::assure(&mut link, &ready.names, claim).await?;
        let sql = ready.names.sql(
            "SELECT v.serial, r.serial FROM {s}versions v
             JOIN {s}reaches r ON r.version = v.serial AND r.id = $3
             WHERE v.layer = $1 AND v.id = $2 FOR UPDATE",
        );
        let (layer, id) = (claim.layer.as_str(), version.as_str());
        let params: [Param<'_>; 3] =
            [(&layer, Type::TEXT), (&id, Type::TEXT), (&reach, Type::TEXT)];
        let Some(row) = link.row(&sql, &params).await? else {
            return Err(Failed::Known(super::no_version(version)));
        };
        let (serial, reach): (i64, i64) = (cell(&row, 0)?, cell(&row, 1)?);
        // A new reach index of the version in force does not forget when the source was seen.
        let sql = ready.names.sql(
            "WITH v AS (UPDATE {s}versions SET published = true, held = NULL WHERE serial = $2
                        RETURNING description -> 'source' AS source)
             INSERT INTO {s}layers AS l (layer, version, reach, source)
             SELECT $1, $2, $3, v.source FROM v
             ON CONFLICT (layer) DO UPDATE SET version = excluded.version, reach = excluded.reach,
             source = CASE WHEN l.version = excluded.version THEN l.source ELSE excluded.source END",
        );
        let params: [Param<'_>; 3] =
            [(&layer, Type::TEXT), (&serial, Type::INT8), (&reach, Type::INT8)];
        link.run(&sql, &params).await?;
        views::show(&mut link, &ready.names, &claim.layer).await?;
        let generation = announce(&mut link, &ready.names).await?;
        link.commit().await?;
        Ok(generation)
    };
    let generation = work.await.map_err(|e| e.meaning("publishing a version"))?;
    inner.pulse.saw(generation);
    Ok(())
}

/// Notes that a version is history, so that no sweep takes it for what a dead writer left.
pub(super) async fn keep(inner: &Arc<Inner>, claim: &Claim, version: &VersionId) -> Result<()> {
    let ready = inner.ready().await?;
    let mut link = inner.write_link().await?;
    let work = async {
        link.begin(inner.role()).await?;
        claims::assure(&mut link, &ready.names, claim).await?;
        let sql =
            ready.names.sql("UPDATE {s}versions SET published = true WHERE layer = $1 AND id = $2");
        let (layer, id) = (claim.layer.as_str(), version.as_str());
        if link.run(&sql, &[(&layer, Type::TEXT), (&id, Type::TEXT)]).await? == 0 {
            return Err(Failed::Known(super::no_version(version)));
        }
        link.commit().await
    };
    work.await.map_err(|e| e.meaning("keeping a version"))
}

/// Moves the generation and tells whoever listens, when the transaction ends well.
pub(super) async fn announce(link: &mut super::link::Link, names: &Names) -> Ran<i64> {
    let sql = names.sql(
        "WITH s AS (UPDATE {s}state SET generation = generation + 1 RETURNING generation)
         SELECT generation, pg_notify($1, generation::text)::text FROM s",
    );
    first(link, &sql, &[(&names.store, Type::TEXT)]).await
}

/// Notes a check that found nothing new.
pub(super) async fn touch(inner: &Arc<Inner>, claim: &Claim, seen: &Harvested) -> Result<()> {
    let ready = inner.ready().await?;
    let mut link = inner.write_link().await?;
    let source =
        serde_json::to_string(seen).map_err(|e| Error::fault("a source's description", e))?;
    let work = async {
        link.begin(inner.role()).await?;
        claims::assure(&mut link, &ready.names, claim).await?;
        let sql = ready.names.sql("UPDATE {s}layers SET source = $2::text::json WHERE layer = $1");
        let layer = claim.layer.as_str();
        link.run(&sql, &[(&layer, Type::TEXT), (&source, Type::TEXT)]).await?;
        let generation = announce(&mut link, &ready.names).await?;
        link.commit().await?;
        Ok(generation)
    };
    let generation = work.await.map_err(|e: Failed| e.meaning("noting a check"))?;
    inner.pulse.saw(generation);
    Ok(())
}
