//! WFS in its three versions, seen from outside: the same features as OGC API gives, whatever the
//! version, the spelling of systems and filters, the store and the scope; and the clients it is for.

use crate::support::{Answer, Server, Site, command, demo, demo_server, finish, has, python, tool};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    process::{Command, Stdio},
};

over_both!(
    pages_give_every_feature_once,
    filters_say_what_cql2_says,
    boxes_and_systems_follow_their_spelling,
    scopes_hold_in_every_answer,
    cuts_hold_for_names_and_boxes,
    features_by_id_and_values,
    every_version_answers_in_its_own_words,
);

const V2: &str = "service=WFS&version=2.0.0&request=";

fn get(server: &Server, path: &str) -> Answer {
    server.send("GET", path, &[])
}

fn text(server: &Server, query: &str) -> String {
    let answer = get(server, &format!("/wfs?{query}"));
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    answer.text()
}

fn enc(text: &str) -> String {
    socle::http::params::encode(text)
}

/// An attribute of a document's root, or of the first element that has it.
fn attribute(text: &str, name: &str) -> Option<String> {
    let after = text.split(&format!(" {name}=\"")).nth(1)?;
    Some(after.split('"').next()?.replace("&amp;", "&"))
}

/// The ids of features of GML, in order.
fn ids(text: &str) -> Vec<String> {
    let id = |part: &str| part.split('"').next().unwrap().rsplit('.').next().unwrap().to_owned();
    let name = if text.contains(" fid=\"") { " fid=\"" } else { "<socle:" };
    if name == " fid=\"" {
        return text.split(name).skip(1).map(id).collect();
    }
    // Geometries have ids too: those of features stand right behind the member.
    text.split("ember><socle:").skip(1).map(|p| id(p.split("gml:id=\"").nth(1).unwrap())).collect()
}

fn items(server: &Server, query: &str) -> BTreeSet<String> {
    let page = server.json(&format!("/collections/communes/items?limit=10000&{query}"));
    let id = |f: &Value| f["id"].as_str().unwrap().to_owned();
    page["features"].as_array().unwrap().iter().map(id).collect()
}

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

/// Filters of FES, and what they are in CQL2; what needs another system says nothing there.
fn cases() -> Vec<(String, &'static str)> {
    let is = |op: &str, name: &str, value: &str| {
        format!("<{op}><ValueReference>{name}</ValueReference><Literal>{value}</Literal></{op}>")
    };
    let envelope = "<gml:Envelope srsName='urn:ogc:def:crs:EPSG::4326'><gml:lowerCorner>50.6 3.0</gml:lowerCorner><gml:upperCorner>50.7 3.1</gml:upperCorner></gml:Envelope>";
    let lambert = "<gml:Polygon srsName='urn:ogc:def:crs:EPSG::2154'><gml:exterior><gml:LinearRing><gml:posList>700000 7050000 710000 7050000 710000 7060000 700000 7060000 700000 7050000</gml:posList></gml:LinearRing></gml:exterior></gml:Polygon>";
    vec![
        (is("PropertyIsEqualTo", "socle:nom", "Lille"), "nom = 'Lille'"),
        (is("PropertyIsGreaterThan", "population", "50000"), "population > 50000"),
        (
            format!("<And>{}<Not>{}</Not></And>", is("PropertyIsLessThan", "population", "100"), is("PropertyIsEqualTo", "dep", "02")),
            "population < 100 AND NOT (dep = '02')",
        ),
        (
            "<PropertyIsLike wildCard='*' singleChar='.' escapeChar='!' matchCase='false'><ValueReference>nom</ValueReference><Literal>saint-*</Literal></PropertyIsLike>".to_owned(),
            "CASEI(nom) LIKE CASEI('saint-%')",
        ),
        (
            "<PropertyIsBetween><ValueReference>population</ValueReference><LowerBoundary><Literal>100</Literal></LowerBoundary><UpperBoundary><Literal>110</Literal></UpperBoundary></PropertyIsBetween>".to_owned(),
            "population BETWEEN 100 AND 110",
        ),
        ("<PropertyIsNull><ValueReference>epci</ValueReference></PropertyIsNull>".to_owned(), "epci IS NULL"),
        (format!("<BBOX><ValueReference>geometry</ValueReference>{envelope}</BBOX>"), "S_INTERSECTS(geometry,BBOX(3.0,50.6,3.1,50.7))"),
        (format!("<Within><ValueReference>geometry</ValueReference>{lambert}</Within>"), ""),
        (
            format!("<Or>{}<BBOX>{envelope}</BBOX></Or>", is("PropertyIsEqualTo", "code", "80021")),
            "code = '80021' OR S_INTERSECTS(geometry,BBOX(3.0,50.6,3.1,50.7))",
        ),
    ]
}

