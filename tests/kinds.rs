//! Tables of every kind and columns of every type: each is served, or refused with a word on what
//! to do; none answers 500.

use crate::{
    support::{Answer, Server},
    tables::{Place, SOON, ids},
};
use serde_json::{Value, json};

/// Columns of every type, at their limits.
const TYPES: &str = r#"
CREATE SCHEMA k;
CREATE EXTENSION hstore;
CREATE DOMAIN k.code AS text CHECK (value ~ '^[0-9AB]+$');
CREATE DOMAIN k.insee AS k.code;
CREATE DOMAIN k.place AS geometry(Point, 2154);
CREATE TYPE k.etat AS ENUM ('ouvert', 'fermé', 'en "travaux"');
CREATE TYPE k.adresse AS (numero int, voie text);
CREATE TABLE k.types (
  id bigint PRIMARY KEY, insee k.insee, etat k.etat, adresse k.adresse, nombres int[], noms text[],
  js json, jb jsonb, brut numeric, prix numeric(10,2), entier numeric(12,0), u uuid, octets bytea,
  duree interval, local timestamp, zone timestamptz, jour date, heure time, reel real, dbl float8,
  vrai bool, petit smallint, car char(5), h hstore, plage int4range, ip inet, monnaie numeric(20,4),
  double int GENERATED ALWAYS AS (petit * 2) STORED, "un nom assez long pour être gênant, ééééé" text,
  "order" text, pt point, x xml, v tsvector, b bit(3), geoms geometry[], lieu k.place);
INSERT INTO k.types VALUES (9007199254740993, '2A004', 'en "travaux"', (1, 'rue "x"'), '{1,NULL,3}', '{a,"b c"}',
  '{"a": [1.50, "\u00e9"]}', '{"b": null}', 12345678901234567890.123, 1.10, 999999999999,
  '6f9619ff-8b86-d011-b42d-00c04fc964ff', '\x00ff', '1 day 02:03:04', '2025-01-02 03:04:05.678901',
  '2025-01-02 03:04:05.678+01', '2024-02-29', '12:34:56', 0.1, 1e300, true, -7, 'ab', 'a=>1',
  '[1,5)', '::1', 1234567890123456.7891, DEFAULT, 'long', 'réservé', '(1,2)', '<a/>', 'mot', B'101',
  ARRAY[ST_MakePoint(1,2)], ST_SetSRID(ST_MakePoint(704000, 7059000), 2154));
INSERT INTO k.types (id, brut, dbl, reel, jour, zone, local) VALUES
  (2, 'NaN', 'Infinity', '-Infinity', 'infinity', '-infinity', 'infinity'),
  (3, 1e400, 'NaN', 1e38, '4713-01-01 BC', '9999-12-31 23:59:59.9999+00', '0001-01-01'),
  (4, 1e-400, -0.0, 1e-38, '0001-01-01', '0044-03-15 12:00:00+00 BC', '1969-12-31 23:59:59.9999'),
  (5, NULL, NULL, NULL, NULL, NULL, NULL);
"#;

/// Relations of every kind.
const RELATIONS: &str = r#"
CREATE TABLE k.base (id int PRIMARY KEY, nom text, geom geometry(Point, 4326));
INSERT INTO k.base SELECT i, 'n' || i, ST_SetSRID(ST_MakePoint(3 + i * 0.01, 50.6), 4326) FROM generate_series(1, 5) i;
CREATE INDEX ON k.base USING gist (geom);
CREATE VIEW k.vue AS SELECT b.id, upper(b.nom) AS nom, b.geom FROM k.base b WHERE id > 1;
CREATE VIEW k.vue_de_vue AS SELECT * FROM k.vue WHERE id > 2;
CREATE VIEW k.trouee AS SELECT nullif(id, 3) AS id, nom, geom FROM k.base;
CREATE MATERIALIZED VIEW k.mat AS SELECT * FROM k.vue;
CREATE UNIQUE INDEX ON k.mat (id);
CREATE TABLE k.parts (id int, an int, geom geometry(Point, 4326), PRIMARY KEY (an, id)) PARTITION BY LIST (an);
CREATE TABLE k.parts_2024 PARTITION OF k.parts FOR VALUES IN (2024);
CREATE TABLE k.parts_2025 PARTITION OF k.parts FOR VALUES IN (2025);
CREATE INDEX ON k.parts USING gist (geom);
INSERT INTO k.parts SELECT i, 2024 + i % 2, ST_SetSRID(ST_MakePoint(3, 50 + i * 0.01), 4326) FROM generate_series(1, 4) i;
CREATE TABLE k.mere (id int PRIMARY KEY, geom geometry(Point, 4326));
CREATE TABLE k.fille (plus text) INHERITS (k.mere);
INSERT INTO k.mere SELECT id, geom FROM k.base WHERE id = 1;
INSERT INTO k.fille SELECT id, geom, 'x' FROM k.base WHERE id > 3;
CREATE EXTENSION postgres_fdw;
CREATE SERVER ici FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '{port}', dbname '{database}');
CREATE USER MAPPING FOR PUBLIC SERVER ici OPTIONS (user 'socle');
CREATE FOREIGN TABLE k.loin (id int NOT NULL, nom text, geom geometry(Point, 4326)) SERVER ici OPTIONS (schema_name 'k', table_name 'base');
CREATE TABLE k.sans_cle AS SELECT nom, geom FROM k.base;
CREATE TABLE k.deux_cles (a text, b date, geom geometry(Point, 4326), PRIMARY KEY (b, a));
INSERT INTO k.deux_cles SELECT 'x,' || id, date '2025-01-01' + id, geom FROM k.base;
CREATE TABLE k.sans_geom (id uuid PRIMARY KEY, "select" text);
INSERT INTO k.sans_geom VALUES ('6f9619ff-8b86-d011-b42d-00c04fc964ff', 'from');
CREATE TABLE k.sans_ordre (j json, n int);
INSERT INTO k.sans_ordre VALUES ('[1]', 1), ('[2]', 1);
CREATE TABLE k.vide (id int PRIMARY KEY, geom geometry(Point, 2154));
"#;

