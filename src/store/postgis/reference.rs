//! The territory reference in the database: one row of state, one row for each table loaded.

use super::{
    Inner,
    link::{Failed, Param, cell},
    write::announce,
};
use crate::{
    error::{Error, Result},
    model::ReferenceState,
    store::outdated,
};
use std::sync::Arc;
use tokio_postgres::types::Type;

/// The state; the default before anything was loaded.
pub(super) async fn state(inner: &Arc<Inner>) -> Result<ReferenceState> {
    let sql = "SELECT state::text FROM {s}reference";
    let rows = inner.ask("reading the reference's state", sql, &[]).await?;
    let Some(row) = rows.first() else { return Ok(ReferenceState::default()) };
    let text: String = cell(row, 0)?;
    serde_json::from_str(&text).map_err(|e| Error::fault("the reference's state", e))
}

/// A table's bytes.
pub(super) async fn table(inner: &Arc<Inner>, id: &str) -> Result<Option<Vec<u8>>> {
    let sql = "SELECT bytes FROM {s}reference_tables WHERE id = $1";
    let rows = inner.ask("reading a table of the COG", sql, &[(&id, Type::TEXT)]).await?;
    Ok(match rows.first() {
        Some(row) => Some(cell(row, 0)?),
        None => None,
    })
}

/// Replaces the state, with the table it needs, in one step; who read an older state is refused.
pub(super) async fn set(
    inner: &Arc<Inner>,
    state: &ReferenceState,
    new: Option<(String, Vec<u8>)>,
) -> Result<()> {
    let ready = inner.ready().await?;
    let names = &ready.names;
    let mut link = inner.write_link().await?;
    let text =
        serde_json::to_string(state).map_err(|e| Error::fault("the reference's state", e))?;
    let before = i64::try_from(state.serial).unwrap_or(i64::MAX) - 1;
    let work = async {
        link.begin(inner.role()).await?;
        link.batch("SET LOCAL synchronous_commit = on").await?;
        if let Some((id, bytes)) = &new {
            let sql = names.sql(
                "INSERT INTO {s}reference_tables (id, bytes) VALUES ($1, $2)
                  ON CONFLICT (id) DO UPDATE SET bytes = EXCLUDED.bytes",
            );
            let params: [Param<'_>; 2] = [(id, Type::TEXT), (bytes, Type::BYTEA)];
            link.run(&sql, &params).await?;
        }
        let sql = match before {
            0 => {
                "INSERT INTO {s}reference (one, serial, state) VALUES (true, $2 + 1, $1::text::json)
                  ON CONFLICT DO NOTHING"
            }
            _ => {
                "UPDATE {s}reference SET serial = $2 + 1, state = $1::text::json WHERE serial = $2"
            }
        };
        let params: [Param<'_>; 2] = [(&text, Type::TEXT), (&before, Type::INT8)];
        if link.run(&names.sql(sql), &params).await? == 0 {
            return Err(Failed::Known(outdated()));
        }
        let kept: Vec<&str> = state.tables.iter().map(|table| table.id.as_str()).collect();
        let sql = names.sql("DELETE FROM {s}reference_tables WHERE id <> ALL ($1)");
        link.run(&sql, &[(&kept, Type::TEXT_ARRAY)]).await?;
        let generation = announce(&mut link, names).await?;
        link.commit().await?;
        Ok(generation)
    };
    let generation = work.await.map_err(|e: Failed| e.meaning("keeping the reference"))?;
    inner.pulse.saw(generation);
    Ok(())
}
