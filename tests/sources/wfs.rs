//! WFS in GeoJSON: Socle's own, MapServer where it is installed, and one of our own making that
//! writes latitude first, or says no.

use super::{
    cgi::{GEOJSON, LIMIT, mapserver},
    demo, features, gdal, harvested, layer, refused, same, with_ids,
};
use crate::support::{
    Site, demo_server, has,
    upstream::{Asked, Reply, Upstream},
};
use serde_json::{Value, json};

pub(super) fn source(url: &str, kind: &str) -> String {
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

pub(super) fn turn(coordinates: &mut Value) {
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

#[test]
fn what_mapserver_gives_is_what_is_harvested() {
    let folder = tempfile::tempdir().unwrap();
    let Some(upstream) = mapserver(folder.path(), LIMIT, GEOJSON) else { return };
    let url = format!("{}/wfs", upstream.base);
    let site = Site::new();
    // Larger pages than it gives, and it counts no further than that.
    layer(&site, &format!("{}0", source(&url, "communes")));
    site.harvest();
    let server = site.serve();
    let ours = harvested(&server);
    assert_eq!(features(&ours).len(), 3_782);
    same(&ours, &demo().1);
    if has("ogr2ogr") {
        // GDAL asks once, and would be content with 1,500.
        let folder = tempfile::tempdir().unwrap();
        let upstream = mapserver(folder.path(), "", GEOJSON).expect("MapServer");
        let url = format!("{}/wfs", upstream.base);
        let all = format!(
            "{url}?service=WFS&version=2.0.0&request=GetFeature&typeNames=communes&outputFormat=geojson"
        );
        same(&ours, &gdal(&all, "", &[]));
    }
}
