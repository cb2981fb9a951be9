//! The projections' formulas: Lambert conformal conic and transverse Mercator through the
//! conformal latitude, with Krüger's series in the third flattening to order 6 (C. F. F. Karney,
//! *Transverse Mercator with an accuracy of a few nanometers*, 2011).

use super::{
    datum,
    known::{Cone, Cylinder, Datum, Method, Params},
};
use geo_types::Coord;

/// Radius of the web-mercator sphere and semi-major axis of WGS 84 and GRS 80, metres.
pub(super) const A: f64 = 6_378_137.0;

/// An ellipsoid of revolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ellipsoid {
    pub(super) a: f64,
    pub(super) f: f64,
}

impl Ellipsoid {
    pub(super) fn of(datum: Datum) -> Self {
        match datum {
            Datum::Wgs84 => Self { a: A, f: 1.0 / 298.257_223_563 },
            Datum::Grs80 => Self { a: A, f: 1.0 / 298.257_222_101 },
            Datum::Ntf => Self { a: 6_378_249.2, f: 1.0 / 293.466_021_293_626_5 },
        }
    }

    pub(super) fn e2(self) -> f64 {
        self.f * (2.0 - self.f)
    }
}

/// A system made ready: from degrees on WGS 84 to coordinates and back.
#[derive(Debug, Clone)]
pub(super) enum Projection {
    /// Degrees as they are.
    Identity,
    /// Degrees on the NTF.
    Ntf,
    WebMercator,
    Lambert(Box<Lambert>),
    TransverseMercator(Box<TransverseMercator>),
}

impl Projection {
    pub(super) fn new(params: &Params) -> Self {
        match params.method {
            Method::Geographic if params.datum == Datum::Ntf => Self::Ntf,
            Method::Geographic => Self::Identity,
            Method::WebMercator => Self::WebMercator,
            Method::Lambert(cone) => Self::Lambert(Box::new(Lambert::new(cone, params.datum))),
            Method::TransverseMercator(cylinder) => {
                Self::TransverseMercator(Box::new(TransverseMercator::new(cylinder, params.datum)))
            }
        }
    }

    /// From CRS84 degrees.
    #[inline]
    pub(super) fn forward(&self, c: Coord<f64>) -> Coord<f64> {
        match self {
            Self::Identity => c,
            Self::Ntf => datum::to_ntf(c),
            Self::WebMercator => {
                Coord { x: A * c.x.to_radians(), y: A * c.y.to_radians().sin().atanh() }
            }
            Self::Lambert(l) if l.ntf => l.forward(datum::to_ntf(c)),
            Self::Lambert(l) => l.forward(c),
            Self::TransverseMercator(t) => t.forward(c),
        }
    }

    /// To CRS84 degrees.
    #[inline]
    pub(super) fn inverse(&self, c: Coord<f64>) -> Coord<f64> {
        match self {
            Self::Identity => c,
            Self::Ntf => datum::from_ntf(c),
            Self::WebMercator => {
                Coord { x: (c.x / A).to_degrees(), y: (c.y / A).sinh().atan().to_degrees() }
            }
            Self::Lambert(l) if l.ntf => datum::from_ntf(l.inverse(c)),
            Self::Lambert(l) => l.inverse(c),
            Self::TransverseMercator(t) => t.inverse(c),
        }
    }
}

/// Isometric latitude of a latitude given by its sine.
#[inline]
fn isometric(sin: f64, e: f64) -> f64 {
    sin.atanh() - e * (e * sin).atanh()
}

/// Sum of `c[k]·sin(2(k+1)x)`, from the sine and cosine of `2x` (Clenshaw).
#[inline]
fn sine_series(c: &[f64; 6], sin_2x: f64, cos_2x: f64) -> f64 {
    let (mut u1, mut u2) = (0.0, 0.0);
    for &k in c.iter().rev() {
        let u0 = k + 2.0 * cos_2x * u1 - u2;
        u2 = u1;
        u1 = u0;
    }
    u1 * sin_2x
}

/// Series coefficients from conformal to geographic latitude.
fn conformal_to_geographic(n: f64) -> [f64; 6] {
    let p = |c: [f64; 6]| c.iter().rev().fold(0.0, |sum, c| (sum + c) * n);
    [
        p([2.0, -2.0 / 3.0, -2.0, 116.0 / 45.0, 26.0 / 45.0, -2854.0 / 675.0]),
        p([0.0, 7.0 / 3.0, -8.0 / 5.0, -227.0 / 45.0, 2704.0 / 315.0, 2323.0 / 945.0]),
        p([0.0, 0.0, 56.0 / 15.0, -136.0 / 35.0, -1262.0 / 105.0, 73_814.0 / 2835.0]),
        p([0.0, 0.0, 0.0, 4279.0 / 630.0, -332.0 / 35.0, -399_572.0 / 14_175.0]),
        p([0.0, 0.0, 0.0, 0.0, 4174.0 / 315.0, -144_838.0 / 6237.0]),
        p([0.0, 0.0, 0.0, 0.0, 0.0, 601_676.0 / 22_275.0]),
    ]
}

