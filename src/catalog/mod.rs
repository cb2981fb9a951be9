//! Layers and which version of each is current: an immutable snapshot, swapped whole. It joins
//! what the operator declares (`config`) with what the store holds; it answers no query.

pub use crate::store::border::Outline;

use crate::{
    error::{Error, Result},
    model::{LayerDef, LayerId, Live, Perimeter, ReferenceState, Text, Withdrawal},
    store::{At, Store},
    text,
};
use arc_swap::ArcSwap;
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// A store that answers later than this has not confirmed the snapshot: one slow look among
/// those made twice a second is no news.
const GRACE: Duration = Duration::from_secs(1);

/// A layer as it stands.
#[derive(Debug, Clone)]
pub struct Layer {
    /// What the operator declares.
    pub def: LayerDef,
    /// Its current version; `None` before the first harvest.
    pub current: Option<At>,
    /// Whether the store said so, or was never reached.
    pub known: bool,
    /// Why a published table is not served.
    pub refused: Option<Text>,
    /// What was served, and is not any more since its source was taken away.
    pub withdrawn: Option<At>,
}

impl Layer {
    /// The current version, or the reason there is none.
    pub fn at(&self) -> Result<&At> {
        let id = &self.def.id;
        self.current.as_ref().ok_or_else(|| match self.known {
            _ if self.withdrawn.is_some() => self.gone(),
            _ if self.refused.is_some() => {
                Error::Unavailable(self.refused.clone().unwrap_or_default())
            }
            true if self.def.is_live() => Error::Unavailable(text!(
                "La table de « {id} » n'a pas encore été vue.",
                "The table of \"{id}\" has not been seen yet."
            )),
            false => Error::Unavailable(text!(
                "Les versions publiées ne sont pas encore connues : la base de données ne répond pas.",
                "The published versions are not known yet: the database does not answer."
            )),
            true => Error::Unavailable(text!(
                "La couche « {id} » n'a pas encore été moissonnée.",
                "Layer \"{id}\" has not been harvested yet."
            )),
        })
    }
}

impl Layer {
    /// Whether and since when its source is not there any more, be it served yet or not.
    pub fn withdrawal(&self) -> Option<&Withdrawal> {
        let at = self.current.as_ref().or(self.withdrawn.as_ref())?;
        at.version.source.withdrawn.as_deref()
    }

    /// What is said of a layer whose source was taken away.
    fn gone(&self) -> Error {
        let Some(Withdrawal { since, text: Text { fr, en }, .. }) = self.withdrawal() else {
            return Error::broken("a layer that is not withdrawn");
        };
        let (id, day) = (&self.def.id, since.strftime("%Y-%m-%d"));
        let text = text!(
            "La couche « {id} » n'est plus servie : sa source a disparu (depuis le {day} ; {fr}).",
            "Layer \"{id}\" is served no longer: its source is gone (since {day}; {en})."
        );
        Error::Gone { text, follow: None }
    }
}

/// All layers at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// By id.
    pub layers: BTreeMap<LayerId, Arc<Layer>>,
    /// The store's generation it was made from.
    pub generation: u64,
    /// The territory reference that its reach indexes are made under.
    pub reference: ReferenceState,
    /// Whether the store was read: before that no layer is known to have a version or none.
    pub read: bool,
    /// When the next layer whose source was taken away ceases to be served.
    pub until: Option<Timestamp>,
}

impl Snapshot {
    /// A layer by the text of its id.
    pub fn layer(&self, id: &str) -> Result<&Arc<Layer>> {
        self.layers.get(id).ok_or_else(|| {
            let id: String = id.chars().take(80).collect();
            let list: Vec<&str> = self.layers.keys().map(LayerId::as_str).take(50).collect();
            let list = list.join(", ");
            Error::NotFound(text!(
                "Couche inconnue : « {id} ». Couches servies : {list}.",
                "Unknown layer: \"{id}\". Layers served: {list}."
            ))
        })
    }

