//! What a delivery changed of the form of its layer: columns, their types, the kind of geometry.

use super::{Comparison, FieldKind, GeometryKind, Retyped, Text};
use crate::text;
use serde::{Deserialize, Serialize};

/// Columns named in a sentence; beyond, they are counted.
const NAMED: usize = 10;

/// What changed of the form; never nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShapeChange {
    /// Columns that are new, in the order of the delivery.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns_added: Vec<String>,
    /// Columns that are no longer there, in the order they had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns_lost: Vec<String>,
    /// Columns of another type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns_retyped: Vec<Retyped>,
    /// Geometry of another dimension, or where there was none, or none any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geometry: Option<OtherGeometry>,
}

/// Geometry of another kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherGeometry {
    /// Before.
    pub from: GeometryKind,
    /// Now.
    pub to: GeometryKind,
}

impl Comparison {
    /// What the delivery changes of the form; `None` when nothing. Single and multiple geometry of
    /// one dimension are one kind: a delivery moves between them by chance.
    pub fn shape(&self) -> Option<ShapeChange> {
        let (from, to) = (self.geometry_before, self.geometry_after);
        let none = |kind| kind == GeometryKind::None;
        let other = none(from) != none(to) || from.dimension() != to.dimension();
        let change = ShapeChange {
            columns_added: self.columns_added.clone(),
            columns_lost: self.columns_lost.clone(),
            columns_retyped: self.columns_retyped.clone(),
            geometry: other.then_some(OtherGeometry { from, to }),
        };
        let same = change.columns_added.is_empty()
            && change.columns_lost.is_empty()
            && change.columns_retyped.is_empty()
            && !other;
        (!same).then_some(change)
    }
}

impl ShapeChange {
    /// It in one sentence.
    pub fn sentence(&self) -> Text {
        let mut parts = Vec::new();
        let quoted = |name: &String| text!("« {name} »", "\"{name}\"");
        let named = |columns: &[String]| list(columns.iter().map(quoted));
        if !self.columns_added.is_empty() {
            let names = named(&self.columns_added);
            parts.push(text!(
                "colonnes nouvelles : {fr}",
                "new columns: {en}",
                fr = names.fr,
                en = names.en
            ));
        }
        if !self.columns_lost.is_empty() {
            let names = named(&self.columns_lost);
            parts.push(text!(
                "colonnes perdues : {fr}",
                "columns lost: {en}",
                fr = names.fr,
                en = names.en
            ));
        }
        if !self.columns_retyped.is_empty() {
            let retyped = list(self.columns_retyped.iter().map(|column| {
                let (from, to) = (kind(column.from), kind(column.to));
                let name = &column.column;
                text!(
                    "« {name} » ({fr})",
                    "\"{name}\" ({en})",
                    fr = arrow(&from.fr, &to.fr),
                    en = arrow(&from.en, &to.en)
                )
            }));
            parts.push(text!(
                "types changés : {fr}",
                "types changed: {en}",
                fr = retyped.fr,
                en = retyped.en
            ));
        }
        if let Some(OtherGeometry { from, to }) = self.geometry {
            let (from, to) = (geometry(from), geometry(to));
            parts.push(text!(
                "géométrie : {fr}",
                "geometry: {en}",
                fr = arrow(&from.fr, &to.fr),
                en = arrow(&from.en, &to.en)
            ));
        }
        let join = |of: fn(&Text) -> &str| parts.iter().map(of).collect::<Vec<_>>().join(" ; ");
        Text::new(join(|t| &t.fr), join(|t| &t.en))
    }
}

fn arrow(from: &str, to: &str) -> String {
    format!("{from} → {to}")
}

fn list(words: impl ExactSizeIterator<Item = Text>) -> Text {
    let more = words.len().saturating_sub(NAMED);
    let named: Vec<Text> = words.take(NAMED).collect();
    let join = |of: fn(&Text) -> &str| named.iter().map(of).collect::<Vec<_>>().join(", ");
    let (fr, en) = (join(|t| &t.fr), join(|t| &t.en));
    match more {
        0 => Text::new(fr, en),
        _ => text!("{fr} et {more} autres", "{en} and {more} more", fr = fr, en = en),
    }
}

fn kind(kind: FieldKind) -> Text {
    match kind {
        FieldKind::Bool => text!("booléen", "boolean"),
        FieldKind::Int => text!("entier", "integer"),
        FieldKind::Float => text!("nombre", "number"),
        FieldKind::Text => text!("texte", "text"),
        FieldKind::Date => text!("date", "date"),
        FieldKind::DateTime => text!("instant", "instant"),
        FieldKind::Json => text!("JSON", "JSON"),
    }
}

fn geometry(kind: GeometryKind) -> Text {
    match kind {
        GeometryKind::None => text!("aucune", "none"),
        kind => Text::same(kind.ogc_name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Comparison {
        Comparison {
            base: "20260101T000000Z-3f9a01c2".parse().unwrap(),
            rows_before: 2,
            rows_after: 2,
            refused_before: 0.0,
            refused_after: 0.0,
            columns_added: vec![],
            columns_lost: vec![],
            columns_retyped: vec![],
            geometry_before: GeometryKind::Polygon,
            geometry_after: GeometryKind::MultiPolygon,
            extent_before: None,
            extent_after: None,
            extent_kept: None,
        }
    }

    #[test]
    fn single_and_multiple_geometry_are_one_kind_and_the_rest_is_told() {
        assert_eq!(found().shape(), None);
        let mut other = found();
        other.geometry_after = GeometryKind::None;
        other.columns_added = (1..=12).map(|n| format!("c{n}")).collect();
        other.columns_lost = vec!["nom".into()];
        other.columns_retyped =
            vec![Retyped { column: "code".into(), from: FieldKind::Text, to: FieldKind::Int }];
        let sentence = other.shape().unwrap().sentence();
        assert!(
            sentence.fr.contains("« c10 » et 2 autres ; colonnes perdues : « nom »"),
            "{sentence}"
        );
        assert!(
            sentence.fr.ends_with("« code » (texte → entier) ; géométrie : POLYGON → aucune"),
            "{sentence}"
        );
        assert!(sentence.en.contains("and 2 more") && sentence.en.contains("text → integer"));
        let mut gained = found();
        gained.geometry_before = GeometryKind::None;
        gained.geometry_after = GeometryKind::Geometry;
        assert!(gained.shape().unwrap().geometry.is_some());
    }
}
