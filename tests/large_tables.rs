//! Large tables: where their tiles stop, and which index a filter wants.

use crate::{
    proxy::free_port,
    support::{Answer, Server},
    tables::{Place, SOON, ids, inner},
};

/// 400,000 points in a square of Picardie, one of their columns indexed; a view of them; boxes of
/// few rows and many bytes.
const TREES: &str = r#"
CREATE SCHEMA gestion;
CREATE TABLE gestion."Arbres d'ici" (id int PRIMARY KEY, "Espèce ""latine""" text, code text, pose timestamptz,
  geom geometry(Point, 2154));
INSERT INTO gestion."Arbres d'ici" SELECT i, 'e' || i % 200000, 'c' || i % 200000, now(),
  ST_SetSRID(ST_MakePoint(640000 + (i::bigint * 7919) % 60000, 6970000 + (i::bigint * 104729 / 13) % 60000), 2154)
  FROM generate_series(1, 400000) i;
CREATE INDEX ON gestion."Arbres d'ici" USING gist (geom);
CREATE INDEX ON gestion."Arbres d'ici" (code);
CREATE VIEW gestion.vue AS SELECT * FROM gestion."Arbres d'ici";
CREATE TABLE gestion.lourde (id int PRIMARY KEY, geom geometry(Polygon, 2154));
ALTER TABLE gestion.lourde ALTER geom SET STORAGE EXTERNAL;
INSERT INTO gestion.lourde SELECT i, ST_Buffer(ST_SetSRID(ST_MakePoint(640000 + i * 10, 6970000 + i * 10), 2154), 100, 2000)
  FROM generate_series(1, 600) i;
CREATE INDEX ON gestion.lourde USING gist (geom);
ANALYZE;
"#;

const LAYERS: &str = r#"
[[tables]]
table = "gestion.Arbres d'ici"
id = "arbres"
[[tables]]
table = "gestion.vue"
key = "id"
[[tables]]
table = "gestion.lourde"
[[tables]]
table = "gestion.Arbres d'ici"
id = "lente"
allow_slow = true
"#;

#[test]
fn a_large_table_says_where_it_stops_and_which_index_it_wants() {
    let Some(place) = Place::new(TREES, LAYERS) else { return };
    let port = free_port();
    place.listen_inside(port);
    let server = place.site.serve();
    low_zooms(&place, &server);
    filters(&place, &server);
    // The table shrinks: its low zooms are served once it is looked at again.
    place.sql(
        "DELETE FROM gestion.\"Arbres d'ici\" WHERE id > 1000; ANALYZE gestion.\"Arbres d'ici\"",
    );
    assert_eq!(inner(port, "POST", "/admin/reload").status, 200);
    assert!(server.until(SOON, |_| lowest(&server, "arbres").0 == 0));
}

/// The lowest zoom of a layer, and its description.
fn lowest(server: &Server, layer: &str) -> (u64, String) {
    let tiles = server.json(&format!("/collections/{layer}/tilejson.json"));
    let collection = server.json(&format!("/collections/{layer}"));
    let words = collection["description"].as_str().unwrap_or_default().to_owned();
    (tiles["minzoom"].as_u64().unwrap(), words)
}

