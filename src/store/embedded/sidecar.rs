//! The `.idx` file of a version: overviews in Hilbert order with their tree, tags ready for
//! tiles, feature ids. Everything a tile needs, and nothing else, is read from here.

use super::{
    sections::{Sections, Tag, Writer},
    tree,
};
use crate::{
    error::{Error, Result},
    formats::mvt,
    geometry::overview::Prepared,
    model::{BBox, Feature, Schema, TileId, ValueRef, stable_hash},
    store::{
        NewVersion, TileFeature, TileFeatures,
        reach_select::Selected,
        tile_window::{tile_keys, window},
    },
};
use rayon::prelude::*;
use roaring::RoaringBitmap;
use std::{path::Path, sync::Arc};

const ORDER: Tag = 0x01;
const TREE: Tag = 0x02;
const BANDS: Tag = 0x03;
const TAG_OFFSETS: Tag = 0x04;
const TAGS: Tag = 0x05;
const MVT_IDS: Tag = 0x06;
const ID_OFFSETS: Tag = 0x07;
const IDS: Tag = 0x08;
const ID_HASHES: Tag = 0x09;
const ID_ORDINALS: Tag = 0x0a;
/// Bounding boxes by ordinal: west, south, east, north as `f64` bits; NaN without geometry.
const BOXES: Tag = 0x0b;
/// Boxes read at once.
const BOX_WINDOW: u64 = 4096;
/// Offsets and bytes of band `i` are the sections `BAND + 2i` and `BAND + 2i + 1`.
const BAND: Tag = 0x100;

/// Features written at once.
const RUN: usize = 4096;
/// Runs made at once, on all cores.
const RUNS: usize = 16;

/// Boxes of the tree that are kept in memory: its upper levels, which every tile reads.
const UPPER: usize = 512;

/// Writes the file.
pub(super) fn write(path: &Path, new: &NewVersion, overviews: Prepared) -> Result<()> {
    let mut out = Writer::create(path)?;
    let count = overviews.len();
    out.begin(ORDER);
    for from in (0..count).step_by(RUN) {
        let order = overviews.order(from..count.min(from + RUN));
        out.more(&order.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<_>>())?;
    }
    out.begin(TREE);
    tree::pack(count, |position| overviews.bounds(position), |bytes| out.more(bytes))?;
    let zooms = overviews.zooms();
    out.u32s(BANDS, zooms.iter().map(|zoom| u32::from(*zoom)))?;
    for band in 0..zooms.len() {
        write_band(&mut out, band, &overviews)?;
    }
    write_tags(&mut out, new, overviews)?;
    write_ids(&mut out, new)?;
    out.begin(BOXES);
    new.features.each(|_, batch| {
        let boxes = batch.iter().flat_map(bounds).flat_map(u64::to_le_bytes);
        out.more(&boxes.collect::<Vec<_>>())
    })?;
    out.finish()
}

fn write_band(out: &mut Writer, band: usize, overviews: &Prepared) -> Result<()> {
    let (count, tag) = (overviews.len(), BAND + 2 * band as u64);
    let mut offsets = out.hole(tag, (count as u64 + 1) * 8)?;
    out.fill(&mut offsets, [0])?;
    out.begin(tag + 1);
    let mut at = 0u64;
    let runs: Vec<usize> = (0..count).step_by(RUN).collect();
    for runs in runs.chunks(RUNS) {
        let run = |from: &usize| {
            let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(RUN));
            overviews.write(band, *from..count.min(from + RUN), &mut bytes, &mut ends);
            (bytes, ends)
        };
        for (bytes, ends) in runs.par_iter().map(run).collect::<Vec<_>>() {
            out.more(&bytes)?;
            out.fill(&mut offsets, ends.into_iter().map(|end| at + end))?;
            at += bytes.len() as u64;
        }
    }
    out.filled(offsets)
}

/// What a tile tells of a feature beside its geometry.
struct Told {
    tags: Vec<u8>,
    mvt_id: u64,
}

fn write_tags(out: &mut Writer, new: &NewVersion, overviews: Prepared) -> Result<()> {
    let (count, fields) = (overviews.len(), new.version.schema.fields.len() as u32);
    let told = |feature: &Feature| {
        let mut tags = Vec::new();
        mvt::encode_tags(0, &feature.values, &mut tags);
        if new.version.key.is_none() {
            mvt::push_tag(fields, ValueRef::Text(&feature.id), &mut tags);
        }
        Told { tags, mvt_id: feature.mvt_id }
    };
    let mut offsets = out.hole(TAG_OFFSETS, (count as u64 + 1) * 8)?;
    let mut ids = out.hole(MVT_IDS, count as u64 * 8)?;
    out.fill(&mut offsets, [0])?;
    out.begin(TAGS);
    let mut at = 0u64;
    for from in (0..count).step_by(RUN) {
        let order = overviews.order(from..count.min(from + RUN));
        for Told { tags, mvt_id } in new.features.pick(&order, told)? {
            out.more(&tags)?;
            at += tags.len() as u64;
            out.fill(&mut offsets, [at])?;
            out.fill(&mut ids, [mvt_id])?;
        }
    }
    out.filled(offsets)?;
    out.filled(ids)
}

