//! Territories: links that stay in their scope, filters, old codes.

use super::{BROWSER, problem};
use crate::http::testing::{Got, Mood, Site, has_reference, settings};
use axum::http::StatusCode;
use std::collections::BTreeSet;

/// Follows every link of every JSON document and page from the landing page: none may leave the
/// public address, and none may be dead.
async fn crawl(root: &str, stripped: bool) -> usize {
    let mut settings = settings();
    settings.server.public_url = Some("https://sig.example.fr/socle/".into());
    let site = Site::with(settings, Mood::Well).await;
    let whole = "https://sig.example.fr/socle/";
    let mut waiting = vec![(root.to_owned(), "application/json"), (root.to_owned(), BROWSER)];
    let mut seen: BTreeSet<(String, &str)> = waiting.iter().cloned().collect();
    while let Some((url, accept)) = waiting.pop() {
        let below = url.strip_prefix(whole);
        let below = below.unwrap_or_else(|| panic!("{url} leaves the public address"));
        let target = if stripped { format!("/{below}") } else { format!("/socle/{below}") };
        let got = site.send("GET", &target, &[("accept", accept), ("host", "10.0.0.1")]).await;
        assert!(got.status.is_success(), "{url}: {} {}", got.status, got.text());
        // Archives are opened elsewhere; scripts and styles link to nothing.
        if ["css", "javascript", "zip"].iter().any(|kind| got.header("content-type").contains(kind))
        {
            continue;
        }
        for mut href in hrefs(&got) {
            if href == root.trim_end_matches('/') || href == whole.trim_end_matches('/') {
                href.push('/'); // the API definition's server, by rule without its last slash
            }
            // A scope is left only where that is said: another territory's, or the whole service.
            let elsewhere = href.contains("/assets/") || href.contains("/t/") || href == whole;
            let leaving = url == whole && root != whole;
            assert!(
                href.starts_with(root) || elsewhere || leaving,
                "{url} leaves its scope: {href}"
            );
            if leaving
                || (root != whole && href == whole)
                || (!href.starts_with(root) && href.contains("/t/"))
            {
                continue;
            }
            for accept in ["application/json", BROWSER] {
                if seen.len() < 600 && seen.insert((href.clone(), accept)) {
                    waiting.push((href.clone(), accept));
                }
            }
        }
    }
    seen.len()
}

/// All addresses of a document, templates filled in, fragments and data left out.
fn hrefs(got: &Got) -> Vec<String> {
    if got.body.is_empty() {
        return Vec::new();
    }
    let text = got.text();
    assert!(!text.contains("10.0.0.1") && !text.contains("example.org"), "{text}");
    let mut found = Vec::new();
    for mark in [
        "href=\"",
        "src=\"",
        "action=\"",
        "data-style=\"",
        "data-items=\"",
        "\"href\":\"",
        "\"url\":\"",
    ] {
        for rest in text.split(mark).skip(1) {
            found.push(rest.split('"').next().unwrap().replace("&amp;", "&"));
        }
    }
    for rest in text.split("\"tiles\":[\"").skip(1) {
        found.push(rest.split('"').next().unwrap().to_owned());
    }
    let fill = [
        ("{z}", "0"),
        ("{x}", "0"),
        ("{y}", "0"),
        ("{tileMatrix}", "0"),
        ("{tileRow}", "0"),
        ("{tileCol}", "0"),
    ];
    found.retain(|href| {
        !href.starts_with('#') && !href.starts_with("data:") && !href.starts_with("mailto:")
    });
    for href in &mut found {
        for (variable, value) in fill {
            *href = href.replace(variable, value);
        }
    }
    found
}

#[tokio::test]
async fn no_link_leaves_the_public_address() {
    assert!(crawl("https://sig.example.fr/socle/", true).await > 60);
    assert!(crawl("https://sig.example.fr/socle/", false).await > 60);
}

