//! Features of formats that spell every value as text and name their properties one by one, feature
//! by feature (GML, KML): two passes, as for CSV. The first looks at every value to settle the
//! kinds, the second gives rows, so that `01001` stays what it is.

use super::{
    Next, Reader,
    csv::{Looks, Reading, names_codes},
    types::{few_columns, nfc},
};
use crate::{
    error::Result,
    model::{Field, FieldKind, Record, Refusal, RefusalReason, SourceLimits, Text, Value},
    text,
};
use geo_types::Geometry;
use rustc_hash::FxHashMap;

/// A feature as it is spelled.
#[derive(Debug, Default)]
pub(super) struct Raw {
    /// Properties in their order; one may come several times.
    pub(super) cells: Vec<(String, String)>,
    /// Its geometry, or why that cannot be read.
    pub(super) shape: Option<std::result::Result<Geometry<f64>, Text>>,
    /// The system that its geometry names.
    pub(super) srs: Option<String>,
}

/// What a file says that a property is, as far as its values do not show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Declared {
    /// Words, even where they look like numbers.
    Text,
    /// `0` and `1` are no numbers.
    Bool,
}

/// A file of such features.
pub(super) trait Source: Send {
    /// The next feature; `None` at the end.
    fn next(&mut self) -> Result<Option<Raw>>;
    /// After the first pass, which needs no geometries: refuses what only the whole file shows to be
    /// wrong, and names a property that says nothing.
    fn settle(&self) -> Result<Option<&'static str>>;
    /// What the file says a property is, where it says so ahead of its features.
    fn declared(&self, _name: &str) -> Option<Declared> {
        None
    }
    /// What was found on the way.
    fn notes(&self) -> Vec<Text>;
    /// Bytes of the file consumed so far.
    fn position(&self) -> u64;
}

/// Reads such a file.
pub(super) struct MarkupReader<S> {
    source: S,
    fields: Vec<Field>,
    readings: Vec<Reading>,
    index: FxHashMap<String, usize>,
    crs: Option<String>,
    /// Whether positions follow the order of axes of the system's authority.
    authority: bool,
    number: u64,
    count: u64,
    repeated: u64,
    notes: Vec<Text>,
}

/// What the first pass found of a property.
#[derive(Default)]
struct Column {
    looks: Looks,
    /// Some feature has it several times: its values become lists.
    several: bool,
}

impl<S: Source> MarkupReader<S> {
    /// Reads a file twice; `open` begins it anew, with or without geometries.
    pub(super) fn open(open: impl Fn(bool) -> Result<S>, limits: &SourceLimits) -> Result<Self> {
        let mut first = open(false)?;
        let mut fields: Vec<Field> = Vec::new();
        let mut columns: Vec<Column> = Vec::new();
        let mut index: FxHashMap<String, usize> = FxHashMap::default();
        let (mut crs, mut count) = (None, 0);
        let mut last = Vec::new();
        while let Some(raw) = first.next()? {
            count += 1;
            crs = crs.or(raw.srs);
            last.resize(fields.len(), 0u64);
            for (name, value) in raw.cells {
                let at = match index.get(&name) {
                    Some(at) => *at,
                    None => {
                        index.insert(name.clone(), fields.len());
                        fields.push(Field { name, kind: FieldKind::Text });
                        columns.push(Column::default());
                        last.push(0);
                        few_columns(fields.len(), limits)?;
                        fields.len() - 1
                    }
                };
                let (Some(column), Some(last)) = (columns.get_mut(at), last.get_mut(at)) else {
                    continue;
                };
                column.looks.see(&value);
                column.several |= *last == count;
                *last = count;
            }
        }
        if let Some(name) = first.settle()?
            && let Some(at) = index.remove(name)
        {
            fields.remove(at);
            columns.remove(at);
            index.values_mut().filter(|i| **i > at).for_each(|i| *i -= 1);
        }
        let mut notes = first.notes();
        let readings = settle(&mut fields, &columns, |name| first.declared(name), &mut notes);
        let authority = crs.as_deref().is_some_and(authority_order);
        let source = open(true)?;
        Ok(Self {
            source,
            fields,
            readings,
            index,
            crs,
            authority,
            number: 0,
            count,
            repeated: 0,
            notes,
        })
    }

