//! A table put on today's territories: the same rows with their commune of today, the parents
//! asked for, and what became of each. Nothing is merged, summed or picked: rows that meet on one
//! commune with different values are listed.
//!
//! The commune of a row is told by a code, by a name and its département, or by a place; which
//! commune a place lies in is for the caller to say. Columns are named by the caller or recognised
//! by their usual names, then by what is in them.
//!
//! | file | question |
//! |---|---|
//! | `columns` | which columns tell the commune? |
//! | `judge` | what became of this row? |
//! | `names` | which communes, of today or of the past, bear this name? |
//! | `conflicts` | which rows meet with different values? |

mod columns;
mod conflicts;
mod judge;
mod names;

pub(super) use columns::usual_codes;
pub use columns::{By, Plan};
pub use conflicts::Meeting;
pub use judge::{Located, Row};

use super::{Detected, Passage, Reference, Verdict};
use crate::{
    error::Result,
    model::{Budget, Cell, Lang, Level, Sheet, Text},
    text,
};
use judge::Judge;
use std::{collections::BTreeMap, sync::Arc};

/// What to do with a table.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// The column of commune codes; recognised when not given.
    pub code: Option<String>,
    /// The column of commune names, used when there is none of codes.
    pub name: Option<String>,
    /// The column of départements (code or name) that goes with the names.
    pub department: Option<String>,
    /// The columns of a place, by position.
    pub place: Option<(usize, usize)>,
    /// Whether the caller named the place: it then tells the commune where neither code nor name
    /// was named.
    pub by_place: bool,
    /// The vintage of the codes as declared; else the one they show.
    pub vintage: Option<u16>,
    /// What to add, besides the commune.
    pub add: Vec<Add>,
    /// The language of notes.
    pub lang: Lang,
    /// What the work may take.
    pub budget: Arc<Budget>,
}

/// A column to add that follows from a row's commune.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Add {
    /// The code of its territory of a level.
    Code(Level),
    /// That territory's name.
    Name(Level),
}

impl Add {
    /// The name of the column.
    pub fn title(self) -> String {
        match self {
            Self::Code(level) => format!("socle_{level}"),
            Self::Name(level) => format!("socle_{level}_nom"),
        }
    }
}

/// A table put on today's territories.
#[derive(Debug, Clone)]
pub struct CarriedSheet {
    /// The table as it came.
    pub sheet: Sheet,
    /// What was found of each row.
    pub rows: Vec<Row>,
    /// Rows by verdict.
    pub counts: BTreeMap<Verdict, u64>,
    /// The vintage the codes show.
    pub detected: Option<Detected>,
    /// The vintage they were carried from.
    pub vintage: Option<u16>,
    /// Where rows meet with different values.
    pub conflicts: Vec<Meeting>,
    /// What was recognised and done.
    pub notes: Vec<Text>,
}

/// Puts tables on the territories of a reference.
pub struct Carrier {
    reference: Arc<Reference>,
}

impl Carrier {
    /// A carrier to the communes of `reference`.
    pub fn new(reference: Arc<Reference>) -> Self {
        Self { reference }
    }

    /// The reference.
    pub fn reference(&self) -> &Arc<Reference> {
        &self.reference
    }

    /// Judges every row of a table. `located` says which communes each row's place lies in; empty
    /// where no place is asked.
    ///
    /// # Errors
    /// [`Error::Unavailable`](crate::error::Error::Unavailable) when there was not time enough.
    pub fn carry(
        &self,
        sheet: Sheet,
        plan: &Plan,
        ask: &Ask,
        located: &[Located],
    ) -> Result<CarriedSheet> {
        let mut notes = vec![plan.said(&sheet)];
        let detected = match plan.by {
            By::Code(column) => {
                let codes: Vec<String> =
                    sheet.column(column).map(|cell| judge::whole(&cell).0.into_owned()).collect();
                self.reference.detect(codes.iter().map(String::as_str))
            }
            _ => None,
        };
        let vintage = self.vintage(ask.vintage, detected, &mut notes);
        let passage = Passage::new(&self.reference, vintage.unwrap_or(self.reference.vintage()));
        let judge = Judge::new(&self.reference, &passage, plan);
        let mut rows = Vec::with_capacity(sheet.rows.len());
        let mut counts = BTreeMap::new();
        for at in 0..sheet.rows.len() {
            ask.budget.step()?;
            let row = judge.row(&sheet, at, located.get(at));
            *counts.entry(row.fate.verdict).or_default() += 1;
            rows.push(row);
        }
        let conflicts = match plan.by {
            By::Code(column) => conflicts::find(&self.reference, &sheet, column, ask, &mut rows)?,
            _ => Vec::new(),
        };
        Ok(CarriedSheet { sheet, rows, counts, detected, vintage, conflicts, notes })
    }

