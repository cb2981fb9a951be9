//! Levels: their names, and the form of their codes.

use super::{LevelWords, OwnLevel, TerritoryError, error::shown};
use crate::model::{Lang, Text};
use crate::text;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};

/// A territory level (DESIGN §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// Commune.
    Com,
    /// EPCI à fiscalité propre.
    Epci,
    /// Établissement public territorial.
    Ept,
    /// Arrondissement.
    Arr,
    /// Département.
    Dep,
    /// Région.
    Reg,
    /// France: all, `metro`, `drom` or `com`.
    Fr,
    /// Arrondissement municipal.
    Arm,
    /// Commune déléguée.
    Comd,
    /// Commune associée.
    Coma,
    /// Canton.
    Canton,
    /// Quartier prioritaire de la politique de la ville.
    Qpv,
    /// One that the configuration adds.
    Own(OwnLevel),
}

impl Level {
    /// The levels that the program knows by itself, communal ones first.
    pub const ALL: [Level; 12] = [
        Level::Com,
        Level::Epci,
        Level::Ept,
        Level::Arr,
        Level::Dep,
        Level::Reg,
        Level::Fr,
        Level::Arm,
        Level::Comd,
        Level::Coma,
        Level::Canton,
        Level::Qpv,
    ];

    /// Every level, those of the configuration last.
    pub fn every() -> Vec<Level> {
        Self::ALL.into_iter().chain(OwnLevel::all().into_iter().map(Level::Own)).collect()
    }

    /// The ids of every level, for messages.
    pub fn ids() -> String {
        Self::every().into_iter().map(Level::id).collect::<Vec<_>>().join(", ")
    }

    /// Adds a level of the configuration; `None` when its id is none or is taken. One that has
    /// that id already takes the new words: the configuration is read once.
    pub fn add(words: LevelWords) -> Option<Level> {
        OwnLevel::admits(&words.id).then(|| Level::Own(OwnLevel::add(words)))
    }

    /// Its place in [`Level::ALL`]; `None` for a level of the configuration.
    pub fn number(self) -> Option<usize> {
        Self::ALL.iter().position(|level| *level == self)
    }

