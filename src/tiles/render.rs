//! From a tile's features, as an overview stores them, to MVT bytes.

mod companions;

use super::clip::{Box2, Clipper, Rings, Vertex, holds, tidy_ring, twice_area};
use crate::{
    error::{Error, Result},
    formats::mvt::{LayerWriter, push_varint, zigzag},
    geometry::overview::{Encoded, Kind},
    model::{
        Drawing, TileId,
        tile_grid::{Projection, latitude},
    },
    store::{ID_PROPERTY, TileFeature, TileFeatures},
};

const EXTENT: i64 = 4096;

/// Draws a tile of one layer; `None` when nothing is to be seen in it. `buffer` is how far
/// geometry reaches beyond the tile, in 1/4096 of its side.
///
/// # Errors
/// [`Error::Fault`] when stored bytes are damaged: never a tile with holes in their place.
pub fn render(
    features: &TileFeatures,
    tile: TileId,
    layer_name: &str,
    buffer: u16,
) -> Result<Option<Vec<u8>>> {
    render_as(features, tile, layer_name, buffer, None, None)
}

/// The same with what its version's tiles leave out and add; `key` is the field of the features'
/// key, where one is declared.
///
/// # Errors
/// As [`render`].
pub fn render_as(
    features: &TileFeatures,
    tile: TileId,
    layer_name: &str,
    buffer: u16,
    drawing: Option<&Drawing>,
    key: Option<&str>,
) -> Result<Option<Vec<u8>>> {
    let mut layer = LayerWriter::new(layer_name, &features.keys);
    if let Some(drawing) = drawing.filter(|d| !d.from.is_empty()) {
        layer = layer.showing(|name| drawing.shows(name, tile.level()));
    }
    layer.reserve(features.features.len(), features.bytes.len());
    let mut pen = Pen::new(Frame::new(features.band, tile, buffer));
    let broken = |source: Trouble| {
        let (grid, TileId { z, x, y, .. }) = (tile.grid.definition().id, tile);
        Error::fault(format!("tile {z}/{x}/{y} ({grid}) of {layer_name}"), source)
    };
    for feature in &features.features {
        draw(features, feature, &mut pen, &mut layer).map_err(broken)?;
    }
    let mut plain = layer.finish();
    let add = |plain: &mut Option<Vec<u8>>, more: Option<Vec<u8>>| {
        if let Some(more) = more {
            plain.get_or_insert_default().extend(more);
        }
    };
    if let Some(drawing) = drawing.filter(|d| d.labels) {
        let name = Drawing::labels_of(layer_name);
        let shown = |name: &str| drawing.shows(name, tile.level());
        add(&mut plain, companions::labels(features, tile, &name, shown).map_err(broken)?);
    }
    if drawing.is_some_and(|d| d.borders) {
        let (name, key) = (Drawing::borders_of(layer_name), key.unwrap_or(ID_PROPERTY));
        let drawn = companions::borders(features, tile, buffer, &name, key);
        add(&mut plain, drawn.map_err(broken)?);
    }
    Ok(plain)
}

/// What goes wrong with stored bytes.
type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// A range of the features' bytes.
fn bytes<'a>(
    features: &'a TileFeatures,
    range: &std::ops::Range<usize>,
) -> std::result::Result<&'a [u8], &'static str> {
    features.bytes.get(range.clone()).ok_or("a range outside the features' bytes")
}

/// Draws one feature, if any of it is inside.
fn draw<'a>(
    features: &'a TileFeatures,
    feature: &TileFeature,
    pen: &mut Pen,
    layer: &mut LayerWriter<'a>,
) -> std::result::Result<(), Trouble> {
    let geometry = Encoded::read(bytes(features, &feature.geometry)?)?;
    if pen.draw(&geometry)? {
        let tags = bytes(features, &feature.tags)?;
        layer.feature(feature.id, geometry.kind as u8, &pen.commands, tags)?;
    }
    Ok(())
}

/// From a band's grid to a tile's.
#[derive(Debug, Clone, Copy)]
struct Frame {
    /// Bits by which the band is finer than the tile's zoom; negative when it is coarser.
    shift: i32,
    /// How rows become those of a grid of another projection.
    turn: Option<Turn>,
    /// The tile's corner in units of its own zoom.
    origin: Vertex,
    /// The tile with its buffer.
    bounds: Box2,
}

/// From rows of the web-mercator square to parallels evenly spaced.
#[derive(Debug, Clone, Copy)]
struct Turn {
    /// Units of the band along the square's side.
    side: f64,
    /// Units of the tile's zoom from pole to pole.
    height: f64,
}

impl Turn {
    fn new(band: u8, tile: TileId) -> Option<Self> {
        let units = |tiles: f64| EXTENT as f64 * tiles;
        match tile.grid.definition().projection {
            Projection::Mercator => None,
            Projection::Degrees => Some(Self {
                side: units(f64::from(band).exp2()),
                height: units(f64::from(tile.grid.rows(tile.z))),
            }),
        }
    }

