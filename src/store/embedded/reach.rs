//! The `.reach` file: which features each territory has. One structure answers every
//! territory question: tiles, items and counts all go through [`ReachFile::select`].

use super::sections::{Sections, Tag, Writer};
use crate::{
    error::{Error, Result},
    model::{RankSet, Selection},
    store::{
        Reach,
        reach_select::{ReachIndex, Selected},
    },
};
use moka::sync::Cache;
use roaring::RoaringBitmap;
use std::{collections::BTreeMap, path::Path, sync::Arc};

const OFFSETS: Tag = 0x01;
const ITEMS: Tag = 0x02;
const DEGREES: Tag = 0x03;
const OTHER_NAMES: Tag = 0x04;
const OTHER_BITMAPS: Tag = 0x05;

/// Bytes of selections kept ready per open version.
const CACHE_BYTES: u64 = 4 << 20;

/// Writes the file.
pub(super) fn write(path: &Path, reach: &Reach) -> Result<()> {
    let mut out = Writer::create(path)?;
    let mut at = 0u64;
    let offsets = std::iter::once(0).chain(reach.communes.iter().map(|c| {
        at += c.len() as u64;
        at
    }));
    out.u64s(OFFSETS, offsets)?;
    out.u32s(ITEMS, reach.communes.iter().flatten().copied())?;
    out.u32s(DEGREES, reach.degree.iter().copied())?;
    let mut names: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let mut bitmaps = Vec::new();
    for (name, bitmap) in &reach.others {
        let from = bitmaps.len() as u64;
        bitmap
            .serialize_into(&mut bitmaps)
            .map_err(|e| Error::fault("serialising a reach bitmap", e))?;
        names.insert(name, (from, bitmaps.len() as u64));
    }
    let names = serde_json::to_vec(&names).map_err(|e| Error::fault("reach names", e))?;
    out.section(OTHER_NAMES, &names)?;
    out.section(OTHER_BITMAPS, &bitmaps)?;
    out.finish()
}

/// An open `.reach` file.
#[derive(Debug)]
pub(super) struct ReachFile {
    file: Sections,
    communes: u32,
    features: u64,
    others: BTreeMap<String, (u64, u64)>,
    ready: Cache<String, Arc<Selected>>,
}

impl ReachFile {
    pub(super) fn open(path: &Path) -> Result<Option<Self>> {
        let Some(file) = Sections::open(path)? else { return Ok(None) };
        let communes = (file.len(OFFSETS) / 8).saturating_sub(1) as u32;
        let features = file.len(DEGREES) / 4;
        let others = serde_json::from_slice(&file.all(OTHER_NAMES)?)
            .map_err(|e| Error::fault(format!("{}", path.display()), e))?;
        let ready = Cache::builder()
            .max_capacity(CACHE_BYTES)
            .weigher(|key: &String, s: &Arc<Selected>| {
                (key.len() + s.weight()).try_into().unwrap_or(u32::MAX)
            })
            .build();
        Ok(Some(Self { file, communes, features, others, ready }))
    }

    /// The whole index, as it was written, under a name.
    pub(super) fn whole(&self, id: &str) -> Result<Reach> {
        let offsets = self.file.u64s(OFFSETS, 0..self.file.len(OFFSETS) / 8)?;
        let items = self.file.u32s(ITEMS, 0..self.file.len(ITEMS) / 4)?;
        let part = |w: &[u64]| match w {
            [from, to] => items.get(*from as usize..*to as usize).map(<[u32]>::to_vec),
            _ => None,
        };
        let communes = offsets.windows(2).map(part).collect::<Option<_>>();
        let damaged = || Error::broken(format!("{}: damaged", self.file.path().display()));
        let mut others = BTreeMap::new();
        for name in self.others.keys() {
            others.insert(name.clone(), self.other(name)?);
        }
        let degree = self.file.u32s(DEGREES, 0..self.features)?;
        let communes = communes.ok_or_else(damaged)?;
        Ok(Reach { id: id.to_owned(), communes, degree, others, ..Reach::default() })
    }

    /// The features that a selection lets through.
    pub(super) fn select(&self, selection: &Selection) -> Result<Arc<Selected>> {
        if let Some(ready) = self.ready.get(&selection.key) {
            return Ok(ready);
        }
        let selected = Arc::new(Selected::new(self, selection)?);
        self.ready.insert(selection.key.clone(), selected.clone());
        Ok(selected)
    }
}

impl ReachIndex for ReachFile {
    fn attached(&self, set: &RankSet) -> Result<Vec<u32>> {
        let mut items = Vec::new();
        for range in set.ranges() {
            let end = range.end.min(self.communes);
            if range.start >= end {
                continue;
            }
            let from = self.file.u64s(OFFSETS, range.start.into()..u64::from(range.start) + 1)?[0];
            let to = self.file.u64s(OFFSETS, end.into()..u64::from(end) + 1)?[0];
            items.extend(self.file.u32s(ITEMS, from..to)?);
        }
        Ok(items)
    }

    fn degrees(&self, ordinals: &[u32]) -> Result<Vec<u32>> {
        let all = self.file.u32s(DEGREES, 0..self.features)?;
        Ok(ordinals.iter().map(|o| all.get(*o as usize).copied().unwrap_or_default()).collect())
    }

    fn other(&self, name: &str) -> Result<RoaringBitmap> {
        let Some(&(from, to)) = self.others.get(name) else { return Ok(RoaringBitmap::new()) };
        let bytes = self.file.read(OTHER_BITMAPS, from..to)?;
        RoaringBitmap::deserialize_from(&bytes[..])
            .map_err(|e| Error::fault(format!("{}", self.file.path().display()), e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Clause;

    fn file() -> (tempfile::TempDir, ReachFile) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.reach");
        let reach = Reach {
            id: "r".into(),
            ids: Vec::new(),
            vintage: None,
            communes: vec![vec![0, 2], vec![1, 2], vec![], vec![3]],
            degree: vec![1, 1, 2, 1, 0],
            others: BTreeMap::from([("qpv:QN05901M".to_owned(), RoaringBitmap::from([1, 3]))]),
        };
        write(&path, &reach).unwrap();
        let file = ReachFile::open(&path).unwrap().unwrap();
        (dir, file)
    }

    fn select(file: &ReachFile, key: &str, clause: Clause) -> Vec<u32> {
        let selection = Selection { key: key.into(), any: vec![clause] };
        file.select(&selection).unwrap().ordinals.iter().collect()
    }

    #[test]
    fn concerns_meets_and_within_is_a_subset() {
        let (_dir, file) = file();
        let set = RankSet::from_ranks([0]);
        let meets = Clause { meets: Some(set.clone()), ..Clause::default() };
        assert_eq!(select(&file, "a", meets), [0, 2]);
        let within = Clause { within: Some(set), ..Clause::default() };
        assert_eq!(select(&file, "b", within), [0]);
        let both = Clause { within: Some(RankSet::from_ranks([0, 1])), ..Clause::default() };
        assert_eq!(select(&file, "c", both), [0, 1, 2]);
    }

    #[test]
    fn out_of_range_and_unknown_select_nothing() {
        let (_dir, file) = file();
        let far = Clause { meets: Some(RankSet::from_ranks([900])), ..Clause::default() };
        assert!(select(&file, "far", far).is_empty());
        assert!(select(&file, "none", Clause::default()).is_empty());
        let nothing = Selection { key: "nothing".into(), any: vec![] };
        assert!(file.select(&nothing).unwrap().ordinals.is_empty());
    }
}
