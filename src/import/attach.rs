//! Attaches features to territories (DESIGN §4): by their code column first, else by location.
//! All attachments of a version make its reach index.

use super::borders::{Border, Borders, Loaded};
use crate::{
    error::{Error, Result},
    geometry::overlap::{NoiseRule, Overlap},
    model::{
        Carried, Code, Feature, LayerDef, Level, Report, Schema, TerritoryCode, Value, Version,
        live::reach_name, progress::Progress, report::MAX_LISTED,
    },
    store::Reach,
    territory::{Carry, Reference},
    text,
};
use geo_types::Geometry;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
};

/// Features attached before progress is told.
const STEP: usize = 2048;

/// Knows how one layer's features find their territories.
pub(super) struct Attacher<'a> {
    reference: &'a Reference,
    /// Level and field of each code column.
    columns: Vec<(Level, usize)>,
    /// Borders to ask, when the layer may be attached by location.
    borders: Vec<&'a Border>,
    loaded: Vec<OnceLock<Arc<Loaded>>>,
    noise: NoiseRule,
}

/// What one feature offers: its codes by column of [`Attacher::columns`], its geometry.
pub(super) struct Subject<'a> {
    pub(super) codes: Vec<Option<Cow<'a, str>>>,
    pub(super) geometry: Option<&'a Geometry<f64>>,
}

/// What became of one feature.
#[derive(Debug, Default)]
pub(super) struct Attachment {
    /// Commune ranks, ascending.
    communes: Vec<u32>,
    /// Territories of other levels.
    others: Vec<TerritoryCode>,
    /// Old codes carried: from, to (rank).
    carried: Vec<(String, u32)>,
    /// Codes that name nothing.
    unknown: Vec<String>,
    /// Codes that had lost their leading zero.
    padded: bool,
    /// Whether a code was that of a municipal arrondissement.
    municipal: bool,
    /// Whether location decided the communes.
    located: bool,
    /// Overlaps discarded as border noise.
    discarded: Vec<(Overlap, TerritoryCode)>,
}

impl<'a> Attacher<'a> {
    pub(super) fn new(
        def: &'a LayerDef,
        schema: &Schema,
        reference: &'a Reference,
        borders: &'a Borders,
    ) -> Result<Self> {
        let mut columns = Vec::new();
        for column in &def.territory.columns {
            let Some(field) = schema.index(&column.column) else {
                let name = &column.column;
                let known: Vec<&str> = schema.fields.iter().map(|f| f.name.as_str()).collect();
                let known = known.join(", ");
                return Err(Error::Refused(text!(
                    "La colonne de rattachement « {name} » n'est pas dans la source. Colonnes : {known}.",
                    "The territory column \"{name}\" is not in the source. Columns: {known}."
                )));
            };
            columns.push((column.level, field));
        }
        let borders: Vec<&Border> = match def.territory.by_location {
            true => borders.serving(&def.id).collect(),
            false => Vec::new(),
        };
        let loaded = borders.iter().map(|_| OnceLock::new()).collect();
        Ok(Self { reference, columns, borders, loaded, noise: NoiseRule::default() })
    }

    /// The name of the reach index: a hash of all it is made from.
    pub(super) fn reach_id(&self, version: &Version) -> String {
        let of = match &version.live {
            None => version.id.to_string(),
            // The revision is a part of the name of its own: tiles that a revision did not touch
            // stay what they are.
            Some(live) => live.form.clone(),
        };
        let mut parts = vec![of, self.reference.id().to_owned()];
        parts.extend(self.borders.iter().map(|b| b.key()));
        let id = super::hex(&Sha256::digest(parts.join("\n")), 8);
        match &version.live {
            None => id,
            Some(live) => reach_name(&id, live.revision),
        }
    }

    /// Fields of the code columns, for whoever builds subjects.
    pub(super) fn fields(&self) -> Vec<usize> {
        self.columns.iter().map(|(_, field)| *field).collect()
    }

    /// Attaches all features of a new version.
    pub(super) fn attach_all(
        &self,
        features: &[Feature],
        report: &mut Report,
        progress: &dyn Progress,
    ) -> Result<Reach> {
        let mut all = Vec::with_capacity(features.len());
        for chunk in features.chunks(STEP) {
            let attached: Result<Vec<Attachment>> =
                chunk.par_iter().map(|f| self.attach(&self.subject(f))).collect();
            all.extend(attached?);
            progress.advance(all.len() as u64);
        }
        self.tell(&all, features, report);
        Ok(self.gather(all))
    }

