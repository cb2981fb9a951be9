//! What is written is found again; what strangers put into their files is refused in time.

use super::*;
use crate::formats::tile_archive::ArchiveKind;
use std::fs;

fn database(sql: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("un essai %3f?#.mbtiles");
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    (dir, path)
}

const TABLES: &str = "CREATE TABLE metadata (name TEXT, value TEXT);
CREATE TABLE tiles (zoom_level INTEGER, tile_column INTEGER, tile_row INTEGER, tile_data BLOB);";

#[test]
fn what_is_written_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mbtiles");
    let members = serde_json::json!({ "name": "essai", "vector_layers": [{ "id": "a" }] });
    let members = members.as_object().unwrap().clone();
    let about = About { min_zoom: 2, max_zoom: 3, center: (2.5, 46.5, 2), members };
    let mut writer = ArchiveKind::Mbtiles.create(&path, &about).unwrap();
    let (one, other) = (TileId::mercator(2, 1, 0), TileId::mercator(3, 4, 7));
    writer.add(one, b"one").unwrap();
    writer.add(other, b"other").unwrap();
    writer.finish(BBox { west: -5.0, south: 41.0, east: 9.5, north: 51.0 }).unwrap();
    let mut file = MbtilesReader::open(&path).unwrap();
    let Described { about: read, bounds } = file.described().unwrap();
    assert_eq!((read.min_zoom, read.max_zoom, read.center), (2, 3, about.center));
    assert_eq!(bounds.to_array(), [-5.0, 41.0, 9.5, 51.0]);
    assert_eq!(
        (&read.members["name"], &read.members["vector_layers"]),
        (&"essai".into(), &about.members["vector_layers"])
    );
    assert_eq!(file.tile(one).unwrap().unwrap(), b"one");
    assert_eq!(file.tile(other).unwrap().unwrap(), b"other");
    assert_eq!(file.tile(TileId::mercator(3, 4, 0)).unwrap(), None);
}

#[test]
fn zooms_are_counted_where_they_are_not_said() {
    let sql = format!(
        "{TABLES} INSERT INTO metadata VALUES ('bounds', '1,2,nan,4'), ('minzoom', 4);
         INSERT INTO tiles VALUES (5, 0, 31, x'1a00'), (6, 0, 63, x'1a00');"
    );
    let (_dir, path) = database(&sql);
    let read = MbtilesReader::open(&path).unwrap().described().unwrap();
    assert_eq!((read.about.min_zoom, read.about.max_zoom), (5, 6));
    assert_eq!(read.bounds.to_array(), BBox::WORLD.to_array());
}

#[test]
fn what_is_no_archive_of_vector_tiles_is_refused() {
    let (_dir, path) =
        database(&format!("{TABLES} INSERT INTO metadata VALUES ('format', 'png');"));
    let refused = MbtilesReader::open(&path).unwrap().described().unwrap_err();
    assert!(refused.to_string().contains("MVT"), "{refused}");
    let (_dir, path) = database(TABLES);
    assert!(MbtilesReader::open(&path).unwrap().described().is_err(), "no tile, no zooms");
    let (_dir, path) = database("CREATE TABLE other (a);");
    assert!(MbtilesReader::open(&path).unwrap().described().is_err());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mbtiles");
    fs::write(&path, vec![7u8; 4096]).unwrap();
    assert!(MbtilesReader::open(&path).and_then(|mut file| file.described()).is_err());
    assert!(MbtilesReader::open(&dir.path().join("none.mbtiles")).is_err());
}

#[test]
fn views_without_end_and_tiles_without_bounds_are_refused() {
    let endless = "CREATE TABLE metadata (name TEXT, value TEXT);
        INSERT INTO metadata VALUES ('minzoom', '0'), ('maxzoom', '3');
        CREATE VIEW tiles AS WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n)
          SELECT 1 AS zoom_level, i % 2 - 2 AS tile_column, i AS tile_row, x'' AS tile_data FROM n;";
    let (_dir, path) = database(endless);
    let mut file = MbtilesReader::open(&path).unwrap();
    file.described().unwrap();
    let begun = Instant::now();
    assert!(file.tile(TileId::mercator(1, 0, 0)).is_err());
    assert!(begun.elapsed() < 3 * PATIENCE, "{:?}", begun.elapsed());

    let large = format!(
        "{TABLES} INSERT INTO metadata VALUES ('minzoom', '0'), ('maxzoom', '0');
         INSERT INTO tiles VALUES (0, 0, 0, zeroblob({}));",
        MAX_PACKED + 1
    );
    let (_dir, path) = database(&large);
    assert!(MbtilesReader::open(&path).unwrap().tile(TileId::mercator(0, 0, 0)).is_err());
}
