//! The rows of a version, read page by page, and what they add up to.

use crate::{
    error::{Error, Result},
    formats::wkb,
    model::{Feature, FieldKind, Progress, Value, ValueRef},
    query::{Filter, Scan, Start},
    store::{At, Row, Store},
};
use sha2::{Digest, Sha256};
use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
};

/// Rows asked for at once: a statement of a database has its time limit.
const PAGE: u64 = 20_000;

/// The rows of a version, and what they add up to.
#[derive(Default)]
pub(super) struct Rows {
    kinds: Vec<FieldKind>,
    /// Whether features are wanted, or their checksum alone.
    wanted: bool,
    pub(super) features: Vec<Feature>,
    hash: Sha256,
    pub(super) count: u64,
    pub(super) checksum: String,
    /// What stopped the reading.
    failed: Option<Error>,
}

/// Reads a version, whole.
pub(super) async fn read(
    store: &Arc<dyn Store>,
    at: &At,
    wanted: bool,
    progress: &dyn Progress,
) -> Result<Rows> {
    let kinds = at.version.schema.fields.iter().map(|f| f.kind).collect();
    let rows = Arc::new(Mutex::new(Rows { kinds, wanted, ..Rows::default() }));
    let mut next = Some(0);
    while let Some(ordinal) = next {
        let scan =
            Scan { filter: Filter::default(), start: Start::Ordinal(ordinal), limit: Some(PAGE) };
        let all = rows.clone();
        let sink =
            move |row: &Row<'_>| all.lock().unwrap_or_else(PoisonError::into_inner).take(row);
        next = store.scan(at, scan, Box::new(sink)).await?.next;
        let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(failed) = rows.failed.take() {
            return Err(failed);
        }
        progress.advance(rows.count);
    }
    let mut rows = std::mem::take(&mut *rows.lock().unwrap_or_else(PoisonError::into_inner));
    let hash = std::mem::take(&mut rows.hash);
    rows.checksum = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    Ok(rows)
}

impl Rows {
    fn take(&mut self, row: &Row<'_>) -> ControlFlow<()> {
        add(&mut self.hash, row);
        self.count += 1;
        if self.wanted {
            match feature(row, &self.kinds) {
                Ok(feature) => self.features.push(feature),
                Err(e) => {
                    self.failed = Some(e);
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
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

/// A stored row as it was before it was loaded; its MVT id comes from elsewhere.
fn feature(row: &Row<'_>, kinds: &[FieldKind]) -> Result<Feature> {
    let values = row.values.iter().zip(kinds).map(|(v, kind)| value(*v, *kind));
    let geometry = row.wkb.map(wkb::read).transpose();
    let geometry = geometry.map_err(|e| Error::fault(format!("geometry of {}", row.id), e))?;
    let values = values.collect::<Result<_>>()?;
    Ok(Feature { id: row.id.to_owned(), mvt_id: 0, values, geometry })
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
