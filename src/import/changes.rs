//! Two versions of a layer compared, feature by feature: what the new one adds, changes and
//! removes, and where.

use super::{Importer, seen::Seen};
use crate::{
    error::{Error, Result},
    model::{
        Change, ChangeKind, Changes, ChangesHead, LayerDef, Place, RankSet, TerritoryCode,
        ValueRef, changes::MAX_CHANGES,
    },
    query::{Filter, Scan, Start},
    store::{At, Reach, Row, Store},
};
use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;
use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
};

/// Longest name kept of a feature, in characters.
const LABEL: usize = 120;

/// A state of a layer with its reach index under the reference in force.
pub struct State<'a> {
    /// The state.
    pub at: &'a At,
    /// Its index.
    pub reach: Reach,
}

/// A difference found, its places still by ordinal.
struct Found {
    kind: ChangeKind,
    id: String,
    label: Option<String>,
    geometry: bool,
    values: bool,
    /// In the version compared with.
    old: Option<u32>,
    /// In the new version.
    new: Option<u32>,
}

/// What comparing has come to. Of each feature of the version compared with some 32 bytes are held.
#[derive(Default)]
struct Comparison {
    /// By ordinal, as all lists of the old version here. That two ids have one hash of 64 bits is as
    /// unlikely as that two contents have.
    old: Seen,
    values: Vec<u64>,
    geometries: Vec<u64>,
    /// Those that the new version has as well.
    met: RoaringBitmap,
    found: Vec<Found>,
    added: u64,
    changed: u64,
    /// What stopped it.
    failed: Option<Error>,
}

impl Comparison {
    /// Takes a feature of the old version.
    fn take(&mut self, row: &Row<'_>, values: u64) -> ControlFlow<()> {
        if row.ordinal != self.values.len() as u64 {
            self.failed = Some(Error::broken("a version shows features out of their order"));
            return ControlFlow::Break(());
        }
        self.old.add(of_id(row.id));
        self.values.push(values);
        self.geometries.push(of_geometry(row));
        ControlFlow::Continue(())
    }

    /// Holds a feature of the new version against it.
    fn note(&mut self, row: &Row<'_>, values: u64, label: Option<String>) {
        let left = |rank| Ok(!self.met.contains(rank));
        let old = self.old.find(of_id(row.id), left).unwrap_or_default();
        let geometry = of_geometry(row);
        let is = |list: &[u64], now| old.map(|old| list.get(old as usize) == Some(&now));
        let same_values = is(&self.values, values);
        let same_geometry = is(&self.geometries, geometry);
        self.met.extend(old);
        let kind = match (same_values, same_geometry) {
            (Some(true), Some(true)) => return,
            (Some(_), _) => ChangeKind::Changed,
            (None, _) => ChangeKind::Added,
        };
        match kind {
            ChangeKind::Added => self.added += 1,
            _ => self.changed += 1,
        }
        if self.found.len() < MAX_CHANGES {
            self.found.push(Found {
                kind,
                id: row.id.to_owned(),
                label,
                geometry: same_geometry == Some(false),
                values: same_values == Some(false),
                old,
                new: Some(u32::try_from(row.ordinal).unwrap_or(u32::MAX)),
            });
        }
    }

    /// The features that only the old version has: how many, and the first of them.
    fn gone(&self, most: usize) -> (u64, RoaringBitmap) {
        let left = (0..self.values.len() as u32).filter(|rank| !self.met.contains(*rank));
        (self.values.len() as u64 - self.met.len(), left.take(most).collect())
    }
}

