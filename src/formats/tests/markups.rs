//! KML and GML as people and services write them, and as hostile ones would.

use super::*;
use geo::CoordsIter;

fn read(name: &str, text: &str) -> Whole {
    read_bytes(name, text.as_bytes(), &source()).unwrap_or_else(|e| panic!("{e:?}\n{text}"))
}

fn first(whole: &Whole, row: usize) -> (f64, f64) {
    let c = whole.records[row].geometry.as_ref().unwrap().coords_iter().next().unwrap();
    (c.x, c.y)
}

const KML: &str = r##"<?xml version="1.0" encoding="UTF-8"?>
<kml xmlns="http://www.opengis.net/kml/2.2"><Document><name>Tout</name>
<Style id="s"><LineStyle><color>ff0000ff</color></LineStyle></Style>
<Folder><name>Nord</name>
 <Placemark id="a"><name>Écluse &amp; pont</name><description><![CDATA[<b>gras</b>]]></description>
  <ExtendedData><Data name="insee"><value>59350</value></Data><Data name="n"><value>12</value></Data></ExtendedData>
  <Point><coordinates>3.05,50.63,12</coordinates></Point></Placemark>
 <Folder><name>Lille</name><Placemark><name>Rue</name><TimeSpan><begin>2024-01-01</begin></TimeSpan>
  <ExtendedData><SchemaData schemaUrl="#x"><SimpleData name="n">7</SimpleData></SchemaData></ExtendedData>
  <LineString><coordinates>
   3.0,50.6 3.1, 50.7 3.2 ,50.8
  </coordinates></LineString></Placemark></Folder></Folder>
<Placemark><name>Zone</name><MultiGeometry><Polygon><outerBoundaryIs><LinearRing><coordinates>0,0 4,0 4,4 0,0</coordinates></LinearRing></outerBoundaryIs><innerBoundaryIs><LinearRing><coordinates>1,0.5 2,0.5 2,1 1,0.5</coordinates></LinearRing></innerBoundaryIs></Polygon></MultiGeometry></Placemark>
<Placemark><name>Sans lieu</name></Placemark>
<Placemark><name>Trace</name><gx:Track xmlns:gx="g"><gx:coord>1 2 3</gx:coord><gx:coord>2 3 4</gx:coord></gx:Track></Placemark>
<NetworkLink><Link><href>http://169.254.169.254/</href></Link></NetworkLink>
</Document></kml>"##;

#[test]
fn placemarks_of_kml() {
    let whole = read("a.kml", KML);
    assert_eq!((whole.records.len(), whole.refused.len()), (5, 0));
    assert_eq!(whole.value(0, "name"), Value::Text("Écluse & pont".into()));
    assert_eq!(whole.value(0, "description"), Value::Text("<b>gras</b>".into()));
    assert_eq!(whole.value(0, "insee"), Value::Text("59350".into()));
    assert_eq!((whole.value(0, "n"), whole.value(1, "n")), (Value::Int(12), Value::Int(7)));
    assert_eq!(whole.value(1, "folder"), Value::Text("Nord / Lille".into()));
    assert_eq!(whole.value(1, "begin"), Value::Date(jiff::civil::date(2024, 1, 1)));
    assert_eq!(first(&whole, 0), (3.05, 50.63));
    assert_eq!(whole.records[1].geometry.as_ref().unwrap().coords_count(), 3);
    assert!(
        matches!(&whole.records[2].geometry, Some(geo_types::Geometry::MultiPolygon(m)) if m.0[0].interiors().len() == 1)
    );
    assert!(whole.records[3].geometry.is_none());
    assert!(whole.notes.contains("non suivis : 1"), "{}", whole.notes);
    let kmz = {
        use std::io::Write;
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        zip.start_file("doc.kml", zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(KML.as_bytes()).unwrap();
        zip.start_file("files/icon.png", zip::write::SimpleFileOptions::default()).unwrap();
        zip.finish().unwrap().into_inner()
    };
    assert_eq!(read_bytes("a.kmz", &kmz, &source()).unwrap().records.len(), 5);
    let bad = KML
        .replace("3.05,50.63,12", "3.05;50.63")
        .replace("<gx:Track", "<Model")
        .replace("</gx:Track>", "</Model>");
    let whole = read("a.kml", &bad);
    assert_eq!(whole.refused.iter().map(|r| r.line).collect::<Vec<_>>(), [1, 5]);
}

#[test]
fn schemas_of_kml_say_what_values_do_not_show() {
    let one = |a: &str, b: &str, c: &str, d: &str| {
        format!(
            "<Placemark><ExtendedData><SchemaData schemaUrl='#s'><SimpleData name='zone'>{a}</SimpleData><SimpleData name='actif'>{b}</SimpleData><SimpleData name='rang'>{c}</SimpleData><SimpleData name='jour'>{d}</SimpleData></SchemaData></ExtendedData></Placemark>"
        )
    };
    let schema = "<Schema id='s'><SimpleField name='zone' type='string'/><SimpleField name='actif' type='bool'/><SimpleField name='rang' type='bool'/><SimpleField name='jour' type='string'/></Schema>";
    let rows = [one("12", "1", "1", "2024-01-31"), one("7", "0", "3", "2024-02-29")].concat();
    let whole = read("a.kml", &format!("<kml><Document>{schema}{rows}</Document></kml>"));
    let kinds = ["zone", "actif", "rang", "jour"].map(|name| whole.kind(name));
    assert_eq!(kinds, [FieldKind::Text, FieldKind::Bool, FieldKind::Int, FieldKind::Date]);
    assert_eq!(whole.value(1, "actif"), Value::Bool(false));
    assert_eq!(whole.value(0, "zone"), Value::Text("12".into()));
}

/// A collection of GML 3.2 as a WFS 2.0 answers it.
fn wfs(srs: &str, position: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="ISO-8859-1"?>
<wfs:FeatureCollection xmlns:wfs="http://www.opengis.net/wfs/2.0" xmlns:gml="http://www.opengis.net/gml/3.2" xmlns:ms="http://mapserver" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" numberMatched="2">
<wfs:boundedBy><gml:Envelope srsName="{srs}"><gml:lowerCorner>0 0</gml:lowerCorner><gml:upperCorner>1 1</gml:upperCorner></gml:Envelope></wfs:boundedBy>
<wfs:member><ms:commune gml:id="commune.1"><gml:boundedBy><gml:Envelope srsName="{srs}"><gml:lowerCorner>0 0</gml:lowerCorner><gml:upperCorner>1 1</gml:upperCorner></gml:Envelope></gml:boundedBy>
 <ms:geom><gml:Point srsName="{srs}"><gml:pos>{position}</gml:pos></gml:Point></ms:geom>
 <ms:insee>01001</ms:insee><ms:nom>Été</ms:nom><ms:pop>832</ms:pop><ms:adresse><ms:rue>x</ms:rue><ms:cp>01400</ms:cp></ms:adresse><ms:mot>a</ms:mot><ms:mot>b</ms:mot><ms:lien xlink:href="http://a/b" xmlns:xlink="x"/></ms:commune></wfs:member>
<wfs:member><ms:commune gml:id="commune.2"><ms:insee>75056</ms:insee><ms:nom xsi:nil="true"/><ms:pop/></ms:commune></wfs:member>
</wfs:FeatureCollection>"#
    )
}

