//! Which territory a text means (DESIGN §2 and §4): `dep:59`, `dep-59`, `fr`, or a bare code.

use super::{Carry, Reference, as_of::last_of};
use crate::{
    error::{Error, Result},
    model::{Lang, Level, TerritoryCode, TerritoryError, Text},
    text,
};

/// A territory as a user wrote it, understood.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The territory meant today.
    pub code: TerritoryCode,
    /// What was done to get there (an old code carried; an associée's commune taken), for the
    /// response header and pages.
    pub notice: Option<Text>,
    /// The code written, when it was an old one that was carried (HTML redirects). A commune
    /// associée or déléguée still exists: it has a notice and `see_also` instead.
    pub carried_from: Option<String>,
    /// Related territory to link to (the `arm`, `coma` or `comd` of that code).
    pub see_also: Option<TerritoryCode>,
}

impl From<TerritoryCode> for Resolved {
    fn from(code: TerritoryCode) -> Self {
        Self { code, notice: None, carried_from: None, see_also: None }
    }
}

impl From<TerritoryError> for Error {
    fn from(error: TerritoryError) -> Self {
        Self::Invalid(error.text())
    }
}

impl Reference {
    /// Understands one territory as written in `territory=`: `dep:59`, `dep-59`, `fr`,
    /// `fr:metro`, a bare 5-character or 9-digit code. Codes of levels that the COG does not list
    /// (canton, qpv) are taken as they are.
    ///
    /// # Errors
    /// [`Error::Invalid`], naming what was written and what it may have meant.
    pub fn resolve(&self, text: &str) -> Result<Resolved> {
        let text = text.trim();
        if text == Level::Fr.id() || text.contains([':', '-']) {
            let code = text.parse::<TerritoryCode>().map_err(|error| {
                let code = text.split_once([':', '-']).map_or(text, |(_, code)| code);
                self.with_candidates(error.text(), self.candidates(code, text))
            })?;
            return self.known(code);
        }
        let code = |level| TerritoryCode::new(level, text).ok();
        match text.len() {
            5 => {
                let arm = code(Level::Arm).filter(|arm| self.lists(arm));
                match (arm, code(Level::Com)) {
                    (Some(arm), _) => return Ok(arm.into()),
                    (None, Some(com)) => return self.known(com),
                    _ => {}
                }
            }
            9 => {
                let of = |level| code(level).filter(|code| self.lists(code));
                if let Some(group) = of(Level::Epci).or_else(|| of(Level::Ept)) {
                    return Ok(group.into());
                }
                if let Some(group) = code(Level::Epci) {
                    return Err(self.unknown(&group));
                }
            }
            _ => {}
        }
        let error = TerritoryError::form(text);
        Err(self.with_candidates(error.text(), self.candidates(text, text)))
    }

    /// A well-formed code, as the territory of today.
    fn known(&self, code: TerritoryCode) -> Result<Resolved> {
        match code.level {
            Level::Com => self.commune_today(code),
            Level::Qpv if last_of(&code).is_some() => Err(self.unknown(&code)),
            _ => self.check_listed(&code).map(|()| code.into()),
        }
    }

    fn commune_today(&self, code: TerritoryCode) -> Result<Resolved> {
        let written = code.code.as_str();
        let today = match self.carry(written) {
            Carry::Current(_) => return Ok(code.into()),
            Carry::Carried(rank) => Some(rank),
            Carry::Shared(ranks) => return Err(self.shared_out(&code, &ranks)),
            Carry::Unknown => None,
        };
        for level in [Level::Arm, Level::Comd, Level::Coma] {
            let Some(unit) = self.table.unit(level, written) else { continue };
            let parent = self.table.parent(unit).and_then(|rank| self.commune(rank));
            let (Some(commune), Some(part)) = (parent, self.table.code(unit)) else { continue };
            let name = self.table.names.get(unit);
            let (fr, en) = (level.label(Lang::Fr), level.label(Lang::En));
            let whole = self.label(&commune);
            return Ok(Resolved {
                notice: Some(text!(
                    "{written} est le code de {name} ({fr}) : sa commune, {whole}, a été prise. \
                     Pour {name} seulement : {part}.",
                    "{written} is the code of {name} ({en}): its commune, {whole}, was taken. \
                     For {name} only: {part}."
                )),
                code: commune,
                carried_from: None,
                see_also: Some(part),
            });
        }
        let Some(commune) = today.and_then(|rank| self.commune(rank)) else {
            return Err(self.unknown(&code));
        };
        let (whole, vintage) = (self.label(&commune), self.vintage());
        Ok(Resolved {
            notice: Some(text!(
                "L'ancien code de commune {written} a été porté sur {whole} (COG {vintage}).",
                "The old commune code {written} was carried to {whole} (COG {vintage})."
            )),
            code: commune,
            carried_from: Some(written.to_owned()),
            see_also: None,
        })
    }

