//! What clients see: addresses, negotiation, caching, paging, failures.

mod features;
mod scopes;

use super::testing::{Got, Mood, Site, settings};
use axum::http::StatusCode;
use serde_json::Value;
use std::{collections::BTreeSet, io::Read, sync::atomic::Ordering, time::Duration};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

#[tokio::test]
async fn the_landing_page_has_what_clients_require() {
    let got = Site::new().await.get("/").await;
    assert_eq!(got.header("content-type"), "application/json");
    let base = "http://example.org:8080/";
    assert_eq!(got.link("self").unwrap(), base);
    for rel in ["data", "http://www.opengis.net/def/rel/ogc/1.0/data"] {
        assert_eq!(got.link(rel).unwrap(), format!("{base}collections"));
    }
    for rel in ["conformance", "http://www.opengis.net/def/rel/ogc/1.0/conformance"] {
        assert_eq!(got.link(rel).unwrap(), format!("{base}conformance"));
    }
    let json = got.json();
    let desc = json["links"].as_array().unwrap().iter().find(|l| l["rel"] == "service-desc");
    assert_eq!(desc.unwrap()["type"], "application/vnd.oai.openapi+json;version=3.0");
    assert!(json["links"].as_array().unwrap().iter().all(|l| l["type"].is_string()));
}

#[tokio::test]
async fn every_resource_has_both_representations() {
    let site = Site::new().await;
    for path in [
        "/",
        "/conformance",
        "/api",
        "/collections",
        "/collections/communes",
        "/collections/communes/items",
        "/collections/communes/queryables",
        "/collections/communes/schema",
        "/collections/communes/tiles",
        "/collections/communes/tiles/WebMercatorQuad",
        "/collections/communes/versions",
        "/collections/communes/stats?by=dep",
        "/t/dep-59/",
        "/table?level=dep&collections=communes",
        "/tileMatrixSets",
        "/tileMatrixSets/WebMercatorQuad",
        "/styles",
        "/territories",
        "/problems/gone",
        "/collections/",
        "/collections/communes/",
    ] {
        let json = site.get(path).await;
        assert_eq!(json.status, StatusCode::OK, "{path}: {}", json.text());
        assert!(json.header("content-type").contains("json"), "{path}");
        json.json();
        let html = site.send("GET", path, &[("accept", BROWSER)]).await;
        assert!(html.header("content-type").starts_with("text/html"), "{path}");
        assert!(html.text().starts_with("<!DOCTYPE html><html lang=\"fr\">"), "{path}");
        assert!(html.header("content-security-policy").contains("default-src 'none'"), "{path}");
        assert_eq!(html.header("vary"), "Accept, Accept-Language, Accept-Encoding");
        assert_ne!(html.header("etag"), json.header("etag"), "{path}");
        let joined = if path.contains('?') { '&' } else { '?' };
        let forced = site.send("GET", &format!("{path}{joined}f=html"), &[]).await;
        assert!(forced.header("content-type").starts_with("text/html"), "{path}");
        let english =
            site.send("GET", path, &[("accept", BROWSER), ("accept-language", "en")]).await;
        assert!(english.text().contains("<html lang=\"en\">"), "{path}");
        let head = site.send("HEAD", path, &[]).await;
        assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0), "{path}");
    }
}

#[tokio::test]
async fn data_is_escaped_in_pages() {
    let site = Site::new().await;
    let page = site.get("/collections/communes?f=html").await;
    assert!(page.text().contains("Une &lt;couche&gt; &amp; ses"));
    assert!(!page.text().contains("<couche>") && !page.text().contains("/var/lib"));
}

fn problem(got: &Got, status: u16) -> Value {
    assert_eq!(got.status.as_u16(), status, "{}", got.text());
    assert_eq!(got.header("content-type"), "application/problem+json");
    assert_eq!(got.header("cache-control"), "no-store");
    let json = got.json();
    assert_eq!(json["status"], status);
    assert_eq!(json["request_id"], got.header("x-request-id"));
    assert!(json["type"].as_str().unwrap().starts_with("http://example.org:8080/problems/"));
    json
}

