//! The store in a PostgreSQL database with PostGIS: for national layers and many replicas, with
//! exactly the behaviour of the embedded one. Versions are tables loaded aside and never edited;
//! the schema is made and migrated by the program; views show the current versions to analysts.
//!
//! Features stay rows with PostGIS geometry; what tiles need is kept beside as the same prepared
//! bytes as in the embedded store, and drawn in the same way. Nothing relies on a session, so
//! that a pooler in transaction mode may stand in front.

mod claims;
mod column;
mod connect;
mod fault;
mod link;
mod load;
mod migrate;
mod names;
mod open;
mod pulse;
mod reach;
mod rows;
mod tiles;
mod tls;
mod write;

use super::{At, Claim, NewVersion, Reach, RowSink, ScanEnd, Store, TileFeatures};
use crate::{
    config::PostgisSettings,
    error::{Error, Result},
    model::{BBox, Harvested, LayerId, Selection, TileId, Version, VersionId},
    query::{Filter, Scan},
    text,
};
use async_trait::async_trait;
use column::Storage;
use connect::{Address, Connections};
use link::{Failed, Link, Param, Ran, cell};
use names::Names;
use open::OpenVersion;
use pulse::Pulse;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError, Weak},
};
use tokio::sync::OnceCell;
use tokio_postgres::types::Type;

/// Names one open version: layer, version, reach index.
type Key = (LayerId, VersionId, String);

/// The store over a database.
pub struct PostgisStore {
    inner: Arc<Inner>,
}

/// What is known once the database was found ready.
struct Ready {
    names: Names,
}

struct Inner {
    settings: PostgisSettings,
    /// Where versions are written, and what is current is read.
    primary: Connections,
    /// A replica that serves reads.
    replica: Option<Connections>,
    /// Where to listen; `None` behind a pooler.
    listen: Option<Address>,
    ready: OnceCell<Ready>,
    /// Whether the reading role was given its rights.
    granted: OnceCell<()>,
    pulse: Pulse,
    /// Names this process among those that hold versions.
    reader: String,
    open: Mutex<HashMap<Key, Arc<OpenVersion>>>,
    /// Reach indexes that were opened, as long as anyone reads them.
    held: Mutex<Vec<(i64, Weak<OpenVersion>)>>,
    described: Mutex<HashMap<(LayerId, VersionId), Arc<Version>>>,
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
            settings: settings.clone(),
            ready: OnceCell::new(),
            granted: OnceCell::new(),
            pulse: Pulse::default(),
            reader: random_name(),
            open: Mutex::default(),
            held: Mutex::default(),
            described: Mutex::default(),
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

impl Inner {
    /// The database found ready: new enough, migrated. Looked at once.
    async fn ready(self: &Arc<Self>) -> Result<&Ready> {
        self.ready
            .get_or_try_init(async || {
                let mut link = self.primary.link().await?;
                let names = migrate::prepare(&mut link, &self.settings).await?;
                pulse::spawn(self);
                Ok(Ready { names })
            })
            .await
    }

    fn role(&self) -> Option<&str> {
        self.settings.load_role.as_deref()
    }

    async fn write_link(&self) -> Result<Link> {
        self.primary.link().await
    }

    fn close_idle(&self) {
        for connections in std::iter::once(&self.primary).chain(&self.replica) {
            connections.close_idle(self.settings.idle);
        }
    }

