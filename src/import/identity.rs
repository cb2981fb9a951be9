//! Gives every feature its id: the declared key, else a hash of its content. Never a row number:
//! an id must survive the next delivery.

use super::{check::Checked, read::Rows, seen::Seen};
use crate::{
    error::{Error, Result},
    formats::{mvt, wkb},
    model::{Feature, Refusal, RefusalReason, Report, Text, Value},
    store::{
        Spool,
        spool::{Spill, Spooling},
    },
    text,
};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use sha2::{Digest, Sha256};

/// MVT ids stay below what JavaScript counts exactly.
const ID_BITS: u64 = (1 << 53) - 1;

/// Names the rows, in source order. A declared key that is null or repeats refuses the row; an
/// undeclared identity numbers identical rows `-2`, `-3`….
pub(super) fn name(
    rows: Rows,
    key: Option<&str>,
    spill: &Spill,
    report: &mut Report,
) -> Result<Spool<Feature>> {
    let named = Named::with_room_for(rows.len(), &rows.spill(spill));
    match key {
        Some(key) => by_key(rows, key, named, report),
        None => by_content(rows, named, report),
    }
}

fn by_key(rows: Rows, key: &str, mut named: Named, report: &mut Report) -> Result<Spool<Feature>> {
    let Some(field) = rows.schema.index(key) else {
        let known: Vec<&str> = rows.schema.fields.iter().map(|f| f.name.as_str()).collect();
        let known = known.join(", ");
        return Err(Error::Refused(text!(
            "La clé déclarée « {key} » n'est pas une colonne de la source. Colonnes : {known}.",
            "The declared key \"{key}\" is not a column of the source. Columns: {known}."
        )));
    };
    // Of each feature; a source has no more lines than features can be counted.
    let mut lines: Vec<u32> = Vec::with_capacity(rows.len());
    rows.drain(|batch| {
        for row in batch {
            let refuse = |value: Option<String>, reason, text: Text| Refusal {
                line: row.line,
                column: Some(key.to_owned()),
                value,
                reason,
                text,
            };
            let Some(id) = row.values.get(field).and_then(key_text) else {
                report.refuse(refuse(
                    None,
                    RefusalReason::MissingKey,
                    text!("La clé « {key} » est vide.", "The key \"{key}\" is empty."),
                ));
                continue;
            };
            if let Some(first) = named.find(&id)? {
                let first = lines.get(first as usize).copied().unwrap_or_default();
                let text = text!(
                    "La clé « {id} » est déjà celle de la ligne {first}.",
                    "The key \"{id}\" is already that of row {first}."
                );
                report.refuse(refuse(Some(id), RefusalReason::DuplicateKey, text));
                continue;
            }
            lines.push(u32::try_from(row.line).unwrap_or(u32::MAX));
            named.push(id, row)?;
        }
        named.hand_over()
    })?;
    named.features.finish()
}

/// A value as an id; `None` when it is null or blank.
fn key_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Bool(b) => Some(b.to_string()),
        Value::Int(i) => Some(i.to_string()),
        Value::Float(f) => Some(f.to_string()),
        Value::Date(d) => Some(d.to_string()),
        Value::DateTime(t) => Some(t.to_string()),
        Value::Text(s) | Value::Json(s) => {
            let s = s.trim();
            (!s.is_empty()).then(|| s.to_owned())
        }
    }
}

fn by_content(rows: Rows, mut named: Named, report: &mut Report) -> Result<Spool<Feature>> {
    // How often content came that came more than once.
    let mut repeated: FxHashMap<u64, u64> = FxHashMap::default();
    rows.drain(|batch| {
        let hashes: Vec<u64> = batch.par_iter().map(content_hash).collect();
        for (hash, row) in hashes.into_iter().zip(batch) {
            let mut id = format!("{hash:016x}");
            if repeated.contains_key(&hash) || named.find(&id)?.is_some() {
                let times = repeated.entry(hash).and_modify(|n| *n += 1).or_insert(2);
                report.identical += 1;
                id = format!("{id}-{times}");
            }
            named.push(id, row)?;
        }
        named.hand_over()
    })?;
    if report.identical > 0 {
        let n = report.identical;
        report.notes.push(text!(
            "{n} lignes identiques à une autre : leur identifiant porte -2, -3…",
            "{n} rows identical to another one: their id ends in -2, -3…"
        ));
    }
    named.features.finish()
}

/// The first 64 bits of a digest of values and geometry.
fn content_hash(row: &Checked) -> u64 {
    let mut hash = Sha256::new();
    for value in &row.values {
        let text = match value {
            Value::Text(s) => format!("t{}:{s}", s.len()),
            other => format!("{other:?}"),
        };
        hash.update(text);
        hash.update([0x1f]);
    }
    if let Some(geometry) = &row.geometry {
        let mut bytes = Vec::new();
        wkb::write(geometry, &mut bytes);
        hash.update(bytes);
    }
    hash.finalize().first_chunk().copied().map_or(0, u64::from_be_bytes)
}

/// The features named so far.
struct Named {
    features: Spooling<Feature>,
    /// Those that are not among them yet.
    waiting: Vec<Feature>,
    /// By rank, the MVT ids that their ids have by nature: one list to find ids and MVT ids in.
    natural: Seen,
    /// MVT ids given that are none's by nature.
    moved: FxHashSet<u64>,
}