    fn row(&mut self, raw: Raw) -> Next {
        let line = self.number;
        let refuse =
            |reason, text| Next::Refused(Refusal { line, column: None, value: None, reason, text });
        let geometry = match raw.shape.transpose() {
            Ok(geometry) => geometry,
            Err(text) => return refuse(RefusalReason::InvalidGeometry, text),
        };
        if let (Some(own), Some(first)) = (&raw.srs, &self.crs)
            && own != first
        {
            let own: String = own.chars().take(80).collect();
            return refuse(
                RefusalReason::BadCoordinate,
                text!(
                    "la géométrie est dans un autre système que les premières ({own})",
                    "the geometry is in another system than the first ones ({own})"
                ),
            );
        }
        let mut values = vec![Value::Null; self.fields.len()];
        let mut lists: Vec<(usize, Vec<String>)> = Vec::new();
        for (name, cell) in raw.cells {
            let Some(at) = self.index.get(&name).copied() else { continue };
            let (Some(place), Some(reading)) = (values.get_mut(at), self.readings.get(at)) else {
                continue;
            };
            if place.is_null() {
                *place = match reading {
                    Reading::Text if !cell.is_empty() => Value::Text(nfc(cell)),
                    reading => reading.value(&cell),
                };
            } else {
                match lists.iter_mut().find(|(i, _)| *i == at) {
                    Some((_, list)) => list.push(cell),
                    None => lists.push((at, vec![cell])),
                }
            }
        }
        self.repeated += u64::from(!lists.is_empty());
        for (at, list) in lists {
            if let Some(place @ Value::Text(_)) = values.get_mut(at) {
                let Value::Text(first) = std::mem::take(place) else { continue };
                let all: Vec<String> = std::iter::once(first).chain(list).collect();
                *place = Value::Text(serde_json::json!(all).to_string());
            }
        }
        Next::Record(Record { line, values, geometry })
    }
}

/// How each property is read, by all its values.
fn settle(
    fields: &mut [Field],
    columns: &[Column],
    declared: impl Fn(&str) -> Option<Declared>,
    notes: &mut Vec<Text>,
) -> Vec<Reading> {
    let mut codes = Vec::new();
    let mut readings = Vec::with_capacity(fields.len());
    for (field, column) in fields.iter_mut().zip(columns) {
        let declared = declared(&field.name);
        let mut reading = column.looks.reading(None);
        // Dates are words where a format has none.
        let dated = matches!(reading.kind(), FieldKind::Date | FieldKind::DateTime);
        if column.several || declared == Some(Declared::Text) && !dated {
            reading = Reading::Text;
        } else if declared == Some(Declared::Bool) && column.looks.are_bits() {
            reading = Reading::Bit;
        } else if reading == Reading::Int && names_codes(&field.name) {
            reading = Reading::Text;
            codes.push(field.name.clone());
        }
        field.kind = reading.kind();
        readings.push(reading);
    }
    if !codes.is_empty() {
        let names = codes.join(", ");
        notes.push(text!(
            "codes gardés comme texte bien que tous numériques : {names}",
            "codes kept as text though all numeric: {names}"
        ));
    }
    readings
}

/// Whether a spelling of a system promises the order of axes of its authority: a URN or an address
/// of the OGC's register does; `EPSG:n` and the address of GML 2 mean easting or longitude first, as
/// everybody writes them.
fn authority_order(srs: &str) -> bool {
    let lower = srs.trim().to_ascii_lowercase();
    lower.starts_with("urn:") || lower.contains("://www.opengis.net/def/crs/")
}

impl<S: Source> Reader for MarkupReader<S> {
    fn next(&mut self) -> Result<Next> {
        match self.source.next()? {
            None => Ok(Next::End),
            Some(raw) => {
                self.number += 1;
                Ok(self.row(raw))
            }
        }
    }

    fn fields(&self) -> &[Field] {
        &self.fields
    }

    fn crs(&self) -> Option<&str> {
        self.crs.as_deref()
    }

    fn authority_axes(&self) -> bool {
        self.authority
    }

    fn notes(&self) -> Vec<Text> {
        let mut notes = self.notes.clone();
        let repeated = self.repeated;
        if repeated > 0 {
            notes.push(text!(
                "propriété répétée, ses valeurs réunies en une liste : {repeated} entités",
                "repeated property, its values put into a list: {repeated} features"
            ));
        }
        notes
    }

    fn expected(&self) -> Option<u64> {
        Some(self.count)
    }

    fn position(&self) -> u64 {
        self.source.position()
    }
}
