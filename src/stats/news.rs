//! What publications changed, layer after layer, as a territory sees it.

use super::Stats;
use crate::{
    catalog::{Layer, Snapshot},
    error::{Error, Result},
    model::{Change, ChangeKind, Changes, ChangesHead, Place, RankSet, Selection},
    query::Filter,
    territory::{Carry, Reference},
};
use std::sync::Arc;

/// Features named of each kind of change.
const NAMED: usize = 10;

/// A publication, as a territory sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct News {
    /// Its name, versions and counts in all.
    pub head: ChangesHead,
    /// Features added there: new ones, and those that moved there.
    pub added: u64,
    /// Features changed there.
    pub changed: u64,
    /// Features removed there: gone, or moved elsewhere.
    pub removed: u64,
    /// The first features of each kind.
    pub named: Vec<Named>,
}

/// A publication with its layer.
#[derive(Debug, Clone)]
pub struct LayerNews {
    /// The layer.
    pub layer: Arc<Layer>,
    /// What it changed.
    pub news: Arc<News>,
}

/// A feature of a publication.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    /// What happened to it, seen from there.
    pub kind: ChangeKind,
    /// Its id.
    pub id: String,
    /// Its name.
    pub label: Option<String>,
    /// Whether the layer still has it under this id.
    pub served: bool,
}

impl News {
    /// Whether it is the first publication of the layer: it lists no feature.
    pub fn is_first(&self) -> bool {
        self.head.base.is_none()
    }

    /// Whether the counts are those of all features, or of the first that were listed.
    pub fn is_complete(&self) -> bool {
        self.is_first() || self.head.is_complete()
    }

    /// Bytes it takes in memory, about.
    pub(super) fn weight(&self) -> usize {
        let one = |n: &Named| 64 + n.id.len() + n.label.as_ref().map_or(0, String::len);
        160 + self.named.iter().map(one).sum::<usize>()
    }
}

impl Stats {
    /// What publications changed of a layer in a territory (everywhere without one), newest first;
    /// those that changed nothing there are left out.
    pub async fn news(
        &self,
        layer: &Layer,
        reference: &Arc<Reference>,
        selection: Option<&Arc<Selection>>,
    ) -> Result<Vec<Arc<News>>> {
        let mut all = Vec::new();
        for head in self.store.history(&layer.def.id).await? {
            if let Some(news) = self.told(layer, reference, selection, head).await? {
                all.push(news);
            }
        }
        Ok(all)
    }

    /// The newest of them.
    pub async fn last_change(
        &self,
        layer: &Layer,
        reference: &Arc<Reference>,
        selection: Option<&Arc<Selection>>,
    ) -> Result<Option<Arc<News>>> {
        for head in self.store.history(&layer.def.id).await? {
            if let Some(news) = self.told(layer, reference, selection, head).await? {
                return Ok(Some(news));
            }
        }
        Ok(None)
    }

    /// The news of all layers served, newest first.
    pub async fn all_news(
        &self,
        snapshot: &Snapshot,
        reference: &Arc<Reference>,
        selection: Option<&Arc<Selection>>,
    ) -> Result<Vec<LayerNews>> {
        let mut all = Vec::new();
        for layer in snapshot.served() {
            for news in self.news(layer, reference, selection).await? {
                all.push(LayerNews { layer: layer.clone(), news });
            }
        }
        all.sort_by(|a, b| {
            let newest_first = b.news.head.at.cmp(&a.news.head.at);
            newest_first.then_with(|| a.layer.def.id.cmp(&b.layer.def.id))
        });
        Ok(all)
    }

    /// A publication as a territory sees it; `None` when it changed nothing there.
    async fn told(
        &self,
        layer: &Layer,
        reference: &Arc<Reference>,
        selection: Option<&Arc<Selection>>,
        head: ChangesHead,
    ) -> Result<Option<Arc<News>>> {
        if head.is_empty() {
            return Ok(None);
        }
        if head.base.is_none() {
            // Nothing is listed: it concerns whoever has features of the layer.
            if let Some(selection) = selection {
                let filter = Filter { selection: Some(selection.clone()), ..Filter::default() };
                if self.store.count(layer.at()?, &filter).await? == Some(0) {
                    return Ok(None);
                }
            }
            let added = head.added;
            return Ok(Some(Arc::new(News { head, added, changed: 0, removed: 0, named: vec![] })));
        }
        let id = &layer.def.id;
        let selected = selection.map_or("", |s| s.key.as_str());
        let time = head.at.as_millisecond();
        let key = format!("{id}\n{time}\n{}\n{selected}", reference.id());
        let made = async {
            let Some(changes) = self.store.changes(id, head.at).await? else {
                let (added, changed, removed) = (head.added, head.changed, head.removed);
                return Ok(Arc::new(News { head, added, changed, removed, named: vec![] }));
            };
            let (selection, reference) = (selection.cloned(), reference.clone());
            let work = move || Ok(Arc::new(seen(changes, selection.as_deref(), &reference)));
            super::aside(work).await
        };
        let news = self.news.try_get_with(key, made).await.map_err(Error::shared)?;
        let nothing = news.added == 0 && news.changed == 0 && news.removed == 0;
        Ok((!nothing).then_some(news))
    }
}

/// A difference as a territory sees it.
pub(super) struct Seen<'a> {
    changes: &'a Changes,
    selection: Option<&'a Selection>,
    /// Today's communes, by the position of their codes in the difference.
    ranks: Vec<Option<u32>>,
}

impl<'a> Seen<'a> {
    pub(super) fn new(
        changes: &'a Changes,
        selection: Option<&'a Selection>,
        reference: &Reference,
    ) -> Self {
        let rank = |code: &String| match reference.carry(code) {
            Carry::Current(rank) | Carry::Carried(rank) => Some(rank),
            Carry::Shared(_) | Carry::Unknown => None,
        };
        Self { changes, selection, ranks: changes.communes.iter().map(rank).collect() }
    }

    fn communes(&self, place: &Place) -> RankSet {
        let positions = place.communes.iter().flat_map(|[from, to]| *from..*to);
        let rank = |position: u32| self.ranks.get(position as usize).copied().flatten();
        RankSet::from_ranks(positions.filter_map(rank))
    }

    /// What a change is there; `None` when it does not concern it.
    pub(super) fn kind(&self, change: &Change) -> Option<ChangeKind> {
        match self.selection {
            Some(selection) => {
                self.changes.seen_from(change, selection, |place| self.communes(place))
            }
            None => Some(change.kind),
        }
    }
}

/// Counts and names what a territory sees of a difference.
fn seen(changes: Changes, selection: Option<&Selection>, reference: &Reference) -> News {
    let seen = Seen::new(&changes, selection, reference);
    let head = changes.head.clone();
    let mut news = News { head, added: 0, changed: 0, removed: 0, named: Vec::new() };
    for change in &changes.list {
        let Some(kind) = seen.kind(change) else { continue };
        let count = match kind {
            ChangeKind::Added => &mut news.added,
            ChangeKind::Changed => &mut news.changed,
            ChangeKind::Removed => &mut news.removed,
        };
        *count += 1;
        if *count <= NAMED as u64 {
            let served = change.kind != ChangeKind::Removed;
            let (id, label) = (change.id.clone(), change.label.clone());
            news.named.push(Named { kind, id, label, served });
        }
    }
    if selection.is_none() {
        let ChangesHead { added, changed, removed, .. } = news.head;
        (news.added, news.changed, news.removed) = (added, changed, removed);
    }
    news
}
