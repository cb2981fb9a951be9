//! Sources that are more than an address: portals and services, and what a portal says of what it
//! gives.

use super::Licence;
use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

/// A dataset of data.gouv.fr, or of a portal with its API (udata).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatagouvSource {
    /// Address of the portal.
    pub portal: String,
    /// What is looked for there.
    pub wanted: Wanted,
    /// Words that the resource's title holds, where a dataset has several files.
    pub title: Option<String>,
    /// Whether the newest of several datasets is taken; otherwise several are refused.
    pub latest: bool,
}

/// What is looked for on a portal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    /// A dataset, by id or slug.
    Dataset(String),
    /// A resource, by id.
    Resource(String),
    /// The dataset that all of this holds for.
    Search {
        /// Its organisation, by id or slug.
        organization: Option<String>,
        /// Its tags.
        tags: Vec<String>,
        /// The name of the schema that a resource of it follows.
        schema: Option<String>,
    },
}

/// A service that gives features page by page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSource {
    /// What it speaks.
    pub kind: ServiceKind,
    /// Its address; `${NAME}` stands for environment variables.
    pub url: String,
    /// The collection or feature type, where the address does not say.
    pub layer: Option<String>,
    /// Which features, in the service's own language; `None`: all.
    pub filter: Option<String>,
    /// The property that pages are sorted by.
    pub sort: Option<String>,
    /// Its version; `None`: the newest that both speak.
    pub version: Option<String>,
    /// Features asked for at once.
    pub page: u32,
}

/// What a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceKind {
    /// OGC API Features.
    OgcFeatures,
    /// WFS 2.0 or 1.1.
    Wfs,
    /// A layer of an ArcGIS FeatureServer or MapServer.
    Arcgis,
}

/// What a portal says of a dataset: it speaks where the layer file does not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Dataset {
    /// Its title.
    pub title: String,
    /// Who produces it.
    pub producer: Option<String>,
    /// Under which licence.
    pub licence: Option<Licence>,
    /// Its page.
    pub page: Option<String>,
    /// First and last day that it tells of.
    pub temporal: Option<(Date, Option<Date>)>,
    /// The title of the file taken.
    pub resource: String,
    /// The file's own address, without secrets.
    pub url: String,
    /// The file's checksum as the portal tells it: `sha1:…`, `sha256:…`.
    pub checksum: Option<String>,
    /// When the file last changed, as the portal tells it.
    pub modified: Option<Timestamp>,
}
