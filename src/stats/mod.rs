//! Figures by territory: counts, sums and other measures of a layer's features for each territory
//! of a level; the analyst's table of many layers; what changed in a territory.
//!
//! Everything is read through the reach index and the store's scan, so that a figure is what the
//! same filter shows as features, tiles or files. Knows no URL and no media type.

mod book;
mod border;
mod choropleth;
mod figures;
mod followed;
mod groups;
mod measure;
mod metric;
mod news;
mod read;
mod shape;
mod share;
mod sheet;
mod standing;
mod table;

pub use crate::formats::write::Fact;
pub use book::{NamedSheet, xlsx};
pub use border::Border;
pub use choropleth::{Choropleth, Classes, Outline, classes};
pub use figures::{Figures, FiguresQuery, Row};
pub use followed::{Followed, FollowedChange, Since};
pub use metric::{Figure, Kind, MAX_METRICS, Metric, parse as parse_metrics};
pub use news::{LayerNews, Named, News};
pub use shape::Shape;
pub use share::Sharing;
pub use sheet::{Cell, CsvForm, Sheet};
pub use standing::{Concern, Standing};
pub use table::{CellWords, Column, Found, Line, MAX_COLUMNS, Show, Table};

use crate::{
    catalog::Snapshot,
    error::{Error, Result},
    model::Level,
    store::{At, Reach, Store, border::Borders},
    territory::{Reference, Unit, Units},
};
use moka::future::Cache;
use std::sync::Arc;

/// Bytes of reach indexes kept in memory.
const REACH_BYTES: u64 = 64 << 20;
/// Bytes of news kept.
const NEWS_BYTES: u64 = 8 << 20;
/// Bytes of answers kept.
const FIGURE_BYTES: u64 = 32 << 20;

/// The service.
pub struct Stats {
    store: Arc<dyn Store>,
    borders: Arc<Borders>,
    reaches: Cache<String, Arc<Reach>>,
    figures: Cache<String, Arc<Figures>>,
    outlines: Cache<String, Arc<Choropleth>>,
    units: Cache<(String, Level), Arc<Units>>,
    listed: Cache<String, Arc<Vec<Unit>>>,
    news: Cache<String, Arc<News>>,
}

impl Stats {
    /// Over a store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        let reaches = Cache::builder()
            .max_capacity(REACH_BYTES)
            .weigher(|key: &String, reach: &Arc<Reach>| cap(key.len() + weight(reach)))
            .build();
        let figures = Cache::builder()
            .max_capacity(FIGURE_BYTES)
            .weigher(|key: &String, figures: &Arc<Figures>| cap(key.len() + figures.weight()))
            .build();
        let outlines = Cache::builder()
            .max_capacity(FIGURE_BYTES)
            .weigher(|key: &String, outlines: &Arc<Choropleth>| cap(key.len() + outlines.weight()))
            .build();
        let units = Cache::builder().max_capacity(32).build();
        let listed = Cache::builder().max_capacity(16).build();
        let news = Cache::builder()
            .max_capacity(NEWS_BYTES)
            .weigher(|key: &String, news: &Arc<News>| cap(key.len() + news.weight()))
            .build();
        let borders = Arc::new(Borders::new(store.clone()));
        Self { store, borders, reaches, figures, outlines, units, listed, news }
    }

    /// The same with borders that others use as well.
    #[must_use]
    pub fn sharing(self, borders: Arc<Borders>) -> Self {
        Self { borders, ..self }
    }

    /// The reach index of a state, kept while it is asked for.
    async fn reach(&self, at: &At) -> Result<Arc<Reach>> {
        let key = format!("{}/{}", at.layer, at.key());
        let load = async { self.store.reach(at).await.map(Arc::new) };
        self.reaches.try_get_with(key, load).await.map_err(Error::shared)
    }

    /// The territories of a level that the reference does not list, by the layer that draws them;
    /// none when no layer does.
    pub async fn listed(&self, snapshot: &Snapshot, level: Level) -> Result<Arc<Vec<Unit>>> {
        let Some(border) = Border::of(snapshot, level) else { return Ok(Arc::default()) };
        let read = async { border.units(&self.store).await.map(Arc::new) };
        self.listed.try_get_with(border.key(), read).await.map_err(Error::shared)
    }

    /// The territories of a level under a reference.
    async fn units(&self, reference: &Arc<Reference>, level: Level) -> Result<Arc<Units>> {
        let key = (reference.id().to_owned(), level);
        let reference = reference.clone();
        let made = async { aside(move || Ok(Arc::new(reference.units(level)))).await };
        self.units.try_get_with(key, made).await.map_err(Error::shared)
    }
}

fn cap(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn weight(reach: &Reach) -> usize {
    let communes: usize = reach.communes.iter().map(|c| 24 + c.len() * 4).sum();
    let others: usize = reach.others.iter().map(|(k, b)| k.len() + b.serialized_size() + 64).sum();
    let ids: usize = reach.ids.iter().map(|id| id.len() + 24).sum();
    communes + others + ids + reach.degree.len() * 4
}

/// Runs what takes long on a thread made for it.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::fault("computing figures", e))?
}
