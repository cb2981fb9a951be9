//! Pages, systems, features by name, values, formats and versions.

use super::{V2, attribute, enc, get, ids, items, text};
use crate::support::{demo_server, has, tool};
use std::{collections::BTreeSet, fs};

over_both!(
    pages_give_every_feature_once,
    boxes_and_systems_follow_their_spelling,
    features_by_id_and_values,
    every_version_answers_in_its_own_words,
);

fn pages_give_every_feature_once() {
    let server = demo_server();
    let mut url = format!("/wfs?{V2}GetFeature&typeNames=socle:communes&propertyName=code");
    let (mut seen, mut pages, mut first) = (Vec::new(), 0, String::new());
    let mut back = None;
    loop {
        let page = get(&server, &url).text();
        assert_eq!(attribute(&page, "numberMatched").as_deref(), Some("3782"), "{page:.900}");
        let here = ids(&page);
        assert_eq!(attribute(&page, "numberReturned"), Some(here.len().to_string()));
        assert!(here.len() <= 1_000, "the usual page");
        if pages == 1 {
            back = attribute(&page, "previous");
        }
        if pages == 0 {
            first = here.join(" ");
            assert_eq!(attribute(&page, "previous"), None);
        }
        seen.extend(here);
        pages += 1;
        let Some(next) = attribute(&page, "next") else { break };
        url = next.strip_prefix(server.base.trim_end_matches('/')).unwrap().to_owned();
    }
    assert_eq!(pages, 4);
    let distinct: BTreeSet<String> = seen.iter().cloned().collect();
    assert_eq!((seen.len(), &distinct), (3_782, &items(&server, "")));
    let back = back.unwrap();
    let back = get(&server, back.strip_prefix(server.base.trim_end_matches('/')).unwrap()).text();
    assert_eq!(ids(&back).join(" "), first);
    let hits = text(&server, &format!("{V2}GetFeature&typeNames=communes&resultType=hits&count=2"));
    assert_eq!(attribute(&hits, "numberReturned").as_deref(), Some("0"));
    assert!(attribute(&hits, "previous").is_none());
    let next = attribute(&hits, "next").unwrap();
    let next = get(&server, next.strip_prefix(server.base.trim_end_matches('/')).unwrap()).text();
    assert_eq!(ids(&next).len(), 2);
}

fn boxes_and_systems_follow_their_spelling() {
    let server = demo_server();
    let expected = items(
        &server,
        &format!("filter={}", enc("S_INTERSECTS(geometry,BBOX(3.0,50.6,3.1,50.7))")),
    );
    for bbox in [
        "50.6,3.0,50.7,3.1",
        "50.6,3.0,50.7,3.1,urn:ogc:def:crs:EPSG::4326",
        "50.6,3.0,50.7,3.1,http://www.opengis.net/def/crs/EPSG/0/4326",
        "3.0,50.6,3.1,50.7,EPSG:4326",
        "3.0,50.6,3.1,50.7,urn:ogc:def:crs:OGC:1.3:CRS84",
    ] {
        let asked = text(
            &server,
            &format!("{V2}GetFeature&typeNames=communes&propertyName=code&bbox={bbox}"),
        );
        assert_eq!(ids(&asked).into_iter().collect::<BTreeSet<_>>(), expected, "{bbox}");
    }
    let old = text(
        &server,
        "service=WFS&version=1.0.0&request=GetFeature&typename=communes&propertyname=code&bbox=3.0,50.6,3.1,50.7",
    );
    assert_eq!(ids(&old).into_iter().collect::<BTreeSet<_>>(), expected);
    // As a wide canvas asks: the system ends before the box does.
    let wide = "-600000,6000000,2000000,7200000,EPSG:2154";
    let bbox = text(&server, &format!("{V2}GetFeature&typeNames=communes&count=1&bbox={wide}"));
    assert_eq!(attribute(&bbox, "numberMatched").as_deref(), Some("3782"));
    let envelope = "<Filter xmlns='http://www.opengis.net/fes/2.0' xmlns:gml='http://www.opengis.net/gml/3.2'><BBOX><gml:Envelope srsName='urn:ogc:def:crs:EPSG::2154'><gml:lowerCorner>-600000 6000000</gml:lowerCorner><gml:upperCorner>2000000 7200000</gml:upperCorner></gml:Envelope></BBOX></Filter>";
    let query = format!("{V2}GetFeature&typeNames=communes&count=1&filter={}", enc(envelope));
    assert_eq!(attribute(&text(&server, &query), "numberMatched").as_deref(), Some("3782"));
    let nowhere = format!(
        "/wfs?{V2}GetFeature&typeNames=communes&bbox=90000000,90000000,99000000,99000000,EPSG:2154"
    );
    let nowhere = get(&server, &nowhere);
    assert_eq!(nowhere.status, 400, "{}", nowhere.text());
    assert_eq!(attribute(&nowhere.text(), "locator").as_deref(), Some("bbox"));
    let position = |srs: &str| -> [f64; 2] {
        let page = text(&server, &format!("{V2}GetFeature&resourceId=mairies.59350&srsName={srs}"));
        assert_eq!(attribute(&page, "srsName").as_deref(), Some(srs), "{page}");
        let pos = page.split("<gml:pos>").nth(1).unwrap().split('<').next().unwrap();
        let numbers: Vec<f64> = pos.split(' ').map(|n| n.parse().unwrap()).collect();
        [numbers[0], numbers[1]]
    };
    let [x, y] = position("EPSG:4326");
    assert!((x - 3.07).abs() < 0.05 && (y - 50.63).abs() < 0.05, "{x} {y}");
    assert_eq!(position("urn:ogc:def:crs:EPSG::4326"), [y, x]);
    assert_eq!(position("http://www.opengis.net/def/crs/EPSG/0/4326"), [y, x]);
    assert_eq!(position("urn:ogc:def:crs:OGC:1.3:CRS84"), [x, y]);
    for srs in ["EPSG:2154", "urn:ogc:def:crs:EPSG::2154"] {
        let [x, y] = position(srs);
        assert!((x - 704_000.0).abs() < 3_000.0 && (y - 7_059_000.0).abs() < 3_000.0, "{x} {y}");
    }
}

