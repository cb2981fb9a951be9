//! Loads a version in one transaction: tables aside by binary COPY, indexes, statistics, then the
//! row that says it is there. A writer that dies leaves nothing; a claim that was lost meanwhile
//! keeps the whole from appearing.

use super::{
    Inner, claims,
    column::{self, Column, Storage},
    copy::{Batches, copy, feature_rows},
    link::{Failed, Link, Param, Ran, cell},
    names::HEAD,
    open, reach, tiles,
};
use crate::{
    error::{Error, Result},
    geometry::overview::Prepared,
    model::{GeometryKind, VersionId},
    store::{Claim, NewVersion, Reach, thinning},
    text,
};
use std::sync::Arc;
use tokio_postgres::types::Type;

/// Most fields that a table of PostgreSQL surely holds, beside ours.
const MAX_FIELDS: usize = 1_500;

/// Writes the version.
pub(super) async fn load(inner: &Arc<Inner>, claim: &Claim, mut new: NewVersion) -> Result<()> {
    let fields = new.version.schema.fields.len();
    if fields > MAX_FIELDS {
        return Err(Error::Refused(text!(
            "{fields} champs : PostgreSQL n'en tient pas plus de {MAX_FIELDS} par table.",
            "{fields} fields: PostgreSQL holds no more than {MAX_FIELDS} in a table."
        )));
    }
    let weighed = new.weighed.take();
    let new = Arc::new(new);
    let mut link = inner.write_link().await?;
    // Overviews on one core, rows on another and on the server.
    let overviews = {
        let new = new.clone();
        tokio::task::spawn_blocking(move || thinning::overviews(&new, weighed))
    };
    let loaded = all(inner, claim, &mut link, &new, overviews).await;
    loaded.map_err(|e| e.meaning("loading a version"))
}

async fn all(
    inner: &Arc<Inner>,
    claim: &Claim,
    link: &mut Link,
    new: &Arc<NewVersion>,
    overviews: tokio::task::JoinHandle<Result<Prepared>>,
) -> Ran<()> {
    let ready = inner.ready().await?;
    let names = &ready.names;
    link.begin(inner.role()).await?;
    link.batch("SET LOCAL maintenance_work_mem = '256MB'").await?;
    let sql = names.sql("SELECT nextval(pg_get_serial_sequence('{s}versions', 'serial'))");
    let serial: i64 = first(link, &sql, &[]).await?;
    let seen = new.clone();
    let seen = tokio::task::spawn_blocking(move || storage(&seen)).await;
    let (storage, kind) = seen.map_err(|e| Error::fault("looking at values", e))??;
    let ddl = names.create_features(serial, storage.id, &storage.columns, kind);
    link.batch(&ddl).await?;
    let list: String = (0..storage.columns.len()).map(|i| format!(", c{i}")).collect();
    let geom = if storage.spatial { ", geom" } else { "" };
    let features = names.features(serial);
    let statement = format!("COPY {features} ({HEAD}{list}{geom}) FROM STDIN (FORMAT binary)");
    let (rows, form) = (new.clone(), storage.clone());
    copy(link, &statement, move |batches| feature_rows(&rows, &form, batches)).await?;
    let mut index = format!(
        "ALTER TABLE {features} ADD PRIMARY KEY (fid); CREATE INDEX ON {features} USING hash (id);"
    );
    if storage.spatial {
        index.push_str(&format!("CREATE INDEX ON {features} USING gist (geom);"));
    }
    if storage.without_geometry > 0 {
        index.push_str(&format!("CREATE INDEX ON {features} (fid) WHERE geom IS NULL;"));
    }
    link.batch(&index).await?;
    let overviews = overviews.await.map_err(|e| Error::fault("preparing overviews", e))??;
    let storage = Storage { bands: overviews.zooms(), ..storage };
    let places = open::place_blocks(&overviews, new.features.len());
    load_tiles(link, names, serial, new, overviews).await?;
    link.batch(&format!("ANALYZE {features}")).await?;
    claims::assure(link, names, claim).await?;
    describe(link, names, serial, claim, new, &storage).await?;
    let statement = names.sql("COPY {s}places FROM STDIN (FORMAT binary)");
    copy(link, &statement, move |out| reach::copy_blocks(serial, &places, &mut out.bytes)).await?;
    load_reach_rows(link, names, serial, &new.reach).await?;
    link.commit().await
}

async fn load_tiles(
    link: &mut Link,
    names: &super::names::Names,
    serial: i64,
    new: &Arc<NewVersion>,
    overviews: Prepared,
) -> Ran<()> {
    let table = names.tiles(serial);
    link.batch(&tiles::create(names, serial, overviews.zooms().len())).await?;
    let statement = format!("COPY {table} FROM STDIN (FORMAT binary)");
    let new = new.clone();
    let rows = move |batches: &mut Batches| {
        for run in tiles::runs(overviews.len()) {
            let told = tiles::told(&new, &overviews.order(run.clone()))?;
            for (number, told) in (run.start / tiles::CHUNK..).zip(told.chunks(tiles::CHUNK)) {
                tiles::copy_chunk(&overviews, number, told, &mut batches.bytes)?;
                batches.send_when_full()?;
            }
        }
        Ok(())
    };
    copy(link, &statement, rows).await?;
    let index = format!(
        "ALTER TABLE {table} ADD PRIMARY KEY (chunk); CREATE INDEX ON {table} USING gist (extent); ANALYZE {table}"
    );
    link.batch(&index).await
}

