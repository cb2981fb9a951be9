//! Puts into the report what became of the rows' territories: codes carried, redefined,
//! undecidable or unknown, their vintage, conflicts, rows attached by location or to nothing.

use super::attach::{Attacher, Attachment, restored};
use crate::{
    geometry::overlap::Overlap,
    model::{
        Carried, Feature, Level, Report, Value,
        report::{Conflict, MAX_LISTED, Vintage},
    },
    territory::Carry,
    text,
};
use std::collections::{BTreeMap, BTreeSet};

/// Rows or columns that a note names, so that someone can go and look at them.
const NAMED: usize = 20;
/// A column is one of commune codes when this share of its values are.
const FULL: f64 = 0.9;

impl Attacher<'_> {
    /// Puts into the report what happened.
    pub(super) fn tell(&self, all: &[Attachment], features: &[Feature], report: &mut Report) {
        let name = |rank: u32| {
            let code = self.reference.commune(rank);
            code.map(|c| c.code.to_string()).unwrap_or_default()
        };
        let one = |list: &[(String, u32)]| -> Vec<(String, String)> {
            list.iter().map(|(from, rank)| (from.clone(), name(*rank))).collect()
        };
        let several = |(from, ranks): &(String, Vec<u32>)| {
            let names: Vec<String> = ranks.iter().map(|rank| name(*rank)).collect();
            (from.clone(), names.join(", "))
        };
        report.carried = all.iter().filter(|a| !a.carried.is_empty()).count() as u64;
        let lost = |a: &&Attachment| a.communes.is_empty() && a.others.is_empty();
        report.unattached = all.iter().filter(lost).count() as u64;
        report.carried_codes = listed(all, |a| one(&a.carried));
        report.redefined_codes = listed(all, |a| one(&a.redefined));
        report.undecidable_codes = listed(all, |a| a.undecidable.iter().map(several).collect());
        report.unknown_codes =
            listed(all, |a| a.unknown.iter().map(|from| (from.clone(), String::new())).collect());
        self.vintage(report);
        counts(all, report);
        report.conflicts = self.conflicts(all, features);
        let conflicts = report.conflicts.len();
        if conflicts > 0 {
            report.notes.push(text!(
                "{conflicts} communes où des lignes d'anciennes communes se rejoignent avec des valeurs différentes ; rien n'est fondu ni choisi.",
                "{conflicts} communes on which rows of old communes meet with different values; nothing is merged or picked."
            ));
        }
        unattached(all, features, report);
        discarded(all, features, report);
        self.lacking(all, features, report);
        self.hint(features, report);
    }

    /// The vintage declared and the one detected.
    fn vintage(&self, report: &mut Report) {
        let Some(found) = self.detected else { return };
        let (used, first, last) = (found.vintage, found.first, found.last);
        report.vintage = Some(Vintage {
            declared: self.declared,
            used,
            first,
            last,
            matched: found.matched,
            communes: found.communes,
        });
        match self.declared {
            Some(declared) if declared != used => report.notes.push(text!(
                "Millésime déclaré {declared}, mais les codes sont ceux de {first} à {last} : reportés depuis {used}.",
                "Vintage declared {declared}, but the codes are those of {first} to {last}: carried from {used}."
            )),
            _ if used < self.reference.vintage() => report.notes.push(text!(
                "Codes de commune du millésime {used} (possibles : {first} à {last}).",
                "Commune codes of vintage {used} (possible: {first} to {last})."
            )),
            _ => {}
        }
        let strangers = found.communes.saturating_sub(found.matched);
        if strangers > 0 {
            report.notes.push(text!(
                "{strangers} codes de commune sont d'un autre millésime que les autres : la table en mêle plusieurs.",
                "{strangers} commune codes are of another vintage than the others: the table mixes several."
            ));
        }
    }

    /// Of a layer that is the border of the communes: those it lacks, in the départements it
    /// covers. What lies there is attached to none.
    fn lacking(&self, all: &[Attachment], features: &[Feature], report: &mut Report) {
        let Some(only) = &self.border else { return };
        let own = |f: &Feature| {
            only.as_ref().is_none_or(|(field, value)| {
                let cell = f.values.get(*field).and_then(Value::as_code);
                cell.is_some_and(|cell| cell == value.as_str())
            })
        };
        let there = all.iter().zip(features).filter(|(_, f)| own(f));
        let there: BTreeSet<u32> = there.flat_map(|(a, _)| a.communes.iter().copied()).collect();
        let missing = self.reference.missing(&there);
        let count = missing.len();
        if count == 0 {
            return;
        }
        let codes: Vec<&str> = missing.iter().map(|c| c.code.as_str()).take(NAMED).collect();
        let (codes, more) = (codes.join(", "), if count > NAMED { "…" } else { "" });
        report.notes.push(text!(
            "Communes sans polygone dans les départements couverts : {codes}{more} ({count}). Ce qui s'y trouve n'est rattaché à aucune par sa position.",
            "Communes without a polygon in the départements covered: {codes}{more} ({count}). What lies there is attached to none by its location."
        ));
    }

    /// Columns full of commune codes that nobody bound to the territory.
    fn hint(&self, features: &[Feature], report: &mut Report) {
        const ENOUGH: usize = 10;
        if self.columns.iter().any(|(level, _)| *level == Level::Com) {
            return;
        }
        for (i, name) in self.fields.iter().enumerate() {
            let cells = features.iter().filter_map(|f| f.values.get(i)?.as_code());
            let cells: Vec<_> = cells.collect();
            let known = |code: &str| !matches!(self.reference.carry(code), Carry::Unknown);
            let codes = cells.iter().filter(|c| match restored(c) {
                Some(whole) => known(&whole),
                None => known(c),
            });
            let full = codes.count() as f64 >= FULL * cells.len() as f64;
            if cells.len() >= ENOUGH && full {
                report.notes.push(text!(
                    "La colonne « {name} » semble contenir des codes de commune : pour s'en servir, ajoutez à [territory] level = \"com\" et column = \"{name}\".",
                    "Column \"{name}\" seems to hold commune codes: to use it, add to [territory] level = \"com\" and column = \"{name}\"."
                ));
            }
        }
    }

    /// Communes on which rows of several codes meet with different values, in a table that has
    /// one row for each code.
    fn conflicts(&self, all: &[Attachment], features: &[Feature]) -> Vec<Conflict> {
        let column = self.columns.iter().find(|(level, _)| *level == Level::Com);
        let Some((_, field)) = column else { return Vec::new() };
        let mut seen = BTreeSet::new();
        let mut met: BTreeMap<u32, Vec<(String, &Feature)>> = BTreeMap::new();
        let mut moved: BTreeSet<u32> = BTreeSet::new();
        for (a, feature) in all.iter().zip(features) {
            let code = feature.values.get(*field).and_then(Value::as_code);
            let (Some(code), [rank]) = (code, a.communes.as_slice()) else { continue };
            if !seen.insert(code.clone().into_owned()) {
                return Vec::new();
            }
            moved.extend(a.carried.iter().map(|(_, rank)| *rank));
            met.entry(*rank).or_default().push((code.into_owned(), feature));
        }
        let naming = naming(features);
        let differ = |rows: &[(String, &Feature)]| {
            let Some((_, first)) = rows.first() else { return false };
            let same = |other: &Feature| {
                let pairs = first.values.iter().zip(&other.values).enumerate();
                pairs.filter(|(i, _)| i != field && !naming.contains(i)).all(|(_, (a, b))| a == b)
            };
            rows.iter().any(|(_, other)| !same(other))
        };
        met.into_iter()
            .filter(|(rank, rows)| rows.len() > 1 && moved.contains(rank) && differ(rows))
            .filter_map(|(rank, rows)| {
                let codes = rows.into_iter().map(|(code, _)| code).collect();
                Some(Conflict { commune: self.reference.commune(rank)?.code.to_string(), codes })
            })
            .take(MAX_LISTED)
            .collect()
    }
}

