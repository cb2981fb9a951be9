//! What files say of a vintage, before it is held against the table in force.

use super::{insee, package};
use crate::{
    error::{Error, Result},
    model::{Level, Text},
    text,
};
use std::{collections::BTreeMap, fmt};

/// Faults told of one delivery; the rest is counted.
const TOLD: usize = 20;

/// A file of the COG.
#[derive(Debug, Clone)]
pub struct CogFile {
    /// Its name, for messages and the vintage in it.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Where something was said: the file, and its line or, in JSON, its position from 1.
#[derive(Debug, Clone, Default)]
pub(super) struct Spot {
    pub(super) file: String,
    pub(super) line: u64,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A commune, or a part of one, as a file gives it. What it does not say is empty.
#[derive(Debug, Clone, Default)]
pub(super) struct Commune {
    pub(super) spot: Spot,
    pub(super) level: Option<Level>,
    pub(super) code: String,
    pub(super) name: String,
    pub(super) dep: String,
    pub(super) reg: String,
    pub(super) arr: String,
    /// Of parts: their commune.
    pub(super) parent: String,
    pub(super) population: Option<u64>,
    pub(super) postal: Vec<String>,
    /// Old codes that it claims.
    pub(super) former: Vec<String>,
}

/// A territory made of others.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    pub(super) spot: Spot,
    pub(super) code: String,
    pub(super) name: String,
    /// What it belongs to, its zone or its kind.
    pub(super) of: String,
    pub(super) members: Vec<String>,
}

/// A movement of communes.
#[derive(Debug, Clone)]
pub(super) struct Movement {
    pub(super) date: u32,
    pub(super) kind: u8,
    pub(super) from: String,
    pub(super) from_name: String,
    pub(super) to: String,
}

/// All that files say.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// The year that files name.
    pub(super) vintage: Option<u16>,
    /// The file that named it.
    dated: String,
    /// Which file gave which list.
    lists: BTreeMap<&'static str, String>,
    pub(super) source: Vec<String>,
    /// Name and version of the package, when its own file is there.
    pub(super) package: Option<String>,
    pub(super) communes: Option<Vec<Commune>>,
    pub(super) regs: Option<Vec<Group>>,
    pub(super) deps: Option<Vec<Group>>,
    pub(super) arrs: Option<Vec<Group>>,
    pub(super) epcis: Option<Vec<Group>>,
    pub(super) epts: Option<Vec<Group>>,
    pub(super) moves: Option<Vec<Movement>>,
    pub(super) notes: Vec<Text>,
    pub(super) faults: Faults,
}

/// What is wrong with a delivery, line by line.
#[derive(Debug, Default)]
pub(super) struct Faults {
    told: Vec<Text>,
    count: usize,
}

impl Faults {
    pub(super) fn add(&mut self, spot: &Spot, what: Text) {
        self.count += 1;
        if self.told.len() < TOLD {
            let Text { fr, en } = what;
            self.told.push(text!("{spot} : {fr}", "{spot}: {en}"));
        }
    }

    /// All of them at once.
    ///
    /// # Errors
    /// [`Error::Refused`] when there are any.
    pub(super) fn check(&self) -> Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        let more = self.count - self.told.len();
        let list =
            |pick: fn(&Text) -> &str| self.told.iter().map(pick).collect::<Vec<_>>().join("\n");
        let (mut fr, mut en) = (list(|t| &t.fr), list(|t| &t.en));
        if more > 0 {
            fr.push_str(&format!("\n… et {more} autres"));
            en.push_str(&format!("\n… and {more} more"));
        }
        Err(Error::Refused(text!(
            "Ces fichiers du COG ne tiennent pas ensemble ; rien n'a été chargé.\n{fr}",
            "These COG files do not hold together; nothing was loaded.\n{en}"
        )))
    }
}

impl Given {
    /// Notes that a file gives a list.
    ///
    /// # Errors
    /// [`Error::Refused`] when another gave it before: neither wins in silence.
    pub(super) fn list(&mut self, list: &'static str, file: &str) -> Result<()> {
        match self.lists.insert(list, file.to_owned()) {
            None => Ok(()),
            Some(other) => Err(broken(
                file,
                &text!(
                    "« {other} » donne déjà cette liste ({list}) : n'en donnez qu'un",
                    "\"{other}\" gives this list already ({list}): give one of them"
                ),
            )),
        }
    }

    /// Notes the year that a file is of.
    ///
    /// # Errors
    /// [`Error::Refused`] when another file is of another year.
    pub(super) fn dated(&mut self, year: Option<u16>, file: &str) -> Result<()> {
        let Some(year) = year else { return Ok(()) };
        match self.vintage.replace(year).filter(|before| *before != year) {
            None => {
                file.clone_into(&mut self.dated);
                Ok(())
            }
            Some(before) => {
                let other = &self.dated;
                Err(broken(
                    file,
                    &text!(
                        "de {year}, alors que « {other} » est de {before} : donnez les fichiers d'une même année",
                        "of {year}, while \"{other}\" is of {before}: give files of one year"
                    ),
                ))
            }
        }
    }

    /// Reads files, each by what is in it.
    ///
    /// # Errors
    /// [`Error::Refused`], naming the file, for one that is broken or none of the COG.
    pub(super) fn read(files: &[CogFile]) -> Result<Self> {
        let mut given = Self::default();
        for file in files {
            let json = file.bytes.iter().find(|b| !b.is_ascii_whitespace());
            given.source.push(file.name.clone());
            match json {
                Some(b'[' | b'{') => package::read(file, &mut given)?,
                _ => insee::read(file, &mut given)?,
            }
        }
        given.faults.check()?;
        Ok(given)
    }
}

/// The refusal of a file as a whole.
pub(super) fn broken(file: &str, what: &Text) -> Error {
    let Text { fr, en } = what;
    Error::Refused(text!("{file} : {fr}", "{file}: {en}"))
}

/// A year in a file's name (`v_commune_2026.csv`).
pub(super) fn year_of(name: &str) -> Option<u16> {
    let digits = name.split(|c: char| !c.is_ascii_digit()).filter(|part| part.len() == 4);
    digits.filter_map(|part| part.parse().ok()).find(|year| (1943..=2100).contains(year))
}
