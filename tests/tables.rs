//! Tables that a team already has, published as they are: the three cases — a table with a code
//! column, a view, a table without key or index —, edits, odd names.

use crate::proxy::free_port;
use crate::support::{
    Answer, Server, Site,
    postgres::{self, PgBouncer, Postgres},
    root, said, send,
};
use proptest::{prelude::*, strategy::ValueTree};
use serde_json::Value;
use std::{
    fs,
    process::{Child, Command},
    time::{Duration, Instant},
};

/// A site over a database of its own, with `[[tables]]`; the demo's communes are a table there.
pub struct Place {
    server: &'static Postgres,
    database: String,
    pub site: Site,
}

impl Place {
    /// `None` where PostgreSQL is not installed.
    pub fn new(sql: &str, tables: &str) -> Option<Self> {
        let server = postgres::shared()?;
        Some(Self::over(server, &server.url(&server.database()), "", sql, tables))
    }

    /// Over the database at an address, with more keys of `[store]`.
    pub fn over(
        server: &'static Postgres,
        url: &str,
        store: &str,
        sql: &str,
        tables: &str,
    ) -> Self {
        let database = url.rsplit('/').next().unwrap().to_owned();
        server.sql(&database, sql);
        let site = Site::over(url, &format!("lease_s = 1\n{store}"));
        let place = Self { server, database, site };
        place.tables(tables);
        place
    }

    /// Over a database of the server's.
    pub fn at(server: &'static Postgres, url: &str, sql: &str, tables: &str) -> Self {
        Self::over(server, url, "", sql, tables)
    }

    /// The same tables, as another login sees them.
    fn seen_by(&self, login: &str, store: &str, tables: &str) -> Self {
        let url = format!("postgres://{login}@127.0.0.1:{}/{}", self.server.port, self.database);
        Self::over(self.server, &url, store, "SELECT 1", tables)
    }

    /// Logins of this database alone: one that loads, one that only reads.
    fn logins(&self) -> (String, String) {
        let (load, read) = (format!("{}_load", self.database), format!("{}_read", self.database));
        let database = &self.database;
        self.sql(&format!(
            "CREATE ROLE {load} LOGIN; CREATE ROLE {read} LOGIN;
             GRANT CREATE ON DATABASE {database} TO {load};
             GRANT USAGE ON SCHEMA gestion TO {load}, {read}"
        ));
        (load, read)
    }

    fn tables(&self, tables: &str) {
        let path = self.site.path("socle.toml");
        let main = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{main}\n{tables}")).unwrap();
    }

    /// The demo's communes, harvested beside.
    pub fn with_communes(&self) {
        let data = root().join("config/demo/layers");
        let demo = fs::read_to_string(data.join("communes.toml")).unwrap();
        let demo = demo.replace("path = \"", &format!("path = \"{}/", data.display()));
        let demo: String =
            demo.lines().filter(|l| !l.starts_with("style")).map(|l| format!("{l}\n")).collect();
        fs::write(self.site.path("layers/communes.toml"), demo).unwrap();
        let harvested = self.site.run(&["harvest"]);
        assert!(harvested.status.success(), "{}", said(&harvested));
    }

    /// Has the figures and `/admin` answer on a port.
    pub fn listen_inside(&self, port: u16) {
        let path = self.site.path("socle.toml");
        let main = fs::read_to_string(&path).unwrap();
        let listen = format!("admin_listen = \"127.0.0.1:{port}\"");
        fs::write(path, main.replace("admin_listen = \"off\"", &listen)).unwrap();
    }

    pub fn sql(&self, sql: &str) -> String {
        self.server.sql(&self.database, sql)
    }

    /// A session that runs a statement, until it is dropped.
    pub fn session(&self, sql: &str) -> Session {
        let url = self.server.url(&self.database);
        let run = Command::new("psql").args(["-X", "-q", "-d", &url, "-c", sql]).spawn();
        Session(run.expect("psql runs"))
    }
}

/// A session of the database; it ends with this.
pub struct Session(Child);

