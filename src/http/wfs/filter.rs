//! The conditions of a query, brought into the one query model.

use super::{
    fail::{Fail, Result},
    kvp::Kvp,
    version::{Version, is_x_first},
};
use crate::{
    error::{self, Error},
    http::visit::Visit,
    items::{
        Frame,
        gml::{self, Shape},
        read_xml,
    },
    model::{BBox, Element, FieldKind, GeometryKind, Mode, Relation, Schema, Selection},
    query::{
        cql2::{self, Context, Expression, Kind, Node, Op},
        fes::{self, Around, Lowered},
    },
    text,
};
use geo::BoundingRect;
use geo_types::{Geometry, Rect};
use std::{collections::BTreeMap, sync::Arc};

/// Names by which clients ask for the geometry besides its own.
const GEOMETRIES: [&str; 4] = ["geometry", "geom", "the_geom", "GEOMETRY"];

/// What a query selects.
#[derive(Default)]
pub struct Selected {
    /// The condition, where there is one.
    pub expression: Option<Arc<Expression>>,
    /// The features named, where some are.
    pub ids: Option<Vec<String>>,
    /// The box of `BBOX`, where there is one.
    pub bbox: Option<BBox>,
}

/// Most features that a query names: each is looked up for itself.
const MOST_IDS: usize = 1_000;

/// Properties that every feature of GML may have; none of ours has.
const VOID: [&str; 5] =
    ["name", "description", "descriptionReference", "identifier", "metaDataProperty"];
/// The property of GML that stands for a feature's geometry.
const BOUNDED_BY: &str = "boundedBy";

/// Reads `BBOX`, `FILTER` and `RESOURCEID` for a layer.
pub fn read(
    visit: &Visit,
    kvp: &Kvp,
    layer: &str,
    schema: &Schema,
    version: Version,
) -> Result<Selected> {
    let resources = kvp.any(&["RESOURCEID", "FEATUREID"]);
    let given = [resources, kvp.get("FILTER"), kvp.get("BBOX")];
    if given.iter().flatten().count() > 1 {
        return Err(Fail::invalid(
            "filter",
            text!(
                "BBOX, FILTER et RESOURCEID s'excluent : réunissez-les dans FILTER.",
                "BBOX, FILTER and RESOURCEID exclude each other: join them in FILTER."
            ),
        ));
    }
    // Lists and objects are written as texts, and compared as such.
    let schema = &as_texts(schema);
    let (condition, bbox) = match (resources, kvp.get("FILTER"), kvp.get("BBOX")) {
        (Some(list), ..) => {
            return named(visit, kvp, list.split(',').map(str::trim), layer);
        }
        (_, Some(filter), _) => {
            let at = Fail::at("filter");
            let element = read_xml(filter).map_err(&at)?;
            let around = Names::of(&element, schema, version);
            if around.compares_geometry(&element) {
                return Err(no_comparison());
            }
            match fes::lower(&element, schema, &around).map_err(&at)? {
                Lowered::Condition(node) => (node, around.bbox(&element)),
                Lowered::Ids(ids) => {
                    return named(visit, kvp, ids.iter().map(String::as_str), layer);
                }
            }
        }
        (_, _, Some(sides)) => {
            let place = of_box(sides, version)?;
            let bbox = sides_of(&place);
            let geometry = Node::new(Kind::Property(schema.geometry_name()));
            let place = Node::new(Kind::Geometry(place));
            let meets = Kind::Call(Op::Spatial(Relation::Intersects), vec![geometry, place]);
            (Node::new(meets), bbox)
        }
        _ => return Ok(Selected::default()),
    };
    let locator = if kvp.get("FILTER").is_some() { "filter" } else { "bbox" };
    let context = Placed { visit, frame: Frame::parse(None)? };
    let checked = cql2::check(&condition, schema, &context).map_err(Fail::at(locator))?;
    Ok(Selected { expression: Some(Arc::new(checked)), ids: None, bbox })
}

/// A schema whose lists and objects are texts.
fn as_texts(schema: &Schema) -> Schema {
    let mut schema = schema.clone();
    let lists = schema.fields.iter_mut().filter(|f| f.kind == FieldKind::Json);
    lists.for_each(|field| field.kind = FieldKind::Text);
    schema
}

