//! Attaches features to territories (DESIGN §4): by their code column first, else by location.
//! All attachments of a version make its reach index.

use super::{
    borders::{Border, Borders, Loaded},
    tell::Tally,
};
use crate::{
    error::{Error, Result},
    geometry::overlap::{NoiseRule, Overlap},
    model::{
        Code, Feature, LayerDef, Level, Report, Schema, TerritoryCode, Value, Version,
        live::reach_name, progress::Progress,
    },
    store::{Reach, Spool},
    territory::{Carry, Detected, Fate, Passage, Reference, Verdict},
    text,
};
use geo_types::Geometry;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::{
    borrow::Cow,
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

/// Features attached before progress is told.
const STEP: usize = 2048;

/// Knows how one layer's features find their territories.
pub(super) struct Attacher<'a> {
    pub(super) reference: &'a Arc<Reference>,
    /// Level and field of each code column.
    pub(super) columns: Vec<(Level, usize)>,
    /// Borders to ask, when the layer may be attached by location.
    pub(super) borders: Vec<&'a Border>,
    loaded: Vec<OnceLock<Arc<Loaded>>>,
    noise: NoiseRule,
    /// Whether rows take the geometry of the territory that their code names.
    pub(super) borrows: bool,
    /// How far the nearest commune may be, m.
    nearest_m: Option<u32>,
    pub(super) declared: Option<u16>,
    /// What the commune codes say of their vintage, and what carries them from it.
    pub(super) detected: Option<Detected>,
    passage: Option<Passage>,
    /// Names of the schema's fields.
    pub(super) fields: Vec<String>,
    /// Set when the layer is the border of the communes; which features are, when not all.
    pub(super) border: Option<Option<(usize, String)>>,
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
    pub(super) communes: Vec<u32>,
    /// Territories of other levels.
    pub(super) others: Vec<TerritoryCode>,
    /// Old codes carried: from, to (rank).
    pub(super) carried: Vec<(String, u32)>,
    /// Codes that are not what they were: the code, its commune's rank.
    pub(super) redefined: Vec<(String, u32)>,
    /// Codes whose territory is in several communes: the code, their ranks.
    pub(super) undecidable: Vec<(String, Vec<u32>)>,
    /// Attached to the nearest commune, being outside all.
    pub(super) nearest: bool,
    /// Codes that name nothing.
    pub(super) unknown: Vec<String>,
    /// Codes that had lost their leading zero.
    pub(super) padded: bool,
    /// Whether a code was that of a municipal arrondissement.
    pub(super) municipal: bool,
    /// Whether location decided the communes.
    pub(super) located: bool,
    /// Levels other than the communal ones that a code of its own told.
    pub(super) coded: Vec<Level>,
    /// Overlaps discarded as border noise.
    pub(super) discarded: Vec<(Overlap, TerritoryCode)>,
}

impl<'a> Attacher<'a> {
    pub(super) fn new(
        def: &'a LayerDef,
        schema: &Schema,
        reference: &'a Arc<Reference>,
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
        let (nearest_m, declared) = (def.territory.nearest_m, def.territory.vintage);
        let noise = NoiseRule::default();
        let (detected, passage) = (None, None);
        let fields = schema.fields.iter().map(|f| f.name.clone()).collect();
        let only = def.territory.borders_where.as_ref();
        let only = only.and_then(|(column, value)| Some((schema.index(column)?, value.clone())));
        let border = (def.territory.borders == Some(Level::Com)).then_some(only);
        Ok(Self {
            reference,
            columns,
            borders,
            loaded,
            noise,
            borrows: !def.territory.geometry.is_none(),
            nearest_m,
            declared,
            detected,
            passage,
            fields,
            border,
        })
    }

    /// Finds the vintage of the commune codes: the declared one where they agree with it, else
    /// the one they show. A table may mix columns; they are of one vintage.
    pub(super) fn date(&mut self, codes: BTreeSet<String>) {
        let Some(detected) = self.reference.detect(codes.iter().map(String::as_str)) else {
            return;
        };
        let agreed = |year: &u16| (detected.first..=detected.last).contains(year);
        let used = self.declared.filter(agreed).unwrap_or(detected.vintage);
        self.passage = Some(Passage::new(self.reference, used));
        self.detected = Some(Detected { vintage: used, ..detected });
    }

