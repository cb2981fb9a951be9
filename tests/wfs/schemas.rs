//! Every kind of document, in every version, against the official schemas of OGC. They are not
//! part of the project: where Maven could not give them, this is skipped by name.

use super::{V2, get};
use crate::{
    conformance::schemas,
    support::{Server, demo_server, finish, python, root, said},
};
use serde_json::json;
use std::{fs, process::Command};

const OWN: &str = "urn:x-socle:features";
const WFS: &str = "http://www.opengis.net/wfs";
const HOME: &str = "http://schemas.opengis.net";

/// A document, its address below the server, and the schemas it is held against.
type Case = (String, String, Vec<[String; 2]>);

fn pair(space: &str, place: &str) -> [String; 2] {
    [space.to_owned(), place.to_owned()]
}

/// What one version answers, of a scope.
fn of_version(version: &str, scope: &str) -> Vec<Case> {
    let asked = |request: &str| format!("{scope}/wfs?service=WFS&version={version}&{request}");
    let name = |what: &str| format!("{what}-{version}{}", scope.replace('/', "-"));
    let described = format!("{}.xsd", name("described"));
    let (wfs, capabilities, exceptions) = match version {
        "2.0.0" => (
            pair("http://www.opengis.net/wfs/2.0", &format!("{HOME}/wfs/2.0/wfs.xsd")),
            None,
            pair("http://www.opengis.net/ows/1.1", &format!("{HOME}/ows/1.1.0/owsAll.xsd")),
        ),
        "1.1.0" => (
            pair(WFS, &format!("{HOME}/wfs/1.1.0/wfs.xsd")),
            None,
            pair("http://www.opengis.net/ows", &format!("{HOME}/ows/1.0.0/owsAll.xsd")),
        ),
        _ => (
            pair(WFS, &format!("{HOME}/wfs/1.0.0/WFS-basic.xsd")),
            Some(pair(WFS, &format!("{HOME}/wfs/1.0.0/WFS-capabilities.xsd"))),
            pair("http://www.opengis.net/ogc", &format!("{HOME}/wfs/1.0.0/OGC-exception.xsd")),
        ),
    };
    let schema = pair("http://www.w3.org/2001/XMLSchema", "");
    let of_features = vec![wfs.clone(), pair(OWN, &described)];
    let features = |what: &str, query: &str| {
        (
            format!("{}.xml", name(what)),
            asked(&format!("request=GetFeature&{query}")),
            of_features.clone(),
        )
    };
    let mut cases = vec![
        // Not held against a schema of schemas: it is compiled with every document of features.
        (described, asked("request=DescribeFeatureType"), vec![schema]),
        (
            format!("{}.xml", name("capabilities")),
            asked("request=GetCapabilities"),
            vec![capabilities.unwrap_or_else(|| wfs.clone())],
        ),
        (
            format!("{}.xml", name("wrong")),
            asked("request=GetFeature&typeNames=x"),
            vec![exceptions],
        ),
        features("communes", "typeName=communes&maxFeatures=200"),
        features("cantons", "typeName=cantons"),
        features("mairies", "typeName=mairies&maxFeatures=1000&srsName=EPSG:2154"),
        features("some", "typeName=communes&maxFeatures=20&propertyName=nom,population"),
        features("none", "typeName=communes&maxFeatures=0"),
        features("hits", "typeName=communes&resultType=hits"),
    ];
    if version == "2.0.0" {
        let values = "request=GetPropertyValue&typeNames=communes&count=50&valueReference=";
        cases.extend([
            features("pages", "typeNames=communes&count=10&startIndex=30"),
            features("several", "typeNames=(communes)(mairies)&count=30"),
            features(
                "one",
                "storedQuery_id=urn:ogc:def:query:OGC-WFS::GetFeatureById&id=communes.59350",
            ),
            ("values.xml".to_owned(), asked(&format!("{values}nom")), of_features.clone()),
            ("shapes.xml".to_owned(), asked(&format!("{values}geometry")), of_features.clone()),
            ("listed.xml".to_owned(), asked("request=ListStoredQueries"), vec![wfs.clone()]),
            ("queries.xml".to_owned(), asked("request=DescribeStoredQueries"), vec![wfs]),
        ]);
    }
    cases
}

/// Held against its schemas, all cases of a server: what is wrong.
fn wrong(server: &Server, cases: &[Case], python: &str, folder: &std::path::Path) -> String {
    let dir = tempfile::tempdir().unwrap();
    let mut lines = String::new();
    for (name, path, schemas) in cases {
        let answer = get(server, path);
        let wrong = name.starts_with("wrong");
        assert_eq!(answer.status == 200, !wrong, "{path}: {}", answer.text());
        fs::write(dir.path().join(name), &answer.body).unwrap();
        if !name.ends_with(".xsd") {
            lines.push_str(&json!({ "document": name, "schemas": schemas }).to_string());
            lines.push('\n');
        }
    }
    fs::write(dir.path().join("cases"), lines).unwrap();
    let script = root().join("tests/wfs/validate.py");
    let output = finish(Command::new(python).arg("-B").arg(script).args([folder, dir.path()]));
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_document_is_valid_by_its_schema() {
    let (Some(folder), Some(python)) = (schemas::folder(), python("lxml")) else { return };
    let server = demo_server();
    let mut cases = Vec::new();
    for version in ["2.0.0", "1.1.0", "1.0.0"] {
        for scope in ["", "/t/dep-59-clip"] {
            cases.extend(of_version(version, scope));
        }
    }
    let found = wrong(&server, &cases, &python, &folder);
    assert!(found.is_empty(), "{found}");
    // What is not valid is seen to be so: a feature of one layer by the schema of another.
    let (name, path, schemas) = cases.iter().find(|c| c.0.starts_with("one-")).unwrap().clone();
    let described = format!("/wfs?{V2}DescribeFeatureType&typeNames=mairies");
    let other = [(schemas[1][1].clone(), described, Vec::new()), (name, path, schemas)];
    assert!(!wrong(&server, &other, &python, &folder).is_empty());
}
