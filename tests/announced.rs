//! Announced edits of published tables: with whose rights they are, in whose words, by which key;
//! and that the trouble or the size of one table is no other's.

use crate::{
    support::{
        Server,
        postgres::{self, PgBouncer},
        said,
    },
    tables::{MAIRIES, MAIRIES_LAYER, Place, SOON, ids},
};

/// Two tables of a role that sets traps: whatever it gets to run notes with whose rights.
const TRAPS: &str = r#"
CREATE SCHEMA gestion;
CREATE TABLE gestion.vus (qui text);
CREATE ROLE :ed;
GRANT ALL ON SCHEMA gestion, public TO :ed;
GRANT INSERT ON gestion.vus TO PUBLIC;
SET ROLE :ed;
CREATE FUNCTION gestion.piege() RETURNS void LANGUAGE sql AS 'INSERT INTO gestion.vus VALUES (current_user)';
CREATE TYPE gestion.lieu AS (nom text);
CREATE FUNCTION gestion.en_geometrie(gestion.lieu) RETURNS public.geometry LANGUAGE plpgsql AS
  $$BEGIN PERFORM gestion.piege(); RETURN public.ST_SetSRID(public.ST_MakePoint(3.05, 50.63), 4326); END$$;
CREATE CAST (gestion.lieu AS public.geometry) WITH FUNCTION gestion.en_geometrie(gestion.lieu);
CREATE TYPE gestion.genre AS ENUM ('a', 'b', 'c', 'd');
CREATE FUNCTION gestion.en_texte(gestion.genre) RETURNS text LANGUAGE plpgsql AS
  $$BEGIN PERFORM gestion.piege(); RETURN 'x'; END$$;
CREATE CAST (gestion.genre AS text) WITH FUNCTION gestion.en_texte(gestion.genre);
CREATE TABLE gestion.lieux (id int PRIMARY KEY, geom public.geometry(Point, 4326), lieu gestion.lieu);
CREATE TABLE gestion.genres (genre gestion.genre PRIMARY KEY, geom public.geometry(Point, 4326));
-- Fits better than PostGIS's own, which takes a box.
CREATE FUNCTION public.st_xmin(public.geometry) RETURNS float8 LANGUAGE plpgsql AS
  $$BEGIN PERFORM gestion.piege(); RETURN 0; END$$;
CREATE FUNCTION public.st_expand(public.geometry, numeric) RETURNS public.geometry LANGUAGE plpgsql AS
  $$BEGIN PERFORM gestion.piege(); RETURN $1; END$$;
"#;

#[test]
fn an_edit_has_nothing_run_with_the_rights_of_the_store() {
    let layers = "[[tables]]\ntable = \"gestion.lieux\"\n[[tables]]\ntable = \"gestion.genres\"\n";
    let Some(server) = postgres::shared() else { return };
    let database = server.database();
    let editor = format!("{database}_editeur");
    let url = server.url(&database);
    let place = Place::at(server, &url, &TRAPS.replace(":ed", &editor), layers);
    let listed = place.site.run(&["layers"]);
    assert!(listed.status.success(), "{}", said(&listed));
    assert_eq!(
        place
            .sql("SELECT string_agg(layer || key::text, ' ' ORDER BY layer) FROM socle_store.live"),
        "genres{genre} lieux{id}"
    );
    // Reading a table runs what it is made of, as the one who reads: that is not what is told of.
    place.sql("TRUNCATE gestion.vus");
    place.sql(&format!("GRANT USAGE ON SCHEMA socle_store TO {editor}"));
    let edit = |sql: &str| place.sql(&format!("SET ROLE {editor}; {sql}"));
    let point = "public.ST_SetSRID(public.ST_MakePoint(3.05, 50.63), 4326)";
    // A column that becomes a geometry by a cast of its own; ids that become text by one.
    edit("SELECT socle_store.watch_table('gestion.lieux', 'lieu')");
    edit("SELECT socle_store.watch_table('gestion.genres', 'geom')");
    edit(&format!("INSERT INTO gestion.lieux VALUES (1, {point}, ROW('Lille'))"));
    edit("UPDATE gestion.lieux SET lieu = ROW('Lens')");
    edit(&format!("INSERT INTO gestion.genres VALUES ('a', {point}), ('b', NULL)"));
    edit("DELETE FROM gestion.genres WHERE genre = 'b'");
    // A trigger without the tables of rows, whose names are then its session's own.
    edit(&format!(
        "CREATE TRIGGER autre AFTER INSERT ON gestion.genres FOR EACH ROW
           EXECUTE FUNCTION socle_store.announce_edit('geom');
         CREATE TEMP VIEW new_rows AS
           SELECT {point} AS geom, 'a'::gestion.genre AS genre FROM (SELECT gestion.piege()) t;
         INSERT INTO gestion.genres VALUES ('c', {point})"
    ));
    assert_eq!(place.sql("SELECT string_agg(DISTINCT qui, ' ') FROM gestion.vus"), "");
    // All of them were announced: where, as far as that can be told; which rows, where the system
    // itself can write their ids.
    let told = |layer: &str| {
        place.sql(&format!(
            "SELECT string_agg(concat_ws(':', west, south, keys), ' ' ORDER BY id)
             FROM socle_store.live_edits WHERE layer = '{layer}'"
        ))
    };
    assert_eq!(told("lieux"), "{1} {1}");
    assert_eq!(told("genres"), "3.05:50.63 Infinity:Infinity  3.05:50.63");
}