/// Geometries of every kind.
const GEOMETRIES: &str = r#"
CREATE TABLE k.geog (id int PRIMARY KEY, g geography(Point, 4326));
INSERT INTO k.geog SELECT id, geom FROM k.base;
CREATE TABLE k.libre (id int PRIMARY KEY, geom geometry);
INSERT INTO k.libre VALUES (1, 'SRID=2154;POINT(704000 7059000)'), (2, 'SRID=2154;POINT ZM(704000 7059000 10 5)'),
  (3, 'SRID=2154;LINESTRING Z(704000 7059000 1, 705000 7060000 2)'),
  (4, 'SRID=2154;GEOMETRYCOLLECTION(POINT(704000 7059000), LINESTRING(704000 7059000, 714000 7069000), POLYGON((704000 7059000, 714000 7059000, 714000 7069000, 704000 7059000)))'),
  (5, 'SRID=2154;POLYGON EMPTY'), (6, NULL),
  (7, 'SRID=2154;GEOMETRYCOLLECTION(POINT EMPTY, GEOMETRYCOLLECTION(POINT(704000 7059000)))'),
  (8, 'SRID=2154;MULTIPOINT M((704000 7059000 1), (704100 7059100 2))');
CREATE TABLE k.courbes (id int PRIMARY KEY, geom geometry(Geometry, 2154));
INSERT INTO k.courbes VALUES
  (1, 'SRID=2154;CIRCULARSTRING(704000 7059000, 709000 7064000, 714000 7059000)'),
  (2, 'SRID=2154;CURVEPOLYGON(CIRCULARSTRING(704000 7059000, 709000 7064000, 714000 7059000, 709000 7054000, 704000 7059000))'),
  (3, 'SRID=2154;COMPOUNDCURVE(CIRCULARSTRING(704000 7059000, 709000 7064000, 714000 7059000), (714000 7059000, 720000 7059000))'),
  (4, 'SRID=2154;MULTISURFACE(CURVEPOLYGON(CIRCULARSTRING(704000 7059000, 709000 7064000, 714000 7059000, 709000 7054000, 704000 7059000)))');
CREATE TABLE k.cercle (id int PRIMARY KEY, geom geometry(CurvePolygon, 2154));
INSERT INTO k.cercle SELECT id, geom FROM k.courbes WHERE id = 2;
CREATE TABLE k.surfaces (id int PRIMARY KEY, geom geometry(GeometryZ, 2154));
INSERT INTO k.surfaces VALUES (1, 'SRID=2154;TIN Z(((704000 7059000 0, 714000 7059000 0, 714000 7069000 0, 704000 7059000 0)))'),
  (2, 'SRID=2154;POLYHEDRALSURFACE Z(((704000 7059000 0, 714000 7059000 0, 714000 7069000 0, 704000 7059000 0)))'),
  (3, 'SRID=2154;POLYGON Z((704000 7059000 0, 714000 7059000 0, 714000 7069000 0, 704000 7059000 0))');
