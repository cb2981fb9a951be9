//! Territories that are no more: dissolved EPCI, and what their communes belong to today.

use super::{Carry, Reference, as_of::last_of, table::text};
use crate::{
    error::Error,
    model::{Level, RankSet, TerritoryCode},
    text,
};
use std::collections::BTreeMap;

/// An EPCI that was dissolved.
#[derive(Debug, Clone)]
pub struct Dissolved {
    /// Level and code.
    pub code: TerritoryCode,
    /// Its last name.
    pub name: String,
    /// The last year it was listed.
    pub last: u16,
    /// Its communes then, by their codes of that year.
    pub members: Vec<TerritoryCode>,
    /// The communes of today that hold them.
    pub today: RankSet,
    /// The EPCI that its communes belong to today, most communes first, with how many.
    pub heirs: Vec<(TerritoryCode, u32)>,
}

impl Reference {
    /// A dissolved EPCI, if the reference remembers it (since 2019 in the compiled table).
    pub fn dissolved(&self, code: &TerritoryCode) -> Option<Dissolved> {
        let list = &self.table.gone;
        if code.level != Level::Epci {
            return None;
        }
        let at = list.binary_search_by(|gone| gone.code.as_str().cmp(code.code.as_str())).ok()?;
        let gone = list.get(at)?;
        let mut heirs: BTreeMap<TerritoryCode, u32> = BTreeMap::new();
        let mut ranks = Vec::new();
        for member in &gone.members {
            let (Carry::Current(rank) | Carry::Carried(rank)) = self.carry(text(member)) else {
                continue;
            };
            ranks.push(rank);
            let epci = self.table.place(rank).and_then(|place| self.table.code(place.epci));
            if let Some(epci) = epci {
                *heirs.entry(epci).or_default() += 1;
            }
        }
        let mut heirs: Vec<_> = heirs.into_iter().collect();
        heirs.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let members = gone.members.iter();
        Some(Dissolved {
            code: code.clone(),
            name: gone.name.clone(),
            last: gone.last,
            members: members.filter_map(|m| TerritoryCode::new(Level::Com, text(m)).ok()).collect(),
            today: RankSet::from_ranks(ranks),
            heirs,
        })
    }

    /// What is said of a territory that is no more, naming what followed and when.
    pub fn gone(&self, code: &TerritoryCode) -> Option<Error> {
        if let Some(last) = last_of(code) {
            let (since, path) = (last + 1, code.path());
            return Some(Error::Gone {
                text: text!(
                    "{code} est un quartier de la géographie de 2015, qui n'est plus en vigueur depuis le 1er janvier {since} (décret n° 2023-1314) : les quartiers d'aujourd'hui ont des codes en QN. Les couches qui ont encore le code répondent avec vintage={last}, et sous /t/{path}@{last}/.",
                    "{code} is a neighbourhood of the geography of 2015, which has not been in force since 1 January {since} (decree 2023-1314): those of today have codes in QN. Layers that still have the code answer with vintage={last}, and under /t/{path}@{last}/."
                ),
                follow: Some("territories?level=qpv".to_owned()),
            });
        }
        let gone = self.dissolved(code)?;
        let (name, year, count) = (&gone.name, gone.last + 1, gone.members.len());
        let heirs = gone.heirs.iter().map(|(heir, n)| format!("{} ({n})", self.label(heir)));
        let heirs = heirs.collect::<Vec<_>>().join(", ");
        let (vintage, path) = (gone.last, code.path());
        Some(Error::Gone {
            text: text!(
                "{code} ({name}) n'existe plus depuis {year}. Ses {count} communes sont aujourd'hui dans : {heirs}. Son dernier périmètre : /territories/{path}?vintage={vintage}, « territory={code}&vintage={vintage} » pour les couches, et /t/{path}@{vintage}/ pour tout le service.",
                "{code} ({name}) has not existed since {year}. Its {count} communes are today in: {heirs}. Its last perimeter: /territories/{path}?vintage={vintage}, \"territory={code}&vintage={vintage}\" for layers, and /t/{path}@{vintage}/ for the whole service."
            ),
            follow: gone.heirs.first().map(|(heir, _)| format!("territories/{}", heir.path())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> TerritoryCode {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn a_dissolved_epci_names_what_followed() {
        let reference = Reference::builtin();
        let gone = reference.dissolved(&code("epci:200012060")).unwrap();
        assert_eq!((gone.name.as_str(), gone.last), ("CC Petite Montagne", 2019));
        assert_eq!(gone.members.len(), 23);
        assert!(!gone.today.is_empty() && !gone.heirs.is_empty());
        assert!(gone.heirs.windows(2).all(|w| w[0].1 >= w[1].1));
        for text in ["epci:200012060", "200012060"] {
            let Err(Error::Gone { text: said, follow }) = reference.resolve(text) else {
                panic!("{text} is not gone")
            };
            assert!(said.fr.contains("2020") && said.en.contains("Petite Montagne"), "{said}");
            assert!(follow.unwrap().starts_with("territories/epci-"));
        }
    }

    #[test]
    fn what_exists_is_not_gone() {
        let reference = Reference::builtin();
        for text in ["epci:200093201", "com:59350", "epci:123456789"] {
            assert!(reference.dissolved(&code(text)).is_none(), "{text}");
        }
        for gone in &reference.table.gone {
            let gone = reference.dissolved(&code(&format!("epci:{}", gone.code))).unwrap();
            assert!(!gone.heirs.is_empty(), "{gone:?}");
        }
    }
}
