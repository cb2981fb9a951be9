use super::*;
use crate::model::{
    BBox, Categories, Category, CategoryValue, CsvOptions, Drawing, Field, FieldKind, GeometryKind,
    Harvested, HoldRules, Licence, Ramp, Report, Schema, SourceDef, SourceLocation, Symbols,
    TerritoryBinding, TileOptions,
};
use crate::text;
use std::time::Duration;

/// A layer whose file says `symbols` of its map, and a version of it.
fn made(symbols: Symbols, geometry: GeometryKind) -> (LayerDef, Version) {
    let def = LayerDef {
        id: "lieux".parse().unwrap(),
        title: text!("Lieux", "Places"),
        description: Text::default(),
        producer: "Essai".into(),
        contact: None,
        licence: Licence { id: "lov2".into(), title: "Licence Ouverte 2.0".into(), url: None },
        attribution: "Essai".into(),
        described_at: None,
        published_at: None,
        page: None,
        key: None,
        label: Some("nom".into()),
        fields: Default::default(),
        source: SourceDef {
            location: SourceLocation::File("lieux.geojson".into()),
            format: None,
            crs: None,
            encoding: None,
            member: None,
            csv: CsvOptions::default(),
            max_bytes: 1,
            timeout: Duration::from_secs(1),
        },
        territory: TerritoryBinding::default(),
        time: None,
        tiles: TileOptions::default(),
        style: None,
        symbols,
        max_age: None,
        keep_versions: 3,
        hold: HoldRules::default(),
        rows: None,
        schedule: None,
    };
    (def, version(geometry))
}

fn version(geometry: GeometryKind) -> Version {
    let when = jiff::Timestamp::UNIX_EPOCH;
    let field = |name: &str, kind| Field { name: name.into(), kind };
    let fields = vec![
        field("nom", FieldKind::Text),
        field("genre", FieldKind::Text),
        field("population", FieldKind::Int),
    ];
    Version {
        id: "20261124T060312Z-3f9a01c2".parse().unwrap(),
        source: Harvested {
            path: Default::default(),
            name: "lieux.geojson".into(),
            origin: "lieux.geojson".into(),
            status: None,
            bytes: 1,
            sha256: String::new(),
            etag: None,
            modified: None,
            fetched_at: when,
            checked_at: when,
            dataset: None,
            withdrawn: None,
        },
        options_hash: String::new(),
        schema: Schema { fields, geometry },
        count: 4000,
        bbox: Some(BBox { west: 2.0, south: 48.0, east: 4.0, north: 50.0 }),
        key: None,
        max_zoom: 14,
        min_zoom: 0,
        report: Report::default(),
        temporal: None,
        thinning: None,
        drawing: None,
        classes: None,
        live: None,
    }
}

fn of(value: &str, colour: Option<&str>) -> Category {
    let title = Text::new(format!("un {value}"), format!("a {value}"));
    let value = CategoryValue::Text(value.into());
    Category { value, title, colour: colour.map(str::to_owned) }
}

fn genres() -> Division {
    let values = vec![of("a", None), of("b", Some("#010203"))];
    Division::Categories(Categories { field: "genre".into(), values })
}

fn populations(cut: Cut) -> Division {
    let ramp = Some(Ramp::Gris);
    Division::Classes(Classes { field: "population".into(), cut, ramp })
}

fn drawn(def: &LayerDef, version: &Version) -> Value {
    style(def, version, Around::default())
}

fn ids(style: &Value) -> Vec<&str> {
    style["layers"].as_array().unwrap().iter().map(|l| l["id"].as_str().unwrap()).collect()
}

#[test]
fn each_geometry_has_its_layers_in_order() {
    for (kind, expected) in [
        (GeometryKind::Point, vec!["lieux-circle"]),
        (GeometryKind::MultiLineString, vec!["lieux-line"]),
        (GeometryKind::Polygon, vec!["lieux-fill", "lieux-border"]),
        (GeometryKind::Geometry, vec!["lieux-fill", "lieux-border", "lieux-line", "lieux-circle"]),
        (GeometryKind::None, vec![]),
    ] {
        let (def, version) = made(Symbols::default(), kind);
        assert_eq!(ids(&drawn(&def, &version)), expected, "{kind:?}");
    }
}

#[test]
fn categories_are_drawn_apart_and_the_rest_below() {
    let symbols = Symbols { division: Some(genres()), ..Symbols::default() };
    let (def, version) = made(symbols, GeometryKind::Geometry);
    let style = drawn(&def, &version);
    let circles: Vec<&Value> =
        style["layers"].as_array().unwrap().iter().filter(|l| l["type"] == "circle").collect();
    assert_eq!(circles.len(), 3);
    let rest = json!(["all", ["==", "$type", "Point"], ["!in", "genre", "a", "b"]]);
    assert_eq!(circles[0]["filter"], rest);
    assert_eq!(circles[0]["paint"]["circle-color"], colours::REST);
    assert_eq!(circles[1]["paint"]["circle-color"], "#010203");
    assert_eq!(circles[2]["paint"]["circle-color"], colours::CATEGORIES[0]);
    assert_eq!(circles[2]["filter"][2], json!(["==", "genre", "a"]));
    let legend = &style["metadata"]["socle:legend"];
    let said: Vec<&str> =
        legend["items"].as_array().unwrap().iter().map(|i| i["fr"].as_str().unwrap()).collect();
    assert_eq!(said, ["un a", "un b", "autres"]);
    assert_eq!(legend["fr"], "genre");
}

