//! A cheap look at a table: whether its form or its rows may have changed since the last one.

use super::super::{
    link::{Link, Param, Ran, cell},
    names::Names,
};
use crate::{error::Error, model::TableSource};
use tokio_postgres::types::Type;

/// The structural part of a look at a table: what it is called by, its columns, its comment. And
/// the other part: how often its rows, and those it is made of, changed, as far as they do not
/// announce it themselves.
pub(super) async fn look(link: &mut Link, source: &TableSource) -> Ran<Option<(String, u32)>> {
    let sql = "SELECT c.oid, md5(c.oid::text || c.relkind::text
                 || coalesce(pg_catalog.obj_description(c.oid, 'pg_class'), '')
                 || (SELECT string_agg(a.attname || ' ' || a.atttypid || ' ' || a.atttypmod || ' ' || a.attnotnull
                       || ' ' || coalesce(pg_catalog.col_description(a.attrelid, a.attnum), ''), ',' ORDER BY a.attnum)
                     FROM pg_catalog.pg_attribute a
                     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
                 || coalesce((SELECT string_agg(i.indexrelid::text || i.indisunique || i.indisvalid, ',' ORDER BY i.indexrelid)
                     FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid), ''))
               FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind::text = ANY ('{r,p,v,m,f}')";
    let params: [Param<'_>; 2] = [(&source.schema, Type::TEXT), (&source.table, Type::TEXT)];
    let Some(row) = link.row(sql, &params).await? else { return Ok(None) };
    Ok(Some((cell(&row, 1)?, cell(&row, 0)?)))
}

/// How often rows changed.
pub(super) struct Counters {
    /// A text that differs when they did, as far as they do not announce it themselves.
    pub(super) text: String,
    /// How many changed in all, of the relations that do.
    pub(super) announced: i64,
}

/// How often the rows of relations changed.
pub(super) async fn counters(link: &mut Link, names: &Names, relations: &[u32]) -> Ran<Counters> {
    let sql = "SELECT coalesce(string_agg(r.oid || ':' || r.relfilenode || ':' || CASE
                 WHEN r.announced THEN 'announced'
                 WHEN r.relkind = 'f' THEN floor(extract(epoch FROM clock_timestamp()) / 60)::text
                 ELSE r.changed::text END, ',' ORDER BY r.oid), ''),
                 coalesce(sum(r.changed) FILTER (WHERE r.announced), 0)::int8
               FROM (SELECT c.oid, c.relfilenode, c.relkind::text AS relkind,
                 coalesce(pg_catalog.pg_stat_get_tuples_inserted(c.oid)
                   + pg_catalog.pg_stat_get_tuples_updated(c.oid)
                   + pg_catalog.pg_stat_get_tuples_deleted(c.oid), 0) AS changed,
                 coalesce((SELECT bit_or(t.tgtype::int) FROM pg_catalog.pg_trigger t
                       JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
                       JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
                       WHERE t.tgrelid = c.oid AND t.tgenabled <> 'D' AND n.nspname = $2
                         AND p.proname = 'announce_edit') & 28 = 28, false) AS announced
               FROM pg_catalog.pg_class c
               WHERE c.oid = ANY ($1) AND c.relkind::text = ANY ('{r,p,m,f}')) r";
    let relations: Vec<u32> = relations.to_vec();
    let params: [Param<'_>; 2] = [(&relations, Type::OID_ARRAY), (&names.store, Type::TEXT)];
    let row = link.row(sql, &params).await?;
    let row = row.ok_or_else(|| Error::broken("the statistics gave no row"))?;
    Ok(Counters { text: cell(&row, 0)?, announced: cell(&row, 1)? })
}