    /// The refusal of a commune that was shared out: no one of its heirs is it.
    fn shared_out(&self, code: &TerritoryCode, ranks: &[u32]) -> Error {
        let text = text!(
            "« {code} » : cette ancienne commune a été partagée entre plusieurs ; demandez celle que vous voulez.",
            "\"{code}\": this old commune was shared out between several; ask for the one you want."
        );
        let heirs = ranks.iter().filter_map(|rank| self.commune(*rank)).collect();
        self.with_candidates(text, heirs)
    }

    /// Whether the COG lists this territory.
    fn lists(&self, code: &TerritoryCode) -> bool {
        match code.level {
            Level::Fr => true,
            Level::Own(_) => self.own_unit(code).is_some(),
            level => self.table.unit(level, code.code.as_str()).is_some(),
        }
    }

    /// Whether the reference lists the territories of a level; else a layer does.
    pub fn lists_level(&self, level: Level) -> bool {
        match level {
            Level::Own(_) => self.own(level).is_some(),
            level => !matches!(level, Level::Canton | Level::Qpv),
        }
    }

    /// Refuses a territory that the COG would list if it existed.
    pub(super) fn check_listed(&self, code: &TerritoryCode) -> Result<()> {
        let known = !self.lists_level(code.level) || self.lists(code);
        if known { Ok(()) } else { Err(self.unknown(code)) }
    }

    /// The refusal of a well-formed code that is no territory's.
    pub(super) fn unknown(&self, code: &TerritoryCode) -> Error {
        if let Some(gone) = self.gone(code) {
            return gone;
        }
        let (fr, en) = (code.level.label(Lang::Fr), code.level.label(Lang::En));
        let vintage = self.vintage();
        let text = match code.level {
            Level::Own(_) => text!(
                "« {code} » : la table de ce niveau ({fr}) ne connaît pas ce territoire.",
                "\"{code}\": the table of this level ({en}) does not know this territory."
            ),
            _ => text!(
                "« {code} » : le COG {vintage} ne connaît pas ce territoire ({fr}).",
                "\"{code}\": the COG {vintage} does not know this territory ({en})."
            ),
        };
        let written = code.code.as_str();
        self.with_candidates(text, self.candidates(written, written))
    }

    /// `com:59350 (Lille, 59)`.
    pub(super) fn label(&self, code: &TerritoryCode) -> String {
        match self.get(code) {
            Some(territory) => match &territory.department {
                Some(department) => {
                    format!("{code} ({}, {})", territory.name, department.code.code)
                }
                None => format!("{code} ({})", territory.name),
            },
            None => code.to_string(),
        }
    }

    /// What may have been meant: the territories of that code at any level, else the commune that
    /// an old code belongs to now, else those that the whole text is the name of.
    fn candidates(&self, code: &str, text: &str) -> Vec<TerritoryCode> {
        // Beyond this length it is neither a code nor a name.
        if text.len() > 100 {
            return Vec::new();
        }
        let upper = code.to_ascii_uppercase();
        let own = self.own.iter().filter_map(|own| TerritoryCode::new(own.level, code).ok());
        let mut found: Vec<TerritoryCode> = Level::ALL
            .into_iter()
            .filter(|_| !upper.is_empty())
            .filter_map(|level| TerritoryCode::new(level, &upper).ok())
            .chain(own)
            .filter(|code| matches!(code.level, Level::Canton | Level::Qpv) || self.lists(code))
            .collect();
        if let (true, Carry::Carried(rank)) = (found.is_empty(), self.carry(&upper)) {
            found.extend(self.commune(rank));
        }
        if found.is_empty() {
            let part = TerritoryCode::new(Level::Fr, &code.to_ascii_lowercase()).ok();
            found.extend(part.filter(|part| !part.code.is_empty()));
        }
        if found.is_empty() && text.chars().any(char::is_alphabetic) {
            found.extend(self.search(text, None, 3).into_iter().map(|found| found.code));
        }
        found
    }