/// The columns that name places: texts of which nearly each row has its own.
fn naming(features: &[Feature]) -> BTreeSet<usize> {
    const OWN: f64 = 0.8;
    let columns = features.first().map_or(0, |f| f.values.len());
    let own = |i: &usize| {
        let texts = features.iter().filter_map(|f| match f.values.get(*i) {
            Some(Value::Text(text)) => Some(text.as_str()),
            _ => None,
        });
        let distinct: BTreeSet<&str> = texts.collect();
        distinct.len() as f64 >= OWN * features.len() as f64
    };
    (0..columns).filter(own).collect()
}

/// What was done, in numbers.
fn counts(all: &[Attachment], report: &mut Report) {
    let count = |what: fn(&Attachment) -> bool| all.iter().filter(|a| what(a)).count();
    let padded = count(|a| a.padded);
    let municipal = count(|a| a.municipal);
    let located = count(|a| a.located);
    let nearest = count(|a| a.nearest);
    let redefined = count(|a| !a.redefined.is_empty());
    let undecidable = count(|a| !a.undecidable.is_empty());
    let notes = [
        (
            padded,
            text!(
                "{padded} codes de commune avaient perdu leur zéro initial ; il a été rétabli pour le rattachement.",
                "{padded} commune codes had lost their leading zero; it was restored for attachment."
            ),
        ),
        (
            municipal,
            text!(
                "{municipal} lignes portent le code d'un arrondissement municipal : rattachées à lui et à sa commune.",
                "{municipal} rows bear the code of a municipal arrondissement: attached to it and to its commune."
            ),
        ),
        (
            redefined,
            text!(
                "{redefined} lignes portent un code de commune qui existe toujours, mais dont le territoire a changé depuis leur millésime.",
                "{redefined} rows bear a commune code that still exists, but whose territory has changed since their vintage."
            ),
        ),
        (
            undecidable,
            text!(
                "{undecidable} lignes portent le code d'une commune partagée depuis entre plusieurs : rattachées par leur position, ou à aucune.",
                "{undecidable} rows bear the code of a commune since shared out between several: attached by their location, or to none."
            ),
        ),
        (
            located,
            text!(
                "{located} lignes rattachées par leur position.",
                "{located} rows attached by their location."
            ),
        ),
        (
            nearest,
            text!(
                "{nearest} lignes hors de toute commune, rattachées à la plus proche.",
                "{nearest} rows outside every commune, attached to the nearest."
            ),
        ),
    ];
    report.notes.extend(notes.into_iter().filter(|(n, _)| *n > 0).map(|(_, note)| note));
}

