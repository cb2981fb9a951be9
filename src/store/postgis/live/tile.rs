//! Tiles of a published table: rows whose geometry meets the tile, encoded here as those of a
//! version are, borders shared. Before it travels, geometry is snapped to the tile's own grid in
//! the table's CRS: vertex by vertex, so that what two neighbours share they go on sharing.

use super::{
    super::{
        Inner, column, filtered,
        link::{Ran, cell},
    },
    answer::{raws, values},
    form::Form,
    meaning,
    placed::is_placed,
    select::{Conditions, widened, within},
    to_guard, unattached,
};
use crate::{
    error::{Error, Result},
    formats::{mvt, wkb},
    geometry::{
        crs::Crs,
        overview::{self, MAX_GRID_ZOOM},
    },
    model::{BBox, TileId, ValueRef},
    query::Filter,
    store::{At, TileFeature, TileFeatures, tile_window::tile_keys},
};
use geo::CoordsIter;
use geo_types::Geometry;
use std::sync::Arc;
use tokio_postgres::types::Type;

/// Metres of a degree of latitude, about.
const DEGREE: f64 = 111_320.0;
/// Circumference of the Earth as the grid has it, metres.
const AROUND: f64 = 40_075_016.685_578_5;

/// The features of a tile.
pub(in super::super) async fn tile(
    inner: &Arc<Inner>,
    at: &At,
    tile: TileId,
    buffer: u16,
    filter: &Filter,
) -> Result<Option<TileFeatures>> {
    let form = inner.tables.form_at(at)?;
    let (Some(geometry), Some(extent)) = (&form.geometry, &at.version.bbox) else {
        return Ok(None);
    };
    let looked: Vec<BBox> = window(tile, buffer).iter().filter_map(|w| within(w, extent)).collect();
    if looked.is_empty() {
        return Ok(None);
    }
    let rows = loop {
        let guarded = form.guarded();
        match read(inner, at, &form, geometry, tile, &looked, filter).await {
            Err(e) if to_guard(inner, at, &form, guarded, &e) => {}
            other => {
                let otherwise = |e| meaning(inner, "reading a tile of a table", e);
                break other.map_err(|e| filtered::meaning(filter, e, otherwise))?;
            }
        }
    };
    let at = at.clone();
    let work = move || encode(&form, &at, &rows, tile);
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::fault("encoding a tile", e))?
}

/// The rows that meet a tile: id, properties, geometry.
async fn read(
    inner: &Arc<Inner>,
    at: &At,
    form: &Form,
    geometry: &super::form::Geometry,
    tile: TileId,
    looked: &[BBox],
    filter: &Filter,
) -> Ran<Vec<tokio_postgres::Row>> {
    let names = &inner.ready().await?.names;
    let mut conditions = Conditions::default();
    conditions.bind(step(tile, looked, in_metres(geometry.srid)), Type::FLOAT8);
    if let Some(sql) = form.with_key() {
        conditions.push(sql);
    }
    let mut any = Vec::new();
    for part in looked {
        any.push(geometry.meets(names, conditions.next()));
        conditions.bind_box(&widened(part));
    }
    conditions.push(format!("({})", any.join(" OR ")));
    if let Some(selection) = &filter.selection {
        let reach = inner.tables.reach(at).ok_or_else(unattached)?;
        conditions.selection(names, form, reach, selection);
    }
    conditions.expression(names, form, at.version.bbox.as_ref(), inner.tables.reach(at), filter)?;
    let g = &names.gis;
    let shape = match at.version.schema.geometry.dimension() {
        Some(0) => geometry.straight(names),
        _ => format!("{g}ST_SnapToGrid({}, $1)", geometry.straight(names)),
    };
    let properties: String = form.fields.iter().map(|p| format!(", {}", p.shown)).collect();
    let sql = format!(
        "SELECT ({})::text{properties}, {g}ST_AsBinary({}, 'NDR'), $1 FROM {}{} ORDER BY {}",
        form.id(),
        geometry.brought(names, &shape),
        form.source(),
        conditions.text(),
        form.order()
    );
    let mut link = inner.primary.link().await?;
    link.hot(&sql, &conditions.params()).await
}

