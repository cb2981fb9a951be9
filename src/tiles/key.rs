//! What names a tile in the cache: every input that changes its bytes.

use crate::{
    model::{LayerId, TileId, live::reach_basis, push_hex},
    query::{Filter, cql2::Expression},
    store::{At, border::Outline},
};
use rustc_hash::FxHasher;
use std::hash::{Hash, Hasher};

/// Changes when the same features would be drawn into other bytes, so that what clients keep
/// from an older program is not taken for current.
pub(super) const DRAWING: u32 = 2;

/// The name of a tile, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    layer: LayerId,
    /// The version; for a live layer, the form of its table.
    version: String,
    reach: String,
    tile: TileId,
    /// For a live layer: the last revision that touched the tile, and what its attachments do
    /// not know yet; else nothing.
    moment: [u64; 2],
    /// Normal form of the territory filter; no filter and an empty one are not the same.
    selection: Option<String>,
    /// Normal form of the CQL2 filter.
    filter: Option<String>,
    /// The border it is cut at, with the state of its layers.
    outline: Option<String>,
}

/// The same, borrowed: looking a tile up allocates nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Lookup<'a> {
    layer: &'a LayerId,
    version: &'a str,
    reach: &'a str,
    tile: TileId,
    moment: [u64; 2],
    selection: Option<&'a str>,
    filter: Option<&'a str>,
    outline: Option<&'a str>,
}

impl<'a> Lookup<'a> {
    pub(super) fn new(
        at: &'a At,
        tile: TileId,
        filter: &'a Filter,
        outline: Option<&'a Outline>,
    ) -> Self {
        let outline = outline.map(|o| o.key.as_str());
        let selection = filter.selection.as_ref().map(|s| s.key.as_str());
        let expression = filter.expression.as_deref();
        let territory = selection.is_some() || expression.is_some_and(Expression::asks_territory);
        let filter = expression.map(Expression::key);
        let (layer, version) = (&at.layer, at.version.id.as_str());
        let Some(live) = &at.version.live else {
            return Self {
                layer,
                version,
                reach: &at.reach,
                tile,
                moment: [0; 2],
                selection,
                filter,
                outline,
            };
        };
        // A revision is named where it touched the tile, and only there.
        let last = live.cells.of(tile);
        let (reach, behind) = match territory {
            true => (reach_basis(&at.reach), live.behind(last)),
            false => ("", 0),
        };
        let moment = [last, behind];
        Self { layer, version: &live.form, reach, tile, moment, selection, filter, outline }
    }

    pub(super) fn to_key(self) -> Key {
        Key {
            layer: self.layer.clone(),
            version: self.version.to_owned(),
            reach: self.reach.to_owned(),
            tile: self.tile,
            moment: self.moment,
            selection: self.selection.map(str::to_owned),
            filter: self.filter.map(str::to_owned),
            outline: self.outline.map(str::to_owned),
        }
    }

    /// 128 bits in hexadecimal: the same in all processes of one program.
    pub(super) fn tag(&self) -> String {
        let half = |seed: u32| {
            let mut hasher = FxHasher::default();
            (seed, DRAWING).hash(&mut hasher);
            self.hash(&mut hasher);
            hasher.finish()
        };
        let mut tag = String::with_capacity(32);
        push_hex(half(0), 16, &mut tag);
        push_hex(half(1), 16, &mut tag);
        tag
    }
}

impl Key {
    fn borrowed(&self) -> Lookup<'_> {
        Lookup {
            layer: &self.layer,
            version: &self.version,
            reach: &self.reach,
            tile: self.tile,
            moment: self.moment,
            selection: self.selection.as_deref(),
            filter: self.filter.as_deref(),
            outline: self.outline.as_deref(),
        }
    }

    /// Bytes it takes.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>()
            + self.layer.as_str().len()
            + self.version.len()
            + self.reach.len()
            + self.selection.as_ref().map_or(0, String::len)
            + self.filter.as_ref().map_or(0, String::len)
            + self.outline.as_ref().map_or(0, String::len)
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.borrowed().hash(state);
    }
}

impl moka::Equivalent<Key> for Lookup<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self == key.borrowed()
    }
}