#[tokio::test]
async fn wrong_requests_get_clear_problems() {
    let site = Site::new().await;
    let items = "/collections/communes/items";
    for (path, status, word) in [
        ("/collections/nowhere".to_owned(), 404, "communes"),
        ("/collections/zones".into(), 503, "zones"),
        ("/collections/communes/items/12345".into(), 404, "12345"),
        ("/collections?x=1".into(), 400, "« x »"),
        (format!("{items}?inconnu=1"), 400, "population"),
        (format!("{items}?limit=unlimited"), 400, "unlimited"),
        (format!("{items}?limit=0"), 400, "limit"),
        (format!("{items}?limit=1&limit=2"), 400, "deux fois"),
        (format!("{items}?offset=-1"), 400, "offset"),
        (format!("{items}?bbox=1,2,3"), 400, "bbox"),
        (format!("{items}?bbox=1,NaN,3,4"), 400, "bbox"),
        (format!("{items}?bbox=1,48,2,47"), 400, "bbox"),
        (format!("{items}?datetime=hier"), 400, "hier"),
        (format!("{items}?crs=http://www.opengis.net/def/crs/0/unsupported"), 400, "CRS84"),
        (format!("{items}?bbox-crs=http://www.opengis.net/def/crs/0/unsupported"), 400, "CRS84"),
        (format!("{items}?population=beaucoup"), 400, "beaucoup"),
        (format!("{items}?cursor=%2e%2e"), 400, "cursor"),
        (format!("{items}?territory-mode=cut"), 400, "cut"),
        (format!("{items}?territory=dep:59&territory-mode=clip"), 409, "borders"),
        (format!("{items}?f=xml"), 400, "xml"),
        (format!("{items}?nom=%ff"), 400, "UTF-8"),
        ("/t/dep-59-clip/collections".into(), 409, "borders"),
        ("/t/d%C3%A9p-59/".into(), 400, "dép"),
        ("/collections/communes/tiles/Other/0/0/0".into(), 404, "WebMercatorQuad"),
        ("/collections/communes/tiles/WebMercatorQuad/1/2147483647/0".into(), 404, "grille"),
        ("/collections/communes/tiles/1/0/2.mvt".into(), 404, "grille"),
        ("/collections/communes/tiles/a/0/0.mvt".into(), 400, "« a »"),
        ("/collections/communes/tiles/0/0/0.png".into(), 404, ".mvt"),
        ("/collections/nowhere/tiles/0/0/0.mvt".into(), 404, "communes"),
        ("/styles/nothing".into(), 404, "nothing"),
        ("/territories?level=pays".into(), 400, "canton"),
        ("/collections/communes/versions/1/report".into(), 404, "20261121"),
    ] {
        let got = site.get(&path).await;
        let json = problem(&got, status);
        let detail = json["detail"].as_str().unwrap();
        assert!(detail.contains(word), "{path}: {detail}");
        let page = site.send("GET", &path, &[("accept", BROWSER)]).await;
        if !path.contains("f=") {
            assert!(page.header("content-type").starts_with("text/html"), "{path}");
        }
    }
}

#[tokio::test]
async fn unknown_addresses_list_near_ones() {
    let site = Site::new().await;
    let json = problem(&site.get("/collection").await, 404);
    assert_eq!(json["links"][0]["href"], "http://example.org:8080/collections");
    problem(&site.get("/t/").await, 404);
}

#[tokio::test]
async fn methods_and_formats_are_refused_by_name() {
    let site = Site::new().await;
    let post = site.send("POST", "/collections", &[]).await;
    problem(&post, 405);
    assert_eq!(post.header("allow"), "GET, HEAD, OPTIONS");
    problem(&site.send("GET", "/collections", &[("accept", "image/png")]).await, 406);
    let options = site.send("OPTIONS", "/collections/communes/items/unknown_id", &[]).await;
    assert_eq!(options.status, StatusCode::OK);
    assert_eq!(options.header("allow"), "GET, HEAD, OPTIONS");
    assert_eq!(options.header("access-control-allow-origin"), "*");
}

