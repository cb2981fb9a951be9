//! How low the tiles of a table go. A tile reads every row that meets it; over a large table those
//! of low zooms would read most of it for each that looks at a map of France. The planner says
//! from its statistics how many rows a tile meets and how wide they are; the tiles begin at the
//! lowest zoom where none of those that hold most is beyond the budget.

use super::{
    super::{
        link::{Link, Ran},
        names::Names,
    },
    costs::{explain, plan_figures},
    figures::Figures,
    form::{Form, Geometry},
    select::within,
};
use crate::model::{BBox, LayerDef, Text, TileId};
use crate::text;
use std::collections::BTreeSet;

/// Rows of a tile, at most.
pub(super) const TILE_ROWS: f64 = 50_000.0;
/// Bytes of their geometries, at most.
pub(super) const TILE_BYTES: f64 = 32.0 * 1024.0 * 1024.0;
/// Tiles followed down from one zoom to the next: those that hold most.
const FOLLOWED: usize = 4;
/// Between its budget and this many times it, a zoom that was served goes on being served:
/// statistics are samples, and the lowest zoom must not go up and down with them.
const SLACK: f64 = 1.5;

/// The lowest zoom of a table's tiles, as its statistics stand; `served` is the one up to now.
pub(super) async fn lowest(
    link: &mut Link,
    names: &Names,
    def: &LayerDef,
    form: &Form,
    figures: &Figures,
    served: Option<u8>,
) -> Ran<u8> {
    let declared = def.tiles.min_zoom;
    let lifted = super::source(def).is_some_and(|s| s.allow_slow);
    let (Some(geometry), Some([west, south, east, north]), true, false) =
        (&form.geometry, figures.bbox, form.counted, lifted)
    else {
        return Ok(declared);
    };
    let extent = BBox { west, south, east, north };
    let mut tiles: Vec<TileId> = TileId::new(0, 0, 0).into_iter().collect();
    for zoom in 0..=def.tiles.max_zoom {
        let mut loads = Vec::with_capacity(tiles.len());
        for tile in tiles {
            let load = load(link, names, form, geometry, tile, &extent).await?;
            loads.push((load, tile));
        }
        loads.sort_by(|a, b| b.0.total_cmp(&a.0));
        let heaviest = loads.first().map_or(0.0, |l| l.0);
        let enough = if served.is_some_and(|z| z <= zoom) { SLACK } else { 1.0 };
        if zoom >= declared && heaviest <= enough {
            return Ok(zoom);
        }
        let next = loads.iter().take(FOLLOWED).flat_map(|(_, tile)| children(*tile));
        tiles = next
            .collect::<BTreeSet<_>>()
            .into_iter()
            .map(|(z, x, y)| TileId::mercator(z, x, y))
            .collect();
    }
    Ok(def.tiles.max_zoom)
}

/// The four tiles of a tile, in an order.
fn children(tile: TileId) -> impl Iterator<Item = (u8, u32, u32)> {
    let at = move |dx, dy| (tile.z + 1, 2 * tile.x + dx, 2 * tile.y + dy);
    [at(0, 0), at(1, 0), at(0, 1), at(1, 1)].into_iter()
}

/// What a tile reads, as a share of the budget.
async fn load(
    link: &mut Link,
    names: &Names,
    form: &Form,
    geometry: &Geometry,
    tile: TileId,
    extent: &BBox,
) -> Ran<f64> {
    let Some(looked) = within(&tile.bounds(), extent) else { return Ok(0.0) };
    let sides = looked.to_array().map(|side| format!("{side:?}::float8"));
    let sql = format!(
        "SELECT {} FROM {} AS t WHERE {}",
        geometry.column,
        form.relation,
        geometry.meets_sides(names, sides)
    );
    // Sides that cannot be brought to the table's CRS say nothing of its rows.
    let plan = match explain(link, &sql, false).await {
        Err(e) if e.is_of_geometry() => return Ok(0.0),
        other => other?,
    };
    let found = plan_figures(&plan);
    Ok((found.rows / TILE_ROWS).max(found.rows * found.width / TILE_BYTES))
}

/// What people are told of a table whose tiles begin higher than they would have to.
pub(super) fn notice(zoom: u8) -> Text {
    let (rows, bytes) = (TILE_ROWS as u64, TILE_BYTES as u64 / (1024 * 1024));
    text!(
        "Tuiles à partir du zoom {zoom} : au-dessous, une tuile lirait plus de {rows} lignes ou {bytes} Mio de géométries. Pour les petits zooms, moissonnez un export de la table, publiez une vue généralisée, ou allow_slow = true.",
        "Tiles from zoom {zoom} on: below, one would read more than {rows} rows or {bytes} MiB of geometries. For low zooms harvest an export of the table, publish a generalised view, or allow_slow = true."
    )
}