#[tokio::test]
async fn scopes_hold_in_links_and_filters() {
    if !has_reference("scopes_hold_in_links_and_filters") {
        return;
    }
    assert!(crawl("https://sig.example.fr/socle/t/dep-59/", true).await > 60);
    let site = Site::new().await;
    let landing = site.get("/t/dep-59").await;
    assert_eq!(landing.link("data").unwrap(), "http://example.org:8080/t/dep-59/collections");
    assert!(landing.json()["title"].as_str().unwrap().contains("Nord (dep:59), sélectionné"));
    let count = |got: Got| got.json()["numberMatched"].as_u64().unwrap();
    assert_eq!(count(site.get("/t/dep-59/collections/communes/items").await), 3);
    assert_eq!(count(site.get("/t/dep-62-within/collections/communes/items").await), 2);
    assert_eq!(count(site.get("/t/dep-59+dep-62/collections/communes/items").await), 5);
    assert_eq!(count(site.get("/t/dep-62%2Bdep-59/collections/communes/items").await), 5);
    let items = "collections/communes/items";
    assert_eq!(count(site.get(&format!("/{items}?territory=dep:62")).await), 2);
    assert_eq!(count(site.get(&format!("/{items}?territoire=com:59350,dep:62")).await), 3);
    assert_eq!(count(site.get(&format!("/t/dep-59/{items}?territory=com:59350,62041")).await), 1);
    assert_eq!(count(site.get(&format!("/t/dep-59/{items}?territory=dep:62")).await), 0);
    let collection = site.get("/t/dep-59/collections/communes").await.json();
    assert_eq!(collection["itemCount"], 3);
    assert_eq!(site.get("/t/dep-59/collections/communes/items/59350").await.status, StatusCode::OK);
    problem(&site.get("/t/dep-59/collections/communes/items/62041").await, 404);
    let unknown = site.get("/t/dep-00/").await;
    assert!(
        unknown.status.is_client_error()
            && unknown.json()["detail"].as_str().unwrap().contains("00")
    );
}

#[tokio::test]
async fn territories_that_are_no_more_are_scopes_of_their_last_year() {
    if !has_reference("territories_that_are_no_more_are_scopes_of_their_last_year") {
        return;
    }
    // Nothing of the small store is in the one; three communes of it are in the other.
    let root = "https://sig.example.fr/socle/t/";
    assert!(crawl(&format!("{root}epci-200012060@2019/"), true).await > 30);
    assert!(crawl(&format!("{root}dep-59@2019/"), false).await > 60);
    let site = Site::new().await;
    let items = "collections/communes/items";
    let gone = site.get(&format!("/t/epci-200012060/{items}")).await;
    assert_eq!(gone.status, 410);
    let said = gone.json()["detail"].as_str().unwrap().to_owned();
    assert!(said.contains("/t/epci-200012060@2019/"), "{said}");
    // The year in the address, or as a parameter: links say it by the address.
    let path = site.get(&format!("/t/epci-200012060@2019/{items}?limit=1")).await;
    let asked = site.get(&format!("/t/epci-200012060/{items}?vintage=2019&limit=1")).await;
    let escaped = site.get(&format!("/t/epci-200012060%402019/{items}?limit=1")).await;
    for got in [&path, &asked, &escaped] {
        assert_eq!(got.status, StatusCode::OK, "{}", got.text());
        assert_eq!(got.header("etag"), path.header("etag"));
        assert_eq!(got.header("socle-territory-notice"), "epci:200012060@2019 -> 23 communes");
        assert_eq!(
            got.link("self").unwrap(),
            format!("http://example.org:8080/t/epci-200012060@2019/{items}?limit=1")
        );
    }
    let page = site.send("GET", "/t/epci-200012060-within/?vintage=2019", &[("accept", BROWSER)]);
    let page = page.await;
    assert_eq!(page.status, StatusCode::FOUND);
    assert_eq!(page.header("location"), "http://example.org:8080/t/epci-200012060@2019-within/");
    let landing = site.get("/t/epci-200012060@2019/").await.json();
    let title = landing["title"].as_str().unwrap();
    assert!(title.contains("CC Petite Montagne (epci:200012060) 2019, sélectionné"), "{title}");
    assert_eq!(landing["territory"], "epci:200012060@2019");
    // The year of a territory asked for is its own, and a year without what it is of is refused.
    assert_eq!(
        site.get(&format!("/t/epci-200012060/{items}?territory=dep:59&vintage=2019")).await.status,
        410
    );
    problem(&site.get(&format!("/t/dep-59/{items}?vintage=2019")).await, 400);
    problem(&site.get("/t/epci-200012060/?vintage=2024").await, 410);
    problem(&site.get("/t/epci-200012060@/").await, 400);
    let count = |got: Got| got.json()["numberMatched"].as_u64().unwrap();
    assert_eq!(count(site.get(&format!("/t/dep-59@2019/{items}")).await), 3);
    assert_eq!(count(site.get(&format!("/t/dep-59@2019/{items}?territory=com:59350")).await), 1);
    assert_eq!(count(site.get(&format!("/t/com-59355@1976/{items}")).await), 1);
    assert_eq!(count(path), 0);
    // Neighbourhoods of 2015.
    assert_eq!(site.get(&format!("/t/qpv-QP059001/{items}")).await.status, 410);
    let then = site.get(&format!("/t/qpv-QP059001/{items}?vintage=2023")).await;
    assert_eq!((then.status, count(then)), (StatusCode::OK, 0));
}

