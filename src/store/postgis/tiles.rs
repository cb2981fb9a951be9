//! Tile geometry as a table: the overviews that both stores prepare alike
//! ([`crate::geometry::overview`]), in chunks of features that lie together on the Hilbert curve,
//! one row each.
//!
//! - `extent`: the chunk's box on the finest band's grid, indexed (GiST).
//! - `head`: how many features (`u32`); for each its box (4 × `i32`), MVT id (`u64`), ordinal (`u32`) and where its
//!   tags end (`u32`), all little endian; then the tags.
//! - `b0`, `b1`…: one column per band: for each feature where its geometry ends (`u32`), then
//!   the geometries. A tile reads the one it is drawn from; columns are stored apart, unpacked.

use super::{
    column,
    link::{Link, Param, Ran, cell},
    names::Names,
};
use crate::{
    error::{Error, Result},
    formats::mvt,
    geometry::overview::Prepared,
    model::{TileId, ValueRef},
    store::{NewVersion, TileFeature, TileFeatures, reach_select::Selected, tile_window::window},
};
use std::sync::Arc;
use tokio_postgres::types::Type;

/// Features per chunk: fewer cost more rows on wide tiles, more cost bytes on deep ones.
pub(super) const CHUNK: usize = 64;
/// Bytes of a feature in a head, before the tags.
const ENTRY: usize = 16 + 8 + 4 + 4;

/// `CREATE TABLE` for a number of bands.
pub(super) fn create(names: &Names, version: i64, bands: usize) -> String {
    let table = names.tiles(version);
    let mut ddl = format!(
        "CREATE TABLE {table} (chunk int NOT NULL, extent box NOT NULL, head bytea NOT NULL"
    );
    let mut alter = format!("ALTER TABLE {table} ALTER COLUMN head SET STORAGE EXTERNAL");
    for i in 0..bands {
        ddl.push_str(&format!(", b{i} bytea NOT NULL"));
        alter.push_str(&format!(", ALTER COLUMN b{i} SET STORAGE EXTERNAL"));
    }
    format!("{ddl}); {alter}")
}

/// What a chunk tells of a feature beside its geometry.
pub(super) struct Told {
    ordinal: u32,
    mvt_id: u64,
    tags: Vec<u8>,
}

/// The positions of some features, in runs of whole chunks that are told of together.
pub(super) fn runs(features: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let run = 64 * CHUNK;
    (0..features).step_by(run).map(move |from| from..features.min(from + run))
}

/// What chunks tell of some features, in the order of their ordinals as given.
pub(super) fn told(new: &NewVersion, order: &[u32]) -> Result<Vec<Told>> {
    let fields = length(new.version.schema.fields.len())?;
    let told = new.features.pick(order, |feature| {
        let mut tags = Vec::new();
        mvt::encode_tags(0, &feature.values, &mut tags);
        if new.version.key.is_none() {
            mvt::push_tag(fields, ValueRef::Text(&feature.id), &mut tags);
        }
        (feature.mvt_id, tags)
    })?;
    let told = order.iter().zip(told);
    Ok(told.map(|(ordinal, (mvt_id, tags))| Told { ordinal: *ordinal, mvt_id, tags }).collect())
}

/// A row of the table, as binary COPY.
pub(super) fn copy_chunk(
    overviews: &Prepared,
    chunk: usize,
    told: &[Told],
    out: &mut Vec<u8>,
) -> Result<()> {
    let positions = chunk * CHUNK..chunk * CHUNK + told.len();
    let bounds: Vec<[i32; 4]> =
        positions.clone().filter_map(|position| overviews.bounds(position)).collect();
    let extent = bounds.iter().fold([i32::MAX, i32::MAX, i32::MIN, i32::MIN], |a, b| {
        [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]
    });
    let bands = overviews.zooms().len();
    let fields = i16::try_from(3 + bands).unwrap_or(i16::MAX);
    out.extend_from_slice(&fields.to_be_bytes());
    let number = i32::try_from(chunk).map_err(|_| Error::broken("too many chunks"))?;
    column::field(&number.to_be_bytes(), out)?;
    // A box travels as its upper right corner, then its lower left one.
    let corners = [extent[2], extent[3], extent[0], extent[1]];
    let corners: Vec<u8> = corners.iter().flat_map(|v| f64::from(*v).to_be_bytes()).collect();
    column::field(&corners, out)?;
    column::field(&head(told, &bounds)?, out)?;
    for band in 0..bands {
        let (mut geometries, mut ends) = (Vec::new(), Vec::with_capacity(told.len()));
        overviews.write(band, positions.clone(), &mut geometries, &mut ends);
        let mut bytes = Vec::with_capacity(ends.len() * 4 + geometries.len());
        for end in ends {
            let end = u32::try_from(end).map_err(|_| Error::broken("a geometry above 4 GiB"))?;
            bytes.extend_from_slice(&end.to_le_bytes());
        }
        bytes.extend_from_slice(&geometries);
        column::field(&bytes, out)?;
    }
    Ok(())
}

fn length(n: usize) -> Result<u32> {
    u32::try_from(n).map_err(|_| Error::broken("a geometry above 4 GiB"))
}

fn head(told: &[Told], bounds: &[[i32; 4]]) -> Result<Vec<u8>> {
    let mut end = 0;
    let mut out = Vec::with_capacity(told.len() * (ENTRY + 64));
    out.extend_from_slice(&length(told.len())?.to_le_bytes());
    for (told, bounds) in told.iter().zip(bounds) {
        end += told.tags.len();
        out.extend(bounds.iter().flat_map(|v| v.to_le_bytes()));
        out.extend_from_slice(&told.mvt_id.to_le_bytes());
        out.extend_from_slice(&told.ordinal.to_le_bytes());
        out.extend_from_slice(&length(end)?.to_le_bytes());
    }
    told.iter().for_each(|told| out.extend_from_slice(&told.tags));
    Ok(out)
}

