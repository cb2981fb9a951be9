//! Territories asked for: the scope of a path (`/t/{scope}/`) and the `territory` parameter,
//! understood by the reference and turned into selections, which are kept: the key space is small
//! and a map asks for the same one at every tile.

use crate::{
    error::{Error, Result},
    model::{Mode, Perimeter, Selection, TerritoryCode},
    territory::{AsOf, Reference, Resolved},
    text,
};
use rustc_hash::FxHashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Most territories in one request (DESIGN §2).
pub const MAX_TERRITORIES: usize = 20;
/// Selections kept; beyond, the table is emptied and fills again.
const KEPT: usize = 4096;

/// Territories as a client asked for them, understood.
#[derive(Debug)]
pub struct Scope {
    /// As written: what links within the scope repeat. Holds only `[0-9A-Za-z+,:@-]`.
    pub written: String,
    /// The year whose territories these are, when that is not today.
    pub vintage: Option<u16>,
    /// What was understood of each territory.
    pub resolved: Vec<Resolved>,
    /// How features are bound to them.
    pub mode: Mode,
    /// The perimeter to cut at, when features are to be cut; the mode is then `concerns`.
    pub clip: Option<Arc<Perimeter>>,
    /// The filter.
    pub selection: Arc<Selection>,
    /// `Socle-Territory-Notice`: how codes that are no longer current were understood, as
    /// `59355 -> com:59350`, comma-separated, ASCII; `None` when all were taken as written.
    pub notice: Option<String>,
}

impl Scope {
    /// Whether a code was an old one: pages redirect to the scope of today.
    pub fn is_carried(&self) -> bool {
        self.resolved.iter().any(|r| r.carried_from.is_some())
    }

    /// The path segment that says the same with today's codes.
    pub fn canonical(&self) -> String {
        let units: Vec<String> = self.resolved.iter().map(|r| r.code.path()).collect();
        let suffix = match (self.mode, &self.clip) {
            (_, Some(_)) => "-clip",
            (Mode::Within, None) => "-within",
            (Mode::Concerns, None) => "",
        };
        let year = self.vintage.map(|year| format!("@{year}")).unwrap_or_default();
        format!("{}{year}{suffix}", units.join("+"))
    }
}

/// Selections by the text that asked for them.
#[derive(Default)]
pub struct Scopes(RwLock<(String, Arc<Kept>)>);

/// Those understood by one reference.
#[derive(Default)]
struct Kept {
    kept: RwLock<FxHashMap<String, Arc<Scope>>>,
    met: RwLock<FxHashMap<(String, String), Arc<Selection>>>,
}

impl Scopes {
    /// What was understood by a reference; what another one made of the same words is forgotten.
    fn by(&self, reference: &Reference) -> Arc<Kept> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if held.0 == reference.id() {
            return held.1.clone();
        }
        drop(held);
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if held.0 != reference.id() {
            *held = (reference.id().to_owned(), Arc::default());
        }
        held.1.clone()
    }

    /// A path segment after `/t/`: `unit{+unit}[@year][-within|-clip]`.
    pub fn path(&self, reference: &Arc<Reference>, segment: &str) -> Result<Arc<Scope>> {
        let tables = self.by(reference);
        if let Some(kept) = read(&tables.kept, segment) {
            return Ok(kept);
        }
        let Segment { units, vintage, mode } = Segment::read(segment)?;
        let units = units.split('+');
        let scope = match vintage {
            None => understand(reference, segment, units, mode)?,
            Some(vintage) => understand_as_of(reference, segment, units, mode, vintage)?,
        };
        Ok(keep(&tables.kept, segment.to_owned(), scope))
    }

    /// The `territory`, `territory-mode` and `vintage` parameters.
    pub fn parameter(
        &self,
        reference: &Arc<Reference>,
        value: &str,
        mode: Asked,
        vintage: Option<u16>,
    ) -> Result<Arc<Scope>> {
        let key = format!("{mode:?}{vintage:?}?{value}");
        let tables = self.by(reference);
        if let Some(kept) = read(&tables.kept, &key) {
            return Ok(kept);
        }
        let units = value.split(',').map(str::trim);
        let scope = match vintage {
            None => understand(reference, value, units, mode)?,
            Some(vintage) => understand_as_of(reference, value, units, mode, vintage)?,
        };
        Ok(keep(&tables.kept, key, scope))
    }

    /// A territory asked for inside a scope: they meet as sets of communes (DESIGN §4).
    pub fn meet(&self, reference: &Reference, scope: &Scope, inner: &Scope) -> Arc<Selection> {
        let key = (scope.selection.key.clone(), inner.selection.key.clone());
        let tables = self.by(reference);
        if let Some(kept) = read(&tables.met, &key) {
            return kept;
        }
        let met = reference.intersect(&scope.selection, &inner.selection);
        keep(&tables.met, key, met)
    }
}

