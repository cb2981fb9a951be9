//! Published tables: layers whose rows belong to others and may be edited at any moment. Nothing
//! is copied; every answer reads the table itself, on the primary, so that what is seen is never
//! older than the revision that names it.
//!
//! [`discover`] finds out a table's [`form`] and its [`costs`], [`bounds`] how low its tiles go;
//! [`watch`] notices edits and moves its revision, in a
//! row that all replicas share; [`answer`] and [`tile`] read; [`attach`] keeps attachments to
//! territories and [`touched`] knows whose are to be made again; [`select`] turns filters into
//! conditions, [`judge`] refuses those that cost too much.

mod answer;
mod attach;
mod bounds;
mod columns;
mod costs;
mod discover;
mod figures;
mod form;
mod judge;
mod look;
mod placed;
mod reaches;
mod select;
mod shape;
mod tile;
mod touched;
mod watch;

pub(super) use answer::{count, distinct, extent, feature, rows_of, scan, selects};
pub(super) use attach::{amend, load_reach, prune, publish, reach};
pub(super) use select::Conditions;
pub(super) use tile::tile;
pub(super) use touched::{mark, touched};
pub(super) use watch::{reload, spawn};

use super::{
    Inner,
    link::{Failed, cell},
};
use crate::{
    error::{Error, Result},
    model::{
        BBox, Cells, Drawing, GeometryKind, Harvested, LayerDef, LayerId, Live, Report,
        SourceLocation, TableSource, Text, Version, VersionId,
    },
    store::At,
    text,
};
use figures::Figures;
use form::Form;
use moka::sync::Cache;
use reaches::Reaches;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, OnceCell};
use tokio_postgres::{error::SqlState, types::Type};

/// Forms kept of a table: the one in force, and the one before, for answers under way.
const FORMS: usize = 2;
/// Ends of pages remembered, so that the next one goes on from there.
const ENDS: u64 = 20_000;
/// Counts remembered.
const COUNTS: u64 = 5_000;

/// How long a refusal holds: an index or statistics may have come since.
const JUDGED: Duration = Duration::from_secs(5);

/// What this process knows of the published tables.
pub(super) struct Tables {
    defs: BTreeMap<LayerId, LayerDef>,
    forms: Mutex<HashMap<LayerId, Vec<Arc<Form>>>>,
    refused: Mutex<HashMap<LayerId, Text>>,
    reaches: Reaches,
    /// Raised when this process sees another form: the store's generation does not say that.
    epoch: AtomicU64,
    wake: Notify,
    looked: OnceCell<()>,
    /// One look at a time.
    looking: tokio::sync::Mutex<()>,
    /// The id of the feature before a position: state, filter, position.
    ends: Cache<(String, String, u64), Arc<str>>,
    counts: Cache<(String, String), u64>,
    /// Whether pages were refused: form, filter, size.
    judged: Cache<(String, String, u64), bool>,
}

impl Tables {
    pub(super) fn new(defs: &[LayerDef]) -> Self {
        Self {
            defs: defs.iter().map(|def| (def.id.clone(), def.clone())).collect(),
            forms: Mutex::default(),
            refused: Mutex::default(),
            reaches: Reaches::default(),
            epoch: AtomicU64::new(0),
            wake: Notify::new(),
            looked: OnceCell::new(),
            looking: tokio::sync::Mutex::default(),
            ends: Cache::new(ENDS),
            counts: Cache::new(COUNTS),
            judged: Cache::builder().max_capacity(COUNTS).time_to_live(JUDGED).build(),
        }
    }

    /// Whether the layer is a published table.
    pub(super) fn has(&self, layer: &LayerId) -> bool {
        self.defs.contains_key(layer)
    }

