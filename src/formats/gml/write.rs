//! Features written straight from the store's bytes.

use super::{PREFIX, encode, feature_id};
use crate::{
    formats::{
        geojson::{self, DECIMALS, fixed::Decimals},
        wkb::{Broken, Cursor, Header, Kind},
    },
    model::{GeometryKind, Schema, ValueRef},
};

/// How deep collections may nest.
const MAX_DEPTH: u8 = 32;

/// A version of GML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gml {
    /// 3.2 (ISO 19136), of WFS 2.0.
    V32,
    /// 3.1.1, of WFS 1.1.
    V31,
    /// 2.1.2, of WFS 1.0.
    V2,
}

/// What is written of each feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Feature,
    /// Its `gml:id`.
    Id,
    /// The first field that rows come with.
    Value,
    /// The geometry.
    Geometry,
}

/// The type of a geometry property.
pub fn property_type(gml: Gml, kind: GeometryKind) -> &'static str {
    use GeometryKind as K;
    match (kind, gml) {
        (K::Point, _) => "gml:PointPropertyType",
        (K::MultiPoint, _) => "gml:MultiPointPropertyType",
        (K::LineString, Gml::V2) => "gml:LineStringPropertyType",
        (K::MultiLineString, Gml::V2) => "gml:MultiLineStringPropertyType",
        (K::Polygon, Gml::V2) => "gml:PolygonPropertyType",
        (K::MultiPolygon, Gml::V2) => "gml:MultiPolygonPropertyType",
        (K::LineString, _) => "gml:CurvePropertyType",
        (K::MultiLineString, _) => "gml:MultiCurvePropertyType",
        (K::Polygon, _) => "gml:SurfacePropertyType",
        (K::MultiPolygon, _) => "gml:MultiSurfacePropertyType",
        (K::None | K::Geometry, Gml::V2) => "gml:GeometryAssociationType",
        (K::None | K::Geometry, _) => "gml:GeometryPropertyType",
    }
}

/// Writes the features of a layer.
pub struct FeatureWriter {
    gml: Gml,
    part: Part,
    layer: String,
    /// The feature's element.
    name: String,
    /// Its fields' elements.
    fields: Vec<String>,
    geometry: String,
    srs: String,
    decimals: Decimals,
}

impl FeatureWriter {
    /// A writer for rows of a schema; `geometry` is the name of that property, `srs` that of the
    /// system.
    pub fn new(
        gml: Gml,
        part: Part,
        layer: &str,
        schema: &Schema,
        geometry: &str,
        srs: &str,
    ) -> Self {
        let own = |name: &str| format!("{PREFIX}:{}", encode(name));
        Self {
            gml,
            part,
            layer: layer.to_owned(),
            name: own(layer),
            fields: schema.fields.iter().map(|f| own(&f.name)).collect(),
            geometry: own(geometry),
            srs: srs.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;"),
            decimals: Decimals::new(DECIMALS),
        }
    }

    /// The same with another number of decimals for coordinates, at most 9.
    #[must_use]
    pub fn with_decimals(mut self, decimals: u8) -> Self {
        self.decimals = Decimals::new(decimals);
        self
    }

