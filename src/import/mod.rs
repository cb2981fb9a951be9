//! Turns a harvested file into a version ready to load: rows read, placed in CRS84, checked,
//! named, attached to their territories, with a report of all that was done. It publishes
//! nothing and fetches nothing; whatever fails here leaves what is published untouched.

mod attach;
mod borders;
mod borrow;
mod changes;
mod check;
mod classes;
mod cog_files;
mod compare;
mod conform;
mod contradict;
mod derive;
mod draw;
mod identity;
mod levels;
mod meet;
mod meter;
mod place;
mod read;
mod references;
mod seen;
mod tell;
mod time;
mod workdir;

pub use crate::territory::{CogFile, Differences, Reference, update};
pub use borders::{Border, Borders, Communes, Loaded};
pub use changes::State;
pub use cog_files::cog_files;
pub use compare::{compare, judge};
pub use references::{checksum, in_force, kept, name_own, table};
pub use workdir::Workdir;

use crate::{
    error::{Error, Result},
    model::{
        BBox, Classes, Division, Feature, GeometryKind, Harvested, LayerDef, LevelDef,
        ReferenceState, Refusal, Report, Schema, SourceLimits, Text, Thinning, Version, VersionId,
        progress::Progress, thinning::POINT_BUFFER,
    },
    store::{At, NewVersion, Reach, Spool, Store, Touched, spool::Spill, thinning},
    text,
};
use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use std::{path::Path, sync::Arc};

/// Imports under one territory reference.
pub struct Importer {
    /// The territory reference in force, as last seen.
    reference: ArcSwap<Reference>,
    /// The levels of the configuration.
    levels: Vec<LevelDef>,
    /// What one source may hold at most.
    limits: SourceLimits,
    /// Bytes of rows held in memory, by estimate, before they go to a file.
    held: usize,
}

/// One file to import.
pub struct Job<'a> {
    /// The layer.
    pub def: &'a LayerDef,
    /// The file and its provenance.
    pub source: &'a Harvested,
    /// The border layers in force.
    pub borders: &'a Borders,
    /// A folder for unpacked files; the caller removes it.
    pub workdir: &'a Path,
    /// Told how far the work is.
    pub progress: &'a dyn Progress,
}

impl Importer {
    /// An importer under `reference`.
    pub fn new(reference: Arc<Reference>, limits: SourceLimits) -> Self {
        let levels = Vec::new();
        Self { reference: ArcSwap::new(reference), levels, limits, held: Spill::MOST }
    }

    /// The same with the levels of the configuration, which any reference gets.
    pub fn with_levels(self, levels: Vec<LevelDef>) -> Self {
        Self { levels, ..self }
    }

    /// The same that holds other than [`Spill::MOST`] bytes of rows in memory.
    pub fn holding(self, bytes: usize) -> Self {
        Self { held: bytes, ..self }
    }

    /// A table of the COG as a reference with the levels of the configuration; `None` is the one
    /// compiled in.
    ///
    /// # Errors
    /// As [`in_force`].
    pub async fn table(
        &self,
        store: &dyn Store,
        state: &ReferenceState,
        id: Option<&str>,
    ) -> Result<Arc<Reference>> {
        references::table(store, state, id, &self.reference(), &self.levels).await
    }

    /// The territory reference that it attaches under.
    pub fn reference(&self) -> Arc<Reference> {
        self.reference.load_full()
    }

    /// An importer like this one under another reference.
    pub fn under(&self, reference: Arc<Reference>) -> Self {
        Self::new(reference, self.limits).with_levels(self.levels.clone()).holding(self.held)
    }

    /// Attaches under a reference from now on.
    pub fn take(&self, reference: Arc<Reference>) {
        self.reference.store(reference);
    }

    /// Attaches under the reference that a store has in force from now on, and gives it.
    ///
    /// # Errors
    /// What the store fails with; [`Error::Refused`] when the table is damaged.
    pub async fn see(&self, store: &dyn Store) -> Result<Arc<Reference>> {
        self.see_in(store, &store.reference().await?).await
    }

    /// The same for whoever writes a layer, behind its claim: a reference comes into force behind
    /// the claims of all layers, so that it stays until the claim is given back. The store keeps the
    /// table from here on, whatever table the next program brings.
    ///
    /// # Errors
    /// As [`Importer::see`].
    pub async fn follow(&self, store: &dyn Store) -> Result<Arc<Reference>> {
        self.see_in(store, &references::pinned(store).await?).await
    }

    async fn see_in(&self, store: &dyn Store, state: &ReferenceState) -> Result<Arc<Reference>> {
        let reference = references::in_force(store, state, &self.reference(), &self.levels).await?;
        self.reference.store(reference.clone());
        Ok(reference)
    }

