//! Tables put on today's territories over HTTP: what goes in, what comes out, what is refused.

use crate::support::{Answer, Server, Site, demo_layers, shared, socle, tool};
use std::fs;

over_both!(
    tables_come_back_in_their_form_with_what_was_asked_for,
    what_cannot_be_read_or_done_is_refused,
);

const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
const RESOLVE: &str = "/territories/resolve";

/// The demo's layers and one neighbourhood in the middle of Lille.
fn site() -> Site {
    let site = Site::with("max_body = 65536");
    demo_layers(&site);
    let square = r#"{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"code":"QN05901M","nom":"Centre"},"geometry":{"type":"Polygon","coordinates":[[[3.05,50.62],[3.07,50.62],[3.07,50.64],[3.05,50.64],[3.05,50.62]]]}}]}"#;
    fs::write(site.path("qpv.geojson"), square).unwrap();
    site.layer("qpv", "key = \"code\"\n[source]\npath = \"../qpv.geojson\"\n[territory]\nlevel = \"qpv\"\ncolumn = \"code\"\nborders = \"qpv\"");
    site.harvest();
    site
}

fn csv(server: &Server, query: &str, table: &str) -> Answer {
    server.post(&format!("{RESOLVE}{query}"), "text/csv", &[], table.as_bytes())
}

fn lines(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().trim_start_matches('\u{feff}').lines().map(str::to_owned).collect()
}

