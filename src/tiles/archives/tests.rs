//! Archives over files: what is stored is what is given, also while they are being replaced.

use super::*;
use crate::{
    blobs::Manners,
    formats::{
        mvt::{self, LayerWriter, push_varint, zigzag},
        tile_archive::{About, ArchiveKind},
    },
    model::{ArchivePlace, BBox, Licence, Text},
};
use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

/// Rings of a polygon, or the paths of lines, as MVT commands.
fn commands(kind: u8, paths: &[&[[i32; 2]]]) -> Vec<u8> {
    let (mut out, mut cursor) = (Vec::new(), [0, 0]);
    for path in paths {
        for (i, vertex) in path.iter().enumerate() {
            match i {
                0 => push_varint(&mut out, 1 | 1 << 3),
                1 => push_varint(&mut out, 2 | (path.len() as u32 - 1) << 3),
                _ => {}
            }
            push_varint(&mut out, zigzag(vertex[0] - cursor[0]));
            push_varint(&mut out, zigzag(vertex[1] - cursor[1]));
            cursor = *vertex;
        }
        if kind == 3 {
            push_varint(&mut out, 7 | 1 << 3);
        }
    }
    out
}

/// A tile of one layer with one feature.
fn drawn(name: &str, kind: u8, paths: &[&[[i32; 2]]]) -> Vec<u8> {
    let keys = ["nom".to_owned()];
    let mut tags = Vec::new();
    mvt::push_tag(0, crate::model::ValueRef::Text(name), &mut tags);
    let mut layer = LayerWriter::new("couche", &keys);
    layer.feature(7, kind, &commands(kind, paths), &tags).unwrap();
    layer.finish().unwrap()
}

fn square([west, north]: [i32; 2], side: i32) -> Vec<[i32; 2]> {
    let (east, south) = (west + side, north + side);
    vec![[west, north], [east, north], [east, south], [west, south]]
}

/// Writes an archive whose tiles all hold a square of that name.
fn write(path: &Path, name: &str, zooms: std::ops::RangeInclusive<u8>) {
    let members = serde_json::json!({
        "name": name,
        "attribution": "<b>Essai</b>",
        "vector_layers": [{ "id": "couche", "fields": { "nom": "String" } }],
    });
    let about = About {
        min_zoom: *zooms.start(),
        max_zoom: *zooms.end(),
        center: (0.0, 0.0, 0),
        members: members.as_object().unwrap().clone(),
    };
    let tile = Tile::new(drawn(name, 3, &[&square([1000, 1000], 2000)])).unwrap();
    let mut writer = ArchiveKind::of(path).unwrap().create(path, &about).unwrap();
    let mut all: Vec<TileId> = zooms
        .flat_map(|z| {
            (0..1 << z).flat_map(move |x| (0..1 << z).map(move |y| TileId::mercator(z, x, y)))
        })
        .collect();
    all.sort_by_key(|tile| crate::formats::pmtiles::number(*tile));
    for id in all {
        writer.add(id, &tile.gzip).unwrap();
    }
    writer.finish(BBox { west: -10.0, south: 40.0, east: 10.0, north: 52.0 }).unwrap();
}

fn archives(path: &Path) -> Archives {
    let def = ArchiveDef {
        id: "fond".parse().unwrap(),
        title: Text::new("Fond", "Base"),
        description: Text::default(),
        producer: "Essai".into(),
        contact: None,
        licence: Licence { id: "lov2".into(), title: "LO".into(), url: None },
        attribution: None,
        described_at: None,
        published_at: None,
        page: None,
        label: None,
        style: None,
        max_age: None,
        place: ArchivePlace::File(path.to_path_buf()),
        refresh: Duration::ZERO,
    };
    Archives::new(&[def], 1 << 20, Manners { user_agent: "essai", allow: &[] }).unwrap()
}