    /// What gives the border of a perimeter, as the layers stand.
    ///
    /// # Errors
    /// [`Error::Conflict`] when no layer does, saying which to harvest.
    pub fn outline(&self, perimeter: &Perimeter) -> Result<Outline> {
        let layers = self.layers.values();
        Outline::new(perimeter, layers.filter_map(|l| Some((&l.def, l.current.as_ref()?))))
    }

    /// Layers that have a current version, by id.
    pub fn served(&self) -> impl Iterator<Item = &Arc<Layer>> {
        self.layers.values().filter(|l| l.current.is_some())
    }
}

/// Holds the snapshot in force.
pub struct Catalog {
    /// What the operator declares, by id.
    defs: Vec<LayerDef>,
    store: Arc<dyn Store>,
    snapshot: ArcSwap<Snapshot>,
    /// When the catalogue was opened: what `asked` counts from.
    opened: Instant,
    /// Milliseconds, plus one, at the first look that got no answer; 0 when the last one did.
    asked: AtomicU64,
}

impl Catalog {
    /// A catalogue of the declared layers over a store; reads the store once. A store that is
    /// out of reach does not keep it from opening: layers wait for it without a version.
    pub async fn open(defs: Vec<LayerDef>, store: Arc<dyn Store>) -> Result<Self> {
        let waiting = Arc::new(Snapshot {
            layers: join(&defs, None, BTreeMap::new(), |_| None),
            ..Snapshot::default()
        });
        let snapshot = ArcSwap::new(waiting);
        let (opened, asked) = (Instant::now(), AtomicU64::new(0));
        let catalog = Self { defs, store, snapshot, opened, asked };
        match catalog.refresh().await {
            Err(error @ (Error::Unavailable(_) | Error::Busy { .. })) => {
                tracing::warn!(cause = error.chain(), "starting without the store");
            }
            other => drop(other?),
        }
        Ok(catalog)
    }

    /// Ready when the store has something new, for stores that tell.
    pub async fn changed(&self) {
        self.store.changed().await;
    }

    /// The snapshot in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// A layer of the snapshot in force: what a tile needs, without a hold on the rest.
    pub fn layer(&self, id: &str) -> Result<Arc<Layer>> {
        self.snapshot.load().layer(id).cloned()
    }

    /// The declared layers.
    pub fn defs(&self) -> &[LayerDef] {
        &self.defs
    }

    /// For how long the store has not confirmed that the snapshot is the latest; `None` while it
    /// does. The snapshot stays in force all the same: better old than nothing.
    pub fn stale(&self) -> Option<Duration> {
        let asked = self.asked.load(Ordering::Relaxed).checked_sub(1)?;
        let silent = self.opened.elapsed().saturating_sub(Duration::from_millis(asked));
        (silent >= GRACE).then_some(silent)
    }

    /// Reads the store again when its generation moved; `true` when the snapshot was swapped.
    ///
    /// # Errors
    /// What the store fails with; the snapshot in force stays, and is [`Catalog::stale`] from the
    /// first look that failed, or hangs, to the next that succeeds.
    pub async fn refresh(&self) -> Result<bool> {
        let now = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1;
        let _ = self.asked.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        let swapped = self.look().await?;
        self.asked.store(0, Ordering::Relaxed);
        Ok(swapped)
    }

    async fn look(&self) -> Result<bool> {
        let generation = self.store.generation().await?;
        let seen = self.snapshot.load();
        let now = Timestamp::now();
        if seen.read && seen.generation == generation && seen.until.is_none_or(|at| now < at) {
            return Ok(false);
        }
        let (reference, mut current) = self.states().await?;
        let until = current.values().filter_map(|at| at.version.source.withdrawn.as_ref()?.until);
        let until = until.filter(|at| now < *at).min();
        let withdrawn = withdrawn(&mut current, now);
        let refused = |id: &LayerId| self.store.refused(id);
        let layers = join(&self.defs, Some(current), withdrawn, refused);
        self.snapshot.store(Arc::new(Snapshot {
            layers,
            generation,
            reference,
            read: true,
            until,
        }));
        Ok(true)
    }