#[tokio::test]
async fn addresses_are_long_but_bounded() {
    let site = Site::new().await;
    let long = format!("/collections/communes/items?nom={}", "a".repeat(20_000));
    assert_eq!(site.get(&long).await.status, StatusCode::OK);
    let longer = format!("/collections/communes/items?nom={}", "a".repeat(40_000));
    problem(&site.get(&longer).await, 414);
}

#[tokio::test]
async fn a_host_is_a_host() {
    let site = Site::new().await;
    for host in ["a/b", "a b", "a\"><script>", "x@y"] {
        let got = site.send("GET", "/", &[("host", host)]).await;
        assert_eq!(got.status, StatusCode::BAD_REQUEST, "{host}");
        assert!(!got.text().contains("script"));
    }
    let got = site.send("GET", "/", &[("host", "[::1]:9000")]).await;
    assert_eq!(got.link("data").unwrap(), "http://[::1]:9000/collections");
}

#[tokio::test]
async fn faults_say_nothing_of_their_cause() {
    for mood in [Mood::Broken, Mood::Panicking] {
        let site = Site::with(settings(), mood).await;
        let got = site.get("/collections/communes/items").await;
        let json = problem(&got, 500);
        let text = json.to_string();
        assert!(!text.contains("SELECT") && !text.contains("/var") && !text.contains("panic"));
    }
}

#[tokio::test]
async fn a_store_that_hangs_is_not_waited_for() {
    let mut settings = settings();
    settings.server.request_timeout = Duration::from_millis(50);
    let site = Site::with(settings, Mood::Hanging).await;
    let got = site.get("/collections/communes/items").await;
    problem(&got, 503);
    assert!(!got.header("retry-after").is_empty());
}

#[tokio::test]
async fn what_is_known_already_is_not_made_again() {
    // The store is broken: only an answer given before any work can succeed.
    let broken = Site::with(settings(), Mood::Broken).await;
    for path in ["/collections/communes/items?limit=2", "/collections/communes/items/59350"] {
        let well = Site::new().await;
        let first = well.get(path).await;
        let tag = first.header("etag").to_owned();
        for known in [tag.clone(), format!("\"x\", {tag}"), tag.trim_start_matches("W/").to_owned()]
        {
            let again = broken.send("GET", path, &[("if-none-match", &known)]).await;
            assert_eq!(again.status, StatusCode::NOT_MODIFIED, "{path} {known}");
            assert_eq!(again.header("etag"), tag);
            assert!(again.body.is_empty() && !again.header("vary").is_empty());
        }
        let other = broken.send("GET", path, &[("if-none-match", "\"x\"")]).await;
        assert_eq!(other.status, StatusCode::INTERNAL_SERVER_ERROR);
        // Another encoding is another representation.
        let gzip = [("if-none-match", tag.as_str()), ("accept-encoding", "gzip")];
        assert_ne!(broken.send("GET", path, &gzip).await.status, StatusCode::NOT_MODIFIED);
        well.publish().await;
        let newer = well.send("GET", path, &[("if-none-match", &tag)]).await;
        assert_eq!(newer.status, StatusCode::OK, "{path}: a publication changes the tag");
    }
}

#[tokio::test]
async fn the_order_of_parameters_does_not_matter_to_tags() {
    let site = Site::new().await;
    let a = site.get("/collections/communes/items?limit=2&nom=Lille").await;
    let b = site.get("/collections/communes/items?nom=Lille&limit=2&key=secret").await;
    assert_eq!(a.header("etag"), b.header("etag"));
    let c = site.get("/collections/communes/items?nom=Arras&limit=2").await;
    assert_ne!(a.header("etag"), c.header("etag"));
    assert!(!b.text().contains("secret"));
}