    fn subject<'f>(&self, feature: &'f Feature) -> Subject<'f> {
        let code = |field: usize| feature.values.get(field).and_then(Value::as_code);
        let codes = self.columns.iter().map(|(_, field)| code(*field)).collect();
        Subject { codes, geometry: feature.geometry.as_ref() }
    }

    /// One feature: communes by the first column that gives any, else by location; other levels
    /// by their own column, else by location, never through the commune.
    pub(super) fn attach(&self, subject: &Subject<'_>) -> Result<Attachment> {
        let mut a = Attachment::default();
        let mut by_code: BTreeSet<Level> = BTreeSet::new();
        for ((level, _), code) in self.columns.iter().zip(&subject.codes) {
            let Some(code) = code else { continue };
            if level.is_communal() {
                if a.communes.is_empty() {
                    self.by_communal_code(*level, code, &mut a);
                }
            } else {
                for part in split(code) {
                    match Code::new(*level, part) {
                        Ok(code) => {
                            a.others.push(TerritoryCode { level: *level, code });
                            by_code.insert(*level);
                        }
                        Err(_) => a.unknown.push(part.to_owned()),
                    }
                }
            }
        }
        if let Some(geometry) = subject.geometry {
            for (i, border) in self.borders.iter().enumerate() {
                let wanted = match border.level {
                    Level::Com => a.communes.is_empty(),
                    level => !by_code.contains(&level),
                };
                if wanted {
                    self.by_location(i, border, geometry, &mut a)?;
                }
            }
        }
        a.communes.sort_unstable();
        a.communes.dedup();
        a.others.sort();
        a.others.dedup();
        Ok(a)
    }

    fn by_communal_code(&self, level: Level, text: &str, a: &mut Attachment) {
        for part in split(text) {
            if level == Level::Com {
                let mut carry = self.reference.carry(part);
                let digits = part.len() == 4 && part.bytes().all(|b| b.is_ascii_digit());
                if carry == Carry::Unknown && digits {
                    carry = self.reference.carry(&format!("0{part}"));
                    a.padded |= carry != Carry::Unknown;
                }
                match carry {
                    Carry::Current(rank) => a.communes.push(rank),
                    Carry::Carried(rank) => {
                        a.communes.push(rank);
                        a.carried.push((part.to_owned(), rank));
                    }
                    Carry::Unknown => match self.municipal(part) {
                        Some((arm, rank)) => {
                            a.communes.push(rank);
                            a.others.push(arm);
                            a.municipal = true;
                        }
                        None => a.unknown.push(part.to_owned()),
                    },
                }
            } else {
                let code = Code::new(level, part).ok().map(|code| TerritoryCode { level, code });
                match code.and_then(|c| self.reference.communes(&c)) {
                    Some(set) => a.communes.extend(set.iter()),
                    None => a.unknown.push(part.to_owned()),
                }
            }
        }
    }

    /// A municipal arrondissement (75101) where a commune's code is expected, and the rank of
    /// its commune: columns of Paris, Lyon and Marseille hold these as often as the commune's.
    fn municipal(&self, text: &str) -> Option<(TerritoryCode, u32)> {
        let arm = TerritoryCode { level: Level::Arm, code: Code::new(Level::Arm, text).ok()? };
        let parents = self.reference.get(&arm)?.parents;
        let commune = parents.iter().find(|p| p.level == Level::Com)?;
        match self.reference.carry(commune.code.as_str()) {
            Carry::Current(rank) => Some((arm, rank)),
            _ => None,
        }
    }

    fn by_location(
        &self,
        index: usize,
        border: &Border,
        geometry: &Geometry<f64>,
        a: &mut Attachment,
    ) -> Result<()> {
        let loaded = match self.loaded[index].get() {
            Some(loaded) => loaded,
            None => {
                let loaded = border.load(self.reference)?;
                self.loaded[index].get_or_init(|| loaded)
            }
        };
        let found = loaded.index.attach(geometry, &self.noise);
        let code = |payload: u32| match border.level {
            Level::Com => self.reference.commune(payload),
            _ => loaded.codes.get(payload as usize).cloned(),
        };
        let discarded = found.discarded.iter();
        a.discarded.extend(discarded.filter_map(|s| Some((s.overlap, code(s.payload)?))));
        if border.level == Level::Com {
            a.located |= !found.payloads.is_empty();
            a.communes.extend(found.payloads);
        } else {
            a.others.extend(found.payloads.into_iter().filter_map(code));
        }
        Ok(())
    }

    /// Puts into the report what happened.
    fn tell(&self, all: &[Attachment], features: &[Feature], report: &mut Report) {
        let mut carried: BTreeMap<(&str, u32), u64> = BTreeMap::new();
        let mut unknown: BTreeMap<&str, u64> = BTreeMap::new();
        let (mut padded, mut municipal, mut located) = (0u64, 0u64, 0u64);
        for a in all {
            report.carried += u64::from(!a.carried.is_empty());
            report.unattached += u64::from(a.communes.is_empty() && a.others.is_empty());
            for (from, rank) in &a.carried {
                *carried.entry((from, *rank)).or_default() += 1;
            }
            for code in &a.unknown {
                *unknown.entry(code).or_default() += 1;
            }
            padded += u64::from(a.padded);
            municipal += u64::from(a.municipal);
            located += u64::from(a.located);
        }
        let name = |rank| {
            let code = self.reference.commune(rank);
            code.map(|c| c.code.to_string()).unwrap_or_default()
        };
        report.carried_codes = carried
            .into_iter()
            .take(MAX_LISTED)
            .map(|((from, rank), rows)| Carried { from: from.to_owned(), to: name(rank), rows })
            .collect();
        report.unknown_codes = unknown
            .into_iter()
            .take(MAX_LISTED)
            .map(|(from, rows)| Carried { from: from.to_owned(), to: String::new(), rows })
            .collect();
        if padded > 0 {
            report.notes.push(text!(
                "{padded} codes de commune avaient perdu leur zéro initial ; il a été rétabli pour le rattachement.",
                "{padded} commune codes had lost their leading zero; it was restored for attachment."
            ));
        }
        if municipal > 0 {
            report.notes.push(text!(
                "{municipal} lignes portent le code d'un arrondissement municipal : rattachées à lui et à sa commune.",
                "{municipal} rows bear the code of a municipal arrondissement: attached to it and to its commune."
            ));
        }
        if located > 0 {
            report.notes.push(text!(
                "{located} lignes rattachées par leur position.",
                "{located} rows attached by their location."
            ));
        }
        tell_unattached(all, features, report);
        tell_discarded(all, features, report);
    }

    /// Turns attachments, in source order, into the index.
    pub(super) fn gather(&self, all: Vec<Attachment>) -> Reach {
        let mut reach = Reach {
            communes: vec![Vec::new(); self.reference.commune_count() as usize],
            degree: Vec::with_capacity(all.len()),
            ..Reach::default()
        };
        for (ordinal, a) in (0u32..).zip(all) {
            reach.degree.push(a.communes.len() as u32);
            for rank in a.communes {
                if let Some(features) = reach.communes.get_mut(rank as usize) {
                    features.push(ordinal);
                }
            }
            for other in a.others {
                reach.others.entry(other.to_string()).or_default().insert(ordinal);
            }
        }
        reach
    }
}

