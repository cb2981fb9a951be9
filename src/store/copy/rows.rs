//! The rows of a version, read page by page, and what they add up to.

use crate::{
    error::{Error, Result},
    formats::wkb,
    model::{Feature, FieldKind, Progress, Value, ValueRef},
    query::{Filter, Scan, Start},
    store::{
        At, Row, Spool, Store,
        spool::{Spill, Spooling},
    },
};
use rustc_hash::FxHashSet;
use sha2::{Digest, Sha256};
use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
};

/// Rows asked for at once: a statement of a database has its time limit.
const PAGE: u64 = 20_000;
/// Rows kept at once.
const BATCH: usize = 1024;
/// MVT ids are numbers that a browser's script holds exactly.
const ID_BITS: u64 = (1 << 53) - 1;

/// The rows of a version, and what they add up to.
pub(super) struct Rows {
    /// The rows themselves, where they were wanted.
    pub(super) features: Option<Spool<Feature>>,
    pub(super) count: u64,
    /// Hexadecimal.
    pub(super) checksum: String,
}

/// Keeps rows as they come, with the MVT ids that they had. Those that no tile showed get one as
/// well, stable and not yet taken: tiles of another release may show them.
pub(super) struct Keeping {
    features: Spooling<Feature>,
    waiting: Vec<Feature>,
    ids: Vec<u64>,
    taken: FxHashSet<u64>,
}

impl Keeping {
    /// `ids`: by ordinal, 0 where there is none.
    pub(super) fn new(spill: &Spill, ids: &[u64]) -> Self {
        let taken =
            if ids.contains(&0) { ids.iter().copied().collect() } else { FxHashSet::default() };
        let (features, waiting) = (Spooling::new(spill), Vec::new());
        Self { features, waiting, ids: ids.to_vec(), taken }
    }

    fn take(&mut self, row: &Row<'_>, kinds: &[FieldKind]) -> Result<()> {
        let rank = self.features.len() + self.waiting.len();
        let mvt_id = match self.ids.get(rank).copied() {
            Some(0) | None => self.free(row.id),
            Some(id) => id,
        };
        self.waiting.push(feature(row, mvt_id, kinds)?);
        match self.waiting.len() < BATCH {
            true => Ok(()),
            false => self.features.extend(std::mem::take(&mut self.waiting)),
        }
    }

    fn free(&mut self, id: &str) -> u64 {
        let fnv = |h: u64, b: u8| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3);
        let mut free = id.bytes().fold(0xcbf2_9ce4_8422_2325, fnv) & ID_BITS;
        while free == 0 || !self.taken.insert(free) {
            free = (free + 1) & ID_BITS;
        }
        free
    }

    fn finish(mut self) -> Result<Spool<Feature>> {
        self.features.extend(self.waiting)?;
        self.features.finish()
    }
}

/// Reads a version, whole.
pub(super) async fn read(
    store: &Arc<dyn Store>,
    at: &At,
    keeping: Option<Keeping>,
    progress: &dyn Progress,
) -> Result<Rows> {
    let kinds = at.version.schema.fields.iter().map(|f| f.kind).collect();
    let reading = Reading { kinds, keeping, hash: Sha256::new(), count: 0, failed: None };
    let reading = Arc::new(Mutex::new(Some(reading)));
    let mut next = Some(0);
    while let Some(ordinal) = next {
        let scan =
            Scan { filter: Filter::default(), start: Start::Ordinal(ordinal), limit: Some(PAGE) };
        let all = reading.clone();
        let sink = move |row: &Row<'_>| {
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            all.as_mut().map_or(ControlFlow::Break(()), |all| all.take(row))
        };
        next = store.scan(at, scan, Box::new(sink)).await?.next;
        let mut reading = reading.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(reading) = reading.as_mut() else { break };
        if let Some(failed) = reading.failed.take() {
            return Err(failed);
        }
        progress.advance(reading.count);
    }
    let read = reading.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Reading { keeping, hash, count, .. } =
        read.ok_or_else(|| Error::broken("rows read twice"))?;
    let checksum = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    Ok(Rows { features: keeping.map(Keeping::finish).transpose()?, count, checksum })
}

/// What reading has come to.
struct Reading {
    kinds: Vec<FieldKind>,
    keeping: Option<Keeping>,
    hash: Sha256,
    count: u64,
    /// What stopped it.
    failed: Option<Error>,
}

impl Reading {
    fn take(&mut self, row: &Row<'_>) -> ControlFlow<()> {
        add(&mut self.hash, row);
        self.count += 1;
        let kept = self.keeping.as_mut().map(|keeping| keeping.take(row, &self.kinds));
        match kept {
            Some(Err(e)) => {
                self.failed = Some(e);
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Adds a row to a checksum: every part with its kind and length, so that no two rows look alike.
pub(super) fn add(hash: &mut Sha256, row: &Row<'_>) {
    let mut part = |kind: u8, bytes: &[u8]| {
        hash.update([kind]);
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(b'r', row.id.as_bytes());
    for value in row.values {
        match value {
            ValueRef::Null => part(b'n', &[]),
            ValueRef::Bool(b) => part(b'b', &[u8::from(*b)]),
            ValueRef::Int(i) => part(b'i', &i.to_le_bytes()),
            ValueRef::Float(f) => part(b'f', &f.to_bits().to_le_bytes()),
            ValueRef::Text(s) => part(b't', s.as_bytes()),
            ValueRef::Json(s) => part(b'j', s.as_bytes()),
        }
    }
    if let Some(wkb) = row.wkb {
        part(b'g', wkb);
    }
}

/// A stored row as it was before it was loaded.
fn feature(row: &Row<'_>, mvt_id: u64, kinds: &[FieldKind]) -> Result<Feature> {
    let values = row.values.iter().zip(kinds).map(|(v, kind)| value(*v, *kind));
    let geometry = row.wkb.map(wkb::read).transpose();
    let geometry = geometry.map_err(|e| Error::fault(format!("geometry of {}", row.id), e))?;
    let values = values.collect::<Result<_>>()?;
    Ok(Feature { id: row.id.to_owned(), mvt_id, values, geometry })
}

pub(super) fn value(value: ValueRef<'_>, kind: FieldKind) -> Result<Value> {
    Ok(match (value, kind) {
        (ValueRef::Null, _) => Value::Null,
        (ValueRef::Bool(b), _) => Value::Bool(b),
        (ValueRef::Int(i), _) => Value::Int(i),
        (ValueRef::Float(f), _) => Value::Float(f),
        (ValueRef::Json(s), _) => Value::Json(s.to_owned()),
        (ValueRef::Text(s), FieldKind::Date) => {
            Value::Date(s.parse().map_err(|e: jiff::Error| Error::fault("a stored date", e))?)
        }
        (ValueRef::Text(s), FieldKind::DateTime) => Value::DateTime(
            s.parse().map_err(|e: jiff::Error| Error::fault("a stored instant", e))?,
        ),
        (ValueRef::Text(s), _) => Value::Text(s.to_owned()),
    })
}