#[test]
fn classes_fill_the_line_of_numbers_without_gap_or_overlap() {
    let cut = Cut::At(vec![-0.5, 500.0, 12_000.0]);
    let symbols = Symbols { division: Some(populations(cut)), ..Symbols::default() };
    let (def, version) = made(symbols, GeometryKind::Polygon);
    let style = drawn(&def, &version);
    let filters: Vec<&Value> = style["layers"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|l| l["type"] == "fill")
        .map(|l| &l["filter"])
        .collect();
    let expected = [
        json!(["!has", "population"]),
        json!([">=", "population", 12000]),
        json!(["all", [">=", "population", 500], ["<", "population", 12000]]),
        json!(["all", [">=", "population", -0.5], ["<", "population", 500]]),
        json!(["<", "population", -0.5]),
    ];
    assert_eq!(filters, expected.iter().collect::<Vec<_>>());
    let items = style["metadata"]["socle:legend"]["items"].as_array().unwrap();
    let said: Vec<&str> = items.iter().map(|i| i["fr"].as_str().unwrap()).collect();
    assert_eq!(
        said,
        [
            "moins de -0,5",
            "de -0,5 à moins de 500",
            "de 500 à moins de 12\u{202f}000",
            "12\u{202f}000 et plus",
            "sans valeur"
        ]
    );
    assert_eq!(items[3]["en"], "12,000 and more");
}

#[test]
fn computed_classes_are_those_of_the_version() {
    let cut = Cut::Quantile(3);
    let symbols = Symbols { division: Some(populations(cut.clone())), ..Symbols::default() };
    let (def, mut version) = made(symbols, GeometryKind::Polygon);
    // Loaded before the file asked for them: drawn plainly, not wrongly.
    assert_eq!(ids(&drawn(&def, &version)), ["lieux-fill", "lieux-border"]);
    let field = "population".to_owned();
    let decided = ClassLimits { field, cut, limits: vec![10.0, 20.0], missing: 0 };
    version.classes = Some(Box::new(decided.clone()));
    let found = drawn(&def, &version);
    // No feature is without a number: nothing is said of any.
    let expected = ["lieux-fill-3", "lieux-fill-2", "lieux-fill-1", "lieux-border"];
    assert_eq!(ids(&found), expected);
    version.classes = Some(Box::new(ClassLimits { cut: Cut::Equal(3), ..decided }));
    assert_eq!(ids(&drawn(&def, &version)).len(), 2, "made for another cut");
}

#[test]
fn names_and_borders_come_from_what_tiles_carry_apart() {
    let symbols = Symbols { labels: true, ..Symbols::default() };
    let (def, mut version) = made(symbols, GeometryKind::Polygon);
    let layer = |version: &Version, id: &str| {
        let style = drawn(&def, version);
        let all = style["layers"].as_array().unwrap().clone();
        all.into_iter().find(|l| l["id"] == id).unwrap()
    };
    assert_eq!(layer(&version, "lieux-label")["source-layer"], "lieux");
    let drawing = Drawing { labels: true, borders: true, ..Drawing::default() };
    version.drawing = Some(Box::new(drawing));
    let label = layer(&version, "lieux-label");
    assert_eq!(label["source-layer"], "lieux.labels");
    assert_eq!(label["layout"]["text-field"], json!(["get", "nom"]));
    assert_eq!(layer(&version, "lieux-border")["source-layer"], "lieux.borders");
    // 4000 features in 4 square degrees are 0.0316° from each other: 60 pixels at zoom 10.4.
    assert_eq!(label["minzoom"], 11);
}

#[test]
fn a_layer_that_draws_a_level_shows_borders() {
    let (mut def, version) = made(Symbols::default(), GeometryKind::Polygon);
    let theme = |def: &LayerDef| drawn(def, &version)["metadata"]["socle:theme"].clone();
    assert_eq!(theme(&def), "divers");
    def.territory.borders = Some(crate::model::Level::Dep);
    assert_eq!(theme(&def), "limites");
    def.symbols.theme = Some(Theme::Programmes);
    assert_eq!(theme(&def), "programmes");
}

#[test]
fn symbols_are_asked_for_where_they_are_used() {
    let sprite =
        || Around { sprite: Some("http://example.org/sprites/socle".into()), ..Around::default() };
    for (theme, kind, used) in [
        (Theme::Commerces, GeometryKind::Point, true),
        (Theme::Commerces, GeometryKind::Polygon, false),
        (Theme::Divers, GeometryKind::Point, false),
    ] {
        let (def, version) = made(Symbols { theme: Some(theme), ..Symbols::default() }, kind);
        let style = style(&def, &version, sprite());
        assert_eq!(style.get("sprite").is_some(), used, "{theme:?} {kind:?}");
        assert_eq!(ids(&style).contains(&"lieux-symbol"), used, "{theme:?} {kind:?}");
    }
}

#[test]
fn numbers_are_written_for_people() {
    use crate::model::Lang::{En, Fr};
    for (n, fr, en) in [
        (2024.0, "2024", "2024"),
        (12_345.6, "12\u{202f}345,6", "12,345.6"),
        (-1_234_567.0, "-1\u{202f}234\u{202f}567", "-1,234,567"),
        (0.05, "0,05", "0.05"),
    ] {
        assert_eq!((legend::written(n, Fr), legend::written(n, En)), (fr.into(), en.into()));
    }
}