fn filters_say_what_cql2_says() {
    let server = demo_server();
    for (filter, cql) in cases() {
        let expected = match cql {
            "" => items(
                &server,
                &format!(
                    "filter-crs=EPSG:2154&filter={}",
                    enc(
                        "S_WITHIN(geometry,POLYGON((700000 7050000,710000 7050000,710000 7060000,700000 7060000,700000 7050000)))"
                    )
                ),
            ),
            cql => items(&server, &format!("filter={}", enc(cql))),
        };
        let whole = format!(
            "<Filter xmlns='http://www.opengis.net/fes/2.0' xmlns:gml='http://www.opengis.net/gml/3.2'>{filter}</Filter>"
        );
        let asked = text(
            &server,
            &format!(
                "{V2}GetFeature&typeNames=communes&propertyName=code&count=10000&filter={}",
                enc(&whole)
            ),
        );
        let found: BTreeSet<String> = ids(&asked).into_iter().collect();
        assert_eq!(found, expected, "{filter}");
        assert!(cql.contains("NULL") || !found.is_empty(), "{filter}");
        // The same as a document, and in the words of the versions before.
        let document = format!(
            "<wfs:GetFeature xmlns:wfs='http://www.opengis.net/wfs/2.0' xmlns:a='urn:x-socle:features' service='WFS' version='2.0.0' count='10000'><wfs:Query typeNames='a:communes'><wfs:PropertyName>a:code</wfs:PropertyName>{whole}</wfs:Query></wfs:GetFeature>"
        );
        let posted = server.post("/wfs", "text/xml", &[], document.as_bytes());
        assert_eq!(
            ids(&posted.text()).into_iter().collect::<BTreeSet<_>>(),
            expected,
            "{document}"
        );
        let old = filter.replace("ValueReference", "PropertyName");
        let old = format!(
            "<ogc:Filter xmlns:ogc='http://www.opengis.net/ogc' xmlns='http://www.opengis.net/ogc' xmlns:gml='http://www.opengis.net/gml'>{old}</ogc:Filter>"
        );
        for version in ["1.1.0", "1.0.0"] {
            let asked = text(
                &server,
                &format!(
                    "service=WFS&version={version}&request=GetFeature&typeName=communes&propertyName=code&filter={}",
                    enc(&old)
                ),
            );
            assert_eq!(
                ids(&asked).into_iter().collect::<BTreeSet<_>>(),
                expected,
                "{version} {filter}"
            );
        }
    }
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

fn scopes_hold_in_every_answer() {
    let server = demo_server();
    let caps = get(&server, "/t/dep-59/wfs?service=WFS&request=GetCapabilities").text();
    let inside = format!("{}t/dep-59/wfs\"", server.base);
    assert!(caps.contains(&inside), "{caps:.2000}");
    assert_eq!(
        caps.matches("xlink:href=\"").count(),
        caps.matches("/t/dep-59/").count() - caps.matches("<inspire_common:Namespace>").count() - 1
    );
    let scoped =
        |scope: &str, query: &str| get(&server, &format!("/t/{scope}/wfs?{V2}{query}")).text();
    let hits = scoped("dep-59", "GetFeature&typeNames=communes&resultType=hits");
    assert_eq!(attribute(&hits, "numberMatched").as_deref(), Some("647"));
    assert!(attribute(&hits, "next").unwrap().contains("/t/dep-59/wfs?"));
    let other = scoped("dep-59", "GetFeature&resourceId=communes.80021");
    assert_eq!(attribute(&other, "numberMatched").as_deref(), Some("0"));
    let gone = get(
        &server,
        &format!(
            "/t/dep-59/wfs?{V2}GetFeature&storedQuery_id=urn:ogc:def:query:OGC-WFS::GetFeatureById&id=communes.80021"
        ),
    );
    assert_eq!(gone.status, 404);
    // Cut at the border: another field, and no feature whole that crosses it.
    let described = scoped("dep-59-clip", "DescribeFeatureType&typeNames=cantons");
    assert!(described.contains("name=\"socle_part\" type=\"xsd:double\""), "{described}");
    let cut = scoped("dep-59-clip", "GetFeature&typeNames=cantons");
    let matched = server.json("/t/dep-59-clip/collections/cantons/items?limit=1")["numberMatched"]
        .to_string();
    assert_eq!(attribute(&cut, "numberMatched"), Some(matched));
    assert_eq!(cut.matches("<socle:socle_part>").count(), ids(&cut).len());
}

/// At the border of the metropole of Lille, which cantons cross.
fn cuts_hold_for_names_and_boxes() {
    let server = demo_server();
    let clip = "/t/epci-200093201-clip";
    let page = |address: &str| server.json(address);
    let of = |page: &Value| -> BTreeSet<String> {
        let features = page["features"].as_array().unwrap();
        features.iter().map(|f| f["id"].as_str().unwrap().to_owned()).collect()
    };
    let left = of(&page(&format!("{clip}/collections/cantons/items?limit=1000")));
    let touched = of(&page("/t/epci-200093201/collections/cantons/items?limit=1000"));
    let all = of(&page("/collections/cantons/items?limit=1000"));
    let list = |names: &BTreeSet<String>| -> String {
        names.iter().map(|id| enc(&format!("cantons.{id}"))).collect::<Vec<_>>().join(",")
    };
    for names in [&all, &touched] {
        let named = format!("{V2}GetFeature&resourceId={}", list(names));
        let hits = get(&server, &format!("{clip}/wfs?{named}&resultType=hits")).text();
        assert_eq!(attribute(&hits, "numberMatched"), Some(left.len().to_string()), "{hits}");
        let mut url = format!("{clip}/wfs?{named}&count=2");
        let mut seen = Vec::new();
        loop {
            let page = get(&server, &url).text();
            assert_eq!(
                attribute(&page, "numberMatched"),
                Some(left.len().to_string()),
                "{page:.900}"
            );
            seen.extend(ids(&page));
            assert!(seen.len() <= left.len(), "pages without an end");
            let Some(next) = attribute(&page, "next") else { break };
            url = next.strip_prefix(server.base.trim_end_matches('/')).unwrap().to_owned();
        }
        assert_eq!(seen.len(), left.len());
        assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), left);
        let beyond = get(&server, &format!("{clip}/wfs?{named}&startIndex=900")).text();
        assert_eq!(attribute(&beyond, "next"), None);
    }
    // What is left of a canton is what a box is held against.
    let mut fewer = 0;
    for (west, south) in (0..9)
        .flat_map(|x| (0..6).map(move |y| (2.6 + f64::from(x) * 0.1, 50.3 + f64::from(y) * 0.1)))
    {
        let bbox = format!("{west:.2},{south:.2},{:.2},{:.2}", west + 0.1, south + 0.1);
        let road = of(&page(&format!("{clip}/collections/cantons/items?limit=1000&bbox={bbox}")));
        let asked = |scope: &str| -> BTreeSet<String> {
            let query = format!("{V2}GetFeature&typeNames=cantons&bbox={bbox},EPSG:4326");
            ids(&get(&server, &format!("{scope}/wfs?{query}")).text()).into_iter().collect()
        };
        let (cut, whole) = (asked(clip), asked("/t/epci-200093201"));
        assert!(cut.is_subset(&road) && cut.is_subset(&whole), "{bbox}: {cut:?} {road:?}");
        fewer += whole.len() - cut.len();
    }
    assert!(fewer > 0, "cantons cross the border");
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
    let both = text(
        &server,
        &format!(
            "{V2}GetFeature&typeNames=(communes)(mairies)&count=3&propertyName=(code)(code_insee)"
        ),
    );
    assert_eq!(both.matches("<wfs:FeatureCollection").count(), 3);
}

