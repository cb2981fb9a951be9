//! What was told of alerts, as one row.

use super::{
    Inner,
    link::{Failed, Param, cell},
};
use crate::{
    error::{Error, Result},
    model::Told,
    store::told_meanwhile,
};
use std::sync::Arc;
use tokio_postgres::types::Type;

/// The state; the default before anything was told.
pub(super) async fn read(inner: &Arc<Inner>) -> Result<Told> {
    let sql = "SELECT state::text FROM {s}told";
    let rows = inner.ask("reading what was told", sql, &[]).await?;
    let Some(row) = rows.first() else { return Ok(Told::default()) };
    let text: String = cell(row, 0)?;
    serde_json::from_str(&text).map_err(|e| Error::fault("what was told", e))
}

/// Replaces the state; who read an older one is refused.
pub(super) async fn set(inner: &Arc<Inner>, told: &Told) -> Result<()> {
    let names = &inner.ready().await?.names;
    let text = serde_json::to_string(told).map_err(|e| Error::fault("what was told", e))?;
    let serial = i64::try_from(told.serial).unwrap_or(i64::MAX);
    let mut link = inner.write_link().await?;
    let sql = match serial {
        1 => {
            "INSERT INTO {s}told (one, serial, state) VALUES (true, $2, $1::text::json)
              ON CONFLICT DO NOTHING"
        }
        _ => "UPDATE {s}told SET serial = $2, state = $1::text::json WHERE serial = $2 - 1",
    };
    let work = async {
        link.begin(inner.role()).await?;
        let params: [Param<'_>; 2] = [(&text, Type::TEXT), (&serial, Type::INT8)];
        if link.run(&names.sql(sql), &params).await? == 0 {
            return Err(Failed::Known(told_meanwhile()));
        }
        link.commit().await
    };
    work.await.map_err(|e: Failed| e.meaning("keeping what was told"))
}
