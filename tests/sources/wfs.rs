//! WFS: Socle's own, MapServer where it is installed (its CGI run for each request), and one of our
//! own making that writes latitude first, or says no.

use super::{demo, features, gdal, harvested, layer, refused, same, with_ids};
use crate::support::{
    Site, demo_server, finish, has,
    upstream::{Asked, Reply, Upstream},
};
use serde_json::{Value, json};
use std::{path::Path, process::Command};

fn source(url: &str, kind: &str) -> String {
    format!("[source.wfs]\nurl = \"{url}\"\ntype = \"{kind}\"\npage = 1000")
}

#[test]
fn socle_harvests_the_wfs_of_socle() {
    let demo_server = demo_server();
    let url = format!("{}wfs", demo_server.base);
    let site = Site::new();
    layer(&site, &source(&url, "communes"));
    site.harvest();
    let server = site.serve();
    same(&harvested(&server), &demo().1);
    // The version before pages: all at once.
    layer(&site, &format!("{}\nversion = \"1.1.0\"", source(&url, "communes")));
    let output = site.run(&["harvest", "communes", "--force"]);
    assert!(output.status.success(), "{}", crate::support::said(&output));
    same(&harvested(&server), &demo().1);
}

/// A WFS that writes what it is told; GeoServer's way.
fn service(latitude_first: bool, pages: bool) -> Upstream {
    let mut all = with_ids();
    if latitude_first {
        all.iter_mut().for_each(|f| turn(&mut f["geometry"]["coordinates"]));
    }
    Upstream::start(move |asked: &Asked| match asked.get("request") {
        "GetCapabilities" => Reply::Ok("application/xml", CAPABILITIES.into()),
        _ if asked.get("resulttype") == "hits" => {
            let n = all.len();
            let hits = format!(
                "<wfs:FeatureCollection xmlns:wfs=\"http://www.opengis.net/wfs/2.0\" numberMatched=\"{n}\" numberReturned=\"0\"/>"
            );
            Reply::Ok("application/xml", hits.into())
        }
        _ if !pages && asked.number("startindex").is_some_and(|n| n > 0) => {
            let words = "<ows:ExceptionReport xmlns:ows=\"http://www.opengis.net/ows/1.1\"><ows:Exception exceptionCode=\"NoApplicableCode\"><ows:ExceptionText>Cannot do natural order without a primary key</ows:ExceptionText></ows:Exception></ows:ExceptionReport>";
            Reply::Ok("text/xml", words.into())
        }
        _ => {
            let start = asked.number("startindex").unwrap_or(0);
            let count = asked.number("count").unwrap_or(usize::MAX);
            let page: Vec<Value> = all.iter().skip(start).take(count).cloned().collect();
            Reply::json(
                &json!({ "type": "FeatureCollection", "features": page, "totalFeatures": "unknown" }),
            )
        }
    })
}

fn turn(coordinates: &mut Value) {
    let Some(all) = coordinates.as_array_mut() else { return };
    if all.iter().all(Value::is_number) {
        all.swap(0, 1);
    } else {
        all.iter_mut().for_each(turn);
    }
}

const CAPABILITIES: &str = r#"<wfs:WFS_Capabilities version="2.0.0" xmlns:wfs="http://www.opengis.net/wfs/2.0" xmlns:ows="http://www.opengis.net/ows/1.1"><ows:OperationsMetadata><ows:Operation name="GetFeature"><ows:Parameter name="outputFormat"><ows:AllowedValues><ows:Value>text/xml; subtype=gml/3.2</ows:Value><ows:Value>application/json</ows:Value></ows:AllowedValues></ows:Parameter></ows:Operation></ows:OperationsMetadata><wfs:FeatureTypeList><wfs:FeatureType><wfs:Name>adm:communes</wfs:Name><wfs:DefaultCRS>urn:ogc:def:crs:EPSG::4326</wfs:DefaultCRS><ows:WGS84BoundingBox><ows:LowerCorner>1.3 48.8</ows:LowerCorner><ows:UpperCorner>4.3 51.1</ows:UpperCorner></ows:WGS84BoundingBox></wfs:FeatureType></wfs:FeatureTypeList></wfs:WFS_Capabilities>"#;

