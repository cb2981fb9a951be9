//! What is wrong, and what is hostile.

use super::{attribute, get};
use crate::support::demo_server;
use std::fs;

/// Requests, and the status, code and locator of what they are answered with.
#[rustfmt::skip] // a table: one line per request
const WRONG: [(&str, u16, &str, &str); 34] = [
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
    ("service=WFS&request=GetFeature&typeNames=mairies&resourceId=communes.59350", 400, "InvalidParameterValue", "resourceId"),
    ("service=WFS&request=GetFeature&typeNames=communes&filter=<Filter><PropertyIsLessThan><ValueReference>gml:boundedBy</ValueReference><Literal>1</Literal></PropertyIsLessThan></Filter>", 400, "OperationProcessingFailed", "filter"),
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