fn read<K, Q, V>(table: &RwLock<FxHashMap<K, Arc<V>>>, key: &Q) -> Option<Arc<V>>
where
    K: std::borrow::Borrow<Q> + std::hash::Hash + Eq,
    Q: std::hash::Hash + Eq + ?Sized,
{
    table.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
}

fn keep<K: std::hash::Hash + Eq, V>(
    table: &RwLock<FxHashMap<K, Arc<V>>>,
    key: K,
    value: V,
) -> Arc<V> {
    let value = Arc::new(value);
    let mut table = table.write().unwrap_or_else(PoisonError::into_inner);
    if table.len() >= KEPT {
        table.clear();
    }
    table.insert(key, value.clone());
    value
}

/// A scope's path segment, taken apart.
struct Segment<'a> {
    units: &'a str,
    vintage: Option<u16>,
    mode: Asked,
}

impl<'a> Segment<'a> {
    fn read(segment: &'a str) -> Result<Self> {
        let (rest, mode) = if let Some(rest) = segment.strip_suffix("-within") {
            (rest, Asked::Within)
        } else if let Some(rest) = segment.strip_suffix("-clip") {
            (rest, Asked::Clip)
        } else {
            (segment, Asked::Concerns)
        };
        let Some((units, year)) = rest.split_once('@') else {
            return Ok(Self { units: rest, vintage: None, mode });
        };
        match year.parse() {
            Ok(vintage) if year.len() == 4 && year.bytes().all(|b| b.is_ascii_digit()) => {
                Ok(Self { units, vintage: Some(vintage), mode })
            }
            _ => {
                let shown: String = year.chars().take(40).collect();
                Err(Error::Invalid(text!(
                    "Millésime illisible : « @{shown} ». Attendu : une année après les territoires, par exemple /t/epci-200012060@2019/.",
                    "Unreadable vintage: \"@{shown}\". Expected: a year after the territories, for example /t/epci-200012060@2019/."
                )))
            }
        }
    }
}

/// The segment of the same territories as they were in a year; `None` when it names one already.
pub fn as_of(segment: &str, vintage: u16) -> Option<String> {
    let Segment { units, vintage: None, mode } = Segment::read(segment).ok()? else { return None };
    let suffix = match mode {
        Asked::Concerns => "",
        Asked::Within => "-within",
        Asked::Clip => "-clip",
    };
    Some(format!("{units}@{vintage}{suffix}"))
}

/// Checks number and letters before anything is looked up or repeated.
fn check<'a>(units: impl Iterator<Item = &'a str> + Clone) -> Result<()> {
    if units.clone().count() > MAX_TERRITORIES {
        return Err(Error::Invalid(text!(
            "Trop de territoires : {MAX_TERRITORIES} au plus.",
            "Too many territories: {MAX_TERRITORIES} at most."
        )));
    }
    for unit in units {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b':';
        if unit.is_empty() || unit.len() > 40 || !unit.bytes().all(plain) {
            let shown: String = unit.chars().take(60).collect();
            return Err(Error::Invalid(text!(
                "Territoire illisible : « {shown} ». Attendu : niveau-code, par exemple dep-59, epci-200093201 ou fr.",
                "Unreadable territory: \"{shown}\". Expected: level-code, for example dep-59, epci-200093201 or fr."
            )));
        }
    }
    Ok(())
}

fn understand<'a>(
    reference: &Reference,
    written: &str,
    units: impl Iterator<Item = &'a str> + Clone,
    asked: Asked,
) -> Result<Scope> {
    check(units.clone())?;
    let resolved = units.clone().map(|unit| reference.resolve(unit)).collect::<Result<Vec<_>>>()?;
    let codes: Vec<TerritoryCode> = resolved.iter().map(|r| r.code.clone()).collect();
    let mode = if asked == Asked::Within { Mode::Within } else { Mode::Concerns };
    let selection = Arc::new(reference.select(&codes, mode)?);
    let clip = match asked {
        Asked::Clip => Some(Arc::new(reference.perimeter(&codes)?)),
        _ => None,
    };
    let notice = notice(units, &resolved);
    let (written, vintage) = (written.to_owned(), None);
    Ok(Scope { written, vintage, resolved, mode, clip, selection, notice })
}

