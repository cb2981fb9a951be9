//! WFS without GeoJSON: MapServer and QGIS Server where they are installed, and one of our own making
//! that orders its axes as it likes, fails now and then, or does not keep its word.

use super::{
    cgi::{LIMIT, mapserver, qgis_server},
    demo, features, gdal, harvested, layer, refused, same,
    wfs::{source, turn},
    with_ids,
};
use crate::support::{
    Site, has, said,
    upstream::{Asked, Reply, Upstream},
};
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    sync::atomic::{AtomicUsize, Ordering},
};

/// Harvests what `source` names, again where a server is there already.
fn again(site: &Site, source: &str) {
    layer(site, source);
    let output = site.run(&["harvest", "communes", "--force"]);
    assert!(output.status.success(), "{}", said(&output));
    // What is in its place is not said to lie elsewhere.
    assert!(!said(&output).contains("inversées"), "{}", said(&output));
}

#[test]
fn what_mapserver_gives_in_gml_is_what_is_harvested() {
    let folder = tempfile::tempdir().unwrap();
    let Some(upstream) = mapserver(folder.path(), LIMIT, "") else { return };
    let url = format!("{}/wfs", upstream.base);
    let site = Site::new();
    // GML 3.2, latitude first as the URN says, 1,000 a page.
    again(&site, &source(&url, "communes"));
    let server = site.serve();
    let ours = harvested(&server);
    assert_eq!(features(&ours).len(), 3_782);
    same(&ours, &demo().1);
    if has("ogr2ogr") {
        same(&ours, &gdal(&format!("WFS:{url}"), "communes", &[]));
    }
    let pages = |asked: &[Asked]| asked.iter().filter(|a| !a.get("startindex").is_empty()).count();
    assert!(pages(&upstream.asked()) >= 4);
    // In another system, and pages that are larger than it gives.
    let more = format!("{}0\n[source]\ncrs = \"EPSG:2154\"", source(&url, "communes"));
    again(&site, &more);
    same(&harvested(&server), &demo().1);
    // All at once it gives, and counts, 1,500 of them: that may not be all.
    layer(&site, &format!("{}\nversion = \"1.1.0\"", source(&url, "communes")));
    refused(&site, "donne 1500 entités au plus à la fois");
    same(&harvested(&server), &demo().1);
}

#[test]
fn what_mapserver_gives_at_once_is_what_is_harvested() {
    let folder = tempfile::tempdir().unwrap();
    let Some(upstream) = mapserver(folder.path(), "", "") else { return };
    let url = format!("{}/wfs", upstream.base);
    let site = Site::new();
    // GML 3.1.1, called EPSG:4326 and latitude first nevertheless.
    let first = format!("{}\nversion = \"1.1.0\"", source(&url, "communes"));
    again(&site, &first);
    let server = site.serve();
    same(&harvested(&server), &demo().1);
    let asked = upstream.asked();
    assert!(asked.iter().all(|a| a.get("startindex").is_empty()));
    let formats: Vec<&str> = asked.iter().map(|a| a.get("outputformat")).collect();
    assert!(formats.contains(&"text/xml; subtype=gml/3.1.1"), "{formats:?}");
    again(&site, &format!("{first}\n[source]\ncrs = \"EPSG:2154\""));
    same(&harvested(&server), &demo().1);
}

#[test]
fn what_qgis_server_gives_is_what_is_harvested() {
    let folder = tempfile::tempdir().unwrap();
    let Some(upstream) = qgis_server(folder.path()) else { return };
    let url = format!("{}/wfs", upstream.base);
    let site = Site::new();
    // It has GeoJSON, and knows 1.1 only.
    again(&site, &source(&url, "communes"));
    let server = site.serve();
    same(&harvested(&server), &demo().1);
    // Its GML is longitude first by the name of EPSG:4326.
    again(&site, &format!("{}\n[source]\nformat = \"gml\"", source(&url, "communes")));
    let ours = harvested(&server);
    same(&ours, &demo().1);
    let asked = upstream.asked();
    let gml = asked.iter().filter(|a| a.get("outputformat") == "text/xml; subtype=gml/3.1.1");
    assert_eq!(gml.count(), 1);
    if has("ogr2ogr") {
        let mut theirs = gdal(&format!("WFS:{url}"), "communes", &[]);
        // GDAL takes latitude for first under every name.
        for feature in theirs["features"].as_array_mut().unwrap() {
            turn(&mut feature["geometry"]["coordinates"]);
        }
        same(&ours, &theirs);
    }
}

