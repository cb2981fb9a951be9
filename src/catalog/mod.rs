//! Layers and which version of each is current: an immutable snapshot, swapped whole. It joins
//! what the operator declares (`config`) with what the store holds; it answers no query.

use crate::{
    error::{Error, Result},
    model::{LayerDef, LayerId},
    store::{At, Store},
    text,
};
use arc_swap::ArcSwap;
use std::{collections::BTreeMap, sync::Arc};

/// A layer as it stands.
#[derive(Debug, Clone)]
pub struct Layer {
    /// What the operator declares.
    pub def: LayerDef,
    /// Its current version; `None` before the first harvest.
    pub current: Option<At>,
    /// Whether the store said so, or was never reached.
    pub known: bool,
}

impl Layer {
    /// The current version, or the reason there is none.
    pub fn at(&self) -> Result<&At> {
        let id = &self.def.id;
        self.current.as_ref().ok_or_else(|| match self.known {
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

/// All layers at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// By id.
    pub layers: BTreeMap<LayerId, Arc<Layer>>,
    /// The store's generation it was made from.
    pub generation: u64,
    /// Whether the store was read: before that no layer is known to have a version or none.
    pub read: bool,
}

impl Snapshot {
    /// A layer by the text of its id.
    pub fn layer(&self, id: &str) -> Result<&Arc<Layer>> {
        let known = id.parse::<LayerId>().ok().and_then(|id| self.layers.get(&id));
        known.ok_or_else(|| {
            let id: String = id.chars().take(80).collect();
            let list: Vec<&str> = self.layers.keys().map(LayerId::as_str).take(50).collect();
            let list = list.join(", ");
            Error::NotFound(text!(
                "Couche inconnue : « {id} ». Couches servies : {list}.",
                "Unknown layer: \"{id}\". Layers served: {list}."
            ))
        })
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
}

impl Catalog {
    /// A catalogue of the declared layers over a store; reads the store once. A store that is
    /// out of reach does not keep it from opening: layers wait for it without a version.
    pub async fn open(defs: Vec<LayerDef>, store: Arc<dyn Store>) -> Result<Self> {
        let waiting = Arc::new(Snapshot { layers: join(&defs, None), ..Snapshot::default() });
        let catalog = Self { defs, store, snapshot: ArcSwap::new(waiting) };
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

    /// The declared layers.
    pub fn defs(&self) -> &[LayerDef] {
        &self.defs
    }

    /// Reads the store again when its generation moved; `true` when the snapshot was swapped.
    pub async fn refresh(&self) -> Result<bool> {
        let generation = self.store.generation().await?;
        let seen = self.snapshot.load();
        if seen.read && seen.generation == generation {
            return Ok(false);
        }
        let layers = join(&self.defs, Some(self.store.current().await?));
        self.snapshot.store(Arc::new(Snapshot { layers, generation, read: true }));
        Ok(true)
    }
}

/// What is declared, with what the store holds of it; `None`: nobody knows yet.
fn join(
    defs: &[LayerDef],
    current: Option<BTreeMap<LayerId, At>>,
) -> BTreeMap<LayerId, Arc<Layer>> {
    let known = current.is_some();
    let mut current = current.unwrap_or_default();
    let layer = |def: &LayerDef| {
        let layer = Layer { def: def.clone(), current: current.remove(&def.id), known };
        (def.id.clone(), Arc::new(layer))
    };
    defs.iter().map(layer).collect()
}