/// Codes by what became of them, with how many rows bear each.
fn listed(all: &[Attachment], of: impl Fn(&Attachment) -> Vec<(String, String)>) -> Vec<Carried> {
    let mut rows: BTreeMap<(String, String), u64> = BTreeMap::new();
    for pair in all.iter().flat_map(of) {
        *rows.entry(pair).or_default() += 1;
    }
    let listed = rows.into_iter().take(MAX_LISTED);
    listed.map(|((from, to), rows)| Carried { from, to, rows }).collect()
}

/// Names the first rows that no territory has, so that someone can go and look at them.
fn unattached(all: &[Attachment], features: &[Feature], report: &mut Report) {
    let lost = all.iter().zip(features);
    let lost = lost.filter(|(a, _)| a.communes.is_empty() && a.others.is_empty());
    let ids: Vec<&str> = lost.map(|(_, f)| f.id.as_str()).take(NAMED + 1).collect();
    if ids.is_empty() {
        return;
    }
    let more = if ids.len() > NAMED { "…" } else { "" };
    let ids = ids.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    report.notes.push(text!(
        "Rattachées à aucun territoire : {ids}{more}",
        "Attached to no territory: {ids}{more}"
    ));
}

/// Counts the overlaps taken for border noise and names the largest, so that nothing real is
/// lost unseen (DESIGN §4).
fn discarded(all: &[Attachment], features: &[Feature], report: &mut Report) {
    let measure = |overlap: &Overlap| match overlap {
        Overlap::Hit => 0.0,
        Overlap::LengthM(m) | Overlap::AreaM2(m) => *m,
    };
    let discarded = all.iter().zip(features).flat_map(|(a, feature)| {
        a.discarded.iter().map(move |(overlap, code)| (overlap, code, &feature.id))
    });
    let count = discarded.clone().count();
    let largest = discarded.max_by(|a, b| measure(a.0).total_cmp(&measure(b.0)));
    let Some((overlap, code, id)) = largest else { return };
    let size = match overlap {
        Overlap::Hit => String::new(),
        Overlap::LengthM(m) => format!("{m:.0} m"),
        Overlap::AreaM2(m) => format!("{:.2} ha", m / 10_000.0),
    };
    if count == 1 {
        report.notes.push(text!(
            "1 recouvrement écarté comme bruit de frontière : {size}, {id} sur {code}.",
            "1 overlap discarded as border noise: {size}, {id} on {code}."
        ));
        return;
    }
    report.notes.push(text!(
        "{count} recouvrements écartés comme bruit de frontière ; le plus grand : {size}, {id} sur {code}.",
        "{count} overlaps discarded as border noise; the largest: {size}, {id} on {code}."
    ));
}
