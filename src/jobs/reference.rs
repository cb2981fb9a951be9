//! The territory reference as something with versions: loaded from files, looked at before it
//! counts, put in force together with the reach indexes made under it, and undone.
//!
//! What is in force flips in one step. Every layer is claimed while its index is made aside under
//! the new table; then the store's state names the table and those indexes at once. Only then is
//! each index published by itself, which changes nothing for readers, and derived layers follow.

use super::{Jobs, Run, blocking};
use crate::{
    error::{Error, Result},
    import::{
        Borders, CogFile, Differences, Importer, Reference, checksum, kept, name_own, update,
    },
    model::{Flip, LayerDef, LayerId, Progress, ReferenceState, ReferenceTable, Text},
    store::{At, Claim, Reach},
    text,
};
use jiff::Timestamp;
use std::{collections::BTreeMap, sync::Arc};

/// Tables kept besides the one in force and those that undoing leads to.
const KEPT: usize = 5;
/// How many times one may go back.
const STEPS: usize = 10;

/// A table that was loaded.
#[derive(Debug)]
pub struct Loaded {
    /// What is kept of it.
    pub table: ReferenceTable,
    /// What was assumed, left out or settled.
    pub notes: Vec<Text>,
    /// Whether it was there already.
    pub already: bool,
}

/// What a table would change.
#[derive(Debug)]
pub struct Preview {
    /// The table in force.
    pub from: Arc<Reference>,
    /// The other.
    pub to: Arc<Reference>,
    /// What differs between them.
    pub differences: Differences,
    /// By layer: features, and those that would be attached to other communes.
    pub layers: BTreeMap<LayerId, (u64, u64)>,
}

impl Jobs {
    /// Makes a table from files of the COG over the one in force, and keeps it. It changes nothing
    /// yet.
    ///
    /// # Errors
    /// As [`update`]; nothing is kept then.
    pub async fn load_reference(
        &self,
        files: Vec<CogFile>,
        vintage: Option<u16>,
    ) -> Result<Loaded> {
        let mut state = self.mended().await?;
        let (base, fallback) = self.base(&state).await?;
        let made = blocking(move || {
            let made = update(&base, &files, vintage)?;
            let reference = Reference::from_bytes(&made.bytes)?;
            Ok((made, reference))
        });
        let (mut made, reference) = made.await?;
        made.notes.splice(0..0, fallback);
        let kept = state.tables.iter().position(|table| table.id == reference.id());
        let whole = self.importer.table(&*self.store, &state, Some(reference.id())).await.is_ok();
        if let (Some(table), true) = (kept.and_then(|at| state.tables.get(at)), whole) {
            return Ok(Loaded { table: table.clone(), notes: made.notes, already: true });
        }
        let mut table = ReferenceTable {
            id: reference.id().to_owned(),
            vintage: reference.vintage(),
            source: reference.source().to_owned(),
            communes: reference.commune_count(),
            sha256: checksum(&made.bytes),
            loaded_at: Timestamp::now(),
            applied_at: None,
            compiled: false,
        };
        match kept.and_then(|at| state.tables.get_mut(at)) {
            // What became of its bytes is mended; the rest is as it was.
            Some(damaged) => {
                table = ReferenceTable { sha256: table.sha256, ..damaged.clone() };
                damaged.clone_from(&table);
                let id = &table.id;
                made.notes.push(text!(
                    "{id} était abîmée dans le magasin : réécrite.",
                    "{id} was damaged in the store: written again."
                ));
            }
            None => state.tables.push(table.clone()),
        }
        tidy(&mut state);
        state.serial += 1;
        let bytes = Some((table.id.clone(), made.bytes));
        self.store.set_reference(state, bytes).await?;
        Ok(Loaded { table, notes: made.notes, already: false })
    }

    /// The state, with the program's own table written again where it is kept and damaged.
    async fn mended(&self) -> Result<ReferenceState> {
        let mut state = self.store.reference().await?;
        let own = Reference::builtin();
        let there = state.table(own.id()).is_some();
        if there && kept(&*self.store, &state, own.id()).await.is_err() {
            let bytes = name_own(&mut state);
            state.serial += 1;
            self.store.set_reference(state.clone(), bytes).await?;
        }
        Ok(state)
    }

