//! A first look at what is to be baked: which tiles, how far, which values.

use super::{
    Order,
    cover::{Cover, Reach},
    tally::Tally,
};
use crate::{
    error::{Error, Result},
    formats::wkb,
    model::{BBox, Progress},
    query::{Filter, Scan, Start},
    store::{RowSink, Store},
    text,
    tiles::{Part, buffer},
};
use serde_json::Value;
use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
};

/// Rows read at a time: people are told in between.
const BATCH: u64 = 20_000;

/// What was found.
pub(super) struct Survey {
    /// The tiles that may show something.
    pub(super) cover: Cover,
    /// Extent of the features, degrees.
    pub(super) extent: BBox,
    /// The figures of each layer.
    pub(super) tilestats: Vec<Value>,
    /// Features with geometry in all.
    pub(super) features: u64,
}

/// What rows add to.
struct State {
    cover: Cover,
    extent: BBox,
    tally: Tally,
    reach: Reach,
    /// The first feature whose stored geometry is damaged.
    broken: Option<String>,
}

/// Reads every feature once; in memory stays what [`Survey`] holds.
pub(super) async fn survey(
    store: &Arc<dyn Store>,
    order: &Order,
    progress: &dyn Progress,
) -> Result<Survey> {
    let mut found =
        Survey { cover: Cover::default(), extent: BBox::EMPTY, tilestats: Vec::new(), features: 0 };
    let mut total = Some(0);
    for part in &order.parts {
        let count = store.count(part.layer.at()?, &part.filter).await?;
        total = total.zip(count).map(|(all, one)| all + one);
    }
    progress.stage(text!("Relevé des entités", "Surveying the features"), total);
    let mut read = 0;
    for part in &order.parts {
        let at = part.layer.at()?;
        let first = order.zooms.start().max(&at.version.min_zoom);
        let state = State {
            cover: std::mem::take(&mut found.cover),
            extent: found.extent,
            tally: Tally::new(&at.version.schema),
            reach: Reach {
                zooms: *first..=*order.zooms.end(),
                finest: at.version.max_zoom,
                buffer: buffer(&part.layer, at),
            },
            broken: None,
        };
        let state = layer(store, part, state, &mut read, progress).await?;
        found.cover = state.cover;
        found.extent = state.extent;
        found.features += state.tally.features;
        found.tilestats.push(state.tally.json(at.layer.as_str(), at.version.schema.geometry));
    }
    Ok(found)
}

/// Reads one layer.
async fn layer(
    store: &Arc<dyn Store>,
    part: &Part,
    state: State,
    read: &mut u64,
    progress: &dyn Progress,
) -> Result<State> {
    let at = part.layer.at()?;
    let state = Arc::new(Mutex::new(state));
    let mut next = Some(0);
    while let Some(start) = next {
        let filter = Filter { selection: part.filter.selection.clone(), ..Filter::default() };
        // A live layer has no ranks to go on from: it is read in one go.
        let limit = at.version.live.is_none().then_some(BATCH);
        let scan = Scan { filter, start: Start::Ordinal(start), limit };
        let shared = state.clone();
        let sink: RowSink = Box::new(move |row| {
            let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(wkb) = row.wkb else { return ControlFlow::Continue(()) };
            if state.row(wkb).is_err() {
                state.broken = Some(row.id.to_owned());
                return ControlFlow::Break(());
            }
            state.tally.add(row.values);
            ControlFlow::Continue(())
        });
        let end = store.scan(at, scan, sink).await?;
        let broken = state.lock().unwrap_or_else(PoisonError::into_inner).broken.take();
        if let Some(id) = broken {
            let layer = &at.layer;
            return Err(Error::broken(format!("{layer}: the geometry of {id} is damaged")));
        }
        *read += end.returned;
        progress.advance(*read);
        next = end.next;
    }
    let state = Arc::into_inner(state).ok_or_else(|| Error::broken("a scan still runs"))?;
    Ok(state.into_inner().unwrap_or_else(PoisonError::into_inner))
}

impl State {
    fn row(&mut self, bytes: &[u8]) -> Result<(), wkb::Broken> {
        self.cover.add(bytes, &self.reach)?;
        if let Some([west, south, east, north]) = wkb::bounds(bytes)? {
            self.extent.merge(&BBox { west, south, east, north });
        }
        Ok(())
    }
}