/// Territories as they were in a year.
fn understand_as_of<'a>(
    reference: &Arc<Reference>,
    written: &str,
    units: impl Iterator<Item = &'a str> + Clone,
    asked: Asked,
    vintage: u16,
) -> Result<Scope> {
    check(units.clone())?;
    let past: Vec<AsOf> = units.map(|u| reference.as_of(u, vintage)).collect::<Result<_>>()?;
    let mode = if asked == Asked::Within { Mode::Within } else { Mode::Concerns };
    let selection = Arc::new(reference.select_as_of(&past, mode)?);
    let clip = match asked {
        Asked::Clip => Some(Arc::new(reference.perimeter_as_of(&past)?)),
        _ => None,
    };
    let told: Vec<String> = past.iter().map(|unit| reference.told(unit)).collect();
    let resolved = past.into_iter().map(|unit| unit.code.into()).collect();
    let (written, notice) = (written.to_owned(), Some(told.join(", ")));
    Ok(Scope { written, vintage: Some(vintage), resolved, mode, clip, selection, notice })
}

fn notice<'a>(written: impl Iterator<Item = &'a str>, resolved: &[Resolved]) -> Option<String> {
    let notices: Vec<String> = written
        .zip(resolved)
        .filter(|(_, r)| r.notice.is_some() || r.carried_from.is_some())
        .map(|(written, r)| format!("{written} -> {}", r.code))
        .collect();
    (!notices.is_empty()).then(|| notices.join(", "))
}

/// How features are bound to territories, as asked: a mode, or a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Those that concern them.
    Concerns,
    /// Those that are inside of them.
    Within,
    /// Those that concern them, cut at their border.
    Clip,
}

/// Reads `territory-mode`.
pub fn mode(value: Option<&str>) -> Result<Asked> {
    match value {
        None | Some("concerns") => Ok(Asked::Concerns),
        Some("within") => Ok(Asked::Within),
        Some("clip") => Ok(Asked::Clip),
        Some(other) => {
            let shown: String = other.chars().take(40).collect();
            Err(Error::Invalid(text!(
                "Paramètre « territory-mode » : « {shown} ». Valeurs possibles : concerns, within, clip.",
                "Parameter \"territory-mode\": \"{shown}\". Possible values: concerns, within, clip."
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_scopes_are_refused_before_any_look_up() {
        let (scopes, reference) = (Scopes::default(), Reference::builtin());
        let many = vec!["dep-59"; 21].join("+");
        for bad in
            ["", "dep-59+", "+", "dep_59", "dép-59", "dep-59\"", "dep-<x>", &many, &"a".repeat(50)]
                .into_iter()
                .chain([
                    "dep-59@",
                    "dep-59@19",
                    "dep-59@+999",
                    "dep-59@2019@2020",
                    "@2019",
                    "dep-59@9999",
                ])
        {
            let refused = scopes.path(&reference, bad);
            assert!(matches!(refused, Err(Error::Invalid(_))), "{bad}");
        }
    }

    #[test]
    fn territories_of_a_year_are_a_scope_whose_links_say_the_year() {
        let (scopes, reference) = (Scopes::default(), Reference::builtin());
        let gone = scopes.path(&reference, "epci-200012060");
        assert!(matches!(gone, Err(Error::Gone { .. })));
        let path = scopes.path(&reference, "epci-200012060@2019-within").unwrap();
        let asked = scopes.parameter(&reference, "epci:200012060", Asked::Within, Some(2019));
        assert_eq!(path.selection, asked.unwrap().selection);
        assert_eq!(path.canonical(), "epci-200012060@2019-within");
        assert_eq!(path.notice.as_deref(), Some("epci:200012060@2019 -> 23 communes"));
        assert!(!path.is_carried());
        let cut = scopes.path(&reference, "epci-200012060@2019-clip").unwrap();
        assert_eq!(cut.clip.as_ref().map(|p| p.key.as_str()), Some("epci:200012060@2019"));
        assert!(matches!(scopes.path(&reference, "epci-200012060@2020"), Err(Error::Gone { .. })));
        assert_eq!(as_of("qpv-QP059001-clip", 2023).as_deref(), Some("qpv-QP059001@2023-clip"));
        assert_eq!(as_of("epci-200012060@2019", 2018), None);
    }

    #[test]
    fn a_cut_is_a_selection_with_a_perimeter() {
        let (scopes, reference) = (Scopes::default(), Reference::builtin());
        let clip = scopes.path(&reference, "dep-62+dep-59-clip").unwrap();
        let plain = scopes.path(&reference, "dep-59+dep-62").unwrap();
        assert_eq!(clip.selection, plain.selection);
        assert_eq!(clip.clip.as_ref().map(|p| p.key.as_str()), Some("dep:59+dep:62"));
        assert_eq!(plain.clip, None);
        assert_eq!(clip.canonical(), "dep-62+dep-59-clip");
        assert_eq!(mode(Some("clip")).unwrap(), Asked::Clip);
        assert!(matches!(mode(Some("cut")), Err(Error::Invalid(_))));
        assert_eq!(mode(Some("within")).unwrap(), Asked::Within);
    }
}
