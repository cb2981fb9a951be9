//! The figures of a layer by the territories of a level.

use super::{
    Stats,
    border::Border,
    groups::{self, Groups},
    measure::{Part, measure},
    metric::{Figure, Kind, Metric},
    read::{Gathered, other_codes},
    share::{Shares, Sharing},
};
use crate::{
    catalog::{Layer, Snapshot},
    error::{Error, Result},
    model::{GeometryKind, Lang, Level, TerritoryCode},
    query::Filter,
    store::{At, Reach, border::Outline},
    territory::{Reference, Units},
    text,
};
use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// What is asked.
#[derive(Debug, Clone)]
pub struct FiguresQuery {
    /// One row per territory of this level.
    pub by: Level,
    /// What is measured, in the order of the columns.
    pub metrics: Vec<Metric>,
    /// Which features.
    pub filter: Filter,
    /// The border that features are cut at: those of which nothing is left do not count. Values are
    /// those of whole features, which a cut does not work out again.
    pub outline: Option<Outline>,
    /// What becomes of values where a feature concerns several territories.
    pub share: Option<Sharing>,
}

impl FiguresQuery {
    /// Its normal form.
    pub fn key(&self) -> String {
        let metrics: Vec<&str> = self.metrics.iter().map(|m| m.name.as_str()).collect();
        let share = self.share.map_or("", Sharing::id);
        let outline = self.outline.as_ref().map_or("", |o| o.key.as_str());
        format!("{}\n{metrics:?}\n{share}\n{outline}\n{}", self.by, self.filter.key())
    }
}

/// A territory and its figures.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The territory.
    pub code: TerritoryCode,
    /// Its name.
    pub name: String,
    /// One figure per measure.
    pub values: Vec<Figure>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Figures {
    /// One per territory, in the order of codes.
    pub rows: Vec<Row>,
    /// « Hors territoire »: features that concern no territory of the level, and what is left of
    /// values shared out.
    pub outside: Vec<Figure>,
    /// Features that concern no territory of the level.
    pub outside_count: u64,
    /// Of these, the ones attached to nothing at all.
    pub unattached: u64,
    /// All features that were asked for, each once.
    pub total: Vec<Figure>,
    /// Their number.
    pub total_distinct: u64,
    /// Features that concern several territories of the level.
    pub several: u64,
}

impl Figures {
    /// Bytes it takes in memory, about.
    pub(super) fn weight(&self) -> usize {
        let row = |r: &Row| 120 + r.name.len() + r.values.len() * 32;
        200 + self.rows.iter().map(row).sum::<usize>()
    }
}

impl Stats {
    /// The figures that are asked of a layer, kept until the layer or the reference changes.
    ///
    /// # Errors
    /// [`Error::Invalid`] when values have to be shared out and nothing says how;
    /// [`Error::Conflict`] when that takes borders that no layer has.
    pub async fn figures(
        &self,
        snapshot: &Snapshot,
        layer: &Layer,
        reference: &Arc<Reference>,
        query: FiguresQuery,
    ) -> Result<Arc<Figures>> {
        let at = layer.at()?;
        let border = Border::of(snapshot, drawn(query.by));
        let of = border.as_ref().map(Border::key).unwrap_or_default();
        let key = format!("{}/{}\n{}\n{of}\n{}", at.layer, at.key(), reference.id(), query.key());
        let made = async {
            let figures = self.compute(layer, at, reference, query, border).await?;
            Ok(Arc::new(figures))
        };
        self.figures.try_get_with(key, made).await.map_err(Error::shared)
    }