async fn describe(
    link: &mut Link,
    names: &super::names::Names,
    serial: i64,
    claim: &Claim,
    new: &NewVersion,
    storage: &Storage,
) -> Ran<()> {
    let json = |e| Error::fault("a version's description", e);
    let description = serde_json::to_string(&new.version).map_err(json)?;
    let storage = serde_json::to_string(storage).map_err(json)?;
    let sql = names.sql(
        "INSERT INTO {s}versions (serial, layer, id, description, storage, comment)
         OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4::text::json, $5::text::json, $6)",
    );
    let (layer, id) = (claim.layer.as_str(), new.version.id.as_str());
    let comment = format!("{}\n{}", new.title, new.provenance).replace('\0', "");
    let params: [Param<'_>; 6] = [
        (&serial, Type::INT8),
        (&layer, Type::TEXT),
        (&id, Type::TEXT),
        (&description, Type::TEXT),
        (&storage, Type::TEXT),
        (&comment, Type::TEXT),
    ];
    link.run(&sql, &params).await.map(drop)
}

/// Writes another reach index of a loaded version.
pub(super) async fn load_reach(
    inner: &Arc<Inner>,
    claim: &Claim,
    version: &VersionId,
    reach: Reach,
) -> Result<()> {
    let ready = inner.ready().await?;
    let mut link = inner.write_link().await?;
    let work = async {
        link.begin(inner.role()).await?;
        claims::assure(&mut link, &ready.names, claim).await?;
        let sql = ready.names.sql(
            "SELECT v.serial, EXISTS (SELECT 1 FROM {s}reaches r WHERE r.version = v.serial AND r.id = $3)
             FROM {s}versions v WHERE v.layer = $1 AND v.id = $2 FOR SHARE",
        );
        let (layer, id) = (claim.layer.as_str(), version.as_str());
        let params: [Param<'_>; 3] =
            [(&layer, Type::TEXT), (&id, Type::TEXT), (&reach.id, Type::TEXT)];
        let Some(row) = link.row(&sql, &params).await? else {
            return Err(super::no_version(version).into());
        };
        // Its name is a hash of what it was made from: the one that is there is the same.
        if !cell::<bool>(&row, 1)? {
            load_reach_rows(&mut link, &ready.names, cell(&row, 0)?, &reach).await?;
        }
        link.commit().await
    };
    work.await.map_err(|e: Failed| e.meaning("loading a reach index"))
}

async fn load_reach_rows(
    link: &mut Link,
    names: &super::names::Names,
    version: i64,
    reach: &Reach,
) -> Ran<()> {
    let sql = names
        .sql("INSERT INTO {s}reaches (version, id, communes) VALUES ($1, $2, $3) RETURNING serial");
    let communes = i32::try_from(reach.communes.len()).unwrap_or(i32::MAX);
    let params: [Param<'_>; 3] =
        [(&version, Type::INT8), (&reach.id, Type::TEXT), (&communes, Type::INT4)];
    let serial: i64 = first(link, &sql, &params).await?;
    for (table, blocks) in [
        ("reach_blocks", reach::commune_blocks(reach)),
        ("reach_degrees", reach::degree_blocks(reach)),
    ] {
        let statement = names.sql(&format!("COPY {{s}}{table} FROM STDIN (FORMAT binary)"));
        copy(link, &statement, move |out| reach::copy_blocks(serial, &blocks, &mut out.bytes))
            .await?;
    }
    if !reach.others.is_empty() {
        let mut bytes = Vec::new();
        reach::copy_others(serial, &reach::others(reach)?, &mut bytes)?;
        let statement = names.sql("COPY {s}reach_others FROM STDIN (FORMAT binary)");
        copy(link, &statement, move |out| {
            out.bytes.append(&mut bytes);
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// The first cell of the first row.
pub(super) async fn first<T: for<'a> tokio_postgres::types::FromSql<'a>>(
    link: &mut Link,
    sql: &str,
    params: &[Param<'_>],
) -> Ran<T> {
    let row = link.row(sql, params).await?;
    let row = row.ok_or_else(|| Error::broken("the database gave no row"))?;
    Ok(cell(&row, 0)?)
}

/// How the features are stored, and the geometry type's name.
fn storage(new: &NewVersion) -> Result<(Storage, Option<&'static str>)> {
    let schema = &new.version.schema;
    let mut columns: Vec<Column> = schema.fields.iter().map(|f| Column::of(f.kind)).collect();
    let (mut id, mut without) = (Column::Text, 0);
    new.features.each(|_, features| {
        id = id.holding_ids(features);
        for (i, (column, field)) in columns.iter_mut().zip(&schema.fields).enumerate() {
            let values = features.iter().filter_map(|f| f.values.get(i));
            *column = column.holding(field.kind, values);
        }
        without += features.iter().filter(|f| f.geometry.is_none()).count() as u64;
        Ok(())
    })?;
    let spatial = schema.geometry != GeometryKind::None;
    let storage = Storage {
        format: column::FORMAT,
        id,
        columns,
        spatial,
        without_geometry: if spatial { without } else { 0 },
        bands: Vec::new(),
    };
    Ok((storage, spatial.then(|| schema.geometry.ogc_name())))
}
