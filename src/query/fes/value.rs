//! Values inside of conditions: properties, literals, calculations.

use super::{Reader, call, count, wrong};
use crate::{
    error::Result,
    model::{Element, FieldKind},
    query::cql2::{Arithmetic, Kind, Node, Op},
    text,
};

impl Reader<'_> {
    /// Two values that are compared: literals take the kind of the property across.
    pub(super) fn sides(&self, a: &Element, b: &Element) -> Result<(Node, Node)> {
        let (left, right) = (self.kind_of(a), self.kind_of(b));
        Ok((self.side(a, right)?, self.side(b, left)?))
    }

    /// The kind of the field an element refers to; a calculation is a number.
    pub(super) fn kind_of(&self, element: &Element) -> Option<FieldKind> {
        match element.name.as_str() {
            "ValueReference" | "PropertyName" => {
                let name = self.around.name(element.trimmed());
                self.schema.fields.iter().find(|f| f.name == name).map(|f| f.kind)
            }
            name => arithmetic(name).map(|_| FieldKind::Float),
        }
    }

    /// A value; `beside` is the kind of what it is compared with.
    pub(super) fn side(&self, element: &Element, beside: Option<FieldKind>) -> Result<Node> {
        match element.name.as_str() {
            "ValueReference" | "PropertyName" if self.around.is_void(element) => Ok(nothing()),
            "ValueReference" | "PropertyName" => {
                Ok(Node::new(Kind::Property(self.around.name(element.trimmed()))))
            }
            "Literal" => literal(element, beside),
            "Function" => Err(wrong(
                element,
                text!(
                    "les fonctions ne sont pas prises dans les filtres WFS ; l'API OGC (…/items?filter=) en a.",
                    "functions are not taken in WFS filters; the OGC API (…/items?filter=) has some."
                ),
            )),
            name => {
                let Some(a) = arithmetic(name) else {
                    return Err(wrong(
                        element,
                        text!(
                            "une valeur est attendue : ValueReference (PropertyName) ou Literal.",
                            "a value is expected: ValueReference (PropertyName) or Literal."
                        ),
                    ));
                };
                let [x, y] = element.children.as_slice() else {
                    return Err(count(element, 2, element.children.len()));
                };
                let number = Some(FieldKind::Float);
                Ok(call(Op::Arithmetic(a), vec![self.side(x, number)?, self.side(y, number)?]))
            }
        }
    }
}

/// What has no value, in the words of CQL2: a calculation without a result.
fn nothing() -> Node {
    let (one, zero) = (Node::new(Kind::Int(1)), Node::new(Kind::Int(0)));
    call(Op::Arithmetic(Arithmetic::Div), vec![one, zero])
}

fn arithmetic(name: &str) -> Option<Arithmetic> {
    Some(match name {
        "Add" => Arithmetic::Add,
        "Sub" => Arithmetic::Sub,
        "Mul" => Arithmetic::Mul,
        "Div" => Arithmetic::Div,
        _ => return None,
    })
}

fn literal(element: &Element, beside: Option<FieldKind>) -> Result<Node> {
    let number = |text: &str| match (text.parse::<i64>(), text.parse::<f64>()) {
        (Ok(i), _) => Some(Kind::Int(i)),
        (_, Ok(f)) if f.is_finite() => Some(Kind::Float(f)),
        _ => None,
    };
    let written = element.trimmed();
    let kind = match beside {
        Some(FieldKind::Int | FieldKind::Float) => number(written).ok_or_else(|| {
            let shown: String = written.chars().take(60).collect();
            wrong(
                element,
                text!("« {shown} » n'est pas un nombre.", "\"{shown}\" is not a number."),
            )
        })?,
        Some(FieldKind::Bool) => match written {
            "true" | "TRUE" | "1" => Kind::Bool(true),
            "false" | "FALSE" | "0" => Kind::Bool(false),
            _ => Kind::Text(written.to_owned()),
        },
        Some(FieldKind::Date | FieldKind::DateTime) => Kind::Text(written.to_owned()),
        // Space inside of a text may be meant.
        Some(FieldKind::Text | FieldKind::Json) => Kind::Text(element.text.clone()),
        None => number(written).unwrap_or_else(|| Kind::Text(element.text.clone())),
    };
    Ok(Node::new(kind))
}

/// A time of GML, or a literal that holds one; `None`: it is something else.
pub(super) fn moment(element: &Element) -> Result<Option<Node>> {
    let at = |element: &Element| {
        let open = element.attribute("indeterminatePosition").is_some();
        Node::new(if open { Kind::Open } else { Kind::Text(element.trimmed().to_owned()) })
    };
    let inner = |element: &Element, names: [&str; 2]| {
        let named = names.into_iter().find_map(|n| element.child(n))?;
        let deep = named.child("TimeInstant").and_then(|i| i.child("timePosition"));
        Some(at(deep.unwrap_or(named)))
    };
    Ok(match element.name.as_str() {
        "Literal" => match element.children.first() {
            Some(inside) => moment(inside)?,
            None => Some(at(element)),
        },
        "TimeInstant" => element.child("timePosition").map(at),
        "TimePeriod" => {
            let ends = (
                inner(element, ["beginPosition", "begin"]),
                inner(element, ["endPosition", "end"]),
            );
            let (Some(from), Some(to)) = ends else {
                return Err(wrong(
                    element,
                    text!(
                        "beginPosition et endPosition attendus.",
                        "beginPosition and endPosition expected."
                    ),
                ));
            };
            Some(Node::new(Kind::Interval(Box::new([from, to]))))
        }
        _ => None,
    })
}
