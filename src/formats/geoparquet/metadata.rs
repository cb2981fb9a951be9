//! What a Parquet file says of its geometry: GeoParquet's metadata (key `geo`), else the geometry
//! type of Parquet itself.

use crate::{error::Result, formats::refused, model::Text, text};
use parquet::{basic::LogicalType, file::metadata::FileMetaData};
use serde_json::Value;

/// How geometries are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Wkb,
    /// Lists of positions inside each other.
    Native(Shape),
}

/// What the native encodings are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Point,
    Line,
    Polygon,
    Points,
    Lines,
    Polygons,
}

/// The geometry of a file.
#[derive(Debug)]
pub(super) struct Geo {
    pub(super) column: String,
    pub(super) encoding: Encoding,
    /// `None`: the file says that it has none.
    pub(super) crs: Option<String>,
    /// Columns that repeat what the geometry says: its boxes.
    pub(super) aside: Vec<String>,
    /// Other columns of geometry.
    others: Vec<String>,
}

impl Geo {
    /// What a file says; `None` when it has no geometry.
    pub(super) fn of(about: &FileMetaData) -> Result<Option<Self>> {
        let pairs = about.key_value_metadata().into_iter().flatten();
        let said = pairs.filter(|pair| pair.key == "geo").find_map(|pair| pair.value.as_deref());
        match said {
            Some(said) => Self::read(said).map(Some),
            None => Ok(Self::typed(about)),
        }
    }

    fn read(said: &str) -> Result<Self> {
        let said: Value = serde_json::from_str(said).map_err(|_| odd())?;
        let column = said.get("primary_column").and_then(Value::as_str).ok_or_else(odd)?;
        let columns = said.get("columns").and_then(Value::as_object).ok_or_else(odd)?;
        let about = columns.get(column).ok_or_else(odd)?;
        let encoding = about.get("encoding").and_then(Value::as_str).unwrap_or_default();
        let encoding = match encoding.to_ascii_lowercase().as_str() {
            "wkb" => Encoding::Wkb,
            "point" => Encoding::Native(Shape::Point),
            "linestring" => Encoding::Native(Shape::Line),
            "polygon" => Encoding::Native(Shape::Polygon),
            "multipoint" => Encoding::Native(Shape::Points),
            "multilinestring" => Encoding::Native(Shape::Lines),
            "multipolygon" => Encoding::Native(Shape::Polygons),
            other => {
                let other: String = other.chars().take(60).collect();
                return Err(refused(text!(
                    "GeoParquet : encodage de géométrie « {other} » non lu",
                    "GeoParquet: geometry encoding \"{other}\" is not read"
                )));
            }
        };
        let crs = match about.get("crs") {
            None => Some("OGC:CRS84".to_owned()),
            Some(Value::Null) => None,
            Some(crs) => system(crs),
        };
        let sides = about.pointer("/covering/bbox").and_then(Value::as_object);
        let first = |side: &Value| side.get(0).and_then(Value::as_str).map(str::to_owned);
        let mut aside: Vec<String> =
            sides.into_iter().flat_map(|s| s.values()).filter_map(first).collect();
        let others: Vec<String> = columns.keys().filter(|c| *c != column).cloned().collect();
        aside.extend(others.iter().cloned());
        Ok(Self { column: column.to_owned(), encoding, crs, aside, others })
    }

    /// The first column of Parquet's own geometry type.
    fn typed(about: &FileMetaData) -> Option<Self> {
        let root = about.schema_descr().root_schema().get_fields();
        root.iter().find_map(|column| {
            let crs = match column.get_basic_info().logical_type_ref()? {
                LogicalType::Geometry(geometry) => geometry.crs.clone(),
                LogicalType::Geography(geography) => geography.crs.clone(),
                _ => return None,
            };
            let crs = crs.filter(|crs| !crs.is_empty());
            let crs = crs.map_or_else(|| "OGC:CRS84".to_owned(), |crs| spelled(&crs));
            let column = column.name().to_owned();
            let (encoding, aside, others) = (Encoding::Wkb, Vec::new(), Vec::new());
            Some(Self { column, encoding, crs: Some(crs), aside, others })
        })
    }

    pub(super) fn notes(&self, declared: bool) -> Vec<Text> {
        let mut notes = Vec::new();
        if self.crs.is_none() && !declared {
            notes.push(text!("GeoParquet sans CRS", "GeoParquet without CRS"));
        }
        if !self.others.is_empty() {
            let names = self.others.join(", ");
            notes.push(text!(
                "autres géométries non gardées : {names}",
                "other geometries not kept: {names}"
            ));
        }
        notes
    }
}

/// A system in PROJJSON: its code, else its name.
fn system(crs: &Value) -> Option<String> {
    if let Some(text) = crs.as_str() {
        return Some(spelled(text));
    }
    let id = |key: &str| crs.get("id").and_then(|id| id.get(key));
    let authority = id("authority").and_then(Value::as_str).unwrap_or_default();
    let code = id("code").map(|code| code.to_string().trim_matches('"').to_owned());
    match code {
        Some(code) if !authority.is_empty() => Some(format!("{authority}:{code}")),
        _ => crs.get("name").and_then(Value::as_str).map(str::to_owned),
    }
}

/// Parquet's own spelling: `EPSG:2154`, `srid:2154`, or PROJJSON as text.
fn spelled(crs: &str) -> String {
    if let Some(code) = crs.strip_prefix("srid:") {
        return format!("EPSG:{code}");
    }
    let json = serde_json::from_str::<Value>(crs).ok().filter(Value::is_object);
    json.and_then(|json| system(&json)).unwrap_or_else(|| crs.to_owned())
}

fn odd() -> crate::error::Error {
    refused(text!(
        "métadonnées « geo » du fichier Parquet illisibles",
        "unreadable \"geo\" metadata in the Parquet file"
    ))
}
