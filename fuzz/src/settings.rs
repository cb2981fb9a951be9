//! What an operator writes: configuration and styles.

use super::text;
use serde_json::Value;
use socle::{
    app,
    config::Settings,
    formats::qgis::{self, Symbology},
    model::GeometryKind,
};

/// A configuration: its files one behind the other, `\0` between them: the main one, a layer, a
/// style, a table of a level.
pub fn config(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let names = ["socle.toml", "layers/a.toml", "styles/a.json", "niveau.csv"];
    for name in ["layers", "styles"] {
        std::fs::create_dir(folder.path().join(name)).expect("a folder");
    }
    for (name, file) in names.iter().zip(bytes.split(|b| *b == 0)) {
        std::fs::write(folder.path().join(name), file).expect("a file");
    }
    if let Ok(settings) = Settings::load(&folder.path().join("socle.toml")) {
        let _ = app::reference(&settings);
    }
}

/// A MapLibre style, for QGIS.
pub fn style(bytes: &[u8]) {
    let Some(style) = text(bytes).and_then(|t| serde_json::from_str::<Value>(t).ok()) else {
        return;
    };
    for kind in [GeometryKind::Point, GeometryKind::LineString, GeometryKind::MultiPolygon] {
        let symbology = Symbology::of_style(&style, "a", kind);
        let _ = qgis::style(&symbology, kind);
    }
}