/// The tile with its buffer, in degrees: two boxes where it reaches over the antimeridian.
fn window(tile: TileId, buffer: u16) -> Vec<BBox> {
    let reach = f64::from(buffer) / 4096.0;
    // Degrees of latitude shrink towards the poles: twice the buffer is surely enough.
    let b = tile.looks(reach, 2.0 * reach);
    vec![BBox { west: b.west.max(-180.0), east: b.east.min(180.0), ..b }]
}

/// Whether the CRS is known to count in metres: else a step in degrees is surely small enough.
fn in_metres(srid: i32) -> bool {
    let known = u32::try_from(srid).ok().and_then(Crs::from_epsg);
    known.is_some_and(|crs| !crs.is_geographic())
}

/// A unit of the tile's grid in the table's CRS, at the latitude where it is smallest.
fn step(tile: TileId, looked: &[BBox], metres: bool) -> f64 {
    let unit = AROUND / (4096.0 * 2f64.powi(i32::from(tile.level())));
    let lat = looked.iter().map(|b| b.north.abs().max(b.south.abs())).fold(0.0, f64::max);
    let step = unit * lat.min(85.0).to_radians().cos() / 2.0;
    if metres { step } else { step / DEGREE }
}

fn encode(
    form: &Form,
    at: &At,
    rows: &[tokio_postgres::Row],
    tile: TileId,
) -> Result<Option<TileFeatures>> {
    let mut geometries: Vec<Option<Geometry<f64>>> = Vec::with_capacity(rows.len());
    for row in rows {
        let bytes: Option<&[u8]> = cell(row, 1 + form.fields.len())?;
        // Snapped to nothing, or without a place on the map: not in this tile.
        let bytes = bytes.filter(|b| is_placed(b));
        let shape = bytes.and_then(|b| wkb::read(b).ok());
        geometries.push(shape.filter(|g| g.coords_count() > 0));
    }
    let zoom = tile.level().min(MAX_GRID_ZOOM);
    let shapes: Vec<Option<&Geometry<f64>>> = geometries.iter().map(Option::as_ref).collect();
    let overviews = overview::build(&shapes, zoom, zoom);
    let Some(band) = overviews.bands.last() else { return Ok(None) };
    let columns: Vec<_> = form.fields.iter().map(|p| p.column).collect();
    let mut texts = Vec::new();
    let mut answer = TileFeatures {
        band: band.zoom,
        keys: tile_keys(&at.version.schema, at.version.key.as_deref()),
        ..TileFeatures::default()
    };
    for (position, ordinal) in overviews.order.iter().enumerate() {
        let shape = band.geometry(position);
        let Some(row) = rows.get(*ordinal as usize).filter(|_| !shape.is_empty()) else {
            continue;
        };
        let id: &str = cell(row, 0)?;
        let raws = raws(form, row)?;
        column::texts(&columns, &raws, &mut texts)?;
        let start = answer.bytes.len();
        answer.bytes.extend_from_slice(shape);
        let geometry = start..answer.bytes.len();
        let all = values(form, &raws, &texts)?;
        for (key, value) in (0u32..).zip(all) {
            if value != ValueRef::Null {
                mvt::push_tag(key, value, &mut answer.bytes);
            }
        }
        if at.version.key.is_none() {
            let key = u32::try_from(form.fields.len()).unwrap_or(u32::MAX);
            mvt::push_tag(key, ValueRef::Text(id), &mut answer.bytes);
        }
        let tags = geometry.end..answer.bytes.len();
        answer.features.push(TileFeature { id: mvt::feature_id(id), geometry, tags });
    }
    Ok((!answer.features.is_empty()).then_some(answer))
}
