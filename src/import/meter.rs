//! Holds what is read against what a source may bring: no delivery, however made, takes more of
//! the machine than the settings say.

use crate::{
    error::{Error, Result},
    formats::types::few_columns,
    model::{Field, Record, Refusal, RefusalReason, SourceLimits, Text, Value},
    text,
};
use geo::CoordsIter;

/// Counts rows, vertices and bytes of values.
pub(super) struct Meter {
    limits: SourceLimits,
    rows: u64,
    vertices: u64,
    bytes: u64,
}

impl Meter {
    pub(super) fn new(limits: &SourceLimits) -> Self {
        Self { limits: *limits, rows: 0, vertices: 0, bytes: 0 }
    }

    /// Counts columns.
    pub(super) fn columns(&self, columns: usize) -> Result<()> {
        few_columns(columns, &self.limits)
    }

    /// Counts a row that its reader refused.
    pub(super) fn refused(&mut self) -> Result<()> {
        self.rows += 1;
        let most = self.limits.max_rows;
        if self.rows <= most {
            return Ok(());
        }
        Err(Error::Refused(text!(
            "La source a plus de {most} lignes (max_rows).",
            "The source has more than {most} rows (max_rows)."
        )))
    }

    /// Counts a row; a refusal when the row alone is too large, an error when all of it is.
    pub(super) fn row(&mut self, record: &Record, fields: &[Field]) -> Result<Option<Refusal>> {
        self.refused()?;
        self.columns(record.values.len())?;
        let refuse = |column: Option<String>, text| Refusal {
            line: record.line,
            column,
            value: None,
            reason: RefusalReason::TooLarge,
            text,
        };
        for (i, value) in record.values.iter().enumerate() {
            let (bytes, most) = (held(value), self.limits.max_value);
            if bytes > most {
                let kib = most >> 10;
                let column = fields.get(i).map(|field| field.name.clone());
                return Ok(Some(refuse(
                    column,
                    text!(
                        "valeur de {bytes} octets, {kib} Kio au plus (max_value_kb)",
                        "value of {bytes} bytes, at most {kib} KiB (max_value_kb)"
                    ),
                )));
            }
            self.bytes += bytes;
        }
        if self.bytes > self.limits.max_values {
            let mib = self.limits.max_values >> 20;
            return Err(too_much(
                format!("Les valeurs de la source dépassent {mib} Mio (max_values_mb)."),
                format!("The values of the source exceed {mib} MiB (max_values_mb)."),
            ));
        }
        let vertices = record.geometry.as_ref().map_or(0, |g| g.coords_count() as u64);
        let most = self.limits.max_vertices;
        if vertices > most {
            return Ok(Some(refuse(
                None,
                text!(
                    "géométrie de {vertices} sommets, {most} au plus (max_vertices)",
                    "geometry of {vertices} vertices, at most {most} (max_vertices)"
                ),
            )));
        }
        self.vertices += vertices;
        if self.vertices > self.limits.max_total_vertices {
            let most = self.limits.max_total_vertices;
            return Err(too_much(
                format!("La source a plus de {most} sommets (max_total_vertices)."),
                format!("The source has more than {most} vertices (max_total_vertices)."),
            ));
        }
        Ok(None)
    }
}

fn too_much(fr: String, en: String) -> Error {
    Error::Refused(Text::new(fr, en))
}

/// Bytes of a value.
fn held(value: &Value) -> u64 {
    match value {
        Value::Text(text) | Value::Json(text) => text.len() as u64,
        Value::Null => 0,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use geo_types::{LineString, Point};

    fn limits() -> SourceLimits {
        SourceLimits {
            max_rows: 3,
            max_columns: 2,
            max_vertices: 3,
            max_total_vertices: 5,
            max_value: 4,
            max_values: 20,
            ..SourceLimits::default()
        }
    }

    fn row(text: &str, vertices: usize) -> Record {
        let points = (0..vertices).map(|i| Point::new(i as f64, 0.0)).collect::<Vec<_>>();
        let geometry = Some(LineString::from(points).into());
        Record { line: 7, values: vec![Value::Text(text.into())], geometry }
    }

    fn said(result: Result<Option<Refusal>>) -> String {
        match result {
            Err(Error::Refused(text)) => text.en,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_row_too_large_is_refused_alone() {
        let mut meter = Meter::new(&limits());
        let field = Field { name: "nom".into(), kind: crate::model::FieldKind::Text };
        let refusal = meter.row(&row("12345", 1), std::slice::from_ref(&field)).unwrap().unwrap();
        assert_eq!((refusal.line, refusal.column.as_deref()), (7, Some("nom")));
        assert!(refusal.text.fr.contains("max_value_kb"), "{refusal:?}");
        let refusal = meter.row(&row("1", 4), &[]).unwrap().unwrap();
        assert_eq!(refusal.reason, RefusalReason::TooLarge);
        assert!(refusal.text.en.contains("4 vertices, at most 3 (max_vertices)"), "{refusal:?}");
        assert!(meter.row(&row("1234", 3), &[]).unwrap().is_none());
    }

    #[test]
    fn a_source_too_large_is_refused_by_the_name_of_the_limit() {
        let mut meter = Meter::new(&limits());
        meter.refused().unwrap();
        assert!(meter.row(&row("1", 3), &[]).unwrap().is_none());
        assert!(said(meter.row(&row("1", 3), &[])).contains("(max_total_vertices)"));
        assert!(said(meter.row(&row("1", 0), &[])).contains("more than 3 rows (max_rows)"));
        let mut meter = Meter::new(&SourceLimits { max_rows: 100, ..limits() });
        for _ in 0..5 {
            assert!(meter.row(&row("1234", 0), &[]).unwrap().is_none());
        }
        assert!(said(meter.row(&row("1", 0), &[])).contains("(max_values_mb)"));
        let wide = Record { values: vec![Value::Null; 3], ..Record::default() };
        let mut meter = Meter::new(&limits());
        assert!(said(meter.row(&wide, &[])).contains("3 columns, at most 2 (max_columns)"));
        assert!(meter.columns(3).is_err() && meter.columns(2).is_ok());
    }
}