    fn with_candidates(&self, text: Text, candidates: Vec<TerritoryCode>) -> Error {
        if candidates.is_empty() {
            return Error::Invalid(text);
        }
        let named: Vec<String> = candidates.iter().map(|code| self.label(code)).collect();
        let (Text { fr, en }, named) = (text, named.join(", "));
        Error::Invalid(text!("{fr} Candidats : {named}.", "{en} Candidates: {named}."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn resolved(text: &str) -> Resolved {
        Reference::builtin().resolve(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    fn refused(text: &str) -> Text {
        match Reference::builtin().resolve(text) {
            Err(Error::Invalid(text)) => text,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn what_is_written_plainly_has_no_notice() {
        for (text, code) in [
            ("dep:59", "dep:59"),
            ("dep-59", "dep:59"),
            (" reg:32 ", "reg:32"),
            ("fr", "fr"),
            ("fr-metro", "fr:metro"),
            ("59350", "com:59350"),
            ("2A004", "com:2A004"),
            ("75101", "arm:75101"),
            ("200093201", "epci:200093201"),
            ("200057867", "ept:200057867"),
            ("arr:9741", "arr:9741"),
            ("coma:59355", "coma:59355"),
            ("comd:93066", "comd:93066"),
            ("canton:5901", "canton:5901"),
            ("qpv:QN05901M", "qpv:QN05901M"),
            // These two exist in both vintages: what changed is their territory.
            ("com:14712", "com:14712"),
            ("com:85084", "com:85084"),
        ] {
            let found = resolved(text);
            assert_eq!(found.code.to_string(), code);
            assert!(found.notice.is_none() && found.carried_from.is_none(), "{found:?}");
            assert!(found.see_also.is_none(), "{found:?}");
        }
    }

    #[test]
    fn part_of_a_commune_asked_for_as_a_commune_gives_the_commune_and_says_so() {
        for (text, commune, part) in [
            ("com:59355", "com:59350", "coma:59355"),
            ("59355", "com:59350", "coma:59355"),
            ("com:75101", "com:75056", "arm:75101"),
            ("com-69389", "com:69123", "arm:69389"),
            ("com:55273", "com:55386", "coma:55273"),
            ("com:60455", "com:60694", "comd:60455"),
        ] {
            let found = resolved(text);
            assert_eq!(found.code.to_string(), commune);
            assert_eq!(found.see_also.map(|code| code.to_string()).as_deref(), Some(part));
            assert_eq!(found.carried_from, None);
            let notice = found.notice.unwrap();
            assert!(notice.fr.contains(commune) && notice.en.contains(part), "{notice}");
        }
    }

    #[test]
    fn old_codes_are_carried() {
        let reference = Reference::builtin();
        let gone = reference.table.old.iter().map(|(code, _)| code);
        let gone: Vec<String> = gone
            .filter(|code| !reference.table.shared.contains_key(*code))
            .map(|code| String::from_utf8_lossy(code).trim_end_matches('\0').to_owned())
            .filter(|code| {
                [Level::Comd, Level::Coma]
                    .iter()
                    .all(|level| reference.table.unit(*level, code).is_none())
            })
            .collect();
        assert!(gone.len() > 2_000);
        for code in gone {
            for text in [format!("com:{code}"), code.clone()] {
                let found = resolved(&text);
                assert_eq!(found.carried_from.as_deref(), Some(code.as_str()));
                assert!(found.notice.is_some_and(|notice| notice.fr.contains(&code)));
                assert_eq!(found.code.level, Level::Com);
            }
        }
    }

    #[test]
    fn refusals_name_what_was_written_and_what_it_may_mean() {
        for (text, named) in [
            ("59", "dep:59 (Nord)"),
            ("84", "reg:84 (Auvergne-Rhône-Alpes)"),
            ("5901", "canton:5901"),
            ("QN05901M", "qpv:QN05901M"),
            ("metro", "fr:metro"),
            ("lille", "com:59350 (Lille, 59)"),
            ("saint-denis", "com:93066 (Saint-Denis, 93)"),
            ("2a004", "com:2A004 (Ajaccio, 2A)"),
            ("dep:2a", "dep:2A"),
            ("epci:200057867", "ept:200057867 (Plaine Commune, 93)"),
            ("dep:75056", "com:75056 (Paris, 75)"),
            ("comd:59350", "com:59350"),
            ("com:59999", "com:59999"),
            // Shared out: neither heir is it.
            ("08227", "com:08203 (Guignicourt-sur-Vence, 08), com:08454"),
            ("123456789", "123456789"),
            ("arm:59350", "75101"),
            ("pays:fr", "com, epci, ept"),
            ("", "dep:59"),
        ] {
            let refusal = refused(text);
            assert!(refusal.fr.contains(named), "{text}: {refusal}");
            assert!(refusal.en.contains(text.split(':').next_back().unwrap()), "{}", refusal.en);
        }
        assert!(refused(&"é".repeat(50_000)).fr.len() < 400);
        assert!(!refused("a\r\nb: 1").fr.contains(['\r', '\n']));
    }

    proptest! {
        #[test]
        fn any_text_is_resolved_or_refused(text in r"\PC{0,40}") {
            if let Ok(found) = Reference::builtin().resolve(&text) {
                let again = resolved(&found.code.to_string());
                prop_assert_eq!(again.code, found.code);
                prop_assert!(again.notice.is_none());
            }
        }
    }
}
