//! Polygons to draw figures on: a level's territories generalised as tiles are, with shared
//! borders, as coarse as the size of the answer asks for.

use super::{Stats, border::Border, metric::Figure};
use crate::{
    error::{Error, Result},
    formats::mvt,
    geometry::overview::{self, Encoded, Kind},
    model::{BBox, Selection, TileId},
    territory::Reference,
};
use std::{fmt::Write, sync::Arc};

/// The polygons of an answer weigh at most about this, bytes of GeoJSON geometry: some 100 kB with
/// the figures.
const MOST: usize = 60_000;
/// Of the territories drawn at the finest zoom, per cent, at least so many stay drawn.
const DRAWN: usize = 98;
/// A tile of zoom z with this buffer, in 1/4096 of a tile, shows 33 tiles across.
const BUFFER: u16 = u16::MAX;
/// The deepest zoom at which such a window holds the whole world.
const WORLD_ZOOM: u8 = 5;
/// No map needs its classes' polygons finer than this.
const FINEST: u8 = 10;

/// A territory as it is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline {
    /// Its code, as the layer of borders writes it today.
    pub code: String,
    /// GeoJSON geometry.
    pub geometry: String,
}

/// The polygons of a level.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Choropleth {
    /// By code.
    pub outlines: Vec<Outline>,
    /// The zoom that they are generalised for.
    pub zoom: u8,
}

impl Choropleth {
    /// Bytes it takes in memory, about.
    pub(super) fn weight(&self) -> usize {
        self.outlines.iter().map(|o| 64 + o.code.len() + o.geometry.len()).sum()
    }

    /// The polygon of a territory.
    pub fn of(&self, code: &str) -> Option<&str> {
        let at = self.outlines.binary_search_by(|o| o.code.as_str().cmp(code)).ok()?;
        self.outlines.get(at).map(|o| o.geometry.as_str())
    }
}

impl Stats {
    /// The polygons of the territories that a selection touches (all without one), as fine as
    /// their number allows: a national level takes no more than some 100 kB. Territories too small
    /// to be seen at that scale have none.
    pub async fn outlines(
        &self,
        border: &Border,
        reference: &Arc<Reference>,
        selection: Option<&Arc<Selection>>,
    ) -> Result<Arc<Choropleth>> {
        let selected = selection.map_or("", |s| s.key.as_str());
        let key = format!("{}\n{}\n{selected}", border.key(), reference.id());
        let made = async {
            let extent = match selection {
                Some(selection) => self.store.extent(&border.at, selection).await?,
                None => border.at.version.bbox,
            };
            let mut zoom = extent.map_or(WORLD_ZOOM, |b| start(&b));
            let mut drawn = self.drawn(border, reference, selection, extent, zoom).await?;
            let all = drawn.len();
            while zoom > 0 && weight(&drawn) > MOST {
                let coarser = self.drawn(border, reference, selection, extent, zoom - 1).await?;
                // Rather a heavier map than one with holes.
                if coarser.len() * 100 < all * DRAWN {
                    break;
                }
                (drawn, zoom) = (coarser, zoom - 1);
            }
            Ok(Arc::new(Choropleth { outlines: drawn, zoom }))
        };
        self.outlines.try_get_with(key, made).await.map_err(Error::shared)
    }

    /// The polygons generalised for one zoom, by code.
    async fn drawn(
        &self,
        border: &Border,
        reference: &Arc<Reference>,
        selection: Option<&Arc<Selection>>,
        extent: Option<BBox>,
        zoom: u8,
    ) -> Result<Vec<Outline>> {
        let Some(extent) = extent else { return Ok(Vec::new()) };
        let tile = middle(&extent, zoom);
        let selection = selection.map(|s| &**s);
        let Some(found) = self.store.tile(&border.at, tile, BUFFER, selection).await? else {
            return Ok(Vec::new());
        };
        let schema = &border.at.version.schema;
        let mut outlines = Vec::with_capacity(found.features.len());
        for feature in &found.features {
            let bytes = |range: &std::ops::Range<usize>| found.bytes.get(range.clone());
            let (Some(tags), Some(shape)) = (bytes(&feature.tags), bytes(&feature.geometry)) else {
                return Err(Error::broken("an overview's feature lies outside its bytes"));
            };
            let values = mvt::decode_tags(tags, schema.fields.len())
                .map_err(|e| Error::fault("an overview's tags", e))?;
            let code = border.code_of(&values);
            let Some(code) = code.and_then(|c| border.territory(reference, &c)) else { continue };
            let shape = Encoded::read(shape).map_err(|e| Error::fault("an overview", e))?;
            if let Some(geometry) = geojson(&shape, found.band)? {
                outlines.push(Outline { code: code.code.to_string(), geometry });
            }
        }
        outlines.sort_by(|a, b| a.code.cmp(&b.code));
        outlines.dedup_by(|b, a| a.code == b.code);
        Ok(outlines)
    }
}

fn weight(outlines: &[Outline]) -> usize {
    outlines.iter().map(|o| o.geometry.len()).sum()
}

/// The deepest zoom at which a window of 33 tiles around its middle holds the box.
fn start(extent: &BBox) -> u8 {
    let mut zoom = FINEST;
    while zoom > WORLD_ZOOM {
        let tile = middle(extent, zoom);
        let (west, north) = overview::project(extent.west, extent.north, zoom);
        let (east, south) = overview::project(extent.east, extent.south, zoom);
        let inside = |low: i32, high: i32, at: u32| {
            let side = i64::from(overview::EXTENT);
            let (low, high) = (i64::from(low) / side, i64::from(high) / side);
            low >= i64::from(at) - 15 && high <= i64::from(at) + 15
        };
        if inside(west, east, tile.x) && inside(north, south, tile.y) {
            break;
        }
        zoom -= 1;
    }
    zoom
}

