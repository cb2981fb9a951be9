//! One layer of a tile, written as features come.

use super::{
    EXTENT,
    wire::{self, BYTES, VARINT},
};
use rustc_hash::FxBuildHasher;
use std::collections::HashMap;

/// Values of a property before it is judged.
const JUDGED: u32 = 4096;
/// A property of whose values fewer than one in this many was met before is not looked up any
/// more.
const WORTH: u32 = 32;

/// How often the values of a property were met before in the tile. Identifiers and names hardly
/// ever are: looking each up among hundreds of thousands costs more than the rest of the drawing,
/// and MVT allows a value to be written twice.
#[derive(Debug, Clone, Copy, Default)]
struct Repeats {
    seen: u32,
    met: u32,
}

impl Repeats {
    fn hopeless(self) -> bool {
        self.seen >= JUDGED && self.met < self.seen / WORTH
    }
}

/// Builds a tile of one layer (MVT 2.1). Tags are borrowed from where the store left them.
pub struct LayerWriter<'a> {
    name: &'a str,
    names: &'a [String],
    /// By index in `names`, the key's index in this tile plus one.
    key_index: Vec<u32>,
    /// By index in `names`, whether its tags are left out.
    hidden: Vec<bool>,
    /// By index in `names`.
    repeats: Vec<Repeats>,
    /// The keys of this tile, as indices in `names`.
    keys: Vec<u32>,
    values: Vec<&'a [u8]>,
    value_index: HashMap<&'a [u8], u32, FxBuildHasher>,
    /// `Feature` fields, encoded.
    features: Vec<u8>,
    /// The tags of the feature being written.
    tags: Vec<u8>,
}

/// The tags cannot be read: the key is not in the list, or they are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a feature's tags cannot be decoded")]
pub struct CorruptTags;

impl<'a> LayerWriter<'a> {
    /// A layer of that name for features whose tags index `names`.
    pub fn new(name: &'a str, names: &'a [String]) -> Self {
        Self {
            name,
            names,
            key_index: vec![0; names.len()],
            hidden: vec![false; names.len()],
            repeats: vec![Repeats::default(); names.len()],
            keys: Vec::new(),
            values: Vec::new(),
            value_index: HashMap::default(),
            features: Vec::new(),
            tags: Vec::new(),
        }
    }

    /// Leaves out the properties whose names `shown` does not let through.
    #[must_use]
    pub fn showing(mut self, shown: impl Fn(&str) -> bool) -> Self {
        self.hidden = self.names.iter().map(|name| !shown(name)).collect();
        self
    }

    /// Makes room for about as many features, with that many bytes of tags and geometry.
    pub fn reserve(&mut self, features: usize, bytes: usize) {
        self.features.reserve(bytes + 16 * features);
        self.values.reserve(features);
        self.value_index.reserve(features);
    }

    /// Adds a feature: its id, `GeomType` (1 points, 2 lines, 3 polygons), geometry commands and
    /// tags (see [`super::tags`]).
    pub fn feature(
        &mut self,
        id: u64,
        kind: u8,
        geometry: &[u8],
        tags: &'a [u8],
    ) -> Result<(), CorruptTags> {
        self.index(tags).ok_or(CorruptTags)?;
        let packed = |len: usize| match len {
            0 => 0,
            len => 1 + wire::varint_len(len as u64) + len,
        };
        let body = 1 + wire::varint_len(id) + packed(self.tags.len()) + 2 + packed(geometry.len());
        let out = &mut self.features;
        out.push(wire::key(2, BYTES));
        wire::push_varint(out, body as u64);
        out.push(wire::key(1, VARINT));
        wire::push_varint(out, id);
        if !self.tags.is_empty() {
            wire::push_bytes(out, 2, &self.tags);
        }
        out.push(wire::key(3, VARINT));
        out.push(kind);
        if !geometry.is_empty() {
            wire::push_bytes(out, 4, geometry);
        }
        Ok(())
    }

    /// Turns tags into this tile's pairs of key and value indices.
    fn index(&mut self, mut tags: &'a [u8]) -> Option<()> {
        self.tags.clear();
        while !tags.is_empty() {
            let name = u32::try_from(wire::take_varint(&mut tags)?).ok()?;
            let value = wire::take_bytes(&mut tags)?;
            if *self.hidden.get(name as usize)? {
                continue;
            }
            let key = self.key_index.get_mut(name as usize)?;
            if *key == 0 {
                self.keys.push(name);
                *key = u32::try_from(self.keys.len()).ok()?;
            }
            let next = u32::try_from(self.values.len()).ok()?;
            let repeats = self.repeats.get_mut(name as usize)?;
            let value = if repeats.hopeless() {
                self.values.push(value);
                next
            } else {
                let known = *self.value_index.entry(value).or_insert_with(|| {
                    self.values.push(value);
                    next
                });
                repeats.seen += 1;
                repeats.met += u32::from(known != next);
                known
            };
            wire::push_varint(&mut self.tags, (*key - 1).into());
            wire::push_varint(&mut self.tags, value.into());
        }
        Some(())
    }

    /// The tile; `None` when it holds no feature, since MVT allows no empty layer.
    pub fn finish(self) -> Option<Vec<u8>> {
        if self.features.is_empty() {
            return None;
        }
        let keys = || self.keys.iter().filter_map(|k| self.names.get(*k as usize));
        let field = |len: usize| 1 + wire::varint_len(len as u64) + len;
        let body = field(self.name.len())
            + self.features.len()
            + keys().map(|k| field(k.len())).sum::<usize>()
            + self.values.iter().map(|v| field(v.len())).sum::<usize>()
            + 1
            + wire::varint_len(EXTENT.into())
            + 2;
        let mut out = Vec::with_capacity(field(body));
        out.push(wire::key(3, BYTES));
        wire::push_varint(&mut out, body as u64);
        wire::push_bytes(&mut out, 1, self.name.as_bytes());
        out.extend_from_slice(&self.features);
        for key in keys() {
            wire::push_bytes(&mut out, 3, key.as_bytes());
        }
        for value in &self.values {
            wire::push_bytes(&mut out, 4, value);
        }
        out.push(wire::key(5, VARINT));
        wire::push_varint(&mut out, EXTENT.into());
        out.push(wire::key(15, VARINT));
        out.push(2);
        debug_assert_eq!(out.len(), field(body));
        Some(out)
    }
}

/// Appends an unsigned integer of a geometry: a command, or a parameter after [`zigzag`].
#[inline]
pub fn push_varint(out: &mut Vec<u8>, v: u32) {
    if v < 0x80 {
        #[expect(clippy::cast_possible_truncation, reason = "seven bits")]
        out.push(v as u8);
    } else {
        wire::push_varint(out, v.into());
    }
}

/// A signed integer of a geometry as an unsigned one (0, -1, 1, -2 … → 0, 1, 2, 3 …).
#[inline]
pub fn zigzag(v: i32) -> u32 {
    (v.cast_unsigned() << 1) ^ (v >> 31).cast_unsigned()
}
