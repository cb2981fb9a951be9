//! What rows do not show of a version, read back for a copy elsewhere.

use super::{
    Inner,
    link::{Failed, Param, Ran, cell},
    reach, tiles,
};
use crate::{
    error::Result,
    model::{LayerId, VersionId},
    store::Beside,
};
use std::sync::Arc;
use tokio_postgres::types::Type;

/// Reads it on the primary, as it is at one moment; `None` when the version is not there.
pub(super) async fn beside(
    inner: &Arc<Inner>,
    layer: &LayerId,
    version: &VersionId,
) -> Result<Option<Beside>> {
    let names = &inner.ready().await?.names;
    let mut link = inner.primary.link().await?;
    let (layer, id) = (layer.as_str(), version.as_str());
    let work = async {
        link.begin(None).await?;
        link.batch("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
        let sql = names.sql(
            "SELECT serial, comment, (description ->> 'count')::int8 FROM {s}versions
             WHERE layer = $1 AND id = $2",
        );
        let params: [Param<'_>; 2] = [(&layer, Type::TEXT), (&id, Type::TEXT)];
        let Some(row) = link.row(&sql, &params).await? else { return Ok(None) };
        let (serial, comment): (i64, String) = (cell(&row, 0)?, cell(&row, 1)?);
        let (title, provenance) = comment.split_once('\n').unwrap_or((&comment, ""));
        let mut found = Beside {
            title: title.to_owned(),
            provenance: provenance.to_owned(),
            ..Beside::default()
        };
        let count = usize::try_from(cell::<i64>(&row, 2)?).unwrap_or_default();
        found.mvt_ids = tiles::mvt_ids(&mut link, names, serial, count).await?;
        let sql = names
            .sql("SELECT serial, id FROM {s}reaches WHERE version = $1 ORDER BY id COLLATE \"C\"");
        for row in &link.rows(&sql, &[(&serial, Type::INT8)]).await? {
            let (serial, id): (i64, String) = (cell(row, 0)?, cell(row, 1)?);
            found.reaches.push(reach::whole(&mut link, names, serial, &id).await?);
        }
        link.commit().await?;
        Ok(Some(found))
    };
    let found: Ran<Option<Beside>> = work.await;
    match found {
        // Removed between two statements.
        Err(e) if e.is_gone() => Ok(None),
        other => other.map_err(|e: Failed| e.meaning("reading what is beside a version's rows")),
    }
}
