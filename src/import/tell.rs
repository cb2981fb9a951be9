//! Puts into the report what became of the rows' territories: codes carried, redefined,
//! undecidable or unknown, their vintage, conflicts, rows attached by location or to nothing.

use super::{
    attach::{Attacher, Attachment, restored},
    contradict::Contradictions,
    meet::Meetings,
};
use crate::{
    error::Result,
    geometry::overlap::Overlap,
    model::{
        Carried, Feature, Level, Report, TerritoryCode, Value,
        report::{MAX_LISTED, Vintage},
    },
    store::Spool,
    territory::Carry,
    text,
};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Rows or columns that a note names, so that someone can go and look at them.
const NAMED: usize = 20;
/// A column is one of commune codes when this share of its values are.
const FULL: f64 = 0.9;

/// What the report will say of attachments, added up as they are made.
pub(super) struct Tally<'t, 'a> {
    attacher: &'t Attacher<'a>,
    carried: u64,
    carried_codes: Listed,
    redefined_codes: Listed,
    undecidable_codes: Listed,
    unknown_codes: Listed,
    counts: Counts,
    /// `None`: the layer names no communes, or a code came twice.
    meetings: Option<Meetings>,
    lost: Lost,
    noise: Noise,
    /// Communes that the layer draws, if it is to draw them.
    there: BTreeSet<u32>,
    /// By field, where no column of commune codes is declared.
    hints: Vec<Hint>,
    contradictions: Contradictions<'t, 'a>,
}

impl<'t, 'a> Tally<'t, 'a> {
    /// Nothing yet.
    pub(super) fn new(attacher: &'t Attacher<'a>) -> Result<Self> {
        let column = attacher.columns.iter().find(|(level, _)| *level == Level::Com);
        let hints = if column.is_some() { 0 } else { attacher.fields.len() };
        Ok(Self {
            attacher,
            carried: 0,
            carried_codes: Listed::default(),
            redefined_codes: Listed::default(),
            undecidable_codes: Listed::default(),
            unknown_codes: Listed::default(),
            counts: Counts::default(),
            meetings: column.map(|(_, field)| Meetings::of(*field)),
            lost: Lost::default(),
            noise: Noise::default(),
            there: BTreeSet::new(),
            hints: vec![Hint::default(); hints],
            contradictions: Contradictions::new(attacher)?,
        })
    }

    /// Adds the attachments of features that follow each other; `first` is the ordinal of the first.
    pub(super) fn add(&mut self, first: usize, attached: &[Attachment], features: &[Feature]) {
        let attacher = self.attacher;
        let name = |rank: &u32| {
            let code = attacher.reference.commune(*rank);
            code.map(|c| c.code.to_string()).unwrap_or_default()
        };
        for ((a, feature), ordinal) in attached.iter().zip(features).zip(first..) {
            self.carried += u64::from(!a.carried.is_empty());
            a.carried.iter().for_each(|(from, to)| self.carried_codes.add(from, name(to)));
            a.redefined.iter().for_each(|(from, to)| self.redefined_codes.add(from, name(to)));
            for (from, ranks) in &a.undecidable {
                let names: Vec<String> = ranks.iter().map(name).collect();
                self.undecidable_codes.add(from, names.join(", "));
            }
            a.unknown.iter().for_each(|from| self.unknown_codes.add(from, String::new()));
            self.counts.add(a);
            if self.meetings.as_mut().is_some_and(|m| !m.add(a, feature, ordinal)) {
                self.meetings = None;
            }
            self.lost.add(a, feature);
            self.noise.add(a, feature);
            if attacher.draws(feature) {
                self.there.extend(&a.communes);
            }
        }
        let reference = attacher.reference;
        let known = |code: &str| !matches!(reference.carry(code), Carry::Unknown);
        self.hints.par_iter_mut().enumerate().for_each(|(i, hint)| hint.add(features, i, known));
        self.contradictions.add(attached, features);
    }

    /// Puts into the report what happened.
    pub(super) fn tell(self, features: &Spool<Feature>, report: &mut Report) -> Result<()> {
        let Self { attacher, .. } = self;
        report.carried = self.carried;
        report.unattached = self.lost.count;
        report.carried_codes = self.carried_codes.list();
        report.redefined_codes = self.redefined_codes.list();
        report.undecidable_codes = self.undecidable_codes.list();
        report.unknown_codes = self.unknown_codes.list();
        attacher.vintage(report);
        self.counts.tell(report);
        report.conflicts = match self.meetings {
            Some(meetings) => meetings.conflicts(attacher, features)?,
            None => Vec::new(),
        };
        let conflicts = report.conflicts.len();
        if conflicts > 0 {
            report.notes.push(text!(
                "{conflicts} communes où des lignes d'anciennes communes se rejoignent avec des valeurs différentes ; rien n'est fondu ni choisi.",
                "{conflicts} communes on which rows of old communes meet with different values; nothing is merged or picked."
            ));
        }
        self.lost.tell(report);
        self.noise.tell(report);
        attacher.lacking(&self.there, report);
        for (name, hint) in attacher.fields.iter().zip(&self.hints) {
            hint.tell(name, report);
        }
        self.contradictions.tell(report);
        Ok(())
    }
}