    /// How often this process saw another form.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// An edit was announced.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Why a table is not served.
    pub(super) fn refused(&self, layer: &LayerId) -> Option<Text> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).get(layer).cloned()
    }

    fn refuse(&self, layer: &LayerId, why: Option<Text>) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match &why {
            Some(why) => refused.insert(layer.clone(), why.clone()),
            None => refused.remove(layer),
        };
        if before != why {
            if let Some(why) = &why {
                tracing::warn!(%layer, "the table is not served: {}", why.en);
            }
            self.epoch.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn form(&self, layer: &LayerId) -> Option<Arc<Form>> {
        self.forms.lock().unwrap_or_else(PoisonError::into_inner).get(layer)?.last().cloned()
    }

    /// The form that a state was described with.
    fn form_at(&self, at: &At) -> Result<Arc<Form>> {
        let wanted = at.version.live.as_ref().map(|l| l.form.as_str()).unwrap_or_default();
        let forms = self.forms.lock().unwrap_or_else(PoisonError::into_inner);
        let form = forms.get(&at.layer).and_then(|f| f.iter().find(|f| f.hash == wanted)).cloned();
        form.ok_or_else(|| super::gone(at))
    }

    fn keep(&self, layer: &LayerId, form: Form) -> Arc<Form> {
        let form = Arc::new(form);
        for notice in &form.notices {
            tracing::warn!(%layer, "{}", notice.en);
        }
        let mut forms = self.forms.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = forms.entry(layer.clone()).or_default();
        kept.retain(|f| f.hash != form.hash);
        kept.push(form.clone());
        if kept.len() > FORMS {
            kept.remove(0);
        }
        self.epoch.fetch_add(1, Ordering::AcqRel);
        form
    }

    /// The serial of a state's attachments.
    fn reach(&self, at: &At) -> Option<i64> {
        self.reaches.of(at)
    }
}

/// The table that a layer is.
fn source(def: &LayerDef) -> Option<&TableSource> {
    match &def.source.location {
        SourceLocation::Table(source) => Some(source),
        _ => None,
    }
}

/// What a failed read of a table means: when its form is no longer what it was, a look at it is
/// due, and the reader may come again.
fn meaning(inner: &Inner, what: &str, e: Failed) -> Error {
    let moved = e.is_gone()
        || e.is(&SqlState::UNDEFINED_COLUMN)
        || e.is(&SqlState::DATATYPE_MISMATCH)
        || e.is(&SqlState::UNDEFINED_FUNCTION);
    if moved {
        let cause = e.meaning(what);
        tracing::warn!(cause = cause.chain(), "a published table changed its form");
        inner.tables.wake();
        return Error::Busy { retry_after: Duration::from_secs(1) };
    }
    e.meaning(what)
}

/// Whether a read that failed, while rows were brought to degrees all at once, is to be tried again
/// with each on its own: one of them has no place on the map.
fn to_guard(inner: &Inner, at: &At, form: &Form, guarded: bool, e: &Failed) -> bool {
    if guarded || form.geometry.is_none() || !e.is_of_geometry() {
        return false;
    }
    tracing::warn!(layer = %at.layer, "some rows may have no place on the map: each is tried alone");
    form.guard();
    inner.tables.wake();
    true
}

/// What people are told of rows that have no place on the map.
fn unplaced(rows: u64) -> Text {
    text!(
        "{rows} lignes ont une géométrie qui n'a pas de place sur la carte (coordonnées hors du système de référence, ou géométrie cassée) : elles sont montrées sans géométrie, et sur aucune tuile.",
        "{rows} rows have a geometry with no place on the map (coordinates outside the reference system, or a broken geometry): they are shown without geometry, and on no tile."
    )
}

/// Attachments are being made.
fn unattached() -> Error {
    Error::Unavailable(text!(
        "Les rattachements de cette table aux territoires ne sont pas encore prêts.",
        "The attachments of this table to territories are not ready yet."
    ))
}

/// The published tables as they stand.
pub(super) async fn current(inner: &Arc<Inner>, all: &mut BTreeMap<LayerId, At>) -> Result<()> {
    if inner.tables.defs.is_empty() {
        return Ok(());
    }
    inner.tables.looked.get_or_try_init(|| watch::look(inner)).await?;
    let layers: Vec<String> = inner.tables.defs.keys().map(ToString::to_string).collect();
    let rows = inner
        .ask(
            "reading the published tables",
            "SELECT l.layer, l.revision, l.base, extract(epoch FROM l.changed_at)::int8, l.figures::text,
               r.serial, r.id, r.revision, c.x, c.y, c.revision
             FROM {s}live l LEFT JOIN {s}live_reaches r ON r.serial = l.reach
             LEFT JOIN {s}live_cells c ON c.layer = l.layer WHERE l.layer = ANY ($1)",
            &[(&layers, Type::TEXT_ARRAY)],
        )
        .await?;
    let mut serials: HashMap<LayerId, i64> = HashMap::new();
    let mut found: BTreeMap<LayerId, (Live, i64, Figures, String)> = BTreeMap::new();
    for row in &rows {
        let Ok(layer) = cell::<&str>(row, 0)?.parse::<LayerId>() else { continue };
        let number = |i| Ok::<_, Error>(cell::<Option<i64>>(row, i)?.unwrap_or(0).unsigned_abs());
        if !found.contains_key(&layer) {
            let figures: Figures = serde_json::from_str(cell(row, 4)?)
                .map_err(|e| Error::fault("the figures of a table", e))?;
            let reach = cell::<Option<String>>(row, 6)?.unwrap_or_default();
            if let Some(serial) = cell::<Option<i64>>(row, 5)? {
                serials.insert(layer.clone(), serial);
            }
            let cells = Cells { base: number(2)?, ..Cells::default() };
            let live =
                Live { revision: number(1)?, attached: number(7)?, cells, ..Live::default() };
            found.insert(layer.clone(), (live, cell(row, 3)?, figures, reach));
        }
        if let (Some(x), Some(y), Some((live, ..))) =
            (cell::<Option<i32>>(row, 8)?, cell::<Option<i32>>(row, 9)?, found.get_mut(&layer))
        {
            live.cells.touched.insert((x.unsigned_abs(), y.unsigned_abs()), number(10)?);
        }
    }
    let mut reaches = Vec::with_capacity(serials.len());
    for (layer, (live, changed, figures, reach)) in found {
        if let Some(at) = state(inner, &layer, live, changed, &figures, reach) {
            reaches.extend(serials.get(&layer).map(|serial| (at.clone(), *serial)));
            all.insert(layer, at);
        }
    }
    inner.tables.reaches.keep(&reaches);
    Ok(())
}