fn no_comparison() -> Fail {
    let text = text!(
        "Une géométrie ne se compare pas par un opérateur PropertyIs… : prenez BBOX, Intersects, Within….",
        "A geometry is not compared by an operator PropertyIs…: take BBOX, Intersects, Within…."
    );
    Fail::new("OperationProcessingFailed", "filter", Error::Invalid(text))
}

/// The features of a layer that a list names.
fn named<'a>(
    visit: &Visit,
    kvp: &Kvp,
    list: impl Iterator<Item = &'a str> + Clone,
    layer: &str,
) -> Result<Selected> {
    let found = list.clone().count();
    if found > MOST_IDS {
        return Err(Fail::invalid(
            "resourceId",
            text!(
                "{found} identifiants, {MOST_IDS} au plus par requête.",
                "{found} ids, at most {MOST_IDS} a query."
            ),
        ));
    }
    // Where no layer is asked for, each name says its own.
    let asked = kvp.any(&["TYPENAMES", "TYPENAME"]).is_some();
    let mut ids = Vec::new();
    for id in list {
        match own_id(visit, id, layer) {
            Some(own) => ids.push(own),
            None if asked => {
                let shown: String = id.chars().take(80).collect();
                return Err(Fail::invalid(
                    "resourceId",
                    text!(
                        "« {shown} » n'est pas une entité de la couche « {layer} ».",
                        "\"{shown}\" is no feature of the layer \"{layer}\"."
                    ),
                ));
            }
            None => {}
        }
    }
    Ok(Selected { ids: Some(ids), ..Selected::default() })
}

/// The sides of a box that was placed; those of two parts go across the antimeridian.
fn sides_of(place: &Geometry<f64>) -> Option<BBox> {
    let side = |r: Rect<f64>| BBox {
        west: r.min().x,
        south: r.min().y,
        east: r.max().x,
        north: r.max().y,
    };
    let parts: Vec<BBox> = match place {
        Geometry::MultiPolygon(several) => {
            several.iter().filter_map(|p| p.bounding_rect().map(side)).collect()
        }
        one => one.bounding_rect().map(side).into_iter().collect(),
    };
    match parts.as_slice() {
        [one] => Some(*one),
        [first, second] => Some(BBox { east: second.east, ..*first }),
        _ => None,
    }
}

/// The id of a feature of a layer; `None` when it is another layer's. Plain ids are taken too.
fn own_id(visit: &Visit, id: &str, layer: &str) -> Option<String> {
    match gml::feature_of(id) {
        Some((of, own)) if of == layer => Some(own),
        Some((of, _)) if visit.snapshot().layer(&of).is_ok() => None,
        _ => Some(id.to_owned()),
    }
}

/// `minx,miny,maxx,maxy[,crs]`
fn of_box(value: &str, version: Version) -> Result<Geometry<f64>> {
    let at = Fail::at("bbox");
    let parts: Vec<&str> = value.split(',').collect();
    let (numbers, srs) = match parts.as_slice() {
        [_, _, _, _] => (value, version.usual_srs()),
        [a @ .., srs] if a.len() == 4 || a.len() == 6 => {
            (value.get(..value.len() - srs.len() - 1).unwrap_or(value), srs.trim())
        }
        _ => (value, version.usual_srs()),
    };
    let sides = crate::query::bbox_numbers(numbers).map_err(&at)?;
    frame(Some(srs), srs).and_then(|frame| frame.place_box(sides)).map_err(&at)
}

/// The system that coordinates are written in.
fn frame(srs: Option<&str>, usual: &str) -> error::Result<Frame> {
    let spelling = srs.unwrap_or(usual);
    let frame = Frame::parse(Some(spelling))?;
    Ok(if is_x_first(spelling) { frame.with_x_first() } else { frame })
}

/// The property of a layer that a reference names: by its name, its name in XML, with a prefix or
/// a path before it.
pub fn property(schema: &Schema, reference: &str) -> String {
    let reference = reference.trim();
    // Every property has one value, which may be asked for as the first.
    let reference = reference.strip_suffix("[1]").unwrap_or(reference);
    let last = reference.rsplit('/').next().unwrap_or(reference);
    let local = last.rsplit(':').next().unwrap_or(last);
    let candidates =
        [reference.to_owned(), gml::decode(last), gml::decode(local), local.to_owned()];
    let known = |name: &&String| schema.index(name).is_some();
    if let Some(name) = candidates.iter().find(known) {
        return name.clone();
    }
    let own = schema.geometry_name();
    let geometry = candidates.iter().any(|c| *c == own || GEOMETRIES.contains(&c.as_str()));
    if geometry && schema.geometry != GeometryKind::None {
        return own;
    }
    gml::decode(local)
}