impl Importer {
    /// What publishing `new` in the place of `base` changes. Features are the same when they bear
    /// the same id, so a layer without a key shows an edit as one removed and one added.
    ///
    /// # Errors
    /// What the store fails with.
    pub async fn changes(
        &self,
        store: &Arc<dyn Store>,
        def: &LayerDef,
        base: Option<State<'_>>,
        new: State<'_>,
    ) -> Result<Changes> {
        let at = jiff::Timestamp::now();
        let at = jiff::Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at);
        let version = new.at.version.id.clone();
        let Some(base) = base else {
            let added = new.at.version.count;
            let head =
                ChangesHead { at, version, base: None, added, changed: 0, removed: 0, listed: 0 };
            return Ok(Changes { head, communes: vec![], others: vec![], list: vec![] });
        };
        let compared = compare(store, def, base.at, new.at).await?;
        let (removed, gone) = compared.gone(MAX_CHANGES - compared.found.len());
        let mut found = compared.found;
        found.extend(named(store, def, base.at, gone).await?);
        let head = ChangesHead {
            at,
            version,
            base: Some(base.at.version.id.clone()),
            added: compared.added,
            changed: compared.changed,
            removed,
            listed: found.len() as u64,
        };
        Ok(self.placed(head, found, &base.reach, &new.reach))
    }

    /// Puts the places of the features found into the form they are kept in.
    fn placed(&self, head: ChangesHead, found: Vec<Found>, old: &Reach, new: &Reach) -> Changes {
        let wanted = |of: fn(&Found) -> Option<u32>| found.iter().filter_map(of).collect();
        let old = Places::of(old, &wanted(|f| f.old));
        let new = Places::of(new, &wanted(|f| f.new));
        let ranks: BTreeSet<u32> =
            old.communes.values().chain(new.communes.values()).flatten().copied().collect();
        let ranks: Vec<u32> = ranks.into_iter().collect();
        let codes: BTreeSet<TerritoryCode> =
            old.others.values().chain(new.others.values()).flatten().cloned().collect();
        let codes: Vec<TerritoryCode> = codes.into_iter().collect();
        let place = |places: &Places, ordinal: u32| {
            let positions = places.communes.get(&ordinal).into_iter().flatten();
            let positions = positions.filter_map(|r| ranks.binary_search(r).ok());
            let set = RankSet::from_ranks(positions.map(|p| p as u32));
            let others = places.others.get(&ordinal).into_iter().flatten();
            let others = others.filter_map(|c| codes.binary_search(c).ok()).map(|p| p as u32);
            Place {
                communes: set.ranges().iter().map(|r| [r.start, r.end]).collect(),
                others: others.collect(),
            }
        };
        let list = found.into_iter().map(|f| {
            let before = f.old.map(|o| place(&old, o));
            let now = f.new.map(|o| place(&new, o));
            let (place, before) = match (now, before) {
                (Some(now), Some(before)) if now != before => (now, Some(before)),
                (Some(only), _) | (None, Some(only)) => (only, None),
                (None, None) => (Place::default(), None),
            };
            let Found { kind, id, label, geometry, values, .. } = f;
            Change { kind, id, label, geometry, values, place, before }
        });
        let list = list.collect();
        let reference = self.reference();
        let code = |rank: &u32| reference.commune(*rank).map(|c| c.code.to_string());
        let communes = ranks.iter().map(|r| code(r).unwrap_or_default()).collect();
        Changes { head, communes, others: codes, list }
    }
}

/// Where some features are.
#[derive(Default)]
struct Places {
    communes: FxHashMap<u32, Vec<u32>>,
    others: FxHashMap<u32, Vec<TerritoryCode>>,
}

impl Places {
    fn of(reach: &Reach, ordinals: &RoaringBitmap) -> Self {
        let mut places = Self::default();
        for (rank, features) in (0u32..).zip(&reach.communes) {
            for ordinal in features.iter().filter(|o| ordinals.contains(**o)) {
                places.communes.entry(*ordinal).or_default().push(rank);
            }
        }
        for (territory, features) in &reach.others {
            let Ok(code) = territory.parse::<TerritoryCode>() else { continue };
            for ordinal in features & ordinals {
                places.others.entry(ordinal).or_default().push(code.clone());
            }
        }
        places
    }
}