    /// Reads, checks and attaches a file. Called from a blocking thread of the runtime.
    pub fn import(&self, job: &Job<'_>) -> Result<NewVersion> {
        let mut report = Report::default();
        let spill = Spill::into(job.workdir).beyond(self.held);
        let mut rows = read::read(job, &self.limits, &spill, &mut report)?;
        if let Some(schema) = &job.def.rows {
            rows = conform::check(schema, rows, &spill, &mut report)?;
        }
        let new = self.version(job, rows, report)?;
        some(&new.version.report)?;
        Ok(new)
    }

    /// Names and attaches rows that were read and checked.
    fn version(&self, job: &Job<'_>, rows: read::Rows, mut report: Report) -> Result<NewVersion> {
        let key = job.def.key.clone();
        let spill = Spill::into(job.workdir).beyond(self.held);
        let read = rows.schema.clone();
        let features = identity::name(rows, key.as_deref(), &spill, &mut report)?;
        report.kept = features.len() as u64;
        let strangers: Vec<&str> = job.def.strangers(&read).collect();
        if !strangers.is_empty() {
            let names = strangers.join(", ");
            report.notes.push(text!(
                "[fields] parle de champs que la couche n'a pas : {names}.",
                "[fields] speaks of fields that the layer does not have: {names}."
            ));
        }
        let mut schema = Schema { fields: read.fields, geometry: GeometryKind::None };
        let reference = self.reference();
        let mut attacher = attach::Attacher::new(job.def, &schema, &reference, job.borders)?;
        attacher.date(attacher.commune_codes(&features)?);
        let features = borrow::fill(&attacher, job, &self.limits, features, &spill, &mut report)?;
        let (mut extent, mut times) = (Extent::default(), time::Times::of(job.def, &schema)?);
        job.progress.stage(text!("Rattachement", "Attaching"), Some(features.len() as u64));
        let reach = attacher.attach_all(&features, &mut report, job.progress, |features| {
            extent.add(features);
            times.iter_mut().for_each(|times| times.add(features));
        })?;
        schema.geometry = extent.kind;
        report.without_geometry += extent.without;
        let temporal = times.map(time::Times::extent);
        let id = VersionId::new(jiff::Timestamp::now(), &job.source.sha256);
        let mut version = Version {
            options_hash: reading_hash(job.def, job.borders),
            source: job.source.clone(),
            count: features.len() as u64,
            bbox: (!extent.bbox.is_empty()).then_some(extent.bbox),
            temporal,
            key,
            min_zoom: job.def.tiles.min_zoom,
            max_zoom: job.def.tiles.max_zoom,
            schema,
            report,
            thinning: None,
            drawing: None,
            classes: None,
            live: None,
            id,
        };
        thin(job.def, &features, &mut version)?;
        let weighed = draw::plan(job.def, &features, &mut version)?;
        classes::plan(job.def, &features, &mut version)?;
        let (reach_id, vintage) = (attacher.reach_id(&version), attacher.taken_for());
        let reach = Reach { id: reach_id, vintage, ..reach };
        Ok(NewVersion {
            version,
            features,
            reach,
            weighed,
            title: job.def.title.fr.clone(),
            provenance: provenance(job.def, job.source),
        })
    }

    /// The name the reach index of a version should bear under this reference and these borders.
    /// When it is not the one in force, [`Importer::reach`] makes it.
    pub fn reach_id(&self, at: &At, def: &LayerDef, borders: &Borders) -> Result<String> {
        let schema = &at.version.schema;
        let reference = self.reference();
        let attacher = attach::Attacher::new(def, schema, &reference, borders)?;
        Ok(attacher.reach_id(&at.version))
    }

    /// The reach index of a stored version. Called from a blocking thread of the runtime.
    pub fn reach(
        &self,
        store: &Arc<dyn Store>,
        at: &At,
        def: &LayerDef,
        borders: &Borders,
    ) -> Result<Reach> {
        let reference = self.reference();
        derive::reach(&derive::Under { store, at, def, reference: &reference, borders })
    }

    /// The attachments of some rows of a live layer, the others staying as they are; `None` when
    /// they cannot: then [`Importer::reach`] makes all. Called from a blocking thread of the
    /// runtime.
    pub fn reach_of_some(
        &self,
        store: &Arc<dyn Store>,
        at: &At,
        def: &LayerDef,
        borders: &Borders,
        touched: &Arc<Touched>,
    ) -> Result<Option<Reach>> {
        let reference = self.reference();
        let under = derive::Under { store, at, def, reference: &reference, borders };
        derive::some(&under, touched)
    }
}

/// Refuses a version without a feature. Nothing of it is published, nor its report: the first reason
/// is nearly always the reason of all.
fn some(report: &Report) -> Result<()> {
    if report.kept > 0 {
        return Ok(());
    }
    let all = nothing(report);
    Err(Error::Refused(match report.refusals.first() {
        Some(Refusal { line, text, .. }) => Text::new(
            format!("{} Ligne {line} : {}", all.fr, text.fr),
            format!("{} Line {line}: {}", all.en, text.en),
        ),
        None => all,
    }))
}

