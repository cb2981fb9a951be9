//! Which file of a dataset: one that is read here, that the layer's words name, of the best format,
//! the newest.

use super::{
    api::{DatasetAnswer, Found, Resource, refused},
    moment,
};
use crate::{
    error::Result,
    model::{DatagouvSource, Format},
    text,
};
use jiff::Timestamp;
use std::cmp::Reverse;

/// Formats as portals name them, the best first: those that keep geometry, names and types.
const FORMATS: &[(&str, Format)] = &[
    ("gpkg", Format::Geopackage),
    ("geopackage", Format::Geopackage),
    ("fgb", Format::Flatgeobuf),
    ("flatgeobuf", Format::Flatgeobuf),
    ("geojson", Format::Geojson),
    ("geojsonl", Format::Geojsonseq),
    ("ndjson", Format::Geojsonseq),
    ("shp", Format::Shapefile),
    ("shapefile", Format::Shapefile),
    ("geoparquet", Format::Parquet),
    ("parquet", Format::Parquet),
    ("gml", Format::Gml),
    ("kml", Format::Kml),
    ("kmz", Format::Kml),
    ("json", Format::Geojson),
    ("json", Format::Json),
    ("csv", Format::Csv),
    ("xlsx", Format::Xlsx),
    ("ods", Format::Ods),
];

/// The less, the better: a main file, of the best format, the newest.
type Rank = (Reverse<bool>, usize, Reverse<Timestamp>);

/// Picks a resource of the datasets.
pub(super) fn resource(
    datasets: Vec<DatasetAnswer>,
    source: &DatagouvSource,
    format: Option<Format>,
    schema: Option<&str>,
) -> Result<Found> {
    let mut best: Option<(Rank, Found)> = None;
    let mut known = Vec::new();
    for mut dataset in datasets {
        let resources = std::mem::take(&mut dataset.resources);
        let taken = resources.iter().filter(|r| fits(r, source, schema));
        let ranked = taken.filter_map(|r| Some((rank(r, format)?, r)));
        let first = ranked.min_by_key(|(rank, _)| *rank);
        if let Some((rank, resource)) = first
            && best.as_ref().is_none_or(|(least, _)| rank < *least)
        {
            best = Some((rank, Found { resource: resource.clone(), dataset }));
        }
        known.extend(resources);
    }
    best.map(|(_, found)| found).ok_or_else(|| {
        let shown = known.iter().take(10);
        let shown =
            shown.map(|r| format!("« {} » ({})", r.title, r.format.as_deref().unwrap_or("?")));
        let list = shown.collect::<Vec<_>>().join(", ");
        refused(text!(
            "aucun fichier du jeu de données ne convient (format, title) ; il a : {list}",
            "no file of the dataset fits (format, title); it has: {list}"
        ))
    })
}

fn fits(resource: &Resource, source: &DatagouvSource, schema: Option<&str>) -> bool {
    let title = resource.title.to_lowercase();
    let named = source.title.as_ref().is_none_or(|words| title.contains(&words.to_lowercase()));
    let told = resource.schema.as_ref().and_then(|s| s.name.as_deref());
    named && (schema.is_none() || told == schema) && !resource.url.is_empty()
}

fn rank(resource: &Resource, format: Option<Format>) -> Option<Rank> {
    let place = format_of(resource, format)?;
    let main = resource.kind.as_deref().is_none_or(|kind| kind == "main");
    let modified = resource.last_modified.as_deref().and_then(moment);
    Some((Reverse(main), place, Reverse(modified.unwrap_or(Timestamp::UNIX_EPOCH))))
}

/// The place of a resource's format among those that are read; its address and its title speak
/// where its format does not (an archive is what lies in it).
fn format_of(resource: &Resource, wanted: Option<Format>) -> Option<usize> {
    let told = resource.format.as_deref().unwrap_or_default().trim().to_ascii_lowercase();
    let told = told.trim_start_matches('.').trim_end_matches(".gz");
    let path = resource.url.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    let path = path.trim_end_matches(".gz").trim_end_matches(".zip");
    let archive = matches!(told, "zip" | "gz" | "gzip" | "");
    let title = resource.title.to_ascii_lowercase();
    let hinted = |name: &str| {
        path.rsplit(['.', '-', '_']).next() == Some(name)
            || title.split(|c: char| !c.is_alphanumeric()).any(|word| word == name)
    };
    let named = |name: &str| told == name || (archive && hinted(name));
    let allowed = |format: Format| wanted.is_none_or(|wanted| wanted == format);
    let place = FORMATS.iter().position(|(name, format)| allowed(*format) && named(name));
    // A plain archive is taken on the word of the layer file.
    place.or_else(|| (archive && wanted.is_some()).then_some(FORMATS.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Wanted;
    use serde_json::{Value, json};

    fn chosen(resources: &Value, title: Option<&str>, format: Option<Format>) -> Option<String> {
        let source = DatagouvSource {
            portal: "https://x.fr/".into(),
            wanted: Wanted::Dataset("d".into()),
            title: title.map(str::to_owned),
            latest: false,
        };
        let dataset = json!({ "slug": "d", "title": "D", "resources": resources });
        let dataset = serde_json::from_value(dataset).unwrap();
        resource(vec![dataset], &source, format, None).ok().map(|f| f.resource.id)
    }

    #[test]
    fn the_best_format_and_then_the_newest_is_taken() {
        let file = |id: &str, title: &str, format: &str, kind: &str, modified: &str| {
            json!({ "id": id, "title": title, "format": format, "type": kind,
                    "url": format!("https://x/{id}.{format}"), "last_modified": modified })
        };
        let files = json!([
            file("doc", "Notice", "pdf", "documentation", "2026-01-01T00:00:00Z"),
            file("csv", "2025", "csv", "main", "2026-01-01T00:00:00+00:00"),
            file("old", "Contours 2023", "geojson", "main", "2023-01-01T00:00:00"),
            file("new", "Contours 2025", "GeoJSON", "main", "2025-01-01T00:00:00.123000+00:00"),
            file("zip", "Contours shp", "zip", "main", "2020-01-01T00:00:00"),
            file("other", "x", "gpkg", "other", "2026-01-01T00:00:00"),
        ]);
        let of = |title: Option<&str>, format| chosen(&files, title, format);
        assert_eq!(of(None, None).as_deref(), Some("new"));
        assert_eq!(of(Some("contours 2023"), None).as_deref(), Some("old"));
        assert_eq!(of(None, Some(Format::Csv)).as_deref(), Some("csv"));
        assert_eq!(of(None, Some(Format::Shapefile)).as_deref(), Some("zip"));
        assert_eq!(of(Some("x"), Some(Format::Geopackage)).as_deref(), Some("other"));
        assert_eq!(of(Some("notice"), None), None);
        let tables = json!([
            file("xlsx", "Liste", "xlsx", "main", "2026-01-01T00:00:00Z"),
            file("json", "Liste", "json", "main", "2026-01-01T00:00:00Z"),
            file("fgb", "Contours", "fgb", "main", "2020-01-01T00:00:00Z"),
        ]);
        assert_eq!(chosen(&tables, None, None).as_deref(), Some("fgb"));
        assert_eq!(chosen(&tables, Some("liste"), None).as_deref(), Some("json"));
        assert_eq!(chosen(&tables, None, Some(Format::Json)).as_deref(), Some("json"));
        assert_eq!(chosen(&tables, None, Some(Format::Xlsx)).as_deref(), Some("xlsx"));
    }
}