impl Drop for Session {
    fn drop(&mut self) {
        // Interrupted rather than killed: psql then cancels what it runs.
        let _ = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

/// Six town halls in Lambert 93 around Lille, Lens and Dunkerque, one without a place.
pub const MAIRIES: &str = r#"
CREATE SCHEMA gestion;
CREATE TABLE gestion.mairies (
  id integer PRIMARY KEY, code_insee varchar(5), nom text NOT NULL, ouverte boolean,
  note numeric(4,2), posee date, vue timestamptz, agents jsonb, "LINE_NUMB-SEG" int,
  geom geometry(Point, 2154));
COMMENT ON TABLE gestion.mairies IS E'Mairies suivies\nTenues par le service SIG.';
COMMENT ON COLUMN gestion.mairies.vue IS E'Dernière visite\nEn temps universel.';
INSERT INTO gestion.mairies
SELECT i, code, nom, true, 1.25, '2025-01-02', '2025-01-02T03:04:05.678Z', '{"a": [1]}', i,
  ST_Transform(ST_SetSRID(ST_MakePoint(lon, lat), 4326), 2154)
FROM (VALUES (1, '59350', 'Lille', 3.0573, 50.6305), (2, '62498', 'Lens', 2.8319, 50.4289),
  (3, '59183', 'Dunkerque', 2.3768, 51.0345), (4, '59009', 'Villeneuve d''Ascq', 3.1446, 50.6225),
  (5, '62041', 'Arras', 2.7772, 50.2910)) v (i, code, nom, lon, lat);
INSERT INTO gestion.mairies (id, code_insee, nom) VALUES (6, '59599', 'Tourcoing');
CREATE INDEX ON gestion.mairies USING gist (geom);
"#;

pub const MAIRIES_LAYER: &str = r#"
[[tables]]
table = "gestion.mairies"
producer = "Service SIG"
[tables.territory]
level = "com"
column = "code_insee"
"#;

pub fn ids(page: &Value) -> Vec<String> {
    let features = page["features"].as_array().unwrap();
    features.iter().map(|f| f["id"].as_str().unwrap().to_owned()).collect()
}

pub const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_table_with_a_code_column_is_served_as_it_is() {
    let Some(place) = Place::new(MAIRIES, MAIRIES_LAYER) else { return };
    served_as_it_is(&place);
}

#[test]
fn a_table_is_served_the_same_behind_pgbouncer() {
    let Some(server) = postgres::shared() else { return };
    let Some(pooler) = PgBouncer::start(server) else { return };
    let url = pooler.url(&server.database());
    served_as_it_is(&Place::over(server, &url, "pgbouncer = true", MAIRIES, MAIRIES_LAYER));
}

fn served_as_it_is(place: &Place) {
    let server = place.site.serve();
    let collection = server.json("/collections/mairies");
    assert_eq!(collection["title"], "Mairies suivies");
    assert_eq!(collection["description"], "Tenues par le service SIG.");
    assert_eq!(collection["itemCount"], 6);
    let bbox: Vec<f64> =
        serde_json::from_value(collection["extent"]["spatial"]["bbox"][0].clone()).unwrap();
    assert!((bbox[0] - 2.37).abs() < 0.1 && (bbox[3] - 51.03).abs() < 0.1, "{bbox:?}");

    let page = server.json("/collections/mairies/items");
    assert_eq!((page["numberMatched"].as_u64(), ids(&page).len()), (Some(6), 6));
    let first = &page["features"][0];
    assert_eq!(first["id"], "1");
    let p = &first["properties"];
    assert_eq!((&p["note"], &p["posee"]), (&1.25.into(), &"2025-01-02".into()));
    assert_eq!(p["vue"], "2025-01-02T03:04:05.678Z");
    assert_eq!((&p["agents"]["a"][0], &p["LINE_NUMB-SEG"]), (&1.into(), &1.into()));
    let c = &first["geometry"]["coordinates"];
    assert!((c[0].as_f64().unwrap() - 3.0573).abs() < 1e-6, "{c}");
    assert!(page["features"][5]["geometry"].is_null() && p["ouverte"] == true);

    // Comments of columns name the fields.
    let fields = server.json("/collections/mairies/schema")["properties"].clone();
    assert_eq!(fields["vue"]["title"], "Dernière visite");
    assert_eq!(fields["vue"]["description"], "En temps universel.");
    assert_eq!(fields["nom"]["title"], "nom");

    // Paging, filters, one feature.
    let page = server.json("/collections/mairies/items?limit=4");
    let next = page["links"].as_array().unwrap().iter().find(|l| l["rel"] == "next").unwrap();
    let next = next["href"].as_str().unwrap().split_once("/collections").unwrap().1;
    assert_eq!(ids(&server.json(&format!("/collections{next}"))), ["5", "6"]);
    assert_eq!(ids(&server.json("/collections/mairies/items?offset=4")), ["5", "6"]);
    assert_eq!(ids(&server.json("/collections/mairies/items?nom=Lens")), ["2"]);
    assert_eq!(ids(&server.json("/collections/mairies/items?LINE_NUMB-SEG=3")), ["3"]);
    assert_eq!(
        ids(&server.json("/collections/mairies/items?vue=2025-01-02T03:04:05.678Z&limit=2")),
        ["1", "2"]
    );
    // Rows without geometry match every box.
    assert_eq!(ids(&server.json("/collections/mairies/items?bbox=3,50.5,3.1,50.7")), ["1", "6"]);
    assert_eq!(ids(&server.json("/collections/mairies/items?bbox=-180,-90,180,90")).len(), 6);
    assert_eq!(server.json("/collections/mairies/items/2")["properties"]["nom"], "Lens");
    for absent in ["02", "7", "x", "1%00", "99999999999999", "1;drop", "1,2"] {
        assert_eq!(
            server.get(&format!("/collections/mairies/items/{absent}")).status,
            404,
            "{absent}"
        );
    }

    // Territories, once attachments are made.
    assert!(
        server.until(SOON, |s| s.get("/collections/mairies/items?territory=dep:59").status == 200)
    );
    assert_eq!(
        ids(&server.json("/collections/mairies/items?territory=dep:59")),
        ["1", "3", "4", "6"]
    );
    assert_eq!(ids(&server.json("/t/dep-62/collections/mairies/items")), ["2", "5"]);
    assert_eq!(ids(&server.json("/t/dep-62-within/collections/mairies/items")), ["2", "5"]);
    assert_eq!(server.json("/t/dep-62/collections/mairies")["itemCount"], 2);
    let filtered = |filter: &str| {
        let filter = socle::http::params::encode(filter);
        ids(&server.json(&format!("/collections/mairies/items?filter={filter}")))
    };
    assert_eq!(filtered("TERRITORY('dep:62')"), ["2", "5"]);
    assert_eq!(filtered("NOT TERRITORY('dep:62') AND geom IS NOT NULL"), ["1", "3", "4"]);
    assert_eq!(filtered("S_INTERSECTS(geom, BBOX(3, 50.5, 3.1, 50.7)) OR id = 6"), ["1", "6"]);
    assert_eq!(filtered("note > 1 AND vue >= DATE('2025-01-02') AND nom ILIKE 'L%'"), ["1", "2"]);
    assert_eq!(server.get("/t/dep-62/collections/mairies/items/2").status, 200);
    assert_eq!(server.get("/t/dep-62/collections/mairies/items/1").status, 404);
}

#[test]
fn an_announced_edit_changes_only_the_tiles_it_touches() {
    let Some(place) = Place::new(MAIRIES, MAIRIES_LAYER) else { return };
    // Prepared by a first look, then the table is watched.
    let checked = place.site.run(&["layers"]);
    assert!(said(&checked).contains("mairies"), "{}", said(&checked));
    place.sql(
        "INSERT INTO gestion.mairies (id, nom, geom) VALUES (7, 'Loin',
        ST_Transform(ST_SetSRID(ST_MakePoint(-1.5, 43.5), 4326), 2154))",
    );
    place.sql("SELECT socle_store.watch_table('gestion.mairies', 'geom')");
    let server = place.site.serve();
    // Lille's tile and one over Biarritz, both of zoom 8.
    let (near, far) =
        ("/collections/mairies/tiles/8/130/86.mvt", "/collections/mairies/tiles/8/126/93.mvt");
    let tag = |path: &str| {
        let answer = server.get(path);
        assert_eq!(answer.status, 200, "{path}");
        answer.header("etag").unwrap().to_owned()
    };
    // The trigger itself was seen as a change of the whole.
    let mut before = (tag(near), tag(far));
    std::thread::sleep(Duration::from_millis(2500));
    before = {
        let _ = before;
        (tag(near), tag(far))
    };
    let cached = server.get(near);
    let cache = cached.header("cache-control").unwrap();
    assert!(!cache.contains("immutable") && cache.contains("max-age=5"), "{cache}");
    let page = server.json("/collections/mairies/items?limit=2");
    let next = page["links"].as_array().unwrap().iter().find(|l| l["rel"] == "next").unwrap();
    let next = format!(
        "/collections{}",
        next["href"].as_str().unwrap().split_once("/collections").unwrap().1
    );

    place.sql("UPDATE gestion.mairies SET nom = 'Lille bis' WHERE id = 1");
    let edited = Instant::now();
    assert!(server.until(SOON, |s| s.get(near).header("etag") != Some(before.0.as_str())));
    println!("seen after {:?}", edited.elapsed());
    assert_eq!(tag(far), before.1);
    assert!(String::from_utf8_lossy(&server.get(near).body).contains("Lille bis"));
    // The cursor names a revision that is gone: 410, with where to start again.
    assert_eq!(server.get(&next).status, 410);
    // Nothing more moves: an announced edit is not seen a second time by its figures.
    let after = (tag(near), tag(far));
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!((tag(near), tag(far)), after);
    // New rows and their territory; the far row leaves.
    place.sql("INSERT INTO gestion.mairies (id, code_insee, nom, geom) VALUES (8, '59512', 'Roubaix',
        ST_Transform(ST_SetSRID(ST_MakePoint(3.17, 50.69), 4326), 2154)); DELETE FROM gestion.mairies WHERE id = 7");
    assert!(
        server.until(SOON, |s| ids(&s.json("/collections/mairies/items?territory=com:59512"))
            == ["8"])
    );
    assert_eq!(server.get(far).status, 204);
    // A versioned address is not immutable either.
    let at = server.json("/collections/mairies")["version"].as_str().unwrap().to_owned();
    assert!(at.contains("-r"), "{at}");
}

#[test]
fn an_edit_that_nobody_announces_and_new_columns_are_seen() {
    let Some(place) = Place::new(MAIRIES, MAIRIES_LAYER) else { return };
    let server = place.site.serve();
    let version = |s: &crate::support::Server| s.json("/collections/mairies")["version"].clone();
    let before = version(&server);
    place.sql("UPDATE gestion.mairies SET nom = 'Lens bis' WHERE id = 2");
    assert!(server.until(SOON, |s| version(s) != before));
    assert_eq!(server.json("/collections/mairies/items/2")["properties"]["nom"], "Lens bis");
    place.sql(r#"ALTER TABLE gestion.mairies ADD COLUMN "téléphone ""fixe""" text DEFAULT '03';
        ALTER TABLE gestion.mairies DROP COLUMN note; COMMENT ON TABLE gestion.mairies IS 'Autre titre'; COMMENT ON COLUMN gestion.mairies.nom IS 'Nom usuel'"#);
    let column = "téléphone \"fixe\"";
    assert!(server.until(SOON, |s| {
        let page = s.get("/collections/mairies/items/2");
        page.status == 200 && page.json()["properties"][column] == "03"
    }));
    assert!(server.json("/collections/mairies/items/2")["properties"].get("note").is_none());
    assert_eq!(server.json("/collections/mairies")["title"], "Autre titre");
    let fields = server.json("/collections/mairies/schema")["properties"].clone();
    assert!(fields.get(column).is_some());
    assert_eq!(fields["nom"]["title"], "Nom usuel");
    // The table goes, and comes back.
    place.sql("ALTER TABLE gestion.mairies RENAME TO elsewhere");
    assert!(server.until(SOON, |s| s.get("/collections/mairies").status == 503));
    place.sql("ALTER TABLE gestion.elsewhere RENAME TO mairies");
    assert!(server.until(SOON, |s| s.get("/collections/mairies").status == 200));
}

/// Sends a request to the listener for whoever runs the server.
pub fn inner(port: u16, method: &str, path: &str) -> Answer {
    send(&format!("127.0.0.1:{port}"), method, path, &[])
}

#[test]
fn a_reload_shows_what_only_rights_hid_and_says_what_left() {
    let Some(place) = Place::new(MAIRIES, "") else { return };
    let (load, _) = place.logins();
    place.sql(&format!("GRANT SELECT (id, code_insee, nom, geom) ON gestion.mairies TO {load}"));
    let place = place.seen_by(&load, "", MAIRIES_LAYER);
    let port = free_port();
    place.listen_inside(port);
    let server = place.site.serve();
    let page = server.json("/collections/mairies/items?limit=2");
    let properties = |page: &Value| -> Vec<String> {
        page["features"][0]["properties"].as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(properties(&page), ["code_insee", "id", "nom"]);
    let links = page["links"].as_array().unwrap().iter();
    let next = links.clone().find(|l| l["rel"] == "next").unwrap()["href"].as_str().unwrap();
    let next = next.split_once("/collections").unwrap().1;

    // A right is no part of the table: only a reload looks at it.
    place.sql(&format!("GRANT SELECT (note) ON gestion.mairies TO {load}"));
    let told =
        std::process::Command::new("kill").args(["-HUP", &server.pid().to_string()]).status();
    assert!(told.unwrap().success());
    let items = "/collections/mairies/items";
    assert!(server.until(SOON, |s| properties(&s.json(items)).contains(&"note".to_owned())));
    // The cursor was made for the form before.
    assert_eq!(server.get(&format!("/collections{next}")).status, 410);

    place.sql(&format!("GRANT SELECT (posee) ON gestion.mairies TO {load}"));
    let answer = inner(port, "POST", "/admin/reload");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let table = &answer.json()["tables"][0];
    assert_eq!((&table["id"], &table["served"]), (&"mairies".into(), &true.into()));
    assert_eq!(table["columnsAdded"], serde_json::json!(["posee"]));
    // What it says holds for the next request.
    assert!(properties(&server.json(items)).contains(&"posee".to_owned()));

    place.sql("ALTER TABLE gestion.mairies RENAME TO elsewhere");
    let table = inner(port, "POST", "/admin/reload").json()["tables"][0].clone();
    assert_eq!(table["served"], false);
    assert!(table["reason"].as_str().unwrap().contains("gestion.mairies"), "{table}");
    assert_eq!(server.get(items).status, 503);
    place.sql("ALTER TABLE gestion.elsewhere RENAME TO mairies");
    assert_eq!(inner(port, "POST", "/admin/reload").json()["tables"][0]["served"], true);
    assert_eq!(server.get(items).status, 200);

    // The figures are beside it; the public finds neither.
    assert!(inner(port, "GET", "/metrics").text().contains("socle_http_requests_total"));
    let wrong = inner(port, "GET", "/admin/reload");
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST, OPTIONS")));
    assert_eq!(inner(port, "GET", items).status, 404);
    assert_eq!(server.send("POST", "/admin/reload", &[]).status, 404);
}

#[test]
fn a_login_that_only_reads_serves_tables_attached_by_the_one_that_loads() {
    let Some(place) = Place::new(MAIRIES, "") else { return };
    let (load, read) = place.logins();
    place.sql(&format!("GRANT SELECT ON gestion.mairies TO {load}, {read}"));
    let roles = format!("read_role = \"{read}\"");
    let loader = place.seen_by(&load, &roles, MAIRIES_LAYER);
    let done = loader.site.run(&["harvest"]);
    assert!(done.status.success(), "{}", said(&done));
    let reader = place.seen_by(&read, "", MAIRIES_LAYER);
    let server = reader.site.serve();
    let of = |code: &str| format!("/collections/mairies/items?territory={code}");
    assert_eq!(ids(&server.json(&of("dep:62"))), ["2", "5"]);
    assert_eq!(server.get("/t/dep-59/collections/mairies/tiles/8/130/86.mvt").status, 200);
    // An edit is seen by the reader alone; its territory once the loader has attached it.
    place.sql("UPDATE gestion.mairies SET nom = 'Lens bis', code_insee = '59350' WHERE id = 2");
    assert!(server.until(SOON, |s| {
        s.json("/collections/mairies/items/2")["properties"]["nom"] == "Lens bis"
    }));
    let done = loader.site.run(&["harvest"]);
    assert!(done.status.success(), "{}", said(&done));
    assert!(server.until(SOON, |s| ids(&s.json(&of("dep:62"))) == ["5"]));
    // It made nothing and owns nothing.
    let owned = format!("SELECT count(*) FROM pg_class WHERE pg_get_userbyid(relowner) = '{read}'");
    assert_eq!(place.sql(&owned), "0");
}

#[test]
fn two_replicas_see_an_announced_edit_also_when_listening_was_cut() {
    let Some(place) = Place::new(MAIRIES, MAIRIES_LAYER) else { return };
    place.sql(
        "INSERT INTO gestion.mairies (id, nom, geom) VALUES (7, 'Loin',
        ST_Transform(ST_SetSRID(ST_MakePoint(-1.5, 43.5), 4326), 2154))",
    );
    let checked = place.site.run(&["layers"]);
    assert!(checked.status.success(), "{}", said(&checked));
    place.sql("SELECT socle_store.watch_table('gestion.mairies', 'geom')");
    let replicas = [place.site.serve(), place.site.serve()];
    let (near, far) =
        ("/collections/mairies/tiles/8/130/86.mvt", "/collections/mairies/tiles/8/126/93.mvt");
    let tags =
        |path: &str| replicas.each_ref().map(|r| r.get(path).header("etag").map(str::to_owned));
    // The trigger itself was a change of the whole.
    let settled = |path: &str| {
        let mut last = tags(path);
        replicas[0].until(SOON, |_| {
            std::thread::sleep(Duration::from_millis(1500));
            std::mem::replace(&mut last, tags(path)) == tags(path)
        })
    };
    assert!(settled(near));
    for round in 0..3 {
        let (before, untouched) = (tags(near), tags(far));
        assert_eq!((&before[0], &untouched[0]), (&before[1], &untouched[1]));
        assert!(before[0].is_some() && untouched[0].is_some());
        if round > 0 {
            let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                       WHERE datname = current_database() AND query LIKE 'LISTEN%'";
            assert_ne!(place.sql(cut), "0");
        }
        place.sql(&format!("UPDATE gestion.mairies SET nom = 'Lille {round}' WHERE id = 1"));
        let edited = Instant::now();
        for replica in &replicas {
            let seen = |s: &Server| {
                String::from_utf8_lossy(&s.get(near).body).contains(&format!("Lille {round}"))
            };
            assert!(replica.until(SOON, seen));
            println!("round {round}: seen after {:?}", edited.elapsed());
        }
        assert_eq!(tags(far), untouched);
    }
}

#[test]
fn a_row_without_a_place_on_the_map_fails_neither_its_page_nor_its_tile() {
    let more = r#"
CREATE TABLE gestion.degres (id int PRIMARY KEY, nom text, geom geometry(Point, 4326));
INSERT INTO gestion.degres VALUES (1, 'Lille', ST_SetSRID(ST_MakePoint(3.06, 50.63), 4326)),
  (2, 'au loin', ST_SetSRID(ST_MakePoint(999, 50.63), 4326));
CREATE TABLE gestion.brisees (id int PRIMARY KEY, geom geometry(LineString, 2154));
INSERT INTO gestion.brisees VALUES
  (1, ST_GeomFromText('LINESTRING(704000 7059000, 705000 7060000)', 2154)),
  (2, ST_SetSRID(ST_MakeLine(ST_MakePoint(704000, 7059000), ST_MakePoint('Infinity', 7060000)), 2154)),
  (3, ST_GeomFromText('LINESTRING(704000 7059500, 705000 7060500)', 2154));
CREATE TABLE gestion.ntf (id int PRIMARY KEY, geom geometry(Point, 4275));
INSERT INTO gestion.ntf VALUES (1, ST_SetSRID(ST_MakePoint(3.06, 50.63), 4275)),
  (2, ST_SetSRID(ST_MakePoint(3, 999), 4275)), (3, ST_SetSRID(ST_MakePoint(3.07, 50.63), 4275));
"#;
    let tables = "[[tables]]\ntable = \"gestion.degres\"\n[[tables]]\ntable = \"gestion.brisees\"\n[[tables]]\ntable = \"gestion.ntf\"\n";
    let tables = format!("{MAIRIES_LAYER}{tables}");
    let Some(place) = Place::new(&format!("{MAIRIES}{more}"), &tables) else { return };
    let port = free_port();
    place.listen_inside(port);
    let server = place.site.serve();
    let geometries = |layer: &str| -> Vec<bool> {
        let page = server.json(&format!("/collections/{layer}/items"));
        let features = page["features"].as_array().unwrap().iter();
        features.map(|f| f["geometry"].is_object()).collect()
    };
    // The last is of a CRS whose transformation raises an error rather than giving infinities.
    for (layer, placed) in [
        ("degres", vec![true, false]),
        ("brisees", vec![true, false, true]),
        ("ntf", vec![true, false, true]),
    ] {
        assert_eq!(geometries(layer), placed, "{layer}");
        let tile = server.get(&format!("/collections/{layer}/tiles/8/130/86.mvt"));
        assert_eq!(tile.status, 200, "{layer}");
        // The whole world's: short lines are no more seen on it.
        let world = server.get(&format!("/collections/{layer}/tiles/0/0/0.mvt"));
        assert_eq!(world.status, if layer == "brisees" { 204 } else { 200 }, "{layer}");
        let collection = server.json(&format!("/collections/{layer}"));
        let bbox = &collection["extent"]["spatial"]["bbox"][0];
        assert!((bbox[0].as_f64().unwrap() - 3.06).abs() < 0.05, "{bbox}");
        let words = collection["description"].as_str().unwrap();
        assert!(words.contains("1 lignes ont une géométrie"), "{words}");
        assert_eq!(server.get(&format!("/collections/{layer}/items/2")).status, 200);
        let near = server.json(&format!("/collections/{layer}/items?bbox=3,50.6,3.1,50.7"));
        assert!(!ids(&near).contains(&"2".to_owned()), "{near}");
    }
    // One comes while the table is served: it fails nothing, and is told of.
    assert_eq!(geometries("mairies"), [true, true, true, true, true, false]);
    place.sql("UPDATE gestion.mairies SET geom = ST_SetSRID(ST_MakePoint('Infinity', 0), 2154) WHERE id = 3");
    let told = |s: &Server| {
        let words = s.json("/collections/mairies")["description"].as_str().unwrap().to_owned();
        words.contains("1 lignes ont une géométrie")
    };
    assert!(server.until(SOON, |s| {
        assert_eq!(s.get("/collections/mairies/items").status, 200);
        assert_ne!(s.get("/collections/mairies/tiles/8/130/86.mvt").status, 500);
        told(s)
    }));
    assert_eq!(geometries("mairies"), [true, true, false, true, true, false]);
    let figures = inner(port, "GET", "/metrics").text();
    assert!(figures.contains("socle_table_rows_unplaced{layer=\"mairies\"} 1"), "{figures}");
    // Mended, it is as before at the next reload.
    place.sql("UPDATE gestion.mairies SET geom = (SELECT geom FROM gestion.mairies WHERE id = 1) WHERE id = 3");
    assert!(server.until(SOON, |s| !told(s)));
    assert_eq!(geometries("mairies"), [true, true, true, true, true, false]);
}

#[test]
fn a_view_and_a_table_without_key_or_index_say_what_they_cost() {
    let more = r#"
CREATE VIEW gestion."Vue d'été" AS
  SELECT id, nom, ST_Buffer(geom, 5000) AS zone FROM gestion.mairies WHERE geom IS NOT NULL;
CREATE TABLE gestion.nue AS SELECT nom, geom FROM gestion.mairies UNION ALL SELECT nom, geom FROM gestion.mairies WHERE id = 1;
CREATE TABLE gestion.grande AS SELECT (i % 1000)::float8 AS v, ST_SetSRID(ST_MakePoint(i % 90, 45), 4326) AS geom
  FROM generate_series(1, 150000) i;
ANALYZE gestion.grande;
CREATE TABLE gestion.sans_srid (a int, b text, g geometry, PRIMARY KEY (b, a));
INSERT INTO gestion.sans_srid VALUES (1, 'x,~', ST_MakePoint(700000, 6600000)), (2, 'x', ST_GeomFromText('LINESTRING(700000 6600000, 700100 6600000)'));
"#;
    let tables = r#"
[[tables]]
table = "gestion.Vue d'été"
id = "vue"
key = "id"
title = "Zones"
[[tables]]
table = "gestion.nue"
[[tables]]
table = "gestion.grande"
[[tables]]
table = "gestion.sans_srid"
id = "srid"
srid = 2154
[[tables]]
table = "gestion.nulle"
"#;
    let Some(place) = Place::new(&format!("{MAIRIES}{more}"), tables) else { return };
    let server = place.site.serve();
    let vue = server.json("/collections/vue");
    assert_eq!((vue["title"].as_str(), vue["itemCount"].as_u64()), (Some("Zones"), Some(5)));
    assert!(vue["description"].as_str().unwrap().contains("sans index spatial"), "{vue}");
    assert_eq!(server.get("/collections/vue/tiles/8/130/86.mvt").status, 200);
    assert_eq!(ids(&server.json("/collections/vue/items?bbox=3.12,50.6,3.16,50.64")), ["1", "4"]);
    // A table under a view is edited: the view moves.
    let version = vue["version"].clone();
    place.sql("DELETE FROM gestion.mairies WHERE id = 4");
    assert!(server.until(SOON, |s| s.json("/collections/vue")["version"] != version));
    assert_eq!(server.json("/collections/vue/items")["numberMatched"], 4);

    let nue = server.json("/collections/nue");
    assert!(nue["description"].as_str().unwrap().contains("sans clé"), "{nue}");
    let all = ids(&server.json("/collections/nue/items"));
    assert_eq!(all.len(), 7);
    let twice = all.iter().find(|id| id.ends_with("-2")).unwrap();
    assert_eq!(
        server.json(&format!("/collections/nue/items/{twice}"))["properties"]["nom"],
        "Lille"
    );
    let paged = ids(&server.json("/collections/nue/items?limit=3&offset=3"));
    assert_eq!(paged, all[3..6]);

    let grande = server.get("/collections/grande");
    assert_eq!(grande.status, 503);
    assert!(grande.text().contains("allow_slow"), "{}", grande.text());
    let nulle = server.get("/collections/nulle");
    assert!(nulle.status == 503 && nulle.text().contains("existe pas"), "{}", nulle.text());

    let srid = server.json("/collections/srid/items");
    assert_eq!(ids(&srid), ["x,2", "x~1~0,1"]);
    let lon = srid["features"][1]["geometry"]["coordinates"][0].as_f64().unwrap();
    assert!((lon - 3.0).abs() < 1e-6, "{lon}");
    assert_eq!(server.get("/collections/srid/items/x~1~0,1").status, 200);
    assert_eq!(server.get("/collections/srid/tiles/8/130/90.mvt").status, 200);
}

#[test]
fn tables_are_attached_by_location_as_layers_are() {
    let tables =
        MAIRIES_LAYER.replace("level = \"com\"\ncolumn = \"code_insee\"", "by_location = true");
    let Some(place) = Place::new(MAIRIES, &tables) else { return };
    place.with_communes();
    let server = place.site.serve();
    assert!(
        server.until(SOON, |s| s.get("/collections/mairies/items?territory=dep:59").status == 200)
    );
    assert_eq!(ids(&server.json("/collections/mairies/items?territory=dep:59")), ["1", "3", "4"]);
    assert_eq!(ids(&server.json("/collections/mairies/items?territory=com:62498")), ["2"]);
    place.sql("UPDATE gestion.mairies SET geom = (SELECT geom FROM gestion.mairies WHERE id = 2) WHERE id = 1");
    assert!(server.until(SOON, |s| ids(&s.json("/collections/mairies/items?territory=com:62498"))
        == ["1", "2"]));
}

/// A name of the database: anything but nothing and U+0000, cut where it would be.
fn name() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        "select",
        "a\"b",
        "\"",
        "a'b",
        "a.b",
        "$1",
        "{s}",
        "{g}",
        "; DROP TABLE x; --",
        "é à",
        "LINE_NUMB-SEG",
        "t",
        "%",
        "\\",
        "geom",
        "fid",
        "a\nb",
        "socle hash",
        "/*",
        "日本",
    ]);
    prop_oneof![odd.prop_map(str::to_owned), "[^\0]{1,15}"]
}