    /// As long as the same row is asked for, the same is given: borders stay shared.
    #[expect(clippy::cast_possible_truncation, reason = "rounded, within the grid")]
    fn row(self, y: i32) -> i64 {
        let share = (90.0 - latitude(f64::from(y) / self.side)) / 180.0;
        (share * self.height).round() as i64
    }
}

/// How a feature lies to the tile with its buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Inside,
    Across,
    Outside,
}

impl Frame {
    fn new(band: u8, tile: TileId, buffer: u16) -> Self {
        Self {
            shift: i32::from(band) - i32::from(tile.level()),
            turn: Turn::new(band, tile),
            origin: [i64::from(tile.x) * EXTENT, i64::from(tile.y) * EXTENT],
            bounds: Box2 { min: -i64::from(buffer), max: EXTENT + i64::from(buffer) },
        }
    }

    /// A vertex of the band in the tile's units. Equal vertices stay equal, whatever the feature.
    #[inline]
    fn place(&self, [x, y]: [i32; 2]) -> Vertex {
        let scale = |v: i32| match self.shift {
            0 => i64::from(v),
            s if s > 0 => (i64::from(v) + (1 << (s - 1))) >> s,
            s => i64::from(v) << -s,
        };
        let row = self.turn.map_or_else(|| scale(y), |turn| turn.row(y));
        [scale(x) - self.origin[0], row - self.origin[1]]
    }

    /// Whether a geometry of the band is the tile's own, but for where it starts.
    fn copies(&self) -> bool {
        self.shift == 0 && self.turn.is_none()
    }

    /// Whether vertices may fall together, or rings turn, on the way to the tile's units.
    fn rounds(&self) -> bool {
        self.shift > 0 || (self.shift == 0 && self.turn.is_some())
    }

    fn where_is(&self, [west, north, east, south]: [i32; 4]) -> Place {
        let (low, high) = (self.place([west, north]), self.place([east, south]));
        let Box2 { min, max } = self.bounds;
        if low.iter().any(|v| *v > max) || high.iter().any(|v| *v < min) {
            Place::Outside
        } else if low.iter().all(|v| *v >= min) && high.iter().all(|v| *v <= max) {
            Place::Inside
        } else {
            Place::Across
        }
    }
}

/// Draws geometries into `commands`; its buffers serve all features of a tile.
struct Pen {
    frame: Frame,
    /// MVT commands of the feature drawn last.
    commands: Vec<u8>,
    cursor: [i32; 2],
    stored: Vec<[i32; 2]>,
    path: Vec<Vertex>,
    polygon: Rings,
    clipper: Clipper,
}

impl Pen {
    fn new(frame: Frame) -> Self {
        Self {
            frame,
            commands: Vec::new(),
            cursor: [0; 2],
            stored: Vec::new(),
            path: Vec::new(),
            polygon: Rings::default(),
            clipper: Clipper::default(),
        }
    }

    /// Draws a geometry; `false` when nothing of it is to be seen.
    fn draw(
        &mut self,
        geometry: &Encoded<'_>,
    ) -> std::result::Result<bool, crate::geometry::overview::Corrupt> {
        self.commands.clear();
        self.cursor = [0; 2];
        let place = self.frame.where_is(geometry.bounds);
        if place == Place::Outside {
            return Ok(false);
        }
        if place == Place::Inside && self.frame.copies() {
            // The band's commands are the tile's, but for where they start.
            let first = geometry.first_move()?;
            push_varint(&mut self.commands, first.command);
            self.push_param(self.frame.place(first.to));
            self.commands.extend_from_slice(first.rest);
            return Ok(true);
        }
        let clip = place == Place::Across;
        let mut paths = geometry.paths();
        let mut in_polygon = false;
        while paths.next_into(&mut self.stored)? {
            match geometry.kind {
                Kind::Points => self.points(),
                Kind::Lines => self.line(clip),
                Kind::Polygons => {
                    let exterior = stored_area(&self.stored) > 0;
                    if exterior && clip {
                        self.end_polygon();
                    }
                    if exterior || in_polygon {
                        let drawn = self.ring(exterior, clip);
                        in_polygon = if exterior { drawn } else { in_polygon };
                    }
                }
            }
        }
        self.end_polygon();
        Ok(!self.commands.is_empty())
    }

    fn points(&mut self) {
        self.path.clear();
        for v in &self.stored {
            let v = self.frame.place(*v);
            if self.frame.bounds.contains(v) && self.path.last() != Some(&v) {
                self.path.push(v);
            }
        }
        if !self.path.is_empty() {
            self.push_command(1, self.path.len());
            self.push_path(0);
        }
    }

    fn line(&mut self, clip: bool) {
        self.path.clear();
        let frame = self.frame;
        if !clip {
            for v in &self.stored {
                let v = frame.place(*v);
                if self.path.last() != Some(&v) {
                    self.path.push(v);
                }
            }
            self.push_line();
            return;
        }
        for i in 1..self.stored.len() {
            self.segment(frame.place(self.stored[i - 1]), frame.place(self.stored[i]));
        }
        self.push_line();
    }

