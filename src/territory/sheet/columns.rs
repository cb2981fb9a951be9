//! Which columns of a table tell the commune of a row.

use super::{Ask, Carrier, judge};
use crate::{
    error::{Error, Result},
    model::{Sheet, Text},
    territory::Carry,
    text,
};

/// Usual names of columns, in lower case without accents or separators; the likelier first.
const CODES: &[&str] = &[
    "codeinsee",
    "codecommune",
    "inseecom",
    "codgeo",
    "insee",
    "depcom",
    "codecom",
    "codeinseecommune",
    "communecode",
    "comminsee",
    "comminsee",
    "cominsee",
    "citycode",
    "com",
    "code",
];
const NAMES: &[&str] =
    &["nomcommune", "commune", "nomcom", "libgeo", "libcom", "libelle", "ville", "nom"];
const DEPARTMENTS: &[&str] =
    &["codedepartement", "departement", "dep", "coddep", "codedep", "dept", "dpt"];

/// Rows looked at to recognise a column by what is in it.
const SAMPLE: usize = 200;

/// What tells the commune of a row. Columns by position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// A code.
    Code(usize),
    /// A name, and the département that goes with it.
    Name {
        /// The name.
        name: usize,
        /// Code or name of the département.
        department: Option<usize>,
    },
    /// A place.
    Place {
        /// Easting or longitude.
        x: usize,
        /// Northing or latitude.
        y: usize,
    },
}

/// Which columns of a table tell the commune of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Which.
    pub by: By,
}

impl Plan {
    /// What was recognised, for people.
    pub(super) fn said(&self, sheet: &Sheet) -> Text {
        let name = |column: usize| sheet.header.get(column).cloned().unwrap_or_default();
        match self.by {
            By::Code(column) => {
                let column = name(column);
                text!(
                    "Codes de commune : colonne « {column} ».",
                    "Commune codes: column \"{column}\"."
                )
            }
            By::Name { name: column, .. } => {
                let column = name(column);
                text!(
                    "Noms de commune : colonne « {column} ».",
                    "Commune names: column \"{column}\"."
                )
            }
            By::Place { x, y } => {
                let (x, y) = (name(x), name(y));
                text!(
                    "Coordonnées : colonnes « {x} » et « {y} ».",
                    "Coordinates: columns \"{x}\" and \"{y}\"."
                )
            }
        }
    }
}

impl Carrier {
    /// Which columns tell the commune of a row: those named, else codes, else a place, else names.
    ///
    /// # Errors
    /// [`Error::Invalid`], naming the columns found, when a named column is not there or none can
    /// be recognised.
    pub fn plan(&self, sheet: &Sheet, ask: &Ask) -> Result<Plan> {
        let place = ask.place.map(|(x, y)| By::Place { x, y });
        let named = |name: usize, department: Option<usize>| By::Name { name, department };
        if let Some(code) = &ask.code {
            return Ok(Plan { by: By::Code(column(sheet, code)?) });
        }
        let department = match &ask.department {
            Some(asked) => Some(column(sheet, asked)?),
            None => usual(sheet, DEPARTMENTS),
        };
        if let Some(name) = &ask.name {
            return Ok(Plan { by: named(column(sheet, name)?, department) });
        }
        if let (Some(by), true) = (place, ask.by_place) {
            return Ok(Plan { by });
        }
        let code = usual(sheet, CODES).filter(|column| self.share_of_codes(sheet, *column) >= 0.5);
        let by = code
            .map(By::Code)
            .or(place)
            .or_else(|| usual(sheet, NAMES).map(|name| named(name, department)))
            .or_else(|| self.column_of_codes(sheet).map(By::Code))
            .or_else(|| usual(sheet, CODES).map(By::Code));
        by.map(|by| Plan { by }).ok_or_else(|| {
            let known = sheet.names();
            Error::Invalid(text!(
                "Aucune colonne de codes de commune (ni de noms, ni de coordonnées) reconnue : nommez-la. Colonnes : {known}.",
                "No column of commune codes (or names, or coordinates) is recognised: name it. Columns: {known}."
            ))
        })
    }

    /// The share of a column's cells that are codes of communes, among its first ones.
    fn share_of_codes(&self, sheet: &Sheet, column: usize) -> f64 {
        let (mut filled, mut codes) = (0u32, 0u32);
        for cell in sheet.column(column).filter(|cell| !cell.is_empty()).take(SAMPLE) {
            filled += 1;
            let code = judge::whole(&cell).0;
            codes += u32::from(self.reference.carry(&code) != Carry::Unknown);
        }
        if filled == 0 { 0.0 } else { f64::from(codes) / f64::from(filled) }
    }

    /// A column that no name tells, but what is in it.
    fn column_of_codes(&self, sheet: &Sheet) -> Option<usize> {
        (0..sheet.header.len()).find(|column| self.share_of_codes(sheet, *column) >= 0.9)
    }
}

/// A column by its name: as written, else whatever its case, accents and separators.
///
/// # Errors
/// [`Error::Invalid`], naming the columns found.
pub(super) fn column(sheet: &Sheet, asked: &str) -> Result<usize> {
    let exact = sheet.header.iter().position(|name| name == asked);
    let wanted = plain(asked);
    let alike = || sheet.header.iter().position(|name| !wanted.is_empty() && plain(name) == wanted);
    exact.or_else(alike).ok_or_else(|| {
        let (known, asked) = (sheet.names(), asked.chars().take(80).collect::<String>());
        Error::Invalid(text!(
            "La colonne « {asked} » n'est pas dans la table. Colonnes : {known}.",
            "Column \"{asked}\" is not in the table. Columns: {known}."
        ))
    })
}

impl Carrier {
    /// The position of a column that a caller names; see [`Carrier::plan`].
    ///
    /// # Errors
    /// [`Error::Invalid`], naming the columns found.
    pub fn column(&self, sheet: &Sheet, asked: &str) -> Result<usize> {
        column(sheet, asked)
    }
}

/// The column of commune codes among columns of these names, by its usual ones.
pub(in crate::territory) fn usual_codes(header: &[String]) -> Option<usize> {
    let plain: Vec<String> = header.iter().map(|name| plain(name)).collect();
    CODES.iter().find_map(|usual| plain.iter().position(|name| name == usual))
}

fn usual(sheet: &Sheet, usual: &[&str]) -> Option<usize> {
    let plain: Vec<String> = sheet.header.iter().map(|name| plain(name)).collect();
    usual.iter().find_map(|usual| plain.iter().position(|name| name == usual))
}

/// Whether a column's name is that of a column of names of communes.
pub(super) fn names_places(name: &str) -> bool {
    NAMES.contains(&plain(name).as_str())
}

/// A name in lower case, without accents or separators.
fn plain(name: &str) -> String {
    use unicode_normalization::UnicodeNormalization;
    name.nfd().filter(|c| c.is_ascii_alphanumeric()).map(|c| c.to_ascii_lowercase()).collect()
}
