//! The store's contract, each of its promises handed to the part that keeps it.

use super::{
    PostgisStore, beside, changes, claims, fault, gone, held,
    inner::Inner,
    link::Ran,
    live, load, prune, reach,
    read::{read, ready_filter, scan_aside},
    reference, rows, runs, tiles, told, write,
};
use crate::{
    error::{Error, Result},
    model::{
        BBox, Changes, ChangesHead, Harvested, Held, Hold, LayerId, ReferenceState, RunRecord,
        Selection, Text, TileId, Told, Version, VersionId,
    },
    query::{Filter, Scan, Sort},
    store::{
        At, Beside, Claim, NewVersion, Reach, RowSink, ScanEnd, Store, TileFeatures, Touched,
        selects, touched,
    },
};
use async_trait::async_trait;
use jiff::Timestamp;
use std::{collections::BTreeMap, sync::Arc};
use tokio_postgres::types::Type;

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
        selects(self, at, id, selection).await
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

    async fn load(&self, claim: &Claim, mut new: NewVersion) -> Result<()> {
        if self.inner.meter.is_limited() {
            let (inner, used) = (self.inner.clone(), self.inner.used().await?);
            let admitted = move || inner.meter.admit(used, &new).map(|()| new);
            let admitted = tokio::task::spawn_blocking(admitted).await;
            new = admitted.map_err(|e| Error::fault("measuring a version", e))??;
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

    async fn hold(&self, claim: &Claim, version: &VersionId, hold: Hold) -> Result<()> {
        held::hold(&self.inner, claim, version, &hold).await
    }

    async fn held(&self, layer: &LayerId) -> Result<Option<Held>> {
        held::held(&self.inner, layer).await
    }

    async fn release(&self, claim: &Claim) -> Result<()> {
        held::release(&self.inner, claim).await
    }

    async fn note_runs(&self, claim: &Claim, runs: Vec<RunRecord>) -> Result<()> {
        runs::note(&self.inner, claim, &runs).await
    }

    async fn told(&self) -> Result<Told> {
        told::read(&self.inner).await
    }

    async fn set_told(&self, told: Told) -> Result<()> {
        told::set(&self.inner, &told).await
    }

    async fn runs(&self, most: usize) -> Result<BTreeMap<LayerId, Vec<RunRecord>>> {
        runs::read(&self.inner, most).await
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
