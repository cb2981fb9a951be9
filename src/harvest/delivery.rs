//! All pages of a service become one file, named by its SHA-256 like every source, or nothing: what
//! the service counts must have come, and no feature twice.

use super::{Fetch, Harvester, failed, file, kept_as};
use crate::{
    blobs::Draft,
    error::{Error, Result},
    model::{Fault, Harvested, Progress, SourceDef, Text},
    text,
};
use jiff::Timestamp;
use reqwest::StatusCode;
use rustc_hash::FxHashSet;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::{
    hash::{DefaultHasher, Hasher},
    path::PathBuf,
};

/// A delivery under way.
pub(super) struct Delivery<'a> {
    part: Draft,
    hasher: Sha256,
    bytes: u64,
    count: u64,
    /// Ids met on earlier pages, hashed.
    seen: FxHashSet<u64>,
    /// What closes the file.
    end: &'static str,
    progress: &'a dyn Progress,
}

/// The id of a feature, and nothing else of it.
#[derive(Deserialize)]
struct Id<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
}

impl<'a> Delivery<'a> {
    /// Begins a GeoJSON file; `crs` names an EPSG code when coordinates are not degrees.
    pub(super) async fn geojson(
        harvester: &Harvester,
        source: &SourceDef,
        crs: Option<&str>,
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        let mut delivery = Self::begin(harvester, source, "\n]}\n", progress)?;
        let code = crs.and_then(|c| c.strip_prefix("EPSG:"));
        let crs = code.map(|code| {
            format!(
                "\"crs\":{{\"type\":\"name\",\"properties\":{{\"name\":\"urn:ogc:def:crs:EPSG::{code}\"}}}},"
            )
        });
        let crs = crs.unwrap_or_default();
        let start = format!("{{\"type\":\"FeatureCollection\",{crs}\"features\":[");
        delivery.write(start.as_bytes()).await?;
        Ok(delivery)
    }

    /// Begins a file that closes with `end`.
    pub(super) fn begin(
        harvester: &Harvester,
        source: &SourceDef,
        end: &'static str,
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        let part = harvester.blobs.begin(source.max_bytes)?;
        progress.stage(Text::new("Téléchargement", "Download"), None);
        let (hasher, seen) = (Sha256::new(), FxHashSet::default());
        Ok(Self { part, hasher, bytes: 0, count: 0, seen, end, progress })
    }

    /// How many features it has.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Adds a page of GeoJSON features as they were written.
    ///
    /// # Errors
    /// As [`Delivery::met`].
    pub(super) async fn add(&mut self, features: &[&str]) -> Result<()> {
        let mut ids = Vec::with_capacity(features.len());
        for (n, raw) in (self.count..).zip(features) {
            let comma: &[u8] = if n == 0 { b"\n" } else { b",\n" };
            self.write(comma).await?;
            self.write(raw.as_bytes()).await?;
            let id = serde_json::from_str::<Id>(raw).ok().and_then(|f| f.id);
            ids.extend(id.map(RawValue::get).filter(|id| *id != "null"));
        }
        self.met(features.len() as u64, &ids)
    }

    /// Counts the features of a page that was written, with the ids of those that have one.
    ///
    /// # Errors
    /// [`Fault::Cut`] when a feature was on an earlier page: then others are on none.
    pub(super) fn met(&mut self, features: u64, ids: &[impl AsRef<str>]) -> Result<()> {
        let hashed = |id: &str| {
            let mut hasher = DefaultHasher::new();
            hasher.write(id.as_bytes());
            hasher.finish()
        };
        let hashes: Vec<u64> = ids.iter().map(|id| hashed(id.as_ref())).collect();
        let again = hashes.iter().zip(ids).find(|(hash, _)| self.seen.contains(hash));
        if let Some((_, id)) = again {
            let id: String = id.as_ref().chars().take(80).collect();
            return Err(failed(
                Fault::Cut,
                text!(
                    "l'entité {id} est sur deux pages, et d'autres peut-être sur aucune : trier les pages par une propriété (sort)",
                    "feature {id} is on two pages, and others perhaps on none: sort pages by a property (sort)"
                ),
            ));
        }
        self.seen.extend(hashes);
        self.count += features;
        self.progress.advance(self.bytes);
        Ok(())
    }

    /// Checks that what the service counted has come.
    pub(super) fn check_count(&self, before: Option<u64>, after: Option<u64>) -> Result<()> {
        let (Some(first), Some(last)) = (before, after.or(before)) else { return Ok(()) };
        let came = self.count;
        if first != last {
            return Err(failed(
                Fault::Cut,
                text!(
                    "la source a changé pendant qu'on la lisait page par page : {first} entités, puis {last}",
                    "the source changed while it was read page by page: {first} features, then {last}"
                ),
            ));
        }
        if came != last {
            return Err(failed(
                Fault::Cut,
                text!(
                    "la source annonce {last} entités et en a donné {came}",
                    "the source announces {last} features and gave {came}"
                ),
            ));
        }
        Ok(())
    }

    /// Closes the delivery. `origin` is where it came from, `name` what to call the file.
    pub(super) async fn finish(
        mut self,
        origin: String,
        name: String,
        previous: Option<&Harvested>,
    ) -> Result<Fetch> {
        self.write(self.end.as_bytes()).await?;
        let sha256 = file::hex(&self.hasher.finalize());
        let key = kept_as(&sha256).ok_or_else(|| Error::broken("a checksum is no name"))?;
        let path: PathBuf = self.part.keep_here(&key).await?;
        let now = Timestamp::now();
        let found = Harvested {
            path,
            name,
            origin,
            status: Some(StatusCode::OK.as_u16()),
            bytes: self.bytes,
            sha256,
            etag: None,
            modified: None,
            fetched_at: now,
            checked_at: now,
            dataset: None,
            withdrawn: None,
        };
        let same = previous.filter(|p| p.sha256 == found.sha256 && p.origin == found.origin);
        Ok(match same {
            Some(p) => Fetch::Unchanged(Harvested { fetched_at: p.fetched_at, ..found }),
            None => Fetch::New(found),
        })
    }

    /// Writes on.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len() as u64;
        self.hasher.update(bytes);
        self.part.write(bytes).await
    }
}
