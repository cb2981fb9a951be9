//! Measures groups of features: counts, sums, means, extremes, distinct values.

use super::metric::{Figure, Kind, Metric};
use crate::model::ValueRef;
use rustc_hash::{FxHashMap, FxHashSet};
use std::cmp::Ordering;

/// A value as it is kept while it is measured; text by its number among the column's texts.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
enum Cell {
    #[default]
    Null,
    Int(i64),
    Float(f64),
    Text(u32),
}

/// The values of one field by ordinal.
#[derive(Debug, Default)]
struct Column {
    field: usize,
    cells: Vec<Cell>,
    texts: Vec<String>,
    known: FxHashMap<String, u32>,
}

/// The values of the fields that are measured, by ordinal.
#[derive(Debug, Default)]
pub(super) struct Columns(Vec<Column>);

impl Columns {
    /// Room for the fields that some measures need.
    pub(super) fn of(metrics: &[Metric]) -> Self {
        let mut fields: Vec<usize> = metrics.iter().filter_map(|m| m.field).collect();
        fields.sort_unstable();
        fields.dedup();
        Self(fields.into_iter().map(|field| Column { field, ..Column::default() }).collect())
    }

    /// Whether no value is needed at all.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes what is needed of a row.
    pub(super) fn take(&mut self, ordinal: u32, values: &[ValueRef<'_>]) {
        let at = ordinal as usize;
        for column in &mut self.0 {
            let cell = match values.get(column.field) {
                None | Some(ValueRef::Null) => Cell::Null,
                Some(ValueRef::Bool(b)) => Cell::Int(i64::from(*b)),
                Some(ValueRef::Int(i)) => Cell::Int(*i),
                Some(ValueRef::Float(f)) => Cell::Float(*f),
                Some(ValueRef::Text(t) | ValueRef::Json(t)) => Cell::Text(column.text(t)),
            };
            if column.cells.len() <= at {
                column.cells.resize(at + 1, Cell::Null);
            }
            if let Some(place) = column.cells.get_mut(at) {
                *place = cell;
            }
        }
    }

    fn column(&self, field: Option<usize>) -> Option<&Column> {
        field.and_then(|field| self.0.iter().find(|c| c.field == field))
    }
}

impl Column {
    fn text(&mut self, text: &str) -> u32 {
        if let Some(known) = self.known.get(text) {
            return *known;
        }
        let next = self.texts.len() as u32;
        self.texts.push(text.to_owned());
        self.known.insert(text.to_owned(), next);
        next
    }

    fn cell(&self, ordinal: u32) -> Cell {
        self.cells.get(ordinal as usize).copied().unwrap_or_default()
    }
}

/// A feature in a group, with the share of it that the group has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Part {
    /// The feature.
    pub(super) ordinal: u32,
    /// The share of its values that belongs to the group: 1 unless values are shared out.
    pub(super) weight: f64,
    /// Whether the feature concerns the group; `false` where the group only has what is left of
    /// values that were shared out.
    pub(super) concerns: bool,
}

/// Measures a group.
pub(super) fn measure(metrics: &[Metric], columns: &Columns, parts: &[Part]) -> Vec<Figure> {
    metrics
        .iter()
        .map(|metric| {
            let Some(column) = columns.column(metric.field) else {
                let count = parts.iter().filter(|p| p.concerns).count();
                return Figure::Int(count as i64);
            };
            match metric.kind {
                Kind::Count => Figure::Int(parts.iter().filter(|p| p.concerns).count() as i64),
                Kind::Sum => sum(column, parts),
                Kind::Avg => mean(column, parts),
                Kind::Min => extreme(column, parts, Ordering::Less),
                Kind::Max => extreme(column, parts, Ordering::Greater),
                Kind::Distinct => distinct(column, parts),
            }
        })
        .collect()
}

