//! The systems that are known by code and by name, with the parameters of the EPSG registry.

/// What a system is made of. Angles in degrees from Greenwich, lengths in metres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Params {
    pub(super) method: Method,
    pub(super) datum: Datum,
}

/// How the ellipsoid is laid flat.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Method {
    /// Degrees as they are.
    Geographic,
    /// EPSG method 1024, on the sphere of radius 6,378,137 m.
    WebMercator,
    /// EPSG methods 9801 (`lat_1 = lat_2 = lat_0`) and 9802 (`k = 1`).
    Lambert(Cone),
    /// EPSG method 9807.
    TransverseMercator(Cylinder),
}

/// Parameters of a conformal conic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cone {
    pub(super) lat_0: f64,
    pub(super) lon_0: f64,
    pub(super) lat_1: f64,
    pub(super) lat_2: f64,
    pub(super) k: f64,
    pub(super) x_0: f64,
    pub(super) y_0: f64,
}

/// Parameters of a transverse Mercator.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cylinder {
    pub(super) lat_0: f64,
    pub(super) lon_0: f64,
    pub(super) k: f64,
    pub(super) x_0: f64,
    pub(super) y_0: f64,
}

/// Ellipsoid and position, as far as they matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Datum {
    /// WGS 84.
    Wgs84,
    /// A datum on the GRS 80 ellipsoid that coincides with WGS 84.
    Grs80,
    /// Nouvelle triangulation française, Clarke 1880 IGN.
    Ntf,
}

impl Params {
    pub(super) const WGS84: Params = Params { method: Method::Geographic, datum: Datum::Wgs84 };

    /// Whether both give the same coordinates (to the tenth of a millimetre).
    pub(super) fn same(&self, other: &Self) -> bool {
        if self.is_geographic() && other.is_geographic() {
            return (self.datum == Datum::Ntf) == (other.datum == Datum::Ntf);
        }
        let numbers = |p: &Params| match p.method {
            Method::Geographic => (0, [0.0; 7]),
            Method::WebMercator => (1, [0.0; 7]),
            Method::Lambert(Cone { lat_0, lon_0, lat_1, lat_2, k, x_0, y_0 }) => {
                // The two parallels may come in either order.
                (2, [lat_0, lon_0, lat_1.min(lat_2), lat_1.max(lat_2), k, x_0, y_0])
            }
            Method::TransverseMercator(Cylinder { lat_0, lon_0, k, x_0, y_0 }) => {
                (3, [lat_0, lon_0, k, x_0, y_0, 0.0, 0.0])
            }
        };
        let ((kind, a), (other_kind, b)) = (numbers(self), numbers(other));
        kind == other_kind
            && (self.datum == other.datum || kind == 1)
            && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-9 * a.abs().max(1.0))
    }

    pub(super) fn is_geographic(&self) -> bool {
        self.method == Method::Geographic
    }
}

/// One known system.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) code: u32,
    pub(super) name: String,
    pub(super) params: Params,
    pub(super) area: [f64; 4],
}

const WORLD: [f64; 4] = [-180.0, -90.0, 180.0, 90.0];
/// Metropolitan France's area of use in the EPSG registry, and five degrees around.
const METRO: [f64; 4] = [-15.0, 36.0, 15.5, 56.6];
// Overseas: the area of use and two degrees around.
const ANTILLES: [f64; 4] = [-65.7, 12.0, -55.5, 20.6];
const GUYANE: [f64; 4] = [-56.7, 0.1, -47.4, 10.9];
const REUNION: [f64; 4] = [49.8, -28.0, 60.3, -16.2];
const MAYOTTE: [f64; 4] = [41.6, -16.5, 48.7, -9.3];
const SPM: [f64; 4] = [-59.1, 41.4, -53.9, 49.4];
const CALEDONIE: [f64; 4] = [154.2, -28.5, 176.3, -12.8];

/// Geographic systems: code, name, datum, area.
const GEOGRAPHIC: [(u32, &str, Datum, [f64; 4]); 13] = [
    (4326, "WGS 84", Datum::Wgs84, WORLD),
    (4258, "ETRS89", Datum::Grs80, WORLD),
    (4171, "RGF93 v1", Datum::Grs80, WORLD),
    (9777, "RGF93 v2", Datum::Grs80, WORLD),
    (9782, "RGF93 v2b", Datum::Grs80, WORLD),
    (5489, "RGAF09", Datum::Grs80, WORLD),
    (4558, "RRAF 1991", Datum::Grs80, WORLD),
    (4624, "RGFG95", Datum::Grs80, WORLD),
    (4627, "RGR92", Datum::Grs80, WORLD),
    (4470, "RGM04", Datum::Grs80, WORLD),
    (4463, "RGSPM06", Datum::Grs80, WORLD),
    (4749, "RGNC91-93", Datum::Grs80, WORLD),
    (4275, "NTF", Datum::Ntf, METRO),
];

