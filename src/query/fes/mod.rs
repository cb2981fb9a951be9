//! Filters of WFS (OGC Filter 1.0 and 1.1, FES 2.0), read into the tree that CQL2 gives: from there
//! on they are one. Versions differ in spelling alone, and every spelling is taken.
//!
//! Beyond the tree there are lists of feature ids, which a filter holds instead of conditions.

mod value;

#[cfg(test)]
mod tests;

use super::cql2::{Comparison, Kind, Node, Op, Temporal};
use crate::{
    error::{Error, Result},
    model::{Element, FieldKind, Relation, Schema, Text},
    text,
};

/// What a filter refers to outside of itself.
pub trait Around {
    /// The name behind a reference (prefix and path taken off, escapes of XML undone).
    fn name(&self, reference: &str) -> String;
    /// Whether a reference is to a property that every feature of GML may have (`gml:name`) and
    /// none of ours has.
    fn is_void(&self, _reference: &Element) -> bool {
        false
    }
    /// A geometry or box of GML in CRS84; `None` when the element is none.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is one and wrong.
    fn geometry(&self, element: &Element) -> Option<Result<Kind>>;
}

/// A filter, read.
#[derive(Debug, Clone, PartialEq)]
pub enum Lowered {
    /// A condition.
    Condition(Node),
    /// The features with these ids, as the filter spells them.
    Ids(Vec<String>),
}

/// Reads a `Filter` element for a layer.
///
/// # Errors
/// [`Error::Invalid`] saying what is wrong with which operator, and what is possible.
pub fn lower(filter: &Element, schema: &Schema, around: &dyn Around) -> Result<Lowered> {
    if filter.name != "Filter" {
        return Err(wrong(filter, text!("un Filter est attendu.", "a Filter is expected.")));
    }
    let reader = Reader { schema, around };
    match filter.children.as_slice() {
        [] => Err(wrong(filter, text!("le filtre est vide.", "the filter is empty."))),
        all if all.iter().all(is_id) => Ok(Lowered::Ids(ids(all)?)),
        [or] if or.name == "Or" && !or.children.is_empty() && or.children.iter().all(is_id) => {
            Ok(Lowered::Ids(ids(&or.children)?))
        }
        [one] => match id_compared(one) {
            Some(id) => Ok(Lowered::Ids(vec![id])),
            None => reader.condition(one).map(Lowered::Condition),
        },
        _ => Err(wrong(
            filter,
            text!(
                "un seul opérateur à la racine : réunissez les conditions par And ou Or.",
                "one operator at the root: join conditions by And or Or."
            ),
        )),
    }
}

fn is_id(element: &Element) -> bool {
    matches!(element.name.as_str(), "ResourceId" | "FeatureId" | "GmlObjectId")
}

/// The id that a filter asks for as the attribute it is.
fn id_compared(element: &Element) -> Option<String> {
    let reference = |e: &&Element| {
        matches!(e.name.as_str(), "ValueReference" | "PropertyName")
            && matches!(e.trimmed().rsplit('/').next(), Some("@gml:id" | "@id" | "@fid"))
    };
    let is = element.name == "PropertyIsEqualTo" && element.children.iter().any(|e| reference(&e));
    is.then(|| element.child("Literal").map(|e| e.trimmed().to_owned())).flatten()
}

fn ids(elements: &[Element]) -> Result<Vec<String>> {
    let id = |e: &Element| {
        let named = ["rid", "fid", "id"].into_iter().find_map(|name| e.attribute(name));
        named.map(str::to_owned).ok_or_else(|| {
            wrong(
                e,
                text!(
                    "attribut « rid » (ou « fid ») attendu.",
                    "attribute \"rid\" (or \"fid\") expected."
                ),
            )
        })
    };
    elements.iter().map(id).collect()
}

/// Reads the conditions of a filter.
struct Reader<'a> {
    schema: &'a Schema,
    around: &'a dyn Around,
}

