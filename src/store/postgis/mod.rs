//! The store in a PostgreSQL database with PostGIS: for national layers and many replicas, with
//! exactly the behaviour of the embedded one. Versions are tables loaded aside and never edited;
//! the schema is made and migrated by the program; views show the current versions to analysts.
//!
//! Features stay rows with PostGIS geometry; what tiles need is kept beside as the same prepared
//! bytes as in the embedded store, and drawn in the same way. Nothing relies on a session, so
//! that a pooler in transaction mode may stand in front.

mod beside;
mod changes;
mod claims;
mod column;
mod connect;
mod copy;
mod fault;
mod filter;
mod filtered;
mod health;
mod inner;
mod link;
mod live;
mod load;
mod migrate;
mod names;
mod open;
mod prune;
mod pulse;
mod reach;
mod reference;
mod rows;
mod sorted;
mod tiles;
mod tls;
mod views;
mod write;

use super::{
    At, Beside, Claim, NewVersion, Reach, RowSink, ScanEnd, Store, TileFeatures, Touched,
    quota::Meter, touched,
};
use crate::{
    config::PostgisSettings,
    error::{Error, Result},
    model::{
        BBox, Changes, ChangesHead, Harvested, LayerId, ReferenceState, Selection, Text, TileId,
        Version, VersionId,
    },
    query::{Filter, Scan, Sort},
    text,
};
use async_trait::async_trait;
use connect::{Address, Connections};
use inner::Inner;
use jiff::Timestamp;
use link::{Failed, Ran};
use pulse::Pulse;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, Once, PoisonError},
};
use tokio::sync::OnceCell;
use tokio_postgres::types::Type;

/// The store over a database.
pub struct PostgisStore {
    inner: Arc<Inner>,
}