    /// Its id, as written before the code.
    pub fn id(self) -> &'static str {
        match self {
            Level::Own(own) => &own.words().id,
            Level::Com => "com",
            Level::Epci => "epci",
            Level::Ept => "ept",
            Level::Arr => "arr",
            Level::Dep => "dep",
            Level::Reg => "reg",
            Level::Fr => "fr",
            Level::Arm => "arm",
            Level::Comd => "comd",
            Level::Coma => "coma",
            Level::Canton => "canton",
            Level::Qpv => "qpv",
        }
    }

    /// Whether its territories are made of whole communes, so that a feature meets them through
    /// its communes.
    pub fn is_communal(self) -> bool {
        use Level::*;
        match self {
            Own(own) => own.words().communal,
            level => matches!(level, Com | Epci | Ept | Arr | Dep | Reg | Fr),
        }
    }

    /// The columns of the layer that is drawn of this level from the communes, in their order: named
    /// in French, as the data of France are.
    pub fn derived_columns(self) -> Vec<&'static str> {
        let parents: &[&str] = match self {
            Level::Ept => &["epci", "dep", "reg"],
            Level::Epci | Level::Arr => &["dep", "reg"],
            Level::Dep => &["reg"],
            _ => &[],
        };
        let members: &[&str] =
            if matches!(self, Level::Dep | Level::Reg) { &["membres"] } else { &[] };
        let first: &[&str] = &["code", "nom", "nature"];
        let counts: &[&str] = &["population", "communes", "communes_absentes"];
        let place: &[&str] = &["superficie_km2", "centre_lon", "centre_lat", "bbox"];
        [first, parents, counts, members, place].concat()
    }

    /// What one is called.
    pub fn label(self, lang: Lang) -> &'static str {
        match (self, lang) {
            (Level::Own(own), lang) => own.words().title.get(lang),
            (Level::Com, _) => "commune",
            (Level::Epci, Lang::Fr) => "EPCI",
            (Level::Epci, Lang::En) => "intermunicipality (EPCI)",
            (Level::Ept, Lang::Fr) => "établissement public territorial",
            (Level::Ept, Lang::En) => "territorial public body (EPT)",
            (Level::Arr, _) => "arrondissement",
            (Level::Dep, Lang::Fr) => "département",
            (Level::Dep, Lang::En) => "department",
            (Level::Reg, Lang::Fr) => "région",
            (Level::Reg, Lang::En) => "region",
            (Level::Fr, _) => "France",
            (Level::Arm, Lang::Fr) => "arrondissement municipal",
            (Level::Arm, Lang::En) => "municipal arrondissement",
            (Level::Comd, Lang::Fr) => "commune déléguée",
            (Level::Comd, Lang::En) => "delegated commune",
            (Level::Coma, Lang::Fr) => "commune associée",
            (Level::Coma, Lang::En) => "associated commune",
            (Level::Canton, _) => "canton",
            (Level::Qpv, Lang::Fr) => "quartier prioritaire",
            (Level::Qpv, Lang::En) => "priority neighbourhood",
        }
    }

    /// What several are called.
    pub fn plural(self, lang: Lang) -> &'static str {
        match (self, lang) {
            (Level::Own(own), lang) => own.words().plural.get(lang),
            (Level::Com, _) => "communes",
            (Level::Epci, Lang::Fr) => "EPCI",
            (Level::Epci, Lang::En) => "intermunicipalities (EPCI)",
            (Level::Ept, Lang::Fr) => "établissements publics territoriaux",
            (Level::Ept, Lang::En) => "territorial public bodies (EPT)",
            (Level::Arr, _) => "arrondissements",
            (Level::Dep, Lang::Fr) => "départements",
            (Level::Dep, Lang::En) => "departments",
            (Level::Reg, Lang::Fr) => "régions",
            (Level::Reg, Lang::En) => "regions",
            (Level::Fr, _) => "France",
            (Level::Arm, Lang::Fr) => "arrondissements municipaux",
            (Level::Arm, Lang::En) => "municipal arrondissements",
            (Level::Comd, Lang::Fr) => "communes déléguées",
            (Level::Comd, Lang::En) => "delegated communes",
            (Level::Coma, Lang::Fr) => "communes associées",
            (Level::Coma, Lang::En) => "associated communes",
            (Level::Canton, _) => "cantons",
            (Level::Qpv, Lang::Fr) => "quartiers prioritaires",
            (Level::Qpv, Lang::En) => "priority neighbourhoods",
        }
    }

    /// The form of its codes, for messages.
    pub fn code_form(self) -> Text {
        match self {
            Level::Com | Level::Comd | Level::Coma => text!(
                "5 caractères : le département puis un numéro, comme 59350, 2A004, 97411 ou 98818",
                "5 characters: the department and a number, such as 59350, 2A004, 97411 or 98818"
            ),
            Level::Epci | Level::Ept => text!(
                "les 9 chiffres du SIREN, comme 200093201",
                "the 9 digits of the SIREN, such as 200093201"
            ),
            Level::Arr => text!(
                "le département puis un chiffre, comme 595, 2A1 ou 9741",
                "the department and a digit, such as 595, 2A1 or 9741"
            ),
            Level::Dep => text!(
                "01 à 95, 2A, 2B, 971 à 978 ou 984 à 989",
                "01 to 95, 2A, 2B, 971 to 978 or 984 to 989"
            ),
            Level::Reg => text!(
                "2 chiffres, comme 32, ou le code d'une collectivité d'outre-mer, comme 988",
                "2 digits, such as 32, or the code of an overseas collectivity, such as 988"
            ),
            Level::Fr => {
                text!("rien, ou metro, drom ou com", "nothing, or metro, drom or com")
            }
            Level::Arm => text!(
                "75101 à 75120 (Paris), 69381 à 69389 (Lyon) ou 13201 à 13216 (Marseille)",
                "75101 to 75120 (Paris), 69381 to 69389 (Lyon) or 13201 to 13216 (Marseille)"
            ),
            Level::Canton => text!(
                "le département puis 2 caractères, comme 5901, 2A01 ou 97401",
                "the department and 2 characters, such as 5901, 2A01 or 97401"
            ),
            Level::Qpv => text!(
                "8 caractères, comme QN00101M (2024) ou QP009002 (2015)",
                "8 characters, such as QN00101M (2024) or QP009002 (2015)"
            ),
            Level::Own(_) => text!(
                "1 à 14 lettres ou chiffres sans accent",
                "1 to 14 letters or digits without accents"
            ),
        }
    }

    /// Whether `code` has the form of this level's codes.
    pub(super) fn admits(self, code: &str) -> bool {
        match self {
            Level::Com | Level::Comd | Level::Coma => commune_form(code),
            Level::Epci | Level::Ept => code.len() == 9 && digits(code),
            Level::Arr => after_department(code, 1, |b| b.is_ascii_digit()),
            Level::Dep => department_form(code),
            Level::Reg => digits(code) && (code.len() == 2 || overseas_collectivity(code)),
            Level::Fr => matches!(code, "" | "metro" | "drom" | "com"),
            Level::Arm => {
                digits(code)
                    && code.len() == 5
                    && matches!(code.parse(), Ok(75101..=75120 | 69381..=69389 | 13201..=13216u32))
            }
            Level::Canton => {
                after_department(code, 2, |b| b.is_ascii_digit() || b.is_ascii_uppercase())
            }
            Level::Qpv => neighbourhood_form(code),
            Level::Own(_) => !code.is_empty() && code.bytes().all(|b| b.is_ascii_alphanumeric()),
        }
    }
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn department_form(code: &str) -> bool {
    match code.len() {
        // 20 was Corse until 1976; 96, 98 and 99 are none.
        2 => {
            matches!(code, "2A" | "2B")
                || digits(code) && code != "20" && matches!(code.parse(), Ok(1..=95u8))
        }
        3 => digits(code) && matches!(code.parse(), Ok(971..=978 | 984..=989u16)),
        _ => false,
    }
}

