//! What all parts of the store share: connections, what is known of the database, what is current,
//! what is open and held.

use super::{
    column::{self, Storage},
    connect::{Address, Connections},
    fault, gone, health,
    link::{Link, Param, cell},
    live, migrate,
    names::Names,
    open::OpenVersion,
    pulse::{self, Pulse},
};
use crate::{
    config::PostgisSettings,
    error::{Error, Result},
    model::{LayerId, Version, VersionId},
    store::{At, quota::Meter},
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, Once, PoisonError, Weak},
    time::Duration,
};
use tokio::sync::OnceCell;
use tokio_postgres::types::Type;

/// A database that takes longer than this to tell its generation, one row, answers nothing else
/// in time either: it hangs, or the network to it does.
const LOOK: Duration = Duration::from_secs(1);

/// Names one open version: layer, version, reach index.
type Key = (LayerId, VersionId, String);

/// What is known once the database was found ready.
pub(super) struct Ready {
    pub(super) names: Names,
}

/// The store itself, behind its door.
pub(super) struct Inner {
    pub(super) settings: PostgisSettings,
    /// Where versions are written, and what is current is read.
    pub(super) primary: Connections,
    /// A replica that serves reads.
    pub(super) replica: Option<Connections>,
    /// Where to listen; `None` behind a pooler.
    pub(super) listen: Option<Address>,
    /// Whether the servers are being looked at.
    pub(super) watched: Once,
    pub(super) ready: OnceCell<Ready>,
    /// Whether the reading role was given its rights.
    pub(super) granted: OnceCell<()>,
    pub(super) pulse: Pulse,
    pub(super) meter: Meter,
    /// Names this process among those that hold versions.
    pub(super) reader: String,
    pub(super) open: Mutex<HashMap<Key, Arc<OpenVersion>>>,
    /// Reach indexes that were opened, as long as anyone reads them.
    pub(super) held: Mutex<Vec<(i64, Weak<OpenVersion>)>>,
    pub(super) described: Mutex<HashMap<(LayerId, VersionId), Arc<Version>>>,
    /// Tables published as they are.
    pub(super) tables: live::Tables,
}

impl Inner {
    /// The database found ready: new enough, migrated. Looked at once.
    pub(super) async fn ready(self: &Arc<Self>) -> Result<&Ready> {
        self.watched.call_once(|| self.watch());
        self.ready
            .get_or_try_init(async || {
                let mut link = self.primary.link().await?;
                let names = migrate::prepare(&mut link, &self.settings).await?;
                pulse::spawn(self);
                live::spawn(self);
                Ok(Ready { names })
            })
            .await
    }

    /// Has each server looked at from now on: the primary itself where its own address is known.
    fn watch(self: &Arc<Self>) {
        let (primary, pooled) = match &self.listen {
            Some(direct) => (direct, false),
            None => (&self.primary.address, self.primary.pooled),
        };
        let replica = self.replica.iter().map(|r| (r, &r.address, r.pooled));
        for (connections, address, pooled) in replica.chain([(&self.primary, primary, pooled)]) {
            let (health, address) = (connections.health.clone(), address.clone());
            let limit = self.settings.silence.unwrap_or_else(|| health::patience(pooled));
            tokio::spawn(health::watch(health, address, limit, Arc::downgrade(self)));
        }
    }

    pub(super) fn role(&self) -> Option<&str> {
        self.settings.load_role.as_deref()
    }

    pub(super) async fn write_link(&self) -> Result<Link> {
        self.primary.link().await
    }

    pub(super) fn close_idle(&self) {
        for connections in std::iter::once(&self.primary).chain(&self.replica) {
            connections.close_idle(self.settings.idle);
        }
    }

