//! `socle discover`: what catalogues list, ready to be pasted into a layer file; a real pycsw, where it
//! is installed, and catalogues of our own making that write as GeoNetwork and data.gouv.fr do.

use super::{demo, harvested, same};
use crate::support::{
    Running, Site, finish, python, said,
    upstream::{Asked, Reply, Upstream},
};
use serde_json::{Value, json};
use std::{path::Path, process::Command};

/// A record in ISO 19139 as French catalogues have them.
const RECORD: &str = r#"<gmd:MD_Metadata xmlns:gmd="http://www.isotc211.org/2005/gmd" xmlns:gco="http://www.isotc211.org/2005/gco" xmlns:gmx="http://www.isotc211.org/2005/gmx" xmlns:xlink="http://www.w3.org/1999/xlink">
<gmd:fileIdentifier><gco:CharacterString>fr-@layer@</gco:CharacterString></gmd:fileIdentifier>
<gmd:language><gmd:LanguageCode codeList="x" codeListValue="fre">fre</gmd:LanguageCode></gmd:language>
<gmd:hierarchyLevel><gmd:MD_ScopeCode codeList="x" codeListValue="dataset">dataset</gmd:MD_ScopeCode></gmd:hierarchyLevel>
<gmd:contact><gmd:CI_ResponsibleParty><gmd:organisationName><gco:CharacterString>Catalogueur</gco:CharacterString></gmd:organisationName><gmd:role><gmd:CI_RoleCode codeList="x" codeListValue="pointOfContact"/></gmd:role></gmd:CI_ResponsibleParty></gmd:contact>
<gmd:dateStamp><gco:DateTime>2026-01-05T10:00:00</gco:DateTime></gmd:dateStamp>
<gmd:identificationInfo><gmd:MD_DataIdentification>
<gmd:citation><gmd:CI_Citation><gmd:title><gco:CharacterString>@title@</gco:CharacterString></gmd:title><gmd:date><gmd:CI_Date><gmd:date><gco:Date>2026-01-01</gco:Date></gmd:date><gmd:dateType><gmd:CI_DateTypeCode codeList="x" codeListValue="publication"/></gmd:dateType></gmd:CI_Date></gmd:date></gmd:CI_Citation></gmd:citation>
<gmd:abstract><gco:CharacterString>Un jeu de données.</gco:CharacterString></gmd:abstract>
<gmd:pointOfContact><gmd:CI_ResponsibleParty><gmd:organisationName><gco:CharacterString>Région Hauts-de-France</gco:CharacterString></gmd:organisationName><gmd:role><gmd:CI_RoleCode codeList="x" codeListValue="owner"/></gmd:role></gmd:CI_ResponsibleParty></gmd:pointOfContact>
<gmd:resourceConstraints><gmd:MD_LegalConstraints><gmd:useLimitation><gco:CharacterString>Aucune condition</gco:CharacterString></gmd:useLimitation><gmd:useConstraints><gmd:MD_RestrictionCode codeList="x" codeListValue="license"/></gmd:useConstraints><gmd:otherConstraints><gmx:Anchor xlink:href="https://www.etalab.gouv.fr/licence-ouverte-open-licence">Licence Ouverte 2.0</gmx:Anchor></gmd:otherConstraints></gmd:MD_LegalConstraints></gmd:resourceConstraints>
</gmd:MD_DataIdentification></gmd:identificationInfo>
<gmd:distributionInfo><gmd:MD_Distribution><gmd:transferOptions><gmd:MD_DigitalTransferOptions>
<gmd:onLine><gmd:CI_OnlineResource><gmd:linkage><gmd:URL>https://sig.example.fr/ows?map=adm.map&amp;service=WFS</gmd:URL></gmd:linkage><gmd:protocol><gco:CharacterString>OGC:WFS-1.0.0-http-get-capabilities</gco:CharacterString></gmd:protocol><gmd:name><gco:CharacterString>adm:@layer@</gco:CharacterString></gmd:name></gmd:CI_OnlineResource></gmd:onLine>
<gmd:onLine><gmd:CI_OnlineResource><gmd:linkage><gmd:URL>https://sig.example.fr/files/@layer@.gpkg</gmd:URL></gmd:linkage><gmd:protocol><gco:CharacterString>WWW:DOWNLOAD-1.0-http--download</gco:CharacterString></gmd:protocol><gmd:name><gco:CharacterString>@layer@.gpkg</gco:CharacterString></gmd:name></gmd:CI_OnlineResource></gmd:onLine>
</gmd:MD_DigitalTransferOptions></gmd:transferOptions></gmd:MD_Distribution></gmd:distributionInfo>
</gmd:MD_Metadata>"#;

