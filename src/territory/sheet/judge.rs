//! What became of one row.

use super::{
    columns::{By, Plan},
    names::{self, Bearer, Names},
};
use crate::{
    model::{Level, Sheet, TerritoryCode, Text},
    territory::{Carry, Fate, Passage, Reference, Verdict},
    text,
};
use std::borrow::Cow;

/// The communes that a row's place lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Located {
    /// The row has no coordinates.
    Nowhere,
    /// What it has are none, or lie outside where their CRS makes sense.
    Unreadable,
    /// In these communes, by rank; none: outside all of them.
    In(Vec<u32>),
    /// In none, but the nearest one, which is not far.
    Near(u32),
}

/// What was found of a row.
#[derive(Debug, Clone)]
pub struct Row {
    /// What became of it.
    pub fate: Fate,
    /// What may be meant, where more than one thing may.
    pub candidates: Vec<TerritoryCode>,
    /// The codes it meets with different values.
    pub conflict: Option<String>,
    /// What was done, or is to be looked at.
    pub note: Option<Text>,
}

impl Row {
    fn new(fate: Fate, note: Option<Text>) -> Self {
        Self { fate, candidates: Vec::new(), conflict: None, note }
    }

    fn unknown(note: Text) -> Self {
        Self::new(Fate::unknown(), Some(note))
    }

    fn note(&mut self, more: Text) {
        self.note = Some(match self.note.take() {
            Some(Text { fr, en }) => {
                Text { fr: format!("{fr} {}", more.fr), en: format!("{en} {}", more.en) }
            }
            None => more,
        });
    }
}

