//! The definition of an archive of tiles that others made, as its TOML file declares it and
//! `config` checks it.

use super::{LayerId, Licence, Text};
use std::{path::PathBuf, time::Duration};

/// Everything the operator declares about an archive of tiles.
#[derive(Debug, Clone, PartialEq)]
pub struct ArchiveDef {
    /// Its id, of the same space as those of layers.
    pub id: LayerId,
    /// Title.
    pub title: Text,
    /// Description, one paragraph or more; empty: the archive's own.
    pub description: Text,
    /// Who produces the data.
    pub producer: String,
    /// How to reach them (e-mail or URL).
    pub contact: Option<String>,
    /// Under which licence.
    pub licence: Licence,
    /// The mention that must travel with the tiles; `None`: the archive's own, else the producer.
    pub attribution: Option<String>,
    /// Which day the data describes (*état au*).
    pub described_at: Option<jiff::civil::Date>,
    /// When the producer published it (*publié le*).
    pub published_at: Option<jiff::civil::Date>,
    /// Page of the dataset.
    pub page: Option<String>,
    /// Property whose value names a feature to people.
    pub label: Option<String>,
    /// Its style: the id of a file of `styles/` (without `.json`); a default is drawn otherwise.
    pub style: Option<String>,
    /// How long clients and caches may keep its tiles before asking again; `None`: a minute.
    pub max_age: Option<Duration>,
    /// Where it is.
    pub place: ArchivePlace,
    /// How long what was seen of it is taken for current.
    pub refresh: Duration,
}

/// Where an archive of tiles is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchivePlace {
    /// A local file, PMTiles or MBTiles; the path is already resolved against its layer file.
    File(PathBuf),
    /// PMTiles at an `http` or `https` address, with its `${NAME}`.
    Http(String),
    /// PMTiles in S3-compatible object storage.
    S3(ObjectPlace),
}

/// An object in S3-compatible object storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectPlace {
    /// The bucket.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// `http(s)` address of the service; `None`: that of the environment, else AWS.
    pub endpoint: Option<String>,
    /// Region; `None`: that of the environment, else `us-east-1`.
    pub region: Option<String>,
}