/// Rows known by a moment, a measure and a day, in a database with ways of its own to write these.
const MOMENTS: &str = r#"
CREATE SCHEMA gestion;
CREATE TABLE gestion.releves (vu timestamptz, mesure float8, jour date, code varchar(5), nom text,
  PRIMARY KEY (vu, mesure, jour));
INSERT INTO gestion.releves SELECT '2025-01-02T03:04:05Z'::timestamptz + i * interval '1 hour', 0.1::float8 + i * 0.2::float8,
  '2025-03-04'::date + i, '59350', 'n' || i FROM generate_series(1, 3) i;
ALTER DATABASE :db SET timezone = 'Asia/Tokyo';
"#;

const MOMENTS_LAYER: &str = r#"
[[tables]]
table = "gestion.releves"
[tables.territory]
level = "com"
column = "code"
"#;

#[test]
fn an_edit_names_its_rows_as_the_layer_does_whoever_edits() {
    let Some(server) = postgres::shared() else { return };
    let database = server.database();
    let digits = format!("ALTER DATABASE {database} SET extra_float_digits = 0;");
    let sql = MOMENTS.replace(":db", &database) + &digits;
    written_alike(&Place::at(server, &server.url(&database), &sql, MOMENTS_LAYER));
}

#[test]
fn an_edit_names_its_rows_as_the_layer_does_behind_pgbouncer() {
    let Some(server) = postgres::shared() else { return };
    let Some(pooler) = PgBouncer::start(server) else { return };
    let database = server.database();
    let sql = MOMENTS.replace(":db", &database);
    let url = pooler.url(&database);
    written_alike(&Place::over(server, &url, "pgbouncer = true", &sql, MOMENTS_LAYER));
}

fn written_alike(place: &Place) {
    let listed = place.site.run(&["layers"]);
    assert!(listed.status.success(), "{}", said(&listed));
    // No geometry column: what it is called does not matter.
    place.sql("SELECT socle_store.watch_table('gestion.releves', 'geom')");
    let server = place.site.serve();
    let names = |s: &Server, territory: &str| -> Option<Vec<String>> {
        let page = s.get(&format!("/collections/releves/items?territory={territory}"));
        let features = (page.status == 200).then(|| page.json()["features"].clone())?;
        let name = |f: &serde_json::Value| f["properties"]["nom"].as_str().map(str::to_owned);
        features.as_array()?.iter().map(name).collect()
    };
    let seen = |territory: &str, wanted: &[&str]| {
        let same = |s: &Server| names(s, territory).is_some_and(|names| names == wanted);
        assert!(server.until(SOON, same), "{territory}: {:?}", names(&server, territory));
    };
    seen("com:59350", &["n1", "n2", "n3"]);
    let first = &ids(&server.json("/collections/releves/items"))[0];
    assert_eq!(first, "2025-01-02 04:04:05+00,0.30000000000000004,2025-03-05");
    let serial = "SELECT reach FROM socle_store.live";
    let made = place.sql(serial);
    let odd = "SET TimeZone = 'America/Cayenne'; SET DateStyle = 'SQL, DMY'; SET extra_float_digits = -3;";
    place.sql(&format!("{odd} UPDATE gestion.releves SET code = '62498' WHERE nom = 'n1'"));
    seen("com:62498", &["n1"]);
    seen("com:59350", &["n2", "n3"]);
    place.sql(&format!("{odd} DELETE FROM gestion.releves WHERE nom = 'n2'"));
    seen("com:59350", &["n3"]);
    // Row by row: nothing of those that are gone is left, and not all were made anew.
    let left = format!("SELECT count(*) FROM socle_store.a{made}");
    assert!(server.until(SOON, |_| place.sql(&left) == "2"), "{}", place.sql(&left));
    assert_eq!(place.sql(serial), made);
}