/// Judges the rows of one table.
pub(super) struct Judge<'a> {
    reference: &'a Reference,
    passage: &'a Passage,
    by: By,
    names: Option<Names>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(reference: &'a Reference, passage: &'a Passage, plan: &Plan) -> Self {
        let named = matches!(plan.by, By::Name { .. });
        Self { reference, passage, by: plan.by, names: named.then(|| Names::new(reference)) }
    }

    /// What became of a row. A place decides between the communes that a code or a name leaves
    /// open; where it contradicts them the note says so.
    pub(super) fn row(&self, sheet: &Sheet, at: usize, located: Option<&Located>) -> Row {
        let cell = |column: usize| sheet.cell(at, column).text();
        let mut row = match self.by {
            By::Place { .. } => return self.by_place(located.unwrap_or(&Located::Nowhere)),
            By::Code(column) => self.by_code(&cell(column)),
            By::Name { name, department } => {
                self.by_name(&cell(name), department.map(cell).as_deref())
            }
        };
        match located {
            Some(Located::In(ranks)) => self.check(&mut row, ranks),
            Some(Located::Unreadable) => {
                row.note(text!("coordonnées illisibles.", "unreadable coordinates."))
            }
            _ => {}
        }
        row
    }

    fn communes(&self, ranks: &[u32]) -> Vec<TerritoryCode> {
        ranks.iter().filter_map(|rank| self.reference.commune(*rank)).collect()
    }

    fn by_place(&self, located: &Located) -> Row {
        let at = |rank: u32, note| {
            Row::new(Fate { verdict: Verdict::Located, to: vec![rank], main: Some(rank) }, note)
        };
        match located {
            Located::Nowhere => Row::unknown(text!("pas de coordonnées.", "no coordinates.")),
            Located::Unreadable => {
                Row::unknown(text!("coordonnées illisibles.", "unreadable coordinates."))
            }
            Located::Near(rank) => at(
                *rank,
                Some(text!(
                    "hors de toute commune : la plus proche a été prise.",
                    "outside every commune: the nearest was taken."
                )),
            ),
            Located::In(ranks) => match ranks.as_slice() {
                [] => Row::unknown(text!("hors de toute commune.", "outside every commune.")),
                [one] => at(*one, None),
                several => {
                    let fate =
                        Fate { verdict: Verdict::Undecidable, to: several.to_vec(), main: None };
                    let mut row = Row::new(
                        fate,
                        Some(text!(
                            "sur la limite de plusieurs communes.",
                            "on the border of several communes."
                        )),
                    );
                    row.candidates = self.communes(several);
                    row
                }
            },
        }
    }

    /// Holds a row's code or name against its place.
    fn check(&self, row: &mut Row, ranks: &[u32]) {
        let [rank] = ranks else { return };
        let Some(commune) = self.reference.commune(*rank) else { return };
        match row.fate.main {
            Some(main) if main == *rank => {}
            None if row.fate.to.contains(rank) => {
                row.fate.main = Some(*rank);
                row.fate.verdict = Verdict::Carried;
                row.candidates.clear();
                row.note(text!(
                    "Les coordonnées décident : {commune}.",
                    "The coordinates decide: {commune}."
                ));
            }
            Some(_) if row.fate.verdict == Verdict::Redefined && row.fate.to.contains(rank) => {
                row.fate.main = Some(*rank);
                row.note(text!(
                    "Les coordonnées décident : {commune}.",
                    "The coordinates decide: {commune}."
                ));
            }
            None if row.fate.verdict == Verdict::Unknown => {
                row.note(text!(
                    "Les coordonnées sont dans {commune}.",
                    "The coordinates are in {commune}."
                ));
            }
            _ => row.note(text!(
                "Les coordonnées sont dans une autre commune : {commune}.",
                "The coordinates are in another commune: {commune}."
            )),
        }
    }

    fn by_code(&self, cell: &str) -> Row {
        let (code, padded) = whole(cell);
        if code.is_empty() {
            return Row::unknown(text!("pas de code.", "no code."));
        }
        let fate = self.passage.fate(&code);
        let part = |level| TerritoryCode::new(level, &code).ok();
        if fate.verdict == Verdict::Unknown
            && let Some(row) = part(Level::Arm).and_then(|arm| self.municipal(&arm))
        {
            return row;
        }
        let mut row = Row::new(fate, None);
        let parts = [Level::Comd, Level::Coma].into_iter().filter_map(part);
        let deleguee = parts.filter_map(|c| self.reference.get(&c)).next();
        match (row.fate.verdict, deleguee) {
            (Verdict::Undecidable, _) => {
                row.candidates = self.communes(&row.fate.to);
                row.note(text!(
                    "{code} a été partagée entre plusieurs communes : seule une localisation peut dire laquelle.",
                    "{code} was shared out between several communes: only a location can tell which."
                ));
            }
            (Verdict::Redefined, _) if row.fate.to.len() > 1 => {
                row.candidates = self.communes(&row.fate.to);
                row.note(text!(
                    "Le territoire de {code} est aujourd'hui dans plusieurs communes.",
                    "The territory of {code} is today in several communes."
                ));
            }
            (Verdict::Unchanged | Verdict::Redefined, Some(part)) => {
                let (name, level) = (part.name, part.code.level);
                row.candidates = self.communes(&row.fate.to);
                row.candidates.push(part.code);
                row.note(text!(
                    "{code} est le code de la commune et de {name} ({level}:{code}) : la commune a été prise ; vérifiez laquelle est voulue.",
                    "{code} is the code of the commune and of {name} ({level}:{code}): the commune was taken; check which one is meant."
                ));
            }
            (Verdict::Unknown, _) => {
                let shown: String = code.chars().take(40).collect();
                row.note(text!(
                    "« {shown} » n'a été le code d'aucune commune.",
                    "\"{shown}\" was the code of no commune."
                ));
            }
            _ => {}
        }
        if padded && row.fate.verdict != Verdict::Unknown {
            row.note(text!("Zéro initial rétabli : {code}.", "Leading zero restored: {code}."));
        }
        row
    }

    /// A municipal arrondissement where a commune is expected.
    fn municipal(&self, arm: &TerritoryCode) -> Option<Row> {
        let found = self.reference.get(arm)?;
        let Carry::Current(rank) = self.reference.carry(found.parents.first()?.code.as_str())
        else {
            return None;
        };
        let (code, name) = (&arm.code, found.name);
        let fate = Fate { verdict: Verdict::Carried, to: vec![rank], main: Some(rank) };
        let mut row = Row::new(
            fate,
            Some(text!(
                "{code} est l'arrondissement municipal {name} : sa commune a été prise.",
                "{code} is the municipal arrondissement {name}: its commune was taken."
            )),
        );
        row.candidates.push(arm.clone());
        Some(row)
    }

    fn by_name(&self, name: &str, department: Option<&str>) -> Row {
        if name.trim().is_empty() {
            return Row::unknown(text!("pas de nom.", "no name."));
        }
        let told = department.map(str::trim).filter(|cell| !cell.is_empty());
        let dep = told.and_then(|cell| names::department(self.reference, cell));
        if let (Some(cell), None) = (told, &dep) {
            let shown: String = cell.chars().take(40).collect();
            return Row::unknown(text!(
                "département inconnu : « {shown} ».",
                "unknown département: \"{shown}\"."
            ));
        }
        let found = self.names.as_ref().map(|n| n.find(name, dep.as_deref())).unwrap_or_default();
        match found.as_slice() {
            [] => Row::unknown(text!("aucune commune de ce nom.", "no commune of this name.")),
            [one] if one.today => self.by_code(&one.code),
            [one] => {
                let mut row = self.by_code(&one.code);
                let code = &one.code;
                row.note(text!(
                    "Nom d'une ancienne commune ({code}).",
                    "Name of a former commune ({code})."
                ));
                row
            }
            several => self.namesakes(several),
        }
    }

    /// Of several communes of one name, in one département or not: where all of them are today.
    fn namesakes(&self, bearers: &[&Bearer]) -> Row {
        let mut to: Vec<u32> = Vec::new();
        for bearer in bearers {
            let fate = self.passage.fate(&bearer.code);
            let found = fate.main.map_or(fate.to, |main| vec![main]);
            to.extend(found.into_iter().filter(|rank| !to.contains(rank)).collect::<Vec<_>>());
        }
        match to.as_slice() {
            // One commune had several codes, or several ended in one: it is that one.
            [one] => {
                let codes: Vec<&str> = bearers.iter().map(|bearer| bearer.code.as_str()).collect();
                let codes = codes.join(", ");
                let fate = Fate { verdict: Verdict::Carried, main: Some(*one), to };
                Row::new(
                    fate,
                    Some(text!(
                        "Nom d'une ancienne commune ({codes}).",
                        "Name of a former commune ({codes})."
                    )),
                )
            }
            [] => Row::unknown(text!(
                "aucune commune d'aujourd'hui de ce nom.",
                "no commune of today of this name."
            )),
            _ => {
                let fate = Fate { verdict: Verdict::Undecidable, to, main: None };
                let mut row = Row::new(
                    fate,
                    Some(text!("plusieurs communes de ce nom.", "several communes of this name.")),
                );
                row.candidates = self.communes(&row.fate.to);
                row
            }
        }
    }
}

/// A code with the leading zero that a spreadsheet took from it, and whether it had.
pub(super) fn whole(cell: &str) -> (Cow<'_, str>, bool) {
    let cell = cell.trim();
    let padded = cell.len() == 4 && cell.bytes().all(|b| b.is_ascii_digit());
    if padded { (format!("0{cell}").into(), true) } else { (cell.into(), false) }
}