/// What readers see of a table.
fn state(
    inner: &Inner,
    layer: &LayerId,
    live: Live,
    changed: i64,
    figures: &Figures,
    reach: String,
) -> Option<At> {
    if inner.tables.refused(layer).is_some() {
        return None;
    }
    let (def, form) = (inner.tables.defs.get(layer)?, inner.tables.form(layer)?);
    let changed = jiff::Timestamp::from_second(changed).unwrap_or_default();
    let name = source(def).map(|s| format!("{}.{}", s.schema, s.table)).unwrap_or_default();
    let mut schema = form.schema.clone();
    schema.geometry = figures.kind;
    let mut notices = form.notices.clone();
    let mut report = Report { read: figures.count, kept: figures.count, ..Report::default() };
    metrics::gauge!("socle_table_rows_unplaced", "layer" => layer.to_string())
        .set(figures.unplaced as f64);
    if figures.unplaced > 0 {
        notices.push(unplaced(figures.unplaced));
        report.notes.push(unplaced(figures.unplaced));
    }
    notices.extend(figures.notices());
    let min_zoom = figures.lowest.unwrap_or(0).max(def.tiles.min_zoom);
    if min_zoom > def.tiles.min_zoom {
        notices.push(bounds::notice(min_zoom));
    }
    let version = Version {
        id: VersionId::revision(changed, live.revision, &form.hash),
        source: Harvested {
            path: std::path::PathBuf::new(),
            origin: name.clone(),
            name,
            status: None,
            bytes: 0,
            sha256: String::new(),
            etag: None,
            modified: Some(changed),
            fetched_at: changed,
            checked_at: changed,
            dataset: None,
            withdrawn: None,
        },
        options_hash: form.hash.clone(),
        schema,
        count: figures.count,
        bbox: figures.bbox.map(|[west, south, east, north]| BBox { west, south, east, north }),
        key: form.key_field.clone(),
        max_zoom: def.tiles.max_zoom,
        min_zoom,
        report,
        temporal: None,
        thinning: None,
        drawing: drawing(def, figures.kind),
        classes: None,
        live: Some(Box::new(Live {
            exact: figures.exact,
            title: form.title.clone(),
            description: form.description.clone(),
            fields: form.comments.clone(),
            notices,
            form: form.hash.clone(),
            ..live
        })),
    };
    Some(At { layer: layer.clone(), version: version.into(), reach })
}

/// What the tiles of a table leave out and add, as its declaration has it.
fn drawing(def: &LayerDef, kind: GeometryKind) -> Option<Box<Drawing>> {
    let (options, polygons) = (&def.tiles, kind.dimension() == Some(2));
    let drawing = Drawing {
        from: options.from.clone(),
        labels: options.labels && polygons,
        borders: options.borders && polygons,
        ..Drawing::default()
    };
    (drawing != Drawing::default()).then(|| Box::new(drawing))
}

/// The state of a published table by its name: only the one in force is kept.
pub(super) async fn state_named(
    inner: &Arc<Inner>,
    layer: &LayerId,
    key: &str,
) -> Result<Option<At>> {
    let mut all = BTreeMap::new();
    current(inner, &mut all).await?;
    // A page begun before there were attachments had no territory: those that came since do not
    // change it.
    Ok(all
        .remove(layer)
        .filter(|at| at.key() == key || key.strip_suffix('.') == Some(at.version.id.as_str())))
}