/// How a service of ours behaves.
#[derive(Clone, Copy)]
struct Habits {
    /// What it calls its system.
    srs: &'static str,
    /// Whether it writes latitude first.
    latitude_first: bool,
    /// Whether it gives pages.
    pages: bool,
    /// What goes wrong.
    fault: Fault,
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// Every third answer is 503.
    Busy,
    /// Pages overlap.
    Overlaps,
    /// It breaks off within a page.
    Breaks,
    /// It has one feature more whenever it is counted.
    Grows,
}

/// How many of the demo's communes it has; 100 make a page.
const SOME: usize = 400;

/// What it has.
fn some() -> Value {
    json!({ "features": features(&demo().1)[..SOME] })
}

fn ours(upstream: &Upstream) -> String {
    source(&upstream.base, "communes").replace("page = 1000", "page = 100")
}

const URN: &str = "urn:ogc:def:crs:EPSG::4326";

fn service(habits: Habits) -> Upstream {
    let Habits { srs, latitude_first, pages, fault } = habits;
    let all: Vec<String> =
        with_ids().iter().take(SOME).map(|feature| member(feature, srs, latitude_first)).collect();
    let (answers, counts) = (AtomicUsize::new(0), AtomicUsize::new(0));
    Upstream::start(move |asked: &Asked| {
        let n = answers.fetch_add(1, Ordering::SeqCst);
        if fault == Fault::Busy && n % 3 == 2 {
            return Reply::Status(503, String::new(), Vec::new());
        }
        if asked.get("request") == "GetCapabilities" {
            return Reply::Ok("text/xml", capabilities(srs, pages).into());
        }
        if asked.get("request") == "DescribeFeatureType" {
            return Reply::Ok("text/xml", SCHEMA.into());
        }
        let counted = |matched: usize, body: &str, returned: usize| {
            let now = n;
            let text = format!(
                "<?xml version='1.0' encoding='UTF-8'?>\n<w:FeatureCollection xmlns:w=\"http://www.opengis.net/wfs/2.0\" xmlns:g=\"http://www.opengis.net/gml/3.2\" xmlns:a=\"http://adm\" timeStamp=\"{now}\" numberMatched=\"{matched}\" numberReturned=\"{returned}\">{body}</w:FeatureCollection>"
            );
            Reply::Ok("text/xml", text.into())
        };
        if asked.get("resulttype") == "hits" {
            let more = counts.fetch_add(1, Ordering::SeqCst);
            return counted(all.len() + if fault == Fault::Grows { more } else { 0 }, "", 0);
        }
        let (start, count) = match pages {
            true => (asked.number("startindex").unwrap(), asked.number("count").unwrap()),
            false => (0, all.len()),
        };
        let start = if fault == Fault::Overlaps { start.saturating_sub(1) } else { start };
        let page: Vec<&str> = all.iter().skip(start).take(count).map(String::as_str).collect();
        let mut body = page.concat();
        if fault == Fault::Breaks && start > 0 {
            body.push_str("<w:truncatedResponse><o:ExceptionReport xmlns:o=\"http://www.opengis.net/ows/1.1\"><o:Exception><o:ExceptionText>the database went away</o:ExceptionText></o:Exception></o:ExceptionReport></w:truncatedResponse>");
        }
        counted(all.len(), &body, page.len())
    })
}

const SCHEMA: &str = r#"<?xml version='1.0'?><x:schema xmlns:x="http://www.w3.org/2001/XMLSchema" targetNamespace="http://adm"><x:complexType name="communesType"><x:complexContent><x:extension base="g:AbstractFeatureType"><x:sequence>
<x:element name="epci" minOccurs="0"><x:simpleType><x:restriction base="x:string"><x:maxLength value="9"/></x:restriction></x:simpleType></x:element>
<x:element name="nom" type="x:string"/><x:element name="population" type="x:integer"/></x:sequence></x:extension></x:complexContent></x:complexType></x:schema>"#;

fn capabilities(srs: &str, pages: bool) -> String {
    let pages = if pages { "TRUE" } else { "FALSE" };
    format!(
        r#"<w:WFS_Capabilities version="2.0.0" xmlns:w="http://www.opengis.net/wfs/2.0" xmlns:o="http://www.opengis.net/ows/1.1"><o:OperationsMetadata><o:Operation name="GetFeature"><o:Parameter name="outputFormat"><o:AllowedValues><o:Value>application/gml+xml; version=3.2</o:Value></o:AllowedValues></o:Parameter></o:Operation><o:Constraint name="ImplementsResultPaging"><o:NoValues/><o:DefaultValue>{pages}</o:DefaultValue></o:Constraint></o:OperationsMetadata><w:FeatureTypeList><w:FeatureType><w:Name>adm:communes</w:Name><w:DefaultCRS>{srs}</w:DefaultCRS><o:WGS84BoundingBox><o:LowerCorner>1.3 48.8</o:LowerCorner><o:UpperCorner>4.3 51.1</o:UpperCorner></o:WGS84BoundingBox></w:FeatureType></w:FeatureTypeList></w:WFS_Capabilities>"#
    )
}