fn features_by_id_and_values() {
    let server = demo_server();
    let by_id = "GetFeature&storedQuery_id=urn:ogc:def:query:OGC-WFS::GetFeatureById&id=";
    let one = text(&server, &format!("{V2}{by_id}communes.59350"));
    assert!(
        one.contains("<socle:communes xmlns:wfs=") && one.contains("gml:id=\"communes.59350\""),
        "{one:.900}"
    );
    assert!(one.trim_end().ends_with("</socle:communes>"));
    for unknown in ["communes.x", "x.1", "59350", "uuid-1"] {
        let answer = get(&server, &format!("/wfs?{V2}{by_id}{unknown}"));
        assert_eq!(answer.status, 404, "{unknown}");
        assert!(answer.text().contains("exceptionCode=\"NotFound\""));
    }
    let posted = "<GetFeature service='WFS' version='2.0.0' xmlns='http://www.opengis.net/wfs/2.0'><StoredQuery id='urn:ogc:def:query:OGC-WFS::GetFeatureById'><Parameter name='id'>communes.59350</Parameter></StoredQuery></GetFeature>";
    assert_eq!(server.post("/wfs", "application/xml", &[], posted.as_bytes()).text(), one);
    let several = text(
        &server,
        &format!(
            "{V2}GetFeature&resourceId=communes.59350,communes.80021,communes.x,communes.59350"
        ),
    );
    assert_eq!(ids(&several), ["59350", "80021"]);
    let values = text(
        &server,
        &format!(
            "{V2}GetPropertyValue&typeNames=communes&valueReference=nom&sortBy=population+DESC&count=2"
        ),
    );
    assert!(values.contains("<wfs:member><socle:nom>Lille</socle:nom></wfs:member>\n<wfs:member><socle:nom>Amiens</socle:nom></wfs:member>"), "{values}");
    let gml = text(
        &server,
        &format!("{V2}GetPropertyValue&typeNames=communes&valueReference=@gml:id&count=1"),
    );
    assert!(gml.contains("<wfs:member>communes.02001</wfs:member>"), "{gml}");
    let shapes = text(
        &server,
        &format!("{V2}GetPropertyValue&typeNames=communes&valueReference=geometry&count=1"),
    );
    assert!(
        shapes.contains("<wfs:member><socle:geometry><gml:MultiSurface gml:id="),
        "{shapes:.1500}"
    );
    let listed = text(&server, &format!("{V2}ListStoredQueries"));
    assert!(listed.contains("<wfs:ReturnFeatureType>socle:communes<"));
    assert!(
        text(&server, &format!("{V2}DescribeStoredQueries"))
            .contains("name=\"ID\" type=\"xsd:string\"")
    );
}

