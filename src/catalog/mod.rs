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
}

impl Layer {
    /// The current version, or the reason there is none.
    pub fn at(&self) -> Result<&At> {
        let id = &self.def.id;
        self.current.as_ref().ok_or_else(|| {
            Error::Unavailable(text!(
                "La couche « {id} » n'a pas encore été moissonnée.",
                "Layer \"{id}\" has not been harvested yet."
            ))
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
    /// A catalogue of the declared layers over a store; reads the store once.
    pub async fn open(defs: Vec<LayerDef>, store: Arc<dyn Store>) -> Result<Self> {
        let catalog = Self { defs, store, snapshot: ArcSwap::default() };
        catalog.refresh().await?;
        Ok(catalog)
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
        if seen.generation == generation && !seen.layers.is_empty() {
            return Ok(false);
        }
        let mut current = self.store.current().await?;
        let layers = self
            .defs
            .iter()
            .map(|def| {
                let layer = Layer { def: def.clone(), current: current.remove(&def.id) };
                (def.id.clone(), Arc::new(layer))
            })
            .collect();
        self.snapshot.store(Arc::new(Snapshot { layers, generation }));
        Ok(true)
    }
}
