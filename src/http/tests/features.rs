//! Features page by page, and tiles.

use super::problem;
use crate::http::testing::{Got, Site};
use axum::http::StatusCode;

#[tokio::test]
async fn pages_of_features_follow_one_another() {
    let site = Site::new().await;
    let first = site.get("/collections/communes/items?limit=2&f=json&key=s3cret").await;
    let json = first.json();
    assert_eq!((&json["numberMatched"], &json["numberReturned"]), (&5.into(), &2.into()));
    assert_eq!(first.header("ogc-numbermatched"), "5");
    assert_eq!(first.header("content-crs"), "<http://www.opengis.net/def/crs/OGC/1.3/CRS84>");
    assert_eq!(first.header("content-type"), "application/geo+json");
    assert!(first.header("link").contains("rel=\"next\"; type=\"application/geo+json\""));
    let mut next = first.link("next");
    assert!(
        next.as_ref().unwrap().starts_with("http://example.org:8080/collections/communes/items?")
    );
    let (mut pages, mut features) = (1, 2);
    while let Some(href) = next {
        assert!(href.contains("limit=2") && href.contains("f=json") && !href.contains("s3cret"));
        assert!(href.split_once('?').unwrap().1.split('&').all(|pair| pair.contains('=')));
        let page = site.get(href.strip_prefix("http://example.org:8080").unwrap()).await;
        features += page.json()["numberReturned"].as_u64().unwrap();
        next = page.link("next");
        pages += 1;
    }
    assert_eq!((pages, features), (3, 5));
    let middle = site.get("/collections/communes/items?limit=2&offset=2").await;
    assert!(middle.link("next").unwrap().contains("cursor="));
    assert!(middle.link("prev").unwrap().contains("offset=0"));
    let hits = site.get("/collections/communes/items?resultType=hits").await.json();
    assert_eq!((&hits["numberMatched"], &hits["numberReturned"]), (&5.into(), &0.into()));
}

#[tokio::test]
async fn a_cursor_of_another_version_is_gone() {
    let site = Site::new().await;
    let first = site.get("/collections/communes/items?limit=2&nom=Lille").await;
    assert!(first.link("next").is_none());
    let first = site.get("/collections/communes/items?limit=2").await;
    let next = first.link("next").unwrap();
    site.publish().await;
    let gone = site.get(next.strip_prefix("http://example.org:8080").unwrap()).await;
    let json = problem(&gone, 410);
    let again = json["links"][0]["href"].as_str().unwrap();
    assert_eq!(again, "http://example.org:8080/collections/communes/items?limit=2");
    assert!(gone.header("link").contains(again));
}

#[tokio::test]
async fn properties_filter() {
    let site = Site::new().await;
    let found = |got: Got| got.json()["numberMatched"].as_u64().unwrap();
    let items = "/collections/communes/items";
    assert_eq!(found(site.get(&format!("{items}?nom=Lille")).await), 1);
    assert_eq!(found(site.get(&format!("{items}?population=41694&nom=Arras")).await), 1);
    assert_eq!(found(site.get(&format!("{items}?population=41694&nom=Lille")).await), 0);
    let odd = "%C3%A9t%C3%A9%20%22LINE_NUMB-SEG%22";
    assert_eq!(found(site.get(&format!("{items}?{odd}=1.5")).await), 0);
    assert_eq!(found(site.get(&format!("{items}?datetime=2020-01-05T/..")).await), 5);
    assert_eq!(found(site.get(&format!("{items}?bbox=3,50,4,51")).await), 5);
    assert_eq!(found(site.get(&format!("{items}?bbox=177,65,-177,70")).await), 0);
}

#[tokio::test]
async fn tile_orders_are_not_confused() {
    let site = Site::new().await;
    for path in [
        "/collections/communes/tiles/WebMercatorQuad/3/2/4",
        "/collections/communes/tiles/3/4/2.mvt",
        "/collections/communes/tiles/3/4/2.pbf",
    ] {
        let got = site.get(path).await;
        assert_eq!(got.status, StatusCode::NO_CONTENT, "{path}: {}", got.text());
        assert_eq!(got.header("vary"), "Accept-Encoding");
        let cache = "public, max-age=60, stale-while-revalidate=300, stale-if-error=86400";
        assert_eq!(got.header("cache-control"), cache);
        assert!(!got.header("etag").is_empty());
    }
    let asked = site.store.tiles.lock().unwrap().clone();
    if asked.is_empty() {
        println!("tile_orders_are_not_confused: skipped in part, tiles are not rendered here");
    }
    assert!(asked.iter().all(|t| (t.z, t.x, t.y) == (3, 4, 2)), "{asked:?}");
}

#[tokio::test]
async fn a_layer_says_how_long_its_answers_are_kept() {
    let site = Site::new().await;
    let kept = async |path: &str| site.get(path).await.header("cache-control").to_owned();
    let tile = "public, max-age=3600, stale-while-revalidate=18000, stale-if-error=86400";
    assert_eq!(kept("/collections/mairies/tiles/3/4/2.mvt").await, tile);
    assert_eq!(kept("/collections/mairies/items").await, "public, max-age=3600");
    assert_eq!(kept("/collections/mairies/tilejson.json").await, "public, max-age=3600");
    // Lists of layers are the service's; the most impatient of the layers of a tile decides.
    assert_eq!(kept("/collections").await, "public, max-age=10");
    let tile = "public, max-age=60, stale-while-revalidate=300, stale-if-error=86400";
    assert_eq!(kept("/tiles/3/4/2.mvt").await, tile);
}

#[tokio::test]
async fn versioned_tiles_are_immutable_while_they_are_current() {
    let site = Site::new().await;
    let key = site.app.catalog.snapshot().layer("communes").unwrap().at().unwrap().key();
    let versioned = format!("/collections/communes/tiles/3/4/2.mvt?v={key}");
    let got = site.get(&versioned).await;
    assert_eq!(got.header("cache-control"), "public, max-age=31536000, immutable");
    site.publish().await;
    let old = site.get(&versioned).await;
    assert_eq!(old.status, StatusCode::FOUND);
    assert_eq!(
        old.header("location"),
        "http://example.org:8080/collections/communes/tiles/3/4/2.mvt"
    );
    assert_eq!(old.header("cache-control"), "public, max-age=60");
}

#[tokio::test]
async fn qgis_is_told_the_geometry_as_it_looks_for_it() {
    let site = Site::new().await;
    let path = "/collections/communes/queryables";
    let plain = site.get(path).await;
    assert_eq!(plain.json()["properties"]["geometry"]["format"], "geometry-point");
    let agent = [("User-Agent", "Mozilla/5.0 QGIS/33400/Linux")];
    let qgis = site.send("GET", path, &agent).await;
    let found = &qgis.json()["properties"]["geometry"]["$ref"];
    assert_eq!(found, "https://geojson.org/schema/Geometry.json");
    assert_ne!(plain.header("etag"), qgis.header("etag"));
    let schema = site.send("GET", "/collections/communes/schema", &agent).await;
    assert_eq!(schema.json()["properties"]["geometry"]["format"], "geometry-point");
}