/// What is said of a source none of whose rows can be kept.
fn nothing(report: &Report) -> Text {
    let (read, refused) = (report.read, report.refused);
    text!(
        "Aucune ligne à publier : {read} lues, {refused} refusées.",
        "No row to publish: {read} read, {refused} refused."
    )
}

/// What a tile may weigh where the layer does not say, bytes before compression.
const BUDGET: u32 = 500_000;

/// What a layer's tiles may weigh.
fn budget(def: &LayerDef) -> u32 {
    match def.tiles.budget_kb {
        Some(0) => u32::MAX,
        Some(kb) => kb.saturating_mul(1024),
        None => BUDGET,
    }
}

/// Decides which points small zooms leave out, and says so.
fn thin(def: &LayerDef, features: &Spool<Feature>, version: &mut Version) -> Result<()> {
    let budget = budget(def);
    let importance = def.tiles.importance.clone();
    let buffer = def.tiles.buffer.unwrap_or(POINT_BUFFER);
    let rule = Thinning { budget, buffer, importance, shown: Vec::new() };
    let Some(plan) = thinning::plan(features, version, rule)? else { return Ok(()) };
    let full =
        plan.shown.iter().find(|s| Some(s.features) == plan.shown.last().map(|l| l.features));
    let (zoom, kb) = (full.map_or(version.max_zoom, |s| s.min_zoom), budget / 1000);
    version.report.notes.push(text!(
        "Points éclaircis aux petits zooms, pour qu'aucune de leurs tuiles ne dépasse {kb} ko : tous à partir du zoom {zoom}.",
        "Points thinned at small zooms, so that none of their tiles exceeds {kb} kB: all of them from zoom {zoom} on."
    ));
    version.thinning = Some(Box::new(plan));
    Ok(())
}

/// Extent and geometry type of the features kept.
struct Extent {
    bbox: BBox,
    kind: GeometryKind,
    /// Features without geometry.
    without: u64,
}

impl Default for Extent {
    fn default() -> Self {
        Self { bbox: BBox::EMPTY, kind: GeometryKind::None, without: 0 }
    }
}

impl Extent {
    fn add(&mut self, features: &[Feature]) {
        use geo::CoordsIter;
        for feature in features {
            match &feature.geometry {
                Some(geometry) => {
                    self.kind = self.kind.widen(GeometryKind::of(geometry));
                    for c in geometry.coords_iter() {
                        self.bbox.add(c.x, c.y);
                    }
                }
                None => self.without += 1,
            }
        }
    }
}

/// A fingerprint of the options that shape the data: when they change, an unchanged source makes
/// a new version all the same.
pub fn options_hash(def: &LayerDef) -> String {
    let mut shaping = serde_json::json!({
        // Raised when this program reads the same bytes differently.
        "importer": 2,
        "format": def.source.format, "crs": def.source.crs, "encoding": def.source.encoding,
        "member": def.source.member, "csv": def.source.csv, "key": def.key,
        "territory": def.territory, "tiles": def.tiles,
    });
    // Versions loaded before layers had times stay what they are.
    if let Some(time) = &def.time {
        shaping["time"] = serde_json::json!(time);
    }
    // What the map's colours need of a version: the field in all tiles, and where it is cut.
    if let Some(division) = &def.symbols.division {
        shaping["style"] = match division {
            Division::Classes(Classes { field, cut, .. }) => serde_json::json!([field, cut]),
            Division::Categories(categories) => serde_json::json!(categories.field),
        };
    }
    if let Some(rows) = &def.rows {
        shaping["rows"] = serde_json::json!(rows);
    }
    hex(&Sha256::digest(shaping.to_string()), 16)
}

/// A fingerprint of all that shapes a layer's data but its source: its options, and the layers that
/// draw the territories whose geometry its rows take. When one of these moves, the source is read
/// again.
pub fn reading_hash(def: &LayerDef, borders: &Borders) -> String {
    let options = options_hash(def);
    if def.territory.geometry.is_none() {
        return options;
    }
    let drawn = def.territory.columns.iter().filter_map(|c| Some(borders.drawing(c.level)?.key()));
    hex(&Sha256::digest([options].into_iter().chain(drawn).collect::<Vec<_>>().join("\n")), 16)
}

/// The first `digits` hexadecimal digits of a digest.
fn hex(digest: &[u8], digits: usize) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(digest.len() * 2);
    for byte in digest {
        let _ = write!(text, "{byte:02x}");
    }
    text.truncate(digits);
    text
}

/// The mention that files carry: attribution, licence, origin, dates.
fn provenance(def: &LayerDef, source: &Harvested) -> String {
    let mut lines = vec![format!("{} — {}", def.attribution, def.licence.title)];
    if let Some(day) = def.described_at {
        lines.push(format!("État au {day}"));
    }
    if let Some(day) = def.published_at {
        lines.push(format!("Publié le {day}"));
    }
    lines.push(format!("Récupéré le {} : {}", source.fetched_at.strftime("%F"), source.origin));
    lines.join("\n")
}
