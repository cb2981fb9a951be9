//! The definition of a layer, as its TOML file declares it and `config` checks it.

use super::{
    DatagouvSource, Dataset, FieldDef, HoldRules, Level, RowSchema, Schedule, ServiceSource,
    Symbols, TableSource, Text,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, path::PathBuf, str::FromStr, time::Duration};

/// A layer's id: `[a-z0-9][a-z0-9_-]*`, at most 64 characters. It appears in URLs, file names
/// and MVT layer names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LayerId(String);

impl LayerId {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not a layer id.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "layer ids are made of a-z, 0-9, '-' and '_', start with a letter or digit and hold at most 64 characters: {0:?}"
)]
pub struct NotALayerId(pub String);

impl FromStr for LayerId {
    type Err = NotALayerId;
    fn from_str(s: &str) -> Result<Self, NotALayerId> {
        let body = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        let head = s.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !head || s.len() > 64 || !s.bytes().all(body) {
            return Err(NotALayerId(s.chars().take(80).collect()));
        }
        Ok(Self(s.to_owned()))
    }
}

impl LayerDef {
    /// Whether it is a live layer: a table published as it is, which nothing harvests.
    pub fn is_live(&self) -> bool {
        matches!(self.source.location, SourceLocation::Table(_))
    }

    /// What it is made from, when it is made from another layer and harvested from nowhere.
    pub fn derived(&self) -> Option<&DerivedSource> {
        match &self.source.location {
            SourceLocation::Derived(source) => Some(source),
            _ => None,
        }
    }
}

impl LayerDef {
    /// What the portal that it comes from says where its own file does not.
    pub fn complete(&mut self, dataset: Option<&Dataset>) {
        if self.producer.is_empty() {
            let told = dataset.and_then(|d| d.producer.clone());
            self.producer = told.unwrap_or_else(|| "?".into());
        }
        if self.licence.id.is_empty() {
            let told = dataset.and_then(|d| d.licence.clone());
            self.licence = told.unwrap_or_else(|| Licence {
                id: "notspecified".into(),
                title: "Licence non précisée".into(),
                url: None,
            });
        }
        if self.attribution.is_empty() {
            self.attribution = self.producer.clone();
        }
        let Some(dataset) = dataset else { return };
        if self.page.is_none() {
            self.page = dataset.page.clone();
        }
        // What tells of days that are over tells of the last of them.
        if let (None, Some((start, end))) = (self.described_at, dataset.temporal) {
            let end = end.unwrap_or(start);
            let made =
                dataset.modified.and_then(|at| at.strftime("%Y-%m-%d").to_string().parse().ok());
            self.described_at = Some(end).filter(|end| made.is_none_or(|made| *end <= made));
        }
    }
}

/// Maps by id are looked into with text; what is no id is in none.
impl std::borrow::Borrow<str> for LayerId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for LayerId {
    type Error = NotALayerId;
    fn try_from(s: String) -> Result<Self, NotALayerId> {
        s.parse()
    }
}

impl From<LayerId> for String {
    fn from(id: LayerId) -> String {
        id.0
    }
}

/// A licence: its short id where it is a known one (`lov2`, `odbl`), its title and its address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Licence {
    /// Short id as data.gouv.fr names it.
    pub id: String,
    /// Title for people.
    pub title: String,
    /// Address of its text.
    pub url: Option<String>,
}

/// Everything the operator declares about a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerDef {
    /// Its id.
    pub id: LayerId,
    /// Title.
    pub title: Text,
    /// Description, one paragraph or more; may be empty.
    pub description: Text,
    /// Who produces the data.
    pub producer: String,
    /// How to reach them (e-mail or URL).
    pub contact: Option<String>,
    /// Under which licence.
    pub licence: Licence,
    /// The mention that must travel with the data.
    pub attribution: String,
    /// Which day the data describes (*état au*).
    pub described_at: Option<jiff::civil::Date>,
    /// When the producer published it (*publié le*), if not known from the source.
    pub published_at: Option<jiff::civil::Date>,
    /// Page of the dataset.
    pub page: Option<String>,
    /// Key field; without one, ids are hashes of the content.
    pub key: Option<String>,
    /// Field whose value names a feature to people (page titles, labels).
    pub label: Option<String>,
    /// What people are told of its fields, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, FieldDef>,
    /// Where it comes from.
    pub source: SourceDef,
    /// How its features are bound to territories.
    pub territory: TerritoryBinding,
    /// Which of its fields say when a feature holds; `None`: it has no times.
    #[serde(default)]
    pub time: Option<TimeBinding>,
    /// How its tiles are made.
    pub tiles: TileOptions,
    /// Its style: the id of a file of `styles/` (without `.json`); a default is drawn otherwise.
    pub style: Option<String>,
    /// How that default is drawn.
    #[serde(default)]
    pub symbols: Symbols,
    /// How long clients and caches may keep what it answers before asking again; `None`: a minute
    /// for tiles, seconds for the rest and for live layers.
    #[serde(default)]
    pub max_age: Option<Duration>,
    /// How many old versions to keep beside the current one.
    pub keep_versions: usize,
    /// Which deliveries wait for a person before they take the place of the one in force.
    #[serde(default)]
    pub hold: HoldRules,
    /// What its rows must be like; `None`: nothing is said of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<RowSchema>,
    /// When a server harvests it; `None`: when somebody says so.
    #[serde(default)]
    pub schedule: Option<Schedule>,
}