    async fn compute(
        &self,
        layer: &Layer,
        at: &At,
        reference: &Arc<Reference>,
        query: FiguresQuery,
        border: Option<Border>,
    ) -> Result<Figures> {
        let (reach, units) = tokio::try_join!(self.reach(at), self.units(reference, query.by))?;
        let gathered = self.gather(at, &reach, &query).await?;
        let selection = query.filter.selection.clone();
        let (index, list, matched) = (reach.clone(), units.clone(), gathered.matched.clone());
        let by = query.by;
        let (groups, several) = super::aside(move || {
            let groups = groups::group(&index, by, &list, selection.as_deref(), &matched)?;
            Ok((groups, groups::several(&index, by, &list, &matched)))
        })
        .await?;
        let split = to_share(layer, at, &query, &reach, &groups, &several);
        let sums = query.metrics.iter().any(|m| m.kind == Kind::Sum);
        let shares = match query.share {
            None if sums && !split.is_empty() => return Err(unshared(query.by, split.len())),
            None | Some(Sharing::None) => None,
            Some(_) if split.is_empty() => None,
            Some(how) => {
                let border = border.clone().ok_or_else(|| Border::missing(drawn(query.by)))?;
                let shares = self.shares(at, reference, &reach, &split, &border).await?;
                Some(by_territory(shares, &reach, &units, query.by, how))
            }
        };
        let mut groups = groups;
        if let (false, Some(border)) = (query.by.is_communal(), &border) {
            let names = border.names(&self.store).await?;
            for unit in &mut groups.units {
                if unit.name == unit.code.code.as_str()
                    && let Some(name) = names.get(unit.code.code.as_str())
                {
                    unit.name.clone_from(name);
                }
            }
        }
        let (unattached, several) = (reach.clone(), several.len());
        super::aside(move || {
            let unattached = groups::unattached(&unattached, &gathered.matched);
            let figures = assemble(&query, groups, &gathered, shares.as_ref());
            Ok(Figures { unattached, several, ..figures })
        })
        .await
    }
}

/// The level whose polygons decide shares: communes for all that is made of them.
fn drawn(by: Level) -> Level {
    if by.is_communal() { Level::Com } else { by }
}

/// The features whose values have to be shared out: those that concern several territories; of a
/// level that covers only parts of France also lines and polygons that may overflow the one they
/// concern, unless the layer says by a code that they are its own.
fn to_share(
    layer: &Layer,
    at: &At,
    query: &FiguresQuery,
    reach: &Reach,
    groups: &Groups,
    several: &RoaringBitmap,
) -> RoaringBitmap {
    let kind = at.version.schema.geometry;
    let points =
        matches!(kind, GeometryKind::None | GeometryKind::Point | GeometryKind::MultiPoint);
    let coded = layer.def.territory.columns.iter().any(|c| c.level == query.by);
    if query.by.is_communal() || points || coded || reach.others.is_empty() {
        return several.clone();
    }
    groups.pairs.iter().map(|(_, ordinal)| *ordinal).collect()
}

fn unshared(by: Level, count: u64) -> Error {
    let (fr, en) = (by.plural(Lang::Fr), by.plural(Lang::En));
    Error::Invalid(text!(
        "{count} entités concernent plusieurs territoires ({fr}) ou en débordent : une somme les compterait plusieurs fois. Précisez « share » : main (la valeur va au territoire principal), area (au prorata de la surface), none (la valeur entière dans chaque territoire ; les lignes dépassent alors le total).",
        "{count} features concern several territories ({en}) or overflow them: a sum would count them several times. Say which \"share\": main (the value goes to the main territory), area (in proportion to the area), none (the whole value in each territory; rows then exceed the total)."
    ))
}

/// Shares by the territories of the answer's level, `None` for communes in none: by ordinal.
type Shared = FxHashMap<u32, Vec<(Option<TerritoryCode>, f64)>>;

/// From the shares of places to those of territories.
fn by_territory(shares: Shares, reach: &Reach, units: &Units, by: Level, how: Sharing) -> Shared {
    let others = other_codes(reach, by);
    let territory = |place: u32| -> Option<TerritoryCode> {
        if by.is_communal() {
            return units
                .of(place)
                .and_then(|u| units.list.get(u as usize))
                .map(|u| u.code.clone());
        }
        others.get(place as usize).and_then(|code| TerritoryCode::new(by, code).ok())
    };
    let mut all = Shared::default();
    for (ordinal, parts) in shares {
        let mut sums: Vec<(Option<TerritoryCode>, f64)> = Vec::new();
        for (place, part) in parts {
            let code = territory(place);
            match sums.iter_mut().find(|(c, _)| *c == code) {
                Some((_, sum)) => *sum += part,
                None => sums.push((code, part)),
            }
        }
        if how == Sharing::Main {
            // Of equals the first code, whatever the order of the polygons.
            sums.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            sums.truncate(1);
            sums.iter_mut().for_each(|(_, share)| *share = 1.0);
        }
        all.insert(ordinal, sums);
    }
    all
}