    /// What is current under the reference in force: both read at one moment.
    async fn states(&self) -> Result<(ReferenceState, BTreeMap<LayerId, At>)> {
        let mut reference = self.store.reference().await?;
        loop {
            let mut current = self.store.current().await?;
            let again = self.store.reference().await?;
            if again.serial == reference.serial {
                for (id, at) in &mut current {
                    at.reach = reference.reach(id, &at.version.id, &at.reach).to_owned();
                }
                return Ok((reference, current));
            }
            reference = again;
        }
    }
}

/// Takes out the states whose source was taken away, once their time of grace is over.
fn withdrawn(current: &mut BTreeMap<LayerId, At>, now: Timestamp) -> BTreeMap<LayerId, At> {
    let over = |at: &At| {
        at.version.source.withdrawn.as_ref().is_some_and(|w| w.until.is_some_and(|at| at <= now))
    };
    let (gone, served) = std::mem::take(current).into_iter().partition(|(_, at)| over(at));
    *current = served;
    gone
}

/// What is declared, with what the store holds of it; `None`: nobody knows yet.
fn join(
    defs: &[LayerDef],
    current: Option<BTreeMap<LayerId, At>>,
    mut withdrawn: BTreeMap<LayerId, At>,
    refused: impl Fn(&LayerId) -> Option<Text>,
) -> BTreeMap<LayerId, Arc<Layer>> {
    let known = current.is_some();
    let mut current = current.unwrap_or_default();
    // What is made from another layer says what that one does.
    let of_base = |def: &LayerDef| {
        let base = current.get(&def.derived()?.from)?;
        Some((def.id.clone(), base.version.source.dataset.clone()?))
    };
    let told: BTreeMap<_, _> = defs.iter().filter_map(of_base).collect();
    let layer = |def: &LayerDef| {
        let mut def = def.clone();
        let current = current.remove(&def.id);
        match current.as_ref().and_then(|at| at.version.live.as_deref()) {
            Some(live) => describe(&mut def, live),
            None if def.is_live() => describe(&mut def, &Live::default()),
            None => {}
        }
        let of_source = current.as_ref().and_then(|at| at.version.source.dataset.as_deref());
        def.complete(told.get(&def.id).map(|dataset| &**dataset).or(of_source));
        let refused = refused(&def.id).filter(|_| current.is_none());
        let withdrawn = withdrawn.remove(&def.id);
        let layer = Layer { def, current, known, refused, withdrawn };
        (layer.def.id.clone(), Arc::new(layer))
    };
    // A level that no commune draws here, or draws any more, is no layer, rather than one that waits
    // for ever or has nothing to show.
    let there = |(_, layer): &(LayerId, Arc<Layer>)| {
        let drawn = layer.current.as_ref().is_some_and(|at| at.version.count > 0);
        !known || drawn || layer.def.derived().is_none()
    };
    defs.iter().map(layer).filter(there).collect()
}

/// Completes what is declared of a table with what the table says of itself, and tells people
/// what it costs.
fn describe(def: &mut LayerDef, live: &Live) {
    if def.title.fr.is_empty() {
        let title = live.title.clone().unwrap_or_else(|| def.id.to_string());
        def.title = Text::new(title.clone(), title);
    }
    if def.description.fr.is_empty()
        && let Some(words) = &live.description
    {
        def.description = Text::new(words.clone(), words.clone());
    }
    for notice in &live.notices {
        for (all, one) in
            [(&mut def.description.fr, &notice.fr), (&mut def.description.en, &notice.en)]
        {
            if !all.is_empty() {
                all.push_str("\n\n");
            }
            all.push_str(one);
        }
    }
}