impl PostgisStore {
    /// A store over the database that the settings name. Connects to nothing yet: a database
    /// that is away is found out by the first question, and by each until it is back.
    ///
    /// # Errors
    /// [`Error::Invalid`] when an address is missing or is none.
    pub fn open(settings: &PostgisSettings) -> Result<Self> {
        let address = Address::parse(&settings.url.read()?, settings)?;
        let listen = match &settings.listen_url {
            Some(url) => Some(Address::parse(&url.read()?, settings)?),
            None => (!settings.pgbouncer).then(|| address.clone()),
        };
        let replica = match &settings.read_url {
            Some(url) => Some(Connections::new(Address::parse(&url.read()?, settings)?, settings)?),
            None => None,
        };
        let inner = Inner {
            primary: Connections::new(address, settings)?,
            replica,
            listen,
            watched: Once::new(),
            settings: settings.clone(),
            ready: OnceCell::new(),
            granted: OnceCell::new(),
            pulse: Pulse::default(),
            meter: Meter::new(settings.quota),
            reader: random_name(),
            open: Mutex::default(),
            held: Mutex::default(),
            described: Mutex::default(),
            tables: live::Tables::new(&settings.tables),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Whether every version of a layer has its tables, with as many rows as it says; gives their
    /// number. For `socle check`.
    ///
    /// # Errors
    /// [`Error::Fault`] naming the version that does not agree with itself.
    pub async fn check_layer(&self, layer: &LayerId) -> Result<usize> {
        let ready = self.inner.ready().await?;
        let versions = self.inner.described_versions(layer).await?;
        let mut link = self.inner.primary.link().await?;
        for (serial, version) in &versions {
            let table = ready.names.features(*serial);
            let sql = format!("SELECT count(*) FROM {table}");
            let count: i64 = load::first(&mut link, &sql, &[])
                .await
                .map_err(|e| e.meaning("checking a version"))?;
            if count.unsigned_abs() != version.count {
                return Err(Error::broken(format!(
                    "{layer}: version {} has {count} rows of {}",
                    version.id, version.count
                )));
            }
        }
        Ok(versions.len())
    }
}

/// 32 hexadecimal digits that no other process has.
fn random_name() -> String {
    let mut bytes = [0u8; 16];
    let random = rustls::crypto::ring::default_provider().secure_random;
    if random.fill(&mut bytes).is_err() {
        // No source of randomness: the process and the time are nearly as good.
        let now = jiff::Timestamp::now().as_nanosecond().to_le_bytes();
        bytes.copy_from_slice(&now);
        bytes[12..].copy_from_slice(&std::process::id().to_le_bytes());
    }
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn no_version(version: &VersionId) -> Error {
    Error::NotFound(text!(
        "La version {version} n'existe pas.",
        "Version {version} does not exist."
    ))
}

fn gone(at: &At) -> Error {
    let (layer, version) = (&at.layer, &at.version.id);
    Error::Gone {
        text: text!(
            "La version {version} de « {layer} » n'est plus conservée.",
            "Version {version} of \"{layer}\" is no longer kept."
        ),
        follow: Some(format!("collections/{layer}/items")),
    }
}

/// Runs a read of a version: on the replica if there is one, else, or when the replica fails or
/// is behind, on the primary; once more when a connection turned out to be dead.
macro_rules! read {
    ($inner:expr, $at:expr, $what:literal, |$link:ident, $names:ident, $open:ident| $work:expr) => {{
        let inner: &Arc<Inner> = $inner;
        let at: &At = $at;
        let open = inner.open(at).await?;
        let $open = &*open;
        let $names = &inner.ready().await?.names;
        let mut last = fault::unreachable();
        let mut answer = None;
        'tries: for connections in inner.readers() {
            for attempt in 0..2 {
                let mut link = match connections.link().await {
                    Ok(link) => link,
                    Err(e) => {
                        last = e;
                        continue 'tries;
                    }
                };
                let $link = &mut link;
                let done: Ran<_> = $work.await;
                match done {
                    Ok(found) => {
                        answer = Some(found);
                        break 'tries;
                    }
                    Err(e) if e.is_lost() && attempt == 0 => {}
                    // The replica threw the read out to follow the primary.
                    Err(e) if e.is_overtaken() => {
                        last = e.meaning($what);
                        continue 'tries;
                    }
                    Err(e) if e.is_gone() => {
                        last = gone(at);
                        continue 'tries;
                    }
                    Err(e) => {
                        let lost = e.is_lost();
                        last = e.meaning($what);
                        if lost {
                            continue 'tries;
                        }
                        break 'tries;
                    }
                }
            }
        }
        answer.ok_or(last)
    }};
}

#[async_trait]
impl Store for PostgisStore {
    async fn current(&self) -> Result<BTreeMap<LayerId, At>> {
        let current = self.inner.current().await?;
        self.inner.meter.note(self.inner.used().await?);
        Ok(current)
    }

    async fn reference(&self) -> Result<ReferenceState> {
        reference::state(&self.inner).await
    }

    async fn reference_table(&self, id: &str) -> Result<Option<Vec<u8>>> {
        reference::table(&self.inner, id).await
    }

    async fn set_reference(
        &self,
        state: ReferenceState,
        table: Option<(String, Vec<u8>)>,
    ) -> Result<()> {
        reference::set(&self.inner, &state, table).await
    }

    async fn generation(&self) -> Result<u64> {
        self.inner.meter.show();
        // What this process saw of tables by itself moves it too.
        let generation = self.inner.generation().await?.unsigned_abs();
        Ok(generation + self.inner.tables.epoch())
    }

    async fn changed(&self) {
        self.inner.pulse.changed().await;
    }

    async fn state(&self, layer: &LayerId, key: &str) -> Result<Option<At>> {
        if self.inner.tables.has(layer) {
            return live::state_named(&self.inner, layer, key).await;
        }
        let Some((version, reach)) = key.split_once('.') else { return Ok(None) };
        let Ok(version) = version.parse::<VersionId>() else { return Ok(None) };
        if reach.contains('\0') {
            return Ok(None);
        }
        let (name, id) = (layer.as_str(), version.as_str());
        let rows = self
            .inner
            .ask(
                "looking for a state",
                "SELECT 1 FROM {s}versions v JOIN {s}reaches r ON r.version = v.serial
                 WHERE v.layer = $1 AND v.id = $2 AND r.id = $3",
                &[(&name, Type::TEXT), (&id, Type::TEXT), (&reach, Type::TEXT)],
            )
            .await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let found = self.inner.version(layer, &version).await?;
        let (layer, reach) = (layer.clone(), reach.to_owned());
        Ok(found.map(|version| At { layer, version, reach }))
    }

    async fn versions(&self, layer: &LayerId) -> Result<Vec<Version>> {
        if self.inner.tables.has(layer) {
            let mut all = BTreeMap::new();
            live::current(&self.inner, &mut all).await?;
            let at = all.remove(layer).into_iter();
            return Ok(at.map(|at| Version::clone(&at.version)).collect());
        }
        let all = self.inner.described_versions(layer).await?;
        Ok(all.into_iter().map(|(_, version)| version).collect())
    }

    async fn scan(&self, at: &At, scan: Scan, sink: RowSink) -> Result<ScanEnd> {
        scan_aside(&self.inner, at, (scan, None), true, sink).await
    }

    async fn scan_values(&self, at: &At, scan: Scan, sink: RowSink) -> Result<ScanEnd> {
        scan_aside(&self.inner, at, (scan, None), false, sink).await
    }

    async fn scan_sorted(
        &self,
        at: &At,
        scan: Scan,
        sort: Arc<Sort>,
        shapes: bool,
        sink: RowSink,
    ) -> Result<ScanEnd> {
        scan_aside(&self.inner, at, (scan, Some(sort)), shapes, sink).await
    }

    async fn reach(&self, at: &At) -> Result<Reach> {
        if at.version.live.is_some() {
            return live::reach(&self.inner, at).await;
        }
        let id = at.reach.as_str();
        read!(&self.inner, at, "reading a reach index", |link, names, open| reach::whole(
            link, names, open.reach, id
        ))
    }

    async fn feature(&self, at: &At, id: &str, mut sink: RowSink) -> Result<bool> {
        if at.version.live.is_some() {
            return live::feature(&self.inner, at, id, &mut sink).await;
        }
        read!(&self.inner, at, "reading a feature", |link, names, open| rows::feature(
            link, names, open, id, &mut sink
        ))
    }

    async fn count(&self, at: &At, filter: &Filter) -> Result<Option<u64>> {
        if at.version.live.is_some() {
            return live::count(&self.inner, at, filter).await;
        }
        if filter.is_empty() {
            return Ok(Some(at.version.count));
        }
        if !filter.equals.is_empty() {
            return Ok(None);
        }
        ready_filter(&self.inner, at, filter).await?;
        let found = read!(&self.inner, at, "counting features", |link, names, open| open
            .candidates(link, names, filter))?;
        Ok(Some(found.map_or(at.version.count, |f| f.len())))
    }

    async fn extent(&self, at: &At, selection: &Selection) -> Result<Option<BBox>> {
        if at.version.live.is_some() {
            return live::extent(&self.inner, at, selection).await;
        }
        let open = self.inner.open(at).await?;
        if let Some(ready) = open.chosen(selection).and_then(|c| c.selected.extent.get().copied()) {
            return Ok(ready);
        }
        read!(&self.inner, at, "reading an extent", |link, names, open| async {
            let chosen = open.select(link, names, selection).await?;
            let extent = open.extent(link, names, &chosen.selected.ordinals).await?;
            Ok(*chosen.selected.extent.get_or_init(|| extent))
        })
    }

    async fn tile_where(
        &self,
        at: &At,
        tile: TileId,
        buffer: u16,
        filter: &Filter,
    ) -> Result<Option<TileFeatures>> {
        if at.version.live.is_some() {
            return live::tile(&self.inner, at, tile, buffer, filter).await;
        }
        ready_filter(&self.inner, at, filter).await?;
        read!(&self.inner, at, "reading a tile", |link, names, open| async {
            let chosen = open.choose(link, names, filter).await?;
            let chunks = match &chosen {
                Some(chosen) => open.chunks(link, names, chosen).await?,
                None => None,
            };
            let lookup = tiles::Lookup {
                version: open.serial,
                bands: &open.storage.bands,
                keys: open.keys.clone(),
                selected: chosen.as_ref().map(|c| &c.selected),
                chunks,
            };
            tiles::tile(link, names, lookup, tile, buffer).await
        })
    }

    async fn selects(&self, at: &At, id: &str, selection: &Arc<Selection>) -> Result<bool> {
        if at.version.live.is_some() {
            return live::selects(&self.inner, at, id, selection).await;
        }
        super::selects(self, at, id, selection).await
    }

    fn refused(&self, layer: &LayerId) -> Option<Text> {
        self.inner.tables.refused(layer)
    }

    async fn reload(&self) -> Result<()> {
        live::reload(&self.inner).await
    }

    async fn claim(&self, layer: &LayerId) -> Result<Option<Claim>> {
        claims::take(&self.inner, layer).await
    }

    async fn load(&self, claim: &Claim, new: NewVersion) -> Result<()> {
        if self.inner.meter.is_limited() {
            self.inner.meter.admit(self.inner.used().await?, &new)?;
        }
        load::load(&self.inner, claim, new).await
    }

    async fn load_reach(&self, claim: &Claim, version: &VersionId, reach: Reach) -> Result<()> {
        if self.inner.tables.has(&claim.layer) {
            return live::load_reach(&self.inner, claim, version, reach).await;
        }
        load::load_reach(&self.inner, claim, version, reach).await
    }

    async fn mark(&self, claim: &Claim, at: &At) -> Result<()> {
        live::mark(&self.inner, claim, at).await
    }

    async fn touched(&self, at: &At) -> Result<Option<Touched>> {
        live::touched(&self.inner, at).await
    }

    async fn touched_rows(&self, at: &At, touched: &Touched, mut sink: RowSink) -> Result<()> {
        live::rows_of(&self.inner, at, &touched.ids, &mut sink).await
    }

    async fn amend_reach(
        &self,
        claim: &Claim,
        at: &At,
        touched: Touched,
        reach: Reach,
    ) -> Result<()> {
        live::amend(&self.inner, claim, at, touched, reach).await
    }

    async fn distinct(&self, at: &At, field: usize) -> Result<Vec<String>> {
        if at.version.live.is_some() {
            return live::distinct(&self.inner, at, field).await;
        }
        touched::distinct(self, at, field).await
    }

    async fn beside(&self, layer: &LayerId, version: &VersionId) -> Result<Option<Beside>> {
        beside::beside(&self.inner, layer, version).await
    }

    async fn keep(&self, claim: &Claim, version: &VersionId) -> Result<()> {
        write::keep(&self.inner, claim, version).await
    }

    async fn publish(&self, claim: &Claim, version: &VersionId, reach: &str) -> Result<()> {
        if self.inner.tables.has(&claim.layer) {
            return live::publish(&self.inner, claim, reach).await;
        }
        write::publish(&self.inner, claim, version, reach).await
    }

    async fn load_changes(&self, claim: &Claim, changes: Changes) -> Result<()> {
        changes::load(&self.inner, claim, changes).await
    }

    async fn history(&self, layer: &LayerId) -> Result<Vec<ChangesHead>> {
        changes::history(&self.inner, layer).await
    }

    async fn changes(&self, layer: &LayerId, at: Timestamp) -> Result<Option<Changes>> {
        changes::read(&self.inner, layer, at).await
    }

    async fn prune(&self, claim: &Claim, keep: usize) -> Result<usize> {
        if self.inner.tables.has(&claim.layer) {
            return live::prune(&self.inner, claim).await;
        }
        self.inner.current().await?; // lets go of what this process holds of the past
        prune::prune(&self.inner, claim, keep).await
    }

    async fn touch(&self, claim: &Claim, seen: &Harvested) -> Result<()> {
        write::touch(&self.inner, claim, seen).await
    }
}

/// On a thread where the sink may take its time; given up when the caller is.
async fn scan_aside(
    inner: &Arc<Inner>,
    at: &At,
    asked: (Scan, Option<Arc<Sort>>),
    shapes: bool,
    sink: RowSink,
) -> Result<ScanEnd> {
    let (inner, at) = (inner.clone(), at.clone());
    let runtime = tokio::runtime::Handle::current();
    let (_here, gone) = tokio::sync::oneshot::channel::<()>();
    let work = move || {
        runtime.block_on(async {
            tokio::select! {
                end = scan_any(&inner, &at, asked, shapes, sink) => end,
                _ = gone => Ok(ScanEnd::default()),
            }
        })
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::fault("a store task stopped", e))?
}

async fn scan_any(
    inner: &Arc<Inner>,
    at: &At,
    (scan, sort): (Scan, Option<Arc<Sort>>),
    shapes: bool,
    mut sink: RowSink,
) -> Result<ScanEnd> {
    match at.version.live {
        Some(_) => live::scan(inner, at, &scan, sort.as_deref(), &mut sink).await,
        None => scan_rows(inner, at, (scan, sort), shapes, sink).await,
    }
}

async fn scan_rows(
    inner: &Arc<Inner>,
    at: &At,
    (scan, sort): (Scan, Option<Arc<Sort>>),
    shapes: bool,
    mut sink: RowSink,
) -> Result<ScanEnd> {
    let mut shown = false;
    ready_filter(inner, at, &scan.filter).await?;
    read!(inner, at, "reading features", |link, names, open| async {
        let end = match &sort {
            None => rows::scan(link, names, open, &scan, shapes, &mut sink, &mut shown).await,
            Some(sort) => {
                let asked = (&scan, &**sort);
                sorted::scan(link, names, open, asked, shapes, &mut sink, &mut shown).await
            }
        };
        match end {
            // Rows were shown: a second try would show them again.
            Err(e) if shown => Err(Failed::Known(e.meaning("reading features"))),
            other => other,
        }
    })
}

/// Sees to it that what a filter lets through is known: found by one of those that ask at the same
/// time, while the others wait without a connection.
async fn ready_filter(inner: &Arc<Inner>, at: &At, filter: &Filter) -> Result<()> {
    let Some(expression) = &filter.expression else { return Ok(()) };
    let open = inner.open(at).await?;
    if open.filtered.contains_key(expression.key()) {
        return Ok(());
    }
    let turn = tokio::time::timeout(super::filter_cost::TIME, open.turn.lock()).await;
    let _turn = turn.map_err(|_| Error::Busy { retry_after: super::filter_cost::TIME })?;
    read!(inner, at, "judging a filter", |link, names, open| open
        .matching(link, names, expression))?;
    Ok(())
}

impl Drop for PostgisStore {
    fn drop(&mut self) {
        // What this process holds is let go of at once rather than when it runs out.
        let held =
            std::mem::take(&mut *self.inner.held.lock().unwrap_or_else(PoisonError::into_inner));
        let (false, Ok(runtime)) = (held.is_empty(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let inner = self.inner.clone();
        inner.open.lock().unwrap_or_else(PoisonError::into_inner).clear();
        runtime.spawn(async move {
            let Some(ready) = inner.ready.get() else { return };
            let Ok(mut link) = inner.write_link().await else { return };
            let sql = ready.names.sql("DELETE FROM {s}holds WHERE reader = $1");
            let _ = link.run(&sql, &[(&inner.reader, Type::TEXT)]).await;
        });
    }
}