impl Reader<'_> {
    fn condition(&self, element: &Element) -> Result<Node> {
        if let Some(c) = comparison(&element.name) {
            return self.comparison(c, element);
        }
        if let Some(op) = spatial(&element.name) {
            return self.spatial(op, element);
        }
        if let Some(relation) = temporal(&element.name) {
            return self.temporal(relation, element);
        }
        match element.name.as_str() {
            "And" | "Or" => {
                let op = if element.name == "And" { Op::And } else { Op::Or };
                let mut parts: Vec<Node> =
                    element.children.iter().map(|c| self.condition(c)).collect::<Result<_>>()?;
                match parts.len() {
                    0 => Err(wrong(element, text!("il est vide.", "it is empty."))),
                    1 => Ok(parts.remove(0)),
                    _ => Ok(call(op, parts)),
                }
            }
            "Not" => match element.children.as_slice() {
                [one] => Ok(call(Op::Not, vec![self.condition(one)?])),
                other => Err(count(element, 1, other.len())),
            },
            "PropertyIsNull" | "PropertyIsNil" => match element.children.as_slice() {
                [one] => Ok(call(Op::IsNull, vec![self.side(one, None)?])),
                other => Err(count(element, 1, other.len())),
            },
            "PropertyIsLike" => self.like(element),
            "PropertyIsBetween" => self.between(element),
            _ if is_id(element) => Err(wrong(
                element,
                text!(
                    "des identifiants ne se mêlent pas à d'autres conditions : donnez-les seuls, ou comparez la propriété qui les porte.",
                    "ids do not mix with other conditions: give them alone, or compare the property that holds them."
                ),
            )),
            "DWithin" | "Beyond" => Err(wrong(element, no_distances())),
            _ => Err(wrong(element, operators())),
        }
    }

    fn comparison(&self, c: Comparison, element: &Element) -> Result<Node> {
        let [a, b] = element.children.as_slice() else {
            return Err(count(element, 2, element.children.len()));
        };
        let (mut left, mut right) = self.sides(a, b)?;
        if element.attribute("matchCase") == Some("false") {
            // Case is a matter of texts alone.
            let text =
                |a: &Node, b: &Node| self.is_text(a) || (self.is_text(b) && self.kind(a).is_none());
            if text(&left, &right) && text(&right, &left) {
                (left, right) = (call(Op::Casei, vec![left]), call(Op::Casei, vec![right]));
            }
        }
        Ok(call(Op::Compare(c), vec![left, right]))
    }

    fn between(&self, element: &Element) -> Result<Node> {
        let boundary = |name: &str| {
            element.child(name).and_then(|b| b.children.first()).ok_or_else(|| {
                wrong(
                    element,
                    text!(
                        "« {name} » attendu, avec une valeur.",
                        "\"{name}\" expected, with a value."
                    ),
                )
            })
        };
        let (low, high) = (boundary("LowerBoundary")?, boundary("UpperBoundary")?);
        let Some(value) = element.children.first().filter(|c| !c.name.ends_with("Boundary")) else {
            return Err(count(element, 3, element.children.len()));
        };
        let kind = self.kind_of(value);
        Ok(call(
            Op::Between,
            vec![self.side(value, None)?, self.side(low, kind)?, self.side(high, kind)?],
        ))
    }

    fn like(&self, element: &Element) -> Result<Node> {
        let [value, pattern] = element.children.as_slice() else {
            return Err(count(element, 2, element.children.len()));
        };
        let sign = |names: &[&str], usual: char| {
            let given = names.iter().find_map(|n| element.attribute(n));
            given.map_or(Some(usual), |s| s.chars().next())
        };
        let any = sign(&["wildCard"], '*');
        let one = sign(&["singleChar"], '?');
        let escape = sign(&["escapeChar", "escape"], '\\');
        let mut written = String::new();
        let mut signs = pattern.text.chars();
        while let Some(c) = signs.next() {
            let plain = match c {
                _ if Some(c) == escape => signs.next().unwrap_or(c),
                _ if Some(c) == any => {
                    written.push('%');
                    continue;
                }
                _ if Some(c) == one => {
                    written.push('_');
                    continue;
                }
                _ => c,
            };
            if matches!(plain, '%' | '_' | '\\') {
                written.push('\\');
            }
            written.push(plain);
        }
        let (value, pattern) = (self.side(value, None)?, Node::new(Kind::Text(written)));
        let sides = match element.attribute("matchCase") {
            Some("false") => vec![call(Op::Casei, vec![value]), call(Op::Casei, vec![pattern])],
            _ => vec![value, pattern],
        };
        Ok(call(Op::Like, sides))
    }

    fn spatial(&self, op: Op, element: &Element) -> Result<Node> {
        let name = self.schema.geometry_name();
        let mut sides = Vec::new();
        for side in &element.children {
            sides.push(match self.around.geometry(side) {
                Some(shape) => Node::new(shape?),
                None => self.side(side, None)?,
            });
        }
        // The geometry goes without saying.
        if sides.len() == 1 {
            sides.insert(0, Node::new(Kind::Property(name)));
        }
        match sides.len() {
            2 => Ok(call(op, sides)),
            n => Err(count(element, 2, n)),
        }
    }

    fn temporal(&self, relation: Temporal, element: &Element) -> Result<Node> {
        let [a, b] = element.children.as_slice() else {
            return Err(count(element, 2, element.children.len()));
        };
        let side = |element: &Element| match value::moment(element)? {
            Some(node) => Ok(node),
            None => self.side(element, None),
        };
        Ok(call(Op::Temporal(relation), vec![side(a)?, side(b)?]))
    }

    fn is_text(&self, node: &Node) -> bool {
        matches!(self.kind(node), Some(FieldKind::Text)) || matches!(node.kind, Kind::Text(_))
    }

    /// The kind of the field that a node names.
    fn kind(&self, node: &Node) -> Option<FieldKind> {
        let Kind::Property(name) = &node.kind else { return None };
        self.schema.fields.iter().find(|f| f.name == *name).map(|f| f.kind)
    }
}

