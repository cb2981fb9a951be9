//! Values inside conditions: fields, literals, calculations, texts that are folded; and two of them
//! brought to one class.

use super::{
    Checker,
    time::{instant, moment_value},
};
use crate::{
    error::Result,
    model::{GeometryKind, Text, Value},
    query::cql2::{
        ast::{Arithmetic, Kind, Node, Op},
        error::{self, shown},
        expr::{self, Class, Scalar},
        fold::Fold,
    },
    text,
};

impl Checker<'_> {
    /// A value; an error where it has none whatever the feature.
    pub(super) fn scalar(&self, node: &Node) -> Result<Scalar> {
        let none = || {
            error::of(
                node,
                text!("ce calcul n'a pas de résultat.", "this calculation has no result."),
            )
        };
        self.value(node)?.ok_or_else(none)
    }

    /// A value that can be compared; `None` where a calculation has no result.
    pub(super) fn value(&self, node: &Node) -> Result<Option<Scalar>> {
        let literal = |value| Ok(Some(Scalar::Value(value)));
        match &node.kind {
            Kind::Bool(b) => literal(Value::Bool(*b)),
            Kind::Int(i) => literal(Value::Int(*i)),
            Kind::Float(f) => literal(Value::Float(*f)),
            Kind::Text(s) => literal(Value::Text(s.clone())),
            Kind::Date(d) => literal(Value::Date(*d)),
            Kind::Timestamp(t) => literal(Value::DateTime(*t)),
            Kind::Property(name) => {
                if self.is_geometry(node) {
                    return Err(error::of(
                        node,
                        text!(
                            "la géométrie ne se compare que par les fonctions S_… (S_INTERSECTS…).",
                            "the geometry is compared by the functions S_… only (S_INTERSECTS…)."
                        ),
                    ));
                }
                let field = self.field(node, name)?;
                if field.class() == Class::Json {
                    return Err(error::of(
                        node,
                        text!(
                            "« {name} » est une liste ou un objet : utilisez A_CONTAINS, A_OVERLAPS, A_EQUALS ou A_CONTAINEDBY.",
                            "\"{name}\" is a list or an object: use A_CONTAINS, A_OVERLAPS, A_EQUALS or A_CONTAINEDBY."
                        ),
                    ));
                }
                Ok(Some(field))
            }
            Kind::Call(Op::Arithmetic(a), sides) => match sides.as_slice() {
                [x, y] => self.calculation(*a, x, y),
                _ => Err(no_value(node)),
            },
            Kind::Call(op @ (Op::Casei | Op::Accenti), inner) => {
                let fold = Fold { case: *op == Op::Casei, accents: *op == Op::Accenti };
                let inner = inner.first().ok_or_else(|| no_value(node))?;
                let side = self.scalar(inner)?;
                if side.class() != Class::Text {
                    let name = op.name().to_ascii_uppercase();
                    return Err(error::of(
                        inner,
                        text!("{name} demande un texte.", "{name} needs a text."),
                    ));
                }
                Ok(Some(folded(fold, side)))
            }
            _ => Err(no_value(node)),
        }
    }

    pub(super) fn calculation(&self, a: Arithmetic, x: &Node, y: &Node) -> Result<Option<Scalar>> {
        let (Some(left), Some(right)) = (self.value(x)?, self.value(y)?) else { return Ok(None) };
        for (node, side) in [(x, &left), (y, &right)] {
            if !matches!(side.class(), Class::Int | Class::Float) {
                return Err(error::of(
                    node,
                    text!("un calcul demande des nombres.", "a calculation needs numbers."),
                ));
            }
        }
        expr::calculate(a, left, right)
    }

    pub(super) fn field(&self, node: &Node, name: &str) -> Result<Scalar> {
        if let Some(index) = self.schema.index(name)
            && let Some(field) = self.schema.fields.get(index)
        {
            return Ok(Scalar::Field { index, kind: field.kind });
        }
        let asked = shown(name);
        let geometry =
            (self.schema.geometry != GeometryKind::None).then(|| self.schema.geometry_name());
        let fields = self.schema.fields.iter().map(|f| f.name.as_str());
        let known = error::list(name, fields.chain(geometry.as_deref()));
        Err(error::of(
            node,
            text!(
                "champ inconnu « {asked} ». Champs : {known}. Un texte s'écrit entre apostrophes.",
                "unknown property \"{asked}\". Properties: {known}. A text is written between single quotes."
            ),
        ))
    }
}

pub(super) fn folded(fold: Fold, side: Scalar) -> Scalar {
    match side {
        Scalar::Value(Value::Text(text)) => {
            Scalar::Value(Value::Text(fold.apply(&text).into_owned()))
        }
        Scalar::Folded(inner, value) => Scalar::Folded(inner.with(fold), value),
        other => Scalar::Folded(fold, Box::new(other)),
    }
}

