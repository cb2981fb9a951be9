//! Makes versions current, notes checks, removes what nobody reads.

use super::{
    Inner, claims,
    link::{Failed, Param, Ran, cell},
    load::first,
    names::Names,
};
use crate::{
    error::{Error, Result},
    model::{Field, Harvested, LayerId, VersionId},
    store::Claim,
};
use std::{collections::HashSet, sync::Arc};
use tokio_postgres::{error::SqlState, types::Type};

/// Longest name in PostgreSQL, bytes.
const MAX_NAME: usize = 63;

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
            "WITH v AS (UPDATE {s}versions SET published = true WHERE serial = $2
                        RETURNING description -> 'source' AS source)
             INSERT INTO {s}layers AS l (layer, version, reach, source)
             SELECT $1, $2, $3, v.source FROM v
             ON CONFLICT (layer) DO UPDATE SET version = excluded.version, reach = excluded.reach,
             source = CASE WHEN l.version = excluded.version THEN l.source ELSE excluded.source END",
        );
        let params: [Param<'_>; 3] =
            [(&layer, Type::TEXT), (&serial, Type::INT8), (&reach, Type::INT8)];
        link.run(&sql, &params).await?;
        show(&mut link, &ready.names, &claim.layer).await?;
        let generation = announce(&mut link, &ready.names).await?;
        link.commit().await?;
        Ok(generation)
    };
    let generation = work.await.map_err(|e| e.meaning("publishing a version"))?;
    inner.pulse.saw(generation);
    Ok(())
}

/// Moves the generation and tells whoever listens, when the transaction ends well.
async fn announce(link: &mut super::link::Link, names: &Names) -> Ran<i64> {
    let sql = names.sql(
        "WITH s AS (UPDATE {s}state SET generation = generation + 1 RETURNING generation)
         SELECT generation, pg_notify($1, generation::text)::text FROM s",
    );
    first(link, &sql, &[(&names.store, Type::TEXT)]).await
}

/// Makes the layer's view show its current version, unless it does. What keeps it from that — a
/// long query on the view, another view built on it — must not keep the version from being
/// published: the view is tried again with the next one.
async fn show(link: &mut super::link::Link, names: &Names, layer: &LayerId) -> Ran<()> {
    let sql = names.sql(
        "SELECT v.serial, v.description -> 'schema' -> 'fields', v.comment, v.storage ->> 'spatial'
         FROM {s}layers l JOIN {s}versions v ON v.serial = l.version
         WHERE l.layer = $1 AND l.shown IS DISTINCT FROM l.version",
    );
    let sql = sql.replace("-> 'fields',", "->> 'fields',");
    let name = layer.as_str();
    let Some(row) = link.row(&sql, &[(&name, Type::TEXT)]).await? else { return Ok(()) };
    let serial: i64 = cell(&row, 0)?;
    let fields: Vec<Field> =
        serde_json::from_str(cell(&row, 1)?).map_err(|e| Error::fault("a version's fields", e))?;
    let (columns, shown) = view_columns(&fields, cell::<Option<&str>>(&row, 3)? == Some("true"));
    let sql = names.sql("SELECT {s}show_layer($1, $2, $3, $4, $5, $6, $7)");
    let params: [Param<'_>; 7] = [
        (&names.views, Type::TEXT),
        (&names.store, Type::TEXT),
        (&view_name(layer), Type::TEXT),
        (&serial, Type::INT8),
        (&columns, Type::TEXT_ARRAY),
        (&shown, Type::TEXT_ARRAY),
        (&cell::<&str>(&row, 2)?, Type::TEXT),
    ];
    let kept: Option<String> = first(link, &sql, &params).await?;
    if let Some(why) = kept {
        tracing::warn!(layer = name, cause = why, "the layer's view still shows an older version");
        return Ok(());
    }
    let sql = names.sql("UPDATE {s}layers SET shown = version WHERE layer = $1");
    link.run(&sql, &[(&name, Type::TEXT)]).await.map(drop)
}

/// The name of a layer's view: its id, unless PostgreSQL would cut it.
fn view_name(layer: &LayerId) -> String {
    let id = layer.as_str();
    if id.len() <= MAX_NAME {
        return id.to_owned();
    }
    // FNV-1a: the same in every release.
    let hash =
        id.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    format!("{}_{hash:08x}", cut(id, MAX_NAME - 9))
}