fn overseas_collectivity(code: &str) -> bool {
    matches!(code, "975" | "977" | "978") || code.starts_with("98") && department_form(code)
}

fn commune_form(code: &str) -> bool {
    // 20 was Corse until 1976: an old code that is carried.
    let corse = code.starts_with("20") && digits(code);
    code.len() == 5
        && (corse || after_department(code, 3, digit) || after_department(code, 2, digit))
}

fn digit(b: u8) -> bool {
    b.is_ascii_digit()
}

/// A département, then `count` characters that pass `rest`.
fn after_department(code: &str, count: usize, rest: fn(u8) -> bool) -> bool {
    code.is_ascii()
        && code
            .len()
            .checked_sub(count)
            .and_then(|at| code.split_at_checked(at))
            .is_some_and(|(dep, tail)| department_form(dep) && tail.bytes().all(rest))
}

/// `QN` or `QP`, the département on three characters (`001`, `02A`, `974`), then two digits and a
/// letter (2024) or three digits (2015).
fn neighbourhood_form(code: &str) -> bool {
    if code.len() != 8 || !code.is_ascii() {
        return false;
    }
    let (head, tail) = code.split_at(5);
    let (prefix, dep) = head.split_at(2);
    let (number, last) = tail.split_at(2);
    let last = last.bytes().all(|b| match prefix {
        "QN" => b.is_ascii_uppercase(),
        _ => b.is_ascii_digit(),
    });
    matches!(prefix, "QN" | "QP")
        && department_form(dep.strip_prefix('0').unwrap_or(dep))
        && digits(number)
        && last
}

impl FromStr for Level {
    type Err = TerritoryError;

    fn from_str(text: &str) -> Result<Self, TerritoryError> {
        Level::ALL
            .into_iter()
            .find(|level| level.id() == text)
            .or_else(|| OwnLevel::find(text).map(Level::Own))
            .ok_or_else(|| TerritoryError::Level { given: shown(text) })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl Serialize for Level {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