/// What is listed of [`RECORD`].
const LISTED: &str = "## @title@
id = \"@id@\"
title = \"@title@\"
producer = \"Région Hauts-de-France\"
licence = \"lov2\"
# adm:@layer@ (OGC:WFS-1.0.0-http-get-capabilities) <https://sig.example.fr/ows?map=adm.map&service=WFS>
[source.wfs]
url = \"https://sig.example.fr/ows?map=adm.map\"
type = \"adm:@layer@\"
# @layer@.gpkg (WWW:DOWNLOAD-1.0-http--download) <https://sig.example.fr/files/@layer@.gpkg>
# [source]
# url = \"https://sig.example.fr/files/@layer@.gpkg\"
";

const RECORDS: [[&str; 3]; 2] = [
    ["communes", "Communes des Hauts-de-France", "communes-des-hauts-de-france"],
    ["arrets", "Arrêts de bus", "arrets-de-bus"],
];

fn filled(template: &str, [layer, title, id]: [&str; 3]) -> String {
    template.replace("@layer@", layer).replace("@title@", title).replace("@id@", id)
}

fn discover(site: &Site, arguments: &[&str]) -> String {
    let output = site.run(&[&["discover"], arguments].concat());
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The settings of a pycsw in a folder, which gives one record at a time.
fn settings(folder: &Path, base: &str) -> String {
    let contact =
        ["name", "position", "address", "city", "stateorprovince", "postalcode", "country"]
            .map(|key| format!("contact_{key}=c\n"))
            .concat();
    format!(
        "[server]
home={home}
url={base}
mimetype=application/xml; charset=UTF-8
encoding=UTF-8
language=fr
maxrecords=1
ogc_schemas_base=http://127.0.0.1
profiles=apiso
[manager]
transactions=false
allowed_ips=127.0.0.1
[metadata:main]
identification_title=t
identification_abstract=a
identification_keywords=k
identification_keywords_type=theme
identification_fees=None
identification_accessconstraints=None
provider_name=p
provider_url={base}
{contact}contact_phone=c
contact_fax=c
contact_email=c@example.fr
contact_url={base}
contact_hours=h
contact_instructions=i
contact_role=pointOfContact
[repository]
database=sqlite:///{home}/records.db
table=records
",
        home = folder.display()
    )
}

/// pycsw over the records.
fn pycsw(folder: &Path) -> Option<(Running, String)> {
    let python = python("pycsw, sqlalchemy")?;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let records = folder.join("records");
    std::fs::create_dir(&records).unwrap();
    for record in RECORDS {
        std::fs::write(records.join(format!("{}.xml", record[0])), filled(RECORD, record)).unwrap();
    }
    let base = format!("http://127.0.0.1:{port}/csw");
    let place = folder.join("pycsw.cfg");
    std::fs::write(&place, settings(folder, &base)).unwrap();
    const LOAD: &str = "
import sys
from pycsw.core import admin, config
home, records = sys.argv[1:]
database = f'sqlite:///{home}/records.db'
admin.setup_db(database, 'records', home)
admin.load_records(config.StaticContext(), database, 'records', records)
";
    let mut load = Command::new(&python);
    load.args(["-W", "ignore", "-c", LOAD]).arg(folder).arg(&records);
    let loaded = finish(&mut load);
    if !loaded.status.success() {
        println!("skipped: pycsw takes no records: {}", said(&loaded));
        return None;
    }
    const SERVE: &str = "
import sys
from wsgiref.simple_server import make_server
from pycsw.wsgi import application
make_server('127.0.0.1', int(sys.argv[1]), application).serve_forever()
";
    let mut serve = Command::new(&python);
    serve.args(["-W", "ignore", "-c", SERVE, &port.to_string()]).env("PYCSW_CONFIG", &place);
    Some((Running::on(port, &mut serve), base))
}

#[test]
fn what_pycsw_has_is_listed_with_what_a_layer_file_needs() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_running, base)) = pycsw(folder.path()) else { return };
    let site = Site::new();
    let all = discover(&site, &[&base]);
    assert!(all.contains("CSW : 2 jeux de données"), "{all}");
    for record in RECORDS {
        let listed = filled(LISTED, record);
        assert!(all.contains(&listed), "{listed}\nnot in\n{all}");
    }
    let some = discover(&site, &[&base, "--search", "bus"]);
    assert!(some.contains("Arrêts de bus") && !some.contains("Communes"), "{some}");
    let one = discover(&site, &[&base, "--most", "1"]);
    assert!(one.contains("1 jeux de données sur 2"), "{one}");
}