impl Named {
    fn with_room_for(rows: usize, spill: &Spill) -> Self {
        Self {
            features: Spooling::new(spill),
            waiting: Vec::new(),
            natural: Seen::with_room_for(rows),
            moved: FxHashSet::default(),
        }
    }

    /// Adds a row under its id, with its MVT id: a 53-bit hash of the id, the next free number
    /// where two meet.
    fn push(&mut self, id: String, row: Checked) -> Result<()> {
        let natural = mvt::feature_id(&id);
        let mut mvt_id = natural;
        while mvt_id == 0
            || self.moved.contains(&mvt_id)
            || self.natural.find(mvt_id, |_| Ok(true))?.is_some()
        {
            mvt_id = (mvt_id + 1) & ID_BITS;
        }
        if mvt_id != natural {
            self.moved.insert(mvt_id);
        }
        self.natural.add(natural);
        self.waiting.push(Feature { id, mvt_id, values: row.values, geometry: row.geometry });
        Ok(())
    }

    fn hand_over(&mut self) -> Result<()> {
        self.features.extend(std::mem::take(&mut self.waiting))
    }

    /// The rank of the feature that has an id.
    fn find(&self, id: &str) -> Result<Option<u32>> {
        self.natural.find(mvt::feature_id(id), |rank| {
            let rank = rank as usize;
            match rank.checked_sub(self.features.len()) {
                Some(waiting) => Ok(self.waiting.get(waiting).is_some_and(|f| f.id == id)),
                None => self.features.show(rank, |f| f.id == id),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Field, FieldKind, Schema};

    fn row(line: u64, value: Value) -> Checked {
        Checked { line, values: vec![value], geometry: None, repaired: false }
    }

    /// The features of rows that have a code, in memory or beyond some bytes in a file.
    fn named(rows: Vec<Checked>, key: Option<&str>, most: usize) -> (Vec<Feature>, Report) {
        let fields = vec![Field { name: "code".into(), kind: FieldKind::Text }];
        let rows = Rows::new(rows.into(), Schema { fields, ..Schema::default() });
        let folder = tempfile::tempdir().unwrap();
        let spill = Spill::into(folder.path()).beyond(most);
        let mut report = Report::default();
        let spool = name(rows, key, &spill, &mut report).unwrap();
        assert_eq!(spool.is_filed(), most == 0);
        let mut features = Vec::new();
        let all = spool.drain(|batch| {
            features.extend(batch);
            Ok(())
        });
        all.unwrap();
        (features, report)
    }

    #[test]
    fn repeated_and_missing_keys_are_refused_with_their_lines() {
        let text = |s: &str| Value::Text(s.into());
        let rows = [row(2, text("a")), row(3, Value::Null), row(4, text("a")), row(5, text(" b "))];
        for most in [0, Spill::MOST] {
            let rows = rows.iter().map(|r| row(r.line, r.values[0].clone())).collect();
            let (features, report) = named(rows, Some("code"), most);
            let ids: Vec<&str> = features.iter().map(|f| f.id.as_str()).collect();
            assert_eq!(ids, ["a", "b"]);
            let refused: Vec<_> = report.refusals.iter().map(|r| (r.line, r.reason)).collect();
            assert_eq!(refused, [(3, RefusalReason::MissingKey), (4, RefusalReason::DuplicateKey)]);
            assert!(report.refusals[1].text.fr.contains("ligne 2"));
        }
    }

    #[test]
    fn identical_rows_are_told_apart_and_order_does_not_change_ids() {
        let text = |s: &str| Value::Text(s.into());
        let rows = ["x", "y", "x", "x"].map(|s| row(1, text(s))).into();
        let (first, report) = named(rows, None, Spill::MOST);
        assert_eq!(report.identical, 2);
        assert_eq!(first[2].id, format!("{}-2", first[0].id));
        assert_eq!(first[3].id, format!("{}-3", first[0].id));
        let (second, _) = named(vec![row(1, text("y")), row(2, text("x"))], None, 0);
        assert_eq!(second[0].id, first[1].id);
        assert_eq!(second[1].id, first[0].id);
    }

    #[test]
    fn an_unknown_key_names_the_columns() {
        let fields = vec![Field { name: "code".into(), kind: FieldKind::Text }];
        let rows = Rows::new(Spool::default(), Schema { fields, ..Schema::default() });
        let spill = Spill::into(std::path::Path::new(""));
        let error = name(rows, Some("insee"), &spill, &mut Report::default()).unwrap_err();
        assert!(error.to_string().contains("code"), "{error}");
    }

    #[test]
    fn mvt_ids_are_unique_and_fit_53_bits() {
        let rows: Vec<Checked> = (0..50_000).map(|i| row(i, Value::Int(i as i64))).collect();
        let (features, _) = named(rows, Some("code"), 0);
        let ids: std::collections::HashSet<u64> = features.iter().map(|f| f.mvt_id).collect();
        assert_eq!(ids.len(), features.len());
        assert!(ids.iter().all(|id| *id > 0 && *id <= ID_BITS));
    }
}
