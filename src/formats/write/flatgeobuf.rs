//! FlatGeobuf 3 (<https://flatgeobuf.org>, schema `header.fbs` and `feature.fbs`): features in the
//! order of a Hilbert curve behind a packed R-tree, so that a reader over HTTP fetches only what
//! it needs.
//!
//! Features wait in a spool as they are encoded; in memory stays what sorts them, 48 bytes each.

use super::{Head, Options, Row, Spool, Target, Writer, broken, io, no_layer, one_layer_only};
use crate::{
    error::Result,
    formats::wkb::{self, Broken, Cursor, Header, Kind},
    model::{FieldKind, GeometryKind, ValueRef, hilbert},
};
use flatbuffers::{FlatBufferBuilder, TableFinishedWIPOffset, VOffsetT, WIPOffset};
use std::io::Write;

const MAGIC: [u8; 8] = [b'f', b'g', b'b', 3, b'f', b'g', b'b', 0];
/// Children of a node of the tree.
const NODE: usize = 16;
const EMPTY: [f64; 4] = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];

type Builder = FlatBufferBuilder<'static>;

pub(super) fn open(target: Target, _: Options) -> Result<Box<dyn Writer>> {
    let spool = Spool::new(&target.scratch);
    Ok(Box::new(FlatGeobuf {
        target,
        spool,
        head: None,
        leaves: Vec::new(),
        extent: EMPTY,
        builder: Builder::new(),
        properties: Vec::new(),
    }))
}

struct FlatGeobuf {
    target: Target,
    spool: Spool,
    head: Option<Head>,
    leaves: Vec<Leaf>,
    extent: [f64; 4],
    builder: Builder,
    properties: Vec<u8>,
}

/// A feature as the tree knows it.
#[derive(Clone, Copy)]
struct Leaf {
    bounds: [f64; 4],
    /// Where it lies in the spool.
    at: u64,
    size: u32,
    rank: u32,
}

/// The slot of a table's field, by its position in the schema.
const fn slot(position: VOffsetT) -> VOffsetT {
    4 + 2 * position
}

impl Writer for FlatGeobuf {
    fn begin(&mut self, head: &Head) -> Result<()> {
        if self.head.is_some() {
            return Err(one_layer_only());
        }
        self.head = Some(head.clone());
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>) -> Result<()> {
        let head = self.head.as_ref().ok_or_else(no_layer)?;
        let fbb = &mut self.builder;
        fbb.reset();
        let shape = match row.wkb {
            Some(wkb) => {
                let mut cursor = Cursor::new(wkb);
                let header = cursor.header().map_err(broken)?;
                Some(geometry(&mut cursor, &header, 0, fbb).map_err(broken)?)
            }
            None => None,
        };
        self.properties.clear();
        for (i, value) in row.values.iter().take(head.schema.fields.len()).enumerate() {
            property(i, *value, &mut self.properties);
        }
        let properties = fbb.create_vector(&self.properties);
        let table = fbb.start_table();
        if let Some(shape) = shape {
            fbb.push_slot_always(slot(0), shape);
        }
        fbb.push_slot_always(slot(1), properties);
        let feature = fbb.end_table(table);
        fbb.finish_size_prefixed(feature, None);
        let bounds = row.wkb.map(wkb::bounds).transpose().map_err(broken)?.flatten();
        let bounds = bounds.unwrap_or(EMPTY);
        let bytes = fbb.finished_data();
        let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.leaves.push(Leaf { bounds, at: self.spool.len(), size, rank: 0 });
        self.extent = union(self.extent, bounds);
        self.spool.push(bytes)
    }

    fn end(&mut self) -> Result<()> {
        self.spool.seal()
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        let head = self.head.take().ok_or_else(no_layer)?;
        let indexed = head.schema.geometry != GeometryKind::None && !self.leaves.is_empty();
        let bytes = header(&head, self.leaves.len(), self.extent, indexed);
        let out = &mut *self.target.out;
        out.write_all(&MAGIC).map_err(io)?;
        out.write_all(&bytes).map_err(io)?;
        if !indexed {
            self.spool.copy(out)?;
            return out.flush().map_err(io);
        }
        for leaf in &mut self.leaves {
            leaf.rank = rank(leaf.bounds, self.extent);
        }
        // Equal ranks stay in source order: the same layer gives the same file.
        self.leaves.sort_unstable_by_key(|leaf| (leaf.rank, leaf.at));
        tree(&self.leaves, out)?;
        let mut feature = Vec::new();
        for leaf in &self.leaves {
            self.spool.read(leaf.at, leaf.size as usize, &mut feature)?;
            out.write_all(&feature).map_err(io)?;
        }
        out.flush().map_err(io)
    }
}