fn write_ids(out: &mut Writer, new: &NewVersion) -> Result<()> {
    let count = new.features.len();
    let mut offsets = out.hole(ID_OFFSETS, (count as u64 + 1) * 8)?;
    out.fill(&mut offsets, [0])?;
    out.begin(IDS);
    let mut at = 0u64;
    let mut hashes: Vec<(u64, u32)> = Vec::with_capacity(count);
    new.features.each(|first, batch| {
        for (ordinal, feature) in (first as u32..).zip(batch) {
            out.more(feature.id.as_bytes())?;
            at += feature.id.len() as u64;
            out.fill(&mut offsets, [at])?;
            hashes.push((stable_hash(&feature.id), ordinal));
        }
        Ok(())
    })?;
    out.filled(offsets)?;
    hashes.sort_unstable();
    out.u64s(ID_HASHES, hashes.iter().map(|h| h.0))?;
    out.u32s(ID_ORDINALS, hashes.iter().map(|h| h.1))
}

/// The bounding box of a feature, as bits.
fn bounds(feature: &Feature) -> [u64; 4] {
    use geo::BoundingRect;
    let rect = feature.geometry.as_ref().and_then(|g| g.bounding_rect());
    let sides = rect.map_or([f64::NAN; 4], |r| [r.min().x, r.min().y, r.max().x, r.max().y]);
    sides.map(f64::to_bits)
}

/// An open `.idx` file.
#[derive(Debug)]
pub(super) struct Sidecar {
    file: Sections,
    /// Zooms of the bands, coarse to fine.
    bands: Vec<u8>,
    /// The upper levels of the tree, and where they begin in it.
    upper: (u64, Vec<u8>),
    /// Features with geometry.
    positions: usize,
    /// Features in all.
    count: u64,
    keys: Arc<[String]>,
}

impl Sidecar {
    pub(super) fn open(path: &Path, schema: &Schema, key: Option<&str>) -> Result<Option<Self>> {
        let Some(file) = Sections::open(path)? else { return Ok(None) };
        let bands = file.all(BANDS)?;
        let bands = bands.chunks_exact(4).map(|c| c[0]).collect();
        let positions = file.len(ORDER) as usize / 4;
        let count = (file.len(ID_OFFSETS) / 8).saturating_sub(1);
        let keys = tile_keys(schema, key);
        let from = tree::upper(positions, UPPER);
        let upper = (from, file.read(TREE, from..file.len(TREE))?);
        Ok(Some(Self { file, bands, upper, positions, count, keys }))
    }

    /// The features of a tile, `buffer` in 1/4096 of a tile.
    pub(super) fn tile(
        &self,
        tile: TileId,
        buffer: u16,
        selected: Option<&Selected>,
    ) -> Result<Option<TileFeatures>> {
        let Some(&finest) = self.bands.last() else { return Ok(None) };
        let index =
            self.bands.iter().position(|b| *b >= tile.level()).unwrap_or(self.bands.len() - 1);
        let window = window(tile, buffer, finest);
        let hits = tree::search(self.positions, window, |r| self.tree(r))?;
        let mut answer = TileFeatures {
            band: self.bands[index],
            keys: self.keys.clone(),
            ..TileFeatures::default()
        };
        for run in tree::runs(&hits) {
            self.collect(&hits[run], BAND + 2 * index as u64, selected, &mut answer)?;
        }
        Ok((!answer.features.is_empty()).then_some(answer))
    }

    /// Bytes of the tree.
    fn tree(&self, range: std::ops::Range<u64>) -> Result<Vec<u8>> {
        let (from, upper) = &self.upper;
        let kept = || {
            let start = range.start.checked_sub(*from)? as usize;
            upper.get(start..start + (range.end - range.start) as usize)
        };
        match kept() {
            Some(bytes) => Ok(bytes.to_vec()),
            None => self.file.read(TREE, range),
        }
    }

    /// Reads one run of neighbouring positions.
    fn collect(
        &self,
        run: &[u32],
        band: Tag,
        selected: Option<&Selected>,
        answer: &mut TileFeatures,
    ) -> Result<()> {
        let (Some(&first), Some(&last)) = (run.first(), run.last()) else { return Ok(()) };
        let (from, to) = (u64::from(first), u64::from(last) + 1);
        let mut kept: Vec<u32> = run.iter().map(|p| p - first).collect();
        if let Some(selected) = selected {
            let order = self.file.u32s(ORDER, from..to)?;
            kept.retain(|p| order.get(*p as usize).is_some_and(|o| selected.holds(*o)));
        }
        if kept.is_empty() {
            return Ok(());
        }
        let geometry = self.file.u64s(band, from..to + 1)?;
        kept.retain(|p| geometry[*p as usize] < geometry[*p as usize + 1]);
        if kept.is_empty() {
            return Ok(());
        }
        let tags = self.file.u64s(TAG_OFFSETS, from..to + 1)?;
        let ids = self.file.u64s(MVT_IDS, from..to)?;
        // Where a filter leaves few, only those are read; else the whole run at once.
        for part in parts(&kept) {
            let (a, b) = (part[0] as usize, part[part.len() - 1] as usize + 1);
            let geometry_at = answer.bytes.len();
            self.file.append(band + 1, geometry[a]..geometry[b], &mut answer.bytes)?;
            let tags_at = answer.bytes.len();
            self.file.append(TAGS, tags[a]..tags[b], &mut answer.bytes)?;
            for &p in part {
                let p = p as usize;
                let range = |offsets: &[u64], base: usize| {
                    let start = base + (offsets[p] - offsets[a]) as usize;
                    start..start + (offsets[p + 1] - offsets[p]) as usize
                };
                answer.features.push(TileFeature {
                    id: ids[p],
                    geometry: range(&geometry, geometry_at),
                    tags: range(&tags, tags_at),
                });
            }
        }
        Ok(())
    }