fn low_zooms(place: &Place, server: &Server) {
    // Counted by PostGIS, tile by tile: none of the lowest zoom holds more than the budget, as far
    // as statistics can tell; some of the zoom above do.
    let (zoom, words) = lowest(server, "arbres");
    let heaviest = |zoom: u64| -> u64 {
        let sql = format!(
            "SELECT max(n) FROM (SELECT count(*) AS n FROM (SELECT ST_Transform(geom, 3857) AS g FROM gestion.\"Arbres d'ici\") s
             GROUP BY floor(ST_X(g) / (40075016.68 / 2 ^ {zoom})), floor(ST_Y(g) / (40075016.68 / 2 ^ {zoom}))) t"
        );
        place.sql(&sql).parse().unwrap()
    };
    assert!(heaviest(zoom) < 60_000 && heaviest(zoom - 1) > 40_000, "{zoom}");
    assert!(
        words.contains(&format!("à partir du zoom {zoom}")) && words.contains("moissonnez"),
        "{words}"
    );
    let tile = |z: u64| {
        let (x, y) = (f64::from(1u32 << z) * (182.5 / 360.0), f64::from(1u32 << z) * 0.3387);
        format!("/collections/arbres/tiles/{z}/{}/{}.mvt", x as u64, y as u64)
    };
    assert_eq!(server.get(&tile(zoom - 1)).status, 204);
    assert_eq!(server.get(&tile(zoom)).status, 200, "{}", tile(zoom));
    let limits = server.json("/collections/arbres/tiles/WebMercatorQuad");
    let first = &limits["tileMatrixSetLimits"][0]["tileMatrix"];
    assert_eq!(first, &zoom.to_string());
    assert_eq!(lowest(server, "vue").0, zoom);
    // 600 rows of 128 kB: few of them are too many for one tile.
    let (heavy, words) = lowest(server, "lourde");
    assert!(heavy > 8 && words.contains("Mio"), "{heavy} {words}");
    assert_eq!(lowest(server, "lente").0, 0);
}

fn filters(place: &Place, server: &Server) {
    // Filters: by an index; without one, refused with the statement that makes it.
    let items = |layer: &str, filter: &str| -> Answer {
        server.get(&format!("/collections/{layer}/items?{filter}"))
    };
    let species = "Esp%C3%A8ce%20%22latine%22=e77";
    assert_eq!(ids(&items("arbres", "code=c77&limit=5").json()), ["77", "200077"]);
    let refused = items("arbres", species);
    assert_eq!(refused.status, 400, "{}", refused.text());
    let words = refused.json()["detail"].as_str().unwrap().to_owned();
    let index = r#"CREATE INDEX ON "gestion"."Arbres d'ici" ("Espèce ""latine""")"#;
    assert!(words.contains(index), "{words}");
    // Bounded by a box, or by what the planner knows to be everywhere, it is served.
    let near = format!("{species}&bbox=2.2,49.9,2.21,49.91");
    assert_eq!(items("arbres", &near).status, 200);
    assert_eq!(items("lente", &format!("{species}&limit=5")).status, 200);
    // A view has no index of its own; a column whose text depends on the session has none at all.
    let view = items("vue", species);
    assert!(
        view.status == 400 && view.text().contains("dans les tables de la vue"),
        "{}",
        view.text()
    );
    let time = items("arbres", "pose=2001-01-01T00:00:00.000Z");
    assert!(time.status == 400 && time.text().contains("Aucun index"), "{}", time.text());
    // A CQL2 filter is judged by its plan as well.
    let cql = "filter=code%20LIKE%20'%25zz%25'";
    let like = items("arbres", cql);
    assert!(like.status == 400 && like.text().contains("champ=valeur"), "{}", like.text());
    assert_eq!(items("arbres", &format!("{cql}&code=c77")).status, 200);
    assert_eq!(items("arbres", "filter=id%20%3C%2010").status, 200);
    let sorted = items("arbres", "sortby=-code");
    assert!(sorted.status == 400 && sorted.text().contains("trierait"), "{}", sorted.text());
    assert_eq!(ids(&items("arbres", "sortby=-id&code=c77").json()), ["200077", "77"]);
    // With the index that was asked for, the same request is answered.
    place.sql(&format!("{index}; ANALYZE gestion.\"Arbres d'ici\""));
    let answered =
        |s: &Server| s.get(&format!("/collections/arbres/items?{species}")).status == 200;
    assert!(server.until(SOON * 2, answered));
    assert_eq!(ids(&items("arbres", species).json()), ["77", "200077"]);
}
