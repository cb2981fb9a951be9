//! Which system positions without one may be in: those in which all of them lie in France, where
//! that system is used. Files made in France leave the system out, or name a wrong one.

use super::Crs;
use geo_types::Coord;

/// A coarse outline of metropolitan France with a margin, Corsica apart: longitude, latitude.
const HEXAGON: [(f64, f64); 16] = [
    (-5.4, 48.9),
    (-2.0, 49.9),
    (1.4, 51.2),
    (2.7, 51.3),
    (4.4, 50.4),
    (8.4, 49.2),
    (7.8, 47.4),
    (7.3, 45.9),
    (7.9, 43.6),
    (6.3, 42.8),
    (3.4, 42.2),
    (0.0, 42.5),
    (-2.0, 43.1),
    (-1.5, 45.5),
    (-2.8, 46.6),
    (-5.4, 47.7),
];
const CORSICA: [f64; 4] = [8.4, 41.2, 9.7, 43.1];
/// Guadeloupe, Martinique, Saint-Martin and Saint-Barthélemy.
const ANTILLES: [[f64; 4]; 3] =
    [[-61.9, 15.7, -60.9, 16.6], [-61.3, 14.3, -60.7, 15.0], [-63.3, 17.8, -62.7, 18.2]];
const GUYANE: [f64; 4] = [-54.7, 2.0, -51.5, 5.9];
const REUNION: [f64; 4] = [55.1, -21.5, 55.9, -20.8];
const MAYOTTE: [f64; 4] = [44.9, -13.1, 45.4, -12.6];
const SPM: [f64; 4] = [-56.6, 46.7, -56.0, 47.2];

/// The systems looked at: Lambert-93, Lambert II étendu and the zones I, III and IV counted like it,
/// the zones of the CC, Web Mercator, and those overseas. The zones of which every one counts from
/// 200 km (27561–27564) are told apart neither from each other nor from Guyane.
const CODES: [u32; 20] = [
    2154, 27572, 27571, 27573, 27574, 3942, 3943, 3944, 3945, 3946, 3947, 3948, 3949, 3950, 3857,
    5490, 2972, 2975, 4471, 4467,
];

fn within([west, south, east, north]: [f64; 4], at: Coord<f64>) -> bool {
    (west..=east).contains(&at.x) && (south..=north).contains(&at.y)
}

fn metropolitan(at: Coord<f64>) -> bool {
    let mut inside = false;
    let ends = HEXAGON.iter().zip(HEXAGON.iter().cycle().skip(1));
    for ((ax, ay), (bx, by)) in ends {
        if (*ay > at.y) != (*by > at.y) && at.x < (bx - ax) * (at.y - ay) / (by - ay) + ax {
            inside = !inside;
        }
    }
    inside || within(CORSICA, at)
}

/// Whether degrees lie in France, overseas départements and Saint-Pierre-et-Miquelon included,
/// about.
pub fn in_france(at: Coord<f64>) -> bool {
    let overseas = [GUYANE, REUNION, MAYOTTE, SPM];
    metropolitan(at) || ANTILLES.into_iter().chain(overseas).any(|area| within(area, at))
}

/// Where a system of [`CODES`] is used.
fn used(code: u32, at: Coord<f64>) -> bool {
    match code {
        3857 => in_france(at),
        5490 => ANTILLES.into_iter().any(|area| within(area, at)),
        2972 => within(GUYANE, at),
        2975 => within(REUNION, at),
        4471 => within(MAYOTTE, at),
        4467 => within(SPM, at),
        _ => metropolitan(at),
    }
}

/// The systems in which all of these positions (easting, northing) lie in the part of France where
/// each is used; none without a position.
pub fn candidates(positions: &[Coord<f64>]) -> Vec<Crs> {
    let fits = |crs: &Crs, code: u32| {
        let lies = |at: &Coord<f64>| crs.point_to_crs84(*at).is_ok_and(|at| used(code, at));
        !positions.is_empty() && positions.iter().all(lies)
    };
    let known = CODES.iter().filter_map(|code| Some((*code, Crs::from_epsg(*code)?)));
    known.filter(|(code, crs)| fits(crs, *code)).map(|(_, crs)| crs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Places in degrees, as these systems have them.
    const PLACES: [(&str, f64, f64, &[u32]); 10] = [
        ("Paris", 2.35, 48.85, &[2154, 27572, 3949, 3857]),
        ("Brest", -4.49, 48.39, &[2154, 27572, 3948]),
        ("Strasbourg", 7.75, 48.58, &[2154, 27572, 27571, 3949, 3857]),
        ("Marseille", 5.37, 43.3, &[2154, 27572, 27573, 3943]),
        ("Ajaccio", 8.74, 41.92, &[2154, 3942, 27574]),
        ("Fort-de-France", -61.07, 14.6, &[5490]),
        ("Cayenne", -52.33, 4.92, &[2972]),
        ("Saint-Denis", 55.45, -20.88, &[2975]),
        ("Mamoudzou", 45.23, -12.78, &[4471]),
        ("Saint-Pierre", -56.17, 46.78, &[4467]),
    ];

    #[test]
    fn places_are_found_in_the_system_they_are_in() {
        for (name, lon, lat, codes) in PLACES {
            assert!(in_france(Coord { x: lon, y: lat }), "{name}");
            for code in codes {
                let crs = Crs::from_epsg(*code).unwrap();
                // Two places around, as a file has more than one.
                let at = |d: f64| crs.point_from_crs84(Coord { x: lon + d, y: lat + d }).unwrap();
                let found = candidates(&[at(0.0), at(0.01)]);
                let found: Vec<u32> = found.iter().filter_map(Crs::epsg).collect();
                assert!(found.contains(code), "{name} in {code}: {found:?}");
                assert!(found.len() <= 2, "{name} in {code}: {found:?}");
            }
        }
        let lambert = Crs::from_epsg(2154).unwrap();
        let at = |x: f64, y: f64| lambert.point_from_crs84(Coord { x, y }).unwrap();
        let all = [at(2.35, 48.85), at(-4.4, 48.4), at(5.4, 43.3)];
        let found: Vec<u32> = candidates(&all).iter().filter_map(Crs::epsg).collect();
        assert_eq!(found, [2154]);
        assert!(candidates(&[]).is_empty());
        assert!(candidates(&[Coord { x: 1e9, y: 1e9 }]).is_empty());
        assert!(!in_france(Coord { x: 48.85, y: 2.35 }) && !in_france(Coord { x: -0.1, y: 51.5 }));
    }
}