CREATE TABLE k.melange (id int PRIMARY KEY, geom geometry);
INSERT INTO k.melange VALUES (1, 'SRID=2154;POINT(704000 7059000)'), (2, 'SRID=4326;POINT(3 50)'), (3, NULL);
CREATE TABLE k.parfois (id int PRIMARY KEY, geom geometry);
INSERT INTO k.parfois VALUES (1, 'SRID=2154;POINT(704000 7059000)'), (2, 'POINT(704000 7059000)');
CREATE TABLE k.nulle_part (id int PRIMARY KEY, geom geometry(Point));
INSERT INTO k.nulle_part VALUES (1, 'POINT(704000 7059000)');
CREATE TABLE k.plusieurs (id int PRIMARY KEY, entree geometry(Point, 4326), "l'emprise" geometry(Polygon, 2154));
INSERT INTO k.plusieurs VALUES (1, 'SRID=4326;POINT(3 50)', 'SRID=2154;POLYGON((704000 7059000, 714000 7059000, 714000 7069000, 704000 7059000))');
"#;

/// Layers by table; and more keys.
const TABLES: &[(&str, &str)] = &[
    ("types", ""),
    ("base", ""),
    ("vue", "key = \"id\""),
    ("vue_de_vue", "key = \"id\""),
    ("trouee", "key = \"id\""),
    ("mat", ""),
    ("parts", ""),
    ("mere", ""),
    ("loin", "key = \"id\""),
    ("sans_cle", ""),
    ("deux_cles", ""),
    ("sans_geom", ""),
    ("vide", ""),
    ("geog", ""),
    ("libre", ""),
    ("courbes", ""),
    ("cercle", ""),
    ("surfaces", ""),
    ("melange", ""),
    ("parfois", "srid = 2154"),
    ("nulle_part", ""),
    ("plusieurs", "geometry = \"l'emprise\""),
];

/// Refused by their declaration.
const WRONG: &str = r#"
[[tables]]
table = "k.nulle_part"
id = "srid-inconnu"
srid = 123456
[[tables]]
table = "k.base"
id = "sans-colonne"
geometry = "geometrie"
[[tables]]
table = "k.base"
id = "cle-absente"
key = "code"
[[tables]]
table = "k.vue"
id = "cle-sans-ordre"
key = "geom"
[[tables]]
table = "k.sans_ordre"
id = "cle-json"
key = "j"
[[tables]]
table = "k.sans_ordre"
id = "cle-repetee"
key = "n"
"#;

struct Kinds {
    place: Place,
    server: Server,
}

impl Kinds {
    fn serve() -> Option<Self> {
        let server = crate::support::postgres::shared()?;
        let database = server.database();
        let relations =
            RELATIONS.replace("{port}", &server.port.to_string()).replace("{database}", &database);
        let of =
            |(table, more): &(&str, &str)| format!("[[tables]]\ntable = \"k.{table}\"\n{more}\n");
        let tables: String = TABLES.iter().map(of).collect();
        let sql = format!("{TYPES}{relations}{GEOMETRIES}");
        let place = Place::at(server, &server.url(&database), &sql, &format!("{tables}{WRONG}"));
        let server = place.site.serve();
        Some(Self { place, server })
    }

    fn get(&self, layer: &str, rest: &str) -> Answer {
        self.server.get(&format!("/collections/{layer}{rest}"))
    }

    fn ids(&self, layer: &str, rest: &str) -> Vec<String> {
        let answer = self.get(layer, &format!("/items{rest}"));
        assert_eq!(answer.status, 200, "{layer}{rest}: {}", answer.text());
        ids(&answer.json())
    }