    /// Runs a statement of the store's own tables on the primary, once more when the connection
    /// turned out to be dead.
    async fn ask(
        self: &Arc<Self>,
        what: &str,
        text: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<tokio_postgres::Row>> {
        let ready = self.ready().await?;
        let sql = ready.names.sql(text);
        let mut again = true;
        loop {
            let mut link = self.primary.link().await?;
            match link.hot(&sql, params).await {
                Err(e) if again && e.is_lost() => again = false,
                other => return other.map_err(|e| e.meaning(what)),
            }
        }
    }

    async fn generation(self: &Arc<Self>) -> Result<i64> {
        if let Some(fresh) = self.pulse.fresh() {
            return Ok(fresh);
        }
        let rows =
            self.ask("reading the generation", "SELECT generation FROM {s}state", &[]).await?;
        let row = rows.first().ok_or_else(|| Error::broken("the store has no state"))?;
        let generation = cell(row, 0)?;
        self.pulse.read(generation);
        Ok(generation)
    }

    async fn current(self: &Arc<Self>) -> Result<BTreeMap<LayerId, At>> {
        let rows = self
            .ask(
                "reading what is current",
                "SELECT l.layer, v.id, r.id, l.source::text FROM {s}layers l
                 JOIN {s}versions v ON v.serial = l.version JOIN {s}reaches r ON r.serial = l.reach",
                &[],
            )
            .await?;
        let mut all = BTreeMap::new();
        for row in &rows {
            let (Ok(layer), Ok(id)) =
                (cell::<&str>(row, 0)?.parse(), cell::<&str>(row, 1)?.parse())
            else {
                return Err(Error::broken("a stored layer or version has no proper name"));
            };
            // Removed since: another look will show what came instead.
            let Some(version) = self.version(&layer, &id).await? else { continue };
            let mut version = Version::clone(&version);
            version.source = serde_json::from_str(cell(row, 3)?)
                .map_err(|e| Error::fault("a stored source", e))?;
            let at = At { layer: layer.clone(), version: version.into(), reach: cell(row, 2)? };
            all.insert(layer, at);
        }
        self.open.lock().unwrap_or_else(PoisonError::into_inner).retain(
            |(layer, version, reach), _| {
                all.get(layer).is_some_and(|at| at.version.id == *version && at.reach == *reach)
            },
        );
        self.described
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(layer, id), _| all.get(layer).is_some_and(|at| at.version.id == *id));
        Self::renew_holds(self, false).await?;
        Ok(all)
    }

    async fn version(
        self: &Arc<Self>,
        layer: &LayerId,
        id: &VersionId,
    ) -> Result<Option<Arc<Version>>> {
        let key = (layer.clone(), id.clone());
        let known =
            self.described.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let (name, version) = (layer.as_str(), id.as_str());
        let rows = self
            .ask(
                "reading a version's description",
                "SELECT description::text FROM {s}versions WHERE layer = $1 AND id = $2",
                &[(&name, Type::TEXT), (&version, Type::TEXT)],
            )
            .await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let version: Arc<Version> = Arc::new(description(cell(row, 0)?)?);
        let mut described = self.described.lock().unwrap_or_else(PoisonError::into_inner);
        described.insert(key, version.clone());
        Ok(Some(version))
    }

    async fn described_versions(self: &Arc<Self>, layer: &LayerId) -> Result<Vec<(i64, Version)>> {
        let name = layer.as_str();
        let rows = self
            .ask(
                "listing versions",
                "SELECT serial, description::text FROM {s}versions WHERE layer = $1
                 ORDER BY id COLLATE \"C\"",
                &[(&name, Type::TEXT)],
            )
            .await?;
        rows.iter().map(|row| Ok((cell(row, 0)?, description(cell(row, 1)?)?))).collect()
    }

