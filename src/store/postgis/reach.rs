//! The reach index as tables: written block by block, read as far as a selection needs.
//!
//! - `reach_blocks`: 256 communes each; for each commune a count, then its ordinals, all `u32`
//!   little endian.
//! - `reach_degrees`: 4096 features each, a `u32` each.
//! - `reach_others`: a roaring bitmap in the format shared by all its implementations.

use super::{
    column,
    link::{Link, Param, Ran, cell},
    names::Names,
};
use crate::{
    error::{Error, Result},
    model::{RankSet, Selection},
    store::{
        Reach,
        reach_select::{ReachIndex, Selected},
    },
};
use roaring::RoaringBitmap;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};
use tokio_postgres::types::Type;

/// Communes per block.
const COMMUNES: u32 = 256;
/// Features per block of degrees.
const DEGREES: u32 = 4096;

/// The bytes of all blocks of communes.
pub(super) fn commune_blocks(reach: &Reach) -> Vec<Vec<u8>> {
    let block = |communes: &[Vec<u32>]| {
        let numbers = communes.iter().flat_map(|ordinals| {
            std::iter::once(ordinals.len() as u32).chain(ordinals.iter().copied())
        });
        numbers.flat_map(u32::to_le_bytes).collect()
    };
    reach.communes.chunks(COMMUNES as usize).map(block).collect()
}

/// The bytes of all blocks of degrees.
pub(super) fn degree_blocks(reach: &Reach) -> Vec<Vec<u8>> {
    let block = |degrees: &[u32]| degrees.iter().copied().flat_map(u32::to_le_bytes).collect();
    reach.degree.chunks(DEGREES as usize).map(block).collect()
}

/// The bitmaps of the other levels.
pub(super) fn others(reach: &Reach) -> Result<Vec<(&str, Vec<u8>)>> {
    let one = |(name, bitmap): (&'_ String, &RoaringBitmap)| -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(bitmap.serialized_size());
        let written = bitmap.serialize_into(&mut bytes);
        written.map_err(|e| Error::fault(format!("serialising the bitmap of {name}"), e))?;
        Ok(bytes)
    };
    reach.others.iter().map(|(name, b)| Ok((name.as_str(), one((name, b))?))).collect()
}

/// The rows of one of the tables, as binary COPY.
pub(super) fn copy_blocks(reach: i64, blocks: &[Vec<u8>], out: &mut Vec<u8>) -> Result<()> {
    for (number, block) in (0i32..).zip(blocks) {
        out.extend_from_slice(&3i16.to_be_bytes());
        column::field(&reach.to_be_bytes(), out)?;
        column::field(&number.to_be_bytes(), out)?;
        column::field(block, out)?;
    }
    Ok(())
}

/// The same for bitmaps.
pub(super) fn copy_others(reach: i64, others: &[(&str, Vec<u8>)], out: &mut Vec<u8>) -> Result<()> {
    for (territory, bytes) in others {
        out.extend_from_slice(&3i16.to_be_bytes());
        column::field(&reach.to_be_bytes(), out)?;
        column::field(territory.as_bytes(), out)?;
        column::field(bytes, out)?;
    }
    Ok(())
}

