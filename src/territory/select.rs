//! Selections: a set of territories and a mode become clauses that every store lowers from.
//!
//! The algebra (DESIGN §4). A communal territory is a set of communes, and so is a feature's
//! attachment *A*. A clause asks `A ∩ meets ≠ ∅`, `∅ ≠ A ⊆ within`, and attachment to each of
//! `others`. The union of territories is one clause for all communal ones, and one for each
//! territory of another level.
//!
//! A scope and a filter inside it meet **as sets of communes**: concerning *S* and then *T* is
//! concerning *S ∩ T*, which is narrower than concerning both (a feature that spans a commune of
//! each passes only if the two share one of its communes). Within a clause the same holds of all
//! sets: `within` is the intersection of the `within`s, and `meets` that of the `meets`, cut to
//! `within` (which changes nothing, for an attachment inside `within` meets nothing outside it,
//! but shows an impossible clause as an empty set). So the product is commutative, associative
//! and idempotent, and a clause left with an empty set is dropped: nothing can pass it.

use super::Reference;
use crate::{
    error::{Error, Result},
    model::{Clause, Lang, Mode, RankSet, Selection, TerritoryCode},
    text,
};

/// Most territories in one union (DESIGN §2).
pub const MOST_TERRITORIES: usize = 20;

impl Reference {
    /// The selection of a union of territories in one mode.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none, when they are more than [`MOST_TERRITORIES`], or one
    /// is unknown; [`Error::Conflict`] for the mode `within` and a territory that is not made of
    /// whole communes.
    pub fn select(&self, territories: &[TerritoryCode], mode: Mode) -> Result<Selection> {
        let mut sorted = territories.to_vec();
        sorted.sort();
        sorted.dedup();
        let count = sorted.len();
        if sorted.is_empty() {
            return Err(Error::Invalid(text!(
                "Aucun territoire n'est donné.",
                "No territory is given."
            )));
        }
        if count > MOST_TERRITORIES {
            return Err(Error::Invalid(text!(
                "{count} territoires demandés : {MOST_TERRITORIES} au plus.",
                "{count} territories asked for: at most {MOST_TERRITORIES}."
            )));
        }
        let (communal, others): (Vec<_>, Vec<_>) =
            sorted.iter().partition(|territory| territory.level.is_communal());
        if let (Mode::Within, Some(other)) = (mode, others.first()) {
            return Err(not_communal(other));
        }
        let mut any = Vec::with_capacity(others.len() + 1);
        if !communal.is_empty() {
            let set = Some(self.union(&communal)?);
            any.push(match mode {
                Mode::Concerns => Clause { meets: set, ..Clause::default() },
                Mode::Within => Clause { within: set, ..Clause::default() },
            });
        }
        for other in others {
            self.check_listed(other)?;
            any.push(Clause { others: vec![other.clone()], ..Clause::default() });
        }
        // A table of communes that changed makes another selection of the same name.
        let named = |code: &TerritoryCode| match self.level_key(code.level) {
            Some(state) => format!("{code}@{state}"),
            None => code.to_string(),
        };
        let mut key = sorted.iter().map(named).collect::<Vec<_>>().join("+");
        if mode == Mode::Within {
            key.push_str("|within");
        }
        Ok(Selection { key, any })
    }

    fn union(&self, communal: &[&TerritoryCode]) -> Result<RankSet> {
        let mut ranges = Vec::new();
        for territory in communal {
            match self.communes(territory) {
                Some(set) => ranges.extend_from_slice(set.ranges()),
                None => return Err(self.unknown(territory)),
            }
        }
        Ok(RankSet::from_ranges(ranges))
    }

    /// A scope and a filter inside it (DESIGN §4): both hold, communal territories meeting as
    /// sets of communes. Nothing in common gives a selection that nothing passes, under a key of
    /// its own. The order of the two changes neither the key nor what passes.
    pub fn intersect(&self, scope: &Selection, inner: &Selection) -> Selection {
        let products = scope.any.iter().flat_map(|a| inner.any.iter().map(|b| product(a, b)));
        let mut any: Vec<Clause> = Vec::new();
        for clause in products.flatten() {
            if any.iter().any(|wider| absorbs(wider, &clause)) {
                continue;
            }
            any.retain(|narrower| !absorbs(&clause, narrower));
            any.push(clause);
        }
        any.sort_by(|a, b| a.others.cmp(&b.others));
        let mut factors: Vec<&str> = scope.key.split('&').chain(inner.key.split('&')).collect();
        factors.sort_unstable();
        factors.dedup();
        Selection { key: factors.join("&"), any }
    }
}