/// Lambert conformal conic.
#[derive(Debug, Clone)]
pub(super) struct Lambert {
    ntf: bool,
    e: f64,
    n: f64,
    /// Radius of the parallel of isometric latitude 0, metres.
    c: f64,
    lon_0: f64,
    x_0: f64,
    /// Northing of the cone's apex.
    y_s: f64,
    geographic: [f64; 6],
}

impl Lambert {
    fn new(cone: Cone, datum: Datum) -> Self {
        let ellipsoid = Ellipsoid::of(datum);
        let Cone { lat_0, lon_0, lat_1, lat_2, k, x_0, y_0 } = cone;
        let e = ellipsoid.e2().sqrt();
        let sin_1 = lat_1.to_radians().sin();
        let sin_2 = lat_2.to_radians().sin();
        // Radius of the parallel over the semi-major axis.
        let m = |sin: f64| ((1.0 - sin * sin) / (1.0 - e * e * sin * sin)).sqrt();
        let n = if (lat_1 - lat_2).abs() < 1e-10 {
            sin_1
        } else {
            (m(sin_1) / m(sin_2)).ln() / (isometric(sin_2, e) - isometric(sin_1, e))
        };
        let c = k * ellipsoid.a * m(sin_1) / n * (n * isometric(sin_1, e)).exp();
        let rho_0 = c * (-n * isometric(lat_0.to_radians().sin(), e)).exp();
        Self {
            ntf: datum == Datum::Ntf,
            e,
            n,
            c,
            lon_0,
            x_0,
            y_s: y_0 + rho_0,
            geographic: conformal_to_geographic(ellipsoid.f / (2.0 - ellipsoid.f)),
        }
    }

    #[inline]
    fn forward(&self, c: Coord<f64>) -> Coord<f64> {
        let rho = self.c * (-self.n * isometric(c.y.to_radians().sin(), self.e)).exp();
        let (sin, cos) = (self.n * wrap(c.x - self.lon_0).to_radians()).sin_cos();
        Coord { x: self.x_0 + rho * sin, y: self.y_s - rho * cos }
    }

    #[inline]
    fn inverse(&self, c: Coord<f64>) -> Coord<f64> {
        let (x, y) = (c.x - self.x_0, self.y_s - c.y);
        // A cone that opens to the south has a negative constant and radius.
        let sign = self.n.signum();
        let rho = (x * x + y * y).sqrt();
        let lon = (sign * x).atan2(sign * y) / self.n;
        // t = exp(-ψ); the conformal latitude has sine (1−t²)/(1+t²) and cosine 2t/(1+t²).
        let t = (rho / self.c.abs()).powf(1.0 / self.n);
        let (s, c) = ((1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t));
        let chi = std::f64::consts::FRAC_PI_2 - 2.0 * t.atan();
        let phi = chi + sine_series(&self.geographic, 2.0 * s * c, (c - s) * (c + s));
        Coord { x: wrap(self.lon_0 + lon.to_degrees()), y: phi.to_degrees() }
    }
}

/// Transverse Mercator.
#[derive(Debug, Clone)]
pub(super) struct TransverseMercator {
    e: f64,
    lon_0: f64,
    x_0: f64,
    /// Northing of the equator.
    y_0: f64,
    /// Scale times radius of the rectifying sphere.
    radius: f64,
    forward: [f64; 6],
    inverse: [f64; 6],
    geographic: [f64; 6],
}

impl TransverseMercator {
    fn new(cylinder: Cylinder, datum: Datum) -> Self {
        let ellipsoid = Ellipsoid::of(datum);
        let Cylinder { lat_0, lon_0, k, x_0, y_0 } = cylinder;
        let n = ellipsoid.f / (2.0 - ellipsoid.f);
        let n2 = n * n;
        let radius =
            k * ellipsoid.a / (1.0 + n) * (1.0 + n2 / 4.0 + n2 * n2 / 64.0 + n2 * n2 * n2 / 256.0);
        let mut tm = Self {
            e: ellipsoid.e2().sqrt(),
            lon_0,
            x_0,
            y_0: 0.0,
            radius,
            forward: kruger_forward(n),
            inverse: kruger_inverse(n),
            geographic: conformal_to_geographic(n),
        };
        tm.y_0 = y_0 - tm.forward(Coord { x: lon_0, y: lat_0 }).y;
        tm
    }

    #[inline]
    fn forward(&self, c: Coord<f64>) -> Coord<f64> {
        let d = wrap(c.x - self.lon_0);
        // The series is meant for the surroundings of its meridian.
        if d.abs() > 80.0 {
            return Coord { x: f64::NAN, y: f64::NAN };
        }
        let (sin_d, cos_d) = d.to_radians().sin_cos();
        let tan_chi = isometric(c.y.to_radians().sin(), self.e).sinh();
        let xi = tan_chi.atan2(cos_d);
        let eta = (sin_d / (tan_chi * tan_chi + cos_d * cos_d).sqrt()).asinh();
        let (dx, de) = complex_series(&self.forward, xi, eta);
        Coord { x: self.x_0 + self.radius * (eta + de), y: self.y_0 + self.radius * (xi + dx) }
    }