    /// The table that files are laid over: the one in force; when that is damaged the newest that
    /// was before it and can be read, with a note.
    async fn base(&self, state: &ReferenceState) -> Result<(Arc<Reference>, Option<Text>)> {
        let table = |id: Option<String>| async move {
            self.importer.table(&*self.store, state, id.as_deref()).await
        };
        let damaged = match table(state.current.clone()).await {
            Err(Error::Refused(_)) => state.current.clone().unwrap_or_default(),
            found => return Ok((found?, None)),
        };
        for id in state.before.iter().rev().cloned().chain([None]) {
            let base = match table(id).await {
                Err(Error::Refused(_)) => continue,
                base => base?,
            };
            let id = base.id();
            let note = text!(
                "La table en vigueur, {damaged}, est abîmée dans le magasin : {id} a servi de base.",
                "The table in force, {damaged}, is damaged in the store: {id} was taken as the base."
            );
            return Ok((base, Some(note)));
        }
        Err(Error::broken("no table of the COG can be read"))
    }

    /// What a table would change: the one named, else the newest loaded.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such table.
    pub async fn preview_reference(
        &self,
        id: Option<&str>,
        progress: &Arc<dyn Progress>,
    ) -> Result<Preview> {
        let state = self.store.reference().await?;
        let from = self.importer.see(&*self.store).await?;
        let to = self.chosen(&state, id).await?;
        let differences = from.compare(&to);
        let mut layers = BTreeMap::new();
        let under = Under::new(self, &to).await?;
        for (def, at) in self.held().await? {
            progress.stage(
                text!("Rattachement de {fr}", "Attaching {en}", fr = def.id, en = def.id),
                None,
            );
            let new = under.reach(def, &at).await;
            progress.finish();
            let (old, new) = (self.store.reach(&at).await?, new?);
            let counts = (at.version.count, differing((&from, &old), (&to, &new)));
            layers.insert(def.id.clone(), counts);
        }
        Ok(Preview { from, to, differences, layers })
    }

    /// Puts a table in force: the one named, else the newest loaded.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such table; [`Error::Conflict`] when a layer is being
    /// loaded, or someone else changed the reference meanwhile. What is in force stays then.
    pub async fn apply_reference(
        &self,
        id: Option<&str>,
        progress: &Arc<dyn Progress>,
    ) -> Result<(Arc<Reference>, Vec<Run>)> {
        let mut state = self.store.reference().await?;
        let to = self.chosen(&state, id).await?;
        if state.current.as_deref().unwrap_or(Reference::builtin().id()) == to.id() {
            let id = to.id();
            return Err(Error::Conflict(text!(
                "{id} est déjà en vigueur.",
                "{id} is in force already."
            )));
        }
        state.before.push(state.current.take());
        self.flip(state, to, progress).await
    }

    /// Puts what was in force before in force again.
    ///
    /// # Errors
    /// [`Error::NotFound`] when nothing was; else as [`Jobs::apply_reference`].
    pub async fn undo_reference(
        &self,
        progress: &Arc<dyn Progress>,
    ) -> Result<(Arc<Reference>, Vec<Run>)> {
        let mut state = self.store.reference().await?;
        let Some(back) = state.before.pop() else {
            return Err(Error::NotFound(text!(
                "Rien n'était en vigueur avant : c'est la table du programme.",
                "Nothing was in force before: it is the program's own table."
            )));
        };
        let to = self.importer.table(&*self.store, &state, back.as_deref()).await?;
        self.flip(state, to, progress).await
    }

    async fn flip(
        &self,
        mut state: ReferenceState,
        to: Arc<Reference>,
        progress: &Arc<dyn Progress>,
    ) -> Result<(Arc<Reference>, Vec<Run>)> {
        // All layers, also those without a version: one may be on its way, attached under the table
        // that is in force until here. That table may be damaged: nobody reads it.
        let mut held: Vec<(Claim, &LayerDef)> = Vec::with_capacity(self.layers.len());
        for def in &self.layers {
            held.push((self.hold(&def.id).await?, def));
        }
        // Nothing moves from here on.
        let mut current = self.store.current().await?;
        let attached = held.iter().filter_map(|(claim, def)| {
            let at = current.remove(&def.id).filter(|at| !at.reach.is_empty())?;
            Some((claim, *def, at))
        });
        let attached: Vec<(&Claim, &LayerDef, At)> = attached.collect();
        let under = Under::new(self, &to).await?;
        state.flips.clear();
        for (claim, def, at) in &attached {
            progress.stage(
                text!("Rattachement de {fr}", "Attaching {en}", fr = def.id, en = def.id),
                None,
            );
            if at.version.live.is_some() {
                self.store.mark(claim, at).await?;
            }
            let reach = under.reach(def, at).await;
            progress.finish();
            let reach = reach?;
            let flip = Flip {
                layer: def.id.clone(),
                version: at.version.id.clone(),
                from: at.reach.clone(),
                to: reach.id.clone(),
            };
            self.store.load_reach(claim, &at.version.id, reach).await?;
            state.flips.push(flip);
        }
        state.current = Some(to.id().to_owned());
        let own = name_own(&mut state);
        let now = Timestamp::now();
        for table in state.tables.iter_mut().filter(|table| table.id == to.id()) {
            table.applied_at = Some(now);
        }
        tidy(&mut state);
        state.serial += 1;
        let flips = state.flips.clone();
        let own = own.filter(|(id, _)| state.table(id).is_some());
        self.store.set_reference(state, own).await?;
        self.importer.take(to.clone());
        for ((claim, def, _), flip) in attached.into_iter().zip(flips) {
            self.store.publish(claim, &flip.version, &flip.to).await?;
            self.store.prune(claim, def.keep_versions).await?;
        }
        drop(held);
        let runs = self.derive(progress).await?;
        Ok((to, runs))
    }