#[test]
fn another_key_in_the_configuration_is_the_one_edits_go_by() {
    let sql = r#"
CREATE SCHEMA gestion;
CREATE TABLE gestion.lieux (nom text PRIMARY KEY, numero int UNIQUE NOT NULL, code varchar(5));
INSERT INTO gestion.lieux VALUES ('Lille', 1, '59350'), ('Lens', 2, '62498'), ('Arras', 3, '62041');
"#;
    let layer = "[[tables]]\ntable = \"gestion.lieux\"\n:key\n[tables.territory]\nlevel = \"com\"\ncolumn = \"code\"\n";
    let Some(place) = Place::new(sql, layer) else { return };
    let config = place.site.path("socle.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let lens = |s: &Server| {
        let page = s.get("/collections/lieux/items?territory=com:62498");
        if page.status == 200 { ids(&page.json()) } else { Vec::new() }
    };
    std::fs::write(&config, text.replace(":key", "")).unwrap();
    let listed = place.site.run(&["layers"]);
    assert!(listed.status.success(), "{}", said(&listed));
    place.sql("SELECT socle_store.watch_table('gestion.lieux', 'geom')");
    let server = place.site.serve();
    assert!(server.until(SOON, |s| lens(s) == ["Lens"]));
    drop(server);
    std::fs::write(&config, text.replace(":key", "key = \"numero\"")).unwrap();
    let server = place.site.serve();
    assert!(server.until(SOON, |s| lens(s) == ["2"]), "{:?}", lens(&server));
    place.sql("UPDATE gestion.lieux SET code = '62498' WHERE nom = 'Lille'");
    assert!(server.until(SOON, |s| lens(s) == ["1", "2"]), "{:?}", lens(&server));
    assert_eq!(place.sql("SELECT key FROM socle_store.live"), "{numero}");
}

#[test]
fn a_table_that_cannot_be_attached_keeps_no_other_from_being() {
    let more = "CREATE VIEW gestion.cassees AS SELECT id, (1 / (id - id))::text AS code, geom FROM gestion.mairies;";
    let broken = "[[tables]]\ntable = \"gestion.cassees\"\nkey = \"id\"\n[tables.territory]\nlevel = \"com\"\ncolumn = \"code\"\n";
    let layers = format!("{broken}{MAIRIES_LAYER}");
    let Some(place) = Place::new(&format!("{MAIRIES}{more}"), &layers) else { return };
    let server = place.site.serve();
    let of = |layer: &str| format!("/collections/{layer}/items?territory=dep:62");
    assert!(server.until(SOON, |s| s.get(&of("mairies")).status == 200));
    assert_eq!(ids(&server.json(&of("mairies"))), ["2", "5"]);
    assert_eq!(server.get(&of("cassees")).status, 503);
    // Mended, it is attached as well.
    place.sql("CREATE OR REPLACE VIEW gestion.cassees AS SELECT id, code_insee::text AS code, geom FROM gestion.mairies");
    let mended = |s: &Server| s.get(&of("cassees")).status == 200;
    assert!(server.until(SOON, mended), "{}", server.get(&of("cassees")).text());
}

#[test]
fn a_table_that_takes_long_to_read_holds_no_claim_meanwhile() {
    // Reading a code waits for a lock that the test holds.
    let more = "CREATE FUNCTION gestion.lente(text) RETURNS text LANGUAGE plpgsql STABLE AS
        'BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN $1; END';
      CREATE VIEW gestion.lentes AS SELECT id, gestion.lente(code_insee) AS code, geom FROM gestion.mairies;";
    let layers = "[[tables]]\ntable = \"gestion.lentes\"\nkey = \"id\"\n[tables.territory]\nlevel = \"com\"\ncolumn = \"code\"\n";
    let Some(place) = Place::new(&format!("{MAIRIES}{more}"), layers) else { return };
    let holder = place.session("SELECT pg_advisory_lock(42), pg_sleep(600)");
    let held = |granted: bool| {
        let sql = format!(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND granted = {granted}
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        );
        place.sql(&sql) != "0"
    };
    while !held(true) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let server = place.site.serve();
    assert!(server.until(SOON, |_| held(false)), "nobody reads the table");
    // Whoever renews the claim, or wants it, does not wait.
    let claim = "SELECT layer FROM socle_store.claims FOR UPDATE NOWAIT";
    assert_eq!(place.sql(claim), "lentes");
    let expires = "SELECT expires FROM socle_store.claims";
    let before = place.sql(expires);
    assert!(server.until(SOON, |_| place.sql(expires) != before), "the claim is not renewed");
    drop(holder);
    let attached = |s: &Server| {
        let page = s.get("/collections/lentes/items?territory=dep:62");
        page.status == 200 && ids(&page.json()) == ["2", "5"]
    };
    assert!(server.until(SOON, attached));
}