/// Names the first rows that no territory has, so that someone can go and look at them.
fn tell_unattached(all: &[Attachment], features: &[Feature], report: &mut Report) {
    const NAMED: usize = 20;
    let lost = all.iter().zip(features);
    let lost = lost.filter(|(a, _)| a.communes.is_empty() && a.others.is_empty());
    let ids: Vec<&str> = lost.map(|(_, f)| f.id.as_str()).take(NAMED + 1).collect();
    if ids.is_empty() {
        return;
    }
    let more = if ids.len() > NAMED { "…" } else { "" };
    let ids = ids.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    report.notes.push(text!(
        "Rattachées à aucun territoire : {ids}{more}",
        "Attached to no territory: {ids}{more}"
    ));
}

/// Counts the overlaps taken for border noise and names the largest, so that nothing real is
/// lost unseen (DESIGN §4).
fn tell_discarded(all: &[Attachment], features: &[Feature], report: &mut Report) {
    let measure = |overlap: &Overlap| match overlap {
        Overlap::Hit => 0.0,
        Overlap::LengthM(m) | Overlap::AreaM2(m) => *m,
    };
    let discarded = all.iter().zip(features).flat_map(|(a, feature)| {
        a.discarded.iter().map(move |(overlap, code)| (overlap, code, &feature.id))
    });
    let count = discarded.clone().count();
    let largest = discarded.max_by(|a, b| measure(a.0).total_cmp(&measure(b.0)));
    let Some((overlap, code, id)) = largest else { return };
    let size = match overlap {
        Overlap::Hit => String::new(),
        Overlap::LengthM(m) => format!("{m:.0} m"),
        Overlap::AreaM2(m) => format!("{:.2} ha", m / 10_000.0),
    };
    if count == 1 {
        report.notes.push(text!(
            "1 recouvrement écarté comme bruit de frontière : {size}, {id} sur {code}.",
            "1 overlap discarded as border noise: {size}, {id} on {code}."
        ));
        return;
    }
    report.notes.push(text!(
        "{count} recouvrements écartés comme bruit de frontière ; le plus grand : {size}, {id} sur {code}.",
        "{count} overlaps discarded as border noise; the largest: {size}, {id} on {code}."
    ));
}

/// A cell may list several codes: `59350, 59009` or `59350;59009`.
fn split(cell: &str) -> impl Iterator<Item = &str> {
    cell.split([',', ';', '|', '/']).map(str::trim).filter(|p| !p.is_empty())
}
