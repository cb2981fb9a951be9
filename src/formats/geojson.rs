//! GeoJSON (RFC 7946) written straight from the store's bytes: WKB and borrowed values become
//! text without a tree in between.

pub(in crate::formats) mod fixed;

use self::fixed::Decimals;
use super::wkb::{Broken, Cursor, Header, Kind};
use crate::model::{Schema, ValueRef};
use std::io::Write as _;

/// Decimals of a degree that are written unless told otherwise: 0.1 mm.
pub const DECIMALS: u8 = 9;
/// The same of a metre.
pub const METRE_DECIMALS: u8 = 4;

/// Writes rows as `Feature` objects straight from the store's bytes, without a tree of JSON
/// values in between.
pub struct FeatureWriter {
    /// `"name":` for each field, escaped once, with the comma that stands before it.
    keys: Vec<Vec<u8>>,
    decimals: Decimals,
}

impl FeatureWriter {
    /// A writer for rows of this schema.
    pub fn new(schema: &Schema) -> Self {
        let key = |(i, field): (usize, &crate::model::Field)| {
            let mut key = Vec::with_capacity(field.name.len() + 4);
            if i > 0 {
                key.push(b',');
            }
            write_string(&field.name, &mut key);
            key.push(b':');
            key
        };
        Self {
            keys: schema.fields.iter().enumerate().map(key).collect(),
            decimals: Decimals::new(DECIMALS),
        }
    }

    /// The same with another number of decimals for coordinates, at most 9.
    #[must_use]
    pub fn with_decimals(mut self, decimals: u8) -> Self {
        self.decimals = Decimals::new(decimals);
        self
    }

