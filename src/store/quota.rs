//! A store may be held to a number of bytes: a load that would not fit is refused before it
//! begins, and the approach of the limit is said.

use super::NewVersion;
use crate::{
    error::{Error, Result},
    model::{Feature, Value},
    text,
};
use geo::CoordsIter;
use std::sync::atomic::{AtomicU64, Ordering};

/// From this share on, in hundredths, the limit is near.
const NEAR: u64 = 90;

/// What a store takes, and what it may.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// Bytes it may take, if it is held to a number.
    quota: Option<u64>,
    /// Bytes it took when it was last measured.
    used: AtomicU64,
}

impl Meter {
    pub(super) fn new(quota: Option<u64>) -> Self {
        Self { quota, used: AtomicU64::new(0) }
    }

    /// Whether there is a limit to look at before a load.
    pub(super) fn is_limited(&self) -> bool {
        self.quota.is_some()
    }

    /// Whether a version still fits beside what is `used`.
    ///
    /// # Errors
    /// [`Error::Refused`] when it does not; a fault when its features cannot be read.
    pub(super) fn admit(&self, used: u64, new: &NewVersion) -> Result<()> {
        let (need, quota) = (need(new)?, self.quota.unwrap_or(u64::MAX));
        if used.saturating_add(need) <= quota {
            return Ok(());
        }
        let [used, need, quota] = [used, need, quota].map(megabytes);
        Err(Error::Refused(text!(
            "Le magasin tient {used} Mio sur {quota} (quota_mb) et cette version en demande environ {need} : rien n'a été chargé. Gardez moins de versions (keep_versions) ou relevez quota_mb.",
            "The store holds {used} MiB of {quota} (quota_mb) and this version needs about {need}: nothing was loaded. Keep fewer versions (keep_versions) or raise quota_mb."
        )))
    }

    /// Notes what was measured, and says so when the limit is near.
    pub(super) fn note(&self, used: u64) {
        self.used.store(used, Ordering::Relaxed);
        self.show();
        if let Some(quota) = self.quota.filter(|q| used >= q / 100 * NEAR) {
            tracing::warn!(
                used_mb = megabytes(used),
                quota_mb = megabytes(quota),
                "the store is nearly full: keep fewer versions or raise quota_mb"
            );
        }
    }

    /// Tells monitoring what was last measured. Cheap: it is told again and again, because its
    /// recorder may come later than the store.
    pub(super) fn show(&self) {
        metrics::gauge!("socle_store_bytes").set(self.used.load(Ordering::Relaxed) as f64);
        if let Some(quota) = self.quota {
            metrics::gauge!("socle_store_quota_bytes").set(quota as f64);
        }
    }
}

/// MiB, rounded up.
fn megabytes(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

/// Bytes a version will take, about: rather more than less. Rows once, tags once more, geometry
/// as it is and about as much again for the overviews and indexes.
fn need(new: &NewVersion) -> Result<u64> {
    let mut rows = 0;
    new.features.each(|_, batch| {
        rows += batch.iter().map(feature).sum::<u64>();
        Ok(())
    })?;
    let attached: usize = new.reach.communes.iter().map(Vec::len).sum();
    Ok(rows + 4 * (attached + new.reach.degree.len()) as u64 + (512 << 10))
}

fn feature(f: &Feature) -> u64 {
    let values: usize = f.values.iter().map(value).sum();
    let geometry = f.geometry.as_ref().map_or(0, |g| 120 + g.coords_count() * 16 * 2);
    (200 + f.id.len() * 3 + values * 2 + geometry) as u64
}

fn value(v: &Value) -> usize {
    match v {
        Value::Null => 1,
        Value::Text(s) | Value::Json(s) => s.len() + 3,
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => 9,
        Value::Date(_) => 11,
        Value::DateTime(_) => 25,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Reach;

    fn new(features: usize) -> NewVersion {
        let feature = Feature {
            id: "59350".into(),
            mvt_id: 1,
            values: vec![Value::Text("Lille".into())],
            geometry: Some(geo_types::Point::new(3.0, 50.0).into()),
        };
        NewVersion {
            version: crate::store::copy::tests::version("20260101T000000Z-3f9a01c2"),
            features: vec![feature; features].into(),
            reach: Reach::default(),
            weighed: None,
            title: String::new(),
            provenance: String::new(),
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_before_it_is_written() {
        let quota = Meter::new(Some(10 << 20));
        assert!(Meter::default().admit(u64::MAX - (1 << 30), &new(10)).is_ok());
        assert!(quota.admit(0, &new(10)).is_ok());
        let full = quota.admit((10 << 20) - 1000, &new(10)).unwrap_err();
        assert!(matches!(&full, Error::Refused(t) if t.fr.contains("quota_mb")), "{full}");
        assert!(matches!(quota.admit(0, &new(100_000)), Err(Error::Refused(_))));
        assert!(matches!(quota.admit(u64::MAX, &new(1)), Err(Error::Refused(_))));
    }
}