/// What a filter's names and geometries mean.
struct Names<'a> {
    schema: &'a Schema,
    usual: &'static str,
    /// Prefixes and what they stand for, wherever in the filter they are declared.
    spaces: BTreeMap<&'a str, &'a str>,
}

impl<'a> Names<'a> {
    fn of(filter: &'a Element, schema: &'a Schema, version: Version) -> Self {
        let mut spaces = BTreeMap::new();
        let mut waiting = vec![filter];
        while let Some(element) = waiting.pop() {
            spaces.extend(element.declared.iter().map(|(p, s)| (p.as_str(), s.as_str())));
            waiting.extend(&element.children);
        }
        Self { schema, usual: version.usual_srs(), spaces }
    }

    /// The name that GML itself gives to what a reference means; `None`: it is another's.
    fn of_gml<'r>(&self, reference: &'r str) -> Option<&'r str> {
        let last = reference.trim().rsplit('/').next()?;
        let (prefix, local) = last.split_once(':')?;
        let gml = match self.spaces.get(prefix) {
            Some(space) => space.starts_with("http://www.opengis.net/gml"),
            // Declared around the filter.
            None => prefix == "gml",
        };
        gml.then_some(local)
    }

    fn is_geometry(&self, reference: &Element) -> bool {
        let own = self.schema.geometry_name();
        matches!(reference.name.as_str(), "ValueReference" | "PropertyName")
            && (self.name(reference.trimmed()) == own && self.schema.index(&own).is_none())
    }

    /// Whether an operator for values is given a geometry.
    fn compares_geometry(&self, element: &Element) -> bool {
        let compares = element.name.starts_with("PropertyIs")
            && !matches!(element.name.as_str(), "PropertyIsNull" | "PropertyIsNil");
        let mut inside = element.children.iter();
        inside.any(|e| compares && self.is_geometry(e) || self.compares_geometry(e))
    }

    /// The box that all features of the filter meet, where it says one.
    fn bbox(&self, filter: &Element) -> Option<BBox> {
        let whole = filter.children.first()?;
        let all = if whole.name == "And" { whole.children.as_slice() } else { &filter.children };
        let of = |element: &Element| match self.geometry(element)?.ok()? {
            Kind::Geometry(place) => sides_of(&place),
            _ => None,
        };
        all.iter().filter(|e| e.name == "BBOX").find_map(|e| e.children.iter().find_map(of))
    }
}

impl Around for Names<'_> {
    fn name(&self, reference: &str) -> String {
        match self.of_gml(reference) {
            Some(BOUNDED_BY) => self.schema.geometry_name(),
            _ => property(self.schema, reference),
        }
    }

    fn is_void(&self, reference: &Element) -> bool {
        self.of_gml(reference.trimmed()).is_some_and(|local| VOID.contains(&local))
    }

    fn geometry(&self, element: &Element) -> Option<error::Result<Kind>> {
        if !gml::is_geometry(&element.name) {
            return None;
        }
        let placed = gml::read(element).and_then(|shape| match shape {
            Shape::Geometry(srs, geometry) => frame(srs.as_deref(), self.usual)?.place(geometry),
            Shape::Box(srs, sides) => frame(srs.as_deref(), self.usual)?.place_box(sides),
        });
        Some(placed.map(Kind::Geometry))
    }
}

/// What a condition refers to outside of the layer: its geometries are placed already.
struct Placed<'a> {
    visit: &'a Visit,
    frame: Frame,
}

impl Context for Placed<'_> {
    fn territory(&self, written: &str, _mode: Mode) -> error::Result<Arc<Selection>> {
        let asked = crate::http::scope::Asked::Concerns;
        let scopes = &self.visit.site.scopes;
        let scope = scopes.parameter(self.visit.reference(), written, asked, None)?;
        Ok(scope.selection.clone())
    }

    fn place(&self, geometry: Geometry<f64>) -> error::Result<Geometry<f64>> {
        self.frame.place(geometry)
    }

    fn place_box(&self, sides: [f64; 4]) -> error::Result<Geometry<f64>> {
        self.frame.place_box(sides)
    }
}
