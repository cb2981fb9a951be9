//! What an archive says of itself, as far as it can be repeated: strangers wrote it, so that sizes
//! are bounded, numbers checked, and markup taken out of texts that maps show.

use super::{Archive, Opened};
use crate::{
    model::{BBox, TileId, push_hex, stable_hash},
    tiles::{MAX_LATITUDE, key::DRAWING},
};
use serde_json::{Map, Value, json};

/// Most layers that are described.
const MAX_LAYERS: usize = 200;
/// Most fields of each.
const MAX_FIELDS: usize = 500;
/// Most characters of a name.
const MAX_NAME: usize = 200;
/// Most characters of a text.
const MAX_TEXT: usize = 4000;

/// An MVT layer of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VectorLayer {
    /// Its name in the tiles.
    pub id: String,
    /// What it holds.
    pub description: String,
    /// Its fields and what the archive says of their kind (`Number`, `String`, `Boolean`).
    pub fields: Vec<(String, String)>,
    /// Its first and deepest zoom.
    pub zooms: (u8, u8),
    /// `Point`, `LineString` or `Polygon`, when the archive counted.
    pub geometry: Option<String>,
}

impl Opened {
    /// The extent within the grid.
    pub fn bounds(&self) -> BBox {
        let BBox { west, south, east, north } = self.described.bounds;
        let whole = BBox { south: -MAX_LATITUDE, north: MAX_LATITUDE, ..BBox::WORLD };
        let numbers = [west, south, east, north].iter().all(|n| n.is_finite());
        if !numbers || west >= east || south >= north {
            return whole;
        }
        let clamped = BBox {
            west: west.max(-180.0),
            south: south.max(-MAX_LATITUDE),
            east: east.min(180.0),
            north: north.min(MAX_LATITUDE),
        };
        if clamped.west < clamped.east && clamped.south < clamped.north { clamped } else { whole }
    }

    /// First and deepest zoom.
    pub fn zooms(&self) -> (u8, u8) {
        (self.described.about.min_zoom, self.described.about.max_zoom)
    }

    /// Where a map may open: longitude, latitude, zoom.
    fn center(&self) -> (f64, f64, u8) {
        let (lon, lat, zoom) = self.described.about.center;
        let (min, max) = self.zooms();
        let bounds = self.bounds();
        let inside = (bounds.west..=bounds.east).contains(&lon)
            && (bounds.south..=bounds.north).contains(&lat);
        let middle = || {
            let BBox { west, south, east, north } = bounds;
            ((west + east) / 2.0, (south + north) / 2.0)
        };
        let (lon, lat) = if inside { (lon, lat) } else { middle() };
        (lon, lat, zoom.clamp(min, max))
    }

    /// A text of the archive, without markup.
    pub fn text(&self, name: &str) -> Option<String> {
        let text = self.described.about.members.get(name)?.as_str()?;
        let text = plain(text);
        (!text.is_empty()).then_some(text)
    }

    /// Its MVT layers, as far as it names them.
    pub fn layers(&self) -> Vec<VectorLayer> {
        let members = &self.described.about.members;
        let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned();
        let stats = list(members.get("tilestats").and_then(|stats| stats.get("layers")));
        let geometry = |id: &str| {
            let of = |layer: &&Value| layer.get("layer").and_then(Value::as_str) == Some(id);
            let kind = stats.iter().flatten().find(of)?.get("geometry")?.as_str()?;
            let known = ["Point", "LineString", "Polygon"].contains(&kind);
            known.then(|| kind.to_owned())
        };
        let (min, max) = self.zooms();
        let read = |layer: &Value| {
            let id = layer.get("id")?.as_str().filter(|id| id.len() <= MAX_NAME)?;
            let zoom = |name: &str, usual: u8| {
                let zoom = layer.get(name).and_then(Value::as_u64);
                zoom.and_then(|z| u8::try_from(z).ok()).map_or(usual, |z| z.clamp(min, max))
            };
            let fields = layer.get("fields").and_then(Value::as_object);
            let field = |(name, kind): (&String, &Value)| {
                (clipped(name, MAX_NAME), clipped(kind.as_str().unwrap_or("String"), 20))
            };
            let description = layer.get("description").and_then(Value::as_str);
            Some(VectorLayer {
                id: id.to_owned(),
                description: plain(description.unwrap_or_default()),
                fields: fields.into_iter().flatten().take(MAX_FIELDS).map(field).collect(),
                zooms: (zoom("minzoom", min), zoom("maxzoom", max)),
                geometry: geometry(id),
            })
        };
        let layers = list(members.get("vector_layers")).unwrap_or_default();
        layers.iter().take(MAX_LAYERS).filter_map(read).collect()
    }