/// The name in a tile, and whose state it is.
async fn shown(archives: &Archives, tile: TileId) -> Result<(String, Arc<str>)> {
    let answered = archives.tile(archives.get("fond").unwrap(), tile).await?;
    let layers = mvt::read(&answered.tile.expect("a tile").plain).unwrap();
    let name = match &layers[0].values[0] {
        mvt::DecodedValue::Text(name) => name.clone(),
        other => panic!("{other:?}"),
    };
    Ok((name, answered.opened.state.clone()))
}

const TOP: TileId = TileId::mercator(0, 0, 0);

#[tokio::test]
async fn both_kinds_give_what_is_stored_and_nothing_outside_their_zooms() {
    for name in ["a.pmtiles", "a.mbtiles"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        write(&path, "un", 1..=2);
        let archives = archives(&path);
        let archive = archives.get("fond").unwrap();
        let tile = async |tile| archives.tile(archive, tile).await.unwrap().tile;
        assert!(tile(TOP).await.is_none(), "{name}: before its first zoom");
        let stored = tile(TileId::mercator(2, 3, 1)).await.unwrap();
        assert_eq!(stored.plain, drawn("un", 3, &[&square([1000, 1000], 2000)]), "{name}");
        let opened = archive.opened().await.unwrap();
        assert_eq!(opened.bounds().to_array(), [-10.0, 40.0, 10.0, 52.0]);
        let json = opened.tilejson(archive, "https://x/{z}/{x}/{y}.mvt", "Fond", "");
        assert_eq!(json["attribution"], "Essai");
        assert_eq!(json["vector_layers"][0]["fields"]["nom"], "String");
        assert_eq!((&json["minzoom"], &json["maxzoom"]), (&1.into(), &2.into()));
    }
}

