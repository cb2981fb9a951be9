//! Well-known text of coordinate reference systems: OGC WKT 1 (01-009), ESRI's, and WKT 2
//! (18-010r7), as far as needed to recognise a system by code, by name, or by its parameters.

use super::{
    Crs,
    known::{self, Cone, Cylinder, Datum, Method, Params},
};
use std::{iter::Peekable, str::Chars};

/// Deepest nesting and most items that are read: real definitions stay far below.
const MAX_DEPTH: usize = 16;
const MAX_ITEMS: usize = 2000;

/// A bracketed item: `KEYWORD[argument, …]`.
#[derive(Debug, Default)]
struct Node {
    keyword: String,
    texts: Vec<String>,
    numbers: Vec<f64>,
    children: Vec<Node>,
}

impl Node {
    fn child(&self, keywords: &[&str]) -> Option<&Node> {
        self.children.iter().find(|c| keywords.contains(&c.keyword.as_str()))
    }

    fn name(&self) -> &str {
        self.texts.first().map_or("", String::as_str)
    }

    /// The code of `AUTHORITY["EPSG","n"]` or `ID["EPSG",n]`.
    fn epsg(&self) -> Option<u32> {
        let id = self.child(&["AUTHORITY", "ID"])?;
        if !id.name().eq_ignore_ascii_case("EPSG") {
            return None;
        }
        match (id.texts.get(1), id.numbers.first()) {
            (Some(text), _) => text.trim().parse().ok(),
            (None, Some(n)) if *n >= 0.0 && *n < 1e9 => Some(*n as u32),
            _ => None,
        }
    }
}

/// Recognises a definition; `None` when it is malformed or of no known kind.
pub(super) fn parse(text: &str) -> Option<Crs> {
    let mut left = MAX_ITEMS;
    let node = read(&mut text.chars().peekable(), 0, &mut left)?;
    recognise(&node)
}

fn read(chars: &mut Peekable<Chars<'_>>, depth: usize, left: &mut usize) -> Option<Node> {
    let keyword = word(chars);
    let open = chars.next()?;
    if depth > MAX_DEPTH || keyword.is_empty() || !matches!(open, '[' | '(') {
        return None;
    }
    let mut node = Node { keyword: keyword.to_ascii_uppercase(), ..Node::default() };
    loop {
        *left = left.checked_sub(1)?;
        spaces(chars);
        match chars.peek()? {
            '"' => node.texts.push(quoted(chars)?),
            '0'..='9' | '-' | '+' | '.' => node.numbers.push(number(chars)?),
            ']' | ')' => {}
            _ => {
                let ahead: Option<char> =
                    chars.clone().find(|c| !(c.is_alphanumeric() || *c == '_'));
                if matches!(ahead, Some('[' | '(')) {
                    node.children.push(read(chars, depth + 1, left)?);
                } else {
                    // An enumeration word: an axis direction, a coordinate system type.
                    let bare = word(chars);
                    if bare.is_empty() {
                        return None;
                    }
                }
            }
        }
        spaces(chars);
        match chars.next()? {
            ',' => {}
            ']' | ')' => return Some(node),
            _ => return None,
        }
    }
}

fn spaces(chars: &mut Peekable<Chars<'_>>) {
    while chars.next_if(|c| c.is_whitespace()).is_some() {}
}

fn word(chars: &mut Peekable<Chars<'_>>) -> String {
    spaces(chars);
    let mut word = String::new();
    while let Some(c) = chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
        word.push(c);
    }
    spaces(chars);
    word
}

fn quoted(chars: &mut Peekable<Chars<'_>>) -> Option<String> {
    chars.next();
    let mut text = String::new();
    loop {
        match chars.next()? {
            // A doubled quote stands for one.
            '"' if chars.next_if_eq(&'"').is_none() => return Some(text),
            c => text.push(c),
        }
    }
}