#[test]
fn hostile_names_are_only_ever_names() {
    let Some(server) = postgres::shared() else { return };
    let quoted = |n: &str| format!("\"{}\"", n.replace('"', "\"\""));
    let names = prop::collection::hash_set(name(), 5);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..4 {
        let names: Vec<String> =
            names.new_tree(&mut runner).unwrap().current().into_iter().collect();
        let [schema, table, key, column, geometry] = &names[..] else { panic!() };
        let database = server.database();
        server.sql(&database, &format!(
            "CREATE SCHEMA {s}; CREATE TABLE {s}.{t} ({k} text PRIMARY KEY, {c} text, {g} geometry(Point, 4326));
             INSERT INTO {s}.{t} VALUES ('k''1', 'v', ST_SetSRID(ST_MakePoint(3.05, 50.63), 4326)), ('k2', 'w', NULL)",
            s = quoted(schema), t = quoted(table), k = quoted(key), c = quoted(column), g = quoted(geometry)));
        let place = Place {
            server,
            database: database.clone(),
            site: Site::over(&server.url(&database), ""),
        };
        let whole = toml::Value::String(format!("{}.{}", quoted(schema), quoted(table)));
        place.tables(&format!("[[tables]]\nid = \"odd\"\ntable = {whole}\n"));
        let served = place.site.serve();
        let page = served.json("/collections/odd/items");
        assert_eq!(ids(&page), ["k'1", "k2"], "{names:?}");
        assert_eq!(page["features"][1]["properties"][column], "w", "{names:?}");
        assert_eq!(served.get("/collections/odd/items/k'1").status, 200, "{names:?}");
        assert_eq!(served.get("/collections/odd/tiles/8/130/86.mvt").status, 200, "{names:?}");
        assert_eq!(
            place.sql(&format!("SELECT count(*) FROM {}.{}", quoted(schema), quoted(table))),
            "2"
        );
    }
}