/// Requests, and the status, code and locator of what they are answered with.
#[rustfmt::skip] // a table: one line per request
const WRONG: [(&str, u16, &str, &str); 32] = [
    ("request=GetCapabilities", 400, "MissingParameterValue", "service"),
    ("request=GetCapabilities&service=WMS", 400, "InvalidParameterValue", "service"),
    ("service=WFS", 400, "MissingParameterValue", "request"),
    ("service=WFS&request=GetMap", 400, "InvalidParameterValue", "request"),
    ("service=WFS&request=Transaction", 400, "OperationNotSupported", "Transaction"),
    ("service=WFS&request=GetCapabilities&acceptVersions=9.0.0", 400, "VersionNegotiationFailed", "version"),
    ("service=WFS&request=GetFeature&version=9.0.0&typeNames=communes", 400, "InvalidParameterValue", "version"),
    ("service=WFS&request=GetFeature", 400, "MissingParameterValue", "typeNames"),
    ("service=WFS&request=GetFeature&typeNames=x", 400, "InvalidParameterValue", "typeNames"),
    ("service=WFS&request=DescribeFeatureType&typeNames=x", 400, "InvalidParameterValue", "typeNames"),
    ("service=WFS&request=GetFeature&typeNames=communes,mairies", 400, "OptionNotSupported", "typeNames"),
    ("service=WFS&request=GetFeature&typeNames=communes&srsName=urn:ogc:def:crs:EPSG::32690", 400, "InvalidParameterValue", "srsName"),
    ("service=WFS&request=GetFeature&typeNames=communes&count=-1", 400, "InvalidParameterValue", "COUNT"),
    ("service=WFS&request=GetFeature&typeNames=communes&bbox=1,2,3", 400, "InvalidParameterValue", "bbox"),
    ("service=WFS&request=GetFeature&typeNames=communes&bbox=1,2,3,4&featureID=communes.1", 400, "InvalidParameterValue", "filter"),
    ("service=WFS&request=GetFeature&typeNames=communes&propertyName=x", 400, "InvalidParameterValue", "propertyName"),
    ("service=WFS&request=GetFeature&typeNames=communes&sortBy=x", 400, "InvalidParameterValue", "sortBy"),
    ("service=WFS&request=GetFeature&typeNames=communes&outputFormat=x", 400, "InvalidParameterValue", "outputFormat"),
    ("service=WFS&request=GetFeature&typeNames=communes&resultType=x", 400, "InvalidParameterValue", "resultType"),
    ("service=WFS&request=GetFeature&typeNames=communes&filter=<a/>", 400, "InvalidParameterValue", "filter"),
    ("service=WFS&request=GetFeature&storedQuery_id=x", 400, "InvalidParameterValue", "STOREDQUERY_ID"),
    ("service=WFS&request=GetPropertyValue&typeNames=communes&valueReference=", 400, "InvalidParameterValue", "valueReference"),
    ("service=WFS&request=GetPropertyValue&typeNames=communes", 400, "MissingParameterValue", "valueReference"),
    ("service=WFS&request=GetFeature&resourceId=communes.59350&sortBy=nom", 400, "OptionNotSupported", "sortBy"),
    ("service=WFS&request=GetFeature&typeNames=communes&territory=dep:59", 400, "OptionNotSupported", "territory"),
    ("service=WFS&request=GetFeature&typeNames=communes&TERRITOIRE=dep:59", 400, "OptionNotSupported", "territoire"),
    ("service=WFS&request=GetFeature&typeNames=communes&CQL_FILTER=nom='Lille'", 400, "OptionNotSupported", "CQL_FILTER"),
    ("service=WFS&request=GetFeature&typeNames=communes&outputFormat=csv&resultType=hits", 400, "OptionNotSupported", "resultType"),
    ("service=WFS&request=GetFeature&typeNames=communes&outputFormat=SHAPE-ZIP&resultType=hits", 400, "OptionNotSupported", "resultType"),
    ("service=WFS&request=GetFeature&typeNames=communes&outputFormat=SHAPE-ZIP&count=2", 400, "OptionNotSupported", "count"),
    ("service=WFS&version=1.0.0&request=GetFeature&typeName=communes&outputFormat=SHAPE-ZIP&maxFeatures=2", 400, "", ""),
    ("service=WFS&version=1.0.0&request=GetFeature&typeName=communes,communes,communes,communes,communes,communes,communes,communes,communes,communes,communes,communes,communes,communes,communes,communes,communes,communes,communes,communes,communes", 400, "", ""),
];

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let server = demo_server();
    for (query, status, code, locator) in WRONG {
        let answer =
            get(&server, &format!("/wfs?{}", query.replace('<', "%3C").replace('>', "%3E")));
        let text = answer.text();
        assert_eq!(answer.status, status, "{query}: {text}");
        if code.is_empty() {
            assert!(text.contains("ServiceException code="), "{text}");
            continue;
        }
        assert_eq!(attribute(&text, "exceptionCode").as_deref(), Some(code), "{query}: {text}");
        assert_eq!(attribute(&text, "locator").as_deref(), Some(locator), "{query}: {text}");
        assert_eq!(attribute(&text, "xml:lang").as_deref(), Some("fr"), "{query}");
    }
    let english = server.send("GET", "/wfs?service=WFS", &[("Accept-Language", "en")]).text();
    assert!(english.contains("is missing") && english.contains("xml:lang=\"en\""), "{english}");
    let old = get(&server, "/wfs?service=WFS&version=1.0.0&request=GetFeature&typeName=x").text();
    assert!(
        old.contains("<ServiceException code=\"InvalidParameterValue\" locator=\"typeNames\">"),
        "{old}"
    );
}