    /// The distinct commune codes of features, with the zeros they lost.
    pub(super) fn commune_codes(&self, features: &Spool<Feature>) -> Result<BTreeSet<String>> {
        let mut codes = BTreeSet::new();
        let columns = self.columns.iter().filter(|(level, _)| *level == Level::Com);
        let columns: Vec<usize> = columns.map(|(_, field)| *field).collect();
        if columns.is_empty() {
            return Ok(codes);
        }
        features.each(|_, batch| {
            let cells = batch.iter().flat_map(|f| columns.iter().map(|field| f.values.get(*field)));
            for cell in cells.filter_map(|cell| cell?.as_code()) {
                self.add_codes(&cell, &mut codes);
            }
            Ok(())
        })?;
        Ok(codes)
    }

    /// Adds the commune codes that a cell lists.
    pub(super) fn add_codes(&self, cell: &str, codes: &mut BTreeSet<String>) {
        for part in split(cell).filter(|part| part.len() <= 5) {
            let whole = restored(part).unwrap_or_else(|| part.to_owned());
            if !codes.contains(&whole) {
                codes.insert(whole);
            }
        }
    }

    /// The vintage its codes are taken for, once [`Attacher::date`] found one.
    pub(super) fn taken_for(&self) -> Option<u16> {
        self.detected.as_ref().map(|d| d.vintage)
    }

    fn fate(&self, code: &str) -> Fate {
        match &self.passage {
            Some(passage) => passage.fate(code),
            None => Fate::unknown(),
        }
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
        // Codes of a configured level name the communes that its table says.
        let own = self.columns.iter().filter_map(|(level, _)| self.reference.level_key(*level));
        parts.extend(own.map(str::to_owned));
        parts.extend(self.borders.iter().map(|b| b.key()));
        let id = super::hex(&Sha256::digest(parts.join("\n")), 8);
        match &version.live {
            None => id,
            Some(live) => reach_name(&id, live.revision),
        }
    }

    /// Fields of the code columns, for whoever builds subjects.
    pub(super) fn code_fields(&self) -> Vec<usize> {
        self.columns.iter().map(|(_, field)| *field).collect()
    }

    /// Which of them are columns of commune codes.
    pub(super) fn commune_columns(&self) -> Vec<usize> {
        let columns = self.columns.iter().enumerate();
        columns.filter(|(_, (level, _))| *level == Level::Com).map(|(i, _)| i).collect()
    }

    /// Attaches all features of a new version; each batch is shown to `see` as well.
    pub(super) fn attach_all(
        &self,
        features: &Spool<Feature>,
        report: &mut Report,
        progress: &dyn Progress,
        mut see: impl FnMut(&[Feature]),
    ) -> Result<Reach> {
        let (mut gathered, mut tally) = (self.gathering(features.len()), Tally::new(self)?);
        features.each(|first, batch| {
            see(batch);
            for (step, batch) in batch.chunks(STEP).enumerate() {
                let attached = batch.par_iter().map(|f| self.attach(&self.subject(f)));
                let attached = attached.collect::<Result<Vec<_>>>()?;
                tally.add(first + step * STEP, &attached, batch);
                gathered.add(attached);
                progress.advance((first + step * STEP + batch.len()) as u64);
            }
            Ok(())
        })?;
        tally.tell(features, report)?;
        Ok(gathered.finish())
    }

    /// The polygons of communes, when a layer that serves this one has them.
    pub(super) fn communes(&self) -> Result<Option<Arc<Loaded>>> {
        let at = self.borders.iter().position(|border| border.level == Level::Com);
        at.map(|at| self.loaded(at)).transpose()
    }