/// A catalogue that knows Dublin Core only, two records a page, as GeoNetwork writes it.
fn dublin_core() -> Upstream {
    Upstream::start(|asked: &Asked| {
        let record = |[layer, title, _]: [&str; 3]| {
            format!(
                "<csw:Record><dc:title>{title}</dc:title><dc:creator>Département</dc:creator><dc:rights>Licence de l'ortho</dc:rights><dc:URI protocol=\"OGC:WFS\" name=\"adm:{layer}\" description=\"{title}\">https://sig.example.fr/wfs</dc:URI><dc:URI protocol=\"image/png\" name=\"vignette\">https://sig.example.fr/a.png</dc:URI></csw:Record>"
            )
        };
        if asked.get("request") == "GetCapabilities" {
            return Reply::Ok("application/xml", "<csw:Capabilities xmlns:csw='c'/>".into());
        }
        assert_eq!(asked.get("outputschema"), "http://www.opengis.net/cat/csw/2.0.2");
        let start = asked.number("startposition").unwrap();
        let next = if start < 3 { start + 2 } else { 0 };
        let page = RECORDS.map(record).concat();
        let text = format!(
            "<?xml version='1.0'?><csw:GetRecordsResponse xmlns:csw='c' xmlns:dc='d'><csw:SearchResults numberOfRecordsMatched=\"4\" nextRecord=\"{next}\">{page}</csw:SearchResults></csw:GetRecordsResponse>"
        );
        Reply::Ok("application/xml", text.into())
    })
}

#[test]
fn a_catalogue_without_iso_records_is_listed_too() {
    let upstream = dublin_core();
    let site = Site::new();
    let all = discover(&site, &[&format!("{}/srv/fre/csw", upstream.base)]);
    assert_eq!(all.matches("type = \"adm:communes\"").count(), 2, "{all}");
    let listed = "title = \"Arrêts de bus\"\nproducer = \"Département\"\nlicence = { title = \"Licence de l'ortho\" }\n# Arrêts de bus (OGC:WFS) <https://sig.example.fr/wfs>\n[source.wfs]\nurl = \"https://sig.example.fr/wfs\"\ntype = \"adm:arrets\"\n# vignette (image/png) <https://sig.example.fr/a.png>\n";
    assert!(all.contains(listed), "{all}");
}

