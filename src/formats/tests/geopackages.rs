use super::*;
use crate::model::RefusalReason;
use rusqlite::Connection;
use std::path::PathBuf;

/// A small GeoPackage with the tables that the standard wants.
fn package(dir: &Path, sql: &str) -> PathBuf {
    let path = dir.join("a b#?%.gpkg");
    let db = Connection::open(&path).unwrap();
    db.execute_batch(
        "CREATE TABLE gpkg_spatial_ref_sys (srs_name TEXT, srs_id INTEGER PRIMARY KEY, organization TEXT, organization_coordsys_id INTEGER, definition TEXT);
         CREATE TABLE gpkg_contents (table_name TEXT PRIMARY KEY, data_type TEXT, srs_id INTEGER);
         CREATE TABLE gpkg_geometry_columns (table_name TEXT, column_name TEXT, geometry_type_name TEXT, srs_id INTEGER, z INTEGER, m INTEGER);
         INSERT INTO gpkg_spatial_ref_sys VALUES ('L93', 2154, 'EPSG', 2154, 'PROJCS'), ('own', 99999, 'NONE', 1, 'LOCAL_CS[\"x\"]'), ('u', -1, 'NONE', -1, 'undefined');",
    )
    .unwrap();
    db.execute_batch(sql).unwrap();
    path
}

const ODD: &str = r#"
    INSERT INTO gpkg_contents VALUES ('select "x"', 'features', 2154);
    INSERT INTO gpkg_geometry_columns VALUES ('select "x"', 'Geo m', 'POINT', 2154, 0, 0);
    CREATE TABLE "select ""x""" (fid INTEGER PRIMARY KEY, "Geo m" BLOB, "LINE_NUMB-SEG" TEXT(5), "where" BOOLEAN,
        i MEDIUMINT, f DOUBLE, d DATE, t DATETIME, b BLOB, "é" INTEGER);
    INSERT INTO "select ""x""" VALUES
        (-5, x'475000016a0800000101000000000000000000f03f0000000000000040', 'a', 1, 3, 2, '2024-02-29', '2024-02-29T10:00:00.5Z', x'00', 7),
        (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'sept'),
        (9, x'4750000100000000010800000000000000', 'c', 2, 3.5, 9007199254740993, '29/02', '2024-02-29 10:00', NULL, 1);
"#;

#[test]
fn declared_kinds_odd_names_and_bad_geometries() {
    let dir = tempfile::tempdir().unwrap();
    let path = package(dir.path(), ODD);
    let whole = read_path(&path, "a.gpkg", &source()).unwrap();
    assert_eq!(whole.names(), ["LINE_NUMB-SEG", "where", "i", "f", "d", "t", "é"]);
    assert_eq!(whole.crs.as_deref(), Some("EPSG:2154"));
    assert_eq!(whole.expected, Some(3));
    assert_eq!(whole.records.len(), 2);
    assert_eq!(whole.value(0, "where"), Value::Bool(true));
    assert_eq!(whole.value(0, "f"), Value::Float(2.0));
    assert_eq!(whole.value(0, "d"), Value::Date(jiff::civil::date(2024, 2, 29)));
    assert!(matches!(whole.value(0, "t"), Value::DateTime(_)));
    assert_eq!(whole.kind("é"), FieldKind::Text);
    assert_eq!(whole.value(1, "é"), Value::Text("sept".into()));
    assert_eq!(whole.kind("d"), FieldKind::Date);
    assert!(whole.records[0].geometry.is_some() && whole.records[1].geometry.is_none());
    assert_eq!(whole.refused.len(), 1);
    assert_eq!(
        (whole.refused[0].line, whole.refused[0].reason),
        (3, RefusalReason::InvalidGeometry)
    );
    assert!(whole.notes.contains("« b »") && whole.notes.contains("« fid »"), "{}", whole.notes);
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "reading left something beside the file");
}