#[tokio::test]
async fn documents_are_compressed_when_asked() {
    let site = Site::new().await;
    let plain = site.get("/api").await;
    assert_eq!(plain.header("content-encoding"), "");
    let gzip = site.send("GET", "/api", &[("accept-encoding", "gzip, deflate")]).await;
    assert_eq!(gzip.header("content-encoding"), "gzip");
    assert_ne!(gzip.header("etag"), plain.header("etag"));
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&gzip.body[..]).read_to_end(&mut text).unwrap();
    assert_eq!(text, plain.body);
    let refused = site.send("GET", "/api", &[("accept-encoding", "gzip;q=0")]).await;
    assert_eq!(refused.header("content-encoding"), "");
}

#[tokio::test]
async fn tilesets_carry_what_clients_read() {
    let site = Site::new().await;
    let list = site.get("/collections/communes/tiles").await.json();
    let tileset = &list["tilesets"][0];
    assert_eq!(tileset["tileMatrixSetId"], "WebMercatorQuad");
    assert_eq!(tileset["tileMatrixSetLimits"].as_array().unwrap().len(), 13);
    let item = tileset["links"].as_array().unwrap().iter().find(|l| l["rel"] == "item").unwrap();
    assert!(item["href"].as_str().unwrap().ends_with("/{tileMatrix}/{tileRow}/{tileCol}"));
    assert_eq!(item["templated"], true);
    let grid = site.get("/tileMatrixSets/WebMercatorQuad").await.json();
    assert_eq!(grid["tileMatrices"].as_array().unwrap().len(), 25);
}

#[tokio::test]
async fn the_list_and_the_collection_say_the_same() {
    let site = Site::new().await;
    let list = site.get("/collections").await.json();
    let listed = list["collections"].as_array().unwrap();
    assert_eq!(listed.len(), 2, "a layer never harvested is not listed");
    for collection in listed {
        let alone =
            site.get(&format!("/collections/{}", collection["id"].as_str().unwrap())).await.json();
        for member in ["id", "title", "description", "extent", "crs", "itemCount", "dates"] {
            assert_eq!(collection[member], alone[member], "{member}");
        }
    }
}

#[tokio::test]
async fn the_api_definition_is_coherent() {
    let site = Site::new().await;
    let got = site.get("/api").await;
    assert_eq!(got.header("content-type"), "application/vnd.oai.openapi+json;version=3.0");
    let api = got.json();
    for path in api["paths"].as_object().unwrap().keys() {
        let known = super::router::position(&path.replace(['{', '}'], "x"));
        assert!(known.is_some(), "{path} has no route");
    }
    let literal = &api["paths"]["/collections/communes/items"]["get"]["parameters"];
    let literal = literal.as_array().unwrap();
    assert!(literal.iter().any(|p| p["$ref"] == "#/components/parameters/limit"));
    let nom = literal.iter().find(|p| p["name"] == "nom").unwrap();
    assert_eq!(
        (&nom["style"], &nom["explode"], &nom["in"]),
        (&"form".into(), &false.into(), &"query".into())
    );
    let limit = &api["components"]["parameters"]["limit"]["schema"];
    assert_eq!(
        (&limit["minimum"], &limit["maximum"], &limit["default"]),
        (&1.into(), &10_000.into(), &1_000.into())
    );
    let bbox = &api["components"]["parameters"]["bbox"]["schema"];
    assert_eq!(
        (&bbox["type"], &bbox["minItems"], &bbox["maxItems"]),
        (&"array".into(), &4.into(), &6.into())
    );
    let mut ids = BTreeSet::new();
    for item in api["paths"].as_object().unwrap().values() {
        assert!(ids.insert(item["get"]["operationId"].as_str().unwrap().to_owned()));
    }
    assert!(ids.contains("collection.vector.getTile"));
    let mut refs = Vec::new();
    references(&api, &mut refs);
    for reference in refs {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(api.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

fn references(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            out.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|v| references(v, out));
        }
        Value::Array(items) => items.iter().for_each(|v| references(v, out)),
        _ => {}
    }
}