/// A feature as GML 3.2.
fn member(feature: &Value, srs: &str, latitude_first: bool) -> String {
    let id = feature["id"].as_str().unwrap();
    let mut out = format!("<w:member><a:communes g:id=\"c.{id}\">");
    let properties = feature["properties"].as_object().unwrap();
    for (name, value) in properties.iter().filter(|(_, value)| !value.is_null()) {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        write!(out, "<a:{name}>{text}</a:{name}>").unwrap();
    }
    let geometry = &feature["geometry"];
    let coordinates = geometry["coordinates"].as_array().unwrap();
    write!(out, "<a:geom><g:MultiSurface g:id=\"g.{id}\" srsName=\"{srs}\">").unwrap();
    match geometry["type"].as_str().unwrap() {
        "Polygon" => polygon(&mut out, coordinates, latitude_first),
        _ => coordinates
            .iter()
            .for_each(|p| polygon(&mut out, p.as_array().unwrap(), latitude_first)),
    }
    out + "</g:MultiSurface></a:geom></a:communes></w:member>\n"
}

fn polygon(out: &mut String, rings: &[Value], latitude_first: bool) {
    out.push_str("<g:surfaceMember><g:Polygon>");
    for (i, ring) in rings.iter().enumerate() {
        let side = if i == 0 { "exterior" } else { "interior" };
        write!(out, "<g:{side}><g:LinearRing><g:posList>").unwrap();
        for position in ring.as_array().unwrap() {
            let (x, y) = (&position[0], &position[1]);
            let (a, b) = if latitude_first { (y, x) } else { (x, y) };
            write!(out, "{a} {b} ").unwrap();
        }
        write!(out, "</g:posList></g:LinearRing></g:{side}>").unwrap();
    }
    out.push_str("</g:Polygon></g:surfaceMember>");
}

const GOOD: Habits = Habits { srs: URN, latitude_first: true, pages: true, fault: Fault::None };

#[test]
fn places_are_where_they_are_whatever_the_order_of_axes_is_called() {
    let site = Site::new();
    let mut server = None;
    for (srs, latitude_first, pages) in [
        (URN, true, true),
        (URN, false, true),
        ("EPSG:4326", true, false),
        ("EPSG:4326", false, false),
    ] {
        let upstream = service(Habits { srs, latitude_first, pages, ..GOOD });
        again(&site, &ours(&upstream));
        let server = server.get_or_insert_with(|| site.serve());
        same(&harvested(server), &some());
        let asked = upstream.asked();
        let paged = asked.iter().filter(|a| !a.get("startindex").is_empty()).count();
        assert_eq!(paged, if pages { 4 } else { 0 }, "{srs}");
        // The same features make no new version, whatever the time of the answers.
        let output = site.run(&["harvest", "communes"]);
        assert!(said(&output).contains("inchang"), "{}", said(&output));
    }
}

#[test]
fn a_page_that_fails_is_asked_for_again_and_the_rest_is_kept() {
    let upstream = service(Habits { fault: Fault::Busy, ..GOOD });
    let site = Site::new();
    again(&site, &ours(&upstream));
    same(&harvested(&site.serve()), &some());
    let starts: Vec<usize> =
        upstream.asked().iter().filter_map(|a| a.number("startindex")).collect();
    let mut once = starts.clone();
    once.dedup();
    assert_eq!(once, [0, 100, 200, 300], "no page is asked for that came");
    assert!(starts.len() > once.len(), "{starts:?}");
}

#[test]
fn what_does_not_come_whole_is_not_published() {
    let site = Site::new();
    let upstream = service(GOOD);
    again(&site, &ours(&upstream));
    let server = site.serve();
    for (fault, words) in [
        (Fault::Overlaps, "sur deux pages"),
        (Fault::Breaks, "the database went away"),
        (Fault::Grows, "a changé pendant"),
    ] {
        let upstream = service(Habits { fault, ..GOOD });
        layer(&site, &ours(&upstream));
        refused(&site, words);
        same(&harvested(&server), &some());
    }
    layer(&site, &format!("{}\n[source]\nformat = \"geojson\"", ours(&upstream)));
    refused(&site, "application/gml+xml; version=3.2");
}