/// Both clauses at once; `None` when nothing can pass.
fn product(a: &Clause, b: &Clause) -> Option<Clause> {
    let within = meet(&a.within, &b.within);
    let mut meets = meet(&a.meets, &b.meets);
    if let (Some(meets), Some(within)) = (&mut meets, &within) {
        *meets = meets.intersection(within);
    }
    let empty = |set: &Option<RankSet>| set.as_ref().is_some_and(RankSet::is_empty);
    if empty(&within) || empty(&meets) {
        return None;
    }
    let mut others = [a.others.as_slice(), b.others.as_slice()].concat();
    others.sort();
    others.dedup();
    Some(Clause { meets, within, others })
}

fn meet(a: &Option<RankSet>, b: &Option<RankSet>) -> Option<RankSet> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.intersection(b)),
        (one, None) | (None, one) => one.clone(),
    }
}

/// Whether all that passes `narrower` passes `wider`, as far as equal sets tell.
fn absorbs(wider: &Clause, narrower: &Clause) -> bool {
    let holds = |wide: &Option<RankSet>, narrow: &Option<RankSet>| wide.is_none() || wide == narrow;
    holds(&wider.meets, &narrower.meets)
        && holds(&wider.within, &narrower.within)
        && wider.others.iter().all(|other| narrower.others.contains(other))
}