    /// Appends one feature. All properties are present, null explicit; coordinates have at most
    /// 9 decimals (0.1 mm), trailing zeros trimmed.
    ///
    /// Bytes that are not a geometry can only come from a damaged store: they are logged and the
    /// geometry is written as null. Use [`FeatureWriter::try_write`] to fail instead.
    pub fn write(
        &mut self,
        id: &str,
        values: &[ValueRef<'_>],
        wkb: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) {
        if let Err(broken) = self.try_write(id, values, wkb, out) {
            tracing::error!(feature = id, %broken, "stored geometry cannot be read");
            self.start(id, out);
            out.extend_from_slice(b"null");
            self.finish(values, out);
        }
    }

    /// As [`FeatureWriter::write`], but fails, leaving `out` as it was, when the bytes are not a
    /// geometry or hold a coordinate that is not a finite number.
    pub fn try_write(
        &mut self,
        id: &str,
        values: &[ValueRef<'_>],
        wkb: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) -> Result<(), Broken> {
        let before = out.len();
        self.start(id, out);
        match wkb {
            None => out.extend_from_slice(b"null"),
            Some(bytes) => {
                if let Err(broken) = geometry(&mut Cursor::new(bytes), None, 0, self.decimals, out)
                {
                    out.truncate(before);
                    return Err(broken);
                }
            }
        }
        self.finish(values, out);
        Ok(())
    }

    fn start(&self, id: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"type":"Feature","id":"#);
        write_string(id, out);
        out.extend_from_slice(br#","geometry":"#);
    }

    fn finish(&self, values: &[ValueRef<'_>], out: &mut Vec<u8>) {
        out.extend_from_slice(br#","properties":{"#);
        for (i, key) in self.keys.iter().enumerate() {
            out.extend_from_slice(key);
            write_value(values.get(i).copied().unwrap_or(ValueRef::Null), out);
        }
        out.extend_from_slice(b"}}");
    }
}

/// Appends a geometry object from WKB, with at most `decimals` (≤ 9) decimals.
pub fn write_geometry(wkb: &[u8], decimals: u8, out: &mut Vec<u8>) -> Result<(), Broken> {
    let before = out.len();
    let written = geometry(&mut Cursor::new(wkb), None, 0, Decimals::new(decimals), out);
    if written.is_err() {
        out.truncate(before);
    }
    written
}

/// How deep collections may nest (as in [`super::wkb`]).
const MAX_DEPTH: u8 = 32;

fn geometry(
    c: &mut Cursor<'_>,
    parent: Option<&Header>,
    depth: u8,
    decimals: Decimals,
    out: &mut Vec<u8>,
) -> Result<(), Broken> {
    let h = match parent {
        Some(parent) => c.part(parent)?,
        None => c.header()?,
    };
    let head: &[u8] = match h.kind {
        Kind::Point => br#"{"type":"Point","coordinates":"#,
        Kind::LineString => br#"{"type":"LineString","coordinates":"#,
        Kind::Polygon => br#"{"type":"Polygon","coordinates":"#,
        Kind::MultiPoint => br#"{"type":"MultiPoint","coordinates":"#,
        Kind::MultiLineString => br#"{"type":"MultiLineString","coordinates":"#,
        Kind::MultiPolygon => br#"{"type":"MultiPolygon","coordinates":"#,
        Kind::GeometryCollection => br#"{"type":"GeometryCollection","geometries":"#,
    };
    out.extend_from_slice(head);
    match h.kind {
        Kind::GeometryCollection => {
            if depth >= MAX_DEPTH {
                return Err(Broken::TooDeep);
            }
            let n = c.parts(&h)?;
            list(n, out, |out| geometry(c, Some(&h), depth + 1, decimals, out))?;
        }
        Kind::MultiPoint => {
            // An empty part has no place in a list of positions: it is left out.
            let n = c.parts(&h)?;
            out.push(b'[');
            let first = out.len();
            for _ in 0..n {
                let part = c.part(&h)?;
                if let Some(p) = c.point(&part)? {
                    if out.len() > first {
                        out.push(b',');
                    }
                    decimals.position(p, out)?;
                }
            }
            out.push(b']');
        }
        Kind::MultiLineString | Kind::MultiPolygon => {
            let n = c.parts(&h)?;
            list(n, out, |out| {
                let part = c.part(&h)?;
                coordinates(c, &part, decimals, out)
            })?;
        }
        _ => coordinates(c, &h, decimals, out)?,
    }
    out.push(b'}');
    Ok(())
}

/// The coordinates of a point, a line or a polygon, behind its header.
fn coordinates(
    c: &mut Cursor<'_>,
    h: &Header,
    decimals: Decimals,
    out: &mut Vec<u8>,
) -> Result<(), Broken> {
    match h.kind {
        Kind::Point => match c.point(h)? {
            Some(p) => decimals.position(p, out),
            None => {
                out.extend_from_slice(b"[]");
                Ok(())
            }
        },
        Kind::LineString => decimals.positions(c.line(h)?, out),
        _ => {
            let n = c.rings(h)?;
            list(n, out, |out| decimals.positions(c.line(h)?, out))
        }
    }
}

fn list(
    n: usize,
    out: &mut Vec<u8>,
    mut one: impl FnMut(&mut Vec<u8>) -> Result<(), Broken>,
) -> Result<(), Broken> {
    out.push(b'[');
    for i in 0..n {
        if i > 0 {
            out.push(b',');
        }
        one(out)?;
    }
    out.push(b']');
    Ok(())
}

fn write_value(value: ValueRef<'_>, out: &mut Vec<u8>) {
    match value {
        ValueRef::Null => out.extend_from_slice(b"null"),
        ValueRef::Bool(true) => out.extend_from_slice(b"true"),
        ValueRef::Bool(false) => out.extend_from_slice(b"false"),
        ValueRef::Int(i) => write_int(i, out),
        ValueRef::Float(f) => write_float(f, out),
        ValueRef::Text(s) => write_string(s, out),
        ValueRef::Json(s) => out.extend_from_slice(s.as_bytes()),
    }
}

/// Appends an integer in decimal.
pub fn write_int(value: i64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends the shortest decimal that reads back as the same double (`1.0`, `1e+300`); what JSON
/// cannot say (infinite, not a number) is null.
pub fn write_float(value: f64, out: &mut Vec<u8>) {
    // Writing a number to a Vec cannot fail, and serde_json writes non-finite ones as null.
    let _ = serde_json::to_writer(out, &value);
}

/// Appends a JSON string: quotes, backslashes and control characters escaped, all else as it is.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut from = 0;
    for (i, &b) in bytes.iter().enumerate() {
        if b >= 0x20 && b != b'"' && b != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[from..i]);
        from = i + 1;
        match b {
            b'"' => out.extend_from_slice(br#"\""#),
            b'\\' => out.extend_from_slice(br"\\"),
            b'\n' => out.extend_from_slice(br"\n"),
            b'\r' => out.extend_from_slice(br"\r"),
            b'\t' => out.extend_from_slice(br"\t"),
            _ => {
                // Cannot fail on a Vec.
                let _ = write!(out, "\\u{b:04x}");
            }
        }
    }
    out.extend_from_slice(&bytes[from..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        formats::wkb,
        model::{Field, FieldKind, GeometryKind},
    };
    use geo_types::{Geometry, point};
    use proptest::prelude::*;

    fn schema(names: &[&str]) -> Schema {
        let field = |n: &&str| Field { name: (*n).to_owned(), kind: FieldKind::Text };
        Schema { fields: names.iter().map(field).collect(), geometry: GeometryKind::Geometry }
    }

    fn bytes(g: &Geometry<f64>) -> Vec<u8> {
        let mut out = Vec::new();
        wkb::write(g, &mut out);
        out
    }

    fn text(g: &Geometry<f64>) -> String {
        let mut out = Vec::new();
        write_geometry(&bytes(g), 9, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_feature_with_every_kind_of_value() {
        let mut w =
            FeatureWriter::new(&schema(&["code", "l'\"été\"", "n", "f", "ok", "x", "j", "m"]));
        let mut out = Vec::new();
        let values = [
            ValueRef::Text("2A\\\n\u{1}é"),
            ValueRef::Null,
            ValueRef::Int(i64::MIN),
            ValueRef::Float(1.0),
            ValueRef::Bool(true),
            ValueRef::Float(f64::NAN),
            ValueRef::Json(r#"{"a":[1]}"#),
        ];
        w.write("a\"b", &values, Some(&bytes(&point!(x: 2.5, y: -48.0).into())), &mut out);
        let expected = concat!(
            r#"{"type":"Feature","id":"a\"b","geometry":{"type":"Point","coordinates":[2.5,-48]},"#,
            r#""properties":{"code":"2A\\\n\u0001é","l'\"été\"":null,"n":-9223372036854775808,"#,
            r#""f":1.0,"ok":true,"x":null,"j":{"a":[1]},"m":null}}"#
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn no_fields_and_no_geometry() {
        let mut out = Vec::new();
        FeatureWriter::new(&schema(&[])).write("1", &[], None, &mut out);
        let expected = r#"{"type":"Feature","id":"1","geometry":null,"properties":{}}"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn every_geometry_type() {
        use geo_types::*;
        let ring = LineString::from(vec![(0.0, 0.0), (1.0, 0.0), (1.0, 1.5), (0.0, 0.0)]);
        let hole = LineString::from(vec![(0.5, 0.1), (0.6, 0.2), (0.6, 0.1), (0.5, 0.1)]);
        let area = Polygon::new(ring.clone(), vec![hole]);
        let area_text = "[[[0,0],[1,0],[1,1.5],[0,0]],[[0.5,0.1],[0.6,0.2],[0.6,0.1],[0.5,0.1]]]";
        assert_eq!(
            text(&area.clone().into()),
            format!(r#"{{"type":"Polygon","coordinates":{area_text}}}"#)
        );
        assert_eq!(
            text(&MultiPolygon(vec![area.clone(), area]).into()),
            format!(r#"{{"type":"MultiPolygon","coordinates":[{area_text},{area_text}]}}"#)
        );
        let lines = MultiLineString(vec![ring, LineString(vec![])]);
        assert_eq!(
            text(&lines.into()),
            r#"{"type":"MultiLineString","coordinates":[[[0,0],[1,0],[1,1.5],[0,0]],[]]}"#
        );
        let points = MultiPoint(vec![Point::new(1.0, 2.0), Point::new(-3.0, 0.0)]);
        assert_eq!(
            text(&points.clone().into()),
            r#"{"type":"MultiPoint","coordinates":[[1,2],[-3,0]]}"#
        );
        let all = GeometryCollection(vec![points.into(), Point::new(0.0, 0.0).into()]);
        assert_eq!(
            text(&Geometry::GeometryCollection(all)),
            concat!(
                r#"{"type":"GeometryCollection","geometries":[{"type":"MultiPoint","coordinates":"#,
                r#"[[1,2],[-3,0]]},{"type":"Point","coordinates":[0,0]}]}"#
            )
        );
        assert_eq!(
            text(&Geometry::GeometryCollection(GeometryCollection(vec![]))),
            r#"{"type":"GeometryCollection","geometries":[]}"#
        );
    }

    #[test]
    fn broken_bytes_leave_the_output_untouched() {
        let mut w = FeatureWriter::new(&schema(&["a"]));
        let mut out = b"before".to_vec();
        let mut cut = bytes(&point!(x: 2.5, y: 48.0).into());
        cut.truncate(15);
        assert_eq!(w.try_write("1", &[], Some(&cut), &mut out), Err(Broken::Truncated));
        let inf = bytes(&point!(x: f64::INFINITY, y: 48.0).into());
        assert_eq!(w.try_write("1", &[], Some(&inf), &mut out), Err(Broken::NotFinite));
        assert_eq!(out, b"before");
        w.write("1", &[], Some(&cut), &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"before{"type":"Feature","id":"1","geometry":null,"properties":{"a":null}}"#
        );
    }

    /// The communes of 2018 came with 5 decimals and in our own spelling: written again, each
    /// geometry must be the same text.
    #[test]
    fn communes_are_written_as_they_came() {
        #[derive(serde::Deserialize)]
        struct File {
            features: Vec<Commune>,
        }
        #[derive(serde::Deserialize)]
        struct Commune {
            geometry: Box<serde_json::value::RawValue>,
        }
        #[derive(serde::Deserialize)]
        #[serde(tag = "type", content = "coordinates")]
        enum Shape {
            Polygon(Vec<Vec<[f64; 2]>>),
            MultiPolygon(Vec<Vec<Vec<[f64; 2]>>>),
        }
        const NAME: &str = "shared/data/communes-2018.geojson.gz";
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let Some(path) =
            ["..", "../.."].map(|up| root.join(up).join(NAME)).into_iter().find(|p| p.exists())
        else {
            println!("communes_are_written_as_they_came: skipped, {NAME} is not at hand");
            return;
        };
        let mut text = Vec::new();
        let mut zipped = flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap());
        std::io::Read::read_to_end(&mut zipped, &mut text).unwrap();
        let file: File = serde_json::from_slice(&text).unwrap();
        let polygon = |rings: Vec<Vec<[f64; 2]>>| {
            let ring = |r: Vec<[f64; 2]>| r.into_iter().map(geo_types::Coord::from).collect();
            let mut rings = rings.into_iter().map(ring);
            geo_types::Polygon::new(rings.next().unwrap(), rings.collect())
        };
        let stored: Vec<Vec<u8>> = file
            .features
            .iter()
            .map(|f| match serde_json::from_str(f.geometry.get()).unwrap() {
                Shape::Polygon(p) => bytes(&polygon(p).into()),
                Shape::MultiPolygon(m) => {
                    bytes(&geo_types::MultiPolygon(m.into_iter().map(polygon).collect()).into())
                }
            })
            .collect();
        let mut w = FeatureWriter::new(&schema(&["code", "nom", "dep"]));
        let values = [ValueRef::Text("59350"), ValueRef::Text("Lille"), ValueRef::Text("59")];
        let mut out = Vec::new();
        let mut total = 0;
        // Processor time of this thread, which does not depend on what else runs.
        let cpu = || {
            let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
            told.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
        };
        let start = cpu();
        for wkb in &stored {
            out.clear();
            w.try_write("59350", &values, Some(wkb), &mut out).unwrap();
            total += out.len();
        }
        let per_second = stored.len() as f64 / (cpu() - start);
        println!("communes_are_written_as_they_came: {per_second:.0} features/s, {total} bytes");
        for (f, wkb) in file.features.iter().zip(&stored) {
            out.clear();
            write_geometry(wkb, DECIMALS, &mut out).unwrap();
            let (ours, source) = (std::str::from_utf8(&out).unwrap(), f.geometry.get());
            if source.contains("e-05") {
                // Beside the meridian of Greenwich the source has exponents where we have zeros.
                let parse = |t| serde_json::from_str::<serde_json::Value>(t).unwrap();
                assert_eq!(parse(ours), parse(source));
            } else {
                assert_eq!(ours, source);
            }
        }
    }

    proptest! {
        #[test]
        fn strings_read_back(s in "\\PC*", raw in any::<String>()) {
            for s in [s, raw] {
                let mut out = Vec::new();
                write_string(&s, &mut out);
                prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), s);
            }
        }

        #[test]
        fn long_lines_read_back(points in prop::collection::vec((-180.0..180.0f64, -90.0..90.0f64), 0..400), odd in any::<prop::sample::Index>()) {
            let mut coords: Vec<_> = points.into_iter().map(geo_types::Coord::from).collect();
            if !coords.is_empty() {
                // One number in the middle that the fast path leaves to the slow one.
                let i = odd.index(coords.len());
                coords[i].y = 123_456.75;
            }
            let g: Geometry<f64> = geo_types::LineString(coords.clone()).into();
            let v: serde_json::Value = serde_json::from_str(&text(&g)).unwrap();
            let back = v["coordinates"].as_array().unwrap();
            prop_assert_eq!(back.len(), coords.len());
            for (b, c) in back.iter().zip(&coords) {
                prop_assert!((b[0].as_f64().unwrap() - c.x).abs() < 6e-10);
                prop_assert!((b[1].as_f64().unwrap() - c.y).abs() < 6e-10);
            }
        }

        #[test]
        fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = write_geometry(&bytes, 9, &mut Vec::new());
        }
    }
}