#[test]
fn tables_are_chosen() {
    let dir = tempfile::tempdir().unwrap();
    let path = package(
        dir.path(),
        "INSERT INTO gpkg_contents VALUES ('a', 'features', 99999), ('b', 'features', -1), ('c', 'attributes', 0), ('gone', 'features', 0);
         INSERT INTO gpkg_geometry_columns VALUES ('a', 'geom', 'POINT', 99999, 0, 0), ('b', 'geom', 'POINT', -1, 0, 0);
         CREATE TABLE a (id INTEGER PRIMARY KEY, geom BLOB, v TEXT);
         CREATE TABLE b (geom BLOB, v TEXT);
         CREATE VIEW c AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1300) SELECT i FROM n;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200) INSERT INTO b SELECT NULL, i FROM n;",
    );
    let read = |member: &str| {
        read_path(&path, "a.gpkg", &SourceDef { member: Some(member.into()), ..source() })
    };
    let words = refusal(read_path(&path, "a.gpkg", &source()));
    assert!(words.contains("a, b"), "{words}");
    assert!(refusal(read("z")).contains("« z »"));
    assert!(refusal(read("gone")).contains("n'existe pas"));
    let a = read("a").unwrap();
    assert_eq!(a.names(), ["id", "v"]);
    assert!(a.crs.unwrap().starts_with("LOCAL_CS"));
    let b = read("B").unwrap();
    assert_eq!((b.records.len(), b.crs.as_deref()), (1200, None));
    assert!(b.notes.contains("CRS non défini"));
    assert_eq!(b.value(1199, "v"), Value::Text("1200".into()));
    let c = read("c").unwrap();
    assert_eq!((c.records.len(), c.value(1299, "i")), (1300, Value::Int(1300)));
}

#[test]
fn views_that_run_for_ever_or_make_gigabytes_are_refused() {
    for (select, why) in [
        (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i, NULL g FROM n",
            "n'en finit pas",
        ),
        (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i, NULL g FROM n WHERE i < 0",
            "n'en finit pas",
        ),
        ("SELECT 1 i, zeroblob(900000000) g", "plus grande que le fichier"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let sql = format!(
            "INSERT INTO gpkg_contents VALUES ('v', 'features', 2154);
             INSERT INTO gpkg_geometry_columns VALUES ('v', 'g', 'POINT', 2154, 0, 0);
             CREATE VIEW v AS {select};"
        );
        let words = refusal(read_path(&package(dir.path(), &sql), "v.gpkg", &source()));
        assert!(words.contains(why), "{select}: {words}");
    }
}

#[test]
fn what_is_no_sound_geopackage_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plain.sqlite");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    assert!(refusal(read_path(&path, "x", &source())).contains("gpkg_contents"));
    let path = package(dir.path(), "");
    assert!(refusal(read_path(&path, "x", &source())).contains("aucune table"));
    let path = package(
        tempfile::tempdir().unwrap().keep().as_path(),
        "INSERT INTO gpkg_contents VALUES ('b', 'features', 2154);
         INSERT INTO gpkg_geometry_columns VALUES ('b', 'geom', 'POINT', 2154, 0, 0);
         CREATE TABLE b (geom BLOB, v TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO b SELECT NULL, 'some text ' || i FROM n;",
    );
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    assert_eq!(read_bytes("b.gpkg", &bytes, &source()).unwrap().records.len(), 5000);
    for cut in [16, 100, 5000, bytes.len() / 2] {
        let result = read_bytes("b.gpkg", &bytes[..cut], &source());
        assert!(refusal(result).contains("illisible"), "{cut}");
    }
    // Damage anywhere: read, or refused; never a panic.
    for at in (0..bytes.len()).step_by(bytes.len() / 60) {
        let mut damaged = bytes.clone();
        damaged[at..(at + 40).min(bytes.len())].fill(0xa5);
        let _ = read_bytes("b.gpkg", &damaged, &source());
    }
}
