//! Filters: CQL2 and those of WFS, from their text to what both stores make of them.

use super::{service, text as as_text};
use geo_types::Geometry;
use socle::{
    error::Result,
    items::{Frame, gml, read_xml},
    model::{Element, Field, FieldKind, GeometryKind, Mode, Schema, Selection},
    query::{
        cql2::{self, Context, Dialect, Kind, Node},
        fes::{self, Around, Lowered},
    },
    store::postgis,
    territory::Reference,
};
use std::sync::Arc;

/// CQL2 as text.
pub fn text(bytes: &[u8]) {
    cql2(Dialect::Text, bytes);
}

/// CQL2 as JSON.
pub fn json(bytes: &[u8]) {
    cql2(Dialect::Json, bytes);
}

fn cql2(dialect: Dialect, bytes: &[u8]) {
    let Some(filter) = as_text(bytes) else { return };
    let Ok(tree) = cql2::parse(dialect, filter) else { return };
    let (text, json) = (cql2::to_text(&tree), cql2::to_json(&tree).to_string());
    for (dialect, written) in [(Dialect::Text, text), (Dialect::Json, json)] {
        // What is written may be longer or deeper than what is read.
        if let Ok(again) = cql2::parse(dialect, &written) {
            assert_eq!(again, tree, "{written}");
        }
    }
    judge(&tree);
}

/// What a layer and its store make of a filter.
fn judge(tree: &Node) {
    let schema = service::schema();
    let Ok(expression) = cql2::check(tree, &schema, &Around84) else { return };
    let _ = postgis::statement(&expression, &schema);
    service::select(expression);
}

/// A filter of WFS, alone.
pub fn fes(bytes: &[u8]) {
    let Some(document) = as_text(bytes) else { return };
    let Ok(element) = read_xml(document) else { return };
    let written = element.to_xml();
    let again = read_xml(&written).map(|again| again.to_xml());
    assert!(again.is_ok_and(|again| again == written), "{written}");
    if let Ok(Lowered::Condition(tree)) = fes::lower(&element, &service::schema(), &Around84) {
        judge(&tree);
    }
}

/// What filters refer to, in degrees.
struct Around84;

impl Context for Around84 {
    fn territory(&self, written: &str, mode: Mode) -> Result<Arc<Selection>> {
        let reference = Reference::builtin();
        let codes = written.split(',').map(|unit| Ok(reference.resolve(unit)?.code));
        Ok(Arc::new(reference.select(&codes.collect::<Result<Vec<_>>>()?, mode)?))
    }

    fn place(&self, geometry: Geometry<f64>) -> Result<Geometry<f64>> {
        Frame::parse(None)?.place(geometry)
    }

    fn place_box(&self, sides: [f64; 4]) -> Result<Geometry<f64>> {
        Frame::parse(None)?.place_box(sides)
    }
}

impl Around for Around84 {
    fn name(&self, reference: &str) -> String {
        gml::decode(reference.rsplit([':', '/']).next().unwrap_or_default())
    }

    fn geometry(&self, element: &Element) -> Option<Result<Kind>> {
        let frame = |system: Option<String>| Frame::parse(system.as_deref());
        gml::is_geometry(&element.name).then(|| match gml::read(element)? {
            gml::Shape::Geometry(system, geometry) => {
                frame(system)?.place(geometry).map(Kind::Geometry)
            }
            gml::Shape::Box(system, sides) => frame(system)?.place_box(sides).map(Kind::Geometry),
        })
    }
}

/// A field of every kind, by names that need quoting here and there.
pub fn fields() -> Schema {
    let field = |name: &str, kind| Field { name: name.into(), kind };
    let fields = vec![
        field("code", FieldKind::Text),
        field("nom", FieldKind::Text),
        field("x \"y\" 'z'", FieldKind::Text),
        field("n", FieldKind::Int),
        field("taux", FieldKind::Float),
        field("ok", FieldKind::Bool),
        field("jour", FieldKind::Date),
        field("vu", FieldKind::DateTime),
        field("liste", FieldKind::Json),
    ];
    Schema { fields, geometry: GeometryKind::Point }
}