#[test]
fn latitude_first_is_seen_and_put_right() {
    for latitude_first in [false, true] {
        let upstream = service(latitude_first, true);
        let site = Site::new();
        let filter = "filter = \"population > 0\"\nsort = \"code\"";
        layer(
            &site,
            &format!("{}\n{filter}", source(&format!("{}/wfs", upstream.base), "communes")),
        );
        site.harvest();
        same(&harvested(&site.serve()), &demo().1);
        let asked = upstream.asked();
        let page = asked.iter().find(|a| a.get("count") == "1000").unwrap();
        assert_eq!((page.get("typenames"), page.get("sortby")), ("adm:communes", "code"));
        assert_eq!((page.get("cql_filter"), page.get("srsname")), ("population > 0", "EPSG:4326"));
    }
}

#[test]
fn what_a_service_refuses_is_quoted() {
    let upstream = service(false, false);
    let site = Site::new();
    layer(&site, &source(&format!("{}/wfs", upstream.base), "communes"));
    refused(&site, "Cannot do natural order without a primary key");
    layer(&site, &source(&format!("{}/wfs", upstream.base), "cantons"));
    refused(&site, "adm:communes");
}

/// MapServer over the demo, run as CGI for each request.
fn mapserver(folder: &Path) -> Option<Upstream> {
    if !has("mapserv") {
        return None;
    }
    let (file, _) = demo();
    let map = folder.join("demo.map");
    let text = format!(
        "MAP
  NAME \"demo\"
  EXTENT 1 48 5 52
  PROJECTION \"init=epsg:4326\" END
  WEB METADATA
    \"wfs_title\" \"demo\"
    \"wfs_onlineresource\" \"http://127.0.0.1/wfs\"
    \"wfs_srs\" \"EPSG:4326 EPSG:2154\"
    \"wfs_enable_request\" \"*\"
    \"wfs_getfeature_formatlist\" \"geojson\"
  END END
  OUTPUTFORMAT
    NAME \"geojson\"
    DRIVER \"OGR/GEOJSON\"
    MIMETYPE \"application/json; subtype=geojson\"
    FORMATOPTION \"STORAGE=memory\"
    FORMATOPTION \"FORM=simple\"
    FORMATOPTION \"LCO:WRITE_BBOX=NO\"
    FORMATOPTION \"LCO:COORDINATE_PRECISION=9\"
  END
  LAYER
    NAME \"communes\"
    TYPE POLYGON
    STATUS ON
    CONNECTIONTYPE OGR
    CONNECTION \"{}\"
    DATA \"communes\"
    PROJECTION \"init=epsg:4326\" END
    METADATA
      \"wfs_title\" \"communes\"
      \"wfs_featureid\" \"code\"
      \"gml_featureid\" \"code\"
      \"gml_include_items\" \"all\"
      \"gml_types\" \"auto\"
      \"wfs_getfeature_formatlist\" \"geojson\"
    END
  END
END
",
        file.display()
    );
    std::fs::write(&map, text).unwrap();
    let settings = folder.join("mapserver.conf");
    std::fs::write(&settings, "CONFIG\n  ENV\n    MS_MAP_PATTERN \".\"\n  END\nEND\n").unwrap();
    Some(Upstream::start(move |asked: &Asked| {
        let query: Vec<String> =
            asked.query.iter().map(|(n, v)| format!("{n}={}", encode(v))).collect();
        let mut mapserv = Command::new("mapserv");
        mapserv
            .env("REQUEST_METHOD", "GET")
            .env("QUERY_STRING", query.join("&"))
            .env("MS_MAPFILE", &map)
            .env("MAPSERVER_CONFIG_FILE", &settings);
        let output = finish(&mut mapserv);
        let end = output.stdout.windows(4).position(|w| w == b"\r\n\r\n");
        let body = end.map_or(&b""[..], |end| &output.stdout[end + 4..]);
        let xml = body.starts_with(b"<");
        Reply::Ok(if xml { "text/xml" } else { "application/json" }, body.to_vec())
    }))
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }
        })
        .collect()
}

#[test]
fn what_mapserver_gives_is_what_is_harvested() {
    let folder = tempfile::tempdir().unwrap();
    let Some(upstream) = mapserver(folder.path()) else { return };
    let url = format!("{}/wfs", upstream.base);
    let site = Site::new();
    layer(&site, &source(&url, "communes"));
    site.harvest();
    let server = site.serve();
    let ours = harvested(&server);
    assert_eq!(features(&ours).len(), 3_782);
    same(&ours, &demo().1);
    if has("ogr2ogr") {
        let all = format!(
            "{url}?service=WFS&version=2.0.0&request=GetFeature&typeNames=communes&outputFormat=geojson"
        );
        same(&ours, &gdal(&all, "", &[]));
    }
}