    fn loaded(&self, index: usize) -> Result<Arc<Loaded>> {
        let (Some(place), Some(border)) = (self.loaded.get(index), self.borders.get(index)) else {
            return Err(Error::broken("a border that is not there"));
        };
        if let Some(loaded) = place.get() {
            return Ok(loaded.clone());
        }
        let loaded = border.load(self.reference)?;
        Ok(place.get_or_init(|| loaded).clone())
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
        // The geometry of a row whose code named something may be that of the territory.
        let coded = !a.communes.is_empty() || !a.others.is_empty();
        let own = |_: &&Geometry<f64>| !(self.borrows && coded);
        if let Some(geometry) = subject.geometry.filter(own) {
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
        a.coded = by_code.into_iter().collect();
        a.communes.sort_unstable();
        a.communes.dedup();
        a.others.sort();
        a.others.dedup();
        Ok(a)
    }

    fn by_communal_code(&self, level: Level, text: &str, a: &mut Attachment) {
        for part in split(text) {
            if level == Level::Com {
                self.by_commune_code(part, a);
            } else {
                let code = Code::new(level, part).ok().map(|code| TerritoryCode { level, code });
                match code.and_then(|c| self.reference.communes(&c)) {
                    Some(set) => a.communes.extend(set.iter()),
                    None => a.unknown.push(part.to_owned()),
                }
            }
        }
    }

    pub(super) fn by_commune_code(&self, part: &str, a: &mut Attachment) {
        let mut fate = self.fate(part);
        if let (Verdict::Unknown, Some(whole)) = (fate.verdict, restored(part)) {
            fate = self.fate(&whole);
            a.padded |= fate.verdict != Verdict::Unknown;
        }
        a.communes.extend(fate.main);
        match (fate.verdict, fate.main) {
            (Verdict::Carried, Some(rank)) => a.carried.push((part.to_owned(), rank)),
            (Verdict::Redefined, Some(rank)) => a.redefined.push((part.to_owned(), rank)),
            (Verdict::Redefined | Verdict::Undecidable, None) => {
                a.undecidable.push((part.to_owned(), fate.to));
            }
            (Verdict::Unknown, _) => match self.municipal(part) {
                Some((arm, rank)) => {
                    a.communes.push(rank);
                    a.others.push(arm);
                    a.municipal = true;
                }
                None => a.unknown.push(part.to_owned()),
            },
            _ => {}
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
        let loaded = self.loaded(index)?;
        let mut found = loaded.index.attach(geometry, &self.noise);
        if let (Level::Com, true, Some(most)) =
            (border.level, found.payloads.is_empty(), self.nearest_m)
        {
            found.payloads.extend(loaded.index.nearest(geometry, f64::from(most)));
            a.nearest |= !found.payloads.is_empty();
        }
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

    /// An index to be filled, of so many features or more.
    pub(super) fn gathering(&self, features: usize) -> Gathering {
        Gathering(Reach {
            communes: vec![Vec::new(); self.reference.commune_count() as usize],
            degree: Vec::with_capacity(features),
            ..Reach::default()
        })
    }
}

/// An index being filled.
pub(super) struct Gathering(Reach);

impl Gathering {
    /// Adds the attachments of the next features, in source order.
    pub(super) fn add(&mut self, attached: Vec<Attachment>) {
        let reach = &mut self.0;
        for (ordinal, a) in (reach.degree.len() as u32..).zip(attached) {
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
    }

    pub(super) fn finish(mut self) -> Reach {
        self.0.communes.iter_mut().for_each(Vec::shrink_to_fit);
        self.0
    }
}

/// A commune code that lost its leading zero, as a spreadsheet makes it, with it.
pub(super) fn restored(code: &str) -> Option<String> {
    let four = code.len() == 4 && code.bytes().all(|b| b.is_ascii_digit());
    four.then(|| format!("0{code}"))
}

/// A cell may list several codes: `59350, 59009` or `59350;59009`.
pub(super) fn split(cell: &str) -> impl Iterator<Item = &str> {
    cell.split([',', ';', '|', '/']).map(str::trim).filter(|p| !p.is_empty())
}