/// A whole reach index, as it was written.
pub(super) async fn whole(link: &mut Link, names: &Names, serial: i64, id: &str) -> Ran<Reach> {
    let mut reach = Reach { id: id.to_owned(), ..Reach::default() };
    let params: [Param<'_>; 1] = [(&serial, Type::INT8)];
    let sql = names.sql("SELECT bytes FROM {s}reach_blocks WHERE reach = $1 ORDER BY block");
    link.each(&sql, &params, |row| {
        let all = numbers(cell(row, 0)?);
        let mut rest = all.as_slice();
        while let Some((count, after)) = rest.split_first() {
            let (ordinals, after) = after
                .split_at_checked(*count as usize)
                .ok_or_else(|| Error::broken("a stored block of communes is damaged"))?;
            reach.communes.push(ordinals.to_vec());
            rest = after;
        }
        Ok(ControlFlow::Continue(()))
    })
    .await?;
    let sql = names.sql("SELECT bytes FROM {s}reach_degrees WHERE reach = $1 ORDER BY block");
    link.each(&sql, &params, |row| {
        reach.degree.extend(numbers(cell(row, 0)?));
        Ok(ControlFlow::Continue(()))
    })
    .await?;
    let sql = names.sql("SELECT territory, bytes FROM {s}reach_others WHERE reach = $1");
    link.each(&sql, &params, |row| {
        let bitmap = RoaringBitmap::deserialize_from(cell::<&[u8]>(row, 1)?)
            .map_err(|e| Error::fault("a stored reach bitmap", e))?;
        reach.others.insert(cell(row, 0)?, bitmap);
        Ok(ControlFlow::Continue(()))
    })
    .await?;
    Ok(reach)
}

/// The part of a reach index that a selection needs.
#[derive(Debug, Default)]
struct Part {
    /// By commune.
    communes: BTreeMap<u32, Vec<u32>>,
    degrees: BTreeMap<u32, Vec<u32>>,
    others: BTreeMap<String, RoaringBitmap>,
}

impl ReachIndex for Part {
    fn attached(&self, communes: &RankSet) -> Result<Vec<u32>> {
        let mut all = Vec::new();
        for range in communes.ranges() {
            all.extend(self.communes.range(range.clone()).flat_map(|(_, o)| o));
        }
        Ok(all)
    }

    fn degrees(&self, ordinals: &[u32]) -> Result<Vec<u32>> {
        let degree = |o: &u32| {
            let block = self.degrees.get(&(o / DEGREES));
            block.and_then(|b| b.get((o % DEGREES) as usize)).copied().unwrap_or_default()
        };
        Ok(ordinals.iter().map(degree).collect())
    }

    fn other(&self, territory: &str) -> Result<RoaringBitmap> {
        Ok(self.others.get(territory).cloned().unwrap_or_default())
    }
}

/// What a selection lets through of a stored reach index of `communes` communes.
pub(super) async fn select(
    link: &mut Link,
    names: &Names,
    reach: i64,
    communes: u32,
    selection: &Selection,
) -> Ran<Selected> {
    let mut part = Part::default();
    let sets = |s: &'_ crate::model::Clause| [s.meets.clone(), s.within.clone()];
    let wanted = selection.any.iter().flat_map(sets).flatten();
    let wanted = wanted.fold(RankSet::default(), |all, set| all.union(&set));
    fetch_communes(link, names, reach, communes, &wanted, &mut part).await?;
    let mut within = BTreeSet::new();
    for set in selection.any.iter().filter_map(|c| c.within.as_ref()) {
        within.extend(part.attached(set).unwrap_or_default().iter().map(|o| o / DEGREES));
    }
    if !within.is_empty() {
        let blocks: Vec<i32> = within.iter().map(|b| (*b).cast_signed()).collect();
        let sql = names
            .sql("SELECT block, bytes FROM {s}reach_degrees WHERE reach = $1 AND block = ANY($2)");
        let params: [Param<'_>; 2] = [(&reach, Type::INT8), (&blocks, Type::INT4_ARRAY)];
        for row in link.hot(&sql, &params).await? {
            part.degrees.insert(cell::<i32>(&row, 0)?.cast_unsigned(), numbers(cell(&row, 1)?));
        }
    }
    let others: Vec<String> =
        selection.any.iter().flat_map(|c| &c.others).map(ToString::to_string).collect();
    if !others.is_empty() {
        let sql = names.sql(
            "SELECT territory, bytes FROM {s}reach_others WHERE reach = $1 AND territory = ANY($2)",
        );
        let params: [Param<'_>; 2] = [(&reach, Type::INT8), (&others, Type::TEXT_ARRAY)];
        for row in link.hot(&sql, &params).await? {
            let bitmap = RoaringBitmap::deserialize_from(cell::<&[u8]>(&row, 1)?)
                .map_err(|e| Error::fault("a stored reach bitmap", e))?;
            part.others.insert(cell(&row, 0)?, bitmap);
        }
    }
    Ok(Selected::new(&part, selection)?)
}

async fn fetch_communes(
    link: &mut Link,
    names: &Names,
    reach: i64,
    communes: u32,
    wanted: &RankSet,
    part: &mut Part,
) -> Ran<()> {
    let blocks: BTreeSet<i32> = wanted
        .ranges()
        .iter()
        .filter(|r| r.start < communes)
        .flat_map(|r| r.start / COMMUNES..=(r.end.min(communes) - 1) / COMMUNES)
        .map(u32::cast_signed)
        .collect();
    if blocks.is_empty() {
        return Ok(());
    }
    let blocks: Vec<i32> = blocks.into_iter().collect();
    let sql =
        names.sql("SELECT block, bytes FROM {s}reach_blocks WHERE reach = $1 AND block = ANY($2)");
    let params: [Param<'_>; 2] = [(&reach, Type::INT8), (&blocks, Type::INT4_ARRAY)];
    for row in link.hot(&sql, &params).await? {
        let mut rank = cell::<i32>(&row, 0)?.cast_unsigned() * COMMUNES;
        let all = numbers(cell(&row, 1)?);
        let mut rest = all.as_slice();
        while let Some((count, after)) = rest.split_first() {
            let Some((ordinals, after)) = after.split_at_checked(*count as usize) else {
                return Err(Error::broken("a stored block of communes is damaged").into());
            };
            if wanted.contains(rank) {
                part.communes.insert(rank, ordinals.to_vec());
            }
            rank += 1;
            rest = after;
        }
    }
    Ok(())
}

fn numbers(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]])).collect()
}