#[test]
fn features_of_gml() {
    let latin: Vec<u8> =
        wfs("urn:ogc:def:crs:EPSG::4326", "46.15 4.92").chars().map(|c| c as u8).collect();
    let whole = read_bytes("wfs", &latin, &source()).unwrap();
    assert_eq!((whole.records.len(), whole.refused.len()), (2, 0));
    assert_eq!(
        whole.names(),
        ["gml_id", "insee", "nom", "pop", "adresse.rue", "adresse.cp", "mot", "lien"]
    );
    assert_eq!(whole.value(0, "nom"), Value::Text("Été".into()));
    assert_eq!(whole.value(0, "insee"), Value::Text("01001".into()));
    assert_eq!(whole.value(0, "pop"), Value::Int(832));
    assert_eq!(whole.value(0, "mot"), Value::Text("[\"a\",\"b\"]".into()));
    assert_eq!(whole.value(0, "lien"), Value::Text("http://a/b".into()));
    assert!(whole.value(1, "nom").is_null() && whole.records[1].geometry.is_none());
    assert_eq!(whole.crs.as_deref(), Some("urn:ogc:def:crs:EPSG::4326"));
    // Axes are turned by whoever knows the system.
    assert_eq!(first(&whole, 0), (46.15, 4.92));
    assert!(
        whole.notes.contains("ISO-8859-1") || whole.notes.contains("Windows-1252"),
        "{}",
        whole.notes
    );
    let old = r#"<ogr:FeatureCollection xmlns:gml="http://www.opengis.net/gml" xmlns:ogr="o">
<gml:featureMember><ogr:a fid="a.0"><ogr:g><gml:Polygon srsName="EPSG:2154"><gml:outerBoundaryIs><gml:LinearRing><gml:coordinates>0,0 1,0 1,1 0,0</gml:coordinates></gml:LinearRing></gml:outerBoundaryIs></gml:Polygon></ogr:g><ogr:n>1</ogr:n></ogr:a></gml:featureMember>
<gml:featureMembers><ogr:a fid="a.1"><ogr:g><gml:Curve srsName="EPSG:2154"><gml:segments><gml:ArcString><gml:posList>0 0 1 1 2 0</gml:posList></gml:ArcString></gml:segments></gml:Curve></ogr:g></ogr:a><ogr:a fid="a.2"><ogr:g><gml:Point srsName="EPSG:3857"><gml:pos>1 2</gml:pos></gml:Point></ogr:g></ogr:a></gml:featureMembers></ogr:FeatureCollection>"#;
    let whole = read("a.gml", old);
    assert_eq!((whole.records.len(), whole.crs.as_deref()), (1, Some("EPSG:2154")));
    assert_eq!(whole.refused.iter().map(|r| r.line).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(whole.value(0, "fid"), Value::Text("a.0".into()));
}

#[test]
fn what_is_no_collection_of_features_is_said() {
    let of = |text: &str, member: Option<&str>| {
        let source = SourceDef { member: member.map(str::to_owned), ..source() };
        refusal(read_bytes("a.xml", text.as_bytes(), &source))
    };
    let two = "<FeatureCollection><member><a><n>1</n></a></member><member><b/></member></FeatureCollection>";
    assert!(of(two, None).contains("choisir avec « member » parmi a, b"));
    assert!(of(two, Some("c")).contains("n'a pas d'entités « c »"));
    let a = SourceDef { member: Some("x:a".into()), ..source() };
    assert_eq!(read_bytes("a.xml", two.as_bytes(), &a).unwrap().names(), ["n"]);
    assert!(of("<rss><channel/></rss>", None).contains("ni du GML ni du KML"));
    let exception = "<ows:ExceptionReport xmlns:ows='o'><ows:Exception><ows:ExceptionText>Couche inconnue</ows:ExceptionText></ows:Exception></ows:ExceptionReport>";
    assert!(of(exception, None).contains("Couche inconnue"));
    let bomb = "<!DOCTYPE x [<!ENTITY a 'b'>]><FeatureCollection><member><a><n>&a;</n></a></member></FeatureCollection>";
    assert!(of(bomb, None).contains("DOCTYPE"));
    let outside = "<!DOCTYPE kml SYSTEM 'file:///etc/passwd'><kml/>";
    assert!(of(outside, None).contains("DOCTYPE"));
    let cut = KML.get(..KML.len() / 2).unwrap();
    refusal(read_bytes("a.kml", cut.as_bytes(), &source()));
    // A member that is a collection again, as one answer to several questions.
    let nested = "<FeatureCollection><member><FeatureCollection><member><a><n>1</n></a></member></FeatureCollection></member></FeatureCollection>";
    assert_eq!(read("a.gml", nested).records.len(), 1);
}

#[test]
fn features_one_a_line() {
    let feature = |n: u32| {
        format!(
            r#"{{"type":"Feature","properties":{{"n":{n}}},"geometry":{{"type":"Point","coordinates":[{n},45]}}}}"#
        )
    };
    let lines = format!("{}\n{}\n\n{}", feature(1), feature(2), feature(3));
    for name in ["a.ndjson", "a.json", "export"] {
        let whole = read(name, &lines);
        assert_eq!(whole.records.iter().map(|r| r.line).collect::<Vec<_>>(), [1, 2, 4], "{name}");
    }
    let separated = format!("\u{1e}{}\n\u{1e}{}\n", feature(1), feature(2));
    assert_eq!(read("a.json", &separated).records.len(), 2);
    // A line that is no JSON, or no feature, costs itself only; one may go on over several lines.
    let odd = format!(
        "{}\n{{\"type\":\"Feature\",\n{{oops}}\n{}\n{{\"type\":\"x\"}}\n{}",
        feature(1),
        feature(2),
        feature(3).replace(',', ",\n")
    );
    let whole = read("a.ndjson", &odd);
    assert_eq!(whole.records.len(), 3, "{:?} {:?}", whole.records.len(), whole.refused);
    assert!(whole.refused.iter().all(|r| [2, 3, 5].contains(&r.line)), "{:?}", whole.refused);
    assert!(
        refusal(read_bytes("a.ndjson", &lines.as_bytes()[..lines.len() - 5], &source()))
            .contains("tronqué")
    );
    let long: String = (0..5000).map(|n| feature(n) + "\n").collect();
    assert_eq!(read("a.ndjson", &long).records.len(), 5000);
}

#[test]
fn a_schema_before_features_tells_text_from_numbers() {
    let schema = "<x:schema xmlns:x='http://www.w3.org/2001/XMLSchema'><x:element name='epci' type='x:string'/><x:element name='n' type='x:int'/><x:element name='zone' minOccurs='0'><x:simpleType><x:restriction base='x:string'/></x:simpleType></x:element></x:schema>";
    let rows = "<w:member><a><epci>200071785</epci><n>12</n><zone>7</zone></a></w:member>";
    let file = |schema: &str| {
        format!(
            "<FeatureCollection xmlns:w='w'>{schema}<w:FeatureCollection>{rows}</w:FeatureCollection></FeatureCollection>"
        )
    };
    let kinds = |text: &str| ["epci", "n", "zone"].map(|name| read("a.gml", text).kind(name));
    assert_eq!(kinds(&file(schema)), [FieldKind::Text, FieldKind::Int, FieldKind::Text]);
    assert_eq!(kinds(&file("")), [FieldKind::Int; 3]);
}
