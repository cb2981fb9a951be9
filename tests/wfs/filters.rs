//! Filters of FES and of the versions before, and names that XML does not take.

use super::{V2, attribute, enc, ids, items, text};
use crate::support::{Site, demo_server, has, tool};
use std::{collections::BTreeSet, fs};

over_both!(filters_say_what_cql2_says);

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

#[test]
fn properties_of_gml_are_those_of_no_feature() {
    let server = demo_server();
    let count = |condition: &str| {
        let filter = format!(
            "<Filter xmlns='http://www.opengis.net/fes/2.0' xmlns:g='http://www.opengis.net/gml/3.2'>{condition}</Filter>"
        );
        let query =
            format!("{V2}GetFeature&typeNames=communes&resultType=hits&filter={}", enc(&filter));
        attribute(&text(&server, &query), "numberMatched").unwrap()
    };
    let reference = |name: &str| format!("<ValueReference>{name}</ValueReference>");
    let is = |name: &str| {
        format!("<PropertyIsEqualTo>{}<Literal>a</Literal></PropertyIsEqualTo>", reference(name))
    };
    for name in ["gml:name", "g:description", "socle:communes/g:identifier"] {
        assert_eq!(count(&format!("<PropertyIsNull>{}</PropertyIsNull>", reference(name))), "3782");
        assert_eq!(count(&is(name)), "0");
        assert_eq!(count(&format!("<Not>{}</Not>", is(name))), "0");
    }
    let envelope = "<g:Envelope srsName='EPSG:4326'><g:lowerCorner>3.0 50.6</g:lowerCorner><g:upperCorner>3.1 50.7</g:upperCorner></g:Envelope>";
    let boxed = |name: &str| count(&format!("<BBOX>{}{envelope}</BBOX>", reference(name)));
    assert_eq!(boxed("g:boundedBy"), boxed("geometry"));
    let id = "<PropertyIsEqualTo><ValueReference>@gml:id</ValueReference><Literal>communes.59350</Literal></PropertyIsEqualTo>";
    assert_eq!(count(id), "1");
}

#[test]
fn odd_names_are_found_again() {
    let site = Site::new();
    let data = r#"{"type":"FeatureCollection","features":[{"type":"Feature","geometry":{"type":"Point","coordinates":[3.1,50.6]},"properties":{"nom de l'été":"a & <b>","2018":7,"a:b":"c","geometry":"x","LINE_NUMB-SEG":true,"_x0020_":1.5,"list":[1, "a"]}},{"type":"Feature","geometry":null,"properties":{"nom de l'été":null,"2018":8,"a:b":"d","geometry":"y","LINE_NUMB-SEG":false,"_x0020_":null}}]}"#;
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
        ("list", "[1,\"a\"]", 1),
        ("socle:_x0032_-odd/socle:list[1]", "[1,\"a\"]", 1),
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