    /// A version open for reading, held from now on; the error says when it was removed.
    async fn open(self: &Arc<Self>, at: &At) -> Result<Arc<OpenVersion>> {
        let key = (at.layer.clone(), at.version.id.clone(), at.reach.clone());
        if let Some(open) = self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(open.clone());
        }
        let (layer, id) = (at.layer.as_str(), at.version.id.as_str());
        let params: [Param<'_>; 3] =
            [(&layer, Type::TEXT), (&id, Type::TEXT), (&at.reach, Type::TEXT)];
        let rows = self
            .ask(
                "opening a version",
                "SELECT v.serial, r.serial, r.communes, v.storage::text FROM {s}versions v
                 JOIN {s}reaches r ON r.version = v.serial AND r.id = $3
                 WHERE v.layer = $1 AND v.id = $2",
                &params,
            )
            .await?;
        let row = rows.first().ok_or_else(|| gone(at))?;
        let storage: Storage = serde_json::from_str(cell(row, 3)?)
            .map_err(|e| Error::fault("how a version is stored", e))?;
        if storage.format != column::FORMAT {
            return Err(Error::broken(format!(
                "{layer}: format {} is not the {} this program reads",
                storage.format,
                column::FORMAT
            )));
        }
        let reach: i64 = cell(row, 1)?;
        let communes = cell::<i32>(row, 2)?.cast_unsigned();
        let version = at.version.clone();
        let opened = OpenVersion::new(cell(row, 0)?, reach, communes, version, storage);
        let opened = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.entry(key.clone()).or_insert(Arc::new(opened)).clone()
        };
        let held = (reach, Arc::downgrade(&opened));
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(held);
        if !self.hold(reach).await? {
            self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
            return Err(gone(at));
        }
        Ok(opened)
    }

    /// Notes that this process reads a reach index; `false` when it was removed just now.
    async fn hold(self: &Arc<Self>, reach: i64) -> Result<bool> {
        let ready = self.ready().await?;
        let mut link = self.write_link().await?;
        let sql = ready.names.sql(
            "INSERT INTO {s}holds (reader, reach, expires)
             VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3))
             ON CONFLICT (reader, reach) DO UPDATE SET expires = excluded.expires",
        );
        let seconds = self.settings.lease.as_secs_f64();
        let params: [Param<'_>; 3] =
            [(&self.reader, Type::TEXT), (&reach, Type::INT8), (&seconds, Type::FLOAT8)];
        match link.run(&sql, &params).await {
            Ok(_) => Ok(true),
            Err(e) if e.is(&tokio_postgres::error::SqlState::FOREIGN_KEY_VIOLATION) => Ok(false),
            // A role or server that only reads: whoever prunes is not told.
            Err(e) if e.is_read_only() => Ok(true),
            Err(e) => Err(e.meaning("holding a version")),
        }
    }

    /// Puts off the end of what is held, and lets go of what nobody reads any more. Without
    /// `always`, only when there is something to let go of.
    async fn renew_holds(inner: &Arc<Self>, always: bool) -> Result<()> {
        let (live, dropped): (Vec<i64>, bool) = {
            let mut held = inner.held.lock().unwrap_or_else(PoisonError::into_inner);
            let before = held.len();
            held.retain(|(_, open)| open.strong_count() > 0);
            (held.iter().map(|h| h.0).collect(), held.len() < before)
        };
        if !(dropped || always && !live.is_empty()) {
            return Ok(());
        }
        let ready = inner.ready().await?;
        let mut link = inner.write_link().await?;
        let sql = ready.names.sql(
            "WITH gone AS (DELETE FROM {s}holds WHERE reader = $1 AND NOT reach = ANY($2)
                           OR expires < clock_timestamp() - interval '1 hour')
             INSERT INTO {s}holds (reader, reach, expires)
             SELECT $1, r.serial, clock_timestamp() + make_interval(secs => $3)
             FROM {s}reaches r WHERE r.serial = ANY($2)
             ON CONFLICT (reader, reach) DO UPDATE SET expires = excluded.expires",
        );
        let seconds = inner.settings.lease.as_secs_f64();
        let params: [Param<'_>; 3] =
            [(&inner.reader, Type::TEXT), (&live, Type::INT8_ARRAY), (&seconds, Type::FLOAT8)];
        match link.run(&sql, &params).await {
            Err(e) if e.is_read_only() => Ok(()),
            other => other.map(drop).map_err(|e| e.meaning("renewing what is held")),
        }
    }

    /// Where reads go, in order: the replica, then the primary.
    fn readers(&self) -> impl Iterator<Item = &Connections> {
        self.replica.iter().chain(std::iter::once(&self.primary))
    }
}