    /// Runs a statement of the store's own tables on the primary, once more when the connection
    /// turned out to be dead.
    pub(super) async fn ask(
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

    pub(super) async fn generation(self: &Arc<Self>) -> Result<i64> {
        if let Some(fresh) = self.pulse.fresh() {
            return Ok(fresh);
        }
        let looked = self.look().await?;
        self.pulse.read(looked);
        Ok(looked)
    }

    /// Asks the database for the generation.
    async fn look(self: &Arc<Self>) -> Result<i64> {
        let sql = self.ready().await?.names.sql("SELECT generation FROM {s}state");
        let mut again = true;
        loop {
            let mut link = self.primary.link().await?;
            let looked = tokio::time::timeout(LOOK, link.hot(&sql, &[])).await;
            match looked.map_err(|_| fault::unreachable())? {
                Err(e) if again && e.is_lost() => again = false,
                other => {
                    let rows = other.map_err(|e| e.meaning("reading the generation"))?;
                    let row = rows.first();
                    return cell(row.ok_or_else(|| Error::broken("the store has no state"))?, 0);
                }
            }
        }
    }

    pub(super) async fn current(self: &Arc<Self>) -> Result<BTreeMap<LayerId, At>> {
        let rows = self
            .ask(
                "reading what is current",
                "SELECT l.layer, v.id, r.id, l.source::text, (v.storage ->> 'format')::int4 FROM {s}layers l
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
            column::readable(cell::<i32>(row, 4)?.unsigned_abs())?;
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
        live::current(self, &mut all).await?;
        Ok(all)
    }

    /// Bytes that the store's tables and indexes take.
    pub(super) async fn used(self: &Arc<Self>) -> Result<u64> {
        let names = &self.ready().await?.names;
        // A table dropped meanwhile has no size.
        let sql = "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::int8
                   FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname = $1 AND c.relkind = 'r'";
        let rows = self.ask("measuring the store", sql, &[(&names.store, Type::TEXT)]).await?;
        let row = rows.first().ok_or_else(|| Error::broken("the store has no size"))?;
        Ok(cell::<i64>(row, 0)?.unsigned_abs())
    }

    pub(super) async fn version(
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

    pub(super) async fn described_versions(
        self: &Arc<Self>,
        layer: &LayerId,
    ) -> Result<Vec<(i64, Version)>> {
        let name = layer.as_str();
        let rows = self
            .ask(
                "listing versions",
                "SELECT serial, description::text, (storage ->> 'format')::int4 FROM {s}versions
                 WHERE layer = $1 AND (published OR held IS NULL) ORDER BY id COLLATE \"C\"",
                &[(&name, Type::TEXT)],
            )
            .await?;
        let one = |row| {
            column::readable(cell::<i32>(row, 2)?.unsigned_abs())?;
            Ok((cell(row, 0)?, description(cell(row, 1)?)?))
        };
        rows.iter().map(one).collect()
    }

    /// A version open for reading, held from now on; the error says when it was removed.
    pub(super) async fn open(self: &Arc<Self>, at: &At) -> Result<Arc<OpenVersion>> {
        let key = (at.layer.clone(), at.version.id.clone(), at.reach.clone());
        if let Some(open) = self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(open.clone());
        }
        let (layer, id) = (at.layer.as_str(), at.version.id.as_str());
        let params: [Param<'_>; 3] =
            [(&layer, Type::TEXT), (&id, Type::TEXT), (&at.reach, Type::TEXT)];
        // Without a name rows are only read, to make an index: any one holds the version open.
        let rows = self
            .ask(
                "opening a version",
                "SELECT v.serial, r.serial, r.communes, v.storage::text FROM {s}versions v
                 JOIN {s}reaches r ON r.version = v.serial AND (r.id = $3 OR $3 = '')
                 WHERE v.layer = $1 AND v.id = $2 ORDER BY r.serial DESC LIMIT 1",
                &params,
            )
            .await?;
        let row = rows.first().ok_or_else(|| gone(at))?;
        let storage: Storage = serde_json::from_str(cell(row, 3)?)
            .map_err(|e| Error::fault("how a version is stored", e))?;
        column::readable(storage.format)?;
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
    pub(super) async fn hold(self: &Arc<Self>, reach: i64) -> Result<bool> {
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
            // Readers go on while the database's disk is full.
            Err(e) if e.is(&tokio_postgres::error::SqlState::DISK_FULL) => Ok(true),
            Err(e) => Err(e.meaning("holding a version")),
        }
    }

    /// Puts off the end of what is held, and lets go of what nobody reads any more. Without
    /// `always`, only when there is something to let go of.
    pub(super) async fn renew_holds(inner: &Arc<Self>, always: bool) -> Result<()> {
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
    pub(super) fn readers(&self) -> impl Iterator<Item = &Connections> {
        self.replica.iter().chain(std::iter::once(&self.primary))
    }
}

pub(super) fn description(text: &str) -> Result<Version> {
    serde_json::from_str(text).map_err(|e| Error::fault("a version's description", e))
}
