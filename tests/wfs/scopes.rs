//! Scopes: what is selected, and what is cut at a border.

use super::{V2, attribute, enc, get, ids};
use crate::support::demo_server;
use serde_json::Value;
use std::collections::BTreeSet;

over_both!(scopes_hold_in_every_answer, cuts_hold_for_names_and_boxes);

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
        // The same as a filter, alone and among conditions.
        let (east, north) = (west + 0.1, south + 0.1);
        let envelope = format!(
            "<BBOX><gml:Envelope srsName='EPSG:4326'><gml:lowerCorner>{west:.2} {south:.2}</gml:lowerCorner><gml:upperCorner>{east:.2} {north:.2}</gml:upperCorner></gml:Envelope></BBOX>"
        );
        let any =
            "<Not><PropertyIsNull><ValueReference>code</ValueReference></PropertyIsNull></Not>";
        for condition in [envelope.clone(), format!("<And>{any}{envelope}</And>")] {
            let filter = enc(&format!("<Filter>{condition}</Filter>"));
            let query = format!("{V2}GetFeature&typeNames=cantons&filter={filter}");
            let found = ids(&get(&server, &format!("{clip}/wfs?{query}")).text());
            assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), cut, "{bbox}");
        }
        fewer += whole.len() - cut.len();
    }
    assert!(fewer > 0, "cantons cross the border");
}