fn number(chars: &mut Peekable<Chars<'_>>) -> Option<f64> {
    let mut text = String::new();
    while let Some(c) = chars.next_if(|c| c.is_ascii_digit() || "+-.eE".contains(*c)) {
        text.push(c);
    }
    text.parse().ok().filter(|n: &f64| n.is_finite())
}

fn recognise(node: &Node) -> Option<Crs> {
    match node.keyword.as_str() {
        // The horizontal part comes first in a compound, the source in a bound system.
        "COMPD_CS" | "COMPOUNDCRS" | "BOUNDCRS" | "SOURCECRS" => recognise(node.children.first()?),
        "PROJCS" | "PROJCRS" | "PROJECTEDCRS" | "GEOGCS" | "GEOGCRS" | "GEOGRAPHICCRS"
        | "GEODCRS" | "GEODETICCRS" => system(node),
        _ => None,
    }
}

fn system(node: &Node) -> Option<Crs> {
    let params = params(node);
    let entry = node
        .epsg()
        .and_then(known::by_code)
        .or_else(|| known::by_name(node.name()))
        // A name or code that contradicts the parameters is not believed.
        .filter(|e| params.is_none_or(|p| e.params.same(&p)))
        .or_else(|| params.and_then(|p| known::by_params(&p)));
    match (entry, params) {
        (Some(entry), _) => Some(Crs::from_entry(&entry)),
        (None, Some(params)) => {
            let name: String = node.name().chars().take(80).collect();
            Some(Crs::from_params(None, name, params, None))
        }
        (None, None) => None,
    }
}

/// The parameters of a definition, when its method, units and ellipsoid are known.
fn params(node: &Node) -> Option<Params> {
    let projected = node.keyword.starts_with("PROJ");
    let geographic =
        if projected { node.child(&["GEOGCS", "BASEGEOGCRS", "BASEGEODCRS"])? } else { node };
    let frame = geographic.child(&["DATUM", "ENSEMBLE", "GEODETICDATUM", "TRF"])?;
    let ellipsoid = frame.child(&["SPHEROID", "ELLIPSOID"])?;
    let datum = datum(frame.name(), ellipsoid)?;
    // Degrees by default; grads in the Paris systems.
    let unit = geographic
        .child(&["UNIT", "ANGLEUNIT"])
        .or_else(|| geographic.child(&["CS"]).and_then(|cs| cs.child(&["UNIT", "ANGLEUNIT"])));
    let degree = unit.and_then(|u| u.numbers.first()).map_or(1.0, |r| r.to_degrees());
    let meridian = meridian(geographic.child(&["PRIMEM", "PRIMEMERIDIAN"]));
    if !projected {
        let plain = (degree - 1.0).abs() < 1e-9 && meridian == 0.0;
        return plain.then_some(Params { method: Method::Geographic, datum });
    }
    let linear = node.child(&["UNIT", "LENGTHUNIT"]).and_then(|u| u.numbers.first());
    if linear.is_some_and(|metre| (metre - 1.0).abs() > 1e-12) {
        return None;
    }
    Some(Params { method: method(node, degree, meridian)?, datum })
}

/// Longitude of the prime meridian, degrees. ESRI and OGC write Paris in degrees, others in
/// grads; both are Paris.
fn meridian(node: Option<&Node>) -> f64 {
    let value = node.and_then(|n| n.numbers.first()).copied().unwrap_or(0.0);
    let paris = (value - known::PARIS).abs() < 1e-4 || (value - 2.596_921_3).abs() < 1e-4;
    if paris { known::PARIS } else { value }
}