fn call(op: Op, arguments: Vec<Node>) -> Node {
    Node::new(Kind::Call(op, arguments))
}

fn comparison(name: &str) -> Option<Comparison> {
    Some(match name {
        "PropertyIsEqualTo" => Comparison::Eq,
        "PropertyIsNotEqualTo" => Comparison::Ne,
        "PropertyIsLessThan" => Comparison::Lt,
        "PropertyIsLessThanOrEqualTo" => Comparison::Le,
        "PropertyIsGreaterThan" => Comparison::Gt,
        "PropertyIsGreaterThanOrEqualTo" => Comparison::Ge,
        _ => return None,
    })
}

fn spatial(name: &str) -> Option<Op> {
    Some(Op::Spatial(match name {
        "BBOX" | "Intersects" | "Intersect" => Relation::Intersects,
        "Equals" => Relation::Equals,
        "Disjoint" => return Some(Op::Disjoint),
        "Touches" => Relation::Touches,
        "Within" => Relation::Within,
        "Overlaps" => Relation::Overlaps,
        "Crosses" => Relation::Crosses,
        "Contains" => Relation::Contains,
        _ => return None,
    }))
}

fn temporal(name: &str) -> Option<Temporal> {
    Some(match name {
        "After" => Temporal::After,
        "Before" => Temporal::Before,
        "Begins" => Temporal::Starts,
        "BegunBy" => Temporal::StartedBy,
        "TContains" => Temporal::Contains,
        "During" => Temporal::During,
        "EndedBy" => Temporal::FinishedBy,
        "Ends" => Temporal::Finishes,
        "TEquals" => Temporal::Equals,
        "Meets" => Temporal::Meets,
        "MetBy" => Temporal::MetBy,
        "TOverlaps" => Temporal::Overlaps,
        "OverlappedBy" => Temporal::OverlappedBy,
        "AnyInteracts" => Temporal::Intersects,
        _ => return None,
    })
}

/// Distances between any two geometries on the ellipsoid are not the same in every store.
fn no_distances() -> Text {
    text!(
        "les distances ne sont pas prises : donnez à Intersects (ou Disjoint) un polygone élargi de cette distance.",
        "distances are not supported: give Intersects (or Disjoint) a polygon widened by that distance."
    )
}

/// The operators there are.
fn operators() -> Text {
    let all = "And, Or, Not, PropertyIsEqualTo, PropertyIsNotEqualTo, PropertyIsLessThan, PropertyIsGreaterThan, PropertyIsLessThanOrEqualTo, PropertyIsGreaterThanOrEqualTo, PropertyIsLike, PropertyIsNull, PropertyIsNil, PropertyIsBetween, BBOX, Equals, Disjoint, Intersects, Touches, Crosses, Within, Contains, Overlaps, After, Before, During, TEquals, ResourceId";
    text!("opérateur inconnu. Opérateurs : {all}.", "unknown operator. Operators: {all}.")
}

fn count(element: &Element, wanted: usize, found: usize) -> Error {
    wrong(
        element,
        text!("{found} argument(s), il en faut {wanted}.", "{found} argument(s), {wanted} needed."),
    )
}

/// What is wrong with a part of a filter.
fn wrong(element: &Element, text: Text) -> Error {
    let name: String = element.name.chars().take(60).collect();
    Error::Invalid(Text::new(
        format!("Filtre, « {name} » : {}", text.fr),
        format!("Filter, \"{name}\": {}", text.en),
    ))
}