    /// Adds what of a segment is inside to the line being drawn.
    fn segment(&mut self, a: Vertex, b: Vertex) {
        let Some((a, b)) = self.frame.bounds.clip_segment(a, b) else { return };
        if self.path.last() != Some(&a) {
            self.push_line();
            self.path.push(a);
        }
        if a != b {
            self.path.push(b);
        }
    }

    /// Draws lines in the tile's units as one feature; `false` when nothing of them is inside.
    fn draw_lines(&mut self, lines: &[Vec<Vertex>]) -> bool {
        self.commands.clear();
        self.cursor = [0; 2];
        for line in lines {
            self.path.clear();
            for pair in line.windows(2) {
                self.segment(pair[0], pair[1]);
            }
            self.push_line();
        }
        !self.commands.is_empty()
    }

    /// Draws one point in the tile's units.
    fn draw_point(&mut self, at: Vertex) {
        self.commands.clear();
        self.cursor = [0; 2];
        self.push_command(1, 1);
        self.push_param(at);
    }

    /// Writes the line in `path`, if it is one, and empties it.
    fn push_line(&mut self) {
        if self.path.len() > 1 {
            self.push_command(1, 1);
            self.push_path_with(2);
        }
        self.path.clear();
    }

    /// Writes a ring, or keeps it to be cut with its polygon; `false` when it has no area left.
    fn ring(&mut self, exterior: bool, clip: bool) -> bool {
        self.path.clear();
        for v in &self.stored {
            let v = self.frame.place(*v);
            if self.path.last() != Some(&v) {
                self.path.push(v);
            }
        }
        // Magnified rings are as they were, and too large to be measured before they are cut.
        let measured = !clip || self.frame.rounds();
        if measured {
            tidy_ring(&mut self.path);
            let area = twice_area(&self.path);
            // A ring turned inside out by rounding is as good as none.
            if self.path.len() < 3 || area == 0 || (area > 0) != exterior {
                return false;
            }
        }
        if clip {
            self.polygon.push(&self.path);
        } else {
            self.push_ring();
        }
        true
    }

    /// Cuts and writes the polygon kept, if any: each exterior, then its holes.
    fn end_polygon(&mut self) {
        if self.polygon.is_empty() {
            return;
        }
        let mut polygon = std::mem::take(&mut self.polygon);
        self.clipper.clip(&mut polygon, self.frame.bounds);
        let exteriors = || polygon.iter().filter(|r| twice_area(r) > 0);
        let alone = exteriors().nth(1).is_none();
        for exterior in exteriors() {
            if !self.push_cut(exterior) {
                continue;
            }
            for hole in polygon.iter().filter(|r| twice_area(r) < 0) {
                if alone || hole.first().is_some_and(|v| holds(exterior, *v)) {
                    self.push_cut(hole);
                }
            }
        }
        polygon.clear();
        self.polygon = polygon;
    }

    /// Tidies and writes a ring of a cut polygon; `false` when nothing is left of it.
    fn push_cut(&mut self, ring: &[Vertex]) -> bool {
        self.path.clear();
        self.path.extend_from_slice(ring);
        tidy_ring(&mut self.path);
        let visible = self.path.len() > 2;
        if visible {
            self.push_ring();
        }
        visible
    }

    /// Writes the ring in `path`.
    fn push_ring(&mut self) {
        self.push_command(1, 1);
        self.push_path_with(2);
        self.push_command(7, 1);
    }

    /// Writes the first vertex of `path`, then the others behind a command of their own.
    fn push_path_with(&mut self, command: u32) {
        if let Some(first) = self.path.first().copied() {
            self.push_param(first);
            self.push_command(command, self.path.len() - 1);
            self.push_path(1);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "fewer vertices than 2^29 in a tile")]
    fn push_command(&mut self, id: u32, count: usize) {
        push_varint(&mut self.commands, ((count as u32) << 3) | id);
    }

    fn push_path(&mut self, from: usize) {
        for i in from..self.path.len() {
            self.push_param(self.path[i]);
        }
    }

    /// Writes a vertex inside the frame, relative to the one before.
    #[expect(clippy::cast_possible_truncation, reason = "inside the frame: 17 bits")]
    #[inline]
    fn push_param(&mut self, v: Vertex) {
        let [x, y] = v.map(|c| c as i32);
        push_varint(&mut self.commands, zigzag(x.wrapping_sub(self.cursor[0])));
        push_varint(&mut self.commands, zigzag(y.wrapping_sub(self.cursor[1])));
        self.cursor = [x, y];
    }
}

/// Twice the area of a ring as stored: its sign tells exteriors from holes.
fn stored_area(ring: &[[i32; 2]]) -> i64 {
    let Some([x0, y0]) = ring.first().copied() else { return 0 };
    let to = |v: i32, from: i32| i64::from(v) - i64::from(from);
    let cross = |a: [i32; 2], b: [i32; 2]| {
        (to(a[0], x0).wrapping_mul(to(b[1], y0)))
            .wrapping_sub(to(b[0], x0).wrapping_mul(to(a[1], y0)))
    };
    ring.windows(2).fold(0i64, |sum, p| sum.wrapping_add(cross(p[0], p[1])))
}

#[cfg(test)]
mod tests;
