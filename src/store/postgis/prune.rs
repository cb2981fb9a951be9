//! Removes what nobody reads: old versions, old reach indexes, what a dead writer left.

use super::{
    Inner, claims,
    link::{Failed, Param, Ran, cell},
    load::first,
    views,
};
use crate::{error::Result, store::Claim};
use std::sync::Arc;
use tokio_postgres::{error::SqlState, types::Type};

/// Removes what is beyond the `keep` newest and not held by any reader.
pub(super) async fn prune(inner: &Arc<Inner>, claim: &Claim, keep: usize) -> Result<usize> {
    let ready = inner.ready().await?;
    let failed = |e: Failed| e.meaning("removing old versions");
    let layer = claim.layer.as_str();
    let mut link = inner.write_link().await?;
    let sql = ready.names.sql(
        "SELECT v.serial FROM {s}versions v JOIN {s}layers l ON l.layer = v.layer
         WHERE v.layer = $1 AND v.serial <> l.version AND (v.published OR v.held IS NULL)
         ORDER BY v.id COLLATE \"C\"",
    );
    let rows = link.rows(&sql, &[(&layer, Type::TEXT)]).await.map_err(failed)?;
    let mut old = Vec::with_capacity(rows.len());
    for row in &rows {
        old.push(cell::<i64>(row, 0)?);
    }
    old.truncate(old.len().saturating_sub(keep));
    drop(link);
    let mut removed = 0;
    for serial in old {
        removed += usize::from(remove(inner, claim, serial).await?);
    }
    prune_reaches(inner, claim).await?;
    Ok(removed)
}

/// Removes a version; `false` when someone reads it, or built something on its tables.
async fn remove(inner: &Arc<Inner>, claim: &Claim, serial: i64) -> Result<bool> {
    let ready = inner.ready().await?;
    let names = &ready.names;
    let mut link = inner.write_link().await?;
    let work: Ran<bool> = async {
        link.begin(inner.role()).await?;
        claims::assure(&mut link, names, claim).await?;
        link.batch("SET LOCAL lock_timeout = '2s'").await?;
        // A hold refers to a reach index: while these are locked no new one comes.
        let version: [Param<'_>; 1] = [(&serial, Type::INT8)];
        let sql = names.sql("SELECT 1 FROM {s}reaches WHERE version = $1 FOR UPDATE");
        link.rows(&sql, &version).await?;
        let sql = names.sql(
            "SELECT EXISTS (SELECT 1 FROM {s}holds h JOIN {s}reaches r ON r.serial = h.reach
                            WHERE r.version = $1 AND h.expires > clock_timestamp())",
        );
        if first(&mut link, &sql, &version).await? {
            return Ok(false);
        }
        let (features, tiles) = (names.features(serial), names.tiles(serial));
        link.batch(&format!("DROP TABLE IF EXISTS {features}, {tiles}")).await?;
        link.run(&names.sql("DELETE FROM {s}versions WHERE serial = $1"), &version).await?;
        link.commit().await?;
        Ok(true)
    }
    .await;
    match work {
        Ok(removed) => Ok(removed),
        Err(e) if e.is(&SqlState::LOCK_NOT_AVAILABLE) => Ok(false),
        Err(e) if e.is(&SqlState::DEPENDENT_OBJECTS_STILL_EXIST) => {
            tracing::warn!(layer = %claim.layer, "an old version is kept: a view is built on it");
            Ok(false)
        }
        Err(e) => Err(e.meaning("removing a version")),
    }
}

/// Removes reach indexes of the current version that are not in force and that nobody holds, but for
/// the newest of them: a server that has not followed yet asks for it.
async fn prune_reaches(inner: &Arc<Inner>, claim: &Claim) -> Result<()> {
    let ready = inner.ready().await?;
    let mut link = inner.write_link().await?;
    let work = async {
        link.begin(inner.role()).await?;
        claims::assure(&mut link, &ready.names, claim).await?;
        views::show(&mut link, &ready.names, &claim.layer).await?;
        let layer = claim.layer.as_str();
        let sql = ready.names.sql(
            "SELECT r.serial FROM {s}reaches r JOIN {s}layers l ON l.version = r.version
             WHERE l.layer = $1 AND r.serial <> l.reach
             ORDER BY r.serial DESC OFFSET 1 FOR UPDATE OF r SKIP LOCKED",
        );
        let mut old: Vec<i64> = Vec::new();
        for row in &link.rows(&sql, &[(&layer, Type::TEXT)]).await? {
            old.push(cell(row, 0)?);
        }
        let sql = ready.names.sql(
            "DELETE FROM {s}reaches r WHERE r.serial = ANY($1) AND NOT EXISTS
             (SELECT 1 FROM {s}holds h WHERE h.reach = r.serial AND h.expires > clock_timestamp())",
        );
        link.run(&sql, &[(&old, Type::INT8_ARRAY)]).await?;
        link.commit().await
    };
    work.await.map_err(|e: Failed| e.meaning("removing old reach indexes"))
}

/// Removes versions that were loaded and neither published nor held: a dead writer left them.
pub(super) async fn sweep(inner: &Arc<Inner>, claim: &Claim) -> Result<()> {
    let ready = inner.ready().await?;
    let mut link = inner.write_link().await?;
    if let Some(role) = &inner.settings.read_role {
        inner
            .granted
            .get_or_try_init(async || {
                link.begin(inner.role()).await.map_err(|e| e.meaning("granting"))?;
                super::migrate::grant(&mut link, &ready.names, role).await?;
                link.commit().await.map_err(|e| e.meaning("granting"))
            })
            .await?;
    }
    let sql = ready
        .names
        .sql("SELECT serial FROM {s}versions WHERE layer = $1 AND NOT published AND held IS NULL");
    let layer = claim.layer.as_str();
    let rows = link.rows(&sql, &[(&layer, Type::TEXT)]).await;
    let rows = rows.map_err(|e| e.meaning("looking for what a dead writer left"))?;
    drop(link);
    for row in &rows {
        remove(inner, claim, cell(row, 0)?).await?;
    }
    Ok(())
}
