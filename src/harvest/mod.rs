//! A source becomes a local file with the proof of where it came from: one file per kind of
//! source. It knows nothing of what the bytes mean, of layers' versions or of publishing.
//!
//! What leaves is a [`Harvested`] whose file is whole, at [`Harvested::path`], with its checksum;
//! or a refusal that says what the source did. Nothing is ever kept half: a download is a draft of
//! the shared files ([`crate::blobs`]) until it is whole, and only then takes its name, which is
//! its checksum.

mod arcgis;
mod body;
mod datagouv;
mod delivery;
mod discover;
mod esri;
mod file;
mod guard;
mod headers;
mod hosts;
mod http;
mod ogc_features;
mod pages;
mod redact;
mod services;
#[cfg(test)]
mod tests;
mod web;
mod wfs;
mod xml;

use crate::{
    blobs::{Blobs, Key, Stat, Sweep},
    config::HarvestSettings,
    error::{Error, Result},
    model::{
        DerivedSource, Fault, Harvested, LayerDef, Progress, SourceDef, SourceFailure,
        SourceLocation, Text,
    },
    text,
};
pub use discover::{Discovery, Offer, Way};
use std::{path::Path, time::Duration};

/// What a fetch found.
#[derive(Debug, Clone, PartialEq)]
pub enum Fetch {
    /// The bytes are those of `previous`: its description with `checked_at`, `etag`, `modified`
    /// and `status` renewed, and `path` set.
    Unchanged(Harvested),
    /// Other bytes, another origin, or a fetch that was forced.
    New(Harvested),
}

/// Fetches sources.
#[derive(Debug, Clone)]
pub struct Harvester {
    /// Limits and folders.
    pub settings: HarvestSettings,
    /// Where fetched sources are kept, for all replicas.
    pub blobs: Blobs,
    /// Who is being asked.
    hosts: hosts::Hosts,
    /// How they are asked.
    web: web::Web,
}

impl Harvester {
    /// A harvester with its limits and the place of what it fetches.
    pub fn new(settings: HarvestSettings, blobs: Blobs) -> Self {
        Self { settings, blobs, hosts: hosts::Hosts::default(), web: web::Web::default() }
    }

    /// Fetches a layer's source. `previous` is what the current version was made from; `force`
    /// fetches without conditions and gives [`Fetch::New`] even when the bytes did not move.
    ///
    /// In both answers the file at [`Harvested::path`] is there, whole.
    ///
    /// # Errors
    /// [`Error::Source`] when the source fails: too large, too slow, an error status, a page instead
    /// of data…; [`Error::Refused`] when a file cannot be taken as it is. [`Error::Unavailable`] and [`Error::Fault`] when what
    /// keeps fetched sources fails.
    pub async fn fetch(
        &self,
        def: &LayerDef,
        previous: Option<&Harvested>,
        force: bool,
        progress: &dyn Progress,
    ) -> Result<Fetch> {
        self.fetch_source(&def.source, previous, force, progress).await
    }

    /// The same of a source that is no layer's.
    ///
    /// # Errors
    /// As [`Harvester::fetch`].
    pub async fn fetch_source(
        &self,
        source: &SourceDef,
        previous: Option<&Harvested>,
        force: bool,
        progress: &dyn Progress,
    ) -> Result<Fetch> {
        let previous = previous.filter(|_| !force);
        let fetching = async {
            match &source.location {
                SourceLocation::File(path) => file::fetch(path, source, previous, progress).await,
                SourceLocation::Http(address) => {
                    http::fetch(address, source, self, previous, progress).await
                }
                SourceLocation::Datagouv(wanted) => {
                    datagouv::fetch(wanted, source, self, previous, progress).await
                }
                SourceLocation::Service(service) => {
                    services::fetch(service, source, self, previous, progress).await
                }
                SourceLocation::Table(_) => Err(Error::Refused(text!(
                    "c'est une table publiée telle quelle : rien à moissonner",
                    "it is a table published as it is: there is nothing to harvest"
                ))),
                SourceLocation::Derived(DerivedSource { from, .. }) => Err(Error::Refused(text!(
                    "elle est faite à partir de « {from} » : rien à moissonner",
                    "it is made from \"{from}\": there is nothing to harvest"
                ))),
            }
        };
        let fetched = tokio::time::timeout(source.timeout, Box::pin(fetching)).await;
        progress.finish();
        fetched.unwrap_or_else(|_| {
            let limit = source.timeout.as_secs_f64();
            let words = text!(
                "la source n'a pas été récupérée en {limit} s (timeout_s)",
                "the source was not fetched within {limit} s (timeout_s)"
            );
            Err(failed(Fault::Timeout, words))
        })
    }

    /// Removes the fetched sources whose SHA-256 is not in `keep`. Files of the last hour stay:
    /// another process may be importing them. Gives the number removed.
    ///
    /// # Errors
    /// [`Error::Unavailable`] and [`Error::Fault`] when what keeps fetched sources fails.
    pub async fn prune(&self, keep: &[String]) -> Result<usize> {
        forget_old_cache(&self.settings.cache);
        let kept = |stat: &Stat| keep.iter().any(|k| k == stat.key.name());
        let sweep = Sweep { grace: GRACE, keep: &kept, max_bytes: 0 };
        self.blobs.sweep(SOURCES, &sweep).await
    }
}

/// Anything that a service or a catalogue may answer, read in all the ways there are: for `fuzz/`.
#[doc(hidden)]
pub fn any_answer(body: &[u8]) {
    wfs::any_answer(body);
    discover::any_answer(body);
}

/// A source that failed in a way that has a name.
fn failed(fault: Fault, text: Text) -> Error {
    Error::Source(Box::new(SourceFailure { fault, text, retry_at: None }))
}

/// The place of a source for people and for provenance: an address without its secrets, or a
/// file's name without its folder.
pub fn shown(location: &SourceLocation) -> String {
    match location {
        SourceLocation::File(path) => file::name(path),
        SourceLocation::Http(address) => redact::redact(address),
        SourceLocation::Datagouv(source) => datagouv::shown(source),
        SourceLocation::Service(service) => services::shown(service),
        SourceLocation::Table(table) => format!("{}.{}", table.schema, table.table),
        SourceLocation::Derived(made) => made.from.to_string(),
    }
}

/// Whether the file is still the one that was fetched, by size and (for local sources, which
/// others may write) modification time. To be asked after reading it and before publishing.
///
/// # Errors
/// [`Error::Refused`] when it moved.
pub fn check_unmoved(harvested: &Harvested) -> Result<()> {
    file::check_unmoved(harvested)
}

/// Prefix of fetched sources among the shared files.
const SOURCES: &str = "sources";

/// Fetched sources younger than this are never pruned: their import may be under way.
const GRACE: Duration = Duration::from_secs(3600);

/// Where a source is kept; `None` when that is no SHA-256.
fn kept_as(sha256: &str) -> Option<Key> {
    is_sha256(sha256).then(|| format!("{SOURCES}/{sha256}").parse().ok()).flatten()
}

fn is_sha256(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Earlier programs kept fetched sources in the folder where imports unpack.
fn forget_old_cache(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let age = entry.metadata().and_then(|m| m.modified()).map(|at| at.elapsed());
        let old = matches!(age, Ok(Ok(age)) if age > GRACE);
        if old && entry.file_name().to_str().is_some_and(is_sha256) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
