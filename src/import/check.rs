//! One row at a time: into CRS84, valid or repaired or refused, text normalised.

use crate::{
    geometry::{crs::Crs, validity},
    model::{Record, Refusal, RefusalReason, Value},
    store::spool::{self, Kept},
    text,
};
use geo::MapCoordsInPlace;
use geo_types::{Coord, Geometry};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// A row that passed.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) line: u64,
    pub(super) values: Vec<Value>,
    pub(super) geometry: Option<Geometry<f64>>,
    pub(super) repaired: bool,
}

impl Kept for Checked {
    fn weight(&self) -> usize {
        spool::weight(&self.values, self.geometry.as_ref())
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.line.to_le_bytes());
        out.push(u8::from(self.repaired));
        spool::write_values(&self.values, out);
        spool::write_geometry(self.geometry.as_ref(), out);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (line, bytes) = bytes.split_first_chunk()?;
        let (repaired, mut bytes) = bytes.split_first()?;
        let values = spool::read_values(&mut bytes)?;
        let geometry = spool::read_geometry(bytes)?;
        Some(Self { line: u64::from_le_bytes(*line), values, geometry, repaired: *repaired == 1 })
    }
}

/// Judges one row; `crs` is that of its coordinates, `turned`: northing or latitude comes first.
pub(super) fn check(record: Record, crs: &Crs, turned: bool) -> Result<Checked, Refusal> {
    let Record { line, values, geometry } = record;
    let refuse = |reason, text| Refusal { line, column: None, value: None, reason, text };
    let Some(mut geometry) = geometry else {
        return Ok(Checked { line, values, geometry: None, repaired: false });
    };
    if turned {
        geometry.map_coords_in_place(|c| Coord { x: c.y, y: c.x });
    }
    if let Err(e) = crs.to_crs84(&mut geometry) {
        return Err(refuse(RefusalReason::BadCoordinate, e.text(crs)));
    }
    let mut repaired = false;
    if let Err(problem) = validity::check(&geometry) {
        match validity::repair(geometry) {
            Some(fixed) => {
                geometry = fixed;
                repaired = true;
            }
            None => {
                let what = problem.text();
                return Err(refuse(
                    RefusalReason::InvalidGeometry,
                    text!(
                        "Géométrie invalide, non réparable sans en changer l'aire : {fr}",
                        "Invalid geometry that cannot be repaired with its area kept: {en}",
                        fr = what.fr,
                        en = what.en
                    ),
                ));
            }
        }
    }
    validity::normalise(&mut geometry);
    Ok(Checked { line, values, geometry: Some(geometry), repaired })
}

/// Text in NFC, as every answer gives it.
pub(super) fn normal(value: Value) -> Value {
    match value {
        Value::Text(s) if is_nfc_quick(s.chars()) != IsNormalized::Yes => {
            Value::Text(s.nfc().collect())
        }
        other => other,
    }
}