    /// The layers that have features here, with their states.
    async fn held(&self) -> Result<Vec<(&LayerDef, At)>> {
        let mut current = self.store.current().await?;
        let state = self.store.reference().await?;
        let held = self.layers.iter().filter_map(|def| {
            let mut at = current.remove(&def.id)?;
            at.reach = state.reach(&def.id, &at.version.id, &at.reach).to_owned();
            (!at.reach.is_empty()).then_some((def, at))
        });
        Ok(held.collect())
    }

    /// The table named, else the newest loaded.
    async fn chosen(&self, state: &ReferenceState, id: Option<&str>) -> Result<Arc<Reference>> {
        let builtin = Reference::builtin();
        let id = match id {
            Some(id) if id == builtin.id() || id == "builtin" => None,
            Some(id) => Some(state.table(id).ok_or_else(|| unknown(state, id))?.id.as_str()),
            None => {
                let mut loaded = state.tables.iter().filter(|table| !table.compiled);
                let newest = loaded.next_back().ok_or_else(|| unknown(state, "?"))?;
                Some(newest.id.as_str())
            }
        };
        self.importer.table(&*self.store, state, id).await
    }
}

fn unknown(state: &ReferenceState, id: &str) -> Error {
    let known: Vec<&str> = state.tables.iter().map(|table| table.id.as_str()).collect();
    let known = match known.as_slice() {
        [] => "—".to_owned(),
        list => list.join(", "),
    };
    Error::NotFound(text!(
        "Pas de table du COG « {id} ». Chargées : {known}. (« socle cog load » en charge une.)",
        "No COG table \"{id}\". Loaded: {known}. (\"socle cog load\" loads one.)"
    ))
}

/// Forgets tables that nothing leads to any more, beyond the newest ones.
fn tidy(state: &mut ReferenceState) {
    let excess = state.before.len().saturating_sub(STEPS);
    state.before.drain(..excess);
    let needed = |id: &String| {
        state.current.as_ref() == Some(id) || state.before.iter().any(|b| b.as_ref() == Some(id))
    };
    let idle: Vec<String> =
        state.tables.iter().map(|t| t.id.clone()).filter(|id| !needed(id)).collect();
    let excess = idle.len().saturating_sub(KEPT);
    let gone: Vec<String> = idle.into_iter().take(excess).collect();
    state.tables.retain(|table| !gone.contains(&table.id));
}

/// Layers attached under a table that is not in force.
struct Under<'a> {
    jobs: &'a Jobs,
    importer: Arc<Importer>,
    borders: Arc<Borders>,
}

impl<'a> Under<'a> {
    async fn new(jobs: &'a Jobs, reference: &Arc<Reference>) -> Result<Self> {
        let importer = Arc::new(jobs.importer.under(reference.clone()));
        // Borders of their own: polygons are kept by the ranks of one table.
        Ok(Self { jobs, importer, borders: Arc::new(jobs.borders().await?) })
    }

    async fn reach(&self, def: &LayerDef, at: &At) -> Result<Reach> {
        let (store, importer) = (self.jobs.store.clone(), self.importer.clone());
        let (borders, def, at) = (self.borders.clone(), def.clone(), at.clone());
        blocking(move || importer.reach(&store, &at, &def, &borders)).await
    }
}

/// How many features are attached to other communes under one table than under the other.
fn differing(old: (&Reference, &Reach), new: (&Reference, &Reach)) -> u64 {
    let codes = |(reference, reach): (&Reference, &Reach)| {
        let mut of: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for (rank, features) in (0u32..).zip(&reach.communes) {
            let Some(code) = reference.commune(rank) else { continue };
            for feature in features {
                of.entry(*feature).or_default().push(code.code.to_string());
            }
        }
        of.values_mut().for_each(|codes| codes.sort());
        of
    };
    let (old, mut new) = (codes(old), codes(new));
    let mut count = 0;
    for (feature, codes) in old {
        count += u64::from(new.remove(&feature).is_none_or(|now| now != codes));
    }
    count + new.len() as u64
}
