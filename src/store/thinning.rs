//! The geometry of a version as tiles show it: generalised, and points thinned by the version's
//! own rule. What a feature weighs in a tile is known here, where its tags are made.

use super::{ID_PROPERTY, NewVersion, Spool};
use crate::{
    error::{Error, Result},
    formats::mvt,
    geometry::overview::{self, Gathering, Less, Place, Prepared, Room, Thinned, Weighed},
    model::{Feature, FieldKind, Shown, Thinning, Value, ValueRef, Version},
    text,
};
use geo_types::Geometry;
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
/// [`Error::Refused`] when the field of importance is not there, or holds no numbers; a fault when
/// the features cannot be read.
pub fn plan(
    features: &Spool<Feature>,
    version: &Version,
    rule: Thinning,
) -> Result<Option<Thinning>> {
    if let Some(name) = &rule.importance {
        number(version, name)?;
    }
    if version.schema.geometry.dimension() != Some(0) {
        return Ok(None);
    }
    Ok(thinned(features, version, &rule)?.map(|thinned| {
        let shown = |(min_zoom, max_zoom, features): &(u8, u8, u64)| Shown {
            min_zoom: *min_zoom,
            max_zoom: *max_zoom,
            features: *features,
        };
        Thinning { shown: thinned.shown.iter().map(shown).collect(), ..rule }
    }))
}

/// The overviews of a version, whose lines and polygons may have been weighed before
/// ([`NewVersion::weighed`], taken out of it).
pub(super) fn overviews(new: &NewVersion, weighed: Option<Weighed>) -> Result<Prepared> {
    let v = &new.version;
    let thinned = match v.thinning.as_deref() {
        Some(rule) => thinned(&new.features, v, rule)?,
        None => None,
    };
    let from = thinned.map(|t| t.from);
    let detail = v.drawing.as_deref().map(|d| &d.detail);
    let less = Less { from: from.as_deref(), detail };
    Ok(match weighed {
        Some(weighed) => weighed.prepare(v.min_zoom, v.max_zoom, less),
        None => gathered(&new.features, v.max_zoom)?.prepare(v.min_zoom, v.max_zoom, less),
    })
}