    /// The vintage to carry from: the declared one where the codes agree with it.
    fn vintage(
        &self,
        declared: Option<u16>,
        detected: Option<Detected>,
        notes: &mut Vec<Text>,
    ) -> Option<u16> {
        let found = detected?;
        let (first, last) = (found.first, found.last);
        match declared {
            Some(year) if (first..=last).contains(&year) => Some(year),
            Some(year) => {
                notes.push(text!(
                    "Millésime déclaré {year}, mais les codes sont ceux de {first} à {last}.",
                    "Vintage declared {year}, but the codes are those of {first} to {last}."
                ));
                Some(found.vintage)
            }
            None => Some(found.vintage),
        }
    }

    /// The table with columns added at its end: commune, name, what was asked for, `more` (columns
    /// of the caller's, name and cells), verdict, candidates, conflict, note. A column of that name
    /// that the table already has stays what it is, and the new one gets a number.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::error::Error::Invalid) when the budget has no room for what is
    /// added, `more` left aside; [`Error::Unavailable`](crate::error::Error::Unavailable) when there
    /// was not time enough.
    pub fn widen(
        &self,
        done: &mut CarriedSheet,
        ask: &Ask,
        more: Vec<(String, Vec<Cell>)>,
    ) -> Result<()> {
        let mut titles: Vec<String> = vec!["socle_com".into(), "socle_com_nom".into()];
        titles.extend(ask.add.iter().map(|add| add.title()));
        let (names, mut columns): (Vec<String>, Vec<_>) =
            more.into_iter().map(|(name, cells)| (name, cells.into_iter())).unzip();
        titles.extend(names);
        titles.extend(["verdict", "candidats", "conflit", "note"].map(|n| format!("socle_{n}")));
        let added = titles.len();
        for title in titles {
            let title = free_name(&done.sheet.header, title);
            done.sheet.header.push(title);
        }
        for (cells, row) in done.sheet.rows.iter_mut().zip(&done.rows) {
            let (first, last) = (self.of_commune(row, &ask.add), of_row(row, ask.lang));
            let text: usize = first.iter().chain(&last).map(Cell::held).sum();
            ask.budget.cells(first.len() + last.len(), text)?;
            cells.reserve_exact(added);
            cells.extend(first);
            cells.extend(columns.iter_mut().map(|column| column.next().unwrap_or_default()));
            cells.extend(last);
        }
        Ok(())
    }

    /// A row's commune, its name, and what follows from it.
    fn of_commune(&self, row: &Row, add: &[Add]) -> Vec<Cell> {
        let commune = row.fate.main.and_then(|rank| self.reference.commune(rank));
        let territory = commune.as_ref().and_then(|code| self.reference.get(code));
        let mut cells = Vec::with_capacity(add.len() + 2);
        cells.push(commune.map(|c| c.code.to_string()).unwrap_or_default().into());
        cells.push(territory.as_ref().map(|t| t.name.clone()).unwrap_or_default().into());
        for add in add {
            let (Add::Code(level) | Add::Name(level)) = add;
            let of = territory.as_ref().and_then(|t| t.parents.iter().find(|p| p.level == *level));
            let text = of.map(|code| match add {
                Add::Code(_) => code.code.to_string(),
                Add::Name(_) => self.reference.name(code),
            });
            cells.push(text.unwrap_or_default().into());
        }
        cells
    }
}

/// What was found of a row: verdict, candidates, conflict, note.
fn of_row(row: &Row, lang: Lang) -> [Cell; 4] {
    let candidates: Vec<String> = row.candidates.iter().map(ToString::to_string).collect();
    [
        Cell::Text(row.fate.verdict.id().to_owned()),
        candidates.join(" ").into(),
        row.conflict.clone().unwrap_or_default().into(),
        row.note.as_ref().map(|n| n.get(lang).to_owned()).unwrap_or_default().into(),
    ]
}

/// A name that no column bears yet.
fn free_name(header: &[String], name: String) -> String {
    let taken = |name: &String| header.contains(name);
    let numbered = (2..).map(|n| format!("{name}_{n}"));
    std::iter::once(name.clone()).chain(numbered).find(|name| !taken(name)).unwrap_or(name)
}

#[cfg(test)]
mod tests;