/// The tile in the middle of a box.
fn middle(extent: &BBox, zoom: u8) -> TileId {
    let at = |lon: f64, lat: f64| overview::project(lon, lat, zoom);
    let ((west, north), (east, south)) =
        (at(extent.west, extent.north), at(extent.east, extent.south));
    let half = |a: i32, b: i32| {
        let middle = (i64::from(a) + i64::from(b)) / 2 / i64::from(overview::EXTENT);
        u32::try_from(middle).unwrap_or_default().min((1u32 << zoom) - 1)
    };
    // At the zooms that hold the whole world its middle sees all of it.
    let (x, y) = match zoom {
        0..=WORLD_ZOOM => ((1u32 << zoom) / 2, (1u32 << zoom) / 2),
        _ => (half(west, east), half(north, south)),
    };
    TileId::mercator(zoom, x, y)
}

/// An overview's polygons as a GeoJSON geometry; `None` when nothing is left of them.
fn geojson(shape: &Encoded<'_>, band: u8) -> Result<Option<String>> {
    if shape.kind != Kind::Polygons {
        return Ok(None);
    }
    let side = f64::from(overview::EXTENT) * f64::from(band).exp2();
    // One more digit than the grid tells apart.
    let digits = if band >= 7 { 4 } else { 3 };
    let mut polygons: Vec<String> = Vec::new();
    let (mut paths, mut path) = (shape.paths(), Vec::new());
    while paths.next_into(&mut path).map_err(|e| Error::fault("an overview", e))? {
        let area: i64 = path
            .iter()
            .zip(path.iter().cycle().skip(1))
            .map(|(a, b)| i64::from(a[0]) * i64::from(b[1]) - i64::from(b[0]) * i64::from(a[1]))
            .sum();
        let mut ring = String::from("[");
        // MVT winds exteriors clockwise on the ground, y south; RFC 7946 counter-clockwise.
        for [x, y] in path.iter().rev().chain(path.last()) {
            if ring.len() > 1 {
                ring.push(',');
            }
            let lon = f64::from(*x) / side * 360.0 - 180.0;
            let n = std::f64::consts::PI * (1.0 - 2.0 * f64::from(*y) / side);
            let lat = n.sinh().atan().to_degrees();
            let _ = write!(ring, "[{},{}]", short(lon, digits), short(lat, digits));
        }
        ring.push(']');
        match polygons.last_mut() {
            Some(last) if area < 0 => {
                last.push(',');
                last.push_str(&ring);
            }
            _ => polygons.push(ring),
        }
    }
    Ok(match polygons.as_slice() {
        [] => None,
        [one] => Some(format!("{{\"type\":\"Polygon\",\"coordinates\":[{one}]}}")),
        several => {
            let list = several.join("],[");
            Some(format!("{{\"type\":\"MultiPolygon\",\"coordinates\":[[{list}]]}}"))
        }
    })
}

/// A coordinate without the zeros at its end.
fn short(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Classes for a map: quantiles of a measure.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Classes {
    /// Upper bound of each class but the last, ascending, each once.
    pub breaks: Vec<f64>,
}

/// Number of classes suggested.
const CLASSES: usize = 5;

/// Suggests classes of about as many territories each; fewer where values repeat.
pub fn classes(values: impl Iterator<Item = f64>) -> Classes {
    let mut values: Vec<f64> = values.filter(|v| v.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    let mut breaks = Vec::with_capacity(CLASSES - 1);
    for class in 1..CLASSES {
        let Some(value) = values.get((values.len() * class / CLASSES).saturating_sub(1)) else {
            break;
        };
        let last = values.last() == Some(value);
        if !last && breaks.last().is_none_or(|b| b < value) {
            breaks.push(*value);
        }
    }
    Classes { breaks }
}

impl Classes {
    /// The class of a figure, from 0; `None` for what is no number.
    pub fn of(&self, figure: &Figure) -> Option<usize> {
        let value = figure.number()?;
        Some(self.breaks.partition_point(|b| *b < value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantiles_have_as_many_each() {
        let found = classes((1..=100).map(f64::from));
        assert_eq!(found.breaks, [20.0, 40.0, 60.0, 80.0]);
        assert_eq!(found.of(&Figure::Int(20)), Some(0));
        assert_eq!(found.of(&Figure::Int(21)), Some(1));
        assert_eq!(found.of(&Figure::Float(1e9)), Some(4));
        assert_eq!(found.of(&Figure::Null), None);
        assert_eq!(classes([3.0; 10].into_iter()).breaks, [0.0; 0]);
        assert_eq!(classes(std::iter::empty()).breaks, [0.0; 0]);
    }

    proptest! {
        #[test]
        fn every_value_has_a_class(values in prop::collection::vec(-1e9f64..1e9, 0..40)) {
            let found = classes(values.iter().copied());
            prop_assert!(found.breaks.windows(2).all(|w| w[0] < w[1]));
            for value in values {
                let class = found.of(&Figure::Float(value)).unwrap();
                prop_assert!(class <= found.breaks.len() && class < CLASSES);
            }
        }
    }
}