#[tokio::test]
async fn styles_have_absolute_tile_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let style = r#"{"version":8,"sources":{"m":{"type":"vector","url":"socle://collections/mairies","promoteId":"code"}},"layers":[]}"#;
    std::fs::write(folder.path().join("points.json"), style).unwrap();
    let list = style.replace(
        r#""url":"socle://collections/mairies""#,
        r#""tiles":["socle://collections/mairies/tiles"]"#,
    );
    std::fs::write(folder.path().join("list.json"), list).unwrap();
    std::fs::write(folder.path().join("broken.json"), "{").unwrap();
    let mut settings = settings();
    settings.styles = folder.path().to_owned();
    let site = Site::with(settings, Mood::Well).await;
    let template =
        |id: &str| format!("http://example.org:8080/collections/{id}/tiles/{{z}}/{{x}}/{{y}}.mvt");
    let file = site.get("/styles/points").await.json();
    assert_eq!(file["sources"]["m"]["tiles"][0], template("mairies"));
    assert_eq!(file["sources"]["m"]["promoteId"], "code");
    assert!(file["sources"]["m"].get("url").is_none());
    let list = site.get("/styles/list").await.json();
    assert_eq!(list["sources"]["m"], file["sources"]["m"]);
    let drawn = site.get("/styles/communes").await.json();
    assert_eq!(drawn["sources"]["communes"]["tiles"][0], template("communes"));
    assert_eq!(drawn["layers"][0]["type"], "circle");
    let list = site.get("/styles").await.json();
    assert_eq!(list["styles"].as_array().unwrap().len(), 4);
    assert_eq!(site.get("/styles/broken").await.status, StatusCode::NOT_FOUND);
    let page = site.get("/collections/mairies?f=html").await;
    assert!(page.text().contains("http://example.org:8080/styles/points"));
}

#[tokio::test]
async fn health_is_told() {
    let site = Site::new().await;
    assert_eq!(site.get("/health/live").await.json()["status"], "pass");
    let ready = site.get("/health/ready").await;
    assert_eq!(ready.json()["layers"]["served"], 2);
    assert_eq!(ready.header("cache-control"), "no-store");
}

#[tokio::test]
async fn what_a_silent_store_does_not_confirm_is_marked_and_served() {
    let site = Site::new().await;
    let key = site.app.catalog.snapshot().layer("communes").unwrap().at().unwrap().key();
    let tile = "/collections/communes/tiles/3/4/2.mvt";
    let versioned = format!("{tile}?v={key}");
    assert_eq!(site.get(tile).await.header("socle-stale"), "");
    site.store.silent.store(true, Ordering::Relaxed);
    assert!(site.app.refresh().await.is_err());
    assert_eq!(site.get(tile).await.header("socle-stale"), "", "one look is no news");
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    assert!(site.app.refresh().await.is_err());
    for path in [tile, "/collections/communes"] {
        let got = site.get(path).await;
        assert!(got.status.is_success(), "{path}");
        assert_eq!(got.header("socle-stale"), "1", "{path}");
        assert_eq!(got.header("cache-control"), "public, max-age=5");
    }
    // What never changes, and what is never kept, is not stale.
    assert_eq!(site.get(&versioned).await.header("socle-stale"), "");
    let ready = site.get("/health/ready").await;
    assert_eq!((ready.status, ready.header("socle-stale")), (StatusCode::SERVICE_UNAVAILABLE, ""));
    assert_eq!(ready.json()["stale"], 1);
    site.store.silent.store(false, Ordering::Relaxed);
    site.app.refresh().await.unwrap();
    assert_eq!(site.get(tile).await.header("socle-stale"), "");
}