    /// TileJSON 3.0.0; `template` is the absolute tile URL with `{z}`, `{x}`, `{y}`.
    pub fn tilejson(&self, archive: &Archive, template: &str, title: &str, words: &str) -> Value {
        let BBox { west, south, east, north } = self.bounds();
        let (lon, lat, zoom) = self.center();
        let (min, max) = self.zooms();
        let layers: Vec<Value> = self.layers().iter().map(VectorLayer::to_json).collect();
        let mut json = json!({
            "tilejson": "3.0.0",
            "tiles": [template],
            "scheme": "xyz",
            "name": title,
            "attribution": archive.attribution(self),
            "bounds": [west, south, east, north],
            "center": [lon, lat, zoom],
            "minzoom": min,
            "maxzoom": max,
            "vector_layers": layers,
            "socle": { "version": &*self.state, "label": archive.def.label },
        });
        if !words.is_empty() {
            json["description"] = words.into();
        }
        json
    }
}

impl VectorLayer {
    fn to_json(&self) -> Value {
        let fields: Map<String, Value> =
            self.fields.iter().map(|(name, kind)| (name.clone(), kind.as_str().into())).collect();
        json!({
            "id": self.id,
            "description": self.description,
            "fields": fields,
            "minzoom": self.zooms.0,
            "maxzoom": self.zooms.1,
        })
    }
}

impl Archive {
    /// The mention with the day the data describes or was published, where the operator says it.
    pub fn attribution(&self, opened: &Opened) -> String {
        let own = self.def.attribution.clone().or_else(|| opened.text("attribution"));
        let own = own.unwrap_or_else(|| self.def.producer.clone());
        match (self.def.described_at, self.def.published_at) {
            (Some(day), _) => format!("{own} (état au {day})"),
            (None, Some(day)) => format!("{own} (publié le {day})"),
            (None, None) => own,
        }
    }

    /// The entity tag of a tile without its quotes and encoding suffix: known before any work.
    pub fn etag(opened: &Opened, tile: TileId) -> String {
        let mut tag = format!("{}-", opened.state);
        let place = format!("{}/{}/{} {}", tile.z, tile.x, tile.y, DRAWING);
        push_hex(stable_hash(&place), 16, &mut tag);
        tag
    }
}

fn clipped(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}

/// A text without markup: MapLibre shows attributions as HTML.
fn plain(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, tag)) = rest.split_once('<') {
        shown.push_str(before);
        rest = tag.split_once('>').map_or("", |(_, after)| after);
    }
    shown.push_str(rest);
    // Lines are words apart.
    let shown = shown.replace(['<', '>'], "").replace(char::is_whitespace, " ");
    clipped(&shown, MAX_TEXT).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn markup_is_taken_out_of_texts() {
        let linked = "<a href=\"https://x.fr\">© Nord</a> &copy; 2025";
        assert_eq!(plain(linked), "© Nord &copy; 2025");
        assert_eq!(plain("a<img src=x onerror=alert(1)>b<<script>x"), "abx");
        assert_eq!(plain("<script"), "");
        assert_eq!(plain("1 > 0\n\u{7}ok"), "1 0 ok");
    }
}