fn description(text: &str) -> Result<Version> {
    serde_json::from_str(text).map_err(|e| Error::fault("a version's description", e))
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
        self.inner.current().await
    }

    async fn generation(&self) -> Result<u64> {
        Ok(self.inner.generation().await?.unsigned_abs())
    }

    async fn changed(&self) {
        self.inner.pulse.changed().await;
    }

    async fn state(&self, layer: &LayerId, key: &str) -> Result<Option<At>> {
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
        let all = self.inner.described_versions(layer).await?;
        Ok(all.into_iter().map(|(_, version)| version).collect())
    }

    async fn scan(&self, at: &At, scan: Scan, sink: RowSink) -> Result<ScanEnd> {
        // On a thread where the sink may take its time; given up when the caller is.
        let (inner, at) = (self.inner.clone(), at.clone());
        let runtime = tokio::runtime::Handle::current();
        let (_here, gone) = tokio::sync::oneshot::channel::<()>();
        let work = move || {
            runtime.block_on(async {
                tokio::select! {
                    end = scan_rows(&inner, &at, scan, sink) => end,
                    _ = gone => Ok(ScanEnd::default()),
                }
            })
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|e| Error::fault("a store task stopped", e))?
    }

    async fn feature(&self, at: &At, id: &str, mut sink: RowSink) -> Result<bool> {
        read!(&self.inner, at, "reading a feature", |link, names, open| rows::feature(
            link, names, open, id, &mut sink
        ))
    }

    async fn count(&self, at: &At, filter: &Filter) -> Result<Option<u64>> {
        if filter.is_empty() {
            return Ok(Some(at.version.count));
        }
        if !filter.equals.is_empty() {
            return Ok(None);
        }
        let found = read!(&self.inner, at, "counting features", |link, names, open| open
            .candidates(link, names, filter))?;
        Ok(Some(found.map_or(at.version.count, |f| f.len())))
    }

    async fn extent(&self, at: &At, selection: &Selection) -> Result<Option<BBox>> {
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

    async fn tile(
        &self,
        at: &At,
        tile: TileId,
        buffer: u16,
        selection: Option<&Selection>,
    ) -> Result<Option<TileFeatures>> {
        read!(&self.inner, at, "reading a tile", |link, names, open| async {
            let chosen = match selection {
                Some(selection) => Some(open.select(link, names, selection).await?),
                None => None,
            };
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

    async fn claim(&self, layer: &LayerId) -> Result<Option<Claim>> {
        claims::take(&self.inner, layer).await
    }

    async fn load(&self, claim: &Claim, new: NewVersion) -> Result<()> {
        load::load(&self.inner, claim, new).await
    }

    async fn load_reach(&self, claim: &Claim, version: &VersionId, reach: Reach) -> Result<()> {
        load::load_reach(&self.inner, claim, version, reach).await
    }

    async fn publish(&self, claim: &Claim, version: &VersionId, reach: &str) -> Result<()> {
        write::publish(&self.inner, claim, version, reach).await
    }

    async fn prune(&self, claim: &Claim, keep: usize) -> Result<usize> {
        self.inner.current().await?; // lets go of what this process holds of the past
        write::prune(&self.inner, claim, keep).await
    }

    async fn touch(&self, claim: &Claim, seen: &Harvested) -> Result<()> {
        write::touch(&self.inner, claim, seen).await
    }
}

async fn scan_rows(inner: &Arc<Inner>, at: &At, scan: Scan, mut sink: RowSink) -> Result<ScanEnd> {
    let mut shown = false;
    read!(inner, at, "reading features", |link, names, open| async {
        let end = rows::scan(link, names, open, &scan, &mut sink, &mut shown).await;
        match end {
            // Rows were shown: a second try would show them again.
            Err(e) if shown => Err(Failed::Known(e.meaning("reading features"))),
            other => other,
        }
    })
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
