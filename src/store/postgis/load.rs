//! Loads a version in one transaction: tables aside by binary COPY, indexes, statistics, then the
//! row that says it is there. A writer that dies leaves nothing; a claim that was lost meanwhile
//! keeps the whole from appearing.

use super::{
    Inner, claims,
    column::{self, Column, Storage},
    link::{Failed, Link, Param, Ran, cell},
    names::HEAD,
    open, reach, tiles,
};
use crate::{
    error::{Error, Result},
    formats::wkb,
    geometry::overview::{self, Overviews},
    model::{Feature, GeometryKind, Value, VersionId},
    store::{Claim, NewVersion, Reach},
    text,
};
use bytes::Bytes;
use futures_util::SinkExt;
use geo_types::Geometry;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_postgres::types::Type;

/// Bytes of rows sent at once.
const BATCH: usize = 1 << 20;
/// Most fields that a table of PostgreSQL surely holds, beside ours.
const MAX_FIELDS: usize = 1_500;

/// What binary COPY begins with: signature, flags, no extension.
const COPY_START: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// And what it ends with.
const COPY_END: &[u8] = &(-1i16).to_be_bytes();

/// Writes the version.
pub(super) async fn load(inner: &Arc<Inner>, claim: &Claim, new: NewVersion) -> Result<()> {
    let fields = new.version.schema.fields.len();
    if fields > MAX_FIELDS {
        return Err(Error::Refused(text!(
            "{fields} champs : PostgreSQL n'en tient pas plus de {MAX_FIELDS} par table.",
            "{fields} fields: PostgreSQL holds no more than {MAX_FIELDS} in a table."
        )));
    }
    let new = Arc::new(new);
    let mut link = inner.write_link().await?;
    // Overviews on one core, rows on another and on the server.
    let overviews = {
        let new = new.clone();
        tokio::task::spawn_blocking(move || {
            let geometries: Vec<_> = new.features.iter().map(|f| f.geometry.as_ref()).collect();
            overview::build(&geometries, new.version.min_zoom, new.version.max_zoom)
        })
    };
    let loaded = all(inner, claim, &mut link, &new, overviews).await;
    loaded.map_err(|e| e.meaning("loading a version"))
}

