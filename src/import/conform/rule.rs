//! What a row broke of its schema, and the words for it.

use super::cell::{Column, Digits};
use crate::{
    model::{SchemaKind, Text},
    text,
};

/// A cell that does not follow the schema.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    /// Of the columns that the schema speaks of.
    pub(super) column: usize,
    pub(super) rule: Rule,
}

/// What was broken, with what makes it understood.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rule {
    Missing,
    Type(SchemaKind, Option<String>),
    Length(u64, u64),
    Least(String),
    Greatest(String),
    Pattern(String),
    Allowed(String),
    Digits(Digits),
    Twice {
        first: u64,
    },
    /// Of columns that the values are not among.
    Unknown(String),
}

/// A rule without its figures, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Missing,
    Type,
    Length,
    Bounds,
    Pattern,
    Allowed,
    Digits,
    Twice,
    Unknown,
}

impl Fault {
    /// What is wrong, in a sentence.
    pub(super) fn text(&self, columns: &[Column]) -> Text {
        let name = columns.get(self.column).map_or("", |c| c.name.as_str());
        let Text { fr, en } = self.rule.text();
        text!("« {name} » : {fr}.", "\"{name}\": {en}.")
    }
}

impl Rule {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Missing => Kind::Missing,
            Self::Type(..) => Kind::Type,
            Self::Length(..) => Kind::Length,
            Self::Least(_) | Self::Greatest(_) => Kind::Bounds,
            Self::Pattern(_) => Kind::Pattern,
            Self::Allowed(_) => Kind::Allowed,
            Self::Digits(_) => Kind::Digits,
            Self::Twice { .. } => Kind::Twice,
            Self::Unknown(_) => Kind::Unknown,
        }
    }

    fn text(&self) -> Text {
        match self {
            Self::Missing => text!("valeur obligatoire absente", "a required value is missing"),
            Self::Type(kind, format) => {
                let Text { fr, en } = words_of(*kind);
                let format = format.as_deref().filter(|f| *f != "default");
                let format = format.map_or(String::new(), |f| format!(" ({f})"));
                text!("attendu {fr}{format}", "expected {en}{format}")
            }
            Self::Length(least, u64::MAX) => {
                text!(
                    "au moins {least} caractères attendus",
                    "at least {least} characters expected"
                )
            }
            Self::Length(least, most) => text!(
                "de {least} à {most} caractères attendus",
                "{least} to {most} characters expected"
            ),
            Self::Least(bound) => text!("la valeur est sous {bound}", "the value is below {bound}"),
            Self::Greatest(bound) => {
                text!("la valeur dépasse {bound}", "the value is above {bound}")
            }
            Self::Pattern(pattern) => {
                text!("la forme attendue est {pattern}", "the form expected is {pattern}")
            }
            Self::Allowed(list) => text!("valeurs admises : {list}", "values allowed: {list}"),
            Self::Digits(Digits::Siren) => text!(
                "ce n'est pas un SIREN (9 chiffres, dont une clé)",
                "this is not a SIREN (9 digits, one of which checks)"
            ),
            Self::Digits(Digits::Siret) => text!(
                "ce n'est pas un SIRET (14 chiffres, dont une clé)",
                "this is not a SIRET (14 digits, one of which checks)"
            ),
            Self::Twice { first } => text!(
                "déjà à la ligne {first}, alors que les valeurs sont uniques",
                "already on line {first}, though values are unique"
            ),
            Self::Unknown(columns) => text!(
                "aucune ligne n'a cette valeur dans {columns}",
                "no row has this value in {columns}"
            ),
        }
    }
}

impl Kind {
    pub(super) fn words(self) -> Text {
        match self {
            Self::Missing => text!("valeurs obligatoires absentes", "required values missing"),
            Self::Type => text!("valeurs d'un autre type", "values of another type"),
            Self::Length => text!("longueurs hors limites", "lengths out of bounds"),
            Self::Bounds => text!("valeurs hors bornes", "values out of bounds"),
            Self::Pattern => text!("valeurs d'une autre forme", "values of another form"),
            Self::Allowed => text!("valeurs non admises", "values not allowed"),
            Self::Digits => {
                text!("numéros dont la clé est fausse", "numbers with a wrong check digit")
            }
            Self::Twice => text!("valeurs en double", "values that come twice"),
            Self::Unknown => text!("références à aucune ligne", "references to no row"),
        }
    }
}

fn words_of(kind: SchemaKind) -> Text {
    match kind {
        SchemaKind::String => text!("un texte", "text"),
        SchemaKind::Number => text!("un nombre", "a number"),
        SchemaKind::Integer => text!("un nombre entier", "a whole number"),
        SchemaKind::Boolean => text!("vrai ou faux", "true or false"),
        SchemaKind::Object => text!("un objet JSON", "a JSON object"),
        SchemaKind::Array => text!("une liste JSON", "a JSON array"),
        SchemaKind::Date => text!("une date", "a date"),
        SchemaKind::Time => text!("une heure", "a time"),
        SchemaKind::Datetime => text!("une date avec l'heure", "a date and time"),
        SchemaKind::Year => text!("une année", "a year"),
        SchemaKind::Yearmonth => text!("un mois (AAAA-MM)", "a month (YYYY-MM)"),
        SchemaKind::Duration => text!("une durée ISO 8601", "an ISO 8601 duration"),
        SchemaKind::Geopoint => text!("un point (lon, lat)", "a point (lon, lat)"),
        SchemaKind::Geojson => text!("un objet GeoJSON", "a GeoJSON object"),
        SchemaKind::Any => text!("une valeur", "a value"),
    }
}