/// Where the data comes from and how to read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceDef {
    /// The place.
    pub location: SourceLocation,
    /// The format; `None`: known from the name and the first bytes.
    pub format: Option<Format>,
    /// The CRS as `EPSG:n`; `None`: what the file says, else CRS84.
    pub crs: Option<String>,
    /// Text encoding (WHATWG label); `None`: detected.
    pub encoding: Option<String>,
    /// The table of a GeoPackage or the member of an archive, when it holds several.
    pub member: Option<String>,
    /// CSV options.
    pub csv: CsvOptions,
    /// Most bytes that may be fetched.
    pub max_bytes: u64,
    /// Most time that a fetch may take.
    pub timeout: Duration,
}

/// A place data is fetched from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceLocation {
    /// A local file; the path is already resolved against its layer file.
    File(PathBuf),
    /// An `http` or `https` address.
    Http(String),
    /// A dataset of data.gouv.fr, or of a portal with its API.
    Datagouv(Box<DatagouvSource>),
    /// A service that gives its features page by page.
    Service(Box<ServiceSource>),
    /// A table of the store's database, published as it is: a live layer.
    Table(TableSource),
    /// Another layer, of communes, whose polygons are joined.
    Derived(DerivedSource),
}

/// A level whose territories are drawn by joining their communes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DerivedSource {
    /// The layer of communes.
    pub from: LayerId,
    /// The level, one made of whole communes.
    pub level: Level,
}

/// A format Socle reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// GeoJSON (RFC 7946; older `crs` members understood).
    Geojson,
    /// CSV with coordinate columns.
    Csv,
    /// Shapefile, zipped.
    Shapefile,
    /// GeoPackage.
    Geopackage,
    /// GeoJSON features one a line, or one behind the other (RFC 8142).
    Geojsonseq,
    /// FlatGeobuf.
    Flatgeobuf,
    /// GeoParquet, or Parquet without geometry.
    Parquet,
    /// KML; KMZ is a KML zipped.
    Kml,
    /// GML 2 and 3, with features as the Simple Features profile has them.
    Gml,
    /// A table as JSON: an array of objects, or an object of objects.
    Json,
    /// A sheet of an Excel workbook.
    Xlsx,
    /// A sheet of an OpenDocument workbook.
    Ods,
}

/// CSV options; whatever is `None` is detected and noted in the report.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CsvOptions {
    /// Column of the easting or longitude.
    pub x: Option<String>,
    /// Column of the northing or latitude.
    pub y: Option<String>,
    /// Separator.
    pub separator: Option<char>,
    /// Decimal mark, `.` or `,`.
    pub decimal: Option<char>,
    /// Whether the first row names the columns.
    pub header: Option<bool>,
    /// Columns to keep as text whatever they look like (codes).
    pub text: Vec<String>,
    /// Column of whole geometries: WKT, GeoJSON or the two numbers of a point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geometry: Option<String>,
}

/// How a layer's features are attached to territories (DESIGN §4).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TerritoryBinding {
    /// Code columns by level, in order of preference for communal levels.
    pub columns: Vec<CodeColumn>,
    /// Whether features without a usable communal code are attached by location (default true).
    pub by_location: bool,
    /// The level whose polygons this layer's features are, when they are: it then serves as the
    /// border layer of that level for attachment by location.
    pub borders: Option<Level>,
    /// The vintage of its commune codes, as its producer declares it; the one detected is taken
    /// where the two contradict each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vintage: Option<u16>,
    /// How far from a commune what lies outside all of them (at sea, abroad) may be to be
    /// attached to the nearest, m; without it, it is attached to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest_m: Option<u32>,
    /// The features of `borders`, when the layer holds others as well: column and value to keep.
    pub borders_where: Option<(String, String)>,
    /// What rows without geometry take from the territory that their code names.
    #[serde(default, skip_serializing_if = "TerritoryGeometry::is_none")]
    pub geometry: TerritoryGeometry,
}

/// What a row without geometry takes from the territory that its code names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TerritoryGeometry {
    /// Nothing: it has none.
    #[default]
    None,
    /// The territory's polygon.
    Territory,
    /// A point: its centroid, or a point inside where that lies outside.
    Centroid,
}

impl TerritoryGeometry {
    /// Whether rows take nothing.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// A column that holds codes of one level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeColumn {
    /// The level.
    pub level: Level,
    /// The column.
    pub column: String,
}

/// The fields that say when a feature holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeBinding {
    /// The field of its time, or of its start.
    pub start: String,
    /// The field of its end, where it has one; a feature without a value there still holds.
    pub end: Option<String>,
}

/// How tiles are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TileOptions {
    /// First zoom with tiles.
    pub min_zoom: u8,
    /// Deepest zoom geometry is prepared for; deeper tiles are overzoomed.
    pub max_zoom: u8,
    /// Buffer around tiles in 1/4096 of a tile; `None`: 64, points 256.
    pub buffer: Option<u16>,
    /// Most kibibytes of a tile before compression; 0: no bound; `None`: 500 kB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_kb: Option<u32>,
    /// The field whose larger values points are shown by first, where not all have room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub importance: Option<String>,
    /// Fields of lines and polygons that tiles carry whatever they weigh.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<String>,
    /// By field, the first zoom whose tiles carry it; other fields are in all.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub from: BTreeMap<String, u8>,
    /// Whether tiles of polygons carry a layer of points to put labels on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub labels: bool,
    /// Whether tiles of polygons carry a layer of their borders, each once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub borders: bool,
}

impl Default for TileOptions {
    fn default() -> Self {
        Self {
            min_zoom: 0,
            max_zoom: 14,
            buffer: None,
            budget_kb: None,
            importance: None,
            keep: Vec::new(),
            from: BTreeMap::new(),
            labels: false,
            borders: false,
        }
    }
}