/// The columns of a version's view: stored names and those shown. A field keeps its own name,
/// unless it is too long or taken; those the store adds give way.
fn view_columns(fields: &[Field], spatial: bool) -> (Vec<String>, Vec<String>) {
    let mut taken: HashSet<String> = HashSet::new();
    let mut free = |wanted: &str| {
        let wanted: String = wanted.chars().filter(|c| *c != '\0').collect();
        let wanted = if wanted.is_empty() { "_".to_owned() } else { wanted };
        let mut name = cut(&wanted, MAX_NAME).to_owned();
        let mut n = 2;
        while !taken.insert(name.clone()) {
            let suffix = format!("_{n}");
            name = format!("{}{suffix}", cut(&wanted, MAX_NAME - suffix.len()));
            n += 1;
        }
        name
    };
    let named: Vec<String> = fields.iter().map(|f| free(&f.name)).collect();
    let mut columns = vec!["fid".to_owned(), "id".to_owned()];
    let mut shown = vec![free("fid"), free("socle_id")];
    columns.extend((0..fields.len()).map(|i| format!("c{i}")));
    shown.extend(named);
    if spatial {
        columns.push("geom".to_owned());
        shown.push(free("geom"));
    }
    (columns, shown)
}

/// The longest beginning of at most `bytes` bytes.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
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

/// Removes what is beyond the `keep` newest and not held by any reader.
pub(super) async fn prune(inner: &Arc<Inner>, claim: &Claim, keep: usize) -> Result<usize> {
    let ready = inner.ready().await?;
    let failed = |e: Failed| e.meaning("removing old versions");
    let layer = claim.layer.as_str();
    let mut link = inner.write_link().await?;
    let sql = ready.names.sql(
        "SELECT v.serial FROM {s}versions v JOIN {s}layers l ON l.layer = v.layer
         WHERE v.layer = $1 AND v.serial <> l.version ORDER BY v.id COLLATE \"C\"",
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

/// Removes reach indexes of the current version that are not in force and that nobody holds.
async fn prune_reaches(inner: &Arc<Inner>, claim: &Claim) -> Result<()> {
    let ready = inner.ready().await?;
    let mut link = inner.write_link().await?;
    let work = async {
        link.begin(inner.role()).await?;
        claims::assure(&mut link, &ready.names, claim).await?;
        show(&mut link, &ready.names, &claim.layer).await?;
        let layer = claim.layer.as_str();
        let sql = ready.names.sql(
            "SELECT r.serial FROM {s}reaches r JOIN {s}layers l ON l.version = r.version
             WHERE l.layer = $1 AND r.serial <> l.reach FOR UPDATE OF r SKIP LOCKED",
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

/// Removes versions that were loaded and never published: a dead writer left them.
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
    let sql = ready.names.sql("SELECT serial FROM {s}versions WHERE layer = $1 AND NOT published");
    let layer = claim.layer.as_str();
    let rows = link.rows(&sql, &[(&layer, Type::TEXT)]).await;
    let rows = rows.map_err(|e| e.meaning("looking for what a dead writer left"))?;
    drop(link);
    for row in &rows {
        remove(inner, claim, cell(row, 0)?).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FieldKind;
    use proptest::prelude::*;

    fn field(name: &str) -> Field {
        Field { name: name.to_owned(), kind: FieldKind::Text }
    }

    #[test]
    fn fields_keep_their_names_and_ours_give_way() {
        let fields = ["fid", "nom", "NOM", "geom", ""].map(field);
        let (columns, shown) = view_columns(&fields, true);
        assert_eq!(columns, ["fid", "id", "c0", "c1", "c2", "c3", "c4", "geom"]);
        assert_eq!(shown, ["fid_2", "socle_id", "fid", "nom", "NOM", "geom", "_", "geom_2"]);
    }

    proptest! {
        #[test]
        fn names_are_distinct_and_fit(names in proptest::collection::vec(any::<String>(), 0..20)) {
            let fields: Vec<Field> = names.iter().map(|n| field(n)).collect();
            let (columns, shown) = view_columns(&fields, true);
            prop_assert_eq!(columns.len(), shown.len());
            let distinct: HashSet<&String> = shown.iter().collect();
            prop_assert_eq!(distinct.len(), shown.len());
            prop_assert!(shown.iter().all(|n| !n.is_empty() && n.len() <= MAX_NAME && !n.contains('\0')));
        }
    }
}