pub fn tables_come_back_in_their_form_with_what_was_asked_for() {
    let site = site();
    let server = site.serve();
    let codes = csv(
        &server,
        "?add=com,epci,dep",
        "code;v\n60455;a\n1001;b\n01015;c\n99999;d\n93059;e\n93066;f\n",
    );
    assert_eq!(codes.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(
        codes.header("socle-verdicts"),
        Some("unchanged=2, carried=2, redefined=1, unknown=1")
    );
    assert_eq!(codes.header("socle-vintage").map(|v| &v[..4]), Some("2018"));
    assert_eq!(
        (codes.header("socle-conflicts"), codes.header("cache-control")),
        (Some("1"), Some("no-store"))
    );
    assert!(codes.header("access-control-expose-headers").unwrap().contains("Socle-Verdicts"));
    let rows = lines(&codes);
    assert_eq!(
        rows[0],
        "code;v;socle_com;socle_com_nom;socle_epci;socle_dep;socle_verdict;socle_candidats;socle_conflit;socle_note"
    );
    assert!(rows[1].starts_with("60455;a;60694;Les Hauts-Talican;"), "{}", rows[1]);
    assert!(rows[2].starts_with("1001;b;01001;") && rows[2].contains("Zéro initial rétabli"));
    assert!(rows[3].contains(";com:01015 comd:01015;"), "{}", rows[3]);
    assert!(rows[5].contains(";carried;;93066;"), "{}", rows[5]);

    // Addresses: commune, EPCI, QPV and any layer's property, by place; `lat` may come first.
    let table = "id;lat;lon\na;50.63;3.06\nb;50,29;2,78\nc;51.5;2.0\nd;;\ne;50.63;3.10\n";
    let placed = lines(&csv(&server, "?add=epci,qpv,canton,cantons:nom", table));
    assert!(
        placed[0].contains("socle_epci;socle_qpv;socle_canton;cantons:nom;socle_verdict"),
        "{}",
        placed[0]
    );
    assert!(placed[1].starts_with("a;50.63;3.06;59350;Lille;200093201;QN05901M;"), "{}", placed[1]);
    assert!(
        placed[1].contains(";located;") && placed[2].starts_with("b;50,29;2,78;62041;Arras;"),
        "{placed:?}"
    );
    assert!(placed[3].contains(";unknown;") && placed[3].contains("hors de toute commune"));
    assert!(
        placed[4].contains("pas de coordonnées") && placed[5].contains(";59350;Lille;200093201;;"),
        "{placed:?}"
    );

    // The same places in Lambert-93, from PROJ.
    let x =
        tool("sh", &["-c", "echo '3.06 50.63' | gdaltransform -s_srs OGC:CRS84 -t_srs EPSG:2154"]);
    let xy: Vec<&str> = x.split_whitespace().collect();
    let lambert = lines(&csv(
        &server,
        "?x=E&y=N&crs=EPSG:2154&add=qpv",
        &format!("E,N\n{},{}\n", xy[0], xy[1]),
    ));
    assert!(lambert[1].contains(",59350,Lille,QN05901M,located,"), "{}", lambert[1]);

    types_survive(&site, &server);
    form_of_the_page(&server);
}

/// JSON keeps types and order in a wrapper; a workbook opens elsewhere.
fn types_survive(site: &Site, server: &Server) {
    let json = server.post(
        RESOLVE,
        "application/json",
        &[],
        br#"[{"z":1.50,"code":"93059"},{"z":2,"code":"93066"}]"#,
    );
    let value = json.json();
    assert_eq!(value["rows"][0]["socle_com"], "93066");
    assert!(json.text().contains("\"z\":1.50,\"code\":\"93059\""), "{}", json.text());
    assert_eq!(value["counts"]["carried"], 1);
    assert_eq!(value["conflicts"][0]["codes"], serde_json::json!(["93059", "93066"]));
    assert_eq!(value["conflicts"][0]["columns"], serde_json::json!(["z"]));
    let book = csv(server, "?f=xlsx", "code;v\n60455;a\n93059;1\n93066;2\n");
    assert_eq!(book.header("content-type"), Some(XLSX));
    fs::write(site.path("out.xlsx"), &book.body).unwrap();
    let seen = tool("ogrinfo", &["-al", site.path("out.xlsx").to_str().unwrap()]);
    assert!(seen.contains("Les Hauts-Talican") && seen.contains("93059, 93066"), "{seen}");
    let back = server.post(RESOLVE, XLSX, &[("Accept", "text/csv")], &book.body);
    assert!(lines(&back)[1].starts_with("60455;a;60694;"), "{}", back.text());
}

/// The page's form, as a browser without scripts sends it.
fn form_of_the_page(server: &Server) {
    let page = server.page(RESOLVE);
    assert_eq!(page.status, 200);
    assert!(
        page.text().contains("enctype=\"multipart/form-data\"")
            && page.text().contains("type=\"file\"")
    );
    let part = |name: &str, value: &str| {
        format!("--xx\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let parts = [
        part("add", "epci"),
        part("add", "dep"),
        part("code", ""),
        part("table", "code;v\r\n60455;<b>\r\n93059;1\r\n93066;2"),
    ];
    let send = |f: &str| {
        let body = format!("{}{}--xx--\r\n", parts.concat(), part("f", f));
        let accept = ("Accept", "text/html,*/*;q=0.8");
        server.post(RESOLVE, "multipart/form-data; boundary=xx", &[accept], body.as_bytes())
    };
    let seen = send("html");
    assert_eq!((seen.status, seen.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let text = seen.text();
    assert!(
        text.contains("Les Hauts-Talican")
            && text.contains("Conflits")
            && text.contains("&lt;b&gt;"),
        "{text}"
    );
    assert!(!text.contains("<b>"));
    let file = send("same");
    assert!(lines(&file)[1].starts_with("60455;<b>;60694;"), "{}", file.text());
    assert_eq!(
        file.header("content-disposition"),
        Some("attachment; filename=\"socle_table.csv\"")
    );
}

pub fn what_cannot_be_read_or_done_is_refused() {
    let site = Site::with("max_body = 65536");
    site.layer("points", "key = \"id\"\n[source]\npath = \"../p.csv\"");
    fs::write(site.path("p.csv"), "id;lon;lat\na;3;50\n").unwrap();
    site.harvest();
    let server = site.serve();
    let good = "code\n59350\n";
    for (query, media, body, status, said) in [
        ("", "text/csv", "", 400, "vide"),
        ("", "text/csv", "code;v\n", 400, "vide"),
        ("", "text/csv", "a;b\nx;y\n", 400, "Colonnes : a, b"),
        ("?code=c", "text/csv", good, 400, "« c » n'est pas dans la table. Colonnes : code"),
        ("", "text/csv", "code;v\n59350;1\n59350;1;2\n", 400, "Ligne 3"),
        ("", "application/json", "{\"rows\":3}", 400, "ligne 1"),
        ("", XLSX, "PKnothing", 400, "Excel"),
        ("?add=lune", "text/csv", good, 400, "com, epci"),
        ("?add=qpv", "text/csv", good, 400, "ne se déduit pas"),
        ("?add=points:id", "text/csv", "lon;lat\n3;50\n", 400, "pas de surfaces"),
        ("?add=rien:id", "text/csv", "lon;lat\n3;50\n", 400, "Couche inconnue"),
        ("?lon=lon", "text/csv", "lon;lat\n3;50\n", 400, "deux colonnes"),
        ("?crs=EPSG:1", "text/csv", "lon;lat\n3;50\n", 400, "EPSG:1"),
        ("", "text/csv", "x;y\n700000;6600000\n", 400, "crs=EPSG:2154"),
        ("", "text/csv", "lon;lat\n3;50\n", 409, "borders = \"com\""),
        ("?f=pdf", "text/csv", good, 400, "csv, xlsx, json"),
        ("?nope=1", "text/csv", good, 400, "nope"),
        ("?code=a&code=b", "text/csv", good, 400, "deux fois"),
        ("", "application/pdf", good, 415, "text/csv"),
        ("", "application/x-www-form-urlencoded", good, 415, "--data-binary"),
        ("", "multipart/form-data; boundary=xx", "--xx--\r\n", 400, "table"),
        ("", "multipart/form-data", "x", 400, "boundary"),
    ] {
        let answer = server.post(
            &format!("{RESOLVE}{query}"),
            media,
            &[("Accept", "application/json")],
            body.as_bytes(),
        );
        assert_eq!(answer.status, status, "{query} {media} {body}: {}", answer.text());
        assert!(answer.text().contains(&said.replace('"', "\\\"")), "{said}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
    let large = format!("code\n{}", "59350\n".repeat(20_000));
    let answer = csv(&server, "", &large);
    assert_eq!(answer.status, 413);
    assert!(answer.text().contains("65536"), "{}", answer.text());
    // Elsewhere a body is not asked for, and under a territory there is no such resource.
    assert_eq!(server.post("/collections", "text/csv", &[], b"x").status, 405);
    assert_eq!(
        server.post("/t/dep-59/territories/resolve", "text/csv", &[], good.as_bytes()).status,
        404
    );
    assert_eq!(server.get("/t/dep-59/territories/resolve").status, 404);
    assert_eq!(
        server.send("DELETE", RESOLVE, &[]).header("allow"),
        Some("GET, HEAD, POST, OPTIONS")
    );
    let asked = server.send(
        "OPTIONS",
        RESOLVE,
        &[("Origin", "https://x.example"), ("Access-Control-Request-Method", "POST")],
    );
    assert_eq!(asked.header("access-control-allow-methods"), Some("GET, HEAD, POST, OPTIONS"));
    assert_eq!(
        server.send("OPTIONS", "/collections", &[]).header("access-control-allow-methods"),
        Some("GET, HEAD, OPTIONS")
    );
    let definition = server.json("/api");
    assert!(definition["paths"][RESOLVE]["post"]["requestBody"]["content"]["text/csv"].is_object());
    assert!(server.json("/t/dep-59/api")["paths"].get(RESOLVE).is_none());
    assert_eq!(server.json(RESOLVE)["limit"], 65_536);
}

#[test]
pub fn addresses_get_their_qpv_from_the_command_line_too() {
    let site = site();
    fs::write(site.path("adresses.csv"), "id,lon,lat\na,3.06,50.63\n").unwrap();
    let (from, to) = (site.path("adresses.csv"), site.path("out.json"));
    let output = site.run(&[
        "carry",
        from.to_str().unwrap(),
        "--lon",
        "lon",
        "--lat",
        "lat",
        "--add",
        "epci,qpv",
        "-o",
        to.to_str().unwrap(),
    ]);
    assert!(output.status.success(), "{}", crate::support::said(&output));
    let rows: serde_json::Value = serde_json::from_slice(&fs::read(&to).unwrap()).unwrap();
    assert_eq!(
        (&rows[0]["socle_com"], &rows[0]["socle_qpv"]),
        (&"59350".into(), &"QN05901M".into())
    );
    // Without the layers that tell, it says what is missing.
    assert_eq!(socle(&["carry", from.to_str().unwrap()]).status.code(), Some(2));
}

#[test]
pub fn the_neighbourhoods_of_2024_agree_with_their_list_of_communes() {
    let Some(qpv) = shared("qpv-2024/qpv2024.geojson.gz") else {
        println!("skipped the_neighbourhoods_of_2024_agree_with_their_list_of_communes");
        return;
    };
    let site = Site::new();
    demo_layers(&site);
    site.layer("qpv", &format!("key = \"code_qp\"\n[source]\npath = \"{}\"\n[territory]\nlevel = \"qpv\"\ncolumn = \"code_qp\"\nborders = \"qpv\"", qpv.display()));
    let output = site.run(&["harvest", "communes", "qpv"]);
    assert!(output.status.success(), "{}", crate::support::said(&output));
    // The town halls of the demo, asked which neighbourhood and which commune they are in.
    let server = site.serve();
    let table = fs::read(crate::support::root().join("config/demo/data/mairies.csv")).unwrap();
    let answer = server.post(
        &format!("{RESOLVE}?add=qpv,qpv:insee_com&f=json&lon=longitude&lat=latitude"),
        "text/csv",
        &[("Accept", "application/json")],
        &table,
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    let value = answer.json();
    let rows = value["rows"].as_array().unwrap();
    let inside: Vec<_> = rows.iter().filter(|row| !row["socle_qpv"].is_null()).collect();
    assert!(inside.len() > 20, "{}", inside.len());
    for row in &inside {
        let (com, listed) =
            (row["socle_com"].as_str().unwrap(), row["qpv:insee_com"].as_str().unwrap());
        assert!(listed.contains(com), "{row}");
    }
    let agree = rows.iter().filter(|row| row["socle_com"] == row["code_insee"]).count();
    assert!(agree as f64 > 0.9 * rows.len() as f64, "{agree} of {}", rows.len());
}