/// The codes of geometry types, which are those of WKB.
fn geometry_type(kind: GeometryKind) -> u8 {
    match kind {
        GeometryKind::Point => 1,
        GeometryKind::LineString => 2,
        GeometryKind::Polygon => 3,
        GeometryKind::MultiPoint => 4,
        GeometryKind::MultiLineString => 5,
        GeometryKind::MultiPolygon => 6,
        GeometryKind::None | GeometryKind::Geometry => 0,
    }
}

/// `ColumnType` of the schema. Dates are instants there: it has no type of their own.
fn column_type(kind: FieldKind) -> u8 {
    match kind {
        FieldKind::Bool => 2,
        FieldKind::Int => 7,
        FieldKind::Float => 10,
        FieldKind::Text => 11,
        FieldKind::Json => 12,
        FieldKind::Date | FieldKind::DateTime => 13,
    }
}

/// The header table, with its size before it.
fn header(head: &Head, count: usize, extent: [f64; 4], indexed: bool) -> Vec<u8> {
    let mut fbb = Builder::new();
    let name = fbb.create_string(&head.name);
    let title = fbb.create_string(&head.title);
    let description = fbb.create_string(&head.description);
    let metadata = fbb.create_string(&head.metadata().to_string());
    let envelope = (extent[0] <= extent[2]).then(|| fbb.create_vector(&extent));
    let columns: Vec<_> = head
        .schema
        .fields
        .iter()
        .map(|field| {
            let name = fbb.create_string(&field.name);
            let table = fbb.start_table();
            fbb.push_slot_always(slot(0), name);
            fbb.push_slot(slot(1), column_type(field.kind), 0u8);
            fbb.end_table(table)
        })
        .collect();
    let columns = fbb.create_vector(&columns);
    let org = fbb.create_string("EPSG");
    let wkt = fbb.create_string(head.system.wkt);
    let table = fbb.start_table();
    fbb.push_slot_always(slot(0), org);
    fbb.push_slot(slot(1), i32::try_from(head.system.code).unwrap_or(0), 0i32);
    fbb.push_slot_always(slot(4), wkt);
    let crs = fbb.end_table(table);
    let table = fbb.start_table();
    fbb.push_slot(slot(8), count as u64, 0u64);
    fbb.push_slot_always(slot(0), name);
    if let Some(envelope) = envelope {
        fbb.push_slot_always(slot(1), envelope);
    }
    fbb.push_slot_always(slot(7), columns);
    if head.schema.geometry != GeometryKind::None {
        fbb.push_slot_always(slot(10), crs);
    }
    fbb.push_slot_always(slot(11), title);
    fbb.push_slot_always(slot(12), description);
    fbb.push_slot_always(slot(13), metadata);
    fbb.push_slot(slot(9), if indexed { NODE as u16 } else { 0 }, 16u16);
    fbb.push_slot(slot(2), geometry_type(head.schema.geometry), 0u8);
    let root = fbb.end_table(table);
    fbb.finish_size_prefixed(root, None);
    fbb.finished_data().to_vec()
}

fn geometry(
    c: &mut Cursor<'_>,
    h: &Header,
    depth: u8,
    fbb: &mut Builder,
) -> Result<WIPOffset<TableFinishedWIPOffset>, Broken> {
    if depth >= 32 {
        return Err(Broken::TooDeep);
    }
    let (mut xy, mut ends, mut parts): (Vec<f64>, Vec<u32>, Vec<_>) = Default::default();
    let add = |positions: wkb::Positions<'_>, xy: &mut Vec<f64>| {
        xy.reserve(2 * positions.len());
        positions.for_each(|p| xy.extend([p.x, p.y]));
    };
    let end = |xy: &[f64]| u32::try_from(xy.len() / 2).unwrap_or(u32::MAX);
    match h.kind {
        Kind::Point => xy.extend(c.point(h)?.iter().flat_map(|p| [p.x, p.y])),
        Kind::LineString => add(c.line(h)?, &mut xy),
        Kind::Polygon => {
            for _ in 0..c.rings(h)? {
                add(c.line(h)?, &mut xy);
                ends.push(end(&xy));
            }
        }
        Kind::MultiPoint => {
            for _ in 0..c.parts(h)? {
                let part = c.part(h)?;
                xy.extend(c.point(&part)?.iter().flat_map(|p| [p.x, p.y]));
            }
        }
        Kind::MultiLineString => {
            for _ in 0..c.parts(h)? {
                let part = c.part(h)?;
                add(c.line(&part)?, &mut xy);
                ends.push(end(&xy));
            }
        }
        Kind::MultiPolygon | Kind::GeometryCollection => {
            for _ in 0..c.parts(h)? {
                let part = c.part(h)?;
                parts.push(geometry(c, &part, depth + 1, fbb)?);
            }
        }
    }
    // One ring or line needs no ends.
    let ends = (ends.len() > 1).then(|| fbb.create_vector(&ends));
    let xy = (!xy.is_empty()).then(|| fbb.create_vector(&xy));
    let parts = (!parts.is_empty()).then(|| fbb.create_vector(&parts));
    let table = fbb.start_table();
    if let Some(ends) = ends {
        fbb.push_slot_always(slot(0), ends);
    }
    if let Some(xy) = xy {
        fbb.push_slot_always(slot(1), xy);
    }
    if let Some(parts) = parts {
        fbb.push_slot_always(slot(7), parts);
    }
    fbb.push_slot(slot(6), u8::try_from(h.kind.code()).unwrap_or(0), 0u8);
    Ok(fbb.end_table(table))
}