#[tokio::test]
async fn a_scoped_tile_is_another_tile() {
    if !has_reference("a_scoped_tile_is_another_tile") {
        return;
    }
    let site = Site::new().await;
    let mut tags = BTreeSet::new();
    for path in ["", "/t/dep-59", "/t/dep-62", "/t/dep-59-within"] {
        let got = site.get(&format!("{path}/collections/communes/tiles/8/130/86.mvt")).await;
        tags.insert(got.header("etag").to_owned());
    }
    if tags.len() == 1 {
        println!("a_scoped_tile_is_another_tile: skipped, tiles are not rendered here");
        return;
    }
    assert_eq!(tags.len(), 4);
    let asked = site.get("/collections/communes/tiles/8/130/86.mvt?territory=dep-59").await;
    assert!(tags.contains(asked.header("etag")));
}

#[tokio::test]
async fn old_codes_are_carried_and_said() {
    if !has_reference("old_codes_are_carried_and_said") {
        return;
    }
    let site = Site::new().await;
    // Lomme, associated with Lille.
    let json = site.get("/t/com-59355/collections/communes/items").await;
    assert_eq!(json.header("socle-territory-notice"), "com-59355 -> com:59350");
    assert_eq!(json.json()["numberMatched"], 1);
    let param = site.get("/collections/communes/items?territory=com:59355").await;
    assert_eq!(param.header("socle-territory-notice"), "com:59355 -> com:59350");
    // Dunkerque's old neighbour: Rosendaël merged in 1972; JSON is answered, pages redirect.
    let old = "/territories/com-59511";
    let json = site.get(old).await;
    if json.json()["carriedFrom"].is_string() {
        let page = site.send("GET", old, &[("accept", BROWSER)]).await;
        assert_eq!(page.status, StatusCode::FOUND);
        assert!(page.header("location").starts_with("http://example.org:8080/territories/com-"));
        let scoped = site.send("GET", "/t/com-59511/collections?f=html", &[]).await;
        assert_eq!(scoped.status, StatusCode::FOUND);
        assert!(scoped.header("location").ends_with("/collections?f=html"));
    }
}

#[tokio::test]
async fn territories_are_found_and_shown() {
    if !has_reference("territories_are_found_and_shown") {
        return;
    }
    let site = Site::new().await;
    let found = site.get("/territories?q=lille&level=com&limit=5").await.json();
    assert_eq!(found["territories"][0]["id"], "com:59350");
    let nord = site.get("/territories/dep-59").await.json();
    assert_eq!((&nord["name"], &nord["parents"][0]["id"]), (&"Nord".into(), &"reg:32".into()));
    assert!(nord["members"].as_array().unwrap().len() > 600);
    let service = nord["links"].as_array().unwrap().iter().find(|l| l["rel"] == "service").unwrap();
    assert_eq!(service["href"], "http://example.org:8080/t/dep-59/");
    let page = site.get("/territories/dep-59?f=html").await;
    assert!(page.text().contains("Lille") && page.text().contains("Hauts-de-France"));
    let search = site.get("/territories?q=saint-denis&f=html").await;
    assert!(search.text().contains("Seine-Saint-Denis") && search.text().contains("La Réunion"));
}

#[tokio::test]
async fn what_became_of_territories_is_told() {
    if !has_reference("what_became_of_territories_is_told") {
        return;
    }
    let site = Site::new().await;
    // An old commune: its own history, not that of the one it is carried to.
    let old = site.get("/territories/com-60455/history").await.json();
    assert_eq!((&old["id"], &old["name"]), (&"com:60455".into(), &"La Neuville-Garnier".into()));
    let step = &old["history"][0];
    assert_eq!((&step["date"], &step["mod"]), (&"2019-01-01".into(), &32.into()));
    assert!(step["before"].as_array().unwrap().iter().any(|c| c["id"] == "com:60455"));
    let page = site.get("/territories/com-85084/history?f=html").await;
    let page = page.text();
    assert!(page.contains("2024-01-01") && page.contains("85212"), "{page}");
    let unmoved = site.get("/territories/dep-59/history").await.json();
    assert_eq!(unmoved["history"].as_array().map(Vec::len), Some(0));
    assert_eq!(site.get("/territories/com-59999/history").await.status, 400);

    // A dissolved EPCI is gone, everywhere, and says what followed.
    let gone = site.get("/territories/epci-200012060").await;
    assert_eq!(gone.status, 410);
    let gone = gone.json();
    assert!(gone["detail"].as_str().unwrap().contains("Petite Montagne"), "{gone}");
    assert_eq!(site.get("/t/epci-200012060/").await.status, 410);
    let then = site.get("/territories/epci-200012060?vintage=2019").await.json();
    assert_eq!(then["members"].as_array().map(Vec::len), Some(23));
    assert!(then["dissolved"]["followedBy"].as_array().is_some_and(|heirs| !heirs.is_empty()));
    assert_eq!(site.get("/territories/epci-200012060?vintage=2015").await.status, 400);
    assert_eq!(site.get("/territories/epci-200093201?vintage=2019").await.status, 400);
    assert_eq!(site.get("/territories/com-08227").await.status, 400);
}