#[test]
fn hostile_documents_are_refused() {
    let server = demo_server();
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), "a well kept secret").unwrap();
    let request = |before: &str, filter: &str| {
        format!(
            "<?xml version='1.0'?>{before}<GetFeature service='WFS' version='2.0.0' count='1' xmlns='http://www.opengis.net/wfs/2.0'><Query typeNames='communes'><Filter xmlns='http://www.opengis.net/fes/2.0'>{filter}</Filter></Query></GetFeature>"
        )
    };
    let is = "<PropertyIsEqualTo><ValueReference>nom</ValueReference><Literal>x</Literal></PropertyIsEqualTo>";
    let entity = is.replace("<Literal>x", "<Literal>&x;");
    let file = format!("<!DOCTYPE a [<!ENTITY x SYSTEM 'file://{}'>]>", secret.path().display());
    let far = "<!DOCTYPE a SYSTEM 'http://127.0.0.1:1/a.dtd' [<!ENTITY % p SYSTEM 'http://127.0.0.1:1/b'> %p;]>".to_owned();
    let bomb = "<!DOCTYPE a [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'><!ENTITY x '&b;&b;&b;&b;&b;&b;&b;&b;'>]>".to_owned();
    let many = format!("<Or>{}</Or>", is.repeat(3_400));
    let deep = format!("{}{is}{}", "<Not>".repeat(200), "</Not>".repeat(200));
    for document in [
        request(&file, &entity),
        request(&far, &entity),
        request(&bomb, &entity),
        request("", &entity),
        request("", &many),
        request("", &deep),
        request("", "<And>"),
        "<a".to_owned(),
        String::new(),
        "x".repeat(2 << 20),
    ] {
        let answer = server.post("/wfs", "application/xml", &[], document.as_bytes());
        let text = answer.text();
        assert_eq!(answer.status, 400, "{document:.200}: {text}");
        assert!(text.contains("ExceptionReport") && !text.contains("secret"), "{text}");
    }
    let form = "application/x-www-form-urlencoded";
    let query = "service=WFS&version=2.0.0&request=GetFeature&count=1&";
    for wrong in [
        format!("{query}typeNames=communes&x={}", "x".repeat(2 << 20)),
        format!("{query}typeNames={}", "(communes)".repeat(21)),
        format!("{query}resourceId={}", "communes.59350,".repeat(1_001)),
    ] {
        let answer = server.post("/wfs", form, &[], wrong.as_bytes());
        assert_eq!(answer.status, 400, "{wrong:.200}: {}", answer.text());
        assert!(answer.text().contains("ExceptionReport"));
    }
    let several = format!("{query}typeNames={}", "(communes)".repeat(20));
    assert_eq!(server.post("/wfs", form, &[], several.as_bytes()).status, 200);
    // What is just allowed is answered.
    let some = format!("<Or>{}</Or>", is.repeat(500));
    let answer = server.post("/wfs", "application/xml", &[], request("", &some).as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let binary = server.post("/wfs", "application/xml", &[], b"\xff\xfe<");
    assert_eq!(binary.status, 400);
}