impl Attacher<'_> {
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

    /// Whether a feature is one of those that draw a commune.
    fn draws(&self, feature: &Feature) -> bool {
        let own = |(field, value): &(usize, String)| {
            let cell = feature.values.get(*field).and_then(Value::as_code);
            cell.is_some_and(|cell| cell == value.as_str())
        };
        self.border.as_ref().is_some_and(|only| only.as_ref().is_none_or(own))
    }

    /// Of a layer that is the border of the communes: those it lacks, in the départements it
    /// covers. What lies there is attached to none.
    fn lacking(&self, there: &BTreeSet<u32>, report: &mut Report) {
        if self.border.is_none() {
            return;
        }
        let missing = self.reference.missing(there);
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
}

/// What a column that nobody bound to the territory holds.
#[derive(Debug, Clone, Copy, Default)]
struct Hint {
    cells: usize,
    /// Those that are codes of communes.
    codes: usize,
}

impl Hint {
    fn add(&mut self, features: &[Feature], field: usize, known: impl Fn(&str) -> bool) {
        let cells = features.iter().filter_map(|f| f.values.get(field)?.as_code());
        for cell in cells {
            self.cells += 1;
            self.codes += usize::from(match restored(&cell) {
                Some(whole) => known(&whole),
                None => known(&cell),
            });
        }
    }

    /// Says so when it is full of commune codes.
    fn tell(&self, name: &str, report: &mut Report) {
        const ENOUGH: usize = 10;
        let full = self.codes as f64 >= FULL * self.cells as f64;
        if self.cells >= ENOUGH && full {
            report.notes.push(text!(
                "La colonne « {name} » semble contenir des codes de commune : pour s'en servir, ajoutez à [territory] level = \"com\" et column = \"{name}\".",
                "Column \"{name}\" seems to hold commune codes: to use it, add to [territory] level = \"com\" and column = \"{name}\"."
            ));
        }
    }
}

/// What was done, in numbers of rows.
#[derive(Default)]
struct Counts {
    padded: u64,
    municipal: u64,
    located: u64,
    nearest: u64,
    redefined: u64,
    undecidable: u64,
}

impl Counts {
    fn add(&mut self, a: &Attachment) {
        self.padded += u64::from(a.padded);
        self.municipal += u64::from(a.municipal);
        self.located += u64::from(a.located);
        self.nearest += u64::from(a.nearest);
        self.redefined += u64::from(!a.redefined.is_empty());
        self.undecidable += u64::from(!a.undecidable.is_empty());
    }

    fn tell(&self, report: &mut Report) {
        let Self { padded, municipal, located, nearest, redefined, undecidable } = *self;
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
}

/// Codes by what became of them, with how many rows bear each: the first in the order of codes.
#[derive(Default)]
struct Listed(BTreeMap<(String, String), u64>);

impl Listed {
    fn add(&mut self, from: &str, to: String) {
        *self.0.entry((from.to_owned(), to)).or_default() += 1;
        // What leaves is behind as many others as are listed: it never comes to be one of them.
        if self.0.len() > MAX_LISTED {
            self.0.pop_last();
        }
    }

    fn list(self) -> Vec<Carried> {
        self.0.into_iter().map(|((from, to), rows)| Carried { from, to, rows }).collect()
    }
}

/// Rows that no territory has.
#[derive(Default)]
struct Lost {
    count: u64,
    /// Ids of the first, so that someone can go and look at them.
    first: Vec<String>,
}

impl Lost {
    fn add(&mut self, a: &Attachment, feature: &Feature) {
        if a.communes.is_empty() && a.others.is_empty() {
            self.count += 1;
            if self.first.len() < NAMED {
                self.first.push(feature.id.clone());
            }
        }
    }

    fn tell(&self, report: &mut Report) {
        if self.count == 0 {
            return;
        }
        let more = if self.count > NAMED as u64 { "…" } else { "" };
        let ids = self.first.join(", ");
        report.notes.push(text!(
            "Rattachées à aucun territoire : {ids}{more}",
            "Attached to no territory: {ids}{more}"
        ));
    }
}

/// The overlaps taken for border noise; the largest is named, so that nothing real is lost unseen
/// (DESIGN §4).
#[derive(Default)]
struct Noise {
    count: u64,
    largest: Option<Discarded>,
}

struct Discarded {
    overlap: Overlap,
    code: TerritoryCode,
    id: String,
}

impl Noise {
    fn add(&mut self, a: &Attachment, feature: &Feature) {
        self.count += a.discarded.len() as u64;
        for (overlap, code) in &a.discarded {
            let smaller = |d: &Discarded| measure(overlap).total_cmp(&measure(&d.overlap)).is_lt();
            if !self.largest.as_ref().is_some_and(smaller) {
                let (overlap, code, id) = (*overlap, code.clone(), feature.id.clone());
                self.largest = Some(Discarded { overlap, code, id });
            }
        }
    }

    fn tell(&self, report: &mut Report) {
        let count = self.count;
        let Some(Discarded { overlap, code, id }) = &self.largest else { return };
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
}

fn measure(overlap: &Overlap) -> f64 {
    match overlap {
        Overlap::Hit => 0.0,
        Overlap::LengthM(m) | Overlap::AreaM2(m) => *m,
    }
}