/// A text literal under any number of folds.
pub(super) fn folded_literal(node: &Node) -> Option<(Fold, &str)> {
    let (mut fold, mut node) = (Fold::default(), node);
    loop {
        match &node.kind {
            Kind::Text(text) => return Some((fold, text)),
            Kind::Call(op @ (Op::Casei | Op::Accenti), inner) => {
                let more = Fold { case: *op == Op::Casei, accents: *op == Op::Accenti };
                fold = fold.with(more);
                node = inner.first()?;
            }
            _ => return None,
        }
    }
}

/// Two sides brought to one class, literals to that of what they are compared with.
pub(super) fn matched(a: &Node, left: Scalar, b: &Node, right: Scalar) -> Result<(Scalar, Scalar)> {
    let (one, two) = (left.class(), right.class());
    let number = |c| matches!(c, Class::Int | Class::Float);
    if number(one) && number(two) {
        return Ok((as_number(left, two), as_number(right, one)));
    }
    match (one, two) {
        (one, two) if one == two => Ok((left, right)),
        (Class::Date, Class::Instant) => Ok((instant(left, false), right)),
        (Class::Instant, Class::Date) => Ok((left, instant(right, false))),
        (_, Class::Text) => Ok((left, converted(b, right, one)?)),
        (Class::Text, _) => Ok((converted(a, left, two)?, right)),
        _ => Err(mismatch(b, one, two)),
    }
}

/// A whole literal beside whole numbers is whole; beside others it is not.
pub(super) fn as_number(side: Scalar, other: Class) -> Scalar {
    /// Doubles up to here are exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match (&side, other) {
        #[expect(clippy::cast_precision_loss, reason = "compared with doubles")]
        (Scalar::Value(Value::Int(i)), Class::Float) => Scalar::Value(Value::Float(*i as f64)),
        #[expect(clippy::cast_possible_truncation, reason = "found whole and small")]
        (Scalar::Value(Value::Float(f)), Class::Int) if f.trunc() == *f && f.abs() <= EXACT => {
            Scalar::Value(Value::Int(*f as i64))
        }
        _ => side,
    }
}

/// A text literal where a date, an instant or a boolean is compared, as clients write them.
pub(super) fn converted(node: &Node, side: Scalar, class: Class) -> Result<Scalar> {
    if let Scalar::Value(Value::Text(written)) = &side {
        let value = match class {
            Class::Date | Class::Instant => moment_value(written),
            Class::Bool => match written.as_str() {
                "true" | "TRUE" => Some(Value::Bool(true)),
                "false" | "FALSE" => Some(Value::Bool(false)),
                _ => None,
            },
            _ => None,
        };
        match (value, class) {
            (Some(value @ Value::Date(_)), Class::Instant) => {
                return Ok(instant(Scalar::Value(value), false));
            }
            (Some(Value::DateTime(t)), Class::Date) => {
                // GDAL writes a date as an instant.
                let civil = jiff::tz::TimeZone::UTC.to_datetime(t);
                if civil.time() == jiff::civil::Time::midnight() {
                    return Ok(Scalar::Value(Value::Date(civil.date())));
                }
            }
            (Some(value), _) => return Ok(Scalar::Value(value)),
            (None, _) => {}
        }
    }
    Err(mismatch(node, class, side.class()))
}

pub(super) fn mismatch(node: &Node, wanted: Class, found: Class) -> crate::error::Error {
    let (w, f) = (words(wanted), words(found));
    let hint = match (wanted, found) {
        (Class::Text, Class::Int | Class::Float) => text!(
            " Une valeur de texte, un code par exemple, s'écrit entre apostrophes.",
            " A value of text, a code for example, is written between single quotes."
        ),
        (Class::Int | Class::Float, Class::Text) => {
            text!(" Un nombre s'écrit sans apostrophes.", " A number is written without quotes.")
        }
        _ => Text::default(),
    };
    error::of(
        node,
        Text::new(
            format!("{} est attendu, pas {}.{}", w.fr, f.fr, hint.fr),
            format!("{} is expected, not {}.{}", w.en, f.en, hint.en),
        ),
    )
}

pub(super) fn words(class: Class) -> Text {
    match class {
        Class::Bool => text!("un booléen (TRUE, FALSE)", "a boolean (TRUE, FALSE)"),
        Class::Int | Class::Float => text!("un nombre", "a number"),
        Class::Text => text!("un texte", "a text"),
        Class::Date => text!("une date (DATE('2025-01-31'))", "a date (DATE('2025-01-31'))"),
        Class::Instant => text!(
            "un instant (TIMESTAMP('2025-01-31T12:00:00Z'))",
            "an instant (TIMESTAMP('2025-01-31T12:00:00Z'))"
        ),
        Class::Json => text!("une liste", "a list"),
    }
}

pub(super) fn no_value(node: &Node) -> crate::error::Error {
    error::of(
        node,
        text!(
            "une valeur est attendue : un champ, un nombre, un texte entre apostrophes, DATE('…'), TIMESTAMP('…').",
            "a value is expected: a property, a number, a text between single quotes, DATE('…'), TIMESTAMP('…')."
        ),
    )
}
