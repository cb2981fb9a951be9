//! Versions of a layer and where their data came from.

use super::{BBox, ClassLimits, Dataset, Drawing, LayerDef, Live, Report, Schema, Thinning};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{fmt, path::PathBuf, str::FromStr};

/// A version's name: UTC second of its load and 8 hex digits of its source's checksum, such as
/// `20261124T060312Z-3f9a01c2`. Orders by time; holds only `[0-9A-Za-z-]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VersionId(String);

impl VersionId {
    /// Names a version loaded at `at` from a source whose SHA-256 starts with `checksum`.
    pub fn new(at: Timestamp, checksum: &str) -> Self {
        let stamp = at.strftime("%Y%m%dT%H%M%SZ");
        let short: String = checksum.chars().filter(char::is_ascii_hexdigit).take(8).collect();
        Self(format!("{stamp}-{short}"))
    }

    /// Names a revision of a live layer, made current at `at`; `form` is 8 hexadecimal digits
    /// that name the form of its table.
    pub fn revision(at: Timestamp, revision: u64, form: &str) -> Self {
        let stamp = at.strftime("%Y%m%dT%H%M%SZ");
        Self(format!("{stamp}-r{revision}-{form}"))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not a version's name.
#[derive(Debug, Clone, thiserror::Error)]
#[error("not a version: {0}")]
pub struct NotAVersion(pub String);

impl FromStr for VersionId {
    type Err = NotAVersion;
    fn from_str(s: &str) -> Result<Self, NotAVersion> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if s.is_empty() || s.len() > 40 || !s.chars().all(plain) {
            return Err(NotAVersion(s.chars().take(60).collect()));
        }
        Ok(Self(s.to_owned()))
    }
}

impl TryFrom<String> for VersionId {
    type Error = NotAVersion;
    fn try_from(s: String) -> Result<Self, NotAVersion> {
        s.parse()
    }
}

impl From<VersionId> for String {
    fn from(id: VersionId) -> String {
        id.0
    }
}

/// What `harvest` hands to `import`: a local file and the proof of where it came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Harvested {
    /// The local copy. Not kept in the version's metadata: paths of this machine stay here.
    #[serde(skip)]
    pub path: PathBuf,
    /// The name the source gives the file (end of the URL, `Content-Disposition`, or path).
    pub name: String,
    /// The public address it came from (`https://…`), or the file's name for local files.
    pub origin: String,
    /// HTTP status of the last check; `None` for local files.
    pub status: Option<u16>,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the bytes, hexadecimal.
    pub sha256: String,
    /// The source's `ETag`.
    pub etag: Option<String>,
    /// The source's `Last-Modified`, or the file's modification time.
    pub modified: Option<Timestamp>,
    /// When it was fetched (*récupéré le*).
    pub fetched_at: Timestamp,
    /// When it was last seen unchanged (*vérifié le*).
    pub checked_at: Timestamp,
    /// What the portal says of the dataset, for those that come from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<Box<Dataset>>,
    /// Since when the source is not there any more, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<Box<Withdrawal>>,
}

/// A source that its producer took away. What was published stays for a while, then follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// When it was first found missing.
    pub since: Timestamp,
    /// When the layer is served no longer, unless the source is back by then; `None`: never.
    pub until: Option<Timestamp>,
    /// What the source answered.
    pub text: super::Text,
}

/// An immutable snapshot of a layer's features, as the store describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Its name.
    pub id: VersionId,
    /// Where its data came from.
    pub source: Harvested,
    /// Hash of the layer options that shape the data (format options, key, binding): a change
    /// of these makes a new version even when the source did not move.
    pub options_hash: String,
    /// The features' fields and geometry type.
    pub schema: Schema,
    /// Number of features.
    pub count: u64,
    /// Extent in degrees; `None` without geometry.
    pub bbox: Option<BBox>,
    /// First and last time of the features (RFC 3339, UTC), where the layer has times; `None`: open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temporal: Option<[Option<String>; 2]>,
    /// The declared key's field, if any.
    pub key: Option<String>,
    /// Deepest zoom for which geometry was prepared; deeper tiles are overzoomed.
    pub max_zoom: u8,
    /// First zoom that has tiles.
    pub min_zoom: u8,
    /// What the load found.
    pub report: Report,
    /// How points are thinned at small zooms; `None`: every zoom shows all features it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinning: Option<Box<Thinning>>,
    /// What tiles leave out or add; `None`: all fields, all geometry, nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drawing: Option<Box<Drawing>>,
    /// The classes that its map is coloured by, where the layer asks for some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Box<ClassLimits>>,
    /// For a live layer: its revision, and what people should know of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Box<Live>>,
}

impl Version {
    /// When the producer published (*publié le*): declared, else what its server says; the date of
    /// a local file tells only when somebody copied it.
    pub fn published(&self, def: &LayerDef) -> Option<String> {
        let told = self.source.dataset.as_ref().and_then(|dataset| dataset.modified);
        let told = told.map(|at| at.strftime("%Y-%m-%d").to_string());
        def.published_at.map(|d| d.to_string()).or(told).or_else(|| {
            let served = self.source.modified.filter(|_| self.source.status.is_some());
            served.map(|m| m.strftime("%Y-%m-%d").to_string())
        })
    }
}