    /// MVT ids by ordinal; 0 where no tile shows a feature.
    pub(super) fn mvt_ids(&self) -> Result<Vec<u64>> {
        let order = self.file.u32s(ORDER, 0..self.positions as u64)?;
        let ids = self.file.u64s(MVT_IDS, 0..self.positions as u64)?;
        let mut all = vec![0; self.count as usize];
        for (ordinal, id) in order.iter().zip(ids) {
            if let Some(place) = all.get_mut(*ordinal as usize) {
                *place = id;
            }
        }
        Ok(all)
    }

    /// Ids of the ordinals `from..to`.
    pub(super) fn ids(&self, from: u64, to: u64) -> Result<Ids> {
        let to = to.min(self.count);
        let from = from.min(to);
        let offsets = self.file.u64s(ID_OFFSETS, from..to + 1)?;
        let (start, end) = (offsets[0], offsets[offsets.len() - 1]);
        Ok(Ids { first: from, bytes: self.file.read(IDS, start..end)?, offsets })
    }

    /// The ordinal of a feature id.
    pub(super) fn ordinal(&self, id: &str) -> Result<Option<u64>> {
        let wanted = stable_hash(id);
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.file.u64s(ID_HASHES, middle..middle + 1)?[0] < wanted {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        while low < self.count && self.file.u64s(ID_HASHES, low..low + 1)?[0] == wanted {
            let ordinal = u64::from(self.file.u32s(ID_ORDINALS, low..low + 1)?[0]);
            if self.ids(ordinal, ordinal + 1)?.get(ordinal)? == id {
                return Ok(Some(ordinal));
            }
            low += 1;
        }
        Ok(None)
    }

    /// The extent of some features; `None` when none of them has a geometry.
    pub(super) fn extent(&self, ordinals: &RoaringBitmap) -> Result<Option<BBox>> {
        let (Some(first), Some(last)) = (ordinals.min(), ordinals.max()) else { return Ok(None) };
        let (first, last) = (u64::from(first), u64::from(last).min(self.count.saturating_sub(1)));
        let mut extent = BBox::EMPTY;
        // Read in windows, so that a filter over the whole layer takes no more memory than one.
        for from in (first..=last).step_by(BOX_WINDOW as usize) {
            let to = (from + BOX_WINDOW).min(last + 1);
            let sides = self.file.u64s(BOXES, from * 4..to * 4)?;
            for (ordinal, side) in (from..).zip(sides.chunks_exact(4)) {
                let side = [side[0], side[1], side[2], side[3]].map(f64::from_bits);
                if ordinals.contains(ordinal as u32) && !side[0].is_nan() {
                    extent.add(side[0], side[1]);
                    extent.add(side[2], side[3]);
                }
            }
        }
        Ok((!extent.is_empty()).then_some(extent))
    }

    /// The ordinals that have a geometry; `None` when all do.
    pub(super) fn with_geometry(&self) -> Result<Option<RoaringBitmap>> {
        if self.positions as u64 == self.count {
            return Ok(None);
        }
        Ok(Some(self.file.u32s(ORDER, 0..self.positions as u64)?.into_iter().collect()))
    }

    /// Where the file is, for the log.
    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Number of features the file describes.
    pub(super) fn count(&self) -> u64 {
        self.count
    }
}

/// Splits sorted positions where more than eight in a row are not wanted.
fn parts(kept: &[u32]) -> Vec<&[u32]> {
    kept.chunk_by(|a, b| b - a <= 8).collect()
}

/// Ids of a run of features.
pub(super) struct Ids {
    first: u64,
    offsets: Vec<u64>,
    bytes: Vec<u8>,
}

impl Ids {
    /// The id of `ordinal`.
    pub(super) fn get(&self, ordinal: u64) -> Result<&str> {
        let i = ordinal.checked_sub(self.first).map(|i| i as usize);
        let slice = i.and_then(|i| {
            let start = self.offsets.get(i)? - self.offsets[0];
            let end = self.offsets.get(i + 1)? - self.offsets[0];
            self.bytes.get(start as usize..end as usize)
        });
        let slice = slice.ok_or_else(|| Error::broken(format!("no id for feature {ordinal}")))?;
        std::str::from_utf8(slice).map_err(|e| Error::fault("feature id", e))
    }
}