fn not_communal(other: &TerritoryCode) -> Error {
    let (fr, en) = (other.level.label(Lang::Fr), other.level.label(Lang::En));
    Error::Conflict(text!(
        "Le mode « within » compare des ensembles de communes : {other} ({fr}) n'est pas fait de \
         communes entières. Demandez-le en mode « concerns ».",
        "Mode \"within\" compares sets of communes: {other} ({en}) is not made of whole communes. \
         Ask for it in mode \"concerns\"."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prelude::*, sample::subsequence};
    use std::collections::BTreeSet;

    fn codes(texts: &str) -> Vec<TerritoryCode> {
        texts.split_whitespace().map(|t| t.parse().unwrap_or_else(|e| panic!("{t}: {e}"))).collect()
    }

    fn select(texts: &str, mode: Mode) -> Selection {
        Reference::builtin().select(&codes(texts), mode).unwrap_or_else(|e| panic!("{texts}: {e}"))
    }

    /// A feature's attachments, as a store keeps them.
    #[derive(Debug, Clone, Default)]
    struct Attached {
        communes: BTreeSet<u32>,
        others: Vec<TerritoryCode>,
    }

    /// The meaning of a selection, as `model` states it, one feature at a time.
    fn passes(selection: &Selection, feature: &Attached) -> bool {
        selection.any.iter().any(|clause| {
            let inside = |set: &RankSet| feature.communes.iter().all(|rank| set.contains(*rank));
            let meets = |set: &RankSet| feature.communes.iter().any(|rank| set.contains(*rank));
            clause.meets.as_ref().is_none_or(meets)
                && clause
                    .within
                    .as_ref()
                    .is_none_or(|set| !feature.communes.is_empty() && inside(set))
                && clause.others.iter().all(|other| feature.others.contains(other))
        })
    }

    /// Neighbours and strangers: territories that hold, cross and miss each other.
    const COMMUNAL: &str = "com:59350 com:59009 com:62041 epci:200093201 arr:595 dep:59 dep:62 \
        dep:2A reg:32 fr:metro fr ept:200057867 epci:200054781";
    const OTHERS: &str = "canton:5901 canton:5902 coma:59355 qpv:QN05901M";

    fn some_of(texts: &'static str) -> impl Strategy<Value = Vec<TerritoryCode>> {
        subsequence(codes(texts), 1..4).prop_shuffle()
    }

    fn territories() -> impl Strategy<Value = Vec<TerritoryCode>> {
        (some_of(COMMUNAL), subsequence(codes(OTHERS), 0..3)).prop_map(|(a, b)| [a, b].concat())
    }

    fn mode() -> impl Strategy<Value = Mode> {
        prop_oneof![Just(Mode::Concerns), Just(Mode::Within)]
    }

    /// Any selection that can be asked for.
    fn selection() -> impl Strategy<Value = Selection> {
        let within = some_of(COMMUNAL).prop_map(|t| (t, Mode::Within));
        let concerns = territories().prop_map(|t| (t, Mode::Concerns));
        prop_oneof![within, concerns]
            .prop_map(|(t, mode)| Reference::builtin().select(&t, mode).unwrap())
    }

    /// Attachments around the borders of the territories above.
    fn feature() -> impl Strategy<Value = Attached> {
        let reference = Reference::builtin();
        let ranks: Vec<u32> = codes("com:59350 com:59009 com:59183 com:62041 com:2A004 com:93066 com:75056 com:97411 com:80021")
            .iter()
            .flat_map(|code| reference.communes(code).unwrap().iter().collect::<Vec<_>>())
            .collect();
        let others = codes(OTHERS);
        (subsequence(ranks, 0..6), subsequence(others, 0..4))
            .prop_map(|(ranks, others)| Attached { communes: ranks.into_iter().collect(), others })
    }

    #[test]
    fn keys_are_in_normal_form() {
        let both = select("dep:62 dep:59 dep:62", Mode::Concerns);
        assert_eq!(both.key, "dep:59+dep:62");
        assert_eq!(both.any.len(), 1);
        assert_eq!(select("dep:62 dep:59", Mode::Within).key, "dep:59+dep:62|within");
        assert_eq!(select("fr", Mode::Concerns).key, "fr");
        let mixed = select("qpv:QN05901M canton:5901 dep:59", Mode::Concerns);
        assert_eq!(mixed.key, "dep:59+canton:5901+qpv:QN05901M");
        assert_eq!(mixed.any.len(), 3);
        let reference = Reference::builtin();
        let (a, b) = (select("dep:59", Mode::Within), select("com:59350", Mode::Concerns));
        assert_eq!(reference.intersect(&a, &b).key, "com:59350&dep:59|within");
    }

    #[test]
    fn a_departement_is_one_range() {
        let clause = select("dep:59", Mode::Concerns).any.remove(0);
        assert_eq!(clause.meets.as_ref().map(|set| set.ranges().len()), Some(1));
        assert_eq!(clause.meets.map(|set| set.len()), Some(647));
        assert_eq!((clause.within, clause.others), (None, Vec::new()));
    }

    #[test]
    fn unions_are_bounded() {
        let reference = Reference::builtin();
        let most: Vec<_> =
            (1..=19).map(|n| format!("dep:{n:02}")).chain(["dep:2A".into()]).collect();
        let most = codes(&most.join(" "));
        assert!(reference.select(&most, Mode::Concerns).is_ok());
        // Written twice is still twenty.
        assert!(reference.select(&[most.clone(), most.clone()].concat(), Mode::Concerns).is_ok());
        let more = [most, codes("dep:59")].concat();
        assert!(
            matches!(reference.select(&more, Mode::Concerns), Err(Error::Invalid(t)) if t.fr.contains("21"))
        );
        assert!(matches!(reference.select(&[], Mode::Concerns), Err(Error::Invalid(_))));
    }

    #[test]
    fn within_is_of_communes() {
        let reference = Reference::builtin();
        for other in codes(OTHERS) {
            let asked = [codes("dep:59"), vec![other.clone()]].concat();
            match reference.select(&asked, Mode::Within) {
                Err(Error::Conflict(text)) => assert!(text.fr.contains(&other.to_string())),
                answer => panic!("{answer:?}"),
            }
        }
    }

    #[test]
    fn unknown_territories_are_refused() {
        let reference = Reference::builtin();
        for unknown in codes("com:59999 com:59355 epci:123456789 comd:59999 arm:75101 reg:33") {
            let known = unknown.to_string() == "arm:75101";
            let answer = reference.select(std::slice::from_ref(&unknown), Mode::Concerns);
            assert_eq!(answer.is_ok(), known, "{unknown}");
        }
    }

    #[test]
    fn nothing_in_common_lets_nothing_pass() {
        let reference = Reference::builtin();
        let (north, corse) = (select("dep:59", Mode::Concerns), select("dep:2A", Mode::Within));
        let none = reference.intersect(&north, &corse);
        assert!(none.any.is_empty());
        assert_eq!(none.key, "dep:2A|within&dep:59");
    }

    #[test]
    fn communal_territories_meet_as_sets_of_communes() {
        let reference = Reference::builtin();
        let rank = |text: &str| reference.communes(&codes(text)[0]).unwrap().iter().next().unwrap();
        let spanning = Attached {
            communes: [rank("com:59350"), rank("com:62041")].into(),
            others: Vec::new(),
        };
        let (north, pas) = (select("dep:59", Mode::Concerns), select("dep:62", Mode::Concerns));
        assert!(passes(&north, &spanning) && passes(&pas, &spanning));
        assert!(!passes(&reference.intersect(&north, &pas), &spanning));
        let both = select("dep:59 dep:62", Mode::Within);
        assert!(passes(&both, &spanning));
        assert!(passes(&reference.intersect(&both, &north), &spanning));
        assert!(!passes(&select("dep:59", Mode::Within), &spanning));
    }

    #[test]
    fn both_attachments_are_needed_at_other_levels() {
        let reference = Reference::builtin();
        let north = select("dep:59", Mode::Concerns);
        let quarter = select("qpv:QN05901M canton:5901", Mode::Concerns);
        let both = reference.intersect(&north, &quarter);
        assert_eq!(both.any.len(), 2);
        let lille = reference.communes(&codes("com:59350")[0]).unwrap().iter().collect();
        let mut feature = Attached { communes: lille, others: Vec::new() };
        assert!(!passes(&both, &feature));
        feature.others = codes("canton:5901");
        assert!(passes(&both, &feature));
        feature.communes.clear();
        assert!(passes(&quarter, &feature) && !passes(&both, &feature));
    }

    proptest! {
        #[test]
        fn union_is_of_sets(a in territories(), b in territories(), feature in feature()) {
            let reference = Reference::builtin();
            let select = |list: &[TerritoryCode]| reference.select(list, Mode::Concerns).unwrap();
            let both = select(&[a.clone(), b.clone()].concat());
            prop_assert_eq!(&both, &select(&[b.clone(), a.clone()].concat()));
            prop_assert_eq!(&both, &select(&[a.clone(), b.clone(), a.clone()].concat()));
            prop_assert_eq!(
                passes(&both, &feature),
                passes(&select(&a), &feature) || passes(&select(&b), &feature)
            );
        }

        #[test]
        fn intersection_is_commutative_associative_and_idempotent(
            a in selection(), b in selection(), c in selection(), feature in feature(),
        ) {
            let reference = Reference::builtin();
            let and = |x: &Selection, y: &Selection| reference.intersect(x, y);
            prop_assert_eq!(and(&a, &b).key, and(&b, &a).key);
            prop_assert_eq!(passes(&and(&a, &b), &feature), passes(&and(&b, &a), &feature));
            let (left, right) = (and(&and(&a, &b), &c), and(&a, &and(&b, &c)));
            prop_assert_eq!(&left.key, &right.key);
            prop_assert_eq!(passes(&left, &feature), passes(&right, &feature));
            prop_assert_eq!(&and(&a, &a), &a);
        }

        #[test]
        fn an_intersection_narrows(a in selection(), b in selection(), feature in feature()) {
            let both = Reference::builtin().intersect(&a, &b);
            if passes(&both, &feature) {
                prop_assert!(passes(&a, &feature) && passes(&b, &feature));
            }
        }

        #[test]
        fn meeting_communes_decide(
            a in some_of(COMMUNAL), b in some_of(COMMUNAL),
            m in mode(), n in mode(), feature in feature(),
        ) {
            let reference = Reference::builtin();
            let set = |list: &[TerritoryCode]| -> BTreeSet<u32> {
                list.iter().flat_map(|t| reference.communes(t).unwrap().iter().collect::<Vec<_>>()).collect()
            };
            let (s, t) = (set(&a), set(&b));
            let common: BTreeSet<u32> = &s & &t;
            let attached = &feature.communes;
            // DESIGN §4, from the definition: what passes concerns the common communes, and is
            // inside each territory that was asked for as `within`.
            let expected = attached.iter().any(|rank| common.contains(rank))
                && (m == Mode::Concerns || attached.is_subset(&s))
                && (n == Mode::Concerns || attached.is_subset(&t));
            let both = reference.intersect(
                &reference.select(&a, m).unwrap(),
                &reference.select(&b, n).unwrap(),
            );
            prop_assert_eq!(passes(&both, &feature), expected);
        }

        #[test]
        fn within_is_narrower_than_concerns(list in some_of(COMMUNAL), feature in feature()) {
            let reference = Reference::builtin();
            if passes(&reference.select(&list, Mode::Within).unwrap(), &feature) {
                prop_assert!(passes(&reference.select(&list, Mode::Concerns).unwrap(), &feature));
            }
        }
    }
}