/// A catalogue in DCAT, page by page: JSON-LD or, as rdflib has it, RDF/XML in the long form.
fn dcat() -> Upstream {
    Upstream::start(|asked: &Asked| {
        let host = asked
            .head
            .lines()
            .find_map(|l| l.to_lowercase().strip_prefix("host: ").map(str::to_owned));
        let base = format!("http://{}", host.unwrap());
        let page = asked.number("page").unwrap_or(1);
        if asked.path == "/communes.geojson" {
            return Reply::Ok("application/geo+json", std::fs::read(demo().0).unwrap());
        }
        let [file, title] = match page {
            1 => ["communes.geojson", "Communes"],
            _ => ["notice.pdf", "Notice"],
        };
        let format = file.rsplit('.').next().unwrap();
        if asked.path.ends_with(".rdf") {
            let next = if page == 1 {
                format!("<hydra:next rdf:resource=\"{base}/catalog.rdf?page=2\"/>")
            } else {
                String::new()
            };
            let text = format!(
                "<?xml version=\"1.0\" encoding=\"utf-8\"?><rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\" xmlns:dcat=\"http://www.w3.org/ns/dcat#\" xmlns:dct=\"http://purl.org/dc/terms/\" xmlns:foaf=\"http://xmlns.com/foaf/0.1/\" xmlns:hydra=\"http://www.w3.org/ns/hydra/core#\">
<rdf:Description rdf:about=\"{base}/catalog.rdf?page={page}\"><rdf:type rdf:resource=\"http://www.w3.org/ns/hydra/core#PartialCollectionView\"/>{next}</rdf:Description>
<rdf:Description rdf:about=\"{base}/catalog\"><rdf:type rdf:resource=\"http://www.w3.org/ns/dcat#Catalog\"/><hydra:totalItems rdf:datatype=\"http://www.w3.org/2001/XMLSchema#integer\">2</hydra:totalItems></rdf:Description>
<rdf:Description rdf:about=\"{base}/d/{page}\"><rdf:type rdf:resource=\"http://www.w3.org/ns/dcat#Dataset\"/><dct:title>{title}</dct:title><dct:publisher rdf:nodeID=\"p\"/><dcat:distribution rdf:resource=\"{base}/r/{page}\"/><dcat:landingPage rdf:resource=\"https://x.fr/{page}\"/></rdf:Description>
<rdf:Description rdf:nodeID=\"p\"><rdf:type rdf:resource=\"http://xmlns.com/foaf/0.1/Organization\"/><foaf:name>IGN</foaf:name></rdf:Description>
<rdf:Description rdf:about=\"{base}/r/{page}\"><rdf:type rdf:resource=\"http://www.w3.org/ns/dcat#Distribution\"/><dct:title>Fichier</dct:title><dct:license>lov2</dct:license><dcat:downloadURL rdf:resource=\"{base}/{file}\"/><dct:format>{format}</dct:format></rdf:Description></rdf:RDF>"
            );
            return Reply::Ok("application/rdf+xml", text.into());
        }
        let mut graph = json!({ "@context": { "dcat": "http://www.w3.org/ns/dcat#" }, "@graph": [
            { "@id": format!("{base}/catalog.jsonld?page={page}"), "@type": "hydra:PartialCollectionView" },
            { "@id": format!("{base}/catalog"), "@type": "Catalog", "hydra:totalItems": 2, "dcat:dataset": [{ "@id": format!("{base}/d/{page}") }] },
            { "@id": format!("{base}/d/{page}"), "@type": "dcat:Dataset", "dct:title": title, "dcat:landingPage": { "@id": format!("https://x.fr/{page}") },
              "dct:publisher": { "@id": "_:p" }, "dcat:distribution": [{ "@id": format!("{base}/r/{page}") }] },
            { "@id": "_:p", "@type": "foaf:Organization", "foaf:name": "IGN" },
            { "@id": format!("{base}/r/{page}"), "@type": "dcat:Distribution", "dct:title": "Fichier", "dct:license": "lov2",
              "dcat:downloadURL": { "@id": format!("{base}/{file}") }, "dct:format": format },
        ]});
        if page == 1 {
            graph["@graph"][0]["hydra:next"] = Value::from(format!("{base}/catalog.jsonld?page=2"));
        }
        Reply::json(&graph)
    })
}

#[test]
fn what_a_catalogue_lists_is_pasted_and_harvested() {
    let upstream = dcat();
    let base = &upstream.base;
    let listed = format!(
        "## Communes\n# <https://x.fr/1>\nid = \"communes\"\ntitle = \"Communes\"\nproducer = \"IGN\"\nlicence = \"lov2\"\n# Fichier (geojson) <{base}/communes.geojson>\n[source]\nurl = \"{base}/communes.geojson\"\n"
    );
    let notice = format!("\n## Notice\n# <https://x.fr/2>\n# Fichier (pdf) <{base}/notice.pdf>\n");
    let site = Site::new();
    for kind in ["jsonld", "rdf"] {
        let address = format!("{base}/catalog.{kind}");
        let all = discover(&site, &[&address]);
        assert!(all.starts_with("# DCAT : 2 jeux de données\n"), "{all}");
        assert!(all.contains(&listed) && all.contains(&notice), "{kind}: {all}");
        let one = discover(&site, &[&address, "--most", "1"]);
        assert!(
            one.starts_with("# DCAT : 1 jeux de données sur 2") && !one.contains("Notice"),
            "{one}"
        );
        let none = discover(&site, &[&address, "--search", "Notice"]);
        assert!(!none.contains("Communes"), "{none}");
    }
    let pasted =
        listed.replace("[source]", "[territory]\nlevel = \"com\"\ncolumn = \"code\"\n[source]");
    std::fs::write(site.path("layers/communes.toml"), pasted).unwrap();
    site.harvest();
    same(&harvested(&site.serve()), &demo().1);
}