#[tokio::test]
async fn a_replaced_file_is_seen_and_a_lost_one_is_out_of_reach() {
    for name in ["a.pmtiles", "a.mbtiles"] {
        let dir = tempfile::tempdir().unwrap();
        let (path, next) = (dir.path().join(name), dir.path().join(format!("next-{name}")));
        write(&path, "un", 0..=1);
        let archives = archives(&path);
        let (first, before) = shown(&archives, TOP).await.unwrap();
        write(&next, "deux", 0..=1);
        fs::rename(&next, &path).unwrap();
        let (second, after) = shown(&archives, TOP).await.unwrap();
        assert_eq!((first.as_str(), second.as_str()), ("un", "deux"), "{name}");
        assert_ne!(before, after);
        // Written over in place, under readers that hold it open.
        write(&next, "trois", 0..=2);
        fs::write(&path, fs::read(&next).unwrap()).unwrap();
        assert_eq!(shown(&archives, TOP).await.unwrap().0, "trois", "{name}");
        fs::remove_file(&path).unwrap();
        // What was seen is given as long as it is at hand; what was not is out of reach.
        assert_eq!(shown(&archives, TOP).await.unwrap().0, "trois", "{name}");
        let fresh = self::archives(&path);
        assert!(matches!(shown(&fresh, TOP).await, Err(Error::Unavailable(_))), "{name}");
        write(&path, "quatre", 0..=1);
        tokio::time::sleep(Duration::from_millis(2100)).await;
        assert_eq!(shown(&fresh, TOP).await.unwrap().0, "quatre", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_and_new_never_meet_under_one_state() {
    for name in ["a.pmtiles", "a.mbtiles"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        let variants: Vec<_> = (0..4)
            .map(|n| {
                let variant = dir.path().join(format!("{n}-{name}"));
                // Of different depth, so that directories and positions differ as well.
                write(&variant, &format!("état {n}"), 0..=(2 + n));
                variant
            })
            .collect();
        fs::copy(&variants[0], &path).unwrap();
        let archives = Arc::new(archives(&path));
        let done = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..4u32)
            .map(|reader| {
                let (archives, done) = (archives.clone(), done.clone());
                tokio::spawn(async move {
                    let mut seen: std::collections::HashMap<Arc<str>, String> = Default::default();
                    let mut n = reader;
                    while !done.load(Ordering::Relaxed) {
                        n = n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        let tile = TileId::mercator(2, n >> 30, (n >> 28) & 3);
                        match shown(&archives, tile).await {
                            Ok((name, state)) => {
                                let known = seen.entry(state).or_insert_with(|| name.clone());
                                assert_eq!(*known, name, "two contents under one state");
                            }
                            Err(Error::Unavailable(_)) => {}
                            Err(other) => panic!("{other}"),
                        }
                        // Whatever is at hand is told at once: clocks must have their turn.
                        tokio::task::yield_now().await;
                    }
                    seen.len()
                })
            })
            .collect();
        for turn in 1..40usize {
            let next = dir.path().join("next");
            fs::copy(&variants[turn % 4], &next).unwrap();
            fs::rename(&next, &path).unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        done.store(true, Ordering::Relaxed);
        let mut states = 0;
        for reader in readers {
            states = states.max(reader.await.unwrap());
        }
        assert!(states > 3, "{name}: only {states} states were seen");
    }
}

#[tokio::test]
async fn damaged_archives_are_unavailable_never_empty() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.pmtiles");
    write(&path, "un", 0..=1);
    let whole = fs::read(&path).unwrap();
    for (what, bytes) in [
        ("nothing", Vec::new()),
        ("a text", b"bonjour".repeat(100)),
        ("cut", whole[..whole.len() - 20].to_vec()),
    ] {
        fs::write(&path, bytes).unwrap();
        let found = shown(&archives(&path), TOP).await;
        assert!(matches!(found, Err(Error::Unavailable(_))), "{what}: {found:?}");
    }
    // A tile whose gzip is broken.
    let mut broken = whole.clone();
    let end = broken.len();
    broken[end - 12..].fill(0);
    fs::write(&path, broken).unwrap();
    let found = archives(&path);
    let found = found.tile(found.get("fond").unwrap(), TOP).await;
    assert!(matches!(found, Err(Error::Unavailable(_))));
}

#[tokio::test]
async fn above_the_deepest_zoom_tiles_are_magnified() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.pmtiles");
    write(&path, "un", 0..=2);
    let archives = archives(&path);
    // The square goes from 1000 to 3000 in each tile of zoom 2: its corner is in the first quarter.
    let tile = TileId::mercator(3, 2, 2);
    let answered = archives.tile(archives.get("fond").unwrap(), tile).await.unwrap();
    let layers = mvt::read(&answered.tile.unwrap().plain).unwrap();
    let feature = &layers[0].features[0];
    assert_eq!((layers[0].name.as_str(), feature.id), ("couche", Some(7)));
    let mut ring = feature.paths[0].clone();
    ring.sort_unstable();
    assert_eq!(ring, [[2000, 2000], [2000, 4160], [4160, 2000], [4160, 4160]]);
    // Deeper still, where nothing is left of it, and in its middle.
    let outside = TileId::mercator(6, 16, 16);
    let outside = archives.tile(archives.get("fond").unwrap(), outside).await.unwrap();
    assert!(outside.tile.is_none());
    let inside = TileId::mercator(6, 24, 24);
    let inside = archives.tile(archives.get("fond").unwrap(), inside).await.unwrap().tile.unwrap();
    let ring = &mvt::read(&inside.plain).unwrap()[0].features[0].paths[0];
    assert!(ring.iter().flatten().all(|v| [-64, 4160].contains(v)), "{ring:?}");
}

#[test]
fn lines_points_and_other_extents_are_magnified_too() {
    let top = TileId::mercator(1, 0, 0);
    let line = drawn("l", 2, &[&[[0, 0], [4096, 4096]]]);
    let part = magnify::magnify(&line, top, TileId::mercator(2, 1, 1)).unwrap().unwrap();
    let path = &mvt::read(&part).unwrap()[0].features[0].paths[0];
    assert_eq!(path, &[[-64, -64], [4096, 4096]]);
    assert_eq!(magnify::magnify(&line, top, TileId::mercator(3, 3, 0)).unwrap(), None);
    assert!(magnify::magnify(b"\x1a\x05", top, TileId::mercator(2, 0, 0)).is_err());
    let deep = TileId::mercator(19, 0, 0);
    assert!(magnify::magnify(&line, deep, TileId::mercator(20, 0, 0)).is_err());
}