#[test]
fn odd_names_are_found_again() {
    let site = Site::new();
    let data = r#"{"type":"FeatureCollection","features":[{"type":"Feature","geometry":{"type":"Point","coordinates":[3.1,50.6]},"properties":{"nom de l'été":"a & <b>","2018":7,"a:b":"c","geometry":"x","LINE_NUMB-SEG":true,"_x0020_":1.5}},{"type":"Feature","geometry":null,"properties":{"nom de l'été":null,"2018":8,"a:b":"d","geometry":"y","LINE_NUMB-SEG":false,"_x0020_":null}}]}"#;
    fs::write(site.path("odd.geojson"), data).unwrap();
    site.layer("2-odd", "[source]\npath = \"../odd.geojson\"");
    site.harvest();
    let server = site.serve();
    let described = text(&server, &format!("{V2}DescribeFeatureType&typeNames=2-odd"));
    for name in [
        "_x0032_-odd",
        "nom_x0020_de_x0020_l_x0027_été",
        "_x0032_018",
        "a_x003A_b",
        "geometry_",
        "_x005F_x0020_",
    ] {
        assert!(described.contains(&format!("name=\"{name}\"")), "{name}: {described}");
    }
    for (reference, value, found) in [
        ("nom_x0020_de_x0020_l_x0027_été", "a &amp; &lt;b&gt;", 1),
        ("nom de l'été", "a &amp; &lt;b&gt;", 1),
        ("socle:a_x003A_b", "d", 1),
        ("a:b", "d", 1),
        ("2018", "7", 1),
        ("_x005F_x0020_", "1.5", 1),
        ("LINE_NUMB-SEG", "false", 1),
        ("socle:geometry", "y", 1),
    ] {
        let filter = format!(
            "<Filter><PropertyIsEqualTo><ValueReference>{reference}</ValueReference><Literal>{value}</Literal></PropertyIsEqualTo></Filter>"
        );
        for layer in ["2-odd", "socle:_x0032_-odd"] {
            let page = text(
                &server,
                &format!("{V2}GetFeature&typeNames={}&filter={}", enc(layer), enc(&filter)),
            );
            assert_eq!(
                attribute(&page, "numberMatched"),
                Some(found.to_string()),
                "{reference}: {page}"
            );
        }
    }
    let all = text(&server, &format!("{V2}GetFeature&typeNames=2-odd"));
    assert!(all.contains("<socle:nom_x0020_de_x0020_l_x0027_été xsi:nil=\"true\"/>"), "{all}");
    assert!(all.contains("<socle:geometry_><gml:Point "), "{all}");
    if has("ogrinfo") {
        let seen = tool("ogrinfo", &["-ro", "-q", "-al", &format!("WFS:{}wfs", server.base)]);
        assert!(seen.contains("= a & <b>") && seen.contains("POINT (3.1 50.6)"), "{seen}");
    }
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

/// A server whose access log is read.
struct Logged {
    child: std::process::Child,
    base: String,
    log: tempfile::NamedTempFile,
}

impl Logged {
    fn start() -> Self {
        use std::io::BufRead;
        let log = tempfile::NamedTempFile::new().unwrap();
        let config = demo().join("socle.toml");
        let mut serve =
            command(&["serve", "--config", config.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
        let mut child = serve.stdout(Stdio::piped()).stderr(log.reopen().unwrap()).spawn().unwrap();
        let line =
            std::io::BufReader::new(child.stdout.take().unwrap()).lines().next().unwrap().unwrap();
        let base = line.split_whitespace().last().unwrap().to_owned();
        Self { child, base, log }
    }

    /// The targets asked for since the last look, decoded.
    fn targets(&self) -> String {
        std::thread::sleep(std::time::Duration::from_millis(300));
        let text = fs::read_to_string(self.log.path()).unwrap();
        let targets = text.lines().filter_map(|l| l.split("\"target\":\"").nth(1));
        let targets: Vec<String> = targets
            .filter_map(|t| t.split("\",\"").next())
            .map(|t| socle::http::params::decode(t).unwrap())
            .collect();
        targets.join("\n")
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn gdal_reads_every_layer_and_leaves_its_conditions_to_the_server() {
    if !has("ogrinfo") {
        return;
    }
    let server = Logged::start();
    let counts = |source: &str| -> Vec<(String, String)> {
        let seen = tool("ogrinfo", &["-ro", "-so", "-al", source]);
        let layers = seen.split("Layer name: ").skip(1).map(|part| {
            let count = part.split("Feature Count: ").nth(1).unwrap();
            (part.lines().next().unwrap().to_owned(), count.lines().next().unwrap().to_owned())
        });
        layers.collect()
    };
    let name = |n: &str, c: &str| (format!("socle:{n}"), c.to_owned());
    let whole = [name("cantons", "154"), name("communes", "3782"), name("mairies", "3777")];
    let source = format!("WFS:{}wfs", server.base);
    assert_eq!(counts(&source), whole);
    let scoped = counts(&format!("WFS:{}t/dep-59/wfs", server.base));
    assert_eq!(scoped[1], name("communes", "647"));
    let seen = tool(
        "ogrinfo",
        &[
            "-ro",
            "-q",
            &source,
            "socle:communes",
            "-where",
            "population > 100000",
            "-spat",
            "2",
            "50",
            "4",
            "51",
        ],
    );
    assert!(
        seen.contains("nom (String) = Lille") && !seen.contains("nom (String) = Amiens"),
        "{seen}"
    );
    let asked = server.targets();
    assert!(
        asked.contains(
            "<PropertyIsGreaterThan><ValueReference>population</ValueReference><Literal>100000"
        ),
        "{asked}"
    );
    assert!(asked.contains("<BBOX>") && asked.contains("STARTINDEX=0&COUNT="), "{asked}");
    let Some(python) = python("pyogrio") else { return };
    let script = "
import sys
from pyogrio.raw import read
from pyogrio import list_layers
print(sorted(list_layers(sys.argv[1])[:, 0].tolist()))
print(len(read(sys.argv[1], layer='socle:communes')[2]), len(read(sys.argv[1], layer='socle:communes', where=\"nom LIKE 'Li%' AND population > 1000\")[2]))
";
    let newest = tool(&python, &["-c", script, &source]);
    let expected = format!("{}\n3782 ", "['socle:cantons', 'socle:communes', 'socle:mairies']");
    assert!(newest.starts_with(&expected), "{newest}");
    let filter = enc("nom LIKE 'Li%' AND population > 1000");
    let url = format!("{}collections/communes/items?limit=1&filter={filter}", server.base);
    let matched = tool("curl", &["-s", &url]);
    let matched: Value = serde_json::from_str(&matched).unwrap();
    assert_eq!(newest.trim().rsplit(' ').next().unwrap(), matched["numberMatched"].to_string());
}

#[test]
fn qgis_adds_layers_in_every_version_and_system() {
    if !crate::qgis::found() {
        return;
    }
    let server = Logged::start();
    let lille = ["3.0", "50.6", "3.1", "50.7"];
    let filter = enc("S_INTERSECTS(geometry,BBOX(3.0,50.6,3.1,50.7))");
    let url = format!("{}collections/communes/items?limit=1000&filter={filter}", server.base);
    let expected: Value = serde_json::from_str(&tool("curl", &["-s", &url])).unwrap();
    let codes = expected["features"].as_array().unwrap().iter().map(|f| f["id"].as_str().unwrap());
    let codes: BTreeSet<&str> = codes.collect();
    for (version, crs, scope, count) in [
        ("2.0.0", "EPSG:4326", "", 3_782),
        ("2.0.0", "EPSG:2154", "", 3_782),
        ("2.0.0", "EPSG:3857", "t/dep-59/", 647),
        ("1.1.0", "EPSG:4326", "", 3_782),
        ("1.0.0", "EPSG:4326", "", 3_782),
    ] {
        let url = format!("{}{scope}wfs", server.base);
        let seen = crate::qgis::run(
            "wfs.py",
            &[&[url.as_str(), "socle:communes", version, crs], lille.as_slice()].concat(),
        );
        let what = format!("{version} {crs}: {seen}");
        assert_eq!(seen["count"], count, "{what}");
        assert_eq!(seen["features"], count, "{what}");
        assert_eq!(
            (&seen["distinct"], &seen["empty"]),
            (&seen["features"], &Value::from(0)),
            "{what}"
        );
        assert_eq!(seen["crs"], crs, "{what}");
        assert_eq!(seen["lille"], serde_json::json!([3.05, 50.63]), "{what}");
        assert_eq!(seen["fields"]["population"], "xsd:long", "{what}");
        let inside: BTreeSet<&str> =
            seen["inside"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
        // A box turned into another system is a little larger.
        assert!(inside.is_superset(&codes) && inside.len() < codes.len() + 5, "{what}");
        let nord =
            serde_json::json!(["Dunkerque", "Lille", "Roubaix", "Tourcoing", "Villeneuve-d'Ascq"]);
        let filtered = seen["filtered"].as_array().unwrap();
        assert!(nord.as_array().unwrap().iter().all(|n| filtered.contains(n)), "{what}");
    }
    let asked = server.targets();
    assert!(asked.contains("STARTINDEX=1000&COUNT=1000"), "pages: {asked:.3000}");
    assert!(asked.contains("BBOX=") && asked.contains("PropertyIsGreaterThan"), "{asked:.3000}");
}

#[test]
fn owslib_reads_every_version() {
    let Some(python) = python("owslib") else { return };
    let server = demo_server();
    let script = "
import sys
from owslib.wfs import WebFeatureService
for version in ('1.0.0', '1.1.0', '2.0.0'):
    wfs = WebFeatureService(sys.argv[1], version=version)
    assert 'socle:communes' in wfs.contents, wfs.contents
    schema = wfs.get_schema('socle:communes')
    assert schema['properties']['population'] == 'long' and schema['geometry'].endswith('MultiPolygon'), schema
    two = wfs.getfeature(typename=['socle:communes'], maxfeatures=2).read()
    box = (3.0, 50.6, 3.1, 50.7)
    crs = 'EPSG:4326' if version == '1.0.0' else 'urn:ogc:def:crs:EPSG::4326'
    inside = wfs.getfeature(typename=['socle:communes'], bbox=box + (crs,)).read()
    print(version, two.count(b'<socle:communes '), inside.count(b'<socle:communes '))
";
    let url = format!("{}wfs", server.base);
    let output = finish(Command::new(&python).args(["-c", script, &url]));
    let said = String::from_utf8_lossy(&output.stderr);
    let seen = String::from_utf8_lossy(&output.stdout).into_owned();
    let expected = items(
        &server,
        &format!("filter={}", enc("S_INTERSECTS(geometry,BBOX(3.0,50.6,3.1,50.7))")),
    )
    .len();
    assert_eq!(
        seen,
        ["1.0.0", "1.1.0", "2.0.0"].map(|v| format!("{v} 2 {expected}\n")).concat(),
        "{said}"
    );
}
