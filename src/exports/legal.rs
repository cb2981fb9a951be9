//! The legal system of a place (décret 2000-1276, as amended; DOMAIN: one per territory), which an
//! export is in when no other is asked for.

use crate::{
    geometry::crs::Crs,
    model::{BBox, TerritoryCode},
    territory::Reference,
};
use std::collections::BTreeSet;

/// Metropolitan France.
const METRO: u32 = 2154;

/// Parts of France with a legal system of their own: code, and the extent of land around it.
const ZONES: [(u32, [f64; 4]); 6] = [
    (METRO, [-5.6, 41.2, 10.0, 51.4]),
    (5490, [-63.4, 14.2, -60.6, 18.3]),
    (2972, [-54.9, 2.0, -51.4, 6.0]),
    (2975, [55.0, -21.6, 56.1, -20.7]),
    (4471, [44.9, -13.2, 45.5, -12.4]),
    (4467, [-56.6, 46.6, -55.9, 47.3]),
];

/// The legal system where all of the territories, else all of the extent, has the same one; the
/// coordinates of WGS 84 otherwise.
pub fn legal_crs(
    reference: &Reference,
    territories: &[TerritoryCode],
    extent: Option<&BBox>,
) -> Crs {
    let mut zones = BTreeSet::new();
    let mut placed = !territories.is_empty();
    for territory in territories {
        match reference.communes(territory) {
            Some(communes) => {
                let codes = communes.iter().filter_map(|rank| reference.commune(rank));
                zones.extend(codes.map(|code| zone_of(code.code.as_str())));
            }
            // Levels that the reference does not list: where the layer lies decides.
            None => placed = false,
        }
    }
    if !placed {
        zones = extent.map(zone_around).into_iter().collect();
    }
    let zone = match (zones.pop_first(), zones.is_empty()) {
        (Some(Some(only)), true) => only,
        _ => 4326,
    };
    Crs::from_epsg(zone).unwrap_or_else(Crs::crs84)
}

/// The zone of a commune's code.
fn zone_of(code: &str) -> Option<u32> {
    match code.get(..3) {
        Some("971" | "972" | "977" | "978") => Some(5490),
        Some("973") => Some(2972),
        Some("974") => Some(2975),
        Some("976") => Some(4471),
        Some("975") => Some(4467),
        Some(other) if other.starts_with("97") || other.starts_with("98") => None,
        _ => Some(METRO),
    }
}

/// The zone that holds a whole extent.
fn zone_around(b: &BBox) -> Option<u32> {
    let inside = |[west, south, east, north]: &[f64; 4]| {
        b.west >= *west && b.south >= *south && b.east <= *east && b.north <= *north
    };
    ZONES.iter().find(|(_, area)| inside(area)).map(|(code, _)| *code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(territories: &[&str]) -> Option<u32> {
        let codes: Vec<TerritoryCode> = territories.iter().map(|t| t.parse().unwrap()).collect();
        legal_crs(&Reference::builtin(), &codes, None).epsg()
    }

    #[test]
    fn each_part_of_france_has_its_system() {
        assert_eq!(of(&["dep:59"]), Some(2154));
        assert_eq!(of(&["dep:2A", "reg:32"]), Some(2154));
        assert_eq!(of(&["fr:metro"]), Some(2154));
        assert_eq!(of(&["reg:01", "dep:972"]), Some(5490));
        assert_eq!(of(&["dep:973"]), Some(2972));
        assert_eq!(of(&["com:97411"]), Some(2975));
        assert_eq!(of(&["dep:976"]), Some(4471));
        // Several, or none: degrees.
        assert_eq!(of(&["fr"]), Some(4326));
        assert_eq!(of(&["dep:974", "dep:59"]), Some(4326));
    }

    #[test]
    fn without_a_territory_the_layer_s_place_decides() {
        let reference = Reference::builtin();
        let at = |b: [f64; 4]| {
            let b = BBox { west: b[0], south: b[1], east: b[2], north: b[3] };
            legal_crs(&reference, &[], Some(&b)).epsg()
        };
        assert_eq!(at([1.3, 48.8, 4.3, 51.1]), Some(2154));
        assert_eq!(at([55.2, -21.4, 55.8, -20.8]), Some(2975));
        assert_eq!(at([-61.9, -21.4, 55.8, 51.1]), Some(4326));
        assert_eq!(legal_crs(&reference, &[], None).epsg(), Some(4326));
    }
}
