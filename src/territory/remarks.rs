//! What is out of the common with a territory, in words: who is in no EPCI, what lies across
//! départements, what overseas collectivities are.

use super::{EpciKind, Reference, Territory};
use crate::{
    model::{Level, Text},
    text,
};

impl Reference {
    /// What kind of territory it is, in the law's French, where the COG tells: of an EPCI its legal
    /// form, of a département or a région in which part of France it is.
    pub fn nature(&self, territory: &Territory) -> Option<&'static str> {
        let place = self.part(territory)?;
        let [metro, drom, com] = match territory.code.level {
            Level::Epci => return territory.epci_kind.map(EpciKind::label),
            Level::Ept => return Some("établissement public territorial"),
            Level::Arr => return Some("arrondissement"),
            Level::Dep => ["département", "département d'outre-mer", "collectivité d'outre-mer"],
            Level::Reg => ["région", "région d'outre-mer", "collectivité d'outre-mer"],
            Level::Com => ["commune", "commune", "commune d'une collectivité d'outre-mer"],
            _ => return None,
        };
        Some(match place {
            "metro" => metro,
            "drom" => drom,
            _ => com,
        })
    }

    /// The part of France that a communal territory lies in: `metro`, `drom` or `com`.
    fn part(&self, territory: &Territory) -> Option<&'static str> {
        let communes = self.communes(&territory.code)?;
        ["metro", "drom", "com"].into_iter().find(|part| {
            let mut regions = self.table.regions_of(part);
            regions.any(|region| {
                let of = self.table.communes_of(region);
                of.iter().any(|range| communes.iter().next().is_some_and(|r| range.contains(&r)))
            })
        })
    }

    /// What a person should know of a territory that is not as most of its level are.
    pub fn remarks(&self, territory: &Territory) -> Vec<Text> {
        let mut remarks = Vec::new();
        let level = territory.code.level;
        let part = self.part(territory);
        let parents = |level: Level| territory.parents.iter().filter(move |p| p.level == level);
        if part == Some("com") && matches!(level, Level::Com | Level::Dep | Level::Reg) {
            remarks.push(text!(
                "Collectivité d'outre-mer : ni département ni région au sens commun, et sans EPCI. Le COG lui donne un code à ces deux niveaux.",
                "Overseas collectivity: neither département nor région in the common sense, and without EPCI. The COG gives it a code at both levels."
            ));
        } else if level == Level::Com && parents(Level::Epci).next().is_none() {
            remarks.push(text!(
                "Cette commune n'est membre d'aucun EPCI à fiscalité propre : la loi en dispense quelques îles.",
                "This commune is a member of no EPCI: the law exempts a few islands."
            ));
        }
        if level == Level::Com && !self.members(&territory.code).is_empty() {
            let arm = self.members(&territory.code).iter().any(|m| m.level == Level::Arm);
            if arm {
                remarks.push(text!(
                    "Commune à arrondissements municipaux : leurs codes ne sont pas ceux de communes ; demandés comme tels, c'est elle qui répond.",
                    "A commune with municipal arrondissements: their codes are not those of communes; asked for as such, it is the one that answers."
                ));
            }
        }
        if level == Level::Epci {
            let list = |level: Level| {
                let codes: Vec<String> = parents(level).map(|p| p.code.to_string()).collect();
                (codes.len(), codes.join(", "))
            };
            let ((deps, dep_list), (regs, reg_list)) = (list(Level::Dep), list(Level::Reg));
            if regs > 1 {
                remarks.push(text!(
                    "À cheval sur {deps} départements ({dep_list}) et {regs} régions ({reg_list}) : il concerne chacun d'eux.",
                    "Across {deps} départements ({dep_list}) and {regs} régions ({reg_list}): it concerns each of them."
                ));
            } else if deps > 1 {
                remarks.push(text!(
                    "À cheval sur {deps} départements ({dep_list}) : il concerne chacun d'eux.",
                    "Across {deps} départements ({dep_list}): it concerns each of them."
                ));
            }
        }
        remarks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> (Option<&'static str>, Vec<String>) {
        let reference = Reference::builtin();
        let code = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
        let territory = reference.get(&code).unwrap_or_else(|| panic!("{text}"));
        let remarks = reference.remarks(&territory).into_iter().map(|t| t.fr);
        (reference.nature(&territory), remarks.collect())
    }

    #[test]
    fn exceptions_are_told() {
        for (code, nature, said) in [
            ("com:59350", Some("commune"), None),
            ("com:85113", Some("commune"), Some("aucun EPCI")),
            ("com:75056", Some("commune"), Some("arrondissements municipaux")),
            ("com:98818", Some("commune d'une collectivité d'outre-mer"), Some("ni département")),
            ("dep:59", Some("département"), None),
            ("dep:974", Some("département d'outre-mer"), None),
            ("dep:988", Some("collectivité d'outre-mer"), Some("ni département")),
            ("reg:04", Some("région d'outre-mer"), None),
            ("epci:245900758", Some("communauté de communes"), Some("2 départements (59, 62)")),
            ("epci:200093201", Some("métropole"), None),
            ("ept:200057867", Some("établissement public territorial"), None),
            ("arr:595", Some("arrondissement"), None),
            ("arm:75101", None, None),
        ] {
            let (kind, remarks) = of(code);
            assert_eq!(kind, nature, "{code}");
            match said {
                None => assert!(remarks.is_empty(), "{code}: {remarks:?}"),
                Some(words) => assert!(remarks.iter().any(|r| r.contains(words)), "{remarks:?}"),
            }
        }
    }

    #[test]
    fn what_lies_across_is_remarked_as_often_as_it_is() {
        let reference = Reference::builtin();
        let units = reference.units(Level::Epci);
        let across = |words: &str| {
            let told = |unit: &&crate::territory::Unit| {
                of(&unit.code.to_string()).1.iter().any(|r| r.contains(words))
            };
            units.list.iter().filter(told).count()
        };
        assert_eq!((across("départements ("), across("régions (")), (89, 26));
    }
}