/// What a tile is read with.
pub(super) struct Lookup<'a> {
    pub(super) version: i64,
    /// Zooms of the bands, coarse to fine.
    pub(super) bands: &'a [u8],
    pub(super) keys: Arc<[String]>,
    pub(super) selected: Option<&'a Selected>,
    /// The chunks that hold what is selected, when they are few.
    pub(super) chunks: Option<&'a [i32]>,
}

/// The features of a tile, `buffer` in 1/4096 of a tile.
pub(super) async fn tile(
    link: &mut Link,
    names: &Names,
    lookup: Lookup<'_>,
    tile: TileId,
    buffer: u16,
) -> Ran<Option<TileFeatures>> {
    let Some(&finest) = lookup.bands.last() else { return Ok(None) };
    let index =
        lookup.bands.iter().position(|b| *b >= tile.level()).unwrap_or(lookup.bands.len() - 1);
    let window = window(tile, buffer, finest);
    let sides = window.map(f64::from);
    let table = names.tiles(lookup.version);
    let meets = "extent && box(point($1, $2), point($3, $4))";
    let [west, north, east, south] = &sides;
    let mut params: Vec<Param<'_>> =
        [west, north, east, south].into_iter().map(|v| (v as _, Type::FLOAT8)).collect();
    let rows = match &lookup.chunks {
        None => {
            let sql = format!("SELECT chunk, head, b{index} FROM {table} WHERE {meets}");
            link.hot(&sql, &params).await?
        }
        Some(chunks) => {
            params.push((chunks, Type::INT4_ARRAY));
            let sql = format!(
                "SELECT chunk, head, b{index} FROM {table} WHERE {meets} AND chunk = ANY($5)"
            );
            link.hot(&sql, &params).await?
        }
    };
    let mut chunks = Vec::with_capacity(rows.len());
    for row in &rows {
        chunks.push((cell::<i32>(row, 0)?, cell::<&[u8]>(row, 1)?, cell::<&[u8]>(row, 2)?));
    }
    // The index gives them in no order; features come along the curve.
    chunks.sort_unstable_by_key(|c| c.0);
    let mut answer = TileFeatures {
        band: lookup.bands.get(index).copied().unwrap_or(finest),
        keys: lookup.keys,
        ..TileFeatures::default()
    };
    for (number, head, geometry) in chunks {
        collect(head, geometry, window, lookup.selected, &mut answer).ok_or_else(|| {
            Error::broken(format!(
                "chunk {number} of the tiles of version {} is damaged",
                lookup.version
            ))
        })?;
    }
    Ok((!answer.features.is_empty()).then_some(answer))
}

/// Takes the features of a chunk that the window and the selection let through; `None` when the
/// bytes are damaged.
fn collect(
    head: &[u8],
    geometry: &[u8],
    window: [i32; 4],
    selected: Option<&Selected>,
    answer: &mut TileFeatures,
) -> Option<()> {
    let count = u32_at(head, 0)? as usize;
    let head = head.get(4..)?;
    let (entries, tags) = head.split_at_checked(count.checked_mul(ENTRY)?)?;
    let (ends, geometry) = geometry.split_at_checked(count * 4)?;
    let (mut tags_from, mut from) = (0usize, 0usize);
    for (entry, end) in entries.chunks_exact(ENTRY).zip(ends.chunks_exact(4)) {
        let (to, tags_to) = (u32_at(end, 0)? as usize, u32_at(entry, 28)? as usize);
        let (shape, own) = (geometry.get(from..to)?, tags.get(tags_from..tags_to)?);
        (from, tags_from) = (to, tags_to);
        let side = |i: usize| u32_at(entry, i * 4).map(u32::cast_signed);
        let meets = side(0)? <= window[2]
            && side(2)? >= window[0]
            && side(1)? <= window[3]
            && side(3)? >= window[1];
        let ordinal = u32_at(entry, 24)?;
        if !meets || shape.is_empty() || selected.is_some_and(|s| !s.holds(ordinal)) {
            continue;
        }
        let mut put = |bytes: &[u8]| {
            let start = answer.bytes.len();
            answer.bytes.extend_from_slice(bytes);
            start..answer.bytes.len()
        };
        let (geometry, tags) = (put(shape), put(own));
        let id = u64::from_le_bytes(entry.get(16..24)?.try_into().ok()?);
        answer.features.push(TileFeature { id, geometry, tags });
    }
    Some(())
}

/// MVT ids by ordinal; 0 where no tile shows a feature.
pub(super) async fn mvt_ids(
    link: &mut Link,
    names: &Names,
    version: i64,
    count: usize,
) -> Ran<Vec<u64>> {
    let mut all = vec![0; count];
    // The entries alone: tags come after them.
    let entries = 4 + CHUNK * ENTRY;
    let table = names.tiles(version);
    let sql = format!("SELECT substring(head FROM 1 FOR {entries}) FROM {table}");
    link.each(&sql, &[], |row| {
        let head: &[u8] = cell(row, 0)?;
        let damaged = || Error::broken("a stored chunk of tiles is damaged");
        let count = u32_at(head, 0).ok_or_else(damaged)? as usize;
        for i in 0..count {
            let at = 4 + i * ENTRY;
            let (ordinal, id) = u32_at(head, at + 24)
                .zip(head.get(at + 16..at + 24).and_then(|b| b.try_into().ok()))
                .ok_or_else(damaged)?;
            *all.get_mut(ordinal as usize).ok_or_else(damaged)? = u64::from_le_bytes(id);
        }
        Ok(std::ops::ControlFlow::Continue(()))
    })
    .await?;
    Ok(all)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
