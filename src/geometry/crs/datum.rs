//! The shift between the NTF and WGS 84: three geocentric translations (EPSG 1193).

use super::{known::Datum, projection::Ellipsoid};
use geo_types::Coord;

/// From NTF to WGS 84, metres.
const SHIFT: [f64; 3] = [-168.0, -60.0, 320.0];

/// Degrees on the NTF (from Greenwich) to degrees on WGS 84.
pub(super) fn from_ntf(c: Coord<f64>) -> Coord<f64> {
    shift(c, Datum::Ntf, Datum::Wgs84, 1.0)
}

/// Degrees on WGS 84 to degrees on the NTF (from Greenwich).
pub(super) fn to_ntf(c: Coord<f64>) -> Coord<f64> {
    shift(c, Datum::Wgs84, Datum::Ntf, -1.0)
}

/// Height 0 goes in, and the height that comes out is dropped: forth and back differ by less
/// than the millimetre, as with PROJ.
fn shift(c: Coord<f64>, from: Datum, to: Datum, sign: f64) -> Coord<f64> {
    let from = Ellipsoid::of(from);
    let (sin, cos) = c.y.to_radians().sin_cos();
    let (sin_lon, cos_lon) = c.x.to_radians().sin_cos();
    let radius = from.a / (1.0 - from.e2() * sin * sin).sqrt();
    let x = radius * cos * cos_lon + sign * SHIFT[0];
    let y = radius * cos * sin_lon + sign * SHIFT[1];
    let z = radius * (1.0 - from.e2()) * sin + sign * SHIFT[2];
    // Bowring's formula (1985): near the ellipsoid exact to far below the micrometre.
    let to = Ellipsoid::of(to);
    let (a, e2) = (to.a, to.e2());
    let b = a * (1.0 - to.f);
    let p = (x * x + y * y).sqrt();
    let (sin_t, cos_t) = (z * a).atan2(p * b).sin_cos();
    let second = e2 / (1.0 - e2);
    let phi = (z + second * b * sin_t.powi(3)).atan2(p - e2 * a * cos_t.powi(3));
    Coord { x: y.atan2(x).to_degrees(), y: phi.to_degrees() }
}