async fn all(
    inner: &Arc<Inner>,
    claim: &Claim,
    link: &mut Link,
    new: &Arc<NewVersion>,
    overviews: tokio::task::JoinHandle<Overviews>,
) -> Ran<()> {
    let ready = inner.ready().await?;
    let names = &ready.names;
    link.begin(inner.role()).await?;
    link.batch("SET LOCAL maintenance_work_mem = '256MB'").await?;
    let sql = names.sql("SELECT nextval(pg_get_serial_sequence('{s}versions', 'serial'))");
    let serial: i64 = first(link, &sql, &[]).await?;
    let (storage, kind) = storage(new);
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
    let overviews = overviews.await.map_err(|e| Error::fault("preparing overviews", e))?;
    let storage = Storage { bands: overviews.bands.iter().map(|b| b.zoom).collect(), ..storage };
    let places = open::place_blocks(&overviews.order, new.features.len());
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
    overviews: Overviews,
) -> Ran<()> {
    let table = names.tiles(serial);
    link.batch(&tiles::create(names, serial, overviews.bands.len())).await?;
    let statement = format!("COPY {table} FROM STDIN (FORMAT binary)");
    let new = new.clone();
    let rows = move |batches: &mut Batches| {
        for chunk in 0..tiles::chunks(overviews.order.len()) {
            tiles::copy_chunk(&new, &overviews, chunk, &mut batches.bytes)?;
            batches.send_when_full()?;
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

/// Rows on their way to the server.
pub(super) struct Batches {
    pub(super) bytes: Vec<u8>,
    out: mpsc::Sender<Bytes>,
}

impl Batches {
    /// Hands over what there is, once it is worth a message.
    fn send_when_full(&mut self) -> Result<()> {
        if self.bytes.len() >= BATCH { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<()> {
        let full = std::mem::replace(&mut self.bytes, Vec::with_capacity(BATCH + BATCH / 4));
        self.out.blocking_send(full.into()).map_err(|_| Error::broken("a COPY that ended early"))
    }
}

/// Sends rows that `write` makes on a thread of its own, while they travel.
async fn copy(
    link: &mut Link,
    statement: &str,
    write: impl FnOnce(&mut Batches) -> Result<()> + Send + 'static,
) -> Ran<()> {
    let (out, mut batches) = mpsc::channel::<Bytes>(4);
    let writer = tokio::task::spawn_blocking(move || {
        let mut all = Batches { bytes: COPY_START.to_vec(), out };
        write(&mut all)?;
        all.bytes.extend_from_slice(COPY_END);
        all.send()
    });
    link.set_running(true);
    let sent = async {
        let sink = link.raw()?.copy_in::<_, Bytes>(statement).await.map_err(Failed::Database)?;
        let mut sink = std::pin::pin!(sink);
        while let Some(batch) = batches.recv().await {
            sink.send(batch).await.map_err(Failed::Database)?;
        }
        drop(batches);
        // Only a writer that came to its end has the COPY closed; else dropping aborts it.
        writer.await.map_err(|e| Error::fault("writing rows", e))??;
        sink.finish().await.map_err(Failed::Database)
    };
    let sent: Ran<u64> = sent.await;
    link.set_running(false);
    sent.map(drop)
}

/// How the features are stored, and the geometry type's name.
fn storage(new: &NewVersion) -> (Storage, Option<&'static str>) {
    let schema = &new.version.schema;
    let values = |i: usize| new.features.iter().filter_map(move |f| f.values.get(i));
    let columns =
        schema.fields.iter().enumerate().map(|(i, f)| Column::of(f.kind, values(i))).collect();
    let spatial = schema.geometry != GeometryKind::None;
    let without = new.features.iter().filter(|f| f.geometry.is_none()).count();
    let storage = Storage {
        format: column::FORMAT,
        id: Column::of_ids(&new.features),
        columns,
        spatial,
        without_geometry: if spatial { without as u64 } else { 0 },
        bands: Vec::new(),
    };
    (storage, spatial.then(|| schema.geometry.ogc_name()))
}

fn feature_rows(new: &NewVersion, storage: &Storage, batches: &mut Batches) -> Result<()> {
    let fields = 6 + storage.columns.len() + usize::from(storage.spatial);
    let fields = i16::try_from(fields).map_err(|_| Error::broken("too many columns"))?;
    let kind = new.version.schema.geometry;
    let mut blob = Vec::new();
    for (fid, feature) in (1i64..).zip(&new.features) {
        let out = &mut batches.bytes;
        out.extend_from_slice(&fields.to_be_bytes());
        column::field(&fid.to_be_bytes(), out)?;
        column::field(feature.id.as_bytes(), out)?;
        sides(feature, out)?;
        for (i, column) in storage.columns.iter().enumerate() {
            column::copy(*column, feature.values.get(i).unwrap_or(&Value::Null), out)?;
        }
        if storage.spatial {
            match &feature.geometry {
                Some(geometry) => {
                    blob.clear();
                    ewkb(geometry, kind, &mut blob);
                    column::field(&blob, out)?;
                }
                None => column::copy(Column::Int, &Value::Null, out)?,
            }
        }
        batches.send_when_full()?;
    }
    Ok(())
}

/// The feature's box, nulls without geometry.
fn sides(feature: &Feature, out: &mut Vec<u8>) -> Result<()> {
    use geo::BoundingRect;
    let rect = feature.geometry.as_ref().and_then(|g| g.bounding_rect());
    let sides = rect.map(|r| [r.min().x, r.min().y, r.max().x, r.max().y]);
    for i in 0..4 {
        let side = sides.and_then(|s| s.get(i).copied()).map_or(Value::Null, Value::Float);
        column::copy(Column::Float, &side, out)?;
    }
    Ok(())
}

/// EWKB in CRS84 (EPSG:4326 as PostGIS means it: longitude first). Where the layer holds
/// multi-geometries a single one is written as a multi of one, as its declared type demands.
fn ewkb(geometry: &Geometry<f64>, kind: GeometryKind, out: &mut Vec<u8>) {
    const SRID: u32 = 0x2000_0000;
    let mut plain = Vec::new();
    match (geometry, kind) {
        (Geometry::Polygon(p), GeometryKind::MultiPolygon) => {
            wkb::write(&Geometry::MultiPolygon(vec![p.clone()].into()), &mut plain);
        }
        (Geometry::LineString(l), GeometryKind::MultiLineString) => {
            let multi = geo_types::MultiLineString(vec![l.clone()]);
            wkb::write(&Geometry::MultiLineString(multi), &mut plain);
        }
        (Geometry::Point(p), GeometryKind::MultiPoint) => {
            wkb::write(&Geometry::MultiPoint(vec![*p].into()), &mut plain);
        }
        _ => wkb::write(geometry, &mut plain),
    }
    if let Some((head, rest)) = plain.split_first_chunk::<5>() {
        let code = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) | SRID;
        out.push(head[0]);
        out.extend_from_slice(&code.to_le_bytes());
        out.extend_from_slice(&4326u32.to_le_bytes());
        out.extend_from_slice(rest);
    }
}
