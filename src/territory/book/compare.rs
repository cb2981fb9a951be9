//! What differs between two tables, for whoever decides whether the newer comes into force.

use crate::{
    model::{Level, TerritoryCode},
    territory::{Carry, Reference},
};
use std::collections::BTreeMap;

/// What a newer table changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// Communes before and after.
    pub communes: (u32, u32),
    /// Communes that are no more, by the one they are in.
    pub merged: BTreeMap<TerritoryCode, Vec<TerritoryCode>>,
    /// Communes that are no more, and whose territory is in several.
    pub shared: BTreeMap<TerritoryCode, Vec<TerritoryCode>>,
    /// Communes that are new, or again.
    pub created: Vec<TerritoryCode>,
    /// Communes with another name: the code, before, after.
    pub renamed: Vec<(TerritoryCode, String, String)>,
    /// Communes in another département.
    pub moved: Vec<TerritoryCode>,
    /// EPCI that are no more.
    pub dissolved: Vec<TerritoryCode>,
    /// EPCI that are new.
    pub founded: Vec<TerritoryCode>,
    /// Communes that are in another EPCI than before.
    pub regrouped: Vec<TerritoryCode>,
}

impl Differences {
    /// Whether nothing differs that anybody could see.
    pub fn is_empty(&self) -> bool {
        let communes = self.communes;
        *self == Self { communes, ..Self::default() } && communes.0 == communes.1
    }
}

impl Reference {
    /// What a newer table changes.
    pub fn compare(&self, newer: &Self) -> Differences {
        let mut found = Differences {
            communes: (self.commune_count(), newer.commune_count()),
            ..Differences::default()
        };
        let parent = |reference: &Self, code: &TerritoryCode, level: Level| {
            let parents = reference.get(code)?.parents;
            parents.into_iter().find(|parent| parent.level == level)
        };
        for code in (0..self.commune_count()).filter_map(|rank| self.commune(rank)) {
            match newer.carry(code.code.as_str()) {
                Carry::Current(_) => {
                    let names = (self.name(&code), newer.name(&code));
                    if names.0 != names.1 {
                        found.renamed.push((code.clone(), names.0, names.1));
                    }
                    let differs = |level| parent(self, &code, level) != parent(newer, &code, level);
                    if differs(Level::Dep) {
                        found.moved.push(code.clone());
                    }
                    if differs(Level::Epci) {
                        found.regrouped.push(code);
                    }
                }
                Carry::Carried(rank) => {
                    if let Some(to) = newer.commune(rank) {
                        found.merged.entry(to).or_default().push(code);
                    }
                }
                Carry::Shared(ranks) => {
                    let to = ranks.iter().filter_map(|rank| newer.commune(*rank)).collect();
                    found.shared.insert(code, to);
                }
                Carry::Unknown => drop(found.shared.insert(code, Vec::new())),
            }
        }
        let new = |code: &TerritoryCode| self.communes(code).is_none();
        found.created =
            (0..newer.commune_count()).filter_map(|r| newer.commune(r)).filter(new).collect();
        let epcis = |reference: &Self| reference.codes(reference.table.level(Level::Epci));
        found.dissolved = epcis(self).into_iter().filter(|c| newer.communes(c).is_none()).collect();
        found.founded = epcis(newer).into_iter().filter(new).collect();
        found
    }
}