    fn words(&self, layer: &str) -> String {
        self.server.json(&format!("/collections/{layer}"))["description"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    fn geometry(&self, layer: &str, id: &str) -> Value {
        self.get(layer, &format!("/items/{id}")).json()["geometry"].clone()
    }
}

#[test]
fn tables_of_every_kind_are_served_or_refused_in_words() {
    let Some(kinds) = Kinds::serve() else { return };
    types(&kinds);
    relations(&kinds);
    geometries(&kinds);
    refusals(&kinds);
    nothing_fails(&kinds);
}

fn types(kinds: &Kinds) {
    let page = kinds.get("types", "/items").json();
    assert_eq!(ids(&page), ["2", "3", "4", "5", "9007199254740993"]);
    let of = |i: usize| page["features"][i]["properties"].clone();
    let full = of(4);
    let expected = json!({
        "insee": "2A004", "etat": "en \"travaux\"", "adresse": {"numero": 1, "voie": "rue \"x\""},
        "nombres": [1, null, 3], "noms": ["a", "b c"], "js": {"a": [1.5, "é"]}, "jb": {"b": null},
        "brut": 12345678901234567890.123, "prix": 1.1, "entier": 999_999_999_999u64,
        "u": "6f9619ff-8b86-d011-b42d-00c04fc964ff", "octets": "AP8=", "duree": "1 day 02:03:04",
        "local": "2025-01-02T03:04:05.678Z", "zone": "2025-01-02T02:04:05.678Z", "jour": "2024-02-29",
        "heure": "12:34:56", "reel": 0.1, "dbl": 1e300, "vrai": true, "petit": -7, "car": "ab",
        "h": {"a": "1"}, "plage": "[1,5)", "ip": "::1/128", "double": -14, "order": "réservé",
        "un nom assez long pour être gênant, ééééé": "long", "b": "101", "x": "<a/>", "v": "'mot'",
        "pt": "(1,2)",
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&full[name], value, "{name}");
    }
    assert!(full["geoms"].is_array() && page["features"][4]["geometry"]["type"] == "Point");
    assert_eq!(kinds.get("types", "/items/9007199254740993").status, 200);
    assert_eq!(kinds.get("types", "/items/9007199254740992").status, 404);
    assert!(kinds.get("types", "/items").text().contains("9007199254740993,"));
    // What no number, day or instant is, and what a double cannot hold.
    for name in ["brut", "dbl", "reel", "jour", "zone", "local"] {
        assert!(of(0)[name].is_null() && of(3)[name].is_null(), "{name}");
    }
    assert!(of(1)["brut"].is_null() && of(1)["dbl"].is_null() && of(1)["jour"].is_null());
    assert_eq!((&of(2)["brut"], &of(2)["jour"]), (&json!(0.0), &"0001-01-01".into()));
    assert_eq!(of(2)["local"], "1969-12-31T23:59:59.999Z");
    // Each may be filtered by, as it is shown.
    for filter in [
        "etat=en%20%22travaux%22",
        "insee=2A004",
        "prix=1.1",
        "double=-14",
        "u=6f9619ff-8b86-d011-b42d-00c04fc964ff",
        "octets=AP8=",
        "jour=2024-02-29",
        "reel=0.1",
        "local=2025-01-02T03:04:05.678Z",
        "order=r%C3%A9serv%C3%A9",
        "vrai=true",
        "car=ab",
        "brut=12345678901234567890.123",
        "duree=1%20day%2002:03:04",
        "entier=999999999999",
    ] {
        assert_eq!(kinds.ids("types", &format!("?{filter}")), ["9007199254740993"], "{filter}");
    }
}

fn relations(kinds: &Kinds) {
    assert_eq!(kinds.ids("vue", ""), ["2", "3", "4", "5"]);
    assert_eq!(kinds.ids("vue_de_vue", "?nom=N4"), ["4"]);
    assert_eq!(kinds.ids("mat", ""), ["2", "3", "4", "5"]);
    assert_eq!(kinds.ids("parts", ""), ["2024,2", "2024,4", "2025,1", "2025,3"]);
    assert_eq!(kinds.ids("parts", "?bbox=2.9,50.005,3.1,50.015"), ["2025,1"]);
    assert_eq!(kinds.ids("mere", ""), ["1", "4", "5"]);
    assert_eq!(kinds.ids("loin", "?bbox=3.015,50,3.035,51"), ["2", "3"]);
    assert_eq!(kinds.ids("sans_cle", "").len(), 5);
    assert_eq!(kinds.ids("deux_cles", "?limit=2"), ["2025-01-02,x~11", "2025-01-03,x~12"]);
    assert_eq!(kinds.get("deux_cles", "/items/2025-01-03,x~12").status, 200);
    assert_eq!(kinds.ids("sans_geom", ""), ["6f9619ff-8b86-d011-b42d-00c04fc964ff"]);
    assert_eq!(kinds.ids("vide", ""), Vec::<String>::new());
    // A row without its key is on no page, and is told of.
    assert_eq!(kinds.ids("trouee", ""), ["1", "2", "4", "5"]);
    assert!(kinds.words("trouee").contains("1 lignes sans clé"), "{}", kinds.words("trouee"));
    // Edits reach through all of them.
    let version = |layer: &str| kinds.get(layer, "").json()["version"].clone();
    let layers = ["vue_de_vue", "parts", "mere", "base"];
    let before: Vec<Value> = layers.iter().map(|l| version(l)).collect();
    kinds.place.sql(
        "UPDATE k.base SET nom = 'autre' WHERE id = 4; UPDATE k.parts SET geom = NULL WHERE id = 3;
         UPDATE k.fille SET plus = 'y'; REFRESH MATERIALIZED VIEW k.mat",
    );
    for (layer, before) in layers.iter().zip(&before) {
        assert!(kinds.server.until(SOON, |_| version(layer) != *before), "{layer}");
    }
    assert!(kinds.server.until(SOON, |_| kinds.ids("mat", "?nom=AUTRE") == ["4"]));
}

fn geometries(kinds: &Kinds) {
    assert_eq!(kinds.ids("geog", "?bbox=3.015,50,3.035,51"), ["2", "3"]);
    let words = kinds.words("geog");
    assert!(
        words.contains(r#"CREATE INDEX ON "k"."geog" USING gist (("g"::geometry))"#),
        "{words}"
    );
    let kind = |layer: &str, id: &str| kinds.geometry(layer, id)["type"].clone();
    let all: Vec<Value> = (1..=8).map(|i| kind("libre", &i.to_string())).collect();
    let names = json!([
        "Point",
        "Point",
        "LineString",
        "GeometryCollection",
        null,
        null,
        "GeometryCollection",
        "MultiPoint"
    ]);
    assert_eq!(Value::from(all), names);
    let plane = &kinds.geometry("libre", "2")["coordinates"];
    assert_eq!(plane.as_array().unwrap().len(), 2);
    // Arcs become lines: the circle keeps its area, within what PostGIS's own segments leave.
    let circle = kinds.geometry("courbes", "2");
    assert!(
        circle["type"] == "Polygon" && circle["coordinates"][0].as_array().unwrap().len() > 100,
        "{circle}"
    );
    assert_eq!(kind("courbes", "1"), "LineString");
    assert_eq!(
        (kind("courbes", "4"), kind("cercle", "2")),
        ("MultiPolygon".into(), "Polygon".into())
    );
    // Surfaces in space are told of and shown without geometry, those beside them with theirs.
    assert_eq!((kind("surfaces", "1"), kind("surfaces", "3")), (Value::Null, "Polygon".into()));
    assert!(kinds.words("surfaces").contains("2 lignes"), "{}", kinds.words("surfaces"));
    assert_eq!(kinds.geometry("parfois", "1"), kinds.geometry("parfois", "2"));
    let corner = kinds.geometry("plusieurs", "1");
    assert_eq!(corner["type"], "Polygon");
    assert!(kinds.words("plusieurs").contains("« entree »"), "{}", kinds.words("plusieurs"));
    // On tiles, too: what PostGIS draws there is drawn here.
    for layer in [
        "geog",
        "libre",
        "courbes",
        "cercle",
        "surfaces",
        "parfois",
        "plusieurs",
        "types",
        "loin",
        "parts",
    ] {
        let tile = kinds.get(layer, "/tiles/6/32/21.mvt");
        assert_eq!(tile.status, 200, "{layer}: {}", tile.text());
    }
}

fn refusals(kinds: &Kinds) {
    for (layer, words) in [
        ("melange", "2154, 4326"),
        ("nulle_part", "srid"),
        ("srid-inconnu", "123456"),
        ("sans-colonne", "« geometrie »"),
        ("cle-absente", "« code »"),
        ("cle-sans-ordre", "sans ordre"),
        ("cle-json", "sans ordre"),
        ("cle-repetee", "se répète : 1 lignes"),
    ] {
        let answer = kinds.get(layer, "/items");
        assert_eq!(answer.status, 503, "{layer}: {}", answer.text());
        let french = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(french.contains(words), "{layer}: {french}");
    }
}

/// Whatever is asked of whatever there is.
fn nothing_fails(kinds: &Kinds) {
    let wrong = ["srid-inconnu", "cle-absente", "cle-sans-ordre", "cle-json", "cle-repetee"];
    for layer in TABLES.iter().map(|t| t.0).chain(wrong) {
        for rest in [
            "",
            "/items",
            "/items?limit=1",
            "/items?offset=2&limit=1",
            "/items?bbox=0,40,10,60",
            "/items/1",
            "/items/x",
            "/items/1,2",
            "/schema",
            "/queryables",
            "/tilejson.json",
            "/tiles/0/0/0.mvt",
            "/tiles/6/32/21.mvt",
            "/tiles/14/8332/5522.mvt",
            "/tiles/22/1/1.mvt",
            "/items?crs=http://www.opengis.net/def/crs/EPSG/0/2154",
            "/export?f=geojson",
            "/export?f=gpkg",
        ] {
            let answer = kinds.get(layer, rest);
            assert_ne!(answer.status, 500, "{layer}{rest}: {}", answer.text());
        }
    }
}