/// Datums are known by their ellipsoid: those on GRS 80 and WGS 84 that French data uses coincide
/// with WGS 84; those on Clarke 1880 IGN are the NTF.
fn datum(name: &str, ellipsoid: &Node) -> Option<Datum> {
    let [a, inverse_flattening, ..] = ellipsoid.numbers[..] else { return None };
    let is =
        |axis: f64, flat: f64| (a - axis).abs() < 0.01 && (inverse_flattening - flat).abs() < 1e-4;
    if is(6_378_249.2, 293.466_021) {
        let french = name.to_ascii_uppercase();
        return (french.contains("NTF") || french.contains("TRIANGULATION")).then_some(Datum::Ntf);
    }
    if (a - 6_378_137.0).abs() > 0.01 || (inverse_flattening - 298.257_223).abs() > 1e-5 {
        return None;
    }
    let grs80 = (inverse_flattening - 298.257_222_101).abs() < 1e-7;
    Some(if grs80 { Datum::Grs80 } else { Datum::Wgs84 })
}

fn fold(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

fn method(node: &Node, degree: f64, meridian: f64) -> Option<Method> {
    let conversion = node.child(&["CONVERSION"]).unwrap_or(node);
    let name = fold(conversion.child(&["PROJECTION", "METHOD"])?.name());
    let find = |names: &[&str]| {
        conversion.children.iter().filter(|c| c.keyword == "PARAMETER").find_map(|c| {
            names.contains(&fold(c.name()).as_str()).then(|| (c, c.numbers.first().copied()))
        })
    };
    let length = |names: &[&str]| find(names).and_then(|(_, v)| v).unwrap_or(0.0);
    let angle = |names: &[&str]| {
        let (node, value) = find(names)?;
        // WKT 2 parameters carry their unit; WKT 1 ones are in the geographic system's.
        let own = node.child(&["ANGLEUNIT", "UNIT"]).and_then(|u| u.numbers.first());
        Some(value? * own.map_or(degree, |r| r.to_degrees()))
    };
    let lat_0 = angle(&["latitudeoforigin", "latitudeoffalseorigin", "latitudeofnaturalorigin"]);
    let lon_0 = angle(&[
        "centralmeridian",
        "longitudeoffalseorigin",
        "longitudeofnaturalorigin",
        "longitudeoforigin",
    ])
    .unwrap_or(0.0)
        + meridian;
    let k =
        find(&["scalefactor", "scalefactoratnaturalorigin"]).and_then(|(_, v)| v).unwrap_or(1.0);
    let x_0 = length(&["falseeasting", "eastingatfalseorigin"]);
    let y_0 = length(&["falsenorthing", "northingatfalseorigin"]);
    if name.starts_with("lambertconformalconic") || name.starts_with("lambertconicconformal") {
        let lat_0 = lat_0?;
        let lat_1 = angle(&["standardparallel1", "latitudeof1ststandardparallel"]).unwrap_or(lat_0);
        let lat_2 = angle(&["standardparallel2", "latitudeof2ndstandardparallel"]).unwrap_or(lat_1);
        let usable = lat_1.abs() < 90.0 && lat_2.abs() < 90.0 && (lat_1 + lat_2).abs() > 1e-6;
        let method = Method::Lambert(Cone { lat_0, lon_0, lat_1, lat_2, k, x_0, y_0 });
        return (usable && lat_0.abs() < 90.0 && k > 0.0).then_some(method);
    }
    match name.as_str() {
        "transversemercator" | "gausskruger" => {
            let lat_0 = lat_0.unwrap_or(0.0);
            let method = Method::TransverseMercator(Cylinder { lat_0, lon_0, k, x_0, y_0 });
            (lat_0.abs() < 90.0 && k > 0.0).then_some(method)
        }
        "mercatorauxiliarysphere" | "popularvisualisationpseudomercator" => {
            (lon_0 == 0.0 && x_0 == 0.0 && y_0 == 0.0).then_some(Method::WebMercator)
        }
        // GDAL writes web mercator in WKT 1 as a plain Mercator with an EXTENSION.
        "mercator1sp" if node.epsg() == Some(3857) => Some(Method::WebMercator),
        _ => None,
    }
}