/// Whole numbers are added exactly unless they are shared out; others with the rounding carried
/// along (Neumaier), so that the order of the rows does not show.
fn sum(column: &Column, parts: &[Part]) -> Figure {
    let (mut whole, mut exact, mut any) = (0i128, true, false);
    let (mut total, mut lost) = (0f64, 0f64);
    for part in parts {
        let value = match column.cell(part.ordinal) {
            Cell::Int(i) => {
                whole += i128::from(i);
                exact &= part.weight == 1.0;
                #[expect(clippy::cast_precision_loss, reason = "used where the sum is no integer")]
                let value = i as f64;
                value
            }
            Cell::Float(f) => {
                exact = false;
                f
            }
            Cell::Null | Cell::Text(_) => continue,
        };
        any = true;
        let term = value * part.weight;
        let next = total + term;
        lost +=
            if total.abs() >= term.abs() { (total - next) + term } else { (term - next) + total };
        total = next;
    }
    match (any, i64::try_from(whole)) {
        (false, _) => Figure::Null,
        (true, Ok(whole)) if exact => Figure::Int(whole),
        _ => Figure::Float(total + lost),
    }
}

fn mean(column: &Column, parts: &[Part]) -> Figure {
    let (mut total, mut weight) = (0f64, 0f64);
    for part in parts {
        #[expect(clippy::cast_precision_loss, reason = "a mean is a double")]
        let value = match column.cell(part.ordinal) {
            Cell::Int(i) => i as f64,
            Cell::Float(f) => f,
            Cell::Null | Cell::Text(_) => continue,
        };
        total += value * part.weight;
        weight += part.weight;
    }
    if weight > 0.0 { Figure::Float(total / weight) } else { Figure::Null }
}

fn extreme(column: &Column, parts: &[Part], wanted: Ordering) -> Figure {
    let mut best = Figure::Null;
    for part in parts.iter().filter(|p| p.concerns) {
        let figure = match column.cell(part.ordinal) {
            Cell::Null => continue,
            Cell::Int(i) => Figure::Int(i),
            Cell::Float(f) => Figure::Float(f),
            Cell::Text(t) => {
                let text = column.texts.get(t as usize).map_or("", String::as_str);
                match &best {
                    Figure::Text(held) if text.cmp(held) != wanted => continue,
                    _ => Figure::Text(text.to_owned()),
                }
            }
        };
        if best == Figure::Null || figure.compare(&best) == wanted {
            best = figure;
        }
    }
    best
}

fn distinct(column: &Column, parts: &[Part]) -> Figure {
    let mut seen: FxHashSet<(u8, u64)> = FxHashSet::default();
    for part in parts.iter().filter(|p| p.concerns) {
        match column.cell(part.ordinal) {
            Cell::Null => {}
            Cell::Int(i) => {
                seen.insert((0, i.cast_unsigned()));
            }
            Cell::Float(f) => {
                seen.insert((1, f.to_bits()));
            }
            Cell::Text(t) => {
                seen.insert((2, t.into()));
            }
        }
    }
    Figure::Int(seen.len() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Field, FieldKind, GeometryKind, Schema},
        stats::parse_metrics,
    };

    fn schema() -> Schema {
        let field = |name: &str, kind| Field { name: name.to_owned(), kind };
        let fields = vec![field("nom", FieldKind::Text), field("pop", FieldKind::Int)];
        Schema { fields, geometry: GeometryKind::None }
    }

    #[test]
    fn whole_numbers_are_added_exactly() {
        let metrics =
            parse_metrics("count,sum:pop,avg:pop,min:pop,max:pop,distinct:pop", &schema()).unwrap();
        let mut columns = Columns::of(&metrics);
        for (ordinal, value) in [(0, Some(1 << 53)), (1, Some(1)), (2, None), (3, Some(1))] {
            let value = value.map_or(ValueRef::Null, ValueRef::Int);
            columns.take(ordinal, &[ValueRef::Null, value]);
        }
        let part = |ordinal| Part { ordinal, weight: 1.0, concerns: true };
        let parts: Vec<Part> = (0..4).map(part).collect();
        let figures = measure(&metrics, &columns, &parts);
        assert_eq!(figures[0], Figure::Int(4));
        assert_eq!(figures[1], Figure::Int((1 << 53) + 2));
        assert_eq!(figures[3..], [Figure::Int(1), Figure::Int(1 << 53), Figure::Int(2)]);
        let none = measure(&metrics, &columns, &[]);
        assert_eq!(none[..3], [Figure::Int(0), Figure::Null, Figure::Null]);
    }
}