/// Code, name, datum, central meridian, south, area.
type Utm = (u32, &'static str, Datum, f64, bool, [f64; 4]);

const UTM: [Utm; 15] = [
    (5490, "RGAF09 / UTM zone 20N", Datum::Grs80, -63.0, false, ANTILLES),
    (4559, "RRAF 1991 / UTM zone 20N", Datum::Grs80, -63.0, false, ANTILLES),
    (32620, "WGS 84 / UTM zone 20N", Datum::Wgs84, -63.0, false, [-78.0, -1.0, -48.0, 84.0]),
    (2972, "RGFG95 / UTM zone 22N", Datum::Grs80, -51.0, false, GUYANE),
    (32622, "WGS 84 / UTM zone 22N", Datum::Wgs84, -51.0, false, [-66.0, -1.0, -36.0, 84.0]),
    (2975, "RGR92 / UTM zone 40S", Datum::Grs80, 57.0, true, REUNION),
    (32740, "WGS 84 / UTM zone 40S", Datum::Wgs84, 57.0, true, [42.0, -80.0, 72.0, 1.0]),
    (4471, "RGM04 / UTM zone 38S", Datum::Grs80, 45.0, true, MAYOTTE),
    (32738, "WGS 84 / UTM zone 38S", Datum::Wgs84, 45.0, true, [30.0, -80.0, 60.0, 1.0]),
    (4467, "RGSPM06 / UTM zone 21N", Datum::Grs80, -57.0, false, SPM),
    (32630, "WGS 84 / UTM zone 30N", Datum::Wgs84, -3.0, false, [-18.0, -1.0, 12.0, 84.0]),
    (32631, "WGS 84 / UTM zone 31N", Datum::Wgs84, 3.0, false, [-12.0, -1.0, 18.0, 84.0]),
    (32632, "WGS 84 / UTM zone 32N", Datum::Wgs84, 9.0, false, [-6.0, -1.0, 24.0, 84.0]),
    (25831, "ETRS89 / UTM zone 31N", Datum::Grs80, 3.0, false, [-12.0, 30.0, 18.0, 84.0]),
    (25832, "ETRS89 / UTM zone 32N", Datum::Grs80, 9.0, false, [-6.0, 30.0, 24.0, 84.0]),
];

/// The Lambert zones of the NTF (Paris): code, name, latitude of origin, scale, x₀, y₀.
const NTF: [(u32, &str, f64, f64, f64, f64); 8] = [
    (27561, "Lambert Nord France", 49.5, 0.999_877_341, 600_000.0, 200_000.0),
    (27562, "Lambert Centre France", 46.8, 0.999_877_42, 600_000.0, 200_000.0),
    (27563, "Lambert Sud France", 44.1, 0.999_877_499, 600_000.0, 200_000.0),
    (27564, "Lambert Corse", 42.165, 0.999_944_71, 234.358, 185_861.369),
    (27571, "Lambert zone I", 49.5, 0.999_877_341, 600_000.0, 1_200_000.0),
    (27572, "Lambert zone II", 46.8, 0.999_877_42, 600_000.0, 2_200_000.0),
    (27573, "Lambert zone III", 44.1, 0.999_877_499, 600_000.0, 3_200_000.0),
    (27574, "Lambert zone IV", 42.165, 0.999_944_71, 234.358, 4_185_861.369),
];

/// Paris meridian, degrees east of Greenwich: 2°20′14.025″ as the IGN and PROJ have it (EPSG 8903
/// rounds it to 2.5969213 grads, 0.3 mm away).
pub(super) const PARIS: f64 = 2.0 + 20.0 / 60.0 + 14.025 / 3600.0;

/// The three realisations of RGF93: name, code of Lambert-93, code of CC42.
const RGF93: [(&str, u32, u32); 3] =
    [("RGF93 v1", 2154, 3942), ("RGF93 v2", 9793, 9822), ("RGF93 v2b", 9794, 9842)];

/// All of them, the most usual first.
fn entries() -> impl Iterator<Item = Entry> {
    let geographic = GEOGRAPHIC.iter().map(|&(code, name, datum, area)| Entry {
        code,
        name: name.to_owned(),
        params: Params { method: Method::Geographic, datum },
        area,
    });
    let web = std::iter::once(Entry {
        code: 3857,
        name: "WGS 84 / Pseudo-Mercator".to_owned(),
        params: Params { method: Method::WebMercator, datum: Datum::Wgs84 },
        area: WORLD,
    });
    let rgf93 = RGF93.iter().flat_map(|&(datum, lambert_93, cc42)| {
        std::iter::once(lambert_93_entry(datum, lambert_93))
            .chain((0..9).map(move |zone| cc_entry(datum, cc42 + zone, 42 + zone)))
    });
    let utm = UTM.iter().map(|&(code, name, datum, lon_0, south, area)| Entry {
        code,
        name: name.to_owned(),
        params: utm(datum, lon_0, south),
        area,
    });
    let ntf = NTF.iter().map(|&(code, name, lat, k, x_0, y_0)| Entry {
        code,
        name: format!("NTF (Paris) / {name}"),
        params: Params {
            method: Method::Lambert(Cone {
                lat_0: lat,
                lon_0: PARIS,
                lat_1: lat,
                lat_2: lat,
                k,
                x_0,
                y_0,
            }),
            datum: Datum::Ntf,
        },
        area: METRO,
    });
    geographic.chain(web).chain(rgf93).chain(utm).chain(ntf).chain(std::iter::once(caledonia()))
}

fn lambert_93_entry(datum: &str, code: u32) -> Entry {
    let method = Method::Lambert(Cone {
        lat_0: 46.5,
        lon_0: 3.0,
        lat_1: 49.0,
        lat_2: 44.0,
        k: 1.0,
        x_0: 700_000.0,
        y_0: 6_600_000.0,
    });
    let params = Params { method, datum: Datum::Grs80 };
    Entry { code, name: format!("{datum} / Lambert-93"), params, area: METRO }
}

/// The conformal conics by zone: each on its whole degree, parallels 0.75° around it.
fn cc_entry(datum: &str, code: u32, degree: u32) -> Entry {
    let lat_0 = f64::from(degree);
    let method = Method::Lambert(Cone {
        lat_0,
        lon_0: 3.0,
        lat_1: lat_0 - 0.75,
        lat_2: lat_0 + 0.75,
        k: 1.0,
        x_0: 1_700_000.0,
        y_0: f64::from(degree - 41) * 1_000_000.0 + 200_000.0,
    });
    let params = Params { method, datum: Datum::Grs80 };
    Entry { code, name: format!("{datum} / CC{degree}"), params, area: METRO }
}

fn utm(datum: Datum, lon_0: f64, south: bool) -> Params {
    let y_0 = if south { 10_000_000.0 } else { 0.0 };
    let method =
        Method::TransverseMercator(Cylinder { lat_0: 0.0, lon_0, k: 0.9996, x_0: 500_000.0, y_0 });
    Params { method, datum }
}

fn caledonia() -> Entry {
    let method = Method::Lambert(Cone {
        lat_0: -21.5,
        lon_0: 166.0,
        lat_1: -20.0 - 2.0 / 3.0,
        lat_2: -22.0 - 1.0 / 3.0,
        k: 1.0,
        x_0: 400_000.0,
        y_0: 300_000.0,
    });
    Entry {
        code: 3163,
        name: "RGNC91-93 / Lambert New Caledonia".to_owned(),
        params: Params { method, datum: Datum::Grs80 },
        area: CALEDONIE,
    }
}

pub(super) fn codes() -> impl Iterator<Item = u32> {
    entries().map(|e| e.code)
}

pub(super) fn by_code(code: u32) -> Option<Entry> {
    entries().find(|e| e.code == code)
}

/// The most usual system with these parameters.
pub(super) fn by_params(params: &Params) -> Option<Entry> {
    entries().find(|e| e.params.same(params))
}

/// What error messages list.
pub(super) fn main_codes() -> String {
    let mut list: Vec<u32> = codes().collect();
    list.sort_unstable();
    list.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

/// Folds the spellings of EPSG, ESRI and people: `RGF_1993_Lambert_93`, `RGF93 v1 / Lambert-93`
/// and `RGF93 / Lambert-93` become one.
fn fold(name: &str) -> String {
    let mut s: String =
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    for (from, to) in [
        ("rgf1993", "rgf93"),
        ("rgf93v1", "rgf93"),
        ("rgfg1995", "rgfg95"),
        ("rgr1992", "rgr92"),
        ("rgm2004", "rgm04"),
        ("rgspm2006", "rgspm06"),
        ("rraf1991", "rraf91"),
        ("wgs1984", "wgs84"),
        ("etrs1989", "etrs89"),
        ("utmzone", "utm"),
        ("webmercatorauxiliarysphere", "pseudomercator"),
        ("webmercator", "pseudomercator"),
    ] {
        s = s.replace(from, to);
    }
    s.strip_prefix("gcs").map(str::to_owned).unwrap_or(s)
}

pub(super) fn by_name(name: &str) -> Option<Entry> {
    let folded = fold(name);
    let code = match folded.as_str() {
        "lambert93" => 2154,
        "lambert2etendu" | "lambertiitendu" | "lambertiietendu" => 27572,
        "ntfparislambertiietendu" | "ntflambertiietendu" | "ntfparislambertzoneiitendu" => 27572,
        "pseudomercator" => 3857,
        cc if cc.len() == 4 && cc.starts_with("cc") => {
            cc[2..].parse().ok().filter(|z| (42..=50).contains(z)).map(|z: u32| 3900 + z)?
        }
        _ => return entries().find(|e| fold(&e.name) == folded),
    };
    by_code(code)
}
