//! Cold tiles of the embedded store, in process, by zoom: unfiltered, and with a territory that
//! the tile lies inside, crosses, or hardly touches.

use crate::{
    items::open,
    report::Report,
    site::{Site, best},
};
use socle::{
    model::{Mode, Selection, TileId},
    territory::Reference,
    tiles::{TileSettings, Tiles},
};
use std::{sync::Arc, time::Duration};

/// Tiles per zoom: over towns, plains, mountains, coasts (z, x, y).
pub const TILES: &[(u8, &[(u32, u32)])] = &[
    (6, &[(32, 22), (31, 22), (32, 21), (33, 23)]),
    (8, &[(130, 85), (129, 88), (132, 92), (125, 89), (131, 87), (128, 93)]),
    (10, &[(520, 344), (518, 352), (528, 366), (505, 358), (532, 355), (512, 372), (522, 350)]),
    (12, &[(2081, 1373), (2074, 1409), (2112, 1465), (2022, 1432), (2130, 1421), (2050, 1490)]),
];

/// Measures.
pub fn run(site: &Site, report: &mut Report) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (store, layer) = runtime.block_on(open(site));
    // A cache of nothing: every tile is drawn.
    let settings =
        TileSettings { cache_bytes: 0, renderers: 4, waiting: 64, wait: Duration::from_secs(5) };
    let tiles = Tiles::new(store, settings);
    let draw = |id: TileId, selection: Option<&Arc<Selection>>| {
        let tile = runtime.block_on(tiles.tile(&layer, id, selection)).expect("a tile");
        tile.map_or(0, |t| t.plain.len())
    };
    for (z, list) in TILES {
        let ids: Vec<TileId> = list.iter().filter_map(|(x, y)| TileId::new(*z, *x, *y)).collect();
        let (mut product, mut bytes) = (0.0, 0);
        for id in &ids {
            bytes += draw(*id, None);
            product += best(7, || {
                draw(*id, None);
            })
            .ln();
        }
        let mean = (product / ids.len() as f64).exp() * 1e3;
        report.figure(&format!("cold-tile-z{z}"), mean, None, "ms");
        report.figure(
            &format!("cold-tile-z{z}-bytes"),
            bytes as f64 / ids.len() as f64,
            None,
            "bytes",
        );
    }
    territories(&draw, report);
}

/// Over the same tile unfiltered.
fn territories(draw: &dyn Fn(TileId, Option<&Arc<Selection>>) -> usize, report: &mut Report) {
    let reference = Reference::builtin();
    let select = |text: &str| {
        let code = reference.resolve(text).expect("a territory").code;
        Arc::new(reference.select(&[code], Mode::Concerns).expect("a selection"))
    };
    let cases = [
        ("inside", "reg:32", (9, 260, 172), ">= 0.9"),
        ("across", "dep:59", (8, 130, 86), ">= 1.0"),
        ("sliver", "com:59350", (8, 130, 86), ">= 3"),
    ];
    for (name, territory, (z, x, y), target) in cases {
        let id = TileId::new(z, x, y).expect("a tile");
        let selection = select(territory);
        let plain = best(15, || {
            draw(id, None);
        });
        draw(id, Some(&selection));
        let filtered = best(15, || {
            draw(id, Some(&selection));
        });
        let name = format!("cold-tile-territory-{name}");
        report.row(&name, plain / filtered, Some(target), filtered * 1e3, plain * 1e3, "ms");
    }
}