/// Goes through both versions, the old one first.
async fn compare(
    store: &Arc<dyn Store>,
    def: &LayerDef,
    base: &At,
    new: &At,
) -> Result<Comparison> {
    let comparison = Arc::new(Mutex::new(Comparison::default()));
    let (out, order) = (comparison.clone(), by_name(base));
    let sink = Box::new(move |row: &Row<'_>| {
        let values = of_values(row, &order);
        out.lock().unwrap_or_else(PoisonError::into_inner).take(row, values)
    });
    store.scan(base, whole(), sink).await?;
    let (out, order) = (comparison.clone(), by_name(new));
    let label = label_field(def, new);
    let sink = Box::new(move |row: &Row<'_>| {
        let values = of_values(row, &order);
        let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
        out.note(row, values, label.and_then(|field| label_of(row, field)));
        ControlFlow::Continue(())
    });
    store.scan(new, whole(), sink).await?;
    let comparison =
        std::mem::take(&mut *comparison.lock().unwrap_or_else(PoisonError::into_inner));
    if let Some(failed) = comparison.failed {
        return Err(failed);
    }
    if comparison.values.len() as u64 > base.version.count {
        return Err(Error::broken("a version shows more features than it has"));
    }
    Ok(comparison)
}

fn whole() -> Scan {
    Scan { filter: Filter::default(), start: Start::Ordinal(0), limit: None }
}

/// What is gone, by the ids and names that it had.
async fn named(
    store: &Arc<dyn Store>,
    def: &LayerDef,
    base: &At,
    gone: RoaringBitmap,
) -> Result<Vec<Found>> {
    if gone.is_empty() {
        return Ok(Vec::new());
    }
    let field = label_field(def, base);
    let found: Arc<Mutex<Vec<Found>>> = Arc::default();
    let out = found.clone();
    let sink = Box::new(move |row: &Row<'_>| {
        let ordinal = u32::try_from(row.ordinal).unwrap_or(u32::MAX);
        if gone.contains(ordinal) {
            let label = field.and_then(|field| label_of(row, field));
            let gone = Found {
                kind: ChangeKind::Removed,
                id: row.id.to_owned(),
                label,
                geometry: false,
                values: false,
                old: Some(ordinal),
                new: None,
            };
            out.lock().unwrap_or_else(PoisonError::into_inner).push(gone);
        }
        ControlFlow::Continue(())
    });
    store.scan_values(base, whole(), sink).await?;
    Ok(std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner)))
}

fn label_field(def: &LayerDef, at: &At) -> Option<usize> {
    def.label.as_ref().and_then(|label| at.version.schema.index(label))
}

fn label_of(row: &Row<'_>, field: usize) -> Option<String> {
    match row.values.get(field) {
        Some(ValueRef::Text(text)) if !text.trim().is_empty() => {
            Some(text.trim().chars().take(LABEL).collect())
        }
        Some(ValueRef::Int(i)) => Some(i.to_string()),
        _ => None,
    }
}

/// Fields in the order of their names: one that moved among the columns is the same.
fn by_name(at: &At) -> Vec<(String, usize)> {
    let fields = at.version.schema.fields.iter().zip(0..);
    let order: BTreeMap<&str, usize> = fields.map(|(f, i)| (f.name.as_str(), i)).collect();
    order.into_iter().map(|(name, i)| (name.to_owned(), i)).collect()
}

/// A fingerprint of a row's values. A column that is empty is as good as none, and a whole number
/// is the same in a column of numbers.
fn of_values(row: &Row<'_>, order: &[(String, usize)]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (name, field) in order {
        let value = row.values.get(*field).copied().unwrap_or(ValueRef::Null);
        if value == ValueRef::Null {
            continue;
        }
        name.hash(&mut hasher);
        match value {
            ValueRef::Null => {}
            ValueRef::Bool(b) => (0u8, b).hash(&mut hasher),
            #[expect(clippy::cast_precision_loss, reason = "only those it does not touch")]
            ValueRef::Int(i) if i.unsigned_abs() < 1 << 53 => {
                (1u8, (i as f64).to_bits()).hash(&mut hasher);
            }
            ValueRef::Int(i) => (2u8, i).hash(&mut hasher),
            ValueRef::Float(f) => (1u8, f.to_bits()).hash(&mut hasher),
            ValueRef::Text(t) | ValueRef::Json(t) => (3u8, t).hash(&mut hasher),
        }
    }
    hasher.finish()
}

fn of_id(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

fn of_geometry(row: &Row<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    row.wkb.hash(&mut hasher);
    hasher.finish()
}
