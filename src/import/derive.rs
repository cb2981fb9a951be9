//! What is made from versions into versions: so far, reach indexes. They are rebuilt aside when
//! the reference or a border layer changes, from what the store holds, without the source; those
//! of live layers also row by row, when rows were touched.

use super::{
    attach::{Attacher, Attachment, Subject},
    borders::Borders,
};
use crate::{
    error::{Error, Result},
    formats::wkb,
    model::LayerDef,
    query::{Filter, Scan, Start},
    store::{At, Reach, RowSink, Store, Touched},
    territory::Reference,
};
use geo_types::Geometry;
use rayon::prelude::*;
use std::{
    borrow::Cow,
    collections::BTreeSet,
    ops::ControlFlow,
    sync::{Arc, mpsc},
};

/// Rows attached at once: what they hold is let go of before the next ones are read.
const BATCH: usize = 4096;

/// A stored feature's codes, geometry and id.
struct Stored {
    codes: Vec<Option<String>>,
    wkb: Option<Vec<u8>>,
    id: String,
}

/// What a stored state is attached with.
pub(super) struct Under<'a> {
    pub(super) store: &'a Arc<dyn Store>,
    pub(super) at: &'a At,
    pub(super) def: &'a LayerDef,
    pub(super) reference: &'a Arc<Reference>,
    pub(super) borders: &'a Borders,
}

/// The reach index of a stored version. Called from a blocking thread of the runtime.
pub(super) fn reach(under: &Under<'_>) -> Result<Reach> {
    let attacher = under.attacher()?;
    let scan = Scan { filter: Filter::default(), start: Start::Ordinal(0), limit: None };
    under.attached(&attacher, |store, at, sink| {
        Box::pin(async move { store.scan(&at, scan, sink).await.map(drop) })
    })
}

/// The attachments of some rows of a live layer; `None` when those of all the others no longer
/// hold, because the codes of the layer now show another vintage.
pub(super) fn some(under: &Under<'_>, touched: &Arc<Touched>) -> Result<Option<Reach>> {
    let attacher = under.attacher()?;
    if attacher.taken_for() != touched.vintage {
        return Ok(None);
    }
    let touched = touched.clone();
    let reach = under.attached(&attacher, |store, at, sink| {
        Box::pin(async move { store.touched_rows(&at, &touched, sink).await })
    });
    reach.map(Some)
}

/// Reads rows into a sink, to their end.
type Reading = std::pin::Pin<Box<dyn Future<Output = Result<()>> + Send>>;

impl<'a> Under<'a> {
    /// Knows the layer's borders, and the vintage that all its codes show.
    fn attacher(&self) -> Result<Attacher<'a>> {
        let schema = &self.at.version.schema;
        let mut attacher = Attacher::new(self.def, schema, self.reference, self.borders)?;
        let fields = attacher.code_fields();
        let mut codes = BTreeSet::new();
        for column in attacher.commune_columns() {
            let Some(field) = fields.get(column) else { continue };
            let found = self.store.distinct(self.at, *field);
            for cell in tokio::runtime::Handle::current().block_on(found)? {
                attacher.add_codes(&cell, &mut codes);
            }
        }
        attacher.date(codes);
        Ok(attacher)
    }

    /// Attaches what `read` shows, batch by batch, while it goes on reading.
    fn attached(
        &self,
        attacher: &Attacher<'_>,
        read: impl FnOnce(Arc<dyn Store>, At, RowSink) -> Reading,
    ) -> Result<Reach> {
        // One batch on its way while another is attached.
        let (out, batches) = mpsc::sync_channel(1);
        let sink = gathering(attacher.code_fields(), out);
        let reading = tokio::runtime::Handle::current().spawn(read(
            self.store.clone(),
            self.at.clone(),
            sink,
        ));
        let mut gathered = attacher.gathering(self.at.version.count as usize);
        let mut ids = Vec::new();
        for batch in batches {
            let batch: Vec<Stored> = batch;
            let attached: Result<Vec<Attachment>> =
                batch.par_iter().map(|row| row.attach(attacher)).collect();
            gathered.add(attached?);
            if self.at.version.live.is_some() {
                ids.extend(batch.into_iter().map(|row| row.id));
            }
        }
        // The sink is gone: the reading is over.
        tokio::runtime::Handle::current()
            .block_on(reading)
            .map_err(|e| Error::fault("reading features stopped", e))??;
        let (id, vintage) = (attacher.reach_id(&self.at.version), attacher.taken_for());
        Ok(Reach { id, ids, vintage, ..gathered.finish() })
    }
}

impl Stored {
    fn attach(&self, attacher: &Attacher<'_>) -> Result<Attachment> {
        let geometry: Option<Geometry<f64>> = match &self.wkb {
            Some(bytes) => Some(wkb::read(bytes).map_err(|e| Error::fault("stored geometry", e))?),
            None => None,
        };
        let codes = self.codes.iter().map(|c| c.as_deref().map(Cow::Borrowed)).collect();
        attacher.attach(&Subject { codes, geometry: geometry.as_ref() })
    }
}

/// A sink that hands over what attaching needs of rows, in batches; the last when it is dropped.
fn gathering(fields: Vec<usize>, out: mpsc::SyncSender<Vec<Stored>>) -> RowSink {
    let mut pending = Pending { rows: Vec::new(), out };
    Box::new(move |row| {
        let code = |i: &usize| row.values.get(*i).and_then(|v| v.as_code()).map(Cow::into_owned);
        pending.rows.push(Stored {
            codes: fields.iter().map(code).collect(),
            wkb: row.wkb.map(<[u8]>::to_vec),
            id: row.id.to_owned(),
        });
        match pending.rows.len() < BATCH || pending.send() {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    })
}

/// Rows not handed over yet.
struct Pending {
    rows: Vec<Stored>,
    out: mpsc::SyncSender<Vec<Stored>>,
}

impl Pending {
    /// `false`: nobody takes them any more.
    fn send(&mut self) -> bool {
        self.out.send(std::mem::take(&mut self.rows)).is_ok()
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.send();
    }
}