/// What is left of a feature below this is rounding.
const NOTHING: f64 = 1e-12;

/// Adds everything up.
fn assemble(
    query: &FiguresQuery,
    groups: Groups,
    gathered: &Gathered,
    shares: Option<&Shared>,
) -> Figures {
    let figure = |parts: &[Part]| measure(&query.metrics, &gathered.columns, parts);
    let mut placed = RoaringBitmap::new();
    let mut used: FxHashMap<u32, f64> = FxHashMap::default();
    let mut rows = Vec::with_capacity(groups.units.len());
    let mut rest = groups.pairs.as_slice();
    for (position, unit) in (0u32..).zip(groups.units) {
        let (ours, after) = rest.split_at(rest.partition_point(|(u, _)| *u <= position));
        rest = after;
        let mut parts = Vec::with_capacity(ours.len());
        for (_, ordinal) in ours {
            placed.insert(*ordinal);
            let shared = shares.and_then(|s| s.get(ordinal));
            let weight = shared.map_or(1.0, |list| {
                let found = list.iter().find(|(code, _)| code.as_ref() == Some(&unit.code));
                found.map_or(0.0, |(_, share)| *share)
            });
            if shared.is_some() {
                *used.entry(*ordinal).or_default() += weight;
            }
            parts.push(Part { ordinal: *ordinal, weight, concerns: true });
        }
        rows.push(Row { code: unit.code, name: unit.name, values: figure(&parts) });
    }
    let mut outside = Vec::new();
    let mut all = Vec::with_capacity(gathered.matched.len() as usize);
    for ordinal in &gathered.matched {
        all.push(Part { ordinal, weight: 1.0, concerns: true });
        if !placed.contains(ordinal) {
            outside.push(Part { ordinal, weight: 1.0, concerns: true });
        } else if let Some(used) = used.get(&ordinal) {
            let left = 1.0 - used;
            if left > NOTHING {
                outside.push(Part { ordinal, weight: left, concerns: false });
            }
        }
    }
    Figures {
        rows,
        outside_count: outside.iter().filter(|p| p.concerns).count() as u64,
        outside: figure(&outside),
        total: figure(&all),
        total_distinct: gathered.matched.len(),
        ..Figures::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Field, FieldKind, Mode, Schema, Selection, ValueRef},
        stats::{measure::Columns, parse_metrics, share::Shares},
    };
    use proptest::{prelude::*, sample::subsequence};
    use std::collections::BTreeSet;

    /// A feature: its communes, its value.
    type Drawn = (Vec<u32>, Option<i32>);

    /// Communes on both sides of borders of every level, and one island without EPCI.
    fn ranks() -> Vec<u32> {
        let codes = "59350 59009 59183 62041 62119 80021 80001 02691 76540 75056 2A004 97411 85113";
        let rank = |code: &str| {
            let code: TerritoryCode = format!("com:{code}").parse().unwrap();
            Reference::builtin().communes(&code).unwrap().iter().next().unwrap()
        };
        let mut ranks: Vec<u32> = codes.split(' ').map(rank).collect();
        ranks.sort_unstable();
        ranks
    }

    fn features() -> impl Strategy<Value = Vec<Drawn>> {
        let one = (subsequence(ranks(), 0..5), prop::option::of(any::<i32>()));
        prop::collection::vec(one, 0..25)
    }

    fn selection() -> impl Strategy<Value = Option<Selection>> {
        let one = |texts: &'static [&'static str], mode| {
            subsequence(texts, 1..3).prop_map(move |texts| {
                let codes: Vec<TerritoryCode> = texts.iter().map(|t| t.parse().unwrap()).collect();
                Some(Reference::builtin().select(&codes, mode).unwrap())
            })
        };
        const SOME: &[&str] = &["dep:59", "dep:62", "reg:32", "epci:200093201", "com:85113"];
        prop_oneof![Just(None), one(SOME, Mode::Concerns), one(SOME, Mode::Within)]
    }

    fn reach(features: &[Drawn]) -> Reach {
        let count = Reference::builtin().commune_count() as usize;
        let mut reach = Reach { communes: vec![Vec::new(); count], ..Reach::default() };
        for (ordinal, (communes, _)) in (0u32..).zip(features) {
            reach.degree.push(communes.len() as u32);
            for rank in communes {
                reach.communes[*rank as usize].push(ordinal);
            }
        }
        reach
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn rows_and_what_is_outside_make_the_whole(
            features in features(),
            selection in selection(),
            by in prop::sample::select(vec![Level::Epci, Level::Dep, Level::Reg, Level::Com]),
            how in prop::sample::select(vec![Sharing::Main, Sharing::Area]),
        ) {
            let reference = Reference::builtin();
            let (reach, units) = (reach(&features), reference.units(by));
            let all: RoaringBitmap = (0..features.len() as u32).collect();
            let matched = match &selection {
                Some(selection) => reach.select(selection).unwrap(),
                None => all,
            };
            let groups = groups::group(&reach, by, &units, selection.as_ref(), &matched).unwrap();
            let field = Field { name: "v".into(), kind: FieldKind::Int };
            let schema = Schema { fields: vec![field], ..Schema::default() };
            let metrics = parse_metrics("count,sum:v", &schema).unwrap();
            let mut gathered = Gathered { columns: Columns::of(&metrics), ..Gathered::default() };
            for ordinal in &matched {
                let value = features[ordinal as usize].1;
                let value = value.map_or(ValueRef::Null, |v| ValueRef::Int(v.into()));
                gathered.columns.take(ordinal, &[value]);
            }
            gathered.matched.clone_from(&matched);
            // Shares in proportion to 1, 2, 3… of each feature's communes.
            let shares: Shares = groups::several(&reach, by, &units, &matched)
                .iter()
                .map(|ordinal| {
                    let places = &features[ordinal as usize].0;
                    let whole: f64 = (1..=places.len()).map(|n| n as f64).sum();
                    let part = places.iter().zip(1..).map(|(p, n)| (*p, f64::from(n) / whole));
                    (ordinal, part.collect())
                })
                .collect();
            let shares = by_territory(shares, &reach, &units, by, how);
            let filter = Filter::default();
            let query = FiguresQuery { by, metrics, filter, outline: None, share: Some(how) };
            let figures = assemble(&query, groups, &gathered, Some(&shares));
            let sum = |values: &[Figure]| values[1].number().unwrap_or(0.0);
            let rows: f64 = figures.rows.iter().map(|row| sum(&row.values)).sum();
            let (outside, total) = (sum(&figures.outside), sum(&figures.total));
            prop_assert!((rows + outside - total).abs() < 1e-3, "{rows} + {outside} != {total}");
            // Counts, from the definition.
            let mut placed = BTreeSet::new();
            for row in &figures.rows {
                let unit = reference.communes(&row.code).unwrap();
                let here = match &selection {
                    Some(s) => {
                        let clause = &s.any[0];
                        unit.intersection(clause.meets.as_ref().or(clause.within.as_ref()).unwrap())
                    }
                    None => unit,
                };
                let concerned: Vec<u32> = matched
                    .iter()
                    .filter(|o| features[*o as usize].0.iter().any(|rank| here.contains(*rank)))
                    .collect();
                prop_assert_eq!(&row.values[0], &Figure::Int(concerned.len() as i64));
                placed.extend(concerned);
            }
            prop_assert_eq!(figures.outside_count, matched.len() - placed.len() as u64);
            prop_assert_eq!(figures.total_distinct, matched.len());
        }
    }
}
