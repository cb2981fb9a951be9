use super::super::{Band, DETAIL, Encoded, Weighed, build, tests::communes};
use geo_types::{Coord, Geometry, LineString, Polygon};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

type Place = [i32; 2];

/// The edges of a band's rings, each once.
fn edges(band: &Band) -> Vec<(Place, Place)> {
    let (mut edges, mut ring) = (BTreeSet::new(), Vec::new());
    for position in 0..band.offsets.len() - 1 {
        let bytes = band.geometry(position);
        if bytes.is_empty() {
            continue;
        }
        let mut rings = Encoded::read(bytes).unwrap().paths();
        while rings.next_into(&mut ring).unwrap() {
            let next = ring.iter().cycle().skip(1);
            edges.extend(ring.iter().zip(next).map(|(a, b)| (*a.min(b), *a.max(b))));
        }
    }
    edges.into_iter().collect()
}

/// How many pairs of edges cross within both: by cells of 64 units that their boxes meet.
fn crossings(edges: &[(Place, Place)]) -> usize {
    let mut cells: BTreeMap<(i32, i32), Vec<usize>> = BTreeMap::new();
    for (i, (a, b)) in edges.iter().enumerate() {
        for x in a[0].min(b[0]) >> 6..=a[0].max(b[0]) >> 6 {
            for y in a[1].min(b[1]) >> 6..=a[1].max(b[1]) >> 6 {
                cells.entry((x, y)).or_default().push(i);
            }
        }
    }
    let side = |p: Place, q: Place, r: Place| {
        let d = |i: usize, q: Place| i64::from(q[i]) - i64::from(p[i]);
        (d(0, q) * d(1, r) - d(0, r) * d(1, q)).signum()
    };
    let cross = |(a, b): (Place, Place), (c, d): (Place, Place)| {
        side(a, b, c) * side(a, b, d) < 0 && side(c, d, a) * side(c, d, b) < 0
    };
    let mut found = BTreeSet::new();
    for near in cells.values() {
        for (n, i) in near.iter().enumerate() {
            let others = near[n + 1..].iter().filter(|j| cross(edges[*i], edges[**j]));
            found.extend(others.map(|j| (*i, *j)));
        }
    }
    found.len()
}

/// The land north of a narrow river, the river, and the land south of it: a bank goes through
/// `heights`, the other, `width` thousandths of a step above it, has bumps of its own.
fn river(heights: &[u8], bumps: &[u8], width: f64) -> Vec<Geometry<f64>> {
    let step = 0.002;
    let at = |x: f64, y: f64| Coord { x: 3.0 + step * x, y: 50.0 + step * y };
    let (mut south, mut north) = (Vec::new(), Vec::new());
    for (i, (height, bump)) in heights.iter().zip(bumps).enumerate() {
        let (x, y) = (i as f64, f64::from(*height) / 16.0);
        south.push(at(x, y));
        north.push(at(x, y + width / 1000.0));
        if let Some(next) = heights.get(i + 1) {
            let middle = (y + f64::from(*next) / 16.0) / 2.0;
            let bump = f64::from(*bump) / 256.0;
            north.push(at(x + 0.5, middle + (width / 1000.0) * (1.0 + bump)));
        }
    }
    let end = heights.len() as f64 - 1.0;
    let back = |line: &[Coord<f64>]| line.iter().rev().copied().collect::<Vec<_>>();
    let above = [north.clone(), vec![at(end, 40.0), at(0.0, 40.0)]].concat();
    let between = [south.clone(), back(&north)].concat();
    let below = [back(&south), vec![at(0.0, -40.0), at(end, -40.0)]].concat();
    [above, between, below]
        .map(|ring| Geometry::Polygon(Polygon::new(LineString(ring), Vec::new())))
        .to_vec()
}

fn refs(geometries: &[Geometry<f64>]) -> Vec<Option<&Geometry<f64>>> {
    geometries.iter().map(Some).collect()
}

#[test]
fn borders_that_simplification_crosses_are_parted() {
    let heights: Vec<u8> = (0..400u64).map(|i| (i * i * 7919 % 251) as u8).collect();
    let bumps: Vec<u8> = (0..400u64).map(|i| (i * i * 104_729 % 241) as u8).collect();
    let geometries = river(&heights, &bumps, 60.0);
    let weighed = Weighed::new(&refs(&geometries), 14);
    let left = |zoom| crossings(&edges(&weighed.band(zoom, DETAIL)));
    assert!((8..12).any(|zoom| left(zoom) > 0), "nothing to put right");
    for band in build(&refs(&geometries), 4, 14).bands {
        assert_eq!(crossings(&edges(&band)), 0, "z{}", band.zoom);
    }
}

#[test]
fn communes_of_france_never_cross() {
    let Some((geometries, _)) = communes("communes_of_france_never_cross") else { return };
    for band in build(&refs(&geometries), 4, 12).bands {
        // Two of them do, by some metres, in the file.
        let most = if band.zoom > 10 { 1 } else { 0 };
        assert!(crossings(&edges(&band)) <= most, "z{}", band.zoom);
    }
}

/// Polygons that lie over each other in the layer are none of this: they lose details as usual.
#[test]
fn what_crosses_in_the_layer_is_left_as_it_is() {
    let heights: Vec<u8> = (0..300u64).map(|i| (i * i * 7919 % 251) as u8).collect();
    let bank = river(&heights, &heights, 500.0).remove(2);
    let turned = {
        let Geometry::Polygon(p) = &bank else { unreachable!() };
        let ring = p.exterior().0.iter().map(|c| Coord { x: 3.0 + 0.6 - (c.x - 3.0), y: c.y });
        Geometry::Polygon(Polygon::new(ring.collect(), Vec::new()))
    };
    let both = [bank.clone(), turned.clone()];
    let together = build(&refs(&both), 6, 12);
    let alone: usize = [bank, turned]
        .iter()
        .map(|g| build(&[Some(g)], 6, 12).bands.iter().map(|b| b.bytes.len()).sum::<usize>())
        .sum();
    let bytes: usize = together.bands.iter().map(|b| b.bytes.len()).sum();
    assert!(crossings(&edges(&together.bands[2])) > 10);
    assert!(bytes < alone + alone / 10, "{bytes}, alone {alone}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_river_leaves_its_banks(
        heights in prop::collection::vec(any::<u8>(), 3..80),
        bumps in prop::collection::vec(any::<u8>(), 80),
        width in 1.0..300.0f64,
    ) {
        let geometries = river(&heights, &bumps, width);
        let finest = build(&refs(&geometries), 14, 14);
        prop_assume!(crossings(&edges(&finest.bands[0])) == 0);
        for band in build(&refs(&geometries), 6, 14).bands {
            prop_assert_eq!(crossings(&edges(&band)), 0, "z{}", band.zoom);
        }
    }
}