    /// Appends a member. All properties are present, without a value as `xsi:nil`.
    ///
    /// # Errors
    /// [`Broken`] when the bytes are no geometry; `out` is then as it was.
    pub fn write(
        &self,
        id: &str,
        values: &[ValueRef<'_>],
        wkb: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) -> Result<(), Broken> {
        let before = out.len();
        let written = self.member(id, values, wkb, out);
        if written.is_err() {
            out.truncate(before);
        }
        written
    }

    fn member(
        &self,
        id: &str,
        values: &[ValueRef<'_>],
        wkb: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) -> Result<(), Broken> {
        let member: &str = if self.gml == Gml::V32 { "wfs:member" } else { "gml:featureMember" };
        let id = feature_id(&self.layer, id);
        put(out, &["<", member, ">"]);
        match self.part {
            Part::Id => out.extend_from_slice(id.as_bytes()),
            Part::Value => self.fields(values, 1, out),
            Part::Geometry => self.shape(&id, wkb, out)?,
            Part::Feature => {
                let key = if self.gml == Gml::V2 { " fid=\"" } else { " gml:id=\"" };
                put(out, &["<", &self.name, key, &id, "\">"]);
                self.fields(values, self.fields.len(), out);
                self.shape(&id, wkb, out)?;
                put(out, &["</", &self.name, ">"]);
            }
        }
        put(out, &["</", member, ">\n"]);
        Ok(())
    }

    fn fields(&self, values: &[ValueRef<'_>], most: usize, out: &mut Vec<u8>) {
        for (i, name) in self.fields.iter().enumerate().take(most) {
            match values.get(i).copied().unwrap_or(ValueRef::Null) {
                ValueRef::Null => put(out, &["<", name, " xsi:nil=\"true\"/>"]),
                value => {
                    put(out, &["<", name, ">"]);
                    write_value(value, out);
                    put(out, &["</", name, ">"]);
                }
            }
        }
    }

    fn shape(&self, id: &str, wkb: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), Broken> {
        let Some(wkb) = wkb else { return Ok(()) };
        put(out, &["<", &self.geometry, ">"]);
        let mut shapes = Shapes { writer: self, id, next: 0 };
        shapes.geometry(&mut Cursor::new(wkb), None, 0, out)?;
        put(out, &["</", &self.geometry, ">"]);
        Ok(())
    }
}

/// Writes the geometry of a feature; in GML 3.2 each of its parts has an id.
struct Shapes<'a> {
    writer: &'a FeatureWriter,
    id: &'a str,
    next: u32,
}

impl Shapes<'_> {
    fn start(&mut self, name: &str, out: &mut Vec<u8>) {
        put(out, &["<gml:", name]);
        let n = self.next;
        self.next += 1;
        if self.writer.gml == Gml::V32 {
            put(out, &[" gml:id=\"", self.id, ".g"]);
            geojson::write_int(n.into(), out);
            out.push(b'"');
        }
        if n == 0 {
            put(out, &[" srsName=\"", &self.writer.srs, "\""]);
            if self.writer.gml != Gml::V2 {
                put(out, &[" srsDimension=\"2\""]);
            }
        }
        out.push(b'>');
    }

    fn geometry(
        &mut self,
        c: &mut Cursor<'_>,
        parent: Option<&Header>,
        depth: u8,
        out: &mut Vec<u8>,
    ) -> Result<(), Broken> {
        let h = match parent {
            Some(parent) => c.part(parent)?,
            None => c.header()?,
        };
        let old = self.writer.gml == Gml::V2;
        let (name, member) = match h.kind {
            Kind::Point | Kind::LineString | Kind::Polygon => return self.single(c, &h, out),
            Kind::MultiPoint => ("MultiPoint", "pointMember"),
            Kind::MultiLineString if old => ("MultiLineString", "lineStringMember"),
            Kind::MultiPolygon if old => ("MultiPolygon", "polygonMember"),
            Kind::MultiLineString => ("MultiCurve", "curveMember"),
            Kind::MultiPolygon => ("MultiSurface", "surfaceMember"),
            Kind::GeometryCollection => ("MultiGeometry", "geometryMember"),
        };
        if depth >= MAX_DEPTH {
            return Err(Broken::TooDeep);
        }
        self.start(name, out);
        for _ in 0..c.parts(&h)? {
            let before = out.len();
            put(out, &["<gml:", member, ">"]);
            let inside = out.len();
            self.geometry(c, Some(&h), depth + 1, out)?;
            // An empty part is left out.
            match out.len() > inside {
                true => put(out, &["</gml:", member, ">"]),
                false => out.truncate(before),
            }
        }
        put(out, &["</gml:", name, ">"]);
        Ok(())
    }

    fn single(&mut self, c: &mut Cursor<'_>, h: &Header, out: &mut Vec<u8>) -> Result<(), Broken> {
        let decimals = self.writer.decimals;
        match h.kind {
            Kind::Point => {
                let Some(p) = c.point(h)? else { return Ok(()) };
                self.start("Point", out);
                let (open, between, close) = match self.writer.gml {
                    Gml::V2 => ("<gml:coordinates>", b',', "</gml:coordinates>"),
                    _ => ("<gml:pos>", b' ', "</gml:pos>"),
                };
                put(out, &[open]);
                decimals.number(p.x, out)?;
                out.push(between);
                decimals.number(p.y, out)?;
                put(out, &[close, "</gml:Point>"]);
            }
            Kind::LineString => {
                self.start("LineString", out);
                self.line(c, h, out)?;
                put(out, &["</gml:LineString>"]);
            }
            _ => {
                let old = self.writer.gml == Gml::V2;
                self.start("Polygon", out);
                for ring in 0..c.rings(h)? {
                    let side = match (ring, old) {
                        (0, false) => "gml:exterior>",
                        (0, true) => "gml:outerBoundaryIs>",
                        (_, false) => "gml:interior>",
                        (_, true) => "gml:innerBoundaryIs>",
                    };
                    put(out, &["<", side, "<gml:LinearRing>"]);
                    self.line(c, h, out)?;
                    put(out, &["</gml:LinearRing></", side]);
                }
                put(out, &["</gml:Polygon>"]);
            }
        }
        Ok(())
    }

    fn line(&self, c: &mut Cursor<'_>, h: &Header, out: &mut Vec<u8>) -> Result<(), Broken> {
        let (name, between) = match self.writer.gml {
            Gml::V2 => ("gml:coordinates>", b','),
            _ => ("gml:posList>", b' '),
        };
        put(out, &["<", name]);
        self.writer.decimals.list(c.line(h)?, between, out)?;
        put(out, &["</", name]);
        Ok(())
    }
}

fn put(out: &mut Vec<u8>, pieces: &[&str]) {
    for piece in pieces {
        out.extend_from_slice(piece.as_bytes());
    }
}

fn write_value(value: ValueRef<'_>, out: &mut Vec<u8>) {
    match value {
        ValueRef::Null => {}
        ValueRef::Bool(b) => put(out, &[if b { "true" } else { "false" }]),
        ValueRef::Int(i) => geojson::write_int(i, out),
        ValueRef::Float(f) => geojson::write_float(f, out),
        ValueRef::Text(s) | ValueRef::Json(s) => {
            out.extend_from_slice(crate::formats::xml::escaped(s).as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::read, *};
    use crate::{
        formats::{wkb, xml_reader},
        model::{Field, FieldKind},
    };
    use geo_types::{Geometry, line_string, point, polygon};
    use proptest::prelude::*;

    fn write(gml: Gml, g: &Geometry<f64>) -> String {
        let field = |name: &str| Field { name: name.into(), kind: FieldKind::Text };
        let fields = vec![field("l'été"), field("n")];
        let schema = Schema { fields, geometry: GeometryKind::Geometry };
        let writer =
            FeatureWriter::new(gml, Part::Feature, "a-b", &schema, "geometry", "EPSG:2154");
        let (mut bytes, mut out) = (Vec::new(), Vec::new());
        wkb::write(g, &mut bytes);
        let values = [ValueRef::Text("<&>"), ValueRef::Null];
        writer.write("1", &values, Some(&bytes), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// A geometry read back from what is written of it.
    fn back(gml: Gml, g: &Geometry<f64>) -> Geometry<f64> {
        let member = xml_reader::read(&write(gml, g)).unwrap();
        let shape = member.child("a-b").unwrap().child("geometry").unwrap().children[0].clone();
        match read(&shape).unwrap() {
            super::super::Shape::Geometry(srs, g) => {
                assert_eq!(srs.as_deref(), Some("EPSG:2154"));
                g
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_feature_of_each_version() {
        let point: Geometry<f64> = point!(x: 1.5, y: 2.0).into();
        assert_eq!(
            write(Gml::V32, &point),
            "<wfs:member><socle:a-b gml:id=\"a-b.1\"><socle:l_x0027_été>&lt;&amp;&gt;</socle:l_x0027_été><socle:n xsi:nil=\"true\"/><socle:geometry><gml:Point gml:id=\"a-b.1.g0\" srsName=\"EPSG:2154\" srsDimension=\"2\"><gml:pos>1.5 2</gml:pos></gml:Point></socle:geometry></socle:a-b></wfs:member>\n"
        );
        assert!(write(Gml::V2, &point).contains("fid=\"a-b.1\""));
        assert!(write(Gml::V2, &point).contains("<gml:coordinates>1.5,2</gml:coordinates>"));
    }

    #[test]
    fn every_geometry_reads_back() {
        let hole = polygon!(exterior: [(x: 0., y: 0.), (x: 9., y: 0.), (x: 9., y: 9.), (x: 0., y: 0.)], interiors: [[(x: 5., y: 1.), (x: 6., y: 2.), (x: 6., y: 1.), (x: 5., y: 1.)]]);
        let line = line_string![(x: 1., y: 2.5), (x: -3., y: 4.)];
        let all: Vec<Geometry<f64>> = vec![
            point!(x: 1., y: 2.).into(),
            line.clone().into(),
            hole.clone().into(),
            geo_types::MultiPoint(vec![point!(x: 1., y: 2.), point!(x: 3., y: 4.)]).into(),
            geo_types::MultiLineString(vec![line.clone(), line.clone()]).into(),
            geo_types::MultiPolygon(vec![hole.clone(), hole.clone()]).into(),
            Geometry::GeometryCollection(geo_types::GeometryCollection(vec![
                hole.into(),
                line.into(),
            ])),
        ];
        for g in all {
            for gml in [Gml::V32, Gml::V31, Gml::V2] {
                assert_eq!(back(gml, &g), g, "{gml:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn long_lines_read_back(points in prop::collection::vec((-180.0..180.0f64, -90.0..90.0f64), 2..300)) {
            let g: Geometry<f64> = geo_types::LineString::from(points.clone()).into();
            let Geometry::LineString(back) = back(Gml::V32, &g) else { panic!() };
            prop_assert_eq!(back.0.len(), points.len());
            for (b, p) in back.0.iter().zip(&points) {
                prop_assert!((b.x - p.0).abs() < 6e-10 && (b.y - p.1).abs() < 6e-10);
            }
        }

        #[test]
        fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let schema = Schema::default();
            let writer = FeatureWriter::new(Gml::V2, Part::Feature, "a", &schema, "g", "");
            let _ = writer.write("1", &[], Some(&bytes), &mut Vec::new());
        }
    }
}