fn every_version_answers_in_its_own_words() {
    let server = demo_server();
    for (asked, given) in [
        ("", "2.0.0"),
        ("&acceptVersions=10.0.0,1.1.0,2.0.0", "1.1.0"),
        ("&acceptVersions=2.0.0,1.1.0,1.0.0", "2.0.0"),
        ("&version=1.0.0", "1.0.0"),
        ("&version=0.5.0", "1.0.0"),
        ("&version=1.2.0", "1.1.0"),
        ("&version=3.0.0", "2.0.0"),
    ] {
        let caps = text(&server, &format!("SERVICE=wfs&REQUEST=getcapabilities{asked}"));
        let root = caps.split("WFS_Capabilities").nth(1).unwrap();
        assert_eq!(attribute(root, "version").as_deref(), Some(given), "{asked}");
        assert!(!caps.contains("Transaction\""), "no editing is offered");
    }
    let caps = text(&server, "service=WFS&request=GetCapabilities");
    for what in [
        "name=\"ImplementsResultPaging\"><ows:NoValues/><ows:DefaultValue>TRUE<",
        "name=\"CountDefault\"><ows:NoValues/><ows:DefaultValue>1000<",
        "<wfs:DefaultCRS>urn:ogc:def:crs:EPSG::4326<",
        "<wfs:OtherCRS>urn:ogc:def:crs:EPSG::2154<",
        "inspire_dls:ExtendedCapabilities",
    ] {
        assert!(caps.contains(what), "{what}");
    }
    for (version, count, element) in [
        ("2.0.0", "count", "<gml:posList>"),
        ("1.1.0", "maxFeatures", "<gml:posList>"),
        ("1.0.0", "maxFeatures", "<gml:outerBoundaryIs><gml:LinearRing><gml:coordinates>"),
    ] {
        let page = text(
            &server,
            &format!(
                "service=WFS&version={version}&request=GetFeature&typeName=communes&{count}=3"
            ),
        );
        assert_eq!(ids(&page), ["02001", "02002", "02003"]);
        assert!(page.contains(element), "{page:.1500}");
    }
    let all = text(
        &server,
        "service=WFS&version=1.1.0&request=GetFeature&typeName=communes&propertyName=code",
    );
    assert_eq!(ids(&all).len(), 3_782, "old clients know of no pages");
    // Their number is one of those that pages do not bound.
    let hits = "service=WFS&version=1.1.0&request=GetFeature&typeName=communes&resultType=hits";
    assert_eq!(attribute(&text(&server, hits), "numberOfFeatures").as_deref(), Some("3782"));
    let both = text(
        &server,
        &format!(
            "{V2}GetFeature&typeNames=(communes)(mairies)&count=3&propertyName=(code)(code_insee)"
        ),
    );
    assert_eq!(both.matches("<wfs:FeatureCollection").count(), 3);
}

#[test]
fn features_come_in_every_format() {
    let server = demo_server();
    let file = |scope: &str, query: &str| {
        let answer = get(&server, &format!("{scope}/wfs?{V2}GetFeature&typeNames=mairies&{query}"));
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        answer
    };
    let json = file("", "outputFormat=application/json&count=2&srsName=EPSG:4326").json();
    assert_eq!(
        (json["numberMatched"].as_u64(), json["numberReturned"].as_u64()),
        (Some(3_777), Some(2))
    );
    let feature = &server.json("/collections/mairies/items?limit=1")["features"][0];
    assert_eq!(&json["features"][0], feature, "the same feature on both roads");
    let csv = file("", "outputFormat=csv&count=5").text();
    assert_eq!(csv.lines().filter(|l| l.contains("@")).count(), 5, "{csv}");
    // All of them where no number is asked for; else a page that says so.
    let communes = |more: &str| {
        get(&server, &format!("/wfs?{V2}GetFeature&typeNames=communes&outputFormat=csv{more}"))
    };
    let all = communes("");
    assert_eq!(all.text().lines().count(), 3_783);
    assert_eq!(all.header("ogc-numberreturned"), Some("3782"));
    assert_eq!(all.header("link"), None);
    let page = communes("&count=1500&startIndex=1500");
    assert_eq!(page.text().lines().count(), 1_501);
    assert_eq!(page.header("ogc-numbermatched"), Some("3782"));
    assert_eq!(page.header("ogc-numberreturned"), Some("1500"));
    let links = page.header("link").unwrap();
    let next = links.split(", ").find(|l| l.contains("rel=\"next\"")).unwrap();
    let next = next.split(['<', '>']).nth(1).unwrap();
    let next = get(&server, next.strip_prefix(server.base.trim_end_matches('/')).unwrap());
    assert_eq!(next.text().lines().count(), 783, "{links}");
    assert!(!next.header("link").unwrap().contains("rel=\"next\""));
    let refused = get(
        &server,
        &format!("/wfs?{V2}GetFeature&typeNames=mairies&outputFormat=SHAPE-ZIP&startIndex=5"),
    );
    assert_eq!(refused.status, 400);
    if !has("ogrinfo") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (format, name, vsi, count) in [
        ("SHAPE-ZIP", "a.zip", "/vsizip/", "647"),
        ("application/geopackage%2Bsqlite3", "a.gpkg", "", "647"),
        ("application/flatgeobuf", "a.fgb", "", "647"),
    ] {
        let path = dir.path().join(name);
        fs::write(
            &path,
            file("/t/dep-59", &format!("outputFormat={format}&srsName=EPSG:2154")).body,
        )
        .unwrap();
        let seen = tool("ogrinfo", &["-ro", "-so", "-al", &format!("{vsi}{}", path.display())]);
        assert!(seen.contains(&format!("Feature Count: {count}")), "{format}: {seen}");
        assert!(seen.contains("Lambert-93"), "{format}: {seen}");
    }
}