/// A property: its column, then its value; what is null is left out.
fn property(column: usize, value: ValueRef<'_>, out: &mut Vec<u8>) {
    if matches!(value, ValueRef::Null) {
        return;
    }
    out.extend_from_slice(&u16::try_from(column).unwrap_or(u16::MAX).to_le_bytes());
    match value {
        ValueRef::Null => {}
        ValueRef::Bool(b) => out.push(u8::from(b)),
        ValueRef::Int(i) => out.extend_from_slice(&i.to_le_bytes()),
        ValueRef::Float(f) => out.extend_from_slice(&f.to_le_bytes()),
        ValueRef::Text(s) | ValueRef::Json(s) => {
            out.extend_from_slice(&u32::try_from(s.len()).unwrap_or(u32::MAX).to_le_bytes());
            out.extend_from_slice(s.as_bytes());
        }
    }
}

fn union(a: [f64; 4], b: [f64; 4]) -> [f64; 4] {
    [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]
}

/// Where a box's centre lies along a Hilbert curve over the extent.
fn rank(bounds: [f64; 4], extent: [f64; 4]) -> u32 {
    if bounds[0] > bounds[2] {
        return u32::MAX; // without geometry: last
    }
    let side = f64::from((1u32 << hilbert::ORDER) - 1);
    let cell = |low: f64, high: f64, from: f64, to: f64| {
        let width = to - from;
        // Saturating: a single place has no width.
        if width > 0.0 { (((low + high) / 2.0 - from) / width * side) as u32 } else { 0 }
    };
    let x = cell(bounds[0], bounds[2], extent[0], extent[2]);
    let y = cell(bounds[1], bounds[3], extent[1], extent[3]);
    hilbert::distance(x, y)
}

/// Writes the packed tree, root first: 40 bytes a node, its box and where its first child lies
/// (a node's position in the tree; for a leaf, a feature's first byte).
fn tree(leaves: &[Leaf], out: &mut dyn Write) -> Result<()> {
    let fold = |boxes: &mut dyn Iterator<Item = [f64; 4]>| boxes.fold(EMPTY, union);
    // Levels above the leaves, lowest first; there is one even above a single leaf.
    let mut levels: Vec<Vec<[f64; 4]>> =
        vec![leaves.chunks(NODE).map(|c| fold(&mut c.iter().map(|l| l.bounds))).collect()];
    while let Some(last) = levels.last().filter(|l| l.len() > 1) {
        levels.push(last.chunks(NODE).map(|c| fold(&mut c.iter().copied())).collect());
    }
    let mut buffer = Vec::with_capacity(1 << 16);
    let mut below = 0; // nodes of the levels already written, and the one at hand
    for level in levels.iter().rev() {
        below += level.len();
        for (i, bounds) in level.iter().enumerate() {
            node(*bounds, (below + i * NODE) as u64, &mut buffer);
        }
    }
    let mut at = 0;
    for leaf in leaves {
        node(leaf.bounds, at, &mut buffer);
        at += u64::from(leaf.size);
        if buffer.len() >= 1 << 16 {
            out.write_all(&buffer).map_err(io)?;
            buffer.clear();
        }
    }
    out.write_all(&buffer).map_err(io)
}

fn node(bounds: [f64; 4], offset: u64, out: &mut Vec<u8>) {
    bounds.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
    out.extend_from_slice(&offset.to_le_bytes());
}
