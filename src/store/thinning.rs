//! The geometry of a version as tiles show it: generalised, and points thinned by the version's
//! own rule. What a feature weighs in a tile is known here, where its tags are made.

use super::{ID_PROPERTY, NewVersion};
use crate::{
    error::{Error, Result},
    formats::mvt,
    geometry::overview::{self, Less, Overviews, Room, Thinned},
    model::{Feature, FieldKind, Shown, Thinning, Value, ValueRef, Version},
    text,
};
use rayon::prelude::*;
use rustc_hash::FxHashSet;

/// A field of so many values at most is one whose values a tile writes once each.
const FEW: usize = 1024;
/// What such fields may take of a budget, all together: one part of so many.
const SHARE: u32 = 8;
/// What a tile holds beside features: version, extent, lengths.
const FRAME: usize = 64;
/// What a point holds beside its tags: id, kind, position, lengths.
const POINT: usize = 32;
/// What a tag takes beside its value: two indices.
const TAG: usize = 5;

/// What becomes of a version whose points would make tiles too heavy; `None` when all have room.
///
/// # Errors
/// [`Error::Refused`] when the field of importance is not there, or holds no numbers.
pub fn plan(features: &[Feature], version: &Version, rule: Thinning) -> Result<Option<Thinning>> {
    if let Some(name) = &rule.importance {
        number(version, name)?;
    }
    if version.schema.geometry.dimension() != Some(0) {
        return Ok(None);
    }
    Ok(thinned(features, version, &rule).map(|thinned| {
        let shown = |(min_zoom, max_zoom, features): &(u8, u8, u64)| Shown {
            min_zoom: *min_zoom,
            max_zoom: *max_zoom,
            features: *features,
        };
        Thinning { shown: thinned.shown.iter().map(shown).collect(), ..rule }
    }))
}

/// The overviews of a version.
pub(super) fn overviews(new: &NewVersion) -> Overviews {
    let geometries: Vec<_> = new.features.iter().map(|f| f.geometry.as_ref()).collect();
    let v = &new.version;
    let rule = v.thinning.as_deref();
    let from = rule.and_then(|rule| thinned(&new.features, v, rule)).map(|t| t.from);
    let detail = v.drawing.as_deref().map(|d| &d.detail);
    let less = Less { from: from.as_deref(), detail };
    overview::build_less(&geometries, v.min_zoom, v.max_zoom, less)
}

/// The position of a field of numbers.
fn number(version: &Version, name: &str) -> Result<usize> {
    let fields = &version.schema.fields;
    let numeric = |kind| matches!(kind, FieldKind::Int | FieldKind::Float);
    let found = version.schema.index(name).filter(|i| numeric(fields[*i].kind));
    found.ok_or_else(|| {
        let known = fields.iter().filter(|f| numeric(f.kind)).map(|f| f.name.as_str());
        let known = known.collect::<Vec<_>>().join(", ");
        Error::Refused(text!(
            "L'importance déclarée « {name} » n'est pas une colonne de nombres de la source. Colonnes de nombres : {known}.",
            "The declared importance \"{name}\" is not a column of numbers of the source. Columns of numbers: {known}."
        ))
    })
}

fn thinned(features: &[Feature], version: &Version, rule: &Thinning) -> Option<Thinned> {
    let geometries: Vec<_> = features.iter().map(|f| f.geometry.as_ref()).collect();
    let (fixed, weights) = weights(features, version, rule.budget);
    let bytes = rule.budget.saturating_sub(fixed);
    let room = Room { bytes, buffer: rule.buffer };
    let field = rule.importance.as_ref().and_then(|name| version.schema.index(name));
    let importance = |feature: &Feature| match field.and_then(|i| feature.values.get(i)) {
        Some(Value::Int(i)) => *i as f64,
        Some(Value::Float(f)) => *f,
        _ => f64::NEG_INFINITY,
    };
    let count = u32::try_from(features.len()).ok()?;
    let mut order: Vec<(f64, u64, u32)> = (0..count)
        .zip(features)
        // Ids scattered: neighbours in the source do not go together.
        .map(|(i, f)| (importance(f), f.mvt_id.wrapping_mul(0x9e37_79b9_7f4a_7c15), i))
        .collect();
    order.par_sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
    let order: Vec<u32> = order.into_iter().map(|(_, _, ordinal)| ordinal).collect();
    overview::thin(&geometries, &weights, &order, (version.min_zoom, version.max_zoom), room)
}

/// The bytes that every tile has, and those each feature adds, never less than it does.
fn weights(features: &[Feature], version: &Version, budget: u32) -> (u32, Vec<u32>) {
    let fields = version.schema.fields.len();
    let mut few: Vec<Option<usize>> =
        (0..fields).into_par_iter().map(|field| written_once(features, field)).collect();
    keep_few(&mut few, budget);
    let names: usize = version.schema.fields.iter().map(|f| f.name.len() + 6).sum();
    let values: usize = few.iter().flatten().sum();
    let fixed = FRAME + names + ID_PROPERTY.len() + 6 + values;
    let own = |feature: &Feature| {
        let mut bytes = POINT;
        let mut tag = Vec::new();
        for (value, few) in feature.values.iter().zip(&few) {
            tag.clear();
            mvt::encode_tags(0, std::slice::from_ref(value), &mut tag);
            bytes += match (tag.len(), few) {
                (0, _) => 0,
                (_, Some(_)) => TAG,
                (length, None) => TAG + length,
            };
        }
        if version.key.is_none() {
            tag.clear();
            mvt::push_tag(0, ValueRef::Text(&feature.id), &mut tag);
            bytes += TAG + tag.len();
        }
        u32::try_from(bytes).unwrap_or(u32::MAX)
    };
    let weights = features.par_iter().map(own).collect();
    (u32::try_from(fixed).unwrap_or(u32::MAX), weights)
}

/// Counts as written once what takes little of the budget in all, the lightest fields first: a
/// tile that shows three features writes three of the values, and is not to be charged for all.
fn keep_few(few: &mut [Option<usize>], budget: u32) {
    let mut left = usize::try_from(budget / SHARE).unwrap_or(usize::MAX);
    let mut lightest: Vec<usize> = (0..few.len()).filter(|i| few[*i].is_some()).collect();
    lightest.sort_by_key(|i| few[*i]);
    for i in lightest {
        match few[i].and_then(|bytes| left.checked_sub(bytes)) {
            Some(rest) => left = rest,
            None => few[i] = None,
        }
    }
}

/// The bytes of all values of a field together, when they are few.
fn written_once(features: &[Feature], field: usize) -> Option<usize> {
    let mut seen: FxHashSet<Vec<u8>> = FxHashSet::default();
    let mut tag = Vec::new();
    for value in features.iter().filter_map(|f| f.values.get(field)) {
        tag.clear();
        mvt::encode_tags(0, std::slice::from_ref(value), &mut tag);
        if !seen.contains(&tag) {
            if seen.len() == FEW {
                return None;
            }
            seen.insert(tag.clone());
        }
    }
    Some(seen.iter().map(Vec::len).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_few_long_values_are_not_charged_to_every_tile() {
        let mut few = vec![Some(600_000), None, Some(40_000), Some(20_000), Some(10_000)];
        keep_few(&mut few, 500_000);
        // 62,500 bytes: the two lightest, then 40,000 is too much, as are the descriptions.
        assert_eq!(few, [None, None, None, Some(20_000), Some(10_000)]);
        keep_few(&mut few, 0);
        assert_eq!(few, [None; 5]);
    }
}
