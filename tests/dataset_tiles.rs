//! Tiles of several layers at once, as OGC clients and GDAL read them.

use crate::support::{demo_server, gunzip, has, over_postgis, tool};
use serde_json::{Value, json};

/// A tile over Lille, z/x/y.
const LILLE: &str = "9/260/172";

#[test]
fn a_tile_holds_the_layers_asked_for_each_as_when_alone() {
    let server = demo_server();
    let alone = |id: &str| server.get(&format!("/collections/{id}/tiles/{LILLE}.mvt")).body;
    let both = server.get(&format!("/tiles/{LILLE}.mvt?collections=mairies,communes"));
    assert_eq!(both.status, 200);
    assert_eq!(both.header("content-type"), Some("application/vnd.mapbox-vector-tile"));
    assert_eq!(both.body, [alone("communes"), alone("mairies")].concat());

    // Two orders are one tile; both grids' orders too.
    let turned = server.get(&format!("/tiles/{LILLE}.pbf?collections=communes,mairies,communes"));
    assert_eq!((turned.header("etag"), &turned.body), (both.header("etag"), &both.body));
    let ogc = server.get("/tiles/WebMercatorQuad/9/172/260?collections=communes,mairies");
    assert_eq!(ogc.body, both.body);
    let etag = both.header("etag").unwrap();
    let again = server.send("GET", &ogc_path("communes,mairies"), &[("if-none-match", etag)]);
    assert_eq!((again.status, again.body.len()), (304, 0));

    // All layers, compressed once for all of them together.
    let all = server.send("GET", &format!("/tiles/{LILLE}.mvt"), &[("accept-encoding", "gzip")]);
    assert_eq!(all.header("content-encoding"), Some("gzip"));
    let parts = [alone("cantons"), alone("communes"), alone("mairies")].concat();
    assert_eq!(gunzip(&all.body), parts);

    // One layer alone is the layer's own tile; none there is an empty one.
    assert_eq!(server.get(&ogc_path("communes")).body, alone("communes"));
    assert_eq!(server.get("/tiles/9/0/0.mvt").status, 204);
}

fn ogc_path(collections: &str) -> String {
    format!("/tiles/WebMercatorQuad/9/172/260?collections={collections}")
}

#[test]
fn a_scope_selects_in_every_layer_of_a_tile() {
    let server = demo_server();
    // Between Nord and Pas-de-Calais.
    let tile = "10/519/344.mvt";
    let alone = |id: &str| server.get(&format!("/t/dep-62/collections/{id}/tiles/{tile}")).body;
    let both = server.get(&format!("/t/dep-62/tiles/{tile}?collections=communes,mairies"));
    assert_eq!(both.body, [alone("communes"), alone("mairies")].concat());
    let asked = server.get(&format!("/tiles/{tile}?territory=dep:62&collections=communes,mairies"));
    assert_eq!(asked.body, both.body);
    // Cut at the border, each as when alone.
    let alone = |id: &str| {
        server.get(&format!("/t/epci-200093201-clip/collections/{id}/tiles/10/520/344.mvt")).body
    };
    let path = "/t/epci-200093201-clip/tiles/10/520/344.mvt?collections=cantons,communes";
    let cut = server.get(path);
    assert_eq!(cut.body, [alone("cantons"), alone("communes")].concat());
    assert_ne!(cut.body, server.get(&path.replace("-clip", "")).body);
    let whole = server.get(&format!("/tiles/{tile}?collections=communes,mairies"));
    assert!(whole.body.len() > both.body.len());
    assert_ne!(whole.header("etag"), both.header("etag"));
}

#[test]
fn descriptions_of_the_tiles_of_all_layers_agree() {
    let server = demo_server();
    let list = server.json("/tiles");
    let tileset = &list["tilesets"][0];
    assert_eq!(tileset["tileMatrixSetId"], "WebMercatorQuad");
    let link = |v: &Value, rel: &str| {
        let found = v["links"].as_array().unwrap().iter().find(|l| l["rel"] == rel);
        found.map(|l| l["href"].as_str().unwrap().to_owned()).unwrap_or_default()
    };
    assert!(link(tileset, "item").ends_with("/{tileMatrix}/{tileRow}/{tileCol}"), "{tileset}");
    let one = server.json("/tiles/WebMercatorQuad?collections=mairies,communes");
    let ids: Vec<&Value> = one["layers"].as_array().unwrap().iter().map(|l| &l["id"]).collect();
    assert_eq!(ids, [&json!("communes"), &json!("mairies")]);
    assert!(link(&one, "item").ends_with("?collections=communes,mairies"));
    let json = server.json("/tilejson.json");
    let layers = json["vector_layers"].as_array().unwrap();
    assert_eq!(layers.len(), 3);
    let template = json["tiles"][0].as_str().unwrap();
    assert!(template.ends_with("/tiles/{z}/{x}/{y}.mvt"), "{template}");
    let landing = server.json("/");
    assert!(
        link(&landing, "http://www.opengis.net/def/rel/ogc/1.0/tilesets-vector")
            .ends_with("/tiles")
    );
    let scoped = server.json("/t/dep-59/tilejson.json");
    assert!(scoped["tiles"][0].as_str().unwrap().contains("/t/dep-59/tiles/"));
}

#[test]
fn wrong_choices_of_layers_are_refused() {
    let server = demo_server();
    for (path, status, word) in [
        ("/tiles/9/260/172.mvt?collections=communes,rues", 400, "rues"),
        ("/tiles/9/260/172.mvt?collections=", 400, "communes"),
        ("/tiles/9/260/172.mvt?colections=communes", 400, "collections"),
        ("/tiles/Lambert/9/172/260", 404, "WebMercatorQuad"),
        ("/tiles/9/600/172.mvt", 404, "2^zoom"),
        ("/tiles/9/260/172", 404, ".mvt"),
        ("/tilejson.json?collections=x", 400, "x"),
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.text().contains(word), "{path}: {}", answer.text());
    }
}

#[test]
fn gdal_reads_every_layer_of_a_tile() {
    if !has("ogrinfo") {
        return;
    }
    let server = demo_server();
    let url = format!("MVT:{}tiles/9/260/172.pbf?collections=communes,mairies", server.base);
    let said = tool("ogrinfo", &["-ro", "-q", &url]);
    for layer in ["communes", "mairies"] {
        assert!(said.contains(layer), "{said}");
    }
    assert!(!said.contains("cantons"), "{said}");
}

#[test]
fn several_layers_in_one_tile_over_postgis() {
    over_postgis(a_tile_holds_the_layers_asked_for_each_as_when_alone);
}
