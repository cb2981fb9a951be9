//! Gives every feature its id: the declared key, else a hash of its content. Never a row number:
//! an id must survive the next delivery.

use super::check::Checked;
use crate::{
    error::{Error, Result},
    formats::{mvt, wkb},
    model::{Feature, Refusal, RefusalReason, Report, Schema, Text, Value},
    text,
};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};

/// MVT ids stay below what JavaScript counts exactly.
const ID_BITS: u64 = (1 << 53) - 1;

/// Names the rows, in source order. A declared key that is null or repeats refuses the row; an
/// undeclared identity numbers identical rows `-2`, `-3`….
pub(super) fn name(
    rows: Vec<Vec<Checked>>,
    schema: &Schema,
    key: Option<&str>,
    report: &mut Report,
) -> Result<Vec<Feature>> {
    let named = Named::with_room_for(rows.iter().map(Vec::len).sum());
    match key {
        Some(key) => by_key(rows, schema, key, named, report),
        None => Ok(by_content(rows, named, report)),
    }
}

fn by_key(
    rows: Vec<Vec<Checked>>,
    schema: &Schema,
    key: &str,
    mut named: Named,
    report: &mut Report,
) -> Result<Vec<Feature>> {
    let Some(field) = schema.index(key) else {
        let known: Vec<&str> = schema.fields.iter().map(|f| f.name.as_str()).collect();
        let known = known.join(", ");
        return Err(Error::Refused(text!(
            "La clé déclarée « {key} » n'est pas une colonne de la source. Colonnes : {known}.",
            "The declared key \"{key}\" is not a column of the source. Columns: {known}."
        )));
    };
    let mut seen: HashMap<String, u64> = HashMap::with_capacity(named.features.capacity());
    for row in rows.into_iter().flatten() {
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
        if let Some(first) = seen.get(&id) {
            let text = text!(
                "La clé « {id} » est déjà celle de la ligne {first}.",
                "The key \"{id}\" is already that of row {first}."
            );
            report.refuse(refuse(Some(id), RefusalReason::DuplicateKey, text));
            continue;
        }
        seen.insert(id.clone(), row.line);
        named.push(id, row);
    }
    Ok(named.features)
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

fn by_content(rows: Vec<Vec<Checked>>, mut named: Named, report: &mut Report) -> Vec<Feature> {
    let mut seen: HashMap<String, u64> = HashMap::with_capacity(named.features.capacity());
    for batch in rows {
        let hashes: Vec<String> = batch.par_iter().map(content_hash).collect();
        for (hash, row) in hashes.into_iter().zip(batch) {
            let times = seen.entry(hash.clone()).and_modify(|n| *n += 1).or_insert(1);
            let id = if *times == 1 { hash } else { format!("{hash}-{times}") };
            report.identical += u64::from(*times > 1);
            named.push(id, row);
        }
    }
    if report.identical > 0 {
        let n = report.identical;
        report.notes.push(text!(
            "{n} lignes identiques à une autre : leur identifiant porte -2, -3…",
            "{n} rows identical to another one: their id ends in -2, -3…"
        ));
    }
    named.features
}

/// 16 hexadecimal digits over values and geometry.
fn content_hash(row: &Checked) -> String {
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
    super::hex(&hash.finalize(), 16)
}

/// The features named so far.
struct Named {
    features: Vec<Feature>,
    /// MVT ids given.
    taken: HashSet<u64>,
}

impl Named {
    fn with_room_for(rows: usize) -> Self {
        Self { features: Vec::with_capacity(rows), taken: HashSet::with_capacity(rows) }
    }

    /// Adds a row under its id, with its MVT id: a 53-bit hash of the id, the next free number
    /// where two meet.
    fn push(&mut self, id: String, row: Checked) {
        let mut mvt_id = mvt::feature_id(&id);
        while mvt_id == 0 || !self.taken.insert(mvt_id) {
            mvt_id = (mvt_id + 1) & ID_BITS;
        }
        self.features.push(Feature { id, mvt_id, values: row.values, geometry: row.geometry });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Field, FieldKind};

    fn row(line: u64, value: Value) -> Checked {
        Checked { line, values: vec![value], geometry: None, repaired: false }
    }

    fn schema() -> Schema {
        let fields = vec![Field { name: "code".into(), kind: FieldKind::Text }];
        Schema { fields, ..Schema::default() }
    }

    #[test]
    fn repeated_and_missing_keys_are_refused_with_their_lines() {
        let text = |s: &str| Value::Text(s.into());
        let rows =
            vec![row(2, text("a")), row(3, Value::Null), row(4, text("a")), row(5, text(" b "))];
        let mut report = Report::default();
        let features = name(vec![rows], &schema(), Some("code"), &mut report).unwrap();
        let ids: Vec<&str> = features.iter().map(|f| f.id.as_str()).collect();
        assert_eq!(ids, ["a", "b"]);
        let refused: Vec<_> = report.refusals.iter().map(|r| (r.line, r.reason)).collect();
        assert_eq!(refused, [(3, RefusalReason::MissingKey), (4, RefusalReason::DuplicateKey)]);
        assert!(report.refusals[1].text.fr.contains("ligne 2"));
    }

    #[test]
    fn identical_rows_are_told_apart_and_order_does_not_change_ids() {
        let text = |s: &str| Value::Text(s.into());
        let mut report = Report::default();
        let rows = vec![row(1, text("x")), row(2, text("y")), row(3, text("x"))];
        let first = name(vec![rows], &schema(), None, &mut report).unwrap();
        assert_eq!(report.identical, 1);
        assert_eq!(first[2].id, format!("{}-2", first[0].id));
        let rows = vec![row(1, text("y")), row(2, text("x"))];
        let second = name(vec![rows], &schema(), None, &mut Report::default()).unwrap();
        assert_eq!(second[0].id, first[1].id);
        assert_eq!(second[1].id, first[0].id);
    }

    #[test]
    fn an_unknown_key_names_the_columns() {
        let error = name(vec![], &schema(), Some("insee"), &mut Report::default()).unwrap_err();
        assert!(error.to_string().contains("code"), "{error}");
    }

    #[test]
    fn mvt_ids_are_unique_and_fit_53_bits() {
        let rows: Vec<Checked> = (0..50_000).map(|i| row(i, Value::Int(i as i64))).collect();
        let features = name(vec![rows], &schema(), Some("code"), &mut Report::default()).unwrap();
        let ids: std::collections::HashSet<u64> = features.iter().map(|f| f.mvt_id).collect();
        assert_eq!(ids.len(), features.len());
        assert!(ids.iter().all(|id| *id > 0 && *id <= ID_BITS));
    }
}