/// The geometry of a version, on the grid of its deepest zoom.
pub(super) fn gathered(features: &Spool<Feature>, max_zoom: u8) -> Result<Gathering> {
    let mut gathering = Gathering::new(features.len(), max_zoom);
    features.each(|first, batch| {
        let shapes: Vec<_> = batch.iter().map(|f| f.geometry.as_ref()).collect();
        gathering.add(first, &shapes);
        Ok(())
    })?;
    Ok(gathering)
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

fn thinned(
    features: &Spool<Feature>,
    version: &Version,
    rule: &Thinning,
) -> Result<Option<Thinned>> {
    let Some(Survey { places, few }) = survey(features, version, rule.budget)? else {
        return Ok(None);
    };
    let fixed = fixed(version, &few);
    let bytes = rule.budget.saturating_sub(fixed);
    let room = Room { bytes, buffer: rule.buffer };
    let field = rule.importance.as_ref().and_then(|name| version.schema.index(name));
    let Ok(count) = u32::try_from(features.len()) else { return Ok(None) };
    let mut weights = Vec::with_capacity(features.len());
    let mut keys = Keys { scattered: Vec::with_capacity(features.len()), importance: Vec::new() };
    features.each(|_, batch| {
        weights.par_extend(batch.par_iter().map(|f| weight(f, version, &few)));
        keys.add(batch, field);
        Ok(())
    })?;
    let order = keys.order(count);
    let zooms = (version.min_zoom, version.max_zoom);
    Ok(overview::thin(&places, &weights, order, zooms, room))
}

/// What decides which of two points goes first, by ordinal.
struct Keys {
    /// Ids scattered: neighbours in the source do not go together. Half of the bits: where two
    /// meet the source decides, and there may be millions.
    scattered: Vec<u32>,
    /// Empty where none is more important than another.
    importance: Vec<f64>,
}

impl Keys {
    fn add(&mut self, features: &[Feature], field: Option<usize>) {
        let scattered = |f: &Feature| (f.mvt_id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32;
        self.scattered.extend(features.iter().map(scattered));
        if let Some(field) = field {
            let importance = |f: &Feature| match f.values.get(field) {
                Some(Value::Int(i)) => *i as f64,
                Some(Value::Float(f)) => *f,
                _ => f64::NEG_INFINITY,
            };
            self.importance.extend(features.iter().map(importance));
        }
    }

    /// The ordinals, from the most important one.
    fn order(self, count: u32) -> Vec<u32> {
        let of = |ordinal: &u32| {
            let at = *ordinal as usize;
            (self.importance.get(at).copied().unwrap_or_default(), self.scattered.get(at))
        };
        let mut order: Vec<u32> = (0..count).collect();
        order.par_sort_unstable_by(|a, b| {
            let (first, second) = (of(a), of(b));
            second.0.total_cmp(&first.0).then(first.1.cmp(&second.1)).then(a.cmp(b))
        });
        order
    }
}

/// What must be known of all points before any is weighed.
struct Survey {
    places: Vec<Place>,
    /// Of each field, the bytes of its values together where a tile writes each once.
    few: Vec<Option<usize>>,
}

/// Looks at all features; `None` when there is anything else than single points.
fn survey(features: &Spool<Feature>, version: &Version, budget: u32) -> Result<Option<Survey>> {
    let mut places = Vec::with_capacity(features.len());
    let mut values: Vec<Values> = version.schema.fields.iter().map(|_| Values::default()).collect();
    let mut single = true;
    features.each(|_, batch| {
        let place = |feature: &Feature| match &feature.geometry {
            Some(Geometry::Point(p)) => Some(Place::of(p.x(), p.y())),
            None => Some(Place::NOWHERE),
            Some(_) => None,
        };
        let found: Option<Vec<Place>> = batch.par_iter().map(place).collect();
        single &= found.is_some();
        places.extend(found.unwrap_or_default());
        values.par_iter_mut().enumerate().for_each(|(field, values)| values.add(batch, field));
        Ok(())
    })?;
    let mut few: Vec<Option<usize>> = values.iter().map(Values::bytes).collect();
    keep_few(&mut few, budget);
    Ok(single.then_some(Survey { places, few }))
}

/// The bytes that every tile has.
fn fixed(version: &Version, few: &[Option<usize>]) -> u32 {
    let names: usize = version.schema.fields.iter().map(|f| f.name.len() + 6).sum();
    let values: usize = few.iter().flatten().sum();
    let fixed = FRAME + names + ID_PROPERTY.len() + 6 + values;
    u32::try_from(fixed).unwrap_or(u32::MAX)
}

/// The bytes that a feature adds to them, never less than it does.
fn weight(feature: &Feature, version: &Version, few: &[Option<usize>]) -> u32 {
    let mut bytes = POINT;
    let mut tag = Vec::new();
    for (value, few) in feature.values.iter().zip(few) {
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

/// The distinct values of a field, as long as they are few.
struct Values(Option<FxHashSet<Vec<u8>>>);

impl Default for Values {
    fn default() -> Self {
        Self(Some(FxHashSet::default()))
    }
}

impl Values {
    fn add(&mut self, features: &[Feature], field: usize) {
        let Some(seen) = &mut self.0 else { return };
        let mut tag = Vec::new();
        for value in features.iter().filter_map(|f| f.values.get(field)) {
            tag.clear();
            mvt::encode_tags(0, std::slice::from_ref(value), &mut tag);
            if !seen.contains(&tag) {
                if seen.len() == FEW {
                    self.0 = None;
                    return;
                }
                seen.insert(tag.clone());
            }
        }
    }

    /// The bytes of all of them together, when they are few.
    fn bytes(&self) -> Option<usize> {
        self.0.as_ref().map(|seen| seen.iter().map(Vec::len).sum())
    }
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