    #[inline]
    fn inverse(&self, c: Coord<f64>) -> Coord<f64> {
        let xi = (c.y - self.y_0) / self.radius;
        let eta = (c.x - self.x_0) / self.radius;
        if !(eta.abs() < 2.4 && xi.abs() < 1.6) {
            return Coord { x: f64::NAN, y: f64::NAN };
        }
        let (dx, de) = complex_series(&self.inverse, xi, eta);
        let (xi, eta) = (xi - dx, eta - de);
        let (sin_xi, cos_xi) = xi.sin_cos();
        let sinh_eta = eta.sinh();
        let d = sinh_eta.atan2(cos_xi);
        let tan_chi = sin_xi / (sinh_eta * sinh_eta + cos_xi * cos_xi).sqrt();
        let chi = tan_chi.atan();
        // From the tangent: sin 2χ = 2τ/(1+τ²), cos 2χ = (1−τ²)/(1+τ²).
        let square = tan_chi * tan_chi;
        let series = sine_series(
            &self.geographic,
            2.0 * tan_chi / (1.0 + square),
            (1.0 - square) / (1.0 + square),
        );
        Coord { x: wrap(self.lon_0 + d.to_degrees()), y: (chi + series).to_degrees() }
    }
}

/// Real and imaginary part of the sum of `c[k]·sin(2(k+1)(ξ + iη))`.
#[inline]
fn complex_series(c: &[f64; 6], xi: f64, eta: f64) -> (f64, f64) {
    let (sin, cos) = (2.0 * xi).sin_cos();
    let exp = (2.0 * eta).exp();
    let (sinh, cosh) = ((exp - 1.0 / exp) / 2.0, (exp + 1.0 / exp) / 2.0);
    // 2 cos(2ζ)
    let (a, b) = (2.0 * cos * cosh, -2.0 * sin * sinh);
    let (mut r1, mut i1, mut r2, mut i2) = (0.0, 0.0, 0.0, 0.0);
    for &k in c.iter().rev() {
        let r0 = k + a * r1 - b * i1 - r2;
        let i0 = a * i1 + b * r1 - i2;
        (r2, i2) = (r1, i1);
        (r1, i1) = (r0, i0);
    }
    // times sin(2ζ)
    let (s, t) = (sin * cosh, cos * sinh);
    (s * r1 - t * i1, s * i1 + t * r1)
}

fn kruger_forward(n: f64) -> [f64; 6] {
    let p = |c: [f64; 6]| c.iter().rev().fold(0.0, |sum, c| (sum + c) * n);
    [
        p([0.5, -2.0 / 3.0, 5.0 / 16.0, 41.0 / 180.0, -127.0 / 288.0, 7891.0 / 37_800.0]),
        p([0.0, 13.0 / 48.0, -0.6, 557.0 / 1440.0, 281.0 / 630.0, -1_983_433.0 / 1_935_360.0]),
        p([0.0, 0.0, 61.0 / 240.0, -103.0 / 140.0, 15_061.0 / 26_880.0, 167_603.0 / 181_440.0]),
        p([0.0, 0.0, 0.0, 49_561.0 / 161_280.0, -179.0 / 168.0, 6_601_661.0 / 7_257_600.0]),
        p([0.0, 0.0, 0.0, 0.0, 34_729.0 / 80_640.0, -3_418_889.0 / 1_995_840.0]),
        p([0.0, 0.0, 0.0, 0.0, 0.0, 212_378_941.0 / 319_334_400.0]),
    ]
}

fn kruger_inverse(n: f64) -> [f64; 6] {
    let p = |c: [f64; 6]| c.iter().rev().fold(0.0, |sum, c| (sum + c) * n);
    [
        p([0.5, -2.0 / 3.0, 37.0 / 96.0, -1.0 / 360.0, -81.0 / 512.0, 96_199.0 / 604_800.0]),
        p([0.0, 1.0 / 48.0, 1.0 / 15.0, -437.0 / 1440.0, 46.0 / 105.0, -1_118_711.0 / 3_870_720.0]),
        p([0.0, 0.0, 17.0 / 480.0, -37.0 / 840.0, -209.0 / 4480.0, 5569.0 / 90_720.0]),
        p([0.0, 0.0, 0.0, 4397.0 / 161_280.0, -11.0 / 504.0, -830_251.0 / 7_257_600.0]),
        p([0.0, 0.0, 0.0, 0.0, 4583.0 / 161_280.0, -108_847.0 / 3_991_680.0]),
        p([0.0, 0.0, 0.0, 0.0, 0.0, 20_648_693.0 / 638_668_800.0]),
    ]
}

/// A longitude (difference) brought into ±180.
#[inline]
fn wrap(degrees: f64) -> f64 {
    if degrees > 180.0 {
        degrees - 360.0
    } else if degrees < -180.0 {
        degrees + 360.0
    } else {
        degrees
    }
}
